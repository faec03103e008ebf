//! QUIC and HTTP/3: aioquic as a client and as a server, ngtcp2's client.
//!
//! `cargo xtask test` installs them; Debian's curl has no HTTP/3.

use crate::common::{Pinged, Port, Running, Server, own_address, ping, run};
use halloo_lab::program_or_skip;
use serde_json::{Value, json};
use std::ffi::OsString;
use std::net::SocketAddrV4;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// aioquic in some role, or `None` after saying loudly that it is not here.
struct Aioquic(PathBuf);

impl Aioquic {
    fn here() -> Option<Aioquic> {
        let temporary = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let folder = temporary.with_file_name("peers").join("aioquic");
        if folder.join("installed").exists() {
            return Some(Aioquic(folder));
        }
        let thread = std::thread::current();
        let test = thread.name().unwrap_or("a test");
        eprintln!("SKIPPED {test}: aioquic is not here, `cargo xtask test` installs it");
        None
    }

    fn command(&self, role: &[&str]) -> Vec<OsString> {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/dialects/quic/peer.py");
        let mut path = OsString::from("PYTHONPATH=");
        path.push(&self.0);
        let mut command = vec![path, "python3".into(), script.into()];
        command.extend(role.iter().map(OsString::from));
        command
    }

    /// What it saw of this host.
    fn sees(&self, role: &str, server: &Server) -> Value {
        let address = server.address("quic");
        let (ip, port) = (address.ip().to_string(), address.port().to_string());
        let (text, code) = run("env", self.command(&[role, &ip, &port]));
        assert_eq!(code, Some(0), "{text}");
        let last = text.lines().last().unwrap_or_default();
        serde_json::from_str(last).unwrap_or_else(|error| panic!("{error}: {text}"))
    }
}

fn server() -> Server {
    Server::start(&["--quic", "127.0.0.1:0"])
}

#[test]
fn aioquic_gets_its_bytes_back_on_streams_and_in_datagrams() {
    let Some(aioquic) = Aioquic::here() else { return };
    let server = server();
    let stream = aioquic.sees("stream", &server);
    assert_eq!(stream, json!({"echoed": true, "retried": false}));
    assert_eq!(aioquic.sees("datagram", &server), json!({"echoed": true}));
    let frames = server.counters("udp+quic");
    assert_eq!(
        (&frames["received"], &frames["replied"]),
        (&json!(20), &json!(20))
    );
}

#[test]
fn aioquic_asks_before_its_handshake_is_complete_and_goes_on_from_other_ports() {
    let Some(aioquic) = Aioquic::here() else { return };
    let server = server();
    let early = json!({"echoed": true, "resumed": true, "accepted": true});
    assert_eq!(aioquic.sees("early", &server), early);
    assert_eq!(
        aioquic.sees("move", &server),
        json!({"echoed": [true, true, true]})
    );
    let counted = server.counters("quic");
    assert_eq!(
        (&counted["received"], &counted["replied"]),
        (&json!(3), &json!(3))
    );
}

#[test]
fn aioquic_shows_its_address_where_a_source_has_many_connections() {
    let Some(aioquic) = Aioquic::here() else { return };
    let server = server();
    let stream = aioquic.sees("retried", &server);
    assert_eq!(stream, json!({"echoed": true, "retried": true}));
    let counted = server.counters("quic");
    assert_eq!(counted["silent"]["unvalidated"], 1, "{counted}");
    assert_eq!(counted["replied"], 129, "{counted}");
}

#[test]
fn aioquic_is_refused_for_a_protocol_that_nobody_speaks() {
    let Some(aioquic) = Aioquic::here() else { return };
    let server = server();
    assert_eq!(aioquic.sees("wrong", &server)["connected"], false);
    assert_eq!(server.counters("quic")["replied"], 0);
}

#[test]
fn halloo_asks_aioquic() {
    let Some(aioquic) = Aioquic::here() else { return };
    for more in [&[][..], &["retry"]] {
        let address = SocketAddrV4::new(own_address(), 4433);
        let (ip, port) = (address.ip().to_string(), address.port().to_string());
        let role = [&["server", &ip, &port], more].concat();
        let mut server = Running::start("env", aioquic.command(&role));
        server.line_with("listening");
        server.wait_until_bound(Port::Udp, address);
        for scheme in ["quic", "udp+quic"] {
            let target = format!("{scheme}://{address}");
            ping(&["-c", "10", "--insecure", &target]).assert_answered(10);
        }
    }
}

/// What the objects of this type tell.
fn told<'a>(pinged: &'a Pinged, kind: &str) -> Vec<&'a Value> {
    pinged.objects().filter(|object| object["type"] == kind).collect()
}

#[test]
fn halloo_asks_before_its_handshake_is_complete_and_moves_halfway() {
    let aioquic = Aioquic::here();
    let server = server();
    let address = SocketAddrV4::new(own_address(), 4433);
    let theirs = aioquic.map(|aioquic| {
        let role = ["server", &address.ip().to_string(), "4433"];
        let peer = Running::start("env", aioquic.command(&role));
        peer.line_with("listening");
        peer
    });
    let mut hosts = vec![server.address("quic").to_string()];
    hosts.extend(theirs.as_ref().map(|_| address.to_string()));
    for (host, scheme) in hosts.iter().flat_map(|host| [(host, "quic"), (host, "udp+quic")]) {
        let target = format!("{scheme}://{host}");
        let pinged = ping(&[
            "-c",
            "30",
            "--insecure",
            "--zero-rtt",
            "--migrate",
            "0.1",
            &target,
        ]);
        pinged.assert_answered(30);
        let handshakes = told(&pinged, "handshake");
        assert_eq!(handshakes.len(), 1, "{target}: {handshakes:?}");
        assert_eq!(handshakes[0]["early_data"], "accepted", "{target}");
        assert_eq!(handshakes[0]["resumed"], true, "{target}");
        assert!(handshakes[0]["handshake_ns"].as_u64() > Some(0));
        let moved = told(&pinged, "moved");
        assert_eq!(moved.len(), 1, "{target}: {pinged:?}");
        assert!(moved[0]["seen_ns"].as_u64() > Some(0));
    }
    let plain = ping(&["-c", "2", "--insecure", &format!("udp+quic://{}", hosts[0])]);
    let handshakes = told(&plain, "handshake");
    assert_eq!(handshakes[0]["early_data"], "none", "unless it is wanted");
    assert_eq!(handshakes[0]["resumed"], false);
}

#[cfg(feature = "h3")]
#[test]
fn aioquic_asks_over_http_3_what_others_ask_over_http_1() {
    let Some(aioquic) = Aioquic::here() else { return };
    let server = server();
    let told = aioquic.sees("http", &server);
    let header = |name: &str, field: &str| told[name]["headers"][field].as_str().unwrap_or("").to_owned();
    for (name, status) in [
        ("anything", "200"),
        ("ip", "200"),
        ("status", "418"),
        ("bytes", "200"),
        ("none", "204"),
        ("trace", "200"),
        ("ws", "426"),
        ("long", "413"),
        ("head_too_long", "431"),
    ] {
        assert_eq!(header(name, ":status"), status, "{name}: {}", told[name]);
    }
    let body = |name: &str| told[name]["text"].as_str().unwrap_or_default().to_owned();
    let echo: Value = serde_json::from_str(&body("anything")).expect("JSON");
    assert_eq!(echo["data"].as_str().map(str::len), Some(100_000));
    assert_eq!(echo["url"], "https://halloo.example/anything?a=1");
    assert_eq!(echo["args"], json!({"a": "1"}));
    let ip: Value = serde_json::from_str(&body("ip")).expect("JSON");
    assert_eq!(ip["origin"], "127.0.0.1");
    assert_eq!(told["bytes"]["length"], 300_000);
    assert!(
        body("trace").contains("http=http/3\ntls=TLSv1.3"),
        "{}",
        body("trace")
    );
    // What belongs to connections of other versions is not said, and no length of nothing.
    assert_eq!(
        (header("ws", "connection"), header("ws", "upgrade")),
        Default::default()
    );
    assert_eq!(header("none", "content-length"), "");
    assert_eq!(header("bytes", "content-length"), "300000");
    assert!(header("ip", "date").ends_with(" GMT"));
    let (t2, t3) = (header("ip", "x-echo-t2"), header("ip", "x-echo-t3"));
    let (t2, t3): (u64, u64) = (t2.parse().expect("T2"), t3.parse().expect("T3"));
    assert!(t2 < t3 && t3 - t2 < 60_000_000_000, "{t2} {t3}");
    let counted = server.counters("h3");
    assert_eq!(
        (&counted["received"], &counted["replied"]),
        (&json!(1), &json!(1))
    );
}

#[cfg(feature = "h3")]
#[test]
fn a_head_that_does_not_end_costs_its_stream_and_not_the_connection() {
    let Some(aioquic) = Aioquic::here() else { return };
    let server = server();
    assert_eq!(aioquic.sees("unknown", &server), json!({"status": "204"}));
}

#[cfg(feature = "h3")]
#[test]
fn what_is_taken_back_over_http_3_is_not_waited_for() {
    let Some(aioquic) = Aioquic::here() else { return };
    let server = server();
    let address = server.address("quic");
    let (ip, port) = (address.ip().to_string(), address.port().to_string());
    let peer = Running::start("env", aioquic.command(&["taken_back", &ip, &port]));
    assert_eq!(peer.line_with("status"), r#"{"status": "204"}"#);
    let counted = server.counted("h3", "requests");
    // Its connection is open, and each would sleep for ten seconds.
    assert_eq!(
        (
            &counted["received"],
            &counted["replied"],
            &counted["silent"]["incomplete"]
        ),
        (&json!(101), &json!(1), &json!(100)),
        "{counted}"
    );
}

#[cfg(feature = "h3")]
#[test]
fn ngtcp2_asks_over_http_3() {
    let Some(gtlsclient) = program_or_skip("gtlsclient") else {
        return;
    };
    let server = server();
    let folder = TempDir::new().expect("a folder");
    let (ip, port) = (server.address("quic").ip().to_string(), server.port("quic"));
    let place = folder.path().display().to_string();
    let uris = ["ip", "bytes/200000", "uuid"].map(|path| format!("https://{ip}:{port}/{path}"));
    let mut args = vec![
        "--quiet",
        "--exit-on-all-streams-close",
        "--download",
        &place,
        &ip,
        &port,
    ];
    args.extend(uris.iter().map(String::as_str));
    let (text, code) = run(gtlsclient, args);
    assert_eq!(code, Some(0), "{text}");
    let read = |name: &str| std::fs::read(folder.path().join(name)).expect(name);
    assert!(String::from_utf8_lossy(&read("ip")).contains("127.0.0.1"));
    assert_eq!(read("200000").len(), 200_000);
    assert_eq!(server.counters("h3")["replied"], 1);
}

#[cfg(feature = "h3")]
#[test]
fn https_tells_where_http_3_is() {
    let Some(curl) = program_or_skip("curl") else {
        return;
    };
    let server = Server::start(&["--quic", "127.0.0.1:0", "--https", "127.0.0.1:0"]);
    let url = format!("https://{}/generate_204", server.address("https"));
    let (text, code) = run(curl, ["--silent", "--insecure", "--include", &url]);
    assert_eq!(code, Some(0), "{text}");
    let told = format!("alt-svc: h3=\":{}\"; ma=86400", server.port("quic"));
    assert!(text.lines().any(|line| line.trim() == told), "{text}");
}
