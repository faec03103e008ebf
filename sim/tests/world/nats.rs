//! Hosts behind NATs.

use crate::scribe::{Scribe, Told};
use halloo_base::{Cx, Deadline, Input, LinkId, Machine, Mono, Path, Transmit};
use halloo_sim::Dependence::{self, AddressAndPortDependent, AddressDependent, EndpointIndependent};
use halloo_sim::{Fate, NatOptions, Node, Quality, World, can_meet, ms, secs};
use std::net::SocketAddr;
use std::time::Duration;

const ALL: [Dependence; 3] = [EndpointIndependent, AddressDependent, AddressAndPortDependent];

/// A NAT with one host behind it.
fn behind(
    world: &mut World,
    internet: Node,
    name: &str,
    addresses: [&str; 2],
    options: NatOptions,
) -> [Node; 2] {
    let [outside, inside] = addresses;
    let nat = world.nat(&format!("{name}'s NAT"), outside, options);
    world.uplink(nat, internet, Quality::delay(ms(5)));
    let host = world.host(name, &[inside]);
    world.join(host, nat, Quality::delay(ms(1)));
    [host, nat]
}

/// Tells each of its two clients how it sees the other.
#[derive(Default)]
struct Rendezvous(Vec<(Path, SocketAddr)>);

impl Machine for Rendezvous {
    fn handle(&mut self, cx: &mut Cx<'_>, input: Input<'_>) {
        let Input::Datagram(rx) = input else {
            return;
        };
        if !self.0.iter().any(|(_, seen)| *seen == rx.path.remote) {
            self.0.push((rx.path, rx.path.remote));
        }
        if let [(a, seen_a), (b, seen_b)] = self.0[..] {
            cx.out.datagram(Transmit::to(a), seen_b.to_string().as_bytes());
            cx.out.datagram(Transmit::to(b), seen_a.to_string().as_bytes());
        }
    }

    fn deadline(&self) -> Option<Deadline> {
        None
    }
}

/// Registers, learns where the peer was seen, then keeps sending there and to wherever it hears the peer from.
#[derive(Default)]
struct Meeter {
    targets: Vec<SocketAddr>,
    next: Option<Mono>,
    met: bool,
}

const RENDEZVOUS: &str = "198.51.100.1:3478";

impl Machine for Meeter {
    fn handle(&mut self, cx: &mut Cx<'_>, input: Input<'_>) {
        let server: SocketAddr = RENDEZVOUS.parse().expect("an address");
        if let Input::Datagram(rx) = &input {
            let from = rx.path.remote;
            let target = if from == server {
                let text = std::str::from_utf8(rx.payload).expect("text");
                text.parse().expect("an address")
            } else {
                self.met = true;
                from
            };
            if !self.targets.contains(&target) {
                self.targets.push(target);
            }
        }
        if self.next.is_none_or(|next| next <= cx.now()) {
            self.next = Some(cx.now() + ms(100));
            let all = [server].into_iter().chain(self.targets.iter().copied());
            for remote in all {
                let path = Path {
                    link: LinkId(0),
                    local: "0.0.0.0:0".parse().expect("an address"),
                    remote,
                };
                cx.out.datagram(Transmit::to(path), b"halloo");
            }
        }
    }

    fn deadline(&self) -> Option<Deadline> {
        self.next.map(|at| Deadline::new(at, "punch"))
    }
}

fn meet(a: (Dependence, Dependence), b: (Dependence, Dependence), port_preservation: bool) -> bool {
    let mut world = World::new(9);
    let internet = world.cloud("internet");
    let server = world.host("rendezvous", &["198.51.100.1"]);
    world.join(server, internet, Quality::delay(ms(5)));
    let rendezvous = world.add(server, Rendezvous::default());
    world.udp(rendezvous, "0.0.0.0:3478");
    let sides = [
        ("anna", "203.0.113.1", "10.0.0.2", a),
        ("bert", "203.0.113.2", "10.0.1.2", b),
    ];
    let meeters = sides.map(|(name, outside, inside, (mapping, filtering))| {
        let options = NatOptions {
            port_preservation,
            ..NatOptions::new(mapping, filtering)
        };
        let [host, _] = behind(&mut world, internet, name, [outside, inside], options);
        let meeter = world.add(host, Meeter::default());
        world.udp(meeter, "0.0.0.0:4000");
        meeter
    });
    world.run_until(secs(3));
    meeters.iter().all(|&meeter| world.machine(meeter).met)
}

#[test]
fn every_pair_of_nats_can_be_got_through_exactly_when_the_oracle_says_so() {
    let kinds = || {
        ALL.into_iter()
            .flat_map(|mapping| ALL.map(|filtering| (mapping, filtering)))
    };
    let mut met = 0;
    for a in kinds() {
        for b in kinds() {
            for port_preservation in [false, true] {
                assert_eq!(meet(a, b, port_preservation), can_meet(a, b), "{a:?} and {b:?}");
            }
            assert_eq!(can_meet(a, b), can_meet(b, a), "{a:?} and {b:?}");
            met += u32::from(can_meet(a, b));
        }
    }
    assert!(met > 40 && met < 81, "{met} of 81 can meet");
}

fn one_nat(options: NatOptions) -> (World, Node, Node, Node) {
    let mut world = World::new(1);
    let internet = world.cloud("internet");
    let far = world.host("far", &["198.51.100.1"]);
    world.join(far, internet, Quality::delay(ms(5)));
    let [host, nat] = behind(&mut world, internet, "home", ["203.0.113.1", "10.0.0.2"], options);
    (world, host, far, nat)
}

fn lifetime(seconds: u64) -> NatOptions {
    NatOptions {
        lifetime: Duration::from_secs(seconds),
        ..NatOptions::default()
    }
}

#[test]
fn an_answer_comes_through_until_the_mapping_has_expired() {
    let (mut world, home, far, _) = one_nat(lifetime(30));
    let ask = world.add(home, Scribe::silent().send(ms(1), "198.51.100.1:7", b"open"));
    world.udp(ask, "0.0.0.0:4000");
    let push = Scribe::silent()
        .send(secs(20), "203.0.113.1:4000", b"in time")
        .send(secs(40), "203.0.113.1:4000", b"too late");
    let push = world.add(far, push);
    world.udp(push, "0.0.0.0:7");
    world.run_until(secs(60));
    assert_eq!(world.machine(ask).payloads(), [b"in time"]);
    assert_eq!(senders(world.machine(push)), ["203.0.113.1:4000"]);
    assert_eq!(world.trace().count(|packet| packet.fate == Fate::Filtered), 1);
}

#[test]
fn a_restarted_nat_has_forgotten_everything() {
    let (mut world, home, far, nat) = one_nat(NatOptions::default());
    let ask = world.add(home, Scribe::silent().send(ms(1), "198.51.100.1:7", b"open"));
    world.udp(ask, "0.0.0.0:4000");
    let push = world.add(far, Scribe::silent().send(secs(2), "203.0.113.1:4000", b"lost"));
    world.udp(push, "0.0.0.0:7");
    world.at(secs(1), move |world| world.restart_nat(nat));
    world.run_until(secs(3));
    assert!(world.machine(ask).payloads().is_empty());
}

#[test]
fn hosts_behind_one_nat_meet_by_their_outside_endpoints_only_with_hairpinning() {
    for hairpin in [true, false] {
        let mut world = World::new(1);
        let internet = world.cloud("internet");
        let far = world.host("far", &["198.51.100.1"]);
        world.join(far, internet, Quality::delay(ms(5)));
        let options = NatOptions {
            hairpin,
            ..NatOptions::new(EndpointIndependent, EndpointIndependent)
        };
        let nat = world.nat("nat", "203.0.113.1", options);
        world.uplink(nat, internet, Quality::delay(ms(5)));
        let hosts = ["10.0.0.2", "10.0.0.3"].map(|address| {
            let host = world.host(address, &[address]);
            world.join(host, nat, Quality::delay(ms(1)));
            host
        });
        let open = Scribe::silent().send(ms(1), "198.51.100.1:7", b"open");
        let first = world.add(hosts[0], open);
        world.udp(first, "0.0.0.0:4000");
        let second = Scribe::silent()
            .send(ms(50), "203.0.113.1:4000", b"around the bend")
            .send(ms(60), "10.0.0.2:4000", b"straight");
        let second = world.add(hosts[1], second);
        world.udp(second, "0.0.0.0:5000");
        world.run_until(secs(1));
        let heard = senders(world.machine(first));
        let expected = ["203.0.113.1:5000", "10.0.0.3:5000"];
        assert_eq!(heard, expected[usize::from(!hairpin)..]);
    }
}

#[test]
fn errors_find_their_way_back_through_a_nat() {
    let (mut world, home, _, _) = one_nat(NatOptions::default());
    let ask = world.add(home, Scribe::silent().send(ms(1), "198.51.100.1:9", b"refused"));
    world.udp(ask, "0.0.0.0:4000");
    world.run_until(secs(1));
    let reports = world.machine(ask).unreachables();
    assert_eq!(reports.len(), 1);
    assert_eq!(reports[0].1.reporter, "198.51.100.1".parse().ok());
    assert_eq!(
        reports[0].1.path.remote,
        "198.51.100.1:9".parse().expect("an address")
    );
    assert_eq!(world.machine(ask).quotes(), [b"refused"]);
}

#[test]
fn a_nat_behind_a_nat_translates_twice() {
    let mut world = World::new(1);
    let internet = world.cloud("internet");
    let far = world.host("far", &["198.51.100.1"]);
    world.join(far, internet, Quality::delay(ms(5)));
    let renumbering = NatOptions {
        port_preservation: false,
        ..NatOptions::default()
    };
    let carrier = world.nat("carrier", "203.0.113.1", renumbering);
    world.uplink(carrier, internet, Quality::delay(ms(5)));
    let home = world.nat("home", "100.64.0.2", NatOptions::default());
    world.uplink(home, carrier, Quality::delay(ms(2)));
    let host = world.host("host", &["10.0.0.2"]);
    world.join(host, home, Quality::delay(ms(1)));
    let echo = world.add(far, Scribe::echo());
    world.udp(echo, "0.0.0.0:7");
    let plan =
        Scribe::silent()
            .send(ms(1), "198.51.100.1:7", b"far away")
            .send(ms(2), "198.51.100.1:9", b"refused");
    let ask = world.add(host, plan);
    world.udp(ask, "0.0.0.0:4000");
    world.run_until(secs(1));
    let ask = world.machine(ask);
    assert_eq!(ask.payloads(), [b"far away"]);
    let refused = ask.unreachables()[0].1;
    assert_eq!(refused.path.remote, "198.51.100.1:9".parse().expect("an address"));
    assert!(senders(world.machine(echo))[0].starts_with("203.0.113.1:"));
}

fn senders(machine: &Scribe) -> Vec<String> {
    let sender = |told: &Told| match told {
        Told::Datagram { path, .. } => Some(path.remote.to_string()),
        _ => None,
    };
    machine.told().into_iter().filter_map(sender).collect()
}
