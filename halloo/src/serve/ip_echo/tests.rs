use super::facts::{DEFAULT, Privileges, Settings};
use super::plan::{SINK, Wire};
use super::*;
use crate::cli::{XdpDevice, XdpMode};
use halloo_base::LinkId;
use halloo_io::route::{Hop, Link, LinkAddress, ReversePath, Route};
use std::net::IpAddr;

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn link(id: u32, name: &str, mac: Option<[u8; 6]>) -> Link {
    Link {
        id: LinkId(id),
        name: name.into(),
        up: true,
        running: true,
        mtu: 1_500,
        queue_length: 1_000,
        mac,
        hardware: false,
    }
}

/// A router with one Ethernet device, run by root, on which everything is as it should be.
fn router() -> Facts {
    let settings = |link: &str| Settings {
        link: link.into(),
        forwards: true,
        takes_source_routes: true,
        reverse_path: ReversePath::Loose,
    };
    Facts {
        links: vec![
            link(1, "lo", Some([0; 6])),
            link(2, "eth0", Some([2, 0, 0, 0, 0, 1])),
        ],
        addresses: vec![LinkAddress {
            link: LinkId(2),
            net: "10.0.0.2/24".parse().expect("a network"),
        }],
        routes: vec![],
        settings: ["lo", "eth0", DEFAULT].map(settings).to_vec(),
        forwards_v6: true,
        has_tun: true,
        may: Privileges::ALL,
    }
}

/// The same as a host that forwards nothing.
fn host() -> Facts {
    let mut facts = router();
    for settings in &mut facts.settings {
        settings.forwards = false;
        settings.takes_source_routes = false;
    }
    facts.forwards_v6 = false;
    facts
}

fn plan(addresses: &[&str]) -> Plan {
    let list: Vec<_> = addresses.iter().map(|address| format!("\"{address}\"")).collect();
    let text = format!("[ip_echo]\naddresses = [{}]\n", list.join(", "));
    Plan::of(&Config::parse("x.toml", &text).expect("a configuration"))
}

fn words(lines: &[Line]) -> Vec<&str> {
    lines.iter().map(|line| line.words.as_str()).collect()
}

fn commands(lines: &[Line]) -> Vec<&str> {
    lines.iter().filter_map(|line| line.command.as_deref()).collect()
}

fn against(survey: &Survey) -> Vec<(&Subject, &str)> {
    survey
        .refusals
        .iter()
        .map(|(subject, why)| (subject, why.as_str()))
        .collect()
}

#[test]
fn addresses_are_sorted_by_the_way_to_them() {
    let plan = plan(&[
        "192.0.2.7",
        "192.0.2.8@eth0",
        "2001:db8::7",
        "2001:db8::8@eth0",
        "192.0.2.9@eth1",
    ]);
    assert_eq!(plan.tun, [ip("192.0.2.7"), ip("2001:db8::7")]);
    let wire = |device: &str, addresses: &[&str]| Wire {
        device: device.into(),
        addresses: addresses.iter().copied().map(ip).collect(),
    };
    assert_eq!(
        plan.wires,
        [
            wire("eth0", &["192.0.2.8", "2001:db8::8"]),
            wire("eth1", &["192.0.2.9"])
        ]
    );
}

#[test]
fn a_tun_device_is_made_and_routed_to() {
    let survey = Survey::of(&plan(&["192.0.2.7", "2001:db8::7"]), &router());
    assert_eq!(
        commands(&survey.steps),
        [
            "ip tuntap add dev halloo0 mode tun",
            "ip link set dev halloo0 mtu 1500 up",
            "ip route add 192.0.2.7/32 dev halloo0",
            "ip route add 2001:db8::7/128 dev halloo0",
        ]
    );
    assert!(
        survey.needs.is_empty() && survey.refusals.is_empty(),
        "{survey:?}"
    );
    assert_eq!(
        commands(&survey.elsewhere),
        [
            "ip route add 192.0.2.7/32 via 10.0.0.2",
            "ip route add 2001:db8::7/128 via THIS-HOST"
        ]
    );
}

#[test]
fn each_thing_that_the_host_lacks_is_told_with_its_remedy() {
    let survey = Survey::of(&plan(&["192.0.2.7", "192.0.2.8", "2001:db8::7"]), &host());
    assert_eq!(
        commands(&survey.needs),
        [
            "sysctl -w net.ipv4.ip_forward=1",
            "sysctl -w net.ipv6.conf.all.forwarding=1",
            "sysctl -w net.ipv4.conf.all.accept_source_route=1 net.ipv4.conf.default.accept_source_route=1 \
             net.ipv4.conf.eth0.accept_source_route=1",
        ]
    );
    assert_eq!(
        survey.needs[0].in_one(),
        "this host does not forward IPv4: nobody but itself reaches 192.0.2.7, 192.0.2.8 \
         (`sysctl -w net.ipv4.ip_forward=1`)"
    );
    assert!(survey.refusals.is_empty(), "it serves itself all the same");
}

#[test]
fn forwarding_by_a_link_is_no_use_where_new_devices_do_not_forward() {
    let mut facts = router();
    facts.settings.last_mut().expect("the default's").forwards = false;
    let survey = Survey::of(&plan(&["192.0.2.7"]), &facts);
    assert_eq!(commands(&survey.needs), ["sysctl -w net.ipv4.ip_forward=1"]);
}

#[test]
fn what_stands_against_it_names_the_address() {
    let echo = |text| Subject::Echo(ip(text));
    let mut poor = host();
    poor.has_tun = false;
    poor.may = Privileges::default();
    let survey = Survey::of(
        &plan(&["192.0.2.7", "10.0.0.2", "192.0.2.8@eth0", "192.0.2.9@eth7"]),
        &poor,
    );
    let told = against(&survey);
    let find = |about: Subject, part: &str| {
        assert!(
            told.iter()
                .any(|(subject, why)| **subject == about && why.contains(part)),
            "{part}: {told:#?}"
        );
    };
    find(echo("10.0.0.2"), "this host has that address itself (eth0)");
    find(echo("192.0.2.7"), "/dev/net/tun is missing");
    find(echo("192.0.2.7"), "CAP_NET_ADMIN");
    find(echo("192.0.2.8"), "CAP_NET_RAW");
    find(echo("192.0.2.9"), "there is no device `eth7`; there are lo, eth0");
    assert_eq!(told.len(), 5);
    let survey = Survey::of(&plan(&["192.0.2.7@lo"]), &router());
    assert_eq!(
        against(&survey),
        [(&echo("192.0.2.7"), "lo is no Ethernet device; leave out `@lo`")]
    );
}

#[test]
fn another_route_to_the_address_is_in_the_way() {
    let mut facts = router();
    facts
        .routes
        .push(Route::new(ip("192.0.2.7").into(), Hop::Link(LinkId(2))));
    let survey = Survey::of(&plan(&["192.0.2.7"]), &facts);
    let why = "another route to just this address is there already (by eth0); `ip route del 192.0.2.7/32` removes it";
    assert_eq!(against(&survey), [(&Subject::Echo(ip("192.0.2.7")), why)]);
}

#[test]
fn a_device_that_somebody_prepared_needs_no_privilege() {
    let mut facts = router();
    facts.may = Privileges::default();
    facts.links.push(link(3, "halloo0", None));
    facts
        .routes
        .push(Route::new(ip("192.0.2.7").into(), Hop::Link(LinkId(3))));
    let survey = Survey::of(&plan(&["192.0.2.7"]), &facts);
    assert!(
        survey.steps.is_empty() && survey.refusals.is_empty(),
        "{survey:?}"
    );
}

#[test]
fn a_host_that_forwards_is_kept_from_forwarding_what_is_answered_on_the_wire() {
    let addresses = plan(&["10.0.0.9@eth0"]);
    let survey = Survey::of(&addresses, &router());
    assert_eq!(
        commands(&survey.steps),
        [
            format!("ip tuntap add dev {SINK} mode tun && ip link set dev {SINK} mtu 65535 up"),
            format!("ip route add 10.0.0.9/32 dev {SINK}"),
        ]
    );
    assert_eq!(words(&Survey::of(&addresses, &host()).steps).len(), 1);
}

#[test]
fn a_kernel_that_would_say_that_there_is_no_route_is_kept_quiet_where_that_may_be() {
    let addresses = plan(&["2001:db8::9@eth0"]);
    let quiet = |facts: &Facts| addresses.to_keep_quiet(facts);
    assert_eq!(quiet(&host()), [ip("2001:db8::9")]);
    let mut unprivileged = host();
    unprivileged.may.net_admin = false;
    assert_eq!(quiet(&unprivileged), [ip("2001:db8::9")]);
    let gateway = Hop::Gateway(ip("fe80::1"), LinkId(2));
    unprivileged
        .routes
        .push(Route::new("::/0".parse().expect("a prefix"), gateway));
    assert_eq!(quiet(&unprivileged), [] as [IpAddr; 0]);
}

#[test]
fn an_address_that_no_neighbour_will_ask_for_is_told() {
    let survey = Survey::of(&plan(&["10.0.0.9@eth0", "192.0.2.7@eth0"]), &host());
    assert_eq!(
        words(&survey.needs),
        ["no network of eth0 holds 192.0.2.7: its neighbours ask for it only if told to"]
    );
}

#[test]
fn a_driver_needs_its_device_and_rights() {
    let driver = XdpDevice {
        device: "eth0".into(),
        mode: XdpMode::Auto,
    };
    let mut plan = plan(&[]);
    plan.drivers = vec![driver.clone()];
    let survey = Survey::of(&plan, &router());
    assert_eq!(
        words(&survey.steps),
        ["attach a program to eth0 (auto) that answers what needs no more than a look"]
    );
    assert!(survey.refusals.is_empty());
    let mut facts = router();
    facts.may.bpf = false;
    let survey = Survey::of(&plan, &facts);
    let why = "not permitted: to attach a program needs root, or CAP_NET_ADMIN, CAP_BPF and CAP_PERFMON";
    assert_eq!(against(&survey), [(&Subject::Driver(driver), why)]);
}
