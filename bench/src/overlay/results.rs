//! What was measured: by contender, condition and quantity, a value for each round; medians, and ratios within rounds.

use super::contender::Contender;
use super::ground::Condition;
use crate::report::median;
use std::collections::BTreeMap;
use std::fmt;

/// A quantity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Quantity {
    /// TCP, so many streams: megabits a second.
    Tcp(u32),
    /// Processor seconds of the contender's processes per gigabyte, of that.
    TcpDaemons(u32),
    /// Processor seconds of the whole machine per gigabyte, of that.
    TcpMachine(u32),
    /// The file: megabits a second.
    File,
    FileDaemons,
    FileMachine,
    /// ZeroMQ, messages of so many octets: how many a second.
    Messages(u32),
    /// Small datagrams a second without loss.
    Datagrams,
    /// Round trips in microseconds.
    TripP50,
    TripP99,
    /// Resident memory of the larger of both ends, octets.
    Resident,
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Quantity::Tcp(streams) => write!(f, "tcp-{streams}-mbit"),
            Quantity::TcpDaemons(streams) => write!(f, "tcp-{streams}-daemons-cpu-s-per-gb"),
            Quantity::TcpMachine(streams) => write!(f, "tcp-{streams}-machine-cpu-s-per-gb"),
            Quantity::File => f.write_str("file-mbit"),
            Quantity::FileDaemons => f.write_str("file-daemons-cpu-s-per-gb"),
            Quantity::FileMachine => f.write_str("file-machine-cpu-s-per-gb"),
            Quantity::Messages(octets) => write!(f, "zeromq-{octets}-per-s"),
            Quantity::Datagrams => f.write_str("udp-200-per-s"),
            Quantity::TripP50 => f.write_str("ping-p50-us"),
            Quantity::TripP99 => f.write_str("ping-p99-us"),
            Quantity::Resident => f.write_str("resident-octets"),
        }
    }
}

/// A quantity under a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key(pub(crate) Condition, pub(crate) Quantity);

/// All values.
#[derive(Debug, Default)]
pub(crate) struct Results {
    /// By contender and key, by round.
    values: BTreeMap<(&'static str, Key), BTreeMap<usize, f64>>,
}

impl Results {
    pub(crate) fn add(&mut self, contender: &Contender, key: Key, round: usize, value: f64) {
        let rounds = self.values.entry((contender.name, key)).or_default();
        rounds.insert(round, value);
    }

    /// Its values, by round.
    pub(crate) fn rounds(&self, contender: &str, key: Key) -> impl Iterator<Item = (usize, f64)> + '_ {
        let rounds = self
            .values
            .iter()
            .find(|((name, known), _)| *name == contender && *known == key);
        rounds
            .into_iter()
            .flat_map(|(_, rounds)| rounds.iter().map(|(round, value)| (*round, *value)))
    }

    /// Its value in a round.
    pub(crate) fn at(&self, contender: &str, key: Key, round: usize) -> Option<f64> {
        self.rounds(contender, key)
            .find_map(|(known, value)| (known == round).then_some(value))
    }

    /// The median of its rounds.
    pub(crate) fn median(&self, contender: &str, key: Key) -> Option<f64> {
        median(self.rounds(contender, key).map(|(_, value)| value).collect())
    }

    /// Whether anybody has it.
    pub(crate) fn has(&self, key: Key) -> bool {
        self.values.keys().any(|(_, known)| *known == key)
    }

    /// The median over the rounds of what `of` makes of the contender's value and the round: what disturbs a whole round
    /// cancels out.
    pub(crate) fn within_rounds(
        &self,
        contender: &str,
        key: Key,
        of: impl Fn(f64, usize) -> Option<f64>,
    ) -> Option<f64> {
        let values = self.rounds(contender, key);
        median(values.filter_map(|(round, value)| of(value, round)).collect())
    }

    /// The median of the ratios of each round.
    pub(crate) fn ratio(&self, contender: &str, other: &str, key: Key) -> Option<f64> {
        self.within_rounds(contender, key, |value, round| {
            let other = self.at(other, key, round).filter(|other| *other > 0.0)?;
            Some(value / other)
        })
    }

    /// The most that one of these has in a round, and who that was.
    pub(crate) fn best<'a>(
        &self,
        among: impl Iterator<Item = &'a Contender>,
        key: Key,
        round: usize,
    ) -> Option<(f64, &'a str)> {
        among
            .filter_map(|who| Some((self.at(who.name, key, round)?, who.name)))
            .max_by(|one, other| one.0.total_cmp(&other.0))
    }

    /// For a file: by contender, then by condition and quantity, the rounds.
    pub(crate) fn json(&self) -> serde_json::Value {
        let mut all = serde_json::Map::new();
        for ((name, Key(condition, quantity)), rounds) in &self.values {
            let of_contender = all.entry(*name).or_insert_with(|| serde_json::json!({}));
            of_contender[format!("{}/{quantity}", condition.key())] = rounds
                .iter()
                .map(|(round, value)| (round.to_string(), *value))
                .collect();
        }
        all.into()
    }
}

#[cfg(test)]
mod tests {
    use super::super::contender::named;
    use super::*;

    const KEY: Key = Key(Condition::Plain, Quantity::Tcp(1));

    fn results(rows: &[(&str, &[Option<f64>])]) -> Results {
        let mut results = Results::default();
        for (name, values) in rows {
            for (round, value) in values.iter().enumerate() {
                if let Some(value) = value {
                    results.add(named(name).unwrap(), KEY, round, *value);
                }
            }
        }
        results
    }

    #[test]
    fn ratios_are_taken_within_rounds_and_a_failure_spoils_only_its_own() {
        let results = results(&[
            ("halloo-aes", &[Some(2.0), Some(30.0), None, Some(400.0)]),
            ("vxlan", &[Some(1.0), Some(10.0), Some(1.0), Some(100.0)]),
        ]);
        assert_eq!(results.ratio("halloo-aes", "vxlan", KEY), Some(3.0));
        assert_eq!(results.ratio("halloo-aes", "veth", KEY), None);
        assert_eq!(results.median("halloo-aes", KEY), Some(30.0));
        assert_eq!(results.median("n2n", KEY), None);
    }

    #[test]
    fn a_ratio_to_nothing_is_none() {
        let results = results(&[("halloo-aes", &[Some(2.0)]), ("vxlan", &[Some(0.0)])]);
        assert_eq!(results.ratio("halloo-aes", "vxlan", KEY), None);
    }

    #[test]
    fn the_best_of_a_round_may_be_another_in_each() {
        let results = results(&[
            ("openvpn", &[Some(5.0), Some(1.0)]),
            ("tinc", &[Some(2.0), Some(3.0)]),
        ]);
        let all = || ["openvpn", "tinc", "n2n"].into_iter().filter_map(named);
        let best = |round| results.best(all(), KEY, round);
        assert_eq!(best(0), Some((5.0, "openvpn")));
        assert_eq!(best(1), Some((3.0, "tinc")));
        assert_eq!(best(2), None);
    }

    #[test]
    fn the_file_has_each_round() {
        let results = results(&[("tinc", &[Some(2.0), None, Some(3.0)])]);
        let json = results.json();
        assert_eq!(json["tinc"]["plain/tcp-1-mbit"]["2"], 3.0);
        assert!(json["tinc"]["plain/tcp-1-mbit"].get("1").is_none());
    }
}
