//! Programs that others wrote, as servers of ours and clients of ours.

use crate::asking::{PATIENCE, assert_accounted, pinged, serve};
use halloo_lab::{Direction, Host, Impairment, Lab, Link, program_or_skip};
use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::Duration;

fn pair(title: &str) -> Option<(Lab, Link)> {
    let lab = Lab::or_skip(title)?;
    let link = lab.link(&lab.host("near"), &lab.host("far"));
    Some((lab, link))
}

/// All probes of a short session come back, over IPv4.
fn answers(link: &Link, scheme: &str, port: u16) {
    let target = format!("{scheme}://{}:{port}", link.b().v4());
    let (code, said) = pinged(link.a().host(), &["-c", "20", "-i", "0.01", &target]);
    assert_eq!((code, said.count("answered")), (0, 20), "{target}: {:#?}", said.0);
    assert_accounted(said.summary());
    assert!(said.summary()["host"]["min_ns"].as_i64() > Some(0), "{target}");
}

/// Blocks until something listens on a TCP or UDP port of a host.
fn wait_until_served(host: &Host, port: u16) {
    let mut ask = Command::new("sh");
    // Inotify does not reach sockets; `ss` in a loop is the kernel's own word, and it ends as soon as it can.
    ask.args([
        "-c",
        &format!("until ss -Hlntu sport = :{port} | grep -q .; do :; done; echo served"),
    ]);
    host.spawn_command(ask).wait_for_line("served", PATIENCE);
}

#[test]
fn our_client_and_xinetd() {
    let Some((_lab, link)) = pair("our client and xinetd") else {
        return;
    };
    let Some(xinetd) = program_or_skip("xinetd") else {
        return;
    };
    let mut config = String::new();
    for (kind, protocol, wait) in [("stream", "tcp", "no"), ("dgram", "udp", "yes")] {
        write!(
            config,
            "service echo\n{{\n type = INTERNAL\n id = echo-{kind}\n socket_type = {kind}\n \
             protocol = {protocol}\n wait = {wait}\n user = root\n disable = no\n}}\n"
        )
        .expect("a String takes all");
    }
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("xinetd.conf");
    std::fs::write(&file, config).expect("written");
    let args = ["-dontfork", "-f", file.to_str().expect("UTF-8")];
    let _server = link.b().host().spawn(xinetd, args);
    wait_until_served(link.b().host(), 7);
    answers(&link, "tcp", 7);
    answers(&link, "udp", 7);
}

#[test]
fn our_client_and_socat() {
    let Some((_lab, link)) = pair("our client and socat") else {
        return;
    };
    let Some(socat) = program_or_skip("socat") else {
        return;
    };
    for (scheme, listen) in [
        ("tcp", "TCP4-LISTEN:7777,fork,reuseaddr"),
        ("udp", "UDP4-LISTEN:7777,fork"),
    ] {
        let server = link.b().host().spawn(&socat, [listen, "PIPE"]);
        wait_until_served(link.b().host(), 7777);
        answers(&link, scheme, 7777);
        drop(server);
    }
}

#[test]
fn netcat_and_socat_are_answered_byte_for_byte() {
    let Some((_lab, link)) = pair("netcat and socat ask") else {
        return;
    };
    let (Some(netcat), Some(socat)) = (program_or_skip("nc"), program_or_skip("socat")) else {
        return;
    };
    let _server = serve(link.b().host(), &[]);
    let text = "Halloo, Halloo!\0\u{ff}\r\n".repeat(40);
    for far in [link.b().v4().to_string(), link.b().v6().to_string()] {
        let bracketed = if far.contains(':') {
            format!("[{far}]")
        } else {
            far.clone()
        };
        let asks: [(&std::path::Path, Vec<String>); 4] = [
            (&netcat, vec!["-N".into(), far.clone(), "7777".into()]),
            (
                &netcat,
                vec!["-u".into(), "-W".into(), "1".into(), far.clone(), "7777".into()],
            ),
            (
                &socat,
                vec!["-t5".into(), "-".into(), format!("TCP:{bracketed}:7777")],
            ),
            (
                &socat,
                vec!["-t1".into(), "-".into(), format!("UDP:{bracketed}:7777")],
            ),
        ];
        for (program, args) in asks {
            let heard = link.a().host().enter(|| {
                let mut child = Command::new(program)
                    .args(&args)
                    .stdin(Stdio::piped())
                    .stdout(Stdio::piped())
                    .spawn()
                    .expect("it starts");
                let mut stdin = child.stdin.take().expect("piped");
                stdin.write_all(text.as_bytes()).expect("it reads");
                drop(stdin);
                child.wait_with_output().expect("it ends").stdout
            });
            assert_eq!(String::from_utf8_lossy(&heard), text, "{program:?} {args:?}");
        }
    }
}

#[test]
fn sockperf_measures_us() {
    let Some((_lab, link)) = pair("sockperf asks") else {
        return;
    };
    let Some(sockperf) = program_or_skip("sockperf") else {
        return;
    };
    let server = serve(link.b().host(), &[]);
    let far = link.b().v4().to_string();
    for more in [&[][..], &["--tcp"][..]] {
        let args = ["ping-pong", "-i", &far, "-p", "7777", "-t", "1", "--pps", "500"];
        let output = link.a().host().run(&sockperf, [&args[..], more].concat());
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{text}");
    }
    drop(server);
}

#[test]
fn our_round_trip_agrees_with_the_kernels_ping() {
    let Some(lab) = Lab::or_skip("ping as a bound") else {
        return;
    };
    let Some(ping) = program_or_skip("ping") else {
        return;
    };
    let (link, impairer) = lab.impaired_link(&lab.host("near"), &lab.host("far"));
    for direction in [Direction::AToB, Direction::BToA] {
        impairer.set(direction, Impairment::delay(Duration::from_millis(10)));
    }
    let _server = serve(link.b().host(), &[]);
    let far = link.b().v4().to_string();
    let output = link.a().host().run(ping, ["-c", "20", "-i", "0.02", "-q", &far]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    // "rtt min/avg/max/mdev = 20.123/20.456/21.000/0.100 ms"
    let theirs: f64 = text
        .split_once("mdev = ")
        .and_then(|(_, numbers)| numbers.split('/').next()?.parse().ok())
        .unwrap_or_else(|| panic!("{text}"));
    let (_, said) = pinged(link.a().host(), &["-c", "20", "-i", "0.02", &far]);
    let ours = said.summary()["wire"]["min_ns"].as_f64().expect("wire times") / 1e6;
    // Both take the best of twenty through the same 20 ms; what differs is scheduling, never the delay.
    assert!(
        ours >= 20.0 && (ours - theirs).abs() < 2.0,
        "ours {ours} ms, theirs {theirs} ms"
    );
}
