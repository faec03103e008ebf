//! SIP OPTIONS: sipsak and sipp ask us, sipp answers us, tshark reads both.

use crate::common::{HALLOO, Port, Running, Server, own_address, ping, run};
use crate::tap::Tap;
use halloo_lab::{Lab, program_or_skip};
use std::net::SocketAddrV4;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What sipp does, by the name of its scenario.
fn scenario(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/dialects/sipp");
    folder.join(name).with_extension("xml")
}

/// sipp's transport and ours.
const TRANSPORTS: [(&str, &str, Port); 2] = [("u1", "sip", Port::Udp), ("t1", "sip+tcp", Port::Tcp)];

/// How `halloo ping` writes such a target.
fn url(scheme: &str, place: impl std::fmt::Display) -> String {
    let slashes = if scheme == "sip" { "" } else { "//" };
    format!("{scheme}:{slashes}{place}")
}

#[test]
fn sipsak_is_answered() {
    let Some(sipsak) = program_or_skip("sipsak") else {
        return;
    };
    let server = Server::start(&["--sip", "127.0.0.1:0"]);
    for (transport, scheme) in [("udp", "sip"), ("tcp", "sip+tcp")] {
        let uri = format!("sip:ping@{}", server.address(scheme));
        let (text, code) = run(&sipsak, ["-vv", "-E", transport, "-s", &uri]);
        assert_eq!(code, Some(0), "{text}");
        assert!(text.contains("SIP/2.0 200 OK"), "{text}");
        // Without -v it tells by its exit status alone, which is what monitoring looks at.
        assert_eq!(
            run(&sipsak, ["-E", transport, "-s", &uri]),
            (String::new(), Some(0))
        );
    }
    let counted = server.counters("sip");
    assert_eq!(
        (&counted["received"], &counted["replied"]),
        (&2.into(), &2.into()),
        "{counted:#}"
    );
}

/// Has sipp ask so many times, each answer judged by its scenario.
fn sipp_asks(sipp: &Path, count: &str, args: &[&str]) {
    let options = scenario("options").display().to_string();
    let usual = [
        "-sf", &options, "-m", count, "-r", "1000", "-l", "50", "-nostdin", "-timeout", "50s",
    ];
    let (text, code) = run(sipp, [&usual[..], args].concat());
    assert_eq!(code, Some(0), "{text}");
}

#[test]
fn sipp_is_answered_hundreds_of_times_by_each_transport() {
    let Some(sipp) = program_or_skip("sipp") else {
        return;
    };
    let own = own_address().to_string();
    // One UDP socket, one connection, a connection for each call.
    let ways = [
        ("u1", "sip", &["-p", "7060"][..], None),
        ("t1", "sip+tcp", &[], Some(1)),
        ("tn", "sip+tcp", &["-max_socket", "100"], Some(300)),
    ];
    for (transport, scheme, more, connections) in ways {
        let server = Server::start(&["--sip", "127.0.0.1:0"]);
        let target = server.address(scheme).to_string();
        let args = [&["-t", transport, "-i", &own], more, &[&target[..]]].concat();
        sipp_asks(&sipp, "300", &args);
        let counted = server.counters(scheme);
        assert_eq!(counted["silent"], serde_json::json!({}), "{counted:#}");
        match connections {
            Some(connections) => assert_eq!(counted["received"], connections, "{counted:#}"),
            // What waited for more than half a second was sent again.
            None => assert!(counted["replied"].as_u64() >= Some(300), "{counted:#}"),
        }
    }
}

#[test]
fn a_user_agent_that_asks_from_port_5060_is_answered_at_port_5060() {
    let Some(lab) = Lab::or_skip("SIP between its usual ports") else {
        return;
    };
    let Some(sipp) = program_or_skip("sipp") else {
        return;
    };
    let link = lab.link(&lab.host("near"), &lab.host("far"));
    let server = link.b().host().spawn(HALLOO, ["serve", "--sip", "5060"]);
    server.wait_for_line("sip+tcp on", Duration::from_secs(30));
    let (near, far) = (link.a().v4().to_string(), link.b().v4().to_string());
    link.a().host().enter(|| {
        sipp_asks(&sipp, "20", &["-t", "u1", "-i", &near, "-p", "5060", &far]);
    });
}

/// sipp on an address of its own, answering by this scenario.
pub(crate) fn sipp_answers(sipp: &Path, transport: &str, port: Port, name: &str) -> (Running, SocketAddrV4) {
    let address = SocketAddrV4::new(own_address(), 5060);
    let (scenario, ip) = (scenario(name).display().to_string(), address.ip().to_string());
    let args = ["-sf", &scenario, "-t", transport, "-i", &ip, "-nostdin"];
    let mut running = Running::start(sipp, args);
    running.wait_until_bound(port, address);
    (running, address)
}

#[test]
fn our_client_is_answered_by_sipp() {
    let Some(sipp) = program_or_skip("sipp") else {
        return;
    };
    for (transport, scheme, port) in TRANSPORTS {
        let (_sipp, address) = sipp_answers(&sipp, transport, port, "answers");
        // By the usual port, which sipp has, and the answers told nothing but that they are here.
        ping(&["-c", "20", &url(scheme, address.ip())]).assert_answered(20);
        let long = ping(&["-c", "5", "-s", "1400", &url(scheme, address)]);
        long.assert_answered(5);
    }
}

#[test]
fn a_user_agent_that_is_busy_refuses_and_says_so() {
    let Some(sipp) = program_or_skip("sipp") else {
        return;
    };
    for (transport, scheme, port) in TRANSPORTS {
        let (_sipp, address) = sipp_answers(&sipp, transport, port, "refuses");
        let target = url(scheme, address);
        let pinged = ping(&["-c", "3", &target]);
        assert_eq!(
            (pinged.code, pinged.count("refused")),
            (Some(1), 3),
            "{pinged:#?}"
        );
        let (text, code) = run(HALLOO, ["ping", "-c", "1", &target]);
        assert_eq!(code, Some(1), "{text}");
        assert!(text.contains("seq=1 answer says no: 486 Busy Here, "), "{text}");
    }
}

#[test]
fn tshark_reads_our_request_and_our_answer() {
    let Some(tshark) = program_or_skip("tshark") else {
        return;
    };
    let server = Server::start(&["--sip", "127.0.0.1:0"]);
    let tap = Tap::before(server.address("sip"));
    let tapped = tap.address();
    ping(&["-c", "1", &url("sip", tapped)]).assert_answered(1);
    let fields = [
        "sip.Method",
        "sip.Status-Code",
        "sip.CSeq.method",
        "sip.Call-ID",
        "sip.Via.branch",
        "sip.Via.received",
        "sip.Via.rport",
        "sip.from.tag",
        "sip.to.tag",
        "sip.Content-Length",
    ];
    let rows = tap.read(&tshark, "sip", &fields);
    let [request, answer] = &rows[..] else {
        panic!("{rows:?}");
    };
    assert_eq!(request[..3], ["OPTIONS", "", "OPTIONS"], "{rows:?}");
    assert_eq!(answer[..3], ["", "200", "OPTIONS"], "{rows:?}");
    // Call-ID, branch and the tag of From are the transaction's.
    for field in [3, 4, 7] {
        assert_eq!(request[field], answer[field], "{rows:?}");
        assert!(!request[field].is_empty(), "{rows:?}");
    }
    let (ip, port) = (tapped.ip().to_string(), tapped.port().to_string());
    assert_eq!(answer[5..7], [ip, port], "{rows:?}");
    assert!(request[8].is_empty() && !answer[8].is_empty(), "{rows:?}");
    assert_eq!((&*request[9], &*answer[9]), ("0", "0"), "{rows:?}");
}
