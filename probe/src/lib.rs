//! The asking side of halloo: a schedule, a match of answers to questions, and an account of both.
//!
//! A session is a [`Machine`](halloo_base::Machine) that owns a protocol's codec
//! ([`Prober`](halloo_base::Prober) or [`StreamProber`](halloo_base::StreamProber)) and tells a [`Sink`] what it
//! learns. [`DatagramSession`] asks by datagrams, [`StreamSession`] over one long-lived connection. Both plan
//! alike ([`SessionOptions`]), both count alike ([`Counts`]), and both report every probe as an [`Exchange`] and
//! the whole as a [`Summary`].
//!
//! What is promised:
//! - slots are absolute: slot `k` is at `t0 + k * interval`, whatever came back, and a slot that the host slept
//!   through is counted;
//! - every probe ends in exactly one place: `sent == answered + lost + in_flight` at any time;
//! - an answer that comes after its probe was given up moves the probe from lost to answered;
//! - memory is fixed when the session is made, and nothing is allocated for a probe after that.
#![forbid(unsafe_code)]

mod account;
mod answer;
mod backoff;
mod datagram;
mod direction;
mod event;
mod exchange;
mod oneway;
mod options;
mod path_mtu;
mod ring;
mod schedule;
mod spread;
mod statistic;
mod statistics;
mod steps;
mod stream;
mod summary;
#[cfg(test)]
mod testing;
mod unreachable;
mod wire;

pub use datagram::DatagramSession;
pub use event::{Break, Event, Sink};
pub use exchange::{Direction, Exchange, LossCause, Opening, Residence, Verdict};
pub use oneway::{OneWay, OneWayDelay};
pub use options::{OptionsError, SessionOptions};
pub use path_mtu::{
    MakeProber, MtuProbe, MtuReport, MtuSink, PathMtu, PathMtuOptions, PathMtuSession, PathMtuSessionOptions,
    PathMtuState, SizeOutcome,
};
pub use spread::{
    DelayPath, FlowFacts, FlowReport, SpreadOptions, SpreadReport, SpreadSession, SpreadSink, SpreadVerdict,
};
pub use statistic::Statistic;
pub use stream::StreamSession;
pub use summary::{Budget, Counts, Ended, MarkCounts, Observed, Sources, Summary, Unused};
