//! What `halloo ping` takes to find out about the path itself.

use super::value::{Ecn, parse_ecn};
use clap::Args;

/// Options that ask about the path and not about the host.
#[derive(Args, Clone, Copy, Debug, Default)]
#[command(next_help_heading = "The path")]
pub struct PathArgs {
    /// Find the path MTU: the longest packet that gets there and back (udp, icmp, stamp, twamp)
    ///
    /// Probes of different lengths are padded and sent with DF, one at a time (RFC 8899). A length counts as too big when no
    /// probe of it is answered, three times at least; ICMP messages are not needed, and where they come they only make it
    /// faster. What the kernel believes of the path is not heeded. The longest that is tried is the link's own MTU.
    #[arg(
        long,
        conflicts_with_all = ["spread", "count", "size", "df", "log_dir", "csv_wide", "record_route", "timestamp_option", "source_route", "pingback"]
    )]
    pub pmtu: bool,

    /// Ask by turns from N source ports, and name those that lose more than the others (udp, stamp, twamp, stun, ntp)
    ///
    /// Routers that balance flows (ECMP) choose a way by addresses and ports; where one of the ways is bad, so is a share of
    /// all flows. The interval is that of all ports together [default: 0.01], the count that of each [default: 20].
    #[arg(
        long,
        value_name = "N",
        value_parser = clap::value_parser!(u16).range(2..=1024),
        conflicts_with_all = ["log_dir", "csv_wide", "record_route", "timestamp_option", "source_route", "pingback"]
    )]
    pub spread: Option<u16>,

    /// Mark probes for congestion notification: ect0, ect1, ce, not-ect, or 0 to 3 (RFC 3168)
    #[arg(long, value_name = "ECN", value_parser = parse_ecn)]
    pub ecn: Option<Ecn>,
}
