//! Frames carried by the kernel: what a VXLAN device (RFC 7348) is to be told about the members of a community.
//!
//! The edge keeps sessions as always, and says where each member is ([`Member`]). What that means for the device's table
//! is decided here; whoever owns the device carries it out. So none of this needs a kernel to be tested.

#[cfg(test)]
mod tests;

use crate::wire::feature;
use crate::{Mac, PublicKey};
use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;

/// The UDP port that is usual: not VXLAN's own (4789), which other programs of a host, and some networks, have for
/// themselves.
pub const PORT: u16 = 7_656;

/// Octets that VXLAN adds to the payload of a frame: Ethernet's header, its own, and those of UDP and IPv4.
pub const OVERHEAD_V4: u16 = 14 + 8 + 8 + 20;
/// The same over IPv6.
pub const OVERHEAD_V6: u16 = 14 + 8 + 8 + 40;

/// A member, as the kernel is to reach it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Who.
    pub key: PublicKey,
    /// Its name, for people.
    pub name: String,
    /// Its end of the tunnel, or why there is none.
    pub vtep: Result<SocketAddr, Unreachable>,
    /// The longest IP packet that is known to reach it, once that is known.
    pub mtu: Option<u16>,
    /// The stations that are there.
    pub stations: Vec<Mac>,
}

/// Why the kernel cannot reach a member, with whom there is a session all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, thiserror::Error)]
pub enum Unreachable {
    /// It has not said where its end of the tunnel is.
    #[error("it has not said where its VXLAN device is")]
    Unknown,
    /// No way to it works now.
    #[error("it does not answer")]
    Silent,
    /// A relay stands between, which carries sessions only.
    #[error("reached by a relay only")]
    Relayed,
    /// It has not the address at which it is seen.
    #[error("behind NAT")]
    Nat,
    /// It is reached by the other family of addresses than the device's.
    #[error("reached by the other IP version only")]
    Family,
}

/// An entry of a VXLAN device's table: frames for this station go there.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Entry {
    /// The station; [`Entry::FLOOD`] stands for whoever has no entry of its own, and for groups.
    pub mac: Mac,
    /// The member's end of the tunnel.
    pub to: SocketAddr,
}

/// One step from the table that is to the one that is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Put it in. An entry of the same station goes with that; entries of [`Entry::FLOOD`] stand beside each other.
    Add(Entry),
    /// Take it out.
    Remove(Entry),
}

impl Entry {
    /// The address of entries for what goes to all.
    pub const FLOOD: Mac = Mac([0; 6]);
}

/// Whether two ends carry frames in different ways, and in which, in words; `responder` and `initiator` are their bits of
/// TLV 130.
pub(crate) fn differ(responder: u32, initiator: u32) -> Option<String> {
    let name = |features: u32| {
        if features & feature::VXLAN == 0 {
            "user"
        } else {
            "kernel (VXLAN)"
        }
    };
    ((responder ^ initiator) & feature::VXLAN != 0).then(|| {
        format!(
            "no common data plane: responder {}; initiator {}",
            name(responder),
            name(initiator)
        )
    })
}

/// The entries that a table is to have, in order: each member that can be reached gets what goes to all, and what is for
/// its stations. Of a station that two members have, the first has it.
pub fn wanted(members: &[Member]) -> Vec<Entry> {
    let mut ends: Vec<SocketAddr> = vec![];
    let mut stations: BTreeMap<Mac, SocketAddr> = BTreeMap::new();
    for member in members {
        let Ok(to) = member.vtep else { continue };
        ends.push(to);
        for &mac in member.stations.iter().filter(|mac| is_station(**mac)) {
            stations.entry(mac).or_insert(to);
        }
    }
    ends.sort_unstable();
    ends.dedup();
    let flood = ends.into_iter().map(|to| Entry {
        mac: Entry::FLOOD,
        to,
    });
    let single = stations.into_iter().map(|(mac, to)| Entry { mac, to });
    flood.chain(single).collect()
}

/// What makes `present` the same as `wanted`. What is new comes first, so that at no moment there is nothing for a station
/// that has an entry before and after.
pub fn changes(present: &[Entry], wanted: &[Entry]) -> Vec<Change> {
    let sorted = |entries: &[Entry]| {
        let mut entries = entries.to_vec();
        entries.sort_unstable();
        entries.dedup();
        entries
    };
    let (present, wanted) = (sorted(present), sorted(wanted));
    let has = |entries: &[Entry], entry: &Entry| entries.binary_search(entry).is_ok();
    let replaced = |old: &Entry| {
        let at = wanted.partition_point(|entry| entry.mac < old.mac);
        old.mac != Entry::FLOOD && wanted.get(at).is_some_and(|entry| entry.mac == old.mac)
    };
    let new = wanted.iter().filter(|entry| !has(&present, entry));
    let old = present
        .iter()
        .filter(|entry| !has(&wanted, entry) && !replaced(entry));
    new.map(|entry| Change::Add(*entry))
        .chain(old.map(|entry| Change::Remove(*entry)))
        .collect()
}

/// The longest payload that frames to all members may have: what the shortest path carries without what VXLAN adds, and no
/// more than `most`. `None` while nothing is known of any path.
pub fn payload(members: &[Member], ipv6: bool, most: u16) -> Option<u16> {
    let overhead = if ipv6 { OVERHEAD_V6 } else { OVERHEAD_V4 };
    let reached = members.iter().filter(|member| member.vtep.is_ok());
    let shortest = reached.filter_map(|member| member.mtu).min()?;
    Some(shortest.saturating_sub(overhead).min(most).max(LEAST.min(most)))
}

/// What every IPv4 host takes (RFC 791): a device for less would be of no use.
const LEAST: u16 = 576;

fn is_station(mac: Mac) -> bool {
    !mac.is_group() && mac != Entry::FLOOD
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}>{}", self.mac, self.to)
    }
}
