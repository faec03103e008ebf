//! Connections that end as their protocol has it.

use super::{REFUSED, breaks, close};
use crate::testing::{Bench, MS, options, parting_streams};
use crate::{Break, Counts, Ended, Event, LossCause, SessionOptions, StreamSession, Verdict};
use halloo_base::{Input, Nanos};
use std::time::Duration;

fn start(options: SessionOptions, pipelines: bool) -> Bench<StreamSession> {
    let mut bench = parting_streams(options, pipelines);
    bench.give(Input::Wake);
    bench.open(0);
    bench
}

fn asked(bench: &Bench<StreamSession>) -> Vec<u64> {
    bench.sent.iter().map(|sent| sent.0).collect()
}

/// What must be zero where nothing is wrong.
fn wrong(counts: &Counts) -> [u64; 5] {
    [
        counts.lost(),
        counts.broken,
        counts.connect_failures,
        counts.duplicates,
        counts.slots_missed,
    ]
}

#[test]
fn the_slot_after_the_last_answer_opens_another_connection_and_nothing_is_lost() {
    let mut bench = start(options(10), true);
    bench.run_to(1);
    bench.data(0, b"#");
    bench.run_to(9);
    assert_eq!(bench.outputs, ["connect 0", "write 0", "finish 0"]);
    bench.run_to(10);
    assert_eq!(bench.outputs[3..], ["abort 0", "connect 1"], "it had its time");
    bench.run_to(13);
    bench.open(1);
    bench.run_to(14);
    bench.data(1, b"!");
    bench.run_to(19);
    let summary = bench.summary();
    let counts = summary.counts;
    assert_eq!((counts.sent, counts.answered, counts.reconnects), (2, 2, 1));
    assert_eq!((wrong(&counts), counts.slots_busy), ([0; 5], 0));
    assert!(summary.unreachable.is_empty() && breaks(&bench).is_empty());
    let second = bench.exchanges()[1];
    assert_eq!(second.host, Some(Nanos(1_000_000)), "from the request on");
    assert_eq!(
        second.intended,
        Some(Nanos(4_000_000)),
        "the time to connect is in it"
    );
    let renewed: Vec<_> = bench
        .events()
        .into_iter()
        .filter_map(|event| match event {
            Event::Renewed { connect, .. } => Some(connect),
            _ => None,
        })
        .collect();
    assert_eq!(renewed, [Nanos(3_000_000)]);
    let connect = summary.connect.expect("it connected twice");
    assert_eq!((connect.count, connect.max), (2, Nanos(3_000_000)));
}

#[test]
fn what_the_last_connection_left_unanswered_is_asked_again() {
    let mut bench = start(options(10), true);
    bench.run_to(25);
    bench.data(0, b"#");
    assert_eq!(
        bench.outputs[4..],
        ["finish 0", "abort 0", "connect 1"],
        "at once"
    );
    bench.run_to(27);
    bench.open(1);
    assert_eq!(asked(&bench), [0, 1, 2, 1, 2]);
    bench.run_to(28);
    bench.data(1, b"!!");
    let counts = bench.summary().counts;
    assert_eq!((counts.sent, counts.answered), (3, 3));
    assert_eq!(wrong(&counts), [0; 5]);
    let trips: Vec<_> = bench.exchanges().iter().map(|exchange| exchange.host).collect();
    let ms = |span: u64| Some(Nanos((span * MS) as i64));
    assert_eq!(trips, [ms(25), ms(18), ms(8)], "from the first asking on");
}

#[test]
fn what_was_given_up_meanwhile_is_not_asked_again() {
    let mut bench = start(options(30), true);
    bench.run_to(40);
    bench.data(0, b"#");
    bench.run_to(85);
    assert_eq!(bench.summary().counts.lost(), 1, "the second, at 80 ms");
    bench.open(1);
    assert_eq!(asked(&bench), [0, 1, 2], "the third waited for the connection");
    bench.data(1, b"!");
    let counts = bench.summary().counts;
    assert_eq!((counts.answered, counts.lost()), (2, 1));
    assert_eq!(bench.exchanges().last().map(|exchange| exchange.seq.0), Some(2));
}

#[test]
fn where_requests_wait_for_answers_slots_wait_too_and_those_that_pass_are_told_apart() {
    let mut bench = start(options(10), false);
    bench.run_to(35);
    assert_eq!(asked(&bench), [0]);
    bench.data(0, b"!");
    assert_eq!(asked(&bench), [0, 1]);
    bench.data(0, b"!");
    let intended: Vec<_> = bench
        .exchanges()
        .iter()
        .map(|exchange| exchange.intended)
        .collect();
    let ms = |span: u64| Some(Nanos((span * MS) as i64));
    assert_eq!(intended, [ms(35), ms(25)], "the second was due at 10 ms");
    bench.run_to(45);
    assert_eq!(asked(&bench), [0, 1, 2], "on time again");
    let counts = bench.summary().counts;
    assert_eq!((wrong(&counts), counts.slots_busy), ([0; 5], 2), "20 and 30 ms");
}

#[test]
fn an_answer_that_was_given_up_does_not_keep_the_next_request_waiting() {
    let mut bench = start(options(10), false);
    bench.run_to(49);
    assert_eq!(bench.outputs, ["connect 0", "write 0"]);
    bench.run_to(50);
    assert_eq!(bench.outputs[2..], ["abort 0", "connect 1"]);
    bench.open(1);
    assert_eq!(asked(&bench), [0, 1]);
    let counts = bench.summary().counts;
    assert_eq!((counts.lost(), counts.broken, counts.slots_busy), (1, 0, 4));
    assert_eq!(breaks(&bench), []);
}

#[test]
fn an_answer_may_come_late_until_the_next_slot_needs_the_connection() {
    let mut bench = start(options(100), false);
    bench.run_to(60);
    bench.data(0, b"!");
    let counts = bench.summary().counts;
    assert_eq!((counts.answered, counts.late), (1, 1));
    bench.run_to(199);
    assert_eq!(asked(&bench), [0, 1]);
    assert_eq!(bench.summary().counts.lost(), 1);
    bench.run_to(200);
    assert_eq!(bench.outputs[3..], ["abort 0", "connect 1"]);
}

#[test]
fn requests_that_wait_on_a_new_connection_are_given_up_with_it() {
    let mut bench = start(options(20), true);
    bench.run_to(45);
    // The prober has learnt that one answer is all that a connection brings.
    bench.machine.prober = Box::new(crate::testing::Parting::default());
    bench.data(0, b"#");
    bench.open(1);
    assert_eq!(asked(&bench), [0, 1, 2, 1], "the third waits for the second");
    bench.run_to(71);
    let counts = bench.summary().counts;
    assert_eq!((counts.answered, counts.lost()), (1, 1), "the second, at 70 ms");
    assert_eq!(bench.outputs.last().map(String::as_str), Some("connect 2"));
    bench.open(2);
    bench.data(2, b"!");
    let counts = bench.summary().counts;
    assert_eq!((counts.answered, counts.lost()), (2, 1));
}

#[test]
fn the_end_of_a_connection_may_be_the_end_of_an_answer() {
    let mut bench = start(options(10), true);
    bench.data(0, b"(((");
    bench.run_to(2);
    bench.part(0);
    let summary = bench.summary();
    assert_eq!((summary.counts.answered, wrong(&summary.counts)), (1, [0; 5]));
    let exchange = bench.exchanges()[0];
    assert_eq!((exchange.bytes, exchange.host), (3, Some(Nanos(2_000_000))));
    assert_eq!(bench.outputs.last().map(String::as_str), Some("finish 0"));
    let mut nothing_asked = start(options(10), true);
    nothing_asked.data(0, b"!(");
    nothing_asked.part(0);
    assert!(matches!(breaks(&nothing_asked)[..], [(Break::Foreign(_), 0)]));
}

#[test]
fn a_connection_may_end_between_answers_but_not_before_the_first() {
    let mut bench = start(options(10), true);
    bench.data(0, b"!");
    bench.run_to(5);
    bench.part(0);
    bench.run_to(9);
    assert_eq!(bench.outputs, ["connect 0", "write 0", "finish 0"]);
    bench.run_to(10);
    bench.open(1);
    bench.data(1, b"!");
    bench.run_to(25);
    // A request was on its way when the peer closed.
    bench.part(1);
    bench.open(2);
    assert_eq!(asked(&bench), [0, 1, 2, 2]);
    assert_eq!(wrong(&bench.summary().counts), [0; 5]);
    bench.part(2);
    assert_eq!(breaks(&bench), [(Break::Finished, 1)]);
}

#[test]
fn a_connection_that_cannot_be_renewed_is_a_broken_one() {
    let mut bench = start(options(10), true);
    bench.run_to(12);
    bench.data(0, b"#");
    bench.run_to(35);
    assert_eq!(bench.summary().counts.unsent, 0, "slots wait for the connection");
    close(&mut bench, 1, REFUSED);
    assert!(matches!(breaks(&bench)[..], [(Break::Closed(REFUSED), 1)]));
    let counts = bench.summary().counts;
    assert_eq!((counts.unsent, counts.slots_busy), (1, 1), "at 20 and 30 ms");
    let verdict = bench.exchanges()[1].verdict;
    assert!(matches!(
        verdict,
        Verdict::Lost {
            cause: LossCause::Connection,
            ..
        }
    ));
    bench.run_to(45);
    assert_eq!(bench.summary().counts.unsent, 2, "as after every break");
}

#[test]
fn a_renewal_that_does_not_come_up_is_given_up() {
    let mut bench = start(options(100), true);
    bench.data(0, b"#");
    bench.run_to(1_099);
    assert_eq!(breaks(&bench), []);
    bench.run_to(1_101);
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
    let counts = bench.summary().counts;
    assert_eq!((counts.unsent, counts.slots_busy + counts.unsent), (1, 11));
}

#[test]
fn a_flood_asks_a_parting_server_one_by_one() {
    let flood = SessionOptions {
        interval: Duration::ZERO,
        outstanding: 3,
        count: 5,
        ..options(0)
    };
    let mut bench = start(flood, false);
    for conn in 0..5 {
        bench.run_to(conn * 2 + 1);
        bench.data(conn, b"#");
        bench.open(conn + 1);
    }
    bench.run_to(50);
    let summary = bench.summary();
    assert_eq!(
        (summary.ended, summary.counts.answered),
        (Some(Ended::Complete), 5)
    );
    assert_eq!((wrong(&summary.counts), summary.counts.slots_busy), ([0; 5], 0));
    assert!(summary.all_answered());
    assert!(
        !bench.outputs.contains(&"connect 5".to_owned()),
        "nothing was left to ask"
    );
}

#[test]
fn a_peer_that_sends_on_after_its_last_answer_is_cut_off() {
    let mut bench = start(options(10), true);
    bench.data(0, b"#and more");
    assert_eq!(bench.outputs.last().map(String::as_str), Some("finish 0"));
    bench.data(0, b"and more");
    bench.data(0, b"and more");
    assert_eq!(bench.outputs[2..], ["finish 0", "abort 0"]);
    assert_eq!(wrong(&bench.summary().counts), [0; 5]);
}

#[test]
fn a_session_ends_between_connections_and_while_it_renews_one() {
    let mut idle = start(options(10), true);
    idle.data(0, b"#");
    let mut renewing = start(options(10), true);
    renewing.data(0, b"#");
    renewing.run_to(10);
    for (bench, last) in [(&mut idle, "finish 0"), (&mut renewing, "abort 1")] {
        bench.give(Input::Stop);
        let summary = bench.summary();
        assert_eq!(summary.ended, Some(Ended::Stopped));
        assert_eq!((summary.counts.sent, summary.counts.answered), (1, 1));
        assert_eq!(bench.outputs.last().map(String::as_str), Some(last));
    }
}

#[test]
fn what_waits_to_be_asked_again_cannot_be_answered_yet() {
    let mut bench = start(options(10), true);
    bench.run_to(25);
    bench.machine.prober = Box::new(crate::testing::Parting::default());
    bench.data(0, b"#");
    bench.open(1);
    assert_eq!(asked(&bench), [0, 1, 2, 1]);
    // The second of these answers the third probe before it is asked.
    bench.data(1, b"!!");
    assert!(matches!(breaks(&bench)[..], [(Break::Foreign(_), 1)]));
    assert_eq!(bench.summary().counts.answered, 2);
}

#[test]
fn a_request_that_waited_until_it_was_given_up_is_passed_over() {
    let mut bench = start(options(10), true);
    bench.run_to(35);
    bench.machine.prober = Box::new(crate::testing::Parting::default());
    bench.data(0, b"#");
    bench.open(1);
    assert_eq!(asked(&bench), [0, 1, 2, 3, 1]);
    // This host slept until the time of the third, due at 20 ms, was over.
    bench.now += 40 * MS;
    bench.data(1, b"!");
    assert_eq!(asked(&bench), [0, 1, 2, 3, 1, 3]);
    bench.data(1, b"!");
    let answered: Vec<_> = bench
        .exchanges()
        .iter()
        .filter(|exchange| exchange.t4.is_some())
        .map(|exchange| exchange.seq.0)
        .collect();
    assert_eq!(answered, [0, 1, 3]);
}
