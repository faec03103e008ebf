//! Stories of a prober and a server, and of what else may come back.

use super::*;
use crate::ProberOptions;
use crate::ntp::{ClockCell, ClockSource, NtpProber, Short};
use halloo_base::{Heard, ProbeId, Prober, Reflection, Refusal};
use std::sync::Arc;

const TOKEN: u64 = 0xfeed;

fn prober(token: u64) -> NtpProber {
    NtpProber::new(&ProberOptions {
        token,
        size: 48,
        ..ProberOptions::default()
    })
}

fn ask(token: u64, id: u64) -> [u8; 48] {
    let mut buf = [0xee; 48];
    let len = Host::at(NOON).with_env(|env| prober(token).request(env, ProbeId(id), &mut buf));
    assert_eq!(len, Some(48));
    buf
}

/// What a prober makes of a packet that arrives at noon.
fn recognise(token: u64, payload: &[u8]) -> Result<Heard, Reason> {
    prober(token).recognise(&arrived(Host::at(NOON).now(), payload))
}

/// An answer of a good clock to our probe number 9, kept for 300 us.
fn answer() -> Packet {
    Packet {
        leap: 0,
        version: 4,
        mode: mode::SERVER,
        stratum: 2,
        root_delay: Short(0x4000),
        root_dispersion: Short(0x1000),
        reference_id: [192, 0, 2, 33],
        origin: Packet::parse(&ask(TOKEN, 9)).expect("whole").transmit,
        receive: Timestamp::new(NOON),
        transmit: Timestamp::new(Wall(NOON.0 + 300_000)),
        ..Packet::default()
    }
}

fn told(reflection: Reflection) -> Heard {
    Heard {
        reflection: Some(reflection),
        ..Heard::plain(9, 32)
    }
}

fn full() -> Reflection {
    Reflection {
        received_at: Some(NOON),
        residence: Some(Nanos(300_000)),
        // Half of 250 ms, and 62.5 ms.
        clock_error: Some(Nanos(187_500_000)),
        ..Reflection::default()
    }
}

#[test]
fn a_request_tells_nothing_of_this_host() {
    for id in [0, 1, 9, u64::MAX] {
        let asked = ask(TOKEN, id);
        let read = Packet::parse(&asked).expect("whole");
        let expected = Packet {
            version: 4,
            mode: mode::CLIENT,
            precision: 32,
            transmit: read.transmit,
            ..Packet::default()
        };
        assert_eq!(read, expected);
    }
    for size in [0, 47, 49, 68] {
        let mut buf = vec![0; size];
        let len = Host::at(NOON).with_env(|env| prober(TOKEN).request(env, ProbeId(1), &mut buf));
        assert_eq!(len, None, "{size}");
    }
}

#[test]
fn stamps_of_requests_look_like_chance() {
    let stamps: Vec<u64> = (0..200)
        .map(|id| Packet::parse(&ask(TOKEN, id)).expect("whole").transmit.0)
        .collect();
    for bit in 0..64 {
        let set = stamps.iter().filter(|stamp| *stamp >> bit & 1 == 1).count();
        assert!((60..140).contains(&set), "bit {bit}: {set} of 200");
    }
}

#[test]
fn a_server_tells_when_it_had_the_request_and_how_good_its_clock_is() {
    let state = ClockState {
        root_dispersion: Nanos(62_500_000 - 200_000),
        ..good()
    };
    let mut server = NtpServer::new(NtpServerOptions {
        clock: ClockSource::Told(Arc::new(ClockCell::new(state))),
    });
    for id in [0, 1, 77, u64::from(u32::MAX), (7 << 32) + 3] {
        let host = Host::at(NOON);
        let answer = host.hear(&mut server, &ask(TOKEN, id)).expect("an answer");
        let heard = recognise(TOKEN, &answer).expect("ours");
        assert_eq!(heard.resolve(ProbeId(id)), Some(ProbeId(id)));
        let reflection = heard.reflection.expect("stamps");
        assert_eq!(reflection.received_at, Some(NOON));
        assert_eq!(reflection.residence, Some(Nanos(11_000)));
        let error = reflection.clock_error.expect("a good clock");
        assert!((187_300_000..187_500_000).contains(&error.0), "{error}");
        assert_eq!(
            (heard.refusal, reflection.seen, reflection.arrivals),
            (None, None, None)
        );
    }
}

#[test]
fn an_answer_tells_all_of_this() {
    assert_eq!(recognise(TOKEN, &answer().emit()), Ok(told(full())));
    let longer = [&answer().emit()[..], &[7; 20]].concat();
    assert_eq!(
        recognise(TOKEN, &longer),
        Ok(told(full())),
        "a code behind it is not looked at"
    );
    for version in 1..=4 {
        let older = Packet { version, ..answer() };
        assert_eq!(recognise(TOKEN, &older.emit()), Ok(told(full())));
    }
}

#[test]
fn a_clock_that_is_not_synchronised_has_stamps_and_no_error() {
    let unsure = Reflection {
        clock_error: None,
        ..full()
    };
    for (leap, stratum, reference_id) in [
        (3, 2, [192, 0, 2, 33]),
        (0, 16, [192, 0, 2, 33]),
        (3, 16, [0; 4]),
        (0, 17, [0; 4]),
        (0, 255, [0; 4]),
        (3, 0, [0; 4]),
        (0, 0, [192, 0, 2, 33]),
    ] {
        let packet = Packet {
            leap,
            stratum,
            reference_id,
            ..answer()
        };
        assert_eq!(
            recognise(TOKEN, &packet.emit()),
            Ok(told(unsure)),
            "{leap}, {stratum}"
        );
    }
}

#[test]
fn stamps_that_cannot_be_are_left_out() {
    let at = |receive, transmit| Packet {
        receive,
        transmit,
        ..answer()
    };
    let noon = Timestamp::new(NOON);
    let before = Timestamp::new(Wall(NOON.0 - 1_000));
    let backwards = Reflection {
        residence: None,
        ..full()
    };
    assert_eq!(recognise(TOKEN, &at(noon, before).emit()), Ok(told(backwards)));
    let without = Reflection {
        received_at: None,
        residence: None,
        ..full()
    };
    assert_eq!(
        recognise(TOKEN, &at(Timestamp::NONE, noon).emit()),
        Ok(told(without))
    );
    assert_eq!(
        recognise(TOKEN, &at(noon, Timestamp::NONE).emit()),
        Err(Reason::Malformed)
    );
}

#[test]
fn a_kiss_of_death_is_a_refusal_and_its_stamps_mean_nothing() {
    let table = [
        (*b"RATE", "RATE"),
        (*b"DENY", "DENY"),
        (*b"RSTR", "RSTR"),
        (*b"NTSN", "NTSN"),
        (*b"WHAT", "unknown kiss code"),
    ];
    for (reference_id, name) in table {
        for (receive, transmit) in [(answer().receive, answer().transmit), Default::default()] {
            let kiss = Packet {
                leap: 3,
                stratum: 0,
                reference_id,
                receive,
                transmit,
                ..answer()
            };
            let code = u32::from_be_bytes(reference_id);
            let expected = Heard {
                refusal: Some(Refusal { code, name }),
                ..Heard::plain(9, 32)
            };
            assert_eq!(recognise(TOKEN, &kiss.emit()), Ok(expected));
        }
    }
    for reference_id in [*b"INIT", *b"STEP", *b"XFUN", *b"X\0\0\0"] {
        let kiss = Packet {
            leap: 3,
            stratum: 0,
            reference_id,
            ..answer()
        };
        assert_eq!(
            recognise(TOKEN, &kiss.emit()),
            Ok(Heard::plain(9, 32)),
            "no refusal"
        );
    }
}

#[test]
fn nothing_of_another_session_counts() {
    for theirs in (0..300).filter(|&token| token != TOKEN) {
        let asked = ask(theirs, 9);
        let origin = Packet::parse(&asked).expect("whole").transmit;
        let packet = Packet { origin, ..answer() };
        assert!(recognise(theirs, &packet.emit()).is_ok());
        assert_eq!(recognise(TOKEN, &packet.emit()), Err(Reason::Foreign));
        assert_eq!(prober(TOKEN).quoted(&asked), None);
    }
}

#[test]
fn no_altered_origin_counts() {
    for bit in 0..64 {
        let origin = Timestamp(answer().origin.0 ^ 1 << bit);
        let packet = Packet { origin, ..answer() };
        assert_eq!(
            recognise(TOKEN, &packet.emit()),
            Err(Reason::Foreign),
            "bit {bit}"
        );
    }
}

#[test]
fn what_is_no_answer_is_not_heard() {
    assert_eq!(
        recognise(TOKEN, &ask(TOKEN, 9)),
        Err(Reason::Foreign),
        "our own request"
    );
    for mode in (0..8).filter(|&mode| mode != 4) {
        let packet = Packet { mode, ..answer() };
        assert_eq!(
            recognise(TOKEN, &packet.emit()),
            Err(Reason::Foreign),
            "mode {mode}"
        );
    }
    for version in [0, 5, 6, 7] {
        let packet = Packet { version, ..answer() };
        assert_eq!(recognise(TOKEN, &packet.emit()), Err(Reason::Malformed));
    }
    for len in 0..48 {
        let cut = &answer().emit()[..len];
        assert_eq!(recognise(TOKEN, cut), Err(Reason::Malformed), "{len}");
    }
}

#[test]
fn a_server_of_the_next_era_is_understood_by_a_client_of_this_one() {
    let before = Wall(ERA_1.0 - 2_000);
    let packet = Packet {
        receive: Timestamp::new(Wall(ERA_1.0 + 5_000)),
        transmit: Timestamp::new(Wall(ERA_1.0 + 9_000)),
        ..answer()
    };
    let rx = packet.emit();
    let rx = arrived(Host::at(before).now(), &rx);
    let reflection = prober(TOKEN).recognise(&rx).expect("ours").reflection;
    let reflection = reflection.expect("stamps");
    assert_eq!(reflection.received_at, Some(Wall(ERA_1.0 + 5_000)));
    assert_eq!(reflection.residence, Some(Nanos(4_000)));
}

#[test]
fn what_time_it_is_is_told_in_every_year() {
    for years in [0, 10, 11, 12, 13, 50, 80, 140, 200, 500] {
        let now = Wall(NOON.0 + years * 365 * 86_400 * SECOND);
        let packet = Packet {
            receive: Timestamp::new(now),
            transmit: Timestamp::new(now),
            ..answer()
        };
        let bytes = packet.emit();
        let rx = arrived(Host::at(now).now(), &bytes);
        let reflection = prober(TOKEN).recognise(&rx).expect("ours").reflection;
        assert_eq!(reflection.and_then(|told| told.received_at), Some(now), "{years}");
    }
}

#[test]
fn without_an_arrival_there_is_no_residence_in_any_era() {
    for now in [NOON, Wall(ERA_1.0 + SECOND)] {
        let packet = Packet {
            receive: Timestamp::NONE,
            transmit: Timestamp::new(now),
            ..answer()
        };
        let bytes = packet.emit();
        let rx = arrived(Host::at(now).now(), &bytes);
        let reflection = prober(TOKEN).recognise(&rx).expect("ours").reflection;
        let told = reflection.expect("an answer");
        assert_eq!((told.received_at, told.residence), (None, None));
    }
}

#[test]
fn a_quoted_request_is_known_again() {
    let asked = ask(TOKEN, (1 << 32) + 9);
    for len in 0..=48 {
        let expected = (len == 48).then_some(Heard::plain(9, 32));
        assert_eq!(prober(TOKEN).quoted(&asked[..len]), expected, "{len}");
    }
    let read = Packet::parse(&asked).expect("whole");
    for mode in (0..8).filter(|&mode| mode != 3) {
        let sent_by_nobody = Packet { mode, ..read };
        assert_eq!(prober(TOKEN).quoted(&sent_by_nobody.emit()), None, "mode {mode}");
    }
}
