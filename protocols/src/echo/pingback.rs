//! Datagrams that a proven requester asked to be sent later: what shows for how long a NAT keeps a mapping open, and for
//! whom (RFC 4787).
//!
//! Nobody is sent anything who has not shown, by a cookie, that it receives at its address. The key does not show that:
//! whoever records a signed request can send it again in another's name. The memory is bounded, and so is all that is ever
//! sent for one request: [`PingbackOptions::most_packets`] datagrams of [`LONGEST`] bytes.

use super::Key;
use super::wire::{BASE, Flags, Pingback, Probe, TAG};
use halloo_base::{Mono, Path, Wall};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

/// The length of each such datagram, in bytes: a base section, and a tag where the request had one.
pub const LONGEST: usize = BASE + TAG;
const _: () = assert!(LONGEST <= halloo_base::PROMISED);

/// How much is promised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PingbackOptions {
    /// Datagrams for one request. Default: 16.
    pub most_packets: u16,
    /// The least time between two of them. Default: 10 ms.
    pub shortest_gap: Duration,
    /// The longest time before the first. Default: 15 minutes.
    pub longest_silence: Duration,
    /// Requests that wait, of one address. Default: 32.
    pub per_address: u16,
    /// Requests that wait, in all; about 200 bytes each, taken when they come. Default: 4096.
    pub most_waiting: u32,
    /// Where this host answers: each port with its address, or with the unspecified one of a family for all of that. Nothing
    /// is sent from elsewhere but from where a question came to. The first port that was not asked is the other one.
    pub ends: Vec<SocketAddr>,
    /// Addresses that it has: the first of the family that was not asked is the other one.
    pub addresses: Vec<IpAddr>,
}

impl Default for PingbackOptions {
    fn default() -> PingbackOptions {
        PingbackOptions {
            most_packets: 16,
            shortest_gap: Duration::from_millis(10),
            longest_silence: Duration::from_secs(15 * 60),
            per_address: 32,
            most_waiting: 4096,
            ends: vec![],
            addresses: vec![],
        }
    }
}

/// What became of a request for datagrams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// They will come, so far as the network lets them.
    Granted,
    /// The requester has not shown that it receives at its address: it is to ask again with the cookie of this answer.
    Unproven,
    /// Too many wait already.
    Busy,
    /// This host has no other port, or no other address of this family.
    NoOther,
    /// This host does not do that.
    NotOffered,
}

/// Requests that wait for their time.
#[derive(Debug)]
pub(super) struct Waiting {
    options: PingbackOptions,
    /// By their number: who is to be sent what.
    promises: BTreeMap<u64, Promise>,
    due: BinaryHeap<Reverse<(Mono, u64)>>,
    of_address: BTreeMap<IpAddr, u16>,
    next: u64,
}

#[derive(Clone, Copy, Debug)]
struct Promise {
    path: Path,
    token: u64,
    seq: u32,
    t1: Wall,
    authenticated: bool,
    gap: Duration,
    sent: u16,
    count: u16,
}

impl Waiting {
    pub(super) fn new(options: PingbackOptions) -> Waiting {
        Waiting {
            options,
            promises: BTreeMap::new(),
            due: BinaryHeap::new(),
            of_address: BTreeMap::new(),
            next: 0,
        }
    }

    /// Promises what is asked for by a requester at the far end of `path`, as far as it may be, and says what that is.
    pub(super) fn promise(
        &mut self,
        now: Mono,
        path: Path,
        request: &Probe,
        ask: Pingback,
        proven: bool,
    ) -> Pingback {
        let options = &self.options;
        let refused = |outcome| Pingback {
            count: 0,
            outcome,
            ..ask
        };
        if !proven {
            return refused(Outcome::Unproven);
        }
        let Some(path) = self.other_end(path, ask) else {
            return refused(Outcome::NoOther);
        };
        let address = path.remote.ip();
        let of_address = self.of_address.get(&address).copied().unwrap_or(0);
        if self.promises.len() >= options.most_waiting as usize || of_address >= options.per_address {
            return refused(Outcome::Busy);
        }
        let granted = Pingback {
            count: ask.count.min(options.most_packets),
            gap: ask.gap.max(options.shortest_gap),
            silence: ask.silence.min(options.longest_silence),
            outcome: Outcome::Granted,
            ..ask
        };
        if granted.count > 0 {
            let promise = Promise {
                path,
                token: request.token,
                seq: request.seq,
                t1: request.t1,
                authenticated: request.flags.authenticated,
                gap: granted.gap,
                sent: 0,
                count: granted.count,
            };
            self.promises.insert(self.next, promise);
            self.due.push(Reverse((now + granted.silence, self.next)));
            self.next += 1;
            *self.of_address.entry(address).or_default() += 1;
        }
        granted
    }

    /// When the next datagram is to be sent.
    pub(super) fn due(&self) -> Option<Mono> {
        self.due.peek().map(|Reverse((at, _))| *at)
    }

    /// Writes the next datagram whose time has come, and says which way it goes.
    pub(super) fn send_due(
        &mut self,
        now: Mono,
        key: Option<&Key>,
        room: &mut [u8],
    ) -> Option<(Path, usize)> {
        loop {
            let Reverse((at, number)) = *self.due.peek().filter(|Reverse((at, _))| *at <= now)?;
            self.due.pop();
            let Some(promise) = self.promises.get_mut(&number) else {
                continue;
            };
            promise.sent += 1;
            let copy = *promise;
            if copy.sent < copy.count {
                // A host that was stopped does not make up for it all at once.
                let next = (at + copy.gap).max(now);
                self.due.push(Reverse((next, number)));
            } else {
                self.forget(number);
            }
            if let Some(len) = copy.emit(key, room) {
                return Some((copy.path, len));
            }
        }
    }

    fn forget(&mut self, number: u64) {
        let Some(promise) = self.promises.remove(&number) else {
            return;
        };
        let address = promise.path.remote.ip();
        if let Some(waiting) = self.of_address.get_mut(&address) {
            *waiting -= 1;
            if *waiting == 0 {
                self.of_address.remove(&address);
            }
        }
    }

    /// The way that the datagrams go; nothing where this host has no such other end.
    fn other_end(&self, mut path: Path, ask: Pingback) -> Option<Path> {
        let asked = SocketAddr::new(path.local.ip().to_canonical(), path.local.port());
        if !ask.other_port && !ask.other_address {
            return Some(path);
        }
        // IPv4 in its IPv6 form stays so: it is the socket's own.
        let mut addresses = self.options.addresses.iter().copied();
        if ask.other_address {
            let other = |ip: &IpAddr| ip.is_ipv4() == asked.is_ipv4() && *ip != asked.ip();
            path.local.set_ip(addresses.find(other)?);
        }
        let mut ends = self
            .options
            .ends
            .iter()
            .filter(|end| covers(**end, path.local.ip()));
        let end = ends.find(|end| (end.port() != asked.port()) == ask.other_port)?;
        path.local.set_port(end.port());
        Some(path)
    }
}

/// Whether a socket that is bound so can send from this address.
fn covers(end: SocketAddr, ip: IpAddr) -> bool {
    let ip = ip.to_canonical();
    end.ip() == ip || (end.ip().is_unspecified() && end.is_ipv4() == ip.is_ipv4())
}

impl Promise {
    /// A reply, so that nobody answers it: of the request's number, with its own place among its like in `received`.
    fn emit(&self, key: Option<&Key>, room: &mut [u8]) -> Option<usize> {
        let probe = Probe {
            flags: Flags {
                reply: true,
                pingback: true,
                authenticated: self.authenticated,
                ..Flags::default()
            },
            t1: self.t1,
            residence: None,
            received: self.sent.into(),
            port: self.path.remote.port(),
            ipv4: match self.path.remote.ip().to_canonical() {
                IpAddr::V4(ip) => ip,
                IpAddr::V6(_) => Ipv4Addr::UNSPECIFIED,
            },
            ..Probe::request(self.token, self.seq, false, self.authenticated)
        };
        let datagram = room.get_mut(..usize::from(probe.length))?;
        datagram.fill(0);
        probe.emit(datagram).ok()?;
        match (key, self.authenticated) {
            (Some(key), true) => key.sign(datagram, probe.length).then_some(datagram.len()),
            (_, false) => Some(datagram.len()),
            (None, true) => None,
        }
    }
}
