//! Both ends of a connection that splits and merges as it likes.

use super::*;
use crate::ProberOptions;
use halloo_base::{Next, ProbeId, Progress, StreamProber, StreamResponder};
use proptest::prelude::*;

fn connection() -> SipConnection {
    server().connection(&datagram(HOME, 1, b"").path)
}

fn prober() -> SipStreamProber {
    SipStreamProber::new(&ProberOptions {
        token: 0xfeed,
        size: 400,
        authority: "echo.example.net".to_owned(),
        ..ProberOptions::default()
    })
}

/// What the connection does with these bytes, handed over in pieces of so many, the rest again with what follows it.
fn serve(connection: &mut SipConnection, bytes: &[u8], piece: usize) -> (Vec<u8>, usize, Next) {
    let (mut waiting, mut tx, mut used) = (Vec::new(), Vec::new(), 0);
    for piece in bytes.chunks(piece.max(1)) {
        waiting.extend_from_slice(piece);
        let (more, next) = with_env(9, |env| {
            let at = env.clock.stamp();
            connection.respond(env, at, &waiting, &mut tx)
        });
        used += more;
        waiting.drain(..more);
        if next == Next::Close {
            return (tx, used, next);
        }
    }
    (tx, used, Next::Continue)
}

fn asked(prober: &mut SipStreamProber, ids: std::ops::Range<u64>) -> Vec<u8> {
    let mut tx = Vec::new();
    for id in ids {
        with_env(5, |env| prober.request(env, ProbeId(id), &mut tx));
    }
    tx
}

/// What the prober makes of these bytes: the numbers of answers, and of what is none.
fn hear(prober: &mut SipStreamProber, bytes: &[u8], piece: usize) -> (Vec<u64>, Vec<Reason>) {
    let (mut heard, mut unused) = (Vec::new(), Vec::new());
    for mut piece in bytes.chunks(piece.max(1)) {
        while !piece.is_empty() {
            let used = match prober.receive(piece) {
                Progress::Partial(used) => {
                    assert_eq!(used, piece.len());
                    used
                }
                Progress::Heard(used, answer) => {
                    heard.push(answer.low_bits);
                    used
                }
                Progress::Unused(used, why) => {
                    unused.push(why);
                    used
                }
                Progress::Foreign(why) => panic!("{why}"),
            };
            piece = &piece[used..];
        }
    }
    (heard, unused)
}

#[test]
fn every_request_is_answered_in_its_turn_however_it_is_cut() {
    let mut prober = prober();
    let requests = asked(&mut prober, 0..5);
    let (whole, used, _) = serve(&mut connection(), &requests, requests.len());
    assert_eq!(used, requests.len());
    for piece in [1, 7, 399, 400, 401, 1_000] {
        let (cut, used, next) = serve(&mut connection(), &requests, piece);
        assert_eq!(
            (text(&cut), used, next),
            (text(&whole), requests.len(), Next::Continue),
            "{piece}"
        );
    }
    assert_eq!(
        text(&whole).matches("\nAccept-Language: en\n").count(),
        5,
        "a connection is no stranger"
    );
    for piece in [1, 7, 100, whole.len()] {
        let (heard, unused) = hear(&mut prober, &whole, piece);
        assert_eq!((heard, unused), (vec![0, 1, 2, 3, 4], vec![]), "{piece}");
    }
}

#[test]
fn requests_on_a_stream_say_so_and_have_their_size() {
    let shown = text(&asked(&mut prober(), 7..8));
    assert!(
        shown.contains("\nVia: SIP/2.0/TCP halloo.invalid;rport;branch=z9hG4bK"),
        "{shown}"
    );
    assert_eq!(wire(&shown).len(), 400);
    let mut small = SipStreamProber::new(&ProberOptions::default());
    assert_eq!(asked(&mut small, 0..1).len(), bare_len("halloo.invalid".len()));
}

#[test]
fn bodies_and_blank_lines_stand_between_requests_and_nothing_is_read_from_them() {
    let body = options("");
    let request = options(&format!("Content-Length: {}\n", wire(&body).len()));
    let bytes = [
        b"\r\n".to_vec(),
        wire(&request),
        wire(&body),
        b"\r\n".to_vec(),
        wire(&options("l: 0\n")),
    ]
    .concat();
    for piece in [1, 50, bytes.len()] {
        let (tx, used, next) = serve(&mut connection(), &bytes, piece);
        assert_eq!((used, next), (bytes.len(), Next::Continue));
        assert_eq!(text(&tx).matches("SIP/2.0 200 OK").count(), 2, "{piece}");
        assert!(tx.starts_with(b"SIP/2.0 "), "one blank line is no ping");
    }
}

#[test]
fn a_ping_of_two_blank_lines_has_a_pong_of_one() {
    for (bytes, pongs) in [
        ("", 0),
        ("\r\n", 0),
        ("\r\n\r\n", 1),
        ("\r\n\r\n\r\n", 1),
        ("\r\n\r\n\r\n\r\n", 2),
    ] {
        for piece in 1..=4 {
            let (tx, used, next) = serve(&mut connection(), bytes.as_bytes(), piece);
            assert_eq!(
                (tx, used, next),
                (b"\r\n".repeat(pongs), bytes.len(), Next::Continue)
            );
        }
    }
    let request = wire(&options("l: 0\n"));
    let apart = [b"\r\n".to_vec(), request.clone(), b"\r\n".to_vec()].concat();
    let (tx, ..) = serve(&mut connection(), &apart, apart.len());
    assert!(
        !tx.starts_with(b"\r\n") && !tx.ends_with(b"\r\n\r\n\r\n"),
        "halves of two pings"
    );
}

#[test]
fn what_cannot_be_told_apart_is_refused_and_is_the_end() {
    let table = [
        (options(""), "SIP/2.0 400 Bad Request\n"),
        (options("l: 2\nl: 2\n"), "SIP/2.0 400 Bad Request\n"),
        (options("l: -1\n"), "SIP/2.0 400 Bad Request\n"),
        (options("l: 8192\n"), "SIP/2.0 513 Message Too Large\n"),
        (options("l: 4294967295\n"), "SIP/2.0 513 Message Too Large\n"),
        (options("l: 8192\n").replace("OPTIONS", "ACK"), ""),
        (
            options("").replacen("OPTIONS sip:echo@example.net SIP/2.0", "SIP/2.0 200 OK", 1),
            "",
        ),
        ("GET / HTTP/1.1\nHost: x\n\n".to_owned(), ""),
        ("x".repeat(LONGEST), ""),
    ];
    for (request, expected) in table {
        let bytes = wire(&(request + &options("l: 0\n")));
        let (tx, used, next) = serve(&mut connection(), &bytes, bytes.len());
        let shown = text(&tx);
        assert_eq!((used, next), (bytes.len(), Next::Close), "{shown}");
        assert!(shown.starts_with(expected), "{shown}");
        let whole_answers = usize::from(!expected.is_empty());
        assert_eq!(shown.matches("\n\n").count(), whole_answers, "{shown}");
        assert_eq!(
            shown.matches("\nContent-Length: 0\n").count(),
            whole_answers,
            "{shown}"
        );
    }
}

#[test]
fn what_is_not_answered_is_passed_over() {
    let silent = [
        options("l: 0\n").replacen("OPTIONS sip:echo@example.net SIP/2.0", "SIP/2.0 200 OK", 1),
        options("l: 0\n").replace("OPTIONS", "ACK"),
        options("l: 0\n").replace("Call-ID", "X"),
    ];
    for request in silent {
        let bytes = wire(&(request + &options("l: 0\n")));
        let (tx, used, next) = serve(&mut connection(), &bytes, bytes.len());
        assert_eq!((used, next), (bytes.len(), Next::Continue));
        assert_eq!(
            text(&tx).matches("SIP/2.0").count(),
            2,
            "one answer with its Via: {}",
            text(&tx)
        );
    }
}

#[test]
fn messages_that_are_no_answers_are_told_apart_from_answers() {
    let mut prober = prober();
    let requests = asked(&mut prober, 0..1);
    let (answer, ..) = serve(&mut connection(), &requests, requests.len());
    let trying = wire(&text(&answer).replace("200 OK", "100 Trying"));
    let other = wire(&text(&answer).replace("z9hG4bK", "z9hG4bL"));
    let question = wire(&options("l: 4\n"));
    let stream = [&trying[..], b"\r\n", &other, &question, b"body", &answer].concat();
    for piece in [1, 33, stream.len()] {
        let expected = vec![Reason::Incomplete, Reason::Foreign, Reason::Foreign];
        assert_eq!(hear(&mut prober, &stream, piece), (vec![0], expected), "{piece}");
    }
}

#[test]
fn what_is_not_sip_ends_the_connection() {
    let response = |more: &str| {
        wire(&format!(
            "SIP/2.0 200 OK\nVia: SIP/2.0/TCP h\nCSeq: 1 OPTIONS\n{more}\n"
        ))
    };
    for bytes in [
        response(""),
        response("l: x\n"),
        response("l: 65536\n"),
        b"HTTP/1.1 200 OK\r\n\r\n".to_vec(),
        vec![b'x'; 65_535],
    ] {
        let whole = prober().receive(&bytes);
        assert!(matches!(whole, Progress::Foreign(_)), "{whole:?}");
        let (first, last) = bytes.split_at(bytes.len() - 1);
        let mut prober = prober();
        assert_eq!(prober.receive(first), Progress::Partial(first.len()));
        assert!(matches!(prober.receive(last), Progress::Foreign(_)));
    }
    assert_eq!(prober().receive(b""), Progress::Partial(0));
}

#[test]
fn blank_lines_are_not_kept() {
    let mut prober = prober();
    for _ in 0..100 {
        assert_eq!(prober.receive(b"\r\n\r\n\r"), Progress::Partial(5));
        assert_eq!(prober.kept(), 1);
        assert_eq!(prober.receive(b"\nSIP"), Progress::Partial(4));
        assert_eq!(prober.kept(), 3);
        prober.reset();
    }
}

#[test]
fn a_new_connection_begins_without_the_rest_and_the_answers_of_the_old() {
    let mut prober = prober();
    let requests = asked(&mut prober, 0..2);
    let (answers, ..) = serve(&mut connection(), &requests, requests.len());
    assert_eq!(prober.receive(&answers[..50]), Progress::Partial(50));
    prober.reset();
    assert_eq!(
        hear(&mut prober, &answers, 64),
        (vec![], vec![Reason::Foreign; 2]),
        "too late"
    );
    let requests = asked(&mut prober, 2..3);
    let (answers, ..) = serve(&mut connection(), &requests, requests.len());
    assert_eq!(hear(&mut prober, &answers, 64), (vec![2], vec![]));
}

proptest! {
    #[test]
    fn any_cut_gives_the_same_answers(pieces in proptest::collection::vec(1..600_usize, 1..40), count in 1..6_u64) {
        let mut prober = prober();
        let requests = asked(&mut prober, 0..count);
        let (mut connection, mut waiting, mut answers) = (connection(), Vec::new(), Vec::new());
        let mut rest = &requests[..];
        for piece in pieces.into_iter().chain([requests.len()]) {
            let (now, later) = rest.split_at(piece.min(rest.len()));
            rest = later;
            waiting.extend_from_slice(now);
            let (used, _) = with_env(9, |env| {
                let at = env.clock.stamp();
                connection.respond(env, at, &waiting, &mut answers)
            });
            waiting.drain(..used);
        }
        let (whole, ..) = serve(&mut self::connection(), &requests, requests.len());
        prop_assert_eq!(text(&answers), text(&whole));
        let (heard, unused) = hear(&mut prober, &answers, 77);
        prop_assert_eq!((heard, unused), ((0..count).collect(), vec![]));
    }
}
