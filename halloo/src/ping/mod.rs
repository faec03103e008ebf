//! `halloo ping`: sessions side by side, one printer, one writer of files.

mod files;
mod header;
mod json;
mod marks;
mod path;
mod plan;
mod quic;
mod resolve;
#[cfg(test)]
mod sample;
mod session;
mod sink;
mod summary;
mod text;

pub(crate) use json::JsonReport;
pub(crate) use path::Errand;
pub(crate) use plan::{Family, Plan};
pub(crate) use resolve::{device_index, resolve, resolve_host};
pub(crate) use session::About;
pub(crate) use sink::final_word;
pub(crate) use text::{TextReport, TextStyle};

use crate::cli::Link;
use crate::hint::explain;
use crate::signals::{Request, Signals};
use anyhow::{Context, Result};
use files::{Writer, WriterOptions};
use halloo_probe::{Event, Summary};
use halloo_quic::QuicEvent;
use session::Session;
use sink::Wiring;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// How long the printer sleeps at most while probes are too frequent to wake it for each.
const POLL: Duration = Duration::from_millis(10);
/// How long it sleeps when it is woken for each.
const IDLE: Duration = Duration::from_millis(250);

/// Who tells a person or a program what happens.
pub(crate) trait Report {
    /// Whether it wants to hear of single probes.
    fn wants_probes(&self) -> bool;

    /// How often it wants running summaries without being asked, to show them.
    fn wants_running(&self) -> Option<Duration> {
        None
    }

    /// A target that cannot be asked at all.
    fn unusable(&mut self, target: &str, why: &anyhow::Error) -> io::Result<()>;

    /// The sessions, before the first probe.
    fn start(&mut self, sessions: &[&About]) -> io::Result<()>;

    /// Something happened in a session.
    fn event(&mut self, about: &About, event: &Event) -> io::Result<()>;

    /// Something happened to a session's QUIC connection.
    fn quic(&mut self, _about: &About, _event: &QuicEvent) -> io::Result<()> {
        Ok(())
    }

    /// Something went wrong beside the probes.
    fn problem(&mut self, about: Option<&About>, what: &str) -> io::Result<()>;

    /// The running summary that somebody asked for by a signal.
    fn asked(&mut self, about: &About, summary: &Summary) -> io::Result<()> {
        crate::complain(format_args!("{}", summary::running_line(about, summary)));
        Ok(())
    }

    /// The end of a session.
    fn end(&mut self, about: &About, summary: &Summary) -> io::Result<()>;

    /// The files that were written, complete now.
    fn written(&mut self, _paths: &[PathBuf]) -> io::Result<()> {
        Ok(())
    }
}

/// What became of a run.
pub(crate) struct Outcome {
    /// Every session with its last word, unless its driver failed.
    pub(crate) sessions: Vec<(About, Option<Arc<Summary>>)>,
    /// Targets that could not be asked at all.
    pub(crate) unusable: usize,
    /// Whether the files have everything that was to be in them.
    pub(crate) files_complete: bool,
}

impl Outcome {
    /// Whether every probe of every session was answered.
    pub(crate) fn all_answered(&self) -> bool {
        let well =
            |summary: &Option<Arc<Summary>>| summary.as_ref().is_some_and(|summary| summary.all_answered());
        self.unusable == 0 && self.sessions.iter().all(|(_, summary)| well(summary))
    }
}

/// Runs a plan to its end, or until a signal ends it.
///
/// # Errors
/// If the plan cannot be begun (exit status 2), or nobody reads what is printed any more.
pub(crate) fn run(plan: &Plan, report: &mut dyn Report, signals: &Signals) -> Result<Outcome> {
    let (abouts, unusable) = look_up(plan, report)?;
    let wiring = Wiring {
        spacing: plan.spacing(),
        screen: thread::current(),
        probes: report.wants_probes(),
        files: plan.log_dir.is_some() || plan.csv_wide.is_some(),
    };
    let prepare = |about| Session::prepare(about, plan, &wiring);
    let mut sessions = abouts.into_iter().map(prepare).collect::<Result<Vec<_>>>()?;
    let writer = start_writer(plan, &mut sessions)?;
    report.start(&sessions.iter().map(|session| &session.about).collect::<Vec<_>>())?;
    for session in &mut sessions {
        session.start().context("cannot start a thread")?;
    }
    let printed = watch(&mut sessions, report, signals, &writer);
    if printed.is_err() {
        sessions.iter().for_each(|session| session.remote.stop());
    }
    let mut ended = vec![];
    let mut told = printed;
    for mut session in sessions {
        let driver = session.join();
        if told.is_ok() {
            told = tell_end(&mut session, driver, report);
        }
        ended.push((session.about, session.fate.last()));
    }
    let files = writer.finish();
    for problem in &files.problems {
        if told.is_ok() {
            told = report.problem(None, problem).map_err(anyhow::Error::from);
        }
    }
    told?;
    report.written(&files.paths)?;
    Ok(Outcome {
        sessions: ended,
        unusable,
        files_complete: files.complete,
    })
}

/// The sessions that can be begun, and how many targets cannot be asked.
fn look_up(plan: &Plan, report: &mut dyn Report) -> Result<(Vec<About>, usize)> {
    let links: Vec<Option<Link>> = match plan.links.is_empty() {
        true => vec![None],
        false => plan.links.iter().cloned().map(Some).collect(),
    };
    for link in &plan.links {
        check_link(link).with_context(|| format!("--link {link}"))?;
    }
    let (mut abouts, mut unusable) = (vec![], 0);
    for target in &plan.targets {
        match resolve::resolve(target).and_then(|found| session::abouts(plan, target, &found, &links)) {
            Ok(found) => abouts.extend(found),
            Err(error) => {
                unusable += 1;
                report.unusable(&target.to_string(), &error)?;
            }
        }
    }
    let alone = (plan.targets.len() == 1, links.len() == 1);
    for (id, about) in (1..).zip(&mut abouts) {
        about.id = id;
        about.label = match (&about.link, alone) {
            (_, (true, true)) => String::new(),
            (Some(link), (true, _)) => link.to_string(),
            (Some(link), (false, false)) => format!("{link} {}", about.target),
            _ => about.target.to_string(),
        };
    }
    Ok((abouts, unusable))
}

/// Whether this host has the device or the address.
fn check_link(link: &Link) -> Result<()> {
    match link {
        Link::Device(name) => resolve::device_index(name).map(drop),
        // Nothing is sent; to bind is the way to ask whether the address is ours.
        Link::Source(ip) => std::net::UdpSocket::bind((*ip, 0)).map(drop).map_err(explain),
    }
}

fn start_writer(plan: &Plan, sessions: &mut [Session]) -> Result<Writer> {
    let inputs = sessions.iter_mut().filter_map(|session| {
        let rows = session.rows.take()?;
        Some((session.about.clone(), rows, Arc::clone(&session.fate)))
    });
    Writer::start(WriterOptions {
        log_dir: plan.log_dir.clone(),
        csv_wide: plan.csv_wide.clone(),
        command: plan.command.clone(),
        sessions: inputs.collect(),
    })
}

/// Prints what comes until all sessions have ended.
fn watch(
    sessions: &mut [Session],
    report: &mut dyn Report,
    signals: &Signals,
    writer: &Writer,
) -> Result<()> {
    let polling = report.wants_probes() && sessions.iter().any(|session| session.about.spacing < POLL);
    let mut next_running = report.wants_running().map(|every| Instant::now() + every);
    // Sessions whose next running summary somebody asked for by a signal.
    let mut asked = vec![false; sessions.len()];
    loop {
        while let Some(request) = signals.next() {
            for (session, asked) in sessions.iter().zip(&mut asked) {
                match request {
                    Request::Drain => session.remote.drain(),
                    Request::Stop => session.remote.stop(),
                    Request::Report => {
                        *asked = true;
                        session.remote.report();
                    }
                }
            }
        }
        // Asked before the rings are emptied: what is in them then is all there will be.
        let all_ended = sessions.iter().all(|session| session.fate.has_ended());
        for (session, asked) in sessions.iter_mut().zip(&mut asked) {
            while let Some(Ok(event)) = session.quic.as_mut().map(rtrb::Consumer::pop) {
                report.quic(&session.about, &event)?;
            }
            while let Ok(event) = session.events.pop() {
                match &event {
                    Event::Summary(summary) if std::mem::take(asked) => {
                        report.asked(&session.about, summary)?;
                    }
                    _ => report.event(&session.about, &event)?,
                }
            }
        }
        while let Some(problem) = writer.problem() {
            report.problem(None, &problem)?;
        }
        if all_ended {
            return Ok(());
        }
        let mut pause = if polling { POLL } else { IDLE };
        if let (Some(at), Some(every)) = (&mut next_running, report.wants_running()) {
            let now = Instant::now();
            if *at <= now {
                sessions.iter().for_each(|session| session.remote.report());
                *at = now + every;
            }
            pause = pause.min(*at - now);
        }
        thread::park_timeout(pause);
    }
}

fn tell_end(session: &mut Session, driver: io::Result<()>, report: &mut dyn Report) -> Result<()> {
    let about = &session.about;
    if let Err(error) = driver {
        report.problem(Some(about), &format!("the session broke off: {error}"))?;
    }
    if let Some(summary) = session.fate.last() {
        report.end(about, &summary)?;
    }
    let (unseen, unwritten) = (session.fate.unseen(), session.fate.unwritten());
    if unseen > 0 {
        let what =
            format!("{unseen} events were not printed: output was too slow; the summary counts everything");
        report.problem(Some(about), &what)?;
    }
    if unwritten > 0 {
        let what = format!("{unwritten} events are missing from the files: the disk was too slow");
        report.problem(Some(about), &what)?;
    }
    Ok(())
}
