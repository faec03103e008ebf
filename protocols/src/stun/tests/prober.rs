//! Stories of a prober and a server, and of what else may come back.

use super::*;
use crate::ProberOptions;
use crate::stun::StunProber;
use crate::stun::wire::attribute::{ERROR_CODE, MAPPED_ADDRESS, XOR_MAPPED_ADDRESS};
use halloo_base::{Heard, ProbeId, Prober, Reflection, Refusal, Seen};

const TOKEN: u64 = 0xfeed;

fn prober(token: u64, size: usize) -> StunProber {
    StunProber::new(&ProberOptions {
        token,
        size,
        ..ProberOptions::default()
    })
}

fn ask(token: u64, id: u64, size: usize) -> Option<Vec<u8>> {
    let mut buf = vec![0xee; size];
    let len = with_env(1_000, |env| {
        prober(token, size).request(env, ProbeId(id), &mut buf)
    })?;
    assert_eq!(len, size);
    Some(buf)
}

fn recognise(token: u64, payload: &[u8]) -> Result<Heard, Reason> {
    prober(token, 28).recognise(&datagram("198.51.100.1:3478", 5_000, payload))
}

/// The transaction of our probe number 9.
fn ours() -> Transaction {
    let asked = ask(TOKEN, 9, 20).expect("possible");
    Message::parse(&asked).expect("a message").transaction
}

/// A success with these attributes.
fn success(attributes: Written<'_>) -> Vec<u8> {
    message(Class::Success, ours(), attributes, false)
}

const AT_HOME: [u8; 8] = [0, 1, 0x9c, 0x40, 192, 0, 2, 33];

fn told(low_bits: u64, seen: &str) -> Heard {
    Heard {
        reflection: Some(Reflection {
            seen: Some(Seen {
                addr: addr(seen),
                ttl: None,
                tos: None,
            }),
            ..Reflection::default()
        }),
        ..Heard::plain(low_bits, 32)
    }
}

#[test]
fn the_size_decides_what_is_asked() {
    let table: [(usize, &[u16]); 7] = [
        (20, &[]),
        (24, &[0x8026]),
        (28, &[0x8028]),
        (32, &[0x8026, 0x8028]),
        (36, &[0x8026, 0x8028]),
        (1_472, &[0x8026, 0x8028]),
        (65_552, &[0x8026, 0x8028]),
    ];
    for (size, kinds) in table {
        let asked = ask(TOKEN, 3, size).expect("possible");
        let found: Vec<u16> = attributes(&asked).iter().map(|(kind, _)| *kind).collect();
        assert_eq!(found, kinds, "{size}");
        let read = Message::parse(&asked).expect("a message");
        assert_eq!((read.class, read.method), (Class::Request, 1));
        assert!(read.transaction.has_cookie());
    }
    for size in [0, 1, 16, 19, 21, 22, 23, 26, 30, 65_556] {
        assert_eq!(ask(TOKEN, 3, size), None, "{size}");
    }
    let mut buf = [0; 32];
    let other = with_env(1_000, |env| prober(TOKEN, 28).request(env, ProbeId(3), &mut buf));
    assert_eq!(other, None, "another size than the session's");
}

#[test]
fn a_server_tells_the_address_that_it_saw() {
    let table = [
        (HOME, HOME),
        ("[::ffff:192.0.2.33]:40000", HOME),
        (HOME_V6, HOME_V6),
    ];
    for (remote, seen) in table {
        for size in [20, 24, 28, 32, 500] {
            for id in [0, 1, 77, u64::from(u32::MAX), (7 << 32) + 3] {
                let asked = ask(TOKEN, id, size).expect("possible");
                let answer = hear(remote, &asked).expect("an answer");
                let heard = recognise(TOKEN, &answer).expect("ours");
                assert_eq!(heard, told(id & 0xffff_ffff, seen));
                assert_eq!(heard.resolve(ProbeId(id)), Some(ProbeId(id)));
            }
        }
    }
}

#[test]
fn a_server_of_rfc_3489_tells_it_in_clear() {
    let table: [Written<'_>; 2] = [
        &[(MAPPED_ADDRESS, &AT_HOME)],
        &[
            (MAPPED_ADDRESS, &AT_HOME),
            (0x0004, &[0; 8]),
            (0x0005, &[0; 8]),
            (0x000b, &[0; 8]),
        ],
    ];
    for answer in table {
        assert_eq!(recognise(TOKEN, &success(answer)), Ok(told(9, HOME)));
    }
}

#[test]
fn the_address_that_no_nat_rewrites_is_the_one_that_counts() {
    let mut hidden = AT_HOME;
    for (byte, mask) in hidden[2..4].iter_mut().zip(ours().0) {
        *byte ^= mask;
    }
    for (byte, mask) in hidden[4..].iter_mut().zip(ours().0) {
        *byte ^= mask;
    }
    let rewritten = [0, 1, 0, 1, 10, 0, 0, 1];
    let answer = success(&[(MAPPED_ADDRESS, &rewritten), (XOR_MAPPED_ADDRESS, &hidden)]);
    assert_eq!(recognise(TOKEN, &answer), Ok(told(9, HOME)));
}

#[test]
fn a_success_that_is_not_what_it_should_be_is_none() {
    let table: [Written<'_>; 4] = [
        &[],
        &[(XOR_MAPPED_ADDRESS, &[0, 3, 0, 0])],
        &[(MAPPED_ADDRESS, &AT_HOME), (0x7000, b"")],
        &[(0x8022, b"says nothing")],
    ];
    for answer in table {
        assert_eq!(recognise(TOKEN, &success(answer)), Err(Reason::Malformed));
    }
}

#[test]
fn a_refusal_is_told_by_its_number_and_name() {
    let table = [
        (3, 0, 300, "Try Alternate"),
        (4, 0, 400, "Bad Request"),
        (4, 1, 401, "Unauthenticated"),
        (4, 20, 420, "Unknown Attribute"),
        (4, 38, 438, "Stale Nonce"),
        (4, 99, 499, "Client Error"),
        (5, 0, 500, "Server Error"),
        (5, 1, 501, "Server Failure"),
        (6, 99, 699, "Global Failure"),
    ];
    for (class, number, code, name) in table {
        let value = [0, 0, class, number, b'N', b'o'];
        let answer = message(Class::Error, ours(), &[(ERROR_CODE, &value)], true);
        let expected = Heard {
            refusal: Some(Refusal { code, name }),
            ..Heard::plain(9, 32)
        };
        assert_eq!(recognise(TOKEN, &answer), Ok(expected));
    }
    let nameless = message(Class::Error, ours(), &[], true);
    assert_eq!(recognise(TOKEN, &nameless), Err(Reason::Malformed));
}

#[test]
fn a_change_request_of_ours_would_be_refused_by_our_server() {
    // Refusals of the server of this crate are read by the prober of this crate.
    let asked = message(Class::Request, ours(), &[(0x0003, &[0, 0, 0, 6])], true);
    let heard = recognise(TOKEN, &hear(HOME, &asked).expect("an answer")).expect("ours");
    assert_eq!(heard.refusal.map(|refusal| refusal.code), Some(420));
}

#[test]
fn nothing_of_another_session_counts() {
    for theirs in (0..300).filter(|&token| token != TOKEN) {
        let asked = ask(theirs, 9, 28).expect("possible");
        let answer = hear(HOME, &asked).expect("an answer");
        assert!(recognise(theirs, &answer).is_ok());
        assert_eq!(recognise(TOKEN, &answer), Err(Reason::Foreign));
        assert_eq!(prober(TOKEN, 28).quoted(&asked), None);
    }
}

#[test]
fn no_altered_transaction_counts() {
    let answer = success(&[(MAPPED_ADDRESS, &AT_HOME)]);
    assert!(recognise(TOKEN, &answer).is_ok());
    for bit in 4 * 8..20 * 8 {
        let mut altered = answer.clone();
        altered[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(recognise(TOKEN, &altered), Err(Reason::Foreign), "bit {bit}");
    }
}

#[test]
fn what_is_no_answer_is_not_heard() {
    let asked = ask(TOKEN, 9, 28).expect("possible");
    assert_eq!(recognise(TOKEN, &asked), Err(Reason::Foreign), "our own request");
    let indication = message(Class::Indication, ours(), &[(MAPPED_ADDRESS, &AT_HOME)], false);
    assert_eq!(recognise(TOKEN, &indication), Err(Reason::Foreign));
    let mut other_method = success(&[(MAPPED_ADDRESS, &AT_HOME)]);
    other_method[1] = 3;
    assert_eq!(recognise(TOKEN, &other_method), Err(Reason::Foreign));
    let mut damaged = hear(HOME, &asked).expect("an answer");
    damaged[30] ^= 1;
    assert_eq!(recognise(TOKEN, &damaged), Err(Reason::BadChecksum));
    for len in 0..damaged.len() {
        assert_eq!(recognise(TOKEN, &damaged[..len]), Err(Reason::Malformed), "{len}");
    }
}

#[test]
fn a_quoted_request_is_known_again() {
    let asked = ask(TOKEN, (1 << 32) + 9, 100).expect("possible");
    for len in 0..asked.len() {
        let expected = (len >= 20).then_some(Heard::plain(9, 32));
        assert_eq!(prober(TOKEN, 100).quoted(&asked[..len]), expected, "{len}");
    }
    let answer = hear(HOME, &asked).expect("an answer");
    assert_eq!(prober(TOKEN, 100).quoted(&answer), None, "not what was sent");
}
