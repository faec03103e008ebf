//! NDN with peers that others wrote, and behind a forwarder on a bad day.
//!
//! python-ndn and NDNts are installed by `cargo xtask test`; without them the tests that need them say so and end.

mod codec;
mod forwarder;
mod ours;
mod peers;
mod pings;
mod sturdy;
mod unit;
