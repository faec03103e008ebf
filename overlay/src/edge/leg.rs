//! A way to a peer, with how much it carries.

use super::budget::Budget;
use super::path::{Health, PeerPath, Via};
use super::verify::{TOGETHER, VERIFIES, Verify};
use crate::way::Way;
use halloo_base::{Mono, Nanos, Rng, Transmit};
use halloo_probe::{PathMtu, PathMtuOptions};
use std::time::Duration;

/// So many pings in a row without an answer, where nothing has ever come from, end a way.
const IN_VAIN: u32 = 8;

/// Marks of the numbers of pings that try a size; the rest of the number is the size.
const TRIES: u32 = 0x8000_0000;

/// So many initiations go by a way as often as there are any, though nothing has ever come by it ...
const EAGER: u32 = 8;
/// ... and from then on one after this, twice as long, and so on to the longest.
const LATER: Duration = Duration::from_secs(8);
const LATEST: Duration = Duration::from_secs(120);

/// Whether datagrams go one by one, not several in one send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Alone(pub(super) bool);

/// A ping that is to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ping {
    pub(super) number: u32,
    /// Octets of the whole IP packet; `None` for a short one.
    pub(super) packet: Option<u16>,
    pub(super) alone: Alone,
}

/// A way, whether it works, and how long a packet it carries.
#[derive(Clone, Debug)]
pub(super) struct Leg {
    pub(super) way: Way,
    pub(super) state: PeerPath,
    search: PathMtu,
    base: u16,
    verify: Verify,
    /// The size that was tried last, until there is an answer.
    tried: Option<u16>,
    /// Initiations that went by it before anything came by it, and when the next may.
    begun: u32,
    begins: Mono,
}

impl Leg {
    pub(super) fn new(way: Way, link_mtu: u16, now: Mono) -> Leg {
        let remote = way.path.remote.ip().to_canonical();
        let options = if remote.is_ipv4() {
            PathMtuOptions::v4(link_mtu)
        } else {
            PathMtuOptions::v6(link_mtu)
        };
        Leg {
            way,
            state: PeerPath::new(now),
            base: options.base,
            search: PathMtu::new(options),
            verify: Verify::new(now),
            tried: None,
            begun: 0,
            begins: now,
        }
    }

    /// Whether an initiation may go by it now. Whether anybody is there shows when something has come from there; a relay is
    /// there. Where nobody has answered, it costs something, and is tried ever more seldom.
    pub(super) fn begin(&mut self, budget: &mut Budget, rng: &mut Rng, now: Mono) -> bool {
        if !self.is_hearsay() {
            return true;
        }
        if now < self.begins || !budget.pay(self.way.path.remote.ip(), now) {
            return false;
        }
        self.begun = self.begun.saturating_add(1);
        if let Some(times) = self.begun.checked_sub(EAGER) {
            let wait = LATER.saturating_mul(1 << times.min(16)).min(LATEST);
            let jitter = rng.below(wait.as_nanos() as u64 / 3);
            self.begins = now + wait + Duration::from_nanos(jitter);
        }
        true
    }

    /// Nothing has ever come from there: somebody else said that the peer is there. A relay is there.
    pub(super) fn is_hearsay(&self) -> bool {
        self.state.heard_at().is_none() && self.way.via == Via::Direct
    }

    /// It was asked often enough, and nothing has ever come from there.
    pub(super) fn is_in_vain(&self, now: Mono) -> bool {
        self.is_hearsay() && self.state.unanswered() >= IN_VAIN && self.state.deadline() <= now
    }

    /// Whether pings that are due may go by it. Where nobody has answered yet, they are paid for.
    pub(super) fn may_ask(&mut self, budget: &mut Budget, now: Mono) -> bool {
        if !self.is_hearsay() || now < self.state.deadline() {
            return true;
        }
        let pays = budget.pay_ping(self.way.path.remote.ip(), now);
        if !pays {
            self.state.postpone(now);
        }
        pays
    }

    /// Somebody has begun from there: it is as good as new.
    pub(super) fn came(&mut self, now: Mono) {
        (self.begun, self.begins) = (0, now);
    }

    /// The longest packet that is known to pass, or what every path carries.
    pub(super) fn mtu(&self) -> u16 {
        self.search.mtu().unwrap_or(self.base).max(self.base)
    }

    /// The longest packet that is known to pass, once the search for it is over.
    pub(super) fn decided_mtu(&self) -> Option<u16> {
        self.search.is_decided().then(|| self.mtu())
    }

    /// Somebody else sends large packets by it: it is to be looked whether they still pass.
    pub(super) fn used(&mut self) {
        self.verify.used();
    }

    /// How a datagram with frames leaves by it.
    pub(super) fn how(&self) -> Transmit {
        Transmit {
            alone: self.verify.alone().0,
            ..Transmit::to(self.way.path)
        }
    }

    pub(super) fn is_good(&self) -> bool {
        self.state.health() == Health::Good
    }

    /// A packet of this many octets goes out.
    pub(super) fn sent(&mut self, packet: usize, now: Mono) {
        self.state.sent(now);
        self.verify.sent(packet, now);
    }

    /// A packet of this many octets goes out to the same place from another port.
    pub(super) fn sent_beside(&mut self, packet: usize, now: Mono) {
        self.verify.sent(packet, now);
    }

    /// Pings that are due. `searches` says whether to search for the longest packet as well.
    pub(super) fn poll(&mut self, now: Mono, searches: bool, mut send: impl FnMut(Ping)) {
        if let Some(question) = self.state.poll(now) {
            send(Ping {
                number: question.number,
                packet: None,
                alone: Alone(false),
            });
        }
        if !searches || !self.is_good() {
            return;
        }
        while let Some(size) = self.search.probe(now) {
            self.tried = Some(size);
            send(Ping {
                number: TRIES | u32::from(size),
                packet: Some(size),
                alone: Alone(true),
            });
        }
        let size = self.mtu();
        if self.verify.poll(now, size, &mut send) {
            self.search.black_hole();
        }
    }

    /// An answer came. `took` is the round trip.
    pub(super) fn answered(&mut self, number: u32, took: Nanos, now: Mono) {
        let size = number as u16;
        let span = Duration::from_nanos(u64::try_from(took.0).unwrap_or(0));
        if number & TRIES != 0 {
            self.tried = None;
            self.search.answered(size, span);
            self.state.heard(now);
        } else if number & (VERIFIES | TOGETHER) != 0 {
            if size >= self.mtu() {
                self.verify.answered(number, now);
            }
            self.search.answered(size, span);
            self.state.heard(now);
        } else {
            self.state.answered(number, took, now);
        }
    }

    /// This host says that a packet was too long for its own link. Mostly that is the size that was just tried: the search
    /// goes on below it. If none was, the link carries less than it did, and the search begins anew.
    pub(super) fn too_long(&mut self) {
        match self.tried.take() {
            Some(size) => self.search.unsendable(size),
            None => {
                self.search.black_hole();
                self.verify.forget();
            }
        }
    }

    pub(super) fn deadline(&self, searches: bool) -> Mono {
        let mut next = self.state.deadline();
        if searches && self.is_good() {
            if let Some(at) = self.search.deadline() {
                next = next.min(at);
            }
            if let Some(at) = self.verify.deadline() {
                next = next.min(at);
            }
        }
        next
    }
}
