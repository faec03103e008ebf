use super::*;
use crate::harness::{SECRET, Sent, World, path, stamp, tally};
use halloo_base::{CloseReason, Env, StreamResponder, UnreachableError};
use std::sync::atomic::{AtomicUsize, Ordering};

const LOCAL: &str = "192.0.2.1:7777";
const PEER: &str = "198.51.100.9:40000";
const TEN_MINUTES: Duration = Duration::from_secs(600);

/// RFC 862.
struct Echo;

/// Says back one line per call, and ends the connection at the line `bye`.
struct Line;

impl StreamResponder for Echo {
    fn respond(&mut self, _env: &mut Env<'_>, _at: Stamp, rx: &[u8], tx: &mut Vec<u8>) -> (usize, Next) {
        tx.extend_from_slice(rx);
        (rx.len(), Next::Continue)
    }
}

impl StreamResponder for Line {
    fn respond(&mut self, _env: &mut Env<'_>, _at: Stamp, rx: &[u8], tx: &mut Vec<u8>) -> (usize, Next) {
        let Some(end) = rx.iter().position(|&byte| byte == b'\n') else {
            return (0, Next::Continue);
        };
        let line = &rx[..=end];
        tx.extend_from_slice(line);
        (
            line.len(),
            if line == b"bye\n" {
                Next::Close
            } else {
                Next::Continue
            },
        )
    }
}

fn options() -> StreamServerOptions {
    StreamServerOptions::new(SECRET)
}

fn server<R: StreamResponder + 'static>(
    options: StreamServerOptions,
    mut make: impl FnMut() -> R + Send + 'static,
) -> (StreamServer, Arc<Counters>) {
    let counters = Arc::new(Counters::default());
    let make: MakeResponder = Box::new(move |_| Box::new(make()));
    let server = StreamServer::new(options, make, counters.clone()).expect("options in range");
    (server, counters)
}

fn wrote(number: u64, bytes: &[u8]) -> Sent {
    Sent::Write(number, bytes.to_vec())
}

#[test]
fn bytes_come_back_on_their_connection_and_are_counted() {
    let (mut server, counters) = server(options(), || Echo);
    let mut world = World::new();
    assert_eq!(world.open(&mut server, 1, path(LOCAL, PEER)), []);
    assert_eq!(world.open(&mut server, 2, path(LOCAL, PEER)), []);
    assert_eq!(world.data(&mut server, 2, b"two"), [wrote(2, b"two")]);
    assert_eq!(world.data(&mut server, 1, b"one!"), [wrote(1, b"one!")]);
    assert_eq!(world.data(&mut server, 1, b""), []);
    assert_eq!(tally(&counters), "2 in, 2 out");
    let all = counters.snapshot();
    assert_eq!((all.received_bytes, all.replied_bytes), (7, 7));
}

#[test]
fn what_the_network_split_is_put_together_and_what_it_merged_is_answered_in_full() {
    let (mut server, _) = server(options(), || Line);
    let mut world = World::new();
    world.open(&mut server, 1, path(LOCAL, PEER));
    world.open(&mut server, 2, path(LOCAL, PEER));
    assert_eq!(world.data(&mut server, 1, b"he"), []);
    assert_eq!(world.data(&mut server, 2, b"other"), []);
    assert_eq!(world.data(&mut server, 1, b"llo"), []);
    assert_eq!(
        world.data(&mut server, 1, b"\na\nb\nc"),
        [wrote(1, b"hello\na\nb\n")]
    );
    assert_eq!(world.data(&mut server, 2, b"\n"), [wrote(2, b"other\n")]);
    assert_eq!(world.data(&mut server, 1, b"\n"), [wrote(1, b"c\n")]);
    assert_eq!(world.data(&mut server, 2, b"x\ny\n"), [wrote(2, b"x\ny\n")]);
}

#[test]
fn one_byte_at_a_time_is_as_good_as_all_at_once() {
    let (mut server, _) = server(options(), || Line);
    let mut world = World::new();
    world.open(&mut server, 1, path(LOCAL, PEER));
    let text = b"one\ntwo\n\nthree\n";
    let sent = text
        .chunks(1)
        .flat_map(|byte| world.data(&mut server, 1, byte))
        .collect::<Vec<_>>();
    let expected = [&b"one\n"[..], b"two\n", b"\n", b"three\n"].map(|line| wrote(1, line));
    assert_eq!(sent, expected);
}

#[test]
fn a_request_that_grows_beyond_its_bound_ends_the_connection() {
    let (mut server, counters) = server(
        StreamServerOptions {
            pending: 8,
            ..options()
        },
        || Line,
    );
    let mut world = World::new();
    world.open(&mut server, 1, path(LOCAL, PEER));
    world.open(&mut server, 2, path(LOCAL, PEER));
    assert_eq!(
        world.data(&mut server, 1, b"1234\n12345678"),
        [wrote(1, b"1234\n")]
    );
    assert_eq!(world.data(&mut server, 1, b"9"), [Sent::Abort(1)]);
    assert_eq!(world.data(&mut server, 1, b"\n"), [], "it is forgotten");
    assert_eq!(
        world.data(&mut server, 2, b"x\n123456789"),
        [wrote(2, b"x\n"), Sent::Abort(2)]
    );
    assert_eq!(tally(&counters), "2 in, 2 out, 2 malformed");
    assert_eq!(server.connections.len(), 0);
}

#[test]
fn no_buffer_is_held_for_a_connection_that_has_nothing_pending() {
    let (mut server, _) = server(options(), || Line);
    let mut world = World::new();
    for number in 0..200 {
        world.open(&mut server, number, path(LOCAL, PEER));
        world.data(&mut server, number, b"half");
    }
    for number in 0..200 {
        world.data(&mut server, number, b" and half\n");
    }
    while let Some(oldest) = server.connections.oldest() {
        assert_eq!(oldest.pending.capacity(), 0);
        let id = oldest.id;
        server.forget(id);
    }
    assert_eq!(server.buffers.spare(), 64);
}

#[test]
fn the_responder_says_goodbye_and_nothing_is_answered_after_it() {
    let (mut server, counters) = server(options(), || Line);
    let mut world = World::new();
    world.open(&mut server, 1, path(LOCAL, PEER));
    assert_eq!(
        world.data(&mut server, 1, b"bye\nmore\n"),
        [wrote(1, b"bye\n"), Sent::Finish(1)]
    );
    let deadline = server.deadline();
    world.now += Duration::from_secs(60);
    assert_eq!(world.data(&mut server, 1, b"more\n"), []);
    assert_eq!(server.deadline(), deadline, "a trickle does not keep it alive");
    assert_eq!(
        world.stream(&mut server, 1, StreamInput::Finished),
        [],
        "it is finished once"
    );
    assert_eq!(
        world.stream(&mut server, 1, StreamInput::Closed(CloseReason::Done)),
        []
    );
    assert_eq!(server.connections.len(), 0);
    assert_eq!(tally(&counters), "1 in, 1 out");
}

#[test]
fn a_half_close_is_answered_by_one_when_everything_has_been_said() {
    let (mut server, _) = server(options(), || Echo);
    let mut world = World::new();
    world.open(&mut server, 1, path(LOCAL, PEER));
    assert_eq!(world.data(&mut server, 1, b"last"), [wrote(1, b"last")]);
    assert_eq!(
        world.stream(&mut server, 1, StreamInput::Finished),
        [Sent::Finish(1)]
    );
    assert_eq!(world.stream(&mut server, 1, StreamInput::Finished), []);
    assert_eq!(server.connections.len(), 1, "the peer has yet to read");
    world.stream(&mut server, 1, StreamInput::Closed(CloseReason::Done));
    assert_eq!(server.connections.len(), 0);
}

#[test]
fn half_a_request_before_a_half_close_is_given_up() {
    let (mut server, _) = server(options(), || Line);
    let mut world = World::new();
    world.open(&mut server, 1, path(LOCAL, PEER));
    assert_eq!(world.data(&mut server, 1, b"unfinis"), []);
    assert_eq!(
        world.stream(&mut server, 1, StreamInput::Finished),
        [Sent::Finish(1)]
    );
    assert_eq!(server.buffers.spare(), 1, "its buffer came back");
}

#[test]
fn more_connections_than_the_cap_are_refused_until_one_goes() {
    let (mut server, counters) = server(
        StreamServerOptions {
            connections: 2,
            ..options()
        },
        || Echo,
    );
    let mut world = World::new();
    assert_eq!(world.open(&mut server, 1, path(LOCAL, PEER)), []);
    assert_eq!(
        world.open(&mut server, 2, path("127.0.0.1:7777", "127.0.0.1:9999")),
        []
    );
    assert_eq!(world.open(&mut server, 3, path(LOCAL, PEER)), [Sent::Abort(3)]);
    assert_eq!(world.data(&mut server, 3, b"x"), []);
    let broken = CloseReason::Broken(UnreachableError(104));
    world.stream(&mut server, 1, StreamInput::Closed(broken));
    assert_eq!(world.open(&mut server, 4, path(LOCAL, PEER)), []);
    assert_eq!(tally(&counters), "4 in, 3 out, 1 too_many_connections");
    assert_eq!(
        counters.snapshot().received_bytes,
        0,
        "what a refused connection sent is not read"
    );
}

#[test]
fn a_source_has_a_cap_of_its_own_however_its_connections_end() {
    let limited = StreamServerOptions {
        per_source: Some(2),
        ..options()
    };
    let (mut server, counters) = server(limited, || Line);
    let mut world = World::new();
    let mut number = 0;
    let mut admitted = |server: &mut StreamServer, world: &mut World, remote: &str| {
        number += 1;
        world
            .open(server, number, path(LOCAL, remote))
            .is_empty()
            .then_some(number)
    };
    let first = admitted(&mut server, &mut world, PEER).expect("the first of two");
    let second = admitted(&mut server, &mut world, "[::ffff:198.51.100.9]:41000").expect("the second of two");
    assert_eq!(admitted(&mut server, &mut world, PEER), None);
    assert!(
        admitted(&mut server, &mut world, "198.51.100.10:40000").is_some(),
        "a neighbour"
    );
    world.stream(&mut server, first, StreamInput::Closed(CloseReason::Done));
    let third = admitted(&mut server, &mut world, PEER).expect("one has closed");
    world.data(&mut server, second, &[b'x'; 5_000]);
    assert!(
        admitted(&mut server, &mut world, PEER).is_some(),
        "one was dropped as malformed"
    );
    assert_eq!(admitted(&mut server, &mut world, PEER), None);
    world.data(&mut server, third, b"bye\n");
    assert_eq!(
        admitted(&mut server, &mut world, PEER),
        None,
        "finished is not closed"
    );
    world.now += TEN_MINUTES;
    world.tell(&mut server, Input::Wake);
    assert!(
        admitted(&mut server, &mut world, PEER).is_some(),
        "all have timed out"
    );
    assert_eq!(counters.count(Reason::TooManyFromSource), 3);
    world.now += TEN_MINUTES;
    world.tell(&mut server, Input::Wake);
    assert!(
        server.caps.is_empty(),
        "no source is remembered that has no connection"
    );
}

#[test]
fn by_default_public_sources_have_a_cap_and_local_ones_have_none() {
    let count = |options: StreamServerOptions, remote: &dyn Fn(u32) -> String| {
        let (mut server, _) = server(options, || Echo);
        let mut world = World::new();
        (0..3_000)
            .filter(|&n| {
                world
                    .open(&mut server, n.into(), path(LOCAL, &remote(n)))
                    .is_empty()
            })
            .count()
    };
    let same_64 = |n| format!("[2001:db8::{n:x}]:40000");
    let other_64 = |n| format!("[2001:db8:0:{n:x}::1]:40000");
    let private = |_| "10.0.0.1:40000".to_owned();
    assert_eq!(count(options(), &same_64), 1_024);
    assert_eq!(count(options(), &other_64), 3_000);
    assert_eq!(count(options(), &private), 3_000);
    assert_eq!(
        count(
            StreamServerOptions {
                per_local_source: Some(5),
                ..options()
            },
            &private
        ),
        5
    );
    assert_eq!(
        count(
            StreamServerOptions {
                per_source: None,
                ..options()
            },
            &same_64
        ),
        3_000
    );
}

#[test]
fn strange_sources_are_refused_and_low_ports_are_not() {
    let guarded = StreamServerOptions {
        access: AccessList {
            allow: vec![],
            deny: vec!["203.0.113.0/24".parse().expect("a prefix")],
        },
        ..options()
    };
    let (mut server, counters) = server(guarded, || Echo);
    let mut world = World::new();
    assert_eq!(world.open(&mut server, 1, path(LOCAL, "198.51.100.9:80")), []);
    assert_eq!(
        world.open(&mut server, 2, path(LOCAL, "203.0.113.1:40000")),
        [Sent::Abort(2)]
    );
    assert_eq!(
        world.open(&mut server, 3, path(LOCAL, "224.0.0.1:40000")),
        [Sent::Abort(3)]
    );
    assert_eq!(tally(&counters), "3 in, 1 out, 1 bogon_source, 1 denied");
}

#[test]
fn who_is_silent_for_too_long_is_dropped_to_the_nanosecond() {
    let (mut server, counters) = server(options(), || Echo);
    let mut world = World::new();
    let start = world.now;
    assert_eq!(server.deadline(), None);
    for number in 1..=3 {
        world.open(&mut server, number, path(LOCAL, PEER));
        world.now += Duration::from_secs(100);
    }
    // 1, 2, 3 opened at 0, 100, 200 s; the first speaks at 300 s.
    world.data(&mut server, 1, b"still here");
    let due = |seconds| {
        Some(Deadline::new(
            start + Duration::from_secs(seconds),
            "idle connection",
        ))
    };
    assert_eq!(server.deadline(), due(700));
    world.now = start + Duration::from_nanos(699_999_999_999);
    assert_eq!(world.tell(&mut server, Input::Wake), []);
    world.now = start + Duration::from_secs(700);
    assert_eq!(world.tell(&mut server, Input::Wake), [Sent::Abort(2)]);
    assert_eq!(server.deadline(), due(800));
    world.now = start + Duration::from_secs(5_000);
    assert_eq!(
        world.tell(&mut server, Input::Wake),
        [Sent::Abort(3), Sent::Abort(1)]
    );
    assert_eq!(server.deadline(), None);
    assert_eq!(tally(&counters), "3 in, 3 out, 3 idle_timeout");
}

#[test]
fn a_peer_that_never_closes_after_us_is_dropped_too() {
    let (mut server, counters) = server(options(), || Line);
    let mut world = World::new();
    world.open(&mut server, 1, path(LOCAL, PEER));
    world.data(&mut server, 1, b"bye\n");
    world.now += TEN_MINUTES;
    assert_eq!(world.tell(&mut server, Input::Wake), [Sent::Abort(1)]);
    assert_eq!(counters.count(Reason::IdleTimeout), 1);
}

#[test]
fn an_idle_timeout_of_zero_waits_for_ever() {
    let (mut server, _) = server(
        StreamServerOptions {
            idle_timeout: Duration::ZERO,
            ..options()
        },
        || Echo,
    );
    let mut world = World::new();
    world.open(&mut server, 1, path(LOCAL, PEER));
    assert_eq!(server.deadline(), None);
    world.now += Duration::from_secs(1 << 30);
    assert_eq!(world.tell(&mut server, Input::Wake), []);
    assert_eq!(world.data(&mut server, 1, b"hello"), [wrote(1, b"hello")]);
}

#[test]
fn told_to_stop_it_finishes_what_is_open_and_is_finished() {
    let (mut server, counters) = server(options(), || Line);
    let mut world = World::new();
    for number in 1..=3 {
        world.open(&mut server, number, path(LOCAL, PEER));
    }
    world.data(&mut server, 2, b"bye\n");
    assert!(!server.finished());
    assert_eq!(
        world.tell(&mut server, Input::Stop),
        [Sent::Finish(1), Sent::Finish(3)]
    );
    assert!(server.finished());
    assert_eq!(server.deadline(), None);
    assert_eq!(world.open(&mut server, 4, path(LOCAL, PEER)), []);
    assert_eq!(tally(&counters), "3 in, 3 out");
}

#[test]
fn who_is_not_secured_is_counted_and_gives_its_place_back() {
    let (mut server, counters) = server(
        StreamServerOptions {
            connections: 1,
            ..options()
        },
        || Echo,
    );
    let mut world = World::new();
    let ends = [
        (CloseReason::Insecure("no TLS"), "1 in, 1 out, 1 malformed"),
        (
            CloseReason::HandshakeTimeout,
            "2 in, 2 out, 1 malformed, 1 idle_timeout",
        ),
        (CloseReason::Done, "3 in, 3 out, 1 malformed, 1 idle_timeout"),
    ];
    for (number, (why, counted)) in (1..).zip(ends) {
        assert_eq!(world.open(&mut server, number, path(LOCAL, PEER)), []);
        world.stream(&mut server, number, StreamInput::Closed(why));
        // A second end is of nothing that is there.
        world.stream(&mut server, number, StreamInput::Closed(why));
        assert_eq!(tally(&counters), counted);
    }
}

#[test]
fn connections_that_nobody_accepted_are_none_of_its_business() {
    let made = Arc::new(AtomicUsize::new(0));
    let count = made.clone();
    let (mut server, counters) = server(options(), move || {
        count.fetch_add(1, Ordering::Relaxed);
        Echo
    });
    let mut world = World::new();
    let at = stamp(world.now);
    let opened = StreamInput::Opened {
        path: path(LOCAL, PEER),
        at,
    };
    assert_eq!(world.tell(&mut server, Input::Stream(ConnId(1), opened)), []);
    assert_eq!(world.data(&mut server, 9, b"x"), []);
    assert_eq!(world.stream(&mut server, 9, StreamInput::Finished), []);
    assert_eq!(
        world.stream(&mut server, 9, StreamInput::Closed(CloseReason::Done)),
        []
    );
    assert_eq!(
        (tally(&counters), made.load(Ordering::Relaxed)),
        ("0 in, 0 out".to_owned(), 0)
    );
    world.open(&mut server, 10, path(LOCAL, PEER));
    world.open(&mut server, 11, path(LOCAL, PEER));
    assert_eq!(made.load(Ordering::Relaxed), 2, "one responder per connection");
}

#[test]
fn a_responder_that_claims_more_than_it_was_given_gets_no_further() {
    struct Liar;
    impl StreamResponder for Liar {
        fn respond(&mut self, _env: &mut Env<'_>, _at: Stamp, rx: &[u8], _tx: &mut Vec<u8>) -> (usize, Next) {
            (if rx.len() > 1 { 1 } else { usize::MAX }, Next::Continue)
        }
    }
    let (mut server, _) = server(options(), || Liar);
    let mut world = World::new();
    world.open(&mut server, 1, path(LOCAL, PEER));
    assert_eq!(world.data(&mut server, 1, b"abc"), []);
}

type Change = fn(&mut StreamServerOptions);

#[test]
fn every_option_is_checked_by_its_name() {
    let set = |change: Change| {
        let mut options = options();
        change(&mut options);
        options
            .check()
            .err()
            .map(|error| error.to_string())
            .unwrap_or_default()
    };
    let table: [(Change, &str); 6] = [
        (|_| {}, ""),
        (
            |o| o.connections = 0,
            "connections is 0, but must be 1 to 1000000",
        ),
        (
            |o| o.per_source = Some(0),
            "per_source is 0, but must be 1 to 4294967295",
        ),
        (
            |o| o.per_local_source = Some(0),
            "per_local_source is 0, but must be 1 to 4294967295",
        ),
        (
            |o| o.pending = 16_777_217,
            "pending is 16777217, but must be 0 to 16777216",
        ),
        (
            |o| {
                o.access.allow.push("10.0.0.0/8".parse().expect("a prefix"));
                o.access.deny.push("10.0.0.0/8".parse().expect("a prefix"));
            },
            "access: 10.0.0.0/8 is both allowed and denied",
        ),
    ];
    for (change, expected) in table {
        assert_eq!(set(change), expected);
    }
    let made = StreamServer::new(
        StreamServerOptions {
            connections: 0,
            ..options()
        },
        Box::new(|_| Box::new(Echo)),
        Arc::default(),
    );
    assert!(made.is_err());
}
