//! Signing.

use super::*;
use crate::echo::wire::TAG;

fn hex(text: &str) -> Vec<u8> {
    let octet = |at| u8::from_str_radix(&text[at..at + 2], 16).expect("hex");
    (0..text.len()).step_by(2).map(octet).collect()
}

/// A message with room for the tag behind it, signed.
fn signed(key: &Key, message: &[u8]) -> Vec<u8> {
    let mut bytes = message.to_vec();
    bytes.resize(message.len() + TAG, 0);
    assert!(key.sign(&mut bytes, (message.len() + TAG) as u16));
    bytes
}

#[test]
fn the_published_hmac_vectors() {
    // RFC 4231 sections 4.2, 4.4, 4.6 (which cuts the output to 128 bits as we do) and 4.7.
    let table: [(Vec<u8>, Vec<u8>, &str); 4] = [
        (
            vec![0x0b; 20],
            b"Hi There".to_vec(),
            "b0344c61d8db38535ca8afceaf0bf12b",
        ),
        (vec![0xaa; 20], vec![0xdd; 50], "773ea91e36800e46854db8ebd09181a7"),
        (
            vec![0x0c; 20],
            b"Test With Truncation".to_vec(),
            "a3b6167473100ee06e0c796c2955552b",
        ),
        (
            vec![0xaa; 131],
            b"Test Using Larger Than Block-Size Key - Hash Key First".to_vec(),
            "60e431591ee0b67f0d8a26aacbf5b77f",
        ),
    ];
    for (secret, message, tag) in table {
        let key = Key::new(&secret).expect("long enough");
        let bytes = signed(&key, &message);
        assert_eq!(bytes[message.len()..], hex(tag));
        assert!(key.verify(&bytes, bytes.len() as u16));
    }
}

#[test]
fn every_bit_of_the_datagram_counts_padding_included() {
    let key = key("a secret of some length");
    let mut bytes = vec![0x33; 100];
    assert!(key.sign(&mut bytes, 80));
    assert!(key.verify(&bytes, 80));
    for bit in 0..bytes.len() * 8 {
        let mut altered = bytes.clone();
        altered[bit / 8] ^= 1 << (bit % 8);
        assert!(!key.verify(&altered, 80), "bit {bit}");
    }
    assert!(!key.verify(&bytes[..99], 80), "padding cut");
    assert!(!super::key("another secret of length").verify(&bytes, 80));
}

#[test]
fn the_tag_of_parts_is_that_of_the_whole() {
    let key = key("a secret of some length");
    let whole = signed(&key, b"one message in three parts");
    let tag: &[u8; TAG] = whole.last_chunk().expect("it is signed");
    let parts: [&[u8]; 3] = [b"one message", b"", b" in three parts"];
    assert_eq!(key.tag(&parts), *tag);
    assert!(key.verify_tag(&parts, tag));
    assert!(!key.verify_tag(&parts[..2], tag));
    assert!(!key.verify_tag(&parts, &[0; TAG]));
}

#[test]
fn a_tag_without_room_is_neither_made_nor_believed() {
    let key = key("a secret of some length");
    for (len, length) in [(0, 0), (15, 15), (80, 15), (79, 80), (10, u16::MAX)] {
        let mut bytes = vec![0; len];
        assert!(!key.sign(&mut bytes, length), "{len} {length}");
        assert!(!key.verify(&bytes, length), "{len} {length}");
    }
}

#[test]
fn short_secrets_are_refused_and_line_ends_do_not_matter() {
    let told = Key::new(&[1; 15]).expect_err("15 bytes are too few").to_string();
    assert_eq!(told, "a key needs at least 16 bytes, this one has 15");
    assert!(
        Key::from_file(b"0123456789abcde\r\n").is_err(),
        "white space at the end is no secret"
    );
    let key = Key::from_file(b"0123456789abcdef\r\n").expect("16 bytes");
    let bytes = signed(&Key::new(b"0123456789abcdef").expect("16 bytes"), b"message");
    assert!(key.verify(&bytes, bytes.len() as u16));
}

#[test]
fn nothing_prints_a_key() {
    let options = UdpEchoOptions {
        key: Some(key("correct horse battery")),
        ..UdpEchoOptions::default()
    };
    let text = format!("{options:?}");
    assert!(text.contains("key: Some(Key)"), "{text}");
}
