//! The IP echo host as a user sets it up and asks it: by a TUN device, on a wire and in the driver, behind a router.

use crate::asking::{PATIENCE, Said, assert_accounted, pinged};
use halloo_lab::{Child, Host, Lab, Link};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

const HALLOO: &str = env!("CARGO_BIN_EXE_halloo");
/// Echo addresses (RFC 5737, RFC 3849). No kernel has them.
const ECHO_V4: &str = "203.0.113.7";
const ECHO_V6: &str = "2001:db8:e::7";

/// A client and an echo host with a router between them.
struct Scene {
    near: Link,
    far: Link,
    _lab: Lab,
}

impl Scene {
    fn or_skip(title: &str, forwards: bool) -> Option<Scene> {
        let lab = Lab::or_skip(title)?;
        let (client, router) = (lab.host("client"), lab.router("router"));
        let echo = if forwards {
            lab.router("echo")
        } else {
            lab.host("echo")
        };
        for host in [&client, &router, &echo] {
            for scope in ["all", "default"] {
                host.sysctl(&format!("net.ipv4.conf.{scope}.accept_source_route"), "1");
            }
        }
        let (near, far) = (lab.link(&client, &router), lab.link(&router, &echo));
        client.route("default", near.b().v4().into());
        client.route("default", near.b().v6().into());
        echo.route("default", far.a().v4().into());
        echo.route("default", far.a().v6().into());
        Some(Scene { near, far, _lab: lab })
    }

    fn client(&self) -> &Host {
        self.near.a().host()
    }

    fn echo(&self) -> &Host {
        self.far.b().host()
    }

    fn device(&self) -> &str {
        self.far.b().device()
    }

    /// The router sends the echo addresses to the echo host, which forwards them to its TUN device.
    fn route_to_host(&self) {
        let router = self.far.a().host();
        router.route(ECHO_V4, self.far.b().v4().into());
        router.route(ECHO_V6, self.far.b().v6().into());
    }

    /// The router takes the echo addresses for neighbours.
    fn route_to_wire(&self) {
        let end = self.far.a();
        for (family, ip) in [("-4", ECHO_V4), ("-6", ECHO_V6)] {
            end.host()
                .must("ip", [family, "route", "replace", ip, "dev", end.device()]);
        }
    }

    /// An echo host on both addresses, when it answers.
    fn serve(&self, place: &str, args: &[&str]) -> Child {
        let addresses = [ECHO_V4, ECHO_V6].map(|ip| format!("{ip}{place}"));
        let all = [
            "serve",
            "--json",
            "--ip-echo",
            &addresses[0],
            "--ip-echo",
            &addresses[1],
        ];
        let server = self.echo().spawn(HALLOO, [&all, args].concat());
        server.wait_for_line("running as nobody", PATIENCE);
        server
    }

    /// What five probes brought.
    fn ping(&self, args: &[&str]) -> Said {
        let common = ["-c", "5", "-i", "0.02", "-W", "2"];
        let (code, said) = pinged(self.client(), &[&common, args].concat());
        assert_eq!((code, said.count("answered")), (0, 5), "{args:?}: {:#?}", said.0);
        assert_accounted(said.summary());
        said
    }

    /// What is on the echo host beside its cable: devices, routes to single addresses, programs on the cable.
    fn leftovers(&self) -> String {
        let links = self.echo().must("ip", ["-o", "link", "show"]);
        // What follows the backslash is the link layer, with the name of the namespace at the other end.
        let ours = links
            .lines()
            .filter_map(|line| line.split('\\').next())
            .filter(|line| line.contains("halloo") || line.contains("xdp"));
        let routes = ["-4", "-6"].map(|family| self.echo().must("ip", [family, "route", "show"]));
        let routed = routes.iter().flat_map(|text| text.lines());
        let routed = routed.filter(|line| line.starts_with(ECHO_V4) || line.starts_with(ECHO_V6));
        ours.chain(routed).collect::<Vec<_>>().join("\n")
    }
}

/// The objects of a type that a server has printed.
fn printed(server: &Child, kind: &str) -> Vec<Value> {
    let objects = server.stdout();
    let objects = objects
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("each line is an object"));
    objects.filter(|object| object["type"] == kind).collect()
}

/// Stops a server and returns its last counters of a protocol, added up.
fn counted(server: &Child, protocol: &str) -> (u64, u64) {
    server.signal(Signal::SIGTERM);
    assert!(server.wait(PATIENCE).success(), "{server}");
    let counters = printed(server, "counters");
    let of = counters.iter().filter(|object| object["protocol"] == protocol);
    of.fold((0, 0), |(received, replied), object| {
        let n = |name: &str| object[name].as_u64().expect("a number");
        (received + n("received"), replied + n("replied"))
    })
}

fn targets() -> [String; 2] {
    [format!("ip://{ECHO_V4}"), format!("ip://[{ECHO_V6}]")]
}

#[test]
fn a_tun_device_takes_one_hop_and_the_kernel_around_it_two() {
    let Some(scene) = Scene::or_skip("IP echo by a TUN device", true) else {
        return;
    };
    scene.route_to_host();
    let server = scene.serve("", &[]);
    for target in targets() {
        let said = scene.ping(&["--dscp", "af41", &target]);
        for exchange in said.all("exchange") {
            // The router, the echo host in, halloo, the echo host out, the router.
            let seen =
                ["sent_ttl", "ttl", "hops_taken", "sent_tos", "tos", "bytes"].map(|name| &exchange[name]);
            assert_eq!(seen, [128, 123, 5, 34 << 2, 34 << 2, 64], "{exchange:#}");
        }
        let observed = &said.summary()["observed"];
        assert_eq!(
            (&observed["hops_taken_min"], &observed["hops_taken_max"]),
            (&json!(5), &json!(5))
        );
    }
    let listeners = printed(&server, "listener");
    assert!(
        listeners
            .iter()
            .all(|one| one["mode"] == "tun" && one["device"] == "halloo0"),
        "{listeners:#?}"
    );
    assert_eq!(counted(&server, "ip").1, 10, "{server}");
}

#[test]
fn an_address_on_a_wire_takes_exactly_one_hop() {
    for forwards in [false, true] {
        let Some(scene) = Scene::or_skip("IP echo on a wire", forwards) else {
            return;
        };
        scene.route_to_wire();
        let server = scene.serve(&format!("@{}", scene.device()), &[]);
        for target in targets() {
            let said = scene.ping(&[&target]);
            let observed = &said.summary()["observed"];
            assert_eq!(
                observed["hops_taken_max"],
                3,
                "the router twice, and halloo: {:#}",
                said.summary()
            );
            // A kernel that forwards would send each of them on, or complain.
            assert_eq!((said.count("duplicates"), said.all("error").len()), (0, 0));
        }
        assert_eq!(counted(&server, "ip").1, 10, "{server}");
        assert_eq!(scene.leftovers(), "", "forwards: {forwards}");
    }
}

#[test]
fn neighbours_find_an_address_on_a_wire() {
    let Some(scene) = Scene::or_skip("ARP and neighbour discovery for echo addresses", false) else {
        return;
    };
    scene.route_to_wire();
    let server = scene.serve(&format!("@{}", scene.device()), &[]);
    targets().iter().for_each(|target| drop(scene.ping(&[target])));
    let (asked, answered) = counted(&server, "neighbours");
    assert!(asked >= 2 && asked == answered, "{server}");
}

#[test]
fn options_tell_of_the_way_back() {
    let Some(scene) = Scene::or_skip("IPv4 options through an echo host", true) else {
        return;
    };
    let wire = format!("@{}", scene.device());
    let hop = |ip: std::net::Ipv4Addr| json!(ip.to_string());
    // Each host writes the address of the side that it sends by; the client is the last one.
    let through_kernel = [scene.far.b().v4(), scene.near.b().v4(), scene.near.a().v4()].map(hop);
    for (place, route) in [("", &through_kernel[..]), (&wire, &through_kernel[1..])] {
        if place.is_empty() {
            scene.route_to_host();
        } else {
            scene.route_to_wire();
        }
        let server = scene.serve(place, &[]);
        let target = &targets()[0];

        let said = scene.ping(&["--record-route", target]);
        for exchange in said.all("exchange") {
            assert_eq!(exchange["options"]["recorded_route"], json!(route), "{place}");
            assert_eq!(exchange["bytes"], 64);
        }

        let said = scene.ping(&["--timestamp-option=with-addresses", target]);
        for exchange in said.all("exchange") {
            let times = exchange["options"]["timestamps"].as_array().expect("times");
            let who: Vec<_> = times.iter().map(|time| time["address"].clone()).collect();
            // Our own stamp comes first, with the echo address in our place; then the way back, as far as there is room.
            assert_eq!((&who[0], who.last()), (&json!(ECHO_V4), route.last()), "{place}");
            assert_eq!(who.len(), route.len() + 1);
            assert!(times.iter().all(|time| time["ms"].is_u64()), "{exchange:#}");
        }

        let said = scene.ping(&["--timestamp-option", target]);
        let options = &said.all("exchange")[0]["options"];
        let times = options["timestamps"].as_array().expect("times");
        assert!(
            times.len() >= 4 && times.iter().all(|time| time["address"].is_null()),
            "{options:#}"
        );

        let router = scene.near.b().v4().to_string();
        let said = scene.ping(&["--source-route", &router, target]);
        for exchange in said.all("exchange") {
            // Back by way of the router, which wrote the address of the side that it sent by.
            assert_eq!(
                exchange["options"]["source_route"],
                json!([router]),
                "{place}: {exchange:#}"
            );
        }
        drop(server);
    }
}

#[test]
fn udp_and_tcp_talk_to_themselves() {
    let Some(scene) = Scene::or_skip("UDP and TCP with oneself", true) else {
        return;
    };
    scene.route_to_host();
    let _server = scene.serve("", &[]);
    for echo in [ECHO_V4.to_owned(), format!("[{ECHO_V6}]")] {
        let said = scene.ping(&[&format!("udp+ip://{echo}:7001")]);
        assert_eq!(said.summary()["observed"]["hops_taken_max"], 5);
        // The same port again: what is left of the first connection is not in the way.
        for _ in 0..2 {
            let said = scene.ping(&[&format!("tcp+ip://{echo}:7002")]);
            let start = said.all("start")[0];
            let port = |end: &str| {
                start[end]
                    .as_str()
                    .expect("an address")
                    .rsplit(':')
                    .next()
                    .map(str::to_owned)
            };
            assert_eq!(port("local"), port("remote"), "opened from both ends: {start:#}");
        }
    }
}

#[test]
fn a_killed_host_leaves_nothing_behind() {
    let Some(scene) = Scene::or_skip("an echo host that is killed", true) else {
        return;
    };
    scene.route_to_host();
    let on_wire = format!("203.0.113.9@{}", scene.device());
    let server = scene.serve("", &["--ip-echo", &on_wire, "--xdp", scene.device()]);
    scene.ping(&[&targets()[0]]);
    let there = scene.leftovers();
    for part in ["halloo0", "halloo-sink", "xdp", ECHO_V4, ECHO_V6] {
        assert!(there.contains(part), "{part}: {there}");
    }
    server.signal(Signal::SIGKILL);
    server.wait(PATIENCE);
    assert_eq!(scene.leftovers(), "");
}

#[test]
fn a_host_whose_device_is_taken_away_says_so_and_ends() {
    let Some(scene) = Scene::or_skip("an echo host without its device", false) else {
        return;
    };
    let server = scene.serve("", &[]);
    scene.echo().must("ip", ["link", "delete", "halloo0"]);
    assert_eq!(server.wait(PATIENCE).code(), Some(2), "{}", server.stderr());
    let said = server.stderr();
    assert!(said.contains("halloo0 was removed while it was in use"), "{said}");
}

#[test]
fn a_driver_answers_ordinary_pings_by_the_same_rules() {
    let Some(scene) = Scene::or_skip("UDP and IP echo in the driver", true) else {
        return;
    };
    scene.route_to_wire();
    let place = format!("@{}", scene.device());
    let server = scene.serve(&place, &["--udp", "7777", "--xdp", scene.device()]);
    for target in targets() {
        let said = scene.ping(&[&target]);
        assert_eq!(said.summary()["observed"]["hops_taken_max"], 3);
    }
    for host in [
        scene.far.b().v4().to_string(),
        format!("[{}]", scene.far.b().v6()),
    ] {
        let said = scene.ping(&[&format!("udp://{host}")]);
        assert_eq!(said.summary()["stamps"]["t2_kernel"], 5, "{:#}", said.summary());
    }
    // What is unusual goes up to us.
    scene.ping(&["--record-route", &targets()[0]]);
    scene.ping(&["-s", "112", &format!("udp://{}", scene.far.b().v4())]);
    server.signal(Signal::SIGTERM);
    assert!(server.wait(PATIENCE).success());
    let counters = printed(&server, "counters");
    let replied = |protocol: &str, service: Value| {
        let of = counters
            .iter()
            .find(|object| object["protocol"] == protocol && object["service"] == service);
        of.unwrap_or_else(|| panic!("no counters of {protocol} {service}: {counters:#?}"))["replied"].clone()
    };
    assert_eq!(
        (replied("xdp", json!("ip")), replied("xdp", json!("udp"))),
        (json!(10), json!(10))
    );
    assert_eq!(
        (replied("ip", Value::Null), replied("udp", Value::Null)),
        (json!(5), json!(5))
    );
    let listeners = printed(&server, "listener");
    let driver = listeners
        .iter()
        .find(|one| one["protocol"] == "xdp")
        .expect("it is told");
    assert_eq!(
        driver["serves"],
        json!([
            "udp 7777",
            format!("ip echo of {ECHO_V4}"),
            format!("ip echo of {ECHO_V6}")
        ])
    );
}

#[test]
fn what_the_host_lacks_is_told_and_nothing_is_touched_by_asking() {
    let Some(scene) = Scene::or_skip("a dry run", false) else {
        return;
    };
    let own = scene.far.b().v4().to_string();
    let dry = |args: &[&str]| {
        let output = scene.echo().run(HALLOO, [&["serve", "--dry-run"], args].concat());
        let text = String::from_utf8(output.stdout).expect("text");
        assert_eq!(scene.leftovers(), "", "{text}");
        (output.status.code(), text)
    };
    let (code, text) = dry(&[
        "--ip-echo",
        ECHO_V4,
        "--ip-echo",
        ECHO_V6,
        "--xdp",
        scene.device(),
    ]);
    assert_eq!(code, Some(0), "{text}");
    for part in [
        "ip tuntap add dev halloo0 mode tun",
        "ip route add 203.0.113.7/32 dev halloo0",
        "sysctl -w net.ipv4.ip_forward=1",
        "sysctl -w net.ipv6.conf.all.forwarding=1",
        "attach a program to",
        &format!("ip route add 203.0.113.7/32 via {own}"),
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let (code, text) = dry(&["--ip-echo", &own]);
    assert_eq!(code, Some(2), "{text}");
    assert!(
        text.contains(&format!("--ip-echo {own}: this host has that address itself")),
        "{text}"
    );

    // It serves whoever is on it all the same, and says what is missing.
    let server = scene.serve("", &[]);
    let notices = printed(&server, "notice");
    let missing = notices.iter().filter(|notice| {
        notice["message"]
            .as_str()
            .is_some_and(|text| text.contains("does not forward"))
    });
    assert_eq!(missing.count(), 2, "{notices:#?}");
    let (code, _) = pinged(scene.echo(), &["-c", "2", "-i", "0.02", &targets()[0]]);
    assert_eq!(code, 0);
}

#[test]
fn capabilities_are_enough_and_are_given_up_once_all_is_set_up() {
    let Some(scene) = Scene::or_skip("an echo host that is not root", false) else {
        return;
    };
    scene.route_to_wire();
    let device = scene.device();
    // Not every machine lets others than root open /dev/net/tun.
    let address = format!("{ECHO_V4}@{device}");
    let capabilities = "+net_admin,+net_raw,+bpf,+perfmon";
    let server = scene.echo().spawn(
        "setpriv",
        [
            "--reuid=65534",
            "--regid=65534",
            "--clear-groups",
            &format!("--inh-caps={capabilities}"),
            &format!("--ambient-caps={capabilities}"),
            HALLOO,
            "serve",
            "--ip-echo",
            &address,
            "--xdp",
            device,
        ],
    );
    server.wait_for_line("xdp on", PATIENCE);
    scene.ping(&[&targets()[0]]);
    scene.ping(&["--record-route", &targets()[0]]);
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).expect("it runs");
    let held = status
        .lines()
        .filter(|line| line.starts_with("Cap") && !line.starts_with("CapBnd"));
    for line in held {
        assert!(line.ends_with("\t0000000000000000"), "{line}");
    }
}

#[test]
fn what_cannot_be_is_refused_in_words() {
    let Some(scene) = Scene::or_skip("echo addresses that cannot be", false) else {
        return;
    };
    let own = scene.far.b().v4().to_string();
    let prober = ["ping", "-c", "1", "ip://203.0.113.7"];
    let nobody = ["--reuid", "65534", "--clear-groups", "--inh-caps=-all", HALLOO];
    let table: &[(&str, &[&str], &str)] = &[
        (
            HALLOO,
            &["serve", "--ip-echo", &own],
            "this host has that address itself",
        ),
        (
            HALLOO,
            &["serve", "--ip-echo", "203.0.113.7@none"],
            "--ip-echo 203.0.113.7@none: there is no device `none`; there are lo, ",
        ),
        (
            HALLOO,
            &["serve", "--xdp", "none"],
            "--xdp none: there is no device `none`",
        ),
        (
            "setpriv",
            &[&nobody[..], &["serve", "--ip-echo", ECHO_V4]].concat(),
            "--ip-echo 203.0.113.7: not permitted: to make devices and routes needs root or CAP_NET_ADMIN",
        ),
        (
            "setpriv",
            &[&nobody[..], &prober].concat(),
            "cannot open a socket for ip://203.0.113.7: Operation not permitted; this needs root or CAP_NET_RAW",
        ),
    ];
    for (program, args, why) in table {
        let output = scene.echo().run(program, *args);
        let said = String::from_utf8(output.stderr).expect("text");
        assert!(
            output.status.code() == Some(2) && said.contains(why),
            "{args:?}: {said}"
        );
    }
}
