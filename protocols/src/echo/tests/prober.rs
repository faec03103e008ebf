//! Stories of a prober, most of them with the responder of this crate.

use super::*;
use crate::ProberOptions;
use crate::echo::UdpProber;
use crate::echo::wire::Wide;
use halloo_base::{Arrivals, FollowUp, Heard, Nanos, ProbeId, Prober, Reason, Reflection, Seen};

const SECRET: &str = "the right secret";

fn prober(size: usize) -> UdpProber {
    UdpProber::new(&ProberOptions {
        token: TOKEN,
        size,
        ..ProberOptions::default()
    })
}

fn keyed(size: usize) -> UdpProber {
    UdpProber::new(&ProberOptions {
        key: Some(key(SECRET)),
        token: TOKEN,
        size,
        ..ProberOptions::default()
    })
}

fn ask(prober: &mut UdpProber, id: u64, size: usize) -> Option<Vec<u8>> {
    let mut buf = vec![0xee; size];
    let len = with_env(1_000, |env| prober.request(env, ProbeId(id), &mut buf))?;
    assert_eq!(len, size);
    Some(buf)
}

fn hear(prober: &mut UdpProber, payload: &[u8]) -> Result<Heard, Reason> {
    prober.recognise(&datagram("198.51.100.1:7777", 5_000, payload))
}

fn exchange(prober: &mut UdpProber, host: &mut Host, id: u64, size: usize) -> Result<Heard, Reason> {
    let asked = ask(prober, id, size).expect("a possible size");
    let answer = host.hear(&datagram(HOME, 250_000, &asked));
    hear(prober, &answer.bytes)
}

#[test]
fn the_size_decides_what_is_asked() {
    let table = [(64, false), (79, false), (111, false), (112, true), (1_400, true)];
    for (size, wide) in table {
        let asked = ask(&mut prober(size), (7 << 32) + 3, size).expect("possible");
        let expected = Probe {
            t1: Wall(EPOCH_START + 1_000),
            ..Probe::request(TOKEN, 3, wide, false)
        };
        assert_eq!(Probe::parse(&asked), Ok(expected), "{size}");
    }
    let table = [(80, false), (127, false), (128, true), (1_400, true)];
    for (size, wide) in table {
        let asked = ask(&mut keyed(size), 3, size).expect("possible");
        let probe = Probe::parse(&asked).expect("a probe");
        assert_eq!(
            (probe.wide.is_some(), probe.flags.authenticated),
            (wide, true),
            "{size}"
        );
        assert!(key(SECRET).verify(&asked, probe.length));
    }
    for size in [0, 1, 63, 64, 79] {
        assert_eq!(
            ask(&mut keyed(size), 3, size),
            None,
            "no room for the tag in {size}"
        );
    }
    assert_eq!(
        ask(&mut prober(64), 3, 65),
        None,
        "another size than the session's"
    );
}

#[test]
fn a_full_answer_says_all_that_the_responder_knows() {
    let mut host = Host::open();
    let mut prober = prober(112);
    let first = ask(&mut prober, 7, 112).expect("possible");
    let first = host.hear(&datagram(HOME, 100_000, &first));
    host.echo
        .departed(first.tag().expect("asked"), stamp(111_000, StampSource::Kernel));
    let heard = exchange(&mut prober, &mut host, 9, 112);
    let reflection = Reflection {
        received_at: Some(Wall(EPOCH_START + 250_000)),
        residence: Some(Nanos(9_000)),
        kernel_stamped: true,
        follow_up: Some(FollowUp {
            low_bits: 7,
            residence: Nanos(11_000),
        }),
        arrivals: Some(Arrivals {
            received: 2,
            window: 0b101,
            window_len: 3,
        }),
        clock_error: None,
        seen: Some(Seen {
            addr: addr("192.0.2.33:40000"),
            ttl: Some(63),
            tos: Some(0xb8),
        }),
    };
    assert_eq!(
        heard,
        Ok(Heard {
            low_bits: 9,
            bits: 32,
            options: None,
            refusal: None,
            length: None,
            reflection: Some(reflection)
        })
    );
}

#[test]
fn a_base_answer_shows_no_more_window_than_it_holds() {
    let mut reply = Probe::request(TOKEN, 3, false, false);
    reply.flags.reply = true;
    reply.window_len = 200;
    let mut bytes = ask(&mut prober(64), 3, 64).expect("possible");
    reply.emit(&mut bytes).expect("room");
    let told = hear(&mut prober(64), &bytes)
        .expect("ours")
        .reflection
        .expect("structured");
    assert_eq!(told.arrivals.map(|arrivals| arrivals.window_len), Some(32));
    assert_eq!(told.seen, None, "a responder that told no port saw nothing");
}

#[test]
fn a_wide_answer_shows_the_64_bits_that_a_reflection_holds() {
    let mut host = Host::open();
    let mut prober = prober(112);
    for id in 0..100 {
        let told = exchange(&mut prober, &mut host, id, 112)
            .expect("ours")
            .reflection
            .and_then(|told| told.arrivals)
            .expect("structured");
        assert_eq!(u64::from(told.window_len), (id + 1).min(64));
        assert_eq!(told.window, if id >= 63 { u64::MAX } else { (1 << (id + 1)) - 1 });
    }
}

#[test]
fn by_ipv6_only_a_wide_answer_tells_the_address() {
    for (size, told) in [(64, "[::]:40000"), (112, "[2001:db8::5]:40000")] {
        let mut prober = prober(size);
        let asked = ask(&mut prober, 0, size).expect("possible");
        let answer = Host::open().hear(&datagram("[2001:db8::5]:40000", 5, &asked));
        let reflection = hear(&mut prober, &answer.bytes).expect("ours").reflection;
        assert_eq!(
            reflection.and_then(|told| told.seen).map(|seen| seen.addr),
            Some(addr(told))
        );
    }
}

#[test]
fn a_host_that_knows_no_probes_still_gives_a_round_trip() {
    for size in [64, 112, 500] {
        let mut prober = prober(size);
        let echoed = ask(&mut prober, (1 << 40) + 5, size).expect("possible");
        assert_eq!(hear(&mut prober, &echoed), Ok(Heard::plain(5, 32)));
    }
}

#[test]
fn with_a_key_an_echo_of_our_own_tag_proves_nothing() {
    for size in [80, 128] {
        let mut prober = keyed(size);
        let echoed = ask(&mut prober, 5, size).expect("possible");
        assert_eq!(hear(&mut prober, &echoed), Err(Reason::BadAuth));
        assert!(exchange(&mut prober, &mut Host::keyed(SECRET), 5, size).is_ok());
        assert_eq!(
            exchange(&mut prober, &mut Host::open(), 5, size),
            Err(Reason::BadAuth)
        );
    }
}

#[test]
fn with_a_key_no_altered_or_unsigned_answer_counts() {
    let mut prober = keyed(136);
    let asked = ask(&mut prober, 5, 136).expect("possible");
    let answer = Host::keyed(SECRET).hear(&datagram(HOME, 5, &asked)).bytes;
    assert!(hear(&mut prober, &answer).is_ok());
    for bit in 0..answer.len() * 8 {
        let mut altered = answer.clone();
        altered[bit / 8] ^= 1 << (bit % 8);
        assert!(hear(&mut prober, &altered).is_err(), "bit {bit}");
    }
    let mut unsigned = answer.clone();
    unsigned[5] &= !0x20;
    assert!(key(SECRET).sign(&mut unsigned, 128));
    assert_eq!(
        hear(&mut prober, &unsigned),
        Err(Reason::BadAuth),
        "a tag that nobody says is one"
    );
}

#[test]
fn every_payload_size_below_64_is_numbered_as_far_as_it_reaches() {
    for size in 0..64_usize {
        let mut prober = prober(size);
        let bits = (size.min(8) * 8).saturating_sub(1) as u32;
        for id in [0, 1, 126, 127, 128, 300, 1 << 31, (1 << 63) - 1] {
            let asked = ask(&mut prober, id, size).expect("possible");
            let answer = Host::open().hear(&datagram(HOME, 5, &asked));
            assert_eq!(
                hear(&mut prober, &answer.bytes),
                Ok(Heard::plain(id & ((1 << bits) - 1), bits))
            );
        }
    }
}

#[test]
fn a_plain_payload_never_looks_like_a_probe() {
    for token in 0..500 {
        let mut prober = UdpProber::new(&ProberOptions {
            token,
            size: 8,
            ..ProberOptions::default()
        });
        let asked = ask(&mut prober, token * 7, 8).expect("possible");
        assert!(asked[0] < 0x80, "{asked:02x?}");
    }
}

#[test]
fn other_payloads_are_refused_by_the_whole_of_their_bytes() {
    let mut prober = prober(20);
    let asked = ask(&mut prober, 3, 20).expect("possible");
    for at in 8..20 {
        let mut altered = asked.clone();
        altered[at] ^= 0x10;
        assert_eq!(hear(&mut prober, &altered), Err(Reason::Malformed), "octet {at}");
    }
    let mut high = asked.clone();
    high[0] |= 0x80;
    assert_eq!(hear(&mut prober, &high), Err(Reason::Malformed));
    for len in [0, 8, 19] {
        assert_eq!(hear(&mut prober, &asked[..len]), Err(Reason::Foreign));
    }
}

#[test]
fn an_answer_to_another_session_is_foreign() {
    let mut other = UdpProber::new(&ProberOptions {
        token: TOKEN + 1,
        ..ProberOptions::default()
    });
    let mut host = Host::open();
    let asked = ask(&mut other, 1, 64).expect("possible");
    let answer = host.hear(&datagram(HOME, 5, &asked)).bytes;
    assert_eq!(hear(&mut prober(64), &answer), Err(Reason::Foreign));
    assert_eq!(hear(&mut prober(64), &asked), Err(Reason::Foreign));
    assert_eq!(hear(&mut prober(64), &[0; 64]), Err(Reason::Foreign));
    assert_eq!(hear(&mut prober(64), b""), Err(Reason::Foreign));
}

#[test]
fn an_answer_that_was_damaged_is_malformed() {
    let mut prober = prober(120);
    let asked = ask(&mut prober, 1, 120).expect("possible");
    let answer = Host::open().hear(&datagram(HOME, 5, &asked)).bytes;
    let mut longer = answer.clone();
    longer.push(0);
    let damage = |bytes: &[u8], at: usize| {
        let mut damaged = bytes.to_vec();
        damaged[at] ^= 1;
        damaged
    };
    let cases = [
        ("padding of an answer", damage(&answer, 119)),
        ("padding of an echo", damage(&asked, 112)),
        ("a field of an echo", damage(&asked, 20)),
        ("version", damage(&answer, 4)),
        ("length field", damage(&answer, 7)),
        ("cut", answer[..119].to_vec()),
        ("cut short", answer[..40].to_vec()),
        ("longer", longer),
    ];
    for (what, bytes) in cases {
        assert_eq!(hear(&mut prober, &bytes), Err(Reason::Malformed), "{what}");
    }
    assert!(hear(&mut prober, &answer).is_ok());
}

#[test]
fn an_answer_longer_than_its_request_is_malformed() {
    let mut prober = prober(64);
    let mut asked = ask(&mut prober, 1, 64).expect("possible");
    asked.push(0);
    assert_eq!(hear(&mut prober, &asked), Err(Reason::Malformed));
}

#[test]
fn the_newest_cookie_goes_into_the_next_request() {
    let mut prober = prober(112);
    let cookie = |prober: &mut UdpProber, id| {
        let asked = ask(prober, id, 112).expect("possible");
        Probe::parse(&asked).expect("a probe").wide.expect("wide").cookie
    };
    let answer = |prober: &mut UdpProber, seq, cookie| {
        let mut reply = Probe::request(TOKEN, seq, true, false);
        reply.flags.reply = true;
        reply.wide = Some(Wide {
            cookie,
            ..Wide::EMPTY
        });
        let mut bytes = vec![0; 112];
        reply.emit(&mut bytes).expect("room");
        hear(prober, &bytes).expect("ours");
    };
    assert_eq!(cookie(&mut prober, 0), 0);
    answer(&mut prober, u32::MAX, 71);
    assert_eq!(cookie(&mut prober, 1), 71);
    answer(&mut prober, 1, 72);
    answer(&mut prober, 0, 70);
    assert_eq!(cookie(&mut prober, 2), 72, "a late answer brings an older cookie");
    answer(&mut prober, 2, 0);
    assert_eq!(cookie(&mut prober, 3), 72, "0 is none");
}

#[test]
fn a_session_becomes_known_to_the_host_after_one_exchange() {
    let mut host = Host::open();
    let mut prober = prober(112);
    let mut trust = |id| {
        let asked = ask(&mut prober, id, 112).expect("possible");
        let answer = host.hear(&datagram(HOME, 5, &asked));
        hear(&mut prober, &answer.bytes).expect("ours");
        answer.trust
    };
    assert_eq!(trust(0), Trust::Stranger);
    assert_eq!(trust(1), Trust::Validated);
}

#[test]
fn a_quoted_request_is_known_by_its_beginning() {
    for (size, least) in [(112, 20), (64, 20), (63, 8), (8, 8), (3, 3)] {
        let mut prober = prober(size);
        let asked = ask(&mut prober, 5, size).expect("possible");
        for end in [least, size] {
            let heard = prober.quoted(&asked[..end]).expect("enough of it");
            assert_eq!(heard.resolve(ProbeId(9)), Some(ProbeId(5)), "{end} of {size}");
            assert_eq!(heard.reflection, None);
        }
        assert_eq!(prober.quoted(&asked[..least - 1]), None, "{size}");
        assert_eq!(prober.quoted(&[]), None);
    }
}

#[test]
fn a_quote_of_anything_but_an_own_request_is_nothing() {
    let (mut host, mut structured) = (Host::open(), prober(64));
    let asked = ask(&mut structured, 5, 64).expect("possible");
    let answer = host.hear(&datagram(HOME, 250_000, &asked));
    assert_eq!(structured.quoted(&answer.bytes), None, "an answer");
    for at in [0, 4, 8] {
        let mut other = asked.clone();
        other[at] ^= 1;
        assert_eq!(structured.quoted(&other), None, "octet {at}");
    }
    assert_eq!(
        prober(16).quoted(&[0; 16]),
        None,
        "another session's plain payload"
    );
    let nameless = prober(0).quoted(&[]).expect("it might be ours");
    assert_eq!(nameless.resolve(ProbeId(3)), None, "but which?");
}
