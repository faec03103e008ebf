//! Halloo beside its peers: the same load on the same wire in one run.
//!
//! `cargo xtask bench echo` comes here. docs/bench.md says what each row means.
#![forbid(unsafe_code)]
#![expect(
    clippy::print_stdout,
    reason = "a table on the terminal is what this program is for"
)]

mod arena;
mod contender;
mod contest;
mod links;
mod machine;
mod ndn;
mod overlay;
mod report;
mod session;
mod stand;
mod tcp;
mod udp;

use clap::{Args, Parser, Subcommand};
use contender::Contender;
use contest::Part;
use stand::Stand;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

/// Measures halloo beside its peers.
#[derive(Parser)]
#[command(name = "cargo xtask bench", bin_name = "cargo xtask bench")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Echo servers over UDP and TCP. Needs root, for two network namespaces.
    Echo(EchoArguments),
    /// NDN ping: a server's rate, a client's pace.
    Ndn(ndn::NdnArguments),
    /// The overlay beside VXLAN, OpenVPN, tinc, fastd, n2n, VpnCloud and wireguard-go. Needs root, for namespaces.
    Overlay(overlay::OverlayArguments),
    /// Which link carries: three deciders on the same recorded traces.
    Links(links::LinksArguments),
    /// Thousands of members on one supernode: how long until it has them, and what they cost it. Needs root, for two namespaces.
    Supernode(overlay::registrations::SupernodeArguments),
    /// A server that the bench brings along.
    #[command(hide = true)]
    Stand { kind: Stand, at: SocketAddr },
}

/// How long, and which parts.
#[derive(Args)]
pub(crate) struct EchoArguments {
    /// One round of short runs: a look, not a result.
    #[arg(long)]
    quick: bool,
    /// Rounds in which the contenders take turns [default: 5, or 1 with --quick].
    #[arg(long)]
    rounds: Option<usize>,
    /// Only these parts; may be repeated.
    #[arg(long, value_enum)]
    only: Vec<Part>,
    /// Only these contenders; may be repeated.
    #[arg(long, value_enum)]
    who: Vec<Contender>,
    /// Writes the figures of every round to this file.
    #[arg(long)]
    json: Option<PathBuf>,
}

fn main() -> ExitCode {
    let ran = match Arguments::parse().command {
        Command::Echo(arguments) => contest::run(&arguments),
        Command::Ndn(arguments) => ndn::run(&arguments),
        Command::Overlay(arguments) => overlay::run(&arguments),
        Command::Links(arguments) => links::run(&arguments),
        Command::Supernode(arguments) => overlay::registrations::run(&arguments),
        Command::Stand { kind, at } => stand::run(kind, at),
    };
    match ran {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}
