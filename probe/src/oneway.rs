//! Delay in each direction without synchronised clocks.

use crate::Statistic;
use halloo_base::Nanos;

/// What can be said about the directions apart. No figure here claims that the clocks of both hosts agree.
#[derive(Clone, Debug, PartialEq)]
pub struct OneWay {
    /// From the prober to the responder (T2 - T1).
    pub forward: OneWayDelay,
    /// From the responder to the prober (T4 - T3).
    pub backward: OneWayDelay,
    /// The responder's wall clock minus ours at the last exchange, if the shortest delays of both directions are
    /// alike. The truth lies within [`OneWay::error`] of it.
    pub offset: Nanos,
    /// Half of the shortest round trip: how far `offset`, and any absolute one-way delay derived with it, may be off.
    pub error: Nanos,
    /// How fast the responder's clock gains on ours, in parts per billion.
    pub skew_ppb: i64,
    /// How often the responder's clock was stepped.
    pub remote_steps: u64,
}

/// One direction.
#[derive(Clone, Debug, PartialEq)]
pub struct OneWayDelay {
    /// Delay above the direction's own minimum, after the clocks' drift is taken out: the queueing on that way.
    /// Right to within the drift's fit; independent of the clocks' offset.
    pub queueing: Statistic,
    /// The shortest difference of the stamps of both hosts. It is a delay only if their clocks agree, and is off by
    /// whatever they differ: never show it without [`OneWay::error`] and [`OneWay::offset`].
    pub relative_min: Nanos,
}
