//! What is to be reached: a line for each, with what was measured.

use super::MEMBERS;
use super::contender::{ALL, Contender, KERNEL, Kind};
use super::ground::Condition;
use super::registrations::Figures;
use super::results::{Key, Quantity, Results};
use super::table::{MESSAGES, show};
use crate::report::median;

/// One aim.
struct Target {
    what: String,
    /// Who is to reach it.
    own: &'static str,
    key: Key,
    against: Against,
    wanted: Wanted,
}

/// What the value is compared with.
enum Against {
    /// Nothing: the value, in this unit.
    Itself(f64),
    /// Another contender of the same round.
    One(&'static str),
    /// The best of a field, in each round.
    Best(Field),
    /// What another adds to plain veth, with what ours adds.
    AddedBy(&'static str),
}

/// Those who count as rivals.
#[derive(Clone, Copy)]
enum Field {
    /// Peers that carry frames, encrypted, with datagrams that fit the wire.
    Encrypted,
    /// Peers that carry frames and rely on the wire's host to cut their datagrams.
    Tuned,
    /// All peers that carry frames.
    Everybody,
}

enum Wanted {
    AtLeast(f64),
    AtMost(f64),
}

impl Field {
    fn has(self, contender: &Contender) -> bool {
        contender.kind == Kind::Peer
            && match self {
                Field::Encrypted => contender.secret && !contender.is_tuned(),
                Field::Tuned => contender.is_tuned(),
                Field::Everybody => true,
            }
    }

    fn title(self) -> &'static str {
        match self {
            Field::Encrypted => "fastest encrypted peer",
            Field::Tuned => "fastest peer of MTU 9000",
            Field::Everybody => "best peer",
        }
    }
}

/// All aims, in order.
fn targets() -> Vec<Target> {
    use Against::{AddedBy, Best, Itself, One};
    use Condition::{Loss, NoGso, NoGsoLoss, Plain};
    use Quantity::{Datagrams, File, Messages, Resident, Tcp, TcpDaemons, TripP50};
    use Wanted::{AtLeast, AtMost};
    let aes = |what: &str, key, against, wanted| Target {
        what: what.to_owned(),
        own: "halloo-aes",
        key,
        against,
        wanted,
    };
    let tcp = |condition| Key(condition, Tcp(1));
    let mut all = vec![
        aes("TCP, 1 stream", tcp(Plain), Best(Field::Encrypted), AtLeast(5.0)),
        aes("TCP, 1 stream", tcp(Plain), Best(Field::Tuned), AtLeast(2.4)),
        aes("TCP, 1 stream", tcp(Plain), One("vxlan"), AtLeast(0.5)),
        aes(
            "CPU s/GB of both ends, TCP, 1 stream",
            Key(Plain, TcpDaemons(1)),
            Itself(1.0),
            AtMost(1.5),
        ),
        aes(
            "1 GB file",
            Key(Plain, File),
            Best(Field::Everybody),
            AtLeast(1.0),
        ),
    ];
    all.extend(MESSAGES.map(|octets| {
        let what = format!("ZeroMQ, {octets} octets");
        aes(
            &what,
            Key(Plain, Messages(octets)),
            Best(Field::Everybody),
            AtLeast(1.0),
        )
    }));
    all.extend([
        Target {
            what: "TCP, 1 stream, kernel data plane".to_owned(),
            own: KERNEL,
            key: tcp(Plain),
            against: One("vxlan"),
            wanted: AtLeast(0.95),
        },
        aes(
            "TCP, 1 stream, underlay without GSO",
            tcp(NoGso),
            Best(Field::Everybody),
            AtLeast(1.5),
        ),
        aes("TCP, 1 stream, 1 % loss", tcp(Loss), One("veth"), AtLeast(0.8)),
        aes(
            "TCP, 1 stream, 1 % loss, without GSO",
            tcp(NoGsoLoss),
            One("veth"),
            AtLeast(0.8),
        ),
        aes(
            "UDP of 200 octets without loss",
            Key(Plain, Datagrams),
            Best(Field::Everybody),
            AtLeast(1.5),
        ),
        aes(
            "added round trip p50",
            Key(Plain, TripP50),
            AddedBy("n2n"),
            AtMost(1.0),
        ),
        aes(
            "added round trip p50",
            Key(Plain, TripP50),
            AddedBy("openvpn-aes"),
            AtMost(1.0),
        ),
        aes("MB resident", Key(Plain, Resident), Itself(1e6), AtMost(20.0)),
    ]);
    all
}

impl Target {
    /// The measured value, and what it is of.
    fn measured(&self, results: &Results) -> (Option<f64>, String) {
        let Target { own, key, .. } = *self;
        match self.against {
            Against::Itself(unit) => (results.median(own, key).map(|value| value / unit), String::new()),
            Against::One(other) => (results.ratio(own, other, key), format!("x {other}")),
            Against::Best(field) => {
                let best = |round| {
                    let among = ALL.iter().filter(|contender| field.has(contender));
                    results.best(among, key, round)
                };
                let ratio = results.within_rounds(own, key, |value, round| Some(value / best(round)?.0));
                let mut names: Vec<&str> = results
                    .rounds(own, key)
                    .filter_map(|(round, _)| Some(best(round)?.1))
                    .collect();
                names.sort_unstable();
                names.dedup();
                (ratio, format!("x {} ({})", field.title(), names.join(", ")))
            }
            Against::AddedBy(other) => {
                let added =
                    |name, round| Some(results.at(name, key, round)? - results.at("veth", key, round)?);
                let ratios = results.rounds(own, key).filter_map(|(round, _)| {
                    let other = added(other, round).filter(|other| *other > 0.0)?;
                    Some(added(own, round)? / other)
                });
                (median(ratios.collect()), format!("x {other}"))
            }
        }
    }

    fn line(&self, results: &Results) -> String {
        let (value, of) = self.measured(results);
        line(self.own, &self.what, &self.wanted, value, &of)
    }
}

/// An aim, what was measured, and whether it is reached.
fn line(own: &str, what: &str, wanted: &Wanted, value: Option<f64>, of: &str) -> String {
    let (sign, limit, reached) = match *wanted {
        Wanted::AtLeast(limit) => (">=", limit, value.map(|value| value >= limit)),
        Wanted::AtMost(limit) => ("<=", limit, value.map(|value| value <= limit)),
    };
    let verdict = match reached {
        Some(true) => "reached",
        Some(false) => "NOT REACHED",
        None => "not measured",
    };
    let line = format!(
        "  {own:<14}{what:<38} wanted {sign} {:<6} measured {:<8} {verdict:<13} {of}",
        show(limit),
        value.map_or("-".to_owned(), show),
    );
    line.trim_end().to_owned() + "\n"
}

/// A line for each.
pub(crate) fn lines(results: &Results) -> String {
    targets().iter().map(|target| target.line(results)).collect()
}

/// The lines about many members on one supernode.
pub(crate) fn of_members(figures: Option<&Figures>) -> String {
    let what = |what: &str| {
        format!(
            "{} members, {what}",
            figures.map_or(MEMBERS, |figures| figures.members)
        )
    };
    let core = figures.map(|figures| figures.steady[0]);
    let losses = figures.map(|figures| figures.losses as f64);
    [
        line("supernode", &what("cores"), &Wanted::AtMost(1.0), core, ""),
        line(
            "supernode",
            &what("sessions lost"),
            &Wanted::AtMost(0.0),
            losses,
            "",
        ),
    ]
    .concat()
}

#[cfg(test)]
mod tests {
    use super::super::contender::named;
    use super::*;

    const TCP: Key = Key(Condition::Plain, Quantity::Tcp(1));

    fn results(rows: &[(&str, Key, &[f64])]) -> Results {
        let mut results = Results::default();
        for (name, key, values) in rows {
            for (round, value) in values.iter().enumerate() {
                results.add(named(name).unwrap(), *key, round, *value);
            }
        }
        results
    }

    fn line(results: &Results, start: &str, end: &str) -> String {
        let text = lines(results);
        let mut lines = text.lines();
        let found = lines.find(|line| line.contains(start) && line.contains(end));
        found
            .unwrap_or_else(|| panic!("no {start} {end} in\n{text}"))
            .to_owned()
    }

    #[test]
    fn each_rival_counts_where_it_belongs() {
        let results = results(&[
            ("halloo-aes", TCP, &[6_000.0, 6_000.0, 6_000.0]),
            // In the clear, so not among the encrypted.
            ("openvpn", TCP, &[9_999.0, 9_999.0, 9_999.0]),
            ("openvpn-aes", TCP, &[1_000.0, 1_500.0, 900.0]),
            ("fastd-aes", TCP, &[900.0, 900.0, 1_000.0]),
            ("fastd-9000", TCP, &[3_000.0, 3_000.0, 3_000.0]),
            ("wireguard-go", TCP, &[9_999.0, 9_999.0, 9_999.0]),
        ]);
        let encrypted = line(&results, "TCP, 1 stream  ", "encrypted");
        assert!(encrypted.contains("measured 6.00     reached"), "{encrypted}");
        assert!(encrypted.contains("(fastd-aes, openvpn-aes)"), "{encrypted}");
        let tuned = line(&results, "TCP, 1 stream  ", "9000");
        assert!(tuned.contains("measured 2.00     NOT REACHED"), "{tuned}");
    }

    #[test]
    fn what_was_not_measured_is_said_so() {
        let text = lines(&Results::default());
        assert_eq!(text.lines().count(), targets().len());
        assert!(text.lines().all(|line| line.contains("not measured")), "{text}");
    }

    #[test]
    fn added_is_beyond_plain_veth_and_less_is_better() {
        let trip = Key(Condition::Plain, Quantity::TripP50);
        let results = results(&[
            ("veth", trip, &[3.0]),
            ("halloo-aes", trip, &[53.0]),
            ("n2n", trip, &[103.0]),
            ("openvpn-aes", trip, &[43.0]),
        ]);
        assert!(line(&results, "added", "x n2n").contains("0.50     reached"));
        assert!(line(&results, "added", "x openvpn-aes").contains("1.25     NOT REACHED"));
    }

    #[test]
    fn a_value_by_itself_is_shown_in_its_unit() {
        let resident = Key(Condition::Plain, Quantity::Resident);
        let results = results(&[("halloo-aes", resident, &[12.5e6])]);
        assert!(line(&results, "MB resident", "").contains("12.5     reached"));
    }

    #[test]
    fn members_are_told_of_whether_they_were_there_or_not() {
        let figures = Figures {
            members: 5_000,
            registered: [1.0, 0.5],
            listed: [2.0, 1.0],
            steady: [0.25, 30.0],
            datagrams: [700.0, 700.0],
            losses: 2,
            resident: 1e7,
        };
        let text = of_members(Some(&figures));
        let mut lines = text.lines();
        assert!(
            lines
                .next()
                .is_some_and(|line| line.contains("measured 0.25     reached")),
            "{text}"
        );
        assert!(
            lines
                .next()
                .is_some_and(|line| line.contains("measured 2.00     NOT REACHED")),
            "{text}"
        );
        assert_eq!(of_members(None).matches("not measured").count(), 2);
    }

    #[test]
    fn every_aim_is_somebodys_and_every_rival_exists() {
        for target in targets() {
            assert!(named(target.own).is_some());
            if let Against::One(other) | Against::AddedBy(other) = target.against {
                assert!(named(other).is_some(), "{other}");
            }
        }
    }
}
