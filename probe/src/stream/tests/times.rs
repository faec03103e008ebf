//! What of a probe's time was spent on what: connecting, TLS, waiting for the first of the answer, and all of it.

use super::*;
use crate::Opening;
use crate::testing::parting_streams;
use halloo_base::Mono;

fn ms(span: u64) -> Nanos {
    Nanos((span * MS) as i64)
}

/// Opens the connection in two steps, the second of which is TLS.
fn secured(bench: &mut Bench<StreamSession>, conn: u64, connected: u64, opened: u64) {
    bench.run_to(connected);
    bench.connected(conn);
    bench.run_to(opened);
    bench.open(conn);
}

#[test]
fn connecting_and_tls_are_told_apart() {
    let mut bench = streams(options(10));
    bench.run_to(0);
    secured(&mut bench, 0, 3, 8);
    bench.run_to(9);
    bench.data(0, &[0, b'.']);
    let summary = bench.summary();
    assert_eq!(summary.connect.map(|took| took.max), Some(ms(3)));
    assert_eq!(summary.secure.map(|took| took.max), Some(ms(5)));
    assert!(bench.events().iter().any(|event| matches!(
        event,
        Event::Opened { connect, secure, .. } if (*connect, *secure) == (ms(3), Some(ms(5)))
    )));
}

#[test]
fn without_tls_there_is_nothing_to_tell_of_it() {
    let mut bench = streams(options(10));
    bench.run_to(8);
    bench.open(0);
    let summary = bench.summary();
    assert_eq!(summary.connect.map(|took| took.max), Some(ms(8)));
    assert_eq!(summary.secure, None);
}

#[test]
fn a_peer_that_connects_and_is_silent_under_tls_is_told_from_one_that_is_not_there() {
    let mut bench = streams(options(10));
    bench.run_to(3);
    bench.connected(0);
    bench.run_to(1_001);
    let broken = bench.events().into_iter().find_map(|event| match event {
        Event::Broken { why, .. } => Some(why),
        _ => None,
    });
    let after = Duration::from_secs(1);
    assert_eq!(
        broken,
        Some(Break::ConnectTimeout {
            after,
            connected: true
        })
    );
}

#[test]
fn only_the_first_probe_on_a_connection_has_its_opening_and_waited_for_it() {
    let mut bench = parting_streams(options(10), false);
    bench.run_to(0);
    secured(&mut bench, 0, 1, 4);
    bench.run_to(6);
    bench.data(0, b"!");
    bench.run_to(16);
    // This was the last on its connection; the slot at 24 opens another one.
    bench.data(0, b"#");
    bench.run_to(24);
    secured(&mut bench, 1, 26, 29);
    bench.run_to(30);
    bench.data(1, b"!");
    let seen: Vec<_> = bench
        .exchanges()
        .iter()
        .map(|exchange| (exchange.opening, exchange.host, exchange.total))
        .collect();
    let opening = |connect, secure, done: u64| Opening {
        connect: ms(connect),
        secure: Some(ms(secure)),
        done: Mono((1_000 + done) * MS),
    };
    assert_eq!(
        seen,
        [
            (Some(opening(1, 3, 4)), Some(ms(2)), Some(ms(6))),
            (None, Some(ms(2)), Some(ms(2))),
            (Some(opening(2, 3, 29)), Some(ms(1)), Some(ms(6))),
        ]
    );
    assert_eq!(bench.summary().total.map(|total| total.max), Some(ms(6)));
}

#[test]
fn who_was_asked_again_on_a_new_connection_waited_for_it_within_its_round_trip() {
    let mut bench = parting_streams(options(10), true);
    bench.run_to(0);
    bench.open(0);
    bench.run_to(15);
    // Two were asked, one is answered, and the connection ends with that.
    bench.data(0, b"#");
    secured(&mut bench, 1, 16, 18);
    bench.run_to(19);
    bench.data(1, b"!");
    let again = bench.exchanges()[1];
    assert!(
        again.opening.is_some(),
        "it was the first on the second connection"
    );
    assert_eq!((again.host, again.total), (Some(ms(9)), Some(ms(9))));
}

#[test]
fn the_first_of_an_answer_is_told_apart_from_its_end() {
    let mut bench = streams(options(10));
    bench.run_to(0);
    bench.open(0);
    // The kernel says that the first probe left half a millisecond after this process did.
    bench.depart(0, bench.now + MS / 2);
    bench.run_to(3);
    bench.data(0, &[0]);
    bench.run_to(12);
    bench.data(0, &[b'.', 1]);
    bench.run_to(15);
    bench.data(0, &[b',', 1]);
    bench.run_to(17);
    bench.data(0, b".");
    let times: Vec<_> = bench
        .exchanges()
        .iter()
        .map(|exchange| {
            let mono = |stamp: Option<halloo_base::Stamp>| stamp.map(|at| at.mono);
            (
                mono(exchange.t4_first),
                mono(exchange.t4_kernel),
                exchange.first_byte,
            )
        })
        .collect();
    // The kernel took its stamps two microseconds before each piece was handled.
    let at = |ms: u64| Some(Mono((1_000 + ms) * MS - 2_000));
    let span = |micros: i64| Some(Nanos(micros * 1_000));
    assert_eq!(
        times,
        [(at(3), at(12), span(2_498)), (at(15), at(17), span(4_998))],
        "what was no answer is no beginning of one"
    );
}

#[test]
fn an_answer_of_many_pieces_begins_with_the_first_of_them() {
    let mut bench = parting_streams(options(10), false);
    bench.run_to(0);
    bench.open(0);
    for ms in [3, 5, 7] {
        bench.run_to(ms);
        bench.data(0, b"(");
    }
    bench.run_to(8);
    bench.part(0);
    let [answer] = bench.exchanges()[..] else {
        panic!("one answer")
    };
    let first = Mono((1_000 + 3) * MS - 2_000);
    assert_eq!(answer.t4_first.map(|at| at.mono), Some(first));
    assert_eq!(
        (answer.first_byte, answer.host),
        (Some(Nanos(2_998_000)), Some(ms(8)))
    );
}
