//! What the two messages of a handshake say, sealed by Noise.

use super::WireError;
use super::tlv::{OPTIONAL, Once, Reader, bytes, fit, put_address, tlv, words};
use crate::{Cipher, Compression};
use std::net::SocketAddr;

/// By what a supernode keeps communities apart: follows from the community's secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommunityId(pub [u8; 16]);

/// Follows from the community's name alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommunityTag(pub [u8; 8]);

/// What the initiator says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    /// The wall clock in ns since 1970, later than in any initiation before to the same responder.
    pub time: u64,
    /// To a supernode: of which community the initiator is.
    pub community: Option<(CommunityId, CommunityTag)>,
    /// What it takes, the most wanted first.
    pub ciphers: Vec<Cipher>,
    /// What it takes, the most wanted first.
    pub compressions: Vec<Compression>,
    /// The longest frame that it takes, in octets.
    pub frame: u16,
    /// Its certificate, not looked at yet.
    pub certificate: Option<Vec<u8>>,
    /// The responder's receiver number of the session that the new one follows.
    pub rekey: Option<u32>,
    /// For people; at most 32 octets.
    pub name: String,
    /// Bits of TLV 130.
    pub features: u32,
    /// For people; at most 32 octets.
    pub software: String,
}

/// What the responder says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Whether there is a session now.
    pub status: Status,
    /// Which cipher, where the status is [`Status::Agreed`].
    pub cipher: Option<Cipher>,
    /// Which compression, where the status is [`Status::Agreed`].
    pub compression: Option<Compression>,
    /// The longest frame that the responder takes, in octets.
    pub frame: u16,
    /// With [`Status::TooOld`]: the latest time that was taken.
    pub time: Option<u64>,
    /// The responder's certificate, not looked at yet.
    pub certificate: Option<Vec<u8>>,
    /// For people; at most 32 octets.
    pub name: String,
    /// The initiator's address as the responder sees it.
    pub seen: Option<SocketAddr>,
    /// Bits of TLV 130.
    pub features: u32,
    /// For people; at most 32 octets.
    pub software: String,
    /// The status in words; at most 120 octets.
    pub reason: String,
}

/// What becomes of an initiation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    /// There is a session.
    Agreed,
    /// No cipher that both take.
    NoCipher,
    /// No compression that both take.
    NoCompression,
    /// The certificate is missing, foreign, expired, revoked or not of this key.
    Certificate,
    /// Not a member of this community.
    NotMember,
    /// No room.
    Full,
    /// Its time is not later than that of an earlier one.
    TooOld,
    /// Something in it that must be understood is not.
    Version,
    /// Its address is another's.
    AddressTaken,
    /// One end carries frames itself, the other has its kernel do it.
    DataPlane,
    /// Of a later version of the format.
    Other(u8),
}

const TIME: u8 = 1;
const COMMUNITY: u8 = 2;
const CIPHERS: u8 = 3;
const COMPRESSIONS: u8 = 4;
const FRAME: u8 = 5;
const STATUS: u8 = 6;
const CIPHER: u8 = 7;
const COMPRESSION: u8 = 8;
const CERTIFICATE: u8 = 9;
const REKEY: u8 = 10;
const NAME: u8 = 128;
const SEEN: u8 = 129;
const FEATURES: u8 = 130;
const SOFTWARE: u8 = 131;
const REASON: u8 = 132;
const PADDING: u8 = 255;

/// Octets of a name or of the software's.
const LONGEST_NAME: usize = 32;
/// Octets of a reason.
const LONGEST_REASON: usize = 120;

/// Walks TLVs of which each may be there once; what `take` does not know is left out or refused.
pub(super) fn walk<'a>(
    payload: &'a [u8],
    mut take: impl FnMut(u8, &mut Reader<'a>) -> Result<bool, WireError>,
) -> Result<(), WireError> {
    let mut reader = Reader::new(payload);
    let mut seen = Once::default();
    while !reader.is_empty() {
        let (kind, mut value) = reader.tlv()?;
        seen.see(kind)?;
        if take(kind, &mut value)? {
            value.end()?;
        } else if kind < OPTIONAL {
            return Err(WireError::UnknownType(kind));
        }
    }
    Ok(())
}

impl Proposal {
    /// Reads an initiation's payload. Ciphers and compressions that are not known here are left out.
    ///
    /// # Errors
    /// If a TLV is cut, repeated, missing, out of range, or unknown where it must be understood.
    pub fn parse(payload: &[u8]) -> Result<Proposal, WireError> {
        let (mut time, mut community, mut ciphers, mut compressions) = (None, None, None, None);
        let (mut frame, mut certificate, mut rekey) = (None, None, None);
        let (mut name, mut features, mut software) = (String::new(), 0, String::new());
        walk(payload, |kind, value| {
            match kind {
                TIME => time = Some(value.u64()?),
                COMMUNITY => community = Some((CommunityId(value.array()?), CommunityTag(value.array()?))),
                CIPHERS => ciphers = Some(known(value.rest(), Cipher::from_octet)),
                COMPRESSIONS => compressions = Some(known(value.rest(), Compression::from_octet)),
                FRAME => frame = Some(value.u16()?),
                CERTIFICATE => certificate = Some(value.rest().to_vec()),
                REKEY => rekey = Some(value.u32()?),
                NAME => name = words(value.rest(), LONGEST_NAME, kind)?,
                FEATURES => features = value.u32()?,
                SOFTWARE => software = words(value.rest(), LONGEST_NAME, kind)?,
                PADDING => drop(value.rest()),
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok(Proposal {
            time: time.ok_or(WireError::Missing(TIME))?,
            community,
            ciphers: ciphers.ok_or(WireError::Missing(CIPHERS))?,
            compressions: compressions.ok_or(WireError::Missing(COMPRESSIONS))?,
            frame: frame.ok_or(WireError::Missing(FRAME))?,
            certificate,
            rekey,
            name,
            features,
            software,
        })
    }

    /// Appends the TLVs, and padding up to `least` octets of them.
    ///
    /// # Errors
    /// If the certificate does not fit.
    pub fn emit(&self, out: &mut Vec<u8>, least: usize) -> Result<(), WireError> {
        let start = out.len();
        bytes(out, TIME, &self.time.to_be_bytes())?;
        if let Some((id, tag)) = &self.community {
            bytes(out, COMMUNITY, &[&id.0[..], &tag.0].concat())?;
        }
        let ciphers: Vec<u8> = self.ciphers.iter().map(|&cipher| cipher as u8).collect();
        bytes(out, CIPHERS, &ciphers)?;
        let compressions: Vec<u8> = self.compressions.iter().map(|&one| one as u8).collect();
        bytes(out, COMPRESSIONS, &compressions)?;
        bytes(out, FRAME, &self.frame.to_be_bytes())?;
        if let Some(certificate) = &self.certificate {
            bytes(out, CERTIFICATE, certificate)?;
        }
        if let Some(rekey) = self.rekey {
            bytes(out, REKEY, &rekey.to_be_bytes())?;
        }
        put_about(out, &self.name, self.features, &self.software)?;
        let written = out.len() - start;
        if written + 3 <= least {
            bytes(out, PADDING, &vec![0; least - written - 3])?;
        } else if written < least {
            bytes(out, PADDING, &[])?;
        }
        Ok(())
    }
}

impl Answer {
    /// An answer that refuses, with its reason.
    pub fn refusal(status: Status, reason: &str) -> Answer {
        Answer {
            status,
            cipher: None,
            compression: None,
            frame: 0,
            time: None,
            certificate: None,
            name: String::new(),
            seen: None,
            features: 0,
            software: String::new(),
            reason: fit(reason, LONGEST_REASON),
        }
    }

    /// Reads a response's payload.
    ///
    /// # Errors
    /// If a TLV is cut, repeated, missing, out of range, or unknown where it must be understood.
    pub fn parse(payload: &[u8]) -> Result<Answer, WireError> {
        let mut status = None;
        let mut answer = Answer::refusal(Status::Agreed, "");
        let mut frame = None;
        walk(payload, |kind, value| {
            match kind {
                TIME => answer.time = Some(value.u64()?),
                FRAME => frame = Some(value.u16()?),
                STATUS => status = Some(Status::from_octet(value.u8()?)),
                CIPHER => answer.cipher = Some(one(value, kind, Cipher::from_octet)?),
                COMPRESSION => answer.compression = Some(one(value, kind, Compression::from_octet)?),
                CERTIFICATE => answer.certificate = Some(value.rest().to_vec()),
                NAME => answer.name = words(value.rest(), LONGEST_NAME, kind)?,
                SEEN => answer.seen = Some(value.address()?),
                FEATURES => answer.features = value.u32()?,
                SOFTWARE => answer.software = words(value.rest(), LONGEST_NAME, kind)?,
                REASON => answer.reason = words(value.rest(), LONGEST_REASON, kind)?,
                PADDING => drop(value.rest()),
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        answer.status = status.ok_or(WireError::Missing(STATUS))?;
        if answer.status == Status::Agreed {
            answer.cipher.ok_or(WireError::Missing(CIPHER))?;
            answer.compression.ok_or(WireError::Missing(COMPRESSION))?;
            frame.ok_or(WireError::Missing(FRAME))?;
        }
        answer.frame = frame.unwrap_or(0);
        Ok(answer)
    }

    /// Appends the TLVs.
    ///
    /// # Errors
    /// If the certificate does not fit.
    pub fn emit(&self, out: &mut Vec<u8>) -> Result<(), WireError> {
        bytes(out, STATUS, &[self.status.octet()])?;
        if let Some(time) = self.time {
            bytes(out, TIME, &time.to_be_bytes())?;
        }
        if let Some(cipher) = self.cipher {
            bytes(out, CIPHER, &[cipher as u8])?;
        }
        if let Some(compression) = self.compression {
            bytes(out, COMPRESSION, &[compression as u8])?;
        }
        if self.frame != 0 {
            bytes(out, FRAME, &self.frame.to_be_bytes())?;
        }
        if let Some(certificate) = &self.certificate {
            bytes(out, CERTIFICATE, certificate)?;
        }
        if let Some(seen) = self.seen {
            tlv(out, SEEN, |out| {
                put_address(out, seen);
                Ok(())
            })?;
        }
        put_about(out, &self.name, self.features, &self.software)?;
        if !self.reason.is_empty() {
            bytes(out, REASON, fit(&self.reason, LONGEST_REASON).as_bytes())?;
        }
        Ok(())
    }
}

fn put_about(out: &mut Vec<u8>, name: &str, features: u32, software: &str) -> Result<(), WireError> {
    if !name.is_empty() {
        bytes(out, NAME, fit(name, LONGEST_NAME).as_bytes())?;
    }
    if features != 0 {
        bytes(out, FEATURES, &features.to_be_bytes())?;
    }
    if !software.is_empty() {
        bytes(out, SOFTWARE, fit(software, LONGEST_NAME).as_bytes())?;
    }
    Ok(())
}

/// Those of a list that are known, each once, in their order.
fn known<T: PartialEq>(octets: &[u8], from: impl Fn(u8) -> Option<T>) -> Vec<T> {
    let mut list = Vec::new();
    for item in octets.iter().filter_map(|&octet| from(octet)) {
        if !list.contains(&item) {
            list.push(item);
        }
    }
    list
}

fn one<T>(value: &mut Reader<'_>, kind: u8, from: impl Fn(u8) -> Option<T>) -> Result<T, WireError> {
    from(value.u8()?).ok_or(WireError::Value(kind))
}

impl Cipher {
    /// The cipher of this number on the wire.
    pub fn from_octet(octet: u8) -> Option<Cipher> {
        let all = [
            Cipher::None,
            Cipher::Mac,
            Cipher::Aes128Gcm,
            Cipher::Aes256Gcm,
            Cipher::ChaCha20Poly1305,
        ];
        all.get(usize::from(octet)).copied()
    }
}

impl Compression {
    /// The compression of this number on the wire.
    pub fn from_octet(octet: u8) -> Option<Compression> {
        let all = [Compression::None, Compression::Lz4, Compression::Zstd];
        all.get(usize::from(octet)).copied()
    }
}

impl Status {
    const ALL: [Status; 10] = [
        Status::Agreed,
        Status::NoCipher,
        Status::NoCompression,
        Status::Certificate,
        Status::NotMember,
        Status::Full,
        Status::TooOld,
        Status::Version,
        Status::AddressTaken,
        Status::DataPlane,
    ];

    /// The status of this number on the wire.
    pub fn from_octet(octet: u8) -> Status {
        let known = Status::ALL.get(usize::from(octet)).copied();
        known.unwrap_or(Status::Other(octet))
    }

    /// The number on the wire.
    pub fn octet(self) -> u8 {
        if let Status::Other(octet) = self {
            return octet;
        }
        let at = Status::ALL.iter().position(|&status| status == self);
        at.unwrap_or_default() as u8
    }
}
