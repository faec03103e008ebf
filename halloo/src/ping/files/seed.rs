//! The two files of the older `echo_client.py`: a log for people and a CSV file of timings.

use super::Output;
use crate::format::{local_time, millis};
use crate::ping::{About, summary, text};
use halloo_base::{Clock, ProbeId};
use halloo_io::SystemClock;
use halloo_probe::{Event, Exchange, Summary, Verdict};
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::Sender;

/// The first line of the CSV file.
pub(crate) const HEADER: &str = "packet_num,timestamp,send_time_ns,receive_time_ns,rtt_us";

/// Rows that wait for an earlier one, at most; then the earlier one loses its place.
const MOST_WAITING: usize = 65_536;
/// Files of one second in one folder that are tried before giving up.
const MOST_NAMES: u32 = 10_000;

/// Both files of one session.
pub(super) struct SeedFiles {
    log: Output,
    timings: Output,
    rows: InOrder,
    ended: bool,
}

/// Rows in the order of their probes, each once: probes settle in the order in which they are understood.
#[derive(Default)]
struct InOrder {
    next: ProbeId,
    waiting: BTreeMap<ProbeId, Exchange>,
}

/// A row as it is written.
struct Row<'a>(&'a Exchange);

impl SeedFiles {
    /// Makes both files under the first free name and writes what is known at the beginning.
    ///
    /// # Errors
    /// If one of them cannot be made.
    pub(super) fn create(
        dir: &Path,
        stamp: &str,
        about: &About,
        command: &str,
        problems: &Sender<String>,
    ) -> io::Result<SeedFiles> {
        let (log, timings) = create_pair(dir, stamp, problems)?;
        let mut files = SeedFiles {
            log,
            timings,
            rows: InOrder::default(),
            ended: false,
        };
        files.timings.line(format_args!("{HEADER}"));
        files.log(&format!("halloo {}: {command}", env!("CARGO_PKG_VERSION")));
        files.log(&format!("target {} at {}", about.target, about.far_end()));
        if let Some(link) = &about.link {
            files.log(&format!("from {link}"));
        }
        if let Some(lookup) = about.lookup {
            files.log(&format!("lookup took {} ms", millis(lookup.into())));
        }
        let count = if about.count == 0 {
            "until stopped".to_owned()
        } else {
            format!("{} packets", about.count)
        };
        files.log(&format!(
            "{} bytes every {} s, {count}, lost after {} s",
            about.size,
            about.spacing.as_secs_f64(),
            about.lost_after.as_secs_f64()
        ));
        files.log(&format!("timings in {}", files.timings.path.display()));
        files.flush();
        Ok(files)
    }

    /// The log and the CSV file.
    pub(super) fn outputs(&self) -> [&Output; 2] {
        [&self.log, &self.timings]
    }

    /// Where they are.
    pub(super) fn paths(&self) -> [PathBuf; 2] {
        self.outputs().map(|output| output.path.clone())
    }

    pub(super) fn event(&mut self, about: &About, event: &Event) {
        match event {
            Event::Settled(exchange) => {
                if exchange.verdict == Verdict::Late && exchange.seq < self.rows.next {
                    let late = exchange
                        .host
                        .map(|host| format!(" after {host}"))
                        .unwrap_or_default();
                    self.log(&format!(
                        "packet {} was answered after all{late}",
                        exchange.seq.0 + 1
                    ));
                }
                self.rows.add(*exchange);
                self.write_due(false);
            }
            Event::Exchange(exchange) => match exchange.verdict {
                Verdict::Lost { cause, .. } => {
                    self.log(&format!(
                        "packet {} is lost: {}",
                        exchange.seq.0 + 1,
                        cause.name()
                    ));
                }
                Verdict::Unsent => self.log(&format!("packet {} was not sent", exchange.seq.0 + 1)),
                Verdict::Duplicate => self.log(&format!("packet {} was answered again", exchange.seq.0 + 1)),
                _ => {}
            },
            Event::Summary(running) => self.log(&summary::running_line(about, running)),
            other => {
                if let Some((_, words)) = text::notice(about, other) {
                    self.log(&words);
                }
            }
        }
    }

    /// Writes what still waits, and the summary.
    pub(super) fn end(&mut self, about: &About, last: Option<&Summary>) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        self.write_due(true);
        match last {
            None => self.log("the session broke off without a summary"),
            Some(last) => {
                self.log(&summary::log_line(last));
                for line in summary::block(about, last).iter().filter(|line| !line.is_empty()) {
                    self.log(&anstream::adapter::strip_str(line).to_string());
                }
            }
        }
    }

    pub(super) fn flush(&mut self) {
        self.log.flush();
        self.timings.flush();
    }

    fn write_due(&mut self, all: bool) {
        while let Some(exchange) = self.rows.take(all) {
            self.timings.line(format_args!("{}", Row(&exchange)));
        }
    }

    fn log(&mut self, text: &str) {
        self.log
            .line(format_args!("{} {text}", local_time(SystemClock.stamp().wall)));
    }
}

impl InOrder {
    /// Takes the final word about a probe, or a better one while it still waits.
    fn add(&mut self, exchange: Exchange) {
        if exchange.seq >= self.next {
            self.waiting.insert(exchange.seq, exchange);
        }
    }

    /// The next row, if it has come; or the next that there is, if all that wait are wanted.
    fn take(&mut self, all: bool) -> Option<Exchange> {
        let (&seq, _) = self.waiting.first_key_value()?;
        if seq == self.next || all || self.waiting.len() > MOST_WAITING {
            self.next = ProbeId(seq.0 + 1);
            return self.waiting.pop_first().map(|(_, exchange)| exchange);
        }
        None
    }
}

impl fmt::Display for Row<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Row(exchange) = self;
        let sent = exchange.t1.wall;
        write!(f, "{},{},{},", exchange.seq.0 + 1, local_time(sent), sent.0)?;
        let answered = matches!(exchange.verdict, Verdict::Answered | Verdict::Late);
        match (exchange.t4, exchange.host) {
            (Some(received), Some(rtt)) if answered => {
                write!(f, "{},{}.{:03}", received.wall.0, rtt.0 / 1_000, rtt.0 % 1_000)
            }
            _ => f.write_str(","),
        }
    }
}

/// `echo_client_TIMESTAMP.log` and `echo_client_TIMESTAMP_timings.csv`; where either is there already,
/// `echo_client_TIMESTAMP-2.log` and so on.
fn create_pair(dir: &Path, stamp: &str, problems: &Sender<String>) -> io::Result<(Output, Output)> {
    for number in 1..=MOST_NAMES {
        let suffix = if number == 1 {
            String::new()
        } else {
            format!("-{number}")
        };
        let base = format!("echo_client_{stamp}{suffix}");
        let timings = dir.join(format!("{base}_timings.csv"));
        if timings.exists() {
            continue;
        }
        match Output::create_new(&dir.join(format!("{base}.log")), problems) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
            Ok(log) => return Ok((log, Output::create_new(&timings, problems)?)),
        }
    }
    Err(io::Error::other("too many files of this second"))
}
