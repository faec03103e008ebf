//! `halloo echo-client`: the older client's command line and its two files, to the letter.

use crate::common::{Host, halloo, stdout};
use std::fs;

#[test]
fn it_writes_the_two_files_of_the_seed() {
    let host = Host::start();
    let address = host.address("tcp", false);
    let dir = tempfile::tempdir().expect("a temporary folder");
    let logs = dir.path().join("made/by/itself");
    let (ip, port, log_dir) = (
        address.ip().to_string(),
        address.port().to_string(),
        logs.display().to_string(),
    );
    let args = [
        "--size",
        "100",
        "--frequency",
        "0.01",
        "--count",
        "5",
        "--timeout",
        "2.0",
        "--log-dir",
        &log_dir,
    ];
    let output = halloo(&[&["echo-client", &ip, &port], &args[..]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", stdout(&output));

    let mut names: Vec<_> = fs::read_dir(&logs)
        .expect("the folder was made")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("text"))
        .collect();
    names.sort();
    let [log, timings] = &names[..] else {
        panic!("{names:?}")
    };
    let stamp = log
        .strip_prefix("echo_client_")
        .and_then(|rest| rest.strip_suffix(".log"))
        .expect(log);
    assert_eq!(timings, &format!("echo_client_{stamp}_timings.csv"));
    let shape: String = stamp
        .chars()
        .map(|c| if c.is_ascii_digit() { '0' } else { c })
        .collect();
    assert_eq!(shape, "00000000_000000");

    let text = fs::read_to_string(logs.join(timings)).expect("the timings");
    let mut lines = text.lines();
    assert_eq!(
        lines.next(),
        Some("packet_num,timestamp,send_time_ns,receive_time_ns,rtt_us")
    );
    let rows: Vec<Vec<&str>> = lines.map(|line| line.split(',').collect()).collect();
    assert_eq!(rows.len(), 5);
    for (number, row) in (1..).zip(&rows) {
        let [packet, time, sent, received, rtt] = row[..] else {
            panic!("{row:?}")
        };
        assert_eq!(packet, number.to_string());
        let shape: String = time
            .chars()
            .map(|c| if c.is_ascii_digit() { '0' } else { c })
            .collect();
        assert_eq!(shape, "0000-00-00 00:00:00.000000");
        let (sent, received): (u64, u64) = (sent.parse().expect(sent), received.parse().expect(received));
        let (whole, decimals) = rtt.split_once('.').expect(rtt);
        assert_eq!(decimals.len(), 3, "{rtt}");
        let rtt = whole.parse::<u64>().expect(whole) * 1_000 + decimals.parse::<u64>().expect(decimals);
        assert!(received >= sent && rtt > 0, "{row:?}");
    }

    let text = fs::read_to_string(logs.join(log)).expect("the log");
    for words in [
        "halloo",
        &format!("target tcp://{address}"),
        "connected to",
        "100 bytes every 0.01 s",
        "5 received",
    ] {
        assert!(text.contains(words), "`{words}` is missing:\n{text}");
    }
}

#[test]
fn a_host_that_is_not_there_ends_in_status_one_and_rows_without_times() {
    let port = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.local_addr().expect("it is bound").port().to_string()
    };
    let dir = tempfile::tempdir().expect("a temporary folder");
    let log_dir = dir.path().display().to_string();
    let output = halloo(&[
        "echo-client",
        "127.0.0.1",
        &port,
        "--count",
        "1",
        "--timeout",
        "0.1",
        "--log-dir",
        &log_dir,
    ]);
    assert_eq!(output.status.code(), Some(1));
    let timings = fs::read_dir(dir.path())
        .expect("the folder")
        .map(|entry| entry.expect("an entry").path())
        .find(|path| path.to_string_lossy().ends_with("_timings.csv"))
        .expect("the timings");
    let text = fs::read_to_string(timings).expect("it can be read");
    let row = text.lines().nth(1).expect("a row");
    assert!(row.starts_with("1,") && row.ends_with(",,"), "{row}");
}
