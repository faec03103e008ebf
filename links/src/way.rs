//! One link in one family: what became of its probes, and what the host says of it.

use crate::anchor::Track;
use crate::load::Load;
use crate::{
    AnchorState, Direction, Evidence, Fact, Family, JudgeSettings, LinkSettings, Name, Reason, State,
};
use halloo_base::{Mono, Nanos};
use std::collections::VecDeque;

/// A probe and its fate.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Probe {
    pub(crate) track: usize,
    pub(crate) seq: u64,
    pub(crate) sent: Mono,
    pub(crate) fate: Fate,
    pub(crate) direction: Direction,
    /// Our own traffic filled the link: what is lost then is lost in our own queue.
    pub(crate) excused: bool,
    learnt: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Under way, and not overdue.
    Waiting,
    /// Overdue or given up. An answer that comes after all changes it.
    Missed,
    Answered,
    /// It never left.
    Refused,
    /// It says nothing: this host stood still, or it is from before the link was elsewhere.
    Void,
}

/// Nothing passes, since when, and how that was found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Trouble {
    /// When the first probe left that was swallowed.
    pub(crate) since: Mono,
    pub(crate) reason: Reason,
}

/// A link in one family.
#[derive(Clone, Debug)]
pub(crate) struct Way {
    pub(crate) link: LinkSettings,
    pub(crate) family: Family,
    pub(crate) tracks: Vec<Track>,
    pub(crate) probes: VecDeque<Probe>,
    pub(crate) load: Load,
    pub(crate) state: State,
    pub(crate) reason: Reason,
    /// Since when it is in this state.
    pub(crate) since: Mono,
    /// The present trouble while it is down for want of answers.
    pub(crate) trouble: Option<Trouble>,
    /// The last one.
    pub(crate) last_trouble: Option<(Mono, Direction)>,
    /// Enough was answered to say that it is up.
    pub(crate) proven: bool,
    pub(crate) lossy: bool,
    pub(crate) delayed: Option<Mono>,
    pub(crate) carrier: bool,
    pub(crate) address: bool,
    /// When the gateway was found not to answer.
    pub(crate) neighbour_failed: Option<Mono>,
    pub(crate) refused_in_row: u32,
    /// When this host stood still last, until a probe that left later is answered.
    pub(crate) stalled: Option<Mono>,
    /// When something came that no present probe asked for.
    pub(crate) heard: Option<Mono>,
    pub(crate) last_sent: Option<Mono>,
    /// News were told that may change the verdict.
    pub(crate) stirred: bool,
    /// Something was missed, or somebody counts again: only that can make it look dead.
    pub(crate) worse: bool,
    /// How many probes are [`Fate::Waiting`].
    waiting: usize,
}

/// How many probes are remembered: 25 s at 100 ms.
pub(crate) const REMEMBERED: usize = 256;
/// How many of them tell whether anything passes.
pub(crate) const NEWEST: usize = 64;

impl Way {
    pub(crate) fn new(link: &LinkSettings, family: Family, anchors: impl Iterator<Item = Name>) -> Way {
        Way {
            link: link.clone(),
            family,
            tracks: anchors.map(Track::new).collect(),
            probes: VecDeque::with_capacity(REMEMBERED),
            load: Load::default(),
            state: State::Unknown,
            reason: Reason::NoEvidence,
            since: Mono(0),
            trouble: None,
            last_trouble: None,
            proven: false,
            lossy: false,
            delayed: None,
            carrier: true,
            address: true,
            neighbour_failed: None,
            refused_in_row: 0,
            stalled: None,
            heard: None,
            last_sent: None,
            stirred: false,
            worse: false,
            waiting: 0,
        }
    }

    pub(crate) fn track(&self, anchor: &Name) -> Option<usize> {
        self.tracks.iter().position(|track| track.anchor == *anchor)
    }

    pub(crate) fn sent(&mut self, now: Mono, track: usize, seq: u64) {
        self.last_sent = Some(now);
        if self.probes.len() == REMEMBERED
            && let Some(oldest) = self.probes.pop_front()
        {
            self.waiting -= usize::from(oldest.fate == Fate::Waiting);
        }
        self.waiting += 1;
        self.probes.push_back(Probe {
            track,
            seq,
            sent: now,
            fate: Fate::Waiting,
            direction: Direction::Unknown,
            excused: self.load.excuses(now),
            learnt: false,
        });
        self.learn();
    }

    pub(crate) fn answered(&mut self, track: usize, seq: u64, host: Nanos, wire: Option<Nanos>) {
        let Some(probe) = self.find(track, seq) else {
            return;
        };
        let (before, sent, excused) = (probe.fate, probe.sent, probe.excused);
        if before == Fate::Answered {
            return;
        }
        // What was forgotten stays so: only its time is not.
        if before != Fate::Void {
            probe.fate = Fate::Answered;
        }
        self.waiting -= usize::from(before == Fate::Waiting);
        self.stirred = true;
        self.refused_in_row = 0;
        if self.neighbour_failed.is_some_and(|failed| sent >= failed) {
            self.neighbour_failed = None;
        }
        if self.stalled.is_some_and(|stalled| sent >= stalled) {
            self.stalled = None;
        }
        if let Some(track) = self.tracks.get_mut(track) {
            track.answered(sent, host, wire, !excused);
        }
    }

    /// The prober has given it up. Mostly it was overdue before.
    pub(crate) fn lost(&mut self, track: usize, seq: u64, direction: Direction) {
        let Some(probe) = self.find(track, seq) else {
            return;
        };
        if direction != Direction::Unknown {
            probe.direction = direction;
        }
        if probe.fate == Fate::Waiting {
            probe.fate = Fate::Missed;
            self.waiting -= 1;
            self.missed(track);
        }
    }

    pub(crate) fn directed(&mut self, track: usize, seq: u64, direction: Direction) {
        if let Some(probe) = self.find(track, seq) {
            probe.direction = direction;
        }
    }

    pub(crate) fn refused(&mut self, now: Mono, track: usize, seq: u64) {
        self.last_sent = Some(now);
        self.stirred = true;
        if let Some(probe) = self.find(track, seq) {
            let before = std::mem::replace(&mut probe.fate, Fate::Refused);
            if before == Fate::Refused {
                return;
            }
            self.waiting -= usize::from(before == Fate::Waiting);
        }
        self.refused_in_row = self.refused_in_row.saturating_add(1);
    }

    pub(crate) fn heard(&mut self, now: Mono) {
        self.heard = Some(now);
        self.stirred = true;
    }

    /// Something is known of the link itself.
    pub(crate) fn told(&mut self, now: Mono, fact: Fact, share: f64) {
        match fact {
            Fact::Carrier { up } => {
                if up && !self.carrier {
                    self.forget();
                }
                self.carrier = up;
            }
            Fact::Address { family, present } if family == self.family => {
                if present && !self.address {
                    self.forget();
                }
                self.address = present;
            }
            Fact::Neighbour { family, reachable } if family == self.family => {
                self.neighbour_failed = (!reachable).then_some(self.neighbour_failed.unwrap_or(now));
            }
            Fact::Traffic { tx_bytes, rx_bytes } => {
                let rates = [self.link.up_rate, self.link.down_rate];
                if let Some(since) = self.load.count(now, [tx_bytes, rx_bytes], rates, share) {
                    let probes = self.probes.iter_mut().filter(|probe| probe.sent >= since);
                    probes.for_each(|probe| probe.excused = true);
                    self.tracks.iter_mut().for_each(|track| track.excuse_since(since));
                }
            }
            _ => {}
        }
        self.stirred = true;
    }

    /// This host stood still: what was under way says nothing.
    pub(crate) fn stall(&mut self, now: Mono) {
        let waiting = self.probes.iter_mut().filter(|probe| probe.fate == Fate::Waiting);
        for probe in waiting.filter(|probe| probe.sent < now) {
            probe.fate = Fate::Void;
            self.waiting -= 1;
        }
        self.stalled = Some(now);
        self.stirred = true;
    }

    /// Misses what is overdue.
    pub(crate) fn overdue(&mut self, now: Mono, settings: &JudgeSettings) {
        let mut waiting = self.waiting;
        for place in (0..self.probes.len()).rev() {
            let Some(probe) = self.probes.get_mut(place).filter(|_| waiting > 0) else {
                return;
            };
            if probe.fate != Fate::Waiting {
                continue;
            }
            waiting -= 1;
            let Some(track) = self.tracks.get(probe.track) else {
                continue;
            };
            if probe.sent + track.patience(settings) <= now {
                probe.fate = Fate::Missed;
                let track = probe.track;
                self.waiting -= 1;
                self.missed(track);
            }
        }
    }

    /// When the next probe is overdue.
    pub(crate) fn next_overdue(&self, settings: &JudgeSettings) -> Option<Mono> {
        let waiting = self
            .probes
            .iter()
            .rev()
            .filter(|probe| probe.fate == Fate::Waiting);
        waiting
            .take(self.waiting)
            .filter_map(|probe| Some(probe.sent + self.tracks.get(probe.track)?.patience(settings)))
            .min()
    }

    /// All that was is worth nothing now.
    pub(crate) fn forget(&mut self) {
        self.probes.iter_mut().for_each(|probe| probe.fate = Fate::Void);
        self.waiting = 0;
        self.tracks.iter_mut().for_each(Track::forget);
        self.trouble = None;
        self.proven = false;
        self.lossy = false;
        self.delayed = None;
        self.refused_in_row = 0;
        self.neighbour_failed = None;
    }

    /// Probes with a fate, to anchors that count, oldest first, with their places.
    pub(crate) fn settled(&self) -> impl DoubleEndedIterator<Item = (usize, &Probe)> {
        self.settled_from(0)
    }

    /// The newest of them.
    pub(crate) fn newest(&self) -> impl DoubleEndedIterator<Item = (usize, &Probe)> {
        let first = self.settled().rev().take(NEWEST).last();
        self.settled_from(first.map_or(0, |(place, _)| place))
    }

    fn settled_from(&self, first: usize) -> impl DoubleEndedIterator<Item = (usize, &Probe)> {
        let probes = self.probes.iter().enumerate().skip(first);
        probes.filter(|(_, probe)| {
            matches!(probe.fate, Fate::Missed | Fate::Answered) && self.counts(probe.track)
        })
    }

    pub(crate) fn counts(&self, track: usize) -> bool {
        self.tracks
            .get(track)
            .is_some_and(|track| track.state != AnchorState::Dead)
    }

    /// What it is about, in numbers, for those who ask why.
    pub(crate) fn evidence(&self, now: Mono) -> Evidence {
        let mut evidence = Evidence {
            loaded: self.load.excuses(now),
            usual_loss: tidy(self.usual_loss()),
            odds: tidy(self.dead().odds / std::f64::consts::LN_10),
            missed_in_row: self.in_row() as u32,
            trouble_ns: self.trouble.map(|trouble| trouble.since),
            ..Evidence::default()
        };
        if let Some((since, direction)) = self.last_trouble {
            evidence.trouble_ns = evidence.trouble_ns.or(Some(since));
            evidence.trouble_direction = Some(direction);
        }
        for (place, track) in self.tracks.iter().enumerate() {
            let (answered, missed) = self.tally(place);
            evidence.answered += answered;
            evidence.missed += missed;
            evidence.anchors.push(crate::AnchorEvidence {
                anchor: track.anchor.clone(),
                state: track.state,
                answered,
                missed,
            });
        }
        let (loss, up, down) = self.loss();
        (evidence.loss, evidence.loss_up, evidence.loss_down) = (tidy(loss), tidy(up), tidy(down));
        if let Some(middle) = self.middle() {
            evidence.round_trip_ns = middle.now();
            evidence.usual_ns = middle.usual();
            evidence.p95_ns = middle.p95();
        }
        evidence
    }

    /// Answered and missed of what is remembered of one anchor.
    pub(crate) fn tally(&self, track: usize) -> (u32, u32) {
        let mut tally = (0, 0);
        for probe in self.probes.iter().filter(|probe| probe.track == track) {
            match probe.fate {
                Fate::Answered => tally.0 += 1,
                Fate::Missed => tally.1 += 1,
                _ => {}
            }
        }
        tally
    }

    fn missed(&mut self, track: usize) {
        self.stirred = true;
        self.worse = true;
        if let Some(track) = self.tracks.get_mut(track) {
            track.missed();
        }
    }

    fn find(&mut self, track: usize, seq: u64) -> Option<&mut Probe> {
        self.probes
            .iter_mut()
            .rev()
            .find(|probe| probe.seq == seq && probe.track == track)
    }

    /// Learns the fate of the probe that has just become too old to tell whether anything passes.
    fn learn(&mut self) {
        let Some(place) = self.probes.len().checked_sub(NEWEST + 1) else {
            return;
        };
        let working = self.trouble.is_none() && self.carrier && self.address;
        let Some(probe) = self.probes.get_mut(place).filter(|probe| !probe.learnt) else {
            return;
        };
        probe.learnt = true;
        let missed = match probe.fate {
            Fate::Missed => true,
            Fate::Answered => false,
            _ => return,
        };
        if working
            && !probe.excused
            && let Some(track) = self.tracks.get_mut(probe.track)
        {
            track.learn(missed);
        }
    }
}

/// Six digits are enough for people, and the journal is the shorter for it.
pub(crate) fn tidy(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}
