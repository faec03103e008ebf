//! A supernode, and an edge that is moved by hand.

use super::*;
use crate::crypto::{Community, Cost, Identity, Numbers, Offer, Peer, Replayed, Role};
use crate::wire::feature;
use halloo_base::{Clock, Env, LinkId, Marks, Offload, Outbox, Output, Rng, Stamp, StampSource, Wall};
use std::time::Duration;

/// A clock that shows what the hand shows.
struct Hand(Mono);

impl Clock for Hand {
    fn stamp(&self) -> Stamp {
        Stamp {
            mono: self.0,
            wall: Wall(1_800_000_000_000_000_000 + self.0.0),
            source: StampSource::User,
        }
    }
}

struct Nobody;

impl SupernodeObserver for Nobody {
    fn report(&mut self, _report: SupernodeReport) {}
}

fn offer() -> Offer {
    Offer {
        ciphers: vec![Cipher::Aes256Gcm],
        compressions: vec![Compression::None],
        frame: 1_600,
        name: String::new(),
        features: 0,
        software: String::new(),
    }
}

fn path() -> Path {
    Path {
        link: LinkId(0),
        local: "192.0.2.1:7654".parse().expect("an address"),
        remote: "192.0.2.2:7654".parse().expect("an address"),
    }
}

/// A supernode and an edge that talks to it.
struct Story {
    now: Mono,
    supernode: Supernode,
    local: Local,
    peer: Peer,
    numbers: Numbers,
    entropy: Replayed,
    /// Initiations with a cookie, as they went.
    shown: Vec<Vec<u8>>,
}

impl Story {
    fn new(options: SupernodeOptions, edit: impl FnOnce(&mut Local)) -> Story {
        let mut entropy = Replayed::new(1);
        let mut supernode = Local::supernode(Identity::generate(&mut entropy), offer());
        edit(&mut supernode);
        let key = supernode.public();
        let community = Community::new("town", b"a secret of it", Cost::TEST).expect("a community");
        let local = Local::edge(Identity::generate(&mut entropy), community, offer());
        let mut story = Story {
            now: Mono(1),
            supernode: Supernode::new(options, supernode, Box::new(Replayed::new(2)), Box::new(Nobody)),
            peer: Peer::new(7, key, Role::Supernode),
            local,
            numbers: Numbers::default(),
            entropy,
            shown: vec![],
        };
        story.handle(Input::Wake);
        story
    }

    /// Has the supernode take a datagram, and says what it answers.
    fn send(&mut self, bytes: &[u8]) -> Vec<Vec<u8>> {
        self.now += Duration::from_millis(1);
        self.handle(Input::Datagram(Datagram {
            path: path(),
            at: Hand(self.now).stamp(),
            marks: Marks::default(),
            payload: bytes,
            offload: Offload::default(),
        }))
    }

    fn handle(&mut self, input: Input<'_>) -> Vec<Vec<u8>> {
        let (mut out, mut rng, clock) = (Outbox::new(), Rng::new(1), Hand(self.now));
        let mut cx = Cx {
            env: Env {
                now: self.now,
                clock: &clock,
                rng: &mut rng,
            },
            out: &mut out,
        };
        self.supernode.handle(&mut cx, input);
        let sent = cx.out.iter().filter_map(|output| match output {
            Output::Datagram(_, bytes) => Some(bytes.to_vec()),
            _ => None,
        });
        sent.collect()
    }

    fn with(
        &mut self,
        deed: impl FnOnce(&mut Peer, &mut Context<'_>, &mut Vec<u8>) -> Step,
    ) -> Option<Vec<u8>> {
        let mut out = vec![];
        let mut context = Context {
            now: self.now,
            wall: Hand(self.now).stamp().wall,
            entropy: &mut self.entropy,
            numbers: &mut self.numbers,
            local: &self.local,
        };
        let step = deed(&mut self.peer, &mut context, &mut out);
        step.send.then_some(out)
    }

    /// The edge has the supernode's answers, and sends what follows from them.
    fn exchange(&mut self, first: Vec<u8>) {
        let mut waiting = vec![first];
        while let Some(bytes) = waiting.pop() {
            if bytes[0] == crate::wire::kind::INITIATION {
                self.shown.push(bytes.clone());
            }
            for answer in self.send(&bytes) {
                let next = self.with(|peer, cx, out| match Message::parse(&answer) {
                    Ok(Message::Cookie(cookie)) => peer.take_cookie(cx.now, &cookie, out).expect("ours"),
                    Ok(Message::Response(response)) => peer.respond(cx, &response, out).expect("ours"),
                    _ => Step::default(),
                });
                waiting.extend(next);
            }
        }
    }

    /// A session of this edge, with these features.
    fn meet(&mut self, features: u32) {
        self.local.offer.features = features;
        self.now += Duration::from_secs(1);
        self.peer.begin(self.now);
        let initiation = self.with(Peer::wake);
        self.exchange(initiation.expect("it begins"));
    }

    fn clients(&self) -> Vec<&Client> {
        self.supernode.clients.iter().flatten().collect()
    }
}

#[test]
fn an_initiation_that_was_recorded_does_not_tell_where_somebody_is_who_does_not_want_that() {
    let mut story = Story::new(SupernodeOptions::default(), |_| {});
    story.meet(0);
    let first = story.shown.last().expect("with a cookie").clone();
    assert_eq!(story.clients()[0].addresses(), [path().remote]);
    story.meet(feature::NO_DIRECT);
    assert_eq!(story.clients()[0].addresses(), []);
    story.send(&first);
    assert_eq!(story.clients()[0].addresses(), [], "it was an old one");
}

#[test]
fn an_initiation_that_was_recorded_brings_nobody_back_who_has_left() {
    let mut story = Story::new(SupernodeOptions::default(), |_| {});
    story.meet(0);
    let recorded = story.shown.last().expect("with a cookie").clone();
    story.supernode.let_go(0, story.now);
    assert!(story.clients().is_empty());
    story.send(&recorded);
    assert!(story.clients().is_empty(), "it was taken before");
    assert_eq!(story.supernode.counts.handshakes_refused, 1);
}
