//! A server that is busy for years must not allocate for what strangers send it.

use halloo_base::{
    Clock, ConnId, Counters, Cx, Datagram, Env, Frame, Input, LinkId, Machine, Marks, Mono, Next, Offload,
    Outbox, Path, Responder, Rng, Stamp, StampSource, StreamInput, StreamResponder, Verdict, Wall,
};
use halloo_counting::{Counting, allocations};
use halloo_serve::{
    FrameServer, FrameServerOptions, Limits, Rate, Secret, Server, ServerOptions, StreamServer,
    StreamServerOptions,
};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

struct Echo;

impl Responder for Echo {
    fn respond(&mut self, _env: &mut Env<'_>, _rx: &Datagram<'_>, reply: &mut [u8]) -> Verdict {
        Verdict::Reply(reply.len())
    }
}

/// Turns the addresses of an IPv4 datagram round, and nothing else.
struct Turn;

impl Responder for Turn {
    fn respond(&mut self, _env: &mut Env<'_>, _rx: &Datagram<'_>, reply: &mut [u8]) -> Verdict {
        reply[12..20].rotate_left(4);
        Verdict::Reply(reply.len())
    }
}

/// Answers in records of eight bytes.
impl StreamResponder for Echo {
    fn respond(&mut self, _env: &mut Env<'_>, _at: Stamp, rx: &[u8], tx: &mut Vec<u8>) -> (usize, Next) {
        let whole = rx.len() / 8 * 8;
        tx.extend_from_slice(&rx[..whole]);
        (whole, Next::Continue)
    }
}

struct StoppedClock;

impl Clock for StoppedClock {
    fn stamp(&self) -> Stamp {
        Stamp {
            mono: Mono(0),
            wall: Wall(0),
            source: StampSource::User,
        }
    }
}

/// Drives a machine as a driver does: one outbox, used again and again.
struct Driver {
    now: Mono,
    rng: Rng,
    out: Outbox,
    sent: u64,
}

impl Driver {
    fn new() -> Driver {
        Driver {
            now: Mono(1),
            rng: Rng::new(7),
            out: Outbox::new(),
            sent: 0,
        }
    }

    fn tell(&mut self, machine: &mut dyn Machine, input: Input<'_>) {
        let env = Env {
            now: self.now,
            clock: &StoppedClock,
            rng: &mut self.rng,
        };
        machine.handle(
            &mut Cx {
                env,
                out: &mut self.out,
            },
            input,
        );
        self.sent += self.out.len() as u64;
        self.out.clear();
    }

    fn datagram(&mut self, machine: &mut dyn Machine, remote: SocketAddr, payload: &[u8]) {
        let at = StoppedClock.stamp();
        let rx = Datagram {
            path: path(remote),
            at,
            marks: Marks::default(),
            payload,
            offload: Offload::default(),
        };
        self.tell(machine, Input::Datagram(rx));
    }
}

fn path(remote: SocketAddr) -> Path {
    Path {
        link: LinkId(1),
        local: (Ipv4Addr::new(192, 0, 2, 1), 7777).into(),
        remote,
    }
}

#[test]
fn the_counter_counts() {
    assert_eq!(allocations(|| drop(Box::new(1))), 1);
}

#[test]
fn a_datagram_allocates_nothing_whoever_sends_it() {
    let mut options = ServerOptions::new(Secret::new([3; 16]));
    let rate = |per_second, burst| Some(Rate { per_second, burst });
    options.guards.limits = Limits {
        per_source: rate(100, 10),
        all: rate(4_000, 100),
        sources: 256,
        ..Limits::default()
    };
    let counters = Arc::new(Counters::default());
    let mut server = Server::new(options, Box::new(Echo), counters.clone()).expect("options in range");
    let (mut driver, mut strangers) = (Driver::new(), Rng::new(8));
    let greedy = SocketAddr::from(([198, 51, 100, 1], 40_000));
    driver.datagram(&mut server, greedy, &[0; 1_472]);
    let made = allocations(|| {
        for _ in 0..100_000 {
            // One source again and again, and any address and port at all: every guard has its turn, and the
            // table is full many times over.
            let bits = strangers.next_u64();
            let stranger = SocketAddr::from((Ipv4Addr::from_bits(bits as u32), (bits >> 32) as u16));
            let from = if bits >> 62 == 0 { greedy } else { stranger };
            driver.now = Mono(driver.now.0 + 100_000);
            driver.datagram(&mut server, from, &[1; 512]);
        }
    });
    assert_eq!(made, 0);
    let all = counters.snapshot();
    assert!(
        all.replied > 5_000 && all.silent.len() >= 4,
        "nothing was left out: {all:?}"
    );
    assert_eq!(driver.sent, all.replied);
}

#[test]
fn a_frame_allocates_nothing_whatever_it_holds() {
    let mac = [2, 0, 0, 0, 0, 1];
    let addresses = vec![[192, 0, 2, 1].into()];
    let options = FrameServerOptions::new(LinkId(1), mac, addresses, Secret::new([3; 16]));
    let (counters, neighbours) = (Arc::new(Counters::default()), Arc::new(Counters::default()));
    let mut server = FrameServer::new(options, Box::new(Turn), counters.clone(), neighbours.clone())
        .expect("options in range");
    // An IPv4 datagram and an ARP request; bytes of either are changed by chance.
    let mut datagram = [0; 60];
    datagram[..6].copy_from_slice(&mac);
    datagram[6..12].copy_from_slice(&[2, 0, 0, 0, 0, 9]);
    datagram[12..18].copy_from_slice(&[8, 0, 0x45, 0, 0, 46]);
    datagram[26..34].copy_from_slice(&[198, 51, 100, 9, 192, 0, 2, 1]);
    let mut question = datagram;
    question[12..22].copy_from_slice(&[8, 6, 0, 1, 8, 0, 6, 4, 0, 1]);
    question[38..42].copy_from_slice(&[192, 0, 2, 1]);
    let (mut driver, mut noise) = (Driver::new(), Rng::new(9));
    let mut hand = |driver: &mut Driver, bytes: &[u8]| {
        let frame = Frame {
            link: LinkId(1),
            at: StoppedClock.stamp(),
            bytes,
            offload: Offload::default(),
        };
        driver.tell(&mut server, Input::Frame(frame));
    };
    hand(&mut driver, &datagram);
    let made = allocations(|| {
        for _ in 0..20_000 {
            driver.now = Mono(driver.now.0 + 1_000_000);
            let mut bytes = if noise.chance(0.5) { datagram } else { question };
            bytes[noise.below(120).min(59) as usize] = noise.next_u64() as u8;
            hand(&mut driver, &bytes);
        }
    });
    assert_eq!(made, 0);
    let (frames, questions) = (counters.snapshot(), neighbours.snapshot());
    assert!(
        frames.replied > 5_000 && questions.replied > 500,
        "{frames:?} {questions:?}"
    );
    assert_eq!(driver.sent, frames.replied + questions.replied);
}

#[test]
fn an_exchange_on_a_stream_allocates_nothing() {
    let options = StreamServerOptions::new(Secret::new([3; 16]));
    let counters = Arc::new(Counters::default());
    let make = Box::new(|_: &Path| Box::new(Echo) as Box<dyn StreamResponder>);
    let mut server = StreamServer::new(options, make, counters.clone()).expect("options in range");
    let mut driver = Driver::new();
    let ids = (0..100).map(|n| ConnId(ConnId::ACCEPTED | n));
    let at = StoppedClock.stamp();
    for id in ids.clone() {
        let path = path(SocketAddr::from(([198, 51, 100, 1], 40_000)));
        driver.tell(&mut server, Input::Stream(id, StreamInput::Opened { path, at }));
    }
    let mut round = |chunk: &[u8]| {
        for id in ids.clone() {
            driver.now = Mono(driver.now.0 + 1_000);
            driver.tell(
                &mut server,
                Input::Stream(id, StreamInput::Data { bytes: chunk, at }),
            );
        }
    };
    // Whole records, and records that end in the next chunk but one.
    let chunks = [&[1; 64][..], &[2; 3], &[3; 3], &[4; 130]];
    let made_first = allocations(|| chunks.iter().for_each(|chunk| round(chunk)));
    assert!(made_first > 0, "half a record needs a buffer");
    let made = allocations(|| {
        for _ in 0..500 {
            round(&[1; 64]);
        }
    });
    assert_eq!(made, 0, "whole records");
    let ids = ids.take(60);
    let mut round = |chunk: &[u8]| {
        for id in ids.clone() {
            driver.tell(
                &mut server,
                Input::Stream(id, StreamInput::Data { bytes: chunk, at }),
            );
        }
    };
    let made = allocations(|| {
        for _ in 0..500 {
            chunks.iter().for_each(|chunk| round(chunk));
        }
    });
    assert_eq!(made, 0, "split records");
    assert_eq!(
        counters.snapshot().received_bytes,
        counters.snapshot().replied_bytes
    );
}
