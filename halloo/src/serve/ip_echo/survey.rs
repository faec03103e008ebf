//! What it takes to serve echo addresses on this host: what is to be done, what is missing, and what stands against it.

use super::facts::{DEFAULT, Facts};
use super::plan::{Plan, SINK, Wire};
use crate::cli::XdpDevice;
use halloo_io::route::{Hop, ReversePath, Route};
use std::fmt::Write as _;
use std::net::IpAddr;

/// All that is to be said about a plan on a host.
#[derive(Debug, Default)]
pub(in crate::serve) struct Survey {
    /// What would be set up, in this order.
    pub(in crate::serve) steps: Vec<Line>,
    /// What this host has as it should be.
    pub(in crate::serve) fine: Vec<String>,
    /// What it still needs, without which something is served less well, or to fewer.
    pub(in crate::serve) needs: Vec<Line>,
    /// What others need to find the way here.
    pub(in crate::serve) elsewhere: Vec<Line>,
    /// What stands against it: what it is about, and why.
    pub(in crate::serve) refusals: Vec<(Subject, String)>,
}

/// What of a plan something is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::serve) enum Subject {
    /// An echo address.
    Echo(IpAddr),
    /// A device whose driver is to answer.
    Driver(XdpDevice),
}

/// Something in words, and as a command that does it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::serve) struct Line {
    pub(in crate::serve) words: String,
    pub(in crate::serve) command: Option<String>,
}

impl Line {
    fn new(words: impl Into<String>, command: impl Into<String>) -> Line {
        Line {
            words: words.into(),
            command: Some(command.into()),
        }
    }

    /// Both in one line.
    pub(in crate::serve) fn in_one(&self) -> String {
        match &self.command {
            Some(command) => format!("{} (`{command}`)", self.words),
            None => self.words.clone(),
        }
    }
}

impl Survey {
    pub(super) fn of(plan: &Plan, facts: &Facts) -> Survey {
        let mut survey = Survey::default();
        for ip in plan.addresses() {
            survey.check_address(ip, facts);
        }
        if !plan.tun.is_empty() {
            survey.tun(plan, facts);
        }
        for wire in &plan.wires {
            survey.wire(wire, facts);
        }
        let quiet = plan.to_keep_quiet(facts);
        if !quiet.is_empty() {
            survey.sink(&quiet, facts);
        }
        for driver in &plan.drivers {
            survey.driver(driver, facts);
        }
        survey
    }

    fn refuse(&mut self, ip: IpAddr, why: impl Into<String>) {
        self.refusals.push((Subject::Echo(ip), why.into()));
    }

    fn check_address(&mut self, ip: IpAddr, facts: &Facts) {
        if let Some(own) = facts.addresses.iter().find(|own| own.net.addr() == ip) {
            let link = facts.name(own.link);
            self.refuse(
                ip,
                format!("this host has that address itself ({link}), and its kernel would answer; take one that no host has"),
            );
        }
    }

    fn tun(&mut self, plan: &Plan, facts: &Facts) {
        let (name, first) = (&plan.device, plan.tun[0]);
        match facts.link(name) {
            None => self.make_tun(plan, facts),
            Some(link) => {
                self.fine
                    .push(format!("there is a device {name} already, and it is taken over"));
                if !link.up {
                    self.steps.push(Line::new(
                        format!("switch {name} on"),
                        format!("ip link set dev {name} up"),
                    ));
                }
            }
        }
        for &ip in &plan.tun {
            self.route(ip, name, facts);
        }
        for family in families(&plan.tun) {
            self.forwarding(&family, name, facts);
        }
        if first.is_ipv4() || plan.tun.iter().any(IpAddr::is_ipv4) {
            self.source_routes(facts);
            self.reverse_path(name, facts);
        }
    }

    fn make_tun(&mut self, plan: &Plan, facts: &Facts) {
        let (name, first) = (&plan.device, plan.tun[0]);
        let queues = match plan.queues {
            1 => String::new(),
            _ => " multi_queue".to_owned(),
        };
        self.steps.push(Line::new(
            format!("make the TUN device {name}"),
            format!("ip tuntap add dev {name} mode tun{queues}"),
        ));
        self.steps.push(Line::new(
            format!("switch it on, for datagrams of up to {} bytes", plan.mtu),
            format!("ip link set dev {name} mtu {} up", plan.mtu),
        ));
        if !facts.has_tun {
            self.refuse(
                first,
                "this kernel hands out no TUN devices (/dev/net/tun is missing); `modprobe tun` loads them, or serve \
                 the address on an Ethernet device: ADDRESS@DEVICE",
            );
        }
        self.privilege(
            first,
            facts.may.net_admin,
            "CAP_NET_ADMIN",
            "to make devices and routes",
        );
    }

    fn privilege(&mut self, ip: IpAddr, held: bool, name: &str, purpose: &str) {
        if held {
            self.fine.push(format!("{name} is held, {purpose}"));
        } else {
            self.refuse(ip, format!("not permitted: {purpose} needs root or {name}"));
        }
    }

    fn route(&mut self, ip: IpAddr, device: &str, facts: &Facts) {
        let route = Route::new(ip.into(), Hop::Blackhole);
        let same = |other: &&Route| other.to == route.to && other.table == Route::MAIN;
        let ours = facts.link(device).map(|link| Hop::Link(link.id));
        match facts.routes.iter().find(same) {
            Some(there) if ours == Some(there.by) => {
                self.fine.push(format!("{ip} is routed to {device} already"));
            }
            Some(there) => {
                let mut why = "another route to just this address is there already".to_owned();
                if let Hop::Link(link) | Hop::Gateway(_, link) = there.by {
                    // Writing to a String cannot fail.
                    let _ = write!(why, " (by {})", facts.name(link));
                }
                self.refuse(ip, format!("{why}; `ip route del {}` removes it", route.to));
            }
            None => self.steps.push(Line::new(
                format!("route {ip} to {device}"),
                format!("ip route add {} dev {device}", route.to),
            )),
        }
    }

    /// What reaches a TUN from outside was forwarded, and so is what comes out of it.
    fn forwarding(&mut self, family: &[IpAddr], device: &str, facts: &Facts) {
        let first = family[0];
        let (name, setting) = match first {
            IpAddr::V4(_) => ("IPv4", "net.ipv4.ip_forward"),
            IpAddr::V6(_) => ("IPv6", "net.ipv6.conf.all.forwarding"),
        };
        if facts.forwards(first) {
            self.fine.push(format!("{name} is forwarded"));
        } else {
            self.needs.push(Line::new(
                format!(
                    "this host does not forward {name}: nobody but itself reaches {}",
                    list(family)
                ),
                format!("sysctl -w {setting}=1"),
            ));
        }
        let via = facts
            .own_address(first)
            .map_or_else(|| "THIS-HOST".to_owned(), |own| own.to_string());
        for &ip in family {
            let net = Route::new(ip.into(), Hop::Blackhole).to;
            self.elsewhere.push(Line::new(
                format!("who asks {ip}, or a router between, sends it here, where {device} takes it"),
                format!("ip route add {net} via {via}"),
            ));
        }
    }

    fn source_routes(&mut self, facts: &Facts) {
        if facts.takes_source_routes() {
            self.fine
                .push("datagrams with an IPv4 source route are let through".to_owned());
        } else {
            self.needs.push(Line::new(
                "this host drops datagrams with an IPv4 source route, as it should unless they are what you study",
                format!("sysctl -w {}", source_route_settings(facts)),
            ));
        }
    }

    fn reverse_path(&mut self, device: &str, facts: &Facts) {
        let filter = facts.settings(DEFAULT).map(|settings| settings.reverse_path);
        let strict = match filter {
            Some(ReversePath::Strict) => "strict",
            Some(ReversePath::Loose) => "loose",
            _ => "off",
        };
        self.fine.push(format!(
            "the reverse path filter (rp_filter) is {strict}: answers come out of {device}, where the routes to their \
             sources lead, and pass"
        ));
    }

    fn wire(&mut self, wire: &Wire, facts: &Facts) {
        let (device, first) = (&wire.device, wire.addresses[0]);
        let Some(link) = facts.link(device) else {
            return self.refuse(first, no_device(device, facts));
        };
        if link.mac.is_none_or(|mac| mac == [0; 6]) {
            return self.refuse(
                first,
                format!("{device} is no Ethernet device; leave out `@{device}`"),
            );
        }
        self.privilege(
            first,
            facts.may.net_raw,
            "CAP_NET_RAW",
            "to take frames as they are",
        );
        self.steps.push(Line {
            words: format!(
                "take the frames for {} on {device}, and say there by ARP and neighbour discovery who has them",
                list(&wire.addresses)
            ),
            command: None,
        });
        if !link.up {
            self.needs.push(Line::new(
                format!("{device} is off"),
                format!("ip link set dev {device} up"),
            ));
        }
        for &ip in &wire.addresses {
            let holds = |own: &&halloo_io::route::LinkAddress| own.link == link.id && own.net.contains(&ip);
            if let Some(own) = facts.addresses.iter().find(holds) {
                self.fine.push(format!(
                    "{ip} is in {device}'s network {}: its neighbours ask for it",
                    own.net.trunc()
                ));
            } else {
                let net = Route::new(ip.into(), Hop::Blackhole).to;
                self.needs.push(Line::new(
                    format!("no network of {device} holds {ip}: its neighbours ask for it only if told to"),
                    format!("ip route add {net} dev DEVICE   # on a neighbour"),
                ));
            }
        }
    }

    fn driver(&mut self, driver: &XdpDevice, facts: &Facts) {
        let (name, may) = (&driver.device, facts.may);
        let mut refuse = |why| self.refusals.push((Subject::Driver(driver.clone()), why));
        match facts.link(name) {
            None => refuse(no_device(name, facts)),
            Some(link) if link.mac.is_none_or(|mac| mac == [0; 6]) => {
                refuse(format!("{name} is no Ethernet device"));
            }
            Some(_) if !may.net_admin || !may.bpf => {
                refuse(
                    "not permitted: to attach a program needs root, or CAP_NET_ADMIN, CAP_BPF and CAP_PERFMON".to_owned(),
                );
            }
            Some(_) => {
                self.fine.push(format!(
                    "CAP_NET_ADMIN, CAP_BPF and CAP_PERFMON are held, to attach a program to {name}"
                ));
            }
        }
        self.steps.push(Line {
            words: format!(
                "attach a program to {name} ({}) that answers what needs no more than a look",
                driver.mode.name()
            ),
            command: None,
        });
    }

    /// The kernel would forward, or refuse by ICMP, what is answered before its eyes.
    fn sink(&mut self, addresses: &[IpAddr], facts: &Facts) {
        self.steps.push(Line::new(
            format!(
                "the kernel would forward {} too, or complain of it: make a device that swallows that",
                list(addresses)
            ),
            format!("ip tuntap add dev {SINK} mode tun && ip link set dev {SINK} mtu 65535 up"),
        ));
        self.privilege(
            addresses[0],
            facts.may.net_admin,
            "CAP_NET_ADMIN",
            "to keep the kernel quiet",
        );
        for &ip in addresses {
            self.route(ip, SINK, facts);
        }
    }
}

/// The settings by which every Ethernet device there is, and one to come, let source routes through.
fn source_route_settings(facts: &Facts) -> String {
    let links = facts.links.iter().filter(|link| link.mac.is_some());
    let names = ["all", DEFAULT]
        .into_iter()
        .chain(links.map(|link| link.name.as_str()));
    let settings: Vec<_> = names
        .filter(|name| *name != "lo")
        .map(|name| format!("net.ipv4.conf.{name}.accept_source_route=1"))
        .collect();
    settings.join(" ")
}

fn no_device(name: &str, facts: &Facts) -> String {
    let names: Vec<_> = facts.links.iter().map(|link| link.name.as_str()).collect();
    format!("there is no device `{name}`; there are {}", names.join(", "))
}

/// The IPv4 addresses and the IPv6 addresses apart, where there are some.
fn families(addresses: &[IpAddr]) -> Vec<Vec<IpAddr>> {
    let (v4, v6): (Vec<_>, Vec<_>) = addresses.iter().partition(|ip| ip.is_ipv4());
    [v4, v6].into_iter().filter(|family| !family.is_empty()).collect()
}

fn list(addresses: &[IpAddr]) -> String {
    let texts: Vec<_> = addresses.iter().map(ToString::to_string).collect();
    texts.join(", ")
}
