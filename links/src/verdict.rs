//! From what became of probes to a state and its reason.

use crate::anchor::Track;
use crate::sequential::{Level, Test, bound, cumulate};
use crate::way::{Fate, Trouble, Way, tidy};
use crate::{AnchorState, Direction, JudgeSettings, Reason, State};
use halloo_base::Mono;
use std::time::Duration;

/// What a dead link loses: one probe in twenty may slip through.
const DEAD: f64 = 0.95;
/// No link is believed to lose less than this, nor more.
const LEAST_LOSS: f64 = 0.002;
const MOST_LOSS: f64 = 0.3;
/// What a link that our own traffic fills may lose.
const LOADED_LOSS: f64 = 0.2;
/// Odds, as a power of ten, that a dead link works again, or that a new one works: five answers in a row.
const ALIVE: f64 = 6.0;
/// Odds, as a power of ten, that a lossy link has mended.
const MENDED: f64 = 4.0;
/// With so many probes missed in a row it is a black hole; with fewer it is loss.
const IN_ROW: usize = 4;
/// So many refusals in a row are no accident.
const REFUSED: u32 = 3;
/// An anchor that loses so much more than the one in the middle is odd.
const ODD: f64 = 0.1;
/// The share of the way to the limit that a delay has to come back.
const BACK: f64 = 0.7;

impl Way {
    /// Looks at everything that may have changed with the last news. Returns whether the state did, or its reason.
    pub(crate) fn evaluate(&mut self, now: Mono, settings: &JudgeSettings) -> bool {
        self.look_for_life();
        self.look_for_death(settings);
        let (state, reason) = self.verdict(now, settings);
        let same = state == self.state
            && std::mem::discriminant(&reason) == std::mem::discriminant(&self.reason)
            && direction(&reason) == direction(&self.reason);
        if same {
            return false;
        }
        if state != self.state {
            self.since = now;
        }
        (self.state, self.reason) = (state, reason);
        true
    }

    /// What takes more than one probe to see: once a second.
    pub(crate) fn look(&mut self, now: Mono, settings: &JudgeSettings) {
        self.look_for_odd_anchors();
        self.look_for_loss(settings);
        if !self.load.excuses(now) {
            self.look_for_delay(now, settings);
        }
    }

    /// The share lost as a rule, by the anchor in the middle.
    pub(crate) fn usual_loss(&self) -> f64 {
        let losses = self.trusted().map(|(_, track)| track.usual_loss());
        lower_median(losses.collect())
            .unwrap_or(MOST_LOSS)
            .clamp(LEAST_LOSS, MOST_LOSS)
    }

    /// How much rather it is dead.
    pub(crate) fn dead(&self) -> Level {
        let test = self.death();
        let loaded = Test::between(self.usual_loss().max(LOADED_LOSS), DEAD);
        cumulate(self.newest().map(|(place, probe)| {
            let test = if probe.excused { loaded } else { test };
            (place, test.weigh(probe.fate == Fate::Missed))
        }))
    }

    /// How many were missed since the last answer.
    pub(crate) fn in_row(&self) -> usize {
        self.newest()
            .rev()
            .take_while(|(_, probe)| probe.fate == Fate::Missed)
            .count()
    }

    /// The share lost of late at the anchor in the middle, and its parts on the way up and on the way down.
    pub(crate) fn loss(&self) -> (f64, f64, f64) {
        let shares = self.trusted().filter_map(|(place, _)| self.share(place));
        let share = lower_median(shares.collect()).unwrap_or(0.0);
        let (ups, downs) = self.directions(Mono(0));
        match ups + downs {
            0 => (share, 0.0, 0.0),
            all => {
                let up = share * f64::from(ups) / f64::from(all);
                (share, up, share - up)
            }
        }
    }

    /// The anchor with the delay in the middle.
    pub(crate) fn middle(&self) -> Option<&Track> {
        let mut tracks: Vec<_> = self
            .trusted()
            .filter_map(|(_, track)| Some((track.now()?, track)))
            .collect();
        tracks.sort_by_key(|(now, track)| now.0 - track.usual().unwrap_or(*now).0);
        let place = tracks.len().checked_sub(1)? / 2;
        tracks.get(place).map(|(_, track)| *track)
    }

    fn verdict(&self, now: Mono, settings: &JudgeSettings) -> (State, Reason) {
        if !self.carrier {
            return (State::Down, Reason::NoCarrier);
        }
        if !self.address {
            return (State::Down, Reason::NoAddress);
        }
        if self.refused_in_row >= REFUSED {
            return (State::Down, Reason::Refused);
        }
        if self.neighbour_failed.is_some() {
            return (State::Down, Reason::NoNeighbour);
        }
        if let Some(trouble) = self.trouble {
            return (State::Down, trouble.reason);
        }
        let silence = (settings.interval.0 * 10).max(Duration::from_secs(2));
        if self.last_sent.is_some_and(|sent| sent + silence < now) {
            return (State::Unknown, Reason::NoProbes);
        }
        if !self.proven {
            return (State::Unknown, Reason::NoEvidence);
        }
        if self.stalled.is_some() {
            return (State::Unknown, Reason::Stalled);
        }
        if self.lossy {
            let direction = which(self.directions(Mono(0)));
            let share = tidy(self.loss().0);
            return (State::Degraded, Reason::Loss { direction, share });
        }
        if self.delayed.is_some()
            && let Some(middle) = self.middle()
            && let (Some(now_ns), Some(usual_ns)) = (middle.now(), middle.usual())
        {
            return (State::Degraded, Reason::Delay { now_ns, usual_ns });
        }
        if self.load.excuses(now) {
            return (State::Up, Reason::Loaded);
        }
        (State::Up, Reason::Answers)
    }

    fn death(&self) -> Test {
        Test::between(self.usual_loss(), DEAD)
    }

    /// Whether it has to be called dead.
    fn look_for_death(&mut self, settings: &JudgeSettings) {
        if let Some(trouble) = &mut self.trouble {
            let since = trouble.since;
            let heard = self
                .heard
                .is_some_and(|heard| heard > since + Duration::from_secs(1));
            let direction = match which(self.directions(since)) {
                Direction::Unknown if heard => Direction::Up,
                direction => direction,
            };
            if let Some(Trouble {
                reason: Reason::Blackhole { direction: known },
                ..
            }) = &mut self.trouble
            {
                *known = direction;
            }
            self.last_trouble = Some((since, direction));
            return;
        }
        if !std::mem::take(&mut self.worse) {
            return;
        }
        let level = self.dead();
        let Some(first) = level
            .first
            .filter(|_| level.odds >= bound(f64::from(settings.confidence)))
        else {
            return;
        };
        if !self.is_majority_silent(first) {
            return;
        }
        let row = self.in_row();
        let first = match row {
            IN_ROW.. => self.newest().rev().nth(row - 1).map_or(first, |(place, _)| place),
            _ => first,
        };
        let Some(since) = self.probes.get(first).map(|probe| probe.sent) else {
            return;
        };
        let direction = which(self.directions(since));
        let reason = if row >= IN_ROW {
            Reason::Blackhole { direction }
        } else {
            let share = tidy(self.loss().0);
            Reason::Loss { direction, share }
        };
        self.trouble = Some(Trouble { since, reason });
        self.last_trouble = Some((since, direction));
    }

    /// Whether more anchors were silent than answered, by the last that was heard of each since then. One alone is not
    /// enough where there are others.
    fn is_majority_silent(&self, first: usize) -> bool {
        let (mut silent, mut answering) = (0, 0);
        for (track, _) in self.trusted() {
            let last = self
                .newest()
                .rev()
                .find(|(place, probe)| *place >= first && probe.track == track);
            match last.map(|(_, probe)| probe.fate) {
                Some(Fate::Missed) => silent += 1,
                Some(_) => answering += 1,
                None => {}
            }
        }
        silent > answering && (silent > 1 || self.trusted().count() == 1)
    }

    /// Whether enough was answered to say that it works, for the first time or again.
    fn look_for_life(&mut self) {
        if self.proven && self.trouble.is_none() {
            return;
        }
        let since = self.trouble.map_or(Mono(0), |trouble| trouble.since);
        let test = self.death().reversed();
        let newest = self.newest().filter(|(_, probe)| probe.sent >= since);
        let level = cumulate(newest.map(|(place, probe)| (place, test.weigh(probe.fate == Fate::Missed))));
        if level.odds < bound(ALIVE) {
            return;
        }
        if let Some(trouble) = self.trouble.take() {
            self.last_trouble = Some((trouble.since, which(self.directions(trouble.since))));
            // The link is judged by what has happened since it works again.
            let old = self.probes.iter_mut().take(level.first.unwrap_or(0));
            old.filter(|probe| probe.fate != Fate::Waiting)
                .for_each(|probe| probe.fate = Fate::Void);
            self.lossy = false;
        }
        self.proven = true;
    }

    /// The anchor that loses most does not count where there are others.
    fn look_for_loss(&mut self, settings: &JudgeSettings) {
        let worst = self
            .trusted()
            .filter_map(|(place, _)| Some((self.share(place)?, place)))
            .max_by(|a, b| a.0.total_cmp(&b.0))
            .filter(|_| self.trusted().count() > 1)
            .map(|(_, place)| place);
        let test = Test::between(settings.loss_tolerated, settings.loss_degraded);
        let (test, power) = if self.lossy {
            (test.reversed(), MENDED)
        } else {
            (test, f64::from(settings.confidence) * 2.0 / 3.0)
        };
        let outcomes = self
            .settled()
            .filter(|(_, probe)| !probe.excused && Some(probe.track) != worst)
            .map(|(place, probe)| (place, test.weigh(probe.fate == Fate::Missed)));
        if cumulate(outcomes).odds >= bound(power) {
            self.lossy = !self.lossy;
            self.stirred = true;
        }
    }

    fn look_for_delay(&mut self, now: Mono, settings: &JudgeSettings) {
        let Some((late, back)) = self.middle().and_then(|middle| {
            let (now, usual) = (middle.now()?.0 as f64, middle.usual()?.0 as f64);
            let margin = settings.delay_margin.0.as_nanos() as f64;
            let limit = (usual * settings.delay_factor).max(usual + margin);
            Some((now > limit, now < usual + (limit - usual) * BACK))
        }) else {
            self.delayed = None;
            return self.tracks.iter_mut().for_each(Track::follow);
        };
        match self.delayed {
            None if late => self.delayed = Some(now),
            Some(_) if back => self.delayed = None,
            Some(since) if since + settings.delay_usual_after.0 <= now => {
                self.delayed = None;
                self.tracks.iter_mut().for_each(Track::adopt);
            }
            _ => {}
        }
        self.stirred = true;
        if self.delayed.is_none() {
            self.tracks.iter_mut().for_each(Track::follow);
        }
    }

    fn look_for_odd_anchors(&mut self) {
        let middle = self.loss().0;
        let many = self.trusted().count() > 2;
        for place in 0..self.tracks.len() {
            let odd = many && self.share(place).is_some_and(|share| share > middle * 3.0 + ODD);
            if let Some(track) = self
                .tracks
                .get_mut(place)
                .filter(|track| track.state != AnchorState::Dead)
            {
                track.state = if odd {
                    AnchorState::Odd
                } else {
                    AnchorState::Trusted
                };
            }
        }
    }

    /// The share of an anchor's probes that was lost, of those that count.
    fn share(&self, track: usize) -> Option<f64> {
        let (mut missed, mut all) = (0, 0);
        for (_, probe) in self
            .settled()
            .filter(|(_, probe)| probe.track == track && !probe.excused)
        {
            missed += u32::from(probe.fate == Fate::Missed);
            all += 1;
        }
        (all > 0).then(|| f64::from(missed) / f64::from(all))
    }

    /// How many were lost on the way up, and on the way down, of those that left since then.
    fn directions(&self, since: Mono) -> (u32, u32) {
        let (mut ups, mut downs) = (0, 0);
        let lost = self
            .probes
            .iter()
            .filter(|probe| probe.fate == Fate::Missed && probe.sent >= since);
        for probe in lost {
            ups += u32::from(probe.direction == Direction::Up);
            downs += u32::from(probe.direction == Direction::Down);
        }
        (ups, downs)
    }

    fn trusted(&self) -> impl Iterator<Item = (usize, &Track)> {
        let tracks = self.tracks.iter().enumerate();
        tracks.filter(|(_, track)| track.state != AnchorState::Dead)
    }
}

/// Which way it is, by losses that somebody told the way of.
fn which((ups, downs): (u32, u32)) -> Direction {
    match (ups, downs) {
        (0, 0) => Direction::Unknown,
        _ if ups > 3 * downs => Direction::Up,
        _ if downs > 3 * ups => Direction::Down,
        _ => Direction::Both,
    }
}

fn direction(reason: &Reason) -> Option<Direction> {
    match reason {
        Reason::Blackhole { direction } => Some(*direction),
        _ => None,
    }
}

/// The value in the middle, the lower one of two.
fn lower_median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len().checked_sub(1)? / 2).copied()
}
