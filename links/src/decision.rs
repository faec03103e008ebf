//! What is decided, and why.

use crate::{Evidence, Family, Name, Reason, State};
use halloo_base::Mono;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Which links are to carry the traffic of a family from now on.
///
/// Make before break: install [`carry`](Decision::carry), see that the kernel routes by it, and only then do with flows
/// what [`flows`](Decision::flows) says. Who cannot install it tells the decider what carries instead
/// ([`Decider::adopt`](crate::Decider::adopt)).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// When.
    #[serde(rename = "mono_ns", with = "crate::serial::mono")]
    pub at: Mono,
    /// For which family.
    pub family: Family,
    /// Who is to carry. Never empty.
    pub carry: Vec<Share>,
    /// Who carried. Empty: nobody that we know of.
    pub was: Vec<Name>,
    /// What is to happen to flows that are there.
    pub flows: Flows,
    /// Why.
    #[serde(flatten)]
    pub because: Because,
    /// What every link looked like.
    pub evidence: Vec<Candidate>,
}

/// A link and its part of the traffic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// Which link.
    pub link: Name,
    /// Its part, in relation to the others'.
    pub weight: u32,
}

/// What is to happen to flows that are there when the new route is confirmed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "flows", rename_all = "snake_case")]
pub enum Flows {
    /// They stay where they are; new ones take the new way.
    Stay,
    /// Those of these links move: they are forgotten by connection tracking, and local sockets on them are closed.
    Leave {
        /// Whose.
        links: Vec<Name>,
    },
}

/// Why something was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "because", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Because {
    /// Nothing carried yet.
    First,
    /// What carried is down.
    Down,
    /// What carried is degraded, and another is better by more than the margin.
    Degraded,
    /// A link that is preferred for its cost is up again, for long enough.
    Preferred,
    /// Another link of the same cost has been better by more than the margin for long.
    Better,
    /// The links that share the traffic are others now.
    Sharing,
    /// A link that traffic returned to has held what it promised: old flows follow.
    Proven,
}

/// A link as it looked when something was decided.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// Which.
    pub link: Name,
    /// What it is.
    pub state: State,
    /// Why.
    #[serde(flatten)]
    pub reason: Reason,
    /// How good it is, 0.0 to 1.0; see [`score`](crate::score).
    pub score: f64,
    /// Until when it is held down.
    #[serde(default, with = "crate::serial::maybe_mono")]
    pub held_until_ns: Option<Mono>,
    /// What that rests on.
    pub evidence: Evidence,
}

/// Nothing was moved, although there was a reason to; told whenever the answer to "why not?" changes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Held {
    /// When.
    #[serde(rename = "mono_ns", with = "crate::serial::mono")]
    pub at: Mono,
    /// In which family.
    pub family: Family,
    /// Who carries.
    pub carry: Vec<Name>,
    /// Why not.
    #[serde(flatten)]
    pub why: WhyNot,
}

/// Why nothing was moved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "why_not", rename_all = "snake_case")]
#[non_exhaustive]
pub enum WhyNot {
    /// All is well.
    Content,
    /// Every other link is no better.
    NowhereBetter,
    /// The only ones that could carry have not answered since the trouble began: perhaps it is the anchors.
    NotProven {
        /// The best of them.
        link: Name,
    },
    /// The one to go to has failed too lately.
    HoldDown {
        /// Which.
        link: Name,
        /// Until when.
        #[serde(with = "crate::serial::mono")]
        until_ns: Mono,
    },
    /// The best other one is not better by the margin.
    Margin {
        /// Which.
        link: Name,
    },
    /// It is better, but not for long enough yet.
    NotYet {
        /// Which.
        link: Name,
    },
    /// What carries was dead, and answers again.
    Reviving,
    /// Nothing is known of the link that carries.
    Unknown,
}

impl fmt::Display for Because {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Because::First => "nothing carried yet",
            Because::Down => "what carried was down",
            Because::Degraded => "what carried was degraded, and the other better by more than the margin",
            Because::Preferred => "it costs less and had been up for long enough",
            Because::Better => "it costs the same and had been better by more than the margin for long",
            Because::Sharing => "the links that share the traffic are others",
            Because::Proven => "it has held what it promised, so old flows follow",
        })
    }
}
