//! What is printed of it.

use super::About;
use crate::format::{counted, millis};
use crate::json::{self, Head, Of};
use crate::screen::{BAD, GOOD, STRONG, Screen, Styled};
use crate::target::Target;
use halloo_base::{Clock, Nanos};
use halloo_io::SystemClock;
use halloo_protocols::echo::asker::{Arrival, Asker, Ending, Moment, Source, State};
use halloo_protocols::echo::pingback::Outcome;
use serde::Serialize;
use std::io;
use std::time::Duration;

/// Prints for people, or one object a line.
pub(super) struct Report {
    screen: Screen,
    json: bool,
    quiet: bool,
}

/// Times between one arrival and the next.
pub(super) struct Spacing {
    pub(super) min: Nanos,
    pub(super) mean: Nanos,
    pub(super) max: Nanos,
}

impl Report {
    /// A report to `screen`; a quiet one leaves out single datagrams.
    pub(super) fn new(screen: Screen, json: bool, quiet: bool) -> Report {
        Report { screen, json, quiet }
    }

    /// A target that cannot be asked at all.
    pub(super) fn unusable(&mut self, target: &Target, why: &anyhow::Error) -> io::Result<()> {
        if !self.json {
            crate::complain(format_args!("halloo: {why:#}"));
            return Ok(());
        }
        let of = Of {
            target: Some(target.to_string()),
            ..of(None, "error")
        };
        self.print(&error(of, "lookup", format!("{why:#}"), None))
    }

    /// A session begins.
    pub(super) fn start(&mut self, about: &About) -> io::Result<()> {
        if self.json {
            return Ok(());
        }
        let ask = about.ask;
        let link = about
            .link
            .as_ref()
            .map(|link| format!(" by {link}"))
            .unwrap_or_default();
        self.screen.line(format_args!(
            "{} {} ({}){link}: {} {} apart after {} of silence, from {}.",
            Styled(STRONG, "PINGBACK"),
            about.target,
            about.path.remote.ip(),
            counted(ask.count.into(), "datagram"),
            span(ask.gap),
            span(ask.silence),
            source(ask.from),
        ))
    }

    /// Something happened.
    pub(super) fn moment(&mut self, about: &About, moment: &Moment, asker: &Asker) -> io::Result<()> {
        match (self.json, moment) {
            (_, Moment::Granted | Moment::Arrived(_)) if self.quiet => Ok(()),
            (true, Moment::Granted) => match start(about, asker) {
                Some(object) => self.print(&object),
                None => Ok(()),
            },
            (true, Moment::Arrived(arrival)) => self.print(&pingback(about, asker, arrival)),
            (true, Moment::Unreachable(report)) => {
                let reporter = report.reporter.map(|ip| ip.to_string());
                let of = of(Some(about), "error");
                self.print(&error(of, "unreachable", report.error.to_string(), reporter))
            }
            (true, Moment::Ended) => self.print(&summary(about, asker)),
            (false, moment) => self.text(about, moment, asker),
        }
    }

    fn text(&mut self, about: &About, moment: &Moment, asker: &Asker) -> io::Result<()> {
        let text = match moment {
            Moment::Granted => promise(asker),
            Moment::Arrived(arrival) => came(about, asker, arrival),
            Moment::Unreachable(report) => match report.reporter {
                Some(reporter) => format!("from {reporter}: {}", report.error),
                None => report.error.to_string(),
            },
            Moment::Ended => return self.end(about, asker),
        };
        let label = match (about.alone, &about.link) {
            (true, _) => String::new(),
            (false, Some(link)) => format!("[{link} {}] ", about.target),
            (false, None) => format!("[{}] ", about.target),
        };
        self.screen.line(format_args!("{label}{text}"))
    }

    fn end(&mut self, about: &About, asker: &Asker) -> io::Result<()> {
        self.screen.line("")?;
        let link = about
            .link
            .as_ref()
            .map(|link| format!(" by {link}"))
            .unwrap_or_default();
        self.screen
            .line(format_args!("--- {}{link} pingback ---", about.target))?;
        let style = if asker.came() == 0 { BAD } else { GOOD };
        self.screen.line(Styled(style, verdict(about, asker)))?;
        if let Some(Spacing { min, mean, max }) = spacing(asker) {
            self.screen.line(format_args!(
                "spacing min/avg/max = {}/{}/{} ms",
                millis(min),
                millis(mean),
                millis(max)
            ))?;
        }
        Ok(())
    }

    fn print(&mut self, object: &impl Serialize) -> io::Result<()> {
        self.screen
            .line(serde_json::to_string(object).map_err(io::Error::from)?)
    }
}

/// What came of it, in a sentence.
pub(super) fn verdict(about: &About, asker: &Asker) -> String {
    let host = about.path.remote;
    match asker.state() {
        State::Ended(Ending::Refused(outcome)) => format!("{host} sends nothing: {}", why(outcome)),
        State::Ended(Ending::Unanswered) => format!("{host} does not answer"),
        State::Ended(Ending::PlainEcho) => {
            format!("{host} is an echo host that knows no pingback; one of halloo's does")
        }
        State::Asking => format!("stopped before {host} answered"),
        State::Waiting | State::Ended(Ending::Complete | Ending::Over) => {
            let promised = asker.granted().map_or(about.ask.count, |granted| granted.count);
            let stopped = match asker.state() {
                State::Waiting => ", stopped before the last could come",
                _ => "",
            };
            let none = match (asker.came(), asker.state()) {
                (0, State::Ended(_)) => {
                    ": whoever is between has forgotten us, or lets in nothing from there"
                }
                _ => "",
            };
            format!("{} of {promised} came{stopped}{none}", asker.came())
        }
    }
}

/// Times between arrivals that came one after the other for one request.
pub(super) fn spacing(asker: &Asker) -> Option<Spacing> {
    let pairs = asker.arrivals().windows(2);
    let spans: Vec<_> = pairs
        .filter(|pair| pair[0].seq == pair[1].seq)
        .map(|pair| pair[1].at.mono - pair[0].at.mono)
        .collect();
    let count = i64::try_from(spans.len()).ok().filter(|&count| count > 0)?;
    Some(Spacing {
        min: *spans.iter().min()?,
        mean: Nanos(spans.iter().map(|span| span.0).sum::<i64>() / count),
        max: *spans.iter().max()?,
    })
}

fn promise(asker: &Asker) -> String {
    let seen = asker
        .seen()
        .map(|seen| format!("; seen as {seen}"))
        .unwrap_or_default();
    match asker.granted() {
        Some(granted) => format!(
            "promised: {}, {} apart, after {}{seen}",
            granted.count,
            span(granted.gap),
            span(granted.silence)
        ),
        None => "promised".into(),
    }
}

fn came(about: &About, asker: &Asker, arrival: &Arrival) -> String {
    let promised = asker.granted().map_or(about.ask.count, |granted| granted.count);
    let after = after(asker, arrival)
        .map(|after| format!(" after {} ms", millis(Nanos(after.as_nanos() as i64))))
        .unwrap_or_default();
    let spacing = before(asker, arrival)
        .map(|span| format!(", {} ms after the one before", millis(span)))
        .unwrap_or_default();
    format!(
        "{} of {promised} from {}{after}{spacing}",
        arrival.number, arrival.from
    )
}

/// The time from the request to it, where it is known which request it was that was granted.
fn after(asker: &Asker, arrival: &Arrival) -> Option<Duration> {
    let granted = asker.granted().filter(|granted| granted.seq == arrival.seq)?;
    Some(arrival.at.mono.since(granted.asked_at))
}

/// The time from the one that came before it.
fn before(asker: &Asker, arrival: &Arrival) -> Option<Nanos> {
    let at = asker.arrivals().iter().position(|other| other == arrival)?;
    let before = asker.arrivals().get(at.checked_sub(1)?)?;
    Some(arrival.at.mono - before.at.mono)
}

pub(super) fn start(about: &About, asker: &Asker) -> Option<json::PingbackStart> {
    let granted = asker.granted()?;
    Some(json::PingbackStart {
        of: of(Some(about), "pingback_start"),
        time_ns: SystemClock.stamp().wall.0,
        remote: about.path.remote.to_string(),
        seen_addr: asker.seen().map(|seen| seen.to_string()),
        asked: about.ask.count,
        promised: granted.count,
        gap_ns: nanos(granted.gap),
        silence_ns: nanos(granted.silence),
        from: about.ask.from.name(),
    })
}

pub(super) fn pingback(about: &About, asker: &Asker, arrival: &Arrival) -> json::Pingback {
    json::Pingback {
        of: of(Some(about), "pingback"),
        time_ns: arrival.at.wall.0,
        number: arrival.number,
        from_addr: arrival.from.to_string(),
        after_ns: after(asker, arrival).map(nanos),
        spacing_ns: before(asker, arrival).map(|span| span.0),
        quiet_ns: nanos(arrival.quiet),
    }
}

pub(super) fn summary(about: &About, asker: &Asker) -> json::PingbackSummary {
    let spacing = spacing(asker);
    let spacing = spacing.as_ref();
    json::PingbackSummary {
        of: of(Some(about), "pingback_summary"),
        time_ns: SystemClock.stamp().wall.0,
        ended: match asker.state() {
            State::Asking | State::Waiting => "stopped",
            State::Ended(Ending::Complete) => "complete",
            State::Ended(Ending::Over) => "over",
            State::Ended(Ending::Unanswered) => "unanswered",
            State::Ended(Ending::PlainEcho) => "plain_echo",
            State::Ended(Ending::Refused(outcome)) => name(outcome),
        },
        asked: about.ask.count,
        promised: asker.granted().map(|granted| granted.count),
        came: asker.came() as u64,
        seen_addr: asker.seen().map(|seen| seen.to_string()),
        spacing_min_ns: spacing.map(|spacing| spacing.min.0),
        spacing_mean_ns: spacing.map(|spacing| spacing.mean.0),
        spacing_max_ns: spacing.map(|spacing| spacing.max.0),
    }
}

fn of(about: Option<&About>, kind: &'static str) -> Of {
    Of {
        head: Head::new(kind),
        session: about.map(|about| about.id),
        target: about.map(|about| about.target.to_string()),
        link: about.and_then(|about| Some(about.link.as_ref()?.to_string())),
    }
}

fn error(of: Of, kind: &'static str, message: String, reporter: Option<String>) -> json::Error {
    json::Error {
        of,
        time_ns: SystemClock.stamp().wall.0,
        kind,
        message,
        seq: None,
        reporter,
        lost: None,
        retry_in_ns: None,
        step_ns: None,
    }
}

/// The reason of a refusal for people.
pub(crate) fn why(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Granted => "it says nothing",
        Outcome::Unproven => "it takes our cookie for wrong",
        Outcome::Busy => "too many of our address, or of all, wait already",
        Outcome::NoOther => "it has no such other end",
        Outcome::NotOffered => "it does not offer that",
    }
}

fn name(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Granted => "granted",
        Outcome::Unproven => "unproven",
        Outcome::Busy => "busy",
        Outcome::NoOther => "no_other",
        Outcome::NotOffered => "not_offered",
    }
}

fn source(source: Source) -> &'static str {
    match source {
        Source::Same => "the same port",
        Source::OtherPort => "another port",
        Source::OtherAddress => "another address",
    }
}

/// `100 ms`, `2.5 s`: spans that a person chose.
fn span(span: Duration) -> String {
    match span {
        short if short < Duration::from_secs(1) => format!("{} ms", short.as_secs_f64() * 1e3),
        long => format!("{} s", long.as_secs_f64()),
    }
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}
