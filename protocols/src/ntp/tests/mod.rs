//! What the tests of this folder share: a host whose clock can be stepped, and requests.

mod clock;
mod follower;
mod prober;
mod responder;
mod timestamp;
mod wire;

use super::wire::{Packet, mode};
use super::{ClockState, NtpServer, NtpServerOptions, Timestamp};
use halloo_base::{
    Clock, ClockQuality, Datagram, Env, Leap, LinkId, Marks, Mono, Nanos, Offload, Path, Reason, Responder,
    Rng, Stamp, StampSource, Verdict, Wall,
};
use std::cell::Cell;

const SECOND: u64 = 1_000_000_000;
/// 1 March 2026, noon.
const NOON: Wall = Wall(1_772_366_400 * SECOND);
/// When NTP's era 1 begins: 7 February 2036, 06:28:16.
const ERA_1: Wall = Wall(2_085_978_496 * SECOND);

/// A host's clock: each reading takes a microsecond.
struct Host {
    mono: Cell<u64>,
    /// The wall clock when the monotonic one was 0.
    start: Wall,
    quality: Cell<Option<ClockQuality>>,
    /// How often it was asked for its quality.
    asked: Cell<u32>,
}

impl Host {
    fn at(start: Wall) -> Host {
        Host {
            mono: Cell::new(0),
            start,
            quality: Cell::new(None),
            asked: Cell::new(0),
        }
    }

    fn now(&self) -> Stamp {
        let mono = self.mono.get();
        Stamp {
            mono: Mono(mono),
            wall: Wall(self.start.0 + mono),
            source: StampSource::User,
        }
    }

    fn pass(&self, nanos: u64) {
        self.mono.set(self.mono.get() + nanos);
    }

    fn with_env<T>(&self, f: impl FnOnce(&mut Env<'_>) -> T) -> T {
        f(&mut Env {
            now: self.now().mono,
            clock: self,
            rng: &mut Rng::new(1),
        })
    }

    /// What a server does with a datagram that arrived 10 us ago.
    fn hear(&self, server: &mut NtpServer, payload: &[u8]) -> Result<Vec<u8>, Reason> {
        let rx = arrived(self.now(), payload);
        self.pass(10_000);
        let mut reply = payload.to_vec();
        match self.with_env(|env| server.respond(env, &rx, &mut reply)) {
            Verdict::Reply(len) => {
                reply.truncate(len);
                Ok(reply)
            }
            Verdict::Silent(why) => Err(why),
            other @ (Verdict::ReplyStamped(..) | Verdict::ReplyFrom(..)) => {
                panic!("{other:?}: no stamp is wanted")
            }
        }
    }
}

impl Clock for Host {
    fn stamp(&self) -> Stamp {
        self.pass(1_000);
        self.now()
    }

    fn quality(&self) -> Option<ClockQuality> {
        self.asked.set(self.asked.get() + 1);
        self.quality.get()
    }
}

fn arrived(at: Stamp, payload: &[u8]) -> Datagram<'_> {
    Datagram {
        path: Path {
            link: LinkId(2),
            local: "192.0.2.1:123".parse().expect("an address"),
            remote: "192.0.2.33:40000".parse().expect("an address"),
        },
        at,
        marks: Marks::default(),
        payload,
        offload: Offload::default(),
    }
}

/// A client's request.
fn request() -> Packet {
    Packet {
        version: 4,
        mode: mode::CLIENT,
        poll: 6,
        precision: 32,
        transmit: Timestamp(0x0123_4567_89ab_cdef),
        ..Packet::default()
    }
}

fn kept() -> ClockQuality {
    ClockQuality {
        error: Nanos(3_000_000),
        leap: Leap::None,
        precision: Nanos(1_000),
    }
}

/// A clock at stratum 2 that was right a moment ago.
fn good() -> ClockState {
    ClockState {
        leap: Some(Leap::None),
        stratum: 2,
        precision: -23,
        root_delay: Nanos(250_000_000),
        root_dispersion: Nanos(62_500_000),
        reference_id: [192, 0, 2, 33],
        reference_at: Some(Wall(NOON.0 - 64 * SECOND)),
        as_of: Mono(0),
    }
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits
        .chunks(2)
        .map(|pair| {
            let pair = std::str::from_utf8(pair).expect("ASCII");
            u8::from_str_radix(pair, 16).expect("hex")
        })
        .collect()
}
