//! What a forwarder tells about itself.

use super::*;
use crate::ndn::status::{
    Dataset, FaceStatus, Fetch, Fetched, FibEntry, GeneralStatus, PacketCounts, RibEntry,
};
use std::time::Duration;

fn content(name: &str) -> Vec<u8> {
    let wire = vector(name);
    let data = Data::parse(&wire).expect("Data");
    data.content.expect("content").to_vec()
}

#[test]
fn the_captured_question_is_the_one_we_ask() {
    let fetch = Fetch::new(Dataset::General);
    let captured = vector("V16");
    let nonce = Interest::parse(&captured).expect("an Interest").nonce;
    let name = fetch.next_name();
    let asked = fetch.interest(&name, nonce.expect("a nonce"));
    assert_eq!(tlv::written(|writer| asked.emit(writer)), Ok(captured));
}

#[test]
fn the_captured_status_is_read() {
    let mut fetch = Fetch::new(Dataset::General);
    let wire = vector("V17");
    let whole = fetch.take(&Data::parse(&wire).expect("Data"));
    assert_eq!(whole, Ok(Fetched::Whole(content("V17"))));
    let expected = GeneralStatus {
        version: "24.07-31-gfe044ce3".into(),
        started: Duration::from_millis(1_795_187_088_764),
        current: Duration::from_millis(1_795_187_875_797),
        name_tree: 24,
        fib: 7,
        pit: 3,
        measurements: 0,
        cs: 55,
        received: PacketCounts {
            interests: 144,
            data: 122,
            nacks: 0,
        },
        sent: PacketCounts {
            interests: 129,
            data: 106,
            nacks: 13,
        },
        satisfied: 106,
        unsatisfied: 29,
    };
    assert_eq!(GeneralStatus::parse(&content("V17")), Ok(expected));
}

#[test]
fn a_forwarders_words_command_no_terminal() {
    let mut bytes = content("V17");
    // Behind type and length of the version.
    bytes[2..6].copy_from_slice(b"\x1b[2J");
    let status = GeneralStatus::parse(&bytes).expect("a status");
    assert_eq!(status.version, "\u{fffd}[2J7-31-gfe044ce3");
}

#[test]
fn the_captured_routes_are_read() {
    let routes = RibEntry::parse_all(&content("V18")).expect("routes");
    let told: Vec<_> = routes
        .iter()
        .map(|entry| {
            (
                entry.name.to_string(),
                entry.routes[0].face_id,
                entry.routes[0].flags,
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            ("/edu/arizona/ping".to_owned(), 257, 1),
            ("/localhost/nfd".to_owned(), 256, 1)
        ]
    );
    assert!(routes.iter().all(|entry| entry.routes.len() == 1));
}

#[test]
fn faces_and_next_hops_are_read_and_unknown_fields_skipped() {
    let face = tlv::written(|writer| {
        writer.nested(128, |writer| {
            writer.integer(105, 257);
            writer.element(114, b"fd://31");
            writer.element(129, b"unix:///run/nfd.sock");
            for (kind, number) in [
                (132, 1),
                (133, 1),
                (134, 0),
                (137, 8_800),
                (144, 2),
                (145, 3),
                (151, 4),
            ] {
                writer.integer(kind, number);
            }
            for (kind, number) in [(146, 5), (147, 6), (152, 7), (148, 8), (149, 9), (108, 0)] {
                writer.integer(kind, number);
            }
            writer.element(253, b"unknown");
        });
    })
    .expect("room");
    let expected = FaceStatus {
        id: 257,
        remote: "fd://31".into(),
        local: "unix:///run/nfd.sock".into(),
        is_local: true,
        mtu: Some(8_800),
        received: PacketCounts {
            interests: 2,
            data: 3,
            nacks: 4,
        },
        sent: PacketCounts {
            interests: 5,
            data: 6,
            nacks: 7,
        },
    };
    let twice = [&face[..], &face].concat();
    assert_eq!(
        FaceStatus::parse_all(&twice),
        Ok(vec![expected.clone(), expected])
    );

    let entry = tlv::written(|writer| {
        writer.nested(128, |writer| {
            named("/A").as_name().emit(writer);
            for (face_id, cost) in [(257, 10), (258, 0)] {
                writer.nested(129, |writer| {
                    writer.integer(105, face_id);
                    writer.integer(106, cost);
                });
            }
        });
    })
    .expect("room");
    let expected = FibEntry {
        name: named("/A"),
        next_hops: vec![(257, 10), (258, 0)],
    };
    assert_eq!(FibEntry::parse_all(&entry), Ok(vec![expected]));
}

#[test]
fn damaged_datasets_are_refused() {
    let (general, routes) = (content("V17"), content("V18"));
    for len in 0..general.len() {
        assert!(GeneralStatus::parse(&general[..len]).is_err(), "{len}");
    }
    assert!(RibEntry::parse_all(&routes[..routes.len() - 1]).is_err());
    assert_eq!(RibEntry::parse_all(&hex("8100")), Err(Malformed::Unexpected(129)));
    assert_eq!(RibEntry::parse_all(&hex("8000")), Err(Malformed::Missing(7)));
    assert_eq!(
        RibEntry::parse_all(&hex("8004 0700 8100")),
        Err(Malformed::Missing(105))
    );
    assert_eq!(RibEntry::parse_all(b""), Ok(Vec::new()));
}

/// A segment of a dataset.
fn segment(uri: &str, last: Option<&str>, content: &[u8]) -> Vec<u8> {
    let (name, last) = (named(uri), last.map(named));
    let meta = MetaInfo {
        final_block: last.as_ref().and_then(|last| last.as_name().last()),
        ..MetaInfo::default()
    };
    let unsigned = Unsigned {
        name: name.as_name(),
        meta: Some(meta),
        content: Some(content),
    };
    unsigned.sign(&Signer::digest()).expect("room")
}

fn take(fetch: &mut Fetch, wire: &[u8]) -> Result<Fetched, Malformed> {
    fetch.take(&Data::parse(wire).expect("Data"))
}

#[test]
fn datasets_of_several_segments_are_fetched_by_version() {
    let mut fetch = Fetch::new(Dataset::Rib);
    assert_eq!(fetch.next_name().to_string(), "/localhost/nfd/rib/list");
    let other = segment("/localhost/nfd/fib/list/v=1/seg=0", None, b"x");
    assert_eq!(take(&mut fetch, &other), Ok(Fetched::Unrelated));
    let first = segment("/localhost/nfd/rib/list/v=9/seg=0", None, b"one ");
    assert_eq!(take(&mut fetch, &first), Ok(Fetched::More));
    let name = fetch.next_name();
    assert_eq!(name.to_string(), "/localhost/nfd/rib/list/v=9/seg=1");
    let asked = fetch.interest(&name, [0; 4]);
    assert!(!asked.can_be_prefix && !asked.must_be_fresh, "exactly this one");
    let last = segment("/localhost/nfd/rib/list/v=9/seg=1", Some("/seg=1"), b"two");
    assert_eq!(take(&mut fetch, &last), Ok(Fetched::Whole(b"one two".to_vec())));
}

#[test]
fn segments_out_of_turn_or_without_end_are_refused() {
    for wrong in [
        "/localhost/nfd/rib/list",
        "/localhost/nfd/rib/list/v=9",
        "/localhost/nfd/rib/list/v=9/seg=1",
        "/localhost/nfd/rib/list/v=9/v=0",
        "/localhost/nfd/rib/list/v=9/seg=0/more",
    ] {
        let mut fetch = Fetch::new(Dataset::Rib);
        let refused = take(&mut fetch, &segment(wrong, None, b""));
        assert_eq!(refused, Err(Malformed::BadName), "{wrong}");
    }
    let mut fetch = Fetch::new(Dataset::Rib);
    let mut number = 0;
    let refused = loop {
        let uri = format!("/localhost/nfd/rib/list/v=9/seg={number}");
        match take(&mut fetch, &segment(&uri, None, &[7; 8_000])) {
            Ok(more) => assert_eq!(more, Fetched::More),
            Err(why) => break why,
        }
        number += 1;
    };
    assert_eq!((refused, number), (Malformed::TooLong, (4 << 20) / 8_000));
}
