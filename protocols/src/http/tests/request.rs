//! What is sent.

use super::{ask, options};
use crate::http::{HttpProber, HttpProberOptions};

fn sent(options: &HttpProberOptions, size: usize) -> String {
    let mut prober = HttpProber::new(options, size);
    let bytes = ask(&mut prober, 1);
    assert_eq!(bytes.len(), prober.request_len());
    String::from_utf8(bytes).expect("plain ASCII")
}

#[test]
fn a_request_is_a_get_with_a_host_and_nothing_that_changes_the_answer() {
    let version = env!("CARGO_PKG_VERSION");
    let expected = format!(
        "GET /generate_204?x=1 HTTP/1.1\r\nHost: echo.example:8080\r\nUser-Agent: halloo/{version}\r\n\
         Accept: */*\r\nAccept-Encoding: identity\r\n\r\n"
    );
    let asked = HttpProberOptions::new("echo.example:8080", "/generate_204?x=1");
    assert_eq!(sent(&asked, 0), expected);
}

#[test]
fn a_size_makes_it_a_post_with_so_many_bytes() {
    let request = sent(&options(), 40);
    assert!(request.starts_with("POST / HTTP/1.1\r\n"), "{request}");
    let (head, body) = request.split_once("\r\n\r\n").expect("a body");
    assert!(head.contains("\r\nContent-Length: 40"), "{head}");
    assert_eq!(body, "0123456789abcdefghijklmnopqrstuvwxyz0123");
}

#[test]
fn methods_that_have_bodies_tell_their_length_even_where_it_is_zero() {
    for (method, size, told) in [
        ("GET", 0, None),
        ("HEAD", 0, None),
        ("DELETE", 0, None),
        ("POST", 0, Some("0")),
        ("PUT", 0, Some("0")),
        ("PATCH", 0, Some("0")),
        ("GET", 3, Some("3")),
    ] {
        let request = sent(
            &HttpProberOptions {
                method: Some(method.into()),
                ..options()
            },
            size,
        );
        assert!(request.starts_with(&format!("{method} ")), "{request}");
        let length = request
            .split("\r\n")
            .find_map(|line| line.strip_prefix("Content-Length: "));
        assert_eq!(length, told, "{method}");
    }
}

#[test]
fn fields_of_the_user_come_as_he_wrote_them_and_take_the_place_of_ours() {
    let field = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let asked = HttpProberOptions {
        headers: vec![
            field("user-agent", "somebody else"),
            field("HOST", "virtual.example"),
            field("X-Twice", "1"),
            field("X-Twice", "2"),
        ],
        keep_alive: false,
        ..options()
    };
    let lines: Vec<_> = sent(&asked, 0).split("\r\n").map(str::to_owned).collect();
    let expected = [
        "GET / HTTP/1.1",
        "Host: virtual.example",
        "Accept: */*",
        "Accept-Encoding: identity",
        "Connection: close",
        "user-agent: somebody else",
        "X-Twice: 1",
        "X-Twice: 2",
        "",
        "",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn an_empty_authority_is_an_empty_host() {
    // RFC 9112 section 3.2.
    assert!(sent(&HttpProberOptions::new("", "/"), 0).contains("\r\nHost: \r\n"));
}

#[test]
fn options_that_make_no_request_ask_nothing() {
    let split = HttpProberOptions::new("echo.example", "/ HTTP/1.1\r\nX: y");
    assert_eq!(sent(&split, 0), "");
}

#[test]
fn others_read_the_request_as_it_was_meant() {
    // The reader is the httparse crate's, which other servers use.
    let asked = HttpProberOptions {
        method: Some("OPTIONS".into()),
        headers: vec![("X-Empty".into(), String::new())],
        ..HttpProberOptions::new("[2001:db8::7]", "*")
    };
    let bytes = sent(&asked, 5);
    let mut room = [httparse::EMPTY_HEADER; 16];
    let mut request = httparse::Request::new(&mut room);
    let end = request.parse(bytes.as_bytes()).expect("a request").unwrap();
    assert_eq!(&bytes[end..], "01234");
    assert_eq!(
        (request.method, request.path, request.version),
        (Some("OPTIONS"), Some("*"), Some(1))
    );
    let fields: Vec<_> = request
        .headers
        .iter()
        .map(|field| (field.name, field.value))
        .collect();
    let user_agent = concat!("halloo/", env!("CARGO_PKG_VERSION")).as_bytes();
    let expected = [
        ("Host", &b"[2001:db8::7]"[..]),
        ("User-Agent", user_agent),
        ("Accept", b"*/*"),
        ("Accept-Encoding", b"identity"),
        ("Content-Length", b"5"),
        ("X-Empty", b""),
    ];
    assert_eq!(fields, expected);
}
