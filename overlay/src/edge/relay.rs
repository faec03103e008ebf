//! Edges that carry for others, and are carried for by others, where no supernode does.

use super::Edge;
use super::path::Via;
use super::remote::{Remote, path_number};
use crate::PublicKey;
use crate::supernode::channels::{ChannelLimits, MemberId};
use crate::way::{Way, say};
use crate::wire::{Channel, Control, Status, feature};
use halloo_base::{Cx, Datagram, Mono, Transmit};
use std::net::SocketAddr;
use std::time::Duration;

/// Edges that carry for us at a time, and that are asked at a time.
const MOST_RELAYS: usize = 4;
/// The type of what asks for a channel.
const OPEN_CHANNEL: u8 = 21;

/// What an edge carries that is willing to.
pub(super) const LIMITS: ChannelLimits = ChannelLimits {
    channels: 256,
    per_member: 64,
    // Whom it carries for are members of its own community: mostly they are of one place.
    per_prefix: 256,
    lifetime: Duration::from_secs(120),
};

impl Edge {
    fn is_willing(&self) -> bool {
        self.own.local.offer.features & feature::RELAYS != 0
    }

    fn member(&self, key: PublicKey) -> MemberId<()> {
        MemberId { community: (), key }
    }

    /// Carries a datagram on, if it came by a channel of ours.
    pub(super) fn carry(&mut self, cx: &mut Cx<'_>, rx: &Datagram<'_>, channel: &Channel<'_>) -> bool {
        let Some(onward) = self.channels.onward(channel.number, &rx.path) else {
            return false;
        };
        let len = rx.payload.len();
        let room = cx.out.reserve(len, rx.payload);
        room[..Channel::HEADER_LEN].copy_from_slice(&Channel::head(onward.number));
        cx.out.commit(Transmit::to(onward.path), len);
        self.counts.relayed += 1;
        self.counts.relayed_bytes += len as u64;
        true
    }

    /// Whether channels may come from there: from a supernode of ours, or from an edge that said that it carries for us.
    pub(super) fn is_relay(&self, from: SocketAddr) -> bool {
        self.supernodes.iter().any(|known| known.place.address == from)
            || self.relays.iter().any(|&owner| {
                let remote = self.remotes.get(owner as usize).and_then(Option::as_ref);
                remote.is_some_and(|remote| remote.is_up() && remote.is_direct_at(from))
            })
    }

    /// A peer asks to be carried to another.
    pub(super) fn open_channel(&mut self, cx: &mut Cx<'_>, asker: u32, key: PublicKey) {
        let found = |edge: &Edge, owner: u32| {
            let remote = edge.remotes.get(owner as usize)?.as_ref()?;
            Some((edge.member(remote.peer.key()), remote.direct_way()?.path))
        };
        // It comes by the way that we have to him; of one whom we cannot reach directly ourselves there is nothing to carry.
        let other = self.by_key.get(&key).copied().filter(|&other| other != asker);
        let ends = (
            found(self, asker),
            other.and_then(|other| Some((other, found(self, other)?))),
        );
        let (Some(one), Some((other, two))) = ends else {
            return;
        };
        let opened = if self.is_willing() {
            self.channels.open(one, two, cx.env.rng, cx.env.now)
        } else {
            return self.tell_peer(
                cx,
                asker,
                &Control::Refused {
                    kind: OPEN_CHANNEL,
                    reason: Status::NotMember,
                    words: "this edge does not relay".into(),
                },
            );
        };
        let lifetime = LIMITS.lifetime.as_secs() as u16;
        let channel = |key, number| Control::Channel {
            key,
            number,
            lifetime,
        };
        match opened {
            Ok((ours, theirs)) => {
                self.tell_peer(cx, asker, &channel(two.0.key, ours));
                self.tell_peer(cx, other, &channel(one.0.key, theirs));
            }
            Err(error) => self.tell_peer(
                cx,
                asker,
                &Control::Refused {
                    kind: OPEN_CHANNEL,
                    reason: Status::Full,
                    words: error.to_string(),
                },
            ),
        }
        self.soon(cx.env.now);
    }

    /// A peer carries for us to another.
    pub(super) fn carried(&mut self, relay: u32, way: Way, key: PublicKey, number: u32, now: Mono) {
        let offers = |remote: &Remote| {
            let agreed = remote.peer.agreed();
            agreed.is_some_and(|agreed| agreed.features & feature::RELAYS != 0)
        };
        let is_one = self.remote(relay).is_some_and(|remote| offers(remote));
        if !is_one || way.via != Via::Direct || !self.by_key.contains_key(&key) {
            self.counts.bad_control += 1;
            return;
        }
        if !self.relays.contains(&relay) {
            let edges = &self.remotes;
            self.relays
                .retain(|&owner| edges.get(owner as usize).is_some_and(Option::is_some));
            if self.relays.len() >= MOST_RELAYS {
                self.relays.remove(0);
            }
            self.relays.push(relay);
        }
        let link_mtu = self.options.link_mtu;
        if let Some(owner) = self.remote_for(key, now)
            && owner != relay
            && let Some(remote) = self.remote(owner)
        {
            remote.consider_channel(way, number, link_mtu, now);
            self.meet(owner, now);
        }
    }

    /// Asks edges that are willing to carry for us to a peer.
    pub(super) fn ask_edges(&mut self, cx: &mut Cx<'_>, key: PublicKey) {
        let may = |remote: &Remote| {
            let features = remote.peer.agreed().map_or(0, |agreed| agreed.features);
            features & feature::RELAYS != 0 && remote.peer.key() != key && remote.direct_way().is_some()
        };
        let owners = (0..self.remotes.len() as u32).filter(|&owner| {
            let remote = self.remotes[owner as usize].as_ref();
            remote.is_some_and(may)
        });
        for owner in owners.take(MOST_RELAYS).collect::<Vec<_>>() {
            self.tell_peer(cx, owner, &Control::OpenChannel(key));
        }
    }

    /// Says something to a peer by the way that frames go.
    pub(super) fn tell_peer(&mut self, cx: &mut Cx<'_>, owner: u32, control: &Control) {
        let Some(Some(remote)) = self.remotes.get_mut(owner as usize) else {
            return;
        };
        if let Some(at) = remote.best {
            let (own, way) = ((cx.env.now, &self.own.local), remote.legs[at].way);
            let controls = std::slice::from_ref(control);
            say(own, &mut remote.peer, (path_number(at), &way), cx.out, controls);
        }
    }

    /// The ways of those for whom we carry may have changed.
    pub(super) fn follow_channels(&mut self, now: Mono) {
        self.channels.expire(now);
        if self.channels.is_empty() {
            return;
        }
        for remote in self.remotes.iter().flatten() {
            if let Some(way) = remote.direct_way() {
                let member = self.member(remote.peer.key());
                self.channels.moved(member, way.path);
            }
        }
    }
}
