//! Packets in parts.

use super::*;
use halloo_base::{Mono, Path};
use proptest::prelude::*;

const MILLI: u64 = 1_000_000;

fn path(port: u16) -> Path {
    let mut path = datagram(0, b"").path;
    path.remote.set_port(port);
    path
}

fn take(all: &mut Reassembler, at: u64, port: u16, wire: &[u8]) -> Result<Option<Vec<u8>>, Malformed> {
    let lp = LpPacket::parse(wire).expect("a link packet");
    all.take(Mono(at * MILLI), &path(port), &lp)
        .map(|whole| whole.map(<[u8]>::to_vec))
}

fn part(sequence: u64, index: u64, count: u64, fragment: &[u8]) -> Vec<u8> {
    let lp = LpPacket {
        sequence: Some(sequence),
        frag_index: Some(index),
        frag_count: Some(count),
        fragment: Some(fragment),
        ..LpPacket::default()
    };
    tlv::written(|writer| lp.emit(writer)).expect("room")
}

/// All orders of these.
fn orders(of: &[usize]) -> Vec<Vec<usize>> {
    if of.is_empty() {
        return vec![Vec::new()];
    }
    of.iter()
        .flat_map(|&first| {
            let rest: Vec<_> = of.iter().copied().filter(|&other| other != first).collect();
            orders(&rest)
                .into_iter()
                .map(move |rest| [vec![first], rest].concat())
        })
        .collect()
}

#[test]
fn captured_parts_make_a_packet_in_every_order() {
    for order in orders(&[0, 1, 2, 3]) {
        let mut all = Reassembler::new();
        let mut last = None;
        for part in &order {
            assert_eq!(last, None);
            last = take(&mut all, 0, 1, &vector(&format!("fragment-data-{part}"))).expect("a part");
        }
        let whole = last.expect("whole");
        let data = Data::parse(&whole).expect("Data");
        assert_eq!(whole.len(), 469);
        assert_eq!(data.name.to_string(), "/big/ping/1");
        assert_eq!(data.verify(&Verifier::digest()), Ok(()), "{order:?}");
    }
    let mut all = Reassembler::new();
    assert_eq!(take(&mut all, 0, 1, &vector("fragment-interest-1")), Ok(None));
    let whole = take(&mut all, 0, 1, &vector("fragment-interest-0")).expect("a part");
    let whole = whole.expect("whole");
    let interest = Interest::parse(&whole).expect("an Interest");
    assert_eq!(interest.name.to_string(), "/t/ping/200");
}

#[test]
fn what_the_first_part_says_is_said_of_the_packet() {
    let interest = vector("V5");
    let mut sequence = 9;
    let parts = super::fragments(&interest, Some(&[1, 2, 3]), 45, &mut sequence);
    let mut parts = parts.expect("a wide enough link");
    assert_eq!(sequence, 9 + parts.len() as u64);
    parts.reverse();
    let mut all = Reassembler::new();
    let whole = parts
        .iter()
        .filter_map(|part| take(&mut all, 0, 1, part).expect("a part"));
    let whole: Vec<_> = whole.collect();
    let packet = Packet::parse(&whole[0]).expect("a packet");
    assert_eq!(packet.pit_token, Some(&[1, 2, 3][..]));
    assert!(matches!(packet.content, Content::Interest(_)));
}

#[test]
fn parts_of_different_senders_do_not_mix() {
    let mut all = Reassembler::new();
    assert_eq!(take(&mut all, 0, 1, &part(5, 0, 2, b"a")), Ok(None));
    assert_eq!(take(&mut all, 0, 2, &part(6, 1, 2, b"b")), Ok(None));
    assert_eq!(
        take(&mut all, 0, 1, &part(6, 1, 2, b"c")),
        Ok(Some(b"ac".to_vec()))
    );
}

#[test]
fn a_part_that_comes_twice_counts_once_and_the_first_holds() {
    let mut all = Reassembler::new();
    assert_eq!(take(&mut all, 0, 1, &part(5, 0, 2, b"a")), Ok(None));
    assert_eq!(take(&mut all, 0, 1, &part(5, 0, 2, b"x")), Ok(None));
    assert_eq!(
        take(&mut all, 0, 1, &part(6, 1, 2, b"b")),
        Ok(Some(b"ab".to_vec()))
    );
}

#[test]
fn a_packet_is_given_up_half_a_second_after_its_last_part() {
    let mut all = Reassembler::new();
    assert_eq!(take(&mut all, 0, 1, &part(5, 0, 3, b"a")), Ok(None));
    assert_eq!(take(&mut all, 499, 1, &part(6, 1, 3, b"b")), Ok(None));
    assert_eq!(
        take(&mut all, 998, 1, &part(7, 2, 3, b"c")),
        Ok(Some(b"abc".to_vec())),
        "each part buys time"
    );
    assert_eq!(take(&mut all, 1_000, 1, &part(5, 0, 2, b"a")), Ok(None));
    assert_eq!(
        take(&mut all, 1_500, 1, &part(6, 1, 2, b"b")),
        Ok(None),
        "too late"
    );
}

#[test]
fn parts_that_contradict_each_other_end_their_packet() {
    let mut all = Reassembler::new();
    assert_eq!(take(&mut all, 0, 1, &part(5, 0, 3, b"a")), Ok(None));
    let other_count = take(&mut all, 0, 1, &part(6, 1, 2, b"b"));
    assert_eq!(other_count, Err(Malformed::BadValue(types::LP_FRAG_COUNT)));
    assert_eq!(take(&mut all, 0, 1, &part(7, 2, 3, b"c")), Ok(None), "begun anew");

    let too_many = LpPacket::parse(&part(5, 0, 401, b"a")).map(|lp| all.take(Mono(0), &path(1), &lp).err());
    assert_eq!(too_many, Ok(Some(Malformed::BadValue(types::LP_FRAG_COUNT))));
    let empty = LpPacket {
        sequence: Some(1),
        frag_count: Some(2),
        ..LpPacket::default()
    };
    let empty = all.take(Mono(0), &path(1), &empty).err();
    assert_eq!(empty, Some(Malformed::Missing(types::LP_FRAGMENT)));
}

#[test]
fn memory_is_bounded_in_packets_and_in_bytes() {
    let mut all = Reassembler::new();
    for message in 0..100 {
        let sent = take(&mut all, message, 1, &part(message * 10, 0, 2, b"a"));
        assert_eq!(sent, Ok(None));
    }
    let finish = |all: &mut Reassembler, message: u64| take(all, 100, 1, &part(message * 10 + 1, 1, 2, b"b"));
    assert_eq!(finish(&mut all, 99), Ok(Some(b"ab".to_vec())));
    assert_eq!(finish(&mut all, 84), Ok(Some(b"ab".to_vec())));
    assert_eq!(finish(&mut all, 83), Ok(None), "it had to make room");

    let mut all = Reassembler::new();
    let piece = [7; 4_401];
    assert_eq!(take(&mut all, 0, 1, &part(0, 0, 3, &piece)), Ok(None));
    assert_eq!(
        take(&mut all, 0, 1, &part(1, 1, 3, &piece)),
        Err(Malformed::TooLong)
    );
}

#[test]
fn links_that_are_too_narrow_say_so() {
    let mut sequence = 0;
    assert!(super::fragments(&[7; 100], None, 26, &mut sequence).is_err());
    assert!(
        super::fragments(&[7; 401], None, 27, &mut sequence).is_err(),
        "401 parts"
    );
    assert_eq!(sequence, 0);
    let whole = super::fragments(&[7; 100], None, 100, &mut sequence);
    assert_eq!(whole, Ok(vec![vec![7; 100]]), "it fits as it is");
    assert_eq!(sequence, 0);
}

proptest! {
    #[test]
    fn any_packet_goes_through_any_link(
        content in proptest::collection::vec(any::<u8>(), 0..3_000),
        token in proptest::option::of(proptest::collection::vec(any::<u8>(), 1..=32)),
        mtu in 100..1_600_usize,
        start in any::<u64>(),
    ) {
        let name = named("/A/ping/7");
        let unsigned = Unsigned { name: name.as_name(), meta: None, content: Some(&content) };
        let wire = unsigned.sign(&Signer::digest()).expect("room");
        let mut sequence = start;
        let parts = super::fragments(&wire, token.as_deref(), mtu, &mut sequence).expect("wide enough");
        let mut all = Reassembler::new();
        let mut whole = None;
        for part in &parts {
            prop_assert!(part.len() <= mtu && whole.is_none());
            whole = match Packet::parse(part).expect("a packet").content {
                Content::Fragment(_) => take(&mut all, 0, 1, part).expect("a part"),
                _ => Some(part.clone()),
            };
        }
        let whole = whole.expect("all parts were there");
        let packet = Packet::parse(&whole).expect("a packet");
        prop_assert_eq!(packet.pit_token, token.as_deref());
        let Content::Data(data) = packet.content else { panic!("no Data") };
        prop_assert_eq!(data.content, Some(&content[..]));
    }
}
