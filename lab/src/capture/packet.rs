//! What is in a captured frame, as far as tests ask.

use halloo_base::Wall;
use std::net::{IpAddr, SocketAddr};

const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;
const TCP: u8 = 6;
const UDP: u8 = 17;

/// IPv6 extension headers that only stand before what is meant (RFC 8200 section 4): hop-by-hop, routing,
/// destination options.
const PASSED_OVER: [u8; 3] = [0, 43, 60];
const FRAGMENT: u8 = 44;

/// One captured frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// When the kernel saw it.
    pub at: Wall,
    /// Whether the captured host sent it; otherwise it received it.
    pub outgoing: bool,
    /// The Ethernet frame without its check sequence.
    pub frame: Vec<u8>,
}

/// An IP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ip<'a> {
    /// Who sent it.
    pub source: IpAddr,
    /// Whom it is for.
    pub destination: IpAddr,
    /// TTL or hop limit.
    pub ttl: u8,
    /// TOS or traffic class: DSCP and ECN.
    pub tos: u8,
    /// Whether routers must not fragment it. IPv6 routers never do.
    pub dont_fragment: bool,
    /// What the payload is, by its IANA number. `None` for a fragment other than the first.
    pub protocol: Option<u8>,
    /// What follows the IP headers.
    pub payload: &'a [u8],
}

/// A UDP datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Udp<'a> {
    /// The IP packet around it.
    pub ip: Ip<'a>,
    /// Who sent it.
    pub source: SocketAddr,
    /// Whom it is for.
    pub destination: SocketAddr,
    /// Its bytes.
    pub payload: &'a [u8],
}

/// A TCP segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tcp<'a> {
    /// The IP packet around it.
    pub ip: Ip<'a>,
    /// Who sent it.
    pub source: SocketAddr,
    /// Whom it is for.
    pub destination: SocketAddr,
    /// The number of its first byte.
    pub sequence: u32,
    /// The number of the next byte that its sender expects.
    pub acknowledgement: u32,
    /// Its flags as on the wire, see [`Tcp::FIN`] and the others.
    pub flags: u8,
    /// Its bytes.
    pub payload: &'a [u8],
}

impl Tcp<'_> {
    /// The sender is done.
    pub const FIN: u8 = 0x01;
    /// The connection begins.
    pub const SYN: u8 = 0x02;
    /// The connection is aborted.
    pub const RST: u8 = 0x04;
    /// To be handed to the application at once.
    pub const PSH: u8 = 0x08;
    /// The acknowledgement counts.
    pub const ACK: u8 = 0x10;
}

impl Packet {
    /// What the frame carries: `0x0800` IPv4, `0x86dd` IPv6, `0x0806` ARP.
    pub fn ethertype(&self) -> Option<u16> {
        Some(u16::from_be_bytes(array(&self.frame, 12)?))
    }

    /// The IP packet, if it is one, is whole and is not cut.
    pub fn ip(&self) -> Option<Ip<'_>> {
        Ip::of_frame(&self.frame)
    }

    /// The UDP datagram, if it is one.
    pub fn udp(&self) -> Option<Udp<'_>> {
        let ip = self.ip().filter(|ip| ip.protocol == Some(UDP))?;
        let (source, destination) = ip.endpoints()?;
        let len = usize::from(u16::from_be_bytes(array(ip.payload, 4)?));
        // A length beyond the packet is a segmentation offload's: then all of it is payload.
        let payload = ip.payload.get(8..len).or_else(|| ip.payload.get(8..))?;
        Some(Udp {
            ip,
            source,
            destination,
            payload,
        })
    }

    /// The TCP segment, if it is one.
    pub fn tcp(&self) -> Option<Tcp<'_>> {
        let ip = self.ip().filter(|ip| ip.protocol == Some(TCP))?;
        let (source, destination) = ip.endpoints()?;
        let header = usize::from(ip.payload.get(12)? >> 4) * 4;
        Some(Tcp {
            ip,
            source,
            destination,
            sequence: u32::from_be_bytes(array(ip.payload, 4)?),
            acknowledgement: u32::from_be_bytes(array(ip.payload, 8)?),
            flags: *ip.payload.get(13)?,
            payload: ip.payload.get(header..)?,
        })
    }
}

impl<'a> Ip<'a> {
    pub(crate) fn of_frame(frame: &'a [u8]) -> Option<Ip<'a>> {
        let packet = frame.get(14..)?;
        match u16::from_be_bytes(array(frame, 12)?) {
            IPV4 => Ip::parse_v4(packet),
            IPV6 => Ip::parse_v6(packet),
            _ => None,
        }
    }

    fn parse_v4(packet: &'a [u8]) -> Option<Ip<'a>> {
        let header = usize::from(packet.first()? & 0x0f) * 4;
        let total = usize::from(u16::from_be_bytes(array(packet, 2)?));
        let fragment = u16::from_be_bytes(array(packet, 6)?);
        let is_first = fragment & 0x1fff == 0;
        Some(Ip {
            source: IpAddr::from(array::<4>(packet, 12)?),
            destination: IpAddr::from(array::<4>(packet, 16)?),
            ttl: *packet.get(8)?,
            tos: *packet.get(1)?,
            dont_fragment: fragment & 0x4000 != 0,
            protocol: if is_first { Some(*packet.get(9)?) } else { None },
            payload: packet.get(header..total)?,
        })
    }

    fn parse_v6(packet: &'a [u8]) -> Option<Ip<'a>> {
        let total = 40 + usize::from(u16::from_be_bytes(array(packet, 4)?));
        let (protocol, payload) = skip_extensions(*packet.get(6)?, packet.get(40..total)?)?;
        Some(Ip {
            source: IpAddr::from(array::<16>(packet, 8)?),
            destination: IpAddr::from(array::<16>(packet, 24)?),
            ttl: *packet.get(7)?,
            tos: (u16::from_be_bytes(array(packet, 0)?) >> 4) as u8,
            dont_fragment: true,
            protocol,
            payload,
        })
    }

    /// Both ends, of a protocol that begins with its ports as UDP and TCP do.
    fn endpoints(&self) -> Option<(SocketAddr, SocketAddr)> {
        let source = u16::from_be_bytes(array(self.payload, 0)?);
        let destination = u16::from_be_bytes(array(self.payload, 2)?);
        Some((
            SocketAddr::new(self.source, source),
            SocketAddr::new(self.destination, destination),
        ))
    }
}

fn skip_extensions(mut next: u8, mut rest: &[u8]) -> Option<(Option<u8>, &[u8])> {
    loop {
        if PASSED_OVER.contains(&next) {
            let len = (usize::from(*rest.get(1)?) + 1) * 8;
            (next, rest) = (*rest.first()?, rest.get(len..)?);
        } else if next == FRAGMENT {
            let is_first = u16::from_be_bytes(array(rest, 2)?) & 0xfff8 == 0;
            if !is_first {
                return Some((None, rest.get(8..)?));
            }
            (next, rest) = (*rest.first()?, rest.get(8..)?);
        } else {
            return Some((Some(next), rest));
        }
    }
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at + N)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 10.0.0.1:5 -> 10.0.0.2:7, TOS 0xb8, TTL 63, payload "hi", padded to Ethernet's 60 bytes.
    fn frame_v4() -> Vec<u8> {
        let mut frame = vec![0; 12];
        frame.extend([0x08, 0x00]);
        frame.extend([
            0x45, 0xb8, 0, 30, 0, 0, 0x40, 0, 63, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2,
        ]);
        frame.extend([0, 5, 0, 7, 0, 10, 0, 0, b'h', b'i']);
        frame.resize(60, 0);
        frame
    }

    fn packet(frame: Vec<u8>) -> Packet {
        Packet {
            at: Wall(0),
            outgoing: false,
            frame,
        }
    }

    #[test]
    fn a_datagram_is_read_without_ethernets_padding() {
        let packet = packet(frame_v4());
        let udp = packet.udp().unwrap();
        assert_eq!(udp.source, "10.0.0.1:5".parse().unwrap());
        assert_eq!(udp.destination, "10.0.0.2:7".parse().unwrap());
        assert_eq!((udp.ip.ttl, udp.ip.tos, udp.ip.dont_fragment), (63, 0xb8, true));
        assert_eq!(udp.payload, b"hi");
        assert_eq!(packet.tcp(), None);
    }

    #[test]
    fn a_cut_frame_is_no_datagram_at_any_length() {
        let whole = frame_v4();
        for len in 0..14 + 30 {
            assert_eq!(packet(whole[..len].to_vec()).udp(), None, "{len}");
        }
    }

    #[test]
    fn a_later_fragment_has_no_ports() {
        let mut frame = frame_v4();
        frame[14 + 7] = 1;
        let packet = packet(frame);
        assert_eq!(packet.ip().unwrap().protocol, None);
        assert_eq!(packet.udp(), None);
    }

    #[test]
    fn extension_headers_are_passed_over() {
        let mut frame = vec![0; 12];
        frame.extend([0x86, 0xdd, 0x6b, 0x80, 0, 0, 0, 18, 0, 64]);
        frame.extend([0; 15]);
        frame.push(1);
        frame.extend([0; 15]);
        frame.push(2);
        frame.extend([UDP, 0, 0, 0, 0, 0, 0, 0]);
        frame.extend([0, 5, 0, 7, 0, 10, 0, 0, b'h', b'i']);
        let packet = packet(frame);
        let udp = packet.udp().unwrap();
        assert_eq!(udp.source, "[::1]:5".parse().unwrap());
        assert_eq!((udp.ip.tos, udp.ip.ttl, udp.payload), (0xb8, 64, &b"hi"[..]));
    }
}
