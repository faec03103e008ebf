//! Hosts that refuse and clocks that step.

use super::*;
use crate::testing::WALL;
use halloo_base::Wall;

/// This host refuses to send a probe.
fn refusal(tag: u64) -> Input<'static> {
    let report = Unreachable {
        path: path(),
        tag: Some(TxTag(tag)),
        reporter: None,
        error: UnreachableError(113),
        mtu: None,
    };
    Input::Unreachable(report, &[])
}

/// A router reports what it quotes.
fn report(quoted: &[u8]) -> Input<'_> {
    let report = Unreachable {
        path: path(),
        tag: None,
        reporter: Some("192.0.2.254".parse().unwrap()),
        error: UnreachableError(113),
        mtu: None,
    };
    Input::Unreachable(report, quoted)
}

fn reported(bench: &Bench<DatagramSession>) -> Vec<Option<u64>> {
    let told = |event| match event {
        Event::Unreachable { seq, .. } => Some(seq.map(|seq| seq.0)),
        _ => None,
    };
    bench.events().into_iter().filter_map(told).collect()
}

#[test]
fn unreachable_is_told_and_counted_and_the_session_goes_on() {
    let mut bench = start(options(10));
    bench.give(report(&0u64.to_be_bytes()));
    bench.run_to(11);
    bench.give(refusal(1));
    bench.run_to(65);
    assert_eq!(bench.sent.len(), 7, "it keeps trying");
    let verdicts: Vec<_> = bench.exchanges().iter().map(|e| e.verdict).collect();
    assert_eq!(
        verdicts,
        [lost(Direction::Unknown, LossCause::Unreachable), Verdict::Unsent]
    );
    let summary = bench.summary();
    assert_eq!(summary.unreachable, [(UnreachableError(113), 2)]);
    assert_eq!((summary.counts.unsent, summary.counts.lost()), (1, 2));
    assert_eq!(reported(&bench), [Some(0), Some(1)]);
}

#[test]
fn what_the_network_refused_is_lost_at_once() {
    let mut bench = start(options(10));
    bench.run_to(11);
    bench.give(report(&1u64.to_be_bytes()));
    let told: Vec<_> = bench.exchanges().iter().map(|e| (e.seq.0, e.verdict)).collect();
    assert_eq!(told, [(1, lost(Direction::Unknown, LossCause::Unreachable))]);
    assert_eq!(bench.settled(), bench.exchanges());
    let counts = bench.summary().counts;
    assert_eq!((counts.lost_unknown, counts.in_flight), (1, 1));
    bench.give(report(&1u64.to_be_bytes()));
    assert_eq!(bench.summary().counts.lost_unknown, 1, "told twice, lost once");
}

#[test]
fn a_report_that_quotes_nothing_of_ours_loses_nothing() {
    let mut bench = start(options(10));
    for quoted in [&[][..], &[0; 4], &7u64.to_be_bytes(), &u64::MAX.to_be_bytes()] {
        bench.give(report(quoted));
    }
    assert_eq!(reported(&bench), [None; 4]);
    let summary = bench.summary();
    assert_eq!((summary.counts.in_flight, summary.counts.lost()), (1, 0));
    assert_eq!(summary.unreachable, [(UnreachableError(113), 4)]);
}

#[test]
fn a_flood_that_is_refused_goes_on_at_its_next_wake() {
    let mut bench = start(SessionOptions {
        outstanding: 1,
        ..options(0)
    });
    bench.give(report(&0u64.to_be_bytes()));
    assert_eq!(bench.sent.len(), 1, "a driver may be in the midst of sending");
    bench.give(Input::Wake);
    assert_eq!(bench.sent.len(), 2);
}

#[test]
fn a_report_on_a_probe_that_was_given_up_is_no_second_verdict() {
    for late in [refusal(0), report(&0u64.to_be_bytes())] {
        let mut bench = start(options(1_000));
        bench.run_to(51);
        bench.give(late);
        let timeout = lost(Direction::Unknown, LossCause::Timeout);
        let told: Vec<_> = bench.exchanges().iter().map(|e| e.verdict).collect();
        assert_eq!(told, [timeout]);
        assert_eq!(
            reported(&bench),
            [None],
            "why the path fails, not what became of the probe"
        );
        let summary = bench.summary();
        assert_eq!((summary.counts.lost_unknown, summary.counts.unsent), (1, 0));
        assert_eq!(summary.unreachable, [(UnreachableError(113), 1)]);
    }
}

#[test]
fn nobody_waits_at_the_end_for_what_cannot_be_reached() {
    let mut bench = start(counted(1));
    bench.give(report(&0u64.to_be_bytes()));
    assert!(bench.machine.finished());
    assert_eq!(bench.summary().counts.lost(), 1);
    assert!(!bench.summary().all_answered());
    let mut bench = start(counted(1));
    bench.give(refusal(0));
    assert!(bench.machine.finished());
    assert_eq!(bench.summary().counts.unsent, 1);
}

#[test]
fn an_answer_is_better_news_than_a_refusal() {
    let mut bench = start(counted(2));
    bench.give(report(&0u64.to_be_bytes()));
    bench.hear_after(1, 0);
    bench.hear_after(11, 1);
    bench.run_to(40);
    let summary = bench.summary();
    assert_eq!(
        (summary.ended, summary.counts.answered, summary.counts.lost()),
        (Some(Ended::Complete), 2, 0)
    );
    assert_eq!(summary.counts.late, 0, "it came in time");
    assert!(
        !summary.all_answered(),
        "but somebody said that it was out of reach"
    );
}

#[test]
fn a_request_that_cannot_be_made_ends_the_session_and_says_so() {
    let mut bench = start(SessionOptions {
        size: 4,
        ..options(10)
    });
    let summary = bench.summary();
    assert_eq!(
        (summary.ended, summary.counts.unsent),
        (Some(Ended::Unsendable), 1)
    );
    assert!(bench.sent.is_empty());
    assert!(bench.machine.finished());
}

#[test]
fn a_step_of_the_wall_clock_marks_the_exchange_and_no_other() {
    let mut bench = start(options(10));
    bench.hear_after(1, 0);
    bench.run_to(11);
    bench.stepped = 3_000_000;
    bench.hear(1, None);
    bench.hear_after(21, 2);
    let marked: Vec<_> = bench.exchanges().iter().map(|e| e.clock_stepped).collect();
    assert_eq!(marked, [false, true, false]);
    let counts = bench.summary().counts;
    assert_eq!(
        (counts.clock_steps, counts.clock_stepped_by),
        (1, Nanos(3_000_000))
    );
    assert_eq!(bench.exchanges()[1].host, Some(Nanos(1_000_000)), "monotonic");
}

#[test]
fn a_kernel_stamp_that_a_step_moved_is_not_believed() {
    let mut bench = start(options(10));
    bench.run_to(1);
    bench.stepped = 500_000_000;
    // Taken on the wall clock before the step, read back with the distance of the clocks after it.
    bench.depart(0, 1_000 * MS - 500_000_000);
    bench.hear(0, None);
    let summary = bench.summary();
    assert_eq!((summary.wire, summary.counts.wire_spoilt), (None, 1));
    assert_eq!(summary.host.map(|host| host.max), Some(Nanos(1_000_000)));
}

#[test]
fn a_wire_time_below_zero_is_zero_and_counted() {
    let mut bench = start(options(10));
    bench.depart(0, bench.now);
    bench.now += 5_000;
    let follow_up = Some(FollowUp {
        low_bits: 0,
        residence: Nanos(900_000),
    });
    bench.hear(
        0,
        Some(Reflection {
            follow_up,
            ..reflection(1, 1, 1)
        }),
    );
    let summary = bench.summary();
    assert_eq!(summary.counts.wire_negative, 1);
    assert_eq!(summary.wire.map(|wire| wire.min), Some(Nanos(0)));
}

#[test]
fn a_departure_stamped_on_another_wall_clock_marks_its_exchange() {
    let mut bench = start(options(10));
    bench.stepped = -200_000;
    bench.depart(0, bench.now + 10_000);
    bench.stepped = 0;
    bench.hear_after(1, 0);
    assert!(bench.exchanges()[0].clock_stepped);
    assert_eq!(
        bench.summary().counts.clock_steps,
        0,
        "it was stepped back before anybody looked"
    );
}

#[test]
fn a_step_of_our_own_clock_is_neither_a_delay_nor_the_responders() {
    let mut bench = start(options(10));
    for seq in 0..40u64 {
        bench.run_to(seq * 10 + 4);
        let responder = WALL + bench.now - 3 * MS;
        bench.stepped = if seq < 20 { 0 } else { 80_000_000 };
        // What left before the step and is settled after it cannot be compared with what came since.
        if seq != 18 {
            bench.depart(seq, 1_000 * MS + seq * 10 * MS);
        }
        let told = reflection(seq as u32 + 1, 1, 1);
        bench.hear(
            seq,
            Some(Reflection {
                received_at: Some(Wall(responder)),
                ..told
            }),
        );
    }
    bench.run_to(600);
    let one_way = bench.summary().one_way.expect("T1 to T4 are known");
    assert_eq!(one_way.remote_steps, 0);
    assert_eq!(
        (one_way.forward.queueing.max, one_way.backward.queueing.max),
        (Nanos(0), Nanos(0))
    );
    assert!(
        (one_way.offset + Nanos(80_000_000)).abs() <= one_way.error,
        "{:?}",
        one_way.offset
    );
}

#[test]
fn an_arrival_stamped_on_another_wall_clock_marks_its_exchange() {
    let mut bench = start(options(10));
    bench.run_to(1);
    bench.stepped = 200_000;
    let at = bench.stamp_at(bench.now - 2_000, StampSource::Kernel);
    bench.stepped = 0;
    bench.hear_at(Ok(Heard::plain(0, 32)), way_back(), at);
    assert!(bench.exchanges()[0].clock_stepped);
}
