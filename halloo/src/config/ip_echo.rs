//! `[ip_echo]` and `[xdp]`: addresses whose datagrams are turned round, and devices whose driver answers.

use crate::cli::{self, EchoAddress, XdpDevice};
use halloo_protocols::ip_echo::IcmpPolicy;
use serde::de;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What the TUN device is called.
const DEVICE: &str = "halloo0";
/// What a link carries that is no tunnel.
const MTU: u32 = 1_500;
/// Threads for the TUN device: more than one reorders nothing within a flow, but each has limits of its own.
const QUEUES: u32 = 1;

/// `[ip_echo]`: which addresses are served, and how.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct IpEcho {
    pub(crate) addresses: Vec<Echo>,
    pub(crate) icmp: Icmp,
    pub(crate) device: Device,
    pub(crate) mtu: u32,
    pub(crate) queues: u32,
}

/// `[xdp]`: whose driver answers.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Xdp {
    pub(crate) devices: Vec<Driver>,
}

/// An echo address, written `"192.0.2.7"` or `"192.0.2.7@eth0"`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Echo(pub(crate) EchoAddress);

/// A device whose driver answers, written `"eth0"` or `"eth0,native"`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Driver(pub(crate) XdpDevice);

/// The name of a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Device(pub(crate) String);

/// What happens to ICMP: `"discard"` or `"safe"`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Icmp {
    #[default]
    Discard,
    Safe,
}

impl IpEcho {
    /// The first thing that makes no sense, with its key.
    pub(super) fn check(&self) -> Result<(), (&'static str, String)> {
        for (index, Echo(one)) in self.addresses.iter().enumerate() {
            if self.addresses[..index]
                .iter()
                .any(|Echo(other)| other.ip == one.ip)
            {
                return Err(("ip_echo.addresses", format!("{} is listed twice", one.ip)));
            }
        }
        let ranges = [
            // IPv6 needs 1,280 (RFC 8200 section 5); a length has 16 bits.
            ("ip_echo.mtu", self.mtu, 1_280, 65_535),
            ("ip_echo.queues", self.queues, 1, 64),
        ];
        for (key, value, min, max) in ranges {
            if !(min..=max).contains(&value) {
                return Err((key, format!("is {value}, but must be {min} to {max}")));
            }
        }
        Ok(())
    }
}

impl Xdp {
    /// As [`IpEcho::check`].
    pub(super) fn check(&self) -> Result<(), (&'static str, String)> {
        for (index, Driver(one)) in self.devices.iter().enumerate() {
            let is_same = |Driver(other): &Driver| other.device == one.device;
            if self.devices[..index].iter().any(is_same) {
                return Err(("xdp.devices", format!("{} is listed twice", one.device)));
            }
        }
        Ok(())
    }
}

impl Icmp {
    /// The same as the echo host knows it.
    pub(crate) fn policy(self) -> IcmpPolicy {
        match self {
            Icmp::Discard => IcmpPolicy::Discard,
            Icmp::Safe => IcmpPolicy::Safe,
        }
    }
}

impl Default for IpEcho {
    fn default() -> IpEcho {
        IpEcho {
            addresses: vec![],
            icmp: Icmp::Discard,
            device: Device(DEVICE.into()),
            mtu: MTU,
            queues: QUEUES,
        }
    }
}

/// Reads text that the command line understands too.
fn read<'de, D: Deserializer<'de>, T>(from: D, parse: fn(&str) -> Result<T, String>) -> Result<T, D::Error> {
    let text = String::deserialize(from)?;
    parse(&text).map_err(|why| {
        // Most reasons quote it by themselves.
        let quoted = format!("`{text}`");
        de::Error::custom(match why.starts_with(&quoted) {
            true => why,
            false => format!("{quoted}: {why}"),
        })
    })
}

impl<'de> Deserialize<'de> for Echo {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Echo, D::Error> {
        read(from, cli::echo_address).map(Echo)
    }
}

impl Serialize for Echo {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Driver {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Driver, D::Error> {
        read(from, cli::xdp_device).map(Driver)
    }
}

impl Serialize for Driver {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Device {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Device, D::Error> {
        read(from, cli::device_name).map(Device)
    }
}

impl Serialize for Device {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&self.0)
    }
}
