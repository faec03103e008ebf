//! Cutting: a frame as a device gave it, into contents that fit a path.

use super::content::{Fragment, SEGMENT_FIELDS, Segment, append_frame, whole_len};
use super::ethernet::SHORTEST_FRAME;
use super::layers::{LONGEST_FRAME, LONGEST_HEADERS, Layers, Part, sane};
use super::refused::CutError;
use halloo_base::Offload;

/// The least room for a content that frames are cut for, in octets.
pub const LEAST_ROOM: usize = 64;

/// A segment carries at least so much of a TCP payload. Where the headers leave less room, the frame goes in fragments.
const LEAST_PAYLOAD: usize = 64;

/// Cuts frames. One for each thread that sends; all its peers share it.
///
/// Cutting copies the payload once, from the device's buffer to the datagram's, where it can be sealed in place.
#[derive(Debug)]
pub struct Cutter {
    super_frames: u16,
    fragmented: u32,
    headers: [u8; LONGEST_HEADERS],
}

/// A frame that is being cut.
///
/// Contents of one frame that follow each other have one length, except that a shorter one ends a row of equal ones: so
/// each row can leave in one call (UDP_SEGMENT).
#[derive(Debug)]
pub struct Cut<'a> {
    room: usize,
    plan: Plan<'a>,
}

#[derive(Debug)]
enum Plan<'a> {
    Done,
    /// It fits as it is.
    Whole {
        frame: &'a [u8],
        offload: Offload,
    },
    /// Parts that stand alone.
    Segments {
        segment: Segment<'a>,
        payload: &'a [u8],
        step: usize,
        at: usize,
    },
    Fragments(Fragments<'a>),
    /// Each datagram of a UDP super-frame by itself, because none fits the path.
    Datagrams {
        layers: Layers,
        original: &'a [u8],
        headers: &'a mut [u8; LONGEST_HEADERS],
        payload: &'a [u8],
        size: usize,
        number: u32,
        /// Where in the payload the datagram begins, and where in its frame the next fragment.
        at: usize,
        inside: usize,
    },
}

#[derive(Debug)]
struct Fragments<'a> {
    number: u32,
    offload: Offload,
    frame: &'a [u8],
    step: usize,
    at: usize,
}

impl Cutter {
    /// One for the sending queue of this number. What is in one piece at the other end must come from one queue, so queues
    /// of an edge have different numbers.
    pub fn new(queue: u8) -> Cutter {
        Cutter {
            super_frames: u16::from(queue) << 12,
            fragmented: u32::from(queue) << 24,
            headers: [0; LONGEST_HEADERS],
        }
    }

    /// Begins to cut a frame for contents of at most `room` octets. What has no room must not be sent otherwise: frames of
    /// one flow stay in their order only if what waits to be sent leaves before what is cut.
    ///
    /// # Errors
    /// [`CutError`] if it is no frame, or the room is too little for any.
    pub fn cut<'a>(
        &'a mut self,
        frame: &'a [u8],
        offload: Offload,
        room: usize,
    ) -> Result<Cut<'a>, CutError> {
        if room < LEAST_ROOM {
            return Err(CutError::Room);
        }
        if frame.len() < SHORTEST_FRAME {
            return Err(CutError::Short);
        }
        if frame.len() > LONGEST_FRAME {
            return Err(CutError::Long);
        }
        let offload = sane(offload, frame.len()).ok_or(CutError::Offload)?;
        let plan = if offload.segmentation == 0 {
            self.whole(frame, offload, room)
        } else {
            self.super_frame(frame, offload, room)
        };
        Ok(Cut { room, plan })
    }

    fn whole<'a>(&mut self, frame: &'a [u8], offload: Offload, room: usize) -> Plan<'a> {
        let fits = is_whole(frame.len(), offload, room);
        if fits {
            Plan::Whole { frame, offload }
        } else {
            Plan::Fragments(Fragments {
                number: self.take_number(1),
                offload,
                frame,
                step: even_step(frame.len(), offload, room),
                at: 0,
            })
        }
    }

    fn super_frame<'a>(&'a mut self, frame: &'a [u8], offload: Offload, room: usize) -> Plan<'a> {
        let Some((layers, headers, payload)) = understood(frame, offload) else {
            return self.whole(frame, offload, room);
        };
        let size = usize::from(offload.segment_size);
        if payload.len() <= size {
            // One packet, which nobody has to cut.
            let one = Offload {
                segmentation: 0,
                segment_size: 0,
                header_len: 0,
                ..offload
            };
            return self.whole(frame, one, room);
        }
        let most = room.saturating_sub(SEGMENT_FIELDS + headers.len());
        let step = if layers.is_udp() { most / size * size } else { most };
        if step >= LEAST_PAYLOAD.min(size) {
            self.super_frames = self.super_frames.wrapping_add(1);
            let segment = Segment {
                segmentation: offload.segmentation,
                segment_size: offload.segment_size,
                number: self.super_frames,
                offset: 0,
                // An IP length said so: it has 16 bits.
                total: payload.len() as u16,
                bytes: headers,
            };
            return Plan::Segments {
                segment,
                payload,
                step,
                at: 0,
            };
        }
        if !layers.is_udp() {
            return self.whole(frame, offload, room);
        }
        Plan::Datagrams {
            number: self.take_number(payload.len().div_ceil(size) as u32),
            layers,
            original: headers,
            headers: &mut self.headers,
            payload,
            size,
            at: 0,
            inside: 0,
        }
    }

    /// Numbers for `count` frames that go in fragments: the first of them.
    fn take_number(&mut self, count: u32) -> u32 {
        let first = following(self.fragmented, 1);
        self.fragmented = following(self.fragmented, count);
        first
    }
}

/// The number that comes `count` later; the queue's part of it stays.
fn following(number: u32, count: u32) -> u32 {
    number & 0xff00_0000 | (number.wrapping_add(count) & 0x00ff_ffff)
}

impl Cut<'_> {
    /// Writes the next content at the beginning of `buffer`, which has at least the room that the frame was cut for, and
    /// returns its length. `None` when all have been written, or if the buffer is too short: then
    /// [`Cut::is_done`] is false.
    pub fn next(&mut self, buffer: &mut [u8]) -> Option<usize> {
        let buffer = buffer.get_mut(..self.room)?;
        match &mut self.plan {
            Plan::Done => None,
            Plan::Whole { frame, offload } => {
                let len = append_frame(buffer, 0, frame, *offload);
                self.plan = Plan::Done;
                len
            }
            Plan::Segments {
                segment,
                payload,
                step,
                at,
            } => {
                let end = payload.len().min(*at + *step);
                segment.offset = *at as u16;
                let len = segment.emit(&payload[*at..end], buffer);
                *at = end;
                if end == payload.len() {
                    self.plan = Plan::Done;
                }
                Some(len)
            }
            Plan::Fragments(fragments) => {
                let len = fragments.next(buffer);
                if fragments.at == fragments.frame.len() {
                    self.plan = Plan::Done;
                }
                Some(len)
            }
            Plan::Datagrams { .. } => self.datagram(buffer),
        }
    }

    /// Whether everything has been written.
    pub fn is_done(&self) -> bool {
        matches!(self.plan, Plan::Done)
    }

    fn datagram(&mut self, buffer: &mut [u8]) -> Option<usize> {
        let Plan::Datagrams {
            layers,
            original,
            headers,
            payload,
            size,
            number,
            at,
            inside,
        } = &mut self.plan
        else {
            return None;
        };
        let part = Part {
            offset: *at,
            len: (*size).min(payload.len() - *at),
            total: payload.len(),
            segment_size: *size,
        };
        if *inside == 0 {
            headers[..original.len()].copy_from_slice(original);
            layers.narrow(&mut headers[..], part);
        }
        let head = &headers[..original.len()];
        let body = &payload[*at..*at + part.len];
        let offload = layers.offload(0, part);
        let total = head.len() + body.len();
        let step = even_step(total, offload, self.room);
        let end = total.min(*inside + step);
        // The piece of the headers and the piece of the payload that lie in this fragment.
        let (from, to) = (*inside, end);
        let split = head.len();
        let fragment = Fragment {
            number: *number,
            offset: from,
            total,
            offload,
            bytes: &head[from.min(split)..to.min(split)],
        };
        let len = fragment.emit(&body[from.max(split) - split..to.max(split) - split], buffer);
        *inside = end;
        if end == total {
            *inside = 0;
            *at += part.len;
            *number = following(*number, 1);
        }
        if *at == payload.len() {
            self.plan = Plan::Done;
        }
        Some(len)
    }
}

impl Fragments<'_> {
    fn next(&mut self, buffer: &mut [u8]) -> usize {
        let end = self.frame.len().min(self.at + self.step);
        let fragment = Fragment {
            number: self.number,
            offset: self.at,
            total: self.frame.len(),
            offload: self.offload,
            bytes: &self.frame[self.at..end],
        };
        self.at = end;
        fragment.emit(&[], buffer)
    }
}

/// Whether a frame fits a content whole, so that others may be added to it ([`append_frame`]).
pub fn is_whole(frame: usize, offload: Offload, room: usize) -> bool {
    let one = offload.segmentation == 0 && frame <= super::content::LONGEST_WHOLE;
    one && whole_len(frame, offload) < room
}

/// How much of a frame goes into each fragment: as few fragments as can be, and all of about one length, so that frames
/// of one length make fragments of one length.
fn even_step(frame: usize, offload: Offload, room: usize) -> usize {
    // LEAST_ROOM leaves some.
    let most = room - Fragment::fields(offload);
    frame.div_ceil(frame.div_ceil(most))
}

/// The headers and the payload of a super-frame whose headers are understood and agree with what it leaves to the device.
pub(crate) fn understood(frame: &[u8], offload: Offload) -> Option<(Layers, &[u8], &[u8])> {
    let layers = Layers::of(frame)?;
    let (headers, payload) = frame.split_at_checked(layers.payload())?;
    let same = Layers::of_super_frame(frame, offload.segmentation, payload.len())?;
    (same.agrees_with(offload) && !payload.is_empty()).then_some((layers, headers, payload))
}
