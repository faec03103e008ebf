//! Addresses that a supernode gives.

use crate::liar::liar_town;
use crate::town::{Flat, Town};
use halloo_overlay::edge::EdgeEvent;
use halloo_overlay::edge::lease::BadAddress;
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

/// What an edge was told of its address.
fn addresses(town: &Town, at: usize) -> Vec<Result<Prefix, (Prefix, BadAddress)>> {
    let told = |event| match event {
        EdgeEvent::Address(prefix) => Some(Ok(prefix)),
        EdgeEvent::AddressRefused { address, why, .. } => Some(Err((address, why))),
        _ => None,
    };
    town.events(at).into_iter().filter_map(told).collect()
}

#[test]
fn an_address_that_would_take_the_hosts_routes_is_told_and_not_taken() {
    let given = [
        "128.0.0.1/1",
        "10.9.0.7/24",
        "224.0.0.1/8",
        "10.9.0.8/24",
        "127.0.0.1/8",
    ]
    .map(prefix);
    let (mut town, ..) = liar_town(804, |liar| liar.addresses = given.to_vec());
    town.edge(wants());
    // It registers each 20 s.
    town.world.run_until(secs(90));
    let told = [
        Err((given[0], BadAddress::TooWide)),
        Ok(given[1]),
        Err((given[2], BadAddress::NoHost)),
        Ok(given[3]),
        Err((given[4], BadAddress::NoHost)),
    ];
    assert_eq!(addresses(&town, 0), told);
    assert_eq!(town.status(0).address, Some(given[3]));
}

#[test]
fn who_did_not_ask_for_an_address_is_given_none() {
    let (mut town, ..) = liar_town(805, |liar| liar.addresses = vec![prefix("10.9.0.7/24"); 5]);
    town.edge(Flat::default());
    town.world.run_until(secs(30));
    assert_eq!((addresses(&town, 0), town.status(0).address), (vec![], None));
}

#[test]
fn a_supernode_that_comes_back_with_another_network_is_followed() {
    let mut town = Town::new(806);
    town.supernode(pool("192.168.7.0/24"));
    town.edge(wants());
    town.world.run_until(secs(5));
    town.supernodes[0].options = pool("10.9.0.0/16");
    town.restart_supernode(0, true);
    town.world.run_until(secs(60));
    let told: Vec<Prefix> = addresses(&town, 0).into_iter().map(Result::unwrap).collect();
    assert_eq!(told.iter().map(|prefix| prefix.len).collect::<Vec<_>>(), [24, 16]);
    assert_eq!(town.status(0).address, Some(told[1]));
}

#[test]
fn of_two_supernodes_that_give_two_addresses_one_is_followed_until_it_is_gone() {
    let mut town = Town::new(807);
    town.supernode(pool("192.168.7.0/24"));
    town.supernode(pool("10.9.0.0/16"));
    town.edge(wants());
    town.world.run_until(secs(100));
    let told = addresses(&town, 0);
    assert_eq!(told.len(), 1, "{told:?}");
    let first = town.status(0).address.expect("there is room");
    let machine = town.supernodes[usize::from(first.len == 16)].machine;
    town.world.kill(machine);
    town.world.run_until(secs(130));
    assert_eq!(town.status(0).address, Some(first), "it is his for a minute");
    town.world.run_until(secs(200));
    let told = addresses(&town, 0);
    assert_eq!(told.len(), 2, "{told:?}");
    assert_ne!(town.status(0).address, Some(first));
}
