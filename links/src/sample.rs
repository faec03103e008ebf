//! What the judge is told: what became of probes, and what the host knows of its links.

use crate::{Direction, Family, Name};
use halloo_base::{Mono, Nanos};
use halloo_probe::{Event, Verdict};
use serde::{Deserialize, Serialize};

/// News of one probe.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// When this is told: never before what was told already.
    #[serde(rename = "mono_ns", with = "crate::serial::mono")]
    pub at: Mono,
    /// The link that the probe was bound to.
    pub link: Name,
    /// The family that it was sent over.
    pub family: Family,
    /// Whom it asked.
    pub anchor: Name,
    /// Its number within its session.
    pub seq: u64,
    /// What is told.
    #[serde(flatten)]
    pub news: News,
}

/// What became of a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "news", rename_all = "snake_case")]
#[non_exhaustive]
pub enum News {
    /// It left.
    Sent {
        /// How late, by this host's fault.
        #[serde(with = "crate::serial::nanos")]
        late_ns: Nanos,
    },
    /// It was answered, in time or later.
    Answered {
        /// Host round trip: as this process saw it.
        #[serde(with = "crate::serial::nanos")]
        host_ns: Nanos,
        /// Wire round trip, where the kernel's stamps tell.
        #[serde(default, with = "crate::serial::maybe_nanos")]
        wire_ns: Option<Nanos>,
    },
    /// The prober has given it up, or the network says that it does not get through.
    Lost {
        /// Which way, if that is known.
        direction: Direction,
    },
    /// A later answer tells which way it was lost.
    Directed {
        /// Which way.
        direction: Direction,
    },
    /// This host would not send it.
    Refused,
    /// Something came from the anchor that this probe had asked for long before (a pingback): the way down works.
    Heard,
}

/// News of a link that need no probe.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkEvent {
    /// When this is told: never before what was told already.
    #[serde(rename = "mono_ns", with = "crate::serial::mono")]
    pub at: Mono,
    /// Which link.
    pub link: Name,
    /// What is known.
    #[serde(flatten)]
    pub fact: Fact,
}

/// What a host knows of its links. Until something else is said there is carrier, an address and a neighbour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "fact", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Fact {
    /// The interface came up or went down.
    Carrier {
        /// Up.
        up: bool,
    },
    /// It has an address of this family, or none.
    Address {
        /// Which family.
        family: Family,
        /// It has one.
        present: bool,
    },
    /// The gateway answers on the wire (ARP, RFC 826; neighbour discovery, RFC 4861), or has failed to.
    Neighbour {
        /// Which family.
        family: Family,
        /// It answers.
        reachable: bool,
    },
    /// The interface's own counters, to be told as often as probes leave: an upload can fill a buffer of half a second in
    /// a tenth of that.
    Traffic {
        /// Bytes sent since whenever.
        tx_bytes: u64,
        /// Bytes received since whenever.
        rx_bytes: u64,
    },
}

impl News {
    /// What a session of halloo's own tells about a probe, and its number. The session is to be
    /// [`watched`](halloo_probe::SessionOptions::watched). `None`: nothing that a judge asks for.
    pub fn of(event: &Event) -> Option<(u64, News)> {
        match event {
            Event::Sent { seq, slot_error, .. } => Some((seq.0, News::Sent { late_ns: *slot_error })),
            Event::Directed { seq, direction, .. } => Some((
                seq.0,
                News::Directed {
                    direction: (*direction).into(),
                },
            )),
            Event::Unreachable {
                seq: Some(seq),
                reporter: None,
                ..
            } => Some((seq.0, News::Refused)),
            Event::Exchange(exchange) => {
                let news = match exchange.verdict {
                    Verdict::Answered | Verdict::Late => News::Answered {
                        host_ns: exchange.host?,
                        wire_ns: exchange.wire,
                    },
                    Verdict::Lost { direction, .. } => News::Lost {
                        direction: direction.into(),
                    },
                    Verdict::Unsent => News::Refused,
                    Verdict::InFlight | Verdict::Duplicate => return None,
                };
                Some((exchange.seq.0, news))
            }
            _ => None,
        }
    }
}

impl From<halloo_probe::Direction> for Direction {
    fn from(direction: halloo_probe::Direction) -> Direction {
        match direction {
            halloo_probe::Direction::Forward => Direction::Up,
            halloo_probe::Direction::Backward => Direction::Down,
            halloo_probe::Direction::Unknown => Direction::Unknown,
        }
    }
}
