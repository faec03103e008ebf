//! Recorded traces: what would have become of a probe to each anchor over each link, every 100 ms.

use halloo_base::Rng;
use std::time::Duration;

/// Time between two outcomes.
pub(crate) const STEP: Duration = Duration::from_millis(100);
pub(crate) const LINKS: usize = 2;
pub(crate) const ANCHORS: usize = 3;
/// Links are well for so long first, so that everybody knows them.
const BEFORE: Duration = Duration::from_secs(120);

/// A trace.
pub(crate) struct Trace {
    /// When the trouble begins.
    pub(crate) begin: Duration,
    /// By step, link and anchor: the round trip, if there was an answer.
    outcomes: Vec<[[Option<Duration>; ANCHORS]; LINKS]>,
    /// By second: what our own traffic had sent over the first link, in bytes.
    pub(crate) sent_bytes: Vec<u64>,
    /// How far into a step the first probe leaves.
    pub(crate) phase: Duration,
}

/// How trouble is made.
pub(crate) struct Story {
    pub(crate) name: &'static str,
    /// It is right to leave the first link.
    pub(crate) should_move: bool,
    /// How long the trouble lasts.
    lasts: Duration,
    /// What it does to the probes of the first link.
    harm: Harm,
}

/// What becomes of a probe over the first link, so many seconds into the trouble, to this anchor: the share that is
/// lost, and what is added to its round trip.
type Harm = fn(f64, usize) -> (f64, f64);

pub(crate) const BLACKHOLE: &str = "blackhole";

/// All stories.
pub(crate) const STORIES: &[Story] = &[
    Story {
        name: BLACKHOLE,
        should_move: true,
        lasts: Duration::from_secs(300),
        harm: |_, _| (1.0, 0.0),
    },
    Story {
        name: "15 % loss",
        should_move: true,
        lasts: Duration::from_secs(300),
        harm: |_, _| (0.15, 0.0),
    },
    Story {
        name: "30 % loss",
        should_move: true,
        lasts: Duration::from_secs(300),
        harm: |_, _| (0.3, 0.0),
    },
    Story {
        name: "120 ms more delay",
        should_move: true,
        lasts: Duration::from_secs(300),
        harm: |_, _| (0.0, 0.12),
    },
    Story {
        name: "2 % loss for an hour",
        should_move: false,
        lasts: Duration::from_secs(3_600),
        harm: |_, _| (0.02, 0.0),
    },
    Story {
        name: UPLOAD,
        should_move: false,
        lasts: Duration::from_secs(120),
        // The queue is full after ten seconds: 0.8 s of delay, and what does not fit is lost.
        harm: |second, _| (if second > 10.0 { 0.08 } else { 0.0 }, (second * 0.08).min(0.8)),
    },
    Story {
        name: "the first anchor of three dead",
        should_move: false,
        lasts: Duration::from_secs(300),
        harm: |_, anchor| (if anchor == 0 { 1.0 } else { 0.0 }, 0.0),
    },
    Story {
        name: "the first anchor answers every second probe",
        should_move: false,
        lasts: Duration::from_secs(300),
        harm: |_, anchor| (if anchor == 0 { 0.5 } else { 0.0 }, 0.0),
    },
    Story {
        name: "3 s down, 7 s up, 200 times",
        should_move: true,
        lasts: Duration::from_secs(2_000),
        harm: |second, _| (if second % 10.0 < 3.0 { 1.0 } else { 0.0 }, 0.0),
    },
    Story {
        name: "20 s down, 40 s up, 60 times",
        should_move: true,
        lasts: Duration::from_secs(3_600),
        harm: |second, _| (if second % 60.0 < 20.0 { 1.0 } else { 0.0 }, 0.0),
    },
];

const UPLOAD: &str = "an upload fills the link for two minutes";
/// What fills it: bytes a second.
const UPLINK: u64 = 250_000;

impl Story {
    /// The trace that follows from this seed.
    pub(crate) fn record(&self, seed: u64) -> Trace {
        let mut rng = Rng::new(seed.wrapping_mul(0x9e37_79b9).wrapping_add(7));
        let steps = |span: Duration| (span.as_millis() / STEP.as_millis()) as usize;
        let begin = BEFORE + Duration::from_millis(rng.below(1_000));
        let end = begin + self.lasts;
        let all = steps(end) + 1;
        let base = [
            0.012 + rng.below(8) as f64 / 1e3,
            0.018 + rng.below(8) as f64 / 1e3,
        ];
        let mut outcomes = Vec::with_capacity(all);
        for step in 0..all {
            let second = (STEP * step as u32).as_secs_f64() - begin.as_secs_f64();
            let mut links = [[None; ANCHORS]; LINKS];
            for (link, anchors) in links.iter_mut().enumerate() {
                for (anchor, outcome) in anchors.iter_mut().enumerate() {
                    let (loss, late) = if link == 0 && second >= 0.0 {
                        (self.harm)(second, anchor)
                    } else {
                        (0.0, 0.0)
                    };
                    // An anchor that is dead or lies does so over every link.
                    let loss = if link == 1 && second >= 0.0 && self.is_about_anchors() {
                        (self.harm)(second, anchor).0
                    } else {
                        loss
                    };
                    let jitter = rng.below(3_000) as f64 / 1e6;
                    let trip = base[link] + anchor as f64 * 0.003 + jitter + late;
                    *outcome = (!rng.chance(loss)).then(|| Duration::from_secs_f64(trip));
                }
            }
            outcomes.push(links);
        }
        let is_upload = self.name == UPLOAD;
        let sent = |second: u64| {
            let uploading = (Duration::from_secs(second).saturating_sub(begin)).min(self.lasts);
            second * 1_000
                + if is_upload {
                    uploading.as_millis() as u64 * UPLINK / 1_000
                } else {
                    0
                }
        };
        Trace {
            begin,
            outcomes,
            sent_bytes: (0..=end.as_secs()).map(sent).collect(),
            phase: Duration::from_millis(rng.below(100)),
        }
    }

    fn is_about_anchors(&self) -> bool {
        self.name.contains("anchor")
    }
}

impl Trace {
    /// What becomes of a probe that leaves then: its round trip, or nothing.
    pub(crate) fn ask(&self, at: Duration, link: usize, anchor: usize) -> Option<Duration> {
        let step = (at.as_millis() / STEP.as_millis()) as usize;
        *self.outcomes.get(step)?.get(link)?.get(anchor)?
    }

    /// When it ends.
    pub(crate) fn end(&self) -> Duration {
        STEP * self.outcomes.len() as u32
    }
}
