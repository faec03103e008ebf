//! `--data-plane kernel`: frames by VXLAN, and what is in the kernel's table.

use crate::common::{Edge, HALLOO, Net, PATIENCE, acquainted, halloo, said, tap, v4, v6};
use halloo_lab::{Child, Host, Nat};
use nix::sys::signal::Signal;
use std::fs;
use std::net::IpAddr;

pub(crate) const KERNEL: [&str; 4] = ["--cipher", "none", "--data-plane", "kernel"];

/// A line for each entry of an edge's device.
fn table(edge: &Edge) -> Vec<String> {
    let text = edge.host.must("bridge", ["fdb", "show", "dev", &edge.tap]);
    let mut lines: Vec<String> = text.lines().map(|line| line.trim().to_owned()).collect();
    lines.sort();
    lines
}

/// What a table has for a member.
fn entries(address: IpAddr, mac: &str) -> [String; 2] {
    ["00:00:00:00:00:00", mac].map(|mac| format!("{mac} dst {address} self permanent"))
}

/// The device's address as the edge printed it.
fn mac_of(edge: &Edge) -> String {
    let line = edge.wait("is a port of");
    let (_, rest) = line.split_once('(').expect("its address");
    rest[..17].to_owned()
}

/// Tells of each change in the tables of a host.
fn watch(host: &Host) -> Child {
    host.spawn("bridge", ["monitor", "fdb"])
}

/// Edges at the addresses of their places, each of which the kernel reaches from each other.
fn full(net: &Net, names: &[&str], args: &[&str]) -> (Child, Vec<Edge>) {
    let (supernode, edges) = net.full(names, &[&KERNEL[..], args].concat());
    tunnelled(&edges);
    (supernode, edges)
}

/// Waits until the kernel of each sends to every other.
pub(crate) fn tunnelled(edges: &[Edge]) {
    for edge in edges {
        for other in edges {
            if other.host.namespace() != edge.host.namespace() {
                edge.wait(&format!("{}: the kernel sends frames to", other.host.name()));
            }
        }
    }
}

#[test]
fn three_hosts_are_one_ethernet_that_the_kernel_carries() {
    let Some(net) = Net::or_skip("three edges by VXLAN") else {
        return;
    };
    let (_supernode, edges) = full(&net, &["a", "b", "c"], &[]);
    for edge in &edges {
        for place in 0..3 {
            edge.reaches(&v4(place));
            edge.reaches(&v6(place));
        }
        // Broadcast reaches both others.
        let all = ["-n", "-b", "-c1", "-w5", "192.168.77.255"];
        for other in &edges {
            other.host.sysctl("net.ipv4.icmp_echo_ignore_broadcasts", "0");
        }
        edge.host.must("ping", all);
    }
    let [a, b, c] = &edges[..] else { unreachable!() };
    let status = a.status();
    assert_eq!(status["data_plane"], "kernel", "{status:#}");
    let vxlan = &status["vxlan"];
    assert_eq!(
        (&vxlan["port"], &vxlan["mtu"]),
        (&7656.into(), &1450.into()),
        "{status:#}"
    );
    assert_eq!(
        (&vxlan["flood_entries"], &vxlan["station_entries"]),
        (&2.into(), &2.into()),
        "{status:#}"
    );
    for edge in &edges {
        assert_eq!(edge.status()["vxlan"]["vni"], vxlan["vni"], "the same at all");
    }
    let peer = a.peer("b");
    assert_eq!(
        (&peer["stations"], &peer["sent_frames"]),
        (&1.into(), &0.into()),
        "{peer:#}"
    );
    assert!(
        peer["vtep"].as_str().is_some_and(|vtep| vtep.ends_with(":7656")),
        "{peer:#}"
    );
    let text = said(&halloo(&["edge", "status", &a.tap]));
    for words in ["kernel (vxlan, vni ", "port 7656", "VTEP"] {
        assert!(text.contains(words), "{text}");
    }
    // Long ones as long as the device says, and no longer.
    a.host
        .must("ping", ["-n", "-c2", "-i0.1", "-W3", "-Mdo", "-s1422", &v4(1)]);

    // Nobody but the main thread may do anything, and that only with devices.
    let mut able = vec![];
    for entry in fs::read_dir(format!("/proc/{}/task", a.child.pid())).expect("it runs") {
        let text = fs::read_to_string(entry.expect("a thread").path().join("status")).expect("a thread");
        if !text.contains("CapPrm:\t0000000000000000") {
            assert!(text.contains("CapPrm:\t0000000000001000"), "{text}");
            able.push(text.lines().next().unwrap_or_default().to_owned());
        }
    }
    assert_eq!(able, ["Name:\thalloo"], "the main thread");

    // Who leaves is in nobody's table any more, and leaves nothing behind.
    let watched = watch(&a.host);
    let (to_b, to_c) = (peer["vtep"].clone(), a.peer("c")["vtep"].clone());
    let ip = |vtep: &serde_json::Value| {
        let vtep: std::net::SocketAddr = vtep.as_str().expect("one").parse().expect("an address");
        vtep.ip()
    };
    let both = [entries(ip(&to_b), &mac_of(b)), entries(ip(&to_c), &mac_of(c))].concat();
    let sorted = |mut lines: Vec<String>| {
        lines.sort();
        lines
    };
    assert_eq!(table(a), sorted(both));
    b.child.signal(Signal::SIGTERM);
    assert_eq!(b.child.wait(PATIENCE).code(), Some(0), "{}", b.child);
    assert!(!b.has_device());
    watched.wait_for_line(&format!("Deleted {}", mac_of(b)), PATIENCE);
    assert_eq!(table(a), sorted(entries(ip(&to_c), &mac_of(c)).to_vec()));
    a.reaches(&v4(2));
}

#[test]
fn who_was_killed_leaves_a_device_that_the_next_run_takes_away() {
    let Some(net) = Net::or_skip("an edge of the kernel's that is killed") else {
        return;
    };
    let (_supernode, edges) = full(&net, &["a", "b"], &[]);
    let [a, b] = &edges[..] else { unreachable!() };
    b.child.signal(Signal::SIGKILL);
    b.child.wait(PATIENCE);
    assert!(b.has_device(), "the kernel does not take it away");
    // Under another name: the old device goes all the same, or the network's number would be taken.
    let again = net.numbered(&b.host, 1, &KERNEL);
    assert!(!b.has_device() && again.has_device());
    again.wait("a: the kernel sends frames to");
    a.wait(&format!("{} is there", b.host.name()));
    // Who was not killed may take its time to hear of it.
    a.host.must("ping", ["-n", "-c1", "-i0.1", "-w20", &v4(1)]);
    a.reaches(&v4(1));

    // And under the same name.
    again.child.signal(Signal::SIGKILL);
    again.child.wait(PATIENCE);
    let address = format!("{}/24", v4(1));
    let args = [&KERNEL[..], &["--address", &address]].concat();
    let third = b.host.spawn(HALLOO, net.words(&b.host, &again.tap, &args));
    third.wait_for_line("a: the kernel sends frames to", PATIENCE);
    assert!(again.has_device());
    third.signal(Signal::SIGTERM);
    assert_eq!(third.wait(PATIENCE).code(), Some(0), "{third}");
    assert!(!again.has_device());
}

#[test]
fn what_halloo_did_not_make_it_does_not_touch() {
    let Some(net) = Net::or_skip("a device that is somebody else's") else {
        return;
    };
    let link = net.host("a");
    let host = link.a().host();
    let name = tap();
    let make = [
        "link", "add", &name, "type", "vxlan", "id", "7", "dstport", "4789",
    ];
    host.must("ip", make);
    let before = host.must("ip", ["-d", "link", "show", &name]);
    let refused = |name: &str| {
        let child = host.spawn(HALLOO, net.words(host, name, &KERNEL));
        assert_eq!(child.wait(PATIENCE).code(), Some(2), "{child}");
        child.to_string()
    };
    let text = refused(&name);
    assert!(
        text.contains(&name) && text.contains("choose another name"),
        "{text}"
    );
    assert_eq!(host.must("ip", ["-d", "link", "show", &name]), before);

    // Nor another edge's, while that runs.
    let edge = net.edge(host, &KERNEL);
    let text = refused(&edge.tap);
    assert!(text.contains("another edge"), "{text}");
    let text = refused(&tap());
    assert!(text.contains("VNI") && text.contains("--vxlan-port"), "{text}");
    assert!(edge.has_device());

    // Nor when it is called something else by now.
    let renamed = tap();
    for change in [["down"].as_slice(), &["name", &renamed]] {
        host.must("ip", [&["link", "set", &edge.tap], change].concat());
    }
    let text = refused(&tap());
    assert!(text.contains("VNI"), "{text}");
    host.must("ip", ["link", "show", &renamed]);
}

#[test]
fn data_planes_that_differ_are_told_on_both_sides() {
    let Some(net) = Net::or_skip("data planes that differ") else {
        return;
    };
    let _supernode = net.supernode(&[]);
    let (a, b) = (net.host("a"), net.host("b"));
    let near = net.numbered(a.a().host(), 0, &KERNEL);
    let far = net.numbered(b.a().host(), 1, &["--cipher", "none"]);
    for (edge, other) in [(&near, "b"), (&far, "a")] {
        let line = edge.wait("efuse");
        for words in [other, "data plane", "kernel (VXLAN)", "user"] {
            assert!(line.contains(words), "{line}");
        }
    }
    assert_eq!(table(&near), [""; 0]);
}

#[test]
fn what_the_kernel_cannot_do_is_not_asked_of_it() {
    let cases: [(&[&str], &str); 5] = [
        (&[], "--cipher none"),
        (&["--cipher", "aes-256-gcm"], "--cipher none"),
        (&["--cipher", "none", "--compress", "lz4"], "compress"),
        (&["--cipher", "none", "--no-direct"], "direct"),
        (&["--cipher", "none", "--listen", "7656"], "vxlan_port"),
    ];
    let always = [
        "edge",
        "--community",
        "lab",
        "--secret-file",
        "/nowhere",
        "--supernode",
        "192.0.2.1",
        "--data-plane",
        "kernel",
    ];
    for (args, named) in cases {
        let output = halloo(&[&always[..], args].concat());
        let words = said(&output);
        assert_eq!(output.status.code(), Some(2), "{args:?} {words}");
        assert!(words.contains(named), "{args:?} {words}");
    }
}

#[test]
fn a_bridge_tells_the_others_who_is_behind_it() {
    let Some(net) = Net::or_skip("a bridge with a VXLAN device") else {
        return;
    };
    let _supernode = net.supernode(&[]);
    let (a, b) = (net.host("a"), net.host("b"));
    let lan = net.lab.host("lan");
    let cable = net.lab.link(&lan, b.a().host());
    let (inside, port) = (cable.a().device(), cable.b().device());
    let host = b.a().host();
    host.must(
        "ip",
        ["link", "add", "br0", "type", "bridge", "mcast_snooping", "0"],
    );
    host.must("ip", ["link", "set", "br0", "up"]);
    host.must("ip", ["addr", "flush", "dev", port]);
    host.must("ip", ["link", "set", port, "master", "br0"]);
    lan.must("ip", ["addr", "flush", "dev", inside]);
    lan.must("ip", ["addr", "add", "192.168.77.9/24", "dev", inside]);
    let station = lan.must("ip", ["-br", "link", "show", inside]);
    let station = station.split_whitespace().nth(2).expect("its address").to_owned();
    let near = net.numbered(a.a().host(), 0, &KERNEL);
    let watched = watch(&near.host);
    let far = net.edge(host, &[&KERNEL[..], &["--bridge", "br0"]].concat());
    near.wait("b: the kernel sends frames to");
    far.wait("a: the kernel sends frames to");
    near.reaches("192.168.77.9");
    watched.wait_for_line(&station, PATIENCE);
    let entry = format!("{station} dst {} self permanent", b.a().v4());
    assert!(table(&near).contains(&entry), "{:?}", table(&near));
    lan.must("ping", ["-n", "-c3", "-i0.1", "-W3", &v4(0)]);
}

#[test]
fn behind_a_nat_the_kernel_reaches_nobody_and_says_so() {
    let Some(net) = Net::or_skip("a NAT before a VXLAN device") else {
        return;
    };
    let _supernode = net.supernode(&[]);
    let near = net.numbered(net.host("a").a().host(), 0, &KERNEL);
    let link = crate::days::behind(&net, "b", Nat::PortKept);
    let far = net.numbered(link.a().host(), 1, &KERNEL);
    acquainted_two(&near, &far);
    let line = near.wait("b: not reachable by the kernel data plane");
    assert!(line.contains("behind NAT"), "{line}");
    let peer = near.peer("b");
    assert_eq!(
        (&peer["up"], &peer["unreachable"]),
        (&true.into(), &"behind NAT".into()),
        "{peer:#}"
    );
    let text = said(&halloo(&["edge", "status", &near.tap]));
    assert!(
        text.contains("not reachable by the kernel data plane: behind NAT"),
        "{text}"
    );
    assert_eq!(table(&near), [""; 0]);
}

fn acquainted_two(near: &Edge, far: &Edge) {
    near.wait(&format!("{} is there", far.host.name()));
    far.wait(&format!("{} is there", near.host.name()));
}

#[test]
fn members_are_reached_by_ipv6_where_the_supernode_is() {
    let Some(net) = Net::or_skip("VXLAN by IPv6") else {
        return;
    };
    let _supernode = net.supernode(&[]);
    let address = format!("[{}]", net.supernode.a().v6());
    let args = [&KERNEL[..], &["--supernode", &address]].concat();
    let edges = [
        net.numbered(net.host("a").a().host(), 0, &args),
        net.numbered(net.host("b").a().host(), 1, &args),
    ];
    acquainted(&edges);
    tunnelled(&edges);
    edges[0].reaches(&v4(1));
    edges[1].reaches(&v6(0));
    let status = edges[0].status();
    assert_eq!(status["vxlan"]["mtu"], 1430, "{status:#}");
    let vtep = edges[0].peer("b")["vtep"].as_str().expect("one").to_owned();
    assert!(vtep.starts_with('['), "{vtep}");
}

#[test]
fn the_device_takes_as_much_as_the_paths_carry() {
    let Some(net) = Net::or_skip("jumbo frames by VXLAN") else {
        return;
    };
    let _supernode = net.supernode(&[]);
    let links = ["a", "b"].map(|name| net.host(name));
    for link in &links {
        for end in [link.a(), link.b()] {
            let device = end.device();
            end.host().must("ip", ["link", "set", device, "mtu", "9000"]);
        }
    }
    let near = net.numbered(links[0].a().host(), 0, &KERNEL);
    let watched = near.host.spawn("ip", ["monitor", "link"]);
    let limited = [&KERNEL[..], &["--mtu", "2000"]].concat();
    let far = net.numbered(links[1].a().host(), 1, &limited);
    near.wait("b: the kernel sends frames to");
    watched.wait_for_line("mtu 8950", PATIENCE);
    near.host
        .must("ping", ["-n", "-c2", "-i0.1", "-W3", "-Mdo", "-s1972", &v4(1)]);
    let status = near.status();
    assert_eq!(status["vxlan"]["mtu"], 8_950, "{status:#}");
    let status = far.status();
    assert!(status["vxlan"]["mtu"].as_u64() <= Some(2_000), "{status:#}");
}

#[test]
fn another_overlay_of_the_hosts_is_not_tunnelled_through() {
    let Some(net) = Net::or_skip("VXLAN beside another VXLAN") else {
        return;
    };
    let _supernode = net.supernode(&[]);
    let links = ["a", "b"].map(|name| net.host(name));
    for place in 0..2 {
        let (own, other) = (&links[place], &links[1 - place]);
        let host = own.a().host();
        let remote = other.a().v4().to_string();
        let make = [
            "link", "add", "vx0", "type", "vxlan", "id", "91", "remote", &remote, "dstport", "4789",
        ];
        host.must("ip", make);
        let address = format!("10.91.0.{}/24", place + 1);
        host.must("ip", ["addr", "add", &address, "dev", "vx0"]);
        host.must("ip", ["link", "set", "vx0", "up"]);
    }
    let edges = [0, 1].map(|place| net.numbered(links[place].a().host(), place, &KERNEL));
    tunnelled(&edges);
    edges[0].reaches(&v4(1));
    for (edge, (other, link)) in edges.iter().zip([("b", &links[1]), ("a", &links[0])]) {
        let vtep = edge.peer(other)["vtep"].clone();
        assert_eq!(vtep, format!("{}:7656", link.a().v4()), "{vtep}");
    }
}
