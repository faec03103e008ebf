//! Answers to initiations that may come once more, by another way.

use crate::wire::Initiation;
use halloo_base::Mono;
use std::collections::VecDeque;
use std::time::Duration;

/// So many are kept, for so long.
const MOST: usize = 16;
const KEPT: Duration = Duration::from_secs(1);

/// The last answers. An initiation goes by every way that its sender knows of, and the first that comes is answered by its
/// way. That one may lead in one direction only; so the same initiation by another way gets the same answer.
#[derive(Default)]
pub(super) struct Answers(VecDeque<Kept>);

struct Kept {
    mac1: [u8; 16],
    len: usize,
    answer: Vec<u8>,
    at: Mono,
}

impl Answers {
    /// The answer to an initiation that the gate has let through, if it was here a moment ago.
    pub(super) fn find(&self, initiation: &Initiation<'_>, now: Mono) -> Option<&[u8]> {
        let is_it = |kept: &&Kept| kept.mac1 == initiation.mac1 && kept.len == initiation.len;
        let kept = self.0.iter().find(is_it)?;
        (now.since(kept.at) < KEPT).then_some(&kept.answer)
    }

    /// Keeps an answer, if there was one.
    pub(super) fn keep(&mut self, initiation: &Initiation<'_>, answer: &[u8], now: Mono) {
        if answer.is_empty() {
            return;
        }
        self.0.truncate(MOST - 1);
        self.0.push_front(Kept {
            mac1: initiation.mac1,
            len: initiation.len,
            answer: answer.to_vec(),
            at: now,
        });
    }
}
