//! Whether a body is what was expected, looked at as it passes.

use super::Expect;

/// Compares a body with what was expected of it. It keeps nothing of the body.
#[derive(Debug)]
pub(super) struct BodyCheck {
    contains: Option<Search>,
    equals: Option<Equal>,
}

#[derive(Debug)]
struct Equal {
    wanted: Vec<u8>,
    /// How much of it has passed.
    passed: usize,
    differs: bool,
}

/// The search of Knuth, Morris and Pratt: every byte is looked at once, whatever came before.
#[derive(Debug)]
struct Search {
    wanted: Vec<u8>,
    /// For each place in `wanted`: how long the longest beginning of it is that also ends there.
    borders: Vec<usize>,
    /// How many bytes of `wanted` the last bytes of the body are; all, once it was found.
    matched: usize,
}

impl BodyCheck {
    pub(super) fn new(expect: &Expect) -> BodyCheck {
        BodyCheck {
            contains: expect.body_contains.as_deref().map(Search::new),
            equals: expect.body_equals.clone().map(|wanted| Equal {
                wanted,
                passed: 0,
                differs: false,
            }),
        }
    }

    /// The next body begins.
    pub(super) fn begin(&mut self) {
        if let Some(search) = &mut self.contains {
            search.matched = 0;
        }
        if let Some(equal) = &mut self.equals {
            (equal.passed, equal.differs) = (0, false);
        }
    }

    /// Looks at the next bytes of the body.
    pub(super) fn take(&mut self, bytes: &[u8]) {
        if let Some(search) = &mut self.contains {
            search.take(bytes);
        }
        if let Some(equal) = &mut self.equals {
            let rest = equal.wanted.get(equal.passed..).unwrap_or_default();
            equal.differs |= !rest.starts_with(bytes);
            equal.passed = equal.passed.saturating_add(bytes.len());
        }
    }

    /// Whether the body, which has ended, was what was expected.
    pub(super) fn is_good(&self) -> bool {
        let found = |search: &Search| search.matched == search.wanted.len();
        let same = |equal: &Equal| !equal.differs && equal.passed == equal.wanted.len();
        self.contains.as_ref().is_none_or(found) && self.equals.as_ref().is_none_or(same)
    }
}

impl Search {
    fn new(wanted: &str) -> Search {
        let wanted = wanted.as_bytes().to_vec();
        let mut search = Search {
            borders: Vec::with_capacity(wanted.len()),
            wanted: wanted.clone(),
            matched: 0,
        };
        // The borders are found by searching what is wanted in itself, from its second byte on.
        for (place, &byte) in wanted.iter().enumerate() {
            if place > 0 {
                search.step(byte);
            }
            search.borders.push(search.matched);
        }
        search.matched = 0;
        search
    }

    fn take(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            if self.matched == self.wanted.len() {
                return;
            }
            self.step(byte);
        }
    }

    fn step(&mut self, byte: u8) {
        while self.matched > 0 && self.wanted.get(self.matched) != Some(&byte) {
            self.matched = self.borders.get(self.matched - 1).copied().unwrap_or(0);
        }
        self.matched += usize::from(self.wanted.get(self.matched) == Some(&byte));
    }
}
