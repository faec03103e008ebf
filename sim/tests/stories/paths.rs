//! What paths do to some packets and not to others: to the long ones, and to those of some ports.

use crate::stage::{SERVER, Stage, datagram_prober, options};
use halloo_base::{LinkId, Path};
use halloo_probe::{
    Ended, MarkCounts, MtuProbe, MtuReport, MtuSink, PathMtuOptions, PathMtuSession, PathMtuSessionOptions,
    PathMtuState, SessionOptions, SizeOutcome, SpreadOptions, SpreadReport, SpreadSession, SpreadSink,
};
use halloo_sim::{Quality, ms, secs};
use std::sync::{Arc, Mutex};
use std::time::Duration;

fn path(local: &str) -> Path {
    Path {
        link: LinkId(0),
        local: local.parse().expect("an address"),
        remote: SERVER.parse().expect("an address"),
    }
}

#[derive(Clone, Default)]
struct Sizes(Arc<Mutex<(Vec<MtuProbe>, Option<MtuReport>)>>);

impl MtuSink for Sizes {
    fn probe(&mut self, probe: &MtuProbe) {
        self.0.lock().expect("nobody panics with it").0.push(*probe);
    }

    fn end(&mut self, report: &MtuReport) {
        self.0.lock().expect("nobody panics with it").1 = Some(*report);
    }
}

/// Searches a path whose two ways are like this, over a link of 9,000 bytes.
fn search(seed: u64, there: Quality, back: Quality) -> (Vec<MtuProbe>, MtuReport) {
    let mut stage = Stage::new(seed, Quality::delay(ms(10)));
    // The far host's own link would complain at the host itself; a cloud stands between.
    let cloud = stage.world.cloud("cloud");
    let asker = stage.world.host("asker", &["192.0.2.9"]);
    stage.world.join(asker, cloud, Quality::delay(ms(1)));
    let wire = stage.world.join(cloud, stage.there, Quality::delay(ms(9)));
    stage.world.set_addresses(stage.there, wire, &["192.0.2.2"]);
    stage.world.set_from(wire, cloud, there);
    stage.world.set_from(wire, stage.there, back);
    let link = stage.world.link(stage.there, wire);
    stage.world.route(stage.there, "192.0.2.9/32", link);
    stage.udp_server();
    let sizes = Sizes::default();
    let options = PathMtuSessionOptions {
        path: path("0.0.0.0:0"),
        search: PathMtuOptions {
            least: 140,
            lost_after: secs(2),
            lost_after_least: ms(200),
            ..PathMtuOptions::v4(9_000)
        },
        overhead: 28,
        tos: None,
        deadline: None,
    };
    let session = PathMtuSession::new(options, Box::new(datagram_prober), Box::new(sizes.clone()));
    let session = stage.world.add(asker, session);
    stage.world.udp(session, "0.0.0.0:0");
    stage.world.run_until_finished(session, Duration::from_secs(600));
    let (probes, report) = sizes.0.lock().expect("nobody panics with it").clone();
    (probes, report.expect("it has ended"))
}

#[test]
fn a_hop_that_says_nothing_is_found_and_one_that_speaks_is_found_sooner() {
    let plain = Quality::delay(ms(9));
    let (silent, report) = search(1, plain.clone().silent_mtu(1_400), plain.clone());
    assert_eq!((report.mtu, report.state), (Some(1_400), PathMtuState::Complete));
    assert_eq!((report.too_big, report.told, report.is_most), (0, None, false));
    assert_eq!(report.arrived, Some(1_400), "nothing longer arrived there");
    let (spoken, report) = search(1, plain.clone().mtu(1_400), plain);
    assert_eq!((report.mtu, report.state), (Some(1_400), PathMtuState::Complete));
    assert_eq!(report.told, Some(1_400));
    assert!(report.too_big > 0 && spoken.len() < silent.len(), "{spoken:?}");
    let told = |probe: &MtuProbe| matches!(probe.outcome, SizeOutcome::TooBig { mtu: Some(1_400), .. });
    assert!(spoken.iter().any(told));
}

#[test]
fn a_narrow_way_back_is_told_from_a_narrow_way_there() {
    let plain = Quality::delay(ms(9));
    let (_, report) = search(2, plain.clone(), plain.silent_mtu(1_400));
    assert_eq!((report.mtu, report.state), (Some(1_400), PathMtuState::Complete));
    assert_eq!(
        report.arrived,
        Some(9_000),
        "the longest arrived, and its answer did not"
    );
}

#[test]
fn loss_makes_the_search_longer_and_not_wrong() {
    for seed in 0..20 {
        let lossy = Quality::delay(ms(9)).loss(0.1);
        let (_, report) = search(seed, lossy.clone().silent_mtu(1_420), lossy);
        assert_eq!(report.mtu, Some(1_420), "seed {seed}");
    }
}

#[test]
fn where_nobody_answers_the_search_ends_without_a_result() {
    let (probes, report) = search(3, Quality::perfect().loss(1.0), Quality::perfect());
    assert_eq!((report.mtu, report.state), (None, PathMtuState::Error));
    assert_eq!((report.sent, report.answered), (6, 0));
    assert!(probes.iter().all(|probe| probe.outcome == SizeOutcome::Lost));
}

#[derive(Clone, Default)]
struct Last(Arc<Mutex<Option<SpreadReport>>>);

impl SpreadSink for Last {
    fn report(&mut self, report: SpreadReport) {
        *self.0.lock().expect("nobody panics with it") = Some(report);
    }
}

/// Asks over so many source ports, ten times each, through routers that balance over these ways there.
fn sweep(seed: u64, ports: u16, interval: Duration, lanes: &[Quality]) -> SpreadReport {
    let mut stage = Stage::new(seed, Quality::delay(ms(1)));
    stage.world.balance_from(stage.wire, stage.here, lanes);
    stage.udp_server();
    let last = Last::default();
    let options = SpreadOptions {
        path: path("0.0.0.0:0"),
        size: 112,
        interval,
        count: 10,
        deadline: None,
        lost_after: secs(1),
        tos: None,
        departure_stamps: true,
    };
    let flows = (0..ports)
        .map(|number| (40_000 + number, datagram_prober(112)))
        .collect();
    let session = SpreadSession::new(options, flows, Box::new(last.clone()));
    let session = stage.world.add(stage.here, session);
    for number in 0..ports {
        stage.world.udp(session, &format!("0.0.0.0:{}", 40_000 + number));
    }
    stage.world.run_until_finished(session, Duration::from_secs(600));
    let report = last.0.lock().expect("nobody panics with it").clone();
    let report = report.expect("it has ended");
    assert_eq!(report.sent, report.answered + report.lost + report.in_flight);
    assert_eq!(
        (report.ended, report.sent),
        (Some(Ended::Complete), u64::from(ports) * 10)
    );
    report
}

#[test]
fn a_way_that_loses_everything_is_seen_as_the_ports_that_take_it() {
    let good = Quality::delay(ms(1)).jitter(Duration::from_micros(50));
    let bad = good.clone().loss(1.0);
    let mut lanes = vec![good.clone(); 8];
    lanes[3] = bad;
    let report = sweep(4, 64, ms(5), &lanes);
    let dead: Vec<_> = (0..64).filter(|&place| report.flows[place].lost == 10).collect();
    assert!((1..20).contains(&dead.len()), "{dead:?}");
    assert_eq!(report.verdict.bad, dead);
    assert_eq!(report.verdict.dead, dead.len());
    assert_eq!(report.lost, dead.len() as u64 * 10);
    let (low, high) = report.verdict.share_between;
    assert!(low < 0.125 && 0.125 < high, "{low} {high}");
    // The same number of ways without a bad one.
    assert!(sweep(4, 64, ms(5), &vec![good; 8]).verdict.bad.is_empty());
}

#[test]
fn ways_of_two_delays_are_told_apart_and_loss_on_all_is_nobodys() {
    let way = |delay_us| {
        Quality::delay(Duration::from_micros(delay_us))
            .jitter(Duration::from_micros(100))
            .loss(0.02)
    };
    let report = sweep(5, 32, ms(5), &[way(100), way(3_300)]);
    assert!(report.verdict.bad.is_empty(), "{:?}", report.verdict);
    let paths: Vec<_> = report
        .verdict
        .paths
        .iter()
        .map(|path| path.delay.0 / 100_000)
        .collect();
    assert_eq!(paths, [11, 43], "1.1 and 4.3 ms with the way back");
    let flows: usize = report.verdict.paths.iter().map(|path| path.flows.len()).sum();
    assert_eq!(flows, 32);
}

#[test]
fn each_way_is_blamed_for_what_it_does_to_the_marks() {
    let plain = || Quality::delay(ms(1));
    let none = MarkCounts {
        known: 10,
        ..MarkCounts::default()
    };
    // EF with ECT(0) leaves; a wire writes what it likes.
    let table = [
        (plain(), plain(), Some(0xba), none, none),
        (
            plain().rewrite_tos(0x03),
            plain(),
            Some(0x02),
            MarkCounts {
                dscp_changed: 10,
                ce: 10,
                ..none
            },
            none,
        ),
        (
            plain(),
            plain().rewrite_tos(0x20),
            Some(0xba),
            none,
            MarkCounts {
                dscp_changed: 10,
                ect_cleared: 10,
                ..none
            },
        ),
    ];
    for (there, back, answer_tos, forward_marks, backward_marks) in table {
        let mut stage = Stage::new(7, plain());
        stage.forward(there);
        stage.backward(back);
        stage.udp_server();
        let session = stage.udp_session(SessionOptions {
            tos: Some(0xba),
            mirrors_marks: true,
            ..options(10, ms(10))
        });
        let observed = stage.play(session).observed;
        assert_eq!(observed.answer_tos, answer_tos);
        assert_eq!(
            (observed.forward_marks, observed.backward_marks),
            (forward_marks, backward_marks)
        );
    }
}

#[test]
fn late_answers_are_answers() {
    let mut slow = Quality::delay(ms(1));
    slow.reorder = 0.2;
    slow.held_back = ms(1_500);
    let report = sweep(6, 4, ms(100), &[slow]);
    // The end waits for no answer that is late already.
    assert!(report.late > 0 && report.lost < 10, "{report:?}");
}
