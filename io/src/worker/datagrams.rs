//! UDP in the driver: batches in, batches out, departure stamps and errors from the error queue.

use super::{MachineId, Machines, Worker};
use crate::sys::{Arrival, ErrorKind, ReceiveBatch, SendBatch, SendItem, receive_errors};
use crate::udp::{UdpSocket, covers};
use halloo_base::{
    Datagram, Input, LinkId, Marks, Outbox, Output, Path, Stamp, Transmit, TxTag, Unreachable,
    UnreachableError,
};
use nix::net::if_::if_nametoindex;
use rustix::event::{PollFd, PollFlags, poll};
use std::net::{IpAddr, SocketAddr};

/// Batches read from one socket before the others get their turn.
const BUDGET: usize = 4;
/// The largest datagram that is sent as a segment of a bigger one: it fits any link of 1,500 bytes unfragmented.
const LARGEST_SEGMENT: usize = 1_452;
/// The kernel's own limits for one segmented send (UDP_MAX_SEGMENTS, and 16 bits of length).
const MOST_SEGMENTS: usize = 64;
const MOST_SEGMENTED_BYTES: usize = 65_000;

/// A UDP socket in its worker.
pub(super) struct UdpPort {
    socket: UdpSocket,
    owner: MachineId,
    departures: Departures,
    /// Whether the kernel and the device cut big sends into datagrams (UDP_SEGMENT).
    segments: bool,
    /// The device that the socket is bound to, by the index that it had first: pulled out and plugged in
    /// again it gets another one, and is the same link all the same.
    link: Option<LinkId>,
}

impl UdpPort {
    pub(super) fn new(socket: UdpSocket, owner: MachineId) -> UdpPort {
        let segments = socket.segments();
        let link = socket
            .device()
            .and_then(|name| if_nametoindex(name).ok())
            .map(LinkId);
        UdpPort {
            link,
            socket,
            owner,
            departures: Departures::default(),
            segments,
        }
    }

    /// How a datagram is to leave by this port. A bound device needs no pin, and its index may have changed.
    fn item(&self, how: &Transmit, segment: Option<u16>) -> SendItem {
        let source = how.path.local.ip();
        SendItem {
            remote: how.path.remote,
            source: (!source.is_unspecified()).then_some(source),
            link: if self.link.is_some() { 0 } else { how.path.link.0 },
            tos: how.tos,
            stamp: how.tag.is_some(),
            segment,
        }
    }

    fn may_send(&self, machine: MachineId, how: &Transmit) -> bool {
        self.owner == machine && covers(self.socket.local_addr(), how.path.local)
    }
}

/// Which tag belongs to which departure: the kernel numbers stamped sends from 0.
#[derive(Default)]
struct Departures {
    next: u32,
    waiting: u32,
    ring: Vec<Option<(u32, TxTag)>>,
}

impl Departures {
    /// Stamps come within microseconds on a working link; what is older than this is given up.
    const ROOM: usize = 4_096;

    fn expect(&mut self, tag: TxTag) {
        if self.ring.is_empty() {
            self.ring.resize(Departures::ROOM, None);
        }
        let slot = &mut self.ring[self.next as usize % Departures::ROOM];
        if slot.replace((self.next, tag)).is_none() {
            self.waiting += 1;
        }
        self.next = self.next.wrapping_add(1);
    }

    fn take(&mut self, key: u32) -> Option<TxTag> {
        let slot = self.ring.get_mut(key as usize % Departures::ROOM)?;
        let (_, tag) = slot.take_if(|(expected, _)| *expected == key)?;
        self.waiting -= 1;
        Some(tag)
    }

    fn restart(&mut self) {
        self.ring.fill(None);
        self.next = 0;
        self.waiting = 0;
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

/// A datagram of the outbox on its way to a port.
#[derive(Clone, Copy)]
struct Letter {
    /// The outbox's place.
    place: usize,
    port: usize,
    /// Equal for datagrams that could leave in one send.
    key: u64,
}

/// A run of `count` letters from `first` on, sent as one message.
#[derive(Clone, Copy)]
struct Message {
    first: usize,
    count: usize,
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

    /// Sends all datagrams of an outbox by the machine's ports. Failures are kept for `report_failures`.
    pub(super) fn send(&mut self, outbox: &Outbox, machine: MachineId, ports: &mut [UdpPort]) {
        self.sort(outbox, machine, ports);
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
    fn sort(&mut self, outbox: &Outbox, machine: MachineId, ports: &[UdpPort]) {
        let mut last = ports.iter().position(|port| port.owner == machine).unwrap_or(0);
        for (place, output) in outbox.iter().enumerate() {
            let Output::Datagram(how, _) = output else {
                continue;
            };
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
        let letter = |at: usize| match outbox.get(self.order[at].place) {
            Some(Output::Datagram(how, bytes)) => (how, bytes),
            _ => unreachable!("the order lists datagrams only"),
        };
        let mut round = self.send.round(v6);
        self.messages.clear();
        let mut next = letters.start;
        while next < letters.end {
            let (how, bytes) = letter(next);
            let mut count = 1;
            if port.segments && how.tag.is_none() && (1..=LARGEST_SEGMENT).contains(&bytes.len()) {
                let most = MOST_SEGMENTS
                    .min(MOST_SEGMENTED_BYTES / bytes.len())
                    .min(letters.end - next);
                while count < most
                    && letter(next + count).0 == how
                    && letter(next + count).1.len() == bytes.len()
                {
                    count += 1;
                }
            }
            round.message(&port.item(&how, (count > 1).then_some(bytes.len() as u16)));
            for at in next..next + count {
                round.piece(letter(at).1);
            }
            self.messages.push(Message { first: next, count });
            next += count;
        }
        let mut refused = vec![];
        round.send(&port.socket, |slot, result| {
            let message = self.messages[slot];
            match (result, letter(message.first).0.tag) {
                (Ok(()), Some(tag)) => port.departures.expect(tag),
                (Ok(()), None) => {}
                (Err(error), _) => refused.push((message, error.raw_os_error().unwrap_or(libc::EIO))),
            }
        });
        for (message, errno) in refused {
            if message.count > 1 && matches!(errno, libc::EIO | libc::EOPNOTSUPP) {
                // The device computes no checksums, so it cannot cut either: never ask it again.
                port.segments = false;
            }
            for at in message.first..message.first + message.count {
                let (how, bytes) = letter(at);
                if let Err(errno) = send_again(&mut self.send, port, &how, bytes, message.count > 1, errno) {
                    self.failures.push((how, errno));
                }
            }
        }
    }
}

/// Sends one datagram that was refused with `errno` in the way that may still work.
fn send_again(
    batch: &mut SendBatch,
    port: &mut UdpPort,
    how: &Transmit,
    bytes: &[u8],
    was_segment: bool,
    errno: i32,
) -> Result<(), i32> {
    let mut item = port.item(how, None);
    match errno {
        libc::EAGAIN | libc::ENOBUFS => wait_writable(&port.socket),
        libc::ENODEV | libc::ENXIO if port.socket.device().is_some() => {
            port.socket.rebind_device().map_err(|_| errno)?;
        }
        // The way back may leave by another link than the request came by.
        libc::ENETUNREACH | libc::EHOSTUNREACH | libc::ENODEV | libc::EINVAL if item.link != 0 => {
            item.link = 0;
        }
        _ if was_segment => {}
        _ => return Err(errno),
    }
    // Whether the refused send took a number is not told: start counting anew.
    if how.tag.is_some() && port.socket.restart_departures().is_ok() {
        port.departures.restart();
    }
    let mut round = batch.round(port.socket.is_v6());
    round.message(&item);
    round.piece(bytes);
    let mut outcome = Ok(());
    round.send(&port.socket, |_, result| {
        outcome = result.map_err(|error| error.raw_os_error().unwrap_or(libc::EIO));
    });
    if let (Ok(()), Some(tag)) = (outcome, how.tag) {
        port.departures.expect(tag);
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
        if error_flagged || self.ports[port].departures.waiting > 0 {
            self.read_errors(port, error_flagged);
        }
        let owner = self.ports[port].owner;
        self.drain(owner);
        for _ in 0..BUDGET {
            let Ok((count, more)) = self.courier.receive.receive(&self.ports[port].socket) else {
                return;
            };
            let now = halloo_base::Clock::stamp(&crate::SystemClock);
            let bound = self.ports[port].socket.local_addr();
            let link = self.ports[port].link;
            for slot in 0..count {
                if let Some(mut arrival) = self.courier.receive.arrival(slot) {
                    arrival.link = link.map_or(arrival.link, |link| link.0);
                    self.machines.hear(owner, &arrival, bound, now);
                }
            }
            self.machines.stamps.remember(now);
            self.drain(owner);
            if !more {
                return;
            }
        }
    }

    /// Reads departure stamps that may have come with the last send.
    pub(super) fn read_departures(&mut self, machine: MachineId) {
        for port in 0..self.ports.len() {
            if self.ports[port].owner == machine && self.ports[port].departures.waiting > 0 {
                self.read_errors(port, false);
            }
        }
    }

    /// Empties a port's error queue: departure stamps, and reports that something did not get through. What the
    /// machine wants done about them is left in the outbox.
    fn read_errors(&mut self, port: usize, flagged: bool) {
        let mut read_any = false;
        // Without a flag there is nothing to find but the departures that are awaited.
        while flagged || self.ports[port].departures.waiting > 0 {
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
                ErrorKind::Unreachable {
                    errno,
                    reporter,
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
    pub(super) fn report_failures(&mut self, machine: MachineId) {
        while let Some((how, errno)) = self.courier.failures.pop() {
            let now = self.machines.now();
            let error = UnreachableError(errno);
            let report = Unreachable {
                path: how.path,
                tag: how.tag,
                reporter: None,
                error,
            };
            self.machines
                .handle(machine, now, Input::Unreachable(report, &[]));
        }
    }
}

impl Machines {
    /// Hands an arrival to its machine, cut into the datagrams that it was made of.
    fn hear(&mut self, owner: MachineId, arrival: &Arrival<'_>, bound: SocketAddr, now: Stamp) {
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
                }),
            );
        }
    }
}
