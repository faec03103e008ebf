//! Tools of others ask the echo host: hping3, nping and traceroute.

use super::stage::{ECHO_V4, Stage, Way, assert_reads_well, host_for, routes_to_echo, serve};
use crate::asking::PATIENCE;
use halloo_lab::{Capture, Host, Lab, program_or_skip};
use std::path::Path;

const WAYS: [Way; 3] = [Way::Wire, Way::Xdp, Way::Tun];

/// What a tool printed on both outputs.
fn said(host: &Host, program: &Path, args: &[&str]) -> String {
    let echo = ECHO_V4[0].to_string();
    let output = host.run(program, args.iter().chain(&[echo.as_str()]));
    [output.stdout, output.stderr]
        .map(|pipe| String::from_utf8_lossy(&pipe).into_owned())
        .concat()
}

/// What is left of a TTL of 64.
fn ttl_left(way: Way) -> u8 {
    if way == Way::Tun { 61 } else { 63 }
}

#[test]
fn hping3_hears_its_own_datagrams_and_segments() {
    let Some(hping3) = program_or_skip("hping3") else {
        return;
    };
    for way in WAYS {
        let Some(stage) = Stage::or_skip("hping3 asks", way, &[]) else {
            return;
        };
        let same_ports = ["-s", "7000", "-k", "-p", "7000", "-c", "5", "-i", "u10000"];
        // On a busy machine it may miss one of its answers; the host counts them all.
        for (kind, heard) in [
            (
                &["--udp", "-d", "100"][..],
                format!("ip={} ttl={}", ECHO_V4[0], ttl_left(way)),
            ),
            // A reset, because no stack answers one.
            (&["--rst"], "sport=7000 flags=R ".to_owned()),
        ] {
            let text = said(stage.client(), &hping3, &[kind, &same_ports].concat());
            assert!(text.contains(&heard), "{way:?}: {text}");
        }
        // Raw datagrams and ICMP are sent only: the host tells what became of them.
        let five = ["-d", "100", "-c", "5", "-i", "u10000"];
        for kind in [&["--rawip", "--ipproto", "253"][..], &["--icmp"]] {
            said(stage.client(), &hping3, &[kind, &five].concat());
        }
        let counted = stage.stop();
        // The client's own stack complains about datagrams that nobody there has asked for.
        assert!(
            counted.replied == 15 && counted.silent("icmp") >= 5,
            "{counted:?}"
        );
    }
}

#[test]
fn nping_gets_an_answer_to_all_but_icmp() {
    let Some(nping) = program_or_skip("nping") else {
        return;
    };
    let folder = tempfile::tempdir().expect("a folder");
    for way in WAYS {
        let Some(stage) = Stage::or_skip("nping asks", way, &[]) else {
            return;
        };
        let file = folder.path().join(format!("{way:?}.pcap"));
        let capture = Capture::start_to(stage.client(), stage.link.a().device(), &file);
        let udp = ["--udp", "-g", "7000", "-p", "7000", "--delay", "10ms", "-c", "5"];
        for more in [
            &["--data-length", "1000"][..],
            &["--data-length", "400", "--mtu", "64"],
            &["--ip-options", "R"],
            &["--ip-options", "T"],
            &["--tos", "184", "--df"],
        ] {
            let text = said(stage.client(), &nping, &[&udp[..], more].concat());
            assert!(text.contains("Raw packets sent: 5 "), "{way:?} {more:?}: {text}");
            assert!(text.contains("Rcvd: 5 "), "{way:?} {more:?}: {text}");
            let left = format!(" ttl={} ", ttl_left(way));
            let heard = text
                .lines()
                .filter(|line| line.starts_with("RCVD") && line.contains(&left));
            assert_eq!(heard.count(), 5, "{way:?} {more:?}: {text}");
        }
        let text = said(stage.client(), &nping, &["--icmp", "-c", "2", "--delay", "10ms"]);
        assert!(text.contains("Rcvd: 0 "), "{way:?}: {text}");
        drop(capture.finish());
        assert_reads_well(&file);
    }
}

#[test]
fn traceroute_finds_the_echo_host_where_twice_the_way_ends() {
    let Some(traceroute) = program_or_skip("traceroute") else {
        return;
    };
    for way in WAYS {
        let Some(lab) = Lab::or_skip("traceroute asks") else {
            return;
        };
        let (client, router) = (lab.host("client"), lab.router("router"));
        let near = lab.link(&client, &router);
        let far = lab.link(&router, &host_for(&lab, "echo", way));
        routes_to_echo(far.a(), far.b(), way);
        client.route("default", near.b().v4().into());
        far.b().host().route("10.0.0.0/8", far.a().v4().into());
        let _server = serve(far.b().host(), far.b().device(), way, &[]);
        let (router, host, echo) = (
            near.b().v4().to_string(),
            far.b().v4().to_string(),
            ECHO_V4[0].to_string(),
        );
        // A TTL ends with a word at each forwarding host on the way there. What ends at the echo host or on the way
        // back ends in silence: an error would go to the echo address.
        let expected = match way {
            Way::Wire | Way::Xdp => vec![router.as_str(), "*", "*", &echo],
            Way::Tun => vec![&router, &host, "*", "*", "*", &echo],
        };
        let kinds = [
            &["-P", "253"][..],
            &["-U", "-p", "7000", "--sport=7000"],
            &["-T", "-p", "7001"],
        ];
        // Side by side, because each waits a second for every silence.
        let running = kinds.map(|kind| {
            let args = ["-n", "-q", "1", "-w", "1", "-m", "8"];
            client.spawn(&traceroute, args.iter().chain(kind).chain(&[echo.as_str()]))
        });
        for traceroute in running {
            traceroute.wait(PATIENCE);
            let text = traceroute.stdout();
            let hops: Vec<_> = text
                .lines()
                .skip(1)
                .filter_map(|line| line.split_whitespace().nth(1))
                .collect();
            assert_eq!(hops, expected, "{way:?}: {traceroute}");
        }
    }
}
