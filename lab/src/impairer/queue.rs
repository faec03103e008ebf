//! The frames that are on their way in one direction, in whatever time the caller keeps.

use super::{Counts, Impairment};
use crate::capture::Ip;
use halloo_base::{Mono, Rng};
use std::collections::VecDeque;
use std::time::Duration;

/// How many frames may be on their way; the newest is dropped and counted.
const LONGEST: usize = 100_000;

/// A frame that is to be overtaken leaves at the latest this long after its time, if too few others come.
const PATIENCE: Duration = Duration::from_millis(200);

/// One direction of the box. Holds no clock and no socket.
#[derive(Debug)]
pub(super) struct Queue {
    rng: Rng,
    /// In the order of leaving, which is the order of arrival.
    ordered: VecDeque<Frame>,
    /// Taken out of that order.
    held: VecDeque<Held>,
    counts: Counts,
}

#[derive(Clone, Debug)]
struct Frame {
    /// Counts arrivals; a frame is overtaken only by later ones.
    number: u64,
    due: Mono,
    bytes: Vec<u8>,
}

#[derive(Debug)]
struct Held {
    frame: Frame,
    /// How many frames are still to pass it.
    to_pass: u32,
    /// How many that were at first.
    distance: u32,
}

impl Queue {
    pub(super) fn new(seed: u64) -> Queue {
        Queue {
            rng: Rng::new(seed),
            ordered: VecDeque::new(),
            held: VecDeque::new(),
            counts: Counts::default(),
        }
    }

    pub(super) fn counts(&self) -> Counts {
        self.counts
    }

    /// Takes in a frame that arrived now.
    pub(super) fn accept(&mut self, now: Mono, bytes: &[u8], impairment: &Impairment) {
        self.counts.received += 1;
        let frame = Frame {
            number: self.counts.received,
            due: self.due(now, impairment),
            bytes: bytes.to_vec(),
        };
        let is_subject = is_subject(bytes, impairment);
        if is_subject && self.rng.chance(impairment.duplicate) {
            self.counts.duplicated += 1;
            self.push(frame.clone());
        }
        match impairment.reorder {
            Some(reorder) if is_subject && self.rng.chance(reorder.share) => {
                self.hold(frame, reorder.distance);
            }
            _ => self.push(frame),
        }
    }

    /// A frame whose time has come.
    pub(super) fn release(&mut self, now: Mono) -> Option<Vec<u8>> {
        if let Some(at) = self.held.iter().position(|held| held.may_leave(now)) {
            let held = self.held.remove(at)?;
            self.counts.reordered += u64::from(held.to_pass < held.distance);
            self.counts.sent += 1;
            return Some(held.frame.bytes);
        }
        let frame = self.ordered.pop_front_if(|frame| frame.due <= now)?;
        for held in &mut self.held {
            if held.frame.number < frame.number {
                held.to_pass = held.to_pass.saturating_sub(1);
            }
        }
        self.counts.sent += 1;
        Some(frame.bytes)
    }

    /// When the next frame may leave.
    pub(super) fn deadline(&self) -> Option<Mono> {
        let ordered = self.ordered.front().map(|frame| frame.due);
        let held = self.held.iter().map(Held::deadline).min();
        [ordered, held].into_iter().flatten().min()
    }

    /// When a frame may leave. Jitter keeps the order, as one queue in one router does: it leaves later than that
    /// when one before it does.
    fn due(&mut self, now: Mono, impairment: &Impairment) -> Mono {
        let jitter = self.rng.below(impairment.jitter.as_nanos() as u64);
        now + impairment.delay + Duration::from_nanos(jitter)
    }

    fn push(&mut self, frame: Frame) {
        if self.is_full() {
            self.counts.dropped += 1;
        } else {
            self.ordered.push_back(frame);
        }
    }

    fn hold(&mut self, frame: Frame, distance: u32) {
        if self.is_full() {
            self.counts.dropped += 1;
        } else {
            self.held.push_back(Held {
                frame,
                to_pass: distance,
                distance,
            });
        }
    }

    fn is_full(&self) -> bool {
        self.ordered.len() + self.held.len() >= LONGEST
    }
}

impl Held {
    fn deadline(&self) -> Mono {
        if self.to_pass == 0 {
            self.frame.due
        } else {
            self.frame.due + PATIENCE
        }
    }

    fn may_leave(&self, now: Mono) -> bool {
        self.deadline() <= now
    }
}

fn is_subject(frame: &[u8], impairment: &Impairment) -> bool {
    Ip::of_frame(frame).is_some_and(|ip| impairment.traffic.has(ip.protocol))
}

#[cfg(test)]
mod tests;
