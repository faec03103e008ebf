//! Which of four places an answer comes from, and what it tells.

use super::*;
use crate::stun::NotPlaces;
use crate::stun::wire::Change;
use crate::stun::wire::attribute::{
    CHANGE_REQUEST, MAPPED_ADDRESS, OTHER_ADDRESS, RESPONSE_ORIGIN, UNKNOWN_ATTRIBUTES, XOR_MAPPED_ADDRESS,
};

const CHANGES: [Change; 4] = [
    change(false, false),
    change(false, true),
    change(true, false),
    change(true, true),
];

const fn change(ip: bool, port: bool) -> Change {
    Change { ip, port }
}

#[test]
fn places_are_two_addresses_of_one_host_and_two_ports() {
    let ip = |text: &str| addr(text).ip();
    let first = "192.0.2.1:3478";
    let table = [
        ("192.0.2.2:3479", None),
        ("[::ffff:192.0.2.2]:3479", None),
        ("192.0.2.1:3479", Some(NotPlaces::SameAddress(ip("192.0.2.1:0")))),
        (
            "[::ffff:192.0.2.1]:3479",
            Some(NotPlaces::SameAddress(ip("192.0.2.1:0"))),
        ),
        ("192.0.2.2:3478", Some(NotPlaces::SamePort(3478))),
        ("192.0.2.2:0", Some(NotPlaces::Port)),
        ("0.0.0.0:3479", Some(NotPlaces::Address(ip("0.0.0.0:0")))),
        ("224.0.0.1:3479", Some(NotPlaces::Address(ip("224.0.0.1:0")))),
        (
            "255.255.255.255:3479",
            Some(NotPlaces::Address(ip("255.255.255.255:0"))),
        ),
        ("[ff02::1]:3479", Some(NotPlaces::Address(ip("[ff02::1]:0")))),
        (
            "[2001:db8::2]:3479",
            Some(NotPlaces::Family(ip("192.0.2.1:0"), ip("[2001:db8::2]:0"))),
        ),
    ];
    for (other, why) in table {
        assert_eq!(Places::new(addr(first), addr(other)).err(), why, "{other}");
        assert_eq!(
            Places::new(addr(other), addr(first)).is_err(),
            why.is_some(),
            "{other}"
        );
    }
}

/// RFC 5780 section 6.1, table 1: Da and Dp are what was asked, Ca and Cp the other ones.
#[test]
fn an_answer_comes_from_where_it_was_wanted_and_says_so() {
    let families = [
        (HOME, ["198.51.100.1", "198.51.100.2"], ["7777", "3479"]),
        (HOME_V6, ["[2001:db8::1]", "[2001:db8::2]"], ["7777", "3479"]),
    ];
    for (remote, ips, ports) in families {
        let at = |ip: usize, port: usize| addr(&format!("{}:{}", ips[ip], ports[port]));
        let places = Places::new(at(0, 0), at(1, 1)).expect("two of both");
        assert_eq!(places.all(), [at(0, 0), at(0, 1), at(1, 0), at(1, 1)]);
        let mut server = StunServer::new(StunServerOptions { places: vec![places] });
        for (ip, port, change) in [(0, 0), (0, 1), (1, 0), (1, 1)]
            .into_iter()
            .flat_map(|(ip, port)| CHANGES.map(|c| (ip, port, c)))
        {
            let asked = request(MODERN, &[(CHANGE_REQUEST, &change.value())]);
            let mut rx = datagram(remote, 1_000, &asked);
            rx.path.local = at(ip, port);
            let Some(limit) = server.reply_limit(&rx) else {
                panic!("it has one of its own");
            };
            let mut reply = asked.clone();
            reply.resize(limit.longest(asked.len(), Trust::Stranger), 0);
            let verdict = with_env(2_000, |env| server.respond(env, &rx, &mut reply));
            let origin = at(
                if change.ip { 1 - ip } else { ip },
                if change.port { 1 - port } else { port },
            );
            let len = match verdict {
                Verdict::Reply(len) if change.is_none() => len,
                Verdict::ReplyFrom(len, from) if !change.is_none() => {
                    assert_eq!(from, origin, "{change:?}");
                    len
                }
                other => panic!("{other:?} to {change:?}"),
            };
            let read = Message::parse(&reply[..len]).expect("a message");
            assert_eq!(read.address(RESPONSE_ORIGIN), Some(origin), "{change:?}");
            assert_eq!(read.address(OTHER_ADDRESS), Some(at(1 - ip, 1 - port)));
            assert_eq!(read.address(XOR_MAPPED_ADDRESS), Some(addr(remote)));
            assert_eq!(read.address(MAPPED_ADDRESS), Some(addr(remote)));
        }
    }
}

#[test]
fn a_wish_that_is_none_or_comes_with_something_unknown_is_refused_from_where_it_was_asked() {
    let all = change(true, true).value();
    let table: [(Written<'_>, u16); 3] = [
        (&[(CHANGE_REQUEST, &[0, 0, 6])], CHANGE_REQUEST),
        (&[(CHANGE_REQUEST, &[0; 8])], CHANGE_REQUEST),
        (&[(CHANGE_REQUEST, &all), (0x0027, b"port")], 0x0027),
    ];
    for (asked, named) in table {
        let answer = hear_within(Some(OTHER), ReplyLimit::Extra(48), HOME, &request(MODERN, asked));
        let answer = answer.expect("an answer");
        let read = Message::parse(&answer).expect("a message");
        assert_eq!(read.error_code(), Some(420));
        assert_eq!(read.attribute(UNKNOWN_ATTRIBUTES), Some(&named.to_be_bytes()[..]));
    }
}

#[test]
fn a_place_that_is_none_of_the_four_has_no_other() {
    let table = ["198.51.100.3:7777", "198.51.100.1:7778", "0.0.0.0:7777"];
    for local in table {
        let asked = request(MODERN, &[(CHANGE_REQUEST, &change(true, false).value())]);
        let mut rx = datagram(HOME, 1_000, &asked);
        rx.path.local = addr(local);
        let mut server = StunServer::new(options(Some(OTHER)));
        let mut reply = [&asked[..], &[0; 48]].concat();
        assert_eq!(respond(&mut server, &rx, &mut reply), Ok(()));
        let read = Message::parse(&reply).expect("a message");
        assert_eq!(read.error_code(), Some(420), "{local}");
    }
}

#[test]
fn a_client_of_rfc_3489_is_never_answered_from_elsewhere() {
    for change in CHANGES.into_iter().filter(|change| !change.is_none()) {
        let asked = request(CLASSIC, &[(CHANGE_REQUEST, &change.value())]);
        let heard = hear_within(Some(OTHER), ReplyLimit::Extra(48), HOME, &asked);
        assert_eq!(heard, Err(Reason::NotServed));
    }
}
