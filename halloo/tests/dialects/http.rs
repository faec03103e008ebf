//! Our client of HTTP and the servers that others wrote: nginx, and Python's for HTTP/1.0.

use crate::common::{HALLOO, Pinged, Port, Running, own_address, ping, run};
use crate::identity::Identity;
use halloo_lab::program_or_skip;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddrV4;
use std::path::Path;

/// What nginx answers, with room for its folder and its addresses.
const CONFIGURATION: &str = r#"
daemon off;
master_process off;
pid FOLDER/nginx.pid;
error_log stderr;
events {}
http {
    log_format told '$connection "$request" $status $body_bytes_sent "$http_accept_encoding" $server_protocol';
    access_log FOLDER/access.log told;
    client_body_temp_path FOLDER/body;
    proxy_temp_path FOLDER/proxy;
    fastcgi_temp_path FOLDER/fastcgi;
    uwsgi_temp_path FOLDER/uwsgi;
    scgi_temp_path FOLDER/scgi;
    default_type text/plain;
    gzip on;
    gzip_min_length 1;
    gzip_types text/plain;
    ssl_certificate FOLDER/cert.pem;
    ssl_certificate_key FOLDER/key.pem;
    server {
        listen IP:8080;
        listen IP:8443 ssl;
        root FOLDER;
        location = /health { return 200 "all is well\n"; }
        location = /none { return 204; }
        location = /busy { return 503; }
        location = /near { return 302 /health; }
        location = /generate_204 { return 302 http://portal.example/login; }
        location = /page.html { default_type text/html; }
        location = /chunked.txt { ssi on; ssi_types text/plain; }
        location = /slow.bin { limit_rate 64k; }
        location = /once { keepalive_timeout 0; return 200 "x"; }
        location /thrice { keepalive_requests 3; return 200 "x"; }
    }
}
"#;

/// nginx on an address of its own.
struct Nginx {
    running: Running,
    identity: Identity,
    address: SocketAddrV4,
}

impl Nginx {
    fn start() -> Option<Nginx> {
        let (nginx, openssl) = (program_or_skip("nginx")?, program_or_skip("openssl")?);
        let address = SocketAddrV4::new(own_address(), 8080);
        let identity = Identity::of(&openssl, &address.ip().to_string());
        let write = |name: &str, text: &[u8]| fs::write(identity.file(name), text).expect("a file");
        let folder = identity.path("");
        let configuration = CONFIGURATION
            .replace("FOLDER/", &folder)
            .replace("IP", &address.ip().to_string());
        let configuration = configuration.replace("root FOLDER;", &format!("root {folder};"));
        write("nginx.conf", configuration.as_bytes());
        write("page.html", b"<html>log in here</html>\n");
        write("chunked.txt", "halloo ".repeat(10_000).as_bytes());
        write("slow.bin", &[b'x'; 96 << 10]);
        let mut running = Running::start(nginx, ["-p", &folder, "-e", "stderr", "-c", "nginx.conf"]);
        running.wait_until_bound(Port::Tcp, address);
        running.wait_until_bound(Port::Tcp, SocketAddrV4::new(*address.ip(), 8443));
        Some(Nginx {
            running,
            identity,
            address,
        })
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    fn secure_url(&self, path: &str) -> String {
        format!("https://{}:8443{path}", self.address.ip())
    }

    /// What it wrote down: a line for each request.
    fn log(self) -> Vec<String> {
        self.running.end();
        let text = fs::read_to_string(self.identity.file("access.log")).expect("a log");
        text.lines().map(str::to_owned).collect()
    }
}

/// Every part of an exchange's time in its place.
fn check_times(pinged: &Pinged, secured: bool) {
    for exchange in pinged.exchanges() {
        let span = |name: &str| exchange[name].as_i64();
        let [host, first, total] = ["host_ns", "first_byte_ns", "total_ns"]
            .map(|name| span(name).unwrap_or_else(|| panic!("no {name}: {exchange:#}")));
        assert!((0..=host).contains(&first), "{exchange:#}");
        let opening = span("connect_ns").unwrap_or(0) + span("tls_ns").unwrap_or(0);
        assert_eq!(total, host + opening, "{exchange:#}");
        let opened = exchange["connect_ns"].is_i64();
        assert_eq!(exchange["tls_ns"].is_i64(), opened && secured, "{exchange:#}");
        assert!(
            exchange["t4_first_ns"].as_u64() <= exchange["t4_ns"].as_u64(),
            "{exchange:#}"
        );
    }
}

/// How many exchanges were the first on their connection.
fn connections(pinged: &Pinged) -> usize {
    pinged
        .exchanges()
        .filter(|exchange| exchange["connect_ns"].is_i64())
        .count()
}

#[test]
fn nginx_is_asked_on_as_many_connections_as_it_wants() {
    let Some(nginx) = Nginx::start() else { return };
    let kept = ping(&["-c", "20", &nginx.url("/health"), "--expect-body", "all is well"]);
    kept.assert_answered(20);
    assert_eq!(connections(&kept), 1);
    check_times(&kept, false);
    // It says that it closes, after each answer or after three.
    for (path, least) in [("/once", 9), ("/thrice", 3)] {
        let pinged = ping(&["-c", "9", &nginx.url(path)]);
        pinged.assert_answered(9);
        assert_eq!(
            (connections(&pinged), pinged.count("broken")),
            (least, 0),
            "{path}: {pinged:#?}"
        );
        check_times(&pinged, false);
    }
    // Or we do.
    let ours = ping(&["-c", "5", "--no-keep-alive", &nginx.url("/health")]);
    ours.assert_answered(5);
    assert_eq!(connections(&ours), 5);
    let log = nginx.log();
    let seen: BTreeSet<_> = log.iter().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!((log.len(), seen.len()), (43, 18), "{log:#?}");
    for line in &log {
        assert!(
            line.ends_with(" \"identity\" HTTP/1.1"),
            "no compression is asked for: {line}"
        );
    }
}

#[test]
fn answers_in_chunks_and_slow_ones_are_read_to_their_end() {
    let Some(nginx) = Nginx::start() else { return };
    let chunked = ping(&[
        "-c",
        "5",
        &nginx.url("/chunked.txt"),
        "--expect-body",
        "halloo halloo",
    ]);
    chunked.assert_answered(5);
    assert_eq!(connections(&chunked), 1);
    check_times(&chunked, false);
    for exchange in chunked.exchanges() {
        assert!(exchange["bytes"].as_u64() > Some(70_000), "{exchange:#}");
    }
    let slow = ping(&["-c", "1", &nginx.url("/slow.bin")]);
    slow.assert_answered(1);
    let exchange = slow.exchanges().next().expect("one");
    assert!(
        exchange["t4_first_ns"].as_u64() < exchange["t4_ns"].as_u64(),
        "{exchange:#}"
    );
    assert!(exchange["first_byte_ns"].as_u64() < exchange["host_ns"].as_u64());
    check_times(&slow, false);
}

#[test]
fn under_tls_nginx_is_known_by_its_fingerprint_alone() {
    let Some(nginx) = Nginx::start() else { return };
    let url = nginx.secure_url("/health");
    let pin = nginx.identity.fingerprint.clone();
    for more in [
        &["--pin", &pin][..],
        &["--insecure"],
        &["--pin", &pin, "--no-keep-alive"],
    ] {
        let pinged = ping(&[more, &["-c", "6", &url]].concat());
        pinged.assert_answered(6);
        let opened = if more.contains(&"--no-keep-alive") { 6 } else { 1 };
        assert_eq!(connections(&pinged), opened);
        check_times(&pinged, true);
        assert_eq!(pinged.summary()["tls"]["count"], opened);
    }
    let other = pin.replace(['A', 'B', 'C', '1', '2', '3'], "0");
    for (more, why) in [
        (
            &["--pin", &other][..],
            "the certificate is not the one that is pinned",
        ),
        (&[], "the certificate is "),
    ] {
        let (text, code) = run(HALLOO, [&["ping", "-c", "1", "-W", "1", &url][..], more].concat());
        assert_eq!(code, Some(1), "{text}");
        assert!(text.contains(why), "{text}");
    }
    // Plain HTTP at that port is told so by nginx.
    let (text, code) = run(HALLOO, ["ping", "-c", "1", &url.replace("https", "http")]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("answer says no: 400 Bad Request"), "{text}");
}

#[test]
fn a_captive_portal_is_told_from_a_good_answer() {
    /// Path, options, and how it is refused.
    type Case<'a> = (&'a str, &'a [&'a str], Option<(u64, &'a str)>);
    let Some(nginx) = Nginx::start() else { return };
    let table: [Case<'_>; 9] = [
        ("/none", &["--expect-status", "204"], None),
        ("/health", &["--expect-status", "204"], Some((200, "OK"))),
        (
            "/generate_204",
            &["--expect-status", "204"],
            Some((302, "Redirect")),
        ),
        ("/generate_204", &[], Some((302, "Redirect"))),
        ("/near", &[], Some((302, "Found"))),
        ("/near", &["--expect-status", "2xx,302"], None),
        (
            "/page.html",
            &["--expect-body", "all is well"],
            Some((200, "UnexpectedBody")),
        ),
        ("/busy", &[], Some((503, "Service Unavailable"))),
        ("/missing", &["--expect-status", "404"], None),
    ];
    for (path, more, refusal) in table {
        let pinged = ping(&[more, &["-c", "2", &nginx.url(path)]].concat());
        let refused = refusal.map_or(0, |_| 2);
        assert_eq!(
            (pinged.count("answered"), pinged.count("refused")),
            (2, refused),
            "{path} {more:?}: {pinged:#?}"
        );
        assert_eq!(pinged.code, Some(i32::from(refused > 0)));
        for exchange in pinged.exchanges() {
            let told = exchange["refusal"].as_object();
            let told = told.map(|told| (told["code"].as_u64(), told["name"].as_str()));
            assert_eq!(
                told,
                refusal.map(|(code, name)| (Some(code), Some(name))),
                "{path} {more:?}"
            );
        }
        check_times(&pinged, false);
    }
}

#[test]
fn a_server_of_http_1_0_ends_each_answer_with_the_connection() {
    let Some(python) = program_or_skip("python3") else {
        return;
    };
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("page.txt"), "halloo").expect("a file");
    let address = SocketAddrV4::new(own_address(), 8000);
    let (ip, path) = (address.ip().to_string(), folder.path().display().to_string());
    let args = ["-m", "http.server", "8000", "--bind", &ip, "--directory", &path];
    let mut running = Running::start::<&str>(Path::new(&python), args);
    running.wait_until_bound(Port::Tcp, address);
    let pinged = ping(&[
        "-c",
        "5",
        &format!("http://{address}/page.txt"),
        "--expect-body",
        "halloo",
    ]);
    pinged.assert_answered(5);
    assert_eq!((connections(&pinged), pinged.count("broken")), (5, 0));
    check_times(&pinged, false);
    let connect: &Value = &pinged.summary()["connect"];
    assert_eq!(connect["count"], 5);
}
