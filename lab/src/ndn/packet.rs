//! Names, Interests and Data as a forwarder looks at them: what it needs to know, and otherwise the bytes as they came.

use super::tlv::{Element, element, elements, integer, nested, only};
use sha2::{Digest, Sha256};
use std::fmt;
use std::time::Duration;

pub(super) const INTEREST: u64 = 5;
pub(super) const DATA: u64 = 6;
pub(super) const NAME: u64 = 7;
pub(super) const GENERIC: u64 = 8;
const NONCE: u64 = 10;
const LIFETIME: u64 = 12;
const MUST_BE_FRESH: u64 = 18;
const SIGNATURE_INFO: u64 = 22;
const SIGNATURE_VALUE: u64 = 23;
const FORWARDING_HINT: u64 = 30;
const CAN_BE_PREFIX: u64 = 33;
const HOP_LIMIT: u64 = 34;
pub(super) const PARAMETERS: u64 = 36;
pub(super) const INTEREST_SIGNATURE_INFO: u64 = 44;
pub(super) const INTEREST_SIGNATURE_VALUE: u64 = 46;
const IMPLICIT_DIGEST: u64 = 1;
pub(super) const PARAMETERS_DIGEST: u64 = 2;
const DEFAULT_LIFETIME: Duration = Duration::from_secs(4);

/// A name: each component with its type and length.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(super) struct Name(pub(super) Vec<Vec<u8>>);

/// A question, and what forwarding it needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Interest {
    pub(super) name: Name,
    pub(super) can_be_prefix: bool,
    pub(super) must_be_fresh: bool,
    pub(super) nonce: Option<[u8; 4]>,
    pub(super) lifetime: Duration,
    pub(super) hop_limit: Option<u8>,
    pub(super) wire: Vec<u8>,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Data {
    pub(super) name: Name,
    pub(super) wire: Vec<u8>,
}

/// The fields of an Interest behind its name in the order that the format wants.
const INTEREST_ORDER: &[u64] = &[
    CAN_BE_PREFIX,
    MUST_BE_FRESH,
    FORWARDING_HINT,
    NONCE,
    LIFETIME,
    HOP_LIMIT,
    PARAMETERS,
    INTEREST_SIGNATURE_INFO,
    INTEREST_SIGNATURE_VALUE,
];
const DATA_ORDER: &[u64] = &[20, 21, SIGNATURE_INFO, SIGNATURE_VALUE];

impl Name {
    /// The name that these components, one behind the other, are.
    pub(super) fn parse(value: &[u8]) -> Option<Name> {
        let components = elements(value)?;
        let legal = |component: &Element<'_>| {
            let is_digest = matches!(component.kind, IMPLICIT_DIGEST | PARAMETERS_DIGEST);
            component.kind <= 65_535 && (!is_digest || component.value.len() == 32)
        };
        let digests = components
            .iter()
            .filter(|component| component.kind == PARAMETERS_DIGEST);
        if !components.iter().all(legal) || digests.count() > 1 {
            return None;
        }
        Some(Name(
            components
                .iter()
                .map(|component| component.wire.to_vec())
                .collect(),
        ))
    }

    /// A name of generic components: `/a/b`.
    pub(super) fn generic(path: &str) -> Name {
        let components = path.split('/').filter(|component| !component.is_empty());
        Name(
            components
                .map(|component| element(GENERIC, component.as_bytes()))
                .collect(),
        )
    }

    pub(super) fn wire(&self) -> Vec<u8> {
        nested(NAME, &self.0)
    }

    pub(super) fn is_prefix_of(&self, other: &Name) -> bool {
        other.0.starts_with(&self.0)
    }

    /// The value of a component.
    pub(super) fn value(&self, index: usize) -> Option<&[u8]> {
        only(self.0.get(index)?).map(|component| component.value)
    }

    /// The type of the last component.
    fn last_kind(&self) -> Option<u64> {
        only(self.0.last()?).map(|component| component.kind)
    }
}

impl fmt::Display for Name {
    /// Generic components as text with what is not printable escaped; others with their type.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for component in self.0.iter().filter_map(|component| only(component)) {
            f.write_str("/")?;
            if component.kind != GENERIC {
                write!(f, "{}=", component.kind)?;
            }
            for &octet in component.value {
                match octet {
                    b'!'..=b'~' if !matches!(octet, b'%' | b'/') => write!(f, "{}", char::from(octet))?,
                    _ => write!(f, "%{octet:02X}")?,
                }
            }
        }
        Ok(())
    }
}

impl Interest {
    /// The Interest that these bytes are, as NFD takes it: parameters' digests are not checked.
    pub(super) fn parse(wire: &[u8]) -> Option<Interest> {
        let (name, fields) = read(wire, INTEREST, INTEREST_ORDER)?;
        if name.0.is_empty() {
            return None;
        }
        let mut interest = Interest {
            name,
            can_be_prefix: false,
            must_be_fresh: false,
            nonce: None,
            lifetime: DEFAULT_LIFETIME,
            hop_limit: None,
            wire: wire.to_vec(),
        };
        for field in fields {
            match field.kind {
                CAN_BE_PREFIX => interest.can_be_prefix = field.value.is_empty().then_some(true)?,
                MUST_BE_FRESH => interest.must_be_fresh = field.value.is_empty().then_some(true)?,
                NONCE => interest.nonce = Some(field.value.try_into().ok()?),
                LIFETIME => interest.lifetime = Duration::from_millis(integer(field.value)?),
                HOP_LIMIT => interest.hop_limit = Some(<[u8; 1]>::try_from(field.value).ok()?[0]),
                _ => {}
            }
        }
        Some(interest)
    }

    /// The same with one hop less to go.
    pub(super) fn hopped(self) -> Interest {
        let Some(hops) = self.hop_limit else {
            return self;
        };
        let hops = hops.saturating_sub(1);
        let wire = self.rebuilt(|field| (field.kind == HOP_LIMIT).then(|| element(HOP_LIMIT, &[hops])));
        Interest {
            hop_limit: Some(hops),
            wire,
            ..self
        }
    }

    /// The same with a nonce, if it has none.
    pub(super) fn with_nonce(self, nonce: [u8; 4]) -> Interest {
        if self.nonce.is_some() {
            return self;
        }
        let before = [NAME, CAN_BE_PREFIX, MUST_BE_FRESH, FORWARDING_HINT];
        // The fields are those that were read when it was parsed.
        let fields = only(&self.wire)
            .and_then(|outer| elements(outer.value))
            .unwrap_or_default();
        let at = fields
            .iter()
            .rposition(|field| before.contains(&field.kind))
            .map_or(0, |last| last + 1);
        let mut parts: Vec<_> = fields.iter().map(|field| field.wire.to_vec()).collect();
        parts.insert(at, element(NONCE, &nonce));
        Interest {
            nonce: Some(nonce),
            wire: nested(INTEREST, &parts),
            ..self
        }
    }

    fn rebuilt(&self, replacement: impl Fn(&Element<'_>) -> Option<Vec<u8>>) -> Vec<u8> {
        let fields = only(&self.wire)
            .and_then(|outer| elements(outer.value))
            .unwrap_or_default();
        let parts: Vec<_> = fields
            .iter()
            .map(|field| replacement(field).unwrap_or_else(|| field.wire.to_vec()))
            .collect();
        nested(INTEREST, &parts)
    }

    /// The first field of that type behind the name.
    pub(super) fn field(&self, kind: u64) -> Option<&[u8]> {
        let fields = elements(only(&self.wire)?.value)?;
        fields
            .into_iter()
            .find(|field| field.kind == kind)
            .map(|field| field.value)
    }

    /// Whether the digest in its name is that of what it carries; true where it carries nothing.
    pub(super) fn digest_is_right(&self) -> bool {
        let Some(fields) = only(&self.wire).and_then(|outer| elements(outer.value)) else {
            return false;
        };
        let carried: Vec<u8> = fields
            .iter()
            .skip_while(|field| field.kind != PARAMETERS)
            .flat_map(|field| field.wire)
            .copied()
            .collect();
        let digests: Vec<_> = (0..self.name.0.len())
            .filter_map(|index| only(&self.name.0[index]))
            .filter(|component| component.kind == PARAMETERS_DIGEST)
            .map(|component| component.value.to_vec())
            .collect();
        match (carried.is_empty(), &digests[..]) {
            (true, []) => true,
            (false, [digest]) => *digest == sha256(&carried),
            _ => false,
        }
    }

    /// Whether the Data is what was asked for.
    pub(super) fn is_answered_by(&self, data: &Data) -> bool {
        if self.name == data.name || self.can_be_prefix && self.name.is_prefix_of(&data.name) {
            return true;
        }
        self.name.last_kind() == Some(IMPLICIT_DIGEST)
            && self.name.0.split_last().is_some_and(|(digest, rest)| {
                rest == data.name.0 && *digest == element(IMPLICIT_DIGEST, &sha256(&data.wire))
            })
    }
}

impl Data {
    /// The Data that these bytes are. Its signature is not checked.
    pub(super) fn parse(wire: &[u8]) -> Option<Data> {
        let (name, fields) = read(wire, DATA, DATA_ORDER)?;
        let has = |kind| fields.iter().any(|field| field.kind == kind);
        (has(SIGNATURE_INFO) && has(SIGNATURE_VALUE)).then(|| Data {
            name,
            wire: wire.to_vec(),
        })
    }

    /// Signed with a mere digest.
    pub(super) fn sign(name: &Name, meta: &[u8], content: &[u8]) -> Vec<u8> {
        let info = element(SIGNATURE_INFO, &[0x1b, 1, 0]);
        let covered = [name.wire(), element(20, meta), element(21, content), info].concat();
        let value = element(SIGNATURE_VALUE, &sha256(&covered));
        nested(DATA, &[covered, value])
    }
}

/// Name and fields of a packet, or nothing if the format's rules for evolution refuse it: a critical element (type below
/// 32, or odd) that is unknown, repeated or out of order.
fn read<'a>(wire: &'a [u8], kind: u64, order: &[u64]) -> Option<(Name, Vec<Element<'a>>)> {
    let outer = only(wire).filter(|outer| outer.kind == kind)?;
    let fields = elements(outer.value)?;
    let (first, rest) = fields.split_first()?;
    let name = Name::parse((first.kind == NAME).then_some(first.value)?)?;
    let mut taken = Vec::new();
    let mut next = 0;
    for field in rest {
        match order[next..].iter().position(|kind| *kind == field.kind) {
            Some(ahead) => {
                next += ahead + 1;
                taken.push(*field);
            }
            None if field.kind < 32 || field.kind % 2 == 1 => return None,
            None => {}
        }
    }
    Some((name, taken))
}

pub(super) fn sha256(bytes: &[u8]) -> Vec<u8> {
    Sha256::digest(bytes).to_vec()
}
