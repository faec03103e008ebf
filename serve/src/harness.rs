//! What the tests of both servers need: surroundings, and a record of what was sent.

use crate::Secret;
use halloo_base::{
    Clock, ConnId, Counters, Cx, Datagram, Env, Input, LinkId, Machine, Marks, Mono, Offload, Outbox, Output,
    Path, Rng, Stamp, StampSource, StreamInput, Wall,
};
use std::net::SocketAddr;

pub(crate) const SECRET: Secret = Secret::new([0x5a; 16]);

/// The surroundings of a machine, whose time the test sets.
pub(crate) struct World {
    pub(crate) now: Mono,
    /// What was left to do to each packet of the last answer.
    pub(crate) offloads: Vec<Offload>,
    rng: Rng,
    out: Outbox,
}

/// What a machine wanted done, with its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    Datagram(Path, Option<u64>, Vec<u8>),
    Frame(LinkId, Vec<u8>),
    Write(u64, Vec<u8>),
    Finish(u64),
    Abort(u64),
}

struct StoppedClock(Mono);

impl Clock for StoppedClock {
    fn stamp(&self) -> Stamp {
        stamp(self.0)
    }
}

pub(crate) fn stamp(at: Mono) -> Stamp {
    Stamp {
        mono: at,
        wall: Wall(at.0),
        source: StampSource::Kernel,
    }
}

pub(crate) fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

pub(crate) fn path(local: &str, remote: &str) -> Path {
    Path {
        link: LinkId(3),
        local: addr(local),
        remote: addr(remote),
    }
}

pub(crate) fn datagram(path: Path, payload: &[u8]) -> Datagram<'_> {
    Datagram {
        path,
        at: stamp(Mono(0)),
        marks: Marks::default(),
        payload,
        offload: Offload::default(),
    }
}

/// All counters on one line: connections or packets in, out, then the reasons.
pub(crate) fn tally(counters: &Counters) -> String {
    let all = counters.snapshot();
    let mut line = format!("{} in, {} out", all.received, all.replied);
    for (why, n) in all.silent {
        line += &format!(", {n} {}", why.name());
    }
    line
}

impl World {
    pub(crate) fn new() -> World {
        World {
            now: Mono(1_000_000_000),
            offloads: vec![],
            rng: Rng::new(1),
            out: Outbox::new(),
        }
    }

    /// Hands one input over and takes what came of it.
    pub(crate) fn tell(&mut self, machine: &mut dyn Machine, input: Input<'_>) -> Vec<Sent> {
        let clock = StoppedClock(self.now);
        let env = Env {
            now: self.now,
            clock: &clock,
            rng: &mut self.rng,
        };
        machine.handle(
            &mut Cx {
                env,
                out: &mut self.out,
            },
            input,
        );
        let sent = self.out.iter().map(Sent::from).collect();
        let offload = |output| match output {
            Output::Datagram(how, _) => Some(how.offload),
            Output::Frame(_, offload, _) => Some(offload),
            _ => None,
        };
        self.offloads = self.out.iter().filter_map(offload).collect();
        self.out.clear();
        sent
    }

    pub(crate) fn datagram(&mut self, machine: &mut dyn Machine, path: Path, payload: &[u8]) -> Vec<Sent> {
        self.tell(machine, Input::Datagram(datagram(path, payload)))
    }

    /// A peer's connection with this number is accepted.
    pub(crate) fn open(&mut self, machine: &mut dyn Machine, number: u64, path: Path) -> Vec<Sent> {
        let at = stamp(self.now);
        self.tell(
            machine,
            Input::Stream(accepted(number), StreamInput::Opened { path, at }),
        )
    }

    pub(crate) fn data(&mut self, machine: &mut dyn Machine, number: u64, bytes: &[u8]) -> Vec<Sent> {
        let at = stamp(self.now);
        self.tell(
            machine,
            Input::Stream(accepted(number), StreamInput::Data { bytes, at }),
        )
    }

    pub(crate) fn stream(
        &mut self,
        machine: &mut dyn Machine,
        number: u64,
        input: StreamInput<'_>,
    ) -> Vec<Sent> {
        self.tell(machine, Input::Stream(accepted(number), input))
    }
}

fn accepted(number: u64) -> ConnId {
    ConnId(ConnId::ACCEPTED | number)
}

impl From<Output<'_>> for Sent {
    fn from(output: Output<'_>) -> Sent {
        let number = |id: ConnId| id.0 & !ConnId::ACCEPTED;
        match output {
            Output::Datagram(how, bytes) => {
                Sent::Datagram(how.path, how.tag.map(|tag| tag.0), bytes.to_vec())
            }
            Output::Frame(link, _, bytes) => Sent::Frame(link, bytes.to_vec()),
            Output::Write(id, None, bytes) => Sent::Write(number(id), bytes.to_vec()),
            Output::Finish(id) => Sent::Finish(number(id)),
            Output::Abort(id) => Sent::Abort(number(id)),
            other => panic!("a server has no business with {other:?}"),
        }
    }
}
