//! When the members of a community are told that something has changed, and how many at a time.
//!
//! Each of them asks for the list when it is told, so a change costs a supernode three datagrams for each member. One
//! that changes again and again must not make that a load: a community is told at intervals that grow with its size, and
//! the whole supernode tells so many members a second. Who comes gets the list at once, and those whom he wants to meet
//! are told by him (`meet`), so nobody waits for this to talk.

use crate::wire::CommunityId;
use halloo_base::Mono;
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::time::Duration;

/// Changes are told together, this long after the first.
const SOON: Duration = Duration::from_millis(100);
/// A community rests so long for each of its members after it was told.
const REST: Duration = Duration::from_millis(2);
/// So many members are told at a time ...
const SLICE: usize = 16;
/// ... and the next ones after this: 3,200 a second, whichever communities they are of.
const PAUSE: Duration = Duration::from_millis(5);

/// What is to be told, to whom, and when.
#[derive(Debug, Default)]
pub(super) struct News {
    communities: HashMap<CommunityId, State>,
    due: BTreeSet<(Mono, CommunityId)>,
    /// Members, by the numbers of their clients, who are being told.
    telling: VecDeque<u32>,
    /// When the next of them are.
    next: Mono,
}

#[derive(Debug, Default)]
struct State {
    /// Not told before this.
    rests: Mono,
    /// To be told at this time.
    due: Option<Mono>,
}

impl News {
    /// Something has changed in a community.
    pub(super) fn changed(&mut self, community: CommunityId, now: Mono) {
        let state = self.communities.entry(community).or_default();
        if state.due.is_none() {
            let at = state.rests.max(now + SOON);
            state.due = Some(at);
            self.due.insert((at, community));
        }
    }

    /// A community has no members any more.
    pub(super) fn forget(&mut self, community: CommunityId) {
        let state = self.communities.remove(&community);
        if let Some(at) = state.and_then(|state| state.due) {
            self.due.remove(&(at, community));
        }
    }

    /// When to look again.
    pub(super) fn deadline(&self) -> Option<Mono> {
        if !self.telling.is_empty() {
            return Some(self.next);
        }
        self.due.first().map(|(at, _)| self.next.max(*at))
    }

    /// Those who are to be told now. `members` says who is in a community.
    pub(super) fn take(&mut self, now: Mono, mut members: impl FnMut(CommunityId) -> Vec<u32>) -> Vec<u32> {
        let mut told = vec![];
        if now < self.next {
            return told;
        }
        while told.len() < SLICE {
            if let Some(owner) = self.telling.pop_front() {
                told.push(owner);
                continue;
            }
            let Some(&(_, community)) = self.due.first().filter(|(at, _)| *at <= now) else {
                break;
            };
            self.due.pop_first();
            self.telling.extend(members(community));
            if let Some(state) = self.communities.get_mut(&community) {
                state.due = None;
                state.rests = now + REST * self.telling.len() as u32;
            }
        }
        if !told.is_empty() {
            self.next = now + PAUSE;
        }
        told
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RED: CommunityId = CommunityId([1; 16]);
    const BLUE: CommunityId = CommunityId([2; 16]);

    /// Lets time pass until `end`; returns when how many of each community were told.
    fn run(news: &mut News, end: Mono, sizes: &[(CommunityId, u32)]) -> Vec<(Mono, usize)> {
        let mut told = vec![];
        while let Some(at) = news.deadline().filter(|at| *at <= end) {
            let taken = news.take(at, |community| {
                let size = sizes.iter().find(|(of, _)| *of == community);
                (0..size.expect("one of them").1).collect()
            });
            told.push((at, taken.len()));
        }
        told
    }

    fn at(ms: u64) -> Mono {
        Mono(ms * 1_000_000)
    }

    #[test]
    fn a_change_is_told_soon_and_those_that_come_with_it_too() {
        let mut news = News::default();
        for ms in [1_000, 1_001, 1_050] {
            news.changed(RED, at(ms));
        }
        assert_eq!(run(&mut news, at(9_000), &[(RED, 3)]), [(at(1_100), 3)]);
        assert_eq!(news.deadline(), None);
        news.changed(RED, at(9_000));
        news.forget(RED);
        assert_eq!(news.deadline(), None);
    }

    #[test]
    fn a_large_community_is_told_by_and_by_and_then_rests() {
        let mut news = News::default();
        let sizes = [(RED, 1_000), (BLUE, 2)];
        let mut told = vec![];
        for ms in (1_000..21_000).step_by(50) {
            news.changed(RED, at(ms));
            told.extend(run(&mut news, at(ms + 49), &sizes));
        }
        assert!(told.iter().all(|(_, count)| *count <= SLICE));
        let all: usize = told.iter().map(|(_, count)| count).sum();
        assert_eq!(all / 1_000, 10, "each two seconds");
        let pauses: Vec<u64> = told.windows(2).map(|pair| pair[1].0.0 - pair[0].0.0).collect();
        assert!(pauses.iter().all(|pause| *pause >= 5_000_000));
        // Another community waits for its turn, and not for the other's rest.
        news.changed(BLUE, at(21_000));
        news.changed(RED, at(21_000));
        let told = run(&mut news, at(21_500), &sizes);
        assert_eq!(told.iter().map(|(_, count)| count).sum::<usize>(), 1_002);
    }
}
