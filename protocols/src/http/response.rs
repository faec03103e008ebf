//! Answers, one behind the other, however the stream is cut.

use super::body::{Body, Framing, Part};
use super::check::BodyCheck;
use super::head::{self, Asked, Head};
use super::status::phrase;
use super::{Expect, HttpProberOptions};
use halloo_base::{Reflection, Refusal};

/// The longest head that is read, in bytes. Browsers take about as much.
const LONGEST_HEAD: usize = 64 * 1024;

/// How every answer begins.
const BEGINNING: &[u8] = b"HTTP/1.";

/// Reads the answers on one connection.
#[derive(Debug)]
pub(super) struct Reader {
    asked: Asked,
    expect: Expect,
    body_limit: u64,
    check: BodyCheck,
    /// The head so far, while one is under way.
    head: Vec<u8>,
    /// Where its last line begins.
    line: usize,
    /// The answer whose body is under way.
    body: Option<(Head, Body)>,
}

/// An answer that was read to its end.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer {
    /// Its status code.
    pub(super) status: u16,
    /// What was not as expected.
    pub(super) refusal: Option<Refusal>,
    /// What the responder tells of its times.
    pub(super) reflection: Option<Reflection>,
    /// Whether the connection may be used for another request.
    pub(super) persists: bool,
}

impl Reader {
    pub(super) fn new(options: &HttpProberOptions, method: &str) -> Reader {
        Reader {
            asked: Asked {
                host: options.host().to_owned(),
                by_head: method == "HEAD",
            },
            expect: options.expect.clone(),
            body_limit: options.body_limit,
            check: BodyCheck::new(&options.expect),
            head: Vec::with_capacity(1024),
            line: 0,
            body: None,
        }
    }

    /// Takes received bytes up to the end of the next answer. `None` with all of them used if it has not ended.
    ///
    /// # Errors
    /// If this is no answer, or its end cannot be known: what is wrong.
    pub(super) fn read(&mut self, rx: &[u8]) -> Result<Option<(usize, Answer)>, &'static str> {
        let mut used = 0;
        while let Some(rest) = rx.get(used..).filter(|rest| !rest.is_empty()) {
            if let Some((head, body)) = self.body.take() {
                let ended = self.read_body(head, body, rest)?;
                return Ok(ended.map(|(more, answer)| (used + more, answer)));
            }
            let (more, is_whole) = self.read_line(rest)?;
            used += more;
            if !is_whole {
                continue;
            }
            let head = head::parse(&self.head, &self.asked)?;
            self.forget_head();
            let is_interim = (100..=199).contains(&head.status) && head.status != 101;
            // Of interim answers there may be any number before the one that counts (RFC 9110 section 15.2).
            if !is_interim && let Some(answer) = self.begin_body(head) {
                return Ok(Some((used, answer)));
            }
        }
        Ok(None)
    }

    /// The peer will send no more: the answer that this ends.
    pub(super) fn finish(&mut self) -> Option<Answer> {
        let (head, _) = self.body.take_if(|(_, body)| body.ends_with_connection())?;
        Some(self.judge(&head, false))
    }

    /// Whether no answer is under way.
    pub(super) fn is_between(&self) -> bool {
        self.head.is_empty() && self.body.is_none()
    }

    /// Forgets what was read of the next answer.
    pub(super) fn reset(&mut self) {
        self.forget_head();
        self.body = None;
    }

    /// Takes bytes up to the end of a line of the head. Tells how many, and whether the head is whole with it.
    fn read_line(&mut self, rx: &[u8]) -> Result<(usize, bool), &'static str> {
        let end = rx.iter().position(|&byte| byte == b'\n');
        let piece = end.and_then(|end| rx.get(..=end)).unwrap_or(rx);
        let before = self.head.len();
        if before + piece.len() > LONGEST_HEAD {
            return Err("the answer's header is too long");
        }
        self.head.extend_from_slice(piece);
        if before < BEGINNING.len() {
            self.check_beginning()?;
        }
        if end.is_none() {
            return Ok((piece.len(), false));
        }
        let line = self.head.get(self.line..).unwrap_or_default();
        let is_empty = matches!(line, b"\n" | b"\r\n");
        self.line = self.head.len();
        Ok((piece.len(), is_empty))
    }

    /// Who speaks another protocol is known by his first bytes: nobody has to wait for the end of a header.
    fn check_beginning(&self) -> Result<(), &'static str> {
        let known = self.head.len().min(BEGINNING.len());
        match self.head.first() {
            // An alert or a handshake (RFC 8446 section 5.1).
            Some(0x15 | 0x16) => Err("the peer speaks TLS"),
            _ if self.head.get(..known) == BEGINNING.get(..known) => Ok(()),
            _ => Err("the peer does not speak HTTP/1"),
        }
    }

    fn forget_head(&mut self) {
        self.head.clear();
        self.line = 0;
    }

    /// What follows this head is its body. If nothing does, or nothing that will be read, this was the answer.
    fn begin_body(&mut self, head: Head) -> Option<Answer> {
        self.check.begin();
        if matches!(head.framing, Framing::Length(bytes) if bytes > self.body_limit) {
            return Some(self.judge(&head, true));
        }
        match Body::new(head.framing, self.body_limit) {
            Some(body) => {
                self.body = Some((head, body));
                None
            }
            None => Some(self.judge(&head, false)),
        }
    }

    fn read_body(
        &mut self,
        head: Head,
        mut body: Body,
        rx: &[u8],
    ) -> Result<Option<(usize, Answer)>, &'static str> {
        let (used, is_too_long) = match body.read(rx, &mut self.check)? {
            Part::Partial => {
                self.body = Some((head, body));
                return Ok(None);
            }
            Part::End(used) => (used, false),
            Part::TooLong(used) => (used, true),
        };
        Ok(Some((used, self.judge(&head, is_too_long))))
    }

    /// The answer has ended, or is given up as too long.
    fn judge(&self, head: &Head, is_too_long: bool) -> Answer {
        let code = head.status;
        let is_redirect = (300..=399).contains(&code) && head.leads_elsewhere;
        let name = if !self.expect.takes(code) {
            Some(if is_redirect { "Redirect" } else { phrase(code) })
        } else if is_too_long {
            Some("BodyTooLong")
        } else if !self.check.is_good() {
            Some("UnexpectedBody")
        } else {
            None
        };
        Answer {
            status: code,
            refusal: name.map(|name| Refusal {
                code: u32::from(code),
                name,
            }),
            reflection: head.reflection,
            persists: head.persists && !is_too_long,
        }
    }
}
