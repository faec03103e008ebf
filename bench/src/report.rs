//! What was measured: samples by round, medians, ratios within rounds, targets, and the table.

use crate::contender::Contender;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// A quantity that is measured of several contenders.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Metric {
    /// Its place in the report, and its key in the JSON: `udp-1-loss-free`.
    pub(crate) key: &'static str,
    /// For people.
    pub(crate) title: &'static str,
    pub(crate) unit: Unit,
    /// Whom the ratios are to.
    pub(crate) reference: Contender,
}

/// How a value is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Unit {
    PerSecond,
    Nanos,
    Micros,
    Bytes,
    Seconds,
    Ratio,
}

/// One aim of the project.
pub(crate) struct Target {
    pub(crate) metric: Metric,
    pub(crate) contender: Contender,
    pub(crate) against: Against,
    pub(crate) wanted: Wanted,
}

/// What a value is compared with.
#[derive(Clone, Copy)]
pub(crate) enum Against {
    /// Another contender's, or another metric's, in the same round.
    Other(Metric, Contender),
    /// Nothing: the value itself is the aim.
    Itself,
}

#[derive(Clone, Copy)]
pub(crate) enum Wanted {
    AtLeast(f64),
    AtMost(f64),
}

/// Everything of one run of the bench.
#[derive(Default, Serialize)]
pub(crate) struct Report {
    /// Where it ran.
    pub(crate) machine: Vec<String>,
    /// By metric key and contender name, a value for each round; `null` where a contender could not.
    pub(crate) samples: BTreeMap<&'static str, BTreeMap<&'static str, Vec<Option<f64>>>>,
    /// Metric keys and contender names where the generator gave up first: the contender can do more.
    pub(crate) limited: BTreeSet<(&'static str, &'static str)>,
    /// What went wrong or is worth knowing.
    pub(crate) notes: Vec<String>,
}

impl Report {
    pub(crate) fn add(&mut self, metric: Metric, contender: Contender, value: Option<f64>) {
        let values = self.samples.entry(metric.key).or_default();
        values.entry(contender.name()).or_default().push(value);
    }

    /// Remembers that a value is the generator's limit, and not the contender's.
    pub(crate) fn limit(&mut self, metric: Metric, contender: Contender) {
        self.limited.insert((metric.key, contender.name()));
    }

    /// Keeps a remark, once.
    pub(crate) fn note(&mut self, text: String) {
        if !self.notes.contains(&text) {
            self.notes.push(text);
        }
    }

    fn values(&self, metric: Metric, contender: Contender) -> &[Option<f64>] {
        let values = self
            .samples
            .get(metric.key)
            .and_then(|all| all.get(contender.name()));
        values.map_or(&[], Vec::as_slice)
    }

    /// The median of the ratios of each round: what disturbed a whole round cancels out.
    fn ratio(&self, over: (Metric, Contender), under: (Metric, Contender)) -> Option<f64> {
        let pairs = self
            .values(over.0, over.1)
            .iter()
            .zip(self.values(under.0, under.1));
        let ratios = pairs.filter_map(|(over, under)| Some((*over)? / under.filter(|value| *value > 0.0)?));
        median(ratios.collect())
    }

    /// One block for each metric, a line for each contender.
    pub(crate) fn table(&self, metrics: &[Metric], order: &[Contender]) -> String {
        let mut text = String::new();
        for line in &self.machine {
            text += &format!("{line}\n");
        }
        for metric in metrics
            .iter()
            .filter(|metric| self.samples.contains_key(metric.key))
        {
            text += &format!("\n{} (ratio to {})\n", metric.title, metric.reference.name());
            for &contender in order {
                let values = self.values(*metric, contender);
                if values.is_empty() {
                    continue;
                }
                let measured: Vec<_> = values.iter().flatten().copied().collect();
                let spread = measured.iter().copied().fold(f64::MAX, f64::min)
                    ..measured.iter().copied().fold(f64::MIN, f64::max);
                let ratio = self.ratio((*metric, contender), (*metric, metric.reference));
                text += &match median(measured) {
                    Some(value) => format!(
                        "  {:<26}{:>12}   {:>10} .. {:<10} {:>7}\n",
                        contender.name(),
                        metric.unit.show(value),
                        metric.unit.show(spread.start),
                        metric.unit.show(spread.end),
                        ratio.map_or("-".to_owned(), |ratio| format!("x {ratio:.2}")),
                    ),
                    None => format!("  {:<26}{:>12}\n", contender.name(), "failed"),
                };
            }
        }
        text
    }

    /// A line for each aim: value, ratio, aim, reached or not.
    pub(crate) fn verdicts(&self, targets: &[Target]) -> String {
        let mut text = String::from("\ntargets\n");
        for target in targets {
            let own = (target.metric, target.contender);
            let (value, what, unit) = match target.against {
                Against::Other(metric, contender) => {
                    let what = if metric == target.metric {
                        format!("x {}", contender.name())
                    } else {
                        format!("x {}", metric.title)
                    };
                    (self.ratio(own, (metric, contender)), what, Unit::Ratio)
                }
                Against::Itself => {
                    let measured = self.values(own.0, own.1).iter().flatten().copied().collect();
                    (median(measured), String::new(), target.metric.unit)
                }
            };
            let (sign, limit, reached) = match target.wanted {
                Wanted::AtLeast(limit) => (">=", limit, value.map(|value| value >= limit)),
                Wanted::AtMost(limit) => ("<=", limit, value.map(|value| value <= limit)),
            };
            let verdict = match reached {
                Some(true) => "reached",
                Some(false) if self.limited.contains(&(own.0.key, own.1.name())) => "the generator's limit",
                Some(false) => "NOT REACHED",
                None => "not measured",
            };
            text += &format!(
                "  {:<52} {:<24} {:>9}  {sign} {:<9} {what:<26} {verdict}\n",
                target.metric.title,
                target.contender.name(),
                value.map_or("-".to_owned(), |value| unit.show(value)),
                unit.show(limit),
            );
        }
        for note in &self.notes {
            text += &format!("note: {note}\n");
        }
        text
    }
}

impl Unit {
    fn show(self, value: f64) -> String {
        match self {
            Unit::PerSecond if value < 9_999.5 => format!("{value:.0}/s"),
            Unit::PerSecond => format!("{:.0} k/s", value / 1e3),
            Unit::Nanos => format!("{value:.0} ns"),
            Unit::Micros => format!("{:.2} us", value / 1e3),
            Unit::Bytes => format!("{:.1} MiB", value / f64::from(1 << 20)),
            Unit::Seconds => format!("{:.0} ms", value * 1e3),
            Unit::Ratio if value < 0.1 => format!("{value:.4}"),
            Unit::Ratio => format!("{value:.2}"),
        }
    }
}

/// The middle value, or the mean of the two in the middle.
pub(crate) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let upper = *values.get(values.len() / 2)?;
    let lower = *values.get(values.len().checked_sub(1)? / 2)?;
    Some((lower + upper) / 2.0)
}

/// The value that a share of all values does not exceed (the nearest rank). Sorts them.
pub(crate) fn quantile(values: &mut [u64], share: f64) -> Option<f64> {
    values.sort_unstable();
    let rank = (values.len() as f64 * share).ceil() as usize;
    values
        .get(rank.max(1) - 1)
        .or(values.last())
        .map(|&value| value as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_lies_between_the_two_in_the_middle() {
        assert_eq!(median(vec![]), None);
        assert_eq!(median(vec![3.0]), Some(3.0));
        assert_eq!(median(vec![9.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![4.0, 1.0, 2.0, 9.0]), Some(3.0));
    }

    #[test]
    fn a_quantile_is_the_nearest_rank() {
        let mut values: Vec<u64> = (1..=1_000).rev().collect();
        assert_eq!(quantile(&mut values, 0.5), Some(500.0));
        assert_eq!(quantile(&mut values, 0.999), Some(999.0));
        assert_eq!(quantile(&mut values, 1.0), Some(1_000.0));
        assert_eq!(quantile(&mut [], 0.5), None);
    }

    const METRIC: Metric = Metric {
        key: "k",
        title: "t",
        unit: Unit::PerSecond,
        reference: Contender::Plain,
    };

    #[test]
    fn ratios_are_taken_within_rounds_and_a_failure_spoils_only_its_own() {
        let mut report = Report::default();
        for (ours, theirs) in [
            (Some(2.0), Some(1.0)),
            (Some(30.0), Some(10.0)),
            (None, Some(1.0)),
            (Some(400.0), Some(100.0)),
        ] {
            report.add(METRIC, Contender::Halloo, ours);
            report.add(METRIC, Contender::Plain, theirs);
        }
        let ratio = report.ratio((METRIC, Contender::Halloo), (METRIC, Contender::Plain));
        assert_eq!(ratio, Some(3.0));
    }

    #[test]
    fn a_target_says_whether_it_was_reached() {
        let mut report = Report::default();
        report.add(METRIC, Contender::Halloo, Some(1.0));
        let target = |wanted| Target {
            metric: METRIC,
            contender: Contender::Halloo,
            against: Against::Itself,
            wanted,
        };
        assert!(
            report
                .verdicts(&[target(Wanted::AtLeast(1.0))])
                .contains(" reached")
        );
        assert!(
            report
                .verdicts(&[target(Wanted::AtMost(0.5))])
                .contains("NOT REACHED")
        );
        report.limit(METRIC, Contender::Halloo);
        let text = report.verdicts(&[target(Wanted::AtLeast(2.0))]);
        assert!(text.contains("the generator's limit"), "{text}");
        let unmeasured = Report::default().verdicts(&[target(Wanted::AtMost(0.5))]);
        assert!(unmeasured.contains("not measured"));
    }
}
