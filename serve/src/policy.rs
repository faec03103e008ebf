//! What every datagram goes through, whether it came alone or in a frame: guards, limiter, responder, counters.

use crate::guards::{AddressGuard, PortGuard};
use crate::limiter::Limiter;
use crate::{OptionsError, ServerOptions, address};
use halloo_base::{
    Counters, Datagram, Deadline, Env, IpHeader, LinkId, Mono, Offload, Path, Reason, ReplyLimit, Responder,
    Stamp, Transport, Trust, TxTag, Verdict,
};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// Decides which datagrams are answered, has them answered, and counts how each of them ended.
pub(crate) struct Policy {
    addresses: AddressGuard,
    ports: Option<PortGuard>,
    limiter: Limiter,
    reply_limit: ReplyLimit,
    transport: Transport,
    responder: Box<dyn Responder>,
    counters: Arc<Counters>,
}

/// Of so many requests above the share of their source one is told so, at most.
const WARN_ONE_IN: u64 = 8;

/// An answer that the responder has written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reply {
    /// The request's, unless it is to come from elsewhere.
    pub(crate) path: Path,
    pub(crate) len: usize,
    pub(crate) tag: Option<TxTag>,
    /// What is left to do to it, as it was to its request.
    pub(crate) offload: Offload,
}

impl Policy {
    pub(crate) fn new(
        options: ServerOptions,
        responder: Box<dyn Responder>,
        counters: Arc<Counters>,
    ) -> Result<Policy, OptionsError> {
        let ServerOptions {
            guards,
            reply_limit,
            transport,
            secret,
        } = options;
        guards.check()?;
        Ok(Policy {
            addresses: AddressGuard::new(&guards.access, &guards.broadcasts)?,
            ports: (transport == Transport::Udp).then(|| PortGuard::new(&guards)),
            limiter: Limiter::new(&guards.limits, secret),
            reply_limit,
            transport,
            responder,
            counters,
        })
    }

    /// Applies the guards, the cheapest first.
    pub(crate) fn admit(&mut self, env: &Env<'_>, rx: &Datagram<'_>) -> Result<(), Reason> {
        let remote = self.admit_path(&rx.path)?;
        let limit = self.reply_limit(rx);
        let responder = &self.responder;
        let packets = rx.offload.packets(rx.payload.len());
        self.limiter
            .admit(env.now, remote, packets, limit, || responder.trust(env, rx))
    }

    /// Whether the sender of a datagram that was not admitted may be told so. Only one who is above his own share: where
    /// all are above theirs together, he may have done nothing.
    pub(crate) fn may_warn(&mut self, env: &mut Env<'_>, rx: &Datagram<'_>, why: Reason) -> bool {
        // By chance, so that nobody's place in the row decides.
        why == Reason::RateLimited
            && self.transport == Transport::Udp
            && env.rng.below(WARN_ONE_IN) == 0
            && self.limiter.may_warn(env.now, rx.path.remote.ip().to_canonical())
    }

    /// Has him told, in no more `room` than his datagram took; returns how long that is.
    pub(crate) fn warn(&mut self, env: &mut Env<'_>, rx: &Datagram<'_>, room: &mut [u8]) -> Option<usize> {
        let longest = room.len().min(rx.payload.len());
        let len = self.responder.warn(env, rx, room)?;
        if len > longest {
            self.counters.silent(Reason::ReplyTooLong);
            return None;
        }
        self.counters.warned(len);
        Some(len)
    }

    /// How much room the answer to an admitted datagram gets, at most.
    pub(crate) fn room(&self, env: &Env<'_>, rx: &Datagram<'_>) -> usize {
        let limit = self.reply_limit(rx);
        let trust = match limit {
            ReplyLimit::Graded { .. } if address::is_local(rx.path.remote.ip().to_canonical()) => {
                Trust::Validated
            }
            ReplyLimit::Graded { .. } => self.responder.trust(env, rx),
            _ => Trust::Stranger,
        };
        limit.longest(rx.payload.len(), trust)
    }

    fn reply_limit(&self, rx: &Datagram<'_>) -> ReplyLimit {
        self.responder.reply_limit(rx).unwrap_or(self.reply_limit)
    }

    /// Has an admitted datagram answered in `room`, which starts as a copy of it.
    pub(crate) fn respond(
        &mut self,
        env: &mut Env<'_>,
        rx: &Datagram<'_>,
        room: &mut [u8],
    ) -> Result<Reply, Reason> {
        let limit = room.len();
        let (len, tag, path) = match self.responder.respond(env, rx, room) {
            Verdict::Reply(len) => (len, None, rx.path),
            Verdict::ReplyStamped(len, tag) => (len, Some(tag), rx.path),
            Verdict::ReplyFrom(len, local) => (len, None, self.elsewhere(rx, local)?),
            Verdict::Silent(why) => return Err(why),
        };
        if len > limit {
            return Err(Reason::ReplyTooLong);
        }
        if self.transport == Transport::Ip {
            self.admit_receiver(env.now, rx, &room[..len])?;
        }
        // A packet of another length is another packet, which the request's offload says nothing about.
        let offload = if len == rx.payload.len() {
            rx.offload
        } else {
            Offload::default()
        };
        Ok(Reply {
            path,
            len,
            tag,
            offload,
        })
    }

    /// The way of an answer that leaves from another address of ours. It must be one on which its receiver would have been
    /// let in too, and no request may have it that did not pass the limit for longer replies, the strictest.
    fn elsewhere(&self, rx: &Datagram<'_>, local: SocketAddr) -> Result<Path, Reason> {
        if self.transport != Transport::Udp || self.reply_limit(rx) == ReplyLimit::SameAsRequest {
            return Err(Reason::NotServed);
        }
        let path = Path {
            // Routing knows where another address of ours is.
            link: if local.ip() == rx.path.local.ip() {
                rx.path.link
            } else {
                LinkId::default()
            },
            local,
            remote: rx.path.remote,
        };
        self.admit_path(&path)?;
        Ok(path)
    }

    /// Counts a packet of `received` bytes and how it ended: with so many bytes of answer, or in silence.
    pub(crate) fn count(&self, received: usize, outcome: Result<usize, Reason>) {
        self.counters.receive(received);
        match outcome {
            Ok(len) => self.counters.reply(len),
            Err(why) => self.counters.silent(why),
        }
    }

    /// Counts an answer that this host would not send. It was counted as answered when it was written.
    pub(crate) fn send_failed(&self) {
        self.counters.silent(Reason::SendFailed);
    }

    pub(crate) fn due(&self) -> Option<Deadline> {
        self.responder.due()
    }

    pub(crate) fn send_due(&mut self, env: &mut Env<'_>, room: &mut [u8]) -> Option<(Path, usize)> {
        let sent = self.responder.send_due(env, room)?;
        self.counters.promised(sent.1);
        Some(sent)
    }

    pub(crate) fn departed(&mut self, tag: TxTag, at: Stamp) {
        self.responder.departed(tag, at);
    }

    /// An answer that says itself where it goes may go to somebody who did not ask: to a hop of a source route, or to
    /// the host whose datagram was too big (RFC 2075). Then that one is let in and limited as if it had.
    fn admit_receiver(&mut self, now: Mono, rx: &Datagram<'_>, answer: &[u8]) -> Result<(), Reason> {
        let receiver = IpHeader::parse(answer).ok_or(Reason::Malformed)?.destination;
        if receiver == rx.path.remote.ip() {
            return Ok(());
        }
        let remote = self.addresses.admit(&Path {
            remote: (receiver, 0).into(),
            ..rx.path
        })?;
        let packets = rx.offload.packets(rx.payload.len());
        let limit = self.reply_limit(rx);
        self.limiter
            .admit(now, remote, packets, limit, || Trust::Stranger)
    }

    fn admit_path(&self, path: &Path) -> Result<IpAddr, Reason> {
        let remote = self.addresses.admit(path)?;
        if let Some(ports) = &self.ports {
            ports.admit(path)?;
        }
        Ok(remote)
    }
}
