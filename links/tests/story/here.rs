//! Trouble on this host, and what only looks like trouble.

use crate::figures::{print_moves, seeds};
use crate::office::Office;
use halloo_base::Nanos;
use halloo_links::{Because, Fact, Family, Reason, State};
use halloo_sim::{Quality, ms, secs};

#[test]
fn a_pulled_cable_is_left_at_once_and_a_short_pull_is_forgiven_soon() {
    for seed in seeds(0.4) {
        let mut office = Office::ordinary(seed);
        let pull = office.about(secs(60));
        office.carrier(pull, 0, false);
        office.carrier(pull + ms(100), 0, true);
        let outcome = office.play(secs(90));
        let told = outcome.told(Family::V4);
        let moves = outcome.moves(Family::V4);
        assert_eq!(moves.len(), 2, "seed {seed}: {told:?}");
        assert_eq!(outcome.at(moves[0].at), pull, "at once");
        assert_eq!(moves[0].evidence[0].reason, Reason::NoCarrier);
        assert_eq!(
            moves[1].because,
            Because::Preferred,
            "it is not stuck on the other"
        );
        let back = moves[1].at.since(moves[0].at);
        assert!(back >= secs(10) && back < secs(15), "seed {seed}: {back:?}");
    }
    print_moves(
        "carrier pulled for 0.1 s",
        seeds(0.4).end,
        2,
        "2 wanted: away and back",
    );
}

#[test]
fn an_address_or_a_neighbour_that_is_gone_is_said_to_be_gone() {
    let table = [
        (
            Fact::Address {
                family: Family::V4,
                present: false,
            },
            Reason::NoAddress,
        ),
        (
            Fact::Neighbour {
                family: Family::V4,
                reachable: false,
            },
            Reason::NoNeighbour,
        ),
    ];
    for (fact, reason) in table {
        let mut office = Office::ordinary(1);
        office.spoil(secs(60), 0, Quality::perfect().loss(1.0));
        office.tell(secs(60) + ms(50), 0, fact);
        let outcome = office.play(secs(70));
        let moves = outcome.moves(Family::V4);
        assert_eq!(outcome.at(moves[0].at), secs(60) + ms(50));
        assert_eq!(moves[0].evidence[0].reason, reason);
        assert!(reason.is_local());
    }
}

#[test]
fn a_neighbour_that_is_said_to_be_gone_while_anchors_answer_is_not_believed_for_long() {
    let mut office = Office::ordinary(1);
    office.tell(
        secs(60),
        0,
        Fact::Neighbour {
            family: Family::V4,
            reachable: false,
        },
    );
    let outcome = office.play(secs(61));
    assert_eq!(outcome.last("wan1", Family::V4).state, State::Up);
}

#[test]
fn a_host_that_stands_still_for_two_seconds_moves_nothing() {
    for seed in seeds(1.0) {
        let mut office = Office::ordinary(seed);
        for second in [60, 70, 71, 90] {
            let at = office.about(secs(second));
            office.stall(at, secs(2));
        }
        let outcome = office.play(secs(110));
        let told = outcome.told(Family::V4);
        assert!(told.is_empty(), "seed {seed}: {told:?}");
        for link in ["wan1", "wan2"] {
            let states = outcome.states(link, Family::V4);
            assert!(
                !states.iter().any(|state| state.contains("down")),
                "seed {seed}: {states:?}"
            );
            assert!(
                states.iter().any(|state| state.contains("Stalled")),
                "seed {seed}: {states:?}"
            );
            assert_eq!(outcome.last(link, Family::V4).state, State::Up);
        }
    }
    print_moves("CPU stall of 2 s, four times", seeds(1.0).end, 0, "0 wanted");
}

#[test]
fn nor_does_one_whose_links_take_two_thirds_of_a_second() {
    for seed in seeds(0.2) {
        let mut office = Office::ordinary(seed);
        for link in 0..2 {
            office.spoil(secs(0), link, Quality::delay(ms(330)));
        }
        let at = office.about(secs(60));
        office.stall(at, secs(2));
        let outcome = office.play(secs(70));
        for link in ["wan1", "wan2"] {
            let states = outcome.states(link, Family::V4);
            let down = states.iter().any(|state| state.contains("down"));
            assert!(!down, "seed {seed}: {states:?}");
        }
    }
}

#[test]
fn a_link_that_dies_while_the_host_stands_still_is_left_soon_after() {
    for seed in seeds(0.4) {
        let mut office = Office::ordinary(seed);
        let at = office.about(secs(60));
        office.stall(at, secs(2));
        office.spoil(at + secs(1), 0, Quality::perfect().loss(1.0));
        let outcome = office.play(secs(70));
        let moves = outcome.moves(Family::V4);
        assert_eq!(moves.len(), 1, "seed {seed}");
        let after = outcome.at(moves[0].at) - (at + secs(2));
        assert!(after <= ms(600), "seed {seed}: {after:?}");
    }
}

#[test]
fn a_stepped_clock_changes_nothing() {
    for seed in seeds(0.4) {
        let mut office = Office::ordinary(seed);
        let here = office.here;
        for (at, by) in [(60, 3_600), (70, -7_200), (80, 1)] {
            let by = Nanos(by * 1_000_000_000);
            office.world.at(secs(at), move |world| world.step_clock(here, by));
        }
        let outcome = office.play(secs(100));
        assert!(outcome.told(Family::V4).is_empty(), "seed {seed}");
        for link in ["wan1", "wan2"] {
            let states = outcome.states(link, Family::V4);
            assert_eq!(states.len(), 1, "seed {seed}: {states:?}");
        }
    }
    print_moves("clock stepped", seeds(0.4).end, 0, "0 wanted");
}

#[test]
fn ipv6_may_die_while_ipv4_works() {
    for seed in seeds(0.4) {
        let mut office = Office::new(seed, 2, 3, &Family::ALL);
        let wire = office.wire(0, Family::V6);
        let cut = office.about(secs(60));
        office
            .world
            .at(cut, move |world| world.set(wire, Quality::perfect().loss(1.0)));
        let outcome = office.play(secs(75));
        assert!(outcome.told(Family::V4).is_empty(), "seed {seed}");
        let moves = outcome.moves(Family::V6);
        assert_eq!(moves.len(), 1, "seed {seed}: {:?}", outcome.told(Family::V6));
        assert!(outcome.at(moves[0].at) - cut <= ms(500), "seed {seed}");
        assert_eq!(outcome.last("wan1", Family::V4).state, State::Up);
    }
}

#[test]
fn a_host_that_refuses_to_send_is_told_apart_from_a_dead_path() {
    let mut office = Office::ordinary(3);
    let wire = office.wire(0, Family::V4);
    // Nobody tells of the carrier: all that shows is that the kernel has no way out.
    office.world.at(secs(60), move |world| world.cut(wire));
    let outcome = office.play(secs(70));
    let states = outcome.states("wan1", Family::V4);
    assert!(states.iter().any(|state| state.contains("Refused")), "{states:?}");
}
