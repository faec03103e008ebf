//! Steps of this host's wall clock.

use halloo_base::{Mono, Nanos, Stamp};

/// Watches the distance between the wall clock and the monotonic clock.
///
/// A clock that is being disciplined drifts against the monotonic one by at most 500 ppm (adjtimex(2)), so the
/// distance may change by that much of the time between two looks; what goes beyond by more than 50 µs is a step.
/// Only stamps that this process took are looked at: there, both clocks were read side by side.
#[derive(Debug, Default)]
pub(crate) struct Steps {
    last: Option<(Mono, Nanos)>,
    count: u64,
    total: Nanos,
}

/// What reading two clocks one after the other, or an interruption between, may look like.
pub(crate) const TOLERANCE: Nanos = Nanos(50_000);

/// The fastest that a disciplined clock is slewed: one part in so many.
pub(crate) const SLEW: i64 = 2_000;

impl Steps {
    /// Looks at a stamp; tells the size of the step if there was one since the last look.
    pub(crate) fn observe(&mut self, stamp: &Stamp) -> Option<Nanos> {
        let offset = stamp.wall_offset();
        let (at, before) = self.last.replace((stamp.mono, offset))?;
        let change = offset - before;
        let slew = Nanos((stamp.mono - at).abs().0 / SLEW);
        if change.abs() <= TOLERANCE + slew {
            return None;
        }
        self.count += 1;
        self.total = self.total + change;
        Some(change)
    }

    /// How many steps there were.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// Their signed sum.
    pub(crate) fn total(&self) -> Nanos {
        self.total
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use halloo_base::{StampSource, Wall};

    fn at(mono: u64, offset: i64) -> Stamp {
        let wall = Wall(mono.wrapping_add_signed(1_700_000_000_000_000_000 + offset));
        Stamp {
            mono: Mono(mono),
            wall,
            source: StampSource::User,
        }
    }

    #[test]
    fn a_step_is_seen_once_with_its_sign() {
        let mut steps = Steps::default();
        assert_eq!(steps.observe(&at(1_000, 0)), None);
        assert_eq!(steps.observe(&at(2_000, -60_000)), Some(Nanos(-60_000)));
        assert_eq!(steps.observe(&at(3_000, -60_000)), None);
        assert_eq!(
            steps.observe(&at(4_000, 3_000_000_000)),
            Some(Nanos(3_000_060_000))
        );
        assert_eq!((steps.count(), steps.total()), (2, Nanos(3_000_000_000)));
    }

    #[test]
    fn a_clock_slewed_at_full_rate_has_not_stepped() {
        let mut steps = Steps::default();
        for k in 0..1_000u64 {
            let mono = k * 1_000_000_000;
            assert_eq!(steps.observe(&at(mono, (mono / 2_000) as i64)), None);
        }
    }

    #[test]
    fn two_readings_apart_by_an_interruption_are_no_step() {
        let mut steps = Steps::default();
        steps.observe(&at(0, 0));
        assert_eq!(steps.observe(&at(10, 50_000)), None);
        assert_eq!(steps.observe(&at(20, 0)), None);
    }
}
