//! When probes are to leave.

use crate::{Ended, SessionOptions};
use halloo_base::Mono;
use std::time::Duration;

/// The slots of a session.
///
/// Slot `k` is at `t0 + k * interval`: an open loop that neither a late answer nor a late wake-up shifts. A host
/// that wakes late sends the oldest slot that is due, at once, so that its intended round trip holds the whole
/// stall; the slots that came due behind it are counted as missed and are not made up for by a burst (neither does
/// iputils). Missed slots use up neither the count nor a probe's number.
///
/// Without an interval it is a closed loop: a slot is due whenever fewer probes are in flight than may be.
#[derive(Debug)]
pub(crate) struct Schedule {
    t0: Option<Mono>,
    interval: u64,
    outstanding: u64,
    count: u64,
    taken: u64,
    next: u64,
    missed: u64,
    /// No further slot is taken, however many were asked for.
    closed: bool,
}

/// From this interval upwards the timer's own precision is good enough.
const EXACT_UP_TO: Duration = Duration::from_millis(10);

impl Schedule {
    pub(crate) fn new(options: &SessionOptions) -> Schedule {
        Schedule {
            t0: None,
            interval: u64::try_from(options.interval.as_nanos()).unwrap_or(u64::MAX),
            outstanding: u64::from(options.outstanding),
            count: options.count,
            taken: 0,
            next: 0,
            missed: 0,
            closed: false,
        }
    }

    /// Ends it before its time.
    pub(crate) fn close(&mut self) {
        self.closed = true;
    }

    /// Why it is over, once it is.
    pub(crate) fn ended(&self) -> Ended {
        if self.closed {
            Ended::Stopped
        } else {
            Ended::Complete
        }
    }

    /// Sets the first slot, or brings it forward. Not to an instant before slots that were taken.
    pub(crate) fn begin(&mut self, t0: Mono) {
        self.t0 = Some(self.t0.map_or(t0, |set| set.min(t0)));
    }

    /// Takes the slot that is due, if one is.
    pub(crate) fn take(&mut self, now: Mono, in_flight: u64) -> Option<Mono> {
        let at = self.next(in_flight).filter(|&at| at <= now)?;
        self.taken += 1;
        if self.interval == 0 {
            return Some(now);
        }
        let newest = (now.0 - self.t0?.0) / self.interval;
        if !self.is_exhausted() {
            self.missed += newest - self.next;
        }
        self.next = newest + 1;
        Some(at)
    }

    /// When the next slot is; `None` if there is none or it waits for an answer.
    pub(crate) fn next(&self, in_flight: u64) -> Option<Mono> {
        let t0 = self.t0.filter(|_| !self.is_exhausted())?;
        match self.interval {
            0 => (in_flight < self.outstanding).then_some(t0),
            interval => Some(Mono(t0.0.saturating_add(self.next.saturating_mul(interval)))),
        }
    }

    /// Whether no further slot will be taken: all probes that were asked for have been, or it was closed.
    pub(crate) fn is_exhausted(&self) -> bool {
        self.closed || self.count != 0 && self.taken >= self.count
    }

    /// Whether the driver should spin to the slot.
    pub(crate) fn is_exact(&self) -> bool {
        self.interval != 0 && u128::from(self.interval) <= EXACT_UP_TO.as_nanos()
    }

    /// Slots that passed without a probe.
    pub(crate) fn missed(&self) -> u64 {
        self.missed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(interval: u64, count: u64) -> Schedule {
        let mut schedule = Schedule {
            t0: None,
            interval,
            outstanding: 3,
            count,
            taken: 0,
            next: 0,
            missed: 0,
            closed: false,
        };
        schedule.begin(Mono(1_000));
        schedule
    }

    #[test]
    fn slots_are_absolute_however_late_the_wake_ups_are() {
        let mut schedule = schedule(100, 0);
        let wakes = [1_000, 1_130, 1_299, 1_300];
        let slots: Vec<_> = wakes.iter().map(|&now| schedule.take(Mono(now), 0)).collect();
        assert_eq!(
            slots,
            [
                Some(Mono(1_000)),
                Some(Mono(1_100)),
                Some(Mono(1_200)),
                Some(Mono(1_300))
            ]
        );
        assert_eq!(schedule.missed(), 0);
    }

    #[test]
    fn nothing_is_due_before_its_slot() {
        let mut schedule = schedule(100, 0);
        schedule.take(Mono(1_000), 0);
        assert_eq!(schedule.take(Mono(1_099), 0), None);
        assert_eq!(
            schedule.next(9),
            Some(Mono(1_100)),
            "what is in flight does not matter"
        );
    }

    #[test]
    fn a_stall_is_one_late_probe_and_a_count_of_what_was_missed() {
        let mut schedule = schedule(100, 0);
        schedule.take(Mono(1_000), 0);
        assert_eq!(schedule.take(Mono(1_450), 0), Some(Mono(1_100)));
        assert_eq!(schedule.take(Mono(1_450), 0), None, "no burst");
        assert_eq!(schedule.missed(), 3, "1200, 1300 and 1400");
        assert_eq!(schedule.next(0), Some(Mono(1_500)));
    }

    #[test]
    fn missed_slots_do_not_use_up_the_count_and_none_is_missed_after_the_last() {
        let mut schedule = schedule(100, 2);
        schedule.take(Mono(1_000), 0);
        assert_eq!(schedule.take(Mono(1_900), 0), Some(Mono(1_100)));
        assert!(schedule.is_exhausted());
        assert_eq!((schedule.missed(), schedule.next(0)), (0, None));
    }

    #[test]
    fn a_flood_keeps_its_window_full_and_no_fuller() {
        let mut schedule = schedule(0, 0);
        assert_eq!(schedule.take(Mono(1_005), 2), Some(Mono(1_005)));
        assert_eq!(schedule.take(Mono(1_005), 3), None);
        assert!(!schedule.is_exact());
    }

    #[test]
    fn a_closed_schedule_has_no_further_slot() {
        for interval in [0, 100] {
            let mut schedule = schedule(interval, 0);
            assert!(schedule.take(Mono(1_000), 0).is_some());
            schedule.close();
            assert_eq!((schedule.take(Mono(9_000), 0), schedule.next(0)), (None, None));
            assert!(schedule.is_exhausted());
        }
    }

    #[test]
    fn only_short_intervals_are_worth_spinning_for() {
        assert!(schedule(10_000_000, 0).is_exact());
        assert!(!schedule(10_000_001, 0).is_exact());
    }
}
