//! What a path does to long packets, to some of the flows, and to marks, with routers that say so or keep silent.

use crate::asking::{Said, pinged, serve};
use halloo_lab::{Host, Lab, Link, LinkPlan};
use serde_json::Value;

/// An asker, a router and an echo host behind it; the link behind the router carries `mtu` bytes, the one before it more.
struct Path {
    // Dropping it takes the hosts away.
    _lab: Lab,
    asker: Host,
    router: Host,
    far: Link,
}

impl Path {
    fn new(title: &str, mtu: u32) -> Option<(Path, Host)> {
        let lab = Lab::or_skip(title)?;
        let (asker, router, host) = (lab.host("asker"), lab.router("router"), lab.host("echo"));
        let plan = |mtu| LinkPlan {
            mtu,
            ..LinkPlan::default()
        };
        let near = lab.link_with(&asker, &router, &plan(9_000));
        let far = lab.link_with(&router, &host, &plan(mtu));
        for (from, by) in [(&asker, near.b()), (&host, far.a())] {
            from.must("ip", ["route", "add", "default", "via", &by.v4().to_string()]);
            from.must(
                "ip",
                ["-6", "route", "add", "default", "via", &by.v6().to_string()],
            );
        }
        let path = Path {
            _lab: lab,
            asker,
            router,
            far,
        };
        Some((path, host))
    }

    /// Rules of the router's firewall.
    fn rules(&self, hook: &str, rules: &[&str]) {
        let rules: String = rules
            .iter()
            .map(|rule| format!("add rule inet f c {rule}\n"))
            .collect();
        let chain = format!("add chain inet f c {{ type filter hook {hook} priority -150; }}");
        self.router
            .must("nft", [format!("add table inet f\n{chain}\n{rules}")]);
    }

    fn black_hole(&self) {
        let rules = [
            "icmp type destination-unreachable drop",
            "icmpv6 type packet-too-big drop",
        ];
        self.rules("output", &rules);
    }

    fn target(&self, scheme: &str, v6: bool) -> String {
        match v6 {
            true => format!("{scheme}://[{}]", self.far.b().v6()),
            false => format!("{scheme}://{}", self.far.b().v4()),
        }
    }
}

fn only<'a>(said: &'a Said, kind: &str) -> &'a Value {
    match said.all(kind)[..] {
        [one] => one,
        ref other => panic!("{} of {kind} in {:#?}", other.len(), said.0),
    }
}

fn found(path: &Path, target: &str) -> Value {
    let (code, said) = pinged(&path.asker, &["--pmtu", target]);
    assert_eq!(code, 0, "{said:?}");
    only(&said, "path_mtu").clone()
}

/// Searches where the router says what is too big, and then where that is dropped.
fn search(mtu: u32) {
    let Some((path, host)) = Path::new("path MTU", mtu) else {
        return;
    };
    let _server = serve(&host, &["--udp", "7777", "--stamp", "862", "--tcp", "7777"]);
    let check = |is_black_hole: bool| {
        for (scheme, v6) in [("udp", false), ("udp", true), ("icmp", false), ("stamp", true)] {
            let target = path.target(scheme, v6);
            let report = found(&path, &target);
            let headers = if v6 { 40 } else { 20 };
            assert_eq!(report["mtu"], mtu, "{target} {report:#}");
            assert_eq!(report["udp_payload"], mtu - headers - 8, "{report:#}");
            assert_eq!(report["tcp_mss"], mtu - headers - 20, "{report:#}");
            assert_eq!(report["state"], "complete");
            assert_eq!(report["is_link_mtu"], mtu == 9_000);
            let speaks = !is_black_hole && mtu < 9_000;
            assert_eq!(
                report["too_big"].as_u64().expect("a count") > 0,
                speaks,
                "{report:#}"
            );
            assert_eq!(
                report["told_mtu"].as_u64(),
                speaks.then_some(mtu.into()),
                "{report:#}"
            );
        }
    };
    check(false);
    path.black_hole();
    check(true);
}

#[test]
fn a_path_mtu_of_1280_is_found_whether_icmp_comes_or_not() {
    search(1_280);
}

#[test]
fn a_path_mtu_of_1400_is_found_whether_icmp_comes_or_not() {
    search(1_400);
}

#[test]
fn a_path_mtu_of_1500_is_found_whether_icmp_comes_or_not() {
    search(1_500);
}

#[test]
fn a_path_mtu_of_9000_is_found_whether_icmp_comes_or_not() {
    search(9_000);
}

#[test]
fn a_narrow_way_back_is_told_apart() {
    let Some((path, host)) = Path::new("a narrow way back", 9_000) else {
        return;
    };
    let _server = serve(&host, &["--udp", "7777", "--tcp", "7777"]);
    // What is longer than this does not come back, and nobody says so.
    path.rules("forward", &["udp sport 7777 meta length > 1432 drop"]);
    let report = found(&path, &path.target("udp", false));
    assert_eq!(
        (&report["mtu"], &report["arrived"]),
        (&1_432.into(), &9_000.into())
    );
}

#[test]
fn nothing_is_found_where_nothing_is_answered() {
    let Some((path, _)) = Path::new("no echo host", 1_500) else {
        return;
    };
    let (code, said) = pinged(&path.asker, &["--pmtu", &path.target("udp", false)]);
    let report = only(&said, "path_mtu");
    assert_eq!(
        (code, &report["mtu"], &report["error"]),
        (1, &Value::Null, &"Connection refused".into())
    );
}

#[test]
fn the_ports_that_a_router_drops_are_named_and_no_others() {
    let Some((path, host)) = Path::new("source ports that are dropped", 1_500) else {
        return;
    };
    let _server = serve(&host, &["--udp", "7777", "--tcp", "7777"]);
    let sweep = || {
        let target = path.target("udp", false);
        let args = ["--spread", "64", "-c", "6", "-i", "2ms", "-W", "0.5", &target];
        pinged(&path.asker, &args)
    };
    let (code, said) = sweep();
    let report = only(&said, "spread");
    assert_eq!(
        (code, &report["bad_ports"], &report["dead"]),
        (0, &Value::Array(vec![]), &0.into())
    );
    path.rules("forward", &["udp dport 7777 udp sport & 7 == 3 drop"]);
    let (code, said) = sweep();
    let report = only(&said, "spread");
    let ports: Vec<u64> = said
        .all("flow")
        .iter()
        .map(|flow| flow["port"].as_u64().expect("a port"))
        .collect();
    let dropped: Vec<u64> = ports.iter().copied().filter(|port| port & 7 == 3).collect();
    assert_eq!(ports.len(), 64);
    assert_eq!(report["bad_ports"], serde_json::json!(dropped), "{report:#}");
    assert_eq!(report["dead"], dropped.len());
    // The kernel chooses ports at random: there may be none among them.
    assert_eq!(code, i32::from(!dropped.is_empty()));
}

#[test]
fn what_a_router_does_to_dscp_and_ecn_is_told_way_by_way() {
    let Some((path, host)) = Path::new("rewritten marks", 1_500) else {
        return;
    };
    let _server = serve(&host, &["--udp", "7777", "--stamp", "862", "--tcp", "7777"]);
    let observed = |scheme: &str, v6: bool| {
        let target = path.target(scheme, v6);
        let size = if scheme == "stamp" { "140" } else { "112" };
        let marks = ["--dscp", "ef", "--ecn", "ect0", "-s", size];
        let (code, said) = pinged(
            &path.asker,
            &[&["-c", "5", "-i", "10ms"], &marks[..], &[&target]].concat(),
        );
        assert_eq!(code, 0, "{said:?}");
        said.summary()["observed"].clone()
    };
    let ways = |observed: &Value| {
        let way = |name: &str| {
            let marks = &observed[name];
            ["dscp_changed", "ect_cleared", "ce"].map(|field| marks[field].as_u64().expect("a count"))
        };
        (way("forward_marks"), way("backward_marks"))
    };
    for (scheme, v6) in [("udp", false), ("udp", true), ("stamp", false)] {
        let untouched = observed(scheme, v6);
        assert_eq!(
            (&untouched["seen_tos"], &untouched["tos"]),
            (&0xba.into(), &0xba.into()),
            "{scheme}"
        );
        assert_eq!(ways(&untouched), ([0; 3], [0; 3]));
    }
    path.rules(
        "forward",
        &[
            "ip daddr 10.0.0.0/8 udp dport { 862, 7777 } ip dscp set cs0",
            "ip6 daddr fd00::/8 udp dport 7777 ip6 dscp set cs1",
            "udp dport { 862, 7777 } ip ecn set ce",
            "ip6 daddr fd00::/8 udp sport 7777 ip6 ecn set not-ect",
        ],
    );
    let there = observed("udp", false);
    assert_eq!(
        (&there["seen_tos"], &there["answer_tos"], &there["tos"]),
        (&3.into(), &2.into(), &2.into())
    );
    assert_eq!(ways(&there), ([5, 0, 5], [0; 3]));
    let both = observed("udp", true);
    assert_eq!(
        (&both["seen_tos"], &both["answer_tos"], &both["tos"]),
        (&0x22.into(), &0x22.into(), &0x20.into())
    );
    assert_eq!(ways(&both), ([5, 0, 0], [0, 5, 0]));
    let stamp = observed("stamp", false);
    assert_eq!(
        (&stamp["seen_tos"], &stamp["answer_tos"]),
        (&3.into(), &Value::Null)
    );
    assert_eq!(ways(&stamp).0, [5, 0, 5]);
}
