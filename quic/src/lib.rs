//! QUIC (RFC 9000, RFC 9001) around a machine: it asks and answers as if there were none.
//!
//! [`QuicStreams`] stands between a machine that speaks streams and the driver of a UDP socket, [`QuicDatagrams`] between
//! a machine that speaks datagrams and the same (RFC 9221), and [`QuicServer`] answers both. Nothing here opens a socket or
//! reads a clock; the library below draws its own random numbers, as those are secrets, and TLS reads the system's clock
//! to judge certificates.
#![forbid(unsafe_code)]

mod client;
mod close;
mod datagrams;
mod departures;
mod event;
mod hub;
mod lent;
mod resuming;
mod server;
mod streams;
mod tickets;

pub use client::{Client, ClientOptions, Moving};
pub use datagrams::QuicDatagrams;
pub use event::{EarlyData, QuicEvent, QuicSink};
pub use hub::OptionsError;
pub use lent::{Gone, Lending, Lent, LentRecv, LentSend, Opener, StreamGone};
pub use resuming::Resuming;
pub use server::{Admit, DatagramEcho, MakeResponder, QuicCounters, QuicServer, QuicServerOptions, Services};
pub use streams::QuicStreams;

/// The protocol that is agreed on under TLS (RFC 7301): bytes come back as they were sent, on every bidirectional stream
/// and in every DATAGRAM frame.
pub const ALPN: &[u8] = b"echo";

#[cfg(test)]
mod testing;
