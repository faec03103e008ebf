//! `cargo xtask man`: manual pages and shell completions, written by the binary about itself.

use crate::command::{built, cargo, quietly};
use crate::report::Ending;
use anyhow::{Context, Result, bail};
use std::path::Path;
use std::process::{Command, ExitCode};

/// Builds halloo and lets it write its manual to `out`.
pub(crate) fn run(out: &Path) -> Result<ExitCode> {
    let status = cargo(&["build", "--quiet", "--package", "halloo"])
        .status()
        .context("cannot run cargo")?;
    if !status.success() {
        bail!("halloo does not build");
    }
    println!("{} in {}", write(out)?, out.display());
    Ok(ExitCode::SUCCESS)
}

/// Writes the manual with the binary that the tests built, and looks at what came out.
pub(crate) fn check() -> Ending {
    match write(Path::new("target/man")) {
        Ok(note) => Ending::passed(note),
        Err(error) => Ending::Failed(format!("{error:#}")),
    }
}

fn write(out: &Path) -> Result<String> {
    let mut command = Command::new(built("halloo")?);
    command.arg("manual").arg(out);
    let finished = quietly(command);
    if !finished.success {
        bail!("halloo did not write its manual:\n{}", finished.output);
    }
    let pages = count(&out.join("man1"), ".1")?;
    let completions = ["halloo.bash", "_halloo", "halloo.fish"];
    for name in completions {
        let path = out.join("completions").join(name);
        let size = std::fs::metadata(&path)
            .with_context(|| format!("{} was not written", path.display()))?
            .len();
        if size == 0 {
            bail!("{} is empty", path.display());
        }
    }
    if pages == 0 {
        bail!("no manual page was written");
    }
    Ok(format!("{pages} pages, {} completions", completions.len()))
}

fn count(folder: &Path, ending: &str) -> Result<usize> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))?;
    Ok(entries
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().ends_with(ending))
        .count())
}
