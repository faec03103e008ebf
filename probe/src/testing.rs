//! A session on a bench: its time, its arrivals and its events are in the test's hands.

use crate::{DatagramSession, Event, Exchange, SessionOptions, Sink, StreamSession, Summary};
use halloo_base::{
    Arrivals, Clock, ConnId, Cx, Datagram, Deadline, Env, Finish, Heard, Input, LinkId, Machine, Marks, Mono,
    Nanos, Offload, Outbox, Output, Path, ProbeId, Prober, Progress, Reason, Reflection, Rng, Stamp,
    StampSource, StreamInput, StreamProber, TxTag, Wall,
};
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub(crate) const MS: u64 = 1_000_000;
pub(crate) const WALL: u64 = 1_700_000_000_000_000_000;

pub(crate) fn path() -> Path {
    Path {
        link: LinkId(0),
        local: "0.0.0.0:0".parse().unwrap(),
        remote: "192.0.2.9:7777".parse().unwrap(),
    }
}

/// The path that an answer comes by when all is well.
pub(crate) fn way_back() -> Path {
    Path {
        link: LinkId(3),
        local: "192.0.2.1:40000".parse().unwrap(),
        ..path()
    }
}

pub(crate) fn options(interval_ms: u64) -> SessionOptions {
    SessionOptions {
        interval: Duration::from_millis(interval_ms),
        lost_after: Duration::from_millis(50),
        ..SessionOptions::new(7, path())
    }
}

/// What a responder tells that has seen all requests up to this one.
pub(crate) fn reflection(received: u32, window: u64, window_len: u32) -> Reflection {
    Reflection {
        received_at: Some(Wall(WALL + 5_000_000_000 + u64::from(received))),
        residence: Some(Nanos(1_000)),
        kernel_stamped: true,
        arrivals: Some(Arrivals {
            received,
            window,
            window_len,
        }),
        ..Reflection::default()
    }
}

#[derive(Clone, Default)]
pub(crate) struct Events(Arc<Mutex<Vec<Event>>>);

impl Sink for Events {
    fn record(&mut self, event: Event) {
        self.0.lock().unwrap().push(event);
    }
}

type Next = Arc<Mutex<Result<Heard, Reason>>>;

/// Numbers its requests; recognises what the test says.
struct Script {
    heard: Next,
    size: usize,
}

impl Prober for Script {
    fn request(&mut self, _: &mut Env<'_>, id: ProbeId, buf: &mut [u8]) -> Option<usize> {
        buf.get_mut(..8)?.copy_from_slice(&id.0.to_be_bytes());
        Some(self.size)
    }
    fn recognise(&mut self, _: &Datagram<'_>) -> Result<Heard, Reason> {
        *self.heard.lock().unwrap()
    }
    fn quoted(&self, payload: &[u8]) -> Option<Heard> {
        let number = payload.first_chunk()?;
        Some(Heard::plain(u64::from_be_bytes(*number), 64))
    }
}

/// Two bytes ask, two answer: the low byte of the number and a full stop. With a comma they are no answer.
#[derive(Default)]
struct Couples(Option<u8>);

impl StreamProber for Couples {
    fn request(&mut self, _: &mut Env<'_>, id: ProbeId, tx: &mut Vec<u8>) {
        tx.extend([id.0 as u8, b'.']);
    }
    fn receive(&mut self, rx: &[u8]) -> Progress {
        for (place, byte) in rx.iter().enumerate() {
            match self.0.take() {
                None => self.0 = Some(*byte),
                Some(number) if *byte == b'.' => {
                    return Progress::Heard(place + 1, Heard::plain(u64::from(number), 8));
                }
                Some(_) if *byte == b',' => return Progress::Unused(place + 1, Reason::BadAuth),
                Some(_) => return Progress::Foreign("no full stop"),
            }
        }
        Progress::Partial(rx.len())
    }
    fn reset(&mut self) {
        self.0 = None;
    }
}

/// Answers bear no number: one byte each.
struct Nameless;

impl StreamProber for Nameless {
    fn request(&mut self, _: &mut Env<'_>, _: ProbeId, tx: &mut Vec<u8>) {
        tx.push(b'?');
    }
    fn receive(&mut self, _: &[u8]) -> Progress {
        Progress::Heard(1, Heard::plain(0, 0))
    }
    fn reset(&mut self) {}
}

/// An answer is one byte: `!`, or `#` if the connection ends with it; or `(`, if the end of the connection ends it.
#[derive(Default)]
pub(crate) struct Parting {
    pipelines: bool,
    heard: bool,
    last: bool,
    begun: bool,
}

impl StreamProber for Parting {
    fn request(&mut self, _: &mut Env<'_>, id: ProbeId, tx: &mut Vec<u8>) {
        tx.push(id.0 as u8);
    }
    fn receive(&mut self, rx: &[u8]) -> Progress {
        match rx[0] {
            b'(' => {
                self.begun = true;
                return Progress::Partial(rx.len());
            }
            b'!' => {}
            b'#' => self.last = true,
            _ => return Progress::Foreign("neither"),
        }
        self.heard = true;
        Progress::Heard(1, Heard::plain(0, 0))
    }
    fn reset(&mut self) {
        *self = Parting {
            pipelines: self.pipelines,
            ..Parting::default()
        };
    }
    fn pipelines(&self) -> bool {
        self.pipelines
    }
    fn is_done(&self) -> bool {
        self.last
    }
    fn finish(&mut self) -> Finish {
        match self {
            Parting { begun: true, .. } => Finish::Heard(Heard::plain(0, 0)),
            Parting { heard: true, .. } => Finish::Done,
            _ => Finish::Broken,
        }
    }
}

struct Fixed(Stamp);

impl Clock for Fixed {
    fn stamp(&self) -> Stamp {
        self.0
    }
}

pub(crate) struct Bench<M> {
    pub(crate) machine: M,
    /// Nanoseconds.
    pub(crate) now: u64,
    /// Wall clock minus what it was at first.
    pub(crate) stepped: i64,
    pub(crate) sent: Vec<(u64, Option<TxTag>)>,
    pub(crate) outputs: Vec<String>,
    heard: Next,
    events: Events,
    rng: Rng,
}

pub(crate) fn datagrams(options: SessionOptions) -> Bench<DatagramSession> {
    let heard: Next = Arc::new(Mutex::new(Err(Reason::Foreign)));
    let script = Script {
        heard: heard.clone(),
        size: options.size,
    };
    let events = Events::default();
    let machine = DatagramSession::new(options, Box::new(script), Box::new(events.clone())).unwrap();
    Bench::new(machine, heard, events)
}

pub(crate) fn streams(options: SessionOptions) -> Bench<StreamSession> {
    stream_of(options, Box::new(Couples::default()))
}

pub(crate) fn nameless_streams(options: SessionOptions) -> Bench<StreamSession> {
    stream_of(options, Box::new(Nameless))
}

pub(crate) fn parting_streams(options: SessionOptions, pipelines: bool) -> Bench<StreamSession> {
    let prober = Parting {
        pipelines,
        ..Parting::default()
    };
    stream_of(options, Box::new(prober))
}

fn stream_of(options: SessionOptions, prober: Box<dyn StreamProber>) -> Bench<StreamSession> {
    let events = Events::default();
    let machine = StreamSession::new(options, prober, Box::new(events.clone())).unwrap();
    Bench::new(machine, Arc::new(Mutex::new(Err(Reason::Foreign))), events)
}

impl<M: Machine> Bench<M> {
    fn new(machine: M, heard: Next, events: Events) -> Bench<M> {
        Bench {
            machine,
            now: 1_000 * MS,
            stepped: 0,
            sent: Vec::new(),
            outputs: Vec::new(),
            heard,
            events,
            rng: Rng::new(1),
        }
    }

    pub(crate) fn stamp_at(&self, mono: u64, source: StampSource) -> Stamp {
        let wall = Wall((WALL + mono).wrapping_add_signed(self.stepped));
        Stamp {
            mono: Mono(mono),
            wall,
            source,
        }
    }

    pub(crate) fn give(&mut self, input: Input<'_>) {
        let clock = Fixed(self.stamp_at(self.now, StampSource::User));
        let mut out = Outbox::new();
        let env = Env {
            now: Mono(self.now),
            clock: &clock,
            rng: &mut self.rng,
        };
        self.machine.handle(&mut Cx { env, out: &mut out }, input);
        for output in out.iter() {
            match output {
                Output::Datagram(how, bytes) => {
                    let number = bytes.first_chunk().map_or(u64::MAX, |n| u64::from_be_bytes(*n));
                    self.sent.push((number, how.tag));
                }
                Output::Connect(id, _) => self.outputs.push(format!("connect {}", id.0)),
                Output::Write(id, tag, bytes) => {
                    self.sent.push((u64::from(bytes[0]), tag));
                    self.outputs.push(format!("write {}", id.0));
                }
                Output::Finish(id) => self.outputs.push(format!("finish {}", id.0)),
                Output::Abort(id) => self.outputs.push(format!("abort {}", id.0)),
                Output::Frame(..) | Output::Open(..) | Output::Close(_) => {
                    unreachable!("no session sends frames, or has sockets of its own")
                }
            }
        }
    }

    /// Lets time pass, waking the session when it asks for it.
    pub(crate) fn run_to(&mut self, ms: u64) {
        let until = (1_000 + ms) * MS;
        self.run_to_ns(until);
    }

    pub(crate) fn run_to_ns(&mut self, until: u64) {
        let mut wakes = 0;
        while let Some(Deadline { at, why, .. }) = self.machine.deadline().filter(|d| d.at.0 <= until) {
            wakes += if at.0 <= self.now { 1 } else { -wakes };
            assert!(
                wakes < 10,
                "the session does not let go of the deadline \"{why}\""
            );
            self.now = self.now.max(at.0);
            self.give(Input::Wake);
        }
        self.now = until;
    }

    /// An answer, handled as it arrives.
    pub(crate) fn hear(&mut self, seq: u64, reflection: Option<Reflection>) {
        self.hear_as(
            Ok(Heard {
                low_bits: seq,
                bits: 64,
                options: None,
                refusal: None,
                length: None,
                reflection,
            }),
            way_back(),
        );
    }

    pub(crate) fn hear_as(&mut self, heard: Result<Heard, Reason>, path: Path) {
        let at = self.stamp_at(self.now - 2_000, StampSource::Kernel);
        self.hear_at(heard, path, at);
    }

    /// What the prober says of the datagrams that come from now on.
    pub(crate) fn script(&self, heard: Result<Heard, Reason>) {
        *self.heard.lock().unwrap() = heard;
    }

    pub(crate) fn hear_at(&mut self, heard: Result<Heard, Reason>, path: Path, at: Stamp) {
        self.script(heard);
        let marks = Marks {
            tos: 0,
            ttl: Some(60),
        };
        self.give(Input::Datagram(Datagram {
            path,
            at,
            marks,
            payload: &[0; 64],
            offload: Offload::default(),
        }));
    }

    pub(crate) fn hear_after(&mut self, ms: u64, seq: u64) {
        self.run_to(ms);
        self.hear(seq, None);
    }

    /// The kernel says when a probe left.
    pub(crate) fn depart(&mut self, seq: u64, at: u64) {
        let at = self.stamp_at(at, StampSource::Kernel);
        self.give(Input::Departed(TxTag(seq), at));
    }

    pub(crate) fn open(&mut self, conn: u64) {
        let at = self.stamp_at(self.now, StampSource::User);
        self.give(Input::Stream(
            ConnId(conn),
            StreamInput::Opened { path: way_back(), at },
        ));
    }

    /// What will carry the connection is there; it is not secured yet.
    pub(crate) fn connected(&mut self, conn: u64) {
        let at = self.stamp_at(self.now, StampSource::User);
        self.give(Input::Stream(ConnId(conn), StreamInput::Connected { at }));
    }

    pub(crate) fn data(&mut self, conn: u64, bytes: &[u8]) {
        let at = self.stamp_at(self.now - 2_000, StampSource::Kernel);
        self.give(Input::Stream(ConnId(conn), StreamInput::Data { bytes, at }));
    }

    /// The peer will send no more.
    pub(crate) fn part(&mut self, conn: u64) {
        self.give(Input::Stream(ConnId(conn), StreamInput::Finished));
    }

    pub(crate) fn events(&self) -> Vec<Event> {
        self.told(|event| Some(event.clone()))
    }

    /// Every exchange that was told at once, in order.
    pub(crate) fn exchanges(&self) -> Vec<Exchange> {
        self.told(|event| {
            if let Event::Exchange(exchange) = event {
                Some(*exchange)
            } else {
                None
            }
        })
    }

    pub(crate) fn settled(&self) -> Vec<Exchange> {
        self.told(|event| {
            if let Event::Settled(exchange) = event {
                Some(*exchange)
            } else {
                None
            }
        })
    }

    fn told<T>(&self, pick: impl Fn(&Event) -> Option<T>) -> Vec<T> {
        self.events.0.lock().unwrap().iter().filter_map(pick).collect()
    }

    /// The last summary, asked for if the session still runs.
    pub(crate) fn summary(&mut self) -> Summary {
        if !self.machine.finished() {
            self.give(Input::Report);
        }
        let told = |event: &Event| {
            if let Event::Summary(summary) = event {
                Some(summary.clone())
            } else {
                None
            }
        };
        let events = self.events.0.lock().unwrap();
        let summary = *events.iter().rev().find_map(told).expect("a summary was told");
        let counts = &summary.counts;
        assert_eq!(
            counts.sent,
            counts.answered + counts.lost() + counts.in_flight,
            "{counts:?}"
        );
        summary
    }
}
