//! The open connections of a stream server, the longest idle one first.

use crate::Secret;
use crate::address::Source;
use halloo_base::{ConnId, Mono, StreamResponder};
use std::collections::HashMap;

const NONE: u32 = u32::MAX;

/// One connection. Idle, it costs this and its responder, and no buffer.
pub(crate) struct Connection {
    pub(crate) id: ConnId,
    /// `None` once everything has been said: we wait for the peer to close.
    pub(crate) responder: Option<Box<dyn StreamResponder>>,
    /// Received bytes that the responder has not used yet.
    pub(crate) pending: Vec<u8>,
    /// The source whose cap it counts towards, if it has one.
    pub(crate) source: Option<Source>,
    /// When its peer last did something.
    pub(crate) active: Mono,
}

/// Where a connection is kept. Valid until that connection is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot(u32);

struct Entry {
    connection: Option<Connection>,
    /// The neighbour that was active before this one; in a free entry, the next free one.
    older: u32,
    newer: u32,
}

/// A slab with a list through it in the order of activity, so that the next to time out is always known and
/// activity costs the same however many connections there are.
pub(crate) struct Connections {
    entries: Vec<Entry>,
    free: u32,
    oldest: u32,
    newest: u32,
    slots: HashMap<ConnId, Slot, Secret>,
}

impl Connections {
    pub(crate) fn new(secret: Secret) -> Connections {
        Connections {
            entries: Vec::new(),
            free: NONE,
            oldest: NONE,
            newest: NONE,
            slots: HashMap::with_hasher(secret),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(crate) fn find(&self, id: ConnId) -> Option<Slot> {
        self.slots.get(&id).copied()
    }

    pub(crate) fn at(&mut self, slot: Slot) -> &mut Connection {
        let connection = self.entries[slot.0 as usize].connection.as_mut();
        connection.expect("a slot is valid until its connection is removed")
    }

    /// The connection whose peer was silent for the longest time.
    pub(crate) fn oldest(&self) -> Option<&Connection> {
        self.entries.get(self.oldest as usize)?.connection.as_ref()
    }

    /// Adds a connection, as the newest.
    pub(crate) fn insert(&mut self, connection: Connection) {
        let id = connection.id;
        let entry = Entry {
            connection: Some(connection),
            older: NONE,
            newer: NONE,
        };
        let index = match self.free {
            NONE => {
                let index = u32::try_from(self.entries.len()).expect("the cap is far below 2^32");
                self.entries.push(entry);
                index
            }
            index => {
                let place = &mut self.entries[index as usize];
                self.free = place.older;
                *place = entry;
                index
            }
        };
        self.append(index);
        self.slots.insert(id, Slot(index));
    }

    /// Notes that a connection's peer did something: it is the newest now.
    pub(crate) fn touch(&mut self, slot: Slot, now: Mono) {
        self.at(slot).active = now;
        if self.newest != slot.0 {
            self.unlink(slot.0);
            self.append(slot.0);
        }
    }

    pub(crate) fn remove(&mut self, id: ConnId) -> Option<Connection> {
        let Slot(index) = self.slots.remove(&id)?;
        self.unlink(index);
        let entry = &mut self.entries[index as usize];
        let connection = entry.connection.take();
        entry.older = self.free;
        self.free = index;
        connection
    }

    fn append(&mut self, index: u32) {
        let before = self.newest;
        self.newest = index;
        match self.entries.get_mut(before as usize) {
            Some(neighbour) => neighbour.newer = index,
            None => self.oldest = index,
        }
        let entry = &mut self.entries[index as usize];
        (entry.older, entry.newer) = (before, NONE);
    }

    fn unlink(&mut self, index: u32) {
        let Entry { older, newer, .. } = self.entries[index as usize];
        match self.entries.get_mut(older as usize) {
            Some(neighbour) => neighbour.newer = newer,
            None => self.oldest = newer,
        }
        match self.entries.get_mut(newer as usize) {
            Some(neighbour) => neighbour.older = older,
            None => self.newest = older,
        }
    }
}

#[cfg(test)]
mod tests;
