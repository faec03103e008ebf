//! Who signs, and whom we believe.

use super::data::{ContentType, Data};
use super::name::{Name, NameBuf};
use super::sha256;
use super::signature::{KeyLocator, SignatureInfo, SignatureType};
use base64ct::{Base64, Encoding};
use ed25519_dalek::ed25519::signature::{MultipartSigner, MultipartVerifier};
use hmac::{Hmac, KeyInit, Mac};
use p256::ecdsa::signature::hazmat::{PrehashSigner, PrehashVerifier};
use p256::pkcs8::{DecodePrivateKey, DecodePublicKey};
use sha2::Sha256;
use std::fmt;

/// The longest signature that we make: an ECDSA P-256 one as DER.
const LONGEST: usize = 72;

/// Signs packets. What it holds of a secret it wipes when dropped, and nothing prints it.
#[derive(Clone)]
pub struct Signer {
    secret: Secret,
    /// What the packets call the key; empty for a mere digest.
    key_name: NameBuf,
}

#[derive(Clone)]
enum Secret {
    Digest,
    Ecdsa(Box<p256::ecdsa::SigningKey>),
    Ed25519(Box<ed25519_dalek::SigningKey>),
    Hmac(Box<Hmac<Sha256>>),
}

/// Checks signatures against the one key that is trusted.
#[derive(Clone)]
pub struct Verifier(Trusted);

#[derive(Clone)]
enum Trusted {
    Digest,
    Ecdsa(Box<p256::ecdsa::VerifyingKey>),
    Ed25519(Box<ed25519_dalek::VerifyingKey>),
    Hmac(Box<Hmac<Sha256>>),
}

/// A signature, without memory of its own on the heap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignatureValue {
    bytes: [u8; LONGEST],
    len: u8,
}

/// Why a key is of no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// Not a private key of a kind that NDN knows and we do.
    #[error("no private key for ECDSA P-256 or Ed25519 in PEM form, without a passphrase")]
    NotPrivate,
    /// Not a public key or a certificate of such a kind.
    #[error("neither a public key for ECDSA P-256 or Ed25519 in PEM form nor an NDN certificate with one")]
    NotPublic,
    /// An empty secret protects nothing.
    #[error("the secret is empty")]
    Empty,
}

/// Why a signature is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unverified {
    /// There is none where one should be.
    #[error("not signed")]
    NotSigned,
    /// It is of another kind than the trusted key's.
    #[error("signed in another way than the trusted key signs")]
    OtherKind,
    /// The trusted key did not make it for these bytes.
    #[error("the signature is wrong")]
    Wrong,
}

impl Signer {
    /// Signs with a mere digest: whoever receives it knows that nothing was damaged, and nothing about who sent it.
    pub fn digest() -> Signer {
        Signer {
            secret: Secret::Digest,
            key_name: NameBuf::new(),
        }
    }

    /// Signs with the private key in this PEM text, ECDSA P-256 (PKCS #8 or SEC 1) or Ed25519 (PKCS #8). Packets call it
    /// `key_name`.
    ///
    /// # Errors
    /// [`KeyError::NotPrivate`].
    pub fn from_pem(pem: &str, key_name: NameBuf) -> Result<Signer, KeyError> {
        let pem = behind_parameters(pem);
        let ecdsa = p256::SecretKey::from_pkcs8_pem(pem).or_else(|_| p256::SecretKey::from_sec1_pem(pem));
        let ecdsa = ecdsa.map(|key| Secret::Ecdsa(Box::new(key.into())));
        let secret = ecdsa.or_else(|_| {
            let key = ed25519_dalek::SigningKey::from_pkcs8_pem(pem).map_err(|_| KeyError::NotPrivate)?;
            Ok(Secret::Ed25519(Box::new(key)))
        })?;
        Ok(Signer { secret, key_name })
    }

    /// Signs with a shared secret (HMAC-SHA-256). Packets call it `key_name`.
    ///
    /// # Errors
    /// [`KeyError::Empty`].
    pub fn hmac(secret: &[u8], key_name: NameBuf) -> Result<Signer, KeyError> {
        Ok(Signer {
            secret: Secret::Hmac(keyed(secret)?),
            key_name,
        })
    }

    /// What packets say about the signature.
    pub fn info(&self) -> SignatureInfo<'_> {
        let kind = match self.secret {
            Secret::Digest => SignatureType::DigestSha256,
            Secret::Ecdsa(_) => SignatureType::Ecdsa,
            Secret::Ed25519(_) => SignatureType::Ed25519,
            Secret::Hmac(_) => SignatureType::Hmac,
        };
        let name: Name<'_> = self.key_name.as_name();
        SignatureInfo {
            key: (kind != SignatureType::DigestSha256).then_some(KeyLocator::Name(name)),
            ..SignatureInfo::new(kind)
        }
    }

    /// How long its signatures can be, in bytes.
    pub fn longest(&self) -> usize {
        match self.secret {
            Secret::Digest | Secret::Hmac(_) => 32,
            Secret::Ed25519(_) => 64,
            Secret::Ecdsa(_) => LONGEST,
        }
    }

    /// The signature of these bytes, taken one part after the other. Nothing is allocated.
    pub fn sign(&self, parts: &[&[u8]]) -> SignatureValue {
        match &self.secret {
            Secret::Digest => SignatureValue::new(&sha256(parts)),
            Secret::Hmac(keyed) => SignatureValue::new(&fed(keyed, parts).finalize().into_bytes()),
            Secret::Ed25519(key) => SignatureValue::new(&key.multipart_sign(parts).to_bytes()),
            Secret::Ecdsa(key) => {
                let signature: Result<p256::ecdsa::Signature, _> = key.sign_prehash(&sha256(parts));
                // It fails for hashes shorter than half the key alone; SHA-256 gives as many bits as the key has.
                let signature = signature.expect("a hash of 32 bytes is long enough for P-256");
                SignatureValue::new(signature.to_der().as_bytes())
            }
        }
    }
}

impl Verifier {
    /// Believes mere digests: nothing was damaged, whoever sent it.
    pub fn digest() -> Verifier {
        Verifier(Trusted::Digest)
    }

    /// Trusts the public key in this file: PEM, or an NDN certificate, as it is or in Base64. Whether the certificate
    /// is itself signed rightly, and still holds, is not asked: whoever names it as the anchor vouches for it.
    ///
    /// # Errors
    /// [`KeyError::NotPublic`].
    pub fn from_file(contents: &[u8]) -> Result<Verifier, KeyError> {
        if let Ok(text) = std::str::from_utf8(contents) {
            if text.trim_start().starts_with("-----BEGIN") {
                return Verifier::from_pem(text.trim_start());
            }
            let packed: String = text.split_ascii_whitespace().collect();
            if let Ok(certificate) = Base64::decode_vec(&packed) {
                return Verifier::from_certificate(&certificate);
            }
        }
        Verifier::from_certificate(contents)
    }

    fn from_pem(pem: &str) -> Result<Verifier, KeyError> {
        let ecdsa = p256::PublicKey::from_public_key_pem(pem).map(|key| Trusted::Ecdsa(Box::new(key.into())));
        let ed25519 = || ed25519_dalek::VerifyingKey::from_public_key_pem(pem);
        ecdsa
            .or_else(|_| ed25519().map(|key| Trusted::Ed25519(Box::new(key))))
            .map(Verifier)
            .map_err(|_| KeyError::NotPublic)
    }

    /// Trusts the key that this certificate holds (NDN certificate format 2.0).
    ///
    /// # Errors
    /// [`KeyError::NotPublic`].
    pub fn from_certificate(wire: &[u8]) -> Result<Verifier, KeyError> {
        let certificate = Data::parse(wire).map_err(|_| KeyError::NotPublic)?;
        let is_key = certificate.meta.and_then(|meta| meta.content_type) == Some(ContentType::Key);
        let der = certificate
            .content
            .filter(|_| is_key)
            .ok_or(KeyError::NotPublic)?;
        let ecdsa = p256::PublicKey::from_public_key_der(der).map(|key| Trusted::Ecdsa(Box::new(key.into())));
        let ed25519 = || ed25519_dalek::VerifyingKey::from_public_key_der(der);
        ecdsa
            .or_else(|_| ed25519().map(|key| Trusted::Ed25519(Box::new(key))))
            .map(Verifier)
            .map_err(|_| KeyError::NotPublic)
    }

    /// Trusts whoever holds this secret (HMAC-SHA-256).
    ///
    /// # Errors
    /// [`KeyError::Empty`].
    pub fn hmac(secret: &[u8]) -> Result<Verifier, KeyError> {
        keyed(secret).map(Trusted::Hmac).map(Verifier)
    }

    /// Whether `signature`, made in this way, is the trusted key's for these bytes.
    ///
    /// # Errors
    /// [`Unverified`] says why not.
    pub fn verify(&self, kind: SignatureType, parts: &[&[u8]], signature: &[u8]) -> Result<(), Unverified> {
        let is_right = match (&self.0, kind) {
            (Trusted::Digest, SignatureType::DigestSha256) => sha256(parts) == signature,
            (Trusted::Hmac(keyed), SignatureType::Hmac) => fed(keyed, parts).verify_slice(signature).is_ok(),
            (Trusted::Ecdsa(key), SignatureType::Ecdsa) => p256::ecdsa::DerSignature::try_from(signature)
                .is_ok_and(|signature| key.verify_prehash(&sha256(parts), &signature).is_ok()),
            (Trusted::Ed25519(key), SignatureType::Ed25519) => ed25519_dalek::Signature::try_from(signature)
                .is_ok_and(|signature| key.multipart_verify(parts, &signature).is_ok()),
            _ => return Err(Unverified::OtherKind),
        };
        if is_right { Ok(()) } else { Err(Unverified::Wrong) }
    }
}

/// `openssl ecparam -genkey` writes the curve's name before the key, which says it itself.
fn behind_parameters(pem: &str) -> &str {
    pem.split_once("-----END EC PARAMETERS-----")
        .map_or(pem, |(_, key)| key.trim_start())
}

fn keyed(secret: &[u8]) -> Result<Box<Hmac<Sha256>>, KeyError> {
    let keyed = Hmac::new_from_slice(secret).ok().filter(|_| !secret.is_empty());
    keyed.map(Box::new).ok_or(KeyError::Empty)
}

fn fed(keyed: &Hmac<Sha256>, parts: &[&[u8]]) -> Hmac<Sha256> {
    parts.iter().fold(keyed.clone(), Mac::chain_update)
}

impl SignatureValue {
    /// `bytes` are at most as many as the longest signature has.
    fn new(signature: &[u8]) -> SignatureValue {
        let mut bytes = [0; LONGEST];
        bytes[..signature.len()].copy_from_slice(signature);
        SignatureValue {
            bytes,
            len: signature.len() as u8,
        }
    }

    /// The signature.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = self.info().kind;
        write!(f, "Signer({kind:?}, {})", self.key_name)
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.0 {
            Trusted::Digest => SignatureType::DigestSha256,
            Trusted::Ecdsa(_) => SignatureType::Ecdsa,
            Trusted::Ed25519(_) => SignatureType::Ed25519,
            Trusted::Hmac(_) => SignatureType::Hmac,
        };
        write!(f, "Verifier({kind:?})")
    }
}
