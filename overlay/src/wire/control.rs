//! What sessions say besides frames: the TLVs of a content of kind 4.

use super::tlv::{OPTIONAL, Reader, fit, put_address, put_ip, tlv, words};
use super::{Status, Vtep, WireError};
use crate::{Mac, PublicKey};
use std::net::{IpAddr, SocketAddr};

/// One thing said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Control {
    /// "Are you there, and does as much get through?"
    Ping {
        /// Which one.
        number: u32,
        /// The sender's time, in whatever unit it likes.
        time: u64,
        /// Octets of zeros that follow, to try a size.
        padding: u16,
    },
    /// "I am."
    Pong {
        /// The ping's.
        number: u32,
        /// The ping's.
        time: u64,
        /// Octets of the datagram that the ping came in.
        size: u16,
        /// Where the ping came from.
        seen: SocketAddr,
        /// How long the answer waited, in ns.
        waited: u64,
    },
    /// Addresses at which the sender might be reached; at most 16.
    Candidates(Vec<SocketAddr>),
    /// "This session is over."
    Close {
        /// Why; the numbers are a response's statuses, 0 is "goodbye".
        reason: Status,
        /// Why, in words; at most 120 octets.
        words: String,
    },
    /// "I do not know this type."
    Unknown(u8),
    /// Addresses that are no longer at the sender's.
    Flush(Vec<Mac>),
    /// Where the sender's VXLAN device is, and who is behind it.
    Vtep(Vtep),
    /// An edge's registration with a supernode.
    Register(Registration),
    /// The supernode's answer.
    Registered {
        /// Seconds until the registration is forgotten.
        lifetime: u16,
        /// The address that the edge may use, where it wanted one or has one.
        address: Option<Prefix>,
        /// Members of the community.
        members: u32,
        /// Others of the community's name with another secret.
        strangers: u16,
    },
    /// A part of the list of members, or nothing but the news that there is something to be asked for.
    Members {
        /// Where to go on.
        next: Bookmark,
        /// How many are to follow.
        more: u32,
        /// The list begins anew: who is not in it is a member no longer.
        anew: bool,
        /// Who came, or tells something else of itself now.
        members: Vec<Introduced>,
        /// Who left.
        gone: Vec<PublicKey>,
    },
    /// "I want to meet him", or "he wants to meet you".
    Meet {
        /// The other.
        key: PublicKey,
        /// Where he might be reached; at most 16.
        candidates: Vec<SocketAddr>,
    },
    /// "Carry for me to him."
    OpenChannel(PublicKey),
    /// A relay's channel.
    Channel {
        /// Who is at the other end.
        key: PublicKey,
        /// What to write before each datagram.
        number: u32,
        /// Seconds until it is forgotten.
        lifetime: u16,
    },
    /// Other supernodes.
    Supernodes(Vec<SupernodeAt>),
    /// "Tell me the members from here on."
    List(Bookmark),
    /// "I do not do this."
    Refused {
        /// The type of what was asked.
        kind: u8,
        /// Why; a response's status.
        reason: Status,
        /// Why, in words; at most 120 octets.
        words: String,
    },
}

/// What an edge tells a supernode about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    /// Seconds for which it asks.
    pub lifetime: u16,
    /// Its Ethernet addresses; at most 255.
    pub macs: Vec<Mac>,
    /// Its addresses; at most 255.
    pub addresses: Vec<Prefix>,
    /// Whether it wants to be given an address.
    pub wants_address: bool,
    /// For people; at most 32 octets.
    pub name: String,
}

/// An address with the length of its prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix {
    /// The address.
    pub address: IpAddr,
    /// Bits of it that are the network's: at most 32 of IPv4, 128 of IPv6.
    pub len: u8,
}

/// A member as a supernode tells of him. Nothing of it is proved before there is a session with him.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Introduced {
    /// Who.
    pub key: PublicKey,
    /// Bits of TLV 130.
    pub features: u32,
    /// Where he might be reached; at most 16.
    pub candidates: Vec<SocketAddr>,
    /// For people; at most 32 octets.
    pub name: String,
}

/// How far somebody has followed the changes of a list. Begin with the default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bookmark {
    /// Everything up to this version was told.
    pub cursor: u32,
    /// The list that is being followed was begun at this version; what left before that was never in it. 0 for none.
    pub begun: u32,
}

/// Where another supernode is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SupernodeAt {
    /// Its address.
    pub address: SocketAddr,
    /// Its identity.
    pub key: PublicKey,
}

const PING: u8 = 1;
const PONG: u8 = 2;
const CANDIDATES: u8 = 3;
const CLOSE: u8 = 4;
const UNKNOWN: u8 = 5;
const FLUSH: u8 = 6;
const VTEP: u8 = 7;
const REGISTER: u8 = 16;
const REGISTERED: u8 = 17;
const MEMBERS: u8 = 18;
const MEET: u8 = 20;
const OPEN_CHANNEL: u8 = 21;
const CHANNEL: u8 = 22;
const SUPERNODES: u8 = 23;
const LIST: u8 = 24;
const REFUSED: u8 = 25;

/// Addresses in one list.
const MOST_CANDIDATES: usize = 16;
const LONGEST_NAME: usize = 32;
const LONGEST_WORDS: usize = 120;

/// The TLVs of a content, one after another. After an error there is no more.
#[derive(Clone, Debug)]
pub struct Controls<'a>(Reader<'a>);

impl<'a> Controls<'a> {
    /// Those of a control content, without its first octet.
    pub fn new(content: &'a [u8]) -> Controls<'a> {
        Controls(Reader::new(content))
    }
}

impl Iterator for Controls<'_> {
    type Item = Result<Control, WireError>;

    /// The next one; a type that is not known is an error that tells the type if it had to be understood
    /// ([`WireError::UnknownType`], after which the next one can be asked for), and is left out else.
    fn next(&mut self) -> Option<Self::Item> {
        while !self.0.is_empty() {
            let read = self
                .0
                .tlv()
                .and_then(|(kind, value)| Ok((kind, Control::parse(kind, value)?)));
            match read {
                Ok((_, Some(control))) => return Some(Ok(control)),
                Ok((kind, None)) if kind < OPTIONAL => return Some(Err(WireError::UnknownType(kind))),
                Ok((_, None)) => {}
                Err(error) => {
                    self.0.rest();
                    return Some(Err(error));
                }
            }
        }
        None
    }
}

impl Control {
    /// The type on the wire.
    pub fn kind(&self) -> u8 {
        match self {
            Control::Ping { .. } => PING,
            Control::Pong { .. } => PONG,
            Control::Candidates(_) => CANDIDATES,
            Control::Close { .. } => CLOSE,
            Control::Unknown(_) => UNKNOWN,
            Control::Flush(_) => FLUSH,
            Control::Vtep(_) => VTEP,
            Control::Register(_) => REGISTER,
            Control::Registered { .. } => REGISTERED,
            Control::Members { .. } => MEMBERS,
            Control::Meet { .. } => MEET,
            Control::OpenChannel(_) => OPEN_CHANNEL,
            Control::Channel { .. } => CHANNEL,
            Control::Supernodes(_) => SUPERNODES,
            Control::List(_) => LIST,
            Control::Refused { .. } => REFUSED,
        }
    }

    fn parse(kind: u8, mut value: Reader<'_>) -> Result<Option<Control>, WireError> {
        let v = &mut value;
        let control = match kind {
            PING => Control::Ping {
                number: v.u32()?,
                time: v.u64()?,
                // A TLV's length is in two octets.
                padding: v.rest().len() as u16,
            },
            PONG => Control::Pong {
                number: v.u32()?,
                time: v.u64()?,
                size: v.u16()?,
                seen: v.address()?,
                waited: v.u64()?,
            },
            CANDIDATES => Control::Candidates(candidates(v, kind)?),
            CLOSE => Control::Close {
                reason: Status::from_octet(v.u8()?),
                words: words(v.rest(), LONGEST_WORDS, kind)?,
            },
            UNKNOWN => Control::Unknown(v.u8()?),
            FLUSH => Control::Flush(v.all(mac)?),
            VTEP => Control::Vtep(Vtep::parse(v, kind)?),
            REGISTER => Control::Register(Registration {
                lifetime: v.u16()?,
                macs: counted(v, mac)?,
                addresses: counted(v, |v| prefix(v, kind))?,
                wants_address: flag(v.u8()?, kind)?,
                name: words(v.rest(), LONGEST_NAME, kind)?,
            }),
            REGISTERED => Control::Registered {
                lifetime: v.u16()?,
                address: Some(prefix(v, kind)?).filter(|prefix| !prefix.address.is_unspecified()),
                members: v.u32()?,
                strangers: v.u16()?,
            },
            MEMBERS => {
                let next = bookmark(v)?;
                let (more, anew) = (v.u32()?, flag(v.u8()?, kind)?);
                let gone = (0..v.u16()?).map(|_| key(v)).collect::<Result<_, _>>()?;
                Control::Members {
                    next,
                    more,
                    anew,
                    members: v.all(|v| introduced(v, kind))?,
                    gone,
                }
            }
            MEET => Control::Meet {
                key: key(v)?,
                candidates: candidates(v, kind)?,
            },
            OPEN_CHANNEL => Control::OpenChannel(key(v)?),
            CHANNEL => Control::Channel {
                key: key(v)?,
                number: v.u32()?,
                lifetime: v.u16()?,
            },
            SUPERNODES => Control::Supernodes(v.all(|v| {
                Ok(SupernodeAt {
                    address: v.address()?,
                    key: key(v)?,
                })
            })?),
            LIST => Control::List(bookmark(v)?),
            REFUSED => Control::Refused {
                kind: v.u8()?,
                reason: Status::from_octet(v.u8()?),
                words: words(v.rest(), LONGEST_WORDS, kind)?,
            },
            _ => return Ok(None),
        };
        value.end()?;
        Ok(Some(control))
    }

    /// Appends the TLV to a content.
    ///
    /// # Errors
    /// If a list is longer than its count or the TLV can say. What was appended is then to be thrown away.
    pub fn emit(&self, out: &mut Vec<u8>) -> Result<(), WireError> {
        tlv(out, self.kind(), |out| self.value(out))
    }

    fn value(&self, out: &mut Vec<u8>) -> Result<(), WireError> {
        match self {
            Control::Ping {
                number,
                time,
                padding,
            } => {
                out.extend_from_slice(&number.to_be_bytes());
                out.extend_from_slice(&time.to_be_bytes());
                out.resize(out.len() + usize::from(*padding), 0);
            }
            Control::Pong {
                number,
                time,
                size,
                seen,
                waited,
            } => {
                out.extend_from_slice(&number.to_be_bytes());
                out.extend_from_slice(&time.to_be_bytes());
                out.extend_from_slice(&size.to_be_bytes());
                put_address(out, *seen);
                out.extend_from_slice(&waited.to_be_bytes());
            }
            Control::Candidates(addresses) => put_candidates(out, addresses)?,
            Control::Close { reason, words } => {
                out.push(reason.octet());
                out.extend_from_slice(fit(words, LONGEST_WORDS).as_bytes());
            }
            Control::Unknown(kind) => out.push(*kind),
            Control::Flush(macs) => put_macs(out, macs),
            Control::Vtep(vtep) => vtep.emit(out)?,
            Control::Register(registration) => {
                out.extend_from_slice(&registration.lifetime.to_be_bytes());
                out.push(count(registration.macs.len())?);
                put_macs(out, &registration.macs);
                out.push(count(registration.addresses.len())?);
                put_prefixes(out, &registration.addresses);
                out.push(u8::from(registration.wants_address));
                out.extend_from_slice(fit(&registration.name, LONGEST_NAME).as_bytes());
            }
            Control::Registered {
                lifetime,
                address,
                members,
                strangers,
            } => {
                out.extend_from_slice(&lifetime.to_be_bytes());
                let none = Prefix {
                    address: IpAddr::from([0; 16]),
                    len: 0,
                };
                put_prefixes(out, &[address.unwrap_or(none)]);
                out.extend_from_slice(&members.to_be_bytes());
                out.extend_from_slice(&strangers.to_be_bytes());
            }
            Control::Members {
                next,
                more,
                anew,
                members,
                gone,
            } => {
                put_bookmark(out, *next);
                out.extend_from_slice(&more.to_be_bytes());
                out.push(u8::from(*anew));
                let count_gone = u16::try_from(gone.len()).map_err(|_| WireError::TooLong)?;
                out.extend_from_slice(&count_gone.to_be_bytes());
                gone.iter().for_each(|key| out.extend_from_slice(&key.0));
                for member in members {
                    out.extend_from_slice(&member.key.0);
                    out.extend_from_slice(&member.features.to_be_bytes());
                    out.push(count(member.candidates.len())?);
                    put_candidates(out, &member.candidates)?;
                    let name = fit(&member.name, LONGEST_NAME);
                    out.push(count(name.len())?);
                    out.extend_from_slice(name.as_bytes());
                }
            }
            Control::Meet { key, candidates } => {
                out.extend_from_slice(&key.0);
                put_candidates(out, candidates)?;
            }
            Control::OpenChannel(key) => out.extend_from_slice(&key.0),
            Control::Channel {
                key,
                number,
                lifetime,
            } => {
                out.extend_from_slice(&key.0);
                out.extend_from_slice(&number.to_be_bytes());
                out.extend_from_slice(&lifetime.to_be_bytes());
            }
            Control::Supernodes(supernodes) => {
                for supernode in supernodes {
                    put_address(out, supernode.address);
                    out.extend_from_slice(&supernode.key.0);
                }
            }
            Control::List(bookmark) => put_bookmark(out, *bookmark),
            Control::Refused { kind, reason, words } => {
                out.extend_from_slice(&[*kind, reason.octet()]);
                out.extend_from_slice(fit(words, LONGEST_WORDS).as_bytes());
            }
        }
        Ok(())
    }
}

fn bookmark(value: &mut Reader<'_>) -> Result<Bookmark, WireError> {
    Ok(Bookmark {
        cursor: value.u32()?,
        begun: value.u32()?,
    })
}

fn put_bookmark(out: &mut Vec<u8>, bookmark: Bookmark) {
    out.extend_from_slice(&bookmark.cursor.to_be_bytes());
    out.extend_from_slice(&bookmark.begun.to_be_bytes());
}

/// As many items as an octet before them says.
fn counted<'a, T>(
    value: &mut Reader<'a>,
    item: impl Fn(&mut Reader<'a>) -> Result<T, WireError>,
) -> Result<Vec<T>, WireError> {
    (0..value.u8()?).map(|_| item(value)).collect()
}

pub(super) fn mac(value: &mut Reader<'_>) -> Result<Mac, WireError> {
    value.array().map(Mac)
}

fn key(value: &mut Reader<'_>) -> Result<PublicKey, WireError> {
    value.array().map(PublicKey)
}

pub(super) fn prefix(value: &mut Reader<'_>, kind: u8) -> Result<Prefix, WireError> {
    let (address, len) = (value.ip()?, value.u8()?);
    let longest = if address.is_ipv4() { 32 } else { 128 };
    if len > longest {
        return Err(WireError::Value(kind));
    }
    Ok(Prefix { address, len })
}

pub(super) fn flag(octet: u8, kind: u8) -> Result<bool, WireError> {
    match octet {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(WireError::Value(kind)),
    }
}

fn candidates(value: &mut Reader<'_>, kind: u8) -> Result<Vec<SocketAddr>, WireError> {
    let addresses = value.all(Reader::address)?;
    if addresses.len() > MOST_CANDIDATES {
        return Err(WireError::Value(kind));
    }
    Ok(addresses)
}

fn introduced(value: &mut Reader<'_>, kind: u8) -> Result<Introduced, WireError> {
    let key = key(value)?;
    let features = value.u32()?;
    let candidates = counted(value, Reader::address)?;
    if candidates.len() > MOST_CANDIDATES {
        return Err(WireError::Value(kind));
    }
    let len = value.u8()?;
    let name = words(value.bytes(usize::from(len))?, LONGEST_NAME, kind)?;
    Ok(Introduced {
        key,
        features,
        candidates,
        name,
    })
}

fn count(len: usize) -> Result<u8, WireError> {
    u8::try_from(len).map_err(|_| WireError::TooLong)
}

fn put_candidates(out: &mut Vec<u8>, addresses: &[SocketAddr]) -> Result<(), WireError> {
    if addresses.len() > MOST_CANDIDATES {
        return Err(WireError::TooLong);
    }
    addresses.iter().for_each(|&address| put_address(out, address));
    Ok(())
}

pub(super) fn put_macs(out: &mut Vec<u8>, macs: &[Mac]) {
    macs.iter().for_each(|mac| out.extend_from_slice(&mac.0));
}

pub(super) fn put_prefixes(out: &mut Vec<u8>, prefixes: &[Prefix]) {
    for prefix in prefixes {
        put_ip(out, prefix.address);
        out.push(prefix.len);
    }
}
