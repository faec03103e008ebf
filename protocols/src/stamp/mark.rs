//! How answers that have no room for both stamps are told from requests.

use super::wire::{self, Mode, Request};
use super::{ErrorEstimate, Format, Timestamp};
use halloo_base::Nanos;

/// How far a marked timestamp may be from the true one at most: 2^17 ns. In NTP's format it is 15 us.
pub(super) const COARSE: Nanos = Nanos(131_072);

/// The bits of a timestamp that are given up.
const MARK: u64 = 0xffff;
/// Where the nanoseconds of PTP's format end.
const SECOND: u64 = 1_000_000_000;

/// A timestamp with the mark of an answer with this number and error estimate.
pub(super) fn marked(number: u32, timestamp: Timestamp, estimate: ErrorEstimate) -> Timestamp {
    let mut kept = timestamp.0 & !MARK;
    // The last of a second's steps is not a whole one.
    if estimate.format() == Format::Ptp && kept & u64::from(u32::MAX) | MARK >= SECOND {
        kept -= MARK + 1;
    }
    Timestamp(kept | of(number, kept, estimate))
}

/// Whether an open packet of fewer bytes than both stamps take is the answer of a halloo: on whatever port, and cut however.
/// A request is taken for one once in 65,536.
pub(super) fn is_marked(datagram: &[u8]) -> bool {
    if datagram.len() >= wire::BOTH_STAMPS {
        return false;
    }
    Request::parse(datagram, Mode::Open).is_some_and(|packet| {
        let stamp = packet.timestamp.0;
        stamp & MARK == of(packet.sequence_number, stamp & !MARK, packet.error_estimate)
    })
}

/// 16 bits that depend on all others. Anybody may compute them: who does so gets no answer.
fn of(number: u32, kept: u64, estimate: ErrorEstimate) -> u64 {
    // Multiplication carries upwards and the shift brings it down again (the finaliser of SplitMix64).
    let mut mixed = kept ^ u64::from(number).rotate_left(40) ^ u64::from(estimate.0).rotate_left(8);
    mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    (mixed ^ mixed >> 31) & MARK
}

#[cfg(test)]
mod tests {
    use super::*;
    use halloo_base::Wall;
    use proptest::prelude::*;

    fn packet(number: u32, stamp: Timestamp, estimate: ErrorEstimate, len: usize) -> Vec<u8> {
        let mut bytes = [
            &number.to_be_bytes()[..],
            &stamp.0.to_be_bytes(),
            &estimate.0.to_be_bytes(),
        ]
        .concat();
        bytes.resize(len, 0);
        bytes
    }

    #[test]
    fn a_bit_more_or_less_and_it_is_no_answer() {
        let stamp = Timestamp(0xe9a1_2b3c_4d5e_6f70);
        let estimate = ErrorEstimate::UNKNOWN;
        let whole = packet(7, marked(7, stamp, estimate), estimate, 14);
        assert!(is_marked(&whole));
        for bit in 0..14 * 8 {
            let mut altered = whole.clone();
            altered[bit / 8] ^= 1 << (bit % 8);
            assert!(!is_marked(&altered), "bit {bit}");
        }
    }

    #[test]
    fn requests_are_taken_for_answers_as_seldom_as_is_said() {
        let taken = (0..1_000_000u32).filter(|&number| {
            let at = Wall(1_780_000_000_000_000_000 + u64::from(number) * 10_000_000);
            let stamp = Timestamp::new(at, Format::Ntp);
            is_marked(&packet(number, stamp, ErrorEstimate::UNKNOWN, 14))
        });
        // 15 are expected; more than 40 come once in a hundred million runs of chance, and this is always the same run.
        let taken = taken.count();
        assert!((1..40).contains(&taken), "{taken} of a million");
    }

    proptest! {
        #[test]
        fn what_is_marked_is_known_and_tells_nearly_the_same_time(
            number: u32, at in 0..4_000_000_000_000_000_000u64, error in 0..i64::MAX, is_ptp: bool, len in 14..24usize,
        ) {
            let format = if is_ptp { Format::Ptp } else { Format::Ntp };
            let estimate = ErrorEstimate::within(Nanos(error)).in_format(format);
            let stamp = Timestamp::new(Wall(at), format);
            let marked = marked(number, stamp, estimate);
            prop_assert!(is_marked(&packet(number, marked, estimate, len)));
            prop_assert!(!is_marked(&packet(number, marked, estimate, 24)));
            let told = marked.wall(format).expect("a time");
            prop_assert!((told - stamp.wall(format).expect("a time")).abs() < COARSE);
        }
    }
}
