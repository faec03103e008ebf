//! What arrives: datagrams and frames, with the path they came by.

use crate::Stamp;
use std::fmt;
use std::net::SocketAddr;

/// A link by the interface index that the kernel gives it; 0 where routing chooses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct LinkId(pub u32);

/// Both ends of a datagram and the link it used. A reply travels on the path its request came by.
///
/// Protocols without ports (IP echo) use port 0. A wildcard `local` address lets routing choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Path {
    /// The interface it arrived on or is to leave by.
    pub link: LinkId,
    /// Our end: the destination of what arrived, the source of what leaves.
    pub local: SocketAddr,
    /// Their end.
    pub remote: SocketAddr,
}

/// The one form of an address that all others can be compared with: an IPv4 address as such, though a socket for both has it inside
/// IPv6 (RFC 4291 section 2.5.5.2), and an IPv6 address without what is not on the wire, scope and flow.
pub fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// What the IP header said beside the addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Marks {
    /// DSCP (upper six bits) and ECN (lower two) as received: the TOS or traffic class octet.
    pub tos: u8,
    /// TTL or hop limit as received, where the kernel told.
    pub ttl: Option<u8>,
}

impl Marks {
    /// The TOS or traffic class octet of an answer to a datagram with these marks: the same, so that the way back treats it
    /// alike and shows what it does to it. Only congestion is not handed on: what arrived with CE leaves as ECT(0).
    pub fn of_answer(&self) -> u8 {
        const CE: u8 = 3;
        const ECT_0: u8 = 2;
        if self.tos & CE == CE {
            self.tos & !CE | ECT_0
        } else {
            self.tos
        }
    }
}

/// One datagram as it was received.
#[derive(Clone, Copy, Debug)]
pub struct Datagram<'a> {
    /// The path it came by.
    pub path: Path,
    /// When it was received; the kernel's stamp where there is one.
    pub at: Stamp,
    /// What the IP header said.
    pub marks: Marks,
    /// The transport payload. From a device that carries IP itself (a TUN): the whole IP datagram. From a raw IPv4
    /// socket: the whole IP datagram too; from a raw IPv6 socket: what follows the IPv6 header (raw(7), RFC 3542).
    pub payload: &'a [u8],
    /// What is left to do before the payload could be on a wire; nothing but for devices.
    pub offload: Offload,
}

/// One Ethernet frame as it was received, without its check sequence.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// The device it came in on.
    pub link: LinkId,
    /// When it was received.
    pub at: Stamp,
    /// Destination, source, type and payload (IEEE 802.3 section 3.1.1).
    pub bytes: &'a [u8],
    /// What is left to do before the frame could be on a wire.
    pub offload: Offload,
}

/// What a network stack left to the device: a transport checksum to fill in, and a packet to cut into segments. A
/// packet that is passed on with the offload it came with needs no work of ours. The default is nothing at all.
///
/// The fields are those of `struct virtio_net_hdr` (VIRTIO 1.2 section 5.1.6), offsets counted from the packet's first
/// byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Offload {
    /// `VIRTIO_NET_HDR_F_*`: 1 where the checksum is to be filled in, 2 where it was found right.
    pub flags: u8,
    /// `VIRTIO_NET_HDR_GSO_*`: how to cut; 0 for not at all.
    pub segmentation: u8,
    /// How many bytes of headers each segment repeats; a hint.
    pub header_len: u16,
    /// How many payload bytes a segment carries.
    pub segment_size: u16,
    /// Where the checksum's coverage begins.
    pub checksum_start: u16,
    /// Where behind that the checksum is written.
    pub checksum_offset: u16,
}

impl Offload {
    /// How many packets this one stands for, when it is `len` bytes long: at least one.
    ///
    /// The length of the headers is a hint only, and some kernels put the whole packet there. Where the hint cannot be
    /// right, the shortest transport header (UDP's) is taken, which counts at most one too many.
    pub fn packets(&self, len: usize) -> usize {
        let transport = usize::from(self.checksum_start);
        let hint = usize::from(self.header_len);
        let headers = if transport > 0 && hint > transport + Offload::LONGEST_TRANSPORT {
            transport + Offload::SHORTEST_TRANSPORT
        } else {
            hint
        };
        match (self.segmentation, usize::from(self.segment_size)) {
            (0, _) | (_, 0) => 1,
            (_, size) => len.saturating_sub(headers).div_ceil(size).max(1),
        }
    }

    /// A UDP header.
    const SHORTEST_TRANSPORT: usize = 8;
    /// A TCP header full of options.
    const LONGEST_TRANSPORT: usize = 60;
}

impl fmt::Display for LinkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} -> {}", self.local, self.remote)?;
        if self.link != LinkId::default() {
            write!(f, " by {}", self.link)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_end_has_one_form() {
        let at = |text: &str| text.parse::<SocketAddr>().unwrap();
        for (form, canonical_form) in [
            ("192.0.2.1:7", "192.0.2.1:7"),
            ("[::ffff:192.0.2.1]:7", "192.0.2.1:7"),
            ("[fe80::1%3]:7", "[fe80::1]:7"),
            ("[2001:db8::1]:7", "[2001:db8::1]:7"),
            // Not that of a socket for both, but an address of its own (RFC 4291 section 2.5.5.1).
            ("[::192.0.2.1]:7", "[::192.0.2.1]:7"),
        ] {
            assert_eq!(canonical(at(form)), at(canonical_form), "{form}");
        }
        assert_ne!(canonical(at("192.0.2.1:7")), canonical(at("192.0.2.1:8")));
    }

    #[test]
    fn an_answer_has_the_marks_of_its_request_but_no_congestion() {
        for (tos, answer) in [
            (0, 0),
            (0xb8, 0xb8),
            (0xb9, 0xb9),
            (0xba, 0xba),
            (0xbb, 0xba),
            (3, 2),
        ] {
            assert_eq!(Marks { tos, ttl: None }.of_answer(), answer);
        }
    }

    #[test]
    fn a_packet_that_waits_to_be_cut_counts_for_its_segments() {
        let whole = Offload::default();
        assert_eq!(whole.packets(1500), 1);
        let cut = Offload {
            segmentation: 1,
            header_len: 40,
            segment_size: 1460,
            ..whole
        };
        assert_eq!(cut.packets(40 + 3 * 1460), 3);
        assert_eq!(cut.packets(40 + 3 * 1460 + 1), 4);
        assert_eq!(cut.packets(12), 1);
        let whole_packet_as_header = Offload {
            header_len: 4_408,
            checksum_start: 20,
            segment_size: 1_460,
            ..cut
        };
        assert_eq!(whole_packet_as_header.packets(28 + 3 * 1460), 3);
    }
}
