//! What one direction of a wire does to the packets on it.

use crate::Fate;
use crate::time::nanos;
use halloo_base::Rng;
use std::time::Duration;

/// How one direction of a wire behaves. Starts as perfect; build up what a story needs.
#[derive(Clone, Debug, PartialEq)]
pub struct Quality {
    /// How long each packet travels at least.
    pub delay: Duration,
    /// What is added to the delay, packet by packet. It never reorders: a packet waits for those before it.
    pub jitter: Jitter,
    /// Which packets vanish.
    pub loss: Loss,
    /// The share of packets that arrive twice, the second a microsecond behind, 0.0 to 1.0.
    pub duplicate: f64,
    /// The share of packets that are held back by [`Quality::held_back`] while later ones pass, 0.0 to 1.0.
    pub reorder: f64,
    /// How long a reordered packet is held back.
    pub held_back: Duration,
    /// The share of datagrams and frames in which one byte arrives altered, 0.0 to 1.0. A stream's segment is
    /// lost instead, as its checksum would have it.
    pub corrupt: f64,
    /// Bits per second, if the wire is not infinitely fast.
    pub rate: Option<u64>,
    /// Bytes that may wait for a wire with a `rate`; what would exceed it is dropped from the tail.
    pub queue: usize,
    /// The longest IP packet (or frame) that passes, in bytes.
    pub mtu: usize,
    /// Whether what is too long vanishes without a word: the ICMP message that says so is dropped somewhere.
    pub silent: bool,
    /// What the wire writes into the TOS octet of each packet, if it does.
    pub rewrite_tos: Option<u8>,
}

/// What is added to a wire's delay.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Jitter {
    /// Nothing.
    None,
    /// Anything from zero to this, all equally likely.
    Uniform(Duration),
    /// Exponentially distributed with this mean, cut at twenty times the mean.
    Exponential(Duration),
}

/// Which packets a wire loses.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Loss {
    /// None.
    None,
    /// Each with this probability, regardless of the others.
    Independent(f64),
    /// In bursts (Gilbert 1960, Elliott 1963): the wire is good or bad, and changes before each packet with
    /// the probabilities `begin` (good to bad) and `end` (bad to good). While bad it loses the share `bad`.
    Bursts {
        /// Probability that a burst begins before a packet.
        begin: f64,
        /// Probability that a burst ends before a packet.
        end: f64,
        /// Share lost within a burst.
        bad: f64,
    },
}

impl Quality {
    /// A perfect wire: no delay, no loss, no limits.
    pub fn perfect() -> Quality {
        Quality {
            delay: Duration::ZERO,
            jitter: Jitter::None,
            loss: Loss::None,
            duplicate: 0.0,
            reorder: 0.0,
            held_back: Duration::ZERO,
            corrupt: 0.0,
            rate: None,
            queue: 256 * 1024,
            mtu: usize::MAX,
            silent: false,
            rewrite_tos: None,
        }
    }

    /// A wire that delays and does nothing else.
    pub fn delay(delay: Duration) -> Quality {
        Quality {
            delay,
            ..Quality::perfect()
        }
    }

    /// Loses each packet with this probability.
    pub fn loss(self, share: f64) -> Quality {
        Quality {
            loss: Loss::Independent(share),
            ..self
        }
    }

    /// Loses packets in bursts; see [`Loss::Bursts`].
    pub fn bursts(self, begin: f64, end: f64, bad: f64) -> Quality {
        Quality {
            loss: Loss::Bursts { begin, end, bad },
            ..self
        }
    }

    /// Adds up to `most`, all equally likely.
    pub fn jitter(self, most: Duration) -> Quality {
        Quality {
            jitter: Jitter::Uniform(most),
            ..self
        }
    }

    /// Adds an exponentially distributed time with this mean.
    pub fn exponential_jitter(self, mean: Duration) -> Quality {
        Quality {
            jitter: Jitter::Exponential(mean),
            ..self
        }
    }

    /// Delivers this share of the packets twice.
    pub fn duplicate(self, share: f64) -> Quality {
        Quality {
            duplicate: share,
            ..self
        }
    }

    /// Holds this share of the packets back by `held_back` while later ones pass.
    pub fn reorder(self, share: f64, held_back: Duration) -> Quality {
        Quality {
            reorder: share,
            held_back,
            ..self
        }
    }

    /// Alters one byte in this share of the packets.
    pub fn corrupt(self, share: f64) -> Quality {
        Quality {
            corrupt: share,
            ..self
        }
    }

    /// Sends at `bits_per_second` with room for `queue` waiting bytes.
    pub fn rate(self, bits_per_second: u64, queue: usize) -> Quality {
        Quality {
            rate: Some(bits_per_second),
            queue,
            ..self
        }
    }

    /// Drops IP packets (or frames) longer than this.
    pub fn mtu(self, bytes: usize) -> Quality {
        Quality { mtu: bytes, ..self }
    }

    /// Drops IP packets (or frames) longer than this, and nobody says so.
    pub fn silent_mtu(self, bytes: usize) -> Quality {
        Quality {
            silent: true,
            ..self.mtu(bytes)
        }
    }

    /// Writes this into the TOS octet of every packet.
    pub fn rewrite_tos(self, tos: u8) -> Quality {
        Quality {
            rewrite_tos: Some(tos),
            ..self
        }
    }
}

/// How much later the second copy of a duplicated packet leaves: a wire carries one packet at a time.
const COPY_BEHIND: u64 = 1_000;

/// One copy of a packet that comes out at the far end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Passage {
    pub(crate) at: u64,
    /// The altered byte's draw (its place follows from the packet's length) and what it is XORed with.
    pub(crate) altered: Option<(u64, u8)>,
}

/// One direction of a wire: its quality and what it remembers.
#[derive(Debug)]
pub(crate) struct Pipe {
    pub(crate) quality: Quality,
    rng: Rng,
    burst: bool,
    free_at: u64,
    last_out: u64,
}

impl Pipe {
    pub(crate) fn new(quality: Quality, rng: Rng) -> Pipe {
        Pipe {
            quality,
            rng,
            burst: false,
            free_at: 0,
            last_out: 0,
        }
    }

    /// What becomes of a packet of `len` bytes that enters at `now`: its passage and perhaps a second one.
    pub(crate) fn pass(&mut self, now: u64, len: usize) -> Result<(Passage, Option<Passage>), Fate> {
        if len > self.quality.mtu {
            return Err(Fate::TooBig);
        }
        if self.loses() {
            return Err(Fate::Lost);
        }
        let leaves = self.transmit(now, len)?;
        let first = self.travel(leaves);
        let second = self
            .rng
            .chance(self.quality.duplicate)
            .then(|| self.travel(leaves + COPY_BEHIND));
        Ok((first, second))
    }

    fn loses(&mut self) -> bool {
        match self.quality.loss {
            Loss::None => false,
            Loss::Independent(share) => self.rng.chance(share),
            Loss::Bursts { begin, end, bad } => {
                let turn = if self.burst { end } else { begin };
                self.burst ^= self.rng.chance(turn);
                self.burst && self.rng.chance(bad)
            }
        }
    }

    /// When the last bit has left the queue.
    fn transmit(&mut self, now: u64, len: usize) -> Result<u64, Fate> {
        let Some(rate) = self.quality.rate else {
            return Ok(now);
        };
        let starts = self.free_at.max(now);
        let waiting = u128::from(starts - now) * u128::from(rate) / 8_000_000_000;
        if waiting + len as u128 > self.quality.queue as u128 {
            return Err(Fate::QueueFull);
        }
        let takes = len as u128 * 8_000_000_000 / u128::from(rate.max(1));
        self.free_at = starts + u64::try_from(takes).unwrap_or(u64::MAX / 4);
        Ok(self.free_at)
    }

    fn travel(&mut self, leaves: u64) -> Passage {
        let jitter = match self.quality.jitter {
            Jitter::None => 0,
            Jitter::Uniform(most) => self.rng.below(nanos(most) + 1),
            Jitter::Exponential(mean) => self.exponential(mean),
        };
        let at = leaves + nanos(self.quality.delay) + jitter;
        let at = if self.rng.chance(self.quality.reorder) {
            at + nanos(self.quality.held_back)
        } else {
            // A shorter delay set during the story must not let new packets overtake old ones either.
            self.last_out = self.last_out.max(at);
            self.last_out
        };
        let altered = self
            .rng
            .chance(self.quality.corrupt)
            .then(|| (self.rng.next_u64(), 1 << self.rng.below(8)));
        Passage { at, altered }
    }

    fn exponential(&mut self, mean: Duration) -> u64 {
        let uniform = (self.rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64;
        let times = -(1.0 - uniform).ln();
        (nanos(mean) as f64 * times.min(20.0)) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::{ms, us};

    fn arrivals(quality: Quality, packets: u64, gap: Duration) -> Vec<Result<u64, Fate>> {
        let mut pipe = Pipe::new(quality, Rng::new(5));
        (0..packets)
            .map(|n| pipe.pass(n * nanos(gap), 100).map(|(first, _)| first.at))
            .collect()
    }

    #[test]
    fn a_perfect_wire_with_delay_adds_exactly_the_delay() {
        let out = arrivals(Quality::delay(ms(3)), 3, ms(1));
        assert_eq!(out, [Ok(3_000_000), Ok(4_000_000), Ok(5_000_000)]);
    }

    #[test]
    fn independent_loss_has_the_share_that_was_asked_for() {
        let lost = arrivals(Quality::perfect().loss(0.02), 50_000, us(1))
            .iter()
            .filter(|out| out.is_err())
            .count();
        assert!((900..1_100).contains(&lost), "{lost}");
    }

    #[test]
    fn bursts_have_the_length_and_share_of_the_model() {
        let out = arrivals(Quality::perfect().bursts(0.01, 0.25, 1.0), 100_000, us(1));
        let lost = out.iter().filter(|out| out.is_err()).count();
        let runs = out
            .windows(2)
            .filter(|pair| pair[0].is_ok() && pair[1].is_err())
            .count();
        let length = lost as f64 / runs as f64;
        assert!(
            (3.6..4.4).contains(&length),
            "mean burst {length}, wanted 1 / 0.25"
        );
        let share = lost as f64 / out.len() as f64;
        assert!((0.033..0.044).contains(&share), "{share}, wanted 0.01 / 0.26");
    }

    #[test]
    fn jitter_stays_within_its_bounds_and_never_reorders() {
        let out = arrivals(Quality::delay(ms(1)).jitter(ms(1)), 2_000, us(100));
        let at: Vec<u64> = out.iter().map(|out| out.expect("nothing is lost")).collect();
        assert!(at.is_sorted());
        let added = |n: usize| at[n] - n as u64 * 100_000 - 1_000_000;
        assert!((0..at.len()).all(|n| added(n) <= 1_000_000));
        assert!((0..at.len()).any(|n| added(n) > 900_000));
    }

    #[test]
    fn exponential_jitter_has_its_mean() {
        let mut pipe = Pipe::new(Quality::perfect().exponential_jitter(us(200)), Rng::new(3));
        let sum: u64 = (0..20_000).map(|_| pipe.exponential(us(200))).sum();
        let mean = sum / 20_000;
        assert!((192_000..208_000).contains(&mean), "{mean}");
    }

    #[test]
    fn the_asked_share_is_held_back_and_only_that_is_overtaken() {
        let out = arrivals(Quality::perfect().reorder(0.1, ms(5)), 10_000, ms(1));
        let held = out
            .iter()
            .enumerate()
            .filter(|&(n, out)| *out == Ok(n as u64 * 1_000_000 + 5_000_000))
            .count();
        assert!((900..1_100).contains(&held), "{held}");
    }

    #[test]
    fn a_slow_wire_spaces_packets_and_drops_from_the_tail() {
        // 100 bytes at 8 Mbit/s take 100 us; 300 bytes may wait or be under way.
        let out = arrivals(Quality::perfect().rate(8_000_000, 300), 5, Duration::ZERO);
        let full = Err(Fate::QueueFull);
        assert_eq!(out, [Ok(100_000), Ok(200_000), Ok(300_000), full, full]);
    }

    #[test]
    fn what_is_too_long_does_not_pass() {
        assert_eq!(
            arrivals(Quality::perfect().mtu(99), 1, ms(1)),
            [Err(Fate::TooBig)]
        );
    }

    #[test]
    fn duplicates_and_altered_bytes_come_at_their_share() {
        let mut pipe = Pipe::new(Quality::perfect().duplicate(0.2).corrupt(0.1), Rng::new(5));
        let passed: Vec<_> = (0..10_000)
            .map(|n| pipe.pass(n, 100).expect("nothing is lost"))
            .collect();
        let twice = passed.iter().filter(|(_, second)| second.is_some()).count();
        let altered = passed.iter().filter(|(first, _)| first.altered.is_some()).count();
        assert!((1_850..2_150).contains(&twice), "{twice}");
        assert!((880..1_120).contains(&altered), "{altered}");
        assert!(
            passed
                .iter()
                .all(|(first, _)| first.altered.is_none_or(|(_, mask)| mask != 0))
        );
    }
}
