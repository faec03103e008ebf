//! While large packets go out by a way: do they pass, one by one and several in one send?
//!
//! A driver hands datagrams of one size to the kernel in one piece, which it or the device cuts (UDP_SEGMENT). There are hosts
//! that lose these pieces: a firewall sees a packet that is longer than any link carries, a device cuts wrongly. What is sent
//! one by one arrives there. So two pings of one size go out together; if they are lost again and again, and one alone is
//! answered at the same time, all goes one by one, until another try succeeds.

use super::leg::{Alone, Ping};
use halloo_base::Mono;
use std::time::Duration;

/// Marks of the numbers of pings that look whether a size still passes; the rest of the number is the size.
pub(super) const VERIFIES: u32 = 0x4000_0000;
/// ... and of those that look whether several of it pass in one send.
pub(super) const TOGETHER: u32 = 0x2000_0000;
/// What is large enough to be verified, below which every path carries it.
const LARGE: u16 = 1_200;
/// While large packets go out, it is looked so often whether they still pass.
const EVERY: Duration = Duration::from_secs(1);
/// How long an answer to that may take.
const PATIENCE: Duration = Duration::from_millis(300);
/// So many times in a row without any answer, and they do not.
const TIMES: u8 = 3;
/// So many times a single one was answered and those that went together were not, and what goes together is lost.
const STRIKES: u8 = 4;
/// How long all goes one by one before it is tried again.
const AGAIN: Duration = Duration::from_secs(60);

/// What is known of it.
#[derive(Clone, Debug)]
pub(super) struct Verify {
    /// Large packets have gone out since it was last looked whether they pass.
    large: bool,
    verified: Mono,
    round: Option<Round>,
    /// Since when all goes one by one.
    alone: Option<Mono>,
}

#[derive(Clone, Copy, Debug)]
struct Round {
    since: Mono,
    /// Rounds before this without any answer.
    times: u8,
    /// Rounds before this in which one alone was answered, and those together were not.
    strikes: u8,
    /// Whether two went together.
    pair: bool,
    /// One alone was answered.
    passed: bool,
}

impl Verify {
    pub(super) fn new(now: Mono) -> Verify {
        Verify {
            large: false,
            verified: now,
            round: None,
            alone: None,
        }
    }

    /// Whether what goes out is to go one by one.
    pub(super) fn alone(&self) -> Alone {
        Alone(self.alone.is_some())
    }

    /// Somebody else sends large packets.
    pub(super) fn used(&mut self) {
        self.large = true;
    }

    /// A packet of this many octets goes out.
    pub(super) fn sent(&mut self, packet: usize, now: Mono) {
        if packet > usize::from(LARGE) && !self.large {
            self.large = true;
            // What has rested is looked at at once.
            self.verified = self.verified.min(now);
        }
    }

    /// Sends what is due for the longest packet that is thought to pass. Returns whether it does not.
    pub(super) fn poll(&mut self, now: Mono, size: u16, send: &mut impl FnMut(Ping)) -> bool {
        if size <= LARGE {
            self.forget();
            self.large = false;
            return false;
        }
        let (times, strikes) = match self.round {
            Some(round) if now < round.since + PATIENCE => return false,
            Some(Round {
                passed: true,
                strikes,
                ..
            }) => {
                if strikes + 1 >= STRIKES || self.alone.is_some() {
                    self.alone = Some(now);
                    self.done(now);
                    return false;
                }
                (0, strikes + 1)
            }
            Some(Round { times, strikes, .. }) => {
                if times + 1 >= TIMES {
                    self.done(now);
                    return true;
                }
                (times + 1, strikes)
            }
            None if self.large && now >= self.verified + EVERY => (0, 0),
            None => return false,
        };
        self.large = false;
        let pair = self.alone.is_none_or(|since| now >= since + AGAIN);
        self.round = Some(Round {
            since: now,
            times,
            strikes,
            pair,
            passed: false,
        });
        let ping = |kind, alone| Ping {
            number: kind | u32::from(size),
            packet: Some(size),
            alone: Alone(alone),
        };
        if pair {
            send(ping(TOGETHER, false));
            send(ping(TOGETHER, false));
        }
        if !pair || self.alone.is_some() || times + strikes > 0 {
            send(ping(VERIFIES, true));
        }
        false
    }

    /// A ping of this kind was answered.
    pub(super) fn answered(&mut self, number: u32, now: Mono) {
        if number & TOGETHER != 0 {
            self.alone = None;
            self.done(now);
        } else if let Some(round) = &mut self.round {
            round.passed = true;
            if !round.pair {
                self.done(now);
            }
        }
    }

    /// What was asked does not matter any more.
    pub(super) fn forget(&mut self) {
        self.round = None;
    }

    /// When there is something to do next.
    pub(super) fn deadline(&self) -> Option<Mono> {
        match self.round {
            Some(round) => Some(round.since + PATIENCE),
            None => self.large.then(|| self.verified + EVERY),
        }
    }

    fn done(&mut self, now: Mono) {
        self.round = None;
        self.verified = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A way in virtual time that large packets go out by all the time.
    struct World {
        verify: Verify,
        now: Mono,
        /// Whether one alone is answered, and whether two together are.
        passes: (bool, bool),
        pings: Vec<(u32, bool)>,
        black_holes: u32,
    }

    impl World {
        fn new(alone: bool, together: bool) -> World {
            World {
                verify: Verify::new(Mono::default()),
                now: Mono::default(),
                passes: (alone, together),
                pings: vec![],
                black_holes: 0,
            }
        }

        /// Answers take 20 ms.
        fn run(&mut self, ms: u64) {
            for _ in 0..ms / 20 {
                self.verify.sent(1_400, self.now);
                let mut sent = vec![];
                if self.verify.deadline().is_some_and(|at| at <= self.now) {
                    self.black_holes +=
                        u32::from(self.verify.poll(self.now, 1_500, &mut |ping| sent.push(ping)));
                }
                self.now += Duration::from_millis(20);
                for ping in sent {
                    assert_eq!((ping.number & 0xffff, ping.packet), (1_500, Some(1_500)));
                    let together = ping.number & TOGETHER != 0;
                    assert_eq!(ping.alone, Alone(!together));
                    self.pings.push((ping.number & !0xffff, together));
                    if if together { self.passes.1 } else { self.passes.0 } {
                        self.verify.answered(ping.number, self.now);
                    }
                }
            }
        }

        fn alone(&self) -> bool {
            self.verify.alone() == Alone(true)
        }
    }

    #[test]
    fn where_all_passes_two_together_are_asked_each_second_and_nothing_else() {
        let mut world = World::new(true, true);
        world.run(10_000);
        assert!((18..=20).contains(&world.pings.len()), "{}", world.pings.len());
        assert!(world.pings.iter().all(|(_, together)| *together));
        assert_eq!((world.alone(), world.black_holes), (false, 0));
    }

    #[test]
    fn where_only_single_ones_pass_all_goes_one_by_one_within_three_seconds() {
        let mut world = World::new(true, false);
        world.run(3_000);
        assert_eq!((world.alone(), world.black_holes), (true, 0));
        // It is tried again, each minute, and as seldom.
        world.pings.clear();
        world.run(59_000);
        assert!(world.pings.iter().all(|(_, together)| !together), "not yet");
        world.run(5_000);
        assert_eq!(world.pings.iter().filter(|(_, together)| *together).count(), 2);
        assert!(world.alone());
        world.passes = (true, true);
        world.run(62_000);
        assert_eq!((world.alone(), world.black_holes), (false, 0));
    }

    #[test]
    fn where_nothing_passes_the_way_carries_less_and_that_is_no_reason_to_send_one_by_one() {
        let mut world = World::new(false, false);
        world.run(2_000);
        assert_eq!((world.alone(), world.black_holes), (false, 1));
    }

    #[test]
    fn what_is_lost_now_and_then_changes_nothing() {
        let mut world = World::new(true, true);
        for _ in 0..20 {
            world.passes = (true, false);
            world.run(900);
            world.passes = (true, true);
            world.run(1_000);
        }
        assert_eq!((world.alone(), world.black_holes), (false, 0));
    }

    #[test]
    fn who_sends_nothing_large_is_asked_nothing() {
        let mut verify = Verify::new(Mono::default());
        verify.sent(900, Mono::default());
        assert_eq!(verify.deadline(), None);
    }
}
