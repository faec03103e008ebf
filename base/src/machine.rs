//! The one shape that every stateful part has, and the one way it is driven.

use crate::{
    Clock, ConnId, Datagram, Frame, LinkId, Mono, Outbox, Path, Rng, SocketId, SocketInput, Stamp,
    StreamInput, TxTag,
};
use std::fmt;

/// A part of halloo that keeps state: it is told things, and asks for things through its outbox.
///
/// One call of `handle` is one input. The driver may hand over several inputs that arrived together before
/// it drains the outbox, but it drains before it sleeps. A machine is owned by one thread at a time.
pub trait Machine: Send {
    /// Takes one input; all that follows from it is in `cx.out` when this returns.
    fn handle(&mut self, cx: &mut Cx<'_>, input: Input<'_>);

    /// When this machine wants [`Input::Wake`] next. Asked again after every `handle`.
    fn deadline(&self) -> Option<Deadline>;

    /// Whether it has come to its own end. A driver returns when all its machines have.
    fn finished(&self) -> bool {
        false
    }
}

/// Something that a machine is told.
#[non_exhaustive]
#[derive(Debug)]
pub enum Input<'a> {
    /// The deadline has come (or the driver just started).
    Wake,
    /// A datagram was received.
    Datagram(Datagram<'a>),
    /// A frame was received.
    Frame(Frame<'a>),
    /// Something happened on a stream.
    Stream(ConnId, StreamInput<'a>),
    /// What became of the wish for a socket ([`Outbox::open`]).
    Socket(SocketId, SocketInput),
    /// What was sent with this tag left the host at this instant.
    Departed(TxTag, Stamp),
    /// The network or this host says that a path does not work. The bytes are what the report quotes of the failed
    /// datagram's payload: its beginning, or nothing where the reporter kept none (RFC 792, RFC 4443 section 3).
    Unreachable(Unreachable, &'a [u8]),
    /// A link came up (`true`) or went down (`false`).
    LinkChanged(LinkId, bool),
    /// A person or a supervisor wants a report now; the machine gives it to whoever it reports to.
    Report,
    /// Begin nothing new, and come to an end when what is under way has.
    Drain,
    /// The end: begin nothing new, report, and be finished. Nothing is handled after it.
    Stop,
}

/// A report that something did not, or will not, get through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreachable {
    /// The path that the failed datagram was to take.
    pub path: Path,
    /// What was sent, where this host refused to send it.
    pub tag: Option<TxTag>,
    /// Who said so: an ICMP sender, or nobody where this host refused to send.
    pub reporter: Option<std::net::IpAddr>,
    /// The reason in the words of the operating system, such as `Connection refused`.
    pub error: UnreachableError,
    /// Where it was too big for a link on the way: the longest IP packet that the reporter says would fit, in bytes (RFC 1191,
    /// RFC 8201). Anyone may say so.
    pub mtu: Option<u32>,
}

/// The operating system's error number for a failed path.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct UnreachableError(pub i32);

/// What surrounds a call: the time, a clock for wire stamps, and randomness.
pub struct Env<'a> {
    /// When the input is handled. The same for all inputs that were received together.
    pub now: Mono,
    /// For stamps that go on the wire, read last; and for a prober's own T1 and T4, which `now` is too coarse for.
    pub clock: &'a dyn Clock,
    /// Seeded by the driver; not for secrets.
    pub rng: &'a mut Rng,
}

/// The surroundings of one `handle`, with the outbox to write to.
pub struct Cx<'a> {
    /// Time and randomness; what a responder gets to see.
    pub env: Env<'a>,
    /// What the machine wants done.
    pub out: &'a mut Outbox,
}

impl Cx<'_> {
    /// The same surroundings with another outbox, for a machine that stands around another one.
    pub fn with<'b>(&'b mut self, out: &'b mut Outbox) -> Cx<'b> {
        Cx {
            env: Env {
                now: self.env.now,
                clock: self.env.clock,
                rng: &mut *self.env.rng,
            },
            out,
        }
    }

    /// When the input is handled.
    pub fn now(&self) -> Mono {
        self.env.now
    }
}

/// When a machine wants to be woken, and why: a loop that never sleeps names its cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline {
    /// The instant.
    pub at: Mono,
    /// What it is for, in a word or two.
    pub why: &'static str,
    /// Whether the driver should spin through the last microseconds instead of trusting the timer.
    pub exact: bool,
}

impl Deadline {
    /// A deadline that the timer's own precision (tens of microseconds) is good enough for.
    pub fn new(at: Mono, why: &'static str) -> Deadline {
        Deadline {
            at,
            why,
            exact: false,
        }
    }

    /// The earlier of two, either of which may be missing. At the same instant the exact one wins.
    pub fn earlier(a: Option<Deadline>, b: Option<Deadline>) -> Option<Deadline> {
        match (a, b) {
            (Some(a), Some(b)) => Some(if (b.at, !b.exact) < (a.at, !a.exact) { b } else { a }),
            (one, other) => one.or(other),
        }
    }
}

impl fmt::Display for UnreachableError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = std::io::Error::from_raw_os_error(self.0).to_string();
        // The number is noise to a reader who has the words.
        f.write_str(text.split(" (os error").next().unwrap_or(&text))
    }
}

impl fmt::Debug for UnreachableError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.0, self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_earlier_deadline_wins_and_exactness_breaks_ties() {
        let late = Deadline::new(Mono(9), "late");
        let soon = Deadline::new(Mono(3), "soon");
        let exact = Deadline {
            exact: true,
            ..Deadline::new(Mono(3), "slot")
        };
        assert_eq!(Deadline::earlier(Some(late), Some(soon)), Some(soon));
        assert_eq!(Deadline::earlier(None, Some(late)), Some(late));
        assert_eq!(Deadline::earlier(Some(soon), Some(exact)), Some(exact));
        assert_eq!(Deadline::earlier(Some(exact), Some(soon)), Some(exact));
        assert_eq!(Deadline::earlier(None, None), None);
    }

    #[test]
    fn an_error_reads_without_its_number() {
        assert_eq!(UnreachableError(111).to_string(), "Connection refused");
    }
}
