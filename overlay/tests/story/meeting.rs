//! Edges find each other, whatever is between them.

use crate::town::{Flat, Home, Town, frame, mac, outside};
use halloo_overlay::Mac;
use halloo_overlay::edge::EdgeEvent;
use halloo_overlay::supernode::SupernodeOptions;
use halloo_sim::{Dependence, NatOptions, can_meet, ms, secs};

#[test]
fn three_edges_meet_and_a_broadcast_reaches_each_once() {
    let mut town = Town::of(1, vec![Flat::default(); 3]);
    let broadcast = frame(0, Mac::BROADCAST, "all 0", 60);
    let (there, back) = (frame(0, mac(1), "you 0", 60), frame(1, mac(0), "me 0", 60));
    town.send(0, secs(2), broadcast.clone());
    town.send(1, secs(3), back.clone());
    town.send(0, secs(4), there.clone());
    town.world.run_until(secs(5));
    assert_eq!(town.heard(1), [broadcast.clone(), there]);
    assert_eq!(town.heard(2), [broadcast]);
    assert_eq!(town.heard(0), [back]);
    for number in 0..3 {
        let events = town.events(number);
        let count = |what: fn(&EdgeEvent) -> bool| events.iter().filter(|event| what(event)).count();
        assert_eq!(
            count(|event| matches!(event, EdgeEvent::PeerUp { .. })),
            2,
            "{events:?}"
        );
        assert_eq!(
            count(|event| matches!(event, EdgeEvent::PathChanged { relayed: false, .. })),
            2,
            "{events:?}"
        );
        assert_eq!(
            count(|event| matches!(event, EdgeEvent::PathChanged { relayed: true, .. })),
            0
        );
    }
}

fn all_nats() -> Vec<(Dependence, Dependence)> {
    use Dependence::{AddressAndPortDependent, AddressDependent, EndpointIndependent};
    let kinds = [EndpointIndependent, AddressDependent, AddressAndPortDependent];
    kinds
        .iter()
        .flat_map(|&mapping| kinds.map(|filtering| (mapping, filtering)))
        .collect()
}

#[test]
fn whoever_can_meet_does_and_the_others_are_relayed() {
    for one in all_nats() {
        for other in all_nats() {
            let mut town = Town::of(7, [Flat::behind(one.0, one.1), Flat::behind(other.0, other.1)]);
            // Frames flow within 3 s, and none is lost from then on, whichever way they go.
            town.flow((0, 1), secs(3), ms(25), 80, 100);
            town.flow((1, 0), secs(3), ms(25), 80, 100);
            town.world.run_until(ms(5_500));
            town.all_came(0, 1, 80);
            town.all_came(1, 0, 80);
            let direct = can_meet(one, other);
            let pair = (town.is_direct(0, 1), town.is_direct(1, 0));
            assert_eq!(pair, (Some(direct), Some(direct)), "{one:?} {other:?}");
            assert_eq!(town.report(0).counts.relayed > 150, !direct, "{one:?} {other:?}");
        }
    }
}

#[test]
fn an_edge_behind_a_nat_meets_one_in_the_open() {
    for nat in all_nats() {
        let mut town = Town::of(9, [Flat::behind(nat.0, nat.1), Flat::default()]);
        town.flow((0, 1), secs(2), ms(20), 100, 200);
        town.flow((1, 0), secs(2), ms(20), 100, 200);
        town.world.run_until(secs(5));
        town.all_came(0, 1, 100);
        town.all_came(1, 0, 100);
        assert_eq!(
            (town.is_direct(0, 1), town.is_direct(1, 0)),
            (Some(true), Some(true)),
            "{nat:?}"
        );
    }
}

#[test]
fn two_behind_the_same_nat_meet_inside_or_by_its_hairpin() {
    for (tells_inside, hairpin) in [(true, true), (true, false), (false, true), (false, false)] {
        let nat = NatOptions {
            hairpin,
            ..NatOptions::default()
        };
        let flat = |home| Flat {
            home,
            tells_inside,
            ..Flat::default()
        };
        let mut town = Town::of(3, [flat(Home::Nat(nat)), flat(Home::With(0))]);
        town.flow((0, 1), secs(3), ms(20), 100, 200);
        town.flow((1, 0), secs(3), ms(20), 100, 200);
        town.world.run_until(secs(8));
        town.all_came(0, 1, 100);
        town.all_came(1, 0, 100);
        let direct = tells_inside || hairpin;
        assert_eq!(town.is_direct(0, 1), Some(direct), "{tells_inside} {hairpin}");
        if tells_inside {
            let peer = town.peer(0, 1).expect("they have met");
            let used = peer.paths.iter().find(|path| path.in_use).expect("a path");
            assert!(used.round_trip.is_some_and(|span| span.0 < 2_000_000), "{used:?}");
        }
    }
}

#[test]
fn who_wants_no_direct_path_has_none() {
    let mut town = Town::of(
        5,
        [
            Flat {
                direct: false,
                ..Flat::default()
            },
            Flat::default(),
        ],
    );
    town.flow((0, 1), secs(3), ms(20), 100, 200);
    town.flow((1, 0), secs(3), ms(20), 100, 200);
    town.world.run_until(secs(8));
    town.all_came(0, 1, 100);
    town.all_came(1, 0, 100);
    assert_eq!(
        (town.is_direct(0, 1), town.is_direct(1, 0)),
        (Some(false), Some(false))
    );
}

#[test]
fn a_willing_edge_carries_for_two_that_cannot_meet_and_an_unwilling_one_does_not() {
    use Dependence::AddressAndPortDependent;
    let hidden = || Flat::behind(AddressAndPortDependent, AddressAndPortDependent);
    for relays in [true, false] {
        let mut town = Town::new(51);
        town.supernode(SupernodeOptions {
            relay: false,
            ..SupernodeOptions::default()
        });
        for flat in [
            hidden(),
            hidden(),
            Flat {
                relays,
                ..Flat::default()
            },
        ] {
            town.edge(flat);
        }
        town.flow((0, 1), secs(5), ms(10), 500, 300);
        town.flow((1, 0), secs(5), ms(10), 500, 300);
        town.flow((0, 2), secs(5), ms(10), 500, 300);
        town.world.run_until(secs(11));
        town.all_came(0, 2, 500);
        if relays {
            town.all_came(0, 1, 500);
            town.all_came(1, 0, 500);
            assert!(town.count(2, "relayed") >= 1_000);
            assert_eq!(town.is_direct(0, 1), Some(false));
            let used = town.peer(0, 1).expect("they have met").paths;
            assert!(
                used.iter()
                    .any(|path| path.in_use && path.remote.ip() == outside(2))
            );
        } else {
            assert_eq!(town.came(1, "0-1 "), []);
            assert_eq!(town.count(2, "relayed"), 0);
        }
    }
}

#[test]
fn a_willing_edge_takes_over_when_the_supernode_that_carried_dies() {
    use Dependence::AddressAndPortDependent;
    let hidden = || Flat::behind(AddressAndPortDependent, AddressAndPortDependent);
    let mut town = Town::of(
        52,
        [
            hidden(),
            hidden(),
            Flat {
                relays: true,
                ..Flat::default()
            },
        ],
    );
    town.flow((0, 1), secs(3), ms(10), 1_000, 300);
    town.flow((1, 0), secs(3), ms(10), 1_000, 300);
    town.world.run_until(secs(6));
    let machine = town.supernodes[0].machine;
    town.world.kill(machine);
    town.world.run_until(secs(14));
    for (from, to) in [(0, 1), (1, 0)] {
        let came = town.came(to, &format!("{from}-{to} "));
        assert_eq!(came.last(), Some(&999));
        assert!(came.len() >= 850, "{}", came.len());
    }
}
