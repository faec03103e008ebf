//! The same question from many source ports: routers that balance flows (ECMP) send each port its own way, and one of the
//! ways may be bad.

mod verdict;

pub use verdict::{DelayPath, FlowFacts, SpreadVerdict};

use crate::Ended;
use crate::datagram::is_same_path;
use crate::unreachable::Kinds;
use halloo_base::{
    Cx, Datagram, Deadline, Input, Machine, Mono, Nanos, Path, ProbeId, Prober, Stamp, StampSource, Transmit,
    TxTag, Unreachable, UnreachableError,
};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

/// How flows are asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpreadOptions {
    /// Whom to ask, and from which address and link. The local port is each flow's own.
    pub path: Path,
    /// Payload bytes of each probe.
    pub size: usize,
    /// Time between two probes, of whichever flow: they take turns. Above zero.
    pub interval: Duration,
    /// Probes of each flow; 0 is endless.
    pub count: u64,
    /// When to end, counted from the first input, whatever is still under way.
    pub deadline: Option<Duration>,
    /// A probe without answer for longer than this is lost; if the answer comes within twice that, it is late, and no
    /// longer lost.
    pub lost_after: Duration,
    /// TOS or traffic class octet of the probes.
    pub tos: Option<u8>,
    /// Ask for the instant when each probe left the host: delays then do not hold this host's own. It costs the driver memory
    /// for each port.
    pub departure_stamps: bool,
}

/// What became of one flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowReport {
    /// Its source port.
    pub port: u16,
    /// Probes that were sent.
    pub sent: u64,
    /// Probes that were answered.
    pub answered: u64,
    /// Probes that were not.
    pub lost: u64,
    /// The shortest round trip.
    pub shortest: Option<Nanos>,
    /// The median round trip, of the newest 64.
    pub median: Option<Nanos>,
}

/// What became of all flows.
#[derive(Clone, Debug, PartialEq)]
pub struct SpreadReport {
    /// Why it ended; `None` for a report on the way.
    pub ended: Option<Ended>,
    /// Every flow, in the order in which they take turns.
    pub flows: Vec<FlowReport>,
    /// What they show together. Flows are named by their place in [`SpreadReport::flows`].
    pub verdict: SpreadVerdict,
    /// Probes that were sent.
    pub sent: u64,
    /// Probes that were answered.
    pub answered: u64,
    /// Of these: those whose answer came after they had counted as lost.
    pub late: u64,
    /// Of the answered: those whose answer says no.
    pub refused: u64,
    /// Probes that were not answered.
    pub lost: u64,
    /// Probes that are under way.
    pub in_flight: u64,
    /// Slots that passed without a probe, because this host did not wake in time.
    pub slots_missed: u64,
    /// Why probes did not get through, where the network or this host said so, and how often.
    pub unreachable: Vec<(UnreachableError, u64)>,
    /// How long it took so far.
    pub elapsed: Duration,
}

/// Where a session reports to, on request and at its end.
pub trait SpreadSink: Send {
    /// Takes a report; [`SpreadReport::ended`] tells whether it is the last.
    fn report(&mut self, report: SpreadReport);
}

/// Delays that are remembered of each flow.
const SAMPLES: usize = 64;
/// Probes that are remembered in all.
const MOST_OPEN: usize = 1 << 16;
/// A pause longer than this is not made up for: its slots are missed.
const CATCH_UP: Duration = Duration::from_millis(100);

/// Asks by turns from many source ports, and ends when all that were asked for are answered or lost.
pub struct SpreadSession {
    options: SpreadOptions,
    flows: Vec<Flow>,
    /// Places in `flows` by port, in order.
    by_port: Vec<(u16, usize)>,
    sink: Box<dyn SpreadSink>,
    /// Probes that may still be answered, in the order in which they were sent.
    open: VecDeque<Open>,
    /// The number of the first of these.
    first: u64,
    /// Of these, how many have been looked at for having been lost.
    aged: usize,
    next: u64,
    next_slot: Mono,
    started: Option<Mono>,
    ended: bool,
    is_closing: bool,
    under_way: u64,
    late: u64,
    refused: u64,
    slots_missed: u64,
    kinds: Kinds,
}

struct Flow {
    port: u16,
    prober: Box<dyn Prober>,
    sent: u64,
    answered: u64,
    lost: u64,
    shortest: Option<Nanos>,
    samples: VecDeque<Nanos>,
}

#[derive(Clone, Copy)]
struct Open {
    t1: Stamp,
    departed: Option<Stamp>,
    fate: Fate,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    UnderWay,
    Lost,
    Answered,
}

impl SpreadSession {
    /// A session over these source ports, each with a prober of its own. It begins with its first input.
    pub fn new(
        mut options: SpreadOptions,
        flows: Vec<(u16, Box<dyn Prober>)>,
        sink: Box<dyn SpreadSink>,
    ) -> SpreadSession {
        options.interval = options.interval.max(Duration::from_nanos(1));
        let flow = |(port, prober)| Flow {
            port,
            prober,
            sent: 0,
            answered: 0,
            lost: 0,
            shortest: None,
            samples: VecDeque::with_capacity(SAMPLES),
        };
        let flows: Vec<_> = flows.into_iter().map(flow).collect();
        let mut by_port: Vec<_> = flows
            .iter()
            .enumerate()
            .map(|(place, flow)| (flow.port, place))
            .collect();
        by_port.sort_unstable();
        SpreadSession {
            options,
            is_closing: flows.is_empty(),
            flows,
            by_port,
            sink,
            open: VecDeque::new(),
            first: 0,
            aged: 0,
            next: 0,
            next_slot: Mono(0),
            started: None,
            ended: false,
            under_way: 0,
            late: 0,
            refused: 0,
            slots_missed: 0,
            kinds: Kinds::new(),
        }
    }

    /// The flow whose turn probe `number` is, and its number there.
    fn turn(&self, number: u64) -> (usize, ProbeId) {
        let flows = self.flows.len().max(1) as u64;
        ((number % flows) as usize, ProbeId(number / flows))
    }

    fn is_exhausted(&self) -> bool {
        let all = self.options.count.saturating_mul(self.flows.len() as u64);
        self.is_closing || self.options.count > 0 && self.next >= all
    }

    /// Sends what is due.
    fn send(&mut self, cx: &mut Cx<'_>) {
        while !self.is_exhausted() && self.next_slot <= cx.now() {
            let behind = cx.now().since(self.next_slot);
            if behind > CATCH_UP {
                let missed =
                    u64::try_from(behind.as_nanos() / self.options.interval.as_nanos()).unwrap_or(u64::MAX);
                self.slots_missed = self.slots_missed.saturating_add(missed);
                self.next_slot = cx.now();
            }
            self.next_slot += self.options.interval;
            let (place, id) = self.turn(self.next);
            let flow = &mut self.flows[place];
            let room = cx.out.reserve(self.options.size, &[]);
            let Some(len) = flow.prober.request(&mut cx.env, id, room) else {
                return self.end(cx.now(), Ended::Unsendable);
            };
            let t1 = cx.env.clock.stamp();
            let mut path = self.options.path;
            path.local.set_port(flow.port);
            cx.out.commit(
                Transmit {
                    tos: self.options.tos,
                    tag: self.options.departure_stamps.then_some(TxTag(self.next)),
                    ..Transmit::to(path)
                },
                len,
            );
            flow.sent += 1;
            self.next += 1;
            self.under_way += 1;
            if self.open.len() >= MOST_OPEN {
                self.forget_first();
            }
            self.open.push_back(Open {
                t1,
                departed: None,
                fate: Fate::UnderWay,
            });
        }
    }

    fn forget_first(&mut self) {
        self.lose(self.first);
        self.open.pop_front();
        self.first += 1;
        self.aged = self.aged.saturating_sub(1);
    }

    /// Counts what has not been answered in time, and forgets what is old.
    fn age(&mut self, now: Mono) {
        while self
            .open
            .get(self.aged)
            .is_some_and(|open| open.t1.mono + self.options.lost_after <= now)
        {
            self.lose(self.first + self.aged as u64);
            self.aged += 1;
        }
        let forgotten = self.options.lost_after * 2;
        while self.aged > 0
            && self
                .open
                .front()
                .is_some_and(|open| open.t1.mono + forgotten <= now)
        {
            self.forget_first();
        }
    }

    fn lose(&mut self, number: u64) {
        let (place, _) = self.turn(number);
        if let Some(open) = self.open_mut(number)
            && open.fate == Fate::UnderWay
        {
            open.fate = Fate::Lost;
            self.flows[place].lost += 1;
            self.under_way -= 1;
        }
    }

    fn open_mut(&mut self, number: u64) -> Option<&mut Open> {
        let place = usize::try_from(number.checked_sub(self.first)?).ok()?;
        self.open.get_mut(place)
    }

    /// The flow of this port.
    fn of_port(&self, local: SocketAddr) -> Option<usize> {
        let found = self
            .by_port
            .binary_search_by_key(&local.port(), |&(port, _)| port)
            .ok()?;
        Some(self.by_port[found].1)
    }

    /// The number of the flow's probe in all.
    fn number(&self, place: usize, id: ProbeId) -> Option<u64> {
        let number =
            id.0.checked_mul(self.flows.len() as u64)?
                .checked_add(place as u64)?;
        (number < self.next).then_some(number)
    }

    fn hear(&mut self, rx: &Datagram<'_>, handled: Stamp) -> Option<()> {
        let place = self.of_port(rx.path.local)?;
        let mut path = self.options.path;
        path.local.set_port(rx.path.local.port());
        if !is_same_path(&path, &rx.path) {
            return None;
        }
        let flow = &mut self.flows[place];
        let heard = flow.prober.recognise(rx).ok()?;
        let newest = ProbeId(flow.sent.checked_sub(1)?);
        let number = self.number(place, heard.resolve(newest)?)?;
        let open = self.open_mut(number).filter(|open| open.fate != Fate::Answered)?;
        let was_lost = open.fate == Fate::Lost;
        open.fate = Fate::Answered;
        let inside = heard
            .reflection
            .and_then(|told| told.residence)
            .unwrap_or(Nanos::ZERO);
        let by_kernel = open.departed.filter(|_| rx.at.source != StampSource::User);
        let took = match by_kernel {
            Some(left) => rx.at.mono - left.mono,
            None => handled.mono - open.t1.mono,
        };
        let took = (took - inside).max(Nanos::ZERO);
        self.under_way -= u64::from(!was_lost);
        self.late += u64::from(was_lost);
        self.refused += u64::from(heard.refusal.is_some());
        let flow = &mut self.flows[place];
        flow.lost -= u64::from(was_lost);
        flow.answered += 1;
        flow.shortest = Some(flow.shortest.map_or(took, |shortest| shortest.min(took)));
        if flow.samples.len() == SAMPLES {
            flow.samples.pop_front();
        }
        flow.samples.push_back(took);
        Some(())
    }

    fn unreachable(&mut self, report: &Unreachable, quoted: &[u8]) {
        self.kinds.count(report.error);
        let number = match report.tag {
            Some(tag) => Some(tag.0),
            None => self.quoted(report.path.local, quoted),
        };
        if let Some(number) = number {
            self.lose(number);
        }
    }

    fn quoted(&self, local: SocketAddr, quoted: &[u8]) -> Option<u64> {
        let place = self.of_port(local)?;
        let flow = &self.flows[place];
        let newest = ProbeId(flow.sent.checked_sub(1)?);
        self.number(place, flow.prober.quoted(quoted)?.resolve(newest)?)
    }

    fn is_decided(&self) -> bool {
        self.is_exhausted() && self.under_way == 0
    }

    fn end(&mut self, now: Mono, why: Ended) {
        self.ended = true;
        self.report(now, Some(why));
    }

    fn report(&mut self, now: Mono, ended: Option<Ended>) {
        let facts: Vec<_> = self.flows.iter().map(Flow::facts).collect();
        let sum = |part: fn(&Flow) -> u64| self.flows.iter().map(part).sum::<u64>();
        let (sent, answered, lost) = (
            sum(|flow| flow.sent),
            sum(|flow| flow.answered),
            sum(|flow| flow.lost),
        );
        let report = SpreadReport {
            ended,
            flows: self.flows.iter().map(Flow::report).collect(),
            verdict: SpreadVerdict::of(&facts),
            sent,
            answered,
            late: self.late,
            refused: self.refused,
            lost,
            in_flight: self.under_way,
            slots_missed: self.slots_missed,
            unreachable: self.kinds.list(),
            elapsed: self.started.map_or(Duration::ZERO, |started| now.since(started)),
        };
        self.sink.report(report);
    }

    fn ends_at(&self) -> Option<Mono> {
        Some(self.started? + self.options.deadline?)
    }
}

impl Flow {
    /// The `quarter`th quartile of the delays.
    fn quartile(sorted: &[Nanos], quarter: usize) -> Option<Nanos> {
        sorted.get(sorted.len().saturating_sub(1) * quarter / 4).copied()
    }

    fn sorted(&self) -> Vec<Nanos> {
        let mut sorted: Vec<_> = self.samples.iter().copied().collect();
        sorted.sort_unstable();
        sorted
    }

    fn facts(&self) -> FlowFacts {
        let sorted = self.sorted();
        let quartile = |quarter| Flow::quartile(&sorted, quarter).unwrap_or(Nanos::ZERO);
        FlowFacts {
            settled: self.answered + self.lost,
            lost: self.lost,
            samples: sorted.len() as u64,
            delay: quartile(2),
            quartiles_apart: quartile(3) - quartile(1),
        }
    }

    fn report(&self) -> FlowReport {
        FlowReport {
            port: self.port,
            sent: self.sent,
            answered: self.answered,
            lost: self.lost,
            shortest: self.shortest,
            median: Flow::quartile(&self.sorted(), 2),
        }
    }
}

impl Machine for SpreadSession {
    fn handle(&mut self, cx: &mut Cx<'_>, input: Input<'_>) {
        if self.ended {
            return;
        }
        let now = cx.now();
        if self.started.is_none() {
            self.started = Some(now);
            self.next_slot = now;
        }
        match input {
            Input::Datagram(rx) => {
                let handled = cx.env.clock.stamp();
                // What is no answer of ours is no news.
                let _ = self.hear(&rx, handled);
            }
            Input::Departed(tag, at) => {
                if let Some(open) = self.open_mut(tag.0) {
                    open.departed = Some(at);
                }
            }
            // What was refused while it was sent is followed by the next at its slot.
            Input::Unreachable(report, quoted) => return self.unreachable(&report, quoted),
            Input::Report => self.report(now, None),
            Input::Drain => self.is_closing = true,
            Input::Stop => return self.end(now, Ended::Stopped),
            _ => {}
        }
        if self.ends_at().is_some_and(|at| at <= now) {
            return self.end(now, Ended::Deadline);
        }
        self.age(now);
        self.send(cx);
        if !self.ended && self.is_decided() {
            self.end(
                now,
                if self.is_closing {
                    Ended::Stopped
                } else {
                    Ended::Complete
                },
            );
        }
    }

    fn deadline(&self) -> Option<Deadline> {
        if self.ended {
            return None;
        }
        if self.started.is_none() {
            return Some(Deadline::new(Mono(0), "start"));
        }
        let slot = (!self.is_exhausted()).then_some(Deadline {
            exact: true,
            ..Deadline::new(self.next_slot, "slot")
        });
        let lost = self
            .open
            .get(self.aged)
            .map(|open| open.t1.mono + self.options.lost_after);
        let end = self.ends_at();
        let others = [(lost, "lost"), (end, "end")].map(|(at, why)| at.map(|at| Deadline::new(at, why)));
        // The last refusals may have decided all.
        let decided = self.is_decided().then_some(Deadline::new(Mono(0), "end"));
        others.into_iter().chain([decided]).fold(slot, Deadline::earlier)
    }

    fn finished(&self) -> bool {
        self.ended
    }
}
