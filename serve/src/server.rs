//! A datagram responder and what protects it, and others from it.

use crate::policy::Policy;
use crate::{Guards, OptionsError, Secret};
use halloo_base::{
    Counters, Cx, Datagram, Deadline, Input, Machine, PROMISED, Reason, ReplyLimit, Responder, Transmit,
    Transport,
};
use std::sync::Arc;

/// What a [`Server`] is told about its protocol and its rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerOptions {
    /// Whom to answer, and how much.
    pub guards: Guards,
    /// How long the protocol's replies may be. Default: never longer than the request.
    pub reply_limit: ReplyLimit,
    /// What carries the protocol; only UDP has ports to guard. Default: UDP.
    pub transport: Transport,
    /// Keys the limiter's table.
    pub secret: Secret,
}

impl ServerOptions {
    /// The defaults, with this secret.
    pub fn new(secret: Secret) -> ServerOptions {
        ServerOptions {
            guards: Guards::default(),
            reply_limit: ReplyLimit::SameAsRequest,
            transport: Transport::Udp,
            secret,
        }
    }
}

/// Promised datagrams that are sent before others get their turn.
const PROMISED_AT_ONCE: usize = 64;

/// Answers datagrams: each ends in one answer, or in one counted silence. The answer goes on the path that its request came
/// by; from another address of ours only where the protocol is for that ([`Verdict::ReplyFrom`](halloo_base::Verdict)).
///
/// What was left to the device of a request (a checksum, segmentation) is left to the device of its answer too, where
/// both are of one length. Its deadlines are those of what its responder has promised; it is finished when it was told to
/// stop.
pub struct Server {
    policy: Policy,
    stopped: bool,
}

impl Server {
    /// A server around `responder` that counts in `counters`. It has all its memory from the start.
    ///
    /// # Errors
    /// What [`Guards::check`] finds wrong.
    pub fn new(
        options: ServerOptions,
        responder: Box<dyn Responder>,
        counters: Arc<Counters>,
    ) -> Result<Server, OptionsError> {
        Ok(Server {
            policy: Policy::new(options, responder, counters)?,
            stopped: false,
        })
    }

    fn answer(&mut self, cx: &mut Cx<'_>, rx: &Datagram<'_>) -> Result<usize, Reason> {
        if let Err(why) = self.policy.admit(&cx.env, rx) {
            self.warn(cx, rx, why);
            return Err(why);
        }
        let longest = self.policy.room(&cx.env, rx);
        let room = cx.out.reserve(longest, rx.payload);
        let reply = self.policy.respond(&mut cx.env, rx, room)?;
        let marks = rx.marks.of_answer();
        let how = Transmit {
            // A socket's own are none.
            tos: (marks != 0).then_some(marks),
            tag: reply.tag,
            offload: reply.offload,
            ..Transmit::to(reply.path)
        };
        cx.out.commit(how, reply.len);
        Ok(reply.len)
    }

    /// Tells who asks too often to ask less, where the protocol has words for that.
    fn warn(&mut self, cx: &mut Cx<'_>, rx: &Datagram<'_>, why: Reason) {
        if !self.policy.may_warn(&mut cx.env, rx, why) {
            return;
        }
        let room = cx.out.reserve(rx.payload.len(), rx.payload);
        if let Some(len) = self.policy.warn(&mut cx.env, rx, room) {
            cx.out.commit(Transmit::to(rx.path), len);
        }
    }

    /// Sends what the responder has promised.
    fn send_due(&mut self, cx: &mut Cx<'_>) {
        for _ in 0..PROMISED_AT_ONCE {
            let room = cx.out.reserve(PROMISED, &[]);
            let Some((path, len)) = self.policy.send_due(&mut cx.env, room) else {
                return;
            };
            cx.out.commit(Transmit::to(path), len.min(PROMISED));
        }
    }
}

impl Machine for Server {
    fn handle(&mut self, cx: &mut Cx<'_>, input: Input<'_>) {
        if self.stopped {
            return;
        }
        match input {
            Input::Datagram(rx) => {
                let outcome = self.answer(cx, &rx);
                self.policy.count(rx.payload.len(), outcome);
            }
            Input::Departed(tag, at) => self.policy.departed(tag, at),
            // Nobody but the host says that an answer did not leave; others say that it did not arrive.
            Input::Unreachable(report, _) if report.reporter.is_none() => self.policy.send_failed(),
            Input::Wake => self.send_due(cx),
            Input::Stop => self.stopped = true,
            _ => {}
        }
    }

    fn deadline(&self) -> Option<Deadline> {
        self.policy.due().filter(|_| !self.stopped)
    }

    fn finished(&self) -> bool {
        self.stopped
    }
}

#[cfg(test)]
mod tests;
