//! Fragments put together again.

use super::content::Fragment;
use super::refused::Refused;
use halloo_base::{Mono, Offload};
use std::time::Duration;

/// How long a frame waits for its parts.
const PATIENCE: Duration = Duration::from_secs(1);

/// Frames of one peer that wait for their parts. One more, and the oldest is given up.
const MOST_FRAMES: usize = 64;

/// Pieces of one frame with gaps between them.
const MOST_PIECES: usize = 32;

/// Puts the fragments of one peer together.
///
/// It holds memory only for what a peer sends in fragments, and no more than it was told to; what is older than a second is
/// forgotten when the next fragment comes, or when it is told to [`Reassembler::expire`]. Joining copies once.
#[derive(Debug, Default)]
pub struct Reassembler {
    slots: Vec<Slot>,
    /// Octets that the buffers of all slots may have together.
    memory: usize,
    counts: FragmentCounts,
}

/// What a [`Reassembler`] has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct FragmentCounts {
    /// Frames put together.
    pub complete: u64,
    /// Frames whose parts did not come in time.
    pub late: u64,
    /// Frames that made place for later ones.
    pub displaced: u64,
    /// Frames whose parts contradicted each other.
    pub contradicted: u64,
}

#[derive(Debug)]
struct Slot {
    state: State,
    number: u32,
    total: usize,
    offload: Offload,
    since: Mono,
    /// What is there, in order, with gaps between.
    pieces: [Piece; MOST_PIECES],
    count: usize,
    bytes: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Free,
    Open,
    /// Handed out or given up; parts that come yet are not a new frame.
    Done,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
struct Piece {
    start: usize,
    end: usize,
}

impl Reassembler {
    /// One that holds at most `memory` octets of frames, but always one frame whatever its length.
    pub fn new(memory: usize) -> Reassembler {
        Reassembler {
            slots: Vec::new(),
            memory,
            counts: FragmentCounts::default(),
        }
    }

    /// What it has done.
    pub fn counts(&self) -> FragmentCounts {
        self.counts
    }

    /// Octets that it holds now.
    pub fn memory(&self) -> usize {
        self.slots.iter().map(|slot| slot.bytes.capacity()).sum()
    }

    /// Forgets what is older than a second. For a peer that sends nothing any more; else the next fragment does it.
    pub fn expire(&mut self, now: Mono) {
        for slot in &mut self.slots {
            if slot.state != State::Free && now.since(slot.since) >= PATIENCE {
                self.counts.late += u64::from(slot.state == State::Open);
                slot.state = State::Free;
            }
        }
    }

    /// Takes a fragment and hands out its frame if it is complete by it.
    pub(crate) fn take(
        &mut self,
        now: Mono,
        fragment: &Fragment<'_>,
        out: &mut impl FnMut(&[u8], Offload),
    ) -> Result<(), Refused> {
        let known = self
            .slots
            .iter()
            .position(|slot| slot.state != State::Free && slot.number == fragment.number)
            .filter(|&slot| now.since(self.slots[slot].since) < PATIENCE);
        let slot = match known {
            Some(slot) => slot,
            None => {
                self.expire(now);
                self.begin(now, fragment)
            }
        };
        let slot = &mut self.slots[slot];
        if slot.state == State::Done {
            return Err(Refused::Repeated);
        }
        match slot.put(fragment) {
            Ok(true) => {
                self.counts.complete += 1;
                slot.state = State::Done;
                out(&slot.bytes, slot.offload);
                Ok(())
            }
            Ok(false) => Ok(()),
            Err(Refused::Repeated) => Err(Refused::Repeated),
            Err(why) => {
                self.counts.contradicted += 1;
                slot.state = State::Done;
                Err(why)
            }
        }
    }

    /// A slot for a new frame, with memory for it.
    fn begin(&mut self, now: Mono, fragment: &Fragment<'_>) -> usize {
        let long_enough = |slot: &Slot| slot.bytes.capacity() >= fragment.total;
        let oldest = |slots: &[Slot], is: &dyn Fn(&Slot) -> bool| {
            (0..slots.len())
                .filter(|&at| is(&slots[at]))
                .min_by_key(|&at| slots[at].since)
        };
        let free = |slot: &Slot| slot.state == State::Free;
        let done = |slot: &Slot| slot.state == State::Done;
        // Memory that is there before memory that is not, so that nothing is allocated for ever; what is done before what
        // is open.
        let slots = &self.slots;
        let may_grow = slots.len() < MOST_FRAMES;
        let at = oldest(slots, &|slot| free(slot) && long_enough(slot))
            .or_else(|| (may_grow && self.memory() + fragment.total <= self.memory).then_some(slots.len()))
            .or_else(|| oldest(slots, &|slot| done(slot) && long_enough(slot)))
            .or_else(|| oldest(slots, &free))
            .or_else(|| oldest(slots, &done))
            .or_else(|| may_grow.then_some(slots.len()))
            .or_else(|| oldest(slots, &|_| true))
            // There are MOST_FRAMES of them, so there is an oldest.
            .unwrap_or(0);
        if at == self.slots.len() {
            self.slots.push(Slot::new());
        }
        self.counts.displaced += u64::from(self.slots[at].state == State::Open);
        self.slots[at].state = State::Free;
        self.make_room(at, fragment.total);
        self.slots[at].begin(now, fragment);
        at
    }

    /// Takes memory from others, the least needed first, until slot `at` may have `need` octets.
    fn make_room(&mut self, at: usize, need: usize) {
        if self.slots[at].bytes.capacity() >= need {
            return;
        }
        self.slots[at].bytes = Vec::new();
        let mut held = self.memory();
        while held + need > self.memory {
            let rank = |state: State| match state {
                State::Free => 0,
                State::Done => 1,
                State::Open => 2,
            };
            let least = (0..self.slots.len())
                .filter(|&other| self.slots[other].bytes.capacity() > 0)
                .min_by_key(|&other| (rank(self.slots[other].state), self.slots[other].since));
            let Some(least) = least else { break };
            let slot = &mut self.slots[least];
            self.counts.displaced += u64::from(slot.state == State::Open);
            held -= slot.bytes.capacity();
            slot.bytes = Vec::new();
            slot.state = State::Free;
        }
        self.slots[at].bytes.reserve_exact(need);
    }
}

impl Slot {
    fn new() -> Slot {
        Slot {
            state: State::Free,
            number: 0,
            total: 0,
            offload: Offload::default(),
            since: Mono(0),
            pieces: [Piece::default(); MOST_PIECES],
            count: 0,
            bytes: Vec::new(),
        }
    }

    fn begin(&mut self, now: Mono, fragment: &Fragment<'_>) {
        self.state = State::Open;
        self.number = fragment.number;
        self.total = fragment.total;
        self.offload = fragment.offload;
        self.since = now;
        self.count = 0;
        // No octet of an earlier frame is ever handed out: a frame is complete when every one has been written.
        self.bytes.resize(fragment.total, 0);
    }

    /// Puts a part where it belongs. Returns whether nothing is missing now.
    fn put(&mut self, fragment: &Fragment<'_>) -> Result<bool, Refused> {
        if (fragment.total, fragment.offload) != (self.total, self.offload) {
            return Err(Refused::Contradiction);
        }
        let new = Piece {
            start: fragment.offset,
            end: fragment.offset + fragment.bytes.len(),
        };
        // The first piece that is not wholly before the new one.
        let at = self.pieces[..self.count].partition_point(|piece| piece.end <= new.start);
        if let Some(next) = self.pieces[..self.count].get(at)
            && next.start < new.end
        {
            let inside = next.start <= new.start && new.end <= next.end;
            let same = inside && self.bytes[new.start..new.end] == *fragment.bytes;
            return Err(if same {
                Refused::Repeated
            } else {
                Refused::Contradiction
            });
        }
        let joins_before = at > 0 && self.pieces[at - 1].end == new.start;
        let joins_behind = at < self.count && self.pieces[at].start == new.end;
        match (joins_before, joins_behind) {
            (true, true) => {
                self.pieces[at - 1].end = self.pieces[at].end;
                self.pieces.copy_within(at + 1..self.count, at);
                self.count -= 1;
            }
            (true, false) => self.pieces[at - 1].end = new.end,
            (false, true) => self.pieces[at].start = new.start,
            (false, false) => {
                if self.count == MOST_PIECES {
                    return Err(Refused::TooManyParts);
                }
                self.pieces.copy_within(at..self.count, at + 1);
                self.pieces[at] = new;
                self.count += 1;
            }
        }
        self.bytes[new.start..new.end].copy_from_slice(fragment.bytes);
        let whole = Piece {
            start: 0,
            end: self.total,
        };
        Ok(self.count == 1 && self.pieces[0] == whole)
    }
}
