//! Names that all parts of the overlay use.

use std::fmt;

/// An X25519 public key: who somebody is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey(pub [u8; 32]);

/// An Ethernet address (IEEE 802-2014 clause 8).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mac(pub [u8; 6]);

/// What keeps frames secret, or true, on the way. The numbers are those on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cipher {
    /// Frames go in the clear, and anybody on the way can change them: for networks that are trusted.
    None = 0,
    /// Frames go in the clear, and nobody can change them (AES-256-GMAC).
    Mac = 1,
    /// AES-128-GCM (RFC 5116).
    Aes128Gcm = 2,
    /// AES-256-GCM (RFC 5116).
    Aes256Gcm = 3,
    /// ChaCha20-Poly1305 (RFC 8439).
    ChaCha20Poly1305 = 4,
}

/// How frames are made shorter. The numbers are those on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Compression {
    /// Not at all.
    None = 0,
    /// LZ4 blocks.
    Lz4 = 1,
    /// Zstandard frames (RFC 8878).
    Zstd = 2,
}

impl Mac {
    /// All stations.
    pub const BROADCAST: Mac = Mac([0xff; 6]);

    /// Whether it names a group of stations, broadcast among them (the individual/group bit).
    pub fn is_group(self) -> bool {
        self.0[0] & 1 != 0
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0[..4]
            .iter()
            .try_for_each(|octet| write!(f, "{octet:02x}"))?;
        f.write_str("..")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_read_as_people_write_them() {
        let lldp = Mac([0x01, 0x80, 0xc2, 0, 0, 0x0e]);
        assert_eq!(lldp.to_string(), "01:80:c2:00:00:0e");
        assert!(lldp.is_group());
        assert!(!Mac([2, 0, 0, 0, 0, 1]).is_group());
    }
}
