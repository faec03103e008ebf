//! Delay in each direction without synchronised clocks.
//!
//! T2 - T1 and T4 - T3 each are a delay plus or minus the distance of two clocks. The distance is not known, but it
//! changes slowly and in a straight line, and a delay has a floor. So the lower edge of the points (time, difference)
//! is the floor plus the drift; what lies above it is queueing, whatever the clocks say. The line is that edge of
//! the lower convex hull which spans the mean time: of all lines below all points it has the least distance to them
//! in sum (Moon, Skelly, Towsley, "Estimation and removal of clock skew from network delay measurements", INFOCOM
//! 1999).
//!
//! A short window does not tell drift from noise. There the edge is level, unless the stamps rule that out: a request
//! and an answer each leave room on one side only for where the other clock is, and a drift is proven once no level
//! line goes between. By the same reasoning the offset comes with its bounds: all straight lines that cross no stamp
//! of either direction are possible, and at the last exchange they lie between two values.
//!
//! Drift is straight only for a while, so samples are judged in windows: of at most five minutes, closed early once
//! half a minute has given enough points. Memory is bounded: a window keeps every sample's part in its hull, and for
//! the quantiles every `stride`-th point, the stride doubling when they become too many.

use crate::Statistic;
use crate::statistic::{Distribution, Precision};
use halloo_base::{Mono, Nanos};
use std::time::Duration;

mod bounds;

use bounds::{Bounds, Possible, STEEPEST};

/// What can be said about the directions apart, from stamps alone; and where both hosts say how good their clocks are, from
/// that too.
#[derive(Clone, Debug, PartialEq)]
pub struct OneWay {
    /// From the prober to the responder (T2 - T1).
    pub forward: OneWayDelay,
    /// From the responder to the prober (T4 - T3).
    pub backward: OneWayDelay,
    /// The responder's wall clock minus ours at the last exchange: the middle of what the stamps leave possible. It
    /// is exact if the shortest delays of both directions are alike.
    pub offset: Nanos,
    /// How far `offset`, and any absolute one-way delay derived with it, may be off: half of the sum of both
    /// directions' shortest delays, and what is not known about the drift since those. Holds as far as the drift was
    /// even over a few minutes.
    pub error: Nanos,
    /// How far both hosts' clocks together may be off, as they say themselves; `None` if one of them does not. Where that
    /// says more than the stamps, `offset` and `error` go by it.
    pub claimed: Option<Nanos>,
    /// Whether the stamps prove that claim wrong. Then nothing goes by it.
    pub contradicted: bool,
    /// How fast the responder's clock gains on ours, in parts per billion. Zero while too little is known to tell.
    pub skew_ppb: i64,
    /// How often the responder's clock was stepped.
    pub remote_steps: u64,
}

/// One direction.
#[derive(Clone, Debug, PartialEq)]
pub struct OneWayDelay {
    /// Delay above the direction's own minimum, after the clocks' drift is taken out: the queueing on that way.
    /// Independent of the clocks' offset; right as far as the drift was even over a few minutes.
    pub queueing: Statistic,
    /// The shortest delay of this way: what its stamps say, by the clocks as they are taken to be. It is good to
    /// [`OneWay::error`], and means nothing without that.
    pub min: Nanos,
    /// The shortest difference of the stamps of both hosts as it would have been at the last exchange, at most. It is
    /// a delay only as far as their clocks agree: subtract `offset` (forward) or add it (backward), and show it with
    /// [`OneWay::error`].
    pub relative_min: Nanos,
}

/// One exchange as the meter wants it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    /// T4 on this host's monotonic clock.
    pub(crate) at: Mono,
    /// T2 - T1 in wall time.
    pub(crate) forward: Nanos,
    /// T4 - T3 in wall time.
    pub(crate) backward: Nanos,
    /// How far the clocks may be apart, as both sides say.
    pub(crate) claimed: Option<Nanos>,
}

/// Collects samples in fixed memory.
#[derive(Clone, Debug)]
pub(crate) struct OneWayMeter {
    window: Option<Window>,
    forward: Side,
    backward: Side,
    last: Option<Sample>,
    closed: Option<Clocks>,
    samples: u64,
    remote_steps: u64,
}

/// One direction's points of the running window, and the queueing of all windows before.
#[derive(Clone, Debug)]
struct Side {
    base: i64,
    hull: Hull,
    points: Vec<Point>,
    queueing: Distribution,
}

#[derive(Clone, Copy, Debug)]
struct Window {
    begin: Mono,
    latest: i64,
    samples: u64,
    stride: u64,
    time_sum: i128,
}

/// What a window said about the two clocks.
#[derive(Clone, Copy, Debug)]
struct Clocks {
    bounds: Bounds,
    skew_ppb: i64,
}

/// Nanoseconds since the window began, and nanoseconds above the window's first difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Point {
    t: i64,
    d: i64,
}

/// Lower convex hull of points that come in the order of time.
#[derive(Clone, Debug)]
struct Hull {
    corners: Vec<Point>,
}

/// `d` at `t` is `from.d + (t - from.t) * rise / run`.
#[derive(Clone, Copy, Debug)]
struct Line {
    from: Point,
    rise: i64,
    run: i64,
}

const POINTS: usize = 1_024;
const CORNERS: usize = 64;
const ENOUGH: i64 = 30_000_000_000;
const LONGEST: i64 = 300_000_000_000;
/// Fewer samples than this say less about the clocks than the window before.
const TELLING: u64 = 16;
/// Two clocks, each slewed by at most 500 ppm (adjtimex(2)), part by at most one in so many.
const FASTEST_DRIFT: i64 = 1_000;
/// Over a shorter time than this the noise of the floor outweighs a drift that is not proven.
const TELLING_SPAN: i64 = 5_000_000_000;
const STEP_TOLERANCE: i64 = 50_000;
/// Clocks farther apart than 73 years are taken as that far apart.
const FARTHEST: i64 = i64::MAX / 4;

impl OneWayMeter {
    pub(crate) fn new() -> OneWayMeter {
        OneWayMeter {
            window: None,
            forward: Side::new(),
            backward: Side::new(),
            last: None,
            closed: None,
            samples: 0,
            remote_steps: 0,
        }
    }

    /// Takes one exchange.
    pub(crate) fn record(&mut self, sample: Sample) {
        let sample = sample.bounded();
        if self.last.is_some_and(|last| stepped_between(&last, &sample)) {
            self.remote_steps += 1;
            self.restart();
        }
        self.last = Some(sample);
        self.samples += 1;
        let window = self.window.get_or_insert_with(|| {
            self.forward.begin(sample.forward);
            self.backward.begin(sample.backward);
            Window::begin(&sample)
        });
        let t = window.count(&sample);
        let kept = (window.samples - 1).is_multiple_of(window.stride);
        self.forward.take(t, sample.forward, kept);
        self.backward.take(t, sample.backward, kept);
        let is_full = self.forward.points.len() == POINTS;
        if t >= LONGEST || (is_full && t >= ENOUGH) {
            self.close();
        } else if is_full {
            window.stride *= 2;
            self.forward.thin();
            self.backward.thin();
        }
    }

    /// One of the clocks was stepped: differences before and after cannot be compared.
    pub(crate) fn restart(&mut self) {
        self.close();
        self.last = None;
        self.closed = None;
    }

    /// What is known so far; nothing while there are so few samples that it would be noise.
    pub(crate) fn one_way(&self) -> Option<OneWay> {
        if self.samples < TELLING {
            return None;
        }
        let mut copy = self.clone();
        let Clocks { bounds, skew_ppb } = copy.close().or(self.closed)?;
        let claimed = self.last.and_then(|last| last.claimed);
        let by_claim = claimed.map(|claimed| bounds.within(claimed));
        let judged = by_claim.flatten().unwrap_or(bounds);
        let (forward, backward) = (Nanos(bounds.high), Nanos(bounds.low.saturating_neg()));
        let offset = judged.middle();
        Some(OneWay {
            forward: OneWayDelay {
                queueing: copy.forward.queueing.statistic()?,
                min: (forward - offset).max(Nanos::ZERO),
                relative_min: forward,
            },
            backward: OneWayDelay {
                queueing: copy.backward.queueing.statistic()?,
                min: (backward + offset).max(Nanos::ZERO),
                relative_min: backward,
            },
            offset,
            error: judged.reach(),
            claimed,
            contradicted: by_claim.is_some_and(|narrowed| narrowed.is_none()),
            skew_ppb,
            remote_steps: self.remote_steps,
        })
    }

    /// Judges the window's points by its line, and keeps what it says about the clocks.
    fn close(&mut self) -> Option<Clocks> {
        let window = self.window.take()?;
        let bounds = self.bounds(&window)?;
        let mean = i64::try_from(window.time_sum / i128::from(window.samples)).unwrap_or(window.latest);
        let is_telling = window.samples >= TELLING;
        let is_sloped = is_telling && (window.latest >= TELLING_SPAN || bounds.prove_drift());
        let forward = self.forward.close(mean, window.stride, is_sloped);
        let backward = self.backward.close(mean, window.stride, is_sloped);
        let skew_ppb = (forward.ppb() - backward.ppb()) / 2;
        self.closed = Some(match self.closed {
            None => Clocks { bounds, skew_ppb },
            Some(before) => Clocks {
                bounds: bounds.or_narrower(before.bounds.carried_to(bounds.at)),
                skew_ppb: if is_telling { skew_ppb } else { before.skew_ppb },
            },
        });
        self.closed
    }

    /// Where the responder's clock may be at the end of the window.
    fn bounds(&self, window: &Window) -> Option<Bounds> {
        let at = window.begin + Duration::from_nanos(window.latest.unsigned_abs());
        let (forward, backward) = (&self.forward, &self.backward);
        let room = forward.base.saturating_add(backward.base);
        let possible = Possible {
            above: &forward.hull.corners,
            below: &backward.hull.corners,
            room,
            now: window.latest,
        };
        let last = self.last?;
        let by_last = Bounds {
            at,
            low: -last.backward.0,
            high: last.forward.0,
            slowest: -STEEPEST,
            fastest: STEEPEST,
        };
        Some(possible.bounds(at, forward.base).unwrap_or(by_last))
    }
}

/// How far the responder's clock is ahead, if both ways took as long.
fn midpoint(forward: i64, backward: i64) -> i64 {
    ((i128::from(forward) - i128::from(backward)) / 2) as i64
}

/// Whether no drift and no delay can explain how two exchanges saw the responder's clock: each sees it to within
/// half its round trip.
fn stepped_between(a: &Sample, b: &Sample) -> bool {
    let moved = midpoint(b.forward.0, b.backward.0) - midpoint(a.forward.0, a.backward.0);
    let doubt = (a.round_trip().0 + b.round_trip().0) / 2;
    let drift = (b.at - a.at).abs().0 / FASTEST_DRIFT;
    moved.abs() > doubt + drift + STEP_TOLERANCE
}

impl Sample {
    /// A stranger's stamps may say anything: bounded so that no sum or difference of two of them overflows.
    fn bounded(self) -> Sample {
        let bound = |difference: Nanos| Nanos(difference.0.clamp(-FARTHEST, FARTHEST));
        Sample {
            forward: bound(self.forward),
            backward: bound(self.backward),
            ..self
        }
    }

    /// Without the residence; the clocks' distance cancels.
    fn round_trip(&self) -> Nanos {
        Nanos((self.forward + self.backward).0.max(0))
    }
}

impl Window {
    fn begin(sample: &Sample) -> Window {
        Window {
            begin: sample.at,
            latest: 0,
            samples: 0,
            stride: 1,
            time_sum: 0,
        }
    }

    /// Counts a sample in and gives its time. One that comes out of order is taken at the newest time: the drift
    /// between is nothing beside a delay.
    fn count(&mut self, sample: &Sample) -> i64 {
        self.latest = self.latest.max((sample.at - self.begin).0);
        self.samples += 1;
        self.time_sum += i128::from(self.latest);
        self.latest
    }
}

impl Side {
    fn new() -> Side {
        Side {
            base: 0,
            hull: Hull {
                corners: Vec::with_capacity(CORNERS + 1),
            },
            points: Vec::with_capacity(POINTS),
            queueing: Distribution::new(Precision::Hundredth),
        }
    }

    fn begin(&mut self, first: Nanos) {
        self.base = first.0;
    }

    fn take(&mut self, t: i64, difference: Nanos, kept: bool) {
        let point = Point {
            t,
            d: difference.0.saturating_sub(self.base),
        };
        self.hull.push(point);
        if kept {
            self.points.push(point);
        }
    }

    /// Keeps every second point.
    fn thin(&mut self) {
        let mut place = 0;
        self.points.retain(|_| {
            place += 1;
            place % 2 == 1
        });
    }

    fn close(&mut self, mean: i64, weight: u64, is_sloped: bool) -> Line {
        let line = if is_sloped {
            self.hull.floor(mean)
        } else {
            self.hull.lowest()
        };
        for point in self.points.drain(..) {
            self.queueing.record_n(Nanos(point.d - line.at(point.t)), weight);
        }
        self.hull.corners.clear();
        line
    }
}

impl Hull {
    fn push(&mut self, point: Point) {
        if let Some(last) = self.corners.last() {
            if last.t == point.t && last.d <= point.d {
                return;
            }
            if last.t == point.t {
                self.corners.pop();
            }
        }
        while let [.., a, b] = self.corners[..] {
            if is_below(a, b, point) {
                break;
            }
            self.corners.pop();
        }
        self.corners.push(point);
        if self.corners.len() > CORNERS {
            self.blunt();
        }
    }

    /// Gives up the corner that the hull misses least.
    fn blunt(&mut self) {
        let depth = |place: usize| {
            let [a, b, c] = [
                self.corners[place - 1],
                self.corners[place],
                self.corners[place + 1],
            ];
            Line::through(a, c).at(b.t) - b.d
        };
        let shallowest = (1..self.corners.len() - 1).min_by_key(|&place| depth(place));
        if let Some(place) = shallowest {
            self.corners.remove(place);
        }
    }

    /// The level line below all points.
    fn lowest(&self) -> Line {
        let lowest = self.corners.iter().min_by_key(|corner| corner.d);
        Line::level(lowest.copied().unwrap_or(Point { t: 0, d: 0 }))
    }

    /// The line below all points that is nearest to them in sum, no steeper than clocks can drift.
    fn floor(&self, mean: i64) -> Line {
        let edge = self.corners.windows(2).find(|edge| edge[1].t >= mean);
        let line = match (edge, self.corners.first()) {
            (Some(edge), _) => Line::through(edge[0], edge[1]),
            (None, Some(&only)) => Line::level(only),
            (None, None) => Line::level(Point { t: 0, d: 0 }),
        };
        if line.rise.saturating_abs().saturating_mul(FASTEST_DRIFT) <= line.run {
            return line;
        }
        let steepest = |from| Line {
            from,
            rise: line.rise.signum(),
            run: FASTEST_DRIFT,
        };
        let lowest = self
            .corners
            .iter()
            .min_by_key(|corner| corner.d - corner.t / FASTEST_DRIFT * line.rise.signum());
        lowest.map_or(line, |&corner| steepest(corner))
    }
}

/// Whether `b` lies below the straight from `a` to `c`.
fn is_below(a: Point, b: Point, c: Point) -> bool {
    let along = |p: Point| {
        (
            i128::from(p.t) - i128::from(a.t),
            i128::from(p.d) - i128::from(a.d),
        )
    };
    let ((bt, bd), (ct, cd)) = (along(b), along(c));
    bd * ct < cd * bt
}

impl Line {
    fn through(a: Point, b: Point) -> Line {
        Line {
            from: a,
            rise: b.d - a.d,
            run: b.t - a.t,
        }
    }

    fn level(at: Point) -> Line {
        Line {
            from: at,
            rise: 0,
            run: 1,
        }
    }

    fn at(&self, t: i64) -> i64 {
        let rise = (i128::from(t) - i128::from(self.from.t)) * i128::from(self.rise);
        self.from.d + rise.div_euclid(i128::from(self.run)) as i64
    }

    fn ppb(&self) -> i64 {
        (i128::from(self.rise) * 1_000_000_000 / i128::from(self.run)) as i64
    }
}

#[cfg(test)]
mod tests;
