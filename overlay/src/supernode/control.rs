//! What members ask of a supernode, and what they are told.

use super::Supernode;
use super::channels::MemberId;
use super::place::HeldPing;
use super::pool::{NoAddress, Pool};
use super::registry::{Change, Full, Registry};
use crate::PublicKey;
use crate::way::PONG_LEN;
use crate::wire::{
    Bookmark, CommunityId, Content, Control, Controls, Introduced, Prefix, Registration, Status, WireError,
};
use halloo_base::{Cx, Mono, Path};
use std::collections::hash_map::Entry;
use std::net::SocketAddr;
use std::time::Duration;

/// Members told of at a time: with the most candidates each they fit a datagram of 1,200 octets twice over, and are cut
/// down to what does.
const PAGE: usize = 16;
/// Octets of a page.
const LONGEST_PAGE: usize = 1_100;

/// Codes of control messages, for what is refused.
const REGISTER: u8 = 16;
const OPEN_CHANNEL: u8 = 21;

impl Supernode {
    /// Takes what a client says. `from` is where its datagram came from, and how long that was; what is answered goes to where
    /// the client is known to be.
    pub(super) fn controls(&mut self, cx: &mut Cx<'_>, owner: u32, content: &[u8], from: (Path, usize)) {
        let Some((&kind, tlvs)) = content.split_first() else {
            return;
        };
        if kind != Content::Control as u8 {
            return;
        }
        // Of each kind one: no datagram makes many.
        let mut done = 0u32;
        for control in Controls::new(tlvs) {
            let kind = match &control {
                Ok(control) => control.kind(),
                Err(_) => 0,
            };
            let bit = 1u32.checked_shl(kind.into()).unwrap_or(1);
            let again = done & bit != 0;
            done |= bit;
            match control {
                Ok(_) if again => self.counts.bad_control += 1,
                Ok(control) => self.control(cx, owner, control, from),
                Err(WireError::UnknownType(kind)) => {
                    self.counts.bad_control += 1;
                    if !again {
                        self.say(cx, owner, &[Control::Unknown(kind)]);
                    }
                }
                Err(_) => self.counts.bad_control += 1,
            }
            if self.clients.get(owner as usize).is_none_or(Option::is_none) {
                // It said goodbye.
                return;
            }
        }
    }

    fn control(&mut self, cx: &mut Cx<'_>, owner: u32, control: Control, (from, size): (Path, usize)) {
        let now = cx.env.now;
        let Some(Some(client)) = self.clients.get_mut(owner as usize) else {
            return;
        };
        match control {
            // Its answer would be longer.
            Control::Ping { .. } if size < PONG_LEN => self.counts.bad_control += 1,
            Control::Ping { number, time, .. } => {
                let ping = HeldPing {
                    number,
                    time,
                    size: u16::try_from(size).unwrap_or(u16::MAX),
                    came: now,
                };
                if from.remote == client.path.remote {
                    let pong = ping.pong(from.remote, now);
                    self.say(cx, owner, &[pong]);
                } else {
                    client.hold(from, ping);
                }
            }
            Control::Register(registration) => self.register(cx, owner, registration),
            Control::Candidates(candidates) => {
                if client.candidates != candidates {
                    client.candidates = candidates;
                    self.publish(owner, now);
                }
            }
            Control::List(bookmark) if client.registered => self.list(cx, owner, bookmark),
            Control::Meet { key, candidates } if client.registered => {
                self.introduce(cx, owner, key, &candidates);
            }
            Control::OpenChannel(key) if client.registered => self.open_channel(cx, owner, key),
            Control::Close { .. } => self.let_go(owner, now),
            Control::Pong { number, time, .. } => self.answered(cx, owner, from, (number, time)),
            Control::Unknown(_) => {}
            _ => self.counts.bad_control += 1,
        }
    }

    fn register(&mut self, cx: &mut Cx<'_>, owner: u32, registration: Registration) {
        let now = cx.env.now;
        let Some(Some(client)) = self.clients.get_mut(owner as usize) else {
            return;
        };
        self.counts.registrations += 1;
        let lifetime = Registry::lifetime(Duration::from_secs(registration.lifetime.into()));
        client.name = registration.name;
        client.lifetime = lifetime;
        client.expires = now + lifetime;
        let (member, tag, from) = (client.member, client.tag, client.came_from);
        let known = client.registered;
        if !known && !self.circles.has_room(from, member.community) {
            let words = "members of your network are in as many communities as they may";
            self.refuse_control(cx, owner, REGISTER, Status::Full, words);
            return;
        }
        let address = match self.address(member, &registration.addresses, registration.wants_address) {
            Ok(address) => address,
            Err(error) => {
                let status = match error {
                    NoAddress::Taken(_) => Status::AddressTaken,
                    NoAddress::Exhausted => Status::Full,
                };
                self.refuse_control(cx, owner, REGISTER, status, &error.to_string());
                return;
            }
        };
        if known {
            self.publish(owner, now);
        } else if let Err(error) = self.take_in(owner, now) {
            self.refuse_control(cx, owner, REGISTER, Status::Full, &error.to_string());
            return;
        }
        let registered = Control::Registered {
            lifetime: lifetime.as_secs() as u16,
            address,
            members: self.registry.members(member.community) as u32,
            strangers: u16::try_from(self.registry.namesakes(member.community, tag)).unwrap_or(u16::MAX),
        };
        let mut controls = vec![registered];
        if let Some(Some(client)) = self.clients.get_mut(owner as usize) {
            // Each time anew would be much; but a datagram may get lost.
            if !self.options.supernodes.is_empty() {
                client.told_supernodes = !client.told_supernodes;
                if client.told_supernodes {
                    controls.push(Control::Supernodes(self.options.supernodes.clone()));
                }
            }
        }
        self.say(cx, owner, &controls);
    }

    /// The address that a member is told: of the pool, or the one of its own that nobody else has.
    fn address(
        &mut self,
        member: MemberId<CommunityId>,
        own: &[Prefix],
        wanted: bool,
    ) -> Result<Option<Prefix>, NoAddress> {
        let Some(network) = self.options.pool else {
            return Ok(None);
        };
        let pool = match self.pools.entry(member.community) {
            Entry::Occupied(pool) => pool.into_mut(),
            Entry::Vacant(place) => {
                let Some(pool) = Pool::new(network.address, network.len) else {
                    return Ok(None);
                };
                place.insert(pool)
            }
        };
        for prefix in own {
            if pool.contains(prefix.address) {
                pool.claim(member.key, prefix.address)?;
                return Ok(Some(*prefix));
            }
        }
        if !wanted {
            return Ok(None);
        }
        let address = pool.give(member.key)?;
        Ok(Some(Prefix {
            address,
            len: pool.prefix(),
        }))
    }

    fn refuse_control(&mut self, cx: &mut Cx<'_>, owner: u32, kind: u8, reason: Status, words: &str) {
        let refused = Control::Refused {
            kind,
            reason,
            words: words.to_owned(),
        };
        self.say(cx, owner, &[refused]);
    }

    /// Somebody becomes a member.
    fn take_in(&mut self, owner: u32, now: Mono) -> Result<(), Full> {
        let Some(Some(client)) = self.clients.get_mut(owner as usize) else {
            return Ok(());
        };
        let (community, tag) = (client.member.community, client.tag);
        self.registry
            .register(community, tag, client.member.key, client.profile())?;
        client.registered = true;
        self.circles.add(client.came_from, community);
        self.has_news(community, now);
        Ok(())
    }

    /// What the others are told of a member may have changed. Who changes too often waits.
    pub(super) fn publish(&mut self, owner: u32, now: Mono) {
        let Some(Some(client)) = self.clients.get_mut(owner as usize) else {
            return;
        };
        let (member, tag, profile) = (client.member, client.tag, client.profile());
        client.publish_at = None;
        if !client.registered
            || self.registry.is_told(member.community, &member.key, &profile)
            || !client.may_change(now)
        {
            return;
        }
        let known = self.registry.register(member.community, tag, member.key, profile);
        if known == Ok(true) {
            self.has_news(member.community, now);
        }
    }

    fn list(&mut self, cx: &mut Cx<'_>, owner: u32, from: Bookmark) {
        let Some(Some(client)) = self.clients.get_mut(owner as usize) else {
            return;
        };
        let member = client.member;
        let mut most = PAGE;
        // As many as fit a datagram that every path carries.
        let page = loop {
            let page = self.page(member, from, most);
            let mut octets = Vec::new();
            if page.emit(&mut octets).is_ok() && (octets.len() <= LONGEST_PAGE || most == 1) {
                break page;
            }
            most = most.div_ceil(2);
        };
        self.say(cx, owner, &[page]);
    }

    fn page(&self, asker: MemberId<CommunityId>, from: Bookmark, most: usize) -> Control {
        let changes = self.registry.changes(asker.community, from, most);
        let (mut members, mut gone) = (vec![], vec![]);
        for change in &changes.changes {
            match change {
                Change::Member(key, _) if **key == asker.key => {}
                Change::Member(key, profile) => members.push(Introduced {
                    key: **key,
                    features: profile.features,
                    candidates: profile.candidates.clone(),
                    name: profile.name.clone(),
                }),
                Change::Gone(key) => gone.push(**key),
            }
        }
        Control::Members {
            next: changes.next,
            more: changes.more as u32,
            anew: changes.anew,
            members,
            gone,
        }
    }

    /// Tells members that there is something to be asked for.
    pub(super) fn tell_news(&mut self, cx: &mut Cx<'_>) {
        let (registry, by_member) = (&self.registry, &self.by_member);
        let owners = self.news.take(cx.env.now, |community| {
            let keys = registry.keys(community);
            keys.filter_map(|&key| by_member.get(&MemberId { community, key }).copied())
                .collect()
        });
        let news = Control::Members {
            next: Bookmark::default(),
            more: 1,
            anew: false,
            members: vec![],
            gone: vec![],
        };
        for owner in owners {
            // Somebody else may have his place by now; there is no harm in it if he is told.
            self.say(cx, owner, std::slice::from_ref(&news));
        }
    }

    /// Tells a member that another one wants to meet it.
    fn introduce(&mut self, cx: &mut Cx<'_>, owner: u32, key: PublicKey, candidates: &[SocketAddr]) {
        let Some(Some(client)) = self.clients.get(owner as usize) else {
            return;
        };
        let other = MemberId { key, ..client.member };
        let meet = Control::Meet {
            key: client.member.key,
            candidates: client.addresses_and(candidates),
        };
        if let Some(&other) = self.by_member.get(&other) {
            self.say(cx, other, &[meet]);
        }
    }

    fn open_channel(&mut self, cx: &mut Cx<'_>, owner: u32, key: PublicKey) {
        if !self.options.relay {
            self.refuse_control(
                cx,
                owner,
                OPEN_CHANNEL,
                Status::NotMember,
                "this supernode does not relay",
            );
            return;
        }
        let Some(Some(client)) = self.clients.get(owner as usize) else {
            return;
        };
        let (opener, path) = (client.member, client.path);
        let other = MemberId { key, ..opener };
        let Some(&other_owner) = self.by_member.get(&other).filter(|&&other| other != owner) else {
            return;
        };
        let Some(Some(other_client)) = self.clients.get(other_owner as usize) else {
            return;
        };
        if !other_client.registered {
            return;
        }
        let ends = ((opener, path), (other, other_client.path));
        match self.channels.open(ends.0, ends.1, cx.env.rng, cx.env.now) {
            Ok((ours, theirs)) => {
                let lifetime = self.channels.lifetime().as_secs() as u16;
                let channel = |key, number| Control::Channel {
                    key,
                    number,
                    lifetime,
                };
                self.say(cx, owner, &[channel(other.key, ours)]);
                self.say(cx, other_owner, &[channel(opener.key, theirs)]);
            }
            Err(error) => {
                self.refuse_control(cx, owner, OPEN_CHANNEL, Status::Full, &error.to_string());
            }
        }
    }
}
