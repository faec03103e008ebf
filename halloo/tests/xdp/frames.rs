//! Frames as a peer would send them, made without any of halloo's own code.

use halloo_base::Marks;
use halloo_io::{Xdp, XdpOutcome};
use std::net::{IpAddr, SocketAddr};

pub(crate) const OUR_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
pub(crate) const PEER_MAC: [u8; 6] = [2, 0, 0, 0, 0, 9];
pub(crate) const OUR_V4: &str = "198.51.100.1";
pub(crate) const OUR_V6: &str = "2001:db8:1::1";

/// How the UDP checksum is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sum {
    /// As it should be.
    Whole,
    /// What a stack leaves to the device: the sum of the addresses, not inverted.
    Partial,
    /// None.
    None,
    /// Not that of this datagram.
    Wrong,
}

/// A UDP datagram, its fields for the tests to bend.
#[derive(Clone)]
pub(crate) struct Udp {
    pub(crate) from: SocketAddr,
    pub(crate) to: SocketAddr,
    pub(crate) tos: u8,
    pub(crate) ttl: u8,
    pub(crate) sum: Sum,
    pub(crate) payload: Vec<u8>,
}

impl Udp {
    pub(crate) fn new(from: &str, payload: &[u8]) -> Udp {
        let from: SocketAddr = from.parse().expect("an address");
        let ours = if from.is_ipv4() { OUR_V4 } else { OUR_V6 };
        Udp {
            from,
            to: SocketAddr::new(ours.parse().expect("an address"), 7777),
            tos: 0xb8,
            ttl: 63,
            sum: Sum::Whole,
            payload: payload.to_vec(),
        }
    }

    pub(crate) fn frame(&self) -> Vec<u8> {
        framed(OUR_MAC, PEER_MAC, &self.datagram())
    }

    fn marks(&self) -> Marks {
        Marks {
            tos: self.tos,
            ttl: Some(self.ttl),
        }
    }

    fn datagram(&self) -> Vec<u8> {
        let length = (8 + self.payload.len()) as u16;
        let mut udp = [self.from.port().to_be_bytes(), self.to.port().to_be_bytes()].concat();
        udp.extend(length.to_be_bytes());
        udp.extend([0, 0]);
        udp.extend(&self.payload);
        let pseudo = pseudo_sum(self.from.ip(), self.to.ip(), 17, length);
        let whole = !sum(&[&pseudo.to_be_bytes()[..], &udp].concat());
        let sent = match self.sum {
            Sum::Whole => {
                if whole == 0 {
                    0xffff
                } else {
                    whole
                }
            }
            Sum::Partial => pseudo,
            Sum::None => 0,
            Sum::Wrong => whole ^ 0x0101,
        };
        udp[6..8].copy_from_slice(&sent.to_be_bytes());
        let mut datagram = self.header(udp.len() as u16);
        datagram.extend(udp);
        datagram
    }

    fn header(&self, length: u16) -> Vec<u8> {
        let mut header = match self.from {
            SocketAddr::V4(_) => {
                let mut header = vec![0x45, self.tos];
                header.extend((20 + length).to_be_bytes());
                header.extend([0x12, 0x34, 0, 0, self.ttl, 17, 0, 0]);
                header
            }
            SocketAddr::V6(_) => {
                let mut header = vec![0x60 | self.tos >> 4, self.tos << 4, 0, 0];
                header.extend(length.to_be_bytes());
                header.extend([17, self.ttl]);
                header
            }
        };
        header.extend(octets(self.from.ip()));
        header.extend(octets(self.to.ip()));
        if self.from.is_ipv4() {
            seal(&mut header);
        }
        header
    }

    /// Checks that `frame` is an answer to this one, as this host's own stack would send it, and returns its payload.
    pub(crate) fn answer<'a>(&self, frame: &'a [u8]) -> &'a [u8] {
        let (payload, headers) = (
            &frame[frame.len() - self.payload.len()..],
            frame.len() - self.payload.len(),
        );
        let checksum = u16::from_be_bytes([frame[headers - 2], frame[headers - 1]]);
        let mut expected = Udp {
            from: self.to,
            to: self.from,
            tos: self.marks().of_answer(),
            ttl: 64,
            sum: self.sum,
            payload: payload.to_vec(),
        };
        if self.sum == Sum::Wrong {
            // What was wrong stays as wrong as it was: nobody takes it for right.
            expected.sum = Sum::Whole;
        }
        let mut expected = framed(PEER_MAC, OUR_MAC, &expected.datagram());
        if self.from.is_ipv4() {
            // A datagram that fits needs no fragments; its number stays.
            expected[20] = 0x40;
            seal(&mut expected[14..]);
        }
        if self.sum == Sum::Wrong {
            expected[headers - 2..headers].copy_from_slice(&checksum.to_be_bytes());
        }
        assert_eq!(frame, expected, "{self:?}");
        payload
    }
}

impl std::fmt::Debug for Udp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Udp {
            from,
            to,
            sum,
            payload,
            ..
        } = self;
        write!(f, "{} octets {from} -> {to}, checksum {sum:?}", payload.len())
    }
}

/// A frame around an IP datagram.
pub(crate) fn framed(to: [u8; 6], from: [u8; 6], datagram: &[u8]) -> Vec<u8> {
    let kind: [u8; 2] = match datagram.first().map(|first| first >> 4) {
        Some(6) => [0x86, 0xdd],
        _ => [8, 0],
    };
    [&to[..], &from, &kind, datagram].concat()
}

/// Computes the checksum of an IPv4 header without options anew.
pub(crate) fn seal(datagram: &mut [u8]) {
    datagram[10..12].fill(0);
    let sum = !sum(&datagram[..20]);
    datagram[10..12].copy_from_slice(&sum.to_be_bytes());
}

/// The sum over addresses, protocol and length that a TCP or UDP checksum has in it.
pub(crate) fn pseudo_sum(from: IpAddr, to: IpAddr, protocol: u8, length: u16) -> u16 {
    let rest = [[0, protocol], length.to_be_bytes()].concat();
    sum(&[octets(from), octets(to), rest].concat())
}

/// The answer that the program gives to a frame; `None` if it passes it up.
pub(crate) fn answer(program: &Xdp, frame: &[u8]) -> Option<Vec<u8>> {
    match program.try_on(frame).expect("the program runs") {
        XdpOutcome::Answered(answer) => Some(answer),
        XdpOutcome::Passed => None,
        XdpOutcome::Dropped => panic!("it was dropped"),
    }
}

fn octets(ip: IpAddr) -> Vec<u8> {
    match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    }
}

/// The ones' complement sum (RFC 1071).
fn sum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks(2);
    let mut sum: u32 = words
        .map(|pair| u32::from(pair[0]) << 8 | u32::from(pair.get(1).copied().unwrap_or(0)))
        .sum();
    while sum > 0xffff {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    sum as u16
}
