//! What a peer is told with each call, and what it says.

use super::entropy::Entropy;
use super::local::Local;
use super::numbers::Numbers;
use super::request::Refusal;
use halloo_base::{Mono, Wall};

/// What a peer is told with each call.
pub struct Context<'a> {
    /// Now, for spans and deadlines.
    pub now: Mono,
    /// Now, for what goes on the wire and for certificates.
    pub wall: Wall,
    /// Where secrets come from.
    pub entropy: &'a mut dyn Entropy,
    /// All sessions' numbers.
    pub numbers: &'a mut Numbers,
    /// This end.
    pub local: &'a Local,
}

/// What has become of a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// There is a session to send by: the first, or one that follows another.
    Up {
        /// Whether another was there just before.
        follows: bool,
    },
    /// The other end refuses.
    Refused(Refusal),
    /// This end refuses.
    Refuses(Refusal),
    /// Nobody answers.
    GaveUp,
    /// The last session is over.
    Down,
}

/// What a call asks for: a datagram was appended, something has happened, both or neither.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// Whether the bytes that were appended are to be sent to the peer.
    pub send: bool,
    /// What has happened.
    pub event: Option<Event>,
    /// Whether an initiation was taken: it is new, and there is a session of it, which its maker has not shown yet. What
    /// else an initiation says is not to be believed: it may be an old one.
    pub begun: bool,
}

impl Step {
    pub(super) fn send(event: Option<Event>) -> Step {
        Step {
            send: true,
            event,
            begun: false,
        }
    }

    pub(super) fn event(event: Event) -> Step {
        Step {
            send: false,
            event: Some(event),
            begun: false,
        }
    }
}
