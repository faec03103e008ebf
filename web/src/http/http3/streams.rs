//! A lent connection as the HTTP/3 library wants one.

use crate::clock::SystemClock;
use crate::http::budget::Grant;
use crate::http::connection::Connection;
use crate::http::host::LONGEST_HEAD;
use h3::error::Code;
use h3::quic::{self, ConnectionErrorIncoming, StreamErrorIncoming, StreamId, WriteBuf};
use halloo_base::{Clock, Stamp};
use halloo_quic::{Gone, Lent, LentRecv, LentSend, Opener, StreamGone};
use hyper::body::{Buf, Bytes};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

/// The most that waits to be understood on one stream: the longest head, and what came after it.
const HELD: usize = 2 * LONGEST_HEAD as usize;

/// A connection.
pub(super) struct Carried {
    lent: Lent,
    opening: Opening,
}

/// Opens streams, and closes the connection.
pub(super) struct Opening {
    opener: Opener,
    connection: Arc<Connection>,
}

/// What comes on a stream.
pub(super) struct Incoming {
    recv: LentRecv,
    connection: Arc<Connection>,
    held: Arc<AtomicUsize>,
}

/// What goes on a stream.
pub(super) struct Outgoing {
    send: LentSend,
    connection: Arc<Connection>,
}

/// Both ways of a stream.
pub(super) struct Both {
    outgoing: Outgoing,
    incoming: Incoming,
}

/// Bytes that are counted for as long as somebody refers to them.
struct Held {
    bytes: Bytes,
    held: Arc<AtomicUsize>,
    _grant: Grant,
}

impl Carried {
    pub(super) fn new(lent: Lent, connection: Arc<Connection>) -> Carried {
        let opener = lent.opener();
        Carried {
            lent,
            opening: Opening { opener, connection },
        }
    }

    fn incoming(&self, recv: LentRecv) -> Incoming {
        Incoming {
            recv,
            connection: Arc::clone(&self.opening.connection),
            held: Arc::default(),
        }
    }
}

impl quic::Connection<Bytes> for Carried {
    type RecvStream = Incoming;
    type OpenStreams = Opening;

    fn poll_accept_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<Incoming, ConnectionErrorIncoming>> {
        let accepted = self.lent.poll_accept_uni(cx).map_err(of_connection);
        accepted.map_ok(|recv| self.incoming(recv))
    }

    fn poll_accept_bidi(&mut self, cx: &mut Context<'_>) -> Poll<Result<Both, ConnectionErrorIncoming>> {
        let accepted = self.lent.poll_accept_bi(cx).map_err(of_connection);
        accepted.map_ok(|(send, recv)| Both {
            outgoing: self.opening.outgoing(send),
            incoming: self.incoming(recv),
        })
    }

    fn opener(&self) -> Opening {
        Opening {
            opener: self.opening.opener.clone(),
            connection: Arc::clone(&self.opening.connection),
        }
    }
}

impl quic::OpenStreams<Bytes> for Carried {
    type BidiStream = Both;
    type SendStream = Outgoing;

    fn poll_open_bidi(&mut self, cx: &mut Context<'_>) -> Poll<Result<Both, StreamErrorIncoming>> {
        self.opening.poll_open_bidi(cx)
    }

    fn poll_open_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<Outgoing, StreamErrorIncoming>> {
        self.opening.poll_open_send(cx)
    }

    fn close(&mut self, code: Code, reason: &[u8]) {
        self.opening.close(code, reason);
    }
}

impl Opening {
    fn outgoing(&self, send: LentSend) -> Outgoing {
        Outgoing {
            send,
            connection: Arc::clone(&self.connection),
        }
    }
}

impl quic::OpenStreams<Bytes> for Opening {
    type BidiStream = Both;
    type SendStream = Outgoing;

    fn poll_open_bidi(&mut self, _: &mut Context<'_>) -> Poll<Result<Both, StreamErrorIncoming>> {
        // A server opens none (RFC 9114 section 6.1).
        Poll::Ready(Err(of_stream(StreamGone::Connection(Gone::Ended))))
    }

    fn poll_open_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<Outgoing, StreamErrorIncoming>> {
        let opened = self.opener.poll_open_uni(cx);
        opened
            .map_ok(|send| self.outgoing(send))
            .map_err(|gone| of_stream(StreamGone::Connection(gone)))
    }

    fn close(&mut self, code: Code, _: &[u8]) {
        self.opener.close(code.value());
    }
}

impl Incoming {
    /// Counts what has come for as long as it is there; `None` if it is too much.
    fn hold(&self, bytes: Bytes) -> Option<Bytes> {
        let connection = &self.connection;
        let mut grant = connection.host.budget.grant(connection.remote.ip());
        let before = self.held.fetch_add(bytes.len(), Ordering::Relaxed);
        let is_granted = before + bytes.len() <= HELD && grant.extend(bytes.len());
        let held = Held {
            bytes,
            held: Arc::clone(&self.held),
            _grant: grant,
        };
        is_granted.then(|| Bytes::from_owner(held))
    }
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.held.fetch_sub(self.bytes.len(), Ordering::Relaxed);
    }
}

impl quic::RecvStream for Incoming {
    type Buf = Bytes;

    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, StreamErrorIncoming>> {
        self.recv.poll_read(cx).map(|read| {
            let Some((bytes, at)) = read.map_err(of_stream)? else {
                return Ok(None);
            };
            self.connection.read(bytes.len(), here(at));
            let held = self.hold(bytes).ok_or_else(|| {
                let code = Code::H3_EXCESSIVE_LOAD.value();
                self.recv.stop(code);
                of_stream(StreamGone::Stopped(code))
            })?;
            Ok(Some(held))
        })
    }

    fn stop_sending(&mut self, code: u64) {
        self.recv.stop(code);
    }

    fn recv_id(&self) -> StreamId {
        number(self.recv.id())
    }
}

impl quic::SendStream<Bytes> for Outgoing {
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamErrorIncoming>> {
        self.send.poll_ready(cx).map_err(of_stream)
    }

    fn send_data<T: Into<WriteBuf<Bytes>>>(&mut self, data: T) -> Result<(), StreamErrorIncoming> {
        let mut data = data.into();
        let bytes = data.copy_to_bytes(data.remaining());
        self.connection.wrote(bytes.len());
        self.send.write(bytes);
        Ok(())
    }

    fn poll_finish(&mut self, _: &mut Context<'_>) -> Poll<Result<(), StreamErrorIncoming>> {
        self.send.finish();
        Poll::Ready(Ok(()))
    }

    fn reset(&mut self, code: u64) {
        self.send.reset(code);
    }

    fn send_id(&self) -> StreamId {
        number(self.send.id())
    }
}

impl quic::RecvStream for Both {
    type Buf = Bytes;

    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, StreamErrorIncoming>> {
        self.incoming.poll_data(cx)
    }

    fn stop_sending(&mut self, code: u64) {
        self.incoming.stop_sending(code);
    }

    fn recv_id(&self) -> StreamId {
        self.incoming.recv_id()
    }
}

impl quic::SendStream<Bytes> for Both {
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamErrorIncoming>> {
        self.outgoing.poll_ready(cx)
    }

    fn send_data<T: Into<WriteBuf<Bytes>>>(&mut self, data: T) -> Result<(), StreamErrorIncoming> {
        self.outgoing.send_data(data)
    }

    fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamErrorIncoming>> {
        quic::SendStream::poll_finish(&mut self.outgoing, cx)
    }

    fn reset(&mut self, code: u64) {
        self.outgoing.reset(code);
    }

    fn send_id(&self) -> StreamId {
        self.outgoing.send_id()
    }
}

impl quic::BidiStream<Bytes> for Both {
    type SendStream = Outgoing;
    type RecvStream = Incoming;

    fn split(self) -> (Outgoing, Incoming) {
        (self.outgoing, self.incoming)
    }
}

/// The stamp of a datagram, taken by another clock of this host, on ours: as long ago as the wall clock says.
fn here(at: Stamp) -> Stamp {
    let now = SystemClock.stamp();
    let age = std::time::Duration::from_nanos(now.wall.0.saturating_sub(at.wall.0));
    // A wall clock that was set meanwhile says anything; it is never older than a moment.
    let age = age.min(std::time::Duration::from_secs(1));
    Stamp {
        mono: halloo_base::Mono(now.mono.0.saturating_sub(age.as_nanos() as u64)),
        ..at
    }
}

fn number(id: u64) -> StreamId {
    StreamId::try_from(id).expect("both have the 62 bits of RFC 9000 section 2.1")
}

fn of_connection(gone: Gone) -> ConnectionErrorIncoming {
    match gone {
        Gone::Closed(error_code) => ConnectionErrorIncoming::ApplicationClose { error_code },
        Gone::TimedOut => ConnectionErrorIncoming::Timeout,
        _ => ConnectionErrorIncoming::Undefined(Arc::new(io::Error::from(io::ErrorKind::ConnectionReset))),
    }
}

fn of_stream(gone: StreamGone) -> StreamErrorIncoming {
    match gone {
        StreamGone::Stopped(error_code) => StreamErrorIncoming::StreamTerminated { error_code },
        StreamGone::Connection(gone) => StreamErrorIncoming::ConnectionErrorIncoming {
            connection_error: of_connection(gone),
        },
        _ => StreamErrorIncoming::Unknown(Box::new(io::Error::from(io::ErrorKind::BrokenPipe))),
    }
}
