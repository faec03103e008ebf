//! One question about our own address: to an echo host, or to a STUN server.

use crate::echo::wire::{Probe, WIDE};
use crate::stun::wire::{BINDING, attribute};
use crate::stun::wire::{COOKIE, Change, Class, FINGERPRINT, HEADER, Message, Transaction, Writer};
use halloo_base::{Datagram, Env, Mono, Path, canonical};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// The longest question, in bytes.
pub(super) const LONGEST: usize = WIDE;

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    /// An echo host, by the structured probe.
    Echo,
    /// A STUN server.
    Stun,
}

/// A question, sent until it is answered or was sent often enough.
#[derive(Clone, Debug)]
pub(super) struct Query {
    pub(super) how: How,
    pub(super) path: Path,
    /// What a STUN server is to change for its answer.
    pub(super) change: Change,
    token: u64,
    tried: u32,
    last_sent: Option<Mono>,
    pub(super) fate: Fate,
}

/// What became of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Open,
    Answered(Answer),
    /// An answer that tells nothing: a plain echo, or a refusal.
    Refused,
    /// None came.
    Silent,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    /// How we are seen.
    pub(super) seen: SocketAddr,
    /// Our end as it is here.
    pub(super) local: SocketAddr,
    /// The server's other address with its other port, if it says that it has one.
    pub(super) other: Option<SocketAddr>,
}

impl Query {
    pub(super) fn new(how: How, path: Path, change: Change, token: u64) -> Query {
        Query {
            how,
            path,
            change,
            token,
            tried: 0,
            last_sent: None,
            fate: Fate::Open,
        }
    }

    pub(super) fn answer(&self) -> Option<Answer> {
        match self.fate {
            Fate::Answered(answer) => Some(answer),
            _ => None,
        }
    }

    pub(super) fn due(&self, patience: Duration) -> Option<Mono> {
        (self.fate == Fate::Open).then(|| self.last_sent.map_or(Mono(0), |sent| sent + patience))
    }

    /// Writes the question, if it is due.
    pub(super) fn send(
        &mut self,
        env: &mut Env<'_>,
        patience: Duration,
        tries: u32,
        room: &mut [u8],
    ) -> Option<usize> {
        if self.due(patience).is_none_or(|due| due > env.now) {
            return None;
        }
        if self.tried >= tries {
            self.fate = Fate::Silent;
            return None;
        }
        self.tried += 1;
        self.last_sent = Some(env.now);
        match self.how {
            How::Echo => self.probe(env, room),
            How::Stun => self.binding(room),
        }
    }

    /// Whether a datagram is its answer; what it says is kept then.
    pub(super) fn hear(&mut self, rx: &Datagram<'_>) -> bool {
        let heard = match self.how {
            How::Echo => self.hear_probe(rx),
            How::Stun => self.hear_binding(rx),
        };
        // The first answer counts, and every later one is its own too.
        if let (Some(fate), Fate::Open | Fate::Silent) = (heard, self.fate) {
            self.fate = fate;
        }
        heard.is_some()
    }

    fn probe(&self, env: &Env<'_>, room: &mut [u8]) -> Option<usize> {
        let mut probe = Probe::request(self.token, self.tried, true, false);
        probe.t1 = env.clock.stamp().wall;
        let datagram = room.get_mut(..WIDE)?;
        datagram.fill(0);
        probe.emit(datagram).ok()?;
        Some(WIDE)
    }

    fn hear_probe(&self, rx: &Datagram<'_>) -> Option<Fate> {
        let probe = Probe::parse(rx.payload).ok()?;
        let is_ours = probe.token == self.token && canonical(rx.path.remote) == canonical(self.path.remote);
        if !is_ours || (probe.flags.reply && probe.flags.pingback) {
            return None;
        }
        let wide = probe.wide.filter(|_| probe.flags.reply && probe.port != 0);
        Some(wide.map_or(Fate::Refused, |wide| {
            let ip = IpAddr::V6(wide.addr).to_canonical();
            Fate::Answered(Answer {
                seen: SocketAddr::new(ip, probe.port),
                local: rx.path.local,
                other: None,
            })
        }))
    }

    fn transaction(&self) -> Transaction {
        let mut id = [0; 16];
        id[..4].copy_from_slice(&COOKIE);
        id[4..12].copy_from_slice(&self.token.to_be_bytes());
        id[12..].copy_from_slice(b"nat?");
        Transaction(id)
    }

    fn binding(&self, room: &mut [u8]) -> Option<usize> {
        let mut request = Writer::new(room, Class::Request, self.transaction(), true).ok()?;
        if self.change != Change::default() {
            request.change(self.change).ok()?;
        }
        // So that a server can answer with all that it has, and no longer than it was asked.
        let filler = LONGEST.checked_sub(request.whole_len() + 4)?;
        request.attribute(attribute::FILLER, filler, |_| ()).ok()?;
        Some(request.finish())
    }

    fn hear_binding(&self, rx: &Datagram<'_>) -> Option<Fate> {
        let answer = Message::parse(rx.payload).ok()?;
        let is_ours = answer.transaction == self.transaction() && answer.method == BINDING;
        if !is_ours || !self.may_come_from(rx.path.remote) {
            return None;
        }
        match answer.class {
            Class::Error => Some(Fate::Refused),
            Class::Success => {
                let seen = answer
                    .address(attribute::XOR_MAPPED_ADDRESS)
                    .or_else(|| answer.address(attribute::MAPPED_ADDRESS))?;
                Some(Fate::Answered(Answer {
                    seen: SocketAddr::new(seen.ip().to_canonical(), seen.port()),
                    local: rx.path.local,
                    other: answer.address(attribute::OTHER_ADDRESS),
                }))
            }
            Class::Request | Class::Indication => None,
        }
    }

    fn may_come_from(&self, from: SocketAddr) -> bool {
        let asked = self.path.remote;
        let same_ip = from.ip().to_canonical() == asked.ip().to_canonical();
        match (self.change.ip, self.change.port) {
            (false, false) => canonical(from) == canonical(asked),
            (ip, port) => same_ip != ip && (!port || from.port() != asked.port()),
        }
    }
}

const _: () = assert!(LONGEST.is_multiple_of(4) && LONGEST > HEADER + FINGERPRINT + 16);
