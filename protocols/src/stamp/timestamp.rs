//! Time on the wire: two formats of 64 bits, and how far the clock that wrote it may be wrong.

use halloo_base::{Nanos, Wall};

const SECOND: u64 = 1_000_000_000;
/// The seconds from 1900, where NTP's era 0 begins, to 1970 (RFC 5905 section 6).
const TO_UNIX: u64 = 2_208_988_800;
const ERA: u64 = 1 << 32;

/// What the bits of a timestamp mean: the Z bit of the error estimate beside it (RFC 8186 section 2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Format {
    /// Seconds since 1900 and their fraction in units of 2^-32 s, as in NTP version 4 (RFC 5905 section 6). The default
    /// of STAMP (RFC 8762 section 4.2.1).
    #[default]
    Ntp,
    /// Seconds since 1970 and nanoseconds, as in PTP version 2, cut to 64 bits (RFC 8877 section 4.3).
    Ptp,
}

/// A timestamp as it is on the wire. Zero says that there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct Timestamp(pub u64);

/// The error estimate as it is on the wire (RFC 4656 section 4.1.2): the bit S, the bit Z, a scale of 6 bits and a
/// multiplier of 8.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ErrorEstimate(pub u16);

impl Timestamp {
    /// No time at all.
    pub const NONE: Timestamp = Timestamp(0);

    /// An instant in either format.
    ///
    /// PTP counts TAI, which is ahead of UTC by the leap seconds so far. Halloo knows no leap seconds: what it writes in
    /// that format is UTC, as a host's own wall clock is, and what it reads is taken for UTC.
    pub fn new(at: Wall, format: Format) -> Timestamp {
        let (seconds, nanos) = (at.0 / SECOND, at.0 % SECOND);
        // A shift drops what 32 bits do not hold: eras are told by who reads.
        match format {
            Format::Ntp => {
                let fraction = ((nanos << 32) + SECOND / 2) / SECOND;
                Timestamp((seconds + TO_UNIX) << 32 | fraction)
            }
            Format::Ptp => Timestamp(seconds << 32 | nanos),
        }
    }

    /// The instant, rounded to a nanosecond; `None` if there is none, or if it has more nanoseconds than a second has.
    ///
    /// NTP's seconds are those from 1970 to 2106, PTP's those from 1970 to 2106.
    pub fn wall(self, format: Format) -> Option<Wall> {
        let (high, low) = (self.0 >> 32, self.0 & (ERA - 1));
        let (seconds, nanos) = match format {
            _ if self == Timestamp::NONE => return None,
            Format::Ntp => {
                // Before 1970 there was no NTP: such seconds are of era 1.
                let seconds = high.checked_sub(TO_UNIX).unwrap_or(high + ERA - TO_UNIX);
                (seconds, (low * SECOND + ERA / 2) >> 32)
            }
            Format::Ptp => (high, Some(low).filter(|&nanos| nanos < SECOND)?),
        };
        Some(Wall(seconds * SECOND + nanos))
    }
}

impl ErrorEstimate {
    const SYNCHRONISED: u16 = 0x8000;
    const PTP: u16 = 0x4000;
    const SCALE_AT: u32 = 8;
    const WIDEST_SCALE: u16 = 0x3f;

    /// Nothing is claimed: not synchronised, and the largest error that there is. Timestamps are NTP's.
    pub const UNKNOWN: ErrorEstimate = ErrorEstimate(0x3fff);

    /// Synchronised to UTC with an error of at most so much, rounded up. No error is told as 2^-32 s, the least that
    /// can be, and neither is a negative one.
    pub fn within(error: Nanos) -> ErrorEstimate {
        let nanos = u128::from(error.0.max(0).unsigned_abs());
        // In units of 2^-32 s.
        let units = (nanos << 32).div_ceil(u128::from(SECOND)).max(1);
        let scale = (u128::BITS - units.leading_zeros()).saturating_sub(u8::BITS);
        let multiplier = units.div_ceil(1 << scale);
        // What rounds up to 256 is 128 of the next scale. The largest error of all has the scale 58.
        let (scale, multiplier) = match u8::try_from(multiplier) {
            Ok(multiplier) => (scale, multiplier),
            Err(_) => (scale + 1, 0x80),
        };
        let scale = (scale as u16) << ErrorEstimate::SCALE_AT;
        ErrorEstimate(ErrorEstimate::SYNCHRONISED | scale | u16::from(multiplier))
    }

    /// The same of timestamps in another format.
    #[must_use]
    pub fn in_format(self, format: Format) -> ErrorEstimate {
        let rest = self.0 & !ErrorEstimate::PTP;
        match format {
            Format::Ntp => ErrorEstimate(rest),
            Format::Ptp => ErrorEstimate(rest | ErrorEstimate::PTP),
        }
    }

    /// The format of the timestamps beside it (Z).
    pub fn format(self) -> Format {
        if self.0 & ErrorEstimate::PTP == 0 {
            Format::Ntp
        } else {
            Format::Ptp
        }
    }

    /// Whether the clock is said to be synchronised to UTC (S).
    pub fn is_synchronised(self) -> bool {
        self.0 & ErrorEstimate::SYNCHRONISED != 0
    }

    /// Whether it is one at all: a multiplier of 0 is not allowed, and who receives it should discard the packet.
    pub fn is_valid(self) -> bool {
        self.0 & 0xff != 0
    }

    /// How far the clock may be from UTC at most, rounded up to a nanosecond. `None` if that is not claimed to be known,
    /// or if it is more than 292 years.
    pub fn bound(self) -> Option<Nanos> {
        let multiplier = u128::from(self.0 & 0xff);
        let scale = u32::from(self.0 >> ErrorEstimate::SCALE_AT & ErrorEstimate::WIDEST_SCALE);
        let nanos = (multiplier * u128::from(SECOND)) << scale;
        let bound = i64::try_from(nanos.div_ceil(u128::from(ERA))).ok().map(Nanos);
        bound.filter(|_| self.is_synchronised() && self.is_valid())
    }
}
