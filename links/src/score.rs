//! How good a link is, in one number.

use crate::way::tidy;
use crate::{Evidence, State};

/// What a loss share is raised to: 2 % lost is a tenth worse, 15 % less than half as good.
const LOSS_WEIGHT: i32 = 5;
/// The round trip that halves a score.
const HALF: f64 = 200e6;

/// How good a link is: 1.0 loses nothing and takes no time, 0.0 is down. Loss on the way up and on the way down
/// weigh the same; the round trip is that which nineteen of twenty stay below. A cost is no part of it: links of one
/// cost are compared by this, and by how much better one is in relation (the margin).
pub fn score(state: State, evidence: &Evidence) -> f64 {
    if state == State::Down {
        return 0.0;
    }
    let arrives = (1.0 - evidence.loss).clamp(0.0, 1.0).powi(LOSS_WEIGHT);
    let trip = evidence
        .p95_ns
        .or(evidence.round_trip_ns)
        .map_or(0.0, |trip| trip.0.max(0) as f64);
    tidy(arrives / (1.0 + trip / HALF))
}

#[cfg(test)]
mod tests {
    use super::*;
    use halloo_base::Nanos;

    #[test]
    fn two_in_a_hundred_lost_is_within_the_margin_and_fifteen_is_not() {
        let with = |loss, ms: i64| {
            let evidence = Evidence {
                loss,
                p95_ns: Some(Nanos(ms * 1_000_000)),
                ..Evidence::default()
            };
            score(State::Up, &evidence)
        };
        assert!(with(0.0, 20) < with(0.02, 20) * 1.15);
        assert!(with(0.0, 20) > with(0.15, 20) * 2.0);
        assert!(with(0.0, 20) > with(0.0, 80) * 1.15);
        assert!(with(0.0, 20) < with(0.0, 40) * 1.15);
        assert_eq!(score(State::Down, &Evidence::default()), 0.0);
    }
}
