//! The MAC table: which station is behind which port.

use crate::Mac;
use halloo_base::Mono;
use siphasher::sip::SipHasher13;
use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher, Hash};
use std::time::Duration;

/// Two moves within this time are one more move of a flapping station.
const FLAP_WINDOW: Duration = Duration::from_secs(10);

/// So many moves in a row, each within [`FLAP_WINDOW`] of the one before, are flapping.
const FLAPS: u8 = 4;

/// Entries that one call looks at when it clears away old ones.
const SWEEP: usize = 64;

/// No entry.
const NONE: u32 = u32::MAX;

/// How large a table becomes and how long it remembers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableOptions {
    /// How long a station is remembered that is not heard. Default: 300 s (IEEE 802.1Q table 8-3).
    pub ageing: Duration,
    /// Stations in all. Default: 65,536. One more is not learned.
    pub most: usize,
    /// Stations behind one port. Default: 1,024. One more is not learned.
    pub most_per_port: usize,
}

impl Default for TableOptions {
    fn default() -> TableOptions {
        TableOptions {
            ageing: Duration::from_secs(300),
            most: 65_536,
            most_per_port: 1_024,
        }
    }
}

/// 128 random bits, so that nobody can choose addresses that share a place in the table.
#[derive(Clone, Copy)]
pub struct TableKey(pub [u8; 16]);

impl BuildHasher for TableKey {
    type Hasher = SipHasher13;

    fn build_hasher(&self) -> SipHasher13 {
        SipHasher13::new_with_key(&self.0)
    }
}

impl fmt::Debug for TableKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TableKey(..)")
    }
}

/// What came of a station that was heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Learned<P> {
    /// It was known there.
    Known,
    /// It is known from now on.
    New,
    /// It was behind another port before.
    Moved {
        /// Where it was.
        from: P,
        /// Whether it moves again and again: most likely a loop, or two stations with one address.
        flapping: bool,
    },
    /// Its port has all the stations that it may have.
    PortFull,
    /// The table has all the stations that it may have.
    TableFull,
}

/// Stations by address and VLAN. Looking up and learning cost one hash each; nothing is allocated once it has been as full
/// as it becomes.
#[derive(Debug)]
pub struct MacTable<P> {
    options: TableOptions,
    places: HashMap<Key, u32, TableKey>,
    entries: Vec<Entry<P>>,
    /// The first entry that is free; each knows the next.
    free: u32,
    ports: HashMap<P, Members, TableKey>,
    /// Where the next sweep begins.
    hand: usize,
}

/// An address in a VLAN.
type Key = u64;

/// The entries of one port.
#[derive(Clone, Copy, Debug)]
struct Members {
    first: u32,
    count: usize,
}

#[derive(Clone, Copy, Debug)]
struct Entry<P> {
    key: Key,
    /// `None` where the entry is free.
    port: Option<P>,
    seen: Mono,
    moved: Mono,
    moves: u8,
    /// Neighbours in the list of its port; of a free entry, `next` in the list of free ones.
    previous: u32,
    next: u32,
}

impl<P: Copy + Eq + Hash> MacTable<P> {
    /// An empty table.
    pub fn new(options: TableOptions, key: TableKey) -> MacTable<P> {
        MacTable {
            options,
            places: HashMap::with_hasher(key),
            entries: Vec::new(),
            free: NONE,
            ports: HashMap::with_hasher(key),
            hand: 0,
        }
    }

    /// How many stations it holds, old ones that have not been cleared away yet among them.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// How many stations it holds behind a port.
    pub fn count(&self, port: P) -> usize {
        self.ports.get(&port).map_or(0, |members| members.count)
    }

    /// Behind which port a station is.
    pub fn find(&self, now: Mono, mac: Mac, vlan: u16) -> Option<P> {
        let entry = self.entry(*self.places.get(&key(mac, vlan))?)?;
        entry.port.filter(|_| !self.is_old(entry, now))
    }

    /// Remembers that a station was heard behind a port.
    pub fn learn(&mut self, now: Mono, mac: Mac, vlan: u16, port: P) -> Learned<P> {
        let key = key(mac, vlan);
        if let Some(&place) = self.places.get(&key) {
            return self.hear(now, place, port);
        }
        if let Err(full) = self.has_room(now, port) {
            return full;
        }
        self.insert(now, key, port);
        Learned::New
    }

    /// Forgets a station behind a port, in every VLAN: its owner says that it is there no more. Returns how many entries
    /// that were. Costs a look at each entry of the port.
    pub fn forget(&mut self, mac: Mac, port: P) -> usize {
        self.forget_where(port, |key| address(key) == mac)
    }

    /// Forgets all that is behind a port: the port is gone. Returns how many entries that were.
    pub fn forget_port(&mut self, port: P) -> usize {
        self.forget_where(port, |_| true)
    }

    /// Clears away old entries, looking at 64 at most: to be called once in a while, as often as one likes. An old entry is
    /// never found, cleared away or not.
    pub fn age(&mut self, now: Mono) {
        for _ in 0..SWEEP.min(self.entries.len()) {
            self.hand = (self.hand + 1) % self.entries.len();
            let entry = &self.entries[self.hand];
            if entry.port.is_some() && self.is_old(entry, now) {
                self.remove(self.hand as u32);
            }
        }
    }

    /// The stations that are behind a port now, with their VLANs, in no particular order.
    pub fn stations(&self, now: Mono, port: P) -> impl Iterator<Item = (Mac, u16)> + '_ {
        let first = self
            .ports
            .get(&port)
            .and_then(|members| self.entry(members.first));
        let all = std::iter::successors(first, |entry| self.entry(entry.next));
        all.filter(move |entry| !self.is_old(entry, now))
            .map(|entry| (address(entry.key), entry.key as u16))
    }

    fn hear(&mut self, now: Mono, place: u32, port: P) -> Learned<P> {
        // Places name entries that are there.
        let entry = self.entries[place as usize];
        if entry.port == Some(port) {
            self.entries[place as usize].seen = now;
            return Learned::Known;
        }
        let Some(from) = entry.port else {
            return Learned::New;
        };
        if self.count(port) >= self.options.most_per_port {
            return Learned::PortFull;
        }
        let was_old = self.is_old(&entry, now);
        self.unlink(place);
        self.link(place, port);
        let entry = &mut self.entries[place as usize];
        entry.seen = now;
        if was_old {
            entry.moves = 0;
            return Learned::New;
        }
        let again = entry.moves > 0 && now.since(entry.moved) < FLAP_WINDOW;
        entry.moves = if again { entry.moves.saturating_add(1) } else { 1 };
        entry.moved = now;
        Learned::Moved {
            from,
            flapping: entry.moves >= FLAPS,
        }
    }

    /// Whether one more may be learned behind a port. Where there is no room, some that is old may be cleared away.
    fn has_room(&mut self, now: Mono, port: P) -> Result<(), Learned<P>> {
        let port_full = |table: &Self| table.count(port) >= table.options.most_per_port;
        let full = |table: &Self| table.len() >= table.options.most;
        if port_full(self) || full(self) {
            self.age(now);
        }
        if port_full(self) {
            return Err(Learned::PortFull);
        }
        if full(self) {
            return Err(Learned::TableFull);
        }
        Ok(())
    }

    fn insert(&mut self, now: Mono, key: Key, port: P) {
        let entry = Entry {
            key,
            port: None,
            seen: now,
            moved: now,
            moves: 0,
            previous: NONE,
            next: NONE,
        };
        let place = if self.free == NONE {
            self.entries.push(entry);
            // Far fewer than 2^32: the limit is a limit of memory too.
            (self.entries.len() - 1) as u32
        } else {
            let place = self.free;
            self.free = self.entries[place as usize].next;
            self.entries[place as usize] = entry;
            place
        };
        self.places.insert(key, place);
        self.link(place, port);
    }

    fn remove(&mut self, place: u32) {
        self.unlink(place);
        let entry = &mut self.entries[place as usize];
        self.places.remove(&entry.key);
        entry.next = self.free;
        self.free = place;
    }

    /// Puts an entry at the head of its port's list.
    fn link(&mut self, place: u32, port: P) {
        let members = self.ports.entry(port).or_insert(Members {
            first: NONE,
            count: 0,
        });
        let next = members.first;
        members.first = place;
        let entry = &mut self.entries[place as usize];
        members.count += 1;
        entry.port = Some(port);
        entry.previous = NONE;
        entry.next = next;
        if let Some(next) = self.entries.get_mut(next as usize) {
            next.previous = place;
        }
    }

    fn unlink(&mut self, place: u32) {
        let entry = &mut self.entries[place as usize];
        let (previous, next) = (entry.previous, entry.next);
        let Some(port) = entry.port.take() else { return };
        if let Some(next) = self.entries.get_mut(next as usize) {
            next.previous = previous;
        }
        if let Some(previous) = self.entries.get_mut(previous as usize) {
            previous.next = next;
        }
        let Some(members) = self.ports.get_mut(&port) else {
            return;
        };
        members.count -= 1;
        if members.first == place {
            members.first = next;
        }
        if members.first == NONE {
            self.ports.remove(&port);
        }
    }

    fn forget_where(&mut self, port: P, gone: impl Fn(Key) -> bool) -> usize {
        let mut place = self.ports.get(&port).map_or(NONE, |members| members.first);
        let mut count = 0;
        while let Some(&entry) = self.entry(place) {
            if gone(entry.key) {
                self.remove(place);
                count += 1;
            }
            place = entry.next;
        }
        count
    }

    fn entry(&self, place: u32) -> Option<&Entry<P>> {
        self.entries.get(place as usize)
    }

    fn is_old(&self, entry: &Entry<P>, now: Mono) -> bool {
        now.since(entry.seen) >= self.options.ageing
    }
}

fn key(mac: Mac, vlan: u16) -> Key {
    let [a, b, c, d, e, f] = mac.0;
    let [high, low] = vlan.to_be_bytes();
    u64::from_be_bytes([a, b, c, d, e, f, high, low])
}

fn address(key: Key) -> Mac {
    let [a, b, c, d, e, f, ..] = key.to_be_bytes();
    Mac([a, b, c, d, e, f])
}
