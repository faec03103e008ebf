//! Streams that servers of others sent, byte for byte.

use super::{Told, expecting, good, options, refused, told_of};
use crate::http::{Expect, HttpProberOptions};
use halloo_base::Finish;

/// Node.js 20.20.2: plain, chunked with a trailer, 204, 103 and then 200, a redirect, and the last one; all asked at
/// once.
const NODE: &str = "\
HTTP/1.1 200 OK\r\nDate: Sat, 21 Nov 2026 12:01:03 GMT\r\nConnection: keep-alive\r\nKeep-Alive: timeout=5\r\n\
Content-Length: 6\r\n\r\nplain\n\
HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nDate: Sat, 21 Nov 2026 12:01:03 GMT\r\nConnection: keep-alive\r\n\
Keep-Alive: timeout=5\r\nTransfer-Encoding: chunked\r\n\r\n7\r\nhalloo \r\n5\r\nagain\r\n0\r\nX-Sum: 12\r\n\r\n\
HTTP/1.1 204 No Content\r\nDate: Sat, 21 Nov 2026 12:01:03 GMT\r\nConnection: keep-alive\r\n\
Keep-Alive: timeout=5\r\n\r\n\
HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n\
HTTP/1.1 200 OK\r\nDate: Sat, 21 Nov 2026 12:01:03 GMT\r\nConnection: keep-alive\r\nKeep-Alive: timeout=5\r\n\
Content-Length: 6\r\n\r\nhinted\
HTTP/1.1 302 Found\r\nLocation: http://portal.example/login\r\nDate: Sat, 21 Nov 2026 12:01:03 GMT\r\n\
Connection: keep-alive\r\nKeep-Alive: timeout=5\r\nTransfer-Encoding: chunked\r\n\r\n2\r\ngo\r\n0\r\n\r\n\
HTTP/1.1 200 OK\r\nConnection: close\r\nDate: Sat, 21 Nov 2026 12:01:03 GMT\r\nContent-Length: 3\r\n\r\nbye";

/// Node.js 20.20.2, to what it does not understand; its end is the end of the connection.
const NODE_BAD: &str = "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n";

/// Python 3.11.7, `http.server`: a file, and its HEAD.
const PYTHON: &str = "\
HTTP/1.0 200 OK\r\nServer: SimpleHTTP/0.6 Python/3.11.7\r\nDate: Sat, 21 Nov 2026 12:01:03 GMT\r\n\
Content-type: text/plain\r\nContent-Length: 5\r\nLast-Modified: Sat, 21 Nov 2026 12:01:01 GMT\r\n\r\nhello";

/// Python 3.11.7, `http.server`: no such file.
const PYTHON_NONE: &str = "\
HTTP/1.0 404 File not found\r\nServer: SimpleHTTP/0.6 Python/3.11.7\r\nDate: Sat, 21 Nov 2026 12:01:03 GMT\r\n\
Connection: close\r\nContent-Type: text/html;charset=utf-8\r\nContent-Length: 16\r\n\r\n<!DOCTYPE HTML>\n";

#[test]
fn node_sends_bodies_of_every_kind() {
    let told = vec![
        Told::Heard(good()),
        Told::Heard(good()),
        Told::Heard(good()),
        Told::Heard(good()),
        Told::Heard(refused(302, "Redirect")),
        Told::Last(good()),
    ];
    assert_eq!(told_of(&options(), 6, NODE.as_bytes()).0, told);
    let contains = expecting(Expect {
        body_contains: Some("loo aga".into()),
        ..Expect::default()
    });
    let found = told_of(&contains, 6, NODE.as_bytes()).0;
    assert_eq!(
        found[..2],
        [Told::Heard(refused(200, "UnexpectedBody")), Told::Heard(good())]
    );
    let told = (vec![], Finish::Heard(refused(400, "Bad Request")));
    assert_eq!(told_of(&options(), 1, NODE_BAD.as_bytes()), told);
}

#[test]
fn python_sends_one_answer_on_each_connection() {
    let hello = expecting(Expect {
        body_equals: Some(b"hello".to_vec()),
        ..Expect::default()
    });
    assert_eq!(told_of(&hello, 2, PYTHON.as_bytes()).0, [Told::Last(good())]);
    let by_head = HttpProberOptions {
        method: Some("HEAD".into()),
        ..options()
    };
    let (head, _) = PYTHON.split_at(PYTHON.len() - "hello".len());
    assert_eq!(told_of(&by_head, 1, head.as_bytes()).0, [Told::Last(good())]);
    let none = told_of(&options(), 1, PYTHON_NONE.as_bytes()).0;
    assert_eq!(none, [Told::Last(refused(404, "Not Found"))]);
}

#[test]
fn an_answer_that_is_cut_short_anywhere_is_not_heard() {
    for answer in [PYTHON, PYTHON_NONE] {
        for cut in 1..answer.len() {
            let told = told_of(&options(), 1, &answer.as_bytes()[..cut]);
            assert_eq!(told, (vec![], Finish::Broken), "cut at {cut}");
        }
    }
}
