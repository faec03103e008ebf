//! The `halloo` command.
//!
//! [`cli`] is its command line; [`run`] does what a command line asks for.
#![forbid(unsafe_code)]

mod check;
pub mod cli;
mod config;
mod demo;
#[cfg(test)]
mod documents;
mod format;
mod hint;
mod json;
mod key;
mod manual;
mod nat;
mod ndn;
mod overlay;
mod ping;
mod pingback;
mod screen;
mod serve;
mod signals;
mod socket;
mod target;

use anyhow::{Context, Result};
pub use ndn::Program;

use cli::{Cli, Command, EchoClientArgs, PingArgs};
use ping::{Errand, JsonReport, Plan, Report, TextReport, TextStyle};
use screen::{BAD, Screen, Styled};
use signals::Signals;
use std::error::Error;
use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;
use std::thread;

/// What reads text that people wrote, for the fuzz targets.
#[doc(hidden)]
pub mod reads {
    pub use crate::target::Target;

    /// What is wrong with the text of a configuration file, if anything.
    pub fn config(name: &str, text: &str) -> Option<String> {
        crate::config::Config::parse(name, text)
            .err()
            .map(|error| error.to_string())
    }
}

/// A probe was lost, the other side could not be reached, or the result could not be written.
const FAILED: u8 = 1;
/// The command line or a configuration is wrong, or a listener could not start.
const MISUSED: u8 = 2;

/// Does what a command line asks for, and says how it went: 0 all well, 1 a probe was lost, the peer could not be
/// reached or the output could not be written, 2 wrong usage or configuration.
pub fn run(cli: &Cli) -> ExitCode {
    match dispatch(&cli.command) {
        Ok(code) => code,
        // Whoever read our output has enough: nothing to complain about.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            let code = if is_output(&error) { FAILED } else { MISUSED };
            complain(format_args!("{} {error:#}", Styled(BAD, "halloo:")));
            ExitCode::from(code)
        }
    }
}

fn dispatch(command: &Command) -> Result<ExitCode> {
    match command {
        Command::Serve(args) => serve::run(args),
        Command::Ping(args) => run_ping(args),
        Command::Nat(args) => nat::run(args),
        Command::EchoClient(args) => run_echo_client(args),
        Command::Check(args) => check::run(args),
        Command::Demo(args) => demo::run(args),
        Command::Edge(args) => overlay::edge::run(args),
        Command::Supernode(args) => overlay::supernode::run(args),
        Command::Key(args) => overlay::keys::run(args),
        Command::Completions(args) => manual::completions(args),
        Command::Man(args) => manual::pages(args),
        Command::Ndnping(args) => Ok(Program::Ping.run(args.words.iter().cloned())),
        Command::Ndnpingserver(args) => Ok(Program::PingServer.run(args.words.iter().cloned())),
    }
}

fn run_ping(args: &PingArgs) -> Result<ExitCode> {
    if let Some(ask) = args.pingback {
        return pingback::run(args, ask);
    }
    let plan = Plan::ping(args)?;
    if let Some(errand) = Errand::of(args) {
        let signals = Signals::watch(thread::current()).context("cannot watch for signals")?;
        let is_well = errand.run(&plan, args, &signals)?;
        return Ok(ExitCode::from(if is_well { 0 } else { FAILED }));
    }
    if args.json {
        return finish(&plan, &mut JsonReport::new(Screen::stdout(), args.quiet));
    }
    let style = TextStyle {
        quiet: args.quiet,
        print_time: args.print_time,
        flood: plan.is_flood(),
    };
    finish(&plan, &mut TextReport::new(Screen::stdout(), style))
}

fn run_echo_client(args: &EchoClientArgs) -> Result<ExitCode> {
    let plan = Plan::echo_client(args)?;
    let style = TextStyle {
        flood: plan.is_flood(),
        ..TextStyle::default()
    };
    finish(&plan, &mut TextReport::new(Screen::stdout(), style))
}

fn finish(plan: &Plan, report: &mut dyn Report) -> Result<ExitCode> {
    let signals = Signals::watch(thread::current()).context("cannot watch for signals")?;
    let outcome = ping::run(plan, report, &signals)?;
    Ok(if outcome.all_answered() && outcome.files_complete {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(FAILED)
    })
}

/// Says something on standard error. If nobody can read it there, nobody does.
fn complain(text: fmt::Arguments<'_>) {
    let _ = writeln!(anstream::stderr(), "{text}");
}

/// Random bits from the operating system.
fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).context("the operating system gives no random numbers")?;
    Ok(bytes)
}

/// A random number from the operating system.
fn random_u64() -> Result<u64> {
    random().map(u64::from_ne_bytes)
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    has_cause(error, |cause| cause.kind() == io::ErrorKind::BrokenPipe)
}

/// Whether standard output took no more.
fn is_output(error: &anyhow::Error) -> bool {
    let is = <dyn Error + Send + Sync>::is::<screen::OutputError>;
    has_cause(error, |cause| cause.get_ref().is_some_and(is))
}

fn has_cause(error: &anyhow::Error, is: impl Fn(&io::Error) -> bool) -> bool {
    error.chain().any(|cause| cause.downcast_ref().is_some_and(&is))
}
