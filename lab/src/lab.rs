//! A lab: namespaces with a common name, which all go away together.

use crate::command::{command, must};
use crate::host::Host;
use crate::link::{Link, LinkPlan};
use crate::program::{MissingProgram, program};
use crate::switch::Switch;
use crate::{Impairer, impairer};
use nix::mount::{MntFlags, umount2};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, geteuid};
use std::ffi::OsStr;
use std::fmt::Display;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU16, AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::{env, fs, io, process, thread};

/// Where iproute2 keeps named namespaces.
pub(crate) const NAMESPACES: &str = "/run/netns";

/// What every namespace of every lab is called first.
const PREFIX: &str = "halloo-lab";

/// What set-up needs beside root.
const TOOLS: &[&str] = &["ip", "tc", "nft", "ethtool"];

/// Labs of this process, so that tests in parallel threads do not meet.
static LABS: AtomicU32 = AtomicU32::new(0);

/// Why this machine cannot hold a lab.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Unavailable {
    /// Namespaces are made by root.
    #[error("needs root")]
    NotRoot,
    /// A tool is missing.
    #[error(transparent)]
    MissingProgram(#[from] MissingProgram),
    /// The kernel, or the container around us, makes no namespaces.
    #[error("this machine makes no network namespaces: {0}")]
    NoNamespaces(String),
}

/// Hosts, links and switches of one test.
///
/// Dropping it ends every process inside, and removes every namespace and with it every link.
#[derive(Debug)]
pub struct Lab {
    title: String,
    prefix: String,
    hosts: Mutex<Vec<Host>>,
    subnets: AtomicU16,
}

impl Lab {
    /// An empty lab; `title` says in messages what it is for. Also removes what dead processes left behind.
    ///
    /// # Errors
    /// [`Unavailable`] when this machine cannot hold labs.
    pub fn new(title: &str) -> Result<Lab, Unavailable> {
        if !geteuid().is_root() {
            return Err(Unavailable::NotRoot);
        }
        for tool in TOOLS {
            program(tool)?;
        }
        Lab::sweep();
        let prefix = format!(
            "{PREFIX}.{}.{}",
            process::id(),
            LABS.fetch_add(1, Ordering::Relaxed)
        );
        let lab = Lab {
            title: title.to_owned(),
            prefix,
            hosts: Mutex::default(),
            subnets: AtomicU16::new(0),
        };
        lab.add("trial").map_err(Unavailable::NoNamespaces)?;
        lab.clear();
        Ok(lab)
    }

    /// As [`Lab::new`], but says loudly on standard error that the test did not run, and returns `None`.
    ///
    /// # Panics
    /// When the lab is unavailable and `HALLOO_LAB=require` is set.
    pub fn or_skip(title: &str) -> Option<Lab> {
        Lab::new(title).map_err(|why| skip(&why)).ok()
    }

    /// A new host with its loopback up.
    ///
    /// # Panics
    /// When the name is taken, or the namespace cannot be made.
    #[track_caller]
    pub fn host(&self, name: &str) -> Host {
        let host = self.add(name).unwrap_or_else(|why| panic!("host {name}: {why}"));
        host.settle();
        host
    }

    /// A host that forwards between its links.
    #[track_caller]
    pub fn router(&self, name: &str) -> Host {
        let host = self.host(name);
        host.sysctl("net.ipv4.ip_forward", "1");
        host.sysctl("net.ipv6.conf.all.forwarding", "1");
        host
    }

    /// A switch that hosts can be plugged into.
    #[track_caller]
    pub fn switch(&self, name: &str) -> Switch {
        Switch::new(self.host(name), self.subnet())
    }

    /// Joins two hosts by an Ethernet cable with addresses for both IP versions at both ends.
    #[track_caller]
    pub fn link(&self, a: &Host, b: &Host) -> Link {
        self.link_with(a, b, &LinkPlan::default())
    }

    /// As [`Lab::link`], with choices.
    #[track_caller]
    pub fn link_with(&self, a: &Host, b: &Host, plan: &LinkPlan) -> Link {
        Link::direct(a, b, self.subnet(), plan)
    }

    /// Joins two hosts through a box that delays, reorders and duplicates as told. To both hosts it is one cable.
    ///
    /// Checksum and segmentation offload are off at both ends, because the box sees frames as they would be on a
    /// real cable. The kernel therefore refuses `UDP_SEGMENT` here.
    #[track_caller]
    pub fn impaired_link(&self, a: &Host, b: &Host) -> (Link, Impairer) {
        let subnet = self.subnet();
        let middle = self.host(&format!("impairer-{subnet}"));
        impairer::wire(a, b, &middle, subnet)
    }

    /// Removes the namespaces, and ends the processes inside, of labs whose process is dead. Returns how many.
    pub fn sweep() -> usize {
        let Ok(entries) = fs::read_dir(NAMESPACES) else {
            return 0;
        };
        entries
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| owner(path).is_some_and(|pid| !Path::new("/proc").join(pid.to_string()).exists()))
            .map(|path| raze(&path))
            .count()
    }

    /// Says how to enter each host, and waits until someone presses Enter.
    ///
    /// # Panics
    /// When standard input cannot be read.
    pub fn pause(&self) {
        eprintln!("The lab `{}` is open. Enter its hosts with:", self.title);
        for host in self.hosts() {
            eprintln!("    ip netns exec {} bash    # {}", host.namespace(), host.name());
        }
        eprintln!("Press Enter to close it.");
        io::stdin()
            .read_line(&mut String::new())
            .expect("standard input can be read");
    }

    fn hosts(&self) -> Vec<Host> {
        self.hosts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn add(&self, name: &str) -> Result<Host, String> {
        let host = Host::new(name, format!("{}.{name}", self.prefix));
        let made = command("ip", ["netns", "add", host.namespace()])
            .output()
            .map_err(|error| error.to_string())?;
        if !made.status.success() {
            return Err(String::from_utf8_lossy(&made.stderr).trim().to_owned());
        }
        self.hosts
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(host.clone());
        Ok(host)
    }

    fn subnet(&self) -> u16 {
        self.subnets.fetch_add(1, Ordering::Relaxed)
    }

    fn clear(&self) {
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        for host in hosts.drain(..) {
            raze(&host.path());
        }
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        self.clear();
    }
}

/// Says that a test did not run, or fails it where it must run.
#[track_caller]
pub(crate) fn skip(why: &dyn Display) {
    let thread = thread::current();
    let test = thread.name().unwrap_or("a test");
    assert!(
        env::var_os("HALLOO_LAB").as_deref() != Some(OsStr::new("require")),
        "{test} must run here (HALLOO_LAB=require), but: {why}"
    );
    eprintln!("SKIPPED {test}: {why}");
}

/// The process whose lab a namespace belongs to.
fn owner(namespace: &Path) -> Option<u32> {
    let name = namespace.file_name()?.to_str()?;
    name.strip_prefix(PREFIX)?
        .strip_prefix('.')?
        .split('.')
        .next()?
        .parse()
        .ok()
}

/// Ends every process in a namespace and removes its name. The kernel frees the rest when the last socket closes.
fn raze(namespace: &Path) {
    for pid in inhabitants(namespace) {
        // It may have ended by itself since it was seen.
        let _ = kill(pid, Signal::SIGKILL);
    }
    // Another process may be sweeping the same leftover; whoever comes second finds nothing, which is fine.
    let _ = umount2(namespace, MntFlags::MNT_DETACH);
    let _ = fs::remove_file(namespace);
}

/// The processes, other than this one, whose network is the given namespace.
fn inhabitants(namespace: &Path) -> Vec<Pid> {
    let Ok(inside) = fs::metadata(namespace) else {
        return Vec::new();
    };
    let Ok(processes) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    processes
        .flatten()
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path())))
        .filter(|(pid, _)| *pid != process::id().cast_signed())
        .filter(|(_, path): &(i32, PathBuf)| {
            fs::metadata(path.join("ns/net"))
                .is_ok_and(|net| net.ino() == inside.ino() && net.dev() == inside.dev())
        })
        .map(|(pid, _)| Pid::from_raw(pid))
        .collect()
}

/// Runs `ip` in no particular namespace.
#[track_caller]
pub(crate) fn ip(args: &[&str]) {
    must(command("ip", args));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_tells_whose_it_is() {
        assert_eq!(owner(Path::new("/run/netns/halloo-lab.417.0.near")), Some(417));
        assert_eq!(owner(Path::new("/run/netns/halloo-labour.417.0.near")), None);
        assert_eq!(owner(Path::new("/run/netns/someone-else")), None);
    }
}
