//! What became of every packet.

use crate::Node;
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

/// How a packet ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fate {
    /// It is still under way.
    InFlight,
    /// It reached a socket, a connection or a device.
    Delivered,
    /// A wire lost it (or altered a stream's segment, which comes to the same).
    Lost,
    /// It did not fit into the queue before a slow wire.
    QueueFull,
    /// It was longer than the wire carries.
    TooBig,
    /// The wire was cut before or while it travelled.
    Cut,
    /// A NAT had no mapping for it, or did not let this sender in.
    Filtered,
    /// Nobody has its destination address.
    NoRoute,
    /// The destination host has no such socket.
    Refused,
    /// Its TTL ran out.
    Expired,
    /// The receiver's socket buffer was full.
    Overrun,
}

/// What kind of packet it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A UDP datagram.
    Datagram,
    /// Part of a TCP connection: handshake, bytes, end or reset.
    Segment,
    /// An ICMP error.
    Error,
    /// An Ethernet frame.
    Frame,
}

/// One packet's story.
#[derive(Clone, Debug)]
pub struct Packet {
    /// When it was sent, since the world began.
    pub sent: Duration,
    /// When it ended, unless it is in flight.
    pub ended: Option<Duration>,
    /// The host that sent it.
    pub from: Node,
    /// The host it ended at, or the one that had its destination address when it was sent.
    pub to: Option<Node>,
    /// Source as sent (for frames: unspecified).
    pub source: SocketAddr,
    /// Destination as sent (for frames: unspecified).
    pub destination: SocketAddr,
    /// What it was.
    pub kind: Kind,
    /// Payload bytes (for frames: the whole frame).
    pub len: usize,
    /// Whether it is the second copy that a wire made.
    pub copy: bool,
    /// Whether a wire altered one of its bytes.
    pub altered: bool,
    /// How it ended.
    pub fate: Fate,
    /// A hash of the payload as sent.
    pub digest: u64,
}

/// Every packet since the world began, in the order of sending.
#[derive(Debug, Default)]
pub struct Trace {
    packets: Vec<Packet>,
    names: Vec<String>,
}

impl Trace {
    /// All packets, in the order of sending.
    pub fn packets(&self) -> &[Packet] {
        &self.packets
    }

    /// How many packets satisfy a condition.
    pub fn count(&self, condition: impl Fn(&Packet) -> bool) -> usize {
        self.packets.iter().filter(|packet| condition(packet)).count()
    }

    /// How many datagrams from one host to another ended so.
    pub fn datagrams(&self, from: Node, to: Node, fate: Fate) -> usize {
        self.count(|packet| {
            packet.kind == Kind::Datagram
                && packet.from == from
                && packet.to == Some(to)
                && packet.fate == fate
        })
    }

    /// A hash over everything in the trace: equal for equal seeds and stories.
    pub fn hash(&self) -> u64 {
        let mut hash = Fnv::default();
        for packet in &self.packets {
            hash.write(format!("{packet:?}").as_bytes());
        }
        hash.0
    }

    /// The last `n` packets as text, a line each.
    pub fn tail(&self, n: usize) -> String {
        let skip = self.packets.len().saturating_sub(n);
        let lines = self.packets[skip..].iter().map(|packet| self.line(packet));
        lines.collect::<Vec<_>>().join("\n")
    }

    pub(crate) fn name(&mut self, name: &str) {
        self.names.push(name.to_owned());
    }

    pub(crate) fn begin(&mut self, packet: Packet) -> usize {
        self.packets.push(packet);
        self.packets.len() - 1
    }

    /// Notes a second copy of an earlier packet.
    pub(crate) fn copy(&mut self, of: usize) -> usize {
        let copy = Packet {
            copy: true,
            altered: false,
            ..self.packets[of].clone()
        };
        self.begin(copy)
    }

    pub(crate) fn end(&mut self, packet: usize, at: u64, fate: Fate, host: Option<Node>) {
        let packet = &mut self.packets[packet];
        packet.ended = Some(Duration::from_nanos(at));
        packet.fate = fate;
        packet.to = host.or(packet.to);
    }

    pub(crate) fn alter(&mut self, packet: usize) {
        self.packets[packet].altered = true;
    }

    fn line(&self, packet: &Packet) -> String {
        let name = |node: Node| self.names.get(node.0).map_or("?", String::as_str);
        let to = packet.to.map_or("nobody", name);
        let took = packet.ended.map_or(String::new(), |end| {
            format!(" after {:?}", end.saturating_sub(packet.sent))
        });
        format!(
            "{:>16.9} s  {} -> {}  {} -> {}  {:?} {} B  {:?}{took}{}{}",
            packet.sent.as_secs_f64(),
            name(packet.from),
            to,
            packet.source,
            packet.destination,
            packet.kind,
            packet.len,
            packet.fate,
            if packet.copy { ", copy" } else { "" },
            if packet.altered { ", altered" } else { "" },
        )
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.tail(self.packets.len()))
    }
}

/// FNV-1a, 64 bits: the standard library does not promise a hash that stays the same.
pub(crate) struct Fnv(pub(crate) u64);

impl Default for Fnv {
    fn default() -> Fnv {
        Fnv(0xcbf2_9ce4_8422_2325)
    }
}

impl Fnv {
    pub(crate) fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
}

pub(crate) fn digest(bytes: &[u8]) -> u64 {
    let mut hash = Fnv::default();
    hash.write(bytes);
    hash.0
}
