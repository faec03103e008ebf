//! Which of a host's ways out works, and which of them is to carry the traffic.
//!
//! [`Judge`] is told what became of each probe ([`Sample`]) and what the host knows of its links ([`LinkEvent`]), and
//! holds a [`State`] with its [`Reason`] for every link and address family.
//!
//! Time is an argument everywhere. Nothing here opens a socket, sets a route or reads a file.
#![forbid(unsafe_code)]

mod anchor;
mod evidence;
mod judge;
mod load;
mod name;
mod sample;
mod sequential;
mod serial;
mod settings;
mod span;
mod state;
mod verdict;
mod way;

pub use anchor::AnchorState;
pub use evidence::{AnchorEvidence, Evidence};
pub use judge::{Change, Judge, Stall, Standing};
pub use name::{Family, Name};
pub use sample::{Fact, LinkEvent, News, Sample};
pub use settings::{
    AnchorSettings, FailoverSettings, JudgeSettings, LinkSettings, Metered, Method, Mode, PolicySettings,
    Settings, SettingsError,
};
pub use span::Span;
pub use state::{Direction, Reason, State};
