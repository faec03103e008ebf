//! Which flows are worse than the others, and how many paths there are: decided by statistics, not by one lost probe.

use halloo_base::{Nanos, Rng};

/// What is known of one flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct FlowFacts {
    /// Probes that were answered or lost.
    pub settled: u64,
    /// Of these, those that were lost.
    pub lost: u64,
    /// Delays that were measured.
    pub samples: u64,
    /// Their median.
    pub delay: Nanos,
    /// From their first quartile to their third.
    pub quartiles_apart: Nanos,
}

/// What all flows together show. Flows are named by their place in the list.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct SpreadVerdict {
    /// Flows that lose more than the others do, and no chance would make them.
    pub bad: Vec<usize>,
    /// Of these: those that lose everything.
    pub dead: usize,
    /// The share of bad flows among those that were judged.
    pub share: f64,
    /// Between these that share lies for all flows, not only those that were tried, at 95 % (Wilson 1927).
    pub share_between: (f64, f64),
    /// Loss of the other flows.
    pub loss_elsewhere: f64,
    /// Paths that differ clearly in delay, the fastest first; at least two, or none at all.
    pub paths: Vec<DelayPath>,
}

/// Flows of about one delay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DelayPath {
    /// The median of their delays.
    pub delay: Nanos,
    /// The flows.
    pub flows: Vec<usize>,
}

/// How often chance alone may find a bad flow where there is none.
const FALSE_ALARM: f64 = 0.001;
/// How often losses are dealt out at random, to see what chance does.
const DEALS: u32 = 2_000;
/// Losses that are dealt out in all: more flows or probes get fewer deals, never less than [`FEWEST_DEALS`].
const MOST_DEALT: u64 = 40_000_000;
const FEWEST_DEALS: u32 = 1_000;

/// Delays below which differences say nothing about paths.
const FINEST: Nanos = Nanos(20_000);
/// Samples that a flow's median needs.
const ENOUGH: u64 = 5;
/// More groups than this are no paths but noise.
const MOST_PATHS: usize = 8;

impl SpreadVerdict {
    /// Judges flows.
    ///
    /// A flow is bad if loss depends on the flow at all, and this one's is beyond chance. Whether loss depends on the flow
    /// is told by how unevenly it falls (Pearson's chi-squared, with what chance does found by dealing the same losses out at
    /// random). Which flows are bad is told by an exact binomial test of each against the rate of those that lose least,
    /// with as many tests taken into account as there are flows (Bonferroni).
    pub fn of(flows: &[FlowFacts]) -> SpreadVerdict {
        let mut verdict = SpreadVerdict {
            paths: paths(flows),
            ..SpreadVerdict::default()
        };
        let judged = flows.iter().filter(|flow| flow.settled > 0).count();
        let (settled, lost) = sums(flows.iter());
        verdict.loss_elsewhere = ratio(lost, settled);
        if judged < 2 || lost == 0 || lost == settled || !depends_on_flow(flows) {
            return verdict;
        }
        let usual = usual_loss(flows);
        let level = FALSE_ALARM / judged as f64;
        let is_bad = |flow: &FlowFacts| {
            ratio(flow.lost, flow.settled) >= (2.0 * usual).min((1.0 + usual) / 2.0)
                && at_least(flow.lost, flow.settled, usual) <= level
        };
        verdict.bad = (0..flows.len()).filter(|&place| is_bad(&flows[place])).collect();
        let bad = verdict.bad.iter().map(|&place| &flows[place]);
        verdict.dead = bad.filter(|flow| flow.lost == flow.settled).count();
        let (settled, lost) = sums(flows.iter().filter(|flow| !is_bad(flow)));
        verdict.loss_elsewhere = ratio(lost, settled);
        verdict.share = verdict.bad.len() as f64 / judged as f64;
        verdict.share_between = wilson(verdict.bad.len(), judged);
        verdict
    }
}

fn sums<'a>(flows: impl Iterator<Item = &'a FlowFacts>) -> (u64, u64) {
    flows.fold((0, 0), |(settled, lost), flow| {
        (settled + flow.settled, lost + flow.lost)
    })
}

fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        0.0
    } else {
        part as f64 / whole as f64
    }
}

/// How unevenly these losses fall on the flows: Pearson's statistic, but for the factor that all deals have in common.
fn unevenness(flows: &[FlowFacts], losses: &[u64]) -> f64 {
    let parts = flows.iter().zip(losses).filter(|(flow, _)| flow.settled > 0);
    parts
        .map(|(flow, &lost)| lost as f64 * lost as f64 / flow.settled as f64)
        .sum()
}

/// Whether the losses fall so unevenly as they hardly ever do where each probe is as likely to be lost as any other.
fn depends_on_flow(flows: &[FlowFacts]) -> bool {
    let (settled, lost) = sums(flows.iter());
    let losses: Vec<_> = flows.iter().map(|flow| flow.lost).collect();
    let found = unevenness(flows, &losses);
    let mut owners: Vec<u32> = Vec::with_capacity(usize::try_from(settled).unwrap_or(0));
    for (place, flow) in flows.iter().enumerate() {
        owners.extend((0..flow.settled).map(|_| place as u32));
    }
    // What is lost and what is answered fall equally unevenly: the fewer are dealt out.
    let few = lost.min(settled - lost);
    let deals = u32::try_from(MOST_DEALT / few.max(1))
        .unwrap_or(DEALS)
        .clamp(FEWEST_DEALS, DEALS);
    let mut rng = Rng::new(settled ^ lost << 32);
    let mut dealt = vec![0; flows.len()];
    let mut as_uneven = 0_u32;
    for _ in 0..deals {
        dealt.fill(0);
        for first in 0..few as usize {
            let other = first + rng.below((owners.len() - first) as u64) as usize;
            owners.swap(first, other);
            dealt[owners[first] as usize] += 1;
        }
        if few != lost {
            for (dealt, flow) in dealt.iter_mut().zip(flows) {
                *dealt = flow.settled - *dealt;
            }
        }
        // A hair is for rounding: sums of the same parts in another order.
        as_uneven += u32::from(unevenness(flows, &dealt) >= found * (1.0 - 1e-12));
    }
    f64::from(as_uneven) <= FALSE_ALARM * f64::from(deals)
}

/// The loss of the flows that lose least: those on the better side of the most likely cut into two groups, and one lost
/// probe more, since to lose none says only that it is not much.
fn usual_loss(flows: &[FlowFacts]) -> f64 {
    let mut sorted: Vec<_> = flows.iter().filter(|flow| flow.settled > 0).collect();
    sorted.sort_by(|a, b| ratio(a.lost, a.settled).total_cmp(&ratio(b.lost, b.settled)));
    let (all, all_lost) = sums(sorted.iter().copied());
    let (mut best, mut rest) = ((f64::NEG_INFINITY, 0, 0), (0, 0));
    for flow in sorted {
        rest = (rest.0 + flow.settled, rest.1 + flow.lost);
        let likely = likelihood(rest.0, rest.1) + likelihood(all - rest.0, all_lost - rest.1);
        if likely > best.0 {
            best = (likely, rest.0, rest.1);
        }
    }
    let (_, settled, lost) = best;
    ratio(lost + 1, settled + 2)
}

/// The logarithm of how likely so many losses are at the rate that makes them most likely.
fn likelihood(settled: u64, lost: u64) -> f64 {
    let part = |n: u64| {
        if n == 0 {
            0.0
        } else {
            n as f64 * ratio(n, settled).ln()
        }
    };
    part(lost) + part(settled - lost)
}

/// How likely `lost` or more of `settled` are, each with probability `rate`: the upper tail of the binomial distribution.
fn at_least(lost: u64, settled: u64, rate: f64) -> f64 {
    if lost == 0 {
        return 1.0;
    }
    let odds = (rate / (1.0 - rate)).ln();
    // The logarithm of the chance of exactly `k`, from that of `k - 1`.
    let mut exactly = settled as f64 * (1.0 - rate).ln();
    let mut tail = 0.0;
    for k in 1..=settled {
        exactly += odds + ((settled - k + 1) as f64 / k as f64).ln();
        if k >= lost {
            tail += exactly.exp();
        }
    }
    tail.min(1.0)
}

/// The interval in which a share lies at 95 %, of which `part` of `whole` were drawn (Wilson's score interval).
fn wilson(part: usize, whole: usize) -> (f64, f64) {
    const Z: f64 = 1.959_964;
    let (n, p) = (whole as f64, part as f64 / whole as f64);
    let middle = p + Z * Z / (2.0 * n);
    let half = Z * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
    let scale = 1.0 + Z * Z / n;
    (
        ((middle - half) / scale).max(0.0),
        ((middle + half) / scale).min(1.0),
    )
}

/// Groups of flows whose delays are farther apart than chance or their own variation could put them; none if that is not
/// clear.
fn paths(flows: &[FlowFacts]) -> Vec<DelayPath> {
    let mut known: Vec<_> = (0..flows.len())
        .filter(|&place| flows[place].samples >= ENOUGH)
        .collect();
    if known.len() < 4 {
        return vec![];
    }
    let mut apart: Vec<_> = known.iter().map(|&place| flows[place].quartiles_apart).collect();
    apart.sort_unstable();
    // Of two groups each half of the samples lies clear of the other's.
    let gap = Nanos(apart[apart.len() / 2].0.saturating_mul(2)).max(FINEST);
    known.sort_by_key(|&place| flows[place].delay);
    let delay = |place: usize| flows[place].delay;
    let groups: Vec<&[usize]> = known.chunk_by(|&a, &b| delay(b) - delay(a) < gap).collect();
    // One flow by itself may be an accident.
    let groups: Vec<_> = groups.into_iter().filter(|group| group.len() > 1).collect();
    let ends = |group: &[usize]| (delay(group[0]), delay(group[group.len() - 1]));
    let are_clear = groups.windows(2).all(|pair| {
        let ((first, last), (next, end)) = (ends(pair[0]), ends(pair[1]));
        let between = next - last;
        // A group that is as wide as the gap to the next is no group.
        between.0 >= 2 * (last - first).0.max((end - next).0)
    });
    if !(2..=MOST_PATHS).contains(&groups.len()) || !are_clear {
        return vec![];
    }
    let path = |group: &[usize]| {
        let mut flows = group.to_vec();
        flows.sort_unstable();
        DelayPath {
            delay: delay(group[group.len() / 2]),
            flows,
        }
    };
    groups.into_iter().map(path).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lossy(settled: u64, lost: &[u64]) -> Vec<FlowFacts> {
        let flow = |&lost| FlowFacts {
            settled,
            lost,
            ..FlowFacts::default()
        };
        lost.iter().map(flow).collect()
    }

    /// `count` flows of `settled` probes each, each lost with a flow's own probability.
    fn drawn(rng: &mut Rng, count: usize, settled: u64, rate: impl Fn(usize) -> f64) -> Vec<FlowFacts> {
        let lost = |place| (0..settled).filter(|_| rng.chance(rate(place))).count() as u64;
        lossy(settled, &(0..count).map(lost).collect::<Vec<_>>())
    }

    #[test]
    fn the_tail_of_the_binomial_distribution_is_exact() {
        for (lost, settled, rate, known) in [
            (0, 10, 0.3, 1.0),
            (10, 10, 0.5, 1.0 / 1024.0),
            (1, 4, 0.25, 1.0 - 0.316_406_25),
            (3, 5, 0.1, 0.008_56),
            (60, 100, 0.5, 0.028_443_966_820),
        ] {
            let found = at_least(lost, settled, rate);
            assert!(
                (found - known).abs() < 1e-9,
                "{lost} of {settled} at {rate}: {found}"
            );
        }
        assert!(at_least(5_000, 5_000, 0.01) < 1e-300);
    }

    #[test]
    fn flows_that_lose_everything_are_found_however_many_they_are() {
        for (count, bad, settled) in [
            (64, 7, 10),
            (64, 1, 10),
            (64, 32, 10),
            (64, 60, 10),
            (8, 4, 20),
            (1_024, 128, 5),
            (2, 1, 20),
        ] {
            let lost: Vec<_> = (0..count)
                .map(|place| if place < bad { settled } else { 0 })
                .collect();
            let verdict = SpreadVerdict::of(&lossy(settled, &lost));
            assert_eq!(verdict.bad, (0..bad).collect::<Vec<_>>(), "{bad} of {count}");
            assert_eq!(verdict.dead, bad);
            assert_eq!(verdict.loss_elsewhere, 0.0);
        }
    }

    #[test]
    fn the_share_comes_with_how_sure_it_is() {
        let lost: Vec<_> = (0..64).map(|place| if place < 7 { 10 } else { 0 }).collect();
        let verdict = SpreadVerdict::of(&lossy(10, &lost));
        assert_eq!(verdict.share, 7.0 / 64.0);
        let (low, high) = verdict.share_between;
        assert!(
            (low - 0.0540).abs() < 0.0005 && (high - 0.2090).abs() < 0.0005,
            "{low} {high}"
        );
    }

    #[test]
    fn a_lost_probe_or_two_are_no_bad_flow() {
        for lost in [
            &[0, 0, 0, 1][..],
            &[0, 2, 0, 0, 0, 0, 1, 0],
            &[20; 16],
            &[0; 16],
            &[20],
            &[],
        ] {
            assert_eq!(SpreadVerdict::of(&lossy(20, lost)).bad, [0_usize; 0], "{lost:?}");
        }
    }

    #[test]
    fn even_loss_does_not_depend_on_the_flow_be_it_little_or_much() {
        for lost in [1, 2, 10, 18, 19] {
            assert!(!depends_on_flow(&lossy(20, &[lost; 16])), "{lost}");
        }
        for (few, many) in [(0, 10), (10, 20)] {
            let lost: Vec<_> = (0..16).map(|place| if place < 4 { many } else { few }).collect();
            assert!(depends_on_flow(&lossy(20, &lost)), "{few} {many}");
        }
    }

    #[test]
    fn chance_alone_makes_no_bad_flow() {
        let mut rng = Rng::new(9);
        let mut alarms = 0;
        for round in 0..48_u32 {
            let rate = [0.001, 0.01, 0.05, 0.2, 0.5, 0.9][round as usize % 6];
            let flows = drawn(&mut rng, 48, 15, |_| rate);
            alarms += u32::from(!SpreadVerdict::of(&flows).bad.is_empty());
        }
        // Each time with a probability of a thousandth.
        assert!(alarms <= 1, "{alarms}");
    }

    #[test]
    fn flows_that_lose_half_stand_out_of_loss_that_all_have() {
        let mut rng = Rng::new(3);
        for _ in 0..20 {
            let flows = drawn(&mut rng, 64, 100, |place| if place % 8 == 3 { 0.5 } else { 0.05 });
            let verdict = SpreadVerdict::of(&flows);
            assert_eq!(verdict.bad, [3, 11, 19, 27, 35, 43, 51, 59]);
            assert!((verdict.loss_elsewhere - 0.05).abs() < 0.02);
            assert_eq!(verdict.dead, 0);
        }
    }

    #[test]
    fn two_kinds_of_bad_flows_are_both_found() {
        let mut rng = Rng::new(5);
        let flows = drawn(&mut rng, 64, 40, |place| {
            [1.0, 0.6, 0.0, 0.0, 0.0, 0.0, 0.0, 0.01][place % 8]
        });
        let verdict = SpreadVerdict::of(&flows);
        assert_eq!((verdict.bad.len(), verdict.dead), (16, 8));
    }

    fn delayed(delays_us: &[i64], apart_us: i64) -> Vec<FlowFacts> {
        let flow = |&us: &i64| FlowFacts {
            settled: 20,
            samples: 20,
            delay: Nanos(us * 1_000),
            quartiles_apart: Nanos(apart_us * 1_000),
            ..FlowFacts::default()
        };
        delays_us.iter().map(flow).collect()
    }

    #[test]
    fn paths_are_told_only_when_their_delays_are_clearly_apart() {
        let found = |delays: &[i64], apart| -> Vec<(i64, usize)> {
            let verdict = SpreadVerdict::of(&delayed(delays, apart));
            let paths = verdict.paths.iter();
            paths
                .map(|path| (path.delay.0 / 1_000, path.flows.len()))
                .collect()
        };
        let two = [1_100, 4_300, 1_110, 4_310, 1_090, 4_290, 1_105, 4_305];
        assert_eq!(found(&two, 100), [(1_105, 4), (4_305, 4)]);
        assert_eq!(found(&two, 2_000), [], "they vary by more than that themselves");
        assert_eq!(
            found(&[1_100, 1_110, 1_115, 1_112], 10),
            [],
            "they differ by nothing"
        );
        let smear: Vec<_> = (0..32).map(|k| 1_000 + 100 * k).collect();
        assert_eq!(found(&smear, 10), []);
        assert_eq!(
            found(&[1_100, 1_110, 1_105, 9_000], 10),
            [],
            "one by itself is an accident"
        );
        let three = [10, 500, 900, 12, 505, 903];
        assert_eq!(found(&three, 20), [(12, 2), (505, 2), (903, 2)]);
        assert_eq!(found(&[10, 14, 18], 1), [], "too few flows");
    }
}
