//! HTTP/1.1 byte by byte: what every answer carries, and what no answer does.

use crate::client::{Answer, ask, ask_bytes, ask_with, connect, read_all, read_answer, server};
use halloo_base::Reason;
use std::io::Write;

fn assert_is_harmless(what: &str, answer: &Answer) {
    assert_eq!(answer.header("cache-control"), Some("no-store"), "{what}");
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{what}");
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"), "{what}");
    assert_eq!(answer.header("access-control-allow-credentials"), None, "{what}");
    assert_eq!(answer.header("set-cookie"), None, "{what}");
    assert!(answer.header("server-timing").is_some(), "{what}");
    assert!(answer.number("x-echo-t2") <= answer.number("x-echo-t3"), "{what}");
    let kind = answer.header("content-type").unwrap_or("application/json");
    let kinds = [
        "application/json",
        "text/plain; charset=utf-8",
        "application/octet-stream",
    ];
    assert!(kinds.contains(&kind), "{what}: {kind}");
}

#[test]
fn every_answer_carries_times_and_is_harmless_in_a_browser() {
    let server = server(|_| {});
    let lines = [
        "GET /",
        "GET /anything/%3Cscript%3E?a=%3Cscript%3E",
        "GET /%3Cscript%3E",
        "GET /bytes/5",
        "GET /status/500",
        "GET /status/304",
        "GET /generate_204",
        "GET /ws",
        "GET /delay/%3Cscript%3E",
        "HEAD /get",
        "OPTIONS /get",
        "OPTIONS /nothing",
        "OPTIONS *",
        "POST /get",
        "TRACE /",
    ];
    for line in lines {
        let answer = ask(&server, line);
        assert_is_harmless(line, &answer);
        let is_text = answer.header("content-type") == Some("text/plain; charset=utf-8");
        assert!(
            !is_text || !answer.text().contains("script"),
            "{line}: {}",
            answer.text()
        );
    }
    // The parser takes no such characters.
    let refused = ask(&server, "GET /<script>alert(1)</script>");
    assert_eq!((refused.status, refused.text()), (400, ""));
    server.stop().unwrap();
}

#[test]
fn secrets_are_not_told_back() {
    let server = server(|_| {});
    let secrets = "Cookie: session=tell-nobody\r\nAuthorization: Bearer tell-nobody\r\n\
                   Proxy-Authorization: Basic tell-nobody\r\nX-Shown: yes\r\n";
    for line in [
        "GET /anything",
        "GET /headers",
        "GET /cdn-cgi/trace",
        "GET /delay/0",
        "GET /nothing",
    ] {
        let answer = ask_with(&server, line, secrets, b"");
        assert!(
            !answer.text().contains("tell-nobody"),
            "{line}: {}",
            answer.text()
        );
    }
    assert_eq!(
        ask_with(&server, "GET /headers", secrets, b"").json()["headers"]["X-Shown"],
        "yes"
    );
    let request = "GET http://me:tell-nobody@echo.example:80/get?a HTTP/1.1\r\n\
                   Host: me:tell-nobody@echo.example:80\r\nConnection: close\r\n\r\n";
    let answer = ask_bytes(&server, request.as_bytes());
    assert_eq!(answer.json()["url"], "http://echo.example:80/get?a");
    assert!(!answer.text().contains("tell-nobody"), "{}", answer.text());
    server.stop().unwrap();
}

#[test]
fn head_says_what_get_would_and_sends_none_of_it() {
    let server = server(|_| {});
    for path in [
        "/",
        "/bytes/77",
        "/status/404",
        "/ip",
        "/connecttest.txt",
        "/anything/x",
    ] {
        let (head, get) = (
            ask(&server, &format!("HEAD {path}")),
            ask(&server, &format!("GET {path}")),
        );
        assert_eq!(head.status, get.status, "{path}");
        assert_eq!(head.header("content-type"), get.header("content-type"), "{path}");
        // "HEAD" is one letter longer than "GET" where the method is told.
        let longer = if path.starts_with("/anything") { 1 } else { 0 };
        assert_eq!(
            head.number("content-length"),
            get.number("content-length") + longer,
            "{path}"
        );
        assert!(head.body.is_empty(), "{path}");
    }
    server.stop().unwrap();
}

#[test]
fn options_tells_what_may_be_asked() {
    let server = server(|_| {});
    for (line, status, allow) in [
        ("OPTIONS /get", 204, Some("GET, HEAD, OPTIONS")),
        ("OPTIONS /post", 204, Some("POST, OPTIONS")),
        (
            "OPTIONS *",
            204,
            Some("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"),
        ),
        (
            "OPTIONS /anything",
            200,
            Some("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"),
        ),
        ("OPTIONS /nothing", 404, None),
    ] {
        let answer = ask(&server, line);
        assert_eq!((answer.status, answer.header("allow")), (status, allow), "{line}");
        assert_eq!(answer.header("access-control-allow-methods"), None, "{line}");
    }
    assert_eq!(ask(&server, "PUT /post").header("allow"), Some("POST"));
    let all = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";
    assert_eq!(ask(&server, "TRACE /").header("allow"), Some(all));
    assert_eq!(ask(&server, "HEAD /ws").status, 426);
    let browser = "Origin: https://page.example\r\nAccess-Control-Request-Method: PUT\r\n\
                   Access-Control-Request-Headers: content-type\r\n";
    let answer = ask_with(&server, "OPTIONS /put", browser, b"");
    assert_eq!(
        answer.header("access-control-allow-methods"),
        Some("PUT, OPTIONS")
    );
    assert_eq!(answer.header("access-control-allow-headers"), Some("*"));
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    server.stop().unwrap();
}

#[test]
fn a_connection_serves_one_request_after_the_other() {
    let server = server(|_| {});
    let mut stream = connect(&server);
    for n in 0..3 {
        stream
            .write_all(format!("GET /get?n={n} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes())
            .unwrap();
        assert_eq!(read_answer(&mut stream).json()["args"]["n"], n.to_string());
    }
    // And what was sent together, in its order.
    stream
        .write_all(b"POST /post HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\noneGET /status/404 HTTP/1.1\r\nHost: a\r\n\r\n")
        .unwrap();
    assert_eq!(read_answer(&mut stream).json()["data"], "one");
    assert_eq!(read_answer(&mut stream).status, 404);
    drop(stream);
    server.stop().unwrap();
}

#[test]
fn who_has_sent_its_last_byte_is_answered_all_the_same() {
    let server = server(|_| {});
    let mut stream = connect(&server);
    stream
        .write_all(b"GET /delay/0.01 HTTP/1.1\r\nHost: a\r\n\r\n")
        .unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(read_answer(&mut stream).status, 200);
    server.stop().unwrap();
}

#[test]
fn a_request_says_once_to_whom_it_is() {
    let server = server(|_| {});
    for (hosts, version, status) in [
        ("", "1.1", 400),
        ("Host: a\r\nHost: b\r\n", "1.1", 400),
        ("Host: a\r\n", "1.1", 200),
        ("", "1.0", 200),
    ] {
        let request = format!("GET /get HTTP/{version}\r\nConnection: close\r\n{hosts}\r\n");
        assert_eq!(ask_bytes(&server, request.as_bytes()).status, status, "{request}");
    }
    let unnamed = ask_bytes(&server, b"GET /get HTTP/1.0\r\n\r\n").json()["url"].clone();
    assert_eq!(unnamed, format!("http://{}/get", crate::client::address(&server)));
    server.stop().unwrap();
}

#[test]
fn a_body_in_chunks_is_a_body() {
    let server = server(|options| options.body = 10);
    let chunked = |body: &str| {
        let head =
            "POST /post HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n";
        ask_bytes(&server, format!("{head}{body}").as_bytes())
    };
    assert_eq!(
        chunked("3\r\none\r\n4;x=y\r\n two\r\n0\r\nTrailer: x\r\n\r\n").json()["data"],
        "one two"
    );
    assert_eq!(chunked("6\r\n123456\r\n5\r\n12345\r\n0\r\n\r\n").status, 413);
    assert_eq!(chunked("z\r\n").status, 400);
    server.stop().unwrap();
}

#[test]
fn what_is_too_long_is_told_so_in_few_bytes() {
    let server = server(|options| options.body = 1_000);
    let with_head = |len: usize| format!("X: {}\r\n", "x".repeat(len));
    assert_eq!(ask_with(&server, "GET /get", &with_head(20_000), b"").status, 200);
    assert_eq!(ask_with(&server, "GET /get", &with_head(40_000), b"").status, 431);
    let many: String = (0..101).map(|n| format!("X-{n}: y\r\n")).collect();
    assert_eq!(ask_with(&server, "GET /get", &many, b"").status, 431);
    assert_eq!(
        ask(&server, &format!("GET /anything/{}", "x".repeat(9_000))).status,
        414
    );
    assert_eq!(
        ask(&server, &format!("GET /anything/{}", "x".repeat(8_000))).status,
        200
    );
    let at_most = ask_with(&server, "POST /post", "", &[b'x'; 1_000]);
    assert_eq!(at_most.status, 200);
    // The body never comes, and need not.
    let refused = ask_with(&server, "POST /post", "Content-Length: 1001\r\n", b"");
    assert_eq!((refused.status, refused.text()), (413, "413 Payload Too Large\n"));
    server.stop().unwrap();
}

#[test]
fn what_is_no_http_is_refused_and_counted() {
    let server = server(|_| {});
    let garbage = [
        &b"GET /get HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n"[..],
        b"GET /get HTTP/1.1\r\nno colon\r\n\r\n",
        b"\x16\x03\x01\x00\x05hello\r\n\r\n",
        b"GET /get HTTP/7.3\r\n\r\n",
    ];
    for bytes in garbage {
        assert_eq!(ask_bytes(&server, bytes).status, 400, "{bytes:?}");
    }
    let counters = server.counters().clone();
    server.stop().unwrap();
    assert_eq!(counters.count(Reason::Malformed), garbage.len() as u64);
}

#[test]
fn everything_is_counted_once() {
    let server = server(|_| {});
    ask(&server, "GET /ip");
    ask(&server, "GET /nothing");
    ask(&server, "GET /bytes/x");
    ask(&server, "GET /status/500");
    let echoed = ask_with(&server, "POST /post", "", b"12345").body.len();
    let mut half = connect(&server);
    half.write_all(b"POST /post HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhalf")
        .unwrap();
    half.shutdown(std::net::Shutdown::Write).unwrap();
    read_all(&mut half);
    let (connections, requests) = (server.counters().clone(), server.requests().clone());
    let tally = server.tally().clone();
    server.stop().unwrap();
    // What was not sent to its end was answered all the same.
    assert_eq!(
        tally.kinds(),
        [
            ("echo", 2),
            ("part", 1),
            ("status", 1),
            ("bytes", 1),
            ("other", 1)
        ]
    );
    assert_eq!(tally.statuses(), [("2xx", 2), ("4xx", 3), ("5xx", 1)]);
    let told = connections.snapshot();
    assert_eq!((told.received, told.replied), (6, 6));
    assert!(
        told.received_bytes > 300 && told.replied_bytes > 1_000,
        "{told:?}"
    );
    let told = requests.snapshot();
    assert_eq!((told.received, told.replied, told.received_bytes), (6, 3, 5));
    assert!(told.replied_bytes > echoed as u64);
    assert_eq!(
        (
            requests.count(Reason::NotServed),
            requests.count(Reason::Malformed)
        ),
        (1, 2)
    );
}
