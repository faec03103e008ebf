//! Sockets for ICMP echo: with no rights where the kernel has them for everybody, else raw (icmp(7), raw(7)).

use crate::filter::echo_replies;
use crate::raw::RawOptions;
use crate::sys::attach_filter;
use crate::udp::UdpSocket;
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};

/// A socket that sends ICMP or ICMPv6 echo requests and receives their replies (RFC 792, RFC 4443).
///
/// It is a ping socket where this process may have one, which takes no rights: net.ipv4.ping_group_range says who may, for
/// both IP versions. Else it is a raw one, which takes CAP_NET_RAW. Either carries messages that begin with their type, in
/// both directions, and hears no others than replies with its identifier and errors about requests with it. Every path
/// has port 0 at both ends.
///
/// The kernel writes the identifier into what leaves by a ping socket, and the checksum. By a raw socket the message leaves
/// as it is, but for the checksum of ICMPv6.
#[derive(Debug)]
pub struct IcmpSocket {
    socket: UdpSocket,
    identifier: u16,
    raw: bool,
}

impl IcmpSocket {
    /// Opens a socket for the IP version of the local address; the protocol's number is not asked for. `identifier` is that of
    /// a raw socket. For a ping socket the kernel chooses one that no other has.
    ///
    /// # Errors
    /// As the operating system says: neither socket is allowed (EPERM), no such device, address not available.
    pub fn open(options: &RawOptions, identifier: u16) -> io::Result<IcmpSocket> {
        match echo_socket(options.local, Type::DGRAM) {
            Ok(socket) => IcmpSocket::ping(socket, options),
            // This process may not, or the kernel has none.
            Err(_) => IcmpSocket::raw(options, identifier),
        }
    }

    fn ping(socket: Socket, options: &RawOptions) -> io::Result<IcmpSocket> {
        let socket = options.prepare(socket)?;
        Ok(IcmpSocket {
            identifier: socket.local_addr().port(),
            socket: socket.of_echo(None),
            raw: false,
        })
    }

    fn raw(options: &RawOptions, identifier: u16) -> io::Result<IcmpSocket> {
        let socket = echo_socket(options.local, Type::RAW)?;
        attach_filter(&socket, &echo_replies(identifier, options.local.is_ipv6()))?;
        let socket = options.prepare(socket)?.of_echo(Some(identifier));
        Ok(IcmpSocket {
            socket,
            identifier,
            raw: true,
        })
    }

    /// The identifier that its requests and their replies have.
    pub fn identifier(&self) -> u16 {
        self.identifier
    }

    /// Whether it is a raw socket.
    pub fn is_raw(&self) -> bool {
        self.raw
    }

    /// The address it is bound to.
    pub fn local_addr(&self) -> IpAddr {
        self.socket.local_addr().ip()
    }

    /// The device it is bound to.
    pub fn device(&self) -> Option<&str> {
        self.socket.device()
    }

    /// The socket as the worker knows it.
    pub(crate) fn into_udp(self) -> UdpSocket {
        self.socket
    }
}

impl AsFd for IcmpSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn echo_socket(local: IpAddr, kind: Type) -> io::Result<Socket> {
    let protocol = if local.is_ipv4() {
        Protocol::ICMPV4
    } else {
        Protocol::ICMPV6
    };
    Socket::new(
        Domain::for_address(SocketAddr::new(local, 0)),
        kind,
        Some(protocol),
    )
}
