//! Interests (NDN packet format 0.3, section "Interest Packet"; signed Interest 0.3).

use super::keys::{Signer, Unverified, Verifier};
use super::name::{Name, NameBuf};
use super::signature::SignatureInfo;
use super::tlv::{Element, Malformed, NoRoom, Reader, Writer, written};
use super::types;
use super::{Data, sha256};
use std::time::Duration;

/// How long an Interest that does not say it is worth an answer.
pub const DEFAULT_LIFETIME: Duration = Duration::from_millis(4_000);

/// A question: who has something of this name?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interest<'a> {
    /// The name that is asked for; never empty.
    pub name: Name<'a>,
    /// Whether Data with a longer name is an answer.
    pub can_be_prefix: bool,
    /// Whether a cache must not answer with Data whose freshness has run out.
    pub must_be_fresh: bool,
    /// Names that lead to who may know the answer.
    pub forwarding_hint: Names<'a>,
    /// By which forwarders notice loops; a question asked again needs another.
    pub nonce: Option<[u8; 4]>,
    /// How long the question stands, in whole milliseconds; `None` for [`DEFAULT_LIFETIME`].
    pub lifetime: Option<Duration>,
    /// How many forwarders it may still pass.
    pub hop_limit: Option<u8>,
    /// What it carries; its digest is a component of the name.
    pub parameters: Option<Parameters<'a>>,
}

/// What an Interest carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parameters<'a> {
    /// For the application, in its own format.
    pub value: &'a [u8],
    /// Who signed name and parameters.
    pub signature: Option<InterestSignature<'a>>,
    /// From the parameters' first byte to the end of the Interest: what the digest covers.
    wire: &'a [u8],
}

/// A signed Interest's signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InterestSignature<'a> {
    /// How and with which key.
    pub info: SignatureInfo<'a>,
    /// The signature.
    pub value: &'a [u8],
    /// The part of the parameters that it covers.
    signed: &'a [u8],
}

/// The names of a forwarding hint, checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Names<'a> {
    value: &'a [u8],
}

/// What makes two signed Interests with the same name and parameters different.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SigningMoment {
    /// Random.
    pub nonce: [u8; 8],
    /// Milliseconds since the Unix epoch. Whoever checks for replays wants it to grow with each Interest of a key.
    pub time: u64,
}

const ORDER: &[u32] = &[
    types::CAN_BE_PREFIX,
    types::MUST_BE_FRESH,
    types::FORWARDING_HINT,
    types::NONCE,
    types::INTEREST_LIFETIME,
    types::HOP_LIMIT,
    types::APPLICATION_PARAMETERS,
    types::INTEREST_SIGNATURE_INFO,
    types::INTEREST_SIGNATURE_VALUE,
];

impl<'a> Interest<'a> {
    /// Asks for exactly this name, from anywhere.
    pub fn new(name: Name<'a>) -> Interest<'a> {
        Interest {
            name,
            can_be_prefix: false,
            must_be_fresh: false,
            forwarding_hint: Names::default(),
            nonce: None,
            lifetime: None,
            hop_limit: None,
            parameters: None,
        }
    }

    /// Reads the Interest that these bytes are. The parameters' digest is checked; a signature is not.
    ///
    /// # Errors
    /// [`Malformed`] says what is wrong.
    pub fn parse(wire: &'a [u8]) -> Result<Interest<'a>, Malformed> {
        let mut reader = Reader::inside(wire, types::INTEREST)?;
        let mut interest = Interest::new(Name::read(&mut reader)?);
        if interest.name.is_empty() {
            return Err(Malformed::BadName);
        }
        let mut carried = Carried::default();
        let mut fields = reader.fields(ORDER);
        while let Some(field) = fields.field()? {
            match field.kind {
                types::CAN_BE_PREFIX => interest.can_be_prefix = field.flag()?,
                types::MUST_BE_FRESH => interest.must_be_fresh = field.flag()?,
                types::FORWARDING_HINT => interest.forwarding_hint = Names::parse(field.value)?,
                types::NONCE => interest.nonce = Some(field.array()?),
                types::INTEREST_LIFETIME => {
                    interest.lifetime = Some(Duration::from_millis(field.integer()?));
                }
                types::HOP_LIMIT => interest.hop_limit = Some(field.array::<1>()?[0]),
                _ => carried.take(field),
            }
        }
        interest.parameters = carried.parameters()?;
        interest.check_digest()?;
        Ok(interest)
    }

    fn check_digest(&self) -> Result<(), Malformed> {
        let matches = match (self.name.parameters_digest()?, &self.parameters) {
            (None, None) => true,
            (Some(place), Some(parameters)) => place.digest == sha256(&[parameters.wire]),
            _ => false,
        };
        if matches {
            Ok(())
        } else {
            Err(Malformed::BadDigest)
        }
    }

    /// Writes the Interest as it is: neither digest nor signature are computed (see
    /// [`Interest::with_parameters`]).
    pub fn emit(&self, writer: &mut Writer<'_>) {
        writer.nested(types::INTEREST, |writer| {
            self.emit_head(self.name, writer);
            let Some(parameters) = &self.parameters else {
                return;
            };
            writer.element(types::APPLICATION_PARAMETERS, parameters.value);
            if let Some(signature) = &parameters.signature {
                signature.info.emit(types::INTEREST_SIGNATURE_INFO, writer);
                writer.element(types::INTEREST_SIGNATURE_VALUE, signature.value);
            }
        });
    }

    /// The whole Interest with these parameters, signed where somebody signs; the name gets its digest. Parameters
    /// that `self` may already have are not looked at.
    ///
    /// # Errors
    /// [`NoRoom`] if it is longer than any packet.
    pub fn with_parameters(
        &self,
        parameters: &[u8],
        signed: Option<(&Signer, SigningMoment)>,
    ) -> Result<Vec<u8>, NoRoom> {
        let mut tail = written(|writer| {
            writer.element(types::APPLICATION_PARAMETERS, parameters);
            if let Some((signer, moment)) = &signed {
                let info = SignatureInfo {
                    nonce: Some(&moment.nonce),
                    time: Some(moment.time),
                    ..signer.info()
                };
                info.emit(types::INTEREST_SIGNATURE_INFO, writer);
            }
        })?;
        if let Some((signer, _)) = signed {
            let value = signer.sign(&[self.name.value(), &tail]);
            tail.extend(written(|writer| {
                writer.element(types::INTEREST_SIGNATURE_VALUE, value.as_bytes());
            })?);
        }
        let name = self.name.to_buf().with_parameters_digest(&sha256(&[&tail]));
        written(|writer| {
            writer.nested(types::INTEREST, |writer| {
                self.emit_head(name.as_name(), writer);
                writer.bytes(&tail);
            });
        })
    }

    /// All that stands before the parameters.
    pub(super) fn emit_head(&self, name: Name<'_>, writer: &mut Writer<'_>) {
        name.emit(writer);
        if self.can_be_prefix {
            writer.element(types::CAN_BE_PREFIX, &[]);
        }
        if self.must_be_fresh {
            writer.element(types::MUST_BE_FRESH, &[]);
        }
        if !self.forwarding_hint.value.is_empty() {
            writer.element(types::FORWARDING_HINT, self.forwarding_hint.value);
        }
        if let Some(nonce) = self.nonce {
            writer.element(types::NONCE, &nonce);
        }
        if let Some(lifetime) = self.lifetime {
            let millis = u64::try_from(lifetime.as_millis()).unwrap_or(u64::MAX);
            writer.integer(types::INTEREST_LIFETIME, millis);
        }
        if let Some(hop_limit) = self.hop_limit {
            writer.element(types::HOP_LIMIT, &[hop_limit]);
        }
    }

    /// Whether this Data is an answer (section "Interest/Data matching"); freshness is a matter of caches.
    pub fn matches(&self, data: &Data<'_>) -> bool {
        if self.name == data.name || self.can_be_prefix && self.name.is_prefix_of(data.name) {
            return true;
        }
        let Some(last) = self.name.last() else {
            return false;
        };
        let asks_for_digest = u32::from(last.kind) == types::IMPLICIT_DIGEST
            && self
                .name
                .strip_prefix(data.name)
                .is_some_and(|rest| rest.components().eq([last]));
        asks_for_digest && data.implicit_digest().is_some_and(|digest| digest == last.value)
    }

    /// Whether the Interest is signed, rightly, with the key that this verifier trusts.
    ///
    /// # Errors
    /// [`Unverified`] says why not.
    pub fn verify(&self, verifier: &Verifier) -> Result<(), Unverified> {
        let parameters = self.parameters.as_ref().ok_or(Unverified::NotSigned)?;
        let signature = parameters.signature.as_ref().ok_or(Unverified::NotSigned)?;
        let place = self.name.parameters_digest().ok().flatten();
        let place = place.filter(|place| place.is_last).ok_or(Unverified::NotSigned)?;
        verifier.verify(
            signature.info.kind,
            &[place.before, signature.signed],
            signature.value,
        )
    }
}

/// What is found of an Interest's last three elements.
#[derive(Default)]
struct Carried<'a> {
    parameters: Option<Element<'a>>,
    info: Option<Element<'a>>,
    value: Option<Element<'a>>,
}

impl<'a> Carried<'a> {
    fn take(&mut self, field: Element<'a>) {
        match field.kind {
            types::APPLICATION_PARAMETERS => self.parameters = Some(field),
            types::INTEREST_SIGNATURE_INFO => self.info = Some(field),
            _ => self.value = Some(field),
        }
    }

    /// Without parameters the other two mean nothing, and are not critical.
    fn parameters(self) -> Result<Option<Parameters<'a>>, Malformed> {
        let Some(parameters) = self.parameters else {
            return Ok(None);
        };
        let signature = match (self.info, self.value) {
            (Some(info), Some(value)) => Some(InterestSignature {
                info: SignatureInfo::of(&info)?,
                value: value.value,
                signed: &parameters.from[..parameters.from.len() - value.from.len()],
            }),
            (None, None) => None,
            (Some(_), None) => return Err(Malformed::Missing(types::INTEREST_SIGNATURE_VALUE)),
            (None, Some(_)) => return Err(Malformed::Missing(types::INTEREST_SIGNATURE_INFO)),
        };
        Ok(Some(Parameters {
            value: parameters.value,
            signature,
            wire: parameters.from,
        }))
    }
}

impl<'a> Names<'a> {
    /// The names of a forwarding hint's value: elements of type Name, or delegations of version 0.2.
    ///
    /// # Errors
    /// If one is malformed, or there are none.
    pub fn parse(value: &'a [u8]) -> Result<Names<'a>, Malformed> {
        let mut reader = Reader::new(value);
        let mut some = false;
        while let Some(element) = reader.element()? {
            match element.kind {
                types::NAME => drop(Name::of(&element)?),
                types::DELEGATION => drop(delegated(&element)?),
                other => return Err(Malformed::Unexpected(other)),
            }
            some = true;
        }
        if some {
            Ok(Names { value })
        } else {
            Err(Malformed::BadValue(types::FORWARDING_HINT))
        }
    }

    /// The names, in the order of preference.
    pub fn iter(self) -> impl Iterator<Item = Name<'a>> {
        let mut reader = Reader::new(self.value);
        std::iter::from_fn(move || {
            // Checked when this was made.
            let element = reader.element().ok().flatten()?;
            match element.kind {
                types::NAME => Name::of(&element).ok(),
                _ => delegated(&element).ok(),
            }
        })
    }

    /// These names as a forwarding hint's value.
    pub fn encode(names: &[NameBuf]) -> Vec<u8> {
        let mut value = Vec::new();
        for name in names {
            let start = value.len();
            let name = name.as_name();
            value.resize(start + name.encoded_len(), 0);
            name.emit(&mut Writer::new(&mut value[start..]));
        }
        value
    }
}

/// A delegation's name: what follows its preference.
fn delegated<'a>(element: &Element<'a>) -> Result<Name<'a>, Malformed> {
    let mut reader = element.inner();
    // In version 0.2 the preference had the number that the forwarding hint has now.
    reader.required(types::FORWARDING_HINT)?.integer()?;
    Name::read(&mut reader)
}

/// The name at the beginning of an Interest of which no more than the beginning is there.
pub(super) fn quoted_name(start: &[u8]) -> Option<Name<'_>> {
    if start.first() != Some(&(types::INTEREST as u8)) {
        return None;
    }
    let header = match start.get(1)? {
        253 => 4,
        0..=252 => 2,
        _ => return None,
    };
    Name::parse(start.get(header..)?).ok()
}
