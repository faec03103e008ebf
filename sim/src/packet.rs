//! What travels on wires.

use crate::nat::Carrier;
use halloo_base::Rng;
use std::net::{IpAddr, SocketAddr};

#[derive(Clone, Debug)]
pub(crate) struct Packet {
    /// Its record in the trace.
    pub(crate) record: usize,
    pub(crate) source: SocketAddr,
    pub(crate) destination: SocketAddr,
    pub(crate) ttl: u8,
    pub(crate) tos: u8,
    pub(crate) body: Body,
}

#[derive(Clone, Debug)]
pub(crate) enum Body {
    Datagram {
        payload: Vec<u8>,
        sender: Sender,
    },
    Segment(Segment),
    /// An ICMP error about a packet from `source` to `destination`.
    Error {
        error: i32,
        /// Where it was too big: what would not be.
        mtu: Option<u32>,
        carrier: Carrier,
        source: SocketAddr,
        destination: SocketAddr,
        about: About,
        /// The beginning of the packet's payload.
        quote: Vec<u8>,
    },
}

/// Who sent a datagram, so that an error about it finds its way back.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sender {
    pub(crate) machine: usize,
    /// What the socket is bound to.
    pub(crate) bound: SocketAddr,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum About {
    Datagram(Sender),
    Segment { conn: usize, side: usize },
}

/// A part of a connection, sent by its side `side`.
#[derive(Clone, Debug)]
pub(crate) struct Segment {
    pub(crate) conn: usize,
    pub(crate) side: usize,
    pub(crate) attempt: u32,
    pub(crate) what: What,
}

#[derive(Clone, Debug)]
pub(crate) enum What {
    Syn,
    SynAck,
    Ack,
    Data { offset: u64, bytes: Vec<u8> },
    Fin { offset: u64 },
    Reset,
}

impl Packet {
    /// Its length as an IP packet.
    pub(crate) fn wire_len(&self) -> usize {
        let ip = if self.destination.is_ipv4() { 20 } else { 40 };
        ip + match &self.body {
            Body::Datagram { payload, .. } => 8 + payload.len(),
            // Twelve bytes of options: every TCP of today sends its timestamps.
            Body::Segment(segment) => 32 + segment.payload().len(),
            Body::Error { quote, .. } => 36 + quote.len(),
        }
    }

    /// A number that all packets of a flow have: a hash of the protocol, both addresses and both ports (RFC 2992).
    pub(crate) fn flow(&self) -> u64 {
        let carrier = [u8::from(self.carrier() == Carrier::Tcp)];
        let end = |end: SocketAddr| match end.ip() {
            IpAddr::V4(ip) => (ip.to_ipv6_mapped().octets(), end.port().to_be_bytes()),
            IpAddr::V6(ip) => (ip.octets(), end.port().to_be_bytes()),
        };
        let (source, destination) = (end(self.source), end(self.destination));
        let octets = [&carrier[..], &source.0, &source.1, &destination.0, &destination.1].concat();
        // FNV-1a, its bits then stirred: the lowest ones choose.
        let hash = octets.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, &octet| {
            (hash ^ u64::from(octet)).wrapping_mul(0x0100_0000_01b3)
        });
        Rng::new(hash).next_u64()
    }

    pub(crate) fn payload(&self) -> &[u8] {
        match &self.body {
            Body::Datagram { payload, .. } => payload,
            Body::Segment(segment) => segment.payload(),
            Body::Error { .. } => &[],
        }
    }

    pub(crate) fn carrier(&self) -> Carrier {
        match &self.body {
            Body::Datagram { .. } => Carrier::Udp,
            Body::Segment(_) => Carrier::Tcp,
            Body::Error { carrier, .. } => *carrier,
        }
    }
}

impl Segment {
    pub(crate) fn payload(&self) -> &[u8] {
        match &self.what {
            What::Data { bytes, .. } => bytes,
            _ => &[],
        }
    }
}
