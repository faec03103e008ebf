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
