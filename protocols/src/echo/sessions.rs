//! What the responder remembers of each session, in memory that never grows.

use super::wire::{FollowUp, WINDOW};
use halloo_base::{Mono, Stamp, StampSource, TxTag};
use siphasher::sip::SipHasher24;
use std::hash::Hasher;
use std::num::NonZeroU8;

/// Sessions that share a set; the least recently used of them makes room for a new one.
const WAYS: usize = 8;

/// A departure that has not come back after so many further requests is given up.
const AWAIT_AT_MOST: u32 = 64;

/// A set-associative table. The hash is keyed, so nobody can aim at the set of someone else's session.
pub(super) struct Sessions {
    slots: Vec<Session>,
    secret: [u8; 16],
    ticks: u64,
}

#[derive(Clone, Default)]
struct Session {
    token: u64,
    /// The tick of the last request; 0 marks an empty slot.
    used: u64,
    received: u32,
    highest: u32,
    /// Bit `n` says that the request `highest - n` has arrived; it holds more of them than are ever shown.
    arrived: u128,
    /// How many bits of `arrived` lie after the session's beginning here.
    span: u8,
    /// Outlives the session, so that a departure never counts for the slot's next tenant.
    generation: u32,
    awaited: Option<Awaited>,
    exact: Option<Exact>,
}

/// An answer whose departure has not been told yet.
#[derive(Clone, Copy)]
struct Awaited {
    seq: u32,
    arrived: Mono,
}

/// An answer whose residence is known from kernel to kernel.
#[derive(Clone, Copy)]
struct Exact {
    seq: u32,
    residence: u32,
}

/// Where a session is kept until the next request is observed.
#[derive(Clone, Copy)]
pub(super) struct Slot(usize);

/// A session as one of its requests leaves it.
pub(super) struct Observation {
    pub(super) slot: Slot,
    /// Distinct requests so far, as far as the window can tell; an older one counts as new.
    pub(super) received: u32,
    /// Bit `n` says that the request `n` before this one has arrived.
    pub(super) window: u128,
    /// How many bits of `window` mean anything: at least 1.
    pub(super) window_len: u8,
    /// This request has been here before.
    pub(super) duplicate: bool,
}

impl Sessions {
    /// Room for at least so many sessions, all allocated now.
    pub(super) fn new(capacity: usize, secret: [u8; 16]) -> Sessions {
        let sets = capacity.div_ceil(WAYS).max(1).next_power_of_two();
        Sessions {
            slots: vec![Session::default(); sets * WAYS],
            secret,
            ticks: 0,
        }
    }

    /// Notes that a request arrived.
    pub(super) fn observe(&mut self, token: u64, seq: u32) -> Observation {
        self.ticks += 1;
        let slot = self.find_or_make(token);
        let session = &mut self.slots[slot.0];
        let fresh = session.used == 0;
        session.used = self.ticks;
        if fresh {
            session.begin(token, seq)
        } else {
            session.arrive(seq)
        }
        .into_observation(slot, session.received)
    }

    /// The newest exact residence that an answer to `seq` can refer to.
    pub(super) fn follow_up(&self, slot: Slot, seq: u32) -> Option<FollowUp> {
        let exact = self.slots[slot.0].exact?;
        let distance = u8::try_from(seq.wrapping_sub(exact.seq))
            .ok()
            .and_then(NonZeroU8::new)?;
        Some(FollowUp {
            distance,
            residence: exact.residence,
        })
    }

    /// A tag if the departure of the answer to `seq` is of use: one is awaited at a time, so a flood does not pay
    /// for a stamp on each answer.
    pub(super) fn await_departure(&mut self, slot: Slot, seq: u32, arrived: Stamp) -> Option<TxTag> {
        let session = &mut self.slots[slot.0];
        let waiting = session
            .awaited
            .is_some_and(|a| seq.wrapping_sub(a.seq) <= AWAIT_AT_MOST);
        if waiting || arrived.source == StampSource::User {
            return None;
        }
        session.generation = session.generation.wrapping_add(1);
        session.awaited = Some(Awaited {
            seq,
            arrived: arrived.mono,
        });
        Some(TxTag((slot.0 as u64) << 32 | u64::from(session.generation)))
    }

    /// Takes the departure that a tag was for.
    pub(super) fn departed(&mut self, tag: TxTag, at: Stamp) {
        let session = usize::try_from(tag.0 >> 32)
            .ok()
            .and_then(|slot| self.slots.get_mut(slot));
        let Some(session) = session.filter(|s| s.generation == tag.0 as u32) else {
            return;
        };
        let Some(awaited) = session.awaited.take() else {
            return;
        };
        if at.source == StampSource::User {
            return;
        }
        // Kernel stamps are taken on the wall clock: after a step the span can be negative or huge.
        if let Ok(residence) = u32::try_from((at.mono - awaited.arrived).0) {
            session.exact = Some(Exact {
                seq: awaited.seq,
                residence,
            });
        }
    }

    fn find_or_make(&mut self, token: u64) -> Slot {
        let first = self.set_of(token);
        let set = &mut self.slots[first..first + WAYS];
        let known = set.iter().position(|s| s.used != 0 && s.token == token);
        let way = known.unwrap_or_else(|| {
            let oldest = (0..WAYS).min_by_key(|&way| set[way].used).unwrap_or(0);
            set[oldest] = Session {
                generation: set[oldest].generation,
                ..Session::default()
            };
            oldest
        });
        Slot(first + way)
    }

    fn set_of(&self, token: u64) -> usize {
        let mut hasher = SipHasher24::new_with_key(&self.secret);
        hasher.write(&token.to_be_bytes());
        // The number of sets is a power of two.
        let sets = self.slots.len() / WAYS;
        (hasher.finish() as usize & (sets - 1)) * WAYS
    }
}

/// The window that ends at one request.
struct View {
    window: u128,
    window_len: u8,
    duplicate: bool,
}

impl View {
    fn into_observation(self, slot: Slot, received: u32) -> Observation {
        Observation {
            slot,
            received,
            window: self.window,
            window_len: self.window_len,
            duplicate: self.duplicate,
        }
    }
}

impl Session {
    fn begin(&mut self, token: u64, seq: u32) -> View {
        self.token = token;
        self.received = 1;
        self.highest = seq;
        self.arrived = 1;
        self.span = 1;
        View {
            window: 1,
            window_len: 1,
            duplicate: false,
        }
    }

    fn arrive(&mut self, seq: u32) -> View {
        let ahead = seq.wrapping_sub(self.highest);
        // More than half the number space ahead is behind: the sequence wraps.
        if ahead != 0 && ahead <= i32::MAX as u32 {
            self.advance(ahead, seq)
        } else {
            self.fill_in(self.highest.wrapping_sub(seq))
        }
    }

    fn advance(&mut self, by: u32, seq: u32) -> View {
        self.highest = seq;
        self.received = self.received.wrapping_add(1);
        self.arrived = self.arrived.checked_shl(by).unwrap_or(0) | 1;
        let span = u32::from(self.span).saturating_add(by).min(u32::from(WINDOW));
        self.span = span as u8;
        View {
            window: self.visible(),
            window_len: self.span,
            duplicate: false,
        }
    }

    fn fill_in(&mut self, behind: u32) -> View {
        let within = u8::try_from(behind).ok().filter(|&behind| behind < WINDOW);
        let Some(behind) = within else {
            self.received = self.received.wrapping_add(1);
            return View {
                window: 1,
                window_len: 1,
                duplicate: false,
            };
        };
        let bit = 1u128 << behind;
        let duplicate = self.arrived & bit != 0;
        if !duplicate {
            self.received = self.received.wrapping_add(1);
            self.arrived |= bit;
        }
        let window = (self.visible() >> behind) | 1;
        View {
            window,
            window_len: self.span.saturating_sub(behind).max(1),
            duplicate,
        }
    }

    /// The bits that lie after the session's beginning: what came before it is unknown, not lost.
    fn visible(&self) -> u128 {
        self.arrived & ((1 << self.span) - 1)
    }
}
