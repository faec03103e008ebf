//! `cargo xtask lab`: networks of namespaces for people.

use crate::command::{built, cargo};
use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

/// Which network.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Name {
    /// Three hosts with an edge each, and a supernode.
    Overlay,
}

impl Name {
    /// The example of the package `halloo-lab` that builds it.
    fn example(self) -> &'static str {
        match self {
            Name::Overlay => "overlay",
        }
    }
}

/// Builds what it needs, and becomes it: what Ctrl-C is for is then the lab itself.
pub(crate) fn run(name: Name) -> Result<ExitCode> {
    let example = name.example();
    for what in [
        ["--package", "halloo", "--bin", "halloo"],
        ["--package", "halloo-lab", "--example", example],
    ] {
        let mut command = cargo(&["build", "--quiet"]);
        let status = command.args(what).status().context("cannot run cargo")?;
        ensure!(status.success(), "the lab does not build");
    }
    let halloo = built("halloo")?;
    let error = Command::new(built("examples")?.join(example)).arg(halloo).exec();
    Err(error).context("cannot run the lab")
}
