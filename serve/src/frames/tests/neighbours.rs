//! Questions where an address is.

use super::*;

const OTHER_V4: [u8; 4] = [192, 0, 2, 78];

pub(super) fn arp_request(sender: [u8; 4], target: [u8; 4]) -> Vec<u8> {
    frame([0xff; 6], PEER, ARP, &arp(1, PEER, sender, [0; 6], target))
}

fn arp(operation: u8, from: [u8; 6], sender: [u8; 4], to: [u8; 6], target: [u8; 4]) -> Vec<u8> {
    let head = [0, 1, 8, 0, 6, 4, 0, operation];
    [&head[..], &from, &sender, &to, &target].concat()
}

/// The question for the IPv6 echo address as a host asks it at first.
pub(super) fn solicitation() -> Vec<u8> {
    frame(
        [0x33, 0x33, 0xff, 0, 0, 0x77],
        PEER,
        IPV6,
        &Question::default().packet(),
    )
}

/// A neighbour solicitation whose parts a test may change. Its checksum is right.
struct Question {
    source: &'static str,
    destination: &'static str,
    target: &'static str,
    hops: u8,
    code: u8,
    options: Vec<u8>,
}

impl Default for Question {
    fn default() -> Question {
        Question {
            source: PEER_V6,
            destination: "ff02::1:ff00:77",
            target: ECHO_V6,
            hops: 255,
            code: 0,
            options: [&[1, 1][..], &PEER].concat(),
        }
    }
}

impl Question {
    fn packet(&self) -> Vec<u8> {
        let target: std::net::Ipv6Addr = self.target.parse().expect("an address");
        let mut message = vec![135, self.code, 0, 0, 0, 0, 0, 0];
        message.extend(target.octets());
        message.extend(&self.options);
        let mut packet = v6(self.source, self.destination, self.hops, 58, &message);
        let sum = sum(&packet);
        packet[42..44].copy_from_slice(&sum.to_be_bytes());
        packet
    }
}

/// The ICMPv6 checksum of a packet, in the plainest way.
fn sum(packet: &[u8]) -> u16 {
    let mut bytes = packet[8..].to_vec();
    bytes.extend((packet.len() as u32 - 40).to_be_bytes());
    bytes.extend([0, 0, 0, 58]);
    let mut sum = 0u32;
    for pair in bytes.chunks(2) {
        sum += u32::from(pair[0]) * 256 + u32::from(*pair.get(1).unwrap_or(&0));
        sum = sum % 65_536 + sum / 65_536;
    }
    !(sum as u16)
}

fn hex(text: &str) -> Vec<u8> {
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("hex"))
        .collect()
}

#[test]
fn who_asks_for_an_ipv4_address_is_told_our_mac() {
    let mut bench = Bench::new();
    let told = |target| frame(PEER, OURS, ARP, &arp(2, OURS, ECHO_V4, PEER, target));
    assert_eq!(bench.hand(&arp_request(PEER_V4, ECHO_V4)), [told(PEER_V4)]);
    // A host that looks whether the address is free (RFC 5227), and one that asks us alone whether we are still there.
    assert_eq!(bench.hand(&arp_request([0; 4], ECHO_V4)), [told([0; 4])]);
    let mut alone = frame(OURS, PEER, ARP, &arp(1, PEER, PEER_V4, OURS, ECHO_V4));
    alone.resize(60, 0);
    assert_eq!(bench.hand(&alone), [told(PEER_V4)]);
    assert_eq!(tally(&bench.neighbours), "3 in, 3 out");
    assert_eq!(tally(&bench.counters), "0 in, 0 out");
}

#[test]
fn other_arp_is_counted_and_not_answered() {
    let request = |sender, target| arp(1, PEER, sender, [0; 6], target);
    let broadcast = |packet: &[u8]| frame([0xff; 6], PEER, ARP, packet);
    let good = request(PEER_V4, ECHO_V4);
    let mut of_tokens = good.clone();
    of_tokens[1] = 6;
    let table = [
        (
            "for another host",
            arp_request(PEER_V4, OTHER_V4),
            Reason::NotEchoAddress,
        ),
        (
            "to another station",
            frame(PEER, PEER, ARP, &good),
            Reason::NotUnicast,
        ),
        (
            "to a group",
            frame([1, 0, 0, 0, 0, 9], PEER, ARP, &good),
            Reason::NotUnicast,
        ),
        (
            "an answer",
            broadcast(&arp(2, PEER, PEER_V4, OURS, ECHO_V4)),
            Reason::Foreign,
        ),
        (
            "a reverse question",
            broadcast(&arp(3, PEER, PEER_V4, OURS, ECHO_V4)),
            Reason::Malformed,
        ),
        ("on another medium", broadcast(&of_tokens), Reason::Malformed),
        ("cut", broadcast(&good[..27]), Reason::Malformed),
        (
            "somebody else with our address",
            arp_request(ECHO_V4, ECHO_V4),
            Reason::OwnAddress,
        ),
        (
            "from a multicast address",
            arp_request([224, 0, 0, 9], ECHO_V4),
            Reason::BogonSource,
        ),
        (
            "from a group",
            frame([0xff; 6], [3, 0, 0, 0, 0, 9], ARP, &good),
            Reason::BogonSource,
        ),
        (
            "from ourselves",
            frame([0xff; 6], OURS, ARP, &good),
            Reason::BogonSource,
        ),
    ];
    for (what, request, why) in table {
        let mut bench = Bench::new();
        assert_eq!(bench.hand(&request), [] as [Vec<u8>; 0], "{what}");
        let expected = format!("1 in, 0 out, 1 {}", why.name());
        assert_eq!(tally(&bench.neighbours), expected, "{what}");
        assert_eq!(tally(&bench.counters), "0 in, 0 out", "{what}");
    }
}

#[test]
fn who_asks_the_group_of_an_ipv6_address_is_told_our_mac() {
    // Both packets were computed apart from this program.
    let question = hex(concat!(
        "6000000000203aff20010db8000000000000000000000009ff0200000000000000000001ff000077",
        "87001b2d0000000020010db80000000000000000000000770101020000000009"
    ));
    let answer = hex(concat!(
        "6000000000203aff20010db800000000000000000000007720010db8000000000000000000000009",
        "880089806000000020010db80000000000000000000000770201020000000001"
    ));
    assert_eq!(Question::default().packet(), question);
    let mut bench = Bench::new();
    assert_eq!(bench.hand(&solicitation()), [frame(PEER, OURS, IPV6, &answer)]);
    assert_eq!(tally(&bench.neighbours), "1 in, 1 out");
    assert_eq!(tally(&bench.counters), "0 in, 0 out");
}

#[test]
fn who_asks_us_alone_is_answered_with_no_more_than_he_sent() {
    let short = Question {
        destination: ECHO_V6,
        options: vec![],
        ..Question::default()
    };
    let answer = hex(concat!(
        "6000000000183aff20010db800000000000000000000007720010db8000000000000000000000009",
        "88008d8a6000000020010db8000000000000000000000077"
    ));
    let mut bench = Bench::new();
    let request = frame(OURS, PEER, IPV6, &short.packet());
    assert_eq!(bench.hand(&request), [frame(PEER, OURS, IPV6, &answer)]);
    let long = Question {
        destination: ECHO_V6,
        ..Question::default()
    };
    let sent = bench.hand(&frame(OURS, PEER, IPV6, &long.packet()));
    assert_eq!(sent[0][14 + 64..], [2, 1, 2, 0, 0, 0, 0, 1]);
}

#[test]
fn who_looks_whether_the_address_is_free_hears_with_everybody_that_it_is_not() {
    let first_contact = Question {
        source: "::",
        options: vec![],
        ..Question::default()
    };
    let answer = hex(concat!(
        "6000000000203aff20010db8000000000000000000000077ff020000000000000000000000000001",
        "8800f83e2000000020010db80000000000000000000000770201020000000001"
    ));
    let mut bench = Bench::new();
    let request = frame(
        [0x33, 0x33, 0xff, 0, 0, 0x77],
        PEER,
        IPV6,
        &first_contact.packet(),
    );
    let everybody = [0x33, 0x33, 0, 0, 0, 1];
    assert_eq!(bench.hand(&request), [frame(everybody, OURS, IPV6, &answer)]);
}

#[test]
fn a_checksum_that_is_not_filled_in_yet_or_was_checked_is_not_checked() {
    let mut request = solicitation();
    request[14 + 42] ^= 1;
    for (flags, answers) in [(0, 0), (1, 1), (2, 1)] {
        let offload = Offload {
            flags,
            ..Offload::default()
        };
        let mut bench = Bench::new();
        assert_eq!(bench.hand_with(&request, offload).len(), answers, "{flags}");
        assert!(
            bench
                .world
                .offloads
                .iter()
                .all(|left| *left == Offload::default())
        );
    }
}

#[test]
fn a_question_that_breaks_a_rule_is_counted_and_not_answered() {
    let group = [0x33, 0x33, 0xff, 0, 0, 0x77];
    let ask = |question: Question| frame(group, PEER, IPV6, &question.packet());
    let good = Question::default;
    let mut wrong_sum = solicitation();
    wrong_sum[14 + 43] ^= 1;
    let table = [
        (
            "forwarded",
            ask(Question { hops: 254, ..good() }),
            Reason::Malformed,
        ),
        (
            "with a code",
            ask(Question { code: 1, ..good() }),
            Reason::Malformed,
        ),
        ("with a wrong checksum", wrong_sum, Reason::Malformed),
        (
            "for a group",
            ask(Question {
                target: "ff02::1:ff00:77",
                ..good()
            }),
            Reason::Malformed,
        ),
        (
            "from a group",
            ask(Question {
                source: "ff02::9",
                ..good()
            }),
            Reason::Malformed,
        ),
        (
            "with an option of no length",
            ask(Question {
                options: vec![1, 0, 2, 0, 0, 0, 0, 9],
                ..good()
            }),
            Reason::Malformed,
        ),
        (
            "with an option that runs over",
            ask(Question {
                options: vec![1, 2, 2, 0, 0, 0, 0, 9],
                ..good()
            }),
            Reason::Malformed,
        ),
        (
            "with half an option",
            ask(Question {
                options: vec![1],
                ..good()
            }),
            Reason::Malformed,
        ),
        (
            "first contact that has a MAC address",
            ask(Question {
                source: "::",
                ..good()
            }),
            Reason::Malformed,
        ),
        (
            "first contact with us alone",
            frame(
                OURS,
                PEER,
                IPV6,
                &Question {
                    source: "::",
                    destination: ECHO_V6,
                    options: vec![],
                    ..good()
                }
                .packet(),
            ),
            Reason::Malformed,
        ),
        (
            "for another address of the group",
            ask(Question {
                target: "2001:db8:1::77",
                ..good()
            }),
            Reason::NotEchoAddress,
        ),
        (
            "to another group",
            ask(Question {
                destination: "ff02::1:ff00:78",
                ..good()
            }),
            Reason::NotUnicast,
        ),
        (
            "to all nodes",
            ask(Question {
                destination: "ff02::1",
                ..good()
            }),
            Reason::NotUnicast,
        ),
        (
            "to another station",
            frame(PEER, PEER, IPV6, &good().packet()),
            Reason::NotUnicast,
        ),
        (
            "to us alone by the group's MAC address",
            ask(Question {
                destination: ECHO_V6,
                ..good()
            }),
            Reason::NotUnicast,
        ),
        (
            "from our own address",
            ask(Question {
                source: ECHO_V6,
                ..good()
            }),
            Reason::OwnAddress,
        ),
        (
            "from a group of stations",
            frame(group, [3, 0, 0, 0, 0, 9], IPV6, &good().packet()),
            Reason::BogonSource,
        ),
        ("cut", solicitation()[..14 + 63].to_vec(), Reason::Malformed),
    ];
    for (what, request, why) in table {
        let mut bench = Bench::new();
        assert_eq!(bench.hand(&request), [] as [Vec<u8>; 0], "{what}");
        let expected = format!("1 in, 0 out, 1 {}", why.name());
        assert_eq!(tally(&bench.neighbours), expected, "{what}");
        assert_eq!(tally(&bench.counters), "0 in, 0 out", "{what}");
    }
}

#[test]
fn what_is_no_question_goes_to_the_responder() {
    let mut bench = Bench::new();
    let ping = v6(PEER_V6, ECHO_V6, 64, 58, &[128, 0, 0, 0, 0, 1, 0, 1]);
    assert_eq!(bench.hand(&frame(OURS, PEER, IPV6, &ping)).len(), 1);
    assert_eq!(tally(&bench.counters), "1 in, 1 out");
    assert_eq!(tally(&bench.neighbours), "0 in, 0 out");
}

#[test]
fn a_station_that_asks_too_often_is_answered_in_its_measure() {
    let mut bench = Bench::with(|options| {
        options.neighbour_limits.per_source = Some(Rate {
            per_second: 10,
            burst: 2,
        });
    });
    // Private addresses have no limit as senders of datagrams, but stations have.
    let ask = |bench: &mut Bench, station| {
        let packet = arp(1, station, [10, 0, 0, 9], [0; 6], ECHO_V4);
        bench.hand(&frame([0xff; 6], station, ARP, &packet)).len()
    };
    let other = [2, 0, 0, 0, 0, 10];
    assert_eq!(
        [PEER, PEER, PEER, other].map(|station| ask(&mut bench, station)),
        [1, 1, 0, 1]
    );
    bench.world.now = Mono(bench.world.now.0 + 100_000_000);
    assert_eq!(ask(&mut bench, PEER), 1);
    assert_eq!(tally(&bench.neighbours), "5 in, 4 out, 1 rate_limited");
}
