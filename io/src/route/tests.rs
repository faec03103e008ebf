use super::*;

fn net(text: &str) -> IpNet {
    text.parse().expect("a prefix")
}

#[test]
fn a_route_reads_back_as_it_is_written() {
    let gateway = "192.0.2.254".parse().expect("an address");
    let table = [
        Route::new(net("192.0.2.77/32"), Hop::Link(LinkId(7))),
        Route::new(net("2001:db8::/32"), Hop::Link(LinkId(7))),
        Route::new(net("0.0.0.0/0"), Hop::Gateway(gateway, LinkId(2))),
        Route::new(net("198.51.100.0/24"), Hop::Blackhole),
        Route {
            table: 70_000,
            ..Route::new(net("::/0"), Hop::Link(LinkId(1)))
        },
    ];
    for route in table {
        assert_eq!(Route::read(&route.message()), Some(route), "{route}");
    }
}

#[test]
fn an_address_reads_back_as_it_is_written() {
    for text in ["192.0.2.1/24", "2001:db8::1/64"] {
        let address = LinkAddress {
            link: LinkId(3),
            net: net(text),
        };
        assert_eq!(LinkAddress::read(&address.message()), Some(address));
    }
}

#[test]
fn the_kernel_tells_its_loopback() {
    let mut netlink = Netlink::open().expect("a netlink socket");
    let lo = netlink
        .link("lo")
        .expect("an answer")
        .expect("every namespace has one");
    assert_eq!((lo.id, lo.mac), (LinkId(1), Some([0; 6])));
    assert!(lo.mtu >= 1_500);
    assert_eq!(netlink.link("no-such-dev0").expect("an answer"), None);
}

#[test]
fn what_fails_is_said_in_words() {
    let mut netlink = Netlink::open().expect("a netlink socket");
    let route = Route::new(net("192.0.2.77/32"), Hop::Link(LinkId(4_000_000)));
    let error = netlink.remove_route(route).expect_err("nobody has this link");
    let said = error.to_string();
    assert!(
        said.starts_with("cannot remove the route to 192.0.2.77/32 by link #4000000: "),
        "{said}"
    );
    assert!(!said.contains("os error"), "{said}");
}

#[test]
fn settings_are_numbers_or_missing() {
    assert!(setting(&["ipv4", "ip_forward"]).expect("readable").is_some());
    assert_eq!(setting(&["ipv4", "no_such_setting"]).expect("no error"), None);
    assert!(setting(&["ipv4", "tcp_congestion_control"]).is_err(), "a word");
    assert!(reverse_path_filter("lo").is_ok() && accepts_source_routes("lo").is_ok());
}
