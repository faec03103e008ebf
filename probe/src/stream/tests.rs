use crate::testing::{Bench, MS, nameless_streams, options, streams};
use crate::{Break, Direction, Ended, Event, LossCause, SessionOptions, StreamSession, Verdict};
use halloo_base::{CloseReason, ConnId, Input, Machine, Nanos, StreamInput, UnreachableError};
use std::time::Duration;

mod renewal;
mod times;

fn start(options: SessionOptions) -> Bench<StreamSession> {
    let mut bench = streams(options);
    bench.give(Input::Wake);
    bench
}

fn close(bench: &mut Bench<StreamSession>, conn: u64, why: CloseReason) {
    bench.give(Input::Stream(ConnId(conn), StreamInput::Closed(why)));
}

fn breaks(bench: &Bench<StreamSession>) -> Vec<(Break, u64)> {
    let told = |event| {
        if let Event::Broken { why, lost, .. } = event {
            Some((why, lost))
        } else {
            None
        }
    };
    bench.events().into_iter().filter_map(told).collect()
}

const RESET: CloseReason = CloseReason::Broken(UnreachableError(104));
const REFUSED: CloseReason = CloseReason::ConnectFailed(UnreachableError(111));

/// Runs until the session connects again.
fn reconnect(bench: &mut Bench<StreamSession>, conn: u64) {
    while bench.outputs.last() != Some(&format!("connect {conn}")) {
        let next = bench.machine.deadline().expect("it will try again");
        bench.run_to_ns(next.at.0);
    }
}

fn last_wait(bench: &Bench<StreamSession>) -> Duration {
    let told = |event| {
        if let Event::Broken { retry_in, .. } = event {
            Some(retry_in)
        } else {
            None
        }
    };
    bench
        .events()
        .into_iter()
        .rev()
        .find_map(told)
        .expect("it was told")
}

#[test]
fn slots_begin_when_the_connection_is_up_and_its_time_is_told_apart() {
    let mut bench = start(options(10));
    bench.run_to(8);
    assert_eq!(bench.outputs, ["connect 0"]);
    bench.open(0);
    assert_eq!(bench.outputs, ["connect 0", "write 0"]);
    bench.run_to(9);
    bench.data(0, &[0, b'.']);
    let summary = bench.summary();
    assert_eq!(summary.connect.map(|connect| connect.max), Some(Nanos(8_000_000)));
    assert_eq!(summary.host.map(|host| host.max), Some(Nanos(1_000_000)));
    assert_eq!(
        summary.intended.map(|intended| intended.max),
        Some(Nanos(1_000_000))
    );
    assert!(bench.events().iter().any(|event| matches!(
        event,
        Event::Opened {
            connect: Nanos(8_000_000),
            ..
        }
    )));
}

#[test]
fn many_exchanges_share_one_connection() {
    let mut bench = start(SessionOptions {
        count: 5,
        ..options(10)
    });
    bench.open(0);
    for seq in 0..5u8 {
        bench.run_to(u64::from(seq) * 10 + 1);
        bench.depart(u64::from(seq), bench.now - MS / 2);
        bench.data(0, &[seq, b'.']);
    }
    let summary = bench.summary();
    assert_eq!(
        (summary.ended, summary.counts.answered),
        (Some(Ended::Complete), 5)
    );
    assert!(summary.all_answered() && bench.machine.finished());
    assert_eq!(bench.outputs.last().map(String::as_str), Some("finish 0"));
    assert_eq!(
        bench
            .outputs
            .iter()
            .filter(|output| *output == "connect 0")
            .count(),
        1
    );
    assert_eq!(summary.wire.map(|wire| wire.max), Some(Nanos(498_000)));
}

#[test]
fn answers_split_and_merged_by_the_network_are_told_apart() {
    let mut bench = start(options(10));
    bench.open(0);
    bench.run_to(25);
    bench.data(0, &[0]);
    bench.data(0, &[b'.', 1, b'.', 2]);
    assert_eq!(bench.summary().counts.answered, 2);
    bench.data(0, b".");
    assert_eq!(bench.summary().counts.answered, 3);
    assert_eq!(
        bench.exchanges().iter().map(|e| e.seq.0).collect::<Vec<_>>(),
        [0, 1, 2]
    );
    assert!(
        bench.exchanges().iter().all(|exchange| exchange.bytes == 2),
        "the whole answer, not its last piece"
    );
}

#[test]
fn a_broken_connection_loses_what_was_on_it_and_is_made_again() {
    let mut bench = start(options(10));
    bench.open(0);
    bench.run_to(15);
    close(&mut bench, 0, RESET);
    assert_eq!(breaks(&bench), [(Break::Closed(RESET), 2)]);
    let verdict = Verdict::Lost {
        direction: Direction::Unknown,
        cause: LossCause::Connection,
    };
    assert!(bench.exchanges().iter().all(|e| e.verdict == verdict));
    bench.run_to(120);
    assert_eq!(bench.outputs.last().map(String::as_str), Some("connect 1"));
    bench.open(1);
    bench.run_to(131);
    let seq = bench
        .sent
        .last()
        .map(|(seq, _)| *seq as u8)
        .expect("it asks again");
    bench.data(1, &[seq, b'.']);
    let counts = bench.summary().counts;
    assert_eq!(
        (counts.broken, counts.reconnects, counts.connect_failures),
        (1, 1, 0)
    );
    assert_eq!((counts.lost_connection, counts.answered), (2, 1));
    assert_eq!(
        counts.unsent,
        10 + 1,
        "slots at 20, 30, ... 120 found no connection"
    );
    assert_eq!(counts.lost(), counts.lost_connection + counts.unsent);
}

#[test]
fn a_server_that_is_not_there_is_counted_slot_by_slot() {
    let mut bench = start(SessionOptions {
        count: 3,
        ..options(10)
    });
    bench.run_to(1);
    close(&mut bench, 0, REFUSED);
    bench.run_to(60);
    let summary = bench.summary();
    assert_eq!(
        (summary.ended, summary.counts.unsent, summary.counts.lost()),
        (Some(Ended::Complete), 3, 3)
    );
    assert_eq!(summary.unreachable, [(UnreachableError(111), 1)]);
    assert!(bench.exchanges().iter().all(|e| e.verdict == Verdict::Unsent));
    assert!(!summary.all_answered());
}

#[test]
fn waits_grow_while_connecting_fails_and_shrink_only_with_an_answer() {
    let mut bench = start(options(1_000_000));
    let mut waits = Vec::new();
    for conn in 0..8 {
        if conn == 4 {
            // It comes up, but nothing answers: no reason to hurry.
            bench.open(conn);
            close(&mut bench, conn, RESET);
        } else {
            close(&mut bench, conn, REFUSED);
        }
        waits.push(last_wait(&bench).as_millis());
        reconnect(&mut bench, conn + 1);
    }
    for (wait, step) in waits.iter().zip([100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000]) {
        assert!((step / 2..=step).contains(wait), "{wait} of {step}");
    }
}

#[test]
fn a_connection_that_does_not_come_up_is_given_up() {
    let mut bench = start(options(10));
    bench.run_to(999);
    assert_eq!(bench.outputs, ["connect 0"]);
    bench.run_to(1_000);
    assert_eq!(bench.outputs[..2], ["connect 0", "abort 0"]);
    let after = Duration::from_secs(1);
    assert_eq!(
        breaks(&bench),
        [(
            Break::ConnectTimeout {
                after,
                connected: false
            },
            0
        )]
    );
    // It comes up after all: nobody cares.
    bench.open(0);
    assert!(bench.sent.is_empty());
}

#[test]
fn bytes_that_are_no_answer_end_the_connection() {
    for bytes in [&b"xx"[..], &[77, b'.']] {
        let mut bench = start(options(10));
        bench.open(0);
        bench.data(0, bytes);
        assert_eq!(bench.outputs.last().map(String::as_str), Some("abort 0"));
        assert!(matches!(breaks(&bench)[..], [(Break::Foreign(_), 1)]));
        assert_eq!(bench.summary().unused.foreign, 1);
    }
}

#[test]
fn messages_that_are_no_answers_are_counted_and_passed_over() {
    let mut bench = start(options(10));
    bench.open(0);
    bench.data(0, &[0]);
    bench.data(0, &[b',', 9, b',', 0, b'.']);
    let summary = bench.summary();
    assert_eq!((summary.unused.bad_auth, summary.counts.answered), (2, 1));
    assert_eq!(breaks(&bench), []);
    let sizes: Vec<_> = bench.exchanges().iter().map(|exchange| exchange.bytes).collect();
    assert_eq!(sizes, [2], "of the answer alone");
}

#[test]
fn a_peer_that_will_send_no_more_is_left() {
    let mut bench = start(options(10));
    bench.open(0);
    bench.give(Input::Stream(ConnId(0), StreamInput::Finished));
    assert_eq!(breaks(&bench), [(Break::Finished, 1)]);
}

#[test]
fn an_answer_after_the_timeout_is_late_also_where_answers_bear_no_number() {
    let mut bench = nameless_streams(options(100));
    bench.give(Input::Wake);
    bench.open(0);
    bench.run_to(101);
    assert_eq!(bench.summary().counts.lost(), 1);
    bench.data(0, b"!!");
    let counts = bench.summary().counts;
    assert_eq!((counts.answered, counts.late, counts.lost()), (2, 1, 0));
    bench.data(0, b"!");
    assert!(
        matches!(breaks(&bench)[..], [(Break::Foreign(_), 0)]),
        "nothing was asked"
    );
}

#[test]
fn an_answer_belongs_to_its_own_connection() {
    let mut bench = start(options(10));
    bench.open(0);
    close(&mut bench, 0, RESET);
    bench.run_to(120);
    bench.open(1);
    bench.data(1, &[0, b'.']);
    assert_eq!(bench.summary().counts.answered, 0);
    assert_eq!(breaks(&bench).len(), 2, "that was asked on another");
}

#[test]
fn a_flood_waits_for_its_connection() {
    let flood = SessionOptions {
        interval: Duration::ZERO,
        outstanding: 3,
        ..options(0)
    };
    let mut bench = start(flood);
    bench.run_to(5);
    bench.open(0);
    assert_eq!(bench.sent.len(), 3);
    close(&mut bench, 0, RESET);
    bench.run_to(40);
    let counts = bench.summary().counts;
    assert_eq!((counts.sent, counts.lost_connection, counts.unsent), (3, 3, 0));
}

#[test]
fn a_drained_session_asks_no_more_in_any_state() {
    let mut up = start(options(10));
    up.open(0);
    up.give(Input::Drain);
    up.run_to(20);
    assert!(!up.machine.finished(), "one is under way");
    up.data(0, &[0, b'.']);
    up.run_to(500);
    let counts = up.summary().counts;
    assert_eq!((counts.sent, counts.answered), (1, 1));
    let mut connecting = start(options(10));
    connecting.give(Input::Drain);
    assert!(connecting.machine.finished());
    assert_eq!(connecting.outputs, ["connect 0", "abort 0"]);
    for bench in [&mut up, &mut connecting] {
        assert_eq!(bench.summary().ended, Some(Ended::Stopped));
    }
}

#[test]
fn a_stop_ends_the_session_in_any_state() {
    for opened in [false, true] {
        let mut bench = start(options(10));
        if opened {
            bench.open(0);
        }
        bench.give(Input::Stop);
        assert!(bench.machine.finished());
        let summary = bench.summary();
        assert_eq!(
            (summary.ended, summary.counts.in_flight),
            (Some(Ended::Stopped), u64::from(opened))
        );
        let last = if opened { "finish 0" } else { "abort 0" };
        assert_eq!(bench.outputs.last().map(String::as_str), Some(last));
    }
}

#[test]
fn an_answer_makes_the_next_wait_short_again() {
    let mut bench = start(options(1_000_000));
    for conn in 0..5 {
        close(&mut bench, conn, REFUSED);
        reconnect(&mut bench, conn + 1);
    }
    assert!(last_wait(&bench) >= Duration::from_millis(800));
    // The one slot so far passed without a connection; the next comes much later.
    bench.open(5);
    bench.run_to(1_000_001);
    bench.data(5, &[1, b'.']);
    assert_eq!(bench.summary().counts.answered, 1);
    close(&mut bench, 5, RESET);
    assert!(last_wait(&bench) <= Duration::from_millis(100));
}

#[test]
fn half_an_answer_dies_with_its_connection() {
    let mut bench = start(options(10));
    bench.open(0);
    bench.data(0, &[0]);
    close(&mut bench, 0, RESET);
    reconnect(&mut bench, 1);
    bench.open(1);
    let slot = bench.machine.deadline().expect("a slot comes").at;
    bench.run_to_ns(slot.0);
    let seq = bench
        .sent
        .last()
        .map(|(seq, _)| *seq as u8)
        .expect("it asks again");
    bench.data(1, &[seq, b'.']);
    assert_eq!(bench.summary().counts.answered, 1);
}

#[test]
fn a_connection_has_as_long_to_come_up_as_an_answer_to_come() {
    let mut bench = start(SessionOptions {
        lost_after: Duration::from_millis(2_500),
        ..options(1_000)
    });
    bench.run_to(2_501);
    let after = Duration::from_millis(2_500);
    assert_eq!(
        breaks(&bench),
        [(
            Break::ConnectTimeout {
                after,
                connected: false
            },
            0
        )]
    );
}

#[test]
fn slots_do_not_wait_for_a_first_connection_that_does_not_come_up() {
    let mut bench = start(SessionOptions {
        lost_after: Duration::from_secs(5),
        ..options(100)
    });
    bench.run_to(999);
    assert_eq!(bench.summary().counts.sent, 0, "it may still come up in time");
    bench.run_to(1_250);
    let counts = bench.summary().counts;
    assert_eq!((counts.sent, counts.unsent), (3, 3), "at 1000, 1100 and 1200 ms");
    bench.open(0);
    bench.run_to(1_301);
    assert_eq!(bench.sent.iter().map(|sent| sent.0).collect::<Vec<_>>(), [3]);
    let counts = bench.summary().counts;
    assert_eq!((counts.sent, counts.unsent, counts.slots_missed), (4, 3, 0));
}

#[test]
fn a_session_that_never_had_a_connection_never_reads_as_if_nothing_was_lost() {
    for (interval, deadline_ms, unsent) in [
        (1_000, 2_000, 1),
        (100, 2_000, 10),
        (1_000, 300, 1),
        (0, 2_000, 1),
    ] {
        let mut bench = start(SessionOptions {
            deadline: Some(Duration::from_millis(deadline_ms)),
            lost_after: Duration::from_secs(5),
            ..options(interval)
        });
        bench.run_to(deadline_ms);
        let summary = bench.summary();
        assert_eq!(summary.ended, Some(Ended::Deadline));
        let counts = summary.counts;
        assert_eq!(
            (counts.sent, counts.unsent),
            (unsent, unsent),
            "every {interval} ms"
        );
        assert_eq!(
            (summary.connect, counts.connect_failures),
            (None, 0),
            "cut off, not failed"
        );
        assert!(bench.exchanges().iter().all(|e| e.verdict == Verdict::Unsent));
    }
}
