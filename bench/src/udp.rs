//! The datagram generator: as many as the server takes without loss, at a fixed rate, or by the window.

use crate::arena::PORT;
use anyhow::{Context, Result, bail};
use halloo_lab::End;
use nix::errno::Errno;
use nix::ifaddrs::getifaddrs;
use nix::sys::socket::{
    AddressFamily, MsgFlags, MultiHeaders, SockFlag, SockType, SockaddrStorage, bind, recvmmsg, sendmmsg,
};
use socket2::{Domain, SockFilter, SockRef, Socket, Type};
use std::collections::HashSet;
use std::fs;
use std::io::{ErrorKind, IoSlice, IoSliceMut};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::os::fd::{AsRawFd, OwnedFd};
use std::rc::Rc;
use std::time::{Duration, Instant};

/// Payload bytes of every datagram.
pub(crate) const SIZE: usize = 64;
/// The same with all headers.
const FRAME: usize = 14 + 20 + 8 + SIZE;
/// What every server here echoes: sockperf's header (8 bytes of sequence; 2 of flags: from a client, answer
/// wanted; 4 of length; all big endian), which means nothing to the others.
pub(crate) const PAYLOAD: [u8; SIZE] = payload();
/// Datagrams that leave together; each is a send of its own to the stack.
const BURST: usize = 32;
/// Time between two single datagrams.
pub(crate) const SLOT: Duration = Duration::from_millis(1);
/// Datagrams in flight in the closed loop.
const WINDOW: usize = 256;
/// The share of datagrams that may be missing where a rate counts as loss-free: the machine's own stalls.
pub(crate) const TOLERATED: f64 = 1e-4;
/// Silence after which what is in flight counts as lost.
const PATIENCE: Duration = Duration::from_millis(50);

const fn payload() -> [u8; SIZE] {
    let mut bytes = [0; SIZE];
    bytes[7] = 1;
    bytes[9] = 3;
    bytes[13] = SIZE as u8;
    bytes
}

/// Sends frames that were made beforehand, and receives by connected sockets, one for each source port.
///
/// What leaves passes no more of this side's stack than it must, so that the generator is faster than what it
/// measures; to the server each frame is the datagram of a stranger, alone on the wire.
pub(crate) struct Generator {
    wire: OwnedFd,
    frames: Vec<[u8; FRAME]>,
    sockets: Rc<[UdpSocket]>,
    /// Whose turn it is to send, and to be read.
    sender: usize,
    reader: usize,
    sending: MultiHeaders<SockaddrStorage>,
    receiving: MultiHeaders<SockaddrStorage>,
    space: Vec<u8>,
}

/// Whom the generator asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// The server's address and port.
    Server,
    /// Its own port, at an address whose datagrams come back to where they came from.
    Oneself(Ipv4Addr),
}

/// What came of a run at a fixed rate.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outcome {
    pub(crate) sent: usize,
    pub(crate) received: usize,
    /// Whether the generator itself held the rate.
    pub(crate) on_time: bool,
}

/// The highest rate without loss.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peak {
    /// Datagrams a second; 0 if there was loss at every rate that was tried.
    pub(crate) rate: f64,
    /// The generator could not send faster, so the server may be able to do more.
    pub(crate) generator_limit: bool,
}

impl Outcome {
    fn is_loss_free(&self) -> bool {
        (self.sent - self.received.min(self.sent)) as f64 <= self.sent as f64 * TOLERATED
    }
}

impl Generator {
    /// As many source ports of one end, to the other or to what it turns round. Call it on the client's host.
    pub(crate) fn new(from: &End, to: &End, target: Target, ports: usize) -> Result<Generator> {
        let wire = open_wire(from.device())?;
        let (mut frames, mut sockets) = (vec![], vec![]);
        for _ in 0..ports {
            let socket = Socket::new(Domain::IPV4, Type::DGRAM, None)?;
            socket.set_recv_buffer_size(4 << 20)?;
            socket.bind(&SocketAddr::new(from.v4().into(), 0).into())?;
            socket.set_nonblocking(true)?;
            let socket = UdpSocket::from(socket);
            let port = socket.local_addr()?.port();
            let target = match target {
                Target::Server => SocketAddrV4::new(to.v4(), PORT),
                Target::Oneself(echo) => SocketAddrV4::new(echo, port),
            };
            socket.connect(target)?;
            frames.push(frame(from, to, port, target)?);
            sockets.push(socket);
        }
        Ok(Generator {
            wire,
            frames,
            sockets: sockets.into(),
            sender: 0,
            reader: 0,
            sending: MultiHeaders::preallocate(BURST, None),
            receiving: MultiHeaders::preallocate(BURST, None),
            space: vec![0; BURST * SIZE],
        })
    }

    /// Sends at `rate` datagrams a second for so long, in bursts at absolute times.
    pub(crate) fn open_loop(&mut self, rate: f64, duration: Duration) -> Result<Outcome> {
        breathe(duration);
        self.discard()?;
        let tally = Tally::begin(&self.sockets)?;
        let bursts = ((rate * duration.as_secs_f64()) as usize / BURST).max(1);
        let start = Instant::now();
        let mut sent = 0;
        for burst in 0..bursts {
            let due = start + Duration::from_secs_f64((burst * BURST) as f64 / rate);
            while Instant::now() < due {
                std::hint::spin_loop();
            }
            sent += self.burst(BURST)?;
        }
        let on_time = start.elapsed().as_secs_f64() <= duration.as_secs_f64() * 1.02 + 0.002;
        let received = tally.wait_for(sent)?;
        Ok(Outcome {
            sent,
            received,
            on_time,
        })
    }

    /// Sends as fast as it can; returns datagrams a second.
    pub(crate) fn flood(&mut self, duration: Duration) -> Result<f64> {
        breathe(duration);
        let start = Instant::now();
        let mut sent = 0;
        while start.elapsed() < duration {
            sent += self.burst(BURST)?;
        }
        Ok(sent as f64 / start.elapsed().as_secs_f64())
    }

    /// Keeps [`WINDOW`] datagrams in flight; returns answers a second.
    pub(crate) fn closed_loop(&mut self, duration: Duration) -> Result<f64> {
        breathe(duration);
        self.discard()?;
        let start = Instant::now();
        let (mut in_flight, mut answered, mut heard) = (0usize, 0, start);
        loop {
            let now = Instant::now();
            if now - start >= duration {
                self.collect(in_flight)?;
                return Ok(answered as f64 / (now - start).as_secs_f64());
            }
            let room = (WINDOW - in_flight).min(BURST);
            // Sending one for each that came would measure the generator's system calls.
            if room >= BURST / 2 {
                in_flight += self.burst(room)?;
            }
            let received = self.drain()?;
            answered += received;
            in_flight = in_flight.saturating_sub(received);
            if received > 0 {
                heard = now;
            } else if now - heard > PATIENCE / 5 {
                in_flight = 0;
                heard = now;
            }
        }
    }

    /// Searches the highest rate that passes without loss, between nothing and somewhat more than `hint`.
    ///
    /// A step fails only when it fails twice: a stall of the machine is not the server's.
    pub(crate) fn peak(&mut self, hint: f64, duration: Duration, steps: u32) -> Result<Peak> {
        let (mut low, mut high) = (0.0, hint * 1.7);
        let mut generator_limit = false;
        for _ in 0..steps {
            let rate = (low + high) / 2.0;
            let mut outcome = self.open_loop(rate, duration)?;
            if !(outcome.on_time && outcome.is_loss_free()) {
                outcome = self.open_loop(rate, duration)?;
            }
            if outcome.on_time && outcome.is_loss_free() {
                low = rate;
            } else {
                high = rate;
                generator_limit = outcome.is_loss_free();
            }
        }
        Ok(Peak {
            rate: low,
            generator_limit,
        })
    }

    /// Round trips of single datagrams at absolute slots, in nanoseconds; the client never sleeps.
    pub(crate) fn round_trips(&mut self, interval: Duration, count: usize) -> Result<Vec<u64>> {
        self.discard()?;
        let socket = &self.sockets[0];
        let mut buffer = [0; SIZE];
        let mut trips = Vec::with_capacity(count);
        let start = Instant::now();
        for slot in 0..count {
            let due = start + interval * slot as u32;
            while Instant::now() < due {
                std::hint::spin_loop();
            }
            let sent = Instant::now();
            socket.send(&PAYLOAD)?;
            let mut answered = false;
            while !answered && sent.elapsed() < PATIENCE * 4 {
                match socket.recv(&mut buffer) {
                    Ok(_) => answered = true,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                    Err(error) => return Err(error.into()),
                }
            }
            if answered {
                trips.push(sent.elapsed().as_nanos() as u64);
            }
        }
        Ok(trips)
    }

    /// Sends up to `count` datagrams, port after port.
    fn burst(&mut self, count: usize) -> Result<usize> {
        let turn = |place: usize| &self.frames[(self.sender + place) % self.frames.len()];
        let slices: [_; BURST] = std::array::from_fn(|place| [IoSlice::new(turn(place))]);
        let sent = sendmmsg(
            self.wire.as_raw_fd(),
            &mut self.sending,
            &slices[..count],
            [None; BURST],
            [],
            MsgFlags::MSG_DONTWAIT,
        );
        let sent = match sent {
            Ok(sent) => sent.count(),
            Err(Errno::EAGAIN | Errno::ENOBUFS) => 0,
            Err(error) => return Err(error.into()),
        };
        self.sender = (self.sender + sent) % self.frames.len();
        Ok(sent)
    }

    /// Reads what came on the next few sockets.
    fn drain(&mut self) -> Result<usize> {
        let mut received = 0;
        for _ in 0..self.sockets.len().min(4) {
            received += self.read(self.reader)?;
            self.reader = (self.reader + 1) % self.sockets.len();
        }
        Ok(received)
    }

    fn read(&mut self, socket: usize) -> Result<usize> {
        let mut slices: Vec<_> = self
            .space
            .chunks_exact_mut(SIZE)
            .map(|room| [IoSliceMut::new(room)])
            .collect();
        let received = recvmmsg(
            self.sockets[socket].as_raw_fd(),
            &mut self.receiving,
            slices.iter_mut(),
            MsgFlags::MSG_DONTWAIT,
            None,
        );
        match received {
            Ok(received) => Ok(received.count()),
            Err(Errno::EAGAIN) => Ok(0),
            Err(Errno::ECONNREFUSED) => bail!("the server is gone"),
            Err(error) => Err(error.into()),
        }
    }

    /// Waits for the answers that are still under way.
    fn collect(&mut self, missing: usize) -> Result<usize> {
        let (mut received, mut heard) = (0, Instant::now());
        while received < missing && heard.elapsed() < PATIENCE {
            let more = self.drain()?;
            received += more;
            if more > 0 {
                heard = Instant::now();
            }
        }
        Ok(received)
    }

    /// Forgets answers to an earlier run.
    fn discard(&mut self) -> Result<()> {
        for socket in 0..self.sockets.len() {
            while self.read(socket)? > 0 {}
        }
        Ok(())
    }
}

/// A socket of the server's that takes what is sent to it and says nothing.
pub(crate) struct Sink(Tally);

impl Sink {
    /// Call it on the server's host, like all of it.
    pub(crate) fn new(at: SocketAddr) -> Result<Sink> {
        let sockets: Rc<[UdpSocket]> = Rc::new([UdpSocket::bind(at)?]);
        Ok(Sink(Tally::begin(&sockets)?))
    }

    /// How many datagrams have come.
    pub(crate) fn taken(&self) -> Result<usize> {
        Ok(dropped(&self.0.sockets)? - self.0.before)
    }
}

/// Counts answers without reading them, so that at high rates the generator's core does nothing but send: a filter
/// drops each at its socket, when all that comes before has found it right, and the kernel keeps the number.
struct Tally {
    sockets: Rc<[UdpSocket]>,
    before: usize,
}

impl Tally {
    fn begin(sockets: &Rc<[UdpSocket]>) -> Result<Tally> {
        // The one instruction `ret #0`: keep nothing of any datagram.
        let drop_all = [SockFilter::new(0x06, 0, 0, 0)];
        for socket in sockets.iter() {
            SockRef::from(socket).attach_filter(&drop_all)?;
        }
        Ok(Tally {
            before: dropped(sockets)?,
            sockets: Rc::clone(sockets),
        })
    }

    /// Waits until so many have come, or nothing comes any more.
    fn wait_for(&self, expected: usize) -> Result<usize> {
        let (mut received, mut heard) = (0, Instant::now());
        while received < expected && heard.elapsed() < PATIENCE {
            let now = dropped(&self.sockets)? - self.before;
            if now > received {
                (received, heard) = (now, Instant::now());
            }
        }
        Ok(received)
    }
}

impl Drop for Tally {
    fn drop(&mut self) {
        for socket in self.sockets.iter() {
            // Only a socket without a filter refuses.
            let _ = SockRef::from(socket).detach_filter();
        }
    }
}

/// How many datagrams these sockets have dropped: the last column of the kernel's table of sockets, whose second is the
/// local address and port in hexadecimal.
fn dropped(sockets: &[UdpSocket]) -> Result<usize> {
    let mut ports = HashSet::new();
    for socket in sockets {
        ports.insert(socket.local_addr()?.port());
    }
    let table =
        fs::read_to_string("/proc/thread-self/net/udp").context("cannot read the kernel's sockets")?;
    let drops = table.lines().skip(1).filter_map(|line| {
        let mut words = line.split_whitespace();
        let (_, port) = words.nth(1)?.rsplit_once(':')?;
        let port = u16::from_str_radix(port, 16).ok()?;
        let drops: usize = words.next_back()?.parse().ok()?;
        ports.contains(&port).then_some(drops)
    });
    Ok(drops.sum())
}

/// Gives the rest of the machine its turn before a run, so that it does not take it in the middle: the kernel
/// lets nobody starve longer than a second, whatever the generator's priority.
fn breathe(duration: Duration) {
    std::thread::sleep(duration / 3);
}

/// A packet socket that only sends, on a device.
fn open_wire(device: &str) -> Result<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC;
    let wire = nix::sys::socket::socket(AddressFamily::Packet, SockType::Raw, flags, None)?;
    let mut all = getifaddrs()?.filter(|entry| entry.interface_name == device);
    let address = all.find_map(|entry| entry.address?.as_link_addr().copied());
    bind(
        wire.as_raw_fd(),
        &address.context("the device has a link-level address")?,
    )?;
    Ok(wire)
}

/// The whole of a datagram from this port: Ethernet (IEEE 802.3), IPv4 (RFC 791), UDP (RFC 768, no checksum).
fn frame(from: &End, to: &End, port: u16, target: SocketAddrV4) -> Result<[u8; FRAME]> {
    let mut ip = [0; 20];
    ip[0] = 0x45;
    ip[2..4].copy_from_slice(&((FRAME - 14) as u16).to_be_bytes());
    ip[6] = 0x40;
    ip[8..10].copy_from_slice(&[64, 17]);
    ip[12..16].copy_from_slice(&from.v4().octets());
    ip[16..20].copy_from_slice(&target.ip().octets());
    let sum: u32 = ip
        .chunks(2)
        .map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1]))
        .sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    ip[10..12].copy_from_slice(&(!(folded as u16)).to_be_bytes());
    let parts: [&[u8]; 8] = [
        &mac(to)?,
        &mac(from)?,
        &[0x08, 0x00],
        &ip,
        &port.to_be_bytes(),
        &target.port().to_be_bytes(),
        &[0, (SIZE + 8) as u8, 0, 0],
        &PAYLOAD,
    ];
    Ok(parts.concat().try_into().expect("the parts make one frame"))
}

fn mac(end: &End) -> Result<[u8; 6]> {
    end.host().enter(|| {
        let mut all = getifaddrs()?.filter(|entry| entry.interface_name == end.device());
        let address = all.find_map(|entry| entry.address?.as_link_addr()?.addr());
        address.context("the device has a MAC address")
    })
}
