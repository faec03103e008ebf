use crate::testing::{Bench, MS, datagrams, options, path, reflection, way_back};
use crate::{DatagramSession, Direction, Ended, Event, LossCause, SessionOptions, Verdict};
use halloo_base::{
    FollowUp, Heard, Input, LinkId, Machine, Nanos, Path, Reason, Reflection, Seen, StampSource, TxTag,
    Unreachable, UnreachableError,
};
use std::time::Duration;

mod answers;
mod losses;
mod model;
mod path;
mod trouble;

fn start(options: SessionOptions) -> Bench<DatagramSession> {
    let mut bench = datagrams(options);
    bench.give(Input::Wake);
    bench
}

fn counted(count: u64) -> SessionOptions {
    SessionOptions { count, ..options(10) }
}

fn lost(direction: Direction, cause: LossCause) -> Verdict {
    Verdict::Lost { direction, cause }
}

#[test]
fn probes_leave_at_their_slots_with_their_number_as_tag() {
    let mut bench = start(options(10));
    bench.run_to(25);
    assert_eq!(bench.sent, [0, 1, 2].map(|n| (n, Some(TxTag(n)))));
    assert_eq!(
        bench.machine.deadline().map(|d| (d.why, d.exact)),
        Some(("slot", true))
    );
}

#[test]
fn three_round_trips_are_told_apart() {
    let mut bench = datagrams(counted(1));
    bench.give(Input::Wake);
    let t0 = bench.now;
    bench.depart(0, t0 + 3_000);
    bench.run_to(1);
    bench.hear(0, Some(reflection(1, 1, 1)));
    let told = bench.exchanges()[0];
    assert_eq!(told.verdict, Verdict::Answered);
    assert_eq!(told.host, Some(Nanos(1_000_000)));
    assert_eq!(told.wire, Some(Nanos(1_000_000 - 2_000 - 3_000 - 1_000)));
    assert_eq!(told.intended, Some(Nanos(1_000_000)));
    let summary = bench.summary();
    assert_eq!(summary.ended, Some(Ended::Complete));
    assert!(summary.all_answered());
    assert_eq!(summary.wire.map(|wire| wire.max), told.wire);
    assert_eq!(
        summary.budget.send_delay.map(|delay| delay.max),
        Some(Nanos(3_000))
    );
    assert_eq!(
        summary.budget.receive_delay.map(|delay| delay.max),
        Some(Nanos(2_000))
    );
    assert_eq!(
        (
            summary.sources.t1_kernel,
            summary.sources.t2_kernel,
            summary.sources.t4_kernel
        ),
        (1, 1, 1)
    );
}

#[test]
fn a_stalled_prober_hides_no_delay_from_the_intended_round_trip() {
    let mut bench = start(options(10));
    bench.now += 35 * MS;
    bench.give(Input::Wake);
    bench.now += MS;
    bench.hear(1, None);
    let told = bench.exchanges()[0];
    assert_eq!(
        (told.host, told.slot_error),
        (Some(Nanos(1_000_000)), Nanos(25_000_000))
    );
    assert_eq!(told.intended, Some(Nanos(26_000_000)));
    assert_eq!(bench.summary().counts.slots_missed, 2);
    assert_eq!(bench.sent.len(), 2, "no burst");
}

#[test]
fn a_departure_that_is_told_after_the_answer_still_counts() {
    let mut bench = start(options(100));
    let t0 = bench.now;
    bench.run_to(1);
    bench.hear(0, None);
    assert_eq!(bench.exchanges()[0].wire, None, "not known yet");
    assert!(bench.settled().is_empty());
    bench.depart(0, t0 + 5_000);
    assert_eq!(bench.settled()[0].wire, Some(Nanos(993_000)));
    assert_eq!(bench.summary().wire.map(|wire| wire.count), Some(1));
}

#[test]
fn a_departure_that_never_comes_is_awaited_for_two_intervals_and_said_to_be_missing() {
    let mut bench = start(options(100));
    bench.hear_after(1, 0);
    let settled = |bench: &Bench<_>| bench.settled().into_iter().find(|e| e.seq.0 == 0);
    bench.run_to(200);
    assert_eq!(settled(&bench), None);
    bench.run_to(202);
    assert_eq!(
        settled(&bench).map(|e| (e.verdict, e.t1_kernel)),
        Some((Verdict::Answered, None))
    );
    let summary = bench.summary();
    assert_eq!((summary.wire, summary.sources.t1_user), (None, 1));
}

/// Answers to `count` probes, each of which tells the exact residence of the one before, 900 us.
fn followed_up(count: u64) -> crate::Summary {
    let mut bench = start(counted(count));
    for seq in 0..count {
        bench.run_to(seq * 10 + 1);
        bench.depart(seq, bench.now - MS);
        let follow_up = seq.checked_sub(1).map(|before| FollowUp {
            low_bits: before as u32,
            residence: Nanos(900_000),
        });
        let told = reflection(seq as u32 + 1, (1 << (seq + 1)) - 1, seq as u32 + 1);
        bench.hear(seq, Some(Reflection { follow_up, ..told }));
    }
    bench.summary()
}

#[test]
fn an_upper_bound_is_not_the_longest_of_exact_times() {
    let summary = followed_up(3);
    let wire = summary.wire.expect("wire times");
    assert_eq!((wire.count, wire.max), (2, Nanos(98_000)));
    assert_eq!(summary.counts.wire_guessed, 1);
    let ipdv = summary.ipdv.expect("variations");
    assert_eq!(
        (ipdv.count, ipdv.max),
        (2, Nanos(0)),
        "like is compared with like"
    );
}

#[test]
fn where_all_are_upper_bounds_they_are_told() {
    let summary = followed_up(1);
    assert_eq!(summary.wire.map(|wire| wire.max), Some(Nanos(997_000)));
    assert_eq!(summary.counts.wire_guessed, 1);
}

#[test]
fn the_exact_residence_comes_with_the_next_answer() {
    let mut bench = start(options(10));
    let t0 = bench.now;
    bench.depart(0, t0);
    bench.run_to(1);
    bench.hear(0, Some(reflection(1, 1, 1)));
    assert_eq!(bench.exchanges()[0].wire, Some(Nanos(1_000_000 - 2_000 - 1_000)));
    bench.run_to(11);
    let follow_up = Some(FollowUp {
        low_bits: 0,
        residence: Nanos(400_000),
    });
    bench.hear(
        1,
        Some(Reflection {
            follow_up,
            ..reflection(2, 3, 2)
        }),
    );
    let first = bench.settled()[0];
    assert_eq!(first.wire, Some(Nanos(1_000_000 - 2_000 - 400_000)));
    assert_eq!(first.residence.map(|residence| residence.exact), Some(true));
    assert_eq!(
        first.t3.zip(first.t2).map(|(t3, t2)| t3 - t2),
        Some(Nanos(400_000))
    );
}

#[test]
fn an_exact_residence_may_overtake_the_answer_it_is_about() {
    let mut bench = start(options(10));
    bench.run_to(11);
    let follow_up = Some(FollowUp {
        low_bits: 0,
        residence: Nanos(7_000),
    });
    bench.hear(
        1,
        Some(Reflection {
            follow_up,
            ..reflection(2, 3, 2)
        }),
    );
    bench.hear(0, Some(reflection(1, 1, 1)));
    assert_eq!(
        bench.exchanges()[1].residence.map(|r| (r.span, r.exact)),
        Some((Nanos(7_000), true))
    );
}

#[test]
fn a_flood_keeps_its_window_and_no_more_in_flight() {
    let flood = SessionOptions {
        interval: Duration::ZERO,
        outstanding: 4,
        ..options(0)
    };
    let mut bench = start(flood);
    assert_eq!(bench.sent.len(), 4);
    bench.now += 10_000;
    bench.hear(2, None);
    assert_eq!(bench.sent.len(), 5);
    bench.run_to(49);
    assert_eq!(bench.sent.len(), 5, "nothing came back, nothing leaves");
    bench.run_to(51);
    assert_eq!(bench.sent.len(), 9, "what is lost makes room");
    let summary = bench.summary();
    assert_eq!((summary.counts.in_flight, summary.counts.lost()), (4, 4));
    assert_eq!(
        (summary.intended, summary.budget.slot_error),
        (None, None),
        "a flood has no plan"
    );
}

#[test]
fn a_session_ends_when_each_probe_is_answered_or_lost() {
    let mut bench = start(counted(3));
    bench.hear_after(1, 0);
    bench.hear_after(21, 2);
    bench.run_to(59);
    assert!(!bench.machine.finished());
    bench.run_to(61);
    assert!(bench.machine.finished());
    assert_eq!(bench.machine.deadline(), None);
    let summary = bench.summary();
    assert_eq!((summary.ended, summary.counts.lost()), (Some(Ended::Complete), 1));
    assert!(!summary.all_answered());
    assert!(matches!(bench.events().last(), Some(Event::Summary(_))));
}

#[test]
fn the_last_departure_is_waited_for_a_moment() {
    let mut bench = start(counted(1));
    let t0 = bench.now;
    bench.hear_after(1, 0);
    assert!(!bench.machine.finished());
    bench.depart(0, t0 + 10);
    assert!(bench.machine.finished());
    let mut bench = start(counted(1));
    bench.hear_after(1, 0);
    bench.run_to(22);
    assert!(bench.machine.finished(), "but not for long");
}

#[test]
fn a_deadline_ends_the_session_and_cuts_the_count_short() {
    let mut bench = start(SessionOptions {
        deadline: Some(Duration::from_millis(25)),
        ..counted(9)
    });
    for seq in 0..3 {
        bench.hear_after(seq * 10 + 1, seq);
    }
    bench.run_to(30);
    let summary = bench.summary();
    assert_eq!((summary.ended, summary.counts.sent), (Some(Ended::Deadline), 3));
    assert_eq!(summary.elapsed, Duration::from_millis(25));
    assert_eq!((summary.counts.lost(), summary.all_answered()), (0, false));
}

#[test]
fn delay_variation_is_between_consecutive_probes_only() {
    let unstamped = SessionOptions {
        departure_stamps: false,
        ..options(10)
    };
    let mut bench = start(unstamped);
    // Round trips of 1, 4 and, after one that was lost, 2 ms.
    bench.hear_after(1, 0);
    bench.hear_after(14, 1);
    bench.hear_after(32, 3);
    let ipdv = bench.summary().ipdv.expect("0 and 1 are neighbours");
    assert_eq!((ipdv.count, ipdv.max), (1, Nanos(3_000_000)));
    bench.hear_after(35, 2);
    assert_eq!(
        bench.summary().ipdv.map(|ipdv| ipdv.count),
        Some(3),
        "2 has two neighbours"
    );
}
