//! Status line and header fields of an answer (RFC 9112 sections 4 and 5), and what they say of its end.

use super::body::Framing;
use super::fields::{Times, leads_elsewhere, members, number};
use halloo_base::Reflection;
use httparse::{EMPTY_HEADER, Header, ParserConfig, Response, Status};

/// The most fields that are read.
const MOST_FIELDS: usize = 128;

/// What matters of a head.
#[derive(Debug)]
pub(super) struct Head {
    /// The status code (RFC 9110 section 15).
    pub(super) status: u16,
    /// How long the body is.
    pub(super) framing: Framing,
    /// Whether the connection may be used for another request (RFC 9112 section 9.3).
    pub(super) persists: bool,
    /// Whether its Location leads to another host than the one that was asked.
    pub(super) leads_elsewhere: bool,
    /// What the responder tells of its times.
    pub(super) reflection: Option<Reflection>,
}

/// What was asked, as far as answers depend on it.
#[derive(Debug)]
pub(super) struct Asked {
    /// Host and port.
    pub(super) host: String,
    /// Whether the method was HEAD, whose answers have no body.
    pub(super) by_head: bool,
}

/// Reads a whole head, empty line and all.
///
/// # Errors
/// If it is none, or one that can be read in two ways: what is wrong.
pub(super) fn parse(head: &[u8], asked: &Asked) -> Result<Head, &'static str> {
    let mut room = [EMPTY_HEADER; MOST_FIELDS];
    let mut response = Response::new(&mut room);
    let mut config = ParserConfig::default();
    // RFC 9112 section 5.2: a user agent reads folded lines.
    config.allow_obsolete_multiline_headers_in_responses(true);
    let parsed = config
        .parse_response(&mut response, head)
        .map_err(|error| match error {
            httparse::Error::Version => "the answer is not in HTTP/1.0 or HTTP/1.1",
            httparse::Error::Status => "the answer has no status",
            httparse::Error::TooManyHeaders => "the answer has too many header fields",
            _ => "the answer has a header field that is none",
        })?;
    // The end was found before this: if both do not agree on it, there is more than one way to read it.
    if parsed != Status::Complete(head.len()) {
        return Err("the answer's header ends twice");
    }
    let (Some(minor), Some(status)) = (response.version, response.code) else {
        return Err("the answer has no status");
    };
    let fields = Fields(response.headers);
    let framing = match status {
        0..100 => return Err("the answer's status is below 100"),
        // What follows 101 is of another protocol (RFC 9110 section 15.2.2).
        100..=199 | 204 | 304 => Framing::Nothing,
        _ if asked.by_head => Framing::Nothing,
        _ => fields.framing(minor)?,
    };
    let mut times = Times::default();
    for field in fields.0 {
        times.take(field.name, field.value);
    }
    Ok(Head {
        status,
        framing,
        persists: fields.persist(minor) && framing != Framing::UntilClose && status != 101,
        leads_elsewhere: fields
            .named("location")
            .any(|target| leads_elsewhere(target, &asked.host)),
        reflection: times.reflection(),
    })
}

struct Fields<'a>(&'a [Header<'a>]);

impl<'a> Fields<'a> {
    fn named(&self, name: &'static str) -> impl Iterator<Item = &'a [u8]> {
        self.0
            .iter()
            .filter(move |field| field.name.eq_ignore_ascii_case(name))
            .map(|field| field.value)
    }

    /// How long the body is, where there is one (RFC 9112 section 6.3).
    fn framing(&self, minor: u8) -> Result<Framing, &'static str> {
        let length = self.length()?;
        if self.named("transfer-encoding").next().is_none() {
            return Ok(length.map_or(Framing::UntilClose, Framing::Length));
        }
        if length.is_some() {
            return Err("the answer has a Content-Length and a Transfer-Encoding");
        }
        if minor == 0 {
            return Err("the answer is in HTTP/1.0 and has a Transfer-Encoding");
        }
        let is_chunked = |coding: &[u8]| coding.eq_ignore_ascii_case(b"chunked");
        let mut codings = self.named("transfer-encoding").flat_map(members).peekable();
        while let Some(coding) = codings.next() {
            match (is_chunked(coding), codings.peek().is_some()) {
                (true, false) => return Ok(Framing::Chunked),
                (true, true) => return Err("the answer has something around its chunks"),
                (false, _) => {}
            }
        }
        Ok(Framing::UntilClose)
    }

    /// The Content-Length: one number, however often it is told (RFC 9110 section 8.6).
    fn length(&self) -> Result<Option<u64>, &'static str> {
        let mut told = None;
        for field in self.named("content-length") {
            for member in field.split(|&byte| byte == b',') {
                let length =
                    number(member.trim_ascii()).ok_or("the answer has a Content-Length that is none")?;
                if told.replace(length).is_some_and(|before| before != length) {
                    return Err("the answer has two lengths");
                }
            }
        }
        Ok(told)
    }

    /// Whether both may go on (RFC 9112 section 9.3).
    fn persist(&self, minor: u8) -> bool {
        let has = |option: &str| {
            self.named("connection")
                .flat_map(members)
                .any(|member| member.eq_ignore_ascii_case(option.as_bytes()))
        };
        !has("close") && (minor >= 1 || has("keep-alive"))
    }
}
