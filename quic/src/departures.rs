//! Departure stamps for what left inside of something else.

use halloo_base::TxTag;
use std::collections::BTreeMap;

/// Which of a machine's tags left with which UDP datagram.
#[derive(Default)]
pub(crate) struct Departures {
    next: u64,
    waiting: BTreeMap<u64, Vec<TxTag>>,
}

impl Departures {
    /// The stamps of more datagrams than this are not waited for: the oldest were never taken.
    const WAITING: usize = 1_024;

    /// The tag for a datagram that holds what has these tags; `None` if there are none.
    pub(crate) fn tag(&mut self, inner: Vec<TxTag>) -> Option<TxTag> {
        if inner.is_empty() {
            return None;
        }
        let tag = self.next;
        self.next += 1;
        self.waiting.insert(tag, inner);
        if self.waiting.len() > Departures::WAITING {
            self.waiting.pop_first();
        }
        Some(TxTag(tag))
    }

    /// What left with the datagram of this tag.
    pub(crate) fn take(&mut self, tag: TxTag) -> Vec<TxTag> {
        self.waiting.remove(&tag.0).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_datagrams_stamp_is_that_of_all_that_is_in_it() {
        let mut departures = Departures::default();
        assert_eq!(departures.tag(vec![]), None);
        let one = departures.tag(vec![TxTag(7), TxTag(8)]).unwrap();
        let other = departures.tag(vec![TxTag(9)]).unwrap();
        assert_eq!(departures.take(one), [TxTag(7), TxTag(8)]);
        assert_eq!(departures.take(one), []);
        assert_eq!(departures.take(other), [TxTag(9)]);
    }

    #[test]
    fn stamps_that_never_come_are_forgotten() {
        let mut departures = Departures::default();
        let first = departures.tag(vec![TxTag(0)]).unwrap();
        for _ in 0..Departures::WAITING {
            departures.tag(vec![TxTag(1)]);
        }
        assert_eq!(departures.take(first), []);
        assert_eq!(departures.waiting.len(), Departures::WAITING);
    }
}
