//! Rules about the pages that people read, and about what no page or source may hold.

use crate::tree::{File, files, files_ending, root};
use std::collections::BTreeSet;

#[test]
fn every_link_between_pages_leads_somewhere() {
    let mut broken = Vec::new();
    for page in files_ending(".md") {
        for target in links(&page.text) {
            if !resolves(&page, &target) {
                broken.push(format!("{}: {target}", page.path));
            }
        }
    }
    assert!(broken.is_empty(), "broken links:\n{}", broken.join("\n"));
}

#[test]
fn links_and_headings_are_read_as_they_are_shown() {
    let page = File {
        path: "docs/a.md".into(),
        text: "# The `x` of y\n[one](b.md#two) ![p](c.png) `[no](code)`\n```\n[no](d.md)\n```\n".into(),
    };
    assert_eq!(links(&page.text), ["b.md#two", "c.png"]);
    assert_eq!(anchors(&page.text), BTreeSet::from(["the-x-of-y".to_owned()]));
    assert_eq!(beside("docs/a/b.md", "../c.md"), "docs/c.md");
}

#[test]
fn every_dependency_has_its_reason_and_every_reason_its_dependency() {
    let manifest: toml::Table =
        toml::from_str(&std::fs::read_to_string(root().join("Cargo.toml")).unwrap()).unwrap();
    let used: BTreeSet<_> = manifest["workspace"]["dependencies"]
        .as_table()
        .unwrap()
        .iter()
        .filter(|(_, entry)| entry.get("path").is_none())
        .map(|(name, _)| name.clone())
        .collect();
    let page = std::fs::read_to_string(root().join("docs/dependencies.md")).unwrap();
    let explained: BTreeSet<_> = page
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once('`'))
        .map(|(name, _)| name.to_owned())
        .collect();
    assert_eq!(
        used, explained,
        "Cargo.toml (left) and docs/dependencies.md (right)"
    );
}

#[test]
fn every_counter_is_explained_to_those_who_read_it() {
    let read = |path: &str| std::fs::read_to_string(root().join(path)).unwrap();
    let pages = read("docs/serve.md") + &read("docs/ping.md");
    let source = read("base/src/count.rs");
    let names: Vec<_> = source
        .lines()
        .filter_map(|line| line.trim().strip_suffix("\",")?.split_once(" = \""))
        .map(|(_, name)| name)
        .collect();
    assert!(
        names.len() > 15,
        "the list of reasons in base/src/count.rs has another shape now: {names:?}"
    );
    for name in names {
        assert!(
            pages.contains(&format!("`{name}`")),
            "no page explains the counter {name}"
        );
    }
}

#[test]
fn every_dependency_comes_from_the_one_public_registry() {
    let lock: toml::Table =
        toml::from_str(&std::fs::read_to_string(root().join("Cargo.lock")).unwrap()).unwrap();
    for package in lock["package"].as_array().unwrap() {
        if let Some(source) = package.get("source") {
            let source = source.as_str().unwrap();
            assert_eq!(
                source, "registry+https://github.com/rust-lang/crates.io-index",
                "{package}"
            );
        }
    }
    let settings = std::fs::read_to_string(root().join(".cargo/config.toml")).unwrap();
    assert!(
        !settings.contains("regist") && !settings.contains("[source"),
        "{settings}"
    );
}

#[test]
fn no_file_names_a_place_on_the_machine_that_wrote_it() {
    // Written in halves so that this file does not find itself.
    let places = [
        concat!("/wo", "rk/"),
        concat!("/ho", "me/"),
        concat!("/ro", "ot/"),
        concat!("/Us", "ers/"),
    ];
    for file in files() {
        for place in places {
            assert!(!file.text.contains(place), "{} names {place}", file.path);
        }
    }
}

fn resolves(page: &File, target: &str) -> bool {
    if target.contains("://") || target.starts_with("mailto:") {
        return true;
    }
    let (path, anchor) = match target.split_once('#') {
        Some((path, anchor)) => (path, Some(anchor)),
        None => (target, None),
    };
    let place = if path.is_empty() {
        page.path.clone()
    } else {
        beside(&page.path, path)
    };
    let place = root().join(place);
    match anchor {
        None => place.exists(),
        Some(anchor) => std::fs::read_to_string(place).is_ok_and(|text| anchors(&text).contains(anchor)),
    }
}

/// The path of `target` as a link on the page `page` means it.
fn beside(page: &str, target: &str) -> String {
    let mut parts: Vec<_> = page.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            "." | "" => {}
            ".." => {
                parts.pop();
            }
            name => parts.push(name),
        }
    }
    parts.join("/")
}

/// The targets of a page's links, in their order.
fn links(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for line in prose(text) {
        // Every second piece between backticks is code.
        for piece in line.split('`').step_by(2) {
            let targets = piece
                .split("](")
                .skip(1)
                .filter_map(|rest| rest.split(')').next());
            found.extend(targets.map(str::to_owned));
        }
    }
    found
}

/// The names under which a page's headings can be linked to.
fn anchors(text: &str) -> BTreeSet<String> {
    prose(text)
        .filter(|line| line.starts_with('#'))
        .map(|line| {
            line.trim_start_matches('#')
                .trim()
                .to_lowercase()
                .chars()
                .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
                .map(|c| if c == ' ' { '-' } else { c })
                .collect()
        })
        .collect()
}

/// The lines of a page that are not in code blocks.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut in_code = false;
    text.lines().filter(move |line| {
        let fence = line.trim_start().starts_with("```");
        in_code ^= fence;
        !in_code && !fence
    })
}
