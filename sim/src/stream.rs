//! Connections: a reliable stream over wires that are not.
//!
//! Segments are packets like any other, so they are delayed, lost and translated. The world sees each loss and
//! sends the segment again after the retransmission timeout (RFC 6298, without acknowledgements, as nobody has
//! to guess here); the receiver holds back what is ahead of a gap.

use crate::errno;
use crate::event::Event;
use crate::host::{Pending, find_socket};
use crate::packet::{Body, Packet, Segment, What};
use crate::time::ms;
use crate::time::nanos;
use crate::trace::{Fate, Kind};
use crate::world::{MachineId, Node, World};
use halloo_base::{CloseReason, ConnId, LinkId, Path, Stamp, StampSource, TxTag, UnreachableError};
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// The most payload bytes in one segment.
const SEGMENT: usize = 1_220;

/// What a connection may hold for a peer that does not read: the kernels' buffers and the driver's, in bytes.
const HELD: u64 = 4 << 20;

/// How long bytes wait for more where a host merges them.
const MERGE_WAIT: u64 = 100_000;

/// Retransmissions before a connection attempt (six, Linux `tcp_syn_retries`) or a connection (fifteen,
/// `tcp_retries2`) is given up.
const SYN_ATTEMPTS: u32 = 6;
const ATTEMPTS: u32 = 15;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Not there yet (the accepting side before the first segment).
    Unborn,
    Opening,
    Open,
    Gone,
}

#[derive(Debug)]
pub(crate) struct Conn {
    pub(crate) sides: [Side; 2],
}

/// One end of a connection. Side 0 opened it.
#[derive(Debug)]
pub(crate) struct Side {
    pub(crate) id: ConnId,
    pub(crate) path: Path,
    pub(crate) node: usize,
    machine: usize,
    state: State,
    /// Bytes written by the machine, and whether it has finished.
    written: u64,
    finished: bool,
    /// What was written before the connection was open.
    early: Vec<(What, Option<TxTag>)>,
    /// Bytes in order so far, and what arrived ahead of a gap.
    received: u64,
    ahead: BTreeMap<u64, Vec<u8>>,
    /// Where the peer's stream ends, once known, and whether the machine was told.
    end: Option<u64>,
    end_told: bool,
    /// In order, not yet read; when the last of it arrived; how much was read.
    unread: Vec<u8>,
    unread_at: Option<Stamp>,
    read: u64,
    notified: bool,
    /// Whether bytes wait for more to come.
    merging: bool,
    reading: bool,
    /// The machine wants to hear no more of it.
    pub(crate) aborted: bool,
}

impl Side {
    fn new(node: usize, machine: usize, id: ConnId, path: Path, state: State) -> Side {
        Side {
            id,
            path,
            node,
            machine,
            state,
            written: 0,
            finished: false,
            early: Vec::new(),
            received: 0,
            ahead: BTreeMap::new(),
            end: None,
            end_told: false,
            unread: Vec::new(),
            unread_at: None,
            read: 0,
            notified: false,
            merging: false,
            reading: true,
            aborted: false,
        }
    }
}

/// What stories do to connections.
impl World {
    /// Breaks every connection of a machine: both ends see it reset at once.
    pub fn break_streams(&mut self, machine: impl Into<MachineId>) {
        let machine = machine.into().0;
        for conn in 0..self.conns.len() {
            let sides = &self.conns[conn].sides;
            let hit = sides
                .iter()
                .any(|side| side.machine == machine && side.state != State::Unborn);
            if hit {
                for side in 0..2 {
                    self.close(
                        conn,
                        side,
                        CloseReason::Broken(UnreachableError(errno::CONNRESET)),
                    );
                }
            }
        }
    }

    /// Keeps what arrives on a machine's present connections from it, as if it did not read.
    pub fn stop_reading(&mut self, machine: impl Into<MachineId>) {
        self.set_reading(machine.into().0, false);
    }

    /// Ends [`World::stop_reading`].
    pub fn resume_reading(&mut self, machine: impl Into<MachineId>) {
        self.set_reading(machine.into().0, true);
    }

    fn set_reading(&mut self, machine: usize, reading: bool) {
        for conn in 0..self.conns.len() {
            for side in 0..2 {
                let state = &mut self.conns[conn].sides[side];
                if state.machine == machine && state.state == State::Open {
                    state.reading = reading;
                    self.readable(conn, side);
                }
            }
        }
    }
}

/// What machines want.
impl World {
    pub(crate) fn connect(&mut self, machine: usize, at: u64, id: ConnId, path: Path) {
        let node = self.machines[machine].host;
        assert!(!id.is_accepted(), "{id:?} is for a connection that a peer opened");
        let conn = self.conns.len();
        let earlier = self.conn_ids.insert((machine, id), (conn, 0));
        assert!(earlier.is_none(), "{id:?} was used before");
        let route = self.route_of(node, path.link, path.remote.ip());
        let mut local = path.local;
        if let Ok(way) = route {
            local.set_ip(self.source_of(node, way, unmapped(local), path.remote.ip()));
        }
        if local.port() == 0 {
            local.set_port(self.host_mut(Node(node)).free_port());
        }
        let path = Path { local, ..path };
        let unborn = Path {
            link: LinkId::default(),
            local: path.remote,
            remote: local,
        };
        self.conns.push(Conn {
            sides: [
                Side::new(node, machine, id, path, State::Opening),
                Side::new(node, machine, ConnId(0), unborn, State::Unborn),
            ],
        });
        match route {
            Ok(_) => self.send_segment(at, conn, 0, What::Syn, 0),
            Err(error) => self.connect_failed(conn, 0, error),
        }
    }

    pub(crate) fn write(&mut self, machine: usize, at: u64, id: ConnId, tag: Option<TxTag>, bytes: &[u8]) {
        let Some((conn, side)) = self.living(machine, id) else {
            return;
        };
        let state = &self.conns[conn].sides[side];
        if state.finished {
            return;
        }
        let held = state.written + bytes.len() as u64 - self.conns[conn].sides[1 - side].read;
        if held > HELD {
            self.send_segment(at, conn, side, What::Reset, 0);
            return self.close(conn, side, CloseReason::Overflow);
        }
        let chunks = bytes.len().div_ceil(SEGMENT);
        for (nth, chunk) in bytes.chunks(SEGMENT).enumerate() {
            let offset = self.conns[conn].sides[side].written;
            self.conns[conn].sides[side].written += chunk.len() as u64;
            let what = What::Data {
                offset,
                bytes: chunk.to_vec(),
            };
            self.send_or_keep(at, conn, side, what, tag.filter(|_| nth + 1 == chunks));
        }
    }

    pub(crate) fn finish(&mut self, machine: usize, at: u64, id: ConnId) {
        let Some((conn, side)) = self.living(machine, id) else {
            return;
        };
        let state = &mut self.conns[conn].sides[side];
        if std::mem::replace(&mut state.finished, true) {
            return;
        }
        let offset = state.written;
        let told = state.end_told;
        self.send_or_keep(at, conn, side, What::Fin { offset }, None);
        if told {
            self.close(conn, side, CloseReason::Done);
        }
    }

    pub(crate) fn abort(&mut self, machine: usize, at: u64, id: ConnId) {
        if let Some((conn, side)) = self.living(machine, id) {
            self.send_segment(at, conn, side, What::Reset, 0);
            let state = &mut self.conns[conn].sides[side];
            state.state = State::Gone;
            state.aborted = true;
        }
    }

    /// The kernel closes the connections of a process that is gone: properly if all was read, else by reset.
    pub(crate) fn orphan_streams(&mut self, machine: usize) {
        for conn in 0..self.conns.len() {
            for side in 0..2 {
                let state = &mut self.conns[conn].sides[side];
                if state.machine != machine || !matches!(state.state, State::Opening | State::Open) {
                    continue;
                }
                state.state = State::Gone;
                let offset = state.written;
                let what = if state.unread.is_empty() && state.received == state.read {
                    What::Fin { offset }
                } else {
                    What::Reset
                };
                self.send_segment(self.now, conn, side, what, 0);
            }
        }
    }

    fn living(&self, machine: usize, id: ConnId) -> Option<(usize, usize)> {
        let &(conn, side) = self.conn_ids.get(&(machine, id))?;
        let state = self.conns[conn].sides[side].state;
        matches!(state, State::Opening | State::Open).then_some((conn, side))
    }

    fn send_or_keep(&mut self, at: u64, conn: usize, side: usize, what: What, tag: Option<TxTag>) {
        let state = &mut self.conns[conn].sides[side];
        if state.state == State::Opening {
            return state.early.push((what, tag));
        }
        let machine = state.machine;
        // As in `halloo-io`, only connections that were opened here have departure stamps.
        self.depart(machine, at, tag.filter(|_| side == 0));
        self.send_segment(at, conn, side, what, 0);
    }
}

/// What the network does.
impl World {
    fn send_segment(&mut self, at: u64, conn: usize, side: usize, what: What, attempt: u32) {
        let Side { node, path, .. } = self.conns[conn].sides[side];
        let segment = Segment {
            conn,
            side,
            attempt,
            what,
        };
        let body = Body::Segment(segment);
        let packet = self.packet(node, at, Kind::Segment, path.local, path.remote, body);
        match self.route_of(node, path.link, path.remote.ip()) {
            Ok(way) => self.leave(node, at, way, packet),
            Err(_) => self.lose(packet, Fate::NoRoute),
        }
    }

    /// Sees to it that a lost segment is sent again.
    pub(crate) fn segment_lost(&mut self, segment: Segment, fate: Fate) {
        let pause = match segment.what {
            What::Reset => return,
            What::Syn => ms(1_000),
            _ => ms(200),
        };
        if fate == Fate::TooBig && segment.payload().len() > 1 {
            return self.send_halves(segment);
        }
        let longest = nanos(ms(120_000));
        let wait = nanos(pause)
            .saturating_mul(1 << segment.attempt.min(20))
            .min(longest);
        self.schedule(self.now + wait, Event::Again(segment));
    }

    fn send_halves(&mut self, segment: Segment) {
        let What::Data { offset, mut bytes } = segment.what else {
            return;
        };
        let rest = bytes.split_off(bytes.len() / 2);
        let second = offset + bytes.len() as u64;
        for (offset, bytes) in [(offset, bytes), (second, rest)] {
            let what = What::Data { offset, bytes };
            self.send_segment(self.now, segment.conn, segment.side, what, segment.attempt);
        }
    }

    pub(crate) fn send_again(&mut self, segment: Segment) {
        let Segment {
            conn,
            side,
            attempt,
            what,
        } = segment;
        let state = self.conns[conn].sides[side].state;
        // The kernel sees a goodbye through even when the process is gone.
        let goodbye = matches!(what, What::Fin { .. });
        let wanted = match state {
            State::Gone => goodbye,
            State::Open => !matches!(what, What::Syn),
            State::Opening => true,
            State::Unborn => false,
        };
        if !wanted {
            return;
        }
        let attempts = if state == State::Opening {
            SYN_ATTEMPTS
        } else {
            ATTEMPTS
        };
        if attempt < attempts {
            return self.send_segment(self.now, conn, side, what, attempt + 1);
        }
        let error = UnreachableError(errno::TIMEDOUT);
        match state {
            State::Opening => self.close(conn, side, CloseReason::ConnectFailed(error)),
            _ => self.close(conn, side, CloseReason::Broken(error)),
        }
    }

    pub(crate) fn connect_failed(&mut self, conn: usize, side: usize, error: i32) {
        if self.conns[conn].sides[side].state == State::Opening {
            let error = UnreachableError(error);
            self.close(conn, side, CloseReason::ConnectFailed(error));
        }
    }

    pub(crate) fn deliver_segment(&mut self, node: usize, link: LinkId, packet: Packet) {
        let (source, destination, record) = (packet.source, packet.destination, packet.record);
        let Body::Segment(segment) = packet.body else {
            return;
        };
        let Segment { conn, side, what, .. } = segment;
        let receiver = 1 - side;
        let now = self.now;
        let mut fate = Fate::Delivered;
        match what {
            What::Syn => {
                let path = Path {
                    link,
                    local: destination,
                    remote: source,
                };
                if !self.accept(node, conn, path) {
                    fate = Fate::Refused;
                }
            }
            What::SynAck => match self.conns[conn].sides[receiver].state {
                State::Gone => self.send_segment(now, conn, receiver, What::Reset, 0),
                _ => {
                    self.send_segment(now, conn, receiver, What::Ack, 0);
                    self.open(conn, receiver);
                }
            },
            What::Ack => self.open(conn, receiver),
            What::Data { offset, bytes } => {
                self.open(conn, receiver);
                if self.conns[conn].sides[receiver].state == State::Gone {
                    self.send_segment(now, conn, receiver, What::Reset, 0);
                } else {
                    self.take(conn, receiver, offset, bytes);
                }
            }
            What::Fin { offset } => {
                self.open(conn, receiver);
                self.conns[conn].sides[receiver].end = Some(offset);
                self.readable(conn, receiver);
            }
            What::Reset => {
                let error = UnreachableError(errno::CONNRESET);
                match self.conns[conn].sides[receiver].state {
                    State::Opening if receiver == 0 => self.connect_failed(conn, 0, errno::CONNREFUSED),
                    _ => self.close(conn, receiver, CloseReason::Broken(error)),
                }
            }
        }
        self.trace.end(record, now, fate, Some(Node(node)));
    }

    /// Answers the first segment of a connection; false if nobody listens.
    fn accept(&mut self, node: usize, conn: usize, path: Path) -> bool {
        let now = self.now;
        let born = self.conns[conn].sides[1].state != State::Unborn;
        if !born {
            let host = self.host_mut(Node(node));
            let Some(index) = find_socket(&host.listeners, path.local, path.link) else {
                self.conns[conn].sides[1].node = node;
                self.conns[conn].sides[1].path = path;
                self.send_segment(now, conn, 1, What::Reset, 0);
                return false;
            };
            let machine = host.listeners[index].machine;
            let id = ConnId(ConnId::ACCEPTED | host.next_conn);
            host.next_conn += 1;
            self.conns[conn].sides[1] = Side::new(node, machine, id, path, State::Opening);
            self.conn_ids.insert((machine, id), (conn, 1));
        }
        self.send_segment(now, conn, 1, What::SynAck, 0);
        true
    }

    fn open(&mut self, conn: usize, side: usize) {
        let state = &mut self.conns[conn].sides[side];
        if state.state != State::Opening {
            return;
        }
        state.state = State::Open;
        let machine = state.machine;
        let early = std::mem::take(&mut state.early);
        self.enqueue(machine, Pending::Opened { conn, side });
        for (what, tag) in early {
            self.send_or_keep(self.now, conn, side, what, tag);
        }
    }

    /// Puts received bytes where they belong and tells the machine, perhaps a little later.
    fn take(&mut self, conn: usize, side: usize, offset: u64, bytes: Vec<u8>) {
        let node = self.conns[conn].sides[side].node;
        let at = self.stamp(node, self.host_ref(Node(node)).options.stamps);
        let state = &mut self.conns[conn].sides[side];
        if offset < state.received {
            return;
        }
        state.ahead.insert(offset, bytes);
        let before = state.received;
        while let Some(bytes) = state.ahead.remove(&state.received) {
            state.received += bytes.len() as u64;
            state.unread.extend(bytes);
        }
        if state.received == before {
            return;
        }
        state.unread_at = Some(at);
        if state.merging {
            return;
        }
        let share = self.host_ref(Node(node)).options.merge;
        if self.rng.chance(share) {
            self.conns[conn].sides[side].merging = true;
            self.schedule(self.now + MERGE_WAIT, Event::Readable { conn, side });
        } else {
            self.readable(conn, side);
        }
    }

    /// Tells a machine that there is something to read, or that nothing more will come.
    pub(crate) fn readable(&mut self, conn: usize, side: usize) {
        let state = &mut self.conns[conn].sides[side];
        state.merging = false;
        if state.state != State::Open || !state.reading {
            return;
        }
        let machine = state.machine;
        if !state.unread.is_empty() && !state.notified {
            state.notified = true;
            self.enqueue(machine, Pending::Readable { conn, side });
        }
        let state = &mut self.conns[conn].sides[side];
        if state.end == Some(state.received) && !state.end_told {
            state.end_told = true;
            let finished = state.finished;
            self.enqueue(machine, Pending::Finished { conn, side });
            if finished {
                self.close(conn, side, CloseReason::Done);
            }
        }
    }

    /// Reads what is there, in as many pieces as chance has it.
    pub(crate) fn read(&mut self, conn: usize, side: usize, inputs: &mut Vec<Pending>) {
        let state = &mut self.conns[conn].sides[side];
        state.notified = false;
        let Some(at) = state.unread_at else {
            return;
        };
        let mut bytes = std::mem::take(&mut state.unread);
        state.read += bytes.len() as u64;
        let node = state.node;
        let share = self.host_ref(Node(node)).options.split;
        while bytes.len() > 1 && self.rng.chance(share) {
            let cut = 1 + self.rng.below(bytes.len() as u64 - 1) as usize;
            let rest = bytes.split_off(cut);
            inputs.push(Pending::Data {
                conn,
                side,
                at,
                bytes: std::mem::replace(&mut bytes, rest),
            });
        }
        if !bytes.is_empty() {
            inputs.push(Pending::Data {
                conn,
                side,
                at,
                bytes,
            });
        }
    }

    fn close(&mut self, conn: usize, side: usize, why: CloseReason) {
        let state = &mut self.conns[conn].sides[side];
        if matches!(state.state, State::Gone | State::Unborn) {
            return;
        }
        let known = state.state == State::Open || side == 0;
        state.state = State::Gone;
        if why != CloseReason::Done {
            state.unread.clear();
        }
        let machine = state.machine;
        if known {
            self.enqueue(machine, Pending::Closed { conn, side, why });
        }
    }

    pub(crate) fn stamp(&self, node: usize, source: StampSource) -> Stamp {
        self.host_ref(Node(node)).clock.stamp(self.now, source)
    }
}

fn unmapped(address: SocketAddr) -> std::net::IpAddr {
    address.ip().to_canonical()
}
