//! Every kind of frame: what goes in at one edge comes out at the others as it was.

use crate::common::{Edge, Net, PATIENCE, beside, v4};
use crate::kernel::{KERNEL, tunnelled};
use halloo_lab::Child;
use std::io::Write;
use std::process::{Command, Stdio};

/// Who sends; nobody else uses the address.
const SENDER: [u8; 6] = [0x02, 0xaa, 0, 0, 0, 1];
/// A station that is known to be behind edge b.
const KNOWN: [u8; 6] = [0x02, 0xbb, 0, 0, 0, 2];
const UNKNOWN: [u8; 6] = [0x02, 0xcc, 0, 0, 0, 3];
/// What is sent last, so that whoever has it has all before it.
const END: [u8; 6] = [0xff; 6];
const END_TYPE: u16 = 0x88b5;

/// Groups that reach everybody.
const GROUPS: [(&str, [u8; 6]); 15] = [
    ("broadcast", [0xff; 6]),
    ("OSPF", [0x01, 0x00, 0x5e, 0, 0, 0x05]),
    ("VRRP", [0x01, 0x00, 0x5e, 0, 0, 0x12]),
    ("mDNS", [0x01, 0x00, 0x5e, 0, 0, 0xfb]),
    ("any IPv4 group", [0x01, 0x00, 0x5e, 0x7f, 1, 2]),
    ("IPv6 all nodes", [0x33, 0x33, 0, 0, 0, 1]),
    ("any IPv6 group", [0x33, 0x33, 0xff, 1, 2, 3]),
    ("PTP", [0x01, 0x1b, 0x19, 0, 0, 0]),
    ("LLDP", [0x01, 0x80, 0xc2, 0, 0, 0x0e]),
    ("IS-IS", [0x01, 0x80, 0xc2, 0, 0, 0x14]),
    ("CDP", [0x01, 0x00, 0x0c, 0xcc, 0xcc, 0xcc]),
    ("any group", [0x01, 0xa0, 0xe8, 0, 0, 1]),
    ("PROFINET", [0x01, 0x0e, 0xcf, 0, 0, 0]),
    ("unknown unicast", UNKNOWN),
    ("broadcast again", [0xff; 6]),
];
const SPANNING_TREE: [u8; 6] = [0x01, 0x80, 0xc2, 0, 0, 0];

/// A frame whose payload is its number over and over.
fn frame(to: [u8; 6], kind: &[u8], number: u16, payload: usize) -> Vec<u8> {
    let mut frame = [&to[..], &SENDER, kind].concat();
    let octets = number.to_be_bytes();
    frame.extend((0..payload).map(|place| octets[place % 2].wrapping_add((place / 2) as u8)));
    frame
}

/// All kinds to one address, numbered from `number`.
fn kinds(to: [u8; 6], number: u16, mtu: usize) -> Vec<Vec<u8>> {
    let tag = [0x81, 0, 0x60, 0x2a];
    let outer = [0x88, 0xa8, 0x20, 7];
    let tipc = [0x88, 0xca];
    let tagged = [&tag[..], &[0x08, 0x06]].concat();
    let twice = [&outer[..], &tag, &tipc].concat();
    let shapes: [(&[u8], usize); 10] = [
        (&tipc, 46),
        (&tipc, 1),
        (&tipc, mtu),
        (&tipc, mtu - 1),
        (&[0x86, 0xdd], 333),
        (&[0x88, 0xf7], 46),
        (&[0x00, 0x26], 38),
        (&tagged, 46),
        (&tagged, mtu),
        (&twice, 46),
    ];
    let numbers = number..;
    let frames = shapes.iter().zip(numbers);
    frames
        .map(|((kind, payload), number)| frame(to, kind, number, *payload))
        .collect()
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

fn listen(edge: &Edge, from: [u8; 6]) -> Child {
    // The kernel's own words would only be in the way.
    edge.host
        .sysctl(&format!("net.ipv6.conf.{}.disable_ipv6", edge.tap), "1");
    let args = [&beside("frames.py"), "receive", &edge.tap, &hex(&from)];
    let child = edge.host.spawn("python3", args);
    child.wait_for_line("listening", PATIENCE);
    child
}

fn send(edge: &Edge, frames: &[Vec<u8>]) {
    let mut command = Command::new("python3");
    command
        .args([&beside("frames.py"), "send", &edge.tap])
        .stdin(Stdio::piped());
    let mut child = edge.host.spawn_command(command);
    let mut stdin = child.stdin().expect("a pipe");
    for frame in frames {
        writeln!(stdin, "{}", hex(frame)).expect("it reads");
    }
    drop(stdin);
    assert!(child.wait(PATIENCE).success(), "{child}");
}

/// What somebody received of these, who has the last already.
fn received(child: &Child) -> Vec<String> {
    let end = format!("{}{}", hex(&END), hex(&SENDER)) + &hex(&END_TYPE.to_be_bytes());
    child.wait_for_line(&end, PATIENCE);
    let text = child.stdout();
    let lines = text.lines().skip(1);
    lines
        .take_while(|line| !line.starts_with(&end))
        .map(str::to_owned)
        .collect()
}

fn end() -> Vec<u8> {
    frame(END, &END_TYPE.to_be_bytes(), 0, 46)
}

#[track_caller]
fn assert_same(got: &[String], sent: &[Vec<u8>], who: &str) {
    let sent: Vec<String> = sent.iter().map(|frame| hex(frame)).collect();
    for (place, (got, sent)) in got.iter().zip(&sent).enumerate() {
        assert_eq!(got, sent, "frame {place} at {who}");
    }
    assert_eq!(got.len(), sent.len(), "frames at {who}");
}

/// Edge b is where a station is known to be, in each VLAN that frames come in: each has a table of its own.
fn introduce(b: &Edge, a: &Edge) {
    let child = listen(a, KNOWN);
    let tags: [&[u8]; 3] = [&[], &[0x81, 0, 0x60, 0x2a], &[0x88, 0xa8, 0x20, 7]];
    let hello = |tag: &&[u8]| {
        let mut hello = frame([0xff; 6], &[tag, &[0x88, 0xb5][..]].concat(), 1, 46);
        hello[6..12].copy_from_slice(&KNOWN);
        hello
    };
    let hellos: Vec<Vec<u8>> = tags.iter().map(hello).collect();
    send(b, &hellos);
    for hello in &hellos {
        child.wait_for_line(&hex(hello), PATIENCE);
    }
}

fn every_frame(mtu: usize, args: &[&str]) {
    let Some(net) = Net::or_skip("frames of every kind") else {
        return;
    };
    let (_supernode, edges) = net.full(&["a", "b", "c"], args);
    every_frame_among(&edges, mtu, false);
}

/// The kernel carries spanning tree as well, and to whom nobody has announced it sends by all.
fn every_frame_among(edges: &[Edge], mtu: usize, kernel: bool) {
    let [a, b, c] = edges else { unreachable!() };
    introduce(b, a);
    let ears = [listen(a, SENDER), listen(b, SENDER), listen(c, SENDER)];
    let mut everybody = vec![];
    for (place, (_, group)) in GROUPS.iter().enumerate() {
        everybody.extend(kinds(*group, 100 * place as u16, mtu));
    }
    let only_b = kinds(KNOWN, 5_000, mtu);
    let stopped = kinds(SPANNING_TREE, 6_000, mtu);
    let all = [&everybody[..], &only_b, &stopped, &[end()]].concat();
    send(a, &all);
    let [at_a, at_b, at_c] = &ears;
    if kernel {
        let all = &all[..all.len() - 1];
        assert_same(&received(at_b), all, "b");
        assert_same(&received(at_c), all, "c");
    } else {
        assert_same(&received(at_b), &[&everybody[..], &only_b].concat(), "b");
        assert_same(&received(at_c), &everybody, "c");
    }
    // What b and c got has been sent; it would have come back by now if it did, but for one round trip more.
    b.reaches(&v4(0));
    assert_eq!(at_a.stdout(), "listening\n", "reflected");
}

#[test]
fn every_kind_of_frame_is_carried_as_it_is() {
    every_frame(1_500, &[]);
}

#[test]
fn jumbo_frames_are_carried_over_links_that_are_none() {
    every_frame(9_000, &["--mtu", "9000"]);
}

#[test]
fn every_kind_of_frame_is_carried_in_the_clear_and_compressed() {
    every_frame(1_500, &["--cipher", "none", "--compress", "lz4"]);
}

#[test]
fn every_kind_of_frame_is_carried_by_the_kernel() {
    let Some(net) = Net::or_skip("frames of every kind by VXLAN") else {
        return;
    };
    let (_supernode, edges) = net.full(&["a", "b", "c"], &KERNEL);
    tunnelled(&edges);
    every_frame_among(&edges, 1_450, true);
}

#[test]
fn a_bridge_brings_the_lan_behind_it_and_spanning_tree() {
    let Some(net) = Net::or_skip("a bridge behind an edge") else {
        return;
    };
    let _supernode = net.supernode(&[]);
    let (a, b) = (net.host("a"), net.host("b"));
    // A host of b's LAN, which knows nothing of overlays.
    let lan = net.lab.host("lan");
    let cable = net.lab.link(&lan, b.a().host());
    let (inside, port) = (cable.a().device(), cable.b().device());
    for (host, device) in [(a.a().host(), None), (b.a().host(), Some(port))] {
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
        host.must("ip", ["link", "set", "br0", "up"]);
        if let Some(device) = device {
            host.must("ip", ["addr", "flush", "dev", device]);
            host.must("ip", ["link", "set", device, "master", "br0"]);
        }
    }
    lan.must("ip", ["addr", "flush", "dev", inside]);
    lan.must("ip", ["addr", "add", "192.168.77.9/24", "dev", inside]);
    a.a()
        .host()
        .must("ip", ["addr", "add", "192.168.77.1/24", "dev", "br0"]);
    b.a()
        .host()
        .must("ip", ["addr", "add", "192.168.77.2/24", "dev", "br0"]);
    let near = net.edge(a.a().host(), &["--bridge", "br0"]);
    let far = net.edge(b.a().host(), &["--bridge", "br0"]);
    near.wait("b is there");
    far.wait("a is there");
    near.reaches("192.168.77.2");
    near.reaches("192.168.77.9");
    lan.must("ping", ["-n", "-c3", "-i0.1", "-W3", "192.168.77.1"]);
    // And long ones.
    lan.must(
        "ping",
        ["-n", "-c3", "-i0.1", "-W3", "-s1472", "-Mdo", "192.168.77.1"],
    );

    let ear = listen(&far, SENDER);
    let sent = kinds(SPANNING_TREE, 1, 1_500);
    send(&near, &[&sent[..], &[end()]].concat());
    assert_same(&received(&ear), &sent, "b");
}
