use super::*;
use halloo_base::Nanos;
use halloo_overlay::PublicKey;
use halloo_overlay::edge::path::Health;

fn path(remote: &str, relayed: bool, in_use: bool) -> PathStatus {
    PathStatus {
        remote: remote.parse().expect("an address"),
        relayed,
        in_use,
        health: Health::Good,
        round_trip: Some(Nanos(1_500_000)),
        least: None,
        asked: 8,
        answered: 6,
        mtu: 1_500,
        alone: false,
    }
}

fn peer(number: u8, name: &str, paths: Vec<PathStatus>) -> PeerStatus {
    PeerStatus {
        key: PublicKey([number; 32]),
        name: name.to_owned(),
        up: true,
        flows: 1,
        cipher: None,
        compression: None,
        software: String::new(),
        refusal: None,
        paths,
        vtep: None,
        stations: 2,
        sent: (3, 300),
        received: (4, 400),
    }
}

fn status() -> EdgeStatus {
    EdgeStatus {
        peers: vec![
            peer(
                1,
                "same",
                vec![path("192.0.2.1:1", false, true), path("192.0.2.1:1", true, false)],
            ),
            // What others call themselves is theirs to choose; two ways by one relay look the same.
            peer(
                2,
                "same",
                vec![path("192.0.2.9:1", true, true), path("192.0.2.9:1", true, false)],
            ),
            peer(3, "a \"b\\", vec![]),
        ],
        counters: vec![
            ("datagrams", 7),
            ("frames_to_peers", 5),
            ("frames_from_peers", 6),
            ("replayed", 2),
            ("own_source", 1),
            ("newly_invented", 9),
        ],
        ..EdgeStatus::default()
    }
}

fn lines(accept: &str) -> Vec<String> {
    let page = page(status(), accept).expect("it can be written");
    page.text.lines().map(str::to_owned).collect()
}

#[test]
fn each_thing_is_told_once() {
    for accept in ["", "application/openmetrics-text;version=1.0.0,text/plain;q=0.5"] {
        let lines = lines(accept);
        let series: Vec<&str> = lines
            .iter()
            .filter(|line| !line.starts_with('#'))
            .filter_map(|line| Some(line.rsplit_once(' ')?.0))
            .collect();
        let distinct: BTreeSet<_> = series.iter().collect();
        assert_eq!(distinct.len(), series.len(), "{lines:#?}");
    }
}

#[test]
fn names_and_labels_are_what_people_look_for() {
    let lines = lines("");
    let (one, two) = (PublicKey([1; 32]).member_id(), PublicKey([2; 32]).member_id());
    for line in [
        "halloo_edge_peers 3.0".to_owned(),
        "halloo_edge_frames_total{direction=\"to_peers\"} 5".to_owned(),
        "halloo_edge_dropped_total{reason=\"replayed\"} 2".to_owned(),
        "halloo_edge_dropped_total{reason=\"own_source\"} 1".to_owned(),
        "halloo_edge_events_total{event=\"newly_invented\"} 9".to_owned(),
        format!("halloo_edge_peer_direct{{peer=\"{one}\",name=\"same\"}} 1.0"),
        format!("halloo_edge_peer_direct{{peer=\"{two}\",name=\"same\"}} 0.0"),
        format!(
            "halloo_edge_peer_round_trip_seconds{{peer=\"{one}\",name=\"same\",path=\"192.0.2.1:1\",via=\"direct\"}} 0.0015"
        ),
        format!(
            "halloo_edge_peer_loss_ratio{{peer=\"{two}\",name=\"same\",path=\"192.0.2.9:1\",via=\"relay\"}} 0.25"
        ),
        format!("halloo_edge_peer_bytes_total{{peer=\"{one}\",name=\"same\",direction=\"from_peer\"}} 400"),
    ] {
        assert!(lines.contains(&line), "{line} in {lines:#?}");
    }
    assert!(
        lines.iter().any(|line| line.contains(r#"name="a \"b\\""#)),
        "{lines:#?}"
    );
}

#[test]
fn both_formats_are_what_they_say() {
    let plain = lines("text/plain");
    assert!(plain.contains(&"# TYPE halloo_edge_datagrams_total counter".to_owned()));
    assert!(!plain.iter().any(|line| line.contains("EOF")));
    let open = lines("application/openmetrics-text");
    assert!(
        open.contains(&"# TYPE halloo_edge_datagrams counter".to_owned()),
        "{open:#?}"
    );
    assert_eq!(open.last().map(String::as_str), Some("# EOF"));
    for lines in [&plain, &open] {
        assert!(
            lines.contains(&"halloo_edge_datagrams_total 7".to_owned()),
            "{lines:#?}"
        );
    }
}
