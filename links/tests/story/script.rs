//! Stories told step by step, without a network: what became of each probe is made up.

use crate::play::{Outcome, play};
use halloo_base::{Mono, Nanos};
use halloo_links::{Direction, Fact, Family, LinkEvent, News, Sample, Settings, Told};
use std::time::Duration;

/// Time between two steps: each link sends one probe in each, the anchors in turn.
pub(crate) const STEP: Duration = Duration::from_millis(100);

/// What becomes of the probe of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Answered after so many milliseconds.
    After(u64),
    Lost,
}

/// What was told so far.
pub(crate) struct Script {
    pub(crate) settings: Settings,
    told: Vec<Told>,
    step: u32,
}

const ORIGIN: Mono = Mono(1_000_000_000);

impl Script {
    pub(crate) fn new(settings: Settings) -> Script {
        assert_eq!(settings.check(), Ok(()));
        Script {
            settings,
            told: vec![],
            step: 0,
        }
    }

    /// How far the story is.
    pub(crate) fn now(&self) -> Mono {
        ORIGIN + STEP * self.step
    }

    /// One step, in which the probe of each link has this fate.
    pub(crate) fn step(&mut self, fate: impl Fn(usize) -> Fate) {
        let now = self.now();
        let seq = u64::from(self.step);
        for (place, link) in self.settings.link.iter().enumerate() {
            let anchors: Vec<_> = self
                .settings
                .anchor
                .iter()
                .filter(|anchor| anchor.is_asked_by(&link.name))
                .collect();
            let anchor = anchors[self.step as usize % anchors.len()];
            let sent = now + Duration::from_millis(7 * place as u64);
            let sample = |at: Mono, news: News| {
                Told::Sample(Sample {
                    at,
                    link: link.name.clone(),
                    family: Family::V4,
                    anchor: anchor.target.clone(),
                    seq,
                    news,
                })
            };
            self.told.push(sample(sent, News::Sent { late_ns: Nanos::ZERO }));
            match fate(place) {
                Fate::After(ms) => {
                    let span = Duration::from_millis(ms);
                    let news = News::Answered {
                        host_ns: span.into(),
                        wire_ns: Some(span.into()),
                    };
                    self.told.push(sample(sent + span, news));
                }
                Fate::Lost => {
                    let direction = Direction::Unknown;
                    self.told
                        .push(sample(sent + Duration::from_secs(1), News::Lost { direction }));
                }
            }
        }
        self.step += 1;
    }

    /// So many seconds alike.
    pub(crate) fn seconds(&mut self, seconds: u32, fate: impl Fn(usize) -> Fate) {
        (0..seconds * 10).for_each(|_| self.step(&fate));
    }

    /// Something comes over a link that nobody has asked for.
    pub(crate) fn hear(&mut self, link: usize) {
        self.told.push(Told::Sample(Sample {
            at: self.now(),
            link: self.settings.link[link].name.clone(),
            family: Family::V4,
            anchor: self.settings.anchor[0].target.clone(),
            seq: 0,
            news: News::Heard,
        }));
    }

    /// The host says something of a link.
    pub(crate) fn tell(&mut self, link: usize, fact: Fact) {
        self.told.push(Told::Event(LinkEvent {
            at: self.now(),
            link: self.settings.link[link].name.clone(),
            fact,
        }));
    }

    pub(crate) fn play(mut self) -> Outcome {
        self.told.sort_by_key(Told::at);
        let until = self.now();
        play(&self.settings, &self.told, &[], ORIGIN, until)
    }
}
