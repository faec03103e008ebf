//! What happens next.

use crate::World;
use crate::packet::{Packet, Segment};
use std::cmp::Ordering;

pub(crate) enum Event {
    /// A packet enters the wire at this end.
    Enter { wire: usize, end: usize, packet: Packet },
    /// A packet comes out at this end, unless the wire was cut since.
    Arrive {
        wire: usize,
        end: usize,
        cuts: u64,
        packet: Packet,
    },
    /// A packet that never leaves its host.
    Loopback { node: usize, packet: Packet },
    /// A frame reaches a segment by this port.
    FrameIn {
        segment: usize,
        port: usize,
        record: usize,
        bytes: Vec<u8>,
    },
    /// A frame reaches the device at this port.
    FrameOut {
        segment: usize,
        port: usize,
        record: usize,
        bytes: Vec<u8>,
    },
    /// A machine's deadline, unless it was set anew since.
    Due { machine: usize, generation: u64 },
    /// Something for a machine.
    Inbox {
        machine: usize,
        pending: crate::host::Pending,
    },
    /// A host runs.
    Run { node: usize },
    /// A lost segment is sent again.
    Again(Segment),
    /// Bytes have waited long enough for more.
    Readable { conn: usize, side: usize },
    /// The story goes on.
    Story(Box<dyn FnOnce(&mut World)>),
}

/// An event and its instant; the earliest is the greatest, events of one instant keep their order.
pub(crate) struct Entry {
    pub(crate) at: u64,
    pub(crate) sequence: u64,
    pub(crate) event: Event,
}

impl Ord for Entry {
    fn cmp(&self, other: &Entry) -> Ordering {
        (other.at, other.sequence).cmp(&(self.at, self.sequence))
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Entry) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Entry) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Entry {}
