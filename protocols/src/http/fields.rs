//! What is inside the values of header fields.

use halloo_base::{Nanos, Reflection, Wall};

/// Whether this is a token (RFC 9110 section 5.6.2).
pub(super) fn is_token(text: &[u8]) -> bool {
    let is_tchar = |&byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.iter().all(is_tchar)
}

/// The members of a list (RFC 9110 section 5.6.1); a line that was folded counts as one line (RFC 9112 section 5.2).
pub(super) fn members(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value
        .split(|&byte| byte == b',')
        .map(<[u8]>::trim_ascii)
        .filter(|member| !member.is_empty())
}

/// A number in decimal digits and nothing else.
pub(super) fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |number, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

/// Whether a reference, such as a Location field has, leads to another host than `own` (RFC 3986 sections 3.2 and 4.2).
/// Ports do not matter, nor does case.
pub(super) fn leads_elsewhere(reference: &[u8], own: &str) -> bool {
    let Some(rest) = behind_scheme(reference.trim_ascii()) else {
        return false;
    };
    // Browsers take a backslash for a slash, and what they do is what a person gets.
    let is_end = |byte: &u8| b"/\\?#".contains(byte);
    let authority = rest.split(is_end).next().unwrap_or_default();
    let host_and_port = authority.rsplit(|&byte| byte == b'@').next();
    let (there, here) = (host(host_and_port.unwrap_or_default()), host(own.as_bytes()));
    !there.eq_ignore_ascii_case(here)
}

/// What follows `//`, where that is at the beginning or behind a scheme.
fn behind_scheme(reference: &[u8]) -> Option<&[u8]> {
    let is_scheme = |text: &[u8]| {
        text.first().is_some_and(u8::is_ascii_alphabetic)
            && text
                .iter()
                .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(byte))
    };
    let colon = reference.iter().position(|&byte| byte == b':');
    let relative = match colon.and_then(|at| reference.split_at_checked(at)) {
        Some((scheme, rest)) if is_scheme(scheme) => rest.get(1..).unwrap_or_default(),
        _ => reference,
    };
    match relative {
        [b'/' | b'\\', b'/' | b'\\', rest @ ..] => Some(rest),
        _ => None,
    }
}

/// The host of host and port, without the dot that may be behind a name.
fn host(authority: &[u8]) -> &[u8] {
    let end = match authority {
        [b'[', ..] => authority.iter().position(|&byte| byte == b']').map(|at| at + 1),
        _ => authority.iter().position(|&byte| byte == b':'),
    };
    let host = authority
        .get(..end.unwrap_or(authority.len()))
        .unwrap_or(authority);
    host.strip_suffix(b".").unwrap_or(host)
}

/// What the fields of an answer tell of the time that the request spent in the responder.
#[derive(Debug, Default)]
pub(super) struct Times {
    /// `X-Echo-T2` and `X-Echo-T3` of a halloo host: the wall clock in nanoseconds when the request arrived, and when
    /// its answer was about to leave.
    t2: Option<Wall>,
    t3: Option<Wall>,
    /// `Server-Timing: proc;dur=1.5`, in milliseconds (Server Timing, W3C).
    processing: Option<Nanos>,
}

impl Times {
    /// Looks at a field; the first of each name counts.
    pub(super) fn take(&mut self, name: &str, value: &[u8]) {
        let wall = || number(value.trim_ascii()).map(Wall);
        if name.eq_ignore_ascii_case("x-echo-t2") {
            self.t2 = self.t2.or_else(wall);
        } else if name.eq_ignore_ascii_case("x-echo-t3") {
            self.t3 = self.t3.or_else(wall);
        } else if name.eq_ignore_ascii_case("server-timing") {
            self.processing = self.processing.or_else(|| processing(value));
        }
    }

    /// What is known by them.
    pub(super) fn reflection(&self) -> Option<Reflection> {
        let between = self.t2.zip(self.t3).map(|(t2, t3)| t3 - t2);
        let residence = between.filter(|&span| span >= Nanos::ZERO).or(self.processing);
        let told = self.t2.is_some() || residence.is_some();
        told.then(|| Reflection {
            received_at: self.t2,
            residence,
            ..Reflection::default()
        })
    }
}

/// The duration of the metric `proc`.
fn processing(value: &[u8]) -> Option<Nanos> {
    unquoted(value, b',').find_map(|metric| {
        let mut parts = unquoted(metric, b';').map(<[u8]>::trim_ascii);
        if parts.next() != Some(b"proc") {
            return None;
        }
        parts.find_map(|part| {
            let equals = part.iter().position(|&byte| byte == b'=')?;
            let (name, value) = part.split_at_checked(equals)?;
            let is_duration = name.trim_ascii().eq_ignore_ascii_case(b"dur");
            let value = value.get(1..)?.trim_ascii();
            let plain = value
                .strip_prefix(b"\"")
                .and_then(|quoted| quoted.strip_suffix(b"\""));
            milliseconds(plain.unwrap_or(value)).filter(|_| is_duration)
        })
    })
}

/// The pieces between separators that are in no quoted string (RFC 9110 section 5.6.4).
fn unquoted(value: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let (mut quoted, mut escaped) = (false, false);
    value.split(move |&byte| {
        let is_escaped = std::mem::take(&mut escaped);
        match byte {
            b'\\' if quoted && !is_escaped => escaped = true,
            b'"' if !is_escaped => quoted = !quoted,
            _ => {}
        }
        byte == separator && !quoted
    })
}

/// Milliseconds with up to any number of digits behind the point, in whole nanoseconds.
fn milliseconds(text: &[u8]) -> Option<Nanos> {
    const DIGITS: usize = 6;
    let mut parts = text.splitn(2, |&byte| byte == b'.');
    let (whole, fraction) = (parts.next()?, parts.next().unwrap_or(b"0"));
    let mut padded = [b'0'; DIGITS];
    for (digit, told) in padded.iter_mut().zip(fraction) {
        *digit = *told;
    }
    let is_number = !fraction.is_empty() && fraction.iter().all(u8::is_ascii_digit);
    let whole = number(whole)?.checked_mul(1_000_000)?;
    let nanos = whole.checked_add(number(&padded)?).filter(|_| is_number)?;
    i64::try_from(nanos).ok().map(Nanos)
}
