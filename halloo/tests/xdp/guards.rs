//! The guards in the program beside those of `halloo-serve`: the same datagrams, the same endings, the same counts.

use crate::frames::Udp;
use crate::{options, program};
use halloo_base::{
    Clock, Counters, Cx, Datagram, Env, Input, LinkId, Machine, Marks, Offload, Outbox, Path, Reason, Rng,
    Snapshot,
};
use halloo_io::{SystemClock, Xdp, XdpOptions, XdpOutcome, XdpRate, XdpRules};
use halloo_protocols::echo::{UdpEcho, UdpEchoOptions};
use halloo_serve::{AccessList, Guards, Limits, Rate, Secret, Server, ServerOptions};
use std::sync::Arc;

/// The server of user space, and the program, with the same rules.
struct Both {
    server: Server,
    counters: Arc<Counters>,
    program: Xdp,
    rng: Rng,
    out: Outbox,
}

fn both(test: &str, guards: &Guards) -> Option<Both> {
    let rate = |rate: Option<Rate>| {
        rate.map(|rate| XdpRate {
            per_second: rate.per_second,
            burst: rate.burst,
        })
    };
    let prefixes = |list: &[ipnet::IpNet]| list.iter().map(|net| (net.network(), net.prefix_len())).collect();
    let options = XdpOptions {
        rules: XdpRules {
            allow: prefixes(&guards.access.allow),
            deny: prefixes(&guards.access.deny),
            refused_ports: guards.refused_ports().collect(),
            own_ports: guards.own_ports.clone(),
            per_source: rate(guards.limits.per_source),
            per_local_source: rate(guards.limits.per_local_source),
            all: rate(guards.limits.all),
            sources: 1024,
        },
        ..options()
    };
    let program = program(test, &options)?;
    let counters = Arc::new(Counters::default());
    let server = ServerOptions {
        guards: guards.clone(),
        ..ServerOptions::new(Secret::new([5; 16]))
    };
    let responder = Box::new(UdpEcho::new(UdpEchoOptions::default(), [7; 32]));
    Some(Both {
        server: Server::new(server, responder, Arc::clone(&counters)).expect("rules that hold together"),
        counters,
        program,
        rng: Rng::new(1),
        out: Outbox::new(),
    })
}

impl Both {
    /// Whether user space answers; the program must do the same.
    fn ask(&mut self, asked: &Udp) -> bool {
        let at = SystemClock.stamp();
        let rx = Datagram {
            path: Path {
                link: LinkId(1),
                local: asked.to,
                remote: asked.from,
            },
            at,
            marks: Marks::default(),
            payload: &asked.payload,
            offload: Offload::default(),
        };
        let env = Env {
            now: at.mono,
            clock: &SystemClock,
            rng: &mut self.rng,
        };
        let mut cx = Cx {
            env,
            out: &mut self.out,
        };
        self.server.handle(&mut cx, Input::Datagram(rx));
        let answered = !self.out.is_empty();
        self.out.clear();
        let expected = self.program.try_on(&asked.frame()).expect("the program runs");
        assert_eq!(
            answered,
            matches!(expected, XdpOutcome::Answered(_)),
            "{asked:?}: {expected:?}"
        );
        answered
    }

    /// What both have counted; they must agree.
    fn counted(&self) -> Snapshot {
        let counted = self.counters.snapshot();
        assert_eq!(self.program.counters().expect("counters").udp, counted);
        counted
    }
}

fn quiet() -> Guards {
    Guards {
        limits: Limits {
            per_source: None,
            all: None,
            ..Limits::default()
        },
        ..Guards::default()
    }
}

#[test]
fn the_longest_prefix_decides_who_is_let_in() {
    let net = |text: &str| text.parse().expect("a prefix");
    let guards = Guards {
        access: AccessList {
            allow: vec![
                net("198.51.100.0/25"),
                net("2001:db8:1::/48"),
                net("198.51.100.200/32"),
            ],
            deny: vec![
                net("198.51.100.0/24"),
                net("198.51.100.9/32"),
                net("::/0"),
                net("10.0.0.0/8"),
            ],
        },
        ..quiet()
    };
    let Some(mut both) = both("access lists", &guards) else {
        return;
    };
    let table = [
        ("198.51.100.8:40000", true),
        ("198.51.100.9:40000", false),
        ("198.51.100.199:40000", false),
        ("198.51.100.200:40000", true),
        ("203.0.113.1:40000", true),
        ("10.1.2.3:40000", false),
        ("[2001:db8:1::9]:40000", true),
        ("[2001:db8:2::9]:40000", false),
    ];
    for (from, allowed) in table {
        assert_eq!(both.ask(&Udp::new(from, b"may I?")), allowed, "{from}");
    }
    assert_eq!(both.counted().silent, [(Reason::Denied, 4)]);
}

#[test]
fn every_source_port_is_judged_the_same() {
    let guards = Guards {
        own_ports: vec![7, 4433],
        ..quiet()
    };
    let Some(mut both) = both("source ports", &guards) else {
        return;
    };
    let mut answered = 0;
    for port in 1..=u16::MAX {
        let mut asked = Udp::new("198.51.100.9:1", b"any port");
        asked.from.set_port(port);
        answered += u32::from(both.ask(&asked));
    }
    assert!((60_000..64_512).contains(&answered), "{answered}");
    let reasons: Vec<_> = both.counted().silent.into_iter().map(|(why, _)| why).collect();
    assert_eq!(reasons, [Reason::ReflectionPort, Reason::OwnPort]);
}

/// A rate so slow that no test is long enough for one packet more.
fn burst(burst: u32) -> Option<Rate> {
    Some(Rate { per_second: 1, burst })
}

#[test]
fn each_source_has_its_burst_and_all_have_theirs() {
    let guards = Guards {
        limits: Limits {
            per_source: burst(50),
            all: burst(120),
            per_local_source: burst(70),
            ..Limits::default()
        },
        ..quiet()
    };
    let Some(mut both) = both("rates", &guards) else {
        return;
    };
    let mut spend = |from: &str| (0..100).filter(|_| both.ask(&Udp::new(from, b"more"))).count();
    assert_eq!(spend("198.51.100.9:40000"), 50);
    assert_eq!(
        spend("198.51.100.9:40001"),
        0,
        "a source is an address, whatever its port"
    );
    assert_eq!(spend("[2001:db8:9::1]:40000"), 50);
    assert_eq!(
        spend("[2001:db8:9::2]:40000"),
        0,
        "a source is half an IPv6 address"
    );
    assert_eq!(spend("203.0.113.1:40000"), 20, "what all have left");
    assert_eq!(spend("203.0.113.2:40000"), 0);
    assert_eq!(spend("10.1.2.3:40000"), 70, "a local source has its own measure");
    assert_eq!(spend("[fd00::1]:40000"), 70);
    let reasons: Vec<_> = both.counted().silent.into_iter().map(|(why, _)| why).collect();
    assert_eq!(reasons, [Reason::RateLimited, Reason::RateLimitedAll]);
}

#[test]
fn local_sources_are_those_of_user_space() {
    let guards = Guards {
        limits: Limits {
            per_source: burst(1),
            all: None,
            per_local_source: None,
            ..Limits::default()
        },
        ..quiet()
    };
    let Some(mut both) = both("local sources", &guards) else {
        return;
    };
    let edges = [
        "9.255.255.255",
        "10.0.0.0",
        "10.255.255.255",
        "11.0.0.0",
        "169.253.255.255",
        "169.254.0.0",
        "169.254.255.255",
        "169.255.0.0",
        "172.15.255.255",
        "172.16.0.0",
        "172.31.255.255",
        "172.32.0.0",
        "192.167.255.255",
        "192.168.0.0",
        "192.168.255.255",
        "192.169.0.0",
    ];
    let edges = edges.map(|ip| format!("{ip}:40000"));
    let v6 = ["fbff::1", "fc00::1", "fdff::1", "fe00::1", "fec0::1"].map(|ip| format!("[{ip}]:40000"));
    let mut local = 0;
    for from in edges.iter().chain(&v6) {
        both.ask(&Udp::new(from, b"first"));
        local += u32::from(both.ask(&Udp::new(from, b"second")));
    }
    assert_eq!(local, 10);
}

#[test]
fn the_two_services_have_buckets_of_their_own() {
    let guards = Guards {
        limits: Limits {
            per_source: burst(3),
            all: None,
            ..Limits::default()
        },
        ..quiet()
    };
    let Some(both) = both("two services", &guards) else {
        return;
    };
    let mut udp = Udp::new("198.51.100.9:40000", b"hello");
    let answered = |frame: &[u8]| {
        let one = || matches!(both.program.try_on(frame), Ok(XdpOutcome::Answered(_)));
        (0..9).filter(|_| one()).count()
    };
    assert_eq!(answered(&udp.frame()), 3);
    udp.to.set_ip("192.0.2.7".parse().expect("an address"));
    assert_eq!(answered(&udp.frame()), 3);
    assert_eq!(
        both.program.counters().expect("counters").ip.silent,
        [(Reason::RateLimited, 6)]
    );
}
