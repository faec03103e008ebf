//! Links that carry nothing any more.

use crate::figures::{Spans, print_moves, seeds};
use crate::office::{Office, WAYS, ordinary};
use halloo_base::Rng;
use halloo_links::{Because, Direction, Family, Reason, State};
use halloo_sim::{Quality, ms, secs};
use std::time::Duration;

fn nothing() -> Quality {
    Quality::perfect().loss(1.0)
}

#[test]
fn a_black_hole_is_left_within_half_a_second() {
    let mut spans = Spans::default();
    for seed in seeds(1.0) {
        let mut office = Office::ordinary(seed);
        let cut = office.about(secs(60));
        office.spoil(cut, 0, nothing());
        let outcome = office.play(secs(75));
        let told = outcome.told(Family::V4);
        assert_eq!(told.len(), 1, "seed {seed}: {told:?}");
        let moved = outcome.moves(Family::V4)[0];
        assert_eq!(moved.because, Because::Down, "seed {seed}");
        assert!(matches!(
            outcome.last("wan1", Family::V4).reason,
            Reason::Blackhole { .. }
        ));
        spans.add(outcome.at(moved.at) - cut);
    }
    spans.print("blackhole", "p99 500 ms wanted");
    assert!(spans.quantile(0.99) <= ms(500));
}

#[test]
fn a_black_hole_in_one_direction_is_left_as_soon_and_afterwards_it_is_known_which() {
    for way in WAYS {
        let mut spans = Spans::default();
        for seed in seeds(1.0) {
            let mut office = Office::ordinary(seed);
            let well = ordinary(0, &mut Rng::new(seed));
            let cut = office.about(secs(60));
            let (up, down) = match way {
                Direction::Up => (nothing(), well.clone()),
                _ => (well.clone(), nothing()),
            };
            office.set(cut, 0, up, down);
            office.spoil(cut + secs(6), 0, well);
            let outcome = office.play(secs(72));
            let moved = outcome.moves(Family::V4)[0];
            spans.add(outcome.at(moved.at) - cut);
            let back = outcome
                .changes
                .iter()
                .rev()
                .find(|change| change.was == State::Down);
            let back = back.expect("it came back");
            assert_eq!(
                back.evidence.trouble_direction,
                Some(way),
                "seed {seed}: {back:?}"
            );
        }
        spans.print(&format!("blackhole {way}"), "p99 500 ms wanted");
        assert!(spans.quantile(0.99) <= ms(500));
    }
}

#[test]
fn a_link_that_flaps_two_hundred_times_moves_traffic_six_times_at_most() {
    flap(200, (secs(3), secs(7)), 0.04);
}

#[test]
fn so_does_one_that_flaps_fast() {
    flap(200, (ms(1_500), secs(2)), 0.08);
}

#[test]
fn so_does_one_that_flaps_slowly() {
    flap(60, (secs(10), secs(50)), 0.01);
}

fn flap(times: u32, (down, up): (Duration, Duration), share: f64) {
    let mut most = 0;
    let seeds = seeds(share);
    for seed in seeds.clone() {
        let mut office = Office::ordinary(seed);
        let well = ordinary(0, &mut Rng::new(seed));
        let mut at = secs(60);
        for _ in 0..times {
            office.spoil(at, 0, nothing());
            office.spoil(at + down, 0, well.clone());
            at += down + up;
        }
        let outcome = office.play(at + secs(660));
        let moves = outcome.told(Family::V4);
        most = most.max(moves.len());
        assert!(moves.len() <= 6, "seed {seed}: {moves:#?}");
        let last = outcome.decisions.last().expect("there are some");
        assert_eq!(
            last.carry[0].link.as_str(),
            "wan1",
            "it is used again in the end: {moves:#?}"
        );
    }
    let story = format!("flapping {times} times, {down:?} down and {up:?} up");
    print_moves(&story, seeds.end - seeds.start, most, "6 wanted");
}

#[test]
fn when_all_links_die_nothing_moves_and_it_goes_on_when_they_come_back() {
    let mut most = 0;
    for seed in seeds(1.0) {
        let mut office = Office::ordinary(seed);
        let mut rng = Rng::new(seed);
        let cut = office.about(secs(60));
        for link in 0..2 {
            office.spoil(cut, link, nothing());
            office.spoil(cut + secs(30), link, ordinary(link, &mut rng));
        }
        let outcome = office.play(secs(130));
        let moves = outcome.told(Family::V4);
        most = most.max(moves.len());
        assert!(moves.is_empty(), "seed {seed}: {moves:?}");
        for link in ["wan1", "wan2"] {
            assert_eq!(outcome.last(link, Family::V4).state, State::Up, "seed {seed}");
            let states = outcome.states(link, Family::V4);
            assert!(states.iter().any(|state| state.contains("down")), "{states:?}");
        }
    }
    print_moves("all links dead and back", seeds(1.0).end, most, "0 wanted");
}

#[test]
fn traffic_returns_to_the_cheaper_link_first_with_new_flows_alone() {
    for seed in seeds(0.2) {
        let mut office = Office::ordinary(seed);
        office.spoil(secs(60), 0, nothing());
        office.spoil(secs(65), 0, ordinary(0, &mut Rng::new(seed)));
        let outcome = office.play(secs(130));
        let because: Vec<_> = outcome
            .decisions
            .iter()
            .map(|decision| decision.because)
            .collect();
        let wanted = [Because::First, Because::Down, Because::Preferred, Because::Proven];
        assert_eq!(because, wanted, "seed {seed}: {:#?}", outcome.told(Family::V4));
        let [_, left, back, proven] = outcome.decisions.as_slice() else {
            panic!("four decisions")
        };
        let leave = |link: &str| halloo_links::Flows::Leave {
            links: vec![link.into()],
        };
        assert_eq!(left.flows, leave("wan1"));
        assert_eq!(back.flows, halloo_links::Flows::Stay);
        assert_eq!(proven.flows, leave("wan2"));
        let waited = back.at.since(left.at);
        assert!(waited >= secs(14) && waited < secs(25), "{waited:?}");
        assert_eq!(proven.at.since(back.at), secs(30));
    }
}
