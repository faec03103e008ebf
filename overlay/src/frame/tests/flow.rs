use super::packets::{Shape, payload, plain, super_frame};
use crate::frame::flow_hash;
use proptest::prelude::*;
use std::collections::BTreeSet;

/// UDP over IPv4 with nothing before it: type at 12, IP at 14, ports at 34.
fn udp4(port: u16) -> Vec<u8> {
    super_frame(Shape { port, ..Shape::UDP4 }, &payload(100, 1)).0
}

fn with(mut frame: Vec<u8>, at: usize, octets: &[u8]) -> Vec<u8> {
    frame[at..at + octets.len()].copy_from_slice(octets);
    frame
}

#[test]
fn one_flow_has_one_number_whatever_else_its_packets_say() {
    for v6 in [false, true] {
        for udp in [false, true] {
            for tags in 0..3 {
                for options in 0..3 {
                    let shape = Shape {
                        v6,
                        udp,
                        tags,
                        options,
                        ..Shape::TCP4
                    };
                    let (one, _) = super_frame(shape, &payload(2_000, 1));
                    let (other, _) = super_frame(Shape { ecn: true, ..shape }, &payload(90, 2));
                    assert_eq!(flow_hash(&one), flow_hash(&other), "{shape:?}");
                    let (port, _) = super_frame(Shape { port: 7, ..shape }, &payload(90, 2));
                    assert_ne!(flow_hash(&one), flow_hash(&port), "{shape:?}");
                }
            }
        }
    }
    // Service, length, identification, time to live, checksum.
    let (frame, number) = (udp4(7), flow_hash(&udp4(7)));
    for (at, octets) in [
        (15, &[9][..]),
        (16, &[0, 90]),
        (18, &[7, 7]),
        (22, &[3]),
        (24, &[1, 2]),
    ] {
        assert_eq!(flow_hash(&with(frame.clone(), at, octets)), number, "{at}");
    }
    // Each address, each MAC address, the protocol's ports.
    for at in [0, 5, 6, 11, 26, 29, 30, 33, 34, 35, 36, 37] {
        let octet = frame[at] ^ 4;
        assert_ne!(flow_hash(&with(frame.clone(), at, &[octet])), number, "{at}");
    }
}

#[test]
fn all_fragments_of_a_packet_are_of_one_flow() {
    let whole = udp4(7);
    // The first has ports and says that more follow; in the others there is payload where ports were.
    let first = with(whole.clone(), 20, &[0x20, 0]);
    let second = with(with(whole.clone(), 20, &[0x20, 185]), 34, &[1, 2, 3, 4]);
    let last = with(with(whole, 20, &[0, 200]), 34, &[5, 6, 7, 8]);
    assert_eq!(flow_hash(&first), flow_hash(&second));
    assert_eq!(flow_hash(&first), flow_hash(&last));
    let other = with(udp4(8), 20, &[0x20, 0]);
    assert_eq!(flow_hash(&first), flow_hash(&other), "nor are ports looked at");
    let shape = Shape {
        v6: true,
        options: 2,
        ..Shape::UDP4
    };
    // The hop-by-hop header becomes a fragment header: next header at 20, the header at 54, ports at 62.
    let (whole, _) = super_frame(shape, &payload(100, 1));
    let first = with(with(whole, 20, &[44]), 54, &[17, 0, 0, 1]);
    let last = with(with(first.clone(), 54, &[17, 0, 5, 0]), 62, &[1, 2, 3, 4]);
    assert_eq!(flow_hash(&first), flow_hash(&last));
}

#[test]
fn a_flow_is_found_behind_tags_and_keeps_its_number_with_another_priority() {
    let shape = Shape {
        tags: 2,
        ..Shape::UDP4
    };
    let (tagged, _) = super_frame(shape, &payload(100, 1));
    // The octets after 0x88a8 and 0x8100: priority, drop eligible and the VLAN's highest bits, then the rest.
    let priority = with(tagged.clone(), 14, &[tagged[14] ^ 0xf0]);
    assert_eq!(flow_hash(&tagged), flow_hash(&priority));
    for at in [14, 15, 18, 19] {
        let vlan = with(tagged.clone(), at, &[tagged[at] ^ 1]);
        assert_ne!(flow_hash(&tagged), flow_hash(&vlan), "{at}");
    }
}

#[test]
fn what_is_no_ip_is_told_apart_by_addresses_and_type() {
    assert_eq!(flow_hash(&plain(60, 1)), flow_hash(&plain(900, 2)));
    for at in [0, 6, 13] {
        let octet = plain(60, 1)[at] ^ 1;
        assert_ne!(
            flow_hash(&plain(60, 1)),
            flow_hash(&with(plain(60, 1), at, &[octet]))
        );
    }
    assert_eq!(flow_hash(&[1; 13]), 0);
}

#[test]
fn flows_spread() {
    // As they come: ports one by one, addresses one by one.
    let ports = (40_000..40_400).map(udp4).collect::<Vec<_>>();
    let hosts = (0..200)
        .map(|host| with(udp4(9), 29, &[host]))
        .collect::<Vec<_>>();
    for frames in [ports, hosts] {
        for ways in 2..=8u64 {
            let mut counts = vec![0; ways as usize];
            for frame in &frames {
                counts[((u64::from(flow_hash(frame)) * ways) >> 32) as usize] += 1;
            }
            let fair = frames.len() / ways as usize;
            let near = |count: &usize| count.abs_diff(fair) <= fair / 2;
            assert!(counts.iter().all(near), "{ways}: {counts:?}");
        }
        let numbers: BTreeSet<u32> = frames.iter().map(|frame| flow_hash(frame)).collect();
        assert_eq!(numbers.len(), frames.len());
    }
}

proptest! {
    #[test]
    fn any_octets_have_a_number(
        bytes in prop::collection::vec(any::<u8>(), 0..120),
        ethertype in prop::sample::select(vec![0x0800u16, 0x86dd, 0x8100, 0x88a8, 0x0806]),
        first in prop::sample::select(vec![0x45u8, 0x4f, 0x60, 0]),
    ) {
        let mut bytes = bytes;
        flow_hash(&bytes);
        if bytes.len() >= 15 {
            bytes[12..14].copy_from_slice(&ethertype.to_be_bytes());
            bytes[14] = first;
        }
        let number = flow_hash(&bytes);
        prop_assert_eq!(flow_hash(&bytes), number);
    }
}
