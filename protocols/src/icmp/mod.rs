//! ICMP and ICMPv6 echo requests (RFC 792, RFC 4443 section 4): what `ping` asks, and every IP host answers.
//!
//! A message here begins with its type, in both directions and over both IP versions. Where a kernel hands over the IP
//! header before it, as that of Linux does from a raw IPv4 socket, whoever owns the socket takes it off.
//!
//! The number on the wire has 16 bits, and neither message has a place for a session. So the data of a request begins
//! with the session's token, where there is room for it.

mod prober;
#[cfg(test)]
mod tests;
mod wire;

pub use prober::{IcmpProber, IcmpProberOptions};
pub use wire::{Echo, Family, HEADER, Kind, NotEcho, Unfit, is_intact};

use crate::{Protocol, RequestSize};
use halloo_base::{AnyProber, ReplyLimit, Role, Transport};

/// ICMP echo over IPv4 and IPv6. The kernel answers by itself, so halloo asks only. A request's size is that of the whole
/// message, as `ping` prints it.
pub static ICMP: Protocol = Protocol {
    name: "ICMP echo",
    scheme: "icmp",
    default_port: None,
    transport: Transport::Icmp,
    spec: "RFC 792, RFC 4443",
    reply_limit: ReplyLimit::SameAsRequest,
    role: Role::Prober,
    size: RequestSize {
        least: HEADER,
        ..RequestSize::ANY
    },
    prober: Some(|options| AnyProber::Datagram(Box::new(IcmpProber::new(options)))),
};
