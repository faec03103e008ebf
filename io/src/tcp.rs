//! TCP sockets: listeners, and what an outgoing connection, TCP or Unix, is made of.

use crate::sys::{set_int, set_timestamping, timestamping};
use crate::udp::bind_device;
use halloo_base::Path;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

/// How a listening socket is made.
#[derive(Clone, Debug)]
pub struct ListenOptions {
    /// Address and port to bind; port 0 lets the kernel choose.
    pub local: SocketAddr,
    /// Accept only what arrives by this device.
    pub device: Option<String>,
    /// On an IPv6 wildcard address: refuse IPv4.
    pub v6_only: bool,
    /// Connections that may wait to be accepted; the kernel cuts it at net.core.somaxconn.
    pub backlog: u32,
    /// Share the port with other sockets that say the same (SO_REUSEPORT).
    pub reuse_port: bool,
}

impl Default for ListenOptions {
    fn default() -> ListenOptions {
        ListenOptions {
            local: SocketAddr::new(std::net::Ipv6Addr::UNSPECIFIED.into(), 0),
            device: None,
            v6_only: false,
            // std's 128 stalls a burst of connects for a second.
            backlog: 8192,
            reuse_port: false,
        }
    }
}

/// How outgoing connections are made.
#[derive(Clone, Debug, Default)]
pub struct StreamOptions {
    /// Connect by this device (SO_BINDTODEVICE).
    pub device: Option<String>,
    /// Source address.
    pub source: Option<IpAddr>,
    /// TOS or traffic class octet of everything sent.
    pub tos: Option<u8>,
    /// TTL or hop limit of everything sent.
    pub ttl: Option<u8>,
    /// Never fragment: set DF (the kernel's default for TCP anyway).
    pub dont_fragment: bool,
    /// Connect to the first of these Unix sockets that takes us, whatever the path says; nothing above applies to them,
    /// and there are no kernel stamps. None given: connect by TCP.
    pub unix: Vec<PathBuf>,
    /// What is sent are answers: while some of them wait to be sent, nothing more is read.
    pub answers: bool,
}

/// A listening TCP socket.
#[derive(Debug)]
pub struct TcpListener {
    socket: Socket,
    local: SocketAddr,
}

impl TcpListener {
    /// Opens, binds and listens.
    ///
    /// # Errors
    /// As the operating system says: address in use, not available, no permission, no such device.
    pub fn bind(options: &ListenOptions) -> io::Result<TcpListener> {
        let socket = Socket::new(
            Domain::for_address(options.local),
            Type::STREAM,
            Some(Protocol::TCP),
        )?;
        if options.local.is_ipv6() {
            socket.set_only_v6(options.v6_only)?;
        }
        // A restart must not wait for old connections' TIME_WAIT.
        socket.set_reuse_address(true)?;
        if options.reuse_port {
            socket.set_reuse_port(true)?;
        }
        bind_device(&socket, options.device.as_deref())?;
        socket.bind(&options.local.into())?;
        socket.listen(i32::try_from(options.backlog).unwrap_or(i32::MAX))?;
        TcpListener::prepare(socket)
    }

    /// Takes over a listening socket that somebody else made (socket activation).
    ///
    /// # Errors
    /// If it is not a listening IP stream socket.
    pub fn from_fd(fd: OwnedFd) -> io::Result<TcpListener> {
        let socket = Socket::from(fd);
        if socket.r#type()? != Type::STREAM || !socket.is_listener()? {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "not a listening stream socket",
            ));
        }
        TcpListener::prepare(socket)
    }

    /// The address it listens on, with the port that the kernel chose.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// The same for another driver.
    pub fn into_std(self) -> std::net::TcpListener {
        std::net::TcpListener::from(OwnedFd::from(self.socket))
    }

    /// The next waiting connection with its ends.
    pub(crate) fn accept(&self) -> io::Result<(Socket, Path)> {
        let (socket, remote) = self.socket.accept4(libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC)?;
        let local = socket.local_addr()?;
        Ok((
            socket,
            Path {
                link: halloo_base::LinkId(0),
                local: plain(&local),
                remote: plain(&remote),
            },
        ))
    }

    fn prepare(socket: Socket) -> io::Result<TcpListener> {
        let local = socket
            .local_addr()?
            .as_socket()
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "not an IP socket"))?;
        socket.set_nonblocking(true)?;
        // Accepted sockets inherit it: an echo must not wait for more to send.
        socket.set_tcp_nodelay(true)?;
        Ok(TcpListener { socket, local })
    }
}

impl AsFd for TcpListener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Begins to connect, from `path.local.port()` unless that is 0. The result comes when the socket gets writable.
pub(crate) fn connect(options: &StreamOptions, path: Path) -> io::Result<Socket> {
    if !options.unix.is_empty() {
        return connect_unix(&options.unix);
    }
    let socket = Socket::new(
        Domain::for_address(path.remote),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_nonblocking(true)?;
    socket.set_tcp_nodelay(true)?;
    bind_device(&socket, options.device.as_deref())?;
    set_header_fields(&socket, options, path.remote.is_ipv4())?;
    let source = options.source.unwrap_or(path.local.ip());
    if !source.is_unspecified() || path.local.port() != 0 {
        if path.local.port() != 0 {
            // The port was chosen: an earlier connection's TIME_WAIT must not keep it.
            socket.set_reuse_address(true)?;
        }
        // Without this a port would be taken at bind, for all destinations alike.
        let _ = set_int(&socket, libc::IPPROTO_IP, libc::IP_BIND_ADDRESS_NO_PORT, 1);
        socket.bind(&SocketAddr::new(source, path.local.port()).into())?;
    }
    match socket.connect(&path.remote.into()) {
        Ok(()) => {}
        Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => {}
        Err(error) => return Err(error),
    }
    Ok(socket)
}

/// Connects to the first of these sockets that takes us, or says why the last one did not.
fn connect_unix(paths: &[PathBuf]) -> io::Result<Socket> {
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for path in paths {
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        // Never under way: it succeeds, or the listener's queue is full (EAGAIN), or nobody listens.
        match SockAddr::unix(path).and_then(|address| socket.connect(&address)) {
            Ok(()) => return Ok(socket),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Switches kernel stamps on for a connection; departures are then counted in bytes from here.
///
/// # Errors
/// If the kernel stamps nothing on such a socket.
pub(crate) fn stamp_stream(socket: &Socket) -> io::Result<()> {
    if socket.local_addr()?.is_unix() {
        return Err(io::ErrorKind::Unsupported.into());
    }
    // Departure stamps are asked for message by message: the flag here would stamp every write.
    let flags =
        timestamping::RX_SOFTWARE | timestamping::SOFTWARE | timestamping::OPT_ID | timestamping::OPT_TSONLY;
    set_timestamping(socket, flags)
}

fn set_header_fields(socket: &Socket, options: &StreamOptions, v4: bool) -> io::Result<()> {
    let (level, tos, ttl, discover, always) = if v4 {
        (
            libc::IPPROTO_IP,
            libc::IP_TOS,
            libc::IP_TTL,
            libc::IP_MTU_DISCOVER,
            libc::IP_PMTUDISC_DO,
        )
    } else {
        let names = (
            libc::IPV6_TCLASS,
            libc::IPV6_UNICAST_HOPS,
            libc::IPV6_MTU_DISCOVER,
        );
        (
            libc::IPPROTO_IPV6,
            names.0,
            names.1,
            names.2,
            libc::IPV6_PMTUDISC_DO,
        )
    };
    if let Some(value) = options.tos {
        set_int(socket, level, tos, i32::from(value))?;
    }
    if let Some(value) = options.ttl {
        set_int(socket, level, ttl, i32::from(value))?;
    }
    if options.dont_fragment {
        set_int(socket, level, discover, always)?;
    }
    Ok(())
}

/// An IP address out of the kernel, IPv4 in IPv6 form unwrapped; the zone of a link-local address is kept.
pub(crate) fn plain(addr: &SockAddr) -> SocketAddr {
    match addr.as_socket() {
        Some(SocketAddr::V6(v6)) => match v6.ip().to_ipv4_mapped() {
            Some(v4) => SocketAddr::new(v4.into(), v6.port()),
            None => v6.into(),
        },
        Some(v4) => v4,
        None => SocketAddr::new(std::net::Ipv4Addr::UNSPECIFIED.into(), 0),
    }
}
