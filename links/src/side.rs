//! One family's traffic: who carries it, and who should.

use crate::hold_down::HoldDown;
use crate::{
    Because, Candidate, Decision, Family, Flows, Held, Judge, LinkSettings, Metered, Mode, Name,
    PolicySettings, Reason, Settings, Share, State, WhyNot, score,
};
use halloo_base::Mono;
use std::cmp::Reverse;
use std::collections::VecDeque;
use std::time::Duration;

/// One family's traffic.
#[derive(Clone, Debug)]
pub(crate) struct Side {
    pub(crate) family: Family,
    pub(crate) carry: Vec<Share>,
    /// By the place of the link in the settings.
    pub(crate) records: Vec<HoldDown>,
    /// What there is to go to, and since when it has been better.
    pending: Option<(Vec<Name>, Mono)>,
    /// Old flows are left on these links until then.
    probation: Option<(Mono, Vec<Name>)>,
    /// Since when there has been somebody to begin with.
    beginning: Option<Mono>,
    held: VecDeque<Held>,
    why_not: WhyNot,
    deadline: Option<Mono>,
    /// How far the judge was when this was decided last.
    turns: Option<u64>,
}

/// A link as the decision sees it.
struct View<'a> {
    link: &'a LinkSettings,
    state: State,
    reason: Reason,
    /// Until when it is held down.
    held: Option<Mono>,
    carries: bool,
}

/// What should be.
enum Wish<'a> {
    /// What is.
    Stay(WhyNot),
    /// These links, at once or when they have been better for so long.
    Go(Vec<&'a View<'a>>, Because, Duration),
}

/// How long to wait for links that would be preferred, before the first decision of all.
const BEGINNING: Duration = Duration::from_secs(3);
/// A link of the same cost has to be better for so many times `better_for` where nothing is wrong.
const AT_LEISURE: u32 = 15;

impl Side {
    pub(crate) fn new(family: Family, records: Vec<HoldDown>) -> Side {
        Side {
            family,
            carry: vec![],
            records,
            pending: None,
            probation: None,
            beginning: None,
            held: VecDeque::new(),
            why_not: WhyNot::Content,
            deadline: None,
            turns: None,
        }
    }

    pub(crate) fn adopt(&mut self, carry: Vec<Share>) {
        self.carry = carry;
        self.pending = None;
        self.probation = None;
        self.turns = None;
    }

    pub(crate) fn next_held(&mut self) -> Option<Held> {
        self.held.pop_front()
    }

    pub(crate) fn deadline(&self) -> Option<Mono> {
        self.deadline
    }

    pub(crate) fn decide(&mut self, now: Mono, judge: &Judge, settings: &Settings) -> Option<Decision> {
        let policy = &settings.policy;
        // Every answer may prove something; everything else that a decision rests on is counted.
        let curious = matches!(self.why_not, WhyNot::NotProven { .. } | WhyNot::Reviving);
        let due = self.deadline.is_some_and(|deadline| deadline <= now);
        if self.turns.replace(judge.turns()) == Some(judge.turns()) && !due && !curious {
            return None;
        }
        self.deadline = None;
        for (record, standing) in self.records.iter_mut().zip(judge.standings(self.family)) {
            record.see(now, standing.state, policy);
        }
        let views: Vec<View<'_>> = judge
            .standings(self.family)
            .zip(&settings.link)
            .zip(&self.records)
            .map(|((standing, link), record)| View {
                link,
                state: standing.state,
                reason: standing.reason,
                held: record.until(now, policy),
                carries: self.carry.iter().any(|share| share.link == link.name),
            })
            .collect();
        let wish = if self.carry.is_empty() {
            self.begin(now, &views, policy)
        } else if policy.mode == Mode::Share {
            self.share(judge, &views, policy)
        } else {
            self.fail_over(judge, &views, policy)
        };
        match wish {
            Wish::Stay(why) => {
                self.pending = None;
                if let WhyNot::HoldDown { until_ns, .. } = &why {
                    self.wake_at(*until_ns);
                }
                self.tell(now, why);
                self.end_probation(now, judge, &views)
            }
            Wish::Go(to, because, after) => {
                let names: Vec<Name> = to.iter().map(|view| view.link.name.clone()).collect();
                let since = match &self.pending {
                    Some((pending, since)) if *pending == names => *since,
                    _ => now,
                };
                if now < since + after {
                    let link = names.first().cloned();
                    self.pending = Some((names, since));
                    self.wake_at(since + after);
                    if let Some(link) = link {
                        self.tell(now, WhyNot::NotYet { link });
                    }
                    return self.end_probation(now, judge, &views);
                }
                self.pending = None;
                Some(self.go(now, judge, &views, &to, because, policy))
            }
        }
    }

    /// Nothing carries yet: the one to prefer, or after a while the best that there is.
    fn begin<'a>(&mut self, now: Mono, views: &'a [View<'a>], policy: &PolicySettings) -> Wish<'a> {
        let usable = |view: &&View<'_>| matches!(view.state, State::Up | State::Degraded);
        let Some(best) = views.iter().filter(usable).min_by_key(|view| view.rank(policy)) else {
            self.beginning = None;
            return Wish::Stay(WhyNot::Unknown);
        };
        let since = *self.beginning.get_or_insert(now);
        let better_comes = views
            .iter()
            .filter(|view| view.state == State::Unknown)
            .any(|view| match policy.mode {
                Mode::Failover => view.preference() < best.preference(),
                Mode::Share => view.preference() <= best.preference(),
            });
        if better_comes && now < since + BEGINNING {
            self.wake_at(since + BEGINNING);
            return Wish::Stay(WhyNot::Unknown);
        }
        let all = match policy.mode {
            Mode::Failover => vec![best],
            Mode::Share => group(views, best),
        };
        Wish::Go(all, Because::First, Duration::ZERO)
    }

    fn fail_over<'a>(&self, judge: &Judge, views: &'a [View<'a>], policy: &PolicySettings) -> Wish<'a> {
        let Some(current) = views.iter().find(|view| view.carries) else {
            // What carries is no longer in the settings.
            let best = views.iter().filter(|view| view.state > State::Unknown);
            return best
                .min_by_key(|view| view.rank(policy))
                .map_or(Wish::Stay(WhyNot::NowhereBetter), |best| {
                    Wish::Go(vec![best], Because::First, Duration::ZERO)
                });
        };
        let others = || views.iter().filter(|view| !view.carries);
        match current.state {
            State::Unknown => Wish::Stay(WhyNot::Unknown),
            State::Down if judge.revives(&current.link.name, self.family) => Wish::Stay(WhyNot::Reviving),
            State::Down => {
                let able = |view: &&View<'_>| view.state > State::Unknown;
                let proven = |view: &&View<'_>| self.is_proven(judge, current, view);
                match others()
                    .filter(able)
                    .filter(proven)
                    .min_by_key(|view| view.rank(policy))
                {
                    Some(best) => Wish::Go(vec![best], Because::Down, Duration::ZERO),
                    None => Wish::Stay(others().filter(able).min_by_key(|view| view.rank(policy)).map_or(
                        WhyNot::NowhereBetter,
                        |view| WhyNot::NotProven {
                            link: view.link.name.clone(),
                        },
                    )),
                }
            }
            State::Degraded => {
                let up =
                    |view: &&View<'_>| view.state == State::Up && may_carry(view, current, views, policy);
                self.by_choice(
                    judge,
                    current,
                    &others().filter(up).collect::<Vec<_>>(),
                    policy,
                    Because::Degraded,
                )
            }
            State::Up => {
                let cheaper =
                    |view: &&View<'_>| view.state == State::Up && view.preference() < current.preference();
                let cheaper: Vec<_> = others().filter(cheaper).collect();
                if !cheaper.is_empty() {
                    return self.by_choice(judge, current, &cheaper, policy, Because::Preferred);
                }
                let alike =
                    |view: &&View<'_>| view.state == State::Up && view.preference() == current.preference();
                match self.by_choice(
                    judge,
                    current,
                    &others().filter(alike).collect::<Vec<_>>(),
                    policy,
                    Because::Better,
                ) {
                    Wish::Stay(_) => Wish::Stay(WhyNot::Content),
                    wish @ Wish::Go(..) => wish,
                }
            }
        }
    }

    /// Nobody has to move: only to whom is not held down, and is better.
    fn by_choice<'a>(
        &self,
        judge: &Judge,
        current: &View<'_>,
        others: &[&'a View<'a>],
        policy: &PolicySettings,
        because: Because,
    ) -> Wish<'a> {
        let best = |free: bool| {
            let others = others.iter().filter(|view| view.held.is_none() == free);
            others.min_by_key(|view| view.rank(policy)).copied()
        };
        let Some(best) = best(true) else {
            return Wish::Stay(match best(false) {
                Some(view) => WhyNot::HoldDown {
                    link: view.link.name.clone(),
                    until_ns: view.held.unwrap_or_default(),
                },
                None => WhyNot::NowhereBetter,
            });
        };
        let needs_margin = because != Because::Preferred;
        if needs_margin && self.score(judge, best) <= self.score(judge, current) * (1.0 + policy.margin) {
            return Wish::Stay(WhyNot::Margin {
                link: best.link.name.clone(),
            });
        }
        let times = if because == Because::Better { AT_LEISURE } else { 1 };
        Wish::Go(vec![best], because, policy.better_for.0 * times)
    }

    fn share<'a>(&self, judge: &Judge, views: &'a [View<'a>], policy: &PolicySettings) -> Wish<'a> {
        let free = |view: &&View<'_>| view.carries || view.held.is_none();
        let up =
            |view: &&View<'_>| view.state == State::Up && may_carry(view, view, views, policy) && free(view);
        let stays = |view: &&View<'_>| view.carries && view.state == State::Unknown;
        let best = views.iter().filter(up).min_by_key(|view| view.preference());
        let best = best.or_else(|| {
            let able = views.iter().filter(|view| view.state == State::Degraded);
            able.min_by_key(|view| view.preference())
        });
        let Some(best) = best else {
            return Wish::Stay(WhyNot::NowhereBetter);
        };
        let mut target = group(views, best);
        target.retain(free);
        let silent = views.iter().filter(stays);
        target.extend(silent.filter(|view| view.preference() == best.preference()));
        if target.iter().all(|view| view.carries) && target.len() == self.carry.len() {
            return Wish::Stay(WhyNot::Content);
        }
        let dead: Vec<_> = views
            .iter()
            .filter(|view| view.carries && view.state == State::Down)
            .collect();
        if dead.is_empty() {
            return Wish::Go(target, Because::Sharing, policy.better_for.0);
        }
        let proven = |dead: &&View<'_>| target.iter().any(|view| self.is_proven(judge, dead, view));
        if !dead.iter().all(proven) {
            return Wish::Stay(WhyNot::NotProven {
                link: best.link.name.clone(),
            });
        }
        Wish::Go(target, Because::Down, Duration::ZERO)
    }

    /// Whether one of the anchors that are silent over `current` has answered over `other` since that trouble began. If
    /// none has, the trouble may be the anchors', and moving would help nobody.
    fn is_proven(&self, judge: &Judge, current: &View<'_>, other: &View<'_>) -> bool {
        if current.reason.is_local() {
            return true;
        }
        judge.is_better_heard(self.family, &current.link.name, &other.link.name)
    }

    fn score(&self, judge: &Judge, view: &View<'_>) -> f64 {
        let evidence = judge.evidence(&view.link.name, self.family).unwrap_or_default();
        score(view.state, &evidence)
    }

    fn go(
        &mut self,
        now: Mono,
        judge: &Judge,
        views: &[View<'_>],
        to: &[&View<'_>],
        because: Because,
        policy: &PolicySettings,
    ) -> Decision {
        let was: Vec<Name> = self.carry.iter().map(|share| share.link.clone()).collect();
        self.carry = to
            .iter()
            .map(|view| Share {
                link: view.link.name.clone(),
                weight: view.link.weight,
            })
            .collect();
        let left = was
            .iter()
            .filter(|link| !to.iter().any(|view| view.link.name == **link));
        let left: Vec<Name> = left.cloned().collect();
        let patient =
            matches!(because, Because::Preferred | Because::Better) && !policy.probation.0.is_zero();
        let flows = match (left.is_empty(), patient) {
            (true, _) => Flows::Stay,
            (false, true) => {
                self.probation = Some((now + policy.probation.0, left));
                self.wake_at(now + policy.probation.0);
                Flows::Stay
            }
            (false, false) => {
                self.probation = None;
                Flows::Leave { links: left }
            }
        };
        self.why_not = WhyNot::Content;
        self.turns = None;
        self.decision(now, judge, views, was, flows, because)
    }

    /// Old flows follow when the link has been up for the time of probation.
    fn end_probation(&mut self, now: Mono, judge: &Judge, views: &[View<'_>]) -> Option<Decision> {
        let (until, _) = self.probation.as_ref()?;
        if now < *until {
            self.wake_at(*until);
            return None;
        }
        let up = views
            .iter()
            .filter(|view| view.carries)
            .all(|view| view.state == State::Up);
        let (_, links) = self.probation.take().filter(|_| up)?;
        let was = self.carry.iter().map(|share| share.link.clone()).collect();
        Some(self.decision(now, judge, views, was, Flows::Leave { links }, Because::Proven))
    }

    fn decision(
        &self,
        now: Mono,
        judge: &Judge,
        views: &[View<'_>],
        was: Vec<Name>,
        flows: Flows,
        because: Because,
    ) -> Decision {
        let candidate = |view: &View<'_>| {
            let evidence = judge.evidence(&view.link.name, self.family).unwrap_or_default();
            Candidate {
                link: view.link.name.clone(),
                state: view.state,
                reason: view.reason,
                score: score(view.state, &evidence),
                held_until_ns: view.held,
                evidence,
            }
        };
        Decision {
            at: now,
            family: self.family,
            carry: self.carry.clone(),
            was,
            flows,
            because,
            evidence: views.iter().map(candidate).collect(),
        }
    }

    fn tell(&mut self, now: Mono, why: WhyNot) {
        if why == self.why_not {
            return;
        }
        self.why_not = why.clone();
        self.held.push_back(Held {
            at: now,
            family: self.family,
            carry: self.carry.iter().map(|share| share.link.clone()).collect(),
            why,
        });
    }

    fn wake_at(&mut self, at: Mono) {
        self.deadline = Some(self.deadline.map_or(at, |known| known.min(at)));
    }
}

impl View<'_> {
    /// What comes first is better: bytes that cost nothing, then the cheaper link.
    fn preference(&self) -> (bool, u32) {
        (self.link.metered, self.link.cost)
    }

    /// The best comes first: bytes that cost nothing as far as the settings say, what works, not held down, cheap.
    fn rank(&self, policy: &PolicySettings) -> (bool, Reverse<State>, bool, bool, u32) {
        let first = policy.metered == Metered::Down && self.link.metered;
        (
            first,
            Reverse(self.state),
            self.link.metered,
            self.held.is_some(),
            self.link.cost,
        )
    }
}

/// All that cost as much as the best and are as well.
fn group<'a>(views: &'a [View<'a>], best: &View<'_>) -> Vec<&'a View<'a>> {
    let alike = |view: &&View<'_>| view.state == best.state && view.preference() == best.preference();
    views.iter().filter(alike).collect()
}

/// Whether a link may carry instead of another that is not down: a metered one only where the settings say so, and no
/// other is up.
fn may_carry(view: &View<'_>, current: &View<'_>, views: &[View<'_>], policy: &PolicySettings) -> bool {
    if !view.link.metered || current.link.metered && !std::ptr::eq(view, current) {
        return true;
    }
    let able = match policy.metered {
        Metered::Down => State::Degraded,
        Metered::Degraded => State::Up,
    };
    !views
        .iter()
        .any(|other| !other.link.metered && other.state >= able)
}
