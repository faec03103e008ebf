//! An IPv6 header and the chain of headers behind it (RFC 8200 sections 3 and 4).

use halloo_base::Reason;
use std::net::Ipv6Addr;

/// Octets of the fixed header.
const FIXED: usize = 40;
const HOP_LIMIT: usize = 7;
const SOURCE: usize = 8;
const DESTINATION: usize = 24;

/// Next header values of extension headers.
const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const AUTHENTICATION: u8 = 51;
const DESTINATION_OPTIONS: u8 = 60;
/// Where a routing header says how many hops are to go.
const SEGMENTS_LEFT: usize = 3;
/// ICMPv6 (RFC 4443).
pub(super) const ICMP: u8 = 58;

/// What a header that holds together says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// Octets of the datagram; what follows is the link's padding.
    pub(super) total_len: usize,
    pub(super) hop_limit: u8,
    pub(super) source: Ipv6Addr,
    pub(super) destination: Ipv6Addr,
}

impl Header {
    /// Reads the header at the beginning of `datagram`. Any bytes are fine.
    ///
    /// # Errors
    /// [`Reason::Malformed`] for another version, and for a datagram that ends before it says.
    pub(super) fn parse(datagram: &[u8]) -> Result<Header, Reason> {
        let fixed: &[u8; FIXED] = datagram.first_chunk().ok_or(Reason::Malformed)?;
        if fixed[0] >> 4 != 6 {
            return Err(Reason::Malformed);
        }
        let total_len = FIXED + usize::from(u16::from_be_bytes([fixed[4], fixed[5]]));
        if datagram.len() < total_len {
            return Err(Reason::Malformed);
        }
        Ok(Header {
            total_len,
            hop_limit: fixed[HOP_LIMIT],
            source: address(fixed, SOURCE),
            destination: address(fixed, DESTINATION),
        })
    }
}

/// Follows the extension headers of a datagram whose fixed header is sound; returns what the upper layer is, and its bytes.
///
/// In a later fragment it is what the fragment header says, and there is nothing of it to look at.
///
/// # Errors
/// [`Reason::RoutingHeader`] for a route that is not at its end, of whatever type: at its end even one of type 0 is
/// only passed over (RFC 5095 section 3). [`Reason::Malformed`] for a chain that runs over the datagram, and for
/// hop-by-hop options that do not come first.
pub(super) fn upper_layer(datagram: &[u8]) -> Result<(u8, &[u8]), Reason> {
    let mut kind = *datagram.get(6).ok_or(Reason::Malformed)?;
    let mut at = FIXED;
    loop {
        let len = match kind {
            HOP_BY_HOP if at != FIXED => return Err(Reason::Malformed),
            HOP_BY_HOP | DESTINATION_OPTIONS | ROUTING => (units(datagram, at)? + 1) * 8,
            // The only one that counts in words (RFC 4302 section 2.2).
            AUTHENTICATION => (units(datagram, at)? + 2) * 4,
            FRAGMENT => 8,
            _ => return Ok((kind, datagram.get(at..).unwrap_or_default())),
        };
        let header = datagram.get(at..at + len).ok_or(Reason::Malformed)?;
        match kind {
            ROUTING if header[SEGMENTS_LEFT] != 0 => return Err(Reason::RoutingHeader),
            FRAGMENT if u16::from_be_bytes([header[2], header[3]]) >> 3 != 0 => {
                return Ok((header[0], &[]));
            }
            _ => {}
        }
        kind = header[0];
        at += len;
    }
}

/// What the extension header at `at` says about its own length.
fn units(datagram: &[u8], at: usize) -> Result<usize, Reason> {
    let units = datagram.get(at + 1).ok_or(Reason::Malformed)?;
    Ok(usize::from(*units))
}

/// Turns the addresses round and takes one from the hop limit, which is above 0. There is no header checksum, and the
/// transport's stays right: the sum over both addresses is the same.
///
/// `datagram` holds at least a fixed header.
pub(super) fn turn_round(datagram: &mut [u8]) {
    let (before, behind) = datagram.split_at_mut(DESTINATION);
    before[SOURCE..].swap_with_slice(&mut behind[..16]);
    before[HOP_LIMIT] -= 1;
}

/// Whether an address is one that a host sends from, as far as it alone can tell (RFC 4291 section 2).
pub(super) fn is_host(address: Ipv6Addr) -> bool {
    let mapped = address.to_ipv4_mapped().is_some();
    !(address.is_unspecified() || address.is_loopback() || address.is_multicast() || mapped)
}

fn address(fixed: &[u8; FIXED], at: usize) -> Ipv6Addr {
    let mut octets = [0; 16];
    octets.copy_from_slice(&fixed[at..at + 16]);
    octets.into()
}
