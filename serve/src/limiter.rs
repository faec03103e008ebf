//! How much is answered: token buckets in memory that never grows.
//!
//! A bucket is kept as one number, the instant at which it will be full again (the generic cell rate
//! algorithm, ITU-T I.371). A bucket that is full again is the same as no bucket, so the table needs no
//! cleaning, and a place that is needed is taken from the bucket that is nearest to full. No time is ever
//! accumulated in steps, so nothing drifts, and a source that was silent for years has its burst and no more.

use crate::OptionsError;
use crate::address::{self, Source};
use crate::options::{Secret, within};
use halloo_base::{Mono, Reason, ReplyLimit, Trust};
use siphasher::sip::SipHasher13;
use std::net::IpAddr;

const SECOND: u64 = 1_000_000_000;
const WAYS: usize = 4;

/// A rate and the burst above it.
///
/// In any span of `t` seconds at most `burst + per_second * t` datagrams pass. The spacing is kept in whole
/// nanoseconds, rounded up: the rate is never above `per_second`, and below it by less than
/// `per_second` parts in 1,000,000,000.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rate {
    /// Datagrams per second, 1 to 100,000,000.
    pub per_second: u32,
    /// Datagrams at once after a silence, 1 or more. A packet that stands for more (one that a device is to cut into
    /// segments counts for each of them) never passes.
    pub burst: u32,
}

/// How many datagrams a server takes, and from whom. A source is an IPv4 address or an IPv6 /64.
///
/// Each server keeps its own buckets: where several share a port, each of them grants the whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// For each stranger; `None` for no limit. Default: 2,000 a second, burst 10,000.
    pub per_source: Option<Rate>,
    /// For all strangers together; `None` for no limit. Default: 200,000 a second, burst 200,000.
    pub all: Option<Rate>,
    /// For each loopback, private or link-local source, which no other limit touches; `None` for no limit.
    /// Default: none. An answer to such an address stays in our own networks, even if it was forged.
    pub per_local_source: Option<Rate>,
    /// A source with validated clients has, beside what any stranger has, this many times the share of a
    /// stranger for them, and `all` does not touch it: no flood of strangers can use it up. 1 to 1,000.
    /// Default: 10.
    pub validated_share: u32,
    /// Where replies may be longer than requests, strangers' rates and bursts, per source and in all, are divided by
    /// this. 1 to 1,000,000. Default: 20.
    pub longer_reply_divisor: u32,
    /// How many sources are told apart at once, rounded up to a power of two; 16 bytes each. Beyond that,
    /// the buckets nearest to full are forgotten, and `all` still holds. 4 to 16,777,216. Default: 65,536.
    pub sources: u32,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            per_source: Some(Rate {
                per_second: 2_000,
                burst: 10_000,
            }),
            all: Some(Rate {
                per_second: 200_000,
                burst: 200_000,
            }),
            per_local_source: None,
            validated_share: 10,
            longer_reply_divisor: 20,
            sources: 65_536,
        }
    }
}

impl Limits {
    /// Checks every field.
    ///
    /// # Errors
    /// The first field that is out of its range.
    pub fn check(&self) -> Result<(), OptionsError> {
        let rates = [
            (
                "limits.per_source.per_second",
                "limits.per_source.burst",
                self.per_source,
            ),
            ("limits.all.per_second", "limits.all.burst", self.all),
            (
                "limits.per_local_source.per_second",
                "limits.per_local_source.burst",
                self.per_local_source,
            ),
        ];
        for (per_second, burst, rate) in rates {
            let Some(rate) = rate else { continue };
            within(per_second, rate.per_second, 1..=100_000_000)?;
            within(burst, rate.burst, 1..=u64::from(u32::MAX))?;
        }
        within("limits.validated_share", self.validated_share, 1..=1_000)?;
        within(
            "limits.longer_reply_divisor",
            self.longer_reply_divisor,
            1..=1_000_000,
        )?;
        within("limits.sources", self.sources, 4..=16_777_216)
    }
}

/// How often one source is told that it asks too often.
const WARNED: Rate = Rate {
    per_second: 1,
    burst: 1,
};
/// How often all of them are.
const ALL_WARNED: Rate = Rate {
    per_second: 100,
    burst: 100,
};

/// Decides how much is answered.
pub(crate) struct Limiter {
    /// For replies no longer than their requests.
    even: Strangers,
    /// For longer ones.
    longer: Strangers,
    /// For what tells who asks too often to ask less, whoever he is.
    warned: Strangers,
    validated: Option<Pace>,
    local: Option<Pace>,
    table: Table,
}

/// What strangers have, each and all together.
struct Strangers {
    class: Class,
    each: Option<Pace>,
    all: Option<Pace>,
    all_full_at: u64,
}

impl Limiter {
    /// A limiter with full buckets. `limits` has been checked.
    pub(crate) fn new(limits: &Limits, secret: Secret) -> Limiter {
        let pace = |rate: Option<Rate>, times, divisor| rate.map(|rate| Pace::new(rate, times, divisor));
        let strangers = |class, divisor| Strangers {
            class,
            each: pace(limits.per_source, 1, divisor),
            all: pace(limits.all, 1, divisor),
            all_full_at: 0,
        };
        let local = pace(limits.per_local_source, 1, 1);
        let remembers = limits.per_source.is_some() || local.is_some();
        Limiter {
            even: strangers(Class::Stranger, 1),
            longer: strangers(Class::Longer, limits.longer_reply_divisor),
            warned: Strangers {
                class: Class::Warned,
                each: pace(Some(WARNED), 1, 1),
                all: pace(Some(ALL_WARNED), 1, 1),
                all_full_at: 0,
            },
            validated: pace(limits.per_source, limits.validated_share, 1),
            local,
            table: Table::new(if remembers { limits.sources } else { 0 }, secret),
        }
    }

    /// Takes a packet out of the buckets of its sender, a canonical address; it costs as much as the `packets` that
    /// it stands for, and the less there is of it the longer its `reply` may be. Its `trust` is asked only when a stranger
    /// would be refused, since a proof may cost something to check.
    pub(crate) fn admit(
        &mut self,
        now: Mono,
        remote: IpAddr,
        packets: usize,
        reply: ReplyLimit,
        trust: impl FnOnce() -> Trust,
    ) -> Result<(), Reason> {
        let source = Source::of(remote);
        if address::is_local(remote) {
            let draw = Draw::new(Class::Local, packets, now);
            return self.table.take(self.local, draw, source);
        }
        match self.admit_stranger(now, source, packets, reply) {
            Err(_) if trust() == Trust::Validated => {
                let draw = Draw::new(Class::Validated, packets, now);
                self.table.take(self.validated, draw, source)
            }
            verdict => verdict,
        }
    }

    /// Takes `packets` from the source's bucket and from that of all, or from neither.
    pub(crate) fn admit_stranger(
        &mut self,
        now: Mono,
        source: Source,
        packets: usize,
        reply: ReplyLimit,
    ) -> Result<(), Reason> {
        let strangers = match reply {
            ReplyLimit::SameAsRequest => &mut self.even,
            ReplyLimit::Extra(_) | ReplyLimit::Graded { .. } => &mut self.longer,
        };
        strangers.take(&mut self.table, now, source, packets)
    }

    /// Whether this sender, a canonical address that was refused because of its own share, may be told so now.
    pub(crate) fn may_warn(&mut self, now: Mono, remote: IpAddr) -> bool {
        // Without a table nobody has a share of his own.
        let table = &mut self.table;
        !table.sets.is_empty() && self.warned.take(table, now, Source::of(remote), 1).is_ok()
    }
}

impl Strangers {
    /// Takes `packets` from the source's bucket in the table and from that of all, or from neither.
    fn take(&mut self, table: &mut Table, now: Mono, source: Source, packets: usize) -> Result<(), Reason> {
        let draw = Draw::new(self.class, packets, now);
        let all_full_at = match self.all {
            Some(pace) => pace.take(self.all_full_at, draw),
            None => Some(0),
        };
        let all_full_at = all_full_at.ok_or(Reason::RateLimitedAll)?;
        table.take(self.each, draw, source)?;
        self.all_full_at = all_full_at;
        Ok(())
    }
}

/// A rate in nanoseconds.
#[derive(Clone, Copy)]
struct Pace {
    /// What one datagram costs.
    interval: u64,
    /// What a full bucket holds.
    depth: u64,
}

impl Pace {
    fn new(rate: Rate, times: u32, divisor: u32) -> Pace {
        let (times, divisor) = (u64::from(times), u64::from(divisor));
        let interval = (SECOND * divisor).div_ceil(u64::from(rate.per_second) * times);
        let burst = (u64::from(rate.burst) * times / divisor).max(1);
        Pace {
            interval,
            depth: interval.saturating_mul(burst),
        }
    }

    /// When the bucket that would be full at `full_at` will be full after this draw too; `None` if it does not
    /// hold so much.
    fn take(self, full_at: u64, draw: Draw) -> Option<u64> {
        let cost = self.interval.checked_mul(draw.packets)?;
        let full_at = full_at.max(draw.now).checked_add(cost)?;
        (full_at - draw.now <= self.depth).then_some(full_at)
    }
}

/// What is taken out of a bucket, and when.
#[derive(Clone, Copy)]
struct Draw {
    class: Class,
    packets: u64,
    now: u64,
}

impl Draw {
    fn new(class: Class, packets: usize, now: Mono) -> Draw {
        Draw {
            class,
            packets: packets as u64,
            now: now.0,
        }
    }
}

/// Buckets of one source that are kept apart.
#[derive(Clone, Copy)]
#[repr(u8)]
enum Class {
    Stranger,
    Longer,
    Validated,
    Local,
    Warned,
}

/// A set-associative table of buckets: a source's tag says in which set it may be, in any of its places.
struct Table {
    hasher: SipHasher13,
    sets: Box<[Set]>,
}

/// One cache line.
#[derive(Clone, Copy, Default)]
#[repr(align(64))]
struct Set([Bucket; WAYS]);

/// A bucket of the source with this tag. All zeros is a bucket that has been full since ever.
#[derive(Clone, Copy, Default)]
struct Bucket {
    tag: u64,
    full_at: u64,
}

impl Table {
    fn new(sources: u32, secret: Secret) -> Table {
        let sets = match sources {
            0 => 0,
            some => (some as usize).div_ceil(WAYS).next_power_of_two(),
        };
        Table {
            hasher: secret.hasher(),
            sets: vec![Set::default(); sets].into_boxed_slice(),
        }
    }

    fn take(&mut self, pace: Option<Pace>, draw: Draw, source: Source) -> Result<(), Reason> {
        let Some(pace) = pace else { return Ok(()) };
        let tag = self.tag(draw.class, source);
        // The number of sets is a power of two.
        let place = tag as usize & (self.sets.len() - 1);
        let set = &mut self.sets[place].0;
        let own = set.iter().position(|bucket| bucket.tag == tag);
        let full_at = own.map_or(0, |way| set[way].full_at);
        let full_at = pace.take(full_at, draw).ok_or(Reason::RateLimited)?;
        set[own.unwrap_or_else(|| nearest_to_full(set))] = Bucket { tag, full_at };
        Ok(())
    }

    /// 64 bits that name a bucket. Two sources would share one by chance once in 2^64 pairs.
    fn tag(&self, class: Class, source: Source) -> u64 {
        let mut bytes = [class as u8; 9];
        match source {
            Source::V4(bits) => {
                bytes[1..5].copy_from_slice(&bits.to_be_bytes());
                self.hasher.hash(&bytes[..5])
            }
            Source::V6(bits) => {
                bytes[1..].copy_from_slice(&bits.to_be_bytes());
                self.hasher.hash(&bytes)
            }
        }
    }
}

fn nearest_to_full(set: &[Bucket; WAYS]) -> usize {
    let mut best = 0;
    for way in 1..WAYS {
        if set[way].full_at < set[best].full_at {
            best = way;
        }
    }
    best
}

#[cfg(test)]
mod tests;
