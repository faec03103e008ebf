//! `halloo serve --dry-run`: what would be set up, and what the host still needs, in words and as commands.

use super::ip_echo::{self, Line};
use super::listen::Origin;
use crate::config::{Config, DIALECTS};
use crate::screen::{BAD, DIM, GOOD, ODD, STRONG, Screen, Styled};
use anyhow::Result;
use nix::unistd::Uid;
use std::io;
use std::process::ExitCode;

/// Says it, touches nothing, and tells by the exit status whether it would start.
///
/// # Errors
/// If the configuration contradicts itself.
pub(super) fn run(config: &Config, origin: &Origin) -> Result<ExitCode> {
    config.check_listeners(&origin.given)?;
    let mut survey = ip_echo::survey(config)?;
    let mut steps = listeners(config);
    steps.append(&mut survey.steps);
    if Uid::effective().is_root() {
        let user = config.serve.user.as_deref().unwrap_or(super::NOBODY);
        steps.push(words(format!("become {user}, and answer")));
    }
    let mut page = Page(Screen::stdout());
    page.section(
        "nothing is touched; this is what would be done, and undone at the end",
        STRONG,
        &steps,
    )?;
    let fine: Vec<_> = survey.fine.into_iter().map(words).collect();
    page.section("as it should be", GOOD, &fine)?;
    page.section("what this host still needs, or does without", ODD, &survey.needs)?;
    page.section("what others need", STRONG, &survey.elsewhere)?;
    let against: Vec<_> = survey
        .refusals
        .iter()
        .map(|(subject, why)| words(format!("{}: {why}", ip_echo::named(subject, config, origin))))
        .collect();
    page.section("what keeps it from starting", BAD, &against)?;
    Ok(if against.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(crate::MISUSED)
    })
}

fn listeners(config: &Config) -> Vec<Line> {
    let udp = config
        .udp()
        .into_iter()
        .map(|address| format!("answer udp on {address}"));
    let tcp = config
        .tcp()
        .into_iter()
        .map(|address| format!("answer tcp on {address}"));
    let ndn = config
        .ndn_services()
        .into_iter()
        .map(|service| format!("answer NDN pings under {service}"));
    let spoken = DIALECTS.iter().flat_map(|dialect| {
        let addresses = dialect.addresses(config).into_iter();
        addresses.map(|address| format!("answer {} on {address}", dialect.key))
    });
    udp.chain(tcp).chain(spoken).chain(ndn).map(words).collect()
}

fn words(words: String) -> Line {
    Line { words, command: None }
}

/// Sections of lines, those that say something.
struct Page(Screen);

impl Page {
    fn section(&mut self, title: &str, style: anstyle::Style, lines: &[Line]) -> io::Result<()> {
        if lines.is_empty() {
            return Ok(());
        }
        self.0.line(Styled(style, format_args!("halloo: {title}:")))?;
        for line in lines {
            self.0.line(format_args!("  {}", line.words))?;
            if let Some(command) = &line.command {
                self.0.line(format_args!("      {}", Styled(DIM, command)))?;
            }
        }
        Ok(())
    }
}
