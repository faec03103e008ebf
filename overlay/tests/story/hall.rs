//! A supernode among members that say to it whatever they like.

use crate::town::offer;
use halloo_base::{
    Clock, Cx, Datagram, Env, Input, LinkId, Machine, Marks, Mono, Offload, Outbox, Output, Path, Rng, Stamp,
    StampSource, Wall,
};
use halloo_overlay::PublicKey;
use halloo_overlay::crypto::{
    Class, Community, Context, Cost, Event, Identity, Local, Numbers, Peer, Replayed, Role, Step,
};
use halloo_overlay::supernode::{Supernode, SupernodeObserver, SupernodeOptions, SupernodeReport};
use halloo_overlay::wire::{
    Bookmark, Content, Control, Controls, HEADER_LEN, Message, Registration, TAG_LEN,
};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What the wall clock says at the beginning.
const WALL: u64 = 1_800_000_000_000_000_000;

struct Hands(Mono);

impl Clock for Hands {
    fn stamp(&self) -> Stamp {
        Stamp {
            mono: self.0,
            wall: Wall(WALL + self.0.0),
            source: StampSource::User,
        }
    }
}

struct Clerk(Arc<Mutex<Option<SupernodeReport>>>);

impl SupernodeObserver for Clerk {
    fn report(&mut self, report: SupernodeReport) {
        *self.0.lock().expect("nobody panicked") = Some(report);
    }
}

/// A member, or who would be one.
pub(crate) struct Caller {
    local: Local,
    peer: Peer,
    numbers: Numbers,
    entropy: Replayed,
    address: SocketAddr,
    /// Whether it asks for the list when there is news, as edges do.
    pub(crate) reads: bool,
    pub(crate) bookmark: Bookmark,
    /// All that it was told.
    pub(crate) told: Vec<Control>,
}

pub(crate) struct Hall {
    supernode: Supernode,
    key: PublicKey,
    here: SocketAddr,
    pub(crate) now: Mono,
    rng: Rng,
    out: Outbox,
    report: Arc<Mutex<Option<SupernodeReport>>>,
    pub(crate) callers: Vec<Caller>,
    by_address: HashMap<SocketAddr, usize>,
    /// Datagrams that it has sent.
    pub(crate) sent: u64,
    /// What it has sent where, until somebody looks.
    pub(crate) post: Vec<(SocketAddr, Vec<u8>)>,
}

impl Hall {
    pub(crate) fn new(options: SupernodeOptions) -> Hall {
        let mut entropy = Replayed::new(1);
        let identity = Identity::generate(&mut entropy);
        let key = identity.public();
        let report = Arc::default();
        let mut hall = Hall {
            supernode: Supernode::new(
                options,
                Local::supernode(identity, offer("supernode")),
                Box::new(entropy),
                Box::new(Clerk(Arc::clone(&report))),
            ),
            key,
            here: "198.51.100.1:7654".parse().expect("an address"),
            now: Mono(1_000_000_000),
            rng: Rng::new(1),
            out: Outbox::new(),
            report,
            callers: vec![],
            by_address: HashMap::new(),
            sent: 0,
            post: vec![],
        };
        hall.handle(Input::Wake);
        // Nobody comes with what was made before the supernode was there.
        hall.now += Duration::from_millis(1);
        hall
    }

    /// Somebody comes, and has a session when this returns.
    pub(crate) fn enter(&mut self, address: &str, community: &Community, features: u32) -> usize {
        let life = self.callers.len() as u64;
        let identity = Identity::generate(&mut Replayed::new(1_000_000 + life));
        self.admit(identity, address, community, features)
    }

    /// The same one comes once more, from elsewhere.
    pub(crate) fn enter_as(&mut self, who: u64, address: &str, community: &Community) -> usize {
        // Its clock goes on.
        self.now += Duration::from_millis(1);
        let identity = Identity::generate(&mut Replayed::new(2_000_000 + who));
        self.admit(identity, address, community, 0)
    }

    fn admit(&mut self, identity: Identity, address: &str, community: &Community, features: u32) -> usize {
        let at = self.callers.len();
        let entropy = Replayed::new(100 + at as u64);
        let mut offer = offer(&format!("caller{at}"));
        offer.features = features;
        let address = address.parse().expect("an address");
        self.callers.push(Caller {
            local: Local::edge(identity, community.clone(), offer),
            peer: Peer::new(0, self.key, Role::Supernode),
            numbers: Numbers::default(),
            entropy,
            address,
            reads: false,
            bookmark: Bookmark::default(),
            told: vec![],
        });
        self.by_address.insert(address, at);
        let now = self.now;
        self.callers[at].peer.begin(now);
        let mut datagram = vec![];
        let (caller, mut cx) = self.callers[at].context(now);
        if caller.wake(&mut cx, &mut datagram).send {
            self.deliver(at, &datagram);
        }
        at
    }

    pub(crate) fn key(&self, at: usize) -> PublicKey {
        self.callers[at].local.public()
    }

    /// A member says something; what follows at once has happened when this returns.
    pub(crate) fn say(&mut self, at: usize, controls: &[Control]) {
        let now = self.now;
        if let Some(datagram) = self.callers[at].sealed(now, controls) {
            self.deliver(at, &datagram);
        }
    }

    pub(crate) fn register(&mut self, at: usize) {
        let register = Registration {
            lifetime: 600,
            macs: vec![],
            addresses: vec![],
            wants_address: false,
            name: format!("caller{at}"),
        };
        self.say(at, &[Control::Register(register)]);
    }

    /// Lets time pass.
    pub(crate) fn run_for(&mut self, span: Duration) {
        let end = self.now + span;
        while let Some(due) = self.supernode.deadline().filter(|due| due.at <= end) {
            self.now = self.now.max(due.at);
            self.handle(Input::Wake);
        }
        self.now = end;
    }

    pub(crate) fn report(&mut self) -> SupernodeReport {
        self.handle(Input::Report);
        let report = self.report.lock().expect("nobody panicked").take();
        report.expect("it was asked")
    }

    /// All that a member was told since it was last looked.
    pub(crate) fn told(&mut self, at: usize) -> Vec<Control> {
        std::mem::take(&mut self.callers[at].told)
    }

    /// The datagrams that it has sent there since it was last looked.
    pub(crate) fn post_to(&mut self, to: &str) -> Vec<Vec<u8>> {
        let to: SocketAddr = to.parse().expect("an address");
        let post = std::mem::take(&mut self.post).into_iter();
        post.filter(|(at, _)| *at == to).map(|(_, bytes)| bytes).collect()
    }

    /// A member says something that comes from this address: it is there, or forges it. Returns its octets.
    pub(crate) fn say_from(&mut self, at: usize, from: &str, controls: &[Control]) -> usize {
        let datagram = self.callers[at].sealed(self.now, controls).expect("a session");
        self.deliver_by(from.parse().expect("an address"), &datagram);
        datagram.len()
    }

    /// What a member reads in a datagram that came to it, or to where it has moved.
    pub(crate) fn read(&mut self, at: usize, datagram: &[u8]) -> Vec<Control> {
        let now = self.now;
        let before = self.callers[at].told.len();
        self.callers[at].hear(now, datagram);
        self.callers[at].told.split_off(before)
    }

    /// A member begins a session from another address.
    pub(crate) fn move_to(&mut self, at: usize, address: &str) {
        let address = address.parse().expect("an address");
        self.by_address.remove(&self.callers[at].address);
        self.by_address.insert(address, at);
        self.callers[at].address = address;
        let now = self.now;
        self.callers[at].peer.begin(now);
        let mut datagram = vec![];
        let (caller, mut cx) = self.callers[at].context(now);
        assert!(caller.wake(&mut cx, &mut datagram).send);
        self.deliver(at, &datagram);
    }

    fn deliver(&mut self, from: usize, datagram: &[u8]) {
        self.deliver_by(self.callers[from].address, datagram);
    }

    /// A datagram comes from there.
    pub(crate) fn deliver_by(&mut self, remote: SocketAddr, datagram: &[u8]) {
        let path = Path {
            link: LinkId::default(),
            local: self.here,
            remote,
        };
        let at = Hands(self.now).stamp();
        let datagram = Datagram {
            path,
            at,
            marks: Marks::default(),
            payload: datagram,
            offload: Offload::default(),
        };
        self.handle(Input::Datagram(datagram));
    }

    fn handle(&mut self, input: Input<'_>) {
        let hands = Hands(self.now);
        let mut cx = Cx {
            env: Env {
                now: self.now,
                clock: &hands,
                rng: &mut self.rng,
            },
            out: &mut self.out,
        };
        self.supernode.handle(&mut cx, input);
        let said: Vec<(SocketAddr, Vec<u8>)> = self
            .out
            .iter()
            .filter_map(|output| match output {
                Output::Datagram(how, bytes) => Some((how.path.remote, bytes.to_vec())),
                _ => None,
            })
            .collect();
        self.out.clear();
        for (to, datagram) in said {
            self.sent += 1;
            self.post.push((to, datagram.clone()));
            let Some(&to) = self.by_address.get(&to) else {
                continue;
            };
            let now = self.now;
            for answer in self.callers[to].hear(now, &datagram) {
                self.deliver(to, &answer);
            }
        }
    }
}

impl Caller {
    fn context(&mut self, now: Mono) -> (&mut Peer, Context<'_>) {
        let context = Context {
            now,
            wall: Wall(WALL + now.0),
            entropy: &mut self.entropy,
            numbers: &mut self.numbers,
            local: &self.local,
        };
        (&mut self.peer, context)
    }

    /// Takes a datagram, and answers as an edge would.
    fn hear(&mut self, now: Mono, datagram: &[u8]) -> Vec<Vec<u8>> {
        let mut answer = vec![];
        let step = match Message::parse(datagram).expect("a supernode's datagram is of the format") {
            Message::Cookie(cookie) => self.peer.take_cookie(now, &cookie, &mut answer),
            Message::Response(response) => {
                let (peer, mut context) = self.context(now);
                peer.respond(&mut context, &response, &mut answer)
            }
            Message::Data(header) => {
                let mut content = vec![0; datagram.len()];
                let keys = (now, &self.local, &mut self.numbers);
                let (opened, _) = self
                    .peer
                    .open(keys, &header, datagram, &mut content)
                    .expect("it is true");
                let mut answers = vec![];
                if opened.class == Class::Control && opened.len > 0 && content[0] == Content::Control as u8 {
                    for control in Controls::new(&content[1..opened.len]) {
                        answers.extend(self.control(now, control.expect("it is understood")));
                    }
                }
                return answers;
            }
            // It is carried for.
            Message::Channel(_) => return vec![],
            other => panic!("a supernode says {other:?}"),
        };
        match step.expect("the handshake goes on") {
            Step {
                send: true, event, ..
            } => {
                assert!(matches!(event, None | Some(Event::Up { .. })), "{event:?}");
                vec![answer]
            }
            Step { send: false, .. } => vec![],
        }
    }

    fn control(&mut self, now: Mono, control: Control) -> Option<Vec<u8>> {
        let mut answer = None;
        if let Control::Members { next, more, .. } = &control
            && self.reads
        {
            if *next != Bookmark::default() {
                self.bookmark = *next;
            }
            if *more > 0 {
                answer = self.sealed(now, &[Control::List(self.bookmark)]);
            }
        }
        self.told.push(control);
        answer
    }

    fn sealed(&mut self, now: Mono, controls: &[Control]) -> Option<Vec<u8>> {
        let mut datagram = vec![0; HEADER_LEN];
        datagram.push(Content::Control as u8);
        for control in controls {
            control.emit(&mut datagram).expect("it can be written");
        }
        let len = datagram.len() - HEADER_LEN;
        datagram.resize(datagram.len() + TAG_LEN, 0);
        let cx = (now, &self.local);
        let len = self.peer.seal(cx, 1, Class::Control, &mut datagram, len).ok()?;
        datagram.truncate(len);
        Some(datagram)
    }
}

pub(crate) fn community(name: &str) -> Community {
    Community::new(name, b"a secret of the hall", Cost::TEST).expect("a community")
}
