//! Sockets that machines open and close themselves.

use crate::scribe::{Act, Scribe, Told};
use halloo_base::{Endpoint, LinkId, SocketId, SocketInput, UnreachableError};
use halloo_sim::{Fate, Quality, World, ms, secs};
use std::net::SocketAddr;

fn open(id: u64, local: &str, link: u32) -> Act {
    let endpoint = Endpoint {
        local: local.parse().expect("an address"),
        link: LinkId(link),
    };
    Act::Open(SocketId(id), endpoint)
}

/// What became of its wishes.
fn outcomes(scribe: &Scribe) -> Vec<(u64, Result<SocketAddr, i32>)> {
    let outcome = |told: &Told| match told {
        Told::Socket(id, SocketInput::Opened(local)) => Some((id.0, Ok(*local))),
        Told::Socket(id, SocketInput::Refused(UnreachableError(errno))) => Some((id.0, Err(*errno))),
        _ => None,
    };
    scribe
        .notes
        .iter()
        .filter_map(|(_, told)| outcome(told))
        .collect()
}

#[test]
fn a_machine_is_heard_at_a_socket_from_when_it_opens_it_until_it_closes_it() {
    let mut world = World::new(3);
    let here = world.host("here", &["192.0.2.1"]);
    let there = world.host("there", &["192.0.2.2"]);
    world.join(here, there, Quality::delay(ms(1)));
    let echo = Scribe::echo()
        .then(ms(10), open(1, "192.0.2.2:7", 0))
        .then(ms(30), Act::Close(SocketId(1)))
        .then(ms(50), open(1, "0.0.0.0:7", 0));
    let echo = world.add(there, echo);
    let ask = Scribe::silent()
        .send(ms(5), "192.0.2.2:7", b"too early")
        .send(ms(20), "192.0.2.2:7", b"in time")
        .send(ms(40), "192.0.2.2:7", b"too late")
        .send(ms(60), "192.0.2.2:7", b"again");
    let ask = world.add(here, ask);
    world.udp(ask, "0.0.0.0:0");
    world.run_until(secs(1));
    assert_eq!(world.machine(ask).payloads(), [&b"in time"[..], b"again"]);
    assert_eq!(world.trace().count(|packet| packet.fate == Fate::Refused), 2);
    let opened = |local: &str| Ok(local.parse().expect("an address"));
    let expected = [(1, opened("192.0.2.2:7")), (1, opened("0.0.0.0:7"))];
    assert_eq!(outcomes(world.machine(echo)), expected);
}

#[test]
fn a_socket_that_cannot_be_is_refused_as_linux_refuses_it() {
    let mut world = World::new(3);
    let here = world.host("here", &["192.0.2.1"]);
    let there = world.host("there", &["192.0.2.2"]);
    world.join(here, there, Quality::perfect());
    let other = world.add(here, Scribe::silent());
    world.udp(other, "192.0.2.1:7");
    let plan = Scribe::silent()
        .then(ms(1), open(1, "192.0.2.1:7", 0))
        .then(ms(2), open(2, "192.0.2.2:7", 0))
        .then(ms(3), open(3, "192.0.2.1:0", 99))
        .then(ms(4), open(4, "192.0.2.1:0", 0))
        .then(ms(5), open(4, "192.0.2.1:0", 0));
    let scribe = world.add(here, plan);
    world.run_until(secs(1));
    let outcomes = outcomes(world.machine(scribe));
    let refusals: Vec<_> = outcomes
        .iter()
        .filter_map(|(id, outcome)| Some((*id, outcome.err()?)))
        .collect();
    // EADDRINUSE, EADDRNOTAVAIL, ENODEV, EEXIST.
    assert_eq!(refusals, [(1, 98), (2, 99), (3, 19), (4, 17)]);
    let opened = outcomes.iter().find_map(|(_, outcome)| outcome.ok());
    assert!(opened.is_some_and(|local| local.port() != 0), "{outcomes:?}");
}
