//! Where a peer was said to be, and did not answer.

use crate::way::Way;
use halloo_base::Mono;
use std::collections::VecDeque;
use std::time::Duration;

/// Ways of one peer that are remembered; of more the first is forgotten.
const MOST: usize = 32;
/// For so long a way is left alone.
const REST: Duration = Duration::from_secs(180);

/// Ways that were asked in vain, and since when each is left alone, the first first.
#[derive(Debug, Default)]
pub(super) struct Hearsay(VecDeque<(Way, Mono)>);

impl Hearsay {
    /// Leaves a way alone from now on.
    pub(super) fn add(&mut self, way: Way, now: Mono) {
        self.0.retain(|(known, _)| *known != way);
        while self.0.len() >= MOST {
            self.0.pop_front();
        }
        self.0.push_back((way, now));
    }

    /// Whether a way was asked in vain a while ago.
    pub(super) fn is_in_vain(&mut self, way: &Way, now: Mono) -> bool {
        while self.0.front().is_some_and(|(_, since)| now.since(*since) >= REST) {
            self.0.pop_front();
        }
        self.0.iter().any(|(known, _)| known == way)
    }

    /// Forgets them all; returns them, the first first.
    pub(super) fn take(&mut self) -> impl Iterator<Item = Way> + use<> {
        std::mem::take(&mut self.0).into_iter().map(|(way, _)| way)
    }
}
