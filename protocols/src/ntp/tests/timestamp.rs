//! Instants and spans, both ways.

use super::*;
use crate::ntp::Short;
use proptest::prelude::*;

/// RFC 5905 figure 4: seconds of an era, and the Unix time of the same midnight (by the calendar).
const DATES: [(u64, u64); 4] = [
    (2_208_988_800, 0),
    (2_272_060_800, 63_072_000),
    (3_155_587_200, 946_598_400),
    (63_104, 2_086_041_600),
];

#[test]
fn the_dates_of_the_rfc_are_what_it_says() {
    for (seconds, unix) in DATES {
        let (stamp, wall) = (Timestamp(seconds << 32), Wall(unix * SECOND));
        assert_eq!(Timestamp::new(wall), stamp);
        for pivot in [
            wall,
            Wall(wall.0.saturating_sub(50 * 365 * 86_400 * SECOND)),
            Wall(wall.0 + 60 * 365 * 86_400 * SECOND),
        ] {
            assert_eq!(stamp.wall_near(pivot), Some(wall), "{seconds} about {pivot:?}");
        }
    }
}

#[test]
fn an_era_ends_without_a_jump() {
    let before = Wall(ERA_1.0 - 1);
    assert_eq!(Timestamp::new(before).0, 0xffff_ffff_ffff_fffb);
    let after = Wall(ERA_1.0 + 1);
    assert_eq!(Timestamp::new(after).0, 4);
    for pivot in [
        before,
        ERA_1,
        after,
        NOON,
        Wall(NOON.0 + 20 * 365 * 86_400 * SECOND),
    ] {
        assert_eq!(Timestamp::new(before).wall_near(pivot), Some(before));
        assert_eq!(Timestamp::new(after).wall_near(pivot), Some(after));
    }
    assert_eq!(
        Timestamp::new(ERA_1).wall_near(ERA_1),
        None,
        "the one instant that looks like none"
    );
    assert_eq!(Timestamp::new(after).since(Timestamp::new(before)), Nanos(2));
    assert_eq!(Timestamp::new(before).since(Timestamp::new(after)), Nanos(-2));
}

#[test]
fn what_no_wall_clock_holds_is_none() {
    let in_1969 = Timestamp((2_208_988_800 - 1) << 32);
    assert_eq!(in_1969.wall_near(Wall(0)), None);
    assert_eq!(in_1969.wall_near(NOON), None);
    assert_eq!(Timestamp::NONE.wall_near(NOON), None);
    let last = Wall(u64::MAX);
    assert_eq!(Timestamp::new(last).wall_near(last), Some(last));
    let next = Timestamp(Timestamp::new(last).0.wrapping_add(1 << 32));
    assert_eq!(next.wall_near(last), None);
}

#[test]
fn short_spans_are_never_told_as_shorter() {
    let table = [
        (0, 0, 0),
        (-5, 0, 0),
        (1, 1, 15_259),
        (15_258, 1, 15_259),
        (15_259, 2, 30_518),
        (250_000_000, 0x4000, 250_000_000),
        (1_000_000_000, 0x1_0000, 1_000_000_000),
        (1_000_000_001, 0x1_0001, 1_000_015_259),
        (65_536_000_000_000, u32::MAX, 65_535_999_984_742),
        (i64::MAX, u32::MAX, 65_535_999_984_742),
        (i64::MIN, 0, 0),
    ];
    for (nanos, units, told) in table {
        let short = Short::at_least(Nanos(nanos));
        assert_eq!((short, short.nanos()), (Short(units), Nanos(told)), "{nanos}");
    }
}

proptest! {
    #[test]
    fn an_instant_comes_back_to_the_nanosecond(nanos in 1_u64.., off in -2_100_000_000_i64..2_100_000_000) {
        let wall = Wall(nanos);
        let pivot = Wall(nanos.saturating_add_signed(off.saturating_mul(1_000_000_000)));
        let stamp = Timestamp::new(wall);
        prop_assume!(stamp != Timestamp::NONE);
        prop_assert_eq!(stamp.wall_near(pivot), Some(wall));
    }

    #[test]
    fn differences_are_those_of_the_instants(a in 0..u64::MAX / 2, span in 0..60_u64 * 365 * 86_400 * SECOND) {
        let (earlier, later) = (Timestamp::new(Wall(a)), Timestamp::new(Wall(a + span)));
        let span = span as i64;
        prop_assert!((later.since(earlier).0 - span).abs() <= 1);
        prop_assert!((earlier.since(later).0 + span).abs() <= 1);
    }

    #[test]
    fn no_bits_are_too_strange_to_be_looked_at(a: u64, b: u64, pivot: u64, short: u32) {
        let _told = (Timestamp(a).wall_near(Wall(pivot)), Timestamp(a).since(Timestamp(b)));
        let nanos = Short(short).nanos();
        let again = Short::at_least(nanos);
        prop_assert!(again == Short(short) || again.0 == short + 1, "{}", again.0);
        prop_assert!(again.nanos() >= nanos);
    }
}
