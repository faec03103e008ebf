//! Sequential tests: as many probes as it takes, and no more.
//!
//! Wald's likelihood ratio (1945) adds up, probe by probe, how much better one guess at the loss explains what
//! happened than another. Page's cumulative sum (1954) restarts it whenever it falls below zero, so that trouble
//! may begin at any time. A cumulative sum with the bound `ln A` raises a false alarm no more often than once in `A`
//! probes (Lorden 1971).

/// One guess at the loss against another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Test {
    /// What a miss adds.
    miss: f64,
    /// What an answer adds: less than nothing.
    hit: f64,
}

/// How far a cumulative sum has come.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub(crate) struct Level {
    /// The natural logarithm of the odds.
    pub(crate) odds: f64,
    /// The place of the first outcome that counts.
    pub(crate) first: Option<usize>,
}

impl Test {
    /// Tells a loss of `bad` from a loss of `good`; both within 0 and 1, `good` the smaller.
    pub(crate) fn between(good: f64, bad: f64) -> Test {
        Test {
            miss: (bad / good).ln(),
            hit: ((1.0 - bad) / (1.0 - good)).ln(),
        }
    }

    /// The same, the other way round: it proves that things are good.
    pub(crate) fn reversed(self) -> Test {
        Test {
            miss: -self.miss,
            hit: -self.hit,
        }
    }

    /// What one outcome adds.
    pub(crate) fn weigh(self, missed: bool) -> f64 {
        if missed { self.miss } else { self.hit }
    }
}

/// The cumulative sum over outcomes: the place of each, and what it adds.
pub(crate) fn cumulate(outcomes: impl Iterator<Item = (usize, f64)>) -> Level {
    let mut level = Level::default();
    for (place, weight) in outcomes {
        level.odds += weight;
        if level.odds <= 0.0 {
            level = Level::default();
        } else if level.first.is_none() {
            level.first = Some(place);
        }
    }
    level
}

/// The bound for odds of ten to this power.
pub(crate) fn bound(power: f64) -> f64 {
    power * std::f64::consts::LN_10
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many misses in a row it takes.
    fn misses(good: f64, power: f64) -> usize {
        let test = Test::between(good, 0.95);
        (1..)
            .find(|&n| cumulate((0..n).map(|at| (at, test.weigh(true)))).odds >= bound(power))
            .expect("some number is enough")
    }

    #[test]
    fn the_better_a_link_is_as_a_rule_the_sooner_it_is_called_dead() {
        let table = [
            (0.002, 4),
            (0.005, 4),
            (0.01, 5),
            (0.02, 6),
            (0.05, 8),
            (0.15, 12),
        ];
        for (usual, count) in table {
            assert_eq!(misses(usual, 9.0), count, "{usual}");
        }
    }

    #[test]
    fn an_answer_takes_away_and_the_sum_begins_anew() {
        let test = Test::between(0.002, 0.95);
        let run = |outcomes: &[bool]| cumulate(outcomes.iter().map(|&missed| test.weigh(missed)).enumerate());
        assert_eq!(run(&[false; 10]), Level::default());
        assert_eq!(run(&[true, false, false, false]), Level::default());
        assert_eq!(run(&[true, false, false, false, true]).first, Some(4));
        assert_eq!(run(&[false, true, true]).first, Some(1));
    }

    #[test]
    fn one_anchor_of_three_that_never_answers_is_not_enough_for_long() {
        let test = Test::between(0.002, 0.95);
        let cycle = [true, false, false];
        let sum = cumulate((0..90).map(|at| (at, test.weigh(cycle[at % 3]))));
        assert!(sum.odds < bound(9.0), "{sum:?}");
    }

    #[test]
    fn reversed_it_proves_that_all_is_well() {
        let test = Test::between(0.02, 0.1).reversed();
        let level = cumulate((0..109).map(|at| (at, test.weigh(false))));
        assert!(level.odds >= bound(4.0), "{level:?}");
    }
}
