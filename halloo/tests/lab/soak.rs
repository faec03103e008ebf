//! Four links at 1 kHz for as long as `HALLOO_SOAK_SECONDS` says (10 by default; 600 before a release): memory
//! stays what it was, and every slot is explained.

use crate::asking::{assert_accounted, assert_slots_explained, count, ping, serve};
use halloo_lab::{Child, Lab};
use std::time::Duration;

fn resident_kib(child: &Child) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.pid())).expect("it runs");
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .expect("every process has it");
    line.split_whitespace()
        .nth(1)
        .and_then(|kib| kib.parse().ok())
        .expect("a number")
}

#[test]
fn four_links_at_a_kilohertz() {
    let Some(lab) = Lab::or_skip("the soak") else {
        return;
    };
    let seconds: u64 = std::env::var("HALLOO_SOAK_SECONDS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(10);
    let (near, far) = (lab.host("near"), lab.host("far"));
    let links: Vec<_> = (0..4).map(|_| lab.link(&near, &far)).collect();
    let server = serve(&far, &[]);
    let slots = (seconds * 1_000).to_string();
    let mut args: Vec<String> = ["-q", "-i", "0.001", "-W", "1", "-c", &slots]
        .map(String::from)
        .to_vec();
    args.extend(links.iter().map(|link| format!("udp://{}", link.b().v4())));
    let asking = ping(&near, &args.iter().map(String::as_str).collect::<Vec<_>>());
    // The first tenth fills tables, histograms and buffers.
    std::thread::sleep(Duration::from_secs(seconds) / 10);
    let before = (resident_kib(&server), resident_kib(&asking));
    std::thread::sleep(Duration::from_secs(seconds) * 8 / 10);
    let after = (resident_kib(&server), resident_kib(&asking));
    eprintln!("resident KiB, server and client: {before:?} at one tenth, {after:?} at nine tenths");
    assert!(
        after.0 <= before.0 + 512 && after.1 <= before.1 + 512,
        "{before:?} grew to {after:?}"
    );
    asking.wait(Duration::from_secs(seconds + 30));
    let text = asking.stdout();
    let summaries: Vec<serde_json::Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).expect("each line is an object"))
        .filter(|object: &serde_json::Value| object["type"] == "summary")
        .collect();
    assert_eq!(summaries.len(), 4, "{text}");
    for summary in &summaries {
        assert_accounted(summary);
        let n = |name| count(summary, name);
        eprintln!(
            "sent {} missed {} answered {} late {}",
            n("sent"),
            n("slots_missed"),
            n("answered"),
            n("late")
        );
        assert_eq!(
            (n("sent"), n("answered")),
            (seconds * 1_000, seconds * 1_000),
            "{summary:#}"
        );
        assert_slots_explained(summary, 1_000_000);
    }
}
