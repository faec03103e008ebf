//! `halloo nat` behind the kernel's own NAT, of every kind that it has, and behind none.

use crate::asking::{HALLOO, PATIENCE};
use halloo_lab::{Child, Lab, Link, Nat};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::fs;
use std::net::Ipv4Addr;

const SECOND: u64 = 1_000_000_000;

/// A client, a router, and an echo host with two ports and two addresses on the other side.
struct Scene {
    inside: Link,
    outside: Link,
    _server: Child,
    _folder: tempfile::TempDir,
    _lab: Lab,
}

impl Scene {
    fn or_skip(title: &str) -> Option<Scene> {
        let lab = Lab::or_skip(title)?;
        let (client, router, server) = (lab.host("client"), lab.router("router"), lab.host("server"));
        let (inside, outside) = (lab.link(&client, &router), lab.link(&router, &server));
        client.route("default", inside.b().v4().into());
        server.route("default", outside.a().v4().into());
        let [first, other] = addresses(&outside);
        server.must(
            "ip",
            ["addr", "add", &format!("{other}/24"), "dev", outside.b().device()],
        );
        let folder = tempfile::tempdir().expect("a folder");
        let config = folder.path().join("serve.toml");
        let text = format!("[pingback]\naddresses = [\"{first}\", \"{other}\"]\n");
        fs::write(&config, text).expect("it can be written");
        let config = config.to_str().expect("a path of text");
        let ports = ["--udp", "0.0.0.0:7777", "--udp", "0.0.0.0:7778", "--tcp", "7777"];
        let more = ["--stun", "0.0.0.0:3478", "--config", config, "--user", "root"];
        let running = server.spawn(HALLOO, [&["serve"][..], &ports, &more].concat());
        running.wait_for_line("3478", PATIENCE);
        Some(Scene {
            inside,
            outside,
            _server: running,
            _folder: folder,
            _lab: lab,
        })
    }

    fn translate(&self, nat: Nat) {
        let outside = self.outside.a();
        outside.host().nat(outside, nat);
    }

    fn start(&self, hosts: usize, args: &[&str]) -> Child {
        let names = addresses(&self.outside).map(|ip| ip.to_string());
        let names: Vec<_> = names.iter().take(hosts).map(String::as_str).collect();
        let client = self.inside.a().host();
        client.spawn(HALLOO, [&["nat"], args, &names].concat())
    }

    /// What it says in the end.
    fn found(&self, hosts: usize, args: &[&str]) -> Value {
        finished(&self.start(hosts, &[&["--json"], args].concat()))
    }
}

fn finished(child: &Child) -> Value {
    let code = child.wait(PATIENCE).code();
    let text = child.stdout();
    assert_eq!(code, Some(0), "{text} {}", child.stderr());
    serde_json::from_str(&text).expect("one object")
}

/// The server's two.
fn addresses(outside: &Link) -> [Ipv4Addr; 2] {
    let first = outside.b().v4();
    let [a, b, c, _] = first.octets();
    [first, Ipv4Addr::new(a, b, c, 200)]
}

/// Compares what was found with what is expected, field by field.
#[track_caller]
fn check(found: &Value, expected: &Value) {
    for (field, value) in expected.as_object().expect("fields") {
        assert_eq!(&found[field], value, "{field} in {found:#}");
    }
}

fn why<'a>(found: &'a Value, row: &str) -> &'a str {
    let unknown = found["unknown"].as_array().expect("a list");
    let one = unknown.iter().find(|one| one["row"] == row);
    one.and_then(|one| one["why"].as_str())
        .unwrap_or_else(|| panic!("{row} is known: {found:#}"))
}

#[test]
fn each_nat_of_the_kernels_is_told_as_what_it_is() {
    let Some(scene) = Scene::or_skip("NATs of every kind") else {
        return;
    };
    let short = ["--max-lifetime", "1"];
    let found = scene.found(2, &short);
    let nothing = json!({
        "complete": true,
        "translated": false,
        "mapping": null,
        "filtering": "endpoint_independent",
        "hairpin": null,
        "lifetime_at_least_ns": null,
        "keep_alive_ns": null,
        "two_such_can_meet": true,
    });
    check(&found, &nothing);
    assert_eq!(why(&found, "mapping"), "nothing is translated");
    assert_eq!(why(&found, "lifetime"), "everybody is let in, always");

    scene.translate(Nat::PortKept);
    let found = scene.found(2, &short);
    let kept = json!({
        "complete": true,
        "translated": true,
        "mapping": "endpoint_independent",
        "filtering": "address_and_port_dependent",
        "hairpin": false,
        "lifetime_at_least_ns": SECOND,
        "lifetime_below_ns": null,
        "keep_alive_ns": SECOND * 7 / 10,
        "two_such_can_meet": true,
    });
    check(&found, &kept);
    assert_eq!(found["ports_kept"], found["ports_seen"]);

    scene.translate(Nat::Symmetric);
    let found = scene.found(2, &short);
    let symmetric = json!({
        "translated": true,
        "mapping": "address_and_port_dependent",
        "filtering": "address_and_port_dependent",
        "hairpin": null,
        "two_such_can_meet": false,
    });
    check(&found, &symmetric);
    assert_eq!(why(&found, "hairpin"), "the filter would hide it");
    assert!(found["ports_kept"].as_u64() < found["ports_seen"].as_u64());

    let inside = scene.inside.a().v4().into();
    scene.translate(Nat::OneToOne { inside });
    let found = scene.found(2, &short);
    let open = json!({
        "translated": true,
        "mapping": "endpoint_independent",
        "filtering": "endpoint_independent",
        "two_such_can_meet": true,
    });
    check(&found, &open);
}

#[test]
fn the_lifetime_of_the_kernels_mappings_is_found_and_what_keeps_them_alive() {
    let Some(scene) = Scene::or_skip("a short lifetime") else {
        return;
    };
    scene.translate(Nat::PortKept);
    let router = scene.outside.a().host();
    router.sysctl("net.netfilter.nf_conntrack_udp_timeout", "4");
    let found = scene.found(1, &["--max-lifetime", "8"]);
    // How near to 4 s is a question of how busy this host is: the machine's own tests ask for more.
    let (least, below) = (
        found["lifetime_at_least_ns"].as_u64().expect("bounded below"),
        found["lifetime_below_ns"].as_u64().expect("and above"),
    );
    assert!(
        (2 * SECOND..=4 * SECOND + SECOND / 5).contains(&least),
        "{found:#}"
    );
    assert!(least < below && below <= 8 * SECOND, "{found:#}");
    let expected = json!({
        "complete": true,
        "inbound_refresh": true,
        "keep_alive_ns": least * 7 / 10 / SECOND * SECOND,
        "mapping": null,
        "mapping_possible": ["endpoint_independent", "address_dependent"],
        "filtering": "address_and_port_dependent",
    });
    check(&found, &expected);
    assert!(
        why(&found, "mapping").starts_with("needs a second address"),
        "{found:#}"
    );
}

#[test]
fn who_is_stopped_tells_what_is_known_by_then() {
    let Some(scene) = Scene::or_skip("stopped before the end") else {
        return;
    };
    scene.translate(Nat::PortKept);
    let asking = scene.start(1, &["--max-lifetime", "900"]);
    // From here on it hears signals.
    asking.wait_for_line("NAT between here and", PATIENCE);
    asking.signal(Signal::SIGINT);
    let code = asking.wait(PATIENCE).code();
    let text = asking.stdout();
    assert!(text.contains("Stopped before all was known."), "{text}");
    assert!(text.contains("lifetime    unknown: "), "{text}");
    let is_known = !text.contains("outside     unknown");
    assert_eq!(code, Some(if is_known { 0 } else { 1 }), "{text}");
}
