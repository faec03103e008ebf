//! NTP's formats of time (RFC 5905 section 6).

use halloo_base::{Nanos, Wall};

const SECOND: u64 = 1_000_000_000;
/// The seconds from 1900, where era 0 begins, to 1970 (RFC 5905 figure 4).
const TO_UNIX: u64 = 2_208_988_800;

/// A timestamp: seconds of an era that is not told, in 32 bits, and their fraction in units of 2^-32 s. Zero says that
/// there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct Timestamp(pub u64);

/// A short span: seconds and their fraction in 16 bits each, up to 18 hours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Short(pub u32);

impl Timestamp {
    /// No time at all.
    pub const NONE: Timestamp = Timestamp(0);

    /// An instant, whose era the reader is left to guess.
    pub fn new(at: Wall) -> Timestamp {
        let (seconds, nanos) = (at.0 / SECOND, at.0 % SECOND);
        // The shift drops what 32 bits do not hold: the era.
        let fraction = (nanos << 32) / SECOND;
        Timestamp((seconds + TO_UNIX) << 32 | fraction)
    }

    /// The instant, rounded to a nanosecond, within 68 years of `pivot`: eras are 136 years long, and which of them is
    /// meant is told by what time it is about (RFC 5905 section 6). `None` if there is no time, or one before 1970 or
    /// after 2554.
    pub fn wall_near(self, pivot: Wall) -> Option<Wall> {
        if self == Timestamp::NONE {
            return None;
        }
        let about = pivot.0 / SECOND + TO_UNIX;
        // Twos-complement subtraction of 32 bits tells the nearest.
        let ahead = ((self.0 >> 32) as u32).wrapping_sub(about as u32) as i32;
        let seconds = about.checked_add_signed(i64::from(ahead))?.checked_sub(TO_UNIX)?;
        let fraction = self.0 & u64::from(u32::MAX);
        let nanos = (fraction * SECOND + (1 << 31)) >> 32;
        seconds.checked_mul(SECOND)?.checked_add(nanos).map(Wall)
    }

    /// How long after `earlier` this is, rounded to a nanosecond: below zero if it is before, within 68 years either way.
    pub fn since(self, earlier: Timestamp) -> Nanos {
        let units = self.0.wrapping_sub(earlier.0) as i64;
        let nanos = (i128::from(units) * i128::from(SECOND) + (1 << 31)) >> 32;
        // 68 years of nanoseconds fit.
        Nanos(nanos as i64)
    }
}

impl Short {
    /// A span, rounded up, since it is an error or a part of one: none where it is negative, and the longest where it
    /// is longer.
    pub fn at_least(span: Nanos) -> Short {
        let nanos = u128::from(span.0.max(0).unsigned_abs());
        let units = (nanos << 16).div_ceil(u128::from(SECOND));
        Short(u32::try_from(units).unwrap_or(u32::MAX))
    }

    /// The span, rounded up to a nanosecond.
    pub fn nanos(self) -> Nanos {
        let nanos = (u64::from(self.0) * SECOND).div_ceil(1 << 16);
        // 18 hours of nanoseconds fit.
        Nanos(nanos as i64)
    }
}
