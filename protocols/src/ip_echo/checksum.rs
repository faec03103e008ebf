//! The Internet checksum (RFC 1071), whole and by differences (RFC 1624).

/// The ones' complement sum of `bytes`, folded to 16 bits; an odd last byte counts as if a zero followed.
fn sum(bytes: &[u8]) -> u16 {
    let mut pairs = bytes.chunks_exact(2);
    let mut sum: u64 = pairs
        .by_ref()
        .map(|pair| u64::from(u16::from_be_bytes([pair[0], pair[1]])))
        .sum();
    if let [last] = pairs.remainder() {
        sum += u64::from(*last) << 8;
    }
    while sum > 0xffff {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    sum as u16
}

/// The checksum of `bytes`, in which the checksum's own place holds zero.
pub(crate) fn of(bytes: &[u8]) -> u16 {
    !sum(bytes)
}

/// Whether `bytes`, which hold their own checksum, are as they were sent.
pub(crate) fn is_right(bytes: &[u8]) -> bool {
    sum(bytes) == 0xffff
}

/// A checksum after one 16-bit word under it changed (RFC 1624 section 3, equation 3).
pub(super) fn updated(checksum: u16, from: u16, to: u16) -> u16 {
    let sum = u32::from(!checksum) + u32::from(!from) + u32::from(to);
    let folded = (sum >> 16) + (sum & 0xffff);
    !((folded + (folded >> 16)) as u16)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A header whose checksum is known, 0xb861 at octet 10.
    const HEADER: [u8; 20] = [
        0x45, 0, 0, 0x73, 0, 0, 0x40, 0, 0x40, 0x11, 0xb8, 0x61, 0xc0, 0xa8, 0, 1, 0xc0, 0xa8, 0, 0xc7,
    ];

    #[test]
    fn a_known_header_is_right_and_one_bit_makes_it_wrong() {
        assert!(is_right(&HEADER));
        let mut blank = HEADER;
        blank[10..12].fill(0);
        assert_eq!(of(&blank), 0xb861);
        for bit in 0..HEADER.len() * 8 {
            let mut bent = HEADER;
            bent[bit / 8] ^= 1 << (bit % 8);
            assert!(!is_right(&bent), "bit {bit}");
        }
    }

    #[test]
    fn the_corner_case_of_rfc_1624_does_not_become_minus_zero() {
        // Section 4: checksum 0xdd2f, a word goes from 0x5555 to 0x3285, and the result is 0x0000.
        assert_eq!(updated(0xdd2f, 0x5555, 0x3285), 0x0000);
    }

    #[test]
    fn an_update_carries_twice_where_the_first_carry_runs_over() {
        // Of words that sum up to 0xffff one goes from 0 to 1: the sum begins again at 1.
        assert_eq!(updated(0x0000, 0x0000, 0x0001), 0xfffe);
    }

    #[test]
    fn an_odd_last_octet_is_the_upper_half_of_its_word() {
        assert_eq!(of(&[0x12, 0x34, 0x56]), of(&[0x12, 0x34, 0x56, 0x00]));
        assert_ne!(of(&[0x12, 0x34, 0x56]), of(&[0x12, 0x34, 0x00, 0x56]));
    }

    proptest! {
        #[test]
        fn an_update_is_as_good_as_starting_again(
            mut bytes in proptest::collection::vec(any::<u8>(), 20),
            at in 0usize..5,
            to: u16,
        ) {
            // The version octet keeps the sum from being zero altogether, which no header is.
            bytes[0] = 0x45;
            bytes[10..12].fill(0);
            let before = of(&bytes);
            let place = [2, 4, 6, 8, 18][at];
            let from = u16::from_be_bytes([bytes[place], bytes[place + 1]]);
            bytes[place..place + 2].copy_from_slice(&to.to_be_bytes());
            prop_assert_eq!(updated(before, from, to), of(&bytes));
        }
    }
}
