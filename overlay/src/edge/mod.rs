//! An edge: the end that has a TAP.
//!
//! [`Edge`] is the machine. It owns an `Association` with each supernode and a `Remote` for each
//! other edge, and carries frames between its device and them.

mod answers;
mod association;
mod budget;
mod carrier;
mod control;
mod event;
mod hearsay;
mod initiation;
mod kernel;
pub mod lease;
mod leg;
mod options;
mod own;
pub mod path;
mod receive;
mod relay;
mod remote;
mod report;
mod revoke;
mod subflows;
#[cfg(test)]
mod tests;
mod verify;

pub use carrier::EdgePort;
pub use event::{EdgeEvent, EdgeStatus, News, Observer, PathStatus, PeerStatus, SupernodeStatus};
pub use options::{EdgeEntropy, EdgeOptions, SupernodePlace, VxlanDevice};

use crate::PublicKey;
use crate::crypto::{Event, Gate, Latest, Local, Numbers};
use crate::supernode::channels::{Channels, MemberId};
use crate::switch::{Forward, Switch, TableKey};
use crate::wire::feature;
use answers::Answers;
use association::Association;
use budget::Budget;
use carrier::Carrier;
use halloo_base::{Cx, Deadline, Frame, Input, LinkId, Machine, Mono, Path, Unreachable, UnreachableError};
use kernel::Tunnels;
use lease::Leases;
use own::{Own, earlier};
use path::Via;
use remote::Remote;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;
use subflows::Ports;

/// Owners of sessions from here on are supernodes.
const SUPERNODES: u32 = 1 << 31;
/// Supernodes at most, those that we were told of among them.
const MOST_SUPERNODES: usize = 16;
/// Who is greater waits so long for the other to begin.
const YIELD: Duration = Duration::from_millis(1_500);
/// The MAC table is swept this often.
const SWEEP: Duration = Duration::from_secs(1);
/// EMSGSIZE (errno(3)), as every Linux has it but alpha, mips, parisc and sparc.
const TOO_LONG: UnreachableError = UnreachableError(90);

/// What came, and has become of it.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    datagrams: u64,
    malformed: u64,
    strangers: u64,
    cookies: u64,
    handshakes_refused: u64,
    unknown_session: u64,
    replayed: u64,
    not_authentic: u64,
    bad_control: u64,
    /// Members, or supernodes, that there was no place for.
    no_room: u64,
    /// Datagrams of channels whose relay is none of ours.
    no_relay: u64,
    /// Datagrams that came straight from a peer, where no direct path is wanted.
    unwanted: u64,
    /// Datagrams carried from one peer to another, and their octets.
    relayed: u64,
    relayed_bytes: u64,
}

/// An edge of the overlay.
pub struct Edge {
    options: EdgeOptions,
    own: Own,
    supernodes: Vec<Association>,
    remotes: Vec<Option<Remote>>,
    by_key: HashMap<PublicKey, u32>,
    carrier: Carrier,
    ports: Ports,
    answers: Answers,
    /// Of those who were forgotten.
    latest: Latest<PublicKey>,
    /// What we carry for others.
    channels: Channels<()>,
    /// Peers that carry for us.
    relays: Vec<u32>,
    opened: Vec<u8>,
    leases: Leases,
    counts: Counts,
    /// When something is due, but for what waits to be sent.
    next: Option<Mono>,
    sweep: Mono,
    /// Since when something waits for the end of the batch.
    flush: Option<Mono>,
    started: bool,
    stopped: bool,
    /// What the kernel carries, if it does.
    tunnels: Option<Tunnels>,
}

/// Who a session is with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    Supernode(usize),
    Peer(u32),
}

impl Who {
    fn of(owner: u32) -> Who {
        match owner.checked_sub(SUPERNODES) {
            Some(place) => Who::Supernode(place as usize),
            None => Who::Peer(owner),
        }
    }
}

impl Edge {
    /// An edge that begins when it is first woken.
    pub fn new(
        mut options: EdgeOptions,
        mut local: Local,
        mut entropy: EdgeEntropy,
        observer: Box<dyn Observer>,
    ) -> Edge {
        if !options.direct {
            local.offer.features |= feature::NO_DIRECT;
        }
        if options.vxlan.is_some() {
            local.offer.features |= feature::VXLAN;
        }
        if !options.direct || options.vxlan.is_some() {
            options.flows = 1;
        }
        if options.flows > 1 {
            local.offer.features |= feature::SUBFLOWS;
        }
        let mut key = [0; 16];
        entropy.fill(&mut key);
        let mut switch = Switch::new(options.table, TableKey(key), options.flood, ());
        switch.own(options.mac, EdgePort::Tap);
        Edge {
            carrier: Carrier::new(options.tap, options.offload, switch),
            own: Own {
                local,
                numbers: Numbers::default(),
                entropy,
                gate: Gate::new(false),
                observer,
                budget: Budget::default(),
                message: vec![],
            },
            tunnels: options.vxlan.map(Tunnels::new),
            options,
            supernodes: vec![],
            remotes: vec![],
            by_key: HashMap::new(),
            ports: Ports::default(),
            answers: Answers::default(),
            latest: Latest::default(),
            channels: Channels::new(relay::LIMITS),
            relays: vec![],
            opened: vec![0; 1 << 16],
            leases: Leases::default(),
            counts: Counts::default(),
            next: None,
            sweep: Mono(0),
            flush: None,
            started: false,
            stopped: false,
        }
    }

    /// The path to a remote address, from wherever routing chooses.
    fn path_to(&self, remote: SocketAddr) -> Path {
        let port = self.options.bind.port();
        let any: IpAddr = if remote.is_ipv4() {
            Ipv4Addr::UNSPECIFIED.into()
        } else {
            Ipv6Addr::UNSPECIFIED.into()
        };
        Path {
            link: LinkId::default(),
            local: SocketAddr::new(any, port),
            remote,
        }
    }

    fn start(&mut self, cx: &Cx<'_>) {
        let now = cx.env.now;
        self.started = true;
        self.latest.begin(cx.env.clock.stamp().wall);
        for place in self.options.supernodes.clone() {
            self.associate(place, false, now);
        }
    }

    /// Begins with a supernode, one of the configuration or one that another told of.
    fn associate(&mut self, place: SupernodePlace, is_told: bool, now: Mono) {
        let known = |known: &Association| {
            known.place.address == place.address || (known.key().is_some() && known.key() == place.key)
        };
        if self.supernodes.iter().any(known) {
            return;
        }
        if self.supernodes.len() >= MOST_SUPERNODES {
            self.counts.no_room += 1;
        } else {
            let owner = SUPERNODES + self.supernodes.len() as u32;
            let path = self.path_to(place.address);
            let mut association = Association::new(owner, place, path, now);
            association.is_told = is_told;
            self.supernodes.push(association);
        }
    }

    /// Follows what has changed around it.
    fn follow(&mut self, cx: &mut Cx<'_>, news: News) {
        let now = cx.env.now;
        if let Some(list) = &news.revoked {
            self.revoke(cx, list);
        }
        self.options.link_mtu = news.link_mtu;
        self.stations_are(news.stations, now);
        if news.candidates != self.options.candidates {
            // Those who know the old ones are told by the next registration, which is due at once.
            self.options.candidates = news.candidates;
            self.supernodes.iter_mut().for_each(|known| known.hurry(now));
            self.announce_again(now);
            let link_mtu = self.options.link_mtu;
            for remote in self.remotes.iter_mut().flatten() {
                remote.consider_again(link_mtu, now);
            }
        }
        for &place in &news.supernodes {
            if self
                .supernodes
                .iter()
                .any(|known| known.place.address == place.address)
            {
                continue;
            }
            let has_left = |known: &Association| {
                !known.registered
                    && news
                        .supernodes
                        .iter()
                        .all(|place| place.address != known.place.address)
            };
            let path = self.path_to(place.address);
            match self.supernodes.iter_mut().find(|known| has_left(known)) {
                Some(known) => known.moved(place, path, &mut self.own, now),
                None => self.associate(place, false, now),
            }
        }
        self.soon(now);
    }

    /// The peer with this key, made if there is room.
    fn remote_for(&mut self, key: PublicKey, now: Mono) -> Option<u32> {
        if key == self.own.local.public() {
            return None;
        }
        if let Some(&owner) = self.by_key.get(&key) {
            return Some(owner);
        }
        if self.by_key.len() >= self.options.peers {
            self.counts.no_room += 1;
            return None;
        }
        let owner = match self.remotes.iter().position(Option::is_none) {
            Some(free) => free,
            None => {
                self.remotes.push(None);
                self.remotes.len() - 1
            }
        };
        let latest = self.latest.of(&key);
        self.remotes[owner] = Some(Remote::new(owner as u32, key, latest, now));
        self.by_key.insert(key, owner as u32);
        Some(owner as u32)
    }

    fn remote(&mut self, owner: u32) -> Option<&mut Remote> {
        self.remotes.get_mut(owner as usize)?.as_mut()
    }

    /// Makes room for somebody who has shown that he knows the community's secret, at the cost of one of whom no more is
    /// known than that a supernode lists it.
    fn make_room(&mut self, key: &PublicKey, now: Mono) {
        if self.by_key.len() < self.options.peers || self.by_key.contains_key(key) {
            return;
        }
        let is_idle = |remote: &Option<Remote>| remote.as_ref().is_some_and(Remote::is_idle);
        if let Some(owner) = self.remotes.iter().position(is_idle) {
            self.forget(owner as u32, now);
        }
    }

    fn forget(&mut self, owner: u32, now: Mono) {
        for association in self.supernodes.iter_mut().filter(|known| known.skipped) {
            association.read_again(now);
        }
        self.relays.retain(|&relay| relay != owner);
        if let Some(remote) = self.remotes.get_mut(owner as usize).and_then(Option::take) {
            self.channels.left(MemberId {
                community: (),
                key: remote.peer.key(),
            });
            self.by_key.remove(&remote.peer.key());
            let mut peer = remote.peer;
            self.latest.keep(peer.key(), peer.latest().unwrap_or(0));
            peer.close(&mut self.own.numbers);
            self.carrier.switch.table_mut().forget_port(EdgePort::Peer(owner));
        }
    }

    fn frame(&mut self, cx: &mut Cx<'_>, rx: &Frame<'_>) {
        let now = cx.env.now;
        match self.carrier.decide(now, rx.bytes) {
            Forward::To(EdgePort::Peer(owner)) => self.send(cx, owner, rx),
            Forward::Flood(_) => {
                for owner in 0..self.remotes.len() as u32 {
                    if self.remotes[owner as usize].as_ref().is_some_and(Remote::is_up) {
                        self.send(cx, owner, rx);
                    }
                }
            }
            Forward::To(EdgePort::Tap) | Forward::Drop(_) => {}
        }
        self.flush.get_or_insert(now);
    }

    fn send(&mut self, cx: &mut Cx<'_>, owner: u32, rx: &Frame<'_>) {
        let Some(Some(remote)) = self.remotes.get_mut(owner as usize) else {
            return;
        };
        self.carrier
            .send(&self.own, cx, (owner, remote), rx.bytes, rx.offload);
        if let Some(best) = remote.best {
            let at = remote.legs[best].deadline(true);
            self.next = earlier(self.next, Some(at));
        }
        self.count_sent(owner, cx.env.now);
    }

    /// Looks at everything that may be due.
    fn tick(&mut self, cx: &mut Cx<'_>) {
        let now = cx.env.now;
        for place in 0..self.supernodes.len() {
            let event = self.supernodes[place].wake(&mut self.own, cx);
            self.happened(cx, Who::Supernode(place), None, event);
            while let Some(due) = self.supernodes[place].due(now) {
                self.ask(cx, place, due);
            }
        }
        for owner in 0..self.remotes.len() as u32 {
            let Some(remote) = self.remotes[owner as usize].as_mut() else {
                continue;
            };
            let event = remote.wake(&mut self.own, cx);
            let tells_way = remote.tells_way(now);
            let wants_relay = remote.wants_relay(now);
            let (key, gone) = (remote.peer.key(), remote.listed == 0 && !remote.is_up());
            let down = matches!(event, Some(Event::GaveUp | Event::Down));
            self.happened(cx, Who::Peer(owner), None, event);
            if tells_way {
                self.tell_path(owner);
            }
            if down && gone {
                self.forget(owner, now);
            } else if wants_relay {
                self.ask_relays(cx, key);
                self.ask_edges(cx, key);
            }
        }
        if now >= self.sweep {
            self.carrier.switch.age(now);
            self.sweep = now + SWEEP;
            for owner in 0..self.remotes.len() {
                if self.remotes[owner]
                    .as_ref()
                    .is_some_and(|remote| remote.is_stale(now))
                {
                    self.forget(owner as u32, now);
                }
            }
        }
        self.follow_channels(now);
        self.follow_tunnels(cx);
        self.follow_subflows(cx);
        self.next = self.all_deadlines();
    }

    fn all_deadlines(&self) -> Option<Mono> {
        let supernodes = self.supernodes.iter().map(|known| known.deadline(&self.own));
        let remotes = self
            .remotes
            .iter()
            .flatten()
            .map(|remote| remote.deadline(&self.own));
        let tunnels = self.tunnels.iter().map(Tunnels::deadline);
        supernodes
            .chain(remotes)
            .chain(tunnels)
            .fold(Some(self.sweep), earlier)
    }

    fn soon(&mut self, at: Mono) {
        self.next = earlier(self.next, Some(at));
    }

    fn unreachable(&mut self, cx: &mut Cx<'_>, report: &Unreachable) {
        let now = cx.env.now;
        if report.error != TOO_LONG && self.port_unreachable(cx, report) {
            return;
        }
        for remote in self.remotes.iter_mut().flatten() {
            for leg in &mut remote.legs {
                if leg.way.path.remote == report.path.remote {
                    if report.error == TOO_LONG {
                        leg.too_long();
                    } else if leg.way.via == Via::Direct {
                        leg.state.refused();
                    }
                }
            }
            remote.choose();
        }
        self.soon(now);
    }

    fn stop(&mut self, cx: &mut Cx<'_>) {
        self.carrier.flush(&self.own, cx, &mut self.remotes);
        self.farewell(cx);
        self.stopped = true;
    }
}

impl Machine for Edge {
    fn handle(&mut self, cx: &mut Cx<'_>, input: Input<'_>) {
        let now = cx.env.now;
        if !self.started {
            self.start(cx);
        }
        match input {
            Input::Datagram(rx) => self.datagram(cx, &rx),
            Input::Frame(rx) if rx.link == self.options.tap => self.frame(cx, &rx),
            Input::Wake => {
                if self.flush.take().is_some() {
                    self.carrier.flush(&self.own, cx, &mut self.remotes);
                }
                if self.next.is_none_or(|next| next <= now) {
                    self.tick(cx);
                }
            }
            Input::LinkChanged(link, _) if link != self.options.tap => {
                let link_mtu = self.options.link_mtu;
                for remote in self.remotes.iter_mut().flatten() {
                    remote.hurry(link_mtu, now);
                }
                self.supernodes.iter_mut().for_each(|known| known.hurry(now));
                self.soon(now);
            }
            Input::Socket(id, outcome) => self.port(id, outcome, now),
            Input::Unreachable(report, _) => self.unreachable(cx, &report),
            Input::Report => {
                while let Some(news) = self.own.observer.news() {
                    self.follow(cx, news);
                }
                let status = self.status();
                self.own.observer.status(status);
            }
            Input::Stop | Input::Drain if !self.stopped => self.stop(cx),
            _ => {}
        }
    }

    fn deadline(&self) -> Option<Deadline> {
        if self.stopped {
            return None;
        }
        if let Some(at) = self.flush {
            return Some(Deadline::new(at, "end of batch"));
        }
        self.next.map(|at| Deadline::new(at, "overlay"))
    }

    fn finished(&self) -> bool {
        self.stopped
    }
}
