//! Bytes and values, both ways.

use super::*;
use crate::ntp::Short;
use crate::ntp::wire::Tail;
use proptest::prelude::*;

/// Written by ntplib 0.4 (Python), with fractions that a binary number holds.
const ANSWER: &str = "
    640206e9 00004000 00001000 c0000221
    ed4ea87f80000000 ed4ea8c420000000 ed4ea8c580000000 ed4ea8c5c0000000";
/// The same, a client of version 3.
const REQUEST: &str = "
    1b000000 00000000 00000000 00000000
    0000000000000000 0000000000000000 0000000000000000 ed4ea8c420000000";
/// The same, in era 1 of a clock that was set in era 0.
const ANSWER_IN_ERA_1: &str = "
    240104ee 00000000 00018000 47505300
    ffffffff00000000 0000000100000000 0000f68040000000 0000f68080000000";

/// The instant so many seconds and so many halves of halves of halves of one after noon.
fn noon(seconds: i64, eighths: i64) -> Timestamp {
    let nanos = seconds * 1_000_000_000 + eighths * 125_000_000;
    Timestamp::new(NOON + Nanos(nanos))
}

#[test]
fn packets_of_another_make_are_read_and_written() {
    let answer = Packet {
        leap: 1,
        version: 4,
        mode: 4,
        stratum: 2,
        poll: 6,
        precision: -23,
        root_delay: Short::at_least(Nanos(250_000_000)),
        root_dispersion: Short::at_least(Nanos(62_500_000)),
        reference_id: [192, 0, 2, 33],
        reference: noon(-65, 4),
        origin: noon(4, 1),
        receive: noon(5, 4),
        transmit: noon(5, 6),
    };
    let asked = Packet {
        version: 3,
        mode: 3,
        transmit: noon(4, 1),
        ..Packet::default()
    };
    let midnight = 2_086_041_600 * SECOND;
    let in_era_1 = Packet {
        version: 4,
        mode: 4,
        stratum: 1,
        poll: 4,
        precision: -18,
        root_dispersion: Short::at_least(Nanos(1_500_000_000)),
        reference_id: *b"GPS\0",
        reference: Timestamp::new(Wall(ERA_1.0 - SECOND)),
        origin: Timestamp::new(Wall(ERA_1.0 + SECOND)),
        receive: Timestamp::new(Wall(midnight + SECOND / 4)),
        transmit: Timestamp::new(Wall(midnight + SECOND / 2)),
        ..Packet::default()
    };
    for (hex, packet) in [(ANSWER, answer), (REQUEST, asked), (ANSWER_IN_ERA_1, in_era_1)] {
        let bytes = bytes(hex);
        assert_eq!(Packet::parse(&bytes), Some(packet));
        assert_eq!(packet.emit()[..], bytes);
        for len in 0..bytes.len() {
            assert_eq!(Packet::parse(&bytes[..len]), None, "{len}");
        }
        let longer = [&bytes[..], b"and more"].concat();
        assert_eq!(Packet::parse(&longer), Some(packet));
    }
}

#[test]
fn a_field_never_runs_over_into_another() {
    let packet = Packet {
        leap: 0xfc | 1,
        version: 0xf8 | 4,
        mode: 0xf8 | 3,
        ..Packet::default()
    };
    let read = Packet::parse(&packet.emit()).expect("whole");
    assert_eq!((read.leap, read.version, read.mode), (1, 4, 3));
}

#[test]
fn who_is_synchronised_says_so_twice() {
    let with = |leap, stratum| Packet {
        leap,
        stratum,
        ..Packet::default()
    };
    for leap in 0..4 {
        for stratum in 0..=255 {
            let expected = leap < 3 && (1..=15).contains(&stratum);
            assert_eq!(
                with(leap, stratum).is_synchronised(),
                expected,
                "{leap}, {stratum}"
            );
        }
    }
}

#[test]
fn a_kiss_code_is_text_where_there_is_no_stratum() {
    let table = [
        (*b"RATE", true),
        (*b"ABC\0", true),
        (*b"A\0\0\0", true),
        (*b"\0\0\0\0", false),
        (*b"A\0B\0", false),
        (*b"\0ABC", false),
        (*b"A BC", false),
        ([192, 0, 2, 1], false),
    ];
    for (reference_id, is_code) in table {
        let packet = Packet {
            reference_id,
            ..Packet::default()
        };
        assert_eq!(packet.kiss_code(), is_code.then_some(reference_id));
        for stratum in [1, 2, 15, 16, 255] {
            assert_eq!(Packet { stratum, ..packet }.kiss_code(), None);
        }
    }
}

#[test]
fn what_is_behind_a_header_is_fields_a_code_or_nothing() {
    let header = request().emit();
    let field = |length: u16, of: usize| {
        let mut field = vec![0x5a; of];
        field[2..4].copy_from_slice(&length.to_be_bytes());
        field
    };
    let table: [(Vec<Vec<u8>>, u8, Option<Tail>); 21] = [
        (vec![], 4, Some(Tail::Unsigned)),
        (vec![], 1, Some(Tail::Unsigned)),
        (vec![field(28, 28)], 4, Some(Tail::Unsigned)),
        (vec![field(28, 28)], 3, None),
        (vec![field(16, 16), field(28, 28)], 4, Some(Tail::Unsigned)),
        (vec![field(1_400, 1_400)], 4, Some(Tail::Unsigned)),
        (vec![vec![7; 4]], 4, Some(Tail::Signed)),
        (vec![vec![7; 12]], 3, Some(Tail::Signed)),
        (vec![vec![7; 20]], 4, Some(Tail::Signed)),
        (vec![vec![7; 20]], 3, Some(Tail::Signed)),
        (vec![vec![7; 24]], 4, Some(Tail::Signed)),
        (vec![field(16, 16), vec![7; 20]], 4, Some(Tail::Signed)),
        (vec![field(32, 32), vec![7; 24]], 4, Some(Tail::Signed)),
        (vec![vec![7; 1]], 4, None),
        (vec![vec![7; 8]], 4, None),
        (vec![vec![7; 16]], 4, None),
        (vec![field(12, 28)], 4, None),
        (vec![field(0, 28)], 4, None),
        (vec![field(30, 30)], 4, None),
        (vec![field(32, 28)], 4, None),
        (vec![field(0xffff, 28)], 4, None),
    ];
    for (parts, version, expected) in table {
        let datagram = [&header[..], &parts.concat()].concat();
        assert_eq!(Tail::parse(&datagram, version), expected, "{parts:02x?}");
    }
    assert_eq!(Tail::parse(&header[..47], 4), None);
}

proptest! {
    #[test]
    fn any_header_is_written_as_it_was_read(first: [u8; 32], second: [u8; 16]) {
        let header = [&first[..], &second[..]].concat();
        let packet = Packet::parse(&header).expect("whole");
        prop_assert_eq!(&packet.emit()[..], &header);
    }

    #[test]
    fn no_tail_is_too_strange_to_be_looked_at(tail in prop::collection::vec(any::<u8>(), 0..200), version: u8) {
        let datagram = [&request().emit()[..], &tail].concat();
        if Tail::parse(&datagram, version).is_some() {
            prop_assert!(datagram.len().is_multiple_of(4));
        }
    }
}
