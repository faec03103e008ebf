//! Packet sockets: the frames of one interface that are meant for addresses which the kernel does not have, or of a type
//! that it does not know.

use crate::filter;
use crate::route::Netlink;
use crate::sys::{attach_filter, bind_packet, join_group, set_int};
use crate::udp::ask_for_buffer;
use halloo_base::LinkId;
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::{IpAddr, Ipv6Addr};
use std::os::fd::{AsFd, BorrowedFd};

/// How a packet socket is made.
#[derive(Clone, Debug)]
pub struct PacketOptions {
    /// The interface.
    pub device: String,
    /// The addresses whose frames are received: IP datagrams to them, and questions where they are.
    pub addresses: Vec<IpAddr>,
    /// Bytes of receive buffer to ask for; the kernel may grant less.
    pub receive_buffer: Option<usize>,
}

/// A socket that receives the frames for some addresses on one interface, and sends frames there.
///
/// Received are, by a filter in the kernel: ARP requests for its IPv4 addresses; IPv4 and IPv6 datagrams to its
/// addresses; neighbour solicitations to the groups of its IPv6 addresses, which it joins. Not received are frames to
/// other stations, frames with a VLAN tag, and what this host sends itself.
///
/// The kernel sees the same frames, and drops them as long as the addresses are not its own and it does not forward. A
/// host that forwards would try to: there a blackhole route to each address ([`Hop::Blackhole`](crate::route::Hop))
/// keeps it quiet.
#[derive(Debug)]
pub struct PacketSocket {
    socket: Socket,
    /// Has the kernel report its memberships, so that switches send us the groups' frames (RFC 3810).
    _memberships: Option<Socket>,
    device: String,
    link: LinkId,
    mac: [u8; 6],
}

impl PacketSocket {
    /// Opens a socket on an interface.
    ///
    /// # Errors
    /// If there is no such interface, it is no Ethernet, there are more addresses than a filter holds (64 always fit), or
    /// this process may not (CAP_NET_RAW).
    pub fn open(options: &PacketOptions) -> io::Result<PacketSocket> {
        let (link, mac) = ethernet(&options.device)?;
        // Without a protocol it receives nothing until it is bound, filter and all.
        let socket = Socket::new(Domain::PACKET, Type::RAW, Some(Protocol::from(0)))?;
        socket.set_nonblocking(true)?;
        attach_filter(&socket, &filter::frames_for(&options.addresses)?)?;
        set_int(&socket, libc::SOL_PACKET, libc::PACKET_VNET_HDR, 1)?;
        // The filter refuses what this host sends; kernels since 4.20 need not even ask it.
        let _ = set_int(&socket, libc::SOL_PACKET, libc::PACKET_IGNORE_OUTGOING, 1);
        if let Some(bytes) = options.receive_buffer {
            ask_for_buffer(&socket, bytes);
        }
        let groups = solicited_groups(&options.addresses);
        for group in &groups {
            join_group(&socket, link, group_mac(*group))?;
        }
        bind_packet(&socket, link, libc::ETH_P_ALL as u16)?;
        Ok(PacketSocket {
            socket,
            _memberships: memberships(link, &groups),
            device: options.device.clone(),
            link,
            mac,
        })
    }

    /// Opens a socket for the frames of one type (not IP's) to this station and to a group, and of nobody else.
    ///
    /// # Errors
    /// As [`PacketSocket::open`].
    pub fn of_type(
        device: &str,
        kind: u16,
        group: [u8; 6],
        receive_buffer: Option<usize>,
    ) -> io::Result<PacketSocket> {
        let (link, mac) = ethernet(device)?;
        let socket = Socket::new(Domain::PACKET, Type::RAW, Some(Protocol::from(0)))?;
        socket.set_nonblocking(true)?;
        set_int(&socket, libc::SOL_PACKET, libc::PACKET_VNET_HDR, 1)?;
        if let Some(bytes) = receive_buffer {
            ask_for_buffer(&socket, bytes);
        }
        join_group(&socket, link, group)?;
        // Bound to a type it hears nothing of what this host sends.
        bind_packet(&socket, link, kind)?;
        Ok(PacketSocket {
            socket,
            _memberships: None,
            device: device.to_owned(),
            link,
            mac,
        })
    }

    /// The interface's name.
    pub fn device(&self) -> &str {
        &self.device
    }

    /// The interface's index.
    pub fn link(&self) -> LinkId {
        self.link
    }

    /// The interface's MAC address.
    pub fn mac(&self) -> [u8; 6] {
        self.mac
    }
}

impl AsFd for PacketSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Index and MAC address of an interface.
fn ethernet(device: &str) -> io::Result<(LinkId, [u8; 6])> {
    let link = Netlink::open()
        .and_then(|mut netlink| netlink.link(device))
        .map_err(|error| io::Error::new(error.error().kind(), error))?
        .ok_or_else(|| io::Error::from_raw_os_error(libc::ENODEV))?;
    let mac = link.mac.filter(|mac| *mac != [0; 6]);
    let mac = mac.ok_or_else(|| {
        let what = format!("{device} has no Ethernet address");
        io::Error::new(io::ErrorKind::InvalidInput, what)
    })?;
    Ok((link.id, mac))
}

/// The groups in which somebody who has these addresses is asked where they are (RFC 4291 section 2.7.1).
fn solicited_groups(addresses: &[IpAddr]) -> Vec<Ipv6Addr> {
    let group = |address: &IpAddr| match address {
        IpAddr::V4(_) => None,
        IpAddr::V6(ip) => Some(filter::solicited_node(*ip)),
    };
    let mut groups: Vec<_> = addresses.iter().filter_map(group).collect();
    groups.sort_unstable();
    groups.dedup();
    groups
}

/// The MAC address that a group's frames go to (RFC 2464 section 7).
fn group_mac(group: Ipv6Addr) -> [u8; 6] {
    let [.., a, b, c, d] = group.octets();
    [0x33, 0x33, a, b, c, d]
}

/// Joins the groups as any listener would. Where the host has no IPv6 on that link it cannot, and does without: then a
/// switch that looks into the groups may not send us their frames.
fn memberships(link: LinkId, groups: &[Ipv6Addr]) -> Option<Socket> {
    if groups.is_empty() {
        return None;
    }
    let socket = Socket::new(Domain::IPV6, Type::DGRAM, None).ok()?;
    for group in groups {
        socket.join_multicast_v6(group, link.0).ok()?;
    }
    Some(socket)
}
