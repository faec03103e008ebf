//! The edge's device: a TAP with its address, and the addresses that the host has elsewhere.

use crate::cli::overlay::OffloadChoice;
use crate::config::Edge;
use anyhow::{Context, Result, bail};
use halloo_base::LinkId;
use halloo_io::route::{LinkAddress, LinkChange, Netlink, NetlinkError};
use halloo_io::{TapDevice, TapOptions};
use halloo_overlay::wire::Prefix;
use ipnet::IpNet;
use std::net::{IpAddr, SocketAddr};

/// Addresses that peers are told of, at most.
const MOST_CANDIDATES: usize = 8;

/// Makes the device, gives it its addresses and switches it on.
pub(super) fn open(config: &Edge, mac: [u8; 6]) -> Result<TapDevice> {
    let name = config.tap.clone().unwrap_or_else(|| "halloo%d".into());
    let options = TapOptions {
        name: name.clone(),
        mac: Some(mac),
        mtu: Some(config.payload().into()),
        offload: config.offload.0 == OffloadChoice::Auto,
        ..TapOptions::default()
    };
    let device = TapDevice::open(&options).with_context(|| format!("cannot make the device {name}"))?;
    furnish(config, device.link())?;
    Ok(device)
}

/// Makes a device a port of the bridge, if there is to be one, gives it its addresses and switches it on.
pub(super) fn furnish(config: &Edge, link: LinkId) -> Result<()> {
    let mut netlink = Netlink::open()?;
    let bridge = bridge(config, &mut netlink)?;
    let change = LinkChange {
        up: Some(true),
        bridge,
        ..LinkChange::default()
    };
    netlink.change_link(link, &change)?;
    for address in &config.addresses {
        if let crate::cli::MemberAddress::Fixed(net) = address.0 {
            give(link, net)?;
        }
    }
    Ok(())
}

/// The bridge that the device is to be a port of.
pub(super) fn bridge(config: &Edge, netlink: &mut Netlink) -> Result<Option<LinkId>> {
    let Some(name) = &config.bridge else {
        return Ok(None);
    };
    match netlink.link(name)? {
        Some(bridge) => Ok(Some(bridge.id)),
        None => bail!("--bridge {name}: there is no such device"),
    }
}

/// Gives the device an address.
pub(super) fn give(link: LinkId, net: IpNet) -> Result<()> {
    Ok(Netlink::open()?.add_address(LinkAddress { link, net })?)
}

/// Takes an address away from the device.
pub(super) fn take_away(link: LinkId, net: IpNet) -> Result<()> {
    Ok(Netlink::open()?.remove_address(LinkAddress { link, net })?)
}

/// Where peers might reach this host: its addresses on other links, with this port. Those of real cards come first, and
/// those of other overlays last.
pub(super) fn candidates(but: LinkId, port: u16) -> Vec<SocketAddr> {
    let told = Netlink::open().and_then(|mut netlink| {
        let rank = ranks(&mut netlink)?;
        let mut addresses = netlink.addresses()?;
        addresses.sort_by_key(|address| rank(address.link));
        Ok(addresses)
    });
    let usable = |address: &LinkAddress| {
        let local = match address.net.addr() {
            IpAddr::V4(ip) => ip.is_link_local(),
            IpAddr::V6(ip) => ip.is_unicast_link_local(),
        };
        address.link != but && !address.net.addr().is_loopback() && !local
    };
    told.unwrap_or_default()
        .into_iter()
        .filter(usable)
        .map(|address| SocketAddr::new(address.net.addr(), port))
        .take(MOST_CANDIDATES)
        .collect()
}

/// How far down on the list addresses of a link stand.
fn ranks(netlink: &mut Netlink) -> Result<impl Fn(LinkId) -> u8 + use<>, NetlinkError> {
    let links = netlink.links()?;
    let real: Vec<LinkId> = links
        .iter()
        .filter(|link| link.hardware)
        .map(|link| link.id)
        .collect();
    let tunnels: Vec<LinkId> = netlink.vxlans()?.iter().map(|device| device.link).collect();
    Ok(move |link| match () {
        () if real.contains(&link) => 0,
        () if tunnels.contains(&link) => 2,
        () => 1,
    })
}

/// The longest packet that the host's links carry: nothing longer can come through any of them.
pub(super) fn longest_packet(but: LinkId) -> u16 {
    let links = Netlink::open().and_then(|mut netlink| netlink.links());
    let mtu = links
        .unwrap_or_default()
        .into_iter()
        .filter(|link| link.id != but && link.up && link.name != "lo")
        .map(|link| link.mtu)
        .max();
    // What is longer than a datagram can be is a loopback's.
    u16::try_from(mtu.unwrap_or(1_500))
        .unwrap_or(u16::MAX)
        .clamp(1_280, 9_216)
}

/// The overlay's form of an address.
pub(super) fn prefix(net: IpNet) -> Prefix {
    Prefix {
        address: net.addr(),
        len: net.prefix_len(),
    }
}
