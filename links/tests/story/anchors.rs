//! Anchors that die or lie, while the links are well.

use crate::figures::{print_moves, seeds};
use crate::office::Office;
use crate::play::Outcome;
use halloo_links::{AnchorState, Family, State, WhyNot};
use halloo_sim::{Quality, ms, secs};

fn nothing_moved(seed: u64, outcome: &Outcome) {
    let told = outcome.told(Family::V4);
    assert!(
        told.is_empty(),
        "seed {seed}: {told:?} {:#?}",
        outcome.states("wan1", Family::V4)
    );
}

#[test]
fn one_dead_anchor_of_three_moves_nothing() {
    for seed in seeds(0.4) {
        let mut office = Office::ordinary(seed);
        let (_, wire) = office.anchors[1];
        let cut = office.about(secs(30));
        office
            .world
            .at(cut, move |world| world.set(wire, Quality::perfect().loss(1.0)));
        let outcome = office.play(secs(330));
        nothing_moved(seed, &outcome);
        for link in ["wan1", "wan2"] {
            let states = outcome.states(link, Family::V4);
            assert_eq!(states.len(), 1, "it only came up: {states:?}");
        }
    }
    print_moves("one dead anchor of three", seeds(0.4).end, 0, "0 wanted");
}

#[test]
fn a_link_that_dies_while_an_anchor_is_dead_is_left_all_the_same() {
    for seed in seeds(0.4) {
        let mut office = Office::ordinary(seed);
        let (_, wire) = office.anchors[0];
        office.world.at(secs(50), move |world| {
            world.set(wire, Quality::perfect().loss(1.0));
        });
        let cut = office.about(secs(70));
        office.spoil(cut, 0, Quality::perfect().loss(1.0));
        let outcome = office.play(secs(80));
        let moves = outcome.moves(Family::V4);
        assert_eq!(moves.len(), 1, "seed {seed}");
        assert!(
            outcome.at(moves[0].at) - cut <= ms(800),
            "seed {seed}: {:?}",
            outcome.told(Family::V4)
        );
        let states = moves[0].evidence[0]
            .evidence
            .anchors
            .iter()
            .map(|anchor| anchor.state);
        let dead = states.filter(|state| *state == AnchorState::Dead).count();
        assert_eq!(dead, 1, "seed {seed}");
    }
}

#[test]
fn a_lying_anchor_moves_nothing() {
    for seed in seeds(0.4) {
        let mut office = Office::ordinary(seed);
        let (_, wire) = office.anchors[2];
        let lies = [
            (secs(30), Quality::delay(ms(4)).loss(0.5)),
            (secs(90), Quality::delay(ms(400))),
            (secs(150), Quality::delay(ms(4)).bursts(0.05, 0.2, 0.9)),
        ];
        for (at, quality) in lies {
            office.world.at(at, move |world| world.set(wire, quality));
        }
        let outcome = office.play(secs(240));
        nothing_moved(seed, &outcome);
    }
    print_moves("one lying anchor of three", seeds(0.4).end, 0, "0 wanted");
}

#[test]
fn two_anchors_of_three_that_die_together_move_nothing() {
    for seed in seeds(0.4) {
        let mut office = Office::ordinary(seed);
        let cut = office.about(secs(60));
        let dying: Vec<_> = office.anchors.iter().take(2).copied().collect();
        for (_, wire) in dying {
            office
                .world
                .at(cut, move |world| world.set(wire, Quality::perfect().loss(1.0)));
        }
        let outcome = office.play(secs(90));
        nothing_moved(seed, &outcome);
        assert_eq!(outcome.last("wan1", Family::V4).state, State::Up, "seed {seed}");
    }
    print_moves("two dead anchors of three", seeds(0.4).end, 0, "0 wanted");
}

#[test]
fn an_only_anchor_that_dies_moves_nothing_and_it_is_said_why() {
    for seed in seeds(0.4) {
        let mut office = Office::new(seed, 2, 1, &[Family::V4]);
        let (_, wire) = office.anchors[0];
        let cut = office.about(secs(60));
        office
            .world
            .at(cut, move |world| world.set(wire, Quality::perfect().loss(1.0)));
        let outcome = office.play(secs(90));
        nothing_moved(seed, &outcome);
        let why: Vec<_> = outcome.held.iter().map(|held| &held.why).collect();
        let said = |why: &&WhyNot| matches!(why, WhyNot::NotProven { .. } | WhyNot::NowhereBetter);
        assert!(why.iter().any(said), "seed {seed}: {why:?}");
    }
    print_moves("the only anchor dead", seeds(0.4).end, 0, "0 wanted");
}
