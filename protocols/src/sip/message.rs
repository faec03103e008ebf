//! Messages: a first line, header fields, an empty line, a body (RFC 3261 section 7).

use super::fields::{Fields, Head};
use super::values::{is_token, is_uri, trim_end};

/// A message that lies somewhere else. Its first line is understood, its header fields are told one by one.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// What the first line says.
    pub start: Start<'a>,
    /// The header fields.
    pub fields: Fields<'a>,
    /// Everything behind the empty line.
    pub body: &'a [u8],
}

/// A first line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start<'a> {
    /// RFC 3261 section 7.1.
    Request {
        /// What is asked, such as `OPTIONS`. Letters' case matters.
        method: &'a [u8],
        /// Whom it is for.
        uri: &'a [u8],
        /// Whether it is SIP 2.0.
        is_2_0: bool,
    },
    /// It can only be meant as a request, and something is wrong with it: white space, or the URI.
    BadRequest {
        /// What is asked.
        method: &'a [u8],
    },
    /// RFC 3261 section 7.2.
    Response {
        /// 100 to 699.
        code: u16,
    },
}

/// Why bytes are no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotSip {
    /// A keep-alive (RFC 5626 section 4.4.1), or nothing at all.
    #[error("there is nothing but ends of lines")]
    Empty,
    /// There is no empty line.
    #[error("the header does not end")]
    Unfinished,
    /// CR and LF stand together or not at all.
    #[error("a line ends with half of CRLF")]
    HalfLineEnd,
    /// Neither a request's nor a response's.
    #[error("the first line is not SIP's")]
    StartLine,
}

impl<'a> Message<'a> {
    /// Reads a message that is all of `bytes`. Ends of lines before it are passed over (RFC 3261 section 7.5).
    ///
    /// # Errors
    /// Why it is none. Header fields are not looked into: a line among them that is none is told as
    /// [`Name::Malformed`](super::Name::Malformed).
    pub fn parse(bytes: &'a [u8]) -> Result<Message<'a>, NotSip> {
        let bytes = &bytes[blank_lines(bytes)..];
        if bytes.is_empty() {
            return Err(NotSip::Empty);
        }
        let end = head_end(bytes).ok_or(NotSip::Unfinished)?;
        let (head, body) = bytes.split_at(end);
        if !has_whole_line_ends(head) {
            return Err(NotSip::HalfLineEnd);
        }
        // It ends with CRLF CRLF, and the first of them is not at its beginning.
        let line_end = head.iter().position(|&byte| byte == b'\r').unwrap_or(0);
        let (line, rest) = head.split_at(line_end);
        let lines = &rest[2..rest.len() - 2];
        let is_folded = matches!(lines.first(), Some(b' ' | b'\t'));
        let start = Start::parse(line).filter(|_| !is_folded);
        Ok(Message {
            start: start.ok_or(NotSip::StartLine)?,
            fields: Fields::new(lines),
            body,
        })
    }
}

impl<'a> Start<'a> {
    /// `None` if it is not meant as SIP.
    fn parse(line: &'a [u8]) -> Option<Start<'a>> {
        if line.get(..4)?.eq_ignore_ascii_case(b"SIP/") {
            return parse_response(line);
        }
        if let Some(request) = parse_request(line) {
            return Some(request);
        }
        let method = line.split(|&byte| byte == b' ' || byte == b'\t').next()?;
        let version = trim_end(line)
            .rsplit(|&byte| byte == b' ' || byte == b'\t')
            .next()?;
        parse_version(version)?;
        is_token(method).then_some(Start::BadRequest { method })
    }
}

fn parse_request(line: &[u8]) -> Option<Start<'_>> {
    let mut words = line.split(|&byte| byte == b' ');
    let (method, uri, version) = (words.next()?, words.next()?, words.next()?);
    let is_2_0 = parse_version(version)?;
    let is_request = is_token(method) && is_uri(uri) && words.next().is_none();
    is_request.then_some(Start::Request { method, uri, is_2_0 })
}

fn parse_response<'a>(line: &[u8]) -> Option<Start<'a>> {
    // The reason phrase may be empty, and some leave out the space before it too.
    let mut words = line.splitn(3, |&byte| byte == b' ');
    parse_version(words.next()?)?;
    let &[hundreds @ b'1'..=b'6', tens, ones] = words.next()? else {
        return None;
    };
    let digit = |byte: u8| byte.is_ascii_digit().then(|| u16::from(byte - b'0'));
    let code = digit(hundreds)? * 100 + digit(tens)? * 10 + digit(ones)?;
    Some(Start::Response { code })
}

/// Whether it is 2.0; `None` if it is no version at all.
fn parse_version(word: &[u8]) -> Option<bool> {
    let (name, numbers) = word.split_at_checked(4)?;
    let dot = numbers.iter().position(|&byte| byte == b'.')?;
    let is_number = |part: &[u8]| !part.is_empty() && part.iter().all(u8::is_ascii_digit);
    let is_version =
        name.eq_ignore_ascii_case(b"SIP/") && is_number(&numbers[..dot]) && is_number(&numbers[dot + 1..]);
    is_version.then_some(numbers == b"2.0")
}

/// How many bytes of ends of lines `bytes` begins with.
pub(super) fn blank_lines(bytes: &[u8]) -> usize {
    2 * bytes.chunks_exact(2).take_while(|pair| pair == b"\r\n").count()
}

/// Where the body begins.
fn head_end(bytes: &[u8]) -> Option<usize> {
    let at = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
    Some(at + 4)
}

fn has_whole_line_ends(head: &[u8]) -> bool {
    let is_whole = |at: usize, byte: u8| match byte {
        b'\r' => head.get(at + 1) == Some(&b'\n'),
        b'\n' => at.checked_sub(1).and_then(|at| head.get(at)) == Some(&b'\r'),
        _ => true,
    };
    head.iter().enumerate().all(|(at, &byte)| is_whole(at, byte))
}

/// What a stream begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Frame {
    /// So many bytes of ends of lines.
    Blank(usize),
    /// Something that has not wholly arrived.
    Partial,
    /// A message of so many bytes.
    Whole(usize),
    /// A message whose end nobody can tell: so long is its head.
    Endless(usize),
    /// A message that is too long; so long is its head.
    TooLong(usize),
    /// Nothing of SIP's, or too much of it.
    Lost,
}

/// Finds the end of the first message in `bytes` by its Content-Length (RFC 3261 section 18.3), as long as the message
/// has at most `longest` bytes.
pub(super) fn frame(bytes: &[u8], longest: usize) -> Frame {
    match blank_lines(bytes) {
        0 => {}
        blank => return Frame::Blank(blank),
    }
    let Some(head) = head_end(bytes).filter(|&head| head <= longest) else {
        return if bytes.len() < longest {
            Frame::Partial
        } else {
            Frame::Lost
        };
    };
    let Ok(message) = Message::parse(&bytes[..head]) else {
        return Frame::Lost;
    };
    let Ok(Some(body)) = Head::of(message.fields).content_length() else {
        return Frame::Endless(head);
    };
    match head.checked_add(body) {
        Some(whole) if whole <= bytes.len().min(longest) => Frame::Whole(whole),
        Some(whole) if whole <= longest => Frame::Partial,
        _ => Frame::TooLong(head),
    }
}
