//! Datagrams that make one responder believe that another asked it.

use crate::bench::{Bench, START, hex, path};
use crate::forgery::{Forger, Seeds};
use crate::table::{Dialect, TABLE, all_ports, had};
use halloo_base::{Mono, Path};
use std::collections::{BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

const SEED: u64 = 0x5eed_ab05_e000_1000;
const ALTERED: usize = 30;
/// Who has not fallen silent by then never does.
const ENDLESS: usize = 20;
const FIRST: &str = "198.51.100.1";
const SECOND: &str = "203.0.113.2";

/// What answers at one address and port.
struct Service {
    at: SocketAddr,
    dialect: &'static Dialect,
    bench: Bench,
}

/// Services that hear each other.
struct Net {
    services: Vec<Service>,
    now: Mono,
}

impl Net {
    fn new() -> Net {
        Net {
            services: vec![],
            now: START,
        }
    }

    /// A host that answers everything, as `halloo serve --all` does.
    fn everything(mut self, ip: &str, is_root: bool) -> Net {
        let own_ports = all_ports(is_root);
        for dialect in TABLE {
            for &port in dialect.ports {
                self.add(dialect, ip, had(port, is_root), &own_ports);
            }
        }
        self
    }

    fn add(&mut self, dialect: &'static Dialect, ip: &str, port: u16, own_ports: &[u16]) {
        let ip: IpAddr = ip.parse().expect("an address");
        self.services.push(Service {
            at: (ip, port).into(),
            dialect,
            bench: Bench::new(dialect, own_ports),
        });
    }

    /// How many packets are sent because the first of these was sent a datagram in the name of the second.
    fn bounce(&mut self, asked: SocketAddr, forged: SocketAddr, payload: &[u8]) -> usize {
        // Buckets are full again: none of them is to end a loop here.
        self.now += Duration::from_secs(10);
        let mut under_way = VecDeque::from([(path(asked, forged), payload.to_vec())]);
        let mut sent = 0;
        while let Some((path, payload)) = under_way.pop_front() {
            let receiver = self.services.iter_mut().find(|service| service.at == path.local);
            let Some(receiver) = receiver else { continue };
            self.now += Duration::from_millis(1);
            receiver.bench.hand(self.now, path, &payload, |path, answer| {
                sent += 1;
                under_way.push_back((turned(path), answer.to_vec()));
            });
            receiver.bench.wake(self.now, |_, _| sent += 1);
            if sent >= ENDLESS {
                break;
            }
        }
        sent
    }
}

/// The path as its other end sees it.
fn turned(path: Path) -> Path {
    Path {
        local: path.remote,
        remote: path.local,
        ..path
    }
}

/// Questions and answers of everybody, whole, cut and altered.
fn payloads() -> Vec<Vec<u8>> {
    let mut payloads = vec![vec![], b"halloo".to_vec(), vec![0; 14], vec![0xff; 48]];
    for (nth, dialect) in TABLE.iter().enumerate() {
        let Seeds { requests, answers } = Seeds::of(dialect);
        for seed in requests.into_iter().chain(answers) {
            payloads.extend([14, 20, 23, 24, 41].map(|cut| seed.iter().copied().take(cut).collect()));
            payloads.push(seed);
        }
        let mut forger = Forger::new(dialect, SEED + nth as u64);
        payloads.extend((0..ALTERED).map(|_| forger.altered().to_vec()));
    }
    payloads.sort_unstable();
    payloads.dedup();
    payloads
}

#[test]
fn no_two_services_of_halloos_hosts_send_more_than_one_packet() {
    let one = |ip, is_root| Net::new().everything(ip, is_root);
    let nets = [
        ("one host, root", one(FIRST, true)),
        ("one host, not root", one(FIRST, false)),
        ("one host by loopback", one("127.0.0.1", false)),
        ("two hosts, root", one(FIRST, true).everything(SECOND, true)),
        ("two hosts, not root", one(FIRST, false).everything(SECOND, false)),
        ("two hosts, one root", one(FIRST, true).everything(SECOND, false)),
        (
            "two hosts in one network",
            one("10.0.0.1", true).everything("10.0.0.2", false),
        ),
    ];
    let payloads = payloads();
    let mut most = 0;
    for (name, mut net) in nets {
        let ends: Vec<_> = net.services.iter().map(|service| service.at).collect();
        for &asked in &ends {
            for &forged in &ends {
                for payload in &payloads {
                    let sent = net.bounce(asked, forged, payload);
                    assert!(
                        sent <= 1,
                        "{name}: {sent} packets after one to {asked} from {forged}: {}",
                        hex(payload)
                    );
                    most = most.max(sent);
                }
            }
        }
    }
    assert_eq!(most, 1, "some are asked by ports that they cannot know");
}

/// Ports that nobody knows for what they are, and hosts that do not know of each other: no guard of ports helps.
#[test]
fn where_no_port_tells_who_is_there_only_an_echo_goes_on() {
    let mut net = Net::new();
    for (ip, first) in [(FIRST, 41_000), (SECOND, 42_000)] {
        for (dialect, port) in TABLE.iter().zip(first..) {
            net.add(dialect, ip, port, &[port]);
        }
    }
    let payloads = payloads();
    let mut endless = BTreeSet::new();
    for asked in 0..TABLE.len() {
        for forged in 0..TABLE.len() {
            let ends = [asked, TABLE.len() + forged].map(|service| net.services[service].at);
            let names = [asked, forged].map(|service| net.services[service].dialect.protocol.scheme);
            for payload in &payloads {
                let sent = net.bounce(ends[0], ends[1], payload);
                if sent >= ENDLESS {
                    let [asked, forged] = names;
                    endless.insert((asked, forged, payload.len() < 24));
                } else {
                    // Asked, echoed, answered, echoed.
                    assert!(sent <= 3, "{names:?}: {sent} packets: {}", hex(payload));
                }
            }
        }
    }
    // An echo of RFC 862 cannot tell.
    let expected = [("udp", "udp", false), ("udp", "udp", true)];
    assert_eq!(endless, BTreeSet::from(expected));
}
