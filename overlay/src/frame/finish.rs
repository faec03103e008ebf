//! What a device that takes no offloads gets: frames as they would be on a wire.

use super::checksum;
use super::cut::understood;
use super::ethernet::{SHORTEST_FRAME, put};
use super::layers::{LONGEST_FRAME, Part, sane};
use halloo_base::Offload;

/// Packets of one frame at most: 64 KiB in the smallest segments that hosts send, with 48 octets. Somebody who says that a frame
/// is to be cut into single octets would have their headers made a thousand times.
const MOST_PACKETS: usize = 65_535usize.div_ceil(48);

/// Does in software what was left to the device. One for each thread; it holds one frame.
#[derive(Debug, Default)]
pub struct Finisher {
    scratch: Vec<u8>,
}

/// Why a frame could not be finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Unfinished {
    /// It is no frame, or what is left to the device makes no sense.
    #[error("the frame, or what it leaves to the device, makes no sense")]
    Malformed,
    /// It is to be cut, and its headers are not understood.
    #[error("the frame is to be cut, and its headers are not understood")]
    Headers,
    /// It is to be cut into more packets than anybody sends in one.
    #[error("the frame is to be cut into too many packets")]
    Many,
}

impl Finisher {
    /// One without memory yet.
    pub fn new() -> Finisher {
        Finisher::default()
    }

    /// Hands out the frames that this one stands for, complete. One copy, and none where nothing is left to do.
    ///
    /// # Errors
    /// [`Unfinished`], and nothing is handed out.
    pub fn finish(
        &mut self,
        frame: &[u8],
        offload: Offload,
        out: &mut impl FnMut(&[u8]),
    ) -> Result<(), Unfinished> {
        if !(SHORTEST_FRAME..=LONGEST_FRAME).contains(&frame.len()) {
            return Err(Unfinished::Malformed);
        }
        let offload = sane(offload, frame.len()).ok_or(Unfinished::Malformed)?;
        if offload.flags == 0 {
            out(frame);
            return Ok(());
        }
        if offload.segmentation == 0 {
            self.one(frame, offload, out);
            return Ok(());
        }
        let (layers, headers, payload) = understood(frame, offload).ok_or(Unfinished::Headers)?;
        let size = usize::from(offload.segment_size);
        if payload.len() <= size {
            self.one(frame, offload, out);
            return Ok(());
        }
        if payload.len().div_ceil(size) > MOST_PACKETS {
            return Err(Unfinished::Many);
        }
        for (index, packet) in payload.chunks(size).enumerate() {
            self.scratch.clear();
            self.scratch.extend_from_slice(headers);
            self.scratch.extend_from_slice(packet);
            let part = Part {
                offset: index * size,
                len: packet.len(),
                total: payload.len(),
                segment_size: size,
            };
            layers.narrow(&mut self.scratch, part);
            fill_in(&mut self.scratch, offload);
            out(&self.scratch);
        }
        Ok(())
    }

    fn one(&mut self, frame: &[u8], offload: Offload, out: &mut impl FnMut(&[u8])) {
        self.scratch.clear();
        self.scratch.extend_from_slice(frame);
        fill_in(&mut self.scratch, offload);
        out(&self.scratch);
    }
}

/// Computes the checksum over everything from where it begins. What stands in its place is the sum of the pseudo-header.
fn fill_in(frame: &mut [u8], offload: Offload) {
    let start = usize::from(offload.checksum_start);
    let Some(covered) = frame.get(start..) else { return };
    let sum = checksum::sum(covered);
    // Zero means "no checksum" to UDP (RFC 768), and is the same number as this to all (RFC 1624).
    let checksum = if sum == 0xffff { 0xffff } else { !sum };
    put(
        frame,
        start + usize::from(offload.checksum_offset),
        &checksum.to_be_bytes(),
    );
}
