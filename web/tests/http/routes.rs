//! What there is to ask for, and what comes back.

use crate::client::{ask, ask_with, server};
use serde_json::json;

#[test]
fn every_path_answers_with_its_type() {
    let server = server(|_| {});
    let table = [
        ("GET /", 200, "text/plain; charset=utf-8"),
        ("GET /get", 200, "application/json"),
        ("POST /post", 200, "application/json"),
        ("PUT /put", 200, "application/json"),
        ("PATCH /patch", 200, "application/json"),
        ("DELETE /delete", 200, "application/json"),
        ("GET /anything", 200, "application/json"),
        ("PROPFIND /anything/a/b", 200, "application/json"),
        ("GET /anything/", 200, "application/json"),
        ("GET /headers", 200, "application/json"),
        ("GET /ip", 200, "application/json"),
        ("GET /user-agent", 200, "application/json"),
        ("GET /uuid", 200, "application/json"),
        ("GET /delay/0", 200, "application/json"),
        ("GET /bytes/3", 200, "application/octet-stream"),
        ("GET /connecttest.txt", 200, "text/plain; charset=utf-8"),
        ("GET /cdn-cgi/trace", 200, "text/plain; charset=utf-8"),
        ("GET /status/418", 418, "text/plain; charset=utf-8"),
        ("GET /nothing", 404, "text/plain; charset=utf-8"),
        ("GET /getting", 404, "text/plain; charset=utf-8"),
        ("POST /get", 405, "text/plain; charset=utf-8"),
        ("TRACE /anything", 405, "text/plain; charset=utf-8"),
        ("GET /ws", 426, "text/plain; charset=utf-8"),
        ("GET /delay/soon", 400, "text/plain; charset=utf-8"),
        ("GET /bytes/-1", 400, "text/plain; charset=utf-8"),
    ];
    for (line, status, kind) in table {
        let answer = ask(&server, line);
        assert_eq!(answer.status, status, "{line}");
        assert_eq!(answer.header("content-type"), Some(kind), "{line}");
    }
    assert_eq!(ask(&server, "GET /generate_204").status, 204);
    server.stop().unwrap();
}

#[test]
fn the_fields_are_those_of_httpbin() {
    let server = server(|_| {});
    let answer = ask_with(
        &server,
        "POST /anything/x?b=2&a=1&b=%26",
        "User-Agent: test/1\r\nX-Twice: one\r\nX-Twice: two\r\nContent-Type: text/plain\r\n",
        b"hello",
    );
    let expected = json!({
        "args": {"a": "1", "b": ["2", "&"]},
        "data": "hello",
        "files": {},
        "form": {},
        "headers": {
            "Connection": "close",
            "Content-Length": "5",
            "Content-Type": "text/plain",
            "Host": "echo.example",
            "User-Agent": "test/1",
            "X-Twice": "one, two",
        },
        "json": null,
        "method": "POST",
        "origin": "127.0.0.1",
        "url": "http://echo.example/anything/x?b=2&a=1&b=%26",
    });
    assert_eq!(answer.json(), expected);
    server.stop().unwrap();
}

#[test]
fn small_answers_hold_what_their_names_say() {
    let server = server(|_| {});
    assert_eq!(ask(&server, "GET /ip").json(), json!({"origin": "127.0.0.1"}));
    let agent = ask_with(&server, "GET /user-agent", "User-Agent: test/1\r\n", b"");
    assert_eq!(agent.json(), json!({"user-agent": "test/1"}));
    assert_eq!(
        ask(&server, "GET /user-agent").json(),
        json!({"user-agent": null})
    );
    let uuid = ask(&server, "GET /uuid").json();
    assert_ne!(uuid, ask(&server, "GET /uuid").json());
    assert_eq!(
        ask(&server, "GET /connecttest.txt").text(),
        "Microsoft Connect Test"
    );
    let headers = ask(&server, "GET /headers").json();
    assert_eq!(
        headers,
        json!({"headers": {"Connection": "close", "Host": "echo.example"}})
    );
    let trace = ask_with(&server, "GET /cdn-cgi/trace", "User-Agent: test/1\r\n", b"");
    for line in [
        "h=echo.example",
        "ip=127.0.0.1",
        "visit_scheme=http",
        "uag=test/1",
        "http=http/1.1",
        "tls=off",
    ] {
        assert!(
            trace.text().lines().any(|told| told == line),
            "{line} in {}",
            trace.text()
        );
    }
    server.stop().unwrap();
}

#[test]
fn json_comes_back_as_it_was_written() {
    let server = server(|_| {});
    let text = br#"{"n": 12345678901234567890123, "n": 1.0, "deep": [[[]]]}"#;
    let answer = ask_with(&server, "PUT /put", "Content-Type: application/json\r\n", text);
    assert!(
        answer.text().contains(std::str::from_utf8(text).unwrap()),
        "{}",
        answer.text()
    );
    let deep = ["[".repeat(100_000), "]".repeat(100_000)].concat();
    let answer = ask_with(&server, "PUT /put", "", deep.as_bytes());
    assert_eq!(answer.status, 200);
    assert!(answer.text().contains(&format!("\"json\": {deep}")));
    let broken = ask_with(&server, "PUT /put", "Content-Type: application/json\r\n", b"{");
    assert!(broken.json()["json"].is_null());
    assert_eq!(broken.json()["data"], "{");
    server.stop().unwrap();
}

#[test]
fn bytes_that_are_no_text_come_back_as_a_url() {
    let server = server(|_| {});
    let answer = ask_with(&server, "POST /post", "", &[0xff, 0x00]);
    assert_eq!(answer.json()["data"], "data:application/octet-stream;base64,/wA=");
    server.stop().unwrap();
}

#[test]
fn forms_are_taken_apart() {
    let server = server(|_| {});
    let kind = "Content-Type: application/x-www-form-urlencoded; charset=utf-8\r\n";
    let answer = ask_with(&server, "POST /post", kind, b"a=1&b=x+y&a=2").json();
    assert_eq!(answer["form"], json!({"a": ["1", "2"], "b": "x y"}));
    assert_eq!((&answer["data"], &answer["json"]), (&json!(""), &json!(null)));
    let body = "--cut\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n\
                --cut\r\nContent-Disposition: form-data; name=\"f\"; filename=\"f.txt\"\r\n\
                Content-Type: text/plain\r\n\r\nin it\r\n--cut--\r\n";
    let kind = "Content-Type: multipart/form-data; boundary=cut\r\n";
    let answer = ask_with(&server, "POST /post", kind, body.as_bytes()).json();
    assert_eq!(answer["form"], json!({"a": "1"}));
    assert_eq!(answer["files"], json!({"f": "in it"}));
    for broken in [
        "Content-Type: multipart/form-data\r\n",
        "Content-Type: multipart/form-data; boundary=other\r\n",
    ] {
        assert_eq!(
            ask_with(&server, "POST /post", broken, body.as_bytes()).status,
            400,
            "{broken}"
        );
    }
    let many = "a&".repeat(1_001);
    let kind = "Content-Type: application/x-www-form-urlencoded\r\n";
    assert_eq!(ask_with(&server, "POST /post", kind, many.as_bytes()).status, 400);
    server.stop().unwrap();
}

#[test]
fn a_status_is_given_as_asked_for_and_nothing_that_cannot_be() {
    let server = server(|_| {});
    let table = [
        ("200", 200),
        ("204", 204),
        ("205", 205),
        ("301", 301),
        ("304", 304),
        ("401", 401),
        ("404", 404),
        ("503", 503),
        ("599", 599),
        ("600", 400),
        ("199", 400),
        ("101", 400),
        ("100", 400),
        ("99999", 400),
        ("", 404),
        ("x", 400),
    ];
    for (asked, status) in table {
        assert_eq!(
            ask(&server, &format!("GET /status/{asked}")).status,
            status,
            "{asked}"
        );
    }
    let answer = ask(&server, "GET /status/401");
    assert_eq!(answer.header("www-authenticate"), Some("None"));
    assert_eq!(ask(&server, "GET /status/301").header("location"), None);
    server.stop().unwrap();
}

#[test]
fn random_bytes_are_as_many_as_asked_for_up_to_the_cap() {
    let server = server(|options| options.largest_bytes = 100_000);
    for (asked, len) in [("0", 0), ("1", 1), ("99999", 99_999), ("99999999999", 100_000)] {
        assert_eq!(
            ask(&server, &format!("GET /bytes/{asked}")).body.len(),
            len,
            "{asked}"
        );
    }
    let seeded = |seed| ask(&server, &format!("GET /bytes/40000?seed={seed}")).body;
    assert_eq!(seeded(5), seeded(5));
    assert_ne!(seeded(5), seeded(6));
    assert_ne!(
        ask(&server, "GET /bytes/100").body,
        ask(&server, "GET /bytes/100").body
    );
    assert_eq!(ask(&server, "GET /bytes/1?seed=x").status, 400);
    server.stop().unwrap();
}

#[test]
fn a_delay_is_cut_to_the_longest() {
    let server = server(|options| options.longest_delay = std::time::Duration::from_millis(1));
    for asked in ["1e300", "3600", "0.0005", "inf"] {
        assert_eq!(
            ask(&server, &format!("GET /delay/{asked}")).status,
            200,
            "{asked}"
        );
    }
    for asked in ["-1", "NaN", "1s", "-inf"] {
        assert_eq!(
            ask(&server, &format!("GET /delay/{asked}")).status,
            400,
            "{asked}"
        );
    }
    assert_eq!(ask_with(&server, "POST /delay/0", "", b"x").json()["data"], "x");
    server.stop().unwrap();
}

#[test]
fn the_times_of_an_answer_are_in_their_order() {
    let server = server(|_| {});
    let wall = || {
        let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
        u64::try_from(now.as_nanos()).unwrap()
    };
    let before = wall();
    let answer = ask(&server, "GET /delay/0.001");
    let after = wall();
    let (t2, t3) = (answer.number("x-echo-t2"), answer.number("x-echo-t3"));
    assert!(
        before <= t2 && t2 + 1_000_000 <= t3 && t3 <= after,
        "{before} {t2} {t3} {after}"
    );
    let timing = answer.header("server-timing").unwrap();
    let (recv, process) = timing.split_once(", ").unwrap();
    let millis = |text: &str, name| text.strip_prefix(name).unwrap().parse::<f64>().unwrap();
    assert!(millis(recv, "recv;dur=") >= 0.0);
    assert!(
        millis(process, "proc;dur=") >= 1.0,
        "the delay is in it: {process}"
    );
    server.stop().unwrap();
}
