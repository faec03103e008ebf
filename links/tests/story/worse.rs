//! Links that carry, but worse.

use crate::figures::{Spans, print_moves, seeds};
use crate::office::{Office, ordinary};
use halloo_base::{Cx, Deadline, Input, LinkId, Machine, Mono, Path, Rng, Transmit};
use halloo_links::{Because, Direction, Fact, Family, Reason, State};
use halloo_sim::{Quality, ms, secs, us};
use std::time::Duration;

#[test]
fn fifteen_in_a_hundred_lost_degrade_a_link_and_move_the_traffic() {
    for way in [Direction::Up, Direction::Down] {
        let mut spans = Spans::default();
        for seed in seeds(0.2) {
            let mut office = Office::ordinary(seed);
            let well = ordinary(0, &mut Rng::new(seed));
            let bad = well.clone().loss(0.15);
            let cut = office.about(secs(60));
            match way {
                Direction::Up => office.set(cut, 0, bad, well),
                _ => office.set(cut, 0, well, bad),
            }
            let outcome = office.play(secs(180));
            let moves = outcome.moves(Family::V4);
            let told = outcome.told(Family::V4);
            // Four misses in a row come by chance once in some minutes; traffic may come back after them, once.
            let last = moves.last().expect("it moved");
            assert!(moves.len() <= 3, "seed {seed}: {told:?}");
            assert_eq!(last.carry[0].link.as_str(), "wan2", "seed {seed}: {told:?}");
            let degraded = moves
                .iter()
                .find(|decision| decision.because == Because::Degraded);
            if let Some(degraded) = degraded {
                let reason = degraded.evidence[0].reason;
                let Reason::Loss { direction, share } = reason else {
                    panic!("seed {seed}: {reason:?}");
                };
                assert_eq!(direction, way, "seed {seed}");
                assert!((0.03..0.35).contains(&share), "seed {seed}: {share}");
            }
            spans.add(outcome.at(moves[0].at) - cut);
        }
        spans.print(&format!("15 % loss {way}"), "no aim; statistics need their time");
        assert!(spans.quantile(0.99) <= secs(60));
    }
}

#[test]
fn two_in_a_hundred_lost_for_an_hour_move_nothing() {
    let seeds = seeds(0.06);
    for seed in seeds.clone() {
        let mut office = Office::ordinary(seed);
        let mut rng = Rng::new(seed);
        office.set(
            secs(10),
            0,
            ordinary(0, &mut rng).loss(0.01),
            ordinary(0, &mut rng).loss(0.01),
        );
        let outcome = office.play(secs(3_610));
        let told = outcome.told(Family::V4);
        assert!(told.is_empty(), "seed {seed}: {told:?}");
        assert_eq!(outcome.last("wan1", Family::V4).state, State::Up, "seed {seed}");
    }
    print_moves("2 % loss for an hour", seeds.end - seeds.start, 0, "0 wanted");
}

#[test]
fn a_step_of_the_delay_degrades_a_link_until_it_has_become_the_rule() {
    let mut spans = Spans::default();
    for seed in seeds(0.4) {
        let mut office = Office::ordinary(seed);
        let well = ordinary(0, &mut Rng::new(seed));
        let cut = office.about(secs(60));
        let slow = Quality {
            delay: well.delay + ms(60),
            ..well
        };
        office.spoil(cut, 0, slow);
        let outcome = office.play(secs(90));
        let moves = outcome.moves(Family::V4);
        let told = outcome.told(Family::V4);
        assert_eq!(told.len(), 1, "seed {seed}: {told:?}");
        assert_eq!(moves[0].because, Because::Degraded);
        assert!(
            matches!(moves[0].evidence[0].reason, Reason::Delay { .. }),
            "seed {seed}"
        );
        spans.add(outcome.at(moves[0].at) - cut);
    }
    spans.print("delay + 120 ms", "no aim; 2 s of it are the settings' better_for");
    assert!(spans.quantile(0.99) <= secs(10));
}

/// Sends as fast as it is told to, for a while.
struct Upload {
    path: Path,
    from: Mono,
    until: Mono,
    next: Mono,
    every: Duration,
    /// So many packets at once, to begin with.
    burst: u32,
}

impl Machine for Upload {
    fn handle(&mut self, cx: &mut Cx<'_>, _: Input<'_>) {
        while cx.now() >= self.from && self.burst > 0 {
            cx.out.datagram(Transmit::to(self.path), &[0; 1_200]);
            self.burst -= 1;
        }
        while self.next <= cx.now() && self.next < self.until {
            cx.out.datagram(Transmit::to(self.path), &[0; 1_200]);
            self.next += self.every;
        }
    }

    fn deadline(&self) -> Option<Deadline> {
        (self.next < self.until).then(|| Deadline::new(self.next.max(self.from), "upload"))
    }
}

/// What the uplink can do: bits a second.
const UPLINK: u64 = 2_000_000;

#[test]
fn an_upload_that_fills_the_link_for_two_minutes_moves_nothing() {
    // A little more than the link can take, and much more; and a burst first that fills the queue at once.
    for (every, burst) in [(us(4_700), 0), (us(3_500), 0), (us(4_700), 100)] {
        let seeds = seeds(0.1);
        for seed in seeds.clone() {
            let mut office = Office::ordinary(seed);
            let well = ordinary(0, &mut Rng::new(seed));
            let queue = 128 * 1024;
            office.set(Duration::ZERO, 0, well.clone().rate(UPLINK, queue), well);
            let (begin, end) = (secs(60), secs(180));
            let wire = office.wire(0, Family::V4);
            let upload = Upload {
                path: Path {
                    link: office.world.link(office.here, wire),
                    local: "10.1.0.2:0".parse().expect("an address"),
                    remote: "198.51.100.11:9".parse().expect("an address"),
                },
                from: office.mono(begin),
                until: office.mono(end),
                next: office.mono(begin),
                every,
                burst,
            };
            let link: LinkId = upload.path.link;
            let here = office.here;
            let machine = office.world.add(here, upload);
            office.world.udp_on(machine, "10.1.0.2:0", link);
            let offered = (1_228.0 / every.as_secs_f64()).min(UPLINK as f64 / 8.0);
            for tenth in 0..2_100 {
                let second = f64::from(tenth) / 10.0;
                let uploading = (second - begin.as_secs_f64()).clamp(0.0, (end - begin).as_secs_f64());
                let burst = u64::from(burst) * 1_228 * u64::from(uploading > 0.0);
                let tx_bytes = u64::from(tenth) * 100 + (uploading * offered) as u64 + burst;
                let fact = Fact::Traffic {
                    tx_bytes,
                    rx_bytes: 0,
                };
                office.tell(ms(100) * tenth, 0, fact);
            }
            let outcome = office.play(secs(210));
            let told = outcome.told(Family::V4);
            assert!(
                told.is_empty(),
                "seed {seed}: {told:?} {:#?}",
                outcome.states("wan1", Family::V4)
            );
            let states = outcome.states("wan1", Family::V4);
            assert!(states.iter().any(|state| state.contains("Loaded")), "{states:?}");
        }
        print_moves(
            &format!("bufferbloat, {burst} packets at once and one each {every:?} for two minutes"),
            seeds.end - seeds.start,
            0,
            "0 wanted",
        );
    }
}
