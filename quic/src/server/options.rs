//! What a QUIC server is made with.

use crate::hub::{OptionsError, within, within_a_day};
use crate::lent::Lending;
use halloo_base::{Counters, Mono, Path, Reason, ReplyLimit, Responder, StreamResponder, Trust};
use std::time::Duration;

/// Says whether so many UDP datagrams that came by this path now are looked at, or why not. Asked for each one that came. The
/// source of what does not come from where a connection's other end has shown that it is may be forged: it is a stranger's.
pub type Admit = Box<dyn FnMut(Mono, &Path, usize, Trust) -> Result<(), Reason> + Send>;

/// Makes the responder of a new stream on a connection with these two ends.
pub type MakeResponder = Box<dyn FnMut(&Path) -> Box<dyn StreamResponder> + Send>;

/// Who answers DATAGRAM frames. It is never asked for what it has promised to send later: nobody is promised anything here.
pub struct DatagramEcho {
    /// The responder, one for all connections; their paths tell them apart.
    pub responder: Box<dyn Responder>,
    /// How long an answer may be where the responder does not say. Who asks has always shown where he is.
    pub limit: ReplyLimit,
}

/// Who answers on a server's connections.
pub struct Services {
    /// Makes who answers a stream of echo.
    pub make: MakeResponder,
    /// Who answers DATAGRAM frames of echo; where there is nobody, clients are told so.
    pub datagrams: Option<DatagramEcho>,
    /// Who answers everything of another protocol, if one is spoken.
    pub lending: Option<Lending>,
}

/// The rules of a QUIC server. The default is fit for the open Internet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuicServerOptions {
    /// Connections at once, handshakes among them, 1 to 1,000,000. Default: 4,096.
    pub connections: u32,
    /// Connections at once from one source, an IPv4 address or an IPv6 /64; 1 or more, `None` for no cap. Who has half of it
    /// must show his address for more. Default: 256.
    pub per_source: Option<u32>,
    /// Streams at once on one connection; 1 to 1,024. Default: 16.
    pub streams: u32,
    /// The most bytes that wait on one connection, each way, and so the most that it brings in a round trip; 4,096 to
    /// 16,777,216. All connections together may hold `connections` times twice as much. Default: 65,536.
    pub window: u32,
    /// The most bytes of an unfinished request that are kept for one stream; a peer that sends more loses the stream. 0 to
    /// 16,777,216. Default: 4,096.
    pub pending: u32,
    /// A connection that brings nothing to answer for this long is closed, signs of life or not. Who answers those that are
    /// lent has rules of his own. 1 ms to a day.
    /// Default: 30 seconds.
    pub idle_timeout: Duration,
    /// A handshake that takes longer is given up. 1 ms to a day. Default: 5 seconds.
    pub handshake_timeout: Duration,
    /// From so many handshakes under way on, who connects must first show that he receives what is sent to his address, which
    /// takes a round trip more (Retry, RFC 9000 section 8.1.2). Zero for always. Default: 64.
    pub retry_above: u32,
    /// Whether to answer what is asked before the handshake is complete (0-RTT), which whoever recorded it may ask again.
    /// Default: yes; an echo does no more the second time than the first.
    pub early_data: bool,
    /// Whether a client may go on from another address (RFC 9000 section 9). Default: yes.
    pub migration: bool,
    /// The longest UDP payload that is sent, in bytes: 1,200 to 65,527. Default: 1,200.
    pub mtu: u16,
    /// The TOS or traffic class octet of what is sent; its two ECN bits are QUIC's own. Default: the socket's own.
    pub tos: Option<u8>,
}

impl Default for QuicServerOptions {
    fn default() -> QuicServerOptions {
        QuicServerOptions {
            connections: 4_096,
            per_source: Some(256),
            streams: 16,
            window: 65_536,
            pending: 4_096,
            idle_timeout: Duration::from_secs(30),
            handshake_timeout: Duration::from_secs(5),
            retry_above: 64,
            early_data: true,
            migration: true,
            mtu: 1_200,
            tos: None,
        }
    }
}

impl QuicServerOptions {
    /// Checks every field.
    ///
    /// # Errors
    /// The first field that is out of its range.
    pub fn check(&self) -> Result<(), OptionsError> {
        within("connections", self.connections, 1..=1_000_000)?;
        let some = 1..=u64::from(u32::MAX);
        within("per_source", self.per_source.unwrap_or(1), some)?;
        within("streams", self.streams, 1..=1_024)?;
        within("window", self.window, 4_096..=16_777_216)?;
        within("pending", self.pending, 0..=16_777_216)?;
        within_a_day("idle_timeout", self.idle_timeout)?;
        within_a_day("handshake_timeout", self.handshake_timeout)?;
        within("mtu", self.mtu, 1_200..=65_527)
    }
}

/// What a QUIC server counts; one writer, any number of readers.
#[derive(Debug, Default)]
pub struct QuicCounters {
    /// `received` are connections asked for, `replied` those whose handshake was completed; the bytes are those read from and
    /// written to streams. The reasons are why there was none, why one was ended, and why a UDP datagram was of no use.
    /// Connections that are lent are counted by who answers them; here are only the reasons.
    pub connections: Counters,
    /// DATAGRAM frames, their payloads, and why some went unanswered.
    pub datagrams: Counters,
}
