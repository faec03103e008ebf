//! What the tests of this folder share: a clock that stands still until told, and datagrams out of nothing.

mod asker;
mod document;
mod key;
mod pingback;
mod prober;
mod responder;
mod sessions;
mod stream;
mod wire;

use super::wire::Probe;
use super::{Key, UdpEcho, UdpEchoOptions};
use halloo_base::{
    Clock, Datagram, Env, LinkId, Marks, Mono, Offload, Path, Responder, Rng, Stamp, StampSource, Trust,
    TxTag, Verdict, Wall,
};
use std::cell::Cell;
use std::net::SocketAddr;

pub(super) const EPOCH_START: u64 = 1_700_000_000_000_000_000;
pub(super) const SECOND: u64 = 1_000_000_000;
pub(super) const HOME: &str = "192.0.2.33:40000";
pub(super) const TOKEN: u64 = 0xfeed;

/// Monotonic time in nanoseconds; the wall clock runs `EPOCH_START` ahead of it.
pub(super) struct FakeClock(Cell<u64>);

impl FakeClock {
    pub(super) fn at(mono: u64) -> FakeClock {
        FakeClock(Cell::new(mono))
    }
}

impl Clock for FakeClock {
    fn stamp(&self) -> Stamp {
        stamp(self.0.get(), StampSource::User)
    }
}

pub(super) fn stamp(mono: u64, source: StampSource) -> Stamp {
    Stamp {
        mono: Mono(mono),
        wall: Wall(EPOCH_START + mono),
        source,
    }
}

pub(super) fn addr(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

pub(super) fn key(text: &str) -> Key {
    Key::new(text.as_bytes()).expect("a long enough secret")
}

/// Calls `f` with surroundings in which it is `mono`.
pub(crate) fn with_env<T>(mono: u64, f: impl FnOnce(&mut Env<'_>) -> T) -> T {
    let clock = FakeClock::at(mono);
    let mut rng = Rng::new(1);
    f(&mut Env {
        now: Mono(mono),
        clock: &clock,
        rng: &mut rng,
    })
}

/// A datagram from `remote` that the kernel saw at `mono`.
pub(crate) fn datagram<'a>(remote: &str, mono: u64, payload: &'a [u8]) -> Datagram<'a> {
    let remote = addr(remote);
    let local = if remote.is_ipv4() {
        "198.51.100.1:7777"
    } else {
        "[2001:db8::1]:7777"
    };
    Datagram {
        path: Path {
            link: LinkId(2),
            local: addr(local),
            remote,
        },
        at: stamp(mono, StampSource::Kernel),
        marks: Marks {
            tos: 0xb8,
            ttl: Some(63),
        },
        payload,
        offload: Offload::default(),
    }
}

/// A probe without a key, padded with a count to `len` bytes.
pub(super) fn request(token: u64, seq: u32, len: usize) -> Vec<u8> {
    let probe = Probe {
        t1: Wall(77),
        ..Probe::request(token, seq, len >= 112, false)
    };
    let mut bytes: Vec<u8> = (0..len).map(|i| i as u8).collect();
    probe.emit(&mut bytes).expect("room");
    bytes
}

/// An echo host, and what a server around it does with its verdicts.
pub(super) struct Host {
    pub(super) echo: UdpEcho,
    /// From kernel arrival to the reply being written.
    pub(super) residence: u64,
}

/// What a host did with a datagram.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) verdict: Verdict,
    pub(super) trust: Trust,
    pub(super) bytes: Vec<u8>,
}

impl Host {
    pub(super) fn new(options: UdpEchoOptions) -> Host {
        let secret = std::array::from_fn(|i| i as u8);
        Host {
            echo: UdpEcho::new(options, secret),
            residence: 9_000,
        }
    }

    pub(super) fn open() -> Host {
        Host::new(UdpEchoOptions::default())
    }

    pub(super) fn keyed(text: &str) -> Host {
        Host::new(UdpEchoOptions {
            key: Some(key(text)),
            ..UdpEchoOptions::default()
        })
    }

    pub(super) fn hear(&mut self, rx: &Datagram<'_>) -> Answer {
        with_env(rx.at.mono.0 + self.residence, |env| {
            let trust = self.echo.trust(env, rx);
            let mut reply = rx.payload.to_vec();
            let verdict = self.echo.respond(env, rx, &mut reply);
            match verdict {
                Verdict::Reply(len) | Verdict::ReplyStamped(len, _) | Verdict::ReplyFrom(len, _) => {
                    reply.truncate(len);
                }
                Verdict::Silent(_) => reply.clear(),
            }
            Answer {
                verdict,
                trust,
                bytes: reply,
            }
        })
    }
}

impl Answer {
    pub(super) fn tag(&self) -> Option<TxTag> {
        match self.verdict {
            Verdict::ReplyStamped(_, tag) => Some(tag),
            _ => None,
        }
    }

    pub(super) fn probe(&self) -> Probe {
        Probe::parse(&self.bytes).expect("a structured reply")
    }
}
