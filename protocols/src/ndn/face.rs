//! A ping server behind a forwarder: one connection that is kept up, one prefix that is kept registered.

use super::lp::Packet;
use super::registration::{Registered, Registration, RegistrationError};
use super::server::PingServer;
use super::tlv::{self, LONGEST_PACKET};
use halloo_base::{
    CloseReason, ConnId, Counters, Cx, Deadline, Input, Machine, Mono, Path, Reason, Rng, Stamp, StreamInput,
};
use std::sync::Arc;
use std::time::Duration;

/// What a [`ServerFace`] tells while it runs, on the thread that answers.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FaceEvent {
    /// The connection is up.
    Opened {
        /// Since when.
        at: Stamp,
    },
    /// The forwarder leads Interests for the prefix here.
    Registered {
        /// The forwarder's number for this face.
        face_id: Option<u64>,
    },
    /// The forwarder does not.
    Failed {
        /// Why.
        why: RegistrationError,
        /// When all begins again; `None` where it does not.
        retry_in: Option<Duration>,
    },
    /// The connection is gone, or did not come up.
    Broken {
        /// Why.
        why: FaceBreak,
        /// When the next one is tried; `None` where none is.
        retry_in: Option<Duration>,
    },
    /// This was all: told to stop, or as many answers as were asked for.
    Ended,
}

/// Why a connection to a forwarder is of no more use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FaceBreak {
    /// The driver closed it or could not open it.
    Closed(CloseReason),
    /// It did not come up in time.
    ConnectTimeout,
    /// The forwarder will send no more: it ended.
    Finished,
    /// What comes is no NDN.
    Foreign,
}

/// Takes events.
pub trait FaceSink: Send {
    /// Takes one event; it must not block.
    fn event(&mut self, event: FaceEvent);
}

/// How a [`ServerFace`] behaves when something fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Insist {
    /// Ends if the first connection or the first registration fails; connects again for ever after that.
    OnceUp,
    /// Connects again for ever.
    Always,
    /// Ends with the first failure, as the original server does.
    Never,
}

/// How long a connection may take to come up.
const CONNECT_WITHIN: Duration = Duration::from_secs(4);
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// The machine: connects, registers, answers, and does it again when the forwarder was away.
///
/// Waits double from 100 ms to 5 s with each failure, and start over when the prefix is registered. Its counters count
/// packets: received, answered, and silent by reason.
pub struct ServerFace {
    server: PingServer,
    registration: Registration,
    path: Path,
    insist: Insist,
    sink: Box<dyn FaceSink>,
    counters: Arc<Counters>,
    state: State,
    connections: u64,
    failures: u32,
    been_registered: bool,
    /// The beginning of the next packet.
    pending: Vec<u8>,
    tx: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nothing is open; the next attempt is then.
    Waiting(Mono),
    /// The connection was asked for; it has until then.
    Connecting(ConnId, Mono),
    Up(ConnId),
    Ended,
}

impl ServerFace {
    /// A face that connects with its first input. Which forwarder `path` leads to is the driver's matter: a Unix socket
    /// has no addresses.
    pub fn new(
        server: PingServer,
        registration: Registration,
        path: Path,
        insist: Insist,
        sink: Box<dyn FaceSink>,
        counters: Arc<Counters>,
    ) -> ServerFace {
        ServerFace {
            server,
            registration,
            path,
            insist,
            sink,
            counters,
            state: State::Waiting(Mono(0)),
            connections: 0,
            failures: 0,
            been_registered: false,
            pending: Vec::with_capacity(2 * LONGEST_PACKET),
            tx: Vec::with_capacity(8 * LONGEST_PACKET),
        }
    }

    fn connect(&mut self, cx: &mut Cx<'_>) {
        let id = ConnId(self.connections);
        self.connections += 1;
        cx.out.connect(id, self.path);
        self.state = State::Connecting(id, cx.now() + CONNECT_WITHIN);
    }

    fn stream(&mut self, cx: &mut Cx<'_>, id: ConnId, input: StreamInput<'_>) {
        match (self.state, input) {
            (State::Connecting(own, _), StreamInput::Opened { at, .. }) if own == id => {
                self.opened(cx, id, at);
            }
            (State::Connecting(own, _) | State::Up(own), StreamInput::Closed(why)) if own == id => {
                self.broken(cx, FaceBreak::Closed(why));
            }
            (State::Up(own), StreamInput::Data { bytes, at }) if own == id => self.receive(cx, id, bytes, at),
            (State::Up(own), StreamInput::Finished) if own == id => {
                cx.out.abort(id);
                self.broken(cx, FaceBreak::Finished);
            }
            // What comes from a connection that was given up means nothing any more.
            _ => {}
        }
    }

    fn opened(&mut self, cx: &mut Cx<'_>, id: ConnId, at: Stamp) {
        self.state = State::Up(id);
        self.sink.event(FaceEvent::Opened { at });
        match self.registration.begin(&mut cx.env) {
            Ok(order) => cx.out.write(id, None, &order),
            Err(why) => self.failed(cx, id, why),
        }
    }

    fn receive(&mut self, cx: &mut Cx<'_>, id: ConnId, bytes: &[u8], at: Stamp) {
        let mut pending = std::mem::take(&mut self.pending);
        let taken = if pending.is_empty() {
            self.take(cx, id, bytes, at)
                .map(|used| pending.extend_from_slice(&bytes[used..]))
        } else {
            pending.extend_from_slice(bytes);
            self.take(cx, id, &pending, at)
                .map(|used| drop(pending.drain(..used)))
        };
        self.pending = pending;
        if self.state != State::Up(id) {
            self.tx.clear();
            return;
        }
        if !self.tx.is_empty() {
            cx.out.write(id, None, &self.tx);
            self.tx.clear();
        }
        if taken.is_err() {
            cx.out.abort(id);
            self.broken(cx, FaceBreak::Foreign);
        } else if self.server.is_done() {
            self.end(cx);
        }
    }

    /// Takes as many packets as the bytes hold; returns how many bytes that were.
    fn take(&mut self, cx: &mut Cx<'_>, id: ConnId, rx: &[u8], at: Stamp) -> Result<usize, tlv::Malformed> {
        let mut used = 0;
        // Until the prefix is registered, answers to our own orders stand among the Interests.
        while !self.registration.is_registered() {
            let Some(wire) = tlv::measure(&rx[used..])?.and_then(|len| rx.get(used..used + len)) else {
                return Ok(used);
            };
            used += wire.len();
            if !self.hear_forwarder(cx, id, wire) {
                self.answer(wire, at);
            }
            if self.state != State::Up(id) {
                return Ok(rx.len());
            }
        }
        let counters = &*self.counters;
        used += self
            .server
            .answer_stream(at, &rx[used..], &mut self.tx, |len, answered| {
                tally(counters, len, answered);
            })?;
        Ok(used)
    }

    fn answer(&mut self, wire: &[u8], at: Stamp) {
        let counters = &*self.counters;
        // One whole packet: its length was measured.
        let _used = self
            .server
            .answer_stream(at, wire, &mut self.tx, |len, answered| {
                tally(counters, len, answered);
            });
    }

    /// Whether the packet was about the registration.
    fn hear_forwarder(&mut self, cx: &mut Cx<'_>, id: ConnId, wire: &[u8]) -> bool {
        let Ok(packet) = Packet::parse(wire) else {
            return false;
        };
        let heard = self.registration.hear(&mut cx.env, &packet);
        match &heard {
            Some(Registered::Done { face_id }) => {
                self.failures = 0;
                self.been_registered = true;
                self.sink.event(FaceEvent::Registered { face_id: *face_id });
            }
            Some(Registered::Failed(why)) => self.failed(cx, id, why.clone()),
            Some(Registered::Later) | None => {}
        }
        heard.is_some()
    }

    fn failed(&mut self, cx: &mut Cx<'_>, id: ConnId, why: RegistrationError) {
        cx.out.abort(id);
        let retry_in = self.give_up(cx.now(), cx.env.rng);
        self.sink.event(FaceEvent::Failed { why, retry_in });
    }

    /// The connection is of no more use (and already dropped), or never came up.
    fn broken(&mut self, cx: &mut Cx<'_>, why: FaceBreak) {
        let retry_in = self.give_up(cx.now(), cx.env.rng);
        self.sink.event(FaceEvent::Broken { why, retry_in });
    }

    /// Forgets the connection; how long to wait for the next, if there is to be one.
    fn give_up(&mut self, now: Mono, rng: &mut Rng) -> Option<Duration> {
        self.pending.clear();
        self.registration.reset();
        let again = match self.insist {
            Insist::Always => true,
            Insist::OnceUp => self.been_registered,
            Insist::Never => false,
        };
        if !again {
            self.state = State::Ended;
            return None;
        }
        let step = FIRST_WAIT
            .saturating_mul(1 << self.failures.min(6))
            .min(LONGEST_WAIT);
        self.failures = self.failures.saturating_add(1);
        // Servers that lost the same forwarder must not all come back together.
        let wait = step / 2 + Duration::from_nanos(rng.below(step.as_nanos() as u64 / 2 + 1));
        self.state = State::Waiting(now + wait);
        Some(wait)
    }

    /// Takes the registration back and ends.
    fn end(&mut self, cx: &mut Cx<'_>) {
        match self.state {
            State::Up(id) => {
                if let Some(order) = self.registration.end(&mut cx.env) {
                    cx.out.write(id, None, &order);
                }
                cx.out.finish(id);
            }
            State::Connecting(id, _) => cx.out.abort(id),
            State::Waiting(_) | State::Ended => {}
        }
        self.state = State::Ended;
        self.sink.event(FaceEvent::Ended);
    }

    fn wake(&mut self, cx: &mut Cx<'_>) {
        match self.state {
            State::Waiting(until) if until <= cx.now() => self.connect(cx),
            State::Connecting(id, until) if until <= cx.now() => {
                cx.out.abort(id);
                self.broken(cx, FaceBreak::ConnectTimeout);
            }
            State::Up(id) => match self.registration.wake(&mut cx.env) {
                Ok(Some(order)) => cx.out.write(id, None, &order),
                Ok(None) => {}
                Err(why) => self.failed(cx, id, why),
            },
            _ => {}
        }
    }
}

fn tally(counters: &Counters, len: usize, answered: Result<usize, Reason>) {
    counters.receive(len);
    match answered {
        Ok(len) => counters.reply(len),
        Err(why) => counters.silent(why),
    }
}

impl Machine for ServerFace {
    fn handle(&mut self, cx: &mut Cx<'_>, input: Input<'_>) {
        if self.state == State::Ended {
            return;
        }
        match input {
            Input::Stream(id, input) => self.stream(cx, id, input),
            Input::Stop => return self.end(cx),
            _ => {}
        }
        self.wake(cx);
    }

    fn deadline(&self) -> Option<Deadline> {
        match self.state {
            State::Waiting(until) => Some(Deadline::new(until, "connect")),
            State::Connecting(_, until) => Some(Deadline::new(until, "give up")),
            State::Up(_) => self
                .registration
                .deadline()
                .map(|until| Deadline::new(until, "register")),
            State::Ended => None,
        }
    }

    fn finished(&self) -> bool {
        self.state == State::Ended
    }
}
