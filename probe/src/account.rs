//! What became of each probe, from its leaving to its settling.

use crate::direction::Order;
use crate::ring::{Probe, Request, Ring};
use crate::statistics::Statistics;
use crate::steps::Steps;
use crate::unreachable::Kinds;
use crate::wire::{Wire, differ};
use crate::{
    Counts, Direction, Ended, Event, Exchange, LossCause, Observed, Opening, SessionOptions, Sink, Summary,
    Unused, Verdict,
};
use halloo_base::{
    Deadline, Env, KnownQuality, Mono, Nanos, Path, ProbeId, Reason, Stamp, StampSource, Unreachable,
};
use std::collections::VecDeque;
use std::time::Duration;

/// The books of a session. It neither sends nor receives: a session tells it what was sent, heard and refused, and
/// it tells the sink.
///
/// A probe is [`Verdict::InFlight`] until it is answered, lost or unsent. Lost and unsent probes stay in the ring,
/// so that an answer which comes after all moves them. What the counts say is therefore exact at any time.
#[derive(Debug)]
pub(crate) struct Account {
    pub(crate) counts: Counts,
    pub(crate) unused: Unused,
    pub(crate) statistics: Statistics,
    pub(crate) ring: Ring,
    pub(crate) order: Order,
    pub(crate) observed: Observed,
    pub(crate) steps: Steps,
    /// TOS or traffic class octet of what is sent.
    pub(crate) tos: u8,
    /// Whether answers leave with the marks that their probes arrived with.
    pub(crate) mirrors_marks: bool,
    session: u32,
    path: Path,
    count: u64,
    lost_after: Duration,
    discard_late: bool,
    settle_after: Duration,
    departures: bool,
    watched: bool,
    planned: bool,
    /// No probe before this one is in flight.
    open_from: u64,
    in_flight: u64,
    /// Of these: those that this host refused to send.
    refused: u64,
    /// The newest lost probe: an answer's window is only read if it may tell something.
    newest_lost: Option<u64>,
    /// Answered probes that something is still to be learnt about, by the time of their answers. It never grows: a
    /// probe that is entered while the head waits was remembered when the head was answered or was sent since, and
    /// that is at most two rings full.
    unsettled: VecDeque<ProbeId>,
    pub(crate) unreachable: Kinds,
    quality: KnownQuality,
}

/// The exact residence of an answer comes with the next answer; departure stamps come within this at any rate.
const SETTLE_AT_LEAST: Duration = Duration::from_millis(100);
/// Whoever reads settled probes as they come is not to wait for minutes where probes are that rare.
const SETTLE_AT_MOST: Duration = Duration::from_secs(3);
/// At the end of a session no further answer will tell anything; a departure stamp may still be on its way.
const DEPARTURE_GRACE: Duration = Duration::from_millis(20);

impl Account {
    pub(crate) fn new(options: &SessionOptions) -> Account {
        let ring = Ring::new(Ring::capacity_for(options));
        Account {
            counts: Counts::default(),
            unused: Unused::default(),
            statistics: Statistics::new(!options.is_flood()),
            unsettled: VecDeque::with_capacity(2 * ring.capacity()),
            ring,
            order: Order::default(),
            observed: Observed::default(),
            steps: Steps::default(),
            tos: options.tos.unwrap_or(0),
            mirrors_marks: options.mirrors_marks,
            session: options.id,
            path: options.path,
            count: options.count,
            lost_after: options.lost_after,
            discard_late: options.discard_late,
            settle_after: options
                .interval
                .saturating_mul(2)
                .clamp(SETTLE_AT_LEAST, SETTLE_AT_MOST),
            departures: options.departure_stamps,
            watched: options.watched,
            planned: !options.is_flood(),
            open_from: 0,
            in_flight: 0,
            refused: 0,
            newest_lost: None,
            unreachable: Kinds::new(),
            quality: KnownQuality::default(),
        }
    }

    /// The number that the next probe gets.
    pub(crate) fn next_id(&self) -> ProbeId {
        ProbeId(self.ring.next())
    }

    /// Probes without answer, younger than `lost_after`.
    pub(crate) fn in_flight(&self) -> u64 {
        self.in_flight
    }

    /// The oldest probe in flight.
    pub(crate) fn oldest_in_flight(&self) -> Option<ProbeId> {
        (self.in_flight > 0).then_some(ProbeId(self.open_from))
    }

    /// Gives up the probe in whose place the next one will be remembered. To be called before the next one is
    /// stamped, so that nothing comes between its stamp and its leaving.
    pub(crate) fn make_room(&mut self, sink: &mut dyn Sink) {
        let Some((id, probe)) = self.ring.leaving().and_then(|id| Some((id, self.ring.get(id)?))) else {
            return;
        };
        if probe.is_open() {
            self.lose(id, LossCause::Overrun, sink);
        } else if !probe.settled {
            self.settle(id, sink);
        }
        self.drop_settled();
    }

    /// The next probe leaves now.
    pub(crate) fn sent(&mut self, slot: Mono, t1: Stamp, path: Path, bytes: usize, sink: &mut dyn Sink) {
        self.look_at_clock(&t1, sink);
        let exchange = self.push(slot, t1, path, bytes);
        self.in_flight += 1;
        self.statistics.sent(&exchange);
        if self.watched {
            sink.record(Event::Sent {
                session: self.session,
                seq: exchange.seq,
                at: t1.mono,
                slot_error: exchange.slot_error,
            });
        }
    }

    /// This probe is the first on a new connection.
    pub(crate) fn opened(&mut self, id: ProbeId, opening: Opening) {
        if let Some(probe) = self.ring.get_mut(id) {
            probe.exchange.opening = Some(opening);
        }
    }

    /// The next probe was due and could not leave.
    pub(crate) fn unsent(&mut self, slot: Mono, t1: Stamp, path: Path, bytes: usize, sink: &mut dyn Sink) {
        self.look_at_clock(&t1, sink);
        let id = self.push(slot, t1, path, bytes).seq;
        self.counts.unsent += 1;
        self.give_up(id, Verdict::Unsent, sink);
    }

    /// A probe left the host at this instant.
    pub(crate) fn departed(&mut self, id: ProbeId, at: Stamp, sink: &mut dyn Sink) {
        let Some(probe) = self.ring.get_mut(id) else {
            return;
        };
        let exchange = &mut probe.exchange;
        if at.source == StampSource::User
            || exchange.t1_kernel.is_some()
            || probe.settled && exchange.t4.is_some()
        {
            return;
        }
        exchange.t1_kernel = Some(at);
        exchange.clock_stepped |= differ(&at, &exchange.t1);
        self.settle_if_known(id, sink);
    }

    /// Somebody says that a probe does not get through. What the network refused is lost, as far as is known now: an
    /// answer that comes after all makes it answered. What this host refused stays in flight until its time is over,
    /// or a flood would do nothing but be refused; but nobody waits for it at the end.
    pub(crate) fn refused(
        &mut self,
        now: Mono,
        report: &Unreachable,
        id: Option<ProbeId>,
        sink: &mut dyn Sink,
    ) {
        let seq = id.filter(|&id| self.ring.get(id).is_some_and(Probe::is_open));
        sink.record(Event::Unreachable {
            session: self.session,
            at: now,
            path: report.path,
            seq,
            reporter: report.reporter,
            error: report.error,
        });
        self.unreachable.count(report.error);
        let Some(id) = seq else { return };
        let Some(probe) = self.ring.get_mut(id) else {
            return;
        };
        if report.reporter.is_some() {
            self.lose(id, LossCause::Unreachable, sink);
        } else if !probe.refused {
            probe.refused = true;
            self.refused += 1;
        }
    }

    /// Counts an arrival that is no use. What is a part of an answer is of use with its other parts.
    pub(crate) fn unused(&mut self, why: Reason) {
        let unused = &mut self.unused;
        *match why {
            Reason::Incomplete => return,
            Reason::Foreign => &mut unused.foreign,
            Reason::WrongPath => &mut unused.wrong_path,
            Reason::Malformed => &mut unused.malformed,
            Reason::BadAuth => &mut unused.bad_auth,
            Reason::Truncated => &mut unused.truncated,
            _ => &mut unused.other,
        } += 1;
    }

    /// Gives up probes older than `lost_after`, and settles answered ones that waited long enough.
    pub(crate) fn advance(&mut self, now: Mono, sink: &mut dyn Sink) {
        while let Some(id) = self.oldest_in_flight()
            && self.lost_at(id).is_some_and(|at| at <= now)
        {
            self.lose(id, LossCause::Timeout, sink);
        }
        self.drop_settled();
        while let Some(&id) = self.unsettled.front()
            && self.settled_at(id).is_none_or(|at| at <= now)
        {
            self.settle(id, sink);
            self.drop_settled();
        }
    }

    /// The connection that carried the probes in flight is gone. Tells how many there were.
    pub(crate) fn lose_all(&mut self, sink: &mut dyn Sink) -> u64 {
        let lost = self.in_flight;
        while let Some(id) = self.oldest_in_flight() {
            self.lose(id, LossCause::Connection, sink);
        }
        lost
    }

    /// When [`Account::advance`] has something to do.
    pub(crate) fn deadline(&self) -> Option<Deadline> {
        let loss = self.oldest_in_flight().and_then(|id| self.lost_at(id));
        let settling = self.unsettled.front().and_then(|&id| self.settled_at(id));
        Deadline::earlier(
            loss.map(|at| Deadline::new(at, "loss")),
            settling.map(|at| Deadline::new(at, "settling")),
        )
    }

    /// Whether every probe has its verdict, or nobody waits for it.
    pub(crate) fn is_decided(&self) -> bool {
        self.in_flight == self.refused
    }

    /// Until when the newest answered probe's departure stamp may still come.
    pub(crate) fn departure_awaited(&self) -> Option<Mono> {
        let newest = self.ring.get(*self.unsettled.back()?)?;
        let answered = newest.exchange.t4.filter(|_| !newest.settled)?;
        (self.departures && newest.exchange.t1_kernel.is_none()).then(|| answered.mono + DEPARTURE_GRACE)
    }

    /// The end: everything is settled as it stands.
    pub(crate) fn close(&mut self, now: Mono, sink: &mut dyn Sink) {
        self.advance(now, sink);
        while let Some(id) = self.unsettled.pop_front() {
            self.settle(id, sink);
        }
        for id in (self.open_from..self.ring.next()).map(ProbeId) {
            match self.ring.get(id) {
                Some(probe) if probe.refused && probe.is_open() => {
                    self.lose(id, LossCause::Timeout, sink);
                }
                Some(probe) if probe.is_open() => sink.record(Event::Settled(probe.exchange)),
                _ => {}
            }
        }
    }

    /// Everything in numbers.
    pub(crate) fn summary(
        &self,
        started: Stamp,
        now: Mono,
        ended: Option<Ended>,
        slots_missed: u64,
    ) -> Summary {
        let statistics = &self.statistics;
        Summary {
            session: self.session,
            ended,
            path: self.path,
            started,
            elapsed: now.since(started.mono),
            count: self.count,
            counts: Counts {
                sent: self.ring.next(),
                in_flight: self.in_flight,
                wire_guessed: statistics.wire_guessed(),
                slots_missed: slots_missed - self.counts.slots_busy,
                clock_steps: self.steps.count(),
                clock_stepped_by: self.steps.total(),
                ..self.counts
            },
            unused: self.unused,
            wire: statistics.wire(),
            host: statistics.host.statistic(),
            intended: statistics.intended.statistic(),
            ipdv: statistics.ipdv.statistic(),
            one_way: statistics.one_way(),
            connect: statistics.connect.statistic(),
            secure: statistics.secure.statistic(),
            first_byte: statistics.first_byte.statistic(),
            total: statistics.total.statistic(),
            budget: statistics.budget(),
            sources: statistics.sources,
            observed: self.observed,
            unreachable: self.unreachable.list(),
        }
    }

    /// Asks now and then how good this host's wall clock is: what one-way delays are worth depends on it.
    pub(crate) fn look_at_quality(&mut self, env: &Env<'_>) {
        let quality = self.quality.at(env.now, env.clock);
        self.statistics.clock_error = quality.map(|quality| quality.error);
    }

    /// Looks whether the wall clock was stepped since the last stamp.
    pub(crate) fn look_at_clock(&mut self, stamp: &Stamp, sink: &mut dyn Sink) {
        if let Some(step) = self.steps.observe(stamp) {
            self.statistics.clock_stepped();
            sink.record(Event::ClockStepped {
                session: self.session,
                at: *stamp,
                step,
            });
        }
    }

    /// Whether an answer that arrived then came in time.
    pub(crate) fn is_in_time(&self, t1: &Stamp, arrived: &Stamp) -> bool {
        arrived.mono <= t1.mono + self.lost_after
    }

    /// Whether an answer that comes later is none.
    pub(crate) fn discards_late(&self) -> bool {
        self.discard_late
    }

    /// A probe has its first answer: it counts as answered and no longer as what it was. Its verdict is changed by
    /// the caller.
    pub(crate) fn count_answered(&mut self, id: ProbeId) {
        let Some(probe) = self.ring.get(id) else { return };
        let refused = probe.refused;
        match probe.exchange.verdict {
            Verdict::InFlight => self.leave_flight(id, refused),
            Verdict::Lost { direction, cause } => {
                *self.lost_count(direction) -= 1;
                self.counts.lost_connection -= u64::from(cause == LossCause::Connection);
            }
            Verdict::Unsent => self.counts.unsent -= 1,
            Verdict::Answered | Verdict::Late | Verdict::Duplicate => {}
        }
        self.counts.answered += 1;
    }

    /// An answered probe is to be settled, now or when more is known about it.
    pub(crate) fn enter_unsettled(&mut self, id: ProbeId, sink: &mut dyn Sink) {
        self.unsettled.push_back(id);
        self.settle_if_known(id, sink);
    }

    /// Settles an answered probe if nothing more is to be learnt about it.
    pub(crate) fn settle_if_known(&mut self, id: ProbeId, sink: &mut dyn Sink) {
        let Some(probe) = self.ring.get(id) else { return };
        let exchange = &probe.exchange;
        let departure_known = exchange.t1_kernel.is_some() || !self.departures;
        let residence_known =
            exchange.t2.is_none() || exchange.residence.is_some_and(|residence| residence.exact);
        if departure_known && residence_known {
            self.settle(id, sink);
            self.drop_settled();
        }
    }

    /// Something is told about a request at the responder.
    pub(crate) fn tell(&mut self, id: ProbeId, request: Request, sink: &mut dyn Sink) {
        let Some(probe) = self.ring.get_mut(id) else {
            return;
        };
        if probe.request == Request::Arrived || probe.request == request {
            return;
        }
        probe.request = request;
        let Verdict::Lost { direction, .. } = &mut probe.exchange.verdict else {
            return;
        };
        let before = std::mem::replace(direction, request.lost());
        *self.lost_count(before) -= 1;
        *self.lost_count(request.lost()) += 1;
        if self.watched {
            sink.record(Event::Directed {
                session: self.session,
                seq: id,
                direction: request.lost(),
            });
        }
    }

    /// Whether an answer's window may tell something about probes before it.
    pub(crate) fn is_curious(&self, seq: u64, reach: u64) -> bool {
        let recently_lost = self
            .newest_lost
            .is_some_and(|lost| lost.saturating_add(reach) >= seq);
        recently_lost || (self.in_flight > 0 && self.open_from < seq)
    }

    fn push(&mut self, slot: Mono, t1: Stamp, path: Path, bytes: usize) -> Exchange {
        let slot = if self.planned { slot } else { t1.mono };
        let exchange = Exchange {
            session: self.session,
            seq: self.next_id(),
            verdict: Verdict::InFlight,
            slot,
            t1,
            t1_kernel: None,
            t2: None,
            t3: None,
            t2_kernel: false,
            clock_error: None,
            residence: None,
            t4: None,
            t4_kernel: None,
            t4_first: None,
            opening: None,
            first_byte: None,
            total: None,
            wire: None,
            host: None,
            intended: None,
            slot_error: t1.mono - slot,
            clock_stepped: false,
            path,
            marks: None,
            seen: None,
            options: None,
            refusal: None,
            bytes: u32::try_from(bytes).unwrap_or(u32::MAX),
        };
        if self.in_flight == 0 {
            self.open_from = exchange.seq.0;
        }
        self.ring.push(Probe {
            exchange,
            request: Request::Unknown,
            refused: false,
            steps: self.steps.count(),
            settled: false,
        });
        exchange
    }

    /// A probe in flight will not be answered, as far as can be known.
    fn lose(&mut self, id: ProbeId, cause: LossCause, sink: &mut dyn Sink) {
        let Some(probe) = self.ring.get(id) else { return };
        let (refused, direction) = (probe.refused, probe.request.lost());
        self.leave_flight(id, refused);
        if refused {
            self.counts.unsent += 1;
            return self.give_up(id, Verdict::Unsent, sink);
        }
        self.counts.lost_connection += u64::from(cause == LossCause::Connection);
        self.counts.overrun += u64::from(cause == LossCause::Overrun);
        *self.lost_count(direction) += 1;
        self.newest_lost = self.newest_lost.max(Some(id.0));
        self.give_up(id, Verdict::Lost { direction, cause }, sink);
    }

    fn give_up(&mut self, id: ProbeId, verdict: Verdict, sink: &mut dyn Sink) {
        if let Some(probe) = self.ring.get_mut(id) {
            probe.exchange.verdict = verdict;
            probe.settled = true;
            sink.record(Event::Exchange(probe.exchange));
            sink.record(Event::Settled(probe.exchange));
        }
    }

    fn leave_flight(&mut self, id: ProbeId, refused: bool) {
        self.in_flight -= 1;
        self.refused -= u64::from(refused);
        if id.0 == self.open_from {
            let after = id.0 + 1..self.ring.next();
            let open = |seq: &u64| self.ring.get(ProbeId(*seq)).is_some_and(Probe::is_open);
            self.open_from = after.clone().find(open).unwrap_or(after.end);
        }
    }

    fn settle(&mut self, id: ProbeId, sink: &mut dyn Sink) {
        let Some(probe) = self
            .ring
            .get_mut(id)
            .filter(|probe| probe.is_answered() && !probe.settled)
        else {
            return;
        };
        let exchange = &mut probe.exchange;
        match exchange.measure_wire() {
            _ if exchange.is_refused() => {}
            Wire::Unknown => {}
            Wire::Spoilt => self.counts.wire_spoilt += 1,
            Wire::Known(span) => self.counts.wire_negative += u64::from(span < Nanos::ZERO),
        }
        probe.settled = true;
        self.statistics
            .settled(exchange, probe.steps == self.steps.count());
        sink.record(Event::Settled(*exchange));
        self.compare(id, id.0.checked_sub(1));
        self.compare(id, id.0.checked_add(1));
    }

    /// Compares a settled probe with a neighbour, if that is settled too: so each pair is compared once.
    fn compare(&mut self, id: ProbeId, neighbour: Option<u64>) {
        let pair = || {
            let (one, other) = (self.ring.get(id)?, self.ring.get(ProbeId(neighbour?))?);
            let by = |wire| Some((one.round_trip(wire)?, other.round_trip(wire)?));
            let alike = one.exchange.is_wire_guessed() == other.exchange.is_wire_guessed();
            by(true).filter(|_| alike).or_else(|| by(false))
        };
        if let Some((one, other)) = pair() {
            self.statistics.neighbours(one, other);
        }
    }

    fn drop_settled(&mut self) {
        while let Some(&id) = self.unsettled.front()
            && self.ring.get(id).is_none_or(|probe| probe.settled)
        {
            self.unsettled.pop_front();
        }
    }

    fn lost_at(&self, id: ProbeId) -> Option<Mono> {
        Some(self.ring.get(id)?.exchange.t1.mono + self.lost_after)
    }

    fn settled_at(&self, id: ProbeId) -> Option<Mono> {
        Some(self.ring.get(id)?.exchange.t4?.mono + self.settle_after)
    }

    fn lost_count(&mut self, direction: Direction) -> &mut u64 {
        match direction {
            Direction::Forward => &mut self.counts.lost_forward,
            Direction::Backward => &mut self.counts.lost_backward,
            Direction::Unknown => &mut self.counts.lost_unknown,
        }
    }
}

impl Request {
    /// Which way a probe was lost, given this about its request.
    fn lost(self) -> Direction {
        match self {
            Request::Unknown => Direction::Unknown,
            Request::Missing => Direction::Forward,
            Request::Arrived => Direction::Backward,
        }
    }
}
