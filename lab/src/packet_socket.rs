//! Whole frames from and to one device (`AF_PACKET`), by safe calls only.

use crate::host::Host;
use crate::netlink;
use halloo_base::Wall;
use nix::cmsg_space;
use nix::errno::Errno;
use nix::sys::socket::sockopt::{RcvBufForce, ReceiveTimestampns, RxqOvfl};
use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, LinkAddr, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrLike,
    bind, recvmsg, send, setsockopt, socket,
};
use nix::sys::time::TimeSpec;
use std::io::IoSliceMut;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// `PACKET_OUTGOING` of linux/if_packet.h: this host sends the frame.
const OUTGOING: u8 = 4;

/// The longest frame that the kernel hands over: 64 KiB of merged segments behind an Ethernet header.
pub(crate) const LONGEST_FRAME: usize = 65_536 + 14;

/// A socket that sees every frame of one device, and can send frames by it. Never blocks.
#[derive(Debug)]
pub(crate) struct PacketSocket {
    fd: OwnedFd,
    device: usize,
}

/// What is known of a received frame beside its bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Received {
    pub(crate) len: usize,
    pub(crate) outgoing: bool,
    /// When the kernel saw it.
    pub(crate) at: Wall,
    /// How many frames the kernel has dropped for want of buffer since the socket was made.
    pub(crate) missed: u32,
}

impl PacketSocket {
    /// A socket on a host's device, with this many bytes of kernel buffer. It is live when this returns.
    ///
    /// # Panics
    /// When there is no such device.
    #[track_caller]
    pub(crate) fn open(host: &Host, device: &str, buffer: usize) -> PacketSocket {
        let opened = host.enter(|| open_here(device, buffer));
        opened.unwrap_or_else(|error| panic!("packet socket on {device} of {}: {error}", host.name()))
    }

    /// The next frame, written to `buffer` (cut if that is shorter), or `None` when there is none now.
    pub(crate) fn receive(&self, buffer: &mut [u8]) -> nix::Result<Option<Received>> {
        loop {
            let mut control = cmsg_space!(TimeSpec, u32);
            let mut parts = [IoSliceMut::new(buffer)];
            let message = match recvmsg::<LinkAddr>(
                self.fd.as_raw_fd(),
                &mut parts,
                Some(&mut control),
                MsgFlags::MSG_DONTWAIT,
            ) {
                Ok(message) => message,
                Err(Errno::EAGAIN) => return Ok(None),
                // The device went down, which is told once and is no end: it may come up again.
                Err(Errno::EINTR | Errno::ENETDOWN) => continue,
                Err(error) => return Err(error),
            };
            // Between its making and its binding the socket saw all devices.
            let Some(from) = message.address.filter(|from| from.ifindex() == self.device) else {
                continue;
            };
            let mut received = Received {
                len: message.bytes,
                outgoing: from.pkttype() == OUTGOING,
                at: Wall(0),
                missed: 0,
            };
            for item in message.cmsgs()? {
                match item {
                    ControlMessageOwned::ScmTimestampns(at) => received.at = wall(at),
                    ControlMessageOwned::RxqOvfl(missed) => received.missed = missed,
                    _ => {}
                }
            }
            return Ok(Some(received));
        }
    }

    /// Sends a frame as it is.
    pub(crate) fn send(&self, frame: &[u8]) -> nix::Result<()> {
        send(self.fd.as_raw_fd(), frame, MsgFlags::MSG_DONTWAIT).map(drop)
    }
}

impl AsFd for PacketSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn open_here(device: &str, buffer: usize) -> nix::Result<PacketSocket> {
    let entry = netlink::device(device)?
        .and_then(|entry| entry.address)
        .ok_or(Errno::ENODEV)?;
    let address = *entry.as_link_addr().ok_or(Errno::ENODEV)?;
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let fd = socket(AddressFamily::Packet, SockType::Raw, flags, SockProtocol::EthAll)?;
    setsockopt(&fd, RcvBufForce, &buffer)?;
    setsockopt(&fd, ReceiveTimestampns, &true)?;
    setsockopt(&fd, RxqOvfl, &1)?;
    // The address comes from the kernel and names no protocol, so the socket keeps the one that it was made with.
    debug_assert_eq!(
        (address.protocol(), address.family()),
        (0, Some(AddressFamily::Packet))
    );
    bind(fd.as_raw_fd(), &address)?;
    Ok(PacketSocket {
        fd,
        device: address.ifindex(),
    })
}

fn wall(at: TimeSpec) -> Wall {
    Wall(
        (at.tv_sec() as u64)
            .wrapping_mul(1_000_000_000)
            .wrapping_add(at.tv_nsec() as u64),
    )
}
