//! What `halloo ping` takes for targets over QUIC.

use super::value::parse_span;
use clap::Args;
use std::time::Duration;

/// Options of `quic://` and `udp+quic://` targets.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "QUIC")]
pub struct QuicArgs {
    /// Send the first probe before the handshake is complete (0-RTT), and tell whether it was taken
    ///
    /// A connection before the first leaves the ticket for it. Whoever records such a probe may send it again; an echo does
    /// not mind. The first round trip has the handshake in it.
    #[arg(long)]
    pub zero_rtt: bool,

    /// Go on from another port after so long, and tell how long it took until the host has seen that
    ///
    /// What a NAT does that forgets a connection, or a phone that changes networks (RFC 9000 section 9).
    #[arg(long, value_name = "SECONDS", value_parser = parse_span)]
    pub migrate: Option<Duration>,
}
