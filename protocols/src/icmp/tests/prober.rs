use super::super::{Echo, Family, HEADER, IcmpProber, IcmpProberOptions, Kind, is_intact};
use super::{FAMILIES, answer, echo, seal};
use crate::ProberOptions;
use crate::echo::tests::{datagram, with_env};
use halloo_base::{Heard, ProbeId, Prober, Reason};
use proptest::prelude::*;

const IDENTIFIER: u16 = 0x1234;
const TOKEN: u64 = 0xfeed_0000_0000_0001;

fn options(family: Family, size: usize) -> ProberOptions {
    ProberOptions {
        token: TOKEN,
        size,
        icmp: IcmpProberOptions {
            identifier: IDENTIFIER,
            family,
        },
        ..ProberOptions::default()
    }
}

fn prober(family: Family, size: usize) -> IcmpProber {
    IcmpProber::new(&options(family, size))
}

fn request(prober: &mut IcmpProber, id: u64, size: usize) -> Vec<u8> {
    // What was sent before is in the buffer still.
    let mut buf = vec![0xa5; size];
    let len = with_env(9, |env| prober.request(env, ProbeId(id), &mut buf));
    assert_eq!(len, Some(size));
    buf
}

fn hear(prober: &mut IcmpProber, message: &[u8]) -> Result<Heard, Reason> {
    prober.recognise(&datagram("192.0.2.7:0", 20, message))
}

#[test]
fn a_request_is_an_echo_request_with_the_token_and_the_number() {
    for family in FAMILIES {
        let sent = request(&mut prober(family, 64), 0x1_fffe, 64);
        let (read, data) = Echo::parse(&sent, family).expect("an echo");
        let expected = echo(Kind::Request, IDENTIFIER, 0xfffe);
        assert_eq!((read, data.len()), (expected, 56));
        assert!(data.starts_with(&TOKEN.to_be_bytes()) && is_intact(&sent, family));
    }
}

#[test]
fn a_request_has_no_other_size_than_the_sessions_and_no_less_than_a_header() {
    for (size, buf, made) in [
        (64, 63, None),
        (64, 64, Some(64)),
        (64, 65, None),
        (7, 7, None),
        (8, 8, Some(8)),
    ] {
        let mut buf = vec![0; buf];
        let len = with_env(9, |env| {
            prober(Family::V4, size).request(env, ProbeId(1), &mut buf)
        });
        assert_eq!(len, made, "{size}");
    }
}

#[test]
fn nothing_answers_a_session_that_cannot_ask() {
    for family in FAMILIES {
        let reply = answer(&request(&mut prober(family, 8), 3, 8), family);
        assert_eq!(hear(&mut prober(family, 7), &reply), Err(Reason::Malformed));
    }
}

#[test]
fn a_hosts_answer_is_heard_with_sixteen_bits_of_its_number() {
    for family in FAMILIES {
        for size in [8, 9, 15, 16, 17, 64, 1_400] {
            let mut prober = prober(family, size);
            for id in [0, 7, 0xffff, 0x1_0000, 0x12_3456] {
                let reply = answer(&request(&mut prober, id, size), family);
                let heard = hear(&mut prober, &reply).expect("an answer");
                assert_eq!(heard, Heard::plain(id & 0xffff, 16));
                assert_eq!(heard.resolve(ProbeId(id + 9)), Some(ProbeId(id)));
            }
        }
    }
}

#[test]
fn what_is_no_answer_to_this_session_is_foreign() {
    for family in FAMILIES {
        let mut own = prober(family, 64);
        let sent = request(&mut own, 3, 64);
        assert_eq!(hear(&mut own, &sent), Err(Reason::Foreign), "a request");
        let with = |change: fn(&mut ProberOptions)| {
            let mut options = options(family, 64);
            change(&mut options);
            answer(&request(&mut IcmpProber::new(&options), 3, 64), family)
        };
        let of_other_socket = with(|options| options.icmp.identifier += 1);
        assert_eq!(hear(&mut own, &of_other_socket), Err(Reason::Foreign));
        let of_other_session = with(|options| options.token += 1);
        assert_eq!(hear(&mut own, &of_other_session), Err(Reason::Foreign));
        let mut unreachable = answer(&sent, family);
        unreachable[0] = if family == Family::V4 { 3 } else { 1 };
        seal(&mut unreachable, family);
        assert_eq!(hear(&mut own, &unreachable), Err(Reason::Foreign));
    }
}

#[test]
fn the_answers_of_the_other_ip_version_are_foreign() {
    for (family, other) in [(Family::V4, Family::V6), (Family::V6, Family::V4)] {
        let mut own = prober(family, 64);
        let reply = answer(&request(&mut prober(other, 64), 3, 64), other);
        assert_eq!(hear(&mut own, &reply), Err(Reason::Foreign));
    }
}

#[test]
fn an_answer_that_changed_on_its_way_is_none() {
    for family in FAMILIES {
        let mut own = prober(family, 64);
        let reply = answer(&request(&mut own, 3, 64), family);
        let mut bent = reply.clone();
        bent[40] ^= 1;
        let noticed = match family {
            Family::V4 => Reason::BadChecksum,
            Family::V6 => Reason::Malformed,
        };
        assert_eq!(hear(&mut own, &bent), Err(noticed));
        seal(&mut bent, family);
        assert_eq!(hear(&mut own, &bent), Err(Reason::Malformed));
        let mut coded = reply.clone();
        coded[1] = 1;
        seal(&mut coded, family);
        assert_eq!(hear(&mut own, &coded), Err(Reason::Malformed));
        let mut longer = [&reply[..], &[0, 0]].concat();
        seal(&mut longer, family);
        assert_eq!(hear(&mut own, &longer), Err(Reason::Malformed));
        for len in 0..reply.len() {
            let mut cut = reply[..len].to_vec();
            if len >= HEADER {
                seal(&mut cut, family);
            }
            assert_eq!(hear(&mut own, &cut), Err(Reason::Malformed), "{len}");
        }
    }
}

#[test]
fn a_small_message_is_known_by_as_much_of_the_token_as_fits() {
    let other = ProberOptions {
        token: !TOKEN,
        ..options(Family::V4, 9)
    };
    let reply = answer(&request(&mut IcmpProber::new(&other), 3, 9), Family::V4);
    assert_eq!(hear(&mut prober(Family::V4, 9), &reply), Err(Reason::Foreign));
    let other = ProberOptions { size: 8, ..other };
    let reply = answer(&request(&mut IcmpProber::new(&other), 3, 8), Family::V4);
    let heard = hear(&mut prober(Family::V4, 8), &reply);
    assert_eq!(heard, Ok(Heard::plain(3, 16)), "there is nothing to tell it by");
}

#[test]
fn an_error_that_quotes_the_header_tells_the_request() {
    for family in FAMILIES {
        let mut own = prober(family, 64);
        let sent = request(&mut own, 0x1_0005, 64);
        for len in 0..=sent.len() {
            let heard = own.quoted(&sent[..len]);
            assert_eq!(heard, (len >= HEADER).then(|| Heard::plain(5, 16)), "{len}");
        }
        // What RFC 4884 puts behind a short message: zeros up to 128 octets, and objects.
        let extended = [&sent[..], &[0; 64], &[0x20, 0, 0xab, 0xcd, 0, 8, 1, 1]].concat();
        assert_eq!(own.quoted(&extended), Some(Heard::plain(5, 16)));
    }
}

#[test]
fn an_error_about_somebody_elses_request_tells_nothing() {
    for family in FAMILIES {
        let own = prober(family, 64);
        let sent = request(&mut prober(family, 64), 5, 64);
        assert_eq!(own.quoted(&answer(&sent, family)), None, "an answer");
        for (at, what) in [(4, "identifier"), (8, "token"), (15, "token")] {
            let mut other = sent.clone();
            other[at] ^= 1;
            assert_eq!(own.quoted(&other), None, "{what}");
        }
    }
}

#[test]
fn a_key_changes_nothing() {
    let keyed = ProberOptions {
        key: Some(crate::echo::Key::new(b"sixteen octets or more").expect("long enough")),
        ..options(Family::V4, 64)
    };
    let sent = request(&mut prober(Family::V4, 64), 3, 64);
    assert_eq!(request(&mut IcmpProber::new(&keyed), 3, 64), sent);
}

proptest! {
    #[test]
    fn any_bytes_are_looked_at(
        message in proptest::collection::vec(any::<u8>(), 0..100),
        size in 0usize..100,
        is_v4: bool,
    ) {
        let mut own = prober(if is_v4 { Family::V4 } else { Family::V6 }, size);
        prop_assert!(hear(&mut own, &message).is_err(), "nobody guesses identifier and data");
        prop_assert!(own.quoted(&message).is_none() || message[4..6] == IDENTIFIER.to_be_bytes());
    }
}
