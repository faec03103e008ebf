//! What a link is found to be, and why.

use halloo_base::Nanos;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What a link is good for, in one address family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Nothing passes, or so little that nobody can work.
    Down,
    /// Nothing can be said: no probes yet, none any more, or this host was too busy to tell.
    Unknown,
    /// It carries, but worse than it does as a rule.
    Degraded,
    /// It carries.
    Up,
}

/// A direction as this host sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// From this host to the anchors.
    Up,
    /// From the anchors to this host.
    Down,
    /// Both.
    Both,
    /// Nobody told: only answers can tell, and there were none.
    Unknown,
}

/// Why a link is in its state.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Reason {
    /// Unknown: not enough has been heard yet.
    NoEvidence,
    /// Unknown: no probe has left for a while, so somebody has to look at the prober.
    NoProbes,
    /// Unknown: this host stood still, and what looks like loss may be that.
    Stalled,
    /// Up: anchors answer.
    Answers,
    /// Up: a little is lost or late, and our own traffic fills the link.
    Loaded,
    /// Down, and it is here: the interface has no carrier, or was taken down.
    NoCarrier,
    /// Down, and it is here: the interface has no address of this family.
    NoAddress,
    /// Down, and it is here: the gateway does not answer ARP or neighbour discovery, nor does anything behind it.
    NoNeighbour,
    /// Down, and it is here: this host refuses to send (no route, a firewall of its own).
    Refused,
    /// Down: nothing comes back.
    Blackhole {
        /// Which way things vanish, as far as somebody told.
        direction: Direction,
    },
    /// Down or degraded: too much is lost.
    Loss {
        /// Which way more of it is lost.
        direction: Direction,
        /// The share, 0.0 to 1.0, at the anchor in the middle.
        share: f64,
    },
    /// Degraded: answers take much longer than they do as a rule, and not because of our own traffic.
    Delay {
        /// The median wire round trip now.
        #[serde(with = "crate::serial::nanos")]
        now_ns: Nanos,
        /// What it is as a rule.
        #[serde(with = "crate::serial::nanos")]
        usual_ns: Nanos,
    },
}

impl Reason {
    /// Whether the trouble is on this host, or on the wire that it is plugged into: no anchor needs to be asked.
    pub fn is_local(&self) -> bool {
        matches!(
            self,
            Reason::NoCarrier | Reason::NoAddress | Reason::NoNeighbour | Reason::Refused | Reason::Stalled
        )
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            State::Down => "down",
            State::Unknown => "unknown",
            State::Degraded => "degraded",
            State::Up => "up",
        })
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Direction::Up => "upward",
            Direction::Down => "downward",
            Direction::Both => "both ways",
            Direction::Unknown => "which way is not known",
        })
    }
}

impl fmt::Display for Reason {
    /// For people, to follow a colon: `nothing comes back (which way is not known)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::NoEvidence => f.write_str("too little was heard yet"),
            Reason::NoProbes => f.write_str("no probes leave"),
            Reason::Stalled => f.write_str("this host stood still"),
            Reason::Answers => f.write_str("anchors answer"),
            Reason::Loaded => f.write_str("anchors answer; our own traffic fills it"),
            Reason::NoCarrier => f.write_str("no carrier"),
            Reason::NoAddress => f.write_str("no address"),
            Reason::NoNeighbour => f.write_str("the gateway does not answer on the wire"),
            Reason::Refused => f.write_str("this host refuses to send"),
            Reason::Blackhole { direction } => write!(f, "nothing comes back ({direction})"),
            Reason::Loss { direction, share } => {
                write!(f, "{:.0} % lost ({direction})", share * 100.0)
            }
            Reason::Delay { now_ns, usual_ns } => {
                write!(f, "round trips of {now_ns}, {usual_ns} as a rule")
            }
        }
    }
}
