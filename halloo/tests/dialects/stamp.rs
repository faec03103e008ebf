//! STAMP and TWAMP Light: stamp-suite as Session-Sender and Session-Reflector, tshark as a reader.
//!
//! stamp-suite is the one implementation of RFC 8762 and RFC 8972 in a registry that has both roles, keys and TLVs;
//! `cargo xtask test` installs it. There is none of TWAMP Light in a registry: its senders' packets are sent to
//! stamp-suite's reflector, which answers them by RFC 8762 section 4.6, and read by tshark, which knows no more
//! than RFC 5357.

use crate::common::{Pinged, Running, Server, own_address, peer_or_skip, ping, run};
use crate::tap::Tap;
use halloo_lab::program_or_skip;
use jiff::fmt::strtime;
use serde_json::Value;
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// A key of 32 bytes, as text and as stamp-suite wants it.
const KEY: &str = "0123456789abcdef0123456789abcdef";

fn hex(key: &str) -> String {
    key.bytes().map(|byte| format!("{byte:02x}")).collect()
}

/// The key in a file that only we can read.
fn key_file() -> NamedTempFile {
    let file = NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), KEY).expect("written");
    file
}

/// stamp-suite, or `None` after saying loudly that it is not here.
fn stamp_suite() -> Option<PathBuf> {
    peer_or_skip("stamp-suite").map(|folder| folder.join("bin/stamp-suite"))
}

/// What its sender has measured in ten probes to us.
fn measured(stamp_suite: &Path, server: &Server, more: &[&str]) -> Value {
    let address = server.address("stamp");
    let (ip, port) = (address.ip().to_string(), address.port().to_string());
    let place = ["-S", "127.0.0.1", "-r", &ip, "-p", &port];
    let pace = ["-c", "10", "-d", "5", "-L", "1"];
    let output = ["--output-format", "json"];
    let (text, code) = run(stamp_suite, [&place[..], &pace, &output, more].concat());
    assert_eq!(code, Some(0), "{text}");
    let mut objects = text.lines().filter_map(|line| serde_json::from_str(line).ok());
    let summary = objects.find(|object: &Value| object["type"] == "summary");
    let summary = summary.unwrap_or_else(|| panic!("no summary: {text}"));
    summary["measurements"].clone()
}

/// Everything that RFC 8972 lets a sender ask.
const EVERYTHING: &[&str] = &[
    "--ssid",
    "4711",
    "--extra-padding",
    "30",
    "--location",
    "--timestamp-info",
    "--cos",
    "--direct-measurement",
    "--follow-up-telemetry",
];

/// The TLVs of [`EVERYTHING`]: RFC 8972 sections 4.1 to 4.5 and 4.7.
const TLVS: [&str; 6] = ["1", "2", "3", "4", "5", "7"];

#[test]
fn stamp_suites_sender_is_answered_with_all_that_it_asks() {
    let Some(stamp_suite) = stamp_suite() else {
        return;
    };
    let key = key_file();
    let (file, hex) = (key.path().display().to_string(), hex(KEY));
    let signed = ["-A", "A", "--hmac-key", &hex];
    for (own, theirs) in [(&[][..], &[][..]), (&["--key-file", &file], &signed)] {
        let server = Server::start(&[&["--stamp", "127.0.0.1:0"], own].concat());
        for more in [&[][..], &["-K", "PTP"], EVERYTHING] {
            let measured = measured(&stamp_suite, &server, &[theirs, more].concat());
            for count in ["unique_replies", "answered_probes"] {
                assert_eq!(measured[count], 10, "{measured:#}");
            }
            for count in ["duplicate_replies", "unknown_replies", "reordered_replies"] {
                assert_eq!(measured[count], 0, "{measured:#}");
            }
            assert_eq!(measured["last_reflector_sequence"], 9, "{measured:#}");
            if more != EVERYTHING {
                continue;
            }
            let told = &measured["tlv_validation"];
            assert_eq!(told["rejected_replies"], 0, "{told:#}");
            assert!(
                told["flags"].as_object().expect("flags").values().all(|n| n == 0),
                "{told:#}"
            );
            for kind in TLVS {
                assert_eq!(told["by_type"][kind]["observed"], 10, "{told:#}");
            }
            let verified = if theirs.is_empty() { 0 } else { 10 };
            assert_eq!(
                (&told["hmac"]["verified"], &told["hmac"]["failed"]),
                (&verified.into(), &0.into()),
                "{told:#}"
            );
            // Our own counts agree with what it sent and got.
            let direct = &measured["direct_measurement"];
            assert_eq!(
                (
                    &direct["observations"],
                    &direct["forward_missing"],
                    &direct["reverse_missing"]
                ),
                (&10.into(), &0.into(), &0.into()),
                "{direct:#}"
            );
            // The first answer has none before it.
            let follow_up = &measured["follow_up"];
            assert_eq!(
                (&follow_up["matched"], &follow_up["unmatched"]),
                (&9.into(), &0.into()),
                "{follow_up:#}"
            );
        }
        let counted = server.counters("stamp");
        assert_eq!(
            (&counted["replied"], &counted["received_bytes"]),
            (&30.into(), &counted["replied_bytes"]),
            "{counted:#}"
        );
    }
}

#[test]
fn stamp_suite_with_another_key_or_none_gets_no_answer() {
    let Some(stamp_suite) = stamp_suite() else {
        return;
    };
    let key = key_file();
    let config = NamedTempFile::with_suffix(".toml").expect("a file");
    let rules = format!(
        "[serve]\nudp = []\ntcp = []\nkey_file = {:?}\nrequire_key = true\n[stamp]\nlisten = [\"{}:8620\"]\n",
        key.path(),
        own_address()
    );
    std::fs::write(config.path(), rules).expect("written");
    let server = Server::start(&["--config", &config.path().display().to_string()]);
    let other = hex(&KEY.replace('0', "1"));
    for more in [&["-A", "A", "--hmac-key", &other][..], &[]] {
        let measured = measured(&stamp_suite, &server, more);
        assert_eq!(measured["unique_replies"], 0, "{measured:#}");
    }
    let counted = server.counters("stamp");
    assert_eq!(
        (&counted["replied"], &counted["silent"]["bad_auth"]),
        (&0.into(), &20.into()),
        "{counted:#}"
    );
}

/// stamp-suite's reflector on an address of its own, and its target.
fn reflector(stamp_suite: &Path, more: &[&str]) -> (Running, String) {
    let ip = own_address().to_string();
    let usual = ["--is-reflector", "--local-addr", &ip, "--local-port", "8620"];
    let running = Running::start(stamp_suite, [&usual[..], more].concat());
    running.line_with("Reflector listening on");
    (running, format!("{ip}:8620"))
}

/// All of these came back through both of the reflector's stamps.
fn assert_reflected(pinged: &Pinged, count: u64) {
    pinged.assert_answered(count);
    let mut answered = 0;
    for exchange in pinged.exchanges() {
        let at = |key: &str| {
            exchange[key]
                .as_i64()
                .unwrap_or_else(|| panic!("no {key}: {exchange:#}"))
        };
        // One clock made all four.
        let stamps = ["t1_user_ns", "t2_ns", "t3_ns", "t4_user_ns"].map(at);
        assert!(stamps.is_sorted(), "{exchange:#}");
        answered += 1;
    }
    assert_eq!(answered, count);
    let seen = &pinged.summary()["observed"]["seen_ttl"];
    assert!(seen.as_u64() > Some(0), "{pinged:#?}");
}

#[test]
fn our_sender_is_answered_by_stamp_suites_reflector() {
    let Some(stamp_suite) = stamp_suite() else {
        return;
    };
    let key = key_file();
    let (file, hex) = (key.path().display().to_string(), hex(KEY));
    let signed = ["-A", "A", "--hmac-key", &hex, "--verify-tlv-hmac"];
    let ways = [
        (&[][..], &[][..], ["44", "52", "60", "80", "108", "1400"]),
        (
            &["--key-file", &file],
            &signed,
            ["112", "140", "148", "168", "196", "1400"],
        ),
    ];
    for (own, theirs, sizes) in ways {
        for stateful in [&[][..], &["--stateful-reflector"]] {
            let (_running, place) = reflector(&stamp_suite, &[theirs, stateful].concat());
            let target = format!("stamp://{place}");
            for (index, size) in sizes.into_iter().enumerate() {
                let pinged = ping(&[own, &["-c", "5", "-s", size, &target]].concat());
                assert_reflected(&pinged, 5);
                // From the fourth size on there is room for follow-up telemetry, which tells of the answer before.
                let tells = index >= 3 && !stateful.is_empty();
                let exact = pinged.summary()["budget"]["residence_exact"].as_u64();
                assert_eq!(exact > Some(0), tells, "{size}: {pinged:#?}");
                // From the fifth on for a location.
                let seen = &pinged.summary()["observed"]["seen_addr"];
                let seen = seen.as_str().expect("an address");
                assert_eq!(seen.starts_with("127.0.0.1:"), index >= 4, "{size}: {pinged:#?}");
            }
        }
    }
}

#[test]
fn a_twamp_light_sender_of_ours_is_answered_by_stamp_suites_reflector() {
    let Some(stamp_suite) = stamp_suite() else {
        return;
    };
    let (_running, place) = reflector(&stamp_suite, &[]);
    for size in ["41", "44", "500"] {
        let pinged = ping(&["-c", "5", "-s", size, &format!("twamp://{place}")]);
        assert_reflected(&pinged, 5);
    }
}

#[test]
fn tshark_reads_our_request_and_our_answer() {
    let Some(tshark) = program_or_skip("tshark") else {
        return;
    };
    for (scheme, size) in [("stamp", "44"), ("stamp", "60"), ("twamp", "41")] {
        let server = Server::start(&["--stamp", "127.0.0.1:0"]);
        let tap = Tap::before(server.address("stamp"));
        let pinged = ping(&["-c", "2", "-s", size, &format!("{scheme}://{}", tap.address())]);
        assert_reflected(&pinged, 2);
        let fields = [
            "seq_number",
            "timestamp",
            "error_estimate",
            "mbz1",
            "receive_timestamp",
            "sender_seq_number",
            "sender_timestamp",
            "sender_error_estimate",
            "mbz2",
            "sender_ttl",
        ];
        let fields = fields.map(|field| format!("twamp.test.{field}"));
        let rows = tap.read(&tshark, "twamp.test", &fields.each_ref().map(String::as_str));
        assert_eq!(rows.len(), 4, "{rows:?}");
        for ((number, pair), exchange) in (0..).zip(rows.chunks(2)).zip(pinged.exchanges()) {
            let [request, answer] = pair else {
                panic!("{rows:?}");
            };
            let number: u32 = number;
            let number = number.to_string();
            assert_eq!([&request[0], &answer[0], &answer[5]], [&number; 3], "{pair:?}");
            // Error estimate and session identifier come back as they went.
            assert_eq!((&request[2], &request[3]), (&answer[7], &answer[3]), "{pair:?}");
            assert_eq!(answer[8..], ["0", "64"], "{pair:?}");
            assert_eq!(request[1], answer[6], "{pair:?}");
            let made = nanoseconds(&request[1]);
            let at = |key: &str| exchange[key].as_i64().expect("a time");
            let started = pinged.summary()["started_ns"].as_i64().expect("a time");
            assert!(
                (started..=at("t1_user_ns")).contains(&made),
                "{pair:?}: {exchange:#}"
            );
            for (read, meant) in [(&answer[4], "t2_ns"), (&answer[1], "t3_ns")] {
                // The wire counts in 2^-32 s, and both ends round.
                assert!(
                    (nanoseconds(read) - at(meant)).abs() <= 1,
                    "{pair:?}: {exchange:#}"
                );
            }
        }
    }
}

/// `Nov 21, 2026 05:18:51.250000000 UTC` as nanoseconds since 1970.
fn nanoseconds(text: &str) -> i64 {
    let time = strtime::parse("%b %d, %Y %H:%M:%S%.f UTC", text).and_then(|broken| broken.to_datetime());
    let time = time.and_then(|time| time.to_zoned(jiff::tz::TimeZone::UTC));
    let time = time.unwrap_or_else(|error| panic!("{error}: {text}"));
    i64::try_from(time.timestamp().as_nanosecond()).expect("this century")
}
