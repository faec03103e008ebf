//! How busy our own traffic keeps a link.

use halloo_base::Mono;
use std::collections::VecDeque;
use std::time::Duration;

/// The rates of an interface, from its counters.
#[derive(Clone, Debug, Default)]
pub(crate) struct Load {
    /// The newest readings, of some seconds: when, sent, received.
    readings: VecDeque<(Mono, [u64; 2])>,
    /// The highest rates seen over some seconds, bytes a second: sent, received. A burst into a buffer is no rate.
    highest: [f64; 2],
    loaded_until: Option<Mono>,
}

/// Below this nobody fills a link: bytes a second.
const FLOOR: f64 = 16_000.0;
/// Counters that were not told for longer say nothing about now.
const FRESH: Duration = Duration::from_secs(3);
/// Buffers need so long to drain when the load has gone.
const DRAIN: Duration = Duration::from_secs(2);
/// What counters tell in the first place may be seen so long after it began.
pub(crate) const BEFORE: Duration = Duration::from_secs(1);
/// What a link can do is seen over so long.
const WINDOW: Duration = Duration::from_secs(4);
/// More readings than this are not kept.
const READINGS: usize = 64;
/// What was seen once fades: half of it in about a day, told once a second.
const FADING: f64 = 0.999_992;

impl Load {
    /// Takes the counters. Returns since when the link is known to be loaded, if it is: `share` of its rate is
    /// enough; `rates` are what it can do in bits a second, 0 if that is to be learnt.
    pub(crate) fn count(
        &mut self,
        at: Mono,
        counters: [u64; 2],
        rates: [u64; 2],
        share: f64,
    ) -> Option<Mono> {
        let last = self.readings.back().copied();
        if last.is_some_and(|(told, then)| {
            told >= at || counters.iter().zip(then).any(|(now, then)| *now < then)
        }) {
            // A counter that went back was reset with its interface.
            self.readings.clear();
        }
        let first = self.readings.front().copied();
        let last = self.readings.back().copied();
        if self.readings.len() == READINGS || first.is_some_and(|(told, _)| told + WINDOW * 2 <= at) {
            self.readings.pop_front();
        }
        self.readings.push_back((at, counters));
        let (since, then) = last?;
        let mut loaded = false;
        for way in 0..2 {
            let highest = &mut self.highest[way];
            if let Some((first, long_ago)) = first.filter(|(first, _)| *first + WINDOW <= at) {
                *highest = (*highest * FADING).max(rate(counters[way] - long_ago[way], at.since(first)));
            }
            let most = if rates[way] > 0 {
                rates[way] as f64 / 8.0
            } else {
                *highest
            };
            let now = rate(counters[way] - then[way], at.since(since));
            loaded |= now >= FLOOR && now >= share * most;
        }
        if !loaded {
            return None;
        }
        self.loaded_until = Some(at + FRESH);
        Some(since - BEFORE)
    }

    /// Whether delay and loss are to be excused now.
    pub(crate) fn excuses(&self, now: Mono) -> bool {
        self.loaded_until.is_some_and(|until| {
            let told = self.readings.back().map_or(Mono(0), |(at, _)| *at);
            // Counters that say it is over end it sooner.
            let over = told + FRESH != until;
            now < if over { until - FRESH + DRAIN } else { until }
        })
    }
}

/// Bytes a second.
fn rate(bytes: u64, span: Duration) -> f64 {
    bytes as f64 / span.as_secs_f64().max(1e-9)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Mono {
        Mono(seconds * 1_000_000_000)
    }

    #[test]
    fn the_highest_rate_seen_is_what_a_link_can_do_unless_somebody_says() {
        let mut load = Load::default();
        let mut sent = 0;
        let mut count = |load: &mut Load, second, bytes, rate| {
            sent += bytes;
            load.count(at(second), [sent, 0], [rate, 0], 0.7)
        };
        assert_eq!(count(&mut load, 1, 0, 0), None, "one reading is no rate");
        assert_eq!(count(&mut load, 2, 10_000, 0), None, "that is nothing");
        for second in 3..10 {
            assert_eq!(count(&mut load, second, 1_000_000, 0), Some(at(second - 2)));
        }
        assert!(load.excuses(at(9)) && load.excuses(at(11)));
        assert_eq!(count(&mut load, 10, 500_000, 0), None, "half of it");
        assert!(load.excuses(at(10)), "buffers drain");
        assert!(!load.excuses(at(11)));
        assert_eq!(
            count(&mut load, 11, 1_000_000, 16_000_000),
            None,
            "half of what it can"
        );
        assert_eq!(
            load.count(at(12), [sent, 900_000], [0, 0], 0.7),
            Some(at(10)),
            "received"
        );
    }

    #[test]
    fn a_burst_into_a_buffer_is_not_what_a_link_can_do() {
        let mut load = Load::default();
        let ms = |ms: u64| Mono(ms * 1_000_000);
        let mut sent = 0;
        for step in 0..300 {
            sent += if step == 100 {
                130_000
            } else if step > 100 {
                26_000
            } else {
                100
            };
            let loaded = load.count(ms(step * 100), [sent, 0], [0, 0], 0.7);
            assert_eq!(loaded.is_some(), step >= 100, "step {step}");
        }
    }

    #[test]
    fn counters_that_stop_or_begin_anew_load_nothing() {
        let mut load = Load::default();
        load.count(at(1), [0, 0], [0, 0], 0.7);
        load.count(at(2), [1_000_000, 0], [0, 0], 0.7);
        assert!(load.excuses(at(4)));
        assert!(!load.excuses(at(5)), "nobody told for three seconds");
        assert_eq!(load.count(at(6), [0, 0], [0, 0], 0.7), None);
        assert_eq!(load.count(at(6), [0, 0], [0, 0], 0.7), None, "no time has passed");
    }
}
