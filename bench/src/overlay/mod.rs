//! Halloo's overlay beside its peers: the same tests on the same wire, in turn, in one run.
//!
//! Only one contender is up at a time, on two hosts that were made for it. docs/bench.md says what is measured, and how.

mod contender;
mod ground;
mod measure;
mod member;
mod meter;
mod recipe;
pub(crate) mod registrations;
mod results;
mod search;
mod table;
mod target;
#[cfg(test)]
mod tests;
mod workshop;

use crate::machine;
use anyhow::{Context, Result, anyhow, ensure};
use clap::{Args, ValueEnum};
use contender::{ALL, Contender, Kind, Tests};
use ground::{CONDITIONS, Condition, Ground};
use measure::{Bench, Bulk};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use registrations::{Figures, SupernodeArguments};
use results::{Key, Quantity, Results};
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::path::PathBuf;
use std::time::{Duration, Instant};
use workshop::Workshop;

/// Members of one supernode.
const MEMBERS: usize = 5_000;

/// How long, and who.
#[derive(Args)]
pub(crate) struct OverlayArguments {
    /// One round of short runs: a look, not a result.
    #[arg(long)]
    quick: bool,
    /// Rounds in which the contenders take turns [default: 3, or 1 with --quick].
    #[arg(long)]
    rounds: Option<usize>,
    /// Only these tests; may be repeated.
    #[arg(long, value_enum)]
    only: Vec<Part>,
    /// Only under these conditions; may be repeated.
    #[arg(long, value_enum)]
    under: Vec<Condition>,
    /// Only these contenders, with commas between them. A ratio to who is left out is not taken.
    #[arg(long, value_delimiter = ',', value_parser = named)]
    with: Vec<&'static Contender>,
    /// Starts no round that would probably end after so many minutes [default: 55, or 14 with --quick].
    #[arg(long)]
    minutes: Option<u64>,
    /// Writes the figures of every round to this file.
    #[arg(long)]
    json: Option<PathBuf>,
}

/// Tests that can be run apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// iperf3, TCP, 1 and 4 streams.
    Tcp,
    /// A 1 GB file through netcat.
    File,
    /// ZeroMQ, 64 to 65,536 octets.
    Zmq,
    /// UDP of 200 octets: the highest rate without loss.
    Udp,
    /// Round trips of ping.
    Rtt,
    /// 5,000 members on one supernode, once.
    Registrations,
}

fn named(name: &str) -> Result<&'static Contender, String> {
    contender::named(name).ok_or_else(|| {
        let names: Vec<&str> = ALL.iter().map(|contender| contender.name).collect();
        format!("there are {}", names.join(", "))
    })
}

/// How long things are run.
struct Effort {
    rounds: usize,
    /// No round begins that would probably end later.
    end: Duration,
    /// TCP, seconds: as it is, under other conditions.
    tcp: [u32; 2],
    /// The file, seconds: as it is, under other conditions.
    file: [f64; 2],
    /// ZeroMQ, seconds a size.
    zmq: f64,
    /// One trial of a rate, and halvings.
    udp: (Duration, u32),
    pings: u32,
    /// What is run under other conditions.
    elsewhere: Tests,
    /// ZeroMQ's sizes under other conditions.
    sizes: &'static [u32],
    /// How long a supernode with all its members is looked at.
    steady: Duration,
}

impl Effort {
    fn of(arguments: &OverlayArguments) -> Effort {
        let minutes = |default| Duration::from_secs(60 * arguments.minutes.unwrap_or(default));
        let rounds = |default| arguments.rounds.unwrap_or(default);
        if arguments.quick {
            Effort {
                rounds: rounds(1),
                end: minutes(14),
                tcp: [1, 1],
                file: [2.0, 2.0],
                zmq: 0.3,
                udp: (Duration::from_millis(200), 2),
                pings: 300,
                elsewhere: Tests::TCP,
                sizes: &[],
                steady: Duration::from_secs(5),
            }
        } else {
            Effort {
                rounds: rounds(3),
                end: minutes(55),
                tcp: [2, 1],
                file: [8.0, 2.0],
                zmq: 0.5,
                udp: (Duration::from_millis(300), 3),
                pings: 1_000,
                elsewhere: Tests::TCP | Tests::FILE | Tests::ZMQ,
                sizes: &[65_536],
                steady: Duration::from_secs(30),
            }
        }
    }
}

struct Run {
    workshop: Workshop,
    effort: Effort,
    tests: Tests,
    conditions: Vec<Condition>,
    results: Results,
    /// What went wrong, and with whom.
    notes: Vec<String>,
}

/// Runs it and prints what came of it.
pub(crate) fn run(arguments: &OverlayArguments) -> Result<()> {
    crate::contender::build()?;
    let mut run = Run {
        workshop: Workshop::new()?,
        effort: Effort::of(arguments),
        tests: match &arguments.only[..] {
            [] => Tests::ALL,
            parts => parts.iter().fold(Tests::NONE, |all, part| all | part.tests()),
        },
        conditions: match &arguments.under[..] {
            [] => CONDITIONS.to_vec(),
            chosen => CONDITIONS
                .into_iter()
                .filter(|condition| chosen.contains(condition))
                .collect(),
        },
        results: Results::default(),
        notes: vec![],
    };
    if let Err(why) = &run.workshop.zeromq {
        run.notes.push(format!("ZeroMQ is not measured: {why}"));
    }
    let who = run.those_who_can(&arguments.with);
    let is_about_members = arguments.only.is_empty() || arguments.only.contains(&Part::Registrations);
    ensure!(!who.is_empty() || is_about_members, "nobody is left");
    let machine = machine::overlay();
    let stolen = machine::stolen();
    // What panics here is a tool that did not do as told; it is told below, with the contender's name.
    let hook = take_hook();
    set_hook(Box::new(|_| {}));
    let rounds = if run.tests == Tests::NONE {
        0
    } else {
        run.rounds(&who)
    };
    let members = is_about_members.then(|| run.members()).flatten();
    set_hook(hook);
    let after = machine::stolen();
    for line in machine {
        println!("{line}");
    }
    println!(
        "{rounds} rounds, contenders in turn: medians, least..most, medians of the ratios within rounds; {:.1} % stolen by the \
         hypervisor\nCPU s/GB: of the contender's processes at both ends; machine's: of everything, generators and kernel included, \
         the only one there is for the kernel's own",
        (after.0 - stolen.0) as f64 / (after.1 - stolen.1).max(1) as f64 * 100.0
    );
    let everybody: Vec<&Contender> = ALL.iter().collect();
    print!("{}", table::all(&run.results, &everybody));
    if let Some(members) = &members {
        println!("\none supernode\n{members}");
    }
    print!(
        "\ntargets\n{}{}",
        target::lines(&run.results),
        target::of_members(members.as_ref())
    );
    for note in &run.notes {
        println!("note: {note}");
    }
    if let Some(file) = &arguments.json {
        let all = serde_json::json!({ "figures": run.results.json(), "notes": run.notes });
        let text = serde_json::to_string_pretty(&all)?;
        std::fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(())
}

impl Part {
    fn tests(self) -> Tests {
        match self {
            Part::Tcp => Tests::TCP,
            Part::File => Tests::FILE,
            Part::Zmq => Tests::ZMQ,
            Part::Udp => Tests::UDP,
            Part::Rtt => Tests::TRIPS,
            Part::Registrations => Tests::NONE,
        }
    }
}

impl Run {
    /// Those asked for whose programs are here; who is left out is named.
    fn those_who_can(&mut self, chosen: &[&'static Contender]) -> Vec<&'static Contender> {
        let mut who = vec![];
        for contender in ALL {
            let is_chosen = chosen.is_empty() || chosen.iter().any(|other| other.name == contender.name);
            match contender.recipe.missing(&self.workshop) {
                _ if !is_chosen => {}
                None => who.push(contender),
                Some(why) => self.note(&format!("{} is NOT MEASURED: {why}", contender.name)),
            }
        }
        who
    }

    /// Many members on one supernode, or why not.
    fn members(&mut self) -> Option<Figures> {
        eprintln!("{MEMBERS} members on one supernode");
        let arguments = SupernodeArguments::new(MEMBERS, self.effort.steady);
        let figures = attempt(|| {
            // A socket for each.
            let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
            setrlimit(Resource::RLIMIT_NOFILE, most, most)
                .context("cannot raise the number of open files")?;
            registrations::figures(&self.workshop.halloo, &arguments)
        });
        figures
            .inspect_err(|error| self.note(&format!("{MEMBERS} members FAILED: {error:#}")))
            .ok()
    }

    /// Remembers it for the end, and says it now.
    fn note(&mut self, text: &str) {
        let text = brief(text);
        eprintln!("  {text}");
        if !self.notes.contains(&text) {
            self.notes.push(text);
        }
    }

    /// How many there were.
    fn rounds(&mut self, who: &[&'static Contender]) -> usize {
        let begin = Instant::now();
        let mut longest = Duration::ZERO;
        for round in 0..self.effort.rounds {
            let started = Instant::now();
            if round > 0 && begin.elapsed() + longest > self.effort.end {
                self.note(&format!(
                    "{round} rounds instead of {}: another would end too late (--minutes)",
                    self.effort.rounds
                ));
                return round;
            }
            let mut order = who.to_vec();
            // Who comes first in one round comes later in the next.
            order.rotate_left(round * who.len() / self.effort.rounds);
            for (place, contender) in order.iter().enumerate() {
                let passed = begin.elapsed().as_secs();
                eprintln!(
                    "{}:{:02} round {} of {}, {} of {}: {}",
                    passed / 60,
                    passed % 60,
                    round + 1,
                    self.effort.rounds,
                    place + 1,
                    order.len(),
                    contender.name
                );
                let done = attempt(|| self.one(contender, round));
                if let Err(error) = done {
                    self.note(&format!(
                        "{} FAILED in round {}: {error:#}",
                        contender.name,
                        round + 1
                    ));
                }
            }
            longest = longest.max(started.elapsed());
        }
        self.effort.rounds
    }

    /// One contender's turn.
    fn one(&mut self, contender: &'static Contender, round: usize) -> Result<()> {
        let folder = self.workshop.file("ground");
        let ground = Ground::new(&folder)?;
        let up = contender.start(&ground, &self.workshop)?;
        for condition in self.conditions.clone() {
            ground.set(condition);
            let wanted = self.tests.and(contender.tests).and(condition.tests());
            let tests = match condition {
                Condition::Plain => wanted,
                _ => wanted.and(self.effort.elsewhere),
            };
            let bench = Bench {
                ground: &ground,
                workshop: &self.workshop,
                up: &up,
            };
            let (mut values, mut failures) = (vec![], vec![]);
            self.effort
                .measure(bench, condition, tests, &mut values, &mut failures);
            for (quantity, value) in values {
                self.results
                    .add(contender, Key(condition, quantity), round, value);
            }
            for (what, error) in failures {
                self.note(&format!(
                    "{} FAILED in round {}, {}, {what}: {error:#}",
                    contender.name,
                    round + 1,
                    condition.title()
                ));
            }
            if let Some(dead) = up.children.iter().find(|child| !child.is_running()) {
                return Err(anyhow!("ended in the middle: {dead}"));
            }
        }
        if contender.kind != Kind::Kernel {
            let ends = up.children.iter().take(2).map(meter::resident);
            let most = ends
                .collect::<Result<Vec<f64>>>()?
                .into_iter()
                .fold(0.0, f64::max);
            let key = Key(Condition::Plain, Quantity::Resident);
            self.results.add(contender, key, round, most);
        }
        Ok(())
    }
}

type Values = Vec<(Quantity, f64)>;
type Failures = Vec<(&'static str, anyhow::Error)>;

impl Effort {
    /// Runs these tests. One that fails loses its own figures only.
    fn measure(
        &self,
        bench: Bench<'_>,
        condition: Condition,
        tests: Tests,
        values: &mut Values,
        failures: &mut Failures,
    ) {
        let elsewhere = usize::from(condition != Condition::Plain);
        let mut keep = |what, measured: Result<Values>| match measured {
            Ok(measured) => values.extend(measured),
            Err(error) => failures.push((what, error)),
        };
        if tests.has(Tests::TRIPS) {
            let trips = attempt(|| bench.trips(self.pings));
            let named = |[p50, p99]: [f64; 2]| vec![(Quantity::TripP50, p50), (Quantity::TripP99, p99)];
            keep("round trips", trips.map(named));
        }
        let mut likely = 0.0_f64;
        if tests.has(Tests::TCP) {
            for streams in [1, 4] {
                let bulk = attempt(|| bench.tcp(streams, self.tcp[elsewhere]));
                likely = likely.max(bulk.as_ref().map_or(0.0, |bulk| bulk.rate));
                let quantities = [
                    Quantity::Tcp(streams),
                    Quantity::TcpDaemons(streams),
                    Quantity::TcpMachine(streams),
                ];
                keep("TCP", bulk.map(|bulk| of_bulk(bulk, quantities, bench)));
            }
        }
        if tests.has(Tests::FILE) {
            let seconds = self.file[elsewhere];
            let sent = attempt(|| {
                if likely == 0.0 {
                    // Without a figure of TCP, a short file tells.
                    likely = bench.file(0.0, seconds)?.1.rate;
                }
                // netcat reads and writes little by little, so it is slower than iperf3.
                Ok(bench.file(likely * 0.9, seconds)?.1)
            });
            let quantities = [Quantity::File, Quantity::FileDaemons, Quantity::FileMachine];
            keep("file", sent.map(|bulk| of_bulk(bulk, quantities, bench)));
        }
        if tests.has(Tests::ZMQ) && bench.workshop.zeromq.is_ok() {
            let sizes = if elsewhere == 0 {
                &table::MESSAGES
            } else {
                self.sizes
            };
            for &octets in sizes {
                let rate = attempt(|| bench.zeromq(octets, self.zmq));
                keep(
                    "ZeroMQ",
                    rate.map(|rate| vec![(Quantity::Messages(octets), rate)]),
                );
            }
        }
        if tests.has(Tests::UDP) {
            let rate = attempt(|| bench.small_datagrams(self.udp.0, self.udp.1));
            keep("UDP", rate.map(|rate| vec![(Quantity::Datagrams, rate)]));
        }
    }
}

/// Its rate, and processor time for each gigabyte; the kernel's own have no processes.
fn of_bulk(bulk: Bulk, [rate, daemons, machine]: [Quantity; 3], bench: Bench<'_>) -> Values {
    let mut values = vec![(rate, bulk.rate), (machine, bulk.used.machine / bulk.gigabytes)];
    if !bench.up.children.is_empty() {
        values.push((daemons, bulk.used.daemons / bulk.gigabytes));
    }
    values
}

/// Runs it; a panic of a tool that did not do as told becomes an error.
fn attempt<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    // What the closure has touched is measured anew or thrown away.
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| Err(anyhow!("{}", words(&*panic))))
}

fn words(panic: &(dyn Any + Send)) -> String {
    let text = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("it panicked").to_owned()
}

/// One line, the middle of a long one left out: a program's whole output may be in it.
fn brief(text: &str) -> String {
    let line: Vec<char> = text
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .chars()
        .collect();
    let part = |of: &[char]| of.iter().collect::<String>();
    match line.len() {
        0..=500 => part(&line),
        len => format!("{} ... {}", part(&line[..200]), part(&line[len - 300..])),
    }
}
