//! UDP sockets with everything switched on that a prober or responder wants to know about a datagram.

use crate::sys::{Departure, SendBatch, SendItem, set_int, set_timestamping, timestamping};
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::OnceLock;

/// How a UDP socket is made.
#[derive(Clone, Debug)]
pub struct UdpOptions {
    /// Address and port to bind; port 0 lets the kernel choose.
    pub local: SocketAddr,
    /// Bind to this device (SO_BINDTODEVICE), so that nothing leaves or arrives by another.
    pub device: Option<String>,
    /// On an IPv6 wildcard address: refuse IPv4.
    pub v6_only: bool,
    /// Share the port with other sockets that say the same (SO_REUSEPORT).
    pub reuse_port: bool,
    /// TOS or traffic class octet of everything sent.
    pub tos: Option<u8>,
    /// TTL or hop limit of everything sent.
    pub ttl: Option<u8>,
    /// Never fragment: set DF and report what is too big.
    pub dont_fragment: bool,
    /// With [`UdpOptions::dont_fragment`]: send whatever the device can carry, and heed nothing that the kernel has been told of the
    /// path's MTU. What is too big for the device is still refused.
    pub probe_path_mtu: bool,
    /// Bytes of receive buffer to ask for; the kernel may grant less.
    pub receive_buffer: Option<usize>,
    /// Bytes of send buffer to ask for; the kernel may grant less.
    pub send_buffer: Option<usize>,
    /// Take departure stamps, and hear ICMP errors: what a prober wants.
    pub prober: bool,
    /// Let the kernel hand over datagrams of one size and sender in one piece (UDP_GRO).
    pub merge: bool,
    /// Send runs of equal datagrams to one peer in one call that the kernel or the device cuts
    /// (UDP_SEGMENT). They leave as the same datagrams; a load generator says no, to pay for each.
    pub segment: bool,
    /// The largest datagram that is sent so. Default: 1,452 bytes, which fit any link of 1,500 unfragmented; who knows
    /// that the path carries more may say more.
    pub largest_segment: u16,
}

impl Default for UdpOptions {
    fn default() -> UdpOptions {
        UdpOptions {
            local: SocketAddr::new(std::net::Ipv6Addr::UNSPECIFIED.into(), 0),
            device: None,
            v6_only: false,
            reuse_port: false,
            tos: None,
            ttl: None,
            dont_fragment: false,
            probe_path_mtu: false,
            receive_buffer: None,
            send_buffer: None,
            prober: false,
            merge: false,
            segment: true,
            largest_segment: 1_452,
        }
    }
}

/// The place of the identifier in an ICMP echo message (RFC 792).
const IDENTIFIER: usize = 4;

/// A bound UDP socket that reports path, marks and kernel stamps of what it receives.
#[derive(Debug)]
pub struct UdpSocket {
    socket: Socket,
    local: SocketAddr,
    device: Option<String>,
    largest_segment: usize,
    v6_only: bool,
    names_departures: bool,
    /// The identifier of a raw socket for ICMP echo.
    raw_echo: Option<u16>,
}

impl UdpSocket {
    /// Opens and binds a socket.
    ///
    /// # Errors
    /// As the operating system says: address in use, not available, no permission, no such device.
    pub fn bind(options: &UdpOptions) -> io::Result<UdpSocket> {
        let socket = Socket::new(
            Domain::for_address(options.local),
            Type::DGRAM,
            Some(Protocol::UDP),
        )?;
        if options.local.is_ipv6() {
            socket.set_only_v6(options.v6_only)?;
        }
        if options.reuse_port {
            socket.set_reuse_port(true)?;
        }
        bind_device(&socket, options.device.as_deref())?;
        socket.bind(&options.local.into())?;
        UdpSocket::prepare(socket, options)
    }

    /// Takes over a socket that somebody else bound (socket activation). `options.local` is not used.
    ///
    /// # Errors
    /// If it is not a bound IP datagram socket, or an option cannot be set.
    pub fn from_fd(fd: OwnedFd, options: &UdpOptions) -> io::Result<UdpSocket> {
        let socket = Socket::from(fd);
        if socket.r#type()? != Type::DGRAM {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "not a datagram socket",
            ));
        }
        UdpSocket::prepare(socket, options)
    }

    /// The address it is bound to, with the port that the kernel chose.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// The device it is bound to.
    pub fn device(&self) -> Option<&str> {
        self.device.as_deref()
    }

    /// Lets calls that do not ask otherwise wait inside. All others here say MSG_DONTWAIT.
    pub(crate) fn may_wait(&self) -> io::Result<()> {
        self.socket.set_nonblocking(false)
    }

    /// Whether departure stamps come back with numbers of our choice.
    pub(crate) fn names_departures(&self) -> bool {
        self.names_departures
    }

    /// Whether it can receive or send a datagram whose local end is `local`.
    pub fn covers(&self, local: SocketAddr) -> bool {
        covers(self.local, self.v6_only, local)
    }

    /// The largest datagram that may be sent as a segment of a bigger one; 0 for none.
    pub(crate) fn largest_segment(&self) -> usize {
        self.largest_segment
    }

    /// Binds to the device again: after it was removed and made anew its name means another interface.
    pub(crate) fn rebind_device(&self) -> io::Result<()> {
        bind_device(&self.socket, self.device.as_deref())
    }

    pub(crate) fn is_v6(&self) -> bool {
        self.local.is_ipv6()
    }

    /// Starts the counter of departure stamps again from 0.
    pub(crate) fn restart_departures(&self) -> io::Result<()> {
        set_timestamping(&self.socket, departure_flags())
    }

    /// The error that the kernel holds for this socket, which is thereby cleared.
    pub(crate) fn take_error(&self) -> Option<io::Error> {
        self.socket.take_error().unwrap_or_else(Some)
    }

    /// Switches everything on. A raw socket is prepared in the same way.
    pub(crate) fn prepare(socket: Socket, options: &UdpOptions) -> io::Result<UdpSocket> {
        let mut local = socket
            .local_addr()?
            .as_socket()
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "not an IP socket"))?;
        let raw = socket.r#type()? == Type::RAW;
        if raw {
            // The kernel keeps the protocol's number in the place of the port.
            local.set_port(0);
        }
        socket.set_nonblocking(true)?;
        if let Some(bytes) = options.receive_buffer {
            ask_for_buffer(&socket, bytes);
        }
        if let Some(bytes) = options.send_buffer {
            ask_for_send_buffer(&socket, bytes);
        }
        let v6 = local.is_ipv6();
        // A dual-stack socket needs the IPv4 options too: TTL and TOS of IPv4 packets come by them. No raw socket is one.
        let v4 = !v6 || !(raw || socket.only_v6()?);
        if v4 {
            set_int(&socket, libc::IPPROTO_IP, libc::IP_RECVTTL, 1)?;
            set_int(&socket, libc::IPPROTO_IP, libc::IP_RECVTOS, 1)?;
            set_optional(&socket, libc::IPPROTO_IP, libc::IP_TOS, options.tos)?;
            set_optional(&socket, libc::IPPROTO_IP, libc::IP_TTL, options.ttl)?;
            set_flag(&socket, libc::IPPROTO_IP, libc::IP_RECVERR, options.prober)?;
            if options.dont_fragment {
                set_int(
                    &socket,
                    libc::IPPROTO_IP,
                    libc::IP_MTU_DISCOVER,
                    if options.probe_path_mtu {
                        libc::IP_PMTUDISC_PROBE
                    } else {
                        libc::IP_PMTUDISC_DO
                    },
                )?;
            }
        }
        if v6 {
            set_int(&socket, libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, 1)?;
            set_int(&socket, libc::IPPROTO_IPV6, libc::IPV6_RECVHOPLIMIT, 1)?;
            set_int(&socket, libc::IPPROTO_IPV6, libc::IPV6_RECVTCLASS, 1)?;
            set_optional(&socket, libc::IPPROTO_IPV6, libc::IPV6_TCLASS, options.tos)?;
            set_optional(&socket, libc::IPPROTO_IPV6, libc::IPV6_UNICAST_HOPS, options.ttl)?;
            set_flag(&socket, libc::IPPROTO_IPV6, libc::IPV6_RECVERR, options.prober)?;
            if options.dont_fragment {
                set_int(
                    &socket,
                    libc::IPPROTO_IPV6,
                    libc::IPV6_MTU_DISCOVER,
                    if options.probe_path_mtu {
                        libc::IPV6_PMTUDISC_PROBE
                    } else {
                        libc::IPV6_PMTUDISC_DO
                    },
                )?;
                set_int(&socket, libc::IPPROTO_IPV6, libc::IPV6_DONTFRAG, 1)?;
            }
        } else {
            set_int(&socket, libc::IPPROTO_IP, libc::IP_PKTINFO, 1)?;
        }
        if options.merge {
            // Kernels before 5.0 have no UDP_GRO; without it each datagram just comes alone.
            let _ = set_int(&socket, libc::SOL_UDP, libc::UDP_GRO, 1);
        }
        set_timestamping(&socket, departure_flags())?;
        Ok(UdpSocket {
            socket,
            local,
            device: options.device.clone(),
            largest_segment: if options.segment {
                options.largest_segment.into()
            } else {
                0
            },
            v6_only: !v4,
            names_departures: kernel_names_departures(),
            raw_echo: None,
        })
    }

    /// Makes it a socket for ICMP echo, which has no ports: a ping socket, or a raw one with this identifier.
    pub(crate) fn of_echo(mut self, raw: Option<u16>) -> UdpSocket {
        self.local.set_port(0);
        self.raw_echo = raw;
        self
    }

    /// What of a received datagram is for its machine: from a raw socket for ICMP echo that is no IPv4 header.
    pub(crate) fn message<'a>(&self, received: &'a [u8]) -> &'a [u8] {
        match (self.raw_echo, received.first()) {
            (Some(_), Some(first)) if !self.is_v6() => {
                received.get(usize::from(first & 15) * 4..).unwrap_or_default()
            }
            _ => received,
        }
    }

    /// Whether an error that quotes this is about something that was sent by this socket. A raw socket hears of all that this
    /// host sends by its protocol.
    pub(crate) fn has_sent(&self, quote: &[u8]) -> bool {
        self.raw_echo
            .is_none_or(|identifier| quote.get(IDENTIFIER..IDENTIFIER + 2) == Some(&identifier.to_be_bytes()))
    }
}

/// Whether this kernel takes a number for a departure stamp (SCM_TS_OPT_ID, Linux 6.13): tried once, on a socket
/// that sends to itself. A kernel that does not know the message says EINVAL before it looks at anything else.
fn kernel_names_departures() -> bool {
    static ANSWER: OnceLock<bool> = OnceLock::new();
    *ANSWER.get_or_init(|| try_named_departure().unwrap_or(false))
}

fn try_named_departure() -> io::Result<bool> {
    let socket = std::net::UdpSocket::bind((std::net::Ipv4Addr::LOCALHOST, 0))?;
    set_timestamping(&socket, departure_flags())?;
    let item = SendItem {
        remote: socket.local_addr()?,
        source: None,
        link: 0,
        tos: None,
        departure: Departure::Named(0),
        segment: None,
    };
    let mut batch = SendBatch::new();
    let mut round = batch.round(false);
    round.message(&item);
    let mut known = true;
    round.send(&socket, |_, result| {
        known = result.err().and_then(|error| error.raw_os_error()) != Some(libc::EINVAL);
    });
    Ok(known)
}

/// Arrival stamps of everything, departure stamps of those messages that ask for one.
fn departure_flags() -> u32 {
    timestamping::RX_SOFTWARE | timestamping::SOFTWARE | timestamping::OPT_ID | timestamping::OPT_TSONLY
}

impl AsFd for UdpSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

pub(crate) fn bind_device(socket: &Socket, device: Option<&str>) -> io::Result<()> {
    match device {
        Some(name) => socket.bind_device(Some(name.as_bytes())),
        None => Ok(()),
    }
}

/// Asks for a buffer beyond net.core.rmem_max where this process may, and for as much as it may else.
pub(crate) fn ask_for_buffer(socket: &Socket, bytes: usize) {
    let bytes = i32::try_from(bytes).unwrap_or(i32::MAX);
    if set_int(socket, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, bytes).is_err() {
        let _ = set_int(socket, libc::SOL_SOCKET, libc::SO_RCVBUF, bytes);
    }
}

fn ask_for_send_buffer(socket: &Socket, bytes: usize) {
    let bytes = i32::try_from(bytes).unwrap_or(i32::MAX);
    if set_int(socket, libc::SOL_SOCKET, libc::SO_SNDBUFFORCE, bytes).is_err() {
        let _ = set_int(socket, libc::SOL_SOCKET, libc::SO_SNDBUF, bytes);
    }
}

fn set_optional(socket: &Socket, level: i32, name: i32, value: Option<u8>) -> io::Result<()> {
    value.map_or(Ok(()), |value| set_int(socket, level, name, i32::from(value)))
}

fn set_flag(socket: &Socket, level: i32, name: i32, on: bool) -> io::Result<()> {
    if on {
        set_int(socket, level, name, 1)
    } else {
        Ok(())
    }
}

fn covers(bound: SocketAddr, v6_only: bool, local: SocketAddr) -> bool {
    let family = match (bound.ip(), local.ip()) {
        (IpAddr::V4(_), IpAddr::V6(_)) => false,
        (IpAddr::V6(ip), IpAddr::V4(_)) => ip.is_unspecified() && !v6_only,
        (bound, local) => bound.is_unspecified() || local.is_unspecified() || bound == local,
    };
    family && (local.port() == 0 || bound.port() == local.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_covers_the_addresses_it_can_speak_for() {
        let table = [
            ("[::]:7", "192.0.2.1:7", true),
            ("[::]:7", "[2001:db8::1]:7", true),
            ("[::]:7", "192.0.2.1:8", false),
            ("0.0.0.0:7", "[2001:db8::1]:7", false),
            ("192.0.2.1:7", "192.0.2.1:7", true),
            ("192.0.2.1:7", "192.0.2.2:7", false),
            ("192.0.2.1:7", "0.0.0.0:0", true),
            ("[2001:db8::1]:7", "192.0.2.1:7", false),
        ];
        for (bound, local, expected) in table {
            let (bound, local) = (
                bound.parse().expect("an address"),
                local.parse().expect("an address"),
            );
            assert_eq!(covers(bound, false, local), expected, "{bound} {local}");
        }
    }

    #[test]
    fn an_ipv6_only_socket_leaves_ipv4_to_others() {
        let (bound, v4, v6) = ("[::]:7", "192.0.2.1:7", "[2001:db8::1]:7");
        let parse = |text: &str| text.parse().expect("an address");
        assert!(!covers(parse(bound), true, parse(v4)) && covers(parse(bound), true, parse(v6)));
    }

    #[test]
    fn a_port_in_use_is_an_error_and_a_kernel_chosen_port_is_told() {
        let options = UdpOptions {
            local: "127.0.0.1:0".parse().expect("an address"),
            ..UdpOptions::default()
        };
        let first = UdpSocket::bind(&options).expect("a free port");
        assert_ne!(first.local_addr().port(), 0);
        let again = UdpOptions {
            local: first.local_addr(),
            ..options
        };
        assert_eq!(
            UdpSocket::bind(&again).expect_err("in use").kind(),
            io::ErrorKind::AddrInUse
        );
    }

    #[test]
    fn a_raw_socket_for_echo_takes_off_the_header_and_knows_what_it_has_sent() {
        let of_echo = |local: &str, raw| {
            let options = UdpOptions {
                local: local.parse().expect("an address"),
                ..UdpOptions::default()
            };
            UdpSocket::bind(&options).expect("a free port").of_echo(raw)
        };
        let message = [0, 0, 0xab, 0xcd, 0x12, 0x34, 0, 9];
        let dressed = |header: usize| {
            let mut bytes = vec![0; header];
            bytes[0] = 0x40 | (header / 4) as u8;
            [&bytes[..], &message].concat()
        };
        let raw = of_echo("127.0.0.1:0", Some(0x1234));
        assert_eq!(raw.local_addr().port(), 0);
        assert_eq!(raw.message(&dressed(20)), message);
        assert_eq!(raw.message(&dressed(60)), message);
        assert_eq!(raw.message(&dressed(60)[..59]), []);
        assert_eq!(raw.message(&[]), []);
        assert!(raw.has_sent(&message) && raw.has_sent(&message[..6]));
        assert!(!raw.has_sent(&message[..5]) && !raw.has_sent(&[0; 8]));
        let others = [of_echo("[::1]:0", Some(0x1234)), of_echo("127.0.0.1:0", None)];
        for socket in others {
            assert_eq!(
                socket.message(&dressed(20)),
                dressed(20),
                "it comes without a header"
            );
        }
        assert!(
            of_echo("127.0.0.1:0", None).has_sent(&[]),
            "the kernel knows whose it is"
        );
    }

    #[test]
    fn an_unknown_device_is_an_error() {
        let options = UdpOptions {
            device: Some("no-such-dev0".into()),
            ..UdpOptions::default()
        };
        let error = UdpSocket::bind(&options).expect_err("no such device");
        assert_eq!(error.raw_os_error(), Some(libc::ENODEV));
    }
}
