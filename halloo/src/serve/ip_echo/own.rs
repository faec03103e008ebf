//! Echo addresses for this process and nobody else: a TUN device with an address to ask from, for as long as they are
//! wanted.

use super::devices::Devices;
use super::facts::Facts;
use super::plan::Plan;
use super::survey::Survey;
use anyhow::{Context, Result, bail, ensure};
use halloo_io::route::{LinkAddress, Netlink};
use ipnet::IpNet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The device's name.
const DEVICE: &str = "halloo-demo";
const MTU: u32 = 1_500;

/// Who asks, and whom, in networks that are for documentation (RFC 5737, RFC 3849): nothing public has their addresses.
const NETWORKS: [(IpAddr, IpAddr); 4] = [
    v4([203, 0, 113]),
    v4([198, 51, 100]),
    v4([192, 0, 2]),
    (
        IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0x2075, 0, 0, 0, 0, 1)),
        IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0x2075, 0, 0, 0, 0, 2)),
    ),
];

const fn v4([a, b, c]: [u8; 3]) -> (IpAddr, IpAddr) {
    (
        IpAddr::V4(Ipv4Addr::new(a, b, c, 222)),
        IpAddr::V4(Ipv4Addr::new(a, b, c, 223)),
    )
}

/// Makes the device and returns it with its echo addresses: IPv4's, and IPv6's where this host has IPv6.
///
/// # Errors
/// Why this host can have none, in a line.
pub(crate) fn open() -> Result<(Devices, Vec<IpAddr>)> {
    let facts = Facts::read()?;
    ensure!(
        facts.may.net_admin && facts.may.net_raw,
        "a TUN device and raw sockets need root, or CAP_NET_ADMIN and CAP_NET_RAW"
    );
    let mut free: Vec<_> = NETWORKS
        .into_iter()
        .filter(|ends| is_free(&facts, ends))
        .collect();
    // One of each family, IPv4 first.
    free.dedup_by_key(|(own, _)| own.is_ipv4());
    ensure!(!free.is_empty(), "the networks for documentation are in use here");
    let mut plan = Plan {
        tun: free.iter().map(|(_, echo)| *echo).collect(),
        device: DEVICE.into(),
        mtu: MTU,
        queues: 1,
        wires: vec![],
        drivers: vec![],
    };
    let mut devices = attempt(&plan, &facts);
    if devices.is_err() && plan.tun.len() > 1 {
        // A kernel without IPv6 refuses its routes.
        plan.tun.truncate(1);
        devices = attempt(&plan, &facts);
    }
    furnish(devices?, &free, &plan.tun)
}

/// Whether nothing here has to do with these addresses, but for a route that is for everything.
fn is_free(facts: &Facts, ends: &(IpAddr, IpAddr)) -> bool {
    let touched = |net: &IpNet| net.prefix_len() > 0 && (net.contains(&ends.0) || net.contains(&ends.1));
    let of_links = facts.addresses.iter().map(|address| address.net);
    !of_links
        .chain(facts.routes.iter().map(|route| route.to))
        .any(|net| touched(&net))
}

fn attempt(plan: &Plan, facts: &Facts) -> Result<Devices> {
    ensure!(
        facts.link(DEVICE).is_none(),
        "there is a device {DEVICE} already: another demo is running"
    );
    match Survey::of(plan, facts).refusals.first() {
        Some((_, why)) => bail!("{why}"),
        None => Devices::open(plan, facts),
    }
}

/// Gives the device the addresses that are asked from.
fn furnish(devices: Devices, ends: &[(IpAddr, IpAddr)], echo: &[IpAddr]) -> Result<(Devices, Vec<IpAddr>)> {
    let device = devices.tun.first().context("there is no device")?;
    let mut netlink = Netlink::open()?;
    let mut answering = vec![];
    for &(own, echo) in ends.iter().filter(|(_, address)| echo.contains(address)) {
        let given = netlink.add_address(LinkAddress {
            link: device.link(),
            net: own.into(),
        });
        match given {
            Ok(()) => answering.push(echo),
            // Where IPv6 is switched off there is a route and no address.
            Err(_) if own.is_ipv6() => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok((devices, answering))
}
