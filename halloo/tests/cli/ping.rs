//! `halloo ping` against `halloo serve`, as a user runs them.

use crate::common::{HALLOO, Host, Running, halloo, objects, stderr, stdout};
use nix::sys::signal::Signal;
use serde_json::Value;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, UdpSocket};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::process::{Command, Stdio};

/// A UDP port that swallows everything.
fn silent_port() -> (UdpSocket, String) {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    let url = format!("udp://{}", socket.local_addr().expect("it is bound"));
    (socket, url)
}

#[test]
fn what_an_ip_echo_host_cannot_be_asked_is_told() {
    let table: &[(&[&str], &str)] = &[
        (
            &["ip://192.0.2.7?protocol=6"],
            "it is TCP, which the kernel speaks itself; ask tcp+ip://HOST[:PORT]",
        ),
        (&["ip://192.0.2.7:7"], "IP echo has no ports; leave out `:7`"),
        (
            &["--record-route", "udp://192.0.2.7"],
            "go with ip:// targets alone (udp://192.0.2.7:7777)",
        ),
        (
            &["--source-route", "192.0.2.1", "ip://[2001:db8::7]"],
            "IPv6 has none like them",
        ),
        (
            &["--source-route", "2001:db8::1", "ip://192.0.2.7"],
            "only IPv4 has source routes (RFC 5095)",
        ),
        (
            &["--timestamp-option=hours", "ip://192.0.2.7"],
            "[possible values: times, with-addresses]",
        ),
    ];
    for (args, why) in table {
        let output = halloo(&[&["ping"], *args].concat());
        let said = stderr(&output);
        assert!(
            output.status.code() == Some(2) && said.contains(why),
            "{args:?}: {said}"
        );
    }
}

#[test]
fn every_protocol_and_family_is_answered() {
    let host = Host::start();
    for (protocol, v6) in [("udp", false), ("udp", true), ("tcp", false), ("tcp", true)] {
        let url = host.url(protocol, v6);
        let output = halloo(&["ping", "-c", "3", "-i", "10ms", &url]);
        let text = stdout(&output);
        assert_eq!(output.status.code(), Some(0), "{text}");
        assert!(text.starts_with(&format!("PING {url} (")), "{text}");
        for seq in 1..=3 {
            assert!(
                text.contains(&format!(
                    "64 bytes from {}: seq={seq} time=",
                    host.address(protocol, v6)
                )),
                "{text}"
            );
        }
        assert!(
            text.contains("3 packets transmitted, 3 received, 0% packet loss, time "),
            "{text}"
        );
        assert!(text.contains("\nwire  "), "{text}");
        assert!(!text.contains('\x1b'), "colours in a pipe: {text}");
    }
}

#[test]
fn json_tells_the_same_with_every_stamp() {
    let host = Host::start();
    let url = host.url("udp", false);
    let output = halloo(&["ping", "--json", "-c", "3", "-i", "10ms", &url]);
    assert_eq!(output.status.code(), Some(0));
    let all = objects(&output);
    let of = |kind: &str| {
        all.iter()
            .filter(|object| object["type"] == kind)
            .collect::<Vec<_>>()
    };
    assert_eq!(of("start").len(), 1);
    assert_eq!(of("error"), Vec::<&Value>::new());
    let exchanges = of("exchange");
    assert_eq!(exchanges.len(), 3);
    for exchange in exchanges {
        let number = |key: &str| {
            exchange[key]
                .as_i64()
                .unwrap_or_else(|| panic!("{key} in {exchange}"))
        };
        assert_eq!(exchange["verdict"], "answered");
        assert_eq!(exchange["target"], url.as_str());
        assert_eq!(exchange["t4_source"], "kernel");
        assert!(number("t1_ns") <= number("t4_ns"), "{exchange}");
        assert_eq!(number("t3_ns") - number("t2_ns"), number("residence_ns"));
        assert!(
            number("wire_ns") <= number("host_ns") && number("host_ns") <= number("intended_ns"),
            "{exchange}"
        );
    }
    let summary = of("summary")[0];
    assert_eq!(summary["counts"]["answered"], 3);
    assert_eq!(summary["ended"], "complete");
    // No later answer told the last one's exact residence.
    assert_eq!(summary["counts"]["wire_guessed"], 1);
    assert_eq!(summary["wire"]["count"], 2);
}

#[test]
fn several_targets_run_side_by_side_and_are_told_apart() {
    let host = Host::start();
    let (udp, tcp) = (host.url("udp", false), host.url("tcp", false));
    // By device the source is 127.0.0.1. With the same address for both, a connect took more than a second once in many
    // runs: the kernel may give both one source port, since sockets bound to different devices do not clash there.
    let output = halloo(&[
        "ping",
        "-c",
        "2",
        "-i",
        "10ms",
        "-I",
        "127.0.0.2",
        "-I",
        "lo",
        &udp,
        &tcp,
    ]);
    let text = stdout(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    for url in [&udp, &tcp] {
        for link in ["127.0.0.2", "lo"] {
            assert!(text.contains(&format!("[{link} {url}] 64 bytes from ")), "{text}");
            assert!(
                text.contains(&format!("--- {url} from {link} statistics ---")),
                "{text}"
            );
        }
    }
}

#[test]
fn exit_codes_say_what_happened() {
    let host = Host::start();
    let (_silent, nobody) = silent_port();
    let closed = {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        format!("tcp://{}", listener.local_addr().expect("it is bound"))
    };
    let answered = host.url("udp", false);
    let table: &[(&[&str], i32, &str)] = &[
        (&["ping", "-c", "1", &answered], 0, ""),
        (&["ping", "-c", "1", "-W", "50ms", &nobody], 1, ""),
        (
            &["ping", "-c", "1", "-W", "50ms", "-i", "10ms", &answered, &nobody],
            1,
            "",
        ),
        (&["ping", "-c", "1", "-W", "50ms", &closed], 1, ""),
        (
            &["ping", "-c", "1", "no-such-host.invalid"],
            1,
            "halloo: no-such-host.invalid: ",
        ),
        (&["ping"], 2, "<TARGET>..."),
        (
            &["ping", "gopher://x"],
            2,
            "unknown protocol `gopher`; this halloo knows udp, tcp",
        ),
        (
            &["ping", "-I", "no-such-dev", &answered],
            2,
            "--link no-such-dev: there is no device `no-such-dev`",
        ),
        (
            &["ping", "-I", "192.0.2.9", &answered],
            2,
            "no interface of this host has that address",
        ),
        (&["ping", "-s", "65508", &answered], 2, "at most 65507 bytes"),
        (
            &["ping", "--key-file", "/no/such/file", &answered],
            2,
            "--key-file /no/such/file",
        ),
        (
            &["serve", "--udp", "nonsense"],
            2,
            "use PORT, ADDRESS:PORT or [ADDRESS]:PORT",
        ),
        (&["check", "/no/such/file"], 2, "/no/such/file: cannot be read"),
        (&["frobnicate"], 2, "unrecognized subcommand"),
    ];
    for (args, code, complaint) in table {
        let output = halloo(args);
        assert_eq!(
            output.status.code(),
            Some(*code),
            "{args:?}: {}{}",
            stdout(&output),
            stderr(&output)
        );
        assert!(
            stderr(&output).contains(complaint),
            "{args:?}: {}",
            stderr(&output)
        );
    }
}

#[test]
fn a_lost_probe_is_said_to_be_lost() {
    let (_silent, url) = silent_port();
    let output = halloo(&["ping", "-c", "1", "-W", "50ms", &url]);
    let text = stdout(&output);
    assert!(text.contains("\nno answer for seq=1 within 50 ms\n"), "{text}");
    assert!(
        text.contains("1 packets transmitted, 0 received, 100% packet loss"),
        "{text}"
    );
    assert!(text.contains("nothing came back"), "{text}");
}

#[test]
fn a_refused_probe_is_lost_at_once_and_told_once() {
    let closed = {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        format!("udp://{}", socket.local_addr().expect("it is bound"))
    };
    for size in ["64", "16"] {
        let output = halloo(&["ping", "-c", "2", "-i", "10ms", "-s", size, &closed]);
        let text = stdout(&output);
        assert_eq!(output.status.code(), Some(1), "{text}");
        for seq in [1, 2] {
            let line = format!("From 127.0.0.1: seq={seq} Connection refused\n");
            assert_eq!(text.matches(&line).count(), 1, "{text}");
        }
        assert!(
            !text.contains("no answer") && text.contains(" 0 received"),
            "{text}"
        );
    }
    let output = halloo(&["ping", "--json", "-c", "1", &closed]);
    let said: Vec<serde_json::Value> = stdout(&output)
        .lines()
        .map(|line| serde_json::from_str(line).expect("an object"))
        .collect();
    let of = |kind: &str| said.iter().find(|object| object["type"] == kind).expect(kind);
    assert_eq!(
        (&of("error")["kind"], &of("error")["seq"]),
        (&"unreachable".into(), &1.into())
    );
    let lost = of("exchange");
    assert_eq!((&lost["cause"], &lost["seq"]), (&"unreachable".into(), &1.into()));
}

#[test]
fn large_probes_are_answered_whole() {
    let host = Host::start();
    for (scheme, v6, size) in [
        ("tcp", false, "1048576"),
        ("udp", false, "65507"),
        ("udp", true, "65527"),
    ] {
        let output = halloo(&["ping", "-c", "1", "-s", size, &host.url(scheme, v6)]);
        let text = stdout(&output);
        assert!(
            text.contains(&format!("\n{size} bytes from ")),
            "{text}{}",
            stderr(&output)
        );
    }
}

#[test]
fn ctrl_c_ends_with_a_summary() {
    let host = Host::start();
    let mut ping = Running::start(&["ping", "-i", "10ms", &host.url("udp", false)]);
    ping.line_with("seq=2");
    ping.signal(Signal::SIGINT);
    let (rest, code) = ping.finish();
    assert_eq!(code, Some(0), "{rest}");
    assert!(rest.contains("% packet loss"), "{rest}");
}

#[test]
fn sigquit_prints_a_running_line_and_goes_on() {
    let host = Host::start();
    let mut ping = Running::start(&["ping", "-i", "10ms", &host.url("udp", false)]);
    ping.line_with("seq=2");
    ping.signal(Signal::SIGQUIT);
    let line = ping.complaint();
    assert!(line.contains(" packets, 0% loss, min/avg/max/mdev = "), "{line}");
    ping.line_with("seq=");
    ping.signal(Signal::SIGTERM);
    assert_eq!(ping.finish().1, Some(0));
}

#[test]
fn a_second_request_to_stop_ends_it_at_once() {
    let host = Host::start();
    // A pipe that nobody empties, so that the summary cannot be printed.
    let (reader, writer) = std::io::pipe().expect("a pipe");
    let mut command = Command::new(HALLOO);
    command.args(["ping", "-i", "10ms", &host.url("udp", false)]);
    let mut child = command
        .stdout(writer.try_clone().expect("another handle"))
        .spawn()
        .expect("halloo runs");
    let mut reader = BufReader::with_capacity(256, reader);
    let mut line = String::new();
    while !line.contains("seq=1") {
        line.clear();
        reader.read_line(&mut line).expect("it can be read");
    }
    fill(&writer);
    let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).expect("process ids are small"));
    // Two of one kind could arrive as one.
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        nix::sys::signal::kill(pid, signal).expect("it is our child");
    }
    assert_eq!(child.wait().expect("it ends").code(), Some(1));
}

/// Writes until a pipe takes not one byte more.
fn fill(writer: &std::io::PipeWriter) {
    // Opened anew, so that it is this handle alone that does not block.
    let path = format!("/proc/self/fd/{}", writer.as_raw_fd());
    let mut options = fs::OpenOptions::new();
    let mut writer = options
        .write(true)
        .custom_flags(nix::libc::O_NONBLOCK)
        .open(path)
        .expect("the pipe");
    while writer.write_all(b".").is_ok() {}
}

#[test]
fn it_ends_quietly_when_nobody_reads_any_more() {
    let host = Host::start();
    let mut command = Command::new(HALLOO);
    command
        .args(["ping", "-i", "10ms", &host.url("udp", false)])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect("halloo runs");
    let mut line = String::new();
    let mut out = BufReader::new(child.stdout.take().expect("a pipe"));
    out.read_line(&mut line).expect("the first line");
    drop(out);
    let output = child.wait_with_output().expect("it ends");
    assert_eq!((output.status.code(), stderr(&output)), (Some(0), String::new()));
}

#[test]
fn a_result_that_could_not_be_written_is_a_failure() {
    let host = Host::start();
    let url = host.url("udp", false);
    let output = halloo(&["ping", "-c", "1", "--csv-wide", "/dev/full", &url]);
    assert_eq!(output.status.code(), Some(1));
    assert!(!stdout(&output).contains("written:"), "{}", stdout(&output));
    let complaint = "/dev/full: No space left on device";
    assert!(stderr(&output).contains(complaint), "{}", stderr(&output));
    for args in [
        vec!["ping", "-c", "1", &url],
        vec!["ping", "--json", "-c", "1", &url],
    ] {
        let full = fs::OpenOptions::new().write(true).open("/dev/full");
        let output = Command::new(HALLOO)
            .args(&args)
            .stdout(full.expect("the device of full disks"))
            .output()
            .expect("halloo runs");
        assert_eq!(output.status.code(), Some(1));
        let complaint = "halloo: standard output: No space left on device";
        assert!(stderr(&output).starts_with(complaint), "{}", stderr(&output));
    }
}

#[test]
fn ctrl_c_before_the_first_answer_says_that_it_is_still_awaited() {
    let (silent, url) = silent_port();
    let ping = Running::start(&["ping", &url]);
    silent.recv(&mut [0; 64]).expect("a probe");
    ping.signal(Signal::SIGINT);
    let (text, code) = ping.finish();
    assert_eq!(code, Some(1), "{text}");
    assert!(
        text.contains("1 packets transmitted, 0 received, no answer yet, time ")
            && text.contains("1 still under way"),
        "{text}"
    );
}

#[test]
fn quiet_prints_the_beginning_and_the_end() {
    let host = Host::start();
    let output = halloo(&["ping", "-q", "-c", "3", "-i", "10ms", &host.url("tcp", false)]);
    let text = stdout(&output);
    let lines: Vec<_> = text.lines().take(3).collect();
    assert!(
        lines[0].starts_with("PING ") && lines[1].is_empty() && lines[2].starts_with("--- "),
        "{text}"
    );
}

#[test]
fn a_flood_prints_no_line_for_each_answer() {
    let host = Host::start();
    let output = halloo(&["ping", "-i", "0", "-c", "500", &host.url("udp", false)]);
    let text = stdout(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(!text.contains("seq="), "{text}");
    assert!(text.contains("500 packets transmitted, 500 received"), "{text}");
}

#[test]
fn only_the_same_key_is_answered() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let key = |name: &str, secret: &str| {
        let path = dir.path().join(name);
        let mut options = fs::OpenOptions::new();
        let file = options.write(true).create_new(true).mode(0o600).open(&path);
        file.expect("a new file")
            .write_all(secret.as_bytes())
            .expect("it can be written");
        path.display().to_string()
    };
    let (right, wrong) = (
        key("right", "the very secret key\n"),
        key("wrong", "some other secret..\n"),
    );
    let mut host = Host::with(&["--udp", "127.0.0.1:0", "--key-file", &right], 1);
    let url = host.url("udp", false);
    let ping = |key: &str| halloo(&["ping", "-c", "1", "-W", "100ms", "--key-file", key, &url]);
    assert_eq!(ping(&right).status.code(), Some(0));
    assert_eq!(ping(&wrong).status.code(), Some(1));
    host.signal(Signal::SIGUSR1);
    let counters = host.next("counters");
    assert_eq!(counters["silent"]["bad_auth"], 1, "{counters}");
}

#[test]
fn the_wide_file_has_a_row_for_each_exchange() {
    let host = Host::start();
    let dir = tempfile::tempdir().expect("a temporary folder");
    let path = dir.path().join("wide.csv");
    let file = path.display().to_string();
    let output = halloo(&[
        "ping",
        "-c",
        "3",
        "-i",
        "10ms",
        "--csv-wide",
        &file,
        &host.url("udp", false),
    ]);
    assert!(
        stdout(&output).contains(&format!("written: {file}")),
        "{}",
        stdout(&output)
    );
    let text = fs::read_to_string(&path).expect("the file");
    let rows: Vec<Vec<&str>> = text.lines().map(|line| line.split(',').collect()).collect();
    assert_eq!(rows.len(), 4);
    let column = |name: &str| rows[0].iter().position(|column| *column == name).expect(name);
    for row in &rows[1..] {
        assert_eq!(row.len(), rows[0].len());
        assert_eq!(row[column("verdict")], "answered");
        assert!(row[column("wire_ns")].parse::<u64>().is_ok(), "{row:?}");
    }
}

#[test]
fn datagrams_that_were_asked_for_come_and_are_told() {
    let ports = [
        "--udp",
        "127.0.0.1:0",
        "--udp",
        "127.0.0.1:0",
        "--tcp",
        "127.0.0.1:0",
    ];
    let host = Host::with(&ports, 3);
    let url = host.url("udp", false);
    for (from, port_is_same) in [("same", true), ("port", false)] {
        let wish = format!("3/10ms/20ms/{from}");
        let output = halloo(&["ping", "--json", "--pingback", &wish, &url]);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let objects = objects(&output);
        let of = |kind: &str| -> Vec<Value> {
            let found = objects.iter().filter(|object| object["type"] == kind);
            found.cloned().collect()
        };
        let promised = &of("pingback_start")[0];
        assert_eq!(
            (&promised["promised"], &promised["from"]),
            (&3.into(), &from.into())
        );
        let came = of("pingback");
        assert_eq!(came.len(), 3);
        for (number, one) in (1..).zip(&came) {
            assert_eq!(one["number"], number);
            let told = one["from_addr"].as_str().expect("an address");
            assert_eq!(format!("udp://{told}") == url, port_is_same, "{told}");
            assert!(one["after_ns"].as_u64() >= Some(20_000_000), "{one}");
        }
        let summary = &of("pingback_summary")[0];
        assert_eq!(
            (&summary["came"], &summary["ended"]),
            (&3.into(), &"complete".into())
        );
    }
    let text = stdout(&halloo(&["ping", "--pingback", "2/10ms/0", &url]));
    assert!(text.contains("2 of 2 came"), "{text}");
}

#[test]
fn where_nothing_comes_of_it_the_exit_status_says_so() {
    let (_socket, silent) = silent_port();
    let ports = ["--udp", "127.0.0.1:0", "--tcp", "127.0.0.1:0"];
    let host = Host::with(&ports, 2);
    let table = [
        (silent, "3/10ms/0", "does not answer"),
        (
            host.url("udp", false),
            "3/10ms/0/port",
            "it has no such other end",
        ),
    ];
    for (url, wish, why) in table {
        let output = halloo(&["ping", "-W", "50ms", "--pingback", wish, &url]);
        assert_eq!(output.status.code(), Some(1));
        assert!(stdout(&output).contains(why), "{}", stdout(&output));
    }
    let wrong: &[(&[&str], &str)] = &[
        (
            &["--pingback", "3/1ms/0", "x"],
            "D is `1ms`, but must be 10ms to 71m",
        ),
        (
            &["--pingback", "3/1/0", "tcp://x"],
            "--pingback goes with udp:// targets alone",
        ),
        (&["--pingback", "3/1/0", "-c", "5", "x"], "cannot be used with"),
    ];
    for (args, why) in wrong {
        let output = halloo(&[&["ping"], *args].concat());
        assert_eq!(output.status.code(), Some(2));
        assert!(stderr(&output).contains(why), "{}", stderr(&output));
    }
}
