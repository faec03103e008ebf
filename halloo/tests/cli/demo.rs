//! `halloo demo`: the README's first command.

use crate::common::{halloo, stdout};
use std::fs;

#[test]
fn it_ends_with_a_result_and_the_files_that_it_names() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let output = halloo(&["demo", "--dir", &dir.path().display().to_string()]);
    let text = stdout(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    for protocol in [
        "udp://127.0.0.1:",
        "udp://[::1]:",
        "tcp://127.0.0.1:",
        "tcp://[::1]:",
    ] {
        assert!(text.contains(&format!("\n{protocol}")), "{protocol}: {text}");
    }
    // As root there is an IP echo host beside, where the host has addresses to spare.
    let asked = text.lines().filter(|line| {
        line.split(' ')
            .next()
            .is_some_and(|word| word.contains("://") || word.starts_with("sip:") || word.starts_with("sips:"))
    });
    let sessions = asked.count();
    assert!(sessions >= 4, "{text}");
    assert!(
        text.contains("\nip://") || text.contains("\nNo IP echo host: "),
        "it is there, or its absence is told: {text}"
    );
    let folder = text
        .lines()
        .find_map(|line| line.strip_prefix("Results are in ")?.strip_suffix(':'));
    let folder = folder.unwrap_or_else(|| panic!("no folder is named: {text}"));
    let names: Vec<_> = fs::read_dir(folder)
        .expect("the folder is there")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("text"))
        .collect();
    let count = |ending: &str| names.iter().filter(|name| name.ends_with(ending)).count();
    assert_eq!(
        (
            count(".log"),
            count("_timings.csv"),
            count("exchanges.csv"),
            count(".jsonl")
        ),
        (sessions, sessions, 1, 1)
    );
    let lines = fs::read_to_string(format!("{folder}/exchanges.jsonl")).expect("the JSON lines");
    let summaries = lines
        .lines()
        .filter(|line| line.contains("\"type\":\"summary\""))
        .count();
    assert_eq!(summaries, sessions);
}
