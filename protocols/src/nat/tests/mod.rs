//! Verdicts from tables of observations, and searches from lifetimes; whole investigations are stories of the simulator.

mod lying;

use super::findings::{Came, Findings, Sight, either, filtering, mapping};
use super::query::{Fate, How, LONGEST, Query};
use super::search::Search;
use super::task::{Errand, Purpose, Task};
use super::*;
use crate::echo::asker::{Ask, Asker, AskerOptions, REQUEST, Source};
use crate::echo::pingback::Outcome;
use crate::echo::tests::{datagram, with_env};
use crate::echo::wire::{Pingback, Probe};
use crate::stun::wire::{Change, Class, Message, Writer, attribute};
use halloo_base::Dependence::{self, AddressAndPortDependent, AddressDependent, EndpointIndependent};
use halloo_base::{LinkId, Mono, Path};
use proptest::prelude::*;
use std::net::SocketAddr;
use std::time::Duration;

fn at(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

/// Ends and how each sees us; what the mapping may be, and why it is not known better.
type Seen<'a> = (&'a [(&'a str, &'a str)], &'a [Dependence], Option<Lack>);
/// What came from the same port, another and another address; what the filter may be, and why it is not known better.
type LetIn<'a> = (Came, Came, Came, &'a [Dependence], Option<Lack>);
/// Whether translated, mapping, filtering; whether two such can meet.
type Meeting<'a> = (Option<bool>, &'a [Dependence], &'a [Dependence], Option<bool>);

const PATIENCE: Duration = Duration::from_millis(500);

#[test]
fn mappings_are_told_from_how_ends_see_one_socket() {
    let (a, b, c) = ("203.0.113.1:5000", "203.0.113.1:5001", "203.0.113.1:5002");
    let (first, port, address) = ("192.0.2.1:7777", "192.0.2.1:3478", "198.51.100.1:7777");
    let all = [EndpointIndependent, AddressDependent, AddressAndPortDependent];
    let table: &[Seen<'_>] = &[
        (&[], &[], Some(Lack::NoAnswer)),
        (&[(first, a)], &[], Some(Lack::SecondPort)),
        (&[(first, a), (first, b)], &[], Some(Lack::Unstable)),
        (&[(first, a), (port, a)], &all[..2], Some(Lack::SecondAddress)),
        (&[(first, a), (port, b)], &all[2..], None),
        (&[(first, a), (address, a)], &all[..1], None),
        (&[(first, a), (address, b)], &all[1..], Some(Lack::SecondPort)),
        (&[(first, a), (port, a), (address, a)], &all[..1], None),
        (&[(first, a), (port, a), (address, b)], &all[1..2], None),
        (&[(first, a), (port, b), (address, c)], &all[2..], None),
        // Each sees the same port by chance, or the NAT keeps it: another one of the first address tells.
        (&[(first, a), (port, b), (address, a)], &all[2..], None),
        (
            &[
                ("[2001:db8::1]:1", "[2001:db8:1::9]:5"),
                ("[2001:db8::1]:2", "[2001:db8:1::9]:5"),
            ],
            &all[..2],
            Some(Lack::SecondAddress),
        ),
    ];
    for (sights, possible, lack) in table {
        let sights: Vec<_> = sights
            .iter()
            .map(|(end, seen)| Sight {
                end: at(end),
                seen: at(seen),
            })
            .collect();
        let kind = mapping(&sights);
        assert_eq!((&kind.possible[..], kind.lack), (*possible, *lack), "{sights:?}");
    }
}

#[test]
fn filters_are_told_from_who_was_let_in() {
    use Came::{No, Unknown, Yes};
    let none = Unknown(Lack::Refused(Outcome::NoOther));
    let silent = Unknown(Lack::NoAnswer);
    let all = [EndpointIndependent, AddressDependent, AddressAndPortDependent];
    let table: &[LetIn<'_>] = &[
        (Yes, Yes, Yes, &all[..1], None),
        (Yes, Yes, No, &all[1..2], None),
        (Yes, No, No, &all[2..], None),
        (Yes, No, none, &all[2..], None),
        (Yes, Yes, none, &all[..2], Some(Lack::SecondAddress)),
        (Yes, none, No, &all[1..], Some(Lack::SecondPort)),
        (Yes, none, Yes, &all[..1], None),
        (Yes, none, none, &[], Some(Lack::Refused(Outcome::NoOther))),
        // Three datagrams from the other port were lost.
        (Yes, No, Yes, &all[..1], None),
        (No, No, No, &[], Some(Lack::NothingCame)),
        (silent, silent, silent, &[], Some(Lack::NoAnswer)),
    ];
    for (same, port, address, possible, lack) in table {
        let kind = filtering(*same, *port, *address);
        assert_eq!(
            (&kind.possible[..], kind.lack),
            (*possible, *lack),
            "{same:?} {port:?} {address:?}"
        );
    }
    assert_eq!(either(No, Yes), Yes);
    assert_eq!(either(none, No), No);
    assert_eq!(either(none, silent), none);
}

#[test]
fn meeting_is_told_where_it_does_not_depend_on_what_is_unknown() {
    let kind = |possible: &[Dependence]| Kind {
        possible: possible.to_vec(),
        lack: None,
    };
    let table: &[Meeting<'_>] = &[
        (Some(true), &[EndpointIndependent], &[], Some(true)),
        (
            Some(true),
            &[AddressAndPortDependent],
            &[AddressAndPortDependent],
            Some(false),
        ),
        (Some(true), &[AddressAndPortDependent], &[], None),
        (
            Some(true),
            &[EndpointIndependent, AddressDependent],
            &[AddressDependent],
            None,
        ),
        (Some(true), &[], &[EndpointIndependent], Some(true)),
        (Some(false), &[], &[], Some(true)),
        (Some(true), &[], &[], None),
    ];
    for (translated, mapping, filtering, expected) in table {
        let found = Findings {
            reflexive: Some(at("203.0.113.1:5000")),
            translated: *translated,
            mapping: kind(mapping),
            filtering: kind(filtering),
            ..Findings::none()
        };
        assert_eq!(found.two_such_can_meet(), *expected, "{found:?}");
    }
    assert_eq!(Findings::none().two_such_can_meet(), None, "nobody answered");
}

#[test]
fn keep_alives_leave_room_and_are_whole() {
    let keep = |at_least: Option<u64>| {
        let lifetime = Lifetime {
            at_least: at_least.map(Duration::from_millis),
            below: None,
        };
        let found = Findings {
            lifetime,
            ..Findings::none()
        };
        found.keep_alive().map(|span| span.as_millis())
    };
    let table = [
        (None, None),
        (Some(36_100), Some(25_000)),
        (Some(180_000), Some(126_000)),
        (Some(2_000), Some(1_000)),
        (Some(1_000), Some(700)),
        (Some(100), None),
    ];
    for (at_least, expected) in table {
        assert_eq!(keep(at_least), expected, "{at_least:?}");
    }
}

/// Searches as an investigation does, for a mapping that lives so long.
fn searched(longest: u64, lifetime: u64) -> Lifetime {
    let lifetime = Duration::from_millis(lifetime);
    let mut search = Search::new(Duration::from_millis(longest));
    let try_all = |search: &mut Search, silences: Vec<Duration>| {
        for silence in silences {
            if silence < lifetime {
                search.alive(silence);
            } else {
                search.dead(silence);
            }
        }
    };
    let coarse = search.coarse();
    assert!(coarse.windows(2).all(|pair| pair[0] <= pair[1]), "{coarse:?}");
    assert_eq!(coarse.last().map(Duration::as_millis), Some(u128::from(longest)));
    try_all(&mut search, coarse);
    for _ in 0..2 {
        if !search.is_fine() {
            let finer = search.finer();
            try_all(&mut search, finer);
        }
    }
    search.lifetime()
}

#[test]
fn what_came_once_outweighs_a_loss() {
    let mut search = Search::new(Duration::from_secs(60));
    let span = Duration::from_secs;
    search.alive(span(10));
    search.dead(span(20));
    search.dead(span(30));
    assert_eq!(search.lifetime().below, Some(span(20)));
    assert_eq!(search.finer().last(), Some(&span(20)), "the bound is tried again");
    search.alive(span(20));
    search.dead(span(20));
    assert_eq!(
        search.lifetime(),
        Lifetime {
            at_least: Some(span(20)),
            below: Some(span(30)),
        }
    );
}

/// A trial that asked at 0, 1 and 2 s, was promised something at the last, and got what its second question had asked for, if
/// `at` says when; then its time was over.
fn repeated(at: Option<u64>) -> (Vec<Duration>, Option<Duration>) {
    let second = 1_000_000_000;
    let silence = Duration::from_secs(20);
    let path = Path {
        link: LinkId(0),
        local: self::at("10.0.0.2:40000"),
        remote: self::at("198.51.100.1:7777"),
    };
    let mut asker = Asker::new(AskerOptions {
        token: 7,
        key: None,
        path,
        ask: Ask {
            count: 1,
            gap: silence,
            silence,
            from: Source::Same,
        },
        patience: Duration::from_secs(1),
        lost_after: Duration::from_secs(1),
        tries: 5,
    });
    let hear = |asker: &mut Asker, now: u64, probe: Probe| {
        let mut bytes = vec![0; usize::from(probe.length)];
        probe.emit(&mut bytes).expect("room");
        asker
            .hear(&datagram("198.51.100.1:7777", now, &bytes))
            .expect("it is its own");
    };
    let answer = |seq, outcome| {
        let mut reply = Probe::request(7, seq, true, false).asking_back(Pingback {
            count: 1,
            other_port: false,
            other_address: false,
            outcome,
            gap: silence,
            silence,
        });
        reply.flags.reply = true;
        reply.wide.as_mut().expect("asked for").cookie = 5;
        reply
    };
    for seq in 0..3 {
        let now = u64::from(seq) * second;
        with_env(now, |env| asker.send(env, &mut [0; REQUEST])).expect("it asks");
        match seq {
            0 => hear(&mut asker, now, answer(seq, Outcome::Unproven)),
            2 => hear(&mut asker, now, answer(seq, Outcome::Granted)),
            _ => {}
        }
    }
    if let Some(at) = at {
        let mut probe = Probe::request(7, 1, false, false);
        probe.flags.reply = true;
        probe.flags.pingback = true;
        probe.received = 1;
        hear(&mut asker, at * second, probe);
    }
    assert_eq!(
        with_env(60 * second, |env| asker.send(env, &mut [0; REQUEST])),
        None
    );
    let task = Task {
        socket: 0,
        start: Mono(0),
        purpose: Purpose::Lifetime,
        errand: Errand::Ask(Box::new(asker)),
    };
    task.silences()
}

#[test]
fn a_repeated_question_breaks_the_silence_and_is_taken_off_it() {
    let span = Duration::from_secs;
    assert_eq!(repeated(None), (vec![], Some(span(20))));
    assert_eq!(repeated(Some(21)), (vec![span(19)], Some(span(20))));
}

/// A question that has been sent, and its bytes.
fn sent(how: How, change: Change) -> (Query, Vec<u8>) {
    let path = Path {
        link: LinkId(0),
        local: at("10.0.0.2:40000"),
        remote: at("198.51.100.1:3478"),
    };
    let mut query = Query::new(how, path, change, 7);
    let mut room = [0; LONGEST];
    let len = with_env(0, |env| query.send(env, PATIENCE, 3, &mut room)).expect("it is due");
    (query, room[..len].to_vec())
}

fn success(request: &[u8], seen: &str, other: Option<&str>) -> Vec<u8> {
    let request = Message::parse(request).expect("a message");
    let mut room = [0; 128];
    let mut answer = Writer::new(&mut room, Class::Success, request.transaction, true).expect("room");
    answer
        .address(attribute::XOR_MAPPED_ADDRESS, at(seen))
        .expect("room");
    if let Some(other) = other {
        answer.address(attribute::OTHER_ADDRESS, at(other)).expect("room");
    }
    let len = answer.finish();
    room[..len].to_vec()
}

#[test]
fn an_answer_counts_from_where_it_was_asked_for() {
    let change = |ip, port| Change { ip, port };
    let (server, port, address, both) = (
        "198.51.100.1:3478",
        "198.51.100.1:3479",
        "198.51.100.2:3478",
        "198.51.100.2:3479",
    );
    let table = [
        (change(false, false), [true, false, false, false]),
        (change(false, true), [false, true, false, false]),
        (change(true, true), [false, false, false, true]),
    ];
    for (change, expected) in table {
        for (from, expected) in [server, port, address, both].into_iter().zip(expected) {
            let (mut query, bytes) = sent(How::Stun, change);
            let answer = success(&bytes, "203.0.113.1:5000", Some("198.51.100.2:3479"));
            let heard = query.hear(&datagram(from, 1, &answer));
            assert_eq!(heard, expected, "{change:?} {from}");
            assert_eq!(query.answer().is_some(), expected);
            if let Some(answer) = query.answer() {
                assert_eq!(answer.seen, at("203.0.113.1:5000"));
                assert_eq!(answer.other, Some(at("198.51.100.2:3479")));
            }
        }
    }
}

#[test]
fn a_question_is_repeated_until_it_has_been_asked_often_enough() {
    let (mut query, _) = sent(How::Echo, Change::default());
    let mut times = 1;
    let mut now = 0;
    while let Some(due) = query.due(PATIENCE) {
        now = due.0.max(now + 1);
        let mut room = [0; LONGEST];
        times += usize::from(with_env(now, |env| query.send(env, PATIENCE, 3, &mut room)).is_some());
    }
    assert_eq!((times, query.fate), (3, Fate::Silent));
}

#[test]
fn a_plain_echo_answers_and_tells_nothing() {
    let (mut query, bytes) = sent(How::Echo, Change::default());
    assert!(query.hear(&datagram("198.51.100.1:3478", 1, &bytes)));
    assert_eq!(query.fate, Fate::Refused);
}

proptest! {
    #[test]
    fn every_lifetime_is_found_as_finely_as_promised(longest in 1_000u64..900_000, share in 0.001f64..1.2) {
        let lifetime = (longest as f64 * share) as u64 + 1;
        let found = searched(longest, lifetime);
        let millis = |span: Option<Duration>| span.map(|span| span.as_millis() as u64);
        let (at_least, below) = (millis(found.at_least), millis(found.below));
        match below {
            None => prop_assert!(lifetime > longest && at_least == Some(longest)),
            Some(below) => {
                let at_least = at_least.unwrap_or(0);
                prop_assert!(at_least < lifetime && lifetime <= below);
                prop_assert!(below - at_least <= (at_least / 16 + 1).max(170), "{at_least} {below}");
            }
        }
    }

    #[test]
    fn any_bytes_are_heard_without_harm(bytes in prop::collection::vec(any::<u8>(), 0..200), echo in any::<bool>()) {
        let how = if echo { How::Echo } else { How::Stun };
        let (mut query, own) = sent(how, Change::default());
        let mut bytes = bytes;
        for (place, octet) in bytes.iter_mut().zip(own).take(20) {
            *place = octet;
        }
        query.hear(&datagram("198.51.100.1:3478", 1, &bytes));
    }
}
