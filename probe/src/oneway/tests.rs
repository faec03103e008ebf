use super::*;
use halloo_base::Rng;

const SECOND: i64 = 1_000_000_000;

/// A path with known delays and a responder whose clock is known to be wrong.
struct World {
    forward: i64,
    backward: i64,
    offset: i64,
    drift_ppb: i64,
    /// What both sides say of their clocks.
    claimed: Option<Nanos>,
    rng: Rng,
}

impl World {
    fn new(offset: i64, drift_ppb: i64) -> World {
        World {
            forward: 3_000_000,
            backward: 1_000_000,
            offset,
            drift_ppb,
            claimed: None,
            rng: Rng::new(11),
        }
    }

    fn ahead(&self, t: i64) -> i64 {
        self.offset + (i128::from(t) * i128::from(self.drift_ppb) / 1_000_000_000) as i64
    }

    fn sample(&mut self, t: i64, queue_forward: i64, queue_backward: i64) -> Sample {
        Sample {
            at: Mono(5_000 + t as u64),
            forward: Nanos(self.forward + queue_forward + self.ahead(t)),
            backward: Nanos(self.backward + queue_backward - self.ahead(t)),
            claimed: self.claimed,
        }
    }

    /// A way that is idle for a quarter of the time and queues up to `most` otherwise.
    fn queue(&mut self, most: u64) -> i64 {
        if self.rng.chance(0.25) {
            0
        } else {
            self.rng.below(most) as i64
        }
    }
}

fn near(value: i64, expected: i64, tolerance: i64) {
    assert!(
        (value - expected).abs() <= tolerance,
        "{value} is not {expected} ± {tolerance}"
    );
}

#[test]
fn nothing_recorded_says_nothing() {
    assert_eq!(OneWayMeter::new().one_way(), None);
}

#[test]
fn five_seconds_of_offset_and_fifty_ppm_of_drift_leave_the_queueing_right() {
    let mut world = World::new(5 * SECOND, 50_000);
    let mut meter = OneWayMeter::new();
    for k in 0..3_000i64 {
        let (there, back) = (world.queue(2_000_000), world.queue(400_000));
        meter.record(world.sample(k * SECOND / 10, there, back));
    }
    let said = meter.one_way().expect("it was told 3,000 exchanges");
    near(said.forward.queueing.p50.0, 667_000, 70_000);
    near(said.forward.queueing.p99.0, 1_973_000, 60_000);
    near(said.backward.queueing.p50.0, 133_000, 15_000);
    near(said.backward.queueing.p99.0, 395_000, 12_000);
    near(said.skew_ppb, 50_000, 200);
    near(said.error.0, 2_003_000, 3_000);
    near(said.offset.0, world.ahead(2_999 * SECOND / 10), said.error.0);
    assert_eq!(said.remote_steps, 0);
}

#[test]
fn the_floor_is_found_though_the_minimum_comes_once_in_a_while() {
    let mut world = World::new(-7 * SECOND, -30_000);
    let mut meter = OneWayMeter::new();
    for k in 0..250i64 {
        let queue = if k % 40 == 3 { 0 } else { 5_000_000 };
        meter.record(world.sample(k * SECOND, queue, 0));
    }
    let said = meter.one_way().expect("it was told 250 exchanges");
    near(said.forward.queueing.p50.0, 5_000_000, 60_000);
    near(said.backward.queueing.max.0, 0, 10);
    near(said.skew_ppb, -30_000, 20);
}

#[test]
fn drift_is_not_taken_for_queueing_over_many_windows() {
    let mut world = World::new(SECOND, 100_000);
    let mut meter = OneWayMeter::new();
    for k in 0..10_000i64 {
        meter.record(world.sample(k * SECOND, 0, 0));
    }
    let said = meter.one_way().expect("it was told 10,000 exchanges");
    near(said.forward.queueing.max.0, 0, 10);
    near(said.backward.queueing.max.0, 0, 10);
    assert_eq!(said.forward.queueing.count, 10_000);
}

#[test]
fn a_step_of_the_responders_clock_is_counted_and_is_no_delay() {
    let mut world = World::new(0, 0);
    let mut meter = OneWayMeter::new();
    for k in 0..200i64 {
        if k == 100 {
            world.offset += 10_000_000;
        }
        meter.record(world.sample(k * SECOND / 10, 0, 0));
    }
    let said = meter.one_way().expect("it was told 200 exchanges");
    assert_eq!(said.remote_steps, 1);
    near(said.forward.queueing.max.0, 0, 10);
    near(said.offset.0, 10_000_000, said.error.0);
}

#[test]
fn a_long_queue_is_no_step() {
    let mut world = World::new(0, 0);
    let mut meter = OneWayMeter::new();
    for k in 0..200i64 {
        meter.record(world.sample(k * SECOND / 10, if k == 100 { 900_000_000 } else { 0 }, 0));
    }
    let said = meter.one_way().expect("it was told 200 exchanges");
    assert_eq!(
        (said.remote_steps, said.forward.queueing.max),
        (0, Nanos(900_000_000))
    );
}

#[test]
fn a_flood_of_samples_fits_into_the_memory_of_a_few() {
    let mut world = World::new(0, 20_000);
    let mut meter = OneWayMeter::new();
    for k in 0..200_000i64 {
        let queue = world.queue(100_000);
        meter.record(world.sample(k * 100_000, queue, 0));
        assert!(meter.forward.points.len() < POINTS && meter.forward.hull.corners.len() <= CORNERS);
    }
    assert_eq!(meter.forward.points.capacity(), POINTS);
    let said = meter.one_way().expect("it was told 200,000 exchanges");
    near(said.forward.queueing.p50.0, 33_333, 5_000);
}

#[test]
fn a_hull_with_too_many_corners_gives_up_the_bluntest() {
    let mut hull = Hull { corners: Vec::new() };
    // A parabola: each point is a corner.
    for t in -100i64..=100 {
        hull.push(Point { t: t + 100, d: t * t });
    }
    assert_eq!(hull.corners.len(), CORNERS);
    assert!(hull.corners.windows(3).all(|c| is_below(c[0], c[1], c[2])));
}

#[test]
fn no_line_is_steeper_than_clocks_drift() {
    let mut hull = Hull { corners: Vec::new() };
    hull.push(Point { t: 0, d: 0 });
    hull.push(Point {
        t: 1_000_000,
        d: 500_000,
    });
    let line = hull.floor(500_000);
    assert_eq!(line.ppb(), 1_000_000);
    assert!(line.at(0) <= 0 && line.at(1_000_000) <= 500_000);
}

#[test]
fn clocks_half_a_century_apart_are_no_trouble() {
    let mut world = World::new(-1_700_000_000 * SECOND, 0);
    let mut meter = OneWayMeter::new();
    for k in 0..100i64 {
        meter.record(world.sample(k * SECOND, k % 7 * 1_000, 0));
    }
    let said = meter.one_way().expect("it was told 100 exchanges");
    near(said.offset.0, -1_700_000_000 * SECOND, said.error.0);
    near(said.forward.queueing.max.0, 6_000, 100);
}

#[test]
fn stamps_that_say_the_impossible_are_borne() {
    let extremes = [i64::MIN, i64::MIN / 2, -1, 0, i64::MAX / 2, i64::MAX];
    let mut meter = OneWayMeter::new();
    let mut rng = Rng::new(5);
    for k in 0..5_000u64 {
        let mut extreme = || Nanos(extremes[rng.below(extremes.len() as u64) as usize]);
        let (forward, backward) = (extreme(), extreme());
        meter.record(Sample {
            at: Mono(k * 1_000_000),
            forward,
            backward,
            claimed: Some(forward),
        });
        meter.one_way();
    }
}

#[test]
fn clocks_that_are_kept_say_more_than_the_stamps_and_never_what_those_rule_out() {
    // 30 ms there, 10 ms back, and clocks that are 2 ms apart: the stamps alone leave 20 ms either way open.
    let told = |claimed: Option<i64>| {
        let mut world = World::new(2_000_000, 0);
        (world.forward, world.backward) = (30_000_000, 10_000_000);
        world.claimed = claimed.map(Nanos);
        let mut meter = OneWayMeter::new();
        (0..100).for_each(|k| meter.record(world.sample(k * 10_000_000, 0, 0)));
        meter.one_way().expect("enough samples")
    };
    let alone = told(None);
    assert_eq!((alone.claimed, alone.contradicted), (None, false));
    assert!(
        (alone.forward.min - Nanos(20_000_000)).abs() <= Nanos(2),
        "{alone:?}"
    );
    assert!(alone.error > Nanos(19_000_000));
    let kept = told(Some(3_000_000));
    assert_eq!((kept.claimed, kept.contradicted), (Some(Nanos(3_000_000)), false));
    assert!(kept.error <= Nanos(3_000_002), "{kept:?}");
    for (one, truth) in [(kept.forward, 30_000_000), (kept.backward, 10_000_000)] {
        assert!((one.min - Nanos(truth)).abs() <= kept.error, "{one:?}");
    }
    // A claim of 1 us that no stamps can agree with is left aside.
    let mut world = World::new(50_000_000, 0);
    (world.forward, world.backward, world.claimed) = (1_000_000, 1_000_000, Some(Nanos(1_000)));
    let mut meter = OneWayMeter::new();
    (0..100).for_each(|k| meter.record(world.sample(k * 10_000_000, 0, 0)));
    let liar = meter.one_way().expect("enough samples");
    assert!(
        liar.contradicted && (liar.offset - Nanos(50_000_000)).abs() <= liar.error,
        "{liar:?}"
    );
}

#[test]
fn after_a_restart_a_few_samples_say_more_than_all_before() {
    let mut world = World::new(0, 0);
    let mut meter = OneWayMeter::new();
    for k in 0..400i64 {
        if k == 395 {
            world.offset += 10_000_000;
            meter.restart();
        }
        meter.record(world.sample(k * SECOND, 0, 0));
    }
    let said = meter.one_way().expect("it was told 400 exchanges");
    near(said.offset.0, 10_000_000, said.error.0);
    assert_eq!(said.remote_steps, 0, "the step was ours");
}

#[test]
fn a_window_that_has_just_begun_says_less_about_the_clocks_than_the_one_before() {
    let mut world = World::new(SECOND, 0);
    let mut meter = OneWayMeter::new();
    for k in 0..304i64 {
        meter.record(world.sample(k * SECOND, if k > 300 { 500_000_000 } else { 0 }, 0));
    }
    let said = meter.one_way().expect("it was told 304 exchanges");
    near(said.error.0, 2_030_000, 30_000);
    near(said.offset.0, SECOND, said.error.0);
}

#[test]
fn the_truth_lies_within_the_error_however_few_and_uneven_the_samples_are() {
    let mut rng = Rng::new(23);
    for trial in 0..2_000u64 {
        let drift = rng.below(800_001) as i64 - 400_000;
        let mut world = World::new(rng.below(1 << 40) as i64, if trial % 2 == 0 { 0 } else { drift });
        (world.forward, world.backward) = (rng.below(20_000) as i64, rng.below(20_000) as i64);
        let (step, most) = (1 + rng.below(2_000_000_000) as i64, [2, 10_000, 50_000_000]);
        let queue = [most[rng.below(3) as usize], most[rng.below(3) as usize]];
        let idle = if rng.chance(0.5) { 0.0 } else { 0.25 };
        let mut meter = OneWayMeter::new();
        for n in 1..=200i64 {
            let mut wait = |most| {
                if rng.chance(idle) {
                    0
                } else {
                    rng.below(most) as i64
                }
            };
            let (there, back) = (wait(queue[0]), wait(queue[1]));
            meter.record(world.sample(n * step, there, back));
            if n < 16 {
                assert_eq!(meter.one_way(), None, "{n} samples are noise");
            } else if n < 40 || n % 20 == 0 {
                let said = meter.one_way().expect("there are 16 samples");
                near(said.offset.0, world.ahead(n * step), said.error.0);
                assert_eq!(said.remote_steps, 0);
                assert!(said.forward.queueing.min >= Nanos(0));
            }
        }
    }
}

#[test]
fn the_error_is_the_way_itself_where_the_floor_is_met_often() {
    let mut world = World::new(SECOND, 0);
    let mut meter = OneWayMeter::new();
    for k in 0..100i64 {
        meter.record(world.sample(k * SECOND, 0, 0));
    }
    let said = meter.one_way().expect("it was told 100 exchanges");
    assert_eq!(said.error, Nanos(2_000_001), "half of 4 ms, and the rounding");
    assert_eq!(
        said.offset,
        Nanos(SECOND + 1_000_000),
        "half of what the ways differ by"
    );
    assert_eq!(
        (said.forward.relative_min, said.backward.relative_min),
        (Nanos(SECOND + 3_000_000), Nanos(1_000_000 - SECOND))
    );
}

#[test]
fn a_short_window_shows_no_drift_unless_its_stamps_prove_one() {
    let skew = |way: i64, drift| {
        let mut world = World::new(0, drift);
        (world.forward, world.backward) = (way, way);
        let mut meter = OneWayMeter::new();
        for k in 0..40i64 {
            let (there, back) = (world.queue(20_000), world.queue(20_000));
            meter.record(world.sample(k * SECOND / 100, there, back));
        }
        meter.one_way().expect("it was told 40 exchanges").skew_ppb
    };
    assert_eq!(skew(1_000_000, 0), 0, "noise");
    near(skew(2_000, 200_000), 200_000, 60_000);
}

#[test]
fn a_small_step_that_no_even_drift_explains_leaves_the_last_exchange_to_bound_the_clock() {
    let mut world = World::new(0, 0);
    (world.forward, world.backward) = (1_000, 1_000);
    let mut meter = OneWayMeter::new();
    for k in 0..60i64 {
        world.offset = if k == 30 { 40_000 } else { world.offset };
        meter.record(world.sample(k * SECOND / 100, 0, 0));
    }
    let said = meter.one_way().expect("it was told 60 exchanges");
    assert_eq!(said.offset, Nanos(40_000));
    assert_eq!(said.error, Nanos(1_001));
}
