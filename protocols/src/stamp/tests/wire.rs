//! The base packets: any bytes in, the same values out.

use super::super::timestamp::{ErrorEstimate, Timestamp};
use super::super::wire::*;
use super::{SECRET, key};
use proptest::prelude::*;

const MODES: [Mode; 2] = [Mode::Open, Mode::Authenticated];

fn a_reply() -> Reply {
    Reply {
        sequence_number: 0x0102_0304,
        timestamp: Timestamp(0x1112_1314_1516_1718),
        error_estimate: ErrorEstimate(0x2122),
        ssid: 0x3132,
        receive_timestamp: Timestamp(0x4142_4344_4546_4748),
        sender_sequence_number: 0x5152_5354,
        sender_timestamp: Timestamp(0x6162_6364_6566_6768),
        sender_error_estimate: ErrorEstimate(0x7172),
        sender_ttl: 0x81,
    }
}

fn a_request() -> Request {
    Request {
        sequence_number: 0x0102_0304,
        timestamp: Timestamp(0x1112_1314_1516_1718),
        error_estimate: ErrorEstimate(0x2122),
        ssid: 0x3132,
    }
}

/// The octets of these runs, zeros between them.
fn laid_out(len: usize, runs: &[(usize, &[u8])]) -> Vec<u8> {
    let mut bytes = vec![0; len];
    for (at, run) in runs {
        bytes[*at..*at + run.len()].copy_from_slice(run);
    }
    bytes
}

const NUMBER: &[u8] = &[1, 2, 3, 4];
const STAMP: &[u8] = &[0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18];
const ERROR: &[u8] = &[0x21, 0x22];
const SSID: &[u8] = &[0x31, 0x32];
const RECEIVED: &[u8] = &[0x41, 0x42, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48];
const SENDER_NUMBER: &[u8] = &[0x51, 0x52, 0x53, 0x54];
const SENDER_STAMP: &[u8] = &[0x61, 0x62, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68];
const SENDER_ERROR: &[u8] = &[0x71, 0x72];

/// RFC 8762 figures 2, 4, 5 and 6, by offset.
fn figures() -> [(Mode, Vec<u8>, Vec<u8>); 2] {
    let open_request = laid_out(44, &[(0, NUMBER), (4, STAMP), (12, ERROR), (14, SSID)]);
    let open_reply = laid_out(
        44,
        &[
            (0, NUMBER),
            (4, STAMP),
            (12, ERROR),
            (14, SSID),
            (16, RECEIVED),
            (24, SENDER_NUMBER),
            (28, SENDER_STAMP),
            (36, SENDER_ERROR),
            (40, &[0x81]),
        ],
    );
    let signed_request = laid_out(112, &[(0, NUMBER), (16, STAMP), (24, ERROR), (26, SSID)]);
    let signed_reply = laid_out(
        112,
        &[
            (0, NUMBER),
            (16, STAMP),
            (24, ERROR),
            (26, SSID),
            (32, RECEIVED),
            (48, SENDER_NUMBER),
            (64, SENDER_STAMP),
            (72, SENDER_ERROR),
            (80, &[0x81]),
        ],
    );
    [
        (Mode::Open, open_request, open_reply),
        (Mode::Authenticated, signed_request, signed_reply),
    ]
}

#[test]
fn the_figures_both_ways() {
    for (mode, request, reply) in figures() {
        assert_eq!(Request::parse(&request, mode), Some(a_request()));
        assert_eq!(Reply::parse(&reply, mode), Some(a_reply()));
        let mut bytes = vec![0; mode.base()];
        assert_eq!(a_request().emit(mode, &mut bytes), Ok(()));
        assert_eq!(bytes, request);
        assert_eq!(a_reply().emit(mode, &mut bytes), Ok(()));
        assert_eq!(bytes, reply);
    }
}

#[test]
fn an_open_packet_cut_anywhere_is_read_as_far_as_a_twamp_one_reaches() {
    let [(mode, request, reply), _] = figures();
    for cut in 0..44 {
        let expected = (cut >= 14).then(|| Request {
            ssid: 0,
            ..a_request()
        });
        assert_eq!(Request::parse(&request[..cut], mode), expected, "{cut}");
        let expected = (cut >= 38).then(|| Reply {
            sender_ttl: if cut >= 41 { 0x81 } else { 0 },
            ..a_reply()
        });
        assert_eq!(Reply::parse(&reply[..cut], mode), expected, "{cut}");

        let mut bytes = vec![0x5a; cut];
        let room = a_reply().emit(mode, &mut bytes);
        if cut >= 14 {
            assert_eq!(bytes, reply[..cut]);
            assert_eq!(a_request().emit(mode, &mut bytes), Ok(()));
            assert_eq!(bytes, request[..cut]);
        } else {
            assert_eq!(room, Err(Unfit));
            assert_eq!(a_request().emit(mode, &mut bytes), Err(Unfit));
            assert!(bytes.iter().all(|&octet| octet == 0x5a), "nothing is written");
        }
    }
}

#[test]
fn an_authenticated_packet_cut_anywhere_is_none() {
    let [_, (mode, request, reply)] = figures();
    for cut in 0..112 {
        assert_eq!(Request::parse(&request[..cut], mode), None);
        assert_eq!(Reply::parse(&reply[..cut], mode), None);
        let mut bytes = vec![0x5a; cut];
        assert_eq!(a_reply().emit(mode, &mut bytes), Err(Unfit));
        assert_eq!(a_request().emit(mode, &mut bytes), Err(Unfit));
        assert!(!sign(&key(SECRET), &mut bytes));
        assert!(!is_signed(&key(SECRET), &bytes));
        assert!(bytes.iter().all(|&octet| octet == 0x5a), "nothing is written");
    }
}

#[test]
fn zeros_are_written_over_what_was_there_and_what_follows_stays() {
    for (mode, request, reply) in figures() {
        let len = mode.base();
        let hmac = if mode == Mode::Authenticated { HMAC } else { 0 };
        let mut bytes = vec![0x5a; len + 9];
        a_reply().emit(mode, &mut bytes).expect("room");
        assert_eq!(bytes[..len - hmac], reply[..len - hmac]);
        assert_eq!(bytes[len - hmac..], vec![0x5a; hmac + 9]);
        a_request().emit(mode, &mut bytes).expect("room");
        assert_eq!(bytes[..len - hmac], request[..len - hmac]);
        assert_eq!(bytes[len - hmac..], vec![0x5a; hmac + 9]);
    }
}

#[test]
fn an_hmac_is_about_the_base_packet_and_nothing_else() {
    let (right, wrong) = (key(SECRET), key("the wrong secret"));
    let mut bytes = vec![0x33; 130];
    assert!(sign(&right, &mut bytes));
    assert_eq!(bytes[112..], [0x33; 18]);
    assert!(is_signed(&right, &bytes) && !is_signed(&wrong, &bytes));
    for bit in 0..bytes.len() * 8 {
        let mut altered = bytes.clone();
        altered[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(is_signed(&right, &altered), bit / 8 >= 112, "bit {bit}");
    }
}

#[test]
fn what_a_reflector_made_is_known_by_its_stamps() {
    let second = 1 << 32;
    let arrived = 0xe8fe_6f80 * second;
    // In units of 2^-32 s: residence, and whether that is told from padding.
    let table = [
        (0, true),
        (1, true),
        (second / 11, true),
        (second / 9, false),
        (second, false),
    ];
    for mode in MODES {
        for (residence, expected) in table {
            let reply = Reply {
                timestamp: Timestamp(arrived + residence),
                receive_timestamp: Timestamp(arrived),
                error_estimate: ErrorEstimate::UNKNOWN,
                ..a_reply()
            };
            let mut bytes = vec![0; mode.base()];
            reply.emit(mode, &mut bytes).expect("room");
            assert_eq!(is_reflected(&bytes, mode), expected, "{residence}");
            let turned = Reply {
                timestamp: Timestamp(arrived),
                receive_timestamp: Timestamp(arrived + residence + 8),
                ..reply
            };
            turned.emit(mode, &mut bytes).expect("room");
            assert!(!is_reflected(&bytes, mode), "it left before it arrived");
        }
        let mut bytes = vec![0; mode.base()];
        Reply {
            receive_timestamp: Timestamp::NONE,
            ..a_reply()
        }
        .emit(mode, &mut bytes)
        .expect("room");
        assert!(!is_reflected(&bytes, mode));
        a_request().emit(mode, &mut bytes).expect("room");
        assert!(!is_reflected(&bytes, mode));
    }
    let mut bytes = vec![0; 44];
    Reply {
        timestamp: Timestamp(arrived),
        receive_timestamp: Timestamp(arrived),
        ..a_reply()
    }
    .emit(Mode::Open, &mut bytes)
    .expect("room");
    for cut in 0..44 {
        assert_eq!(is_reflected(&bytes[..cut], Mode::Open), cut >= 24, "{cut}");
    }
}

prop_compose! {
    fn any_reply()(
        (sequence_number, timestamp, error, ssid) in any::<(u32, u64, u16, u16)>(),
        (receive_timestamp, sender_sequence_number, sender_timestamp) in any::<(u64, u32, u64)>(),
        (sender_error, sender_ttl) in any::<(u16, u8)>(),
    ) -> Reply {
        Reply {
            sequence_number,
            timestamp: Timestamp(timestamp),
            error_estimate: ErrorEstimate(error),
            ssid,
            receive_timestamp: Timestamp(receive_timestamp),
            sender_sequence_number,
            sender_timestamp: Timestamp(sender_timestamp),
            sender_error_estimate: ErrorEstimate(sender_error),
            sender_ttl,
        }
    }
}

proptest! {
    #[test]
    fn every_value_survives_the_wire(reply in any_reply(), more in 0..40_usize) {
        for mode in MODES {
            let mut bytes = vec![0xff; mode.base() + more];
            prop_assert_eq!(reply.emit(mode, &mut bytes), Ok(()));
            prop_assert_eq!(Reply::parse(&bytes, mode), Some(reply));
            let request = Request {
                sequence_number: reply.sequence_number,
                timestamp: reply.timestamp,
                error_estimate: reply.error_estimate,
                ssid: reply.ssid,
            };
            prop_assert_eq!(request.emit(mode, &mut bytes), Ok(()));
            prop_assert_eq!(Request::parse(&bytes, mode), Some(request));
            prop_assert_eq!(Request::quoted(&bytes, mode), Some((request.sequence_number, request.timestamp)));
        }
    }

    #[test]
    fn any_octets_are_read_or_not(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        for mode in MODES {
            prop_assert_eq!(Request::parse(&bytes, mode).is_some(), bytes.len() >= if mode == Mode::Open { 14 } else { 112 });
            prop_assert_eq!(Reply::parse(&bytes, mode).is_some(), bytes.len() >= if mode == Mode::Open { 38 } else { 112 });
            prop_assert!(!is_reflected(&bytes, mode) || bytes.len() >= 24);
        }
        prop_assert!(!is_signed(&key(SECRET), &bytes));
    }
}
