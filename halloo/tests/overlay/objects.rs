//! What is printed for programs, beside the page that explains it.

use crate::common::{HALLOO, Net, PATIENCE, tap};
use halloo_lab::Child;
use nix::sys::signal::Signal;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

const DOCUMENT: &str = include_str!("../../../docs/overlay-json.md");

/// The words in backticks of each section.
fn documented() -> BTreeMap<String, BTreeSet<String>> {
    let mut sections = BTreeMap::<String, BTreeSet<String>>::new();
    let sections_of = DOCUMENT.split("\n## `").skip(1);
    for section in sections_of {
        let (name, text) = section.split_once('`').expect("a name");
        let words = text.split('`').skip(1).step_by(2).map(str::to_owned);
        sections.entry(name.to_owned()).or_default().extend(words);
    }
    sections
}

/// Names of fields, those of objects within among them, but for names that are counted.
fn fields(object: &Map<String, Value>, found: &mut BTreeSet<String>) {
    for (key, value) in object {
        if key != "schema" && key != "type" {
            found.insert(key.clone());
        }
        match value {
            Value::Object(inner) if key != "counters" => fields(inner, found),
            Value::Array(items) => items
                .iter()
                .filter_map(Value::as_object)
                .for_each(|inner| fields(inner, found)),
            _ => {}
        }
    }
}

fn compare(child: &Child, seen: &mut BTreeSet<String>) {
    let sections = documented();
    for line in child.stdout().lines() {
        let object: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"));
        let object = object.as_object().expect("an object");
        assert_eq!(object["schema"], "halloo/1");
        let kind = object["type"].as_str().expect("a type");
        if kind == "notice" {
            // It is no different from that of the others.
            continue;
        }
        let told = sections
            .get(kind)
            .unwrap_or_else(|| panic!("no section for {kind}"));
        let mut written = BTreeSet::new();
        fields(object, &mut written);
        let untold: Vec<_> = written.difference(told).collect();
        assert!(untold.is_empty(), "{kind}: {untold:?}");
        seen.insert(kind.to_owned());
    }
}

#[test]
fn every_object_is_explained() {
    let Some(net) = Net::or_skip("JSON of edges and a supernode") else {
        return;
    };
    let supernode = net.supernode_json(&["--pool", "10.9.0.0/24", "--metrics", "0", "--json"]);
    let start = |name: &str, args: &[&str]| {
        let host = net.host(name);
        let words = net.words(
            host.a().host(),
            &tap(),
            &[args, &["--address", "auto", "--json"]].concat(),
        );
        host.a().host().spawn(HALLOO, words)
    };
    let a = start("a", &[]);
    let b = start("b", &[]);
    let c = start("c", &["--cipher", "mac"]);
    let kernels = ["d", "e"].map(|name| start(name, &crate::kernel::KERNEL));
    for kernel in &kernels {
        kernel.wait_for_line("\"type\":\"vtep\"", PATIENCE);
        kernel.signal(Signal::SIGUSR1);
        kernel.wait_for_line("\"type\":\"edge_status\"", PATIENCE);
    }
    a.wait_for_line("\"type\":\"path\"", PATIENCE);
    b.wait_for_line("\"type\":\"path\"", PATIENCE);
    c.wait_for_line("\"type\":\"refused\"", PATIENCE);
    a.signal(Signal::SIGUSR1);
    a.wait_for_line("\"type\":\"edge_status\"", PATIENCE);
    b.signal(Signal::SIGTERM);
    a.wait_for_line("\"type\":\"peer_down\"", PATIENCE);
    supernode.signal(Signal::SIGTERM);
    supernode.wait(PATIENCE);
    a.wait_for_line("\"type\":\"supernode_lost\"", PATIENCE);
    let mut seen = BTreeSet::new();
    for child in [&a, &b, &c, &supernode, &kernels[0], &kernels[1]] {
        compare(child, &mut seen);
    }
    let told: BTreeSet<String> = documented().into_keys().collect();
    assert_eq!(seen, told);
}
