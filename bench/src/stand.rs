//! Servers that the bench brings along, each in a process of its own: what one writes first, and what one
//! writes on an async runtime.

use crate::contender::RECEIVE_BUFFER;
use anyhow::Result;
use clap::ValueEnum;
use socket2::{Domain, Socket, Type};
use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};

/// Which of them.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Stand {
    /// recvfrom and sendto over UDP.
    Plain,
    /// tokio over TCP, one thread.
    Tokio,
}

/// Serves until it is killed.
pub(crate) fn run(kind: Stand, at: SocketAddr) -> Result<()> {
    match kind {
        Stand::Plain => plain(at),
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
