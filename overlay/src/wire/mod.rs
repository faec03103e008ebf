//! Datagrams of the overlay, parsed and emitted (`docs/wire/overlay.md`).
//!
//! [`Message::parse`] looks at the first octet and at lengths, no more: what is inside a message is for who has its key.

mod control;
mod data;
mod handshake;
mod member;
mod payload;
#[cfg(test)]
mod tests;
mod tlv;
mod vtep;

pub use control::{Bookmark, Control, Controls, Introduced, Prefix, Registration, SupernodeAt};
pub use data::{Channel, Content, DataHeader, HEADER_LEN, LONGEST_DATAGRAM, TAG_LEN, flag};
pub use handshake::{Cookie, Hello, HelloReply, Initiation, Response};
pub use member::{CertificateBody, RevocationBody, Signed};
pub use payload::{Answer, CommunityId, CommunityTag, Proposal, Status};
pub use vtep::Vtep;

pub(crate) use member::Fields;
pub(crate) use tlv::Reader;

/// The version of the format that this code speaks.
pub const VERSION: u8 = 1;

/// The first octet of each kind of datagram.
pub mod kind {
    /// An edge asks a supernode for its key.
    pub const HELLO: u8 = 0xa0;
    /// The supernode's key.
    pub const HELLO_REPLY: u8 = 0xa1;
    /// The first message of a handshake.
    pub const INITIATION: u8 = 0xa2;
    /// The second message of a handshake.
    pub const RESPONSE: u8 = 0xa3;
    /// "Show first that this address is yours."
    pub const COOKIE: u8 = 0xa4;
    /// What a session carries.
    pub const DATA: u8 = 0xa5;
    /// What a relay carries for two of its members.
    pub const CHANNEL: u8 = 0xa6;
}

/// Bits by which an end says what it does and wants (type 130).
pub mod feature {
    /// It carries for others.
    pub const RELAYS: u32 = 1;
    /// It wants no direct path: nobody is told where it is.
    pub const NO_DIRECT: u32 = 4;
    /// Its kernel carries its frames, by VXLAN.
    pub const VXLAN: u32 = 8;
    /// It takes frames that come from other ports than the main one, and sends such.
    pub const SUBFLOWS: u32 = 16;
}

/// A datagram by its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// [`kind::HELLO`].
    Hello(Hello),
    /// [`kind::HELLO_REPLY`].
    HelloReply(HelloReply),
    /// [`kind::INITIATION`].
    Initiation(Initiation<'a>),
    /// [`kind::RESPONSE`].
    Response(Response<'a>),
    /// [`kind::COOKIE`].
    Cookie(Cookie<'a>),
    /// [`kind::DATA`]: its header; the session knows the rest.
    Data(DataHeader),
    /// [`kind::CHANNEL`].
    Channel(Channel<'a>),
}

impl<'a> Message<'a> {
    /// Reads a datagram's frame. Nothing in it has been proved to be true.
    ///
    /// # Errors
    /// If it is of no kind of this format, of another version, or of a wrong length.
    pub fn parse(datagram: &'a [u8]) -> Result<Message<'a>, WireError> {
        let kind = *datagram.first().ok_or(WireError::Length)?;
        match kind {
            kind::DATA => DataHeader::parse(datagram).map(Message::Data),
            kind::CHANNEL => Channel::parse(datagram).map(Message::Channel),
            kind::HELLO => Hello::parse(datagram).map(Message::Hello),
            kind::HELLO_REPLY => HelloReply::parse(datagram).map(Message::HelloReply),
            kind::INITIATION => Initiation::parse(datagram).map(Message::Initiation),
            kind::RESPONSE => Response::parse(datagram).map(Message::Response),
            kind::COOKIE => Cookie::parse(datagram).map(Message::Cookie),
            other => Err(WireError::Kind(other)),
        }
    }
}

/// Why bytes are not what they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// The first octet names no kind of this format.
    #[error("no kind of datagram begins with {0:#04x}")]
    Kind(u8),
    /// Another version of this format.
    #[error("version {0} of the overlay's format, this is version 1")]
    Version(u8),
    /// Shorter or longer than its kind may be, or than a field in it says.
    #[error("a length is wrong")]
    Length,
    /// A TLV that must be understood and is not.
    #[error("type {0} is not known here")]
    UnknownType(u8),
    /// A TLV that may be there once only.
    #[error("type {0} is there twice")]
    Repeated(u8),
    /// A TLV that must be there.
    #[error("type {0} is missing")]
    Missing(u8),
    /// A value outside its range.
    #[error("the value of type {0} is out of range")]
    Value(u8),
    /// More than the format's field holds.
    #[error("too long to be written")]
    TooLong,
}
