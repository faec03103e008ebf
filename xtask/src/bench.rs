//! `cargo xtask bench`: the benches, with what they run beside halloo installed.

use crate::command::{cargo, exit_code};
use crate::packages;
use crate::peers;
use crate::report::Ending;
use anyhow::{Context, Result};
use std::process::ExitCode;

/// Hands `arguments` to the bench package, built for speed.
pub(crate) fn run(arguments: &[String]) -> Result<ExitCode> {
    let installed = if arguments.first().is_some_and(|first| first == "overlay") {
        vec![
            packages::ensure(packages::FOR_OVERLAY_BENCH),
            peers::ensure_for_overlay_bench(),
        ]
    } else {
        vec![packages::ensure(packages::FOR_BENCH)]
    };
    for ending in installed {
        match ending {
            Ending::Passed { .. } => {}
            Ending::NotRun(why) => eprintln!("NOT COMPLETE: {why}"),
            Ending::Failed(output) => eprintln!("NOT COMPLETE: the installation of peers failed:\n{output}"),
        }
    }
    let mut command = cargo(&["run", "--release", "--quiet", "--package", "halloo-bench", "--"]);
    let status = command.args(arguments).status().context("cannot run cargo")?;
    Ok(exit_code(status))
}
