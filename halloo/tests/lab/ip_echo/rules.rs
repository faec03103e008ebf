//! Every rule of RFC 2075, sent and judged by scapy.

use super::stage::{
    ECHO_V4, ECHO_V6, STRANGERS_V4, STRANGERS_V6, Stage, Way, python_with_scapy_or_skip, script, write_config,
};
use crate::asking::PATIENCE;
use serde_json::{Value, json};
use std::process::{Command, Stdio};

#[test]
fn every_rule_holds_through_a_tun_device() {
    every_rule_holds(Way::Tun, "discard");
    every_rule_holds(Way::Tun, "safe");
}

#[test]
fn every_rule_holds_on_the_wire() {
    every_rule_holds(Way::Wire, "discard");
    every_rule_holds(Way::Wire, "safe");
}

#[test]
fn every_rule_holds_with_the_driver_answering_what_is_plain() {
    every_rule_holds(Way::Xdp, "discard");
    every_rule_holds(Way::Xdp, "safe");
}

fn every_rule_holds(way: Way, icmp: &str) {
    let Some(python) = python_with_scapy_or_skip() else {
        return;
    };
    let folder = tempfile::tempdir().expect("a folder");
    let config = write_config(&folder, &format!("[ip_echo]\nicmp = \"{icmp}\"\n"));
    let Some(stage) = Stage::or_skip("the rules of RFC 2075", way, &["--config", &config]) else {
        return;
    };
    let mut command = Command::new(python);
    command.args(["-B", &script("judge.py"), &setting(&stage, way, icmp).to_string()]);
    command.stdin(Stdio::piped());
    let mut judge = stage.client().spawn_command(command);
    judge.wait_for_line("sent", PATIENCE);
    // What has not been answered by its end never will be: so silence needs no waiting.
    let counted = stage.stop();
    drop(judge.stdin());
    let status = judge.wait(PATIENCE);
    assert!(status.success(), "{judge}");
    let text = judge.stdout();
    let verdict: Value =
        serde_json::from_str(text.lines().next_back().expect("a verdict")).expect("an object");
    assert_eq!(verdict["failed"], 0, "{way:?}, ICMP {icmp}:\n{}", failures(&text));
    assert_eq!(
        json!([counted.replied, counted.reasons(way)]),
        json!([verdict["echoed"], verdict["reasons"]]),
        "{way:?}, ICMP {icmp}: the counters and the judge"
    );
    assert_eq!(counted.by_driver > 0, way == Way::Xdp, "{counted:?}");
}

fn setting(stage: &Stage, way: Way, icmp: &str) -> Value {
    let (near, far) = (stage.link.a(), stage.link.b());
    let [a, b, c, _] = far.v4().octets();
    json!({
        "device": near.device(),
        "mac": mac(near.mac()),
        "host_mac": mac(far.mac()),
        "host4": far.v4(),
        "host6": far.v6(),
        "broadcast4": format!("{a}.{b}.{c}.255"),
        "echo4": ECHO_V4,
        "echo6": ECHO_V6,
        "me4": STRANGERS_V4,
        "me6": STRANGERS_V6,
        "path": if way == Way::Tun { "tun" } else { "wire" },
        "icmp": icmp,
    })
}

fn mac(octets: [u8; 6]) -> String {
    octets.map(|octet| format!("{octet:02x}")).join(":")
}

/// What the judge found wrong; an entry may have several lines.
fn failures(text: &str) -> String {
    let mut wrong = false;
    text.lines()
        .filter(|line| {
            wrong = line.starts_with("FAIL") || (wrong && line.starts_with("  "));
            wrong
        })
        .flat_map(|line| [line, "\n"])
        .collect()
}
