//! STUN messages (RFC 8489 section 5) and the attributes that a Binding needs (section 14, RFC 5780 section 7).

use super::fingerprint;
use halloo_base::Reason;
use std::net::{IpAddr, SocketAddr};

/// Length of the header, in bytes.
pub const HEADER: usize = 20;
/// The bytes 4 to 7 of every message since RFC 5389.
pub const COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
/// The one method that halloo speaks (RFC 8489 section 18.2).
pub const BINDING: u16 = 1;
/// Length of the type and length fields before each attribute's value, in bytes.
pub const ATTRIBUTE: usize = 4;
/// Length of the FINGERPRINT attribute, in bytes.
pub const FINGERPRINT: usize = ATTRIBUTE + 4;
/// Length of an attribute that holds an IPv6 address, in bytes; one with an IPv4 address has [`IPV4_ADDRESS`].
pub const IPV6_ADDRESS: usize = ATTRIBUTE + 20;
/// Length of an attribute that holds an IPv4 address, in bytes.
pub const IPV4_ADDRESS: usize = ATTRIBUTE + 8;
/// The longest message that the length field can tell, in bytes.
pub const LONGEST: usize = HEADER + 0xfffc;

/// Attribute types: section 18.3 of RFC 8489, section 9.1 of RFC 5780.
pub mod attribute {
    /// The client's address as it is. Only for clients and servers of RFC 3489, and beside the next in RFC 5780.
    pub const MAPPED_ADDRESS: u16 = 0x0001;
    /// Asks for an answer from another address or port (RFC 5780 section 7.2).
    pub const CHANGE_REQUEST: u16 = 0x0003;
    /// Who asks; not looked at here.
    pub const USERNAME: u16 = 0x0006;
    /// HMAC-SHA-1 of what stands before it; not looked at here. What follows it is ignored.
    pub const MESSAGE_INTEGRITY: u16 = 0x0008;
    /// Why a request was refused.
    pub const ERROR_CODE: u16 = 0x0009;
    /// The types in a request that were not understood and should have been.
    pub const UNKNOWN_ATTRIBUTES: u16 = 0x000a;
    /// Where a user name is valid; not looked at here.
    pub const REALM: u16 = 0x0014;
    /// A server's challenge; not looked at here.
    pub const NONCE: u16 = 0x0015;
    /// HMAC-SHA-256 of what stands before it; not looked at here. What follows it is ignored.
    pub const MESSAGE_INTEGRITY_SHA256: u16 = 0x001c;
    /// How a password is hashed; not looked at here.
    pub const PASSWORD_ALGORITHM: u16 = 0x001d;
    /// A hashed user name; not looked at here.
    pub const USERHASH: u16 = 0x001e;
    /// The client's address, combined with the transaction so that no NAT finds and rewrites it.
    pub const XOR_MAPPED_ADDRESS: u16 = 0x0020;
    /// Bytes without a meaning, wanted in the answer too (RFC 5780 section 7.6).
    pub const PADDING: u16 = 0x0026;
    /// Bytes without a meaning, for servers that do not know PADDING: its number in the range that is ignored where
    /// it is unknown, and reserved there, so that it will never mean anything.
    pub const FILLER: u16 = 0x8026;
    /// CRC-32 of what stands before it.
    pub const FINGERPRINT: u16 = 0x8028;
    /// The address that the answer is sent from (RFC 5780 section 7.3).
    pub const RESPONSE_ORIGIN: u16 = 0x802b;
    /// The server's other address with its other port (RFC 5780 section 7.4).
    pub const OTHER_ADDRESS: u16 = 0x802c;

    /// Whether who does not understand this type must not act on the message (RFC 8489 section 14).
    pub fn is_required(kind: u16) -> bool {
        kind < 0x8000
    }

    /// Whether RFC 8489 defines this type of the required range.
    pub fn is_known(kind: u16) -> bool {
        matches!(
            kind,
            MAPPED_ADDRESS
                | USERNAME
                | MESSAGE_INTEGRITY
                | ERROR_CODE
                | UNKNOWN_ATTRIBUTES
                | REALM
                | NONCE
                | MESSAGE_INTEGRITY_SHA256
                | PASSWORD_ALGORITHM
                | USERHASH
                | XOR_MAPPED_ADDRESS
        )
    }
}

/// What a message wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// An answer.
    Request,
    /// No answer.
    Indication,
    /// It is one.
    Success,
    /// It is one, and says no.
    Error,
}

/// What an answer brings back unchanged: the cookie and 96 bits, or all 128 bits of a client of RFC 3489.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transaction(pub [u8; 16]);

/// A message whose every attribute is whole, and whose FINGERPRINT is right if it has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// What it wants.
    pub class: Class,
    /// What it is about, 12 bits; [`BINDING`] or another.
    pub method: u16,
    /// What tells it from others.
    pub transaction: Transaction,
    /// Whether it ends in a FINGERPRINT.
    pub is_fingerprinted: bool,
    attributes: &'a [u8],
}

/// Why bytes are not a STUN message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotStun {
    /// Fewer than 20 bytes, or their first two bits are not 0.
    #[error("not a STUN message")]
    Header,
    /// The length field does not say what follows, or not in words of four bytes.
    #[error("a STUN message of wrong length")]
    Length,
    /// An attribute reaches beyond the message, or a FINGERPRINT is not its end.
    #[error("a STUN message with a broken attribute")]
    Attribute,
    /// The FINGERPRINT is wrong.
    #[error("a STUN message with a wrong fingerprint")]
    Fingerprint,
}

/// There is no room for another attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no room for the attribute")]
pub struct Unfit;

/// Which other source an answer is wanted from (RFC 5780 section 7.2). The default is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Change {
    /// Another address.
    pub ip: bool,
    /// Another port.
    pub port: bool,
}

/// Whether a datagram is a STUN message as far as its header tells (RFC 8489 section 5): it begins with two bits of 0, has
/// the cookie, and is as long as it says. So STUN can share a port with other protocols.
pub fn is_stun(payload: &[u8]) -> bool {
    Head::of_all(payload).is_ok_and(|head| head.transaction.has_cookie())
}

/// Whether a datagram is a Binding request as far as its header tells: what an echo host answers as a STUN server, and every
/// other datagram as ever.
pub fn is_binding_request(payload: &[u8]) -> bool {
    let head = Head::of_all(payload);
    head.is_ok_and(|head| {
        head.transaction.has_cookie() && head.class() == Class::Request && head.method() == BINDING
    })
}

/// The transaction of a Binding request of which no more than the beginning is there.
pub fn quoted_request(start: &[u8]) -> Option<Transaction> {
    let head = Head::parse(start)?;
    (head.class() == Class::Request && head.method() == BINDING).then_some(head.transaction)
}

/// The header as it came.
struct Head {
    kind: u16,
    length: u16,
    transaction: Transaction,
}

impl Head {
    fn parse(start: &[u8]) -> Option<Head> {
        let head: &[u8; HEADER] = start.first_chunk()?;
        let (fields, transaction) = head.split_first_chunk::<4>()?;
        let [kind_high, kind_low, length_high, length_low] = *fields;
        let kind = u16::from_be_bytes([kind_high, kind_low]);
        (kind >> 14 == 0).then_some(Head {
            kind,
            length: u16::from_be_bytes([length_high, length_low]),
            transaction: Transaction(*transaction.first_chunk()?),
        })
    }

    /// The header of a whole message.
    fn of_all(datagram: &[u8]) -> Result<Head, NotStun> {
        let head = Head::parse(datagram).ok_or(NotStun::Header)?;
        let is_right = head.length.is_multiple_of(4) && HEADER + usize::from(head.length) == datagram.len();
        is_right.then_some(head).ok_or(NotStun::Length)
    }

    /// The class has two bits inside the type (RFC 8489 section 5, figure 3).
    fn class(&self) -> Class {
        match (self.kind & 0x0100 != 0, self.kind & 0x0010 != 0) {
            (false, false) => Class::Request,
            (false, true) => Class::Indication,
            (true, false) => Class::Success,
            (true, true) => Class::Error,
        }
    }

    fn method(&self) -> u16 {
        self.kind & 0x000f | self.kind >> 1 & 0x0070 | self.kind >> 2 & 0x0f80
    }
}

impl Transaction {
    /// Whether it is one of RFC 5389 and later. A client of RFC 3489 fills all its bits at random.
    pub fn has_cookie(&self) -> bool {
        self.0.starts_with(&COOKIE)
    }
}

impl<'a> Message<'a> {
    /// Reads a datagram that is one message.
    ///
    /// # Errors
    /// [`NotStun`] says what is wrong.
    pub fn parse(datagram: &'a [u8]) -> Result<Message<'a>, NotStun> {
        let head = Head::of_all(datagram)?;
        let attributes = datagram.get(HEADER..).ok_or(NotStun::Length)?;
        let mut rest = attributes;
        let mut is_fingerprinted = false;
        while !rest.is_empty() {
            let (kind, value, behind) = first(rest).ok_or(NotStun::Attribute)?;
            if kind == attribute::FINGERPRINT {
                let told: &[u8; 4] = value.try_into().map_err(|_| NotStun::Attribute)?;
                if !behind.is_empty() {
                    return Err(NotStun::Attribute);
                }
                let before = datagram.len().saturating_sub(rest.len());
                let covered = datagram.get(..before).ok_or(NotStun::Attribute)?;
                if u32::from_be_bytes(*told) != fingerprint::of(covered) {
                    return Err(NotStun::Fingerprint);
                }
                is_fingerprinted = true;
            }
            rest = behind;
        }
        Ok(Message {
            class: head.class(),
            method: head.method(),
            transaction: head.transaction,
            is_fingerprinted,
            attributes,
        })
    }

    /// Types and values of the attributes that count, in their order: those behind a MESSAGE-INTEGRITY are left out, but
    /// for the two that may stand there (RFC 8489 sections 14.5 and 14.6).
    pub fn attributes(&self) -> impl Iterator<Item = (u16, &'a [u8])> + Clone + use<'a> {
        use attribute::{FINGERPRINT, MESSAGE_INTEGRITY, MESSAGE_INTEGRITY_SHA256};
        let mut rest = self.attributes;
        let mut signed = None;
        std::iter::from_fn(move || {
            loop {
                let (kind, value, behind) = first(rest)?;
                rest = behind;
                let counts = match signed {
                    None => true,
                    Some(MESSAGE_INTEGRITY) => matches!(kind, MESSAGE_INTEGRITY_SHA256 | FINGERPRINT),
                    Some(_) => kind == FINGERPRINT,
                };
                if matches!(kind, MESSAGE_INTEGRITY | MESSAGE_INTEGRITY_SHA256) && counts {
                    signed = Some(kind);
                }
                if counts {
                    return Some((kind, value));
                }
            }
        })
    }

    /// The value of the first attribute of a type; others of the same type do not count (RFC 8489 section 14).
    pub fn attribute(&self, kind: u16) -> Option<&'a [u8]> {
        self.attributes()
            .find(|&(found, _)| found == kind)
            .map(|(_, value)| value)
    }

    /// The address in the first attribute of a type, with XOR-MAPPED-ADDRESS in clear.
    pub fn address(&self, kind: u16) -> Option<SocketAddr> {
        let (fields, ip) = self.attribute(kind)?.split_first_chunk::<4>()?;
        let [_, family, port_high, port_low] = *fields;
        let mask = Mask::of(kind, self.transaction);
        let ip = match family {
            1 => IpAddr::from(mask.apply::<4>(ip.try_into().ok()?)),
            2 => IpAddr::from(mask.apply::<16>(ip.try_into().ok()?)),
            _ => return None,
        };
        let port = u16::from_be_bytes(mask.apply([port_high, port_low]));
        Some(SocketAddr::new(ip, port))
    }

    /// The number in ERROR-CODE, 300 to 699 (RFC 8489 section 14.8).
    pub fn error_code(&self) -> Option<u32> {
        let &[_, _, class, number] = self.attribute(attribute::ERROR_CODE)?.first_chunk::<4>()?;
        let class = class & 7;
        ((3..=6).contains(&class) && number <= 99).then(|| u32::from(class) * 100 + u32::from(number))
    }
}

impl Change {
    /// Reads the value of a CHANGE-REQUEST; `None` if it is none.
    pub fn parse(value: &[u8]) -> Option<Change> {
        let &[_, _, _, flags] = <&[u8; 4]>::try_from(value).ok()?;
        Some(Change {
            ip: flags & 4 != 0,
            port: flags & 2 != 0,
        })
    }

    /// The value of a CHANGE-REQUEST that asks for this.
    pub fn value(self) -> [u8; 4] {
        let ip = if self.ip { 4 } else { 0 };
        let port = if self.port { 2 } else { 0 };
        [0, 0, 0, ip | port]
    }

    /// Whether no other source is wanted.
    pub fn is_none(self) -> bool {
        self == Change::default()
    }
}

/// Type and value of the first attribute, and what is behind it and its padding.
fn first(attributes: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let (fields, rest) = attributes.split_first_chunk::<ATTRIBUTE>()?;
    let [kind_high, kind_low, length_high, length_low] = *fields;
    let length = usize::from(u16::from_be_bytes([length_high, length_low]));
    let behind = rest.get(length.next_multiple_of(4)..)?;
    Some((
        u16::from_be_bytes([kind_high, kind_low]),
        rest.get(..length)?,
        behind,
    ))
}

/// What addresses are combined with: the transaction, cookie first (RFC 8489 section 14.2), or nothing.
struct Mask([u8; 16]);

impl Mask {
    fn of(kind: u16, transaction: Transaction) -> Mask {
        match kind {
            attribute::XOR_MAPPED_ADDRESS => Mask(transaction.0),
            _ => Mask([0; 16]),
        }
    }

    /// Combines up to 16 bytes; the same again gives them back.
    fn apply<const N: usize>(&self, mut bytes: [u8; N]) -> [u8; N] {
        for (byte, mask) in bytes.iter_mut().zip(self.0) {
            *byte ^= mask;
        }
        bytes
    }
}

/// Writes a Binding message over the beginning of a buffer.
pub struct Writer<'a> {
    bytes: &'a mut [u8],
    at: usize,
    transaction: Transaction,
    fingerprint: bool,
}

impl<'a> Writer<'a> {
    /// Begins a message, which will end in a FINGERPRINT if that is wanted.
    ///
    /// # Errors
    /// [`Unfit`] if the buffer has no room for these.
    pub fn new(
        bytes: &'a mut [u8],
        class: Class,
        transaction: Transaction,
        fingerprint: bool,
    ) -> Result<Writer<'a>, Unfit> {
        let kind = BINDING
            | match class {
                Class::Request => 0,
                Class::Indication => 0x0010,
                Class::Success => 0x0100,
                Class::Error => 0x0110,
            };
        let writer = Writer {
            bytes,
            at: HEADER,
            transaction,
            fingerprint,
        };
        if writer.bytes.len() < writer.whole_len() {
            return Err(Unfit);
        }
        let (fields, rest) = writer.bytes.split_first_chunk_mut::<4>().ok_or(Unfit)?;
        let [high, low] = kind.to_be_bytes();
        *fields = [high, low, 0, 0];
        *rest.first_chunk_mut().ok_or(Unfit)? = transaction.0;
        Ok(writer)
    }

    /// How long the message is, in bytes, if it ends here.
    pub fn whole_len(&self) -> usize {
        self.at + if self.fingerprint { FINGERPRINT } else { 0 }
    }

    /// Adds an attribute whose value has `length` bytes, zero until `fill` writes them.
    ///
    /// # Errors
    /// [`Unfit`] if there is no room; nothing is written then.
    pub fn attribute(&mut self, kind: u16, length: usize, fill: impl FnOnce(&mut [u8])) -> Result<(), Unfit> {
        let told = u16::try_from(length).map_err(|_| Unfit)?;
        let whole = ATTRIBUTE + length.next_multiple_of(4);
        let longest = self.bytes.len().min(LONGEST);
        if self.whole_len() + whole > longest {
            return Err(Unfit);
        }
        let place = self.bytes.get_mut(self.at..self.at + whole).ok_or(Unfit)?;
        let (fields, value) = place.split_first_chunk_mut::<ATTRIBUTE>().ok_or(Unfit)?;
        let ([kind_high, kind_low], [high, low]) = (kind.to_be_bytes(), told.to_be_bytes());
        *fields = [kind_high, kind_low, high, low];
        value.fill(0);
        fill(value.get_mut(..length).ok_or(Unfit)?);
        self.at += whole;
        Ok(())
    }

    /// Adds an attribute that holds an address, an IPv4 address in its IPv6 form as IPv4.
    ///
    /// # Errors
    /// As [`Writer::attribute`].
    pub fn address(&mut self, kind: u16, addr: SocketAddr) -> Result<(), Unfit> {
        let mask = Mask::of(kind, self.transaction);
        let [high, low] = mask.apply(addr.port().to_be_bytes());
        match addr.ip().to_canonical() {
            IpAddr::V4(ip) => {
                let [a, b, c, d] = mask.apply(ip.octets());
                let value = [0, 1, high, low, a, b, c, d];
                self.attribute(kind, value.len(), |to| to.copy_from_slice(&value))
            }
            IpAddr::V6(ip) => {
                let mut value = [0; IPV6_ADDRESS - ATTRIBUTE];
                value[..4].copy_from_slice(&[0, 2, high, low]);
                value[4..].copy_from_slice(&mask.apply(ip.octets()));
                self.attribute(kind, value.len(), |to| to.copy_from_slice(&value))
            }
        }
    }

    /// Adds a CHANGE-REQUEST, with or without a wish in it.
    ///
    /// # Errors
    /// As [`Writer::attribute`].
    pub fn change(&mut self, change: Change) -> Result<(), Unfit> {
        let value = change.value();
        self.attribute(attribute::CHANGE_REQUEST, value.len(), |to| {
            to.copy_from_slice(&value);
        })
    }

    /// Ends the message; says how long it is, in bytes.
    pub fn finish(self) -> usize {
        let whole = self.whole_len();
        // No attribute was taken that would make it longer than the length field can tell.
        let length = (whole - HEADER) as u16;
        let (message, tail) = self.bytes.split_at_mut(self.at);
        message[2..4].copy_from_slice(&length.to_be_bytes());
        if self.fingerprint {
            // Every attribute left room for this one.
            let [high, low] = attribute::FINGERPRINT.to_be_bytes();
            let [a, b, c, d] = fingerprint::of(message).to_be_bytes();
            tail[..FINGERPRINT].copy_from_slice(&[high, low, 0, 4, a, b, c, d]);
        }
        whole
    }
}

impl From<NotStun> for Reason {
    fn from(why: NotStun) -> Reason {
        match why {
            NotStun::Fingerprint => Reason::BadChecksum,
            NotStun::Header | NotStun::Length | NotStun::Attribute => Reason::Malformed,
        }
    }
}
