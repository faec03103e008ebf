//! Both formats and the error estimate.

use super::super::timestamp::{ErrorEstimate, Format, Timestamp};
use halloo_base::{Nanos, Wall};
use proptest::prelude::*;

const SECOND: u64 = 1_000_000_000;
/// The last second that both formats hold is the one before: they end in the same one of 2106.
const END: u64 = (1 << 32) * SECOND;

#[test]
fn instants_that_others_have_computed() {
    // RFC 5905 figure 4: the first day UNIX, and the first of NTP's era 1; the fraction of half a second.
    let table = [
        (1, Format::Ntp, 0x83aa_7e80_0000_0004),
        (SECOND / 2, Format::Ntp, 0x83aa_7e80_8000_0000),
        (2_085_978_496 * SECOND + 1, Format::Ntp, 0x0000_0000_0000_0004),
        (
            2_085_978_495 * SECOND + 999_999_999,
            Format::Ntp,
            0xffff_ffff_ffff_fffc,
        ),
        (1, Format::Ptp, 1),
        (
            1_700_000_000 * SECOND + 999_999_999,
            Format::Ptp,
            0x6553_f100_3b9a_c9ff,
        ),
    ];
    for (nanos, format, bits) in table {
        assert_eq!(Timestamp::new(Wall(nanos), format), Timestamp(bits), "{nanos}");
        assert_eq!(Timestamp(bits).wall(format), Some(Wall(nanos)), "{bits:x}");
    }
}

#[test]
fn zero_is_no_time_and_neither_are_more_nanoseconds_than_a_second_has() {
    assert_eq!(Timestamp::NONE.wall(Format::Ntp), None);
    assert_eq!(Timestamp::NONE.wall(Format::Ptp), None);
    assert_eq!(
        Timestamp(5 << 32 | 999_999_999).wall(Format::Ptp),
        Some(Wall(5_999_999_999))
    );
    assert_eq!(Timestamp(5 << 32 | 1_000_000_000).wall(Format::Ptp), None);
    assert_eq!(Timestamp(5 << 32 | 0xffff_ffff).wall(Format::Ptp), None);
}

#[test]
fn a_fraction_that_rounds_up_is_the_next_second() {
    let almost = Timestamp(0x83aa_7e80_ffff_ffff);
    assert_eq!(almost.wall(Format::Ntp), Some(Wall(SECOND)));
}

#[test]
fn an_error_estimate_says_what_its_bits_say() {
    let table = [
        (0x8001, true, Format::Ntp, true, Some(1)),
        (0x8001 | 32 << 8, true, Format::Ntp, true, Some(1_000_000_000)),
        (0xc001 | 32 << 8, true, Format::Ptp, true, Some(1_000_000_000)),
        (0x80ff, true, Format::Ntp, true, Some(60)),
        (0x8000 | 15 << 8 | 0x84, true, Format::Ntp, true, Some(1_007_081)),
        (0x0001, false, Format::Ntp, true, None),
        (0x8000, true, Format::Ntp, false, None),
        (0x4000 | 5 << 8, false, Format::Ptp, false, None),
        (0xbfff, true, Format::Ntp, true, None),
        (ErrorEstimate::UNKNOWN.0, false, Format::Ntp, true, None),
    ];
    for (bits, synchronised, format, valid, bound) in table {
        let estimate = ErrorEstimate(bits);
        assert_eq!(
            (
                estimate.is_synchronised(),
                estimate.format(),
                estimate.is_valid(),
                estimate.bound()
            ),
            (synchronised, format, valid, bound.map(Nanos)),
            "{bits:04x}"
        );
    }
}

#[test]
fn the_format_of_an_error_estimate_is_a_bit_of_its_own() {
    let estimate = ErrorEstimate(0x8f84);
    assert_eq!(estimate.in_format(Format::Ptp), ErrorEstimate(0xcf84));
    assert_eq!(estimate.in_format(Format::Ptp).in_format(Format::Ntp), estimate);
}

#[test]
fn no_error_and_the_largest_can_be_told() {
    for (nanos, bits) in [(i64::MIN, 0x8001), (0, 0x8001), (1, 0x8005), (1_000_000, 0x8f84)] {
        assert_eq!(
            ErrorEstimate::within(Nanos(nanos)),
            ErrorEstimate(bits),
            "{nanos}"
        );
    }
    let largest = ErrorEstimate::within(Nanos(i64::MAX));
    assert_eq!(largest, ErrorEstimate(0x8000 | 58 << 8 | 0x8a));
    assert_eq!(largest.bound(), None, "it is rounded up");
    // 1,023 units of 2^-32 s need 255.75 of the scale 2.
    assert_eq!(ErrorEstimate::within(Nanos(238)), ErrorEstimate(0x8380));
}

proptest! {
    #[test]
    fn an_instant_survives_either_format_to_the_nanosecond(nanos in 1..END) {
        for format in [Format::Ntp, Format::Ptp] {
            let written = Timestamp::new(Wall(nanos), format);
            prop_assume!(written != Timestamp::NONE);
            prop_assert_eq!(written.wall(format), Some(Wall(nanos)), "{:?}", format);
        }
    }

    #[test]
    fn any_bits_are_an_instant_or_none(bits: u64, estimate: u16) {
        for format in [Format::Ntp, Format::Ptp] {
            if let Some(at) = Timestamp(bits).wall(format) {
                let again = Timestamp::new(at, format);
                // A nanosecond is more than four of NTP's units.
                prop_assert!(again.0.abs_diff(bits) <= 3, "{:x}", bits);
            }
            prop_assert!(Timestamp::new(Wall(bits), format).0 < u64::MAX);
        }
        if let Some(bound) = ErrorEstimate(estimate).bound() {
            prop_assert!(bound > Nanos::ZERO);
        }
    }

    #[test]
    fn an_error_is_told_no_smaller_than_it_is_and_less_than_a_hundredth_larger(nanos in 0..i64::MAX / 2) {
        let told = ErrorEstimate::within(Nanos(nanos));
        prop_assert!(told.is_valid() && told.is_synchronised() && told.format() == Format::Ntp);
        let bound = told.bound().expect("less than 292 years").0;
        prop_assert!(bound >= nanos && bound - nanos <= nanos / 127 + 1, "{} {}", nanos, bound);
    }
}
