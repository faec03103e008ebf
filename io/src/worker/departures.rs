//! Stamps of what left by a UDP port, on their way back to the tags that asked for them.

use halloo_base::TxTag;

/// Which tag belongs to which departure, by the number that the stamp comes back with.
#[derive(Default)]
pub(super) struct Departures {
    /// The number of the next stamped send.
    next: u32,
    /// One more than the newest number that came back. What was sent before that and is still out will not come.
    heard: u32,
    ring: Vec<Option<(u32, TxTag)>>,
}

impl Departures {
    /// Stamps come within microseconds on a working link; what is older than this is given up.
    const ROOM: usize = 4_096;

    /// Takes a number for a send.
    pub(super) fn expect(&mut self, tag: TxTag) -> u32 {
        if self.ring.is_empty() {
            self.ring.resize(Departures::ROOM, None);
        }
        let key = self.next;
        self.ring[key as usize % Departures::ROOM] = Some((key, tag));
        self.next = key.wrapping_add(1);
        key
    }

    pub(super) fn take(&mut self, key: u32) -> Option<TxTag> {
        let slot = self.ring.get_mut(key as usize % Departures::ROOM)?;
        let (_, tag) = slot.take_if(|(expected, _)| *expected == key)?;
        self.heard = key.wrapping_add(1);
        Some(tag)
    }

    /// The send with this number did not take place.
    pub(super) fn forget(&mut self, key: u32) {
        self.ring[key as usize % Departures::ROOM] = None;
        if self.next == key.wrapping_add(1) {
            self.next = key;
        }
    }

    pub(super) fn awaited(&self) -> usize {
        self.ring.iter().flatten().count()
    }

    pub(super) fn are_awaited(&self) -> bool {
        self.next != self.heard
    }

    pub(super) fn restart(&mut self) {
        self.ring.fill(None);
        self.next = 0;
        self.heard = 0;
    }
}
