//! A machine whose streams are in QUIC.

use crate::close;
use crate::hub::{Channel, Hub, Written};
use crate::{Client, EarlyData, QuicEvent, QuicSink};
use halloo_base::{
    CloseReason, ConnId, Cx, Datagram, Deadline, Input, Machine, Outbox, Output, Path, SocketInput, Stamp,
    StreamInput, TxTag, Unreachable, UnreachableError, canonical,
};
use quinn_proto::{DatagramEvent, Dir, Event, StreamEvent, StreamId, VarInt};
use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

/// The most that is held of what a peer does not take.
const MOST_HELD: usize = 16 << 20;
/// How much is handed over at once.
const CHUNK: usize = 64 << 10;

/// A machine that speaks streams, each of them the only one of its own QUIC connection.
///
/// Its driver is that of a UDP socket. The machine is told that a connection is open when the handshake is complete: the time
/// to connect has the handshake in it. With [`early_data`](crate::ClientOptions::early_data) and a ticket that is at once, and
/// what the machine writes leaves with the handshake's first datagram.
///
/// A departure stamp is told for what was written if all of it left at once; data that is sent again has no stamp of its own.
pub struct QuicStreams<M> {
    machine: M,
    client: Client,
    sink: Box<dyn QuicSink>,
    hub: Hub,
    /// Each connection that the endpoint knows of, by its handle.
    lines: BTreeMap<usize, Line>,
    ids: BTreeMap<ConnId, usize>,
    /// What the machine is yet to be told.
    news: VecDeque<(ConnId, StreamInput<'static>)>,
    out: Outbox,
    ended: bool,
}

struct Line {
    channel: Channel,
    /// The machine's name for it, until one has told the other that it is over.
    id: Option<ConnId>,
    stream: Option<StreamId>,
    /// What was written before it was known whether early data is taken.
    early: Option<Vec<u8>>,
    offered: bool,
    connected: bool,
    /// What the library would not take yet.
    unsent: VecDeque<u8>,
    /// The machine has nothing more to say; the library knows; the peer has all of it.
    finishing: bool,
    finished: bool,
    delivered: bool,
    /// The peer has nothing more to say.
    heard_all: bool,
}

impl<M: Machine> QuicStreams<M> {
    /// Puts QUIC around a machine. Any instant will do for `base`, which stands for the origin of [`Mono`](halloo_base::Mono).
    pub fn new(machine: M, client: Client, base: Instant, sink: Box<dyn QuicSink>) -> QuicStreams<M> {
        QuicStreams {
            hub: Hub::new(base, client.options.tos, None),
            machine,
            client,
            sink,
            lines: BTreeMap::new(),
            ids: BTreeMap::new(),
            news: VecDeque::new(),
            out: Outbox::new(),
            ended: false,
        }
    }

    fn connect(&mut self, cx: &mut Cx<'_>, id: ConnId, path: Path) {
        let now = self.hub.epoch.instant(cx.now());
        let config = self.client.config.clone();
        let remote = canonical(path.remote);
        let Ok((handle, quic)) = self.hub.endpoint.connect(now, config, remote, &self.client.name) else {
            // The name and the version were checked: it is the address that nobody has.
            let why = CloseReason::ConnectFailed(close::NOT_CONNECTED);
            return self.news.push_back((id, StreamInput::Closed(why)));
        };
        let offered = quic.has_0rtt();
        let mut line = Line {
            channel: Channel::new(handle, quic, path, cx.env.now),
            id: Some(id),
            stream: None,
            early: None,
            offered,
            connected: false,
            unsent: VecDeque::new(),
            finishing: false,
            finished: false,
            delivered: false,
            heard_all: false,
        };
        if offered && self.client.options.early_data {
            line.stream = line.channel.quic.streams().open(Dir::Bi);
        }
        if line.stream.is_some() {
            line.early = Some(Vec::new());
            let at = cx.env.clock.stamp();
            self.news.push_back((id, StreamInput::Opened { path, at }));
        } else {
            self.hub.flush(cx.out, cx.env.now, &mut line.channel, None);
        }
        self.ids.insert(id, handle.0);
        self.lines.insert(handle.0, line);
    }

    fn datagram(&mut self, cx: &mut Cx<'_>, rx: &Datagram<'_>) {
        if let Some(DatagramEvent::ConnectionEvent(handle, event)) = self.hub.receive(cx.env.now, rx)
            && let Some(line) = self.lines.get_mut(&handle.0)
        {
            line.channel.receive(event, rx.path);
            self.settle(cx, handle.0, rx.at);
        }
    }

    /// Takes what the library has to say of a connection, until there is no more.
    fn settle(&mut self, cx: &mut Cx<'_>, handle: usize, at: Stamp) {
        let mut is_gone = false;
        while let Some(line) = self.lines.get_mut(&handle) {
            // It may be gone and have its last words left.
            is_gone |= !self.hub.settle(&mut line.channel);
            let Some(event) = line.channel.quic.poll() else {
                break;
            };
            match event {
                Event::Connected => self.connected(cx, handle, at),
                Event::ConnectionLost { reason } => {
                    let why = close::reason(&reason, line.connected);
                    self.lost(cx, handle, why);
                }
                Event::Stream(StreamEvent::Readable { .. }) => self.read(cx, handle, at),
                Event::Stream(StreamEvent::Writable { .. }) => {
                    line.push();
                }
                Event::Stream(StreamEvent::Finished { .. }) => {
                    line.delivered = true;
                    self.done(cx, handle);
                }
                Event::Stream(StreamEvent::Stopped { .. }) => self.broken(cx, handle),
                _ => {}
            }
        }
        if is_gone {
            self.lines.remove(&handle);
        } else if let Some(line) = self.lines.get_mut(&handle) {
            self.hub.flush(cx.out, cx.env.now, &mut line.channel, None);
            if let Some(took) = line.channel.moved(at.mono) {
                let path = line.channel.path;
                self.sink.record(QuicEvent::Moved { path, at, took });
            }
        }
    }

    fn connected(&mut self, cx: &mut Cx<'_>, handle: usize, at: Stamp) {
        let Some(line) = self.lines.get_mut(&handle) else {
            return;
        };
        line.connected = true;
        let path = line.channel.path;
        let accepted = line.channel.quic.accepted_0rtt();
        let early = match (&line.early, accepted) {
            (None, _) => EarlyData::None,
            (Some(_), true) => EarlyData::Accepted,
            (Some(_), false) => EarlyData::Refused,
        };
        self.sink.record(QuicEvent::Connected {
            path,
            at,
            took: line.channel.connected(at.mono, self.client.options.moving),
            resumed: resumed(line.offered, accepted),
            early,
        });
        let written = line.early.take();
        if early == EarlyData::Accepted {
            return;
        }
        line.stream = line.channel.quic.streams().open(Dir::Bi);
        if let Some(written) = written {
            line.unsent = written.into();
            line.finished = false;
            line.push();
        } else if let Some(id) = line.id {
            self.tell(cx, Input::Stream(id, StreamInput::Opened { path, at }));
        }
    }

    fn read(&mut self, cx: &mut Cx<'_>, handle: usize, at: Stamp) {
        // The machine may end the connection at any of these.
        while let Some(line) = self.lines.get_mut(&handle)
            && let (Some(id), Some(stream)) = (line.id, line.stream)
        {
            let mut stream = line.channel.quic.recv_stream(stream);
            let Ok(mut chunks) = stream.read(true) else { return };
            let next = chunks.next(CHUNK);
            // All that is to be sent is, in the end.
            let _ = chunks.finalize();
            match next {
                Ok(Some(chunk)) => {
                    let bytes = &chunk.bytes;
                    self.tell(cx, Input::Stream(id, StreamInput::Data { bytes, at }));
                }
                Ok(None) => {
                    line.heard_all = true;
                    self.tell(cx, Input::Stream(id, StreamInput::Finished));
                    return self.done(cx, handle);
                }
                Err(quinn_proto::ReadError::Blocked) => return,
                Err(quinn_proto::ReadError::Reset(_)) => return self.broken(cx, handle),
            }
        }
    }

    /// Ends a connection on which both have said everything.
    fn done(&mut self, cx: &mut Cx<'_>, handle: usize) {
        if let Some(line) = self.lines.get_mut(&handle)
            && line.heard_all
            && line.delivered
            && let Some(id) = line.id.take()
        {
            self.ids.remove(&id);
            self.hub.leave(cx.out, cx.env.now, &mut line.channel);
            self.tell(cx, Input::Stream(id, StreamInput::Closed(CloseReason::Done)));
        }
    }

    /// The peer has no more use for the stream.
    fn broken(&mut self, cx: &mut Cx<'_>, handle: usize) {
        self.leave(cx, handle);
        self.lost(cx, handle, CloseReason::Broken(close::RESET));
    }

    fn lost(&mut self, cx: &mut Cx<'_>, handle: usize, why: CloseReason) {
        if let Some(line) = self.lines.get_mut(&handle)
            && let Some(id) = line.id.take()
        {
            // Who has heard all and said all misses nothing.
            let why = if line.heard_all && line.finished {
                CloseReason::Done
            } else {
                let path = line.channel.path;
                self.sink.record(QuicEvent::Lost { path, why });
                why
            };
            self.ids.remove(&id);
            self.tell(cx, Input::Stream(id, StreamInput::Closed(why)));
        }
    }

    /// Tells the machine, and does what it wants.
    fn tell(&mut self, cx: &mut Cx<'_>, input: Input<'_>) {
        if self.ended {
            return;
        }
        let mut out = std::mem::take(&mut self.out);
        self.machine.handle(&mut cx.with(&mut out), input);
        let mut refused = vec![];
        for output in out.iter() {
            match output {
                Output::Connect(id, path) => self.connect(cx, id, path),
                Output::Write(id, tag, bytes) => self.write(cx, id, tag, bytes),
                Output::Finish(id) => self.finish(cx, id),
                Output::Abort(id) => self.abort(cx, id),
                // Streams alone are carried.
                Output::Datagram(..) | Output::Frame(..) | Output::Close(_) => {}
                Output::Open(id, _) => refused.push(id),
            }
        }
        out.clear();
        self.out = out;
        for id in refused {
            self.tell(cx, Input::Socket(id, SocketInput::UNSUPPORTED));
        }
        while let Some((id, input)) = self.news.pop_front() {
            self.tell(cx, Input::Stream(id, input));
        }
    }

    fn write(&mut self, cx: &mut Cx<'_>, id: ConnId, tag: Option<TxTag>, bytes: &[u8]) {
        let Some(line) = self.ids.get(&id).and_then(|handle| self.lines.get_mut(handle)) else {
            return;
        };
        if let Some(early) = &mut line.early {
            early.extend_from_slice(bytes);
        }
        if tag.is_some() {
            // What else waits leaves first, so that it is known what leaves with these bytes.
            self.hub.flush(cx.out, cx.env.now, &mut line.channel, None);
        }
        let is_first = line.unsent.is_empty() && !line.channel.quic.has_pending_retransmits();
        line.unsent.extend(bytes);
        let is_taken = line.push();
        if line.unsent.len() > MOST_HELD {
            self.abort(cx, id);
            let why = CloseReason::Overflow;
            return self.news.push_back((id, StreamInput::Closed(why)));
        }
        let written = Written {
            tag: tag.filter(|_| is_first && is_taken),
            bytes: bytes.len(),
        };
        self.hub
            .flush(cx.out, cx.env.now, &mut line.channel, Some(&written));
    }

    fn finish(&mut self, cx: &mut Cx<'_>, id: ConnId) {
        let Some(line) = self.ids.get(&id).and_then(|handle| self.lines.get_mut(handle)) else {
            return;
        };
        line.finishing = true;
        line.push();
        self.hub.flush(cx.out, cx.env.now, &mut line.channel, None);
    }

    fn abort(&mut self, cx: &mut Cx<'_>, id: ConnId) {
        if let Some(handle) = self.ids.remove(&id) {
            if let Some(line) = self.lines.get_mut(&handle) {
                line.id = None;
            }
            self.leave(cx, handle);
        }
    }

    /// Says goodbye, whatever was still to be said.
    fn leave(&mut self, cx: &mut Cx<'_>, handle: usize) {
        if let Some(line) = self.lines.get_mut(&handle) {
            line.drop_stream();
            self.hub.leave(cx.out, cx.env.now, &mut line.channel);
        }
    }

    fn wake(&mut self, cx: &mut Cx<'_>) {
        let handles: Vec<usize> = self.lines.keys().copied().collect();
        for handle in handles {
            if let Some(line) = self.lines.get_mut(&handle)
                && line.channel.wake(self.hub.epoch, cx.env.now)
            {
                let at = cx.env.clock.stamp();
                self.settle(cx, handle, at);
            }
        }
    }

    /// A handshake has no use for a path that does not work; a connection that is up has timers for that, and does not take
    /// a stranger's word for it (RFC 9000 section 14.2.1).
    fn unreachable(&mut self, cx: &mut Cx<'_>, report: &Unreachable) {
        let remote = canonical(report.path.remote);
        let concerned = |line: &&Line| !line.connected && canonical(line.channel.path.remote) == remote;
        let lines = self.lines.values().filter(concerned);
        let ids: Vec<ConnId> = lines.filter_map(|line| line.id).collect();
        for id in ids {
            self.fail(cx, id, report.error);
        }
    }

    fn fail(&mut self, cx: &mut Cx<'_>, id: ConnId, error: UnreachableError) {
        let Some(&handle) = self.ids.get(&id) else { return };
        self.leave(cx, handle);
        self.lost(cx, handle, CloseReason::ConnectFailed(error));
    }

    /// Says goodbye on every connection.
    fn end(&mut self, cx: &mut Cx<'_>) {
        self.ended = true;
        let handles: Vec<usize> = self.lines.keys().copied().collect();
        for handle in handles {
            self.leave(cx, handle);
        }
    }
}

impl Line {
    fn drop_stream(&mut self) {
        self.unsent.clear();
        if let Some(id) = self.stream.take() {
            // Either may be at its end already.
            let _ = self.channel.quic.send_stream(id).reset(VarInt::from_u32(0));
            let _ = self.channel.quic.recv_stream(id).stop(VarInt::from_u32(0));
        }
    }

    /// Hands the library what it will take; true if that is all.
    fn push(&mut self) -> bool {
        let Some(id) = self.stream else { return false };
        let mut stream = self.channel.quic.send_stream(id);
        while !self.unsent.is_empty() {
            let (bytes, _) = self.unsent.as_slices();
            let Ok(taken) = stream.write(bytes) else {
                return false;
            };
            self.unsent.drain(..taken);
        }
        if self.finishing && !self.finished {
            // It fails where the peer has refused what was sent, which is told apart.
            self.finished = stream.finish().is_ok();
        }
        true
    }
}

impl<M: Machine> Machine for QuicStreams<M> {
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
                self.tell(cx, Input::Wake);
            }
            other => self.tell(cx, other),
        }
        if self.machine.finished() && !self.ended {
            self.end(cx);
        }
    }

    fn deadline(&self) -> Option<Deadline> {
        let timers = self.lines.values().filter_map(|line| line.channel.deadline);
        let timer = timers.min().map(|at| Deadline::new(at, "QUIC timer"));
        let own = self.machine.deadline().filter(|_| !self.ended);
        Deadline::earlier(own, timer)
    }

    fn finished(&self) -> bool {
        self.ended && self.lines.values().all(|line| line.channel.quic.is_closed())
    }
}

/// Whether a ticket was taken, as far as that can be told.
pub(crate) fn resumed(offered: bool, accepted: bool) -> Option<bool> {
    match (offered, accepted) {
        (_, true) => Some(true),
        (false, _) => Some(false),
        (true, false) => None,
    }
}

#[cfg(test)]
mod tests;
