//! Orders to a forwarder and its answers (NFD management, "ControlCommand"; both forms of a signed Interest).

use super::data::Data;
use super::interest::{Interest, SigningMoment};
use super::keys::Signer;
use super::name::{Name, NameBuf};
use super::signature::SignatureInfo;
use super::tlv::{Malformed, NoRoom, Reader, Writer, integer_bytes, written};
use super::types;
use std::time::Duration;

/// The route is also used for names longer than the prefix that other routes know better.
pub const CHILD_INHERIT: u64 = 1;

/// What an order is about, and what its answer tells. Fields that we have no use for are skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct ControlParameters<'a> {
    /// The prefix.
    pub name: Option<Name<'a>>,
    /// The face; `None` in an order for the one that it comes by.
    pub face_id: Option<u64>,
    /// Who made the route: 0 an application, 65 a client, 255 the operator.
    pub origin: Option<u64>,
    /// The route's cost.
    pub cost: Option<u64>,
    /// The route's flags, such as [`CHILD_INHERIT`].
    pub flags: Option<u64>,
    /// For how long, in whole milliseconds; `None` for as long as the face.
    pub expiration: Option<Duration>,
}

/// What a forwarder says to an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ControlResponse<'a> {
    /// 200 for done, as in HTTP.
    pub code: u64,
    /// In words.
    pub text: &'a str,
    /// What was done, where something was.
    pub parameters: Option<ControlParameters<'a>>,
}

/// What is to happen to a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verb {
    /// There is to be one.
    Register,
    /// There is to be none.
    Unregister,
}

/// Which of the two forms an order has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum CommandForm {
    /// A signed Interest of version 0.3: understood since NFD 0.7.1.
    #[default]
    Signed,
    /// All in the name: what older forwarders understand.
    InName,
}

/// What is needed beside the order itself.
#[derive(Clone, Copy, Debug)]
pub struct Envelope<'a> {
    /// Who signs.
    pub signer: &'a Signer,
    /// What makes this order unlike the one before.
    pub moment: SigningMoment,
    /// The Interest's nonce.
    pub nonce: [u8; 4],
    /// How long the answer is waited for.
    pub lifetime: Duration,
}

impl<'a> ControlParameters<'a> {
    /// Reads the elements inside a ControlParameters, in any order.
    pub(super) fn of(mut reader: Reader<'a>) -> Result<ControlParameters<'a>, Malformed> {
        let mut parameters = ControlParameters::default();
        while let Some(field) = reader.element()? {
            match field.kind {
                types::NAME => parameters.name = Some(Name::of(&field)?),
                types::FACE_ID => parameters.face_id = Some(field.integer()?),
                types::ORIGIN => parameters.origin = Some(field.integer()?),
                types::COST => parameters.cost = Some(field.integer()?),
                types::FLAGS => parameters.flags = Some(field.integer()?),
                types::EXPIRATION_PERIOD => {
                    parameters.expiration = Some(Duration::from_millis(field.integer()?));
                }
                _ => {}
            }
        }
        Ok(parameters)
    }

    /// Writes the element.
    pub fn emit(&self, writer: &mut Writer<'_>) {
        writer.nested(types::CONTROL_PARAMETERS, |writer| {
            if let Some(name) = self.name {
                name.emit(writer);
            }
            let millis = |period: Duration| u64::try_from(period.as_millis()).unwrap_or(u64::MAX);
            let numbers = [
                (types::FACE_ID, self.face_id),
                (types::ORIGIN, self.origin),
                (types::COST, self.cost),
                (types::FLAGS, self.flags),
                (types::EXPIRATION_PERIOD, self.expiration.map(millis)),
            ];
            for (kind, number) in numbers {
                if let Some(number) = number {
                    writer.integer(kind, number);
                }
            }
        });
    }
}

impl<'a> ControlResponse<'a> {
    /// Reads the response that a Data's content is.
    ///
    /// # Errors
    /// If it is none.
    pub fn parse(content: &'a [u8]) -> Result<ControlResponse<'a>, Malformed> {
        let mut reader = Reader::inside(content, types::CONTROL_RESPONSE)?;
        let code = reader.required(types::STATUS_CODE)?.integer()?;
        let text = reader.required(types::STATUS_TEXT)?;
        let text = std::str::from_utf8(text.value).map_err(|_| Malformed::BadValue(text.kind))?;
        let mut parameters = None;
        while let Some(body) = reader.element()? {
            if body.kind == types::CONTROL_PARAMETERS {
                parameters = Some(ControlParameters::of(body.inner())?);
            }
        }
        Ok(ControlResponse {
            code,
            text,
            parameters,
        })
    }

    /// The same of a Data.
    ///
    /// # Errors
    /// If its content is none.
    pub fn of(data: &Data<'a>) -> Result<ControlResponse<'a>, Malformed> {
        ControlResponse::parse(data.content.ok_or(Malformed::Missing(types::CONTENT))?)
    }

    /// Writes the element, as a forwarder does.
    pub fn emit(&self, writer: &mut Writer<'_>) {
        writer.nested(types::CONTROL_RESPONSE, |writer| {
            writer.integer(types::STATUS_CODE, self.code);
            writer.element(types::STATUS_TEXT, self.text.as_bytes());
            if let Some(parameters) = &self.parameters {
                parameters.emit(writer);
            }
        });
    }
}

impl Verb {
    fn component(self) -> &'static [u8] {
        match self {
            Verb::Register => b"register",
            Verb::Unregister => b"unregister",
        }
    }
}

/// An order to the forwarder's table of routes, ready to be sent.
///
/// # Errors
/// [`NoRoom`] if it is longer than any packet.
pub fn command(
    form: CommandForm,
    verb: Verb,
    parameters: &ControlParameters<'_>,
    envelope: &Envelope<'_>,
) -> Result<Vec<u8>, NoRoom> {
    let name = NameBuf::new()
        .with(b"localhost")
        .with(b"nfd")
        .with(b"rib")
        .with(verb.component())
        .with(&written(|writer| parameters.emit(writer))?);
    let name = match form {
        CommandForm::Signed => name,
        CommandForm::InName => signed_in_name(name, envelope)?,
    };
    let interest = Interest {
        nonce: Some(envelope.nonce),
        lifetime: Some(envelope.lifetime),
        ..Interest::new(name.as_name())
    };
    match form {
        CommandForm::Signed => interest.with_parameters(b"", Some((envelope.signer, envelope.moment))),
        CommandForm::InName => written(|writer| interest.emit(writer)),
    }
}

/// The name with time, nonce, SignatureInfo and SignatureValue as its last components. The signature covers all
/// components but the last.
fn signed_in_name(name: NameBuf, envelope: &Envelope<'_>) -> Result<NameBuf, NoRoom> {
    let info: SignatureInfo<'_> = envelope.signer.info();
    let signed = name
        .with(integer_bytes(envelope.moment.time, &mut [0; 8]))
        .with(&envelope.moment.nonce)
        .with(&written(|writer| info.emit(types::SIGNATURE_INFO, writer))?);
    let value = envelope.signer.sign(&[signed.as_name().value()]);
    let value = written(|writer| writer.element(types::SIGNATURE_VALUE, value.as_bytes()))?;
    Ok(signed.with(&value))
}

/// A forwarder's words for people to read: a terminal would obey what is no letter in them.
pub(super) fn printable(text: &str) -> String {
    text.replace(char::is_control, "\u{fffd}")
}

/// An order, as a forwarder reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Command<'a> {
    /// What is to happen.
    pub verb: Verb,
    /// To which route.
    pub parameters: ControlParameters<'a>,
    /// When it was signed, in milliseconds since the Unix epoch; `None` if it is not signed.
    pub time: Option<u64>,
}

impl<'a> Command<'a> {
    /// Reads an order to the table of routes, in either form; `None` if the Interest is none. Whether the signature is
    /// right is not asked.
    pub fn of(interest: &Interest<'a>) -> Option<Command<'a>> {
        let mut components = interest.name.components();
        let mut next = || components.next().map(|component| component.value);
        if [next()?, next()?, next()?] != [&b"localhost"[..], b"nfd", b"rib"] {
            return None;
        }
        let verb = match next()? {
            b"register" => Verb::Register,
            b"unregister" => Verb::Unregister,
            _ => return None,
        };
        let parameters = Reader::inside(next()?, types::CONTROL_PARAMETERS).ok()?;
        let in_name = interest.parameters.is_none();
        let time = if in_name {
            next().and_then(super::tlv::integer)
        } else {
            let signature = interest.parameters.and_then(|carried| carried.signature);
            signature.and_then(|signature| signature.info.time)
        };
        Some(Command {
            verb,
            parameters: ControlParameters::of(parameters).ok()?,
            time,
        })
    }
}
