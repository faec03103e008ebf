//! Numbers and instants as people read them.

use halloo_base::{Nanos, Wall};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

/// Milliseconds with three decimals, as `ping` prints them: `0.412`.
pub(crate) fn millis(span: Nanos) -> String {
    format!("{:.3}", span.0 as f64 / 1e6)
}

/// A share in percent with at most three digits: `0`, `0.01`, `33.3`, `100`. Never 0 where something happened, never
/// 100 where something did not.
pub(crate) fn percent(part: u64, whole: u64) -> String {
    if part == 0 || whole == 0 {
        return "0".into();
    }
    if part >= whole {
        return "100".into();
    }
    let share = part as f64 * 100.0 / whole as f64;
    let decimals = match share {
        share if share >= 10.0 => 1,
        share if share >= 0.1 => 2,
        _ => 3,
    };
    let text = format!("{share:.decimals$}");
    match text.trim_end_matches('0').trim_end_matches('.') {
        "100" => ">99.9".into(),
        "0" => "<0.001".into(),
        text => text.to_owned(),
    }
}

/// A count with its noun in the right number: `1 probe`, `2 probes`.
pub(crate) fn counted(n: u64, noun: &str) -> String {
    if n == 1 {
        format!("1 {noun}")
    } else {
        format!("{n} {noun}s")
    }
}

/// The wall clock in local time to the microsecond: `2026-05-01 12:30:45.123456`.
pub(crate) fn local_time(at: Wall) -> String {
    format(at, "%Y-%m-%d %H:%M:%S%.6f")
}

/// The wall clock in local time as it stands in file names: `20260501_123045`.
pub(crate) fn file_time(at: Wall) -> String {
    format(at, "%Y%m%d_%H%M%S")
}

/// Unix seconds to the microsecond: `1777638645.123456`.
pub(crate) fn unix_time(at: Wall) -> String {
    format!("{}.{:06}", at.0 / 1_000_000_000, at.0 % 1_000_000_000 / 1_000)
}

fn format(at: Wall, pattern: &str) -> String {
    // Wall ends in the year 2554 and Timestamp in 9999, so the sum cannot overflow.
    let nanos = SignedDuration::new((at.0 / 1_000_000_000) as i64, (at.0 % 1_000_000_000) as i32);
    let stamp = Timestamp::UNIX_EPOCH
        .saturating_add(nanos)
        .unwrap_or(Timestamp::MAX);
    stamp.to_zoned(TimeZone::system()).strftime(pattern).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_keep_their_meaning_at_both_ends() {
        let table = [
            (0, 10, "0"),
            (0, 0, "0"),
            (1, 3, "33.3"),
            (1, 2, "50"),
            (1, 10_000, "0.01"),
            (1, 1_000_000, "<0.001"),
            (999_999, 1_000_000, ">99.9"),
            (10, 10, "100"),
            (5, 100, "5"),
        ];
        for (part, whole, text) in table {
            assert_eq!(percent(part, whole), text, "{part}/{whole}");
        }
    }

    #[test]
    fn spans_and_counts_read_like_ping() {
        assert_eq!(millis(Nanos(412_345)), "0.412");
        assert_eq!(millis(Nanos(12_345_678)), "12.346");
        assert_eq!(counted(1, "probe"), "1 probe");
        assert_eq!(counted(0, "probe"), "0 probes");
    }

    #[test]
    fn instants_have_fixed_shapes() {
        let at = Wall(1_777_638_645_123_456_789);
        assert_eq!(unix_time(at), "1777638645.123456");
        // The zone is the machine's own: only what no zone changes is compared.
        assert!(local_time(at).ends_with(":45.123456"), "{}", local_time(at));
        assert_eq!(local_time(at).len(), "2026-05-01 12:30:45.123456".len());
        let name = file_time(at);
        assert!(
            name.len() == 15 && name.as_bytes()[8] == b'_' && name.ends_with("45"),
            "{name}"
        );
    }
}
