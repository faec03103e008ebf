//! STUN's Binding (RFC 8489): a server tells a client the address that its packets come from, as seen beyond every NAT.
//!
//! [`StunServer`] also answers clients of RFC 3489, and where it has two addresses and two ports ([`Places`]) it answers from
//! any of them, so that clients see what their NAT lets in (RFC 5780). [`is_stun`] tells its messages from others on a shared port. See `docs/stun.md`.

mod beside_echo;
mod fingerprint;
mod places;
mod prober;
mod responder;
#[cfg(test)]
mod tests;
pub mod wire;

pub use beside_echo::StunBeside;
pub use places::{NotPlaces, Places};
pub use prober::StunProber;
pub use responder::{StunServer, StunServerOptions};
pub use wire::is_stun;

use crate::{Protocol, RequestSize};
use halloo_base::{AnyProber, ReplyLimit, Role, Transport};

/// STUN over UDP. An answer is longer than its request by the address that it tells: 12 bytes for IPv4, 24 for IPv6.
pub static STUN: Protocol = Protocol {
    name: "STUN",
    scheme: "stun",
    default_port: Some(3478),
    transport: Transport::Udp,
    spec: "RFC 8489, RFC 5780",
    reply_limit: ReplyLimit::Extra(wire::IPV6_ADDRESS),
    role: Role::Both,
    size: RequestSize {
        least: wire::HEADER,
        usual: wire::HEADER + wire::FINGERPRINT,
        signed: None,
        most: wire::LONGEST,
        // RFC 8489 section 5: attributes are padded to multiples of 4.
        step: 4,
    },
    prober: Some(|options| AnyProber::Datagram(Box::new(StunProber::new(options)))),
};
