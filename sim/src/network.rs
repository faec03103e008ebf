//! How packets find their way: hosts, clouds and NATs, and the wires between them.

use crate::errno;
use crate::event::Event;
use crate::host::{Host, Pending, find_socket};
use crate::nat::Nat;
use crate::packet::{About, Body, Packet, What};
use crate::quality::{Passage, Pipe};
use crate::trace::{self, Fate, Kind};
use crate::world::{Node, World};
use halloo_base::{LinkId, Marks, Path, Unreachable, UnreachableError};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

/// An error report over IPv4 has 576 bytes at most, 56 of them headers (RFC 1812 section 4.3.2.3).
const MOST_QUOTED: usize = 576 - 56;

pub(crate) struct NodeState {
    pub(crate) name: String,
    pub(crate) place: Place,
    /// The wires that end here: which wire, which end of it.
    pub(crate) wires: Vec<(usize, usize)>,
}

pub(crate) enum Place {
    Host(Box<Host>),
    Cloud,
    Nat(Box<Nat>),
}

pub(crate) struct WireState {
    /// The node at each end, and whether the wire is that node's uplink.
    pub(crate) ends: [(usize, bool); 2],
    /// What leaves from end 0 goes through one of the first pipes: mostly there is but one.
    pub(crate) pipes: [Vec<Pipe>; 2],
    pub(crate) up: bool,
    /// How often it was cut: what entered before the last time never arrives.
    pub(crate) cuts: u64,
}

/// Where a packet leaves a host.
#[derive(Clone, Copy)]
pub(crate) enum Way {
    Loopback,
    Interface { link: LinkId, wire: usize, end: usize },
}

/// How well a wire leads to an address.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Leads {
    Nowhere,
    /// A NAT's uplink lies there, and with it everything that is not known otherwise.
    ByDefault,
    There,
}

/// How long a packet from a host to itself takes.
const LOOPBACK_DELAY: u64 = 1_000;

/// In whose name a router without an address reports errors (RFC 7600 section 4.8; RFC 6666).
const ROUTER_V4: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 0, 8));
const ROUTER_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0x100, 0, 0, 0, 0, 0, 0, 1));

/// Sending.
impl World {
    /// The way from a host to `remote`, by `link` if it names one, or the error that the host reports.
    pub(crate) fn route_of(&self, node: usize, link: LinkId, remote: IpAddr) -> Result<Way, i32> {
        let host = self.host_ref(Node(node));
        if host.owns(remote) {
            return Ok(Way::Loopback);
        }
        let chosen = if link == LinkId::default() {
            self.choose_link(node, remote).ok_or(errno::NETUNREACH)?
        } else {
            link
        };
        let interface = host.interface(chosen).ok_or(errno::NODEV)?;
        let way = Way::Interface {
            link: chosen,
            wire: interface.wire,
            end: interface.end,
        };
        if self.wires[interface.wire].up {
            Ok(way)
        } else {
            Err(errno::NETUNREACH)
        }
    }

    /// The source address of a packet that leaves by `way`; `wish` unless that is a wildcard.
    pub(crate) fn source_of(&self, node: usize, way: Way, wish: IpAddr, remote: IpAddr) -> IpAddr {
        if !wish.is_unspecified() {
            return wish;
        }
        let link = match way {
            Way::Loopback => return remote,
            Way::Interface { link, .. } => link,
        };
        let host = self.host_ref(Node(node));
        host.source(link, remote).unwrap_or_else(|| {
            let name = &self.nodes[node].name;
            panic!("{name} has no address to send to {remote} from")
        })
    }

    /// A new packet with its record in the trace.
    pub(crate) fn packet(
        &mut self,
        node: usize,
        at: u64,
        kind: Kind,
        source: SocketAddr,
        destination: SocketAddr,
        body: Body,
    ) -> Packet {
        let ttl = match &self.nodes[node].place {
            Place::Host(host) => host.options.ttl,
            _ => 64,
        };
        let mut packet = Packet {
            record: 0,
            source,
            destination,
            ttl,
            tos: 0,
            body,
        };
        let to = (0..self.nodes.len()).find(|&other| match &self.nodes[other].place {
            Place::Host(host) => other != node && host.owns(destination.ip()),
            _ => false,
        });
        packet.record = self.trace.begin(trace::Packet {
            sent: Duration::from_nanos(at),
            ended: None,
            from: Node(node),
            to: to.map(Node),
            source,
            destination,
            kind,
            len: packet.payload().len(),
            copy: false,
            altered: false,
            fate: Fate::InFlight,
            digest: trace::digest(packet.payload()),
        });
        packet
    }

    /// Sends a packet off at `at`.
    pub(crate) fn leave(&mut self, node: usize, at: u64, way: Way, packet: Packet) {
        match way {
            Way::Loopback => self.schedule(at + LOOPBACK_DELAY, Event::Loopback { node, packet }),
            Way::Interface { wire, end, .. } => self.schedule(at, Event::Enter { wire, end, packet }),
        }
    }

    fn choose_link(&self, node: usize, remote: IpAddr) -> Option<LinkId> {
        let host = self.host_ref(Node(node));
        let up = |link: LinkId| {
            host.interface(link)
                .is_some_and(|interface| self.wires[interface.wire].up)
        };
        let direct = || {
            host.interfaces.iter().find(|interface| {
                let (far, _) = self.wires[interface.wire].ends[1 - interface.end];
                matches!(&self.nodes[far].place, Place::Host(host) if host.owns(remote)) && up(interface.link)
            })
        };
        host.route(remote, up)
            .or_else(|| direct().map(|interface| interface.link))
            .or_else(|| {
                let first = host.interfaces.iter().find(|interface| up(interface.link));
                first.map(|interface| interface.link)
            })
    }

    /// A packet enters a wire.
    pub(crate) fn enter(&mut self, wire: usize, end: usize, mut packet: Packet) {
        let state = &mut self.wires[wire];
        if !state.up {
            return self.lose(packet, Fate::Cut);
        }
        let cuts = state.cuts;
        let pipes = &mut state.pipes[end];
        let lane = (packet.flow() % pipes.len() as u64) as usize;
        let pipe = &mut pipes[lane];
        if let Some(tos) = pipe.quality.rewrite_tos {
            packet.tos = tos;
        }
        match pipe.pass(self.now, packet.wire_len()) {
            Err(Fate::TooBig) => {
                let mtu = (!pipe.quality.silent).then_some(pipe.quality.mtu as u32);
                let (node, _) = self.wires[wire].ends[end];
                if mtu.is_some() {
                    self.complain(node, &packet, errno::MSGSIZE, mtu);
                }
                self.lose(packet, Fate::TooBig);
            }
            Err(fate) => self.lose(packet, fate),
            Ok((first, second)) => {
                if let Some(second) = second {
                    let mut copy = packet.clone();
                    copy.record = self.trace.copy(packet.record);
                    self.carry(wire, end, cuts, second, copy);
                }
                self.carry(wire, end, cuts, first, packet);
            }
        }
    }

    fn carry(&mut self, wire: usize, end: usize, cuts: u64, passage: Passage, mut packet: Packet) {
        if let Some((place, mask)) = passage.altered {
            self.trace.alter(packet.record);
            match &mut packet.body {
                Body::Datagram { payload, .. } if !payload.is_empty() => {
                    let place = place % payload.len() as u64;
                    payload[place as usize] ^= mask;
                }
                // What a checksum covers without exception never arrives altered.
                _ => return self.lose(packet, Fate::Lost),
            }
        }
        let end = 1 - end;
        self.schedule(
            passage.at,
            Event::Arrive {
                wire,
                end,
                cuts,
                packet,
            },
        );
    }

    /// Ends a packet that arrives nowhere. A part of a stream will be sent again.
    pub(crate) fn lose(&mut self, packet: Packet, fate: Fate) {
        self.trace.end(packet.record, self.now, fate, None);
        if let Body::Segment(segment) = packet.body {
            self.segment_lost(segment, fate);
        }
    }

    /// Reports to a packet's sender why it did not get through, in the name of `node`.
    fn complain(&mut self, node: usize, packet: &Packet, error: i32, mtu: Option<u32>) {
        let about = match &packet.body {
            Body::Datagram { sender, .. } => About::Datagram(*sender),
            Body::Segment(segment) if matches!(segment.what, What::Syn) => About::Segment {
                conn: segment.conn,
                side: segment.side,
            },
            _ => return,
        };
        let quote = packet.payload();
        let quote = quote[..quote.len().min(MOST_QUOTED)].to_vec();
        if let About::Datagram(sender) = about
            && self.machines[sender.machine].host == node
        {
            // A host answers itself as it answers others; but of what it did not send it keeps nothing.
            let (reporter, quote) = match error {
                errno::CONNREFUSED => (Some(packet.destination.ip()), quote),
                _ => (None, vec![]),
            };
            return self.unreachable(about, packet.destination, reporter, (error, mtu), quote);
        }
        let source = match &self.nodes[node].place {
            Place::Host(_) => packet.destination.ip(),
            Place::Nat(nat) => nat.address(),
            Place::Cloud if packet.source.is_ipv4() => ROUTER_V4,
            Place::Cloud => ROUTER_V6,
        };
        let body = Body::Error {
            error,
            mtu,
            carrier: packet.carrier(),
            source: packet.source,
            destination: packet.destination,
            about,
            quote,
        };
        let to = SocketAddr::new(packet.source.ip(), 0);
        let from = SocketAddr::new(source, 0);
        let packet = self.packet(node, self.now, Kind::Error, from, to, body);
        if matches!(self.nodes[node].place, Place::Host(_)) {
            match self.route_of(node, LinkId::default(), to.ip()) {
                Ok(way) => self.leave(node, self.now, way, packet),
                Err(_) => self.lose(packet, Fate::NoRoute),
            }
        } else {
            self.forward(node, None, packet);
        }
    }

    /// Tells a machine what the error queue of its socket tells it: not the link, and of the datagram what is quoted.
    fn unreachable(
        &mut self,
        about: About,
        remote: SocketAddr,
        reporter: Option<IpAddr>,
        (error, mtu): (i32, Option<u32>),
        quote: Vec<u8>,
    ) {
        match about {
            About::Datagram(sender) => {
                let unreachable = Unreachable {
                    path: Path {
                        link: LinkId::default(),
                        local: sender.bound,
                        remote,
                    },
                    tag: None,
                    reporter,
                    error: UnreachableError(error),
                    mtu,
                };
                self.enqueue(sender.machine, Pending::Unreachable(unreachable, quote));
            }
            About::Segment { conn, side } => self.connect_failed(conn, side, error),
        }
    }
}

/// Receiving and forwarding.
impl World {
    /// A packet comes out of a wire.
    pub(crate) fn arrive(&mut self, wire: usize, end: usize, cuts: u64, mut packet: Packet) {
        if self.wires[wire].cuts != cuts {
            return self.lose(packet, Fate::Cut);
        }
        let (node, outside) = self.wires[wire].ends[end];
        if let Place::Host(_) = &self.nodes[node].place {
            let link = self.link(Node(node), crate::Wire(wire));
            return self.deliver(node, link, packet);
        }
        if packet.ttl <= 1 {
            self.complain(node, &packet, errno::HOSTUNREACH, None);
            return self.lose(packet, Fate::Expired);
        }
        packet.ttl -= 1;
        match &self.nodes[node].place {
            Place::Nat(_) if outside => self.enter_nat(node, packet),
            Place::Nat(_) => self.leave_nat(node, wire, packet),
            _ => self.forward(node, Some(wire), packet),
        }
    }

    fn forward(&mut self, node: usize, came_by: Option<usize>, packet: Packet) {
        match self.next_hop(node, came_by, packet.destination.ip()) {
            Some((wire, end)) => self.enter(wire, end, packet),
            None => {
                self.complain(node, &packet, errno::HOSTUNREACH, None);
                self.lose(packet, Fate::NoRoute);
            }
        }
    }

    fn leave_nat(&mut self, node: usize, came_by: usize, mut packet: Packet) {
        let now = self.now;
        let inside = self.next_hop(node, Some(came_by), packet.destination.ip());
        let Place::Nat(nat) = &mut self.nodes[node].place else {
            return;
        };
        if let Some((wire, end)) = inside.filter(|_| packet.destination.ip() != nat.address()) {
            return self.enter(wire, end, packet);
        }
        match &mut packet.body {
            Body::Error {
                carrier,
                source,
                destination,
                ..
            } => {
                // The error speaks of a packet as it was inside; the outside knows it by another destination.
                match nat.outside(*carrier, *destination, *source) {
                    Some(outside) => *destination = outside,
                    None => return self.lose(packet, Fate::Filtered),
                }
                packet.source.set_ip(nat.address());
            }
            _ => {
                let carrier = packet.carrier();
                packet.source = nat.outbound(now, carrier, packet.source, packet.destination);
            }
        }
        if packet.destination.ip() == nat.address() {
            if nat.hairpins() {
                self.enter_nat(node, packet);
            } else {
                self.lose(packet, Fate::Filtered);
            }
            return;
        }
        match self.uplink_of(node) {
            Some((wire, end)) => self.enter(wire, end, packet),
            None => self.lose(packet, Fate::NoRoute),
        }
    }

    fn enter_nat(&mut self, node: usize, mut packet: Packet) {
        let now = self.now;
        let Place::Nat(nat) = &mut self.nodes[node].place else {
            return;
        };
        let carrier = packet.carrier();
        let inside = match &packet.body {
            _ if packet.destination.ip() != nat.address() => None,
            Body::Error { source, .. } => nat.owner(carrier, source.port()),
            _ => nat.inbound(now, carrier, packet.source, packet.destination.port()),
        };
        let Some(inside) = inside else {
            return self.lose(packet, Fate::Filtered);
        };
        match &mut packet.body {
            Body::Error { source, .. } => {
                *source = inside;
                packet.destination.set_ip(inside.ip());
            }
            _ => packet.destination = inside,
        }
        self.forward(node, None, packet);
    }

    /// Hands a packet to a host that it has reached.
    pub(crate) fn deliver(&mut self, node: usize, link: LinkId, packet: Packet) {
        let now = self.now;
        let host = self.host_mut(Node(node));
        if !host.owns(packet.destination.ip()) {
            return self.lose(packet, Fate::NoRoute);
        }
        match packet.body {
            Body::Datagram { .. } => self.deliver_datagram(node, link, packet),
            Body::Segment(_) => self.deliver_segment(node, link, packet),
            Body::Error {
                error,
                mtu,
                about,
                destination,
                quote,
                ..
            } => {
                self.trace
                    .end(packet.record, now, Fate::Delivered, Some(Node(node)));
                self.unreachable(about, destination, Some(packet.source.ip()), (error, mtu), quote);
            }
        }
    }

    fn deliver_datagram(&mut self, node: usize, link: LinkId, packet: Packet) {
        let now = self.now;
        let host = self.host_mut(Node(node));
        let Some(index) = find_socket(&host.sockets, packet.destination, link) else {
            self.complain(node, &packet, errno::CONNREFUSED, None);
            return self
                .trace
                .end(packet.record, now, Fate::Refused, Some(Node(node)));
        };
        let full = host.sockets[index].waiting >= host.options.receive_buffer;
        if full {
            return self
                .trace
                .end(packet.record, now, Fate::Overrun, Some(Node(node)));
        }
        host.sockets[index].waiting += 1;
        let machine = host.sockets[index].machine;
        let Body::Datagram { payload, .. } = packet.body else {
            return;
        };
        let source = host.options.stamps;
        let pending = Pending::Datagram {
            socket: host.sockets[index].local,
            path: Path {
                link,
                local: packet.destination,
                remote: packet.source,
            },
            at: host.clock.stamp(now, source),
            marks: Marks {
                tos: packet.tos,
                ttl: Some(packet.ttl),
            },
            payload,
        };
        self.trace
            .end(packet.record, now, Fate::Delivered, Some(Node(node)));
        self.enqueue(machine, pending);
    }

    fn next_hop(&self, node: usize, came_by: Option<usize>, remote: IpAddr) -> Option<(usize, usize)> {
        self.nodes[node]
            .wires
            .iter()
            .filter(|&&(wire, end)| Some(wire) != came_by && !self.wires[wire].ends[end].1)
            .map(|&(wire, end)| (self.leads(wire, end, remote, 0), (wire, end)))
            // Of equals the first that was joined.
            .rev()
            .max_by_key(|&(leads, _)| leads)
            .filter(|&(leads, _)| leads != Leads::Nowhere)
            .map(|(_, hop)| hop)
    }

    /// How well the wire leads to `remote` when entered at `end`.
    fn leads(&self, wire: usize, end: usize, remote: IpAddr, depth: u32) -> Leads {
        const FARTHEST: u32 = 16;
        let (far, outside) = self.wires[wire].ends[1 - end];
        let there = |yes: bool| if yes { Leads::There } else { Leads::Nowhere };
        match &self.nodes[far].place {
            Place::Host(host) => there(host.answers_on(wire, remote)),
            Place::Nat(nat) if outside => there(nat.address() == remote),
            Place::Nat(nat) if nat.address() == remote => Leads::There,
            Place::Cloud | Place::Nat(_) => {
                let beyond = self.nodes[far]
                    .wires
                    .iter()
                    .filter(|&&(other, end)| other != wire && !self.wires[other].ends[end].1)
                    .map(|&(other, end)| match depth {
                        FARTHEST => Leads::Nowhere,
                        _ => self.leads(other, end, remote, depth + 1),
                    })
                    .max();
                let default = match self.nodes[far].place {
                    Place::Nat(_) => Leads::ByDefault,
                    _ => Leads::Nowhere,
                };
                beyond.unwrap_or(Leads::Nowhere).max(default)
            }
        }
    }

    fn uplink_of(&self, node: usize) -> Option<(usize, usize)> {
        let wires = &self.nodes[node].wires;
        wires
            .iter()
            .copied()
            .find(|&(wire, end)| self.wires[wire].ends[end].1)
    }
}
