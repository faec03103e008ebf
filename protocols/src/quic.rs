//! Echo over QUIC (RFC 9000, RFC 9221): what is asked and answered on its streams and in its DATAGRAM frames. QUIC itself is
//! the driver's.

use crate::echo::{TcpProber, UdpProber};
use crate::{Protocol, RequestSize};
use halloo_base::{AnyProber, ReplyLimit, Role, Transport};

/// What fits a DATAGRAM frame in a packet of 1,200 bytes, the least that every path takes.
const LONGEST_DATAGRAM: usize = 1_150;

/// Echo on a bidirectional stream: every byte comes back, in order. QUIC sends a stranger three times what it was sent at most
/// before he has shown his address (RFC 9000 section 8.1).
pub static QUIC: Protocol = Protocol {
    name: "QUIC stream echo",
    scheme: "quic",
    default_port: Some(4433),
    transport: Transport::Quic,
    spec: "RFC 9000, RFC 862",
    reply_limit: ReplyLimit::SameAsRequest,
    role: Role::Both,
    size: RequestSize {
        least: 1,
        ..RequestSize::ANY
    },
    prober: Some(|options| AnyProber::Stream(Box::new(TcpProber::new(options)))),
};

/// Echo in DATAGRAM frames: the structured probe of UDP echo.
pub static QUIC_DATAGRAM: Protocol = Protocol {
    name: "QUIC datagram echo",
    scheme: "udp+quic",
    default_port: Some(4433),
    transport: Transport::Quic,
    spec: "RFC 9221, docs/wire/probe.md",
    reply_limit: ReplyLimit::SameAsRequest,
    role: Role::Both,
    size: RequestSize {
        most: LONGEST_DATAGRAM,
        ..crate::echo::UDP_SIZE
    },
    prober: Some(|options| AnyProber::Datagram(Box::new(UdpProber::new(options)))),
};

/// HTTP/3 at the same port: the routes of the HTTP echo host. It is answered and not asked, and has no place in
/// [`ALL`](crate::ALL).
pub static HTTP3: Protocol = Protocol {
    name: "HTTP/3",
    scheme: "h3",
    default_port: Some(4433),
    transport: Transport::Quic,
    spec: "RFC 9114",
    reply_limit: ReplyLimit::SameAsRequest,
    role: Role::Responder,
    size: RequestSize::ANY,
    prober: None,
};
