//! VXLAN devices, and where they send what.

use halloo_base::LinkId;
use halloo_io::route::{Forwarding, LinkChange, Netlink, Vxlan, VxlanOptions};
use halloo_lab::Lab;
use std::net::SocketAddr;

fn options(ipv6: bool) -> VxlanOptions {
    VxlanOptions {
        name: "vx0".into(),
        vni: 0x00ab_cdef,
        port: 4_789,
        ipv6,
        mac: [2, 0, 0, 0, 0, 7],
        mtu: 1_450,
        alias: "a test's".into(),
    }
}

fn entry(mac: [u8; 6], to: &str) -> Forwarding {
    Forwarding {
        mac,
        to: to.parse().expect("an address and a port"),
    }
}

fn entries(netlink: &mut Netlink, device: &Vxlan) -> Vec<Forwarding> {
    let mut all = netlink.forwardings(device).expect("an answer");
    all.sort();
    all
}

fn device(netlink: &mut Netlink) -> Option<Vxlan> {
    netlink
        .vxlans()
        .expect("an answer")
        .into_iter()
        .find(|device| device.name == "vx0")
}

#[test]
fn a_vxlan_device_is_as_it_was_asked_for_and_goes() {
    let Some(lab) = Lab::or_skip("a VXLAN device") else {
        return;
    };
    for (name, ipv6) in [("four", false), ("six", true)] {
        let host = lab.host(name);
        host.enter(|| {
            let mut netlink = Netlink::open().expect("a netlink socket");
            let options = options(ipv6);
            let link = netlink.add_vxlan(&options).expect("root may");
            let made = device(&mut netlink).expect("it is there");
            let expected = Vxlan {
                link,
                name: options.name.clone(),
                vni: options.vni,
                port: options.port,
                alias: options.alias.clone(),
            };
            assert_eq!(made, expected);
            let known = netlink.link("vx0").expect("an answer").expect("it is there");
            assert_eq!((known.mtu, known.mac), (1_450, Some(options.mac)));
            let shown = host.must("ip", ["-d", "link", "show", "vx0"]);
            assert!(shown.contains("nolearning"), "{shown}");
            let twice = netlink.add_vxlan(&options).expect_err("the name is taken");
            assert!(
                twice.to_string().contains("vx0 (VNI 11259375, UDP port 4789)"),
                "{twice}"
            );
            let other = VxlanOptions {
                name: "vx1".into(),
                ..options
            };
            assert!(netlink.add_vxlan(&other).is_err(), "the number is taken");
            netlink.remove_link(link).expect("root may");
            assert_eq!(device(&mut netlink), None);
            assert!(netlink.remove_link(link).is_err(), "it is gone");
        });
    }
}

#[test]
fn it_sends_where_it_is_told_to() {
    let Some(lab) = Lab::or_skip("entries of a VXLAN device") else {
        return;
    };
    let station = [2, 0, 0, 0, 0, 9];
    for (name, ipv6, one, other) in [
        ("four", false, "192.0.2.1:4789", "192.0.2.2:7000"),
        ("six", true, "[2001:db8::1]:4789", "[2001:db8::2]:7000"),
    ] {
        let host = lab.host(name);
        host.enter(|| {
            let mut netlink = Netlink::open().expect("a netlink socket");
            let link = netlink.add_vxlan(&options(ipv6)).expect("root may");
            let device = device(&mut netlink).expect("it is there");
            assert_eq!(entries(&mut netlink, &device), []);
            for to in [one, other] {
                netlink
                    .add_forwarding(link, entry(Forwarding::FLOOD, to))
                    .expect("new");
            }
            netlink.add_forwarding(link, entry(station, one)).expect("new");
            let all = [entry(Forwarding::FLOOD, one), entry(Forwarding::FLOOD, other)];
            assert_eq!(
                entries(&mut netlink, &device),
                [&all[..], &[entry(station, one)]].concat()
            );
            // It moves.
            netlink
                .add_forwarding(link, entry(station, other))
                .expect("the kernel replaces it");
            assert_eq!(
                entries(&mut netlink, &device),
                [&all[..], &[entry(station, other)]].concat()
            );
            netlink
                .remove_forwarding(link, entry(station, other))
                .expect("it is there");
            netlink.remove_forwarding(link, all[0]).expect("it is there");
            assert_eq!(entries(&mut netlink, &device), all[1..]);
            netlink.remove_forwarding(link, all[1]).expect("it is there");
            let gone = netlink.remove_forwarding(link, all[1]).expect_err("it is gone");
            assert!(gone.to_string().contains("what is for all to "), "{gone}");
            assert_eq!(entries(&mut netlink, &device), []);
            let family: SocketAddr = if ipv6 { "192.0.2.1:1" } else { "[2001:db8::1]:1" }
                .parse()
                .expect("an address");
            let wrong = Forwarding {
                mac: station,
                to: family,
            };
            assert!(netlink.add_forwarding(link, wrong).is_err(), "the other family");
        });
    }
}

#[test]
fn a_bridge_tells_who_is_behind_its_other_ports() {
    let Some(lab) = Lab::or_skip("stations behind a bridge") else {
        return;
    };
    let host = lab.host("solo");
    host.must(
        "ip",
        [
            "link",
            "add",
            "br0",
            "address",
            "02:00:00:00:00:b0",
            "type",
            "bridge",
        ],
    );
    host.must("ip", ["link", "set", "br0", "up"]);
    for (name, mac) in [("one", "02:00:00:00:01:00"), ("two", "02:00:00:00:02:00")] {
        let far = format!("far{name}");
        host.must(
            "ip",
            [
                "link", "add", name, "address", mac, "type", "veth", "peer", "name", &far,
            ],
        );
        host.must("ip", ["link", "set", name, "master", "br0", "up"]);
        // The far ends stay off: they would say something of their own.
    }
    for (name, mac) in [("one", "02:00:00:00:01:01"), ("two", "02:00:00:00:02:01")] {
        host.must("bridge", ["fdb", "add", mac, "dev", name, "master", "static"]);
    }
    host.enter(|| {
        let mut netlink = Netlink::open().expect("a netlink socket");
        let mut link = |name: &str| netlink.link(name).expect("an answer").expect("it is there").id;
        let (bridge, one) = (link("br0"), link("one"));
        let seen = netlink.stations(bridge, one).expect("an answer");
        let last = |mac: &[u8; 6]| (mac[4], mac[5]);
        let expected = [(0, 0xb0), (2, 0), (2, 1)];
        assert_eq!(seen.iter().map(last).collect::<Vec<_>>(), expected, "{seen:x?}");
        assert_eq!(
            netlink.stations(LinkId(4_000), one).expect("an answer"),
            [[0; 6]; 0]
        );
        let mtu = LinkChange {
            mtu: Some(1_400),
            ..LinkChange::default()
        };
        netlink.change_link(bridge, &mtu).expect("root may");
    });
}
