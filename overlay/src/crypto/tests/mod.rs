//! Two ends, a clock that is moved by hand, and a wire that loses, repeats and reorders.

mod examples;
mod handshake;
mod members;
mod noise;
mod rekey;
mod sealing;
mod strangers;

use super::*;
use crate::wire::{Content, HEADER_LEN, Message, TAG_LEN};
use crate::{Cipher, Compression, PublicKey};
use halloo_base::{Mono, Wall};
use std::net::SocketAddr;
use std::time::Duration;

const STARTED: Wall = Wall(1_800_000_000_000_000_000);

fn wall(now: Mono) -> Wall {
    Wall(STARTED.0 + now.0)
}

fn at(millis: u64) -> Mono {
    Mono(millis * 1_000_000)
}

fn offer() -> Offer {
    Offer {
        ciphers: vec![Cipher::Aes256Gcm, Cipher::ChaCha20Poly1305],
        compressions: vec![Compression::None],
        frame: 1_518,
        name: "an end".into(),
        features: 1,
        software: "halloo".into(),
    }
}

fn community() -> Community {
    Community::new("garden", b"a secret that all know", Cost::TEST).unwrap()
}

fn edge(seed: u64) -> Local {
    let identity = Identity::generate(&mut Replayed::new(seed));
    Local::edge(identity, community(), offer())
}

fn supernode(seed: u64) -> Local {
    let identity = Identity::generate(&mut Replayed::new(seed));
    Local::supernode(identity, offer())
}

/// Two edges, of which the first has the lower key.
fn edges() -> [Local; 2] {
    let (one, other) = (edge(1), edge(2));
    if one.public() < other.public() {
        [one, other]
    } else {
        [other, one]
    }
}

/// One end, with the other as its only peer.
struct End {
    local: Local,
    peer: Peer,
    gate: Gate,
    numbers: Numbers,
    entropy: Replayed,
    address: SocketAddr,
    /// Seconds by which its wall clock is behind.
    behind: u64,
    events: Vec<Event>,
    /// Contents that came, without their first octet where it says "nothing".
    contents: Vec<Vec<u8>>,
    errors: Vec<String>,
}

impl End {
    fn new(local: Local, other: (PublicKey, Role), seed: u64) -> End {
        End {
            peer: Peer::new(7, other.0, other.1),
            gate: Gate::new(local.role() == Role::Supernode),
            numbers: Numbers::default(),
            entropy: Replayed::new(seed),
            address: SocketAddr::from(([192, 0, 2, seed as u8], 7_654)),
            behind: 0,
            events: Vec::new(),
            contents: Vec::new(),
            errors: Vec::new(),
            local,
        }
    }

    fn with<T>(&mut self, now: Mono, f: impl FnOnce(&mut Peer, &mut Context<'_>) -> T) -> T {
        let mut cx = Context {
            now,
            wall: Wall(wall(now).0 - self.behind * 1_000_000_000),
            entropy: &mut self.entropy,
            numbers: &mut self.numbers,
            local: &self.local,
        };
        f(&mut self.peer, &mut cx)
    }

    /// Takes a datagram; what is to be sent back.
    fn take(&mut self, now: Mono, from: SocketAddr, datagram: &[u8]) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        let step = self.read(now, from, datagram, &mut out);
        match step {
            Ok(step) => {
                self.events.extend(step.event);
                if step.send && matches!(datagram[0], 0xa0..=0xa2) {
                    assert!(out.len() <= datagram.len(), "an answer that is longer");
                }
                step.send.then_some(out)
            }
            Err(error) => {
                assert!(out.is_empty(), "an error that says something");
                self.errors.push(error);
                None
            }
        }
    }

    fn read(
        &mut self,
        now: Mono,
        from: SocketAddr,
        datagram: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<Step, String> {
        let words = |error: &dyn std::fmt::Display| error.to_string();
        match Message::parse(datagram).map_err(|e| words(&e))? {
            Message::Initiation(initiation) => {
                let admission = self
                    .gate
                    .admit(now, &mut self.entropy, &self.local, from, &initiation);
                match admission {
                    Admission::Stranger => return Err("stranger".into()),
                    Admission::Cookie(cookie) => {
                        out.extend_from_slice(&cookie);
                        return Ok(Step {
                            send: true,
                            ..Step::default()
                        });
                    }
                    Admission::Read => {}
                }
                let request = Request::read(&self.local, &mut self.entropy, &initiation);
                let request = request.map_err(|e| words(&e))?;
                assert_eq!(request.key(), self.peer.key(), "another peer");
                self.with(now, |peer, cx| peer.accept(cx, request, from, out))
                    .map_err(|e| words(&e))
            }
            Message::Response(response) => {
                if self.numbers.owner(response.receiver) != Some(7) {
                    return Err("nobody's number".into());
                }
                self.with(now, |peer, cx| peer.respond(cx, &response, out))
                    .map_err(|e| words(&e))
            }
            Message::Cookie(cookie) => self
                .with(now, |peer, cx| peer.take_cookie(cx.now, &cookie, out))
                .map_err(|e| words(&e)),
            Message::Data(header) => {
                let mut into = vec![0; datagram.len()];
                let cx = (now, &self.local, &mut self.numbers);
                let (opened, event) = self
                    .peer
                    .open(cx, &header, datagram, &mut into)
                    .map_err(|e| words(&e))?;
                into.truncate(opened.len);
                if into[0] != Content::Nothing as u8 {
                    self.contents.push(into);
                }
                Ok(Step {
                    event,
                    ..Step::default()
                })
            }
            _ => Err("not for a peer".into()),
        }
    }

    fn wake(&mut self, now: Mono) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        let step = self.with(now, |peer, cx| peer.wake(cx, &mut out));
        self.events.extend(step.event);
        step.send.then_some(out)
    }

    fn deadline(&self) -> Option<Mono> {
        self.peer.deadline(&self.local)
    }

    fn seal(&mut self, now: Mono, class: Class, content: &[u8]) -> Result<Vec<u8>, SealError> {
        let mut buffer = vec![0; HEADER_LEN];
        buffer.extend_from_slice(content);
        buffer.resize(buffer.len() + TAG_LEN, 0);
        let cx = (now, &self.local);
        let len = self.peer.seal(cx, 0, class, &mut buffer, content.len())?;
        buffer.truncate(len);
        Ok(buffer)
    }
}

/// What the wire does with a datagram: it arrives after each of these times.
type Fate<'a> = dyn FnMut(&[u8]) -> Vec<Duration> + 'a;

/// Two ends and what is between them.
struct Story {
    now: Mono,
    ends: [End; 2],
    /// When, to which end, what.
    wire: Vec<(Mono, usize, Vec<u8>)>,
    /// All that was ever sent, and by which end.
    sent: Vec<(Mono, usize, Vec<u8>)>,
}

impl Story {
    fn new([one, other]: [Local; 2]) -> Story {
        let keys = [(one.public(), one.role()), (other.public(), other.role())];
        Story {
            now: at(0),
            ends: [End::new(one, keys[1], 11), End::new(other, keys[0], 12)],
            wire: Vec::new(),
            sent: Vec::new(),
        }
    }

    /// Two edges with a session.
    fn met(locals: [Local; 2]) -> Story {
        let mut story = Story::new(locals);
        story.ends[0].peer.begin(at(0));
        story.run(at(100));
        assert!(story.up(), "{:?}", story.ends.each_ref().map(|end| &end.events));
        story
    }

    fn up(&self) -> bool {
        self.ends.iter().all(|end| end.peer.agreed().is_some())
    }

    fn send(&mut self, by: usize, datagram: Vec<u8>, fate: &mut Fate<'_>) {
        for delay in fate(&datagram) {
            self.wire.push((self.now + delay, 1 - by, datagram.clone()));
        }
        self.sent.push((self.now, by, datagram));
    }

    /// Everything arrives after 10 ms.
    fn run(&mut self, until: Mono) {
        self.run_with(until, &mut |_| vec![Duration::from_millis(10)]);
    }

    fn run_with(&mut self, until: Mono, fate: &mut Fate<'_>) {
        for _ in 0..1_000_000 {
            let arrival = self.wire.iter().map(|(at, ..)| *at).min();
            let deadlines = self.ends.iter().filter_map(End::deadline);
            let Some(next) = deadlines.chain(arrival).min().filter(|at| *at <= until) else {
                self.now = until;
                return;
            };
            self.now = self.now.max(next);
            for by in 0..2 {
                if self.ends[by].deadline().is_some_and(|at| at <= self.now)
                    && let Some(datagram) = self.ends[by].wake(self.now)
                {
                    self.send(by, datagram, fate);
                }
            }
            while let Some(due) = self.wire.iter().position(|(at, ..)| *at <= self.now) {
                let (_, to, datagram) = self.wire.remove(due);
                self.deliver(to, &datagram, fate);
            }
        }
        panic!("it never sleeps: {:?}", self.ends.each_ref().map(End::deadline));
    }

    fn deliver(&mut self, to: usize, datagram: &[u8], fate: &mut Fate<'_>) {
        let from = self.ends[1 - to].address;
        if let Some(answer) = self.ends[to].take(self.now, from, datagram) {
            self.send(to, answer, fate);
        }
    }

    /// The datagrams of a kind that an end has sent.
    fn sent_by(&self, by: usize, kind: u8) -> Vec<&(Mono, usize, Vec<u8>)> {
        let of_kind = |sent: &&(Mono, usize, Vec<u8>)| sent.1 == by && sent.2[0] == kind;
        self.sent.iter().filter(of_kind).collect()
    }

    /// A content from one end is the same at the other.
    fn carries(&mut self, by: usize) {
        let content = [1, 2, 3, self.now.0 as u8];
        let datagram = self.ends[by].seal(self.now, Class::Frames, &content).unwrap();
        self.ends[1 - by].contents.clear();
        self.deliver(1 - by, &datagram, &mut |_| vec![]);
        assert_eq!(
            self.ends[1 - by].contents,
            [content],
            "{:?}",
            self.ends[1 - by].errors
        );
    }
}
