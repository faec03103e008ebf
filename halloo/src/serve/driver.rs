//! Drivers that answer before the kernel has looked (XDP), by the same rules as everything else.

use super::counts::{Counted, Source};
use super::listen::Origin;
use super::listening::{At, Listening};
use super::tell::Teller;
use crate::cli::{XdpDevice, XdpMode as Wanted};
use crate::config::Config;
use anyhow::{Context, Result};
use halloo_base::Snapshot;
use halloo_io::route::Netlink;
use halloo_io::{Xdp, XdpMode, XdpOptions, XdpRate, XdpRules};
use halloo_protocols::echo::in_wire_units;
use halloo_protocols::{echo, ip_echo};
use halloo_serve::{Guards, Rate};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// How often drivers are told the time and this host's addresses, either of which may change.
pub(super) const REFRESH: Duration = Duration::from_secs(1);

/// Programs at work, each on its device.
#[derive(Default)]
pub(super) struct Drivers(Vec<Xdp>);

/// What drivers are to answer.
pub(super) struct Services {
    /// UDP sockets as they are bound.
    pub(super) udp: Vec<SocketAddr>,
    /// IP echo addresses, with the Ethernet device that they are served on, if it is one.
    pub(super) echo: Vec<(IpAddr, Option<String>)>,
}

impl Drivers {
    /// Attaches a program to each device that the configuration names.
    ///
    /// # Errors
    /// The first device that takes none, and why.
    pub(super) fn attach(
        config: &Config,
        origin: &Origin,
        services: &Services,
        teller: &mut Teller,
    ) -> Result<Drivers> {
        let mut drivers = Drivers::default();
        for device in config.xdp.devices.iter().map(|driver| &driver.0) {
            let options = options(config, services, device, own_addresses()?);
            if options.udp.is_empty() && options.echo.is_empty() {
                teller.notice(&format!(
                    "xdp on {}: there is nothing that it could answer",
                    device.device
                ));
            }
            let program = Xdp::attach(&options).with_context(|| origin.cannot_drive(device))?;
            drivers.0.push(program);
        }
        Ok(drivers)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A line for each.
    pub(super) fn told(&self, config: &Config, services: &Services) -> Vec<Listening> {
        let told = |program: &Xdp| Listening {
            protocol: "xdp",
            at: At::Driver {
                device: program.device().to_owned(),
                mode: program.mode().to_string(),
                serves: serves(config, services, program.device()),
            },
        };
        self.0.iter().map(told).collect()
    }

    /// Tells them the time and the addresses of this host. A kernel that does not let an unprivileged process do so
    /// leaves them as they were.
    pub(super) fn refresh(&mut self) {
        let addresses = own_addresses();
        for program in &mut self.0 {
            let _ = program.set_clock();
            if let Ok(addresses) = &addresses {
                let _ = program.set_addresses(addresses);
            }
        }
    }

    /// What they have done so far, as far as the kernel still tells.
    pub(super) fn counted(&self) -> Vec<Counted> {
        let of = |program: &Xdp| {
            let counters = program.counters().unwrap_or_default();
            [(&echo::UDP, counters.udp), (&ip_echo::IP, counters.ip)].map(
                |(protocol, done): (_, Snapshot)| Counted {
                    protocol,
                    device: Some(program.device().to_owned()),
                    source: Source::Driver(done),
                },
            )
        };
        let idle = |counted: &Counted| counted.snapshot() == Snapshot::default();
        self.0
            .iter()
            .flat_map(of)
            .filter(|counted| !idle(counted))
            .collect()
    }
}

fn options(config: &Config, services: &Services, device: &XdpDevice, addresses: Vec<IpAddr>) -> XdpOptions {
    let echo = &config.serve;
    // What has to be signed is more than a driver can look at.
    let udp = if echo.require_key {
        vec![]
    } else {
        services.udp.clone()
    };
    XdpOptions {
        device: device.device.clone(),
        mode: match device.mode {
            Wanted::Auto => XdpMode::Auto,
            Wanted::Native => XdpMode::Native,
            Wanted::Generic => XdpMode::Generic,
        },
        rules: rules(&config.guards(), udp.iter().map(SocketAddr::port).collect()),
        udp,
        addresses,
        echo: services.echo_on(&device.device),
        probes: echo.key_file.is_none(),
        min_interval: in_wire_units(echo.min_interval.0),
        sessions: echo.sessions,
    }
}

impl Services {
    /// Those echo addresses whose datagrams may come by a device: its own, and those that are routed.
    fn echo_on(&self, device: &str) -> Vec<IpAddr> {
        let here = |(_, wire): &&(IpAddr, Option<String>)| wire.as_deref().is_none_or(|wire| wire == device);
        self.echo.iter().filter(here).map(|(ip, _)| *ip).collect()
    }
}

/// `udp 7777`, `ip echo of 192.0.2.7`
fn serves(config: &Config, services: &Services, device: &str) -> Vec<String> {
    let mut parts = vec![];
    if !config.serve.require_key {
        let mut ports: Vec<_> = services.udp.iter().map(SocketAddr::port).collect();
        ports.sort_unstable();
        ports.dedup();
        parts.extend(ports.iter().map(|port| format!("udp {port}")));
    }
    let echo = services.echo_on(device);
    parts.extend(echo.iter().map(|ip| format!("ip echo of {ip}")));
    parts
}

fn rules(guards: &Guards, own_ports: Vec<u16>) -> XdpRules {
    let prefixes = |list: &[ipnet::IpNet]| list.iter().map(|net| (net.network(), net.prefix_len())).collect();
    let rate = |rate: Option<Rate>| {
        rate.map(|rate| XdpRate {
            per_second: rate.per_second,
            burst: rate.burst,
        })
    };
    XdpRules {
        allow: prefixes(&guards.access.allow),
        deny: prefixes(&guards.access.deny),
        refused_ports: guards.refused_ports().collect(),
        own_ports,
        per_source: rate(guards.limits.per_source),
        per_local_source: rate(guards.limits.per_local_source),
        all: rate(guards.limits.all),
        sources: guards.limits.sources,
    }
}

fn own_addresses() -> Result<Vec<IpAddr>> {
    let addresses = Netlink::open()?.addresses()?;
    Ok(addresses.iter().map(|address| address.net.addr()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn services() -> Services {
        let ip = |text: &str| text.parse().expect("an address");
        Services {
            udp: vec![
                "[::]:7777".parse().expect("an address"),
                "[::]:7".parse().expect("an address"),
            ],
            echo: vec![
                (ip("192.0.2.7"), None),
                (ip("192.0.2.8"), Some("eth0".into())),
                (ip("192.0.2.9"), Some("eth1".into())),
            ],
        }
    }

    fn told(text: &str) -> XdpOptions {
        let config = Config::parse("x.toml", text).expect(text);
        let device = XdpDevice {
            device: "eth0".into(),
            mode: Wanted::Generic,
        };
        options(&config, &services(), &device, vec![])
    }

    #[test]
    fn a_driver_has_the_rules_that_everybody_has() {
        let rules = told(
            "[guard]\nrefuse_low_ports = false\nreflection_ports = [53]\n[limits]\nall = \"none\"\n\
                          per_source = { per_second = 5, burst = 9 }\n[access]\ndeny = [\"10.1.0.0/16\"]\n",
        )
        .rules;
        assert_eq!(rules.refused_ports, [53]);
        assert_eq!(rules.own_ports, [7777, 7]);
        assert_eq!(rules.deny, [("10.1.0.0".parse().expect("an address"), 16)]);
        let expected = XdpRate {
            per_second: 5,
            burst: 9,
        };
        assert_eq!((rules.per_source, rules.all), (Some(expected), None));
        assert!(told("").rules.refused_ports.starts_with(&[0, 1, 2]));
    }

    #[test]
    fn a_driver_answers_what_comes_by_its_device_and_needs_no_key() {
        let texts = |config: &str| {
            let config = Config::parse("x.toml", config).expect(config);
            serves(&config, &services(), "eth0").join(", ")
        };
        let echo = "ip echo of 192.0.2.7, ip echo of 192.0.2.8";
        assert_eq!(texts(""), format!("udp 7, udp 7777, {echo}"));
        let keyed = "[serve]\nkey_file = \"key\"\n";
        assert_eq!((told(keyed).probes, told(keyed).udp.len()), (false, 2));
        let strict = "[serve]\nkey_file = \"key\"\nrequire_key = true\n";
        assert_eq!(texts(strict), echo);
        assert!(told(strict).udp.is_empty());
        let hours = "[serve]\nmin_interval = \"1h\"\n";
        assert_eq!((told(hours).min_interval, told("").min_interval), (u16::MAX, 0));
        let between = "[serve]\nmin_interval = \"1050us\"\n";
        assert_eq!(told(between).min_interval, 11, "as the responder: never too fast");
    }
}
