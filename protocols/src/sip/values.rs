//! What stands in header fields (RFC 3261 section 25.1).

use halloo_base::Nanos;
use std::net::IpAddr;

/// White space within a field, folded lines included.
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

pub(super) fn trim_start(bytes: &[u8]) -> &[u8] {
    let start = bytes.iter().position(|&byte| !is_space(byte));
    start.and_then(|start| bytes.get(start..)).unwrap_or_default()
}

pub(super) fn trim_end(bytes: &[u8]) -> &[u8] {
    let last = bytes.iter().rposition(|&byte| !is_space(byte));
    last.and_then(|last| bytes.get(..=last)).unwrap_or_default()
}

pub(super) fn trim(bytes: &[u8]) -> &[u8] {
    trim_end(trim_start(bytes))
}

fn is_token_char(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&byte)
}

pub(super) fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|&byte| is_token_char(byte))
}

/// Whether it looks like a URI: a scheme, a colon, and something behind it that may stand in a URI.
pub(super) fn is_uri(bytes: &[u8]) -> bool {
    let Some(scheme) = scheme(bytes) else { return false };
    let may_stand = |&byte: &u8| byte.is_ascii_graphic() && !b"<>\"\\^`{|}".contains(&byte);
    bytes.len() > scheme.len() + 1 && bytes.iter().all(may_stand)
}

/// What stands before the first colon, if that can be a scheme (RFC 3986 section 3.1).
pub(super) fn scheme(uri: &[u8]) -> Option<&[u8]> {
    let colon = uri.iter().position(|&byte| byte == b':')?;
    let scheme = &uri[..colon];
    let first = scheme.first()?;
    let may_stand = |&byte: &u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
    (first.is_ascii_alphabetic() && scheme.iter().all(may_stand)).then_some(scheme)
}

/// Decimal digits, at most `most`.
pub(super) fn number(digits: &[u8], most: u32) -> Option<u32> {
    let add = |number: u64, &digit: &u8| {
        let next = number * 10 + u64::from(digit.is_ascii_digit().then(|| digit - b'0')?);
        (next <= u64::from(most)).then_some(next)
    };
    let number = digits.iter().try_fold(0, add)?;
    u32::try_from(number).ok().filter(|_| !digits.is_empty())
}

/// Takes as many bytes from the front as `belongs` says.
fn take<'a>(rest: &mut &'a [u8], belongs: impl Fn(u8) -> bool) -> &'a [u8] {
    let end = rest.iter().position(|&byte| !belongs(byte)).unwrap_or(rest.len());
    let (taken, behind) = rest.split_at(end);
    *rest = behind;
    taken
}

/// Takes this byte, if it is next, and white space on both sides.
fn take_mark(rest: &mut &[u8], mark: u8) -> Option<()> {
    let (&first, behind) = trim_start(rest).split_first()?;
    (first == mark).then(|| *rest = trim_start(behind))
}

/// Takes a quoted string with its quotes.
fn take_quoted(rest: &mut &[u8]) -> Option<()> {
    let mut behind = rest.strip_prefix(b"\"")?;
    loop {
        let (&byte, more) = behind.split_first()?;
        behind = more;
        match byte {
            b'"' => break,
            b'\\' => behind = behind.split_first()?.1,
            _ => {}
        }
    }
    *rest = behind;
    Some(())
}

/// A parameter: `;name` or `;name=value`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Param<'a> {
    pub(super) name: &'a [u8],
    pub(super) value: Option<&'a [u8]>,
    /// All of it, from the semicolon.
    pub(super) whole: &'a [u8],
}

/// Parameters up to the end or to a comma.
pub(super) struct Params<'a> {
    pub(super) rest: &'a [u8],
}

impl<'a> Params<'a> {
    /// The next one; `Ok(None)` at their end.
    pub(super) fn next(&mut self) -> Result<Option<Param<'a>>, BadValue> {
        let at = trim_start(self.rest);
        if at.first() != Some(&b';') {
            return Ok(None);
        }
        let mut behind = &at[1..];
        while let Some(&byte) = behind.first().filter(|&&byte| byte != b';' && byte != b',') {
            match byte {
                b'"' => take_quoted(&mut behind).ok_or(BadValue)?,
                _ => behind = &behind[1..],
            }
        }
        let whole = trim_end(&at[..at.len() - behind.len()]);
        self.rest = behind;
        Param::of(whole).map(Some)
    }
}

impl<'a> Param<'a> {
    fn of(whole: &'a [u8]) -> Result<Param<'a>, BadValue> {
        let text = whole.get(1..).unwrap_or_default();
        let (name, value) = match text.iter().position(|&byte| byte == b'=') {
            Some(at) => (&text[..at], Some(trim(&text[at + 1..]))),
            None => (text, None),
        };
        let name = trim(name);
        let is_value = |value: &[u8]| match value.first() {
            Some(b'"') => true,
            first => first.is_some() && value.iter().all(|&byte| !is_space(byte)),
        };
        if is_token(name) && value.is_none_or(is_value) {
            Ok(Param { name, value, whole })
        } else {
            Err(BadValue)
        }
    }

    fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name.as_bytes())
    }
}

/// A value that its grammar does not allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BadValue;

/// The first value of a Via field (RFC 3261 section 20.42).
#[derive(Clone, Copy, Debug)]
pub(super) struct Via<'a> {
    /// The protocol and who sent it, as they are written.
    pub(super) sent_by: &'a [u8],
    /// The host of it, an IPv6 address without brackets.
    pub(super) host: &'a [u8],
    /// The parameters as they are written.
    pub(super) params: &'a [u8],
    /// What follows this value in its field, the comma included.
    pub(super) others: &'a [u8],
    /// The number of the transaction.
    pub(super) branch: Option<&'a [u8]>,
    /// RFC 3581: asked for where there is no port yet.
    pub(super) rport: Option<Option<u16>>,
    /// From where it came.
    pub(super) received: Option<&'a [u8]>,
}

impl<'a> Via<'a> {
    pub(super) fn parse(value: &'a [u8]) -> Option<Via<'a>> {
        let mut rest = value;
        for mark in [Some(b'/'), Some(b'/'), None] {
            is_token(take(&mut rest, is_token_char)).then_some(())?;
            if let Some(mark) = mark {
                take_mark(&mut rest, mark)?;
            }
        }
        let behind = trim_start(rest);
        (behind.len() < rest.len()).then_some(())?;
        rest = behind;
        let host = match rest.strip_prefix(b"[") {
            Some(inner) => {
                rest = inner;
                let host = take(&mut rest, |byte| {
                    byte.is_ascii_hexdigit() || byte == b':' || byte == b'.'
                });
                rest = rest.strip_prefix(b"]")?;
                host
            }
            None => take(&mut rest, |byte| {
                byte.is_ascii_alphanumeric() || b"-._".contains(&byte)
            }),
        };
        if host.is_empty() {
            return None;
        }
        if take_mark(&mut rest, b':').is_some() {
            number(take(&mut rest, |byte| byte.is_ascii_digit()), u32::from(u16::MAX))?;
        }
        let sent_by = &value[..value.len() - rest.len()];
        let mut via = Via {
            sent_by,
            host,
            params: &[],
            others: &[],
            branch: None,
            rport: None,
            received: None,
        };
        let params = rest;
        let mut reading = Params { rest };
        while let Some(param) = reading.next().ok()? {
            let is_new = via.keep(&param)?;
            is_new.then_some(())?;
        }
        via.others = trim_start(reading.rest);
        via.params = &params[..params.len() - reading.rest.len()];
        matches!(via.others.first(), None | Some(b',')).then_some(via)
    }

    /// Whether this parameter is not there for the second time; `None` if it is not what it should be.
    fn keep(&mut self, param: &Param<'a>) -> Option<bool> {
        let seen = if param.is("branch") {
            self.branch.replace(param.value?).is_some()
        } else if param.is("received") {
            self.received.replace(param.value?).is_some()
        } else if param.is("rport") {
            let port = match param.value {
                Some(digits) => Some(u16::try_from(number(digits, u32::from(u16::MAX))?).ok()?),
                None => None,
            };
            self.rport.replace(port).is_some()
        } else {
            false
        };
        Some(!seen)
    }

    /// Whether this is the parameter `received`, which only who receives may write.
    pub(super) fn is_received(param: &Param<'_>) -> bool {
        param.is("received")
    }

    /// Whether this parameter asks for the port.
    pub(super) fn asks_for_port(param: &Param<'_>) -> bool {
        param.is("rport") && param.value.is_none()
    }

    /// Whether who sent it gave this address as its own.
    pub(super) fn is_from(&self, ip: IpAddr) -> bool {
        address(self.host).is_some_and(|host| host.to_canonical() == ip.to_canonical())
    }
}

/// An address, in brackets or without (RFC 5118 section 4.5).
pub(super) fn address(text: &[u8]) -> Option<IpAddr> {
    let inner = text.strip_prefix(b"[").and_then(|text| text.strip_suffix(b"]"));
    std::str::from_utf8(inner.unwrap_or(text)).ok()?.parse().ok()
}

/// Whether a From or To has a tag; an error if it is not one address with parameters (RFC 3261 sections 20.20, 20.39).
pub(super) fn has_tag(value: &[u8]) -> Result<bool, BadValue> {
    let params = behind_address(value).ok_or(BadValue)?;
    let mut params = Params { rest: params };
    let mut tagged = false;
    while let Some(param) = params.next()? {
        tagged |= param.is("tag");
    }
    if trim_start(params.rest).is_empty() {
        Ok(tagged)
    } else {
        Err(BadValue)
    }
}

/// What follows `Somebody <uri>`, `"Some body" <uri>` or a bare `uri`.
fn behind_address(value: &[u8]) -> Option<&[u8]> {
    let mut rest = value;
    if value.first() == Some(&b'"') {
        take_quoted(&mut rest)?;
        rest = trim_start(rest);
    } else {
        // Beyond ASCII the grammar allows nothing; names have it all the same.
        take(&mut rest, |byte| {
            is_token_char(byte) || is_space(byte) || !byte.is_ascii()
        });
    }
    if let Some(inner) = rest.strip_prefix(b"<") {
        rest = inner;
        let uri = take(&mut rest, |byte| byte != b'>');
        return is_uri(uri).then(|| rest.get(1..))?;
    }
    let mut rest = value;
    let uri = trim_end(take(&mut rest, |byte| byte != b';' && byte != b','));
    is_uri(uri).then_some(rest)
}

/// The method in a CSeq with a number below 2^31 (RFC 3261 section 8.1.1.5).
pub(super) fn cseq_method(value: &[u8]) -> Option<&[u8]> {
    let space = value.iter().position(|&byte| is_space(byte))?;
    number(&value[..space], (1 << 31) - 1)?;
    let method = trim(&value[space..]);
    is_token(method).then_some(method)
}

/// Whether it can be a Call-ID: one word.
pub(super) fn is_call_id(value: &[u8]) -> bool {
    !value.is_empty() && value.iter().all(|&byte| byte > b' ' && byte != 0x7f)
}

/// The names in a list, commas between them; an error if one is none.
pub(super) fn tokens(list: &[u8]) -> impl Iterator<Item = Result<&[u8], BadValue>> {
    let names = list.split(|&byte| byte == b',').map(trim);
    names.map(|name| if is_token(name) { Ok(name) } else { Err(BadValue) })
}

/// A Timestamp (RFC 3261 section 20.38).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Timestamp<'a> {
    /// When it was sent, by a clock that only who sent it knows.
    pub(super) sent: &'a [u8],
    /// How long it stayed with who answers.
    pub(super) delay: Option<Nanos>,
}

impl<'a> Timestamp<'a> {
    pub(super) fn parse(value: &'a [u8]) -> Option<Timestamp<'a>> {
        let mut rest = value;
        let sent = take(&mut rest, |byte| !is_space(byte));
        let (whole, _) = decimal(sent)?;
        let delay = trim_start(rest);
        (!whole.is_empty()).then_some(Timestamp {
            sent,
            delay: if delay.is_empty() {
                None
            } else {
                Some(seconds(delay)?)
            },
        })
    }
}

/// Digits before and behind a point.
fn decimal(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let point = text.iter().position(|&byte| byte == b'.');
    let (whole, part) = match point {
        Some(at) => (&text[..at], &text[at + 1..]),
        None => (text, &[][..]),
    };
    let is_digits = |part: &[u8]| part.iter().all(u8::is_ascii_digit);
    (is_digits(whole) && is_digits(part)).then_some((whole, part))
}

/// Seconds with any number of decimals; what is below a nanosecond is cut off.
fn seconds(text: &[u8]) -> Option<Nanos> {
    let (whole, part) = decimal(text)?;
    if whole.is_empty() && part.is_empty() {
        return None;
    }
    let mut nanos = 0_i64;
    let decimals = part.iter().copied().chain(std::iter::repeat(b'0')).take(9);
    for digit in whole.iter().copied().chain(decimals) {
        nanos = nanos.checked_mul(10)?.checked_add(i64::from(digit - b'0'))?;
    }
    Some(Nanos(nanos))
}
