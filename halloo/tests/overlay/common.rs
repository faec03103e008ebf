//! Hosts on a switch that want to be one Ethernet, and a supernode beside them.

use halloo_lab::{Child, Host, Lab, Link, Switch};
use serde_json::Value;
use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{self, Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

pub(crate) const HALLOO: &str = env!("CARGO_BIN_EXE_halloo");
/// Longer than anything here takes on a machine that is busy with other things.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
/// A supernode's port.
pub(crate) const PORT: u16 = 7654;

/// Devices of this process: their control sockets share one folder with those of tests beside this one.
static TAPS: AtomicU32 = AtomicU32::new(0);

/// A switch with a supernode's host, and a community's secret.
pub(crate) struct Net {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) supernode: Link,
    pub(crate) switch: Switch,
    pub(crate) lab: Lab,
}

/// A running edge.
pub(crate) struct Edge {
    pub(crate) child: Child,
    pub(crate) tap: String,
    pub(crate) host: Host,
}

impl Net {
    pub(crate) fn or_skip(title: &str) -> Option<Net> {
        let lab = Lab::or_skip(title)?;
        let switch = lab.switch("switch");
        let supernode = switch.plug(&lab.host("supernode"));
        let folder = tempfile::tempdir().expect("a folder");
        let net = Net {
            folder,
            supernode,
            switch,
            lab,
        };
        net.key(&["--secret", net.path("secret").to_str().expect("text")]);
        Some(net)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).expect("it can be written");
        path
    }

    /// `halloo key new`.
    pub(crate) fn key(&self, args: &[&str]) {
        let output = halloo(&[&["key", "new"], args].concat());
        assert!(output.status.success(), "{output:?}");
    }

    /// Starts the supernode, and waits until it listens.
    pub(crate) fn supernode(&self, args: &[&str]) -> Child {
        supernode_on(self.supernode.a().host(), args)
    }

    /// Starts it to print JSON.
    pub(crate) fn supernode_json(&self, args: &[&str]) -> Child {
        let child = self
            .supernode
            .a()
            .host()
            .spawn(HALLOO, [&["supernode"], args].concat());
        child.wait_for_line("\"type\":\"listening\"", PATIENCE);
        child
    }

    /// Its address.
    pub(crate) fn supernode_address(&self) -> String {
        self.supernode.a().v4().to_string()
    }

    /// One more host on the switch.
    pub(crate) fn host(&self, name: &str) -> Link {
        self.switch.plug(&self.lab.host(name))
    }

    /// What an edge of the community is started with.
    pub(crate) fn words(&self, host: &Host, tap: &str, args: &[&str]) -> Vec<String> {
        let secret = self.path("secret").display().to_string();
        let address = self.supernode_address();
        let mut words = vec!["edge", "--community", "lab", "--tap", tap, "--name", host.name()];
        if !args.contains(&"--supernode") {
            words.extend(["--supernode", &address]);
        }
        if !args.contains(&"--secret-file") {
            words.extend(["--secret-file", &secret]);
        }
        words.extend(args);
        words.into_iter().map(str::to_owned).collect()
    }

    /// Starts an edge.
    pub(crate) fn edge(&self, host: &Host, args: &[&str]) -> Edge {
        let tap = tap();
        let words = self.words(host, &tap, args);
        let child = host.spawn(HALLOO, words);
        let edge = Edge {
            child,
            tap,
            host: host.clone(),
        };
        edge.wait("is a port of lab");
        edge
    }

    /// A supernode, and hosts with an edge each, at 192.168.77.1 and fd77::1 and so on, that all know each other.
    pub(crate) fn full(&self, names: &[&str], args: &[&str]) -> (Child, Vec<Edge>) {
        let supernode = self.supernode(&[]);
        let edges: Vec<Edge> = names
            .iter()
            .enumerate()
            .map(|(place, name)| self.numbered(self.host(name).a().host(), place, args))
            .collect();
        acquainted(&edges);
        (supernode, edges)
    }

    /// The edge with the addresses of this place.
    pub(crate) fn numbered(&self, host: &Host, place: usize, args: &[&str]) -> Edge {
        let (v4, v6) = (format!("{}/24", v4(place)), format!("{}/64", v6(place)));
        if args.contains(&"--bridge") {
            return self.edge(host, args);
        }
        self.edge(host, &[&["--address", &v4, "--address", &v6], args].concat())
    }
}

impl Edge {
    pub(crate) fn wait(&self, text: &str) -> String {
        self.child.wait_for_line(text, PATIENCE)
    }

    /// Pings: none is lost.
    #[track_caller]
    pub(crate) fn reaches(&self, address: &str) {
        self.host.must("ping", ["-n", "-c3", "-i0.1", "-W3", address]);
    }

    /// `halloo edge status --json`.
    pub(crate) fn status(&self) -> Value {
        let output = halloo(&["edge", "status", &self.tap, "--json"]);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {output:?}"))
    }

    /// What it says of a peer.
    pub(crate) fn peer(&self, name: &str) -> Value {
        let status = self.status();
        let peers = status["peers"].as_array().expect("peers");
        let peer = peers.iter().find(|peer| peer["name"] == name);
        peer.unwrap_or_else(|| panic!("no {name} in {status:#}")).clone()
    }

    pub(crate) fn has_device(&self) -> bool {
        self.host.run("ip", ["link", "show", &self.tap]).status.success()
    }
}

/// Waits until each has a session with every other.
pub(crate) fn acquainted(edges: &[Edge]) {
    for edge in edges {
        for other in edges {
            if other.host.namespace() != edge.host.namespace() {
                edge.wait(&format!("{} is there", other.host.name()));
            }
        }
    }
}

pub(crate) fn supernode_on(host: &Host, args: &[&str]) -> Child {
    let child = host.spawn(HALLOO, [&["supernode"], args].concat());
    child.wait_for_line("listening on UDP", PATIENCE);
    child
}

/// A name that no other test has.
pub(crate) fn tap() -> String {
    format!("ov{}x{}", process::id(), TAPS.fetch_add(1, Ordering::Relaxed))
}

pub(crate) fn v4(place: usize) -> String {
    format!("192.168.77.{}", place + 1)
}

pub(crate) fn v6(place: usize) -> String {
    format!("fd77::{}", place + 1)
}

/// Runs it to its end, on no host in particular.
pub(crate) fn halloo(args: &[&str]) -> Output {
    Command::new(HALLOO).args(args).output().expect("halloo runs")
}

/// What a program printed, both pipes.
pub(crate) fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// A file of these tests.
pub(crate) fn beside(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/overlay");
    folder.join(name).display().to_string()
}

/// A file of a peer that others wrote, which `cargo xtask test` puts beside the build; says so loudly if it is not there.
pub(crate) fn peer_or_skip(peer: &str, file: &str) -> Option<PathBuf> {
    let folder = Path::new(HALLOO).ancestors().nth(2)?.join("peers").join(peer);
    let path = folder.join(file);
    if path.exists() {
        return Some(path);
    }
    let why = format!("{} is not there: `cargo xtask test` makes it", path.display());
    assert!(
        env::var_os("HALLOO_LAB").as_deref() != Some(OsStr::new("require")),
        "{why}"
    );
    eprintln!("SKIPPED: {why}");
    None
}
