//! What is carried to all when nobody is known to have asked for it.

use crate::Mac;

/// What kind of destination an address is (IEEE 802-2014 clause 8, 802.1Q table 8-1, RFC 1112, RFC 2464).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// One station.
    Unicast,
    /// All stations.
    Broadcast,
    /// 01:80:c2:00:00:00 to :0f, which no bridge forwards; with the last octet.
    LinkLocal(u8),
    /// A group of IPv4.
    Ipv4Group,
    /// A group of IPv6.
    Ipv6Group,
    /// 01:00:0c:cc:cc:cd: a spanning tree for each VLAN.
    VlanSpanningTree,
    /// Any other group.
    Group,
}

/// Which destinations are flooded: sent to every port that may have them. What is not flooded goes nowhere, unless it is for
/// a station whose port is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flood {
    /// Broadcast. Default: yes.
    pub broadcast: bool,
    /// Stations whose port is not known. Default: yes.
    pub unknown_unicast: bool,
    /// Groups of IPv4. Default: yes.
    pub ipv4_groups: bool,
    /// Groups of IPv6. Default: yes.
    pub ipv6_groups: bool,
    /// Other groups, PTP's and vendors' among them. Default: yes.
    pub groups: bool,
    /// A bit for each address 01:80:c2:00:00:00 (lowest bit) to :0f. Default: all but spanning trees (:00, :08) and pause
    /// (:01, which is never carried).
    pub link_local: u16,
    /// Spanning trees of VLANs at 01:00:0c:cc:cc:cd. Default: no.
    pub vlan_spanning_tree: bool,
}

/// The bridge group address and the provider bridge group address.
const SPANNING_TREES: u16 = 1 << 0x0 | 1 << 0x8;
/// MAC control: a pause for the link it was sent on, and no other.
const PAUSE: u16 = 1 << 0x1;

impl Class {
    /// The class of a destination.
    pub fn of(destination: Mac) -> Class {
        match destination.0 {
            [0xff, 0xff, 0xff, 0xff, 0xff, 0xff] => Class::Broadcast,
            [first, ..] if first & 1 == 0 => Class::Unicast,
            [0x01, 0x80, 0xc2, 0, 0, last @ 0..=0x0f] => Class::LinkLocal(last),
            [0x01, 0x00, 0x0c, 0xcc, 0xcc, 0xcd] => Class::VlanSpanningTree,
            [0x01, 0x00, 0x5e, 0..=0x7f, ..] => Class::Ipv4Group,
            [0x33, 0x33, ..] => Class::Ipv6Group,
            _ => Class::Group,
        }
    }
}

impl Flood {
    /// For an edge with a bridge behind it: spanning trees are carried too, or a loop around it would never be cut.
    pub fn bridging() -> Flood {
        let plain = Flood::default();
        Flood {
            link_local: plain.link_local | SPANNING_TREES,
            vlan_spanning_tree: true,
            ..plain
        }
    }

    /// Whether frames to destinations of this class are flooded.
    pub fn floods(&self, class: Class) -> bool {
        match class {
            Class::Unicast => self.unknown_unicast,
            Class::Broadcast => self.broadcast,
            Class::LinkLocal(last) => {
                let bit = 1u16.checked_shl(u32::from(last)).unwrap_or(0);
                self.link_local & !PAUSE & bit != 0
            }
            Class::VlanSpanningTree => self.vlan_spanning_tree,
            Class::Ipv4Group => self.ipv4_groups,
            Class::Ipv6Group => self.ipv6_groups,
            Class::Group => self.groups,
        }
    }
}

impl Default for Flood {
    fn default() -> Flood {
        Flood {
            broadcast: true,
            unknown_unicast: true,
            ipv4_groups: true,
            ipv6_groups: true,
            groups: true,
            link_local: !(SPANNING_TREES | PAUSE),
            vlan_spanning_tree: false,
        }
    }
}
