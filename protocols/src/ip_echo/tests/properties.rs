use super::super::vectors::{ADDRESSES, rows};
use super::super::{IcmpPolicy, IpEcho, IpEchoOptions, checksum};
use super::host;
use halloo_base::{IpHeader, Reason};
use proptest::prelude::*;
use std::net::IpAddr;

/// A datagram of the table with some of its octets changed, and its header checksum right again in most cases.
fn bent() -> impl Strategy<Value = Vec<u8>> {
    let rows: Vec<_> = rows().into_iter().map(|row| row.request).collect();
    let changes = proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6);
    let pick = proptest::sample::select(rows);
    (pick, changes, 0u8..4).prop_map(|(mut bytes, changes, seal)| {
        for (place, value) in changes {
            if !bytes.is_empty() {
                let place = place.index(bytes.len());
                bytes[place] = value;
            }
        }
        let header = bytes.first().map_or(0, |first| usize::from(first & 15) * 4);
        if seal > 0 && bytes.len() >= header && header >= 20 && bytes[0] >> 4 == 4 {
            bytes[10..12].fill(0);
            let sum = checksum::of(&bytes[..header]);
            bytes[10..12].copy_from_slice(&sum.to_be_bytes());
        }
        bytes
    })
}

fn check(bytes: &[u8], icmp: IcmpPolicy) -> Result<(), TestCaseError> {
    let mut reply = bytes.to_vec();
    let Ok(len) = host(icmp).turn_round(&mut reply) else {
        return Ok(());
    };
    prop_assert!(len <= bytes.len());
    let (asked, told) = (IpHeader::parse(bytes), IpHeader::parse(&reply[..len]));
    let (asked, told) = (asked.expect("it was read"), told.expect("it was written"));
    prop_assert_eq!(told.length, len);
    prop_assert_eq!(told.source, asked.destination);
    prop_assert_eq!(told.marks.ttl, asked.marks.ttl.map(|ttl| ttl - 1));
    prop_assert_eq!(told.marks.tos, asked.marks.tos);
    if reply[0] >> 4 == 4 {
        prop_assert!(checksum::is_right(&reply[..usize::from(reply[0] & 15) * 4]));
    }
    // Nothing leaves for an echo address: a host cannot talk to itself.
    prop_assert!(!ADDRESSES.contains(&told.destination.to_string().as_str()));
    if told.destination == asked.source && (reply[0] == 0x45 || reply[0] >> 4 == 6) {
        check_back(&bytes[..len], &reply[..len], told.destination)?;
    }
    Ok(())
}

/// Echoed by its sender too, a datagram without options is what it was, two hops older.
fn check_back(request: &[u8], reply: &[u8], sender: IpAddr) -> Result<(), TestCaseError> {
    let far = IpEcho::new(&IpEchoOptions {
        addresses: vec![sender],
        icmp: IcmpPolicy::Discard,
        on_link: true,
    });
    let mut back = reply.to_vec();
    if let Ok(len) = far.turn_round(&mut back) {
        let mut older = request.to_vec();
        if older[0] >> 4 == 4 {
            older[8] -= 2;
            older[10..12].copy_from_slice(&back[10..12]);
        } else {
            older[7] -= 2;
        }
        prop_assert_eq!(&back[..len], &older);
    } else {
        // Its TTL is at its end, or it is ICMP, which not every host takes.
        let ttl = if reply[0] >> 4 == 4 { reply[8] } else { reply[7] };
        prop_assert!(ttl == 1 || reply[0] == 0x45 && reply[9] == 1, "{reply:02x?}");
    }
    Ok(())
}

proptest! {
    #[test]
    fn whatever_is_echoed_is_sound_and_no_longer(bytes in bent(), safe: bool) {
        check(&bytes, if safe { IcmpPolicy::Safe } else { IcmpPolicy::Discard })?;
    }

    #[test]
    fn any_bytes_are_read(bytes in proptest::collection::vec(any::<u8>(), 0..120), safe: bool) {
        check(&bytes, if safe { IcmpPolicy::Safe } else { IcmpPolicy::Discard })?;
    }
}

#[test]
fn a_datagram_cut_anywhere_is_not_echoed() {
    for row in rows().into_iter().filter(|row| row.outcome.is_ok()) {
        let whole = row.outcome.as_ref().map_or(0, Vec::len);
        for len in 0..whole {
            let mut cut = row.request[..len].to_vec();
            let why = host(row.icmp).turn_round(&mut cut).expect_err(row.name);
            assert_eq!(why, Reason::Malformed, "{} at {len}", row.name);
        }
    }
}

#[test]
fn a_link_local_source_is_right_on_a_link() {
    let row = rows()
        .into_iter()
        .find(|row| row.name.starts_with("a link-local source"));
    let mut datagram = row.expect("a row of the table").request;
    let options = IpEchoOptions {
        addresses: vec!["2001:db8::7".parse().expect("an address")],
        on_link: true,
        ..IpEchoOptions::default()
    };
    let len = datagram.len();
    assert_eq!(IpEcho::new(&options).turn_round(&mut datagram), Ok(len));
}
