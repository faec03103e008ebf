//! What concerns the machine as a whole: its clock and its processors.

use halloo_base::Nanos;
use halloo_lab::{ClockStep, Hogs, Lab};
use std::fs;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

#[test]
fn a_clock_step_moves_the_wall_clock_and_dropping_it_moves_it_back() {
    if Lab::or_skip("clock step").is_none() {
        return;
    }
    let (wall, mono) = (SystemTime::now(), Instant::now());
    let ahead = || {
        SystemTime::now()
            .duration_since(wall + mono.elapsed())
            .unwrap_or_default()
    };
    let step = ClockStep::by(Nanos::from(Duration::from_secs(2))).unwrap();
    let stepped = ahead();
    drop(step);
    let back = ahead();
    assert!(stepped > Duration::from_millis(1_500), "{stepped:?}");
    assert!(back < Duration::from_millis(500), "{back:?}");
}

#[test]
fn hogs_burn_processor_time_until_they_are_dropped() {
    let burnt = || -> Vec<u64> {
        let threads = fs::read_dir("/proc/self/task")
            .unwrap()
            .flatten()
            .map(|entry| entry.path());
        threads
            .filter(|path| fs::read_to_string(path.join("comm")).is_ok_and(|name| name.trim() == "hog"))
            .filter_map(|path| fs::read_to_string(path.join("schedstat")).ok())
            .map(|text| text.split(' ').next().unwrap().parse().unwrap())
            .collect()
    };
    let hogs = Hogs::start(3);
    let begin = Instant::now();
    while burnt().iter().filter(|nanos| **nanos > 2_000_000).count() < 3 {
        assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", burnt());
        thread::yield_now();
    }
    drop(hogs);
    assert_eq!(burnt(), []);
}
