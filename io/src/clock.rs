//! The host's clocks, and kernel stamps put on both of them.

use crate::discipline;
use halloo_base::{Clock, ClockQuality, Mono, Nanos, Stamp, StampSource, Wall};
use rustix::time::{ClockId, clock_gettime};

/// CLOCK_MONOTONIC and CLOCK_REALTIME of this host.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl SystemClock {
    /// Now on the monotonic clock.
    pub fn mono() -> Mono {
        Mono(read(ClockId::Monotonic))
    }
}

impl Clock for SystemClock {
    /// Both clocks at one instant: a reading that was interrupted half-way would look like a stepped clock.
    fn stamp(&self) -> Stamp {
        let mut best = both();
        for _ in 0..INTERRUPTED_AT_MOST {
            if best.1 <= TOGETHER {
                break;
            }
            best = std::cmp::min_by_key(best, both(), |&(_, apart)| apart);
        }
        best.0
    }

    fn quality(&self) -> Option<ClockQuality> {
        discipline::quality()
    }
}

/// Two readings further apart than this had something between them. Each takes about 20 ns.
const TOGETHER: u64 = 1_000;
/// Tries, on a host so busy that every reading is interrupted.
const INTERRUPTED_AT_MOST: u32 = 4;

/// The wall clock between two readings of the monotonic one, and how far apart those were.
fn both() -> (Stamp, u64) {
    let before = read(ClockId::Monotonic);
    let wall = read(ClockId::Realtime);
    let apart = read(ClockId::Monotonic).saturating_sub(before);
    let stamp = Stamp {
        mono: Mono(before + apart / 2),
        wall: Wall(wall),
        source: StampSource::User,
    };
    (stamp, apart)
}

fn read(clock: ClockId) -> u64 {
    let now = clock_gettime(clock);
    // Neither clock of a running host is negative.
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// Kernel stamps are readings of the wall clock. This puts them on the monotonic clock too, also when the
/// wall clock was stepped between the stamp and its reading.
#[derive(Debug)]
pub(crate) struct StampReader {
    last: Stamp,
}

/// A difference of readings beyond this is a step: slewing (at most 500 ppm) does not reach it between two
/// readings of a loop, and reading both clocks apart takes less.
const STEP: i64 = 50_000;

impl StampReader {
    pub(crate) fn new() -> StampReader {
        StampReader {
            last: SystemClock.stamp(),
        }
    }

    /// Puts a kernel stamp, read just now, on both clocks. Without one it is `now` itself.
    ///
    /// `now` must be no earlier than that of the call before.
    pub(crate) fn stamp(&mut self, kernel: Option<u64>, now: Stamp) -> Stamp {
        let Some(wall) = kernel.map(Wall) else { return now };
        let mono = [now, self.last]
            .into_iter()
            .map(|reading| reading.mono + (wall - reading.wall))
            .find(|&mono| {
                mono <= now.mono + Nanos(STEP) && (self.stepped(now).is_none() || mono >= self.last.mono)
            })
            .unwrap_or(now.mono);
        Stamp {
            mono: mono.min(now.mono),
            wall,
            source: StampSource::Kernel,
        }
    }

    /// Remembers a reading for the next round.
    pub(crate) fn remember(&mut self, now: Stamp) {
        self.last = now;
    }

    /// By how much the wall clock was stepped since the last reading, if it was.
    fn stepped(&self, now: Stamp) -> Option<Nanos> {
        let change = now.wall_offset() - self.last.wall_offset();
        // Slewing adds up while a loop sleeps: allow 500 ppm of the time passed.
        let slewed = (now.mono - self.last.mono).0 / 2_000;
        (change.abs().0 > STEP + slewed).then_some(change)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(mono: u64, wall: u64) -> Stamp {
        Stamp {
            mono: Mono(mono),
            wall: Wall(wall),
            source: StampSource::User,
        }
    }

    #[test]
    fn a_kernel_stamp_lands_on_both_clocks() {
        let mut reader = StampReader {
            last: at(1_000_000, 9_000_000),
        };
        let stamp = reader.stamp(Some(9_400_000), at(1_500_000, 9_500_000));
        assert_eq!(
            (stamp.mono, stamp.wall, stamp.source),
            (Mono(1_400_000), Wall(9_400_000), StampSource::Kernel)
        );
    }

    #[test]
    fn a_stamp_from_before_a_step_keeps_its_monotonic_instant() {
        for step in [3_600_000_000_000i64, -3_600_000_000_000] {
            let wall = 5_000_000_000_000u64;
            let mut reader = StampReader {
                last: at(1_000_000, wall),
            };
            // The kernel stamped 0.4 ms after the last reading; then the clock was stepped; then we read.
            let now = at(1_500_000, (wall + 500_000).saturating_add_signed(step));
            let stamp = reader.stamp(Some(wall + 400_000), now);
            assert_eq!(stamp.mono, Mono(1_400_000), "step {step}");
            // And one that the kernel took after the step.
            let stamp = reader.stamp(Some((wall + 450_000).saturating_add_signed(step)), now);
            assert_eq!(stamp.mono, Mono(1_450_000), "step {step}");
        }
    }

    #[test]
    fn without_a_kernel_stamp_it_is_the_reading() {
        let mut reader = StampReader { last: at(1, 1) };
        assert_eq!(reader.stamp(None, at(5, 6)), at(5, 6));
    }

    #[test]
    fn the_clocks_run() {
        let (first, second) = (SystemClock.stamp(), SystemClock.stamp());
        assert!(second.mono >= first.mono);
        assert!(first.wall.0 > 1_600_000_000_000_000_000);
    }
}
