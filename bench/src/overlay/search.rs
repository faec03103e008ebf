//! The highest rate that still passes.

/// One trial at a rate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Trial {
    /// What was really offered, a second.
    pub(crate) offered: f64,
    /// What arrived, a second.
    pub(crate) arrived: f64,
}

impl Trial {
    /// Whether at most this share of what was offered is missing, and the sender kept the rate.
    pub(crate) fn passes(&self, rate: f64, tolerated: f64) -> bool {
        self.arrived >= self.offered * (1.0 - tolerated) && self.offered >= rate * 0.9
    }
}

/// Doubles the rate from `start` until a trial fails or `most` is reached, then halves the gap (as a ratio) `steps` times. A
/// rate fails when it fails twice in a row: what disturbs this machine for a moment says nothing. The answer is the most that
/// arrived in a trial that passed; 0 when none did.
///
/// # Errors
/// Those of a trial.
pub(crate) fn highest<E>(
    start: f64,
    most: f64,
    steps: u32,
    tolerated: f64,
    mut trial: impl FnMut(f64) -> Result<Trial, E>,
) -> Result<f64, E> {
    let mut best = 0.0_f64;
    let mut passes = |rate: f64| -> Result<bool, E> {
        for _ in 0..2 {
            let seen = trial(rate)?;
            if seen.passes(rate, tolerated) {
                best = best.max(seen.arrived);
                return Ok(true);
            }
        }
        Ok(false)
    };
    let (mut low, mut high) = (start, start);
    // The start may be too much already: then down, else up.
    if passes(start)? {
        loop {
            high = low * 2.0;
            if high > most || !passes(high)? {
                break;
            }
            low = high;
        }
    } else {
        loop {
            low = high / 2.0;
            if low < start / 64.0 {
                return Ok(best);
            }
            if passes(low)? {
                break;
            }
            high = low;
        }
    }
    for _ in 0..steps {
        let middle = (low * high).sqrt();
        if passes(middle)? {
            low = middle;
        } else {
            high = middle;
        }
    }
    Ok(best)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;

    /// Carries so much and loses the rest; the sender manages so much.
    fn through(capacity: f64, sender: f64) -> impl FnMut(f64) -> Result<Trial, Infallible> {
        move |rate| {
            let offered = rate.min(sender);
            Ok(Trial {
                offered,
                arrived: offered.min(capacity),
            })
        }
    }

    #[test]
    fn it_comes_close_from_below_wherever_the_limit_is() {
        for capacity in [1_000.0, 15_000.0, 16_000.0, 90_000.0, 511_000.0] {
            let found = highest(16_000.0, 1e6, 6, 0.001, through(capacity, 1e9)).unwrap();
            assert!(
                found <= capacity && found > capacity * 0.97,
                "{found} of {capacity}"
            );
        }
    }

    #[test]
    fn what_carries_nothing_has_no_rate() {
        let nothing = highest(16_000.0, 1e6, 6, 0.001, through(0.0, 1e9));
        assert_eq!(nothing, Ok(0.0));
    }

    #[test]
    fn a_sender_that_is_slower_ends_the_search_at_its_own_rate() {
        let found = highest(16_000.0, 1e6, 6, 0.001, through(1e9, 100_000.0)).unwrap();
        assert!(found > 95_000.0 && found <= 100_000.0, "{found}");
    }

    #[test]
    fn it_ends_at_the_most_that_is_asked_for() {
        let mut asked = 0.0_f64;
        let mut carrier = through(1e9, 1e9);
        highest(16_000.0, 64_000.0, 0, 0.001, |rate| {
            asked = asked.max(rate);
            carrier(rate)
        })
        .unwrap();
        assert_eq!(asked, 64_000.0);
    }

    #[test]
    fn a_single_disturbance_does_not_count() {
        let mut trials = 0;
        let mut carrier = through(100_000.0, 1e9);
        let found = highest(16_000.0, 1e6, 6, 0.001, |rate| {
            trials += 1;
            let seen = carrier(rate)?;
            Ok::<_, Infallible>(Trial {
                // Every other trial loses one in ten.
                arrived: seen.arrived * if trials % 2 == 1 { 0.9 } else { 1.0 },
                ..seen
            })
        });
        assert!(found.unwrap() > 97_000.0);
    }

    #[test]
    fn one_in_a_thousand_may_be_missing() {
        let trial = |arrived| Trial {
            offered: 100_000.0,
            arrived,
        };
        assert!(trial(99_900.0).passes(100_000.0, 0.001));
        assert!(!trial(99_899.0).passes(100_000.0, 0.001));
        assert!(!trial(100_000.0).passes(120_000.0, 0.001));
    }
}
