//! The journal: a line of JSON for everything that was told and said.
//!
//! Each line has `v`, the version of the format (1), `time_ns`, the wall clock, `type`, and `mono_ns`, the monotonic
//! clock of that host. Within a version fields may be added; readers skip what they do not know.

use crate::{Change, Decision, Held, LinkEvent, Sample, Settings, Stall};
use halloo_base::{Mono, Wall};
use serde::{Deserialize, Serialize};

/// One line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The version of the format.
    v: u8,
    /// When it was written, by the wall clock.
    #[serde(rename = "time_ns", with = "crate::serial::wall")]
    pub at: Wall,
    /// What is recorded.
    #[serde(flatten)]
    pub entry: Entry,
}

/// What a line is about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Entry {
    /// A watch begins, under these settings: nothing is known before it.
    Begin(Box<Begin>),
    /// It was told about a probe.
    Sample(Sample),
    /// It was told about a link.
    Event(LinkEvent),
    /// This host stood still.
    Stall(Stall),
    /// A link is in another state.
    State(Box<Change>),
    /// The traffic is to go elsewhere.
    Decision(Box<Decision>),
    /// Nothing was moved.
    Held(Held),
}

/// A watch begins.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Begin {
    /// When.
    #[serde(rename = "mono_ns", with = "crate::serial::mono")]
    pub at: Mono,
    /// Under which settings.
    pub settings: Settings,
}

/// A line that is none of a journal's.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JournalError {
    /// Not JSON, or not of this shape.
    #[error("line {line}: {why}")]
    Malformed {
        /// Which line, from 1.
        line: usize,
        /// What is wrong.
        why: String,
    },
    /// Written by a newer halloo.
    #[error(
        "line {line}: version {found} of the journal, and only {} is known here",
        Record::VERSION
    )]
    Version {
        /// Which line, from 1.
        line: usize,
        /// What it says.
        found: u64,
    },
}

impl Record {
    /// The version that is written.
    pub const VERSION: u8 = 1;

    /// A record of what was told or said, at this wall time.
    pub fn new(at: Wall, entry: impl Into<Entry>) -> Record {
        Record {
            v: Record::VERSION,
            at,
            entry: entry.into(),
        }
    }

    /// The line, without its end.
    pub fn line(&self) -> String {
        // Everything in a record is text, a number or a list of such: nothing in it can fail.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Reads a line; `number` counts from 1 and is for the error.
    ///
    /// # Errors
    /// The line is not of a journal, or of one that is not understood here.
    pub fn parse(line: &str, number: usize) -> Result<Record, JournalError> {
        #[derive(Deserialize)]
        struct Version {
            v: u64,
        }
        let malformed = |error: serde_json::Error| JournalError::Malformed {
            line: number,
            why: error.to_string(),
        };
        let version: Version = serde_json::from_str(line).map_err(malformed)?;
        if version.v != u64::from(Record::VERSION) {
            return Err(JournalError::Version {
                line: number,
                found: version.v,
            });
        }
        serde_json::from_str(line).map_err(malformed)
    }

    /// Reads a whole journal. A last line without an end is left out: its writer was stopped within it.
    ///
    /// # Errors
    /// The first line that is wrong.
    pub fn read(text: &str) -> Result<Vec<Record>, JournalError> {
        let whole = text
            .rfind('\n')
            .map_or("", |end| text.get(..end).unwrap_or_default());
        let lines = whole
            .lines()
            .enumerate()
            .filter(|(_, line)| !line.trim().is_empty());
        lines.map(|(at, line)| Record::parse(line, at + 1)).collect()
    }
}

impl Entry {
    /// When, by the monotonic clock.
    pub fn at(&self) -> Mono {
        match self {
            Entry::Begin(begin) => begin.at,
            Entry::Sample(sample) => sample.at,
            Entry::Event(event) => event.at,
            Entry::Stall(stall) => stall.at,
            Entry::State(change) => change.at,
            Entry::Decision(decision) => decision.at,
            Entry::Held(held) => held.at,
        }
    }
}
