//! Raw sockets: datagrams of any IP protocol, with everything that a UDP socket tells about them (raw(7)).

use crate::sys::{set_int, set_ip_options};
use crate::udp::{UdpOptions, UdpSocket, bind_device};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};

/// How a raw socket is made.
#[derive(Clone, Debug)]
pub struct RawOptions {
    /// The protocol's number, such as 253 (RFC 3692).
    pub protocol: u8,
    /// The source address of what is sent and the destination of what is received; a wildcard address for any. It says
    /// which IP version this socket is for.
    pub local: IpAddr,
    /// Bind to this device (SO_BINDTODEVICE), so that nothing leaves or arrives by another.
    pub device: Option<String>,
    /// TOS or traffic class octet of everything sent.
    pub tos: Option<u8>,
    /// TTL or hop limit of everything sent.
    pub ttl: Option<u8>,
    /// Never fragment: set DF and report what is too big.
    pub dont_fragment: bool,
    /// With [`RawOptions::dont_fragment`]: send whatever the device can carry, and heed nothing that the kernel has been told of the
    /// path's MTU. What is too big for the device is still refused.
    pub probe_path_mtu: bool,
    /// Bytes of receive buffer to ask for; the kernel may grant less.
    pub receive_buffer: Option<usize>,
    /// Take departure stamps, and hear ICMP errors: what a prober wants.
    pub prober: bool,
    /// IPv4 options of everything sent, at most 40 octets (RFC 791 section 3.1), as setsockopt(2) takes them: a source
    /// route lists the hops in order, to which the kernel appends the destination.
    pub ip_options: Vec<u8>,
}

impl RawOptions {
    /// A socket for a protocol, bound to nothing but the version of `local`.
    pub fn new(protocol: u8, local: IpAddr) -> RawOptions {
        RawOptions {
            protocol,
            local,
            device: None,
            tos: None,
            ttl: None,
            dont_fragment: false,
            probe_path_mtu: false,
            receive_buffer: None,
            prober: false,
            ip_options: vec![],
        }
    }

    /// Binds a socket and switches on all that these options ask for.
    pub(crate) fn prepare(&self, socket: Socket) -> io::Result<UdpSocket> {
        let local = SocketAddr::new(self.local, 0);
        if !self.ip_options.is_empty() {
            set_ip_options(&socket, &self.ip_options)?;
        }
        bind_device(&socket, self.device.as_deref())?;
        socket.bind(&SockAddr::from(local))?;
        let as_udp = UdpOptions {
            local,
            device: self.device.clone(),
            v6_only: true,
            reuse_port: false,
            tos: self.tos,
            ttl: self.ttl,
            dont_fragment: self.dont_fragment,
            probe_path_mtu: self.probe_path_mtu,
            receive_buffer: self.receive_buffer,
            send_buffer: None,
            prober: self.prober,
            merge: false,
            segment: false,
            largest_segment: 0,
        };
        UdpSocket::prepare(socket, &as_udp)
    }
}

/// A socket that sends and receives the datagrams of one IP protocol, of one IP version.
///
/// What it receives is, for IPv4, the whole datagram with its header, and for IPv6 what follows the header (RFC 3542
/// section 3). What is sent through it is what follows the header, in both. Every path has port 0 at both ends. It hears
/// all datagrams of its protocol that arrive for this host, whoever else hears them too.
#[derive(Debug)]
pub struct RawSocket(UdpSocket);

impl RawSocket {
    /// Opens a socket.
    ///
    /// # Errors
    /// As the operating system says: no permission (CAP_NET_RAW), no such device, address not available, options that
    /// are not well formed.
    pub fn open(options: &RawOptions) -> io::Result<RawSocket> {
        let local = SocketAddr::new(options.local, 0);
        let socket = Socket::new(
            Domain::for_address(local),
            Type::RAW,
            Some(Protocol::from(i32::from(options.protocol))),
        )?;
        if local.is_ipv6() && options.protocol != ICMPV6 {
            // The payload is sent as it is, and received whatever it holds.
            set_int(&socket, libc::IPPROTO_IPV6, libc::IPV6_CHECKSUM, -1)?;
        }
        options.prepare(socket).map(RawSocket)
    }

    /// The address it is bound to.
    pub fn local_addr(&self) -> IpAddr {
        self.0.local_addr().ip()
    }

    /// The device it is bound to.
    pub fn device(&self) -> Option<&str> {
        self.0.device()
    }

    /// The socket as the worker knows it: all that tells it from UDP is behind it.
    pub(crate) fn into_udp(self) -> UdpSocket {
        self.0
    }
}

impl AsFd for RawSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// The kernel insists on this protocol's checksum.
const ICMPV6: u8 = 58;
