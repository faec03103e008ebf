//! Addresses that a supernode gives.

use crate::town::{Flat, Town};
use halloo_overlay::edge::EdgeEvent;
use halloo_overlay::supernode::SupernodeOptions;
use halloo_overlay::supernode::registry::RegistryLimits;
use halloo_overlay::wire::{Prefix, Status};
use halloo_sim::{ms, secs};
use std::collections::BTreeSet;

fn prefix(text: &str) -> Prefix {
    let (address, len) = text.split_once('/').expect("a prefix");
    Prefix {
        address: address.parse().expect("an address"),
        len: len.parse().expect("a length"),
    }
}

fn pool(network: &str) -> SupernodeOptions {
    SupernodeOptions {
        pool: Some(prefix(network)),
        ..SupernodeOptions::default()
    }
}

fn wants() -> Flat {
    Flat {
        wants_address: true,
        ..Flat::default()
    }
}

#[test]
fn each_gets_an_address_of_its_own_and_keeps_it() {
    let mut town = Town::new(800);
    town.supernode(pool("192.168.7.0/28"));
    for _ in 0..10 {
        town.edge(wants());
    }
    town.world.run_until(secs(3));
    let addresses: Vec<Prefix> = (0..10)
        .map(|at| town.status(at).address.expect("there is room"))
        .collect();
    assert_eq!(addresses.iter().collect::<BTreeSet<_>>().len(), 10);
    assert!(addresses.iter().all(|address| address.len == 28));
    town.restart_edge(4, true);
    town.world.run_until(secs(6));
    assert_eq!(town.status(4).address, Some(addresses[4]));
    // After the whole supernode was started again, whoever comes first.
    town.restart_supernode(0, true);
    town.world.run_until(secs(60));
    let again: BTreeSet<_> = (0..10).map(|at| town.status(at).address).collect();
    assert_eq!(again.len(), 10);
}

fn refused(town: &Town, at: usize, status: Status) -> Vec<String> {
    let told = |event| match event {
        EdgeEvent::Refused { refusal, .. } if refusal.status == status => Some(refusal.words),
        _ => None,
    };
    town.events(at).into_iter().filter_map(told).collect()
}

#[test]
fn two_that_want_the_same_address_are_told_and_a_full_pool_too() {
    let chosen = || Flat {
        addresses: vec![prefix("192.168.7.2/29")],
        ..Flat::default()
    };
    let mut town = Town::new(801);
    town.supernode(pool("192.168.7.0/29"));
    town.edge(chosen());
    town.world.run_until(secs(1));
    town.edge(chosen());
    town.world.run_until(secs(100));
    assert_eq!(refused(&town, 0, Status::AddressTaken), Vec::<String>::new());
    assert_eq!(
        refused(&town, 1, Status::AddressTaken),
        ["192.168.7.2 belongs to another member"]
    );
    // Once the first has left, the other one gets it.
    let edge = town.edges[0].edge;
    town.world.stop(edge);
    town.world.run_until(secs(120));
    assert_eq!(town.status(1).address, Some(prefix("192.168.7.2/29")));
    let late: Vec<usize> = (0..7).map(|_| town.edge(wants())).collect();
    town.world.run_until(secs(125));
    let given: BTreeSet<_> = late.iter().filter_map(|&at| town.status(at).address).collect();
    assert_eq!(given.len(), 5);
    let without = late
        .iter()
        .filter(|&&at| !refused(&town, at, Status::Full).is_empty());
    assert_eq!(without.count(), 2);
}

#[test]
fn a_supernode_that_is_full_says_so() {
    let limits = RegistryLimits {
        per_community: 2,
        ..RegistryLimits::default()
    };
    let by_community = SupernodeOptions {
        registry: limits,
        ..SupernodeOptions::default()
    };
    let by_prefix = SupernodeOptions {
        per_prefix: 2,
        ..SupernodeOptions::default()
    };
    for (options, words) in [
        (by_community, "the community has as many members as it may"),
        (by_prefix, "this supernode has as many members as it may"),
    ] {
        let mut town = Town::new(802);
        town.supernode(options);
        for _ in 0..3 {
            town.edge(Flat::default());
            town.world.run_for(ms(500));
        }
        town.world.run_for(secs(30));
        assert_eq!(refused(&town, 2, Status::Full), [words]);
        assert_eq!(town.report(0).members, 2);
        // There is room when somebody leaves.
        let edge = town.edges[0].edge;
        town.world.stop(edge);
        town.world.run_for(secs(30));
        assert_eq!(town.report(0).members, 2);
        assert!(town.peer(2, 1).is_some_and(|peer| peer.up));
    }
}

#[test]
fn an_edge_that_knows_as_many_as_it_may_takes_others_when_there_is_room() {
    let small = Flat {
        peers: 2,
        ..Flat::default()
    };
    let mut town = Town::of(803, [small, Flat::default(), Flat::default(), Flat::default()]);
    town.world.run_until(secs(20));
    let up = |town: &mut Town| town.status(0).peers.iter().filter(|peer| peer.up).count();
    assert_eq!(up(&mut town), 2);
    assert!(town.count(0, "no_room") > 0);
    let met = (1..4).find(|&other| town.peer(0, other).is_some_and(|peer| peer.up));
    let edge = town.edges[met.expect("two of them")].edge;
    town.world.stop(edge);
    town.world.run_until(secs(120));
    assert_eq!(up(&mut town), 2, "the third has its place");
}
