use super::*;
use crate::json::{Answers, Head, Interest, Listener, Notice, ServeCounters, ServerStart};
use crate::json::{Nat, NatUnknown, Pingback, PingbackStart, PingbackSummary};
use crate::ping::files::COLUMNS;
use crate::ping::sample;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

mod paths;

const DOCUMENT: &str = include_str!("../../../../docs/json.md");

/// The fields of every table in the document, by the heading above it.
fn documented() -> BTreeMap<String, BTreeSet<String>> {
    let mut sections = BTreeMap::<String, BTreeSet<String>>::new();
    let mut heading = String::new();
    for line in DOCUMENT.lines() {
        if let Some(title) = line.strip_prefix("## ") {
            heading = title.trim_matches('`').to_owned();
        } else if let Some(field) = line.strip_prefix("| `").and_then(|rest| rest.split('`').next()) {
            sections
                .entry(heading.clone())
                .or_default()
                .insert(field.to_owned());
        }
    }
    sections
}

fn object(value: &impl Serialize) -> Map<String, Value> {
    match serde_json::to_value(value).expect("it can be written") {
        Value::Object(object) => object,
        other => panic!("not an object: {other}"),
    }
}

/// Compares an object with its table, and the objects within it with theirs.
fn compare(
    sections: &mut BTreeMap<String, BTreeSet<String>>,
    name: &str,
    object: &Map<String, Value>,
    common: &[&str],
) {
    let mut told: BTreeSet<String> = sections
        .get(name)
        .unwrap_or_else(|| panic!("no table for {name}"))
        .clone();
    for section in common {
        told.extend(sections[*section].clone());
    }
    let written: BTreeSet<String> = object.keys().cloned().collect();
    assert_eq!(written, told, "{name}");
    for (key, value) in object {
        assert!(!value.is_null(), "{name}.{key}: the sample must know everything");
        match value {
            // Their keys are names of what was counted, not fields.
            Value::Object(_) if ["silent", "kinds", "statuses"].contains(&key.as_str()) => {}
            Value::Object(inner) if inner.contains_key("p999_ns") => compare(sections, "spans", inner, &[]),
            Value::Object(inner) => compare(sections, key, inner, &[]),
            Value::Array(items) => match &items[0] {
                Value::Object(inner) => compare(sections, key, inner, &[]),
                Value::String(_) | Value::Number(_) => {}
                other => panic!("{name}.{key}: {other}"),
            },
            _ => {}
        }
    }
}

#[test]
fn every_field_is_in_the_document_and_nothing_else() {
    let mut sections = documented();
    let mut about = sample::about();
    about.link = Some(crate::cli::Link::Device("eth0".into()));
    about.target = crate::target::Target::parse("ip://192.0.2.7").expect("a target");
    about.ttl = Some(128);
    let lost = probe::Verdict::Lost {
        direction: probe::Direction::Forward,
        cause: probe::LossCause::Timeout,
    };
    let known = probe::Exchange {
        verdict: lost,
        refusal: Some(halloo_base::Refusal {
            code: 150,
            name: "NoRoute",
        }),
        ..sample::with_options()
    };
    let whole = json::Error {
        seq: Some(1),
        reporter: Some("192.0.2.1".into()),
        lost: Some(1),
        retry_in_ns: Some(1),
        step_ns: Some(1),
        ..error(Some(&about), "unreachable", "no".into())
    };
    let handshake = json::Handshake {
        of: of(Some(&about), "handshake"),
        time_ns: 1,
        handshake_ns: 1,
        resumed: Some(true),
        early_data: "accepted",
    };
    let moved = json::Moved {
        of: of(Some(&about), "moved"),
        time_ns: 1,
        local: "192.0.2.1:40000".into(),
        seen_ns: 1,
    };
    let counters = ServeCounters {
        head: Head::new("counters"),
        time_ns: 1,
        protocol: "xdp",
        service: Some("udp"),
        device: Some("eth0".into()),
        last: false,
        received: 1,
        received_bytes: 1,
        replied: 1,
        replied_bytes: 1,
        promised: 1,
        promised_bytes: 64,
        warned: 1,
        warned_bytes: 48,
        kinds: Some([("echo", 1)].into()),
        statuses: Some([("2xx", 1)].into()),
        silent: [("loop", 1)].into(),
    };
    let listener = Listener {
        head: Head::new("listener"),
        protocol: "udp",
        address: Some("[::]:7".into()),
        device: Some("eth0".into()),
        mode: Some("generic".into()),
        serves: vec!["udp 7777".into()],
        dual_stack: true,
        inherited: false,
    };
    let notice = Notice {
        head: Head::new("notice"),
        message: "so".into(),
    };
    let server = ServerStart {
        head: Head::new("server"),
        time_ns: 1,
        prefix: "/edu/arizona".into(),
        face: Some("unix:///run/nfd/nfd.sock".into()),
        listening: vec!["udp://[::]:6363".into()],
    };
    let interest = Interest {
        head: Head::new("interest"),
        time_ns: 1,
        name: "/edu/arizona/ping/7",
    };
    let answers = Answers {
        head: Head::new("answers"),
        time_ns: 1,
        answered: 1,
        silent: [("malformed", 1)].into(),
    };
    let of_about = |kind| of(Some(&about), kind);
    let nat = Nat {
        head: Head::new("nat"),
        time_ns: 1,
        hosts: vec!["192.0.2.7:7777".into()],
        link: Some("eth0".into()),
        complete: true,
        local: Some("10.0.0.2:4000".into()),
        reflexive: Some("203.0.113.1:4000".into()),
        translated: Some(true),
        mapping: Some("endpoint_independent"),
        mapping_possible: vec!["endpoint_independent"],
        filtering: Some("address_dependent"),
        filtering_possible: vec!["address_dependent"],
        ports_kept: 1,
        ports_seen: 1,
        hairpin: Some(true),
        lifetime_at_least_ns: Some(1),
        lifetime_below_ns: Some(1),
        inbound_refresh: Some(true),
        keep_alive_ns: Some(1),
        two_such_can_meet: Some(true),
        unknown: vec![NatUnknown {
            row: "hairpin",
            why: "the filter would hide it",
        }],
    };
    let pingback_start = PingbackStart {
        of: of_about("pingback_start"),
        time_ns: 1,
        remote: "192.0.2.7:7777".into(),
        seen_addr: Some("203.0.113.1:4000".into()),
        asked: 3,
        promised: 3,
        gap_ns: 1,
        silence_ns: 1,
        from: "same",
    };
    let pingback = Pingback {
        of: of_about("pingback"),
        time_ns: 1,
        number: 1,
        from_addr: "192.0.2.7:7777".into(),
        after_ns: Some(1),
        spacing_ns: Some(1),
        quiet_ns: 1,
    };
    let pingback_summary = PingbackSummary {
        of: of_about("pingback_summary"),
        time_ns: 1,
        ended: "complete",
        asked: 3,
        promised: Some(3),
        came: 3,
        seen_addr: Some("203.0.113.1:4000".into()),
        spacing_min_ns: Some(1),
        spacing_mean_ns: Some(1),
        spacing_max_ns: Some(1),
    };
    let connected = start(&about, Some("192.0.2.1:4".into()), Some(Nanos(1)), Some(Nanos(1)));
    let of_ping = ["every object", "every object of ping"];
    let objects = [
        ("start", object(&connected), &of_ping[..]),
        ("handshake", object(&handshake), &of_ping),
        ("moved", object(&moved), &of_ping),
        ("exchange", object(&exchange(&about, &known)), &of_ping),
        ("error", object(&whole), &of_ping),
        ("summary", object(&summary(&about, &sample::summary())), &of_ping),
        ("nat", object(&nat), &of_ping[..1]),
        ("pingback_start", object(&pingback_start), &of_ping),
        ("pingback", object(&pingback), &of_ping),
        ("pingback_summary", object(&pingback_summary), &of_ping),
        ("mtu_probe", object(&paths::mtu_probe()), &of_ping),
        ("path_mtu", object(&paths::path_mtu()), &of_ping),
        ("flow", object(&paths::flow()), &of_ping),
        ("spread", object(&paths::spread()), &of_ping),
        ("counters", object(&counters), &of_ping[..1]),
        ("listener", object(&listener), &of_ping[..1]),
        ("notice", object(&notice), &of_ping[..1]),
        ("server", object(&server), &of_ping[..1]),
        ("interest", object(&interest), &of_ping[..1]),
        ("answers", object(&answers), &of_ping[..1]),
    ];
    for (name, object, common) in objects {
        assert_eq!(object["schema"], json::SCHEMA);
        assert_eq!(object["type"], name);
        compare(&mut sections, name, &object, common);
    }
}

#[test]
fn the_wide_file_has_the_fields_of_an_exchange_in_the_order_of_the_document() {
    let section = DOCUMENT.split("## `exchange`").nth(1).expect("a section");
    let fields = section.lines().take_while(|line| !line.starts_with("## "));
    let fields: Vec<_> = fields
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
        .take_while(|f| *f != "seen_addr")
        .collect();
    let expected: Vec<_> = ["session", "target", "link"].into_iter().chain(fields).collect();
    assert_eq!(COLUMNS, expected);
}

#[test]
fn what_is_unknown_is_null_and_numbers_are_whole() {
    let lost = probe::Verdict::Lost {
        direction: probe::Direction::Unknown,
        cause: probe::LossCause::Timeout,
    };
    let object = object(&exchange(&sample::about(), &sample::unanswered(lost)));
    for field in [
        "t2_ns",
        "t4_ns",
        "t4_source",
        "wire_ns",
        "host_ns",
        "intended_ns",
        "ttl",
        "link",
    ] {
        assert!(object[field].is_null(), "{field}");
    }
    assert_eq!(object["verdict"], "lost");
    assert_eq!(object["cause"], "timeout");
    assert_eq!(object["seq"], 3);
    assert_eq!(object["t1_ns"], sample::WALL.0 + 50);
    assert_eq!(object["t1_source"], "kernel");
    assert_eq!(object["t1_user_ns"], sample::WALL.0);
    assert!(
        object
            .iter()
            .filter(|(key, _)| key.ends_with("_ns"))
            .all(|(_, value)| !value.is_f64())
    );
}

#[test]
fn options_are_told_decoded() {
    let object = object(&exchange(&sample::about(), &sample::with_options()));
    let expected = serde_json::json!({
        "recorded_route": ["192.0.2.253"],
        "source_route": ["192.0.2.254"],
        "timestamps": [{"address": "192.0.2.7", "ms": 45_045_123, "raw": 45_045_123}],
        "timestamps_missed": 2,
        "others": [148],
        "broken": false,
    });
    assert_eq!(object["options"], expected);
    assert!(
        object["hops_taken"].is_null(),
        "an answer over UDP is not the probe itself"
    );
}
