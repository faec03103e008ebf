//! One errand of an investigation, on one socket.

use super::findings::{Came, Lack};
use super::query::{Fate, Query};
use crate::echo::asker::{Asker, Ending, Source, State};
use crate::echo::pingback::Outcome;
use halloo_base::{Datagram, Env, Mono, Path};
use std::net::SocketAddr;
use std::time::Duration;

/// What an errand is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// How ends see one socket.
    Mapping,
    /// Whom the NAT lets in.
    Filter(Source),
    /// The outside of a socket of the hairpin.
    Hairpin,
    /// How long a silence a mapping outlives.
    Lifetime,
    /// Whether what comes in keeps a mapping alive.
    Refresh,
}

#[derive(Clone, Debug)]
pub(super) enum Errand {
    Query(Query),
    Ask(Box<Asker>),
}

#[derive(Clone, Debug)]
pub(super) struct Task {
    /// Which of the investigation's sockets.
    pub(super) socket: usize,
    /// Not before this.
    pub(super) start: Mono,
    pub(super) purpose: Purpose,
    pub(super) errand: Errand,
}

impl Task {
    pub(super) fn is_open(&self) -> bool {
        match &self.errand {
            Errand::Query(query) => query.fate == Fate::Open,
            Errand::Ask(asker) => !matches!(asker.state(), State::Ended(_)),
        }
    }

    pub(super) fn due(&self, patience: Duration) -> Option<Mono> {
        let due = match &self.errand {
            Errand::Query(query) => query.due(patience),
            Errand::Ask(asker) => asker.due().map(|due| due.at),
        };
        due.map(|due| due.max(self.start))
    }

    pub(super) fn send(
        &mut self,
        env: &mut Env<'_>,
        patience: Duration,
        tries: u32,
        room: &mut [u8],
    ) -> Option<(Path, usize)> {
        if self.start > env.now {
            return None;
        }
        match &mut self.errand {
            Errand::Query(query) => {
                let len = query.send(env, patience, tries, room)?;
                Some((query.path, len))
            }
            Errand::Ask(asker) => {
                let len = asker.send(env, room)?;
                Some((asker.options().path, len))
            }
        }
    }

    /// Whether a datagram that came to its socket is for it.
    pub(super) fn hear(&mut self, rx: &Datagram<'_>) -> bool {
        match &mut self.errand {
            Errand::Query(query) => query.hear(rx),
            Errand::Ask(asker) => asker.hear(rx).is_ok(),
        }
    }

    pub(super) fn asker(&self) -> Option<&Asker> {
        match &self.errand {
            Errand::Ask(asker) => Some(asker),
            Errand::Query(_) => None,
        }
    }

    pub(super) fn query(&self) -> Option<&Query> {
        match &self.errand {
            Errand::Query(query) => Some(query),
            Errand::Ask(_) => None,
        }
    }

    /// How its socket was seen.
    pub(super) fn seen(&self) -> Option<SocketAddr> {
        match &self.errand {
            Errand::Query(query) => query.answer().map(|answer| answer.seen),
            Errand::Ask(asker) => asker.seen(),
        }
    }

    /// Whether what it asked for came.
    pub(super) fn came(&self) -> Came {
        match &self.errand {
            Errand::Query(query) => match query.fate {
                Fate::Answered(_) => Came::Yes,
                Fate::Silent => Came::No,
                Fate::Refused => Came::Unknown(Lack::Refused(Outcome::NotOffered)),
                Fate::Open => Came::Unknown(Lack::Unasked),
            },
            Errand::Ask(asker) => match asker.state() {
                _ if asker.came() > 0 => Came::Yes,
                State::Ended(Ending::Over | Ending::Complete) => Came::No,
                State::Ended(Ending::Refused(outcome)) => Came::Unknown(Lack::Refused(outcome)),
                State::Ended(Ending::Unanswered) => Came::Unknown(Lack::NoAnswer),
                State::Ended(Ending::PlainEcho) => Came::Unknown(Lack::NoEchoHost),
                State::Asking | State::Waiting => Came::Unknown(Lack::Unasked),
            },
        }
    }

    /// Silences of its own that its mapping outlived, and the one that it did not.
    pub(super) fn silences(&self) -> (Vec<Duration>, Option<Duration>) {
        let Some((asker, granted)) = self.asker().and_then(|asker| Some((asker, asker.granted()?))) else {
            return (vec![], None);
        };
        let outlived = asker.arrivals().iter().enumerate().map(|(nth, arrival)| {
            // Undisturbed it is what was promised; beyond that a repeated request broke the silence.
            match nth == 0 && arrival.seq == granted.seq {
                true => granted.silence,
                false => arrival.quiet.min(granted.silence),
            }
        });
        let is_over = asker.state() == State::Ended(Ending::Over);
        let came = asker.arrivals().iter().any(|arrival| arrival.seq == granted.seq);
        (outlived.collect(), (is_over && !came).then_some(granted.silence))
    }
}
