//! UDP echo and structured probes, by the program and by the responder of user space.

use crate::frames::{OUR_V4, OUR_V6, Sum, Udp, answer, seal};
use crate::{options, program};
use halloo_base::{
    Clock, Datagram, Env, LinkId, Marks, Mono, Offload, Path, Responder, Rng, Stamp, StampSource, Verdict,
    Wall,
};
use halloo_io::{SystemClock, Xdp, XdpMode, XdpOptions};
use halloo_protocols::echo::wire::Probe;
use halloo_protocols::echo::{UdpEcho, UdpEchoOptions};

const PEERS: [&str; 2] = ["198.51.100.9:40000", "[2001:db8:1::9]:40000"];

/// What depends on when it was done: T2, the residence, and the follow-up, which only user space can tell.
const STAMPS: [std::ops::Range<usize>; 2] = [32..48, 52..53];

/// The responder of user space, without a network around it.
struct UserSpace(UdpEcho);

impl UserSpace {
    fn new() -> UserSpace {
        let options = UdpEchoOptions {
            min_interval: std::time::Duration::from_millis(2),
            ..UdpEchoOptions::default()
        };
        UserSpace(UdpEcho::new(options, [7; 32]))
    }

    fn answer(&mut self, asked: &Udp) -> Option<Vec<u8>> {
        let at = Stamp {
            mono: Mono(5),
            wall: Wall(6),
            source: StampSource::Kernel,
        };
        let rx = Datagram {
            path: Path {
                link: LinkId(1),
                local: asked.to,
                remote: asked.from,
            },
            at,
            marks: Marks {
                tos: asked.tos,
                ttl: Some(asked.ttl),
            },
            payload: &asked.payload,
            offload: Offload::default(),
        };
        let mut rng = Rng::new(1);
        let mut env = Env {
            now: at.mono,
            clock: &SystemClock,
            rng: &mut rng,
        };
        let mut reply = asked.payload.clone();
        match self.0.respond(&mut env, &rx, &mut reply) {
            Verdict::Reply(len) | Verdict::ReplyStamped(len, _) | Verdict::ReplyFrom(len, _) => {
                Some(reply[..len].to_vec())
            }
            Verdict::Silent(_) => None,
        }
    }
}

fn xdp(test: &str) -> Option<Xdp> {
    let options = XdpOptions {
        min_interval: 20,
        ..options()
    };
    program(test, &options)
}

fn probe(token: u64, seq: u32) -> Vec<u8> {
    let mut bytes = vec![0; 64];
    let probe = Probe {
        t1: Wall(77),
        ..Probe::request(token, seq, false, false)
    };
    probe.emit(&mut bytes).expect("room");
    bytes
}

fn without_stamps(mut reply: Vec<u8>) -> Vec<u8> {
    STAMPS.into_iter().for_each(|range| reply[range].fill(0));
    reply
}

#[test]
fn every_payload_comes_back_as_it_was() {
    let Some(program) = xdp("plain UDP echo") else {
        return;
    };
    for peer in PEERS {
        for sum in [Sum::Whole, Sum::Partial, Sum::None, Sum::Wrong] {
            for size in (0..80).chain([1000, 1452]) {
                let payload: Vec<u8> = (0..size).map(|at| at as u8).collect();
                let asked = Udp {
                    sum,
                    ..Udp::new(peer, &payload)
                };
                match answer(&program, &asked.frame()) {
                    Some(frame) => assert_eq!(asked.answer(&frame), payload),
                    None => assert!(
                        sum == Sum::None && asked.from.is_ipv6(),
                        "{asked:?} was passed up"
                    ),
                }
            }
        }
    }
}

#[test]
fn answers_have_the_marks_of_their_requests_but_for_congestion() {
    let Some(program) = xdp("marks of answers") else {
        return;
    };
    for peer in PEERS {
        for tos in 0..=255 {
            let asked = Udp {
                tos,
                ..Udp::new(peer, b"halloo")
            };
            let frame = answer(&program, &asked.frame()).expect("an answer");
            assert_eq!(asked.answer(&frame), b"halloo", "{tos:#x}");
        }
    }
}

#[test]
fn probes_are_answered_as_user_space_answers_them() {
    let Some(program) = xdp("structured probes") else {
        return;
    };
    let mut user_space = UserSpace::new();
    let mut rng = Rng::new(9);
    for peer in PEERS {
        for sum in [Sum::Whole, Sum::Partial] {
            for start in [0u32, 5, 0x7fff_fff0, u32::MAX - 30] {
                let token = rng.next_u64();
                let mut seq = start;
                for step in 0..600 {
                    // Mostly in order, with gaps, repetitions and late ones from near and far.
                    let jump = match rng.below(10) {
                        0 => rng.below(300) as u32,
                        1 => (rng.below(130) as u32).wrapping_neg(),
                        2 => 0,
                        _ => 1,
                    };
                    seq = seq.wrapping_add(jump);
                    let asked = Udp {
                        sum,
                        ..Udp::new(peer, &probe(token, seq))
                    };
                    let frame = answer(&program, &asked.frame()).expect("an answer");
                    let told = without_stamps(asked.answer(&frame).to_vec());
                    let expected = without_stamps(user_space.answer(&asked).expect("an answer"));
                    assert_eq!(
                        told, expected,
                        "{asked:?}, number {seq}, step {step} from {start}"
                    );
                }
            }
        }
    }
}

#[test]
fn stamps_are_of_now_and_in_order() {
    let Some(program) = xdp("stamps of probes") else {
        return;
    };
    let before = SystemClock.stamp();
    program.set_clock().expect("the clock is set");
    let asked = Udp::new(PEERS[0], &probe(1, 0));
    let frame = answer(&program, &asked.frame()).expect("an answer");
    let after = SystemClock.stamp();
    let told = Probe::parse(asked.answer(&frame)).expect("a probe");
    assert!(
        (before.wall..=after.wall).contains(&told.t2),
        "{before:?} {told:?} {after:?}"
    );
    let residence = u64::from(told.residence.expect("it is known"));
    assert!(told.t2.0 + residence <= after.wall.0, "{told:?} {after:?}");
    assert!(told.flags.kernel_stamp && told.flags.reply);
}

#[test]
fn what_only_user_space_can_answer_is_passed_up() {
    let Some(program) = xdp("probes for user space") else {
        return;
    };
    let bent = |place: usize, value: u8| {
        let mut bytes = probe(3, 4);
        bytes[place] = value;
        bytes
    };
    let padded = |size: usize| {
        let mut bytes = probe(3, 4);
        bytes.resize(size, 0);
        bytes
    };
    let table = [
        ("a reply", bent(5, 0x80)),
        ("a signed probe", bent(5, 0x20)),
        ("another version", bent(4, 2)),
        ("another length", bent(7, 65)),
        ("a probe cut short", probe(3, 4)[..63].to_vec()),
        ("the magic alone", probe(3, 4)[..4].to_vec()),
        ("padding", padded(65)),
        ("a Binding request of STUN", stun(1)),
        (
            "two probes that the sender's kernel left to be cut",
            [probe(3, 4), probe(3, 5)].concat(),
        ),
    ];
    for peer in PEERS {
        for (name, payload) in &table {
            let asked = Udp::new(peer, payload);
            assert_eq!(answer(&program, &asked.frame()), None, "{name}");
        }
        for sum in [Sum::Wrong, Sum::None] {
            let asked = Udp {
                sum,
                ..Udp::new(peer, &probe(3, 4))
            };
            // Over IPv4 a datagram may go without.
            let is_fine = sum == Sum::None && asked.from.is_ipv4();
            assert_eq!(answer(&program, &asked.frame()).is_some(), is_fine, "{asked:?}");
        }
    }
}

/// A STUN message of this type without attributes (RFC 8489 section 5).
fn stun(kind: u8) -> Vec<u8> {
    [&[0, kind, 0, 0, 0x21, 0x12, 0xa4, 0x42][..], &[7; 12]].concat()
}

#[test]
fn what_only_begins_like_a_binding_request_is_echoed() {
    let Some(program) = xdp("what is nearly STUN") else {
        return;
    };
    let mut other_cookie = stun(1);
    other_cookie[7] ^= 1;
    for payload in [stun(17), other_cookie, stun(1)[..19].to_vec()] {
        for peer in PEERS {
            let asked = Udp::new(peer, &payload);
            let frame = answer(&program, &asked.frame()).expect("an echo");
            assert_eq!(asked.answer(&frame), payload);
        }
    }
}

#[test]
fn with_a_key_user_space_answers_all_probes() {
    let options = XdpOptions {
        probes: false,
        ..options()
    };
    let Some(program) = program("probes with a key", &options) else {
        return;
    };
    assert_eq!(answer(&program, &Udp::new(PEERS[0], &probe(1, 2)).frame()), None);
    assert!(answer(&program, &Udp::new(PEERS[0], b"plain").frame()).is_some());
}

#[test]
fn fragments_options_and_extension_headers_are_passed_up() {
    let Some(program) = xdp("fragments and options") else {
        return;
    };
    let whole = Udp::new(PEERS[0], b"hello").frame();
    assert!(answer(&program, &whole).is_some());
    for fragment in [0x2000u16, 0x2001, 1, 0x1fff] {
        let mut frame = whole.clone();
        frame[20..22].copy_from_slice(&fragment.to_be_bytes());
        seal(&mut frame[14..]);
        assert_eq!(answer(&program, &frame), None, "{fragment:#06x}");
    }
    let mut options = whole.clone();
    options[14] = 0x46;
    options[16..18].copy_from_slice(&37u16.to_be_bytes());
    seal(&mut options[14..]);
    // Two no-operations and two ends of the list, which change no sum but by the first word.
    let sum = u16::from_be_bytes([options[24], options[25]]) - 0x0101;
    options[24..26].copy_from_slice(&sum.to_be_bytes());
    options.splice(34..34, [1, 1, 0, 0]);
    assert_eq!(answer(&program, &options), None, "options");
    let plain = Udp::new(PEERS[1], b"hello").frame();
    for extension in [0, 43, 44, 51, 60] {
        let mut frame = plain.clone();
        frame[18..20].copy_from_slice(&21u16.to_be_bytes());
        frame[20] = extension;
        frame.splice(54..54, [17, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(answer(&program, &frame), None, "next header {extension}");
    }
}

#[test]
fn other_ports_and_addresses_are_passed_up() {
    let Some(mut program) = xdp("what is not listened on") else {
        return;
    };
    let plain = |peer: &str| Udp::new(peer, b"hello");
    for peer in PEERS {
        let mut other_port = plain(peer);
        other_port.to.set_port(7778);
        assert_eq!(answer(&program, &other_port.frame()), None);
        let mut nobody = plain(peer);
        nobody.from.set_port(0);
        assert_eq!(answer(&program, &nobody.frame()), None);
        for length in [12, 14] {
            let mut frame = plain(peer).frame();
            let udp = frame.len() - 13;
            frame[udp + 5] = length;
            assert_eq!(answer(&program, &frame), None, "UDP says {length} octets");
        }
    }
    let mut other_address = plain(PEERS[0]);
    other_address
        .to
        .set_ip("198.51.100.2".parse().expect("an address"));
    assert_eq!(answer(&program, &other_address.frame()), None);
    program
        .set_addresses(&["198.51.100.2".parse().expect("an address")])
        .expect("new addresses");
    assert!(answer(&program, &other_address.frame()).is_some());
    assert_eq!(
        answer(&program, &plain(PEERS[0]).frame()),
        None,
        "the address is gone"
    );
}

#[test]
fn bogon_sources_are_left_to_user_space() {
    let Some(program) = xdp("bogon sources") else {
        return;
    };
    let sources = [
        "0.0.0.0",
        "0.1.2.3",
        "127.0.0.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "198.51.100.1",
    ];
    let sources = sources.into_iter().map(|ip| format!("{ip}:40000"));
    let v6 = ["::", "::1", "ff02::1", "fe80::9", "::ffff:198.51.100.9"].map(|ip| format!("[{ip}]:40000"));
    for source in sources.chain(v6) {
        assert_eq!(
            answer(&program, &Udp::new(&source, b"hello").frame()),
            None,
            "{source}"
        );
    }
}

#[test]
fn addresses_that_no_wire_leads_to_are_left_to_user_space() {
    let address = |text: &str| text.parse().expect("an address");
    let all = ["127.0.0.1", "::1", OUR_V4, OUR_V6].map(address);
    let options = XdpOptions {
        addresses: all.to_vec(),
        ..options()
    };
    let Some(program) = program("addresses of no wire", &options) else {
        return;
    };
    let answered = |peer: &str, to: &str| {
        let mut asked = Udp::new(peer, b"hello");
        asked.to.set_ip(address(to));
        answer(&program, &asked.frame()).is_some()
    };
    assert!(answered(PEERS[0], OUR_V4) && answered(PEERS[1], OUR_V6));
    assert!(!answered(PEERS[0], "127.0.0.1"));
    // An IPv4 address in IPv6 form is no address of this host, though a map may take one for the other.
    for to in [
        "::1",
        "::ffff:127.0.0.1",
        "::ffff:198.51.100.1",
        "::ffff:192.0.2.7",
    ] {
        assert!(!answered(PEERS[1], to), "{to}");
    }
}

#[test]
fn in_native_mode_what_a_device_is_to_finish_is_passed_up() {
    let native = XdpOptions {
        mode: XdpMode::Native,
        ..options()
    };
    let Some(program) = program("native mode", &native) else {
        return;
    };
    for peer in PEERS {
        for (sum, is_answered) in [(Sum::Whole, true), (Sum::Partial, false)] {
            for payload in [b"plain".to_vec(), probe(1, 2)] {
                let mut asked = Udp {
                    sum,
                    ..Udp::new(peer, &payload)
                };
                let told = answer(&program, &asked.frame());
                assert_eq!(told.is_some(), is_answered, "{asked:?}");
                // Through the IP echo host too.
                let echo = if asked.from.is_ipv4() {
                    "192.0.2.7"
                } else {
                    "2001:db8::7"
                };
                asked.to.set_ip(echo.parse().expect("an address"));
                let told = answer(&program, &asked.frame());
                assert_eq!(told.is_some(), is_answered, "{asked:?}");
            }
        }
    }
}

#[test]
fn broadcast_addresses_of_this_host_are_left_to_user_space() {
    let Some(program) = xdp("broadcast sources") else {
        return;
    };
    let asked = Udp::new("198.51.100.255:40000", b"hello");
    assert!(answer(&program, &asked.frame()).is_some());
    let broadcasts = ["198.51.100.255".parse().expect("an address")];
    program.set_broadcasts(&broadcasts).expect("told");
    assert_eq!(answer(&program, &asked.frame()), None);
    assert!(answer(&program, &Udp::new("198.51.100.254:40000", b"hello").frame()).is_some());
}
