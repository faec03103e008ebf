//! How often, and why, probes did not get through.

use halloo_base::UnreachableError;

/// Counts by error, in bounded memory.
#[derive(Debug)]
pub(crate) struct Kinds {
    counts: Vec<(UnreachableError, u64)>,
}

/// There are not many ways to be unreachable; what is beyond so many is counted under the last of them.
const MOST: usize = 16;

impl Kinds {
    pub(crate) fn new() -> Kinds {
        Kinds {
            counts: Vec::with_capacity(MOST),
        }
    }

    pub(crate) fn count(&mut self, error: UnreachableError) {
        match self.counts.iter().position(|(known, _)| *known == error) {
            Some(place) => self.counts[place].1 += 1,
            None if self.counts.len() < MOST => self.counts.push((error, 1)),
            None => self.counts[MOST - 1].1 += 1,
        }
    }

    /// All kinds, in the order of their first occurrence.
    pub(crate) fn list(&self) -> Vec<(UnreachableError, u64)> {
        self.counts.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_kept_in_order_and_are_bounded() {
        let mut kinds = Kinds::new();
        for error in (1..=20).chain([1]) {
            kinds.count(UnreachableError(error));
        }
        let list = kinds.list();
        assert_eq!(list.len(), MOST);
        assert_eq!(list[0], (UnreachableError(1), 2));
        assert_eq!(list.iter().map(|(_, n)| n).sum::<u64>(), 21);
    }
}
