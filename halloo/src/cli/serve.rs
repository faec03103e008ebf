//! `halloo serve`, `halloo check` and `halloo demo`.

use super::ndn::{NdnService, parse_ndn_service};
use super::value::{
    EchoAddress, OtherAddress, XdpDevice, parse_echo_address, parse_listen, parse_other_address,
    parse_xdp_device,
};
use clap::Args;
use std::net::SocketAddr;
use std::path::PathBuf;

/// `halloo serve`.
#[derive(Args, Debug, Default)]
#[command(
    after_long_help = SERVE_EXAMPLES
)]
pub struct ServeArgs {
    /// Answer UDP here: PORT, or ADDRESS:PORT with an IPv6 address in brackets; may be repeated
    ///
    /// A port alone means every address, IPv4 and IPv6. Where --udp, --tcp or another option that names a place to
    /// answer at is given, nothing else is listened on.
    #[arg(long, value_name = "ADDR", value_parser = parse_listen)]
    pub udp: Vec<SocketAddr>,

    /// Answer TCP here; may be repeated
    #[arg(long, value_name = "ADDR", value_parser = parse_listen)]
    pub tcp: Vec<SocketAddr>,

    /// Answer on port 7 too, UDP and TCP (the echo service of RFC 862)
    #[arg(long)]
    pub classic: bool,

    /// Turn round every IP datagram to this address, of any protocol (RFC 2075); may be repeated
    ///
    /// The address must be one that no host has. It is routed to a TUN device, through which the host forwards; with
    /// @DEVICE it is answered for on that Ethernet device itself, ARP and neighbour discovery included, and then takes
    /// exactly one hop. Everything is removed when halloo ends. --dry-run tells beforehand.
    #[arg(long, value_name = "ADDR[@DEV]", value_parser = parse_echo_address)]
    pub ip_echo: Vec<EchoAddress>,

    /// Answer in the driver of this device what needs no more than a look (XDP); may be repeated
    ///
    /// UDP echo and IP echo are then answered before the kernel has looked at them, by the same rules. `native` insists
    /// on the driver itself, `generic` works with any.
    #[arg(long, value_name = "DEV[,auto|native|generic]", value_parser = parse_xdp_device)]
    pub xdp: Vec<XdpDevice>,

    /// Answer NDN pings under this name prefix; may be repeated
    ///
    /// By the forwarder of this host, where the prefix is registered; or with @ADDR, which is PORT or ADDRESS:PORT, at a
    /// UDP and TCP port of its own, without any forwarder.
    #[arg(long, value_name = "/PREFIX[@ADDR]", value_parser = parse_ndn_service)]
    pub ndn: Vec<NdnService>,

    /// Reflect STAMP and TWAMP Light probes here (RFC 8762, usual port 862); may be repeated
    #[arg(long, value_name = "ADDR", value_parser = parse_listen)]
    pub stamp: Vec<SocketAddr>,

    /// Tell STUN clients their address here (RFC 8489, usual port 3478); may be repeated
    #[arg(long, value_name = "ADDR", value_parser = parse_listen)]
    pub stun: Vec<SocketAddr>,

    /// Another address of this host, for STUN clients that ask what their NAT lets in (RFC 5780)
    ///
    /// Beside the one of --stun, with that port and with another, which is the next one unless it is named. Answers come from
    /// whichever of the four places a client wants. May be given once for IPv4 and once for IPv6.
    #[arg(long, value_name = "ADDR[:PORT]", value_parser = parse_other_address)]
    pub stun_other: Vec<OtherAddress>,

    /// Tell the time to NTP clients here (RFC 5905, usual port 123); may be repeated
    ///
    /// As good as the kernel says that this host's clock is: unless somebody keeps it, as chrony does, clients are told not
    /// to follow it.
    #[arg(long, value_name = "ADDR", value_parser = parse_listen)]
    pub ntp: Vec<SocketAddr>,

    /// Answer SIP OPTIONS here, UDP and TCP (RFC 3261, usual port 5060); may be repeated
    #[arg(long, value_name = "ADDR", value_parser = parse_listen)]
    pub sip: Vec<SocketAddr>,

    /// Answer SIP OPTIONS over TLS here (usual port 5061); may be repeated
    #[arg(long, value_name = "ADDR", value_parser = parse_listen)]
    pub sips: Vec<SocketAddr>,

    /// Answer HTTP here, versions 1.1 and 2 (usual port 80); may be repeated
    #[arg(long, value_name = "ADDR", value_parser = parse_listen)]
    pub http: Vec<SocketAddr>,

    /// Answer HTTP over TLS here (usual port 443); may be repeated
    #[arg(long, value_name = "ADDR", value_parser = parse_listen)]
    pub https: Vec<SocketAddr>,

    /// Echo QUIC streams and datagrams here (ALPN echo), and answer HTTP/3 (ALPN h3), usual port 4433; may be repeated
    #[arg(long, value_name = "ADDR", value_parser = parse_listen)]
    pub quic: Vec<SocketAddr>,

    /// Be who this certificate says (PEM, with those that lead to its root behind it)
    ///
    /// Without it a certificate is made at each start; its fingerprint is printed, for `halloo ping --pin`.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,

    /// The key of --tls-cert (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,

    /// Answer every protocol that this build knows, each at its usual port
    ///
    /// Who may not have a port below 1024 gets the one 10000 above: NTP at 10123. NDN pings are answered under /halloo.
    /// Only IP echo is left out: it needs an address of its own (--ip-echo).
    #[arg(long)]
    pub all: bool,

    /// Tell what would be set up and what the host still needs, and touch nothing
    #[arg(long, conflicts_with = "json")]
    pub dry_run: bool,

    /// Read the configuration from this TOML file; options on the command line win over it
    #[arg(short, long, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Accept only signed probes with the key in this file (16 to 1024 bytes, unreadable to others)
    #[arg(long, value_name = "FILE")]
    pub key_file: Option<PathBuf>,

    /// Never sleep while waiting: the shortest answers, at the price of a whole core
    #[arg(long)]
    pub busy_poll: bool,

    /// Become this user once all listeners are bound [default when root: nobody]
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,

    /// Print JSON, one object a line
    #[arg(long)]
    pub json: bool,
}

pub(super) const SERVE_ABOUT: &str = "Sends back what it is sent: every UDP datagram as it came, and all bytes of a TCP connection until \
                  the other side has finished (RFC 862). Probes of `halloo ping` with room for it are answered with \
                  the kernel's stamps, in an answer of the same length.\n\nWithout arguments it listens on port 7777 \
                  of all addresses, UDP and TCP, IPv4 and IPv6. With --ip-echo it is an IP echo host (RFC 2075). SIGUSR1 prints counters; SIGTERM and Ctrl-C end with \
                  them. Under systemd it reports readiness and takes over sockets that were passed to it.";

const SERVE_EXAMPLES: &str = "\
EXAMPLES:
  UDP and TCP echo on port 7777, IPv4 and IPv6
      $ halloo serve

  The classic echo service beside it
      $ sudo halloo serve --classic

  Chosen addresses
      $ halloo serve --udp 192.0.2.7:7777 --udp [2001:db8::7]:7777 --tcp 7

  An IP echo host: first what it would do, then do it
      $ halloo serve --ip-echo 192.0.2.7 --dry-run
      $ sudo halloo serve --ip-echo 192.0.2.7 --ip-echo 2001:db8::7

  On a segment itself, the plain ones answered by the driver
      $ sudo halloo serve --ip-echo 192.0.2.8@eth0 --xdp eth0

  Everything from a file
      $ halloo serve --config /etc/halloo/serve.toml

SIGNALS:
  USR1       print the counters
  TERM, INT  stop, and print the counters

EXIT STATUS:
  0  it was stopped
  2  the command line or the configuration is wrong, or a listener could not start";

/// `halloo check`.
#[derive(Args, Debug)]
#[command(after_long_help = "\
EXAMPLES:
  $ halloo check /etc/halloo/serve.toml
  $ halloo check --print examples/minimal.toml

EXIT STATUS:
  0  the file is right
  2  it is not; the error says where and why")]
pub struct CheckArgs {
    /// The TOML file
    #[arg(value_name = "FILE")]
    pub file: PathBuf,

    /// Print the whole configuration that follows from it, defaults included
    #[arg(long)]
    pub print: bool,
}

/// `halloo demo`.
#[derive(Args, Debug)]
#[command(after_long_help = "\
EXAMPLES:
  $ halloo demo
  $ halloo demo --dir /tmp")]
pub struct DemoArgs {
    /// Make the result folder in this directory
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub dir: PathBuf,
}

pub(super) const DEMO_ABOUT: &str = "Starts an echo host on free loopback ports, and as root an IP echo host on a device of its own; asks \
                  them over every protocol that this build knows, shows what is measured while it is measured, and \
                  writes the result, a CSV file, a log and JSON lines to a new folder. It takes a few seconds and \
                  leaves nothing behind.";
