//! What we have with a supernode: who it is, a session, a registration, its list of members.

use super::event::SupernodeStatus;
use super::options::SupernodePlace;
use super::own::{Own, earlier};
use super::path::{Health, PeerPath};
use crate::PublicKey;
use crate::crypto::{Event, Peer, Refusal, Role, Step};
use crate::way::{PING_PADDING, Way, say};
use crate::wire::{Bookmark, Control, Hello, HelloReply};
use halloo_base::{Cx, Mono, Nanos, Path};
use std::net::SocketAddr;
use std::time::Duration;

/// The first wait for an answer to a hello or a registration, and the longest.
const FIRST: Duration = Duration::from_millis(300);
const LONGEST: Duration = Duration::from_secs(15);
/// Who said what key he has is asked once more if nothing comes of it for so long: it may be another one's word, or was
/// damaged.
const BELIEVED: Duration = Duration::from_secs(6);
/// A page of the list that does not come is asked for again after this.
const PAGE: Duration = Duration::from_millis(500);

/// What is asked of a supernode next, by whoever has the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// Say who we are.
    Register,
    /// Ask for the members from here on.
    List(Bookmark),
}

/// What we have with a supernode.
pub(super) struct Association {
    pub(super) place: SupernodePlace,
    pub(super) peer: Option<Peer>,
    pub(super) registered: bool,
    pub(super) seen: Option<SocketAddr>,
    pub(super) members: u32,
    pub(super) bookmark: Bookmark,
    /// Others of the community's name with another secret, by its last count.
    pub(super) strangers: u16,
    /// It was told that nobody answers, or why not.
    pub(super) lost: bool,
    pub(super) told_refusals: [Option<Refusal>; 2],
    /// It is not of the configuration: another one told of it.
    pub(super) is_told: bool,
    /// There was no room for some that it listed.
    pub(super) skipped: bool,
    owner: u32,
    way: Way,
    path: PeerPath,
    token: Option<[u8; 8]>,
    hello_at: Option<Mono>,
    believed: Option<Mono>,
    step: Duration,
    register_at: Option<Mono>,
    list_at: Option<Mono>,
}

impl Association {
    pub(super) fn new(owner: u32, place: SupernodePlace, path: Path, now: Mono) -> Association {
        Association {
            peer: None,
            registered: false,
            seen: None,
            members: 0,
            bookmark: Bookmark::default(),
            strangers: 0,
            lost: false,
            told_refusals: [None, None],
            is_told: false,
            skipped: false,
            owner,
            way: Way::direct(path),
            path: PeerPath::new(now),
            token: None,
            hello_at: Some(now),
            believed: None,
            step: FIRST,
            register_at: None,
            list_at: None,
            place,
        }
    }

    /// The way to it.
    pub(super) fn way(&self) -> Way {
        self.way
    }

    pub(super) fn key(&self) -> Option<PublicKey> {
        self.peer.as_ref().map(Peer::key).or(self.place.key)
    }

    pub(super) fn is_up(&self) -> bool {
        self.peer.as_ref().is_some_and(|peer| peer.agreed().is_some())
    }

    /// Does what is due. Returns what has become of the session.
    pub(super) fn wake(&mut self, own: &mut Own, cx: &mut Cx<'_>) -> Option<Event> {
        let now = cx.env.now;
        if self.believed.is_some_and(|at| at <= now) {
            self.restart(own, now);
        }
        if self.hello_at.is_some_and(|at| at <= now) {
            self.greet(own, cx);
        }
        let mut told = None;
        while let Some(peer) = &mut self.peer
            && told.is_none()
            && peer.deadline(&own.local).is_some_and(|at| at <= now)
        {
            let knows = !self.is_told || peer.agreed().is_some();
            let mut sends = false;
            told = own.handshake(cx, &[], |context, out| {
                let Step { send, event, .. } = peer.wake(context, out);
                sends = send;
                (send, event)
            });
            if sends && (knows || own.budget.pay(self.way.path.remote.ip(), now)) {
                self.way.send(cx.out, &own.message);
            }
        }
        if matches!(told, Some(Event::GaveUp | Event::Down)) {
            self.restart(own, now);
        }
        if self.is_up()
            && let Some(question) = self.path.poll(now)
        {
            let ping = Control::Ping {
                number: question.number,
                time: now.0,
                padding: PING_PADDING,
            };
            self.say(own, cx, &[ping]);
            if self.path.health() == Health::Dead {
                self.restart(own, now);
                return Some(Event::Down);
            }
        }
        told
    }

    /// What is due to be asked, once there is a session.
    pub(super) fn due(&mut self, now: Mono) -> Option<Due> {
        if !self.is_up() {
            return None;
        }
        if self.register_at.is_some_and(|at| at <= now) {
            self.register_at = Some(now + self.step);
            self.step = (self.step * 3 / 2).min(LONGEST);
            return Some(Due::Register);
        }
        if self.list_at.is_some_and(|at| at <= now) {
            self.list_at = Some(now + PAGE);
            return Some(Due::List(self.bookmark));
        }
        None
    }

    fn greet(&mut self, own: &mut Own, cx: &mut Cx<'_>) {
        let now = cx.env.now;
        if let Some(key) = self.place.key {
            self.begin(key, now);
            return;
        }
        let mut token = [0; 8];
        own.entropy.fill(&mut token);
        self.token = Some(token);
        let hello = Hello { token };
        self.way.send(cx.out, &hello.emit());
        self.hello_at = Some(now + self.step);
        self.step = (self.step * 3 / 2).min(LONGEST);
    }

    /// A supernode says who it is. Nobody has vouched for it: what it can do is introduce us to whom it likes, and those
    /// need the community's secret.
    pub(super) fn hello_reply(&mut self, reply: &HelloReply, now: Mono) {
        if self.peer.is_none() && self.token == Some(reply.token) {
            self.token = None;
            self.begin(reply.key, now);
            self.believed = Some(now + BELIEVED);
        }
    }

    fn begin(&mut self, key: PublicKey, now: Mono) {
        let mut peer = Peer::new(self.owner, key, Role::Supernode);
        peer.begin(now);
        self.peer = Some(peer);
        self.hello_at = None;
        self.step = FIRST;
    }

    /// There is a session: register by it.
    pub(super) fn up(&mut self, now: Mono, follows: bool) {
        if !follows {
            self.path = PeerPath::new(now);
            self.bookmark = Bookmark::default();
        }
        self.lost = false;
        self.believed = None;
        self.told_refusals = [None, None];
        self.step = FIRST;
        self.register_at = Some(now);
    }

    /// It has taken us in for so long.
    pub(super) fn registered(&mut self, lifetime: Duration, now: Mono) {
        self.registered = true;
        self.step = FIRST;
        self.register_at = Some(now + lifetime / 3);
        self.list_at = Some(now);
    }

    /// It refused what was asked: not to be asked again so soon.
    pub(super) fn refused(&mut self, now: Mono) {
        self.register_at = Some(now + LONGEST);
    }

    /// Our place in the world has changed.
    pub(super) fn hurry(&mut self, now: Mono) {
        self.path.hurry(now);
        if self.is_up() {
            self.step = FIRST;
            self.register_at = Some(now);
        }
        if self.hello_at.is_some() {
            self.hello_at = Some(now);
        }
    }

    /// There is something new in its list.
    pub(super) fn has_news(&mut self, now: Mono) {
        self.list_at = Some(now);
    }

    /// There is room now for those that were skipped: its list is read once more, soon.
    pub(super) fn read_again(&mut self, now: Mono) {
        self.skipped = false;
        self.bookmark = Bookmark::default();
        if self.registered {
            self.list_at = Some(now + PAGE);
        }
    }

    /// So many others of its list are known here. Where there was no room for all, its own last count may be the better one.
    pub(super) fn counted(&mut self, others: usize) {
        let members = u32::try_from(others + 1).unwrap_or(u32::MAX);
        self.members = match self.skipped {
            true => members.max(self.members),
            false => members,
        };
    }

    /// A page of its list was taken.
    pub(super) fn page(&mut self, next: Bookmark, more: bool, now: Mono) {
        self.bookmark = next;
        self.list_at = more.then_some(now);
    }

    pub(super) fn heard(&mut self, now: Mono) {
        self.path.heard(now);
    }

    pub(super) fn answered(&mut self, number: u32, took: Nanos, now: Mono) {
        self.path.answered(number, took, now);
    }

    pub(super) fn say(&mut self, own: &Own, cx: &mut Cx<'_>, controls: &[Control]) -> bool {
        let Some(peer) = &mut self.peer else { return false };
        say((cx.env.now, &own.local), peer, (1, &self.way), cx.out, controls)
    }

    /// Begins anew: it may have been started again, as somebody else.
    pub(super) fn restart(&mut self, own: &mut Own, now: Mono) {
        if let Some(mut peer) = self.peer.take() {
            peer.close(&mut own.numbers);
        }
        self.registered = false;
        self.believed = None;
        self.register_at = None;
        self.list_at = None;
        self.hello_at = Some(now + self.step);
        self.step = (self.step * 3 / 2).min(LONGEST);
    }

    /// It is somewhere else now.
    pub(super) fn moved(&mut self, place: SupernodePlace, path: Path, own: &mut Own, now: Mono) {
        self.restart(own, now);
        let anew = Association::new(self.owner, place, path, now);
        *self = anew;
    }

    pub(super) fn deadline(&self, own: &Own) -> Option<Mono> {
        let session = self.peer.as_ref().and_then(|peer| peer.deadline(&own.local));
        let mut next = earlier(earlier(self.hello_at, self.believed), session);
        if self.is_up() {
            next = earlier(next, Some(self.path.deadline()));
            next = earlier(next, earlier(self.register_at, self.list_at));
        }
        next
    }

    pub(super) fn status(&self) -> SupernodeStatus {
        SupernodeStatus {
            address: self.place.address,
            key: self.key(),
            registered: self.registered,
            round_trip: self.path.round_trip(),
            seen: self.seen,
            // What it said before it was lost is nobody's number.
            members: if self.registered { self.members } else { 0 },
        }
    }
}
