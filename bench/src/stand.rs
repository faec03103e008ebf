//! Servers that the bench brings along, each in a process of its own: what one writes first, and what one
//! writes on an async runtime.

use crate::contender::RECEIVE_BUFFER;
use anyhow::Result;
use clap::ValueEnum;
use halloo_io::route::{Hop, LinkChange, Netlink, Route};
use halloo_io::{TunDevice, TunOptions};
use socket2::{Domain, Socket, Type};
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, UdpSocket};

/// Octets of the offload header before every datagram of a TUN device.
const OFFLOAD: usize = 10;

/// Which of them.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Stand {
    /// recvfrom and sendto over UDP.
    Plain,
    /// read and write on a TUN device, for the address that it is told.
    PlainTun,
    /// tokio over TCP, one thread.
    Tokio,
}

/// Serves until it is killed.
pub(crate) fn run(kind: Stand, at: SocketAddr) -> Result<()> {
    match kind {
        Stand::Plain => plain(at),
        Stand::PlainTun => plain_tun(at.ip()),
        Stand::Tokio => tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build()?
            .block_on(tokio_echo(at)),
    }
}

fn plain(at: SocketAddr) -> Result<()> {
    let socket = Socket::new(Domain::for_address(at), Type::DGRAM, None)?;
    socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
    socket.bind(&at.into())?;
    let socket: UdpSocket = socket.into();
    let mut buffer = [0; 65_536];
    loop {
        match socket.recv_from(&mut buffer) {
            Ok((len, peer)) => {
                // A peer that is gone must not end the server.
                let _ = socket.send_to(&buffer[..len], peer);
            }
            // An ICMP error of an earlier send.
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// What an IP echo comes to without any care: addresses turned round, a hop taken, one thread, one datagram a call.
fn plain_tun(echo: IpAddr) -> Result<()> {
    let device = TunDevice::open(&TunOptions::default())?;
    let mut netlink = Netlink::open()?;
    let up = LinkChange {
        up: Some(true),
        ..LinkChange::default()
    };
    netlink.change_link(device.link(), &up)?;
    netlink.add_route(Route::new(echo.into(), Hop::Link(device.link())))?;
    rustix::io::ioctl_fionbio(&device, false)?;
    let mut buffer = [0; 70_000];
    loop {
        let len = rustix::io::read(&device, &mut buffer)?;
        let Some(header) = buffer[..len]
            .get_mut(OFFLOAD..OFFLOAD + 20)
            .filter(|header| header[0] == 0x45)
        else {
            continue;
        };
        let (source, destination) = header[12..].split_at_mut(4);
        source.swap_with_slice(&mut destination[..4]);
        header[8] -= 1;
        // The word that holds the TTL became less by 0x100, so its complement became more (RFC 1624).
        let sum = u32::from(u16::from_be_bytes([header[10], header[11]])) + 0x100;
        header[10..12].copy_from_slice(&((sum + (sum >> 16)) as u16).to_be_bytes());
        rustix::io::write(&device, &buffer[..len])?;
    }
}

async fn tokio_echo(at: SocketAddr) -> Result<()> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let socket = tokio::net::TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(at)?;
    let listener = socket.listen(8192)?;
    loop {
        let (mut stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(async move {
            let mut buffer = [0; 4096];
            while let Ok(len @ 1..) = stream.read(&mut buffer).await {
                if stream.write_all(&buffer[..len]).await.is_err() {
                    return;
                }
            }
        });
    }
}
