//! What a session tells while it runs.

use crate::{Direction, Exchange, Summary};
use halloo_base::{CloseReason, LinkId, Mono, Nanos, Path, ProbeId, Stamp, UnreachableError};
use std::net::IpAddr;
use std::time::Duration;

/// Where a session reports to.
///
/// It is called on the thread that paces the probes: it must not block, and should not allocate.
pub trait Sink: Send {
    /// Takes one event.
    fn record(&mut self, event: Event);
}

/// Something that happened in a session. Plain data; the session is named by the `id` of its options.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// A stream session's connection is up.
    Opened {
        /// Which session.
        session: u32,
        /// Both ends.
        path: Path,
        /// When it was established.
        at: Stamp,
        /// From the request to connect until it was established; without the handshake of TLS.
        connect: Nanos,
        /// How long that handshake took, where it can be told apart.
        secure: Option<Nanos>,
    },
    /// A connection is up that takes the place of one which had done its work: the server said that it ends, or ended
    /// it between two answers. Nothing is wrong. What is asked on it comes next.
    Renewed {
        /// Which session.
        session: u32,
        /// Both ends.
        path: Path,
        /// When it was established.
        at: Stamp,
        /// From the request to connect until it was established; without the handshake of TLS.
        connect: Nanos,
        /// How long that handshake took, where it can be told apart.
        secure: Option<Nanos>,
    },
    /// A stream session's connection is gone, or did not come up. It connects again by itself.
    Broken {
        /// Which session.
        session: u32,
        /// When this was handled.
        at: Mono,
        /// Why.
        why: Break,
        /// How many probes were under way on it; they are lost.
        lost: u64,
        /// How long it waits before it connects again.
        retry_in: Duration,
    },
    /// A probe was answered, answered again, given up, or could not leave: told at once, with what is known now.
    /// T1 by the kernel and the exact residence may still be missing.
    Exchange(Exchange),
    /// A probe has left this process. Told only where the options say [`watched`](crate::SessionOptions::watched).
    Sent {
        /// Which session.
        session: u32,
        /// Which probe.
        seq: ProbeId,
        /// When, by this process.
        at: Mono,
        /// How late that was.
        slot_error: Nanos,
    },
    /// A later answer tells which way a lost probe was lost. Told only where the options say
    /// [`watched`](crate::SessionOptions::watched).
    Directed {
        /// Which session.
        session: u32,
        /// Which probe.
        seq: ProbeId,
        /// Which way.
        direction: Direction,
    },
    /// All is known about a probe that will be. Comes after its [`Event::Exchange`]: at once for lost and unsent
    /// ones; for answered ones when the departure stamp and the exact residence have come, or no longer than two
    /// intervals (at least 100 ms, at most 3 s) after the answer; at the end for those still in flight. Every probe is settled
    /// once; only one settled as lost is settled a second time, if its answer comes after all.
    Settled(Exchange),
    /// The network, or this host, says that a probe does not get through. The session goes on. Where the network
    /// says it and the probe is known, its [`Event::Exchange`] as lost comes next.
    Unreachable {
        /// Which session.
        session: u32,
        /// When this was handled.
        at: Mono,
        /// The path that the probe was to take.
        path: Path,
        /// Which probe, if it is known and had no verdict yet. One that was given up has been told already; a report
        /// that comes after that says why the path fails, and nothing new about the probe.
        seq: Option<ProbeId>,
        /// Who said so; nobody where this host refused to send.
        reporter: Option<IpAddr>,
        /// In the words of the operating system.
        error: UnreachableError,
    },
    /// The wall clock of this host was stepped.
    ClockStepped {
        /// Which session noticed.
        session: u32,
        /// When it was noticed.
        at: Stamp,
        /// By how much, positive when it was put forward.
        step: Nanos,
    },
    /// A link of this host came up or went down.
    LinkChanged {
        /// Which session was told.
        session: u32,
        /// When this was handled.
        at: Mono,
        /// Which link.
        link: LinkId,
        /// Whether it is up now.
        up: bool,
    },
    /// The whole so far (on request), or the whole (the last event of a session).
    Summary(Box<Summary>),
}

/// Why a connection is of no more use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Break {
    /// The driver closed it or could not open it.
    Closed(CloseReason),
    /// It did not come up in time.
    ConnectTimeout {
        /// The time it had: `lost_after`, but a second at least.
        after: Duration,
        /// It did come up, but was not secured.
        connected: bool,
    },
    /// The peer will send no more.
    Finished,
    /// The peer sent something that is no answer; the codec says what was wrong.
    Foreign(&'static str),
}
