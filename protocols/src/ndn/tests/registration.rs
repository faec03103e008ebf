//! Registering a prefix at a forwarder that is difficult.

use super::*;
use crate::ndn::control::{Command, ControlParameters, ControlResponse};
use halloo_base::Env;
use std::time::Duration;

const MILLI: u64 = 1_000_000;

pub(super) fn registration() -> Registration {
    Registration::new(named("/t/ping"), Signer::digest())
}

pub(super) fn at<T>(millis: u64, f: impl FnOnce(&mut Env<'_>) -> T) -> T {
    with_env(millis * MILLI, f)
}

/// The time that an order carries.
pub(super) fn time_of(order: &[u8]) -> u64 {
    let interest = Interest::parse(order).expect("an Interest");
    Command::of(&interest).expect("an order").time.expect("signed")
}

/// A forwarder's answer to an order.
pub(super) fn response(order: &[u8], code: u64, text: &str, face_id: Option<u64>) -> Vec<u8> {
    let response = ControlResponse {
        code,
        text,
        parameters: face_id.map(|face_id| ControlParameters {
            face_id: Some(face_id),
            ..ControlParameters::default()
        }),
    };
    let content = tlv::written(|writer| response.emit(writer)).expect("room");
    let unsigned = Unsigned {
        name: Interest::parse(order).expect("an Interest").name,
        meta: None,
        content: Some(&content),
    };
    unsigned.sign(&Signer::digest()).expect("room")
}

pub(super) fn nack(order: &[u8]) -> Vec<u8> {
    let lp = LpPacket {
        nack: Some(NackReason::NoRoute),
        fragment: Some(order),
        ..LpPacket::default()
    };
    tlv::written(|writer| lp.emit(writer)).expect("room")
}

fn hear(registration: &mut Registration, millis: u64, wire: &[u8]) -> Option<Registered> {
    let packet = Packet::parse(wire).expect("a packet");
    at(millis, |env| registration.hear(env, &packet))
}

fn done(face_id: u64) -> Option<Registered> {
    Some(Registered::Done {
        face_id: Some(face_id),
    })
}

#[test]
fn one_order_and_one_answer_are_enough() {
    let mut registration = registration();
    let order = at(0, |env| registration.begin(env)).expect("an order");
    let read = Interest::parse(&order).expect("an Interest");
    assert_eq!(read.verify(&Verifier::digest()), Ok(()));
    assert!(!registration.is_registered());
    assert_eq!(
        hear(&mut registration, 1, &response(&order, 200, "OK", Some(259))),
        done(259)
    );
    assert!(registration.is_registered());
    assert_eq!(registration.deadline(), None);
    let taken_back = at(2, |env| registration.end(env)).expect("an order");
    let read = Interest::parse(&taken_back).expect("an Interest");
    let command = Command::of(&read).expect("an order");
    assert_eq!(command.verb, crate::ndn::control::Verb::Unregister);
    assert_eq!(command.parameters.name, Some(named("/t/ping").as_name()));
}

#[test]
fn a_403_is_answered_with_a_later_time_after_a_short_wait() {
    let mut registration = registration();
    let mut order = at(0, |env| registration.begin(env)).expect("an order");
    let mut now = 0;
    for retry in 0..8 {
        let turned_down = response(&order, 403, "authorization rejected", None);
        assert_eq!(
            hear(&mut registration, now, &turned_down),
            Some(Registered::Later)
        );
        let deadline = registration.deadline().expect("a wait").0;
        let wait = Duration::from_nanos(deadline - now * MILLI);
        let step = Duration::from_millis(4 << retry);
        assert!((step..2 * step).contains(&wait), "{wait:?} at retry {retry}");
        assert_eq!(at(now, |env| registration.wake(env)), Ok(None), "not yet");
        now = deadline.div_ceil(MILLI);
        let next = at(now, |env| registration.wake(env))
            .expect("goes on")
            .expect("an order");
        assert!(time_of(&next) > time_of(&order));
        order = next;
    }
    let turned_down = response(&order, 403, "authorization rejected", None);
    let Some(Registered::Failed(why)) = hear(&mut registration, now, &turned_down) else {
        panic!("enough is enough");
    };
    assert_eq!(why.to_string(), "authorization rejected");
    assert_eq!(registration.deadline(), None);

    let order = at(now, |env| registration.begin(env)).expect("an order");
    let turned_down = response(&order, 403, "authorization rejected", None);
    let heard = hear(&mut registration, now, &turned_down);
    assert_eq!(heard, Some(Registered::Later), "a new connection, a new chance");
}

#[test]
fn times_grow_even_where_the_clock_stands_still_or_goes_back() {
    let mut registration = registration();
    let first = at(50, |env| registration.begin(env)).expect("an order");
    let second = at(50, |env| registration.begin(env)).expect("an order");
    let third = at(10, |env| registration.begin(env)).expect("an order");
    let fourth = at(900, |env| registration.begin(env)).expect("an order");
    assert_eq!(time_of(&second), time_of(&first) + 1);
    assert_eq!(time_of(&third), time_of(&first) + 2);
    assert_eq!(time_of(&fourth), time_of(&first) + 850);
}

#[test]
fn other_refusals_are_final_and_in_the_forwarders_words() {
    for (code, text) in [
        (414, "Route prefix cannot exceed 32 components"),
        (400, "bad"),
        (504, ""),
    ] {
        let mut registration = registration();
        let order = at(0, |env| registration.begin(env)).expect("an order");
        let heard = hear(&mut registration, 1, &response(&order, code, text, None));
        let why = RegistrationError::Refused {
            code,
            text: text.to_owned(),
        };
        assert_eq!(heard, Some(Registered::Failed(why)));
    }
}

#[test]
fn a_forwarder_that_is_still_starting_is_asked_again() {
    let mut registration = registration();
    let order = at(0, |env| registration.begin(env)).expect("an order");
    assert_eq!(hear(&mut registration, 0, &nack(&order)), Some(Registered::Later));
    let again = at(8, |env| registration.wake(env))
        .expect("goes on")
        .expect("an order");
    assert_eq!(
        hear(&mut registration, 9, &response(&again, 200, "OK", Some(1))),
        done(1)
    );
}

#[test]
fn silence_is_answered_in_the_other_form_and_then_it_is_over() {
    let mut registration = registration();
    let order = at(0, |env| registration.begin(env)).expect("an order");
    assert!(Interest::parse(&order).expect("an Interest").parameters.is_some());
    assert_eq!(at(3_999, |env| registration.wake(env)), Ok(None));
    let old = at(4_000, |env| registration.wake(env))
        .expect("goes on")
        .expect("an order");
    assert!(Interest::parse(&old).expect("an Interest").parameters.is_none());
    let late = response(&order, 200, "OK", Some(1));
    assert_eq!(
        hear(&mut registration, 4_001, &late),
        None,
        "to an order that was given up"
    );
    assert_eq!(
        at(8_000, |env| registration.wake(env)),
        Err(RegistrationError::Timeout)
    );

    // What worked once is what is tried first on the next connection, and the other form next.
    let old = at(9_000, |env| registration.begin(env)).expect("an order");
    assert!(Interest::parse(&old).expect("an Interest").parameters.is_none());
    assert_eq!(
        hear(&mut registration, 9_001, &response(&old, 200, "OK", Some(1))),
        done(1)
    );
    at(10_000, |env| registration.begin(env)).expect("an order");
    let signed = at(14_000, |env| registration.wake(env))
        .expect("goes on")
        .expect("an order");
    assert!(
        Interest::parse(&signed)
            .expect("an Interest")
            .parameters
            .is_some()
    );
}

#[test]
fn what_is_not_about_it_is_left_to_others() {
    let mut registration = registration();
    assert_eq!(
        hear(&mut registration, 0, &vector("V9")),
        None,
        "nothing was asked"
    );
    at(0, |env| registration.begin(env)).expect("an order");
    for name in ["V1", "V2", "V6", "V9"] {
        assert_eq!(hear(&mut registration, 0, &vector(name)), None, "{name}");
    }
    assert_eq!(hear(&mut registration, 0, &hex("6400")), None);
}

#[test]
fn an_answer_without_sense_ends_it() {
    let mut registration = registration();
    let order = at(0, |env| registration.begin(env)).expect("an order");
    let unsigned = Unsigned {
        name: Interest::parse(&order).expect("an Interest").name,
        ..Unsigned::default()
    };
    let wire = unsigned.sign(&Signer::digest()).expect("room");
    let heard = hear(&mut registration, 0, &wire);
    assert_eq!(heard, Some(Registered::Failed(RegistrationError::BadResponse)));
}

#[test]
fn a_forwarders_words_command_no_terminal() {
    let mut registration = registration();
    let order = at(0, |env| registration.begin(env)).expect("an order");
    let heard = hear(
        &mut registration,
        0,
        &response(&order, 404, "\u{1b}[2Jno\u{9b}1m\n", None),
    );
    let text = "\u{fffd}[2Jno\u{fffd}1m\u{fffd}".to_owned();
    let refused = RegistrationError::Refused { code: 404, text };
    assert_eq!(heard, Some(Registered::Failed(refused)));
}

#[test]
fn a_prefix_without_room_is_told_at_once() {
    let prefix = named("/").with(&[b'x'; 8_790]);
    let mut registration = Registration::new(prefix, Signer::digest());
    assert_eq!(
        at(0, |env| registration.begin(env)),
        Err(RegistrationError::LongPrefix)
    );
}
