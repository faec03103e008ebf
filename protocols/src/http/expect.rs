//! What a good answer is.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

/// What a good answer is. By default any with a status of success, whatever its body.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Expect {
    /// Which statuses are good. `None`: those of success, 200 to 299 (RFC 9110 section 15.3).
    pub status: Option<StatusSet>,
    /// What the body must hold, byte for byte.
    pub body_contains: Option<String>,
    /// What the body must be, byte for byte. Without anything in it, there must be no body.
    pub body_equals: Option<Vec<u8>>,
}

/// Status codes, written as `200`, `2xx`, `200-299`, or several of these with commas between them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusSet(Vec<RangeInclusive<u16>>);

/// What is no [`StatusSet`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a status of HTTP; write 200, 2xx, 200-299, or several with commas between them")]
pub struct BadStatusSet(String);

impl Expect {
    /// Whether this status is good.
    pub(super) fn takes(&self, status: u16) -> bool {
        match &self.status {
            Some(set) => set.contains(status),
            None => (200..=299).contains(&status),
        }
    }

    /// Whether it asks for something in the body.
    pub(super) fn looks_at_body(&self) -> bool {
        let wants_some = self.body_contains.as_ref().is_some_and(|part| !part.is_empty());
        wants_some || self.body_equals.as_ref().is_some_and(|whole| !whole.is_empty())
    }
}

impl StatusSet {
    /// Whether this status is one of them.
    pub fn contains(&self, status: u16) -> bool {
        self.0.iter().any(|range| range.contains(&status))
    }
}

impl FromStr for StatusSet {
    type Err = BadStatusSet;

    fn from_str(text: &str) -> Result<StatusSet, BadStatusSet> {
        let ranges = text.split(',').map(|part| range(part.trim()));
        let ranges: Option<Vec<_>> = ranges.collect();
        ranges.map(StatusSet).ok_or_else(|| BadStatusSet(text.into()))
    }
}

/// Statuses are 100 to 599 (RFC 9110 section 15), but there are servers that say 999.
fn range(text: &str) -> Option<RangeInclusive<u16>> {
    if let [class @ b'1'..=b'9', b'x' | b'X', b'x' | b'X'] = text.as_bytes() {
        let first = u16::from(class - b'0') * 100;
        return Some(first..=first + 99);
    }
    let code = |text: &str| {
        let digits = text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse().ok().filter(|&code: &u16| digits && code >= 100)
    };
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (code(first)?, code(last)?);
    (first <= last).then_some(first..=last)
}

impl fmt::Display for StatusSet {
    /// Writes it so that it reads as the same set: `200-299,304`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, range) in self.0.iter().enumerate() {
            let comma = if place == 0 { "" } else { "," };
            let (first, last) = range.clone().into_inner();
            write!(f, "{comma}{first}")?;
            if first < last {
                write!(f, "-{last}")?;
            }
        }
        Ok(())
    }
}
