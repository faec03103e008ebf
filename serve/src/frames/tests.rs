use super::*;
use crate::harness::{SECRET, Sent, World, stamp, tally};
use halloo_base::{Env, Mono, Verdict};

const DEVICE: LinkId = LinkId(4);
const OURS: [u8; 6] = [2, 0, 0, 0, 0, 1];
const PEER: [u8; 6] = [2, 0, 0, 0, 0, 9];

/// Turns a datagram round and takes a hop, without any of the care that the real one takes.
struct Swap;

impl Responder for Swap {
    fn respond(&mut self, _env: &mut Env<'_>, rx: &Datagram<'_>, reply: &mut [u8]) -> Verdict {
        assert_eq!(rx.payload, reply, "a reply starts as a copy of its request");
        let (hop, source, len) = if reply[0] >> 4 == 4 {
            (8, 12, 4)
        } else {
            (7, 8, 16)
        };
        reply[hop] -= 1;
        let (left, right) = reply[source..source + 2 * len].split_at_mut(len);
        left.swap_with_slice(right);
        Verdict::Reply(reply.len())
    }
}

fn frame(destination: [u8; 6], kind: u16, packet: &[u8]) -> Vec<u8> {
    let head = Header {
        destination,
        source: PEER,
        kind,
    };
    [&head.emit(), packet].concat()
}

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
        let addresses = ["192.0.2.77", "2001:db8::77"].map(|text| text.parse().expect("an address"));
        let mut options = FrameServerOptions::new(DEVICE, OURS, addresses.to_vec(), SECRET);
        change(&mut options);
        let (counters, neighbours) = (Arc::new(Counters::default()), Arc::new(Counters::default()));
        let server = FrameServer::new(options, Box::new(Swap), counters.clone(), neighbours.clone())
            .expect("options in range");
        Bench {
            server,
            world: World::new(),
            counters,
            neighbours,
        }
    }

    /// The frames that come back for one.
    fn hand(&mut self, bytes: &[u8], offload: Offload) -> Vec<Vec<u8>> {
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

#[test]
fn who_asks_for_an_ipv4_address_is_told_our_mac() {
    let mut bench = Bench::new();
    let request = frame(
        ethernet::BROADCAST,
        ARP,
        &[
            0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 9, 192, 0, 2, 9, 0, 0, 0, 0, 0, 0, 192, 0, 2, 77,
        ],
    );
    let expected = [
        2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, 1, 8, 6, 0, 1, 8, 0, 6, 4, 0, 2, 2, 0, 0, 0, 0, 1, 192, 0, 2, 77, 2,
        0, 0, 0, 0, 9, 192, 0, 2, 9,
    ];
    assert_eq!(bench.hand(&request, Offload::default()), [expected]);
    assert_eq!(tally(&bench.neighbours), "1 in, 1 out");
    assert_eq!(tally(&bench.counters), "0 in, 0 out");
}
