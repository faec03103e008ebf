use super::super::{Echo, Family, HEADER, Kind, NotEcho, Unfit, is_intact};
use super::{FAMILIES, VECTORS, Vector, echo};
use proptest::prelude::*;

#[test]
fn what_others_wrote_reads_and_is_written_the_same() {
    for Vector {
        family,
        message,
        echo,
        data,
    } in VECTORS
    {
        assert_eq!(Echo::parse(message, family), Ok((echo, data)));
        assert!(is_intact(message, family));
        let mut written = [&[0xa5; HEADER][..], data].concat();
        echo.emit(family, &mut written).expect("room");
        let mut expected = message.to_vec();
        if family == Family::V6 {
            expected[2..4].fill(0);
        }
        assert_eq!(written, expected);
    }
}

#[test]
fn a_message_that_ends_in_its_header_is_short() {
    for Vector { family, message, .. } in VECTORS {
        for len in 0..HEADER {
            let cut = &message[..len];
            assert_eq!(Echo::parse(cut, family), Err(NotEcho::Short), "{len}");
        }
    }
}

#[test]
fn no_other_type_and_no_code_is_an_echo() {
    for family in FAMILIES {
        for number in 0..=u8::MAX {
            let message = [number, 0, 0, 0, 1, 2, 3, 4];
            let known = match (family, number) {
                (Family::V4, 8) | (Family::V6, 128) => Ok(Kind::Request),
                (Family::V4, 0) | (Family::V6, 129) => Ok(Kind::Reply),
                _ => Err(NotEcho::Type(number)),
            };
            let read = Echo::parse(&message, family).map(|(echo, _)| echo.kind);
            assert_eq!(read, known, "{family:?} {number}");
        }
        let (request, other) = if family == Family::V4 { (8, 1) } else { (128, 255) };
        let message = [request, other, 0, 0, 1, 2, 3, 4];
        assert_eq!(Echo::parse(&message, family), Err(NotEcho::Code(other)));
    }
}

#[test]
fn one_bit_makes_an_icmp_checksum_wrong() {
    let Vector { family, message, .. } = VECTORS[0];
    for bit in 0..message.len() * 8 {
        let mut bent = message.to_vec();
        bent[bit / 8] ^= 1 << (bit % 8);
        assert!(!is_intact(&bent, family), "bit {bit}");
    }
}

#[test]
fn nothing_is_written_without_room() {
    let echo = echo(Kind::Request, 1, 2);
    for len in 0..HEADER {
        let mut short = [0xa5; HEADER];
        assert_eq!(echo.emit(Family::V4, &mut short[..len]), Err(Unfit));
        assert_eq!(short, [0xa5; HEADER]);
    }
}

proptest! {
    #[test]
    fn what_is_written_reads_back_and_is_intact(
        is_request: bool,
        is_v4: bool,
        identifier: u16,
        sequence: u16,
        data in proptest::collection::vec(any::<u8>(), 0..80),
    ) {
        let family = if is_v4 { Family::V4 } else { Family::V6 };
        let kind = if is_request { Kind::Request } else { Kind::Reply };
        let echo = echo(kind, identifier, sequence);
        let mut message = [&[0; HEADER][..], &data].concat();
        echo.emit(family, &mut message).expect("room");
        prop_assert!(is_intact(&message, family));
        prop_assert_eq!(Echo::parse(&message, family), Ok((echo, &data[..])));
    }

    #[test]
    fn any_bytes_are_read(message in proptest::collection::vec(any::<u8>(), 0..80), is_v4: bool) {
        let family = if is_v4 { Family::V4 } else { Family::V6 };
        if let Ok((_, data)) = Echo::parse(&message, family) {
            prop_assert_eq!(data, &message[HEADER..]);
        }
        let _ = is_intact(&message, family);
    }
}
