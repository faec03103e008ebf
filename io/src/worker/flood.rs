//! When datagrams come so fast that it pays to let some of them gather.
//!
//! Waking a sleeping worker costs about as much as answering a datagram, on this side and on that of whoever
//! delivered it. So under a flood the worker does not wait to be woken: it rests, and then takes all that came
//! meanwhile in one go. Network cards do the same with their interrupts.

use halloo_base::Mono;
use std::time::Duration;

/// How long a worker rests under a flood, which is what it may add to a round trip then.
pub(super) const REST: Duration = Duration::from_micros(50);
/// A flood is at least so many datagrams within [`SPAN`]: one for every 20 us.
const MANY: usize = 50;
const SPAN: Duration = Duration::from_millis(1);

/// Watches how fast datagrams come.
#[derive(Debug, Default)]
pub(super) struct Flood {
    since: Mono,
    heard: usize,
    is_on: bool,
}

impl Flood {
    /// Takes note of `count` datagrams that were received now.
    pub(super) fn hear(&mut self, count: usize, now: Mono) {
        self.heard += count;
        let span = now.since(self.since);
        if span >= SPAN {
            // A long span had a pause in it, however many came at its end.
            self.is_on = self.heard >= MANY && span < SPAN * 2;
            (self.since, self.heard) = (now, 0);
        }
    }

    /// Whether the datagrams of the last millisecond or two were one.
    pub(super) fn is_on(&self) -> bool {
        self.is_on
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hears `count` datagrams, one every `apart` microseconds from `start` on; returns when the last one came.
    fn hear(flood: &mut Flood, start: u64, count: u64, apart: u64) -> u64 {
        for place in 0..count {
            flood.hear(1, Mono((start + place * apart) * 1_000));
        }
        start + count * apart
    }

    #[test]
    fn a_datagram_every_ten_microseconds_is_a_flood_and_one_every_fifty_is_not() {
        let mut flood = Flood::default();
        let end = hear(&mut flood, 10_000, 400, 10);
        assert!(flood.is_on());
        hear(&mut flood, end, 100, 50);
        assert!(!flood.is_on());
    }

    #[test]
    fn a_burst_after_a_silence_is_no_flood_yet() {
        let mut flood = Flood::default();
        flood.hear(1, Mono(1_000_000));
        flood.hear(200, Mono(900_000_000));
        assert!(!flood.is_on());
    }
}
