//! Which crate may import which.

use cargo_metadata::{DependencyKind, MetadataCommand, Package};

/// A crate of the workspace and what it may import of the others. ARCHITECTURE.md says the same in words.
struct Room {
    name: &'static str,
    imports: &'static [&'static str],
}

const ROOMS: &[Room] = &[
    Room {
        name: "halloo-base",
        imports: &[],
    },
    Room {
        name: "halloo-protocols",
        imports: &["halloo-base"],
    },
    Room {
        name: "halloo-serve",
        imports: &["halloo-base"],
    },
    Room {
        name: "halloo-probe",
        imports: &["halloo-base"],
    },
    Room {
        name: "halloo-overlay",
        imports: &["halloo-base", "halloo-probe"],
    },
    Room {
        name: "halloo-links",
        imports: &["halloo-base", "halloo-probe"],
    },
    Room {
        name: "halloo-io",
        imports: &["halloo-base"],
    },
    Room {
        name: "halloo-sim",
        imports: &["halloo-base"],
    },
    Room {
        name: "halloo-lab",
        imports: &["halloo-base"],
    },
    Room {
        name: "halloo-counting",
        imports: &[],
    },
    Room {
        name: "halloo-tls",
        imports: &["halloo-base"],
    },
    Room {
        name: "halloo-quic",
        imports: &["halloo-base", "halloo-tls"],
    },
    Room {
        name: "halloo-web",
        imports: &["halloo-base", "halloo-protocols", "halloo-serve", "halloo-quic"],
    },
    Room {
        name: "halloo",
        imports: &[
            "halloo-base",
            "halloo-protocols",
            "halloo-serve",
            "halloo-probe",
            "halloo-io",
            "halloo-tls",
            "halloo-overlay",
            "halloo-links",
            "halloo-quic",
            "halloo-web",
        ],
    },
    Room {
        name: "halloo-fuzz",
        imports: &[
            "halloo-base",
            "halloo-protocols",
            "halloo-quic",
            "halloo-web",
            "halloo-overlay",
            "halloo-links",
            "halloo",
        ],
    },
    Room {
        name: "halloo-bench",
        imports: &[
            "halloo-base",
            "halloo-protocols",
            "halloo-serve",
            "halloo-probe",
            "halloo-links",
            "halloo-overlay",
            "halloo-io",
            "halloo-lab",
        ],
    },
    Room {
        name: "xtask",
        imports: &[],
    },
];

/// What the tests of any room may import beside its imports.
const FOR_TESTS: &[&str] = &["halloo-counting", "halloo-sim", "halloo-lab", "halloo-protocols"];

/// What stories import: they are tests in which both sides meet.
const FOR_STORIES: &[&str] = &["halloo-serve", "halloo-probe"];

/// Where stories are told.
const WITH_STORIES: &[&str] = &["halloo-sim", "halloo-quic", "halloo-links"];

#[test]
fn no_arrow_between_crates_but_those_of_the_house() {
    let wrong: Vec<_> = packages().iter().flat_map(wrong_arrows).collect();
    assert!(
        wrong.is_empty(),
        "arrows that ARCHITECTURE.md does not have:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn base_imports_nothing_at_all() {
    let packages = packages();
    let base = packages
        .iter()
        .find(|package| *package.name == "halloo-base")
        .unwrap();
    let imports: Vec<_> = base
        .dependencies
        .iter()
        .filter(|dependency| dependency.kind != DependencyKind::Development)
        .map(|dependency| &dependency.name)
        .collect();
    assert!(imports.is_empty(), "{imports:?}");
}

#[test]
fn the_house_has_no_rooms_that_are_not_there() {
    let packages = packages();
    for room in ROOMS {
        assert!(
            packages.iter().any(|package| *package.name == room.name),
            "{} is gone",
            room.name
        );
    }
}

fn packages() -> Vec<Package> {
    let metadata = MetadataCommand::new()
        .current_dir(crate::tree::root())
        .no_deps()
        .other_options(["--offline".to_owned()])
        .exec()
        .unwrap();
    metadata.packages
}

fn wrong_arrows(package: &Package) -> Vec<String> {
    let Some(room) = ROOMS.iter().find(|room| *package.name == room.name) else {
        return vec![format!("{} has no room in this table", package.name)];
    };
    package
        .dependencies
        .iter()
        .filter(|dependency| ROOMS.iter().any(|room| room.name == dependency.name))
        .filter(|dependency| !allowed(room, &dependency.name, dependency.kind))
        .map(|dependency| format!("{} -> {} ({})", room.name, dependency.name, dependency.kind))
        .collect()
}

fn allowed(room: &Room, import: &str, kind: DependencyKind) -> bool {
    let in_tests = kind == DependencyKind::Development;
    room.imports.contains(&import)
        || in_tests && FOR_TESTS.contains(&import)
        || in_tests && WITH_STORIES.contains(&room.name) && FOR_STORIES.contains(&import)
}
