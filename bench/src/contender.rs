//! The servers under test: how each is started, and what it has used.

use crate::arena::{Arena, ECHO, PORT, Rank, SERVER_CORE};
use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use halloo_lab::{Child, program};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde::Serialize;
use std::fs;
use std::net::{TcpStream, UdpSocket};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Bytes of receive buffer that every UDP server is given (the kernel doubles it for its own bookkeeping).
pub(crate) const RECEIVE_BUFFER: usize = 4 << 20;

/// Something that echoes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Contender {
    /// `halloo serve`.
    Halloo,
    /// `halloo serve --busy-poll`.
    HallooBusy,
    /// `halloo serve --xdp DEV`: answered below the stack.
    HallooXdp,
    /// `halloo serve --ip-echo ADDR`: a TUN device.
    HallooTun,
    /// `halloo serve --ip-echo ADDR@DEV`: a packet socket.
    HallooWire,
    /// `halloo serve --ip-echo ADDR --xdp DEV`: answered below the stack.
    HallooIpXdp,
    /// The bench's own loop of one read and one write on a TUN device.
    PlainTun,
    /// The bench's own recvfrom/sendto loop: what anybody writes first.
    Plain,
    /// sockperf's server.
    Sockperf,
    /// xinetd's built-in echo.
    Xinetd,
    /// socat, a process for each peer.
    Socat,
    /// An echo on tokio, one thread.
    Tokio,
}

/// What is asked of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wire {
    /// Datagrams.
    Udp,
    /// Connections.
    Tcp,
    /// Datagrams to an address that turns them round.
    Ip,
}

/// A contender that has answered once. Dropping it ends it.
pub(crate) struct Running {
    child: Child,
    _files: TempDir,
}

impl Contender {
    /// The name in the tables.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Contender::Halloo => "halloo serve",
            Contender::HallooBusy => "halloo serve --busy-poll",
            Contender::HallooXdp => "halloo serve --xdp",
            Contender::HallooTun => "halloo serve --ip-echo ADDR",
            Contender::HallooWire => "halloo serve --ip-echo ADDR@DEV",
            Contender::HallooIpXdp => "halloo serve --ip-echo ADDR --xdp",
            Contender::PlainTun => "plain loop on a TUN",
            Contender::Plain => "plain loop",
            Contender::Sockperf => "sockperf",
            Contender::Xinetd => "xinetd",
            Contender::Socat => "socat",
            Contender::Tokio => "tokio",
        }
    }

    /// Starts it on the server's host and core, and waits until it answers.
    pub(crate) fn start(self, arena: &Arena, wire: Wire, rank: Rank) -> Result<Running> {
        let files = tempfile::tempdir()?;
        let words = self.command(arena, wire, &files)?;
        let mut command = Command::new(program("chrt")?);
        command.args(rank.chrt());
        command.args(["taskset", "-c", &SERVER_CORE.to_string()]);
        // A group of its own, because some start a process for each peer.
        command.args(&words).process_group(0);
        let running = Running {
            child: arena.server().spawn_command(command),
            _files: files,
        };
        let answers = arena.generate(rank, || match wire {
            Wire::Udp => answers_udp(arena),
            Wire::Tcp => answers_tcp(arena),
            Wire::Ip => answers_itself(arena),
        });
        ensure!(answers, "{} does not answer: {}", self.name(), running.child);
        Ok(running)
    }

    fn command(self, arena: &Arena, wire: Wire, files: &TempDir) -> Result<Vec<String>> {
        let (ip, device) = (arena.server_ip(), arena.device());
        // Only what has a device of its own needs the host to forward; a packet socket answers in the host's place.
        let forwards = !matches!(self, Contender::HallooWire);
        arena
            .server()
            .sysctl("net.ipv4.ip_forward", if forwards { "1" } else { "0" });
        let own = std::env::current_exe()?.display().to_string();
        let words = |text: String| text.split_whitespace().map(str::to_owned).collect();
        Ok(match (self, wire) {
            (Contender::Halloo, _) => words(format!("{} serve", halloo()?.display())),
            (Contender::HallooBusy, _) => words(format!("{} serve --busy-poll", halloo()?.display())),
            (Contender::HallooXdp, _) => words(format!("{} serve --xdp {device}", halloo()?.display())),
            (Contender::HallooTun, _) => words(format!("{} serve --ip-echo {ECHO}", halloo()?.display())),
            (Contender::HallooWire, _) => {
                words(format!("{} serve --ip-echo {ECHO}@{device}", halloo()?.display()))
            }
            (Contender::HallooIpXdp, _) => words(format!(
                "{} serve --ip-echo {ECHO} --xdp {device}",
                halloo()?.display()
            )),
            (Contender::PlainTun, _) => words(format!("{own} stand plain-tun {ECHO}:0")),
            (Contender::Plain, _) => words(format!("{own} stand plain {ip}:{PORT}")),
            (Contender::Tokio, _) => words(format!("{own} stand tokio {ip}:{PORT}")),
            (Contender::Sockperf, Wire::Udp | Wire::Ip) => words(format!(
                "{} server -i {ip} -p {PORT} --buffer-size {RECEIVE_BUFFER}",
                program("sockperf")?.display()
            )),
            (Contender::Sockperf, Wire::Tcp) => words(format!(
                "{} server --tcp -i {ip} -p {PORT}",
                program("sockperf")?.display()
            )),
            (Contender::Socat, Wire::Udp | Wire::Ip) => words(format!(
                "{} -T2 UDP4-LISTEN:{PORT},bind={ip},fork,reuseaddr,rcvbuf={RECEIVE_BUFFER} PIPE",
                program("socat")?.display()
            )),
            (Contender::Socat, Wire::Tcp) => words(format!(
                "{} TCP4-LISTEN:{PORT},bind={ip},fork,reuseaddr,backlog=8192,nodelay PIPE",
                program("socat")?.display()
            )),
            (Contender::Xinetd, _) => {
                let file = files.path().join("xinetd.conf");
                fs::write(&file, xinetd_config(arena, wire))?;
                let pid = files.path().join("pid");
                words(format!(
                    "{} -dontfork -f {} -pidfile {}",
                    program("xinetd")?.display(),
                    file.display(),
                    pid.display()
                ))
            }
        })
    }
}

/// Builds the binary that is measured, so that it is the one of this tree.
pub(crate) fn build() -> Result<()> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args([
            "build",
            "--release",
            "--quiet",
            "--package",
            "halloo",
            "--manifest-path",
        ])
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml"))
        .status()
        .context("cannot run cargo")?;
    ensure!(status.success(), "halloo does not build");
    Ok(())
}

/// The binary beside this one: both are built for the release profile.
pub(crate) fn halloo() -> Result<PathBuf> {
    let path = std::env::current_exe()?.with_file_name("halloo");
    ensure!(path.exists(), "no {}: run this with --release", path.display());
    Ok(path)
}

fn xinetd_config(arena: &Arena, wire: Wire) -> String {
    let (kind, protocol, wait) = match wire {
        Wire::Udp | Wire::Ip => ("dgram", "udp", "yes"),
        Wire::Tcp => ("stream", "tcp", "no"),
    };
    // Its defaults (50 connections a second, 10 per source) would be all that is measured.
    format!(
        "service echo\n{{\n type = INTERNAL UNLISTED\n id = echo-{kind}\n socket_type = {kind}\n protocol = {protocol}\n \
         port = {PORT}\n user = root\n wait = {wait}\n bind = {}\n instances = UNLIMITED\n per_source = UNLIMITED\n \
         cps = 1000000 1\n rcvbuf = {RECEIVE_BUFFER}\n disable = no\n}}\n",
        arena.server_ip()
    )
}

fn answers_udp(arena: &Arena) -> bool {
    let Ok(socket) = UdpSocket::bind((arena.client_ip(), 0)) else {
        return false;
    };
    let _ = socket.set_read_timeout(Some(Duration::from_millis(20)));
    within(Duration::from_secs(5), || {
        socket.send_to(&crate::udp::PAYLOAD, arena.target()).is_ok() && socket.recv(&mut [0; 64]).is_ok()
    })
}

/// Whether a datagram to one's own port comes back.
fn answers_itself(arena: &Arena) -> bool {
    let Ok(socket) = UdpSocket::bind((arena.client_ip(), 0)) else {
        return false;
    };
    let Ok(own) = socket.local_addr() else {
        return false;
    };
    let _ = socket.set_read_timeout(Some(Duration::from_millis(20)));
    within(Duration::from_secs(5), || {
        socket.send_to(&crate::udp::PAYLOAD, (ECHO, own.port())).is_ok() && socket.recv(&mut [0; 64]).is_ok()
    })
}

fn answers_tcp(arena: &Arena) -> bool {
    within(Duration::from_secs(5), || {
        TcpStream::connect(arena.target()).is_ok()
    })
}

fn within(limit: Duration, mut test: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + limit;
    while Instant::now() < end {
        if test() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    false
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.child.is_running() {
            // What it started goes with it; itself it is ended, and waited for, by the lab.
            let _ = killpg(Pid::from_raw(self.child.pid().cast_signed()), Signal::SIGKILL);
        }
    }
}

impl Running {
    /// Nanoseconds of processor time that it has used so far, all threads and children together.
    pub(crate) fn cpu_nanos(&self) -> Result<u64> {
        let mut sum = 0;
        for pid in self.processes()? {
            for task in fs::read_dir(format!("/proc/{pid}/task"))?.flatten() {
                let text = fs::read_to_string(task.path().join("schedstat"))?;
                let run: u64 = text.split(' ').next().unwrap_or_default().parse()?;
                sum += run;
            }
        }
        Ok(sum)
    }

    /// Resident memory in bytes.
    pub(crate) fn resident(&self) -> Result<u64> {
        let mut sum = 0;
        for pid in self.processes()? {
            let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
            let line = status
                .lines()
                .find_map(|line| line.strip_prefix("VmRSS:"))
                .context("no VmRSS")?;
            let kib: u64 = line.trim().trim_end_matches("kB").trim().parse()?;
            sum += kib * 1024;
        }
        Ok(sum)
    }

    /// The process and its children.
    fn processes(&self) -> Result<Vec<u32>> {
        let pid = self.child.pid();
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        let mut all = vec![pid];
        for child in children.split_whitespace() {
            all.push(child.parse()?);
        }
        Ok(all)
    }
}
