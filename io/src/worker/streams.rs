//! Streams in the driver: accepting, connecting, reading, writing, and knowing when to stop reading.
//!
//! Back-pressure: while bytes wait for a peer that connected to us, or that we answer, nothing more is read from it, so
//! what waits for it stays below what one read can cause; all of them together may hold [`MOST_HELD`]. A machine that writes more than
//! [`MOST_WAITING`] unasked loses the connection.

use super::listeners::Listeners;
use super::machines::Seat;
use super::{Source, Worker};
use crate::sys::{ErrorKind, receive_errors, receive_stamped, send_stamped};
use crate::tcp::{StreamOptions, connect, plain, stamp_stream};
use halloo_base::{Clock, CloseReason, ConnId, Input, Path, StreamInput, TxTag, UnreachableError};
use rustix::event::epoll::{self, EventFlags};
use rustix::net::{RecvFlags, SendFlags};
use socket2::Socket;
use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::time::Duration;

/// One read takes at most this much.
const READ: usize = 256 * 1024;
/// Reads from one connection before the others get their turn.
const READS: usize = 4;
/// The most that may wait for a peer that does not read.
const MOST_WAITING: usize = 4 * 1024 * 1024;
/// The most that may wait for all such peers together.
const MOST_HELD: usize = 64 * 1024 * 1024;
/// Connections accepted before everything else gets its turn.
const ACCEPT_BUDGET: usize = 1_024;

/// All streams of a worker.
pub(super) struct Streams {
    pub(super) listeners: Listeners,
    options: HashMap<Seat, StreamOptions>,
    slots: Vec<Slot>,
    free: Vec<u32>,
    /// Connections that a machine opened, by the number it chose.
    opened: HashMap<(Seat, ConnId), u32>,
    buffer: Box<[u8]>,
    /// Bytes that wait for peers, all connections together.
    held: usize,
    /// Closed to have one descriptor left when the process has used up its share.
    reserve: Option<OwnedFd>,
}

#[derive(Default)]
struct Slot {
    generation: u32,
    conn: Option<Box<Conn>>,
}

struct Conn {
    id: ConnId,
    owner: Seat,
    socket: Socket,
    path: Path,
    connecting: bool,
    /// Whether nothing is read while bytes wait.
    holds_back: bool,
    /// Bytes that the socket would not take yet.
    waiting: VecDeque<u8>,
    /// What epoll was last asked for; `None` before the first time.
    interest: Option<EventFlags>,
    /// The peer will send no more.
    peer_finished: bool,
    /// We are to send no more than what waits.
    finishing: bool,
    finished: bool,
    departures: Option<Departures>,
}

/// Which tag belongs to which departure: the kernel names the last byte of a stamped write, counted from 0.
#[derive(Default)]
struct Departures {
    written: u32,
    expected: VecDeque<(u32, TxTag)>,
}

impl Departures {
    const ROOM: usize = 1_024;

    fn wrote(&mut self, bytes: usize, tag: Option<TxTag>) {
        self.written = self.written.wrapping_add(bytes as u32);
        if let Some(tag) = tag {
            if self.expected.len() == Departures::ROOM {
                self.expected.pop_front();
            }
            self.expected.push_back((self.written.wrapping_sub(1), tag));
        }
    }

    fn take(&mut self, key: u32) -> Option<TxTag> {
        let place = self.expected.iter().position(|&(last, _)| last == key)?;
        self.expected.drain(..=place).next_back().map(|(_, tag)| tag)
    }
}

impl Streams {
    pub(super) fn new() -> Streams {
        Streams {
            listeners: Listeners::default(),
            options: HashMap::new(),
            slots: vec![],
            free: vec![],
            opened: HashMap::new(),
            buffer: vec![0; READ].into_boxed_slice(),
            held: 0,
            reserve: spare_descriptor(),
        }
    }

    /// Whether nothing listens and nobody may connect.
    pub(super) fn are_none(&self) -> bool {
        self.listeners.is_empty() && self.options.is_empty()
    }

    /// Closes all that a machine has, its listeners apart, and forgets how it connects. Returns how many connections there
    /// were, and how many bytes waited for their peers.
    pub(super) fn forget(&mut self, owner: Seat) -> (u64, u64) {
        self.options.remove(&owner);
        let (mut connections, mut bytes) = (0, 0);
        for slot in 0..self.slots.len() as u32 {
            if self.get(slot).is_some_and(|conn| conn.owner == owner)
                && let Some(conn) = self.remove(slot)
            {
                connections += 1;
                bytes += conn.waiting.len() as u64;
            }
        }
        (connections, bytes)
    }

    pub(super) fn set_options(&mut self, owner: Seat, options: StreamOptions) {
        self.options.insert(owner, options);
    }

    fn get(&mut self, slot: u32) -> Option<&mut Conn> {
        self.slots.get_mut(slot as usize)?.conn.as_deref_mut()
    }

    /// The connection that had this slot when it had this generation, if it is still there.
    fn current(&mut self, slot: u32, generation: u32) -> Option<&mut Conn> {
        let slot = self
            .slots
            .get_mut(slot as usize)
            .filter(|slot| slot.generation == generation)?;
        slot.conn.as_deref_mut()
    }

    /// The slot of a connection by its id, if it is still there.
    fn find(&self, owner: Seat, id: ConnId) -> Option<u32> {
        if !id.is_accepted() {
            return self.opened.get(&(owner, id)).copied();
        }
        let slot = id.0 as u32;
        let conn = self.slots.get(slot as usize)?.conn.as_ref()?;
        (conn.id == id && conn.owner == owner).then_some(slot)
    }

    /// Finds room for a connection. `id` is made from the room for one that was accepted.
    fn insert(&mut self, id: Option<ConnId>, owner: Seat, socket: Socket, path: Path) -> (u32, ConnId) {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            self.slots.len() as u32 - 1
        });
        let room = &mut self.slots[slot as usize];
        // 28 bits, so that it fits beside the slot in an id and in the data of an event.
        room.generation = (room.generation + 1) & 0x0fff_ffff;
        let accepted = ConnId(ConnId::ACCEPTED | u64::from(room.generation) << 32 | u64::from(slot));
        let conn = Conn {
            id: id.unwrap_or(accepted),
            owner,
            socket,
            path,
            connecting: id.is_some(),
            holds_back: id.is_none_or(|_| self.options.get(&owner).is_some_and(|options| options.answers)),
            waiting: VecDeque::new(),
            interest: None,
            peer_finished: false,
            finishing: false,
            finished: false,
            departures: None,
        };
        let id = conn.id;
        room.conn = Some(Box::new(conn));
        if !id.is_accepted() {
            self.opened.insert((owner, id), slot);
        }
        (slot, id)
    }

    /// Forgets a connection; dropping its socket closes it.
    fn remove(&mut self, slot: u32) -> Option<Box<Conn>> {
        let conn = self.slots.get_mut(slot as usize)?.conn.take()?;
        self.opened.remove(&(conn.owner, conn.id));
        self.held -= conn.waiting.len();
        self.free.push(slot);
        Some(conn)
    }
}

impl Conn {
    fn wanted(&self) -> EventFlags {
        let mut wanted = EventFlags::empty();
        if self.connecting || !self.waiting.is_empty() {
            wanted |= EventFlags::OUT;
        }
        if self.reads() {
            // Told once for each arrival (EPOLLET): nothing has to be looked at again that was read already.
            wanted |= EventFlags::IN | EventFlags::RDHUP | EventFlags::ET;
        }
        wanted
    }

    /// Whether what the peer sends is to be read now. Only who was connected to, or answers, waits for a peer that
    /// does not read: if both ends did, and both had more to send than fits between them, neither would ever read again.
    fn reads(&self) -> bool {
        let held_back = self.holds_back && !self.waiting.is_empty();
        !self.connecting && !self.peer_finished && !held_back
    }

    /// Sends what the socket takes now; the rest waits.
    fn send(&mut self, bytes: &[u8], tag: Option<TxTag>) -> io::Result<()> {
        let mut sent = 0;
        if self.waiting.is_empty() && !self.connecting {
            sent = match tag.filter(|_| self.departures.is_some()) {
                Some(_) => would_block_is_zero(send_stamped(&self.socket, bytes))?,
                None => would_block_is_zero(send_plain(&self.socket, bytes))?,
            };
        }
        if let Some(departures) = &mut self.departures {
            // A write that did not go whole has no departure worth the name.
            departures.wrote(bytes.len(), tag.filter(|_| sent == bytes.len()));
        }
        self.waiting.extend(&bytes[sent..]);
        Ok(())
    }

    /// Sends what waits, as far as the socket takes it.
    fn flush(&mut self) -> io::Result<()> {
        while !self.waiting.is_empty() {
            let sent = would_block_is_zero(send_plain(&self.socket, self.waiting.as_slices().0))?;
            if sent == 0 {
                return Ok(());
            }
            self.waiting.drain(..sent);
        }
        // Keep no memory for a connection that was slow once.
        self.waiting = VecDeque::new();
        Ok(())
    }

    /// Half-closes when that is due.
    fn finish_if_due(&mut self) {
        if self.finishing && !self.finished && !self.connecting && self.waiting.is_empty() {
            self.finished = true;
            // Fails only when the connection is gone, which the next event tells.
            let _ = self.socket.shutdown(Shutdown::Write);
        }
    }
}

impl Worker {
    /// Accepts what waits at a listener.
    pub(super) fn accept(&mut self, listener: usize) {
        if self.streams.reserve.is_none() {
            self.streams.reserve = spare_descriptor();
        }
        for _ in 0..ACCEPT_BUDGET {
            let (socket, owner) = self.streams.listeners.at(listener);
            match socket.accept() {
                Ok((socket, path)) => {
                    let (slot, id) = self.streams.insert(None, owner, socket, path);
                    if self.watch(slot).is_err() {
                        self.streams.remove(slot);
                        continue;
                    }
                    let at = crate::SystemClock.stamp();
                    self.tell(owner, Input::Stream(id, StreamInput::Opened { path, at }));
                }
                Err(error) => match error.raw_os_error() {
                    Some(libc::EMFILE | libc::ENFILE) => {
                        // Without this the waiting connection would keep the listener ready for ever.
                        if self.streams.reserve.take().is_none() {
                            return;
                        }
                        let _ = self.streams.listeners.at(listener).0.accept();
                        self.streams.reserve = spare_descriptor();
                    }
                    Some(libc::ECONNABORTED | libc::EPROTO | libc::EINTR) => {}
                    _ => return,
                },
            }
        }
    }

    pub(super) fn connect(&mut self, owner: Seat, id: ConnId, path: Path) {
        let options = self.streams.options.get(&owner).cloned().unwrap_or_default();
        match connect(&options, path) {
            Ok(socket) => {
                let (slot, _) = self.streams.insert(Some(id), owner, socket, path);
                if let Err(error) = self.watch(slot) {
                    self.close(slot, CloseReason::ConnectFailed(errno(&error)));
                }
            }
            Err(error) => {
                let closed = StreamInput::Closed(CloseReason::ConnectFailed(errno(&error)));
                self.tell(owner, Input::Stream(id, closed));
            }
        }
    }

    pub(super) fn write(&mut self, owner: Seat, id: ConnId, tag: Option<TxTag>, bytes: &[u8]) {
        let Some(slot) = self.streams.find(owner, id) else {
            return;
        };
        let Some(conn) = self.streams.get(slot).filter(|conn| !conn.finishing) else {
            return;
        };
        let before = conn.waiting.len();
        if before + bytes.len() > MOST_WAITING {
            return self.close(slot, CloseReason::Overflow);
        }
        let result = conn.send(bytes, tag);
        let more = conn.waiting.len() - before;
        self.streams.held += more;
        match result {
            Ok(()) if more > 0 && self.streams.held > MOST_HELD => self.close(slot, CloseReason::Overflow),
            Ok(()) => self.settle(slot),
            Err(error) => self.close(slot, CloseReason::Broken(errno(&error))),
        }
    }

    pub(super) fn finish(&mut self, owner: Seat, id: ConnId) {
        if let Some(slot) = self.streams.find(owner, id) {
            if let Some(conn) = self.streams.get(slot) {
                conn.finishing = true;
            }
            self.settle(slot);
        }
    }

    pub(super) fn abort(&mut self, owner: Seat, id: ConnId) {
        let gone = self
            .streams
            .find(owner, id)
            .and_then(|slot| self.streams.remove(slot));
        if let Some(conn) = gone {
            // Closed without this, what waits in the kernel would still be sent, for minutes.
            let _ = conn.socket.set_linger(Some(Duration::ZERO));
        }
    }

    pub(super) fn stream_event(&mut self, slot: u32, generation: u32, flags: EventFlags) {
        // The connection may have gone, and another come, since the kernel wrote this event.
        let Some(conn) = self.streams.current(slot, generation) else {
            return;
        };
        if conn.connecting {
            return self.connected(slot, flags);
        }
        if flags.contains(EventFlags::ERR) {
            self.read_stream_errors(slot);
        }
        if flags.contains(EventFlags::OUT) {
            self.flush(slot, generation);
        }
        // What was told just now may have ended the connection, and another may have its place.
        let Some(conn) = self.streams.current(slot, generation) else {
            return;
        };
        if conn.reads() && flags.intersects(EventFlags::IN | EventFlags::HUP) {
            let ends = flags.intersects(EventFlags::RDHUP | EventFlags::HUP);
            self.read_stream(slot, ends);
        } else if flags.contains(EventFlags::HUP) {
            // Both directions are shut and nothing is left to read.
            self.close(slot, CloseReason::Done);
        }
    }

    /// Sends what waits on a connection, as far as the socket takes it.
    fn flush(&mut self, slot: u32, generation: u32) {
        let Some(conn) = self.streams.current(slot, generation) else {
            return;
        };
        let before = conn.waiting.len();
        let result = conn.flush();
        let sent = before - conn.waiting.len();
        self.streams.held -= sent;
        match result {
            Ok(()) => self.settle(slot),
            Err(error) => self.close(slot, CloseReason::Broken(errno(&error))),
        }
    }

    fn connected(&mut self, slot: u32, flags: EventFlags) {
        if !flags.intersects(EventFlags::OUT | EventFlags::ERR | EventFlags::HUP) {
            return;
        }
        let Some(conn) = self.streams.get(slot) else {
            return;
        };
        if let Some(error) = conn.socket.take_error().unwrap_or_else(Some) {
            return self.close(slot, CloseReason::ConnectFailed(errno(&error)));
        }
        conn.connecting = false;
        // Not before: the kernel counts departures from here, and the handshake would count as a byte.
        if stamp_stream(&conn.socket).is_ok() {
            conn.departures = Some(Departures {
                written: conn.waiting.len() as u32,
                ..Departures::default()
            });
        }
        if let Ok(local) = conn.socket.local_addr() {
            conn.path.local = plain(&local);
        }
        let (owner, id, path) = (conn.owner, conn.id, conn.path);
        let generation = self.streams.slots[slot as usize].generation;
        self.flush(slot, generation);
        if self.streams.current(slot, generation).is_none() {
            return;
        }
        let at = crate::SystemClock.stamp();
        self.tell(owner, Input::Stream(id, StreamInput::Opened { path, at }));
    }

    /// Reads what there is, as long as the machine keeps up; `ends` if the peer's end is behind it.
    fn read_stream(&mut self, slot: u32, ends: bool) {
        let id = self.streams.get(slot).map(|conn| conn.id);
        for _ in 0..READS {
            // A read that did not fill the buffer has emptied the socket.
            if self.read_once(slot) < READ && !ends {
                return;
            }
            let reads_on = |conn: &mut Conn| Some(conn.id) == id && conn.wanted().contains(EventFlags::IN);
            if !self.streams.get(slot).is_some_and(reads_on) {
                return;
            }
        }
        // There is more, and the others wait: have it told again.
        if let Err(error) = self.watch(slot) {
            self.close(slot, CloseReason::Broken(errno(&error)));
        }
    }

    /// Returns how many bytes there were.
    fn read_once(&mut self, slot: u32) -> usize {
        let mut buffer = std::mem::take(&mut self.streams.buffer);
        let Some(conn) = self.streams.get(slot) else {
            self.streams.buffer = buffer;
            return 0;
        };
        let (owner, id) = (conn.owner, conn.id);
        let received = match conn.departures {
            Some(_) => receive_stamped(&conn.socket, &mut buffer),
            None => rustix::net::recv(&conn.socket, &mut buffer[..], RecvFlags::DONTWAIT)
                .map(|(len, _)| (len, None))
                .map_err(io::Error::from),
        };
        let len = received.as_ref().map_or(0, |&(len, _)| len);
        match received {
            Ok((0, _)) => {
                conn.peer_finished = true;
                self.tell(owner, Input::Stream(id, StreamInput::Finished));
                self.settle(slot);
            }
            Ok((len, stamp)) => {
                let now = crate::SystemClock.stamp();
                let at = self.machines.stamps.stamp(stamp, now);
                self.machines.stamps.remember(now);
                let data = StreamInput::Data {
                    bytes: &buffer[..len],
                    at,
                };
                self.machines.handle(owner, now, Input::Stream(id, data));
                self.drain(owner);
            }
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
                ) => {}
            Err(error) => self.close(slot, CloseReason::Broken(errno(&error))),
        }
        self.streams.buffer = buffer;
        len
    }

    /// Departure stamps, or the error that ended the connection.
    fn read_stream_errors(&mut self, slot: u32) {
        let mut departed = false;
        while let Some(conn) = self.streams.get(slot) {
            let Ok(news) = receive_errors(&conn.socket) else {
                break;
            };
            let Some(ErrorKind::Departure { key, stamp }) = news.map(|news| news.kind) else {
                continue;
            };
            departed = true;
            let owner = conn.owner;
            if let Some(tag) = conn
                .departures
                .as_mut()
                .and_then(|departures| departures.take(key))
            {
                let now = crate::SystemClock.stamp();
                let stamp = self.machines.stamps.stamp(Some(stamp), now);
                self.machines.handle(owner, now, Input::Departed(tag, stamp));
                self.drain(owner);
            }
        }
        let Some(conn) = self.streams.get(slot) else {
            return;
        };
        if !departed && let Some(error) = conn.socket.take_error().unwrap_or_else(Some) {
            self.close(slot, CloseReason::Broken(errno(&error)));
        }
    }

    /// After anything changed on a connection: half-close if due, close if both sides are through, and watch
    /// for what matters now.
    fn settle(&mut self, slot: u32) {
        let Some(conn) = self.streams.get(slot) else {
            return;
        };
        conn.finish_if_due();
        if conn.finished && conn.peer_finished {
            return self.close(slot, CloseReason::Done);
        }
        if conn.interest != Some(conn.wanted())
            && let Err(error) = self.watch(slot)
        {
            self.close(slot, CloseReason::Broken(errno(&error)));
        }
    }

    /// Asks epoll for the events that matter on a connection now.
    fn watch(&mut self, slot: u32) -> io::Result<()> {
        let generation = self.streams.slots[slot as usize].generation;
        let Some(conn) = self.streams.get(slot) else {
            return Ok(());
        };
        let wanted = conn.wanted();
        let data = Source::Conn { slot, generation }.pack();
        match conn.interest.replace(wanted) {
            Some(_) => epoll::modify(&self.epoll, &conn.socket, data, wanted)?,
            None => epoll::add(&self.epoll, &conn.socket, data, wanted)?,
        }
        Ok(())
    }

    fn close(&mut self, slot: u32, why: CloseReason) {
        if let Some(conn) = self.streams.remove(slot) {
            self.tell(conn.owner, Input::Stream(conn.id, StreamInput::Closed(why)));
        }
    }
}

fn send_plain(socket: &Socket, bytes: &[u8]) -> io::Result<usize> {
    Ok(rustix::net::send(
        socket,
        bytes,
        SendFlags::DONTWAIT | SendFlags::NOSIGNAL,
    )?)
}

fn would_block_is_zero(result: io::Result<usize>) -> io::Result<usize> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
        other => other,
    }
}

fn errno(error: &io::Error) -> UnreachableError {
    UnreachableError(error.raw_os_error().unwrap_or(libc::EIO))
}

fn spare_descriptor() -> Option<OwnedFd> {
    rustix::event::eventfd(0, rustix::event::EventfdFlags::CLOEXEC).ok()
}

#[cfg(test)]
mod tests;
