//! Several ways out: each session keeps to its own, and its numbers are its own.

use crate::asking::{count, pinged, serve};
use halloo_lab::{Direction, Fate, Lab, Side, Traffic};

#[test]
fn sessions_side_by_side_keep_to_their_links_and_tell_which_one_works() {
    let Some(lab) = Lab::or_skip("two links side by side") else {
        return;
    };
    let (office, cloud) = (lab.host("office"), lab.host("cloud"));
    let (one, two) = (lab.link(&office, &cloud), lab.link(&office, &cloud));
    // The far end of the first link, reached by both: only the binding decides.
    office.must(
        "ip",
        [
            "route",
            "add",
            &format!("{}/32", one.b().v4()),
            "dev",
            two.a().device(),
            "metric",
            "9",
        ],
    );
    for end in [one.a(), two.a(), one.b(), two.b()] {
        end.host()
            .sysctl(&format!("net.ipv4.conf.{}.rp_filter", end.device()), "0");
    }
    let _server = serve(&cloud, &[]);
    two.fate(Direction::BToA, Traffic::Udp, Fate::Drop);
    let (first, second) = (one.capture(Side::B), two.capture(Side::B));
    let target = format!("udp://{}", one.b().v4());
    let links = ["-I", one.a().device(), "-I", two.a().device()];
    let args = [&["-c", "20", "-i", "0.02", "-W", "0.5"][..], &links, &[&target]].concat();
    let (code, said) = pinged(&office, &args);
    assert_eq!(code, 1, "one of them lost everything");
    let of = |device: &str| {
        let summaries = said.all("summary");
        let found = summaries.iter().find(|summary| summary["link"] == device);
        (*found.unwrap_or_else(|| panic!("no summary for {device} in {summaries:#?}"))).clone()
    };
    let (good, bad) = (of(one.a().device()), of(two.a().device()));
    assert_eq!((count(&good, "answered"), count(&good, "lost")), (20, 0));
    assert_eq!((count(&bad, "answered"), count(&bad, "lost")), (0, 20));
    for (capture, session) in [(first, "first"), (second, "second")] {
        let packets = capture.finish();
        let asked = packets
            .iter()
            .filter(|packet| packet.udp().is_some_and(|udp| udp.destination.port() == 7777))
            .count();
        assert_eq!(
            asked, 20,
            "the {session} link carried its own session and nothing else"
        );
    }
}
