//! Load, HTTP/2 and WebSocket by programs that others wrote, over IPv4 and IPv6.

use crate::client::server;
use halloo_base::Reason;
use halloo_lab::program_or_skip;
use halloo_serve::Secret;
use halloo_web::{HttpOptions, HttpServer, TlsOptions};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

/// Its output, if it is content.
#[track_caller]
fn run(program: &Path, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{program:?} {arguments:?}: {told}{complaint}"
    );
    told
}

/// On both loopback addresses; without limits of work, which are tested elsewhere.
fn both(tls: bool) -> (HttpServer, Vec<String>) {
    let mut options = HttpOptions::new(Secret::new([7; 16]));
    let scheme = if tls { "https" } else { "http" };
    options.tls = tls.then(|| TlsOptions::self_signed(["127.0.0.1", "::1"]).unwrap());
    let listeners = ["127.0.0.1:0", "[::1]:0"].map(|place| TcpListener::bind(place).unwrap());
    let server = HttpServer::start(listeners.into(), options).unwrap();
    let places = server.addresses().iter();
    let urls = places.map(|place| format!("{scheme}://{place}")).collect();
    (server, urls)
}

#[test]
fn wrk_finds_no_error_on_twenty_connections() {
    let Some(wrk) = program_or_skip("wrk") else { return };
    for tls in [false, true] {
        let (server, urls) = both(tls);
        for url in &urls {
            let told = run(&wrk, &["-t", "1", "-c", "20", "-d", "1s", &format!("{url}/ip")]);
            assert!(told.contains(" requests in "), "{told}");
            assert!(
                !told.contains("Socket errors") && !told.contains("Non-2xx"),
                "{url}: {told}"
            );
        }
        let tally = server.tally().clone();
        let connections = server.counters().snapshot();
        server.stop().unwrap();
        // It opens one more to see whether we are there, and goes without a handshake.
        let wrong = connections
            .silent
            .iter()
            .find(|(why, _)| *why != Reason::Incomplete);
        assert_eq!(wrong, None);
        let [("part", answers)] = tally.kinds()[..] else {
            panic!("{:?}", tally.kinds());
        };
        assert_eq!(tally.statuses(), [("2xx", answers)]);
        assert!(connections.received >= 40 && answers >= 40);
    }
}

#[test]
fn h2load_gets_every_answer_of_http2() {
    let Some(h2load) = program_or_skip("h2load") else {
        return;
    };
    for tls in [false, true] {
        let (server, urls) = both(tls);
        for url in &urls {
            // Left to itself it forgets the brackets of an IPv6 address, and no host has such a name.
            let place = url.rsplit('/').next().unwrap_or_default();
            let authority = format!(":authority: {place}");
            let target = format!("{url}/get?a=1");
            let told = run(
                &h2load,
                &["-n", "500", "-c", "5", "-m", "20", "-H", &authority, &target],
            );
            let all =
                "requests: 500 total, 500 started, 500 done, 500 succeeded, 0 failed, 0 errored, 0 timeout";
            assert!(told.contains(all), "{url}: {told}");
            assert!(told.contains("\nApplication protocol: h2"), "{url}: {told}");
        }
        let requests = server.requests().clone();
        server.stop().unwrap();
        let told = requests.snapshot();
        assert_eq!((told.received, told.replied), (1_000, 1_000), "{told:?}");
    }
}

#[test]
fn nghttp_sends_a_body_and_reads_it_back() {
    let Some(nghttp) = program_or_skip("nghttp") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("body");
    std::fs::write(&file, "halloo ".repeat(20_000)).unwrap();
    let data = file.display().to_string();
    for tls in [false, true] {
        let (server, urls) = both(tls);
        for url in &urls {
            let told = run(
                &nghttp,
                &[
                    "-d",
                    &data,
                    "-H",
                    "content-type: text/plain",
                    &format!("{url}/anything"),
                ],
            );
            let told: serde_json::Value = serde_json::from_str(&told).unwrap();
            assert_eq!(told["data"].as_str().unwrap().len(), 140_000, "{url}");
            assert_eq!(told["method"], "POST");
            let statuses = run(&nghttp, &["-nv", &format!("{url}/status/418")]);
            assert!(statuses.contains(":status: 418"), "{statuses}");
        }
        server.stop().unwrap();
    }
}

/// Opens one, sends what there is to send, and says how it ended.
const WEBSOCKET: &str = r#"
import ssl, sys, websocket
s = websocket.create_connection(sys.argv[1], sslopt={"cert_reqs": ssl.CERT_NONE}, timeout=60)
s.send("halloo \U0001F44B")
assert s.recv() == "halloo \U0001F44B"
s.send_binary(bytes(range(256)) * 200)
assert s.recv() == bytes(range(256)) * 200
# A message in three frames, and a ping among them.
s.send_frame(websocket.ABNF.create_frame("a", websocket.ABNF.OPCODE_TEXT, 0))
s.ping("here")
s.send_frame(websocket.ABNF.create_frame("b", websocket.ABNF.OPCODE_CONT, 0))
s.send_frame(websocket.ABNF.create_frame("c", websocket.ABNF.OPCODE_CONT, 1))
frames = []
while not frames or frames[-1][0] != websocket.ABNF.OPCODE_TEXT:
    frames.append(s.recv_data(control_frame=True))
assert (websocket.ABNF.OPCODE_PONG, b"here") in frames, frames
assert frames[-1][1] == b"abc", frames
s.send_close(1000, b"bye")
opcode, data = s.recv_data(control_frame=True)
print(opcode == websocket.ABNF.OPCODE_CLOSE, int.from_bytes(data[:2], "big"))
"#;

#[test]
fn python_is_echoed_by_websocket() {
    // The package brings the module, and this program by which it is known.
    if program_or_skip("wsdump").is_none() {
        return;
    }
    // Debian's own: it has Debian's modules.
    let python = Path::new("/usr/bin/python3");
    for tls in [false, true] {
        let (server, urls) = both(tls);
        for url in &urls {
            let url = format!("{}/ws", url.replacen("http", "ws", 1));
            assert_eq!(run(python, &["-c", WEBSOCKET, &url]), "True 1000\n", "{url}");
        }
        let tally = server.tally().clone();
        server.stop().unwrap();
        assert_eq!(tally.statuses(), [("1xx", 2)]);
    }
}

#[test]
fn curl_asks_over_ipv6_in_both_versions() {
    let Some(curl) = program_or_skip("curl") else {
        return;
    };
    let (server, urls) = both(false);
    for version in ["--http1.1", "--http2-prior-knowledge"] {
        let told = run(
            &curl,
            &["-sS", "--noproxy", "*", version, &format!("{}/ip", urls[1])],
        );
        let told: serde_json::Value = serde_json::from_str(&told).unwrap();
        assert_eq!(told["origin"], "::1", "{version}");
    }
    server.stop().unwrap();
}

/// Whoever sends nothing, or a byte now and then, gets no further than its own place.
#[test]
fn curl_is_answered_while_slow_ones_hold_every_other_place() {
    use std::io::Write;
    let Some(curl) = program_or_skip("curl") else {
        return;
    };
    let server = server(|options| options.admission.connections = 8);
    let place = crate::client::address(&server);
    let slow: Vec<_> = (0..40)
        .filter_map(|_| {
            let mut stream = crate::client::connect(&server);
            // The server may have taken the place back for the next one already.
            stream.write_all(b"GET / HTTP/1.1\r\nX-A: ").ok().map(|()| stream)
        })
        .collect();
    let told = run(&curl, &["-sS", "--noproxy", "*", &format!("http://{place}/ip")]);
    assert!(told.contains("127.0.0.1"), "{told}");
    drop(slow);
    let counters = server.counters().clone();
    server.stop().unwrap();
    let told = counters.snapshot();
    assert!(counters.count(Reason::TooManyConnections) >= 33, "{told:?}");
}
