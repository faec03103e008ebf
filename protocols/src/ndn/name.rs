//! Names (NDN packet format 0.3, section "Name"). Their URI form is in `uri`.

use super::tlv::{Element, Malformed, Reader, Writer, element_len, integer, integer_bytes, number_len};
use super::types::{self, component};
use std::ops::RangeInclusive;

/// How long a digest in a name is.
pub(super) const DIGEST: usize = 32;

const COMPONENT_TYPES: RangeInclusive<u32> = 1..=0xffff;

/// A name in somebody's bytes. Ordered as NDN orders names (section "Canonical Order").
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Name<'a> {
    /// The components, checked. Types and lengths are in their shortest form, so that comparing bytes is comparing names.
    value: &'a [u8],
}

/// A name of its own.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct NameBuf {
    value: Vec<u8>,
}

/// One component of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Component<'a> {
    /// Its type, 1 to 65535.
    pub kind: u16,
    /// Its value.
    pub value: &'a [u8],
}

/// The components of a name, in order.
#[derive(Clone, Debug)]
pub struct Components<'a> {
    reader: Reader<'a>,
}

impl<'a> Name<'a> {
    /// The name that an element of type Name holds.
    ///
    /// # Errors
    /// If it is no such element, or a component is impossible.
    pub fn parse(wire: &'a [u8]) -> Result<Name<'a>, Malformed> {
        Name::of(&Reader::new(wire).required(types::NAME)?)
    }

    /// The name that comes next.
    pub(super) fn read(reader: &mut Reader<'a>) -> Result<Name<'a>, Malformed> {
        Name::of(&reader.required(types::NAME)?)
    }

    /// The name whose components this element's value is.
    pub(super) fn of(element: &Element<'a>) -> Result<Name<'a>, Malformed> {
        Name::from_value(element.value)
    }

    /// The name of these components, one encoded after the other.
    ///
    /// # Errors
    /// If one of them is impossible.
    pub fn from_value(value: &'a [u8]) -> Result<Name<'a>, Malformed> {
        let mut reader = Reader::new(value);
        while let Some(element) = reader.element()? {
            let is_digest = matches!(element.kind, types::IMPLICIT_DIGEST | types::PARAMETERS_DIGEST);
            if !COMPONENT_TYPES.contains(&element.kind) || is_digest && element.value.len() != DIGEST {
                return Err(Malformed::BadName);
            }
        }
        Ok(Name { value })
    }

    /// The components, one encoded after the other.
    pub fn value(self) -> &'a [u8] {
        self.value
    }

    /// Whether it has no components.
    pub fn is_empty(self) -> bool {
        self.value.is_empty()
    }

    /// The components in order.
    pub fn components(self) -> Components<'a> {
        Components {
            reader: Reader::new(self.value),
        }
    }

    /// The last component.
    pub fn last(self) -> Option<Component<'a>> {
        self.components().last()
    }

    /// Whether `other` begins with all components of this name.
    pub fn is_prefix_of(self, other: Name<'_>) -> bool {
        other.value.starts_with(self.value)
    }

    /// What `self` has behind `prefix`, if it begins with it.
    pub fn strip_prefix(self, prefix: Name<'_>) -> Option<Name<'a>> {
        self.value.strip_prefix(prefix.value).map(|value| Name { value })
    }

    /// How many bytes the name takes as an element.
    pub fn encoded_len(self) -> usize {
        element_len(types::NAME, self.value.len())
    }

    /// Writes the name as an element.
    pub fn emit(self, writer: &mut Writer<'_>) {
        writer.element(types::NAME, self.value);
    }

    /// A copy of its own.
    pub fn to_buf(self) -> NameBuf {
        NameBuf {
            value: self.value.to_vec(),
        }
    }

    /// The one parameters digest in the name, and what stands before and after it.
    ///
    /// # Errors
    /// If there are two: nobody knows which one counts.
    pub(super) fn parameters_digest(self) -> Result<Option<DigestPlace<'a>>, Malformed> {
        let mut found = None;
        let mut reader = Reader::new(self.value);
        while let Some(element) = reader.element()? {
            if element.kind != types::PARAMETERS_DIGEST {
                continue;
            }
            let place = DigestPlace {
                digest: element.value,
                before: &self.value[..self.value.len() - element.from.len()],
                is_last: element.from.len() == element.wire.len(),
            };
            if found.replace(place).is_some() {
                return Err(Malformed::BadDigest);
            }
        }
        Ok(found)
    }
}

/// Where a name has its parameters digest.
pub(super) struct DigestPlace<'a> {
    pub(super) digest: &'a [u8],
    /// The components before it, encoded.
    pub(super) before: &'a [u8],
    pub(super) is_last: bool,
}

impl NameBuf {
    /// The empty name, written `/`.
    pub fn new() -> NameBuf {
        NameBuf::default()
    }

    /// A view of it.
    pub fn as_name(&self) -> Name<'_> {
        Name { value: &self.value }
    }

    /// Adds a component.
    ///
    /// # Errors
    /// [`Malformed::BadName`] if its type is 0, or its value no digest where its type is one.
    pub fn push(&mut self, component: Component<'_>) -> Result<(), Malformed> {
        let kind = u32::from(component.kind);
        let is_digest = matches!(kind, types::IMPLICIT_DIGEST | types::PARAMETERS_DIGEST);
        if kind == 0 || is_digest && component.value.len() != DIGEST {
            return Err(Malformed::BadName);
        }
        self.append(kind, component.value);
        Ok(())
    }

    /// The name with one generic component more.
    #[must_use]
    pub fn with(mut self, value: &[u8]) -> NameBuf {
        self.append(types::GENERIC, value);
        self
    }

    /// The name with one component more whose value is a number, such as a segment.
    #[must_use]
    pub fn with_number(mut self, kind: u16, number: u64) -> NameBuf {
        self.append(u32::from(kind), integer_bytes(number, &mut [0; 8]));
        self
    }

    /// The name with its parameters digest.
    pub(super) fn with_parameters_digest(mut self, digest: &[u8; DIGEST]) -> NameBuf {
        self.append(types::PARAMETERS_DIGEST, digest);
        self
    }

    /// Makes this name `prefix` and one component more, in the memory that it has.
    pub(super) fn set_tail(&mut self, prefix: Name<'_>, last: Component<'_>) {
        self.value.clear();
        self.value.extend_from_slice(prefix.value);
        self.append(u32::from(last.kind), last.value);
    }

    fn append(&mut self, kind: u32, value: &[u8]) {
        let start = self.value.len();
        let len = number_len(u64::from(kind)) + number_len(value.len() as u64);
        self.value.resize(start + len, 0);
        Writer::new(&mut self.value[start..]).header(kind, value.len());
        self.value.extend_from_slice(value);
    }
}

impl<'a> Component<'a> {
    /// A generic component.
    pub fn generic(value: &'a [u8]) -> Component<'a> {
        Component {
            kind: component(types::GENERIC),
            value,
        }
    }

    /// The value as a NonNegativeInteger, if it has the length of one.
    pub fn number(&self) -> Option<u64> {
        integer(self.value)
    }
}

impl<'a> Iterator for Components<'a> {
    type Item = Component<'a>;

    fn next(&mut self) -> Option<Component<'a>> {
        // Checked when the name was made: neither errors nor types beyond 16 bits are left.
        let element = self.reader.element().ok().flatten()?;
        Some(Component {
            kind: component(element.kind),
            value: element.value,
        })
    }
}
