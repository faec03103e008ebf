//! Links, addresses and routes.

use halloo_io::route::{
    Hop, LinkAddress, LinkChange, Netlink, ReversePath, Route, forwards_ipv4, forwards_ipv6,
    reverse_path_filter,
};
use halloo_lab::Lab;

#[test]
fn what_is_added_is_listed_and_what_is_removed_is_not() {
    let Some(lab) = Lab::or_skip("links, addresses and routes of a namespace") else {
        return;
    };
    let host = lab.host("solo");
    host.must(
        "ip",
        ["link", "add", "one", "type", "veth", "peer", "name", "other"],
    );
    host.enter(|| {
        let mut netlink = Netlink::open().expect("a netlink socket");
        let link = netlink.link("one").expect("an answer").expect("it is there");
        assert!(!link.up && link.mac.is_some());
        let change = LinkChange {
            up: Some(true),
            mac: Some([2, 0, 0, 0, 0, 9]),
            bridge: None,
            mtu: Some(1_400),
            queue_length: Some(77),
            link_local: Some(false),
        };
        netlink.change_link(link.id, &change).expect("root may");
        let changed = netlink.link("one").expect("an answer").expect("it is there");
        assert_eq!((changed.up, changed.mtu, changed.queue_length), (true, 1_400, 77));
        assert_eq!(changed.mac, Some([2, 0, 0, 0, 0, 9]));
        for text in ["192.0.2.1/24", "2001:db8::1/64"] {
            let address = LinkAddress {
                link: link.id,
                net: text.parse().expect("a prefix"),
            };
            let listed = |netlink: &mut Netlink| netlink.addresses().expect("an answer").contains(&address);
            assert!(!listed(&mut netlink), "{text}");
            netlink.add_address(address).expect("a new address");
            assert!(listed(&mut netlink), "{text}");
            let twice = netlink.add_address(address).expect_err("it has it");
            assert!(twice.to_string().contains("File exists"), "{twice}");
            netlink.remove_address(address).expect("it has it");
            assert!(!listed(&mut netlink), "{text}");
        }
        let ends = ["addr", "add", "10.1.1.1", "peer", "10.1.1.2/32", "dev", "one"];
        host.must("ip", ends);
        let ours = LinkAddress {
            link: link.id,
            net: "10.1.1.1/32".parse().expect("a prefix"),
        };
        assert!(
            netlink.addresses().expect("an answer").contains(&ours),
            "and not the far end"
        );
        let own = LinkAddress {
            link: link.id,
            net: "192.0.2.1/24".parse().expect("a prefix"),
        };
        netlink.add_address(own).expect("a new address");
        let gateway = "192.0.2.254".parse().expect("an address");
        for (to, by) in [
            ("198.51.100.7/32", Hop::Link(link.id)),
            ("2001:db8:7::/48", Hop::Link(link.id)),
            ("203.0.113.0/24", Hop::Gateway(gateway, link.id)),
            ("198.51.100.8/32", Hop::Blackhole),
            ("2001:db8:8::/48", Hop::Blackhole),
        ] {
            let route = Route::new(to.parse().expect("a prefix"), by);
            let listed = |netlink: &mut Netlink| netlink.routes().expect("an answer").contains(&route);
            assert!(!listed(&mut netlink), "{route}");
            netlink.add_route(route).unwrap_or_else(|error| panic!("{error}"));
            assert!(listed(&mut netlink), "{route}");
            netlink
                .remove_route(route)
                .unwrap_or_else(|error| panic!("{error}"));
            assert!(!listed(&mut netlink), "{route}");
        }
    });
}

#[test]
fn settings_are_those_of_the_namespace() {
    let Some(lab) = Lab::or_skip("settings of a namespace") else {
        return;
    };
    let (host, router) = (lab.host("solo"), lab.router("router"));
    for (host, forwards) in [(&host, false), (&router, true)] {
        let seen = host.enter(|| (forwards_ipv4("lo").ok(), forwards_ipv6().ok()));
        assert_eq!(seen, (Some(forwards), Some(forwards)));
    }
    for (all, own, expected) in [
        ("0", "0", ReversePath::Off),
        ("0", "1", ReversePath::Strict),
        ("2", "1", ReversePath::Loose),
    ] {
        host.sysctl("net.ipv4.conf.all.rp_filter", all);
        host.sysctl("net.ipv4.conf.lo.rp_filter", own);
        let seen = host.enter(|| reverse_path_filter("lo")).expect("readable");
        assert_eq!(seen, expected, "all {all}, own {own}");
    }
}
