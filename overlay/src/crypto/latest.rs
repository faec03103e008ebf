//! The latest times in the initiations of those who are not known any more.

use halloo_base::Wall;
use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;

/// How many are remembered.
const MOST: usize = 4_096;

/// After what an initiation must have been made to be taken. An initiation that somebody has recorded stays old when its
/// maker was forgotten, and when this end was started again.
///
/// Of those who were forgotten 4,096 are remembered. When one more comes, the earliest time goes, and nobody who is not
/// remembered is taken any more with an initiation that is as early; nor with one from before this end was started. Whoever
/// comes with such a one is told the time, and goes on from there, so nobody is kept out by a clock that is behind. That bar
/// does not rise above this end's own clock, else one member could raise it to the end of time: what is left is an
/// initiation whose maker's clock was ahead of this one, and that was forgotten for 4,096 others with clocks further ahead.
#[derive(Debug)]
pub struct Latest<K> {
    bar: u64,
    clock: u64,
    times: HashMap<K, u64>,
    order: BTreeSet<(u64, K)>,
}

impl<K> Default for Latest<K> {
    fn default() -> Latest<K> {
        Latest {
            bar: 0,
            clock: 0,
            times: HashMap::new(),
            order: BTreeSet::new(),
        }
    }
}

impl<K: Copy + Ord + Hash> Latest<K> {
    /// This end starts: what was made before is too old.
    pub fn begin(&mut self, started: Wall) {
        self.bar = self.bar.max(started.0);
        self.look(started);
    }

    /// So late it is here: to be told before times that were seen then are kept.
    pub fn look(&mut self, now: Wall) {
        self.clock = self.clock.max(now.0);
    }

    /// Later than this an initiation of theirs must be.
    pub fn of(&self, key: &K) -> u64 {
        self.times.get(key).copied().unwrap_or(0).max(self.bar)
    }

    /// Remembers somebody who is forgotten, and the latest time that was taken from him.
    pub fn keep(&mut self, key: K, time: u64) {
        let time = time.max(self.of(&key));
        if let Some(known) = self.times.remove(&key) {
            self.order.remove(&(known, key));
        }
        if time <= self.bar {
            return;
        }
        self.times.insert(key, time);
        self.order.insert((time, key));
        while self.order.len() > MOST
            && let Some((earliest, key)) = self.order.pop_first()
        {
            self.times.remove(&key);
            self.bar = self.bar.max(earliest.min(self.clock));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STARTED: u64 = 1_000_000;

    #[test]
    fn nothing_from_before_the_start_is_taken_nor_what_was_taken_before() {
        let mut latest = Latest::default();
        latest.begin(Wall(STARTED));
        assert_eq!(latest.of(&1), STARTED);
        latest.keep(1, STARTED + 5);
        assert_eq!((latest.of(&1), latest.of(&2)), (STARTED + 5, STARTED));
        latest.keep(1, 7);
        assert_eq!(latest.of(&1), STARTED + 5, "it does not go back");
        latest.keep(1, STARTED + 9);
        assert_eq!(latest.of(&1), STARTED + 9);
    }

    #[test]
    fn whoever_is_not_remembered_must_come_after_those_who_are_not_either() {
        let mut latest = Latest::default();
        latest.begin(Wall(STARTED));
        let many = 3 * MOST as u64;
        for number in 1..=many {
            latest.look(Wall(STARTED + number));
            latest.keep(number, STARTED + number);
        }
        assert_eq!(latest.order.len(), MOST);
        assert_eq!(latest.times.len(), MOST);
        for number in 1..=many {
            assert!(latest.of(&number) >= STARTED + number, "{number}");
        }
        assert_eq!(latest.of(&0), STARTED + many - MOST as u64);
    }

    #[test]
    fn times_that_have_not_come_yet_keep_nobody_else_out() {
        let mut latest = Latest::default();
        latest.begin(Wall(STARTED));
        latest.look(Wall(STARTED + 50));
        latest.keep(0, STARTED + 20);
        for liar in 1..=2 * MOST as u64 {
            latest.keep(liar, u64::MAX - liar);
        }
        assert_eq!(latest.of(&(9 * MOST as u64)), STARTED + 50);
        assert!(latest.of(&0) >= STARTED + 20);
    }
}
