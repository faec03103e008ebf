//! What is known of one connection: when bytes came, which requests are in flight, and how long it may go on so.

use super::host::Host;
use crate::clock::SystemClock;
use halloo_base::{Clock, Mono, Reason, Stamp};
use halloo_serve::Place;
use hyper::Version;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// One connection. It gives its place back when nothing refers to it any more, its socket last.
pub(super) struct Connection {
    pub(super) host: Arc<Host>,
    pub(super) local: SocketAddr,
    pub(super) remote: SocketAddr,
    /// By which the host knows it while no request has come.
    pub(super) id: u64,
    place: Option<Place>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Whether the head of a request has come yet.
    heard: bool,
    /// Whether several requests share the connection, so that no byte can be said to be the first of one.
    multiplexed: bool,
    /// When the first byte came since nothing was in flight.
    first: Option<Stamp>,
    /// When any byte came.
    latest: Stamp,
    /// When the requests that are in flight began, the first of them first.
    in_flight: BTreeMap<u64, Mono>,
    begun: u64,
    /// Since when nothing is in flight.
    quiet_since: Mono,
}

/// How long a connection may do what.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    pub(super) header: Duration,
    pub(super) idle: Duration,
    pub(super) request: Duration,
}

/// A request that was read and whose answer has not been taken whole.
pub(super) struct InFlight {
    connection: Arc<Connection>,
    id: u64,
    /// When its first byte was read, or as near to that as can be told.
    pub(super) t2: Stamp,
    answered: bool,
}

impl Connection {
    pub(super) fn new(
        host: Arc<Host>,
        (local, remote): (SocketAddr, SocketAddr),
        place: Place,
        id: u64,
    ) -> Connection {
        Connection {
            host,
            local,
            remote,
            id,
            place: Some(place),
            state: Mutex::new(State::new(SystemClock.stamp())),
        }
    }

    pub(super) fn read(&self, len: usize, at: Stamp) {
        self.host.counters.read(len);
        self.state().read(at);
    }

    pub(super) fn wrote(&self, len: usize) {
        self.host.counters.wrote(len);
    }

    /// What was read so far was no request: the handshake of TLS.
    pub(super) fn shook_hands(&self) {
        self.state().first = None;
    }

    /// The head of a request has come.
    pub(super) fn begin(self: &Arc<Connection>, version: Version) -> InFlight {
        let (id, t2, is_first) = self.state().begin(version >= Version::HTTP_2);
        if is_first {
            self.host.heard(self.id);
        }
        self.host.requests.receive(0);
        InFlight {
            connection: Arc::clone(self),
            id,
            t2,
            answered: false,
        }
    }

    /// When the connection will have gone on as it does for too long.
    pub(super) fn deadline(&self) -> Mono {
        self.state().deadline(self.host.patience)
    }

    /// Whether its peer has asked before and asks nothing now.
    pub(super) fn is_idle(&self) -> bool {
        self.state().is_idle()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.host.left(self.id, self.place.take());
    }
}

impl State {
    fn new(at: Stamp) -> State {
        State {
            heard: false,
            multiplexed: false,
            first: None,
            latest: at,
            in_flight: BTreeMap::new(),
            begun: 0,
            quiet_since: at.mono,
        }
    }

    fn read(&mut self, at: Stamp) {
        self.latest = at;
        if self.in_flight.is_empty() {
            self.first.get_or_insert(at);
        }
    }

    /// Its number, its T2, and whether it is the first on this connection.
    fn begin(&mut self, multiplexed: bool) -> (u64, Stamp, bool) {
        let is_first = !std::mem::replace(&mut self.heard, true);
        self.multiplexed = multiplexed;
        let first = self.first.take().filter(|_| !multiplexed);
        // What was sent together with an earlier request came when the last bytes came.
        let t2 = first.unwrap_or(self.latest);
        self.begun += 1;
        self.in_flight.insert(self.begun, t2.mono);
        (self.begun, t2, is_first)
    }

    fn end(&mut self, id: u64, now: Mono) {
        self.in_flight.remove(&id);
        if self.in_flight.is_empty() {
            self.quiet_since = now;
        }
    }

    fn is_idle(&self) -> bool {
        // Half a head is no rest, where it can be told from other bytes.
        let is_quiet = self.multiplexed || self.first.is_none();
        self.heard && self.in_flight.is_empty() && is_quiet
    }

    fn deadline(&self, patience: Patience) -> Mono {
        if let Some((_, &began)) = self.in_flight.first_key_value() {
            return began + patience.request;
        }
        let idle = self.quiet_since + patience.idle;
        match self.first {
            _ if !self.heard => self.quiet_since + patience.header,
            Some(first) if !self.multiplexed => idle.min(first.mono + patience.header),
            _ => idle,
        }
    }
}

impl InFlight {
    /// An answer was made: it is this long, as far as that is known.
    pub(super) fn answered(&mut self, len: u64) {
        self.answered = true;
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        self.connection.host.requests.reply(len);
    }

    /// An answer was made, and it says no.
    pub(super) fn refused(&mut self, why: Reason) {
        self.answered = true;
        self.connection.host.requests.silent(why);
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        if !self.answered {
            // Its peer has gone, or took it back, before there was an answer.
            self.connection.host.requests.silent(Reason::Incomplete);
        }
        self.connection.state().end(self.id, SystemClock::mono());
    }
}

#[cfg(test)]
mod tests;
