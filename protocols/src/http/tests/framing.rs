//! Where answers end: every way of it, and every doubt about it.

use super::{Told, expecting, good, options, refused, told_of};
use crate::http::{Expect, HttpProberOptions};
use halloo_base::Finish;

/// What comes of one answer, and of the good one that follows it.
fn first(options: &HttpProberOptions, answer: &[u8]) -> (Vec<Told>, Finish) {
    let stream = [answer, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"].concat();
    told_of(options, 2, &stream)
}

/// Expects this body.
fn body(bytes: &[u8]) -> HttpProberOptions {
    expecting(Expect {
        body_equals: Some(bytes.to_vec()),
        ..Expect::default()
    })
}

#[test]
fn bodies_end_where_their_framing_says() {
    let table: [(&[u8], &[u8]); 12] = [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", b"hello"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b""),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 02, 2\r\nContent-Length: 2\r\n\r\nok", b"ok"),
        (b"HTTP/1.1 200\r\nContent-Length:2\r\n\r\nok", b"ok"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", b"hello"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: CHUNKED\r\n\r\n3\r\nhel\r\n002\r\nlo\r\n000\r\n\r\n", b"hello"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\nA\r\n0123456789\r\n0\r\n\r\n", b"0123456789"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n", b"x"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2 ; a=\"b;c\"\r\nok\r\n0;x\r\nX-Sum: 1\r\nY: 2\r\n\r\n", b"ok"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2  \r\n\r\n\r\n0\r\n\r\n", b"\r\n"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
        (b"HTTP/1.1 204 No Content\r\nContent-Length: 7\r\nTransfer-Encoding: chunked\r\n\r\n", b""),
    ];
    for (answer, expected) in table {
        let text = String::from_utf8_lossy(answer);
        assert_eq!(first(&body(expected), answer).0[0], Told::Heard(good()), "{text}");
        let both = vec![Told::Heard(good()); 2];
        assert_eq!(first(&options(), answer), (both, Finish::Done), "{text}");
    }
}

#[test]
fn answers_to_head_have_no_body_whatever_they_say() {
    let by_head = HttpProberOptions {
        method: Some("HEAD".into()),
        ..options()
    };
    for fields in [
        "Content-Length: 500\r\n",
        "Transfer-Encoding: chunked\r\n",
        "",
        "Content-Length: 9\r\nTransfer-Encoding: chunked\r\n",
    ] {
        let answer = format!("HTTP/1.1 200 OK\r\n{fields}\r\n");
        assert_eq!(
            first(&by_head, answer.as_bytes()),
            (vec![Told::Heard(good()); 2], Finish::Done)
        );
    }
}

#[test]
fn not_modified_has_no_body() {
    let answer = b"HTTP/1.1 304 Not Modified\r\nContent-Length: 500\r\n\r\n";
    let told = vec![Told::Heard(refused(304, "Not Modified")), Told::Heard(good())];
    assert_eq!(first(&options(), answer), (told, Finish::Done));
}

#[test]
fn interim_answers_are_passed_over() {
    let interim =
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\nContent-Length: 9\r\n\r\n";
    let answer = format!("{interim}{interim}HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    assert_eq!(first(&body(b"ok"), answer.as_bytes()).0[0], Told::Heard(good()));
}

#[test]
fn another_protocol_is_the_end_of_this_one() {
    let answer = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n\x81\x00";
    let told = vec![Told::Last(refused(101, "Switching Protocols"))];
    assert_eq!(told_of(&options(), 1, answer).0, told);
}

#[test]
fn a_body_of_unknown_length_ends_with_the_connection() {
    for head in [
        "HTTP/1.1 200 OK\r\n\r\n",
        "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: xchunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding:\r\n\r\n",
    ] {
        let stream = [head, "HTTP/1.1 200 OK\r\n\r\n"].concat();
        let (told, finish) = told_of(&body(b"HTTP/1.1 200 OK\r\n\r\n"), 2, stream.as_bytes());
        assert_eq!((told, finish), (vec![], Finish::Heard(good())), "{head}");
    }
}

#[test]
fn what_ends_before_its_end_is_no_answer() {
    for stream in [
        "H",
        "HTTP/1.1 200 OK\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
    ] {
        assert_eq!(
            told_of(&options(), 1, stream.as_bytes()),
            (vec![], Finish::Broken),
            "{stream}"
        );
    }
}

#[test]
fn whoever_leaves_the_end_of_an_answer_in_doubt_is_not_listened_to() {
    let both = "the answer has a Content-Length and a Transfer-Encoding";
    let (none, two) = (
        "the answer has a Content-Length that is none",
        "the answer has two lengths",
    );
    let table = [
        ("Content-Length: 5\r\nContent-Length: 6\r\n", two),
        ("Content-Length: 5, 6\r\n", two),
        ("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", both),
        ("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", both),
        ("Transfer-Encoding: identity\r\nContent-Length: 5\r\n", both),
        (
            "Transfer-Encoding: chunked, chunked\r\n",
            "the answer has something around its chunks",
        ),
        (
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: gzip\r\n",
            "the answer has something around its chunks",
        ),
        ("Content-Length: \r\n", none),
        ("Content-Length: +5\r\n", none),
        ("Content-Length: -1\r\n", none),
        ("Content-Length: 0x5\r\n", none),
        ("Content-Length: 5 5\r\n", none),
        ("Content-Length: 5,\r\n", none),
        ("Content-Length: 5;a\r\n", none),
        ("Content-Length: 18446744073709551616\r\n", none),
        ("Content-Length: 5\r\n 6\r\n", none),
    ];
    for (fields, why) in table {
        let answer = format!("HTTP/1.1 200 OK\r\n{fields}\r\n");
        let told = told_of(&options(), 1, answer.as_bytes()).0;
        assert_eq!(told, [Told::Foreign(why)], "{fields}");
    }
    let old = b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    let why = "the answer is in HTTP/1.0 and has a Transfer-Encoding";
    assert_eq!(told_of(&options(), 1, old).0, [Told::Foreign(why)]);
}

#[test]
fn chunks_are_read_to_the_letter() {
    for chunks in [
        "\r\n",
        "\n",
        "x\r\n",
        "-1\r\n",
        "0x5\r\n",
        " 5\r\n",
        ";a\r\n",
        "5\n",
        "5;a\n",
        "5\rhello",
        "5x\r\n",
        "2\r\nhello\r\n",
        "2\r\nok\n",
        "2\r\nok\rx",
        "2\r\nok\n0\r\n\r\n",
        "0\r\n\n",
        "0\r\nX: y\n",
        "0\r\nX: y\rZ",
        "0\r\n\rX",
        "10000000000000000\r\n",
        "ffffffffffffffff0\r\n",
    ] {
        let answer = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}");
        let told = told_of(&options(), 1, answer.as_bytes()).0;
        assert_eq!(
            told,
            [Told::Foreign("the answer has a chunk that is none")],
            "{chunks:?}"
        );
    }
    // The largest that can be told; it is longer than what is read.
    let answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nhello";
    assert_eq!(told_of(&options(), 1, answer).0, []);
}

#[test]
fn lines_of_the_header_may_end_with_a_bare_line_feed_and_be_folded() {
    // RFC 9112 sections 2.2 and 5.2.
    for answer in [
        &b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok"[..],
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\nok",
        b"HTTP/1.1 200 OK\nContent-Length: 2\n\r\nok",
        b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\tc\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length:\r\n 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip,\r\n chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    ] {
        let text = String::from_utf8_lossy(answer);
        assert_eq!(first(&body(b"ok"), answer).0[0], Told::Heard(good()), "{text}");
    }
}

#[test]
fn what_is_no_header_is_told_by_what_is_wrong_with_it() {
    let field = "the answer has a header field that is none";
    let table: [(&[u8], &str); 17] = [
        (b"S", "the peer does not speak HTTP/1"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", "the peer does not speak HTTP/1"),
        (b"\r\n", "the peer does not speak HTTP/1"),
        (b"http/1.1 200 OK\r\n", "the peer does not speak HTTP/1"),
        (b"HTTP/2 200\r\n", "the peer does not speak HTTP/1"),
        (b"\x15\x03\x01\x00\x02\x02\x46", "the peer speaks TLS"),
        (
            b"HTTP/1.2 200 OK\r\n\r\n",
            "the answer is not in HTTP/1.0 or HTTP/1.1",
        ),
        (b"HTTP/1.1 20 OK\r\n\r\n", "the answer has no status"),
        (b"HTTP/1.1 2000 OK\r\n\r\n", "the answer has no status"),
        (b"HTTP/1.1 099 OK\r\n\r\n", "the answer's status is below 100"),
        (b"HTTP/1.1 200 OK\r\n X: y\r\n\r\n", field),
        (b"HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\n", field),
        (b"HTTP/1.1 200 OK\r\nContent-Length\r\n\r\n", field),
        (b"HTTP/1.1 200 OK\r\n: 2\r\n\r\n", field),
        (b"HTTP/1.1 200 OK\r\nX: a\0b\r\n\r\n", field),
        (b"HTTP/1.1 200 OK\r\nX: a\rContent-Length: 2\r\n\r\n", field),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: \x0bchunked\r\n\r\n",
            field,
        ),
    ];
    for (stream, why) in table {
        let text = String::from_utf8_lossy(stream);
        assert_eq!(told_of(&options(), 1, stream).0, [Told::Foreign(why)], "{text}");
    }
}

#[test]
fn a_header_has_its_limits() {
    const LONGEST: usize = 64 * 1024;
    let frame = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX: \r\n\r\n".len();
    let long = |bytes: usize| {
        let filling = "x".repeat(bytes - frame);
        format!("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX: {filling}\r\n\r\n")
    };
    assert_eq!(
        told_of(&options(), 1, long(LONGEST).as_bytes()).0,
        [Told::Heard(good())]
    );
    let why = Told::Foreign("the answer's header is too long");
    assert_eq!(told_of(&options(), 1, long(LONGEST + 1).as_bytes()).0, [why]);
    let many = |fields: usize| format!("HTTP/1.1 204 x\r\n{}\r\n", "X: y\r\n".repeat(fields));
    assert_eq!(
        told_of(&options(), 1, many(128).as_bytes()).0,
        [Told::Heard(good())]
    );
    let why = Told::Foreign("the answer has too many header fields");
    assert_eq!(told_of(&options(), 1, many(129).as_bytes()).0, [why]);
}

#[test]
fn a_body_has_its_limit_which_no_framing_gets_around() {
    let limited = HttpProberOptions {
        body_limit: 20,
        ..options()
    };
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let too_long = vec![Told::Last(refused(200, "BodyTooLong"))];
    for (answer, told) in [
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n0123456789abcdefghij".to_owned(),
            vec![Told::Heard(good())],
        ),
        // Nothing of it has to come to know that.
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 21\r\n\r\n".to_owned(),
            too_long.clone(),
        ),
        (
            format!("{chunked}a\r\n0123456789\r\n0\r\n\r\n"),
            vec![Told::Heard(good())],
        ),
        (
            format!("{chunked}b\r\n0123456789a\r\n0\r\n\r\n"),
            too_long.clone(),
        ),
        (format!("{chunked}1;0123456789abcdefghi"), too_long.clone()),
        (format!("{chunked}0\r\nX: 0123456789abcdefgh"), too_long.clone()),
        (
            "HTTP/1.1 200 OK\r\n\r\n0123456789abcdefghijk".to_owned(),
            too_long,
        ),
        (
            "HTTP/1.1 404 x\r\nContent-Length: 21\r\n\r\n".to_owned(),
            vec![Told::Last(refused(404, "Not Found"))],
        ),
        (
            "HTTP/1.1 304 x\r\nContent-Length: 21\r\n\r\n".to_owned(),
            vec![Told::Heard(refused(304, "Not Modified"))],
        ),
    ] {
        assert_eq!(told_of(&limited, 1, answer.as_bytes()).0, told, "{answer}");
    }
    let (told, finish) = told_of(&limited, 1, b"HTTP/1.1 200 OK\r\n\r\n0123456789abcdefghij");
    assert_eq!((told, finish), (vec![], Finish::Heard(good())));
}
