//! Which of a host's ways out works, and which of them is to carry the traffic.
//!
//! [`Judge`] is told what became of each probe ([`Sample`]) and what the host knows of its links ([`LinkEvent`]), and
//! holds a [`State`] with its reason for every link and address family. [`Decider`] reads those states and says which
//! link carries ([`Decision`]). [`Watch`] is the two together, and writes a journal ([`Record`]) of all that they were
//! told and said: [`explain()`] puts it into words, [`replay()`] runs it again under other settings. The reasons for the
//! rules and their constants are in `docs/decisions/0011-links-decide.md`.
//!
//! Time is an argument everywhere. Nothing here opens a socket, sets a route or reads a file.
#![forbid(unsafe_code)]

mod anchor;
mod decider;
mod decision;
mod evidence;
mod explain;
mod hold_down;
mod journal;
mod judge;
mod load;
mod name;
mod replay;
mod sample;
mod score;
mod sequential;
mod serial;
mod settings;
mod side;
mod span;
mod state;
mod verdict;
mod watch;
mod way;

pub use anchor::AnchorState;
pub use decider::Decider;
pub use decision::{Because, Candidate, Decision, Flows, Held, Share, WhyNot};
pub use evidence::{AnchorEvidence, Evidence};
pub use explain::{Sentence, explain};
pub use journal::{Begin, Entry, JournalError, Record};
pub use judge::{Change, Judge, Stall, Standing};
pub use name::{Family, Name};
pub use replay::replay;
pub use sample::{Fact, LinkEvent, News, Sample};
pub use score::score;
pub use settings::{
    AnchorSettings, FailoverSettings, JudgeSettings, LinkSettings, Metered, Method, Mode, PolicySettings,
    Settings, SettingsError,
};
pub use span::Span;
pub use state::{Direction, Reason, State};
pub use watch::{Said, Told, Watch};
