//! Byte streams as a machine sees them: no sockets, only what happened on which connection.

use crate::{Env, Heard, Path, ProbeId, Reason, Stamp, UnreachableError};

/// A connection within one driver. Ids of accepted connections have the highest bit set, so that a machine
/// that opens connections may number its own from 0 upwards. An id is never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId(pub u64);

impl ConnId {
    /// The bit that marks a connection that the peer opened.
    pub const ACCEPTED: u64 = 1 << 63;

    /// Whether the peer opened this connection.
    pub fn is_accepted(self) -> bool {
        self.0 & ConnId::ACCEPTED != 0
    }
}

/// What happened on a connection.
#[non_exhaustive]
#[derive(Debug)]
pub enum StreamInput<'a> {
    /// What will carry a secured connection is up, and securing it begins; [`StreamInput::Opened`] is told when that is
    /// done. Told of connections that this host opens, where the two can be told apart.
    Connected {
        /// When it was up.
        at: Stamp,
    },
    /// The connection is established, or was accepted. `at` is when the handshake ended.
    Opened {
        /// Both ends.
        path: Path,
        /// When it was established as far as this host can tell.
        at: Stamp,
    },
    /// Bytes arrived; `at` is the arrival of the last of them.
    Data {
        /// The bytes, in order.
        bytes: &'a [u8],
        /// When the last byte arrived; the kernel's stamp where there is one.
        at: Stamp,
    },
    /// The peer will send no more (half-close). We still may.
    Finished,
    /// The connection is gone; nothing more will come for this id.
    Closed(CloseReason),
}

/// Why a connection is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CloseReason {
    /// Both sides finished. After [`Outbox::abort`](crate::Outbox::abort) nothing is told: the machine knows.
    Done,
    /// It never came up: the operating system's error, such as `Connection refused`.
    ConnectFailed(UnreachableError),
    /// It broke: the operating system's error, such as `Connection reset by peer`.
    Broken(UnreachableError),
    /// More was written than the driver may hold for a peer that does not read.
    Overflow,
    /// It cannot be secured as was asked for, for this reason (TLS).
    Insecure(&'static str),
    /// A peer that connected to us was not done with securing it in time (TLS).
    HandshakeTimeout,
}

/// What a stream responder wants to happen to its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Go on reading.
    Continue,
    /// Send what was written, then close.
    Close,
}

/// Answers on one connection. One value per connection.
pub trait StreamResponder: Send {
    /// Takes received bytes, the last of which arrived at `at`, and appends the answer to `tx`. Returns how many bytes of `rx` were used (the
    /// rest is handed over again with what follows it) and what is to happen next.
    fn respond(&mut self, env: &mut Env<'_>, at: Stamp, rx: &[u8], tx: &mut Vec<u8>) -> (usize, Next);
}

/// Asks on one connection, over and over.
pub trait StreamProber: Send {
    /// Appends the request `id` to `tx`.
    fn request(&mut self, env: &mut Env<'_>, id: ProbeId, tx: &mut Vec<u8>);

    /// Takes received bytes, split and merged as the network pleased, up to the end of the next answer.
    fn receive(&mut self, rx: &[u8]) -> Progress;

    /// Forgets half-received answers: the connection is a new one.
    fn reset(&mut self);

    /// Whether a request may leave while an earlier one on this connection has no answer yet. Asked before each.
    fn pipelines(&self) -> bool {
        true
    }

    /// Whether the answer that was just heard is the last one of this connection, as agreed: the next request needs
    /// another connection, and so do those that this one has not answered.
    fn is_done(&self) -> bool {
        false
    }

    /// The peer will send no more on this connection. Says what that means for what was received.
    fn finish(&mut self) -> Finish {
        Finish::Broken
    }
}

/// What a stream prober made of received bytes. The number is how many of them were used.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::large_enum_variant,
    reason = "made once for each answer, looked at and gone"
)]
pub enum Progress {
    /// All were used; the answer is not complete yet.
    Partial(usize),
    /// An answer ended here.
    Heard(usize, Heard),
    /// A message ended here that is no answer, for this reason; what follows may be one.
    Unused(usize, Reason),
    /// This is not what was asked for; the connection is of no more use.
    Foreign(&'static str),
}

/// What it means to a stream prober that the peer will send no more.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::large_enum_variant,
    reason = "made once for each connection, looked at and gone"
)]
pub enum Finish {
    /// It ends an answer, which is the last one on this connection.
    Heard(Heard),
    /// It came between answers, as it may: the next request needs another connection, and so do those that were not
    /// answered on this one.
    Done,
    /// It should not have come: what was not answered is lost.
    Broken,
}

/// A datagram prober and a stream prober answer the same question, so they are made side by side.
pub enum AnyProber {
    /// One datagram asks, one answers.
    Datagram(Box<dyn crate::Prober>),
    /// Requests and answers share a connection.
    Stream(Box<dyn StreamProber>),
}
