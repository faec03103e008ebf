//! Joining: what arrived, into frames as a device takes them.

use super::content::{Body, Segment};
use super::fragments::Reassembler;
use super::layers::{LONGEST_FRAME, Layers, Part};
use super::refused::Refused;
use halloo_base::{Mono, Offload};
use std::ops::Deref;

/// Super-frames that are joined at a time.
const SLOTS: usize = 8;

/// Joins segments of super-frames. One for each thread that receives; all its peers share it, because nothing stays in it
/// longer than a batch of datagrams. `P` says which peer.
///
/// Joining copies the payload once, from the datagram's buffer to the super-frame's. Eight super-frames of 64 KiB are the
/// most that it holds.
#[derive(Debug)]
pub struct Joiner<P> {
    slots: [Slot<P>; SLOTS],
    /// How many are open.
    open: usize,
    /// The one that was last written to: most often the next segment belongs there.
    last: usize,
    /// Rises with each super-frame that is begun.
    turn: u64,
    counts: JoinCounts,
}

/// A frame that is handed out.
#[derive(Debug)]
pub enum Joined<'a> {
    /// It lies in a datagram that somebody else owns.
    Lies(&'a [u8]),
    /// It has memory of its own, which may be exchanged for other.
    Owned(&'a mut Vec<u8>),
}

impl Deref for Joined<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Joined::Lies(frame) => frame,
            Joined::Owned(frame) => frame,
        }
    }
}

/// What a [`Joiner`] has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct JoinCounts {
    /// Segments that were taken.
    pub segments: u64,
    /// Frames handed out that were joined from them.
    pub joined: u64,
    /// Of these, how many lacked something of their super-frame.
    pub partial: u64,
}

#[derive(Debug)]
struct Slot<P> {
    from: Option<P>,
    turn: u64,
    segmentation: u8,
    segment_size: u16,
    number: u16,
    total: u16,
    offset: u16,
    layers: Option<Layers>,
    /// Headers as they were sent, and the payload from `offset` on.
    bytes: Vec<u8>,
}

impl<P> Slot<P> {
    fn new() -> Slot<P> {
        Slot {
            from: None,
            turn: 0,
            segmentation: 0,
            segment_size: 0,
            number: 0,
            total: 0,
            offset: 0,
            layers: None,
            bytes: Vec::new(),
        }
    }

    fn headers(&self) -> usize {
        self.layers.map_or(0, |layers| layers.payload())
    }

    /// Where in the whole payload the next part would begin.
    fn end(&self) -> usize {
        usize::from(self.offset) + self.bytes.len() - self.headers()
    }
}

impl<P: Copy + Eq> Joiner<P> {
    /// One that has taken nothing yet.
    pub fn new() -> Joiner<P> {
        Joiner {
            slots: std::array::from_fn(|_| Slot::new()),
            open: 0,
            last: 0,
            turn: 0,
            counts: JoinCounts::default(),
        }
    }

    /// What it has done.
    pub fn counts(&self) -> JoinCounts {
        self.counts
    }

    /// Takes a content from a peer, with the fragments of that peer, and hands out the frames that are complete by it, in
    /// the order of their flow, each with the peer that it came from: one that made place for another may be of somebody
    /// else. The window against repetition has been before: a segment that comes twice is handed out
    /// twice.
    ///
    /// Control messages and compressed contents are not for here; they are let pass.
    ///
    /// # Errors
    /// [`Refused`] if it is not what the format allows, or not taken for another reason. Nothing of it was handed out.
    pub fn take(
        &mut self,
        from: P,
        fragments: &mut Reassembler,
        now: Mono,
        content: &[u8],
        out: &mut impl FnMut(P, Joined<'_>, Offload),
    ) -> Result<(), Refused> {
        match Body::parse(content)? {
            Body::Segment(segment) => self.segment(from, &segment, out),
            Body::Frames(frames) => {
                for (frame, offload) in frames {
                    self.flush_before(from, frame, out);
                    out(from, Joined::Lies(frame), offload);
                }
                Ok(())
            }
            Body::Fragment(fragment) => fragments.take(now, &fragment, &mut |frame, offload| {
                self.flush_before(from, frame, out);
                out(from, Joined::Lies(frame), offload);
            }),
            Body::Nothing | Body::Control(_) | Body::Compressed => Ok(()),
        }
    }

    /// Hands out what is still being joined: at the end of each batch of datagrams, in the order in which it was begun.
    pub fn flush(&mut self, out: &mut impl FnMut(P, Joined<'_>, Offload)) {
        while self.open > 0 {
            self.hand_out(self.oldest(), out);
        }
    }

    fn segment(
        &mut self,
        from: P,
        segment: &Segment<'_>,
        out: &mut impl FnMut(P, Joined<'_>, Offload),
    ) -> Result<(), Refused> {
        let known = if self.is_of(self.last, from, segment) {
            Some(self.last)
        } else if self.open == 0 {
            None
        } else {
            (0..SLOTS).find(|&slot| self.is_of(slot, from, segment))
        };
        if let Some(slot) = known {
            if self.append(slot, segment) {
                self.last = slot;
                self.counts.segments += 1;
                if self.slots[slot].end() == usize::from(segment.total) {
                    self.hand_out(slot, out);
                }
                return Ok(());
            }
            // Something is missing in between.
            let layers = self.check(segment)?;
            self.hand_out(slot, out);
            self.begin(from, segment, layers, out);
            return Ok(());
        }
        let layers = self.check(segment)?;
        self.begin(from, segment, layers, out);
        Ok(())
    }

    /// Whether an open slot holds a part of the same super-frame.
    fn is_of(&self, slot: usize, from: P, segment: &Segment<'_>) -> bool {
        let slot = &self.slots[slot];
        let headers = slot.headers();
        slot.from == Some(from)
            && (slot.number, slot.total, slot.segment_size, slot.segmentation)
                == (
                    segment.number,
                    segment.total,
                    segment.segment_size,
                    segment.segmentation,
                )
            && slot.bytes.get(..headers) == segment.bytes.get(..headers)
    }

    /// Adds a part that follows on what is there.
    fn append(&mut self, slot: usize, segment: &Segment<'_>) -> bool {
        let slot = &mut self.slots[slot];
        let Some(layers) = slot.layers else { return false };
        let payload = segment.bytes.get(layers.payload()..).unwrap_or(&[]);
        let follows = slot.end() == usize::from(segment.offset);
        if !follows || fits(segment, &layers, payload.len()).is_err() {
            return false;
        }
        slot.bytes.extend_from_slice(payload);
        true
    }

    /// Looks at the headers of a segment and whether its sizes agree with them.
    fn check(&self, segment: &Segment<'_>) -> Result<Layers, Refused> {
        let total = usize::from(segment.total);
        let layers =
            Layers::of_super_frame(segment.bytes, segment.segmentation, total).ok_or(Refused::BadHeaders)?;
        fits(segment, &layers, segment.bytes.len() - layers.payload())?;
        Ok(layers)
    }

    fn begin(
        &mut self,
        from: P,
        segment: &Segment<'_>,
        layers: Layers,
        out: &mut impl FnMut(P, Joined<'_>, Offload),
    ) {
        self.counts.segments += 1;
        // What is open of the same flow was sent before.
        for _ in 0..self.open {
            let earlier = (0..SLOTS)
                .filter(|&slot| self.is_same_flow(slot, from, segment, &layers))
                .min_by_key(|&slot| self.slots[slot].turn);
            let Some(earlier) = earlier else { break };
            self.hand_out(earlier, out);
        }
        if self.open == SLOTS {
            self.hand_out(self.oldest(), out);
        }
        // One is free now, the last one most often.
        let free = std::iter::once(self.last)
            .chain(0..SLOTS)
            .find(|&slot| self.slots[slot].from.is_none())
            .unwrap_or(0);
        self.turn += 1;
        let slot = &mut self.slots[free];
        slot.from = Some(from);
        slot.turn = self.turn;
        slot.segmentation = segment.segmentation;
        slot.segment_size = segment.segment_size;
        slot.number = segment.number;
        slot.total = segment.total;
        slot.offset = segment.offset;
        slot.layers = Some(layers);
        slot.bytes.clear();
        // At once for the longest there can be, so that nothing is allocated later.
        slot.bytes.reserve(LONGEST_FRAME);
        slot.bytes.extend_from_slice(segment.bytes);
        self.open += 1;
        self.last = free;
        if slot.end() == usize::from(segment.total) {
            self.hand_out(free, out);
        }
    }

    fn is_same_flow(&self, slot: usize, from: P, segment: &Segment<'_>, layers: &Layers) -> bool {
        let slot = &self.slots[slot];
        slot.from == Some(from)
            && slot
                .layers
                .is_some_and(|theirs| layers.same_flow(segment.bytes, &theirs, &slot.bytes))
    }

    /// Hands out what is open from this peer between the same two stations, before a frame that came later.
    fn flush_before(&mut self, from: P, frame: &[u8], out: &mut impl FnMut(P, Joined<'_>, Offload)) {
        for _ in 0..self.open {
            let earlier = (0..SLOTS)
                .filter(|&slot| {
                    let slot = &self.slots[slot];
                    slot.from == Some(from) && slot.bytes.get(..12) == frame.get(..12)
                })
                .min_by_key(|&slot| self.slots[slot].turn);
            let Some(earlier) = earlier else { break };
            self.hand_out(earlier, out);
        }
    }

    fn oldest(&self) -> usize {
        (0..SLOTS)
            .filter(|&slot| self.slots[slot].from.is_some())
            .min_by_key(|&slot| self.slots[slot].turn)
            .unwrap_or(0)
    }

    fn hand_out(&mut self, slot: usize, out: &mut impl FnMut(P, Joined<'_>, Offload)) {
        let slot = &mut self.slots[slot];
        let (Some(from), Some(layers)) = (slot.from.take(), slot.layers.take()) else {
            return;
        };
        self.open = self.open.saturating_sub(1);
        let part = Part {
            offset: usize::from(slot.offset),
            len: slot.bytes.len() - layers.payload(),
            total: usize::from(slot.total),
            segment_size: usize::from(slot.segment_size),
        };
        layers.narrow(&mut slot.bytes, part);
        self.counts.joined += 1;
        self.counts.partial += u64::from(part.len < part.total);
        out(
            from,
            Joined::Owned(&mut slot.bytes),
            layers.offload(slot.segmentation, part),
        );
    }
}

impl<P: Copy + Eq> Default for Joiner<P> {
    fn default() -> Joiner<P> {
        Joiner::new()
    }
}

/// Whether `len` octets of payload lie inside the whole, and for UDP begin and end where a datagram does.
fn fits(segment: &Segment<'_>, layers: &Layers, len: usize) -> Result<(), Refused> {
    let (offset, total) = (usize::from(segment.offset), usize::from(segment.total));
    let size = usize::from(segment.segment_size);
    let end = offset + len;
    let inside = len > 0 && end <= total;
    let whole = !layers.is_udp() || offset.is_multiple_of(size) && (end == total || len.is_multiple_of(size));
    (inside && whole).then_some(()).ok_or(Refused::BadSizes)
}
