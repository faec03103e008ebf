//! What a server says of its own clock, and where it has that from.

use super::wire::{Packet, UNKNOWN_LEAP, UNSYNCHRONISED};
use super::{Short, Timestamp};
use halloo_base::{ClockQuality, Env, KnownQuality, Leap, Mono, Nanos, Wall};
use std::sync::{Arc, PoisonError, RwLock, TryLockError};

/// How good a clock is. The default is one that is not synchronised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockState {
    /// The announced leap second; `None` for a clock that is not synchronised.
    pub leap: Option<Leap>,
    /// 1 for a clock that has a reference of its own, 2 to 15 for one that follows others; any other is not synchronised.
    pub stratum: u8,
    /// The precision of a reading, as a power of two of seconds.
    pub precision: i8,
    /// The round trip to the clock at the root.
    pub root_delay: Nanos,
    /// How far the clock may be off beside that, at `as_of`. It grows from there by 15 ppm.
    pub root_dispersion: Nanos,
    /// What the clock follows: four characters at stratum 1, an IPv4 address or the beginning of a hash above (RFC
    /// 5905 section 7.3).
    pub reference_id: [u8; 4],
    /// When the clock was last set or corrected, if it was. A time that has not come is told as the present one.
    pub reference_at: Option<Wall>,
    /// When all this was so.
    pub as_of: Mono,
}

/// A [`ClockState`] that somebody refreshes while servers tell it. Nobody who reads waits for who writes.
#[derive(Debug, Default)]
pub struct ClockCell(RwLock<ClockState>);

/// Where a server has its [`ClockState`] from. By default from a cell that nobody refreshes: it says that it is not
/// synchronised.
#[derive(Clone, Debug)]
pub enum ClockSource {
    /// Whoever refreshes this cell, such as a client of chrony's.
    Told(Arc<ClockCell>),
    /// The host's clock itself ([`Clock::quality`](halloo_base::Clock::quality)), asked once a second at most: what the
    /// kernel was told by who keeps the clock. It does not know through how many servers.
    Kept {
        /// What to claim while the clock is kept, 1 to 15.
        stratum: u8,
        /// What the clock follows.
        reference_id: [u8; 4],
        /// Whether to claim that too while nobody keeps the clock, and how far it may be off then: somebody vouches for it, as
        /// with chrony's `local`. Such a clock is its own reference, and its error does not grow. `None`: it is not
        /// synchronised.
        unkept: Option<Nanos>,
    },
}

/// How much worse a clock gets unless somebody corrects it: 15 ppm (RFC 5905 section 7.2, PHI).
const TOLERANCE_PPM: u128 = 15;
/// The most that a clock may be off (RFC 5905 section 7.2, MAXDISP): what one that does not know says.
const UNKNOWN_DISPERSION: Nanos = Nanos(16_000_000_000);
/// About a microsecond.
const USUAL_PRECISION: i8 = -20;

impl Default for ClockState {
    fn default() -> ClockState {
        ClockState {
            leap: None,
            stratum: UNSYNCHRONISED,
            precision: USUAL_PRECISION,
            root_delay: Nanos::ZERO,
            root_dispersion: UNKNOWN_DISPERSION,
            reference_id: [0; 4],
            reference_at: None,
            as_of: Mono(0),
        }
    }
}

impl ClockState {
    /// A clock of this quality, at `now`, which reads `wall`: its whole error is told as dispersion.
    pub fn of(
        quality: ClockQuality,
        stratum: u8,
        reference_id: [u8; 4],
        now: Mono,
        wall: Wall,
    ) -> ClockState {
        ClockState {
            leap: Some(quality.leap),
            stratum,
            precision: power_of_two(quality.precision),
            root_delay: Nanos::ZERO,
            root_dispersion: quality.error,
            reference_id,
            reference_at: Some(wall),
            as_of: now,
        }
    }

    /// Whether it claims to be right.
    pub fn is_synchronised(&self) -> bool {
        self.leap.is_some() && (1..UNSYNCHRONISED).contains(&self.stratum)
    }

    /// Writes itself into a packet that arrived at `arrived`, as it has become by `now`. What is not synchronised claims
    /// nothing.
    pub(super) fn tell(&self, now: Mono, arrived: Wall, packet: &mut Packet) {
        let reference = self.reference_at.map(|at| Timestamp::new(at.min(arrived)));
        packet.precision = self.precision;
        packet.reference = reference.unwrap_or(Timestamp::NONE);
        let Some(leap) = self.leap.filter(|_| self.is_synchronised()) else {
            packet.leap = UNKNOWN_LEAP;
            packet.stratum = UNSYNCHRONISED;
            packet.root_dispersion = Short::at_least(UNKNOWN_DISPERSION);
            return;
        };
        packet.leap = match leap {
            Leap::None => 0,
            Leap::Insert => 1,
            Leap::Delete => 2,
        };
        packet.stratum = self.stratum;
        packet.root_delay = Short::at_least(self.root_delay);
        let grown = now.since(self.as_of).as_nanos() * TOLERANCE_PPM / 1_000_000;
        let grown = Nanos(i64::try_from(grown).unwrap_or(i64::MAX));
        packet.root_dispersion = Short::at_least(self.root_dispersion + grown);
        packet.reference_id = self.reference_id;
    }
}

impl ClockCell {
    /// A cell that holds this.
    pub fn new(state: ClockState) -> ClockCell {
        ClockCell(RwLock::new(state))
    }

    /// Holds this from now on.
    pub fn set(&self, state: ClockState) {
        // A state is copied in one piece: nobody can have left half of one.
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = state;
    }

    /// What it holds; `None` while somebody writes.
    fn read(&self) -> Option<ClockState> {
        match self.0.try_read() {
            Ok(state) => Some(*state),
            Err(TryLockError::Poisoned(state)) => Some(*state.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }
}

impl Default for ClockSource {
    fn default() -> ClockSource {
        ClockSource::Told(Arc::default())
    }
}

/// A source, and what it said last.
pub(super) struct Informed {
    source: ClockSource,
    quality: KnownQuality,
    last: ClockState,
}

impl Informed {
    pub(super) fn new(source: ClockSource) -> Informed {
        Informed {
            source,
            quality: KnownQuality::default(),
            last: ClockState::default(),
        }
    }

    /// What is known now. Of a request it takes when that arrived, by the wall clock.
    pub(super) fn state(&mut self, env: &Env<'_>, arrived: Wall) -> ClockState {
        match &self.source {
            ClockSource::Told(cell) => self.last = cell.read().unwrap_or(self.last),
            ClockSource::Kept {
                stratum,
                reference_id,
                unkept,
            } => {
                let vouched = unkept.map(|error| ClockQuality {
                    error,
                    leap: Leap::None,
                    precision: Nanos(1_000),
                });
                let quality = self.quality.at(env.now, env.clock).or(vouched);
                self.last = quality.map_or_else(ClockState::default, |quality| {
                    ClockState::of(quality, *stratum, *reference_id, env.now, arrived)
                });
            }
        }
        self.last
    }
}

/// The least power of two of seconds that is as long as a span.
fn power_of_two(span: Nanos) -> i8 {
    let nanos = span.0.max(1).unsigned_abs();
    // 2^-29 s is the first that is longer than a nanosecond.
    let is_enough = |power: &i8| (1_000_000_000 >> power.unsigned_abs()) >= nanos;
    (-29..0).find(is_enough).unwrap_or(0)
}
