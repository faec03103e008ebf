//! Stories of a reflector that the table of vectors does not tell.

use super::super::{ReflectorMode, tlv as kinds};
use super::*;
use halloo_base::{Marks, Nanos, Reason};

fn follow_up(sequence_number: u32) -> Vec<u8> {
    let mut bytes = request(sequence_number, 1, 44);
    bytes.extend(tlv(kinds::FOLLOW_UP_TELEMETRY, &[0; 16]));
    bytes
}

#[test]
fn only_the_key_is_a_proof() {
    let mut host = Host::keyed();
    let table = [
        (signed_request(SECRET, 0, 0, 112), Trust::Validated),
        (signed_request("the wrong secret", 0, 0, 112), Trust::Stranger),
        (request(0, 0, 44), Trust::Stranger),
        (vec![], Trust::Stranger),
    ];
    for (payload, trust) in table {
        assert_eq!(host.ask(5, &payload).trust, trust);
        assert_eq!(Host::open().ask(5, &payload).trust, Trust::Stranger);
    }
}

#[test]
fn what_is_refused_is_not_counted() {
    let mut host = Host::keyed();
    let wrong = signed_request("the wrong secret", 0, 9, 112);
    assert_eq!(host.ask(5, &wrong).verdict, Verdict::Silent(Reason::BadAuth));
    let right = host.ask(5, &signed_request(SECRET, 1, 9, 112)).bytes;
    assert_eq!(right[..4], [0; 4], "the first of the session");
}

#[test]
fn nothing_shorter_than_a_request_is_answered() {
    let whole = request(0, 0, 44);
    for cut in 0..=44 {
        let answer = Host::open().ask(5, &whole[..cut]);
        let expected = match cut {
            ..14 => Verdict::Silent(Reason::Malformed),
            _ => Verdict::Reply(cut),
        };
        assert_eq!(answer.verdict, expected, "{cut}");
    }
}

#[test]
fn an_authenticated_packet_cut_anywhere_is_not_answered() {
    let whole = signed_request(SECRET, 0, 0, 112);
    for cut in 0..112 {
        let answer = Host::keyed().ask(5, &whole[..cut]);
        assert_eq!(answer.verdict, Verdict::Silent(Reason::Malformed), "{cut}");
    }
}

#[test]
fn every_bit_of_an_authenticated_packet_counts() {
    let whole = signed_request(SECRET, 0, 0, 112);
    for bit in 0..112 * 8 {
        let mut altered = whole.clone();
        altered[bit / 8] ^= 1 << (bit % 8);
        let answer = Host::keyed().ask(5, &altered);
        // What looks like an open packet gets an open answer, which its sender does not take.
        let is_proof = wire_is_signed(&answer.bytes);
        assert!(!is_proof && answer.trust == Trust::Stranger, "bit {bit}");
    }
}

fn wire_is_signed(bytes: &[u8]) -> bool {
    super::super::wire::is_signed(&key(SECRET), bytes)
}

#[test]
fn the_ttl_is_told_as_it_arrived_or_as_255() {
    let asked = request(0, 0, 44);
    for (ttl, told) in [(Some(63), 63), (Some(1), 1), (None, 255)] {
        let rx = Datagram {
            marks: Marks { tos: 0, ttl },
            ..datagram(HOME, 5, &asked)
        };
        assert_eq!(Host::open().hear(&rx).reply().sender_ttl, told);
    }
}

#[test]
fn the_stamps_are_the_kernels_arrival_and_the_last_moment() {
    let reply = Host::open().ask(1_000_000, &request(0, 0, 44)).reply();
    assert_eq!(reply.received_at(), Some(wall(1_000_000)));
    assert_eq!(reply.sent_at(), Some(wall(1_000_000 + RESIDENCE)));
}

#[test]
fn an_answer_never_leaves_before_its_request_arrived() {
    let asked = request(0, 0, 44);
    let rx = datagram(HOME, 1_000_000, &asked);
    let mut bytes = asked.clone();
    // A kernel stamp can lie a little after the clock that is read here.
    with_env(999_000, |env| {
        Host::open().reflector.respond(env, &rx, &mut bytes)
    });
    let reply = Reply::parse(&bytes, Mode::Open).expect("an answer");
    assert_eq!(
        (reply.received_at(), reply.sent_at()),
        (Some(wall(1_000_000)), Some(wall(1_000_000)))
    );
}

#[test]
fn a_step_of_the_wall_clock_is_no_residence() {
    let asked = request(0, 0, 44);
    let mut rx = datagram(HOME, 1_000_000, &asked);
    rx.at.wall = rx.at.wall + Nanos(-3_600_000_000_000);
    let reply = Host::open().hear(&rx).reply();
    let residence = reply.sent_at().expect("told") - reply.received_at().expect("told");
    assert_eq!(residence, Nanos(RESIDENCE as i64));
}

#[test]
fn a_departure_is_awaited_only_for_those_who_ask_and_of_kernel_stamps() {
    let mut host = Host::open();
    assert_eq!(host.ask(5, &request(0, 1, 44)).verdict, Verdict::Reply(44));
    let asked = follow_up(1);
    let mut rx = datagram(HOME, 5, &asked);
    rx.at.source = StampSource::User;
    assert_eq!(host.hear(&rx).verdict, Verdict::Reply(64));
    assert!(host.ask(5, &follow_up(2)).tag().is_some());
    assert_eq!(host.ask(5, &follow_up(3)).tag(), None, "one at a time");

    let mut stateless = Host::new(StampReflectorOptions {
        mode: ReflectorMode::Stateless,
        ..StampReflectorOptions::default()
    });
    assert_eq!(stateless.ask(5, &follow_up(1)).verdict, Verdict::Reply(64));
    stateless
        .reflector
        .departed(TxTag(0), stamp(9, StampSource::Kernel));
}

#[test]
fn tlvs_that_may_not_be_used_ask_for_no_departure() {
    let mut asked = signed_request(SECRET, 1, 1, 112);
    asked.extend(tlv(kinds::FOLLOW_UP_TELEMETRY, &[0; 16]));
    assert_eq!(Host::keyed().ask(5, &asked).verdict, Verdict::Reply(132));
}

#[test]
fn a_hardware_stamp_is_told_as_that() {
    let asked = [request(0, 0, 44), tlv(kinds::TIMESTAMP_INFORMATION, &[0; 4])].concat();
    let mut rx = datagram(HOME, 5, &asked);
    for (source, method) in [
        (StampSource::Hardware, 1),
        (StampSource::Kernel, 2),
        (StampSource::User, 2),
    ] {
        rx.at.source = source;
        assert_eq!(Host::open().hear(&rx).bytes[48..], [5, method, 5, 2]);
    }
}

#[test]
fn two_reflectors_do_not_talk_to_each_other() {
    let lens = (24..=44).chain([60, 108, 200]);
    for len in lens {
        let asked = request(3, 9, len);
        let first = Host::open().ask(250_000, &asked);
        assert_eq!(first.bytes.len(), len);
        let mut other = Host::new(StampReflectorOptions {
            mode: ReflectorMode::Stateless,
            clock: ErrorEstimate::UNKNOWN.in_format(Format::Ptp),
            ..StampReflectorOptions::default()
        });
        let second = other.ask(260_000, &first.bytes);
        assert_eq!(second.verdict, Verdict::Silent(Reason::Loop), "{len}");
        let as_ptp = other.ask(250_000, &asked);
        let back = Host::open().ask(260_000, &as_ptp.bytes);
        assert_eq!(
            back.verdict,
            Verdict::Silent(Reason::Loop),
            "{len}, in PTP's format"
        );
    }
}

#[test]
fn a_reply_buffer_that_is_too_short_is_left_alone() {
    let asked = request(0, 0, 44);
    let mut room = [0x5a; 43];
    let rx = datagram(HOME, 5, &asked);
    let verdict = with_env(9, |env| Host::open().reflector.respond(env, &rx, &mut room));
    assert_eq!(verdict, Verdict::Silent(Reason::Truncated));
    assert_eq!(room, [0x5a; 43]);
}

#[test]
fn nothing_prints_a_key() {
    let options = StampReflectorOptions {
        key: Some(key("correct horse battery")),
        ..StampReflectorOptions::default()
    };
    let text = format!("{options:?}");
    assert!(text.contains("key: Some(Key)"), "{text}");
}
