//! What is told of a clock.

use super::*;
use crate::ntp::clock::Informed;
use crate::ntp::{ClockCell, ClockSource, Short};
use std::sync::Arc;

fn told(state: ClockState, now: Mono, arrived: Wall) -> Packet {
    let mut packet = Packet::default();
    state.tell(now, arrived, &mut packet);
    packet
}

fn state(informed: &mut Informed, host: &Host) -> ClockState {
    host.with_env(|env| informed.state(env, host.now().wall))
}

#[test]
fn a_good_clock_tells_all_that_it_knows() {
    let expected = Packet {
        leap: 0,
        stratum: 2,
        precision: -23,
        root_delay: Short(0x4000),
        root_dispersion: Short(0x1000),
        reference_id: [192, 0, 2, 33],
        reference: Timestamp::new(Wall(NOON.0 - 64 * SECOND)),
        ..Packet::default()
    };
    assert_eq!(told(good(), Mono(0), NOON), expected);
    for (leap, indicator) in [(Leap::None, 0), (Leap::Insert, 1), (Leap::Delete, 2)] {
        let state = ClockState {
            leap: Some(leap),
            ..good()
        };
        assert_eq!(told(state, Mono(0), NOON).leap, indicator);
    }
}

#[test]
fn a_clock_that_is_not_synchronised_claims_nothing() {
    let unknown = Packet {
        leap: 3,
        stratum: 16,
        precision: -23,
        root_delay: Short(0),
        root_dispersion: Short(16 << 16),
        reference_id: [0; 4],
        reference: Timestamp::new(Wall(NOON.0 - 64 * SECOND)),
        ..Packet::default()
    };
    let without_leap = ClockState { leap: None, ..good() };
    assert_eq!(told(without_leap, Mono(0), NOON), unknown);
    for stratum in [0, 16, 17, 255] {
        let state = ClockState { stratum, ..good() };
        assert!(!state.is_synchronised());
        assert_eq!(told(state, Mono(0), NOON), unknown, "stratum {stratum}");
    }
    let default = told(ClockState::default(), Mono(0), NOON);
    assert_eq!((default.leap, default.stratum), (3, 16));
    assert_eq!(default.reference, Timestamp::NONE, "never set");
}

#[test]
fn the_dispersion_grows_until_somebody_looks_again() {
    let dispersion = |now| told(good(), now, NOON).root_dispersion.nanos();
    let fresh = dispersion(Mono(0));
    assert_eq!(dispersion(Mono(1)), fresh);
    let a_day = Mono(86_400 * SECOND);
    let grown = dispersion(a_day) - fresh;
    assert!(
        (grown - Nanos(1_296_000_000)).abs() < Nanos(20_000),
        "15 ppm: {grown}"
    );
    assert_eq!(
        told(good(), Mono(u64::MAX), NOON).root_dispersion,
        Short(u32::MAX)
    );
    let later = ClockState {
        as_of: Mono(SECOND),
        ..good()
    };
    assert_eq!(told(later, Mono(0), NOON).root_dispersion.nanos(), fresh);
}

#[test]
fn a_clock_was_never_set_in_the_future() {
    for ahead in [1, SECOND, 3_600 * SECOND] {
        let state = ClockState {
            reference_at: Some(Wall(NOON.0 + ahead)),
            ..good()
        };
        assert_eq!(told(state, Mono(0), NOON).reference, Timestamp::new(NOON));
    }
}

#[test]
fn a_cell_is_heard_at_once() {
    let host = Host::at(NOON);
    let cell = Arc::new(ClockCell::default());
    let mut informed = Informed::new(ClockSource::Told(Arc::clone(&cell)));
    assert_eq!(state(&mut informed, &host), ClockState::default());
    cell.set(good());
    assert_eq!(state(&mut informed, &host), good());
    cell.set(ClockState::default());
    assert_eq!(state(&mut informed, &host), ClockState::default());
    assert_eq!(host.asked.get(), 0);
}

#[test]
fn by_default_nothing_is_known() {
    let host = Host::at(NOON);
    host.quality.set(Some(kept()));
    let mut informed = Informed::new(ClockSource::default());
    assert_eq!(state(&mut informed, &host), ClockState::default());
}

#[test]
fn the_hosts_own_clock_is_asked_once_a_second() {
    let host = Host::at(NOON);
    host.quality.set(Some(kept()));
    let mut informed = Informed::new(ClockSource::Kept {
        stratum: 3,
        reference_id: *b"KERN",
        unkept: None,
    });
    let first = state(&mut informed, &host);
    let expected = ClockState {
        leap: Some(Leap::None),
        stratum: 3,
        precision: -19,
        root_delay: Nanos::ZERO,
        root_dispersion: Nanos(3_000_000),
        reference_id: *b"KERN",
        reference_at: Some(NOON),
        as_of: Mono(0),
    };
    assert_eq!(first, expected);
    host.quality.set(None);
    host.pass(SECOND - 1);
    assert!(state(&mut informed, &host).is_synchronised(), "not asked yet");
    host.pass(1);
    assert_eq!(
        state(&mut informed, &host),
        ClockState::default(),
        "nobody keeps it"
    );
    assert_eq!(host.asked.get(), 2);
}

#[test]
fn a_clock_that_somebody_vouches_for_is_claimed_while_nobody_keeps_it() {
    let host = Host::at(NOON);
    let mut informed = Informed::new(ClockSource::Kept {
        stratum: 8,
        reference_id: [127, 127, 1, 1],
        unkept: Some(Nanos(250_000_000)),
    });
    let vouched = state(&mut informed, &host);
    assert!(vouched.is_synchronised());
    assert_eq!(
        (vouched.stratum, vouched.root_dispersion),
        (8, Nanos(250_000_000))
    );
    // It is its own reference: a month later it is as good.
    host.pass(30 * 86_400 * SECOND);
    assert_eq!(state(&mut informed, &host).root_dispersion, Nanos(250_000_000));
    // Who keeps it knows better.
    host.quality.set(Some(kept()));
    host.pass(SECOND);
    assert_eq!(state(&mut informed, &host).root_dispersion, Nanos(3_000_000));
}

#[test]
fn a_precision_is_the_next_power_of_two() {
    let table = [
        (-1, -29),
        (0, -29),
        (1, -29),
        (2, -28),
        (100, -23),
        (1_000, -19),
        (1_000_000, -9),
        (500_000_000, -1),
        (500_000_001, 0),
        (i64::MAX, 0),
    ];
    for (nanos, power) in table {
        let quality = ClockQuality {
            precision: Nanos(nanos),
            ..kept()
        };
        let state = ClockState::of(quality, 2, [0; 4], Mono(0), NOON);
        assert_eq!(state.precision, power, "{nanos} ns");
    }
}
