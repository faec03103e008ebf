//! Command lines as the original programs read them (Boost.Program_options, with its words for what is wrong).
//!
//! clap would understand most of it, but neither take every form that scripts use nor say the same about the others.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::str::FromStr;

/// One option.
#[derive(Debug)]
pub(super) struct Flag {
    /// Its name behind two dashes.
    pub(super) long: &'static str,
    /// Its name behind one dash.
    pub(super) short: Option<char>,
    /// What its value is called in the help; empty for an option without value.
    pub(super) value: &'static str,
    /// Whether it may be given more than once.
    pub(super) repeats: bool,
    /// Whether the original program has it too. Only then it may be shortened to what tells it from the others, so
    /// that an option of ours never makes a short form ambiguous that scripts use.
    pub(super) original: bool,
    /// What it does.
    pub(super) help: &'static str,
}

/// What is wrong, in Boost's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ArgumentError {
    #[error("unrecognised option '{0}'")]
    Unknown(String),
    #[error("option '--{0}' is ambiguous and matches {1}")]
    Ambiguous(String, String),
    #[error("the required argument for option '--{0}' is missing")]
    Missing(&'static str),
    #[error("option '--{0}' does not take any arguments")]
    Extra(&'static str),
    #[error("the argument for option '--{0}' should follow immediately after the equal sign")]
    EmptyAdjacent(&'static str),
    #[error("option '--{0}' cannot be specified more than once")]
    Repeated(&'static str),
    #[error("the argument ('{1}') for option '--{0}' is invalid")]
    Invalid(&'static str, String),
}

/// What was given, by long name.
#[derive(Debug, Default)]
pub(super) struct Given {
    values: BTreeMap<&'static str, Vec<String>>,
}

/// Reads a command line. A word that is neither an option nor an option's value is the value of `positional`.
pub(super) fn parse(
    flags: &'static [Flag],
    positional: &'static str,
    words: impl IntoIterator<Item = OsString>,
) -> Result<Given, ArgumentError> {
    let mut words = words
        .into_iter()
        .map(|word| word.to_string_lossy().into_owned())
        .peekable();
    let mut given = Given::default();
    let mut only_positional = false;
    while let Some(word) = words.next() {
        let is_option = !only_positional && word.len() > 1 && word.starts_with('-');
        if !is_option {
            given.add(positional, false, word)?;
        } else if word == "--" {
            only_positional = true;
        } else if let Some(long) = word.strip_prefix("--") {
            let (name, adjacent) = match long.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (long, None),
            };
            let flag = find_long(flags, name)?;
            if adjacent == Some("") {
                return Err(ArgumentError::EmptyAdjacent(flag.long));
            }
            given.take(flags, flag, adjacent, &mut words)?;
        } else {
            let mut rest = &word[1..];
            while let Some(letter) = rest.chars().next() {
                let flag = find_short(flags, letter)?;
                rest = &rest[letter.len_utf8()..];
                if !flag.value.is_empty() {
                    given.take(
                        flags,
                        flag,
                        Some(rest).filter(|rest| !rest.is_empty()),
                        &mut words,
                    )?;
                    break;
                }
                given.add(flag.long, flag.repeats, String::new())?;
            }
        }
    }
    Ok(given)
}

impl Given {
    /// Adds an option whose value stands beside it or comes next.
    fn take(
        &mut self,
        flags: &'static [Flag],
        flag: &'static Flag,
        adjacent: Option<&str>,
        words: &mut std::iter::Peekable<impl Iterator<Item = String>>,
    ) -> Result<(), ArgumentError> {
        let value = match (flag.value.is_empty(), adjacent) {
            (true, Some(_)) => return Err(ArgumentError::Extra(flag.long)),
            (true, None) => String::new(),
            (false, Some(value)) => value.to_owned(),
            // `-o -5` has a value, `-o -c` has none.
            (false, None) => words
                .next_if(|next| !is_known(flags, next))
                .ok_or(ArgumentError::Missing(flag.long))?,
        };
        self.add(flag.long, flag.repeats, value)
    }

    fn add(&mut self, long: &'static str, repeats: bool, value: String) -> Result<(), ArgumentError> {
        let values = self.values.entry(long).or_default();
        if !repeats && !values.is_empty() {
            return Err(ArgumentError::Repeated(long));
        }
        values.push(value);
        Ok(())
    }

    /// Whether the option is there.
    pub(super) fn has(&self, long: &'static str) -> bool {
        self.values.contains_key(long)
    }

    /// The option's value.
    pub(super) fn text(&self, long: &'static str) -> Option<&str> {
        self.all(long).next()
    }

    /// All values of an option that repeats.
    pub(super) fn all(&self, long: &'static str) -> impl Iterator<Item = &str> {
        self.values.get(long).into_iter().flatten().map(String::as_str)
    }

    /// The option's value as something else.
    pub(super) fn value<T: FromStr>(&self, long: &'static str) -> Result<Option<T>, ArgumentError> {
        self.with(long, |text| text.parse().ok())
    }

    /// The option's value as `read` understands it.
    pub(super) fn with<T>(
        &self,
        long: &'static str,
        read: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<T>, ArgumentError> {
        self.text(long)
            .map(|text| read(text).ok_or_else(|| ArgumentError::Invalid(long, text.to_owned())))
            .transpose()
    }
}

/// A 64-bit number as C++ streams read it: a negative one counts down from 2^64.
pub(super) fn wrapping(text: &str) -> Option<u64> {
    match text.strip_prefix('-') {
        Some(negative) if !negative.starts_with('+') => negative.parse().ok().map(u64::wrapping_neg),
        Some(_) => None,
        None => text.parse().ok(),
    }
}

fn find_long(flags: &'static [Flag], name: &str) -> Result<&'static Flag, ArgumentError> {
    if let Some(exact) = flags.iter().find(|flag| flag.long == name) {
        return Ok(exact);
    }
    let matches: Vec<_> = flags
        .iter()
        .filter(|flag| flag.original && flag.long.starts_with(name))
        .collect();
    match matches[..] {
        _ if name.is_empty() => Err(ArgumentError::Unknown("--".into())),
        [] => Err(ArgumentError::Unknown(format!("--{name}"))),
        [only] => Ok(only),
        [.., last] => {
            let mut names = String::new();
            for flag in &matches[..matches.len() - 1] {
                names += &format!("'--{}', ", flag.long);
            }
            Err(ArgumentError::Ambiguous(
                name.to_owned(),
                format!("{names}and '--{}'", last.long),
            ))
        }
    }
}

fn find_short(flags: &'static [Flag], letter: char) -> Result<&'static Flag, ArgumentError> {
    flags
        .iter()
        .find(|flag| flag.short == Some(letter))
        .ok_or_else(|| ArgumentError::Unknown(format!("-{letter}")))
}

/// Whether the word is an option that we know.
fn is_known(flags: &'static [Flag], word: &str) -> bool {
    match (word.strip_prefix("--"), word.strip_prefix('-')) {
        (Some(long), _) => find_long(flags, long.split('=').next().unwrap_or(long)).is_ok(),
        (None, Some(short)) => short
            .chars()
            .next()
            .is_some_and(|letter| find_short(flags, letter).is_ok()),
        (None, None) => false,
    }
}

/// The options, a line or more each, those of the original first.
pub(super) fn help(flags: &[Flag]) -> String {
    /// Where what an option does begins.
    const COLUMN: usize = 28;
    const WIDTH: usize = 78;
    let mut text = String::new();
    for original in [true, false] {
        let shown: Vec<_> = flags
            .iter()
            .filter(|flag| flag.original == original && !flag.help.is_empty())
            .collect();
        if shown.is_empty() {
            continue;
        }
        text += if original {
            "Options:\n"
        } else {
            "\nBeyond ndn-tools:\n"
        };
        for flag in shown {
            let short = flag.short.map_or("   ".into(), |letter| format!("-{letter},"));
            let mut line = format!("  {short} --{} {}", flag.long, flag.value)
                .trim_end()
                .to_owned();
            for word in flag.help.split(' ') {
                if line.len() < COLUMN {
                    line = format!("{line:<COLUMN$}{word}");
                } else if line.len() + 1 + word.len() > WIDTH || line.len() == COLUMN {
                    text += &format!("{line}\n");
                    line = format!("{:COLUMN$}{word}", "");
                } else {
                    line += &format!(" {word}");
                }
            }
            text += &format!("{line}\n");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn flag(long: &'static str, short: Option<char>, value: &'static str, original: bool) -> Flag {
        Flag {
            long,
            short,
            value,
            repeats: false,
            original,
            help: "does something that takes a line and a half to tell, so that the second line is seen",
        }
    }

    static FLAGS: &[Flag] = &[
        flag("interval", Some('i'), "MS", true),
        flag("identifier", Some('p'), "ID", true),
        flag("cache", Some('a'), "", true),
        flag("timestamp", Some('t'), "", true),
        flag("prefix", None, "NAME", true),
        flag("interest", None, "", false),
    ];

    fn read(words: &str) -> Result<Vec<(&'static str, String)>, String> {
        let given = parse(FLAGS, "prefix", words.split_whitespace().map(OsString::from));
        let given = given.map_err(|error| error.to_string())?;
        let all = given.values.into_iter();
        Ok(all.map(|(long, values)| (long, values.join("|"))).collect())
    }

    #[test]
    fn every_form_is_understood() {
        let interval = |value: &str| vec![("interval", value.to_owned())];
        for words in [
            "--interval=5",
            "--interval 5",
            "-i 5",
            "-i5",
            "--inter 5",
            "--in=5",
        ] {
            assert_eq!(read(words), Ok(interval("5")), "{words}");
        }
        assert_eq!(read("-i -5"), Ok(interval("-5")));
        assert_eq!(read("-i=5"), Ok(interval("=5")));
        let switches = vec![
            ("cache", String::new()),
            ("interval", "7".into()),
            ("timestamp", String::new()),
        ];
        assert_eq!(read("-ati7"), Ok(switches));
        let prefix = |value: &str| vec![("prefix", value.to_owned())];
        for words in ["/x", "--prefix /x", "-- /x", "--pre=/x"] {
            assert_eq!(read(words), Ok(prefix("/x")), "{words}");
        }
        assert_eq!(read("-- -i"), Ok(prefix("-i")));
        assert_eq!(read("-"), Ok(prefix("-")));
    }

    #[test]
    fn what_is_wrong_is_told_in_the_known_words() {
        let table = [
            ("--bogus", "unrecognised option '--bogus'"),
            ("-x", "unrecognised option '-x'"),
            ("-ax", "unrecognised option '-x'"),
            (
                "--i 5",
                "option '--i' is ambiguous and matches '--interval', and '--identifier'",
            ),
            (
                "--inter",
                "the required argument for option '--interval' is missing",
            ),
            ("-i", "the required argument for option '--interval' is missing"),
            (
                "-i -a",
                "the required argument for option '--interval' is missing",
            ),
            (
                "-i --cache",
                "the required argument for option '--interval' is missing",
            ),
            ("--cache=5", "option '--cache' does not take any arguments"),
            (
                "--interval=",
                "the argument for option '--interval' should follow immediately after the equal sign",
            ),
            ("/x /y", "option '--prefix' cannot be specified more than once"),
            ("-aa", "option '--cache' cannot be specified more than once"),
            ("--interes", "unrecognised option '--interes'"),
        ];
        for (words, text) in table {
            assert_eq!(read(words), Err(text.to_owned()), "{words}");
        }
    }

    #[test]
    fn values_have_types() {
        let given = parse(FLAGS, "prefix", ["-i", "x", "-p", "7"].map(OsString::from)).expect("it parses");
        let error = given.value::<i64>("interval").expect_err("no number").to_string();
        assert_eq!(error, "the argument ('x') for option '--interval' is invalid");
        assert_eq!(given.value::<i64>("identifier"), Ok(Some(7)));
        assert_eq!(given.value::<i64>("prefix"), Ok(None));
    }

    #[test]
    fn numbers_below_zero_count_down_from_the_end() {
        let table = [
            ("0", Some(0)),
            ("-1", Some(u64::MAX)),
            ("18446744073709551615", Some(u64::MAX)),
            ("18446744073709551616", None),
            ("-", None),
            ("-+1", None),
            ("1.5", None),
        ];
        for (text, number) in table {
            assert_eq!(wrapping(text), number, "{text}");
        }
    }

    #[test]
    fn help_keeps_to_the_width_of_a_terminal() {
        let text = help(FLAGS);
        assert!(text.lines().all(|line| line.len() <= 78), "{text}");
        let expected = "Options:\n  -i, --interval MS         does something";
        assert!(text.starts_with(expected), "{text}");
        assert!(text.contains("\nBeyond ndn-tools:\n      --interest"), "{text}");
    }
}
