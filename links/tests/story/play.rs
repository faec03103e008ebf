//! A watch that is told a story, and what came of it.

use halloo_base::{Mono, Wall};
use halloo_links::{
    Because, Begin, Change, Decision, Entry, Family, Held, Record, Said, Settings, State, Told, Watch, replay,
};
use std::time::Duration;

/// What a watch said.
pub(crate) struct Outcome {
    pub(crate) origin: Mono,
    pub(crate) changes: Vec<Change>,
    pub(crate) decisions: Vec<Decision>,
    pub(crate) held: Vec<Held>,
    /// The journal, as it would be written.
    pub(crate) journal: Vec<Record>,
}

/// Longer stories are not told twice: shorter ones show as well that a journal is enough.
const LONG: usize = 20_000;

/// Tells a watch a story. Deadlines are kept, but not while the host stands still; then they come before everything else
/// that has waited.
pub(crate) fn play(
    settings: &Settings,
    told: &[Told],
    stalls: &[(Mono, Mono)],
    origin: Mono,
    until: Mono,
) -> Outcome {
    let mut watch = Watch::new(settings);
    let begin = Begin {
        at: origin,
        settings: settings.clone(),
    };
    let mut entries = vec![Entry::Begin(Box::new(begin))];
    for next in told.iter().map(Some).chain([None]) {
        let at = next.map_or(until, Told::at);
        while let Some(due) = watch.deadline().filter(|due| *due <= at) {
            let stall = stalls.iter().find(|(from, to)| *from <= due && due < *to);
            let due = stall.map_or(due, |(_, to)| *to);
            if due > at {
                break;
            }
            watch.wake(due);
            drain(&mut watch, &mut entries);
        }
        if let Some(next) = next {
            watch.tell(next);
            entries.push(next.clone().into());
            drain(&mut watch, &mut entries);
        }
    }
    assert_eq!(watch.judge().unknown(), 0);
    let outcome = Outcome::new(origin, entries);
    outcome.is_sound();
    if told.len() < LONG {
        outcome.is_told_again(settings);
    }
    outcome
}

fn drain(watch: &mut Watch, entries: &mut Vec<Entry>) {
    while let Some(said) = watch.next_said() {
        entries.push(said.into());
    }
}

impl Outcome {
    fn new(origin: Mono, entries: Vec<Entry>) -> Outcome {
        let mut outcome = Outcome {
            origin,
            changes: vec![],
            decisions: vec![],
            held: vec![],
            journal: vec![],
        };
        for entry in entries {
            match &entry {
                Entry::State(change) => outcome.changes.push((**change).clone()),
                Entry::Decision(decision) => outcome.decisions.push((**decision).clone()),
                Entry::Held(held) => outcome.held.push(held.clone()),
                _ => {}
            }
            let wall = Wall(1_700_000_000_000_000_000 + entry.at().0);
            outcome.journal.push(Record::new(wall, entry));
        }
        outcome
    }

    /// What holds for every story.
    fn is_sound(&self) {
        for decision in &self.decisions {
            assert!(!decision.carry.is_empty());
            let best = decision.evidence.iter().map(|candidate| candidate.state).max();
            for share in &decision.carry {
                let state = decision
                    .evidence
                    .iter()
                    .find(|candidate| candidate.link == share.link);
                let state = state.map(|candidate| candidate.state);
                assert!(
                    state > Some(State::Down) || best == Some(State::Down),
                    "{decision:#?}"
                );
            }
        }
    }

    /// The journal leads to the same decisions again.
    fn is_told_again(&self, settings: &Settings) {
        let said: Vec<Decision> = replay(self.journal.iter().map(|record| &record.entry), settings)
            .into_iter()
            .filter_map(|said| match said {
                Said::Decision(decision) => Some(*decision),
                _ => None,
            })
            .collect();
        let until = self
            .journal
            .iter()
            .rev()
            .find(|record| matches!(record.entry, Entry::Sample(_) | Entry::Event(_)));
        let until = until.map_or(Mono(0), |record| record.entry.at());
        let known: Vec<&Decision> = self
            .decisions
            .iter()
            .filter(|decision| decision.at <= until)
            .collect();
        let brief =
            |decision: &&Decision| format!("{:?} {:?} {:?}", decision.at, decision.carry, decision.because);
        let (said, known): (Vec<&Decision>, _) = (said.iter().collect(), known);
        assert_eq!(
            said.iter().map(brief).collect::<Vec<_>>(),
            known.iter().map(brief).collect::<Vec<_>>(),
            "the journal tells another story"
        );
        assert_eq!(said, known, "the journal tells another story");
    }

    /// Decisions by which traffic went elsewhere.
    pub(crate) fn moves(&self, family: Family) -> Vec<&Decision> {
        self.decisions
            .iter()
            .filter(|decision| decision.family == family && decision.because != Because::First)
            .filter(|decision| {
                let carry = decision.carry.iter().map(|share| &share.link);
                !carry.eq(decision.was.iter())
            })
            .collect()
    }

    /// The moves as words: `12.345 wan1->wan2 Down`.
    pub(crate) fn told(&self, family: Family) -> Vec<String> {
        let moves = self.moves(family).into_iter();
        moves
            .map(|decision| {
                let to: Vec<_> = decision.carry.iter().map(|share| share.link.as_str()).collect();
                let from: Vec<_> = decision.was.iter().map(halloo_links::Name::as_str).collect();
                format!(
                    "{:.3} {}->{} {:?}",
                    self.at(decision.at).as_secs_f64(),
                    from.join("+"),
                    to.join("+"),
                    decision.because
                )
            })
            .collect()
    }

    /// An instant as the story counts.
    pub(crate) fn at(&self, at: Mono) -> Duration {
        at.since(self.origin)
    }

    /// States of a link, one after the other, with when it came to each.
    pub(crate) fn states(&self, link: &str, family: Family) -> Vec<String> {
        let changes = self.changes.iter();
        changes
            .filter(|change| change.link.as_str() == link && change.family == family)
            .map(|change| {
                format!(
                    "{:.3} {} {:?}",
                    self.at(change.at).as_secs_f64(),
                    change.state,
                    change.reason
                )
            })
            .collect()
    }

    /// The last that was said about a link.
    pub(crate) fn last(&self, link: &str, family: Family) -> &Change {
        let mut changes = self.changes.iter().rev();
        changes
            .find(|change| change.link.as_str() == link && change.family == family)
            .expect("something was said")
    }
}
