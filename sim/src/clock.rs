//! The clocks of one host: where they start, how they run, what reading them costs.

use halloo_base::{Clock, Mono, Nanos, Stamp, StampSource, Wall};
use std::cell::Cell;

/// The wall clock of a host without offset when the world begins: 2025-06-01 00:00:00 UTC.
pub(crate) const EPOCH: u64 = 1_748_736_000_000_000_000;

/// Both clocks of a host as functions of true time, re-anchored whenever their rate or reading is changed.
#[derive(Clone, Debug)]
pub(crate) struct HostClock {
    at: u64,
    mono: u64,
    wall: u64,
    /// How much too fast the clocks run, in parts per billion.
    ppb: i64,
}

impl HostClock {
    pub(crate) fn new(at: u64, mono: u64) -> HostClock {
        HostClock {
            at,
            mono,
            wall: EPOCH + at,
            ppb: 0,
        }
    }

    pub(crate) fn mono(&self, at: u64) -> Mono {
        Mono(self.mono + self.elapsed(at))
    }

    pub(crate) fn stamp(&self, at: u64, source: StampSource) -> Stamp {
        Stamp {
            mono: self.mono(at),
            wall: Wall(self.wall + self.elapsed(at)),
            source,
        }
    }

    /// The first true instant at which the monotonic clock shows `mono` or more.
    pub(crate) fn when(&self, mono: Mono) -> u64 {
        let ahead = mono.0.saturating_sub(self.mono);
        let rate = (1_000_000_000 + i128::from(self.ppb)).max(1);
        let guess = i128::from(ahead) * 1_000_000_000 / rate;
        let guess = u64::try_from(guess).unwrap_or(u64::MAX);
        let mut at = self.at.saturating_add(guess).saturating_sub(2).max(self.at);
        // Rounding leaves the guess within two nanoseconds of the answer.
        while at < u64::MAX && self.elapsed(at) < ahead {
            at += 1;
        }
        at
    }

    pub(crate) fn step_wall(&mut self, at: u64, by: Nanos) {
        self.anchor(at);
        self.wall = self.wall.saturating_add_signed(by.0);
    }

    pub(crate) fn set_drift(&mut self, at: u64, ppm: f64) {
        self.anchor(at);
        self.ppb = (ppm * 1e3) as i64;
    }

    fn anchor(&mut self, at: u64) {
        let elapsed = self.elapsed(at);
        self.mono += elapsed;
        self.wall += elapsed;
        self.at = at;
    }

    fn elapsed(&self, at: u64) -> u64 {
        let passed = at.saturating_sub(self.at);
        let drift = i128::from(passed) * i128::from(self.ppb) / 1_000_000_000;
        u64::try_from(i128::from(passed) + drift).unwrap_or(u64::MAX)
    }
}

/// A host's present while a machine runs on it. Each reading moves it on, so that a stamp taken too early
/// differs from one taken last.
pub(crate) struct Present<'a> {
    pub(crate) clock: &'a HostClock,
    pub(crate) at: Cell<u64>,
    pub(crate) reading: u64,
}

impl Clock for Present<'_> {
    fn stamp(&self) -> Stamp {
        self.at.set(self.at.get() + self.reading);
        self.clock.stamp(self.at.get(), StampSource::User)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drifting_clock_tells_when_it_will_show_a_reading() {
        for ppm in [-200.0, -0.5, 0.0, 0.5, 37.0, 500.0] {
            let mut clock = HostClock::new(1_000, 77);
            clock.set_drift(5_000, ppm);
            for mono in [78, 10_000, 1_000_000_007, 3_600_000_000_000] {
                let at = clock.when(Mono(mono));
                assert!(clock.mono(at) >= Mono(mono), "{ppm} ppm, {mono}");
                let before = at.checked_sub(1).filter(|&at| at >= 5_000);
                assert!(
                    before.is_none_or(|at| clock.mono(at) < Mono(mono)),
                    "{ppm} ppm, {mono}"
                );
            }
        }
    }

    #[test]
    fn drift_gains_what_it_says_and_a_step_moves_only_the_wall_clock() {
        let mut clock = HostClock::new(0, 0);
        clock.set_drift(0, 10.0);
        assert_eq!(clock.mono(1_000_000_000), Mono(1_000_010_000));
        let before = clock.stamp(1_000_000_000, StampSource::User);
        clock.step_wall(1_000_000_000, Nanos(-500));
        let after = clock.stamp(1_000_000_000, StampSource::User);
        assert_eq!(after.mono, before.mono);
        assert_eq!(after.wall - before.wall, Nanos(-500));
    }

    #[test]
    fn each_reading_costs_time() {
        let clock = HostClock::new(0, 0);
        let present = Present {
            clock: &clock,
            at: Cell::new(100),
            reading: 25,
        };
        assert_eq!(present.stamp().mono, Mono(125));
        assert_eq!(present.stamp().mono, Mono(150));
    }
}
