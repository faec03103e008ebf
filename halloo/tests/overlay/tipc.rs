//! The kernel's own TIPC in three guests, which only the overlay joins.

use crate::common::{Edge, Net, acquainted, peer_or_skip};
use halloo_lab::{Direction, Fate, Link, Traffic, program_or_skip};
use nix::sys::signal::Signal;
use serde_json::Value;
use std::path::Path;
use std::process::Output;

/// The guest's end of the bridge.
const GUEST: &str = "guest";

struct Stage {
    net: Net,
    links: Vec<Link>,
    image: String,
}

impl Stage {
    /// Three hosts with a bridge and a guest's TAP each.
    fn or_skip(title: &str) -> Option<Stage> {
        let net = Net::or_skip(title)?;
        program_or_skip("qemu-system-x86_64")?;
        let image = peer_or_skip("tipc", "vmlinuz")?;
        let image = image.parent()?.display().to_string();
        let links: Vec<Link> = ["a", "b", "c"].map(|name| net.host(name)).into();
        for link in &links {
            let host = link.a().host();
            host.must(
                "ip",
                [
                    "link",
                    "add",
                    "br0",
                    "type",
                    "bridge",
                    "stp_state",
                    "0",
                    "mcast_snooping",
                    "0",
                ],
            );
            host.must("ip", ["tuntap", "add", "dev", GUEST, "mode", "tap"]);
            host.must("ip", ["link", "set", GUEST, "master", "br0", "up"]);
            host.must("ip", ["link", "set", "br0", "up"]);
        }
        Some(Stage { net, links, image })
    }

    fn edges(&self) -> Vec<Edge> {
        let edge = |link: &Link| self.net.edge(link.a().host(), &["--bridge", "br0"]);
        let edges: Vec<Edge> = self.links.iter().map(edge).collect();
        acquainted(&edges);
        edges
    }

    /// Runs the guests; the last line is JSON.
    fn play(&self, args: &[&str]) -> (Output, Value) {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../lab/tipc/mcast_test.py");
        let script = script.display().to_string();
        let namespaces: Vec<&str> = self
            .links
            .iter()
            .map(|link| link.a().host().namespace())
            .collect();
        let namespaces = namespaces.join(",");
        let logs = self.net.folder.path().display().to_string();
        let taps = [GUEST; 3].join(",");
        let fixed = [
            script.as_str(),
            "--existing-taps",
            "--taps",
            &taps,
            "--netns",
            &namespaces,
            "--image",
            &self.image,
            "--logs",
            &logs,
        ];
        let host = self.net.supernode.a().host();
        let output = host.run("python3", [&fixed, args].concat());
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let last = text.lines().last().unwrap_or_default();
        let result = serde_json::from_str(last)
            .unwrap_or_else(|error| panic!("{error}: {text}{}", String::from_utf8_lossy(&output.stderr)));
        (output, result)
    }
}

#[track_caller]
fn assert_passed((output, result): &(Output, Value)) {
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}");
    let runs = result["runs"].as_array().expect("runs");
    let passed: Vec<_> = runs
        .iter()
        .filter(|run| run["pass"] == true)
        .map(|run| &run["mode"])
        .collect();
    assert_eq!(passed, ["bcast", "rcast"], "{text}");
}

#[test]
fn tipc_multicast_reaches_every_server() {
    let Some(stage) = Stage::or_skip("TIPC over three edges") else {
        return;
    };
    let _supernode = stage.net.supernode(&[]);
    let _edges = stage.edges();
    assert_passed(&stage.play(&[]));
}

#[test]
fn tipc_multicast_survives_loss_and_the_supernodes_death() {
    let Some(stage) = Stage::or_skip("TIPC with loss and without a supernode") else {
        return;
    };
    let supernode = stage.net.supernode(&[]);
    let edges = stage.edges();
    for edge in &edges {
        for other in &edges {
            if other.host.name() != edge.host.name() {
                edge.wait(&format!("{} is reached directly", other.host.name()));
            }
        }
    }
    supernode.signal(Signal::SIGKILL);
    for link in &stage.links {
        link.fate(Direction::BToA, Traffic::Udp, Fate::Lose(0.02));
    }
    assert_passed(&stage.play(&[]));
    let dropped: u64 = stage.links.iter().map(|link| link.dropped(Direction::BToA)).sum();
    assert!(dropped > 0, "nothing was lost");
}
