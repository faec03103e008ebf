//! The built binary as a user runs it, on loopback.

mod common;
mod demo;
mod echo_client;
mod key;
mod nat;
mod ndn;
mod ping;
mod serve;
