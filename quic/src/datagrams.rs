//! A machine whose datagrams are in QUIC.

use crate::close;
use crate::hub::{Channel, Hub};
use crate::streams::resumed;
use crate::{Client, EarlyData, QuicEvent, QuicSink};
use halloo_base::{
    CloseReason, Cx, Datagram, Deadline, Input, Machine, Mono, Outbox, Output, Path, Stamp, TxTag,
    Unreachable, UnreachableError, canonical,
};
use quinn_proto::{DatagramEvent, Event, SendDatagramError};
use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

/// A machine that waits for a connection waits no longer than this: in it a handshake is done whose first datagram was not
/// lost (RFC 9002 section 6.2.2), and then it is to see that its datagrams do not get through.
const CONNECT_USUALLY: Duration = Duration::from_secs(1);
/// The first wait before another attempt, and the longest.
const RETRY_IN: Duration = Duration::from_millis(100);
const RETRY_AT_MOST: Duration = Duration::from_secs(5);

/// A machine that speaks datagrams, each in a DATAGRAM frame of one QUIC connection (RFC 9221).
///
/// Its driver is that of a UDP socket. The machine begins when the connection is up; at the latest when the attempt has failed
/// or has taken a second. What it sends while there is no connection, or what is longer than a frame may be, comes back to it as
/// [`Input::Unreachable`]; nothing is held back. When the connection breaks it is made again, after a wait that doubles from
/// 100 ms to 5 s with every failure. What arrives has the path and the stamp of the UDP datagram that carried it, and
/// departure stamps are those of such datagrams.
///
/// What the machine sends goes to the host that the connection is to, whatever path it names.
pub struct QuicDatagrams<M> {
    machine: M,
    client: Client,
    path: Path,
    sink: Box<dyn QuicSink>,
    hub: Hub,
    /// Each connection that the endpoint knows of, by its handle; all but the current one are over.
    channels: BTreeMap<usize, Channel>,
    state: State,
    /// Whether an attempt was made and when; whether the machine was told anything yet.
    asked: Option<Mono>,
    begun: bool,
    retry_in: Duration,
    refused: VecDeque<Refused>,
    out: Outbox,
    ended: bool,
}

#[derive(Clone, Copy)]
enum State {
    /// There is no connection; the next attempt is then.
    Waiting(Mono),
    Connecting(Attempt),
    Up(usize),
}

#[derive(Clone, Copy)]
struct Attempt {
    handle: usize,
    /// Whether there was a ticket, and whether datagrams leave with the handshake.
    offered: bool,
    early: bool,
}

/// A datagram that could not leave.
struct Refused {
    tag: Option<TxTag>,
    error: UnreachableError,
    bytes: Vec<u8>,
}

impl<M: Machine> QuicDatagrams<M> {
    /// Puts QUIC around a machine that talks to the far end of `path`. Any instant will do for `base`, which stands for the
    /// origin of [`Mono`].
    pub fn new(
        machine: M,
        client: Client,
        path: Path,
        base: Instant,
        sink: Box<dyn QuicSink>,
    ) -> QuicDatagrams<M> {
        QuicDatagrams {
            hub: Hub::new(base, client.options.tos, None),
            machine,
            client,
            path,
            sink,
            channels: BTreeMap::new(),
            state: State::Waiting(Mono(0)),
            asked: None,
            begun: false,
            retry_in: RETRY_IN,
            refused: VecDeque::new(),
            out: Outbox::new(),
            ended: false,
        }
    }

    /// The longest payload that one frame takes now, in bytes; `None` while there is no connection, or if the other side
    /// does not take DATAGRAM frames.
    pub fn longest(&mut self) -> Option<usize> {
        let handle = self.sends_on()?;
        self.channels.get_mut(&handle)?.quic.datagrams().max_size()
    }

    /// The connection that takes datagrams now.
    fn sends_on(&self) -> Option<usize> {
        match self.state {
            State::Up(handle) => Some(handle),
            State::Connecting(attempt) => Some(attempt.handle).filter(|_| attempt.early),
            State::Waiting(_) => None,
        }
    }

    fn connect(&mut self, cx: &mut Cx<'_>) {
        self.asked.get_or_insert(cx.env.now);
        let now = self.hub.epoch.instant(cx.now());
        let config = self.client.config.clone();
        let remote = canonical(self.path.remote);
        let Ok((handle, quic)) = self.hub.endpoint.connect(now, config, remote, &self.client.name) else {
            // The name and the version were checked: it is the address that nobody has.
            return self.lost(cx, CloseReason::ConnectFailed(close::NOT_CONNECTED));
        };
        let offered = quic.has_0rtt();
        let attempt = Attempt {
            handle: handle.0,
            offered,
            early: offered && self.client.options.early_data,
        };
        let mut channel = Channel::new(handle, quic, self.path, cx.env.now);
        self.state = State::Connecting(attempt);
        if !attempt.early {
            self.hub.flush(cx.out, cx.env.now, &mut channel, None);
        }
        self.channels.insert(handle.0, channel);
        if attempt.early {
            self.begin(cx);
            self.flush(cx, handle.0);
        }
    }

    fn begin(&mut self, cx: &mut Cx<'_>) {
        if !std::mem::replace(&mut self.begun, true) {
            self.tell(cx, Input::Wake);
        }
    }

    fn datagram(&mut self, cx: &mut Cx<'_>, rx: &Datagram<'_>) {
        if let Some(DatagramEvent::ConnectionEvent(handle, event)) = self.hub.receive(cx.env.now, rx)
            && let Some(channel) = self.channels.get_mut(&handle.0)
        {
            channel.receive(event, rx.path);
            self.settle(cx, handle.0, rx.at, Some(rx));
        }
    }

    /// Takes what the library has to say of a connection, until there is no more.
    fn settle(&mut self, cx: &mut Cx<'_>, handle: usize, at: Stamp, rx: Option<&Datagram<'_>>) {
        let mut is_gone = false;
        while let Some(channel) = self.channels.get_mut(&handle) {
            // It may be gone and have its last words left.
            is_gone |= !self.hub.settle(channel);
            let Some(event) = channel.quic.poll() else { break };
            match event {
                Event::Connected => self.connected(cx, handle, at),
                Event::ConnectionLost { reason } if self.is_current(handle) => {
                    let was_up = matches!(self.state, State::Up(_));
                    self.lost(cx, close::reason(&reason, was_up));
                }
                Event::DatagramReceived => {
                    if let Some(rx) = rx {
                        self.read(cx, handle, rx);
                    }
                }
                _ => {}
            }
        }
        if is_gone {
            self.channels.remove(&handle);
        }
        self.flush(cx, handle);
        if let Some(channel) = self.channels.get_mut(&handle)
            && let Some(took) = channel.moved(at.mono)
        {
            let path = channel.path;
            self.sink.record(QuicEvent::Moved { path, at, took });
        }
    }

    fn flush(&mut self, cx: &mut Cx<'_>, handle: usize) {
        if let Some(channel) = self.channels.get_mut(&handle) {
            self.hub.flush(cx.out, cx.env.now, channel, None);
        }
    }

    fn is_current(&self, handle: usize) -> bool {
        match self.state {
            State::Up(own) => own == handle,
            State::Connecting(own) => own.handle == handle,
            State::Waiting(_) => false,
        }
    }

    fn connected(&mut self, cx: &mut Cx<'_>, handle: usize, at: Stamp) {
        let (State::Connecting(attempt), Some(channel)) = (self.state, self.channels.get_mut(&handle)) else {
            return;
        };
        if attempt.handle != handle {
            return;
        }
        self.state = State::Up(handle);
        self.retry_in = RETRY_IN;
        let accepted = channel.quic.accepted_0rtt();
        let early = match (attempt.early, accepted) {
            (false, _) => EarlyData::None,
            (true, true) => EarlyData::Accepted,
            (true, false) => EarlyData::Refused,
        };
        self.sink.record(QuicEvent::Connected {
            path: channel.path,
            at,
            took: channel.connected(at.mono, self.client.options.moving),
            resumed: resumed(attempt.offered, accepted),
            early,
        });
        self.begin(cx);
    }

    /// Hands over what came in this datagram.
    fn read(&mut self, cx: &mut Cx<'_>, handle: usize, rx: &Datagram<'_>) {
        while let Some(channel) = self.channels.get_mut(&handle)
            && let Some(payload) = channel.quic.datagrams().recv()
        {
            let payload = &payload;
            let mut path = rx.path;
            // The machine knows nothing of moving.
            path.local.set_port(self.path.local.port());
            self.tell(cx, Input::Datagram(Datagram { path, payload, ..*rx }));
        }
    }

    /// There is no connection any more; the machine goes on without one until the next attempt.
    fn lost(&mut self, cx: &mut Cx<'_>, why: CloseReason) {
        let path = self.path;
        self.sink.record(QuicEvent::Lost { path, why });
        self.state = State::Waiting(cx.env.now + self.retry_in);
        self.retry_in = (self.retry_in * 2).min(RETRY_AT_MOST);
        self.begin(cx);
    }

    /// Tells the machine, and does what it wants.
    fn tell(&mut self, cx: &mut Cx<'_>, input: Input<'_>) {
        if self.ended {
            return;
        }
        let mut out = std::mem::take(&mut self.out);
        self.machine.handle(&mut cx.with(&mut out), input);
        for output in out.iter() {
            // Datagrams alone are carried.
            if let Output::Datagram(how, bytes) = output
                && let Err(error) = self.send(cx, how.tag, bytes)
            {
                let (tag, bytes) = (how.tag, bytes.to_vec());
                self.refused.push_back(Refused { tag, error, bytes });
            }
        }
        out.clear();
        self.out = out;
        while let Some(Refused { tag, error, bytes }) = self.refused.pop_front() {
            let report = Unreachable {
                path: self.path,
                tag,
                reporter: None,
                error,
                mtu: None,
            };
            self.tell(cx, Input::Unreachable(report, &bytes));
        }
    }

    fn send(&mut self, cx: &mut Cx<'_>, tag: Option<TxTag>, bytes: &[u8]) -> Result<(), UnreachableError> {
        let handle = self.sends_on();
        let channel = handle.and_then(|handle| self.channels.get_mut(&handle));
        let channel = channel.ok_or(close::NOT_CONNECTED)?;
        channel.send(bytes, tag).map_err(|error| match error {
            SendDatagramError::TooLarge => close::TOO_LONG,
            SendDatagramError::Blocked(_) => close::NO_BUFFERS,
            SendDatagramError::UnsupportedByPeer | SendDatagramError::Disabled => close::NOT_SUPPORTED,
        })?;
        self.hub.flush(cx.out, cx.env.now, channel, None);
        Ok(())
    }

    fn wake(&mut self, cx: &mut Cx<'_>) {
        let handles: Vec<usize> = self.channels.keys().copied().collect();
        for handle in handles {
            if let Some(channel) = self.channels.get_mut(&handle)
                && channel.wake(self.hub.epoch, cx.env.now)
            {
                let at = cx.env.clock.stamp();
                self.settle(cx, handle, at, None);
            }
        }
        if self.ended {
            return;
        }
        if let State::Waiting(until) = self.state
            && until <= cx.now()
        {
            self.connect(cx);
        }
        if self.begins_at().is_some_and(|at| at <= cx.now()) {
            self.begin(cx);
        }
    }

    /// When the machine begins, connected or not.
    fn begins_at(&self) -> Option<Mono> {
        Some(self.asked? + CONNECT_USUALLY).filter(|_| !self.begun)
    }

    fn unreachable(&mut self, cx: &mut Cx<'_>, report: &Unreachable) {
        if let State::Connecting(attempt) = self.state
            && canonical(report.path.remote) == canonical(self.path.remote)
        {
            if let Some(channel) = self.channels.get_mut(&attempt.handle) {
                self.hub.leave(cx.out, cx.env.now, channel);
            }
            return self.lost(cx, CloseReason::ConnectFailed(report.error));
        }
        if !self.begun {
            return;
        }
        // What was sealed cannot be recognised in a quote; a tag can.
        let tags = report
            .tag
            .map(|tag| self.hub.departures.take(tag))
            .unwrap_or_default();
        let tags: Vec<_> = match tags.is_empty() {
            true => vec![None],
            false => tags.into_iter().map(Some).collect(),
        };
        for tag in tags {
            let report = Unreachable {
                tag,
                ..report.clone()
            };
            self.tell(cx, Input::Unreachable(report, &[]));
        }
    }

    /// Says goodbye.
    fn end(&mut self, cx: &mut Cx<'_>) {
        self.ended = true;
        for channel in self.channels.values_mut() {
            self.hub.leave(cx.out, cx.env.now, channel);
        }
    }
}

impl<M: Machine> Machine for QuicDatagrams<M> {
    fn handle(&mut self, cx: &mut Cx<'_>, input: Input<'_>) {
        match input {
            Input::Datagram(rx) => self.datagram(cx, &rx),
            Input::Departed(tag, at) => {
                for tag in self.hub.departures.take(tag) {
                    self.tell(cx, Input::Departed(tag, at));
                }
            }
            Input::Unreachable(report, _) => self.unreachable(cx, &report),
            Input::Wake => {
                self.wake(cx);
                if self.begun {
                    self.tell(cx, Input::Wake);
                }
            }
            // The machine ends without having begun.
            Input::Stop | Input::Drain => {
                self.begun = true;
                self.tell(cx, input);
            }
            other if self.begun => self.tell(cx, other),
            _ => {}
        }
        if self.machine.finished() && !self.ended {
            self.end(cx);
        }
    }

    fn deadline(&self) -> Option<Deadline> {
        let timers = self.channels.values().filter_map(|channel| channel.deadline);
        let timer = timers.min().map(|at| Deadline::new(at, "QUIC timer"));
        let attempt = match self.state {
            State::Waiting(until) => Some(Deadline::new(until, "connect")),
            _ => None,
        };
        if self.ended {
            return timer;
        }
        let begin = self.begins_at().map(|at| Deadline::new(at, "begin"));
        let own = self.machine.deadline().filter(|_| self.begun);
        [timer, attempt, begin].into_iter().fold(own, Deadline::earlier)
    }

    fn finished(&self) -> bool {
        self.ended && self.channels.values().all(|channel| channel.quic.is_closed())
    }
}

#[cfg(test)]
mod tests;
