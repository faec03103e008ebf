//! What sessions and relays carry.

use super::{Reader, WireError, kind};

/// Octets of a data datagram before its content.
pub const HEADER_LEN: usize = 16;

/// Octets after a content that is sealed or marked.
pub const TAG_LEN: usize = 16;

/// UDP carries no more over IPv4 (65,535 less the headers).
pub const LONGEST_DATAGRAM: usize = 65_507;

/// The bits of [`DataHeader::flags`].
pub mod flag {
    /// The content is sealed by the control key.
    pub const CONTROL: u16 = 1;
    /// The content is not sealed and has no tag.
    pub const CLEAR: u16 = 2;
    /// The content is not sealed and has a tag.
    pub const MARKED: u16 = 4;
}

/// The first 16 octets of a data datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DataHeader {
    /// Which of the sender's paths this came on, 0 to 31.
    pub path: u8,
    /// How the content is kept: none, or one, of [`flag`]'s bits.
    pub flags: u16,
    /// By which the receiver knows the session.
    pub receiver: u32,
    /// How many datagrams went before this one on this path.
    pub counter: u64,
}

/// What a content is; the number is its first octet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Content {
    /// Zeros.
    Nothing = 0,
    /// Whole frames.
    Frames = 1,
    /// A part of a super-frame.
    Segment = 2,
    /// A part of a frame.
    Fragment = 3,
    /// Control TLVs.
    Control = 4,
}

/// What a relay carries from one of its members to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Channel<'a> {
    /// By which the relay, or the member that gets it, knows the channel.
    pub number: u32,
    /// A datagram of a kind that two members say to each other.
    pub inner: &'a [u8],
}

impl DataHeader {
    /// Paths that a sender has: 0 for greetings, 1 to 15 for ways to the other end, and those below.
    pub const PATHS: u8 = 32;

    /// The first of the paths whose datagrams leave by other ports than the main one.
    pub const SUBFLOWS: u8 = 16;

    /// The first of the paths of answers to them: that many more than the path of the question.
    pub const SUBFLOW_ANSWERS: u8 = 24;

    /// Whether it is about another port than the main one.
    pub fn is_subflow(&self) -> bool {
        self.path >= DataHeader::SUBFLOWS
    }

    pub(super) fn parse(datagram: &[u8]) -> Result<DataHeader, WireError> {
        if !(HEADER_LEN + 1..=LONGEST_DATAGRAM).contains(&datagram.len()) {
            return Err(WireError::Length);
        }
        let mut reader = Reader::new(datagram);
        reader.u8()?;
        let path = reader.u8()?;
        if path >= DataHeader::PATHS {
            return Err(WireError::Value(kind::DATA));
        }
        Ok(DataHeader {
            path,
            flags: reader.u16()?,
            receiver: reader.u32()?,
            counter: reader.u64()?,
        })
    }

    /// The octets.
    pub fn emit(&self) -> [u8; HEADER_LEN] {
        let mut out = [0; HEADER_LEN];
        out[0] = kind::DATA;
        out[1] = self.path;
        out[2..4].copy_from_slice(&self.flags.to_be_bytes());
        out[4..8].copy_from_slice(&self.receiver.to_be_bytes());
        out[8..].copy_from_slice(&self.counter.to_be_bytes());
        out
    }
}

impl Content {
    /// The bit in a content's first octet that says it is compressed.
    pub const COMPRESSED: u8 = 128;

    /// What begins with this octet, and whether it is compressed.
    pub fn parse(octet: u8) -> Option<(Content, bool)> {
        let content = match octet & !Content::COMPRESSED {
            0 => Content::Nothing,
            1 => Content::Frames,
            2 => Content::Segment,
            3 => Content::Fragment,
            4 => Content::Control,
            _ => return None,
        };
        Some((content, octet & Content::COMPRESSED != 0))
    }

    /// Whether it must come sealed, whatever the session's cipher.
    pub fn is_control(self) -> bool {
        matches!(self, Content::Nothing | Content::Control)
    }
}

impl<'a> Channel<'a> {
    /// Octets before what is carried.
    pub const HEADER_LEN: usize = 8;

    pub(super) fn parse(datagram: &'a [u8]) -> Result<Channel<'a>, WireError> {
        let mut reader = Reader::new(datagram);
        reader.u32()?;
        let (number, inner) = (reader.u32()?, reader.rest());
        match inner.first() {
            // Not a channel in a channel, which could go in circles, nor a hello, which is for supernodes.
            Some(kind::INITIATION..=kind::DATA) => Ok(Channel { number, inner }),
            Some(&other) => Err(WireError::Kind(other)),
            None => Err(WireError::Length),
        }
    }

    /// The octets before what is carried.
    pub fn head(number: u32) -> [u8; Channel::HEADER_LEN] {
        let [a, b, c, d] = number.to_be_bytes();
        [kind::CHANNEL, 0, 0, 0, a, b, c, d]
    }
}
