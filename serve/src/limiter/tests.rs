use super::*;
use crate::harness::SECRET;
use proptest::prelude::*;
use std::cell::Cell;

const YEAR: u64 = 366 * 24 * 3600 * SECOND;
const START: u64 = 12_345_678_901;

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

const EVEN: ReplyLimit = ReplyLimit::SameAsRequest;
const LONGER: ReplyLimit = ReplyLimit::Extra(24);

/// Some public address, another one for each number.
fn stranger(number: u32) -> IpAddr {
    IpAddr::V4((0x0800_0000 + number).into())
}

fn limiter(limits: &Limits) -> Limiter {
    limits.check().expect("limits in range");
    Limiter::new(limits, SECRET)
}

fn rate(per_second: u32, burst: u32) -> Option<Rate> {
    Some(Rate { per_second, burst })
}

fn only_per_source(per_second: u32, burst: u32) -> Limits {
    Limits {
        per_source: rate(per_second, burst),
        all: None,
        ..Limits::default()
    }
}

#[test]
fn a_source_is_warned_once_a_second_and_all_a_hundred_times() {
    let mut limiter = limiter(&Limits::default());
    let mut warned = |now, from| limiter.may_warn(Mono(now), from);
    assert!(warned(START, stranger(0)));
    assert!(!warned(START, stranger(0)));
    assert!(!warned(START + SECOND - 1, stranger(0)));
    assert!(warned(START + SECOND, stranger(0)));
    let at = START + 9 * SECOND;
    let count = |now, warned: &mut dyn FnMut(u64, IpAddr) -> bool| {
        (1..5_000).filter(|&number| warned(now, stranger(number))).count()
    };
    assert_eq!(count(at, &mut warned), 100);
    assert_eq!(count(at + SECOND / 2, &mut warned), 50);
}

#[test]
fn nobody_is_warned_where_nobody_has_a_share() {
    let mut limiter = limiter(&Limits {
        per_source: None,
        ..Limits::default()
    });
    assert!(!limiter.may_warn(Mono(START), stranger(0)));
}

fn ask(limiter: &mut Limiter, now: u64, from: IpAddr) -> Result<(), Reason> {
    limiter.admit(Mono(now), from, 1, EVEN, || Trust::Stranger)
}

fn ask_validated(limiter: &mut Limiter, now: u64, from: IpAddr) -> Result<(), Reason> {
    limiter.admit(Mono(now), from, 1, EVEN, || Trust::Validated)
}

/// How many of `tries` datagrams at one instant pass.
fn at_once(limiter: &mut Limiter, now: u64, from: IpAddr, tries: usize) -> usize {
    (0..tries).filter(|_| ask(limiter, now, from).is_ok()).count()
}

#[test]
fn by_default_a_stranger_has_a_burst_and_then_its_rate() {
    let mut limiter = limiter(&Limits::default());
    let from = stranger(1);
    assert_eq!(at_once(&mut limiter, START, from, 12_000), 10_000);
    assert_eq!(ask(&mut limiter, START, from), Err(Reason::RateLimited));
    assert_eq!(at_once(&mut limiter, START + SECOND, from, 12_000), 2_000);
    assert_eq!(at_once(&mut limiter, START + SECOND + 499_999, from, 9), 0);
    assert_eq!(at_once(&mut limiter, START + SECOND + 500_000, from, 9), 1);
}

#[test]
fn by_default_all_strangers_share_two_hundred_thousand() {
    let mut limiter = limiter(&Limits::default());
    let passed: usize = (0..25)
        .map(|n| at_once(&mut limiter, START, stranger(n), 10_000))
        .sum();
    assert_eq!(passed, 200_000);
    assert_eq!(
        ask(&mut limiter, START, stranger(99)),
        Err(Reason::RateLimitedAll)
    );
    let later = START + SECOND / 100;
    let passed: usize = (100..200)
        .map(|n| at_once(&mut limiter, later, stranger(n), 10_000))
        .sum();
    assert_eq!(passed, 2_000);
}

#[test]
fn a_refusal_takes_nothing_from_either_bucket() {
    let limits = Limits {
        per_source: rate(1, 3),
        all: rate(1, 4),
        ..Limits::default()
    };
    let mut limiter = limiter(&limits);
    assert_eq!(
        at_once(&mut limiter, START, stranger(1), 100),
        3,
        "its own bucket is empty"
    );
    assert_eq!(
        at_once(&mut limiter, START, stranger(2), 100),
        1,
        "the refused left the last of all"
    );
    // Now all is empty, and refills by one a second; the second source's own bucket must still hold two.
    assert_eq!(at_once(&mut limiter, START + SECOND, stranger(2), 100), 1);
    assert_eq!(at_once(&mut limiter, START + SECOND, stranger(2), 100), 0);
    assert_eq!(at_once(&mut limiter, START + 2 * SECOND, stranger(2), 100), 1);
}

#[test]
fn a_source_is_an_ipv4_address_or_an_ipv6_64() {
    let mut limiter = limiter(&only_per_source(1, 5));
    assert_eq!(at_once(&mut limiter, START, ip("2001:db8::1"), 9), 5);
    assert_eq!(at_once(&mut limiter, START, ip("2001:db8::dead:beef"), 9), 0);
    assert_eq!(at_once(&mut limiter, START, ip("2001:db8:0:1::1"), 9), 5);
    assert_eq!(at_once(&mut limiter, START, ip("8.0.0.1"), 9), 5);
    assert_eq!(at_once(&mut limiter, START, ip("8.0.0.2"), 9), 5);
}

#[test]
fn local_sources_are_unlimited_unless_configured() {
    let narrow = Limits {
        per_source: rate(1, 1),
        all: rate(1, 1),
        ..Limits::default()
    };
    let locals = [
        "127.0.0.1",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.0.1",
        "169.254.0.1",
        "::1",
        "fd00::1",
        "fe80::1",
    ];
    let mut unlimited = limiter(&narrow);
    let mut configured = limiter(&Limits {
        per_local_source: rate(1, 7),
        ..narrow
    });
    for from in locals.map(ip) {
        assert_eq!(at_once(&mut unlimited, START, from, 100), 100, "{from}");
        assert_eq!(at_once(&mut configured, START, from, 100), 7, "{from}");
    }
    for limiter in [&mut unlimited, &mut configured] {
        assert_eq!(
            at_once(limiter, START, stranger(1), 9),
            1,
            "locals took nothing from strangers"
        );
    }
}

#[test]
fn a_flood_of_strangers_leaves_a_validated_client_alone() {
    let mut limiter = limiter(&Limits::default());
    for n in 0..300_000 {
        // Every tenth datagram is forged to come from the validated client.
        let _ = ask(
            &mut limiter,
            START,
            if n % 10 == 0 { stranger(0) } else { stranger(n) },
        );
    }
    assert_eq!(ask(&mut limiter, START, stranger(0)), Err(Reason::RateLimitedAll));
    let passed = (0..150_000)
        .filter(|_| ask_validated(&mut limiter, START, stranger(0)).is_ok())
        .count();
    assert_eq!(passed, 100_000);
    assert_eq!(
        ask_validated(&mut limiter, START, stranger(0)),
        Err(Reason::RateLimited)
    );
    let later = START + SECOND / 1_000;
    for _ in 0..1_000 {
        let _ = ask(&mut limiter, later, stranger(1));
    }
    let passed = (0..50)
        .filter(|_| ask_validated(&mut limiter, later, stranger(0)).is_ok())
        .count();
    assert_eq!(passed, 20);
}

#[test]
fn proof_is_asked_for_only_where_a_stranger_is_refused() {
    let mut limiter = limiter(&only_per_source(1, 2));
    let asked = Cell::new(0);
    let trust = || {
        asked.set(asked.get() + 1);
        Trust::Stranger
    };
    assert_eq!(limiter.admit(Mono(START), stranger(1), 1, EVEN, trust), Ok(()));
    assert_eq!(limiter.admit(Mono(START), ip("10.0.0.1"), 1, EVEN, trust), Ok(()));
    assert_eq!(limiter.admit(Mono(START), stranger(1), 1, EVEN, trust), Ok(()));
    assert_eq!(asked.get(), 0);
    assert_eq!(
        limiter.admit(Mono(START), stranger(1), 1, EVEN, trust),
        Err(Reason::RateLimited)
    );
    assert_eq!(asked.get(), 1);
}

#[test]
fn longer_replies_have_a_stricter_bucket_for_strangers() {
    let limits = Limits {
        all: None,
        ..Limits::default()
    };
    let mut limiter = Limiter::new(&limits, SECRET);
    let mut at_once = |now, trust| {
        let ask = |_: &u32| limiter.admit(Mono(now), stranger(1), 1, LONGER, || trust).is_ok();
        (0..200_000).filter(ask).count()
    };
    assert_eq!(at_once(START, Trust::Stranger), 500);
    assert_eq!(at_once(START + SECOND, Trust::Stranger), 100);
    assert_eq!(at_once(START + 2 * SECOND, Trust::Validated), 100 + 100_000);
    assert!(
        ask(&mut limiter, START + 2 * SECOND, stranger(1)).is_ok(),
        "even ones are counted apart"
    );
}

#[test]
fn longer_replies_have_a_stricter_bucket_for_all_strangers_together_too() {
    let mut limiter = Limiter::new(&Limits::default(), SECRET);
    let ask = |number: &u32| {
        let admitted = limiter.admit(Mono(START), stranger(*number), 1, LONGER, || Trust::Stranger);
        admitted.is_ok()
    };
    let answered = (0..20_000).filter(ask).count();
    assert_eq!(answered, 10_000);
}

#[test]
fn without_limits_everything_passes_and_no_table_is_held() {
    let limits = Limits {
        per_source: None,
        all: None,
        ..Limits::default()
    };
    let mut limiter = limiter(&limits);
    assert_eq!(at_once(&mut limiter, START, stranger(1), 100_000), 100_000);
    assert!(limiter.table.sets.is_empty());
}

#[test]
fn silence_of_years_earns_one_burst() {
    let mut limiter = limiter(&only_per_source(3, 10));
    for now in [
        0,
        START,
        START + YEAR,
        START + 500 * YEAR,
        u64::MAX - 100 * SECOND,
    ] {
        assert_eq!(at_once(&mut limiter, now, stranger(1), 50), 10, "at {now}");
    }
}

#[test]
fn the_end_of_time_refuses_and_does_not_overflow() {
    let mut limiter = limiter(&only_per_source(1, u32::MAX));
    assert_eq!(at_once(&mut limiter, u64::MAX - 5 * SECOND, stranger(1), 100), 5);
    assert_eq!(at_once(&mut limiter, u64::MAX, stranger(1), 100), 0);
}

#[test]
fn a_clock_that_goes_back_gives_nothing_for_free() {
    let mut limiter = limiter(&only_per_source(1, 5));
    assert_eq!(at_once(&mut limiter, START, stranger(1), 9), 5);
    assert_eq!(at_once(&mut limiter, START - SECOND, stranger(1), 9), 0);
}

#[test]
fn an_odd_rate_does_not_drift() {
    let mut limiter = limiter(&only_per_source(7, 100));
    let hour = 3_600;
    let seconds = (0..=hour).map(|second| second * SECOND);
    let passed: usize = seconds
        .map(|now| at_once(&mut limiter, now, stranger(1), 200))
        .sum();
    // The spacing of 142,857,142.9 ns is rounded up by 0.1 ns: that is 18 us in the hour, not one datagram.
    assert!(
        (100 + 7 * 3_600 - 1..=100 + 7 * 3_600).contains(&passed),
        "{passed}"
    );
}

#[test]
fn a_rate_that_is_no_whole_number_of_nanoseconds_is_not_exceeded() {
    // 16.7 ns apart, so 17: 58,823,529 a second.
    let mut limiter = limiter(&only_per_source(60_000_000, 1));
    let asked = (0..=17_000).filter(|ns| ask(&mut limiter, START + ns, stranger(1)).is_ok());
    assert_eq!(asked.count(), 1 + 1_000);
}

#[test]
fn sources_beyond_the_table_forget_the_fullest_bucket_and_keep_the_emptiest() {
    let limits = Limits {
        sources: 64,
        ..only_per_source(10, 20)
    };
    let mut limiter = limiter(&limits);
    let greedy = stranger(0);
    assert_eq!(at_once(&mut limiter, START, greedy, 50), 20);
    for n in 1..100_000 {
        assert_eq!(
            ask(&mut limiter, START, stranger(n)),
            Ok(()),
            "a newcomer is not made to pay"
        );
    }
    assert_eq!(
        ask(&mut limiter, START, greedy),
        Err(Reason::RateLimited),
        "the greedy one is remembered"
    );
    assert_eq!(limiter.table.sets.len() * WAYS, 64);
}

#[test]
fn the_default_table_is_a_megabyte_of_cache_lines() {
    assert_eq!((size_of::<Set>(), align_of::<Set>()), (64, 64));
    assert_eq!(size_of_val(&*limiter(&Limits::default()).table.sets), 1 << 20);
    let odd = limiter(&Limits {
        sources: 1_001,
        ..Limits::default()
    });
    assert_eq!(odd.table.sets.len(), 256);
}

#[test]
fn another_secret_is_another_order() {
    let tags = |secret| {
        let table = Table::new(0, secret);
        [1, 2, 3].map(|n| table.tag(Class::Stranger, Source::V4(n)))
    };
    assert_ne!(tags(SECRET), tags(Secret::new([1; 16])));
    assert_eq!(tags(SECRET), tags(SECRET));
}

type Change = fn(&mut Limits);

#[test]
fn every_limit_is_checked_by_its_name() {
    let set = |change: Change| {
        let mut limits = Limits::default();
        change(&mut limits);
        limits
            .check()
            .err()
            .map(|error| error.to_string())
            .unwrap_or_default()
    };
    let table: [(Change, &str); 11] = [
        (|_| {}, ""),
        (
            |l| l.per_source = rate(0, 1),
            "limits.per_source.per_second is 0, but must be 1 to 100000000",
        ),
        (
            |l| l.per_source = rate(1, 0),
            "limits.per_source.burst is 0, but must be 1 to 4294967295",
        ),
        (
            |l| l.all = rate(0, 1),
            "limits.all.per_second is 0, but must be 1 to 100000000",
        ),
        (
            |l| l.all = rate(1, 0),
            "limits.all.burst is 0, but must be 1 to 4294967295",
        ),
        (
            |l| l.per_local_source = rate(100_000_001, 1),
            "limits.per_local_source.per_second is 100000001, but must be 1 to 100000000",
        ),
        (
            |l| l.per_local_source = rate(1, 0),
            "limits.per_local_source.burst is 0, but must be 1 to 4294967295",
        ),
        (
            |l| l.validated_share = 0,
            "limits.validated_share is 0, but must be 1 to 1000",
        ),
        (
            |l| l.longer_reply_divisor = 0,
            "limits.longer_reply_divisor is 0, but must be 1 to 1000000",
        ),
        (
            |l| l.sources = 3,
            "limits.sources is 3, but must be 4 to 16777216",
        ),
        (
            |l| l.sources = 16_777_217,
            "limits.sources is 16777217, but must be 4 to 16777216",
        ),
    ];
    for (change, expected) in table {
        assert_eq!(set(change), expected);
    }
}

/// Whether in some span between two of these instants more passed than burst and rate allow.
fn exceeds(passed: &[u64], rate: Rate) -> bool {
    let spans = (0..passed.len()).flat_map(|i| (i..passed.len()).map(move |j| (i, j)));
    spans.into_iter().any(|(i, j)| {
        let above = (j - i + 1) as i128 - i128::from(rate.burst);
        above * i128::from(SECOND) > i128::from(rate.per_second) * i128::from(passed[j] - passed[i])
    })
}

fn gap() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), 0..2_000u64, 0..2_000_000u64, 0..2 * SECOND, 0..2 * YEAR]
}

proptest! {
    #[test]
    fn no_span_of_time_holds_more_than_burst_and_rate(
        per_second in prop_oneof![1u32..10, 1u32..100_000, 1u32..=100_000_000],
        burst in 1u32..20,
        gaps in prop::collection::vec((gap(), 0u32..3), 1..150),
    ) {
        let own = Rate { per_second, burst };
        let all = Rate { per_second: per_second.div_ceil(2), burst: burst + 3 };
        let limits = Limits { per_source: Some(own), all: Some(all), ..Limits::default() };
        let mut limiter = limiter(&limits);
        let (mut now, mut passed, mut passed_all) = (START, [const { Vec::new() }; 3], Vec::new());
        for (gap, source) in gaps {
            now += gap;
            if ask(&mut limiter, now, stranger(source)).is_ok() {
                passed[source as usize].push(now);
                passed_all.push(now);
            }
        }
        prop_assert!(passed.iter().all(|passed| !exceeds(passed, own)));
        prop_assert!(!exceeds(&passed_all, all));
    }

    #[test]
    fn who_keeps_to_the_rate_is_never_refused(
        per_second in 1u32..=100_000_000,
        burst in 1u32..20,
        slack in prop::collection::vec(0u64..1_000_000, 1..100),
    ) {
        let mut limiter = limiter(&only_per_source(per_second, burst));
        let mut now = START;
        for slack in slack {
            prop_assert_eq!(ask(&mut limiter, now, stranger(1)), Ok(()));
            now += SECOND.div_ceil(u64::from(per_second)) + slack;
        }
    }
}
