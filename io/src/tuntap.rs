//! TUN and TAP devices: interfaces whose other end is this process. What is sent to one is read here, as whole IP
//! datagrams (TUN) or Ethernet frames (TAP), and what is written here arrives at the host as if from a wire.

use crate::offload::{self, HEADER};
use crate::route::{LinkChange, Netlink, NetlinkError};
use crate::sys::{Layer, accept_offloads, open_tun};
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

/// How a TAP device is made.
#[derive(Clone, Debug)]
pub struct TapOptions {
    /// Its name, at most 15 bytes; `%d` becomes the first number that is free. Default: `halloo%d`.
    ///
    /// If there is a TAP device of this name that nobody uses, it is taken over as it is: so an operator can prepare
    /// one for a process without CAP_NET_ADMIN.
    pub name: String,
    /// Its Ethernet address. Default: the kernel's choice, another one each time.
    pub mac: Option<[u8; 6]>,
    /// The longest payload of a frame that is sent to it, in bytes. Default: the kernel's (1,500).
    pub mtu: Option<u32>,
    /// How many frames may wait to be read (txqueuelen). Default: the kernel's (1,000).
    pub queue_length: Option<u32>,
    /// Whether frames whose checksums and segmentation are not done yet may come, and may be written: up to 64 KiB of
    /// segments in one piece. Default: yes, as far as the kernel can.
    pub offload: bool,
}

impl Default for TapOptions {
    fn default() -> TapOptions {
        TapOptions {
            name: "halloo%d".into(),
            mac: None,
            mtu: None,
            queue_length: None,
            offload: true,
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
    queue: Queue,
    multi_queue: bool,
}

impl TunDevice {
    /// Makes a device.
    ///
    /// # Errors
    /// As the operating system says: no `/dev/net/tun`, no permission (CAP_NET_ADMIN), the name is taken, the MTU is
    /// out of its range.
    pub fn open(options: &TunOptions) -> io::Result<TunDevice> {
        let queue = Queue::attach(&options.name, Layer::Ip, options.multi_queue, true)?;
        // The host would speak by itself on a link where it has an address: to find routers, and groups.
        queue.set_up(&LinkChange {
            mtu: options.mtu,
            queue_length: options.queue_length,
            ..LinkChange::default()
        })?;
        Ok(TunDevice {
            queue,
            multi_queue: options.multi_queue,
        })
    }

    /// Another queue of the same device, for another worker. The kernel spreads flows over the queues.
    ///
    /// # Errors
    /// If the device was made without [`TunOptions::multi_queue`], or has as many queues as it may.
    pub fn another_queue(&self) -> io::Result<TunDevice> {
        Ok(TunDevice {
            queue: Queue::attach(&self.queue.name, Layer::Ip, self.multi_queue, true)?,
            multi_queue: self.multi_queue,
        })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.queue.name
    }

    /// Its index.
    pub fn link(&self) -> LinkId {
        self.queue.link
    }

    pub(crate) fn into_queue(self) -> Queue {
        self.queue
    }
}

/// A TAP device. It has no address of IP, and is switched off until somebody switches it on
/// ([`Netlink::change_link`]). It vanishes with this value, however the process ends.
#[derive(Debug)]
pub struct TapDevice {
    queue: Queue,
}

impl TapDevice {
    /// Makes a device.
    ///
    /// # Errors
    /// As the operating system says: no `/dev/net/tun`, no permission (CAP_NET_ADMIN), the name is taken, the Ethernet
    /// address is a group's, the MTU is out of its range.
    pub fn open(options: &TapOptions) -> io::Result<TapDevice> {
        let queue = Queue::attach(&options.name, Layer::Ethernet, false, options.offload)?;
        queue.set_up(&LinkChange {
            mac: options.mac,
            mtu: options.mtu,
            queue_length: options.queue_length,
            ..LinkChange::default()
        })?;
        Ok(TapDevice { queue })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.queue.name
    }

    /// Its index.
    pub fn link(&self) -> LinkId {
        self.queue.link
    }

    pub(crate) fn into_queue(self) -> Queue {
        self.queue
    }
}

/// What a device is read and written by.
#[derive(Debug)]
pub(crate) struct Queue {
    fd: OwnedFd,
    name: String,
    link: LinkId,
    layer: Layer,
}

impl Queue {
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn link(&self) -> LinkId {
        self.link
    }

    pub(crate) fn layer(&self) -> Layer {
        self.layer
    }

    /// Reads a packet behind its offload header into `buffer`. Returns how long both are together.
    pub(crate) fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(rustix::io::read(&self.fd, buffer)?)
    }

    /// Writes a packet, with this left to do to it.
    pub(crate) fn write(&self, offload: Offload, packet: &[u8]) -> io::Result<()> {
        let header: [u8; HEADER] = offload::emit(offload);
        rustix::io::writev(&self.fd, &[IoSlice::new(&header), IoSlice::new(packet)])?;
        Ok(())
    }

    fn attach(name: &str, layer: Layer, multi_queue: bool, offload: bool) -> io::Result<Queue> {
        let (fd, name) = open_tun(name, layer, multi_queue)?;
        if offload {
            accept_offloads(&fd);
        }
        let link = LinkId(if_nametoindex(name.as_str())?);
        Ok(Queue {
            fd,
            name,
            link,
            layer,
        })
    }

    fn set_up(&self, change: &LinkChange) -> io::Result<()> {
        let mut netlink = Netlink::open().map_err(into_io)?;
        if self.layer == Layer::Ip {
            // Where there is no IPv6 it cannot be told not to.
            let quiet = LinkChange {
                link_local: Some(false),
                ..LinkChange::default()
            };
            let _ = netlink.change_link(self.link, &quiet);
        }
        if *change == LinkChange::default() {
            return Ok(());
        }
        netlink.change_link(self.link, change).map_err(into_io)
    }
}

impl AsFd for Queue {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl AsFd for TunDevice {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.queue.as_fd()
    }
}

impl AsFd for TapDevice {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.queue.as_fd()
    }
}

fn into_io(error: NetlinkError) -> io::Error {
    io::Error::new(error.error().kind(), error)
}
