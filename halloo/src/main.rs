//! The `halloo` command; see `halloo help`.
#![forbid(unsafe_code)]

use clap::Parser;
use halloo::cli::Cli;
use std::process::ExitCode;

fn main() -> ExitCode {
    halloo::run(&Cli::parse())
}
