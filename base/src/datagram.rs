//! What arrives: datagrams and frames, with the path they came by.

use crate::Stamp;
use std::fmt;
use std::net::SocketAddr;

/// A link by the interface index that the kernel gives it; 0 where routing chooses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct LinkId(pub u32);

/// Both ends of a datagram and the link it used. A reply travels on the path its request came by.
///
/// Protocols without ports (IP echo) use port 0. A wildcard `local` address lets routing choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Path {
    /// The interface it arrived on or is to leave by.
    pub link: LinkId,
    /// Our end: the destination of what arrived, the source of what leaves.
    pub local: SocketAddr,
    /// Their end.
    pub remote: SocketAddr,
}

/// What the IP header said beside the addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Marks {
    /// DSCP (upper six bits) and ECN (lower two) as received: the TOS or traffic class octet.
    pub tos: u8,
    /// TTL or hop limit as received, where the kernel told.
    pub ttl: Option<u8>,
}

/// One datagram as it was received.
#[derive(Clone, Copy, Debug)]
pub struct Datagram<'a> {
    /// The path it came by.
    pub path: Path,
    /// When it was received; the kernel's stamp where there is one.
    pub at: Stamp,
    /// What the IP header said.
    pub marks: Marks,
    /// The transport payload (for IP echo: the whole IP datagram).
    pub payload: &'a [u8],
}

/// One Ethernet frame as it was received, without its check sequence.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// The device it came in on.
    pub link: LinkId,
    /// When it was received.
    pub at: Stamp,
    /// Destination, source, type and payload (IEEE 802.3 section 3.1.1).
    pub bytes: &'a [u8],
}

impl fmt::Display for LinkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} -> {}", self.local, self.remote)?;
        if self.link != LinkId::default() {
            write!(f, " by {}", self.link)?;
        }
        Ok(())
    }
}
