//! Asks over HTTP/1.1, and understands what comes back.

use super::HttpProberOptions;
use super::request::{emit, is_idempotent};
use super::response::{Answer, Reader};
use halloo_base::{Env, Finish, Heard, ProbeId, Progress, Reason, StreamProber};

/// Sends one request over and over, and reads the answers in the order of the requests.
///
/// Connections are used again as long as the server agrees. Requests follow each other without waiting for answers only
/// where that is safe: to a server that has kept a connection, by a method that may be repeated
/// (RFC 9112 section 9.3.2). An answer that is no success, or not what was expected, is a
/// [`Refusal`](halloo_base::Refusal) with the status as its code. Its name is that of the status, or `Redirect` if it
/// leads to another host, `UnexpectedBody` or `BodyTooLong`.
#[derive(Debug)]
pub struct HttpProber {
    request: Vec<u8>,
    reader: Reader,
    keep_alive: bool,
    is_idempotent: bool,
    /// Whether the server is known to keep connections.
    persists: bool,
    /// Requests and answers on this connection.
    asked: u64,
    heard: u64,
    /// The answer under way began before anything was asked that it could be to.
    is_unasked: bool,
    /// No further answer comes on this connection.
    is_done: bool,
}

impl HttpProber {
    /// A prober for one session, whose requests have a body of `size` bytes. Of options that make no request
    /// ([`HttpProberOptions::check`]) it is one that asks nothing.
    pub fn new(options: &HttpProberOptions, size: usize) -> HttpProber {
        let method = options.method_for(size);
        HttpProber {
            request: emit(options, size).unwrap_or_default(),
            reader: Reader::new(options, method),
            keep_alive: options.keep_alive,
            is_idempotent: is_idempotent(method),
            persists: false,
            asked: 0,
            heard: 0,
            is_unasked: false,
            is_done: false,
        }
    }

    /// Bytes of each request, header and all: the size that a session is to be told. 0 if it asks nothing.
    pub fn request_len(&self) -> usize {
        self.request.len()
    }

    /// An answer to what was asked has ended.
    fn hear(&mut self, answer: &Answer) -> Heard {
        self.heard += 1;
        self.is_done = !answer.persists || !self.keep_alive;
        if !self.is_done {
            self.persists = true;
        } else if self.heard == 1 {
            self.persists = false;
        }
        Heard {
            refusal: answer.refusal,
            reflection: answer.reflection,
            ..Heard::plain(0, 0)
        }
    }
}

impl StreamProber for HttpProber {
    fn request(&mut self, _env: &mut Env<'_>, _id: ProbeId, tx: &mut Vec<u8>) {
        tx.extend_from_slice(&self.request);
        self.asked += 1;
    }

    fn receive(&mut self, rx: &[u8]) -> Progress {
        if self.reader.is_between() && !rx.is_empty() {
            self.is_unasked = self.heard >= self.asked;
        }
        match self.reader.read(rx) {
            Err(what) => Progress::Foreign(what),
            Ok(None) => Progress::Partial(rx.len()),
            // A server's word that it waited long enough for a request (RFC 9110 section 15.5.9).
            Ok(Some((used, answer))) if self.is_unasked && answer.status == 408 && !answer.persists => {
                Progress::Unused(used, Reason::Foreign)
            }
            Ok(Some(_)) if self.is_unasked => Progress::Foreign("an answer that nobody asked for"),
            Ok(Some((used, answer))) => Progress::Heard(used, self.hear(&answer)),
        }
    }

    fn reset(&mut self) {
        if self.asked > 0 && self.heard == 0 {
            // It brought nothing at all: be careful with the next one.
            self.persists = false;
        }
        (self.asked, self.heard) = (0, 0);
        (self.is_unasked, self.is_done) = (false, false);
        self.reader.reset();
    }

    fn pipelines(&self) -> bool {
        self.persists && self.is_idempotent
    }

    fn is_done(&self) -> bool {
        self.is_done
    }

    fn finish(&mut self) -> Finish {
        let is_between = self.reader.is_between();
        match self.reader.finish() {
            Some(answer) if !self.is_unasked => Finish::Heard(self.hear(&answer)),
            Some(_) => Finish::Broken,
            // Servers close connections that they keep when they please, and a request may just be on its way
            // (RFC 9112 section 9.3.1). One that never answers is another matter.
            None if is_between && self.asked == self.heard => Finish::Done,
            None if is_between && self.heard > 0 && self.is_idempotent => Finish::Done,
            None => Finish::Broken,
        }
    }
}
