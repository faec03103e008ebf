//! Who is no member, and what he can do: nothing.

use crate::town::{Flat, Outsider, Town, outside};
use halloo_base::Rng;
use halloo_overlay::crypto::Timers;
use halloo_overlay::wire::kind;
use halloo_sim::{Dependence, ms, secs};
use std::net::SocketAddr;

/// All that edges and supernodes have sent so far, by kind.
fn captured(town: &mut Town) -> Vec<(SocketAddr, Vec<u8>)> {
    let edges = town.edges.iter().map(|edge| &edge.seen);
    let all = edges.chain(town.supernodes.iter().map(|office| &office.seen));
    all.flat_map(|seen| {
        seen.lock()
            .expect("nobody panicked")
            .sent
            .take()
            .unwrap_or_default()
    })
    .collect()
}

fn capture(town: &Town) {
    let edges = town.edges.iter().map(|edge| &edge.seen);
    for seen in edges.chain(town.supernodes.iter().map(|office| &office.seen)) {
        seen.lock().expect("nobody panicked").sent = Some(vec![]);
    }
}

/// Nobody has answered a stranger with more octets than he sent.
fn is_modest(town: &Town) {
    let edges = town.edges.iter().map(|edge| &edge.seen);
    for seen in edges.chain(town.supernodes.iter().map(|office| &office.seen)) {
        let seen = seen.lock().expect("nobody panicked");
        assert_eq!(seen.too_long, []);
    }
}

fn targets(town: &Town) -> Vec<SocketAddr> {
    let edges = (0..town.edges.len()).map(|number| SocketAddr::new(outside(number), crate::town::PORT));
    edges
        .chain(town.supernodes.iter().map(|office| office.address))
        .collect()
}

fn throw_all(town: &mut Town, who: &Outsider, datagrams: &[Vec<u8>]) {
    let targets = targets(town);
    let start = town.world.now() + ms(10);
    let mut number = 0;
    for datagram in datagrams {
        for &target in &targets {
            town.throw(who, start + ms(1) * (number / 20), target, datagram.clone());
            number += 1;
        }
    }
}

#[test]
fn what_is_damaged_repeated_or_made_up_does_nothing_and_gets_no_more_than_it_costs() {
    let nat = Flat::behind(
        Dependence::AddressAndPortDependent,
        Dependence::AddressAndPortDependent,
    );
    let mut town = Town::of(900, [Flat::default(), Flat::default(), nat.clone(), nat]);
    capture(&town);
    town.flow((0, 1), secs(2), ms(20), 10, 300);
    town.flow((2, 3), secs(2), ms(20), 10, 300);
    town.world.run_until(secs(4));
    let mut taken = captured(&mut town);
    let mut rng = Rng::new(5);
    // Some of each kind.
    let mut some: Vec<Vec<u8>> = vec![];
    for kind in kind::HELLO..=kind::CHANNEL {
        let mut of: Vec<_> = taken.extract_if(.., |(_, bytes)| bytes[0] == kind).collect();
        assert!(!of.is_empty(), "{kind:x} was sent");
        while of.len() > 24 {
            of.swap_remove(rng.below(of.len() as u64) as usize);
        }
        some.extend(of.into_iter().map(|(_, bytes)| bytes));
    }
    let mut thrown = vec![];
    for datagram in &some {
        thrown.push(datagram.clone());
        for _ in 0..4 {
            let mut damaged = datagram.clone();
            let at = rng.below(damaged.len() as u64) as usize;
            damaged[at] ^= 1 << rng.below(8);
            thrown.push(damaged);
            thrown.push(datagram[..rng.below(datagram.len() as u64) as usize].to_vec());
        }
        thrown.push([&datagram[..], &[0; 700]].concat());
        thrown.push([&datagram[..], &vec![0; 60_000]].concat());
    }
    for _ in 0..200 {
        let mut made_up: Vec<u8> = (0..rng.below(600) + 1).map(|_| rng.next_u64() as u8).collect();
        made_up[0] = kind::HELLO + rng.below(8) as u8;
        thrown.push(made_up);
    }
    let who = town.outsider();
    let before: Vec<usize> = (0..4).map(|at| town.heard(at).len()).collect();
    throw_all(&mut town, &who, &thrown);
    let start = town.world.now() + ms(10);
    for (from, to) in [(1, 0), (3, 2)] {
        town.flow((from, to), start, ms(5), 200, 300);
    }
    town.world.run_for(secs(4));
    is_modest(&town);
    for (from, to) in [(1, 0), (3, 2)] {
        town.all_came(from, to, 200);
    }
    let after: Vec<usize> = (0..4).map(|at| town.heard(at).len()).collect();
    assert_eq!(
        after,
        [before[0] + 200, before[1], before[2] + 200, before[3]],
        "no frame was made of it"
    );
    assert_eq!(town.is_direct(0, 1), Some(true));
    assert_eq!(town.report(0).members, 4);
    for name in [
        "malformed",
        "unknown_session",
        "strangers",
        "replayed",
        "not_authentic",
        "no_relay",
    ] {
        assert!(town.count(0, name) + town.count(1, name) > 0, "{name}");
    }
    for at in 0..2 {
        let paths = town.status(at).peers.into_iter().flat_map(|peer| peer.paths);
        assert!(
            paths.clone().all(|path| path.remote != who.address),
            "nobody takes him for a peer"
        );
    }
    assert!(town.report(0).counts.no_channel > 0);
    let who = town.world.machine(who.machine);
    assert!(
        who.heard.iter().all(|bytes| bytes[0] != kind::CHANNEL),
        "nothing is carried to him"
    );
}

/// Initiations from one edge to another that were seen on the way, in their order.
fn initiations(taken: &[(SocketAddr, Vec<u8>)], to: SocketAddr) -> Vec<Vec<u8>> {
    let is = |(at, bytes): &&(SocketAddr, Vec<u8>)| *at == to && bytes[0] == kind::INITIATION;
    taken.iter().filter(is).map(|(_, bytes)| bytes.clone()).collect()
}

#[test]
fn an_initiation_that_was_recorded_changes_nothing_however_old_its_maker() {
    let flat = Flat {
        timers: Timers {
            rekey: secs(2),
            rekey_other: secs(3),
            ..Timers::default()
        },
        ..Flat::default()
    };
    let mut town = Town::of(902, vec![flat; 3]);
    town.supernode(Default::default());
    capture(&town);
    town.world.run_until(secs(6));
    let taken = captured(&mut town);
    let who = town.outsider();
    let mut old = vec![];
    for to in 0..3 {
        let to = targets(&town)[to];
        let of = initiations(&taken, to);
        old.extend(of.into_iter().take(2).map(|bytes| (to, bytes)));
    }
    assert!(old.len() >= 4, "some of the first were seen");
    let strange = |town: &mut Town| {
        let peers = (0..3).flat_map(|at| town.status(at).peers).collect::<Vec<_>>();
        let paths = peers.into_iter().flat_map(|peer| peer.paths);
        paths.filter(|path| path.remote == who.address).count()
    };
    let throw = |town: &mut Town| {
        for (to, bytes) in &old {
            let start = town.world.now() + ms(10);
            town.throw(&who, start, *to, bytes.clone());
        }
        town.world.run_for(ms(100));
    };
    // Of those who are known later ones have come since.
    throw(&mut town);
    assert_eq!(strange(&mut town), 0, "he is taken for nobody");
    // Those who have left and are forgotten do not come back by it, ...
    town.world.stop(town.edges[1].edge);
    town.world.stop(town.edges[2].edge);
    town.world.run_for(secs(1));
    assert_eq!(town.status(0).peers, []);
    throw(&mut town);
    assert_eq!(town.status(0).peers, []);
    // ... not even when this end has been started again, and knows nobody.
    town.restart_edge(0, true);
    town.world.run_for(secs(1));
    throw(&mut town);
    assert_eq!(town.status(0).peers, []);
    is_modest(&town);
}

/// `HALLOO_FLOOD=100000` sends so many.
#[test]
fn a_flood_of_initiations_keeps_nobody_out() {
    let many = std::env::var("HALLOO_FLOOD")
        .ok()
        .and_then(|text| text.parse().ok());
    let many: u32 = many.unwrap_or(20_000);
    let mut town = Town::of(901, vec![Flat::default(); 2]);
    capture(&town);
    town.world.run_until(secs(3));
    let taken = captured(&mut town);
    let initiations: Vec<_> = taken
        .into_iter()
        .filter(|(_, bytes)| bytes[0] == kind::INITIATION)
        .collect();
    let who = town.outsider();
    let targets = targets(&town);
    let mut rng = Rng::new(9);
    for number in 0..many {
        let at = secs(3) + secs(1) * number / many;
        // Every other one bears the right mark: it was heard on the way, and is sent to where it went.
        let (to, bytes) = if number % 2 == 0 {
            initiations[rng.below(initiations.len() as u64) as usize].clone()
        } else {
            let mut bytes: Vec<u8> = (0..400).map(|_| rng.next_u64() as u8).collect();
            bytes[..4].copy_from_slice(&[kind::INITIATION, 1, 0, 0]);
            (targets[rng.below(targets.len() as u64) as usize], bytes)
        };
        town.throw(&who, at, to, bytes);
    }
    town.world.run_until(ms(3_200));
    let late = town.edge(Flat::default());
    for other in 0..2 {
        town.flow((late, other), ms(4_200), ms(10), 20, 300);
        town.flow((other, late), ms(4_200), ms(10), 20, 300);
        town.flow((other, 1 - other), ms(3_000), ms(10), 100, 300);
    }
    town.world.run_until(secs(5));
    for other in 0..2 {
        town.all_came(late, other, 20);
        town.all_came(other, late, 20);
        town.all_came(other, 1 - other, 100);
    }
    is_modest(&town);
    assert!(town.count(0, "strangers") > u64::from(many / 10));
    assert!(town.count(0, "cookies") + town.count(1, "cookies") > 0);
    assert!(town.report(0).counts.cookies > u64::from(many / 10));
}
