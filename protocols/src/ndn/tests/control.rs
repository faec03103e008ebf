//! Orders and answers, as captured.

use super::*;
use crate::ndn::control::{
    Command, CommandForm, ControlParameters, ControlResponse, Envelope, Verb, command,
};
use std::time::Duration;

fn interest_of(wire: &[u8]) -> Interest<'_> {
    Interest::parse(wire).expect("an Interest")
}

/// The order with the moment, nonce and lifetime of a captured one.
fn made_like(captured: &[u8], verb: Verb, prefix: &str, flags: Option<u64>) -> Vec<u8> {
    let theirs = interest_of(captured);
    let parts: Vec<_> = theirs.name.components().collect();
    let signature = theirs.parameters.and_then(|carried| carried.signature);
    let (form, nonce, time) = match signature {
        Some(signature) => {
            let info = signature.info;
            (CommandForm::Signed, info.nonce.expect("a nonce"), info.time)
        }
        None => (CommandForm::InName, parts[6].value, parts[5].number()),
    };
    let prefix = named(prefix);
    let parameters = ControlParameters {
        name: Some(prefix.as_name()),
        flags,
        ..ControlParameters::default()
    };
    let envelope = Envelope {
        signer: &Signer::digest(),
        moment: SigningMoment {
            nonce: nonce.try_into().expect("eight bytes"),
            time: time.expect("a time"),
        },
        nonce: theirs.nonce.expect("a nonce"),
        lifetime: theirs.lifetime.expect("a lifetime"),
    };
    command(form, verb, &parameters, &envelope).expect("room")
}

#[test]
fn orders_are_the_captured_bytes() {
    let table = [
        ("V8", Verb::Register, "/edu/arizona/ping", Some(1)),
        ("V10", Verb::Unregister, "/edu/arizona/ping", None),
        ("V14", Verb::Register, "/pyv1/ping", None),
        ("V15", Verb::Register, "/pyv2/ping", None),
    ];
    for (name, verb, prefix, flags) in table {
        let captured = vector(name);
        assert_eq!(made_like(&captured, verb, prefix, flags), captured, "{name}");
    }
}

#[test]
fn orders_are_read_in_both_forms() {
    let table = [
        ("V8", Verb::Register, "/edu/arizona/ping", 1_795_187_109_846),
        ("V10", Verb::Unregister, "/edu/arizona/ping", 1_795_187_112_477),
        ("V12", Verb::Register, "/ec/ping", 1_795_187_982_488),
        ("V14", Verb::Register, "/pyv1/ping", 1_795_187_925_491),
    ];
    for (name, verb, prefix, time) in table {
        let wire = vector(name);
        let read = Command::of(&interest_of(&wire)).expect(name);
        assert_eq!((read.verb, read.time), (verb, Some(time)), "{name}");
        assert_eq!(read.parameters.name, Some(named(prefix).as_name()), "{name}");
    }
    for name in ["V1", "V16"] {
        let wire = vector(name);
        assert_eq!(Command::of(&interest_of(&wire)), None, "{name}");
    }
}

#[test]
fn answers_say_what_was_done_or_why_not() {
    let table = [
        ("V9", 200, "OK", Some((Some(259), Some(0), Some(0), Some(1)))),
        ("V11", 200, "OK", Some((Some(259), Some(0), None, None))),
        ("refused-400", 400, "failed in validating parameters", None),
        ("refused-403", 403, "authorization rejected", None),
        (
            "refused-414",
            414,
            "Route prefix cannot exceed 32 components",
            None,
        ),
    ];
    for (name, code, text, done) in table {
        let wire = vector(name);
        let data = Data::parse(&wire).expect("Data");
        let response = ControlResponse::of(&data).expect("a response");
        assert_eq!((response.code, response.text), (code, text));
        let body = response
            .parameters
            .map(|body| (body.face_id, body.origin, body.cost, body.flags));
        assert_eq!(body, done, "{name}");
        let again = tlv::written(|writer| response.emit(writer)).expect("room");
        assert_eq!(data.content, Some(&again[..]), "{name}");
    }
}

#[test]
fn parameters_are_read_in_any_order_and_what_is_unknown_is_skipped() {
    let content = tlv::written(|writer| {
        writer.nested(types::CONTROL_RESPONSE, |writer| {
            writer.integer(types::STATUS_CODE, 200);
            writer.element(types::STATUS_TEXT, b"fine");
            writer.nested(types::CONTROL_PARAMETERS, |writer| {
                writer.integer(types::COST, 7);
                writer.element(127, b"unknown");
                named("/A").as_name().emit(writer);
                writer.integer(types::EXPIRATION_PERIOD, 1_000);
            });
        });
    })
    .expect("room");
    let response = ControlResponse::parse(&content).expect("a response");
    let parameters = response.parameters.expect("parameters");
    assert_eq!(parameters.cost, Some(7));
    assert_eq!(parameters.name, Some(named("/A").as_name()));
    assert_eq!(parameters.expiration, Some(Duration::from_secs(1)));
}

#[test]
fn answers_that_make_no_sense_are_refused() {
    let table = [
        ("", Malformed::Truncated),
        ("6500", Malformed::Missing(102)),
        ("6503 6601c8", Malformed::Missing(103)),
        ("6502 6600", Malformed::BadValue(102)),
        ("6506 6601c8 6701ff", Malformed::BadValue(103)),
        ("6400", Malformed::Unexpected(100)),
        ("6509 6601c8 6700 6802 6901", Malformed::Truncated),
        ("6509 6601c8 6700 6802 6900", Malformed::BadValue(105)),
    ];
    for (content, why) in table {
        assert_eq!(ControlResponse::parse(&hex(content)), Err(why), "{content}");
    }
}
