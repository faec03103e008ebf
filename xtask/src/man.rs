//! `cargo xtask man`: manual pages and shell completions, written by the binary about itself.

use crate::command::{built, cargo};
use crate::report::Ending;
use anyhow::{Context, Result, bail};
use std::path::Path;
use std::process::{Command, ExitCode};

/// Shells, and the file name under which each looks for a completion script.
const SHELLS: &[(&str, &str)] = &[("bash", "halloo"), ("zsh", "_halloo"), ("fish", "halloo.fish")];

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
    let halloo = built("halloo")?;
    let pages = out.join("man1");
    fresh(&pages)?;
    say(Command::new(&halloo).arg("man").arg(&pages))?;
    let count = std::fs::read_dir(&pages)?.count();
    if count == 0 {
        bail!("no manual page was written");
    }
    let completions = out.join("completions");
    fresh(&completions)?;
    for (shell, name) in SHELLS {
        let script = say(Command::new(&halloo).arg("completions").arg(shell))?;
        if !script.contains("halloo") {
            bail!("the completion script for {shell} does not speak of halloo");
        }
        std::fs::write(completions.join(name), script)?;
    }
    Ok(format!("{count} pages, {} completion scripts", SHELLS.len()))
}

/// An empty folder, so that a page of a command that is gone does not stay.
fn fresh(folder: &Path) -> Result<()> {
    if folder.exists() {
        std::fs::remove_dir_all(folder).with_context(|| format!("cannot clear {}", folder.display()))?;
    }
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))
}

fn say(command: &mut Command) -> Result<String> {
    let output = command.output().context("cannot run halloo")?;
    if !output.status.success() {
        bail!("{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    String::from_utf8(output.stdout).with_context(|| format!("{command:?} wrote what is not text"))
}
