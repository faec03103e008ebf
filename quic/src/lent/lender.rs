//! The machine's side: between the library and the queues.

use super::{
    ACCEPT_AHEAD, Bell, End, Gone, Lent, READ_AHEAD, Receiving, Sending, Shared, State, place, wake,
};
use halloo_base::{Path, Stamp};
use quinn_proto::{Connection, ConnectionError, Dir, ReadError, StreamId, VarInt, WriteError};
use std::sync::{Arc, Mutex};

/// A connection that was lent.
pub(crate) struct Loan {
    shared: Arc<Shared>,
}

/// What who answers wants of the connection itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    GoOn,
    Close(VarInt),
}

impl Loan {
    /// Lends the connection of this handle.
    pub(crate) fn new(bell: &Arc<Bell>, handle: usize, path: Path) -> (Loan, Lent) {
        let shared = Arc::new(Shared {
            bell: Arc::clone(bell),
            handle,
            path,
            state: Mutex::default(),
        });
        (
            Loan {
                shared: Arc::clone(&shared),
            },
            Lent::new(shared),
        )
    }

    /// Moves whatever can be moved. What was read arrived at `at`, the latest.
    pub(crate) fn serve(&self, quic: &mut Connection, at: Stamp) -> Wish {
        let mut state = self.shared.state();
        let state = &mut *state;
        state.touched = false;
        for dir in [Dir::Bi, Dir::Uni] {
            while state.accepted[place(dir)].len() < ACCEPT_AHEAD
                && let Some(id) = quic.streams().accept(dir)
            {
                state.recv.insert(id, Receiving::default());
                if dir == Dir::Bi {
                    let mut send = Sending::default();
                    // It may have been taken back before anybody knew of it.
                    if let Ok(Some(code)) = quic.send_stream(id).stopped() {
                        send.stopped(code);
                    }
                    state.send.insert(id, send);
                }
                state.accepted[place(dir)].push_back(id);
                wake(&mut state.accepting[place(dir)]);
            }
        }
        while state.wanted > 0
            && let Some(id) = quic.streams().open(Dir::Uni)
        {
            state.wanted -= 1;
            state.send.insert(id, Sending::default());
            state.opened.push_back(id);
            wake(&mut state.opening);
        }
        state.recv.retain(|&id, recv| {
            recv.serve(quic, id, at);
            !(recv.dropped && recv.stop.is_none())
        });
        state.send.retain(|&id, send| {
            send.serve(quic, id);
            !(send.dropped && send.finished)
        });
        match state.close {
            Some(code) => Wish::Close(VarInt::from_u64(code).unwrap_or_default()),
            None => Wish::GoOn,
        }
    }

    /// The peer wants no more of this stream.
    pub(crate) fn stopped(&self, id: StreamId, code: VarInt) {
        if let Some(send) = self.shared.state().send.get_mut(&id) {
            send.stopped(code);
        }
    }

    /// The connection is gone.
    pub(crate) fn end(&self, why: Option<&ConnectionError>) {
        let mut state = self.shared.state();
        let State {
            gone,
            accepting,
            opening,
            recv,
            send,
            ..
        } = &mut *state;
        gone.get_or_insert(match why {
            Some(ConnectionError::ApplicationClosed(close)) => Gone::Closed(close.error_code.into()),
            Some(ConnectionError::TimedOut) => Gone::TimedOut,
            _ => Gone::Ended,
        });
        accepting.iter_mut().for_each(wake);
        wake(opening);
        recv.values_mut().for_each(|recv| wake(&mut recv.reading));
        for send in send.values_mut() {
            wake(&mut send.writing);
            wake(&mut send.watching);
        }
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        self.end(None);
    }
}

impl Receiving {
    fn serve(&mut self, quic: &mut Connection, id: StreamId, at: Stamp) {
        if let Some(code) = self.stop.take() {
            // It may be at its end already.
            let _ = quic
                .recv_stream(id)
                .stop(VarInt::from_u64(code).unwrap_or_default());
            self.end.get_or_insert(End::Stopped(code));
        }
        if self.end.is_some() || self.queued >= READ_AHEAD {
            return;
        }
        let mut stream = quic.recv_stream(id);
        let Ok(mut chunks) = stream.read(true) else {
            self.end = Some(End::Stopped(0));
            return wake(&mut self.reading);
        };
        while self.queued < READ_AHEAD {
            match chunks.next(READ_AHEAD - self.queued) {
                Ok(Some(chunk)) => {
                    self.queued += chunk.bytes.len();
                    self.queue.push_back((chunk.bytes, at));
                }
                Ok(None) => self.end = Some(End::Finished),
                Err(ReadError::Reset(code)) => self.end = Some(End::Stopped(code.into())),
                Err(ReadError::Blocked) => break,
            }
            wake(&mut self.reading);
            if self.end.is_some() {
                break;
            }
        }
        // All that is to be sent is, in the end.
        let _ = chunks.finalize();
    }
}

impl Sending {
    fn serve(&mut self, quic: &mut Connection, id: StreamId) {
        if self.finished {
            return;
        }
        let mut stream = quic.send_stream(id);
        if let Some(code) = self.reset {
            // It may be at its end already.
            let _ = stream.reset(VarInt::from_u64(code).unwrap_or_default());
            self.finished = true;
            return;
        }
        while let Some(front) = self.queue.front_mut() {
            match stream.write(front) {
                Ok(taken) if taken < front.len() => {
                    bytes::Buf::advance(front, taken);
                }
                Ok(_) => {
                    self.queue.pop_front();
                }
                Err(WriteError::Blocked) => return,
                Err(WriteError::Stopped(code)) => {
                    self.stopped(code);
                    return self.serve(quic, id);
                }
                Err(WriteError::ClosedStream) => {
                    self.finished = true;
                    return self.stopped(VarInt::from_u32(0));
                }
            }
        }
        wake(&mut self.writing);
        if self.finish {
            // It fails where the peer wants no more, which is told apart.
            let _ = stream.finish();
            self.finished = true;
        }
    }

    /// It is broken off, as the peer has asked for (RFC 9000 section 3.5).
    pub(super) fn stopped(&mut self, code: VarInt) {
        self.queue.clear();
        self.stopped.get_or_insert(code.into());
        self.reset.get_or_insert(code.into());
        wake(&mut self.writing);
        wake(&mut self.watching);
    }
}
