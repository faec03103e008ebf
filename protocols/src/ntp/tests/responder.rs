//! What a server answers, and what it does not.

use super::*;
use crate::ntp::{ClockCell, ClockSource, NTP};
use halloo_base::Trust;
use proptest::prelude::*;
use std::sync::Arc;

fn server(state: ClockState) -> NtpServer {
    NtpServer::new(NtpServerOptions {
        clock: ClockSource::Told(Arc::new(ClockCell::new(state))),
    })
}

fn hear(state: ClockState, payload: &[u8]) -> Result<Vec<u8>, Reason> {
    Host::at(NOON).hear(&mut server(state), payload)
}

fn answer(state: ClockState, asked: Packet) -> Packet {
    let answer = hear(state, &asked.emit()).expect("an answer");
    assert_eq!(answer.len(), 48);
    Packet::parse(&answer).expect("whole")
}

#[test]
fn a_client_is_told_the_time_and_how_good_it_is() {
    let told = answer(good(), request());
    let expected = Packet {
        leap: 0,
        version: 4,
        mode: mode::SERVER,
        stratum: 2,
        poll: 6,
        precision: -23,
        reference_id: [192, 0, 2, 33],
        reference: Timestamp::new(Wall(NOON.0 - 64 * SECOND)),
        origin: Timestamp(0x0123_4567_89ab_cdef),
        receive: Timestamp::new(NOON),
        // After 10 us, and the microsecond that a reading takes.
        transmit: Timestamp::new(Wall(NOON.0 + 11_000)),
        ..told
    };
    assert_eq!(told, expected);
    assert_eq!(told.root_delay.nanos(), Nanos(250_000_000));
    let dispersion = told.root_dispersion.nanos() - Nanos(62_500_000);
    assert!((0..20_000).contains(&dispersion.0), "10 us at 15 ppm, rounded up");
}

#[test]
fn who_does_not_know_the_time_says_so() {
    let told = Packet::parse(
        &Host::at(NOON)
            .hear(
                &mut NtpServer::new(NtpServerOptions::default()),
                &request().emit(),
            )
            .expect("an answer"),
    )
    .expect("whole");
    assert_eq!((told.leap, told.stratum), (3, 16));
    assert!(!told.is_synchronised());
    assert_eq!(
        told.receive,
        Timestamp::new(NOON),
        "the stamps are there for who wants a delay"
    );
}

#[test]
fn a_host_that_is_kept_tells_its_kernels_error() {
    let host = Host::at(NOON);
    host.quality.set(Some(kept()));
    let mut server = NtpServer::new(NtpServerOptions {
        clock: ClockSource::Kept {
            stratum: 3,
            reference_id: *b"KERN",
            unkept: None,
        },
    });
    let told = host.hear(&mut server, &request().emit()).expect("an answer");
    let told = Packet::parse(&told).expect("whole");
    assert_eq!((told.leap, told.stratum, told.reference_id), (0, 3, *b"KERN"));
    let dispersion = told.root_dispersion.nanos() - Nanos(3_000_000);
    assert!((0..20_000).contains(&dispersion.0), "{dispersion}");
    assert!(told.reference.since(told.transmit) <= Nanos::ZERO);
}

#[test]
fn versions_and_poll_are_those_of_the_request() {
    for version in 1..=4 {
        for poll in [i8::MIN, -1, 0, 6, 17, i8::MAX] {
            let told = answer(
                good(),
                Packet {
                    version,
                    poll,
                    ..request()
                },
            );
            assert_eq!(
                (told.version, told.poll, told.mode),
                (version, poll, mode::SERVER)
            );
        }
    }
}

#[test]
fn only_clients_are_answered() {
    for version in 0..8 {
        for mode in 0..8 {
            for leap in 0..4 {
                let asked = Packet {
                    leap,
                    version,
                    mode,
                    ..request()
                };
                let expected = match mode {
                    3 if (1..=4).contains(&version) => None,
                    2 | 4 => Some(Reason::Loop),
                    _ => Some(Reason::NotServed),
                };
                let heard = hear(good(), &asked.emit());
                assert_eq!(heard.err(), expected, "version {version}, mode {mode}");
            }
        }
    }
}

#[test]
fn no_answer_is_answered() {
    let answer = hear(good(), &request().emit()).expect("an answer");
    assert_eq!(hear(good(), &answer), Err(Reason::Loop));
}

#[test]
fn what_is_cut_is_not_answered() {
    let asked = request().emit();
    for len in 0..48 {
        assert_eq!(hear(good(), &asked[..len]), Err(Reason::Malformed), "{len}");
    }
}

#[test]
fn extension_fields_are_ignored_and_signed_requests_are_left_alone() {
    let asked = request().emit();
    let field = [&[0x01, 0x04, 0, 36][..], &[7; 32]].concat();
    let with = |tail: &[u8]| hear(good(), &[&asked[..], tail].concat());
    assert_eq!(with(&field).map(|answer| answer.len()), Ok(48));
    assert_eq!(with(&[7; 20]), Err(Reason::BadAuth));
    assert_eq!(with(&[&field[..], &[7; 24]].concat()), Err(Reason::BadAuth));
    assert_eq!(with(&[7; 3]), Err(Reason::Malformed));
    assert_eq!(with(&[7; 40]), Err(Reason::Malformed));
}

#[test]
fn who_asks_too_often_is_kissed_and_nobody_else() {
    let host = Host::at(NOON);
    let warn = |payload: &[u8], room: usize| {
        let mut reply = payload.to_vec();
        reply.truncate(room);
        let rx = arrived(host.now(), payload);
        let len = host.with_env(|env| server(good()).warn(env, &rx, &mut reply))?;
        reply.truncate(len);
        Some(reply)
    };
    let asked = request().emit();
    let kiss = warn(&asked, 48).expect("a kiss");
    let told = Packet::parse(&kiss).expect("whole");
    assert_eq!((kiss.len(), told.kiss_code()), (48, Some(*b"RATE")));
    assert_eq!((told.leap, told.stratum, told.mode, told.poll), (3, 0, 4, 6));
    assert_eq!(told.origin, request().transmit);
    assert!(!told.is_synchronised() && told.transmit.0 > 0 && told.receive.0 > 0);
    for mode in (0..8).filter(|&mode| mode != mode::CLIENT) {
        let other = Packet { mode, ..request() };
        assert_eq!(warn(&other.emit(), 48), None, "mode {mode}");
    }
    assert_eq!(warn(&kiss, 48), None, "a kiss is not kissed");
    assert_eq!(warn(&asked[..47], 47), None, "what is cut");
    assert_eq!(warn(&asked, 47), None, "no room");
    assert_eq!(warn(&[&asked[..], &[7; 20]].concat(), 68), None, "signed");
}

#[test]
fn nothing_leaves_before_it_has_arrived() {
    // The kernel stamped the arrival, and then somebody set the clock back by an hour.
    let host = Host::at(NOON);
    let asked = request().emit();
    let at = Stamp {
        wall: Wall(NOON.0 + 3_600 * SECOND),
        ..host.now()
    };
    let mut reply = asked;
    let verdict = host.with_env(|env| server(good()).respond(env, &arrived(at, &asked), &mut reply));
    assert_eq!(verdict, Verdict::Reply(48));
    let told = Packet::parse(&reply).expect("whole");
    assert_eq!(told.transmit, told.receive);
}

#[test]
fn an_era_ends_between_arrival_and_departure() {
    let host = Host::at(Wall(ERA_1.0 - 5_000));
    let told = host
        .hear(&mut server(good()), &request().emit())
        .expect("an answer");
    let told = Packet::parse(&told).expect("whole");
    assert!(told.receive.0 > u64::MAX / 2 && told.transmit.0 < u64::MAX / 2);
    assert_eq!(told.transmit.since(told.receive), Nanos(11_000));
}

#[test]
fn without_room_there_is_no_answer() {
    let asked = request().emit();
    let mut reply = [0; 47];
    let host = Host::at(NOON);
    let rx = arrived(host.now(), &asked);
    let verdict = host.with_env(|env| server(good()).respond(env, &rx, &mut reply));
    assert_eq!(verdict, Verdict::Silent(Reason::Truncated));
}

proptest! {
    #[test]
    fn no_datagram_gets_more_than_it_brought(bytes in prop::collection::vec(any::<u8>(), 0..160), client: bool) {
        let mut bytes = bytes;
        if let Some(first) = bytes.first_mut().filter(|_| client) {
            *first = *first & 0xc0 | 0x23;
        }
        if let Ok(answer) = hear(good(), &bytes) {
            prop_assert!(answer.len() <= NTP.reply_limit.longest(bytes.len(), Trust::Stranger));
            let told = Packet::parse(&answer).expect("whole");
            prop_assert_eq!(told.mode, mode::SERVER);
            prop_assert_eq!(&answer[24..32], &bytes[40..48]);
        }
    }
}
