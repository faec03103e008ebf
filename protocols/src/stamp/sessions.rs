//! What a stateful reflector remembers of each session, in memory that never grows.

use halloo_base::{Stamp, StampSource, TxTag};
use siphasher::sip::SipHasher24;
use std::hash::Hasher;
use std::net::SocketAddr;

/// Sessions that share a set; the least recently used of them makes room for a new one.
const WAYS: usize = 8;

/// A departure that has not come back after so many further answers is given up.
const AWAIT_AT_MOST: u32 = 64;

/// A set-associative table. The hash is keyed, so nobody can aim at the set of someone else's session.
pub(super) struct Sessions {
    slots: Vec<Session>,
    secret: [u8; 16],
    ticks: u64,
}

/// Whose session, and which of his (RFC 8972 section 3).
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Name {
    ip: u128,
    port: u16,
    ssid: u16,
}

#[derive(Clone, Default)]
struct Session {
    name: Name,
    /// The tick of the last request; 0 marks an empty slot.
    used: u64,
    /// How many requests were answered.
    answered: u32,
    /// Outlives the session, so that a departure never counts for the slot's next tenant.
    generation: u32,
    /// An answer whose departure has not been told yet.
    awaited: Option<u32>,
    departure: Option<Departure>,
}

/// When an answer left the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Departure {
    /// The answer's own number.
    pub(super) number: u32,
    /// When.
    pub(super) at: Stamp,
}

/// Where a session is kept until the next request is counted.
#[derive(Clone, Copy)]
pub(super) struct Slot(usize);

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

    /// Counts a request that will be answered. Returns the answer's number, from 0.
    pub(super) fn count(&mut self, remote: SocketAddr, ssid: u16) -> (Slot, u32) {
        self.ticks += 1;
        let slot = self.find_or_make(Name::new(remote, ssid));
        let session = &mut self.slots[slot.0];
        session.used = self.ticks;
        let number = session.answered;
        session.answered = number.wrapping_add(1);
        (slot, number)
    }

    /// The newest departure that is known.
    pub(super) fn departure(&self, slot: Slot) -> Option<Departure> {
        self.slots[slot.0].departure
    }

    /// A tag if the departure of the answer `number` is of use: one is awaited at a time, so a flood does not pay for a
    /// stamp on each answer.
    pub(super) fn await_departure(&mut self, slot: Slot, number: u32) -> Option<TxTag> {
        let session = &mut self.slots[slot.0];
        let waits = |awaited| number.wrapping_sub(awaited) <= AWAIT_AT_MOST;
        if session.awaited.is_some_and(waits) {
            return None;
        }
        session.generation = session.generation.wrapping_add(1);
        session.awaited = Some(number);
        Some(TxTag((slot.0 as u64) << 32 | u64::from(session.generation)))
    }

    /// Takes the departure that a tag was for. What the process itself read off the clock is no better than T3.
    pub(super) fn departed(&mut self, tag: TxTag, at: Stamp) {
        let session = usize::try_from(tag.0 >> 32)
            .ok()
            .and_then(|slot| self.slots.get_mut(slot));
        let Some(session) = session.filter(|session| session.generation == tag.0 as u32) else {
            return;
        };
        let Some(number) = session.awaited.take() else {
            return;
        };
        if at.source != StampSource::User {
            session.departure = Some(Departure { number, at });
        }
    }

    fn find_or_make(&mut self, name: Name) -> Slot {
        let first = self.set_of(name);
        let set = &mut self.slots[first..first + WAYS];
        let known = set
            .iter()
            .position(|session| session.used != 0 && session.name == name);
        let way = known.unwrap_or_else(|| {
            let oldest = (0..WAYS).min_by_key(|&way| set[way].used).unwrap_or(0);
            set[oldest] = Session {
                name,
                generation: set[oldest].generation,
                ..Session::default()
            };
            oldest
        });
        Slot(first + way)
    }

    fn set_of(&self, name: Name) -> usize {
        let mut hasher = SipHasher24::new_with_key(&self.secret);
        hasher.write(&name.ip.to_be_bytes());
        hasher.write(&name.port.to_be_bytes());
        hasher.write(&name.ssid.to_be_bytes());
        // The number of sets is a power of two.
        let sets = self.slots.len() / WAYS;
        (hasher.finish() as usize & (sets - 1)) * WAYS
    }
}

impl Name {
    fn new(remote: SocketAddr, ssid: u16) -> Name {
        let ip = match remote.ip() {
            std::net::IpAddr::V4(ip) => ip.to_ipv6_mapped(),
            std::net::IpAddr::V6(ip) => ip,
        };
        Name {
            ip: ip.to_bits(),
            port: remote.port(),
            ssid,
        }
    }
}
