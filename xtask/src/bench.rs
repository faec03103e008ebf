//! `cargo xtask bench`: the benches, with what they run beside halloo installed.

use crate::command::{cargo, exit_code};
use crate::packages;
use crate::report::Ending;
use anyhow::{Context, Result};
use std::process::ExitCode;

/// Hands `arguments` to the bench package, built for speed.
pub(crate) fn run(arguments: &[String]) -> Result<ExitCode> {
    match packages::ensure(packages::FOR_BENCH) {
        Ending::Passed { .. } => {}
        Ending::NotRun(why) => eprintln!("NOT COMPLETE: {why}"),
        Ending::Failed(output) => eprintln!("NOT COMPLETE: the installation of peers failed:\n{output}"),
    }
    let mut command = cargo(&["run", "--release", "--quiet", "--package", "halloo-bench", "--"]);
    let status = command.args(arguments).status().context("cannot run cargo")?;
    Ok(exit_code(status))
}
