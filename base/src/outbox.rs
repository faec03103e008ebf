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
    /// Hand it to the kernel by itself, even where there are others like it that could go along in one send.
    pub alone: bool,
}

/// One thing that a machine wants done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

/// Datagrams that leave in the same way, one after another: all of one size, but that the last may be shorter. They lie behind
/// each other in memory, so a driver may hand them to the kernel in one piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Train<'a> {
    /// How each of them leaves.
    pub how: Transmit,
    /// Octets of each; of the last perhaps less.
    pub size: usize,
    /// All of them.
    pub bytes: &'a [u8],
}

/// What a driver takes from an outbox: as [`Output`], but with datagrams that belong together in one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part<'a> {
    /// Datagrams.
    Train(Train<'a>),
    /// Anything but a datagram.
    Other(Output<'a>),
}

#[derive(Debug)]
enum Item {
    /// Datagrams of this size, the last of which may be shorter.
    Train(Transmit, Range<usize>, usize),
    Frame(LinkId, Offload, Range<usize>),
    /// A frame in memory that was lent, by its place there.
    Lent(LinkId, Offload, usize),
    Connect(ConnId, Path),
    Write(ConnId, Option<TxTag>, Range<usize>),
    Finish(ConnId),
    Abort(ConnId),
    Open(SocketId, Endpoint),
    Close(SocketId),
}

/// Pieces of memory that frames are lent in at a time, at most. More frames are copied.
const MOST_LENT: usize = 8;

/// Outputs in order, their bytes in one arena. Clearing keeps the memory, so a busy machine allocates nothing.
#[derive(Debug, Default)]
pub struct Outbox {
    items: Vec<Item>,
    arena: Vec<u8>,
    used: usize,
    reserved: usize,
    /// Frames that were not copied: the first `borrowed` of them; behind them is memory that waits to be exchanged.
    lent: Vec<Vec<u8>>,
    borrowed: usize,
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
        let count = |item: &Item| match item {
            Item::Train(_, range, size) => Train::count(range.len(), *size),
            _ => 1,
        };
        self.items.iter().map(count).sum()
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
        if let Some(Item::Train(before, train, size)) = self.items.last_mut()
            && train.end == range.start
            && (1..=*size).contains(&len)
            && train.len() % *size == 0
            && how.tag.is_none()
            && *before == how
        {
            train.end = range.end;
        } else {
            self.items.push(Item::Train(how, range, len));
        }
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

    /// Sends what is in `frame` as a frame on `link`, with this left to the device, without copying it: its memory is exchanged
    /// for other, empty, of no less capacity. Only where too much is lent already it is copied.
    pub fn lend_frame(&mut self, link: LinkId, offload: Offload, frame: &mut Vec<u8>) {
        if self.borrowed == MOST_LENT {
            let len = frame.len();
            self.reserve_unclear(len).copy_from_slice(frame);
            self.commit_frame(link, offload, len);
            frame.clear();
            return;
        }
        if self.borrowed == self.lent.len() {
            self.lent.push(Vec::new());
        }
        let place = &mut self.lent[self.borrowed];
        std::mem::swap(place, frame);
        frame.clear();
        // Nothing, once the memory has gone round.
        frame.reserve(place.capacity());
        self.items.push(Item::Lent(link, offload, self.borrowed));
        self.borrowed += 1;
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
    pub fn iter(&self) -> impl Iterator<Item = Output<'_>> + Clone {
        self.parts().flat_map(|part| {
            let (train, other) = match part {
                Part::Train(train) => (Some(train), None),
                Part::Other(other) => (None, Some(other)),
            };
            let datagrams = train.into_iter().flat_map(|train| {
                train
                    .datagrams()
                    .map(move |bytes| Output::Datagram(train.how, bytes))
            });
            datagrams.chain(other)
        })
    }

    /// The same, with datagrams that belong together in one, for a driver.
    pub fn parts(&self) -> impl Iterator<Item = Part<'_>> + Clone {
        self.items.iter().map(|item| self.part(item))
    }

    /// The datagrams at this place among the [`Outbox::parts`], for a driver that sends them in another order.
    pub fn train(&self, place: usize) -> Option<Train<'_>> {
        match self.part(self.items.get(place)?) {
            Part::Train(train) => Some(train),
            Part::Other(_) => None,
        }
    }

    /// Forgets all outputs and keeps the memory.
    pub fn clear(&mut self) {
        self.items.clear();
        self.used = 0;
        self.reserved = 0;
        self.borrowed = 0;
    }

    fn part(&self, item: &Item) -> Part<'_> {
        Part::Other(match item {
            Item::Train(how, range, size) => {
                return Part::Train(Train {
                    how: *how,
                    size: *size,
                    bytes: &self.arena[range.clone()],
                });
            }
            Item::Lent(link, offload, place) => Output::Frame(*link, *offload, &self.lent[*place]),
            Item::Frame(link, offload, range) => Output::Frame(*link, *offload, &self.arena[range.clone()]),
            Item::Connect(conn, path) => Output::Connect(*conn, *path),
            Item::Write(conn, tag, range) => Output::Write(*conn, *tag, &self.arena[range.clone()]),
            Item::Finish(conn) => Output::Finish(*conn),
            Item::Abort(conn) => Output::Abort(*conn),
            Item::Open(socket, endpoint) => Output::Open(*socket, *endpoint),
            Item::Close(socket) => Output::Close(*socket),
        })
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

impl<'a> Train<'a> {
    /// Each datagram, in order.
    pub fn datagrams(self) -> impl Iterator<Item = &'a [u8]> + Clone {
        let size = self.size.max(1);
        // One without any octet is a datagram, too.
        let empty = self.bytes.is_empty().then_some(self.bytes);
        empty.into_iter().chain(self.bytes.chunks(size))
    }

    fn count(len: usize, size: usize) -> usize {
        len.div_ceil(size.max(1)).max(1)
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
            alone: false,
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
    fn what_leaves_in_the_same_way_is_one_train() {
        let mut out = Outbox::new();
        let how = Transmit::to(path());
        let tagged = Transmit {
            tag: Some(TxTag(1)),
            ..how
        };
        let sent: [(Transmit, &[u8]); 10] = [
            (how, b"aa"),
            (how, b"bb"),
            (how, b"c"),
            (how, b"d"),
            (how, b"ee"),
            (how, b""),
            (how, b""),
            (tagged, b"f"),
            (tagged, b"g"),
            (how, b"h"),
        ];
        for (how, bytes) in sent {
            out.datagram(how, bytes);
        }
        let trains: Vec<_> = out
            .parts()
            .map(|part| match part {
                Part::Train(train) => (train.size, train.bytes.len()),
                Part::Other(other) => panic!("{other:?}"),
            })
            .collect();
        let each = [(2, 5), (1, 1), (2, 2), (0, 0), (0, 0), (1, 1), (1, 1), (1, 1)];
        assert_eq!(trains, each);
        let seen: Vec<_> = out.iter().collect();
        assert_eq!(seen, sent.map(|(how, bytes)| Output::Datagram(how, bytes)));
        assert_eq!(out.len(), sent.len());
        assert_eq!(out.train(0).map(|train| train.datagrams().count()), Some(3));
    }

    #[test]
    fn a_reservation_in_between_does_not_tear_or_join() {
        let mut out = Outbox::new();
        out.datagram(Transmit::to(path()), b"aa");
        out.reserve(16, b"dropped");
        out.datagram(Transmit::to(path()), b"bb");
        out.frame(LinkId(2), b"xx");
        out.datagram(Transmit::to(path()), b"cc");
        assert_eq!(out.parts().count(), 3);
        let seen: Vec<_> = out.iter().collect();
        assert_eq!(seen[1], Output::Datagram(Transmit::to(path()), b"bb"));
        assert_eq!(seen[3], Output::Datagram(Transmit::to(path()), b"cc"));
    }

    #[test]
    fn a_lent_frame_leaves_other_memory_behind() {
        let mut out = Outbox::new();
        let mut frame = Vec::with_capacity(100);
        for round in 0..3 {
            for number in 0..2 * MOST_LENT as u8 {
                frame.extend_from_slice(&[round, number]);
                out.lend_frame(LinkId(2), Offload::default(), &mut frame);
                assert!(frame.is_empty() && frame.capacity() >= 100);
            }
            let seen: Vec<_> = out
                .iter()
                .map(|output| match output {
                    Output::Frame(LinkId(2), _, bytes) => bytes.to_vec(),
                    other => panic!("{other:?}"),
                })
                .collect();
            let sent: Vec<_> = (0..2 * MOST_LENT as u8)
                .map(|number| vec![round, number])
                .collect();
            assert_eq!(seen, sent);
            out.clear();
        }
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
