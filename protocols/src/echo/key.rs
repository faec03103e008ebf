//! The shared key that signs probes.

use super::wire::TAG;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::fmt;

/// The least length of a secret, in bytes: as many as the tag has.
const SHORTEST: usize = TAG;

/// A shared secret, ready to sign and to verify: HMAC-SHA-256 (RFC 2104, RFC 6234) cut to its first 16 bytes.
///
/// It holds the keyed hash states, not the secret, and wipes them when dropped. Nothing prints it.
#[derive(Clone)]
pub struct Key {
    keyed: Hmac<Sha256>,
}

/// A secret too short to protect anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a key needs at least {SHORTEST} bytes, this one has {0}")]
pub struct WeakKey(usize);

impl Key {
    /// The key of exactly these secret bytes. The caller wipes its own copy.
    ///
    /// # Errors
    /// [`WeakKey`] if there are fewer than 16.
    pub fn new(secret: &[u8]) -> Result<Key, WeakKey> {
        if secret.len() < SHORTEST {
            return Err(WeakKey(secret.len()));
        }
        // HMAC takes keys of every length; the error of its constructor is for other algorithms.
        let keyed = Hmac::new_from_slice(secret).map_err(|_| WeakKey(secret.len()))?;
        Ok(Key { keyed })
    }

    /// The key that a key file holds: its bytes without white space at the end, so that an editor's last line end
    /// does not make another key.
    ///
    /// # Errors
    /// [`WeakKey`] if fewer than 16 bytes remain.
    pub fn from_file(contents: &[u8]) -> Result<Key, WeakKey> {
        Key::new(contents.trim_ascii_end())
    }

    /// Writes the tag over the last 16 of the first `length` bytes; it covers all other bytes of the datagram.
    /// Returns whether there was room.
    #[must_use]
    pub fn sign(&self, datagram: &mut [u8], length: u16) -> bool {
        let Some(at) = tag_place(datagram.len(), length) else {
            return false;
        };
        let (before, rest) = datagram.split_at_mut(at);
        let (tag, after) = rest.split_at_mut(TAG);
        tag.copy_from_slice(&self.tag(&[before, after]));
        true
    }

    /// The tag of these parts, one after the other, for formats that say themselves where it goes and what it covers.
    pub fn tag(&self, parts: &[&[u8]]) -> [u8; TAG] {
        let full = self.hash(parts).finalize().into_bytes();
        let mut tag = [0; TAG];
        tag.copy_from_slice(&full[..TAG]);
        tag
    }

    /// Whether `tag` is the tag of these parts, in a time that does not tell how wrong.
    pub fn verify_tag(&self, parts: &[&[u8]], tag: &[u8; TAG]) -> bool {
        self.hash(parts).verify_truncated_left(tag).is_ok()
    }

    fn hash(&self, parts: &[&[u8]]) -> Hmac<Sha256> {
        let mut hash = self.keyed.clone();
        for part in parts {
            hash.update(part);
        }
        hash
    }

    /// Whether the tag at the end of the first `length` bytes is right, in a time that does not tell how wrong.
    pub fn verify(&self, datagram: &[u8], length: u16) -> bool {
        let Some(at) = tag_place(datagram.len(), length) else {
            return false;
        };
        let (before, rest) = datagram.split_at(at);
        let (tag, after) = rest.split_at(TAG);
        self.hash(&[before, after]).verify_truncated_left(tag).is_ok()
    }
}

/// Where the tag begins, if the datagram holds all of it.
fn tag_place(datagram: usize, length: u16) -> Option<usize> {
    let length = usize::from(length);
    length.checked_sub(TAG).filter(|_| length <= datagram)
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key")
    }
}
