//! The lifetime of a mapping, from which silences it outlived and which it did not.

use std::collections::BTreeMap;
use std::time::Duration;

/// How many silences are tried side by side.
pub(super) const SIDE_BY_SIDE: u32 = 12;
/// The shortest silence of the first round, unless a short limit asks for less.
const SHORTEST: Duration = Duration::from_secs(2);
const LEAST: Duration = Duration::from_millis(500);

/// What is known of a lifetime.
#[derive(Clone, Debug)]
pub(super) struct Search {
    longest: Duration,
    /// Silences whose outcome is known: whether something came after it.
    known: BTreeMap<Duration, bool>,
}

/// Where a lifetime lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Lifetime {
    /// The longest silence that a mapping outlived.
    pub at_least: Option<Duration>,
    /// The shortest that it did not, of those above.
    pub below: Option<Duration>,
}

impl Search {
    /// A search that tries no longer silence than this.
    pub(super) fn new(longest: Duration) -> Search {
        Search {
            longest,
            known: BTreeMap::new(),
        }
    }

    /// The silences of the first round, shortest first, in equal ratios.
    pub(super) fn coarse(&self) -> Vec<Duration> {
        let longest = self.longest.as_secs_f64();
        let first = (self.longest / 90).clamp(LEAST, SHORTEST).min(self.longest);
        let ratio = (longest / first.as_secs_f64()).powf(1.0 / f64::from(SIDE_BY_SIDE - 1));
        let nth = |n| match n {
            n if n == SIDE_BY_SIDE - 1 => self.longest,
            n => whole(first.mul_f64(ratio.powi(n as i32))),
        };
        (0..SIDE_BY_SIDE).map(nth).collect()
    }

    /// The silences of the next round: between the bounds, the upper one once more.
    pub(super) fn finer(&self) -> Vec<Duration> {
        let Lifetime {
            at_least,
            below: Some(below),
        } = self.lifetime()
        else {
            return vec![];
        };
        let from = at_least.unwrap_or_default();
        let step = (below - from) / SIDE_BY_SIDE;
        let nth = |n| {
            if n == SIDE_BY_SIDE {
                below
            } else {
                whole(from + step * n)
            }
        };
        (1..=SIDE_BY_SIDE).map(nth).collect()
    }

    /// Something came after this silence.
    pub(super) fn alive(&mut self, silence: Duration) {
        self.known.insert(silence, true);
    }

    /// Nothing did. What came once outweighs that: a loss explains it.
    pub(super) fn dead(&mut self, silence: Duration) {
        self.known.entry(silence).or_insert(false);
    }

    pub(super) fn lifetime(&self) -> Lifetime {
        let at_least = self.known.iter().rev().find(|(_, alive)| **alive);
        let at_least = at_least.map(|(silence, _)| *silence);
        let above = at_least.map_or(Duration::ZERO, |at_least| at_least + Duration::from_nanos(1));
        let below = self.known.range(above..).next().map(|(silence, _)| *silence);
        Lifetime { at_least, below }
    }

    /// Whether the bounds are as near to each other as is of any use.
    pub(super) fn is_fine(&self) -> bool {
        const NEAR: Duration = Duration::from_millis(150);
        match self.lifetime() {
            Lifetime {
                at_least: Some(at_least),
                below: Some(below),
            } => below - at_least <= NEAR.max(at_least / 16),
            Lifetime {
                below: Some(below), ..
            } => below <= NEAR,
            Lifetime { below: None, .. } => false,
        }
    }
}

/// Silences travel in whole milliseconds.
fn whole(span: Duration) -> Duration {
    Duration::from_millis(u64::try_from(span.as_millis()).unwrap_or(u64::MAX))
}
