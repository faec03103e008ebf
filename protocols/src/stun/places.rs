//! Two addresses and two ports, which together tell what a NAT does (RFC 5780 section 6).

use super::wire::Change;
use halloo_base::canonical;
use std::net::{IpAddr, SocketAddr};

/// Where a server receives and sends so that clients can find out about their NATs: two addresses of one family and two
/// ports, all four together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Places {
    first: SocketAddr,
    other: SocketAddr,
}

/// Why two addresses are not two [`Places`] apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotPlaces {
    /// One of them is every address, or a group.
    #[error("{0} is not an address of one host")]
    Address(IpAddr),
    /// One of them has port 0.
    #[error("both need a port, 1 to 65535")]
    Port,
    /// Clients speak IPv4 or IPv6, never both at once.
    #[error("{0} and {1} are not of one family")]
    Family(IpAddr, IpAddr),
    /// Nothing would come from elsewhere.
    #[error("both have the address {0}, and need two")]
    SameAddress(IpAddr),
    /// The same.
    #[error("both have port {0}, and need two")]
    SamePort(u16),
}

impl Places {
    /// The places that follow from these two, with their own ports and each other's.
    ///
    /// # Errors
    /// If they do not differ in both address and port, or are not two unicast addresses of one family.
    pub fn new(first: SocketAddr, other: SocketAddr) -> Result<Places, NotPlaces> {
        let (first, other) = (canonical(first), canonical(other));
        for ip in [first.ip(), other.ip()] {
            let is_broadcast = matches!(ip, IpAddr::V4(ip) if ip.is_broadcast());
            if ip.is_unspecified() || ip.is_multicast() || is_broadcast {
                return Err(NotPlaces::Address(ip));
            }
        }
        match (first.port(), other.port()) {
            (0, _) | (_, 0) => Err(NotPlaces::Port),
            _ if first.is_ipv4() != other.is_ipv4() => Err(NotPlaces::Family(first.ip(), other.ip())),
            _ if first.ip() == other.ip() => Err(NotPlaces::SameAddress(first.ip())),
            (one, another) if one == another => Err(NotPlaces::SamePort(one)),
            _ => Ok(Places { first, other }),
        }
    }

    /// All four, the first one first.
    pub fn all(&self) -> [SocketAddr; 4] {
        let with_port = |ip, port| SocketAddr::new(ip, port);
        [
            self.first,
            with_port(self.first.ip(), self.other.port()),
            with_port(self.other.ip(), self.first.port()),
            self.other,
        ]
    }

    /// Which place is meant by this change of the one that was asked (RFC 5780 section 6.1, table 1); `None` if `asked` is
    /// none of the four.
    pub fn changed(&self, asked: SocketAddr, change: Change) -> Option<SocketAddr> {
        let asked = canonical(asked);
        if !self.all().contains(&asked) {
            return None;
        }
        let opposite = |is_first: bool| if is_first { self.first } else { self.other };
        let ip = opposite((asked.ip() == self.first.ip()) != change.ip).ip();
        let port = opposite((asked.port() == self.first.port()) != change.port).port();
        Some(SocketAddr::new(ip, port))
    }
}
