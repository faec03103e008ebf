//! Tables: a row for each contender, a column for each quantity or ratio.

use super::contender::Contender;
use super::ground::{CONDITIONS, Condition};
use super::results::{Key, Quantity, Results};

/// Octets of a ZeroMQ message.
pub(crate) const MESSAGES: [u32; 6] = [64, 256, 1_024, 4_096, 16_384, 65_536];

/// How a column's cells come about.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Cell {
    /// The median, in this unit.
    Median(Quantity, f64),
    /// Least and most of the rounds.
    Spread(Quantity, f64),
    /// The median of the ratios to another contender, within rounds.
    Ratio(Quantity, &'static str),
    /// The median of what is added to that other's, within rounds.
    Added(Quantity, &'static str),
}

struct Column {
    title: String,
    cell: Cell,
}

fn column(title: impl Into<String>, cell: Cell) -> Column {
    Column {
        title: title.into(),
        cell,
    }
}

impl Cell {
    fn quantity(self) -> Quantity {
        match self {
            Cell::Median(quantity, _)
            | Cell::Spread(quantity, _)
            | Cell::Ratio(quantity, _)
            | Cell::Added(quantity, _) => quantity,
        }
    }

    fn text(self, results: &Results, name: &str, condition: Condition) -> String {
        let key = Key(condition, self.quantity());
        let shown = match self {
            Cell::Median(_, unit) => results.median(name, key).map(|value| show(value / unit)),
            Cell::Spread(_, unit) => {
                let values: Vec<f64> = results.rounds(name, key).map(|(_, value)| value / unit).collect();
                let values = if values.len() < 2 { &[] } else { &values[..] };
                let least = values.iter().copied().reduce(f64::min);
                let most = values.iter().copied().reduce(f64::max);
                least
                    .zip(most)
                    .map(|(least, most)| format!("{}..{}", show(least), show(most)))
            }
            Cell::Ratio(_, other) => results
                .ratio(name, other, key)
                .map(|ratio| format!("x {ratio:.2}")),
            Cell::Added(_, other) => results
                .within_rounds(name, key, |value, round| {
                    Some(value - results.at(other, key, round)?)
                })
                .map(show),
        };
        shown.unwrap_or_else(|| "-".to_owned())
    }
}

/// Three digits or so.
pub(crate) fn show(value: f64) -> String {
    match value.abs() {
        size if size >= 99.95 => format!("{value:.0}"),
        size if size >= 9.995 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// What stands beside each other. A table without any figure is left out.
fn tables() -> Vec<(&'static str, Vec<Column>)> {
    use Cell::{Added, Median, Ratio, Spread};
    let tcp = |streams| {
        vec![
            column("Mbit/s", Median(Quantity::Tcp(streams), 1.0)),
            column("least..most", Spread(Quantity::Tcp(streams), 1.0)),
            column("/veth", Ratio(Quantity::Tcp(streams), "veth")),
            column("/vxlan", Ratio(Quantity::Tcp(streams), "vxlan")),
            column("CPU s/GB", Median(Quantity::TcpDaemons(streams), 1.0)),
            column("machine's", Median(Quantity::TcpMachine(streams), 1.0)),
        ]
    };
    let file = vec![
        column("Mbit/s", Median(Quantity::File, 1.0)),
        column("least..most", Spread(Quantity::File, 1.0)),
        column("/vxlan", Ratio(Quantity::File, "vxlan")),
        column("CPU s/GB", Median(Quantity::FileDaemons, 1.0)),
        column("machine's", Median(Quantity::FileMachine, 1.0)),
    ];
    let messages = MESSAGES.map(|octets| column(octets.to_string(), Median(Quantity::Messages(octets), 1e3)));
    let bandwidth = MESSAGES.map(|octets| {
        let bits = f64::from(octets) * 8.0;
        column(octets.to_string(), Median(Quantity::Messages(octets), 1e6 / bits))
    });
    let small = vec![
        column("UDP k/s", Median(Quantity::Datagrams, 1e3)),
        column("least..most", Spread(Quantity::Datagrams, 1e3)),
        column("/vxlan", Ratio(Quantity::Datagrams, "vxlan")),
        column("ping p50 us", Median(Quantity::TripP50, 1.0)),
        column("p99 us", Median(Quantity::TripP99, 1.0)),
        column("added p50", Added(Quantity::TripP50, "veth")),
        column("MB resident", Median(Quantity::Resident, 1e6)),
    ];
    vec![
        ("TCP, 1 stream", tcp(1)),
        ("TCP, 4 streams", tcp(4)),
        ("a file through netcat", file),
        ("ZeroMQ, thousand messages a second, by octets", messages.into()),
        ("ZeroMQ, Mbit/s, by octets", bandwidth.into()),
        ("UDP of 200 octets without loss, round trips, memory", small),
    ]
}

/// All tables of what was measured.
pub(crate) fn all(results: &Results, who: &[&'static Contender]) -> String {
    let mut text = String::new();
    for condition in CONDITIONS {
        for (title, columns) in tables() {
            let has = |column: &&Column| results.has(Key(condition, column.cell.quantity()));
            let columns: Vec<&Column> = columns.iter().filter(has).collect();
            if !columns.is_empty() {
                text += &format!("\n{title}: {}\n", condition.title());
                text += &one(results, who, condition, &columns);
            }
        }
    }
    text
}

fn one(results: &Results, who: &[&'static Contender], condition: Condition, columns: &[&Column]) -> String {
    let mut rows = vec![vec!["".to_owned(), "MTU".to_owned(), "cipher".to_owned()]];
    rows[0].extend(columns.iter().map(|column| column.title.clone()));
    for contender in who {
        let cells: Vec<String> = columns
            .iter()
            .map(|column| column.cell.text(results, contender.name, condition))
            .collect();
        if cells.iter().any(|cell| cell != "-") {
            let mut row = vec![
                contender.name.to_owned(),
                contender.mtu.to_string(),
                contender.cipher.to_owned(),
            ];
            row.extend(cells);
            rows.push(row);
        }
    }
    aligned(&rows)
}

/// Names to the left, figures to the right.
fn aligned(rows: &[Vec<String>]) -> String {
    let columns = rows.first().map_or(0, Vec::len);
    let width = |at: usize| {
        rows.iter()
            .filter_map(|row| Some(row.get(at)?.chars().count()))
            .max()
    };
    let widths: Vec<usize> = (0..columns).filter_map(width).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::from(" ");
        for (at, (cell, width)) in row.iter().zip(&widths).enumerate() {
            line += &match at {
                0 | 2 => format!(" {cell:<width$} "),
                _ => format!(" {cell:>width$} "),
            };
        }
        text += line.trim_end();
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::contender::named;
    use super::*;

    fn results() -> Results {
        let mut results = Results::default();
        let tcp = Key(Condition::Plain, Quantity::Tcp(1));
        let trip = Key(Condition::Plain, Quantity::TripP50);
        let messages = Key(Condition::Plain, Quantity::Messages(1_024));
        for (name, rate, micros) in [
            ("veth", 20_000.0, 3.0),
            ("vxlan", 16_000.0, 4.0),
            ("n2n", 340.0, 89.0),
        ] {
            for round in 0..3 {
                let contender = named(name).unwrap();
                results.add(contender, tcp, round, rate + round as f64);
                results.add(contender, trip, round, micros + round as f64);
                results.add(contender, messages, round, 125_000.0);
            }
        }
        results
    }

    #[test]
    fn a_table_has_medians_spreads_and_ratios() {
        let who = ["veth", "vxlan", "n2n", "tinc"].map(|name| named(name).unwrap());
        let text = all(&results(), &who);
        let line = |name: &str| {
            let line = text
                .lines()
                .find(|line| line.trim_start().starts_with(name))
                .unwrap();
            line.split_whitespace().collect::<Vec<_>>().join(" ")
        };
        assert_eq!(line("n2n"), "n2n 1400 Twofish 341 340..342 x 0.02 x 0.02");
        assert!(!text.contains("tinc"), "it has no figures\n{text}");
        assert!(!text.contains("4 streams"), "nobody has any\n{text}");
        assert!(text.contains("added p50"), "{text}");
        // 125,000 messages of 1,024 octets are 1,024 Mbit/s.
        let bandwidth = text.split("ZeroMQ, Mbit/s").nth(1).unwrap();
        assert!(bandwidth.contains(" 1024\n"), "{bandwidth}");
    }

    #[test]
    fn what_is_added_is_taken_within_rounds() {
        let cell = Cell::Added(Quantity::TripP50, "veth");
        assert_eq!(cell.text(&results(), "n2n", Condition::Plain), "86.0");
        assert_eq!(cell.text(&results(), "tinc", Condition::Plain), "-");
    }

    #[test]
    fn figures_have_three_digits() {
        assert_eq!(show(12_345.6), "12346");
        assert_eq!(show(99.96), "100");
        assert_eq!(show(12.34), "12.3");
        assert_eq!(show(1.234), "1.23");
        assert_eq!(show(-5.0), "-5.00");
    }
}
