//! The command line: every command, option and help text.

mod http;
mod key;
mod nat;
mod ndn;
pub mod overlay;
mod path;
mod ping;
mod quic;
mod serve;
mod value;

pub use http::HttpArgs;
pub use key::{KeyArgs, KeyDeed, NewKeyArgs, RevokeArgs, ShowKeyArgs, SignArgs};
pub use nat::NatArgs;
pub(crate) use ndn::parse_ndn_service as ndn_service;
pub use ndn::{NdnService, ProgramArgs};
pub use path::PathArgs;
pub use ping::{EchoClientArgs, PingArgs, TimestampOption};
pub use quic::QuicArgs;
pub use serve::{CheckArgs, DemoArgs, ServeArgs};
pub use value::{
    Dscp, EchoAddress, Ecn, Interval, Link, MacAddress, MemberAddress, OtherAddress, SupernodeAddress,
    XdpDevice, XdpMode,
};
pub(crate) use value::{
    device_name, duration as span, parse_echo_address as echo_address, parse_listen as listen_address,
    parse_local_listen as local_address, parse_mac as mac, parse_member_address as member_address,
    parse_other_address as other_address, parse_supernode as supernode_address,
    parse_xdp_device as xdp_device,
};

use crate::ndn::Program;
use clap::{Args, CommandFactory, Parser, Subcommand};
use clap_complete::Shell;
use std::path::PathBuf;

/// The whole command line.
#[derive(Debug, Parser)]
#[command(
    name = "halloo",
    version,
    about = "Answers, asks and carries: an echo host, a precise ping, an Ethernet across clouds",
    long_about = "Halloo answers, asks and carries. `halloo serve` is an echo host that is safe to leave open to the \
                  Internet; `halloo ping` asks one and measures the round trip to the nanosecond, with the \
                  kernel's own stamps; `halloo edge` carries: hosts become one Ethernet, broadcast and multicast \
                  included, across networks that have none, once `halloo supernode` has introduced them.",
    after_long_help = EXAMPLES,
    subcommand_required = true,
    arg_required_else_help = true,
    disable_help_subcommand = true,
    max_term_width = 100
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const EXAMPLES: &str = "\
EXAMPLES:
  See it work, on this machine alone
      $ halloo demo

  Answer on UDP and TCP port 7777
      $ halloo serve

  Ask over two links side by side, five times a second
      $ halloo ping -i 0.2 -I eth0 -I wwan0 udp://echo.example.net

  Carry: one Ethernet of several hosts, each with an address of its own
      $ halloo supernode
      $ halloo key new --secret secret
      $ sudo halloo edge --community lab --secret-file secret --supernode 192.0.2.1 --address 192.168.77.1/24

EXIT STATUS:
  0  all went well; every probe was answered
  1  a probe was lost or refused, or the other side could not be reached
  2  the command line or a configuration file is wrong, or a listener could not start";

/// What halloo can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Answer: run an echo host
    #[command(long_about = serve::SERVE_ABOUT)]
    Serve(ServeArgs),
    /// Ask: measure round trips to one or more echo hosts
    #[command(long_about = ping::PING_ABOUT)]
    Ping(PingArgs),
    /// Find out what a NAT does between here and the Internet
    #[command(long_about = nat::NAT_ABOUT)]
    Nat(NatArgs),
    /// Ask over one long-lived TCP connection and write a log and a CSV file
    #[command(long_about = ping::ECHO_CLIENT_ABOUT)]
    EchoClient(EchoClientArgs),
    /// Check a configuration file
    Check(CheckArgs),
    /// Show what halloo measures: an echo host and a prober for every protocol, on loopback
    #[command(long_about = serve::DEMO_ABOUT)]
    Demo(DemoArgs),
    /// Ask an NDN ping server, as the program of ndn-tools does
    #[command(
        disable_help_flag = true,
        long_about = ndn::NDNPING_ABOUT,
        after_long_help = ndn::explained(Program::Ping)
    )]
    Ndnping(ProgramArgs),
    /// Answer NDN pings, as the program of ndn-tools does
    #[command(
        disable_help_flag = true,
        long_about = ndn::NDNPINGSERVER_ABOUT,
        after_long_help = ndn::explained(Program::PingServer)
    )]
    Ndnpingserver(ProgramArgs),
    /// Carry: join an Ethernet that spans networks which have none
    #[command(long_about = overlay::EDGE_ABOUT)]
    Edge(Box<overlay::EdgeArgs>),
    /// Introduce the edges of such networks to each other
    #[command(long_about = overlay::SUPERNODE_ABOUT)]
    Supernode(overlay::SupernodeArgs),
    /// Make and show the keys of overlay networks
    #[command(long_about = key::KEY_ABOUT)]
    Key(KeyArgs),
    /// Print a completion script for a shell
    Completions(CompletionsArgs),
    /// Write the manual pages
    #[command(hide = true)]
    Man(ManArgs),
}

/// `halloo completions`.
#[derive(Args, Debug)]
#[command(after_long_help = "\
EXAMPLES:
  $ halloo completions bash > ~/.local/share/bash-completion/completions/halloo
  $ halloo completions zsh > ~/.zfunc/_halloo")]
pub struct CompletionsArgs {
    /// The shell that is to complete
    #[arg(value_name = "SHELL")]
    pub shell: Shell,
}

/// `halloo man`.
#[derive(Args, Debug)]
pub struct ManArgs {
    /// Directory for the pages, one per command; without it the page of halloo itself is printed
    #[arg(value_name = "DIR")]
    pub dir: Option<PathBuf>,
}

/// The command line as a [`clap::Command`], for manual pages and completions.
pub fn command() -> clap::Command {
    Cli::command()
}

#[cfg(test)]
mod tests;
