//! What answers mean, and what connections are good for.

use super::{Told, ask, asked, expecting, good, options, refused, tell, told_of};
use crate::http::{Expect, HttpProber, HttpProberOptions};
use halloo_base::{Finish, Progress, Reason, StreamProber};

const GOOD: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const LAST: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";

#[test]
fn answers_come_in_the_order_of_requests_and_say_nothing_more() {
    assert_eq!(
        told_of(&options(), 3, &GOOD.repeat(3)),
        (vec![Told::Heard(good()); 3], Finish::Done)
    );
}

#[test]
fn a_status_that_was_not_expected_is_a_refusal_by_its_name() {
    let of = |status: Option<&str>| {
        expecting(Expect {
            status: status.map(|set| set.parse().expect(set)),
            ..Expect::default()
        })
    };
    let table = [
        (None, 200, None),
        (None, 299, None),
        (None, 404, Some("Not Found")),
        (None, 301, Some("Moved Permanently")),
        (None, 418, Some("Client Error")),
        (None, 503, Some("Service Unavailable")),
        (None, 511, Some("Network Authentication Required")),
        (None, 599, Some("Server Error")),
        (None, 399, Some("Redirection")),
        (None, 999, Some("Unassigned")),
        (Some("404"), 404, None),
        (Some("404"), 200, Some("OK")),
        (Some("204"), 200, Some("OK")),
        (Some("2xx,304"), 250, None),
        (Some("300"), 250, Some("Successful")),
    ];
    for (set, status, name) in table {
        let answer = format!("HTTP/1.1 {status} Whatever It Says\r\nContent-Length: 0\r\n\r\n");
        let expected = name.map_or(good(), |name| refused(status, name));
        assert_eq!(
            told_of(&of(set), 1, answer.as_bytes()).0,
            [Told::Heard(expected)],
            "{set:?} {status}"
        );
    }
}

#[test]
fn every_registered_status_has_its_name() {
    let names = (100..=599).map(crate::http::status::phrase);
    let classes = [
        "Informational",
        "Successful",
        "Redirection",
        "Client Error",
        "Server Error",
    ];
    let mut registered: Vec<_> = names.filter(|name| !classes.contains(name)).collect();
    assert_eq!(
        registered.len(),
        61,
        "in the registry, without those that are unused or temporary"
    );
    registered.sort_unstable();
    registered.dedup();
    assert_eq!(registered.len(), 61);
}

#[test]
fn a_portal_that_answers_for_the_host_is_told_from_it() {
    let no_content = expecting(Expect {
        status: Some("204".parse().expect("a status")),
        ..Expect::default()
    });
    let text = expecting(Expect {
        body_contains: Some("Success".into()),
        ..Expect::default()
    });
    let redirect = |to: &str| format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n");
    let page = "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nPlease pay.".to_owned();
    let real = "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n<b>Success!".to_owned();
    for (options, answer, expected) in [
        (
            &no_content,
            redirect("http://portal.example/"),
            refused(302, "Redirect"),
        ),
        (
            &no_content,
            redirect("https://echo.example/"),
            refused(302, "Found"),
        ),
        (&no_content, redirect("/login"), refused(302, "Found")),
        (&no_content, page.clone(), refused(200, "OK")),
        (&text, page, refused(200, "UnexpectedBody")),
        (&text, real, good()),
        (&text, redirect("//portal.example"), refused(302, "Redirect")),
        // A created thing has a place, too.
        (
            &no_content,
            "HTTP/1.1 201 x\r\nLocation: http://portal.example/\r\nContent-Length: 0\r\n\r\n".into(),
            refused(201, "Created"),
        ),
    ] {
        assert_eq!(
            told_of(options, 1, answer.as_bytes()).0,
            [Told::Heard(expected)],
            "{answer}"
        );
    }
    let expected = expecting(Expect {
        status: Some("3xx".parse().expect("statuses")),
        ..Expect::default()
    });
    let answer = redirect("http://portal.example/");
    assert_eq!(
        told_of(&expected, 1, answer.as_bytes()).0,
        [Told::Heard(good())],
        "it was asked for"
    );
    let virtual_host = HttpProberOptions {
        headers: vec![("Host".into(), "virtual.example".into())],
        ..options()
    };
    let answer = redirect("http://virtual.example/");
    assert_eq!(
        told_of(&virtual_host, 1, answer.as_bytes()).0,
        [Told::Heard(refused(302, "Found"))]
    );
}

#[test]
fn bodies_are_compared_byte_for_byte_and_each_by_itself() {
    let contains = |text: &str| Expect {
        body_contains: Some(text.into()),
        ..Expect::default()
    };
    let equals = |text: &str| Expect {
        body_equals: Some(text.into()),
        ..Expect::default()
    };
    let both = Expect {
        body_contains: Some("ll".into()),
        ..equals("hello")
    };
    for (expect, body, is_good) in [
        (contains(""), "", true),
        (contains("a"), "", false),
        (contains("aab"), "aaab", true),
        (contains("abab"), "abacabab", true),
        (contains("abcabd"), "abcabcabd", true),
        (contains("aabaaab"), "aabaabaaab", true),
        (contains("abab"), "abaab", false),
        (contains("ok"), "oo kk", false),
        (contains("hello"), "hello", true),
        (contains("hello, all"), "hello", false),
        (equals(""), "", true),
        (equals(""), "x", false),
        (equals("hello"), "hello", true),
        (equals("hello"), "hell", false),
        (equals("hello"), "hello!", false),
        (equals("hello"), "Hello", false),
        (both.clone(), "hello", true),
        (both, "hella", false),
    ] {
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        let chunk = |part: &str| match part.len() {
            0 => String::new(),
            len => format!("{len:x}\r\n{part}\r\n"),
        };
        let (one, two) = body.split_at(body.len() / 2);
        let (one, two) = (chunk(one), chunk(two));
        let chunked = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{one}{two}0\r\n\r\n");
        let expected = if is_good {
            good()
        } else {
            refused(200, "UnexpectedBody")
        };
        // Twice: what one body left behind must not help the next.
        for answer in [answer.repeat(2), chunked.repeat(2)] {
            let told = told_of(&expecting(expect.clone()), 2, answer.as_bytes()).0;
            assert_eq!(told, vec![Told::Heard(expected); 2], "{expect:?} in {answer}");
        }
    }
}

#[test]
fn a_connection_ends_with_the_answer_that_says_so() {
    for (answer, is_last) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", false),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive, closer\r\n\r\n",
            false,
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: Close\r\n\r\n",
            true,
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: x\r\nConnection: y, close\r\n\r\n",
            true,
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close, keep-alive\r\n\r\n",
            true,
        ),
        ("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", true),
        (
            "HTTP/1.0 200 OK\r\nContent-Length: 0\r\nConnection: Keep-Alive\r\n\r\n",
            false,
        ),
        ("HTTP/1.1 204 OK\r\nConnection: close\r\n\r\n", true),
    ] {
        let expected = if is_last {
            Told::Last(good())
        } else {
            Told::Heard(good())
        };
        assert_eq!(
            told_of(&options(), 2, answer.as_bytes()).0,
            [expected],
            "{answer}"
        );
    }
    let without = HttpProberOptions {
        keep_alive: false,
        ..options()
    };
    assert_eq!(
        told_of(&without, 1, GOOD).0,
        [Told::Last(good())],
        "whatever the server says"
    );
}

#[test]
fn requests_wait_for_answers_until_the_server_has_kept_a_connection() {
    let mut prober = HttpProber::new(&options(), 0);
    assert!(
        !prober.pipelines(),
        "it may close after the first answer, and drop what is behind it"
    );
    ask(&mut prober, 1);
    tell(&mut prober, GOOD, 7);
    assert!(prober.pipelines() && !prober.is_done());
    prober.reset();
    prober.reset();
    assert!(
        prober.pipelines(),
        "it is the same server, though it took two attempts to connect"
    );
    // It lets so many pass and then closes: still one that keeps connections.
    ask(&mut prober, 2);
    tell(&mut prober, &[GOOD, LAST].concat(), 7);
    assert!(prober.pipelines() && prober.is_done());
    prober.reset();
    assert!(prober.pipelines() && !prober.is_done());
    // It closes after the first one.
    ask(&mut prober, 1);
    tell(&mut prober, LAST, 7);
    prober.reset();
    assert!(!prober.pipelines());
    // Again it keeps one, and then a connection brings nothing at all.
    ask(&mut prober, 1);
    tell(&mut prober, GOOD, 7);
    prober.reset();
    ask(&mut prober, 1);
    prober.reset();
    assert!(!prober.pipelines());
}

#[test]
fn what_must_not_be_asked_twice_is_asked_one_by_one() {
    for (method, size, pipelines) in [
        (None, 0, true),
        (None, 5, false),
        (Some("PUT"), 5, true),
        (Some("PATCH"), 5, false),
        (Some("get"), 0, false),
    ] {
        let options = HttpProberOptions {
            method: method.map(str::to_owned),
            ..options()
        };
        let mut prober = HttpProber::new(&options, size);
        ask(&mut prober, 2);
        tell(&mut prober, GOOD, 7);
        assert_eq!(prober.pipelines(), pipelines, "{method:?}");
        let finish = if pipelines { Finish::Done } else { Finish::Broken };
        assert_eq!(prober.finish(), finish, "{method:?}: one is unanswered");
    }
    let without = HttpProberOptions {
        keep_alive: false,
        ..options()
    };
    let mut prober = asked(&without, 1);
    tell(&mut prober, GOOD, 7);
    assert!(!prober.pipelines());
}

#[test]
fn a_server_may_close_between_answers_but_not_before_the_first() {
    let mut prober = HttpProber::new(&options(), 0);
    assert_eq!(prober.finish(), Finish::Done, "nothing was asked");
    ask(&mut prober, 1);
    assert_eq!(prober.finish(), Finish::Broken);
    prober.reset();
    ask(&mut prober, 2);
    tell(&mut prober, GOOD, 7);
    assert_eq!(prober.finish(), Finish::Done, "the other was on its way");
    prober.reset();
    ask(&mut prober, 2);
    tell(&mut prober, &[GOOD, b"HTTP/1.1 2"].concat(), 7);
    assert_eq!(prober.finish(), Finish::Broken, "half an answer");
}

#[test]
fn an_answer_that_ends_with_the_connection_is_its_last() {
    let mut prober = asked(&options(), 1);
    let answer = b"HTTP/1.1 404 x\r\n\r\nuntil the end";
    assert_eq!(tell(&mut prober, answer, 4), []);
    assert_eq!(prober.finish(), Finish::Heard(refused(404, "Not Found")));
    assert!(prober.is_done() && !prober.pipelines());
    let mut nobody_asked = HttpProber::new(&options(), 0);
    assert_eq!(tell(&mut nobody_asked, answer, 4), []);
    assert_eq!(nobody_asked.finish(), Finish::Broken);
}

#[test]
fn an_answer_that_nobody_asked_for_puts_all_others_in_doubt() {
    let why = Told::Foreign("an answer that nobody asked for");
    for answer in [GOOD, LAST] {
        assert_eq!(told_of(&options(), 0, answer).0, std::slice::from_ref(&why));
    }
    assert_eq!(
        told_of(&options(), 1, &GOOD.repeat(2)).0,
        [Told::Heard(good()), why.clone()]
    );
    // It began before the request left.
    let mut prober = HttpProber::new(&options(), 0);
    let (begin, end) = GOOD.split_at(9);
    assert_eq!(prober.receive(begin), Progress::Partial(9));
    ask(&mut prober, 1);
    assert_eq!(tell(&mut prober, end, 9), [why]);
}

#[test]
fn a_server_that_waited_too_long_for_a_request_may_say_so() {
    let tired = b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    let stream = [GOOD, tired].concat();
    let told = vec![Told::Heard(good()), Told::Unused(Reason::Foreign)];
    assert_eq!(told_of(&options(), 1, &stream), (told, Finish::Done));
    let stays = b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n";
    let why = Told::Foreign("an answer that nobody asked for");
    assert_eq!(told_of(&options(), 0, stays).0, [why]);
    assert_eq!(
        told_of(&options(), 1, tired).0,
        [Told::Last(refused(408, "Request Timeout"))]
    );
}

#[test]
fn a_new_connection_begins_without_the_rest_of_the_old() {
    let body = expecting(Expect {
        body_equals: Some(b"ok".to_vec()),
        ..Expect::default()
    });
    for cut in 0..GOOD.len() {
        let mut prober = asked(&body, 1);
        assert_eq!(prober.receive(&GOOD[..cut]), Progress::Partial(cut));
        prober.reset();
        ask(&mut prober, 1);
        assert_eq!(tell(&mut prober, GOOD, 64), [Told::Heard(good())], "cut at {cut}");
    }
}
