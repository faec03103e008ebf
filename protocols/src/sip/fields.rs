//! Header fields: lines with a name, a colon and a value (RFC 3261 section 7.3).

use super::values::{is_token, number, trim, trim_end, trim_start};

/// A header field's name, where we do something with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Name {
    /// RFC 3261 section 20.42.
    Via,
    /// RFC 3261 section 20.20.
    From,
    /// RFC 3261 section 20.39.
    To,
    /// RFC 3261 section 20.8.
    CallId,
    /// RFC 3261 section 20.16.
    CSeq,
    /// RFC 3261 section 20.14.
    ContentLength,
    /// RFC 3261 section 20.22.
    MaxForwards,
    /// RFC 3261 section 20.38.
    Timestamp,
    /// RFC 3261 section 20.32.
    Require,
    /// RFC 3261 section 20.10.
    Contact,
    /// RFC 3261 section 20.15.
    ContentType,
    /// RFC 3261 section 20.37.
    Supported,
    /// RFC 3261 section 20.36.
    Subject,
    /// Any other.
    Other,
    /// The line is no header field: it has no colon, or no token before it.
    Malformed,
}

/// How many of the names there are that [`Head`] keeps.
const KEPT: usize = Name::Require as usize + 1;

/// Names in full and in one letter (RFC 3261 section 7.3.3).
const NAMES: [(Name, &str, Option<u8>); 13] = [
    (Name::Via, "Via", Some(b'v')),
    (Name::From, "From", Some(b'f')),
    (Name::To, "To", Some(b't')),
    (Name::CallId, "Call-ID", Some(b'i')),
    (Name::CSeq, "CSeq", None),
    (Name::ContentLength, "Content-Length", Some(b'l')),
    (Name::MaxForwards, "Max-Forwards", None),
    (Name::Timestamp, "Timestamp", None),
    (Name::Require, "Require", None),
    (Name::Contact, "Contact", Some(b'm')),
    (Name::ContentType, "Content-Type", Some(b'c')),
    (Name::Supported, "Supported", Some(b'k')),
    (Name::Subject, "Subject", Some(b's')),
];

/// One header field as it stands in a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// Its name, however it is written.
    pub name: Name,
    /// The whole: all its lines with their ends.
    pub line: &'a [u8],
    /// What stands before the value: the name as it is written, the colon, white space.
    pub lead: &'a [u8],
    /// The value, without white space around it. Within it lines may be folded.
    pub value: &'a [u8],
}

/// The header fields of a message, in their order.
#[derive(Clone, Copy, Debug)]
pub struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    /// `lines` are whole lines, and their ends are CRLF.
    pub(super) fn new(lines: &'a [u8]) -> Fields<'a> {
        Fields(lines)
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Field<'a>;

    fn next(&mut self) -> Option<Field<'a>> {
        let (line, rest) = first_field(self.0)?;
        self.0 = rest;
        Some(Field::of(line))
    }
}

/// The lines of the first field and those behind it: a line that begins with white space continues the one before.
fn first_field(lines: &[u8]) -> Option<(&[u8], &[u8])> {
    let ends = lines.iter().enumerate().filter(|&(_, &byte)| byte == b'\n');
    let mut ends = ends.map(|(at, _)| at + 1);
    let end = ends.find(|&end| !matches!(lines.get(end), Some(b' ' | b'\t')))?;
    lines.split_at_checked(end)
}

impl<'a> Field<'a> {
    fn of(line: &'a [u8]) -> Field<'a> {
        let malformed = Field {
            name: Name::Malformed,
            line,
            lead: &[],
            value: trim(line),
        };
        let Some(colon) = line.iter().position(|&byte| byte == b':') else {
            return malformed;
        };
        let (label, value) = (&line[..colon], &line[colon + 1..]);
        let label = trim_end(label);
        if !is_token(label) {
            return malformed;
        }
        let value = trim(value);
        // The white space around an empty value stands behind it.
        let lead = match trim_start(&line[colon + 1..]) {
            [] => colon + 1,
            rest => line.len() - rest.len(),
        };
        Field {
            name: Name::of(label),
            line,
            lead: &line[..lead],
            value,
        }
    }
}

impl Name {
    /// The name that stands before a colon; letters' case does not matter.
    pub fn of(label: &[u8]) -> Name {
        let is = |full: &str, compact: Option<u8>| match (label, compact) {
            ([letter], Some(compact)) => letter.to_ascii_lowercase() == compact,
            _ => label.eq_ignore_ascii_case(full.as_bytes()),
        };
        let known = NAMES.iter().find(|&&(_, full, compact)| is(full, compact));
        known.map_or(Name::Other, |&(name, ..)| name)
    }
}

/// The first header field of each name that matters to an answer.
pub(super) struct Head<'a> {
    first: [Option<Field<'a>>; KEPT],
    repeated: [bool; KEPT],
    /// Whether every line is a header field.
    pub(super) is_sound: bool,
}

impl<'a> Head<'a> {
    pub(super) fn of(fields: Fields<'a>) -> Head<'a> {
        let mut head = Head {
            first: [None; KEPT],
            repeated: [false; KEPT],
            is_sound: true,
        };
        for field in fields {
            head.is_sound &= field.name != Name::Malformed;
            let Some(first) = head.first.get_mut(field.name as usize) else {
                continue;
            };
            if first.is_some() {
                head.repeated[field.name as usize] = true;
            } else {
                *first = Some(field);
            }
        }
        head
    }

    /// The first field of this name.
    pub(super) fn field(&self, name: Name) -> Option<Field<'a>> {
        self.first.get(name as usize).copied().flatten()
    }

    pub(super) fn value(&self, name: Name) -> Option<&'a [u8]> {
        Some(self.field(name)?.value)
    }

    pub(super) fn is_repeated(&self, name: Name) -> bool {
        self.repeated.get(name as usize).copied().unwrap_or(false)
    }

    /// How long the body is, where the message says so; `Err` if what it says is no length, or said twice.
    pub(super) fn content_length(&self) -> Result<Option<usize>, BadLength> {
        let Some(value) = self.value(Name::ContentLength) else {
            return Ok(None);
        };
        let length = number(value, u32::MAX).filter(|_| !self.is_repeated(Name::ContentLength));
        length.map(|length| Some(length as usize)).ok_or(BadLength)
    }
}

/// A Content-Length that tells no length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BadLength;
