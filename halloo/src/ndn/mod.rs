//! `ndnping` and `ndnpingserver`: NDN's own commands, and NDN as one of halloo's schemes.

mod arguments;
mod client;
mod diagnose;
mod ethernet;
mod face;
mod host;
mod keys;
mod question;
mod report;
mod server;
mod text;
mod trouble;

pub(crate) use face::{Face, PORT};
pub(crate) use host::{Detail, Equipment, Listen, Tapped, tap};
pub(crate) use question::{Question, face_of};

use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::process::ExitCode;

/// The command line is wrong; of `ndnping` also: the forwarder cannot be reached.
const MISUSED: u8 = 2;

/// One of NDN's own programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// `ndnping`: asks.
    Ping,
    /// `ndnpingserver`: answers.
    PingServer,
}

/// Why a program ends before its time.
#[derive(Debug)]
enum Failure {
    /// The command line is wrong: this is why, and the help says what would be right.
    Usage { what: String, help: String },
    /// Something else, and the exit status for it.
    Told { status: u8, what: String },
    /// Something else, with the program's usual status for it.
    Other(anyhow::Error),
}

impl Program {
    /// The program that a path to a binary names.
    pub fn named(path: &Path) -> Option<Program> {
        match path.file_name()?.to_str()? {
            "ndnping" => Some(Program::Ping),
            "ndnpingserver" => Some(Program::PingServer),
            _ => None,
        }
    }

    /// Does what the words behind the program's name ask for.
    pub fn run(self, words: impl IntoIterator<Item = OsString>) -> ExitCode {
        let done = match self {
            Program::Ping => client::run(words),
            Program::PingServer => server::run(words),
        };
        match done {
            Ok(code) => code,
            Err(failure) => self.fail(failure),
        }
    }

    /// What the program understands.
    pub fn usage(self) -> String {
        match self {
            Program::Ping => client::usage(),
            Program::PingServer => server::usage(),
        }
    }

    fn fail(self, failure: Failure) -> ExitCode {
        match failure {
            Failure::Usage { what, help } => {
                crate::complain(format_args!("ERROR: {what}\n"));
                let help = help.trim_end();
                match self {
                    // Where the originals print it. If nobody can read it there, nobody does.
                    Program::Ping => drop(crate::screen::Screen::stdout().line(help)),
                    Program::PingServer => crate::complain(format_args!("{help}")),
                }
                ExitCode::from(MISUSED)
            }
            Failure::Told { status, what } => {
                crate::complain(format_args!("ERROR: {what}"));
                ExitCode::from(status)
            }
            // Whoever read our output has enough: nothing to complain about.
            Failure::Other(error) if crate::is_broken_pipe(&error) => ExitCode::SUCCESS,
            Failure::Other(error) => {
                crate::complain(format_args!("ERROR: {error:#}"));
                ExitCode::from(match self {
                    Program::Ping => MISUSED,
                    Program::PingServer => crate::FAILED,
                })
            }
        }
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Failure {
        Failure::Other(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        Failure::Other(error.into())
    }
}
