//! What all parts of an edge need of the edge itself.

use super::budget::Budget;
use super::event::{EdgeEvent, Observer};
use super::options::EdgeEntropy;
use crate::crypto::{Context, Gate, Local, Numbers};
use crate::way::Way;
use halloo_base::{Cx, Mono, Outbox};

/// Who we are, our sessions' numbers, our secrets, and who hears of what happens.
pub(super) struct Own {
    pub(super) local: Local,
    pub(super) numbers: Numbers,
    pub(super) entropy: EdgeEntropy,
    pub(super) gate: Gate,
    pub(super) observer: Box<dyn Observer>,
    /// What may go where nobody has answered yet.
    pub(super) budget: Budget,
    /// Bytes of the handshake message that is being made.
    pub(super) message: Vec<u8>,
}

impl Own {
    /// Has something done that may write a message of a handshake, which is sent by these ways.
    pub(super) fn handshake<T>(
        &mut self,
        cx: &mut Cx<'_>,
        ways: &[Way],
        deed: impl FnOnce(&mut Context<'_>, &mut Vec<u8>) -> (bool, T),
    ) -> T {
        self.message.clear();
        let mut context = Context {
            now: cx.env.now,
            wall: cx.env.clock.stamp().wall,
            entropy: &mut *self.entropy,
            numbers: &mut self.numbers,
            local: &self.local,
        };
        let (send, result) = deed(&mut context, &mut self.message);
        if send {
            self.send(cx.out, ways);
        } else {
            self.message.clear();
        }
        result
    }

    fn send(&self, out: &mut Outbox, ways: &[Way]) {
        for way in ways {
            way.send(out, &self.message);
        }
    }

    pub(super) fn tell(&mut self, event: EdgeEvent) {
        self.observer.event(event);
    }
}

/// The earlier of two instants.
pub(super) fn earlier(one: Option<Mono>, other: Option<Mono>) -> Option<Mono> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}
