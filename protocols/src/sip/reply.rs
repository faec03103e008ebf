//! Writing a response over the room that is there (RFC 3261 section 8.2.6).

use super::fields::{Fields, Head, Name};
use super::status::reason_phrase;
use super::values::{Params, Timestamp, Via, tokens};
use halloo_base::{Nanos, Reason};
use std::fmt::{self, Write};
use std::net::SocketAddr;

/// How many bytes more than a complete OPTIONS request its 200 OK has at most, when it holds nothing but what it must.
///
/// It must tell who asked from which address and port (RFC 3581 section 4) and have a tag in To (RFC 3261 section
/// 8.2.6.2). Its first line is shorter than a request's, and the request had a Max-Forwards (RFC 3261 section 8.1.1).
/// Everything else of the request that is not repeated makes the difference less.
pub const STRANGER: usize = longest_addition() - shortest_omission();

const fn longest_addition() -> usize {
    const LONGEST_IP: usize = "2001:0db8:0000:0000:0000:0000:0000:0001".len();
    ";received=".len() + LONGEST_IP + "=65535".len() + ";tag=".len() + TAG
}

const fn shortest_omission() -> usize {
    let first_line = "OPTIONS sip:h SIP/2.0\r\n".len() - "SIP/2.0 200 OK\r\n".len();
    first_line + "Max-Forwards:0\r\n".len()
}

/// How many bytes a 200 OK has that it need not have. They go to those whose address is known, and to others as far as
/// the reply is no longer for them than the request was.
pub const OPTIONAL: usize = {
    let mut bytes = CONTENT_LENGTH.len() + DELAY.len();
    let mut at = 0;
    while at < CAPABILITIES.len() {
        bytes += CAPABILITIES[at].len();
        at += 1;
    }
    bytes
};

/// Needed where the message does not end with the datagram.
const CONTENT_LENGTH: &str = "Content-Length: 0\r\n";

/// What our time takes behind a Timestamp.
const DELAY: &str = " 0.000000000";

const ALLOW: &str = "Allow: OPTIONS\r\n";

/// What RFC 3261 section 11.2 wants to be told, what matters most first. We support no extension.
const CAPABILITIES: [&str; 5] = [
    ALLOW,
    "Accept: application/sdp\r\n",
    "Supported:\r\n",
    "Accept-Encoding: identity\r\n",
    "Accept-Language: en\r\n",
];

/// Digits of a tag: 32 bits, as many as RFC 3261 section 19.3 asks for.
const TAG: usize = 8;

/// What is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    Ok,
    BadRequest,
    MethodNotAllowed,
    UnsupportedUriScheme,
    BadExtension,
    VersionNotSupported,
    MessageTooLarge,
}

impl Status {
    pub(super) fn code(self) -> u16 {
        match self {
            Status::Ok => 200,
            Status::BadRequest => 400,
            Status::MethodNotAllowed => 405,
            Status::UnsupportedUriScheme => 416,
            Status::BadExtension => 420,
            Status::VersionNotSupported => 505,
            Status::MessageTooLarge => 513,
        }
    }

    /// Why nothing is said where there is no room to say this.
    pub(super) fn otherwise(self) -> Reason {
        match self {
            Status::MethodNotAllowed | Status::UnsupportedUriScheme => Reason::NotServed,
            // There is room for every 200 to a complete request.
            _ => Reason::Malformed,
        }
    }
}

/// A response that is decided and not yet written.
pub(super) struct Reply<'a> {
    pub(super) status: Status,
    pub(super) fields: Fields<'a>,
    pub(super) head: Head<'a>,
    /// The first value of the first Via.
    pub(super) top: Via<'a>,
    /// Where the request came from.
    pub(super) remote: SocketAddr,
    /// The tag for To, where that has none.
    pub(super) tag: Option<u32>,
    /// Whether others' messages may follow this one.
    pub(super) on_stream: bool,
}

impl Reply<'_> {
    /// How many bytes it has with all that it may have.
    pub(super) fn full_len(&self) -> usize {
        let mut writer = Writer::new(&mut []);
        self.emit(&mut writer, usize::MAX, || Some(Nanos::ZERO));
        writer.len
    }

    /// Writes it; what it need not have only as far as it has no more than `most` bytes. `delay` is asked last.
    pub(super) fn emit(&self, out: &mut Writer<'_>, most: usize, delay: impl FnOnce() -> Option<Nanos>) {
        let code = self.status.code();
        out.text(format_args!("SIP/2.0 {code} {}\r\n", reason_phrase(code)));
        self.emit_repeated(out);
        match self.status {
            Status::MethodNotAllowed => out.put(ALLOW.as_bytes()),
            Status::BadExtension => self.emit_unsupported(out),
            _ => {}
        }
        if self.on_stream {
            out.put(CONTENT_LENGTH.as_bytes());
        }
        self.emit_optional(out, most, delay);
        out.put(b"\r\n");
    }

    /// What comes back as it came: every Via, and who asks whom for what.
    fn emit_repeated(&self, out: &mut Writer<'_>) {
        for field in self.fields {
            let is_repeated = matches!(
                field.name,
                Name::Via | Name::From | Name::To | Name::CallId | Name::CSeq
            );
            if !is_repeated {
                continue;
            }
            // Two of the same text are two: where they stand tells them apart.
            let first = self.head.field(field.name);
            let is_first = first.is_some_and(|first| std::ptr::eq(first.line, field.line));
            match (field.name, self.tag) {
                (Name::Via, _) if is_first => {
                    out.put(field.lead);
                    self.emit_top(out);
                    out.put(b"\r\n");
                }
                (Name::To, Some(tag)) if is_first => {
                    out.put(field.lead);
                    out.put(field.value);
                    out.text(format_args!(";tag={tag:0TAG$x}\r\n"));
                }
                (Name::Via, _) => out.put(field.line),
                _ if is_first => out.put(field.line),
                _ => {}
            }
        }
    }

    /// The first Via says where the request came from (RFC 3261 section 18.2.1, RFC 3581 section 4).
    fn emit_top(&self, out: &mut Writer<'_>) {
        let ip = self.remote.ip().to_canonical();
        out.put(self.top.sent_by);
        let mut asks_for_port = false;
        let mut params = Params {
            rest: self.top.params,
        };
        while let Ok(Some(param)) = params.next() {
            // What a sender writes there about itself means nothing.
            if Via::is_received(&param) {
                continue;
            }
            out.put(param.whole);
            if Via::asks_for_port(&param) {
                asks_for_port = true;
                out.text(format_args!("={}", self.remote.port()));
            }
        }
        if asks_for_port || !self.top.is_from(ip) {
            out.text(format_args!(";received={ip}"));
        }
        out.put(self.top.others);
    }

    fn emit_unsupported(&self, out: &mut Writer<'_>) {
        let required = self.fields.filter(|field| field.name == Name::Require);
        let names = required.flat_map(|field| tokens(field.value)).flatten();
        let mut lead = "Unsupported: ";
        for name in names {
            out.put(lead.as_bytes());
            out.put(name);
            lead = ", ";
        }
        out.put(b"\r\n");
    }

    fn emit_optional(&self, out: &mut Writer<'_>, most: usize, delay: impl FnOnce() -> Option<Nanos>) {
        let mut left = most.saturating_sub(out.len + "\r\n".len());
        let mut take = |len: usize| {
            let rest = left.checked_sub(len);
            left = rest.unwrap_or(left);
            rest.is_some()
        };
        let says_length = !self.on_stream && take(CONTENT_LENGTH.len());
        let stamp = self.head.field(Name::Timestamp);
        let stamp = stamp.and_then(|field| Some((field.lead, Timestamp::parse(field.value)?.sent)));
        let stamp = stamp.filter(|(lead, sent)| take(lead.len() + sent.len() + DELAY.len() + "\r\n".len()));
        if says_length {
            out.put(CONTENT_LENGTH.as_bytes());
        }
        if self.status == Status::Ok {
            for line in CAPABILITIES.iter().filter(|line| take(line.len())) {
                out.put(line.as_bytes());
            }
        }
        let Some((lead, sent)) = stamp else { return };
        out.put(lead);
        out.put(sent);
        // Last, so that all work above is inside it. Ten seconds and more have no room here.
        if let Some(delay) = delay().and_then(|delay| u64::try_from(delay.0).ok())
            && delay < 10_000_000_000
        {
            out.text(format_args!(
                " {}.{:09}",
                delay / 1_000_000_000,
                delay % 1_000_000_000
            ));
        }
        out.put(b"\r\n");
    }
}

/// Writes into room that may be too small: it counts on then, and writes nothing more.
pub(super) struct Writer<'a> {
    room: &'a mut [u8],
    pub(super) len: usize,
}

impl<'a> Writer<'a> {
    pub(super) fn new(room: &'a mut [u8]) -> Writer<'a> {
        Writer { room, len: 0 }
    }

    pub(super) fn put(&mut self, bytes: &[u8]) {
        let end = self.len.saturating_add(bytes.len());
        if let Some(place) = self.room.get_mut(self.len..end) {
            place.copy_from_slice(bytes);
        }
        self.len = end;
    }

    fn text(&mut self, text: fmt::Arguments<'_>) {
        // It never fails: what has no room is counted.
        let _ = self.write_fmt(text);
    }

    /// How much was written; `None` if there was no room for all.
    pub(super) fn finish(self) -> Option<usize> {
        (self.len <= self.room.len()).then_some(self.len)
    }
}

impl Write for Writer<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.put(text.as_bytes());
        Ok(())
    }
}
