//! The messages before there is a session.

use super::{Reader, VERSION, WireError, kind};
use crate::PublicKey;

/// "Which key have you?" (64 octets, so that the answer is shorter).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hello {
    /// What the answer brings back, so that it is known to be one.
    pub token: [u8; 8],
}

/// A supernode's key. Anybody on the way can put another in its place: who wants to be sure has the key already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HelloReply {
    /// The hello's.
    pub token: [u8; 8],
    /// The supernode's identity.
    pub key: PublicKey,
    /// What it can do (bits as in the handshake's TLV 130).
    pub features: u32,
}

/// The first message of a handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Initiation<'a> {
    /// By which its sender will know the session.
    pub sender: u32,
    /// The first message of Noise.
    pub noise: &'a [u8],
    /// Shows that the sender knows the receiver's key, and the community's.
    pub mac1: [u8; 16],
    /// Shows that the sender has got a cookie; zeros without one.
    pub mac2: [u8; 16],
    /// All octets before `mac1`, for it to be checked.
    pub before_mac1: &'a [u8],
    /// All octets before `mac2`, for it to be checked.
    pub before_mac2: &'a [u8],
    /// Octets of the whole: no answer is longer.
    pub len: usize,
}

/// The second message of a handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Response<'a> {
    /// By which its sender knows the session.
    pub sender: u32,
    /// The initiation's `sender`.
    pub receiver: u32,
    /// The second message of Noise.
    pub noise: &'a [u8],
    /// Shows that the sender knows the initiator's key, and the community's.
    pub mac1: [u8; 16],
    /// All octets before `mac1`, for it to be checked.
    pub before_mac1: &'a [u8],
}

/// "Show first that this address is yours: send this back."
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cookie<'a> {
    /// The initiation's `sender`.
    pub receiver: u32,
    /// The initiation's `mac1`, so that nobody who has not seen it can answer.
    pub initiation: [u8; 16],
    /// The key of `mac2` from now on.
    pub cookie: [u8; 16],
    /// Shows that the sender has the keys under which the initiation's `mac1` was made.
    pub mac1: [u8; 16],
    /// All octets before `mac1`, for it to be checked.
    pub before_mac1: &'a [u8],
}

fn opened(datagram: &[u8]) -> Result<Reader<'_>, WireError> {
    let mut reader = Reader::new(datagram);
    reader.u8()?;
    match reader.u8()? {
        VERSION => {}
        other => return Err(WireError::Version(other)),
    }
    reader.u16()?;
    Ok(reader)
}

/// The octets before a message's last `N`, and those.
fn end<const N: usize>(datagram: &[u8]) -> Result<(&[u8], [u8; N]), WireError> {
    let (before, last) = datagram.split_last_chunk().ok_or(WireError::Length)?;
    Ok((before, *last))
}

fn expect(whether: bool) -> Result<(), WireError> {
    whether.then_some(()).ok_or(WireError::Length)
}

impl Hello {
    /// Octets of the message.
    pub const LEN: usize = 64;

    pub(super) fn parse(datagram: &[u8]) -> Result<Hello, WireError> {
        let mut reader = opened(datagram)?;
        expect(datagram.len() == Hello::LEN)?;
        let token = reader.array()?;
        Ok(Hello { token })
    }

    /// The message.
    pub fn emit(&self) -> [u8; Hello::LEN] {
        let mut out = [0; Hello::LEN];
        out[0] = kind::HELLO;
        out[1] = VERSION;
        out[4..12].copy_from_slice(&self.token);
        out
    }

    /// The answer of a supernode. It needs no state, and is shorter than what it answers.
    pub fn reply(&self, key: PublicKey, features: u32) -> HelloReply {
        HelloReply {
            token: self.token,
            key,
            features,
        }
    }
}

impl HelloReply {
    /// Octets of the message.
    pub const LEN: usize = 48;

    pub(super) fn parse(datagram: &[u8]) -> Result<HelloReply, WireError> {
        let mut reader = opened(datagram)?;
        expect(datagram.len() == HelloReply::LEN)?;
        Ok(HelloReply {
            token: reader.array()?,
            key: PublicKey(reader.array()?),
            features: reader.u32()?,
        })
    }

    /// The message.
    pub fn emit(&self) -> [u8; HelloReply::LEN] {
        let mut out = [0; HelloReply::LEN];
        out[0] = kind::HELLO_REPLY;
        out[1] = VERSION;
        out[4..12].copy_from_slice(&self.token);
        out[12..44].copy_from_slice(&self.key.0);
        out[44..].copy_from_slice(&self.features.to_be_bytes());
        out
    }
}

impl<'a> Initiation<'a> {
    /// Octets at least: an answer has room in as many.
    pub const SHORTEST: usize = 400;
    /// Octets at most: they pass through every path of IPv6.
    pub const LONGEST: usize = 1_200;
    /// Octets that are not Noise's: the head and the two marks.
    pub const AROUND: usize = 8 + 16 + 16;

    pub(super) fn parse(datagram: &'a [u8]) -> Result<Initiation<'a>, WireError> {
        let mut reader = opened(datagram)?;
        expect((Initiation::SHORTEST..=Initiation::LONGEST).contains(&datagram.len()))?;
        let sender = reader.u32()?;
        let (before_mac2, mac2) = end(datagram)?;
        let (before_mac1, mac1) = end(before_mac2)?;
        Ok(Initiation {
            sender,
            noise: before_mac1.get(8..).ok_or(WireError::Length)?,
            mac1,
            mac2,
            before_mac1,
            before_mac2,
            len: datagram.len(),
        })
    }

    /// The octets before Noise's message.
    pub fn head(sender: u32) -> [u8; 8] {
        let [a, b, c, d] = sender.to_be_bytes();
        [kind::INITIATION, VERSION, 0, 0, a, b, c, d]
    }
}

impl<'a> Response<'a> {
    /// Octets that are not Noise's: the head and the mark.
    pub const AROUND: usize = 12 + 16;
    /// Octets at least: Noise's key and its payload's tag.
    pub const SHORTEST: usize = Response::AROUND + 32 + 16;

    pub(super) fn parse(datagram: &'a [u8]) -> Result<Response<'a>, WireError> {
        let mut reader = opened(datagram)?;
        expect((Response::SHORTEST..=Initiation::LONGEST).contains(&datagram.len()))?;
        let (sender, receiver) = (reader.u32()?, reader.u32()?);
        let (before_mac1, mac1) = end(datagram)?;
        Ok(Response {
            sender,
            receiver,
            noise: before_mac1.get(12..).ok_or(WireError::Length)?,
            mac1,
            before_mac1,
        })
    }

    /// The octets before Noise's message.
    pub fn head(sender: u32, receiver: u32) -> [u8; 12] {
        let mut out = [0; 12];
        out[0] = kind::RESPONSE;
        out[1] = VERSION;
        out[4..8].copy_from_slice(&sender.to_be_bytes());
        out[8..].copy_from_slice(&receiver.to_be_bytes());
        out
    }
}

impl<'a> Cookie<'a> {
    /// Octets of the message.
    pub const LEN: usize = 56;

    pub(super) fn parse(datagram: &'a [u8]) -> Result<Cookie<'a>, WireError> {
        let mut reader = opened(datagram)?;
        expect(datagram.len() == Cookie::LEN)?;
        let (before_mac1, mac1) = end(datagram)?;
        Ok(Cookie {
            receiver: reader.u32()?,
            initiation: reader.array()?,
            cookie: reader.array()?,
            mac1,
            before_mac1,
        })
    }

    /// The message, with the mark that `mark` makes of the octets before it.
    pub fn emit(
        receiver: u32,
        initiation: [u8; 16],
        cookie: [u8; 16],
        mark: impl FnOnce(&[u8]) -> [u8; 16],
    ) -> [u8; Cookie::LEN] {
        let mut out = [0; Cookie::LEN];
        out[0] = kind::COOKIE;
        out[1] = VERSION;
        out[4..8].copy_from_slice(&receiver.to_be_bytes());
        out[8..24].copy_from_slice(&initiation);
        out[24..40].copy_from_slice(&cookie);
        let mac1 = mark(&out[..40]);
        out[40..].copy_from_slice(&mac1);
        out
    }
}
