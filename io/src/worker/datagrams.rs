//! UDP in the driver: batches in, batches out, departure stamps and errors from the error queue.

use super::Worker;
use super::control::AttachmentId;
use super::departures::Departures;
use super::devices::Devices;
use super::letters::{At, Letter, Letters, Message};
use super::machines::{Machines, Seat};
use crate::sys::{
    Arrival, Departure, ErrorKind, Patience, ReceiveBatch, SendBatch, SendItem, receive_errors,
};
use crate::udp::UdpSocket;
use halloo_base::{
    Datagram, Input, LinkId, Marks, Offload, Outbox, Part, Path, SocketId, Stamp, Train, Transmit,
    Unreachable, UnreachableError,
};
use nix::net::if_::if_nametoindex;
use rustix::event::{PollFd, PollFlags, poll};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};

/// Batches read from one socket before the others get their turn.
const BUDGET: usize = 4;
/// A UDP socket in its worker.
pub(super) struct UdpPort {
    socket: UdpSocket,
    owner: Seat,
    id: AttachmentId,
    /// Its machine's own number for it, if that opened it.
    name: Option<SocketId>,
    departures: Departures,
    /// The largest datagram that the kernel and the device cut out of a bigger send (UDP_SEGMENT); 0 for none.
    largest_segment: usize,
    /// The device that the socket is bound to, by the index that it had first: pulled out and plugged in
    /// again it gets another one, and is the same link all the same.
    link: Option<LinkId>,
}

impl UdpPort {
    pub(super) fn new(socket: UdpSocket, owner: Seat, id: AttachmentId) -> UdpPort {
        let largest_segment = socket.largest_segment();
        let link = socket
            .device()
            .and_then(|name| if_nametoindex(name).ok())
            .map(LinkId);
        UdpPort {
            link,
            socket,
            owner,
            id,
            name: None,
            departures: Departures::default(),
            largest_segment,
        }
    }

    /// The same, opened by its machine under this number.
    pub(super) fn named(self, name: SocketId) -> UdpPort {
        UdpPort {
            name: Some(name),
            ..self
        }
    }

    pub(super) fn name(&self) -> Option<SocketId> {
        self.name
    }

    pub(super) fn socket(&self) -> &UdpSocket {
        &self.socket
    }

    pub(super) fn owner(&self) -> Seat {
        self.owner
    }

    pub(super) fn id(&self) -> AttachmentId {
        self.id
    }

    /// How many departure stamps may still come.
    pub(super) fn awaited(&self) -> usize {
        self.departures.awaited()
    }

    /// Another descriptor of the same socket. From here on receiving may wait inside it.
    pub(super) fn copy_of_socket(&self) -> io::Result<OwnedFd> {
        self.socket.may_wait()?;
        self.socket.as_fd().try_clone_to_owned()
    }

    /// How a datagram is to leave by this port. A bound device needs no pin, and its index may have changed.
    ///
    /// IPv4 is pinned by its source address only: told an interface without a route to the peer, the kernel takes
    /// the peer for a neighbour there, and the datagram waits for an ARP answer that never comes. Where the way back
    /// is not the way out, source rules choose the link. IPv6 falls back by itself.
    ///
    /// Returns the number that its departure stamp will have, too.
    fn item(&mut self, how: &Transmit, segment: Option<u16>) -> (SendItem, Option<u32>) {
        let source = how.path.local.ip();
        let pinned = self.link.is_some() || how.path.remote.is_ipv4();
        let key = how.tag.map(|tag| self.departures.expect(tag));
        let item = SendItem {
            remote: how.path.remote,
            source: (!source.is_unspecified()).then_some(source),
            link: if pinned { 0 } else { how.path.link.0 },
            tos: how.tos,
            departure: match key {
                None => Departure::Unstamped,
                Some(key) if self.socket.names_departures() => Departure::Named(key),
                Some(_) => Departure::Counted,
            },
            segment,
        };
        (item, key)
    }

    /// A stamped send failed. Where the kernel counts, nobody knows whether it counted this one: begin anew.
    fn departure_failed(&mut self, key: u32) {
        self.departures.forget(key);
        if !self.socket.names_departures() && self.socket.restart_departures().is_ok() {
            self.departures.restart();
        }
    }

    /// The kernel would not cut datagrams of `size` bytes. Not to be asked again and again.
    fn refused_segments(&mut self, errno: i32, size: usize) {
        self.largest_segment = match errno {
            // The link's MTU is below what most links have.
            libc::EMSGSIZE | libc::EINVAL => self.largest_segment.min(size - 1),
            // The device computes no checksums, so it cannot cut either.
            libc::EIO | libc::EOPNOTSUPP => 0,
            _ => return,
        };
    }

    fn may_send(&self, machine: Seat, how: &Transmit) -> bool {
        // Two sockets may have the same address on different devices.
        let link = self
            .link
            .is_none_or(|link| [LinkId::default(), link].contains(&how.path.link));
        self.owner == machine && link && self.socket.covers(how.path.local)
    }
}

/// Receives and sends for all ports of a worker, with memory that they share.
pub(super) struct Courier {
    receive: ReceiveBatch,
    send: SendBatch,
    /// Datagrams of the round, in sending order.
    order: Vec<Letter>,
    /// Messages of the round; each is one datagram or a run of equal ones.
    messages: Vec<Message>,
    failures: Vec<(Transmit, i32)>,
}

impl Courier {
    pub(super) fn new() -> Courier {
        Courier {
            receive: ReceiveBatch::new(),
            send: SendBatch::new(),
            order: vec![],
            messages: vec![],
            failures: vec![],
        }
    }

    /// Sends the datagrams of an outbox by the machine's ports, but for those that its devices carry. Failures are kept
    /// for `report_failures`.
    pub(super) fn send(&mut self, outbox: &Outbox, machine: Seat, ports: &mut [UdpPort], devices: &Devices) {
        self.sort(outbox, machine, ports, devices);
        let mut first = 0;
        while first < self.order.len() {
            let port = self.order[first].port;
            let end = first
                + self.order[first..]
                    .iter()
                    .take_while(|letter| letter.port == port)
                    .count();
            self.send_by(outbox, &mut ports[port], first..end);
            first = end;
        }
        self.order.clear();
    }

    /// Finds each datagram's port, and brings those together that can leave in one send. Datagrams of one
    /// path stay in order; different paths never had one.
    fn sort(&mut self, outbox: &Outbox, machine: Seat, ports: &[UdpPort], devices: &Devices) {
        let mut last = ports.iter().position(|port| port.owner == machine).unwrap_or(0);
        for (place, part) in outbox.parts().enumerate() {
            let Part::Train(Train { how, .. }) = part else {
                continue;
            };
            if devices.carry(machine, &how) {
                continue;
            }
            if !ports.get(last).is_some_and(|port| port.may_send(machine, &how)) {
                match ports.iter().position(|port| port.may_send(machine, &how)) {
                    Some(port) => last = port,
                    None => {
                        self.failures.push((how, libc::EADDRNOTAVAIL));
                        continue;
                    }
                }
            }
            self.order.push(Letter {
                place,
                port: last,
                key: path_key(&how.path),
            });
        }
        let mixed = self
            .order
            .windows(2)
            .any(|pair| (pair[0].port, pair[0].key) != (pair[1].port, pair[1].key));
        if mixed && self.order.len() > 2 {
            self.order.sort_by_key(|letter| (letter.port, letter.key));
        }
    }

    fn send_by(&mut self, outbox: &Outbox, port: &mut UdpPort, letters: std::ops::Range<usize>) {
        let v6 = port.socket.is_v6();
        let letters = Letters {
            outbox,
            order: &self.order[letters],
        };
        let mut round = self.send.round(v6);
        self.messages.clear();
        let mut first = At { letter: 0, octet: 0 };
        while let Some(train) = letters.train(first.letter) {
            let (end, segment) = letters.message(first, port.largest_segment);
            let (item, key) = port.item(&train.how, segment);
            let message = Message {
                first,
                end,
                key,
                segment,
            };
            round.message(&item);
            letters.pieces(&message).for_each(|piece| round.piece(piece));
            self.messages.push(message);
            first = end;
        }
        let mut refused = vec![];
        round.send(&port.socket, |slot, result| {
            if let Err(error) = result {
                refused.push((self.messages[slot], error.raw_os_error().unwrap_or(libc::EIO)));
            }
        });
        let mut patient = true;
        for (message, errno) in refused {
            if let Some(key) = message.key {
                port.departure_failed(key);
            }
            if let Some(size) = message.segment {
                port.refused_segments(errno, size.into());
            }
            for (how, bytes) in letters.datagrams(&message) {
                if matches!(errno, libc::EAGAIN | libc::ENOBUFS) && std::mem::take(&mut patient) {
                    wait_writable(&port.socket);
                }
                let was_segment = message.segment.is_some();
                if let Err(errno) = send_again(&mut self.send, port, &how, bytes, was_segment, errno) {
                    self.failures.push((how, errno));
                }
            }
        }
    }
}

/// Sends one datagram that was refused with `errno`, first as it was, then in the way that may still work.
fn send_again(
    batch: &mut SendBatch,
    port: &mut UdpPort,
    how: &Transmit,
    bytes: &[u8],
    was_segment: bool,
    errno: i32,
) -> Result<(), i32> {
    // The error may be that of an earlier datagram, even to another peer: the kernel tells it to whoever calls next,
    // and only once. These two are always about the datagram itself.
    if !was_segment && matches!(errno, libc::EMSGSIZE | libc::EPERM) {
        return Err(errno);
    }
    let Err(errno) = send_one(batch, port, how, true, bytes) else {
        return Ok(());
    };
    match errno {
        libc::ENODEV | libc::ENXIO | libc::ENETUNREACH if port.socket.device().is_some() => {
            port.socket.rebind_device().map_err(|_| errno)?;
            send_one(batch, port, how, true, bytes)
        }
        // The way back may leave by another link than the request came by.
        libc::ENETUNREACH | libc::EHOSTUNREACH | libc::ENODEV | libc::EINVAL
            if how.path.link != LinkId(0) =>
        {
            send_one(batch, port, how, false, bytes)
        }
        _ => Err(errno),
    }
}

/// Sends one datagram; unless `pinned`, by whatever link routing chooses.
fn send_one(
    batch: &mut SendBatch,
    port: &mut UdpPort,
    how: &Transmit,
    pinned: bool,
    bytes: &[u8],
) -> Result<(), i32> {
    let (mut item, key) = port.item(how, None);
    if !pinned {
        item.link = 0;
    }
    let mut round = batch.round(port.socket.is_v6());
    round.message(&item);
    round.piece(bytes);
    let mut outcome = Ok(());
    round.send(&port.socket, |_, result| {
        outcome = result.map_err(|error| error.raw_os_error().unwrap_or(libc::EIO));
    });
    if let (Err(_), Some(key)) = (outcome, key) {
        port.departure_failed(key);
    }
    outcome
}

/// A full send buffer empties at the speed of the link; longer than this is not worth a reply.
fn wait_writable(socket: &UdpSocket) {
    let wait = rustix::event::Timespec {
        tv_sec: 0,
        tv_nsec: 2_000_000,
    };
    let _ = poll(&mut [PollFd::new(socket, PollFlags::OUT)], Some(&wait));
}

/// A number that is equal for equal paths and mostly differs for others (FNV-1a over the remote end).
fn path_key(path: &Path) -> u64 {
    let mix = |hash: u64, word: u64| (hash ^ word).wrapping_mul(0x0000_0100_0000_01b3);
    let (high, low) = match path.remote.ip() {
        IpAddr::V4(ip) => (0, u64::from(u32::from(ip))),
        IpAddr::V6(ip) => ((u128::from(ip) >> 64) as u64, u128::from(ip) as u64),
    };
    mix(
        mix(mix(0xcbf2_9ce4_8422_2325, high), low),
        u64::from(path.remote.port()),
    )
}

impl Worker {
    /// Hands what waits on a port to its machine, at most a few batches.
    pub(super) fn receive(&mut self, port: usize, error_flagged: bool) {
        if error_flagged || self.ports[port].departures.are_awaited() {
            self.read_errors(port, error_flagged);
        }
        self.drain(self.ports[port].owner);
        for _ in 0..BUDGET {
            match self.receive_batch(port, Patience::None) {
                Ok(more) if more => {}
                _ => break,
            }
        }
        self.read_fresh_departures(port);
    }

    /// Waits inside the only socket until a datagram comes, and hands it to its machine.
    pub(super) fn wait_inside(&mut self) {
        // An error is that of an earlier answer, told once; there is nobody to tell.
        let _ = self.receive_batch(0, Patience::UntilOne);
        self.read_fresh_departures(0);
    }

    /// Hands one batch to its machine. Returns whether more may wait.
    fn receive_batch(&mut self, port: usize, patience: Patience) -> io::Result<bool> {
        let owner = self.ports[port].owner;
        let (count, more) = self.courier.receive.receive(&self.ports[port].socket, patience)?;
        let now = halloo_base::Clock::stamp(&crate::SystemClock);
        let bound = self.ports[port].socket.local_addr();
        let link = self.ports[port].link;
        for slot in 0..count {
            if let Some(mut arrival) = self.courier.receive.arrival(slot) {
                arrival.link = link.map_or(arrival.link, |link| link.0);
                arrival.payload = self.ports[port].socket.message(arrival.payload);
                self.machines.hear(owner, &arrival, bound, now);
            }
        }
        self.machines.stamps.remember(now);
        self.drain(owner);
        Ok(more)
    }

    /// On most links the stamps of what was just sent are there already.
    fn read_fresh_departures(&mut self, port: usize) {
        if self.ports[port].departures.are_awaited() {
            self.read_errors(port, false);
            self.drain(self.ports[port].owner);
        }
    }

    /// Reads departure stamps that may have come with the last send.
    pub(super) fn read_departures(&mut self, machine: Seat) {
        for port in 0..self.ports.len() {
            if self.ports[port].owner == machine && self.ports[port].departures.are_awaited() {
                self.read_errors(port, false);
            }
        }
    }

    /// Empties a port's error queue: departure stamps, and reports that something did not get through. What the
    /// machine wants done about them is left in the outbox.
    fn read_errors(&mut self, port: usize, flagged: bool) {
        let mut read_any = false;
        // Without a flag there is nothing to find but the departures that are awaited.
        while flagged || self.ports[port].departures.are_awaited() {
            let news = match receive_errors(&self.ports[port].socket) {
                Ok(Some(news)) => news,
                Ok(None) => continue,
                Err(_) => break,
            };
            read_any = true;
            let port = &mut self.ports[port];
            let owner = port.owner;
            let now = halloo_base::Clock::stamp(&crate::SystemClock);
            match news.kind {
                ErrorKind::Departure { key, stamp } => {
                    if let Some(tag) = port.departures.take(key) {
                        let stamp = self.machines.stamps.stamp(Some(stamp), now);
                        self.machines.handle(owner, now, Input::Departed(tag, stamp));
                    }
                }
                // So the kernel tells a ping socket of a redirect, and of a source quench. Nothing is lost by them.
                ErrorKind::Unreachable {
                    errno: libc::EREMOTEIO,
                    ..
                } => {}
                ErrorKind::Unreachable { quote, .. } if !port.socket.has_sent(quote.bytes()) => {}
                ErrorKind::Unreachable {
                    errno,
                    reporter,
                    mtu,
                    quote,
                } => {
                    let local = port.socket.local_addr();
                    let remote = news.remote.unwrap_or(local);
                    let path = Path {
                        link: LinkId(0),
                        local,
                        remote,
                    };
                    let error = UnreachableError(errno);
                    let report = Unreachable {
                        path,
                        tag: None,
                        reporter,
                        error,
                        mtu,
                    };
                    self.machines
                        .handle(owner, now, Input::Unreachable(report, quote.bytes()));
                }
            }
        }
        if flagged && !read_any {
            // An error without a message would keep the socket ready for ever.
            let _ = self.ports[port].socket.take_error();
        }
    }

    /// Tells a machine which of its datagrams this host refused to send.
    pub(super) fn report_failures(&mut self, machine: Seat) {
        while let Some((how, errno)) = self.courier.failures.pop() {
            let now = self.machines.now();
            let error = UnreachableError(errno);
            let report = Unreachable {
                path: how.path,
                tag: how.tag,
                reporter: None,
                error,
                mtu: None,
            };
            self.machines
                .handle(machine, now, Input::Unreachable(report, &[]));
        }
    }
}

impl Machines {
    /// Hands an arrival to its machine, cut into the datagrams that it was made of.
    fn hear(&mut self, owner: Seat, arrival: &Arrival<'_>, bound: SocketAddr, now: Stamp) {
        let at = self.stamps.stamp(arrival.stamp, now);
        let local = SocketAddr::new(arrival.local.unwrap_or(bound.ip()), bound.port());
        let path = Path {
            link: LinkId(arrival.link),
            local,
            remote: arrival.remote,
        };
        let marks = Marks {
            tos: arrival.tos,
            ttl: arrival.ttl,
        };
        let size = arrival.segment.map_or(arrival.payload.len(), usize::from).max(1);
        if arrival.payload.len() <= size {
            let datagram = Datagram {
                path,
                at,
                marks,
                payload: arrival.payload,
                offload: Offload::default(),
            };
            return self.handle(owner, now, Input::Datagram(datagram));
        }
        for payload in arrival.payload.chunks(size) {
            self.handle(
                owner,
                now,
                Input::Datagram(Datagram {
                    path,
                    at,
                    marks,
                    payload,
                    offload: Offload::default(),
                }),
            );
        }
    }
}
