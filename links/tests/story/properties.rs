//! What holds whatever happens.

use crate::play::Outcome;
use crate::script::{Fate, Script};
use halloo_base::Mono;
use halloo_links::{
    AnchorSettings, Because, Family, LinkSettings, PolicySettings, Reason, Settings, Span, State,
};
use proptest::prelude::*;
use std::time::Duration;

/// For so many seconds the links are like this, one digit each: well, slow, losing, dead.
type Weather = Vec<(u32, [u8; 3])>;

fn settings() -> Settings {
    Settings {
        link: (1..=3)
            .map(|n| LinkSettings {
                cost: n / 2 + 1,
                ..LinkSettings::new(&format!("wan{n}"))
            })
            .collect(),
        anchor: ["a", "b", "c"].map(AnchorSettings::new).to_vec(),
        policy: PolicySettings {
            hold_down: Span::secs(4),
            ..PolicySettings::default()
        },
        ..Settings::default()
    }
}

fn tell(weather: &Weather) -> Outcome {
    let mut script = Script::new(settings());
    let mut step = 0_u32;
    for (seconds, links) in weather {
        for _ in 0..seconds * 10 {
            step += 1;
            script.step(|link| match links[link] {
                0 => Fate::After(20),
                1 => Fate::After(300),
                2 if (step.wrapping_mul(2_654_435_761) >> 8).is_multiple_of(4) => Fate::Lost,
                2 => Fate::After(20),
                _ => Fate::Lost,
            });
        }
    }
    script.play()
}

/// The state of a link at an instant, and since when it was that.
fn state(outcome: &Outcome, link: &str, at: Mono) -> (State, Option<Reason>, Mono) {
    let mut known = (State::Unknown, None, Mono(0));
    for change in outcome
        .changes
        .iter()
        .filter(|change| change.link.as_str() == link)
    {
        if change.at <= at {
            let since = if known.0 == change.state {
                known.2
            } else {
                change.at
            };
            known = (change.state, Some(change.reason), since);
        }
    }
    known
}

fn weather() -> impl Strategy<Value = Weather> {
    let link = prop_oneof![4 => Just(0_u8), 1 => Just(1), 1 => Just(2), 3 => Just(3)];
    prop::collection::vec((1_u32..15, [link.clone(), link.clone(), link]), 1..10)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn nothing_is_carried_over_a_link_that_is_down_while_another_is_up(weather in weather()) {
        let outcome = tell(&weather);
        let end = outcome.journal.last().map_or(Mono(0), |record| record.entry.at());
        let mut at = outcome.origin;
        while at < end {
            at += Duration::from_millis(250);
            let carrier = outcome.decisions.iter().rfind(|decision| decision.at <= at);
            let Some(carrier) = carrier.map(|decision| decision.carry[0].link.as_str()) else { continue };
            let (down, _, since) = state(&outcome, carrier, at);
            if down != State::Down || at.since(since) < Duration::from_secs(1) {
                continue;
            }
            for other in ["wan1", "wan2", "wan3"] {
                let (up, _, since) = state(&outcome, other, at);
                let up = up == State::Up && at.since(since) >= Duration::from_secs(1);
                prop_assert!(!up, "{carrier} carries at {:?}, and {other} is up", outcome.at(at));
            }
        }
    }

    #[test]
    fn no_link_is_returned_to_by_choice_before_its_hold_down_is_over(weather in weather()) {
        let outcome = tell(&weather);
        for decision in outcome.moves(Family::V4) {
            if decision.because == Because::Down {
                continue;
            }
            let link = decision.carry[0].link.as_str();
            let (up, _, since) = state(&outcome, link, decision.at);
            prop_assert_eq!(up, State::Up);
            let failed = outcome.changes.iter().any(|change| {
                change.link.as_str() == link
                    && change.at < since
                    && change.was == State::Up
                    && matches!(change.state, State::Down | State::Degraded)
            });
            let waited = decision.at.since(since);
            prop_assert!(!failed || waited >= Duration::from_secs(4), "{link} after {waited:?}");
        }
    }

    #[test]
    fn the_same_story_is_always_judged_the_same(weather in weather()) {
        let (one, other) = (tell(&weather), tell(&weather));
        prop_assert_eq!(one.journal, other.journal);
    }
}
