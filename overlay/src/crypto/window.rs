//! Which datagrams have come already.

/// Numbers that a window remembers.
const SIZE: u64 = 8_192;

/// One more than the window needs, so that the word that is being filled costs none of the others (RFC 6479).
const WORDS: usize = SIZE as usize / 64 + 1;

/// The last 8,192 numbers of one path, a bit each (RFC 6479).
#[derive(Clone, Debug)]
pub struct Window {
    /// One more than the highest number; 0 before the first.
    next: u64,
    seen: [u64; WORDS],
}

/// What a window says to a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// It is new, and is remembered now.
    First,
    /// It was here before.
    Again,
    /// It is too old to tell.
    Older,
}

impl Default for Window {
    fn default() -> Window {
        Window {
            next: 0,
            seen: [0; WORDS],
        }
    }
}

impl Window {
    /// Looks a number up and remembers it. Only numbers that are proved to be the sender's may be shown here: a false one
    /// would shut out all below it.
    pub fn take(&mut self, number: u64) -> Seen {
        if number == u64::MAX {
            return Seen::Older;
        }
        if number >= self.next {
            let (last, now) = (self.next.saturating_sub(1) / 64, number / 64);
            let passed = (now - last).min(WORDS as u64);
            for word in 1..=passed {
                self.seen[index(last + word)] = 0;
            }
            if passed == WORDS as u64 {
                self.seen = [0; WORDS];
            }
            self.next = number + 1;
        } else if self.next - number > SIZE {
            return Seen::Older;
        }
        let (word, bit) = (&mut self.seen[index(number / 64)], 1 << (number % 64));
        let before = *word & bit != 0;
        *word |= bit;
        if before { Seen::Again } else { Seen::First }
    }
}

fn index(word: u64) -> usize {
    (word % WORDS as u64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_number_counts_once_and_the_window_ends_where_it_says() {
        let mut window = Window::default();
        assert_eq!(window.take(0), Seen::First);
        assert_eq!(window.take(0), Seen::Again);
        assert_eq!(window.take(SIZE), Seen::First);
        assert_eq!(window.take(0), Seen::Older);
        assert_eq!(window.take(1), Seen::First);
        assert_eq!(window.take(1), Seen::Again);
        assert_eq!(window.take(1 << 60), Seen::First);
        assert_eq!(window.take(SIZE), Seen::Older);
        assert_eq!(window.take((1 << 60) - SIZE + 1), Seen::First);
        assert_eq!(window.take((1 << 60) - SIZE), Seen::Older);
        assert_eq!(window.take(u64::MAX), Seen::Older);
        assert_eq!(window.take(u64::MAX - 1), Seen::First);
        assert_eq!(window.take(u64::MAX - 1), Seen::Again);
    }

    proptest! {
        /// Beside a set that forgets nothing.
        #[test]
        fn any_order_gives_what_a_set_gives(steps in prop::collection::vec((0u64..4, 0u64..20_000), 1..2_000)) {
            let (mut window, mut set, mut top) = (Window::default(), BTreeSet::new(), 0);
            for (far, step) in steps {
                let number = match far {
                    0 => top + step,
                    1 => top + step % 130,
                    _ => top.saturating_sub(step),
                };
                let wanted = if number + SIZE <= top {
                    Seen::Older
                } else if set.insert(number) {
                    Seen::First
                } else {
                    Seen::Again
                };
                top = top.max(number);
                prop_assert_eq!(window.take(number), wanted);
            }
        }
    }
}
