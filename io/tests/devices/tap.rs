//! TAP devices.

use super::talk::talk;
use super::{Running, Saw, Swap, converse, own_port, settle};
use halloo_base::LinkId;
use halloo_io::route::{LinkAddress, LinkChange, Netlink};
use halloo_io::{TapDevice, TapOptions};
use halloo_lab::{Host, Lab};
use std::net::IpAddr;
use std::sync::mpsc::Receiver;

const NEAR: [u8; 6] = [0x02, 0, 0, 0, 0, 1];
const FAR: [u8; 6] = [0x02, 0, 0, 0, 0, 0x77];
const OURS: [&str; 2] = ["10.9.0.1/24", "fd00:9::1/64"];
const THEIRS: [&str; 2] = ["10.9.0.77", "fd00:9::77"];

fn ip(text: &str) -> IpAddr {
    text.split('/')
        .next()
        .and_then(|ip| ip.parse().ok())
        .expect("an address")
}

/// A device that is on, whose other end is a machine that turns everything round.
fn swap(host: &Host, options: &TapOptions) -> (Running, Receiver<Saw>) {
    let device = host.enter(|| {
        let device = TapDevice::open(options).expect("root may make a TAP");
        let mut netlink = Netlink::open().expect("a netlink socket");
        let up = LinkChange {
            up: Some(true),
            ..LinkChange::default()
        };
        netlink.change_link(device.link(), &up).expect("it goes on");
        let net = OURS[0].parse().expect("a prefix");
        give(&mut netlink, device.link(), net);
        device
    });
    host.must("ip", ["addr", "add", OURS[1], "dev", device.name(), "nodad"]);
    let mac = FAR.map(|byte| format!("{byte:02x}")).join(":");
    host.must(
        "ip",
        [
            "neigh",
            "replace",
            THEIRS[1],
            "lladdr",
            &mac,
            "dev",
            device.name(),
        ],
    );
    settle(host, ip(OURS[1]));
    let (machine, seen) = Swap::new(FAR);
    let running = Running::on(host, move |worker| {
        let owner = worker.add(Box::new(machine));
        worker.tap(device, owner).expect("watched");
    });
    (running, seen)
}

fn give(netlink: &mut Netlink, link: LinkId, net: ipnet::IpNet) {
    netlink
        .add_address(LinkAddress { link, net })
        .expect("a new address");
}

fn options(offload: bool) -> TapOptions {
    TapOptions {
        name: "tap9".into(),
        mac: Some(NEAR),
        offload,
        ..TapOptions::default()
    }
}

#[test]
fn frames_come_back_from_a_tap_alone_and_many_in_one_piece() {
    let Some(lab) = Lab::or_skip("a TAP in a namespace") else {
        return;
    };
    for offload in [true, false] {
        let host = lab.host(if offload { "merged" } else { "plain" });
        let (_running, seen) = swap(&host, &options(offload));
        let shown = host.must("ip", ["-o", "link", "show", "tap9"]);
        assert!(shown.contains("02:00:00:00:00:01"), "{shown}");
        for (own, echo) in OURS.map(ip).into_iter().zip(THEIRS.map(ip)) {
            let kind = if echo.is_ipv4() { 0x0800 } else { 0x86dd };
            let socket = own_port(&host, own);
            for (size, count) in [(64, 1), (1_400, 1), (1_000, 10)] {
                converse(&socket, echo, size, count);
                let saw = seen
                    .iter()
                    .find(|saw| saw.kind == kind)
                    .expect("it went through the machine");
                let expected = if offload { count } else { 1 };
                assert_eq!(saw.offload.packets(saw.len), expected, "{echo} {size} x {count}");
                // The others of the run came alone.
                for _ in expected..count {
                    seen.iter().find(|saw| saw.kind == kind).expect("the next one");
                }
            }
        }
    }
}

#[test]
fn a_tcp_holds_a_conversation_with_itself_through_a_tap() {
    let Some(lab) = Lab::or_skip("a TCP that talks to itself through a TAP") else {
        return;
    };
    let host = lab.host("solo");
    let (_running, seen) = swap(&host, &options(true));
    for echo in THEIRS {
        talk(&host, ip(echo));
    }
    assert!(
        seen.try_iter().any(|saw| saw.offload.packets(saw.len) > 1),
        "segments came in one piece"
    );
}

#[test]
fn a_tap_refuses_what_is_no_address_of_a_station() {
    let Some(lab) = Lab::or_skip("a TAP with a group's address") else {
        return;
    };
    let host = lab.host("solo");
    let options = TapOptions {
        mac: Some([0x01, 0, 0x5e, 0, 0, 1]),
        ..options(true)
    };
    let error = host
        .enter(|| TapDevice::open(&options))
        .expect_err("a group is no station");
    assert!(
        error.to_string().contains("Cannot assign requested address"),
        "{error}"
    );
}
