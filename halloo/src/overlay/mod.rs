//! The overlay's commands.

mod ciphers;
mod control;
mod device;
pub(crate) mod edge;
pub(crate) mod keys;
mod report;
mod status;
pub(crate) mod supernode;

use crate::cli::SupernodeAddress;
use anyhow::{Context, Result, bail};
use halloo_io::{UdpOptions, UdpSocket, drop_privileges};
use halloo_overlay::PublicKey;
use halloo_overlay::edge::SupernodePlace;
use nix::unistd::Uid;
use std::net::{SocketAddr, ToSocketAddrs};

/// Whom root becomes unless told otherwise.
const NOBODY: &str = "nobody";
/// Room for a burst of super-frames, on both sides of a socket.
const BUFFER: usize = 8 << 20;
/// What this program calls itself to its peers.
const SOFTWARE: &str = concat!("halloo ", env!("CARGO_PKG_VERSION"));

/// A socket for the overlay's datagrams.
fn socket(local: SocketAddr) -> Result<UdpSocket> {
    let options = UdpOptions {
        local,
        dont_fragment: true,
        probe_path_mtu: true,
        receive_buffer: Some(BUFFER),
        send_buffer: Some(BUFFER),
        merge: true,
        largest_segment: u16::MAX,
        ..UdpOptions::default()
    };
    UdpSocket::bind(&options).with_context(|| format!("cannot listen on UDP {local}"))
}

/// Becomes who has no rights, now that everything is bound.
fn become_nobody(user: Option<&str>) -> Result<()> {
    let user = user.unwrap_or(NOBODY);
    if Uid::effective().is_root() {
        drop_privileges(user).with_context(|| format!("cannot become {user} (--user)"))?;
    }
    Ok(())
}

/// The addresses of a supernode, the one that is preferred first.
///
/// # Errors
/// If the name has none, or the key is none.
fn resolve(supernode: &SupernodeAddress) -> Result<Vec<SupernodePlace>> {
    let key = supernode.key.as_deref().map(|text| {
        text.parse::<PublicKey>()
            .with_context(|| format!("--supernode {supernode}#{text}"))
    });
    let key = key.transpose()?;
    let found = (supernode.host.as_str(), supernode.port)
        .to_socket_addrs()
        .with_context(|| format!("--supernode {supernode}"))?;
    let places: Vec<SupernodePlace> = found.map(|address| SupernodePlace { address, key }).collect();
    if places.is_empty() {
        bail!("--supernode {supernode}: the name has no address");
    }
    Ok(places)
}
