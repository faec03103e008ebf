//! The table of `vectors.txt`, which an independent encoder made.

use super::super::{ErrorEstimate, Format, ReflectorMode, StampProber, StampReflectorOptions, TwampProber};
use super::*;
use crate::ProberOptions;
use halloo_base::{Nanos, ProbeId, Prober};

const TABLE: &str = include_str!("../vectors.txt");
const ARRIVAL: u64 = 250_000;

struct Row {
    name: &'static str,
    steps: Vec<&'static str>,
}

fn rows() -> Vec<Row> {
    let mut rows: Vec<Row> = vec![];
    for line in TABLE.lines() {
        match line.strip_prefix("  ") {
            Some(step) => rows.last_mut().expect("a name comes first").steps.push(step),
            None if line.is_empty() || line.starts_with(['#', '[']) => {}
            None => rows.push(Row {
                name: line,
                steps: vec![],
            }),
        }
    }
    rows
}

fn hex(text: &str) -> Option<Vec<u8>> {
    let octet = |at: usize| u8::from_str_radix(text.get(at..at + 2)?, 16).ok();
    (0..text.len()).step_by(2).map(octet).collect()
}

/// What stands before a colon in a row's name.
fn words(name: &str) -> Vec<&str> {
    let (words, _) = name.split_once(':').unwrap_or_default();
    words.split(", ").collect()
}

fn host(words: &[&str]) -> Host {
    let is = |word| words.contains(&word);
    let clock = match is("synchronised") {
        true => ErrorEstimate::within(Nanos(1_000_000)),
        false => ErrorEstimate::UNKNOWN,
    };
    Host::new(StampReflectorOptions {
        mode: match is("stateless") {
            true => ReflectorMode::Stateless,
            false => ReflectorMode::Stateful,
        },
        key: (is("keyed") || is("required")).then(|| key(SECRET)),
        require_key: is("required"),
        clock: clock.in_format(if is("ptp") { Format::Ptp } else { Format::Ntp }),
        own_address: is("own address"),
        ..StampReflectorOptions::default()
    })
}

fn reflect(row: &Row) {
    let words = words(row.name);
    let mut host = host(&words);
    let home = match words.contains(&"v6") {
        true => "[2001:db8::5]:40000",
        false => HOME,
    };
    let mut awaited = None;
    for (at, step) in row.steps.iter().enumerate() {
        if let Some(expected) = step.strip_prefix("-> ") {
            let asked = hex(row.steps[at - 1]).expect("a request");
            let answer = host.hear(&datagram(home, ARRIVAL, &asked));
            let told = match answer.verdict {
                Verdict::Silent(why) => why.name().to_owned(),
                _ => answer.bytes.iter().map(|octet| format!("{octet:02x}")).collect(),
            };
            assert_eq!(told, expected, "{}", row.name);
            awaited = answer.tag().or(awaited);
        } else if let Some(mono) = step.strip_prefix("departs ") {
            let mono = mono.parse().expect("nanoseconds");
            let tag = awaited.take().expect("a departure is awaited");
            host.reflector.departed(tag, stamp(mono, StampSource::Kernel));
        }
    }
}

fn ask(row: &Row) {
    let mut words: Vec<_> = row.name.split(' ').collect();
    let size = words.pop().and_then(|size| size.parse().ok()).expect("a size");
    let options = ProberOptions {
        key: words.contains(&"keyed").then(|| key(SECRET)),
        token: 0x1234_5678_9abc_feed,
        size,
        ..ProberOptions::default()
    };
    let mut prober: Box<dyn Prober> = match words.contains(&"twamp") {
        true => Box::new(TwampProber::new(&options)),
        false => Box::new(StampProber::new(&options)),
    };
    let mut buf = vec![0xee; size];
    let made = with_env(1_000, |env| prober.request(env, ProbeId(5), &mut buf));
    let expected = row.steps[0].strip_prefix("-> ").and_then(hex);
    assert_eq!(made.map(|len| buf[..len].to_vec()), expected, "{}", row.name);
}

#[test]
fn every_row_of_the_table_holds() {
    let rows = rows();
    assert!(rows.len() > 70, "{} rows were read", rows.len());
    for row in rows {
        assert!(!row.steps.is_empty(), "{} has no bytes", row.name);
        match row.name.starts_with("asks ") {
            true => ask(&row),
            false => reflect(&row),
        }
    }
}
