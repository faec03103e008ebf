use super::*;
use std::collections::HashSet;

#[test]
fn clap_finds_no_fault_with_the_command_line() {
    command().debug_assert();
}

#[test]
fn every_command_has_help_and_examples_and_every_option_a_line() {
    let root = command();
    for sub in root.get_subcommands().filter(|sub| !sub.is_hide_set()) {
        let name = sub.get_name();
        assert!(sub.get_about().is_some(), "{name} has no help");
        let simple = ["check", "completions"].contains(&name);
        let long = sub.get_long_about().map(ToString::to_string).unwrap_or_default();
        assert!(simple || long.len() > 200, "{name} is not explained");
        let after = sub
            .get_after_long_help()
            .map(ToString::to_string)
            .unwrap_or_default();
        assert!(after.contains("EXAMPLES:"), "{name} has no examples");
        for arg in sub.get_arguments() {
            assert!(arg.get_help().is_some(), "{name} {} has no help", arg.get_id());
        }
    }
}

#[test]
fn every_example_in_the_help_parses() {
    let mut seen = HashSet::new();
    for sub in std::iter::once(command()).chain(command().get_subcommands().cloned()) {
        let after = sub
            .get_after_long_help()
            .map(ToString::to_string)
            .unwrap_or_default();
        for line in after.lines().filter_map(|line| line.trim().strip_prefix("$ ")) {
            let line = line.strip_prefix("sudo ").unwrap_or(line);
            let words: Vec<_> = line
                .split_whitespace()
                .take_while(|word| !matches!(*word, "|" | ">"))
                .collect();
            if let Err(error) = Cli::try_parse_from(&words) {
                panic!("{line}\n{error}");
            }
            seen.insert(words[1].to_owned());
        }
    }
    for name in [
        "serve",
        "ping",
        "nat",
        "echo-client",
        "check",
        "demo",
        "completions",
    ] {
        assert!(seen.contains(name), "no example of {name}");
    }
}

fn ping(words: &[&str]) -> PingArgs {
    let line = ["halloo", "ping"].iter().chain(words);
    match Cli::try_parse_from(line)
        .expect("a command line that parses")
        .command
    {
        Command::Ping(args) => args,
        other => panic!("{other:?}"),
    }
}

#[test]
fn ping_has_the_defaults_of_the_seed() {
    let args = ping(&["x"]);
    assert_eq!((args.size, args.count), (None, 0));
    assert_eq!(args.interval, Interval::Every(std::time::Duration::from_secs(1)));
    assert_eq!(args.timeout, std::time::Duration::from_secs(5));
}

#[test]
fn a_sweep_has_a_pace_and_a_count_of_its_own() {
    let every = |ms| Interval::Every(std::time::Duration::from_millis(ms));
    let args = ping(&["--spread", "64", "x"]);
    assert_eq!((args.interval, args.count), (every(10), 20));
    let args = ping(&["--spread", "64", "-i", "2ms", "-c", "0", "x"]);
    assert_eq!((args.interval, args.count), (every(2), 0));
}

#[test]
fn frequency_is_another_name_of_interval() {
    assert_eq!(
        ping(&["--frequency", "0.2", "x"]).interval,
        ping(&["-i", "200ms", "x"]).interval
    );
}

#[test]
fn a_wrong_value_names_its_option_and_what_would_be_right() {
    let table: &[(&[&str], &[&str])] = &[
        (&["-i", "soon", "x"], &["--interval", "must be seconds (0.2)"]),
        (&["-W", "0", "x"], &["--timeout", "must be more than 0"]),
        (&["--dscp", "64", "x"], &["--dscp", "must be 0 to 63"]),
        (&["--ttl", "0", "x"], &["--ttl", "1..="]),
        (
            &["-I", "a/b", "x"],
            &["--link", "neither an address nor a device name"],
        ),
        (
            &["--ecn", "4", "x"],
            &["--ecn", "must be ect0, ect1, ce, not-ect"],
        ),
        (&["--spread", "1", "x"], &["--spread", "2..=1024"]),
        (&["--pmtu", "-c", "3", "x"], &["--pmtu", "--count"]),
        (&["--pmtu", "--spread", "8", "x"], &["--pmtu", "--spread"]),
        (
            &["--spread", "8", "--csv-wide", "f", "x"],
            &["--spread", "--csv-wide"],
        ),
        (&["--window", "0", "x"], &["--window", "1..=4096"]),
        (&["gopher://x"], &["TARGET", "unknown protocol `gopher`"]),
        (&["-4", "-6", "x"], &["--ipv4", "--ipv6"]),
        (&[], &["TARGET"]),
    ];
    for (words, expected) in table {
        let line = ["halloo", "ping"].iter().chain(*words);
        let error = Cli::try_parse_from(line).expect_err("a wrong command line");
        assert_eq!(error.exit_code(), 2, "{words:?}");
        let text = error.to_string();
        assert!(
            expected.iter().all(|part| text.contains(part)),
            "{words:?}: {text}"
        );
    }
}
