//! Contents made shorter, where that is worth it.

use super::refused::Refused;
use crate::Compression;
use crate::wire::{Content, HEADER_LEN, LONGEST_DATAGRAM, TAG_LEN};
use lz4_flex::block::{CompressTable, compress_into_with_table, decompress_into, get_maximum_output_size};
use std::fmt;
use zstd::zstd_safe::{CCtx, CParameter, DCtx};

/// The longest content there can be, compressed or not.
pub const LONGEST_CONTENT: usize = LONGEST_DATAGRAM - HEADER_LEN - TAG_LEN;

/// Kind and length before compression.
const FIELDS: usize = 3;

/// Contents shorter than this are not tried: there is nothing to win.
const SHORTEST: usize = 128;

/// After what did not shrink, so many contents go as they are before the next is tried.
const PAUSE: u32 = 63;

/// Makes contents shorter. One for each thread that sends; all its peers share it, because an encoder is large. It makes
/// what it needs when that is first used.
///
/// Who can put text of his choice beside a secret into one content, and see how long it becomes, learns about the secret.
/// That is why nothing is compressed unless it was asked for.
#[derive(Default)]
pub struct Compressor {
    lz4: Option<Box<CompressTable>>,
    zstd: Option<CCtx<'static>>,
    scratch: Vec<u8>,
}

/// Gives contents their length back. One for each thread that receives.
#[derive(Default)]
pub struct Decompressor {
    zstd: Option<DCtx<'static>>,
}

/// Remembers how well the contents for one peer shrank lately. While they did not shrink below 0.95 of their length, only
/// one in 64 is tried.
#[derive(Clone, Copy, Debug, Default)]
pub struct Probe {
    /// Mean of length after by length before, in 1/1024 and smoothed; new ones count for an eighth.
    ratio: u32,
    /// How many more go untried.
    pause: u32,
}

impl Probe {
    const ENOUGH: u32 = 1024 * 95 / 100;

    fn is_worth_it(&mut self) -> bool {
        if self.pause > 0 {
            self.pause -= 1;
            return false;
        }
        true
    }

    fn learn(&mut self, before: usize, after: usize) {
        let now = (after.min(before) * 1024 / before.max(1)) as u32;
        self.ratio = (self.ratio * 7 + now) / 8;
        if self.ratio > Probe::ENOUGH {
            self.pause = PAUSE;
        }
    }
}

impl Compressor {
    /// One without memory yet.
    pub fn new() -> Compressor {
        Compressor::default()
    }

    /// Writes a shorter form of a content to the beginning of `buffer` and returns its length, or `None` if the content is
    /// to go as it is.
    pub fn compress(
        &mut self,
        compression: Compression,
        probe: &mut Probe,
        content: &[u8],
        buffer: &mut [u8],
    ) -> Option<usize> {
        let (&kind, rest) = content.split_first()?;
        let may = (SHORTEST..=LONGEST_CONTENT).contains(&content.len()) && is_compressible(kind);
        if !may || compression == Compression::None || !probe.is_worth_it() {
            return None;
        }
        // For the longest at once, so that nothing is allocated later.
        self.scratch.resize(get_maximum_output_size(LONGEST_CONTENT), 0);
        let room = &mut self.scratch[..];
        let len = match compression {
            Compression::None => None,
            Compression::Lz4 => {
                let table = self.lz4.get_or_insert_with(|| Box::new(CompressTable::large()));
                compress_into_with_table(rest, room, table).ok()
            }
            Compression::Zstd => {
                // Where there is no memory for it nothing is compressed, which the other end does not mind.
                self.zstd = self.zstd.take().or_else(zstd_encoder);
                let context = self.zstd.as_mut()?;
                context.compress2(room, rest).ok()
            }
        };
        let len = len.unwrap_or(rest.len());
        probe.learn(rest.len(), len);
        let room = buffer.get_mut(..FIELDS + len)?;
        if room.len() >= content.len() {
            return None;
        }
        room[0] = kind | Content::COMPRESSED;
        // No more than LONGEST_CONTENT.
        room[1..FIELDS].copy_from_slice(&(rest.len() as u16).to_be_bytes());
        room[FIELDS..].copy_from_slice(&self.scratch[..len]);
        Some(room.len())
    }
}

impl Decompressor {
    /// One without memory yet.
    pub fn new() -> Decompressor {
        Decompressor::default()
    }

    /// Writes the content that was made shorter to the beginning of `buffer`, whose length is the most that it may have, and
    /// returns its length. `compression` is what was agreed with the peer.
    ///
    /// # Errors
    /// [`Refused::Corrupt`] if it is not exactly as long as it announces, or would be longer than `buffer`;
    /// [`Refused::NotCompressible`] if it is of a kind that nobody compresses, or nothing was agreed.
    pub fn decompress(
        &mut self,
        compression: Compression,
        content: &[u8],
        buffer: &mut [u8],
    ) -> Result<usize, Refused> {
        let (fields, rest) = content.split_first_chunk::<FIELDS>().ok_or(Refused::Truncated)?;
        let kind = fields[0] & !Content::COMPRESSED;
        if fields[0] == kind || !is_compressible(kind) {
            return Err(Refused::NotCompressible);
        }
        let announced = usize::from(u16::from_be_bytes([fields[1], fields[2]]));
        let room = buffer.get_mut(..1 + announced).ok_or(Refused::Corrupt)?;
        let (first, room) = room.split_first_mut().ok_or(Refused::Corrupt)?;
        *first = kind;
        let len = match compression {
            Compression::None => return Err(Refused::NotCompressible),
            Compression::Lz4 => decompress_into(rest, room).ok(),
            Compression::Zstd => {
                self.zstd = self.zstd.take().or_else(DCtx::try_create);
                let context = self.zstd.as_mut().ok_or(Refused::Corrupt)?;
                context.decompress(room, rest).ok()
            }
        };
        (len == Some(announced))
            .then_some(1 + announced)
            .ok_or(Refused::Corrupt)
    }
}

/// Whether contents that begin with this octet carry frames, and are as they were.
fn is_compressible(kind: u8) -> bool {
    Content::parse(kind).is_some_and(|(content, compressed)| !compressed && !content.is_control())
}

fn zstd_encoder() -> Option<CCtx<'static>> {
    let mut context = CCtx::try_create()?;
    // The length stands in front, and what seals the content finds every change.
    for parameter in [
        CParameter::CompressionLevel(1),
        CParameter::ContentSizeFlag(false),
        CParameter::ChecksumFlag(false),
    ] {
        context.set_parameter(parameter).ok()?;
    }
    Some(context)
}

impl fmt::Debug for Compressor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let made = (self.lz4.is_some(), self.zstd.is_some());
        f.debug_struct("Compressor").field("made", &made).finish()
    }
}

impl fmt::Debug for Decompressor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let made = self.zstd.is_some();
        f.debug_struct("Decompressor").field("made", &made).finish()
    }
}
