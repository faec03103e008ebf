//! What a verdict rests on.

use crate::{AnchorState, Direction, Name};
use halloo_base::{Mono, Nanos};
use serde::{Deserialize, Serialize};

/// What was known of a link and family when something was said about it. Counts are of the newest probes, 256 at most.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
pub struct Evidence {
    /// Probes answered.
    pub answered: u32,
    /// Probes missed.
    pub missed: u32,
    /// Probes missed since the last answer, over all anchors that count.
    pub missed_in_row: u32,
    /// The odds that the link is dead over that it is as ever, as a power of ten.
    pub odds: f64,
    /// The share lost as a rule, as far as it has been learnt.
    pub usual_loss: f64,
    /// The share lost of late, at the anchor in the middle.
    pub loss: f64,
    /// The part of it that was lost on the way up, where somebody told.
    pub loss_up: f64,
    /// The part of it that was lost on the way down, where somebody told.
    pub loss_down: f64,
    /// The median wire round trip at the anchor in the middle.
    #[serde(default, with = "crate::serial::maybe_nanos")]
    pub round_trip_ns: Option<Nanos>,
    /// What it is there as a rule.
    #[serde(default, with = "crate::serial::maybe_nanos")]
    pub usual_ns: Option<Nanos>,
    /// What nineteen of twenty wire round trips stay below there.
    #[serde(default, with = "crate::serial::maybe_nanos")]
    pub p95_ns: Option<Nanos>,
    /// Our own traffic fills the link.
    pub loaded: bool,
    /// When the first probe left that the present trouble, or the last, swallowed.
    #[serde(default, with = "crate::serial::maybe_mono")]
    pub trouble_ns: Option<Mono>,
    /// Which way that trouble was: known for sure only when answers have come again.
    pub trouble_direction: Option<Direction>,
    /// Anchor by anchor.
    pub anchors: Vec<AnchorEvidence>,
}

/// What was known of an anchor over a link.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AnchorEvidence {
    /// Which.
    pub anchor: Name,
    /// Whether it counts.
    pub state: AnchorState,
    /// Of the newest probes: answered.
    pub answered: u32,
    /// Of the newest probes: missed.
    pub missed: u32,
}
