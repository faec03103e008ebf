//! Three kinds of time, none of which converts into another by accident.

use std::fmt;
use std::ops::{Add, AddAssign, Neg, Sub};
use std::time::Duration;

/// A point on the monotonic clock of one host, in nanoseconds since an arbitrary origin.
///
/// Spans and deadlines are computed from these alone. Two hosts' `Mono` values cannot be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Mono(pub u64);

/// A point on the wall clock, in nanoseconds since the Unix epoch (good until the year 2554).
///
/// This is what goes on the wire. It may step; never subtract two of them to get a round trip.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Wall(pub u64);

/// A signed span of time in nanoseconds: a delay, an offset or a difference (about ±292 years).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Nanos(pub i64);

/// Who took a stamp: the nearer to the wire, the less of the host's own delay it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StampSource {
    /// This process, beside the system call.
    User,
    /// The kernel's network stack (`SO_TIMESTAMPING`, software).
    Kernel,
    /// The network interface itself.
    Hardware,
}

/// One instant, read on both clocks.
///
/// The two readings belong together, so that a step of the wall clock between two stamps shows as a change
/// of [`Stamp::wall_offset`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The instant on the monotonic clock.
    pub mono: Mono,
    /// The same instant on the wall clock.
    pub wall: Wall,
    /// Who took it.
    pub source: StampSource,
}

/// Where a machine gets a stamp that goes on the wire. It is read last, just before the bytes leave.
pub trait Clock {
    /// Now, on both clocks, with [`StampSource::User`].
    fn stamp(&self) -> Stamp;

    /// How good the wall clock is; `None` where nobody keeps it to UTC. A system call: not for every packet.
    fn quality(&self) -> Option<ClockQuality> {
        None
    }
}

/// How well a wall clock that somebody keeps agrees with UTC, as who keeps it has told the kernel (adjtimex(2), RFC 5905
/// section 11.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockQuality {
    /// How far it may be off at most.
    pub error: Nanos,
    /// What is announced for the end of this day.
    pub leap: Leap,
    /// The finest difference that a reading can show.
    pub precision: Nanos,
}

/// A leap second that is announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Leap {
    /// None.
    None,
    /// The day's last minute has 61 seconds.
    Insert,
    /// The day's last minute has 59 seconds.
    Delete,
}

/// A clock's quality, asked for now and then and remembered between: asking is a system call.
#[derive(Clone, Copy, Debug, Default)]
pub struct KnownQuality {
    known: Option<ClockQuality>,
    until: Mono,
}

impl KnownQuality {
    /// A kept clock's error grows by 500 ns in a millisecond at worst: in this time by half a millisecond, which only an
    /// answer after a long silence may find missing.
    const GOOD_FOR: Duration = Duration::from_secs(1);

    /// What was known a second ago at most.
    pub fn at(&mut self, now: Mono, clock: &dyn Clock) -> Option<ClockQuality> {
        if self.until <= now {
            self.known = clock.quality();
            self.until = now + KnownQuality::GOOD_FOR;
        }
        self.known
    }
}

impl Mono {
    /// The time since `earlier`, or zero if `earlier` is later.
    pub fn since(self, earlier: Mono) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Nanos {
    /// No time at all.
    pub const ZERO: Nanos = Nanos(0);

    /// The same span in microseconds, for people to read.
    pub fn as_micros_f64(self) -> f64 {
        self.0 as f64 / 1e3
    }

    /// The magnitude of the span.
    pub fn abs(self) -> Nanos {
        Nanos(self.0.saturating_abs())
    }
}

impl StampSource {
    /// The word used in every output: `user`, `kernel` or `hardware`.
    pub fn name(self) -> &'static str {
        match self {
            StampSource::User => "user",
            StampSource::Kernel => "kernel",
            StampSource::Hardware => "hardware",
        }
    }
}

impl Stamp {
    /// Wall minus monotonic reading: constant while the wall clock runs evenly, jumps when it is stepped.
    pub fn wall_offset(&self) -> Nanos {
        Nanos((self.wall.0 as i64).wrapping_sub(self.mono.0 as i64))
    }
}

fn saturating_nanos(d: Duration) -> u64 {
    u64::try_from(d.as_nanos()).unwrap_or(u64::MAX)
}

impl Add<Duration> for Mono {
    type Output = Mono;
    fn add(self, d: Duration) -> Mono {
        Mono(self.0.saturating_add(saturating_nanos(d)))
    }
}

impl AddAssign<Duration> for Mono {
    fn add_assign(&mut self, d: Duration) {
        *self = *self + d;
    }
}

impl Sub<Duration> for Mono {
    type Output = Mono;
    fn sub(self, d: Duration) -> Mono {
        Mono(self.0.saturating_sub(saturating_nanos(d)))
    }
}

impl Sub for Mono {
    type Output = Nanos;
    fn sub(self, other: Mono) -> Nanos {
        Nanos((self.0 as i64).wrapping_sub(other.0 as i64))
    }
}

impl Sub for Wall {
    type Output = Nanos;
    fn sub(self, other: Wall) -> Nanos {
        Nanos((self.0 as i64).wrapping_sub(other.0 as i64))
    }
}

impl Add<Nanos> for Wall {
    type Output = Wall;
    fn add(self, d: Nanos) -> Wall {
        Wall(self.0.saturating_add_signed(d.0))
    }
}

impl Add<Nanos> for Mono {
    type Output = Mono;
    fn add(self, d: Nanos) -> Mono {
        Mono(self.0.saturating_add_signed(d.0))
    }
}

impl Add for Nanos {
    type Output = Nanos;
    fn add(self, other: Nanos) -> Nanos {
        Nanos(self.0.saturating_add(other.0))
    }
}

impl Sub for Nanos {
    type Output = Nanos;
    fn sub(self, other: Nanos) -> Nanos {
        Nanos(self.0.saturating_sub(other.0))
    }
}

impl Neg for Nanos {
    type Output = Nanos;
    fn neg(self) -> Nanos {
        Nanos(self.0.saturating_neg())
    }
}

impl From<Duration> for Nanos {
    fn from(d: Duration) -> Nanos {
        Nanos(i64::try_from(d.as_nanos()).unwrap_or(i64::MAX))
    }
}

impl fmt::Display for Nanos {
    /// Prints the span in the unit that reads best: `812 ns`, `17.4 us`, `3.21 ms`, `1.500 s`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let magnitude = self.0.unsigned_abs();
        let value = self.0 as f64;
        match magnitude {
            0..=999 => write!(f, "{} ns", self.0),
            1_000..=999_999 => write!(f, "{:.*} us", digits(magnitude / 1_000), value / 1e3),
            1_000_000..=999_999_999 => write!(f, "{:.*} ms", digits(magnitude / 1_000_000), value / 1e6),
            _ => write!(f, "{:.3} s", value / 1e9),
        }
    }
}

/// Digits after the point, so that three significant ones are shown.
fn digits(whole: u64) -> usize {
    match whole {
        0..=9 => 2,
        10..=99 => 1,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_keep_their_sign_and_points_saturate() {
        assert_eq!(Mono(5) - Mono(8), Nanos(-3));
        assert_eq!(Mono(5).since(Mono(8)), Duration::ZERO);
        assert_eq!(Mono(5) - Duration::from_nanos(9), Mono(0));
        assert_eq!(Wall(5) + Nanos(-9), Wall(0));
        assert_eq!(Mono(u64::MAX) + Duration::from_secs(1), Mono(u64::MAX));
    }

    #[test]
    fn a_step_of_the_wall_clock_shows_in_the_offset() {
        let before = Stamp {
            mono: Mono(100),
            wall: Wall(1_000),
            source: StampSource::User,
        };
        let after = Stamp {
            mono: Mono(150),
            wall: Wall(5_050),
            source: StampSource::User,
        };
        assert_eq!(after.wall_offset() - before.wall_offset(), Nanos(4_000));
    }

    #[test]
    fn people_read_three_digits() {
        let table = [
            (0, "0 ns"),
            (-812, "-812 ns"),
            (1_234, "1.23 us"),
            (17_449, "17.4 us"),
            (250_400, "250 us"),
            (3_210_000, "3.21 ms"),
            (1_500_000_000, "1.500 s"),
        ];
        for (nanos, text) in table {
            assert_eq!(Nanos(nanos).to_string(), text);
        }
    }
}
