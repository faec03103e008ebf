//! The Internet checksum (RFC 1071), quick: 32 bits at a time into 64, folded at the end.

/// The ones' complement sum of the octets as 16-bit numbers in network order; an odd octet at the end is the upper half of
/// one.
pub(crate) fn sum(bytes: &[u8]) -> u16 {
    let word = |octets: &[u8]| u64::from(u32::from_ne_bytes([octets[0], octets[1], octets[2], octets[3]]));
    // Four sums side by side, so that the processor adds them at once. 2^32 words would be needed to overflow one.
    let mut lanes = [0u64; 4];
    let mut chunks = bytes.chunks_exact(16);
    for chunk in chunks.by_ref() {
        for (lane, octets) in lanes.iter_mut().zip(chunk.chunks_exact(4)) {
            *lane += word(octets);
        }
    }
    let mut rest = chunks.remainder().chunks_exact(4);
    let mut total: u64 = lanes.iter().sum::<u64>() + rest.by_ref().map(word).sum::<u64>();
    let mut last = [0; 4];
    last[..rest.remainder().len()].copy_from_slice(rest.remainder());
    total += word(&last);
    // The sum does not care for the order of octets but at its end (RFC 1071 section 2 (B)).
    u16::from_be(fold(total))
}

/// The sum of two sums.
pub(crate) fn add(a: u16, b: u16) -> u16 {
    let (sum, carry) = a.overflowing_add(b);
    sum + u16::from(carry)
}

fn fold(sum: u64) -> u16 {
    let sum = (sum & 0xffff_ffff) + (sum >> 32);
    let sum = (sum & 0xffff) + ((sum >> 16) & 0xffff) + (sum >> 32);
    let sum = (sum & 0xffff) + (sum >> 16);
    ((sum & 0xffff) + (sum >> 16)) as u16
}
