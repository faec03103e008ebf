//! The headers in front of a super-frame's payload: where they lie, and what they say of a part of it.

use super::checksum;
use super::ethernet::{Ethernet, is_tag, long_number, number, put};
use super::sender::{ARP, ICMPV6, IPV4, IPV6, LONGEST_LENGTH};
use halloo_base::Offload;

/// Headers longer than this are not understood.
pub(crate) const LONGEST_HEADERS: usize = 256;

/// Extension headers that are looked behind.
const MOST_EXTENSIONS: usize = 8;

/// `VIRTIO_NET_HDR_F_NEEDS_CSUM`.
pub(crate) const NEEDS_CHECKSUM: u8 = 1;
/// `VIRTIO_NET_HDR_GSO_TCPV4`.
pub(crate) const TCP4: u8 = 1;
/// `VIRTIO_NET_HDR_GSO_TCPV6`.
pub(crate) const TCP6: u8 = 4;
/// `VIRTIO_NET_HDR_GSO_UDP_L4`.
pub(crate) const UDP: u8 = 5;
/// `VIRTIO_NET_HDR_GSO_ECN`: the first segment alone says that the window was reduced.
pub(crate) const ECN: u8 = 0x80;

/// The longest frame there is: addresses, four tags, a type, an IPv6 header, and the 65,535 octets that it can announce.
pub const LONGEST_FRAME: usize = 14 + 4 * 4 + 40 + 65_535;

const CWR: u8 = 0x80;
const PSH: u8 = 0x08;
const FIN: u8 = 0x01;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    V4,
    V6,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Transport {
    Tcp,
    Udp,
}

/// Where the headers of a TCP or UDP packet lie in a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layers {
    version: Version,
    protocol: Transport,
    network: usize,
    transport: usize,
    payload: usize,
}

/// A part of a super-frame's payload.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part {
    /// Where in the payload it begins.
    pub(crate) offset: usize,
    /// How long it is.
    pub(crate) len: usize,
    /// How long the whole payload is.
    pub(crate) total: usize,
    /// How much of it a packet carries.
    pub(crate) segment_size: usize,
}

impl Layers {
    /// Finds the headers. `None` where they are not understood, which includes fragments of IP.
    pub(crate) fn of(bytes: &[u8]) -> Option<Layers> {
        let ethernet = Ethernet::parse(bytes)?;
        let network = ethernet.payload_at();
        let (version, protocol, transport) = match ethernet.ethertype() {
            IPV4 => ipv4(bytes, network)?,
            IPV6 => ipv6(bytes, network)?,
            _ => return None,
        };
        let (protocol, payload) = match protocol {
            6 => {
                let words = usize::from(bytes.get(transport + 12)? >> 4);
                (Transport::Tcp, transport + 4 * (words >= 5).then_some(words)?)
            }
            17 => (Transport::Udp, transport + 8),
            _ => return None,
        };
        let whole = payload <= bytes.len() && payload <= LONGEST_HEADERS;
        whole.then_some(Layers {
            version,
            protocol,
            network,
            transport,
            payload,
        })
    }

    /// The headers of a super-frame of this type with `total` octets of payload. `None` where they are not understood,
    /// are of another type, or say another length.
    pub(crate) fn of_super_frame(bytes: &[u8], segmentation: u8, total: usize) -> Option<Layers> {
        let layers = Layers::of(bytes)?;
        let fits = match (layers.version, layers.protocol) {
            (Version::V4, Transport::Tcp) => segmentation & !ECN == TCP4,
            (Version::V6, Transport::Tcp) => segmentation & !ECN == TCP6,
            (_, Transport::Udp) => segmentation == UDP,
        };
        let end = layers.payload + total;
        let network_len = match layers.version {
            Version::V4 => usize::from(number(bytes, layers.network + 2)?),
            Version::V6 => usize::from(number(bytes, layers.network + 4)?) + 40,
        };
        let transport_len = match layers.protocol {
            Transport::Tcp => end - layers.transport,
            Transport::Udp => usize::from(number(bytes, layers.transport + 4)?),
        };
        let lengths = layers.network + network_len == end && layers.transport + transport_len == end;
        (fits && lengths).then_some(layers)
    }

    /// Where the payload begins: how long the headers are.
    pub(crate) fn payload(&self) -> usize {
        self.payload
    }

    /// Whether its payload may be cut only where a packet ends.
    pub(crate) fn is_udp(&self) -> bool {
        self.protocol == Transport::Udp
    }

    /// Where the checksum lies, from the beginning of the transport header.
    fn checksum_offset(&self) -> usize {
        match self.protocol {
            Transport::Tcp => 16,
            Transport::Udp => 6,
        }
    }

    /// Whether this is how the checksum is left to the device.
    pub(crate) fn agrees_with(&self, offload: Offload) -> bool {
        usize::from(offload.checksum_start) == self.transport
            && usize::from(offload.checksum_offset) == self.checksum_offset()
    }

    /// What is left to the device of a frame with these headers that carries `len` octets of a super-frame's payload.
    pub(crate) fn offload(&self, segmentation: u8, part: Part) -> Offload {
        let many = part.len > part.segment_size;
        let segmentation = if part.offset > 0 {
            segmentation & !ECN
        } else {
            segmentation
        };
        Offload {
            flags: NEEDS_CHECKSUM,
            segmentation: if many { segmentation } else { 0 },
            // No number here is more than LONGEST_HEADERS or came from 16 bits.
            header_len: if many { self.payload as u16 } else { 0 },
            segment_size: if many { part.segment_size as u16 } else { 0 },
            checksum_start: self.transport as u16,
            checksum_offset: self.checksum_offset() as u16,
        }
    }

    /// Whether two frames belong to one flow: same addresses, tags, ports.
    pub(crate) fn same_flow(&self, mine: &[u8], other: &Layers, theirs: &[u8]) -> bool {
        self.version == other.version
            && self.protocol == other.protocol
            && self.flow(mine) == other.flow(theirs)
    }

    fn flow<'a>(&self, bytes: &'a [u8]) -> Option<[&'a [u8]; 3]> {
        let addresses = match self.version {
            Version::V4 => self.network + 12..self.network + 20,
            Version::V6 => self.network + 8..self.network + 40,
        };
        Some([
            bytes.get(..self.network)?,
            bytes.get(addresses)?,
            bytes.get(self.transport..self.transport + 4)?,
        ])
    }

    /// Makes the headers of the whole, with which `frame` begins, those of a part of it: lengths, identification, sequence
    /// number, flags, IPv4's checksum, and the part of the transport's checksum that tells the length.
    pub(crate) fn narrow(&self, frame: &mut [u8], part: Part) {
        let end = self.payload + part.len;
        let is_last = part.offset + part.len >= part.total;
        let (network, transport) = (self.network, self.transport);
        match self.version {
            Version::V4 => {
                // Each packet of the whole has a number of its own. Where a part begins inside one, the next is taken.
                let packets = part.offset.div_ceil(part.segment_size.max(1));
                let id = number(frame, network + 4)
                    .unwrap_or(0)
                    .wrapping_add(packets as u16);
                put(frame, network + 2, &((end - network) as u16).to_be_bytes());
                put(frame, network + 4, &id.to_be_bytes());
                put(frame, network + 10, &[0, 0]);
                let checksum = !checksum::sum(frame.get(network..self.header_end(frame)).unwrap_or(&[]));
                put(frame, network + 10, &checksum.to_be_bytes());
            }
            Version::V6 => put(frame, network + 4, &((end - network - 40) as u16).to_be_bytes()),
        }
        match self.protocol {
            Transport::Tcp => {
                let sequence = long_number(frame, transport + 4)
                    .unwrap_or(0)
                    .wrapping_add(part.offset as u32);
                put(frame, transport + 4, &sequence.to_be_bytes());
                let first = if part.offset > 0 { CWR } else { 0 };
                let last = if is_last { 0 } else { FIN | PSH };
                if let Some(flags) = frame.get_mut(transport + 13) {
                    *flags &= !(first | last);
                }
            }
            Transport::Udp => put(frame, transport + 4, &((8 + part.len) as u16).to_be_bytes()),
        }
        // The field holds the sum of the pseudo-header, of which only the length changes (RFC 1624).
        let before = (self.payload + part.total - transport) as u16;
        let after = (end - transport) as u16;
        let field = transport + self.checksum_offset();
        let sum = checksum::add(number(frame, field).unwrap_or(0), checksum::add(!before, after));
        put(frame, field, &sum.to_be_bytes());
    }

    /// Where IPv4's header ends.
    fn header_end(&self, frame: &[u8]) -> usize {
        self.network + 4 * usize::from(frame.get(self.network).map_or(5, |first| first & 15))
    }
}

fn ipv4(bytes: &[u8], at: usize) -> Option<(Version, u8, usize)> {
    let (protocol, end) = ipv4_header(bytes, at)?;
    let fragment = number(bytes, at + 6)? & 0x3fff;
    (fragment == 0).then_some((Version::V4, protocol, end))
}

/// What follows on a header of IPv4, and where.
fn ipv4_header(bytes: &[u8], at: usize) -> Option<(u8, usize)> {
    let first = *bytes.get(at)?;
    let header = 4 * usize::from(first & 15);
    let protocol = *bytes.get(at + 9)?;
    (first >> 4 == 4 && header >= 20).then_some((protocol, at + header))
}

fn ipv6(bytes: &[u8], at: usize) -> Option<(Version, u8, usize)> {
    if bytes.get(at)? >> 4 != 6 {
        return None;
    }
    let mut next = *bytes.get(at + 6)?;
    let mut transport = at + 40;
    for _ in 0..MOST_EXTENSIONS {
        // Hop-by-hop options, routing header, destination options (RFC 8200 section 4).
        if !matches!(next, 0 | 43 | 60) {
            return Some((Version::V6, next, transport));
        }
        next = *bytes.get(transport)?;
        transport += 8 * (usize::from(*bytes.get(transport + 1)?) + 1);
    }
    None
}

/// What is left to the device of a frame that is `len` octets long, with nothing in it that does not matter. `None` where it
/// does not make sense, and no device should see it.
pub(crate) fn sane(offload: Offload, len: usize) -> Option<Offload> {
    let start = usize::from(offload.checksum_start);
    let checked = offload.flags & NEEDS_CHECKSUM != 0;
    if checked && (start < 14 || start + usize::from(offload.checksum_offset) + 2 > len) {
        return None;
    }
    let whole = if checked {
        Offload {
            flags: NEEDS_CHECKSUM,
            checksum_start: offload.checksum_start,
            checksum_offset: offload.checksum_offset,
            ..Offload::default()
        }
    } else {
        Offload::default()
    };
    if offload.segmentation == 0 {
        return Some(whole);
    }
    let known = matches!(offload.segmentation & !ECN, TCP4 | TCP6) || offload.segmentation == UDP;
    let good = known && checked && offload.segment_size > 0;
    good.then_some(Offload {
        segmentation: offload.segmentation,
        segment_size: offload.segment_size,
        header_len: offload.header_len.min(len.min(65_535) as u16),
        ..whole
    })
}

/// Whether what the device does to the frame leaves alone what it says of its sender's addresses. A checksum is written where
/// the frame says, so the place must lie behind the headers that have addresses in them; what is to be cut must say of itself
/// that it is what it is said to be. Tunnels are let pass: the checksum inside them lies further behind.
pub(crate) fn spares_sender(frame: &Ethernet<'_>, offload: Offload) -> bool {
    if offload.flags & NEEDS_CHECKSUM == 0 {
        return true;
    }
    let bytes = frame.bytes();
    if offload.segmentation != 0 {
        return Layers::of(bytes).is_some_and(|layers| layers.agrees_with(offload));
    }
    let network = frame.payload_at();
    let (start, offset) = (usize::from(offload.checksum_start), offload.checksum_offset);
    match frame.ethertype() {
        // ARP has no checksum, nor has what begins with a length; and SNAP might have a packet behind it.
        ARP | 0..=LONGEST_LENGTH => false,
        IPV4 => ipv4_header(bytes, network).is_some_and(|(_, end)| start >= end),
        IPV6 => ipv6(bytes, network).is_some_and(|(_, next, end)| match next {
            // The address that a neighbour tells of lies behind this header.
            ICMPV6 => start == end && offset == 2,
            _ => start >= end,
        }),
        kind => start >= network && !is_tag(kind),
    }
}
