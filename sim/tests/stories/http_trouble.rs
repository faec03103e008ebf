//! HTTP sessions with servers that say more, less or something else than they should.

use crate::stage::{Stage, check, options};
use halloo_base::{Env, Next, Stamp, StreamResponder};
use halloo_probe::{Break, Ended, Event, Exchange, SessionOptions, StreamSession, Summary};
use halloo_protocols::http::{Expect, HttpProber, HttpProberOptions};
use halloo_serve::{Secret, StreamServer, StreamServerOptions};
use halloo_sim::{Quality, ms};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

const GOOD: &str = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhalloo";
const CHUNKED: &str =
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nha\r\n4;x=1\r\nlloo\r\n0\r\nX-A: b\r\n\r\n";
/// What may come before an answer (RFC 9110 section 15.2).
const INTERIM: &str =
    "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n";

/// Answers every request alike, but for each `odd_every`-th, counted over all connections.
struct Odd {
    usual: String,
    odd: String,
    odd_every: u64,
    /// Whether it goes after an odd one.
    goes: bool,
    asked: Arc<AtomicU64>,
}

impl StreamResponder for Odd {
    fn respond(&mut self, _: &mut Env<'_>, _: Stamp, rx: &[u8], tx: &mut Vec<u8>) -> (usize, Next) {
        const END: &[u8] = b"\r\n\r\n";
        let mut used = 0;
        while let Some(len) = rx[used..].windows(END.len()).position(|window| window == END) {
            used += len + END.len();
            let number = 1 + self.asked.fetch_add(1, Ordering::Relaxed);
            if number.is_multiple_of(self.odd_every) {
                tx.extend(self.odd.bytes());
                if self.goes {
                    return (rx.len(), Next::Close);
                }
            } else {
                tx.extend(self.usual.bytes());
            }
        }
        (used, Next::Continue)
    }
}

/// A session of 40 probes, one each 100 ms, with such a server; every read is cut into pieces as small as they come.
fn play(seed: u64, usual: &str, odd: &str, odd_every: u64, goes: bool) -> (Stage, Summary) {
    let mut stage = Stage::new(seed, Quality::delay(ms(3)));
    stage.world.tune(stage.here, |options| options.split = 1.0);
    let (usual, odd, asked) = (usual.to_owned(), odd.to_owned(), Arc::<AtomicU64>::default());
    let make = move |_: &_| {
        Box::new(Odd {
            usual: usual.clone(),
            odd: odd.clone(),
            odd_every,
            goes,
            asked: Arc::clone(&asked),
        }) as Box<dyn StreamResponder>
    };
    let server = StreamServerOptions::new(Secret::new([7; 16]));
    let server = StreamServer::new(server, Box::new(make), Arc::clone(&stage.counters));
    let server = stage
        .world
        .add(stage.there, server.expect("the defaults are right"));
    stage.world.listen(server, "[::]:7777");
    let asked = HttpProberOptions {
        expect: Expect {
            body_equals: Some(b"halloo".to_vec()),
            ..Expect::default()
        },
        ..HttpProberOptions::new("echo.example", "/")
    };
    let options = SessionOptions {
        lost_after: ms(1_500),
        ..options(40, ms(100))
    };
    let session = StreamSession::new(
        options,
        Box::new(HttpProber::new(&asked, 0)),
        Box::new(stage.log.clone()),
    );
    let session = stage
        .world
        .add(stage.here, session.expect("the options are right"));
    let summary = stage.play(session);
    check(&summary);
    assert_eq!(summary.ended, Some(Ended::Complete), "seed {seed}");
    assert_eq!(summary.counts.sent, 40, "seed {seed}");
    (stage, summary)
}

fn breaks(stage: &Stage) -> Vec<Break> {
    let events = stage.log.events().into_iter();
    events
        .filter_map(|event| match event {
            Event::Broken { why, .. } => Some(why),
            _ => None,
        })
        .collect()
}

fn names(exchanges: &[Exchange]) -> Vec<Option<&'static str>> {
    let refusal = |exchange: &Exchange| exchange.refusal.map(|no| no.name);
    exchanges.iter().map(refusal).collect()
}

#[test]
fn an_answer_is_one_however_it_is_cut_and_whatever_comes_before_it() {
    for seed in 0..30 {
        for answer in [GOOD, CHUNKED] {
            for before in ["", INTERIM] {
                let (stage, summary) = play(seed, &format!("{before}{answer}"), "", u64::MAX, false);
                assert!(summary.all_answered(), "seed {seed}: {:?}", summary.counts);
                assert_eq!((summary.counts.broken, breaks(&stage)), (0, vec![]));
                assert_eq!(summary.connect.expect("it connected").count, 1);
                for exchange in stage.log.answered() {
                    // The first piece tells when the answer began, the last one when it ended.
                    assert!(exchange.t4_first.expect("a stream").mono <= exchange.t4.expect("answered").mono);
                    assert!(exchange.first_byte <= exchange.host);
                }
            }
        }
    }
}

#[test]
fn a_body_that_breaks_off_is_lost_with_its_connection_and_the_next_one_is_asked() {
    let cut = [
        "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhal",
        &CHUNKED[..60],
        "HTTP/1.1 200 O",
        "",
    ];
    for (seed, odd) in (0..).zip(cut) {
        let (stage, summary) = play(seed, GOOD, odd, 10, true);
        let counts = &summary.counts;
        // Where nothing at all was said, the request may have met a server that was just closing: it is asked again.
        let is_lost = u64::from(!odd.is_empty());
        assert_eq!(
            counts.lost_connection,
            is_lost * counts.broken,
            "{odd:?}: {counts:?}"
        );
        assert_eq!(counts.broken, breaks(&stage).len() as u64);
        assert!(is_lost * 3 <= counts.broken, "{odd:?}: {counts:?}");
        assert_eq!(counts.refused, 0, "half a body is no answer: {counts:?}");
        assert!(counts.reconnects >= 3, "{odd:?}: {counts:?}");
        assert!(counts.answered >= 30, "{odd:?}: {counts:?}");
        assert_eq!(counts.answered + counts.lost_connection + counts.unsent, 40);
    }
}

#[test]
fn a_body_shorter_than_it_is_said_to_be_is_waited_for_as_long_as_any_answer() {
    let odd = "HTTP/1.1 200 OK\r\nContent-Length: 60\r\n\r\nhalloo";
    let (stage, summary) = play(1, "", odd, 1, false);
    let counts = &summary.counts;
    assert_eq!((counts.answered, counts.lost()), (0, 40), "{counts:?}");
    assert!(breaks(&stage).is_empty(), "it is slow, and may be nothing else");
}

#[test]
fn what_follows_a_body_that_was_said_to_be_shorter_is_nobodys_answer() {
    let odd = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nhalloo";
    let (stage, summary) = play(1, GOOD, odd, 10, false);
    let counts = &summary.counts;
    let breaks = breaks(&stage);
    assert!(counts.refused >= 3 && counts.broken >= 3, "{counts:?}");
    assert!(
        breaks.iter().all(|why| matches!(why, Break::Foreign(_))),
        "{breaks:?}"
    );
    let refused = names(&stage.log.answered());
    assert_eq!(
        refused
            .iter()
            .flatten()
            .filter(|name| **name == "UnexpectedBody")
            .count() as u64,
        counts.refused
    );
}
