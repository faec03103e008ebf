//! Drives machines as `halloo-io` does: inputs that arrived together, then the outbox, then the deadline.

use crate::clock::Present;
use crate::errno;
use crate::event::{Entry, Event};
use crate::host::{Pending, Socket};
use crate::network::Way;
use crate::packet::{Body, Packet, Sender};
use crate::time::nanos;
use crate::trace::{Fate, Kind};
use crate::world::{Node, World};
use halloo_base::{
    Cx, Datagram, Deadline, Endpoint, Env, Frame, Input, LinkId, Mono, Offload, Output, Path, SocketId,
    SocketInput, StampSource, StreamInput, Transmit, TxTag, Unreachable, UnreachableError, canonical,
};
use std::cell::Cell;
use std::net::SocketAddr;

/// How often a machine may be woken for a deadline that does not move forward.
const SPINS: u32 = 1_000;

/// How much may happen in one instant.
const EVENTS_AT_ONE_INSTANT: u32 = 1_000_000;

impl World {
    /// Lets the next event happen if it is due by `until`.
    pub(crate) fn step(&mut self, until: u64) -> bool {
        if self.events.peek().is_none_or(|next| next.at > until) {
            return false;
        }
        let Some(Entry { at, event, .. }) = self.events.pop() else {
            return false;
        };
        self.at_this_instant = if at == self.now {
            self.at_this_instant + 1
        } else {
            0
        };
        assert!(
            self.at_this_instant < EVENTS_AT_ONE_INSTANT,
            "time stands still at {:?}: packets are answered without any delay, for ever",
            self.now()
        );
        self.now = at;
        match event {
            Event::Enter { wire, end, packet } => self.enter(wire, end, packet),
            Event::Arrive {
                wire,
                end,
                cuts,
                packet,
            } => self.arrive(wire, end, cuts, packet),
            Event::Loopback { node, packet } => self.deliver(node, crate::host::LOOPBACK, packet),
            Event::FrameIn {
                segment,
                port,
                record,
                bytes,
            } => self.frame_in(segment, port, record, &bytes),
            Event::FrameOut {
                segment,
                port,
                record,
                bytes,
            } => self.frame_out(segment, port, record, bytes),
            Event::Due { machine, generation } => self.due(machine, generation),
            Event::Inbox { machine, pending } => self.enqueue(machine, pending),
            Event::Run { node } => self.run(node),
            Event::Again(segment) => self.send_again(segment),
            Event::Readable { conn, side } => self.readable(conn, side),
            Event::Story(what) => what(self),
        }
        true
    }

    /// Puts something into the inbox of a machine's host and sees to it that the host runs.
    pub(crate) fn enqueue(&mut self, machine: usize, pending: Pending) {
        if !self.machines[machine].alive {
            return;
        }
        let node = self.machines[machine].host;
        let now = self.now;
        let host = self.host_mut(Node(node));
        host.inbox.push_back((machine, pending));
        let at = host.runs_at(now);
        self.run_at(node, at);
    }

    fn run_at(&mut self, node: usize, at: u64) {
        let host = self.host_mut(Node(node));
        if host.run_at.is_none_or(|planned| planned > at) {
            host.run_at = Some(at);
            self.schedule(at, Event::Run { node });
        }
    }

    fn run(&mut self, node: usize) {
        let now = self.now;
        let host = self.host_mut(Node(node));
        if host.run_at != Some(now) {
            return;
        }
        host.run_at = None;
        if now < host.busy_until {
            let until = host.busy_until;
            return self.run_at(node, until);
        }
        let Some(&(machine, _)) = host.inbox.front() else {
            return;
        };
        let mut batch = Vec::new();
        while batch.len() < host.options.batch.max(1) {
            match host.inbox.pop_front_if(|(other, _)| *other == machine) {
                Some((_, pending)) => batch.push(pending),
                None => break,
            }
        }
        if self.machines[machine].alive {
            let done = self.handle(machine, batch);
            self.host_mut(Node(node)).busy_until = done;
        }
        let host = self.host_mut(Node(node));
        if !host.inbox.is_empty() {
            let at = host.busy_until.max(now);
            self.run_at(node, at);
        }
    }

    /// Hands a batch to a machine, does what it wants, and returns when its host is free again.
    fn handle(&mut self, machine: usize, batch: Vec<Pending>) -> u64 {
        let slot = &mut self.machines[machine];
        let (node, mut rng) = (slot.host, slot.rng.clone());
        let mut outbox = std::mem::take(&mut slot.outbox);
        let mut running = slot.machine.take().expect("a machine runs once at a time");
        let mut inputs = Vec::new();
        for pending in batch {
            self.prepare(machine, pending, &mut inputs);
        }
        let host = self.host_ref(Node(node));
        let now = host.clock.mono(self.now);
        let present = Present {
            clock: &host.clock,
            at: Cell::new(self.now),
            reading: nanos(host.options.clock_reading),
        };
        let (service, sending) = (nanos(host.options.service), nanos(host.options.sending));
        let mut stopped = false;
        let mut stuck = None;
        for pending in &inputs {
            let before = running.deadline();
            let woken = matches!(pending, Pending::Wake);
            if woken && before.is_none_or(|deadline| deadline.at > now) {
                continue;
            }
            present.at.set(present.at.get() + service);
            let mut cx = Cx {
                env: Env {
                    now,
                    clock: &present,
                    rng: &mut rng,
                },
                out: &mut outbox,
            };
            running.handle(&mut cx, self.input(pending));
            if woken {
                stuck = stuck_deadline(before, running.deadline());
            }
            if matches!(pending, Pending::Stop) || running.finished() {
                stopped = true;
                break;
            }
        }
        let mut at = present.at.get();
        let woken = inputs.iter().any(|pending| matches!(pending, Pending::Wake));
        self.count_spins(machine, woken, stuck);
        let slot = &mut self.machines[machine];
        slot.rng = rng;
        slot.waking &= !woken;
        for output in outbox.iter() {
            at += sending;
            self.perform(machine, at, &output);
        }
        outbox.clear();
        let slot = &mut self.machines[machine];
        slot.outbox = outbox;
        slot.machine = Some(running);
        if stopped {
            self.retire(machine);
        } else {
            self.arm(machine, at);
        }
        at
    }

    /// Panics when a machine is woken again and again for the same deadline.
    fn count_spins(&mut self, machine: usize, woken: bool, stuck: Option<Deadline>) {
        let slot = &mut self.machines[machine];
        match stuck {
            Some(deadline) => {
                slot.spins += 1;
                assert!(
                    slot.spins <= SPINS,
                    "the machine on {} was woken {SPINS} times for the deadline \"{}\", which does not move",
                    self.nodes[slot.host].name,
                    deadline.why
                );
            }
            None if woken => slot.spins = 0,
            None => {}
        }
    }

    /// Turns what waited into inputs: takes datagrams out of their sockets and bytes out of their connections.
    fn prepare(&mut self, machine: usize, pending: Pending, inputs: &mut Vec<Pending>) {
        match pending {
            Pending::Datagram {
                socket,
                path,
                mut at,
                marks,
                payload,
            } => {
                let now = self.now;
                let host = self.host_of_machine(machine);
                let mine = |other: &&mut Socket| other.local == socket && other.machine == machine;
                if let Some(socket) = host.sockets.iter_mut().find(mine) {
                    socket.waiting = socket.waiting.saturating_sub(1);
                }
                if host.options.stamps == StampSource::User {
                    at = host.clock.stamp(now, StampSource::User);
                }
                inputs.push(Pending::Datagram {
                    socket,
                    path,
                    at,
                    marks,
                    payload,
                });
            }
            Pending::Readable { conn, side }
            | Pending::Opened { conn, side }
            | Pending::Finished { conn, side }
            | Pending::Closed { conn, side, .. }
                if self.conns[conn].sides[side].aborted => {}
            Pending::Readable { conn, side } => self.read(conn, side, inputs),
            other => inputs.push(other),
        }
    }

    fn input<'a>(&self, pending: &'a Pending) -> Input<'a> {
        let conn_id = |conn: &usize, side: &usize| self.conns[*conn].sides[*side].id;
        match pending {
            Pending::Start | Pending::Wake => Input::Wake,
            Pending::Datagram {
                path,
                at,
                marks,
                payload,
                ..
            } => Input::Datagram(Datagram {
                path: *path,
                at: *at,
                marks: *marks,
                payload,
                offload: Offload::default(),
            }),
            Pending::Frame { link, at, bytes } => Input::Frame(Frame {
                link: *link,
                at: *at,
                bytes,
                offload: Offload::default(),
            }),
            Pending::Opened { conn, side } => {
                let state = &self.conns[*conn].sides[*side];
                let (path, at) = (state.path, self.stamp(state.node, StampSource::User));
                Input::Stream(state.id, StreamInput::Opened { path, at })
            }
            Pending::Data {
                conn,
                side,
                at,
                bytes,
            } => Input::Stream(conn_id(conn, side), StreamInput::Data { bytes, at: *at }),
            Pending::Finished { conn, side } => Input::Stream(conn_id(conn, side), StreamInput::Finished),
            Pending::Closed { conn, side, why } => {
                Input::Stream(conn_id(conn, side), StreamInput::Closed(*why))
            }
            Pending::Departed(tag, at) => Input::Departed(*tag, *at),
            Pending::Unreachable(unreachable, quote) => Input::Unreachable(unreachable.clone(), quote),
            Pending::Socket(id, outcome) => Input::Socket(*id, *outcome),
            Pending::LinkChanged(link, up) => Input::LinkChanged(*link, *up),
            Pending::Report => Input::Report,
            Pending::Stop => Input::Stop,
            Pending::Readable { .. } => unreachable!("prepare() turns it into data"),
        }
    }

    fn perform(&mut self, machine: usize, at: u64, output: &Output<'_>) {
        match *output {
            Output::Datagram(how, bytes) => self.send_datagram(machine, at, how, bytes),
            Output::Frame(link, _, bytes) => self.send_frame(machine, at, link, bytes),
            Output::Connect(id, path) => self.connect(machine, at, id, path),
            Output::Write(id, tag, bytes) => self.write(machine, at, id, tag, bytes),
            Output::Finish(id) => self.finish(machine, at, id),
            Output::Abort(id) => self.abort(machine, at, id),
            Output::Open(id, endpoint) => {
                let outcome = match self.open_socket(machine, id, endpoint) {
                    Ok(local) => SocketInput::Opened(local),
                    Err(error) => SocketInput::Refused(UnreachableError(error)),
                };
                let pending = Pending::Socket(id, outcome);
                self.schedule(at, Event::Inbox { machine, pending });
            }
            Output::Close(id) => {
                let is_meant = |socket: &Socket| socket.machine == machine && socket.name == Some(id);
                let host = self.host_of_machine(machine);
                host.sockets.retain(|socket| !is_meant(socket));
            }
        }
    }

    /// Opens a socket that a machine wants.
    fn open_socket(&mut self, machine: usize, name: SocketId, endpoint: Endpoint) -> Result<SocketAddr, i32> {
        let host = self.host_of_machine(machine);
        let mut local = canonical(endpoint.local);
        let device = Some(endpoint.link).filter(|link| *link != LinkId::default());
        if !local.ip().is_unspecified() && !host.owns(local.ip()) {
            return Err(errno::ADDRNOTAVAIL);
        }
        let is_there = |link: &LinkId| host.interfaces.iter().any(|own| own.link == *link);
        if device.is_some_and(|link| !is_there(&link)) {
            return Err(errno::NODEV);
        }
        let named = |socket: &Socket| socket.machine == machine && socket.name == Some(name);
        if host.sockets.iter().any(named) {
            return Err(errno::EXIST);
        }
        if local.port() == 0 {
            local.set_port(host.free_port());
        }
        let same = |other: &Socket| other.local == local && other.device == device;
        if host.sockets.iter().any(same) {
            return Err(errno::ADDRINUSE);
        }
        host.sockets.push(Socket {
            local,
            device,
            machine,
            waiting: 0,
            name: Some(name),
        });
        Ok(local)
    }

    fn send_datagram(&mut self, machine: usize, at: u64, how: Transmit, bytes: &[u8]) {
        let node = self.machines[machine].host;
        let path = Path {
            remote: canonical(how.path.remote),
            local: canonical(how.path.local),
            ..how.path
        };
        let (bound, (route, local)) = match self.sending_socket(machine, path) {
            Ok(socket) => (socket.local, self.way_out(node, &socket, path)),
            Err(error) => (path.local, (Err(error), path.local)),
        };
        let sender = Sender { machine, bound };
        let body = Body::Datagram {
            payload: bytes.to_vec(),
            sender,
        };
        let packet = self.packet(node, at, Kind::Datagram, local, path.remote, body);
        let packet = Packet {
            tos: how.tos.unwrap_or(0),
            ..packet
        };
        match route {
            Ok(way) => {
                self.depart(machine, at, how.tag);
                self.leave(node, at, way, packet);
            }
            Err(error) => {
                self.trace.end(packet.record, at, Fate::NoRoute, None);
                let unreachable = Unreachable {
                    path: how.path,
                    tag: how.tag,
                    reporter: None,
                    error: UnreachableError(error),
                    mtu: None,
                };
                let pending = Pending::Unreachable(unreachable, vec![]);
                self.schedule(at, Event::Inbox { machine, pending });
            }
        }
    }

    /// The first of the machine's sockets that covers the path's local address.
    fn sending_socket(&mut self, machine: usize, path: Path) -> Result<Socket, i32> {
        let host = self.host_of_machine(machine);
        let found = host
            .sockets
            .iter()
            .find(|socket| socket.machine == machine && socket.covers(path.local));
        let socket = *found.ok_or(errno::ADDRNOTAVAIL)?;
        if socket.local.is_ipv4() && path.remote.is_ipv6() {
            return Err(errno::AFNOSUPPORT);
        }
        Ok(socket)
    }

    /// How a datagram leaves by this socket, and its source.
    fn way_out(&self, node: usize, socket: &Socket, path: Path) -> (Result<Way, i32>, SocketAddr) {
        let remote = path.remote.ip();
        let way = match socket.device {
            Some(device) => self.route_of(node, device, remote),
            // As in `halloo-io`, the way back may leave by another link than the request came by.
            None => self
                .route_of(node, path.link, remote)
                .or_else(|_| self.route_of(node, LinkId::default(), remote)),
        };
        let wish = if path.local.ip().is_unspecified() {
            socket.local.ip()
        } else {
            path.local.ip()
        };
        let source = way.map_or(wish, |way| self.source_of(node, way, wish, remote));
        (way, SocketAddr::new(source, socket.local.port()))
    }

    /// Promises the departure stamp of what leaves at `at`.
    pub(crate) fn depart(&mut self, machine: usize, at: u64, tag: Option<TxTag>) {
        let host = self.host_of_machine(machine);
        let source = host.options.stamps;
        if let Some(tag) = tag.filter(|_| source != StampSource::User) {
            let stamp = host.clock.stamp(at, source);
            let told = at + nanos(host.options.departure_stamp);
            let pending = Pending::Departed(tag, stamp);
            self.schedule(told, Event::Inbox { machine, pending });
        }
    }

    fn due(&mut self, machine: usize, generation: u64) {
        let slot = &mut self.machines[machine];
        if !slot.alive || slot.generation != generation {
            return;
        }
        slot.armed = None;
        slot.waking = true;
        self.enqueue(machine, Pending::Wake);
    }

    /// Sets the timer for a machine whose host is free again at `free`.
    fn arm(&mut self, machine: usize, free: u64) {
        let slot = &mut self.machines[machine];
        let deadline = slot.machine.as_ref().and_then(|machine| machine.deadline());
        if slot.waking || slot.armed == deadline {
            return;
        }
        slot.armed = deadline;
        slot.generation += 1;
        let (generation, node) = (slot.generation, slot.host);
        let Some(deadline) = deadline else {
            return;
        };
        if deadline.at == Mono(u64::MAX) {
            return;
        }
        let host = self.host_ref(Node(node));
        let (when, slack) = (host.clock.when(deadline.at), nanos(host.options.timer_slack));
        let at = if when <= free {
            free
        } else if deadline.exact {
            when
        } else {
            when + self.machines[machine].timer_rng.below(slack + 1)
        };
        self.schedule(at, Event::Due { machine, generation });
    }

    /// Sets all timers again after a clock has changed its rate.
    pub(crate) fn rearm_all(&mut self) {
        for machine in 0..self.machines.len() {
            if self.machines[machine].alive {
                self.machines[machine].armed = None;
                self.arm(machine, self.now);
            }
        }
    }

    /// Takes everything from a machine that is finished; it can still be looked at.
    pub(crate) fn retire(&mut self, machine: usize) {
        if !std::mem::replace(&mut self.machines[machine].alive, false) {
            return;
        }
        let host = self.host_of_machine(machine);
        host.sockets.retain(|socket| socket.machine != machine);
        host.listeners.retain(|socket| socket.machine != machine);
        host.inbox.retain(|(other, _)| *other != machine);
        self.orphan_streams(machine);
    }
}

fn stuck_deadline(before: Option<Deadline>, after: Option<Deadline>) -> Option<Deadline> {
    let (before, after) = (before?, after?);
    (after.at <= before.at).then_some(after)
}
