//! The cargo tools that the checks use. What is missing is built, beside the other steps.

use crate::command::{cargo, found, quietly};
use std::thread::JoinHandle;

/// A cargo tool at a version that is known to work with the workspace's Rust.
pub(crate) struct Tool {
    /// The crate, which is also the program.
    pub(crate) name: &'static str,
    version: &'static str,
    /// More arguments for `cargo install`.
    arguments: &'static [&'static str],
}

/// Runs the tests, a process each.
pub(crate) const NEXTEST: Tool = Tool {
    name: "cargo-nextest",
    version: "0.9.151",
    // Without the part that updates itself, which is half of its dependencies.
    arguments: &["--no-default-features", "--features", "default-no-update"],
};

/// Holds the dependencies against deny.toml.
pub(crate) const DENY: Tool = Tool {
    name: "cargo-deny",
    version: "0.20.2",
    arguments: &[],
};

/// A tool that is there, or is being built.
pub(crate) enum Pending {
    /// It was there.
    Present,
    /// It will be, or the thread says why not.
    Building(JoinHandle<Result<(), String>>),
}

impl Tool {
    /// Whether it can be run now.
    pub(crate) fn is_present(&self) -> bool {
        found(self.name)
    }

    /// Starts to build the tool if it is missing.
    pub(crate) fn prepare(&'static self) -> Pending {
        if self.is_present() {
            return Pending::Present;
        }
        println!(
            "{} {} is missing and is being built in the background",
            self.name, self.version
        );
        Pending::Building(std::thread::spawn(|| self.install()))
    }

    fn install(&self) -> Result<(), String> {
        let mut command = cargo(&["install", "--locked", "--version", self.version, self.name]);
        // Its own target folder: sharing ours would make both builds wait for one lock.
        command.args(self.arguments).env_remove("CARGO_TARGET_DIR");
        let finished = quietly(command);
        if finished.success {
            Ok(())
        } else {
            Err(finished.output)
        }
    }
}

impl Pending {
    /// Waits until the tool can be used, or says why it cannot.
    pub(crate) fn wait(self) -> Result<(), String> {
        match self {
            Pending::Present => Ok(()),
            Pending::Building(build) => build.join().unwrap_or_else(|_| Err("its build panicked".into())),
        }
    }
}
