//! A member of the overlay as its supernode sees it: it registers, stays in touch and reads the list, but meets nobody.

use halloo_base::{Mono, Wall};
use halloo_overlay::PublicKey;
use halloo_overlay::crypto::{
    Class, Community, Context, Identity, Local, Numbers, Offer, Peer, Replayed, Role,
};
use halloo_overlay::wire::{
    Bookmark, Content, Control, Controls, HEADER_LEN, Message, Registration, TAG_LEN,
};
use halloo_overlay::{Cipher, Compression};
use std::time::Duration;

/// What an edge asks for, and how often it asks again.
const LIFETIME: Duration = Duration::from_secs(60);
/// An edge's ping on a way that works.
const KEEP: Duration = Duration::from_secs(15);
/// What is not answered is asked again.
const AGAIN: Duration = Duration::from_secs(1);

/// Such a member.
pub(crate) struct Member {
    local: Local,
    peer: Peer,
    numbers: Numbers,
    entropy: Replayed,
    bookmark: Bookmark,
    register_at: Option<Mono>,
    ping_at: Option<Mono>,
    list_at: Option<Mono>,
    pings: u32,
    /// Whether the supernode has taken it in.
    pub(crate) is_registered: bool,
    /// Whether it has read the list to its end once.
    pub(crate) has_list: bool,
    /// Its session came to an end.
    pub(crate) losses: u64,
}

impl Member {
    /// One that begins at once.
    pub(crate) fn new(number: u64, supernode: PublicKey, community: &Community, now: Mono) -> Member {
        let mut entropy = Replayed::new(0x5eed_0000 + number);
        let offer = Offer {
            ciphers: vec![Cipher::Aes256Gcm],
            compressions: vec![Compression::None],
            frame: 1_522,
            name: format!("member{number}"),
            features: 0,
            software: "halloo-bench".into(),
        };
        let local = Local::edge(Identity::generate(&mut entropy), community.clone(), offer);
        let mut peer = Peer::new(0, supernode, Role::Supernode);
        peer.begin(now);
        Member {
            local,
            peer,
            numbers: Numbers::default(),
            entropy,
            bookmark: Bookmark::default(),
            register_at: None,
            ping_at: None,
            list_at: None,
            pings: 0,
            is_registered: false,
            has_list: false,
            losses: 0,
        }
    }

    /// When it wants to be woken.
    pub(crate) fn deadline(&self) -> Option<Mono> {
        let asks = [self.register_at, self.ping_at, self.list_at];
        let asks = asks
            .into_iter()
            .flatten()
            .filter(|_| self.peer.agreed().is_some());
        asks.chain(self.peer.deadline(&self.local)).min()
    }

    /// Does what is due.
    pub(crate) fn wake(&mut self, now: Mono, wall: Wall, out: &mut Vec<Vec<u8>>) {
        while self.peer.deadline(&self.local).is_some_and(|at| at <= now) {
            let mut datagram = vec![];
            let (peer, mut cx) = self.context(now, wall);
            let step = peer.wake(&mut cx, &mut datagram);
            if step.send {
                out.push(datagram);
            }
            if self.peer.agreed().is_none() && !self.peer.is_beginning() {
                self.losses += 1;
                self.is_registered = false;
                self.peer.begin(now);
            }
        }
        let is_due = |at: &Option<Mono>| at.is_some_and(|at| at <= now);
        if self.peer.agreed().is_none() {
            return;
        }
        if is_due(&self.register_at) {
            self.register_at = Some(now + AGAIN);
            let registration = Registration {
                lifetime: LIFETIME.as_secs() as u16,
                macs: vec![],
                addresses: vec![],
                wants_address: false,
                name: self.local.offer.name.clone(),
            };
            let controls = [Control::Register(registration), Control::Candidates(vec![])];
            out.extend(self.sealed(now, &controls));
        }
        if is_due(&self.ping_at) {
            self.ping_at = Some(now + KEEP);
            self.pings += 1;
            let ping = Control::Ping {
                number: self.pings,
                time: now.0,
                padding: 0,
            };
            out.extend(self.sealed(now, &[ping]));
        }
        if is_due(&self.list_at) {
            self.list_at = Some(now + AGAIN);
            out.extend(self.sealed(now, &[Control::List(self.bookmark)]));
        }
    }

    /// Takes a datagram. What it asks next is due at once.
    pub(crate) fn hear(&mut self, now: Mono, wall: Wall, datagram: &[u8], out: &mut Vec<Vec<u8>>) {
        let mut answer = vec![];
        let was_up = self.peer.agreed().is_some();
        let step = match Message::parse(datagram) {
            Ok(Message::Cookie(cookie)) => self.peer.take_cookie(now, &cookie, &mut answer),
            Ok(Message::Response(response)) => {
                let (peer, mut cx) = self.context(now, wall);
                peer.respond(&mut cx, &response, &mut answer)
            }
            Ok(Message::Data(header)) => {
                let mut content = vec![0; datagram.len()];
                let keys = (now, &self.local, &mut self.numbers);
                if let Ok((opened, _)) = self.peer.open(keys, &header, datagram, &mut content) {
                    self.content(now, &content[..opened.len]);
                }
                return;
            }
            _ => return,
        };
        if step.is_ok_and(|step| step.send) {
            out.push(answer);
        }
        if !was_up && self.peer.agreed().is_some() {
            self.register_at = Some(now);
            self.ping_at = Some(now + KEEP);
        }
    }

    fn content(&mut self, now: Mono, content: &[u8]) {
        let Some((&kind, tlvs)) = content.split_first() else {
            return;
        };
        if kind != Content::Control as u8 {
            return;
        }
        for control in Controls::new(tlvs).flatten() {
            match control {
                Control::Registered { lifetime, .. } => {
                    self.is_registered = true;
                    self.register_at = Some(now + Duration::from_secs(lifetime.into()) / 3);
                    self.list_at = Some(now);
                }
                Control::Members { next, more, .. } if next == Bookmark::default() && more > 0 => {
                    self.list_at = Some(now);
                }
                Control::Members { next, more, .. } => {
                    self.bookmark = next;
                    self.list_at = (more > 0).then_some(now);
                    self.has_list |= more == 0;
                }
                _ => {}
            }
        }
    }

    fn context(&mut self, now: Mono, wall: Wall) -> (&mut Peer, Context<'_>) {
        let context = Context {
            now,
            wall,
            entropy: &mut self.entropy,
            numbers: &mut self.numbers,
            local: &self.local,
        };
        (&mut self.peer, context)
    }

    fn sealed(&mut self, now: Mono, controls: &[Control]) -> Option<Vec<u8>> {
        let mut datagram = vec![0; HEADER_LEN];
        datagram.push(Content::Control as u8);
        for control in controls {
            control.emit(&mut datagram).ok()?;
        }
        let len = datagram.len() - HEADER_LEN;
        datagram.resize(datagram.len() + TAG_LEN, 0);
        let cx = (now, &self.local);
        let len = self.peer.seal(cx, 1, Class::Control, &mut datagram, len).ok()?;
        datagram.truncate(len);
        Some(datagram)
    }
}
