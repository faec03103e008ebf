//! The `halloo` command; see `halloo help`. Under the names `ndnping` and `ndnpingserver` it is those programs.
#![forbid(unsafe_code)]

use clap::Parser;
use halloo::Program;
use halloo::cli::Cli;
use std::env;
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut words = env::args_os();
    let name = words.next().unwrap_or_default();
    match Program::named(Path::new(&name)) {
        Some(program) => program.run(words),
        None => halloo::run(&Cli::parse()),
    }
}
