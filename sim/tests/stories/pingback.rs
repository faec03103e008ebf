//! Datagrams that were asked for, through NATs of every kind.

use halloo_base::{Counters, Dependence, LinkId, Path};
use halloo_protocols::echo::asker::{Ask, Asker, AskerOptions, Ending, PingbackSession, Source, State};
use halloo_protocols::echo::pingback::PingbackOptions;
use halloo_protocols::echo::{UdpEcho, UdpEchoOptions};
use halloo_serve::{Secret, Server, ServerOptions};
use halloo_sim::{NatOptions, Quality, World, ms, secs};
use std::sync::Arc;
use std::time::Duration;

const PORTS: [u16; 2] = [7777, 7778];
const ADDRESSES: [&str; 2] = ["198.51.100.1", "198.51.100.2"];

/// What becomes of an ask for three datagrams behind a NAT.
fn ask(options: NatOptions, from: Source, silence: Duration, loss: f64, seed: u64) -> (State, Vec<u16>) {
    let mut world = World::new(seed);
    let internet = world.cloud("internet");
    let far = world.host("far", &ADDRESSES);
    world.join(far, internet, Quality::delay(ms(5)).loss(loss));
    let nat = world.nat("nat", "203.0.113.1", options);
    world.uplink(nat, internet, Quality::delay(ms(5)));
    let home = world.host("home", &["10.0.0.2"]);
    world.join(home, nat, Quality::delay(ms(1)).loss(loss));
    let pingback = PingbackOptions {
        ends: PORTS.map(|port| ([0; 4], port).into()).to_vec(),
        addresses: ADDRESSES.map(|ip| ip.parse().expect("an address")).to_vec(),
        ..PingbackOptions::default()
    };
    let echo = UdpEchoOptions {
        pingback: Some(pingback),
        ..UdpEchoOptions::default()
    };
    let echo = Box::new(UdpEcho::new(echo, [7; 32]));
    let server = Server::new(
        ServerOptions::new(Secret::new([7; 16])),
        echo,
        Arc::<Counters>::default(),
    );
    let server = world.add(far, server.expect("the defaults are right"));
    for port in PORTS {
        world.udp(server, &format!("0.0.0.0:{port}"));
    }
    let asker = Asker::new(AskerOptions {
        token: 7,
        key: None,
        path: Path {
            link: LinkId(0),
            local: "0.0.0.0:4000".parse().expect("an address"),
            remote: "198.51.100.1:7777".parse().expect("an address"),
        },
        ask: Ask {
            count: 3,
            gap: ms(100),
            silence,
            from,
        },
        patience: ms(500),
        lost_after: ms(500),
        tries: 5,
    });
    let session = world.add(home, PingbackSession::new(asker, Box::new(|_, _| {})));
    world.udp(session, "0.0.0.0:4000");
    world.run_until_finished(session, secs(600));
    let asker = world.machine(session).asker();
    let numbers = asker.arrivals().iter().map(|arrival| arrival.number).collect();
    (asker.state(), numbers)
}

#[test]
fn a_nat_lets_in_whom_its_filter_says() {
    use Dependence::{AddressAndPortDependent, AddressDependent, EndpointIndependent};
    for (filtering, lets_in) in [
        (EndpointIndependent, [true, true, true]),
        (AddressDependent, [true, true, false]),
        (AddressAndPortDependent, [true, false, false]),
    ] {
        let sources = [Source::Same, Source::OtherPort, Source::OtherAddress];
        for (from, lets_in) in sources.into_iter().zip(lets_in) {
            let nat = NatOptions::new(EndpointIndependent, filtering);
            let (state, came) = ask(nat, from, secs(1), 0.0, 1);
            let (ending, numbers) = match lets_in {
                true => (Ending::Complete, vec![1, 2, 3]),
                false => (Ending::Over, vec![]),
            };
            assert_eq!(
                (state, came),
                (State::Ended(ending), numbers),
                "{filtering:?} {from:?}"
            );
        }
    }
}

#[test]
fn they_come_until_the_mapping_is_forgotten() {
    for (silence, comes) in [(29, true), (31, false)] {
        let nat = NatOptions {
            lifetime: secs(30),
            ..NatOptions::default()
        };
        let (_, came) = ask(nat, Source::Same, secs(silence), 0.0, 1);
        assert_eq!(!came.is_empty(), comes, "after {silence} s");
    }
}

#[test]
fn with_a_tenth_lost_on_each_wire_it_still_ends_with_what_came() {
    let mut promised = 0;
    for seed in 0..50 {
        let (state, came) = ask(NatOptions::default(), Source::Same, secs(2), 0.1, seed);
        assert!(matches!(state, State::Ended(_)), "seed {seed}");
        promised += usize::from(!came.is_empty());
    }
    // All three lost, or five questions in a row, is for once in hundreds.
    assert!(promised >= 48, "{promised} of 50");
}
