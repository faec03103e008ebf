//! What is found out about NATs of every kind.

use halloo_base::{Counters, Dependence, LinkId};
use halloo_protocols::echo::pingback::PingbackOptions;
use halloo_protocols::echo::{UdpEcho, UdpEchoOptions};
use halloo_protocols::nat::{Findings, Investigation, InvestigationOptions, Lack, SOCKETS, Stage};
use halloo_protocols::stun::{Places, STUN, StunServer, StunServerOptions};
use halloo_serve::{Secret, Server, ServerOptions};
use halloo_sim::{NatOptions, Node, Quality, World, can_meet, ms, secs};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use Dependence::{AddressAndPortDependent, AddressDependent, EndpointIndependent};

const KINDS: [Dependence; 3] = [EndpointIndependent, AddressDependent, AddressAndPortDependent];
const HOSTS: [&str; 2] = ["198.51.100.1", "192.0.2.1"];

/// Who is asked, and over which wires.
struct Internet {
    /// Whether the first host has another address to send from.
    two_addresses: bool,
    /// Whether the hosts answer STUN at 3478.
    stun: bool,
    /// Hosts that are asked.
    hosts: usize,
    pingback: bool,
    /// Whether the first host is a STUN server with two addresses (RFC 5780), and nothing else.
    stun_alone: bool,
    loss: f64,
    longest: Duration,
    seed: u64,
}

impl Default for Internet {
    fn default() -> Internet {
        Internet {
            two_addresses: true,
            stun: true,
            hosts: 2,
            pingback: true,
            stun_alone: false,
            loss: 0.0,
            longest: secs(60),
            seed: 1,
        }
    }
}

impl Internet {
    /// An echo host with two ports, and a STUN server.
    fn server(&self, world: &mut World, node: Node, addresses: &[&str]) {
        if let (true, &[first, other]) = (self.stun_alone, addresses) {
            return stun_alone(world, node, first, other);
        }
        let pingback = self.pingback.then(|| PingbackOptions {
            ends: [7777, 7778].map(|port| ([0; 4], port).into()).to_vec(),
            addresses: addresses
                .iter()
                .map(|ip| ip.parse().expect("an address"))
                .collect(),
            ..PingbackOptions::default()
        });
        let echo = UdpEcho::new(
            UdpEchoOptions {
                pingback,
                ..UdpEchoOptions::default()
            },
            [7; 32],
        );
        let options = || ServerOptions::new(Secret::new([7; 16]));
        let server = Server::new(options(), Box::new(echo), Arc::<Counters>::default());
        let server = world.add(node, server.expect("the defaults are right"));
        for port in [7777, 7778] {
            world.udp(server, &format!("0.0.0.0:{port}"));
        }
        if self.stun {
            let stun = StunServer::new(StunServerOptions::default());
            let options = ServerOptions {
                reply_limit: STUN.reply_limit,
                ..options()
            };
            let server = Server::new(options, Box::new(stun), Arc::<Counters>::default());
            let server = world.add(node, server.expect("the defaults are right"));
            world.udp(server, "0.0.0.0:3478");
        }
    }

    /// What a host finds behind this NAT, or behind none.
    fn find(&self, nat: Option<NatOptions>) -> Findings {
        let mut world = World::new(self.seed);
        let quality = |delay| Quality::delay(ms(delay)).loss(self.loss);
        let internet = world.cloud("internet");
        let first: &[&str] = if self.two_addresses {
            &["198.51.100.1", "198.51.100.2"]
        } else {
            &["198.51.100.1"]
        };
        for (name, addresses) in [("first", first), ("second", &HOSTS[1..])] {
            let node = world.host(name, addresses);
            world.join(node, internet, quality(5));
            self.server(&mut world, node, addresses);
        }
        let home = match nat {
            Some(options) => {
                let nat = world.nat("nat", "203.0.113.1", options);
                world.uplink(nat, internet, Quality::delay(ms(5)));
                let home = world.host("home", &["10.0.0.2"]);
                world.join(home, nat, quality(1));
                home
            }
            None => {
                let home = world.host("home", &["203.0.113.9"]);
                world.join(home, internet, quality(5));
                home
            }
        };
        let ports: Vec<_> = (0..SOCKETS)
            .map(|nth| format!("0.0.0.0:{}", 40_000 + nth))
            .collect();
        let hosts = HOSTS.iter().take(self.hosts);
        let port = if self.stun_alone { 3478 } else { 7777 };
        let investigation = Investigation::new(
            InvestigationOptions {
                hosts: hosts
                    .map(|ip| format!("{ip}:{port}").parse().expect("an address"))
                    .collect(),
                stun_port: 3478,
                link: LinkId(0),
                locals: ports.iter().map(|at| at.parse().expect("an address")).collect(),
                longest: self.longest,
                token: self.seed,
                patience: ms(500),
                tries: 6,
                lost_after: secs(1),
            },
            Box::new(|_| {}),
        );
        let machine = world.add(home, investigation);
        for at in &ports {
            world.udp(machine, at);
        }
        world.run_until_finished(machine, secs(1_000));
        world.machine(machine).findings().clone()
    }
}

fn stun_alone(world: &mut World, node: Node, first: &str, other: &str) {
    let at = |ip: &str, port: u16| -> SocketAddr { format!("{ip}:{port}").parse().expect("an address") };
    let places = Places::new(at(first, 3478), at(other, 3479)).expect("two of both");
    let stun = StunServer::new(StunServerOptions { places: vec![places] });
    let options = ServerOptions {
        reply_limit: STUN.reply_limit,
        ..ServerOptions::new(Secret::new([7; 16]))
    };
    let server = Server::new(options, Box::new(stun), Arc::<Counters>::default());
    let server = world.add(node, server.expect("the defaults are right"));
    for place in places.all() {
        world.udp(server, &place.to_string());
    }
}

fn nat(mapping: Dependence, filtering: Dependence) -> NatOptions {
    NatOptions {
        lifetime: secs(20),
        ..NatOptions::new(mapping, filtering)
    }
}

#[track_caller]
fn check_lifetime(found: &Findings, lifetime: Duration) {
    let (at_least, below) = (found.lifetime.at_least, found.lifetime.below);
    let (at_least, below) = (at_least.expect("it is bounded below"), below.expect("and above"));
    assert!(at_least <= lifetime && lifetime <= below + ms(400), "{found:#?}");
    assert!(below - at_least <= lifetime / 10, "{found:#?}");
}

#[test]
fn every_kind_of_nat_is_told_as_what_it_is() {
    for mapping in KINDS {
        for filtering in KINDS {
            let found = Internet::default().find(Some(nat(mapping, filtering)));
            assert_eq!(found.stage, Stage::Ended { stopped: false });
            assert_eq!(found.translated, Some(true));
            assert_eq!(found.mapping.possible, [mapping], "{mapping:?} {filtering:?}");
            assert_eq!(found.filtering.possible, [filtering], "{mapping:?} {filtering:?}");
            assert_eq!((found.mapping.lack, found.filtering.lack), (None, None));
            let kind = (mapping, filtering);
            assert_eq!(found.two_such_can_meet(), Some(can_meet(kind, kind)));
            check_lifetime(&found, secs(20));
            assert_eq!(found.inbound_refresh, Ok(false));
            assert_eq!(found.keep_alive(), Some(secs(13)));
        }
    }
}

#[test]
fn what_comes_in_keeps_a_mapping_alive_where_it_does() {
    for refreshed_from_outside in [false, true] {
        let found = Internet::default().find(Some(NatOptions {
            refreshed_from_outside,
            ..nat(EndpointIndependent, AddressDependent)
        }));
        assert_eq!(found.inbound_refresh, Ok(refreshed_from_outside));
        check_lifetime(&found, secs(20));
    }
}

#[test]
fn lifetimes_are_found_between_the_shortest_and_the_longest_that_is_tried() {
    for lifetime in [1, 5, 30, 47] {
        let found = Internet::default().find(Some(NatOptions {
            lifetime: secs(lifetime),
            ..NatOptions::default()
        }));
        let below = found.lifetime.below.expect("it is below the longest");
        let at_least = found.lifetime.at_least.expect("a shorter silence is outlived");
        let true_one = secs(lifetime);
        assert!(at_least <= true_one && true_one <= below + ms(400), "{found:#?}");
    }
    let found = Internet::default().find(Some(NatOptions::default()));
    assert_eq!(
        (found.lifetime.at_least, found.lifetime.below),
        (Some(secs(60)), None)
    );
    assert_eq!(found.inbound_refresh, Err(Lack::NoEnd));
    assert_eq!(found.keep_alive(), Some(secs(42)));
}

#[test]
fn ports_and_hairpins_are_told() {
    for port_preservation in [true, false] {
        for hairpin in [true, false] {
            let found = Internet::default().find(Some(NatOptions {
                port_preservation,
                hairpin,
                ..nat(EndpointIndependent, AddressAndPortDependent)
            }));
            assert_eq!(found.hairpin, Ok(hairpin));
            let expected = if port_preservation { found.ports_seen } else { 0 };
            assert_eq!(found.ports_kept, expected);
            assert!(found.ports_seen >= 8, "{}", found.ports_seen);
        }
    }
}

#[test]
fn no_nat_is_told_apart_and_takes_no_time() {
    let found = Internet::default().find(None);
    assert_eq!(found.translated, Some(false));
    assert_eq!(found.local, found.reflexive);
    assert_eq!(found.mapping.lack, Some(Lack::NotTranslated));
    assert_eq!(found.filtering.possible, [EndpointIndependent]);
    assert_eq!(found.hairpin, Err(Lack::NotTranslated));
    assert_eq!(found.lifetime_lack, Some(Lack::Unfiltered));
    assert_eq!(found.two_such_can_meet(), Some(true));
}

#[test]
fn what_takes_a_second_address_is_said_to() {
    let alone = Internet {
        hosts: 1,
        two_addresses: false,
        ..Internet::default()
    };
    let found = alone.find(Some(nat(EndpointIndependent, AddressDependent)));
    assert_eq!(found.mapping.possible, [EndpointIndependent, AddressDependent]);
    assert_eq!(found.mapping.lack, Some(Lack::SecondAddress));
    assert_eq!(found.filtering.possible, [EndpointIndependent, AddressDependent]);
    assert_eq!(found.filtering.lack, Some(Lack::SecondAddress));
    let found = alone.find(Some(nat(AddressAndPortDependent, AddressAndPortDependent)));
    assert_eq!(found.mapping.possible, [AddressAndPortDependent]);
    assert_eq!(found.filtering.possible, [AddressAndPortDependent]);
    assert_eq!(found.two_such_can_meet(), Some(false));
}

#[test]
fn a_host_without_pingback_leaves_its_rows_open_and_no_others() {
    let found = Internet {
        pingback: false,
        ..Internet::default()
    }
    .find(Some(nat(AddressDependent, AddressDependent)));
    assert_eq!(found.mapping.possible, [AddressDependent]);
    let refused = Lack::Refused(halloo_protocols::echo::pingback::Outcome::NotOffered);
    assert_eq!(found.filtering.lack, Some(refused));
    assert_eq!(found.lifetime_lack, Some(refused));
    assert_eq!(found.inbound_refresh, Err(refused));
}

#[test]
fn a_stun_server_at_two_addresses_tells_mapping_and_filtering_alone() {
    for mapping in KINDS {
        for filtering in KINDS {
            let found = Internet {
                stun_alone: true,
                hosts: 1,
                ..Internet::default()
            }
            .find(Some(nat(mapping, filtering)));
            assert_eq!(found.mapping.possible, [mapping], "{mapping:?} {filtering:?}");
            assert_eq!(found.filtering.possible, [filtering], "{mapping:?} {filtering:?}");
            assert_eq!(found.lifetime_lack, Some(Lack::NoEchoHost));
            assert_eq!(found.inbound_refresh, Err(Lack::NoEchoHost));
        }
    }
}

#[test]
fn losses_change_no_verdict() {
    for seed in 0..12 {
        let lossy = Internet {
            loss: 0.05,
            seed,
            ..Internet::default()
        };
        for filtering in KINDS {
            let found = lossy.find(Some(nat(EndpointIndependent, filtering)));
            assert_eq!(found.mapping.possible, [EndpointIndependent], "seed {seed}");
            assert_eq!(found.filtering.possible, [filtering], "seed {seed}");
            check_lifetime(&found, secs(20));
            assert_eq!(found.inbound_refresh, Ok(false), "seed {seed}");
        }
    }
}
