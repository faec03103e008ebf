//! A supernode: introduces edges to each other, and relays where they cannot meet.
//!
//! It knows a community by a number that follows from its secret, and has no key to what the members say to each other.
//! Nothing is kept for a stranger before he has shown that his address is true, and no answer to a stranger is longer than
//! what he sent.

pub mod channels;
mod client;
mod control;
mod crowd;
mod news;
mod options;
mod place;
pub mod pool;
pub mod registry;

pub use options::{SupernodeCounts, SupernodeObserver, SupernodeOptions, SupernodeReport};

use crate::crypto::{
    Admission, Class, Context, Event, Gate, HandshakeError, Latest, Local, Numbers, Request, Step,
};
use crate::edge::EdgeEntropy;
use crate::way::{Way, say};
use crate::wire::{Channel, CommunityId, Control, Message, Status};
use crate::{Cipher, Compression};
use channels::{Channels, MemberId};
use client::Client;
use crowd::{Circles, Crowd};
use halloo_base::{Cx, Datagram, Deadline, Input, Machine, Mono, Path, Transmit};
use news::News;
use pool::Pool;
use registry::Registry;
use std::collections::{BTreeSet, HashMap};

/// A supernode.
pub struct Supernode {
    options: SupernodeOptions,
    local: Local,
    numbers: Numbers,
    entropy: EdgeEntropy,
    gate: Gate,
    observer: Box<dyn SupernodeObserver>,
    clients: Vec<Option<Client>>,
    free: Vec<u32>,
    by_member: HashMap<MemberId<CommunityId>, u32>,
    due: BTreeSet<(Mono, u32)>,
    registry: Registry,
    channels: Channels<CommunityId>,
    crowd: Crowd,
    circles: Circles,
    /// Of those who were let go.
    latest: Latest<MemberId<CommunityId>>,
    pools: HashMap<CommunityId, Pool>,
    news: News,
    opened: Vec<u8>,
    message: Vec<u8>,
    counts: SupernodeCounts,
    started: bool,
    stopped: bool,
}

impl Supernode {
    /// A supernode that knows nobody.
    pub fn new(
        options: SupernodeOptions,
        mut local: Local,
        entropy: EdgeEntropy,
        observer: Box<dyn SupernodeObserver>,
    ) -> Supernode {
        // No frame goes by its sessions, and control messages are always sealed alike: it agrees to whatever edges want of
        // each other.
        local.offer.ciphers = (0..).map_while(Cipher::from_octet).collect();
        local.offer.compressions = (0..).map_while(Compression::from_octet).collect();
        Supernode {
            registry: Registry::new(options.registry),
            channels: Channels::new(options.channels),
            crowd: Crowd::new(options.per_prefix),
            circles: Circles::new(options.communities_per_prefix),
            latest: Latest::default(),
            options,
            local,
            numbers: Numbers::default(),
            entropy,
            gate: Gate::new(true),
            observer,
            clients: vec![],
            free: vec![],
            by_member: HashMap::new(),
            due: BTreeSet::new(),
            pools: HashMap::new(),
            news: News::default(),
            opened: vec![0; 1 << 16],
            message: vec![],
            counts: SupernodeCounts::default(),
            started: false,
            stopped: false,
        }
    }

    fn datagram(&mut self, cx: &mut Cx<'_>, rx: &Datagram<'_>) {
        self.counts.datagrams += 1;
        match Message::parse(rx.payload) {
            Ok(Message::Data(header)) if !header.is_subflow() => self.data(cx, rx, &header),
            Ok(Message::Channel(channel)) => self.relay(cx, rx, &channel),
            Ok(Message::Hello(hello)) => {
                self.counts.hellos += 1;
                let reply = hello.reply(self.local.public(), self.local.offer.features);
                cx.out.datagram(Transmit::to(rx.path), &reply.emit());
            }
            Ok(Message::Initiation(initiation)) => {
                let remote = rx.path.remote;
                let entropy = &mut *self.entropy;
                match self
                    .gate
                    .admit(cx.env.now, entropy, &self.local, remote, &initiation)
                {
                    Admission::Stranger => self.counts.strangers += 1,
                    Admission::Cookie(cookie) => {
                        self.counts.cookies += 1;
                        cx.out.datagram(Transmit::to(rx.path), &cookie);
                    }
                    Admission::Read => match Request::read(&self.local, &mut *self.entropy, &initiation) {
                        Ok(request) => self.request(cx, rx.path, request),
                        Err(_) => self.counts.handshakes_refused += 1,
                    },
                }
            }
            // A supernode begins no session.
            Ok(Message::Response(_) | Message::Cookie(_) | Message::HelloReply(_)) => {
                self.counts.unknown_session += 1;
            }
            Ok(Message::Data(_)) | Err(_) => self.counts.malformed += 1,
        }
    }

    fn request(&mut self, cx: &mut Cx<'_>, path: Path, request: Request) {
        let community = request.proposal().and_then(|proposal| proposal.community);
        let served = |id: &CommunityId| {
            let only = &self.options.communities;
            only.is_empty() || only.contains(id)
        };
        let Some((id, tag)) = community.filter(|(id, _)| served(id)) else {
            self.refuse(
                cx,
                path,
                request,
                Status::NotMember,
                "this supernode does not serve the community",
            );
            return;
        };
        let member = MemberId {
            community: id,
            key: request.key(),
        };
        let now = cx.env.now;
        let Some(request) = self.screen(cx, path, member, request) else {
            return;
        };
        let owner = match self.by_member.get(&member) {
            Some(&owner) => owner,
            None if self.by_member.len() >= self.options.registry.members
                || !self.crowd.has_room(path.remote.ip()) =>
            {
                self.refuse(
                    cx,
                    path,
                    request,
                    Status::Full,
                    "this supernode has as many members as it may",
                );
                return;
            }
            None => {
                let owner = self.free.pop().unwrap_or_else(|| {
                    self.clients.push(None);
                    self.clients.len() as u32 - 1
                });
                self.crowd.add(path.remote.ip());
                let latest = self.latest.of(&member);
                self.clients[owner as usize] = Some(Client::new(owner, member, tag, (path, latest), now));
                self.by_member.insert(member, owner);
                owner
            }
        };
        self.with_client(cx, owner, path, |client, context, out| {
            let step = client.peer.accept(context, request, path.remote, out)?;
            if step.begun {
                client.begun_from = Some(path);
            }
            Ok(step)
        });
    }

    /// Turns away whom nobody here knows and who comes in vain, before anything is made for him.
    fn screen(
        &mut self,
        cx: &mut Cx<'_>,
        path: Path,
        member: MemberId<CommunityId>,
        request: Request,
    ) -> Option<Request> {
        let wall = cx.env.clock.stamp().wall;
        self.latest.look(wall);
        if self.by_member.contains_key(&member) {
            return Some(request);
        }
        self.message.clear();
        let screened = request.screen(&self.local, self.latest.of(&member), wall, &mut self.message);
        if screened.is_err() {
            self.counts.handshakes_refused += 1;
            if !self.message.is_empty() {
                cx.out.datagram(Transmit::to(path), &self.message);
            }
        }
        screened.ok()
    }

    fn refuse(&mut self, cx: &mut Cx<'_>, path: Path, request: Request, status: Status, words: &str) {
        self.counts.handshakes_refused += 1;
        self.message.clear();
        let refusal = crate::crypto::Refusal {
            status,
            words: words.to_owned(),
        };
        if request.refuse(&self.local, &refusal, &mut self.message).is_ok() {
            cx.out.datagram(Transmit::to(path), &self.message);
        }
    }

    /// Has a client's session do something, and sends what follows from it.
    fn with_client(
        &mut self,
        cx: &mut Cx<'_>,
        owner: u32,
        path: Path,
        deed: impl FnOnce(&mut Client, &mut Context<'_>, &mut Vec<u8>) -> Result<Step, HandshakeError>,
    ) {
        let Some(Some(client)) = self.clients.get_mut(owner as usize) else {
            return;
        };
        self.message.clear();
        let mut context = Context {
            now: cx.env.now,
            wall: cx.env.clock.stamp().wall,
            entropy: &mut *self.entropy,
            numbers: &mut self.numbers,
            local: &self.local,
        };
        match deed(client, &mut context, &mut self.message) {
            Ok(step) => {
                if step.send {
                    cx.out.datagram(Transmit::to(path), &self.message);
                }
                if matches!(step.event, Some(Event::Down | Event::GaveUp | Event::Refuses(_))) {
                    self.let_go(owner, cx.env.now);
                    return;
                }
            }
            Err(_) => self.counts.handshakes_refused += 1,
        }
        self.schedule(owner);
    }

    fn data(&mut self, cx: &mut Cx<'_>, rx: &Datagram<'_>, header: &crate::wire::DataHeader) {
        let now = cx.env.now;
        let owner = self.numbers.owner(header.receiver);
        let Some((owner, Some(client))) =
            owner.and_then(|owner| Some((owner, self.clients.get_mut(owner as usize)?.as_mut())))
        else {
            self.counts.unknown_session += 1;
            return;
        };
        let keys = (now, &self.local, &mut self.numbers);
        let Ok((opened, event)) = client.peer.open(keys, header, rx.payload, &mut self.opened) else {
            self.counts.not_authentic += 1;
            return;
        };
        let is_latest = client.is_latest(header.receiver, opened.path, opened.counter);
        if matches!(event, Some(Event::Up { .. }))
            && let Some(path) = client.begun_from.take()
        {
            // It began with a cookie, and has our answer: both went there.
            self.adopt(owner, path, now);
        }
        if opened.class == Class::Frames {
            // Nobody has reason to send us frames.
            self.counts.not_authentic += 1;
            return;
        }
        if is_latest {
            self.came_from(cx, owner, rx);
        }
        let content = std::mem::take(&mut self.opened);
        self.controls(cx, owner, &content[..opened.len], (rx.path, rx.payload.len()));
        self.opened = content;
        self.schedule(owner);
    }

    fn relay(&mut self, cx: &mut Cx<'_>, rx: &Datagram<'_>, channel: &Channel<'_>) {
        let Some(onward) = self.channels.onward(channel.number, &rx.path) else {
            self.counts.no_channel += 1;
            return;
        };
        let len = rx.payload.len();
        let room = cx.out.reserve(len, rx.payload);
        room[..Channel::HEADER_LEN].copy_from_slice(&Channel::head(onward.number));
        cx.out.commit(Transmit::to(onward.path), len);
        self.counts.relayed += 1;
        self.counts.relayed_bytes += len as u64;
    }

    fn say(&mut self, cx: &mut Cx<'_>, owner: u32, controls: &[Control]) {
        if let Some(Some(client)) = self.clients.get_mut(owner as usize) {
            let way = Way::direct(client.path);
            say(
                (cx.env.now, &self.local),
                &mut client.peer,
                (1, &way),
                cx.out,
                controls,
            );
        }
    }

    /// Puts a client where it belongs in the order of deadlines.
    fn schedule(&mut self, owner: u32) {
        let Some(Some(client)) = self.clients.get_mut(owner as usize) else {
            return;
        };
        let at = client.deadline(&self.local);
        if client.due == Some(at) {
            return;
        }
        if let Some(before) = client.due.replace(at) {
            self.due.remove(&(before, owner));
        }
        self.due.insert((at, owner));
    }

    fn let_go(&mut self, owner: u32, now: Mono) {
        let Some(mut client) = self.clients.get_mut(owner as usize).and_then(Option::take) else {
            return;
        };
        if let Some(due) = client.due {
            self.due.remove(&(due, owner));
        }
        client.peer.close(&mut self.numbers);
        self.latest.keep(client.member, client.peer.latest().unwrap_or(0));
        self.crowd.remove(client.came_from);
        let member = client.member;
        if client.registered {
            self.circles.remove(client.came_from, member.community);
        }
        self.by_member.remove(&member);
        self.free.push(owner);
        self.channels.left(member);
        if self.registry.remove(member.community, &member.key) {
            self.has_news(member.community, now);
        }
        if let Some(pool) = self.pools.get_mut(&member.community) {
            pool.release(&member.key);
            if self.registry.members(member.community) == 0 {
                self.pools.remove(&member.community);
            }
        }
    }

    fn has_news(&mut self, community: CommunityId, now: Mono) {
        if self.registry.members(community) > 0 {
            self.news.changed(community, now);
        } else {
            self.news.forget(community);
        }
    }

    fn wake(&mut self, cx: &mut Cx<'_>) {
        let now = cx.env.now;
        while let Some(&(at, owner)) = self.due.first()
            && at <= now
        {
            self.due.pop_first();
            let Some(Some(client)) = self.clients.get_mut(owner as usize) else {
                continue;
            };
            client.due = None;
            if client.expires <= now {
                self.counts.expired += u64::from(client.registered);
                self.let_go(owner, now);
                continue;
            }
            let (path, publishes) = (client.path, client.publish_at.is_some_and(|at| at <= now));
            if publishes {
                self.publish(owner, now);
            }
            self.with_client(cx, owner, path, |client, context, out| {
                Ok(client.peer.wake(context, out))
            });
        }
        self.channels.expire(now);
        self.tell_news(cx);
    }

    /// Tells everybody, so that they look for another one, or for this one's next life, at once.
    fn farewell(&mut self, cx: &mut Cx<'_>) {
        let close = Control::Close {
            reason: Status::Agreed,
            words: String::new(),
        };
        for owner in 0..self.clients.len() as u32 {
            self.say(cx, owner, std::slice::from_ref(&close));
        }
    }

    fn report(&mut self) {
        let report = SupernodeReport {
            key: self.local.public(),
            communities: self.registry.communities(),
            members: self.registry.len(),
            channels: self.channels.len(),
            counts: self.counts,
        };
        self.observer.report(report);
    }
}

impl Machine for Supernode {
    fn handle(&mut self, cx: &mut Cx<'_>, input: Input<'_>) {
        if !std::mem::replace(&mut self.started, true) {
            self.latest.begin(cx.env.clock.stamp().wall);
        }
        match input {
            Input::Datagram(rx) => self.datagram(cx, &rx),
            Input::Wake => self.wake(cx),
            Input::Report => self.report(),
            Input::Stop | Input::Drain if !self.stopped => {
                self.farewell(cx);
                self.stopped = true;
            }
            _ => {}
        }
    }

    fn deadline(&self) -> Option<Deadline> {
        if self.stopped {
            return None;
        }
        let clients = self.due.first().map(|(at, _)| *at);
        [clients, self.news.deadline(), self.channels.deadline()]
            .into_iter()
            .flatten()
            .min()
            .map(|at| Deadline::new(at, "supernode"))
    }

    fn finished(&self) -> bool {
        self.stopped
    }
}

#[cfg(test)]
mod tests;
