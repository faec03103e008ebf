//! VXLAN devices (RFC 7348): made, found and taken away, and where they send what (bridge(8), `fdb`).

use super::{Netlink, NetlinkError};
use halloo_base::LinkId;
use netlink_packet_core::{NLM_F_APPEND, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE};
use netlink_packet_route::link::{InfoData, InfoKind, InfoVxlan, LinkAttribute, LinkInfo, LinkMessage};
use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourFlags, NeighbourMessage, NeighbourState,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// A VXLAN device that is to be made. It learns nothing by itself: it sends where it is told to ([`Forwarding`]).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VxlanOptions {
    /// Its name.
    pub name: String,
    /// The number of its network: 24 bits.
    pub vni: u32,
    /// The UDP port that it listens on, at every address of the host, and sends to unless told otherwise.
    pub port: u16,
    /// Whether it sends by IPv6; it cannot do both.
    pub ipv6: bool,
    /// Its Ethernet address.
    pub mac: [u8; 6],
    /// The longest packet that it carries, in bytes.
    pub mtu: u32,
    /// Words for people and programs that look at it later (IFLA_IFALIAS); at most 255 bytes.
    pub alias: String,
}

/// A VXLAN device that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vxlan {
    /// Its index.
    pub link: LinkId,
    /// Its name.
    pub name: String,
    /// The number of its network.
    pub vni: u32,
    /// Its UDP port.
    pub port: u16,
    /// The words that it was given.
    pub alias: String,
}

/// Where a VXLAN device sends frames for an Ethernet address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Forwarding {
    /// The frames' destination. [`Forwarding::FLOOD`] stands for broadcast, multicast, and whoever has no entry.
    pub mac: [u8; 6],
    /// The other end.
    pub to: SocketAddr,
}

impl Forwarding {
    /// The address of entries for what goes to all; there may be many of them. Of any other address there is one.
    pub const FLOOD: [u8; 6] = [0; 6];

    fn message(self, link: LinkId) -> NeighbourMessage {
        let mut message = NeighbourMessage::default();
        message.header.family = AddressFamily::Bridge;
        message.header.ifindex = link.0;
        message.header.state = NeighbourState::Permanent;
        message.header.flags = NeighbourFlags::Own;
        message.attributes = vec![
            NeighbourAttribute::LinkLayerAddress(self.mac.to_vec()),
            NeighbourAttribute::Destination(self.to.ip().into()),
            NeighbourAttribute::Port(self.to.port()),
        ];
        message
    }

    /// `port` is the device's own, of which the kernel does not speak.
    fn read(message: &NeighbourMessage, port: u16) -> Option<Forwarding> {
        let (mut mac, mut ip, mut port) = (None, None, port);
        for attribute in &message.attributes {
            match attribute {
                NeighbourAttribute::LinkLayerAddress(octets) => mac = octets.as_slice().try_into().ok(),
                NeighbourAttribute::Destination(address) => ip = plain(address),
                NeighbourAttribute::Port(other) => port = *other,
                _ => {}
            }
        }
        Some(Forwarding {
            mac: mac?,
            to: SocketAddr::new(ip?, port),
        })
    }
}

impl Netlink {
    /// Makes a VXLAN device, switched off.
    ///
    /// # Errors
    /// If the name, or the number at this port, is taken, the port is somebody else's, the kernel has no VXLAN, or this
    /// process may not.
    pub fn add_vxlan(&mut self, options: &VxlanOptions) -> Result<LinkId, NetlinkError> {
        let mut message = LinkMessage::default();
        let mut data = vec![
            InfoVxlan::Id(options.vni),
            InfoVxlan::Port(options.port),
            InfoVxlan::Learning(false),
        ];
        if options.ipv6 {
            // The family of its own address is that of the device; any address, so that routing chooses.
            data.push(InfoVxlan::Local6(Ipv6Addr::UNSPECIFIED));
        }
        message.attributes = vec![
            LinkAttribute::IfName(options.name.clone()),
            LinkAttribute::Mtu(options.mtu),
            LinkAttribute::Address(options.mac.to_vec()),
            LinkAttribute::LinkInfo(vec![
                LinkInfo::Kind(InfoKind::Vxlan),
                LinkInfo::Data(InfoData::Vxlan(data)),
            ]),
        ];
        let request = RouteNetlinkMessage::NewLink(message);
        self.change(request, NLM_F_CREATE | NLM_F_EXCL, || {
            format!("make the VXLAN device {options}")
        })?;
        let made = self.vxlans()?.into_iter().find(|made| made.name == options.name);
        let link = made.map_or(LinkId(0), |made| made.link);
        // The kernel takes the words only for a device that is there.
        let mut message = LinkMessage::default();
        message.header.index = link.0;
        message.attributes = vec![LinkAttribute::IfAlias(options.alias.clone())];
        let named = self.change(RouteNetlinkMessage::SetLink(message), 0, || {
            format!("say what {} is for", options.name)
        });
        if let Err(error) = named {
            // Nobody would know it again.
            let _ = self.remove_link(link);
            return Err(error);
        }
        Ok(link)
    }

    /// All VXLAN devices that have a number of their own.
    ///
    /// # Errors
    /// As [`Netlink::links`].
    pub fn vxlans(&mut self) -> Result<Vec<Vxlan>, NetlinkError> {
        let question = RouteNetlinkMessage::GetLink(LinkMessage::default());
        let told = self.list(&question, "list the links")?;
        let vxlan = |message| match message {
            RouteNetlinkMessage::NewLink(message) => Vxlan::read(&message),
            _ => None,
        };
        Ok(told.into_iter().filter_map(vxlan).collect())
    }

    /// Takes a link away.
    ///
    /// # Errors
    /// If it is not there, is none that a program has made, or this process may not.
    pub fn remove_link(&mut self, link: LinkId) -> Result<(), NetlinkError> {
        let mut message = LinkMessage::default();
        message.header.index = link.0;
        self.change(RouteNetlinkMessage::DelLink(message), 0, || {
            format!("take away link {link}")
        })
    }

    /// Where a VXLAN device sends what.
    ///
    /// # Errors
    /// If the kernel does not answer.
    pub fn forwardings(&mut self, device: &Vxlan) -> Result<Vec<Forwarding>, NetlinkError> {
        let read = |message: &NeighbourMessage| Forwarding::read(message, device.port);
        let told = self.bridge_entries()?;
        let own = told
            .iter()
            .filter(|message| message.header.ifindex == device.link.0);
        Ok(own.filter_map(read).collect())
    }

    /// Has a VXLAN device send there. What it sent elsewhere until now goes there without a gap, but for
    /// [`Forwarding::FLOOD`], which goes there too.
    ///
    /// # Errors
    /// If the address is of the other family, there is such an entry of [`Forwarding::FLOOD`], or this process may not.
    pub fn add_forwarding(&mut self, link: LinkId, entry: Forwarding) -> Result<(), NetlinkError> {
        let flags = match entry.mac {
            Forwarding::FLOOD => NLM_F_CREATE | NLM_F_APPEND,
            _ => NLM_F_CREATE | NLM_F_REPLACE,
        };
        let request = RouteNetlinkMessage::NewNeighbour(entry.message(link));
        self.change(request, flags, || format!("have link {link} send {entry}"))
    }

    /// Has a VXLAN device send there no more.
    ///
    /// # Errors
    /// If it sent nothing to this Ethernet address, or this process may not. What goes elsewhere as well is no error.
    pub fn remove_forwarding(&mut self, link: LinkId, entry: Forwarding) -> Result<(), NetlinkError> {
        let request = RouteNetlinkMessage::DelNeighbour(entry.message(link));
        self.change(request, 0, || format!("have link {link} no longer send {entry}"))
    }

    /// The stations that a bridge has heard on its ports, and the bridge's and its ports' own addresses, but for those on
    /// one port. An address that it knows in several VLANs is there once.
    ///
    /// # Errors
    /// If the kernel does not answer.
    pub fn stations(&mut self, bridge: LinkId, but: LinkId) -> Result<Vec<[u8; 6]>, NetlinkError> {
        let told = self.bridge_entries()?;
        let mut stations: Vec<[u8; 6]> = told
            .iter()
            .filter(|message| message.header.ifindex != but.0)
            .filter(|message| message.header.ifindex == bridge.0 || controller(message) == Some(bridge))
            .filter_map(mac)
            // Groups that a card listens to are in the list, too.
            .filter(|mac| mac[0] & 1 == 0 && *mac != Forwarding::FLOOD)
            .collect();
        stations.sort_unstable();
        stations.dedup();
        Ok(stations)
    }

    fn bridge_entries(&mut self) -> Result<Vec<NeighbourMessage>, NetlinkError> {
        let mut question = NeighbourMessage::default();
        question.header.family = AddressFamily::Bridge;
        let told = self.list(
            &RouteNetlinkMessage::GetNeighbour(question),
            "list who is behind which link",
        )?;
        let entry = |message| match message {
            RouteNetlinkMessage::NewNeighbour(message) => Some(message),
            _ => None,
        };
        Ok(told.into_iter().filter_map(entry).collect())
    }
}

impl Vxlan {
    fn read(message: &LinkMessage) -> Option<Vxlan> {
        let (mut name, mut alias, mut vni, mut port) = (None, String::new(), None, None);
        for attribute in &message.attributes {
            match attribute {
                LinkAttribute::IfName(text) => name = Some(text.clone()),
                LinkAttribute::IfAlias(text) => alias.clone_from(text),
                LinkAttribute::LinkInfo(infos) => {
                    for info in infos {
                        let LinkInfo::Data(InfoData::Vxlan(data)) = info else {
                            continue;
                        };
                        for item in data {
                            match item {
                                InfoVxlan::Id(number) => vni = Some(*number),
                                InfoVxlan::Port(number) => port = Some(*number),
                                _ => {}
                            }
                        }
                    }
                }
                _ => {}
            }
        }
        Some(Vxlan {
            link: LinkId(message.header.index),
            name: name?,
            vni: vni?,
            port: port?,
            alias,
        })
    }
}

fn mac(message: &NeighbourMessage) -> Option<[u8; 6]> {
    message.attributes.iter().find_map(|attribute| match attribute {
        NeighbourAttribute::LinkLayerAddress(octets) => octets.as_slice().try_into().ok(),
        _ => None,
    })
}

fn controller(message: &NeighbourMessage) -> Option<LinkId> {
    message.attributes.iter().find_map(|attribute| match attribute {
        NeighbourAttribute::Controller(index) => Some(LinkId(*index)),
        _ => None,
    })
}

/// In a list of bridges' entries the family is that of the entry, not of the address.
fn plain(address: &NeighbourAddress) -> Option<IpAddr> {
    match address {
        NeighbourAddress::Inet(ip) => Some((*ip).into()),
        NeighbourAddress::Inet6(ip) => Some((*ip).into()),
        NeighbourAddress::Other(octets) => {
            let v4 = <[u8; 4]>::try_from(octets.as_slice()).map(IpAddr::from);
            v4.or_else(|_| <[u8; 16]>::try_from(octets.as_slice()).map(IpAddr::from))
                .ok()
        }
        _ => None,
    }
}

impl fmt::Display for VxlanOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (VNI {}, UDP port {})", self.name, self.vni, self.port)
    }
}

impl fmt::Display for Forwarding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.mac {
            Forwarding::FLOOD => f.write_str("what is for all")?,
            mac => f.write_str(&mac.map(|octet| format!("{octet:02x}")).join(":"))?,
        }
        write!(f, " to {}", self.to)
    }
}
