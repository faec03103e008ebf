//! Devices in the driver: TUNs and TAPs, whose packets come and go one by one, and packet sockets, whose frames come
//! and go in batches.

use super::changes::{close, watch_again};
use super::control::AttachmentId;
use super::machines::{Machines, Seat};
use super::{Source, Worker};
use crate::offload::{self, HEADER};
use crate::packet::PacketSocket;
use crate::sys::{FrameReceiveBatch, FrameSendBatch, Layer};
use crate::tuntap::Queue;
use halloo_base::{
    Clock, Datagram, Frame, Input, IpHeader, LinkId, Marks, Offload, Outbox, Output, Part, Path, Stamp,
    Train, Transmit, Unreachable, UnreachableError,
};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};

/// Groups read from one device before the others get their turn.
const BUDGET: usize = 4;
/// Packets read from a TUN or TAP before what follows from them is written.
const GROUP: usize = 16;
/// Bytes read from one before what follows from them is written: two or three packets that the kernel merged. More of them at a
/// time were slower in the overlay's bench, since what is read and what is sent no longer fit the cache together.
const GROUP_BYTES: usize = 131_072;
/// The longest packet behind its offload header. The kernel merges no more than 64 KiB of IP; an Ethernet header, tags
/// among it, may come before.
const LONGEST: usize = HEADER + 65_535 + 64;

/// All devices of a worker.
pub(super) struct Devices {
    tuns: Vec<Tun>,
    packets: Vec<Packets>,
    buffer: Box<[u8]>,
    receive: FrameReceiveBatch,
    send: FrameSendBatch,
    /// What a device would not send, for its machine to hear.
    failures: Vec<(Path, i32)>,
}

struct Tun {
    device: Queue,
    owner: Seat,
    id: AttachmentId,
    /// How many packets the next group may have.
    want: usize,
}

struct Packets {
    socket: PacketSocket,
    owner: Seat,
    id: AttachmentId,
}

impl Devices {
    pub(super) fn new() -> Devices {
        Devices {
            tuns: vec![],
            packets: vec![],
            buffer: vec![0; LONGEST].into_boxed_slice(),
            receive: FrameReceiveBatch::new(),
            send: FrameSendBatch::default(),
            failures: vec![],
        }
    }

    pub(super) fn are_none(&self) -> bool {
        self.tuns.is_empty() && self.packets.is_empty()
    }

    pub(super) fn tuns(&self) -> usize {
        self.tuns.len()
    }

    pub(super) fn packets(&self) -> usize {
        self.packets.len()
    }

    pub(super) fn add_tun(&mut self, device: Queue, owner: Seat, id: AttachmentId) {
        self.tuns.push(Tun {
            device,
            owner,
            id,
            want: 1,
        });
    }

    pub(super) fn add_packets(&mut self, socket: PacketSocket, owner: Seat, id: AttachmentId) {
        self.packets.push(Packets { socket, owner, id });
    }

    /// The place of the first TUN or TAP that is wanted, by its id and its owner.
    pub(super) fn tun_place(&self, wanted: impl Fn(AttachmentId, Seat) -> bool) -> Option<usize> {
        self.tuns.iter().position(|tun| wanted(tun.id, tun.owner))
    }

    /// The place of the first packet socket that is wanted, by its id and its owner.
    pub(super) fn packets_place(&self, wanted: impl Fn(AttachmentId, Seat) -> bool) -> Option<usize> {
        let wanted = |packets: &Packets| wanted(packets.id, packets.owner);
        self.packets.iter().position(wanted)
    }

    /// Closes a TUN or TAP. The last one takes its place.
    pub(super) fn close_tun(&mut self, epoll: &OwnedFd, place: usize) {
        close(epoll, &self.tuns.swap_remove(place).device);
        if let Some(moved) = self.tuns.get(place) {
            watch_again(epoll, &moved.device, Source::Tun(place as u32));
        }
    }

    /// Closes a packet socket. The last one takes its place.
    pub(super) fn close_packets(&mut self, epoll: &OwnedFd, place: usize) {
        close(epoll, &self.packets.swap_remove(place).socket);
        if let Some(moved) = self.packets.get(place) {
            watch_again(epoll, &moved.socket, Source::Packets(place as u32));
        }
    }

    /// Whether a datagram leaves by one of the machine's TUNs. No other datagram has no port at its far end and a TUN's
    /// link.
    pub(super) fn carry(&self, machine: Seat, how: &Transmit) -> bool {
        self.tun_for(machine, how).is_some()
    }

    fn tun_for(&self, machine: Seat, how: &Transmit) -> Option<usize> {
        match how.path.remote.port() {
            0 => self.device_for(machine, how.path.link, Layer::Ip),
            _ => None,
        }
    }

    fn device_for(&self, machine: Seat, link: LinkId, layer: Layer) -> Option<usize> {
        self.tuns
            .iter()
            .position(|tun| tun.owner == machine && tun.device.link() == link && tun.device.layer() == layer)
    }

    /// Sends all that leaves by devices. Failures are kept for `report_device_failures`.
    pub(super) fn send(&mut self, outbox: &Outbox, machine: Seat) {
        for part in outbox.parts() {
            match part {
                Part::Train(train) => self.send_train(machine, train),
                Part::Other(Output::Frame(link, offload, bytes)) => {
                    self.send_frame(machine, link, offload, bytes);
                }
                Part::Other(_) => {}
            }
        }
        for place in 0..self.packets.len() {
            if self.packets[place].owner == machine {
                self.send_frames(outbox, place);
            }
        }
    }

    fn send_train(&mut self, machine: Seat, train: Train<'_>) {
        let Some(place) = self.tun_for(machine, &train.how) else {
            return;
        };
        for bytes in train.datagrams() {
            if let Err(error) = self.tuns[place].device.write(train.how.offload, bytes) {
                self.failures.push((train.how.path, errno(&error)));
            }
        }
    }

    /// Writes a frame to its TAP. Those of packet sockets leave in batches afterwards.
    fn send_frame(&mut self, machine: Seat, link: LinkId, offload: Offload, bytes: &[u8]) {
        let result = match self.device_for(machine, link, Layer::Ethernet) {
            Some(tap) => {
                let written = self.tuns[tap].device.write(offload, bytes);
                written.map_err(|error| errno(&error))
            }
            None if self.packets_for(machine, link).is_some() => Ok(()),
            None => Err(libc::ENODEV),
        };
        if let Err(errno) = result {
            self.failures.push((link_path(link), errno));
        }
    }

    fn packets_for(&self, machine: Seat, link: LinkId) -> Option<&Packets> {
        self.packets
            .iter()
            .find(|packets| packets.owner == machine && packets.socket.link() == link)
    }

    fn send_frames(&mut self, outbox: &Outbox, place: usize) {
        let socket = &self.packets[place].socket;
        let frames = outbox.parts().filter_map(|part| match part {
            Part::Other(Output::Frame(link, offload, bytes)) if link == socket.link() => {
                Some((offload, bytes))
            }
            _ => None,
        });
        let mut refused = vec![];
        self.send.send(socket, frames.clone(), |slot, result| {
            refused.extend(result.err().map(|error| (slot, errno(&error))));
        });
        let mut patient = true;
        for (slot, mut errno) in refused {
            if errno == libc::EAGAIN && std::mem::take(&mut patient) {
                wait_writable(socket);
            }
            if errno == libc::EAGAIN {
                self.send
                    .send(socket, frames.clone().skip(slot).take(1), |_, result| {
                        errno = result.err().map_or(0, |error| self::errno(&error));
                    });
            }
            if errno != 0 {
                self.failures.push((link_path(socket.link()), errno));
            }
        }
    }
}

impl Worker {
    /// Hands the packets that wait at a TUN or TAP to its machine, at most a few groups.
    ///
    /// # Errors
    /// If the device is no more.
    pub(super) fn receive_tun(&mut self, place: usize) -> io::Result<()> {
        for _ in 0..BUDGET {
            if !self.receive_group(place)? {
                break;
            }
        }
        Ok(())
    }

    /// Hands one group to its machine, and has it answered. Returns whether more may wait. A single packet is
    /// answered before anything looks for a second one.
    fn receive_group(&mut self, place: usize) -> io::Result<bool> {
        let owner = self.devices.tuns[place].owner;
        let want = self.devices.tuns[place].want;
        let (mut count, mut read) = (0, 0);
        while count < want && read < GROUP_BYTES {
            let tun = &self.devices.tuns[place].device;
            match tun.read(&mut self.devices.buffer) {
                Ok(len) => {
                    let now = crate::SystemClock.stamp();
                    let bytes = &self.devices.buffer[..len];
                    match tun.layer() {
                        Layer::Ip => self.machines.hear_datagram(owner, tun.link(), bytes, now),
                        Layer::Ethernet => self.machines.hear_frame(owner, tun.link(), bytes, now),
                    }
                    self.machines.stamps.remember(now);
                    count += 1;
                    read += len;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.raw_os_error() == Some(libc::EBADFD) => {
                    let what = format!("{} was removed while it was in use", tun.name());
                    return Err(io::Error::new(io::ErrorKind::NotFound, what));
                }
                // Nothing more now, or the device is off.
                Err(_) => break,
            }
        }
        let full = count == want || read >= GROUP_BYTES;
        self.devices.tuns[place].want = if full { (want * 2).min(GROUP) } else { count.max(1) };
        self.drain(owner);
        Ok(full && want > 1)
    }

    /// Hands the frames that wait at a packet socket to its machine, at most a few batches.
    pub(super) fn receive_frames(&mut self, place: usize) {
        for _ in 0..BUDGET {
            let Packets { socket, owner, .. } = &self.devices.packets[place];
            let (owner, link) = (*owner, socket.link());
            // An error is that the device went off, told once.
            let Ok((count, more)) = self.devices.receive.receive(socket) else {
                break;
            };
            let now = crate::SystemClock.stamp();
            for slot in 0..count {
                if let Some((offload, bytes)) = self.devices.receive.arrival(slot) {
                    let frame = Frame {
                        link,
                        at: now,
                        bytes,
                        offload,
                    };
                    self.machines.handle(owner, now, Input::Frame(frame));
                }
            }
            self.machines.stamps.remember(now);
            self.drain(owner);
            if !more {
                break;
            }
        }
    }

    pub(super) fn receive_from_devices(&mut self) -> io::Result<()> {
        for place in 0..self.devices.packets.len() {
            self.receive_frames(place);
        }
        (0..self.devices.tuns.len()).try_for_each(|place| self.receive_tun(place))
    }

    /// Tells a machine what its devices would not send.
    pub(super) fn report_device_failures(&mut self, machine: Seat) {
        while let Some((path, errno)) = self.devices.failures.pop() {
            let report = Unreachable {
                path,
                tag: None,
                reporter: None,
                error: UnreachableError(errno),
                mtu: None,
            };
            let now = self.machines.now();
            self.machines
                .handle(machine, now, Input::Unreachable(report, &[]));
        }
    }
}

impl Machines {
    /// Hands a datagram, behind its offload header, to its machine. One that no IP header begins has no path worth the
    /// name, which its machine counts as it pleases.
    fn hear_datagram(&mut self, owner: Seat, link: LinkId, bytes: &[u8], now: Stamp) {
        let Some((header, payload)) = bytes.split_first_chunk::<HEADER>() else {
            return;
        };
        let ip = IpHeader::parse(payload);
        let datagram = Datagram {
            path: ip.map_or_else(|| link_path(link), |ip| ip.path(link)),
            at: now,
            marks: ip.map_or_else(Marks::default, |ip| ip.marks),
            payload,
            offload: offload::parse(header),
        };
        self.handle(owner, now, Input::Datagram(datagram));
    }

    /// Hands a frame, behind its offload header, to its machine.
    fn hear_frame(&mut self, owner: Seat, link: LinkId, bytes: &[u8], now: Stamp) {
        if let Some((header, bytes)) = bytes.split_first_chunk::<HEADER>() {
            let frame = Frame {
                link,
                at: now,
                bytes,
                offload: offload::parse(header),
            };
            self.handle(owner, now, Input::Frame(frame));
        }
    }
}

/// The path of what has no addresses.
fn link_path(link: LinkId) -> Path {
    let nobody = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
    Path {
        link,
        local: nobody,
        remote: nobody,
    }
}

/// A full send buffer empties at the speed of the link; longer than this is not worth a reply.
fn wait_writable(socket: impl AsFd) {
    let wait = Timespec {
        tv_sec: 0,
        tv_nsec: 2_000_000,
    };
    let _ = poll(&mut [PollFd::new(&socket, PollFlags::OUT)], Some(&wait));
}

fn errno(error: &io::Error) -> i32 {
    error.raw_os_error().unwrap_or(libc::EIO)
}
