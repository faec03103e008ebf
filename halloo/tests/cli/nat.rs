//! `halloo nat` on loopback, where there is no NAT; the lab has some.

use crate::common::{Host, halloo, objects, stderr, stdout};
use serde_json::json;
use std::net::UdpSocket;

#[test]
fn no_nat_is_told_over_both_families() {
    let ports = [
        "--udp",
        "127.0.0.1:0",
        "--udp",
        "127.0.0.1:0",
        "--udp",
        "[::1]:0",
        "--udp",
        "[::1]:0",
        "--tcp",
        "127.0.0.1:0",
    ];
    let host = Host::with(&ports, 5);
    for v6 in [false, true] {
        let address = host.address("udp", v6).to_string();
        let output = halloo(&["nat", "--json", "--max-lifetime", "1", &address]);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let found = &objects(&output)[0];
        let expected = json!({
            "type": "nat",
            "complete": true,
            "hosts": [address],
            "translated": false,
            "mapping": null,
            "filtering": null,
            // The host has no other address to send from.
            "filtering_possible": ["endpoint_independent", "address_dependent"],
            "hairpin": null,
            "lifetime_at_least_ns": 1_000_000_000,
            "lifetime_below_ns": null,
            "inbound_refresh": null,
            "keep_alive_ns": 700_000_000,
            "two_such_can_meet": true,
        });
        for (field, value) in expected.as_object().expect("fields") {
            assert_eq!(&found[field], value, "{field} in {found:#}");
        }
        assert_eq!(found["local"], found["reflexive"]);
    }
}

#[test]
fn a_host_that_does_not_answer_is_told_in_every_row_and_by_the_exit_status() {
    let silent = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    let address = silent.local_addr().expect("it is bound").to_string();
    let output = halloo(&["nat", &address]);
    let text = stdout(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    for row in ["outside", "mapping", "filtering", "lifetime"] {
        let line = format!("{row:<10}  unknown: the host does not answer");
        assert!(text.contains(&line), "{line} in {text}");
    }
}

#[test]
fn what_cannot_be_asked_is_told() {
    let table: &[(&[&str], i32, &str)] = &[
        (&[], 2, "HOST"),
        (&["tcp://192.0.2.7"], 2, "must be an echo host: HOST[:PORT]"),
        (&["--max-lifetime", "16m", "x"], 2, "must be 1s to 15m"),
        (&["--max-lifetime", "0", "x"], 2, "must be more than 0"),
        (
            &["-I", "no-such-dev", "192.0.2.7"],
            2,
            "there is no device `no-such-dev`",
        ),
        (&["-6", "192.0.2.7"], 1, "has no IPv6 address"),
        (&["192.0.2.7", "192.0.2.7:7777"], 2, "is given twice"),
    ];
    for (args, code, why) in table {
        let output = halloo(&[&["nat"], *args].concat());
        let said = stderr(&output);
        assert!(
            output.status.code() == Some(*code) && said.contains(why),
            "{args:?}: {:?} {said}",
            output.status
        );
    }
}
