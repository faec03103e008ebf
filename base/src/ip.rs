//! What every IP datagram says at its beginning: who it is from and to, and how far it may go.

use crate::{LinkId, Marks, Path};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The fixed part of an IPv4 or IPv6 header (RFC 791 section 3.1, RFC 8200 section 3), read and not judged:
/// checksum, options and extension headers are the business of whoever answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IpHeader {
    /// Who it says it is from.
    pub source: IpAddr,
    /// Where it is to go.
    pub destination: IpAddr,
    /// TOS or traffic class, and TTL or hop limit.
    pub marks: Marks,
    /// The protocol, or the next header behind the IPv6 header.
    pub protocol: u8,
    /// Bytes of the whole datagram, as its header has it; what follows is padding of the link.
    pub length: usize,
}

impl IpHeader {
    /// The header at the beginning of `datagram`; `None` if it is of another version, or shorter than the fixed part.
    pub fn parse(datagram: &[u8]) -> Option<IpHeader> {
        match datagram.first()? >> 4 {
            4 => v4(datagram.first_chunk()?),
            6 => v6(datagram.first_chunk()?),
            _ => None,
        }
    }

    /// The path of a datagram that came by `link`. There are no ports: which protocol has them is not known here.
    pub fn path(&self, link: LinkId) -> Path {
        Path {
            link,
            local: (self.destination, 0).into(),
            remote: (self.source, 0).into(),
        }
    }
}

fn v4(header: &[u8; 20]) -> Option<IpHeader> {
    Some(IpHeader {
        source: Ipv4Addr::from(octets(header, 12)?).into(),
        destination: Ipv4Addr::from(octets(header, 16)?).into(),
        marks: Marks {
            tos: header[1],
            ttl: Some(header[8]),
        },
        protocol: header[9],
        length: usize::from(u16::from_be_bytes([header[2], header[3]])),
    })
}

fn v6(header: &[u8; 40]) -> Option<IpHeader> {
    Some(IpHeader {
        source: Ipv6Addr::from(octets(header, 8)?).into(),
        destination: Ipv6Addr::from(octets(header, 24)?).into(),
        marks: Marks {
            tos: header[0] << 4 | header[1] >> 4,
            ttl: Some(header[7]),
        },
        protocol: header[6],
        length: header.len() + usize::from(u16::from_be_bytes([header[4], header[5]])),
    })
}

fn octets<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at + N)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const V4: [u8; 20] = [
        0x45, 0xb8, 0, 48, 1, 2, 0x40, 0, 63, 253, 0, 0, 192, 0, 2, 1, 198, 51, 100, 9,
    ];

    fn v6() -> [u8; 40] {
        let mut bytes = [0; 40];
        bytes[..8].copy_from_slice(&[0x6b, 0x81, 0x23, 0x45, 0, 8, 17, 64]);
        bytes[8..24].copy_from_slice(&"2001:db8::1".parse::<Ipv6Addr>().expect("an address").octets());
        bytes[24..].copy_from_slice(&"2001:db8::2".parse::<Ipv6Addr>().expect("an address").octets());
        bytes
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn both_versions_say_who_and_how_far() {
        let marks = |ttl| Marks {
            tos: 0xb8,
            ttl: Some(ttl),
        };
        let expected = IpHeader {
            source: ip("192.0.2.1"),
            destination: ip("198.51.100.9"),
            marks: marks(63),
            protocol: 253,
            length: 48,
        };
        assert_eq!(IpHeader::parse(&V4), Some(expected));
        let expected = IpHeader {
            source: ip("2001:db8::1"),
            destination: ip("2001:db8::2"),
            marks: marks(64),
            protocol: 17,
            length: 48,
        };
        assert_eq!(IpHeader::parse(&v6()), Some(expected));
    }

    #[test]
    fn the_destination_is_our_end_of_the_path() {
        let path = IpHeader::parse(&V4).expect("a header").path(LinkId(3));
        assert_eq!(path.to_string(), "198.51.100.9:0 -> 192.0.2.1:0 by #3");
    }

    #[test]
    fn what_is_cut_short_or_of_another_version_has_no_header() {
        for len in 0..20 {
            assert_eq!(IpHeader::parse(&V4[..len]), None, "{len}");
        }
        for len in 0..40 {
            assert_eq!(IpHeader::parse(&v6()[..len]), None, "{len}");
        }
        let mut other = V4;
        other[0] = 0x55;
        assert_eq!(IpHeader::parse(&other), None);
    }
}
