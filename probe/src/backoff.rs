//! How long to wait before connecting again.

use halloo_base::Rng;
use std::time::Duration;

/// Doubles from 100 ms to 5 s; each wait is drawn from the upper half of its step, so that clients which lost the
/// same server do not come back together.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    failures: u32,
}

const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(5);

impl Backoff {
    /// The next wait.
    pub(crate) fn next(&mut self, rng: &mut Rng) -> Duration {
        let step = FIRST.saturating_mul(1 << self.failures.min(6)).min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        let half = step / 2;
        half + Duration::from_nanos(rng.below(half.as_nanos() as u64 + 1))
    }

    /// It works again.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_to_a_cap_and_keep_to_the_upper_half() {
        let mut backoff = Backoff::default();
        let mut rng = Rng::new(3);
        for step in [100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000, 5_000] {
            let wait = backoff.next(&mut rng);
            let range = Duration::from_millis(step / 2)..=Duration::from_millis(step);
            assert!(range.contains(&wait), "{wait:?} at {step} ms");
        }
        backoff.reset();
        assert!(backoff.next(&mut rng) <= FIRST);
    }

    #[test]
    fn two_clients_wait_differently() {
        let wait = |seed| Backoff::default().next(&mut Rng::new(seed));
        assert_ne!(wait(1), wait(2));
    }
}
