//! Who may be a member, where a secret that all know is not enough: an authority signs.

use super::entropy::{Entropy, draw};
use super::hash::hash256;
use super::text::{self, Kind, TextError};
use crate::wire::{CertificateBody, CommunityTag, Fields, Prefix, RevocationBody, Signed, WireError};
use crate::{Mac, PublicKey};
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use halloo_base::Wall;
use std::fmt;
use std::net::IpAddr;
use zeroize::Zeroizing;

/// Who signs certificates.
pub struct AuthorityKey(SigningKey);

/// An authority as members and supernodes know it, with the latest list of what it has revoked.
#[derive(Clone, Debug)]
pub struct Authority {
    key: VerifyingKey,
    issuer: [u8; 8],
    revoked: Option<RevocationBody>,
}

/// A certificate with its signature, not yet believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// What it says.
    pub body: CertificateBody,
    octets: Vec<u8>,
}

/// Why a certificate or a list is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// None was shown.
    #[error("a certificate is wanted and there is none")]
    Absent,
    /// Bytes that are none.
    #[error("not a certificate of this format: {0}")]
    Wire(#[from] WireError),
    /// Of another authority.
    #[error("it is of another authority")]
    Foreign,
    /// Not what the authority signed.
    #[error("its signature is wrong")]
    Signature,
    /// Of another key.
    #[error("it is of another member")]
    Key,
    /// Of another community.
    #[error("it is of another community")]
    Community,
    /// Of tomorrow.
    #[error("it does not hold yet")]
    Early,
    /// Of yesterday.
    #[error("it has expired")]
    Expired,
    /// On the list.
    #[error("it has been revoked")]
    Revoked,
    /// A list that is not later than the one that is known.
    #[error("a later list is known")]
    Old,
}

impl AuthorityKey {
    /// A new one.
    pub fn generate(entropy: &mut dyn Entropy) -> AuthorityKey {
        let seed = Zeroizing::new(draw(entropy));
        AuthorityKey(SigningKey::from_bytes(&seed))
    }

    /// Reads a key file's text.
    ///
    /// # Errors
    /// If it is none.
    pub fn parse(text: &str) -> Result<AuthorityKey, TextError> {
        let octets = Zeroizing::new(text::parse(Kind::AuthorityPrivateKey, text)?);
        let seed = octets.as_slice().try_into().map_err(|_| TextError::Length)?;
        Ok(AuthorityKey(SigningKey::from_bytes(seed)))
    }

    /// The text of a key file, which nobody else may read (mode 0600).
    pub fn emit(&self) -> Zeroizing<String> {
        Zeroizing::new(text::emit(Kind::AuthorityPrivateKey, self.0.as_bytes()))
    }

    /// What others know it by.
    pub fn authority(&self) -> Authority {
        Authority::new(self.0.verifying_key())
    }

    /// Signs a certificate. The issuer is put in.
    ///
    /// # Errors
    /// If it is longer than the format allows, or could not be read again.
    pub fn sign(&self, body: &CertificateBody) -> Result<Certificate, WireError> {
        let body = CertificateBody {
            issuer: self.authority().issuer,
            ..body.clone()
        };
        Certificate::parse(&self.signed(&body)?)
    }

    /// Signs a list of what holds no longer, as octets. The issuer is put in.
    ///
    /// # Errors
    /// If there are more than 4,096.
    pub fn revoke(&self, issued: u64, serials: &[u64]) -> Result<Vec<u8>, WireError> {
        self.signed(&RevocationBody {
            issued,
            serials: serials.to_vec(),
            issuer: self.authority().issuer,
        })
    }

    fn signed<T: Fields>(&self, fields: &T) -> Result<Vec<u8>, WireError> {
        let mut octets = fields.emit()?;
        let signature = self.0.sign(&[T::CONTEXT, &octets].concat());
        octets.extend_from_slice(&signature.to_bytes());
        Ok(octets)
    }
}

impl fmt::Debug for AuthorityKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AuthorityKey(..)")
    }
}

impl Authority {
    fn new(key: VerifyingKey) -> Authority {
        let [a, b, c, d, e, f, g, h, ..] = hash256(&[key.as_bytes()]);
        Authority {
            key,
            issuer: [a, b, c, d, e, f, g, h],
            revoked: None,
        }
    }

    /// Reads its file's text.
    ///
    /// # Errors
    /// If it is none.
    pub fn parse(text: &str) -> Result<Authority, TextError> {
        let octets = text::parse(Kind::Authority, text)?;
        let octets = octets.as_slice().try_into().map_err(|_| TextError::Length)?;
        let key = VerifyingKey::from_bytes(octets).ok().filter(|key| !key.is_weak());
        key.map(Authority::new).ok_or(TextError::Authority)
    }

    /// Its file's text.
    pub fn emit(&self) -> String {
        text::emit(Kind::Authority, self.key.as_bytes())
    }

    /// Its public key (RFC 8032 section 5.1.5).
    pub fn octets(&self) -> &[u8; 32] {
        self.key.as_bytes()
    }

    /// The first octets of BLAKE2s-256 of its key.
    pub fn issuer(&self) -> [u8; 8] {
        self.issuer
    }

    /// Takes a later list of what holds no longer.
    ///
    /// # Errors
    /// If it is not this authority's, or not later than the one that is known.
    pub fn revoke(&mut self, octets: &[u8]) -> Result<(), CertificateError> {
        let signed = Signed::parse(octets)?;
        let list = RevocationBody::parse(signed.body)?;
        if list.issuer != self.issuer {
            return Err(CertificateError::Foreign);
        }
        self.check::<RevocationBody>(signed)?;
        if self
            .revoked
            .as_ref()
            .is_some_and(|known| known.issued >= list.issued)
        {
            return Err(CertificateError::Old);
        }
        self.revoked = Some(list);
        Ok(())
    }

    /// How many certificates the latest list takes back.
    pub fn revoked(&self) -> usize {
        self.revoked.as_ref().map_or(0, |list| list.serials.len())
    }

    /// Whether the certificate makes `key` a member of the community now.
    ///
    /// # Errors
    /// If it does not, and why.
    pub fn verify(
        &self,
        certificate: &Certificate,
        key: &PublicKey,
        community: Option<CommunityTag>,
        now: Wall,
    ) -> Result<(), CertificateError> {
        let body = &certificate.body;
        if body.issuer != self.issuer {
            return Err(CertificateError::Foreign);
        }
        self.check::<CertificateBody>(Signed::parse(&certificate.octets)?)?;
        if body.key != *key {
            return Err(CertificateError::Key);
        }
        if body.community.is_some() && body.community != community {
            return Err(CertificateError::Community);
        }
        let now = now.0 / 1_000_000_000;
        if now < body.not_before {
            return Err(CertificateError::Early);
        }
        if now >= body.not_after {
            return Err(CertificateError::Expired);
        }
        if self.has_revoked(certificate) {
            return Err(CertificateError::Revoked);
        }
        Ok(())
    }

    /// Whether the certificate is on the latest list. Nothing else about it is looked at.
    pub fn has_revoked(&self, certificate: &Certificate) -> bool {
        let serial = &certificate.body.serial;
        let revoked = |list: &RevocationBody| list.serials.binary_search(serial).is_ok();
        self.revoked.as_ref().is_some_and(revoked)
    }

    fn check<T: Fields>(&self, signed: Signed<'_>) -> Result<(), CertificateError> {
        let signature = Signature::from_bytes(signed.signature);
        self.key
            .verify_strict(&[T::CONTEXT, signed.body].concat(), &signature)
            .map_err(|_| CertificateError::Signature)
    }
}

impl Certificate {
    /// Reads the octets. Nothing of it is believed yet.
    ///
    /// # Errors
    /// If they are none.
    pub fn parse(octets: &[u8]) -> Result<Certificate, WireError> {
        let body = CertificateBody::parse(Signed::parse(octets)?.body)?;
        let octets = octets.to_vec();
        Ok(Certificate { body, octets })
    }

    /// Reads a certificate file's text.
    ///
    /// # Errors
    /// If it is none.
    pub fn parse_text(text: &str) -> Result<Certificate, TextError> {
        Certificate::parse(&text::parse(Kind::Certificate, text)?).map_err(|_| TextError::Length)
    }

    /// The octets, with the signature.
    pub fn octets(&self) -> &[u8] {
        &self.octets
    }

    /// A certificate file's text.
    pub fn emit_text(&self) -> String {
        text::emit(Kind::Certificate, &self.octets)
    }

    /// Whether its owner may send frames from this address.
    pub fn allows_mac(&self, mac: Mac) -> bool {
        self.body.macs.as_ref().is_none_or(|macs| macs.contains(&mac))
    }

    /// Whether its owner may have this address: it is one of those that are bound, or of a network that is. What has bits set
    /// behind its prefix is one address, with the length of its network.
    pub fn allows_address(&self, address: IpAddr) -> bool {
        let bound = |addresses: &Vec<Prefix>| addresses.iter().any(|prefix| covers(prefix, address));
        self.body.addresses.as_ref().is_none_or(bound)
    }
}

fn covers(prefix: &Prefix, address: IpAddr) -> bool {
    let bits = |address: IpAddr| match address {
        IpAddr::V4(address) => (u128::from(u32::from(address)) << 96, 32),
        IpAddr::V6(address) => (u128::from(address), 128),
    };
    let ((bound, longest), (asked, length)) = (bits(prefix.address), bits(address));
    let behind = u128::MAX.checked_shr(prefix.len.into()).unwrap_or(0);
    let is_network = prefix.len < longest && bound & behind == 0;
    longest == length && (bound == asked || is_network && (bound ^ asked) & !behind == 0)
}

/// What a list says, whoever signed it: for people to read. [`Authority::revoke`] believes nobody but itself.
///
/// # Errors
/// If the octets are no list.
pub fn read_revocation(octets: &[u8]) -> Result<RevocationBody, WireError> {
    RevocationBody::parse(Signed::parse(octets)?.body)
}

/// Reads the text of a list of what holds no longer, for [`Authority::revoke`].
///
/// # Errors
/// If it is none.
pub fn parse_revocation_text(text: &str) -> Result<Vec<u8>, TextError> {
    text::parse(Kind::Revocation, text)
}

/// The text of a list of what holds no longer.
pub fn emit_revocation_text(octets: &[u8]) -> String {
    text::emit(Kind::Revocation, octets)
}
