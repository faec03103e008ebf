//! Lost, late, twice: what became of a probe, and on which way.

use super::*;

#[test]
fn a_late_answer_takes_its_loss_back() {
    let mut bench = start(options(100));
    bench.run_to(51);
    assert_eq!(
        bench.exchanges()[0].verdict,
        lost(Direction::Unknown, LossCause::Timeout)
    );
    let before = bench.summary().counts;
    assert_eq!((before.answered, before.lost(), before.late), (0, 1, 0));
    bench.hear_after(60, 0);
    let after = bench.summary();
    assert_eq!(
        (after.counts.answered, after.counts.lost(), after.counts.late),
        (1, 0, 1)
    );
    assert_eq!(
        after.host.map(|host| host.max),
        Some(Nanos(60_000_000)),
        "its delay counts"
    );
    assert_eq!(bench.exchanges()[1].verdict, Verdict::Late);
    bench.run_to(400);
    let verdicts: Vec<_> = bench
        .settled()
        .iter()
        .filter(|e| e.seq.0 == 0)
        .map(|e| e.verdict.name())
        .collect();
    assert_eq!(verdicts, ["lost", "late"], "settled once more");
}

#[test]
fn who_watches_hears_of_each_probe_when_it_leaves_and_which_way_it_was_lost() {
    let told = |watched| {
        let mut bench = start(SessionOptions {
            watched,
            ..options(100)
        });
        bench.run_to(151);
        bench.hear(1, Some(reflection(2, 0b11, 2)));
        let events = bench.events();
        let extra = events.into_iter().filter_map(|event| match event {
            Event::Sent { seq, slot_error, .. } => Some(format!("sent {} {slot_error}", seq.0)),
            Event::Directed { seq, direction, .. } => Some(format!("{} {}", seq.0, direction.name())),
            _ => None,
        });
        extra.collect::<Vec<_>>()
    };
    assert_eq!(told(true), ["sent 0 0 ns", "sent 1 0 ns", "0 backward"]);
    assert!(told(false).is_empty(), "nobody else is bothered");
}

#[test]
fn where_questions_end_with_their_time_a_late_answer_is_none() {
    let mut bench = start(SessionOptions {
        discard_late: true,
        ..options(100)
    });
    bench.hear_after(60, 0);
    bench.run_to(101);
    bench.hear(1, None);
    let summary = bench.summary();
    let counts = summary.counts;
    assert_eq!((counts.answered, counts.lost(), counts.late), (1, 1, 0));
    assert_eq!(summary.unused.stale, 1);
    assert_eq!(summary.host.map(|host| host.max), Some(Nanos(1_000_000)));
}

#[test]
fn a_drained_session_asks_no_more_and_ends_with_its_last_answer() {
    for last in [Some(25), None] {
        let mut bench = start(options(10));
        bench.run_to(15);
        bench.give(Input::Drain);
        bench.hear_after(20, 0);
        assert!(!bench.machine.finished(), "the second is under way");
        last.into_iter().for_each(|ms| bench.hear_after(ms, 1));
        bench.run_to(500);
        let summary = bench.summary();
        assert_eq!(summary.ended, Some(Ended::Stopped));
        let answered = 1 + u64::from(last.is_some());
        assert_eq!((summary.counts.sent, summary.counts.answered), (2, answered));
    }
}

#[test]
fn an_answer_that_the_kernel_had_in_time_is_not_late_though_the_prober_slept() {
    let mut bench = start(options(1_000));
    let in_time = bench.stamp_at(bench.now + 49 * MS, StampSource::Kernel);
    bench.now += 80 * MS;
    bench.give(Input::Wake);
    assert_eq!(bench.summary().counts.lost(), 1);
    bench.hear_at(Ok(Heard::plain(0, 32)), way_back(), in_time);
    let counts = bench.summary().counts;
    assert_eq!((counts.answered, counts.late, counts.lost()), (1, 0, 0));
}

#[test]
fn a_second_answer_is_a_duplicate_and_changes_no_round_trip() {
    let mut bench = start(options(100));
    bench.hear_after(1, 0);
    bench.hear_after(5, 0);
    let summary = bench.summary();
    assert_eq!((summary.counts.answered, summary.counts.duplicates), (1, 1));
    assert_eq!(
        summary.host.map(|host| (host.count, host.max)),
        Some((1, Nanos(1_000_000)))
    );
    assert_eq!(bench.exchanges()[1].verdict, Verdict::Duplicate);
    assert_eq!(bench.exchanges()[1].host, Some(Nanos(5_000_000)));
}

#[test]
fn a_duplicate_of_the_request_arrived_twice_and_one_of_the_answer_once() {
    let mut bench = start(options(100));
    bench.run_to(1);
    let first = reflection(1, 1, 1);
    let again = Reflection {
        received_at: first.received_at.map(|at| at + Nanos(500)),
        ..first
    };
    for told in [first, again, first] {
        bench.hear(0, Some(told));
    }
    let counts = bench.summary().counts;
    assert_eq!(
        (
            counts.duplicates,
            counts.duplicates_forward,
            counts.duplicates_backward
        ),
        (2, 1, 1)
    );
}

#[test]
fn the_window_tells_which_way_a_probe_was_lost() {
    let mut bench = start(options(10));
    bench.run_to(31);
    // 1 arrived and its answer was lost, 2 never arrived.
    bench.hear(0, Some(reflection(1, 0b1, 1)));
    bench.hear(3, Some(reflection(3, 0b1101, 4)));
    bench.run_to(100);
    let verdicts: Vec<_> = bench
        .exchanges()
        .iter()
        .skip(2)
        .map(|e| (e.seq.0, e.verdict))
        .collect();
    assert_eq!(verdicts[0], (1, lost(Direction::Backward, LossCause::Timeout)));
    assert_eq!(verdicts[1], (2, lost(Direction::Forward, LossCause::Timeout)));
    let counts = bench.summary().counts;
    assert_eq!((counts.lost_forward, counts.lost_backward), (1, 1));
}

#[test]
fn a_window_that_comes_after_the_loss_still_tells() {
    let mut bench = start(options(10));
    bench.run_to(75);
    let before = bench.summary().counts;
    assert_eq!(
        (before.lost_unknown, before.lost_forward, before.lost_backward),
        (3, 0, 0)
    );
    bench.hear(3, Some(reflection(2, 0b1101, 4)));
    let after = bench.summary().counts;
    assert_eq!(
        (after.lost_unknown, after.lost_forward, after.lost_backward),
        (0, 1, 2)
    );
}

#[test]
fn a_long_outage_is_told_apart_by_the_count_where_the_window_does_not_reach() {
    let mut bench = start(options(1));
    bench.run_to(1);
    bench.hear(0, Some(reflection(1, 1, 1)));
    bench.run_to(300);
    bench.hear(300, Some(reflection(2, 1, 32)));
    bench.run_to(351);
    let counts = bench.summary().counts;
    assert_eq!((counts.lost_forward, counts.lost_backward), (299, 0));
}

#[test]
fn a_straggler_in_a_flood_is_given_up_when_its_place_is_needed() {
    let flood = SessionOptions {
        interval: Duration::ZERO,
        outstanding: 2,
        ..options(0)
    };
    let mut bench = start(flood);
    for seq in 1..=16_384 {
        bench.now += 100;
        bench.hear(seq, None);
    }
    let summary = bench.summary();
    assert_eq!((summary.counts.overrun, summary.counts.in_flight), (1, 2));
    let verdict = bench.exchanges().iter().find(|e| e.seq.0 == 0).map(|e| e.verdict);
    assert_eq!(verdict, Some(lost(Direction::Unknown, LossCause::Overrun)));
    let settled = bench
        .settled()
        .iter()
        .filter(|e| e.verdict == Verdict::Answered)
        .count();
    assert_eq!(
        settled, 2,
        "two more have left the ring; the others still wait for their departure"
    );
    bench.hear(0, None);
    assert_eq!(bench.summary().unused.stale, 1);
}

#[test]
fn what_is_in_flight_at_the_stop_is_not_lost() {
    let mut bench = start(options(10));
    bench.hear_after(55, 1);
    bench.give(Input::Stop);
    let summary = bench.summary();
    assert_eq!(summary.ended, Some(Ended::Stopped));
    assert_eq!(
        (
            summary.counts.sent,
            summary.counts.lost(),
            summary.counts.in_flight
        ),
        (6, 1, 4)
    );
    let open: Vec<_> = bench
        .settled()
        .iter()
        .filter(|e| e.verdict == Verdict::InFlight)
        .map(|e| e.seq.0)
        .collect();
    assert_eq!(open, [2, 3, 4, 5]);
    assert!(bench.machine.finished());
}

#[test]
fn a_duplicate_bears_its_own_residence() {
    let mut bench = start(options(10));
    bench.run_to(11);
    let follow_up = Some(FollowUp {
        low_bits: 0,
        residence: Nanos(7_000),
    });
    bench.hear(0, Some(reflection(1, 1, 1)));
    bench.hear(
        1,
        Some(Reflection {
            follow_up,
            ..reflection(2, 3, 2)
        }),
    );
    bench.hear(
        0,
        Some(Reflection {
            residence: Some(Nanos(2_000)),
            ..reflection(1, 1, 1)
        }),
    );
    let residences: Vec<_> = bench
        .exchanges()
        .iter()
        .map(|e| e.residence.map(|r| r.span))
        .collect();
    assert_eq!(residences, [1_000, 1_000, 2_000].map(|ns| Some(Nanos(ns))));
}
