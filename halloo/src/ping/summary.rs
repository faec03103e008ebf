//! The end of a session, for people: the lines of `ping`, a table, and what else there is to say.

use super::{About, header, marks};
use crate::format::{counted, local_time, millis, percent};
use crate::screen::{BAD, DIM, GOOD, ODD, STRONG, Styled};
use halloo_base::{Nanos, Transport};
use halloo_probe::{Counts, Ended, OneWay, Statistic, Summary};
use halloo_protocols::echo::wire;
use std::fmt::Write as _;
use std::time::Duration;

/// Width of a column of the table.
const COLUMN: usize = 9;
/// Width of what stands before the columns.
const HEAD: usize = 10;

/// Samples of which one in a hundred, or in a thousand, is more than the longest.
const ENOUGH_P99: u64 = 100;
const ENOUGH_P999: u64 = 1000;

/// Parts per billion of drift below which a fit says nothing.
const DRIFT: i64 = 50;
/// Before this it says nothing about clocks at all.
const DRIFT_AFTER: Duration = Duration::from_secs(10);

/// The whole summary, line by line.
pub(crate) fn block(about: &About, summary: &Summary) -> Vec<String> {
    let title = match &about.link {
        Some(link) => format!("{} from {link}", about.target),
        None => about.target.to_string(),
    };
    let mut lines = vec![
        String::new(),
        format!("--- {} statistics ---", Styled(STRONG, title)),
    ];
    lines.push(counts_line(summary));
    if let Some(host) = &summary.host {
        lines.push(format!(
            "rtt min/avg/max/mdev = {}/{}/{}/{} ms",
            millis(host.min),
            millis(host.mean),
            millis(host.max),
            millis(host.mdev)
        ));
        if has_table(summary) {
            lines.push(String::new());
            lines.extend(table(about, summary));
        }
    }
    let facts = facts(about, summary);
    if !facts.is_empty() {
        lines.push(String::new());
        lines.extend(facts);
    }
    lines
}

/// One line on standard error while it runs, as `ping` prints it for SIGQUIT.
pub(crate) fn running_line(about: &About, summary: &Summary) -> String {
    let counts = &summary.counts;
    let label = if about.label.is_empty() {
        String::new()
    } else {
        format!("[{}] ", about.label)
    };
    let seconds = summary.elapsed.as_secs_f64();
    let mut line = format!(
        "{label}{}/{} packets, {} loss",
        counts.answered,
        settled(counts),
        loss_share(counts)
    );
    // Writing to a String cannot fail.
    if let Some(host) = summary.host {
        let _ = write!(
            line,
            ", min/avg/max/mdev = {}/{}/{}/{} ms",
            millis(host.min),
            millis(host.mean),
            millis(host.max),
            millis(host.mdev)
        );
    }
    if about.spacing.is_zero() && seconds > 0.0 {
        let _ = write!(line, ", {:.0}/s", counts.answered as f64 / seconds);
    }
    line
}

/// A table of one sample would say the same in each column.
fn has_table(summary: &Summary) -> bool {
    summary.host.is_some_and(|host| host.count > 1)
}

/// Round trips side by side: wire, host, intended, and their variation.
pub(crate) fn table(about: &About, summary: &Summary) -> Vec<String> {
    let of_http = |row: Option<Statistic>| row.filter(|_| about.target.path.is_some());
    let rows = [
        ("wire", summary.wire),
        ("host", summary.host),
        ("first", of_http(summary.first_byte)),
        ("total", of_http(summary.total)),
        ("intended", summary.intended),
        ("ipdv", summary.ipdv),
        (
            "forward",
            summary.one_way.as_ref().map(|one_way| one_way.forward.queueing),
        ),
        (
            "backward",
            summary.one_way.as_ref().map(|one_way| one_way.backward.queueing),
        ),
    ];
    let mut title = " ".repeat(HEAD);
    for name in ["min", "avg", "p50", "p90", "p99", "p99.9", "max", "mdev"] {
        let _ = write!(title, "{name:>COLUMN$}");
    }
    let mut lines = vec![Styled(DIM, title).to_string()];
    lines.extend(
        rows.iter()
            .filter_map(|(name, row)| row.as_ref().map(|row| table_row(name, row))),
    );
    lines
}

fn table_row(name: &str, row: &Statistic) -> String {
    let mut line = format!("{name:<HEAD$}");
    // With fewer samples they are but the longest once more.
    let tail = |span: Nanos, enough| (row.count >= enough).then_some(span);
    for span in [
        Some(row.min),
        Some(row.mean),
        Some(row.p50),
        Some(row.p90),
        tail(row.p99, ENOUGH_P99),
        tail(row.p999, ENOUGH_P999),
        Some(row.max),
        Some(row.mdev),
    ] {
        let cell = span.map_or_else(|| "-".to_owned(), |span| span.to_string());
        let _ = write!(line, "{cell:>COLUMN$}");
    }
    line
}

/// Probes that are answered or lost.
fn settled(counts: &Counts) -> u64 {
    counts.answered + counts.lost()
}

/// Lost ones among the settled: `10%`, or `-` where none is settled.
fn loss_share(counts: &Counts) -> String {
    match settled(counts) {
        0 => "-".to_owned(),
        settled => format!("{}%", percent(counts.lost(), settled)),
    }
}

fn counts_line(summary: &Summary) -> String {
    let counts = &summary.counts;
    let mut line = format!("{} packets transmitted", counts.sent - counts.unsent);
    // Writing to a String cannot fail.
    if counts.unsent > 0 {
        let _ = write!(line, " ({} due)", counts.sent);
    }
    let _ = write!(line, ", {} received", counts.answered);
    let of_these = [
        (counts.refused, "refused"),
        (counts.late, "late"),
        (counts.reordered, "reordered"),
    ];
    let of_these: Vec<_> = of_these
        .iter()
        .filter(|(n, _)| *n > 0)
        .map(|(n, name)| format!("{n} {name}"))
        .collect();
    if !of_these.is_empty() {
        let _ = write!(line, " ({})", of_these.join(", "));
    }
    if counts.duplicates > 0 {
        let _ = write!(line, ", +{}", counted(counts.duplicates, "duplicate"));
    }
    let (style, loss) = match (settled(counts), counts.lost()) {
        (0, _) if counts.in_flight > 0 => (ODD, "no answer yet".to_owned()),
        (_, lost) => (
            if lost > 0 { BAD } else { GOOD },
            format!("{} packet loss", loss_share(counts)),
        ),
    };
    let _ = write!(
        line,
        ", {}, time {}ms",
        Styled(style, loss),
        summary.elapsed.as_millis()
    );
    if counts.in_flight > 0 {
        let _ = write!(line, ", {} still under way", counts.in_flight);
    }
    line
}

/// Everything else that is worth a line, and nothing that is not.
fn facts(about: &About, summary: &Summary) -> Vec<String> {
    let mut lines = vec![];
    let mut fact = |name: &str, text: String| {
        if !text.is_empty() {
            lines.push(format!("{}{text}", Styled(DIM, format_args!("{name:<HEAD$}"))));
        }
    };
    if let (Some(wire), false) = (&summary.wire, has_table(summary)) {
        fact("wire", wire.max.to_string());
    }
    if let (Some(_), false) = (&about.target.path, has_table(summary)) {
        for (name, row) in [("first", summary.first_byte), ("total", summary.total)] {
            fact(name, row.map(|row| row.max.to_string()).unwrap_or_default());
        }
    }
    fact("ended", ended(summary));
    fact("loss", loss(&summary.counts));
    if let Some(one_way) = &summary.one_way {
        fact("one-way", shortest(one_way));
        fact("clocks", clocks(one_way, summary.elapsed));
    }
    fact("connect", connect(about, summary));
    fact("ttl", header::summary(about, summary));
    fact("dscp", marks::dscp(about, summary));
    fact("ecn", marks::ecn(about, summary));
    fact("seen as", seen(about, summary));
    fact("budget", budget(summary));
    fact("stamps", stamps(about, summary));
    fact("odd", odd(summary));
    for (error, n) in &summary.unreachable {
        fact(
            "error",
            Styled(BAD, format!("{error}, {}", counted(*n, "time"))).to_string(),
        );
    }
    for note in notes(about, summary) {
        fact("note", Styled(ODD, note).to_string());
    }
    lines
}

fn ended(summary: &Summary) -> String {
    match summary.ended {
        Some(Ended::Deadline) if summary.count > 0 => "at its deadline, before its count".into(),
        Some(Ended::Unsendable) => Styled(BAD, "at once: no probe of this size can be made").to_string(),
        _ => String::new(),
    }
}

fn loss(counts: &Counts) -> String {
    let mut parts = vec![];
    let mut part = |n: u64, name: &str| {
        if n > 0 {
            parts.push(format!("{n} {name}"));
        }
    };
    part(counts.lost_forward, "on the way there");
    part(counts.lost_backward, "on the way back");
    // Where nobody could tell the direction the count above says it all.
    if counts.lost_forward + counts.lost_backward > 0 {
        part(counts.lost_unknown, "on one of the two");
    }
    part(counts.unsent, "not sent");
    // These are among those above.
    let mut causes = vec![];
    for (n, name) in [
        (counts.lost_connection, "with the connection"),
        (counts.overrun, "given up early"),
    ] {
        if n > 0 {
            causes.push(format!("{n} {name}"));
        }
    }
    match (parts.join(", "), causes.join(", ")) {
        (parts, causes) if parts.is_empty() => causes,
        (parts, causes) if causes.is_empty() => parts,
        (parts, causes) => format!("{parts}; of these {causes}"),
    }
}

/// Never without how far it may be off.
fn shortest(one_way: &OneWay) -> String {
    let OneWay {
        forward,
        backward,
        error,
        ..
    } = one_way;
    format!(
        "shortest {} there, {} back (± {error}); forward and backward are what comes on top",
        forward.min, backward.min
    )
}

fn clocks(one_way: &OneWay, elapsed: Duration) -> String {
    let mut text = format!("differ by {} (± {})", one_way.offset, one_way.error);
    if elapsed >= DRIFT_AFTER && one_way.skew_ppb.abs() >= DRIFT {
        let _ = write!(text, ", drift {:.1} ppm", one_way.skew_ppb as f64 / 1e3);
    }
    match one_way.claimed {
        Some(claimed) if one_way.contradicted => {
            let _ = write!(text, ", though both say within {claimed} of UTC");
        }
        Some(claimed) => {
            let _ = write!(text, ", both within {claimed} of UTC by their own account");
        }
        None => {}
    }
    if one_way.remote_steps > 0 {
        let _ = write!(
            text,
            ", theirs was stepped {}",
            counted(one_way.remote_steps, "time")
        );
    }
    text
}

/// `0.040/0.051/0.070 ms`
fn three(took: &Statistic) -> String {
    format!(
        "{}/{}/{} ms",
        millis(took.min),
        millis(took.mean),
        millis(took.max)
    )
}

fn connect(about: &About, summary: &Summary) -> String {
    if !about.is_stream() {
        return about
            .lookup
            .map(|took| format!("lookup {} ms", millis(took.into())))
            .unwrap_or_default();
    }
    let counts = &summary.counts;
    let mut parts = vec![];
    if let Some(took) = about.lookup {
        parts.push(format!("lookup {} ms", millis(took.into())));
    }
    let opening = [("connect", &summary.connect), ("TLS", &summary.secure)];
    for (name, took) in opening {
        let Some(took) = took else { continue };
        parts.push(match (took.count, name) {
            (1, name) => format!("{name} {} ms", millis(took.min)),
            (n, "connect") => format!("{n} connects, min/avg/max {}", three(took)),
            (_, name) => format!("{name} {}", three(took)),
        });
    }
    for (n, name) in [
        (counts.broken, "broken connection"),
        (counts.reconnects, "reconnect"),
        (counts.connect_failures, "failed connect"),
    ] {
        if n > 0 {
            parts.push(counted(n, name));
        }
    }
    parts.join(", ")
}

fn seen(about: &About, summary: &Summary) -> String {
    let observed = &summary.observed;
    let Some(seen) = observed.seen else {
        return String::new();
    };
    let mut parts = vec![];
    match (seen.addr.ip().is_unspecified(), seen.addr.port()) {
        (false, _) => parts.push(seen.addr.to_string()),
        // Some answers tell no address at all.
        (true, 0) => {}
        // A short reply has no room for an IPv6 address, and tells the port alone.
        (true, port) => {
            let needed = wire::WIDE + if about.signed { wire::TAG } else { 0 };
            parts.push(format!("port {port} (the address needs -s {needed})"));
        }
    }
    parts.extend(seen.ttl.map(|ttl| format!("ttl {ttl}")));
    let changes = [
        (observed.address_changes, "address change"),
        (observed.forward_mark_changes, "forward path change"),
        (observed.backward_mark_changes, "backward path change"),
    ];
    for (n, name) in changes.iter().filter(|(n, _)| *n > 0) {
        parts.push(counted(*n, name));
    }
    parts.join(", ")
}

/// Where the measurement's own error comes from: median and worst of a thousand, or of all where they are fewer.
fn budget(summary: &Summary) -> String {
    let budget = &summary.budget;
    let parts = [
        ("slot", budget.slot_error),
        ("send", budget.send_delay),
        ("receive", budget.receive_delay),
        ("residence", budget.residence),
    ];
    let told: Vec<_> = parts
        .iter()
        .filter_map(|(name, part)| part.map(|part| (name, part)))
        .collect();
    let enough = told.iter().all(|(_, part)| part.count >= ENOUGH_P999);
    let texts: Vec<_> = told
        .iter()
        .map(|(name, part)| {
            let worst = if enough { part.p999 } else { part.max };
            format!("{name} {}/{worst}", part.p50)
        })
        .collect();
    match (texts.is_empty(), enough) {
        (true, _) => String::new(),
        (_, true) => format!("p50/p99.9 of {}", texts.join(", ")),
        (_, false) => format!("p50/max of {}", texts.join(", ")),
    }
}

fn stamps(about: &About, summary: &Summary) -> String {
    let sources = &summary.sources;
    let points = [
        ("T1", sources.t1_hardware, sources.t1_kernel, sources.t1_user),
        ("T2", 0, sources.t2_kernel, sources.t2_user),
        ("T4", sources.t4_hardware, sources.t4_kernel, sources.t4_user),
    ];
    let all = |share: u64, hardware, kernel, user| share > 0 && share == hardware + kernel + user;
    let mut parts = vec![];
    for (name, hardware, kernel, user) in points {
        let word = match (hardware, kernel, user) {
            (0, 0, 0) => continue,
            (h, k, u) if all(h, h, k, u) => "hardware".to_owned(),
            (h, k, u) if all(k, h, k, u) => "kernel".to_owned(),
            (h, k, u) if all(u, h, k, u) => "user".to_owned(),
            (h, k, u) => format!("{} of {} by kernel or hardware", h + k, h + k + u),
        };
        parts.push(format!("{name} {word}"));
    }
    let echo = match (summary.observed.structured, summary.observed.plain) {
        (0, 0) => return String::new(),
        _ if about.is_stream() => "",
        (_, 0) if summary.counts.wire_guessed > 0 && summary.budget.residence_exact == 0 => {
            "; the echo host guesses its own: wire times are upper bounds"
        }
        (_, 0) => "; the echo host tells its own",
        (0, _) => "; a plain echo: its own time is in the wire round trip",
        _ => "; some answers are plain echoes",
    };
    let answers = summary.counts.answered;
    let wire = match summary.wire {
        Some(wire) if wire.count < answers => format!("; wire from {} of {answers} answers", wire.count),
        _ => String::new(),
    };
    format!("{}{echo}{wire}", parts.join(", "))
}

/// Counters that should be zero and are not.
fn odd(summary: &Summary) -> String {
    let (counts, unused) = (&summary.counts, &summary.unused);
    let table = [
        (counts.duplicates_forward, "", "duplicated on the way there"),
        (counts.duplicates_backward, "", "duplicated on the way back"),
        (counts.reordered_forward, "", "reordered on the way there"),
        (counts.reordered_backward, "", "reordered on the way back"),
        (counts.slots_missed, "slot", "missed by this host"),
        (counts.wire_negative, "wire time", "below zero"),
        (counts.wire_spoilt, "wire time", "spoilt by a clock step"),
        (unused.foreign, "answer", "to nothing asked"),
        (unused.wrong_path, "answer", "by another path"),
        (unused.malformed, "malformed answer", ""),
        (unused.bad_auth, "answer", "without proof of the key"),
        (unused.truncated, "answer", "cut short"),
        (unused.stale, "answer", "too old to be matched"),
        (unused.other, "answer", "refused"),
    ];
    let words = |&(n, noun, what): &(u64, &str, &str)| match (noun, what) {
        ("", what) => format!("{n} {what}"),
        (noun, "") => counted(n, noun),
        (noun, what) => format!("{} {what}", counted(n, noun)),
    };
    let mut parts: Vec<_> = table.iter().filter(|(n, ..)| *n > 0).map(words).collect();
    if counts.clock_steps > 0 {
        let by = Nanos(counts.clock_stepped_by.0);
        parts.push(format!(
            "the clock was stepped {}, by {by} in all",
            counted(counts.clock_steps, "time")
        ));
    }
    parts.join(", ")
}

/// What a reader might wonder about.
fn notes(about: &About, summary: &Summary) -> Vec<String> {
    let mut notes = vec![];
    let answered = summary.counts.answered > 0;
    let measured = summary.counts.answered > summary.counts.refused;
    if measured && summary.wire.is_none() {
        let sources = &summary.sources;
        let why = if sources.t1_kernel + sources.t1_hardware == 0 {
            "the kernel gave no departure stamps"
        } else if sources.t4_kernel + sources.t4_hardware == 0 {
            "the kernel gave no receive stamps"
        } else {
            "no exchange has both kernel stamps"
        };
        notes.push(format!("no wire round trip: {why}"));
    }
    if summary.unused.bad_auth > 0 && !answered {
        notes.push("the echo host does not have the same key".to_owned());
    } else if !about.is_stream()
        && !answered
        && summary.counts.sent > summary.counts.unsent
        && summary.unreachable.is_empty()
    {
        let what = match (about.target.ip_protocol, about.target.is_ip_echo()) {
            (Some(number), _) => {
                format!("an IP echo host there, and do firewalls let IP protocol {number} through")
            }
            (None, true) => "an IP echo host there, and does a firewall let UDP through".to_owned(),
            _ if about.target.question.is_some() => {
                "an NDN ping server there, or a forwarder with a route to one, and does a firewall let UDP through".to_owned()
            }
            _ if about.target.protocol.transport == Transport::Icmp => {
                "a host there, and do firewalls let ICMP echo through".to_owned()
            }
            (None, false) => "an echo host there, and does a firewall let UDP through".to_owned(),
        };
        notes.push(format!("nothing came back: is {what}?"));
        if about.source_routed {
            notes.push(
                "hosts and routers drop source routes unless told otherwise, this host too \
                 (net.ipv4.conf.all.accept_source_route, and that of the device)"
                    .to_owned(),
            );
        }
    }
    notes
}

/// When it began and how it went, in one line for logs.
pub(super) fn log_line(summary: &Summary) -> String {
    format!(
        "began {}; {}",
        local_time(summary.started.wall),
        anstream::adapter::strip_str(&counts_line(summary))
    )
}
