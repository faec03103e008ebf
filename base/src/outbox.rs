//! What a machine wants done, collected in memory that is used again and again.

use crate::{ConnId, Endpoint, LinkId, Offload, Path, SocketId};
use std::net::SocketAddr;
use std::ops::Range;

/// A machine's own name for something it sent, by which the departure stamp or an error comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TxTag(pub u64);

/// How a datagram is to leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transmit {
    /// The path; source address and link are pinned where they are given.
    pub path: Path,
    /// TOS or traffic class octet for this datagram; `None` leaves the socket's own.
    pub tos: Option<u8>,
    /// Ask for [`Input::Departed`](crate::Input::Departed) with this tag.
    pub tag: Option<TxTag>,
    /// What the device that it leaves by has still to do; UDP sockets do not look at it.
    pub offload: Offload,
}

/// One thing that a machine wants done.
#[derive(Debug, PartialEq, Eq)]
pub enum Output<'a> {
    /// Send a datagram.
    Datagram(Transmit, &'a [u8]),
    /// Send an Ethernet frame on a device.
    Frame(LinkId, Offload, &'a [u8]),
    /// Open a connection; the id is the machine's own choice (highest bit clear).
    Connect(ConnId, Path),
    /// Send bytes on a connection, asking for the departure stamp of the last one where there is a tag.
    Write(ConnId, Option<TxTag>, &'a [u8]),
    /// Send what was written and then no more (half-close); the peer may go on.
    Finish(ConnId),
    /// Drop the connection at once.
    Abort(ConnId),
    /// Open a UDP socket; [`Input::Socket`](crate::Input::Socket) tells what became of that.
    Open(SocketId, Endpoint),
    /// Close a UDP socket that was opened so. Nothing is told: the machine knows.
    Close(SocketId),
}

#[derive(Debug)]
enum Item {
    Datagram(Transmit, Range<usize>),
    Frame(LinkId, Offload, Range<usize>),
    Connect(ConnId, Path),
    Write(ConnId, Option<TxTag>, Range<usize>),
    Finish(ConnId),
    Abort(ConnId),
    Open(SocketId, Endpoint),
    Close(SocketId),
}

/// Outputs in order, their bytes in one arena. Clearing keeps the memory, so a busy machine allocates nothing.
#[derive(Debug, Default)]
pub struct Outbox {
    items: Vec<Item>,
    arena: Vec<u8>,
    used: usize,
    reserved: usize,
}

impl Outbox {
    /// An empty outbox.
    pub fn new() -> Outbox {
        Outbox::default()
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// How many outputs wait.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Room for an answer of at most `limit` bytes: it starts as a copy of `seed` (cut at `limit`), zeros
    /// behind it. What earlier packets left in the arena is never seen. Follow with [`Outbox::commit`], or
    /// with nothing to send nothing.
    pub fn reserve(&mut self, limit: usize, seed: &[u8]) -> &mut [u8] {
        let room = self.reserve_unclear(limit);
        let kept = seed.len().min(limit);
        room[..kept].copy_from_slice(&seed[..kept]);
        room[kept..].fill(0);
        room
    }

    /// Room as [`Outbox::reserve`] gives it, but with whatever earlier packets left in it: for who writes every byte that
    /// is sent, and has no time to clear them first.
    pub fn reserve_unclear(&mut self, limit: usize) -> &mut [u8] {
        let end = self.used + limit;
        if self.arena.len() < end {
            self.arena.resize(end, 0);
        }
        self.reserved = limit;
        &mut self.arena[self.used..end]
    }

    /// Sends the first `len` bytes of what was last reserved.
    ///
    /// # Panics
    /// If `len` is more than was reserved: the machine would send another packet's bytes.
    pub fn commit(&mut self, how: Transmit, len: usize) {
        let range = self.take(len);
        self.items.push(Item::Datagram(how, range));
    }

    /// Sends a copy of `bytes` as a datagram.
    pub fn datagram(&mut self, how: Transmit, bytes: &[u8]) {
        self.reserve(bytes.len(), bytes);
        self.commit(how, bytes.len());
    }

    /// Sends a copy of `bytes` as a frame on `link`.
    pub fn frame(&mut self, link: LinkId, bytes: &[u8]) {
        self.reserve(bytes.len(), bytes);
        self.commit_frame(link, Offload::default(), bytes.len());
    }

    /// Sends the first `len` bytes of what was last reserved as a frame on `link`, with this left to the device.
    ///
    /// # Panics
    /// As [`Outbox::commit`].
    pub fn commit_frame(&mut self, link: LinkId, offload: Offload, len: usize) {
        let range = self.take(len);
        self.items.push(Item::Frame(link, offload, range));
    }

    /// Opens a connection to `path.remote`, from `path.local` unless that is the wildcard address.
    pub fn connect(&mut self, conn: ConnId, path: Path) {
        self.items.push(Item::Connect(conn, path));
    }

    /// Writes a copy of `bytes` to a connection.
    pub fn write(&mut self, conn: ConnId, tag: Option<TxTag>, bytes: &[u8]) {
        self.reserve(bytes.len(), bytes);
        let range = self.take(bytes.len());
        self.items.push(Item::Write(conn, tag, range));
    }

    /// Half-closes a connection once everything written has gone.
    pub fn finish(&mut self, conn: ConnId) {
        self.items.push(Item::Finish(conn));
    }

    /// Drops a connection at once.
    pub fn abort(&mut self, conn: ConnId) {
        self.items.push(Item::Abort(conn));
    }

    /// Opens a UDP socket. It is there when [`Input::Socket`](crate::Input::Socket) says so; what is sent from its address
    /// before that has no way to leave.
    pub fn open(&mut self, socket: SocketId, endpoint: Endpoint) {
        self.items.push(Item::Open(socket, endpoint));
    }

    /// Closes a UDP socket that this machine opened. What was sent by it before is sent; what it received before it is closed
    /// may still be heard.
    pub fn close(&mut self, socket: SocketId) {
        self.items.push(Item::Close(socket));
    }

    /// What the machine wanted, oldest first.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Output<'_>> + Clone {
        self.items.iter().map(|item| self.output(item))
    }

    /// The output with this place in the order, for a driver that sends them in another.
    pub fn get(&self, place: usize) -> Option<Output<'_>> {
        self.items.get(place).map(|item| self.output(item))
    }

    /// Forgets all outputs and keeps the memory.
    pub fn clear(&mut self) {
        self.items.clear();
        self.used = 0;
        self.reserved = 0;
    }

    fn output(&self, item: &Item) -> Output<'_> {
        match item {
            Item::Datagram(how, range) => Output::Datagram(*how, &self.arena[range.clone()]),
            Item::Frame(link, offload, range) => Output::Frame(*link, *offload, &self.arena[range.clone()]),
            Item::Connect(conn, path) => Output::Connect(*conn, *path),
            Item::Write(conn, tag, range) => Output::Write(*conn, *tag, &self.arena[range.clone()]),
            Item::Finish(conn) => Output::Finish(*conn),
            Item::Abort(conn) => Output::Abort(*conn),
            Item::Open(socket, endpoint) => Output::Open(*socket, *endpoint),
            Item::Close(socket) => Output::Close(*socket),
        }
    }

    fn take(&mut self, len: usize) -> Range<usize> {
        assert!(
            len <= self.reserved,
            "committed {len} bytes of {} reserved",
            self.reserved
        );
        let range = self.used..self.used + len;
        self.used += len;
        self.reserved = 0;
        range
    }
}

impl Transmit {
    /// Along `path`, with nothing special.
    pub fn to(path: Path) -> Transmit {
        Transmit {
            path,
            tos: None,
            tag: None,
            offload: Offload::default(),
        }
    }

    /// The other end.
    pub fn remote(&self) -> SocketAddr {
        self.path.remote
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path() -> Path {
        let local = "192.0.2.1:7777".parse().expect("an address");
        let remote = "192.0.2.2:9".parse().expect("an address");
        Path {
            link: LinkId(0),
            local,
            remote,
        }
    }

    #[test]
    fn what_goes_in_comes_out_in_order() {
        let mut out = Outbox::new();
        let endpoint = Endpoint {
            local: path().local,
            link: LinkId(3),
        };
        out.datagram(Transmit::to(path()), b"one");
        out.connect(ConnId(4), path());
        out.write(ConnId(4), Some(TxTag(9)), b"two");
        out.frame(LinkId(2), b"three");
        out.finish(ConnId(4));
        out.abort(ConnId(4));
        out.open(SocketId(5), endpoint);
        out.close(SocketId(5));
        let seen: Vec<_> = out.iter().collect();
        assert_eq!(
            seen,
            [
                Output::Datagram(Transmit::to(path()), b"one"),
                Output::Connect(ConnId(4), path()),
                Output::Write(ConnId(4), Some(TxTag(9)), b"two"),
                Output::Frame(LinkId(2), Offload::default(), b"three"),
                Output::Finish(ConnId(4)),
                Output::Abort(ConnId(4)),
                Output::Open(SocketId(5), endpoint),
                Output::Close(SocketId(5)),
            ]
        );
    }

    #[test]
    fn an_earlier_packet_never_shows_through() {
        let mut out = Outbox::new();
        out.datagram(Transmit::to(path()), &[0xff; 64]);
        out.clear();
        let room = out.reserve(16, b"ab");
        assert_eq!(room, b"ab\0\0\0\0\0\0\0\0\0\0\0\0\0\0");
    }

    #[test]
    fn a_reservation_without_commit_sends_nothing() {
        let mut out = Outbox::new();
        out.reserve(16, b"dropped");
        out.datagram(Transmit::to(path()), b"kept");
        assert_eq!(
            out.iter().collect::<Vec<_>>(),
            [Output::Datagram(Transmit::to(path()), b"kept")]
        );
    }

    #[test]
    #[should_panic(expected = "committed 9 bytes of 8 reserved")]
    fn nobody_sends_more_than_was_reserved() {
        let mut out = Outbox::new();
        out.reserve(8, b"");
        out.commit(Transmit::to(path()), 9);
    }
}
