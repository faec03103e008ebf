//! What is asked for.

use super::facts::Facts;
use crate::cli::XdpDevice;
use crate::config::Config;
use std::net::IpAddr;

/// A device whose only use is that nobody reads it.
pub(super) const SINK: &str = "halloo-sink";

/// Echo addresses, by the way that their datagrams come.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    /// Routed to a TUN device of this name.
    pub(super) tun: Vec<IpAddr>,
    pub(super) device: String,
    pub(super) mtu: u32,
    pub(super) queues: u32,
    /// Answered for on Ethernet devices.
    pub(super) wires: Vec<Wire>,
    /// Devices whose driver is to answer.
    pub(super) drivers: Vec<XdpDevice>,
}

/// An Ethernet device and the addresses that are served on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wire {
    pub(super) device: String,
    pub(super) addresses: Vec<IpAddr>,
}

impl Plan {
    pub(super) fn of(config: &Config) -> Plan {
        let mut plan = Plan {
            tun: vec![],
            device: config.ip_echo.device.0.clone(),
            mtu: config.ip_echo.mtu,
            queues: config.ip_echo.queues,
            wires: vec![],
            drivers: config.xdp.devices.iter().map(|driver| driver.0.clone()).collect(),
        };
        for address in config.echo_addresses() {
            match address.device {
                None => plan.tun.push(address.ip),
                Some(device) => plan.wire(device).addresses.push(address.ip),
            }
        }
        plan
    }

    pub(super) fn is_empty(&self) -> bool {
        self.tun.is_empty() && self.wires.is_empty() && self.drivers.is_empty()
    }

    /// Every address, however it is reached.
    pub(super) fn addresses(&self) -> Vec<IpAddr> {
        let on_wires = self.wires.iter().flat_map(|wire| &wire.addresses);
        self.tun.iter().chain(on_wires).copied().collect()
    }

    /// Those addresses on Ethernet devices whose datagrams the kernel would not drop in silence.
    pub(super) fn to_keep_quiet(&self, facts: &Facts) -> Vec<IpAddr> {
        let noisy = |wire: &Wire| {
            let addresses = wire.addresses.iter().copied();
            addresses
                .filter(|&ip| facts.forwards_by(&wire.device, ip) || facts.may_complain_of(ip))
                .collect::<Vec<_>>()
        };
        self.wires.iter().flat_map(noisy).collect()
    }

    fn wire(&mut self, device: String) -> &mut Wire {
        let place = self.wires.iter().position(|wire| wire.device == device);
        let place = place.unwrap_or_else(|| {
            self.wires.push(Wire {
                device,
                addresses: vec![],
            });
            self.wires.len() - 1
        });
        &mut self.wires[place]
    }
}
