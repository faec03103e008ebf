//! The longest packet that a path carries, found by probes alone (RFC 8899).
//!
//! [`PathMtu`] decides which size to ask next and what an answer or its absence means. It knows no protocol and no
//! socket: [`PathMtuSession`] asks with a [`Prober`](halloo_base::Prober), and others may ask in their own way.

mod session;
#[cfg(test)]
mod tests;

pub use session::{
    MakeProber, MtuProbe, MtuReport, MtuSink, PathMtuSession, PathMtuSessionOptions, SizeOutcome,
};

use halloo_base::Mono;
use std::time::Duration;

/// How a path's MTU is searched. Sizes are bytes of the whole IP packet, its header included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PathMtuOptions {
    /// The shortest probe that can be made: what is asked where even the base is not answered (MIN_PLPMTU).
    pub least: u16,
    /// What nearly every path carries (BASE_PLPMTU): asked first.
    pub base: u16,
    /// The longest that is of interest (MAX_PLPMTU), mostly the MTU of this host's own link.
    pub most: u16,
    /// How many probes of a size have to be lost, at least, before it counts as too big (MAX_PROBES).
    pub confirm: u32,
    /// How many of the size that bounds the result have to be lost before the search is complete. The more, the less can
    /// loss that has nothing to do with the size make the result too small.
    pub confirm_last: u32,
    /// After how long a probe is lost while nothing has been answered, and at most (PROBE_TIMER).
    pub lost_after: Duration,
    /// After how long it is lost at least, when round trips are known: three times the longest, but not less than this.
    pub lost_after_least: Duration,
    /// After how long a completed search looks again whether more fits (PMTU_RAISE_TIMER); `None` for never.
    pub raise_after: Option<Duration>,
}

/// What is known so far (RFC 8899 section 5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PathMtuState {
    /// It is not known yet whether the base size gets through.
    Base,
    /// The base gets through; what more does is being searched.
    Searching,
    /// The result is known.
    Complete,
    /// The base does not get through: the path carries less, or nothing.
    Error,
}

/// A search for one path's MTU, one probe at a time.
///
/// Ask [`PathMtu::probe`] for the next size whenever there was an input or [`PathMtu::deadline`] has come. An answer to a
/// size is certain, whenever it comes; silence has to be confirmed. What an ICMP message says is asked next, and believed
/// no further.
#[derive(Clone, Debug)]
pub struct PathMtu {
    options: PathMtuOptions,
    state: PathMtuState,
    /// The longest that was answered; 0 before any was.
    answered: u16,
    /// Sizes that count as too big, each smaller than the one before it.
    refused: Vec<Refused>,
    /// The size that is asked now, and how many probes of it were lost.
    current: Option<Current>,
    /// What an ICMP message says would fit.
    hint: Option<u16>,
    /// The longest round trip so far.
    slowest: Duration,
    /// Nothing is left to ask, until then if it is to begin again.
    ended: Option<Option<Mono>>,
    probes: u32,
}

#[derive(Clone, Copy, Debug)]
struct Refused {
    size: u16,
    losses: u32,
}

#[derive(Clone, Copy, Debug)]
struct Current {
    size: u16,
    losses: u32,
    /// After how many of them it counts as too big.
    enough: u32,
    /// When the probe that is under way was sent; `None` if the next is due.
    sent: Option<Mono>,
}

/// Usual MTUs: IPv6's least (RFC 8200), tunnels in tunnels, WireGuard over IPv6, GRE and IPsec, PPPoE (RFC 2516), Ethernet,
/// FDDI, and jumbo frames.
const USUAL: &[u16] = &[
    576, 1_006, 1_280, 1_380, 1_400, 1_420, 1_440, 1_450, 1_460, 1_472, 1_476, 1_480, 1_492, 1_500, 1_504,
    2_304, 4_352, 7_981, 8_166, 8_500, 8_900, 8_950, 8_970, 9_000, 9_001, 9_100, 9_174, 9_180, 9_216, 16_110,
    65_520,
];

impl PathMtuOptions {
    /// RFC 8899 section 5.1.2 for paths over IPv4 (`most` is the link's MTU): base 1,200 bytes, and 3 probes to confirm.
    pub fn v4(most: u16) -> PathMtuOptions {
        PathMtuOptions {
            least: 68,
            base: 1_200,
            most,
            confirm: 3,
            confirm_last: 8,
            lost_after: Duration::from_secs(15),
            lost_after_least: Duration::from_secs(1),
            raise_after: Some(Duration::from_secs(600)),
        }
    }

    /// The same over IPv6, where every path carries 1,280 bytes (RFC 8200 section 5).
    pub fn v6(most: u16) -> PathMtuOptions {
        PathMtuOptions {
            least: 1_280,
            base: 1_280,
            ..PathMtuOptions::v4(most)
        }
    }
}

impl PathMtu {
    /// A search that has not begun. Sizes out of order are put in order, and at least one loss is needed to confirm.
    pub fn new(options: PathMtuOptions) -> PathMtu {
        let most = options.most.max(1);
        let base = options.base.clamp(1, most);
        PathMtu {
            options: PathMtuOptions {
                base,
                most,
                least: options.least.clamp(1, base),
                confirm: options.confirm.max(1),
                confirm_last: options.confirm_last.max(options.confirm).max(1),
                ..options
            },
            state: PathMtuState::Base,
            answered: 0,
            refused: Vec::with_capacity(32),
            current: None,
            hint: None,
            slowest: Duration::ZERO,
            ended: None,
            probes: 0,
        }
    }

    /// What is known so far.
    pub fn state(&self) -> PathMtuState {
        self.state
    }

    /// The longest packet that is known to get through, in bytes; `None` before any did.
    pub fn mtu(&self) -> Option<u16> {
        (self.answered > 0).then_some(self.answered)
    }

    /// Whether nothing is left to be asked, for now.
    pub fn is_decided(&self) -> bool {
        self.ended.is_some()
    }

    /// How many probes were asked for.
    pub fn probes(&self) -> u32 {
        self.probes
    }

    /// The size of the probe that is to be sent now, if one is. Sending it is the caller's part.
    pub fn probe(&mut self, now: Mono) -> Option<u16> {
        if self.ended.flatten().is_some_and(|at| at <= now) {
            self.begin_again();
        }
        if self.lost_at().is_some_and(|at| at <= now) {
            self.lose(1);
        }
        if self.current.is_none() {
            self.choose(now);
        }
        let current = self.current.as_mut().filter(|current| current.sent.is_none())?;
        current.sent = Some(now);
        self.probes = self.probes.saturating_add(1);
        Some(current.size)
    }

    /// When [`PathMtu::probe`] is to be called next, whatever happens.
    pub fn deadline(&self) -> Option<Mono> {
        match (self.ended, self.current) {
            (Some(again), _) => again,
            (None, Some(Current { sent: Some(_), .. })) => self.lost_at(),
            (None, _) => Some(Mono(0)),
        }
    }

    /// A probe of this size was answered, however late: so long after it was sent.
    pub fn answered(&mut self, size: u16, took: Duration) {
        self.slowest = self.slowest.max(took);
        self.answered = self.answered.max(size.min(self.options.most));
        self.refused.retain(|refused| refused.size > size);
        if self.current.is_some_and(|current| current.size <= size) {
            self.current = None;
        }
        if self.answered.saturating_add(1) < self.ceiling() {
            // Where all had been decided, that was too early.
            self.ended = None;
        }
        self.judge();
    }

    /// The network says that the probe of this size, which it quotes, was too big, and perhaps what would fit. That is a
    /// loss like any other, but known at once; and what would fit is asked next. Nothing is believed: anyone may say so
    /// who has seen the probe.
    pub fn too_big(&mut self, size: u16, mtu: Option<u32>) {
        let Some(current) = self
            .current
            .filter(|current| current.size == size && current.sent.is_some())
        else {
            return;
        };
        let mtu = mtu.and_then(|mtu| u16::try_from(mtu).ok());
        let may_be = |mtu: &u16| *mtu >= self.options.least && *mtu < current.size && *mtu > self.answered;
        if let Some(mtu) = mtu.filter(may_be) {
            self.hint = Some(mtu);
        }
        self.lose(1);
    }

    /// This host cannot send a packet of this size: its own link does not carry it. Nothing was sent.
    pub fn unsendable(&mut self, size: u16) {
        if self.current.is_some_and(|current| current.size == size) {
            self.probes = self.probes.saturating_sub(1);
            self.lose(u32::MAX);
        }
    }

    /// Packets that the path should carry get lost while shorter ones do not: what was known is forgotten, and the search
    /// begins with the base (RFC 8899 section 4.3).
    pub fn black_hole(&mut self) {
        self.answered = 0;
        self.state = PathMtuState::Base;
        self.begin_again();
    }

    /// Looks again: what was too big may fit by now.
    fn begin_again(&mut self) {
        self.refused.clear();
        self.current = None;
        self.hint = None;
        self.ended = None;
        self.judge();
    }

    /// The shortest that counts as too big.
    fn ceiling(&self) -> u16 {
        let most = self.options.most.saturating_add(1);
        self.refused.last().map_or(most, |refused| refused.size)
    }

    fn lost_at(&self) -> Option<Mono> {
        let sent = self.current?.sent?;
        let known = (self.slowest * 3).max(self.options.lost_after_least);
        let wait = match self.answered {
            0 => self.options.lost_after,
            _ => known.min(self.options.lost_after),
        };
        Some(sent + wait)
    }

    /// The probe that is under way is lost, and counts for so many.
    fn lose(&mut self, losses: u32) {
        let Some(current) = &mut self.current else { return };
        current.sent = None;
        current.losses = current.losses.saturating_add(losses);
        if current.losses >= current.enough {
            let Current { size, losses, .. } = *current;
            self.current = None;
            self.refuse(size, losses);
        }
    }

    /// This size counts as too big.
    fn refuse(&mut self, size: u16, losses: u32) {
        match self.refused.last_mut() {
            Some(last) if last.size == size => last.losses = last.losses.saturating_add(losses),
            _ => self.refused.push(Refused { size, losses }),
        }
        self.judge();
    }

    fn judge(&mut self) {
        self.state = match () {
            () if self.answered >= self.options.base && self.is_decided() => PathMtuState::Complete,
            () if self.answered >= self.options.base => PathMtuState::Searching,
            () if self.ceiling() <= self.options.base => PathMtuState::Error,
            () => PathMtuState::Base,
        };
    }

    /// What to ask next, or the end of the search.
    fn choose(&mut self, now: Mono) {
        if self.is_decided() {
            return;
        }
        self.current = self.next_size().map(|(size, enough)| Current {
            size,
            losses: 0,
            enough,
            sent: None,
        });
        if self.current.is_none() {
            self.ended = Some(self.options.raise_after.map(|after| now + after));
            self.judge();
        }
    }

    /// The size to ask, and how many losses say that it is too big.
    fn next_size(&self) -> Option<(u16, u32)> {
        let PathMtuOptions {
            least,
            base,
            most,
            confirm,
            confirm_last,
            ..
        } = self.options;
        let (floor, ceiling) = (self.answered, self.ceiling());
        let above = floor.saturating_add(1);
        let fresh = |size| Some((size, confirm));
        if floor == 0 {
            return match ceiling {
                _ if ceiling > base => fresh(base),
                _ if ceiling > least => fresh(least),
                _ => None,
            };
        }
        if above >= ceiling {
            let doubtful = self.refused.last().filter(|last| last.losses < confirm_last);
            return doubtful.map(|last| (last.size, 1));
        }
        if let Some(hint) = self.hint.filter(|hint| (above..ceiling).contains(hint)) {
            return fresh(hint);
        }
        if self.refused.is_empty() {
            return fresh(most);
        }
        // A usual size, or one that somebody told, is mostly the very one.
        if self.hint == Some(floor) {
            return fresh(above);
        }
        let first = USUAL.partition_point(|&size| size <= floor);
        let behind = USUAL.partition_point(|&size| size < ceiling);
        if first < behind {
            return fresh(USUAL[first.midpoint(behind)]);
        }
        fresh(if USUAL.contains(&floor) {
            above
        } else {
            floor.midpoint(ceiling)
        })
    }
}
