//! The more often a link has failed, the longer it has to be up before traffic returns to it.

use crate::{PolicySettings, State};
use halloo_base::Mono;

/// The record of one link in one family.
#[derive(Clone, Debug, Default)]
pub(crate) struct HoldDown {
    failures: u32,
    /// When the last failure was counted or forgiven.
    counted: Mono,
    state: Option<State>,
    up_since: Option<Mono>,
}

impl HoldDown {
    /// Sees what the link is now. An `up` that ends, other than by this host's fault, is a failure.
    pub(crate) fn see(&mut self, now: Mono, state: State, policy: &PolicySettings) {
        while self.failures > 0 && self.counted + policy.forgive.0 <= now {
            self.failures -= 1;
            self.counted += policy.forgive.0;
        }
        if self.state == Some(state) {
            return;
        }
        if matches!(state, State::Down | State::Degraded) && self.up_since.is_some() {
            self.failures = self.failures.saturating_add(1);
            self.counted = now;
        }
        self.up_since = match state {
            State::Up => self.up_since.or(Some(now)),
            State::Unknown => self.up_since,
            State::Down | State::Degraded => None,
        };
        self.state = Some(state);
    }

    /// Until when traffic does not return to it by choice. `None`: it may, or it is not up.
    pub(crate) fn until(&self, now: Mono, policy: &PolicySettings) -> Option<Mono> {
        let until = self.up_since? + self.span(policy);
        (self.failures > 0 && now < until).then_some(until)
    }

    fn span(&self, policy: &PolicySettings) -> std::time::Duration {
        let times = policy
            .hold_down_growth
            .checked_pow(self.failures.saturating_sub(1));
        let span = times.and_then(|times| policy.hold_down.0.checked_mul(times));
        span.unwrap_or(policy.hold_down_max.0).min(policy.hold_down_max.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Span;

    fn at(seconds: u64) -> Mono {
        Mono(seconds * 1_000_000_000)
    }

    #[test]
    fn it_grows_with_each_failure_to_its_limit_and_failures_are_forgiven() {
        let policy = PolicySettings::default();
        let mut link = HoldDown::default();
        link.see(at(0), State::Up, &policy);
        assert_eq!(link.until(at(0), &policy), None, "the first time costs nothing");
        let mut now = 0;
        for wait in [10, 30, 90, 270, 600, 600] {
            link.see(at(now), State::Down, &policy);
            assert_eq!(link.until(at(now), &policy), None);
            link.see(at(now + 1), State::Up, &policy);
            now += 1;
            assert_eq!(link.until(at(now), &policy), Some(at(now + wait)));
            assert_eq!(link.until(at(now + wait), &policy), None);
        }
        // Six failures: after five times ten minutes one is left.
        link.see(at(now + 3_000), State::Up, &policy);
        link.see(at(now + 3_001), State::Down, &policy);
        link.see(at(now + 3_002), State::Up, &policy);
        assert_eq!(link.until(at(now + 3_002), &policy), Some(at(now + 3_032)));
    }

    #[test]
    fn not_knowing_is_no_failure() {
        let policy = PolicySettings {
            hold_down: Span::secs(10),
            ..PolicySettings::default()
        };
        let mut link = HoldDown::default();
        for (second, state) in [(0, State::Up), (1, State::Unknown), (2, State::Up)] {
            link.see(at(second), state, &policy);
        }
        assert_eq!(link.until(at(2), &policy), None);
    }
}
