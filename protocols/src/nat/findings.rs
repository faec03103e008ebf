//! From what was observed to what it means, in the words of RFC 4787.

use super::search::Lifetime;
use crate::echo::pingback::Outcome;
use halloo_base::{Dependence, can_meet};
use std::net::SocketAddr;
use std::time::Duration;

/// All kinds, the least dependent first.
const KINDS: [Dependence; 3] = [
    Dependence::EndpointIndependent,
    Dependence::AddressDependent,
    Dependence::AddressAndPortDependent,
];

/// Why something is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Lack {
    /// It has not been asked yet, or the investigation was stopped before the answer.
    Unasked,
    /// No host told how it sees us.
    NoAnswer,
    /// It takes a second port of one host that tells how it sees us.
    SecondPort,
    /// It takes a second address that tells how it sees us.
    SecondAddress,
    /// The same end saw us now so, now so.
    Unstable,
    /// The host is no echo host of halloo's.
    NoEchoHost,
    /// The host sends nothing later, or not from there, for this reason.
    Refused(Outcome),
    /// Nothing came, not even from where it may come.
    NothingCame,
    /// Address and port are the same outside, so there is nothing to find out.
    NotTranslated,
    /// Everybody is let in, always.
    Unfiltered,
    /// The filter would hide it.
    Hidden,
    /// No mapping was seen to end.
    NoEnd,
}

/// How a NAT depends on the other end, as far as it is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kind {
    /// What it may be: nothing where nothing is known, one where it is known.
    pub possible: Vec<Dependence>,
    /// Why it is not known, or not better.
    pub lack: Option<Lack>,
}

/// How one end saw the socket that asks them all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sight {
    pub(super) end: SocketAddr,
    pub(super) seen: SocketAddr,
}

/// What came from an end that had not been sent anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Came {
    Yes,
    No,
    Unknown(Lack),
}

impl Kind {
    /// Nothing is known of it.
    pub(super) fn unknown(lack: Lack) -> Kind {
        Kind {
            possible: vec![],
            lack: Some(lack),
        }
    }

    /// The one that it is.
    pub fn known(&self) -> Option<Dependence> {
        match self.possible[..] {
            [one] => Some(one),
            _ => None,
        }
    }

    /// What it may be: all where nothing is known.
    fn all(&self) -> &[Dependence] {
        match self.possible.is_empty() {
            true => &KINDS,
            false => &self.possible,
        }
    }

    fn of(possible: impl Fn(Dependence) -> bool, lack: Lack) -> Kind {
        let possible: Vec<_> = KINDS.into_iter().filter(|kind| possible(*kind)).collect();
        let lack = (possible.len() != 1).then_some(lack);
        Kind { possible, lack }
    }
}

/// When an inside endpoint has the same outside endpoint (RFC 4787 section 4.1), from how ends saw one socket.
pub(super) fn mapping(sights: &[Sight]) -> Kind {
    // One address with several ports, and several addresses.
    let (mut ports, mut addresses) = (Pairs::default(), Pairs::default());
    for (nth, a) in sights.iter().enumerate() {
        for b in &sights[nth + 1..] {
            let same_ip = a.end.ip().to_canonical() == b.end.ip().to_canonical();
            match (same_ip, a.end.port() == b.end.port()) {
                (true, true) if a.seen != b.seen => return Kind::unknown(Lack::Unstable),
                (true, true) => {}
                (true, false) => ports.add(a.seen == b.seen),
                (false, _) => addresses.add(a.seen == b.seen),
            }
        }
    }
    if sights.is_empty() {
        return Kind::unknown(Lack::NoAnswer);
    }
    let lack = if addresses.any {
        Lack::SecondPort
    } else {
        Lack::SecondAddress
    };
    let kind = Kind::of(
        |kind| match kind {
            Dependence::EndpointIndependent => !ports.differ && !addresses.differ,
            Dependence::AddressDependent => !ports.differ && (!addresses.any || addresses.differ),
            Dependence::AddressAndPortDependent => match ports.any {
                true => ports.differ,
                false => !addresses.any || addresses.differ,
            },
        },
        lack,
    );
    if ports.any || addresses.any {
        return kind;
    }
    // One end alone says nothing at all.
    Kind::unknown(Lack::SecondPort)
}

/// Pairs of ends, and whether they saw the same.
#[derive(Default)]
struct Pairs {
    any: bool,
    differ: bool,
}

impl Pairs {
    fn add(&mut self, same: bool) {
        self.any = true;
        self.differ |= !same;
    }
}

/// Whom a NAT lets in (RFC 4787 section 5): what came from the end that was sent to, from another port of its address,
/// and from another address.
pub(super) fn filtering(same: Came, port: Came, address: Came) -> Kind {
    if let Came::Unknown(lack) = same
        && ![port, address].contains(&Came::Yes)
    {
        return Kind::unknown(lack);
    }
    match (same, port, address) {
        // Who lets in strangers lets in all; what else did not come was lost.
        (_, _, Came::Yes) => Kind::of(|kind| kind == Dependence::EndpointIndependent, Lack::NothingCame),
        (Came::No, Came::No | Came::Unknown(_), _) => Kind::unknown(Lack::NothingCame),
        (_, Came::Unknown(lack), Came::Unknown(_)) => Kind::unknown(lack),
        (_, Came::No, _) => Kind::of(
            |kind| kind == Dependence::AddressAndPortDependent,
            Lack::NothingCame,
        ),
        (_, Came::Yes, Came::No) => Kind::of(|kind| kind == Dependence::AddressDependent, Lack::NothingCame),
        (_, Came::Yes, Came::Unknown(lack)) => Kind::of(
            |kind| kind != Dependence::AddressAndPortDependent,
            match lack {
                Lack::Refused(Outcome::NoOther) => Lack::SecondAddress,
                other => other,
            },
        ),
        (_, Came::Unknown(lack), Came::No) => Kind::of(
            |kind| kind != Dependence::EndpointIndependent,
            match lack {
                Lack::Refused(Outcome::NoOther) => Lack::SecondPort,
                other => other,
            },
        ),
    }
}

/// Either of two observations of the same.
pub(super) fn either(a: Came, b: Came) -> Came {
    match (a, b) {
        (Came::Yes, _) | (_, Came::Yes) => Came::Yes,
        (Came::No, _) | (_, Came::No) => Came::No,
        (unknown, _) => unknown,
    }
}

/// All that an investigation found out so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Findings {
    /// What is going on.
    pub stage: Stage,
    /// Our end as this host has it.
    pub local: Option<SocketAddr>,
    /// The same as the first host that told it sees it.
    pub reflexive: Option<SocketAddr>,
    /// Whether the two differ.
    pub translated: Option<bool>,
    /// Whether the outside endpoint depends on whom is sent to.
    pub mapping: Kind,
    /// Who is let in.
    pub filtering: Kind,
    /// How many sockets kept their port outside.
    pub ports_kept: usize,
    /// Of so many.
    pub ports_seen: usize,
    /// Whether two sockets here reach each other by their outside endpoints (RFC 4787 section 6).
    pub hairpin: Result<bool, Lack>,
    /// For how long a mapping lives in silence.
    pub lifetime: Lifetime,
    /// Why that is not known.
    pub lifetime_lack: Option<Lack>,
    /// Whether what comes in keeps a mapping alive, too (RFC 4787 section 4.3).
    pub inbound_refresh: Result<bool, Lack>,
}

/// What is going on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Hosts are asked.
    Asking,
    /// Silences are waited for.
    Waiting,
    /// It is over; it was stopped before it was done, if so.
    Ended {
        /// Whether somebody stopped it.
        stopped: bool,
    },
}

impl Findings {
    /// Nothing is known.
    pub(super) fn none() -> Findings {
        Findings {
            stage: Stage::Asking,
            local: None,
            reflexive: None,
            translated: None,
            mapping: Kind::unknown(Lack::Unasked),
            filtering: Kind::unknown(Lack::Unasked),
            ports_kept: 0,
            ports_seen: 0,
            hairpin: Err(Lack::Unasked),
            lifetime: Lifetime::default(),
            lifetime_lack: Some(Lack::Unasked),
            inbound_refresh: Err(Lack::Unasked),
        }
    }

    /// Whether two hosts like this one, each behind such a NAT of its own and told of the other by a third, can exchange
    /// datagrams with nobody between. Nothing where it depends on what is not known.
    pub fn two_such_can_meet(&self) -> Option<bool> {
        self.reflexive?;
        let mapping = match self.translated {
            Some(false) => &KINDS[..1],
            _ => self.mapping.all(),
        };
        let mut each = mapping
            .iter()
            .flat_map(|&mapping| {
                self.filtering
                    .all()
                    .iter()
                    .map(move |&filtering| (mapping, filtering))
            })
            .map(|kind| can_meet(kind, kind));
        let first = each.next()?;
        each.all(|other| other == first).then_some(first)
    }

    /// How often something has to be sent so that a mapping lives on: seven tenths of its lifetime, rounded down to whole
    /// seconds, or to tenths below one.
    pub fn keep_alive(&self) -> Option<Duration> {
        let millis = self.lifetime.at_least?.as_millis() * 7 / 10;
        let step = if millis >= 1_000 { 1_000 } else { 100 };
        let millis = u64::try_from(millis / step * step).ok()?;
        (millis > 0).then(|| Duration::from_millis(millis))
    }
}
