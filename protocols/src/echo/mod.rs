//! Echo over UDP and TCP (RFC 862), and the structured probe that says more than an echo can.
//!
//! A datagram that begins with the probe's magic is answered with stamps and counts in place, in a reply of the
//! same length; every other datagram comes back as it was. The layout is frozen in `docs/wire/probe.md`.

pub mod asker;
mod cookie;
mod key;
mod payload;
pub mod pingback;
mod prober;
mod responder;
mod sessions;
mod stream;
#[cfg(test)]
pub(crate) mod tests;
pub mod wire;

pub use key::{Key, WeakKey};
pub use prober::UdpProber;
pub use responder::{UdpEcho, UdpEchoOptions, in_wire_units};
pub use stream::{TcpEcho, TcpProber};

use crate::{Protocol, RequestSize};
use halloo_base::{AnyProber, ReplyLimit, Role, Transport};

/// How long structured probes and plain ones are.
pub(crate) const UDP_SIZE: RequestSize = RequestSize {
    signed: Some(wire::BASE + wire::TAG),
    usual: wire::BASE,
    ..RequestSize::ANY
};

/// Echo over UDP: the structured probe, and RFC 862 for everything else.
pub static UDP: Protocol = Protocol {
    name: "UDP echo",
    scheme: "udp",
    default_port: Some(7777),
    transport: Transport::Udp,
    spec: "RFC 862; docs/wire/probe.md",
    reply_limit: ReplyLimit::SameAsRequest,
    role: Role::Both,
    size: UDP_SIZE,
    prober: Some(|options| AnyProber::Datagram(Box::new(UdpProber::new(options)))),
};

/// Echo over TCP: every byte comes back, in order.
pub static TCP: Protocol = Protocol {
    name: "TCP echo",
    scheme: "tcp",
    default_port: Some(7),
    transport: Transport::Tcp,
    spec: "RFC 862",
    reply_limit: ReplyLimit::SameAsRequest,
    role: Role::Both,
    size: RequestSize {
        least: 1,
        ..RequestSize::ANY
    },
    prober: Some(|options| AnyProber::Stream(Box::new(TcpProber::new(options)))),
};
