//! The body of a request as it comes.

use super::streams::Incoming;
use h3::error::{Code, StreamError};
use h3::server::RequestStream;
use hyper::body::{Body, Buf, Bytes, Frame, SizeHint};
use hyper::header::{self, HeaderMap};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// The body of a request. Dropped before its end, its peer is told that the rest is not needed.
pub(super) struct RequestBody {
    stream: RequestStream<Incoming, Bytes>,
    /// How long it says that it is, and how much of that is still to come.
    left: Option<u64>,
    ended: bool,
}

impl RequestBody {
    pub(super) fn new(stream: RequestStream<Incoming, Bytes>, headers: &HeaderMap) -> RequestBody {
        let mut lengths = headers.get_all(header::CONTENT_LENGTH).iter();
        let length = lengths.next().filter(|_| lengths.next().is_none());
        let left = length.and_then(|length| length.to_str().ok()?.parse().ok());
        RequestBody {
            stream,
            left,
            ended: false,
        }
    }

    /// Counts what has come; false if that is more than was to come.
    fn count(&mut self, bytes: usize) -> bool {
        let bytes = bytes as u64;
        match &mut self.left {
            Some(left) if *left < bytes => false,
            Some(left) => {
                *left -= bytes;
                true
            }
            None => true,
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let data = match ready!(self.stream.poll_recv_data(cx)) {
            Ok(Some(mut data)) => Some(data.copy_to_bytes(data.remaining())),
            Ok(None) => None,
            Err(error) => return Poll::Ready(Some(Err(broken(&error)))),
        };
        let fits = match &data {
            Some(data) => self.count(data.len()),
            None => self.left.is_none_or(|left| left == 0),
        };
        if !fits {
            // Not as long as it says (RFC 9114 section 4.1.2).
            return Poll::Ready(Some(Err(io::ErrorKind::InvalidData.into())));
        }
        self.ended |= data.is_none();
        Poll::Ready(data.map(|data| Ok(Frame::data(data))))
    }

    fn is_end_stream(&self) -> bool {
        self.ended
    }

    fn size_hint(&self) -> SizeHint {
        let mut hint = SizeHint::new();
        hint.set_lower(self.left.unwrap_or(0));
        hint
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        if !self.ended {
            // The answer does not need it (RFC 9114 section 4.1).
            self.stream.stop_sending(Code::H3_NO_ERROR);
        }
    }
}

fn broken(error: &StreamError) -> io::Error {
    io::Error::other(error.to_string())
}
