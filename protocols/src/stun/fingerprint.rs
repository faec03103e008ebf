//! The check sum by which a STUN message is told from other bytes (RFC 8489 section 14.7).

/// What the CRC is combined with, so that a protocol which ends in a CRC of its own is not taken for STUN.
const MASK: u32 = 0x5354_554e;

/// The generator polynomial of ITU-T V.42, lowest power first.
const POLYNOMIAL: u32 = 0xedb8_8320;

const TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut octet = 0;
    while octet < table.len() {
        let mut rest = octet as u32;
        let mut bit = 0;
        while bit < 8 {
            rest = rest >> 1 ^ if rest & 1 == 1 { POLYNOMIAL } else { 0 };
            bit += 1;
        }
        table[octet] = rest;
        octet += 1;
    }
    table
};

/// The value of FINGERPRINT behind these bytes, whose length field counts the attribute already.
pub(super) fn of(message: &[u8]) -> u32 {
    crc32(message) ^ MASK
}

fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, octet: &u8| {
        let [low, ..] = crc.to_le_bytes();
        crc >> 8 ^ TABLE[usize::from(low ^ octet)]
    };
    !bytes.iter().fold(u32::MAX, step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_crc_has_its_published_check_value() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        assert_eq!(crc32(b""), 0);
    }
}
