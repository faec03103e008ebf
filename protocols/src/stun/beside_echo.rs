//! A STUN server at the port of an echo host, told apart by what they are sent (RFC 8489 section 5).

use super::wire::is_binding_request;
use super::{STUN, StunServer};
use halloo_base::{Datagram, Deadline, Env, Path, ReplyLimit, Responder, Stamp, Trust, TxTag, Verdict};

/// Answers Binding requests as a STUN server, and everything else as the other responder does.
pub struct StunBeside<R> {
    stun: StunServer,
    other: R,
}

impl<R: Responder> StunBeside<R> {
    /// Puts a STUN server beside `other`.
    pub fn new(stun: StunServer, other: R) -> StunBeside<R> {
        StunBeside { stun, other }
    }
}

impl<R: Responder> Responder for StunBeside<R> {
    fn respond(&mut self, env: &mut Env<'_>, rx: &Datagram<'_>, reply: &mut [u8]) -> Verdict {
        if is_binding_request(rx.payload) {
            self.stun.respond(env, rx, reply)
        } else {
            self.other.respond(env, rx, reply)
        }
    }

    fn trust(&self, env: &Env<'_>, rx: &Datagram<'_>) -> Trust {
        if is_binding_request(rx.payload) {
            self.stun.trust(env, rx)
        } else {
            self.other.trust(env, rx)
        }
    }

    fn reply_limit(&self, rx: &Datagram<'_>) -> Option<ReplyLimit> {
        if is_binding_request(rx.payload) {
            self.stun.reply_limit(rx).or(Some(STUN.reply_limit))
        } else {
            self.other.reply_limit(rx)
        }
    }

    fn due(&self) -> Option<Deadline> {
        self.other.due()
    }

    fn send_due(&mut self, env: &mut Env<'_>, room: &mut [u8]) -> Option<(Path, usize)> {
        self.other.send_due(env, room)
    }

    fn departed(&mut self, tag: TxTag, at: Stamp) {
        self.other.departed(tag, at);
    }
}
