//! A box in the middle of a link that makes it a worse one. This kernel's own (netem) is not everywhere.

mod queue;

use crate::fate::Traffic;
use crate::host::Host;
use crate::link::{Direction, End, Link, LinkPlan, Offload, Side, lay};
use crate::packet_socket::{LONGEST_FRAME, PacketSocket};
use halloo_base::Mono;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::prctl::set_timerslack;
use nix::sys::time::TimeSpec;
use queue::Queue;
use std::io::{PipeReader, PipeWriter, pipe};
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How much the kernel may hold in bytes for each direction while the box does not run.
const KERNEL_BUFFER: usize = 16 << 20;

/// How many frames are taken in before those whose time has come get their turn.
const BATCH: usize = 64;

/// What is done to the frames that go one way. The default does nothing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Impairment {
    /// Every frame leaves at least this long after it came.
    pub delay: Duration,
    /// A uniformly drawn time below this is added to it. Frames stay in order.
    pub jitter: Duration,
    /// Which share is overtaken by later frames, and by how many.
    pub reorder: Option<Reorder>,
    /// Which share (0.0 to 1.0) leaves twice, one right behind the other.
    pub duplicate: f64,
    /// What may be reordered and duplicated.
    pub traffic: Traffic,
}

/// How frames lose their order.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reorder {
    /// Which share (0.0 to 1.0) is overtaken.
    pub share: f64,
    /// By how many later frames. With fewer than that it leaves 200 ms late all the same.
    pub distance: u32,
}

/// What became of the frames that went one way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Counts {
    /// Frames that came in.
    pub received: u64,
    /// Frames that left.
    pub sent: u64,
    /// Frames that left twice.
    pub duplicated: u64,
    /// Frames that were overtaken.
    pub reordered: u64,
    /// Frames that found the queue full.
    pub dropped: u64,
}

/// The box. Its settings may be changed while it runs; dropping it cuts the link.
#[derive(Debug)]
pub struct Impairer {
    shared: Arc<Mutex<Shared>>,
    /// Closing it ends the thread.
    stop: Option<PipeWriter>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    lanes: [Lane; 2],
}

#[derive(Debug)]
struct Lane {
    impairment: Impairment,
    queue: Queue,
}

impl Default for Impairment {
    fn default() -> Impairment {
        Impairment {
            delay: Duration::ZERO,
            jitter: Duration::ZERO,
            reorder: None,
            duplicate: 0.0,
            traffic: Traffic::Ip,
        }
    }
}

impl Impairment {
    /// A delay and nothing else.
    pub fn delay(delay: Duration) -> Impairment {
        Impairment {
            delay,
            ..Impairment::default()
        }
    }
}

/// Joins two hosts through a box on `middle`.
#[track_caller]
pub(crate) fn wire(a: &Host, b: &Host, middle: &Host, subnet: u16) -> (Link, Impairer) {
    // The box is a cable: its host must say nothing of its own.
    middle.sysctl("net.ipv6.conf.all.disable_ipv6", "1");
    middle.sysctl("net.ipv6.conf.default.disable_ipv6", "1");
    let (a, b) = (End::plan(a, subnet, 1), End::plan(b, subnet, 2));
    let near_a = End::plan(middle, subnet, 101).without_addresses();
    let near_b = End::plan(middle, subnet, 102).without_addresses();
    let mtu = LinkPlan::default().mtu;
    lay(&a, &near_a, mtu);
    lay(&b, &near_b, mtu);
    let sockets = [&near_a, &near_b].map(|end| PacketSocket::open(middle, end.device(), KERNEL_BUFFER));
    let impairer = Impairer::start(sockets);
    let link = Link::between(a, b, true);
    for side in [Side::A, Side::B] {
        // Else frames would come without their checksum, or longer than any cable carries.
        for offload in [Offload::Checksum, Offload::Tso, Offload::Gso] {
            link.offload(side, offload, false);
        }
    }
    (link, impairer)
}

impl Impairer {
    fn start(sockets: [PacketSocket; 2]) -> Impairer {
        let lanes = [Direction::AToB, Direction::BToA].map(|direction| Lane {
            impairment: Impairment::default(),
            queue: Queue::new(lane(direction) as u64),
        });
        let shared = Arc::new(Mutex::new(Shared { lanes }));
        let (stopped, stop) = pipe().expect("a test has descriptors left for a pipe");
        let thread = thread::spawn({
            let shared = Arc::clone(&shared);
            move || forward(&sockets, &shared, &stopped)
        });
        Impairer {
            shared,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    /// Changes what is done to frames of one direction that come from now on.
    pub fn set(&self, direction: Direction, impairment: Impairment) {
        lock(&self.shared).lanes[lane(direction)].impairment = impairment;
    }

    /// What became of the frames of one direction so far.
    pub fn counts(&self, direction: Direction) -> Counts {
        lock(&self.shared).lanes[lane(direction)].queue.counts()
    }
}

impl Drop for Impairer {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // The thread panics nowhere, and a drop must not.
            let _ = thread.join();
        }
    }
}

/// Carries frames until it is told to stop. The sockets stand in the order of the sides that they face.
fn forward(sockets: &[PacketSocket; 2], shared: &Mutex<Shared>, stopped: &PipeReader) {
    // Unasked, the kernel may wake us 50 us late to save power. Where it refuses, delays are that much longer.
    let _ = set_timerslack(1);
    let origin = Instant::now();
    let now = || Mono(origin.elapsed().as_nanos() as u64);
    let mut buffer = vec![0; LONGEST_FRAME];
    loop {
        let deadline = {
            let mut shared = lock(shared);
            for (index, lane) in shared.lanes.iter_mut().enumerate() {
                lane.take_in(&sockets[index], &mut buffer, now);
                lane.let_out(&sockets[1 - index], now);
            }
            shared.lanes.iter().filter_map(|lane| lane.queue.deadline()).min()
        };
        let rest = deadline.map(|deadline| TimeSpec::from_duration(deadline.since(now())));
        let mut ready = [sockets[0].as_fd(), sockets[1].as_fd(), stopped.as_fd()]
            .map(|fd| PollFd::new(fd, PollFlags::POLLIN));
        // An interrupted poll is a poll that found nothing.
        let _ = ppoll(&mut ready, rest, None);
        if ready[2].any() == Some(true) {
            return;
        }
    }
}

impl Lane {
    fn take_in(&mut self, from: &PacketSocket, buffer: &mut [u8], now: impl Fn() -> Mono) {
        for _ in 0..BATCH {
            let Ok(Some(received)) = from.receive(buffer) else {
                return;
            };
            if !received.outgoing {
                self.queue
                    .accept(now(), &buffer[..received.len], &self.impairment);
            }
        }
    }

    fn let_out(&mut self, to: &PacketSocket, now: impl Fn() -> Mono) {
        while let Some(frame) = self.queue.release(now()) {
            // A cable whose other end is down loses what it carries.
            let _ = to.send(&frame);
        }
    }
}

fn lane(direction: Direction) -> usize {
    match direction {
        Direction::AToB => 0,
        Direction::BToA => 1,
    }
}

/// Nothing that holds this lock leaves the lanes half-changed.
fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
