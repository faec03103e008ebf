//! NDN in Ethernet frames.

use crate::asking::{HALLOO, PATIENCE};
use halloo_lab::Lab;
use serde_json::Value;

#[test]
fn pings_go_in_frames_to_a_group_and_to_a_station_and_long_packets_in_parts() {
    let Some(lab) = Lab::or_skip("NDN in Ethernet frames") else {
        return;
    };
    let (near, far) = (lab.host("near"), lab.host("far"));
    let link = lab.link(&near, &far);
    let listen = format!("dev://{}", link.b().device());
    // As much as fits a packet, and by far no frame.
    let server = far.spawn(
        HALLOO,
        ["ndnpingserver", "-s", "8000", "--listen", &listen, "/frames"],
    );
    server.wait_for_line("listening on dev://", PATIENCE);
    let told = far.must("ip", ["-json", "link", "show", "dev", link.b().device()]);
    let told: Value = serde_json::from_str(&told).expect("an array");
    let address = told[0]["address"].as_str().expect("an Ethernet address");
    let device = link.a().device();
    for face in [format!("dev://{device}"), format!("ether://[{address}%{device}]")] {
        for size in ["0", "8000"] {
            let question = ["ndnping", "-c", "5", "-i", "10", "--json", "--size", size];
            let asked = near.spawn(HALLOO, [&question[..], &["--face", &face, "/frames"]].concat());
            let code = asked.wait(PATIENCE).code();
            let text = asked.stdout();
            let objects = text.lines().map(|line| serde_json::from_str(line).expect(line));
            let answers: Vec<Value> = objects
                .filter(|object: &Value| object["verdict"] == "answered")
                .collect();
            assert_eq!((code, answers.len()), (Some(0), 5), "{face}: {text}");
            for answer in answers {
                let bytes = answer["bytes"].as_u64().expect("a length");
                assert!((8_000..8_800).contains(&bytes), "all of its parts: {answer:#}");
            }
        }
    }
    let asked = near.spawn(
        HALLOO,
        [
            "ndnping",
            "-c",
            "1",
            "-o",
            "100",
            "--face",
            &format!("dev://{device}"),
            "/other",
        ],
    );
    assert_eq!(asked.wait(PATIENCE).code(), Some(1), "nobody answers for others");
}
