//! What the IP header of an answer shows: hops, marks, and what routers wrote into its options.

use super::About;
use crate::format::counted;
use crate::json::{HopTime, IpOptions};
use halloo_probe::{Exchange, Summary};
use halloo_protocols::ip_echo::{Described, RouteKind, describe};
use std::fmt::{Display, Write as _};
use std::net::Ipv4Addr;

/// ` ttl=126 (2 taken) dscp 46->0`, as far as something is known and worth a word.
pub(super) fn in_line(about: &About, exchange: &Exchange) -> String {
    let Some(marks) = exchange.marks else {
        return String::new();
    };
    let mut text = String::new();
    // Writing to a String cannot fail.
    if let Some(ttl) = marks.ttl {
        let _ = write!(text, " ttl={ttl}");
    }
    if let Some(taken) = about.hops_taken(marks.ttl) {
        let _ = write!(text, " ({taken} taken)");
    }
    if about.target.is_ip_echo() {
        text.push_str(&change("dscp", about.tos >> 2, marks.tos >> 2));
        text.push_str(&change("ecn", about.tos & 3, marks.tos & 3));
    }
    text
}

fn change(name: &str, sent: u8, came: u8) -> String {
    if sent == came {
        String::new()
    } else {
        format!(" {name} {sent}->{came}")
    }
}

/// What routers wrote into the answer's options, a line for each option that they write into.
pub(super) fn below(exchange: &Exchange) -> Vec<String> {
    let options = exchange.options.as_ref().map(describe).unwrap_or_default();
    options.iter().filter_map(line).collect()
}

fn line(option: &Described) -> Option<String> {
    Some(match option {
        Described::Route { kind, passed, .. } => {
            let name = match kind {
                RouteKind::Record => "route back",
                RouteKind::Loose | RouteKind::Strict => "by way of",
            };
            format!("    {name}: {}", list(passed, "nobody wrote into it"))
        }
        Described::Timestamps { entries, overflow } => {
            let entry = |(address, time): &(Option<Ipv4Addr>, _)| match address {
                Some(address) => format!("{address} {time}"),
                None => format!("{time}"),
            };
            let entries: Vec<_> = entries.iter().map(entry).collect();
            let more = match overflow {
                0 => String::new(),
                &n => format!(", no room for {} more", counted(n.into(), "hop")),
            };
            format!("    times: {}{more}", list(&entries, "nobody wrote into it"))
        }
        Described::Other(_) => return None,
        Described::Broken => "    its options do not hold together".to_owned(),
    })
}

fn list<T: Display>(items: &[T], none: &str) -> String {
    if items.is_empty() {
        return none.to_owned();
    }
    let items: Vec<_> = items.iter().map(ToString::to_string).collect();
    items.join(", ")
}

/// How many hops were taken there and back, and how often marks came back changed.
pub(super) fn summary(about: &About, summary: &Summary) -> String {
    let observed = &summary.observed;
    // The more is left, the less was taken.
    let taken = (
        about.hops_taken(observed.ttl_max),
        about.hops_taken(observed.ttl_min),
    );
    let mut text = match (taken, about.ttl) {
        ((Some(least), Some(most)), Some(sent)) if least == most => format!("{most} taken of {sent}"),
        ((Some(least), Some(most)), Some(sent)) => format!("{least} to {most} taken of {sent}"),
        _ => return String::new(),
    };
    if observed.tos_rewritten > 0 {
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "; DSCP or ECN changed in {}",
            counted(observed.tos_rewritten, "answer")
        );
    }
    text
}

/// The options of an answer as JSON has them.
pub(super) fn json(exchange: &Exchange) -> Option<IpOptions> {
    let address = |address: &Ipv4Addr| address.to_string();
    let mut told = IpOptions::default();
    for option in describe(exchange.options.as_ref()?) {
        match option {
            Described::Route { kind, passed, .. } => {
                let passed = passed.iter().map(address).collect();
                match kind {
                    RouteKind::Record => told.recorded_route = Some(passed),
                    RouteKind::Loose | RouteKind::Strict => told.source_route = Some(passed),
                }
            }
            Described::Timestamps { entries, overflow } => {
                let entry = |(hop, time): &(Option<Ipv4Addr>, halloo_protocols::ip_echo::HopTime)| HopTime {
                    address: hop.as_ref().map(address),
                    ms: time.since_midnight(),
                    raw: time.0,
                };
                told.timestamps = Some(entries.iter().map(entry).collect());
                told.timestamps_missed = Some(overflow);
            }
            Described::Other(kind) => told.others.push(kind),
            Described::Broken => told.broken = true,
        }
    }
    Some(told)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ping::sample;
    use crate::target::Target;
    use halloo_base::Marks;

    fn about(target: &str) -> About {
        About {
            target: Target::parse(target).expect("a target"),
            ttl: Some(128),
            tos: 0xb9,
            ..sample::about()
        }
    }

    fn came(tos: u8, ttl: Option<u8>) -> Exchange {
        Exchange {
            marks: Some(Marks { tos, ttl }),
            ..sample::exchange()
        }
    }

    #[test]
    fn hops_and_changed_marks_are_told_where_the_answer_is_the_probe_itself() {
        let table = [
            ("ip://192.0.2.7", 0xb9, Some(126), " ttl=126 (2 taken)"),
            (
                "udp+ip://192.0.2.7",
                0x03,
                Some(127),
                " ttl=127 (1 taken) dscp 46->0 ecn 1->3",
            ),
            ("udp://192.0.2.7", 0, Some(64), " ttl=64"),
            ("ip://192.0.2.7", 0xb9, None, ""),
            // Nobody gives hops back: the TTL was set anew on the way.
            ("ip://192.0.2.7", 0xb9, Some(255), " ttl=255"),
        ];
        for (target, tos, ttl, text) in table {
            assert_eq!(in_line(&about(target), &came(tos, ttl)), text, "{target}");
        }
    }

    #[test]
    fn what_routers_wrote_stands_below() {
        let lines = below(&sample::with_options());
        assert_eq!(
            lines,
            [
                "    by way of: 192.0.2.254",
                "    route back: 192.0.2.253",
                "    times: 192.0.2.7 12:30:45.123, no room for 2 hops more",
            ]
        );
        assert!(below(&sample::exchange()).is_empty());
    }

    #[test]
    fn the_summary_tells_the_least_and_the_most_hops() {
        let mut whole = sample::summary();
        whole.observed.ttl_min = Some(124);
        whole.observed.ttl_max = Some(126);
        let ip = about("ip://192.0.2.7");
        assert_eq!(summary(&ip, &whole), "2 to 4 taken of 128");
        whole.observed.ttl_min = Some(126);
        whole.observed.tos_rewritten = 1;
        assert_eq!(
            summary(&ip, &whole),
            "2 taken of 128; DSCP or ECN changed in 1 answer"
        );
        assert_eq!(summary(&about("udp://192.0.2.7"), &whole), "");
    }
}
