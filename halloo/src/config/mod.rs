//! The configuration file of `halloo serve`.

mod error;
mod ip_echo;
mod ndn;
mod schema;

pub(crate) use error::ConfigError;
pub(crate) use schema::Config;

use crate::cli::{EchoAddress, NdnService, ServeArgs};
use halloo_serve::{OptionsError, Secret};
use std::fs;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::Path;

/// The port that halloo answers on unless told otherwise.
pub(crate) const PORT: u16 = 7777;
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
        for (key, list) in [("serve.udp", &config.serve.udp), ("serve.tcp", &config.serve.tcp)] {
            let Some(list) = list else { continue };
            for (index, listen) in list.iter().enumerate() {
                if list[..index].contains(listen) {
                    return Err(at(key, &format!("{} is listed twice", listen.0)));
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
            .map_err(|error| (Section::Streams, error))
    }

    /// Lays what the command line says over it.
    pub(crate) fn overlay(&mut self, args: &ServeArgs) {
        let serve = &mut self.serve;
        let list = |flags: &[SocketAddr]| {
            (!flags.is_empty()).then(|| flags.iter().copied().map(schema::Listen).collect())
        };
        // To name listeners of one kind alone means those alone, not the defaults of the other kind beside them.
        let (udp, tcp) = (list(&args.udp), list(&args.tcp));
        if udp.is_some() || tcp.is_some() || !args.ip_echo.is_empty() || !args.ndn.is_empty() {
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
        serve.classic |= args.classic;
        serve.busy_poll |= args.busy_poll;
        serve.key_file = args.key_file.clone().or(serve.key_file.take());
        serve.user = args.user.clone().or(serve.user.take());
    }

    /// UDP listeners, the defaults filled in.
    pub(crate) fn udp(&self) -> Vec<SocketAddr> {
        self.listeners(self.serve.udp.as_ref())
    }

    /// TCP listeners, the defaults filled in.
    pub(crate) fn tcp(&self) -> Vec<SocketAddr> {
        self.listeners(self.serve.tcp.as_ref())
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
    /// In words that name the listeners.
    pub(crate) fn check_listeners(&self) -> Result<(), ListenersError> {
        let (udp, tcp) = (self.udp(), self.tcp());
        let is_beside = !self.ip_echo.addresses.is_empty() || !self.ndn.prefixes.is_empty();
        if udp.is_empty() && tcp.is_empty() && !is_beside {
            return Err(ListenersError::None);
        }
        // The command line's were not looked at when the file was.
        for check in [self.ip_echo.check(), self.xdp.check(), self.ndn.check()] {
            check.map_err(|(key, why)| ListenersError::Section { key, why })?;
        }
        for (list, all) in [("udp", udp), ("tcp", tcp)] {
            for &wide in &all {
                if let Some(&narrow) = all.iter().find(|&&narrow| covers(wide, narrow)) {
                    return Err(ListenersError::Covered { list, wide, narrow });
                }
            }
        }
        Ok(())
    }

    fn listeners(&self, list: Option<&Vec<schema::Listen>>) -> Vec<SocketAddr> {
        let any = |port| SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), port);
        let mut all: Vec<SocketAddr> = match list {
            Some(list) => list.iter().map(|listen| listen.0).collect(),
            None => vec![any(PORT)],
        };
        if self.serve.classic && !all.iter().any(|addr| addr.port() == CLASSIC_PORT) {
            all.push(any(CLASSIC_PORT));
        }
        all
    }
}

/// Why listeners cannot be had together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ListenersError {
    /// All lists are empty.
    #[error("nothing to listen on: serve.udp, serve.tcp, ip_echo.addresses and ndn.prefixes are empty")]
    None,
    /// A section beside contradicts itself.
    #[error("{key}: {why}")]
    Section {
        /// The key that is wrong.
        key: &'static str,
        /// In words.
        why: String,
    },
    /// The kernel gives a port of one address to one socket, and a wildcard has it on all of them.
    #[error("{list}: {wide} is every address, {narrow} among them; leave one of the two out")]
    Covered {
        /// `udp` or `tcp`.
        list: &'static str,
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
}

#[cfg(test)]
mod tests;
