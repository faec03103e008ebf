//! Listeners: those that the service manager passed, and those that we bind.

use super::tell::Teller;
use crate::config::Config;
use crate::hint::explain;
use anyhow::{Context, Result, bail};
use halloo_io::{ListenOptions, TcpListener, UdpOptions, UdpSocket};
use listenfd::ListenFd;
use nix::libc::EAFNOSUPPORT;
use std::fmt;
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
    told: Vec<Listening>,
}

/// Where the list of listeners comes from, for errors.
pub(super) struct Origin {
    pub(super) file: Option<PathBuf>,
    pub(super) udp_by_flag: bool,
    pub(super) tcp_by_flag: bool,
}

/// One listener, for people.
#[derive(Clone, Debug)]
pub(super) struct Listening {
    pub(super) protocol: &'static str,
    pub(super) address: SocketAddr,
    pub(super) dual_stack: bool,
    pub(super) inherited: bool,
}

impl Listeners {
    /// Takes over what the service manager passed, or else binds everything that the configuration names. All or
    /// nothing.
    ///
    /// # Errors
    /// The first listener that could not be had, with what may help.
    pub(super) fn open(config: &Config, origin: &Origin, teller: &mut Teller) -> Result<Listeners> {
        let inherited = Listeners::inherited()?;
        if !inherited.told.is_empty() {
            return Ok(inherited);
        }
        config.check_listeners()?;
        let mut listeners = Listeners::default();
        let (udp, tcp) = (config.udp(), config.tcp());
        for &address in &udp {
            let v6_only = has_v4_twin(address, &udp);
            let (socket, address) = or_v4(address, teller, |local| bind_udp(local, v6_only))
                .with_context(|| origin.cannot("udp", address))?;
            listeners.add_udp(socket, address.is_ipv6() && !v6_only, false);
        }
        for &address in &tcp {
            let v6_only = has_v4_twin(address, &tcp);
            let (listener, address) = or_v4(address, teller, |local| bind_tcp(local, v6_only))
                .with_context(|| origin.cannot("tcp", address))?;
            listeners.add_tcp(listener, address.is_ipv6() && !v6_only, false);
        }
        Ok(listeners)
    }

    /// On free ports of a loopback address, for a host that only this process asks.
    ///
    /// # Errors
    /// If this host has no such address.
    pub(crate) fn loopback(ip: IpAddr) -> io::Result<Listeners> {
        let mut listeners = Listeners::default();
        listeners.add_udp(bind_udp(SocketAddr::new(ip, 0), true)?, false, false);
        listeners.add_tcp(bind_tcp(SocketAddr::new(ip, 0), true)?, false, false);
        Ok(listeners)
    }

    /// Both together.
    pub(crate) fn join(mut self, other: Listeners) -> Listeners {
        self.udp.extend(other.udp);
        self.tcp.extend(other.tcp);
        self.told.extend(other.told);
        self
    }

    /// The addresses by protocol scheme: `("udp", 127.0.0.1:4711)`.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = (&'static str, SocketAddr)> {
        self.told
            .iter()
            .map(|listening| (listening.protocol, listening.address))
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
            address,
            dual_stack: dual(address, dual_stack),
            inherited,
        });
    }
}

impl Origin {
    /// `--udp 192.0.2.7:7` or `serve.udp 192.0.2.7:7 (serve.toml)`
    fn cannot(&self, key: &str, address: SocketAddr) -> String {
        let by_flag = if key == "udp" {
            self.udp_by_flag
        } else {
            self.tcp_by_flag
        };
        match (&self.file, by_flag) {
            (Some(file), false) => format!("serve.{key} {address} ({})", file.display()),
            _ => format!("--{key} {address}"),
        }
    }
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

impl fmt::Display for Listening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} echo on {}", self.protocol, self.address)?;
        match (self.dual_stack, self.inherited) {
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
    fn an_ipv6_listener_leaves_ipv4_to_a_listener_that_was_asked_for() {
        let all = [addr("[::]:7"), addr("0.0.0.0:7"), addr("[::]:7777")];
        let twins: Vec<_> = all.iter().map(|&one| has_v4_twin(one, &all)).collect();
        assert_eq!(twins, [true, false, false]);
    }

    #[test]
    fn an_error_names_its_origin() {
        let origin = Origin {
            file: Some("serve.toml".into()),
            udp_by_flag: true,
            tcp_by_flag: false,
        };
        assert_eq!(origin.cannot("udp", addr("192.0.2.7:7")), "--udp 192.0.2.7:7");
        assert_eq!(
            origin.cannot("tcp", addr("[::]:7")),
            "serve.tcp [::]:7 (serve.toml)"
        );
    }

    #[test]
    fn a_listener_is_told_in_one_line() {
        let address = addr("[::]:7777");
        let line = Listening {
            protocol: "udp",
            address,
            dual_stack: true,
            inherited: false,
        };
        assert_eq!(line.to_string(), "udp echo on [::]:7777 (dual stack)");
    }
}
