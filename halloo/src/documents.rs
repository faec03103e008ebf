//! What the documents say, held against the program.

use crate::cli::Cli;
use crate::config::DIALECTS;
use clap::Parser as _;
use std::path::{Path, PathBuf};
use std::{fs, iter};

/// A page about a protocol is a screen: this many lines, and a few.
const SCREEN: usize = 65;

fn root() -> &'static Path {
    let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    crate_folder.parent().expect("the workspace is above")
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn folder(path: &str) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
    entries.map(|entry| entry.expect("it can be read").path())
}

/// The pages that people read, with their names.
fn pages() -> Vec<(String, String)> {
    let at_root = ["README.md", "CONTRIBUTING.md", "SECURITY.md"].map(|name| root().join(name));
    let pages = at_root.into_iter().chain(folder("docs"));
    let pages = pages.filter(|path| path.extension().is_some_and(|extension| extension == "md"));
    pages
        .map(|path| {
            let text = fs::read_to_string(&path).expect("a page");
            (path.display().to_string(), text)
        })
        .collect()
}

/// The lines of a page between fences.
fn fenced(page: &str) -> impl Iterator<Item = &str> {
    page.split("```").skip(1).step_by(2).flat_map(str::lines)
}

/// The words of a line for a shell, up to a comment or a pipe; `None` if it does not start halloo.
fn command(line: &str) -> Option<Vec<String>> {
    let line = line.trim();
    let line = line.strip_prefix("$ ").unwrap_or(line);
    let line = line.strip_prefix("sudo ").unwrap_or(line);
    if !line.starts_with("halloo ") {
        return None;
    }
    let mut words = vec![String::new()];
    let mut quote = None;
    for letter in line.chars() {
        match (quote, letter) {
            (Some(open), letter) if letter == open => quote = None,
            (None, '\'' | '"') => quote = Some(letter),
            (None, ' ') => words.push(String::new()),
            (_, letter) => words.last_mut().expect("one is there").push(letter),
        }
    }
    let is_end = |word: &String| matches!(word.as_str(), "#" | "|" | ">" | "&");
    let words = words.into_iter().take_while(|word| !is_end(word));
    // What only the reader knows.
    let known = |word: String| word.replace("FINGERPRINT", &"0".repeat(64));
    Some(words.filter(|word| !word.is_empty()).map(known).collect())
}

#[test]
fn every_command_in_the_documents_is_understood() {
    let mut seen = 0;
    for (name, page) in pages() {
        // An option that is said to be one, as in `halloo ping [options]`, is none.
        for line in fenced(&page).filter(|line| !line.contains("[options]")) {
            let Some(words) = command(line) else { continue };
            if let Err(error) = Cli::try_parse_from(&words) {
                panic!("{name}: {line}\n{error}");
            }
            seen += 1;
        }
    }
    assert!(seen > 50, "{seen} commands");
}

#[test]
fn words_are_told_apart_as_a_shell_does() {
    let words = |line| command(line).map(|words| words.join("|"));
    assert_eq!(
        words("$ sudo halloo ping  \"sip:a;b c\" # x"),
        Some("halloo|ping|sip:a;b c".into())
    );
    assert_eq!(
        words("halloo ping 'ntp://[::1]' | jq ."),
        Some("halloo|ping|ntp://[::1]".into())
    );
    assert_eq!(words("halloo: listening"), None);
}

#[test]
fn every_dialect_has_a_page_a_fuzz_target_a_row_of_abuse_and_a_peer_or_a_story() {
    let readme = read("README.md");
    let abuse = read("sim/tests/abuse/table.rs");
    let targets = read("fuzz/README.md");
    for dialect in DIALECTS {
        // What is the same under TLS is told and tested with it.
        let plain = dialect.key.strip_suffix('s').unwrap_or(dialect.key);
        let is_known = DIALECTS.iter().any(|other| other.key == plain);
        let family = if is_known { plain } else { dialect.key };
        let page = format!("docs/{family}.md");

        for protocol in iter::chain(dialect.udp, dialect.tcp) {
            let scheme = format!("`{}:", protocol.scheme);
            let row = readme
                .lines()
                .find(|line| line.starts_with('|') && line.contains(&scheme));
            let row = row.unwrap_or_else(|| panic!("README.md has no row with {scheme}"));
            assert!(row.contains(&page), "README.md: {scheme} has no {page}");
        }
        let text = read(&page);
        let lines = text.lines().count();
        assert!(lines <= SCREEN, "{page} has {lines} lines");
        let commands: Vec<_> = fenced(&text).filter_map(command).collect();
        for verb in ["serve", "ping"] {
            let is_shown = commands
                .iter()
                .any(|words| words.get(1).is_some_and(|word| word == verb));
            assert!(is_shown, "{page} shows no `halloo {verb}`");
        }
        assert!(text.contains("RFC "), "{page} names no source");

        // QUIC and TLS are read by libraries, which their makers fuzz.
        let is_ours = family != "quic";
        let has_target = targets.contains(&format!("| `{family}_"));
        assert!(has_target || !is_ours, "no fuzz target for {family}");
        if dialect.udp.is_some() && is_ours {
            let row = format!("protocol: &{family}::");
            assert!(abuse.contains(&row), "sim/tests/abuse/table.rs has no {row}");
        }
        let places = [
            format!("halloo/tests/dialects/{family}.rs"),
            format!("sim/tests/stories/{family}.rs"),
            format!("web/tests/{family}/main.rs"),
            format!("{family}/src/testing.rs"),
        ];
        let is_met = places.iter().any(|place| root().join(place).exists());
        assert!(is_met, "{family} has no peer and no story in {places:?}");
    }
}

#[test]
fn a_page_about_a_protocol_is_a_screen() {
    for name in ["icmp", "ip-echo", "ndn"] {
        let lines = read(&format!("docs/{name}.md")).lines().count();
        assert!(lines <= SCREEN, "docs/{name}.md has {lines} lines");
    }
}
