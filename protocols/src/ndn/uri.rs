//! Names as people write them (NDN packet format 0.3, section "NDN URI Scheme").

use super::name::{Component, DIGEST, Name, NameBuf};
use super::tlv::integer_bytes;
use super::types::{self, component};
use std::fmt::{self, Write as _};
use std::str::FromStr;

/// Why a text is no name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UriError {
    /// An empty, `.` or `..` component: they cannot be told from paths of files (an empty component is `...`).
    #[error("a component of a name cannot be '{0}'")]
    Dots(String),
    /// What stands before `=` is neither a type number from 1 to 65535 nor one of the known words.
    #[error("'{0}' is no type of name component")]
    BadType(String),
    /// What stands behind `=` is not what the type wants.
    #[error("'{0}' is not what a '{1}' component holds")]
    BadValue(String, String),
}

/// How types of components are written that have a word of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum UriForm {
    /// By their words: `seg=5`, `v=1700000000000`, `sha256digest=5a...`.
    #[default]
    Alternate,
    /// By their numbers: `50=%05`.
    Canonical,
}

/// Words for types whose value is a number.
const NUMBERED: [(&str, u32); 5] = [
    ("seg", types::SEGMENT),
    ("off", types::BYTE_OFFSET),
    ("v", types::VERSION),
    ("t", types::TIMESTAMP),
    ("seq", types::SEQUENCE_NUM),
];

/// Words for types whose value is a digest.
const DIGESTS: [(&str, u32); 2] = [
    ("sha256digest", types::IMPLICIT_DIGEST),
    ("params-sha256", types::PARAMETERS_DIGEST),
];

impl FromStr for NameBuf {
    type Err = UriError;

    /// Reads `/a/b`, `a/b`, `ndn:/a/b` and `ndn://authority/a/b`. One slash at the end means nothing.
    fn from_str(uri: &str) -> Result<NameBuf, UriError> {
        let mut name = NameBuf::new();
        let path = path(uri);
        if path.is_empty() {
            return Ok(name);
        }
        for segment in path.strip_suffix('/').unwrap_or(path).split('/') {
            let (kind, value) = parse_component(segment)?;
            name.push(Component { kind, value: &value })
                .map_err(|_| bad_value(segment))?;
        }
        Ok(name)
    }
}

/// What is left without scheme, authority and leading slash.
fn path(uri: &str) -> &str {
    let scheme_end = match (uri.find(':'), uri.find('/')) {
        (Some(colon), Some(slash)) if slash < colon => None,
        (colon, _) => colon,
    };
    let rest = scheme_end.map_or(uri, |colon| &uri[colon + 1..]);
    match rest.strip_prefix("//") {
        Some(rest) => rest.split_once('/').map_or("", |(_authority, path)| path),
        None => rest.strip_prefix('/').unwrap_or(rest),
    }
}

fn parse_component(segment: &str) -> Result<(u16, Vec<u8>), UriError> {
    let Some((word, text)) = segment.split_once('=') else {
        return Ok((component(types::GENERIC), unescape(segment)?));
    };
    if let Some((_, kind)) = DIGESTS.iter().find(|(known, _)| *known == word) {
        let value = digest(text).ok_or_else(|| bad_value(segment))?;
        return Ok((component(*kind), value));
    }
    if let Some((_, kind)) = NUMBERED.iter().find(|(known, _)| *known == word) {
        let number = canonical(text).ok_or_else(|| bad_value(segment))?;
        return Ok((component(*kind), integer_bytes(number, &mut [0; 8]).to_vec()));
    }
    let kind = canonical(word)
        .and_then(|kind| u16::try_from(kind).ok())
        .filter(|&kind| kind > 0)
        .ok_or_else(|| UriError::BadType(word.to_owned()))?;
    Ok((kind, unescape(text)?))
}

fn bad_value(segment: &str) -> UriError {
    let (word, text) = segment.split_once('=').unwrap_or_default();
    UriError::BadValue(text.to_owned(), word.to_owned())
}

/// A decimal number written in the one way that it is printed.
fn canonical(text: &str) -> Option<u64> {
    text.parse()
        .ok()
        .filter(|number: &u64| number.to_string() == text)
}

fn digest(text: &str) -> Option<Vec<u8>> {
    let pairs = text.as_bytes().chunks(2);
    let value: Option<Vec<u8>> = pairs
        .map(|pair| match pair {
            [high, low] => hex_pair(*high, *low),
            _ => None,
        })
        .collect();
    value.filter(|value| value.len() == DIGEST)
}

fn hex_pair(high: u8, low: u8) -> Option<u8> {
    let digit = |octet: u8| char::from(octet).to_digit(16);
    u8::try_from(digit(high)? << 4 | digit(low)?).ok()
}

/// The value behind percent escapes. A broken escape stands for itself; three periods of those that are all periods
/// are not part of the value.
fn unescape(text: &str) -> Result<Vec<u8>, UriError> {
    let mut rest = text.as_bytes();
    let mut value = Vec::with_capacity(rest.len());
    while let Some((&first, behind)) = rest.split_first() {
        let escaped = match behind {
            [high, low, ..] if first == b'%' => hex_pair(*high, *low),
            _ => None,
        };
        value.push(escaped.unwrap_or(first));
        rest = escaped.map_or(behind, |_| &behind[2..]);
    }
    if !value.iter().all(|&octet| octet == b'.') {
        return Ok(value);
    }
    value
        .get(3..)
        .map(<[u8]>::to_vec)
        .ok_or_else(|| UriError::Dots(text.to_owned()))
}

impl Name<'_> {
    /// The name as a URI without scheme.
    pub fn to_uri(self, form: UriForm) -> String {
        let mut uri = String::new();
        for component in self.components() {
            uri.push('/');
            uri.push_str(&component.to_uri(form));
        }
        if uri.is_empty() {
            uri.push('/');
        }
        uri
    }
}

impl Component<'_> {
    /// The component as a part of a URI.
    pub fn to_uri(&self, form: UriForm) -> String {
        let mut uri = String::new();
        // Writing to a string cannot fail.
        let _infallible = self.write(form, &mut uri);
        uri
    }

    fn write(&self, form: UriForm, uri: &mut String) -> fmt::Result {
        let kind = u32::from(self.kind);
        if form == UriForm::Alternate {
            let word = |table: &[(&'static str, u32)]| {
                let known = table.iter().find(|(_, known)| *known == kind);
                known.map(|(word, _)| *word)
            };
            if let Some(word) = word(&DIGESTS) {
                write!(uri, "{word}=")?;
                return self.value.iter().try_for_each(|octet| write!(uri, "{octet:02x}"));
            }
            if let (Some(word), Some(number)) = (word(&NUMBERED), self.number()) {
                return write!(uri, "{word}={number}");
            }
        }
        if kind != types::GENERIC {
            write!(uri, "{kind}=")?;
        }
        if self.value.iter().all(|&octet| octet == b'.') {
            uri.push_str("...");
        }
        for &octet in self.value {
            match octet {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                    uri.push(char::from(octet));
                }
                _ => write!(uri, "%{octet:02X}")?,
            }
        }
        Ok(())
    }
}

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_uri(UriForm::Alternate))
    }
}

impl fmt::Debug for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for NameBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.as_name(), f)
    }
}

impl fmt::Debug for NameBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
