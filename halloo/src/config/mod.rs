//! The configuration file of `halloo serve`.

mod dialects;
mod error;
mod given;
mod ip_echo;
mod ndn;
mod overlay;
mod schema;
mod stun;

pub(crate) use dialects::{DIALECTS, Dialect, Driver};
pub(crate) use error::ConfigError;
pub(crate) use given::{Given, flag};
pub(crate) use overlay::{Edge, Supernode};
pub(crate) use schema::Config;

use crate::cli::{EchoAddress, NdnService, ServeArgs};
use halloo_serve::{OptionsError, Secret};
use nix::unistd::Uid;
use std::fs;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::Path;

/// The port that halloo answers on unless told otherwise.
pub(crate) const PORT: u16 = 7777;
/// How far above its usual port a protocol is answered by who may not have that one.
const ABOVE: u16 = 10_000;
/// The port of the classic echo service (RFC 862).
pub(crate) const CLASSIC_PORT: u16 = 7;

impl Config {
    /// Reads and checks a file.
    ///
    /// # Errors
    /// The first thing that is wrong, with its place in the file.
    pub(crate) fn load(path: &Path) -> Result<Config, ConfigError> {
        let name = path.display().to_string();
        let text = fs::read_to_string(path).map_err(|error| ConfigError::unreadable(&name, &error))?;
        Config::parse(&name, &text)
    }

    /// Understands and checks the text of the file `name`.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub(crate) fn parse(name: &str, text: &str) -> Result<Config, ConfigError> {
        let config: Config =
            toml::from_str(text).map_err(|error| ConfigError::from_toml(name, text, &error))?;
        let at = |key: &str, why: &str| ConfigError::at_key(name, text, key, why);
        let addresses = |list: &[schema::Listen]| list.iter().map(|listen| listen.0).collect();
        let echo = [("serve.udp", &config.serve.udp), ("serve.tcp", &config.serve.tcp)];
        let echo = echo.into_iter().map(|(key, list)| {
            let list: Vec<SocketAddr> = list.as_deref().map(addresses).unwrap_or_default();
            (key.to_owned(), list)
        });
        let dialects = DIALECTS
            .iter()
            .map(|dialect| (dialect.list(), dialect.addresses(&config)));
        for (key, list) in echo.chain(dialects) {
            for (index, address) in list.iter().enumerate() {
                if list[..index].contains(address) {
                    return Err(at(&key, &format!("{address} is listed twice")));
                }
            }
        }
        if config.serve.require_key && config.serve.key_file.is_none() {
            return Err(at(
                "serve.require_key",
                "there is no key_file to require the key of",
            ));
        }
        config
            .ip_echo
            .check()
            .and_then(|()| config.xdp.check())
            .and_then(|()| config.ndn.check())
            .and_then(|()| config.stun.check(&Given::default()))
            .and_then(|()| config.ntp.check())
            .and_then(|()| config.pingback.check())
            .and_then(|()| config.tls.check())
            .and_then(|()| config.edge.check())
            .and_then(|()| config.supernode.check())
            .map_err(|(key, why)| at(key, &why))?;
        config.check_rules().map_err(|(section, error)| match error {
            OptionsError::OutOfRange {
                field,
                value,
                min,
                max,
            } => {
                let key = match section {
                    Section::Datagrams => field.to_owned(),
                    Section::Streams => format!("tcp.{field}"),
                    Section::Http => format!("http.{field}"),
                };
                at(&key, &format!("is {value}, but must be {min} to {max}"))
            }
            OptionsError::Contradiction { prefix } => {
                at("access.deny", &format!("{prefix} is both allowed and denied"))
            }
        })?;
        Ok(config)
    }

    /// Whether the rules that follow from it can be served with.
    fn check_rules(&self) -> Result<(), (Section, OptionsError)> {
        let secret = Secret::new([0; 16]);
        self.guards()
            .check()
            .map_err(|error| (Section::Datagrams, error))?;
        self.stream_options(secret)
            .check()
            .map_err(|error| (Section::Streams, error))?;
        self.http_options(secret)
            .check()
            .map_err(|error| (Section::Http, error))
    }

    /// Lays what the command line says over it.
    pub(crate) fn overlay(&mut self, args: &ServeArgs) {
        let serve = &mut self.serve;
        let list = |flags: &[SocketAddr]| {
            (!flags.is_empty()).then(|| flags.iter().copied().map(schema::Listen).collect())
        };
        // To name listeners of one kind alone means those alone, not the defaults of the other kind beside them.
        let (udp, tcp) = (list(&args.udp), list(&args.tcp));
        let is_spoken = DIALECTS.iter().any(|dialect| !dialect.flags(args).is_empty());
        if udp.is_some() || tcp.is_some() || !args.ip_echo.is_empty() || !args.ndn.is_empty() || is_spoken {
            serve.udp = udp.or(serve.udp.take()).or(Some(vec![]));
            serve.tcp = tcp.or(serve.tcp.take()).or(Some(vec![]));
        }
        if !args.ip_echo.is_empty() {
            self.ip_echo.addresses = args.ip_echo.iter().cloned().map(ip_echo::Echo).collect();
        }
        if !args.ndn.is_empty() {
            self.ndn.prefixes = args.ndn.iter().cloned().map(ndn::Service).collect();
        }
        if !args.xdp.is_empty() {
            self.xdp.devices = args.xdp.iter().cloned().map(ip_echo::Driver).collect();
        }
        serve.classic |= args.classic | args.all;
        serve.all = args.all;
        serve.busy_poll |= args.busy_poll;
        serve.key_file = args.key_file.clone().or(serve.key_file.take());
        serve.user = args.user.clone().or(serve.user.take());
        if args.tls_cert.is_some() || args.tls_key.is_some() {
            self.tls.certificate.clone_from(&args.tls_cert);
            self.tls.key.clone_from(&args.tls_key);
        }
        if !args.stun_other.is_empty() {
            self.stun.other = args.stun_other.iter().copied().map(stun::Other).collect();
        }
        for dialect in DIALECTS {
            let flags = dialect.flags(args);
            if !flags.is_empty() {
                dialect.overlay(self, flags);
            } else if args.all && dialect.addresses(self).is_empty() {
                dialect.overlay(self, &[any(unprivileged(dialect.port()))]);
            }
        }
        if args.all && self.ndn.prefixes.is_empty() {
            self.ndn.prefixes = vec![ndn::Service::everywhere()];
        }
    }

    /// UDP listeners, the defaults filled in.
    pub(crate) fn udp(&self) -> Vec<SocketAddr> {
        self.listeners(self.serve.udp.as_ref())
    }

    /// TCP listeners, the defaults filled in.
    pub(crate) fn tcp(&self) -> Vec<SocketAddr> {
        self.listeners(self.serve.tcp.as_ref())
    }

    /// How many connections may be open at once, of all that have a descriptor each.
    pub(crate) fn most_connections(&self) -> u64 {
        let servers = |driver: fn(Driver) -> bool| {
            let spoken = DIALECTS
                .iter()
                .filter(|dialect| dialect.tcp.is_some() && driver(dialect.driver));
            spoken
                .filter(|dialect| !dialect.addresses(self).is_empty())
                .count() as u64
        };
        let web = servers(|driver| matches!(driver, Driver::Web { .. }));
        let secured = servers(|driver| driver == Driver::Tls);
        let streams = servers(|driver| driver == Driver::Worker) + u64::from(!self.tcp().is_empty());
        streams * u64::from(self.tcp.connections)
            + secured * u64::from(self.most_secured())
            + web * u64::from(self.http.connections)
    }

    /// How many connections may be open at once where a machine of ours speaks under TLS: each takes some tens of
    /// kilobytes until it is secured.
    pub(crate) fn most_secured(&self) -> u32 {
        const SECURED: u32 = 4_096;
        self.tcp.connections.min(SECURED)
    }

    /// Serves these echo addresses, routed to a device, and no others.
    pub(crate) fn echo(&mut self, addresses: &[IpAddr]) {
        let routed = |&ip| ip_echo::Echo(EchoAddress { ip, device: None });
        self.ip_echo.addresses = addresses.iter().map(routed).collect();
    }

    /// Echo addresses.
    pub(crate) fn echo_addresses(&self) -> Vec<EchoAddress> {
        let addresses = self.ip_echo.addresses.iter();
        addresses.map(|address| address.0.clone()).collect()
    }

    /// Names under which NDN pings are answered.
    pub(crate) fn ndn_services(&self) -> Vec<NdnService> {
        let prefixes = self.ndn.prefixes.iter();
        prefixes.map(|prefix| prefix.0.clone()).collect()
    }

    /// Whether there is somewhere to listen, and no listener takes what another one asks for.
    ///
    /// # Errors
    /// In words that name the listeners as they were given.
    pub(crate) fn check_listeners(&self, given: &Given) -> Result<(), ListenersError> {
        // The command line's were not looked at when the file was.
        let sections = [
            self.ip_echo.check(),
            self.xdp.check(),
            self.ndn.check(),
            self.stun.check(given),
        ];
        for check in sections {
            check.map_err(|(key, why)| ListenersError::Section {
                key: given.name(key),
                why,
            })?;
        }
        let named = |key: &str, list: Vec<SocketAddr>| -> Vec<(String, SocketAddr)> {
            let name = given.name(key);
            list.into_iter().map(|address| (name.clone(), address)).collect()
        };
        let mut udp = named("serve.udp", self.udp());
        let mut tcp = named("serve.tcp", self.tcp());
        for dialect in DIALECTS {
            let list = dialect.addresses(self).into_iter();
            let list = list.map(|address| (given.name(&dialect.key_of(self, address)), address));
            let list: Vec<_> = list.collect();
            udp.extend(list.iter().filter(|_| dialect.udp.is_some()).cloned());
            tcp.extend(list.into_iter().filter(|_| dialect.tcp.is_some()));
        }
        let is_beside = !self.ip_echo.addresses.is_empty() || !self.ndn.prefixes.is_empty();
        if udp.is_empty() && tcp.is_empty() && !is_beside {
            return Err(ListenersError::None);
        }
        for all in [udp, tcp] {
            for (index, (list, wide)) in all.iter().enumerate() {
                if let Some(&(_, narrow)) = all.iter().find(|(_, narrow)| covers(*wide, *narrow)) {
                    let (list, wide) = (list.clone(), *wide);
                    return Err(ListenersError::Covered { list, wide, narrow });
                }
                // Port 0 is another one each time.
                let mut before = all[..index].iter().filter(|_| wide.port() != 0);
                if let Some((other, address)) = before.find(|(_, other)| other == wide) {
                    return Err(ListenersError::Taken {
                        list: list.clone(),
                        address: *address,
                        other: other.clone(),
                    });
                }
            }
        }
        Ok(())
    }

    fn listeners(&self, list: Option<&Vec<schema::Listen>>) -> Vec<SocketAddr> {
        let mut all: Vec<SocketAddr> = match list {
            Some(list) => list.iter().map(|listen| listen.0).collect(),
            None => vec![any(PORT)],
        };
        let classic = [CLASSIC_PORT, unprivileged(CLASSIC_PORT)];
        if self.serve.classic && !all.iter().any(|addr| classic.contains(&addr.port())) {
            all.push(any(if self.serve.all {
                unprivileged(CLASSIC_PORT)
            } else {
                CLASSIC_PORT
            }));
        }
        all
    }
}

/// Every address of this host, IPv4 and IPv6.
fn any(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), port)
}

/// The port that takes the place of `port` where this process may not have that one: 10,000 above.
fn unprivileged(port: u16) -> u16 {
    /// The first port that anybody may have, where nobody has chosen another (ip_unprivileged_port_start).
    const USUAL_FIRST: u16 = 1024;
    let first = fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start");
    let first = first.ok().and_then(|text| text.trim().parse().ok());
    if Uid::effective().is_root() || port >= first.unwrap_or(USUAL_FIRST) {
        port
    } else {
        port + ABOVE
    }
}

/// Why listeners cannot be had together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ListenersError {
    /// All lists are empty.
    #[error(
        "nothing to listen on: serve.udp, serve.tcp, ip_echo.addresses, ndn.prefixes and the listen of every protocol are empty"
    )]
    None,
    /// Two protocols want one place.
    #[error("{list}: {address} is taken by {other}; leave one of the two out")]
    Taken {
        /// The list that comes later.
        list: String,
        /// The place.
        address: SocketAddr,
        /// The list that comes first.
        other: String,
    },
    /// A section beside contradicts itself.
    #[error("{key}: {why}")]
    Section {
        /// The key that is wrong, or its option.
        key: String,
        /// In words.
        why: String,
    },
    /// The kernel gives a port of one address to one socket, and a wildcard has it on all of them.
    #[error("{list}: {wide} is every address, {narrow} among them; leave one of the two out")]
    Covered {
        /// The key of the list, or its option.
        list: String,
        /// The wildcard.
        wide: SocketAddr,
        /// What it has taken.
        narrow: SocketAddr,
    },
}

/// Whether `wide` is a wildcard that takes what `narrow` asks for. `[::]` takes IPv4 too, but leaves it to `0.0.0.0`.
fn covers(wide: SocketAddr, narrow: SocketAddr) -> bool {
    wide.port() == narrow.port()
        && wide.port() != 0
        && wide.ip().is_unspecified()
        && !narrow.ip().is_unspecified()
        && (wide.is_ipv6() || narrow.is_ipv4())
}

/// Whose rules an error is about.
enum Section {
    Datagrams,
    Streams,
    Http,
}

#[cfg(test)]
mod tests;
