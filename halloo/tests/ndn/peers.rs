//! Starting the programs that others wrote, around the small scripts beside this file.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;

/// Longer than anything here takes, so that a hang ends with a message.
const PATIENCE: Duration = Duration::from_secs(60);

/// Somebody else's NDN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    /// python-ndn, from PyPI.
    Python,
    /// NDNts, from npm.
    Ndnts,
}

pub(crate) const PEERS: [Peer; 2] = [Peer::Python, Peer::Ndnts];

/// What each of NDNts's programs begins with.
const NDNTS_HEAD: &str = concat!(include_str!("ndnts/keys.mjs"), include_str!("ndnts/faces.mjs"));

impl Peer {
    /// Runs one of the scripts, such as `codec`; `None` after saying loudly that this peer is not here.
    pub(crate) fn command(
        self,
        script: &str,
        args: impl IntoIterator<Item = impl AsRef<OsStr>>,
    ) -> Option<Command> {
        let folder = self.folder()?;
        let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ndn");
        let mut command = match self {
            Peer::Python => {
                let mut command = Command::new("python3");
                command
                    .env("PYTHONPATH", folder)
                    .env("PYTHONDONTWRITEBYTECODE", "1")
                    .arg(scripts.join("python").join(script).with_extension("py"));
                command
            }
            Peer::Ndnts => {
                let path = scripts.join("ndnts").join(script).with_extension("mjs");
                let source =
                    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
                let mut command = Command::new("node");
                // A module's imports are looked up from its own place, and from here if it has none.
                command
                    .current_dir(folder)
                    .args(["--input-type=module", "--eval"])
                    .arg(NDNTS_HEAD.to_owned() + &source)
                    .arg("--");
                command
            }
        };
        command.args(args);
        Some(command)
    }

    /// Where `cargo xtask test` put it.
    fn folder(self) -> Option<PathBuf> {
        let name = match self {
            Peer::Python => "python-ndn",
            Peer::Ndnts => "ndnts",
        };
        let temporary = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let folder = temporary.with_file_name("peers").join(name);
        if folder.join("installed").exists() {
            return Some(folder);
        }
        let thread = std::thread::current();
        let test = thread.name().unwrap_or("a test");
        eprintln!("SKIPPED {test}: {name} is not here, `cargo xtask test` installs it");
        None
    }
}

/// A program that runs while the test does something; it ends with the test.
pub(crate) struct Running {
    child: Child,
    output: Receiver<String>,
    errors: Receiver<String>,
}

impl Running {
    /// One of a peer's scripts.
    pub(crate) fn peer(peer: Peer, script: &str, setting: &Value) -> Option<Running> {
        peer.command(script, [setting.to_string()]).map(Running::start)
    }

    pub(crate) fn start(mut command: Command) -> Running {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let output = lines(child.stdout.take().expect("piped"), |_| {});
        // Where a test fails, what was complained of may be why.
        let errors = lines(child.stderr.take().expect("piped"), |line| eprintln!("{line}"));
        Running {
            child,
            output,
            errors,
        }
    }

    /// The next line of its output that contains `text`; those before it are lost.
    pub(crate) fn line_with(&self, text: &str) -> String {
        next_with(&self.output, text)
    }

    /// The same of its standard error.
    pub(crate) fn complaint_with(&self, text: &str) -> String {
        next_with(&self.errors, text)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The rest of its output, and its exit code.
    pub(crate) fn finish(mut self) -> (String, Option<i32>) {
        let mut text = String::new();
        loop {
            match self.output.recv_timeout(PATIENCE) {
                Ok(line) => text += &(line + "\n"),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("it does not end, and has said:\n{text}"),
            }
        }
        let status = self.child.wait().expect("it can be waited for");
        (text, status.code())
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).expect("process ids are small");
        kill(Pid::from_raw(pid), signal).expect("it is our child");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn lines(pipe: impl Read + Send + 'static, see: fn(&str)) -> Receiver<String> {
    let (tell, told) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            see(&line);
            // Whoever does not read any more has seen enough.
            let _ = tell.send(line);
        }
    });
    told
}

fn next_with(lines: &Receiver<String>, text: &str) -> String {
    loop {
        let line = lines.recv_timeout(PATIENCE);
        let line = line.unwrap_or_else(|why| panic!("no line with `{text}`: {why}"));
        if line.contains(text) {
            return line;
        }
    }
}
