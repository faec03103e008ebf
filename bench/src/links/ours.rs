//! Halloo's decider on a trace: a probe every 100 ms and link, the anchors in turn.

use super::Moves;
use super::trace::{ANCHORS, LINKS, STEP, Trace};
use halloo_base::{Mono, Nanos};
use halloo_links::{
    AnchorSettings, Because, Direction, Entry, Fact, Family, LinkEvent, LinkSettings, Name, News, Said,
    Sample, Settings, replay,
};
use std::time::Duration;

const LOST_AFTER: Duration = Duration::from_secs(1);

/// What it decides with its defaults; the first link costs less.
pub(super) fn decide(trace: &Trace) -> Moves {
    let settings = Settings {
        link: (0..LINKS)
            .map(|link| LinkSettings {
                cost: link as u32 + 1,
                ..LinkSettings::new(&format!("wan{}", link + 1))
            })
            .collect(),
        anchor: (0..ANCHORS)
            .map(|anchor| AnchorSettings::new(&format!("anchor{anchor}")))
            .collect(),
        ..Settings::default()
    };
    let mut entries = told(trace, &settings);
    entries.sort_by_key(Entry::at);
    let place = |name: &Name| settings.link.iter().position(|link| link.name == *name);
    let decisions = replay(&entries, &settings)
        .into_iter()
        .filter_map(|said| match said {
            Said::Decision(decision) if decision.because != Because::First => Some(decision),
            _ => None,
        });
    decisions
        .filter(|decision| !decision.carry.iter().map(|share| &share.link).eq(&decision.was))
        .filter_map(|decision| {
            Some((
                Duration::from_nanos(decision.at.0),
                place(&decision.carry.first()?.link)?,
            ))
        })
        .collect()
}

fn told(trace: &Trace, settings: &Settings) -> Vec<Entry> {
    let mut entries = vec![];
    let mono = |at: Duration| Mono(0) + at;
    for (second, tx_bytes) in trace.sent_bytes.iter().enumerate() {
        entries.push(Entry::Event(LinkEvent {
            at: mono(Duration::from_secs(second as u64)),
            link: settings.link[0].name.clone(),
            fact: Fact::Traffic {
                tx_bytes: *tx_bytes,
                rx_bytes: 0,
            },
        }));
    }
    let mut at = trace.phase;
    let mut seq = 0;
    while at < trace.end() {
        let anchor = seq as usize % ANCHORS;
        for (link, known) in settings.link.iter().enumerate() {
            let mut tell = |at: Duration, news: News| {
                entries.push(Entry::Sample(Sample {
                    at: mono(at),
                    link: known.name.clone(),
                    family: Family::V4,
                    anchor: settings.anchor[anchor].target.clone(),
                    seq,
                    news,
                }));
            };
            tell(at, News::Sent { late_ns: Nanos::ZERO });
            match trace.ask(at, link, anchor) {
                Some(trip) => tell(
                    at + trip,
                    News::Answered {
                        host_ns: trip.into(),
                        wire_ns: Some(trip.into()),
                    },
                ),
                None => tell(
                    at + LOST_AFTER,
                    News::Lost {
                        direction: Direction::Unknown,
                    },
                ),
            }
        }
        at += STEP;
        seq += 1;
    }
    entries
}
