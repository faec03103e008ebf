//! Starting the programs that are measured, on their core, and being their forwarder.

use super::SERVER_CORE;
use super::load::{Load, PREFIX};
use super::wire::Wire;
use anyhow::{Context, Result, bail, ensure};
use halloo_lab::ndn::grant;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::UdpSocket;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long a program may take until it is there.
const PATIENCE: Duration = Duration::from_secs(10);

/// ndnping or ndnpingserver, of whom.
pub(super) enum Program {
    /// The binary of this tree.
    Halloo(PathBuf),
    /// A program of ndn-tools.
    Original(PathBuf),
}

/// By which way a server is asked.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// Behind a forwarder.
    Unix,
    /// At a port of its own.
    Udp,
}

/// A program that ends with this, and its files.
pub(super) struct Running {
    pub(super) child: Child,
    pub(super) _folder: TempDir,
}

impl Way {
    pub(super) fn name(self) -> &'static str {
        match self {
            Way::Unix => "Unix socket",
            Way::Udp => "direct UDP",
        }
    }
}

impl Program {
    /// The binary beside this one: both are built for the release profile.
    pub(super) fn halloo() -> Result<Program> {
        let path = std::env::current_exe()?.with_file_name("halloo");
        ensure!(path.exists(), "no {}: run this with --release", path.display());
        Ok(Program::Halloo(path))
    }

    pub(super) fn original(path: PathBuf) -> Program {
        Program::Original(path)
    }

    /// By which ways its server can be asked.
    pub(super) fn ways(&self) -> &'static [Way] {
        match self {
            Program::Halloo(_) => &[Way::Unix, Way::Udp],
            Program::Original(_) => &[Way::Unix],
        }
    }

    /// The command on its core, as `name`, with its forwarder at `socket`.
    pub(super) fn command(&self, name: &str, socket: &Path) -> Command {
        // Before everything else on the machine, so that what else it does does not show. Where that is refused the
        // report still holds, with more noise.
        let mut command = Command::new("sh");
        let first = "chrt --fifo 10 true 2>/dev/null && set -- chrt --fifo 10 \"$@\"; exec \"$@\"";
        command.args(["-c", first, "sh", "taskset", "-c", &SERVER_CORE.to_string()]);
        match self {
            Program::Halloo(path) => command.arg(path).arg(name),
            Program::Original(path) => command.arg(path),
        };
        command.env("NDN_CLIENT_TRANSPORT", format!("unix://{}", socket.display()));
        command
    }

    /// Starts a server and returns the way to it, when it has answered once.
    pub(super) fn serve(&self, way: Way, load: &Load) -> Result<(Running, Wire)> {
        let folder = tempfile::tempdir()?;
        let socket = folder.path().join("nfd.sock");
        let mut command = self.command("ndnpingserver", &socket);
        command.args(["-q", PREFIX]).stdout(Stdio::piped());
        match way {
            Way::Unix => {
                let listener = UnixListener::bind(&socket)?;
                let child = command.spawn().context("cannot start it")?;
                let running = Running {
                    child,
                    _folder: folder,
                };
                let mut stream = accept(&listener)?;
                register(&mut stream)?;
                Ok((running, Wire::stream(stream, load)?))
            }
            Way::Udp => {
                command.args(["--listen", "udp://127.0.0.1:0"]);
                let mut running = Running {
                    child: command.spawn().context("cannot start it")?,
                    _folder: folder,
                };
                let address = running.line_with("udp://")?;
                let socket = UdpSocket::bind("127.0.0.1:0")?;
                let (_, address) = address.split_once("udp://").context("no address")?;
                socket.connect(address.trim())?;
                Ok((running, Wire::datagrams(socket, load)?))
            }
        }
    }
}

impl Running {
    fn line_with(&mut self, text: &str) -> Result<String> {
        let output = self.child.stdout.take().context("its output is a pipe")?;
        let mut lines = BufReader::new(output).lines();
        let line = lines.find(|line| line.as_ref().map_or(true, |line| line.contains(text)));
        Ok(line.with_context(|| format!("it ended without `{text}`"))??)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The connection of the program that was just started.
pub(super) fn accept(listener: &UnixListener) -> Result<UnixStream> {
    listener.set_nonblocking(true)?;
    let end = Instant::now() + PATIENCE;
    while Instant::now() < end {
        if let Ok((stream, _)) = listener.accept() {
            stream.set_nonblocking(false)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            return Ok(stream);
        }
        thread::sleep(Duration::from_millis(1));
    }
    bail!("it does not connect")
}

/// Grants what it asks for.
fn register(stream: &mut UnixStream) -> Result<()> {
    let mut buffer = [0; 8_800];
    let len = stream.read(&mut buffer).context("it does not register")?;
    let answer = grant(&buffer[..len]).context("what it says first is no registration")?;
    stream.write_all(&answer)?;
    Ok(())
}
