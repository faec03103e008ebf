//! The overlay's commands.

mod address;
mod ciphers;
mod control;
mod device;
pub(crate) mod edge;
mod kernel;
pub(crate) mod keys;
mod lock;
mod metrics;
mod question;
mod report;
mod revoked;
mod status;
pub(crate) mod supernode;
mod surroundings;

use crate::cli::SupernodeAddress;
use crate::cli::overlay::OffloadChoice;
use anyhow::{Context, Result};
use halloo_io::{UdpOptions, UdpSocket, drop_privileges, drop_privileges_but_network};
use halloo_overlay::PublicKey;
use halloo_overlay::edge::SupernodePlace;
use std::net::{SocketAddr, ToSocketAddrs};

/// Whom root becomes unless told otherwise.
const NOBODY: &str = "nobody";
/// Room for a burst of super-frames, on both sides of a socket.
const BUFFER: usize = 8 << 20;
/// What this program calls itself to its peers.
const SOFTWARE: &str = concat!("halloo ", env!("CARGO_PKG_VERSION"));

/// A socket for the overlay's datagrams.
fn socket(local: SocketAddr, offload: OffloadChoice) -> Result<UdpSocket> {
    let options = UdpOptions {
        local,
        receive_buffer: Some(BUFFER),
        merge: offload == OffloadChoice::Auto,
        ..sending(offload)
    };
    UdpSocket::bind(&options).with_context(|| format!("cannot listen on UDP {local}"))
}

/// How further sockets are made, by which frames only leave.
fn sending(offload: OffloadChoice) -> UdpOptions {
    UdpOptions {
        dont_fragment: true,
        probe_path_mtu: true,
        send_buffer: Some(BUFFER),
        segment: offload == OffloadChoice::Auto,
        largest_segment: u16::MAX,
        ..UdpOptions::default()
    }
}

/// Becomes who has no rights, now that everything is bound; who is not root gives up what else it was given.
fn become_nobody(user: Option<&str>) -> Result<()> {
    let user = user.unwrap_or(NOBODY);
    drop_privileges(user).with_context(|| format!("cannot become {user} (--user)"))
}

/// The same, but this thread can still give the device an address, and another one later.
fn become_nearly_nobody(user: Option<&str>) -> Result<()> {
    let user = user.unwrap_or(NOBODY);
    drop_privileges_but_network(user).with_context(|| format!("cannot become {user} (--user)"))
}

/// Where a supernode is, by the address that is preferred; the others of its name are of the same host. Nothing if the
/// name has no address.
///
/// # Errors
/// If the name cannot be looked up, or the key is none.
fn lookup(supernode: &SupernodeAddress) -> Result<Option<SupernodePlace>> {
    let key = key(supernode)?;
    let mut found = (supernode.host.as_str(), supernode.port)
        .to_socket_addrs()
        .with_context(|| format!("--supernode {supernode}"))?;
    Ok(found.next().map(|address| SupernodePlace { address, key }))
}

/// The key that a supernode must have, if one was given.
///
/// # Errors
/// If it is none.
fn key(supernode: &SupernodeAddress) -> Result<Option<PublicKey>> {
    let parse = |text: &str| {
        text.parse::<PublicKey>()
            .with_context(|| format!("--supernode {supernode}#{text}"))
    };
    supernode.key.as_deref().map(parse).transpose()
}
