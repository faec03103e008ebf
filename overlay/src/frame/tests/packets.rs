//! Frames for tests, and an eye for what is wrong with one that is finished.

use super::super::layers::{ECN, NEEDS_CHECKSUM, TCP4, TCP6, UDP};
use halloo_base::Offload;

/// What kind of packet to make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) v6: bool,
    pub(crate) udp: bool,
    pub(crate) ecn: bool,
    /// VLAN tags in front of the type.
    pub(crate) tags: u8,
    /// Words of TCP options, or of IPv6 hop-by-hop options where it is UDP.
    pub(crate) options: u8,
    /// Tells one flow from another.
    pub(crate) port: u16,
    pub(crate) size: u16,
}

impl Shape {
    pub(crate) const TCP4: Shape = Shape {
        v6: false,
        udp: false,
        ecn: false,
        tags: 0,
        options: 3,
        port: 5_001,
        size: 1_448,
    };
    pub(crate) const UDP4: Shape = Shape {
        udp: true,
        size: 1_200,
        ..Shape::TCP4
    };
}

/// Payload that is never the same twice in a row.
pub(crate) fn payload(len: usize, seed: u8) -> Vec<u8> {
    (0..len)
        .map(|at| (at as u8).wrapping_mul(31) ^ (at >> 8) as u8 ^ seed)
        .collect()
}

/// A super-frame as a device gives it.
pub(crate) fn super_frame(shape: Shape, payload: &[u8]) -> (Vec<u8>, Offload) {
    let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1];
    for tag in 0..shape.tags {
        let kind = if tag + 1 == shape.tags {
            [0x81, 0x00]
        } else {
            [0x88, 0xa8]
        };
        frame.extend(kind);
        frame.extend([0x20, 7 + tag]);
    }
    let extension = if shape.v6 && shape.udp && shape.options > 0 {
        8
    } else {
        0
    };
    let transport = if shape.udp {
        8
    } else {
        20 + 4 * usize::from(shape.options)
    };
    let len = transport + payload.len();
    let protocol = if shape.udp { 17 } else { 6 };
    let pseudo;
    if shape.v6 {
        frame.extend([0x86, 0xdd, 0x60, 0, 0, 0]);
        frame.extend(((len + extension) as u16).to_be_bytes());
        frame.push(if extension > 0 { 0 } else { protocol });
        frame.push(64);
        frame.extend([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
        frame.extend([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]);
        pseudo = frame[frame.len() - 32..].to_vec();
        if extension > 0 {
            frame.extend([protocol, 0, 1, 4, 0, 0, 0, 0]);
        }
    } else {
        let mut header = vec![0x45, 0];
        header.extend(((20 + len) as u16).to_be_bytes());
        header.extend([0xff, 0xfe, 0x40, 0, 64, protocol, 0, 0]);
        header.extend([192, 0, 2, 1, 192, 0, 2, 2]);
        let checksum = !slow_sum(&header);
        header[10..12].copy_from_slice(&checksum.to_be_bytes());
        pseudo = header[12..20].to_vec();
        frame.extend([0x08, 0x00]);
        frame.extend(header);
    }
    let start = frame.len();
    frame.extend(shape.port.to_be_bytes());
    frame.extend(9u16.to_be_bytes());
    let sum = slow_sum(&[&pseudo[..], &[0, protocol], &(len as u16).to_be_bytes()].concat());
    if shape.udp {
        frame.extend((len as u16).to_be_bytes());
        frame.extend(sum.to_be_bytes());
    } else {
        frame.extend(0xffff_ff00u32.to_be_bytes());
        frame.extend([0, 0, 0, 9]);
        let flags = 0x19 | if shape.ecn { 0x80 } else { 0 };
        frame.extend([(5 + shape.options) << 4, flags, 1, 0]);
        frame.extend(sum.to_be_bytes());
        frame.extend([0, 0]);
        frame.resize(start + transport, 1);
    }
    let header_len = frame.len() as u16;
    frame.extend(payload);
    let segmentation = match (shape.udp, shape.v6) {
        (true, _) => UDP,
        (false, true) => TCP6 | if shape.ecn { ECN } else { 0 },
        (false, false) => TCP4 | if shape.ecn { ECN } else { 0 },
    };
    let offload = Offload {
        flags: NEEDS_CHECKSUM,
        segmentation,
        header_len,
        segment_size: shape.size,
        checksum_start: start as u16,
        checksum_offset: if shape.udp { 6 } else { 16 },
    };
    (frame, offload)
}

/// A frame that needs nothing.
pub(crate) fn plain(len: usize, seed: u8) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x88, 0xca];
    frame.extend(payload(len.saturating_sub(14), seed));
    frame
}

/// The sum of RFC 1071 as its section 4.1 has it: slow, and sure.
pub(crate) fn slow_sum(bytes: &[u8]) -> u16 {
    let mut sum: u32 = 0;
    for pair in bytes.chunks(2) {
        sum += u32::from(pair[0]) << 8 | u32::from(pair.get(1).copied().unwrap_or(0));
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

/// A finished TCP or UDP frame, taken apart by other means than those under test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) headers: Vec<u8>,
    pub(crate) id: Option<u16>,
    pub(crate) sequence: u32,
    pub(crate) flags: u8,
    pub(crate) payload: Vec<u8>,
}

/// Looks at a finished frame of this shape, and panics where a length or a checksum is wrong.
pub(crate) fn look(frame: &[u8], shape: Shape) -> Seen {
    let network = 14 + 4 * usize::from(shape.tags);
    let ip = &frame[network..];
    let (pseudo, transport, id) = if shape.v6 {
        let len = usize::from(u16::from_be_bytes([ip[4], ip[5]]));
        assert_eq!(len, ip.len() - 40, "IPv6's length");
        let extension = if ip[6] == 0 { 8 } else { 0 };
        (&ip[8..40], &ip[40 + extension..], None)
    } else {
        let len = usize::from(u16::from_be_bytes([ip[2], ip[3]]));
        assert_eq!(len, ip.len(), "IPv4's length");
        assert_eq!(slow_sum(&ip[..20]), 0xffff, "IPv4's checksum");
        (&ip[12..20], &ip[20..], Some(u16::from_be_bytes([ip[4], ip[5]])))
    };
    let protocol = if shape.udp { 17 } else { 6 };
    let len = (transport.len() as u16).to_be_bytes();
    let whole = [pseudo, &[0, protocol], &len, transport].concat();
    assert_eq!(slow_sum(&whole), 0xffff, "the transport's checksum");
    let header = if shape.udp {
        assert_eq!(transport[4..6], len, "UDP's length");
        8
    } else {
        usize::from(transport[12] >> 4) * 4
    };
    let at = frame.len() - transport.len() + header;
    Seen {
        headers: frame[..at].to_vec(),
        id,
        sequence: u32::from_be_bytes([transport[4], transport[5], transport[6], transport[7]]),
        flags: if shape.udp { 0 } else { transport[13] },
        payload: frame[at..].to_vec(),
    }
}
