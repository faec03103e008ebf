//! Links, addresses and routes of this host: looked at, made and taken away (rtnetlink(7)).

mod dialogue;
mod settings;
mod vxlan;

use dialogue::{Dialogue, Refused};
use halloo_base::{LinkId, UnreachableError};
use ipnet::IpNet;
use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::address::{AddressAttribute, AddressMessage};
use netlink_packet_route::link::{
    AfSpecInet6, AfSpecUnspec, In6AddrGenMode, LinkAttribute, LinkFlags, LinkMessage,
};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
pub use settings::{
    ReversePath, accepts_source_routes, forwards_ipv4, forwards_ipv6, reverse_path_filter, setting,
};
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
pub use vxlan::{Forwarding, Vxlan, VxlanOptions};

/// Reads and changes this network namespace's links, addresses and routes. Changes need CAP_NET_ADMIN.
pub struct Netlink {
    dialogue: Dialogue,
}

/// What could not be done, and why.
#[derive(Debug, thiserror::Error)]
#[error("cannot {what}: {}", Why(error, words.as_deref()))]
pub struct NetlinkError {
    what: String,
    #[source]
    error: io::Error,
    words: Option<String>,
}

/// A network interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its index.
    pub id: LinkId,
    /// Its name.
    pub name: String,
    /// Whether it is switched on (IFF_UP).
    pub up: bool,
    /// Whether it can carry traffic (IFF_RUNNING).
    pub running: bool,
    /// The longest packet that it carries, in bytes.
    pub mtu: u32,
    /// How many packets may wait to be sent.
    pub queue_length: u32,
    /// Its Ethernet address, if it has one.
    pub mac: Option<[u8; 6]>,
    /// Whether a device is behind it, and not only the kernel. Kernels before 5.14 do not tell.
    pub hardware: bool,
}

/// What to change about a link; what is `None` stays.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct LinkChange {
    /// Switch it on or off.
    pub up: Option<bool>,
    /// The longest packet that it carries, in bytes.
    pub mtu: Option<u32>,
    /// Its Ethernet address.
    pub mac: Option<[u8; 6]>,
    /// The bridge that it is to be a port of; [`LinkId`] 0 for none.
    pub bridge: Option<LinkId>,
    /// How many packets may wait to be sent.
    pub queue_length: Option<u32>,
    /// Whether it gives itself an IPv6 link-local address when it is switched on.
    pub link_local: Option<bool>,
}

/// An address of a link, with the length of its network's prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LinkAddress {
    /// The link.
    pub link: LinkId,
    /// The address and its prefix length.
    pub net: IpNet,
}

/// A route.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Route {
    /// Which destinations it is for.
    pub to: IpNet,
    /// Where they are.
    pub by: Hop,
    /// The routing table; [`Route::MAIN`] is the one that is always looked at.
    pub table: u32,
}

/// Where a route leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Hop {
    /// To neighbours on this link.
    Link(LinkId),
    /// To a router that is a neighbour on this link.
    Gateway(IpAddr, LinkId),
    /// Nowhere: what goes there is dropped, and nobody is told.
    Blackhole,
    /// Somewhere that has no word here: several hops, an encapsulation, an error.
    Other,
}

impl Netlink {
    /// A dialogue with the kernel, in the network namespace of this thread.
    ///
    /// # Errors
    /// If the kernel gives no netlink socket.
    pub fn open() -> Result<Netlink, NetlinkError> {
        let dialogue = Dialogue::open().map_err(|error| failed("open a netlink socket", error))?;
        Ok(Netlink { dialogue })
    }

    /// All links.
    ///
    /// # Errors
    /// If the kernel does not answer.
    pub fn links(&mut self) -> Result<Vec<Link>, NetlinkError> {
        let question = RouteNetlinkMessage::GetLink(LinkMessage::default());
        let told = self.list(&question, "list the links")?;
        let link = |message| match message {
            RouteNetlinkMessage::NewLink(message) => Some(Link::from(&message)),
            _ => None,
        };
        Ok(told.into_iter().filter_map(link).collect())
    }

    /// The link with this name, if there is one.
    ///
    /// # Errors
    /// As [`Netlink::links`].
    pub fn link(&mut self, name: &str) -> Result<Option<Link>, NetlinkError> {
        Ok(self.links()?.into_iter().find(|link| link.name == name))
    }

    /// Changes a link.
    ///
    /// # Errors
    /// If there is no such link, it cannot be so, or this process may not.
    pub fn change_link(&mut self, link: LinkId, change: &LinkChange) -> Result<(), NetlinkError> {
        let mut message = LinkMessage::default();
        message.header.index = link.0;
        if let Some(up) = change.up {
            message.header.change_mask = LinkFlags::Up;
            message.header.flags = if up { LinkFlags::Up } else { LinkFlags::empty() };
        }
        let mode = change.link_local.map(|wanted| match wanted {
            true => In6AddrGenMode::Eui64,
            false => In6AddrGenMode::None,
        });
        let mode = mode.map(|mode| {
            let inet6 = AfSpecUnspec::Inet6(vec![AfSpecInet6::AddrGenMode(mode)]);
            LinkAttribute::AfSpecUnspec(vec![inet6])
        });
        let mac = change.mac.map(|mac| LinkAttribute::Address(mac.to_vec()));
        let bridge = change.bridge.map(|bridge| LinkAttribute::Controller(bridge.0));
        let mtu = change.mtu.map(LinkAttribute::Mtu);
        let queue_length = change.queue_length.map(LinkAttribute::TxQueueLen);
        message
            .attributes
            .extend([mac, bridge, mtu, queue_length, mode].into_iter().flatten());
        self.change(RouteNetlinkMessage::SetLink(message), 0, || {
            format!("change link {link} ({change})")
        })
    }

    /// The addresses of all links.
    ///
    /// # Errors
    /// If the kernel does not answer.
    pub fn addresses(&mut self) -> Result<Vec<LinkAddress>, NetlinkError> {
        let question = RouteNetlinkMessage::GetAddress(AddressMessage::default());
        let told = self.list(&question, "list the addresses")?;
        let address = |message| match message {
            RouteNetlinkMessage::NewAddress(message) => LinkAddress::read(&message),
            _ => None,
        };
        Ok(told.into_iter().filter_map(address).collect())
    }

    /// Gives a link an address.
    ///
    /// # Errors
    /// If it has it already, there is no such link, or this process may not.
    pub fn add_address(&mut self, address: LinkAddress) -> Result<(), NetlinkError> {
        let message = RouteNetlinkMessage::NewAddress(address.message());
        self.change(message, NLM_F_CREATE | NLM_F_EXCL, || format!("give {address}"))
    }

    /// Takes an address away from a link.
    ///
    /// # Errors
    /// If it does not have it, or this process may not.
    pub fn remove_address(&mut self, address: LinkAddress) -> Result<(), NetlinkError> {
        let message = RouteNetlinkMessage::DelAddress(address.message());
        self.change(message, 0, || format!("take away {address}"))
    }

    /// All routes of all tables, but for those that the kernel keeps for its own addresses.
    ///
    /// # Errors
    /// If the kernel does not answer.
    pub fn routes(&mut self) -> Result<Vec<Route>, NetlinkError> {
        let mut routes = vec![];
        for family in [AddressFamily::Inet, AddressFamily::Inet6] {
            let mut question = RouteMessage::default();
            question.header.address_family = family;
            let told = self.list(&RouteNetlinkMessage::GetRoute(question), "list the routes")?;
            let route = |message| match message {
                RouteNetlinkMessage::NewRoute(message) => Route::read(&message),
                _ => None,
            };
            routes.extend(told.into_iter().filter_map(route));
        }
        Ok(routes)
    }

    /// Adds a route.
    ///
    /// # Errors
    /// If there is one to the same destinations, its link is off, or this process may not.
    pub fn add_route(&mut self, route: Route) -> Result<(), NetlinkError> {
        let message = RouteNetlinkMessage::NewRoute(route.message());
        self.change(message, NLM_F_CREATE | NLM_F_EXCL, || format!("add {route}"))
    }

    /// Removes a route.
    ///
    /// # Errors
    /// If there is no such route, or this process may not.
    pub fn remove_route(&mut self, route: Route) -> Result<(), NetlinkError> {
        let message = RouteNetlinkMessage::DelRoute(route.message());
        self.change(message, 0, || format!("remove {route}"))
    }

    fn list(
        &mut self,
        question: &RouteNetlinkMessage,
        what: &str,
    ) -> Result<Vec<RouteNetlinkMessage>, NetlinkError> {
        self.dialogue
            .list(question)
            .map_err(|refused| failed(what, refused))
    }

    fn change(
        &mut self,
        message: RouteNetlinkMessage,
        flags: u16,
        what: impl FnOnce() -> String,
    ) -> Result<(), NetlinkError> {
        self.dialogue
            .change(message, flags)
            .map_err(|refused| failed(what(), refused))
    }
}

impl NetlinkError {
    /// The operating system's error, for who decides on it.
    pub fn error(&self) -> &io::Error {
        &self.error
    }
}

fn failed(what: impl Into<String>, refused: impl Into<Refused>) -> NetlinkError {
    let refused = refused.into();
    NetlinkError {
        what: what.into(),
        error: refused.error,
        words: refused.words,
    }
}

/// An error in the kernel's words where it has some, and in those of its number else.
struct Why<'a>(&'a io::Error, Option<&'a str>);

impl fmt::Display for Why<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0.raw_os_error(), self.1) {
            (Some(errno), Some(words)) => write!(f, "{} ({words})", UnreachableError(errno)),
            (Some(errno), None) => write!(f, "{}", UnreachableError(errno)),
            (None, _) => write!(f, "{}", self.0),
        }
    }
}

impl From<&LinkMessage> for Link {
    fn from(message: &LinkMessage) -> Link {
        let mut link = Link {
            id: LinkId(message.header.index),
            name: String::new(),
            up: message.header.flags.contains(LinkFlags::Up),
            running: message.header.flags.contains(LinkFlags::Running),
            mtu: 0,
            queue_length: 0,
            mac: None,
            hardware: false,
        };
        for attribute in &message.attributes {
            match attribute {
                LinkAttribute::IfName(name) => link.name.clone_from(name),
                LinkAttribute::Mtu(mtu) => link.mtu = *mtu,
                LinkAttribute::TxQueueLen(length) => link.queue_length = *length,
                LinkAttribute::ParentDevName(_) => link.hardware = true,
                LinkAttribute::Address(octets) => link.mac = octets.as_slice().try_into().ok(),
                _ => {}
            }
        }
        link
    }
}

impl LinkAddress {
    /// The directed broadcast address of its network, where there is one (RFC 919; RFC 3021 for the smallest).
    pub fn broadcast(&self) -> Option<Ipv4Addr> {
        match self.net {
            IpNet::V4(net) if net.prefix_len() < 31 => Some(net.broadcast()),
            _ => None,
        }
    }

    fn read(message: &AddressMessage) -> Option<LinkAddress> {
        // On a link between two ends, Address is the other end and Local is ours.
        let (mut local, mut address) = (None, None);
        for attribute in &message.attributes {
            match attribute {
                AddressAttribute::Local(ip) => local = Some(*ip),
                AddressAttribute::Address(ip) => address = Some(*ip),
                _ => {}
            }
        }
        Some(LinkAddress {
            link: LinkId(message.header.index),
            net: IpNet::new(local.or(address)?, message.header.prefix_len).ok()?,
        })
    }

    fn message(self) -> AddressMessage {
        let mut message = AddressMessage::default();
        message.header.family = family(self.net.addr());
        message.header.prefix_len = self.net.prefix_len();
        message.header.index = self.link.0;
        message.attributes = vec![
            AddressAttribute::Local(self.net.addr()),
            AddressAttribute::Address(self.net.addr()),
        ];
        message
    }
}

impl Route {
    /// The table that is looked at without a rule of one's own (RT_TABLE_MAIN).
    pub const MAIN: u32 = RouteHeader::RT_TABLE_MAIN as u32;

    /// A route in the main table.
    pub fn new(to: IpNet, by: Hop) -> Route {
        Route {
            to: to.trunc(),
            by,
            table: Route::MAIN,
        }
    }

    fn read(message: &RouteMessage) -> Option<Route> {
        let header = &message.header;
        let mut to = match header.address_family {
            AddressFamily::Inet => IpAddr::from([0; 4]),
            AddressFamily::Inet6 => IpAddr::from([0; 16]),
            _ => return None,
        };
        let (mut link, mut gateway, mut table) = (None, None, u32::from(header.table));
        for attribute in &message.attributes {
            match attribute {
                RouteAttribute::Destination(address) => to = plain(address)?,
                RouteAttribute::Gateway(address) => gateway = plain(address),
                RouteAttribute::Oif(index) => link = Some(LinkId(*index)),
                RouteAttribute::Table(number) => table = *number,
                _ => {}
            }
        }
        let by = match (header.kind, link, gateway) {
            (RouteType::Unicast, Some(link), Some(gateway)) => Hop::Gateway(gateway, link),
            (RouteType::Unicast, Some(link), None) => Hop::Link(link),
            (RouteType::BlackHole, ..) => Hop::Blackhole,
            (RouteType::Local | RouteType::Broadcast | RouteType::Anycast | RouteType::Multicast, ..) => {
                return None;
            }
            _ => Hop::Other,
        };
        Some(Route {
            to: IpNet::new(to, header.destination_prefix_length).ok()?,
            by,
            table,
        })
    }

    fn message(self) -> RouteMessage {
        let mut message = RouteMessage::default();
        let header = &mut message.header;
        header.address_family = family(self.to.addr());
        header.destination_prefix_length = self.to.prefix_len();
        header.protocol = RouteProtocol::Static;
        header.kind = RouteType::Unicast;
        header.scope = RouteScope::Universe;
        header.table = u8::try_from(self.table).unwrap_or(RouteHeader::RT_TABLE_UNSPEC);
        match self.by {
            Hop::Link(link) => {
                header.scope = RouteScope::Link;
                message.attributes.push(RouteAttribute::Oif(link.0));
            }
            Hop::Gateway(gateway, link) => {
                let gateway = RouteAttribute::Gateway(address(gateway));
                message.attributes.extend([RouteAttribute::Oif(link.0), gateway]);
            }
            Hop::Blackhole => header.kind = RouteType::BlackHole,
            Hop::Other => header.kind = RouteType::Unspec,
        }
        message
            .attributes
            .push(RouteAttribute::Destination(address(self.to.addr())));
        message.attributes.push(RouteAttribute::Table(self.table));
        message
    }
}

fn family(ip: IpAddr) -> AddressFamily {
    match ip {
        IpAddr::V4(_) => AddressFamily::Inet,
        IpAddr::V6(_) => AddressFamily::Inet6,
    }
}

fn address(ip: IpAddr) -> RouteAddress {
    match ip {
        IpAddr::V4(ip) => RouteAddress::Inet(ip),
        IpAddr::V6(ip) => RouteAddress::Inet6(ip),
    }
}

fn plain(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(ip) => Some((*ip).into()),
        RouteAddress::Inet6(ip) => Some((*ip).into()),
        _ => None,
    }
}

impl fmt::Display for LinkChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let on = |on| if on { "on" } else { "off" };
        let parts = [
            self.up.map(|up| on(up).to_owned()),
            self.mac
                .map(|mac| format!("address {}", mac.map(|octet| format!("{octet:02x}")).join(":"))),
            self.bridge.map(|bridge| format!("port of link {bridge}")),
            self.mtu.map(|mtu| format!("MTU {mtu}")),
            self.queue_length.map(|length| format!("queue length {length}")),
            self.link_local
                .map(|wanted| format!("IPv6 link-local address {}", on(wanted))),
        ];
        let parts: Vec<_> = parts.into_iter().flatten().collect();
        f.write_str(&parts.join(", "))
    }
}

impl fmt::Display for LinkAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "address {} of link {}", self.net, self.link)
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the route to {}", self.to)?;
        match self.by {
            Hop::Link(link) => write!(f, " by link {link}")?,
            Hop::Gateway(gateway, link) => write!(f, " via {gateway} by link {link}")?,
            Hop::Blackhole => f.write_str(" into nothing")?,
            Hop::Other => {}
        }
        if self.table != Route::MAIN {
            write!(f, " in table {}", self.table)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
