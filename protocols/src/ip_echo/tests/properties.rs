use super::super::{IcmpPolicy, checksum};
use super::{host, rows};
use halloo_base::{IpHeader, Reason};
use proptest::prelude::*;

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
    // Sent to the echo host again as its own answer, it goes no further: two of them cannot keep a datagram alive.
    prop_assert_ne!(asked.source, told.source);
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
    for row in rows().into_iter().filter(|row| row.expected.is_ok()) {
        let whole = row.expected.as_ref().map_or(0, Vec::len);
        for len in 0..whole {
            let mut cut = row.request[..len].to_vec();
            let why = host(row.icmp).turn_round(&mut cut).expect_err(&row.name);
            assert!(
                matches!(why, Reason::Malformed | Reason::Truncated),
                "{} at {len}: {why:?}",
                row.name
            );
        }
    }
}

#[test]
fn a_link_local_source_is_right_on_a_link() {
    let row = rows()
        .into_iter()
        .find(|row| row.name.starts_with("a link-local source"));
    let mut datagram = row.expect("a row of the table").request;
    let options = super::IpEchoOptions {
        addresses: vec!["2001:db8::7".parse().expect("an address")],
        on_link: true,
        ..super::IpEchoOptions::default()
    };
    let len = datagram.len();
    assert_eq!(super::IpEcho::new(&options).turn_round(&mut datagram), Ok(len));
}
