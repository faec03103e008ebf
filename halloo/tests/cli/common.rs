//! What the tests of the built binary share: an echo host on free ports, and runs of the other commands.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, ChildStdout, Command, ExitStatus, Output, Stdio};

pub(crate) const HALLOO: &str = env!("CARGO_BIN_EXE_halloo");

/// `halloo serve` on free loopback ports; it ends with the test.
pub(crate) struct Host {
    child: Child,
    out: BufReader<ChildStdout>,
    listeners: Vec<(String, SocketAddr)>,
}

/// A command that runs while the test does something.
pub(crate) struct Running {
    child: Child,
    out: BufReader<ChildStdout>,
}

impl Host {
    /// UDP and TCP, IPv4 and IPv6.
    pub(crate) fn start() -> Host {
        Host::with(
            &[
                "--udp",
                "127.0.0.1:0",
                "--udp",
                "[::1]:0",
                "--tcp",
                "127.0.0.1:0",
                "--tcp",
                "[::1]:0",
            ],
            4,
        )
    }

    /// With these arguments, waiting until so many listeners are up.
    pub(crate) fn with(args: &[&str], listeners: usize) -> Host {
        let mut command = Command::new(HALLOO);
        command
            .args(["serve", "--json"])
            .args(args)
            .stdout(Stdio::piped());
        Host::of(command.spawn().expect("halloo runs"), listeners)
    }

    /// An echo host that is running already, with its JSON on standard output.
    pub(crate) fn of(mut child: Child, listeners: usize) -> Host {
        let out = BufReader::new(child.stdout.take().expect("its output is a pipe"));
        let mut host = Host {
            child,
            out,
            listeners: vec![],
        };
        while host.listeners.len() < listeners {
            let object = host.object();
            if object["type"] == "listener" {
                let word = |key: &str| object[key].as_str().expect(key).to_owned();
                host.listeners
                    .push((word("protocol"), word("address").parse().expect("an address")));
            }
        }
        host
    }

    /// The next line of its output.
    pub(crate) fn object(&mut self) -> Value {
        let mut line = String::new();
        self.out.read_line(&mut line).expect("its output can be read");
        assert!(!line.is_empty(), "it has ended");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
    }

    /// The next object of this type.
    pub(crate) fn next(&mut self, kind: &str) -> Value {
        loop {
            let object = self.object();
            if object["type"] == kind {
                return object;
            }
        }
    }

    /// The first listener of a protocol; of IPv6 if `v6`.
    pub(crate) fn address(&self, protocol: &str, v6: bool) -> SocketAddr {
        let wanted = |(name, address): &&(String, SocketAddr)| name == protocol && address.is_ipv6() == v6;
        self.listeners
            .iter()
            .find(wanted)
            .unwrap_or_else(|| panic!("no {protocol} listener"))
            .1
    }

    /// A URL of a listener.
    pub(crate) fn url(&self, protocol: &str, v6: bool) -> String {
        format!("{protocol}://{}", self.address(protocol, v6))
    }

    pub(crate) fn signal(&self, signal: Signal) {
        send(&self.child, signal);
    }

    /// Waits for its end.
    pub(crate) fn wait(mut self) -> ExitStatus {
        self.child.wait().expect("it can be waited for")
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Running {
    pub(crate) fn start(args: &[&str]) -> Running {
        let mut command = Command::new(HALLOO);
        command.args(args).stderr(Stdio::piped());
        Running::of(&mut command)
    }

    /// A command that is not started yet.
    pub(crate) fn of(command: &mut Command) -> Running {
        command.stdout(Stdio::piped());
        let mut child = command.spawn().expect("halloo runs");
        let out = BufReader::new(child.stdout.take().expect("its output is a pipe"));
        Running { child, out }
    }

    /// Reads until a line holds `text`, and returns that line.
    pub(crate) fn line_with(&mut self, text: &str) -> String {
        loop {
            let mut line = String::new();
            self.out.read_line(&mut line).expect("its output can be read");
            assert!(!line.is_empty(), "it ended without `{text}`");
            if line.contains(text) {
                return line;
            }
        }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        send(&self.child, signal);
    }

    /// A line of its standard error.
    pub(crate) fn complaint(&mut self) -> String {
        let mut line = String::new();
        let stderr = self.child.stderr.take().expect("its standard error is a pipe");
        let mut reader = BufReader::new(stderr);
        reader.read_line(&mut line).expect("it can be read");
        line
    }

    /// The rest of its output, and how it ended.
    pub(crate) fn finish(mut self) -> (String, Option<i32>) {
        let mut rest = String::new();
        self.out
            .read_to_string(&mut rest)
            .expect("its output can be read");
        let status = self.child.wait().expect("it can be waited for");
        (rest, status.code())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a command to its end.
pub(crate) fn halloo(args: &[&str]) -> Output {
    Command::new(HALLOO).args(args).output().expect("halloo runs")
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("text")
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("text")
}

/// Every line as a JSON object.
pub(crate) fn objects(output: &Output) -> Vec<Value> {
    stdout(output)
        .lines()
        .map(|line| serde_json::from_str(line).expect(line))
        .collect()
}

fn send(child: &Child, signal: Signal) {
    let pid = i32::try_from(child.id()).expect("process ids are small");
    kill(Pid::from_raw(pid), signal).expect("it is our child");
}
