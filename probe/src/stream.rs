//! A session that asks over one long-lived connection.

use crate::account::Account;
use crate::answer::Answer;
use crate::backoff::Backoff;
use crate::schedule::Schedule;
use crate::{Break, Ended, Event, Opening, OptionsError, SessionOptions, Sink};
use halloo_base::{
    CloseReason, ConnId, Cx, Deadline, Finish, Heard, Input, Machine, Mono, Path, ProbeId, Progress, Stamp,
    StreamInput, StreamProber, TxTag,
};
use std::time::Duration;

/// Asks over one long-lived connection: a request a slot, many on the same connection.
///
/// Slots begin when the first connection is up; at the latest when the attempt has failed or has taken a second, the
/// time in which a connection comes up whose first segment was not lost. A session that ends before tells one probe
/// that could not leave. When the connection breaks, requests under
/// way are lost, and the session connects again after a wait that doubles from 100 ms to 5 s with every failure and
/// starts over with the first answer on a new connection. Slots that come while there is no connection are
/// [`Unsent`](crate::Verdict::Unsent): lost, and counted apart. A flood has no slots while there is no connection.
///
/// A connection may also end as its protocol has it, after an answer ([`StreamProber::is_done`]) or between two
/// ([`Finish::Done`]). Nothing is lost by that: the next slot opens another one and waits for it, so that the time to
/// connect is in the intended round trip alone; and what was not answered is asked again there, so that all that it
/// waited is in every round trip of it. Where requests must wait for answers ([`StreamProber::pipelines`]), slots wait
/// too; those that pass meanwhile are counted as [busy](crate::Counts::slots_busy).
pub struct StreamSession {
    options: SessionOptions,
    prober: Box<dyn StreamProber>,
    sink: Box<dyn Sink>,
    schedule: Schedule,
    account: Account,
    backoff: Backoff,
    request: Vec<u8>,
    state: State,
    connections: u64,
    /// The connection that had done its work; its peer may not have closed it yet.
    leaving: Option<ConnId>,
    been_up: bool,
    /// A slot had to wait for an answer or a connection.
    busy: bool,
    started: Option<Stamp>,
    ended: bool,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// Nothing is open; the next attempt is then.
    Waiting(Mono),
    /// Nothing is open, for the last connection has done its work; the next slot connects.
    Done,
    /// The connection was asked for.
    Connecting(Attempt),
    /// It is up.
    Up(Connection),
}

#[derive(Clone, Copy, Debug)]
struct Attempt {
    id: ConnId,
    /// When it was asked for.
    asked: Stamp,
    /// When it was there and not secured yet.
    connected: Option<Stamp>,
    /// It takes the place of one that had done its work: slots wait for it.
    renews: bool,
}

#[derive(Clone, Copy, Debug)]
struct Connection {
    id: ConnId,
    path: Path,
    /// The first probe on it: what is older went by another connection.
    first: ProbeId,
    /// The probe that an answer without a number is to: on a stream, answers come in the order of requests.
    answers_next: ProbeId,
    /// The probe that is to be asked on it next: the next new one, or one that the last connection left unanswered.
    asks_next: ProbeId,
    /// Bytes of the answer that is under way.
    begun: usize,
    /// When the first of them arrived.
    begun_at: Option<Stamp>,
    /// What it took to open it, until a probe was asked on it.
    opening: Option<Opening>,
}

/// A connection that takes longer has lost its SYN, which is sent again after one second (RFC 6298 section 2). It
/// has at least this long to come up, however short `lost_after` is; and slots do not wait any longer for the first.
const CONNECT_USUALLY: Duration = Duration::from_secs(1);

impl StreamSession {
    /// A session that connects with its first input. All its memory is taken here, but for what the codec writes.
    ///
    /// # Errors
    /// Options that make no session.
    pub fn new(
        options: SessionOptions,
        prober: Box<dyn StreamProber>,
        sink: Box<dyn Sink>,
    ) -> Result<StreamSession, OptionsError> {
        options.check_stream()?;
        Ok(StreamSession {
            schedule: Schedule::new(&options),
            account: Account::new(&options),
            request: Vec::with_capacity(options.size),
            options,
            prober,
            sink,
            backoff: Backoff::default(),
            state: State::Waiting(Mono(0)),
            connections: 0,
            leaving: None,
            been_up: false,
            busy: false,
            started: None,
            ended: false,
        })
    }

    fn connect(&mut self, cx: &mut Cx<'_>) {
        let id = ConnId(self.connections);
        self.connections += 1;
        self.prober.reset();
        if let Some(last) = self.leaving.take() {
            // It has had its time to close.
            cx.out.abort(last);
        }
        let asked = cx.env.clock.stamp();
        cx.out.connect(id, self.options.path);
        self.state = State::Connecting(Attempt {
            id,
            asked,
            connected: None,
            renews: matches!(self.state, State::Done),
        });
    }

    fn stream(&mut self, cx: &mut Cx<'_>, id: ConnId, input: StreamInput<'_>) {
        match (self.state, input) {
            (State::Connecting(own), StreamInput::Connected { at }) if own.id == id => {
                self.state = State::Connecting(Attempt {
                    connected: Some(at),
                    ..own
                });
            }
            (State::Connecting(own), StreamInput::Opened { path, at }) if own.id == id => {
                self.opened(cx, own, path, at);
            }
            (State::Connecting(own), StreamInput::Closed(why)) if own.id == id => {
                self.broken(cx, Break::Closed(why));
            }
            (State::Up(own), StreamInput::Data { bytes, at }) if own.id == id => {
                self.receive(cx, own, bytes, at);
            }
            (State::Up(own), StreamInput::Closed(why)) if own.id == id => self.broken(cx, Break::Closed(why)),
            (State::Up(own), StreamInput::Finished) if own.id == id => self.finished_by_peer(cx, own),
            (_, StreamInput::Data { .. }) if self.leaving == Some(id) => {
                // It was asked for nothing more: let nobody send on for ever.
                self.leaving = None;
                cx.out.abort(id);
            }
            // What comes from a connection that was given up means nothing any more.
            _ => {}
        }
    }

    fn opened(&mut self, cx: &mut Cx<'_>, attempt: Attempt, path: Path, at: Stamp) {
        let opening = attempt.opened(at);
        let Opening { connect, secure, .. } = opening;
        self.account.statistics.connect.record(connect);
        if let Some(secure) = secure {
            self.account.statistics.secure.record(secure);
        }
        self.account.counts.reconnects += u64::from(self.been_up);
        self.been_up = true;
        let next = self.account.oldest_in_flight().unwrap_or(self.account.next_id());
        self.state = State::Up(Connection {
            id: attempt.id,
            path,
            first: next,
            answers_next: next,
            asks_next: next,
            begun: 0,
            begun_at: None,
            opening: Some(opening),
        });
        self.schedule.begin(cx.now());
        let session = self.options.id;
        self.sink.record(if attempt.renews {
            Event::Renewed {
                session,
                path,
                at,
                connect,
                secure,
            }
        } else {
            Event::Opened {
                session,
                path,
                at,
                connect,
                secure,
            }
        });
    }

    /// The connection has done its work, and the next slot, or what it left unanswered, opens another one.
    fn done(&mut self, cx: &mut Cx<'_>, id: ConnId) {
        cx.out.finish(id);
        self.leaving = Some(id);
        self.state = State::Done;
    }

    fn finished_by_peer(&mut self, cx: &mut Cx<'_>, own: Connection) {
        match self.prober.finish() {
            Finish::Heard(heard) => {
                let at = cx.env.clock.stamp();
                if self.answer(cx, own, &heard, 0, at).is_some() {
                    self.done(cx, own.id);
                }
            }
            Finish::Done => self.done(cx, own.id),
            Finish::Broken => {
                cx.out.abort(own.id);
                self.broken(cx, Break::Finished);
            }
        }
    }

    /// The connection is of no more use (and already dropped), or never came up.
    fn broken(&mut self, cx: &mut Cx<'_>, why: Break) {
        let was_up = matches!(self.state, State::Up(_));
        self.account.counts.broken += u64::from(was_up);
        self.account.counts.connect_failures += u64::from(!was_up);
        if let Break::Closed(CloseReason::ConnectFailed(error) | CloseReason::Broken(error)) = why
            && !was_up
        {
            self.account.unreachable.count(error);
        }
        let retry_in = self.backoff.next(cx.env.rng);
        self.state = State::Waiting(cx.now() + retry_in);
        self.schedule.begin(cx.now());
        let lost = self.account.lose_all(&mut *self.sink);
        self.sink.record(Event::Broken {
            session: self.options.id,
            at: cx.now(),
            why,
            lost,
            retry_in,
        });
    }

    /// Takes as many answers as the bytes hold.
    fn receive(&mut self, cx: &mut Cx<'_>, mut own: Connection, mut bytes: &[u8], at: Stamp) {
        while !bytes.is_empty() {
            match self.prober.receive(bytes) {
                Progress::Partial(used) => {
                    own.begun += used;
                    own.begun_at = own.begun_at.or(Some(at));
                    self.state = State::Up(own);
                    return;
                }
                Progress::Unused(used, why) => {
                    (own.begun, own.begun_at) = (0, None);
                    self.state = State::Up(own);
                    self.account.unused(why);
                    bytes = bytes.get(used.max(1)..).unwrap_or_default();
                }
                Progress::Foreign(what) => return self.foreign(cx, own.id, what),
                Progress::Heard(used, heard) => {
                    let Some(after) = self.answer(cx, own, &heard, used, at) else {
                        return;
                    };
                    if self.prober.is_done() {
                        return self.done(cx, own.id);
                    }
                    own = after;
                    bytes = bytes.get(used.max(1)..).unwrap_or_default();
                }
            }
        }
    }

    /// Takes an answer that ended with so many bytes; `None` if it answers nothing, and the connection is dropped.
    fn answer(
        &mut self,
        cx: &mut Cx<'_>,
        mut own: Connection,
        heard: &Heard,
        used: usize,
        at: Stamp,
    ) -> Option<Connection> {
        let Some(id) = self.resolve(&own, heard) else {
            self.foreign(cx, own.id, "an answer to nothing that was asked");
            return None;
        };
        own.answers_next = own.answers_next.max(ProbeId(id.0 + 1));
        let whole = std::mem::take(&mut own.begun) + used;
        let begun = own.begun_at.take().or(Some(at));
        self.state = State::Up(own);
        self.backoff.reset();
        let answer = Answer {
            id,
            heard: *heard,
            path: own.path,
            marks: None,
            at,
            begun,
            handled: cx.env.clock.stamp(),
            bytes: whole,
        };
        self.account.look_at_quality(&cx.env);
        self.account.answered(&answer, &mut *self.sink);
        Some(own)
    }

    fn resolve(&self, own: &Connection, heard: &Heard) -> Option<ProbeId> {
        let newest = ProbeId(own.asks_next.0.checked_sub(1)?);
        let id = match heard.bits {
            0 => Some(own.answers_next),
            _ => heard.resolve(newest),
        };
        id.filter(|id| (own.first..own.asks_next).contains(id))
    }

    fn foreign(&mut self, cx: &mut Cx<'_>, id: ConnId, what: &'static str) {
        self.account.unused(halloo_base::Reason::Foreign);
        cx.out.abort(id);
        self.broken(cx, Break::Foreign(what));
    }

    /// Connects, or gives a connection or an attempt at one up, when it is time.
    fn keep_connected(&mut self, cx: &mut Cx<'_>) {
        if let State::Up(own) = self.state
            && self.is_wanted(cx.now())
            && self.is_stuck(&own)
        {
            cx.out.abort(own.id);
            self.state = State::Done;
        }
        match self.state {
            State::Waiting(until) if until <= cx.now() && !self.schedule.is_exhausted() => self.connect(cx),
            State::Done if self.is_wanted(cx.now()) => self.connect(cx),
            State::Connecting(own) if self.gives_up_at(&own.asked) <= cx.now() => {
                cx.out.abort(own.id);
                let (after, connected) = (self.gives_up_after(), own.connected.is_some());
                self.broken(cx, Break::ConnectTimeout { after, connected });
            }
            _ => {}
        }
    }

    /// Whether there is something to ask that has no connection: a slot, or what the last one left unanswered.
    fn is_wanted(&self, now: Mono) -> bool {
        self.is_due(now) || self.account.in_flight() > 0
    }

    /// Whether a slot has come, ready or not.
    fn is_due(&self, now: Mono) -> bool {
        let slot = self.schedule.next(self.account.in_flight());
        slot.is_some_and(|at| at <= now)
    }

    /// Whether a request may be written now.
    fn may_ask(&self, own: &Connection) -> bool {
        own.answers_next >= own.asks_next || self.prober.pipelines()
    }

    /// Whether nothing more may be asked before an answer that was given up.
    fn is_stuck(&self, own: &Connection) -> bool {
        let open = self.account.oldest_in_flight();
        !self.may_ask(own) && open.is_none_or(|oldest| oldest >= own.asks_next)
    }

    fn gives_up_at(&self, asked: &Stamp) -> Mono {
        asked.mono + self.gives_up_after()
    }

    fn gives_up_after(&self) -> Duration {
        self.options.lost_after.max(CONNECT_USUALLY)
    }

    /// Sends what is due, or counts what cannot be.
    fn send(&mut self, cx: &mut Cx<'_>) {
        self.ask_again(cx);
        while self.next_slot().is_some_and(|at| at <= cx.now()) {
            let missed = self.schedule.missed();
            let Some(slot) = self.schedule.take(cx.now(), self.account.in_flight()) else {
                return;
            };
            if std::mem::take(&mut self.busy) {
                self.account.counts.slots_busy += self.schedule.missed() - missed;
            }
            let State::Up(own) = self.state else {
                self.unsent(cx, slot);
                continue;
            };
            let sink = &mut *self.sink;
            self.account.make_room(sink);
            let id = self.account.next_id();
            let t1 = self.ask(cx, own, id);
            let sink = &mut *self.sink;
            self.account.sent(slot, t1, own.path, self.request.len(), sink);
            self.tell_opening(id);
        }
    }

    /// Asks again what the last connection left unanswered.
    fn ask_again(&mut self, cx: &mut Cx<'_>) {
        while let State::Up(mut own) = self.state
            && own.asks_next < self.account.next_id()
            && self.may_ask(&own)
        {
            if own.answers_next >= own.asks_next {
                // Nothing is under way here: what was given up meanwhile need not be asked.
                let next = self.account.oldest_in_flight().unwrap_or(self.account.next_id());
                own.asks_next = own.asks_next.max(next);
                own.answers_next = own.asks_next;
                self.state = State::Up(own);
            }
            if own.asks_next < self.account.next_id() {
                self.ask(cx, own, own.asks_next);
                self.tell_opening(own.asks_next);
            }
        }
    }

    fn ask(&mut self, cx: &mut Cx<'_>, mut own: Connection, id: ProbeId) -> Stamp {
        self.request.clear();
        self.prober.request(&mut cx.env, id, &mut self.request);
        let t1 = cx.env.clock.stamp();
        let tag = self.options.departure_stamps.then_some(TxTag(id.0));
        cx.out.write(own.id, tag, &self.request);
        own.asks_next = ProbeId(id.0 + 1);
        self.state = State::Up(own);
        t1
    }

    /// The first probe on a connection knows what that took to open.
    fn tell_opening(&mut self, id: ProbeId) {
        if let State::Up(own) = &mut self.state
            && let Some(opening) = own.opening.take()
        {
            self.account.opened(id, opening);
        }
    }

    /// A slot has come and there is no connection.
    fn unsent(&mut self, cx: &mut Cx<'_>, slot: Mono) {
        let sink = &mut *self.sink;
        self.account.make_room(sink);
        let t1 = cx.env.clock.stamp();
        self.account
            .unsent(slot, t1, self.options.path, self.options.size, sink);
    }

    /// When a slot is to be looked at; `None` if there is none or it waits for something.
    fn next_slot(&self) -> Option<Mono> {
        let is_ready = match &self.state {
            State::Up(own) => self.may_ask(own) || self.is_stuck(own),
            State::Connecting(own) if own.renews => false,
            State::Waiting(_) | State::Connecting(_) => !self.options.is_flood(),
            State::Done => true,
        };
        self.schedule.next(self.account.in_flight()).filter(|_| is_ready)
    }

    fn is_decided(&self) -> bool {
        self.schedule.is_exhausted() && self.account.is_decided()
    }

    /// Until when the end waits for the last departure stamp, once all else is decided.
    fn departure_awaited(&self) -> Option<Mono> {
        self.account.departure_awaited().filter(|_| self.is_decided())
    }

    fn end(&mut self, cx: &mut Cx<'_>, why: Ended) {
        if !self.been_up && self.account.next_id() == ProbeId(0) {
            // Nothing asked and nothing lost would read as if all were well.
            self.schedule.begin(cx.now());
            if let Some(slot) = self.schedule.take(cx.now(), 0) {
                self.unsent(cx, slot);
            }
        }
        match self.state {
            State::Up(own) => cx.out.finish(own.id),
            State::Connecting(own) => cx.out.abort(own.id),
            State::Waiting(_) | State::Done => {}
        }
        self.account.close(cx.now(), &mut *self.sink);
        self.ended = true;
        self.report(cx, Some(why));
    }

    fn report(&mut self, cx: &mut Cx<'_>, ended: Option<Ended>) {
        let Some(started) = self.started else { return };
        let summary = self
            .account
            .summary(started, cx.now(), ended, self.schedule.missed());
        self.sink.record(Event::Summary(Box::new(summary)));
    }

    fn ends_at(&self) -> Option<Mono> {
        Some(self.started?.mono + self.options.deadline?)
    }
}

impl Attempt {
    /// It is open since then.
    fn opened(&self, at: Stamp) -> Opening {
        let connected = self.connected.unwrap_or(at);
        Opening {
            connect: connected.mono - self.asked.mono,
            secure: self.connected.map(|connected| at.mono - connected.mono),
            done: at.mono,
        }
    }
}

impl Machine for StreamSession {
    fn handle(&mut self, cx: &mut Cx<'_>, input: Input<'_>) {
        if self.ended {
            return;
        }
        if self.started.is_none() {
            self.started = Some(cx.env.clock.stamp());
            self.schedule.begin(cx.now() + CONNECT_USUALLY);
        }
        self.busy |= self.is_due(cx.now()) && self.next_slot().is_none();
        let sink = &mut *self.sink;
        match input {
            Input::Stream(id, input) => self.stream(cx, id, input),
            Input::Departed(tag, at) => self.account.departed(ProbeId(tag.0), at, sink),
            Input::Unreachable(report, _) => self.account.refused(cx.now(), &report, None, sink),
            Input::LinkChanged(link, up) if self.options.concerns(link) => {
                sink.record(Event::LinkChanged {
                    session: self.options.id,
                    at: cx.now(),
                    link,
                    up,
                });
            }
            Input::Report => self.report(cx, None),
            Input::Drain => self.schedule.close(),
            Input::Stop => return self.end(cx, Ended::Stopped),
            _ => {}
        }
        if self.ends_at().is_some_and(|at| at <= cx.now()) {
            return self.end(cx, Ended::Deadline);
        }
        self.account.advance(cx.now(), &mut *self.sink);
        self.keep_connected(cx);
        self.send(cx);
        if self.is_decided() && self.departure_awaited().is_none_or(|until| until <= cx.now()) {
            self.end(cx, self.schedule.ended());
        }
    }

    fn deadline(&self) -> Option<Deadline> {
        if self.ended {
            return None;
        }
        if self.started.is_none() {
            return Some(Deadline::new(Mono(0), "start"));
        }
        let slot = self.next_slot().map(|at| Deadline {
            at,
            why: "slot",
            exact: self.schedule.is_exact(),
        });
        let connection = match self.state {
            State::Waiting(until) => {
                (!self.schedule.is_exhausted()).then(|| Deadline::new(until, "reconnect"))
            }
            State::Connecting(own) => Some(Deadline::new(self.gives_up_at(&own.asked), "connect")),
            State::Done | State::Up(_) => None,
        };
        let end = self.ends_at().map(|at| Deadline::new(at, "end"));
        let departure = self.departure_awaited().map(|at| Deadline::new(at, "departure"));
        [connection, end, departure, self.account.deadline()]
            .into_iter()
            .fold(slot, Deadline::earlier)
    }

    fn finished(&self) -> bool {
        self.ended
    }
}

#[cfg(test)]
mod tests;
