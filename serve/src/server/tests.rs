mod elsewhere;

use super::*;
use crate::harness::{SECRET, Sent, World, datagram, path, stamp, tally};
use crate::{AccessList, Broadcast, Limits, Rate};
use halloo_base::{Env, LinkId, Mono, Offload, Path, Stamp, Trust, TxTag, Verdict};
use proptest::prelude::*;
use std::sync::Mutex;

const LOCAL: &str = "192.0.2.1:7777";
const PEER: &str = "198.51.100.9:40000";

type Says = Box<dyn FnMut(&mut [u8]) -> Verdict + Send>;

/// A responder whose every move the test chooses.
struct Puppet {
    says: Says,
    trusts: Trust,
    /// How long what it warns by is.
    warns: Option<usize>,
    departed: Arc<Mutex<Vec<(TxTag, Stamp)>>>,
}

impl Puppet {
    fn saying(says: impl FnMut(&mut [u8]) -> Verdict + Send + 'static) -> Puppet {
        Puppet {
            says: Box::new(says),
            trusts: Trust::Stranger,
            warns: None,
            departed: Arc::default(),
        }
    }

    fn echo() -> Puppet {
        Puppet::saying(|reply| Verdict::Reply(reply.len()))
    }
}

impl Responder for Puppet {
    fn respond(&mut self, _env: &mut Env<'_>, _rx: &Datagram<'_>, reply: &mut [u8]) -> Verdict {
        (self.says)(reply)
    }

    fn trust(&self, _env: &Env<'_>, _rx: &Datagram<'_>) -> Trust {
        self.trusts
    }

    fn warn(&mut self, _env: &mut Env<'_>, _rx: &Datagram<'_>, reply: &mut [u8]) -> Option<usize> {
        reply.fill(b'!');
        self.warns
    }

    fn departed(&mut self, tag: TxTag, at: Stamp) {
        self.departed.lock().expect("nobody panicked").push((tag, at));
    }
}

fn options() -> ServerOptions {
    ServerOptions::new(SECRET)
}

fn server(options: ServerOptions, responder: Puppet) -> (Server, Arc<Counters>) {
    let counters = Arc::new(Counters::default());
    let server = Server::new(options, Box::new(responder), counters.clone()).expect("options in range");
    (server, counters)
}

#[test]
fn a_datagram_comes_back_by_the_path_it_came() {
    let (mut server, counters) = server(options(), Puppet::echo());
    let mut world = World::new();
    let known = path(LOCAL, PEER);
    // The kernel did not tell the address; and the peer is an IPv4 host on a dual-stack socket.
    let wildcard = path("[::]:7777", "[::ffff:198.51.100.9]:40000");
    for way in [
        known,
        wildcard,
        Path {
            link: LinkId(0),
            ..known
        },
    ] {
        let sent = world.datagram(&mut server, way, b"hello");
        assert_eq!(sent, [Sent::Datagram(way, None, b"hello".to_vec())]);
    }
    assert_eq!(tally(&counters), "3 in, 3 out");
    let all = counters.snapshot();
    assert_eq!((all.received_bytes, all.replied_bytes), (15, 15));
}

#[test]
fn an_empty_datagram_is_a_datagram() {
    let (mut server, counters) = server(options(), Puppet::echo());
    let sent = World::new().datagram(&mut server, path(LOCAL, PEER), b"");
    assert_eq!(sent, [Sent::Datagram(path(LOCAL, PEER), None, Vec::new())]);
    assert_eq!(tally(&counters), "1 in, 1 out");
}

#[test]
fn each_guard_counts_its_own_reason_and_sends_nothing() {
    let mut options = options();
    options.guards.access = AccessList {
        allow: vec![],
        deny: vec!["203.0.113.0/24".parse().expect("a prefix")],
    };
    options.guards.own_ports = vec![8862];
    let (mut server, counters) = server(options, Puppet::echo());
    let mut world = World::new();
    let table = [
        ("224.0.0.1:7777", PEER, Reason::NotUnicast),
        (LOCAL, "0.0.0.0:40000", Reason::BogonSource),
        (LOCAL, "203.0.113.1:40000", Reason::Denied),
        (LOCAL, "198.51.100.9:53", Reason::ReflectionPort),
        (LOCAL, "198.51.100.9:8862", Reason::OwnPort),
    ];
    for (local, remote, why) in table {
        assert_eq!(
            world.datagram(&mut server, path(local, remote), b"x"),
            [],
            "{why:?}"
        );
        assert_eq!(counters.count(why), 1, "{why:?}");
    }
    let expected = "5 in, 0 out, 1 not_unicast, 1 bogon_source, 1 reflection_port, 1 own_port, 1 denied";
    assert_eq!(tally(&counters), expected);
}

#[test]
fn who_sends_too_much_is_not_answered_until_time_has_passed() {
    let mut options = options();
    let rate = |per_second, burst| Some(Rate { per_second, burst });
    options.guards.limits = Limits {
        per_source: rate(10, 2),
        all: rate(10, 3),
        ..Limits::default()
    };
    let (mut server, counters) = server(options, Puppet::echo());
    let mut world = World::new();
    let (first, second) = (path(LOCAL, PEER), path(LOCAL, "198.51.100.10:40000"));
    let mut answered = |world: &mut World, from| world.datagram(&mut server, from, b"x").len();
    assert_eq!(
        [first, first, first].map(|from| answered(&mut world, from)),
        [1, 1, 0]
    );
    assert_eq!([second, second].map(|from| answered(&mut world, from)), [1, 0]);
    world.now = Mono(world.now.0 + 100_000_000);
    assert_eq!([first, first].map(|from| answered(&mut world, from)), [1, 0]);
    assert_eq!(
        tally(&counters),
        "7 in, 4 out, 1 rate_limited, 2 rate_limited_all"
    );
}

#[test]
fn a_validated_client_is_answered_where_a_stranger_is_not() {
    let mut options = options();
    options.guards.limits.per_source = Some(Rate {
        per_second: 1,
        burst: 3,
    });
    let answered = |trusts| {
        let (mut server, _) = server(
            options.clone(),
            Puppet {
                trusts,
                ..Puppet::echo()
            },
        );
        let mut world = World::new();
        (0..100)
            .map(|_| world.datagram(&mut server, path(LOCAL, PEER), b"x").len())
            .sum::<usize>()
    };
    assert_eq!(answered(Trust::Stranger), 3);
    assert_eq!(answered(Trust::Validated), 3 + 30);
}

#[test]
fn longer_replies_are_allowed_and_rationed_where_the_protocol_declares_them() {
    let mut options = options();
    options.reply_limit = ReplyLimit::Extra(4);
    options.guards.limits.per_source = Some(Rate {
        per_second: 100,
        burst: 40,
    });
    let (mut server, _) = server(options, Puppet::echo());
    let mut world = World::new();
    let mut ask = || world.datagram(&mut server, path(LOCAL, PEER), b"ab");
    let longer = [Sent::Datagram(path(LOCAL, PEER), None, b"ab\0\0\0\0".to_vec())];
    assert_eq!([ask(), ask(), ask()], [&longer[..], &longer[..], &[]]);
}

#[test]
fn only_who_is_known_or_near_gets_the_longest_reply() {
    let table = [
        (PEER, Trust::Stranger, 4),
        (PEER, Trust::Validated, 9),
        ("192.168.1.9:40000", Trust::Stranger, 9),
        ("[::ffff:10.1.2.3]:40000", Trust::Stranger, 9),
    ];
    for (peer, trust, more) in table {
        let mut options = options();
        options.reply_limit = ReplyLimit::Graded {
            stranger: 4,
            validated: 9,
        };
        let puppet = Puppet {
            trusts: trust,
            ..Puppet::saying(|reply| Verdict::Reply(reply.len()))
        };
        let (mut server, _) = server(options, puppet);
        let sent = World::new().datagram(&mut server, path(LOCAL, peer), b"ab");
        let reply = [b"ab".to_vec(), vec![0; more]].concat();
        assert_eq!(
            sent,
            [Sent::Datagram(path(LOCAL, peer), None, reply)],
            "{peer} {trust:?}"
        );
    }
}

/// Has something to send at certain times.
struct Promising(Vec<u64>);

impl Responder for Promising {
    fn respond(&mut self, _env: &mut Env<'_>, _rx: &Datagram<'_>, _reply: &mut [u8]) -> Verdict {
        Verdict::Silent(Reason::NotServed)
    }

    fn due(&self) -> Option<Deadline> {
        let at = self.0.first()?;
        Some(Deadline::new(Mono(*at), "a promise"))
    }

    fn send_due(&mut self, env: &mut Env<'_>, room: &mut [u8]) -> Option<(Path, usize)> {
        let at = *self.0.first().filter(|&&at| at <= env.now.0)?;
        self.0.remove(0);
        room[0] = at as u8;
        Some((path(LOCAL, PEER), 1))
    }
}

#[test]
fn what_was_promised_is_sent_when_it_is_due_and_counted_apart() {
    let counters = Arc::new(Counters::default());
    let promising = Box::new(Promising(vec![5, 5, 9]));
    let mut server = Server::new(options(), promising, Arc::clone(&counters)).expect("options in range");
    let mut world = World::new();
    let mut wake = |server: &mut Server, now| {
        world.now = Mono(now);
        world.tell(server, Input::Wake).len()
    };
    assert_eq!(server.deadline().map(|deadline| deadline.at), Some(Mono(5)));
    assert_eq!(wake(&mut server, 4), 0);
    assert_eq!(wake(&mut server, 6), 2);
    assert_eq!(server.deadline().map(|deadline| deadline.at), Some(Mono(9)));
    assert_eq!(wake(&mut server, 9), 1);
    assert_eq!(server.deadline(), None);
    let counted = counters.snapshot();
    assert_eq!(
        (counted.promised, counted.promised_bytes, counted.replied),
        (3, 3, 0)
    );
}

/// A server that answers 10 a second of each, and what a hundred datagrams in a second from one of them come to.
fn asked_too_often(warns: Option<usize>, limits: Limits) -> (Vec<Vec<u8>>, Arc<Counters>) {
    let puppet = Puppet {
        warns,
        ..Puppet::echo()
    };
    let guards = Guards {
        limits,
        ..Guards::default()
    };
    let (mut server, counters) = server(ServerOptions { guards, ..options() }, puppet);
    let mut world = World::new();
    let mut sent = vec![];
    for _ in 0..100 {
        world.now = Mono(world.now.0 + 10_000_000);
        for sent_now in world.datagram(&mut server, path(LOCAL, PEER), b"hello") {
            let Sent::Datagram(to, None, bytes) = sent_now else {
                panic!("{sent_now:?}");
            };
            assert_eq!(to, path(LOCAL, PEER), "to who asked, by the way he came");
            sent.push(bytes);
        }
    }
    sent.retain(|bytes| bytes != b"hello");
    (sent, counters)
}

const TEN: Option<Rate> = Some(Rate {
    per_second: 10,
    burst: 10,
});

#[test]
fn who_asks_too_often_is_told_so_once_in_a_while() {
    let each = Limits {
        per_source: TEN,
        ..Limits::default()
    };
    let (sent, counters) = asked_too_often(Some(3), each.clone());
    assert_eq!(sent, [b"!!!"]);
    let counted = counters.snapshot();
    assert_eq!((counted.warned, counted.warned_bytes), (1, 3));
    assert_eq!(
        counted.replied + counters.count(Reason::RateLimited),
        100,
        "it stays counted as unanswered"
    );
    let (sent, counters) = asked_too_often(None, each.clone());
    assert_eq!((sent.len(), counters.snapshot().warned), (0, 0), "without words");
    let (sent, counters) = asked_too_often(Some(6), each);
    assert_eq!(
        (sent.len(), counters.count(Reason::ReplyTooLong)),
        (0, 1),
        "too long"
    );
}

#[test]
fn who_suffers_for_all_is_not_told_to_ask_less() {
    let (sent, counters) = asked_too_often(
        Some(3),
        Limits {
            all: TEN,
            ..Limits::default()
        },
    );
    assert_eq!((sent.len(), counters.snapshot().warned), (0, 0));
    assert!(counters.count(Reason::RateLimitedAll) > 50);
}

#[test]
fn the_responders_silence_is_counted_under_its_reason() {
    let (mut server, counters) = server(options(), Puppet::saying(|_| Verdict::Silent(Reason::Loop)));
    assert_eq!(World::new().datagram(&mut server, path(LOCAL, PEER), b"x"), []);
    assert_eq!(tally(&counters), "1 in, 0 out, 1 loop");
}

#[test]
fn a_departure_finds_its_way_back_to_the_responder() {
    let puppet = Puppet::saying(|_| Verdict::ReplyStamped(1, TxTag(77)));
    let departed = puppet.departed.clone();
    let (mut server, _) = server(options(), puppet);
    let mut world = World::new();
    let sent = world.datagram(&mut server, path(LOCAL, PEER), b"xyz");
    assert_eq!(sent, [Sent::Datagram(path(LOCAL, PEER), Some(77), b"x".to_vec())]);
    world.tell(&mut server, Input::Departed(TxTag(77), stamp(Mono(5))));
    assert_eq!(
        *departed.lock().expect("nobody panicked"),
        [(TxTag(77), stamp(Mono(5)))]
    );
}

/// An IPv4 header and nothing else, from the echo address of the tests below.
fn answer_to(receiver: [u8; 4]) -> [u8; 20] {
    let mut header = [0; 20];
    header[0] = 0x45;
    header[3] = 20;
    header[12..16].copy_from_slice(&[192, 0, 2, 1]);
    header[16..].copy_from_slice(&receiver);
    header
}

#[test]
fn a_protocol_without_ports_is_not_asked_for_any() {
    let way = path("192.0.2.1:0", "198.51.100.9:0");
    for (transport, answers) in [(Transport::Ip, 1), (Transport::Udp, 0)] {
        let (mut server, _) = server(
            ServerOptions {
                transport,
                ..options()
            },
            Puppet::echo(),
        );
        let answer = answer_to([198, 51, 100, 9]);
        assert_eq!(
            World::new().datagram(&mut server, way, &answer).len(),
            answers,
            "{transport:?}"
        );
    }
}

#[test]
fn an_answer_to_somebody_who_did_not_ask_is_his_to_be_let_in_and_limited() {
    let mut options = ServerOptions {
        transport: Transport::Ip,
        ..options()
    };
    options.guards.access.deny = vec!["203.0.113.0/24".parse().expect("a prefix")];
    options.guards.broadcasts = vec![Broadcast {
        link: LinkId(0),
        address: [198, 51, 100, 255].into(),
    }];
    options.guards.limits.per_source = Some(Rate {
        per_second: 1,
        burst: 2,
    });
    // What is asked for is where the answer goes.
    let (mut server, counters) = server(options, Puppet::echo());
    let mut world = World::new();
    let mut ask = |from: &str, receiver| {
        let way = path("192.0.2.1:0", from);
        world.datagram(&mut server, way, &answer_to(receiver)).len()
    };
    assert_eq!(ask("198.51.100.9:0", [203, 0, 113, 5]), 0);
    assert_eq!(ask("198.51.100.9:0", [198, 51, 100, 255]), 0);
    assert_eq!(tally(&counters), "2 in, 0 out, 1 bogon_source, 1 denied");
    let through_others: Vec<_> = (20..24)
        .map(|host| ask(&format!("198.51.100.{host}:0"), [198, 51, 100, 50]))
        .collect();
    assert_eq!(through_others, [1, 1, 0, 0], "the burst of who gets them all");
    assert_eq!(
        ask("198.51.100.50:0", [198, 51, 100, 50]),
        0,
        "he has nothing left"
    );
    assert_eq!(ask("198.51.100.30:0", [198, 51, 100, 30]), 1, "others have");
    assert_eq!(
        tally(&counters),
        "8 in, 3 out, 1 bogon_source, 1 denied, 3 rate_limited"
    );
}

#[test]
fn an_answer_that_goes_nowhere_in_particular_is_not_sent() {
    let options = ServerOptions {
        transport: Transport::Ip,
        ..options()
    };
    let (mut server, counters) = server(options, Puppet::echo());
    let way = path("192.0.2.1:0", "198.51.100.9:0");
    assert_eq!(World::new().datagram(&mut server, way, b"x"), []);
    assert_eq!(tally(&counters), "1 in, 0 out, 1 malformed");
}

#[test]
fn what_was_left_to_the_device_is_left_to_it_again_unless_the_length_changed() {
    let left = Offload {
        flags: 1,
        checksum_start: 20,
        checksum_offset: 6,
        ..Offload::default()
    };
    for (answer, expected) in [(4, left), (3, Offload::default())] {
        let (mut server, _) = server(options(), Puppet::saying(move |_| Verdict::Reply(answer)));
        let mut world = World::new();
        let rx = Datagram {
            offload: left,
            ..datagram(path(LOCAL, PEER), b"ping")
        };
        world.tell(&mut server, Input::Datagram(rx));
        assert_eq!(world.offloads, [expected], "{answer}");
    }
}

#[test]
fn a_packet_to_be_cut_costs_what_its_segments_cost() {
    let mut options = options();
    options.guards.limits.per_source = Some(Rate {
        per_second: 1,
        burst: 10,
    });
    let (mut server, counters) = server(options, Puppet::echo());
    let mut world = World::new();
    let bytes = [0; 28 + 4 * 100];
    let rx = Datagram {
        offload: Offload {
            segmentation: 5,
            header_len: 28,
            segment_size: 100,
            ..Offload::default()
        },
        ..datagram(path(LOCAL, PEER), &bytes)
    };
    let answered: Vec<_> = (0..3)
        .map(|_| world.tell(&mut server, Input::Datagram(rx)).len())
        .collect();
    assert_eq!(answered, [1, 1, 0]);
    assert_eq!(world.datagram(&mut server, path(LOCAL, PEER), b"x").len(), 1);
    assert_eq!(tally(&counters), "4 in, 3 out, 1 rate_limited");
}

#[test]
fn told_to_stop_it_answers_nothing_more_and_is_finished() {
    let (mut server, counters) = server(options(), Puppet::echo());
    let mut world = World::new();
    assert!(!server.finished() && server.deadline().is_none());
    world.tell(&mut server, Input::Stop);
    assert!(server.finished());
    assert_eq!(world.datagram(&mut server, path(LOCAL, PEER), b"x"), []);
    assert_eq!(tally(&counters), "0 in, 0 out");
}

#[test]
fn options_out_of_range_make_no_server() {
    let mut options = options();
    options.guards.limits.validated_share = 0;
    let made = Server::new(options, Box::new(Puppet::echo()), Arc::default());
    let error = made.err().expect("a share of nothing is refused");
    assert_eq!(
        error.to_string(),
        "limits.validated_share is 0, but must be 1 to 1000"
    );
}

proptest! {
    /// Whatever a responder claims and scribbles, it amplifies nothing.
    #[test]
    fn no_responder_can_send_more_than_its_limit(
        request in prop::collection::vec(any::<u8>(), 0..200),
        extra in prop::option::of(0usize..50),
        claims in prop::collection::vec(prop_oneof![0usize..300, Just(usize::MAX)], 1..10),
        stamped in any::<bool>(),
    ) {
        let reply_limit = extra.map_or(ReplyLimit::SameAsRequest, ReplyLimit::Extra);
        let longest = request.len() + extra.unwrap_or(0);
        let mut script = claims.clone().into_iter();
        let puppet = Puppet::saying(move |reply| {
            assert_eq!(reply.len(), longest);
            reply.fill(0xee);
            let len = script.next().expect("one claim per datagram");
            if stamped { Verdict::ReplyStamped(len, TxTag(1)) } else { Verdict::Reply(len) }
        });
        let (mut server, counters) = server(ServerOptions { reply_limit, ..options() }, puppet);
        let mut world = World::new();
        for &claim in &claims {
            let sent = world.datagram(&mut server, path(LOCAL, PEER), &request);
            if claim <= longest {
                let expected = Sent::Datagram(path(LOCAL, PEER), stamped.then_some(1), vec![0xee; claim]);
                prop_assert_eq!(sent, [expected]);
            } else {
                prop_assert_eq!(sent, []);
            }
        }
        let refused = claims.iter().filter(|&&claim| claim > longest).count() as u64;
        prop_assert_eq!(counters.count(Reason::ReplyTooLong), refused);
        prop_assert_eq!(counters.snapshot().replied + refused, claims.len() as u64);
    }
}
