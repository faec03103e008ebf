//! Packet sockets: frames with what is left to do to them, many with one system call (packet(7)).

use crate::offload;
use halloo_base::{LinkId, Offload};
use std::io;
use std::mem;
use std::os::fd::{AsFd, AsRawFd};
use std::ptr;

/// 64 KiB of merged segments behind an Ethernet header, and what stands before it.
const SLOT: usize = offload::HEADER + 14 + 65_536;
/// As for datagrams: slots a power of two apart would fight for the same places in the cache.
const STRIDE: usize = SLOT.next_multiple_of(64) + 64;

/// One instruction of a classic BPF program (`struct sock_filter`, linux/filter.h).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Instruction {
    pub(crate) code: u16,
    /// How far to jump where the condition holds.
    pub(crate) yes: u8,
    /// And where it does not.
    pub(crate) no: u8,
    pub(crate) value: u32,
}

/// Lets a socket receive only what the program returns a length for.
pub(crate) fn attach_filter(fd: impl AsFd, program: &[Instruction]) -> io::Result<()> {
    let mut filter: Vec<_> = program
        .iter()
        .map(|instruction| libc::sock_filter {
            code: instruction.code,
            jt: instruction.yes,
            jf: instruction.no,
            k: instruction.value,
        })
        .collect();
    let len = u16::try_from(filter.len()).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))?;
    let program = libc::sock_fprog {
        len,
        filter: filter.as_mut_ptr(),
    };
    set(fd, libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, &program)
}

/// Binds a packet socket to one device and a type of frame (host order; ETH_P_ALL for every type).
pub(crate) fn bind_packet(fd: impl AsFd, link: LinkId, kind: u16) -> io::Result<()> {
    // SAFETY: sockaddr_ll is plain integers, for which zero is a value.
    let mut address: libc::sockaddr_ll = unsafe { mem::zeroed() };
    address.sll_family = libc::AF_PACKET as u16;
    address.sll_protocol = kind.to_be();
    address.sll_ifindex = link.0.cast_signed();
    // SAFETY: the pointer and length describe `address`, which outlives the call; the kernel only reads it.
    let result = unsafe {
        libc::bind(
            fd.as_fd().as_raw_fd(),
            (&raw const address).cast(),
            mem::size_of::<libc::sockaddr_ll>() as libc::socklen_t,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Has a device take frames to this group address, for as long as the socket lives.
pub(crate) fn join_group(fd: impl AsFd, link: LinkId, mac: [u8; 6]) -> io::Result<()> {
    let mut address = [0; 8];
    address[..mac.len()].copy_from_slice(&mac);
    let request = libc::packet_mreq {
        mr_ifindex: link.0.cast_signed(),
        mr_type: libc::PACKET_MR_MULTICAST as u16,
        mr_alen: mac.len() as u16,
        mr_address: address,
    };
    set(fd, libc::SOL_PACKET, libc::PACKET_ADD_MEMBERSHIP, &request)
}

/// Sets an option whose value is a structure of the kernel's.
fn set<T>(fd: impl AsFd, level: i32, name: i32, value: &T) -> io::Result<()> {
    // SAFETY: the pointer and length describe `value`, which outlives the call together with what it points to; the
    // kernel only reads it.
    let result = unsafe {
        libc::setsockopt(
            fd.as_fd().as_raw_fd(),
            level,
            name,
            ptr::from_ref(value).cast(),
            mem::size_of::<T>() as libc::socklen_t,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Memory for receiving up to [`FrameReceiveBatch::MOST`] frames at once.
pub(crate) struct FrameReceiveBatch {
    bytes: Box<[u8]>,
    vectors: Box<[libc::iovec]>,
    headers: Box<[libc::mmsghdr]>,
    want: usize,
}

// SAFETY: the raw pointers inside `vectors` and `headers` point into this value's own boxes, which stay where they are
// when the value moves; nothing else refers to them.
unsafe impl Send for FrameReceiveBatch {}

impl FrameReceiveBatch {
    pub(crate) const MOST: usize = 32;

    pub(crate) fn new() -> FrameReceiveBatch {
        let mut bytes = vec![0; STRIDE * FrameReceiveBatch::MOST].into_boxed_slice();
        let mut vectors: Box<[_]> = bytes
            .chunks_exact_mut(STRIDE)
            .map(|slot| libc::iovec {
                iov_base: slot.as_mut_ptr().cast(),
                iov_len: SLOT,
            })
            .collect();
        let headers = vectors
            .iter_mut()
            .map(|vector| {
                // SAFETY: mmsghdr is plain integers and pointers, for which zero is a value.
                let mut header: libc::mmsghdr = unsafe { mem::zeroed() };
                header.msg_hdr.msg_iov = ptr::from_mut(vector);
                header.msg_hdr.msg_iovlen = 1;
                header
            })
            .collect();
        FrameReceiveBatch {
            bytes,
            vectors,
            headers,
            want: 1,
        }
    }

    /// Receives what is there. Returns how many frames came and whether more may wait. The batch grows and shrinks
    /// with the traffic, as that of datagrams does.
    pub(crate) fn receive(&mut self, fd: impl AsFd) -> io::Result<(usize, bool)> {
        let want = self.want;
        // SAFETY: each of the first `want` headers points to an iovec in `vectors`, and that to a slot of `bytes` of
        // the length it names; both are boxes of `self` and not touched until the call returns.
        let count = unsafe {
            libc::recvmmsg(
                fd.as_fd().as_raw_fd(),
                self.headers.as_mut_ptr(),
                want as u32,
                libc::MSG_DONTWAIT,
                ptr::null_mut(),
            )
        };
        let count = usize::try_from(count).map_err(|_| io::Error::last_os_error())?;
        self.want = if count == want {
            (want * 2).min(FrameReceiveBatch::MOST)
        } else {
            count.max(1)
        };
        Ok((count, count == want && want > 1))
    }

    /// The frame in `slot` of the last receive, and what is left to do to it; `None` if the kernel gave less than
    /// that.
    pub(crate) fn arrival(&self, slot: usize) -> Option<(Offload, &[u8])> {
        debug_assert!(slot < self.vectors.len());
        let len = (self.headers.get(slot)?.msg_len as usize).min(SLOT);
        let bytes = &self.bytes[slot * STRIDE..][..len];
        let (header, frame) = bytes.split_first_chunk()?;
        Some((offload::parse(header), frame))
    }
}

/// Memory for sending many frames at once.
#[derive(Default)]
pub(crate) struct FrameSendBatch {
    offloads: Vec<[u8; offload::HEADER]>,
    vectors: Vec<[libc::iovec; 2]>,
    headers: Vec<libc::mmsghdr>,
}

// SAFETY: as for FrameReceiveBatch: pointers are written just before the call that uses them, and gone after it.
unsafe impl Send for FrameSendBatch {}

impl FrameSendBatch {
    /// Sends frames in order. `each` hears how every one of them (by its place) went.
    pub(crate) fn send<'p>(
        &mut self,
        fd: impl AsFd,
        frames: impl Iterator<Item = (Offload, &'p [u8])> + Clone,
        mut each: impl FnMut(usize, io::Result<()>),
    ) {
        self.offloads.clear();
        self.vectors.clear();
        self.headers.clear();
        self.offloads
            .extend(frames.clone().map(|(offload, _)| offload::emit(offload)));
        for (header, (_, bytes)) in self.offloads.iter().zip(frames) {
            self.vectors.push([vector(header), vector(bytes)]);
        }
        for vectors in &mut self.vectors {
            // SAFETY: mmsghdr is plain integers and pointers, for which zero is a value.
            let mut header: libc::mmsghdr = unsafe { mem::zeroed() };
            header.msg_hdr.msg_iov = vectors.as_mut_ptr();
            header.msg_hdr.msg_iovlen = vectors.len() as _;
            self.headers.push(header);
        }
        let mut next = 0;
        while next < self.headers.len() {
            let left = &mut self.headers[next..];
            // SAFETY: every header points to two iovecs in `vectors`, those to a header in `offloads`, neither of
            // which grows here, and to bytes borrowed for 'p. The kernel only reads through them, although the types
            // say otherwise.
            let sent = unsafe {
                libc::sendmmsg(
                    fd.as_fd().as_raw_fd(),
                    left.as_mut_ptr(),
                    left.len().min(1024) as u32,
                    libc::MSG_DONTWAIT,
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

fn vector(bytes: &[u8]) -> libc::iovec {
    libc::iovec {
        iov_base: bytes.as_ptr().cast_mut().cast(),
        iov_len: bytes.len(),
    }
}
