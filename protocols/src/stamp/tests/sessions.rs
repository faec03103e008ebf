//! The table of sessions.

use super::super::sessions::{Departure, Sessions};
use super::stamp;
use halloo_base::{StampSource, TxTag};
use std::net::SocketAddr;

fn home(port: u16) -> SocketAddr {
    ([192, 0, 2, 33], port).into()
}

fn sessions(capacity: usize) -> Sessions {
    Sessions::new(capacity, [7; 16])
}

#[test]
fn each_address_port_and_identifier_has_a_count_of_its_own() {
    let mut table = sessions(64);
    let other: SocketAddr = "192.0.2.34:1".parse().expect("an address");
    for number in 0..5 {
        for (remote, ssid) in [(home(1), 0), (home(1), 1), (home(2), 0), (other, 0)] {
            assert_eq!(table.count(remote, ssid).1, number, "{remote} {ssid}");
        }
    }
    let mapped: SocketAddr = "[::ffff:192.0.2.33]:1".parse().expect("an address");
    assert_eq!(table.count(mapped, 0).1, 5, "the same host, mapped");
}

#[test]
fn the_least_recently_used_of_a_set_makes_room() {
    // One set of eight.
    let mut table = sessions(1);
    for port in 1..=8 {
        assert_eq!(table.count(home(port), 0).1, 0);
    }
    assert_eq!(table.count(home(1), 0).1, 1);
    assert_eq!(table.count(home(9), 0).1, 0, "in place of the second");
    assert_eq!(table.count(home(1), 0).1, 2);
    assert_eq!(table.count(home(2), 0).1, 0, "in place of the third");
    assert_eq!(table.count(home(4), 0).1, 1);
}

#[test]
fn there_is_room_for_as_many_sessions_as_were_asked_for_and_never_more() {
    for (capacity, slots) in [(0, 8), (1, 8), (8, 8), (9, 16), (100, 128)] {
        let mut table = sessions(capacity);
        for port in 1..=1_000 {
            table.count(home(port), 0);
        }
        // Where a slot is, its tag tells.
        let tags = (1..=1_000).filter_map(|port| {
            let (slot, number) = table.count(home(port), 0);
            table.await_departure(slot, number)
        });
        let highest = tags.map(|TxTag(tag)| tag >> 32).max();
        assert_eq!(highest, Some(slots - 1), "{capacity}");
    }
}

#[test]
fn a_departure_is_told_of_the_answer_that_it_was_of() {
    let mut table = sessions(8);
    let (slot, first) = table.count(home(1), 0);
    assert_eq!(table.departure(slot), None);
    let tag = table.await_departure(slot, first).expect("nothing is awaited");
    let (slot, second) = table.count(home(1), 0);
    assert_eq!(table.await_departure(slot, second), None, "one is enough");
    let at = stamp(99, StampSource::Hardware);
    table.departed(tag, at);
    assert_eq!(table.departure(slot), Some(Departure { number: 0, at }));
    table.departed(tag, stamp(100, StampSource::Kernel));
    assert_eq!(table.departure(slot), Some(Departure { number: 0, at }), "once");
    let tag = table.await_departure(slot, second).expect("nothing is awaited");
    table.departed(tag, stamp(101, StampSource::User));
    assert_eq!(
        table.departure(slot),
        Some(Departure { number: 0, at }),
        "no better than T3"
    );
}

#[test]
fn a_departure_that_does_not_come_is_given_up() {
    let mut table = sessions(8);
    let (slot, first) = table.count(home(1), 0);
    let lost = table.await_departure(slot, first).expect("nothing is awaited");
    for number in 1..=64 {
        assert_eq!(table.await_departure(slot, number), None);
    }
    let tag = table.await_departure(slot, 65).expect("given up");
    table.departed(lost, stamp(5, StampSource::Kernel));
    assert_eq!(table.departure(slot), None, "too late");
    table.departed(tag, stamp(6, StampSource::Kernel));
    assert_eq!(table.departure(slot).map(|told| told.number), Some(65));
}

#[test]
fn a_departure_never_counts_for_the_next_tenant_of_a_slot() {
    let mut table = sessions(1);
    let (slot, number) = table.count(home(1), 0);
    let late = table.await_departure(slot, number).expect("nothing is awaited");
    for port in 2..=9 {
        table.count(home(port), 0);
    }
    let (slot, number) = table.count(home(9), 0);
    let own = table.await_departure(slot, number).expect("nothing is awaited");
    assert_eq!(late.0 >> 32, own.0 >> 32, "the same slot");
    table.departed(late, stamp(5, StampSource::Kernel));
    assert_eq!(table.departure(slot), None);
    table.departed(TxTag(u64::MAX), stamp(5, StampSource::Kernel));
    table.departed(own, stamp(6, StampSource::Kernel));
    assert_eq!(table.departure(slot).map(|told| told.number), Some(1));
}
