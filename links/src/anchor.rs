//! What is known of one anchor over one link.

use crate::{JudgeSettings, Name};
use halloo_base::{Mono, Nanos};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::time::Duration;

/// What an anchor's answers are worth for judging a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AnchorState {
    /// It answers as the others do, or it is silent as they are.
    Trusted,
    /// It is silent here where most others answer, or silent on every link: its silence says nothing about this link.
    Dead,
    /// It loses much more than the others, or answers much later: its losses and delays say nothing about this link.
    Odd,
}

/// One anchor over one link and family.
#[derive(Clone, Debug)]
pub(crate) struct Track {
    pub(crate) anchor: Name,
    pub(crate) state: AnchorState,
    /// Misses since the last answer.
    pub(crate) missed_in_row: u32,
    /// Answers since the last miss.
    pub(crate) answered_in_row: u32,
    /// When the newest probe left that was answered.
    pub(crate) answered: Option<Mono>,
    /// Smoothed host round trip and its deviation (RFC 6298), nanoseconds.
    smooth: Option<(f64, f64)>,
    /// The newest wire round trips, and when their probes left.
    trips: VecDeque<(Mono, Nanos)>,
    /// The median round trip as a rule.
    usual: Option<f64>,
    /// Losses and all probes, older ones counting less and less.
    lost: f64,
    all: f64,
}

/// Round trips that a median is taken of: five seconds of three anchors at 100 ms.
const TRIPS: usize = 16;
/// How far the loss of a link is remembered, in probes to one anchor: five minutes of three anchors at 100 ms.
const MEMORY: f64 = 1_000.0;
/// What is believed of a link's loss before there is any: one in fifty, worth fifty probes.
const PRIOR: (f64, f64) = (1.0, 50.0);
/// How long to wait for the first answer of all, and at most for any.
const PATIENCE: (f64, f64) = (1e9, 3e9);
/// An anchor with so many misses in a row is silent.
const SILENT: u32 = 4;
/// And with so many answers in a row it is so no longer.
const HEARD: u32 = 3;

impl Track {
    pub(crate) fn new(anchor: Name) -> Track {
        Track {
            anchor,
            state: AnchorState::Trusted,
            missed_in_row: 0,
            answered_in_row: 0,
            answered: None,
            smooth: None,
            trips: VecDeque::with_capacity(TRIPS),
            usual: None,
            lost: PRIOR.0,
            all: PRIOR.1,
        }
    }

    /// An answer to a probe that left at `sent`. `counts`: not while our own traffic delays it.
    pub(crate) fn answered(&mut self, sent: Mono, host: Nanos, wire: Option<Nanos>, counts: bool) {
        self.missed_in_row = 0;
        self.answered_in_row = self.answered_in_row.saturating_add(1);
        self.answered = self.answered.max(Some(sent));
        let trip = host.0.max(0) as f64;
        self.smooth = Some(match self.smooth {
            None => (trip, trip / 2.0),
            Some((mean, deviation)) => (
                mean + (trip - mean) / 8.0,
                deviation + ((trip - mean).abs() - deviation) / 4.0,
            ),
        });
        if counts {
            if self.trips.len() == TRIPS {
                self.trips.pop_front();
            }
            self.trips.push_back((sent, wire.unwrap_or(host)));
        }
    }

    pub(crate) fn missed(&mut self) {
        self.missed_in_row = self.missed_in_row.saturating_add(1);
        self.answered_in_row = 0;
    }

    /// What answers to probes since then took was our own traffic's doing.
    pub(crate) fn excuse_since(&mut self, since: Mono) {
        self.trips.retain(|(sent, _)| *sent < since);
    }

    /// Nothing of what was is worth anything: the link was elsewhere since.
    pub(crate) fn forget(&mut self) {
        self.missed_in_row = 0;
        self.answered_in_row = 0;
        self.trips.clear();
    }

    /// How long an answer may take before it is missed.
    pub(crate) fn patience(&self, settings: &JudgeSettings) -> Duration {
        let margin = settings.overdue_margin.0.as_nanos() as f64;
        let nanos = match self.smooth {
            None => PATIENCE.0,
            Some((mean, deviation)) => (mean + margin.max(4.0 * deviation)).min(PATIENCE.1),
        };
        Duration::from_nanos(nanos as u64)
    }

    /// The fate of a probe is certain.
    pub(crate) fn learn(&mut self, missed: bool) {
        let keep = 1.0 - 1.0 / MEMORY;
        self.lost = self.lost * keep + f64::from(u8::from(missed));
        self.all = self.all * keep + 1.0;
    }

    /// The share of probes that is lost as a rule.
    pub(crate) fn usual_loss(&self) -> f64 {
        self.lost / self.all
    }

    pub(crate) fn is_silent(&self) -> bool {
        self.missed_in_row >= SILENT || self.state == AnchorState::Dead && self.answered_in_row < HEARD
    }

    /// The median wire round trip of late, once there are enough.
    pub(crate) fn now(&self) -> Option<Nanos> {
        self.quantile(0.5)
    }

    /// What nineteen of twenty wire round trips stay below, as far as so few can tell.
    pub(crate) fn p95(&self) -> Option<Nanos> {
        self.quantile(0.95)
    }

    /// The median wire round trip as a rule.
    pub(crate) fn usual(&self) -> Option<Nanos> {
        self.usual.map(|nanos| Nanos(nanos as i64))
    }

    /// Once a second: the rule follows what is, quickly down and slowly up.
    pub(crate) fn follow(&mut self) {
        let Some(now) = self.now().map(|now| now.0 as f64) else {
            return;
        };
        self.usual = Some(match self.usual {
            None => now,
            Some(usual) if now < usual => usual + (now - usual) / 8.0,
            Some(usual) => usual + (now - usual) / 300.0,
        });
    }

    /// What is now is the rule.
    pub(crate) fn adopt(&mut self) {
        self.usual = self.now().map(|now| now.0 as f64).or(self.usual);
    }

    fn quantile(&self, share: f64) -> Option<Nanos> {
        if self.trips.len() < TRIPS / 2 {
            return None;
        }
        let mut trips = [Nanos::ZERO; TRIPS];
        for (place, (_, trip)) in trips.iter_mut().zip(&self.trips) {
            *place = *trip;
        }
        let trips = trips.get_mut(..self.trips.len())?;
        trips.sort_unstable();
        let rank = (trips.len() as f64 * share) as usize;
        trips.get(rank).or(trips.last()).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(count: i64) -> Nanos {
        Nanos(count * 1_000_000)
    }

    #[test]
    fn patience_is_the_round_trip_and_a_margin_and_grows_with_its_spread() {
        let settings = JudgeSettings::default();
        let mut track = Track::new("a".into());
        assert_eq!(
            track.patience(&settings),
            Duration::from_secs(1),
            "before any answer"
        );
        for n in 0..50 {
            track.answered(Mono(n), ms(20), None, true);
        }
        let steady = track.patience(&settings);
        assert!((59..62).contains(&steady.as_millis()), "{steady:?}");
        for n in 0..50 {
            track.answered(Mono(n), ms(20 + 60 * i64::from(n % 2 == 0)), None, true);
        }
        assert!(track.patience(&settings) > Duration::from_millis(120));
        track.answered(Mono(0), ms(3_600_000), None, true);
        assert_eq!(track.patience(&settings), Duration::from_secs(3), "at most");
    }

    #[test]
    fn medians_need_some_answers_and_follow_the_wire() {
        let mut track = Track::new("a".into());
        for n in 0..7 {
            track.answered(Mono(n), ms(500), Some(ms(20)), true);
        }
        assert_eq!(track.now(), None);
        track.answered(Mono(7), ms(500), Some(ms(20)), true);
        assert_eq!(track.now(), Some(ms(20)));
        track.follow();
        (8..24).for_each(|n| track.answered(Mono(n), ms(90), Some(ms(80)), true));
        track.follow();
        assert_eq!(
            (track.now(), track.usual()),
            (Some(ms(80)), Some(Nanos(20_200_000)))
        );
        track.excuse_since(Mono(12));
        assert_eq!(track.now(), None, "what our own traffic did is forgotten");
    }

    #[test]
    fn the_usual_loss_begins_at_two_in_a_hundred_and_is_learnt() {
        let mut track = Track::new("a".into());
        assert_eq!(track.usual_loss(), 0.02);
        (0..150).for_each(|_| track.learn(false));
        assert!(track.usual_loss() < 0.0053, "{}", track.usual_loss());
        (0..10_000).for_each(|n| track.learn(n % 50 == 0));
        assert!((0.018..0.022).contains(&track.usual_loss()));
    }
}
