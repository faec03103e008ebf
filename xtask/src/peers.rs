//! Programs that others wrote and Debian does not have, from PyPI, npm and crates.io, and those of Debian that would take something
//! over if they were installed: into the target folder, where tests look.

use crate::command::{Finished, found, quietly_within};
use crate::report::Ending;
use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// A set of such programs.
struct Peer {
    /// For people, and the folder's name.
    name: &'static str,
    /// Its packages, each at one version.
    pins: &'static str,
    /// What installs them.
    installer: &'static str,
    /// Installs what the pins, which lie in the folder, say.
    command: fn(folder: &Path) -> Command,
}

const PEERS: &[Peer] = &[
    Peer {
        name: "python-ndn",
        pins: "halloo/tests/ndn/python/requirements.txt",
        installer: "python3",
        command: pip,
    },
    Peer {
        name: "ndnts",
        pins: "halloo/tests/ndn/ndnts/package.json",
        installer: "npm",
        command: npm,
    },
    Peer {
        name: "ntp",
        pins: "halloo/tests/dialects/ntp.txt",
        installer: "apt-get",
        command: unpack,
    },
    Peer {
        name: "aioquic",
        pins: "halloo/tests/dialects/quic/requirements.txt",
        installer: "python3",
        command: pip,
    },
    Peer {
        name: "lan",
        pins: "halloo/tests/overlay/lan.txt",
        installer: "apt-get",
        command: unpack_with_libraries,
    },
    Peer {
        name: "tipc",
        pins: "lab/tipc/build.py",
        installer: "qemu-system-x86_64",
        command: guests,
    },
    Peer {
        name: "stamp-suite",
        pins: "halloo/tests/dialects/stamp-suite.txt",
        installer: "cargo",
        command: cargo,
    },
];

/// What only the bench of the overlay wants, and which takes minutes to build.
const FOR_OVERLAY_BENCH: &[Peer] = &[Peer {
    name: "vpncloud",
    pins: "bench/vpncloud.txt",
    installer: "cargo",
    command: cargo_release,
}];

/// How long a registry may take to hand over everything, and a compiler to be done with it, before it counts as out of
/// reach.
const LIMIT: Duration = Duration::from_secs(600);

/// What tells that a folder is complete, and what it was made from.
const STAMP: &str = "installed";

/// Installs what is missing, if the registries can be reached.
pub(crate) fn ensure() -> Ending {
    ensure_all(PEERS)
}

/// The same of what the bench of the overlay wants.
pub(crate) fn ensure_for_overlay_bench() -> Ending {
    ensure_all(FOR_OVERLAY_BENCH)
}

fn ensure_all(peers: &[Peer]) -> Ending {
    let mut missing = Vec::new();
    for peer in peers {
        if let Err(error) = peer.ensure() {
            missing.push(format!("{}: {error:#}", peer.name));
        }
    }
    if missing.is_empty() {
        let names: Vec<_> = peers.iter().map(|peer| peer.name).collect();
        return Ending::passed(names.join(", "));
    }
    Ending::NotRun(missing.join("\n"))
}

impl Peer {
    fn ensure(&self) -> Result<()> {
        let folder = folder()?.join(self.name);
        let pins = fs::read_to_string(self.pins).with_context(|| format!("cannot read {}", self.pins))?;
        let stamp = folder.join(STAMP);
        if fs::read_to_string(&stamp).is_ok_and(|installed| installed == pins) {
            return Ok(());
        }
        anyhow::ensure!(found(self.installer), "no {} here", self.installer);
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir_all(&folder)?;
        let name = Path::new(self.pins).file_name().context("pins are a file")?;
        fs::write(folder.join(name), &pins)?;
        let Finished { success, output } = quietly_within((self.command)(&folder), LIMIT);
        anyhow::ensure!(success, "{}", output.trim());
        fs::write(stamp, pins)?;
        Ok(())
    }
}

/// Beside the folder of the profile that this program is in.
fn folder() -> Result<PathBuf> {
    let program = std::env::current_exe()?;
    let target = program.ancestors().nth(2).context("no target folder")?;
    Ok(target.join("peers"))
}

/// A folder for `PYTHONPATH`: it needs less of the machine's Python than a virtual environment.
fn pip(folder: &Path) -> Command {
    let mut command = Command::new("python3");
    command
        .args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--no-warn-script-location",
        ])
        .args(["--root-user-action", "ignore"])
        .args(["--requirement", "requirements.txt", "--target", "."])
        .current_dir(folder);
    command
}

/// What Debian's own node can run, and nothing that a package wants to run by itself.
fn npm(folder: &Path) -> Command {
    let mut command = Command::new("npm");
    command
        .args(["install", "--no-package-lock", "--no-audit", "--no-fund"])
        .args(["--ignore-scripts", "--loglevel", "error"])
        .current_dir(folder);
    command
}

/// Without optimisation, which would take longer than its tests ever will. The features are the kernel's stamps.
fn cargo(folder: &Path) -> Command {
    let pins = fs::read_to_string(folder.join("stamp-suite.txt")).unwrap_or_default();
    let mut command = Command::new("cargo");
    command
        .args([
            "install",
            "--quiet",
            "--locked",
            "--debug",
            "--features",
            "hwtstamp",
        ])
        .args(["--root", ".", pins.trim()])
        .current_dir(folder)
        // It is built in a folder that cargo removes at the end.
        .env_remove("CARGO_TARGET_DIR");
    command
}

/// As anybody installs it.
fn cargo_release(folder: &Path) -> Command {
    let pins = fs::read_to_string(folder.join("vpncloud.txt")).unwrap_or_default();
    let mut command = Command::new("cargo");
    command
        .args(["install", "--quiet", "--locked", "--root", ".", pins.trim()])
        .current_dir(folder)
        // It is built in a folder that cargo removes at the end.
        .env_remove("CARGO_TARGET_DIR");
    command
}

/// The guests of lab/tipc: a kernel and a root folder.
fn guests(folder: &Path) -> Command {
    let mut command = Command::new("python3");
    command.args(["lab/tipc/build.py", "--out"]).arg(folder);
    command
}

/// Debian's daemons, unpacked and not installed, with what they need that is not there. Here they would start, and take the host's
/// routes, leases and clock in hand.
fn unpack_with_libraries(folder: &Path) -> Command {
    let mut command = Command::new("sh");
    command
        .args([
            "-ec",
            "mkdir -p partial
            download() {
                apt-get --quiet --yes --no-install-recommends --reinstall --download-only \\
                    --option Dir::Cache::archives=\"$PWD\" install $(cat lan.txt)
            }
            download || { apt-get --quiet update; download; }
            for package in *.deb; do dpkg-deb --extract \"$package\" .; rm \"$package\"; done
            rm -rf partial lock",
        ])
        .current_dir(folder);
    command
}

/// Debian's packages, unpacked and not installed: one that keeps the clock would take the place of the one that does, and start.
/// Python finds its library beside its module.
fn unpack(folder: &Path) -> Command {
    let mut command = Command::new("sh");
    command
        .args([
            "-ec",
            "download() { apt-get --quiet download $(cat ntp.txt); }
            download || { apt-get --quiet update; download; }
            for package in *.deb; do dpkg-deb --extract \"$package\" .; rm \"$package\"; done
            cp -L usr/lib/*/ntp/libntpc.so usr/lib/python3/dist-packages/ntp/",
        ])
        .current_dir(folder);
    command
}
