//! A cable between two hosts.

use crate::capture::Capture;
use crate::host::Host;
use crate::lab::ip;
use crate::netlink::wait_until_running;
use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// One of a link's two ends, in the order in which the hosts were named.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// The first host's end.
    A,
    /// The second host's end.
    B,
}

/// Which way a frame goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From the first host to the second.
    AToB,
    /// From the second host to the first.
    BToA,
}

/// What a network card may do for the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Offload {
    /// Merging received segments (`gro`).
    Gro,
    /// Splitting late on sending, any protocol (`gso`).
    Gso,
    /// Splitting TCP in the card (`tso`).
    Tso,
    /// Computing checksums (`tx`); without it there is no `tso` either.
    Checksum,
}

/// The choices that a link has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkPlan {
    /// The longest IP packet in bytes.
    pub mtu: u32,
    /// Whether both ends know each other's MAC address from the start, so that no ARP or neighbour discovery is
    /// among the packets and no first packet waits for it.
    pub known_neighbours: bool,
}

/// One end of a link: a device on a host, with its addresses.
#[derive(Clone, Debug)]
pub struct End {
    host: Host,
    device: String,
    mac: String,
    addresses: Option<(Ipv4Addr, Ipv6Addr)>,
}

/// Two ends joined by a cable. Dropping it leaves the cable in place; the lab removes it.
#[derive(Debug)]
pub struct Link {
    a: End,
    b: End,
    known_neighbours: bool,
}

impl Direction {
    /// The side that frames of this direction leave from.
    pub fn sender(self) -> Side {
        match self {
            Direction::AToB => Side::A,
            Direction::BToA => Side::B,
        }
    }

    /// The side that frames of this direction arrive at.
    pub fn receiver(self) -> Side {
        self.sender().other()
    }
}

impl Side {
    /// The opposite side.
    pub fn other(self) -> Side {
        match self {
            Side::A => Side::B,
            Side::B => Side::A,
        }
    }
}

impl Offload {
    fn name(self) -> &'static str {
        match self {
            Offload::Gro => "gro",
            Offload::Gso => "gso",
            Offload::Tso => "tso",
            Offload::Checksum => "tx",
        }
    }
}

impl Default for LinkPlan {
    /// Ethernet's 1,500 bytes, and known neighbours.
    fn default() -> LinkPlan {
        LinkPlan {
            mtu: 1500,
            known_neighbours: true,
        }
    }
}

impl End {
    /// A device that does not exist yet; `number` is the last part of its addresses and of its MAC address.
    pub(crate) fn plan(host: &Host, subnet: u16, number: u8) -> End {
        let [high, low] = subnet.to_be_bytes();
        End {
            host: host.clone(),
            device: host.next_device(),
            mac: format!("02:00:{high:02x}:{low:02x}:00:{number:02x}"),
            addresses: Some((
                Ipv4Addr::new(10, high, low, number),
                Ipv6Addr::new(0xfd00, 0, 0, subnet, 0, 0, 0, number.into()),
            )),
        }
    }

    /// The same, as a part of a box that has no addresses.
    pub(crate) fn without_addresses(self) -> End {
        End {
            addresses: None,
            ..self
        }
    }

    /// The host that this end is plugged into.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// The device's name on that host.
    pub fn device(&self) -> &str {
        &self.device
    }

    /// Its IPv4 address, in a network of 24 bits.
    ///
    /// # Panics
    /// When it has none: a switch's port.
    #[track_caller]
    pub fn v4(&self) -> Ipv4Addr {
        self.addresses().0
    }

    /// Its IPv6 address, in a network of 64 bits.
    ///
    /// # Panics
    /// When it has none: a switch's port.
    #[track_caller]
    pub fn v6(&self) -> Ipv6Addr {
        self.addresses().1
    }

    #[track_caller]
    fn addresses(&self) -> (Ipv4Addr, Ipv6Addr) {
        self.addresses
            .unwrap_or_else(|| panic!("{} of {} has no address", self.device, self.host.name()))
    }

    /// The commands that give it its addresses and bring it up, in any state that it may be in.
    fn bring_up(&self) -> String {
        let End {
            device, addresses, ..
        } = self;
        let mut batch = format!("link set {device} up\n");
        if let Some((v4, v6)) = addresses {
            // Writing to a string cannot fail.
            let _ = writeln!(batch, "addr replace {v4}/24 dev {device}");
            let _ = writeln!(batch, "addr replace {v6}/64 dev {device} nodad");
        }
        batch
    }

    /// The commands that make it know its neighbour.
    fn know(&self, neighbour: &End) -> String {
        let (v4, v6) = neighbour.addresses();
        let rest = format!("lladdr {} nud permanent dev {}", neighbour.mac, self.device);
        format!("neigh replace {v4} {rest}\nneigh replace {v6} {rest}\n")
    }
}

/// Lays a cable between two planned ends and waits until both run.
#[track_caller]
pub(crate) fn lay(a: &End, b: &End, mtu: u32) {
    let mtu = mtu.to_string();
    ip(&[
        "-n",
        a.host.namespace(),
        "link",
        "add",
        &a.device,
        "address",
        &a.mac,
        "mtu",
        &mtu,
        "type",
        "veth",
        "peer",
        "name",
        &b.device,
        "address",
        &b.mac,
        "mtu",
        &mtu,
        "netns",
        b.host.namespace(),
    ]);
    a.host.ip_batch(&a.bring_up());
    b.host.ip_batch(&b.bring_up());
    wait_until_running(&a.host, &a.device);
    wait_until_running(&b.host, &b.device);
}

impl Link {
    #[track_caller]
    pub(crate) fn direct(a: &Host, b: &Host, subnet: u16, plan: &LinkPlan) -> Link {
        let (a, b) = (End::plan(a, subnet, 1), End::plan(b, subnet, 2));
        lay(&a, &b, plan.mtu);
        Link::between(a, b, plan.known_neighbours)
    }

    /// A link of two ends that are joined already, by whatever is between them.
    #[track_caller]
    pub(crate) fn between(a: End, b: End, known_neighbours: bool) -> Link {
        let link = Link {
            a,
            b,
            known_neighbours,
        };
        link.introduce();
        link
    }

    /// The first host's end.
    pub fn a(&self) -> &End {
        &self.a
    }

    /// The second host's end.
    pub fn b(&self) -> &End {
        &self.b
    }

    /// The end on a side.
    pub fn end(&self, side: Side) -> &End {
        match side {
            Side::A => &self.a,
            Side::B => &self.b,
        }
    }

    /// Takes one end's device down. Its routes go, its IPv6 addresses too, and the other end loses its carrier
    /// (unless a switch or an impairer is between them).
    #[track_caller]
    pub fn down(&self, side: Side) {
        let end = self.end(side);
        end.host.ip(&["link", "set", &end.device, "down"]);
    }

    /// Takes one end's device up again with its addresses, and returns when both run. Routes through it that the
    /// test had set are to be set again, as on a real host.
    #[track_caller]
    pub fn up(&self, side: Side) {
        let end = self.end(side);
        end.host.ip_batch(&end.bring_up());
        wait_until_running(&self.a.host, &self.a.device);
        wait_until_running(&self.b.host, &self.b.device);
        self.introduce();
    }

    /// Pulls the cable out for good: both devices are gone.
    #[track_caller]
    pub fn remove(self) {
        self.a.host.ip(&["link", "delete", &self.a.device]);
    }

    /// Gives one end another address instead of the one that it has of that IP version.
    #[track_caller]
    pub fn set_address(&mut self, side: Side, address: IpAddr) {
        let end = match side {
            Side::A => &mut self.a,
            Side::B => &mut self.b,
        };
        let (old, bits, options): (IpAddr, u8, &str) = match address {
            IpAddr::V4(_) => (end.v4().into(), 24, ""),
            IpAddr::V6(_) => (end.v6().into(), 64, "nodad"),
        };
        let device = &end.device;
        end.host.ip_batch(&format!(
            "addr add {address}/{bits} dev {device} {options}\naddr del {old}/{bits} dev {device}\n"
        ));
        let (v4, v6) = end.addresses();
        end.addresses = Some(match address {
            IpAddr::V4(v4) => (v4, v6),
            IpAddr::V6(v6) => (v4, v6),
        });
        self.introduce();
    }

    /// Switches an offload of one end's device on or off.
    #[track_caller]
    pub fn offload(&self, side: Side, offload: Offload, on: bool) {
        let end = self.end(side);
        let state = if on { "on" } else { "off" };
        end.host
            .must("ethtool", ["-K", &end.device, offload.name(), state]);
    }

    /// Starts a capture at one end.
    #[track_caller]
    pub fn capture(&self, side: Side) -> Capture {
        let end = self.end(side);
        Capture::start(&end.host, &end.device)
    }

    fn introduce(&self) {
        if self.known_neighbours {
            self.a.host.ip_batch(&self.a.know(&self.b));
            self.b.host.ip_batch(&self.b.know(&self.a));
        }
    }
}
