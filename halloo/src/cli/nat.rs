//! `halloo nat`.

use super::value::{Link, parse_link, parse_span};
use crate::target::Target;
use clap::Args;
use std::time::Duration;

/// As long as an echo host of halloo waits at most.
const LONGEST: Duration = Duration::from_secs(15 * 60);
const SHORTEST: Duration = Duration::from_secs(1);

/// `halloo nat`.
#[derive(Args, Debug)]
#[command(after_long_help = NAT_EXAMPLES)]
pub struct NatArgs {
    /// Echo hosts to ask: HOST or HOST:PORT, port 7777 unless one is given; the first is asked for everything
    ///
    /// Each is asked how it sees this host: by the structured probe, and by STUN at the same port and at 3478. Two hosts, or one
    /// whose STUN server tells of another address of its own, are what it takes to tell one kind of mapping from the next.
    #[arg(value_name = "HOST", required = true, num_args = 1..=8, value_parser = parse_host)]
    pub hosts: Vec<Target>,

    /// Ask by this device or from this address
    #[arg(short = 'I', long, value_name = "NAME|ADDR", value_parser = parse_link)]
    pub link: Option<Link>,

    /// Use IPv4 only
    #[arg(short = '4', long, conflicts_with = "ipv6")]
    pub ipv4: bool,

    /// Use IPv6 only
    #[arg(short = '6', long)]
    pub ipv6: bool,

    /// The longest silence that is tried, 1s to 15m
    ///
    /// A mapping that outlives it is told to live at least so long.
    #[arg(long, value_name = "SECONDS", default_value = "180", value_parser = parse_longest)]
    pub max_lifetime: Duration,

    /// Print JSON, one object
    #[arg(long)]
    pub json: bool,
}

pub(super) const NAT_ABOUT: &str = "Finds out whether there is a NAT between this host and the Internet, and how it behaves, in the \
                  words of RFC 4787: when a socket has the same outside address (mapping), who may send to it \
                  (filtering), whether ports are kept, whether two hosts behind it reach each other by their outside \
                  addresses (hairpin), and for how long a mapping lives in silence. And what follows: how often to send \
                  a keep-alive, and whether two such hosts can meet without a relay.\n\nAn echo host of halloo answers all \
                  of that (pingback); a STUN server answers a part. What is not known is told with the reason. The lifetime \
                  takes as long as it is: Ctrl-C ends with what is known by then.";

const NAT_EXAMPLES: &str = "\
EXAMPLES:
  What is between here and the Internet?
      $ halloo nat echo.example.net

  With a second host, to tell every kind of mapping; over one link
      $ halloo nat -I wwan0 echo.example.net 198.51.100.9

  In a minute at most, for a program
      $ halloo nat --max-lifetime 20 --json echo.example.net | jq .keep_alive_ns

EXIT STATUS:
  0  a host told how it sees this one
  1  none did, or the result could not be written
  2  the command line is wrong";

fn parse_host(text: &str) -> Result<Target, String> {
    let target = Target::parse(text).map_err(|error| error.to_string())?;
    match target.protocol.scheme {
        "udp" => Ok(target),
        _ => Err("must be an echo host: HOST[:PORT]".into()),
    }
}

fn parse_longest(text: &str) -> Result<Duration, String> {
    match parse_span(text)? {
        span if (SHORTEST..=LONGEST).contains(&span) => Ok(span),
        _ => Err("must be 1s to 15m: no echo host waits longer".into()),
    }
}
