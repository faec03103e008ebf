//! What a client tells of its connections.

use halloo_base::{CloseReason, Path, Stamp};

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
        /// Whether an earlier connection's ticket was taken, so that no certificate was shown. `None` if one was offered and
        /// the early data that went with it refused: the ticket may have been taken all the same.
        resumed: Option<bool>,
        /// What became of early data.
        early: EarlyData,
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
