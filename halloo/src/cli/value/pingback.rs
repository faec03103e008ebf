//! What `--pingback` asks for.

use super::duration;
use halloo_protocols::echo::asker::{Ask, Source};
use halloo_protocols::echo::pingback::PingbackOptions;
use std::time::Duration;

const FORM: &str = "must be N/D/S or N/D/S/FROM: so many datagrams, so far apart, after so long a silence, from `same`, \
                    `port` or `address` (3/100ms/30s/port)";
/// The gap travels in 32 bits of microseconds; above this it would not be what was said.
const LONGEST_GAP: Duration = Duration::from_secs(71 * 60);

pub(in crate::cli) fn parse_pingback(text: &str) -> Result<Ask, String> {
    let most = PingbackOptions::default();
    let parts: Vec<_> = text.split('/').collect();
    let (count, gap, silence, from) = match parts[..] {
        [count, gap, silence] => (count, gap, silence, "same"),
        [count, gap, silence, from] => (count, gap, silence, from),
        _ => return Err(FORM.into()),
    };
    let span =
        |letter: char, text: &str| duration(text).map_err(|why| format!("{letter} is `{text}`: {why}"));
    let ask = Ask {
        count: match count.parse() {
            Ok(count) if (1..=most.most_packets).contains(&count) => count,
            _ => {
                return Err(format!(
                    "N is `{count}`, but must be 1 to {}: no echo host sends more",
                    most.most_packets
                ));
            }
        },
        gap: span('D', gap)?,
        silence: span('S', silence)?,
        from: [Source::Same, Source::OtherPort, Source::OtherAddress]
            .into_iter()
            .find(|source| source.name() == from)
            .ok_or_else(|| format!("FROM is `{from}`, but must be same, port or address"))?,
    };
    if ask.gap < most.shortest_gap || ask.gap > LONGEST_GAP {
        return Err(format!(
            "D is `{gap}`, but must be 10ms to 71m: they come no closer together"
        ));
    }
    if ask.silence > most.longest_silence {
        return Err(format!(
            "S is `{silence}`, but must be 0 to 15m: no echo host waits longer"
        ));
    }
    Ok(ask)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_is_understood() {
        let ask = |count, gap, silence, from| Ask {
            count,
            gap: Duration::from_millis(gap),
            silence: Duration::from_millis(silence),
            from,
        };
        let table = [
            ("3/100ms/30s", ask(3, 100, 30_000, Source::Same)),
            ("1/1/0", ask(1, 1_000, 0, Source::Same)),
            ("16/10ms/15m/port", ask(16, 10, 900_000, Source::OtherPort)),
            ("2/0.5/1.5/address", ask(2, 500, 1_500, Source::OtherAddress)),
            ("2/1s/2s/same", ask(2, 1_000, 2_000, Source::Same)),
        ];
        for (text, expected) in table {
            assert_eq!(parse_pingback(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_named_with_what_would_be_right() {
        let table = [
            ("", "must be N/D/S or N/D/S/FROM"),
            ("3/100ms", "must be N/D/S or N/D/S/FROM"),
            ("3/1/1/same/x", "must be N/D/S or N/D/S/FROM"),
            ("0/1/1", "N is `0`, but must be 1 to 16"),
            ("17/1/1", "N is `17`, but must be 1 to 16"),
            ("x/1/1", "N is `x`, but must be 1 to 16"),
            ("3/soon/1", "D is `soon`: must be seconds (0.2)"),
            ("3/9ms/1", "D is `9ms`, but must be 10ms to 71m"),
            ("3/2h/1", "D is `2h`, but must be 10ms to 71m"),
            ("3/1/-1", "S is `-1`: must be seconds (0.2)"),
            ("3/1/16m", "S is `16m`, but must be 0 to 15m"),
            (
                "3/1/1/elsewhere",
                "FROM is `elsewhere`, but must be same, port or address",
            ),
        ];
        for (text, why) in table {
            let error = parse_pingback(text).expect_err("it is wrong");
            assert!(error.starts_with(why), "{text}: {error}");
        }
    }
}
