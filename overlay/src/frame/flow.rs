//! Which flow a frame is of: frames of one flow stay on one path, so that they stay in order.

use super::ethernet::{Ethernet, number};

/// Extension headers of IPv6 that are looked behind.
const MOST_EXTENSIONS: usize = 8;

/// Odd, with as many ones as zeros, without a pattern (the golden ratio's fraction).
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

/// A number that is the same for all frames of one flow, and spreads over its whole range for different ones.
///
/// A flow is: both MAC addresses, the VLANs, the EtherType behind all tags; of IP both addresses, and the ports where TCP,
/// UDP, DCCP, SCTP or UDP-Lite has them. The fragments of a packet are told apart by their addresses alone, since only the
/// first has ports. What is no frame is of flow 0.
pub fn flow_hash(bytes: &[u8]) -> u32 {
    let Some(ethernet) = Ethernet::parse(bytes) else {
        return 0;
    };
    let mut sum = Sum(0);
    // Both addresses are there: the frame was parsed.
    sum.octets(bytes.get(..12).unwrap_or(&[]));
    for tag in ethernet.tags() {
        sum.add(tag.vid().into());
    }
    let (ethertype, at) = (ethernet.ethertype(), ethernet.payload_at());
    sum.add(ethertype.into());
    let ports = match ethertype {
        0x0800 => ipv4(bytes, at, &mut sum),
        0x86dd => ipv6(bytes, at, &mut sum),
        _ => None,
    };
    if let Some(ports) = ports.and_then(|at| bytes.get(at..at + 4)) {
        sum.octets(ports);
    }
    sum.finish()
}

/// Adds the addresses. Returns where the ports are.
fn ipv4(bytes: &[u8], at: usize, sum: &mut Sum) -> Option<usize> {
    let first = *bytes.get(at)?;
    let addresses = bytes.get(at + 12..at + 20)?;
    let header = 4 * usize::from(first & 15);
    if first >> 4 != 4 || header < 20 {
        return None;
    }
    sum.octets(addresses);
    // More fragments, or an offset (RFC 791 section 3.1).
    let is_fragment = number(bytes, at + 6)? & 0x3fff != 0;
    let protocol = *bytes.get(at + 9)?;
    (!is_fragment && has_ports(protocol)).then_some(at + header)
}

/// Adds the addresses. Returns where the ports are.
fn ipv6(bytes: &[u8], at: usize, sum: &mut Sum) -> Option<usize> {
    let addresses = bytes.get(at + 8..at + 40)?;
    if bytes.get(at)? >> 4 != 6 {
        return None;
    }
    sum.octets(addresses);
    let (mut next, mut transport) = (*bytes.get(at + 6)?, at + 40);
    for _ in 0..MOST_EXTENSIONS {
        // Hop-by-hop options, routing header, destination options (RFC 8200 section 4). A fragment has a header of its own,
        // 44, and ends the search.
        if !matches!(next, 0 | 43 | 60) {
            return has_ports(next).then_some(transport);
        }
        next = *bytes.get(transport)?;
        transport += 8 * (usize::from(*bytes.get(transport + 1)?) + 1);
    }
    None
}

/// TCP, UDP, DCCP, SCTP and UDP-Lite begin with both ports.
fn has_ports(protocol: u8) -> bool {
    matches!(protocol, 6 | 17 | 33 | 132 | 136)
}

struct Sum(u64);

impl Sum {
    fn add(&mut self, word: u32) {
        self.0 = (self.0 ^ u64::from(word)).wrapping_mul(SPREAD);
    }

    fn octets(&mut self, octets: &[u8]) {
        // All that is added has a multiple of four octets.
        for word in octets.as_chunks::<4>().0 {
            self.add(u32::from_be_bytes(*word));
        }
    }

    fn finish(&self) -> u32 {
        // Products spread upwards.
        (self.0.wrapping_mul(SPREAD) >> 32) as u32
    }
}
