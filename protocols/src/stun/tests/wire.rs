//! Bytes and values, both ways.

use super::*;
use crate::stun::is_stun;
use crate::stun::wire::{Change, NotStun, Unfit, attribute, quoted_request};
use proptest::prelude::*;

#[test]
fn class_and_method_are_told_from_their_scattered_bits() {
    let table = [
        (0x0001, Class::Request, 1),
        (0x0011, Class::Indication, 1),
        (0x0101, Class::Success, 1),
        (0x0111, Class::Error, 1),
        (0x0002, Class::Request, 2),
        (0x0003, Class::Request, 3),
        (0x0113, Class::Error, 3),
        (0x3eef, Class::Request, 0xfff),
        (0x3fff, Class::Error, 0xfff),
    ];
    for (kind, class, method) in table {
        let mut bytes = request(MODERN, &[]);
        bytes[..2].copy_from_slice(&u16::to_be_bytes(kind));
        let read = Message::parse(&bytes).expect("a message");
        assert_eq!((read.class, read.method), (class, method), "{kind:#06x}");
    }
    for class in [Class::Request, Class::Indication, Class::Success, Class::Error] {
        let bytes = message(class, MODERN, &[], false);
        assert_eq!(Message::parse(&bytes).expect("a message").class, class);
    }
}

#[test]
fn what_is_cut_or_longer_than_it_says_is_no_message() {
    let whole = message(
        Class::Request,
        MODERN,
        &[(0x8022, b"halloo"), (0x0026, &[7; 9])],
        true,
    );
    assert!(Message::parse(&whole).is_ok() && is_stun(&whole));
    for len in 0..whole.len() {
        let expected = if len < 20 {
            NotStun::Header
        } else {
            NotStun::Length
        };
        assert_eq!(Message::parse(&whole[..len]), Err(expected), "{len}");
        assert!(!is_stun(&whole[..len]));
    }
    for more in 1..9 {
        let longer = [&whole[..], &vec![0; more]].concat();
        assert_eq!(Message::parse(&longer), Err(NotStun::Length));
        assert!(!is_stun(&longer));
    }
}

#[test]
fn an_attribute_never_reaches_beyond_its_message() {
    let whole = request(MODERN, &[(0x8022, b"four"), (0x8022, b"more")]);
    for told in [0_u16, 1, 4, 5, 12] {
        let mut bytes = whole.clone();
        bytes[22..24].copy_from_slice(&told.to_be_bytes());
        // Where the first ends within the second's value, the rest is read as an attribute or is none.
        let expected = matches!(told, 1 | 4 | 12);
        assert_eq!(Message::parse(&bytes).is_ok(), expected, "{told}");
    }
    for told in [13_u16, 14, 16, 17, 0x7fff, 0xfffc, 0xffff] {
        let mut bytes = whole.clone();
        bytes[22..24].copy_from_slice(&told.to_be_bytes());
        assert_eq!(Message::parse(&bytes), Err(NotStun::Attribute), "{told}");
    }
}

#[test]
fn stun_is_told_from_its_neighbours_on_a_port() {
    let bytes = request(MODERN, &[(0x8022, b"x")]);
    assert!(is_stun(&bytes));
    assert!(!is_stun(&request(CLASSIC, &[])), "without the cookie");
    assert!(!is_stun(b""));
    let table = [
        (0, 0x80),
        (0, 0x40),
        (3, 0x01),
        (3, 0x02),
        (3, 0x04),
        (2, 0x01),
        (4, 0x01),
        (7, 0x80),
    ];
    for (at, bits) in table {
        let mut other = bytes.clone();
        other[at] ^= bits;
        assert!(!is_stun(&other), "byte {at}, bits {bits:#x}");
    }
    for more in [1, 2, 3, 5] {
        let mut odd = request(MODERN, &[]);
        odd[3] = more;
        odd.resize(20 + usize::from(more), 0);
        assert!(!is_stun(&odd), "{more} bytes are no whole words");
    }
    let mut probe = vec![0; 64];
    crate::echo::wire::Probe::request(1, 2, false, false)
        .emit(&mut probe)
        .expect("room");
    assert!(!is_stun(&probe), "the structured probe");
}

#[test]
fn a_fingerprint_is_right_and_last() {
    let whole = message(Class::Request, MODERN, &[], true);
    for bit in 0..whole.len() * 8 {
        let mut altered = whole.clone();
        altered[bit / 8] ^= 1 << (bit % 8);
        if let Ok(message) = Message::parse(&altered) {
            let in_its_type = (20..22).contains(&(bit / 8));
            assert!(in_its_type && !message.is_fingerprinted, "bit {bit}");
        }
    }
    let mut followed = whole.clone();
    followed.extend_from_slice(&[0x80, 0x22, 0, 0]);
    let length = u16::try_from(followed.len() - 20).expect("short");
    followed[2..4].copy_from_slice(&length.to_be_bytes());
    assert_eq!(Message::parse(&followed), Err(NotStun::Attribute));
    let long = request(MODERN, &[(attribute::FINGERPRINT, &[0; 5])]);
    assert_eq!(Message::parse(&long), Err(NotStun::Attribute));
    let wrong = request(MODERN, &[(attribute::FINGERPRINT, &[0; 4])]);
    assert_eq!(Message::parse(&wrong), Err(NotStun::Fingerprint));
}

#[test]
fn what_follows_a_signature_does_not_count() {
    let signatures = [(0x0008, [1; 20].to_vec()), (0x001c, [2; 32].to_vec())];
    let [(sha1, one), (sha256, two)] = &signatures;
    let table: [(Written<'_>, &[u16]); 5] = [
        (
            &[(0x0006, b"me"), (*sha1, one), (0x0003, b"four")],
            &[0x0006, 0x0008],
        ),
        (
            &[(*sha1, one), (0x7000, b""), (*sha256, two), (0x7001, b"")],
            &[0x0008, 0x001c],
        ),
        (&[(*sha256, two), (*sha1, one), (0x7000, b"")], &[0x001c]),
        (&[(*sha1, one), (*sha1, one)], &[0x0008]),
        (&[(0x7000, b""), (*sha1, one)], &[0x7000, 0x0008]),
    ];
    for (written, counted) in table {
        for fingerprint in [false, true] {
            let bytes = message(Class::Request, MODERN, written, fingerprint);
            let kinds: Vec<u16> = attributes(&bytes).iter().map(|(kind, _)| *kind).collect();
            let last: &[u16] = if fingerprint { &[0x8028] } else { &[] };
            assert_eq!(kinds, [counted, last].concat());
        }
    }
}

#[test]
fn of_attributes_of_one_type_the_first_counts() {
    let bytes = request(MODERN, &[(0x8022, b"first"), (0x8022, b"second")]);
    let read = Message::parse(&bytes).expect("a message");
    assert_eq!(read.attribute(0x8022), Some(&b"first"[..]));
}

#[test]
fn addresses_of_a_wrong_shape_are_none() {
    let v4 = [0, 1, 0x9c, 0x40, 192, 0, 2, 1];
    let v6 = [[0, 2, 0x9c, 0x40].to_vec(), vec![1; 16]].concat();
    let table: [(&[u8], bool); 9] = [
        (&v4, true),
        (&v6, true),
        (b"", false),
        (&v4[..4], false),
        (&v4[..7], false),
        (&[&v4[..], &[0]].concat(), false),
        (&[&[0, 2], &v4[2..]].concat(), false),
        (&[&[0, 1], &v6[2..]].concat(), false),
        (&[&[0, 3], &v4[2..]].concat(), false),
    ];
    for (value, is_address) in table {
        for kind in [attribute::MAPPED_ADDRESS, attribute::XOR_MAPPED_ADDRESS] {
            let bytes = request(MODERN, &[(kind, value)]);
            let read = Message::parse(&bytes).expect("a message");
            assert_eq!(read.address(kind).is_some(), is_address, "{value:?}");
        }
    }
    let bytes = request(MODERN, &[(attribute::MAPPED_ADDRESS, &v4)]);
    let read = Message::parse(&bytes).expect("a message");
    assert_eq!(
        read.address(attribute::MAPPED_ADDRESS),
        Some(addr("192.0.2.1:40000")),
        "in clear"
    );
}

#[test]
fn an_ipv4_address_in_its_ipv6_form_is_written_as_ipv4() {
    let mut bytes = vec![0; 64];
    let mut writer = Writer::new(&mut bytes, Class::Success, MODERN, false).expect("room");
    writer
        .address(attribute::XOR_MAPPED_ADDRESS, addr("[::ffff:192.0.2.33]:40000"))
        .expect("room");
    assert_eq!(writer.finish(), 32);
    let read = Message::parse(&bytes[..32]).expect("a message");
    assert_eq!(read.address(attribute::XOR_MAPPED_ADDRESS), Some(addr(HOME)));
}

#[test]
fn error_codes_are_of_their_range() {
    let table: [(&[u8], Option<u32>); 9] = [
        (&[0, 0, 4, 20], Some(420)),
        (&[0xff, 0xff, 0xf8 | 4, 20, b'x'], Some(420)),
        (&[0, 0, 3, 0], Some(300)),
        (&[0, 0, 6, 99], Some(699)),
        (&[0, 0, 2, 0], None),
        (&[0, 0, 7, 0], None),
        (&[0, 0, 4, 100], None),
        (&[0, 0, 4], None),
        (&[], None),
    ];
    for (value, code) in table {
        let bytes = message(Class::Error, MODERN, &[(attribute::ERROR_CODE, value)], false);
        assert_eq!(Message::parse(&bytes).expect("a message").error_code(), code);
    }
}

#[test]
fn change_requests_have_two_flags() {
    let change = |ip, port| Some(Change { ip, port });
    let table: [(&[u8], Option<Change>); 7] = [
        (&[0, 0, 0, 0], change(false, false)),
        (&[0, 0, 0, 2], change(false, true)),
        (&[0, 0, 0, 4], change(true, false)),
        (&[0, 0, 0, 6], change(true, true)),
        (&[0xff, 0xff, 0xff, 0xf9], change(false, false)),
        (&[0, 0, 0], None),
        (&[0, 0, 0, 0, 0], None),
    ];
    for (value, expected) in table {
        assert_eq!(Change::parse(value), expected, "{value:?}");
    }
}

#[test]
fn a_wish_for_another_source_is_written_as_it_is_read() {
    for (ip, port, value) in [
        (false, false, 0),
        (false, true, 2),
        (true, false, 4),
        (true, true, 6),
    ] {
        let change = Change { ip, port };
        assert_eq!(change.value(), [0, 0, 0, value]);
        assert_eq!(Change::parse(&change.value()), Some(change));
        let mut bytes = [0xee; 28];
        let mut writer = Writer::new(&mut bytes, Class::Request, MODERN, false).expect("room");
        writer.change(change).expect("room");
        assert_eq!(writer.change(change), Err(Unfit));
        assert_eq!(writer.finish(), 28);
        let read = Message::parse(&bytes).expect("a message");
        assert_eq!(
            read.attribute(attribute::CHANGE_REQUEST),
            Some(&change.value()[..])
        );
    }
}

#[test]
fn nothing_is_written_without_room() {
    for (room, fingerprint, fits) in [
        (19, false, false),
        (20, false, true),
        (27, true, false),
        (28, true, true),
    ] {
        let mut bytes = vec![0xee; room];
        let writer = Writer::new(&mut bytes, Class::Request, MODERN, fingerprint);
        assert_eq!(writer.is_ok(), fits);
        if !fits {
            assert!(bytes.iter().all(|&byte| byte == 0xee));
        }
    }
    let mut bytes = vec![0xee; 40];
    let mut writer = Writer::new(&mut bytes, Class::Request, MODERN, true).expect("room");
    assert!(writer.attribute(0x8022, 9, |_| ()).is_err());
    assert!(writer.attribute(0x8022, 0x1_0000, |_| ()).is_err());
    assert!(writer.attribute(0x8022, 8, |_| ()).is_ok());
    assert!(writer.attribute(0x8022, 0, |_| ()).is_err());
    assert_eq!(writer.finish(), 40);
    assert!(Message::parse(&bytes).is_ok());
}

#[test]
fn the_longest_message_is_as_long_as_its_length_field_can_tell() {
    let mut bytes = vec![0; 70_000];
    let mut writer = Writer::new(&mut bytes, Class::Request, MODERN, true).expect("room");
    let rest = STUN.size.most - 28 - 4;
    assert!(writer.attribute(0x8022, rest + 1, |_| ()).is_err());
    assert!(writer.attribute(0x8022, rest, |_| ()).is_ok());
    assert_eq!(writer.finish(), STUN.size.most);
    assert!(Message::parse(&bytes[..STUN.size.most]).is_ok());
}

#[test]
fn a_quoted_request_is_known_by_its_header() {
    let whole = request(MODERN, &[(0x8022, b"halloo")]);
    for len in 0..whole.len() {
        let expected = (len >= 20).then_some(MODERN);
        assert_eq!(quoted_request(&whole[..len]), expected, "{len}");
    }
    assert_eq!(quoted_request(&message(Class::Success, MODERN, &[], false)), None);
}

fn any_attributes() -> impl Strategy<Value = Vec<(u16, Vec<u8>)>> {
    let kind = (0_u16..).prop_filter("written by other means", |kind| {
        ![0x8028, 0x0008, 0x001c].contains(kind)
    });
    prop::collection::vec((kind, prop::collection::vec(any::<u8>(), 0..40)), 0..8)
}

proptest! {
    #[test]
    fn what_is_written_is_read(written in any_attributes(), id: [u8; 16], fingerprint: bool) {
        let list: Vec<(u16, &[u8])> = written.iter().map(|(kind, value)| (*kind, &value[..])).collect();
        let bytes = message(Class::Indication, Transaction(id), &list, fingerprint);
        let read = Message::parse(&bytes).expect("a message");
        prop_assert_eq!((read.class, read.transaction), (Class::Indication, Transaction(id)));
        prop_assert_eq!(read.is_fingerprinted, fingerprint);
        let mut found = attributes(&bytes);
        if fingerprint {
            prop_assert_eq!(found.pop().map(|(kind, _)| kind), Some(0x8028));
        }
        prop_assert_eq!(found, written);
        prop_assert_eq!(is_stun(&bytes), id.starts_with(&[0x21, 0x12, 0xa4, 0x42]));
    }

    #[test]
    fn addresses_are_told_as_they_were_given(v4: [u8; 4], v6: [u8; 16], port: u16, id: [u8; 16]) {
        for ip in [std::net::IpAddr::from(v4), std::net::IpAddr::from(v6).to_canonical()] {
            let given = SocketAddr::new(ip, port);
            for kind in [attribute::MAPPED_ADDRESS, attribute::XOR_MAPPED_ADDRESS] {
                let mut bytes = vec![0; 64];
                let mut writer =
                    Writer::new(&mut bytes, Class::Success, Transaction(id), false).expect("room");
                writer.address(kind, given).expect("room");
                let len = writer.finish();
                let read = Message::parse(&bytes[..len]).expect("a message");
                prop_assert_eq!(read.address(kind), Some(given));
            }
        }
    }

    #[test]
    fn no_bytes_are_too_strange_to_be_looked_at(bytes in prop::collection::vec(any::<u8>(), 0..120)) {
        let mut bytes = bytes;
        let _read = (Message::parse(&bytes), is_stun(&bytes), quoted_request(&bytes));
        if let Some(length) = bytes.len().checked_sub(20).and_then(|length| u16::try_from(length).ok()) {
            bytes[0] &= 0x3f;
            bytes[2..4].copy_from_slice(&length.to_be_bytes());
            if let Ok(read) = Message::parse(&bytes) {
                let _told = (read.error_code(), read.address(0x0001), read.address(0x0020));
            }
        }
    }
}
