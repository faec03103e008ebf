//! What this host is like, as far as it matters to echo addresses. Reading it needs no privilege and changes nothing.

use anyhow::{Context, Result};
use halloo_base::LinkId;
use halloo_io::route::{
    Link, LinkAddress, Netlink, ReversePath, Route, accepts_source_routes, forwards_ipv4, forwards_ipv6,
    reverse_path_filter,
};
use rustix::thread::CapabilitySet;
use std::net::IpAddr;
use std::path::Path;

/// The settings that a device gets when it is made.
pub(super) const DEFAULT: &str = "default";
/// Where the kernel hands out TUN devices.
const TUN: &str = "/dev/net/tun";

/// A host as it was found.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    pub(super) links: Vec<Link>,
    pub(super) addresses: Vec<LinkAddress>,
    pub(super) routes: Vec<Route>,
    /// Of each link, and of those to come ([`DEFAULT`]).
    pub(super) settings: Vec<Settings>,
    pub(super) forwards_v6: bool,
    pub(super) has_tun: bool,
    pub(super) may: Privileges,
}

/// How the kernel treats what arrives by a link over IPv4.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) link: String,
    pub(super) forwards: bool,
    pub(super) takes_source_routes: bool,
    pub(super) reverse_path: ReversePath,
}

/// What this process may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Privileges {
    /// CAP_NET_ADMIN: devices and routes.
    pub(super) net_admin: bool,
    /// CAP_NET_RAW: frames as they are.
    pub(super) net_raw: bool,
    /// CAP_BPF and CAP_PERFMON, or CAP_SYS_ADMIN where the kernel is older than 5.8.
    pub(super) bpf: bool,
}

impl Facts {
    /// Looks around.
    ///
    /// # Errors
    /// If the kernel does not tell.
    pub(super) fn read() -> Result<Facts> {
        let mut netlink = Netlink::open()?;
        let links = netlink.links()?;
        let names = links.iter().map(|link| link.name.as_str()).chain([DEFAULT]);
        let settings = names.map(Settings::read).collect::<Result<_>>()?;
        Ok(Facts {
            settings,
            links,
            addresses: netlink.addresses()?,
            routes: netlink.routes()?,
            forwards_v6: forwards_ipv6().context("cannot read whether IPv6 is forwarded")?,
            has_tun: Path::new(TUN).exists(),
            may: Privileges::read(),
        })
    }

    pub(super) fn link(&self, name: &str) -> Option<&Link> {
        self.links.iter().find(|link| link.name == name)
    }

    /// The name of a link, for people.
    pub(super) fn name(&self, id: LinkId) -> String {
        let found = self.links.iter().find(|link| link.id == id);
        found.map_or_else(|| id.to_string(), |link| link.name.clone())
    }

    pub(super) fn settings(&self, link: &str) -> Option<&Settings> {
        self.settings.iter().find(|settings| settings.link == link)
    }

    /// Whether what arrives by some link and is for `ip` is forwarded, and so are answers that come out of a new device.
    pub(super) fn forwards(&self, ip: IpAddr) -> bool {
        match ip {
            IpAddr::V4(_) => self.any_and_default(|settings| settings.forwards),
            IpAddr::V6(_) => self.forwards_v6,
        }
    }

    /// Whether this link in particular forwards what is for `ip`.
    pub(super) fn forwards_by(&self, link: &str, ip: IpAddr) -> bool {
        match ip {
            IpAddr::V4(_) => self.settings(link).is_some_and(|settings| settings.forwards),
            IpAddr::V6(_) => self.forwards_v6,
        }
    }

    /// Whether the kernel, though it does not forward, may tell senders to `ip` that there is no route: it does so for
    /// IPv6. A route that is there now may go, so the privilege to make sure of it is used where it is held.
    pub(super) fn may_complain_of(&self, ip: IpAddr) -> bool {
        let is_routed = || self.routes.iter().any(|route| route.to.contains(&ip));
        ip.is_ipv6() && (self.may.net_admin || !is_routed())
    }

    /// Whether IPv4 datagrams with a source route come through to a new device and back.
    pub(super) fn takes_source_routes(&self) -> bool {
        self.any_and_default(|settings| settings.takes_source_routes)
    }

    fn any_and_default(&self, holds: fn(&Settings) -> bool) -> bool {
        let real = |settings: &&Settings| settings.link != DEFAULT && settings.link != "lo";
        self.settings(DEFAULT).is_some_and(holds) && self.settings.iter().filter(real).any(holds)
    }

    /// An address of this host that others may reach it by.
    pub(super) fn own_address(&self, like: IpAddr) -> Option<IpAddr> {
        let global = |ip: &IpAddr| match ip {
            IpAddr::V4(ip) => !ip.is_loopback() && !ip.is_link_local(),
            IpAddr::V6(ip) => !ip.is_loopback() && !ip.is_unicast_link_local(),
        };
        let addresses = self.addresses.iter().map(|address| address.net.addr());
        addresses.filter(global).find(|ip| ip.is_ipv4() == like.is_ipv4())
    }
}

impl Settings {
    fn read(link: &str) -> Result<Settings> {
        let what = || format!("cannot read the settings of {link}");
        Ok(Settings {
            link: link.to_owned(),
            forwards: forwards_ipv4(link).with_context(what)?,
            takes_source_routes: accepts_source_routes(link).with_context(what)?,
            reverse_path: reverse_path_filter(link).with_context(what)?,
        })
    }
}

impl Privileges {
    /// What root may.
    pub(super) const ALL: Privileges = Privileges {
        net_admin: true,
        net_raw: true,
        bpf: true,
    };

    fn read() -> Privileges {
        let Ok(sets) = rustix::thread::capabilities(None) else {
            return Privileges::default();
        };
        let has = |capability| sets.effective.contains(capability);
        Privileges {
            net_admin: has(CapabilitySet::NET_ADMIN),
            net_raw: has(CapabilitySet::NET_RAW),
            bpf: has(CapabilitySet::BPF | CapabilitySet::PERFMON) || has(CapabilitySet::SYS_ADMIN),
        }
    }
}
