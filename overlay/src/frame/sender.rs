//! Which addresses of IP a frame says are its sender's (RFC 791, 826, 4861, 8200).

use super::ethernet::{Ethernet, is_tag, number};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

pub(crate) const IPV4: u16 = 0x0800;
pub(crate) const ARP: u16 = 0x0806;
pub(crate) const IPV6: u16 = 0x86dd;
pub(crate) const ICMPV6: u8 = 58;
const SOLICITATION: u8 = 135;
const ADVERTISEMENT: u8 = 136;
/// The longest length in the place of a type (IEEE 802.3 section 3.2.6).
pub(crate) const LONGEST_LENGTH: u16 = 1_500;
/// LLC and SNAP, with a type behind them (RFC 1042).
const SNAP: [u8; 6] = [0xaa, 0xaa, 3, 0, 0, 0];
/// Extension headers that are looked behind.
const MOST_EXTENSIONS: usize = 8;

/// Addresses that a frame says are its sender's. There are two where a neighbour advertisement comes from one address and
/// tells of another.
pub type Sender = [Option<IpAddr>; 2];

/// The addresses that a frame says are its sender's: the source of a packet of IPv4 or IPv6, what ARP says and what a
/// neighbour advertisement tells of; and what is asked for by ARP or a neighbour solicitation from nowhere, which is somebody
/// who is about to take it (RFC 5227 section 2.1.1, RFC 4862 section 5.4). `None` where the frame is of these and cannot be
/// read to the end; somebody else might read more of it.
pub fn sender(frame: &Ethernet<'_>) -> Option<Sender> {
    let (kind, payload) = (frame.ethertype(), frame.payload());
    if kind <= LONGEST_LENGTH {
        return match payload.strip_prefix(&SNAP) {
            Some(rest) => of(number(rest, 0)?, rest.get(2..)?),
            None => Some([None; 2]),
        };
    }
    of(kind, payload)
}

fn of(kind: u16, payload: &[u8]) -> Option<Sender> {
    match kind {
        ARP => arp(payload),
        IPV4 => {
            let is_ipv4 = payload.first()? >> 4 == 4 && payload.len() >= 20;
            let source = ipv4(payload, 12).filter(|_| is_ipv4)?;
            Some([some(source), None])
        }
        IPV6 => ipv6(payload),
        // More tags than anybody looks behind here.
        _ if is_tag(kind) => None,
        _ => Some([None; 2]),
    }
}

/// The unspecified address is nobody's.
fn some(address: IpAddr) -> Option<IpAddr> {
    (!address.is_unspecified()).then_some(address)
}

fn ipv4(bytes: &[u8], at: usize) -> Option<IpAddr> {
    let octets: &[u8; 4] = bytes.get(at..)?.first_chunk()?;
    Some(Ipv4Addr::from(*octets).into())
}

fn ipv6_address(bytes: &[u8], at: usize) -> Option<IpAddr> {
    let octets: &[u8; 16] = bytes.get(at..)?.first_chunk()?;
    Some(Ipv6Addr::from(*octets).into())
}

/// Hardware type, protocol, lengths of both kinds of address, operation; then who asks, and who is asked.
fn arp(payload: &[u8]) -> Option<Sender> {
    let (protocol, hardware) = (number(payload, 2)?, usize::from(*payload.get(4)?));
    if protocol != IPV4 {
        return Some([None; 2]);
    }
    if *payload.get(5)? != 4 {
        return None;
    }
    let says = ipv4(payload, 8 + hardware)?;
    let wants = ipv4(payload, 8 + 2 * hardware + 4)?;
    let is_probe = says.is_unspecified();
    Some([some(if is_probe { wants } else { says }), None])
}

fn ipv6(payload: &[u8]) -> Option<Sender> {
    let source = ipv6_address(payload, 8).filter(|_| payload.len() >= 40 && payload[0] >> 4 == 6)?;
    let source = some(source);
    let (mut kind, mut at) = (payload[6], 40);
    for _ in 0..=MOST_EXTENSIONS {
        match kind {
            // Hop by hop, routing, for the destination.
            0 | 43 | 60 => {
                kind = *payload.get(at)?;
                at += 8 * (1 + usize::from(*payload.get(at + 1)?));
            }
            ICMPV6 => {
                let target = || ipv6_address(payload, at + 8);
                return match (*payload.get(at)?, source) {
                    (ADVERTISEMENT, _) => Some([source, some(target()?)]),
                    (SOLICITATION, None) => Some([some(target()?), None]),
                    _ => Some([source, None]),
                };
            }
            // A fragment among them: nobody finds his neighbours by fragments (RFC 6980).
            _ => return Some([source, None]),
        }
    }
    None
}

/// Whether an address is the one of its link that follows from an Ethernet address (RFC 4291 section 2.5.1, appendix A).
pub fn follows_from(address: IpAddr, mac: crate::Mac) -> bool {
    let [a, b, c, d, e, f] = mac.0;
    let own = [0xfe, 0x80, 0, 0, 0, 0, 0, 0, a ^ 2, b, c, 0xff, 0xfe, d, e, f];
    address == IpAddr::from(own)
}
