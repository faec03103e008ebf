//! What an edge says to supernodes and peers beside frames, and what it does about what they say.

use super::association::Due;
use super::path::Via;
use super::remote::path_number;
use super::{Edge, EdgeEvent, EdgePort, Who, YIELD};
use crate::PublicKey;
use crate::crypto::{Event, Refusal};
use crate::way::{PONG_LEN, UNKNOWN_LEN, Way, say};
use crate::wire::{Control, Controls, Introduced, Registration, Status, WireError, feature};
use halloo_base::{Cx, Mono, Nanos};
use std::net::SocketAddr;
use std::time::Duration;

/// The type of a registration.
const REGISTER: u8 = 16;

/// Questions of one datagram that are answered.
const MOST_ANSWERS: usize = 4;

impl Edge {
    /// A session came, went or was refused.
    pub(super) fn happened(&mut self, cx: &mut Cx<'_>, who: Who, way: Option<Way>, event: Option<Event>) {
        let Some(event) = event else { return };
        let now = cx.env.now;
        let (key, name) = match who {
            Who::Supernode(place) => (self.supernodes[place].key(), String::new()),
            Who::Peer(owner) => {
                let remote = self.remote(owner);
                remote.map_or((None, String::new()), |remote| {
                    (Some(remote.peer.key()), remote.name.clone())
                })
            }
        };
        match who {
            Who::Supernode(place) => self.supernode_happened(place, &event, now),
            Who::Peer(owner) => self.peer_happened(owner, way, &event, now),
        }
        let (Event::Refused(refusal) | Event::Refuses(refusal)) = &event else {
            return;
        };
        if let Some(key) = key {
            let by_us = matches!(event, Event::Refuses(_));
            self.tell_refusal(who, (key, name), by_us, refusal);
        }
    }

    /// Tells of a refusal. It is tried again and again; who reads it needs to hear it once.
    pub(super) fn tell_refusal(
        &mut self,
        who: Who,
        (key, name): (PublicKey, String),
        by_us: bool,
        refusal: &Refusal,
    ) {
        let told = match who {
            Who::Supernode(place) => &mut self.supernodes[place].told_refusals,
            Who::Peer(owner) => match self.remote(owner) {
                Some(remote) => &mut remote.told_refusals,
                None => return,
            },
        };
        let told = &mut told[usize::from(by_us)];
        if told.as_ref() == Some(refusal) {
            return;
        }
        *told = Some(refusal.clone());
        self.own.tell(EdgeEvent::Refused {
            key,
            name,
            by_us,
            refusal: refusal.clone(),
        });
    }

    fn supernode_happened(&mut self, place: usize, event: &Event, now: Mono) {
        let association = &mut self.supernodes[place];
        match event {
            Event::Up { follows } => {
                let agreed = association.peer.as_ref().and_then(|peer| peer.agreed());
                association.seen = agreed.and_then(|agreed| agreed.seen).or(association.seen);
                association.up(now, *follows);
            }
            Event::Refused(_) | Event::Refuses(_) => association.restart(&mut self.own, now),
            Event::GaveUp | Event::Down => self.supernode_lost(place),
        }
        self.soon(now);
    }

    fn supernode_lost(&mut self, place: usize) {
        let association = &mut self.supernodes[place];
        if !std::mem::replace(&mut association.lost, true) {
            let address = association.place.address;
            self.own.tell(EdgeEvent::SupernodeLost(address));
        }
    }

    fn peer_happened(&mut self, owner: u32, way: Option<Way>, event: &Event, now: Mono) {
        let (link_mtu, tunnelled) = (self.options.link_mtu, self.tunnels.is_some());
        let Some(remote) = self.remote(owner) else { return };
        match event {
            Event::Up { follows } => {
                remote.refusal = None;
                remote.told_refusals = [None, None];
                if let Some(way) = way.filter(|_| !*follows) {
                    remote.proved(way, link_mtu, now);
                }
                if tunnelled {
                    // A session that follows another may be with somebody who was started again.
                    remote.tunnel.up(now);
                }
                let told = remote.peer.agreed().map(|agreed| {
                    if !agreed.name.is_empty() {
                        remote.name.clone_from(&agreed.name);
                    }
                    EdgeEvent::PeerUp {
                        key: remote.peer.key(),
                        name: remote.name.clone(),
                        cipher: agreed.cipher,
                        compression: agreed.compression,
                    }
                });
                if let Some(told) = told.filter(|_| !follows) {
                    self.own.tell(told);
                }
            }
            Event::Down => {
                let (key, name) = (remote.peer.key(), remote.name.clone());
                remote.down(link_mtu, now);
                self.own.tell(EdgeEvent::PeerDown { key, name });
            }
            Event::Refused(refusal) | Event::Refuses(refusal) => remote.refused(refusal.clone(), now),
            Event::GaveUp => {}
        }
        self.soon(now);
    }

    pub(super) fn tell_path(&mut self, owner: u32) {
        let told = self.remote(owner).and_then(|remote| {
            let leg = &remote.legs[remote.best?];
            Some(EdgeEvent::PathChanged {
                key: remote.peer.key(),
                name: remote.name.clone(),
                remote: leg.way.path.remote,
                relayed: leg.way.via != Via::Direct,
                round_trip: leg.state.round_trip(),
            })
        });
        if let Some(told) = told {
            self.own.tell(told);
        }
    }

    /// Takes what a supernode or a peer says. `leg` is the way it came by, of a peer; `size` that of its datagram.
    pub(super) fn controls(
        &mut self,
        cx: &mut Cx<'_>,
        who: Who,
        way: Way,
        leg: Option<usize>,
        content: &[u8],
        size: usize,
    ) {
        let Some((&kind, tlvs)) = content.split_first() else {
            return;
        };
        if kind != crate::wire::Content::Control as u8 {
            return;
        }
        let mut answers = 0;
        // All pongs together are no longer than what asked for them: where it came from may be a lie.
        let mut room = size;
        for control in Controls::new(tlvs) {
            match control {
                Ok(Control::Ping { .. }) if room < PONG_LEN => self.counts.bad_control += 1,
                Ok(Control::Ping { .. } | Control::OpenChannel(_)) if answers >= MOST_ANSWERS => {
                    self.counts.bad_control += 1;
                }
                Ok(control) => {
                    if matches!(control, Control::Ping { .. }) {
                        room -= PONG_LEN;
                    }
                    answers += usize::from(matches!(control, Control::Ping { .. } | Control::OpenChannel(_)));
                    self.control(cx, who, way, leg, control, size);
                }
                Err(WireError::UnknownType(kind)) => {
                    self.counts.bad_control += 1;
                    if answers < MOST_ANSWERS && room >= UNKNOWN_LEN {
                        room -= UNKNOWN_LEN;
                        answers = MOST_ANSWERS;
                        self.answer(cx, who, way, leg, &Control::Unknown(kind));
                    }
                }
                Err(_) => self.counts.bad_control += 1,
            }
        }
    }

    fn control(
        &mut self,
        cx: &mut Cx<'_>,
        who: Who,
        way: Way,
        leg: Option<usize>,
        control: Control,
        size: usize,
    ) {
        let now = cx.env.now;
        match (control, who) {
            (Control::Ping { number, time, .. }, _) => {
                let pong = Control::Pong {
                    number,
                    time,
                    size: u16::try_from(size).unwrap_or(u16::MAX),
                    seen: way.path.remote,
                    waited: 0,
                };
                self.answer(cx, who, way, leg, &pong);
            }
            (
                Control::Pong {
                    number,
                    time,
                    seen,
                    waited,
                    ..
                },
                _,
            ) => {
                let took = Nanos(now.0.saturating_sub(time) as i64) - Nanos(waited as i64);
                self.pong(who, leg, number, took, seen, now);
            }
            (Control::Close { words, .. }, Who::Supernode(place)) => {
                let _ = words;
                self.supernodes[place].restart(&mut self.own, now);
                self.supernode_lost(place);
                self.soon(now);
            }
            (Control::Close { reason, words }, Who::Peer(owner)) => self.closed(owner, reason, words, now),
            (control, Who::Supernode(place)) => self.supernode_says(cx, place, control),
            (Control::Candidates(candidates), Who::Peer(owner)) => {
                self.consider_all(owner, &candidates, now);
            }
            (Control::Flush(macs), Who::Peer(owner)) => {
                for mac in macs {
                    self.carrier.switch.table_mut().forget(mac, EdgePort::Peer(owner));
                }
            }
            (Control::Vtep(vtep), Who::Peer(owner)) => self.vtep(owner, vtep, now),
            (Control::OpenChannel(key), Who::Peer(owner)) => self.open_channel(cx, owner, key),
            (Control::Channel { key, number, .. }, Who::Peer(owner)) => {
                self.carried(owner, way, key, number, now);
            }
            (Control::Unknown(_) | Control::Refused { .. }, Who::Peer(_)) => {}
            (_, Who::Peer(_)) => self.counts.bad_control += 1,
        }
    }

    fn pong(&mut self, who: Who, leg: Option<usize>, number: u32, took: Nanos, seen: SocketAddr, now: Mono) {
        match who {
            Who::Supernode(place) => {
                let association = &mut self.supernodes[place];
                association.answered(number, took, now);
                if association.seen != Some(seen) {
                    // We are somewhere else now: the others should know.
                    association.seen = Some(seen);
                    association.hurry(now);
                }
            }
            Who::Peer(owner) => {
                let (Some(remote), Some(at)) = (self.remote(owner), leg) else {
                    return;
                };
                remote.answered(at, number, took, now);
                remote.choose();
            }
        }
        self.soon(now);
    }

    fn answer(&mut self, cx: &mut Cx<'_>, who: Who, way: Way, leg: Option<usize>, control: &Control) {
        let control = std::slice::from_ref(control);
        match who {
            Who::Supernode(place) => {
                self.supernodes[place].say(&self.own, cx, control);
            }
            Who::Peer(owner) => {
                if let (Some(Some(remote)), Some(at)) = (self.remotes.get_mut(owner as usize), leg) {
                    let own = (cx.env.now, &self.own.local);
                    say(own, &mut remote.peer, (path_number(at), &way), cx.out, control);
                }
            }
        }
    }

    fn closed(&mut self, owner: u32, reason: Status, words: String, now: Mono) {
        let Some(Some(remote)) = self.remotes.get_mut(owner as usize) else {
            return;
        };
        remote.peer.close(&mut self.own.numbers);
        remote.down(self.options.link_mtu, now);
        let (key, name) = (remote.peer.key(), remote.name.clone());
        if reason == Status::Agreed {
            remote.listed = 0;
            self.own.tell(EdgeEvent::PeerDown { key, name });
            self.forget(owner, now);
            return;
        }
        let refusal = Refusal {
            status: reason,
            words,
        };
        remote.refused(refusal.clone(), now);
        self.tell_refusal(Who::Peer(owner), (key, name), false, &refusal);
    }

    fn supernode_says(&mut self, cx: &mut Cx<'_>, place: usize, control: Control) {
        let now = cx.env.now;
        match control {
            Control::Registered {
                lifetime,
                address,
                members,
                strangers,
            } => {
                let association = &mut self.supernodes[place];
                let first = !association.registered || strangers > association.strangers;
                association.strangers = strangers;
                association.registered(Duration::from_secs(lifetime.max(3).into()), now);
                association.members = members;
                if first && let Some(key) = association.key() {
                    let told = EdgeEvent::Registered {
                        supernode: association.place.address,
                        key,
                        seen: association.seen,
                        members,
                        strangers,
                    };
                    self.own.tell(told);
                }
                if let Some(address) = address {
                    self.given(place, address, Duration::from_secs(lifetime.into()), now);
                }
                self.soon(now);
            }
            Control::Members {
                next,
                more,
                anew,
                members,
                gone,
            } => {
                let is_news = members.is_empty() && gone.is_empty() && more > 0 && !anew;
                if is_news {
                    self.supernodes[place].has_news(now);
                } else {
                    self.listed(place, anew, &members, &gone, now);
                    self.supernodes[place].page(next, more > 0, now);
                    if more == 0 {
                        let bit = 1u64 << place;
                        let listed = self
                            .remotes
                            .iter()
                            .flatten()
                            .filter(|remote| remote.listed & bit != 0);
                        self.supernodes[place].counted(listed.count());
                    }
                }
                self.soon(now);
            }
            Control::Meet { key, candidates } => {
                if let Some(owner) = self.remote_for(key, now) {
                    self.consider_all(owner, &candidates, now);
                    self.meet(owner, now);
                }
            }
            Control::Channel { key, number, .. } => {
                let (way, link_mtu) = (self.supernodes[place].way(), self.options.link_mtu);
                if let Some(owner) = self.remote_for(key, now)
                    && let Some(remote) = self.remote(owner)
                {
                    remote.consider_channel(way, number, link_mtu, now);
                    self.meet(owner, now);
                }
            }
            Control::Supernodes(others) => {
                for other in others {
                    let place = super::SupernodePlace {
                        address: other.address,
                        key: Some(other.key),
                    };
                    self.associate(place, true, now);
                }
                self.soon(now);
            }
            Control::Refused { kind, reason, words } => {
                let association = &mut self.supernodes[place];
                if kind == REGISTER {
                    association.refused(now);
                }
                let refusal = Refusal {
                    status: reason,
                    words,
                };
                if let Some(key) = association.key() {
                    self.tell_refusal(Who::Supernode(place), (key, String::new()), false, &refusal);
                }
            }
            Control::Unknown(_) => {}
            _ => self.counts.bad_control += 1,
        }
    }

    /// A page of a supernode's list.
    fn listed(&mut self, place: usize, anew: bool, members: &[Introduced], gone: &[PublicKey], now: Mono) {
        let bit = 1u64 << place;
        if anew {
            self.remotes
                .iter_mut()
                .flatten()
                .for_each(|remote| remote.listed &= !bit);
        }
        for member in members {
            let Some(owner) = self.remote_for(member.key, now) else {
                self.supernodes[place].skipped |= member.key != self.own.local.public();
                continue;
            };
            if let Some(remote) = self.remote(owner) {
                remote.listed |= bit;
                remote.hides = member.features & feature::NO_DIRECT != 0;
                if remote.name.is_empty() {
                    remote.name.clone_from(&member.name);
                }
            }
            self.consider_all(owner, &member.candidates, now);
            self.meet(owner, now);
        }
        for key in gone {
            if let Some(&owner) = self.by_key.get(key)
                && let Some(remote) = self.remote(owner)
            {
                remote.listed &= !bit;
                if remote.listed == 0 && !remote.is_up() {
                    self.forget(owner, now);
                }
            }
        }
    }

    /// The smaller key begins; the other one does if nothing has come of it after a while.
    pub(super) fn meet(&mut self, owner: u32, now: Mono) {
        let ours = self.own.local.public();
        if let Some(remote) = self.remote(owner) {
            let at = if ours < remote.peer.key() {
                now
            } else {
                now + YIELD
            };
            remote.meet(at, now);
        }
        self.soon(now);
    }

    pub(super) fn consider_all(&mut self, owner: u32, candidates: &[SocketAddr], now: Mono) {
        if !self.options.direct {
            return;
        }
        let own_address = |address: &SocketAddr| self.options.candidates.contains(address);
        let ways: Vec<Way> = candidates
            .iter()
            .filter(|address| is_usable(address) && !own_address(address))
            .map(|&address| Way::direct(self.path_to(address)))
            .collect();
        let link_mtu = self.options.link_mtu;
        // Who wants no direct path is not asked at addresses, whoever tells of them.
        if let Some(remote) = self.remote(owner).filter(|remote| !remote.hides()) {
            for way in ways {
                remote.consider_told(way, link_mtu, now);
            }
        }
    }

    /// Asks a supernode for what is due.
    pub(super) fn ask(&mut self, cx: &mut Cx<'_>, place: usize, due: Due) {
        let controls = match due {
            Due::List(bookmark) => vec![Control::List(bookmark)],
            Due::Register => {
                let options = &self.options;
                let register = Registration {
                    lifetime: options.lifetime.as_secs() as u16,
                    macs: vec![options.mac],
                    addresses: options.addresses.clone(),
                    wants_address: options.wants_address,
                    name: self.own.local.offer.name.clone(),
                };
                vec![
                    Control::Register(register),
                    Control::Candidates(self.told_candidates()),
                ]
            }
        };
        self.supernodes[place].say(&self.own, cx, &controls);
    }

    /// Where others are told that they might reach us: nowhere, if we want no direct path.
    fn told_candidates(&self) -> Vec<SocketAddr> {
        match self.options.direct {
            true => self.options.candidates.clone(),
            false => vec![],
        }
    }

    /// Asks those who know a peer to introduce us, and to carry for us until we have met.
    pub(super) fn ask_relays(&mut self, cx: &mut Cx<'_>, key: PublicKey) {
        let candidates = self.told_candidates();
        for association in &mut self.supernodes {
            if association.registered {
                let meet = Control::Meet {
                    key,
                    candidates: candidates.clone(),
                };
                association.say(&self.own, cx, &[meet, Control::OpenChannel(key)]);
            }
        }
    }

    pub(super) fn farewell(&mut self, cx: &mut Cx<'_>) {
        let close = [Control::Close {
            reason: Status::Agreed,
            words: String::new(),
        }];
        for remote in self.remotes.iter_mut().flatten() {
            if let Some(at) = remote.best {
                let (own, way) = ((cx.env.now, &self.own.local), remote.legs[at].way);
                say(own, &mut remote.peer, (path_number(at), &way), cx.out, &close);
            }
        }
        for association in &mut self.supernodes {
            association.say(&self.own, cx, &close);
        }
    }
}

/// Whether a peer can be there.
fn is_usable(address: &SocketAddr) -> bool {
    let ip = address.ip();
    address.port() != 0 && !ip.is_unspecified() && !ip.is_multicast()
}
