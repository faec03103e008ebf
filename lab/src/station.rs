//! A network card in the test's own hand: frames of any bytes go out, and what arrives comes in.

use crate::link::{End, Link, Side};
use crate::netlink;
use crate::packet_socket::{LONGEST_FRAME, PacketSocket};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

/// How much the kernel may hold in bytes while the test does not read.
const KERNEL_BUFFER: usize = 16 << 20;

/// Sends frames as they are by one end of a link, and hears what arrives there. The host's own stack hears it too.
#[derive(Debug)]
pub struct Station {
    socket: PacketSocket,
    mac: [u8; 6],
    name: String,
    buffer: Vec<u8>,
}

impl Link {
    /// Takes one end into the test's own hand. It hears from now on.
    ///
    /// # Panics
    /// When the end is gone.
    #[track_caller]
    pub fn station(&self, side: Side) -> Station {
        let end = self.end(side);
        Station {
            socket: PacketSocket::open(end.host(), end.device(), KERNEL_BUFFER),
            mac: end.mac(),
            name: format!("{} of {}", end.device(), end.host().name()),
            buffer: vec![0; LONGEST_FRAME],
        }
    }
}

impl End {
    /// The device's MAC address.
    ///
    /// # Panics
    /// When the device is gone.
    #[track_caller]
    pub fn mac(&self) -> [u8; 6] {
        let entry = self.host().enter(|| netlink::device(self.device()));
        let mac = entry
            .ok()
            .flatten()
            .and_then(|entry| entry.address?.as_link_addr()?.addr());
        mac.unwrap_or_else(|| panic!("{} of {} is gone", self.device(), self.host().name()))
    }
}

impl Station {
    /// The MAC address that frames to this end have as their destination.
    pub fn mac(&self) -> [u8; 6] {
        self.mac
    }

    /// Sends a frame: Ethernet header and payload, in any state.
    ///
    /// # Panics
    /// When the kernel refuses: it is longer than the link takes, or shorter than an Ethernet header.
    #[track_caller]
    pub fn send(&self, frame: &[u8]) {
        let sent = self.socket.send(frame);
        sent.unwrap_or_else(|error| panic!("a frame of {} bytes by {}: {error}", frame.len(), self.name));
    }

    /// The next frame that has arrived, or arrives `within` that time.
    ///
    /// # Panics
    /// When the kernel had to drop frames, because this was not called for long.
    #[track_caller]
    pub fn receive(&mut self, within: Duration) -> Option<&[u8]> {
        let deadline = Instant::now() + within;
        loop {
            let received = self.socket.receive(&mut self.buffer);
            match received.unwrap_or_else(|error| panic!("{}: {error}", self.name)) {
                Some(frame) if frame.outgoing => {}
                Some(frame) => {
                    assert_eq!(frame.missed, 0, "{} was not listened to for too long", self.name);
                    return Some(&self.buffer[..frame.len]);
                }
                None if !self.wait_until(deadline) => return None,
                None => {}
            }
        }
    }

    /// Waits until there may be a frame; `false` when it is too late for one.
    fn wait_until(&self, deadline: Instant) -> bool {
        let rest = deadline.saturating_duration_since(Instant::now());
        // Rounded up: a rest below a millisecond is a rest.
        let timeout = PollTimeout::try_from(rest + Duration::from_micros(999)).unwrap_or(PollTimeout::MAX);
        // An interrupted poll is a poll that found nothing.
        let _ = poll(
            &mut [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)],
            timeout,
        );
        !rest.is_zero()
    }
}
