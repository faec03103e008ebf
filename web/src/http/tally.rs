//! Answers by what was asked for, and by what was said.

use hyper::StatusCode;
use std::sync::atomic::{AtomicU64, Ordering};

/// What was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Welcome,
    Echo,
    Part,
    Status,
    Delay,
    Bytes,
    Portal,
    WebSocket,
    Other,
}

/// How many answers were made, by what was asked for and by the class of their status. One thread counts, any number read.
#[derive(Debug, Default)]
pub struct Tally {
    kinds: [AtomicU64; Kind::ALL.len()],
    statuses: [AtomicU64; STATUSES.len()],
}

/// The classes of RFC 9110 section 15.
const STATUSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

impl Kind {
    const ALL: [Kind; 9] = [
        Kind::Welcome,
        Kind::Echo,
        Kind::Part,
        Kind::Status,
        Kind::Delay,
        Kind::Bytes,
        Kind::Portal,
        Kind::WebSocket,
        Kind::Other,
    ];

    pub(super) fn of(path: &str) -> Kind {
        let first = path.strip_prefix('/').and_then(|path| path.split('/').next());
        match first.unwrap_or_default() {
            "" if path == "/" => Kind::Welcome,
            "anything" | "get" | "post" | "put" | "patch" | "delete" => Kind::Echo,
            "headers" | "ip" | "user-agent" | "uuid" => Kind::Part,
            "status" => Kind::Status,
            "delay" => Kind::Delay,
            "bytes" => Kind::Bytes,
            "generate_204" | "connecttest.txt" | "cdn-cgi" => Kind::Portal,
            "ws" | "websocket" => Kind::WebSocket,
            _ => Kind::Other,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Kind::Welcome => "welcome",
            Kind::Echo => "echo",
            Kind::Part => "part",
            Kind::Status => "status",
            Kind::Delay => "delay",
            Kind::Bytes => "bytes",
            Kind::Portal => "portal",
            Kind::WebSocket => "websocket",
            Kind::Other => "other",
        }
    }
}

impl Tally {
    pub(super) fn count(&self, kind: Kind, status: StatusCode) {
        let class = usize::from(status.as_u16() / 100).saturating_sub(1);
        let counters = [self.kinds.get(kind as usize), self.statuses.get(class)];
        for counter in counters.into_iter().flatten() {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// What was asked for, and how often, where it was at all.
    pub fn kinds(&self) -> Vec<(&'static str, u64)> {
        some(Kind::ALL.map(Kind::name), &self.kinds)
    }

    /// What was answered, and how often, where it was at all: `2xx`, `4xx`.
    pub fn statuses(&self) -> Vec<(&'static str, u64)> {
        some(STATUSES, &self.statuses)
    }
}

fn some<const N: usize>(names: [&'static str; N], counters: &[AtomicU64; N]) -> Vec<(&'static str, u64)> {
    let counts = counters.iter().map(|counter| counter.load(Ordering::Relaxed));
    names.into_iter().zip(counts).filter(|(_, n)| *n > 0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_that_there_is_has_its_kind() {
        let routes = include_str!("routes.rs");
        let paths = routes.lines().filter_map(|line| {
            let rest = line.trim_start().strip_prefix(".route(\"")?;
            rest.split('"').next()
        });
        let mut seen = 0;
        for path in paths {
            assert_ne!(Kind::of(path), Kind::Other, "{path}");
            seen += 1;
        }
        assert!(seen > 15, "{seen} paths");
        for path in ["/nothing", "", "*", "//", "/getter", "/x/get"] {
            assert_eq!(Kind::of(path), Kind::Other, "{path}");
        }
    }

    #[test]
    fn names_are_in_the_order_of_their_counters() {
        for (place, kind) in Kind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, place);
        }
        let tally = Tally::default();
        tally.count(Kind::Bytes, StatusCode::OK);
        tally.count(Kind::Bytes, StatusCode::TOO_MANY_REQUESTS);
        tally.count(Kind::WebSocket, StatusCode::SWITCHING_PROTOCOLS);
        assert_eq!(tally.kinds(), [("bytes", 2), ("websocket", 1)]);
        assert_eq!(tally.statuses(), [("1xx", 1), ("2xx", 1), ("4xx", 1)]);
    }
}
