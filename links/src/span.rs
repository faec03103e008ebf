//! Spans of time as settings write them.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::fmt;
use std::time::Duration;

/// A span, written as seconds or a number with one of the units `us`, `ms`, `s`, `m` and `h`: `"0.2"`, `"200ms"`,
/// `"10m"`. At most a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub Duration);

impl Span {
    const LONGEST: Duration = Duration::from_secs(86_400);
    const WANTED: &str = "must be seconds (0.2) or a number with a unit: 50us, 200ms, 1.5s, 10m, 1h";

    /// So many milliseconds.
    pub const fn ms(count: u64) -> Span {
        Span(Duration::from_millis(count))
    }

    /// So many seconds.
    pub const fn secs(count: u64) -> Span {
        Span(Duration::from_secs(count))
    }

    /// Understands a span.
    ///
    /// # Errors
    /// What would be right, in words.
    pub fn parse(text: &str) -> Result<Span, &'static str> {
        let split = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
        let (number, unit) = text.split_at(split);
        let nanos_per_unit = match unit {
            "us" => 1e3,
            "ms" => 1e6,
            "" | "s" => 1e9,
            "m" => 60e9,
            "h" => 3_600e9,
            _ => return Err(Span::WANTED),
        };
        if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
            return Err(Span::WANTED);
        }
        let value: f64 = number.parse().map_err(|_| Span::WANTED)?;
        let nanos = (value * nanos_per_unit).round();
        if nanos > Span::LONGEST.as_nanos() as f64 {
            return Err("must not be more than a day");
        }
        Ok(Span(Duration::from_nanos(nanos as u64)))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = self.0.as_micros();
        match micros {
            0 => f.write_str("0s"),
            _ if micros.is_multiple_of(1_000_000) => write!(f, "{}s", micros / 1_000_000),
            _ if micros.is_multiple_of(1_000) => write!(f, "{}ms", micros / 1_000),
            _ => write!(f, "{micros}us"),
        }
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Span, D::Error> {
        let text = String::deserialize(from)?;
        Span::parse(&text).map_err(|why| de::Error::custom(format!("`{text}`: {why}")))
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_as_they_are_written() {
        let table = [
            ("0.2", 200_000, "200ms"),
            ("10m", 600_000_000, "600s"),
            ("1.5s", 1_500_000, "1500ms"),
            ("50us", 50, "50us"),
            ("0", 0, "0s"),
        ];
        for (text, micros, written) in table {
            let span = Span::parse(text).expect("a span");
            assert_eq!(span.0.as_micros(), micros, "{text}");
            assert_eq!(span.to_string(), written);
            assert_eq!(Span::parse(written), Ok(span));
        }
        for wrong in ["", "s", "5 s", "1d", "-1s", "1.2.3s", "25h"] {
            assert!(Span::parse(wrong).is_err(), "{wrong}");
        }
    }
}
