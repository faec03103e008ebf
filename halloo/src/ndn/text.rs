//! What `ndnping` and `ndnpingserver` print, to the byte: programs read it.

use halloo_base::{Nanos, Wall};
use halloo_probe::Statistic;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use std::fmt;

/// A number as C++ streams print it unless told otherwise (`%g`): six significant digits, no zeros at the end.
pub(super) struct General(pub(super) f64);

/// The lines of a client that asks under one prefix.
pub(super) struct ClientText {
    prefix: String,
}

/// What has become of a client's probes. Those under way are not counted yet.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Tally {
    /// Probes that have come to an end.
    pub(super) sent: u64,
    /// Those that Data came back for.
    pub(super) received: u64,
    /// Those that came back as a Nack.
    pub(super) nacked: u64,
    /// Round trips of what was received.
    pub(super) rtt: Option<Statistic>,
}

/// The lines of a server that answers under one prefix.
pub(super) struct ServerText {
    prefix: String,
}

impl ClientText {
    /// `prefix` is in its URI form, without the `ping` behind it.
    pub(super) fn new(prefix: impl fmt::Display) -> ClientText {
        ClientText {
            prefix: prefix.to_string(),
        }
    }

    pub(super) fn start(&self) -> String {
        format!("PING {}", self.prefix)
    }

    pub(super) fn content(&self, seq: u64, rtt: Nanos) -> String {
        format!("content from {}: seq={seq} time={} ms", self.prefix, millis(rtt))
    }

    pub(super) fn nack(&self, seq: u64, rtt: Nanos, reason: &str) -> String {
        format!(
            "nack from {}: seq={seq} time={} ms reason={reason}",
            self.prefix,
            millis(rtt)
        )
    }

    pub(super) fn timeout(&self, seq: u64) -> String {
        format!("timeout from {}: seq={seq}", self.prefix)
    }

    /// The last lines, beginning with an empty one.
    pub(super) fn statistics(&self, tally: &Tally) -> String {
        let sum = tally.rtt.as_ref().map_or(Nanos(0), |rtt| rtt.sum);
        let mut text = format!(
            "\n--- {} ping statistics ---\n{} packets transmitted, {} received, {} nacked{}, time {} ms",
            self.prefix,
            tally.sent,
            tally.received,
            tally.nacked,
            tally.shares(),
            millis(sum)
        );
        if let Some(rtt) = &tally.rtt {
            text += &format!("\nrtt {}", spread(rtt));
        }
        text
    }

    /// The line in between, for who asks how it goes.
    pub(super) fn running(tally: &Tally) -> String {
        let mut text = format!("{}/{} packets{}", tally.received, tally.sent, tally.shares());
        if let Some(rtt) = &tally.rtt {
            text += &format!(", {}", spread(rtt));
        }
        text
    }

    /// What the original does not tell.
    pub(super) fn percentiles(rtt: &Statistic) -> String {
        format!(
            "rtt p50/p90/p99/p99.9 = {}/{}/{}/{} ms",
            millis(rtt.p50),
            millis(rtt.p90),
            millis(rtt.p99),
            millis(rtt.p999)
        )
    }
}

impl Tally {
    /// Probes that nothing came back for.
    pub(super) fn lost(&self) -> u64 {
        self.sent.saturating_sub(self.received + self.nacked)
    }

    /// `, 25% lost, 0% nacked`; nothing where nothing was sent.
    fn shares(&self) -> String {
        if self.sent == 0 {
            return String::new();
        }
        let share = |part: u64| General(part as f64 / self.sent as f64 * 100.0);
        format!(", {}% lost, {}% nacked", share(self.lost()), share(self.nacked))
    }
}

impl ServerText {
    /// `prefix` is in its URI form, without the `ping` behind it.
    pub(super) fn new(prefix: impl fmt::Display) -> ServerText {
        ServerText {
            prefix: prefix.to_string(),
        }
    }

    pub(super) fn start(&self) -> String {
        format!("PING SERVER {}", self.prefix)
    }

    /// `last` is the last component of the Interest's name in its URI form.
    pub(super) fn interest(last: &str) -> String {
        format!("interest received: seq={last}")
    }

    /// The last lines, beginning with an empty one.
    pub(super) fn statistics(&self, answered: u64) -> String {
        format!(
            "\n--- {} ping server statistics ---\n{answered} packets processed",
            self.prefix
        )
    }
}

/// What stands before a line under `--timestamp`: UTC to the microsecond, in the short form of ISO 8601 as Boost
/// prints it, which leaves a fraction of zero out.
pub(super) fn timestamp(at: Wall) -> String {
    // Wall ends in the year 2554 and Timestamp in 9999, so the sum cannot overflow.
    let nanos = SignedDuration::new((at.0 / 1_000_000_000) as i64, (at.0 % 1_000_000_000) as i32);
    let stamp = Timestamp::UNIX_EPOCH
        .saturating_add(nanos)
        .unwrap_or(Timestamp::MAX);
    let pattern = match at.0 % 1_000_000_000 / 1_000 {
        0 => "%Y%m%dT%H%M%S - ",
        _ => "%Y%m%dT%H%M%S%.6f - ",
    };
    stamp.to_zoned(TimeZone::UTC).strftime(pattern).to_string()
}

fn millis(span: Nanos) -> General {
    General(span.0 as f64 / 1e6)
}

fn spread(rtt: &Statistic) -> String {
    format!(
        "min/avg/max/mdev = {}/{}/{}/{} ms",
        millis(rtt.min),
        millis(rtt.mean),
        millis(rtt.max),
        millis(rtt.mdev)
    )
}

impl fmt::Display for General {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DIGITS: i32 = 6;
        if self.0 == 0.0 || !self.0.is_finite() {
            return write!(f, "{}", self.0);
        }
        let scientific = format!("{:.*e}", DIGITS as usize - 1, self.0);
        // Rust always writes the `e` and a decimal exponent behind it.
        let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
        let exponent: i32 = exponent.parse().unwrap_or(0);
        if (-4..DIGITS).contains(&exponent) {
            let decimals = (DIGITS - 1 - exponent) as usize;
            return f.write_str(trimmed(&format!("{:.decimals$}", self.0)));
        }
        let sign = if exponent < 0 { '-' } else { '+' };
        write!(f, "{}e{sign}{:02}", trimmed(mantissa), exponent.abs())
    }
}

/// Without zeros behind the point, and without the point where nothing is left behind it.
fn trimmed(number: &str) -> &str {
    if number.contains('.') {
        number.trim_end_matches('0').trim_end_matches('.')
    } else {
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statistic(count: u64, [min, mean, max, mdev]: [i64; 4]) -> Statistic {
        Statistic {
            count,
            sum: Nanos(mean * count as i64),
            min: Nanos(min),
            mean: Nanos(mean),
            p50: Nanos(mean),
            p90: Nanos(max),
            p99: Nanos(max),
            p999: Nanos(max),
            max: Nanos(max),
            mdev: Nanos(mdev),
        }
    }

    #[test]
    fn numbers_have_six_digits_and_no_zeros_behind_them() {
        let table = [
            (0.0, "0"),
            (1.0, "1"),
            (100.0, "100"),
            (33.333_333_333, "33.3333"),
            (1.356_44, "1.35644"),
            (0.107_2, "0.1072"),
            (0.000_123_456_78, "0.000123457"),
            (0.000_099_999_96, "0.0001"),
            (0.000_012_345_67, "1.23457e-05"),
            (999_999.4, "999999"),
            (999_999.5, "1e+06"),
            (5_396_580.0, "5.39658e+06"),
            (123_456.0, "123456"),
            (-2.5, "-2.5"),
            (1e100, "1e+100"),
        ];
        for (number, text) in table {
            assert_eq!(General(number).to_string(), text);
        }
    }

    #[test]
    fn a_probe_is_one_line() {
        let text = ClientText::new("/edu/arizona");
        assert_eq!(text.start(), "PING /edu/arizona");
        assert_eq!(
            text.content(18_446_744_073_709_551_614, Nanos(1_356_440)),
            "content from /edu/arizona: seq=18446744073709551614 time=1.35644 ms"
        );
        assert_eq!(
            text.nack(7, Nanos(500_000), "NoRoute"),
            "nack from /edu/arizona: seq=7 time=0.5 ms reason=NoRoute"
        );
        assert_eq!(text.timeout(8), "timeout from /edu/arizona: seq=8");
    }

    #[test]
    fn statistics_end_the_run() {
        let text = ClientText::new("/x");
        let nothing = Tally::default();
        assert_eq!(
            text.statistics(&nothing),
            "\n--- /x ping statistics ---\n0 packets transmitted, 0 received, 0 nacked, time 0 ms"
        );
        let some = Tally {
            sent: 6,
            received: 3,
            nacked: 1,
            rtt: Some(statistic(3, [500_000, 2_600_000, 5_250_000, 1_234_567])),
        };
        assert_eq!(
            text.statistics(&some),
            "\n--- /x ping statistics ---\n6 packets transmitted, 3 received, 1 nacked, 33.3333% lost, 16.6667% \
             nacked, time 7.8 ms\nrtt min/avg/max/mdev = 0.5/2.6/5.25/1.23457 ms"
        );
        let uneven = Tally {
            sent: 3,
            received: 3,
            nacked: 0,
            rtt: Some(Statistic {
                sum: Nanos(1_503_556),
                ..statistic(3, [380_867, 501_185, 621_177, 98_106])
            }),
        };
        assert!(text.statistics(&uneven).contains(", time 1.50356 ms\n"));
        let none = Tally {
            sent: 2,
            received: 0,
            nacked: 0,
            rtt: None,
        };
        assert_eq!(
            text.statistics(&none),
            "\n--- /x ping statistics ---\n2 packets transmitted, 0 received, 0 nacked, 100% lost, 0% nacked, time 0 \
             ms"
        );
    }

    #[test]
    fn the_line_in_between_is_short() {
        assert_eq!(ClientText::running(&Tally::default()), "0/0 packets");
        let some = Tally {
            sent: 4,
            received: 4,
            nacked: 0,
            rtt: Some(statistic(4, [1_000_000, 2_000_000, 3_000_000, 0])),
        };
        assert_eq!(
            ClientText::running(&some),
            "4/4 packets, 0% lost, 0% nacked, min/avg/max/mdev = 1/2/3/0 ms"
        );
    }

    #[test]
    fn percentiles_have_a_line_of_their_own() {
        let rtt = statistic(9, [1, 2_000_000, 3_500_000, 0]);
        assert_eq!(
            ClientText::percentiles(&rtt),
            "rtt p50/p90/p99/p99.9 = 2/3.5/3.5/3.5 ms"
        );
    }

    #[test]
    fn the_server_names_what_it_is_asked() {
        let text = ServerText::new("/edu/arizona");
        assert_eq!(text.start(), "PING SERVER /edu/arizona");
        assert_eq!(
            ServerText::interest("seq=4660"),
            "interest received: seq=seq=4660"
        );
        assert_eq!(
            text.statistics(12),
            "\n--- /edu/arizona ping server statistics ---\n12 packets processed"
        );
    }

    #[test]
    fn timestamps_are_utc_and_drop_a_fraction_of_zero() {
        assert_eq!(
            timestamp(Wall(1_777_638_645_123_456_789)),
            "20260501T123045.123456 - "
        );
        assert_eq!(
            timestamp(Wall(1_777_638_645_000_050_000)),
            "20260501T123045.000050 - "
        );
        assert_eq!(timestamp(Wall(1_777_638_645_000_000_999)), "20260501T123045 - ");
    }
}
