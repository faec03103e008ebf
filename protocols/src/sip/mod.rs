//! SIP's OPTIONS as an echo (RFC 3261 section 11): asked of any SIP server, answered with 200 OK.
//!
//! [`Message`] reads a message where it lies and copies nothing; no bytes make the reading panic. [`SipServer`] answers
//! datagrams, [`SipConnection`] one connection, [`SipProber`] and [`SipStreamProber`] ask. There are no dialogs, no
//! registrations and no state: whatever a request is for, it has come to its end here.

mod fields;
mod message;
mod prober;
mod reply;
mod responder;
mod status;
mod stream;
#[cfg(test)]
mod tests;
mod values;

pub use fields::{Field, Fields, Name};
pub use message::{Message, NotSip, Start};
pub use prober::{SipProber, bare_len};
pub use reply::{OPTIONAL, STRANGER};
pub use responder::SipServer;
pub use status::reason_phrase;
pub use stream::{LONGEST, SipConnection, SipStreamProber};

use crate::{Protocol, RequestSize};
use halloo_base::{AnyProber, ReplyLimit, Role, Transport};

const SPEC: &str = "RFC 3261, RFC 3581";

const REPLY_LIMIT: ReplyLimit = ReplyLimit::Graded {
    stranger: STRANGER,
    validated: STRANGER + OPTIONAL,
};

const SIZE: RequestSize = RequestSize {
    // To a host whose name is one letter; each further letter stands in it twice.
    least: bare_len(1),
    usual: 512,
    signed: None,
    most: LONGEST,
    step: 1,
};

/// By datagrams.
pub static SIP: Protocol = Protocol {
    name: "SIP OPTIONS",
    scheme: "sip",
    default_port: Some(5060),
    transport: Transport::Udp,
    spec: SPEC,
    reply_limit: REPLY_LIMIT,
    role: Role::Both,
    size: SIZE,
    prober: Some(|options| AnyProber::Datagram(Box::new(SipProber::new(options)))),
};

/// On a connection.
pub static SIP_TCP: Protocol = Protocol {
    name: "SIP OPTIONS over TCP",
    scheme: "sip+tcp",
    default_port: Some(5060),
    transport: Transport::Tcp,
    spec: SPEC,
    reply_limit: REPLY_LIMIT,
    role: Role::Both,
    size: SIZE,
    prober: Some(|options| AnyProber::Stream(Box::new(SipStreamProber::new(options)))),
};

/// Under TLS.
pub static SIP_TLS: Protocol = Protocol {
    name: "SIP OPTIONS over TLS",
    scheme: "sip+tls",
    default_port: Some(5061),
    transport: Transport::Tcp,
    spec: SPEC,
    reply_limit: REPLY_LIMIT,
    role: Role::Prober,
    size: SIZE,
    prober: Some(|options| AnyProber::Stream(Box::new(SipStreamProber::secured(options)))),
};

/// Under TLS all the way, as its URI demands (RFC 3261 section 26.2.2).
pub static SIPS: Protocol = Protocol {
    name: "SIPS OPTIONS",
    scheme: "sips",
    default_port: Some(5061),
    transport: Transport::Tcp,
    spec: SPEC,
    reply_limit: REPLY_LIMIT,
    role: Role::Both,
    size: RequestSize {
        least: bare_len(2),
        ..SIZE
    },
    prober: Some(|options| AnyProber::Stream(Box::new(SipStreamProber::sips(options)))),
};

/// Whether requests go under TLS.
pub fn is_secured(protocol: &Protocol) -> bool {
    [SIP_TLS.scheme, SIPS.scheme].contains(&protocol.scheme)
}

/// Whether this is SIP, by whatever carries it.
pub fn is_sip(protocol: &Protocol) -> bool {
    [SIP.scheme, SIP_TCP.scheme].contains(&protocol.scheme) || is_secured(protocol)
}
