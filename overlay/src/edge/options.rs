//! What an edge is told when it is made.

use crate::crypto::Entropy;
use crate::switch::{Flood, TableOptions};
use crate::wire::Prefix;
use crate::{Mac, PublicKey};
use halloo_base::LinkId;
use std::net::SocketAddr;
use std::time::Duration;

/// A supernode that is to be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SupernodePlace {
    /// Where it is.
    pub address: SocketAddr,
    /// Who it must be; nobody in particular without it.
    pub key: Option<PublicKey>,
}

/// How an edge is made. Who it is and what it takes is in [`Local`](crate::crypto::Local).
#[derive(Clone, Debug)]
pub struct EdgeOptions {
    /// Supernodes, all of which are asked.
    pub supernodes: Vec<SupernodePlace>,
    /// Our end of every datagram: the socket's port with a wildcard address.
    pub bind: SocketAddr,
    /// The device with the frames.
    pub tap: LinkId,
    /// Whether it takes frames of which something is left to do; else it gets them as they would be on a wire.
    pub offload: bool,
    /// Its Ethernet address.
    pub mac: Mac,
    /// Its addresses.
    pub addresses: Vec<Prefix>,
    /// Whether a supernode is to give an address.
    pub wants_address: bool,
    /// Where we might be reached beside where supernodes see us.
    pub candidates: Vec<SocketAddr>,
    /// Whether to talk to peers directly.
    pub direct: bool,
    /// Which frames are flooded.
    pub flood: Flood,
    /// How large the MAC table becomes.
    pub table: TableOptions,
    /// Peers at most.
    pub peers: usize,
    /// The longest IP packet that our own links carry.
    pub link_mtu: u16,
    /// For how long to ask supernodes to keep us.
    pub lifetime: Duration,
    /// UDP flows to one peer, 1 to 8, where it takes them and is sent much.
    pub flows: u8,
    /// Octets of frames a second to one peer, above which it is much.
    pub flow_threshold: u64,
    /// The VXLAN device, where the kernel carries the frames and this edge none.
    pub vxlan: Option<VxlanDevice>,
}

/// A VXLAN device (RFC 7348) that carries an edge's frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VxlanDevice {
    /// Its UDP port.
    pub port: u16,
    /// Whether it sends by IPv6; it sends by IPv4 else.
    pub ipv6: bool,
}

impl EdgeOptions {
    /// The usual ones.
    pub fn new(supernodes: Vec<SupernodePlace>, bind: SocketAddr, tap: LinkId, mac: Mac) -> EdgeOptions {
        EdgeOptions {
            supernodes,
            bind,
            tap,
            offload: true,
            mac,
            addresses: vec![],
            wants_address: false,
            candidates: vec![],
            direct: true,
            flood: Flood::default(),
            table: TableOptions::default(),
            peers: 1_024,
            link_mtu: 1_500,
            lifetime: Duration::from_secs(60),
            flows: 4,
            flow_threshold: 32 << 20,
            vxlan: None,
        }
    }
}

/// Where an edge's secrets come from.
pub type EdgeEntropy = Box<dyn Entropy + Send>;
