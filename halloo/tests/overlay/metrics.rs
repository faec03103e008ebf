//! What Prometheus reads of edges and supernodes.

use crate::common::{HALLOO, Net, PATIENCE, acquainted, halloo, said};
use halloo_lab::{Child, Host, program_or_skip};
use std::io::Write;
use std::process::{Command, Stdio};

/// Where a line that a program printed says that its metrics are.
fn place(child: &Child) -> String {
    let line = child.wait_for_line("metrics are at ", PATIENCE);
    let (_, url) = line.split_once("metrics are at ").expect("it was waited for");
    url.trim().to_owned()
}

fn scrape(host: &Host, url: &str) -> String {
    host.must("curl", ["--silent", "--show-error", "--fail", url])
}

/// What Debian's own reader of the format says of it.
fn judge(promtool: &str, text: &str) {
    let mut command = Command::new(promtool);
    command.args(["check", "metrics"]);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect("it runs");
    let mut input = child.stdin.take().expect("a pipe");
    input.write_all(text.as_bytes()).expect("it reads");
    drop(input);
    let output = child.wait_with_output().expect("it ends");
    assert!(
        output.status.success() && said(&output).trim().is_empty(),
        "{}{text}",
        said(&output)
    );
}

#[test]
fn prometheus_reads_edges_and_supernodes() {
    let Some(net) = Net::or_skip("metrics of edges and a supernode") else {
        return;
    };
    let (Some(promtool), Some(_)) = (program_or_skip("promtool"), program_or_skip("curl")) else {
        return;
    };
    let promtool = promtool.to_str().expect("text").to_owned();
    let supernode = net.supernode(&["--metrics", "0"]);
    let (a, b) = (net.host("a"), net.host("b"));
    let edges = [
        net.numbered(a.a().host(), 0, &["--metrics", "9765"]),
        net.numbered(b.a().host(), 1, &[]),
    ];
    acquainted(&edges);
    edges[0].wait("b is reached directly");
    edges[0].reaches("192.168.77.2");

    let url = place(&edges[0].child);
    assert_eq!(url, "http://127.0.0.1:9765/metrics", "nobody else is told");
    let text = scrape(&edges[0].host, &url);
    judge(&promtool, &text);
    for begin in [
        "halloo_edge_peers 1",
        "halloo_edge_peer_direct{peer=\"",
        "halloo_edge_peer_round_trip_seconds{peer=\"",
        "halloo_edge_peer_loss_ratio{peer=\"",
        "halloo_edge_frames_total{direction=\"to_peers\"} ",
        "halloo_edge_dropped_total{reason=\"replayed\"} ",
        "halloo_edge_supernode_registered{supernode=\"",
    ] {
        assert!(
            text.lines().any(|line| line.starts_with(begin)),
            "{begin}: {text}"
        );
    }
    let direct = text
        .lines()
        .find(|line| line.starts_with("halloo_edge_peer_direct{"));
    let direct = direct.expect("it is there");
    assert!(
        direct.contains("name=\"b\"") && direct.ends_with(" 1.0"),
        "{direct}"
    );

    let host = net.supernode.a().host();
    let text = scrape(host, &place(&supernode));
    judge(&promtool, &text);
    assert!(text.contains("\nhalloo_supernode_members 2.0\n"), "{text}");

    // Who asks for OpenMetrics gets it.
    let accept = "Accept: application/openmetrics-text; version=1.0.0";
    let text = edges[0]
        .host
        .must("curl", ["--silent", "--fail", "-H", accept, &url]);
    assert!(text.ends_with("# EOF\n"), "{text}");

    // An address that cannot be had is named.
    let taken = edges[0]
        .host
        .run(HALLOO, ["supernode", "--metrics", "127.0.0.1:9765"]);
    assert_eq!(taken.status.code(), Some(2), "{taken:?}");
    assert!(said(&taken).contains("--metrics 127.0.0.1:9765"), "{taken:?}");
}

#[test]
fn a_file_says_where_numbers_are_told() {
    let Some(net) = Net::or_skip("metrics by a file") else {
        return;
    };
    let file = net.write("supernode.toml", "[metrics]\nlisten = \"[::1]:9000\"\n");
    let file = file.to_str().expect("text");
    let checked = halloo(&["check", file]);
    assert_eq!(checked.status.code(), Some(0), "{}", said(&checked));
    let supernode = net.supernode(&["--config", file]);
    assert_eq!(place(&supernode), "http://[::1]:9000/metrics");
    let wrong = net.write("wrong.toml", "[metrics]\nlisten = \"everywhere\"\n");
    let checked = halloo(&["check", wrong.to_str().expect("text")]);
    assert_eq!(checked.status.code(), Some(2));
    assert!(said(&checked).contains("everywhere"), "{}", said(&checked));
}
