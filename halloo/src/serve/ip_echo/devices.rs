//! Devices, routes and sockets for echo addresses. All of it belongs to this process and goes with it, however it ends.

use super::facts::Facts;
use super::plan::{Plan, SINK, Wire};
use crate::hint::explain;
use anyhow::{Context, Result};
use halloo_io::route::{Hop, LinkChange, Netlink, Route};
use halloo_io::{PacketOptions, PacketSocket, TunDevice, TunOptions};
use nix::libc::{EACCES, EBUSY, EINVAL, ENOENT, EPERM};
use std::io;
use std::net::IpAddr;

/// Datagrams that may wait at a TUN device: a burst of some tens of milliseconds.
const QUEUE_LENGTH: u32 = 10_000;
/// Room for a tenth of a second of the fastest that one thread answers.
const RECEIVE_BUFFER: usize = 8 << 20;
/// What is never read needs no room, and is to fit whatever its length.
const SINK_QUEUE: u32 = 1;
const SINK_MTU: u32 = 65_535;

/// Everything that echo addresses are served by.
#[derive(Default)]
pub(crate) struct Devices {
    /// The queues of the TUN device.
    pub(in crate::serve) tun: Vec<TunDevice>,
    /// The addresses that are routed to it.
    tun_addresses: Vec<IpAddr>,
    /// Sockets on Ethernet devices, each with its addresses.
    pub(in crate::serve) wires: Vec<(PacketSocket, Vec<IpAddr>)>,
    /// Keeps the host from forwarding what is answered on a wire.
    _sink: Option<TunDevice>,
}

impl Devices {
    /// The TUN device's name and the addresses that are routed to it.
    pub(in crate::serve) fn tun(&self) -> Option<(&str, &[IpAddr])> {
        self.tun
            .first()
            .map(|device| (device.name(), &self.tun_addresses[..]))
    }

    /// Sets up what a plan asks for.
    ///
    /// # Errors
    /// The first thing that could not be had; nothing is left of the rest then.
    pub(super) fn open(plan: &Plan, facts: &Facts) -> Result<Devices> {
        let mut devices = Devices::default();
        if !plan.tun.is_empty() {
            let first = open_tun(plan, facts)?;
            // Addresses without a switched-on device have no routes.
            switch_on(&first, facts)?;
            route(&plan.tun, &first, facts)?;
            for _ in 1..plan.queues {
                let another = first.another_queue().context("cannot get one more queue")?;
                devices.tun.push(another);
            }
            devices.tun.insert(0, first);
            devices.tun_addresses.clone_from(&plan.tun);
        }
        let quiet = plan.to_keep_quiet(facts);
        if !quiet.is_empty() {
            let sink = open_sink().with_context(|| format!("cannot make the device {SINK}"))?;
            switch_on(&sink, facts)?;
            route(&quiet, &sink, facts)?;
            devices._sink = Some(sink);
        }
        for Wire { device, addresses } in &plan.wires {
            let socket = PacketSocket::open(&PacketOptions {
                device: device.clone(),
                addresses: addresses.clone(),
                receive_buffer: Some(RECEIVE_BUFFER),
            });
            let socket = socket
                .map_err(explain)
                .with_context(|| format!("cannot take frames on {device}"))?;
            devices.wires.push((socket, addresses.clone()));
        }
        Ok(devices)
    }
}

fn open_tun(plan: &Plan, facts: &Facts) -> Result<TunDevice> {
    let name = &plan.device;
    // Who prepared a device chose what it is like.
    let is_new = facts.link(name).is_none();
    let options = TunOptions {
        name: name.clone(),
        mtu: is_new.then_some(plan.mtu),
        queue_length: is_new.then_some(QUEUE_LENGTH),
        multi_queue: plan.queues > 1,
    };
    TunDevice::open(&options)
        .map_err(explain_tun)
        .with_context(|| format!("cannot make the TUN device {name}"))
}

fn open_sink() -> Result<TunDevice> {
    let options = TunOptions {
        name: SINK.into(),
        mtu: Some(SINK_MTU),
        queue_length: Some(SINK_QUEUE),
        multi_queue: false,
    };
    TunDevice::open(&options).map_err(explain_tun)
}

fn switch_on(device: &TunDevice, facts: &Facts) -> Result<()> {
    if facts.link(device.name()).is_some_and(|link| link.up) {
        return Ok(());
    }
    let up = LinkChange {
        up: Some(true),
        ..LinkChange::default()
    };
    Ok(Netlink::open()?.change_link(device.link(), &up)?)
}

fn route(addresses: &[IpAddr], device: &TunDevice, facts: &Facts) -> Result<()> {
    let mut netlink = Netlink::open()?;
    for &ip in addresses {
        let route = Route::new(ip.into(), Hop::Link(device.link()));
        // It may have been prepared with the device.
        if !facts.routes.contains(&route) {
            netlink.add_route(route)?;
        }
    }
    Ok(())
}

/// Why there is no TUN device, and what may help.
fn explain_tun(error: io::Error) -> anyhow::Error {
    let hint = match error.raw_os_error() {
        Some(EPERM) => "it needs root or CAP_NET_ADMIN",
        Some(EACCES) => "this user may not open /dev/net/tun",
        Some(EBUSY) => "another program uses it",
        Some(EINVAL) => "there is a device of that name that is none, or was made otherwise",
        Some(ENOENT) => "/dev/net/tun is missing; `modprobe tun` loads it",
        _ => return error.into(),
    };
    let text = error.to_string();
    let words = text.split(" (os error").next().unwrap_or(&text);
    anyhow::anyhow!("{words}; {hint}")
}
