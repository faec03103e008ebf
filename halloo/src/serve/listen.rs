//! Listeners: those that the service manager passed, and those that we bind.

use super::dialects::Spoken;
use super::driver::{Drivers, Services};
use super::ip_echo::{self, Devices};
use super::listening::{At, FRAMES, Listening, TUN};
use super::ndn::Ndn;
use super::tell::Teller;
use crate::cli::{EchoAddress, XdpDevice};
use crate::config::{Config, DIALECTS, Given, flag};
use crate::hint::explain;
use crate::ndn::Listen;
use anyhow::{Context, Result, bail};
use halloo_base::Transport;
use halloo_io::{ListenOptions, TcpListener, UdpOptions, UdpSocket};
use halloo_protocols::echo::UDP;
use halloo_protocols::ip_echo::IP;
use halloo_protocols::ndn::{NDN, NDN_TCP};
use halloo_web::TlsOptions;
use listenfd::ListenFd;
use nix::libc::EAFNOSUPPORT;
use nix::unistd::gethostname;
use std::fmt::Display;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::path::PathBuf;

/// Room for a tenth of a second of the fastest that one thread answers.
const RECEIVE_BUFFER: usize = 8 << 20;
/// Connects that may wait: a burst of so many is served without a retransmission.
const BACKLOG: u32 = 8192;

/// Everything that is listened on.
#[derive(Default)]
pub(crate) struct Listeners {
    pub(super) udp: Vec<UdpSocket>,
    pub(super) tcp: Vec<TcpListener>,
    pub(super) devices: Devices,
    pub(super) drivers: Drivers,
    pub(super) ndn: Ndn,
    pub(super) dialects: Vec<Spoken>,
    told: Vec<Listening>,
}

/// Where the list of listeners comes from, for errors.
pub(super) struct Origin {
    pub(super) file: Option<PathBuf>,
    pub(super) given: Given,
}

impl Listeners {
    /// Takes over what the service manager passed, or else binds everything that the configuration names. All or
    /// nothing.
    ///
    /// # Errors
    /// The first listener that could not be had, with what may help.
    pub(super) fn open(config: &Config, origin: &Origin, teller: &mut Teller) -> Result<Listeners> {
        config.check_listeners(&origin.given)?;
        let mut listeners = Listeners::inherited()?;
        if listeners.told.is_empty() {
            listeners.bind(config, origin, teller)?;
        }
        listeners.bind_dialects(config, origin, teller)?;
        listeners.add_devices(ip_echo::open(config, origin, teller)?);
        listeners.add_drivers(config, origin, teller)?;
        let ndn = Ndn::open(config, &config.ndn_services(), &listeners.udp_ports())?;
        Ok(listeners.with_ndn(ndn))
    }

    /// The same with names that are served.
    pub(crate) fn with_ndn(mut self, mut ndn: Ndn) -> Listeners {
        self.told.append(&mut ndn.told);
        self.ndn = ndn;
        self
    }

    fn bind(&mut self, config: &Config, origin: &Origin, teller: &mut Teller) -> Result<()> {
        let (udp, tcp) = (config.udp(), config.tcp());
        for &address in &udp {
            let v6_only = has_v4_twin(address, &udp);
            let (socket, address) = or_v4(address, teller, |local| bind_udp(local, v6_only))
                .with_context(|| origin.cannot("serve.udp", address))?;
            self.add_udp(socket, address.is_ipv6() && !v6_only, false);
        }
        for &address in &tcp {
            let v6_only = has_v4_twin(address, &tcp);
            let (listener, address) = or_v4(address, teller, |local| bind_tcp(local, v6_only))
                .with_context(|| origin.cannot("serve.tcp", address))?;
            self.add_tcp(listener, address.is_ipv6() && !v6_only, false);
        }
        Ok(())
    }

    /// Opens the ports of protocols beside the echo.
    fn bind_dialects(&mut self, config: &Config, origin: &Origin, teller: &mut Teller) -> Result<()> {
        let mut secured: Option<TlsOptions> = None;
        for dialect in DIALECTS {
            let addresses = dialect.addresses(config);
            let mut spoken = Spoken::new(dialect);
            if dialect.driver.is_secured() && !addresses.is_empty() {
                let known = match &secured {
                    Some(known) => TlsOptions::clone(known),
                    None => identity(config, teller)?,
                };
                spoken.identity = Some(secured.insert(known).clone());
            }
            for &address in &addresses {
                let v6_only = has_v4_twin(address, &addresses);
                let cannot = || origin.cannot(&dialect.key_of(config, address), address);
                let dual_stack = |address: SocketAddr| address.is_ipv6() && !v6_only;
                if let Some(protocol) = dialect.udp {
                    let (socket, address) =
                        or_v4(address, teller, |local| bind_udp(local, v6_only)).with_context(cannot)?;
                    self.tell(protocol.scheme, socket.local_addr(), dual_stack(address), false);
                    spoken.udp.push(socket);
                }
                if let Some(protocol) = dialect.tcp {
                    let (listener, address) =
                        or_v4(address, teller, |local| bind_tcp(local, v6_only)).with_context(cannot)?;
                    self.tell(protocol.scheme, listener.local_addr(), dual_stack(address), false);
                    spoken.tcp.push(listener);
                }
            }
            if !addresses.is_empty() {
                self.dialects.push(spoken);
            }
        }
        Ok(())
    }

    /// Every UDP port that is answered.
    pub(crate) fn udp_ports(&self) -> Vec<u16> {
        let ndn = self.ndn.listening.iter().filter_map(|listen| match listen {
            Listen::Port(Transport::Udp, address) => Some(address.port()),
            _ => None,
        });
        let spoken = self.dialects.iter().flat_map(|spoken| &spoken.udp);
        let sockets = self.udp.iter().chain(spoken);
        sockets
            .map(|socket| socket.local_addr().port())
            .chain(ndn)
            .collect()
    }

    /// On free ports of a loopback address, for a host that only this process asks.
    ///
    /// # Errors
    /// If this host has no such address.
    pub(crate) fn loopback(ip: IpAddr) -> io::Result<Listeners> {
        let mut listeners = Listeners::default();
        listeners.add_udp(bind_udp(SocketAddr::new(ip, 0), true)?, false, false);
        listeners.add_tcp(bind_tcp(SocketAddr::new(ip, 0), true)?, false, false);
        for dialect in DIALECTS {
            let mut spoken = Spoken::new(dialect);
            if dialect.driver.is_secured() {
                spoken.identity = Some(made_identity().map_err(io::Error::other)?);
            }
            if let Some(protocol) = dialect.udp {
                let socket = bind_udp(SocketAddr::new(ip, 0), true)?;
                listeners.tell(protocol.scheme, socket.local_addr(), false, false);
                spoken.udp.push(socket);
            }
            if let Some(protocol) = dialect.tcp {
                let listener = bind_tcp(SocketAddr::new(ip, 0), true)?;
                listeners.tell(protocol.scheme, listener.local_addr(), false, false);
                spoken.tcp.push(listener);
            }
            listeners.dialects.push(spoken);
        }
        Ok(listeners)
    }

    /// Both together.
    pub(crate) fn join(mut self, other: Listeners) -> Listeners {
        self.udp.extend(other.udp);
        self.tcp.extend(other.tcp);
        self.dialects.extend(other.dialects);
        self.told.extend(other.told);
        self
    }

    /// The same with devices for echo addresses.
    pub(crate) fn with_devices(mut self, devices: Devices) -> Listeners {
        self.add_devices(devices);
        self
    }

    /// The addresses by protocol scheme: `("udp", 127.0.0.1:4711)`.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = (&'static str, SocketAddr)> {
        self.told.iter().filter_map(|listening| match listening.at {
            At::Port { address, .. } => Some((listening.protocol, address)),
            _ => None,
        })
    }

    /// The addresses at which NDN pings are answered, by protocol scheme.
    pub(crate) fn ndn_addresses(&self) -> impl Iterator<Item = (&'static str, SocketAddr)> {
        self.ndn.listening.iter().filter_map(|listen| match listen {
            Listen::Port(Transport::Tcp, address) => Some((NDN_TCP.scheme, *address)),
            Listen::Port(_, address) => Some((NDN.scheme, *address)),
            Listen::Device(_) => None,
        })
    }

    /// The echo addresses, with the Ethernet device that they are served on, if it is one.
    fn echo_addresses(&self) -> impl Iterator<Item = (IpAddr, Option<String>)> {
        self.told.iter().filter_map(|listening| match &listening.at {
            At::Device { ip, device, mode } => Some((*ip, (*mode == FRAMES).then(|| device.clone()))),
            _ => None,
        })
    }

    pub(super) fn told(&self) -> &[Listening] {
        &self.told
    }

    /// Sockets that were passed by sd_listen_fds(3): datagram sockets answer UDP, stream sockets TCP.
    fn inherited() -> Result<Listeners> {
        let mut passed = ListenFd::from_env();
        let mut listeners = Listeners::default();
        for index in 0..passed.len() {
            let name = || format!("socket {} that the service manager passed", index + 1);
            if let Ok(Some(socket)) = passed.take_udp_socket(index) {
                let socket = UdpSocket::from_fd(OwnedFd::from(socket), &udp_options()).with_context(name)?;
                listeners.add_udp(socket, false, true);
            } else if let Ok(Some(listener)) = passed.take_tcp_listener(index) {
                let listener = TcpListener::from_fd(OwnedFd::from(listener)).with_context(name)?;
                listeners.add_tcp(listener, false, true);
            } else {
                bail!("{} is neither a UDP nor a TCP socket", name());
            }
        }
        Ok(listeners)
    }

    fn add_udp(&mut self, socket: UdpSocket, dual_stack: bool, inherited: bool) {
        self.tell("udp", socket.local_addr(), dual_stack, inherited);
        self.udp.push(socket);
    }

    fn add_tcp(&mut self, listener: TcpListener, dual_stack: bool, inherited: bool) {
        self.tell("tcp", listener.local_addr(), dual_stack, inherited);
        self.tcp.push(listener);
    }

    fn tell(&mut self, protocol: &'static str, address: SocketAddr, dual_stack: bool, inherited: bool) {
        self.told.push(Listening {
            protocol,
            at: At::Port {
                address,
                dual_stack: dual(address, dual_stack),
                inherited,
            },
        });
    }

    fn add_devices(&mut self, devices: Devices) {
        let mut tell = |ip: &IpAddr, device: &str, mode| {
            self.told.push(Listening {
                protocol: IP.scheme,
                at: At::Device {
                    ip: *ip,
                    device: device.to_owned(),
                    mode,
                },
            });
        };
        if let Some((tun, addresses)) = devices.tun() {
            addresses.iter().for_each(|ip| tell(ip, tun, TUN));
        }
        for (socket, addresses) in &devices.wires {
            addresses.iter().for_each(|ip| tell(ip, socket.device(), FRAMES));
        }
        self.devices = devices;
    }

    fn add_drivers(&mut self, config: &Config, origin: &Origin, teller: &mut Teller) -> Result<()> {
        let services = Services {
            udp: self
                .addresses()
                .filter(|(protocol, _)| *protocol == UDP.scheme)
                .map(|(_, address)| address)
                .collect(),
            echo: self.echo_addresses().collect(),
        };
        self.drivers = Drivers::attach(config, origin, &services, teller)?;
        self.told.extend(self.drivers.told(config, &services));
        Ok(())
    }
}

impl Origin {
    /// `--udp 192.0.2.7:7` or `serve.udp 192.0.2.7:7 (serve.toml)`
    fn cannot(&self, key: &str, what: impl Display) -> String {
        match &self.file {
            Some(file) if !self.given.has(key) => format!("{key} {what} ({})", file.display()),
            _ => format!("{} {what}", flag(key)),
        }
    }

    /// `--ip-echo 192.0.2.7@eth0` or `ip_echo.addresses 192.0.2.7@eth0 (serve.toml)`
    pub(super) fn cannot_echo(&self, address: Option<&EchoAddress>) -> String {
        let address = address.map(ToString::to_string).unwrap_or_default();
        self.cannot("ip_echo.addresses", address)
    }

    /// `--xdp eth0` or `xdp.devices eth0 (serve.toml)`
    pub(super) fn cannot_drive(&self, device: &XdpDevice) -> String {
        self.cannot("xdp.devices", device)
    }
}

/// Who this host says that it is under TLS.
fn identity(config: &Config, teller: &mut Teller) -> Result<TlsOptions> {
    if let (Some(certificate), Some(key)) = (&config.tls.certificate, &config.tls.key) {
        return TlsOptions::files(certificate, key).context("tls.certificate (--tls-cert)");
    }
    let identity = made_identity()?;
    teller.notice(&format!(
        "a certificate was made for this start alone; its fingerprint is {}",
        identity.fingerprint()
    ));
    Ok(identity)
}

/// A certificate for this host's name and for itself.
fn made_identity() -> Result<TlsOptions> {
    let host = gethostname().ok().and_then(|name| name.into_string().ok());
    let names = host.filter(|name| name.is_ascii() && !name.is_empty());
    let names = names
        .into_iter()
        .chain(["localhost".into(), "127.0.0.1".into(), "::1".into()]);
    TlsOptions::self_signed(names).context("cannot make a certificate")
}

/// `[::]` leaves IPv4 to `0.0.0.0` where both are asked for.
fn has_v4_twin(address: SocketAddr, all: &[SocketAddr]) -> bool {
    let twin = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), address.port());
    address.ip().is_unspecified() && address.is_ipv6() && address.port() != 0 && all.contains(&twin)
}

fn dual(address: SocketAddr, allowed: bool) -> bool {
    allowed && address.is_ipv6() && address.ip().is_unspecified()
}

/// Where this kernel has no IPv6, every address is every IPv4 address.
fn or_v4<T>(
    address: SocketAddr,
    teller: &mut Teller,
    bind: impl Fn(SocketAddr) -> io::Result<T>,
) -> Result<(T, SocketAddr)> {
    match bind(address) {
        Ok(bound) => Ok((bound, address)),
        Err(error) if error.raw_os_error() == Some(EAFNOSUPPORT) && address.ip().is_unspecified() => {
            let v4 = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), address.port());
            teller.notice(&format!("this host has no IPv6: {v4} instead of {address}"));
            Ok((bind(v4).map_err(explain)?, v4))
        }
        Err(error) => Err(explain(error)),
    }
}

fn bind_udp(local: SocketAddr, v6_only: bool) -> io::Result<UdpSocket> {
    UdpSocket::bind(&UdpOptions {
        local,
        v6_only,
        ..udp_options()
    })
}

fn udp_options() -> UdpOptions {
    UdpOptions {
        receive_buffer: Some(RECEIVE_BUFFER),
        merge: true,
        ..UdpOptions::default()
    }
}

fn bind_tcp(local: SocketAddr, v6_only: bool) -> io::Result<TcpListener> {
    TcpListener::bind(&ListenOptions {
        local,
        v6_only,
        backlog: BACKLOG,
        ..ListenOptions::default()
    })
}

/// Says so where the kernel cuts the queue of connections that wait to be accepted.
pub(super) fn warn_of_short_backlog(teller: &mut Teller) {
    let limit = fs::read_to_string("/proc/sys/net/core/somaxconn").ok();
    if let Some(limit) = limit.and_then(|text| text.trim().parse::<u32>().ok())
        && limit < BACKLOG
    {
        teller.notice(&format!(
            "net.core.somaxconn = {limit} cuts the queue of new connections, which would be {BACKLOG}: a burst of \
             connects beyond it is served a second later"
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Command};
    use clap::Parser;

    fn addr(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn an_ipv6_listener_leaves_ipv4_to_a_listener_that_was_asked_for() {
        let all = [addr("[::]:7"), addr("0.0.0.0:7"), addr("[::]:7777")];
        let twins: Vec<_> = all.iter().map(|&one| has_v4_twin(one, &all)).collect();
        assert_eq!(twins, [true, false, false]);
    }

    #[test]
    fn an_error_names_its_origin() {
        let by_flags = |flags: &[&str]| {
            let line = ["halloo", "serve"].iter().chain(flags);
            let Command::Serve(args) = Cli::parse_from(line).command else {
                panic!("another command");
            };
            Origin {
                file: Some("serve.toml".into()),
                given: Given::by(&args),
            }
        };
        let echo = EchoAddress {
            ip: "192.0.2.7".parse().expect("an address"),
            device: Some("eth0".into()),
        };
        let origin = by_flags(&["--udp", "192.0.2.7:7", "--stun-other", "192.0.2.8"]);
        let here = addr("192.0.2.7:7");
        for (key, told) in [
            ("serve.udp", "--udp 192.0.2.7:7"),
            ("serve.tcp", "serve.tcp 192.0.2.7:7 (serve.toml)"),
            ("stun.listen", "stun.listen 192.0.2.7:7 (serve.toml)"),
            ("stun.other", "--stun-other 192.0.2.7:7"),
        ] {
            assert_eq!(origin.cannot(key, here), told);
        }
        assert_eq!(
            origin.cannot_echo(Some(&echo)),
            "ip_echo.addresses 192.0.2.7@eth0 (serve.toml)"
        );
        let by_flag = by_flags(&["--ip-echo", "192.0.2.7@eth0"]);
        assert_eq!(by_flag.cannot_echo(Some(&echo)), "--ip-echo 192.0.2.7@eth0");
        let fileless = Origin {
            file: None,
            given: Given::default(),
        };
        assert_eq!(fileless.cannot("stun.listen", here), "--stun 192.0.2.7:7");
    }
}
