//! Halloo's chores, behind `cargo xtask`.
//!
//! `test` is the one command that says whether the tree is good; the others build what is not part of every
//! build: benches, fuzzers, manual pages. Nothing here depends on the rest of the workspace, so that a broken
//! crate does not break the command that says so.
#![forbid(unsafe_code)]
#![expect(
    clippy::print_stdout,
    reason = "a report on the terminal is what these commands are for"
)]

mod bench;
mod bpf;
mod check;
mod command;
mod fuzz;
mod lab;
mod man;
mod packages;
mod peers;
mod report;
mod tools;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Halloo's chores.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Run every check that a change must pass; install what is missing when root.
    Test,
    /// Measure halloo beside its peers, in one run.
    Bench {
        /// What to measure, such as `echo`, and its options.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Run a fuzz target, guided by coverage; without a target, list them.
    Fuzz {
        /// The target's name.
        target: Option<String>,
        /// How long to run, in seconds; 0 runs until something is found.
        #[arg(long, default_value_t = 60)]
        seconds: u64,
    },
    /// Compile the XDP program with clang, and write its bytecode where halloo's build finds it.
    Bpf,
    /// Build a network of namespaces to play in, until Ctrl-C (needs root).
    Lab {
        /// Which.
        lab: lab::Name,
    },
    /// Write the manual pages and shell completions.
    Man {
        /// The folder to write to.
        #[arg(long, default_value = "target/man")]
        out: PathBuf,
    },
}

fn main() -> ExitCode {
    match run(Arguments::parse().chore) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn run(chore: Chore) -> Result<ExitCode> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .context("the workspace is the folder around xtask")?;
    std::env::set_current_dir(root).with_context(|| format!("cannot enter {}", root.display()))?;
    match chore {
        Chore::Test => Ok(check::run()),
        Chore::Bench { arguments } => bench::run(&arguments),
        Chore::Fuzz { target, seconds } => fuzz::run(target.as_deref(), seconds),
        Chore::Bpf => bpf::run(),
        Chore::Lab { lab } => lab::run(lab),
        Chore::Man { out } => man::run(&out),
    }
}
