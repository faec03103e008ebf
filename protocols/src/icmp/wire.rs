//! The echo messages (RFC 792 page 14, RFC 4443 sections 4.1 and 4.2): type, code, checksum, identifier, sequence number,
//! data.

use crate::ip_echo::checksum;

/// Octets before the data.
pub const HEADER: usize = 8;

const CHECKSUM: usize = 2;

/// The IP version that carries a message. The types differ, and so does what the checksum covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Family {
    /// ICMP (RFC 792): the checksum covers the message.
    #[default]
    V4,
    /// ICMPv6 (RFC 4443): the checksum covers the addresses too, which nobody here knows. The kernel writes it, and
    /// hands over no message in which it is wrong (RFC 3542 section 3.1).
    V6,
}

/// Whether a message asks or answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Echo (Request): type 8, or 128.
    Request,
    /// Echo Reply: type 0, or 129.
    Reply,
}

/// An echo message without its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Echo {
    /// Whether it asks or answers.
    pub kind: Kind,
    /// Whose it is: a reply has that of its request.
    pub identifier: u16,
    /// Which one: a reply has that of its request.
    pub sequence: u16,
}

/// Why a message is no echo.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotEcho {
    /// It ends before its data could begin.
    #[error("cut short")]
    Short,
    /// It has another type.
    #[error("of another type: {0}")]
    Type(u8),
    /// Its code is not 0, the only one that echo messages have.
    #[error("of a code that echo messages do not have: {0}")]
    Code(u8),
}

/// The buffer is shorter than a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no room for a header")]
pub struct Unfit;

impl Echo {
    /// Reads a message, or its beginning, up to its data; the checksum is another question ([`is_intact`]). Any bytes
    /// are fine.
    ///
    /// # Errors
    /// [`NotEcho`] says what it is not.
    pub fn parse(message: &[u8], family: Family) -> Result<(Echo, &[u8]), NotEcho> {
        let (header, data) = message.split_first_chunk::<HEADER>().ok_or(NotEcho::Short)?;
        let [kind, code, _, _, identifier @ .., s0, s1] = *header;
        let kind = Kind::of(kind, family).ok_or(NotEcho::Type(kind))?;
        if code != 0 {
            return Err(NotEcho::Code(code));
        }
        let echo = Echo {
            kind,
            identifier: u16::from_be_bytes(identifier),
            sequence: u16::from_be_bytes([s0, s1]),
        };
        Ok((echo, data))
    }

    /// Writes the header over the start of `message`, whose data is there already. The checksum of ICMPv6 stays 0, for
    /// the kernel to write.
    ///
    /// # Errors
    /// [`Unfit`] if there is no room for a header; nothing is written then.
    pub fn emit(&self, family: Family, message: &mut [u8]) -> Result<(), Unfit> {
        let header = message.first_chunk_mut::<HEADER>().ok_or(Unfit)?;
        let [i0, i1] = self.identifier.to_be_bytes();
        let [s0, s1] = self.sequence.to_be_bytes();
        *header = [self.kind.number(family), 0, 0, 0, i0, i1, s0, s1];
        if family == Family::V4 {
            let sum = checksum::of(message);
            message[CHECKSUM..CHECKSUM + 2].copy_from_slice(&sum.to_be_bytes());
        }
        Ok(())
    }
}

/// Whether a message of this family is as it was sent, as far as it tells by itself.
pub fn is_intact(message: &[u8], family: Family) -> bool {
    family == Family::V6 || checksum::is_right(message)
}

impl Kind {
    fn number(self, family: Family) -> u8 {
        match (self, family) {
            (Kind::Request, Family::V4) => 8,
            (Kind::Reply, Family::V4) => 0,
            (Kind::Request, Family::V6) => 128,
            (Kind::Reply, Family::V6) => 129,
        }
    }

    fn of(number: u8, family: Family) -> Option<Kind> {
        [Kind::Request, Kind::Reply]
            .into_iter()
            .find(|kind| kind.number(family) == number)
    }
}
