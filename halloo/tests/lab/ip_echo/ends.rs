//! What an echo host leaves behind: nothing, however it ends.

use super::stage::{ECHO_V4, ECHO_V6, Way, host_for, serve_with};
use crate::asking::PATIENCE;
use halloo_lab::{Host, Lab};
use nix::sys::signal::Signal;
use std::collections::BTreeSet;

/// Everything about a host's network that an echo host changes, line by line.
fn network(host: &Host) -> BTreeSet<String> {
    let queries = [
        &["-details", "-oneline", "link"][..],
        &["-oneline", "address"],
        &["-4", "route", "show", "table", "all"],
        &["-6", "route", "show", "table", "all"],
        &["-4", "rule"],
        &["-6", "rule"],
        &["maddress"],
    ];
    let told = queries.map(|query| host.must("ip", query)).concat();
    told.lines().map(str::to_owned).collect()
}

/// Blocks until a router's device has all addresses that the kernel gives it by itself; this one is the last.
fn wait_until_settled(host: &Host, device: &str) {
    let all = format!(
        "until ip -6 route show table all | grep -q '^anycast fe80:: dev {device}'; do :; done; echo all"
    );
    host.spawn("sh", ["-c", &all]).wait_for_line("all", PATIENCE);
}

#[test]
fn no_device_route_or_program_outlives_an_echo_host() {
    let Some(lab) = Lab::or_skip("an echo host that is killed") else {
        return;
    };
    // One that forwards, so that there is all that there can be.
    let link = lab.link(&lab.host("client"), &host_for(&lab, "echo", Way::Tun));
    let (host, device) = (link.b().host(), link.b().device());
    let addresses = [
        ECHO_V4[0].to_string(),
        format!("{}@{device}", ECHO_V4[1]),
        ECHO_V6[0].to_string(),
        format!("{}@{device}", ECHO_V6[1]),
    ];
    wait_until_settled(host, device);
    let before = network(host);
    for signal in [Signal::SIGKILL, Signal::SIGTERM, Signal::SIGINT] {
        let server = serve_with(host, &addresses, Some(device), &[]);
        let during = network(host);
        for part in [
            "halloo0",
            "halloo-sink",
            "xdpgeneric",
            &addresses[0],
            &addresses[2],
        ] {
            let is_there = during.iter().any(|line| line.contains(part));
            assert!(is_there, "no {part} in {during:#?}");
        }
        server.signal(signal);
        server.wait(PATIENCE);
        let after = network(host);
        let changed: Vec<_> = after.symmetric_difference(&before).collect();
        assert!(changed.is_empty(), "{signal}: {changed:#?}");
    }
}
