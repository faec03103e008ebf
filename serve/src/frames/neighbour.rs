//! Where an IPv6 address is (neighbour discovery, RFC 4861, on Ethernet).

use halloo_base::IpHeader;
use std::net::{IpAddr, Ipv6Addr};

const ICMPV6: u8 = 58;
const SOLICITATION: u8 = 135;
const ADVERTISEMENT: u8 = 136;
const IP_HEADER: usize = 40;
/// Type, code, checksum, flags and target.
const BODY: usize = 24;
const SOURCE_LINK_LAYER: u8 = 1;
const TARGET_LINK_LAYER: u8 = 2;
const SOLICITED: u8 = 0x40;
const OVERRIDE: u8 = 0x20;
/// Nothing that a router forwarded has this hop limit (RFC 4861 section 7.1).
const UNFORWARDED: u8 = 255;

/// A valid neighbour solicitation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Solicitation {
    pub(super) source: Ipv6Addr,
    pub(super) destination: Ipv6Addr,
    pub(super) target: Ipv6Addr,
    /// Bytes of the whole datagram.
    pub(super) length: usize,
}

/// Whether an IPv6 datagram says that it is a neighbour solicitation.
pub(super) fn is_solicitation(packet: &[u8]) -> bool {
    packet.get(6) == Some(&ICMPV6) && packet.get(IP_HEADER) == Some(&SOLICITATION)
}

impl Solicitation {
    /// Applies every check of RFC 4861 section 7.1.1. `checked` if the checksum was found right already, or is not
    /// filled in yet because the packet never was on a wire.
    pub(super) fn parse(packet: &[u8], checked: bool) -> Option<Solicitation> {
        let ip = IpHeader::parse(packet)?;
        let packet = packet.get(..ip.length)?;
        let (IpAddr::V6(source), IpAddr::V6(destination)) = (ip.source, ip.destination) else {
            return None;
        };
        let message = packet.get(IP_HEADER..)?;
        let body: &[u8; BODY] = message.first_chunk()?;
        let target = Ipv6Addr::from(<[u8; 16]>::try_from(&body[8..]).ok()?);
        let whole = body[0] == SOLICITATION
            && body[1] == 0
            && ip.marks.ttl == Some(UNFORWARDED)
            && (checked || checksum(source, destination, message) == 0);
        if !whole || target.is_multicast() || source.is_multicast() {
            return None;
        }
        let source_told = options(&message[BODY..])?;
        let first_contact = source.is_unspecified();
        if first_contact && (source_told || destination != solicited_node(target)) {
            return None;
        }
        Some(Solicitation {
            source,
            destination,
            target,
            length: packet.len(),
        })
    }

    /// Writes the advertisement that answers it into `room`, and returns how long it is. The option that tells `mac`
    /// is left out where it may be and the answer would be longer than the question (RFC 4861 section 7.2.4).
    pub(super) fn answer(&self, mac: [u8; 6], room: &mut [u8; Solicitation::LONGEST]) -> usize {
        let asked_us_alone = self.destination == self.target;
        let tells = !asked_us_alone || self.length >= Solicitation::LONGEST;
        let len = if tells {
            Solicitation::LONGEST
        } else {
            IP_HEADER + BODY
        };
        let everybody = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
        let first_contact = self.source.is_unspecified();
        let to = if first_contact { everybody } else { self.source };
        room.fill(0);
        room[0] = 0x60;
        room[4..6].copy_from_slice(&((len - IP_HEADER) as u16).to_be_bytes());
        room[6] = ICMPV6;
        room[7] = UNFORWARDED;
        room[8..24].copy_from_slice(&self.target.octets());
        room[24..40].copy_from_slice(&to.octets());
        room[40] = ADVERTISEMENT;
        room[44] = OVERRIDE | if first_contact { 0 } else { SOLICITED };
        room[48..64].copy_from_slice(&self.target.octets());
        if tells {
            room[64] = TARGET_LINK_LAYER;
            room[65] = 1;
            room[66..].copy_from_slice(&mac);
        }
        let sum = checksum(self.target, to, &room[IP_HEADER..len]);
        room[42..44].copy_from_slice(&sum.to_be_bytes());
        len
    }

    /// An advertisement that tells a MAC address.
    pub(super) const LONGEST: usize = IP_HEADER + BODY + 8;
}

/// The group in which everybody listens who has this address (RFC 4291 section 2.7.1).
pub(super) fn solicited_node(address: Ipv6Addr) -> Ipv6Addr {
    let [.., a, b, c] = address.octets();
    Ipv6Addr::from([0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, a, b, c])
}

/// The MAC address that a group's frames go to (RFC 2464 section 7).
pub(super) fn group_mac(group: Ipv6Addr) -> [u8; 6] {
    let [.., a, b, c, d] = group.octets();
    [0x33, 0x33, a, b, c, d]
}

/// Whether the sender's MAC address is among the options; `None` if one of them has no length or too much of it.
fn options(mut rest: &[u8]) -> Option<bool> {
    let mut found = false;
    while let Some(&kind) = rest.first() {
        let len = usize::from(*rest.get(1)?) * 8;
        rest = rest.get(len..).filter(|_| len > 0)?;
        found |= kind == SOURCE_LINK_LAYER;
    }
    Some(found)
}

/// The checksum over pseudo-header and message (RFC 8200 section 8.1): 0 over a message that holds its own.
fn checksum(source: Ipv6Addr, destination: Ipv6Addr, message: &[u8]) -> u16 {
    let words = |bytes: &[u8]| {
        let pairs = bytes.chunks(2);
        pairs
            .map(|pair| u64::from(pair[0]) << 8 | u64::from(pair.get(1).copied().unwrap_or(0)))
            .sum::<u64>()
    };
    let mut sum = words(&source.octets())
        + words(&destination.octets())
        + message.len() as u64
        + u64::from(ICMPV6)
        + words(message);
    while sum > 0xffff {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    !(sum as u16)
}
