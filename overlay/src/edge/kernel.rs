//! What an edge does where the kernel carries its frames: it tells its peers where its VXLAN device is and who is behind
//! it, hears the same of them, and says what follows for the device.

use super::carrier::Member as Claims;
use super::event::EdgeEvent;
use super::options::VxlanDevice;
use super::own::earlier;
use super::path::Via;
use super::remote::{Remote, path_number};
use super::{Edge, EdgePort};
use crate::Mac;
use crate::vxlan::{Member, Unreachable};
use crate::way::say;
use crate::wire::{Control, Vtep};
use halloo_base::{Cx, Mono, Offload};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// What is said once may be lost: it is said again after this, then after twice as long, and so on.
const AGAIN: Duration = Duration::from_secs(1);
/// ... and for ever after this.
const SELDOM: Duration = Duration::from_secs(60);
/// For so long something is said to be new, so that it may be lost once or twice.
const FRESH: Duration = Duration::from_secs(5);
/// Peers are told of stations that came and went no more often than this: a station may come with each frame.
const REST: Duration = Duration::from_secs(1);
/// Frames go by the kernel, so nobody sees whether long ones still pass: it is looked this often.
const LOOK: Duration = Duration::from_secs(15);
/// What comes together is looked at together.
const SETTLES: Duration = Duration::from_millis(10);
/// A state that stays so long is told of.
const TELL: Duration = Duration::from_secs(1);
/// Stations of our own at most: as many as a peer takes.
const MOST_STATIONS: usize = 1_024;
/// Our own addresses in one message.
const MOST_ADDRESSES: usize = 16;

/// What an edge knows for all of its tunnels.
pub(super) struct Tunnels {
    device: VxlanDevice,
    /// Stations behind the device, itself aside.
    stations: Vec<Mac>,
    /// Those that came last, and until when each is new.
    fresh: Vec<(Mac, Mono)>,
    /// Stations that were there, of which peers have not heard yet.
    gone: Vec<Mac>,
    /// When peers hear of those that came and went, when they did last, and how long until they hear it again.
    news: Option<Mono>,
    told: Option<Mono>,
    step: Duration,
    /// What was said of the members last.
    said: Vec<Member>,
}

/// The tunnel to one peer.
#[derive(Default)]
pub(super) struct Tunnel {
    /// What it says of its device.
    port: Option<u16>,
    addresses: Vec<IpAddr>,
    /// The way whose far end the kernel sends to.
    pub(super) leg: Option<usize>,
    announce: Option<Mono>,
    step: Duration,
    /// Until when it may not know us.
    fresh_until: Mono,
    look: Option<Mono>,
    /// What was told of last, and what is to be told when it has stayed so.
    told: Option<Result<SocketAddr, Unreachable>>,
    tell: Option<(Mono, Result<SocketAddr, Unreachable>)>,
}

impl Tunnel {
    /// There is a session, which may be with somebody who knows nothing.
    pub(super) fn up(&mut self, now: Mono) {
        self.announce = Some(now);
        self.step = AGAIN;
        self.fresh_until = now + FRESH;
    }

    /// There is none any more.
    pub(super) fn down(&mut self) {
        *self = Tunnel::default();
    }

    pub(super) fn deadline(&self) -> Option<Mono> {
        let tell = self.tell.map(|(at, _)| at);
        earlier(self.announce, earlier(self.look, tell))
    }
}

impl Tunnels {
    pub(super) fn new(device: VxlanDevice) -> Tunnels {
        Tunnels {
            device,
            stations: vec![],
            fresh: vec![],
            gone: vec![],
            news: None,
            told: None,
            step: AGAIN,
            said: vec![],
        }
    }

    /// When peers are to hear of stations that came or went.
    pub(super) fn deadline(&self) -> Option<Mono> {
        self.news
    }

    /// Stations that came just now.
    fn fresh(&self) -> Vec<Mac> {
        self.fresh.iter().map(|(mac, _)| *mac).collect()
    }

    /// These stations are there now. Known ones stay before new ones, if they are too many. Returns whether some came or went.
    fn stations_are(&mut self, mut stations: Vec<Mac>, now: Mono) -> bool {
        const MOST: usize = MOST_STATIONS - 1;
        stations.sort_unstable();
        stations.dedup();
        let is_known = |known: &[Mac], mac: &Mac| known.binary_search(mac).is_ok();
        if stations.len() > MOST {
            stations.sort_by_key(|mac| !is_known(&self.stations, mac));
            stations.truncate(MOST);
            stations.sort_unstable();
        }
        if stations == self.stations {
            return false;
        }
        let before = std::mem::replace(&mut self.stations, stations);
        let here = &self.stations;
        self.fresh.retain(|(mac, _)| is_known(here, mac));
        self.gone.retain(|mac| !is_known(here, mac));
        let came = here.iter().filter(|mac| !is_known(&before, mac));
        self.fresh.extend(came.map(|mac| (*mac, now + FRESH)));
        let gone = before.iter().filter(|mac| !is_known(here, mac));
        // Of more than that peers find out by themselves.
        let room = MOST_STATIONS.saturating_sub(self.gone.len());
        self.gone.extend(gone.take(room));
        self.step = AGAIN;
        self.news = Some(self.told.map_or(now, |told| now.max(told + REST)));
        true
    }

    /// Peers were told of those that came and went: of those that came they hear again, as long as these are new.
    fn told(&mut self, now: Mono) {
        self.gone.clear();
        self.told = Some(now);
        self.news = (!self.fresh.is_empty()).then_some(now + self.step);
        self.step *= 2;
    }

    /// Where the kernel would reach a peer: the far end of a way that works, if it is the peer's own address. Of several
    /// the one that he names first: he knows which of his addresses are tunnels themselves.
    fn vtep(&self, remote: &Remote) -> Result<(usize, SocketAddr), Unreachable> {
        let port = remote.tunnel.port.ok_or(Unreachable::Unknown)?;
        let mut why = Unreachable::Silent;
        let mut found: Option<(usize, usize, SocketAddr)> = None;
        for (at, leg) in remote.legs.iter().enumerate() {
            if !leg.state.works() {
                continue;
            }
            let own = |ip: IpAddr| remote.tunnel.addresses.iter().position(|own| *own == ip);
            let ip = leg.way.path.remote.ip().to_canonical();
            let here = match leg.way.via {
                Via::Channel(_) => Unreachable::Relayed,
                Via::Direct if ip.is_ipv6() != self.device.ipv6 => Unreachable::Family,
                Via::Direct => match own(ip) {
                    Some(rank) if found.is_none_or(|(best, ..)| rank < best) => {
                        found = Some((rank, at, SocketAddr::new(ip, port)));
                        continue;
                    }
                    Some(_) => continue,
                    None => Unreachable::Nat,
                },
            };
            // What is nearest to a tunnel says most.
            why = why.max(here);
        }
        found.map(|(_, at, to)| (at, to)).ok_or(why)
    }
}

impl Edge {
    /// Something has come that may change what the kernel is to do.
    pub(super) fn look_at_tunnels(&mut self, now: Mono) {
        if self.tunnels.is_some() {
            self.soon(now + SETTLES);
        }
    }

    /// Does what is due for all tunnels, and says what has changed.
    pub(super) fn follow_tunnels(&mut self, cx: &mut Cx<'_>) {
        let Some(mut tunnels) = self.tunnels.take() else {
            return;
        };
        let now = cx.env.now;
        tunnels.fresh.retain(|(_, until)| now < *until);
        let has_news = tunnels.news.is_some_and(|at| at <= now);
        for owner in 0..self.remotes.len() {
            if self.remotes[owner].as_ref().is_some_and(Remote::is_up) {
                self.follow_tunnel(cx, &tunnels, owner);
                if has_news {
                    self.tell_stations(cx, &tunnels, owner, (&tunnels.fresh(), &[]));
                }
            }
        }
        if has_news {
            tunnels.told(now);
        }
        let members = self.members(&tunnels, cx.env.now);
        if members != tunnels.said {
            tunnels.said.clone_from(&members);
            self.own.observer.members(members);
        }
        self.tunnels = Some(tunnels);
    }

    fn follow_tunnel(&mut self, cx: &mut Cx<'_>, tunnels: &Tunnels, owner: usize) {
        let now = cx.env.now;
        let Some(Some(remote)) = self.remotes.get_mut(owner) else {
            return;
        };
        let vtep = tunnels.vtep(remote);
        remote.tunnel.leg = vtep.ok().map(|(at, _)| at);
        let due = |at: Option<Mono>| at.is_some_and(|at| at <= now);
        if remote.tunnel.look.is_none() || due(remote.tunnel.look) {
            remote.tunnel.look = Some(now + LOOK);
            if let Some(at) = remote.tunnel.leg {
                remote.legs[at].used();
            }
        }
        let vtep = vtep.map(|(_, to)| to);
        let tunnel = &mut remote.tunnel;
        match tunnel.tell {
            _ if tunnel.told == Some(vtep) => tunnel.tell = None,
            Some((at, same)) if same == vtep => {
                if at <= now {
                    tunnel.tell = None;
                    tunnel.told = Some(vtep);
                    let (key, name) = (remote.peer.key(), remote.name.clone());
                    self.own.observer.event(EdgeEvent::Vtep { key, name, vtep });
                }
            }
            _ => tunnel.tell = Some((now + TELL, vtep)),
        }
        if due(remote.tunnel.announce) {
            remote.tunnel.announce = Some(now + remote.tunnel.step);
            remote.tunnel.step = (remote.tunnel.step * 2).min(SELDOM);
            self.announce(cx, tunnels, owner);
        }
    }

    /// Tells a peer where our device is and who is behind it.
    fn announce(&mut self, cx: &mut Cx<'_>, tunnels: &Tunnels, owner: usize) {
        let Some(Some(remote)) = self.remotes.get_mut(owner) else {
            return;
        };
        let now = cx.env.now;
        let mut fresh = tunnels.fresh();
        let mut stations = tunnels.stations.clone();
        stations.retain(|mac| !fresh.contains(mac));
        // Of our own address there can be no doubt.
        match now < remote.tunnel.fresh_until {
            true => fresh.push(self.options.mac),
            false => stations.push(self.options.mac),
        }
        self.tell_stations(cx, tunnels, owner, (&fresh, &stations));
    }

    /// Tells a peer of these stations, those that came just now and others, and of those that went.
    fn tell_stations(
        &mut self,
        cx: &mut Cx<'_>,
        tunnels: &Tunnels,
        owner: usize,
        (fresh, stations): (&[Mac], &[Mac]),
    ) {
        let Some(Some(remote)) = self.remotes.get_mut(owner) else {
            return;
        };
        let Some(best) = remote.best else { return };
        let now = cx.env.now;
        let addresses = self.options.candidates.iter();
        let addresses = addresses.map(SocketAddr::ip).take(MOST_ADDRESSES);
        let addresses: Vec<IpAddr> = addresses.collect();
        let gone = tunnels.gone.chunks(Vtep::STATIONS);
        let gone = gone.map(|some| Control::Flush(some.to_vec()));
        let vtep = |fresh, some: &[Mac]| {
            Control::Vtep(Vtep {
                port: tunnels.device.port,
                fresh,
                addresses: addresses.clone(),
                stations: some.to_vec(),
            })
        };
        let new = fresh.chunks(Vtep::STATIONS).map(|some| vtep(true, some));
        let old = stations.chunks(Vtep::STATIONS).map(|some| vtep(false, some));
        let way = remote.legs[best].way;
        for control in gone.chain(new).chain(old) {
            say(
                (now, &self.own.local),
                &mut remote.peer,
                (path_number(best), &way),
                cx.out,
                &[control],
            );
        }
    }

    fn members(&self, tunnels: &Tunnels, now: Mono) -> Vec<Member> {
        let remotes = self.remotes.iter().enumerate();
        let up = remotes.filter_map(|(owner, remote)| Some((owner as u32, remote.as_ref()?)));
        let mut members: Vec<Member> = up
            .filter(|(_, remote)| remote.is_up())
            .map(|(owner, remote)| {
                let vtep = tunnels.vtep(remote);
                let table = self.carrier.switch.table();
                let mut stations: Vec<Mac> = table
                    .stations(now, EdgePort::Peer(owner))
                    .map(|(mac, _)| mac)
                    .collect();
                stations.sort_unstable();
                Member {
                    key: remote.peer.key(),
                    name: remote.name.clone(),
                    vtep: vtep.map(|(_, to)| to),
                    mtu: vtep.ok().and_then(|(at, _)| remote.legs[at].decided_mtu()),
                    stations,
                }
            })
            .collect();
        members.sort_by_key(|member| member.key);
        members
    }

    /// Where the kernel reaches a peer, or why it does not.
    pub(super) fn vtep_of(&self, remote: &Remote) -> Option<Result<SocketAddr, Unreachable>> {
        let tunnels = self.tunnels.as_ref().filter(|_| remote.is_up())?;
        Some(tunnels.vtep(remote).map(|(_, to)| to))
    }

    /// A peer says where its device is and who is behind it.
    pub(super) fn vtep(&mut self, owner: u32, vtep: Vtep, now: Mono) {
        let Some(Some(remote)) = self.remotes.get_mut(owner as usize) else {
            return;
        };
        let Some(tunnels) = self.tunnels.as_mut().filter(|_| vtep.port != 0) else {
            self.counts.bad_control += 1;
            return;
        };
        if vtep.fresh {
            // They have gone on from here.
            tunnels.fresh.retain(|(mac, _)| !vtep.stations.contains(mac));
        }
        remote.tunnel.port = Some(vtep.port);
        remote.tunnel.addresses = vtep.addresses;
        let claims = Claims(remote.peer.agreed(), Offload::default());
        for mac in vtep.stations {
            self.carrier
                .switch
                .announced(now, EdgePort::Peer(owner), mac, vtep.fresh, &claims);
        }
    }

    /// These stations are behind the device now. Peers hear of those that came, and of those that went.
    pub(super) fn stations_are(&mut self, mut stations: Vec<Mac>, now: Mono) {
        let own = self.options.mac;
        let Some(tunnels) = &mut self.tunnels else { return };
        stations.retain(|mac| *mac != own);
        if tunnels.stations_are(stations, now) {
            self.soon(now);
        }
    }

    /// What we say of ourselves is no longer true: everybody is told again.
    pub(super) fn announce_again(&mut self, now: Mono) {
        if self.tunnels.is_some() {
            for remote in self.remotes.iter_mut().flatten().filter(|remote| remote.is_up()) {
                remote.tunnel.up(now);
            }
            self.soon(now);
        }
    }
}

#[cfg(test)]
mod tests;
