//! What a datagram's content holds (`docs/wire/overlay.md`, "Data").

use super::ethernet::{SHORTEST_FRAME, long_number, number};
use super::layers::{LONGEST_FRAME, NEEDS_CHECKSUM, sane};
use super::refused::Refused;
use crate::wire::Content;
use halloo_base::Offload;

/// A segment's fields before the headers.
pub(crate) const SEGMENT_FIELDS: usize = 10;
/// A fragment's fields before what its flags add.
const FRAGMENT_FIELDS: usize = 14;
/// The longest frame that goes whole: the length has 15 bits.
pub(crate) const LONGEST_WHOLE: usize = 0x7fff;

const OFFLOAD_FOLLOWS: u16 = 0x8000;
const CHECKSUM_FOLLOWS: u8 = 1;
const SEGMENTATION_FOLLOWS: u8 = 2;

/// What a content holds, looked at as far as its kind needs.
#[derive(Clone, Copy, Debug)]
pub enum Body<'a> {
    /// Keeps a path open.
    Nothing,
    /// One frame or more.
    Frames(Frames<'a>),
    /// A part of a super-frame.
    Segment(Segment<'a>),
    /// A part of a long frame.
    Fragment(Fragment<'a>),
    /// Control messages: TLVs, not looked at here.
    Control(&'a [u8]),
    /// To be given to a [`Decompressor`](super::Decompressor) first.
    Compressed,
}

/// The frames of one content, every length in them checked.
#[derive(Clone, Copy, Debug)]
pub struct Frames<'a>(&'a [u8]);

/// A part of a super-frame with its headers.
#[derive(Clone, Copy, Debug)]
pub struct Segment<'a> {
    /// How the super-frame is to be cut (`VIRTIO_NET_HDR_GSO_*`).
    pub(crate) segmentation: u8,
    /// Payload octets of each packet of it.
    pub(crate) segment_size: u16,
    /// Which super-frame of its sender.
    pub(crate) number: u16,
    /// Where in its payload this part begins.
    pub(crate) offset: u16,
    /// How long its payload is.
    pub(crate) total: u16,
    /// Headers of the whole, and the part of the payload.
    pub(crate) bytes: &'a [u8],
}

/// A part of a frame that is too long for the path.
#[derive(Clone, Copy, Debug)]
pub struct Fragment<'a> {
    /// Which frame of its sender.
    pub(crate) number: u32,
    /// Where in the frame this part begins.
    pub(crate) offset: usize,
    /// How long the frame is.
    pub(crate) total: usize,
    /// What is left to the device.
    pub(crate) offload: Offload,
    /// The part.
    pub(crate) bytes: &'a [u8],
}

impl<'a> Body<'a> {
    /// Looks at a content as it came out of its datagram.
    ///
    /// # Errors
    /// [`Refused`] if it is not what the format allows.
    pub fn parse(bytes: &'a [u8]) -> Result<Body<'a>, Refused> {
        let (&kind, rest) = bytes.split_first().ok_or(Refused::Truncated)?;
        match Content::parse(kind).ok_or(Refused::UnknownKind)? {
            (_, true) => Ok(Body::Compressed),
            (Content::Nothing, _) => Ok(Body::Nothing),
            (Content::Frames, _) => Frames::parse(rest).map(Body::Frames),
            (Content::Segment, _) => Segment::parse(bytes).map(Body::Segment),
            (Content::Fragment, _) => Fragment::parse(bytes).map(Body::Fragment),
            (Content::Control, _) => Ok(Body::Control(rest)),
        }
    }
}

impl<'a> Frames<'a> {
    fn parse(bytes: &'a [u8]) -> Result<Frames<'a>, Refused> {
        let mut rest = bytes;
        if rest.is_empty() {
            return Err(Refused::Truncated);
        }
        while !rest.is_empty() {
            let (frame, offload, behind) = first_frame(rest).ok_or(Refused::Truncated)?;
            if frame.len() < SHORTEST_FRAME {
                return Err(Refused::ShortFrame);
            }
            sane(offload, frame.len()).ok_or(Refused::BadOffload)?;
            rest = behind;
        }
        Ok(Frames(bytes))
    }
}

impl<'a> Iterator for Frames<'a> {
    type Item = (&'a [u8], Offload);

    fn next(&mut self) -> Option<(&'a [u8], Offload)> {
        let (frame, offload, rest) = first_frame(self.0)?;
        self.0 = rest;
        Some((frame, offload))
    }
}

fn first_frame(bytes: &[u8]) -> Option<(&[u8], Offload, &[u8])> {
    let word = number(bytes, 0)?;
    let len = usize::from(word & !OFFLOAD_FOLLOWS);
    let (offload, at) = if word & OFFLOAD_FOLLOWS == 0 {
        (Offload::default(), 2)
    } else {
        (checksum_left(number(bytes, 2)?, number(bytes, 4)?), 6)
    };
    let (frame, rest) = bytes.get(at..)?.split_at_checked(len)?;
    Some((frame, offload, rest))
}

/// Adds a whole frame to a content of kind 1 of which `used` octets are written in `buffer`; 0 begins one. Returns how many
/// are written then. `None` if the frame does not fit, is none, or is to be cut by the device: nothing has changed.
///
/// The frame is copied, once.
pub fn append_frame(buffer: &mut [u8], used: usize, frame: &[u8], offload: Offload) -> Option<usize> {
    let offload = sane(offload, frame.len()).filter(|offload| offload.segmentation == 0)?;
    let whole = (SHORTEST_FRAME..=LONGEST_WHOLE).contains(&frame.len());
    let start = used.max(1);
    let end = start + whole_len(frame.len(), offload);
    if !whole || end > buffer.len() {
        return None;
    }
    let mut put = Writer { buffer, at: start };
    let word = frame.len() as u16;
    if offload.flags == 0 {
        put.octets(&word.to_be_bytes());
    } else {
        put.octets(&(word | OFFLOAD_FOLLOWS).to_be_bytes());
        put.octets(&offload.checksum_start.to_be_bytes());
        put.octets(&offload.checksum_offset.to_be_bytes());
    }
    put.octets(frame);
    buffer[0] = Content::Frames as u8;
    Some(end)
}

/// What a whole frame adds to a content.
pub(crate) fn whole_len(frame: usize, offload: Offload) -> usize {
    frame + if offload.flags == 0 { 2 } else { 6 }
}

impl<'a> Segment<'a> {
    /// `bytes` begin with the kind. The headers are looked at by who joins.
    fn parse(bytes: &'a [u8]) -> Result<Segment<'a>, Refused> {
        let (fields, bytes) = bytes
            .split_first_chunk::<SEGMENT_FIELDS>()
            .ok_or(Refused::Truncated)?;
        let field = |at: usize| u16::from_be_bytes([fields[at], fields[at + 1]]);
        let segment = Segment {
            segmentation: fields[1],
            segment_size: field(2),
            number: field(4),
            offset: field(6),
            total: field(8),
            bytes,
        };
        if segment.segment_size == 0 || segment.offset >= segment.total {
            return Err(Refused::BadSizes);
        }
        Ok(segment)
    }

    /// Writes fields, headers and payload; they fit.
    pub(crate) fn emit(&self, payload: &[u8], buffer: &mut [u8]) -> usize {
        let mut put = Writer { buffer, at: 0 };
        put.octets(&[Content::Segment as u8, self.segmentation]);
        for field in [self.segment_size, self.number, self.offset, self.total] {
            put.octets(&field.to_be_bytes());
        }
        put.octets(self.bytes);
        put.octets(payload);
        put.at
    }
}

impl<'a> Fragment<'a> {
    fn parse(bytes: &'a [u8]) -> Result<Fragment<'a>, Refused> {
        Fragment::read(bytes).ok_or(Refused::Truncated)?.checked()
    }

    fn read(bytes: &'a [u8]) -> Option<Fragment<'a>> {
        let flags = *bytes.get(1)?;
        let mut at = FRAGMENT_FIELDS;
        let mut offload = Offload::default();
        if flags & CHECKSUM_FOLLOWS != 0 {
            offload = checksum_left(number(bytes, at)?, number(bytes, at + 2)?);
            at += 4;
        }
        if flags & SEGMENTATION_FOLLOWS != 0 {
            offload.segmentation = *bytes.get(at)?;
            offload.segment_size = number(bytes, at + 1)?;
            offload.header_len = number(bytes, at + 3)?;
            at += 5;
        }
        Some(Fragment {
            number: long_number(bytes, 2)?,
            offset: usize::try_from(long_number(bytes, 6)?).ok()?,
            total: usize::try_from(long_number(bytes, 10)?).ok()?,
            offload,
            bytes: bytes.get(at..)?,
        })
    }

    fn checked(mut self) -> Result<Fragment<'a>, Refused> {
        if !(SHORTEST_FRAME..=LONGEST_FRAME).contains(&self.total) {
            return Err(Refused::BadSizes);
        }
        let room = self.total.checked_sub(self.offset).ok_or(Refused::BadSizes)?;
        if self.bytes.is_empty() || self.bytes.len() > room {
            return Err(Refused::BadSizes);
        }
        self.offload = sane(self.offload, self.total).ok_or(Refused::BadOffload)?;
        Ok(self)
    }

    /// Octets before the part.
    pub(crate) fn fields(offload: Offload) -> usize {
        let checksum = if offload.flags == 0 { 0 } else { 4 };
        let segmentation = if offload.segmentation == 0 { 0 } else { 5 };
        FRAGMENT_FIELDS + checksum + segmentation
    }

    /// Writes fields and the part, which is in two pieces; they fit.
    pub(crate) fn emit(&self, more: &[u8], buffer: &mut [u8]) -> usize {
        let offload = self.offload;
        let mut flags = 0;
        if offload.flags != 0 {
            flags |= CHECKSUM_FOLLOWS;
        }
        if offload.segmentation != 0 {
            flags |= SEGMENTATION_FOLLOWS;
        }
        let mut put = Writer { buffer, at: 0 };
        put.octets(&[Content::Fragment as u8, flags]);
        // Neither is more than LONGEST_FRAME.
        for field in [self.number, self.offset as u32, self.total as u32] {
            put.octets(&field.to_be_bytes());
        }
        if offload.flags != 0 {
            put.octets(&offload.checksum_start.to_be_bytes());
            put.octets(&offload.checksum_offset.to_be_bytes());
        }
        if offload.segmentation != 0 {
            put.octets(&[offload.segmentation]);
            put.octets(&offload.segment_size.to_be_bytes());
            put.octets(&offload.header_len.to_be_bytes());
        }
        put.octets(self.bytes);
        put.octets(more);
        put.at
    }
}

fn checksum_left(start: u16, offset: u16) -> Offload {
    Offload {
        flags: NEEDS_CHECKSUM,
        checksum_start: start,
        checksum_offset: offset,
        ..Offload::default()
    }
}

/// Writes one thing behind another. Who makes one has looked that there is room.
struct Writer<'b> {
    buffer: &'b mut [u8],
    at: usize,
}

impl Writer<'_> {
    fn octets(&mut self, octets: &[u8]) {
        let end = self.at + octets.len();
        self.buffer[self.at..end].copy_from_slice(octets);
        self.at = end;
    }
}
