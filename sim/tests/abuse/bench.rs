//! One server without a host around it: time is set, and what it sends is looked at.

use crate::table::{Dialect, asking};
use halloo_base::{
    AnyProber, Clock, ClockQuality, Counters, Cx, Datagram, Env, Input, Leap, LinkId, Machine, Marks, Mono,
    Nanos, Offload, Outbox, Output, Path, ProbeId, Prober, Reason, ReplyLimit, Responder, Rng, Stamp,
    StampSource, TxTag, Wall,
};
use halloo_protocols::echo::Key;
use halloo_protocols::{ProberOptions, Protocol};
use halloo_serve::{Server, ServerOptions};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// The start of every story.
pub(crate) const START: Mono = Mono(1_000_000_000_000);
/// A day in 2026.
const WALL: u64 = 1_780_000_000_000_000_000;

/// A server of one dialect.
pub(crate) struct Bench {
    server: Server,
    pub(crate) counters: Arc<Counters>,
    pub(crate) reply_limit: ReplyLimit,
    out: Outbox,
    rng: Rng,
    tags: Vec<TxTag>,
}

/// A clock that stands still while one datagram is looked at.
struct Still(Mono);

impl Clock for Still {
    fn stamp(&self) -> Stamp {
        stamp(self.0)
    }

    fn quality(&self) -> Option<ClockQuality> {
        Some(ClockQuality {
            error: Nanos(1_000_000),
            leap: Leap::None,
            precision: Nanos(1_000),
        })
    }
}

pub(crate) fn stamp(at: Mono) -> Stamp {
    Stamp {
        mono: at,
        wall: Wall(WALL + at.0),
        source: StampSource::Kernel,
    }
}

pub(crate) fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

pub(crate) fn path(local: SocketAddr, remote: SocketAddr) -> Path {
    Path {
        link: LinkId(2),
        local,
        remote,
    }
}

fn datagram(path: Path, at: Mono, payload: &[u8]) -> Datagram<'_> {
    Datagram {
        path,
        at: stamp(at),
        marks: Marks {
            tos: 0,
            ttl: Some(60),
        },
        payload,
        offload: Offload::default(),
    }
}

impl Bench {
    /// A new server on a host that answers at these ports.
    pub(crate) fn new(dialect: &Dialect, own_ports: &[u16]) -> Bench {
        let (responder, reply_limit) = (dialect.responder)();
        Bench::around(responder, dialect.options(own_ports, reply_limit))
    }

    /// A new server around this responder.
    pub(crate) fn around(responder: Box<dyn Responder>, options: ServerOptions) -> Bench {
        let counters = Arc::new(Counters::default());
        let reply_limit = options.reply_limit;
        let server = Server::new(options, responder, Arc::clone(&counters));
        Bench {
            server: server.expect("the defaults are right"),
            counters,
            reply_limit,
            out: Outbox::new(),
            rng: Rng::new(1),
            tags: vec![],
        }
    }

    /// Hands over what arrived, and shows what is sent.
    pub(crate) fn hand(&mut self, now: Mono, path: Path, payload: &[u8], sent: impl FnMut(Path, &[u8])) {
        self.tell(now, Input::Datagram(datagram(path, now, payload)), sent);
        while let Some(tag) = self.tags.pop() {
            self.tell(now, Input::Departed(tag, stamp(now)), |path, bytes| {
                panic!("{} bytes to {path} because others left", bytes.len());
            });
        }
    }

    /// Shows what it has promised to send by now.
    pub(crate) fn wake(&mut self, now: Mono, mut sent: impl FnMut(Path, &[u8])) {
        while self.server.deadline().is_some_and(|deadline| deadline.at <= now) {
            self.tell(now, Input::Wake, &mut sent);
        }
    }

    /// What is sent back to where the datagram came from.
    pub(crate) fn answer(&mut self, now: Mono, path: Path, payload: &[u8]) -> Option<Vec<u8>> {
        let mut answer = None;
        self.hand(now, path, payload, |_, bytes| answer = Some(bytes.to_vec()));
        answer
    }

    pub(crate) fn count(&self, why: Reason) -> u64 {
        self.counters.count(why)
    }

    fn tell(&mut self, now: Mono, input: Input<'_>, mut sent: impl FnMut(Path, &[u8])) {
        let clock = Still(now);
        let env = Env {
            now,
            clock: &clock,
            rng: &mut self.rng,
        };
        let out = &mut self.out;
        self.server.handle(&mut Cx { env, out }, input);
        for output in self.out.iter() {
            let Output::Datagram(how, bytes) = output else {
                panic!("a datagram server has no business with {output:?}");
            };
            self.tags.extend(how.tag);
            sent(how.path, bytes);
        }
        self.out.clear();
    }
}

/// Somebody who asks, at an address that is his own.
pub(crate) struct Asker {
    prober: Box<dyn Prober>,
    room: Vec<u8>,
    rng: Rng,
    pub(crate) path: Path,
    pub(crate) heard: u64,
}

impl Asker {
    /// One of this protocol, whose requests have so many bytes, on the server's path.
    pub(crate) fn new(protocol: &Protocol, token: u64, size: usize, path: Path) -> Asker {
        Asker::with_key(protocol, token, size, path, None)
    }

    /// The same, whose requests are signed.
    pub(crate) fn with_key(
        protocol: &Protocol,
        token: u64,
        size: usize,
        path: Path,
        key: Option<&Key>,
    ) -> Asker {
        let options = ProberOptions {
            key: key.cloned(),
            ..asking(token, size)
        };
        let new = protocol.prober.expect("there is one for what is answered");
        let AnyProber::Datagram(prober) = new(&options) else {
            panic!("{} is asked by datagrams", protocol.name);
        };
        Asker {
            prober,
            room: vec![0; size],
            rng: Rng::new(token),
            path,
            heard: 0,
        }
    }

    /// The request with this number.
    pub(crate) fn request(&mut self, now: Mono, id: u64) -> Vec<u8> {
        let clock = Still(now);
        let mut env = Env {
            now,
            clock: &clock,
            rng: &mut self.rng,
        };
        let len = self.prober.request(&mut env, ProbeId(id), &mut self.room);
        let size = self.room.len();
        let len = len.unwrap_or_else(|| panic!("nothing to {} in {size} bytes", self.path.local));
        self.room[..len].to_vec()
    }

    /// Hears an answer, which came from where the request went.
    pub(crate) fn hear(&mut self, now: Mono, answer: &[u8]) {
        let back = Path {
            local: self.path.remote,
            remote: self.path.local,
            ..self.path
        };
        let heard = self.prober.recognise(&datagram(back, now, answer));
        heard.unwrap_or_else(|why| panic!("{why:?}: {}", hex(answer)));
        self.heard += 1;
    }

    /// Asks and hears: returns both datagrams.
    pub(crate) fn exchange(&mut self, bench: &mut Bench, now: Mono, id: u64) -> Option<(Vec<u8>, Vec<u8>)> {
        let request = self.request(now, id);
        let answer = bench.answer(now, self.path, &request)?;
        self.hear(now + Duration::from_millis(1), &answer);
        Some((request, answer))
    }
}

/// For the reader of a failure, who may want the bytes.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
