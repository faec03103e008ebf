//! ICMP echo, which every host's kernel answers.

use crate::asking::{HALLOO, PATIENCE, assert_accounted, count, finished, ping, pinged};
use halloo_lab::{Direction, Host, Impairment, Ip, Lab, Link, Packet, Side, program_or_skip};
use std::net::IpAddr;
use std::time::Duration;

const ICMP: u8 = 1;
const ICMPV6: u8 = 58;

/// Says who may have ping sockets on a host: everybody, or nobody, as the kernel has it at first.
fn allow(host: &Host, everybody: bool) {
    let groups = if everybody { "0 2147483647" } else { "1 0" };
    host.sysctl("net.ipv4.ping_group_range", groups);
}

/// A host, a router, and a host behind it.
struct Stage {
    _lab: Lab,
    near: Link,
    far: Link,
    asker: Host,
    router: Host,
}

impl Stage {
    fn or_skip(title: &str) -> Option<Stage> {
        let lab = Lab::or_skip(title)?;
        let (asker, router, answerer) = (lab.host("asker"), lab.router("router"), lab.host("answerer"));
        let (near, far) = (lab.link(&asker, &router), lab.link(&router, &answerer));
        asker.route("0.0.0.0/0", near.b().v4().into());
        asker.route("::/0", near.b().v6().into());
        answerer.route("0.0.0.0/0", far.a().v4().into());
        answerer.route("::/0", far.a().v6().into());
        Some(Stage {
            _lab: lab,
            near,
            far,
            asker,
            router,
        })
    }

    /// The host that answers, by both versions.
    fn targets(&self) -> [IpAddr; 2] {
        [self.far.b().v4().into(), self.far.b().v6().into()]
    }
}

fn url(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => format!("icmp://{ip}"),
        IpAddr::V6(ip) => format!("icmp://[{ip}]"),
    }
}

/// Whether this is an echo request, and its checksum is right (RFC 1071; RFC 4443 section 2.3).
fn is_request(ip: &Ip<'_>) -> bool {
    let (request, pseudo_header) = match (ip.protocol, ip.source, ip.destination) {
        (Some(ICMP), ..) => (8, vec![]),
        (Some(ICMPV6), IpAddr::V6(source), IpAddr::V6(destination)) => {
            let len = ip.payload.len() as u32;
            let parts = [&source.octets()[..], &destination.octets(), &len.to_be_bytes()];
            (128, [&parts.concat()[..], &[0, 0, 0, ICMPV6]].concat())
        }
        _ => return false,
    };
    if ip.payload.first() != Some(&request) {
        return false;
    }
    let summed = [&pseudo_header, ip.payload].concat();
    let word = |pair: &[u8]| u32::from(pair[0]) << 8 | u32::from(pair.get(1).copied().unwrap_or(0));
    let sum: u32 = summed.chunks(2).map(word).sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    assert_eq!((folded & 0xffff) + (folded >> 16), 0xffff, "{ip:?}");
    true
}

#[test]
fn a_kernel_answers_over_both_versions_by_either_socket() {
    let Some(stage) = Stage::or_skip("ICMP echo through a router") else {
        return;
    };
    for everybody in [true, false] {
        allow(&stage.asker, everybody);
        for ip in stage.targets() {
            let target = url(ip);
            let (code, said) = pinged(&stage.asker, &["-c", "20", "-i", "0.01", &target]);
            assert_eq!((code, said.count("answered")), (0, 20), "{target}: {:#?}", said.0);
            assert_accounted(said.summary());
            for exchange in said.all("exchange") {
                assert_eq!(
                    (&exchange["ttl"], &exchange["bytes"]),
                    (&63.into(), &64.into()),
                    "{exchange:#}"
                );
            }
            let summary = said.summary();
            assert!(summary["wire"]["min_ns"].as_i64() > Some(0), "{summary:#}");
            assert!(
                summary["wire"]["min_ns"].as_i64() <= summary["host"]["min_ns"].as_i64(),
                "{summary:#}"
            );
        }
    }
}

#[test]
fn requests_leave_with_right_checksums_and_as_they_are_asked_for() {
    let Some(stage) = Stage::or_skip("captured ICMP echo requests") else {
        return;
    };
    for everybody in [true, false] {
        allow(&stage.asker, everybody);
        for ip in stage.targets() {
            let capture = stage.near.capture(Side::A);
            let (own, device) = (stage.near.a(), stage.near.a().device());
            let source: IpAddr = if ip.is_ipv4() {
                own.v4().into()
            } else {
                own.v6().into()
            };
            for link in [source.to_string(), device.to_owned()] {
                let marks = ["--dscp", "ef", "--ttl", "9", "--df"];
                // An odd length, and more than one sequence number.
                let asked = ["-c", "3", "-i", "0.01", "-s", "333", "-I", &link, &url(ip)];
                let (code, said) = pinged(&stage.asker, &[&marks[..], &asked].concat());
                assert_eq!(code, 0, "{:#?}", said.0);
            }
            let packets = capture.finish();
            let requests: Vec<Ip<'_>> = packets.iter().filter_map(Packet::ip).filter(is_request).collect();
            assert_eq!(requests.len(), 6, "{ip}");
            for request in requests {
                assert_eq!((request.source, request.destination), (source, ip));
                assert_eq!((request.ttl, request.tos, request.payload.len()), (9, 0xb8, 333));
                assert!(request.dont_fragment);
            }
        }
    }
}

#[test]
fn who_does_not_get_there_is_told_by_whom_and_which() {
    let Some(stage) = Stage::or_skip("ICMP errors about ICMP requests") else {
        return;
    };
    // As many errors as there is reason for.
    stage.router.sysctl("net.ipv4.icmp_ratemask", "0");
    stage.router.sysctl("net.ipv6.icmp.ratelimit", "0");
    let near = stage.near.b();
    let nowhere: [(&str, &str, &str, String); 2] = [
        ("203.0.113.9", "203.0.113.0/24", "-4", near.v4().to_string()),
        (
            "2001:db8:bad::9",
            "2001:db8:bad::/48",
            "-6",
            near.v6().to_string(),
        ),
    ];
    for (ip, prefix, version, router) in nowhere {
        let add = [version, "route", "add", "unreachable", prefix];
        stage.router.must("ip", add);
        let nowhere: IpAddr = ip.parse().expect("an address");
        let beyond = stage
            .targets()
            .into_iter()
            .find(|ip| ip.is_ipv4() == nowhere.is_ipv4());
        let beyond = beyond.expect("one of each version");
        for everybody in [true, false] {
            allow(&stage.asker, everybody);
            // A router without a route says so a few times at once and no more, whatever it is told.
            for (target, count, ttl) in [(nowhere, 1, "64"), (beyond, 3, "1")] {
                let target = url(target);
                let args = ["-c", &count.to_string(), "-i", "0.01", "--ttl", ttl, &target];
                let (code, said) = pinged(&stage.asker, &args);
                assert_eq!((code, said.count("lost")), (1, count), "{target}: {:#?}", said.0);
                let told = said.all("error");
                let told: Vec<_> = told
                    .iter()
                    .map(|error| (&error["kind"], &error["reporter"], &error["seq"]))
                    .collect();
                let (kind, router) = ("unreachable".into(), router.as_str().into());
                let each: Vec<_> = (1..=count).map(serde_json::Value::from).collect();
                let expected: Vec<_> = each.iter().map(|seq| (&kind, &router, seq)).collect();
                assert_eq!(told, expected, "{target}");
                assert!(
                    said.all("exchange")
                        .iter()
                        .all(|exchange| exchange["cause"] == kind)
                );
            }
        }
    }
}

#[test]
fn a_router_that_knows_a_shorter_way_takes_nothing_away() {
    let Some(lab) = Lab::or_skip("an ICMP redirect") else {
        return;
    };
    let (asker, router, answerer) = (lab.host("asker"), lab.router("router"), lab.host("answerer"));
    let lan = lab.switch("lan");
    let [near, corner, far] = [&asker, &router, &answerer].map(|host| lan.plug(host));
    let target = IpAddr::from(far.a().v4());
    for everybody in [true, false] {
        allow(&asker, everybody);
        asker.must("ip", ["route", "flush", "cache"]);
        asker.route(&format!("{target}/32"), corner.a().v4().into());
        let capture = near.capture(Side::A);
        let (code, said) = pinged(&asker, &["-c", "3", "-i", "0.01", &url(target)]);
        assert_eq!((code, said.count("answered")), (0, 3), "{:#?}", said.0);
        assert!(said.all("error").is_empty(), "{:#?}", said.0);
        let redirects = capture.finish();
        let redirects = redirects.iter().filter_map(Packet::ip);
        let is_redirect = |ip: &Ip<'_>| ip.protocol == Some(ICMP) && ip.payload.first() == Some(&5);
        // The router tells one asker once, and is silent for a while.
        assert!(!everybody || redirects.filter(is_redirect).count() > 0);
    }
}

#[test]
fn raw_sessions_side_by_side_hear_nothing_of_each_other() {
    let Some(stage) = Stage::or_skip("two raw ICMP sessions") else {
        return;
    };
    allow(&stage.asker, false);
    for ip in stage.targets() {
        let target = url(ip);
        let args = ["-c", "50", "-i", "0.005", &target];
        let both = [ping(&stage.asker, &args), ping(&stage.asker, &args)];
        for asking in both {
            let (code, said) = finished(&asking);
            assert_eq!((code, said.count("answered")), (0, 50), "{:#}", said.summary());
            let unused = &said.summary()["unused"];
            let unused = unused.as_object().expect("counters");
            assert!(unused.values().all(|n| n == 0), "{unused:#?}");
        }
    }
}

#[test]
fn no_rights_are_needed_where_everybody_may_and_else_the_remedy_is_told() {
    let Some(stage) = Stage::or_skip("ICMP echo without rights") else {
        return;
    };
    let Some(setpriv) = program_or_skip("setpriv") else {
        return;
    };
    for ip in stage.targets() {
        let target = url(ip);
        let bare = ["--bounding-set=-all", "--inh-caps=-all"];
        let args = [&bare[..], &[HALLOO, "ping", "-c", "3", "-i", "0.01", &target]].concat();
        allow(&stage.asker, true);
        let asking = stage.asker.spawn(&setpriv, &args);
        assert_eq!(asking.wait(PATIENCE).code(), Some(0), "{asking}");
        assert!(
            asking.stdout().contains(&format!("64 bytes from {ip}: seq=3 ")),
            "{asking}"
        );
        allow(&stage.asker, false);
        let refused = stage.asker.spawn(&setpriv, &args);
        assert!(!refused.wait(PATIENCE).success(), "{refused}");
        let why = format!(
            "halloo: cannot open a socket for {target}: Operation not permitted; allow it with sysctl -w \
             net.ipv4.ping_group_range='0 2147483647', or give CAP_NET_RAW"
        );
        assert!(refused.stderr().contains(&why), "{refused}");
    }
}

#[test]
fn our_round_trip_agrees_with_that_of_fping() {
    let Some(lab) = Lab::or_skip("fping as a bound") else {
        return;
    };
    let Some(fping) = program_or_skip("fping") else {
        return;
    };
    let (link, impairer) = lab.impaired_link(&lab.host("near"), &lab.host("far"));
    for direction in [Direction::AToB, Direction::BToA] {
        impairer.set(direction, Impairment::delay(Duration::from_millis(10)));
    }
    for far in [IpAddr::from(link.b().v4()), link.b().v6().into()] {
        let output = link.a().host().run(
            &fping,
            ["-C", "20", "-p", "20", "-t", "2000", "-q", &far.to_string()],
        );
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        // "10.0.0.2 : 20.4 20.3 20.5"
        let theirs = text.rsplit_once(" : ").map(|(_, times)| times.split_whitespace());
        let theirs = theirs.unwrap_or_else(|| panic!("{text}"));
        let theirs = theirs
            .filter_map(|time| time.parse::<f64>().ok())
            .reduce(f64::min);
        let theirs = theirs.unwrap_or_else(|| panic!("{text}"));
        let (_, said) = pinged(link.a().host(), &["-c", "20", "-i", "0.02", &url(far)]);
        let ours = said.summary()["wire"]["min_ns"].as_f64().expect("wire times") / 1e6;
        // Both take the best of twenty through the same 20 ms; what differs is scheduling, never the delay.
        assert!(
            count(said.summary(), "answered") == 20 && ours >= 20.0 && (ours - theirs).abs() < 2.0,
            "{far}: ours {ours} ms, theirs {theirs} ms"
        );
    }
}
