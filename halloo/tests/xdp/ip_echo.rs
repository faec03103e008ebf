//! The table of `protocols/src/ip_echo/vectors.txt` through the program.

use crate::frames::{OUR_MAC, PEER_MAC, answer, framed, pseudo_sum, seal};
use crate::{options, program};
use halloo_base::Rng;
use halloo_io::{XdpMode, XdpOptions};
use halloo_protocols::ip_echo::{IpEcho, IpEchoOptions};

struct Row {
    name: &'static str,
    request: Vec<u8>,
    answer: Option<Vec<u8>>,
}

fn rows() -> Vec<Row> {
    let text = include_str!("../../../protocols/src/ip_echo/vectors.txt");
    let lines: Vec<_> = text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with(['#', '[']))
        .collect();
    let row = |lines: &[&'static str]| Row {
        name: lines[0],
        request: hex(lines[1].trim()).expect("hexadecimal digits"),
        answer: hex(lines[2].trim().trim_start_matches("-> ")),
    };
    lines.chunks_exact(3).map(row).collect()
}

fn hex(text: &str) -> Option<Vec<u8>> {
    let octet = |at: usize| u8::from_str_radix(text.get(at..at + 2)?, 16).ok();
    (0..text.len()).step_by(2).map(octet).collect()
}

/// Whether the program itself is to answer this: no options, no extension headers, no ICMP.
fn is_plain(request: &[u8]) -> bool {
    match request.first() {
        Some(0x45) => request[9] != 1,
        Some(first) if first >> 4 == 6 => ![0, 43, 44, 51, 58, 60].contains(&request[6]),
        _ => false,
    }
}

/// The responder of user space for the same addresses.
fn user_space() -> IpEcho {
    IpEcho::new(&IpEchoOptions {
        addresses: options().echo,
        ..IpEchoOptions::default()
    })
}

#[test]
fn every_row_of_the_table_is_answered_the_same_or_passed_up() {
    let Some(program) = program("the table of IP echo", &options()) else {
        return;
    };
    let (mut answered, mut passed) = (0, 0);
    for row in rows() {
        let told = answer(&program, &framed(OUR_MAC, PEER_MAC, &row.request));
        let Some(told) = told else {
            let is_its_own = row.answer.is_some() && is_plain(&row.request);
            assert!(!is_its_own, "`{}` was passed up", row.name);
            passed += 1;
            continue;
        };
        let expected = row
            .answer
            .unwrap_or_else(|| panic!("`{}` was answered", row.name));
        // The link's padding goes back too: a frame is as long as it was.
        let padded = [&expected[..], &row.request[expected.len()..]].concat();
        assert_eq!(told, framed(PEER_MAC, OUR_MAC, &padded), "{}", row.name);
        answered += 1;
    }
    assert!(
        (answered, passed) > (20, 80),
        "{answered} answered, {passed} passed up"
    );
    let counters = program.counters().expect("counters").ip;
    assert_eq!((counters.received, counters.replied), (answered, answered));
}

#[test]
fn a_hop_is_taken_and_the_checksum_follows_whatever_it_was() {
    let Some(program) = program("checksums of IP echo", &options()) else {
        return;
    };
    let host = user_space();
    let mut request = hex("4500001c1234400040fd3b6dc6336409c00002076563686f206d6521").expect("digits");
    for number in 0..=u16::MAX {
        request[4..6].copy_from_slice(&number.to_be_bytes());
        request[8] = (number >> 8) as u8 | 2;
        seal(&mut request);
        let mut expected = request.clone();
        host.turn_round(&mut expected).expect("it is echoed");
        let told = answer(&program, &framed(OUR_MAC, PEER_MAC, &request)).expect("an answer");
        assert_eq!(told[14..], expected, "identification {number:#06x}");
    }
}

#[test]
fn frames_that_are_not_for_this_station_are_passed_up() {
    let Some(program) = program("frames for others", &options()) else {
        return;
    };
    let request = hex("4500001c1234400040fd3b6dc6336409c00002076563686f206d6521").expect("digits");
    let group = [0xff; 6];
    for (to, from) in [
        (group, PEER_MAC),
        ([2, 0, 0, 0, 0, 2], PEER_MAC),
        (OUR_MAC, group),
        (OUR_MAC, OUR_MAC),
    ] {
        assert_eq!(
            answer(&program, &framed(to, from, &request)),
            None,
            "{to:?} {from:?}"
        );
    }
    let mut tagged = framed(OUR_MAC, PEER_MAC, &request);
    tagged.splice(12..12, [0x81, 0, 0, 5]);
    assert_eq!(answer(&program, &tagged), None, "a VLAN tag");
}

#[test]
fn a_datagram_cut_anywhere_is_passed_up() {
    let Some(program) = program("datagrams cut short", &options()) else {
        return;
    };
    for row in rows().into_iter().filter(|row| row.answer.is_some()) {
        let whole = row.answer.as_ref().map_or(0, Vec::len);
        for len in 0..whole {
            let frame = framed(OUR_MAC, PEER_MAC, &row.request[..len]);
            // The kernel tries programs on no less than an Ethernet header.
            if frame.len() > 14 {
                assert_eq!(answer(&program, &frame), None, "{} at {len}", row.name);
            }
        }
    }
}

#[test]
fn bent_datagrams_are_answered_the_same_or_passed_up() {
    let Some(program) = program("bent datagrams", &options()) else {
        return;
    };
    let host = user_space();
    let mut rng = Rng::new(2_075);
    let (mut answered, mut passed) = (0, 0);
    for row in rows().iter().filter(|row| row.request.len() > 20) {
        for _ in 0..200 {
            let mut request = row.request.clone();
            for _ in 0..=rng.below(2) {
                let place = rng.below(request.len().min(48) as u64) as usize;
                request[place] = rng.next_u64() as u8;
            }
            if request[0] == 0x45 && rng.chance(0.9) {
                seal(&mut request);
            }
            let mut expected = request.clone();
            let verdict = host.turn_round(&mut expected);
            match answer(&program, &framed(OUR_MAC, PEER_MAC, &request)) {
                None => passed += 1,
                Some(told) => {
                    let kind = told[12..14].to_vec();
                    assert!(verdict.is_ok(), "{} as {request:02x?}: {verdict:?}", row.name);
                    assert_eq!(told[14..], expected, "{} as {request:02x?}", row.name);
                    assert_eq!(kind, framed(OUR_MAC, PEER_MAC, &request)[12..14]);
                    answered += 1;
                }
            }
        }
    }
    assert!(
        answered > 1_000 && passed > 1_000,
        "{answered} answered, {passed} passed up"
    );
}

#[test]
fn in_native_mode_what_a_device_is_to_finish_is_passed_up() {
    let native = XdpOptions {
        mode: XdpMode::Native,
        ..options()
    };
    let generic = program("generic mode", &options());
    let (Some(native), Some(generic)) = (program("native mode", &native), generic) else {
        return;
    };
    let (from, to) = ("198.51.100.9", "192.0.2.7");
    let (from, to) = (from.parse().expect("an address"), to.parse().expect("an address"));
    // TCP, SCTP, and one that nobody knows: twenty octets, with a checksum in the place of TCP's.
    for (protocol, is_passed_whole) in [(6, false), (132, true), (253, false)] {
        let left = pseudo_sum(from, to, protocol, 20);
        for check in [left, left ^ 1] {
            let mut request = hex("4500002812344000400000000000000000000000").expect("digits");
            request[9] = protocol;
            request[12..16].copy_from_slice(&[198, 51, 100, 9]);
            request[16..20].copy_from_slice(&[192, 0, 2, 7]);
            seal(&mut request);
            request.resize(40, 5);
            request[36..38].copy_from_slice(&check.to_be_bytes());
            let frame = framed(OUR_MAC, PEER_MAC, &request);
            assert!(answer(&generic, &frame).is_some(), "protocol {protocol}");
            let is_passed = is_passed_whole || protocol == 6 && check == left;
            assert_eq!(
                answer(&native, &frame).is_none(),
                is_passed,
                "protocol {protocol}, {check:#06x}"
            );
        }
    }
}
