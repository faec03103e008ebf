//! Starting halloo and the programs that others wrote.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

pub(crate) const HALLOO: &str = env!("CARGO_BIN_EXE_halloo");

/// Longer than anything here takes, so that a hang ends with a message.
const PATIENCE: Duration = Duration::from_secs(60);

/// A program that runs while the test does something; it ends with the test.
pub(crate) struct Running {
    command: String,
    child: Child,
    lines: Receiver<String>,
}

/// Whose sockets to look for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Port {
    Udp,
    Tcp,
}

impl Running {
    pub(crate) fn start<A: AsRef<OsStr>>(
        program: impl AsRef<OsStr>,
        args: impl IntoIterator<Item = A>,
    ) -> Running {
        let mut command = Command::new(program);
        command
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let shown = format!("{command:?}");
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{shown}: {error}"));
        let (tell, lines) = mpsc::channel();
        read(child.stdout.take().expect("piped"), tell.clone());
        read(child.stderr.take().expect("piped"), tell);
        Running {
            command: shown,
            child,
            lines,
        }
    }

    /// The next line of its output or of its complaints; `None` when both have ended.
    fn line(&self) -> Option<String> {
        match self.lines.recv_timeout(PATIENCE) {
            Ok(line) => Some(line),
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => panic!("{} says nothing", self.command),
        }
    }

    /// The next line with `text`; those before it are lost.
    pub(crate) fn line_with(&self, text: &str) -> String {
        let mut before = String::new();
        while let Some(line) = self.line() {
            if line.contains(text) {
                return line;
            }
            before += &(line + "\n");
        }
        panic!("{} ended without `{text}`:\n{before}", self.command);
    }

    /// Returns once it has bound this port.
    pub(crate) fn wait_until_bound(&mut self, port: Port, address: SocketAddrV4) {
        // No event tells of another process's sockets; the kernel's list ends this as soon as it can.
        while !is_bound(port, address) {
            let ended = self.child.try_wait().expect("it is our child");
            assert!(
                ended.is_none(),
                "{} ended without {address}:\n{}",
                self.command,
                self.rest()
            );
            thread::yield_now();
        }
    }

    /// The rest of what it says.
    fn rest(&self) -> String {
        std::iter::from_fn(|| self.line()).fold(String::new(), |text, line| text + &line + "\n")
    }

    /// Asks it to end as it sees fit, and returns when it has.
    pub(crate) fn end(mut self) {
        let pid = i32::try_from(self.child.id()).expect("process ids are small");
        kill(Pid::from_raw(pid), Signal::SIGQUIT).expect("it is our child");
        self.child.wait().expect("it is our child");
    }

    /// The rest of what it says, and its exit code.
    pub(crate) fn finish(mut self) -> (String, Option<i32>) {
        let text = self.rest();
        let status = self.child.wait().expect("it is our child");
        (text, status.code())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read(pipe: impl Read + Send + 'static, tell: Sender<String>) {
    thread::spawn(move || {
        for line in BufReader::new(pipe).split(b'\n').map_while(Result::ok) {
            // Whoever does not read any more has seen enough.
            let _ = tell.send(String::from_utf8_lossy(&line).into_owned());
        }
    });
}

/// Whether a socket of this host is bound to that address, and listens if it is TCP's.
fn is_bound(port: Port, address: SocketAddrV4) -> bool {
    let (file, state) = match port {
        Port::Udp => ("/proc/net/udp", "07"),
        Port::Tcp => ("/proc/net/tcp", "0A"),
    };
    // The address is printed as a number of this machine's byte order.
    let ip = u32::from_ne_bytes(address.ip().octets());
    let wanted = format!("{ip:08X}:{:04X}", address.port());
    let text = fs::read_to_string(file).expect("the kernel lists its sockets");
    text.lines().any(|line| {
        let mut words = line.split_ascii_whitespace().skip(1);
        words.next() == Some(wanted.as_str()) && words.nth(1) == Some(state)
    })
}

/// A loopback address on which nobody else has ports, another one each time: a program on it can have its usual port.
pub(crate) fn own_address() -> Ipv4Addr {
    static COUNT: AtomicU8 = AtomicU8::new(1);
    let [.., high, low] = std::process::id().to_be_bytes();
    Ipv4Addr::new(127, COUNT.fetch_add(1, Ordering::Relaxed), high, low)
}

/// Runs a program to its end: what it said, and its exit code.
pub(crate) fn run<A: AsRef<OsStr>>(
    program: impl AsRef<OsStr>,
    args: impl IntoIterator<Item = A>,
) -> (String, Option<i32>) {
    Running::start(program, args).finish()
}

/// `halloo serve` on free ports.
pub(crate) struct Server {
    running: Running,
    listeners: Vec<(String, SocketAddr)>,
}

impl Server {
    /// With these arguments, when all its listeners are up.
    pub(crate) fn start(args: &[&str]) -> Server {
        let running = Running::start(HALLOO, [&["serve", "--json"], args].concat());
        let mut listeners = vec![];
        // Each address is a protocol's, and SIP is two of them; a file alone has one.
        let addresses = args.iter().filter(|arg| arg.parse::<SocketAddr>().is_ok());
        let wanted = addresses.count().max(1) + usize::from(args.contains(&"--sip"));
        while listeners.len() < wanted {
            let line = running.line_with("\"type\":\"listener\"");
            let object: Value = serde_json::from_str(&line).expect("an object");
            let word = |key: &str| object[key].as_str().expect(key).to_owned();
            listeners.push((word("protocol"), word("address").parse().expect("an address")));
        }
        Server { running, listeners }
    }

    /// Where it answers a protocol.
    pub(crate) fn address(&self, protocol: &str) -> SocketAddr {
        let listener = self.listeners.iter().find(|(name, _)| name == protocol);
        listener.unwrap_or_else(|| panic!("no {protocol} listener")).1
    }

    pub(crate) fn port(&self, protocol: &str) -> String {
        self.address(protocol).port().to_string()
    }

    /// Its counters of this service of a protocol, as they stand.
    #[cfg(feature = "h3")]
    pub(crate) fn counted(&self, protocol: &str, service: &str) -> Value {
        let pid = i32::try_from(self.running.child.id()).expect("process ids are small");
        kill(Pid::from_raw(pid), Signal::SIGUSR1).expect("it is our child");
        let names = (Some("counters"), Some(protocol), Some(service));
        loop {
            let line = self.running.line_with("\"type\":\"counters\"");
            let object: Value = serde_json::from_str(&line).expect("an object");
            let word = |key: &str| object[key].as_str();
            if (word("type"), word("protocol"), word("service")) == names {
                return object;
            }
        }
    }

    /// Ends it: its last counters of this protocol.
    pub(crate) fn counters(self, protocol: &str) -> Value {
        let pid = i32::try_from(self.running.child.id()).expect("process ids are small");
        kill(Pid::from_raw(pid), Signal::SIGTERM).expect("it is our child");
        let (text, code) = self.running.finish();
        assert_eq!(code, Some(0), "{text}");
        let mut objects = text.lines().filter_map(|line| serde_json::from_str(line).ok());
        objects
            .find(|object: &Value| {
                (object["type"].as_str(), object["protocol"].as_str()) == (Some("counters"), Some(protocol))
            })
            .unwrap_or_else(|| panic!("no counters of {protocol}: {text}"))
    }
}

/// What a `halloo ping --json` printed, and its exit code.
#[derive(Debug)]
pub(crate) struct Pinged {
    pub(crate) code: Option<i32>,
    objects: Vec<Value>,
}

/// Runs `halloo ping`.
pub(crate) fn ping(args: &[&str]) -> Pinged {
    let (text, code) = run(HALLOO, [&["ping", "--json", "-i", "0.01"], args].concat());
    let objects = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {text}")))
        .collect();
    Pinged { code, objects }
}

impl Pinged {
    pub(crate) fn objects(&self) -> impl Iterator<Item = &Value> {
        self.objects.iter()
    }

    pub(crate) fn exchanges(&self) -> impl Iterator<Item = &Value> {
        self.objects.iter().filter(|object| object["type"] == "exchange")
    }

    pub(crate) fn summary(&self) -> &Value {
        self.objects.last().expect("a summary")
    }

    pub(crate) fn count(&self, name: &str) -> u64 {
        self.summary()["counts"][name].as_u64().expect("a count")
    }

    /// All of them were answered, and nothing came that was not an answer.
    #[track_caller]
    pub(crate) fn assert_answered(&self, count: u64) {
        assert_eq!(
            (self.code, self.count("answered"), self.count("refused")),
            (Some(0), count, 0),
            "{self:#?}"
        );
        let unused = self.summary()["unused"].as_object().expect("counts");
        assert!(unused.values().all(|n| n == 0), "{self:#?}");
    }
}

/// The folder of a program that others wrote, or `None` after saying loudly that it is not here.
pub(crate) fn peer_or_skip(name: &str) -> Option<PathBuf> {
    let temporary = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let folder = temporary.with_file_name("peers").join(name);
    if folder.join("installed").exists() {
        return Some(folder);
    }
    let thread = thread::current();
    let test = thread.name().unwrap_or("a test");
    eprintln!("SKIPPED {test}: {name} is not here, `cargo xtask test` installs it");
    None
}
