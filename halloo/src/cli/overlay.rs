//! `halloo edge` and `halloo supernode`.

use super::value::{
    MacAddress, MemberAddress, SupernodeAddress, parse_listen, parse_local_listen, parse_mac,
    parse_member_address, parse_network, parse_supernode,
};
use clap::{Args, Subcommand, ValueEnum};
use ipnet::IpNet;
use std::net::SocketAddr;
use std::path::PathBuf;

/// `halloo edge`.
#[derive(Args, Debug, Default)]
#[command(args_conflicts_with_subcommands = true, after_long_help = EDGE_EXAMPLES)]
pub struct EdgeArgs {
    /// Ask a running edge instead of starting one
    #[command(subcommand)]
    pub ask: Option<EdgeQuestion>,

    /// The community to be a member of: a name, the same at all its edges
    #[arg(long, value_name = "NAME")]
    pub community: Option<String>,

    /// The community's secret, the same at all its edges (unreadable to others)
    ///
    /// A line of text or any bytes. Who has it is a member; supernodes never see it.
    #[arg(long, value_name = "FILE")]
    pub secret_file: Option<PathBuf>,

    /// A supernode that introduces the edges to each other; may be repeated
    ///
    /// With #KEY only the supernode with that key is believed (`halloo key show` prints it). Port 7654 unless another is
    /// given.
    #[arg(long, value_name = "HOST[:PORT][#KEY]", value_parser = parse_supernode)]
    pub supernode: Vec<SupernodeAddress>,

    /// The device's address and its prefix length, or `auto` for one from the supernode's pool; may be repeated
    #[arg(long, value_name = "ADDR/LEN|auto", value_parser = parse_member_address)]
    pub address: Vec<MemberAddress>,

    /// Name of the TAP device [default: halloo0, or the first that is free]
    #[arg(long, value_name = "NAME")]
    pub tap: Option<String>,

    /// Ethernet address of the TAP device [default: one that follows from the identity and the community]
    #[arg(long, value_name = "MAC", value_parser = parse_mac)]
    pub mac: Option<MacAddress>,

    /// Make the TAP device a port of this bridge, to bring the LAN behind it into the community
    #[arg(long, value_name = "BRIDGE", conflicts_with = "address")]
    pub bridge: Option<String>,

    /// The longest payload of a frame [default: 1500; with --data-plane kernel what the paths carry]
    ///
    /// Frames that are longer than the path between two edges carries are split on the way and put together again.
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u16).range(576..=9_000))]
    pub mtu: Option<u16>,

    /// What keeps frames secret; both ends of each pair must agree [default: auto]
    #[arg(long, value_enum, value_name = "CIPHER")]
    pub cipher: Option<CipherChoice>,

    /// What makes frames shorter; both ends of each pair must agree [default: none]
    #[arg(long, value_enum, value_name = "METHOD")]
    pub compress: Option<CompressChoice>,

    /// Who carries the frames; the same at all edges of the community [default: user]
    #[arg(long, value_enum, value_name = "PLANE")]
    pub data_plane: Option<PlaneChoice>,

    /// The UDP port of the VXLAN device of --data-plane kernel [default: 7656]
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub vxlan_port: Option<u16>,

    /// Whether the kernel cuts and joins datagrams, several of which go in one call [default: auto]
    ///
    /// `auto` stops where that does not work, for each peer. `off` is slower, and for hosts that lose or spoil them in
    /// other ways.
    #[arg(long, value_enum, value_name = "WHETHER")]
    pub offload: Option<OffloadChoice>,

    /// UDP ports from which frames go to a peer that is sent much, 1 to 8 [default: 4]
    ///
    /// Clouds, links that are bundled and cards with several queues hold one pair of ports below what they carry in all. A
    /// further port is used where its packets arrive, for each flow of the frames always the same one; 1 is the listening
    /// port alone, in both directions.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=8))]
    pub flows: Option<u8>,

    /// Bytes a second above which it is much [default: 33554432]
    #[arg(long, value_name = "BYTES", hide = true)]
    pub flows_above: Option<u64>,

    /// The local UDP port or address [default: any port that is free]
    #[arg(long, value_name = "ADDR", value_parser = parse_listen)]
    pub listen: Option<SocketAddr>,

    /// Who this edge is: a file of `halloo key new` [default: somebody new at each start]
    #[arg(long, value_name = "FILE")]
    pub key_file: Option<PathBuf>,

    /// A membership certificate for the key of --key-file, signed by `halloo key sign`
    #[arg(long, value_name = "FILE", requires_all = ["key_file", "ca"])]
    pub certificate: Option<PathBuf>,

    /// Believe only members with a certificate of this authority
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,

    /// Believe no certificate that is in this list of `halloo key revoke`
    ///
    /// It is read again when it changes, within a second or two; members that are on it then are parted from at once. It has to be
    /// readable for the user that the edge becomes (--user).
    #[arg(long, value_name = "FILE")]
    pub revoked: Option<PathBuf>,

    /// A name for people, at most 32 bytes [default: the host's]
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,

    /// Carry for other members that cannot reach each other
    #[arg(long)]
    pub relay: bool,

    /// Talk through supernodes only, as behind a firewall
    #[arg(long)]
    pub no_direct: bool,

    /// Tell Prometheus at http://ADDR/metrics how it stands: PORT of 127.0.0.1, or ADDRESS:PORT [default: off]
    ///
    /// Whoever reaches the address may read it: names, addresses and counters, and no secrets.
    #[arg(long, value_name = "ADDR", value_parser = parse_local_listen)]
    pub metrics: Option<SocketAddr>,

    /// Answer `halloo edge status` at this Unix socket [default: /run/halloo/edge-TAP.sock]
    ///
    /// For edges in several network namespaces of one host whose devices are called the same.
    #[arg(long, value_name = "PATH")]
    pub control: Option<PathBuf>,

    /// Become this user once the device is made [default when root: nobody]
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,

    /// Read the configuration from this TOML file; options on the command line win over it
    #[arg(short, long, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Print JSON, one object a line
    #[arg(long)]
    pub json: bool,
}

/// What a running edge can be asked.
#[derive(Debug, Subcommand)]
pub enum EdgeQuestion {
    /// Show the peers of a running edge: paths, round trips, loss, ciphers
    Status(StatusArgs),
}

/// `halloo edge status`.
#[derive(Args, Debug)]
#[command(after_long_help = "\
EXAMPLES:
  $ halloo edge status
  $ halloo edge status halloo0 --counters
  $ halloo edge status --json | jq '.peers[] | {name, rtt: .paths[0].round_trip_ns}'

EXIT STATUS:
  0  the edge is up and a supernode or a peer answers it
  1  nobody answers it, or there is no such edge
  2  several run here, and it was not said which")]
pub struct StatusArgs {
    /// The TAP device of the edge, where several run on this host
    #[arg(value_name = "TAP")]
    pub tap: Option<String>,

    /// The Unix socket of an edge that was started with --control
    #[arg(long, value_name = "PATH", conflicts_with = "tap")]
    pub control: Option<PathBuf>,

    /// Show what was counted, too, with what was dropped and why
    #[arg(long)]
    pub counters: bool,

    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Ciphers as they are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum CipherChoice {
    /// The fastest on this host of those that the other end takes; never `mac` or `none`
    Auto,
    /// AES-256-GCM
    #[value(name = "aes-256-gcm")]
    Aes256Gcm,
    /// AES-128-GCM
    #[value(name = "aes-128-gcm")]
    Aes128Gcm,
    /// ChaCha20-Poly1305
    #[value(name = "chacha20-poly1305")]
    ChaCha20Poly1305,
    /// Frames in the clear that nobody can change
    Mac,
    /// Frames in the clear, for networks that are trusted
    None,
}

/// Who carries the frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PlaneChoice {
    /// This program, sealed and by every way that there is
    User,
    /// The kernel, by VXLAN: in the clear (--cipher none), within a trusted network, between members without NAT
    Kernel,
}

/// Compressions as they are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum CompressChoice {
    /// Not at all
    None,
    /// LZ4: fast
    Lz4,
    /// Zstandard: smaller
    Zstd,
}

/// Whether the kernel and the devices may cut and join for us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OffloadChoice {
    /// As far as they can, and as long as what goes so arrives
    Auto,
    /// Never: each datagram and each frame by itself
    Off,
}

pub(super) const EDGE_ABOUT: &str = "Joins an Ethernet that spans networks which have none: what is sent to the TAP \
                  device reaches the other edges of the community, broadcast, multicast and every other kind of frame. \
                  Edges talk to each other directly once a supernode has introduced them, encrypted from end to \
                  end.\n\nSIGUSR1 prints the peers; SIGTERM and Ctrl-C end and take the device away. Under systemd it \
                  reports readiness once a supernode has registered it.";

const EDGE_EXAMPLES: &str = "\
EXAMPLES:
  Three hosts, one Ethernet: on one of them, or on a fourth
      $ halloo supernode
  On each, with addresses of their own
      $ sudo halloo edge --community lab --secret-file secret --supernode 192.0.2.1 --address 10.9.0.1/24

  With an address from the supernode's pool
      $ sudo halloo edge --community lab --secret-file secret --supernode 192.0.2.1 --address auto

  Within a VPC, in the clear
      $ sudo halloo edge --community lab --secret-file secret --supernode 10.0.0.1 --address auto --cipher none

  Within a VPC, in the clear, carried by the kernel
      $ sudo halloo edge --community lab --secret-file secret --supernode 10.0.0.1 --cipher none --data-plane kernel

  A LAN behind the edge
      $ sudo halloo edge --community lab --secret-file secret --supernode 192.0.2.1 --bridge br0

  Who is there
      $ halloo edge status

SIGNALS:
  USR1       print the peers and the counters
  TERM, INT  leave and stop

EXIT STATUS:
  0  it was stopped
  2  the command line or the configuration is wrong, or the device could not be made";

/// `halloo supernode`.
#[derive(Args, Debug, Default)]
#[command(after_long_help = SUPERNODE_EXAMPLES)]
pub struct SupernodeArgs {
    /// Listen here: PORT, or ADDRESS:PORT with an IPv6 address in brackets; may be repeated [default: 7654]
    #[arg(long, value_name = "ADDR", value_parser = parse_listen)]
    pub listen: Vec<SocketAddr>,

    /// Who this supernode is: a file of `halloo key new` [default: somebody new at each start]
    #[arg(long, value_name = "FILE")]
    pub key_file: Option<PathBuf>,

    /// Give members that ask for one an address of this network
    #[arg(long, value_name = "ADDR/LEN", value_parser = parse_network)]
    pub pool: Option<IpNet>,

    /// Another supernode, of which the edges are told; may be repeated
    #[arg(long, value_name = "HOST[:PORT]#KEY", value_parser = parse_supernode)]
    pub peer: Vec<SupernodeAddress>,

    /// Serve this community only, by the number that `halloo edge` prints; may be repeated
    #[arg(long, value_name = "ID")]
    pub community: Vec<String>,

    /// Whether the kernel cuts and joins the datagrams that it carries, several of which go in one call [default: auto]
    ///
    /// Say `off` where edges find that what is carried here together is lost.
    #[arg(long, value_enum, value_name = "WHETHER")]
    pub offload: Option<OffloadChoice>,

    /// Introduce edges, but carry nothing for those that cannot meet
    #[arg(long)]
    pub no_relay: bool,

    /// Tell Prometheus at http://ADDR/metrics how it stands: PORT of 127.0.0.1, or ADDRESS:PORT [default: off]
    ///
    /// Whoever reaches the address may read it: names, addresses and counters, and no secrets.
    #[arg(long, value_name = "ADDR", value_parser = parse_local_listen)]
    pub metrics: Option<SocketAddr>,

    /// Become this user once all listeners are bound [default when root: nobody]
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,

    /// Read the configuration from this TOML file; options on the command line win over it
    #[arg(short, long, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Print JSON, one object a line
    #[arg(long)]
    pub json: bool,
}

pub(super) const SUPERNODE_ABOUT: &str = "Introduces the edges of communities to each other, and carries for those \
                  that cannot meet. It has no key to what they say to each other, and needs no configuration: a \
                  community is whoever comes with the same secret.\n\nSIGUSR1 prints counters; SIGTERM and Ctrl-C end \
                  with them. Edges that have met go on without it.";

const SUPERNODE_EXAMPLES: &str = "\
EXAMPLES:
  On port 7654 of all addresses
      $ halloo supernode

  With an identity that edges can insist on, and addresses to give away
      $ halloo key new /etc/halloo/supernode.key
      $ halloo supernode --key-file /etc/halloo/supernode.key --pool 10.9.0.0/24

  Two that know each other
      $ halloo supernode --key-file supernode.key --peer other.example.net#KEY

SIGNALS:
  USR1       print the counters
  TERM, INT  stop, and print the counters

EXIT STATUS:
  0  it was stopped
  2  the command line or the configuration is wrong, or a listener could not start";
