//! What a client that others wrote learns of its NAT from our STUN server at two addresses (RFC 5780).

use crate::asking::{HALLOO, PATIENCE, pinged};
use halloo_lab::{Child, Lab, Link, Nat, program_or_skip};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

/// A client, a router, and a server with two addresses on the other side.
struct Net {
    _lab: Lab,
    inside: Link,
    outside: Link,
    _server: Child,
    client: PathBuf,
}

fn net(title: &str) -> Option<Net> {
    let lab = Lab::or_skip(title)?;
    let client = program_or_skip("turnutils_natdiscovery")?;
    let (host, router, server) = (lab.host("host"), lab.router("router"), lab.host("server"));
    let (inside, outside) = (lab.link(&host, &router), lab.link(&router, &server));
    host.route("default", inside.b().v4().into());
    server.route("default", outside.a().v4().into());
    let [first, other] = addresses(&outside);
    server.must(
        "ip",
        ["addr", "add", &format!("{other}/24"), "dev", outside.b().device()],
    );
    let [listen, other] = [format!("{first}:3478"), other.to_string()];
    let args = [
        "serve",
        "--user",
        "root",
        "--stun",
        &listen,
        "--stun-other",
        &other,
    ];
    let running = server.spawn(HALLOO, args);
    running.wait_for_line(&format!("{other}:3479"), PATIENCE);
    Some(Net {
        _lab: lab,
        inside,
        outside,
        _server: running,
        client,
    })
}

/// The server's two.
fn addresses(outside: &Link) -> [Ipv4Addr; 2] {
    let first = outside.b().v4();
    let [a, b, c, _] = first.octets();
    [first, Ipv4Addr::new(a, b, c, 200)]
}

impl Net {
    /// What the client says of its way there.
    fn learned(&self, what: &[&str]) -> String {
        let server = addresses(&self.outside)[0].to_string();
        let own = self.inside.a().v4().to_string();
        let args = [what, &["-L", &own, "-p", "3478", &server]].concat();
        self.inside.a().host().must(&self.client as &Path, args)
    }
}

/// What stands between two lines of `=`: the client's verdicts, in their order.
fn verdicts(text: &str) -> Vec<&str> {
    let lines = text.lines().map(str::trim);
    lines.filter(|line| line.contains("NAT")).collect()
}

#[test]
fn coturns_client_tells_a_nats_mapping_and_filtering_by_what_we_answer() {
    let Some(net) = net("what a NAT does, by coturn's client") else {
        return;
    };
    let inside = net.inside.a().v4().into();
    let table = [
        (
            None,
            [
                "No NAT! (Endpoint Independent Mapping)",
                "NAT with Endpoint Independent Mapping!",
            ],
            "NAT with Endpoint Independent Filtering!",
        ),
        (
            Some(Nat::OneToOne { inside }),
            ["", "NAT with Endpoint Independent Mapping!"],
            "NAT with Endpoint Independent Filtering!",
        ),
        (
            Some(Nat::PortKept),
            ["", "NAT with Endpoint Independent Mapping!"],
            "NAT with Address and Port Dependent Filtering!",
        ),
        (
            Some(Nat::Symmetric),
            ["", "NAT with Address and Port Dependent Mapping!"],
            "NAT with Address and Port Dependent Filtering!",
        ),
    ];
    for (nat, mapping, filtering) in table {
        if let Some(nat) = nat {
            let outside = net.outside.a();
            outside.host().nat(outside, nat);
        }
        let text = net.learned(&["-m"]);
        let expected: Vec<_> = mapping.into_iter().filter(|line| !line.is_empty()).collect();
        assert_eq!(verdicts(&text), expected, "{nat:?}: {text}");
        let text = net.learned(&["-f"]);
        assert_eq!(verdicts(&text).last(), Some(&filtering), "{nat:?}: {text}");
    }
}

#[test]
fn our_client_is_answered_by_a_server_at_two_addresses_as_by_any() {
    let Some(net) = net("our client and a STUN server at two addresses") else {
        return;
    };
    for server in addresses(&net.outside) {
        for port in [3478, 3479] {
            let target = format!("stun://{server}:{port}");
            let (code, said) = pinged(net.inside.a().host(), &["-c", "5", "-i", "0.01", &target]);
            assert_eq!((code, said.count("answered")), (0, 5), "{target}: {:#?}", said.0);
            let seen = said.summary()["observed"]["seen_addr"]
                .as_str()
                .map(str::to_owned);
            let own = format!("{}:", net.inside.a().v4());
            assert!(seen.is_some_and(|seen| seen.starts_with(&own)), "{target}");
        }
    }
}
