//! Many datagrams with one system call (recvmmsg(2), sendmmsg(2)), and the error queue.

use super::address::RawAddress;
use super::control::{Control, ControlSpace, ControlWriter, parse};
use std::io;
use std::marker::PhantomData;
use std::mem;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd};
use std::ptr;

/// The longest payload a UDP datagram can have, and so the longest the kernel merges.
const SLOT: usize = 65_536;
/// From one slot to the next: a few cache lines more, because slots a power of two apart would all fight for the
/// same few places in the cache.
const STRIDE: usize = SLOT + 3 * 64;

/// A received datagram, or several of the same size that the kernel merged.
#[derive(Debug)]
pub(crate) struct Arrival<'a> {
    pub(crate) remote: SocketAddr,
    pub(crate) local: Option<IpAddr>,
    pub(crate) link: u32,
    pub(crate) tos: u8,
    pub(crate) ttl: Option<u8>,
    /// Nanoseconds of CLOCK_REALTIME.
    pub(crate) stamp: Option<u64>,
    /// Where to cut the payload; `None` if it is one datagram.
    pub(crate) segment: Option<u16>,
    pub(crate) payload: &'a [u8],
}

/// How long to wait for a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Patience {
    /// Not at all.
    None,
    /// Until there is one, or the socket is shut. The socket must be a blocking one.
    UntilOne,
}

/// Memory for receiving up to [`ReceiveBatch::MOST`] datagrams at once.
pub(crate) struct ReceiveBatch {
    payload: Box<[u8]>,
    names: Box<[RawAddress]>,
    controls: Box<[ControlSpace]>,
    vectors: Box<[libc::iovec]>,
    headers: Box<[libc::mmsghdr]>,
    /// How many of the headers the kernel may have written to since they were prepared.
    written: usize,
    want: usize,
}

// SAFETY: the raw pointers inside `vectors` and `headers` point into this value's own boxes, which stay where
// they are when the value moves; nothing else refers to them.
unsafe impl Send for ReceiveBatch {}

impl ReceiveBatch {
    /// Answers to many peers come in bursts when batches are large: with 64 peers in a closed loop the bench showed
    /// x 0.70 of the plain loop's rate for batches of 64 and x 0.86 for 16. Its other rows did not tell them apart.
    pub(crate) const MOST: usize = 16;

    pub(crate) fn new() -> ReceiveBatch {
        let empty = libc::iovec {
            iov_base: ptr::null_mut(),
            iov_len: 0,
        };
        // SAFETY: mmsghdr is plain integers and pointers, for which zero is a value.
        let header: libc::mmsghdr = unsafe { mem::zeroed() };
        ReceiveBatch {
            payload: vec![0; STRIDE * ReceiveBatch::MOST].into_boxed_slice(),
            names: vec![RawAddress::empty(); ReceiveBatch::MOST].into_boxed_slice(),
            controls: vec![ControlSpace::empty(); ReceiveBatch::MOST].into_boxed_slice(),
            vectors: vec![empty; ReceiveBatch::MOST].into_boxed_slice(),
            headers: vec![header; ReceiveBatch::MOST].into_boxed_slice(),
            written: ReceiveBatch::MOST,
            want: 1,
        }
    }

    /// Receives what is there. Returns how many arrived and whether more may wait.
    ///
    /// The batch doubles while it comes back full and shrinks to what came when it does not. A single datagram,
    /// where every microsecond shows in the round trip, is received and answered before anything looks for a
    /// second one.
    pub(crate) fn receive(&mut self, fd: impl AsFd, patience: Patience) -> io::Result<(usize, bool)> {
        let flags = match patience {
            Patience::None => libc::MSG_DONTWAIT,
            Patience::UntilOne => libc::MSG_WAITFORONE,
        };
        let want = self.want;
        self.prepare();
        // SAFETY: each of the first `want` headers points to a name, an iovec and control space that live in
        // boxes of `self` and are not touched until the call returns; lengths are those of the pointees.
        let count = unsafe {
            libc::recvmmsg(
                fd.as_fd().as_raw_fd(),
                self.headers.as_mut_ptr(),
                want as u32,
                flags,
                ptr::null_mut(),
            )
        };
        let received = usize::try_from(count).map_err(|_| io::Error::last_os_error());
        // Where the kernel stopped it may have begun with one more.
        self.written = (*received.as_ref().unwrap_or(&0) + 1).min(want);
        let count = received?;
        self.want = if count == want {
            (want * 2).min(ReceiveBatch::MOST)
        } else {
            count.max(1)
        };
        Ok((count, count == want && want > 1))
    }

    /// Points the headers that the kernel wrote to at their parts again.
    fn prepare(&mut self) {
        for slot in 0..mem::take(&mut self.written) {
            self.vectors[slot] = libc::iovec {
                iov_base: (&raw mut self.payload[slot * STRIDE]).cast(),
                iov_len: SLOT,
            };
            let header = &mut self.headers[slot].msg_hdr;
            header.msg_name = (&raw mut self.names[slot]).cast();
            header.msg_namelen = RawAddress::LEN;
            header.msg_iov = &raw mut self.vectors[slot];
            header.msg_iovlen = 1;
            header.msg_control = (&raw mut self.controls[slot].0).cast();
            header.msg_controllen = mem::size_of::<ControlSpace>() as _;
            header.msg_flags = 0;
        }
    }

    /// The datagram in `slot` of the last receive, unless its source address is of an unknown kind.
    pub(crate) fn arrival(&self, slot: usize) -> Option<Arrival<'_>> {
        let header = self.headers.get(slot)?;
        let remote = self.names[slot].to_socket(header.msg_hdr.msg_namelen)?;
        let control = read_control(&self.controls[slot], &header.msg_hdr);
        let len = (header.msg_len as usize).min(SLOT);
        Some(Arrival {
            remote,
            local: control.local,
            link: control.link,
            tos: control.tos,
            ttl: control.ttl,
            stamp: control.stamp,
            segment: control.segment,
            payload: &self.payload[slot * STRIDE..slot * STRIDE + len],
        })
    }
}

fn read_control(space: &ControlSpace, header: &libc::msghdr) -> Control {
    let written = header.msg_controllen.min(space.0.len());
    parse(&space.0[..written])
}

/// How one message of a [`SendRound`] is to leave.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SendItem {
    pub(crate) remote: SocketAddr,
    pub(crate) source: Option<IpAddr>,
    pub(crate) link: u32,
    pub(crate) tos: Option<u8>,
    pub(crate) departure: Departure,
    /// Cut the payload into datagrams of this size.
    pub(crate) segment: Option<u16>,
}

/// Whether the kernel is to tell when a message left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Departure {
    /// No.
    Unstamped,
    /// Yes, with the number that the kernel counts.
    Counted,
    /// Yes, with this number.
    Named(u32),
}

/// Memory for sending many messages at once, each gathered from many pieces.
pub(crate) struct SendBatch {
    names: Vec<RawAddress>,
    controls: Vec<ControlSpace>,
    vectors: Vec<libc::iovec>,
    headers: Vec<libc::mmsghdr>,
    shapes: Vec<Shape>,
}

/// What [`SendRound::send`] needs to know to point a header at its parts.
struct Shape {
    name_len: libc::socklen_t,
    control_len: usize,
    first_vector: usize,
    vectors: usize,
}

// SAFETY: as for ReceiveBatch: pointers are written just before the call that uses them.
unsafe impl Send for SendBatch {}

/// Messages being collected for one flush; borrows the payloads until they are sent.
pub(crate) struct SendRound<'b, 'p> {
    batch: &'b mut SendBatch,
    v6: bool,
    payloads: PhantomData<&'p [u8]>,
}

impl SendBatch {
    pub(crate) fn new() -> SendBatch {
        SendBatch {
            names: vec![],
            controls: vec![],
            vectors: vec![],
            headers: vec![],
            shapes: vec![],
        }
    }

    /// Begins an empty round for a socket of the family `v6`.
    pub(crate) fn round<'p>(&mut self, v6: bool) -> SendRound<'_, 'p> {
        self.names.clear();
        self.controls.clear();
        self.vectors.clear();
        self.headers.clear();
        self.shapes.clear();
        SendRound {
            batch: self,
            v6,
            payloads: PhantomData,
        }
    }
}

impl<'p> SendRound<'_, 'p> {
    /// Begins a message; [`SendRound::piece`] gives it its payload.
    pub(crate) fn message(&mut self, item: &SendItem) {
        let (name, name_len) = RawAddress::from_socket(item.remote, self.v6);
        let mut space = ControlSpace::empty();
        let mut control = ControlWriter::new(&mut space);
        if item.source.is_some() || item.link != 0 {
            let any: IpAddr = if item.remote.is_ipv4() {
                std::net::Ipv4Addr::UNSPECIFIED.into()
            } else {
                std::net::Ipv6Addr::UNSPECIFIED.into()
            };
            control.source(item.source.unwrap_or(any), item.link, self.v6);
        }
        if let Some(tos) = item.tos {
            control.tos(tos, item.remote.is_ipv6());
        }
        match item.departure {
            Departure::Unstamped => {}
            Departure::Counted => control.departure_stamp(None),
            Departure::Named(key) => control.departure_stamp(Some(key)),
        }
        if let Some(size) = item.segment {
            control.segment(size);
        }
        let control_len = control.len();
        self.batch.names.push(name);
        self.batch.controls.push(space);
        let first_vector = self.batch.vectors.len();
        self.batch.shapes.push(Shape {
            name_len,
            control_len,
            first_vector,
            vectors: 0,
        });
    }

    /// Appends a piece to the payload of the last message.
    ///
    /// Pieces that lie behind each other in memory are one to the kernel, which copies it in one go.
    pub(crate) fn piece(&mut self, bytes: &'p [u8]) {
        let Some(shape) = self.batch.shapes.last_mut() else {
            return;
        };
        if let Some(last) = self.batch.vectors.last_mut()
            && shape.vectors > 0
            && last.iov_base.addr() + last.iov_len == bytes.as_ptr().addr()
        {
            last.iov_len += bytes.len();
            return;
        }
        let vector = libc::iovec {
            iov_base: bytes.as_ptr().cast_mut().cast(),
            iov_len: bytes.len(),
        };
        self.batch.vectors.push(vector);
        shape.vectors += 1;
    }

    /// Sends all messages in order. `each` hears how every one of them (by index) went.
    pub(crate) fn send(self, fd: impl AsFd, mut each: impl FnMut(usize, io::Result<()>)) {
        let batch = self.batch;
        for (slot, shape) in batch.shapes.iter().enumerate() {
            // SAFETY: mmsghdr is plain integers and pointers, for which zero is a value.
            let mut header: libc::mmsghdr = unsafe { mem::zeroed() };
            header.msg_hdr.msg_name = (&raw mut batch.names[slot]).cast();
            header.msg_hdr.msg_namelen = shape.name_len;
            if shape.vectors > 0 {
                header.msg_hdr.msg_iov = &raw mut batch.vectors[shape.first_vector];
                header.msg_hdr.msg_iovlen = shape.vectors as _;
            }
            if shape.control_len > 0 {
                header.msg_hdr.msg_control = (&raw mut batch.controls[slot].0).cast();
                header.msg_hdr.msg_controllen = shape.control_len as _;
            }
            batch.headers.push(header);
        }
        let mut next = 0;
        while next < batch.headers.len() {
            let left = &mut batch.headers[next..];
            // SAFETY: every header points to a name, pieces and control space that are alive: the first and
            // last in vectors of `batch` that do not grow here, the pieces borrowed for 'p. The kernel only
            // reads through them, although the types say otherwise.
            let sent = unsafe {
                libc::sendmmsg(
                    fd.as_fd().as_raw_fd(),
                    left.as_mut_ptr(),
                    left.len().min(1024) as u32,
                    libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL,
                )
            };
            match usize::try_from(sent) {
                Ok(sent) if sent > 0 => {
                    for slot in next..next + sent {
                        each(slot, Ok(()));
                    }
                    next += sent;
                }
                _ => {
                    each(next, Err(io::Error::last_os_error()));
                    next += 1;
                }
            }
        }
    }
}

/// One message from a socket's error queue.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ErrorNews {
    pub(crate) kind: ErrorKind,
    /// Where the message that this is about was sent to.
    pub(crate) remote: Option<SocketAddr>,
}

/// What an [`ErrorNews`] says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ErrorKind {
    /// The send with this count (OPT_ID) left at this instant, nanoseconds of CLOCK_REALTIME.
    Departure { key: u32, stamp: u64 },
    /// It will not get through: an error number, who said so, and what they quote of it.
    Unreachable {
        errno: i32,
        reporter: Option<IpAddr>,
        /// What would not be too big.
        mtu: Option<u32>,
        quote: Quote,
    },
}

/// The beginning of a payload that did not get through; whoever sent it knows it by that.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Quote {
    bytes: [u8; Quote::MOST],
    len: usize,
}

impl Quote {
    const MOST: usize = 128;

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// Reads one message from the error queue, or `None` when it is empty.
pub(crate) fn receive_errors(fd: impl AsFd) -> io::Result<Option<ErrorNews>> {
    let mut bytes = [0; Quote::MOST];
    let mut name = RawAddress::empty();
    let mut space = ControlSpace::empty();
    let (header, len) = receive_message(
        fd,
        &mut bytes,
        Some(&mut name),
        &mut space,
        libc::MSG_ERRQUEUE | libc::MSG_DONTWAIT,
    )?;
    let control = read_control(&space, &header);
    let remote = name.to_socket(header.msg_namelen);
    // What this host itself refused to send was told by the send.
    let Some(error) = control.error.filter(|error| error.origin != SO_EE_ORIGIN_LOCAL) else {
        return Ok(None);
    };
    let kind = match (i32::from(error.origin), control.stamp) {
        (SO_EE_ORIGIN_TIMESTAMPING, Some(stamp)) => ErrorKind::Departure {
            key: error.data,
            stamp,
        },
        _ => ErrorKind::Unreachable {
            errno: error.errno as i32,
            reporter: error.reporter,
            mtu: Some(error.info).filter(|&mtu| error.errno as i32 == libc::EMSGSIZE && mtu != 0),
            quote: Quote { bytes, len },
        },
    };
    Ok(Some(ErrorNews { kind, remote }))
}

const SO_EE_ORIGIN_LOCAL: u8 = 1;
const SO_EE_ORIGIN_TIMESTAMPING: i32 = 4;

/// Receives from a stream, with the kernel's arrival stamp of the last byte where it took one.
pub(crate) fn receive_stamped(fd: impl AsFd, buffer: &mut [u8]) -> io::Result<(usize, Option<u64>)> {
    let mut space = ControlSpace::empty();
    let (header, len) = receive_message(fd, buffer, None, &mut space, libc::MSG_DONTWAIT)?;
    Ok((len, read_control(&space, &header).stamp))
}

fn receive_message(
    fd: impl AsFd,
    buffer: &mut [u8],
    name: Option<&mut RawAddress>,
    space: &mut ControlSpace,
    flags: i32,
) -> io::Result<(libc::msghdr, usize)> {
    let mut vector = libc::iovec {
        iov_base: buffer.as_mut_ptr().cast(),
        iov_len: buffer.len(),
    };
    // SAFETY: msghdr is plain integers and pointers, for which zero is a value.
    let mut header: libc::msghdr = unsafe { mem::zeroed() };
    if let Some(name) = name {
        header.msg_name = ptr::from_mut(name).cast();
        header.msg_namelen = RawAddress::LEN;
    }
    header.msg_iov = &raw mut vector;
    header.msg_iovlen = 1;
    header.msg_control = (&raw mut space.0).cast();
    header.msg_controllen = mem::size_of::<ControlSpace>() as _;
    // SAFETY: the header points to a name, a buffer and control space that outlive the call.
    let received = unsafe { libc::recvmsg(fd.as_fd().as_raw_fd(), &raw mut header, flags) };
    let len = usize::try_from(received).map_err(|_| io::Error::last_os_error())?;
    // The caller reads lengths from the header only; its pointers must not be used again.
    header.msg_name = ptr::null_mut();
    header.msg_iov = ptr::null_mut();
    header.msg_control = ptr::null_mut();
    Ok((header, len))
}

/// Sends on a stream, asking for the departure stamp of the last byte.
pub(crate) fn send_stamped(fd: impl AsFd, bytes: &[u8]) -> io::Result<usize> {
    let mut vector = libc::iovec {
        iov_base: bytes.as_ptr().cast_mut().cast(),
        iov_len: bytes.len(),
    };
    let mut space = ControlSpace::empty();
    let mut control = ControlWriter::new(&mut space);
    control.departure_stamp(None);
    let control_len = control.len();
    // SAFETY: msghdr is plain integers and pointers, for which zero is a value.
    let mut header: libc::msghdr = unsafe { mem::zeroed() };
    header.msg_iov = &raw mut vector;
    header.msg_iovlen = 1;
    header.msg_control = (&raw mut space.0).cast();
    header.msg_controllen = control_len as _;
    // SAFETY: the header points to `bytes` and control space, both alive; the kernel only reads them.
    let sent = unsafe {
        libc::sendmsg(
            fd.as_fd().as_raw_fd(),
            &raw const header,
            libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL,
        )
    };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}
