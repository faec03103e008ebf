//! `halloo check`.

use crate::cli::CheckArgs;
use crate::config::Config;
use crate::screen::{GOOD, Screen, Styled};
use anyhow::{Context, Result};
use std::process::ExitCode;

/// Says whether a configuration file is right.
pub(crate) fn run(args: &CheckArgs) -> Result<ExitCode> {
    let config = Config::load(&args.file)?;
    let mut screen = Screen::stdout();
    if args.print {
        let text = toml::to_string(&config.complete()).context("the configuration cannot be written")?;
        screen.line(format_args!("# {}, with all defaults", args.file.display()))?;
        screen.line(text.trim_end())?;
    } else {
        screen.line(format_args!("{}: {}", args.file.display(), Styled(GOOD, "ok")))?;
    }
    Ok(ExitCode::SUCCESS)
}
