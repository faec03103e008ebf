//! What answers tell about the directions apart.

use halloo_base::Arrivals;
use std::ops::RangeInclusive;

/// Follows the order of answers and of the responder's own count, to tell forward from backward.
///
/// The responder numbers requests as they arrive (`received`, modulo 2^32). Whoever has the higher probe number but
/// the lower arrival number overtook on the way there; whoever has the lower arrival number but comes later was
/// overtaken on the way back.
#[derive(Debug, Default)]
pub(crate) struct Order {
    highest: Option<Answered>,
    newest_arrival: Option<u32>,
}

#[derive(Clone, Copy, Debug)]
struct Answered {
    seq: u64,
    received: Option<u32>,
}

/// How an answer came in relation to those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) struct Reordered {
    /// Its probe was sent before one that is already answered (RFC 4737 type-P-reordered, by round trip).
    pub(crate) any: bool,
    /// A request reached the responder after a later one.
    pub(crate) forward: bool,
    /// The answer was overtaken.
    pub(crate) backward: bool,
}

/// Whether requests beyond the reach of the window arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Beyond {
    /// Which requests.
    pub(crate) seqs: RangeInclusive<u64>,
    /// All of them arrived, or none did.
    pub(crate) arrived: bool,
}

impl Order {
    /// What the counts tell about probes between the highest answered so far and `seq` that the window does not
    /// reach. Only all or nothing can be told: a count has no names.
    pub(crate) fn beyond(&self, seq: u64, told: &Arrivals) -> Option<Beyond> {
        let first = match self.highest {
            None => 0,
            Some(highest) => highest.seq.checked_add(1)?,
        };
        let reach = u64::from(told.window_len.clamp(1, 64));
        let last = seq.checked_sub(reach)?;
        if first > last {
            return None;
        }
        let before = match (self.highest, self.newest_arrival) {
            (None, _) => 0,
            (Some(_), Some(newest)) => newest,
            (Some(_), None) => return None,
        };
        let arrived = u64::from(told.received.wrapping_sub(before).wrapping_sub(1));
        let named = u64::from((told.window & low_bits(reach)).count_ones()).saturating_sub(1);
        match arrived.checked_sub(named)? {
            0 => Some(Beyond {
                seqs: first..=last,
                arrived: false,
            }),
            n if n == last - first + 1 => Some(Beyond {
                seqs: first..=last,
                arrived: true,
            }),
            _ => None,
        }
    }

    /// Forgets what was counted where it does not go together with what the answer to `seq` tells, of `sent` probes
    /// in all: the responder began anew, or an answer was not what the responder sent.
    pub(crate) fn resynchronise(&mut self, seq: u64, sent: u64, told: &Arrivals) {
        if self.is_restarted(seq, told) || self.is_impossible(seq, sent, told) {
            self.newest_arrival = None;
            if let Some(highest) = &mut self.highest {
                highest.received = None;
            }
        }
    }

    /// Whether the responder has forgotten what it counted (it was restarted, or the session was too old for it):
    /// its count stands no higher than at an earlier probe's arrival, and its window begins after that probe.
    fn is_restarted(&self, seq: u64, told: &Arrivals) -> bool {
        let Some(highest) = self.highest else { return false };
        let Some(counted) = highest.received else {
            return false;
        };
        let is_beyond_window = seq.saturating_sub(highest.seq) >= u64::from(told.window_len.max(1));
        is_beyond_window && !is_after(told.received, counted)
    }

    /// Whether the count was higher once than it can have become since this request arrived: by the requests sent
    /// after it, and those of the last 64 before it that had not arrived. What is later than that is lost.
    fn is_impossible(&self, seq: u64, sent: u64, told: &Arrivals) -> bool {
        let Some(newest) = self.newest_arrival else {
            return false;
        };
        let reach = seq.saturating_add(1).min(64);
        let arrived = (told.window & low_bits(reach.min(told.window_len.into()))).count_ones();
        let missing = reach.saturating_sub(arrived.into());
        let possible = sent.saturating_sub(seq).saturating_sub(1) + missing;
        is_after(newest, told.received) && u64::from(newest.wrapping_sub(told.received)) > possible
    }

    /// Takes the first answer to `seq` into account.
    pub(crate) fn answered(&mut self, seq: u64, received: Option<u32>) -> Reordered {
        let mut order = Reordered::default();
        if let Some(highest) = self.highest {
            order.any = seq < highest.seq;
            if let (Some(mine), Some(theirs)) = (received, highest.received) {
                order.forward = order.any == is_after(mine, theirs) && mine != theirs;
            }
        }
        order.backward = self.arrival(received);
        if !order.any {
            self.highest = Some(Answered { seq, received });
        }
        order
    }

    /// Takes an arrival number into account, also that of a further answer. Tells whether a newer one was known.
    pub(crate) fn arrival(&mut self, received: Option<u32>) -> bool {
        let Some(mine) = received else { return false };
        match self.newest_arrival {
            Some(newest) if !is_after(mine, newest) => mine != newest,
            _ => {
                self.newest_arrival = Some(mine);
                false
            }
        }
    }
}

/// Serial number arithmetic (RFC 1982) on 32 bits.
fn is_after(a: u32, b: u32) -> bool {
    a != b && a.wrapping_sub(b) < 1 << 31
}

fn low_bits(n: u64) -> u64 {
    if n >= 64 { u64::MAX } else { (1 << n) - 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(received: u32, window: u64, window_len: u32) -> Arrivals {
        Arrivals {
            received,
            window,
            window_len,
        }
    }

    fn order(answers: &[(u64, u32)]) -> Vec<(bool, bool, bool)> {
        let mut order = Order::default();
        answers
            .iter()
            .map(|&(seq, received)| order.answered(seq, Some(received)))
            .map(|told| (told.any, told.forward, told.backward))
            .collect()
    }

    const NO: (bool, bool, bool) = (false, false, false);

    #[test]
    fn in_order_is_in_order_also_across_the_wrap_of_the_count() {
        assert_eq!(
            order(&[(0, u32::MAX - 1), (1, u32::MAX), (2, 0), (3, 1)]),
            [NO; 4]
        );
    }

    #[test]
    fn a_request_that_was_overtaken_is_reordered_forward() {
        assert_eq!(order(&[(0, 1), (2, 2), (1, 3)]), [NO, NO, (true, true, false)]);
    }

    #[test]
    fn an_answer_that_was_overtaken_is_reordered_backward() {
        assert_eq!(order(&[(0, 1), (2, 3), (1, 2)]), [NO, NO, (true, false, true)]);
        assert_eq!(order(&[(0, 1), (2, 0), (1, u32::MAX)])[2], (true, false, true));
    }

    #[test]
    fn an_order_that_was_lost_and_restored_counts_in_both_directions_only() {
        assert_eq!(order(&[(0, 1), (1, 3), (2, 2)]), [NO, NO, (false, true, true)]);
    }

    #[test]
    fn a_responder_that_begins_to_count_anew_reorders_nothing() {
        let mut order = Order::default();
        for seq in 0..100 {
            order.answered(seq, Some(seq as u32 + 1));
        }
        for (seq, received) in [(150, 1), (151, 2), (152, 3)] {
            let told = told(received, (1 << received) - 1, received);
            order.resynchronise(seq, seq + 1, &told);
            assert_eq!(order.beyond(seq, &told), None);
            assert_eq!(order.answered(seq, Some(received)), Reordered::default());
        }
    }

    #[test]
    fn an_overtaken_request_is_no_restart() {
        let mut order = Order::default();
        order.answered(0, Some(1));
        order.answered(1, Some(3));
        order.resynchronise(2, 3, &told(2, 0b101, 3));
        assert!(order.answered(2, Some(2)).forward);
    }

    #[test]
    fn a_count_that_cannot_be_is_believed_no_longer_than_until_the_next_answer() {
        for forged in [4, 1_000_000, 1 << 31] {
            let mut order = Order::default();
            for (seq, received) in [(0, 1), (1, 2), (2, forged), (3, 4), (4, 5)] {
                let window = (1 << (seq + 1)) - 1;
                order.resynchronise(seq, seq + 1, &told(received, window, seq as u32 + 1));
                assert_eq!(
                    order.answered(seq, Some(received)),
                    Reordered::default(),
                    "{forged}: {seq}"
                );
            }
        }
    }

    #[test]
    fn a_count_that_can_be_is_believed() {
        let overtaken = Reordered {
            any: true,
            forward: false,
            backward: true,
        };
        // The answer to 1 comes after the answers to 2 and 3, which were sent when 1 arrived, or had not arrived.
        for (window, window_len, highest, received) in [(0b11, 2, 3, 4), (0b1, 1, 3, 4), (0b1, 2, 3, 5)] {
            let mut order = Order::default();
            order.answered(0, Some(1));
            order.answered(highest, Some(received));
            order.resynchronise(1, 4, &told(2, window, window_len));
            assert_eq!(order.answered(1, Some(2)), overtaken, "{window:b}");
        }
    }

    #[test]
    fn without_a_count_only_the_round_trip_tells() {
        let mut order = Order::default();
        order.answered(5, None);
        let told = order.answered(4, None);
        assert_eq!((told.any, told.forward, told.backward), (true, false, false));
    }

    #[test]
    fn the_count_tells_all_or_none_of_what_the_window_does_not_reach() {
        let mut order = Order::default();
        order.answered(9, Some(10));
        let none = Beyond {
            seqs: 10..=96,
            arrived: false,
        };
        let all = Beyond {
            seqs: 10..=96,
            arrived: true,
        };
        assert_eq!(order.beyond(100, &told(11, 0b1, 4)), Some(none.clone()));
        assert_eq!(order.beyond(100, &told(13, 0b111, 4)), Some(none));
        assert_eq!(order.beyond(100, &told(11 + 87, 0b1, 4)), Some(all));
        assert_eq!(order.beyond(100, &told(11 + 40, 0b1, 4)), None, "which 40?");
        assert_eq!(
            order.beyond(100, &told(1, 0b1, 1)),
            None,
            "the responder began anew"
        );
        assert_eq!(
            order.beyond(12, &told(11, 0b1, 4)),
            None,
            "the window reaches all"
        );
    }

    #[test]
    fn before_the_first_answer_nothing_had_arrived() {
        let order = Order::default();
        assert_eq!(
            order.beyond(3, &told(1, 0b1, 1)),
            Some(Beyond {
                seqs: 0..=2,
                arrived: false
            })
        );
        assert_eq!(order.beyond(0, &told(1, 0b1, 1)), None);
    }
}
