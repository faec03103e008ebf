//! NDN ping: pings a second of one core, a client's pace, and the least round trip.
//!
//! A fake forwarder, ours, is at the other end of the Unix socket; over UDP the server is asked directly. ndn-tools' own
//! programs take part where their paths are given. They are not packaged, so figures that were measured elsewhere stand
//! beside the table otherwise, and are marked so.

mod client;
mod load;
mod server;
mod wire;

use crate::contender;
use crate::machine;
use crate::report::{median, quantile};
use anyhow::{Context, Result};
use clap::Args;
use client::Pace;
use load::Load;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;
use server::{Program, Way};
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;
use wire::Series;

/// The generator's core.
const CLIENT_CORE: usize = 0;
/// The server's core.
const SERVER_CORE: usize = 1;

/// How long, and what beside halloo.
#[derive(Args)]
pub(crate) struct NdnArguments {
    /// One round of short runs: a look, not a result.
    #[arg(long)]
    quick: bool,
    /// Rounds in which the contenders take turns [default: 5, or 1 with --quick].
    #[arg(long)]
    rounds: Option<usize>,
    /// ndn-tools' ndnpingserver, to be measured too.
    #[arg(long, value_name = "PATH")]
    original_server: Option<PathBuf>,
    /// ndn-tools' ndnping, to be measured too.
    #[arg(long, value_name = "PATH")]
    original_client: Option<PathBuf>,
    /// Writes the figures of every round to this file.
    #[arg(long)]
    json: Option<PathBuf>,
}

/// How many Interests are under way at once.
const WINDOWS: [usize; 3] = [1, 8, 64];

/// What others measured with the original programs, on two shared cores.
const ELSEWHERE: &[(&str, &str)] = &[
    (
        "ndnpingserver -q, Unix socket, window 1",
        "70-75 k pings/s, round trip min/p50 9/12 us",
    ),
    ("ndnpingserver -q, Unix socket, window 8", "92-101 k pings/s"),
    ("ndnpingserver -q, Unix socket, window 64", "89-97 k pings/s"),
    (
        "ndnping -i 1",
        "800-930 probes/s, round trip min 91 us through NFD",
    ),
];

/// By row, in the order in which they were first measured, a value for each round.
#[derive(Default)]
struct Samples(Vec<(String, Vec<f64>)>);

impl Samples {
    fn add(&mut self, row: String, value: f64) {
        match self.0.iter_mut().find(|(known, _)| *known == row) {
            Some((_, values)) => values.push(value),
            None => self.0.push((row, vec![value])),
        }
    }

    /// The row's median over the rounds.
    fn median(&self, row: &str) -> Option<f64> {
        let (_, values) = self.0.iter().find(|(known, _)| known == row)?;
        median(values.clone())
    }
}

/// What the project wants to reach: a row, its least or largest value.
struct Target {
    row: &'static str,
    wanted: Wanted,
}

enum Wanted {
    AtLeast(f64),
    Within(f64, f64),
}

const TARGETS: &[Target] = &[
    Target {
        row: "halloo: Unix socket, window 64, pings/s",
        wanted: Wanted::AtLeast(200_000.0),
    },
    Target {
        row: "halloo: direct UDP, window 64, pings/s",
        wanted: Wanted::AtLeast(200_000.0),
    },
    Target {
        row: "halloo: ndnping -i 1, probes/s, by the median gap",
        wanted: Wanted::Within(999.0, 1_001.0),
    },
];

/// Runs it and prints what came of it.
pub(crate) fn run(arguments: &NdnArguments) -> Result<()> {
    contender::build()?;
    let rounds = arguments.rounds.unwrap_or(if arguments.quick { 1 } else { 5 });
    let duration = Duration::from_millis(if arguments.quick { 300 } else { 1_000 });
    let probes = if arguments.quick { 1_000 } else { 3_000 };
    let mut samples = Samples::default();
    let machine = machine::describe();
    pin()?;
    for round in 1..=rounds {
        eprintln!("round {round} of {rounds}");
        let mut servers = vec![("halloo", Program::halloo()?)];
        servers.extend(
            arguments
                .original_server
                .clone()
                .map(|path| ("ndn-tools", Program::original(path))),
        );
        for (name, program) in &servers {
            for way in program.ways() {
                measure_server(name, program, *way, duration, &mut samples)
                    .with_context(|| format!("{name} over {}", way.name()))?;
            }
        }
        let mut clients = vec![("halloo", Program::halloo()?)];
        clients.extend(
            arguments
                .original_client
                .clone()
                .map(|path| ("ndn-tools", Program::original(path))),
        );
        for (name, program) in &clients {
            let pace = client::pace(program, probes).with_context(|| format!("{name}'s client"))?;
            add_pace(name, &pace, &mut samples);
        }
    }
    print_all(&machine, &samples, rounds);
    if let Some(file) = &arguments.json {
        let rows: BTreeMap<_, _> = samples.0.iter().map(|(row, values)| (row, values)).collect();
        let text = serde_json::to_string_pretty(&rows)?;
        fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(())
}

fn measure_server(
    name: &str,
    program: &Program,
    way: Way,
    duration: Duration,
    samples: &mut Samples,
) -> Result<()> {
    let load = Load::new();
    let (_running, mut wire) = program.serve(way, &load)?;
    wire.run(&load, 64, duration / 4)?;
    for window in WINDOWS {
        let Series {
            answered,
            lost,
            mut trips,
            took,
        } = wire.run(&load, window, duration)?;
        let row = |what: &str| format!("{name}: {}, window {window}, {what}", way.name());
        let mut add = |what: &str, value: f64| samples.add(row(what), value);
        add("pings/s", answered as f64 / took.as_secs_f64());
        if lost > 0 {
            add("lost", lost as f64);
        }
        if window == 1 {
            add(
                "round trip min, us",
                quantile(&mut trips, 0.0).unwrap_or(f64::NAN) / 1e3,
            );
            add(
                "round trip p50, us",
                quantile(&mut trips, 0.5).unwrap_or(f64::NAN) / 1e3,
            );
        }
    }
    Ok(())
}

fn add_pace(name: &str, pace: &Pace, samples: &mut Samples) {
    let mut add = |what: &str, value: f64| {
        samples.add(format!("{name}: ndnping -i 1, {what}"), value);
    };
    add("round trip min, us", pace.least_round_trip_us);
    add("probes/s, whole run", pace.rate);
    let mut gaps = pace.gaps.clone();
    // A machine that stalls for longer than a slot costs slots; a clock that drifts shows here.
    add(
        "probes/s, by the median gap",
        1e9 / quantile(&mut gaps, 0.5).unwrap_or(f64::NAN),
    );
    for (what, share) in [("gap p50, us", 0.5), ("gap p99, us", 0.99)] {
        add(what, quantile(&mut gaps, share).unwrap_or(f64::NAN) / 1e3);
    }
}

fn print_all(machine: &[String], samples: &Samples, rounds: usize) {
    // There is no wire between two hosts here.
    for line in machine.iter().filter(|line| !line.contains("veth")) {
        println!("{line}");
    }
    println!(
        "loopback; generator on core {CLIENT_CORE}, server or client on core {SERVER_CORE}; {rounds} rounds: median, least .. most\n"
    );
    for (row, values) in &samples.0 {
        let least = values.iter().copied().fold(f64::MAX, f64::min);
        let most = values.iter().copied().fold(f64::MIN, f64::max);
        let middle = median(values.clone()).unwrap_or(f64::NAN);
        println!(
            "  {row:<56}{:>10}   {:>9} .. {}",
            show(middle),
            show(least),
            show(most)
        );
    }
    println!("\nreported elsewhere, not measured here (ndn-tools 24.07)");
    for (what, figures) in ELSEWHERE {
        println!("  {what:<56}{figures}");
    }
    println!("\ntargets");
    for target in TARGETS {
        let value = samples.median(target.row);
        let (wanted, is_reached) = match target.wanted {
            Wanted::AtLeast(least) => (format!(">= {}", show(least)), value.map(|value| value >= least)),
            Wanted::Within(least, most) => (
                format!("{} .. {}", show(least), show(most)),
                value.map(|value| (least..=most).contains(&value)),
            ),
        };
        let verdict = match is_reached {
            Some(true) => "reached",
            Some(false) => "NOT REACHED",
            None => "not measured",
        };
        println!(
            "  {:<56}{:>10}   {wanted:<18} {verdict}",
            target.row,
            value.map_or("-".to_owned(), show)
        );
    }
}

fn show(value: f64) -> String {
    match value {
        _ if value >= 10_000.0 => format!("{:.1} k", value / 1e3),
        _ if value >= 100.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// Binds this thread, which generates, to its core, before everything else there.
fn pin() -> Result<()> {
    let mut cores = CpuSet::new();
    cores.set(CLIENT_CORE)?;
    // A container may refuse either; the report then still holds, with more noise.
    let _ = sched_setaffinity(Pid::from_raw(0), &cores);
    let thread = rustix::thread::gettid().to_string();
    let _ = Command::new("chrt")
        .args(["--fifo", "--pid", "10", &thread])
        .status();
    Ok(())
}
