//! The world as a story sees it: what one makes, changes, runs and looks at.

use crate::clock::HostClock;
use crate::ethernet::Segment;
use crate::event::{Entry, Event};
use crate::host::{Host, HostOptions, Interface, Pending, Route, Socket};
use crate::nat::{Nat, NatOptions};
use crate::network::{NodeState, Place, WireState};
use crate::quality::{Pipe, Quality};
use crate::stream::Conn;
use crate::time::nanos;
use crate::trace::Trace;
use halloo_base::{ConnId, Deadline, LinkId, Machine, Mono, Nanos, Outbox, Rng, Stamp, StampSource};
use std::any::Any;
use std::collections::{BTreeMap, BinaryHeap};
use std::iter;
use std::marker::PhantomData;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// A host, a cloud or a NAT.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Node(pub(crate) usize);

/// What joins two nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Wire(pub(crate) usize);

/// A machine, whatever its type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MachineId(pub(crate) usize);

/// A machine of a known type, which a story can look into.
pub struct Handle<M> {
    id: MachineId,
    machine: PhantomData<fn() -> M>,
}

/// Hosts, wires and machines under one virtual time. See the crate's documentation for an example.
///
/// Points in time are [`Duration`]s since the world began. The methods are for tests: they panic when a story
/// contradicts itself (a host used as a NAT, an address that does not parse).
pub struct World {
    pub(crate) seed: u64,
    pub(crate) now: u64,
    pub(crate) sequence: u64,
    pub(crate) at_this_instant: u32,
    pub(crate) events: BinaryHeap<Entry>,
    pub(crate) rng: Rng,
    pub(crate) nodes: Vec<NodeState>,
    pub(crate) wires: Vec<WireState>,
    pub(crate) machines: Vec<Slot>,
    pub(crate) conns: Vec<Conn>,
    pub(crate) conn_ids: BTreeMap<(usize, ConnId), (usize, usize)>,
    pub(crate) segments: Vec<Segment>,
    pub(crate) trace: Trace,
}

/// A machine with what its driver remembers about it.
pub(crate) struct Slot {
    pub(crate) machine: Option<Box<dyn Inspect>>,
    pub(crate) host: usize,
    pub(crate) rng: Rng,
    pub(crate) timer_rng: Rng,
    pub(crate) outbox: Outbox,
    pub(crate) alive: bool,
    pub(crate) armed: Option<Deadline>,
    pub(crate) generation: u64,
    pub(crate) waking: bool,
    pub(crate) spins: u32,
}

/// A machine that can be looked into by a story that knows its type.
pub(crate) trait Inspect: Machine + Any {}

impl<M: Machine + Any> Inspect for M {}

/// Makes the world.
impl World {
    /// An empty world. Everything that is left to chance in it follows from `seed`.
    pub fn new(seed: u64) -> World {
        World {
            seed,
            now: 0,
            sequence: 0,
            at_this_instant: 0,
            events: BinaryHeap::new(),
            rng: Rng::new(seed),
            nodes: Vec::new(),
            wires: Vec::new(),
            machines: Vec::new(),
            conns: Vec::new(),
            conn_ids: BTreeMap::new(),
            segments: Vec::new(),
            trace: Trace::default(),
        }
    }

    /// An ideal host with these addresses; see [`HostOptions::default`].
    pub fn host(&mut self, name: &str, addresses: &[&str]) -> Node {
        self.host_with(name, addresses, HostOptions::default())
    }

    /// A host with these addresses. They belong to its first interface.
    pub fn host_with(&mut self, name: &str, addresses: &[&str], options: HostOptions) -> Node {
        // No two hosts' monotonic clocks agree, so that mixing them up shows.
        let mono = 1_000_000_000 + self.rng.below(100_000_000_000_000);
        let clock = HostClock::new(self.now, mono);
        let host = Host::new(options, clock, self.now, parse_all(addresses));
        self.node(name, Place::Host(Box::new(host)))
    }

    /// A network that carries packets between everything joined to it, lowering their TTL by one.
    pub fn cloud(&mut self, name: &str) -> Node {
        self.node(name, Place::Cloud)
    }

    /// A NAT with this outside address. [`World::join`] joins to its inside, [`World::uplink`] to its outside.
    pub fn nat(&mut self, name: &str, outside: &str, options: NatOptions) -> Node {
        let nat = Nat::new(options, parse(outside), self.rng.fork());
        self.node(name, Place::Nat(Box::new(nat)))
    }

    /// Joins two nodes by a wire that behaves the same in both directions.
    ///
    /// A host's first wire gets the host's addresses; later ones have none until [`World::set_addresses`].
    pub fn join(&mut self, a: Node, b: Node, quality: Quality) -> Wire {
        self.wire([(a, false), (b, false)], quality)
    }

    /// Joins the outside of a NAT to a node.
    pub fn uplink(&mut self, nat: Node, to: Node, quality: Quality) -> Wire {
        self.wire([(nat, true), (to, false)], quality)
    }

    /// Starts a machine on a host. It gets [`Input::Wake`](halloo_base::Input::Wake) at once.
    pub fn add<M: Machine + 'static>(&mut self, host: Node, machine: M) -> Handle<M> {
        self.host_mut(host);
        let id = MachineId(self.machines.len());
        self.machines.push(Slot {
            machine: Some(Box::new(machine)),
            host: host.0,
            rng: self.rng.fork(),
            timer_rng: self.rng.fork(),
            outbox: Outbox::new(),
            alive: true,
            armed: None,
            generation: 0,
            waking: false,
            spins: 0,
        });
        self.enqueue(id.0, Pending::Start);
        Handle {
            id,
            machine: PhantomData,
        }
    }

    /// Gives a machine a UDP socket. Port 0 chooses one; `[::]` takes IPv4 too where nothing else does.
    pub fn udp(&mut self, machine: impl Into<MachineId>, local: &str) -> SocketAddr {
        self.bind(machine.into(), local, None)
    }

    /// Gives a machine a UDP socket that uses one link only, as `SO_BINDTODEVICE` does.
    pub fn udp_on(&mut self, machine: impl Into<MachineId>, local: &str, link: LinkId) -> SocketAddr {
        self.bind(machine.into(), local, Some(link))
    }

    /// Gives a machine a TCP listener.
    pub fn listen(&mut self, machine: impl Into<MachineId>, local: &str) -> SocketAddr {
        let socket = self.socket(machine.into(), local, None);
        let host = self.host_of_machine(socket.machine);
        assert!(
            !host.listeners.iter().any(|other| other.local == socket.local),
            "{} is listened on already",
            socket.local
        );
        host.listeners.push(socket);
        socket.local
    }

    /// The link that a wire is to one of the hosts it joins.
    pub fn link(&self, host: Node, wire: Wire) -> LinkId {
        let interfaces = &self.host_ref(host).interfaces;
        let found = interfaces.iter().find(|interface| interface.wire == wire.0);
        found.expect("the wire ends at this host").link
    }

    fn node(&mut self, name: &str, place: Place) -> Node {
        self.nodes.push(NodeState {
            name: name.to_owned(),
            place,
            wires: Vec::new(),
        });
        self.trace.name(name);
        Node(self.nodes.len() - 1)
    }

    fn wire(&mut self, ends: [(Node, bool); 2], quality: Quality) -> Wire {
        let wire = self.wires.len();
        let pipes = [quality.clone(), quality].map(|quality| vec![Pipe::new(quality, self.rng.fork())]);
        for (end, &(node, outside)) in ends.iter().enumerate() {
            let state = &mut self.nodes[node.0];
            assert!(
                !outside || matches!(state.place, Place::Nat(_)),
                "{} is no NAT: only a NAT has an uplink",
                state.name
            );
            state.wires.push((wire, end));
            if let Place::Host(host) = &mut state.place {
                let first = host.interfaces.is_empty();
                host.interfaces.push(Interface {
                    link: LinkId(host.next_link),
                    wire,
                    end,
                    addresses: if first { host.addresses.clone() } else { Vec::new() },
                });
                host.next_link += 1;
            }
        }
        self.wires.push(WireState {
            ends: ends.map(|(node, outside)| (node.0, outside)),
            pipes,
            up: true,
            cuts: 0,
        });
        Wire(wire)
    }

    fn bind(&mut self, machine: MachineId, local: &str, device: Option<LinkId>) -> SocketAddr {
        let socket = self.socket(machine, local, device);
        let host = self.host_of_machine(socket.machine);
        let same = |other: &Socket| other.local == socket.local && other.device == device;
        assert!(
            !host.sockets.iter().any(same),
            "{} is bound already",
            socket.local
        );
        host.sockets.push(socket);
        socket.local
    }

    fn socket(&mut self, machine: MachineId, local: &str, device: Option<LinkId>) -> Socket {
        let mut local: SocketAddr = local
            .parse()
            .unwrap_or_else(|_| panic!("{local} is no address with a port"));
        if local.port() == 0 {
            local.set_port(self.host_of_machine(machine.0).free_port());
        }
        Socket {
            local,
            device,
            machine: machine.0,
            waiting: 0,
            name: None,
        }
    }
}

/// Changes the world while the story goes on.
impl World {
    /// Does something when the world's time is `at`.
    pub fn at(&mut self, at: Duration, what: impl FnOnce(&mut World) + 'static) {
        self.schedule(nanos(at), Event::Story(Box::new(what)));
    }

    /// Sets how a wire behaves in both directions. What is under way is not affected.
    pub fn set(&mut self, wire: Wire, quality: Quality) {
        let [there, back] = &mut self.wires[wire.0].pipes;
        let lanes = there.len() + back.len();
        for (pipe, quality) in there.iter_mut().chain(back).zip(iter::repeat_n(quality, lanes)) {
            pipe.quality = quality;
        }
    }

    /// Sets how a wire behaves for what leaves `from`.
    pub fn set_from(&mut self, wire: Wire, from: Node, quality: Quality) {
        let wire = &mut self.wires[wire.0];
        let end = wire.ends.iter().position(|&(node, _)| node == from.0);
        let pipes = &mut wire.pipes[end.expect("the wire ends at this node")];
        let lanes = pipes.len();
        for (pipe, quality) in pipes.iter_mut().zip(iter::repeat_n(quality, lanes)) {
            pipe.quality = quality;
        }
    }

    /// Makes of a wire several side by side for what leaves `from`: which one a packet takes follows from its protocol,
    /// addresses and ports, as with routers that balance flows (ECMP, RFC 2992).
    ///
    /// # Panics
    /// If there is none at all.
    pub fn balance_from(&mut self, wire: Wire, from: Node, lanes: &[Quality]) {
        assert!(!lanes.is_empty(), "flows need a way to go");
        let pipes = lanes
            .iter()
            .map(|quality| Pipe::new(quality.clone(), self.rng.fork()))
            .collect();
        let wire = &mut self.wires[wire.0];
        let end = wire.ends.iter().position(|&(node, _)| node == from.0);
        wire.pipes[end.expect("the wire ends at this node")] = pipes;
    }

    /// Cuts a wire: what is on it is lost, and machines at both ends learn that their link is down.
    pub fn cut(&mut self, wire: Wire) {
        self.set_carrier(wire, false);
    }

    /// Mends a wire that was cut.
    pub fn mend(&mut self, wire: Wire) {
        self.set_carrier(wire, true);
    }

    /// Gives an interface of a host these addresses instead of those it had.
    pub fn set_addresses(&mut self, host: Node, wire: Wire, addresses: &[&str]) {
        let interfaces = &mut self.host_mut(host).interfaces;
        let found = interfaces.iter_mut().find(|interface| interface.wire == wire.0);
        found.expect("the wire ends at this host").addresses = parse_all(addresses);
    }

    /// Adds a route such as `198.51.100.0/24` to a host. Without any, packets leave by the first interface that
    /// is up, or the one at whose other end the destination sits.
    pub fn route(&mut self, host: Node, prefix: &str, link: LinkId) {
        let (network, length) = prefix.split_once('/').expect("a prefix has a slash");
        let network = parse(network);
        let prefix = length.parse().expect("a prefix length is a number");
        self.host_mut(host).routes.push(Route {
            network,
            prefix,
            link,
        });
    }

    /// Changes how a host behaves from now on. The offset counts only when a host is made.
    pub fn tune(&mut self, host: Node, change: impl FnOnce(&mut HostOptions)) {
        let now = self.now;
        let host = self.host_mut(host);
        change(&mut host.options);
        host.clock.set_drift(now, host.options.drift_ppm);
        self.rearm_all();
    }

    /// Steps a host's wall clock.
    pub fn step_clock(&mut self, host: Node, by: Nanos) {
        let now = self.now;
        self.host_mut(host).clock.step_wall(now, by);
    }

    /// Keeps a host from running for a while, as greedy processes do. Packets arrive and are stamped meanwhile.
    pub fn stall(&mut self, host: Node, span: Duration) {
        let until = self.now + nanos(span);
        let host = self.host_mut(host);
        host.busy_until = host.busy_until.max(until);
    }

    /// Ends a machine as a killed process ends: its sockets close, its connections too, it is told nothing.
    pub fn kill(&mut self, machine: impl Into<MachineId>) {
        self.retire(machine.into().0);
    }

    /// Tells a machine to stop. It is finished afterwards.
    pub fn stop(&mut self, machine: impl Into<MachineId>) {
        self.enqueue(machine.into().0, Pending::Stop);
    }

    /// Asks a machine for a report.
    pub fn report(&mut self, machine: impl Into<MachineId>) {
        self.enqueue(machine.into().0, Pending::Report);
    }

    /// Makes a NAT forget its mappings, as a reboot does.
    pub fn restart_nat(&mut self, nat: Node) {
        match &mut self.nodes[nat.0].place {
            Place::Nat(nat) => nat.restart(),
            _ => panic!("{} is no NAT", self.nodes[nat.0].name),
        }
    }

    fn set_carrier(&mut self, wire: Wire, up: bool) {
        let state = &mut self.wires[wire.0];
        if state.up == up {
            return;
        }
        state.up = up;
        state.cuts += u64::from(!up);
        for (node, _) in state.ends {
            let Place::Host(_) = self.nodes[node].place else {
                continue;
            };
            let link = self.link(Node(node), wire);
            for machine in 0..self.machines.len() {
                if self.machines[machine].host == node {
                    self.enqueue(machine, Pending::LinkChanged(link, up));
                }
            }
        }
    }
}

/// Runs the world and looks at it.
impl World {
    /// How long ago the world began.
    pub fn now(&self) -> Duration {
        Duration::from_nanos(self.now)
    }

    /// Runs for so long.
    pub fn run_for(&mut self, span: Duration) {
        self.run_until(self.now() + span);
    }

    /// Runs until the world's time is `at`; all that is due then has happened.
    pub fn run_until(&mut self, at: Duration) {
        let until = nanos(at);
        while self.step(until) {}
        self.now = self.now.max(until);
    }

    /// Runs until a machine is finished.
    ///
    /// # Panics
    /// If it is not by `limit` (since the world began).
    pub fn run_until_finished(&mut self, machine: impl Into<MachineId>, limit: Duration) {
        let machine = machine.into();
        while self.machines[machine.0].alive {
            assert!(
                self.step(nanos(limit)),
                "the machine on {} is not finished after {limit:?}",
                self.nodes[self.machines[machine.0].host].name
            );
        }
    }

    /// Whether a machine is finished or was killed.
    pub fn finished(&self, machine: impl Into<MachineId>) -> bool {
        !self.machines[machine.into().0].alive
    }

    /// A machine as it is now, finished or not.
    pub fn machine<M: Machine + 'static>(&self, handle: Handle<M>) -> &M {
        let machine = self.machines[handle.id.0].machine.as_deref();
        let any: &dyn Any = machine.expect("machines are away only while they run");
        any.downcast_ref().expect("a handle has its machine's type")
    }

    /// What became of every packet.
    pub fn trace(&self) -> &Trace {
        &self.trace
    }

    /// Both clocks of a host, read at no cost.
    pub fn clock(&self, host: Node) -> Stamp {
        self.host_ref(host).clock.stamp(self.now, StampSource::User)
    }

    /// The monotonic clock of a host, read at no cost.
    pub fn mono(&self, host: Node) -> Mono {
        self.clock(host).mono
    }

    pub(crate) fn host_mut(&mut self, node: Node) -> &mut Host {
        let state = &mut self.nodes[node.0];
        match &mut state.place {
            Place::Host(host) => host,
            _ => panic!("{} is no host", state.name),
        }
    }

    pub(crate) fn host_ref(&self, node: Node) -> &Host {
        match &self.nodes[node.0].place {
            Place::Host(host) => host,
            _ => panic!("{} is no host", self.nodes[node.0].name),
        }
    }

    pub(crate) fn host_of_machine(&mut self, machine: usize) -> &mut Host {
        self.host_mut(Node(self.machines[machine].host))
    }

    pub(crate) fn schedule(&mut self, at: u64, event: Event) {
        self.sequence += 1;
        self.events.push(Entry {
            at: at.max(self.now),
            sequence: self.sequence,
            event,
        });
    }
}

impl Drop for World {
    /// A story that fails shows its seed and its last packets.
    fn drop(&mut self) {
        if std::thread::panicking() {
            let (seed, now, tail) = (self.seed, self.now(), self.trace.tail(60));
            eprintln!("world with seed {seed}, {now:?} after its beginning; its last packets:\n{tail}");
        }
    }
}

impl<M> Handle<M> {
    /// The machine's id.
    pub fn id(self) -> MachineId {
        self.id
    }
}

impl<M> Clone for Handle<M> {
    fn clone(&self) -> Handle<M> {
        *self
    }
}

impl<M> Copy for Handle<M> {}

impl<M> From<Handle<M>> for MachineId {
    fn from(handle: Handle<M>) -> MachineId {
        handle.id
    }
}

fn parse(address: &str) -> IpAddr {
    address
        .parse()
        .unwrap_or_else(|_| panic!("{address} is no address"))
}

fn parse_all(addresses: &[&str]) -> Vec<IpAddr> {
    addresses.iter().map(|address| parse(address)).collect()
}
