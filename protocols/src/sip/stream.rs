//! SIP on a connection: messages one behind the other, told apart by Content-Length (RFC 3261 section 18.3).

use super::message::{Frame, Message, frame};
use super::prober::{SipProber, Way};
use super::responder::{Carrier, SipServer, room};
use crate::ProberOptions;
use halloo_base::{Env, Next, ProbeId, Progress, Reason, Stamp, StreamProber, StreamResponder};
use std::net::SocketAddr;

/// The longest request that is taken from a connection, and that is made.
pub const LONGEST: usize = 8_192;

/// The longest response that is read from a connection.
const LONGEST_RESPONSE: usize = 65_535;

/// A server's end of one connection. It remembers nothing but half a ping.
///
/// A request of more than [`LONGEST`] bytes is refused, and so is one without Content-Length; both end the
/// connection, as anything does that is not SIP.
#[derive(Debug)]
pub struct SipConnection {
    server: SipServer,
    remote: SocketAddr,
    /// The first half of a ping has come: one CRLF of two (RFC 5626 section 4.4.1).
    pinged: bool,
}

impl SipConnection {
    pub(super) fn new(server: SipServer, remote: SocketAddr) -> SipConnection {
        SipConnection {
            server,
            remote,
            pinged: false,
        }
    }

    /// Each CRLF CRLF is a ping, and its answer is one CRLF.
    fn pong(&mut self, blank: usize, tx: &mut Vec<u8>) {
        for _ in 0..blank / 2 {
            if self.pinged {
                tx.extend_from_slice(b"\r\n");
            }
            self.pinged = !self.pinged;
        }
    }

    /// What is not answered is passed over: it was told apart from what follows.
    fn answer(&mut self, env: &Env<'_>, at: Stamp, (wire, carrier): (&[u8], Carrier), tx: &mut Vec<u8>) {
        self.pinged = false;
        let start = tx.len();
        let most = room(wire.len());
        tx.resize(start + most, 0);
        let place = (&mut tx[start..], most);
        let len = self.server.answer(env, (at, self.remote), (wire, carrier), place);
        tx.truncate(start + len.unwrap_or(0));
    }
}

impl StreamResponder for SipConnection {
    fn respond(&mut self, env: &mut Env<'_>, at: Stamp, rx: &[u8], tx: &mut Vec<u8>) -> (usize, Next) {
        let mut used = 0;
        loop {
            let rest = &rx[used..];
            let (len, carrier, is_last) = match frame(rest, LONGEST) {
                Frame::Blank(len) => {
                    self.pong(len, tx);
                    used += len;
                    continue;
                }
                Frame::Partial => return (used, Next::Continue),
                Frame::Whole(len) => (len, Carrier::Stream, false),
                Frame::Endless(head) => (head, Carrier::Stream, true),
                Frame::TooLong(head) => (head, Carrier::TooLong, true),
                Frame::Lost => return (rx.len(), Next::Close),
            };
            self.answer(env, at, (&rest[..len], carrier), tx);
            if is_last {
                return (rx.len(), Next::Close);
            }
            used += len;
        }
    }
}

/// Asks on a connection, where responses stand one behind the other. Other messages are told and passed over.
pub struct SipStreamProber {
    prober: SipProber,
    /// The beginning of the next message.
    partial: Vec<u8>,
    /// The first probe of this connection; what is older went by another one.
    first: u64,
}

impl SipStreamProber {
    /// A prober for one session over TCP. A size that is too small for a request is taken as the least that is not.
    pub fn new(options: &ProberOptions) -> SipStreamProber {
        SipStreamProber::by(Way::Tcp, options)
    }

    /// The same under TLS, which is put around it by others.
    pub fn secured(options: &ProberOptions) -> SipStreamProber {
        SipStreamProber::by(Way::Tls, options)
    }

    /// The same to a `sips:` URI.
    pub fn sips(options: &ProberOptions) -> SipStreamProber {
        SipStreamProber::by(Way::Sips, options)
    }

    fn by(way: Way, options: &ProberOptions) -> SipStreamProber {
        SipStreamProber {
            prober: SipProber::by(way, options),
            partial: Vec::with_capacity(LONGEST),
            first: 0,
        }
    }

    #[cfg(test)]
    pub(super) fn kept(&self) -> usize {
        self.partial.len()
    }

    /// Which probe the message `wire` answers, whose end are these `used` bytes.
    fn hear(&self, used: usize, wire: &[u8]) -> Progress {
        let message = Message::parse(wire).map_err(|_| Reason::Malformed);
        match message.and_then(|message| self.prober.hear(&message)) {
            Ok(heard) if heard.low_bits >= self.first => Progress::Heard(used, heard),
            Ok(_) => Progress::Unused(used, Reason::Foreign),
            Err(why) => Progress::Unused(used, why),
        }
    }
}

impl StreamProber for SipStreamProber {
    fn request(&mut self, env: &mut Env<'_>, id: ProbeId, tx: &mut Vec<u8>) {
        let start = tx.len();
        tx.resize(start + self.prober.len(), 0);
        self.prober.write(env, id, &mut tx[start..]);
    }

    fn receive(&mut self, rx: &[u8]) -> Progress {
        // Whole messages need no copy; where one is split, its end is looked for in both parts together.
        let mut kept = std::mem::take(&mut self.partial);
        let before = kept.len();
        let bytes = if before == 0 {
            rx
        } else {
            kept.extend_from_slice(rx);
            &kept[..]
        };
        let mut blank = 0;
        let progress = loop {
            let rest = &bytes[blank..];
            match frame(rest, LONGEST_RESPONSE) {
                Frame::Blank(len) => blank += len,
                Frame::Partial => break Progress::Partial(rx.len()),
                Frame::Whole(len) => break self.hear(blank + len - before, &rest[..len]),
                Frame::Endless(_) => break Progress::Foreign("an answer does not say how long it is"),
                Frame::TooLong(_) => break Progress::Foreign("an answer is too long"),
                Frame::Lost => break Progress::Foreign("the peer sends what is not SIP"),
            }
        };
        let is_partial = matches!(progress, Progress::Partial(_));
        if is_partial && before == 0 {
            kept.extend_from_slice(rx);
        } else if !is_partial {
            kept.clear();
        }
        kept.drain(..if is_partial { blank } else { 0 });
        self.partial = kept;
        progress
    }

    fn reset(&mut self) {
        self.partial.clear();
        self.first = self.prober.asked();
    }
}
