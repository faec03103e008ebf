//! NTP between a client and a server (RFC 5905): a round trip, and what time the server has, with what it says of its error.
//!
//! [`NtpServer`] tells the wall clock of this host and no more of it than is known; [`NtpProber`] asks and sets no clock.
//! See `docs/ntp.md`.

mod clock;
mod follower;
mod prober;
mod responder;
#[cfg(test)]
mod tests;
mod timestamp;
pub mod wire;

pub use clock::{ClockCell, ClockSource, ClockState};
pub use follower::NtpFollower;
pub use prober::NtpProber;
pub use responder::{NtpServer, NtpServerOptions};
pub use timestamp::{Short, Timestamp};

use crate::{Protocol, RequestSize};
use halloo_base::{AnyProber, ReplyLimit, Role, Transport};

/// NTP over UDP.
pub static NTP: Protocol = Protocol {
    name: "NTP",
    scheme: "ntp",
    default_port: Some(123),
    transport: Transport::Udp,
    spec: "RFC 5905",
    reply_limit: ReplyLimit::SameAsRequest,
    role: Role::Both,
    size: RequestSize::fixed(wire::HEADER),
    prober: Some(|options| AnyProber::Datagram(Box::new(NtpProber::new(options)))),
};
