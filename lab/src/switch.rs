//! A switch: a host with a bridge that others are plugged into.

use crate::host::Host;
use crate::link::{End, Link, LinkPlan, lay};
use std::path::Path;
use std::sync::atomic::{AtomicU8, Ordering};

/// The bridge's device on the switch's host.
const BRIDGE: &str = "br0";

/// An Ethernet switch. All that is plugged into it shares one IPv4 and one IPv6 network.
#[derive(Debug)]
pub struct Switch {
    host: Host,
    subnet: u16,
    plugged: AtomicU8,
}

impl Switch {
    #[track_caller]
    pub(crate) fn new(host: Host, subnet: u16) -> Switch {
        // Without snooping and spanning tree a port forwards from its first moment.
        host.ip(&[
            "link",
            "add",
            BRIDGE,
            "type",
            "bridge",
            "stp_state",
            "0",
            "mcast_snooping",
            "0",
        ]);
        look_at_no_packets(&host);
        host.ip(&["link", "set", BRIDGE, "up"]);
        Switch {
            host,
            subnet,
            plugged: AtomicU8::new(0),
        }
    }

    /// Plugs a host in by a new link, whose side A is the host and whose side B is the port.
    ///
    /// # Panics
    /// When 100 hosts are plugged in already.
    #[track_caller]
    pub fn plug(&self, host: &Host) -> Link {
        let number = self.plugged.fetch_add(1, Ordering::Relaxed) + 1;
        assert!(number <= 100, "a switch has 100 ports");
        let end = End::plan(host, self.subnet, number);
        let port = End::plan(&self.host, self.subnet, 100 + number).without_addresses();
        lay(&end, &port, LinkPlan::default().mtu);
        self.host.ip(&["link", "set", port.device(), "master", BRIDGE]);
        Link::between(end, port, false)
    }

    /// The host that holds the bridge.
    pub fn host(&self) -> &Host {
        &self.host
    }
}

/// Some kernels show bridged frames to the firewall, and throw away what is no good packet before that. A switch does
/// not look.
#[track_caller]
fn look_at_no_packets(host: &Host) {
    for tables in ["arptables", "iptables", "ip6tables"] {
        let parameter = format!("net.bridge.bridge-nf-call-{tables}");
        let file = Path::new("/proc/sys").join(parameter.replace('.', "/"));
        if host.enter(|| file.exists()) {
            host.sysctl(&parameter, "0");
        }
    }
}
