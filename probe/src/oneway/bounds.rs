//! Where the responder's clock can be at all.
//!
//! Each request arrived after it left, so the responder's clock is ahead by T2 - T1 at most; each answer likewise, so
//! it is ahead by T3 - T4 at least. A residence that was guessed too short makes T4 - T3 longer and the room wider,
//! never wrong. Samples of other moments bind too, since two clocks part evenly: of all straight lines only those
//! that pass below every forward and above every backward difference are possible.

use super::{FASTEST_DRIFT, Point};
use halloo_base::{Mono, Nanos};

/// The fastest drift, as nanoseconds per nanosecond.
pub(super) const STEEPEST: f64 = 1.0 / FASTEST_DRIFT as f64;

/// The responder's wall clock minus ours lies between `low` and `high` at `at`, and changes by between `slowest` and
/// `fastest` nanoseconds per nanosecond.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) at: Mono,
    pub(super) low: i64,
    pub(super) high: i64,
    pub(super) slowest: f64,
    pub(super) fastest: f64,
}

/// The samples that bind: lower corners of both directions, each above its own base.
pub(super) struct Possible<'a> {
    /// The clock is below these, counted from the forward base.
    pub(super) above: &'a [Point],
    /// The clock is above the negative of these, counted from the backward base.
    pub(super) below: &'a [Point],
    /// Both bases' sum: the round trip of the first sample.
    pub(super) room: i64,
    /// The moment that is asked for.
    pub(super) now: i64,
}

impl Possible<'_> {
    /// Nothing if the stamps contradict each other: then the drift was not even, or there was a small step.
    pub(super) fn bounds(&self, at: Mono, base: i64) -> Option<Bounds> {
        let (mut slowest, mut fastest) = (-STEEPEST, STEEPEST);
        for above in self.above {
            for below in self.below {
                // Stamps are whole nanoseconds: each end may be off by one.
                let room = self.height(above) + self.depth(below) + 2.0;
                let apart = (above.t - below.t) as f64;
                if apart > 0.0 {
                    fastest = fastest.min(room / apart);
                } else if apart < 0.0 {
                    slowest = slowest.max(room / apart);
                } else if room < 0.0 {
                    return None;
                }
            }
        }
        if slowest > fastest {
            return None;
        }
        let age = |point: &Point| (self.now - point.t) as f64;
        // The longer ago a sample was, the more a fast drift may have raised the clock since, and a slow one lowered it.
        let high = self
            .above
            .iter()
            .map(|point| self.height(point) + fastest * age(point));
        let low = self
            .below
            .iter()
            .map(|point| slowest * age(point) - self.depth(point));
        Some(Bounds {
            at,
            low: base.saturating_add(low.fold(f64::NEG_INFINITY, f64::max).floor() as i64),
            high: base.saturating_add(high.fold(f64::INFINITY, f64::min).ceil() as i64),
            slowest,
            fastest,
        })
    }

    fn height(&self, point: &Point) -> f64 {
        point.d as f64
    }

    fn depth(&self, point: &Point) -> f64 {
        point.d.saturating_add(self.room) as f64
    }
}

impl Bounds {
    /// Whether clocks that keep pace are ruled out.
    pub(super) fn prove_drift(&self) -> bool {
        self.slowest > 0.0 || self.fastest < 0.0
    }

    /// What is possible later, if the drift goes on as it was.
    pub(super) fn carried_to(&self, at: Mono) -> Bounds {
        let later = (at - self.at).0 as f64;
        Bounds {
            at,
            low: self.low.saturating_add((self.slowest * later).floor() as i64),
            high: self.high.saturating_add((self.fastest * later).ceil() as i64),
            ..*self
        }
    }

    /// The other one, if it says more and does not contradict.
    pub(super) fn or_narrower(self, other: Bounds) -> Bounds {
        let agree = self.low <= other.high && other.low <= self.high;
        if agree && other.reach() < self.reach() {
            other
        } else {
            self
        }
    }

    /// What is left where the clocks are no further apart than `claimed`; nothing if that cannot be.
    pub(super) fn within(self, claimed: Nanos) -> Option<Bounds> {
        let (low, high) = (self.low.max(claimed.0.saturating_neg()), self.high.min(claimed.0));
        (low <= high).then_some(Bounds { low, high, ..self })
    }

    pub(super) fn middle(&self) -> Nanos {
        Nanos(((i128::from(self.high) + i128::from(self.low)) / 2) as i64)
    }

    /// How far the middle may be off, with the nanosecond that stamps are rounded by.
    pub(super) fn reach(&self) -> Nanos {
        let width = (i128::from(self.high) - i128::from(self.low)).abs();
        Nanos(((width + 1) / 2 + 1) as i64)
    }
}
