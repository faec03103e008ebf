//! The machines of a worker, each in a seat of its own.

use crate::SystemClock;
use crate::clock::StampReader;
use halloo_base::{Clock, Cx, Deadline, Env, Input, Machine, Outbox, Rng, Stamp};

/// A machine within its worker. No other machine of that worker ever has the same one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MachineId(pub(super) u64);

impl MachineId {
    /// Nobody's.
    const NONE: MachineId = MachineId(u64::MAX);
}

/// Where a machine is kept. Another one may have its seat once nothing is left that names it: neither a socket nor a
/// connection nor a wish.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Seat(pub(super) usize);

/// Machines, and all that a call of [`Machine::handle`] needs.
pub(super) struct Machines {
    slots: Vec<Slot>,
    free: Vec<Seat>,
    pub(super) outbox: Outbox,
    /// The other outbox, whose memory waits while one is drained and refilled.
    pub(super) spare: Outbox,
    pub(super) stamps: StampReader,
    rng: Rng,
}

struct Slot {
    id: MachineId,
    machine: Box<dyn Machine>,
    deadline: Option<Deadline>,
}

/// Sits where nobody else does.
struct Nobody;

impl Machine for Nobody {
    fn handle(&mut self, _cx: &mut Cx<'_>, _input: Input<'_>) {}

    fn deadline(&self) -> Option<Deadline> {
        None
    }

    fn finished(&self) -> bool {
        true
    }
}

impl Machines {
    pub(super) fn new(rng: Rng) -> Machines {
        Machines {
            slots: vec![],
            free: vec![],
            outbox: Outbox::new(),
            spare: Outbox::new(),
            stamps: StampReader::new(),
            rng,
        }
    }

    pub(super) fn insert(&mut self, id: MachineId, machine: Box<dyn Machine>) -> Seat {
        let slot = Slot {
            id,
            machine,
            deadline: None,
        };
        if let Some(seat) = self.free.pop() {
            self.slots[seat.0] = slot;
            return seat;
        }
        self.slots.push(slot);
        Seat(self.slots.len() - 1)
    }

    /// Empties a seat, which nothing names any more.
    pub(super) fn remove(&mut self, seat: Seat) {
        self.slots[seat.0] = Slot {
            id: MachineId::NONE,
            machine: Box::new(Nobody),
            deadline: None,
        };
        self.free.push(seat);
    }

    /// Where a machine is, if it still is. The newest are found first.
    pub(super) fn seat(&self, id: MachineId) -> Option<Seat> {
        self.slots.iter().rposition(|slot| slot.id == id).map(Seat)
    }

    /// All seats, empty ones too.
    pub(super) fn seats(&self) -> impl Iterator<Item = Seat> + use<> {
        (0..self.slots.len()).map(Seat)
    }

    pub(super) fn deadline(&self, seat: Seat) -> Option<Deadline> {
        self.slots[seat.0].deadline
    }

    pub(super) fn finished(&self, seat: Seat) -> bool {
        self.slots[seat.0].machine.finished()
    }

    pub(super) fn now(&mut self) -> Stamp {
        let now = SystemClock.stamp();
        self.stamps.remember(now);
        now
    }

    pub(super) fn handle(&mut self, seat: Seat, now: Stamp, input: Input<'_>) {
        let slot = &mut self.slots[seat.0];
        let env = Env {
            now: now.mono,
            clock: &SystemClock,
            rng: &mut self.rng,
        };
        slot.machine.handle(
            &mut Cx {
                env,
                out: &mut self.outbox,
            },
            input,
        );
        slot.deadline = slot.machine.deadline();
    }

    pub(super) fn earliest(&self) -> Option<Deadline> {
        self.slots
            .iter()
            .fold(None, |earliest, slot| Deadline::earlier(earliest, slot.deadline))
    }

    pub(super) fn all_finished(&self) -> bool {
        self.slots.iter().all(|slot| slot.machine.finished())
    }
}
