//! Packets that other programs sent: read, and written again.

use super::*;
use std::time::Duration;

fn interest_of(wire: &[u8]) -> Interest<'_> {
    match Packet::parse(wire).expect("a packet").content {
        Content::Interest(interest) => interest,
        other => panic!("no Interest: {other:?}"),
    }
}

fn data_of(wire: &[u8]) -> Data<'_> {
    match Packet::parse(wire).expect("a packet").content {
        Content::Data(data) => data,
        other => panic!("no Data: {other:?}"),
    }
}

#[test]
fn every_captured_packet_is_read_and_written_again_byte_for_byte() {
    assert_eq!(vectors().len(), 33);
    for (name, wire) in vectors() {
        let packet = Packet::parse(&wire).unwrap_or_else(|why| panic!("{name}: {why}"));
        assert_eq!(again(&packet), wire, "{name}");
        assert_eq!(tlv::measure(&wire), Ok(Some(wire.len())), "{name}");
    }
}

#[test]
fn every_captured_packet_cut_at_any_length_is_refused() {
    for (name, wire) in vectors() {
        for len in 0..wire.len() {
            assert_eq!(
                Packet::parse(&wire[..len]),
                Err(Malformed::Truncated),
                "{name} cut to {len}"
            );
            let measured = tlv::measure(&wire[..len]).expect("its length is possible");
            assert!(measured.is_none_or(|whole| whole == wire.len()), "{name} {len}");
        }
        let longer = [&wire[..], &[0]].concat();
        assert_eq!(Packet::parse(&longer), Err(Malformed::Trailing), "{name}");
    }
}

#[test]
fn probes_say_what_ndnping_was_asked_for() {
    let wire = vector("V1");
    let expected = named("/edu/arizona/ping/18446744073709551614");
    let probe = Interest {
        must_be_fresh: true,
        nonce: Some([0xaf, 0xc5, 0x1b, 0xd2]),
        ..Interest::new(expected.as_name())
    };
    assert_eq!(interest_of(&wire), probe);

    let wire = vector("V3");
    let read = interest_of(&wire);
    assert_eq!(
        read.name.to_string(),
        "/edu/arizona/ping/probe1/14862714553135198824"
    );
    assert_eq!(read.lifetime, Some(Duration::from_millis(1_500)));
    assert!(!read.must_be_fresh && !read.can_be_prefix);
}

#[test]
fn answers_made_anew_from_their_parts_are_the_captured_bytes() {
    let wire = vector("V2");
    let read = data_of(&wire);
    let meta = MetaInfo {
        freshness: Some(Duration::from_secs(1)),
        ..MetaInfo::default()
    };
    let name = named("/edu/arizona/ping/18446744073709551614");
    let made = Unsigned {
        name: name.as_name(),
        meta: Some(meta),
        content: Some(b""),
    };
    assert_eq!(made.sign(&Signer::digest()), Ok(wire.clone()));
    assert_eq!((read.meta, read.content), (Some(meta), Some(&b""[..])));
    let asked = vector("V1");
    assert!(interest_of(&asked).matches(&read));
    let other = vector("V3");
    assert!(!interest_of(&other).matches(&read));

    let name = named("/sz/ping/1");
    let made = Unsigned {
        name: name.as_name(),
        meta: Some(MetaInfo::default()),
        content: Some(b"aaaaaaaaaa"),
    };
    assert_eq!(made.sign(&Signer::digest()), Ok(vector("V4")));

    let name = named("/example/testApp/ping/42");
    let made = Unsigned {
        name: name.as_name(),
        meta: Some(meta),
        content: None,
    };
    assert_eq!(made.sign(&Signer::digest()), Ok(vector("ndnts-data")));
    let asked = Interest {
        must_be_fresh: true,
        nonce: Some([1, 2, 3, 4]),
        ..Interest::new(name.as_name())
    };
    let written = tlv::written(|writer| asked.emit(writer));
    assert_eq!(written, Ok(vector("ndnts-interest")));
}

#[test]
fn every_digest_in_the_captured_packets_is_right() {
    let mut checked = 0;
    for (name, wire) in vectors() {
        let done = match Packet::parse(&wire).expect("a packet").content {
            Content::Data(data) if data.signature_info.kind == SignatureType::DigestSha256 => {
                data.verify(&Verifier::digest())
            }
            Content::Interest(interest) if interest.parameters.is_some() && name != "V12" => {
                interest.verify(&Verifier::digest())
            }
            _ => continue,
        };
        assert_eq!(done, Ok(()), "{name}");
        checked += 1;
    }
    assert_eq!(checked, 14);
}

#[test]
fn nacks_say_why_and_which_interest_came_back() {
    let table = [
        ("V6", NackReason::NoRoute, "/no/such/prefix/ping/7"),
        ("V7", NackReason::Duplicate, "/t/ping/100"),
        ("V21", NackReason::NoRoute, "/nope/ping/102"),
    ];
    for (name, reason, asked) in table {
        let wire = vector(name);
        let packet = Packet::parse(&wire).expect("a packet");
        assert_eq!(packet.pit_token, None, "{name}");
        let Content::Nack(why, interest) = packet.content else {
            panic!("{name}: {packet:?}");
        };
        assert_eq!((why, interest.name.to_string().as_str()), (reason, asked));
    }
    let asked = vector("V5");
    let back = vector("V6");
    let Content::Nack(_, returned) = Packet::parse(&back).expect("a packet").content else {
        panic!("no Nack");
    };
    assert_eq!(returned, interest_of(&asked), "nonce and all");
}

#[test]
fn tokens_go_around_the_packet() {
    for (name, token) in [("V19", "aabbccdd"), ("V20", "aabbccdd"), ("V22", "025cffffffff")] {
        let wire = vector(name);
        let packet = Packet::parse(&wire).expect("a packet");
        assert_eq!(packet.pit_token, Some(&hex(token)[..]), "{name}");
    }
}

#[test]
fn typed_components_and_the_last_of_a_series_are_read() {
    let wire = vector("V17");
    let data = data_of(&wire);
    assert_eq!(
        data.name.to_string(),
        "/localhost/nfd/status/general/v=1795187875797/seg=0"
    );
    let last = data.meta.and_then(|meta| meta.final_block);
    assert_eq!(last, data.name.last());
    assert_eq!(last.and_then(|last| last.number()), Some(0));
}

#[test]
fn a_certificate_verifies_what_its_key_signed() {
    let certificate = vector("V13");
    let verifier = Verifier::from_file(&certificate).expect("a certificate");
    assert_eq!(data_of(&certificate).verify(&verifier), Ok(()));
    let command = vector("V12");
    assert_eq!(interest_of(&command).verify(&verifier), Ok(()));
    let by_digest = vector("V8");
    assert_eq!(
        interest_of(&by_digest).verify(&verifier),
        Err(Unverified::OtherKind)
    );
}

#[test]
fn data_is_an_answer_by_its_name_by_a_prefix_or_by_its_digest() {
    let wire = vector("V2");
    let data = data_of(&wire);
    let name = "/edu/arizona/ping/18446744073709551614";
    let hex_of = |digest: [u8; 32]| digest.map(|octet| format!("{octet:02x}")).concat();
    let digest = hex_of(data.implicit_digest().expect("it was read from bytes"));
    let other = "00".repeat(32);
    let table = [
        (name.to_owned(), false, true),
        (name.to_owned(), true, true),
        ("/edu/arizona/ping".to_owned(), false, false),
        ("/edu/arizona/ping".to_owned(), true, true),
        ("/edu/arizona/ping/7".to_owned(), true, false),
        (format!("{name}/more"), true, false),
        (format!("{name}/sha256digest={digest}"), false, true),
        (format!("{name}/sha256digest={digest}"), true, true),
        (format!("{name}/sha256digest={other}"), false, false),
        (format!("/edu/arizona/ping/sha256digest={digest}"), false, false),
        (format!("{name}/more/sha256digest={digest}"), false, false),
        (format!("{name}/params-sha256={digest}"), false, false),
    ];
    for (uri, can_be_prefix, matches) in table {
        let asked = named(&uri);
        let asked = Interest {
            can_be_prefix,
            ..Interest::new(asked.as_name())
        };
        assert_eq!(asked.matches(&data), matches, "{uri} {can_be_prefix}");
    }
}
