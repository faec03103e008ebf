//! What is listened on, for people and for programs.

use crate::json::{Head, Listener};
use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// One listener, for people.
#[derive(Clone, Debug)]
pub(super) struct Listening {
    pub(super) protocol: &'static str,
    pub(super) at: At,
}

/// Where a listener hears.
#[derive(Clone, Debug)]
pub(super) enum At {
    /// On a port.
    Port {
        address: SocketAddr,
        dual_stack: bool,
        inherited: bool,
    },
    /// On a device, everything that is for an address.
    Device {
        ip: IpAddr,
        device: String,
        mode: &'static str,
    },
    /// Under a name, by a forwarder or at a port.
    Name { prefix: String, way: String },
    /// In a driver.
    Driver {
        device: String,
        mode: String,
        serves: Vec<String>,
    },
}

/// How datagrams for an echo address come: routed to a TUN device, or in the frames of an Ethernet device.
pub(super) const TUN: &str = "tun";
pub(super) const FRAMES: &str = "frames";

impl Listening {
    /// The same for programs.
    pub(super) fn object(&self) -> Listener {
        let mut object = Listener {
            head: Head::new("listener"),
            protocol: self.protocol,
            address: None,
            device: None,
            mode: None,
            serves: vec![],
            dual_stack: false,
            inherited: false,
        };
        match &self.at {
            At::Port {
                address,
                dual_stack,
                inherited,
            } => {
                object.address = Some(address.to_string());
                (object.dual_stack, object.inherited) = (*dual_stack, *inherited);
            }
            At::Device { ip, device, mode } => {
                object.address = Some(ip.to_string());
                object.device = Some(device.clone());
                object.mode = Some((*mode).to_owned());
            }
            At::Name { prefix, way } => {
                object.address = Some(way.clone());
                object.serves = vec![prefix.clone()];
            }
            At::Driver { device, mode, serves } => {
                object.device = Some(device.clone());
                object.mode = Some(mode.clone());
                object.serves.clone_from(serves);
            }
        }
        object
    }
}

impl fmt::Display for Listening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (address, dual_stack, inherited) = match &self.at {
            At::Port {
                address,
                dual_stack,
                inherited,
            } => (address, *dual_stack, *inherited),
            At::Device { ip, device, mode } => {
                let kind = if *mode == TUN { "tun " } else { "" };
                return write!(f, "ip echo of {ip} on {kind}{device}");
            }
            At::Name { prefix, way } => return write!(f, "ndn pings under {prefix} at {way}"),
            At::Driver { device, mode, serves } => {
                return write!(f, "xdp on {device} ({mode}): {}", serves.join(", "));
            }
        };
        let echo = match self.protocol {
            "udp" | "tcp" => " echo",
            _ => "",
        };
        write!(f, "{}{echo} on {address}", self.protocol)?;
        match (dual_stack, inherited) {
            (_, true) => f.write_str(" (passed by the service manager)"),
            (true, _) => f.write_str(" (dual stack)"),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addr(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn a_listener_is_told_in_one_line() {
        let line = |protocol, at| Listening { protocol, at }.to_string();
        let port = At::Port {
            address: addr("[::]:7777"),
            dual_stack: true,
            inherited: false,
        };
        assert_eq!(line("udp", port), "udp echo on [::]:7777 (dual stack)");
        for (device, mode, text) in [
            ("halloo0", TUN, "ip echo of 192.0.2.7 on tun halloo0"),
            ("eth0", FRAMES, "ip echo of 192.0.2.7 on eth0"),
        ] {
            let ip = "192.0.2.7".parse().expect("an address");
            let device = device.to_owned();
            assert_eq!(line("ip", At::Device { ip, device, mode }), text);
        }
        let driver = At::Driver {
            device: "eth0".into(),
            mode: "generic".into(),
            serves: vec!["udp 7777".into(), "ip echo of 192.0.2.7".into()],
        };
        assert_eq!(
            line("xdp", driver),
            "xdp on eth0 (generic): udp 7777, ip echo of 192.0.2.7"
        );
    }
}
