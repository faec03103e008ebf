//! What is printed: a table and a plan, or one object.

use super::About;
use crate::json::{self, Head};
use crate::screen::{BAD, DIM, GOOD, STRONG, Screen, Styled};
use halloo_base::{Clock, Dependence};
use halloo_io::SystemClock;
use halloo_protocols::echo::pingback::Outcome;
use halloo_protocols::nat::{Findings, Kind, Lack, Lifetime, Stage};
use std::io;
use std::time::Duration;

/// Prints for people, or one object.
pub(super) struct Report {
    screen: Screen,
    json: bool,
}

impl Report {
    /// A report to `screen`.
    pub(super) fn new(screen: Screen, json: bool) -> Report {
        Report { screen, json }
    }

    /// Before anything is asked.
    pub(super) fn start(&mut self, about: &About) -> io::Result<()> {
        if self.json {
            return Ok(());
        }
        let named = about.names.iter().zip(&about.remotes);
        let hosts: Vec<_> = named
            .map(|(name, remote)| {
                let name = name.trim_start_matches("udp://");
                match name == remote.to_string() {
                    true => name.to_owned(),
                    false => format!("{name} ({})", remote.ip()),
                }
            })
            .collect();
        let link = about
            .link
            .as_ref()
            .map(|link| format!(" by {link}"))
            .unwrap_or_default();
        self.screen.line(format_args!(
            "{} between here and {}{link}",
            Styled(STRONG, "NAT"),
            hosts.join(", ")
        ))?;
        self.screen.line("")
    }

    /// While it goes on, on a terminal.
    pub(super) fn progress(&mut self, about: &About, found: &Findings, elapsed: Duration) -> io::Result<()> {
        if self.json {
            return Ok(());
        }
        let mut lines = table(found);
        let doing = match found.stage {
            Stage::Waiting => format!("waiting in silence, {} at most at a time", span(about.longest)),
            _ => "asking".to_owned(),
        };
        lines.push(
            Styled(
                DIM,
                format!("{} s: {doing}; Ctrl-C ends with what is known", elapsed.as_secs()),
            )
            .to_string(),
        );
        self.screen.live(&lines)
    }

    /// All that was found.
    pub(super) fn end(&mut self, about: &About, found: &Findings) -> io::Result<()> {
        if self.json {
            let object = serde_json::to_string(&object(about, found)).map_err(io::Error::from)?;
            return self.screen.line(object);
        }
        for line in table(found) {
            self.screen.line(line)?;
        }
        self.screen.line("")?;
        if found.stage == (Stage::Ended { stopped: true }) {
            self.screen.line(Styled(DIM, "Stopped before all was known."))?;
        }
        for line in plan(found) {
            self.screen.line(line)?;
        }
        Ok(())
    }
}

fn table(found: &Findings) -> Vec<String> {
    let rows = row_texts(found);
    rows.iter()
        .map(|(row, text)| format!("{row:<10}  {text}"))
        .collect()
}

/// Each row with what is known of it.
pub(super) fn row_texts(found: &Findings) -> Vec<(&'static str, String)> {
    let address = |address: Option<std::net::SocketAddr>| match address {
        Some(address) => address.to_string(),
        None => unknown(found, Lack::NoAnswer),
    };
    vec![
        ("inside", address(found.local)),
        ("outside", address(found.reflexive)),
        (
            "NAT",
            match found.translated {
                Some(true) => "yes".into(),
                Some(false) => "no: the address is the same outside".into(),
                None => unknown(found, Lack::NoAnswer),
            },
        ),
        (
            "mapping",
            match found.mapping.lack {
                Some(Lack::NotTranslated) => "none".into(),
                _ => kind(found, &found.mapping),
            },
        ),
        ("filtering", kind(found, &found.filtering)),
        ("ports", ports(found)),
        (
            "hairpin",
            match found.hairpin {
                Ok(true) => "yes".into(),
                Ok(false) => "no".into(),
                Err(lack) => unknown(found, lack),
            },
        ),
        ("lifetime", lifetime(found)),
        (
            "refresh",
            match found.inbound_refresh {
                Ok(true) => "by what is sent, and by what comes in".into(),
                Ok(false) => "by what is sent alone".into(),
                Err(lack) => unknown(found, lack),
            },
        ),
    ]
}

fn kind(found: &Findings, kind: &Kind) -> String {
    let names: Vec<_> = kind.possible.iter().map(|kind| words(*kind)).collect();
    match (&names[..], kind.lack) {
        ([], lack) => unknown(found, lack.unwrap_or(Lack::NoAnswer)),
        (names, None) => names.join(", or "),
        (names, Some(lack)) => format!("{}: {}", names.join(", or "), why(found, lack)),
    }
}

fn ports(found: &Findings) -> String {
    let (kept, seen) = (found.ports_kept, found.ports_seen);
    match kept {
        _ if seen == 0 => unknown(found, Lack::NoAnswer),
        kept if kept == seen => "kept".into(),
        0 => "not kept".into(),
        kept => format!("kept by {kept} of {seen} sockets"),
    }
}

fn lifetime(found: &Findings) -> String {
    match (found.lifetime, found.lifetime_lack) {
        (
            Lifetime {
                at_least: Some(least),
                below: Some(below),
            },
            _,
        ) => {
            format!("{} to {} in silence", span(least), span(below))
        }
        (
            Lifetime {
                at_least: Some(least),
                below: None,
            },
            _,
        ) => {
            format!("at least {} in silence", span(least))
        }
        (
            Lifetime {
                at_least: None,
                below: Some(below),
            },
            _,
        ) => format!("less than {} in silence", span(below)),
        (_, lack) => unknown(found, lack.unwrap_or(Lack::Unasked)),
    }
}

/// What follows for who sends and meets.
pub(super) fn plan(found: &Findings) -> Vec<String> {
    let mut lines = vec![];
    let bounded = found.lifetime.below.is_some();
    match (found.keep_alive(), found.lifetime_lack) {
        (Some(keep), _) if bounded => lines.push(format!("Keep-alive: send something every {}.", span(keep))),
        (Some(keep), _) => lines.push(format!(
            "Keep-alive: every {} is enough; how much rarer is, nobody tried.",
            span(keep)
        )),
        (None, Some(Lack::Unfiltered)) => lines.push("Keep-alive: none is needed.".into()),
        (None, _) => {}
    }
    lines.push(match found.two_such_can_meet() {
        Some(true) => Styled(GOOD, "Two such hosts can meet directly.").to_string(),
        Some(false) => Styled(BAD, "Two such hosts cannot meet directly: they need a relay.").to_string(),
        None => "Whether two such hosts can meet directly depends on what is not known.".into(),
    });
    lines
}

fn unknown(found: &Findings, lack: Lack) -> String {
    format!("unknown: {}", why(found, lack))
}

/// Why something is not known.
fn why(found: &Findings, lack: Lack) -> &'static str {
    let is_over = matches!(found.stage, Stage::Ended { .. });
    match lack {
        Lack::Unasked if is_over => "stopped before it was known",
        Lack::Unasked => "not yet",
        Lack::NoAnswer if !is_over => "no answer yet",
        Lack::NoAnswer => "the host does not answer",
        Lack::SecondPort => "needs a second port that tells our address (STUN at 3478)",
        Lack::SecondAddress => "needs a second address (another HOST, or one that has two)",
        Lack::Unstable => "the outside address is another with each answer",
        Lack::NoEchoHost => "the host knows no pingback: it is no echo host of halloo's",
        Lack::Refused(Outcome::NotOffered) => "the host offers no pingback",
        Lack::Refused(Outcome::NoOther) => "the host has no other port or address to send from",
        Lack::Refused(Outcome::Busy) => "the host has too many pingbacks waiting",
        Lack::Refused(Outcome::Unproven | Outcome::Granted) => {
            "the host does not take its own cookie: is our address stable?"
        }
        Lack::NothingCame => "nothing came back, not even from the port that was asked",
        Lack::NotTranslated => "nothing is translated",
        Lack::Unfiltered => "everybody is let in, always",
        Lack::Hidden => "the filter would hide it",
        Lack::NoEnd => "no mapping ended",
    }
}

fn words(kind: Dependence) -> &'static str {
    match kind {
        Dependence::EndpointIndependent => "endpoint-independent",
        Dependence::AddressDependent => "address-dependent",
        Dependence::AddressAndPortDependent => "address- and port-dependent",
    }
}

fn name(kind: Dependence) -> &'static str {
    match kind {
        Dependence::EndpointIndependent => "endpoint_independent",
        Dependence::AddressDependent => "address_dependent",
        Dependence::AddressAndPortDependent => "address_and_port_dependent",
    }
}

/// The same for a program.
pub(super) fn object(about: &About, found: &Findings) -> json::Nat {
    let names = |kind: &Kind| kind.possible.iter().map(|kind| name(*kind)).collect();
    let nanos = |span: Duration| u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
    let lacks = [
        ("mapping", found.mapping.lack),
        ("filtering", found.filtering.lack),
        ("hairpin", found.hairpin.err()),
        ("lifetime", found.lifetime_lack),
        ("inbound_refresh", found.inbound_refresh.err()),
    ];
    let unknown = lacks.into_iter().filter_map(|(row, lack)| {
        Some(json::NatUnknown {
            row,
            why: why(found, lack?),
        })
    });
    json::Nat {
        head: Head::new("nat"),
        time_ns: SystemClock.stamp().wall.0,
        hosts: about.remotes.iter().map(ToString::to_string).collect(),
        link: about.link.as_ref().map(ToString::to_string),
        complete: found.stage == (Stage::Ended { stopped: false }),
        local: found.local.map(|address| address.to_string()),
        reflexive: found.reflexive.map(|address| address.to_string()),
        translated: found.translated,
        mapping: found.mapping.known().map(name),
        mapping_possible: names(&found.mapping),
        filtering: found.filtering.known().map(name),
        filtering_possible: names(&found.filtering),
        ports_kept: found.ports_kept as u64,
        ports_seen: found.ports_seen as u64,
        hairpin: found.hairpin.ok(),
        lifetime_at_least_ns: found.lifetime.at_least.map(nanos),
        lifetime_below_ns: found.lifetime.below.map(nanos),
        inbound_refresh: found.inbound_refresh.ok(),
        keep_alive_ns: found.keep_alive().map(nanos),
        two_such_can_meet: found.two_such_can_meet(),
        unknown: unknown.collect(),
    }
}

/// `700 ms`, `25 s`, `29.8 s`.
fn span(span: Duration) -> String {
    let millis = span.as_millis();
    match millis {
        short if short < 1_000 => format!("{short} ms"),
        _ => {
            let tenths = (millis + 50) / 100;
            match tenths % 10 {
                0 => format!("{} s", tenths / 10),
                tenth => format!("{}.{tenth} s", tenths / 10),
            }
        }
    }
}
