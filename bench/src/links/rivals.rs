//! Stand-ins for two deciders that many use, by their published rules and defaults.

use super::Moves;
use super::trace::{ANCHORS, LINKS, Trace};
use std::collections::VecDeque;
use std::time::Duration;

const fn secs(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// As mwan3track: ping each target in turn and wait up to four seconds for each; ten seconds between rounds; down after
/// five rounds in which fewer answered than `reliability` asks for, which is one; up after five good ones; traffic
/// follows at once.
pub(super) fn mwan3(trace: &Trace) -> Moves {
    let link = |link| {
        let mut turns = vec![];
        let (mut at, mut up, mut score) = (trace.phase, true, 10);
        while at < trace.end() {
            let mut answered = 0;
            for anchor in 0..ANCHORS {
                match trace.ask(at, link, anchor).filter(|trip| *trip <= secs(4)) {
                    Some(trip) => {
                        answered += 1;
                        at += trip;
                    }
                    None => at += secs(4),
                }
            }
            score = match (answered >= 1, up) {
                (true, _) => (score + 1).min(10),
                (false, true) => score - 1,
                (false, false) => 0,
            };
            if up && score == 5 {
                (up, score) = (false, 0);
                turns.push((at, false));
            } else if !up && score == 5 {
                (up, score) = (true, 10);
                turns.push((at, true));
            }
            at += secs(10);
        }
        turns
    };
    follow([link(0), link(1)])
}

/// As dpinger under pfSense: a probe each half second to one monitor, each link to another, as that program wants it; loss and the mean round trip over the last minute,
/// looked at each second; an alarm above a fifth lost or half a second; a probe is lost after two seconds, and an answer
/// that comes later takes that back; the alarm ends when both have been below for ten seconds.
pub(super) fn dpinger(trace: &Trace) -> Moves {
    let link = |link| {
        let mut turns = vec![];
        let mut window: VecDeque<(Duration, Option<Duration>)> = VecDeque::new();
        let (mut alarm, mut well) = (false, 0);
        let mut at = trace.phase;
        let mut half = false;
        while at < trace.end() {
            window.push_back((at, trace.ask(at, link, link)));
            while window.front().is_some_and(|(sent, _)| *sent + secs(60) < at) {
                window.pop_front();
            }
            half = !half;
            if half {
                let bad = is_bad(&window, at);
                well = if bad { 0 } else { well + 1 };
                if bad != alarm && (bad || well >= 10) {
                    alarm = bad;
                    turns.push((at, !alarm));
                }
            }
            at += Duration::from_millis(500);
        }
        turns
    };
    follow([link(0), link(1)])
}

fn is_bad(window: &VecDeque<(Duration, Option<Duration>)>, now: Duration) -> bool {
    let (mut lost, mut settled, mut sum, mut answered) = (0_u32, 0_u32, Duration::ZERO, 0_u32);
    for (sent, trip) in window {
        match trip.filter(|trip| *sent + *trip <= now) {
            Some(trip) => {
                settled += 1;
                answered += 1;
                sum += trip;
            }
            None if *sent + secs(2) <= now => {
                settled += 1;
                lost += 1;
            }
            None => {}
        }
    }
    let mean = if answered > 0 {
        sum / answered
    } else {
        Duration::ZERO
    };
    settled > 0 && (f64::from(lost) / f64::from(settled) > 0.2 || mean > Duration::from_millis(500))
}

/// Traffic is on the first link that is up, and stays where it is when none is.
fn follow(turns: [Vec<(Duration, bool)>; LINKS]) -> Moves {
    let mut all: Vec<(Duration, usize, bool)> = vec![];
    for (link, turns) in turns.into_iter().enumerate() {
        all.extend(turns.into_iter().map(|(at, up)| (at, link, up)));
    }
    all.sort_unstable();
    let (mut up, mut carries, mut moves) = ([true; LINKS], 0, vec![]);
    for (at, link, is_up) in all {
        up[link] = is_up;
        let best = up.iter().position(|up| *up).unwrap_or(carries);
        if best != carries {
            carries = best;
            moves.push((at, best));
        }
    }
    moves
}
