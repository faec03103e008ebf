//! What programs ask of the forwarder itself: routes, and how it is doing (NFD management protocol).

use super::packet::{
    Data, GENERIC, INTEREST_SIGNATURE_INFO, INTEREST_SIGNATURE_VALUE, Interest, NAME, Name, PARAMETERS,
    PARAMETERS_DIGEST, sha256,
};
use super::tables::{FaceId, Route};
use super::tlv::{Element, element, elements, integer, integer_element, nested, only};
use std::collections::BTreeMap;

const CONTROL_RESPONSE: u64 = 101;
const STATUS_CODE: u64 = 102;
const STATUS_TEXT: u64 = 103;
const CONTROL_PARAMETERS: u64 = 104;
const FACE_ID: u64 = 105;
const COST: u64 = 106;
const FLAGS: u64 = 108;
const ORIGIN: u64 = 111;
const SIGNATURE_TYPE: u64 = 27;
const KEY_LOCATOR: u64 = 28;
const SIGNATURE_TIME: u64 = 40;
const FRESHNESS: u64 = 25;

/// Longer prefixes get no route.
const LONGEST_PREFIX: usize = 32;

/// How far a stamp may be from the forwarder's clock, in milliseconds.
const GRACE_MS: u64 = 120_000;

/// Which forms of a command a forwarder understands; the others go unanswered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Commands {
    /// Both, as every release so far.
    #[default]
    Both,
    /// Signed Interests alone (packet format 0.3).
    Signed,
    /// The older form alone, with the signature in the name, as NFD before 0.7.1.
    Old,
}

/// How a command was signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommandForm {
    /// As a signed Interest.
    Signed,
    /// In its name.
    Old,
    /// Not at all.
    Unsigned,
}

/// A command that the forwarder answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// `register` or `unregister`.
    pub verb: String,
    /// For which prefix, as a URI; empty where it named none.
    pub prefix: String,
    /// How it was signed.
    pub form: CommandForm,
    /// Its stamp in milliseconds since the Unix epoch, where it had one.
    pub time: Option<u64>,
    /// Whether digests are right: that of its parameters, and its signature where that is one. NFD does not look.
    pub digests_are_right: bool,
    /// What was answered: 200, 400, 403 or 414.
    pub status: u64,
}

/// What is to be done once the answer is on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Register(Route),
    Unregister(Name, FaceId, u64),
}

/// Memory of the stamps that commands had, by key.
#[derive(Debug, Default)]
pub(super) struct Stamps(BTreeMap<Vec<u8>, u64>);

/// What a command asks for.
#[derive(Debug, Default)]
struct Parameters {
    name: Option<Name>,
    face: Option<u64>,
    origin: u64,
    cost: u64,
    flags: Option<u64>,
}

/// How a command proves who sent it.
#[derive(Debug)]
struct Proof {
    form: CommandForm,
    key: Vec<u8>,
    time: Option<u64>,
    digests_are_right: bool,
}

impl Stamps {
    /// A stamp of this key counts as used: as if another program had signed with it.
    pub(super) fn use_up(&mut self, time: u64) {
        self.0.insert(Vec::new(), time);
    }

    /// Whether a command with this stamp may be obeyed; its stamp is then used up.
    fn accept(&mut self, proof: &Proof, now: u64) -> bool {
        let Some(time) = proof.time.filter(|_| proof.form != CommandForm::Unsigned) else {
            return false;
        };
        let is_newer = self.0.get(&proof.key).is_none_or(|last| time > *last);
        let accepted = is_newer && time.abs_diff(now) <= GRACE_MS;
        if accepted {
            self.0.insert(proof.key.clone(), time);
        }
        accepted
    }
}

/// What is known when a command comes.
pub(super) struct Desk<'a> {
    pub(super) understands: Commands,
    /// Says 403 whatever the command is.
    pub(super) refuses: bool,
    pub(super) route_lag: u32,
    pub(super) stamps: &'a mut Stamps,
    /// Milliseconds since the Unix epoch.
    pub(super) now: u64,
}

impl Desk<'_> {
    /// When the command says it was made.
    pub(super) fn time_of(interest: &Interest) -> Option<u64> {
        Proof::of(interest)?.time
    }

    /// The answer to a command, and what follows from it. `None` where NFD says nothing: an unknown verb, parameters that
    /// cannot be read.
    pub(super) fn command(
        &mut self,
        interest: &Interest,
        from: FaceId,
    ) -> Option<(Vec<u8>, Option<Action>, Command)> {
        let verb = match &topic(&interest.name)?[..] {
            "rib/register" => "register",
            "rib/unregister" => "unregister",
            _ => return None,
        };
        let parameters = Parameters::parse(interest.name.value(4)?)?;
        let proof = Proof::of(interest)?;
        let understood = match self.understands {
            Commands::Both => true,
            Commands::Signed => proof.form != CommandForm::Old,
            Commands::Old => proof.form != CommandForm::Signed,
        };
        if !understood {
            return None;
        }
        let (status, text) = self.judge(&parameters, &proof);
        let granted = parameters.name.clone().filter(|_| status == 200);
        let face = parameters.face.filter(|face| *face > 0).unwrap_or(from);
        let route = granted.map(|prefix| Route {
            prefix,
            face,
            origin: parameters.origin,
            cost: parameters.cost,
            flags: parameters.flags.unwrap_or(1),
            lag: self.route_lag,
        });
        let body = route.as_ref().map(|route| match verb {
            "register" => body(route, true),
            _ => body(route, false),
        });
        let content = nested(
            CONTROL_RESPONSE,
            &[
                integer_element(STATUS_CODE, status),
                element(STATUS_TEXT, text.as_bytes()),
                body.unwrap_or_default(),
            ],
        );
        let data = Data::sign(&interest.name, &integer_element(FRESHNESS, 1_000), &content);
        let action = route.map(|route| match verb {
            "register" => Action::Register(route),
            _ => Action::Unregister(route.prefix, route.face, route.origin),
        });
        let command = Command {
            verb: verb.to_owned(),
            prefix: parameters.name.map(|name| name.to_string()).unwrap_or_default(),
            form: proof.form,
            time: proof.time,
            digests_are_right: proof.digests_are_right,
            status,
        };
        Some((data, action, command))
    }

    fn judge(&mut self, parameters: &Parameters, proof: &Proof) -> (u64, &'static str) {
        if self.refuses || !self.stamps.accept(proof, self.now) {
            return (403, "authorization rejected");
        }
        match &parameters.name {
            None => (400, "failed in validating parameters"),
            Some(name) if name.0.len() > LONGEST_PREFIX => (414, "Route prefix cannot exceed 32 components"),
            Some(_) => (200, "OK"),
        }
    }
}

fn body(route: &Route, whole: bool) -> Vec<u8> {
    let mut fields = vec![
        route.prefix.wire(),
        integer_element(FACE_ID, route.face),
        integer_element(ORIGIN, route.origin),
    ];
    if whole {
        fields.push(integer_element(COST, route.cost));
        fields.push(integer_element(FLAGS, route.flags));
    }
    nested(CONTROL_PARAMETERS, &fields)
}

impl Parameters {
    fn parse(value: &[u8]) -> Option<Parameters> {
        let outer = only(value).filter(|outer| outer.kind == CONTROL_PARAMETERS)?;
        let mut parameters = Parameters::default();
        for field in elements(outer.value)? {
            match field.kind {
                NAME => parameters.name = Some(Name::parse(field.value)?),
                FACE_ID => parameters.face = Some(integer(field.value)?),
                ORIGIN => parameters.origin = integer(field.value)?,
                COST => parameters.cost = integer(field.value)?,
                FLAGS => parameters.flags = Some(integer(field.value)?),
                _ => {}
            }
        }
        Some(parameters)
    }
}

impl Proof {
    fn of(interest: &Interest) -> Option<Proof> {
        if let Some(info) = interest.field(INTEREST_SIGNATURE_INFO) {
            return Proof::signed(interest, info);
        }
        match interest.name.0.len() {
            9 => Proof::old(&interest.name),
            _ => Some(Proof {
                form: CommandForm::Unsigned,
                key: Vec::new(),
                time: None,
                digests_are_right: interest.digest_is_right(),
            }),
        }
    }

    fn signed(interest: &Interest, info: &[u8]) -> Option<Proof> {
        let info = elements(info)?;
        let value = interest.field(INTEREST_SIGNATURE_VALUE)?;
        let packet = elements(only(&interest.wire)?.value)?;
        let components =
            interest.name.0.iter().filter(|component| {
                only(component).is_none_or(|component| component.kind != PARAMETERS_DIGEST)
            });
        let mut covered: Vec<u8> = components.flatten().copied().collect();
        let tail = packet
            .iter()
            .skip_while(|field| field.kind != PARAMETERS)
            .take_while(|field| field.kind != INTEREST_SIGNATURE_VALUE);
        covered.extend(tail.flat_map(|field| field.wire));
        Some(Proof {
            form: CommandForm::Signed,
            key: key(&info),
            time: find(&info, SIGNATURE_TIME).and_then(integer),
            digests_are_right: interest.digest_is_right() && (!is_digest(&info) || sha256(&covered) == value),
        })
    }

    /// `.../<parameters>/<stamp>/<nonce>/<signature info>/<signature value>`.
    fn old(name: &Name) -> Option<Proof> {
        let info = elements(only(name.value(7)?)?.value)?;
        let value = only(name.value(8)?)?.value;
        let covered = name.0[..8].concat();
        Some(Proof {
            form: CommandForm::Old,
            key: key(&info),
            time: name.value(5).and_then(integer),
            digests_are_right: !is_digest(&info) || sha256(&covered) == value,
        })
    }
}

fn find<'a>(fields: &[Element<'a>], kind: u64) -> Option<&'a [u8]> {
    fields
        .iter()
        .find(|field| field.kind == kind)
        .map(|field| field.value)
}

/// What stamps are remembered under. All that sign with a digest are one.
fn key(info: &[Element<'_>]) -> Vec<u8> {
    find(info, KEY_LOCATOR).unwrap_or_default().to_vec()
}

fn is_digest(info: &[Element<'_>]) -> bool {
    find(info, SIGNATURE_TYPE) == Some(&[0])
}

/// A status dataset's parts: `/<name>/v=<version>/seg=<n>`, each with at most `longest` bytes of content.
pub(super) fn dataset(name: &Name, version: u64, content: &[u8], longest: usize) -> Vec<Vec<u8>> {
    let pieces: Vec<_> = match content {
        [] => vec![content],
        _ => content.chunks(longest.max(1)).collect(),
    };
    let segment = |number: usize| integer_element(50, number as u64);
    let last = pieces.len() - 1;
    pieces
        .iter()
        .enumerate()
        .map(|(number, piece)| {
            let mut name = name.clone();
            name.0.push(integer_element(54, version));
            name.0.push(segment(number));
            let end = (number == last).then(|| element(26, &segment(number)));
            let meta = [integer_element(FRESHNESS, 1_000), end.unwrap_or_default()].concat();
            Data::sign(&name, &meta, piece)
        })
        .collect()
}

/// The routes as `rib/list` tells them.
pub(super) fn rib(routes: &[Route]) -> Vec<u8> {
    let mut entries: BTreeMap<&Name, Vec<u8>> = BTreeMap::new();
    for route in routes {
        let fields = [
            integer_element(FACE_ID, route.face),
            integer_element(ORIGIN, route.origin),
            integer_element(COST, route.cost),
            integer_element(FLAGS, route.flags),
        ];
        entries
            .entry(&route.prefix)
            .or_insert_with(|| route.prefix.wire())
            .extend(nested(129, &fields));
    }
    entries
        .into_values()
        .flat_map(|entry| element(128, &entry))
        .collect()
}

/// What is asked of the forwarder itself, such as `rib/register`; `None` if the name is none of its own.
pub(super) fn topic(name: &Name) -> Option<String> {
    let word = |index: usize| {
        let component = only(name.0.get(index)?).filter(|component| component.kind == GENERIC)?;
        std::str::from_utf8(component.value).ok()
    };
    let is_ours = matches!(word(0), Some("localhost" | "localhop")) && word(1) == Some("nfd");
    is_ours.then(|| format!("{}/{}", word(2).unwrap_or_default(), word(3).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What ndnpingserver asked and NFD answered, in pairs.
    const CAPTURED: [[&str; 2]; 2] = [
        [
            "05a7075e08096c6f63616c686f737408036e6664080372696208087265676973746572081b681907140803656475080761\
             72697a6f6e61080470696e676c01010220dcbcb8002c71840d520b8b3ee425495475f545c1502ecb1e5f4079b26a0abf38\
             0a04d562547d0c02271024002c171b01002608b3553ae4531d61392808000001a1f97d6fd62e2060980c30fc44f5427cbf\
             260b88d8c4c09935769da15809feacb29316c23ddc8d",
            "06bd075e08096c6f63616c686f737408036e6664080372696208087265676973746572081b681907140803656475080761\
             72697a6f6e61080470696e676c01010220dcbcb8002c71840d520b8b3ee425495475f545c1502ecb1e5f4079b26a0abf38\
             1404190203e8152e652c6601c867024f4b68230714080365647508076172697a6f6e61080470696e67690201036f01006a\
             01006c010116031b01001720517436a5d4321ebbbdfe248125b86461c55ea20a31a9492e9c503bdf155f6a2f",
        ],
        [
            "05a6075d08096c6f63616c686f737408036e66640803726962080a756e7265676973746572081868160714080365647508\
             076172697a6f6e61080470696e670220ea4db7a37addf74cdccbbb2cd5b662f00a817759a7332b9f8f66cbfb272211710a\
             04003ab0170c02271024002c171b01002608f24b10a84eb7cb9e28080000 01a1f97d7a1d2e201be531911d153ae91cc8c\
             f610a078554c550c4a65543a06a6570d55bea28a70d",
            "06b6075d08096c6f63616c686f737408036e66640803726962080a756e7265676973746572081868160714080365647508\
             076172697a6f6e61080470696e670220ea4db7a37addf74cdccbbb2cd5b662f00a817759a7332b9f8f66cbfb2722117114\
             04190203e8152865266601c867024f4b681d0714080365647508076172697a6f6e61080470696e67690201036f01001603\
             1b010017201c615c4c5112b8a7636b91248f1270d7c2eb03deae11917d674a64991fcbee38",
        ],
    ];

    fn bytes(hex: &str) -> Vec<u8> {
        let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
        let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
        digits.chunks(2).map(pair).collect()
    }

    #[test]
    fn commands_are_answered_to_the_byte_as_captured() {
        for [asked, answered] in CAPTURED {
            let interest = Interest::parse(&bytes(asked)).unwrap();
            let mut desk = Desk {
                understands: Commands::Both,
                refuses: false,
                route_lag: 0,
                stamps: &mut Stamps::default(),
                now: Desk::time_of(&interest).unwrap() + GRACE_MS,
            };
            let (answer, action, command) = desk.command(&interest, 259).unwrap();
            assert_eq!(answer, bytes(answered));
            assert!(action.is_some());
            assert_eq!((command.form, command.status), (CommandForm::Signed, 200));
            assert_eq!(command.prefix, "/edu/arizona/ping");
            assert!(command.digests_are_right);
        }
    }

    #[test]
    fn a_damaged_digest_is_seen_and_obeyed_all_the_same() {
        let asked = bytes(CAPTURED[0][0]);
        for at in [70, asked.len() - 1] {
            let mut damaged = asked.clone();
            damaged[at] ^= 1;
            let interest = Interest::parse(&damaged).unwrap();
            let mut desk = Desk {
                understands: Commands::Both,
                refuses: false,
                route_lag: 0,
                stamps: &mut Stamps::default(),
                now: Desk::time_of(&interest).unwrap(),
            };
            let (.., command) = desk.command(&interest, 259).unwrap();
            assert_eq!(
                (command.digests_are_right, command.status),
                (false, 200),
                "byte {at}"
            );
        }
    }
}
