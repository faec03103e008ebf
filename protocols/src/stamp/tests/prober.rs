//! Stories of the probers, most of them with the reflector of this folder.

use super::super::{ReflectorMode, StampProber, TwampProber, tlv as kinds, wire};
use super::*;
use crate::ProberOptions;
use halloo_base::{Arrivals, FollowUp, Heard, Nanos, ProbeId, Prober, Reason, Reflection, Seen};

const TOKEN: u64 = 0xfeed;
const THERE: &str = "198.51.100.1:862";

fn options(size: usize) -> ProberOptions {
    ProberOptions {
        token: TOKEN,
        size,
        ..ProberOptions::default()
    }
}

fn prober(size: usize) -> StampProber {
    StampProber::new(&options(size))
}

fn keyed(size: usize) -> StampProber {
    StampProber::new(&ProberOptions {
        key: Some(key(SECRET)),
        ..options(size)
    })
}

fn ask_at(prober: &mut dyn Prober, mono: u64, id: u64, size: usize) -> Vec<u8> {
    let mut buf = vec![0xee; size];
    let len = with_env(mono, |env| prober.request(env, ProbeId(id), &mut buf));
    assert_eq!(len, Some(size));
    buf
}

fn ask(prober: &mut dyn Prober, id: u64, size: usize) -> Vec<u8> {
    ask_at(prober, 1_000 + id, id, size)
}

fn hear(prober: &mut dyn Prober, payload: &[u8]) -> Result<Heard, Reason> {
    prober.recognise(&datagram(THERE, 300_000, payload))
}

fn exchange(prober: &mut dyn Prober, host: &mut Host, id: u64, size: usize) -> Reflection {
    let asked = ask(prober, id, size);
    let answer = host.ask(250_000, &asked);
    let heard = hear(prober, &answer.bytes).expect("our answer");
    assert_eq!((heard.low_bits, heard.bits), (id, 32));
    heard.reflection.expect("a reflector always tells")
}

fn stateless() -> Host {
    Host::new(StampReflectorOptions {
        mode: ReflectorMode::Stateless,
        ..StampReflectorOptions::default()
    })
}

/// What the base packet alone tells.
fn plain() -> Reflection {
    Reflection {
        received_at: Some(wall(250_000)),
        residence: Some(Nanos(RESIDENCE as i64)),
        seen: Some(Seen {
            addr: "[::]:0".parse().expect("an address"),
            ttl: Some(63),
            tos: None,
        }),
        ..Reflection::default()
    }
}

#[test]
fn a_base_packet_tells_the_stamps_and_the_ttl() {
    assert_eq!(exchange(&mut prober(44), &mut stateless(), 7, 44), plain());
    let mut twamp = TwampProber::new(&options(41));
    assert_eq!(exchange(&mut twamp, &mut stateless(), 7, 41), plain());
    let reflection = exchange(&mut keyed(112), &mut Host::keyed(), 0, 112);
    assert_eq!(reflection, plain());
}

#[test]
fn room_for_tlvs_tells_more_piece_by_piece() {
    let home = Some(HOME.parse().expect("an address"));
    for (size, tos, from) in [
        (52, 0xb8, None),
        (60, 0xb8, None),
        (80, 0xb8, None),
        (108, 0xb8, home),
        (72, 0xb8, None),
    ] {
        for (mut prober, mut host, size) in [
            (prober(size), Host::open(), size),
            (keyed(size + 88), Host::keyed(), size + 88),
        ] {
            let seen = exchange(&mut prober, &mut host, 0, size).seen.expect("told");
            let addr = from.unwrap_or_else(|| "[::]:0".parse().expect("an address"));
            assert_eq!(
                seen,
                Seen {
                    addr,
                    ttl: Some(63),
                    tos: Some(tos)
                },
                "{size}"
            );
        }
    }
}

#[test]
fn a_reflector_that_counts_is_known_by_its_counting() {
    let (mut prober, mut host) = (prober(44), Host::open());
    let arrivals = |received| {
        Some(Arrivals {
            received,
            window: 1,
            window_len: 1,
        })
    };
    assert_eq!(
        exchange(&mut prober, &mut host, 0, 44).arrivals,
        None,
        "it may only copy"
    );
    assert_eq!(exchange(&mut prober, &mut host, 1, 44).arrivals, None);
    ask(&mut prober, 2, 44);
    assert_eq!(
        exchange(&mut prober, &mut host, 3, 44).arrivals,
        arrivals(3),
        "one was lost on its way there"
    );
    assert_eq!(exchange(&mut prober, &mut host, 4, 44).arrivals, arrivals(4));
}

#[test]
fn an_exact_departure_is_told_of_the_probe_that_it_was_of() {
    let (mut prober, mut host) = (prober(80), Host::open());
    ask(&mut prober, 5, 80);
    let asked = ask(&mut prober, 6, 80);
    let answer = host.ask(250_000, &asked);
    host.reflector.departed(
        answer.tag().expect("asked for"),
        stamp(261_000, StampSource::Kernel),
    );
    hear(&mut prober, &answer.bytes).expect("our answer");
    let follow_up = exchange(&mut prober, &mut host, 7, 80).follow_up;
    let expected = FollowUp {
        low_bits: 6,
        residence: Nanos(11_000),
    };
    assert_eq!(follow_up, Some(expected));
}

#[test]
fn a_departure_that_is_t3_again_is_no_better_than_it_was() {
    let (mut prober, mut host) = (prober(80), Host::open());
    let asked = ask(&mut prober, 6, 80);
    let answer = host.ask(250_000, &asked);
    let at = stamp(250_000 + RESIDENCE, StampSource::Kernel);
    host.reflector.departed(answer.tag().expect("asked for"), at);
    hear(&mut prober, &answer.bytes).expect("our answer");
    assert_eq!(exchange(&mut prober, &mut host, 7, 80).follow_up, None);
}

#[test]
fn a_departure_of_an_answer_that_never_came_tells_nothing() {
    let (mut prober, mut host) = (prober(80), Host::open());
    let asked = ask(&mut prober, 6, 80);
    let lost = host.ask(250_000, &asked);
    host.reflector.departed(
        lost.tag().expect("asked for"),
        stamp(261_000, StampSource::Kernel),
    );
    assert_eq!(exchange(&mut prober, &mut host, 7, 80).follow_up, None);
}

#[test]
fn the_reflectors_clock_is_as_good_as_it_says() {
    for (clock, error) in [
        (ErrorEstimate::UNKNOWN, None),
        (ErrorEstimate::within(Nanos(1_000_000)), Some(Nanos(1_007_081))),
        (ErrorEstimate(0x8000), None),
    ] {
        for format in [Format::Ntp, Format::Ptp] {
            let mut host = Host::new(StampReflectorOptions {
                clock: clock.in_format(format),
                ..StampReflectorOptions::default()
            });
            let reflection = exchange(&mut prober(44), &mut host, 0, 44);
            assert_eq!(reflection.clock_error, error);
            assert_eq!(reflection.received_at, Some(wall(250_000)), "{format:?}");
        }
    }
}

type Change = fn(&mut Reply);

/// An answer of the prober's own making, so that it can say what no reflector here says.
fn answer_to(asked: &[u8], change: impl FnOnce(&mut Reply)) -> Vec<u8> {
    let request = Request::parse(asked, Mode::Open).expect("a request");
    let mut reply = Reply {
        sequence_number: request.sequence_number,
        timestamp: ntp(259_000),
        error_estimate: ErrorEstimate::UNKNOWN,
        ssid: request.ssid,
        receive_timestamp: ntp(250_000),
        sender_sequence_number: request.sequence_number,
        sender_timestamp: request.timestamp,
        sender_error_estimate: request.error_estimate,
        sender_ttl: 63,
    };
    change(&mut reply);
    let mut bytes = asked.to_vec();
    reply.emit(Mode::Open, &mut bytes).expect("room");
    bytes
}

#[test]
fn an_answer_is_known_by_number_time_and_identifier() {
    let mut prober = prober(44);
    let asked = ask(&mut prober, 7, 44);
    let table: [(&str, Change, bool); 8] = [
        ("all of them", |_| {}, true),
        (
            "a number of the reflector's own",
            |reply| reply.sequence_number = 99,
            true,
        ),
        (
            "a reflector that knows no identifiers",
            |reply| reply.ssid = 0,
            true,
        ),
        ("another session", |reply| reply.ssid ^= 1, false),
        ("another number", |reply| reply.sender_sequence_number = 6, false),
        (
            "a number to come",
            |reply| reply.sender_sequence_number = 7 + 1_024,
            false,
        ),
        ("another time", |reply| reply.sender_timestamp.0 ^= 1, false),
        ("no time", |reply| reply.sender_timestamp = Timestamp::NONE, false),
    ];
    for (what, change, ours) in table {
        let heard = hear(&mut prober, &answer_to(&asked, change));
        let expected = ours.then_some(7).ok_or(Reason::Foreign);
        assert_eq!(heard.map(|heard| heard.low_bits), expected, "{what}");
    }
    assert_eq!(
        hear(&mut prober, &asked),
        Err(Reason::Foreign),
        "an echo is no answer"
    );
}

#[test]
fn of_requests_long_ago_the_identifier_must_do() {
    let mut prober = prober(44);
    let old = ask(&mut prober, 0, 44);
    for id in 1..=1_024 {
        ask(&mut prober, id, 44);
    }
    let heard = hear(&mut prober, &answer_to(&old, |_| {}));
    assert_eq!(heard.map(|heard| heard.low_bits), Ok(0));
    assert_eq!(
        hear(&mut prober, &answer_to(&old, |reply| reply.ssid = 0)),
        Err(Reason::Foreign)
    );
    let echo = ask(&mut prober, 2_048, 44);
    assert_eq!(
        hear(&mut prober, &echo),
        Err(Reason::Foreign),
        "an echo has the number 0 there and no time"
    );
    let later = answer_to(&old, |reply| reply.sender_timestamp = ntp(400_000));
    assert_eq!(hear(&mut prober, &later), Err(Reason::Foreign));
    let never = answer_to(&old, |reply| reply.sender_sequence_number = 3_072);
    assert_eq!(hear(&mut prober, &never), Err(Reason::Foreign));
    let mut twamp = TwampProber::new(&options(41));
    let old = ask(&mut twamp, 0, 41);
    for id in 1..=1_024 {
        ask(&mut twamp, id, 41);
    }
    assert_eq!(
        hear(&mut twamp, &answer_to(&old, |_| {})),
        Err(Reason::Foreign),
        "it has none"
    );
}

#[test]
fn numbers_wrap() {
    let (mut prober, mut host) = (prober(44), stateless());
    for id in [(1 << 32) - 1, 1 << 32, (1 << 40) + 5] {
        let asked = ask(&mut prober, id, 44);
        let answer = host.ask(250_000, &asked);
        let heard = hear(&mut prober, &answer.bytes).expect("our answer");
        assert_eq!(heard.resolve(ProbeId(id)), Some(ProbeId(id)));
    }
}

#[test]
fn stamps_that_make_no_sense_tell_nothing() {
    let mut prober = prober(44);
    let asked = ask(&mut prober, 0, 44);
    let table: [(Change, Option<u64>, Option<i64>); 4] = [
        (|_| {}, Some(250_000), Some(9_000)),
        (|reply| reply.timestamp = ntp(249_000), Some(250_000), None),
        (|reply| reply.timestamp = Timestamp::NONE, Some(250_000), None),
        (|reply| reply.receive_timestamp = Timestamp::NONE, None, None),
    ];
    for (change, received, residence) in table {
        let heard = hear(&mut prober, &answer_to(&asked, change)).expect("our answer");
        let told = heard.reflection.expect("told");
        assert_eq!(
            (told.received_at, told.residence),
            (received.map(wall), residence.map(Nanos))
        );
    }
}

#[test]
fn a_ttl_that_nobody_knows_is_not_told() {
    let mut prober = prober(44);
    let asked = ask(&mut prober, 0, 44);
    for ttl in [0, 255] {
        let heard = hear(&mut prober, &answer_to(&asked, |reply| reply.sender_ttl = ttl));
        assert_eq!(heard.expect("our answer").reflection.expect("told").seen, None);
    }
}

/// The answer to a request with these TLVs behind it instead of its own.
fn told(tlvs: &[u8]) -> Reflection {
    let size = 44 + tlvs.len();
    let mut prober = prober(size);
    let asked = ask(&mut prober, 0, size);
    let mut answer = answer_to(&asked, |_| {});
    answer[44..].copy_from_slice(tlvs);
    let heard = hear(&mut prober, &answer).expect("our answer");
    heard.reflection.expect("told")
}

/// A TLV as a reflector sends it.
fn answered(flags: u8, kind: u8, value: &[u8]) -> Vec<u8> {
    let mut bytes = tlv(kind, value);
    bytes[0] = flags;
    bytes
}

#[test]
fn flags_say_which_tlvs_count() {
    let seen = |tlvs: &[Vec<u8>]| told(&tlvs.concat()).seen.expect("told").tos;
    let cos = |flags| answered(flags, kinds::CLASS_OF_SERVICE, &[0x02, 0xe0, 0, 0]);
    let other = |flags| answered(flags, 99, b"");
    assert_eq!(seen(&[cos(0)]), Some(0xb8));
    assert_eq!(seen(&[other(0), cos(0)]), Some(0xb8));
    assert_eq!(seen(&[other(kinds::UNRECOGNISED), cos(0)]), Some(0xb8));
    assert_eq!(seen(&[cos(kinds::UNRECOGNISED)]), None);
    assert_eq!(
        seen(&[other(kinds::MALFORMED), cos(0)]),
        None,
        "nothing behind it"
    );
    assert_eq!(seen(&[cos(0), other(kinds::MALFORMED)]), Some(0xb8));
    assert_eq!(seen(&[cos(0), other(kinds::INTEGRITY)]), None, "none at all");
    assert_eq!(seen(&[cos(0), vec![0; 3]]), Some(0xb8));
    let short = answered(0, kinds::CLASS_OF_SERVICE, &[0x02, 0xe0, 0]);
    assert_eq!(seen(&[short]), None);
}

#[test]
fn only_the_interfaces_own_stamp_is_better_than_a_programs() {
    for (method, expected) in [(0, false), (1, true), (2, false), (3, false)] {
        let info = answered(0, kinds::TIMESTAMP_INFORMATION, &[1, method, 1, 2]);
        assert_eq!(told(&info).kernel_stamped, expected, "{method}");
    }
    assert!(!told(&answered(0x80, kinds::TIMESTAMP_INFORMATION, &[1, 1, 1, 2])).kernel_stamped);
}

#[test]
fn a_location_counts_if_it_tells_address_and_port() {
    let inner = |kind, ip: &str| tlv(kind, &kinds::address_value(ip.parse().expect("an address")));
    let location = |port: u16, inner: Vec<u8>| {
        let [high, low] = port.to_be_bytes();
        answered(0, kinds::LOCATION, &[&[0, 0, high, low], &inner[..]].concat())
    };
    let table = [
        (location(7, inner(kinds::SOURCE_IPV4, "192.0.2.9")), "192.0.2.9:7"),
        (
            location(7, inner(kinds::SOURCE_IPV6, "2001:db8::9")),
            "[2001:db8::9]:7",
        ),
        (
            location(7, inner(kinds::SOURCE_IPV6, "::ffff:192.0.2.9")),
            "192.0.2.9:7",
        ),
        (location(0, inner(kinds::SOURCE_IPV4, "192.0.2.9")), "[::]:0"),
        (location(7, inner(kinds::SOURCE_IPV4, "0.0.0.0")), "[::]:0"),
        (location(7, inner(kinds::DESTINATION_IPV4, "192.0.2.9")), "[::]:0"),
        (location(7, inner(kinds::SOURCE_IP, "192.0.2.9")), "[::]:0"),
        (location(7, vec![]), "[::]:0"),
        (answered(0, kinds::LOCATION, &[0; 3]), "[::]:0"),
    ];
    for (tlvs, expected) in table {
        let seen = told(&tlvs).seen.expect("a TTL at least");
        assert_eq!(seen.addr.to_string(), expected);
    }
}

#[test]
fn with_a_key_only_what_the_key_made_counts() {
    let mut prober = keyed(196);
    let asked = ask(&mut prober, 5, 196);
    assert_eq!(
        hear(&mut prober, &asked),
        Err(Reason::Foreign),
        "our own HMAC is right, and it is no answer"
    );
    let open = Host::open().ask(250_000, &asked);
    assert_eq!(open.verdict, Verdict::Silent(Reason::BadAuth));
    let answer = Host::keyed().ask(250_000, &asked).bytes;
    let whole = hear(&mut prober, &answer)
        .expect("our answer")
        .reflection
        .expect("told");
    assert_eq!(
        whole.seen.map(|seen| seen.addr.to_string()),
        Some(HOME.to_owned())
    );
    // The HMAC covers the TLVs before its own.
    let hmac_flags = 176;
    for bit in 0..answer.len() * 8 {
        let mut altered = answer.clone();
        altered[bit / 8] ^= 1 << (bit % 8);
        let heard = hear(&mut prober, &altered);
        if bit / 8 < 112 {
            assert_eq!(heard, Err(Reason::BadAuth), "bit {bit}");
        } else if bit / 8 != hmac_flags {
            let told = heard.expect("our answer").reflection.expect("told");
            let base = Reflection {
                arrivals: whole.arrivals,
                ..plain()
            };
            assert_eq!(told, base, "bit {bit}: not one TLV is believed");
        }
    }
    for cut in 0..112 {
        assert_eq!(hear(&mut prober, &answer[..cut]), Err(Reason::Malformed));
    }
    assert_eq!(
        hear(&mut prober, &answer[..112]).expect("our answer").reflection,
        Some(Reflection {
            arrivals: whole.arrivals,
            ..plain()
        })
    );
}

#[test]
fn an_answer_may_end_before_the_ttl() {
    let mut prober = prober(44);
    let asked = ask(&mut prober, 0, 44);
    let answer = answer_to(&asked, |_| {});
    for cut in 0..44 {
        let heard = hear(&mut prober, &answer[..cut]);
        let told = |heard: &Heard| heard.reflection.and_then(|told| told.seen?.ttl);
        let expected = match cut {
            ..38 => Err(Reason::Malformed),
            38..41 => Ok(None),
            _ => Ok(Some(63)),
        };
        assert_eq!(heard.as_ref().map(told).map_err(|why| *why), expected, "{cut}");
    }
}

#[test]
fn the_beginning_of_a_request_is_known_again() {
    let mut twamp = TwampProber::new(&options(60));
    let (mut open, mut signed) = (prober(60), keyed(140));
    let probers: [(&mut dyn Prober, usize, usize); 3] =
        [(&mut open, 60, 12), (&mut signed, 140, 24), (&mut twamp, 60, 12)];
    for (prober, size, enough) in probers {
        let asked = ask(prober, 9, size);
        for cut in 0..=size {
            let expected = (cut >= enough).then(|| Heard::plain(9, 32));
            assert_eq!(prober.quoted(&asked[..cut]), expected, "{cut} of {size}");
        }
        let later = ask_at(prober, 99_999, 9, size);
        assert_eq!(prober.quoted(&asked), None, "sent at another time");
        assert_eq!(prober.quoted(&later), Some(Heard::plain(9, 32)));
    }
}

#[test]
fn a_size_that_cannot_be_makes_no_request() {
    let none = |prober: &mut dyn Prober, size: usize| {
        let mut buf = vec![0xee; size];
        assert_eq!(with_env(5, |env| prober.request(env, ProbeId(0), &mut buf)), None);
        assert!(buf.iter().all(|&octet| octet == 0xee));
    };
    for size in [0, 1, 43] {
        none(&mut prober(size), size);
        none(&mut keyed(size + 68), size + 68);
    }
    none(&mut TwampProber::new(&options(40)), 40);
    none(&mut prober(44), 45);
    none(&mut prober(1 << 17), 1 << 17);
    ask(&mut prober(65_507), 0, 65_507);
}

#[test]
fn room_is_used_to_the_last_byte() {
    for size in 0..200 {
        for (mut prober, base) in [(prober(44 + size), 44), (keyed(112 + size), 112)] {
            let asked = ask(&mut prober, 0, base + size);
            let area = &asked[base..];
            if (1..4).contains(&size) {
                assert!(area.iter().all(|&octet| octet == 0));
                continue;
            }
            let tlvs: Result<Vec<_>, _> = kinds::Tlvs::new(area).collect();
            let tlvs = tlvs.expect("none is cut");
            assert!(tlvs.iter().all(|tlv| tlv.flags == kinds::UNRECOGNISED));
            let found: Vec<_> = tlvs.iter().map(|tlv| tlv.kind).collect();
            let tells = found
                .iter()
                .any(|&kind| kind != kinds::EXTRA_PADDING && kind != kinds::HMAC_TLV);
            let is_protected = found.last() == Some(&kinds::HMAC_TLV);
            assert_eq!(is_protected, base == 112 && size >= 28, "{size}: {found:?}");
            let least = if base == 44 { 8 } else { 28 };
            assert_eq!(tells, size == least || size >= least + 4, "{size}");
        }
    }
}

#[test]
fn a_session_always_has_an_identifier() {
    for (token, ssid) in [(0, 1), (1, 1), (0x1_0000, 1), (0xffff_ffff, 0xffff)] {
        let mut prober = StampProber::new(&ProberOptions { token, ..options(44) });
        let asked = ask(&mut prober, 0, 44);
        assert_eq!(asked[14..16], u16::to_be_bytes(ssid), "{token:x}");
        assert!(!wire::is_padded(&asked));
    }
}

#[test]
fn answers_are_asked_for_with_the_dscp_of_the_requests() {
    let mut prober = StampProber::new(&ProberOptions {
        size: 52,
        tos: 0xba,
        ..ProberOptions::default()
    });
    let asked = ask(&mut prober, 0, 52);
    // RFC 8972 section 4.4: the upper six bits.
    assert_eq!(
        asked[44..],
        [0x80, kinds::CLASS_OF_SERVICE, 0, 4, 46 << 2, 0, 0, 0]
    );
}
