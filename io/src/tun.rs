//! TUN devices: interfaces whose other end is this process. What is routed to one is read here as whole IP datagrams,
//! and what is written here arrives at the host as if from a wire.

use crate::offload::{self, HEADER};
use crate::route::{LinkChange, Netlink, NetlinkError};
use crate::sys::{accept_offloads, open_tun};
use halloo_base::{LinkId, Offload};
use nix::net::if_::if_nametoindex;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// How a TUN device is made.
#[derive(Clone, Debug)]
pub struct TunOptions {
    /// Its name, at most 15 bytes; `%d` becomes the first number that is free. Default: `halloo%d`.
    ///
    /// If there is a TUN device of this name that nobody uses, it is taken over as it is: so an operator can prepare
    /// one for a process without CAP_NET_ADMIN.
    pub name: String,
    /// The longest datagram that is routed to it, in bytes. Default: the kernel's (1,500).
    pub mtu: Option<u32>,
    /// How many datagrams may wait to be read (txqueuelen). Default: the kernel's (500).
    pub queue_length: Option<u32>,
    /// Whether [`TunDevice::another_queue`] is to work. Default: no.
    pub multi_queue: bool,
}

impl Default for TunOptions {
    fn default() -> TunOptions {
        TunOptions {
            name: "halloo%d".into(),
            mtu: None,
            queue_length: None,
            multi_queue: false,
        }
    }
}

/// A TUN device, or one queue of it. It has no address and no route, and is switched off until somebody switches it on
/// ([`Netlink::change_link`]). It vanishes with its last queue, however the process ends.
///
/// Checksums and segmentation are left to whoever sends the datagrams on, as far as the kernel can do that: up to
/// 64 KiB of segments come, and may be written, in one piece.
#[derive(Debug)]
pub struct TunDevice {
    fd: OwnedFd,
    name: String,
    link: LinkId,
    multi_queue: bool,
}

impl TunDevice {
    /// Makes a device.
    ///
    /// # Errors
    /// As the operating system says: no `/dev/net/tun`, no permission (CAP_NET_ADMIN), the name is taken, the MTU is
    /// out of its range.
    pub fn open(options: &TunOptions) -> io::Result<TunDevice> {
        let device = TunDevice::attach(&options.name, options.multi_queue)?;
        device.set_up(options).map_err(into_io)?;
        Ok(device)
    }

    /// Another queue of the same device, for another worker. The kernel spreads flows over the queues.
    ///
    /// # Errors
    /// If the device was made without [`TunOptions::multi_queue`], or has as many queues as it may.
    pub fn another_queue(&self) -> io::Result<TunDevice> {
        TunDevice::attach(&self.name, self.multi_queue)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its index.
    pub fn link(&self) -> LinkId {
        self.link
    }

    /// Reads a datagram behind its offload header into `buffer`. Returns how long both are together.
    pub(crate) fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(rustix::io::read(&self.fd, buffer)?)
    }

    /// Writes a datagram, with this left to do to it.
    pub(crate) fn write(&self, offload: Offload, datagram: &[u8]) -> io::Result<()> {
        let header: [u8; HEADER] = offload::emit(offload);
        rustix::io::writev(&self.fd, &[IoSlice::new(&header), IoSlice::new(datagram)])?;
        Ok(())
    }

    fn attach(name: &str, multi_queue: bool) -> io::Result<TunDevice> {
        let (fd, name) = open_tun(name, multi_queue)?;
        accept_offloads(&fd);
        let link = LinkId(if_nametoindex(name.as_str())?);
        Ok(TunDevice {
            fd,
            name,
            link,
            multi_queue,
        })
    }

    fn set_up(&self, options: &TunOptions) -> Result<(), NetlinkError> {
        let mut netlink = Netlink::open()?;
        // The host would speak by itself on a link where it has an address: to find routers, and groups. Where there
        // is no IPv6 it cannot be told not to.
        let quiet = LinkChange {
            link_local: Some(false),
            ..LinkChange::default()
        };
        let _ = netlink.change_link(self.link, &quiet);
        if options.mtu.is_none() && options.queue_length.is_none() {
            return Ok(());
        }
        let change = LinkChange {
            mtu: options.mtu,
            queue_length: options.queue_length,
            ..LinkChange::default()
        };
        netlink.change_link(self.link, &change)
    }
}

impl AsFd for TunDevice {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn into_io(error: NetlinkError) -> io::Error {
    io::Error::new(error.error().kind(), error)
}
