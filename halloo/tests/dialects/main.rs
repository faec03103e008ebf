//! STUN, SIP, STAMP, NTP, QUIC and HTTP/3 with programs that others wrote, in both roles: on loopback, or in namespaces where
//! port 123 is ours.
//!
//! `cargo xtask test` installs them; without them the tests that need them say so and end.

mod common;
mod http;
mod identity;
mod ntp;
mod quic;
mod sip;
mod sips;
mod stamp;
mod stun;
mod tap;
