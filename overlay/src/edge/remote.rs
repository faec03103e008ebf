//! Another edge: the sessions with it, the ways to it, and what waits to be sent.

use super::event::{PathStatus, PeerStatus};
use super::hearsay::Hearsay;
use super::kernel::Tunnel;
use super::leg::{Leg, Ping};
use super::own::{Own, earlier};
use super::path::{Health, Via, is_better};
use super::subflows::{MOST_FLOWS, Subflows};
use crate::crypto::{Class, Event, Peer, Refusal, Role, Step};
use crate::frame::{Probe, Reassembler};
use crate::way::{PING_PADDING, SHORTEST_PING, Way, say_as};
use crate::wire::{Control, feature};
use crate::{Compression, PublicKey};
use halloo_base::{Cx, Mono, Nanos, Offload, Transmit};
use std::net::SocketAddr;
use std::time::Duration;

/// Ways to one peer: as many as a session has counters for, but for the one that greetings use.
const MOST_LEGS: usize = 15;
/// Octets of frames that wait for their parts, of one peer.
const FRAGMENTS: usize = 256 * 1024;
/// Who refused, or did not answer, is asked again after this.
const AGAIN: Duration = Duration::from_secs(30);
/// A relay is asked again for its channel after this, while it is needed.
const RENEW: Duration = Duration::from_secs(45);
/// Relays are asked when there has been no direct way for so long, ...
const RELAY_AFTER: Duration = Duration::from_millis(300);
/// ... and again after this and twice as long, until one carries.
const RELAY_AGAIN: Duration = Duration::from_millis(500);
/// A way is told of when it has been in use for so long.
const SETTLES: Duration = Duration::from_millis(300);

/// A datagram's content as far as it is written.
#[derive(Default)]
pub(super) struct Waiting {
    pub(super) content: Vec<u8>,
    pub(super) len: usize,
}

/// Another edge.
pub(super) struct Remote {
    pub(super) peer: Peer,
    pub(super) name: String,
    pub(super) legs: Vec<Leg>,
    /// Where it was said to be, and did not answer.
    pub(super) hearsay: Hearsay,
    /// The way that frames go.
    pub(super) best: Option<usize>,
    /// Whole frames that wait to go in one datagram of their flow.
    pub(super) waiting: [Waiting; MOST_FLOWS],
    pub(super) subflows: Subflows,
    pub(super) fragments: Reassembler,
    pub(super) probe: Probe,
    /// Which supernodes list it: a bit for each.
    pub(super) listed: u64,
    /// A supernode says that it wants no direct path.
    pub(super) hides: bool,
    pub(super) refusal: Option<Refusal>,
    /// What was told of refusals last, the other's and ours.
    pub(super) told_refusals: [Option<Refusal>; 2],
    pub(super) sent: (u64, u64),
    pub(super) received: (u64, u64),
    begin_at: Option<Mono>,
    /// When to ask relays for a channel, while there is no direct way.
    relay_at: Option<Mono>,
    relay_step: Duration,
    /// The way that was told of last, and when to tell of another.
    told: Option<Way>,
    tell_at: Option<Mono>,
    since: Mono,
    /// When a new way last made it begin again.
    hurried: Option<Mono>,
    /// What it says of its VXLAN device, and what it was told of ours.
    pub(super) tunnel: Tunnel,
}

impl Remote {
    /// One whose initiations are taken if they are later than `latest`.
    pub(super) fn new(owner: u32, key: PublicKey, latest: u64, now: Mono) -> Remote {
        Remote {
            peer: Peer::new(owner, key, Role::Edge).after(latest),
            name: String::new(),
            legs: vec![],
            hearsay: Hearsay::default(),
            best: None,
            waiting: Default::default(),
            subflows: Subflows::new(now),
            fragments: Reassembler::new(FRAGMENTS),
            probe: Probe::default(),
            listed: 0,
            hides: false,
            refusal: None,
            told_refusals: [None, None],
            sent: (0, 0),
            received: (0, 0),
            begin_at: None,
            relay_at: None,
            relay_step: RELAY_AGAIN,
            told: None,
            tell_at: None,
            since: now,
            hurried: None,
            tunnel: Tunnel::default(),
        }
    }

    /// No more is known of it than that a supernode lists it.
    pub(super) fn is_idle(&self) -> bool {
        !self.is_up() && self.legs.iter().all(|leg| leg.state.heard_at().is_none())
    }

    /// Nobody lists it, and nothing has come of it: it may be forgotten.
    pub(super) fn is_stale(&self, now: Mono) -> bool {
        self.listed == 0 && !self.is_up() && now.since(self.since) >= AGAIN
    }

    pub(super) fn is_up(&self) -> bool {
        self.peer.agreed().is_some()
    }

    /// Whether it wants no direct path, by what it or a supernode says.
    pub(super) fn hides(&self) -> bool {
        let agreed = self.peer.agreed();
        self.hides || agreed.is_some_and(|agreed| agreed.features & feature::NO_DIRECT != 0)
    }

    /// Whether a frame is not longer than both ends take. One that is still to be cut will have as much as its segments.
    pub(super) fn takes(&self, frame: &[u8], offload: Offload) -> bool {
        let len = match offload.segmentation {
            0 => frame.len(),
            _ => offload.segment_size.into(),
        };
        let agreed = self.peer.agreed();
        agreed.is_some_and(|agreed| len <= agreed.frame.into())
    }

    pub(super) fn compression(&self) -> Compression {
        self.peer
            .agreed()
            .map_or(Compression::None, |agreed| agreed.compression)
    }

    /// Begins a session at this time, unless there is one.
    pub(super) fn meet(&mut self, at: Mono, now: Mono) {
        if !self.is_up() && !self.peer.is_beginning() {
            self.begin_at = Some(self.begin_at.map_or(at, |known| known.min(at)));
        }
        if self.relay_at.is_none() {
            self.relay_at = Some(now + RELAY_AFTER);
        }
    }

    /// Notes a way that might lead there. Returns which one it is, if there is room for it.
    pub(super) fn consider(&mut self, way: Way, link_mtu: u16, now: Mono) -> Option<usize> {
        let same = |leg: &Leg| leg.way.path.remote == way.path.remote && leg.way.via == way.via;
        if let Some(known) = self.legs.iter().position(same) {
            return Some(known);
        }
        let leg = Leg::new(way, link_mtu, now);
        if self.legs.len() < MOST_LEGS {
            self.legs.push(leg);
            return Some(self.legs.len() - 1);
        }
        // One that never worked, or works no more, makes place.
        let useless = |at: &usize| {
            Some(*at) != self.best && matches!(self.legs[*at].state.health(), Health::Dead | Health::Untried)
        };
        let place = (0..self.legs.len()).find(useless)?;
        self.legs[place] = leg;
        Some(place)
    }

    /// Notes a way of which others say that it might lead there. One that was asked in vain is left alone for a while.
    pub(super) fn consider_told(&mut self, way: Way, link_mtu: u16, now: Mono) {
        if !self.is_up() || !self.hearsay.is_in_vain(&way, now) {
            self.consider(way, link_mtu, now);
        }
    }

    /// Gives up the ways that others told of and by which nobody ever answered.
    fn give_up(&mut self, now: Mono) {
        let best = self.best.map(|best| self.legs[best].way);
        let hearsay = &mut self.hearsay;
        self.legs.retain(|leg| {
            let stays = Some(leg.way) == best || !leg.is_in_vain(now);
            if !stays {
                hearsay.add(leg.way, now);
            }
            stays
        });
        self.best = best.and_then(|best| self.legs.iter().position(|leg| leg.way == best));
    }

    /// What was in vain may not be any more.
    pub(super) fn consider_again(&mut self, link_mtu: u16, now: Mono) {
        for way in self.hearsay.take() {
            if self.legs.len() < MOST_LEGS {
                self.consider(way, link_mtu, now);
            }
        }
    }

    /// Notes a channel of a relay, in the place of the one that it had before.
    pub(super) fn consider_channel(&mut self, way: Way, number: u32, link_mtu: u16, now: Mono) {
        self.forget_channels(way.path.remote, Some(number));
        let way = Way {
            via: Via::Channel(number),
            ..way
        };
        let is_new = !self.legs.iter().any(|leg| leg.way == way);
        self.consider(way, link_mtu, now);
        if is_new {
            self.begin_again(now);
        }
    }

    /// Notes the way that an initiation came by. If it was left unanswered because ours goes first, ours goes there now: it
    /// may be the only way.
    pub(super) fn consider_begun(&mut self, way: Way, yields: bool, link_mtu: u16, now: Mono) {
        if let Some(at) = self.consider(way, link_mtu, now) {
            self.legs[at].came(now);
        }
        if yields {
            self.begin_again(now);
        }
    }

    /// Begins once more at once, since there is a new way; but not as often as somebody may say so.
    fn begin_again(&mut self, now: Mono) {
        const REST: Duration = Duration::from_secs(1);
        if !self.is_up() && self.hurried.is_none_or(|at| now.since(at) >= REST) {
            self.hurried = Some(now);
            self.peer.begin_again(now);
        }
    }

    /// Forgets the channels of a relay, all but the one with this number.
    fn forget_channels(&mut self, relay: SocketAddr, but: Option<u32>) {
        let keep = |leg: &Leg| match leg.way.via {
            Via::Channel(number) => leg.way.path.remote != relay || Some(number) == but,
            Via::Direct => true,
        };
        let best = self.best.map(|best| self.legs[best].way);
        self.legs.retain(keep);
        self.best = best.and_then(|best| self.legs.iter().position(|leg| leg.way == best));
    }

    /// The way that frames go, if it works and goes straight there.
    pub(super) fn direct_way(&self) -> Option<Way> {
        let leg = self.best.filter(|_| self.is_up()).map(|best| &self.legs[best])?;
        (leg.way.via == Via::Direct && leg.state.works()).then_some(leg.way)
    }

    /// Whether it has been heard straight from this address.
    pub(super) fn is_direct_at(&self, address: SocketAddr) -> bool {
        let mut legs = self.legs.iter();
        legs.any(|leg| {
            leg.way.via == Via::Direct && leg.way.path.remote == address && leg.state.heard_at().is_some()
        })
    }

    /// Whether relays are to be asked for a channel now.
    pub(super) fn wants_relay(&mut self, now: Mono) -> bool {
        let works = |direct: bool| {
            let mut legs = self.legs.iter();
            legs.any(|leg| leg.state.works() && (leg.way.via == Via::Direct) == direct)
        };
        if self.is_up() && works(true) {
            self.relay_at = None;
            self.relay_step = RELAY_AGAIN;
            return false;
        }
        // Without a time it had a direct way until now.
        if !self.is_up() && self.relay_at.is_none() || self.relay_at.is_some_and(|at| at > now) {
            return false;
        }
        let wait = if self.is_up() && works(false) {
            RENEW
        } else {
            self.relay_step
        };
        self.relay_step = (self.relay_step * 2).min(RENEW);
        self.relay_at = Some(now + wait);
        true
    }

    /// Whether to tell now that another way is in use.
    pub(super) fn tells_way(&mut self, now: Mono) -> bool {
        let way = self.best.filter(|_| self.is_up()).map(|best| self.legs[best].way);
        if way.is_none() || way == self.told {
            self.tell_at = None;
            return false;
        }
        if now < *self.tell_at.get_or_insert(now + SETTLES) {
            return false;
        }
        self.told = way;
        self.tell_at = None;
        true
    }

    /// It refuses, or is refused: to be tried again after a while, and until then no relay is asked for it.
    pub(super) fn refused(&mut self, refusal: Refusal, now: Mono) {
        self.refusal = Some(refusal);
        if !self.is_up() {
            self.begin_at = Some(now + AGAIN);
            self.relay_at = None;
        }
    }

    /// There is a session no more.
    pub(super) fn down(&mut self, link_mtu: u16, now: Mono) {
        self.consider_again(link_mtu, now);
        self.best = None;
        self.told = None;
        self.tunnel.down();
        self.waiting.iter_mut().for_each(|waiting| waiting.len = 0);
        self.subflows.clear();
    }

    /// Does what is due. Returns what has become of the session.
    pub(super) fn wake(&mut self, own: &mut Own, cx: &mut Cx<'_>) -> Option<Event> {
        let now = cx.env.now;
        if self.begin_at.is_some_and(|at| at <= now) {
            self.begin_at = None;
            self.peer.begin(now);
            self.relay_at.get_or_insert(now + RELAY_AFTER);
        }
        let mut told = None;
        while told.is_none() && self.peer.deadline(&own.local).is_some_and(|at| at <= now) {
            let peer = &mut self.peer;
            let mut sends = false;
            told = own.handshake(cx, &[], |context, out| {
                let Step { send, event, .. } = peer.wake(context, out);
                sends = send;
                (send, event)
            });
            if sends {
                self.send_handshake(own, cx);
            }
        }
        if matches!(told, Some(Event::GaveUp | Event::Down)) {
            self.begin_at = Some(now + AGAIN / 6);
        }
        if self.is_up() {
            self.ask(own, cx);
            self.choose();
        }
        told
    }

    /// Sends a message of a handshake by the way that works, or by all of them that may be tried now.
    fn send_handshake(&mut self, own: &mut Own, cx: &mut Cx<'_>) {
        if self.is_up()
            && let Some(best) = self.best.filter(|&best| self.legs[best].is_good())
        {
            self.legs[best].way.send(cx.out, &own.message);
            return;
        }
        for leg in &mut self.legs {
            if leg.begin(&mut own.budget, cx.env.rng, cx.env.now) {
                leg.way.send(cx.out, &own.message);
            }
        }
    }

    /// Whether it matters how long a packet this way carries.
    fn searches(&self, at: usize) -> bool {
        self.best == Some(at) || self.tunnel.leg == Some(at)
    }

    fn ask(&mut self, own: &mut Own, cx: &mut Cx<'_>) {
        let now = cx.env.now;
        if self.legs.iter().any(|leg| leg.is_in_vain(now)) {
            self.give_up(now);
        }
        for at in 0..self.legs.len() {
            if !self.legs[at].may_ask(&mut own.budget, now) {
                continue;
            }
            let mut pings: [Option<Ping>; 6] = [None; 6];
            let mut count = 0;
            let searches = self.searches(at);
            self.legs[at].poll(now, searches, |ping| {
                if let Some(place) = pings.get_mut(count) {
                    *place = Some(ping);
                    count += 1;
                }
            });
            for ping in pings.into_iter().flatten() {
                self.send_ping(own, cx, (path_number(at), self.legs[at].way), ping);
            }
        }
    }

    pub(super) fn send_ping(&mut self, own: &Own, cx: &mut Cx<'_>, (path, way): (u8, Way), ping: Ping) {
        let fixed = way.overhead() + SHORTEST_PING;
        let size = usize::from(ping.packet.unwrap_or(0));
        let padding = size.saturating_sub(fixed).max(PING_PADDING.into());
        let control = Control::Ping {
            number: ping.number,
            time: cx.env.now.0,
            padding: padding as u16,
        };
        let how = Transmit {
            alone: ping.alone.0,
            ..Transmit::to(way.path)
        };
        say_as(
            (cx.env.now, &own.local),
            &mut self.peer,
            (path, &way, how),
            cx.out,
            &[control],
        );
    }

    /// An answer to a ping came by a way.
    pub(super) fn answered(&mut self, at: usize, number: u32, took: Nanos, now: Mono) {
        if let Some(leg) = self.legs.get_mut(at) {
            leg.answered(number, took, now);
        }
    }

    /// Takes the best way. Returns it if it is another one than before.
    pub(super) fn choose(&mut self) -> Option<&Leg> {
        let before = self.best;
        for at in 0..self.legs.len() {
            let better = match self.best {
                Some(best) => {
                    let [other, best] = [at, best].map(|at| &self.legs[at]);
                    is_better((&other.state, other.way.via), (&best.state, best.way.via))
                }
                None => !self.legs[at].is_hearsay(),
            };
            if better {
                self.best = Some(at);
            }
        }
        if self.best == before {
            return None;
        }
        self.best.map(|best| &self.legs[best])
    }

    /// Something authentic came by this way, which is new if the peer has moved.
    pub(super) fn heard(&mut self, way: Way, link_mtu: u16, now: Mono) -> Option<usize> {
        let at = self.consider(way, link_mtu, now)?;
        let is_new = !self.legs[at].state.works();
        self.legs[at].state.heard(now);
        match self.best {
            None => self.best = Some(at),
            // He may have moved: the way that he had may be none any more.
            Some(best) if is_new && best != at => self.legs[best].state.doubt(now),
            Some(_) => {}
        }
        Some(at)
    }

    /// A handshake has gone there and back by this way: it works, and frames go by it until something better is known.
    pub(super) fn proved(&mut self, way: Way, link_mtu: u16, now: Mono) {
        if let Some(at) = self.consider(way, link_mtu, now) {
            self.legs[at].state.proved(now);
            self.best = Some(at);
        }
    }

    /// Octets of content that a datagram has room for, by the way in use.
    pub(super) fn room(&self) -> Option<usize> {
        let leg = &self.legs[self.best?];
        let around = leg.way.overhead() + self.peer.overhead(Class::Frames)?;
        usize::from(leg.mtu()).checked_sub(around)
    }

    /// Something that concerns every way: the host's own network has changed.
    pub(super) fn hurry(&mut self, link_mtu: u16, now: Mono) {
        self.consider_again(link_mtu, now);
        for leg in &mut self.legs {
            leg.state.hurry(now);
        }
    }

    pub(super) fn deadline(&self, own: &Own) -> Option<Mono> {
        let mut next = earlier(self.begin_at, self.peer.deadline(&own.local));
        if self.is_up() {
            for (at, leg) in self.legs.iter().enumerate() {
                next = earlier(next, Some(leg.deadline(self.searches(at))));
            }
        }
        next = earlier(next, self.subflows.deadline().filter(|_| self.is_up()));
        next = earlier(next, self.tunnel.deadline().filter(|_| self.is_up()));
        earlier(next, earlier(self.relay_at, self.tell_at))
    }

    pub(super) fn status(&self, stations: u32) -> PeerStatus {
        let agreed = self.peer.agreed();
        let path = |(at, leg): (usize, &Leg)| {
            let (asked, answered) = leg.state.counts();
            PathStatus {
                remote: leg.way.path.remote,
                relayed: leg.way.via != Via::Direct,
                in_use: self.best == Some(at) && self.is_up(),
                health: leg.state.health(),
                round_trip: leg.state.round_trip(),
                least: leg.state.least(),
                asked,
                answered,
                mtu: leg.mtu(),
                alone: leg.how().alone,
            }
        };
        PeerStatus {
            key: self.peer.key(),
            name: self.name.clone(),
            up: self.is_up(),
            flows: u8::from(self.is_up()) + self.subflows.carrying(),
            cipher: agreed.map(|agreed| agreed.cipher),
            compression: agreed.map(|agreed| agreed.compression),
            software: agreed.map_or_else(String::new, |agreed| agreed.software.clone()),
            refusal: self.refusal.clone(),
            paths: self.legs.iter().enumerate().map(path).collect(),
            stations,
            vtep: None,
            sent: self.sent,
            received: self.received,
        }
    }
}

/// The number of a way in a session: 0 is for greetings.
pub(super) fn path_number(at: usize) -> u8 {
    // There are MOST_LEGS at most.
    at as u8 + 1
}
