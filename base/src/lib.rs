//! Halloo's vocabulary.
//!
//! Everything that two parts of halloo must agree on is named here, and nothing else is: the three kinds of
//! time, where a datagram came from, what a machine may be told and what it may ask for, why a packet went
//! unanswered. This crate imports nothing, reads no clock and opens no socket.
//!
//! The contract in one paragraph: a [`Machine`] is told one [`Input`] at a time together with a [`Cx`]; all
//! that it wants done it writes into the [`Outbox`] of that `Cx`; the driver drains the outbox before it
//! sleeps, and calls again with [`Input::Wake`] when [`Machine::deadline`] has come. The driver is
//! `halloo-io` on a real host and `halloo-sim` in a test, and a machine cannot tell which.
#![forbid(unsafe_code)]

mod count;
mod datagram;
mod ip;
mod machine;
mod nat;
mod outbox;
mod protocol;
mod rng;
mod socket;
mod stream;
mod time;

pub use count::{Counters, Reason, Snapshot};
pub use datagram::{Datagram, Frame, LinkId, Marks, Offload, Path, canonical};
pub use ip::IpHeader;
pub use machine::{Cx, Deadline, Env, Input, Machine, Unreachable, UnreachableError};
pub use nat::{Dependence, can_meet};
pub use outbox::{Outbox, Output, Part, Train, Transmit, TxTag};
pub use protocol::{
    Arrivals, FollowUp, Heard, IpOptions, PROMISED, ProbeId, Prober, Reflection, Refusal, ReplyLimit,
    Responder, Role, Seen, Transport, Trust, Verdict,
};
pub use rng::Rng;
pub use socket::{Endpoint, SocketId, SocketInput};
pub use stream::{
    AnyProber, CloseReason, ConnId, Finish, Next, Progress, StreamInput, StreamProber, StreamResponder,
};
pub use time::{Clock, ClockQuality, KnownQuality, Leap, Mono, Nanos, Stamp, StampSource, Wall};
