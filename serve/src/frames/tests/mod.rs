use super::*;
use crate::harness::{SECRET, Sent, World, stamp, tally};
use halloo_base::{Env, Mono, Unreachable, UnreachableError, Verdict};
use proptest::prelude::*;

mod neighbours;

const DEVICE: LinkId = LinkId(4);
const OURS: [u8; 6] = [2, 0, 0, 0, 0, 1];
const PEER: [u8; 6] = [2, 0, 0, 0, 0, 9];
const ECHO_V4: [u8; 4] = [192, 0, 2, 77];
const PEER_V4: [u8; 4] = [198, 51, 100, 9];
const ECHO_V6: &str = "2001:db8::77";
const PEER_V6: &str = "2001:db8::9";

/// Turns a datagram round and takes a hop, without any of the care that the real one takes.
struct Swap;

impl Responder for Swap {
    fn respond(&mut self, _env: &mut Env<'_>, rx: &Datagram<'_>, reply: &mut [u8]) -> Verdict {
        assert_eq!(rx.payload, reply, "a reply starts as a copy of its request");
        let v4 = reply[0] >> 4 == 4;
        let (hop, source, len) = if v4 { (8, 12, 4) } else { (7, 8, 16) };
        reply[hop] = reply[hop].saturating_sub(1);
        let (left, right) = reply[source..source + 2 * len].split_at_mut(len);
        left.swap_with_slice(right);
        Verdict::Reply(reply.len())
    }
}

/// A server with the echo addresses above, and its surroundings.
struct Bench {
    server: FrameServer,
    world: World,
    counters: Arc<Counters>,
    neighbours: Arc<Counters>,
}

impl Bench {
    fn new() -> Bench {
        Bench::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut FrameServerOptions)) -> Bench {
        Bench::around(Box::new(Swap), change)
    }

    fn around(responder: Box<dyn Responder>, change: impl FnOnce(&mut FrameServerOptions)) -> Bench {
        let addresses = vec![ECHO_V4.into(), ECHO_V6.parse().expect("an address")];
        let mut options = FrameServerOptions::new(DEVICE, OURS, addresses, SECRET);
        change(&mut options);
        let (counters, neighbours) = (Arc::new(Counters::default()), Arc::new(Counters::default()));
        let server = FrameServer::new(options, responder, counters.clone(), neighbours.clone())
            .expect("options in range");
        Bench {
            server,
            world: World::new(),
            counters,
            neighbours,
        }
    }

    /// The frames that come back for one.
    fn hand(&mut self, bytes: &[u8]) -> Vec<Vec<u8>> {
        self.hand_with(bytes, Offload::default())
    }

    fn hand_with(&mut self, bytes: &[u8], offload: Offload) -> Vec<Vec<u8>> {
        let rx = Frame {
            link: DEVICE,
            at: stamp(Mono(0)),
            bytes,
            offload,
        };
        let sent = self.world.tell(&mut self.server, Input::Frame(rx));
        let bytes = |sent| match sent {
            Sent::Frame(DEVICE, bytes) => bytes,
            other => panic!("{other:?}"),
        };
        sent.into_iter().map(bytes).collect()
    }
}

fn frame(destination: [u8; 6], source: [u8; 6], kind: u16, packet: &[u8]) -> Vec<u8> {
    [&destination[..], &source, &kind.to_be_bytes(), packet].concat()
}

fn v4(source: [u8; 4], destination: [u8; 4], ttl: u8, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x45, 0, 0, 20 + payload.len() as u8, 0, 0, 0, 0, ttl, 253, 0, 0];
    packet.extend(source);
    packet.extend(destination);
    packet.extend(payload);
    packet
}

fn v6(source: &str, destination: &str, hops: u8, next: u8, payload: &[u8]) -> Vec<u8> {
    let octets = |text: &str| match text.parse().expect("an address") {
        IpAddr::V6(ip) => ip.octets(),
        IpAddr::V4(ip) => panic!("{ip}"),
    };
    let mut packet = vec![0x60, 0, 0, 0, 0, payload.len() as u8, next, hops];
    packet.extend(octets(source));
    packet.extend(octets(destination));
    packet.extend(payload);
    packet
}

fn request_v4(payload: &[u8]) -> Vec<u8> {
    frame(OURS, PEER, IPV4, &v4(PEER_V4, ECHO_V4, 64, payload))
}

#[test]
fn a_datagram_goes_back_to_the_station_it_came_from_with_one_hop_less() {
    let mut bench = Bench::new();
    let answer = bench.hand(&request_v4(b"halloo"));
    assert_eq!(
        answer,
        [frame(PEER, OURS, IPV4, &v4(ECHO_V4, PEER_V4, 63, b"halloo"))]
    );
    let request = frame(OURS, PEER, IPV6, &v6(PEER_V6, ECHO_V6, 64, 253, b"halloo"));
    let expected = frame(PEER, OURS, IPV6, &v6(ECHO_V6, PEER_V6, 63, 253, b"halloo"));
    assert_eq!(bench.hand(&request), [expected]);
    assert_eq!(tally(&bench.counters), "2 in, 2 out");
    assert_eq!(tally(&bench.neighbours), "0 in, 0 out");
    let all = bench.counters.snapshot();
    assert_eq!((all.received_bytes, all.replied_bytes), (40 + 60, 40 + 60));
}

#[test]
fn the_padding_of_a_short_frame_is_not_part_of_the_datagram() {
    let mut bench = Bench::new();
    let mut request = request_v4(b"hi");
    request.resize(60, 0xaa);
    let expected = frame(PEER, OURS, IPV4, &v4(ECHO_V4, PEER_V4, 63, b"hi"));
    assert_eq!(bench.hand(&request), [expected]);
}

#[test]
fn a_datagram_that_is_cut_short_is_the_responders_to_judge() {
    let mut bench = Bench::new();
    let mut request = request_v4(b"halloo");
    request.truncate(request.len() - 2);
    assert_eq!(bench.hand(&request).len(), 1, "this responder does not mind");
}

#[test]
fn a_frame_that_is_not_for_us_is_counted_and_not_answered() {
    let good = v4(PEER_V4, ECHO_V4, 64, b"x");
    let from = |source: [u8; 4]| frame(OURS, PEER, IPV4, &v4(source, ECHO_V4, 64, b"x"));
    let to = |destination: [u8; 4]| frame(OURS, PEER, IPV4, &v4(PEER_V4, destination, 64, b"x"));
    let solicited = "ff02::1:ff00:77";
    let table = [
        (
            "to everybody",
            frame([0xff; 6], PEER, IPV4, &good),
            Reason::NotUnicast,
        ),
        (
            "to a group",
            frame([1, 0, 0x5e, 0, 0, 1], PEER, IPV4, &good),
            Reason::NotUnicast,
        ),
        (
            "to another station",
            frame(PEER, PEER, IPV4, &good),
            Reason::NotUnicast,
        ),
        (
            "from a group",
            frame(OURS, [3, 0, 0, 0, 0, 9], IPV4, &good),
            Reason::BogonSource,
        ),
        (
            "from nobody",
            frame(OURS, [0; 6], IPV4, &good),
            Reason::BogonSource,
        ),
        (
            "from ourselves",
            frame(OURS, OURS, IPV4, &good),
            Reason::BogonSource,
        ),
        ("to another host", to([192, 0, 2, 78]), Reason::NotEchoAddress),
        (
            "to a multicast address",
            to([224, 0, 0, 1]),
            Reason::NotEchoAddress,
        ),
        ("from nowhere", from([0, 0, 0, 0]), Reason::BogonSource),
        (
            "from a multicast address",
            from([239, 1, 2, 3]),
            Reason::BogonSource,
        ),
        ("from loopback", from([127, 0, 0, 1]), Reason::BogonSource),
        ("from the echo address", from(ECHO_V4), Reason::BogonSource),
        ("from who is denied", from([203, 0, 113, 5]), Reason::Denied),
        (
            "IPv4 that says it is IPv6",
            frame(OURS, PEER, IPV6, &good),
            Reason::Malformed,
        ),
        (
            "with a VLAN tag",
            frame(OURS, PEER, 0x8100, &[&[0, 7, 8, 0], &good[..]].concat()),
            Reason::Malformed,
        ),
        (
            "of another protocol",
            frame(OURS, PEER, 0x88cc, b"lldp"),
            Reason::Malformed,
        ),
        (
            "a datagram that says it is shorter than its header",
            request_v4(b"")
                .into_iter()
                .enumerate()
                .map(|(at, byte)| if at == 17 { 19 } else { byte })
                .collect(),
            Reason::Malformed,
        ),
        (
            "a header that is cut",
            request_v4(b"")[..14 + 19].to_vec(),
            Reason::Malformed,
        ),
        (
            "a frame that is cut",
            request_v4(b"")[..13].to_vec(),
            Reason::Malformed,
        ),
        ("nothing", vec![], Reason::Malformed),
        (
            "to a solicited-node group, but no question",
            frame(OURS, PEER, IPV6, &v6(PEER_V6, solicited, 64, 17, b"x")),
            Reason::NotEchoAddress,
        ),
    ];
    for (what, request, why) in table {
        let mut bench = Bench::with(|options| {
            options.guards.access.deny = vec!["203.0.113.0/24".parse().expect("a prefix")];
        });
        assert_eq!(bench.hand(&request), [] as [Vec<u8>; 0], "{what}");
        let expected = format!("1 in, 0 out, 1 {}", why.name());
        assert_eq!(tally(&bench.counters), expected, "{what}");
        assert_eq!(tally(&bench.neighbours), "0 in, 0 out", "{what}");
    }
}

#[test]
fn offsets_count_from_the_frame_outside_and_from_the_datagram_inside() {
    struct Look(Offload);
    impl Responder for Look {
        fn respond(&mut self, env: &mut Env<'_>, rx: &Datagram<'_>, reply: &mut [u8]) -> Verdict {
            assert_eq!(rx.offload, self.0);
            Swap.respond(env, rx, reply)
        }
    }
    let outside = Offload {
        flags: 1,
        segmentation: 1,
        header_len: 54,
        segment_size: 1_460,
        checksum_start: 34,
        checksum_offset: 16,
    };
    let inside = Offload {
        header_len: 40,
        checksum_start: 20,
        ..outside
    };
    let nothing = Offload::default();
    for (outside, inside) in [(outside, inside), (nothing, nothing)] {
        let mut bench = Bench::around(Box::new(Look(inside)), |_| {});
        assert_eq!(bench.hand_with(&request_v4(b"x"), outside).len(), 1);
        assert_eq!(bench.world.offloads, [outside]);
    }
    let into_the_header = Offload {
        checksum_start: 13,
        ..outside
    };
    let mut bench = Bench::new();
    assert_eq!(bench.hand_with(&request_v4(b"x"), into_the_header).len(), 0);
    assert_eq!(tally(&bench.counters), "1 in, 0 out, 1 malformed");
}

#[test]
fn a_frame_to_be_cut_costs_what_its_segments_cost() {
    let mut bench = Bench::with(|options| {
        options.guards.limits.per_source = Some(Rate {
            per_second: 1,
            burst: 5,
        });
    });
    let to_be_cut = Offload {
        segmentation: 5,
        header_len: 14 + 28,
        segment_size: 10,
        ..Offload::default()
    };
    let request = request_v4(&[0; 8 + 2 * 10]);
    let answered: Vec<_> = (0..3)
        .map(|_| bench.hand_with(&request, to_be_cut).len())
        .collect();
    assert_eq!(answered, [1, 1, 0]);
    assert_eq!(bench.hand(&request).len(), 1, "one more is left");
    assert_eq!(tally(&bench.counters), "4 in, 3 out, 1 rate_limited");
}

#[test]
fn what_the_host_would_not_send_is_counted() {
    let mut bench = Bench::new();
    let report = |reporter| Unreachable {
        path: crate::harness::path("0.0.0.0:0", "0.0.0.0:0"),
        tag: None,
        reporter,
        error: UnreachableError(105),
        mtu: None,
    };
    let told = bench
        .world
        .tell(&mut bench.server, Input::Unreachable(report(None), &[]));
    assert_eq!(told, []);
    let from_afar = report(Some(PEER_V4.into()));
    bench
        .world
        .tell(&mut bench.server, Input::Unreachable(from_afar, &[]));
    assert_eq!(tally(&bench.counters), "0 in, 0 out, 1 send_failed");
}

#[test]
fn told_to_stop_it_answers_nothing_more_and_is_finished() {
    let mut bench = Bench::new();
    assert!(!bench.server.finished() && bench.server.deadline().is_none());
    bench.world.tell(&mut bench.server, Input::Stop);
    assert!(bench.server.finished());
    assert_eq!(bench.hand(&request_v4(b"x")).len(), 0);
    assert_eq!(tally(&bench.counters), "0 in, 0 out");
}

#[test]
fn options_out_of_range_make_no_server() {
    let made = |change: fn(&mut FrameServerOptions)| {
        let mut options = FrameServerOptions::new(DEVICE, OURS, vec![], SECRET);
        change(&mut options);
        FrameServer::new(options, Box::new(Swap), Arc::default(), Arc::default()).is_ok()
    };
    assert!(made(|_| {}));
    assert!(!made(|options| options.guards.limits.sources = 0));
    assert!(!made(|options| options.neighbour_limits.sources = 0));
}

proptest! {
    /// No frame brings it down, or is answered by more than itself. One answer may be longer: the first contact of a
    /// host that looks whether its address is free has no room for the MAC address that the answer must tell.
    #[test]
    fn any_frame_ends_in_at_most_one_answer_that_is_no_longer(
        seed in any::<u64>(),
        kind in prop_oneof![Just(IPV4), Just(IPV6), Just(ARP), any::<u16>()],
        len in 0usize..200,
    ) {
        let mut bench = Bench::new();
        let mut noise = halloo_base::Rng::new(seed);
        let good = match kind {
            IPV4 => request_v4(b"halloo"),
            ARP => neighbours::arp_request(PEER_V4, ECHO_V4),
            _ => neighbours::solicitation(),
        };
        for _ in 0..50 {
            let mut bytes = good.clone();
            bytes.resize(bytes.len().max(len), 0);
            for _ in 0..noise.below(4) {
                let at = noise.below(bytes.len() as u64) as usize;
                bytes[at] = noise.next_u64() as u8;
            }
            bytes.truncate(bytes.len() - noise.below(3) as usize);
            let sent = bench.hand(&bytes);
            prop_assert!(sent.len() <= 1);
            prop_assert!(sent.iter().all(|answer| answer.len() <= bytes.len().max(14 + 72)));
        }
        let (frames, questions) = (bench.counters.snapshot(), bench.neighbours.snapshot());
        let endings = |all: &halloo_base::Snapshot| all.replied + all.silent.iter().map(|(_, n)| n).sum::<u64>();
        prop_assert_eq!(frames.received + questions.received, 50);
        prop_assert_eq!(endings(&frames) + endings(&questions), 50);
    }
}
