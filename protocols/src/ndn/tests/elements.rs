//! Numbers, elements and streams of them.

use super::*;
use crate::ndn::tlv::{Reader, Writer, element_len, measure, number_len, only, written};

#[test]
fn numbers_have_one_form_and_others_are_refused() {
    let table: [(u64, &str); 8] = [
        (0, "00"),
        (252, "fc"),
        (253, "fd00fd"),
        (0xffff, "fdffff"),
        (0x1_0000, "fe00010000"),
        (0xffff_ffff, "feffffffff"),
        (0x1_0000_0000, "ff0000000100000000"),
        (u64::MAX, "ffffffffffffffffff"),
    ];
    for (number, wire) in table {
        let mut room = [0; 9];
        let mut writer = Writer::new(&mut room);
        writer.number(number);
        let len = writer.finish().expect("room");
        assert_eq!(room[..len], hex(wire));
        assert_eq!(number_len(number), len);
    }
    for longer in ["fd00fc", "fe0000ffff", "ff00000000ffffffff", "ff0000000000000000"] {
        let as_type = [hex(longer), vec![0]].concat();
        assert_eq!(only(&as_type), Err(Malformed::NotShortest), "{longer}");
        let as_length = [vec![8], hex(longer)].concat();
        assert_eq!(only(&as_length), Err(Malformed::NotShortest), "{longer}");
    }
}

#[test]
fn types_are_from_one_to_thirty_two_bits() {
    for (wire, kind) in [("0100", 1), ("feffffffff00", u32::MAX)] {
        assert_eq!(only(&hex(wire)).map(|element| element.kind), Ok(kind));
    }
    for wire in ["0000", "ff000000010000000000"] {
        assert_eq!(only(&hex(wire)), Err(Malformed::BadType), "{wire}");
    }
}

#[test]
fn lengths_beyond_the_bytes_or_the_machine_are_cuts() {
    for wire in [
        "",
        "08",
        "0801",
        "08fd",
        "08fd01",
        "08fdffff00",
        "08ffffffffffffffffff",
    ] {
        assert_eq!(only(&hex(wire)), Err(Malformed::Truncated), "{wire}");
    }
}

#[test]
fn integers_have_one_two_four_or_eight_bytes() {
    let value = |wire: &str| only(&hex(wire)).and_then(|element| element.integer());
    assert_eq!(value("0c0105"), Ok(5));
    assert_eq!(value("0c020005"), Ok(5), "longer forms of a value are allowed");
    assert_eq!(value("0c0400000005"), Ok(5));
    assert_eq!(value("0c08ffffffffffffffff"), Ok(u64::MAX));
    for wrong in ["0c00", "0c03000005", "0c050000000005", "0c09000000000000000005"] {
        assert_eq!(value(wrong), Err(Malformed::BadValue(12)), "{wrong}");
    }
    let table: [(u64, &str); 5] = [
        (0, "0c0100"),
        (255, "0c01ff"),
        (256, "0c020100"),
        (0x1_0000, "0c0400010000"),
        (0x1_0000_0000, "0c080000000100000000"),
    ];
    for (number, wire) in table {
        assert_eq!(written(|writer| writer.integer(12, number)), Ok(hex(wire)));
    }
}

#[test]
fn nested_elements_are_as_long_as_what_they_hold() {
    for len in [0, 1, 252, 253, 254, 300, 8_000] {
        let value = vec![7; len];
        let made = written(|writer| writer.nested(6, |writer| writer.element(21, &value))).expect("room");
        let inner = element_len(21, len);
        assert_eq!(made.len(), element_len(6, inner));
        let outer = only(&made).expect("one element");
        assert_eq!(only(outer.value).map(|inner| inner.value), Ok(&value[..]));
    }
}

#[test]
fn what_does_not_fit_is_told_and_nothing_is_written_behind_the_room() {
    let whole = written(|writer| writer.nested(6, |writer| writer.element(21, &[7; 300]))).expect("room");
    for room in 0..whole.len() {
        let mut memory = vec![0xee; whole.len() + 8];
        let mut writer = Writer::new(&mut memory[..room]);
        writer.nested(6, |writer| writer.element(21, &[7; 300]));
        assert!(writer.finish().is_err(), "{room}");
        assert!(memory[room..].iter().all(|&byte| byte == 0xee), "{room}");
    }
    assert!(written(|writer| writer.element(21, &[0; 8_800])).is_err());
}

#[test]
fn elements_know_where_they_stand() {
    let bytes = hex("080161 080162 0900");
    let mut reader = Reader::new(&bytes);
    let first = reader.element().expect("whole").expect("there");
    let second = reader.element().expect("whole").expect("there");
    assert_eq!((first.from, first.wire), (&bytes[..], &bytes[..3]));
    assert_eq!(
        (second.from, second.wire, second.value),
        (&bytes[3..], &bytes[3..6], &b"b"[..])
    );
    assert_eq!(
        reader.element().map(|element| element.map(|e| e.kind)),
        Ok(Some(9))
    );
    assert_eq!(reader.element(), Ok(None));
}

#[test]
fn a_stream_is_measured_as_soon_as_the_header_is_there() {
    let table = [
        ("", Ok(None)),
        ("05", Ok(None)),
        ("05fd", Ok(None)),
        ("05fd01", Ok(None)),
        ("0503", Ok(Some(5))),
        ("0503aabbccdd", Ok(Some(5))),
        // Forwarders pass longer forms on: the stream goes on behind them.
        ("05fd0003", Ok(Some(7))),
        ("fd000503", Ok(Some(7))),
        ("0000", Ok(Some(2))),
        ("05fd225c", Ok(Some(8_800))),
        ("05fd225d", Err(Malformed::TooLong)),
        ("05ffffffffffffffffff", Err(Malformed::TooLong)),
    ];
    for (stream, measured) in table {
        assert_eq!(measure(&hex(stream)), measured, "{stream}");
    }
}
