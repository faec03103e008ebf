//! Starting the binary on a lab's hosts, and reading what it says.

use halloo_lab::{Child, Host};
use serde_json::Value;
use std::time::Duration;

/// Longer than anything here takes, so that a hang ends with a message.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) const HALLOO: &str = env!("CARGO_BIN_EXE_halloo");

/// Starts an echo host and returns when it answers.
pub(crate) fn serve(host: &Host, args: &[&str]) -> Child {
    let server = host.spawn(HALLOO, [&["serve"], args].concat());
    // UDP and TCP have a line each, TCP the later one.
    server.wait_for_line("tcp", PATIENCE);
    server
}

/// Starts a `halloo ping` that speaks JSON.
pub(crate) fn ping(host: &Host, args: &[&str]) -> Child {
    host.spawn(HALLOO, [&["ping", "--json"], args].concat())
}

/// Runs `halloo ping` to its end and returns its exit code and what it said.
pub(crate) fn pinged(host: &Host, args: &[&str]) -> (i32, Said) {
    finished(&ping(host, args))
}

/// Waits for a `halloo ping` and returns its exit code and what it said.
pub(crate) fn finished(child: &Child) -> (i32, Said) {
    let code = child.wait(PATIENCE).code().expect("it exits, no signal ends it");
    (code, Said::parse(&child.stdout()))
}

/// Returns once the probe `seq` has been accounted for.
pub(crate) fn wait_for_seq(child: &Child, seq: u64) {
    child.wait_for_line(&format!("\"seq\":{seq},"), PATIENCE);
}

/// Every object that `halloo ping --json` printed.
#[derive(Debug)]
pub(crate) struct Said(pub(crate) Vec<Value>);

impl Said {
    fn parse(text: &str) -> Said {
        Said(
            text.lines()
                .map(|line| serde_json::from_str(line).expect("each line is an object"))
                .collect(),
        )
    }

    /// The objects of a type.
    pub(crate) fn all(&self, kind: &str) -> Vec<&Value> {
        self.0.iter().filter(|object| object["type"] == kind).collect()
    }

    /// The summary of the only session.
    pub(crate) fn summary(&self) -> &Value {
        match self.all("summary")[..] {
            [one] => one,
            ref other => panic!("{} summaries in {:#?}", other.len(), self.0),
        }
    }

    /// A counter of the only session's summary.
    pub(crate) fn count(&self, name: &str) -> u64 {
        count(self.summary(), name)
    }
}

/// A counter of a summary.
pub(crate) fn count(summary: &Value, name: &str) -> u64 {
    summary["counts"][name]
        .as_u64()
        .unwrap_or_else(|| panic!("no counter {name} in {summary:#}"))
}

/// What must hold of every summary: each probe ended in one way.
pub(crate) fn assert_accounted(summary: &Value) {
    let n = |name| count(summary, name);
    assert_eq!(
        n("sent"),
        n("answered") + n("lost") + n("in_flight"),
        "{summary:#}"
    );
    assert!(
        n("lost") >= n("lost_forward") + n("lost_backward") + n("lost_unknown"),
        "directions are part of what was lost: {summary:#}"
    );
}

/// What must hold of every summary: a slot of the plan was either used or counted as missed.
pub(crate) fn assert_slots_explained(summary: &Value, interval_ns: u64) {
    let slots = count(summary, "sent") + count(summary, "slots_missed");
    let elapsed = summary["elapsed_ns"].as_u64().expect("a time");
    // From the first slot to the last there are `slots - 1` intervals; the last answer came after the last slot.
    assert!(
        (slots - 1) * interval_ns <= elapsed,
        "more slots than time: {summary:#}"
    );
    let wait = summary["intended"]["max_ns"].as_u64().expect("measured");
    assert!(
        elapsed <= slots * interval_ns + wait,
        "time without slots: {summary:#}"
    );
}
