//! A host: one network namespace, and ways to do things inside it.

use crate::child::Child;
use crate::command::{command, must, must_read, text};
use crate::lab::NAMESPACES;
use nix::sched::{CloneFlags, setns};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::net::IpAddr;
use std::panic::resume_unwind;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::{self, JoinHandle};

/// A network namespace with its loopback up. Clones are the same host.
///
/// Only the network is the host's own: files, processes, clocks and `/sys` are the machine's.
#[derive(Clone, Debug)]
pub struct Host {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    name: String,
    namespace: String,
    devices: AtomicU32,
}

impl Host {
    pub(crate) fn new(name: &str, namespace: String) -> Host {
        let inner = Inner {
            name: name.to_owned(),
            namespace,
            devices: AtomicU32::new(0),
        };
        Host {
            inner: Arc::new(inner),
        }
    }

    /// The name that the test gave.
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// The namespace's name, as `ip netns` shows it.
    pub fn namespace(&self) -> &str {
        &self.inner.namespace
    }

    /// Runs a program inside to its end.
    ///
    /// # Panics
    /// When it cannot be started. How it ended is in the [`Output`].
    #[track_caller]
    pub fn run(
        &self,
        program: impl AsRef<OsStr>,
        args: impl IntoIterator<Item = impl AsRef<OsStr>>,
    ) -> Output {
        let mut command = command(program, args);
        let ran = self.enter(|| command.output());
        ran.unwrap_or_else(|error| panic!("{command:?} on {}: {error}", self.name()))
    }

    /// Runs a program inside to its end and returns what it printed.
    ///
    /// # Panics
    /// Unless it succeeds.
    #[track_caller]
    pub fn must(
        &self,
        program: impl AsRef<OsStr>,
        args: impl IntoIterator<Item = impl AsRef<OsStr>>,
    ) -> String {
        let output = self.run(&program, args);
        let Output {
            status,
            stdout,
            stderr,
        } = output;
        let program = program.as_ref().display();
        assert!(
            status.success(),
            "{program} on {}: {status}\n{}{}",
            self.name(),
            text(&stdout),
            text(&stderr)
        );
        text(&stdout)
    }

    /// Starts a program inside, with nothing on its standard input.
    ///
    /// # Panics
    /// When it cannot be started.
    #[track_caller]
    pub fn spawn(
        &self,
        program: impl AsRef<OsStr>,
        args: impl IntoIterator<Item = impl AsRef<OsStr>>,
    ) -> Child {
        self.spawn_command(command(program, args))
    }

    /// As [`Host::spawn`], where the caller chose environment, folder and standard input.
    #[track_caller]
    pub fn spawn_command(&self, command: Command) -> Child {
        Child::spawn(self, command)
    }

    /// Runs a closure on a fresh thread inside. Sockets that it makes stay inside wherever they go.
    ///
    /// # Panics
    /// When the closure does.
    pub fn enter<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        let namespace = self.open();
        thread::scope(|scope| {
            let inside = scope.spawn(|| {
                join(&namespace);
                work()
            });
            inside.join().unwrap_or_else(|panic| resume_unwind(panic))
        })
    }

    /// Starts a thread inside.
    pub fn thread<R: Send + 'static>(&self, work: impl FnOnce() -> R + Send + 'static) -> JoinHandle<R> {
        let namespace = self.open();
        thread::spawn(move || {
            join(&namespace);
            drop(namespace);
            work()
        })
    }

    /// Sets a kernel parameter of this namespace, such as `net.ipv4.ip_forward`.
    ///
    /// # Panics
    /// When the kernel has no such parameter, or not that value.
    #[track_caller]
    pub fn sysctl(&self, parameter: &str, value: &str) {
        let file = PathBuf::from("/proc/sys").join(parameter.replace('.', "/"));
        let written = self.enter(|| fs::write(&file, value));
        written.unwrap_or_else(|error| panic!("sysctl {parameter}={value} on {}: {error}", self.name()));
    }

    /// Routes `destination` (a prefix, or `default`) by a neighbour.
    #[track_caller]
    pub fn route(&self, destination: &str, via: IpAddr) {
        let family = if via.is_ipv4() { "-4" } else { "-6" };
        self.ip(&[family, "route", "replace", destination, "via", &via.to_string()]);
    }

    /// Runs `ip` with these arguments.
    #[track_caller]
    pub(crate) fn ip(&self, args: &[&str]) {
        must(command("ip", ["-n", self.namespace()].iter().chain(args)));
    }

    /// Runs several `ip` commands, a line each, in one process.
    #[track_caller]
    pub(crate) fn ip_batch(&self, lines: &str) {
        must_read(command("ip", ["-n", self.namespace(), "-batch", "-"]), lines);
    }

    /// Loads an nftables script, all of it or nothing.
    #[track_caller]
    pub(crate) fn nft(&self, script: &str) {
        let command = command("nft", ["-f", "-"]);
        self.enter(|| must_read(command, script));
    }

    /// A name for one more network device.
    pub(crate) fn next_device(&self) -> String {
        format!("eth{}", self.inner.devices.fetch_add(1, Ordering::Relaxed))
    }

    /// Brings the loopback up and keeps the host from talking unasked.
    #[track_caller]
    pub(crate) fn settle(&self) {
        // Duplicate address detection would make an IPv6 address useless for its first second.
        for scope in ["all", "default"] {
            self.sysctl(&format!("net.ipv6.conf.{scope}.accept_dad"), "0");
            self.sysctl(&format!("net.ipv6.conf.{scope}.router_solicitations"), "0");
            // Else the second address of a network goes with the first, which a change of address must not do.
            self.sysctl(&format!("net.ipv4.conf.{scope}.promote_secondaries"), "1");
        }
        self.ip(&["link", "set", "lo", "up"]);
    }

    pub(crate) fn path(&self) -> PathBuf {
        PathBuf::from(NAMESPACES).join(self.namespace())
    }

    #[track_caller]
    fn open(&self) -> File {
        let path = self.path();
        File::open(&path).unwrap_or_else(|error| panic!("host {} ({}): {error}", self.name(), path.display()))
    }
}

fn join(namespace: &File) {
    setns(namespace, CloneFlags::CLONE_NEWNET).expect("root may enter a namespace that it made");
}
