//! Hosts: what they own, how fast they are, and what waits for their machines.

use crate::clock::HostClock;
use crate::time::us;
use halloo_base::{
    CloseReason, LinkId, Marks, Nanos, Path, SocketId, SocketInput, Stamp, StampSource, TxTag, Unreachable,
};
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// How a host behaves. The default is an ideal host: its clocks are right, reading them costs 25 ns, and
/// everything else takes no time.
#[derive(Clone, Debug, PartialEq)]
pub struct HostOptions {
    /// How far its wall clock is ahead of true time when the host is made.
    pub offset: Nanos,
    /// How much too fast both of its clocks run, in parts per million.
    pub drift_ppm: f64,
    /// How long one reading of the clock takes.
    pub clock_reading: Duration,
    /// From an arrival until the machine that slept for it runs.
    pub wakeup: Duration,
    /// How long the handling of one input takes.
    pub service: Duration,
    /// How long one output takes to reach the wire.
    pub sending: Duration,
    /// How late a deadline that is not exact may be served: each by a draw from zero to this.
    pub timer_slack: Duration,
    /// How many inputs a machine is handed at most before its outbox is drained.
    pub batch: usize,
    /// From a departure until its stamp is handed over.
    pub departure_stamp: Duration,
    /// Who stamps arrivals. With [`StampSource::User`] the stamp is as late as the handling, and there are no
    /// departure stamps.
    pub stamps: StampSource,
    /// How many datagrams a socket holds for a machine that does not run; more are dropped.
    pub receive_buffer: usize,
    /// The TTL or hop limit of what it sends.
    pub ttl: u8,
    /// The share of stream reads that are split in two, 0.0 to 1.0.
    pub split: f64,
    /// The share of stream segments that wait 100 us for later ones to be read with, 0.0 to 1.0.
    pub merge: f64,
}

impl Default for HostOptions {
    fn default() -> HostOptions {
        HostOptions {
            offset: Nanos::ZERO,
            drift_ppm: 0.0,
            clock_reading: Duration::from_nanos(25),
            wakeup: Duration::ZERO,
            service: Duration::ZERO,
            sending: Duration::ZERO,
            timer_slack: us(60),
            batch: 32,
            departure_stamp: us(3),
            stamps: StampSource::Kernel,
            receive_buffer: 4_096,
            ttl: 64,
            split: 0.0,
            merge: 0.0,
        }
    }
}

/// One of a host's interfaces.
#[derive(Debug)]
pub(crate) struct Interface {
    pub(crate) link: LinkId,
    pub(crate) wire: usize,
    /// Which end of the wire this is.
    pub(crate) end: usize,
    pub(crate) addresses: Vec<IpAddr>,
}

/// A route that a story added: a prefix and the link that it leads to.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) network: IpAddr,
    pub(crate) prefix: u8,
    pub(crate) link: LinkId,
}

#[derive(Debug)]
pub(crate) struct Host {
    pub(crate) options: HostOptions,
    pub(crate) clock: HostClock,
    pub(crate) addresses: Vec<IpAddr>,
    pub(crate) interfaces: Vec<Interface>,
    pub(crate) routes: Vec<Route>,
    pub(crate) sockets: Vec<Socket>,
    pub(crate) listeners: Vec<Socket>,
    pub(crate) inbox: VecDeque<(usize, Pending)>,
    pub(crate) busy_until: u64,
    pub(crate) run_at: Option<u64>,
    pub(crate) next_link: u32,
    pub(crate) next_port: u16,
    pub(crate) next_conn: u64,
}

/// A UDP socket or a TCP listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Socket {
    pub(crate) local: SocketAddr,
    pub(crate) device: Option<LinkId>,
    pub(crate) machine: usize,
    pub(crate) waiting: usize,
    /// Its machine's own number for it, if that opened it.
    pub(crate) name: Option<SocketId>,
}

impl Socket {
    /// Whether what has this source may leave by this socket; the same rule as in `halloo-io`.
    pub(crate) fn covers(&self, local: SocketAddr) -> bool {
        let family = match (self.local.ip(), local.ip()) {
            (IpAddr::V4(_), IpAddr::V6(_)) => false,
            (IpAddr::V6(bound), IpAddr::V4(_)) => bound.is_unspecified(),
            (bound, local) => bound.is_unspecified() || local.is_unspecified() || bound == local,
        };
        family && (local.port() == 0 || self.local.port() == local.port())
    }
}

/// An input that waits until its machine runs.
#[derive(Debug)]
pub(crate) enum Pending {
    Start,
    Wake,
    Datagram {
        socket: SocketAddr,
        path: Path,
        at: Stamp,
        marks: Marks,
        payload: Vec<u8>,
    },
    Frame {
        link: LinkId,
        at: Stamp,
        bytes: Vec<u8>,
    },
    Opened {
        conn: usize,
        side: usize,
    },
    Readable {
        conn: usize,
        side: usize,
    },
    Data {
        conn: usize,
        side: usize,
        at: Stamp,
        bytes: Vec<u8>,
    },
    Finished {
        conn: usize,
        side: usize,
    },
    Closed {
        conn: usize,
        side: usize,
        why: CloseReason,
    },
    Departed(TxTag, Stamp),
    Unreachable(Unreachable, Vec<u8>),
    Socket(SocketId, SocketInput),
    LinkChanged(LinkId, bool),
    Report,
    Stop,
}

/// The interface index of every host's loopback, as Linux has it.
pub(crate) const LOOPBACK: LinkId = LinkId(1);

impl Host {
    pub(crate) fn new(options: HostOptions, mut clock: HostClock, at: u64, addresses: Vec<IpAddr>) -> Host {
        clock.step_wall(at, options.offset);
        clock.set_drift(at, options.drift_ppm);
        Host {
            options,
            clock,
            addresses,
            interfaces: Vec::new(),
            routes: Vec::new(),
            sockets: Vec::new(),
            listeners: Vec::new(),
            inbox: VecDeque::new(),
            busy_until: 0,
            run_at: None,
            next_link: LOOPBACK.0 + 1,
            next_port: 32_768,
            next_conn: 0,
        }
    }

    pub(crate) fn owns(&self, address: IpAddr) -> bool {
        address.is_loopback()
            || self
                .interfaces
                .iter()
                .any(|interface| interface.addresses.contains(&address))
            // A host without wires still talks to itself.
            || (self.interfaces.is_empty() && self.addresses.contains(&address))
    }

    /// Whether the interface at this wire has the address: others of the host's are not reached by it.
    pub(crate) fn answers_on(&self, wire: usize, address: IpAddr) -> bool {
        let found = self.interfaces.iter().find(|interface| interface.wire == wire);
        found.is_some_and(|interface| interface.addresses.contains(&address))
    }

    pub(crate) fn interface(&self, link: LinkId) -> Option<&Interface> {
        self.interfaces.iter().find(|interface| interface.link == link)
    }

    /// The address that a packet to `remote` gets as its source if the machine does not say.
    pub(crate) fn source(&self, link: LinkId, remote: IpAddr) -> Option<IpAddr> {
        if remote.is_loopback() {
            return Some(remote);
        }
        let mine = match self.interface(link) {
            Some(interface) if !interface.addresses.is_empty() => &interface.addresses,
            _ => &self.addresses,
        };
        mine.iter()
            .copied()
            .find(|address| address.is_ipv4() == remote.is_ipv4())
    }

    /// The link of the most specific route to `remote` among those that `usable` admits.
    pub(crate) fn route(&self, remote: IpAddr, usable: impl Fn(LinkId) -> bool) -> Option<LinkId> {
        self.routes
            .iter()
            .filter(|route| usable(route.link) && covers(route.network, route.prefix, remote))
            .max_by_key(|route| route.prefix)
            .map(|route| route.link)
    }

    pub(crate) fn free_port(&mut self) -> u16 {
        loop {
            let port = self.next_port;
            self.next_port = self.next_port.checked_add(1).unwrap_or(32_768);
            let taken = |socket: &Socket| socket.local.port() == port;
            if !self.sockets.iter().any(taken) && !self.listeners.iter().any(taken) {
                return port;
            }
        }
    }

    /// When it runs next if something arrives at `at`.
    pub(crate) fn runs_at(&self, at: u64) -> u64 {
        (at + crate::time::nanos(self.options.wakeup)).max(self.busy_until)
    }
}

/// Finds the socket that takes a packet to `local`: one bound to the address before a wildcard, one bound to
/// the device before one that is not, and the wildcard of the same family before the dual-stack one.
pub(crate) fn find_socket(sockets: &[Socket], local: SocketAddr, link: LinkId) -> Option<usize> {
    let rank = |socket: &Socket| {
        let bound = socket.local.ip();
        let fits = socket.local.port() == local.port()
            && socket.device.is_none_or(|device| device == link)
            && (bound == local.ip() || (bound.is_unspecified() && (bound.is_ipv6() || local.is_ipv4())));
        fits.then(|| {
            (
                bound == local.ip(),
                socket.device.is_some(),
                bound.is_ipv4() == local.is_ipv4(),
            )
        })
    };
    sockets
        .iter()
        .enumerate()
        .filter_map(|(index, socket)| rank(socket).map(|rank| (rank, index)))
        .max_by_key(|&(rank, index)| (rank, std::cmp::Reverse(index)))
        .map(|(_, index)| index)
}

fn covers(network: IpAddr, prefix: u8, address: IpAddr) -> bool {
    let differing = match (network, address) {
        (IpAddr::V4(a), IpAddr::V4(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros(),
        (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros(),
        _ => return false,
    };
    differing >= u32::from(prefix)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn socket(local: &str, device: Option<u32>) -> Socket {
        Socket {
            local: local.parse().expect("an address"),
            device: device.map(LinkId),
            machine: 0,
            waiting: 0,
            name: None,
        }
    }

    #[test]
    fn the_most_specific_socket_takes_the_packet() {
        let sockets = [
            socket("[::]:7", None),
            socket("0.0.0.0:7", None),
            socket("0.0.0.0:7", Some(3)),
            socket("192.0.2.1:7", None),
            socket("[::]:9", None),
        ];
        let find =
            |local: &str, link| find_socket(&sockets, local.parse().expect("an address"), LinkId(link));
        assert_eq!(find("192.0.2.1:7", 3), Some(3));
        assert_eq!(find("192.0.2.2:7", 3), Some(2));
        assert_eq!(find("192.0.2.2:7", 2), Some(1));
        assert_eq!(find("[2001:db8::1]:7", 2), Some(0));
        assert_eq!(find("192.0.2.2:9", 2), Some(4), "dual stack");
        assert_eq!(find("192.0.2.2:8", 2), None);
    }

    #[test]
    fn prefixes_cover_what_they_say() {
        let ip = |text: &str| text.parse::<IpAddr>().expect("an address");
        assert!(covers(ip("10.0.0.0"), 8, ip("10.9.9.9")));
        assert!(!covers(ip("10.0.0.0"), 8, ip("11.0.0.0")));
        assert!(covers(ip("0.0.0.0"), 0, ip("11.0.0.0")));
        assert!(!covers(ip("0.0.0.0"), 0, ip("::1")));
        assert!(covers(ip("2001:db8::1"), 128, ip("2001:db8::1")));
    }
}
