//! What a program reads while probes go.

use super::files::Best;
use super::text::{break_words, notice};
use super::{About, Report, final_word, header, quic};
use crate::json::{self, Head, Of};
use crate::screen::Screen;
use halloo_base::{Clock, Nanos, Wall};
use halloo_io::SystemClock;
use halloo_probe::{self as probe, Event, Statistic};
use halloo_quic::QuicEvent;
use serde::Serialize;
use std::io;
use std::time::Duration;

/// Prints one object a line.
pub(crate) struct JsonReport {
    screen: Screen,
    quiet: bool,
}

impl JsonReport {
    /// A report to `screen`; a quiet one leaves exchanges out.
    pub(crate) fn new(screen: Screen, quiet: bool) -> JsonReport {
        JsonReport { screen, quiet }
    }

    /// Hands everything to the device.
    ///
    /// # Errors
    /// As the device says.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.screen.flush()
    }

    fn print(&mut self, object: &impl Serialize) -> io::Result<()> {
        self.screen
            .line(serde_json::to_string(object).map_err(io::Error::from)?)
    }
}

impl Report for JsonReport {
    fn wants_probes(&self) -> bool {
        !self.quiet
    }

    fn unusable(&mut self, target: &str, why: &anyhow::Error) -> io::Result<()> {
        let mut of = of(None, "error");
        of.target = Some(target.to_owned());
        self.print(&json::Error {
            of,
            ..error(None, "lookup", format!("{why:#}"))
        })
    }

    fn start(&mut self, sessions: &[&About]) -> io::Result<()> {
        for about in sessions.iter().filter(|about| !about.is_stream()) {
            self.print(&start(about, None, None, None))?;
        }
        Ok(())
    }

    fn event(&mut self, about: &About, event: &Event) -> io::Result<()> {
        if let Some(exchange) = final_word(event) {
            return self.print(&self::exchange(about, exchange));
        }
        match event {
            Event::Opened {
                path,
                connect,
                secure,
                ..
            } => {
                let local = Some(path.local.to_string());
                self.print(&start(about, local, Some(*connect), *secure))
            }
            Event::Exchange(_) | Event::Settled(_) | Event::Summary(_) => Ok(()),
            other => match event_error(about, other) {
                Some(error) => self.print(&error),
                None => Ok(()),
            },
        }
    }

    fn quic(&mut self, about: &About, event: &QuicEvent) -> io::Result<()> {
        match event {
            QuicEvent::Connected {
                at,
                took,
                resumed,
                early,
                ..
            } => self.print(&json::Handshake {
                of: of(Some(about), "handshake"),
                time_ns: at.wall.0,
                handshake_ns: nanos(*took),
                resumed: *resumed,
                early_data: quic::early(*early),
            }),
            QuicEvent::Moved { path, at, took } => self.print(&json::Moved {
                of: of(Some(about), "moved"),
                time_ns: at.wall.0,
                local: path.local.to_string(),
                seen_ns: nanos(*took),
            }),
            other => match quic::notice(about, other) {
                Some((_, text)) => self.print(&error(Some(about), "connection", text)),
                None => Ok(()),
            },
        }
    }

    fn problem(&mut self, about: Option<&About>, what: &str) -> io::Result<()> {
        self.print(&error(about, "output", what.to_owned()))
    }

    fn end(&mut self, about: &About, summary: &probe::Summary) -> io::Result<()> {
        self.print(&self::summary(about, summary))
    }
}

pub(super) fn of(about: Option<&About>, kind: &'static str) -> Of {
    Of {
        head: Head::new(kind),
        session: about.map(|about| about.id),
        target: about.map(|about| about.target.to_string()),
        link: about
            .and_then(|about| about.link.as_ref())
            .map(ToString::to_string),
    }
}

fn start(about: &About, local: Option<String>, connect: Option<Nanos>, secure: Option<Nanos>) -> json::Start {
    json::Start {
        of: of(Some(about), "start"),
        time_ns: now(),
        protocol: about.target.protocol.scheme,
        remote: about.address(),
        local,
        bytes: about.size,
        interval_ns: nanos(about.spacing),
        count: about.count,
        timeout_ns: nanos(about.lost_after),
        lookup_ns: about.lookup.map(nanos),
        connect_ns: connect.map(|connect| connect.0),
        tls_ns: secure.map(|secure| secure.0),
    }
}

fn exchange(about: &About, exchange: &probe::Exchange) -> json::Exchange {
    let best = Best::of(exchange);
    let wall = |wall: Wall| wall.0;
    let span = |span: Nanos| span.0;
    json::Exchange {
        of: of(Some(about), "exchange"),
        seq: exchange.seq.0 + 1,
        verdict: exchange.verdict.name(),
        direction: best.direction,
        cause: best.cause,
        t1_ns: best.t1.wall.0,
        t1_source: best.t1.source.name(),
        t1_user_ns: exchange.t1.wall.0,
        t2_ns: exchange.t2.map(wall),
        t2_source: best.t2_source,
        t3_ns: exchange.t3.map(wall),
        clock_error_ns: exchange.clock_error.map(|error| error.0),
        t4_ns: best.t4.map(|t4| t4.wall.0),
        t4_source: best.t4.map(|t4| t4.source.name()),
        t4_user_ns: exchange.t4.map(|t4| t4.wall.0),
        residence_ns: exchange.residence.map(|residence| residence.span.0),
        residence_exact: exchange.residence.map(|residence| residence.exact),
        wire_ns: exchange.wire.map(span),
        host_ns: exchange.host.map(span),
        intended_ns: exchange.intended.map(span),
        slot_error_ns: exchange.slot_error.0,
        clock_stepped: exchange.clock_stepped,
        ttl: exchange.marks.and_then(|marks| marks.ttl),
        tos: exchange.marks.map(|marks| marks.tos),
        bytes: about.payload_bytes(exchange),
        connect_ns: exchange.opening.map(|opening| opening.connect.0),
        tls_ns: exchange.opening.and_then(|opening| opening.secure).map(span),
        t4_first_ns: exchange.t4_first.map(|first| first.wall.0),
        t4_first_source: exchange.t4_first.map(|first| first.source.name()),
        first_byte_ns: exchange.first_byte.map(span),
        total_ns: exchange.total.map(span),
        seen_addr: exchange.seen.map(|seen| seen.addr.to_string()),
        seen_ttl: exchange.seen.and_then(|seen| seen.ttl),
        seen_tos: exchange.seen.and_then(|seen| seen.tos),
        sent_ttl: about.ttl,
        sent_tos: about.tos,
        hops_taken: about.hops_taken(exchange.marks.and_then(|marks| marks.ttl)),
        options: header::json(exchange),
        refusal: exchange.refusal.map(|no| json::Refusal {
            code: no.code,
            name: no.name,
        }),
    }
}

pub(super) fn error(about: Option<&About>, kind: &'static str, message: String) -> json::Error {
    json::Error {
        of: of(about, "error"),
        time_ns: now(),
        kind,
        message,
        seq: None,
        reporter: None,
        lost: None,
        retry_in_ns: None,
        step_ns: None,
    }
}

/// What happened beside single probes, if it is an error.
fn event_error(about: &About, event: &Event) -> Option<json::Error> {
    let of = Some(about);
    Some(match event {
        Event::Broken {
            why, lost, retry_in, ..
        } => json::Error {
            lost: Some(*lost),
            retry_in_ns: Some(nanos(*retry_in)),
            ..error(of, "connection", break_words(about, *why))
        },
        Event::Unreachable {
            seq,
            reporter,
            error: why,
            ..
        } => json::Error {
            seq: seq.map(|seq| seq.0 + 1),
            reporter: reporter.map(|reporter| reporter.to_string()),
            ..error(of, "unreachable", why.to_string())
        },
        Event::ClockStepped { step, .. } => json::Error {
            step_ns: Some(step.0),
            ..error(of, "clock_step", notice(about, event)?.1)
        },
        Event::LinkChanged { .. } => error(of, "link", notice(about, event)?.1),
        _ => return None,
    })
}

fn summary(about: &About, summary: &probe::Summary) -> json::Summary {
    json::Summary {
        of: of(Some(about), "summary"),
        ended: match summary.ended {
            None => "running",
            Some(probe::Ended::Complete) => "complete",
            Some(probe::Ended::Deadline) => "deadline",
            Some(probe::Ended::Stopped) => "stopped",
            Some(probe::Ended::Unsendable) => "unsendable",
        },
        started_ns: summary.started.wall.0,
        elapsed_ns: nanos(summary.elapsed),
        lookup_ns: about.lookup.map(nanos),
        counts: counts(&summary.counts),
        unused: unused(&summary.unused),
        wire: summary.wire.map(spans),
        host: summary.host.map(spans),
        intended: summary.intended.map(spans),
        ipdv: summary.ipdv.map(spans),
        one_way: summary.one_way.as_ref().map(one_way),
        connect: summary.connect.map(spans),
        tls: summary.secure.map(spans),
        first_byte: summary.first_byte.map(spans),
        total: summary.total.map(spans),
        budget: budget(&summary.budget),
        stamps: stamps(&summary.sources),
        observed: observed(about, &summary.observed),
        unreachable: summary
            .unreachable
            .iter()
            .map(|(error, count)| json::Unreachable {
                error: error.to_string(),
                count: *count,
            })
            .collect(),
    }
}

fn counts(counts: &probe::Counts) -> json::Counts {
    json::Counts {
        sent: counts.sent,
        answered: counts.answered,
        lost: counts.lost(),
        late: counts.late,
        refused: counts.refused,
        in_flight: counts.in_flight,
        lost_forward: counts.lost_forward,
        lost_backward: counts.lost_backward,
        lost_unknown: counts.lost_unknown,
        unsent: counts.unsent,
        lost_connection: counts.lost_connection,
        overrun: counts.overrun,
        duplicates: counts.duplicates,
        duplicates_forward: counts.duplicates_forward,
        duplicates_backward: counts.duplicates_backward,
        reordered: counts.reordered,
        reordered_forward: counts.reordered_forward,
        reordered_backward: counts.reordered_backward,
        slots_missed: counts.slots_missed,
        broken: counts.broken,
        reconnects: counts.reconnects,
        connect_failures: counts.connect_failures,
        clock_steps: counts.clock_steps,
        clock_stepped_by_ns: counts.clock_stepped_by.0,
        wire_negative: counts.wire_negative,
        wire_guessed: counts.wire_guessed,
        wire_spoilt: counts.wire_spoilt,
    }
}

fn unused(unused: &probe::Unused) -> json::Unused {
    json::Unused {
        foreign: unused.foreign,
        wrong_path: unused.wrong_path,
        malformed: unused.malformed,
        bad_auth: unused.bad_auth,
        truncated: unused.truncated,
        stale: unused.stale,
        other: unused.other,
    }
}

fn spans(statistic: Statistic) -> json::Spans {
    json::Spans {
        count: statistic.count,
        min_ns: statistic.min.0,
        mean_ns: statistic.mean.0,
        p50_ns: statistic.p50.0,
        p90_ns: statistic.p90.0,
        p99_ns: statistic.p99.0,
        p999_ns: statistic.p999.0,
        max_ns: statistic.max.0,
        mdev_ns: statistic.mdev.0,
    }
}

fn one_way(one_way: &probe::OneWay) -> json::OneWay {
    json::OneWay {
        forward_queueing: spans(one_way.forward.queueing),
        forward_min_ns: one_way.forward.min.0,
        forward_relative_min_ns: one_way.forward.relative_min.0,
        backward_queueing: spans(one_way.backward.queueing),
        backward_min_ns: one_way.backward.min.0,
        backward_relative_min_ns: one_way.backward.relative_min.0,
        offset_ns: one_way.offset.0,
        error_ns: one_way.error.0,
        claimed_ns: one_way.claimed.map(|claimed| claimed.0),
        contradicted: one_way.contradicted,
        skew_ppb: one_way.skew_ppb,
        remote_steps: one_way.remote_steps,
    }
}

fn budget(budget: &probe::Budget) -> json::Budget {
    json::Budget {
        slot_error: budget.slot_error.map(spans),
        send_delay: budget.send_delay.map(spans),
        receive_delay: budget.receive_delay.map(spans),
        residence: budget.residence.map(spans),
        residence_exact: budget.residence_exact,
    }
}

fn stamps(sources: &probe::Sources) -> json::Stamps {
    json::Stamps {
        t1_kernel: sources.t1_kernel,
        t1_hardware: sources.t1_hardware,
        t1_user: sources.t1_user,
        t2_kernel: sources.t2_kernel,
        t2_user: sources.t2_user,
        t4_kernel: sources.t4_kernel,
        t4_hardware: sources.t4_hardware,
        t4_user: sources.t4_user,
    }
}

fn observed(about: &About, observed: &probe::Observed) -> json::Observed {
    json::Observed {
        structured: observed.structured,
        plain: observed.plain,
        seen_addr: observed.seen.map(|seen| seen.addr.to_string()),
        seen_ttl: observed.seen.and_then(|seen| seen.ttl),
        seen_tos: observed.seen.and_then(|seen| seen.tos),
        address_changes: observed.address_changes,
        forward_mark_changes: observed.forward_mark_changes,
        backward_mark_changes: observed.backward_mark_changes,
        ttl_min: observed.ttl_min,
        ttl_max: observed.ttl_max,
        hops_taken_min: about.hops_taken(observed.ttl_max),
        hops_taken_max: about.hops_taken(observed.ttl_min),
        tos_rewritten: observed.tos_rewritten,
        tos: observed.marks.map(|marks| marks.tos),
        answer_tos: observed.answer_tos,
        forward_marks: marks(&observed.forward_marks),
        backward_marks: marks(&observed.backward_marks),
    }
}

fn marks(marks: &probe::MarkCounts) -> json::MarkCounts {
    json::MarkCounts {
        known: marks.known,
        dscp_changed: marks.dscp_changed,
        ect_cleared: marks.ect_cleared,
        ce: marks.ce,
    }
}

pub(super) fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

fn now() -> u64 {
    SystemClock.stamp().wall.0
}

#[cfg(test)]
mod tests;
