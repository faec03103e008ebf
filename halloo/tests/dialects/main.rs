//! STUN, SIP and STAMP with programs that others wrote, in both roles, on loopback.
//!
//! `cargo xtask test` installs them; without them the tests that need them say so and end.

mod common;
mod sip;
mod stamp;
mod stun;
mod tap;
