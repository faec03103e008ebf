//! Time, clocks, stalls, deadlines and endings.

use crate::pair;
use crate::scribe::{Act, Scribe, Told};
use halloo_base::{Clock, Cx, Deadline, Input, Machine, Mono, Nanos, Stamp, StampSource, TxTag};
use halloo_sim::{Fate, HostOptions, Quality, World, ms, ns, secs, us};
use std::time::Duration;

#[test]
fn a_round_trip_takes_exactly_the_delays_and_departures_are_stamped() {
    let (mut world, a, b, wire) = pair(1, Quality::delay(ms(3)));
    world.set_from(wire, b, Quality::delay(ms(4)));
    let echo = world.add(b, Scribe::echo());
    world.udp(echo, "0.0.0.0:7");
    let ask = world.add(a, Scribe::silent().send_many(3, ms(10), "192.0.2.2:7"));
    world.udp(ask, "0.0.0.0:0");
    world.run_until(secs(1));
    let ask = world.machine(ask);
    let (departures, arrivals) = (ask.departures(), ask.arrivals());
    assert_eq!(departures.len(), 3);
    for (n, ((tag, left), (arrived, handled))) in departures.iter().zip(&arrivals).enumerate() {
        assert_eq!(*tag, TxTag(n as u64));
        assert_eq!(left.source, StampSource::Kernel);
        assert_eq!(arrived.mono - left.mono, Nanos(7_000_000));
        assert_eq!(*handled, arrived.mono, "an ideal host handles at once");
    }
}

#[test]
fn hosts_share_neither_their_monotonic_clock_nor_their_wall_clock() {
    let mut world = World::new(1);
    let right = world.host("right", &["192.0.2.1"]);
    let ahead = HostOptions {
        offset: Nanos(250_000_000),
        ..HostOptions::default()
    };
    let ahead = world.host_with("ahead", &["192.0.2.2"], ahead);
    world.run_until(secs(5));
    assert_ne!(world.mono(right), world.mono(ahead));
    let offset = world.clock(ahead).wall - world.clock(right).wall;
    assert_eq!(offset, Nanos(250_000_000));
}

#[test]
fn drift_moves_both_clocks_and_a_step_only_the_wall_clock() {
    let (mut world, a, b, _) = pair(1, Quality::perfect());
    world.tune(a, |options| options.drift_ppm = 100.0);
    let (a0, b0) = (world.clock(a), world.clock(b));
    world.at(secs(4), move |world| world.step_clock(a, Nanos(-3_000_000_000)));
    world.run_until(secs(10));
    let (a1, b1) = (world.clock(a), world.clock(b));
    assert_eq!(b1.mono - b0.mono, Nanos(10_000_000_000));
    assert_eq!(a1.mono - a0.mono, Nanos(10_001_000_000));
    assert_eq!(a1.wall - a0.wall, Nanos(7_001_000_000));
}

/// Reads the clock twice for each datagram.
#[derive(Default)]
struct Reader(Vec<(Mono, Stamp, Stamp)>);

impl Machine for Reader {
    fn handle(&mut self, cx: &mut Cx<'_>, input: Input<'_>) {
        if let Input::Datagram(_) = input {
            let clock: &dyn Clock = cx.env.clock;
            self.0.push((cx.now(), clock.stamp(), clock.stamp()));
        }
    }

    fn deadline(&self) -> Option<Deadline> {
        None
    }
}

#[test]
fn reading_the_clock_and_handling_take_time_and_what_arrived_together_shares_its_now() {
    let (mut world, a, b, _) = pair(1, Quality::delay(ms(1)));
    world.tune(b, |options| {
        options.clock_reading = ns(40);
        options.service = us(2);
    });
    let reader = world.add(b, Reader::default());
    world.udp(reader, "0.0.0.0:7");
    let ask = Scribe::silent()
        .send(ms(1), "192.0.2.2:7", b"one")
        .send(ms(1), "192.0.2.2:7", b"two");
    let ask = world.add(a, ask);
    world.udp(ask, "0.0.0.0:0");
    world.run_until(secs(1));
    let read = &world.machine(reader).0;
    let since = |(now, first, second): &(Mono, Stamp, Stamp)| (first.mono - *now, second.mono - *now);
    assert_eq!(since(&read[0]), (Nanos(2_040), Nanos(2_080)));
    assert_eq!(read[0].0, read[1].0);
    assert_eq!(since(&read[1]), (Nanos(4_120), Nanos(4_160)));
}

#[test]
fn an_answer_leaves_after_the_time_that_the_host_needed() {
    let (mut world, a, b, _) = pair(1, Quality::delay(ms(1)));
    world.tune(b, |options| {
        options.wakeup = us(5);
        options.service = us(7);
        options.sending = us(11);
    });
    let echo = world.add(b, Scribe::echo());
    world.udp(echo, "0.0.0.0:7");
    let ask = world.add(a, Scribe::silent().send_many(1, ms(1), "192.0.2.2:7"));
    world.udp(ask, "0.0.0.0:0");
    world.run_until(secs(1));
    let ask = world.machine(ask);
    let round_trip = ask.arrivals()[0].0.mono - ask.departures()[0].1.mono;
    assert_eq!(round_trip, Nanos(2_023_000));
}

#[test]
fn a_stalled_host_handles_late_what_the_kernel_stamped_in_time() {
    let (mut world, a, b, _) = pair(1, Quality::delay(ms(1)));
    let hear = world.add(b, Scribe::silent());
    world.udp(hear, "0.0.0.0:7");
    let ask = world.add(a, Scribe::silent().send_many(100, ms(1), "192.0.2.2:7"));
    world.udp(ask, "0.0.0.0:0");
    world.at(ms(20), move |world| world.stall(b, ms(30)));
    world.run_until(secs(1));
    let arrivals = world.machine(hear).arrivals();
    assert_eq!(arrivals.len(), 100);
    assert!(
        arrivals
            .windows(2)
            .all(|two| two[1].0.mono - two[0].0.mono == Nanos(1_000_000))
    );
    let late = |(at, now): &(Stamp, Mono)| *now - at.mono;
    let latest = arrivals.iter().map(late).max().expect("there are arrivals");
    assert!((29_000_000..=30_000_000).contains(&latest.0), "{latest}");
    assert_eq!(
        arrivals
            .iter()
            .filter(|arrival| late(arrival) > Nanos::ZERO)
            .count(),
        30
    );
}

#[test]
fn a_host_without_kernel_stamps_stamps_as_late_as_it_handles() {
    let (mut world, a, b, _) = pair(1, Quality::delay(ms(1)));
    world.tune(a, |options| options.stamps = StampSource::User);
    world.tune(b, |options| options.stamps = StampSource::User);
    let hear = world.add(b, Scribe::silent());
    world.udp(hear, "0.0.0.0:7");
    let ask = world.add(a, Scribe::silent().send_many(1, ms(1), "192.0.2.2:7"));
    world.udp(ask, "0.0.0.0:0");
    world.stall(b, ms(30));
    world.run_until(secs(1));
    let (at, now) = world.machine(hear).arrivals()[0];
    assert_eq!((at.source, at.mono), (StampSource::User, now));
    assert_eq!(world.machine(ask).departures(), []);
}

#[test]
fn a_socket_holds_no_more_than_its_buffer_while_its_host_stalls() {
    let (mut world, a, b, _) = pair(1, Quality::delay(ms(1)));
    world.tune(b, |options| options.receive_buffer = 10);
    let hear = world.add(b, Scribe::silent());
    world.udp(hear, "0.0.0.0:7");
    let ask = world.add(a, Scribe::silent().send_many(40, ms(1), "192.0.2.2:7"));
    world.udp(ask, "0.0.0.0:0");
    world.stall(b, us(30_500));
    world.run_until(secs(1));
    // The first arrives after 1 ms, so 30 arrive during the stall.
    assert_eq!(world.trace().datagrams(a, b, Fate::Overrun), 20);
    assert_eq!(world.machine(hear).payloads().len(), 20);
}

#[test]
fn exact_deadlines_are_served_on_the_nanosecond_and_others_within_the_slack() {
    let mut world = World::new(1);
    let host = world.host("host", &["192.0.2.1"]);
    world.tune(host, |options| options.drift_ppm = -37.0);
    let wire_less =
        |machine: Scribe| (1..=200).fold(machine, |machine, n| machine.then(ms(10) * n, nothing()));
    let exact = world.add(host, wire_less(Scribe::silent()));
    let other = world.add(host, wire_less(Scribe::silent().inexact()));
    world.run_until(secs(3));
    let lateness = |machine: &Scribe| -> Vec<i64> {
        let started = machine.started.expect("it was started");
        let woken = machine.notes.iter().skip(1).enumerate();
        woken
            .map(|(n, (now, _))| (*now - (started + ms(10) * (n as u32 + 1))).0)
            .collect()
    };
    assert!(
        lateness(world.machine(exact))
            .iter()
            .all(|&late| (0..=1).contains(&late))
    );
    let late = lateness(world.machine(other));
    assert_eq!(late.len(), 200);
    assert!(late.iter().all(|late| (0..=60_001).contains(late)), "{late:?}");
    assert!(late.iter().any(|&late| late > 40_000) && late.iter().any(|&late| late < 20_000));
}

/// A step of a plan that changes nothing.
fn nothing() -> Act {
    Act::Abort(halloo_base::ConnId(99))
}

/// Wants to be woken for ever at the same instant.
struct Restless;

impl Machine for Restless {
    fn handle(&mut self, _: &mut Cx<'_>, _: Input<'_>) {}

    fn deadline(&self) -> Option<Deadline> {
        Some(Deadline::new(Mono(5), "forgotten timer"))
    }
}

#[test]
#[should_panic(expected = "for the deadline \"forgotten timer\"")]
fn a_machine_that_never_lets_go_of_a_deadline_is_named() {
    let mut world = World::new(1);
    let host = world.host("host", &["192.0.2.1"]);
    world.add(host, Restless);
    world.run_until(secs(1));
}

#[test]
#[should_panic(expected = "time stands still")]
fn two_echo_hosts_on_a_perfect_wire_are_noticed() {
    let (mut world, a, b, _) = pair(1, Quality::perfect());
    let first = world.add(a, Scribe::echo().send(ms(1), "192.0.2.2:7", b"ball"));
    world.udp(first, "0.0.0.0:7");
    let second = world.add(b, Scribe::echo());
    world.udp(second, "0.0.0.0:7");
    world.run_until(secs(1));
}

#[test]
fn reports_come_and_nothing_comes_after_a_stop() {
    let (mut world, a, b, _) = pair(1, Quality::delay(ms(1)));
    let hear = world.add(b, Scribe::silent());
    world.udp(hear, "0.0.0.0:7");
    let ask = world.add(a, Scribe::silent().send_many(10, ms(1), "192.0.2.2:7"));
    world.udp(ask, "0.0.0.0:0");
    world.at(us(3_500), move |world| world.report(hear));
    world.at(us(5_500), move |world| world.stop(hear));
    world.run_until(secs(1));
    let told = world.machine(hear).told();
    assert_eq!(told.len(), 7);
    assert_eq!(told[3], &Told::Report);
    assert_eq!(told[6], &Told::Stop);
    assert!(world.finished(hear));
    assert_eq!(world.trace().datagrams(a, b, Fate::Refused), 5);
}

#[test]
fn a_world_can_be_run_until_a_machine_has_come_to_its_end() {
    let mut world = World::new(1);
    let host = world.host("host", &["192.0.2.1"]);
    let brief = world.add(host, Scribe::silent().then(ms(70), Act::End));
    world.run_until_finished(brief, secs(1));
    assert_eq!(world.now(), ms(70));
}

#[test]
#[should_panic(expected = "the machine on host is not finished after 1s")]
fn a_machine_that_does_not_end_in_time_fails_the_story() {
    let mut world = World::new(1);
    let host = world.host("host", &["192.0.2.1"]);
    let endless = world.add(host, Scribe::silent());
    world.run_until_finished(endless, secs(1));
}

#[test]
fn a_killed_server_refuses_and_its_successor_answers() {
    let (mut world, a, b, _) = pair(1, Quality::delay(ms(1)));
    let echo = world.add(b, Scribe::echo());
    world.udp(echo, "0.0.0.0:7");
    let ask = world.add(a, Scribe::silent().send_many(30, ms(10), "192.0.2.2:7"));
    world.udp(ask, "0.0.0.0:0");
    world.at(ms(95), move |world| world.kill(echo));
    world.at(ms(195), move |world| {
        let echo = world.add(b, Scribe::echo());
        world.udp(echo, "0.0.0.0:7");
    });
    world.run_until(secs(1));
    let ask = world.machine(ask);
    assert_eq!(ask.payloads().len(), 20);
    let refused = ask.unreachables();
    assert_eq!(refused.len(), 10);
    let started = ask.started.expect("it was started");
    assert_eq!(
        refused[0].0 - started,
        Nanos::from(ms(102)),
        "one delay there, one back"
    );
    assert_eq!(refused[0].1.error.to_string(), "Connection refused");
    assert_eq!(refused[0].1.reporter, "192.0.2.2".parse().ok());
    assert_eq!(
        refused[0].1.path.remote,
        "192.0.2.2:7".parse().expect("an address")
    );
}

fn noisy(seed: u64) -> (u64, String) {
    let quality = Quality::delay(ms(1)).jitter(ms(2)).loss(0.1).duplicate(0.05);
    let (mut world, a, b, _) = pair(seed, quality);
    let echo = world.add(b, Scribe::echo().inexact());
    world.udp(echo, "0.0.0.0:7");
    let ask = Scribe::silent().inexact().send_many(200, ms(1), "192.0.2.2:7");
    let ask = world.add(a, ask);
    world.udp(ask, "0.0.0.0:0");
    world.run_until(secs(1));
    (world.trace().hash(), world.trace().to_string())
}

#[test]
fn the_same_seed_tells_the_same_story_and_another_seed_another() {
    assert_eq!(noisy(5), noisy(5));
    assert_ne!(noisy(5).0, noisy(6).0);
}

#[test]
fn a_trace_reads_line_by_line() {
    let (mut world, a, _, _) = pair(1, Quality::delay(ms(1)));
    let ask = world.add(a, Scribe::silent().send(ms(5), "192.0.2.2:7", b"halloo"));
    world.udp(ask, "0.0.0.0:4000");
    world.run_until(Duration::from_secs(1));
    let text = world.trace().to_string();
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    assert_eq!(
        lines,
        [
            "0.005000000 s  a -> b  192.0.2.1:4000 -> 192.0.2.2:7  Datagram 6 B  Refused after 1ms",
            "0.006000000 s  b -> a  192.0.2.2:0 -> 192.0.2.1:0  Error 0 B  Delivered after 1ms",
        ]
    );
}
