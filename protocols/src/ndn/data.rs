//! Data (NDN packet format 0.3, section "Data Packet").

use super::keys::{Signer, Unverified, Verifier};
use super::name::{Component, DIGEST, Name};
use super::sha256;
use super::signature::SignatureInfo;
use super::tlv::{Element, Malformed, NoRoom, Reader, Writer, written};
use super::types;
use std::time::Duration;

/// An answer: something that has a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Data<'a> {
    /// Its name.
    pub name: Name<'a>,
    /// What is said about the content. An element that is there and empty is not the same bytes as none.
    pub meta: Option<MetaInfo<'a>>,
    /// The content.
    pub content: Option<&'a [u8]>,
    /// How and with which key it is signed.
    pub signature_info: SignatureInfo<'a>,
    /// The signature.
    pub signature_value: &'a [u8],
    /// What the signature covers, as it came; empty where the packet was not read from bytes.
    signed: &'a [u8],
    wire: &'a [u8],
}

/// What a Data is made of before it is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Unsigned<'a> {
    /// Its name.
    pub name: Name<'a>,
    /// What is said about the content.
    pub meta: Option<MetaInfo<'a>>,
    /// The content.
    pub content: Option<&'a [u8]>,
}

/// What a Data says about its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct MetaInfo<'a> {
    /// What the content is; `None` for a BLOB.
    pub content_type: Option<ContentType>,
    /// For how long after its arrival a cache may call it fresh, in whole milliseconds; `None` for not at all.
    pub freshness: Option<Duration>,
    /// The last component of the last name of the same series.
    pub final_block: Option<Component<'a>>,
}

/// What a Data's content is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ContentType {
    /// 0: bytes for the application.
    Blob,
    /// 1: names that lead to who has it.
    Link,
    /// 2: a public key, as DER SubjectPublicKeyInfo.
    Key,
    /// 3: the producer says that there is no such thing.
    Nack,
    /// Any other.
    Other(u64),
}

const ORDER: &[u32] = &[
    types::META_INFO,
    types::CONTENT,
    types::SIGNATURE_INFO,
    types::SIGNATURE_VALUE,
];

const META_ORDER: &[u32] = &[
    types::CONTENT_TYPE,
    types::FRESHNESS_PERIOD,
    types::FINAL_BLOCK_ID,
];

impl<'a> Data<'a> {
    /// Reads the Data that these bytes are. The signature is not checked.
    ///
    /// # Errors
    /// [`Malformed`] says what is wrong.
    pub fn parse(wire: &'a [u8]) -> Result<Data<'a>, Malformed> {
        let mut reader = Reader::inside(wire, types::DATA)?;
        let first = reader.required(types::NAME)?;
        let name = Name::of(&first)?;
        let (mut meta, mut content, mut info, mut value) = (None, None, None, None);
        let mut fields = reader.fields(ORDER);
        while let Some(field) = fields.field()? {
            match field.kind {
                types::META_INFO => meta = Some(MetaInfo::of(&field)?),
                types::CONTENT => content = Some(field.value),
                types::SIGNATURE_INFO => info = Some(SignatureInfo::of(&field)?),
                _ => value = Some(field),
            }
        }
        let value = value.ok_or(Malformed::Missing(types::SIGNATURE_VALUE))?;
        Ok(Data {
            name,
            meta,
            content,
            signature_info: info.ok_or(Malformed::Missing(types::SIGNATURE_INFO))?,
            signature_value: value.value,
            signed: &first.from[..first.from.len() - value.from.len()],
            wire,
        })
    }

    /// Writes the Data as it is, its signature value included.
    pub fn emit(&self, writer: &mut Writer<'_>) {
        let unsigned = Unsigned {
            name: self.name,
            meta: self.meta,
            content: self.content,
        };
        writer.nested(types::DATA, |writer| {
            unsigned.emit_signed_part(&self.signature_info, writer);
            writer.element(types::SIGNATURE_VALUE, self.signature_value);
        });
    }

    /// The digest of the whole packet, by which an Interest may ask for no other; `None` if it was not read from bytes.
    pub fn implicit_digest(&self) -> Option<[u8; DIGEST]> {
        (!self.wire.is_empty()).then(|| sha256(&[self.wire]))
    }

    /// Whether the Data is signed, rightly, with the key that this verifier trusts.
    ///
    /// # Errors
    /// [`Unverified`] says why not.
    pub fn verify(&self, verifier: &Verifier) -> Result<(), Unverified> {
        verifier.verify(self.signature_info.kind, &[self.signed], self.signature_value)
    }
}

impl Unsigned<'_> {
    /// The whole packet, signed.
    ///
    /// # Errors
    /// [`NoRoom`] if it is longer than any packet.
    pub fn sign(&self, signer: &Signer) -> Result<Vec<u8>, NoRoom> {
        let covered = written(|writer| self.emit_signed_part(&signer.info(), writer))?;
        let value = signer.sign(&[&covered]);
        written(|writer| {
            writer.nested(types::DATA, |writer| {
                writer.bytes(&covered);
                writer.element(types::SIGNATURE_VALUE, value.as_bytes());
            });
        })
    }

    fn emit_signed_part(&self, info: &SignatureInfo<'_>, writer: &mut Writer<'_>) {
        self.name.emit(writer);
        if let Some(meta) = &self.meta {
            meta.emit(writer);
        }
        if let Some(content) = self.content {
            writer.element(types::CONTENT, content);
        }
        info.emit(types::SIGNATURE_INFO, writer);
    }
}

impl<'a> MetaInfo<'a> {
    fn of(element: &Element<'a>) -> Result<MetaInfo<'a>, Malformed> {
        let mut meta = MetaInfo::default();
        let mut fields = element.inner().fields(META_ORDER);
        while let Some(field) = fields.field()? {
            match field.kind {
                types::CONTENT_TYPE => meta.content_type = Some(ContentType::from_number(field.integer()?)),
                types::FRESHNESS_PERIOD => meta.freshness = Some(Duration::from_millis(field.integer()?)),
                _ => meta.final_block = Some(final_block(&field)?),
            }
        }
        Ok(meta)
    }

    pub(super) fn emit(&self, writer: &mut Writer<'_>) {
        writer.nested(types::META_INFO, |writer| {
            if let Some(content_type) = self.content_type {
                writer.integer(types::CONTENT_TYPE, content_type.number());
            }
            if let Some(freshness) = self.freshness {
                let millis = u64::try_from(freshness.as_millis()).unwrap_or(u64::MAX);
                writer.integer(types::FRESHNESS_PERIOD, millis);
            }
            if let Some(last) = self.final_block {
                writer.nested(types::FINAL_BLOCK_ID, |writer| {
                    writer.element(u32::from(last.kind), last.value);
                });
            }
        });
    }
}

/// The one component that the element holds.
fn final_block<'a>(element: &Element<'a>) -> Result<Component<'a>, Malformed> {
    let name = Name::from_value(element.value)?;
    let mut components = name.components();
    match (components.next(), components.next()) {
        (Some(last), None) => Ok(last),
        _ => Err(Malformed::BadValue(element.kind)),
    }
}

impl ContentType {
    /// Its number.
    pub fn number(self) -> u64 {
        match self {
            ContentType::Blob => 0,
            ContentType::Link => 1,
            ContentType::Key => 2,
            ContentType::Nack => 3,
            ContentType::Other(number) => number,
        }
    }

    /// The one with this number.
    pub fn from_number(number: u64) -> ContentType {
        match number {
            0 => ContentType::Blob,
            1 => ContentType::Link,
            2 => ContentType::Key,
            3 => ContentType::Nack,
            other => ContentType::Other(other),
        }
    }
}
