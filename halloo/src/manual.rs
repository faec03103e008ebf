//! Manual pages and completion scripts, made from the command line's own definition.

use crate::cli::{self, CompletionsArgs, ManArgs};
use crate::screen::Stdout;
use anyhow::{Context, Result};
use clap_complete::generate;
use clap_mangen::Man;
use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

/// Prints the completion script of one shell.
pub(crate) fn completions(args: &CompletionsArgs) -> Result<ExitCode> {
    let mut script = vec![];
    generate(args.shell, &mut cli::command(), "halloo", &mut script);
    print(&script)?;
    Ok(ExitCode::SUCCESS)
}

/// Writes a page for each command to a folder, or prints the main page.
pub(crate) fn pages(args: &ManArgs) -> Result<ExitCode> {
    match &args.dir {
        None => {
            let mut page = vec![];
            Man::new(cli::command()).render(&mut page)?;
            print(&page)?;
        }
        Some(dir) => write_pages(dir).with_context(|| format!("{}", dir.display()))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn print(text: &[u8]) -> io::Result<()> {
    let mut out = Stdout::new();
    out.write_all(text)?;
    out.flush()
}

fn write_pages(dir: &Path) -> Result<()> {
    fs::create_dir_all(dir)?;
    // Hidden commands, which are for those who build halloo, get no page.
    clap_mangen::generate_to(cli::command(), dir)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_a_page_for_each_command_that_people_use() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        write_pages(dir.path()).expect("it can be written");
        let page = fs::read_to_string(dir.path().join("halloo-ping.1")).expect("the page of ping");
        assert!(
            page.contains("\\-\\-interval") && page.contains("EXAMPLES"),
            "{page}"
        );
        for sub in cli::command().get_subcommands() {
            let name = format!("halloo-{}.1", sub.get_name());
            assert_eq!(dir.path().join(&name).exists(), !sub.is_hide_set(), "{name}");
        }
    }
}
