//! `ndnping`.

use super::arguments::{self, ArgumentError, Flag, Given, wrapping};
use super::face::Face;
use super::report::{PingReport, Reaching, tally};
use super::{Failure, MISUSED, Question, diagnose, keys};
use crate::cli::{Interval, span};
use crate::ping::{self, JsonReport, Outcome, Plan, Report};
use crate::screen::Screen;
use crate::signals::Signals;
use crate::target::{Host, Target};
use anyhow::Context;
use halloo_probe::Summary;
use halloo_protocols::ndn::{LONGEST_PACKET, NDN, NameBuf};
use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

const fn flag(long: &'static str, short: Option<char>, value: &'static str, help: &'static str) -> Flag {
    Flag {
        long,
        short,
        value,
        repeats: false,
        original: true,
        help,
    }
}

const fn ours(long: &'static str, short: Option<char>, value: &'static str, help: &'static str) -> Flag {
    Flag {
        original: false,
        ..flag(long, short, value, help)
    }
}

static FLAGS: &[Flag] = &[
    flag("help", Some('h'), "", "print this text"),
    flag("version", Some('V'), "", "print the version"),
    flag(
        "interval",
        Some('i'),
        "MS",
        "ask once in so many milliseconds (default: 1000); 0.1 is possible",
    ),
    flag(
        "timeout",
        Some('o'),
        "MS",
        "wait so many milliseconds for each answer (default: 4000)",
    ),
    flag("count", Some('c'), "N", "end after N questions"),
    flag(
        "start",
        Some('n'),
        "N",
        "number the first question N (default: at random)",
    ),
    flag(
        "identifier",
        Some('p'),
        "ID",
        "put ID before the number in each name",
    ),
    flag(
        "cache",
        Some('a'),
        "",
        "let caches answer with what is no longer fresh",
    ),
    flag("timestamp", Some('t'), "", "print the time before each line"),
    flag("prefix", None, "NAME", ""),
    ours(
        "face",
        None,
        "URI",
        "ask by unix:///PATH, tcp://HOST[:PORT], udp://HOST[:PORT] or dev://DEVICE: a forwarder, or a server itself",
    ),
    ours("deadline", Some('w'), "SECONDS", "end after so long"),
    ours("quiet", Some('q'), "", "do not print a line for each question"),
    ours("flood", None, "", "ask as fast as answers come"),
    ours(
        "window",
        None,
        "N",
        "questions under way at most with --flood (default: 64)",
    ),
    ours(
        "lifetime",
        None,
        "MS",
        "how long forwarders keep each question (default: as --timeout)",
    ),
    ours("hop-limit", None, "N", "how many forwarders a question may pass"),
    Flag {
        repeats: true,
        ..ours(
            "forwarding-hint",
            None,
            "NAME",
            "a name that leads to who knows the prefix",
        )
    },
    ours("size", None, "BYTES", "pad each question to so many bytes"),
    ours(
        "verify",
        None,
        "FILE",
        "accept only answers signed with this public key or certificate, the secret in hmac:FILE, or `digest`",
    ),
    ours(
        "percentiles",
        None,
        "",
        "print how the round trips are distributed",
    ),
    ours("json", None, "", "print JSON, one object a line"),
    ours(
        "log-dir",
        None,
        "DIR",
        "write a log and a CSV file to this directory",
    ),
    ours("csv-wide", None, "FILE", "write every exchange to this CSV file"),
    ours(
        "diagnose",
        None,
        "",
        "ask nobody: tell what the forwarder knows of the prefix",
    ),
];

/// What the command line asks for.
struct Options {
    prefix: NameBuf,
    face: Face,
    start: u64,
    plan: Plan,
    timestamp: bool,
    quiet: bool,
    percentiles: bool,
    json: bool,
}

/// The program: its status is 0 when every question was answered with Data, 1 when not, 2 when the command line is
/// wrong or the forwarder cannot be reached.
pub(super) fn run(words: impl IntoIterator<Item = OsString>) -> Result<ExitCode, Failure> {
    let given = arguments::parse(FLAGS, "prefix", words).map_err(misused)?;
    let mut screen = Screen::stdout();
    if given.has("help") {
        screen.line(usage().trim_end())?;
        return Ok(ExitCode::from(MISUSED));
    }
    if given.has("version") {
        screen.line(format_args!("ndnping {}", env!("CARGO_PKG_VERSION")))?;
        return Ok(ExitCode::SUCCESS);
    }
    if given.has("diagnose") {
        return diagnose::run(&face(&given)?, prefix(&given)?.as_ref(), screen);
    }
    let options = Options::of(&given)?;
    if options.json {
        let report = JsonReport::new(screen, options.quiet);
        return ask(&options.plan, Reaching::new(report, options.face));
    }
    let report = PingReport {
        screen,
        prefix: options.prefix,
        start: options.start,
        timestamp: options.timestamp,
        quiet: options.quiet,
        percentiles: options.percentiles,
        no_route: 0,
    };
    ask(&options.plan, Reaching::new(report, options.face))
}

fn ask<R: Report>(plan: &Plan, mut report: Reaching<R>) -> Result<ExitCode, Failure> {
    let signals = Signals::draining(thread::current()).context("cannot watch for signals")?;
    let outcome = ping::run(plan, &mut report, &signals)?;
    Ok(if is_well(&outcome) {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(crate::FAILED)
    })
}

/// Whether nothing was lost or sent back, of what has come to an end; and something has, if anything was asked.
fn is_well(outcome: &Outcome) -> bool {
    let well = |summary: &Summary| {
        let tally = tally(summary);
        tally.received == tally.sent && (tally.sent > 0 || summary.counts.in_flight == 0)
    };
    let mut last = outcome
        .sessions
        .iter()
        .filter_map(|(_, summary)| summary.as_deref());
    outcome.files_complete && last.all(well)
}

/// The help of the program.
pub(super) fn usage() -> String {
    format!(
        "Usage: ndnping [options] prefix\n\n\
         Asks the ping server of the name prefix, at an even pace, until it is told to stop.\n\n{}",
        arguments::help(FLAGS)
    )
}

fn misused(error: ArgumentError) -> Failure {
    usage_error(error)
}

/// What is wrong goes to standard error, and the help to standard output, as it always did.
fn usage_error(what: impl fmt::Display) -> Failure {
    Failure::Usage {
        what: what.to_string(),
        help: usage(),
    }
}

fn prefix(given: &Given) -> Result<Option<NameBuf>, Failure> {
    let parse = |text: &str| {
        text.parse()
            .map_err(|why| usage_error(format_args!("{text}: {why}")))
    };
    given.text("prefix").map(parse).transpose()
}

fn face(given: &Given) -> Result<Face, Failure> {
    match given.text("face") {
        Some(uri) => uri
            .parse()
            .map_err(|why| usage_error(format_args!("--face: {why}"))),
        None => Face::of_host().map_err(Failure::from),
    }
}

impl Options {
    fn of(given: &Given) -> Result<Options, Failure> {
        let prefix = prefix(given)?.ok_or_else(|| usage_error("No prefix specified"))?;
        let interval = interval(given)?;
        let timeout = given.value::<i64>("timeout").map_err(misused)?.unwrap_or(4_000);
        let timeout = u64::try_from(timeout).map_err(|_| usage_error("InterestLifetime must be >= 0"))?;
        let timeout = Duration::from_millis(timeout);
        let count = given.value::<i64>("count").map_err(misused)?;
        if count.is_some_and(|count| count <= 0) {
            return Err(usage_error("Number of ping must be positive"));
        }
        let identifier = given.text("identifier");
        let acceptable = |id: &str| !id.is_empty() && id.bytes().all(|octet| octet.is_ascii_alphanumeric());
        if identifier.is_some_and(|id| !acceptable(id)) {
            return Err(usage_error("Unacceptable client identifier"));
        }
        let start = match given.with("start", wrapping).map_err(misused)? {
            Some(start) => start,
            None => crate::random_u64()?,
        };
        let face = face(given)?;
        let hints: Result<Vec<NameBuf>, _> = given.all("forwarding-hint").map(str::parse).collect();
        let lifetime = given.value::<u64>("lifetime").map_err(misused)?;
        let fits = |text: &str| text.parse().ok().filter(|&size: &usize| size <= LONGEST_PACKET);
        let question = Question {
            face: Some(face.clone()),
            start: Some(start),
            identifier: identifier.map(str::to_owned),
            cache: given.has("cache"),
            lifetime: Some(lifetime.map_or(timeout, Duration::from_millis)),
            hop_limit: given.value("hop-limit").map_err(misused)?,
            forwarding_hint: hints.map_err(|why| usage_error(format_args!("--forwarding-hint: {why}")))?,
            verifier: given.text("verify").map(keys::verifier).transpose()?,
            size: given.with("size", fits).map_err(misused)?,
            ..Question::new(prefix.clone())
        };
        let target = Target {
            protocol: &NDN,
            host: Host::Forwarder,
            port: 0,
            ip_protocol: None,
            question: Some(question),
            path: None,
        };
        let window = |text: &str| text.parse().ok().filter(|window| (1..=4_096).contains(window));
        let plan = Plan {
            interval,
            count: count.map_or(0, i64::unsigned_abs),
            // Nothing can come back in no time at all, but the session is to see it leave.
            lost_after: timeout.max(Duration::from_nanos(1)),
            deadline: given.with("deadline", |text| span(text).ok()).map_err(misused)?,
            window: given.with("window", window).map_err(misused)?.unwrap_or(64),
            log_dir: given.text("log-dir").map(PathBuf::from),
            csv_wide: given.text("csv-wide").map(PathBuf::from),
            ..Plan::of(vec![target])
        };
        Ok(Options {
            prefix,
            face,
            start,
            timestamp: given.has("timestamp"),
            // Who asks as fast as answers come cannot read them.
            quiet: given.has("quiet") || plan.is_flood(),
            percentiles: given.has("percentiles"),
            json: given.has("json"),
            plan,
        })
    }
}

fn interval(given: &Given) -> Result<Interval, Failure> {
    /// Below this a schedule is a flood.
    const SHORTEST: f64 = 0.01;
    /// A day.
    const LONGEST: f64 = 86_400_000.0;
    if given.has("flood") {
        return Ok(Interval::Flood);
    }
    let number = |text: &str| text.parse().ok().filter(|millis: &f64| millis.is_finite());
    let millis = given
        .with("interval", number)
        .map_err(misused)?
        .unwrap_or(1_000.0);
    if millis < SHORTEST {
        return Err(usage_error(
            "Specified ping interval is less than the minimum (1 ms)",
        ));
    }
    let millis = millis.min(LONGEST);
    Ok(Interval::Every(Duration::from_nanos(
        (millis * 1e6).round() as u64
    )))
}
