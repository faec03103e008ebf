//! A run of steps and what came of each: a line while it goes, the whole story at the end.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::time::Instant;

/// How a step ended.
pub(crate) enum Ending {
    /// All was well.
    Passed {
        /// What is worth a few words.
        note: String,
        /// Parts of it that could not run, each with its reason.
        not_run: Vec<String>,
    },
    /// It could not run, for this reason.
    NotRun(String),
    /// It failed, and said this.
    Failed(String),
}

/// Everything that happened so far.
pub(crate) struct Report {
    started: Instant,
    passed: Vec<&'static str>,
    failed: Vec<&'static str>,
    not_run: Vec<String>,
}

impl Ending {
    /// All was well, and this is worth saying.
    pub(crate) fn passed(note: impl Into<String>) -> Ending {
        Ending::Passed {
            note: note.into(),
            not_run: Vec::new(),
        }
    }

    /// Turns "could not run" into a failure where a machine is meant to have everything.
    pub(crate) fn required(self, required: bool) -> Ending {
        match self {
            Ending::NotRun(why) if required => Ending::Failed(why),
            other => other,
        }
    }
}

impl Report {
    /// Nothing has happened yet.
    pub(crate) fn new() -> Report {
        Report {
            started: Instant::now(),
            passed: Vec::new(),
            failed: Vec::new(),
            not_run: Vec::new(),
        }
    }

    /// Whether that step failed.
    pub(crate) fn has_failed(&self, name: &str) -> bool {
        self.failed.contains(&name)
    }

    /// Runs one step and prints its line; a failure prints everything the step said.
    pub(crate) fn step(&mut self, name: &'static str, run: impl FnOnce() -> Ending) {
        announce(name);
        let began = Instant::now();
        let ending = run();
        let seconds = began.elapsed().as_secs_f64();
        match ending {
            Ending::Passed { note, not_run } => {
                println!(
                    "{}",
                    format!("{name:<14}{seconds:>7.1} s   ok  {note}").trim_end()
                );
                self.passed.push(name);
                self.not_run.extend(not_run);
            }
            Ending::NotRun(why) => {
                println!("{name:<14}{seconds:>7.1} s   NOT RUN: {why}");
                // The rest of a long reason stands above.
                self.not_run
                    .push(format!("{name}: {}", why.lines().next().unwrap_or_default()));
            }
            Ending::Failed(output) => {
                println!("{name:<14}{seconds:>7.1} s   FAILED");
                println!("{}\n", output.trim_end());
                self.failed.push(name);
            }
        }
    }

    /// Prints the end of the story.
    pub(crate) fn finish(self) -> ExitCode {
        println!();
        for line in &self.not_run {
            println!("NOT RUN  {line}");
        }
        for name in &self.failed {
            println!("FAILED   {name}");
        }
        println!(
            "{} steps passed, {} failed, {} things not run, in {:.0} s",
            self.passed.len(),
            self.failed.len(),
            self.not_run.len(),
            self.started.elapsed().as_secs_f64()
        );
        if self.failed.is_empty() {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }
    }
}

/// On a terminal the step's name stands there while it runs, and its line replaces it.
fn announce(name: &str) {
    if std::io::stdout().is_terminal() {
        print!("{name}...\r");
        // A report that cannot be written has no reader; the exit code still tells.
        let _ = std::io::stdout().flush();
    }
}
