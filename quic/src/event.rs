//! What a client tells of its connections.

use halloo_base::{CloseReason, Path, Stamp};
use std::time::Duration;

/// Where a client's events go.
pub trait QuicSink: Send {
    /// Takes an event; must not block.
    fn record(&mut self, event: QuicEvent);
}

impl<F: FnMut(QuicEvent) + Send> QuicSink for F {
    fn record(&mut self, event: QuicEvent) {
        self(event);
    }
}

/// Something that happened to a client's connection.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum QuicEvent {
    /// The handshake is complete (RFC 9001 section 4.1.1).
    Connected {
        /// Both ends, as the last datagram of the handshake had them.
        path: Path,
        /// When that datagram arrived.
        at: Stamp,
        /// How long the handshake took, from the first datagram that was to leave.
        took: Duration,
        /// Whether an earlier connection's ticket was taken, so that no certificate was shown. `None` if one was offered and
        /// the early data that went with it refused: the ticket may have been taken all the same.
        resumed: Option<bool>,
        /// What became of early data.
        early: EarlyData,
    },
    /// The connection has moved, and the host has asked whether somebody is there and was answered (path validation, RFC 9000
    /// section 8.2).
    Moved {
        /// Both ends from now on.
        path: Path,
        /// When the datagram that asked arrived.
        at: Stamp,
        /// How long that took, from the first datagram that left from there.
        took: Duration,
    },
    /// It never came up, or is gone before it was to be.
    Lost {
        /// Both ends.
        path: Path,
        /// Why.
        why: CloseReason,
    },
}

/// What became of data that was sent before the handshake (0-RTT, RFC 9001 section 4.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EarlyData {
    /// None was sent: it was not wanted, or there was no ticket.
    None,
    /// The other side took it.
    Accepted,
    /// The other side did not want it. On a stream it was sent again; datagrams were lost.
    Refused,
}
