//! The bytes, and the prober between a host that answers and a network that does not.

mod prober;
mod wire;

use super::{Echo, Family, HEADER, Kind};

/// A message that somebody else wrote, and what it says.
pub(super) struct Vector {
    pub(super) family: Family,
    pub(super) message: &'static [u8],
    pub(super) echo: Echo,
    pub(super) data: &'static [u8],
}

/// Messages that Scapy 2.5 made, the ICMPv6 ones between 2001:db8::1 and 2001:db8::2.
pub(super) const VECTORS: [Vector; 5] = [
    Vector {
        family: Family::V4,
        message: b"\x08\x00\xed\x23\x12\x34\x00\x07halloo, anyone?",
        echo: echo(Kind::Request, 0x1234, 7),
        data: b"halloo, anyone?",
    },
    Vector {
        family: Family::V4,
        message: b"\x00\x00\xf5\x23\x12\x34\x00\x07halloo, anyone?",
        echo: echo(Kind::Reply, 0x1234, 7),
        data: b"halloo, anyone?",
    },
    Vector {
        family: Family::V4,
        message: b"\x08\x00\xf7\xff\0\0\0\0",
        echo: echo(Kind::Request, 0, 0),
        data: b"",
    },
    Vector {
        family: Family::V6,
        message: b"\x80\x00\x22\x47\xff\xfe\xff\xff\x00\xff\x01",
        echo: echo(Kind::Request, 0xfffe, 0xffff),
        data: b"\x00\xff\x01",
    },
    Vector {
        family: Family::V6,
        message: b"\x81\x00\x21\x47\xff\xfe\xff\xff\x00\xff\x01",
        echo: echo(Kind::Reply, 0xfffe, 0xffff),
        data: b"\x00\xff\x01",
    },
];

pub(super) const fn echo(kind: Kind, identifier: u16, sequence: u16) -> Echo {
    Echo {
        kind,
        identifier,
        sequence,
    }
}

/// Both, for what holds over either.
pub(super) const FAMILIES: [Family; 2] = [Family::V4, Family::V6];

/// What a host answers to a request (RFC 1122 section 3.2.2.6, RFC 4443 section 4.2): identifier, sequence number and data
/// as they came. The checksum is right over IPv4; over IPv6 it is the kernel's affair.
pub(super) fn answer(request: &[u8], family: Family) -> Vec<u8> {
    let mut reply = request.to_vec();
    reply[0] = match family {
        Family::V4 => 0,
        Family::V6 => 129,
    };
    seal(&mut reply, family);
    reply
}

/// Makes the checksum right.
pub(super) fn seal(message: &mut [u8], family: Family) {
    message[2..4].fill(0);
    if family == Family::V4 && message.len() >= HEADER {
        let words = message
            .chunks(2)
            .map(|pair| u32::from(pair[0]) << 8 | u32::from(pair.get(1).copied().unwrap_or(0)));
        let sum: u32 = words.sum();
        let folded = (sum & 0xffff) + (sum >> 16);
        let checksum = !((folded & 0xffff) + (folded >> 16)) as u16;
        message[2..4].copy_from_slice(&checksum.to_be_bytes());
    }
}
