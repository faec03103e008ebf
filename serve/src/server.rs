//! A datagram responder and what protects it, and others from it.

use crate::guards::{AddressGuard, PortGuard};
use crate::limiter::Limiter;
use crate::{Guards, OptionsError, Secret};
use halloo_base::{
    Counters, Cx, Datagram, Deadline, Input, Machine, Reason, ReplyLimit, Responder, Transmit, Transport,
    Verdict,
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

/// Answers datagrams: each ends in one answer on the path that it came by, or in one counted silence.
///
/// It has no deadline and is finished when it was told to stop.
pub struct Server {
    addresses: AddressGuard,
    ports: Option<PortGuard>,
    limiter: Limiter,
    reply_limit: ReplyLimit,
    responder: Box<dyn Responder>,
    counters: Arc<Counters>,
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
        let ServerOptions {
            guards,
            reply_limit,
            transport,
            secret,
        } = options;
        guards.check()?;
        Ok(Server {
            addresses: AddressGuard::new(&guards.access, &guards.broadcasts)?,
            ports: (transport == Transport::Udp).then(|| PortGuard::new(&guards)),
            limiter: Limiter::new(&guards.limits, reply_limit, secret),
            reply_limit,
            responder,
            counters,
            stopped: false,
        })
    }

    fn datagram(&mut self, cx: &mut Cx<'_>, rx: &Datagram<'_>) {
        self.counters.receive(rx.payload.len());
        match self.answer(cx, rx) {
            Ok(len) => self.counters.reply(len),
            Err(why) => self.counters.silent(why),
        }
    }

    fn answer(&mut self, cx: &mut Cx<'_>, rx: &Datagram<'_>) -> Result<usize, Reason> {
        self.admit(cx, rx)?;
        let limit = self.reply_limit.longest(rx.payload.len());
        let reply = cx.out.reserve(limit, rx.payload);
        let (len, tag) = match self.responder.respond(&mut cx.env, rx, reply) {
            Verdict::Reply(len) => (len, None),
            Verdict::ReplyStamped(len, tag) => (len, Some(tag)),
            Verdict::Silent(why) => return Err(why),
        };
        if len > limit {
            return Err(Reason::ReplyTooLong);
        }
        cx.out.commit(
            Transmit {
                tag,
                ..Transmit::to(rx.path)
            },
            len,
        );
        Ok(len)
    }

    /// The guards, the cheapest first.
    fn admit(&mut self, cx: &Cx<'_>, rx: &Datagram<'_>) -> Result<(), Reason> {
        let remote = self.addresses.admit(&rx.path)?;
        if let Some(ports) = &self.ports {
            ports.admit(&rx.path)?;
        }
        let responder = &self.responder;
        self.limiter
            .admit(cx.now(), remote, || responder.trust(&cx.env, rx))
    }
}

impl Machine for Server {
    fn handle(&mut self, cx: &mut Cx<'_>, input: Input<'_>) {
        if self.stopped {
            return;
        }
        match input {
            Input::Datagram(rx) => self.datagram(cx, &rx),
            Input::Departed(tag, at) => self.responder.departed(tag, at),
            // It was counted as answered when it was written; nobody but the host says that it did not leave.
            Input::Unreachable(report, _) if report.reporter.is_none() => {
                self.counters.silent(Reason::SendFailed);
            }
            Input::Stop => self.stopped = true,
            _ => {}
        }
    }

    fn deadline(&self) -> Option<Deadline> {
        None
    }

    fn finished(&self) -> bool {
        self.stopped
    }
}

#[cfg(test)]
mod tests;
