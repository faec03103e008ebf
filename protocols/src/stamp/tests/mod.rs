//! What the tests of this folder share: a reflector with a server around it, and packets out of nothing.

mod prober;
mod properties;
mod responder;
mod sessions;
mod timestamp;
mod tlv;
mod vectors;
mod wire;

use super::timestamp::{ErrorEstimate, Format, Timestamp};
use super::wire::{Mode, Reply, Request, sign};
use super::{StampReflector, StampReflectorOptions};
use crate::echo::Key;
use crate::echo::tests::{datagram, with_env};
use halloo_base::{Datagram, Mono, Responder, Stamp, StampSource, Trust, TxTag, Verdict, Wall};

/// The wall clock is so far ahead of the monotonic one.
const WALL_AHEAD: u64 = 1_700_000_000_000_000_000;
const HOME: &str = "192.0.2.33:40000";
const SECRET: &str = "the right secret";
/// From kernel arrival to the answer's stamp.
const RESIDENCE: u64 = 9_000;

fn key(text: &str) -> Key {
    Key::new(text.as_bytes()).expect("a long enough secret")
}

fn wall(mono: u64) -> Wall {
    Wall(WALL_AHEAD + mono)
}

fn stamp(mono: u64, source: StampSource) -> Stamp {
    Stamp {
        mono: Mono(mono),
        wall: wall(mono),
        source,
    }
}

fn ntp(mono: u64) -> Timestamp {
    Timestamp::new(wall(mono), Format::Ntp)
}

/// An open request of `len` bytes that left at 0; what is behind the base packet is zeros.
fn request(sequence_number: u32, ssid: u16, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    let request = Request {
        sequence_number,
        timestamp: ntp(0),
        error_estimate: ErrorEstimate::UNKNOWN,
        ssid,
    };
    request.emit(Mode::Open, &mut bytes).expect("room");
    bytes
}

/// The same, authenticated.
fn signed_request(secret: &str, sequence_number: u32, ssid: u16, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    let request = Request {
        sequence_number,
        timestamp: ntp(0),
        error_estimate: ErrorEstimate::UNKNOWN,
        ssid,
    };
    request.emit(Mode::Authenticated, &mut bytes).expect("room");
    assert!(sign(&key(secret), &mut bytes));
    bytes
}

/// A TLV as a sender sends it.
fn tlv(kind: u8, value: &[u8]) -> Vec<u8> {
    let [high, low] = u16::try_from(value.len()).expect("short").to_be_bytes();
    [&[0x80, kind, high, low], value].concat()
}

struct Host {
    reflector: StampReflector,
}

/// What a host did with a datagram.
#[derive(Debug, PartialEq, Eq)]
struct Answer {
    verdict: Verdict,
    trust: Trust,
    bytes: Vec<u8>,
}

impl Host {
    fn new(options: StampReflectorOptions) -> Host {
        Host {
            reflector: StampReflector::new(options, [7; 16]),
        }
    }

    fn open() -> Host {
        Host::new(StampReflectorOptions::default())
    }

    fn keyed() -> Host {
        Host::new(StampReflectorOptions {
            key: Some(key(SECRET)),
            ..StampReflectorOptions::default()
        })
    }

    fn hear(&mut self, rx: &Datagram<'_>) -> Answer {
        with_env(rx.at.mono.0 + RESIDENCE, |env| {
            let trust = self.reflector.trust(env, rx);
            let mut bytes = rx.payload.to_vec();
            let verdict = self.reflector.respond(env, rx, &mut bytes);
            match verdict {
                Verdict::Reply(len) | Verdict::ReplyStamped(len, _) | Verdict::ReplyFrom(len, _) => {
                    bytes.truncate(len);
                }
                Verdict::Silent(_) => bytes.clear(),
            }
            Answer {
                verdict,
                trust,
                bytes,
            }
        })
    }

    fn ask(&mut self, mono: u64, payload: &[u8]) -> Answer {
        self.hear(&datagram(HOME, mono, payload))
    }
}

impl Answer {
    fn tag(&self) -> Option<TxTag> {
        match self.verdict {
            Verdict::ReplyStamped(_, tag) => Some(tag),
            _ => None,
        }
    }

    fn reply(&self) -> Reply {
        Reply::parse(&self.bytes, Mode::Open).expect("an answer")
    }
}
