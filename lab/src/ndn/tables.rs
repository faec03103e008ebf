//! Who is to be asked, who has asked, and what has been asked before.

use super::packet::{Data, Interest, Name};
use std::collections::{BTreeSet, VecDeque};
use std::time::Instant;

/// A neighbour's number.
pub(super) type FaceId = u64;

/// Nonces that are remembered.
const MOST_NONCES: usize = 10_000;

/// A way to whoever has a prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Route {
    pub(super) prefix: Name,
    pub(super) face: FaceId,
    pub(super) origin: u64,
    pub(super) cost: u64,
    pub(super) flags: u64,
    /// How many Interests still find nobody there although it was granted.
    pub(super) lag: u32,
}

/// An Interest that waits for its answer.
#[derive(Debug)]
struct Pending {
    interest: Interest,
    askers: Vec<Asker>,
    asked: Vec<FaceId>,
    token: Vec<u8>,
    until: Instant,
}

#[derive(Debug)]
struct Asker {
    face: FaceId,
    token: Option<Vec<u8>>,
}

/// What becomes of an Interest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// To this neighbour, under this mark.
    Forward(FaceId, Vec<u8>),
    /// Back, for this reason.
    Nack(u64),
    /// Somebody else has asked the same.
    Waits,
}

/// Where an answer goes, under which mark.
pub(super) type Towards = Vec<(FaceId, Option<Vec<u8>>)>;

pub(super) const DUPLICATE: u64 = 100;
pub(super) const NO_ROUTE: u64 = 150;

/// Routes, Interests under way, nonces.
#[derive(Debug, Default)]
pub(super) struct Tables {
    pub(super) routes: Vec<Route>,
    pending: Vec<Pending>,
    nonces: BTreeSet<(Name, [u8; 4])>,
    nonces_by_age: VecDeque<(Name, [u8; 4])>,
    tokens: u32,
}

impl Tables {
    /// An Interest of a neighbour; `may_reach` says which neighbours it is allowed to go to.
    pub(super) fn interest(
        &mut self,
        from: FaceId,
        token: Option<Vec<u8>>,
        interest: &Interest,
        now: Instant,
        may_reach: impl Fn(FaceId) -> bool,
    ) -> Fate {
        if !self.is_new(interest) {
            return Fate::Nack(DUPLICATE);
        }
        self.pending.retain(|pending| pending.until > now);
        let until = now + interest.lifetime;
        let asker = Asker { face: from, token };
        let same = self
            .pending
            .iter()
            .position(|pending| same_question(&pending.interest, interest));
        if let Some(pending) = same.map(|at| &mut self.pending[at]) {
            let asks_again = pending.askers.iter().any(|known| known.face == from);
            pending.askers.retain(|known| known.face != from);
            pending.askers.push(asker);
            pending.until = pending.until.max(until);
            return match pending.asked.last() {
                Some(&face) if asks_again => Fate::Forward(face, pending.token.clone()),
                _ => Fate::Waits,
            };
        }
        let Some(face) = self.next_hop(from, &interest.name, may_reach) else {
            return Fate::Nack(NO_ROUTE);
        };
        self.tokens = self.tokens.wrapping_add(1);
        let token = self.tokens.to_be_bytes().to_vec();
        self.pending.push(Pending {
            interest: interest.clone(),
            askers: vec![asker],
            asked: vec![face],
            token: token.clone(),
            until,
        });
        Fate::Forward(face, token)
    }

    /// Where this Data is waited for. With `by_token` it must carry the mark of the Interest that it answers.
    pub(super) fn data(
        &mut self,
        from: FaceId,
        token: Option<&[u8]>,
        data: &Data,
        by_token: bool,
    ) -> Towards {
        self.take(|pending| {
            pending.asked.contains(&from)
                && pending.interest.is_answered_by(data)
                && (!by_token || token == Some(&pending.token[..]))
        })
    }

    /// Whether somebody waits for this Data, whatever mark it carries.
    pub(super) fn is_wanted(&self, from: FaceId, data: &Data) -> bool {
        self.pending
            .iter()
            .any(|pending| pending.asked.contains(&from) && pending.interest.is_answered_by(data))
    }

    /// To whom an Interest that a neighbour refuses goes back.
    pub(super) fn nack(&mut self, from: FaceId, interest: &Interest) -> Towards {
        self.take(|pending| {
            let is_that = same_question(&pending.interest, interest);
            is_that && pending.asked.contains(&from) && pending.interest.nonce == interest.nonce
        })
    }

    /// A neighbour is gone, and all that belongs to it.
    pub(super) fn forget(&mut self, face: FaceId) {
        self.routes.retain(|route| route.face != face);
        for pending in &mut self.pending {
            pending.askers.retain(|asker| asker.face != face);
        }
        self.pending.retain(|pending| !pending.askers.is_empty());
    }

    /// A new route, or an old one with new properties.
    pub(super) fn add(&mut self, route: Route) {
        self.remove(&route.prefix, route.face, route.origin);
        self.routes.push(route);
    }

    pub(super) fn remove(&mut self, prefix: &Name, face: FaceId, origin: u64) {
        self.routes
            .retain(|route| (&route.prefix, route.face, route.origin) != (prefix, face, origin));
    }

    /// The neighbours that have exactly this prefix.
    pub(super) fn producers(&self, prefix: &Name) -> Vec<FaceId> {
        let routes = self.routes.iter().filter(|route| route.prefix == *prefix);
        routes.map(|route| route.face).collect()
    }

    fn take(&mut self, is_it: impl Fn(&Pending) -> bool) -> Towards {
        let mut towards = Towards::new();
        self.pending.retain_mut(|pending| {
            if !is_it(pending) {
                return true;
            }
            let askers = pending.askers.drain(..);
            towards.extend(askers.map(|asker| (asker.face, asker.token)));
            false
        });
        towards
    }

    /// The cheapest way to the longest prefix; never back to where the question came from.
    fn next_hop(&mut self, from: FaceId, name: &Name, may_reach: impl Fn(FaceId) -> bool) -> Option<FaceId> {
        let longest = self
            .routes
            .iter()
            .filter(|route| route.prefix.is_prefix_of(name))
            .map(|route| route.prefix.0.len())
            .max()?;
        let mut hops: Vec<_> = self
            .routes
            .iter_mut()
            .filter(|route| route.prefix.0.len() == longest && route.prefix.is_prefix_of(name))
            .filter(|route| route.face != from && may_reach(route.face))
            .collect();
        hops.sort_by_key(|route| route.cost);
        for route in hops {
            match route.lag {
                0 => return Some(route.face),
                _ => route.lag -= 1,
            }
        }
        None
    }

    /// Remembers name and nonce; false if they came before.
    fn is_new(&mut self, interest: &Interest) -> bool {
        let Some(nonce) = interest.nonce else {
            return true;
        };
        let key = (interest.name.clone(), nonce);
        if !self.nonces.insert(key.clone()) {
            return false;
        }
        self.nonces_by_age.push_back(key);
        if self.nonces_by_age.len() > MOST_NONCES
            && let Some(oldest) = self.nonces_by_age.pop_front()
        {
            self.nonces.remove(&oldest);
        }
        true
    }
}

fn same_question(one: &Interest, other: &Interest) -> bool {
    let question = |interest: &Interest| (interest.can_be_prefix, interest.must_be_fresh);
    one.name == other.name && question(one) == question(other)
}
