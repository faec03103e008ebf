//! How busy our own traffic keeps a link.

use halloo_base::Mono;
use std::time::Duration;

/// The rates of an interface, from its counters.
#[derive(Clone, Debug, Default)]
pub(crate) struct Load {
    last: Option<(Mono, [u64; 2])>,
    /// The highest rates seen, bytes a second: sent, received.
    highest: [f64; 2],
    loaded_until: Option<Mono>,
}

/// Below this nobody fills a link: bytes a second.
const FLOOR: f64 = 16_000.0;
/// Counters that were not told for longer say nothing about now.
const FRESH: Duration = Duration::from_secs(3);
/// Buffers need so long to drain when the load has gone.
const DRAIN: Duration = Duration::from_secs(2);
/// Counters come once a second, so a load may have begun so long before they tell.
pub(crate) const BEFORE: Duration = Duration::from_secs(1);
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
        let before = self.last.replace((at, counters));
        let (since, then) = before.filter(|(since, _)| at > *since)?;
        let seconds = at.since(since).as_secs_f64();
        let mut loaded = false;
        for way in 0..2 {
            // A counter that went back was reset with its interface.
            let bytes = counters[way].checked_sub(then[way])?;
            let rate = bytes as f64 / seconds;
            let highest = &mut self.highest[way];
            *highest = (*highest * FADING).max(rate);
            let most = if rates[way] > 0 {
                rates[way] as f64 / 8.0
            } else {
                *highest
            };
            loaded |= rate >= FLOOR && rate >= share * most;
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
            let told = self.last.map_or(Mono(0), |(at, _)| at);
            // Counters that say it is over end it sooner.
            let over = told + FRESH != until;
            now < if over { until - FRESH + DRAIN } else { until }
        })
    }
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
        assert_eq!(
            load.count(at(1), [0, 0], [0, 0], 0.7),
            None,
            "one reading is no rate"
        );
        assert_eq!(
            load.count(at(2), [10_000, 0], [0, 0], 0.7),
            None,
            "that is nothing"
        );
        assert_eq!(load.count(at(3), [1_010_000, 0], [0, 0], 0.7), Some(at(1)));
        assert!(load.excuses(at(3)) && load.excuses(at(5)));
        assert_eq!(load.count(at(4), [1_510_000, 0], [0, 0], 0.7), None, "half of it");
        assert!(load.excuses(at(4)), "buffers drain");
        assert!(!load.excuses(at(5)));
        assert_eq!(
            load.count(at(5), [2_510_000, 0], [16_000_000, 0], 0.7),
            None,
            "half of what it can"
        );
        assert_eq!(
            load.count(at(6), [2_510_000, 900_000], [0, 0], 0.7),
            Some(at(4)),
            "received"
        );
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
