//! The samples of RFC 5769 sections 2.1 to 2.3, bytes of others.

use super::*;
use crate::stun::is_stun;
use crate::stun::wire::attribute;

const ID: Transaction = Transaction([
    0x21, 0x12, 0xa4, 0x42, 0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34, 0xd6, 0x86, 0xfa, 0x87, 0xdf, 0xae,
]);

/// Section 2.1: a request with SOFTWARE, PRIORITY, ICE-CONTROLLED, USERNAME, MESSAGE-INTEGRITY and FINGERPRINT.
const REQUEST: &str = "
    00010058 2112a442 b7e7a701 bc34d686 fa87dfae
    80220010 5354554e 20746573 7420636c 69656e74
    00240004 6e0001ff
    80290008 932ff9b1 51263b36
    00060009 6576746a 3a683676 59202020
    00080014 9aeaa70c bfd8cb56 781ef2b5 b2d3f249 c1b571a2
    80280004 e57a3bcf";

/// Section 2.2: its answer over IPv4, 192.0.2.1 port 32853.
const ANSWER_V4: &str = "
    0101003c 2112a442 b7e7a701 bc34d686 fa87dfae
    8022000b 74657374 20766563 746f7220
    00200008 0001a147 e112a643
    00080014 2b91f599 fd9e90c3 8c7489f9 2af9ba53 f06be7d7
    80280004 c07d4c96";

/// Section 2.3: its answer over IPv6, 2001:db8:1234:5678:11:2233:4455:6677 port 32853.
const ANSWER_V6: &str = "
    01010048 2112a442 b7e7a701 bc34d686 fa87dfae
    8022000b 74657374 20766563 746f7220
    00200014 0002a147 0113a9fa a5d3f179 bc25f4b5 bed2b9d9
    00080014 a382954e 4be67bf1 1784c97c 8292c275 bfe3ed41
    80280004 c8fb0b4c";

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits
        .chunks(2)
        .map(|pair| {
            let pair = std::str::from_utf8(pair).expect("ASCII");
            u8::from_str_radix(pair, 16).expect("hex")
        })
        .collect()
}

#[test]
fn the_sample_request_is_read() {
    let bytes = bytes(REQUEST);
    let message = Message::parse(&bytes).expect("a message");
    assert!(is_stun(&bytes));
    assert_eq!(
        (message.class, message.method, message.transaction),
        (Class::Request, 1, ID)
    );
    assert!(message.is_fingerprinted);
    assert_eq!(
        message.attribute(attribute::USERNAME),
        Some(&b"evtj:h6vY"[..]),
        "padded with blanks, which are not in it"
    );
    let kinds: Vec<u16> = message.attributes().map(|(kind, _)| kind).collect();
    assert_eq!(kinds, [0x8022, 0x0024, 0x8029, 0x0006, 0x0008, 0x8028]);
}

#[test]
fn the_sample_answers_tell_their_addresses() {
    let table = [
        (ANSWER_V4, "192.0.2.1:32853"),
        (ANSWER_V6, "[2001:db8:1234:5678:11:2233:4455:6677]:32853"),
    ];
    for (hex, told) in table {
        let bytes = bytes(hex);
        let message = Message::parse(&bytes).expect("a message");
        assert_eq!((message.class, message.transaction), (Class::Success, ID));
        assert!(message.is_fingerprinted);
        assert_eq!(message.address(attribute::XOR_MAPPED_ADDRESS), Some(addr(told)));
        assert_eq!(message.address(attribute::MAPPED_ADDRESS), None);
    }
}

#[test]
fn the_sample_answers_are_written_as_they_are() {
    let table = [
        (ANSWER_V4, "192.0.2.1:32853"),
        (ANSWER_V6, "[2001:db8:1234:5678:11:2233:4455:6677]:32853"),
    ];
    for (hex, told) in table {
        let sample = bytes(hex);
        let read = Message::parse(&sample).expect("a message");
        let integrity = read.attribute(attribute::MESSAGE_INTEGRITY).expect("signed");
        let mut written = vec![0xee; 200];
        let mut writer = Writer::new(&mut written, Class::Success, ID, true).expect("room");
        writer
            .attribute(0x8022, 11, |to| to.copy_from_slice(b"test vector"))
            .expect("room");
        writer
            .address(attribute::XOR_MAPPED_ADDRESS, addr(told))
            .expect("room");
        let sign = |to: &mut [u8]| to.copy_from_slice(integrity);
        writer
            .attribute(attribute::MESSAGE_INTEGRITY, 20, sign)
            .expect("room");
        let len = writer.finish();
        let crc = len - 4;
        // The sample pads with a blank where this pads with 0, so that the CRC is another, too.
        let mut expected = sample[..crc].to_vec();
        expected[35] = 0;
        assert_eq!((len, &written[..crc]), (sample.len(), &expected[..]));
        assert!(Message::parse(&written[..len]).is_ok());
    }
}

#[test]
fn a_plain_server_refuses_the_sample_request_for_its_ice_priority() {
    let answer = hear("192.0.2.1:32853", &bytes(REQUEST)).expect("an answer");
    let told = Message::parse(&answer).expect("a message");
    assert_eq!(
        (told.class, told.transaction, told.error_code()),
        (Class::Error, ID, Some(420))
    );
    assert!(told.is_fingerprinted);
    assert_eq!(
        told.attribute(attribute::UNKNOWN_ATTRIBUTES),
        Some(&[0x00, 0x24][..])
    );
}
