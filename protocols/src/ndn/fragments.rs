//! Packets in parts (NDNLPv2, section "Fragmentation and Reassembly"): for links that carry less than a packet.

use super::lp::{LpPacket, NackReason};
use super::tlv::{LONGEST_PACKET, Malformed, NoRoom, written};
use super::types;
use halloo_base::{Mono, Path};
use std::time::Duration;

/// A packet of more parts is refused.
pub const MOST_FRAGMENTS: usize = 400;
/// Parts of so many packets are kept at once; the one that has waited longest makes room.
const MOST_PARTIAL: usize = 16;
/// A packet whose next part takes longer is given up.
const PATIENCE: Duration = Duration::from_millis(500);
/// A part's own header at its longest: both outer headers, sequence, index, count.
const OVERHEAD: usize = 4 + 10 + 4 + 4 + 4;

/// Puts packets together again, in bounded memory (16 packets of at most 8,800 bytes) and time (500 ms from one part
/// to the next).
#[derive(Debug, Default)]
pub struct Reassembler {
    partial: Vec<Partial>,
    whole: Vec<u8>,
}

#[derive(Debug)]
struct Partial {
    path: Path,
    /// The number of the first part.
    message: u64,
    pieces: Vec<Option<Box<[u8]>>>,
    missing: usize,
    bytes: usize,
    pit_token: Option<Box<[u8]>>,
    nack: Option<NackReason>,
    touched: Mono,
}

impl Reassembler {
    /// One that has seen nothing.
    pub fn new() -> Reassembler {
        Reassembler::default()
    }

    /// Takes a part that came by `path`. With the last one missing the packet is whole: as it would have come in one
    /// part, for [`Packet::parse`](super::Packet::parse). A part that comes twice counts once.
    ///
    /// # Errors
    /// If it is not a part that fits what is known of its packet, which is forgotten then.
    pub fn take(&mut self, now: Mono, path: &Path, lp: &LpPacket<'_>) -> Result<Option<&[u8]>, Malformed> {
        self.partial.retain(|partial| now < partial.touched + PATIENCE);
        let (index, count) = shape(lp)?;
        let sequence = lp.sequence.ok_or(Malformed::Missing(types::LP_SEQUENCE))?;
        // The first packet of a face may be numbered from 2^64 - 1.
        let message = sequence.wrapping_sub(index as u64);
        let known = |partial: &Partial| partial.message == message && partial.path == *path;
        let place = match self.partial.iter().position(known) {
            Some(place) => place,
            None => self.begin(path, message, count, now),
        };
        let partial = &mut self.partial[place];
        let taken = partial.take(index, count, lp, now);
        if taken.is_ok() && partial.missing > 0 {
            return Ok(None);
        }
        let done = self.partial.swap_remove(place);
        taken?;
        self.whole = done.whole()?;
        Ok(Some(&self.whole))
    }

    /// Where the parts of a new packet are kept.
    fn begin(&mut self, path: &Path, message: u64, count: usize, now: Mono) -> usize {
        if self.partial.len() >= MOST_PARTIAL {
            let oldest = (0..self.partial.len()).min_by_key(|&place| self.partial[place].touched);
            oldest.map(|place| self.partial.swap_remove(place));
        }
        self.partial.push(Partial {
            path: *path,
            message,
            pieces: vec![None; count],
            missing: count,
            bytes: 0,
            pit_token: None,
            nack: None,
            touched: now,
        });
        self.partial.len() - 1
    }
}

/// Index and count of a part, the index being the smaller.
fn shape(lp: &LpPacket<'_>) -> Result<(usize, usize), Malformed> {
    let limited = |number: u64| usize::try_from(number).ok().filter(|&n| n <= MOST_FRAGMENTS);
    let count = limited(lp.frag_count.unwrap_or(1)).ok_or(Malformed::BadValue(types::LP_FRAG_COUNT))?;
    let index = limited(lp.frag_index.unwrap_or(0))
        .filter(|&index| index < count)
        .ok_or(Malformed::BadValue(types::LP_FRAG_INDEX))?;
    Ok((index, count))
}

impl Partial {
    fn take(&mut self, index: usize, count: usize, lp: &LpPacket<'_>, now: Mono) -> Result<(), Malformed> {
        let fragment = lp.fragment.ok_or(Malformed::Missing(types::LP_FRAGMENT))?;
        if count != self.pieces.len() {
            return Err(Malformed::BadValue(types::LP_FRAG_COUNT));
        }
        self.touched = now;
        let piece = &mut self.pieces[index];
        if piece.is_some() {
            return Ok(());
        }
        self.bytes += fragment.len();
        if self.bytes > LONGEST_PACKET {
            return Err(Malformed::TooLong);
        }
        *piece = Some(fragment.into());
        self.missing -= 1;
        // What is said about the packet is said with its first part.
        if index == 0 {
            self.pit_token = lp.pit_token.map(Into::into);
            self.nack = lp.nack;
        }
        Ok(())
    }

    fn whole(self) -> Result<Vec<u8>, Malformed> {
        let network: Vec<u8> = self.pieces.iter().flatten().flatten().copied().collect();
        if self.pit_token.is_none() && self.nack.is_none() {
            return Ok(network);
        }
        let lp = LpPacket {
            pit_token: self.pit_token.as_deref(),
            nack: self.nack,
            fragment: Some(&network),
            ..LpPacket::default()
        };
        written(|writer| lp.emit(writer)).map_err(|NoRoom| Malformed::TooLong)
    }
}

/// A packet as link packets of at most `mtu` bytes: as it is where it fits, else in parts numbered from `sequence`,
/// which is moved on.
///
/// # Errors
/// [`NoRoom`] if the link is too narrow for the headers, or the parts would be too many.
pub fn fragments(
    network: &[u8],
    pit_token: Option<&[u8]>,
    mtu: usize,
    sequence: &mut u64,
) -> Result<Vec<Vec<u8>>, NoRoom> {
    let lp = LpPacket {
        pit_token,
        fragment: Some(network),
        ..LpPacket::default()
    };
    let unfragmented = match pit_token {
        None => network.to_vec(),
        Some(_) => written(|writer| lp.emit(writer))?,
    };
    if unfragmented.len() <= mtu {
        return Ok(vec![unfragmented]);
    }
    let header = OVERHEAD + pit_token.map_or(0, |token| token.len() + 2);
    let room = mtu.checked_sub(header).filter(|&room| room > 0).ok_or(NoRoom)?;
    let count = network.len().div_ceil(room);
    if count > MOST_FRAGMENTS {
        return Err(NoRoom);
    }
    let part = |(index, piece): (usize, &[u8])| {
        let lp = LpPacket {
            sequence: Some(sequence.wrapping_add(index as u64)),
            frag_index: Some(index as u64),
            frag_count: Some(count as u64),
            pit_token: pit_token.filter(|_| index == 0),
            fragment: Some(piece),
            ..LpPacket::default()
        };
        written(|writer| lp.emit(writer))
    };
    let parts = network.chunks(room).enumerate().map(part).collect();
    *sequence = sequence.wrapping_add(count as u64);
    parts
}
