//! What an authority signs: certificates of membership, and the list of those that hold no longer. Signatures are made and
//! checked in `crypto`.

use super::control::{Prefix, mac, prefix, put_macs, put_prefixes};
use super::payload::{CommunityTag, walk};
use super::tlv::{Reader, bytes, fit, tlv, words};
use super::{VERSION, WireError};
use crate::{Mac, PublicKey};

/// What an authority says of a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateBody {
    /// The member.
    pub key: PublicKey,
    /// For people; 1 to 32 octets.
    pub name: String,
    /// Of which community only; of any of the authority's without it.
    pub community: Option<CommunityTag>,
    /// From which Ethernet addresses he may send; from any without it.
    pub macs: Option<Vec<Mac>>,
    /// Which addresses he may have; any without it.
    pub addresses: Option<Vec<Prefix>>,
    /// Words that rules may name; at most 16, of at most 32 octets.
    pub groups: Vec<String>,
    /// Seconds since 1970 from which it holds.
    pub not_before: u64,
    /// Seconds since 1970 from which it holds no longer.
    pub not_after: u64,
    /// By which it can be revoked.
    pub serial: u64,
    /// The first octets of BLAKE2s-256 of the authority's public key.
    pub issuer: [u8; 8],
}

/// Which certificates of an authority hold no longer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevocationBody {
    /// Seconds since 1970: of two lists the later holds.
    pub issued: u64,
    /// These, in ascending order, at most 4,096.
    pub serials: Vec<u64>,
    /// As in the certificate.
    pub issuer: [u8; 8],
}

/// Bytes with a signature behind them, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signed<'a> {
    /// What is signed.
    pub body: &'a [u8],
    /// Ed25519 (RFC 8032).
    pub signature: &'a [u8; 64],
}

impl<'a> Signed<'a> {
    /// Takes the last 64 octets for the signature.
    ///
    /// # Errors
    /// If there are fewer.
    pub fn parse(bytes: &'a [u8]) -> Result<Signed<'a>, WireError> {
        let (body, signature) = bytes.split_last_chunk().ok_or(WireError::Length)?;
        Ok(Signed { body, signature })
    }
}

/// What both have in common: a version, a zero, TLVs.
pub(crate) trait Fields: Sized {
    /// Octets at most, with the signature.
    const LONGEST: usize;
    /// What the signature is over, before the body.
    const CONTEXT: &'static [u8];

    /// Reads the TLVs after the head.
    fn parse_tlvs(tlvs: &[u8]) -> Result<Self, WireError>;

    /// Appends the TLVs.
    fn emit_tlvs(&self, out: &mut Vec<u8>) -> Result<(), WireError>;

    /// Reads what is signed.
    fn parse(body: &[u8]) -> Result<Self, WireError> {
        if body.len() + 64 > Self::LONGEST {
            return Err(WireError::Length);
        }
        let mut reader = Reader::new(body);
        match (reader.u8()?, reader.u8()?) {
            (VERSION, 0) => Self::parse_tlvs(reader.rest()),
            (version, _) => Err(WireError::Version(version)),
        }
    }

    /// Writes what is to be signed.
    fn emit(&self) -> Result<Vec<u8>, WireError> {
        let mut out = vec![VERSION, 0];
        self.emit_tlvs(&mut out)?;
        if out.len() + 64 > Self::LONGEST {
            return Err(WireError::TooLong);
        }
        Ok(out)
    }
}

const KEY: u8 = 1;
const NAME: u8 = 2;
const COMMUNITY: u8 = 3;
const MACS: u8 = 4;
const ADDRESSES: u8 = 5;
const GROUPS: u8 = 6;
const NOT_BEFORE: u8 = 7;
const NOT_AFTER: u8 = 8;
const SERIAL: u8 = 9;
const ISSUER: u8 = 10;
const ISSUED: u8 = 11;
const SERIALS: u8 = 12;

const LONGEST_NAME: usize = 32;
const MOST_GROUPS: usize = 16;

impl CertificateBody {
    /// The octets that are to be signed, without what the signature puts before them.
    ///
    /// # Errors
    /// If there are more than the format allows.
    pub fn unsigned(&self) -> Result<Vec<u8>, WireError> {
        self.emit()
    }
}

impl Fields for CertificateBody {
    const LONGEST: usize = 640;
    const CONTEXT: &'static [u8] = b"halloo overlay certificate 1";

    fn parse_tlvs(tlvs: &[u8]) -> Result<CertificateBody, WireError> {
        let (mut key, mut name, mut community, mut macs, mut addresses) = (None, None, None, None, None);
        let (mut not_before, mut not_after, mut serial, mut issuer) = (None, None, None, None);
        let mut groups = Vec::new();
        walk(tlvs, |kind, value| {
            match kind {
                KEY => key = Some(PublicKey(value.array()?)),
                NAME => name = Some(words(value.rest(), LONGEST_NAME, kind)?).filter(|name| !name.is_empty()),
                COMMUNITY => community = Some(CommunityTag(value.array()?)),
                MACS => macs = Some(value.all(mac)?),
                ADDRESSES => addresses = Some(value.all(|value| prefix(value, kind))?),
                GROUPS => groups = value.all(|value| group(value, kind))?,
                NOT_BEFORE => not_before = Some(value.u64()?),
                NOT_AFTER => not_after = Some(value.u64()?),
                SERIAL => serial = Some(value.u64()?),
                ISSUER => issuer = Some(value.array()?),
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        if groups.len() > MOST_GROUPS {
            return Err(WireError::Value(GROUPS));
        }
        Ok(CertificateBody {
            key: key.ok_or(WireError::Missing(KEY))?,
            name: name.ok_or(WireError::Missing(NAME))?,
            community,
            macs,
            addresses,
            groups,
            not_before: not_before.ok_or(WireError::Missing(NOT_BEFORE))?,
            not_after: not_after.ok_or(WireError::Missing(NOT_AFTER))?,
            serial: serial.ok_or(WireError::Missing(SERIAL))?,
            issuer: issuer.ok_or(WireError::Missing(ISSUER))?,
        })
    }

    fn emit_tlvs(&self, out: &mut Vec<u8>) -> Result<(), WireError> {
        bytes(out, KEY, &self.key.0)?;
        bytes(out, NAME, fit(&self.name, LONGEST_NAME).as_bytes())?;
        if let Some(tag) = &self.community {
            bytes(out, COMMUNITY, &tag.0)?;
        }
        if let Some(macs) = &self.macs {
            tlv(out, MACS, |out| {
                put_macs(out, macs);
                Ok(())
            })?;
        }
        if let Some(addresses) = &self.addresses {
            tlv(out, ADDRESSES, |out| {
                put_prefixes(out, addresses);
                Ok(())
            })?;
        }
        if self.groups.len() > MOST_GROUPS {
            return Err(WireError::TooLong);
        }
        if !self.groups.is_empty() {
            tlv(out, GROUPS, |out| {
                for group in &self.groups {
                    let group = fit(group, LONGEST_NAME);
                    // At most 32 octets.
                    out.push(group.len() as u8);
                    out.extend_from_slice(group.as_bytes());
                }
                Ok(())
            })?;
        }
        bytes(out, NOT_BEFORE, &self.not_before.to_be_bytes())?;
        bytes(out, NOT_AFTER, &self.not_after.to_be_bytes())?;
        bytes(out, SERIAL, &self.serial.to_be_bytes())?;
        bytes(out, ISSUER, &self.issuer)
    }
}

impl Fields for RevocationBody {
    const LONGEST: usize = 128 + 8 * 4_096;
    const CONTEXT: &'static [u8] = b"halloo overlay revocation 1";

    fn parse_tlvs(tlvs: &[u8]) -> Result<RevocationBody, WireError> {
        let (mut issued, mut serials, mut issuer) = (None, None, None);
        walk(tlvs, |kind, value| {
            match kind {
                ISSUER => issuer = Some(value.array()?),
                ISSUED => issued = Some(value.u64()?),
                SERIALS => serials = Some(value.all(Reader::u64)?),
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        let serials = serials.ok_or(WireError::Missing(SERIALS))?;
        // Looked up by halving, so the order is a promise.
        if !serials.is_sorted_by(|a, b| a < b) {
            return Err(WireError::Value(SERIALS));
        }
        Ok(RevocationBody {
            issued: issued.ok_or(WireError::Missing(ISSUED))?,
            serials,
            issuer: issuer.ok_or(WireError::Missing(ISSUER))?,
        })
    }

    fn emit_tlvs(&self, out: &mut Vec<u8>) -> Result<(), WireError> {
        bytes(out, ISSUER, &self.issuer)?;
        bytes(out, ISSUED, &self.issued.to_be_bytes())?;
        let mut serials = self.serials.clone();
        serials.sort_unstable();
        serials.dedup();
        tlv(out, SERIALS, |out| {
            let octets = serials.iter().flat_map(|serial| serial.to_be_bytes());
            out.extend(octets);
            Ok(())
        })
    }
}

fn group(value: &mut Reader<'_>, kind: u8) -> Result<String, WireError> {
    let len = value.u8()?;
    words(value.bytes(usize::from(len))?, LONGEST_NAME, kind)
}
