//! What a packet says about its signature (NDN packet format 0.3, section "Signature"; signed Interest 0.3).

use super::name::Name;
use super::tlv::{Element, Malformed, Reader, Writer};
use super::types;

/// How a packet is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SignatureType {
    /// 0: a mere digest. It proves that nothing was damaged, and nothing about who wrote it.
    DigestSha256,
    /// 1: RSA PKCS #1 1.5 with SHA-256.
    Rsa,
    /// 3: ECDSA with SHA-256, as DER.
    Ecdsa,
    /// 4: HMAC with SHA-256.
    Hmac,
    /// 5: Ed25519.
    Ed25519,
    /// Any other.
    Other(u64),
}

/// SignatureInfo of Data, InterestSignatureInfo of Interests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignatureInfo<'a> {
    /// How.
    pub kind: SignatureType,
    /// With which key.
    pub key: Option<KeyLocator<'a>>,
    /// Random bytes that make a signed Interest unlike every other; at least one.
    pub nonce: Option<&'a [u8]>,
    /// When it was signed, in milliseconds since the Unix epoch.
    pub time: Option<u64>,
    /// The signer's own count of what it signed.
    pub seq_num: Option<u64>,
    /// Of a certificate: the elements that say from when to when it holds.
    pub validity: Option<&'a [u8]>,
}

/// Which key made a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyLocator<'a> {
    /// The name of the key or of its certificate.
    Name(Name<'a>),
    /// The digest of the key.
    Digest(&'a [u8]),
}

const ORDER: &[u32] = &[
    types::SIGNATURE_TYPE,
    types::KEY_LOCATOR,
    types::SIGNATURE_NONCE,
    types::SIGNATURE_TIME,
    types::SIGNATURE_SEQ_NUM,
    types::VALIDITY_PERIOD,
];

impl<'a> SignatureInfo<'a> {
    /// Says how, and nothing else.
    pub fn new(kind: SignatureType) -> SignatureInfo<'a> {
        SignatureInfo {
            kind,
            key: None,
            nonce: None,
            time: None,
            seq_num: None,
            validity: None,
        }
    }

    pub(super) fn of(element: &Element<'a>) -> Result<SignatureInfo<'a>, Malformed> {
        let mut fields = element.inner().fields(ORDER);
        let missing = Malformed::Missing(types::SIGNATURE_TYPE);
        let first = fields.field()?.ok_or(missing)?;
        if first.kind != types::SIGNATURE_TYPE {
            return Err(missing);
        }
        let mut info = SignatureInfo::new(SignatureType::from_number(first.integer()?));
        while let Some(field) = fields.field()? {
            match field.kind {
                types::KEY_LOCATOR => info.key = Some(KeyLocator::of(&field)?),
                types::SIGNATURE_NONCE if field.value.is_empty() => {
                    return Err(Malformed::BadValue(field.kind));
                }
                types::SIGNATURE_NONCE => info.nonce = Some(field.value),
                types::SIGNATURE_TIME => info.time = Some(field.integer()?),
                types::SIGNATURE_SEQ_NUM => info.seq_num = Some(field.integer()?),
                _ => info.validity = Some(field.value),
            }
        }
        Ok(info)
    }

    /// Writes it as an element of this type: SignatureInfo or InterestSignatureInfo.
    pub(super) fn emit(&self, kind: u32, writer: &mut Writer<'_>) {
        writer.nested(kind, |writer| {
            writer.integer(types::SIGNATURE_TYPE, self.kind.number());
            match self.key {
                Some(KeyLocator::Name(name)) => writer.nested(types::KEY_LOCATOR, |writer| name.emit(writer)),
                Some(KeyLocator::Digest(digest)) => writer.nested(types::KEY_LOCATOR, |writer| {
                    writer.element(types::KEY_DIGEST, digest);
                }),
                None => {}
            }
            if let Some(nonce) = self.nonce {
                writer.element(types::SIGNATURE_NONCE, nonce);
            }
            if let Some(time) = self.time {
                writer.integer(types::SIGNATURE_TIME, time);
            }
            if let Some(seq_num) = self.seq_num {
                writer.integer(types::SIGNATURE_SEQ_NUM, seq_num);
            }
            if let Some(validity) = self.validity {
                writer.element(types::VALIDITY_PERIOD, validity);
            }
        });
    }
}

impl<'a> KeyLocator<'a> {
    fn of(element: &Element<'a>) -> Result<KeyLocator<'a>, Malformed> {
        let mut reader: Reader<'a> = element.inner();
        let inner = reader.element()?.ok_or(Malformed::BadValue(element.kind))?;
        match inner.kind {
            types::NAME => Name::of(&inner).map(KeyLocator::Name),
            types::KEY_DIGEST => Ok(KeyLocator::Digest(inner.value)),
            other => Err(Malformed::Unexpected(other)),
        }
    }
}

impl SignatureType {
    /// Its number.
    pub fn number(self) -> u64 {
        match self {
            SignatureType::DigestSha256 => 0,
            SignatureType::Rsa => 1,
            SignatureType::Ecdsa => 3,
            SignatureType::Hmac => 4,
            SignatureType::Ed25519 => 5,
            SignatureType::Other(number) => number,
        }
    }

    /// The one with this number.
    pub fn from_number(number: u64) -> SignatureType {
        match number {
            0 => SignatureType::DigestSha256,
            1 => SignatureType::Rsa,
            3 => SignatureType::Ecdsa,
            4 => SignatureType::Hmac,
            5 => SignatureType::Ed25519,
            other => SignatureType::Other(other),
        }
    }
}
