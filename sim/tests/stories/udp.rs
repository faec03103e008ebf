//! UDP echo sessions.

use crate::stage::{Stage, check, datagram_prober, options, udp_server};
use halloo_base::{Datagram, Env, FollowUp, Heard, Nanos, ProbeId, Prober, Reason, StampSource};
use halloo_probe::{Ended, Event, LossCause, SessionOptions, Verdict};
use halloo_sim::{Fate, HostOptions, NatOptions, Quality, World, ms, secs, us};
use std::time::Duration;

#[test]
fn on_a_clean_wire_every_round_trip_is_right_to_the_nanosecond() {
    let mut stage = Stage::new(1, Quality::perfect());
    stage.forward(Quality::delay(ms(3)));
    stage.backward(Quality::delay(ms(5)));
    stage.world.tune(stage.there, |host| {
        host.wakeup = us(20);
        host.service = us(150);
        host.sending = us(4);
    });
    stage.udp_server();
    let session = stage.udp_session(options(200, ms(10)));
    let summary = stage.play(session);
    check(&summary);
    assert_eq!(summary.ended, Some(Ended::Complete));
    assert_eq!((summary.counts.sent, summary.counts.answered), (200, 200));
    assert_eq!(stage.served().replied, 200);
    let exact: Vec<_> = stage
        .log
        .answered()
        .into_iter()
        .filter(|exchange| exchange.residence.is_some_and(|residence| residence.exact))
        .collect();
    assert!(exact.len() >= 199, "{} exact residences", exact.len());
    for exchange in exact {
        assert_eq!(exchange.wire, Some(Nanos(8_000_000)), "{exchange:?}");
        let residence = exchange.residence.expect("it was looked at").span;
        assert!((174_000..175_000).contains(&residence.0), "{residence}");
        let host = exchange.host.expect("it was answered");
        assert!(host.0 >= 8_000_000 + residence.0 && host.0 < 8_000_000 + residence.0 + 1_000);
        assert_eq!(exchange.t4_kernel.map(|at| at.source), Some(StampSource::Kernel));
    }
}

#[test]
fn the_direction_of_a_loss_is_told_and_every_loss_is_the_traces() {
    let loss = [(0.1, 0.0), (0.0, 0.1), (0.02, 0.02)];
    for (nth, (forward, backward)) in loss.into_iter().enumerate() {
        let mut stage = Stage::new(40 + nth as u64, Quality::perfect());
        stage.forward(Quality::delay(ms(10)).loss(forward));
        stage.backward(Quality::delay(ms(10)).loss(backward));
        stage.udp_server();
        let session = stage.udp_session(options(2_000, ms(5)));
        let summary = stage.play(session);
        check(&summary);
        let counts = summary.counts;
        let [lost_forward, lost_backward] = stage.fates(Fate::Lost);
        assert!(lost_forward + lost_backward > 50);
        assert_eq!(counts.lost(), lost_forward + lost_backward);
        // Nothing tells of the losses after the last answer.
        let last = stage.log.answered().last().map_or(0, |exchange| exchange.seq.0);
        assert_eq!(counts.lost_unknown, 1_999 - last);
        assert_eq!(
            counts.lost_forward + counts.lost_backward + counts.lost_unknown,
            counts.lost()
        );
        assert!(
            lost_forward - counts.lost_forward <= counts.lost_unknown,
            "{counts:?}"
        );
        assert!(
            lost_backward - counts.lost_backward <= counts.lost_unknown,
            "{counts:?}"
        );
    }
}

#[test]
fn duplicates_are_counted_in_the_direction_where_they_arose() {
    for forward in [true, false] {
        let mut stage = Stage::new(3, Quality::delay(ms(10)));
        let doubling = Quality::delay(ms(10)).duplicate(0.1);
        if forward {
            stage.forward(doubling);
        } else {
            stage.backward(doubling);
        }
        stage.udp_server();
        let session = stage.udp_session(options(1_000, ms(5)));
        let summary = stage.play(session);
        check(&summary);
        let copies = stage.world.trace().count(|packet| packet.copy) as u64;
        let counts = summary.counts;
        assert!(copies > 50);
        assert_eq!(
            (counts.answered, counts.duplicates),
            (1_000, copies),
            "{counts:?}"
        );
        let by_direction = (counts.duplicates_forward, counts.duplicates_backward);
        assert_eq!(by_direction, if forward { (copies, 0) } else { (0, copies) });
    }
}

#[test]
fn reordering_is_counted_in_the_direction_where_it_arose() {
    for forward in [true, false] {
        let mut stage = Stage::new(3, Quality::delay(ms(10)));
        let reordering = Quality::delay(ms(10)).reorder(0.1, ms(7));
        if forward {
            stage.forward(reordering);
        } else {
            stage.backward(reordering);
        }
        stage.udp_server();
        let session = stage.udp_session(options(1_000, ms(5)));
        let summary = stage.play(session);
        check(&summary);
        let counts = summary.counts;
        assert_eq!(counts.answered, 1_000);
        assert!(counts.reordered > 50, "{counts:?}");
        let by_direction = (counts.reordered_forward, counts.reordered_backward);
        let expected = counts.reordered;
        assert_eq!(
            by_direction,
            if forward { (expected, 0) } else { (0, expected) },
            "{counts:?}"
        );
    }
}

#[test]
fn a_killed_server_is_unreachable_and_its_successor_is_heard() {
    let mut stage = Stage::new(1, Quality::delay(ms(10)));
    let server = stage.udp_server();
    let (there, counters) = (stage.there, stage.counters.clone());
    stage.world.at(ms(995), move |world| world.kill(server));
    stage.world.at(ms(1_995), move |world| {
        udp_server(world, there, &counters);
    });
    let session = stage.udp_session(options(300, ms(10)));
    let summary = stage.play(session);
    check(&summary);
    let refused = stage.fates(Fate::Refused)[0];
    assert_eq!(refused, 100);
    assert_eq!((summary.counts.answered, summary.counts.lost()), (200, 100));
    let [(error, times)] = summary.unreachable[..] else {
        panic!("one kind of error: {:?}", summary.unreachable);
    };
    assert_eq!((error.to_string().as_str(), times), ("Connection refused", 100));
    let counts = summary.counts;
    let reordered = [
        counts.reordered,
        counts.reordered_forward,
        counts.reordered_backward,
    ];
    assert_eq!(
        reordered,
        [0, 0, 0],
        "the successor counts from one again: {counts:?}"
    );
    let lost = stage.log.settled();
    let lost = lost
        .iter()
        .filter(|exchange| matches!(exchange.verdict, Verdict::Lost { .. }));
    assert!(lost.clone().all(|exchange| (99..=198).contains(&exchange.seq.0)));
    let causes = lost.clone().map(|exchange| exchange.verdict);
    let unreachable = |verdict| {
        matches!(
            verdict,
            Verdict::Lost {
                cause: LossCause::Unreachable,
                ..
            }
        )
    };
    assert!(
        causes.clone().all(unreachable),
        "{:?}",
        causes.collect::<Vec<_>>()
    );
    assert_eq!(lost.count(), 100);
}

#[test]
fn a_step_of_the_probers_clock_is_marked_and_leaves_round_trips_alone() {
    let mut stage = Stage::new(1, Quality::delay(ms(10)));
    stage.udp_server();
    let here = stage.here;
    stage.world.at(us(1_005_000), move |world| {
        world.step_clock(here, Nanos(-2_000_000_000));
    });
    let session = stage.udp_session(options(200, ms(10)));
    let summary = stage.play(session);
    check(&summary);
    assert_eq!(summary.counts.answered, 200);
    assert_eq!(summary.counts.clock_steps, 1);
    let by = summary.counts.clock_stepped_by;
    assert!((by - Nanos(-2_000_000_000)).abs() < Nanos(1_000), "{by}");
    let wire = summary.wire.expect("kernel stamps are there");
    assert_eq!(
        (wire.count, summary.counts.wire_guessed),
        (199, 1),
        "the stamps of this world hold their monotonic reading through a step"
    );
    assert!(wire.max < Nanos(20_100_000), "{wire:?}");
    assert!(summary.host.expect("there are answers").max < Nanos(20_100_000));
    // On the way at 1.005 s: sent at 0.99 s and 1 s.
    let marked = stage.log.answered();
    let marked: Vec<_> = marked
        .iter()
        .filter(|exchange| exchange.clock_stepped)
        .map(|exchange| exchange.seq.0)
        .collect();
    assert_eq!(marked, [99, 100]);
}

#[test]
fn a_step_of_the_responders_clock_is_noticed_and_leaves_round_trips_alone() {
    let mut stage = Stage::new(1, Quality::delay(ms(10)));
    stage.udp_server();
    let there = stage.there;
    stage.world.at(us(1_005_000), move |world| {
        world.step_clock(there, Nanos(5_000_000_000));
    });
    let session = stage.udp_session(options(200, ms(10)));
    let summary = stage.play(session);
    check(&summary);
    assert_eq!((summary.counts.answered, summary.counts.clock_steps), (200, 0));
    assert_eq!(
        summary
            .one_way
            .expect("the responder tells T2 and T3")
            .remote_steps,
        1
    );
    let wire = summary.wire.expect("kernel stamps are there");
    assert!(
        wire.min > Nanos(19_900_000) && wire.max < Nanos(20_100_000),
        "{wire:?}"
    );
}

#[test]
fn clocks_that_differ_and_drift_do_not_touch_the_wire_round_trip() {
    let mut stage = Stage::new(1, Quality::delay(ms(20)));
    let there = HostOptions {
        offset: Nanos(-3_600_000_000_000),
        drift_ppm: 80.0,
        ..HostOptions::default()
    };
    let there = stage.world.host_with("drifter", &["192.0.2.3"], there);
    stage.world.join(stage.here, there, Quality::delay(ms(20)));
    udp_server(&mut stage.world, there, &stage.counters);
    let mut options = options(300, ms(100));
    options.path.remote = "192.0.2.3:7777".parse().expect("an address");
    let session = stage.udp_session(options);
    let summary = stage.play(session);
    check(&summary);
    let wire = summary.wire.expect("kernel stamps are there");
    assert!(wire.max - wire.min < Nanos(2_000), "{wire:?}");
    let one_way = summary.one_way.expect("the responder tells T2 and T3");
    assert_eq!(one_way.remote_steps, 0);
    assert!((70_000..=90_000).contains(&one_way.skew_ppb), "{one_way:?}");
    let off = one_way.offset - Nanos(-3_600_000_000_000);
    assert!(off.abs() <= one_way.error + Nanos(3_000_000), "{one_way:?}");
}

#[test]
fn a_stalled_prober_shows_in_host_and_intended_round_trips_only() {
    let mut stage = Stage::new(1, Quality::delay(ms(2)));
    stage.udp_server();
    let here = stage.here;
    stage
        .world
        .at(us(1_003_000), move |world| world.stall(here, ms(200)));
    let session = stage.udp_session(options(300, ms(10)));
    let summary = stage.play(session);
    check(&summary);
    let (wire, host) = (summary.wire.expect("stamps"), summary.host.expect("answers"));
    let intended = summary.intended.expect("there is a plan");
    assert!(wire.max < Nanos(4_100_000), "{wire:?}");
    // The answer that arrived 1 ms after the stall began waited for its end.
    assert!(host.max > Nanos(199_000_000), "{host:?}");
    assert!(intended.max > Nanos(190_000_000), "{intended:?}");
    assert!(
        (18..=20).contains(&summary.counts.slots_missed),
        "{:?}",
        summary.counts
    );
}

#[test]
fn a_stalled_responder_shows_in_the_residence_and_not_on_the_wire() {
    let mut stage = Stage::new(1, Quality::delay(ms(2)));
    stage.udp_server();
    let there = stage.there;
    stage
        .world
        .at(us(1_003_000), move |world| world.stall(there, ms(200)));
    let session = stage.udp_session(options(300, ms(10)));
    let summary = stage.play(session);
    check(&summary);
    assert_eq!(summary.counts.answered, 300);
    let wire = summary.wire.expect("stamps");
    assert!(wire.max < Nanos(4_100_000), "{wire:?}");
    assert!(summary.host.expect("answers").max > Nanos(190_000_000));
    assert!(summary.budget.residence.expect("told").max > Nanos(190_000_000));
}

/// Numbers probes on the wire from far below zero (modulo 2^32), so that a short story crosses the wrap.
struct NearWrap {
    prober: Box<dyn Prober>,
    ahead: u32,
}

impl Prober for NearWrap {
    fn request(&mut self, env: &mut Env<'_>, id: ProbeId, buf: &mut [u8]) -> Option<usize> {
        self.prober
            .request(env, ProbeId(id.0 + u64::from(self.ahead)), buf)
    }

    fn recognise(&mut self, rx: &Datagram<'_>) -> Result<Heard, Reason> {
        let mut heard = self.prober.recognise(rx)?;
        assert_eq!(heard.bits, 32, "the wire carries 32 bits");
        heard.low_bits = u64::from((heard.low_bits as u32).wrapping_sub(self.ahead));
        if let Some(reflection) = &mut heard.reflection {
            reflection.follow_up = reflection.follow_up.map(|follow_up| FollowUp {
                low_bits: follow_up.low_bits.wrapping_sub(self.ahead),
                ..follow_up
            });
        }
        Ok(heard)
    }
}

#[test]
fn numbers_that_wrap_on_the_wire_confuse_neither_the_responder_nor_the_session() {
    let mut stage = Stage::new(1, Quality::perfect());
    stage.forward(Quality::delay(ms(10)).loss(0.1));
    stage.backward(Quality::delay(ms(10)));
    stage.udp_server();
    let prober = Box::new(NearWrap {
        prober: datagram_prober(112),
        ahead: u32::MAX - 100,
    });
    let session = stage.udp_session_with(options(300, ms(10)), prober);
    let summary = stage.play(session);
    check(&summary);
    let lost = stage.fates(Fate::Lost)[0];
    let counts = summary.counts;
    assert!(lost > 10);
    assert_eq!((counts.answered, counts.lost()), (300 - lost, lost));
    assert_eq!(counts.lost_forward + counts.lost_unknown, lost, "{counts:?}");
    assert!(counts.lost_unknown <= 3, "{counts:?}");
    assert_eq!((counts.duplicates, counts.reordered), (0, 0));
}

#[test]
fn an_answer_after_lost_after_is_late_and_no_longer_lost() {
    let mut stage = Stage::new(1, Quality::delay(ms(10)));
    stage.backward(Quality::delay(ms(10)).reorder(0.1, ms(80)));
    stage.udp_server();
    let options = SessionOptions {
        lost_after: ms(50),
        ..options(500, ms(10))
    };
    let session = stage.udp_session(options);
    stage.world.run_until(ms(4_900));
    let summary = stage.play(session);
    check(&summary);
    let counts = summary.counts;
    assert!(counts.late > 30, "{counts:?}");
    let events = stage.log.events();
    let given_up = events.iter().filter(|event| {
        matches!(event, Event::Exchange(exchange) if matches!(exchange.verdict, Verdict::Lost { cause: LossCause::Timeout, .. }))
    });
    assert_eq!(given_up.count() as u64, counts.late + counts.lost());
    // Late answers of the last probes come after the session's end.
    assert!(counts.lost() <= 5, "{counts:?}");
}

#[test]
fn two_links_are_told_apart() {
    let mut stage = Stage::new(1, Quality::delay(ms(10)));
    let cloud = stage.world.cloud("cloud");
    let host = stage.world.host("two links", &["198.51.100.1"]);
    let wires = [ms(5), ms(30)].map(|delay| stage.world.join(host, cloud, Quality::delay(delay)));
    stage.world.set_addresses(host, wires[1], &["203.0.113.1"]);
    let far = stage.world.host("far", &["192.0.2.77"]);
    stage.world.join(far, cloud, Quality::delay(ms(10)));
    udp_server(&mut stage.world, far, &stage.counters);
    stage.here = host;
    let links = wires.map(|wire| stage.world.link(host, wire));
    stage.world.at(secs(1), move |world| world.cut(wires[1]));
    stage.world.at(secs(2), move |world| world.mend(wires[1]));
    let logs = links.map(|link| {
        let mut options = options(300, ms(10));
        options.path.remote = "192.0.2.77:7777".parse().expect("an address");
        options.path.link = link;
        stage.log = Default::default();
        let prober = datagram_prober(112);
        let session = halloo_probe::DatagramSession::new(options, prober, Box::new(stage.log.clone()))
            .expect("right options");
        let session = stage.world.add(host, session);
        stage.world.udp_on(session, "0.0.0.0:0", link);
        stage.log.clone()
    });
    stage.world.run_until(secs(6));
    let [first, second] = logs.map(|log| (log.summary(), log.events()));
    check(&first.0);
    check(&second.0);
    assert_eq!(first.0.counts.answered, 300);
    assert_eq!(
        second.0.counts.lost(),
        second.0.counts.unsent + 8,
        "eight were on the wire"
    );
    assert!(
        (99..=101).contains(&second.0.counts.unsent),
        "{:?}",
        second.0.counts
    );
    let wire = [first.0, second.0].map(|summary| summary.wire.expect("stamps").p50);
    assert!((wire[0] - Nanos(30_000_000)).abs() < Nanos(50_000), "{}", wire[0]);
    assert!(
        (wire[1] - Nanos(80_000_000)).abs() < Nanos(100_000),
        "{}",
        wire[1]
    );
    let changes = second.1.iter().filter_map(|event| match event {
        Event::LinkChanged { link, up, .. } => Some((*link, *up)),
        _ => None,
    });
    assert_eq!(changes.collect::<Vec<_>>(), [(links[1], false), (links[1], true)]);
}

#[test]
fn behind_a_nat_the_session_learns_how_the_responder_sees_it_and_when_that_changes() {
    let mut world = World::new(1);
    let internet = world.cloud("internet");
    let far = world.host("far", &["192.0.2.2"]);
    world.join(far, internet, Quality::delay(ms(10)));
    let nat = NatOptions {
        port_preservation: false,
        ..NatOptions::default()
    };
    let nat = world.nat("nat", "203.0.113.1", nat);
    world.uplink(nat, internet, Quality::delay(ms(5)));
    let home = world.host("home", &["10.0.0.2"]);
    let wire = world.join(home, nat, Quality::delay(ms(1)));
    world.at(ms(1_005), move |world| world.restart_nat(nat));
    let mut stage = Stage {
        here: home,
        there: far,
        wire,
        world,
        log: Default::default(),
        counters: Default::default(),
    };
    stage.udp_server();
    let session = stage.udp_session(options(200, ms(10)));
    let summary = stage.play(session);
    check(&summary);
    let seen = summary.observed.seen.expect("the responder tells");
    assert_eq!(
        seen.addr.ip(),
        "203.0.113.1".parse::<std::net::IpAddr>().expect("an address")
    );
    assert_eq!(seen.ttl, Some(62));
    assert_eq!(summary.observed.address_changes, 1);
    let filtered = stage.world.trace().count(|packet| packet.fate == Fate::Filtered) as u64;
    assert_eq!(summary.counts.lost(), filtered);
    assert!(filtered > 0);
}

#[test]
fn altered_bytes_harm_no_account() {
    let mut stage = Stage::new(1, Quality::delay(ms(10)).corrupt(0.2));
    stage.udp_server();
    let session = stage.udp_session(options(1_000, ms(5)));
    let counts = stage.play(session).counts;
    // Without a key nothing protects the stamps, so only what rests on numbers of our own is certain.
    assert_eq!(
        (counts.sent, counts.answered + counts.lost()),
        (1_000, 1_000),
        "{counts:?}"
    );
    assert_eq!(stage.log.settled().len(), 1_000);
    let altered = stage.world.trace().count(|packet| packet.altered) as u64;
    assert!(altered > 200 && counts.lost() <= altered, "{counts:?}");
    assert_eq!(stage.silent(Reason::ReplyTooLong), 0);
}

#[test]
fn a_flood_keeps_its_window_and_ends() {
    let mut stage = Stage::new(1, Quality::delay(ms(10)).loss(0.01));
    stage.udp_server();
    let options = SessionOptions {
        outstanding: 32,
        lost_after: ms(200),
        ..options(2_000, Duration::ZERO)
    };
    let session = stage.udp_session(options);
    let summary = stage.play(session);
    check(&summary);
    let lost: u64 = stage.fates(Fate::Lost).iter().sum();
    assert_eq!((summary.counts.sent, summary.counts.lost()), (2_000, lost));
    assert!(
        stage.world.now() > ms(20) * (2_000 / 32),
        "no more than 32 in a round trip"
    );
}

/// A wire as bad as the seed has it.
fn bad(seed: u64) -> Quality {
    let mut rng = halloo_base::Rng::new(seed);
    let mut share = |most: u64| rng.below(most) as f64 / 1_000.0;
    let (loss, duplicate, reorder) = (share(80), share(50), share(100));
    Quality::delay(ms(5 + rng.below(30)))
        .exponential_jitter(us(rng.below(2_000)))
        .bursts(loss / 4.0, 0.3, 0.9)
        .duplicate(duplicate)
        .reorder(reorder, ms(rng.below(120)))
        .rate(10_000_000, 20_000)
}

#[test]
fn whatever_the_network_does_every_probe_ends_in_exactly_one_place() {
    let mut late = 0;
    for seed in 0..100 {
        let mut stage = Stage::new(seed, bad(seed));
        stage.world.set_from(stage.wire, stage.there, bad(seed + 1_000));
        for host in [stage.here, stage.there] {
            stage.world.tune(host, |options| {
                options.service = us(seed % 50);
                options.wakeup = us(seed % 30);
                options.drift_ppm = (seed % 7) as f64 * 30.0 - 90.0;
            });
        }
        stage.udp_server();
        let options = SessionOptions {
            lost_after: ms(100),
            ..options(300, ms(7))
        };
        let session = stage.udp_session(options);
        let (here, there, wire) = (stage.here, stage.there, stage.wire);
        stage
            .world
            .at(ms(300 + seed), move |world| world.stall(here, ms(40)));
        stage
            .world
            .at(ms(600 + seed), move |world| world.stall(there, ms(130)));
        stage.world.at(ms(1_000), move |world| world.cut(wire));
        stage
            .world
            .at(ms(1_000 + 2 * seed), move |world| world.mend(wire));
        stage.world.at(ms(1_500), move |world| {
            world.step_clock(here, Nanos(seed as i64 * 1_000_000));
        });
        for n in 1..6 {
            stage
                .world
                .at(ms(350 * n + 3 * seed), move |world| world.report(session));
        }
        let summary = stage.play(session);
        let summaries = stage.log.summaries();
        assert!(summaries.len() >= 6);
        for summary in &summaries {
            check(summary);
        }
        // A late answer moves its probe from lost to answered; nothing ever moves back.
        for two in summaries.windows(2) {
            let [before, after] = [&two[0].counts, &two[1].counts];
            assert!(
                after.answered >= before.answered && after.late >= before.late && after.sent >= before.sent
            );
        }
        let counts = summary.counts;
        assert_eq!(
            (counts.sent, counts.in_flight),
            (300, 0),
            "seed {seed}: {counts:?}"
        );
        let settled = stage.log.settled();
        assert_eq!(settled.len(), 300, "seed {seed}");
        assert_eq!(stage.log.answered().len() as u64, counts.answered, "seed {seed}");
        for exchange in settled {
            for span in [exchange.wire, exchange.host, exchange.intended]
                .into_iter()
                .flatten()
            {
                assert!(span.0 >= 0, "seed {seed}: {exchange:?}");
            }
            if let (Some(wire), Some(host)) = (exchange.wire, exchange.host) {
                assert!(wire <= host, "seed {seed}: {exchange:?}");
            }
        }
        late += counts.late;
    }
    assert!(late > 100, "{late} late answers in all stories");
}

#[test]
fn a_session_tells_the_same_for_the_same_seed() {
    let tell = |seed| {
        let mut stage = Stage::new(seed, bad(seed));
        stage.udp_server();
        let session = stage.udp_session(options(100, ms(10)));
        stage.play(session);
        (stage.world.trace().hash(), stage.log.events())
    };
    assert_eq!(tell(3), tell(3));
    assert_ne!(tell(3).0, tell(4).0);
}

#[test]
fn an_answer_by_another_link_is_counted_and_not_used() {
    let mut stage = Stage::new(1, Quality::delay(ms(10)));
    let cloud = stage.world.cloud("cloud");
    let host = stage.world.host("two links", &["198.51.100.1"]);
    let wires = [ms(5), ms(30)].map(|delay| stage.world.join(host, cloud, Quality::delay(delay)));
    let far = stage.world.host("far", &["192.0.2.77"]);
    stage.world.join(far, cloud, Quality::delay(ms(10)));
    udp_server(&mut stage.world, far, &stage.counters);
    // The address moves to the other link, so that answers come by that one.
    stage.world.at(ms(505), move |world| {
        world.set_addresses(host, wires[0], &[]);
        world.set_addresses(host, wires[1], &["198.51.100.1"]);
    });
    stage.here = host;
    let mut options = options(100, ms(10));
    options.path.remote = "192.0.2.77:7777".parse().expect("an address");
    options.path.link = stage.world.link(host, wires[0]);
    let session = stage.udp_session(options);
    let summary = stage.play(session);
    check(&summary);
    let counts = summary.counts;
    assert_eq!(counts.answered + summary.unused.wrong_path, 100, "{counts:?}");
    assert_eq!(counts.lost(), summary.unused.wrong_path);
    assert!(summary.unused.wrong_path >= 45, "{counts:?}");
}
