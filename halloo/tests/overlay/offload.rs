//! Datagrams that leave in one send, which the kernel or the device cuts: where they are cut by software, where they are lost,
//! and where nobody is to cut.

use crate::common::{Edge, Net, acquainted, halloo, said, v4};
use halloo_lab::{Host, Link, Offload};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

/// Longer than a transfer takes that stalls until it is seen why.
const PATIENCE: Duration = Duration::from_secs(60);
/// Longer than any packet on the links, and shorter than two large ones.
const SUPER: &str = "1600";

/// Sends so many octets over the overlay, and waits until all of them have come.
fn carry(from: &Host, to: &Host, octets: usize) {
    let listener = to.enter(|| TcpListener::bind((v4(1), 9_000)).expect("its address"));
    let receiving = to.thread(move || {
        let (mut stream, _) = listener.accept().expect("somebody comes");
        stream.set_read_timeout(Some(PATIENCE)).expect("it can be");
        let (mut buffer, mut all) = (vec![0; 65_536], 0);
        loop {
            match stream.read(&mut buffer).expect("it goes on") {
                0 => return all,
                some => all += some,
            }
        }
    });
    from.enter(|| {
        let mut stream = TcpStream::connect((v4(1), 9_000)).expect("it is reached");
        stream.set_write_timeout(Some(PATIENCE)).expect("it can be");
        let piece = vec![7; 65_536];
        for _ in 0..octets / piece.len() {
            stream.write_all(&piece).expect("it goes on");
        }
    });
    assert_eq!(receiving.join().expect("no panic"), octets);
}

/// Counts what comes from a host in packets that are longer than its link carries; and drops them, or not.
fn watch(net: &Net, link: &Link, what: &str) {
    watch_at(net.switch.host(), link.b().device(), what);
}

/// Counts what comes to a host by a device in packets that are longer than any link carries.
fn watch_at(host: &Host, device: &str, what: &str) {
    let rules = [
        "add table netdev t".to_owned(),
        format!("add chain netdev t c {{ type filter hook ingress device {device} priority 0; }}"),
        format!("add rule netdev t c meta length > {SUPER} counter {what}"),
    ];
    for rule in rules {
        host.must("nft", [rule.as_str()]);
    }
}

/// How many there were.
fn counted(net: &Net) -> u64 {
    counted_at(net.switch.host())
}

fn counted_at(host: &Host) -> u64 {
    let text = host.must("nft", ["list", "table", "netdev", "t"]);
    let (_, rest) = text.split_once("counter packets ").expect("a counter");
    let number = rest.split(' ').next().expect("a number");
    number.parse().expect("a number")
}

/// The way that an edge uses to the other.
fn way(edge: &Edge, other: &str) -> serde_json::Value {
    let peer = edge.peer(other);
    let paths = peer["paths"].as_array().expect("paths").clone();
    let used = paths.into_iter().find(|path| path["in_use"] == true);
    used.unwrap_or_else(|| panic!("none is used: {peer:#}"))
}

/// Two edges that know each other, and the link of the first.
fn two(net: &Net, args: &[&str]) -> (Link, [Edge; 2]) {
    let (a, b) = (net.host("a"), net.host("b"));
    let edges = [
        net.numbered(a.a().host(), 0, args),
        net.numbered(b.a().host(), 1, args),
    ];
    acquainted(&edges);
    for (edge, other) in [(&edges[0], "b"), (&edges[1], "a")] {
        edge.wait(&format!("{other} is reached directly"));
    }
    (a, edges)
}

#[test]
fn where_the_device_cannot_cut_the_kernel_does() {
    let Some(net) = Net::or_skip("UDP segmentation in software") else {
        return;
    };
    let _supernode = net.supernode(&[]);
    let (link, edges) = two(&net, &[]);
    let device = link.a().device();
    link.a()
        .host()
        .must("ethtool", ["-K", device, "tx-udp-segmentation", "off"]);
    watch(&net, &link, "");
    carry(&edges[0].host, &edges[1].host, 64 << 16);
    assert_eq!(counted(&net), 0, "they are cut before the wire");
    assert_eq!(way(&edges[0], "b")["one_by_one"], false);
}

#[test]
fn where_the_device_takes_no_checksums_either_single_ones_go() {
    let Some(net) = Net::or_skip("no UDP segmentation at all") else {
        return;
    };
    let _supernode = net.supernode(&[]);
    let (link, edges) = two(&net, &[]);
    link.offload(halloo_lab::Side::A, Offload::Checksum, false);
    watch(&net, &link, "");
    carry(&edges[0].host, &edges[1].host, 64 << 16);
    assert_eq!(counted(&net), 0);
}

#[test]
fn where_what_goes_together_is_lost_all_goes_one_by_one() {
    let Some(net) = Net::or_skip("packets longer than the link are lost on the way") else {
        return;
    };
    let _supernode = net.supernode(&[]);
    let (link, edges) = two(&net, &[]);
    watch(&net, &link, "drop");
    carry(&edges[0].host, &edges[1].host, 512 << 16);
    assert!(counted(&net) > 0, "there was something to lose");
    let way = way(&edges[0], "b");
    assert_eq!(way["one_by_one"], true, "{way:#}");
    let text = said(&halloo(&["edge", "status", &edges[0].tap]));
    assert!(text.contains("one by one"), "{text}");
}

#[test]
fn offload_off_sends_each_by_itself() {
    let Some(net) = Net::or_skip("--offload off") else {
        return;
    };
    let _supernode = net.supernode(&["--offload", "off"]);
    let (link, edges) = two(&net, &["--offload", "off"]);
    watch(&net, &link, "drop");
    carry(&edges[0].host, &edges[1].host, 64 << 16);
    assert_eq!(counted(&net), 0);
    let features = edges[0].host.must("ethtool", ["-k", &edges[0].tap]);
    let segments = features
        .lines()
        .find(|line| line.starts_with("tcp-segmentation-offload"));
    assert!(segments.is_some_and(|line| line.contains("off")), "{features}");
    assert_eq!(edges[0].status()["offload"], false);
    let text = said(&halloo(&["edge", "status", &edges[0].tap]));
    assert!(text.contains("offload off"), "{text}");
}

/// What a peer sends in segments is joined on the way, and must not come out of the device so.
#[test]
fn offload_off_hands_a_bridge_nothing_that_is_still_to_be_cut() {
    for sender in [&[][..], &["--offload", "off"]] {
        let Some(net) = Net::or_skip("--offload off before a bridge") else {
            return;
        };
        let _supernode = net.supernode(&[]);
        let (a, b) = (net.host("a"), net.host("b"));
        let host = b.a().host();
        let lan = net.lab.host("lan");
        let cable = net.lab.link(&lan, host);
        let (inside, port) = (cable.a().device(), cable.b().device());
        for side in [halloo_lab::Side::A, halloo_lab::Side::B] {
            for offload in [Offload::Checksum, Offload::Tso, Offload::Gso] {
                cable.offload(side, offload, false);
            }
        }
        host.must("ip", ["link", "add", "br0", "type", "bridge", "stp_state", "0"]);
        host.must("ip", ["link", "set", "br0", "up"]);
        host.must("ip", ["addr", "flush", "dev", port]);
        host.must("ip", ["link", "set", port, "master", "br0"]);
        lan.must("ip", ["addr", "flush", "dev", inside]);
        let there = format!("{}/24", v4(1));
        lan.must("ip", ["addr", "add", &there, "dev", inside]);
        let near = net.numbered(a.a().host(), 0, sender);
        let far = net.edge(host, &["--bridge", "br0", "--offload", "off"]);
        near.wait("b is reached directly");
        far.wait("a is reached directly");
        watch_at(host, &far.tap, "");
        carry(&near.host, &lan, 64 << 16);
        assert_eq!(counted_at(host), 0, "{sender:?}");
        let all = far.peer("a")["received_frames"].as_u64();
        assert!(all.is_some_and(|frames| frames > 0), "{all:?}");
    }
}

#[test]
fn what_is_sent_together_arrives_so_where_nothing_is_wrong() {
    let Some(net) = Net::or_skip("UDP segmentation by the link") else {
        return;
    };
    let _supernode = net.supernode(&[]);
    let (link, edges) = two(&net, &[]);
    watch(&net, &link, "");
    carry(&edges[0].host, &edges[1].host, 64 << 16);
    assert!(counted(&net) > 0);
    assert_eq!(way(&edges[0], "b")["one_by_one"], false);
}
