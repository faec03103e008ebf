//! Several supernodes: any of them may die.

use crate::town::{Flat, Town};
use halloo_overlay::crypto::Timers;
use halloo_overlay::edge::EdgeEvent;
use halloo_overlay::supernode::SupernodeOptions;
use halloo_sim::{Dependence, ms, secs};

fn two_supernodes(seed: u64, flats: Vec<Flat>) -> Town {
    let mut town = Town::new(seed);
    town.supernode(SupernodeOptions::default());
    town.supernode(SupernodeOptions::default());
    flats.into_iter().for_each(|flat| {
        town.edge(flat);
    });
    town
}

#[test]
fn either_may_die_and_pairs_lose_nothing_and_new_ones_meet() {
    for dying in 0..2 {
        let nat = Flat::behind(
            Dependence::EndpointIndependent,
            Dependence::AddressAndPortDependent,
        );
        let mut town = two_supernodes(11 + dying as u64, vec![Flat::default(), nat.clone(), nat]);
        for (from, to) in [(0, 1), (1, 2), (2, 0)] {
            town.flow((from, to), secs(3), ms(50), 1_000, 300);
        }
        town.world.run_until(secs(10));
        town.world.kill(town.supernodes[dying].machine);
        town.world.run_until(secs(20));
        let late = town.edge(Flat::behind(
            Dependence::AddressDependent,
            Dependence::AddressDependent,
        ));
        for other in 0..3 {
            town.flow((late, other), secs(25), ms(50), 40, 300);
            town.flow((other, late), secs(25), ms(50), 40, 300);
        }
        town.world.run_until(secs(60));
        for (from, to) in [(0, 1), (1, 2), (2, 0)] {
            town.all_came(from, to, 1_000);
        }
        for other in 0..3 {
            town.all_came(late, other, 40);
            town.all_came(other, late, 40);
        }
        let lost = EdgeEvent::SupernodeLost(town.supernodes[dying].address);
        assert!(town.events(0).contains(&lost));
    }
}

#[test]
fn a_supernode_that_was_started_again_is_found_again() {
    for (keyed, same) in [(false, true), (false, false), (true, true)] {
        let mut town = Town::of(
            21,
            vec![
                Flat {
                    keyed,
                    ..Flat::default()
                };
                2
            ],
        );
        town.world.run_until(secs(5));
        town.restart_supernode(0, same);
        // A supernode that was killed says nothing: edges notice when they next ask.
        town.world.run_until(secs(30));
        assert_eq!(town.report(0).members, 2, "keyed {keyed}, same {same}");
        let late = town.edge(Flat {
            keyed,
            ..Flat::default()
        });
        town.flow((late, 0), secs(33), ms(50), 20, 300);
        town.flow((late, 1), secs(33), ms(50), 20, 300);
        town.world.run_until(secs(36));
        town.all_came(late, 0, 20);
        town.all_came(late, 1, 20);
    }
}

#[test]
fn a_supernode_with_another_key_than_the_configured_is_not_taken() {
    let mut town = Town::of(
        22,
        vec![
            Flat {
                keyed: true,
                ..Flat::default()
            };
            2
        ],
    );
    town.world.run_until(secs(5));
    town.restart_supernode(0, false);
    town.world.run_until(secs(60));
    assert_eq!(town.report(0).members, 0);
    assert!(!town.status(0).supernodes[0].registered);
}

#[test]
fn a_damaged_or_foreign_word_on_a_supernodes_key_is_not_believed_for_long() {
    let mut town = Town::of(24, vec![Flat::default()]);
    let wire = town.edges[0].wire;
    // Every datagram is damaged for a moment, the answer to the hello among them.
    town.world
        .set(wire, halloo_sim::Quality::delay(ms(5)).corrupt(1.0));
    town.world.run_until(ms(700));
    town.world.set(wire, halloo_sim::Quality::delay(ms(5)));
    town.world.run_until(secs(15));
    assert_eq!(town.report(0).members, 1);
}

#[test]
fn a_supernode_that_stops_says_so_and_is_back_at_once() {
    let mut town = Town::of(23, vec![Flat::default(); 2]);
    town.world.run_until(secs(5));
    let machine = town.supernodes[0].machine;
    town.world.stop(machine);
    town.world.run_until(ms(5_100));
    let lost = EdgeEvent::SupernodeLost(town.supernodes[0].address);
    assert!(town.events(0).contains(&lost) && town.events(1).contains(&lost));
    town.restart_supernode(0, false);
    town.world.run_until(secs(8));
    assert_eq!(town.report(0).members, 2);
}

#[test]
fn all_may_die_and_who_has_met_goes_on_through_new_keys() {
    let flat = Flat {
        timers: Timers {
            rekey: secs(6),
            rekey_other: secs(8),
            linger: secs(2),
            expire: secs(12),
            ..Timers::default()
        },
        ..Flat::behind(Dependence::EndpointIndependent, Dependence::AddressDependent)
    };
    let mut town = two_supernodes(31, vec![flat.clone(), flat.clone(), flat]);
    for (from, to) in [(0, 1), (1, 2), (2, 0)] {
        town.flow((from, to), secs(3), ms(100), 1_000, 300);
    }
    town.world.run_until(secs(5));
    for dying in 0..2 {
        town.world.kill(town.supernodes[dying].machine);
    }
    town.world.run_until(secs(110));
    for (from, to) in [(0, 1), (1, 2), (2, 0)] {
        town.all_came(from, to, 1_000);
    }
}

#[test]
fn how_many_members_there_are_is_true_between_two_registrations() {
    let mut town = Town::of(330, vec![Flat::default(); 2]);
    let members = |town: &mut Town| town.status(0).supernodes[0].members;
    town.world.run_until(secs(2));
    assert_eq!(members(&mut town), 2);
    // It registers each 20 s.
    town.edge(Flat::default());
    town.world.run_until(secs(4));
    assert_eq!(members(&mut town), 3);
    let edge = town.edges[1].edge;
    town.world.stop(edge);
    town.world.run_until(secs(6));
    assert_eq!(members(&mut town), 2);
    let supernode = town.supernodes[0].machine;
    town.world.kill(supernode);
    town.world.run_until(secs(40));
    assert_eq!(members(&mut town), 0, "nobody knows");
}
