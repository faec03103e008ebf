//! Packets that are not what they should be, and packets that look so and are fine.

use super::*;

/// A name for the packets here: /A.
const A: &str = "0703080141";
const NONCE: &str = "0a0401020304";

fn interest(fields: &str) -> Vec<u8> {
    wrapped(5, &format!("{A}{fields}"))
}

fn data(fields: &str) -> Vec<u8> {
    wrapped(6, &format!("{A}{fields}"))
}

fn lp(fields: &str) -> Vec<u8> {
    wrapped(100, fields)
}

fn wrapped(kind: u32, value: &str) -> Vec<u8> {
    tlv::written(|writer| writer.element(kind, &hex(value))).expect("room")
}

fn refused(wire: &[u8]) -> Malformed {
    Packet::parse(wire).expect_err("refused")
}

fn accepted(wire: &[u8]) -> Packet<'_> {
    Packet::parse(wire).unwrap_or_else(|why| panic!("{wire:02x?}: {why}"))
}

#[test]
fn interests_with_wrong_elements_are_refused() {
    let table = [
        ("2100 1200 1200", Malformed::Unexpected(18)),
        ("1200 2100", Malformed::Unexpected(33)),
        ("2100 2100", Malformed::Unexpected(33)),
        ("210100", Malformed::BadValue(33)),
        ("120100", Malformed::BadValue(18)),
        ("0a03010203", Malformed::BadValue(10)),
        ("0a050102030405", Malformed::BadValue(10)),
        ("0a0401020304 0a0401020304", Malformed::Unexpected(10)),
        ("0c00", Malformed::BadValue(12)),
        ("0c03000001", Malformed::BadValue(12)),
        ("0c0101 0a0401020304", Malformed::Unexpected(10)),
        ("0a0401020304 1e050703080142", Malformed::Unexpected(30)),
        ("2200", Malformed::BadValue(34)),
        ("22020101", Malformed::BadValue(34)),
        ("1e00", Malformed::BadValue(30)),
        ("1e03080142", Malformed::Unexpected(8)),
        ("1e050703000142", Malformed::BadType),
        ("0703080142", Malformed::Unexpected(7)),
        // Elements of version 0.2, and one that nobody knows: all critical.
        ("0900", Malformed::Unexpected(9)),
        ("0b00", Malformed::Unexpected(11)),
        ("1300", Malformed::Unexpected(19)),
        ("1f00", Malformed::Unexpected(31)),
        ("7f00", Malformed::Unexpected(127)),
        ("fd03bd00", Malformed::Unexpected(957)),
        ("0000", Malformed::BadType),
        ("12", Malformed::Truncated),
        ("0cfd000101", Malformed::NotShortest),
    ];
    for (fields, why) in table {
        assert_eq!(refused(&interest(fields)), why, "{fields}");
    }
}

#[test]
fn interests_with_odd_but_allowed_elements_are_read() {
    let table = [
        "",
        NONCE,
        "7e00 0a0401020304",
        "7c00",
        "0a0401020304 fd012a00",
        // HopLimit and what follows are not critical: out of place they mean nothing.
        "220101 220101",
        "2e00",
        "2c00",
        "1e050703080142",
        "1e0a0703080142 0703080143",
        "1e0a1f081e0101 0703080142",
        "0c080000000000000fa0",
    ];
    for fields in table {
        let wire = interest(fields);
        assert!(
            matches!(accepted(&wire).content, Content::Interest(_)),
            "{fields}"
        );
    }
    let wire = interest("1e0f1f081e0101 0703080142 0703080143");
    let Content::Interest(read) = accepted(&wire).content else {
        panic!("no Interest");
    };
    let hint: Vec<_> = read.forwarding_hint.iter().map(|name| name.to_string()).collect();
    assert_eq!(hint, ["/B", "/C"]);
}

#[test]
fn names_that_cannot_be_asked_for_are_refused() {
    let digest = "00".repeat(32);
    let table = [
        (String::from("0700"), Malformed::BadName),
        (String::new(), Malformed::Missing(7)),
        (NONCE.into(), Malformed::Missing(7)),
        ("7c00 0703080141".into(), Malformed::Missing(7)),
        ("0703000141".into(), Malformed::BadType),
        ("0706 fe0001000000".into(), Malformed::BadName),
        ("0703010141".into(), Malformed::BadName),
        (format!("0721 011f {}", "00".repeat(31)), Malformed::BadName),
        ("07020801".into(), Malformed::Truncated),
        ("0703080241".into(), Malformed::Truncated),
        (format!("0722 0220 {digest}"), Malformed::BadDigest),
        (format!("0744 0220 {digest} 0220 {digest}"), Malformed::BadDigest),
    ];
    for (value, why) in table {
        assert_eq!(refused(&wrapped(5, &value)), why, "{value}");
    }
}

#[test]
fn a_parameters_digest_must_be_right_alone_and_there() {
    let name = named("/A");
    let good = Interest::new(name.as_name())
        .with_parameters(b"hello", None)
        .expect("room");
    let Content::Interest(read) = accepted(&good).content else {
        panic!("no Interest");
    };
    assert_eq!(read.parameters.map(|carried| carried.value), Some(&b"hello"[..]));

    let mut damaged = good.clone();
    *damaged.last_mut().expect("bytes") ^= 1;
    assert_eq!(refused(&damaged), Malformed::BadDigest);
    assert_eq!(
        refused(&interest("240568656c6c6f")),
        Malformed::BadDigest,
        "missing"
    );

    // A second digest, even the same one, leaves open which of them counts.
    let mut twice = read.name.to_buf();
    let digest = read.name.last().expect("the digest");
    twice.push(digest).expect("a possible component");
    let twice = Interest {
        name: twice.as_name(),
        ..read
    };
    let twice = tlv::written(|writer| twice.emit(writer)).expect("room");
    assert_eq!(refused(&twice), Malformed::BadDigest);

    // What follows the parameters is part of the digest.
    let inner = &good[2..];
    let longer = tlv::written(|writer| writer.element(5, &[inner, &hex("7c00")].concat())).expect("room");
    assert_eq!(refused(&longer), Malformed::BadDigest);
}

#[test]
fn signed_interests_need_both_halves_of_the_signature() {
    let carried = |fields: &str| {
        let tail = hex(&format!("2400{fields}"));
        let name = named("/A").with_parameters_digest(&sha256(&[&tail]));
        tlv::written(|writer| {
            writer.nested(5, |writer| {
                name.as_name().emit(writer);
                writer.bytes(&tail);
            });
        })
        .expect("room")
    };
    accepted(&carried("2c031b0100 2e00"));
    let table = [
        ("2c031b0100", Malformed::Missing(46)),
        ("2e00", Malformed::Missing(44)),
        ("2c00 2e00", Malformed::Missing(27)),
        ("2c021b00 2e00", Malformed::BadValue(27)),
        ("2c051b01002600 2e00", Malformed::BadValue(38)),
        ("2c051c00 1b0100 2e00", Malformed::Missing(27)),
        ("2c051b01001c00 2e00", Malformed::BadValue(28)),
        ("2c071b01001c020900 2e00", Malformed::Unexpected(9)),
    ];
    for (fields, why) in table {
        assert_eq!(refused(&carried(fields)), why, "{fields}");
    }
}

#[test]
fn data_must_be_signed_and_in_order() {
    let table = [
        ("", Malformed::Missing(23)),
        ("1400 1500", Malformed::Missing(23)),
        ("16031b0100", Malformed::Missing(23)),
        ("1700", Malformed::Missing(22)),
        ("1700 16031b0100", Malformed::Unexpected(22)),
        ("1500 1400 16031b0100 1700", Malformed::Unexpected(20)),
        ("1500 1500 16031b0100 1700", Malformed::Unexpected(21)),
        ("1402 1800 16031b0100 1700", Malformed::BadValue(24)),
        ("1402 1900 16031b0100 1700", Malformed::BadValue(25)),
        ("1406 190101 180100 16031b0100 1700", Malformed::Unexpected(24)),
        ("1402 1a00 16031b0100 1700", Malformed::BadValue(26)),
        ("1408 1a06 080141 080142 16031b0100 1700", Malformed::BadValue(26)),
        ("1402 1b00 16031b0100 1700", Malformed::Unexpected(27)),
        ("1600 1700", Malformed::Missing(27)),
        ("16031b0100 1700 7f00", Malformed::Unexpected(127)),
    ];
    for (fields, why) in table {
        assert_eq!(refused(&data(fields)), why, "{fields}");
    }
    for fine in [
        "16031b0100 1700",
        "7c00 16031b0100 7c00 1700 7c00",
        "1402 8000 16031b0100 1700",
        "16051b01007c00 1700",
    ] {
        let wire = data(fine);
        assert!(matches!(accepted(&wire).content, Content::Data(_)), "{fine}");
    }
}

#[test]
fn link_headers_keep_their_order_and_shape() {
    let packet = interest("");
    let fragment: String = [&[0x50, packet.len() as u8][..], &packet]
        .concat()
        .iter()
        .map(|octet| format!("{octet:02x}"))
        .collect();
    let table = [
        ("5107 00000000000000", Malformed::BadValue(81)),
        ("5109 000000000000000000", Malformed::BadValue(81)),
        ("6200", Malformed::BadValue(98)),
        ("520101", Malformed::BadValue(82)),
        ("530100", Malformed::BadValue(82)),
        ("530102", Malformed::Missing(81)),
        ("520102 530102", Malformed::BadValue(82)),
        ("5300", Malformed::BadValue(83)),
        ("6201aa 6201aa", Malformed::Unexpected(98)),
        ("6201aa 530101", Malformed::Unexpected(83)),
        ("fd032000 6201aa", Malformed::Unexpected(98)),
        ("fd032004 fd032100", Malformed::BadValue(801)),
        ("fd032002 0800", Malformed::Unexpected(8)),
        ("fd03bd00", Malformed::Unexpected(957)),
        ("fd03be00", Malformed::Unexpected(958)),
        ("fd03c000", Malformed::Unexpected(960)),
        ("fd031c00", Malformed::Unexpected(796)),
        ("7e00", Malformed::Unexpected(126)),
        ("0800", Malformed::Unexpected(8)),
    ];
    for (fields, why) in table {
        assert_eq!(refused(&lp(&format!("{fields}{fragment}"))), why, "{fields}");
    }
    let token = "aa".repeat(33);
    assert_eq!(
        refused(&lp(&format!("6221{token}{fragment}"))),
        Malformed::BadValue(98)
    );
    assert_eq!(
        refused(&lp(&format!("{fragment}6201aa"))),
        Malformed::Unexpected(98)
    );
    assert_eq!(
        refused(&lp(&format!("{fragment}{fragment}"))),
        Malformed::Unexpected(80)
    );
    let table = [
        "",
        "5108 00000000000003e8",
        "520100 530101",
        "6201aa",
        "fd032c0101",
        "fd0330 0101",
        "fd0334 05 fd03350101",
        "fd03400101",
        "fd0344 08 0000000000000001 fd0344 08 0000000000000002",
        "fd0348 08 0000000000000001",
        "fd034c00",
        "fd03bc00",
    ];
    for fields in table {
        let wire = lp(&format!("{fields}{fragment}"));
        assert!(
            matches!(accepted(&wire).content, Content::Interest(_)),
            "{fields}"
        );
    }
    let marked = lp(&format!("fd03400107{fragment}"));
    assert_eq!(accepted(&marked).congestion_mark, 7);
}

#[test]
fn fragments_hold_one_packet_and_nothing_else() {
    let table = [
        ("5000", Malformed::Truncated),
        ("5002 0800", Malformed::Unexpected(8)),
        ("5002 6400", Malformed::Unexpected(100)),
        ("5008 0505 0703080141 00", Malformed::Trailing),
        ("5002 0500", Malformed::Missing(7)),
    ];
    for (fields, why) in table {
        assert_eq!(refused(&lp(fields)), why, "{fields}");
    }
    let nacked_data = lp("fd032000 500e 060c 0703080141 16031b0100 1700");
    assert_eq!(
        refused(&nacked_data),
        Malformed::Unexpected(800),
        "only Interests come back"
    );
    assert_eq!(accepted(&lp("")).content, Content::Idle);
    assert_eq!(accepted(&lp("fd0344080000000000000001")).content, Content::Idle);
}

#[test]
fn only_packets_stand_where_packets_should() {
    for (wire, why) in [
        ("", Malformed::Truncated),
        ("0800", Malformed::Unexpected(8)),
        ("2100", Malformed::Unexpected(33)),
        ("05fd0005 0703080141", Malformed::NotShortest),
        ("fd000505 0703080141", Malformed::NotShortest),
    ] {
        assert_eq!(refused(&hex(wire)), why, "{wire}");
    }
    let huge = tlv::written(|writer| writer.element(5, &[0; 8_790])).expect("room");
    assert_eq!(refused(&[&huge[..], &[0; 20]].concat()), Malformed::TooLong);
}

#[test]
fn a_nack_without_a_known_reason_is_a_nack() {
    for nack in ["fd032000", "fd0320 05 fd03210107", "fd0320 05 fd03210100"] {
        let wire = lp(&format!("{nack}50070505{A}"));
        let Content::Nack(reason, _) = accepted(&wire).content else {
            panic!("no Nack: {nack}");
        };
        assert_eq!((reason, reason.name()), (NackReason::None, "None"));
    }
}
