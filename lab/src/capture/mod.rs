//! A running capture at one device.

mod packet;
mod pcap;

pub use packet::{Ip, Packet, Tcp, Udp};

use crate::host::Host;
use crate::packet_socket::{LONGEST_FRAME, PacketSocket};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use pcap::PcapFile;
use std::io::{PipeReader, PipeWriter, pipe};
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How much the kernel may hold in bytes while the reader does not run.
const KERNEL_BUFFER: usize = 64 << 20;

/// How many packets are kept in memory; later ones go to the file only, and are counted.
const KEPT: usize = 200_000;

/// A capture that is live when it is returned, and ends when it is dropped.
///
/// What a socket has sent or received before a query is in the query's answer.
#[derive(Debug)]
pub struct Capture {
    shared: Arc<Shared>,
    /// Closing it ends the reader.
    stop: Option<PipeWriter>,
    reader: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    socket: PacketSocket,
    seen: Mutex<Seen>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Seen {
    packets: Vec<Packet>,
    unkept: u64,
    missed: u32,
    file: Option<PcapFile>,
}

impl Capture {
    /// Captures what a host's device receives and sends.
    ///
    /// # Panics
    /// When there is no such device.
    #[track_caller]
    pub fn start(host: &Host, device: &str) -> Capture {
        Capture::run(host, device, None)
    }

    /// As [`Capture::start`], and writes a pcap file (nanosecond stamps) besides. The file is complete after
    /// [`Capture::finish`].
    ///
    /// # Panics
    /// When there is no such device, or the file cannot be made.
    #[track_caller]
    pub fn start_to(host: &Host, device: &str, path: &Path) -> Capture {
        let file = PcapFile::create(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Capture::run(host, device, Some(file))
    }

    #[track_caller]
    fn run(host: &Host, device: &str, file: Option<PcapFile>) -> Capture {
        let shared = Arc::new(Shared {
            socket: PacketSocket::open(host, device, KERNEL_BUFFER),
            seen: Mutex::new(Seen {
                file,
                ..Seen::default()
            }),
            changed: Condvar::new(),
        });
        let (stopped, stop) = pipe().expect("a test has descriptors left for a pipe");
        let reader = thread::spawn({
            let shared = Arc::clone(&shared);
            move || shared.read_until(&stopped)
        });
        Capture {
            shared,
            stop: Some(stop),
            reader: Some(reader),
        }
    }

    /// Every packet so far, in the kernel's order.
    pub fn packets(&self) -> Vec<Packet> {
        self.shared.drain().packets.clone()
    }

    /// Waits for a packet that `wanted` accepts. One that came earlier counts too.
    ///
    /// # Panics
    /// When none has come `within` that time.
    #[track_caller]
    pub fn wait_for(&self, within: Duration, wanted: impl Fn(&Packet) -> bool) -> Packet {
        let deadline = Instant::now() + within;
        let mut seen = self.shared.drain();
        let mut looked_at = 0;
        loop {
            if let Some(found) = seen.packets[looked_at..].iter().find(|packet| wanted(packet)) {
                return found.clone();
            }
            looked_at = seen.packets.len();
            let rest = deadline.saturating_duration_since(Instant::now());
            assert!(
                !rest.is_zero(),
                "no such packet within {within:?}, only {looked_at} others"
            );
            (seen, _) = self
                .shared
                .changed
                .wait_timeout(seen, rest)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// How many packets are in neither memory nor file (dropped by the kernel), and how many in the file only.
    pub fn missed(&self) -> (u32, u64) {
        let seen = self.shared.drain();
        (seen.missed, seen.unkept)
    }

    /// Ends the capture, completes the file, and returns every packet.
    ///
    /// # Panics
    /// When the file could not be written.
    pub fn finish(mut self) -> Vec<Packet> {
        self.end();
        let mut seen = self.shared.drain();
        if let Some(file) = seen.file.take() {
            file.finish().expect("the capture's file can be written");
        }
        std::mem::take(&mut seen.packets)
    }

    fn end(&mut self) {
        self.stop = None;
        if let Some(reader) = self.reader.take() {
            // The reader panics nowhere, and a drop must not.
            let _ = reader.join();
        }
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        self.end();
    }
}

impl Shared {
    fn read_until(&self, stopped: &PipeReader) {
        loop {
            let mut ready = [
                PollFd::new(self.socket.as_fd(), PollFlags::POLLIN),
                PollFd::new(stopped.as_fd(), PollFlags::POLLIN),
            ];
            // An interrupted poll is a poll that found nothing.
            let _ = poll(&mut ready, PollTimeout::NONE);
            if ready[1].any() == Some(true) {
                return;
            }
            drop(self.drain());
            self.changed.notify_all();
        }
    }

    /// Takes over what the kernel holds. Reader and queries both do it under the lock, so a query misses nothing.
    fn drain(&self) -> MutexGuard<'_, Seen> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let mut buffer = vec![0; LONGEST_FRAME];
        while let Ok(Some(received)) = self.socket.receive(&mut buffer) {
            seen.missed = received.missed;
            seen.keep(Packet {
                at: received.at,
                outgoing: received.outgoing,
                frame: buffer[..received.len].to_vec(),
            });
        }
        seen
    }
}

impl Seen {
    fn keep(&mut self, packet: Packet) {
        if let Some(file) = &mut self.file {
            file.write(&packet);
        }
        if self.packets.len() < KEPT {
            self.packets.push(packet);
        } else {
            self.unkept += 1;
        }
    }
}
