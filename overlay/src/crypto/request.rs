//! An initiation that was read: who asks, and for what. Nothing is kept for him yet.

use super::certificate::{Certificate, CertificateError};
use super::community::mac1_key;
use super::entropy::{Entropy, draw};
use super::hash::keyed;
use super::local::{Local, Role};
use super::noise::{Keys, Noise};
use crate::wire::{Answer, Initiation, Proposal, Response, Status, WireError};
use crate::{Cipher, Compression, PublicKey, vxlan};
use halloo_base::Wall;
use std::net::SocketAddr;

/// Why a message of a handshake is not answered, or changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum HandshakeError {
    /// Its `mac1` is wrong: the sender does not know this end's key or the community's.
    #[error("its mark is wrong")]
    Mark,
    /// Noise refuses it: another key, another secret, or changed on the way.
    #[error("its keys are wrong")]
    Noise,
    /// It was here before.
    #[error("it came twice")]
    Again,
    /// It belongs to no handshake that is under way.
    #[error("no handshake of this number")]
    Unknown,
    /// Both ends began at once, and this end's initiation goes first.
    #[error("both ends began at once")]
    Yielded,
    /// Of somebody whom nobody here knows, and too old, or without the certificate that is wanted.
    #[error("it is too old, or its maker is no member")]
    Unwanted,
    /// The answer would be longer than the initiation.
    #[error("the answer has no room")]
    Room,
}

/// What two ends agreed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agreed {
    /// How frames are kept.
    pub cipher: Cipher,
    /// How frames are made shorter.
    pub compression: Compression,
    /// The longest frame in octets that both take.
    pub frame: u16,
    /// The other end's name, for people.
    pub name: String,
    /// What the other end can do: bits of TLV 130.
    pub features: u32,
    /// The other end's software, for people.
    pub software: String,
    /// The other end's certificate, verified; where one is wanted.
    pub certificate: Option<Certificate>,
    /// This end's address as the other end sees it, if it said so.
    pub seen: Option<SocketAddr>,
}

/// Why there is no session, for both ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// As it is on the wire.
    pub status: Status,
    /// In words, for people.
    pub words: String,
}

/// An initiation, read.
pub struct Request {
    noise: Noise,
    sender: u32,
    len: usize,
    key: PublicKey,
    proposal: Result<Proposal, WireError>,
}

impl Request {
    /// Reads an initiation that the gate let through. Costs four multiplications on the curve, and keeps nothing.
    ///
    /// # Errors
    /// If it was not made for this end, with the community's secret, by the owner of the key in it.
    pub fn read(
        local: &Local,
        entropy: &mut dyn Entropy,
        initiation: &Initiation<'_>,
    ) -> Result<Request, HandshakeError> {
        let community = local.community_with(local.role());
        let mut noise = Noise::responder(local.identity(), community, draw(entropy))
            .map_err(|_| HandshakeError::Noise)?;
        let payload = noise.read(initiation.noise).map_err(|_| HandshakeError::Noise)?;
        Ok(Request {
            key: noise.remote().ok_or(HandshakeError::Noise)?,
            noise,
            sender: initiation.sender,
            len: initiation.len,
            proposal: Proposal::parse(&payload),
        })
    }

    /// Who asks. He has his private key; that he asks now and not some time ago only [`super::Peer::accept`] can tell.
    pub fn key(&self) -> PublicKey {
        self.key
    }

    /// What he says; `None` if it cannot be read, which is refused.
    pub fn proposal(&self) -> Option<&Proposal> {
        self.proposal.as_ref().ok()
    }

    /// By which he will know the session.
    pub(crate) fn sender(&self) -> u32 {
        self.sender
    }

    /// Appends the answer to him who will not be a peer.
    ///
    /// # Errors
    /// If it has no room.
    pub fn refuse(
        mut self,
        local: &Local,
        refusal: &Refusal,
        out: &mut Vec<u8>,
    ) -> Result<(), HandshakeError> {
        let answer = Answer::refusal(refusal.status, &refusal.words);
        // No session has the number 0.
        self.answer(local, 0, answer, out)
    }

    /// Appends the answer to an initiation that is older than one that was taken, with that one's time.
    ///
    /// # Errors
    /// If it has no room.
    pub(crate) fn too_old(
        &mut self,
        local: &Local,
        latest: u64,
        out: &mut Vec<u8>,
    ) -> Result<(), HandshakeError> {
        let words = "the initiation's clock is behind an earlier one's";
        let mut answer = Answer::refusal(Status::TooOld, words);
        answer.time = Some(latest);
        self.answer(local, 0, answer, out)
    }

    /// Whether anything is to be made for somebody whom nobody here knows. If not, there may be an answer to send, which
    /// was appended, and that is all.
    pub(crate) fn screen(
        mut self,
        local: &Local,
        latest: u64,
        wall: Wall,
        out: &mut Vec<u8>,
    ) -> Result<Request, HandshakeError> {
        match self.time() {
            Some(time) if time == latest => return Err(HandshakeError::Again),
            Some(time) if time < latest => {
                self.too_old(local, latest, out)?;
                return Err(HandshakeError::Unwanted);
            }
            _ => {}
        }
        if let Err(refusal) = self.certified(local, wall) {
            self.refuse(local, &refusal, out)?;
            return Err(HandshakeError::Unwanted);
        }
        Ok(self)
    }

    /// The certificate, if this end wants one.
    fn certified(&self, local: &Local, wall: Wall) -> Result<Option<Certificate>, Refusal> {
        let proposal = self.proposal.as_ref().map_err(|error| Refusal {
            status: Status::Version,
            words: error.to_string(),
        })?;
        let tag = match local.community() {
            Some(community) => Some(community.tag()),
            None => proposal.community.map(|(_, tag)| tag),
        };
        verified(local, proposal.certificate.as_deref(), &self.key, tag, wall)
    }

    /// What this end would agree to, or why not.
    pub(crate) fn judge(&self, local: &Local, wall: Wall) -> Result<Agreed, Refusal> {
        let certificate = self.certified(local, wall)?;
        let proposal = self.proposal.as_ref().map_err(|error| Refusal {
            status: Status::Version,
            words: error.to_string(),
        })?;
        let offer = &local.offer;
        if local.role() == Role::Edge
            && let Some(words) = vxlan::differ(offer.features, proposal.features)
        {
            return Err(Refusal {
                status: Status::DataPlane,
                words,
            });
        }
        let cipher = first_common(&proposal.ciphers, &offer.ciphers).ok_or_else(|| Refusal {
            status: Status::NoCipher,
            words: no_common("cipher", &offer.ciphers, &proposal.ciphers, Cipher::name),
        })?;
        let compression =
            first_common(&proposal.compressions, &offer.compressions).ok_or_else(|| Refusal {
                status: Status::NoCompression,
                words: no_common(
                    "compression",
                    &offer.compressions,
                    &proposal.compressions,
                    Compression::name,
                ),
            })?;
        Ok(Agreed {
            cipher,
            compression,
            frame: proposal.frame.min(offer.frame),
            name: proposal.name.clone(),
            features: proposal.features,
            software: proposal.software.clone(),
            certificate,
            seen: None,
        })
    }

    /// Appends the response. What is only for people, and a certificate that may not be wanted, give way to the rule that
    /// it is no longer than the initiation.
    pub(crate) fn answer(
        &mut self,
        local: &Local,
        number: u32,
        mut answer: Answer,
        out: &mut Vec<u8>,
    ) -> Result<(), HandshakeError> {
        let room = self.len.saturating_sub(Response::AROUND + 32 + 16);
        let mut payload = Vec::new();
        let fits = |answer: &Answer, payload: &mut Vec<u8>| {
            payload.clear();
            answer.emit(payload).is_ok() && payload.len() <= room
        };
        if !fits(&answer, &mut payload) {
            answer.software.clear();
            answer.name.clear();
            if !fits(&answer, &mut payload) {
                answer.certificate = None;
                if !fits(&answer, &mut payload) {
                    return Err(HandshakeError::Room);
                }
            }
        }
        let start = out.len();
        out.extend_from_slice(&Response::head(number, self.sender));
        self.noise
            .write(&payload, out)
            .map_err(|_| HandshakeError::Noise)?;
        let community = local.community_with(local.role());
        let mark = keyed(&mac1_key(&self.key, community), &[&out[start..]]);
        out.extend_from_slice(&mark);
        Ok(())
    }

    /// The keys, after the answer.
    pub(crate) fn keys(&mut self) -> Keys {
        self.noise.keys()
    }

    /// The time in it, if it could be read.
    pub(crate) fn time(&self) -> Option<u64> {
        self.proposal().map(|proposal| proposal.time)
    }
}

/// The other end's certificate, where this end wants one.
pub(crate) fn verified(
    local: &Local,
    octets: Option<&[u8]>,
    key: &PublicKey,
    tag: Option<crate::wire::CommunityTag>,
    wall: Wall,
) -> Result<Option<Certificate>, Refusal> {
    let Some(authority) = &local.authority else {
        return Ok(None);
    };
    let check = || {
        let certificate = Certificate::parse(octets.ok_or(CertificateError::Absent)?)?;
        authority.verify(&certificate, key, tag, wall)?;
        Ok(Some(certificate))
    };
    check().map_err(|error: CertificateError| Refusal {
        status: Status::Certificate,
        words: format!("certificate: {error}"),
    })
}

/// The first of the initiator's that the responder takes.
fn first_common<T: Copy + PartialEq>(theirs: &[T], ours: &[T]) -> Option<T> {
    theirs.iter().copied().find(|one| ours.contains(one))
}

fn no_common<T: Copy>(what: &str, ours: &[T], theirs: &[T], name: impl Fn(T) -> &'static str) -> String {
    let list = |all: &[T]| all.iter().map(|&one| name(one)).collect::<Vec<_>>().join(",");
    format!(
        "no common {what}: responder {}; initiator {}",
        list(ours),
        list(theirs)
    )
}

impl Compression {
    /// The word that people write.
    pub fn name(self) -> &'static str {
        match self {
            Compression::None => "none",
            Compression::Lz4 => "lz4",
            Compression::Zstd => "zstd",
        }
    }
}
