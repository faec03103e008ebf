//! What a person reads while probes go: a line for each answer, in the manner of `ping`.

use super::{About, Report, header, quic, summary};
use crate::format::{counted, millis, unix_time};
use crate::screen::{BAD, DIM, ODD, STRONG, Screen, Styled};
use halloo_base::{CloseReason, Nanos, Refusal, UnreachableError, Wall};
use halloo_io::SystemClock;
use halloo_probe::{Break, Event, Exchange, LossCause, Summary, Verdict};
use halloo_quic::QuicEvent;
use std::fmt::Write as _;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// How often the changing lines of a flood are drawn anew.
const LIVE_EVERY: Duration = Duration::from_millis(250);

/// Prints lines.
pub(crate) struct TextReport {
    screen: Screen,
    style: TextStyle,
    live: Vec<(u32, String)>,
}

/// What of it is printed, and how.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct TextStyle {
    /// Nothing but beginning and end.
    pub(crate) quiet: bool,
    /// The time of day before each line.
    pub(crate) print_time: bool,
    /// No line for each answer, but one that changes.
    pub(crate) flood: bool,
}

impl TextReport {
    /// A report to `screen`.
    pub(crate) fn new(screen: Screen, style: TextStyle) -> TextReport {
        TextReport {
            screen,
            style,
            live: vec![],
        }
    }

    fn line(&mut self, about: &About, at: Wall, text: &str) -> io::Result<()> {
        let mut head = String::new();
        if self.style.print_time {
            // Writing to a String cannot fail.
            let _ = write!(head, "[{}] ", unix_time(at));
        }
        if !about.label.is_empty() {
            let _ = write!(head, "{} ", Styled(DIM, format_args!("[{}]", about.label)));
        }
        self.screen.line(format_args!("{head}{text}"))
    }

    fn exchange(&mut self, about: &About, exchange: &Exchange) -> io::Result<()> {
        if self.style.flood {
            return Ok(());
        }
        let text = match exchange.verdict {
            Verdict::Answered | Verdict::Late | Verdict::Duplicate => match exchange.refusal {
                Some(no) => refusal(about, exchange, no),
                None => answer(about, exchange),
            },
            Verdict::Lost { cause, .. } => match loss(about, exchange, cause) {
                Some(text) => text,
                None => return Ok(()),
            },
            Verdict::Unsent => format!("{} was not sent", seq(exchange)),
            Verdict::InFlight => format!("no answer for {} yet", seq(exchange)),
        };
        let at = exchange.t4.map_or_else(now, |t4| t4.wall);
        self.line(about, at, &text)?;
        for line in header::below(exchange) {
            self.line(about, at, &Styled(DIM, line).to_string())?;
        }
        Ok(())
    }

    fn running(&mut self, about: &About, running: &Summary) -> io::Result<()> {
        let line = summary::running_line(about, running);
        match self.live.iter_mut().find(|(id, _)| *id == about.id) {
            Some((_, old)) => *old = line,
            None => self.live.push((about.id, line)),
        }
        let lines: Vec<_> = self.live.iter().map(|(_, line)| line.clone()).collect();
        self.screen.live(&lines)
    }
}

impl Report for TextReport {
    fn wants_probes(&self) -> bool {
        !self.style.quiet && !self.style.flood
    }

    fn wants_running(&self) -> Option<Duration> {
        (self.style.flood && !self.style.quiet && self.screen.is_terminal()).then_some(LIVE_EVERY)
    }

    fn unusable(&mut self, _target: &str, why: &anyhow::Error) -> io::Result<()> {
        crate::complain(format_args!("halloo: {why:#}"));
        Ok(())
    }

    fn start(&mut self, sessions: &[&About]) -> io::Result<()> {
        for about in sessions {
            let from = about
                .link
                .as_ref()
                .map(|link| format!(" from {link}"))
                .unwrap_or_default();
            self.screen.line(format_args!(
                "{} {} ({}){from} {} bytes of data.",
                Styled(STRONG, "PING"),
                about.target,
                about.place(),
                about.size
            ))?;
        }
        Ok(())
    }

    fn event(&mut self, about: &About, event: &Event) -> io::Result<()> {
        if let Event::Summary(running) = event {
            return self.running(about, running);
        }
        if self.style.quiet {
            return Ok(());
        }
        match event {
            Event::Exchange(exchange) => self.exchange(about, exchange),
            other => match notice(about, other) {
                Some((bad, text)) => {
                    let style = if bad { BAD } else { DIM };
                    self.line(about, now(), &Styled(style, text).to_string())
                }
                None => Ok(()),
            },
        }
    }

    fn quic(&mut self, about: &About, event: &QuicEvent) -> io::Result<()> {
        match quic::notice(about, event).filter(|_| !self.style.quiet) {
            Some((bad, text)) => {
                let style = if bad { BAD } else { DIM };
                self.line(about, now(), &Styled(style, text).to_string())
            }
            None => Ok(()),
        }
    }

    fn problem(&mut self, about: Option<&About>, what: &str) -> io::Result<()> {
        self.screen.clear_live()?;
        let label = about
            .filter(|about| !about.label.is_empty())
            .map(|about| format!("[{}] ", about.label));
        crate::complain(format_args!("halloo: {}{what}", label.unwrap_or_default()));
        Ok(())
    }

    fn end(&mut self, about: &About, summary: &Summary) -> io::Result<()> {
        for line in summary::block(about, summary) {
            self.screen.line(line)?;
        }
        Ok(())
    }

    fn written(&mut self, paths: &[PathBuf]) -> io::Result<()> {
        if !paths.is_empty() {
            self.screen.line("")?;
        }
        for path in paths {
            self.screen
                .line(format_args!("{} {}", Styled(DIM, "written:"), path.display()))?;
        }
        Ok(())
    }
}

/// What happened beside single probes, in words, and whether it is bad news.
pub(crate) fn notice(about: &About, event: &Event) -> Option<(bool, String)> {
    Some(match event {
        Event::Opened {
            connect,
            secure,
            path,
            ..
        } => {
            let secure = secure
                .map(|took| format!(", TLS {} ms", millis(took)))
                .unwrap_or_default();
            let lookup = about
                .lookup
                .map(|took| format!(", lookup {} ms", millis(took.into())))
                .unwrap_or_default();
            let ends = match about.beside_ip() {
                Some(face) => face.to_string(),
                // Early data of QUIC leaves before anything has arrived that would tell the address.
                None if path.local.ip().is_unspecified() => {
                    format!("{} from port {}", path.remote, path.local.port())
                }
                None => format!("{} from {}", path.remote, path.local),
            };
            let text = format!(
                "connected to {ends}: connect {} ms{secure}{lookup}",
                millis(*connect)
            );
            (false, text)
        }
        Event::Broken {
            why, lost, retry_in, ..
        } => {
            let lost = match lost {
                0 => String::new(),
                lost => format!(", {} lost", counted(*lost, "probe")),
            };
            (
                true,
                format!(
                    "{}{lost}; connecting again in {} ms",
                    break_words(about, *why),
                    retry_in.as_millis()
                ),
            )
        }
        Event::Unreachable {
            seq, reporter, error, ..
        } => {
            let who = reporter.map_or_else(|| "this host".to_owned(), |ip| ip.to_string());
            let seq = seq.map(|seq| format!("seq={} ", seq.0 + 1)).unwrap_or_default();
            (true, format!("From {who}: {seq}{error}"))
        }
        Event::ClockStepped { step, .. } => (
            true,
            format!("the wall clock of this host was stepped by {step}; round trips stay right"),
        ),
        Event::LinkChanged { up, .. } => {
            let link = about
                .link
                .as_ref()
                .map_or_else(|| "the link".to_owned(), ToString::to_string);
            (
                !up,
                format!("{link} {}", if *up { "came up" } else { "went down" }),
            )
        }
        _ => return None,
    })
}

/// Why a connection is of no more use.
pub(crate) fn break_words(about: &About, why: Break) -> String {
    match why {
        Break::Closed(CloseReason::Done) => "the connection was closed".into(),
        Break::Closed(CloseReason::ConnectFailed(error)) => refused(about, error),
        Break::Closed(CloseReason::Broken(error)) => format!("the connection broke: {error}"),
        Break::Closed(CloseReason::Insecure(why)) => (*why).into(),
        Break::Closed(CloseReason::HandshakeTimeout) => "TLS was not agreed on in time".into(),
        Break::Closed(CloseReason::Overflow) => "the connection was dropped: the peer does not read".into(),
        Break::ConnectTimeout {
            after,
            connected: true,
        } => {
            format!(
                "connected to {}, but TLS was not agreed on within {}",
                about.address(),
                waited(after)
            )
        }
        Break::ConnectTimeout { after, .. } => {
            format!("no connection to {} within {}", about.address(), waited(after))
        }
        Break::Finished => "the peer closed the connection".into(),
        Break::Foreign(what) => format!("the peer is no echo host: {what}"),
        _ => "the connection is gone".into(),
    }
}

fn refused(about: &About, error: UnreachableError) -> String {
    let classic = about.remote.port() == 7 && error == UnreachableError(nix::libc::ECONNREFUSED);
    let hint = if classic {
        " (`halloo serve` answers on 7777; on 7 too with --classic)"
    } else {
        ""
    };
    format!("cannot connect to {}: {error}{hint}", about.address())
}

/// `64 bytes from 192.0.2.7:7777: seq=1 time=0.041 ms wire=3.12 us ttl=64`
fn answer(about: &About, exchange: &Exchange) -> String {
    let mut line = format!(
        "{} bytes from {}: {}",
        about.payload_bytes(exchange),
        about.far_end(),
        seq(exchange)
    );
    // Writing to a String cannot fail.
    if let Some(host) = exchange.host {
        let _ = write!(line, " time={} ms", Styled(STRONG, millis(host)));
    }
    if let Some(wire) = exchange.wire {
        // The exact residence comes with a later answer; until then part of it counts as wire time.
        let relation = if exchange.is_wire_guessed() { '<' } else { '=' };
        let _ = write!(line, " wire{relation}{wire}");
    }
    if about.target.path.is_some() {
        line.push_str(&parts(exchange));
    }
    line.push_str(&header::in_line(about, exchange));
    let mark = match exchange.verdict {
        Verdict::Late => " (late)",
        Verdict::Duplicate => " (DUP!)",
        _ => "",
    };
    if !mark.is_empty() {
        let _ = write!(line, "{}", Styled(ODD, mark));
    }
    if exchange.clock_stepped {
        let _ = write!(line, "{}", Styled(ODD, " (clock stepped)"));
    }
    line
}

/// ` connect=0.350 ms tls=4.120 ms first=1.250 ms total=18.720 ms`: what of it took how long, over HTTP.
fn parts(exchange: &Exchange) -> String {
    let mut text = String::new();
    let mut part = |name: &str, span: Option<Nanos>| {
        if let Some(span) = span {
            // Writing to a String cannot fail.
            let _ = write!(text, " {name}={} ms", millis(span));
        }
    };
    part("connect", exchange.opening.map(|opening| opening.connect));
    part("tls", exchange.opening.and_then(|opening| opening.secure));
    part("first", exchange.first_byte);
    // Otherwise it is the time that stands before.
    part("total", exchange.total.filter(|_| exchange.opening.is_some()));
    text
}

/// `seq=1 answer says no: 486 Busy Here, time=0.412 ms`
fn refusal(about: &About, exchange: &Exchange, no: Refusal) -> String {
    let told = Styled(BAD, format_args!("answer says no: {} {}", no.code, no.name));
    let time = exchange
        .host
        .map(|host| format!(", time={} ms", millis(host)))
        .unwrap_or_default();
    let parts = match about.target.path {
        Some(_) => parts(exchange),
        None => String::new(),
    };
    format!("{} {told}{time}{parts}", seq(exchange))
}

/// A loss that has not been told by other lines already.
fn loss(about: &About, exchange: &Exchange, cause: LossCause) -> Option<String> {
    let text = match cause {
        LossCause::Timeout => format!(
            "no answer for {} within {}",
            seq(exchange),
            waited(about.lost_after)
        ),
        LossCause::Overrun => format!(
            "gave up waiting for {}: too many probes are under way",
            seq(exchange)
        ),
        LossCause::Unreachable | LossCause::Connection => return None,
    };
    Some(Styled(BAD, text).to_string())
}

/// Probes count from 1 for people, as those of `ping` do.
fn seq(exchange: &Exchange) -> String {
    format!("seq={}", exchange.seq.0 + 1)
}

/// How long somebody waited, as an option would say it: `500 ms`, `5 s`.
fn waited(span: Duration) -> String {
    if span < Duration::from_secs(1) {
        format!("{} ms", span.as_micros() as f64 / 1e3)
    } else {
        format!("{} s", span.as_secs_f64())
    }
}

fn now() -> Wall {
    use halloo_base::Clock;
    SystemClock.stamp().wall
}

#[cfg(test)]
mod tests;
