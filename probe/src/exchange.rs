//! One probe and what became of it.

use halloo_base::{IpOptions, Marks, Mono, Nanos, Path, ProbeId, Refusal, Seen, Stamp, Wall};

/// One probe and all that is known about it. Spans are nanoseconds on this host's monotonic clock.
///
/// T1 to T4 are the four instants of RFC 5905: request leaves, request arrives, answer leaves, answer arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// The session it belongs to.
    pub session: u32,
    /// The probe's number within the session: 0, 1, 2, ...
    pub seq: ProbeId,
    /// What became of it.
    pub verdict: Verdict,
    /// When the plan wanted it to leave. In a flood: when it left.
    pub slot: Mono,
    /// T1 as this process saw it, just before it handed the probe over.
    pub t1: Stamp,
    /// T1 as the kernel or the interface saw it. `None`: not asked for, not offered, or not known yet.
    pub t1_kernel: Option<Stamp>,
    /// T2: when the request arrived, on the responder's wall clock. Its distance from T1 holds the difference of
    /// the clocks.
    pub t2: Option<Wall>,
    /// T3: when the answer left, on the responder's wall clock (T2 plus the residence).
    pub t3: Option<Wall>,
    /// Whether T2 is the responder's kernel stamp.
    pub t2_kernel: bool,
    /// How far the responder says that its wall clock may be from UTC, and so T2 and T3.
    pub clock_error: Option<Nanos>,
    /// How long the request stayed in the responder, where it tells.
    pub residence: Option<Residence>,
    /// T4 as this process saw it.
    pub t4: Option<Stamp>,
    /// T4 as the kernel or the interface saw it.
    pub t4_kernel: Option<Stamp>,
    /// When the first of the answer arrived, by the kernel or else by this process; of several segments that were read
    /// together, when the last of them did. `None` for datagrams, which come whole.
    pub t4_first: Option<Stamp>,
    /// What it took to open the connection, for the first probe on it.
    pub opening: Option<Opening>,
    /// Wire round trip: T4 minus T1 by kernel stamps, minus the residence. Never below zero. Where a plain echo
    /// tells no residence, the responder's own time is in it (see [`Exchange::residence`]). `None` without both
    /// kernel stamps, or where a step of the clock spoilt them.
    pub wire: Option<Nanos>,
    /// Host round trip: T4 minus T1 as this process saw them, with all delay of both hosts.
    pub host: Option<Nanos>,
    /// From T1 until the first of the answer arrived: between kernel stamps where both are such, else from this
    /// process's T1. `None` for datagrams.
    pub first_byte: Option<Nanos>,
    /// All that the probe took: the host round trip, and before it the opening of the connection, if it had to wait for
    /// that.
    pub total: Option<Nanos>,
    /// Intended round trip: T4 minus the slot. A prober that stalls cannot hide delay from it.
    pub intended: Option<Nanos>,
    /// How late the probe left: T1 minus the slot.
    pub slot_error: Nanos,
    /// The wall clock of this host was stepped between T1 and T4; wall times and one-way delays of this exchange
    /// mean nothing. Round trips are monotonic and stay right.
    pub clock_stepped: bool,
    /// The path the answer came by; until there is one, the path the request went.
    pub path: Path,
    /// TOS and TTL of the answer on arrival. `None` for streams.
    pub marks: Option<Marks>,
    /// How the responder saw us.
    pub seen: Option<Seen>,
    /// The IP options that the answer came with, where the prober sees them.
    pub options: Option<IpOptions>,
    /// The answer says no: the probe is answered, but not with what was asked for.
    pub refusal: Option<Refusal>,
    /// Payload bytes of the answer; until there is one, of the request.
    pub bytes: u32,
}

/// What it took to open a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opening {
    /// From the request to connect until it was established; without the handshake of TLS.
    pub connect: Nanos,
    /// How long that handshake took, where it can be told apart.
    pub secure: Option<Nanos>,
    /// When all of it was done.
    pub done: Mono,
}

/// How long a request stayed in the responder: T3 minus T2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Residence {
    /// The span.
    pub span: Nanos,
    /// From kernel arrival to kernel departure, told by a later answer. Otherwise the responder's own guess,
    /// made before its answer left.
    pub exact: bool,
}

/// What became of a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// Under way.
    InFlight,
    /// Answered in time.
    Answered,
    /// Answered, but after it counted as lost. It is answered now, and no longer lost.
    Late,
    /// Not answered.
    Lost {
        /// Which way it was lost, as far as was known when this was said; later answers may tell more, and the
        /// counts in the summary follow them.
        direction: Direction,
        /// How it was found out.
        cause: LossCause,
    },
    /// A second answer to a probe that had one. The probe's round trip stays the first answer's.
    Duplicate,
    /// It never left: there was no connection, or this host refused to send it. Counted as lost.
    Unsent,
}

/// A direction as the prober sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From the prober to the responder.
    Forward,
    /// From the responder to the prober.
    Backward,
    /// Nobody told.
    Unknown,
}

/// How a loss was found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LossCause {
    /// No answer within `lost_after`.
    Timeout,
    /// The network said that it does not get through. Known at once where the report tells which probe it was.
    Unreachable,
    /// The connection that carried it broke.
    Connection,
    /// So many were sent after it that there was no room to remember it.
    Overrun,
}

impl Exchange {
    /// Whether somebody answered, and said no.
    pub fn is_refused(&self) -> bool {
        self.refusal.is_some()
    }

    /// Whether [`Exchange::wire`] is an upper bound: the responder guessed its residence before its answer left, so
    /// that what came after the guess counts as time on the wire.
    pub fn is_wire_guessed(&self) -> bool {
        self.residence.is_some_and(|residence| !residence.exact)
    }
}

impl Opening {
    /// All of it.
    pub fn span(&self) -> Nanos {
        self.connect + self.secure.unwrap_or(Nanos::ZERO)
    }
}

impl Verdict {
    /// The word used in every output.
    pub fn name(self) -> &'static str {
        match self {
            Verdict::InFlight => "in_flight",
            Verdict::Answered => "answered",
            Verdict::Late => "late",
            Verdict::Lost { .. } => "lost",
            Verdict::Duplicate => "duplicate",
            Verdict::Unsent => "unsent",
        }
    }
}

impl Direction {
    /// The word used in every output.
    pub fn name(self) -> &'static str {
        match self {
            Direction::Forward => "forward",
            Direction::Backward => "backward",
            Direction::Unknown => "unknown",
        }
    }
}

impl LossCause {
    /// The word used in every output.
    pub fn name(self) -> &'static str {
        match self {
            LossCause::Timeout => "timeout",
            LossCause::Unreachable => "unreachable",
            LossCause::Connection => "connection",
            LossCause::Overrun => "overrun",
        }
    }
}
