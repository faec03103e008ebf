//! Why it switched, or did not, in words.

use crate::{
    Because, Change, Decision, Entry, Evidence, Family, Flows, Held, Name, Record, Share, State, WhyNot,
};
use halloo_base::Wall;

/// A sentence and when what it tells happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sentence {
    /// By the wall clock of the host that wrote the journal.
    pub at: Wall,
    /// In words, without the time.
    pub text: String,
}

/// Explains what carried at an instant, and why: for each family the decision that made it so, what every link was, and
/// why nothing else was done. Without an instant: the end of the journal.
pub fn explain(journal: &[Record], at: Option<Wall>) -> Vec<Sentence> {
    let before: Vec<&Record> = journal
        .iter()
        .filter(|record| at.is_none_or(|at| record.at <= at))
        .collect();
    let begin = before
        .iter()
        .rposition(|record| matches!(record.entry, Entry::Begin(_)));
    let since = before.get(begin.unwrap_or(0)..).unwrap_or_default();
    Family::ALL
        .iter()
        .flat_map(|family| family_sentences(since, *family))
        .collect()
}

fn family_sentences(records: &[&Record], family: Family) -> Vec<Sentence> {
    let mut sentences = vec![];
    let decision = records.iter().rev().find_map(|record| match &record.entry {
        Entry::Decision(decision) if decision.family == family => Some((record.at, decision)),
        _ => None,
    });
    match decision {
        Some((at, decision)) => sentences.push(Sentence {
            at,
            text: decided(decision),
        }),
        None => {
            let heard = records
                .iter()
                .find(|record| matches!(&record.entry, Entry::State(change) if change.family == family));
            let Some(record) = heard else { return sentences };
            sentences.push(Sentence {
                at: record.at,
                text: format!("{family}: nothing has been decided yet."),
            });
        }
    }
    let moved = decision.map_or(Wall(0), |(at, _)| at);
    for change in newest_changes(records, family) {
        let (at, change) = change;
        sentences.push(Sentence {
            at,
            text: stands(change),
        });
    }
    let held = records.iter().rev().find_map(|record| match &record.entry {
        Entry::Held(held) if held.family == family && record.at >= moved => Some((record.at, held)),
        _ => None,
    });
    if let Some((at, held)) = held {
        sentences.push(Sentence {
            at,
            text: not_moved(held),
        });
    }
    sentences
}

/// The last change of each link, in the order in which the links were first heard of.
fn newest_changes<'a>(records: &[&'a Record], family: Family) -> Vec<(Wall, &'a Change)> {
    let mut newest: Vec<(Wall, &Change)> = vec![];
    for record in records {
        let Entry::State(change) = &record.entry else {
            continue;
        };
        if change.family != family {
            continue;
        }
        match newest.iter_mut().find(|(_, known)| known.link == change.link) {
            Some(known) => *known = (record.at, change),
            None => newest.push((record.at, change)),
        }
    }
    newest
}

fn decided(decision: &Decision) -> String {
    let to = shares(&decision.carry);
    let family = decision.family;
    if decision.because == Because::Proven {
        return format!("{family} stays on {to}: {}.", decision.because);
    }
    let from = match decision.was.as_slice() {
        [] => String::new(),
        was => format!(" from {}", list(was)),
    };
    let mut text = format!("{family} moved{from} to {to}, because {}.", decision.because);
    for candidate in &decision.evidence {
        text += &format!(
            " {} was {}: {}; {}.",
            candidate.link,
            candidate.state,
            candidate.reason,
            numbers(&candidate.evidence, candidate.state)
        );
    }
    if let Flows::Leave { links } = &decision.flows {
        text += &format!(" Flows of {} were moved too.", list(links));
    }
    text
}

fn stands(change: &Change) -> String {
    let mut text = format!(
        "{} over {} became {} (it was {}): {}; {}.",
        change.link,
        change.family,
        change.state,
        change.was,
        change.reason,
        numbers(&change.evidence, change.state)
    );
    if change.was == State::Down
        && let Some(direction) = change.evidence.trouble_direction
    {
        text += &format!(" What was lost before was lost {direction}.");
    }
    text
}

fn not_moved(held: &Held) -> String {
    let (family, carry) = (held.family, list(&held.carry));
    let why = match &held.why {
        WhyNot::Content => return format!("{family} stays on {carry}: all is well."),
        WhyNot::NowhereBetter => "every other link is no better".to_owned(),
        WhyNot::NotProven { link } => {
            format!("{link} has not answered since the trouble began, so it may be the anchors")
        }
        WhyNot::HoldDown { link, .. } => format!("{link} is up, but has failed too lately"),
        WhyNot::Margin { link } => format!("{link} is not better by the margin"),
        WhyNot::NotYet { link } => format!("{link} is better, but not for long enough yet"),
        WhyNot::Reviving => "it answers again".to_owned(),
        WhyNot::Unknown => "too little is known".to_owned(),
    };
    let who = if carry.is_empty() {
        "carried by nobody"
    } else {
        "staying on"
    };
    format!("{family} was not moved ({who} {carry}): {why}.").replace(" )", ")")
}

fn numbers(evidence: &Evidence, state: State) -> String {
    let mut parts = vec![format!(
        "of the newest {} probes {} were missed",
        evidence.answered + evidence.missed,
        evidence.missed
    )];
    if evidence.missed_in_row > 1 && state == State::Down {
        parts.push(format!(
            "the last {} in a row (10^{:.1} to 1 that it is dead)",
            evidence.missed_in_row, evidence.odds
        ));
    }
    if let Some(trip) = evidence.round_trip_ns {
        parts.push(format!("round trips {trip}"));
    }
    if evidence.loaded {
        parts.push("our own traffic fills it".to_owned());
    }
    parts.join(", ")
}

fn shares(carry: &[Share]) -> String {
    match carry {
        [one] => one.link.to_string(),
        many => {
            let parts: Vec<_> = many
                .iter()
                .map(|share| format!("{} ({})", share.link, share.weight))
                .collect();
            parts.join(", ")
        }
    }
}

fn list(names: &[Name]) -> String {
    let names: Vec<_> = names.iter().map(Name::as_str).collect();
    names.join(", ")
}
