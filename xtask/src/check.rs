//! `cargo xtask test`: every check that a change must pass, in one run.

use crate::bpf;
use crate::command::{built, cargo, quietly, quietly_within};
use crate::man;
use crate::packages;
use crate::peers;
use crate::report::{Ending, Report};
use crate::tools::{self, Pending, Tool};
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::Duration;

/// How long the advisory database may take to arrive before it counts as out of reach.
const FETCH_LIMIT: Duration = Duration::from_secs(60);

/// How a test tells, in a line of its own, that it could not run, and why.
const NOT_RUN_MARK: &str = "SKIPPED";

/// Runs all steps, whatever becomes of each.
///
/// Clippy and the tests need a build each; everything else uses one of the two: the same profile, features
/// and flags throughout.
pub(crate) fn run() -> ExitCode {
    let ci = std::env::var_os("CI").is_some_and(|ci| ci == "true" || ci == "1");
    let mut report = Report::new();
    let nextest = tools::NEXTEST.prepare();
    let deny = tools::DENY.prepare();

    report.step("packages", || {
        packages::ensure(packages::FOR_TESTS).required(ci && packages::is_root())
    });
    report.step("peers", peers::ensure);
    report.step("format", || plain(&["fmt", "--all", "--check"]));
    report.step("lints", || {
        plain(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"])
    });
    report.step("documentation", documentation);
    report.step("build", || plain(&["build", "--workspace", "--tests", "--bins"]));
    if report.has_failed("build") {
        report.step("tests", || {
            Ending::NotRun("nothing to run: the build failed".into())
        });
    } else {
        // A run without tests is no success anywhere; without the other tool it is one on a desk.
        report.step("tests", || with(nextest, &tools::NEXTEST, true, tests));
        report.step("doc tests", || plain(&["test", "--workspace", "--doc"]));
        report.step("examples", examples);
        report.step("manual", man::check);
    }
    report.step("bytecode", || bpf::check().required(ci && packages::is_root()));
    report.step("dependencies", || with(deny, &tools::DENY, ci, dependencies));
    report.step("advisories", advisories);
    report.finish()
}

fn plain(arguments: &[&str]) -> Ending {
    ending(cargo(arguments), String::new())
}

fn ending(command: Command, note: String) -> Ending {
    let finished = quietly(command);
    if finished.success {
        Ending::passed(note)
    } else {
        Ending::Failed(finished.output)
    }
}

/// Runs a step with its tool. Where the tool cannot be had the step did not run, which is a failure if it is
/// `required`.
fn with(pending: Pending, tool: &Tool, required: bool, step: fn() -> Ending) -> Ending {
    match pending.wait() {
        Ok(()) => step(),
        Err(why) => Ending::NotRun(format!("{} cannot be had\n{why}", tool.name)).required(required),
    }
}

fn documentation() -> Ending {
    let mut command = cargo(&["doc", "--workspace", "--no-deps"]);
    command.env("RUSTDOCFLAGS", "-D warnings");
    ending(command, String::new())
}

fn tests() -> Ending {
    let finished = quietly(cargo(&[
        "nextest",
        "run",
        "--workspace",
        "--color=never",
        // What passing tests said is where they tell what they could not do.
        "--success-output=immediate",
        "--failure-output=final",
    ]));
    let summary = finished.output.find("Summary [").map(|at| {
        let line = finished.output[..at].rfind('\n').map_or(0, |end| end + 1);
        &finished.output[line..]
    });
    match summary {
        Some(summary) if finished.success => Ending::Passed {
            note: format!("\n{}", summary.lines().next().unwrap_or_default()),
            not_run: not_run(&finished.output),
        },
        // The failures, and what they said, follow the summary.
        Some(summary) => Ending::Failed(summary.to_owned()),
        None => Ending::Failed(finished.output),
    }
}

/// The lines by which tests told that they could not run, each once.
fn not_run(output: &str) -> Vec<String> {
    let mut lines: Vec<_> = output
        .lines()
        .filter_map(|line| line.trim_start().strip_prefix(NOT_RUN_MARK))
        .map(|rest| rest.trim_start_matches([':', ' ']).to_owned())
        .collect();
    lines.sort();
    lines.dedup();
    lines
}

/// Every configuration file that is shown to people must be one that halloo accepts.
fn examples() -> Ending {
    match example_files() {
        Ok(files) if files.is_empty() => Ending::Failed("there are no examples/*.toml".into()),
        Ok(files) => check_examples(&files),
        Err(error) => Ending::Failed(format!("examples: {error}")),
    }
}

fn example_files() -> std::io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir("examples")? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn check_examples(files: &[PathBuf]) -> Ending {
    let halloo = match built("halloo") {
        Ok(path) => path,
        Err(error) => return Ending::Failed(format!("the path of halloo: {error}")),
    };
    let mut complaints = String::new();
    for file in files {
        let mut command = Command::new(&halloo);
        command.arg("check").arg(file);
        let finished = quietly(command);
        if !finished.success {
            complaints += &finished.output;
        }
    }
    if complaints.is_empty() {
        Ending::passed(format!("{} files", files.len()))
    } else {
        Ending::Failed(complaints)
    }
}

fn dependencies() -> Ending {
    plain(&[
        "deny",
        "--log-level=error",
        "check",
        "bans",
        "licenses",
        "sources",
    ])
}

/// Known holes in what halloo depends on. The list of them lives on the Internet, which not every machine
/// that tests may reach.
fn advisories() -> Ending {
    if !tools::DENY.is_present() {
        return Ending::NotRun(format!("{} is missing", tools::DENY.name));
    }
    let fetched = quietly_within(cargo(&["deny", "--log-level=error", "fetch", "db"]), FETCH_LIMIT);
    if !fetched.success {
        return Ending::NotRun("the advisory database is not reachable from here".into());
    }
    plain(&[
        "deny",
        "--log-level=error",
        "check",
        "--disable-fetch",
        "advisories",
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_tests_could_not_do_is_found_in_their_output_and_told_once() {
        let output = "  stderr ───\n    SKIPPED: veth_loss: not root\n    SKIPPED: veth_loss: not root\n  \
                      SKIPPED a: no xinetd\n    nothing was SKIPPED here\n";
        assert_eq!(not_run(output), ["a: no xinetd", "veth_loss: not root"]);
    }
}
