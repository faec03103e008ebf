//! What can be asked for, and what cannot.

use super::{expecting, options};
use crate::http::{Expect, HttpProberOptions, OptionsError, StatusSet};
use crate::{ProberOptions, RequestSize, http};
use halloo_base::AnyProber;

fn with_field(name: &str, value: &str) -> HttpProberOptions {
    HttpProberOptions {
        headers: vec![(name.into(), value.into())],
        ..options()
    }
}

fn by(method: &str) -> HttpProberOptions {
    HttpProberOptions {
        method: Some(method.into()),
        ..options()
    }
}

#[test]
fn what_makes_no_request_is_told() {
    let of = HttpProberOptions::new;
    let table = [
        (of("h", "/a?b=c%20d"), None),
        (of("192.0.2.7:80", "/"), None),
        (of("[2001:db8::7]:80", "/|{}"), None),
        (of("a b", "/"), Some("`a b` is not a host with or without a port")),
        (of("u@h", "/"), Some("`u@h` is not a host with or without a port")),
        (of("h/", "/"), Some("`h/` is not a host with or without a port")),
        (
            of("h\r\nX: y", "/"),
            Some("`h\r\nX: y` is not a host with or without a port"),
        ),
        (
            of("h", "a"),
            Some(
                "`a` is not a path: it begins with `/`, and what is not plain ASCII in it is percent-encoded",
            ),
        ),
        (
            of("h", ""),
            Some(
                "`` is not a path: it begins with `/`, and what is not plain ASCII in it is percent-encoded",
            ),
        ),
        (
            of("h", "/ä"),
            Some(
                "`/ä` is not a path: it begins with `/`, and what is not plain ASCII in it is percent-encoded",
            ),
        ),
        (
            of("h", "/a b"),
            Some(
                "`/a b` is not a path: it begins with `/`, and what is not plain ASCII in it is percent-encoded",
            ),
        ),
        (
            of("h", "/#part"),
            Some(
                "`/#part` is not a path: it begins with `/`, and what is not plain ASCII in it is percent-encoded",
            ),
        ),
        (
            of("h", "*"),
            Some(
                "`*` is not a path: it begins with `/`, and what is not plain ASCII in it is percent-encoded",
            ),
        ),
        (by("PROPFIND"), None),
        (by("G T"), Some("`G T` is not a method that can be asked with")),
        (by(""), Some("`` is not a method that can be asked with")),
        (
            by("CONNECT"),
            Some("`CONNECT` is not a method that can be asked with"),
        ),
        (with_field("X-A", "b\tc ü"), None),
        (
            with_field("X A", "b"),
            Some("`X A` is not the name of a header field"),
        ),
        (with_field("", "b"), Some("`` is not the name of a header field")),
        (
            with_field("X-A:", "b"),
            Some("`X-A:` is not the name of a header field"),
        ),
        (
            with_field("X-A", "b\r\nX-B: c"),
            Some("the header field `X-A` has a control character in it"),
        ),
        (
            with_field("X-A", "b\0"),
            Some("the header field `X-A` has a control character in it"),
        ),
        (
            with_field("content-length", "5"),
            Some("the header field `content-length` is not for you to set"),
        ),
        (
            with_field("Transfer-Encoding", "chunked"),
            Some("the header field `Transfer-Encoding` is not for you to set"),
        ),
        (
            with_field("Connection", "close"),
            Some("the header field `Connection` is not for you to set"),
        ),
        (
            with_field("Host", "a/b"),
            Some("`a/b` is not a host with or without a port"),
        ),
    ];
    for (options, why) in table {
        let said = options.check(0).err().map(|error| error.to_string());
        assert_eq!(said.as_deref(), why, "{options:?}");
    }
    let two = HttpProberOptions {
        headers: vec![("Host".into(), "a".into()), ("host".into(), "b".into())],
        ..options()
    };
    assert_eq!(two.check(0), Err(OptionsError::TwoHosts));
    assert_eq!(by("TRACE").check(0), Ok(()));
    assert_eq!(by("TRACE").check(1), Err(OptionsError::TraceWithBody));
    let anywhere = HttpProberOptions {
        path_and_query: "*".into(),
        ..by("OPTIONS")
    };
    assert_eq!(anywhere.check(0), Ok(()));
}

#[test]
fn an_answer_to_head_has_no_body_to_look_at() {
    let by_head = |expect| HttpProberOptions { expect, ..by("HEAD") };
    let contains = |text: &str| Expect {
        body_contains: Some(text.into()),
        ..Expect::default()
    };
    let equals = |bytes: &[u8]| Expect {
        body_equals: Some(bytes.to_vec()),
        ..Expect::default()
    };
    for (expect, result) in [
        (Expect::default(), Ok(())),
        (contains(""), Ok(())),
        (equals(b""), Ok(())),
        (contains("x"), Err(OptionsError::HeadWithoutBody)),
        (equals(b"x"), Err(OptionsError::HeadWithoutBody)),
    ] {
        assert_eq!(by_head(expect.clone()).check(0), result, "{expect:?}");
        assert_eq!(expecting(expect).check(0), Ok(()));
    }
}

#[test]
fn statuses_are_written_in_many_ways_and_read_as_they_were_meant() {
    let set = |text: &str| text.parse::<StatusSet>();
    for (text, again, inside, outside) in [
        ("200", "200", vec![200], vec![199, 201]),
        ("2xx", "200-299", vec![200, 299], vec![199, 300]),
        ("2XX, 304", "200-299,304", vec![204, 304], vec![303]),
        (
            "301-303,200",
            "301-303,200",
            vec![200, 301, 302, 303],
            vec![300, 304],
        ),
        ("999", "999", vec![999], vec![200]),
    ] {
        let read = set(text).expect(text);
        assert_eq!(read.to_string(), again);
        assert_eq!(set(again), Ok(read.clone()));
        assert!(inside.iter().all(|&status| read.contains(status)), "{text}");
        assert!(!outside.iter().any(|&status| read.contains(status)), "{text}");
    }
    for wrong in [
        "", "20", "2000", "+20", "0xx", "xxx", "20x", "099", "300-200", "200-", "200,", "200 201", "ok",
    ] {
        let said = set(wrong).expect_err(wrong).to_string();
        assert_eq!(
            said,
            format!(
                "`{wrong}` is not a status of HTTP; write 200, 2xx, 200-299, or several with commas between them"
            )
        );
    }
}

#[test]
fn the_table_of_protocols_makes_the_prober() {
    for protocol in [&http::HTTP, &http::HTTPS] {
        let RequestSize { least, usual, .. } = protocol.size;
        assert_eq!((least, usual), (0, 0));
        let new = protocol.prober.expect("HTTP is asked");
        let mut options = ProberOptions {
            authority: "echo.example".into(),
            size: usual,
            ..ProberOptions::default()
        };
        let first_line = |options: &ProberOptions| {
            let AnyProber::Stream(mut prober) = new(options) else {
                panic!("HTTP is a stream");
            };
            let mut rng = halloo_base::Rng::new(1);
            let mut env = halloo_base::Env {
                now: halloo_base::Mono(1),
                clock: &super::Standing,
                rng: &mut rng,
            };
            let mut tx = Vec::new();
            prober.request(&mut env, halloo_base::ProbeId(0), &mut tx);
            let text = String::from_utf8(tx).expect("plain ASCII");
            text.lines().take(2).collect::<Vec<_>>().join("|")
        };
        assert_eq!(first_line(&options), "GET / HTTP/1.1|Host: echo.example");
        options.http = Some(HttpProberOptions::new("other.example", "/ip"));
        assert_eq!(first_line(&options), "GET /ip HTTP/1.1|Host: other.example");
        options.size = 9;
        assert_eq!(first_line(&options), "POST /ip HTTP/1.1|Host: other.example");
    }
}
