//! Distributions of spans: bounded memory, exact mean and extremes, quantiles to a stated precision.

use halloo_base::Nanos;
use hdrhistogram::Histogram;

/// A distribution of spans in numbers. All values are nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Statistic {
    /// How many samples.
    pub count: u64,
    /// All of them together; exact.
    pub sum: Nanos,
    /// The shortest; exact.
    pub min: Nanos,
    /// The arithmetic mean; exact to the nanosecond.
    pub mean: Nanos,
    /// Half are not longer.
    pub p50: Nanos,
    /// Nine of ten are not longer.
    pub p90: Nanos,
    /// 99 of 100 are not longer.
    pub p99: Nanos,
    /// 999 of 1,000 are not longer.
    pub p999: Nanos,
    /// The longest; exact.
    pub max: Nanos,
    /// Standard deviation of all samples, what `ping` calls mdev: the root of E\[x²\] - E\[x\]².
    pub mdev: Nanos,
}

/// How exact quantiles are. Memory follows.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Precision {
    /// To a thousandth: for what is reported as a result (about 270 KB).
    Thousandth,
    /// To a hundredth: for what judges the result (about 35 KB).
    Hundredth,
}

/// Collects spans from 0 ns to one hour; longer ones count as one hour in the quantiles, and as they are elsewhere.
#[derive(Clone, Debug)]
pub(crate) struct Distribution {
    histogram: Histogram<u64>,
    count: u64,
    sum: u128,
    squares: u128,
    min: u64,
    max: u64,
}

const LONGEST: u64 = 3_600_000_000_000;

impl Distribution {
    pub(crate) fn new(precision: Precision) -> Distribution {
        let digits = match precision {
            Precision::Thousandth => 3,
            Precision::Hundredth => 2,
        };
        Distribution {
            histogram: Histogram::new_with_bounds(1, LONGEST, digits)
                .expect("1 ns to an hour at 2 or 3 digits is within what a histogram can hold"),
            count: 0,
            sum: 0,
            squares: 0,
            min: u64::MAX,
            max: 0,
        }
    }

    /// Records a span; below zero counts as zero.
    pub(crate) fn record(&mut self, span: Nanos) {
        self.record_n(span, 1);
    }

    /// Records a span that stands for `n` samples.
    pub(crate) fn record_n(&mut self, span: Nanos, n: u64) {
        let value = u64::try_from(span.0).unwrap_or(0);
        self.histogram.saturating_record_n(value, n);
        self.count += n;
        self.sum = self.sum.saturating_add(u128::from(value) * u128::from(n));
        let square = u128::from(value) * u128::from(value);
        self.squares = self.squares.saturating_add(square.saturating_mul(u128::from(n)));
        self.min = self.min.min(value);
        self.max = self.max.max(value);
    }

    /// How many samples.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// The numbers, or nothing where nothing was recorded.
    pub(crate) fn statistic(&self) -> Option<Statistic> {
        if self.count == 0 {
            return None;
        }
        let quantile = |q: f64| {
            // A bucket's upper edge may lie beyond what was seen.
            let edge = self.histogram.value_at_quantile(q).clamp(self.min, self.max);
            nanos(u128::from(edge))
        };
        let n = u128::from(self.count);
        Some(Statistic {
            count: self.count,
            sum: nanos(self.sum),
            min: nanos(u128::from(self.min)),
            mean: nanos(self.sum / n),
            p50: quantile(0.5),
            p90: quantile(0.9),
            p99: quantile(0.99),
            p999: quantile(0.999),
            max: nanos(u128::from(self.max)),
            mdev: nanos(self.variance().isqrt()),
        })
    }

    fn variance(&self) -> u128 {
        // n·E[x²] - n·E[x]² in one division, so that a small spread on a long mean does not drown in rounding.
        let n = u128::from(self.count);
        let mean = self.sum / n;
        let rest = self.sum % n;
        // sum = mean·n + rest, so sum²/n = mean·(sum + rest) + rest²/n.
        let squared = mean
            .saturating_mul(self.sum + rest)
            .saturating_add(rest * rest / n);
        self.squares.saturating_sub(squared) / n
    }
}

fn nanos(value: u128) -> Nanos {
    Nanos(i64::try_from(value).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[i64]) -> Statistic {
        let mut distribution = Distribution::new(Precision::Thousandth);
        values.iter().for_each(|&value| distribution.record(Nanos(value)));
        distribution.statistic().expect("samples were recorded")
    }

    #[test]
    fn nothing_recorded_is_no_statistic() {
        assert_eq!(Distribution::new(Precision::Hundredth).statistic(), None);
    }

    #[test]
    fn mean_and_mdev_are_those_of_the_samples() {
        let numbers = of(&[2_000, 4_000, 4_000, 4_000, 5_000, 5_000, 7_000, 9_000]);
        assert_eq!(numbers.mean, Nanos(5_000));
        assert_eq!((numbers.sum, numbers.mdev), (Nanos(40_000), Nanos(2_000)));
        assert_eq!((numbers.min, numbers.max), (Nanos(2_000), Nanos(9_000)));
    }

    #[test]
    fn a_small_spread_on_a_long_mean_survives() {
        let hour = 3_000_000_000_000;
        assert_eq!(of(&[hour - 3, hour + 3, hour - 3, hour + 3]).mdev, Nanos(3));
        assert_eq!(of(&[hour + 1, hour + 1, hour + 1]).mdev, Nanos(0));
    }

    #[test]
    fn quantiles_are_right_to_a_thousandth() {
        let values: Vec<i64> = (1..=10_000).map(|k| k * 1_000).collect();
        let numbers = of(&values);
        for (quantile, exact) in [
            (numbers.p50, 5_000_000),
            (numbers.p90, 9_000_000),
            (numbers.p99, 9_900_000),
            (numbers.p999, 9_990_000),
        ] {
            assert!(
                (quantile.0 - exact).abs() <= exact / 1_000,
                "{quantile} is not {exact}"
            );
        }
    }

    #[test]
    fn one_sample_is_all_its_quantiles() {
        let numbers = of(&[123_457]);
        for value in [numbers.min, numbers.mean, numbers.p50, numbers.p999, numbers.max] {
            assert_eq!(value, Nanos(123_457));
        }
    }

    #[test]
    fn below_zero_counts_as_zero_and_beyond_an_hour_is_kept_in_the_extremes() {
        let numbers = of(&[-5, 7_200_000_000_000]);
        assert_eq!((numbers.min, numbers.max), (Nanos(0), Nanos(7_200_000_000_000)));
        assert_eq!(numbers.mean, Nanos(3_600_000_000_000));
    }

    #[test]
    fn a_weight_counts_as_so_many_samples() {
        let mut distribution = Distribution::new(Precision::Hundredth);
        distribution.record_n(Nanos(10), 3);
        distribution.record(Nanos(50));
        let numbers = distribution.statistic().expect("samples were recorded");
        assert_eq!(
            (numbers.count, numbers.mean, numbers.p50),
            (4, Nanos(20), Nanos(10))
        );
    }
}
