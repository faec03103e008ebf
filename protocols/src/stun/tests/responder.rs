//! What a server answers, and what it does not.

use super::*;
use crate::stun::wire::attribute::{
    CHANGE_REQUEST, FILLER, MAPPED_ADDRESS, OTHER_ADDRESS, PADDING, RESPONSE_ORIGIN, UNKNOWN_ATTRIBUTES,
    XOR_MAPPED_ADDRESS,
};
use proptest::prelude::*;

fn kinds(answer: &[u8]) -> Vec<u16> {
    attributes(answer).iter().map(|(kind, _)| *kind).collect()
}

fn unknown(answer: &[u8]) -> Vec<u16> {
    let answer = Message::parse(answer).expect("a message");
    assert_eq!((answer.class, answer.error_code()), (Class::Error, Some(420)));
    let listed = answer.attribute(UNKNOWN_ATTRIBUTES).expect("a list");
    listed
        .chunks(2)
        .map(|pair| u16::from_be_bytes([pair[0], pair[1]]))
        .collect()
}

#[test]
fn a_request_is_told_where_it_came_from() {
    let table = [
        (HOME, HOME, 12),
        ("[::ffff:192.0.2.33]:40000", HOME, 12),
        (HOME_V6, HOME_V6, 24),
    ];
    for (remote, told, more) in table {
        for fingerprint in [false, true] {
            let asked = message(Class::Request, MODERN, &[], fingerprint);
            let answer = hear(remote, &asked).expect("an answer");
            assert_eq!(answer.len(), asked.len() + more);
            let read = Message::parse(&answer).expect("a message");
            assert_eq!((read.class, read.transaction), (Class::Success, MODERN));
            assert_eq!(read.address(XOR_MAPPED_ADDRESS), Some(addr(told)));
            assert_eq!(read.is_fingerprinted, fingerprint);
            let expected: &[u16] = if fingerprint { &[0x0020, 0x8028] } else { &[0x0020] };
            assert_eq!(kinds(&answer), expected);
        }
    }
}

#[test]
fn a_classic_client_is_told_in_clear() {
    for (remote, more) in [(HOME, 12), (HOME_V6, 24)] {
        let table: [Written<'_>; 3] = [
            &[],
            &[(CHANGE_REQUEST, &[0; 4])],
            &[(CHANGE_REQUEST, &[0; 4]), (0x0006, b"someone")],
        ];
        for asked in table {
            let asked = request(CLASSIC, asked);
            for other in [None, Some(OTHER), Some(OTHER_V6)] {
                let answer = hear_within(other, STUN.reply_limit, remote, &asked).expect("an answer");
                assert_eq!(answer.len(), 20 + more);
                let read = Message::parse(&answer).expect("a message");
                assert_eq!((read.class, read.transaction), (Class::Success, CLASSIC));
                assert_eq!(read.address(MAPPED_ADDRESS), Some(addr(remote)));
            }
        }
    }
}

#[test]
fn a_classic_client_that_asks_for_more_gets_no_answer() {
    let table: [(u16, &[u8]); 4] = [
        (CHANGE_REQUEST, &[0, 0, 0, 2]),
        (CHANGE_REQUEST, &[0, 0, 0, 4]),
        // RESPONSE-ADDRESS: send the answer to somebody else.
        (0x0002, &[0, 1, 0, 53, 192, 0, 2, 66]),
        (PADDING, b""),
    ];
    for asked in table {
        assert_eq!(hear(HOME, &request(CLASSIC, &[asked])), Err(Reason::NotServed));
    }
}

#[test]
fn only_binding_requests_are_answered() {
    let table = [
        (message(Class::Success, MODERN, &[], false), Reason::Loop),
        (message(Class::Error, MODERN, &[], true), Reason::Loop),
        (message(Class::Success, CLASSIC, &[], false), Reason::Loop),
        (message(Class::Indication, MODERN, &[], false), Reason::NotServed),
        (b"hello, STUN server, are you there?".to_vec(), Reason::Malformed),
        (Vec::new(), Reason::Malformed),
    ];
    for (bytes, why) in table {
        assert_eq!(hear(HOME, &bytes), Err(why), "{bytes:02x?}");
    }
    let mut allocate = request(MODERN, &[]);
    allocate[1] = 3;
    assert_eq!(hear(HOME, &allocate), Err(Reason::NotServed));
    let mut damaged = message(Class::Request, MODERN, &[], true);
    damaged[27] ^= 1;
    assert_eq!(hear(HOME, &damaged), Err(Reason::BadChecksum));
}

#[test]
fn no_answer_is_answered() {
    let asked = [
        request(MODERN, &[]),
        message(Class::Request, MODERN, &[(PADDING, &[0; 60])], true),
        request(CLASSIC, &[]),
        request(MODERN, &[(0x7000, b"")]),
    ];
    for asked in asked {
        let answer = hear_within(Some(OTHER), STUN.reply_limit, HOME, &asked).expect("an answer");
        assert_eq!(hear(HOME, &answer), Err(Reason::Loop));
    }
}

#[test]
fn what_must_be_understood_and_is_not_is_named() {
    let table: [(Written<'_>, &[u16]); 4] = [
        (&[(0x0024, &[0; 4])], &[0x0024]),
        (
            &[(0x7fff, b""), (0x8000, b""), (0x0027, b"port")],
            &[0x7fff, 0x0027],
        ),
        (
            &[(0x0002, &[0; 8]), (0x0000, b""), (0x0025, b"")],
            &[0x0002, 0x0000, 0x0025],
        ),
        (&[(0x7000, b""), (0x0008, &[0; 20]), (0x7001, b"")], &[0x7000]),
    ];
    for (asked, named) in table {
        for fingerprint in [false, true] {
            let asked = message(Class::Request, MODERN, asked, fingerprint);
            let answer = hear(HOME_V6, &asked).expect("an answer");
            assert_eq!(unknown(&answer), named);
            let read = Message::parse(&answer).expect("a message");
            assert_eq!((read.transaction, read.is_fingerprinted), (MODERN, fingerprint));
        }
    }
}

#[test]
fn what_needs_no_understanding_is_ignored() {
    let asked: [(u16, &[u8]); 6] = [
        (0x8022, b"a client"),
        (FILLER, &[0; 100]),
        (0xffff, b""),
        (0x0006, b"user"),
        (0x0001, b"unexpected"),
        (0x0008, &[0; 20]),
    ];
    let answer = hear(HOME, &request(MODERN, &asked)).expect("an answer");
    assert_eq!(kinds(&answer), [XOR_MAPPED_ADDRESS]);
    assert_eq!(answer.len(), 32, "bytes that only fill are not sent back");
}

#[test]
fn without_another_address_no_change_is_granted_and_none_told() {
    for flags in [0, 2, 4, 6] {
        let asked = request(MODERN, &[(CHANGE_REQUEST, &[0, 0, 0, flags])]);
        assert_eq!(unknown(&hear(HOME, &asked).expect("an answer")), [CHANGE_REQUEST]);
        // Of another family, which is as good as none.
        let limit = ReplyLimit::Extra(1_000);
        let answer = hear_within(Some(OTHER_V6), limit, HOME, &asked).expect("an answer");
        assert_eq!(unknown(&answer), [CHANGE_REQUEST]);
    }
    let limit = ReplyLimit::Extra(1_000);
    let answer = hear_within(Some(OTHER_V6), limit, HOME, &request(MODERN, &[])).expect("an answer");
    assert_eq!(kinds(&answer), [XOR_MAPPED_ADDRESS]);
}

#[test]
fn a_server_asks_for_no_more_than_the_table_has_unless_it_has_more_to_tell() {
    let table = [
        (None, HOME, 24),
        (Some(OTHER), HOME, 48),
        (Some(OTHER), HOME_V6, 24),
        (Some("[::ffff:198.51.100.2]:3479"), HOME, 48),
        (Some(OTHER_V6), HOME_V6, 96),
        (Some(OTHER_V6), HOME, 24),
    ];
    for (other, remote, more) in table {
        let limit = StunServer::new(options(other)).reply_limit(&datagram(remote, 0, b""));
        assert_eq!(limit, Some(ReplyLimit::Extra(more)), "{other:?}");
    }
    assert_eq!(STUN.reply_limit, ReplyLimit::Extra(24));
}

#[test]
fn another_address_is_told_where_the_limit_allows() {
    for (remote, asked, other, more) in [(HOME, ASKED, OTHER, 48), (HOME_V6, ASKED_V6, OTHER_V6, 96)] {
        let limit = ReplyLimit::Extra(more);
        for changes in [&[][..], &[(CHANGE_REQUEST, &[0; 4][..])]] {
            let request = message(Class::Request, MODERN, changes, true);
            let answer = hear_within(Some(other), limit, remote, &request).expect("an answer");
            let read = Message::parse(&answer).expect("a message");
            assert_eq!(read.address(XOR_MAPPED_ADDRESS), Some(addr(remote)));
            assert_eq!(read.address(MAPPED_ADDRESS), Some(addr(remote)));
            assert_eq!(read.address(RESPONSE_ORIGIN), Some(addr(asked)));
            assert_eq!(read.address(OTHER_ADDRESS), Some(addr(other)));
            assert!(answer.len() <= limit.longest(request.len(), Trust::Stranger));
        }
        let bare = request(MODERN, &[]);
        let answer = hear_within(Some(other), limit, remote, &bare).expect("an answer");
        assert_eq!(
            answer.len(),
            limit.longest(20, Trust::Stranger),
            "no limit is larger than needed"
        );

        let answer = hear_within(Some(other), STUN.reply_limit, HOME_V6, &bare).expect("an answer");
        assert_eq!(kinds(&answer), [XOR_MAPPED_ADDRESS]);
    }
}

#[test]
fn padding_is_answered_with_padding_up_to_the_same_length() {
    for length in [0, 1, 3, 4, 12, 24, 25, 500, 1_400] {
        for fingerprint in [false, true] {
            let padding = vec![7; length];
            let asked = message(Class::Request, MODERN, &[(PADDING, &padding)], fingerprint);
            let answer = hear(HOME_V6, &asked).expect("an answer");
            let read = Message::parse(&answer).expect("a message");
            let back = read.attribute(PADDING).expect("padding");
            assert!(back.iter().all(|&byte| byte == 0));
            let least = 20 + 24 + 4 + if fingerprint { 8 } else { 0 };
            assert_eq!(answer.len(), asked.len().max(least), "{length}");
        }
    }
}

#[test]
fn without_room_for_the_least_answer_there_is_none() {
    let asked = request(MODERN, &[]);
    let table = [
        (11, HOME, false),
        (12, HOME, true),
        (23, HOME_V6, false),
        (24, HOME_V6, true),
    ];
    for (more, remote, answered) in table {
        let heard = hear_within(Some(OTHER), ReplyLimit::Extra(more), remote, &asked);
        let expected = if answered { None } else { Some(Reason::Truncated) };
        assert_eq!(heard.err(), expected, "{more} bytes more");
    }
}

fn any_request() -> impl Strategy<Value = Vec<u8>> {
    let kind = prop_oneof![
        any::<u16>(),
        prop::sample::select(vec![0x0003, 0x0008, 0x0020, 0x0026, 0x0027, 0x8026])
    ]
    .prop_filter("written by other means", |kind| *kind != 0x8028);
    let attribute = (kind, prop::collection::vec(any::<u8>(), 0..30));
    let list = prop::collection::vec(attribute, 0..12);
    (list, any::<bool>(), any::<bool>()).prop_map(|(list, classic, fingerprint)| {
        let list: Vec<(u16, &[u8])> = list.iter().map(|(kind, value)| (*kind, &value[..])).collect();
        let transaction = if classic { CLASSIC } else { MODERN };
        message(Class::Request, transaction, &list, fingerprint)
    })
}

proptest! {
    #[test]
    fn every_modern_request_has_an_answer_within_the_least_limit(asked in any_request(), v6: bool) {
        let remote = if v6 { HOME_V6 } else { HOME };
        for other in [None, Some(OTHER), Some(OTHER_V6)] {
            match hear_within(other, STUN.reply_limit, remote, &asked) {
                Ok(answer) => {
                    let asked = Message::parse(&asked).expect("a message");
                    let read = Message::parse(&answer).expect("a message");
                    prop_assert_eq!(read.transaction, asked.transaction);
                    prop_assert!(matches!(read.class, Class::Success | Class::Error));
                }
                Err(why) => {
                    prop_assert_eq!(why, Reason::NotServed);
                    prop_assert_eq!(&asked[4..20], &CLASSIC.0);
                }
            }
        }
    }
}
