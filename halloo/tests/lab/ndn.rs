//! NDN in Ethernet frames.

use crate::asking::{HALLOO, PATIENCE};
use halloo_lab::Lab;
use serde_json::Value;

#[test]
fn pings_go_in_frames_to_a_group_and_to_a_station_and_long_answers_in_parts() {
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
        let asked = near.spawn(
            HALLOO,
            ["ndnping", "-c", "5", "-i", "10", "--face", &face, "/frames"],
        );
        let code = asked.wait(PATIENCE).code();
        let text = asked.stdout();
        assert!(
            text.contains("5 packets transmitted, 5 received"),
            "{face}: {text}"
        );
        assert_eq!(code, Some(0), "{face}");
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
