//! A connection whose streams are answered on another thread.
//!
//! The machine moves bytes between the library and queues of bounded length; who answers takes and puts them there, and
//! rings when there is something to do. Nobody waits for a lock longer than a queue is looked through.

mod borrower;
mod lender;
#[cfg(test)]
mod tests;

pub use borrower::{Lent, LentRecv, LentSend, Opener};
pub(crate) use lender::{Loan, Wish};

use bytes::Bytes;
use halloo_base::{Path, Stamp};
use quinn_proto::{Dir, StreamId};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

/// How much that was read waits for the other thread, on each stream; what else has come holds back the peer.
const READ_AHEAD: usize = 4 << 10;

/// How many streams that the peer has opened wait for the other thread, of each kind; what else it has opened waits in the library.
const ACCEPT_AHEAD: usize = 32;

/// Who answers connections of another protocol than echo, on a thread of his own.
pub struct Lending {
    /// The protocol as it is agreed on in the handshake (RFC 7301).
    pub alpn: Vec<u8>,
    /// Takes a connection whose handshake is complete; gives it back if that is one too many, and it is closed. Must not block.
    pub take: Box<dyn FnMut(Lent) -> Result<(), Lent> + Send>,
    /// Has the machine woken ([`Input::Wake`](halloo_base::Input::Wake)) soon. Called on the other thread; must not block.
    pub ring: Box<dyn Fn() + Send + Sync>,
}

/// Why there is no connection any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Gone {
    /// The peer has closed it, with this code of the protocol inside.
    Closed(u64),
    /// Nothing came for too long.
    TimedOut,
    /// It was ended by this host, or somebody has broken QUIC's rules.
    Ended,
}

/// Why a stream goes no further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StreamGone {
    /// Its connection is gone.
    Connection(Gone),
    /// The peer has reset it, or wants no more of it, with this code of the protocol inside.
    Stopped(u64),
}

/// Which connections are to be looked at, and how to say so.
pub(crate) struct Bell {
    touched: Mutex<Vec<usize>>,
    ring: Box<dyn Fn() + Send + Sync>,
}

impl Bell {
    pub(crate) fn new(ring: Box<dyn Fn() + Send + Sync>) -> Bell {
        Bell {
            touched: Mutex::default(),
            ring,
        }
    }

    /// The connections that somebody has done something to.
    pub(crate) fn touched(&self) -> Vec<usize> {
        std::mem::take(&mut *lock(&self.touched))
    }
}

/// What both threads see of a connection.
struct Shared {
    bell: Arc<Bell>,
    handle: usize,
    path: Path,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Streams that the peer has opened: bidirectional ones, others.
    accepted: [VecDeque<StreamId>; 2],
    accepting: [Option<Waker>; 2],
    /// How many streams of one direction are to be opened, and those that were.
    wanted: usize,
    opened: VecDeque<StreamId>,
    opening: Option<Waker>,
    recv: BTreeMap<StreamId, Receiving>,
    send: BTreeMap<StreamId, Sending>,
    /// Whether it stands in the bell's list.
    touched: bool,
    /// To be closed, with this code.
    close: Option<u64>,
    gone: Option<Gone>,
}

/// What comes on a stream.
#[derive(Default)]
struct Receiving {
    queue: VecDeque<(Bytes, Stamp)>,
    queued: usize,
    end: Option<End>,
    /// To be told that nobody wants more, with this code.
    stop: Option<u64>,
    dropped: bool,
    reading: Option<Waker>,
}

#[derive(Clone, Copy)]
enum End {
    Finished,
    Stopped(u64),
}

/// What goes on a stream.
#[derive(Default)]
struct Sending {
    queue: VecDeque<Bytes>,
    finish: bool,
    finished: bool,
    /// To be broken off, with this code.
    reset: Option<u64>,
    stopped: Option<u64>,
    dropped: bool,
    writing: Option<Waker>,
    /// Who waits for the peer to want no more.
    watching: Option<Waker>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Lets the machine know that there is something to do; the state was changed before.
    fn touch(&self, mut state: MutexGuard<'_, State>) {
        if std::mem::replace(&mut state.touched, true) || state.gone.is_some() {
            return;
        }
        drop(state);
        lock(&self.bell.touched).push(self.handle);
        (self.bell.ring)();
    }
}

fn place(dir: Dir) -> usize {
    usize::from(dir == Dir::Uni)
}

fn wake(waker: &mut Option<Waker>) {
    if let Some(waker) = waker.take() {
        waker.wake();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Queues and flags: nothing in them is ever half done.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
