//! Who a frame says that it is from.

use super::super::layers::{NEEDS_CHECKSUM, spares_sender};
use super::super::{Ethernet, follows_from, sender};
use super::packets::{Shape, super_frame};
use crate::Mac;
use halloo_base::Offload;
use std::net::IpAddr;

const FROM: Mac = Mac([2, 0, 0, 0, 0, 7]);

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn octets(text: &str) -> Vec<u8> {
    match ip(text) {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    }
}

fn frame(tags: usize, kind: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = [[0xff; 6], FROM.0].concat();
    frame.extend([0x81, 0, 0, 9].repeat(tags));
    frame.extend(kind.to_be_bytes());
    frame.extend(payload);
    frame
}

fn packet4(source: &str) -> Vec<u8> {
    let mut packet = vec![0; 20];
    packet[0] = 0x45;
    packet[12..16].copy_from_slice(&octets(source));
    packet
}

fn arp(says: &str, wants: &str) -> Vec<u8> {
    let start = [0, 1, 8, 0, 6, 4, 0, 1];
    [&start[..], &FROM.0, &octets(says), &[0; 6], &octets(wants)].concat()
}

/// With extension headers in front of it.
fn packet6(source: &str, extensions: &[u8], next: u8, rest: &[u8]) -> Vec<u8> {
    let mut packet = vec![0; 40];
    packet[0] = 0x60;
    packet[6] = extensions.first().copied().unwrap_or(next);
    packet[8..24].copy_from_slice(&octets(source));
    for (at, _) in extensions.iter().enumerate() {
        let behind = extensions.get(at + 1).copied().unwrap_or(next);
        packet.extend([behind, 0, 1, 4, 0, 0, 0, 0]);
    }
    [&packet, rest].concat()
}

fn neighbour(kind: u8, target: &str) -> Vec<u8> {
    [&[kind, 0, 0, 0, 0, 0, 0, 0][..], &octets(target)].concat()
}

fn snap(kind: u16, payload: &[u8]) -> Vec<u8> {
    [&[0xaa, 0xaa, 3, 0, 0, 0][..], &kind.to_be_bytes(), payload].concat()
}

#[test]
fn a_frame_says_whose_addresses_it_has() {
    let (v4, v6) = ("10.0.0.7", "2001:db8::7");
    let table: Vec<(&str, u16, Vec<u8>, Vec<&str>)> = vec![
        ("IPv4", 0x0800, packet4(v4), vec![v4]),
        ("before it has one", 0x0800, packet4("0.0.0.0"), vec![]),
        ("ARP", 0x0806, arp(v4, "10.0.0.1"), vec![v4]),
        ("ARP probe", 0x0806, arp("0.0.0.0", v4), vec![v4]),
        ("IPv6", 0x86dd, packet6(v6, &[], 17, &[0; 8]), vec![v6]),
        (
            "a question",
            0x86dd,
            packet6(v6, &[], 58, &neighbour(135, "fe80::1")),
            vec![v6],
        ),
        (
            "from nowhere",
            0x86dd,
            packet6("::", &[], 58, &neighbour(135, v6)),
            vec![v6],
        ),
        (
            "an answer",
            0x86dd,
            packet6(v6, &[], 58, &neighbour(136, "fe80::1")),
            vec![v6, "fe80::1"],
        ),
        (
            "an answer behind options",
            0x86dd,
            packet6(v6, &[0, 60], 58, &neighbour(136, "fe80::1")),
            vec![v6, "fe80::1"],
        ),
        ("an echo", 0x86dd, packet6(v6, &[], 58, &[128, 0, 0, 0]), vec![v6]),
        ("SNAP", 40, snap(0x0800, &packet4(v4)), vec![v4]),
        ("LLC", 3, vec![0x42, 0x42, 3], vec![]),
        ("TIPC", 0x88ca, vec![1, 2, 3], vec![]),
    ];
    for (what, kind, payload, wanted) in table {
        for tags in [0, 1, 4] {
            let bytes = frame(tags, kind, &payload);
            let said = sender(&Ethernet::parse(&bytes).unwrap()).expect(what);
            let said: Vec<IpAddr> = said.into_iter().flatten().collect();
            let wanted: Vec<IpAddr> = wanted.iter().map(|text| ip(text)).collect();
            assert_eq!(said, wanted, "{what}, {tags} tags");
        }
    }
}

#[test]
fn what_cannot_be_read_to_the_end_is_said_to_be_so() {
    let whole = [
        (0x0800, packet4("10.0.0.7"), 20),
        (0x0806, arp("10.0.0.7", "10.0.0.1"), 28),
        (
            0x86dd,
            packet6("fe80::7", &[0], 58, &neighbour(136, "fe80::1")),
            72,
        ),
    ];
    for (kind, payload, least) in whole {
        assert_eq!(payload.len(), least);
        for len in 0..least {
            let bytes = frame(0, kind, &payload[..len]);
            assert_eq!(sender(&Ethernet::parse(&bytes).unwrap()), None, "{kind:x}: {len}");
        }
    }
    let hidden = [
        frame(5, 0x0800, &packet4("10.0.0.7")),
        frame(0, 0x0800, &[0x65; 20]),
        frame(
            0,
            0x86dd,
            &packet6("fe80::7", &[60; 9], 58, &neighbour(136, "fe80::1")),
        ),
        frame(0, 40, &[0xaa, 0xaa, 3, 0, 0, 0, 8, 0, 0x45]),
    ];
    for bytes in hidden {
        assert_eq!(sender(&Ethernet::parse(&bytes).unwrap()), None, "{bytes:x?}");
    }
}

#[test]
fn an_address_of_the_link_follows_from_the_mac() {
    assert!(follows_from(ip("fe80::ff:fe00:7"), FROM));
    for other in [
        "fe80::ff:fe00:8",
        "fe80:0:0:1:0:ff:fe00:7",
        "2001:db8::ff:fe00:7",
        "10.0.0.7",
    ] {
        assert!(!follows_from(ip(other), FROM), "{other}");
    }
}

fn checksum(start: usize, offset: usize) -> Offload {
    Offload {
        flags: NEEDS_CHECKSUM,
        checksum_start: start as u16,
        checksum_offset: offset as u16,
        ..Offload::default()
    }
}

#[test]
fn a_checksum_that_is_let_pass_changes_nothing_that_a_frame_says_of_its_sender() {
    let (v4, v6) = ("10.0.0.7", "2001:db8::7");
    let rest = [0; 24];
    let table: Vec<(&str, u16, Vec<u8>)> = vec![
        ("IPv4", 0x0800, [packet4(v4), rest.to_vec()].concat()),
        ("ARP", 0x0806, arp(v4, "10.0.0.1")),
        ("IPv6", 0x86dd, packet6(v6, &[], 17, &rest)),
        ("an answer", 0x86dd, packet6(v6, &[], 58, &neighbour(136, v6))),
        (
            "from nowhere",
            0x86dd,
            packet6("::", &[0], 58, &neighbour(135, v6)),
        ),
        (
            "options, then nothing",
            0x86dd,
            packet6(v6, &[0, 60], 59, &neighbour(136, v6)),
        ),
        ("SNAP", 52, snap(0x0800, &[packet4(v4), rest.to_vec()].concat())),
        ("nearly SNAP", 52, snap(0x88ca, &packet4(v4))),
        ("TIPC", 0x88ca, arp(v4, "10.0.0.1")),
        ("TIPC with a packet", 0x88ca, packet4(v4)),
    ];
    for (what, kind, payload) in table {
        for tags in [0, 1, 4] {
            let bytes = frame(tags, kind, &payload);
            let parsed = Ethernet::parse(&bytes).unwrap();
            let (said, vlan) = (sender(&parsed), parsed.vlan());
            for start in 14..bytes.len() {
                for offset in 0..bytes.len().saturating_sub(start + 1) {
                    if !spares_sender(&parsed, checksum(start, offset)) {
                        continue;
                    }
                    for sum in [[0, 0], [8, 0], [8, 6], [0x86, 0xdd], [58, 0], [10, 9], [255, 255]] {
                        let mut done = bytes.clone();
                        done[start + offset..][..2].copy_from_slice(&sum);
                        let done = Ethernet::parse(&done).unwrap();
                        assert_eq!(
                            (sender(&done), done.vlan()),
                            (said, vlan),
                            "{what}, {tags} tags, {start} + {offset}: {sum:?}"
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn checksums_that_a_host_leaves_to_its_device_are_let_pass() {
    let with = |protocol: u8, rest: &[u8]| {
        let mut packet = packet4("10.0.0.7");
        packet[9] = protocol;
        [&packet[..], rest].concat()
    };
    let table: Vec<(&str, u16, Vec<u8>, usize, usize)> = vec![
        ("ICMP", 0x0800, with(1, &[0; 8]), 20, 2),
        ("SCTP", 0x0800, with(132, &[0; 20]), 20, 8),
        (
            "TCP in VXLAN",
            0x0800,
            with(17, &[0; 8 + 8 + 14 + 40]),
            20 + 8 + 8 + 14 + 20,
            16,
        ),
        ("UDP in GRE", 0x0800, with(47, &[0; 4 + 20 + 8]), 20 + 4 + 20, 6),
        (
            "SCTP over IPv6",
            0x86dd,
            packet6("fd00::7", &[0], 132, &[0; 20]),
            48,
            8,
        ),
        (
            "ICMPv6",
            0x86dd,
            packet6("fd00::7", &[], 58, &[128, 0, 0, 0, 0, 0, 0, 0]),
            40,
            2,
        ),
        ("TIPC", 0x88ca, vec![0; 40], 0, 20),
    ];
    for (what, kind, payload, start, offset) in table {
        for tags in [0, 1, 4] {
            let bytes = frame(tags, kind, &payload);
            let parsed = Ethernet::parse(&bytes).unwrap();
            let start = parsed.payload_at() + start;
            assert!(
                spares_sender(&parsed, checksum(start, offset)),
                "{what}, {tags} tags"
            );
        }
    }
    for (v6, udp, tags, options) in [
        (false, false, 0, 0),
        (false, true, 1, 0),
        (true, false, 0, 3),
        (true, true, 2, 1),
        (false, false, 4, 10),
    ] {
        let shape = Shape {
            v6,
            udp,
            tags,
            options,
            ..Shape::TCP4
        };
        let (bytes, offload) = super_frame(shape, &[7; 4_000]);
        let parsed = Ethernet::parse(&bytes).unwrap();
        let one = checksum(offload.checksum_start.into(), offload.checksum_offset.into());
        assert!(spares_sender(&parsed, offload), "{shape:?}");
        assert!(spares_sender(&parsed, one), "{shape:?}");
        let elsewhere = Offload {
            checksum_offset: offload.checksum_offset + 2,
            ..offload
        };
        assert!(!spares_sender(&parsed, elsewhere), "{shape:?}");
    }
}
