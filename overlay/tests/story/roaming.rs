//! Addresses change, ways end and come back.

use crate::town::{Flat, Home, Town};
use halloo_overlay::edge::EdgeEvent;
use halloo_sim::{Dependence, NatOptions, ms, secs};

/// How long nothing of a flow came after an instant: frames of each 10 ms that are missing, and whether the rest is there.
fn gap(town: &Town, from: usize, to: usize, count: u32) -> u32 {
    let came = town.came(to, &format!("{from}-{to} "));
    assert_eq!(came.last(), Some(&(count - 1)), "the last one came");
    count - came.len() as u32
}

#[test]
fn who_moves_is_reached_again_within_a_second() {
    let mut town = Town::of(41, vec![Flat::default(); 3]);
    for (from, to) in [(0, 1), (1, 0), (2, 1)] {
        town.flow((from, to), secs(3), ms(10), 700, 300);
    }
    town.world.run_until(secs(5));
    town.move_to(1, "192.0.2.7");
    town.world.run_until(secs(12));
    for (from, to) in [(0, 1), (1, 0), (2, 1)] {
        let gap = gap(&town, from, to, 700);
        assert!(gap <= 30, "from {from} to {to}: {gap}");
    }
    assert_eq!(
        (town.is_direct(0, 1), town.is_direct(2, 1)),
        (Some(true), Some(true))
    );
    // And once more, back to where it was.
    town.move_to(1, "203.0.0.2");
    town.flow_to((2, crate::town::mac(1), "again"), secs(13), ms(10), 100, 300);
    town.world.run_until(secs(15));
    assert_eq!(town.came(1, "again ").len(), 100);
}

#[test]
fn who_moves_is_carried_to_again_within_a_second() {
    let hidden = Flat {
        direct: false,
        ..Flat::default()
    };
    let mut town = Town::of(47, vec![hidden; 2]);
    for (from, to) in [(0, 1), (1, 0)] {
        town.flow((from, to), secs(3), ms(10), 700, 300);
    }
    town.world.run_until(secs(5));
    town.move_to(1, "192.0.2.7");
    town.world.run_until(secs(12));
    for (from, to) in [(0, 1), (1, 0)] {
        let gap = gap(&town, from, to, 700);
        assert!(gap <= 30, "from {from} to {to}: {gap}");
    }
    assert_eq!(town.is_direct(0, 1), Some(false));
}

#[test]
fn who_is_carried_for_and_moves_without_notice_is_reached_again() {
    use Dependence::AddressAndPortDependent;
    let nat = NatOptions {
        port_preservation: false,
        ..NatOptions::new(AddressAndPortDependent, AddressAndPortDependent)
    };
    let behind = Flat {
        home: Home::Nat(nat),
        direct: false,
        ..Flat::default()
    };
    let open = Flat {
        direct: false,
        ..Flat::default()
    };
    let mut town = Town::of(48, [open, behind]);
    town.flow((0, 1), secs(3), ms(10), 3_000, 300);
    town.world.run_until(secs(5));
    let nat = town.edges[1].nat.expect("it is behind one");
    town.world.restart_nat(nat);
    town.world.run_until(secs(34));
    let gap = gap(&town, 0, 1, 3_000);
    assert!(gap <= 1_600, "it says something each 15 s: {gap}");
}

#[test]
fn who_moves_in_silence_is_reached_too() {
    let mut town = Town::of(42, vec![Flat::default(); 2]);
    town.world.run_until(secs(20));
    town.move_to(1, "192.0.2.7");
    town.flow((0, 1), secs(21), ms(10), 100, 300);
    town.world.run_until(secs(23));
    town.all_came(0, 1, 100);
    let there = |event: &EdgeEvent| matches!(event, EdgeEvent::PathChanged { remote, .. } if remote.ip().to_string() == "192.0.2.7");
    assert!(town.events(0).iter().any(there));
}

#[test]
fn a_nat_that_forgets_everything_costs_less_than_a_second() {
    use Dependence::{AddressAndPortDependent, AddressDependent, EndpointIndependent};
    for (mapping, filtering) in [
        (EndpointIndependent, AddressDependent),
        (AddressAndPortDependent, AddressAndPortDependent),
    ] {
        let nat = NatOptions {
            port_preservation: false,
            ..NatOptions::new(mapping, filtering)
        };
        let mut town = Town::of(
            43,
            [
                Flat::default(),
                Flat {
                    home: Home::Nat(nat),
                    ..Flat::default()
                },
            ],
        );
        town.flow((0, 1), secs(3), ms(10), 700, 300);
        town.flow((1, 0), secs(3), ms(10), 700, 300);
        town.world.run_until(secs(5));
        let nat = town.edges[1].nat.expect("it is behind one");
        town.world.restart_nat(nat);
        town.world.run_until(secs(12));
        assert!(gap(&town, 0, 1, 700) <= 100);
        assert_eq!(gap(&town, 1, 0, 700), 0, "nothing stops it on the way out");
    }
}

#[test]
fn a_direct_way_that_ends_gives_place_to_a_relay_and_comes_back() {
    let nat = || Flat::behind(Dependence::EndpointIndependent, Dependence::AddressDependent);
    let mut town = Town::of(44, [nat(), nat()]);
    town.flow((0, 1), secs(3), ms(10), 3_000, 300);
    town.flow((1, 0), secs(3), ms(10), 3_000, 300);
    town.world.run_until(secs(5));
    assert_eq!(town.is_direct(0, 1), Some(true));
    // Something between them drops what they say to each other, and only that.
    town.part(0, 1);
    town.world.run_until(secs(20));
    assert_eq!(
        (town.is_direct(0, 1), town.is_direct(1, 0)),
        (Some(false), Some(false))
    );
    town.mend(0, 1);
    town.world.run_until(secs(55));
    assert_eq!(
        (town.is_direct(0, 1), town.is_direct(1, 0)),
        (Some(true), Some(true))
    );
    for (from, to) in [(0, 1), (1, 0)] {
        let gap = gap(&town, from, to, 3_000);
        assert!(gap <= 100, "{gap}");
        // What goes by the faster way may overtake what went before; but nothing comes twice.
        let mut came = town.came(to, &format!("{from}-{to} "));
        came.sort_unstable();
        assert!(came.is_sorted_by(|one, other| one < other));
    }
}

#[test]
fn an_edge_that_is_told_to_stop_says_goodbye() {
    let mut town = Town::of(45, vec![Flat::default(); 3]);
    town.world.run_until(secs(3));
    let (edge, key) = (town.edges[2].edge, town.edges[2].key);
    town.world.stop(edge);
    town.world.run_until(ms(3_050));
    for other in 0..2 {
        let gone = |event: &EdgeEvent| matches!(event, EdgeEvent::PeerDown { key: who, .. } if *who == key);
        assert!(town.events(other).iter().any(gone));
        assert_eq!(town.peer(other, 2), None);
    }
    town.world.run_until(secs(5));
    assert_eq!(town.report(0).members, 2);
    assert_eq!(
        (town.peer(0, 2), town.peer(1, 2)),
        (None, None),
        "and it is not tried again"
    );
}

#[test]
fn an_edge_that_was_started_again_is_there_at_once() {
    for same in [true, false] {
        let mut town = Town::of(46, vec![Flat::default(); 3]);
        town.world.run_until(secs(5));
        town.restart_edge(1, same);
        for other in [0, 2] {
            town.flow((other, 1), secs(8), ms(10), 100, 300);
            town.flow((1, other), secs(8), ms(10), 100, 300);
        }
        town.world.run_until(secs(10));
        for other in [0, 2] {
            town.all_came(other, 1, 100);
            town.all_came(1, other, 100);
        }
        town.world.run_until(secs(200));
        let left = town.status(0).peers.len();
        assert_eq!(left, 2, "who is gone for good is forgotten");
    }
}
