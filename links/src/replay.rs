//! The same again, under other settings.

use crate::{Entry, Said, Settings, Told, Watch};
use std::time::Duration;

/// A journal that is silent for longer is skipped over: nobody was told anything, and nobody moved.
const SILENCE: Duration = Duration::from_secs(3_600);

/// Tells a new watch what was told then, and returns what it says. Deadlines are kept to the nanosecond, but where the
/// journal says that the host stood still: nobody could keep them then. What was said then is passed over.
///
/// A `Begin` in the middle begins anew, as it did then: with nothing known.
pub fn replay<'a>(journal: impl IntoIterator<Item = &'a Entry>, settings: &Settings) -> Vec<Said> {
    let mut said = vec![];
    let mut watch = Watch::new(settings);
    // Stalls are noted when they end, and that is after what happened first.
    let entries: Vec<&Entry> = journal.into_iter().collect();
    let mut stalls = entries.iter().filter_map(|entry| match entry {
        Entry::Stall(stall) => Some(*stall),
        _ => None,
    });
    let mut stall = stalls.next();
    for entry in &entries {
        let told = match entry {
            Entry::Begin(_) => {
                watch = Watch::new(settings);
                continue;
            }
            Entry::Sample(sample) => Told::Sample(sample.clone()),
            Entry::Event(event) => Told::Event(event.clone()),
            _ => continue,
        };
        let silent_from = watch.judge().now() + SILENCE;
        loop {
            while stall.is_some_and(|stall| stall.at <= watch.judge().now()) {
                stall = stalls.next();
            }
            let Some(due) = watch.deadline().filter(|due| *due <= told.at()) else {
                break;
            };
            if due > silent_from {
                break;
            }
            let slept = stall.filter(|stall| stall.since <= due && due < stall.at);
            let at = slept.map_or(due, |stall| stall.at);
            if at > told.at() {
                break;
            }
            watch.wake(at);
            drain(&mut watch, &mut said);
            // At the end of all time a deadline does not move any more.
            if watch.deadline() == Some(due) {
                break;
            }
        }
        watch.tell(&told);
        drain(&mut watch, &mut said);
    }
    said
}

fn drain(watch: &mut Watch, said: &mut Vec<Said>) {
    said.extend(std::iter::from_fn(|| watch.next_said()));
}
