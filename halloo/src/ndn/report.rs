//! What `ndnping` tells while it runs.

use super::face::Face;
use super::text::{ClientText, Tally, timestamp};
use super::trouble;
use crate::ping::{About, Report};
use crate::screen::Screen;
use halloo_base::{Clock, Wall};
use halloo_io::SystemClock;
use halloo_probe::{Event, Exchange, Summary, Verdict};
use halloo_protocols::ndn::{NackReason, NameBuf, PING};
use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// The original's lines on standard output, and everything else on standard error.
pub(super) struct PingReport {
    pub(super) screen: Screen,
    pub(super) prefix: NameBuf,
    /// The first probe's number.
    pub(super) start: u64,
    /// Whether the time stands before each line.
    pub(super) timestamp: bool,
    /// Whether only beginning and end are told.
    pub(super) quiet: bool,
    /// Whether the end tells how round trips are distributed.
    pub(super) percentiles: bool,
    /// Nacks whose reason is that there is no route.
    pub(super) no_route: u64,
}

impl PingReport {
    fn text(&self) -> ClientText {
        ClientText::new(&self.prefix)
    }

    fn line(&mut self, at: Wall, line: &str) -> io::Result<()> {
        if self.timestamp {
            self.screen.line(format_args!("{}{line}", timestamp(at)))
        } else {
            self.screen.line(line)
        }
    }

    fn exchange(&mut self, exchange: &Exchange) -> io::Result<()> {
        let (text, seq) = (self.text(), self.start.wrapping_add(exchange.seq.0));
        let line = match (exchange.verdict, exchange.refusal, exchange.host) {
            (Verdict::Answered, None, Some(rtt)) => text.content(seq, rtt),
            (Verdict::Answered, Some(nack), Some(rtt)) => {
                self.no_route += u64::from(nack.name == NackReason::NoRoute.name());
                text.nack(seq, rtt, nack.name)
            }
            (Verdict::Lost { .. } | Verdict::Unsent, ..) => text.timeout(seq),
            _ => return Ok(()),
        };
        if self.quiet {
            return Ok(());
        }
        let at = exchange.t4.map_or_else(|| SystemClock.stamp().wall, |t4| t4.wall);
        self.line(at, &line)
    }

    /// What may help where nothing came back.
    fn hints(&self, tally: &Tally, summary: &Summary) -> Vec<String> {
        let mut hints = vec![];
        if tally.sent == 0 || tally.received > 0 {
            return hints;
        }
        let prefix = &self.prefix;
        if summary.unused.bad_auth > 0 {
            hints.push("what came back is not signed with the key of --verify".to_owned());
        } else if tally.nacked > 0 && self.no_route == tally.nacked {
            hints.push(format!(
                "no route to {prefix} at the forwarder: is the server running, and its prefix registered there or announced \
                 to it? `ndnping --diagnose {prefix}` tells what the forwarder knows"
            ));
        } else if tally.nacked == 0 {
            hints.push(format!(
                "nobody answered: is a ping server for {prefix} running, and do the forwarders on the way have routes?"
            ));
        }
        let last = prefix.as_name().last();
        if last.is_some_and(|last| last.value == PING) {
            hints.push(format!(
                "the prefix already ends in /ping, so {prefix}/ping was asked: leave out the last component"
            ));
        }
        hints
    }
}

/// What a summary is to the original.
pub(super) fn tally(summary: &Summary) -> Tally {
    let counts = &summary.counts;
    Tally {
        sent: counts.answered + counts.lost(),
        received: counts.answered - counts.refused,
        nacked: counts.refused,
        rtt: summary.host,
    }
}

impl Report for PingReport {
    fn wants_probes(&self) -> bool {
        // Reasons of Nacks are looked at even where they are not told.
        true
    }

    fn unusable(&mut self, _target: &str, why: &anyhow::Error) -> io::Result<()> {
        Err(io::Error::other(format!("{why:#}")))
    }

    fn start(&mut self, _sessions: &[&About]) -> io::Result<()> {
        self.screen.line(self.text().start())
    }

    fn event(&mut self, _about: &About, event: &Event) -> io::Result<()> {
        match event {
            Event::Exchange(exchange) => self.exchange(exchange),
            _ => Ok(()),
        }
    }

    fn problem(&mut self, _about: Option<&About>, what: &str) -> io::Result<()> {
        crate::complain(format_args!("WARNING: {what}"));
        Ok(())
    }

    fn asked(&mut self, _about: &About, summary: &Summary) -> io::Result<()> {
        self.screen.line(ClientText::running(&tally(summary)))
    }

    fn end(&mut self, _about: &About, summary: &Summary) -> io::Result<()> {
        let tally = tally(summary);
        self.screen.line(self.text().statistics(&tally))?;
        if let Some(rtt) = tally.rtt.as_ref().filter(|_| self.percentiles) {
            self.screen.line(ClientText::percentiles(rtt))?;
        }
        self.screen.flush()?;
        for hint in self.hints(&tally, summary) {
            crate::complain(format_args!("HINT: {hint}"));
        }
        Ok(())
    }
}

/// A report that tells of the forwarder what the inner one does not, and ends the run if it cannot be reached at all.
pub(super) struct Reaching<R> {
    pub(super) inner: R,
    pub(super) face: Face,
    been_up: bool,
    told: bool,
}

impl<R: Report> Reaching<R> {
    pub(super) fn new(inner: R, face: Face) -> Reaching<R> {
        Reaching {
            inner,
            face,
            been_up: false,
            told: false,
        }
    }

    fn look_at(&mut self, event: &Event) -> io::Result<()> {
        let what = match event {
            Event::Opened { .. } => {
                if std::mem::take(&mut self.told) {
                    crate::complain(format_args!("NOTICE: connected to {} again", self.face));
                }
                self.been_up = true;
                return Ok(());
            }
            Event::Broken { why, .. } => trouble::of_client(*why, &self.face),
            Event::Unreachable { error, .. } => format!("{}: {error}", self.face),
            _ => return Ok(()),
        };
        if self.face.is_stream() && !self.been_up {
            return Err(io::Error::other(what));
        }
        if !std::mem::replace(&mut self.told, true) {
            crate::complain(format_args!("WARNING: {what}; going on"));
        }
        Ok(())
    }
}

impl<R: Report> Report for Reaching<R> {
    fn wants_probes(&self) -> bool {
        self.inner.wants_probes()
    }

    fn wants_running(&self) -> Option<Duration> {
        self.inner.wants_running()
    }

    fn unusable(&mut self, target: &str, why: &anyhow::Error) -> io::Result<()> {
        self.inner.unusable(target, why)
    }

    fn start(&mut self, sessions: &[&About]) -> io::Result<()> {
        self.inner.start(sessions)
    }

    fn event(&mut self, about: &About, event: &Event) -> io::Result<()> {
        self.look_at(event)?;
        self.inner.event(about, event)
    }

    fn problem(&mut self, about: Option<&About>, what: &str) -> io::Result<()> {
        self.inner.problem(about, what)
    }

    fn asked(&mut self, about: &About, summary: &Summary) -> io::Result<()> {
        self.inner.asked(about, summary)
    }

    fn end(&mut self, about: &About, summary: &Summary) -> io::Result<()> {
        self.inner.end(about, summary)
    }

    fn written(&mut self, paths: &[PathBuf]) -> io::Result<()> {
        self.inner.written(paths)
    }
}
