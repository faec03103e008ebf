//! HTTP sessions with servers that keep connections, and with servers that do not.

use crate::stage::{Stage, check, options};
use halloo_base::{Env, Next, Stamp, StreamResponder};
use halloo_probe::{Ended, Event, SessionOptions, StreamSession, Summary};
use halloo_protocols::http::{Expect, HttpProber, HttpProberOptions};
use halloo_serve::{Secret, StreamServer, StreamServerOptions};
use halloo_sim::{Handle, Quality, ms, secs, us};
use std::sync::Arc;
use std::time::Duration;

/// Answers so many requests on a connection and then closes it, whatever else was asked on it.
struct Page {
    answers: u64,
    /// Whether it says so beforehand, and how long the last body is. Otherwise the end of the connection tells both.
    is_polite: bool,
}

impl StreamResponder for Page {
    fn respond(&mut self, _: &mut Env<'_>, _: Stamp, rx: &[u8], tx: &mut Vec<u8>) -> (usize, Next) {
        const END: &[u8] = b"\r\n\r\n";
        let mut used = 0;
        while let Some(len) = rx[used..].windows(END.len()).position(|window| window == END) {
            used += len + END.len();
            self.answers -= 1;
            let fields = match (self.answers, self.is_polite) {
                (0, true) => "Content-Length: 6\r\nConnection: close\r\n",
                (0, false) => "",
                _ => "Content-Length: 6\r\n",
            };
            tx.extend(format!("HTTP/1.1 200 OK\r\n{fields}\r\nhalloo").bytes());
            if self.answers == 0 {
                return (rx.len(), Next::Close);
            }
        }
        (used, Next::Continue)
    }
}

fn serve(stage: &mut Stage, answers: u64, is_polite: bool) {
    let options = StreamServerOptions::new(Secret::new([7; 16]));
    let page = move |_: &_| Box::new(Page { answers, is_polite }) as Box<dyn StreamResponder>;
    let server = StreamServer::new(options, Box::new(page), Arc::clone(&stage.counters));
    let server = stage
        .world
        .add(stage.there, server.expect("the defaults are right"));
    stage.world.listen(server, "[::]:7777");
}

fn session(stage: &mut Stage, options: SessionOptions, keep_alive: bool) -> Handle<StreamSession> {
    let asked = HttpProberOptions {
        keep_alive,
        expect: Expect {
            body_equals: Some(b"halloo".to_vec()),
            ..Expect::default()
        },
        ..HttpProberOptions::new("echo.example", "/")
    };
    let prober = HttpProber::new(&asked, 0);
    let session = StreamSession::new(options, Box::new(prober), Box::new(stage.log.clone()));
    stage
        .world
        .add(stage.here, session.expect("the options are right"))
}

/// Nothing was lost, and nothing was wrong.
#[track_caller]
fn check_whole(summary: &Summary, what: &str) {
    check(summary);
    let counts = &summary.counts;
    assert_eq!(summary.ended, Some(Ended::Complete), "{what}");
    assert!(summary.all_answered(), "{what}: {counts:?}");
    assert_eq!(
        (counts.broken, counts.connect_failures, counts.duplicates),
        (0, 0, 0),
        "{what}: {counts:?}"
    );
    let unused = &summary.unused;
    assert_eq!(unused.foreign + unused.malformed, 0, "{what}");
}

#[test]
fn a_server_that_closes_after_every_answer_loses_nothing() {
    for is_polite in [true, false] {
        for keep_alive in [true, false] {
            let mut stage = Stage::new(1, Quality::perfect());
            stage.forward(Quality::delay(ms(3)));
            stage.backward(Quality::delay(ms(5)));
            serve(&mut stage, 1, is_polite);
            let session = session(&mut stage, options(50, ms(100)), keep_alive);
            let summary = stage.play(session);
            check_whole(&summary, "closing");
            let counts = &summary.counts;
            assert_eq!((counts.sent, counts.reconnects), (50, 49));
            assert_eq!((counts.slots_busy, counts.slots_missed), (0, 0));
            assert_eq!(summary.connect.expect("it connected").count, 50);
            // The first one was connected before its slot; all others had to connect first.
            for (place, exchange) in stage.log.answered().iter().enumerate() {
                let trip = |span: Option<halloo_base::Nanos>| span.map(|span| span.0 / 1_000_000);
                assert_eq!(trip(exchange.host), Some(8));
                assert_eq!(trip(exchange.intended), Some(if place == 0 { 8 } else { 16 }));
            }
            let renewed = |event: &Event| matches!(event, Event::Renewed { .. });
            assert_eq!(
                stage.log.events().iter().filter(|event| renewed(event)).count(),
                49
            );
        }
    }
}

#[test]
fn a_server_that_closes_after_some_answers_loses_none_of_those_under_way() {
    for seed in 0..20 {
        for (answers, is_polite) in [(1, true), (2, false), (7, true), (30, false)] {
            let quality = Quality::delay(ms(8))
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
            serve(&mut stage, answers, is_polite);
            let options = SessionOptions {
                lost_after: secs(60),
                ..options(100, ms(5))
            };
            let session = session(&mut stage, options, true);
            let summary = stage.play(session);
            check_whole(&summary, &format!("seed {seed}, {answers} answers"));
            let connections = 1 + summary.counts.reconnects;
            assert!(
                connections >= 100_u64.div_ceil(answers),
                "{connections} for {answers}"
            );
            assert!(
                connections < 110_u64.div_ceil(answers) + 2,
                "{connections} for {answers}"
            );
        }
    }
}

#[test]
fn a_flood_gets_through_to_any_server() {
    for (answers, most) in [(1, secs(2)), (10, us(600_000)), (u64::MAX, us(200_000))] {
        let mut stage = Stage::new(3, Quality::delay(ms(8)));
        serve(&mut stage, answers, true);
        let options = SessionOptions {
            outstanding: 8,
            ..options(50, Duration::ZERO)
        };
        let session = session(&mut stage, options, true);
        let summary = stage.play(session);
        check_whole(&summary, &format!("{answers} answers"));
        assert!(summary.elapsed < most, "{answers}: {:?}", summary.elapsed);
    }
}
