//! TCP echo sessions.

use crate::stage::{Stage, check, options, tcp_server};
use halloo_base::{CloseReason, Nanos};
use halloo_probe::{Break, Ended, Event, SessionOptions, Summary};
use halloo_sim::{Quality, ms, secs, us};
use std::time::Duration;

#[test]
fn a_long_lived_connection_carries_every_exchange() {
    let mut stage = Stage::new(1, Quality::perfect());
    stage.forward(Quality::delay(ms(3)));
    stage.backward(Quality::delay(ms(5)));
    stage.tcp_server();
    let session = stage.tcp_session(options(200, ms(10)));
    let summary = stage.play(session);
    check(&summary);
    assert_eq!(summary.ended, Some(Ended::Complete));
    assert_eq!((summary.counts.sent, summary.counts.answered), (200, 200));
    assert_eq!((summary.counts.broken, summary.counts.reconnects), (0, 0));
    let connect = summary.connect.expect("it connected");
    assert_eq!((connect.count, connect.min.0 / 1_000_000), (1, 8));
    for exchange in stage.log.answered() {
        assert_eq!(exchange.wire, Some(Nanos(8_000_000)), "{exchange:?}");
    }
    stage.world.run_for(secs(1));
    assert_eq!(stage.served().received, 1);
    assert_eq!(stage.served().replied_bytes, 200 * 112);
}

#[test]
fn answers_are_put_together_however_they_are_cut() {
    for seed in 0..20 {
        let quality = Quality::delay(ms(3))
            .jitter(ms(1))
            .loss(0.01)
            .reorder(0.05, ms(4));
        let mut stage = Stage::new(seed, quality);
        for host in [stage.here, stage.there] {
            stage.world.tune(host, |options| {
                options.split = 0.4;
                options.merge = 0.4;
            });
        }
        stage.tcp_server();
        let options = SessionOptions {
            size: 700,
            lost_after: secs(10),
            ..options(300, us(2_500))
        };
        let session = stage.tcp_session(options);
        let summary = stage.play(session);
        check(&summary);
        let counts = summary.counts;
        assert_eq!(
            counts.answered,
            counts.sent - counts.unsent,
            "seed {seed}: {counts:?}"
        );
        assert_eq!(
            (counts.broken, counts.duplicates),
            (0, 0),
            "seed {seed}: {counts:?}"
        );
        assert_eq!(summary.unused.foreign + summary.unused.malformed, 0);
    }
}

fn breaks(summary: &Summary, events: &[Event]) -> Vec<(Break, u64, Duration)> {
    check(summary);
    let broken = events.iter().filter_map(|event| match event {
        Event::Broken {
            why, lost, retry_in, ..
        } => Some((*why, *lost, *retry_in)),
        _ => None,
    });
    broken.collect()
}

#[test]
fn a_reset_loses_what_was_under_way_and_the_session_connects_again() {
    let mut stage = Stage::new(1, Quality::delay(ms(10)));
    let server = stage.tcp_server();
    stage
        .world
        .at(us(1_005_000), move |world| world.break_streams(server));
    let session = stage.tcp_session(options(300, ms(10)));
    let summary = stage.play(session);
    let broken = breaks(&summary, &stage.log.events());
    let [(Break::Closed(CloseReason::Broken(error)), lost, retry_in)] = broken[..] else {
        panic!("one break: {broken:?}");
    };
    assert_eq!(error.to_string(), "Connection reset by peer");
    assert!((1..=3).contains(&lost), "{lost}");
    assert!((ms(50)..=ms(100)).contains(&retry_in), "{retry_in:?}");
    let counts = summary.counts;
    assert_eq!(
        (counts.broken, counts.reconnects, counts.lost_connection),
        (1, 1, lost)
    );
    assert_eq!(counts.lost(), lost + counts.unsent);
    assert!(
        counts.unsent >= 5,
        "slots without a connection are lost, not silent: {counts:?}"
    );
    assert_eq!(summary.connect.expect("it connected").count, 2);
}

#[test]
fn waits_between_attempts_grow_while_the_server_is_away() {
    let mut stage = Stage::new(1, Quality::delay(ms(10)));
    let server = stage.tcp_server();
    let (there, counters) = (stage.there, stage.counters.clone());
    stage.world.at(secs(1), move |world| world.kill(server));
    stage.world.at(secs(9), move |world| {
        tcp_server(world, there, &counters);
    });
    let session = stage.tcp_session(options(1_500, ms(10)));
    let summary = stage.play(session);
    let broken = breaks(&summary, &stage.log.events());
    assert!(
        matches!(broken[0].0, Break::Finished | Break::Closed(_)),
        "{broken:?}"
    );
    let refused =
        |why: &Break| matches!(why, Break::Closed(CloseReason::ConnectFailed(error)) if error.0 == 111);
    assert!(broken[1..].iter().all(|(why, ..)| refused(why)), "{broken:?}");
    for (nth, (_, _, retry_in)) in broken.iter().enumerate() {
        let step = ms(100) * 2u32.pow(nth as u32).min(50);
        assert!((step / 2..=step).contains(retry_in), "{broken:?}");
    }
    let counts = summary.counts;
    assert_eq!((counts.broken, counts.reconnects), (1, 1));
    assert_eq!(counts.connect_failures as usize, broken.len() - 1);
    assert!(broken.len() >= 6, "{broken:?}");
    assert!(counts.answered > 150, "{counts:?}");
}

#[test]
fn a_lost_segment_delays_what_is_behind_it() {
    let mut stage = Stage::new(1, Quality::delay(ms(10)));
    stage.tcp_server();
    let (wire, here) = (stage.wire, stage.here);
    let dead = Quality::delay(ms(10)).loss(1.0);
    stage
        .world
        .at(us(1_015_000), move |world| world.set_from(wire, here, dead));
    stage.world.at(us(1_025_000), move |world| {
        world.set(wire, Quality::delay(ms(10)));
    });
    let session = stage.tcp_session(options(200, ms(10)));
    let summary = stage.play(session);
    check(&summary);
    assert_eq!(summary.counts.answered, 200);
    let host = summary.host.expect("answers");
    assert!(
        host.max > Nanos(219_000_000) && host.max < Nanos(222_000_000),
        "{host:?}"
    );
    let slow = stage.log.answered();
    let slow = slow
        .iter()
        .filter(|exchange| exchange.host > Some(Nanos(25_000_000)));
    assert!(
        (18..=21).contains(&slow.count()),
        "those behind the gap waited too"
    );
}

#[test]
fn a_server_that_does_not_answer_connecting_is_given_up_and_asked_again() {
    let mut stage = Stage::new(1, Quality::delay(ms(10)).loss(1.0));
    stage.tcp_server();
    let wire = stage.wire;
    stage
        .world
        .at(secs(10), move |world| world.set(wire, Quality::delay(ms(10))));
    let session = stage.tcp_session(options(300, ms(100)));
    let summary = stage.play(session);
    let broken = breaks(&summary, &stage.log.events());
    assert!(
        !broken.is_empty()
            && broken
                .iter()
                .all(|(why, ..)| matches!(why, Break::ConnectTimeout { .. })),
        "{broken:?}"
    );
    assert!(summary.counts.answered > 100, "{:?}", summary.counts);
    assert_eq!((summary.counts.broken, summary.counts.reconnects), (0, 0));
}

#[test]
fn a_server_that_stops_reading_loses_no_exchange_when_it_goes_on() {
    let mut stage = Stage::new(1, Quality::delay(ms(10)));
    let server = stage.tcp_server();
    stage.world.at(ms(505), move |world| world.stop_reading(server));
    stage.world.at(ms(905), move |world| world.resume_reading(server));
    let session = stage.tcp_session(options(200, ms(10)));
    let summary = stage.play(session);
    check(&summary);
    assert_eq!(summary.counts.answered, 200);
    assert!(summary.host.expect("answers").max > Nanos(400_000_000));
}
