//! Which datagrams are looked at, decided from their addresses and ports.

use crate::access::AccessTable;
use crate::ports::PortSet;
use crate::{AccessList, Limits, OptionsError, REFLECTION_PORTS, address};
use halloo_base::{LinkId, Path, Reason};
use std::net::{IpAddr, Ipv4Addr};

/// Ports below this one belong to services (RFC 6335 section 6).
const LOW_PORTS: u16 = 1024;

/// The rules of a datagram server. The default is fit for the open Internet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guards {
    /// Who may ask. Default: everybody.
    pub access: AccessList,
    /// Source ports that are not answered, because a service there would answer the answer. Default: the
    /// ports of [`REFLECTION_PORTS`].
    pub reflection_ports: Vec<u16>,
    /// Whether source ports below 1024 are not answered either. Default: true.
    pub refuse_low_ports: bool,
    /// Ports on which this halloo itself answers, not answered as source ports. The port that a datagram was
    /// sent to is one of them, unless [`Guards::one_port`]. Default: none besides that.
    pub own_ports: Vec<u16>,
    /// Whether a datagram from the very port that it was sent to is answered: for protocols whose peers use one port for
    /// both, and whose answers nobody takes for requests. A port below 1024 is refused all the same. Default: false.
    pub one_port: bool,
    /// The port that peers of this protocol ask from, whatever port they ask at, and be it below 1024 (NTP 123, SIP 5060).
    /// Only for a protocol that tells its answers from its requests: one answer is all that a forged source of this port
    /// can make. Default: none.
    pub peer_port: Option<u16>,
    /// Directed broadcast addresses of this host's networks, which cannot be told from the address alone.
    /// They are refused as destinations and as sources. Default: none.
    pub broadcasts: Vec<Broadcast>,
    /// How much is answered. Default: see [`Limits`].
    pub limits: Limits,
}

/// A directed broadcast address, such as 192.0.2.255 on a link with 192.0.2.0/24 (RFC 919).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Broadcast {
    /// The link that it belongs to; [`LinkId`] 0 for every link.
    pub link: LinkId,
    /// The address.
    pub address: Ipv4Addr,
}

impl Default for Guards {
    fn default() -> Guards {
        Guards {
            access: AccessList::default(),
            reflection_ports: REFLECTION_PORTS.iter().map(|&(port, _)| port).collect(),
            refuse_low_ports: true,
            own_ports: Vec::new(),
            one_port: false,
            peer_port: None,
            broadcasts: Vec::new(),
            limits: Limits::default(),
        }
    }
}

impl Guards {
    /// The source ports that are not answered because a service there would answer the answer. Own ports are apart.
    pub fn refused_ports(&self) -> impl Iterator<Item = u16> {
        let low = if self.refuse_low_ports { 0..LOW_PORTS } else { 0..0 };
        low.chain(self.reflection_ports.iter().copied())
    }

    /// Checks every field.
    ///
    /// # Errors
    /// The first field that is out of its range, or the prefix that is both allowed and denied.
    pub fn check(&self) -> Result<(), OptionsError> {
        self.access.check()?;
        self.limits.check()
    }
}

/// What may be known from the addresses of a path.
pub(crate) struct AddressGuard {
    access: AccessTable,
    broadcasts: Vec<Broadcast>,
}

impl AddressGuard {
    pub(crate) fn new(access: &AccessList, broadcasts: &[Broadcast]) -> Result<AddressGuard, OptionsError> {
        Ok(AddressGuard {
            access: access.table()?,
            broadcasts: broadcasts.to_vec(),
        })
    }

    /// Returns the canonical source address of a path that may be answered.
    pub(crate) fn admit(&self, path: &Path) -> Result<IpAddr, Reason> {
        let (local, remote) = (path.local.ip().to_canonical(), path.remote.ip().to_canonical());
        if !address::is_unicast(local) || self.is_broadcast(path.link, local) {
            return Err(Reason::NotUnicast);
        }
        let same = local == remote && path.local.port() == path.remote.port();
        // An unspecified local address means that the kernel did not tell, not that it is another one.
        let strayed = remote.is_loopback() && !local.is_loopback() && !local.is_unspecified();
        if same || strayed || address::is_bogon(remote) || self.is_broadcast(path.link, remote) {
            return Err(Reason::BogonSource);
        }
        if self.access.allows(remote) {
            Ok(remote)
        } else {
            Err(Reason::Denied)
        }
    }

    fn is_broadcast(&self, link: LinkId, ip: IpAddr) -> bool {
        let IpAddr::V4(ip) = ip else { return false };
        let on = |known: &Broadcast| known.link == link || known.link == LinkId::default();
        self.broadcasts
            .iter()
            .any(|known| known.address == ip && on(known))
    }
}

/// What may be known from the ports of a UDP path.
pub(crate) struct PortGuard {
    reflection: PortSet,
    own: PortSet,
    one_port: bool,
    peer_port: Option<u16>,
}

impl PortGuard {
    pub(crate) fn new(guards: &Guards) -> PortGuard {
        PortGuard {
            reflection: guards.refused_ports().collect(),
            own: guards.own_ports.iter().copied().collect(),
            one_port: guards.one_port,
            peer_port: guards.peer_port,
        }
    }

    pub(crate) fn admit(&self, path: &Path) -> Result<(), Reason> {
        let port = path.remote.port();
        if port == 0 {
            return Err(Reason::BogonSource);
        }
        if self.peer_port == Some(port) {
            return Ok(());
        }
        let peer = self.one_port && port == path.local.port();
        if !peer && (port == path.local.port() || self.own.contains(port)) {
            return Err(Reason::OwnPort);
        }
        // The protocol's own port may well be in the list, but a low one stays refused.
        if self.reflection.contains(port) && !(peer && port >= LOW_PORTS) {
            return Err(Reason::ReflectionPort);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
