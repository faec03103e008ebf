//! Where a client is. That its datagrams are true says nothing of where they came from: an address becomes the client's once
//! it has answered there, and until then it gets one short question now and then, and nothing else.

use super::Supernode;
use super::client::Client;
use crate::crypto::Entropy;
use crate::way::{PING_PADDING, PONG_LEN, Way, say};
use crate::wire::Control;
use halloo_base::{Cx, Datagram, Mono, Path};
use std::net::SocketAddr;
use std::time::Duration;

/// No question sooner after another one to the same client: less than an edge waits before it pings again.
const ASK_AGAIN: Duration = Duration::from_millis(50);
/// An answer is taken so long after its question was first asked.
const GOOD_FOR: Duration = Duration::from_secs(10);

/// What a client is asked at an address that is not known to be its own.
#[derive(Clone, Copy, Debug)]
pub(super) struct Question {
    path: Path,
    /// Nobody can guess them: the answer shows that the question has come.
    number: u32,
    time: u64,
    begun: Mono,
    /// What it asked there itself, to be answered once it is known to be there.
    held: Option<HeldPing>,
}

/// A client's ping.
#[derive(Clone, Copy, Debug)]
pub(super) struct HeldPing {
    pub(super) number: u32,
    pub(super) time: u64,
    /// Octets of its datagram.
    pub(super) size: u16,
    pub(super) came: Mono,
}

impl HeldPing {
    /// The answer to it.
    pub(super) fn pong(self, seen: SocketAddr, now: Mono) -> Control {
        Control::Pong {
            number: self.number,
            time: self.time,
            size: self.size,
            seen,
            waited: now.0.saturating_sub(self.came.0),
        }
    }
}

impl Client {
    /// Keeps a ping that came from where the client is being asked.
    pub(super) fn hold(&mut self, from: Path, ping: HeldPing) {
        if let Some(question) = &mut self.question
            && question.path == from
        {
            question.held = Some(ping);
        }
    }

    /// The question for this place, if one may be asked now.
    fn ask(&mut self, path: Path, entropy: &mut dyn Entropy, now: Mono) -> Option<Control> {
        if self.asked.is_some_and(|asked| now < asked + ASK_AGAIN) {
            return None;
        }
        self.asked = Some(now);
        // The same one again: an answer that is late is an answer.
        let known = self.question.filter(|known| known.is_for(path, now));
        let question = known.unwrap_or_else(|| {
            let (mut number, mut time) = ([0; 4], [0; 8]);
            entropy.fill(&mut number);
            entropy.fill(&mut time);
            Question {
                path,
                number: u32::from_be_bytes(number),
                time: u64::from_be_bytes(time),
                begun: now,
                held: None,
            }
        });
        self.question = Some(question);
        Some(Control::Ping {
            number: question.number,
            time: question.time,
            padding: PING_PADDING,
        })
    }
}

impl Question {
    fn is_for(&self, path: Path, now: Mono) -> bool {
        self.path == path && now < self.begun + GOOD_FOR
    }
}

impl Supernode {
    /// The latest datagram of a client came from here. If that is another address than before, it is asked there.
    pub(super) fn came_from(&mut self, cx: &mut Cx<'_>, owner: u32, rx: &Datagram<'_>) {
        let now = cx.env.now;
        let Some(Some(client)) = self.clients.get_mut(owner as usize) else {
            return;
        };
        if client.path == rx.path {
            client.question = None;
        } else if client.path.remote == rx.path.remote {
            // It is our own end that is another.
            self.adopt(owner, rx.path, now);
        } else if rx.payload.len() >= PONG_LEN
            && let Some(question) = client.ask(rx.path, &mut *self.entropy, now)
        {
            let way = Way::direct(rx.path);
            let context = (now, &self.local);
            say(context, &mut client.peer, (1, &way), cx.out, &[question]);
        }
    }

    /// A client has answered a ping: if it is the question, and from where it was asked, it is there.
    pub(super) fn answered(&mut self, cx: &mut Cx<'_>, owner: u32, from: Path, answer: (u32, u64)) {
        let now = cx.env.now;
        let Some(Some(client)) = self.clients.get_mut(owner as usize) else {
            return;
        };
        let is_answer =
            |asked: &mut Question| asked.is_for(from, now) && (asked.number, asked.time) == answer;
        let Some(question) = client.question.take_if(is_answer) else {
            return;
        };
        self.adopt(owner, from, now);
        if let Some(ping) = question.held {
            self.say(cx, owner, &[ping.pong(from.remote, now)]);
        }
    }

    /// A client is known to be here.
    pub(super) fn adopt(&mut self, owner: u32, path: Path, now: Mono) {
        let Some(Some(client)) = self.clients.get_mut(owner as usize) else {
            return;
        };
        client.question = None;
        if client.path != path {
            client.path = path;
            let member = client.member;
            self.channels.moved(member, path);
            self.publish(owner, now);
        }
    }
}
