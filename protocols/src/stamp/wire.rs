//! The base packets of STAMP (RFC 8762 sections 4.2 and 4.3, with the session identifier of RFC 8972 section 3), which
//! in the open mode are those of TWAMP-Test too (RFC 5357 sections 4.1.2 and 4.2.1).

use super::timestamp::{ErrorEstimate, Timestamp};
use crate::echo::Key;
use halloo_base::Wall;
use std::time::Duration;

/// Length of a base packet in the open mode, in bytes.
pub const OPEN: usize = 44;
/// Length of a base packet in the authenticated mode, in bytes.
pub const AUTHENTICATED: usize = 112;
/// The shortest request there is: a TWAMP sender's without padding (RFC 5357 section 4.1.2).
pub const TWAMP_REQUEST: usize = 14;
/// The shortest answer that tells everything: a TWAMP reflector's without padding (RFC 5357 section 4.2.1).
pub const TWAMP_REPLY: usize = 41;
/// The shortest answer that is taken for one. It ends before the TTL, as those of some TWAMP reflectors do.
pub const SHORTEST_REPLY: usize = 38;
/// The shortest answer that tells both when its request arrived and when it left itself.
pub const BOTH_STAMPS: usize = 24;
/// Length of an HMAC, in bytes: HMAC-SHA-256 cut to its first 128 bits (RFC 8762 section 4.4).
pub const HMAC: usize = 16;

/// The HMAC of a base packet covers everything before it: six blocks of 16 bytes.
const HMAC_AT: usize = AUTHENTICATED - HMAC;

/// A packet whose two timestamps of one host are less apart than this was reflected by that host.
const REFLECTED_WITHIN: Duration = Duration::from_millis(100);

/// With an HMAC or without: the layouts differ (RFC 8762 section 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Without: "unauthenticated" in the RFC.
    Open,
    /// With one. It proves who made a packet; nothing is encrypted.
    Authenticated,
}

/// A Session-Sender's packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// The packet's number, from 0.
    pub sequence_number: u32,
    /// T1: when it departed.
    pub timestamp: Timestamp,
    /// The sender's clock; it says in which format `timestamp` is.
    pub error_estimate: ErrorEstimate,
    /// Which of the sender's sessions this is; 0 where it has no number.
    pub ssid: u16,
}

/// A Session-Reflector's packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The reflector's own count of the session's answers from 0, or the request's number where it keeps none.
    pub sequence_number: u32,
    /// T3: when the answer departed.
    pub timestamp: Timestamp,
    /// The reflector's clock; it says in which format `timestamp` and `receive_timestamp` are.
    pub error_estimate: ErrorEstimate,
    /// The request's; 0 from a reflector that knows no session identifiers.
    pub ssid: u16,
    /// T2: when the request arrived.
    pub receive_timestamp: Timestamp,
    /// The request's.
    pub sender_sequence_number: u32,
    /// The request's, T1.
    pub sender_timestamp: Timestamp,
    /// The request's.
    pub sender_error_estimate: ErrorEstimate,
    /// TTL or hop limit of the request on arrival; 255 from a TWAMP reflector that does not know it, 0 where it is not
    /// told.
    pub sender_ttl: u8,
}

/// The buffer is too short for the packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no room for the packet")]
pub struct Unfit;

/// Where the fields begin. The sequence number is the first of all.
struct Layout {
    timestamp: usize,
    error_estimate: usize,
    ssid: usize,
    receive_timestamp: usize,
    sender_sequence_number: usize,
    sender_timestamp: usize,
    sender_error_estimate: usize,
    sender_ttl: usize,
}

/// RFC 8762 figures 2 and 5.
const OPEN_LAYOUT: Layout = Layout {
    timestamp: 4,
    error_estimate: 12,
    ssid: 14,
    receive_timestamp: 16,
    sender_sequence_number: 24,
    sender_timestamp: 28,
    sender_error_estimate: 36,
    sender_ttl: 40,
};

/// RFC 8762 figures 4 and 6.
const AUTHENTICATED_LAYOUT: Layout = Layout {
    timestamp: 16,
    error_estimate: 24,
    ssid: 26,
    receive_timestamp: 32,
    sender_sequence_number: 48,
    sender_timestamp: 64,
    sender_error_estimate: 72,
    sender_ttl: 80,
};

/// Room for the base packet of either mode.
type Base = [u8; AUTHENTICATED];

impl Mode {
    /// Length of the base packet; TLVs follow it.
    pub fn base(self) -> usize {
        match self {
            Mode::Open => OPEN,
            Mode::Authenticated => AUTHENTICATED,
        }
    }

    fn layout(self) -> &'static Layout {
        match self {
            Mode::Open => &OPEN_LAYOUT,
            Mode::Authenticated => &AUTHENTICATED_LAYOUT,
        }
    }

    /// The base packet with zeros for what an open one lacks, if there are at least `least` bytes, or all of an
    /// authenticated one.
    fn read(self, datagram: &[u8], least: usize) -> Option<Base> {
        let least = match self {
            Mode::Open => least,
            Mode::Authenticated => AUTHENTICATED,
        };
        if datagram.len() < least {
            return None;
        }
        let mut base = [0; AUTHENTICATED];
        let len = self.base().min(datagram.len());
        base[..len].copy_from_slice(&datagram[..len]);
        Some(base)
    }

    /// Writes what has room of an open packet, at least a TWAMP sender's, or all of an authenticated one but its HMAC.
    fn write(self, base: &Base, datagram: &mut [u8]) -> Result<(), Unfit> {
        let len = match self {
            Mode::Open => OPEN.min(datagram.len()),
            Mode::Authenticated => HMAC_AT,
        };
        if datagram.len() < TWAMP_REQUEST || (self == Mode::Authenticated && datagram.len() < AUTHENTICATED) {
            return Err(Unfit);
        }
        datagram[..len].copy_from_slice(&base[..len]);
        Ok(())
    }
}

impl Request {
    /// Reads a sender's packet. Of an open one 14 bytes are enough, a TWAMP sender's; below 44 what follows them is
    /// padding, and the session has no identifier (RFC 8762 section 4.6). The HMAC is not checked (see [`is_signed`]),
    /// the error estimate neither. `None` if there are too few bytes.
    pub fn parse(datagram: &[u8], mode: Mode) -> Option<Request> {
        let base = mode.read(datagram, TWAMP_REQUEST)?;
        let at = mode.layout();
        let has_ssid = datagram.len() >= mode.base();
        Some(Request {
            sequence_number: u32::from_be_bytes(take(&base, 0)),
            timestamp: Timestamp(u64::from_be_bytes(take(&base, at.timestamp))),
            error_estimate: ErrorEstimate(u16::from_be_bytes(take(&base, at.error_estimate))),
            ssid: match has_ssid {
                true => u16::from_be_bytes(take(&base, at.ssid)),
                false => 0,
            },
        })
    }

    /// Writes a sender's packet over the start of `datagram`, with zeros where zeros must be; an open one is cut where
    /// the datagram ends. TLVs and the HMAC stay as they are (see [`sign`]).
    ///
    /// # Errors
    /// [`Unfit`] if there are less than 14 bytes, or 112 in the authenticated mode; nothing is written then.
    pub fn emit(&self, mode: Mode, datagram: &mut [u8]) -> Result<(), Unfit> {
        let at = mode.layout();
        let mut base = [0; AUTHENTICATED];
        put(&mut base, 0, self.sequence_number.to_be_bytes());
        put(&mut base, at.timestamp, self.timestamp.0.to_be_bytes());
        put(&mut base, at.error_estimate, self.error_estimate.0.to_be_bytes());
        put(&mut base, at.ssid, self.ssid.to_be_bytes());
        mode.write(&base, datagram)
    }

    /// The number and T1 of a request of which no more than the beginning is there.
    pub fn quoted(start: &[u8], mode: Mode) -> Option<(u32, Timestamp)> {
        let number = start.first_chunk()?;
        let timestamp = start.get(mode.layout().timestamp..)?.first_chunk()?;
        Some((
            u32::from_be_bytes(*number),
            Timestamp(u64::from_be_bytes(*timestamp)),
        ))
    }
}

impl Reply {
    /// Reads a reflector's packet. Of an open one 38 bytes are enough; a TTL that is not there is 0. The HMAC is not
    /// checked (see [`is_signed`]), the error estimate neither. `None` if there are too few bytes.
    pub fn parse(datagram: &[u8], mode: Mode) -> Option<Reply> {
        let base = mode.read(datagram, SHORTEST_REPLY)?;
        let at = mode.layout();
        let number = |at: usize| u32::from_be_bytes(take(&base, at));
        let timestamp = |at: usize| Timestamp(u64::from_be_bytes(take(&base, at)));
        let estimate = |at: usize| ErrorEstimate(u16::from_be_bytes(take(&base, at)));
        Some(Reply {
            sequence_number: number(0),
            timestamp: timestamp(at.timestamp),
            error_estimate: estimate(at.error_estimate),
            ssid: u16::from_be_bytes(take(&base, at.ssid)),
            receive_timestamp: timestamp(at.receive_timestamp),
            sender_sequence_number: number(at.sender_sequence_number),
            sender_timestamp: timestamp(at.sender_timestamp),
            sender_error_estimate: estimate(at.sender_error_estimate),
            sender_ttl: base[at.sender_ttl],
        })
    }

    /// Writes a reflector's packet over the start of `datagram`, with zeros where zeros must be; an open one is cut
    /// where the datagram ends. TLVs and the HMAC stay as they are (see [`sign`]).
    ///
    /// # Errors
    /// [`Unfit`] if there are less than 14 bytes, or 112 in the authenticated mode; nothing is written then.
    pub fn emit(&self, mode: Mode, datagram: &mut [u8]) -> Result<(), Unfit> {
        let at = mode.layout();
        let mut base = [0; AUTHENTICATED];
        put(&mut base, 0, self.sequence_number.to_be_bytes());
        put(&mut base, at.timestamp, self.timestamp.0.to_be_bytes());
        put(&mut base, at.error_estimate, self.error_estimate.0.to_be_bytes());
        put(&mut base, at.ssid, self.ssid.to_be_bytes());
        put(
            &mut base,
            at.receive_timestamp,
            self.receive_timestamp.0.to_be_bytes(),
        );
        put(
            &mut base,
            at.sender_sequence_number,
            self.sender_sequence_number.to_be_bytes(),
        );
        put(
            &mut base,
            at.sender_timestamp,
            self.sender_timestamp.0.to_be_bytes(),
        );
        put(
            &mut base,
            at.sender_error_estimate,
            self.sender_error_estimate.0.to_be_bytes(),
        );
        base[at.sender_ttl] = self.sender_ttl;
        mode.write(&base, datagram)
    }

    /// When the request arrived (T2); `None` if the reflector does not tell.
    pub fn received_at(&self) -> Option<Wall> {
        self.receive_timestamp.wall(self.error_estimate.format())
    }

    /// When the answer departed (T3); `None` if the reflector does not tell.
    pub fn sent_at(&self) -> Option<Wall> {
        self.timestamp.wall(self.error_estimate.format())
    }
}

/// Writes the HMAC of an authenticated base packet. Returns whether there was room.
#[must_use]
pub fn sign(key: &Key, datagram: &mut [u8]) -> bool {
    let Some((covered, rest)) = datagram.split_at_mut_checked(HMAC_AT) else {
        return false;
    };
    let Some(place) = rest.first_chunk_mut::<HMAC>() else {
        return false;
    };
    *place = key.tag(&[covered]);
    true
}

/// Whether a datagram begins with an authenticated base packet whose HMAC is right.
pub fn is_signed(key: &Key, datagram: &[u8]) -> bool {
    let Some((covered, rest)) = datagram.split_at_checked(HMAC_AT) else {
        return false;
    };
    rest.first_chunk::<HMAC>()
        .is_some_and(|tag| key.verify_tag(&[covered], tag))
}

/// Whether a packet looks as if a reflector had made it: where a sender has zeros or padding it says when a request
/// arrived, and that was less than 100 ms before it left.
pub fn is_reflected(datagram: &[u8], mode: Mode) -> bool {
    let Some(reply) = mode
        .read(datagram, BOTH_STAMPS)
        .and_then(|base| Reply::parse(&base[..mode.base()], mode))
    else {
        return false;
    };
    let (Some(arrived), Some(left)) = (reply.received_at(), reply.sent_at()) else {
        return false;
    };
    let residence = left.0.checked_sub(arrived.0);
    residence.is_some_and(|nanos| u128::from(nanos) < REFLECTED_WITHIN.as_nanos())
}

/// Whether an open packet has padding where a STAMP sender must have zeros: then it is a TWAMP sender's, whose packets have
/// no session identifier but whatever the padding holds.
pub fn is_padded(datagram: &[u8]) -> bool {
    let zeros = datagram.get(OPEN_LAYOUT.receive_timestamp..OPEN);
    zeros.is_some_and(|zeros| zeros.iter().any(|&octet| octet != 0))
}

/// The `N` bytes at an offset of a layout, all of which fit.
fn take<const N: usize>(base: &Base, at: usize) -> [u8; N] {
    let mut bytes = [0; N];
    bytes.copy_from_slice(&base[at..at + N]);
    bytes
}

/// Writes bytes at an offset of a layout, all of which fit.
fn put<const N: usize>(base: &mut Base, at: usize, bytes: [u8; N]) {
    base[at..at + N].copy_from_slice(&bytes);
}
