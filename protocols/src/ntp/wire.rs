//! The header of an NTP packet (RFC 5905 section 7.3), and what may stand behind it.

use super::{Short, Timestamp};

/// Length of the header, in bytes.
pub const HEADER: usize = 48;
/// The version that requests have.
pub const VERSION: u8 = 4;
/// The leap indicator of a clock that is not synchronised; 0 announces nothing, 1 and 2 a leap second.
pub const UNKNOWN_LEAP: u8 = 3;
/// The stratum of a clock that is not synchronised; 0 is that too, or says that the reference id is a kiss code.
pub const UNSYNCHRONISED: u8 = 16;

/// What a packet is (RFC 5905 figure 10).
pub mod mode {
    /// One of two equals asks.
    pub const SYMMETRIC_ACTIVE: u8 = 1;
    /// One of two equals answers.
    pub const SYMMETRIC_PASSIVE: u8 = 2;
    /// A client asks.
    pub const CLIENT: u8 = 3;
    /// A server answers.
    pub const SERVER: u8 = 4;
}

/// A header as it is on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct Packet {
    /// Leap indicator, 2 bits.
    pub leap: u8,
    /// Version number, 3 bits.
    pub version: u8,
    /// One of [`mode`], 3 bits.
    pub mode: u8,
    /// 1 for a clock that keeps time by itself, one more for each server between.
    pub stratum: u8,
    /// The longest interval between packets, as a power of two of seconds.
    pub poll: i8,
    /// The clock's precision, as a power of two of seconds.
    pub precision: i8,
    /// The round trip to the clock at the root.
    pub root_delay: Short,
    /// How far the clock may be off beside that.
    pub root_dispersion: Short,
    /// What the clock follows: four characters at stratum 1, an address above, a kiss code at 0.
    pub reference_id: [u8; 4],
    /// When the clock was last set or corrected.
    pub reference: Timestamp,
    /// T1: the transmit timestamp of the request.
    pub origin: Timestamp,
    /// T2: when the request arrived.
    pub receive: Timestamp,
    /// T3: when this left. In a request, what is wanted back as the origin.
    pub transmit: Timestamp,
}

/// What stands behind the header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tail {
    /// Nothing, or extension fields (RFC 7822), which who does not know them ignores.
    Unsigned,
    /// At its end a message authentication code.
    Signed,
}

impl Packet {
    /// Reads the header at the start of a datagram; `None` if it is cut.
    pub fn parse(datagram: &[u8]) -> Option<Packet> {
        let header: &[u8; HEADER] = datagram.first_chunk()?;
        Some(Packet {
            leap: header[0] >> 6,
            version: header[0] >> 3 & 7,
            mode: header[0] & 7,
            stratum: header[1],
            poll: i8::from_be_bytes([header[2]]),
            precision: i8::from_be_bytes([header[3]]),
            root_delay: Short(u32::from_be_bytes(take(header, 4))),
            root_dispersion: Short(u32::from_be_bytes(take(header, 8))),
            reference_id: take(header, 12),
            reference: Timestamp(u64::from_be_bytes(take(header, 16))),
            origin: Timestamp(u64::from_be_bytes(take(header, 24))),
            receive: Timestamp(u64::from_be_bytes(take(header, 32))),
            transmit: Timestamp(u64::from_be_bytes(take(header, 40))),
        })
    }

    /// The header's bytes. Of leap, version and mode only as many bits count as they have.
    pub fn emit(&self) -> [u8; HEADER] {
        let mut header = [0; HEADER];
        header[0] = self.leap << 6 | (self.version & 7) << 3 | self.mode & 7;
        header[1] = self.stratum;
        put(&mut header, 2, self.poll.to_be_bytes());
        put(&mut header, 3, self.precision.to_be_bytes());
        put(&mut header, 4, self.root_delay.0.to_be_bytes());
        put(&mut header, 8, self.root_dispersion.0.to_be_bytes());
        put(&mut header, 12, self.reference_id);
        put(&mut header, 16, self.reference.0.to_be_bytes());
        put(&mut header, 24, self.origin.0.to_be_bytes());
        put(&mut header, 32, self.receive.0.to_be_bytes());
        put(&mut header, 40, self.transmit.0.to_be_bytes());
        header
    }

    /// Whether the clock claims to be right: it follows something, through fewer than 16 servers.
    pub fn is_synchronised(&self) -> bool {
        self.leap != UNKNOWN_LEAP && (1..UNSYNCHRONISED).contains(&self.stratum)
    }

    /// The kiss code, if it is a Kiss-o'-Death packet (RFC 5905 section 7.4): four characters where there is no stratum.
    pub fn kiss_code(&self) -> Option<[u8; 4]> {
        let code = self.reference_id;
        let letters = code.iter().take_while(|letter| letter.is_ascii_graphic()).count();
        let is_code = letters > 0 && code.iter().skip(letters).all(|&rest| rest == 0);
        (self.stratum == 0 && is_code).then_some(code)
    }
}

impl Tail {
    /// The shortest extension field, and the shortest one with nothing behind it (RFC 7822 section 7.5.1): so no last
    /// field can be taken for a code.
    const SHORTEST_FIELD: usize = 16;
    const SHORTEST_LAST_FIELD: usize = 28;

    /// Tells what is behind the header of a packet of this version. `None` if it is nothing that NTP allows there.
    pub fn parse(datagram: &[u8], version: u8) -> Option<Tail> {
        let mut rest = datagram.get(HEADER..)?;
        while version >= VERSION && rest.len() >= Tail::SHORTEST_LAST_FIELD {
            let &[_, _, high, low] = rest.first_chunk::<4>()?;
            let length = usize::from(u16::from_be_bytes([high, low]));
            if length < Tail::SHORTEST_FIELD || !length.is_multiple_of(4) {
                return None;
            }
            rest = rest.get(length..)?;
        }
        match rest.len() {
            0 => Some(Tail::Unsigned),
            // A key's number alone, with DES, with MD5, with SHA-1.
            4 | 12 | 20 | 24 => Some(Tail::Signed),
            _ => None,
        }
    }
}

/// The `N` bytes at a fixed offset of the header. Every caller passes constants that fit.
fn take<const N: usize>(header: &[u8; HEADER], at: usize) -> [u8; N] {
    let mut bytes = [0; N];
    bytes.copy_from_slice(&header[at..at + N]);
    bytes
}

/// Writes bytes at a fixed offset of the header. Every caller passes constants that fit.
fn put<const N: usize>(header: &mut [u8; HEADER], at: usize, bytes: [u8; N]) {
    header[at..at + N].copy_from_slice(&bytes);
}
