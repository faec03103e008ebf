//! A socket that tells its connection when bytes came, and a body that tells when its last byte was taken.

use super::connection::{Connection, InFlight};
use axum::body::Body;
use axum::{BoxError, Error};
use halloo_base::Clock;
use hyper::body::{Body as HttpBody, Bytes, Frame, SizeHint};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// The socket of a connection, below TLS.
pub(super) struct Socket {
    stream: TcpStream,
    connection: Arc<Connection>,
}

impl Socket {
    pub(super) fn new(stream: TcpStream, connection: Arc<Connection>) -> Socket {
        Socket { stream, connection }
    }

    fn count(&self, wrote: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(len)) = wrote {
            self.connection.wrote(len);
        }
        wrote
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        room: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = room.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, room))?;
        let len = room.filled().len() - before;
        if len > 0 {
            // At once: this is T2.
            let at = crate::clock::SystemClock.stamp();
            self.connection.read(len, at);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.count(wrote)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.stream).poll_write_vectored(cx, bytes);
        self.count(wrote)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// The body of an answer. Its request is in flight for as long as it is there.
pub(super) struct AnswerBody {
    body: Body,
    _in_flight: InFlight,
}

impl AnswerBody {
    pub(super) fn new(body: Body, in_flight: InFlight) -> AnswerBody {
        AnswerBody {
            body,
            _in_flight: in_flight,
        }
    }
}

impl HttpBody for AnswerBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// So many random bytes, made as they are sent.
pub(super) struct RandomBody {
    rng: halloo_base::Rng,
    left: usize,
}

/// What is made at a time: as much as an HTTP/2 frame holds by default.
const PIECE: usize = 16_384;

impl RandomBody {
    /// `len` bytes that follow from `seed`.
    pub(super) fn new(seed: u64, len: usize) -> RandomBody {
        RandomBody {
            rng: halloo_base::Rng::new(seed),
            left: len,
        }
    }

    fn piece(&mut self) -> Option<Bytes> {
        if self.left == 0 {
            return None;
        }
        let len = self.left.min(PIECE);
        self.left -= len;
        // Whole words but for the last piece, so that the bytes do not depend on how they are cut.
        let mut piece: Vec<u8> = (0..len.div_ceil(8))
            .flat_map(|_| self.rng.next_u64().to_le_bytes())
            .collect();
        piece.truncate(len);
        Some(piece.into())
    }
}

impl HttpBody for RandomBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        Poll::Ready(self.piece().map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_bytes_follow_from_their_seed_and_are_as_many_as_asked_for() {
        let all = |seed, len| {
            let mut body = RandomBody::new(seed, len);
            std::iter::from_fn(|| body.piece()).collect::<Vec<_>>().concat()
        };
        assert_eq!(all(1, 0), b"");
        let long = all(1, PIECE + 5);
        assert_eq!(long.len(), PIECE + 5);
        assert_eq!(all(1, 13), long[..13]);
        assert_ne!(all(2, 13), long[..13]);
        // The first value of SplitMix64 for seed 0 as its authors published it.
        assert_eq!(all(0, 8), 0xe220_a839_7b1d_cdafu64.to_le_bytes());
    }
}
