//! What a person reads of a path.

use super::pmtu::{TCP, UDP, ip_header};
use super::{Errand, PathPrinter};
use crate::format::{counted, percent};
use crate::ping::session::About;
use crate::screen::{BAD, DIM, GOOD, ODD, STRONG, Screen, Styled};
use halloo_probe::{Ended, MtuProbe, MtuReport, PathMtuState, SizeOutcome, SpreadReport};
use std::fmt::{Display, Write as _};
use std::io;

/// Width of what stands before a fact.
const HEAD: usize = 10;
/// Ports that are named on a line; `--json` has all.
const NAMED: usize = 64;

/// Prints lines.
pub(super) struct TextPath {
    screen: Screen,
    quiet: bool,
}

impl TextPath {
    /// To `screen`; quietly: nothing but beginning and end.
    pub(super) fn new(screen: Screen, quiet: bool) -> TextPath {
        TextPath { screen, quiet }
    }

    fn lines(&mut self, title: impl Display, lines: Vec<String>) -> io::Result<()> {
        self.screen.line("")?;
        self.screen
            .line(format_args!("--- {} ---", Styled(STRONG, title)))?;
        lines.into_iter().try_for_each(|line| self.screen.line(line))?;
        self.screen.flush()
    }
}

impl PathPrinter for TextPath {
    fn unusable(&mut self, _target: &str, why: &anyhow::Error) -> io::Result<()> {
        crate::complain(format_args!("halloo: {why:#}"));
        Ok(())
    }

    fn begin(&mut self, about: &About, errand: Errand, most: Option<u16>) -> io::Result<()> {
        let what = match errand {
            Errand::Mtu => format!("packets of up to {} bytes", most.unwrap_or(u16::MAX)),
            Errand::Spread(ports) => format!("{ports} source ports, {} bytes of data", about.size),
        };
        let word = match errand {
            Errand::Mtu => "PMTU",
            Errand::Spread(_) => "SPREAD",
        };
        let word = Styled(STRONG, word);
        self.screen.line(format_args!(
            "{word} {} ({}){} {what}.",
            about.target,
            about.place(),
            from(about)
        ))?;
        self.screen.flush()
    }

    fn probe(&mut self, _about: &About, probe: &MtuProbe) -> io::Result<()> {
        if self.quiet {
            return Ok(());
        }
        self.screen.line(probe_line(probe))?;
        self.screen.flush()
    }

    fn mtu(&mut self, about: &About, report: &MtuReport) -> io::Result<()> {
        let title = format!("{}{} path MTU", about.target, from(about));
        self.lines(title, mtu_lines(about, report))
    }

    fn spread(&mut self, about: &About, report: &SpreadReport) -> io::Result<()> {
        let title = format!(
            "{}{} over {} source ports",
            about.target,
            from(about),
            report.flows.len()
        );
        self.lines(title, spread_lines(report))
    }
}

fn from(about: &About) -> String {
    about
        .link
        .as_ref()
        .map(|link| format!(" from {link}"))
        .unwrap_or_default()
}

fn fact(lines: &mut Vec<String>, name: &str, text: impl Display) {
    lines.push(format!("{}{text}", Styled(DIM, format_args!("{name:<HEAD$}"))));
}

fn probe_line(probe: &MtuProbe) -> String {
    let size = probe.size;
    match probe.outcome {
        SizeOutcome::Answered(rtt) => format!("{size} bytes: answered, time={rtt}"),
        SizeOutcome::Lost => format!("{size} bytes: {}", Styled(ODD, "no answer")),
        SizeOutcome::TooBig { reporter, mtu } => {
            let mtu = mtu.map(|mtu| format!(", {mtu} fit")).unwrap_or_default();
            format!("{size} bytes: {} says too big{mtu}", Styled(ODD, reporter))
        }
        SizeOutcome::Unsendable => format!("{size} bytes: more than this host's link carries"),
    }
}

fn mtu_lines(about: &About, report: &MtuReport) -> Vec<String> {
    let mut lines = vec![];
    let ip = ip_header(&about.remote);
    match report.mtu {
        Some(mtu) => {
            let unfinished = match report.state {
                PathMtuState::Searching | PathMtuState::Base => " or more: the search was cut short",
                PathMtuState::Complete | PathMtuState::Error => ", there and back",
            };
            let mtu_words = Styled(GOOD, format_args!("{mtu} bytes"));
            fact(&mut lines, "path MTU", format_args!("{mtu_words}{unfinished}"));
            let (udp, tcp) = (mtu.saturating_sub(ip + UDP), mtu.saturating_sub(ip + TCP));
            fact(
                &mut lines,
                "fits",
                format_args!("{udp} bytes of UDP payload, TCP MSS {tcp}"),
            );
        }
        None => fact(
            &mut lines,
            "path MTU",
            Styled(BAD, "unknown: nothing was answered"),
        ),
    }
    if let (Some(mtu), Some(arrived)) = (report.mtu, report.arrived)
        && arrived > mtu
    {
        let text = format!("{arrived} bytes and perhaps more arrive there; the way back carries {mtu}");
        fact(&mut lines, "ways", text);
    }
    if report.is_most {
        fact(&mut lines, "link", "this host's own link carries no more");
    }
    let mut probes = format!(
        "{} sent, {} answered, in {:.1} s",
        report.sent,
        report.answered,
        report.elapsed.as_secs_f64()
    );
    if report.too_big > 0 {
        // Writing to a String cannot fail.
        let _ = write!(
            probes,
            "; {} said too big",
            counted(report.too_big.into(), "ICMP message")
        );
        if let Some(told) = report.told {
            let _ = write!(probes, ", the last that {told} fit");
        }
    }
    fact(&mut lines, "probes", probes);
    if let Some(error) = report.error {
        fact(&mut lines, "error", Styled(BAD, error));
    }
    let is_narrow = report.state == PathMtuState::Complete && !report.is_most && report.arrived <= report.mtu;
    if is_narrow && report.too_big == 0 {
        let note = "no router said what is too big: TCP and others that rely on it will hang on this path (a black hole)";
        fact(&mut lines, "note", Styled(ODD, note));
    }
    if report.mtu.is_some() && report.state == PathMtuState::Error {
        let note = "less than nearly every path carries; over IPv6 each has to carry 1280";
        fact(&mut lines, "note", Styled(ODD, note));
    }
    lines
}

fn spread_lines(report: &SpreadReport) -> Vec<String> {
    let mut lines = vec![counts_line(report)];
    let (verdict, flows) = (&report.verdict, report.flows.len());
    let elsewhere = format!("{:.2} %", verdict.loss_elsewhere * 100.0);
    if report.answered == 0 {
        fact(
            &mut lines,
            "bad",
            Styled(BAD, "nothing was answered, over any port"),
        );
    } else if verdict.bad.is_empty() {
        fact(
            &mut lines,
            "bad",
            Styled(GOOD, "none: no port loses more than chance would have it"),
        );
    } else {
        let (bad, dead) = (verdict.bad.len(), verdict.dead);
        let what = match dead {
            dead if dead == bad => "lose everything".to_owned(),
            0 => format!("lose more than the others ({elsewhere})"),
            dead => format!("lose more than the others ({elsewhere}), {dead} of them everything"),
        };
        let percent = |share: f64| format!("{:.0}", share * 100.0);
        let (low, high) = verdict.share_between;
        let text = format!(
            "{bad} of {flows} source ports {what}: about {} % of flows ({} to {} %)",
            percent(verdict.share),
            percent(low),
            percent(high)
        );
        fact(&mut lines, "bad", Styled(BAD, text));
        let mut ports: Vec<_> = verdict
            .bad
            .iter()
            .map(|&place| report.flows[place].port)
            .collect();
        ports.sort_unstable();
        fact(&mut lines, "ports", list(&ports));
    }
    if !verdict.paths.is_empty() {
        let path = |path: &halloo_probe::DelayPath| {
            format!("{} ({})", path.delay, counted(path.flows.len() as u64, "port"))
        };
        let paths: Vec<_> = verdict.paths.iter().map(path).collect();
        fact(
            &mut lines,
            "paths",
            format_args!("{} by delay: {}", paths.len(), paths.join(", ")),
        );
    }
    if matches!(report.ended, Some(Ended::Unsendable)) {
        fact(
            &mut lines,
            "ended",
            Styled(BAD, "at once: no probe of this size can be made"),
        );
    }
    if report.slots_missed > 0 {
        let slots = counted(report.slots_missed, "slot");
        fact(&mut lines, "odd", format_args!("{slots} missed by this host"));
    }
    for (error, n) in &report.unreachable {
        let text = format!("{error}, {}", counted(*n, "time"));
        fact(&mut lines, "error", Styled(BAD, text));
    }
    lines
}

fn counts_line(report: &SpreadReport) -> String {
    let settled = report.answered + report.lost;
    let mut line = format!(
        "{} packets transmitted, {} received, {}% packet loss, time {}ms",
        report.sent,
        report.answered,
        percent(report.lost, settled),
        report.elapsed.as_millis()
    );
    for (n, what) in [
        (report.late, "late"),
        (report.refused, "refused"),
        (report.in_flight, "still under way"),
    ] {
        if n > 0 {
            // Writing to a String cannot fail.
            let _ = write!(line, ", {n} {what}");
        }
    }
    line
}

fn list(ports: &[u16]) -> String {
    let named: Vec<_> = ports.iter().take(NAMED).map(ToString::to_string).collect();
    match ports.len() - named.len() {
        0 => named.join(", "),
        more => format!("{} and {more} more (--json has them)", named.join(", ")),
    }
}

#[cfg(test)]
mod tests;
