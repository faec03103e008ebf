//! What is wrong with a configuration file, and where.

use std::ops::Range;
use toml::de::{DeTable, DeValue};

/// `FILE:LINE:COLUMN: what is wrong`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {what}")]
pub(crate) struct ConfigError {
    place: String,
    what: String,
}

impl ConfigError {
    pub(super) fn unreadable(name: &str, error: &std::io::Error) -> ConfigError {
        ConfigError {
            place: name.to_owned(),
            what: format!("cannot be read: {error}"),
        }
    }

    /// Puts the parser's error into our words, with its place.
    pub(super) fn from_toml(name: &str, text: &str, error: &toml::de::Error) -> ConfigError {
        let span = error.span().unwrap_or(0..0);
        let key = enclosing_key(text, &span);
        let message = error.message().trim_end();
        let start = span.start + within_list(text, &span, message);
        let what = match (unknown_key(message), key) {
            (Some((unknown, known)), _) => unknown_words(unknown, &known),
            (None, Some(key)) => format!("{key}: {message}"),
            (None, None) => message.to_owned(),
        };
        ConfigError {
            place: place(name, text, start),
            what,
        }
    }

    /// An error about the value of a key that may have come from a default.
    pub(super) fn at_key(name: &str, text: &str, key: &str, why: &str) -> ConfigError {
        let at = span_of(text, key);
        let joint = if why.starts_with("is ") { " " } else { ": " };
        ConfigError {
            place: at.map_or_else(|| name.to_owned(), |span| place(name, text, span.start)),
            what: format!("{key}{joint}{why}"),
        }
    }
}

/// Line and column count from 1; columns are characters.
fn place(name: &str, text: &str, offset: usize) -> String {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or(before).chars().count() + 1;
    format!("{name}:{line}:{column}")
}

/// The parser places an error in a list at the list; the value that our message begins with is further on.
fn within_list(text: &str, span: &Range<usize>, message: &str) -> usize {
    let value = message
        .strip_prefix('`')
        .and_then(|rest| rest.split_once('`'))
        .map(|(value, _)| value);
    value
        .zip(text.get(span.clone()))
        .and_then(|(value, list)| list.find(&format!("\"{value}\"")))
        .unwrap_or(0)
}

/// The key of the parser's complaint about an unknown one, and those that it knows.
fn unknown_key(message: &str) -> Option<(&str, Vec<&str>)> {
    let mut quoted = message
        .strip_prefix("unknown field ")?
        .split('`')
        .skip(1)
        .step_by(2);
    Some((quoted.next()?, quoted.collect()))
}

fn unknown_words(unknown: &str, known: &[&str]) -> String {
    let near = known.iter().map(|key| (distance(unknown, key), *key)).min();
    match near {
        Some((far, key)) if far <= 2.max(unknown.len() / 3) => {
            format!("unknown key `{unknown}`; did you mean `{key}`?")
        }
        _ => format!("unknown key `{unknown}`; there are {}", known.join(", ")),
    }
}

/// Edits (insert, delete, replace, swap of neighbours) between two words.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![(0..=b.len()).collect::<Vec<_>>()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let change = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = change.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

/// The dotted key whose value lies around `span`.
fn enclosing_key(text: &str, span: &Range<usize>) -> Option<String> {
    fn search(table: &DeTable<'_>, span: &Range<usize>, path: &mut Vec<String>) -> bool {
        for (key, value) in table {
            path.push(key.get_ref().to_string());
            let found = match value.get_ref() {
                DeValue::Table(inner) if search(inner, span, path) => true,
                // A table's own span is its header, and an error there is not about one key.
                DeValue::Table(_) => value.span().start == span.start && value.span().end >= span.end,
                _ => value.span().start <= span.start && span.end <= value.span().end,
            };
            if found {
                return true;
            }
            path.pop();
        }
        false
    }
    let table = DeTable::parse(text).ok()?;
    let mut path = vec![];
    search(table.get_ref(), span, &mut path).then(|| path.join("."))
}

/// Where the value of a dotted key is, or that of the nearest table around it.
fn span_of(text: &str, key: &str) -> Option<Range<usize>> {
    let table = DeTable::parse(text).ok()?;
    let mut span = None;
    let mut table = table.get_ref();
    for part in key.split('.') {
        let Some((found, value)) = table.iter().find(|(key, _)| key.get_ref() == part) else {
            break;
        };
        span = Some(if value.get_ref().is_table() {
            found.span()
        } else {
            value.span()
        });
        match value.get_ref() {
            DeValue::Table(inner) => table = inner,
            _ => break,
        }
    }
    span
}
