//! Rules about the source files.

use crate::tree::{files_ending, root};

/// Crates that are pure: time is an argument, randomness is seeded, the world is elsewhere.
const CORES: &[&str] = &["base", "protocols", "serve", "probe", "links", "overlay"];

/// What each core's clippy.toml must refuse.
const BANNED: &[&str] = &[
    "std::time::Instant::now",
    "std::time::SystemTime::now",
    "std::thread::sleep",
    "std::thread::spawn",
    "std::net::UdpSocket",
    "std::net::TcpStream",
    "std::net::TcpListener",
];

/// Where `unsafe` may stand, and why.
const UNSAFE: &[(&str, &str)] = &[
    ("io/src/sys/", "the calls that no safe crate offers"),
    (
        "counting/src/lib.rs",
        "nothing else lets a test count allocations",
    ),
];

/// Crate roots that cannot forbid it, and why.
const NOT_FORBIDDING: &[(&str, &str)] = &[
    ("io/src/lib.rs", "its sys folder is the home of such code"),
    ("fuzz/src/main.rs", "libFuzzer's macro makes a C function"),
    (
        "counting/src/lib.rs",
        "an allocator is made by a trait that needs it",
    ),
];

/// More lines than this, and a file is two files.
const LONGEST: usize = 600;

/// Tests are read one at a time.
const LONGEST_TESTS: usize = 800;

#[test]
fn every_core_refuses_clocks_sockets_threads_and_sleep() {
    for core in CORES {
        let path = root().join(core).join("clippy.toml");
        let bans: toml::Table = toml::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        let banned: Vec<_> = ["disallowed-methods", "disallowed-types"]
            .iter()
            .filter_map(|list| bans.get(*list)?.as_array())
            .flatten()
            .filter_map(|ban| ban.get("path").or(Some(ban))?.as_str())
            .collect();
        for ban in BANNED {
            assert!(banned.contains(ban), "{} does not refuse {ban}", path.display());
        }
    }
}

#[test]
fn every_crate_forbids_unsafe_code_but_where_it_lives() {
    for file in files_ending(".rs") {
        let is_root = file.path.ends_with("src/lib.rs") || file.path.ends_with("src/main.rs");
        if is_root && !NOT_FORBIDDING.iter().any(|(root, _)| *root == file.path) {
            assert!(
                file.text.contains("#![forbid(unsafe_code)]"),
                "{} does not forbid it",
                file.path
            );
        }
    }
}

#[test]
fn unsafe_code_stays_where_it_lives() {
    for file in files_ending(".rs") {
        if UNSAFE.iter().any(|(home, _)| file.path.starts_with(home)) {
            continue;
        }
        for (number, line) in file.text.lines().enumerate() {
            assert!(!has_unsafe(line), "{}:{}: {line}", file.path, number + 1);
        }
    }
}

#[test]
fn the_word_is_found_in_code_and_not_in_comments_or_longer_names() {
    let keyword = concat!("un", "safe");
    assert!(has_unsafe(&format!("    {keyword} {{ libc::getpid() }}")));
    assert!(has_unsafe(&format!("{keyword} impl Send for X {{}}")));
    assert!(!has_unsafe(&format!("// {keyword} would be wrong here")));
    assert!(!has_unsafe(&format!("#![forbid({keyword}_code)]")));
}

#[test]
fn files_are_short_enough_to_read() {
    let long: Vec<_> = files_ending(".rs")
        .iter()
        .map(|file| (file.path.clone(), file.text.lines().count()))
        .filter(|(path, lines)| {
            let tests = path.ends_with("/tests.rs") || path.contains("/tests/");
            *lines > if tests { LONGEST_TESTS } else { LONGEST }
        })
        .collect();
    assert!(long.is_empty(), "{long:?}");
}

fn has_unsafe(line: &str) -> bool {
    let code = line.split("//").next().unwrap_or_default();
    // The two halves are written apart so that this file does not find itself.
    code.match_indices(concat!("un", "safe")).any(|(at, word)| {
        let is_name = |c: char| c.is_alphanumeric() || c == '_';
        let before = code[..at].chars().next_back();
        let after = code[at + word.len()..].chars().next();
        !before.is_some_and(is_name) && !after.is_some_and(is_name)
    })
}
