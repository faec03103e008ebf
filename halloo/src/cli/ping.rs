//! `halloo ping` and `halloo echo-client`.

use super::http::HttpArgs;
use super::path::PathArgs;
use super::quic::QuicArgs;
use super::value::{Dscp, Interval, Link};
use super::value::{parse_dscp, parse_hop, parse_interval, parse_link, parse_pingback, parse_span};
use crate::ndn::Face;
use crate::target::{self, Target};
use clap::builder::ArgPredicate;
use clap::{Args, ValueEnum};
use halloo_protocols::echo::asker::Ask;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::Duration;

/// `halloo ping`.
#[derive(Args, Debug)]
#[command(
    after_long_help = PING_EXAMPLES
)]
pub struct PingArgs {
    // The texts below are made, not written: they name every protocol of this build.
    /// What to ask.
    #[arg(
        value_name = "TARGET",
        required = true,
        value_parser = Target::parse,
        help = format!("What to ask: {}, or HOST[:PORT], which means udp", target::forms()),
        long_help = format!(
            "What to ask: {}, or HOST[:PORT], which means udp.\n\nAn IPv6 address with a port stands in brackets: \
             udp://[2001:db8::1]:7777. A link-local address names its device: udp://[fe80::1%eth0].",
            target::forms()
        )
    )]
    pub targets: Vec<Target>,

    /// Payload bytes of each probe [default: the protocol's usual; 64 for an echo, 80 with --key-file]
    ///
    /// UDP takes 0 to 65507 (65527 over IPv6), TCP and QUIC streams 1 to 1048576. ICMP takes 8 to as many as UDP: those of
    /// the whole message, of which ping -s leaves out the first 8. A halloo echo host tells its own stamps, and so wire
    /// times, one-way figures and loss per direction, in probes that have room for them: 64 bytes, and 80 with a key. Its
    /// view of an IPv6 address takes 48 more. NDN Interests are as short as they can be unless a size is given, to which
    /// they are padded then.
    #[arg(short, long, value_name = "BYTES")]
    pub size: Option<u32>,

    /// Time between probes, in seconds or with a unit (0.2, 200ms); 0 asks as fast as answers come
    #[arg(
        short,
        long,
        visible_alias = "frequency",
        value_name = "SECONDS",
        default_value = "1.0",
        default_value_if("spread", ArgPredicate::IsPresent, "0.01"),
        value_parser = parse_interval
    )]
    pub interval: Interval,

    /// Stop after so many probes per session; 0 goes on until stopped
    #[arg(
        short,
        long,
        value_name = "N",
        default_value_t = 0,
        default_value_if("spread", ArgPredicate::IsPresent, "20")
    )]
    pub count: u64,

    /// Call a probe lost when no answer came for so long
    ///
    /// An answer that comes later still is counted as late, not as lost and forgotten.
    #[arg(short = 'W', long, value_name = "SECONDS", default_value = "5.0", value_parser = parse_span)]
    pub timeout: Duration,

    /// Stop after so long, whatever was sent or answered
    #[arg(short = 'w', long, value_name = "SECONDS", value_parser = parse_span)]
    pub deadline: Option<Duration>,

    /// Ask by this device or from this address; repeat it to ask over several side by side
    ///
    /// A device is bound with SO_BINDTODEVICE: nothing leaves or arrives by another, whatever the routes say.
    #[arg(short = 'I', long = "link", value_name = "NAME|ADDR", value_parser = parse_link)]
    pub links: Vec<Link>,

    /// Ask NDN names by this face: unix:///PATH, tcp://HOST, udp://HOST or dev://DEVICE [default: this host's forwarder]
    #[arg(long, value_name = "URI")]
    pub(crate) face: Option<Face>,

    /// Use IPv4 only
    #[arg(short = '4', long, conflicts_with = "ipv6")]
    pub ipv4: bool,

    /// Use IPv6 only
    #[arg(short = '6', long)]
    pub ipv6: bool,

    /// Mark probes: 0 to 63 or a name (ef, af41, cs1, le)
    #[arg(long, value_name = "DSCP", value_parser = parse_dscp)]
    pub dscp: Option<Dscp>,

    /// TTL or hop limit of probes [default: the system's; to an IP echo host 128]
    ///
    /// What an IP echo host sends back has the TTL that was left, so it has to last for both ways.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..))]
    pub ttl: Option<u8>,

    /// Forbid fragmentation; a probe that is too big for the path is reported
    #[arg(long)]
    pub df: bool,

    /// Have routers write their addresses into each probe (IPv4, ip:// only)
    ///
    /// An IP echo host forgets those of the way there: what comes back was recorded on the way back.
    #[arg(long)]
    pub record_route: bool,

    /// Have routers write the time into each probe (IPv4, ip:// only)
    #[arg(long, value_name = "FORM", num_args = 0..=1, require_equals = true, default_missing_value = "times")]
    pub timestamp_option: Option<TimestampOption>,

    /// Send probes by these routers, in this order, with others between them (IPv4, ip:// only)
    #[arg(long, value_name = "HOP,...", value_delimiter = ',', value_parser = parse_hop)]
    pub source_route: Vec<Ipv4Addr>,

    /// Probes in flight at most when the interval is 0
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub window: u32,

    /// Instead of probing, have the host send N datagrams, D apart, after a silence of S: N/D/S[/same|port|address]
    ///
    /// A UDP echo host of halloo does that for who has proved where it is. It tells for how long a NAT or a firewall keeps
    /// its door open, and for whom: from the port that was asked (same), from another port of the host, or from another of
    /// its addresses, where it has any. N is 1 to 16, D at least 10ms, S at most 15m. Nothing is sent in the silence.
    #[arg(
        long,
        value_name = "N/D/S",
        value_parser = parse_pingback,
        conflicts_with_all = [
            "size", "interval", "count", "deadline", "face", "df", "record_route", "timestamp_option", "source_route",
            "window", "log_dir", "csv_wide", "zero_rtt", "migrate",
        ]
    )]
    pub pingback: Option<Ask>,

    /// Sign UDP probes with the key in this file (16 to 1024 bytes, unreadable to others), and accept signed answers only
    #[arg(long, value_name = "FILE")]
    pub key_file: Option<PathBuf>,

    /// Write a log and a CSV file per session to this directory
    ///
    /// They are echo_client_TIMESTAMP.log and echo_client_TIMESTAMP_timings.csv. With several sessions the second
    /// and later ones carry their number behind the TIMESTAMP: echo_client_TIMESTAMP-2.log.
    #[arg(long, value_name = "DIR")]
    pub log_dir: Option<PathBuf>,

    /// Write every exchange with all that is known of it to this CSV file
    #[arg(long, value_name = "FILE")]
    pub csv_wide: Option<PathBuf>,

    /// Print JSON, one object a line
    #[arg(long)]
    pub json: bool,

    /// Print nothing but the beginning and the summary
    #[arg(short, long)]
    pub quiet: bool,

    /// Print the time of day, in Unix seconds, before each line
    #[arg(short = 'D', long = "print-time")]
    pub print_time: bool,

    // What goes with some targets alone.
    #[command(flatten)]
    #[expect(missing_docs, reason = "each of its options has a text of its own")]
    pub http: HttpArgs,

    #[command(flatten)]
    #[expect(missing_docs, reason = "each of its options has a text of its own")]
    pub quic: QuicArgs,

    #[command(flatten)]
    #[expect(missing_docs, reason = "each of its options has a text of its own")]
    pub path: PathArgs,
}

/// What routers write into a timestamp option (RFC 791).
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TimestampOption {
    /// The time of each, in milliseconds since midnight UT
    Times,
    /// The address of each before its time
    WithAddresses,
}

pub(super) const PING_ABOUT: &str = "Asks an echo host at an even pace and reports each round trip three ways: on the wire (kernel \
                  stamp to kernel stamp, less the time that the answer stayed in the echo host), at this host \
                  (program to program), and as intended (from the moment at which the probe was due, so that a \
                  prober that was held up cannot hide delay).\n\nA TCP target is asked over one long-lived \
                  connection; lookup, connect and each exchange are reported apart. Ctrl-C ends with a summary, \
                  Ctrl-\\ prints a running line.\n\nIn the line of an answer `wire<` is an upper bound: the echo host \
                  tells the exact time that an answer stayed there only with a later one. The summary has the exact \
                  values.";

const PING_EXAMPLES: &str = "\
EXAMPLES:
  Once a second over UDP, until Ctrl-C
      $ halloo ping echo.example.net

  Ten probes, five a second, over one TCP connection to port 7
      $ halloo ping -c 10 -i 0.2 tcp://192.0.2.7

  Two links at once, each with a log and a CSV file
      $ halloo ping -I eth0 -I wwan0 --log-dir logs udp://echo.example.net

  Every exchange for another program
      $ halloo ping -c 100 -i 10ms --json udp://[2001:db8::7]:7777 \
        | jq 'select(.type == \"exchange\") | .wire_ns'

  A conversation with oneself through an IP echo host: raw IP, UDP and TCP
      $ sudo halloo ping -c 5 --record-route ip://192.0.2.7
      $ halloo ping -c 5 udp+ip://192.0.2.7
      $ halloo ping -c 5 tcp+ip://192.0.2.7

  The longest packet that the path carries, and whether routers keep silent about it
      $ halloo ping --pmtu udp://echo.example.net

  Whether one of several parallel ways (ECMP) is bad, over 64 source ports
      $ halloo ping --spread 64 udp://echo.example.net

  What the path makes of DSCP and ECN, in each direction
      $ halloo ping -c 10 --dscp ef --ecn ect0 udp://echo.example.net

  An NDN ping server, by this host's forwarder, and another without any
      $ halloo ping -c 5 ndn:/edu/arizona ndn://echo.example.net/edu/arizona

  Three datagrams back, 100 ms apart, after half a minute without a word: does the NAT still know us?
      $ halloo ping --pingback 3/100ms/30s udp://echo.example.net

EXIT STATUS:
  0  every probe was answered; with --pingback, something came; with --pmtu, a path MTU was found; with --spread, no
     share of the ports is bad
  1  a probe was lost or refused, a target could not be reached, or the result could not be written
  2  the command line is wrong";

/// `halloo echo-client`.
#[derive(Args, Debug)]
#[command(
    after_long_help = ECHO_CLIENT_EXAMPLES
)]
pub struct EchoClientArgs {
    /// Name or address of the echo server
    #[arg(value_name = "HOST")]
    pub host: String,

    /// Its TCP port
    #[arg(value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub port: u16,

    /// Bytes of each packet
    #[arg(long, value_name = "BYTES", default_value_t = 64)]
    pub size: u32,

    /// Time between packets, in seconds
    #[arg(long, visible_alias = "interval", value_name = "SECONDS", default_value = "1.0", value_parser = parse_interval)]
    pub frequency: Interval,

    /// Stop after so many packets; 0 goes on until stopped
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub count: u64,

    /// Call a packet lost when no answer came for so long
    #[arg(long, value_name = "SECONDS", default_value = "5.0", value_parser = parse_span)]
    pub timeout: Duration,

    /// Directory for the two files; made if it is not there
    #[arg(long, value_name = "DIR", default_value = "logs")]
    pub log_dir: PathBuf,
}

pub(super) const ECHO_CLIENT_ABOUT: &str = "Measures the round trip of packets over one long-lived TCP connection, and writes \
                  echo_client_TIMESTAMP.log and echo_client_TIMESTAMP_timings.csv. The command line of the \
                  older echo_client.py works as it is.";

const ECHO_CLIENT_EXAMPLES: &str = "\
EXAMPLES:
  One packet a second to an echo service, until Ctrl-C
      $ halloo echo-client echo.example.net 7

  A hundred packets of 1 KiB, ten a second
      $ halloo echo-client 192.0.2.7 7 --size 1024 --frequency 0.1 --count 100

FILES:
  logs/echo_client_TIMESTAMP.log           what happened, for people
  logs/echo_client_TIMESTAMP_timings.csv   packet_num,timestamp,send_time_ns,receive_time_ns,rtt_us";
