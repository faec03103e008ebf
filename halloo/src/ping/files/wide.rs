//! One CSV file with all that is known of every exchange.

use super::Output;
use crate::ping::About;
use halloo_base::{Nanos, Stamp};
use halloo_probe::{Exchange, Verdict};
use std::io;
use std::path::Path;
use std::sync::mpsc::Sender;

/// The columns, in order. `docs/json.md` says what they mean.
pub(crate) const COLUMNS: &[&str] = &[
    "session",
    "target",
    "link",
    "seq",
    "verdict",
    "direction",
    "cause",
    "t1_ns",
    "t1_source",
    "t1_user_ns",
    "t2_ns",
    "t2_source",
    "t3_ns",
    "t4_ns",
    "t4_source",
    "t4_user_ns",
    "residence_ns",
    "residence_exact",
    "wire_ns",
    "host_ns",
    "intended_ns",
    "slot_error_ns",
    "clock_stepped",
    "ttl",
    "tos",
    "bytes",
    "connect_ns",
    "tls_ns",
    "t4_first_ns",
    "t4_first_source",
    "first_byte_ns",
    "total_ns",
];

/// The file.
pub(super) struct WideFile {
    out: Output,
}

/// What both wide forms, CSV and JSON, say of an exchange: the best stamps of each instant.
pub(crate) struct Best {
    /// T1 by the kernel or interface, else by this process.
    pub(crate) t1: Stamp,
    /// T4 likewise.
    pub(crate) t4: Option<Stamp>,
    /// Which way it was lost, for lost ones.
    pub(crate) direction: Option<&'static str>,
    /// How that was found out.
    pub(crate) cause: Option<&'static str>,
    /// Who took T2.
    pub(crate) t2_source: Option<&'static str>,
}

impl Best {
    pub(crate) fn of(exchange: &Exchange) -> Best {
        let (direction, cause) = match exchange.verdict {
            Verdict::Lost { direction, cause } => (Some(direction.name()), Some(cause.name())),
            _ => (None, None),
        };
        Best {
            t1: exchange.t1_kernel.unwrap_or(exchange.t1),
            t4: exchange.t4_kernel.or(exchange.t4),
            direction,
            cause,
            t2_source: exchange
                .t2
                .map(|_| if exchange.t2_kernel { "kernel" } else { "user" }),
        }
    }
}

impl WideFile {
    pub(super) fn create(path: &Path, problems: &Sender<String>) -> io::Result<WideFile> {
        let mut out = Output::create(path, problems)?;
        out.line(format_args!("{}", COLUMNS.join(",")));
        Ok(WideFile { out })
    }

    pub(super) fn row(&mut self, about: &About, exchange: &Exchange) {
        self.out
            .line(format_args!("{}", fields(about, exchange).join(",")));
    }

    pub(super) fn output(&self) -> &Output {
        &self.out
    }

    pub(super) fn flush(&mut self) {
        self.out.flush();
    }
}

/// The fields of a row, in the order of [`COLUMNS`]; empty where nothing is known.
pub(super) fn fields(about: &About, exchange: &Exchange) -> Vec<String> {
    let best = Best::of(exchange);
    let span = |span: Option<Nanos>| span.map(|span| span.0.to_string()).unwrap_or_default();
    let word = |word: Option<&str>| word.unwrap_or_default().to_owned();
    vec![
        about.id.to_string(),
        quoted(about.target.to_string()),
        quoted(about.link.as_ref().map(ToString::to_string).unwrap_or_default()),
        (exchange.seq.0 + 1).to_string(),
        exchange.verdict.name().to_owned(),
        word(best.direction),
        word(best.cause),
        best.t1.wall.0.to_string(),
        best.t1.source.name().to_owned(),
        exchange.t1.wall.0.to_string(),
        exchange.t2.map(|t2| t2.0.to_string()).unwrap_or_default(),
        word(best.t2_source),
        exchange.t3.map(|t3| t3.0.to_string()).unwrap_or_default(),
        best.t4.map(|t4| t4.wall.0.to_string()).unwrap_or_default(),
        word(best.t4.map(|t4| t4.source.name())),
        exchange.t4.map(|t4| t4.wall.0.to_string()).unwrap_or_default(),
        span(exchange.residence.map(|residence| residence.span)),
        exchange
            .residence
            .map(|residence| residence.exact.to_string())
            .unwrap_or_default(),
        span(exchange.wire),
        span(exchange.host),
        span(exchange.intended),
        exchange.slot_error.0.to_string(),
        exchange.clock_stepped.to_string(),
        exchange
            .marks
            .and_then(|marks| marks.ttl)
            .map(|ttl| ttl.to_string())
            .unwrap_or_default(),
        exchange
            .marks
            .map(|marks| marks.tos.to_string())
            .unwrap_or_default(),
        about.payload_bytes(exchange).to_string(),
        span(exchange.opening.map(|opening| opening.connect)),
        span(exchange.opening.and_then(|opening| opening.secure)),
        exchange
            .t4_first
            .map(|first| first.wall.0.to_string())
            .unwrap_or_default(),
        word(exchange.t4_first.map(|first| first.source.name())),
        span(exchange.first_byte),
        span(exchange.total),
    ]
}

/// A field that may hold what the user typed, quoted where it must be (RFC 4180 section 2).
fn quoted(text: String) -> String {
    if text.contains([',', '"']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text
    }
}
