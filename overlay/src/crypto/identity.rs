//! Who somebody is: an X25519 key pair for life.

use super::entropy::{Entropy, draw};
use super::hash::hash256;
use super::text::{self, Kind, TextError};
use crate::PublicKey;
use aws_lc_rs::agreement::{PrivateKey, X25519};
use base64ct::{Base64, Encoding};
use std::fmt;
use std::str::FromStr;
use zeroize::Zeroizing;

/// A key pair.
#[derive(Clone)]
pub struct Identity {
    secret: Zeroizing<[u8; 32]>,
    public: PublicKey,
}

/// The few octets by which people tell members apart: the first 8 of BLAKE2s-256 of the public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemberId(pub [u8; 8]);

impl Identity {
    /// A new one.
    pub fn generate(entropy: &mut dyn Entropy) -> Identity {
        Identity::from_secret(draw(entropy))
    }

    /// The one whose private key this is (RFC 7748 section 5).
    pub fn from_secret(secret: [u8; 32]) -> Identity {
        let secret = Zeroizing::new(secret);
        let public = PublicKey(public_of(&secret).unwrap_or_else(|| unreachable!("any 32 octets are a key")));
        Identity { secret, public }
    }

    /// Reads a key file's text.
    ///
    /// # Errors
    /// If it is none.
    pub fn parse(text: &str) -> Result<Identity, TextError> {
        let octets = Zeroizing::new(text::parse(Kind::PrivateKey, text)?);
        let secret = octets.as_slice().try_into().map_err(|_| TextError::Length)?;
        Ok(Identity::from_secret(secret))
    }

    /// The text of a key file, which nobody else may read (mode 0600).
    pub fn emit(&self) -> Zeroizing<String> {
        Zeroizing::new(text::emit(Kind::PrivateKey, &self.secret[..]))
    }

    /// What others know it by.
    pub fn public(&self) -> PublicKey {
        self.public
    }

    pub(crate) fn secret(&self) -> &[u8; 32] {
        &self.secret
    }
}

/// The public key of a private one.
pub(crate) fn public_of(secret: &[u8; 32]) -> Option<[u8; 32]> {
    let key = PrivateKey::from_private_key(&X25519, secret).ok()?;
    key.compute_public_key().ok()?.as_ref().try_into().ok()
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({:?})", self.public)
    }
}

impl PublicKey {
    /// What people tell its owner by.
    pub fn member_id(&self) -> MemberId {
        let [a, b, c, d, e, f, g, h, ..] = hash256(&[&self.0]);
        MemberId([a, b, c, d, e, f, g, h])
    }
}

impl fmt::Display for MemberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

/// Base64 (RFC 4648 section 4): 44 characters.
impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&Base64::encode_string(&self.0))
    }
}

impl FromStr for PublicKey {
    type Err = TextError;

    fn from_str(text: &str) -> Result<PublicKey, TextError> {
        let mut key = [0; 32];
        match Base64::decode(text, &mut key) {
            Ok(octets) if octets.len() == 32 => Ok(PublicKey(key)),
            _ => Err(TextError::PublicKey),
        }
    }
}
