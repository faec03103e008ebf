//! The built binary as a user runs it, on loopback.

mod common;
mod demo;
mod echo_client;
mod ndn;
mod ping;
mod serve;
