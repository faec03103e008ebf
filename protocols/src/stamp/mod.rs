//! Two-way measurement with stamps of both ends: STAMP (RFC 8762, RFC 8972) and TWAMP Light (RFC 5357 appendix I).
//!
//! A Session-Sender numbers and stamps its packets; a Session-Reflector sends each back at the same length, with the
//! time of arrival and of departure. TWAMP's reflectors do the same, and know no more: [`StampReflector`] answers
//! both. [`wire`] has the base packets, [`tlv`] what may follow them.
//!
//! # Loops
//!
//! Nothing in a packet says that it is an answer: two reflectors that are made to talk to each other by one forged
//! source address would talk for ever. Two things stand against it. The server around a responder does not answer ports
//! below 1024, 862 among them, nor those that it serves itself. And [`StampReflector`] does not answer what
//! [`wire::is_reflected`] knows by its stamps: a reflector puts them where a sender has zeros or padding. That holds
//! for reflectors of any make on any port that keep a packet for less than 100 ms. RFC 8762 would have those zeros ignored; a
//! TWAMP sender's random padding is taken for an answer once in about 2^35 packets.
//!
//! Answers of fewer than 24 bytes have no room for both stamps. The only stamp of theirs gives up its last 16 bits (15 us in
//! NTP's format) to a sum of the rest, and what has that sum is not answered: so two reflectors of ours, or one and an echo,
//! send one such packet each at most. Those of other makes answer in more bytes, or with no more than they got; with the
//! latter only the buckets hold. A request of so few bytes is taken for an answer once in 2^16 packets.

mod mark;
mod prober;
mod reflect;
mod request;
mod responder;
mod sessions;
#[cfg(test)]
mod tests;
mod timestamp;
pub mod tlv;
pub mod wire;

pub use prober::{StampProber, TwampProber};
pub use responder::{ReflectorMode, StampReflector, StampReflectorOptions};
pub use timestamp::{ErrorEstimate, Format, Timestamp};

use crate::{Protocol, RequestSize};
use halloo_base::{AnyProber, ReplyLimit, Role, Transport};

/// The simple two-way active measurement protocol.
pub static STAMP: Protocol = Protocol {
    name: "STAMP",
    scheme: "stamp",
    default_port: Some(862),
    transport: Transport::Udp,
    spec: "RFC 8762, RFC 8972",
    reply_limit: ReplyLimit::SameAsRequest,
    role: Role::Both,
    size: RequestSize {
        least: wire::OPEN,
        usual: wire::OPEN,
        signed: Some(wire::AUTHENTICATED),
        most: usize::MAX,
        step: 1,
    },
    prober: Some(|options| AnyProber::Datagram(Box::new(StampProber::new(options)))),
};

/// The test packets of TWAMP without its control connection.
pub static TWAMP: Protocol = Protocol {
    name: "TWAMP Light",
    scheme: "twamp",
    default_port: Some(862),
    transport: Transport::Udp,
    spec: "RFC 5357 appendix I",
    reply_limit: ReplyLimit::SameAsRequest,
    role: Role::Prober,
    size: RequestSize {
        least: wire::TWAMP_REPLY,
        usual: wire::TWAMP_REPLY,
        signed: None,
        most: usize::MAX,
        step: 1,
    },
    prober: Some(|options| AnyProber::Datagram(Box::new(TwampProber::new(options)))),
};
