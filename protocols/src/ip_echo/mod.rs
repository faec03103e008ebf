//! The IP echo host (RFC 2075): IP datagrams of any protocol, sent back as if they had begun there.
//!
//! Whoever sends to an echo address holds the other end of the conversation too: a TCP talks to itself, a tunnel
//! protocol meets itself. [`IpEcho`] turns datagrams round; [`IP`] asks by datagrams of an experimental protocol
//! number (RFC 3692), [`UDP_SELF`] and [`TCP_SELF`] talk to their own port.

pub(crate) mod checksum;
mod icmp;
mod ipv4;
mod ipv6;
mod options;
mod prober;
mod responder;
#[cfg(test)]
mod tests;
mod udp;
#[doc(hidden)]
pub mod vectors;

pub use options::{Asked, AskedError, Described, HopTime, RouteKind, describe};
pub use prober::{IpProber, SelfProber};
pub use responder::{IcmpPolicy, IpEcho, IpEchoOptions};

use crate::echo::TcpProber;
use crate::{Protocol, RequestSize};
use halloo_base::{AnyProber, ReplyLimit, Role, Transport};

/// The protocol number that requests have unless another is chosen: for experiments (RFC 3692 section 2.1).
pub const EXPERIMENTAL: u8 = 253;

/// The TTL or hop limit of a request: twice the usual 64, since it has to last for both ways (RFC 2075).
pub const TTL: u8 = 128;

/// IP datagrams of any protocol.
pub static IP: Protocol = Protocol {
    name: "IP echo",
    scheme: "ip",
    default_port: None,
    transport: Transport::Ip,
    spec: "RFC 2075",
    reply_limit: ReplyLimit::SameAsRequest,
    role: Role::Both,
    size: RequestSize::ANY,
    prober: Some(|options| AnyProber::Datagram(Box::new(IpProber::new(options)))),
};

/// UDP talking to its own port through an IP echo host.
pub static UDP_SELF: Protocol = Protocol {
    name: "UDP to oneself",
    scheme: "udp+ip",
    default_port: Some(7777),
    transport: Transport::Udp,
    spec: "RFC 2075, RFC 768",
    reply_limit: ReplyLimit::SameAsRequest,
    role: Role::Prober,
    size: RequestSize::ANY,
    prober: Some(|options| AnyProber::Datagram(Box::new(SelfProber::new(options)))),
};

/// A TCP talking to itself through an IP echo host: it is opened from both ends at once (RFC 9293 section 3.5), and
/// hears every byte that it writes.
pub static TCP_SELF: Protocol = Protocol {
    name: "TCP to oneself",
    scheme: "tcp+ip",
    default_port: Some(7777),
    transport: Transport::Tcp,
    spec: "RFC 2075, RFC 9293",
    reply_limit: ReplyLimit::SameAsRequest,
    role: Role::Prober,
    size: RequestSize {
        least: 1,
        ..RequestSize::ANY
    },
    prober: Some(|options| AnyProber::Stream(Box::new(TcpProber::new(options)))),
};
