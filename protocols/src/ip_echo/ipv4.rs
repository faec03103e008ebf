//! An IPv4 header as a careful host reads it (RFC 791 section 3.1, RFC 1122 section 3.2.1).

use super::checksum;
use halloo_base::Reason;
use std::net::Ipv4Addr;

/// Octets of a header without options.
pub(super) const FIXED: usize = 20;
const CHECKSUM: usize = 10;
const TTL: usize = 8;
const SOURCE: usize = 12;
const DESTINATION: usize = 16;
/// "More fragments" and the fragment offset: all zero in a datagram that is whole.
const FRAGMENT: u16 = 0x3fff;
/// The offset alone.
const OFFSET: u16 = 0x1fff;

/// What a header that holds together says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// Octets of the header, options included: 20 to 60.
    pub(super) header_len: usize,
    /// Octets of the datagram; what follows is the link's padding.
    pub(super) total_len: usize,
    pub(super) ttl: u8,
    pub(super) protocol: u8,
    pub(super) source: Ipv4Addr,
    pub(super) destination: Ipv4Addr,
    /// Whether this is only a part of a datagram.
    pub(super) is_fragment: bool,
    /// Whether it is one that does not begin the datagram, so that it holds no transport header.
    pub(super) is_later_fragment: bool,
}

impl Header {
    /// Reads the header at the beginning of `datagram`; its checksum is another question ([`is_sealed`]). Any bytes
    /// are fine.
    ///
    /// # Errors
    /// [`Reason::Malformed`] for a version or lengths that cannot be, and for a datagram that ends before it says.
    pub(super) fn parse(datagram: &[u8]) -> Result<Header, Reason> {
        let fixed: &[u8; FIXED] = datagram.first_chunk().ok_or(Reason::Malformed)?;
        let header_len = usize::from(fixed[0] & 0x0f) * 4;
        let total_len = usize::from(u16::from_be_bytes([fixed[2], fixed[3]]));
        if fixed[0] >> 4 != 4 || header_len < FIXED || total_len < header_len || datagram.len() < total_len {
            return Err(Reason::Malformed);
        }
        Ok(Header {
            header_len,
            total_len,
            ttl: fixed[TTL],
            protocol: fixed[9],
            source: address(fixed, SOURCE),
            destination: address(fixed, DESTINATION),
            is_fragment: u16::from_be_bytes([fixed[6], fixed[7]]) & FRAGMENT != 0,
            is_later_fragment: u16::from_be_bytes([fixed[6], fixed[7]]) & OFFSET != 0,
        })
    }
}

/// Writes both addresses. The header's checksum stays right if they are those of before, the other way round.
///
/// `datagram` holds at least a fixed header, as for all functions below.
pub(super) fn set_addresses(datagram: &mut [u8], source: Ipv4Addr, destination: Ipv4Addr) {
    datagram[SOURCE..SOURCE + 4].copy_from_slice(&source.octets());
    datagram[DESTINATION..DESTINATION + 4].copy_from_slice(&destination.octets());
}

/// Takes one from the TTL, which is above 0, and keeps the checksum right.
pub(super) fn take_hop(datagram: &mut [u8]) {
    let word = [datagram[TTL], datagram[TTL + 1]];
    let sum = u16::from_be_bytes([datagram[CHECKSUM], datagram[CHECKSUM + 1]]);
    datagram[TTL] -= 1;
    let taken = [datagram[TTL], datagram[TTL + 1]];
    let sum = checksum::updated(sum, u16::from_be_bytes(word), u16::from_be_bytes(taken));
    datagram[CHECKSUM..CHECKSUM + 2].copy_from_slice(&sum.to_be_bytes());
}

/// Whether the checksum of a whole header is right.
pub(super) fn is_sealed(header: &[u8]) -> bool {
    checksum::is_right(header)
}

/// Computes the checksum of a whole header anew.
pub(super) fn seal(header: &mut [u8]) {
    header[CHECKSUM..CHECKSUM + 2].fill(0);
    let sum = checksum::of(header);
    header[CHECKSUM..CHECKSUM + 2].copy_from_slice(&sum.to_be_bytes());
}

/// Whether an address is one that an honest host sends from, as far as it alone can tell (RFC 1122 section 3.2.1.3).
pub(super) fn is_host(address: Ipv4Addr) -> bool {
    let first = address.octets()[0];
    first != 0 && first != 127 && first < 224
}

fn address(fixed: &[u8; FIXED], at: usize) -> Ipv4Addr {
    Ipv4Addr::new(fixed[at], fixed[at + 1], fixed[at + 2], fixed[at + 3])
}
