//! All links in both families.

use crate::anchor::Track;
use crate::way::{Fate, Way};
use crate::{AnchorState, Evidence, Family, LinkEvent, Name, News, Reason, Sample, Settings, State};
use halloo_base::Mono;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::time::Duration;

/// A link is in another state, or for another reason.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// When.
    #[serde(rename = "mono_ns", with = "crate::serial::mono")]
    pub at: Mono,
    /// Which link.
    pub link: Name,
    /// In which family.
    pub family: Family,
    /// What it was.
    pub was: State,
    /// What it is.
    pub state: State,
    /// Why.
    #[serde(flatten)]
    pub reason: Reason,
    /// What that rests on.
    pub evidence: Evidence,
}

/// This host stood still.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stall {
    /// When that was noticed.
    #[serde(rename = "mono_ns", with = "crate::serial::mono")]
    pub at: Mono,
    /// When something should have been done and was not.
    #[serde(rename = "since_ns", with = "crate::serial::mono")]
    pub since: Mono,
}

/// A link and family as it stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Standing<'a> {
    /// Which link.
    pub link: &'a Name,
    /// What it is.
    pub state: State,
    /// Why.
    pub reason: Reason,
    /// Since when it is that.
    pub since: Mono,
}

/// Judges every link in both families. It is told what happens ([`Judge::observe`], [`Judge::link_event`]), woken when
/// its [`deadline`](Judge::deadline) has come, and asked what changed ([`Judge::next_change`]).
///
/// Times that it is told never go back. Whoever cannot wake it in time makes a stall: it notices by itself.
#[derive(Clone, Debug)]
pub struct Judge {
    settings: Settings,
    ways: Vec<Way>,
    now: Mono,
    next_look: Option<Mono>,
    /// The deadline that was given out last.
    due: Option<Mono>,
    changes: VecDeque<Change>,
    stall: Option<Stall>,
    unknown: u64,
    /// How often something changed, or was looked at, that decisions may rest on.
    turns: u64,
}

/// Anchors, loss and delay are looked at so often.
const LOOK: Duration = Duration::from_secs(1);

impl Judge {
    /// A judge who knows nothing yet. The settings have been [checked](Settings::check).
    pub fn new(settings: &Settings) -> Judge {
        let ways = settings.link.iter().flat_map(|link| {
            Family::ALL.map(|family| {
                let anchors = settings
                    .anchor
                    .iter()
                    .filter(|anchor| anchor.is_asked_by(&link.name));
                Way::new(link, family, anchors.map(|anchor| anchor.target.clone()))
            })
        });
        Judge {
            ways: ways.collect(),
            settings: settings.clone(),
            now: Mono(0),
            next_look: None,
            due: None,
            changes: VecDeque::new(),
            stall: None,
            unknown: 0,
            turns: 0,
        }
    }

    /// Takes news of a probe.
    pub fn observe(&mut self, sample: &Sample) {
        self.begin(sample.at);
        let stall = self.settings.judge.stall.0;
        let found = self
            .ways
            .iter()
            .position(|way| way.link.name == sample.link && way.family == sample.family)
            .and_then(|place| Some((place, self.ways.get(place)?.track(&sample.anchor)?)));
        let Some((place, track)) = found else {
            self.unknown += 1;
            return self.settle();
        };
        let late = match sample.news {
            News::Sent { late_ns } => Some(late_ns),
            News::Answered {
                host_ns,
                wire_ns: Some(wire_ns),
            } => Some(host_ns - wire_ns),
            _ => None,
        };
        let late = late.filter(|late| late.0 > stall.as_nanos() as i64);
        if let Some(late) = late {
            self.stood_still(self.now, self.now + -late);
        }
        let (now, seq) = (self.now, sample.seq);
        let Some(way) = self.ways.get_mut(place) else {
            return;
        };
        match sample.news {
            News::Sent { .. } => way.sent(now, track, seq),
            // What was read late took no longer for that.
            News::Answered { host_ns, wire_ns } => {
                way.answered(track, seq, late.map_or(host_ns, |late| host_ns - late), wire_ns);
            }
            News::Lost { direction } => way.lost(track, seq, direction),
            News::Directed { direction } => way.directed(track, seq, direction),
            News::Refused => way.refused(now, track, seq),
            News::Heard => way.heard(now),
        }
        self.settle();
    }

    /// Takes news of a link.
    pub fn link_event(&mut self, event: &LinkEvent) {
        self.begin(event.at);
        let mut known = false;
        for way in self.ways.iter_mut().filter(|way| way.link.name == event.link) {
            known = true;
            way.told(self.now, event.fact, self.settings.judge.loaded);
        }
        self.unknown += u64::from(!known);
        self.settle();
    }

    /// Does what is due.
    pub fn wake(&mut self, now: Mono) {
        self.begin(now);
        self.settle();
    }

    /// When it wants to be woken. `None` before it was told anything.
    pub fn deadline(&self) -> Option<Mono> {
        self.due
    }

    /// What has changed since it was asked last, oldest first.
    pub fn next_change(&mut self) -> Option<Change> {
        self.changes.pop_front()
    }

    /// That this host stood still, once each time.
    pub fn take_stall(&mut self) -> Option<Stall> {
        self.stall.take()
    }

    /// News about links and anchors that are not in the settings; they were ignored.
    pub fn unknown(&self) -> u64 {
        self.unknown
    }

    /// Every link as it stands in a family, in the order of the settings.
    pub fn standings(&self, family: Family) -> impl Iterator<Item = Standing<'_>> {
        let ways = self.ways.iter().filter(move |way| way.family == family);
        ways.map(|way| Standing {
            link: &way.link.name,
            state: way.state,
            reason: way.reason,
            since: way.since,
        })
    }

    /// What is known of a link now.
    pub fn evidence(&self, link: &Name, family: Family) -> Option<Evidence> {
        Some(self.way(link, family)?.evidence(self.now))
    }

    pub(crate) fn now(&self) -> Mono {
        self.now
    }

    /// Whether something was told since that decisions rest on; how often there was.
    pub(crate) fn turns(&self) -> u64 {
        self.turns
    }

    /// Whether a link that is a black hole has just answered again.
    pub(crate) fn revives(&self, link: &Name, family: Family) -> bool {
        self.way(link, family).is_some_and(|way| {
            let black = way
                .trouble
                .is_some_and(|trouble| matches!(trouble.reason, Reason::Blackhole { .. }));
            black && way.in_row() == 0
        })
    }

    /// Whether an anchor that is silent over one link has answered over another since the trouble of the first began. Where
    /// they have no anchor in common any answer will do.
    pub(crate) fn is_better_heard(&self, family: Family, bad: &Name, good: &Name) -> bool {
        let (Some(bad), Some(good)) = (self.way(bad, family), self.way(good, family)) else {
            return false;
        };
        let Some(trouble) = bad.trouble else { return true };
        let heard = |anchor: &Name| {
            let track = good.track(anchor).and_then(|place| good.tracks.get(place));
            track.is_some_and(|track| track.answered.is_some_and(|answered| answered >= trouble.since))
        };
        let silent = bad.tracks.iter().filter(|track| track.missed_in_row > 0);
        let common: Vec<_> = silent
            .filter(|track| good.track(&track.anchor).is_some())
            .collect();
        if common.is_empty() {
            return good.tracks.iter().any(|track| heard(&track.anchor));
        }
        common.iter().any(|track| heard(&track.anchor))
    }

    fn way(&self, link: &Name, family: Family) -> Option<&Way> {
        self.ways
            .iter()
            .find(|way| way.family == family && way.link.name == *link)
    }

    /// Time goes on: what was due before is done first, late if nobody came in time.
    fn begin(&mut self, now: Mono) {
        self.now = self.now.max(now);
        let now = self.now;
        if let Some(due) = self.due
            && now > due + self.settings.judge.stall.0
        {
            self.stood_still(now, due);
        }
        let look = self.next_look.is_none_or(|look| look <= now);
        for way in &mut self.ways {
            way.overdue(now, &self.settings.judge);
        }
        if look {
            self.next_look = Some(now + LOOK);
            self.turns += 1;
            self.look_at_anchors();
            for way in &mut self.ways {
                way.look(now, &self.settings.judge);
                (way.stirred, way.worse) = (true, true);
            }
        }
    }

    /// Judges what was stirred.
    fn settle(&mut self) {
        let now = self.now;
        for way in &mut self.ways {
            if !std::mem::take(&mut way.stirred) {
                continue;
            }
            let was = way.state;
            if way.evaluate(now, &self.settings.judge) {
                self.turns += 1;
                self.changes.push_back(Change {
                    at: now,
                    link: way.link.name.clone(),
                    family: way.family,
                    was,
                    state: way.state,
                    reason: way.reason,
                    evidence: way.evidence(now),
                });
            }
        }
        let overdue = self
            .ways
            .iter()
            .filter_map(|way| way.next_overdue(&self.settings.judge));
        // An answer that came sooner than any before may make an older probe overdue since a while.
        self.due = overdue.chain(self.next_look).min().map(|due| due.max(now));
    }

    fn stood_still(&mut self, now: Mono, since: Mono) {
        self.ways.iter_mut().for_each(|way| way.stall(now));
        let since = self.stall.map_or(since, |stall| stall.since.min(since));
        self.stall = Some(Stall { at: now, since });
    }

    /// Which anchors are dead. Where most others answer on the same link, a silent one is; and so is one that is silent
    /// on every link, if somebody answers on one of them.
    fn look_at_anchors(&mut self) {
        for family in Family::ALL {
            for anchor in &self.settings.anchor {
                let everywhere = self.is_silent_everywhere(&anchor.target, family);
                for way in self.ways.iter_mut().filter(|way| way.family == family) {
                    let Some(place) = way.track(&anchor.target) else {
                        continue;
                    };
                    let silent = way.tracks.get(place).is_some_and(Track::is_silent);
                    let dead = silent && (everywhere || is_alone_silent(way, place));
                    if let Some(track) = way.tracks.get_mut(place) {
                        if dead {
                            track.state = AnchorState::Dead;
                        } else if track.state == AnchorState::Dead && !silent {
                            track.state = AnchorState::Trusted;
                        }
                    }
                }
            }
        }
    }

    fn is_silent_everywhere(&self, anchor: &Name, family: Family) -> bool {
        let (mut silent, mut others_answer) = (0, false);
        for way in self
            .ways
            .iter()
            .filter(|way| way.family == family && way.is_asked())
        {
            let Some(place) = way.track(anchor) else { continue };
            if !way.tracks.get(place).is_some_and(Track::is_silent) {
                return false;
            }
            silent += 1;
            others_answer |= way.tracks.iter().any(|track| track.answered_in_row > 0);
        }
        silent > 1 && others_answer
    }
}

/// Whether this anchor is silent and at least half of all, itself included, answer on the link.
fn is_alone_silent(way: &Way, place: usize) -> bool {
    let all = way.tracks.len();
    let answering = way
        .tracks
        .iter()
        .filter(|track| track.answered_in_row > 0)
        .count();
    let itself = way
        .tracks
        .get(place)
        .is_some_and(|track| track.answered_in_row > 0);
    !itself && answering * 2 >= all && answering > 0
}

impl Way {
    /// Whether probes leave and are not refused.
    fn is_asked(&self) -> bool {
        self.carrier
            && self.address
            && self
                .probes
                .back()
                .is_some_and(|probe| probe.fate != Fate::Refused)
    }
}
