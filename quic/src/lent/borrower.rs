//! The side of who answers: what he may do with a connection, from any thread.

use super::{ACCEPT_AHEAD, End, Gone, Shared, StreamGone, place};
use bytes::Bytes;
use halloo_base::{Path, Stamp};
use quinn_proto::{Dir, Side, StreamId};
use std::sync::Arc;
use std::task::{Context, Poll};

/// A connection. Dropped, it is closed.
pub struct Lent {
    pub(super) shared: Arc<Shared>,
}

/// Opens streams of a connection, and closes it.
#[derive(Clone)]
pub struct Opener {
    pub(super) shared: Arc<Shared>,
}

/// What comes on a stream. Dropped before its end, the peer is told that nobody wants more.
pub struct LentRecv {
    pub(super) id: StreamId,
    pub(super) shared: Arc<Shared>,
}

/// What goes on a stream. Dropped before it was finished, it is reset.
pub struct LentSend {
    pub(super) id: StreamId,
    pub(super) shared: Arc<Shared>,
}

impl Lent {
    pub(super) fn new(shared: Arc<Shared>) -> Lent {
        Lent { shared }
    }

    /// Both ends, as the last datagram of the handshake had them.
    pub fn path(&self) -> Path {
        self.shared.path
    }

    /// The next bidirectional stream that the peer has opened.
    ///
    /// # Errors
    /// If the connection is gone.
    pub fn poll_accept_bi(&mut self, cx: &mut Context<'_>) -> Poll<Result<(LentSend, LentRecv), Gone>> {
        self.poll_accept(Dir::Bi, cx).map_ok(|id| {
            let shared = Arc::clone(&self.shared);
            let recv = self.recv(id);
            (LentSend { id, shared }, recv)
        })
    }

    /// The next unidirectional stream that the peer has opened.
    ///
    /// # Errors
    /// If the connection is gone.
    pub fn poll_accept_uni(&mut self, cx: &mut Context<'_>) -> Poll<Result<LentRecv, Gone>> {
        self.poll_accept(Dir::Uni, cx).map_ok(|id| self.recv(id))
    }

    fn recv(&self, id: StreamId) -> LentRecv {
        let shared = Arc::clone(&self.shared);
        LentRecv { id, shared }
    }

    fn poll_accept(&mut self, dir: Dir, cx: &mut Context<'_>) -> Poll<Result<StreamId, Gone>> {
        let mut state = self.shared.state();
        if let Some(gone) = state.gone {
            return Poll::Ready(Err(gone));
        }
        let was_full = state.accepted[place(dir)].len() >= ACCEPT_AHEAD;
        match state.accepted[place(dir)].pop_front() {
            Some(id) => {
                if was_full {
                    // There may be more where it came from.
                    self.shared.touch(state);
                }
                Poll::Ready(Ok(id))
            }
            None => {
                state.accepting[place(dir)] = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    /// One who opens streams.
    pub fn opener(&self) -> Opener {
        let shared = Arc::clone(&self.shared);
        Opener { shared }
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.opener().close(0);
    }
}

impl Opener {
    /// Opens a unidirectional stream.
    ///
    /// # Errors
    /// If the connection is gone.
    pub fn poll_open_uni(&mut self, cx: &mut Context<'_>) -> Poll<Result<LentSend, Gone>> {
        let mut state = self.shared.state();
        if let Some(gone) = state.gone {
            return Poll::Ready(Err(gone));
        }
        if let Some(id) = state.opened.pop_front() {
            let shared = Arc::clone(&self.shared);
            return Poll::Ready(Ok(LentSend { id, shared }));
        }
        state.opening = Some(cx.waker().clone());
        if state.wanted == 0 {
            state.wanted = 1;
            self.shared.touch(state);
        }
        Poll::Pending
    }

    /// Ready when the peer wants no more of what is sent on the bidirectional stream of his with this number (RFC 9000 section
    /// 2.1), when all of it is sent, or when the connection is gone. One task at a time waits for that.
    pub fn poll_stopped(&self, stream: u64, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.shared.state();
        let is_gone = state.gone.is_some();
        let id = StreamId::new(Side::Client, Dir::Bi, stream >> 2);
        match state.send.get_mut(&id) {
            Some(send) if send.stopped.is_none() && !send.finished && !is_gone => {
                send.watching = Some(cx.waker().clone());
                Poll::Pending
            }
            _ => Poll::Ready(()),
        }
    }

    /// Closes the connection with this code of the protocol inside, once what was written has left or a second later. The
    /// first code counts.
    pub fn close(&self, code: u64) {
        let mut state = self.shared.state();
        if state.close.is_none() {
            state.close = Some(code);
            self.shared.touch(state);
        }
    }
}

impl LentRecv {
    /// The stream's number (RFC 9000 section 2.1).
    pub fn id(&self) -> u64 {
        self.id.into()
    }

    /// The next bytes, and when the datagram that brought them arrived; `None` at the end.
    ///
    /// # Errors
    /// If the peer has broken it off, or the connection is gone.
    pub fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<(Bytes, Stamp)>, StreamGone>> {
        let mut state = self.shared.state();
        let gone = state.gone;
        let Some(recv) = state.recv.get_mut(&self.id) else {
            return Poll::Ready(Ok(None));
        };
        if let Some((bytes, at)) = recv.queue.pop_front() {
            recv.queued -= bytes.len();
            if recv.queue.is_empty() && recv.end.is_none() {
                self.shared.touch(state);
            }
            return Poll::Ready(Ok(Some((bytes, at))));
        }
        match (recv.end, gone) {
            (Some(End::Finished), _) => Poll::Ready(Ok(None)),
            (Some(End::Stopped(code)), _) => Poll::Ready(Err(StreamGone::Stopped(code))),
            (None, Some(gone)) => Poll::Ready(Err(StreamGone::Connection(gone))),
            (None, None) => {
                recv.reading = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    /// Tells the peer that nobody wants more, with this code of the protocol inside.
    pub fn stop(&mut self, code: u64) {
        let mut state = self.shared.state();
        if let Some(recv) = state.recv.get_mut(&self.id)
            && recv.end.is_none()
        {
            recv.stop = Some(code);
            recv.end = Some(End::Stopped(code));
            recv.queue.clear();
            self.shared.touch(state);
        }
    }
}

impl Drop for LentRecv {
    fn drop(&mut self) {
        let mut state = self.shared.state();
        if let Some(recv) = state.recv.get_mut(&self.id) {
            if recv.end.is_none() {
                recv.stop = Some(0);
            }
            recv.dropped = true;
            self.shared.touch(state);
        }
    }
}

impl LentSend {
    /// The stream's number (RFC 9000 section 2.1).
    pub fn id(&self) -> u64 {
        self.id.into()
    }

    /// Ready when all that was written has been handed to QUIC, which keeps no more than its window.
    ///
    /// # Errors
    /// If the peer wants no more, or the connection is gone.
    pub fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamGone>> {
        let mut state = self.shared.state();
        let gone = state.gone;
        let Some(send) = state.send.get_mut(&self.id) else {
            return Poll::Ready(Ok(()));
        };
        match (send.stopped, gone) {
            (Some(code), _) => Poll::Ready(Err(StreamGone::Stopped(code))),
            (None, Some(gone)) => Poll::Ready(Err(StreamGone::Connection(gone))),
            (None, None) if send.queue.is_empty() => Poll::Ready(Ok(())),
            (None, None) => {
                send.writing = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    /// Writes, after [`LentSend::poll_ready`].
    pub fn write(&mut self, bytes: Bytes) {
        let mut state = self.shared.state();
        if let Some(send) = state.send.get_mut(&self.id)
            && !bytes.is_empty()
        {
            send.queue.push_back(bytes);
            self.shared.touch(state);
        }
    }

    /// Says that this was all.
    pub fn finish(&mut self) {
        let mut state = self.shared.state();
        if let Some(send) = state.send.get_mut(&self.id) {
            send.finish = true;
            self.shared.touch(state);
        }
    }

    /// Breaks it off, with this code of the protocol inside.
    pub fn reset(&mut self, code: u64) {
        let mut state = self.shared.state();
        if let Some(send) = state.send.get_mut(&self.id)
            && !send.finished
        {
            send.reset = Some(code);
            send.queue.clear();
            self.shared.touch(state);
        }
    }
}

impl Drop for LentSend {
    fn drop(&mut self) {
        let mut state = self.shared.state();
        if let Some(send) = state.send.get_mut(&self.id) {
            if !send.finish && send.reset.is_none() {
                send.reset = Some(0);
            }
            send.dropped = true;
            self.shared.touch(state);
        }
    }
}
