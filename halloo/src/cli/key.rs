//! `halloo key`.

use super::value::{MacAddress, parse_mac, parse_network};
use clap::{Args, Subcommand};
use ipnet::IpNet;
use std::path::PathBuf;

/// `halloo key`.
#[derive(Args, Debug)]
#[command(after_long_help = KEY_EXAMPLES)]
pub struct KeyArgs {
    /// What to do
    #[command(subcommand)]
    pub deed: KeyDeed,
}

/// What can be done with keys.
#[derive(Debug, Subcommand)]
pub enum KeyDeed {
    /// Make an identity, or an authority that signs certificates
    New(NewKeyArgs),
    /// Show what is in a file of keys or certificates, secrets left out
    Show(ShowKeyArgs),
    /// Sign a membership certificate
    Sign(SignArgs),
    /// Take a certificate back
    Revoke(RevokeArgs),
}

/// `halloo key new`.
#[derive(Args, Debug)]
pub struct NewKeyArgs {
    /// The file, which must not be there yet; nobody but its owner will be able to read it
    #[arg(value_name = "FILE")]
    pub file: PathBuf,

    /// Make an authority's key, which signs certificates; its public part goes to FILE.pub
    #[arg(long)]
    pub ca: bool,

    /// Make a community's secret
    #[arg(long, conflicts_with = "ca")]
    pub secret: bool,
}

/// `halloo key show`.
#[derive(Args, Debug)]
pub struct ShowKeyArgs {
    /// The file
    #[arg(value_name = "FILE")]
    pub file: PathBuf,

    /// The community whose secret the file has, to show its number
    #[arg(long, value_name = "NAME")]
    pub community: Option<String>,

    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `halloo key sign`.
#[derive(Args, Debug)]
pub struct SignArgs {
    /// The authority's key
    #[arg(long, value_name = "FILE")]
    pub ca: PathBuf,

    /// The member's public key, as `halloo key show` prints it, or a file that has it
    #[arg(value_name = "KEY|FILE")]
    pub member: String,

    /// The community
    #[arg(long, value_name = "NAME")]
    pub community: String,

    /// The member's name, at most 32 bytes
    #[arg(long, value_name = "NAME")]
    pub name: String,

    /// An Ethernet address that the member may send from; may be repeated [default: any]
    #[arg(long, value_name = "MAC", value_parser = parse_mac)]
    pub mac: Vec<MacAddress>,

    /// An address that the member may use, or a network that it may speak for; may be repeated [default: any]
    ///
    /// 10.9.0.3/24 is one address, 10.9.0.0/24 a network, as a router needs it. The other edges drop ARP, IPv4, neighbour
    /// discovery and IPv6 from this member that say something else, but for the link-local address of its own Ethernet address.
    #[arg(long, value_name = "ADDR[/LEN]", value_parser = parse_network)]
    pub address: Vec<IpNet>,

    /// Days until it ends
    #[arg(long, value_name = "DAYS", default_value_t = 365, value_parser = clap::value_parser!(u32).range(1..=36_500))]
    pub days: u32,

    /// Write it here [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// `halloo key revoke`.
#[derive(Args, Debug)]
pub struct RevokeArgs {
    /// The authority's key
    #[arg(long, value_name = "FILE")]
    pub ca: PathBuf,

    /// The list, which is made if it is not there
    #[arg(long, value_name = "FILE")]
    pub list: PathBuf,

    /// The certificates that are taken back
    #[arg(value_name = "CERTIFICATE", required = true)]
    pub certificates: Vec<PathBuf>,
}

pub(super) const KEY_ABOUT: &str = "Makes and shows what members of an overlay network know each other by: the secret of a \
                  community, the identity of an edge or a supernode, an authority and the certificates that it \
                  signs.\n\nWhat is secret is written to files that nobody but their owner may read, and never printed.";

const KEY_EXAMPLES: &str = "\
EXAMPLES:
  A secret for a community
      $ halloo key new --secret secret

  An identity, and its public key
      $ halloo key new edge.key
      $ halloo key show edge.key

  An authority, and a member that it knows
      $ halloo key new --ca ca.key
      $ halloo key sign --ca ca.key --community lab --name press-3 --mac 02:00:00:00:00:03 -o edge.crt KEY";
