//! Answers a Session-Sender: the Session-Reflector.

use super::mark;
use super::reflect::{self, Telling};
use super::sessions::{Sessions, Slot};
use super::timestamp::{ErrorEstimate, Timestamp};
use super::wire::{self, Mode, Reply, Request};
use crate::echo::Key;
use halloo_base::{
    Datagram, Env, KnownQuality, Nanos, Reason, Responder, Stamp, StampSource, Trust, TxTag, Verdict,
};

/// What a TTL is told as that the kernel did not tell (RFC 5357 section 4.2.1).
const UNKNOWN_TTL: u8 = 255;

/// Whether a reflector counts its answers (RFC 8762 section 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum ReflectorMode {
    /// It remembers nothing: an answer has the number of its request. Loss is seen of both ways together.
    Stateless,
    /// It counts the answers of each session, so that loss is seen for each way, and it can tell when an earlier answer
    /// really left.
    #[default]
    Stateful,
}

/// How a [`StampReflector`] answers.
#[derive(Clone, Debug)]
pub struct StampReflectorOptions {
    /// Whether answers are counted. Default: stateful.
    pub mode: ReflectorMode,
    /// With a key, requests with a right HMAC get answers with one; without, they get none. Open requests are answered
    /// as ever, and their TLVs are checked where they are protected. Default: none.
    pub key: Option<Key>,
    /// Answer no open requests. Default: false.
    pub require_key: bool,
    /// How many sessions a stateful reflector remembers; rounded up, about 120 bytes each, allocated at once. Default:
    /// 4096.
    pub sessions: usize,
    /// What is told about this host's clock where nobody keeps it, and in which format timestamps are written. Default:
    /// [`ErrorEstimate::UNKNOWN`].
    pub clock: ErrorEstimate,
    /// Whether a location tells the address and port that a request reached, which behind a NAT are not those that it
    /// was sent to. Default: false, and zeros are told.
    pub own_address: bool,
}

impl Default for StampReflectorOptions {
    fn default() -> StampReflectorOptions {
        StampReflectorOptions {
            mode: ReflectorMode::default(),
            key: None,
            require_key: false,
            sessions: 4096,
            clock: ErrorEstimate::UNKNOWN,
            own_address: false,
        }
    }
}

/// The Session-Reflector of STAMP, and that of TWAMP Light for its senders.
pub struct StampReflector {
    options: StampReflectorOptions,
    quality: KnownQuality,
    sessions: Option<Sessions>,
}

impl StampReflector {
    /// A reflector. `secret` keys its session table: fresh random bytes for each start.
    pub fn new(options: StampReflectorOptions, secret: [u8; 16]) -> StampReflector {
        let is_stateful = options.mode == ReflectorMode::Stateful;
        StampReflector {
            sessions: is_stateful.then(|| Sessions::new(options.sessions, secret)),
            options,
            quality: KnownQuality::default(),
        }
    }

    /// What a datagram asks, or why it is not answered.
    fn read(&self, datagram: &[u8]) -> Result<(Mode, Request), Reason> {
        let key = self.options.key.as_ref();
        let mode = match key.is_some_and(|key| wire::is_signed(key, datagram)) {
            true => Mode::Authenticated,
            false if self.options.require_key => return Err(Reason::BadAuth),
            false => Mode::Open,
        };
        let request = Request::parse(datagram, mode).ok_or(Reason::Malformed)?;
        if !request.error_estimate.is_valid() {
            return Err(match mode == Mode::Open && claims_authentication(datagram) {
                true => Reason::BadAuth,
                false => Reason::Malformed,
            });
        }
        match wire::is_reflected(datagram, mode) || mark::is_marked(datagram) {
            true => Err(Reason::Loop),
            false => Ok((mode, request)),
        }
    }

    fn answer(
        &mut self,
        env: &Env<'_>,
        rx: &Datagram<'_>,
        asked: (Mode, Request),
        reply: &mut [u8],
    ) -> Verdict {
        let (mode, request) = asked;
        let len = rx.payload.len();
        let Some(reply) = reply.get_mut(..len) else {
            return Verdict::Silent(Reason::Truncated);
        };
        let ssid = match mode == Mode::Open && wire::is_padded(rx.payload) {
            true => 0,
            false => request.ssid,
        };
        let sessions = self.sessions.as_mut();
        let counted = sessions.map(|sessions| sessions.count(rx.path.remote, ssid));
        let number = counted.map_or(request.sequence_number, |(_, number)| number);
        let asks_follow_up = self.answer_tlvs(rx, asked, counted, reply);
        let tag = counted
            .filter(|_| asks_follow_up && rx.at.source != StampSource::User)
            .and_then(|(slot, number)| self.sessions.as_mut()?.await_departure(slot, number));

        let format = self.options.clock.format();
        let quality = self.quality.at(env.now, env.clock);
        let is_short = len < wire::BOTH_STAMPS;
        let error_estimate = quality.map_or(self.options.clock, |quality| {
            let coarse = if is_short { mark::COARSE } else { Nanos::ZERO };
            ErrorEstimate::within(quality.error.max(coarse)).in_format(format)
        });
        let mut answer = Reply {
            sequence_number: number,
            timestamp: Timestamp::NONE,
            error_estimate,
            ssid: request.ssid,
            receive_timestamp: Timestamp::new(rx.at.wall, format),
            sender_sequence_number: request.sequence_number,
            sender_timestamp: request.timestamp,
            sender_error_estimate: request.error_estimate,
            sender_ttl: rx.marks.ttl.unwrap_or(UNKNOWN_TTL),
        };
        // Last, so that all work above is inside the residence, and on the monotonic clock, so that a step of the other
        // is not. A kernel stamp, moved to the monotonic clock, can lie a little after this one.
        let residence = env.clock.stamp().mono.since(rx.at.mono);
        answer.timestamp = Timestamp::new(rx.at.wall + residence.into(), format);
        if is_short {
            answer.timestamp = mark::marked(number, answer.timestamp, error_estimate);
        }
        let written = answer.emit(mode, reply).is_ok() && self.sign(mode, reply);
        match tag {
            _ if !written => Verdict::Silent(Reason::Truncated),
            Some(tag) => Verdict::ReplyStamped(len, tag),
            None => Verdict::Reply(len),
        }
    }

    /// Answers what follows the base packet. Returns whether follow-up telemetry was asked for.
    fn answer_tlvs(
        &self,
        rx: &Datagram<'_>,
        (mode, request): (Mode, Request),
        counted: Option<(Slot, u32)>,
        reply: &mut [u8],
    ) -> bool {
        let Some(area) = reply.get_mut(mode.base()..).filter(|area| !area.is_empty()) else {
            return false;
        };
        let key = self.options.key.as_ref();
        let integrity = reflect::integrity(key, mode, request.sequence_number, area);
        let telling = Telling {
            rx,
            clock: self.options.clock,
            own_address: self.options.own_address,
            count: counted.map(|(_, number)| number),
            departure: counted.and_then(|(slot, _)| self.sessions.as_ref()?.departure(slot)),
        };
        let asks_follow_up = reflect::reflect(area, integrity, &telling);
        let number = counted.map_or(request.sequence_number, |(_, number)| number);
        reflect::protect(key, integrity, number, area);
        asks_follow_up
    }

    fn sign(&self, mode: Mode, reply: &mut [u8]) -> bool {
        match (mode, &self.options.key) {
            (Mode::Open, _) => true,
            (Mode::Authenticated, Some(key)) => wire::sign(key, reply),
            (Mode::Authenticated, None) => false,
        }
    }
}

impl Responder for StampReflector {
    fn respond(&mut self, env: &mut Env<'_>, rx: &Datagram<'_>, reply: &mut [u8]) -> Verdict {
        match self.read(rx.payload) {
            Ok(asked) => self.answer(env, rx, asked, reply),
            Err(why) => Verdict::Silent(why),
        }
    }

    fn trust(&self, _env: &Env<'_>, rx: &Datagram<'_>) -> Trust {
        match self.read(rx.payload) {
            Ok((Mode::Authenticated, _)) => Trust::Validated,
            _ => Trust::Stranger,
        }
    }

    fn departed(&mut self, tag: TxTag, at: Stamp) {
        if let Some(sessions) = &mut self.sessions {
            sessions.departed(tag, at);
        }
    }
}

/// Whether a packet without a right HMAC is one that should have it: zeros stand where an open one has its time.
fn claims_authentication(datagram: &[u8]) -> bool {
    let request = Request::parse(datagram, Mode::Authenticated);
    let zeros = datagram.get(4..16).is_some_and(|octets| octets == [0; 12]);
    zeros && request.is_some_and(|request| request.error_estimate.is_valid())
}
