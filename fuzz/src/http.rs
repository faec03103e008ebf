//! The HTTP prober, and what servers may say to it.

use crate::feed::Feed;
use crate::surroundings::with_env;
use halloo_base::{Finish, Heard, Mono, ProbeId, Progress, Reason, StreamProber};
use halloo_protocols::http::{Expect, HttpProber, HttpProberOptions};

const WANTED: &str = "aab";

/// Small, so that the fuzzer gets beyond it; and more than 63 bytes in as many chunks take.
const BODY_LIMIT: u64 = 400;

/// What a stream says, to its end: each answer, and what ended it.
#[derive(Debug, PartialEq)]
struct Said {
    heard: Vec<Heard>,
    unused: usize,
    /// Nothing behind it was read.
    end: Option<&'static str>,
    finish: Finish,
}

/// First what is asked and expected, how often, and how the stream is cut; then the stream as it is, or a list of
/// answers to be written: for each its status, its framing, a length and its body.
pub(crate) fn prober(data: &[u8]) {
    let mut feed = Feed::new(data);
    let how = feed.octet();
    let count = u64::from(feed.octet() % 8);
    let piece = usize::from(feed.octet()).max(1);
    let options = HttpProberOptions {
        method: (how & 1 != 0).then(|| "HEAD".to_owned()),
        keep_alive: how & 2 == 0,
        body_limit: BODY_LIMIT,
        expect: Expect {
            status: (how & 4 != 0).then(|| "2xx,404".parse().expect("statuses")),
            body_contains: (how & 8 != 0).then(|| WANTED.to_owned()),
            body_equals: (how & 16 != 0).then(|| WANTED.as_bytes().to_vec()),
        },
        ..HttpProberOptions::new("echo.example", "/")
    };
    if how & 32 == 0 {
        let stream = feed.bytes(data.len());
        check(&options, count, stream, piece);
    } else {
        let (stream, expected) = written(&mut feed, &options, count);
        let said = check(&options, count, &stream, piece);
        assert_eq!(said.heard, expected);
    }
}

/// Hands a stream over in pieces and at once; both must say the same.
fn check(options: &HttpProberOptions, count: u64, stream: &[u8], piece: usize) -> Said {
    let said = said(options, count, stream, piece);
    assert_eq!(said, self::said(options, count, stream, stream.len().max(1)));
    assert!(
        said.heard.len() as u64 <= count,
        "only what was asked is answered"
    );
    for heard in &said.heard {
        assert_eq!((heard.bits, heard.low_bits), (0, 0));
        let code = heard.refusal.map_or(200, |refusal| refusal.code);
        assert!((100..1_000).contains(&code), "{code}");
    }
    said
}

fn said(options: &HttpProberOptions, count: u64, stream: &[u8], piece: usize) -> Said {
    let mut prober = HttpProber::new(options, 0);
    with_env(Mono(1), |env| {
        let mut tx = Vec::new();
        for id in 0..count {
            prober.request(env, ProbeId(id), &mut tx);
        }
        assert_eq!(tx.len() as u64, prober.request_len() as u64 * count);
    });
    let (mut heard, mut unused, mut end) = (Vec::new(), 0, None);
    let mut pieces = stream.chunks(piece);
    while let Some(mut rest) = pieces.next().filter(|_| end.is_none()) {
        while !rest.is_empty() && end.is_none() {
            let used = match prober.receive(rest) {
                Progress::Partial(used) => {
                    assert_eq!(used, rest.len());
                    used
                }
                Progress::Heard(used, answer) => {
                    heard.push(answer);
                    end = prober.is_done().then_some("done");
                    used
                }
                Progress::Unused(used, why) => {
                    assert_eq!(why, Reason::Foreign);
                    unused += 1;
                    used
                }
                Progress::Foreign(what) => {
                    end = Some(what);
                    1
                }
            };
            assert!((1..=rest.len()).contains(&used));
            rest = &rest[used..];
        }
    }
    let finish = match end {
        None => prober.finish(),
        Some(_) => Finish::Broken,
    };
    if let Finish::Heard(_) = finish {
        assert!(prober.is_done(), "nothing comes after it");
    }
    Said {
        heard,
        unused,
        end,
        finish,
    }
}

/// Well-formed answers, and what must be heard of them.
fn written(feed: &mut Feed<'_>, options: &HttpProberOptions, count: u64) -> (Vec<u8>, Vec<Heard>) {
    let (mut stream, mut expected) = (Vec::new(), Vec::new());
    while !feed.is_empty() && (expected.len() as u64) < count {
        let status = [200, 204, 404, 503][usize::from(feed.octet() % 4)];
        let framing = feed.octet();
        let len = usize::from(feed.octet() % 64);
        let body = feed.bytes(len);
        let has_body = options.method.is_none() && status != 204;
        let body = Some(body).filter(|_| has_body).unwrap_or_default();
        if framing & 2 != 0 {
            stream.extend(b"HTTP/1.1 100 Continue\r\n\r\n");
        }
        let last = framing & 4 != 0;
        let connection = if last { "Connection: close\r\n" } else { "" };
        stream.extend(format!("HTTP/1.1 {status} x\r\n{connection}").bytes());
        if framing & 1 != 0 {
            stream.extend(format!("Content-Length: {}\r\n\r\n", body.len()).bytes());
            stream.extend(body);
        } else {
            stream.extend(b"Transfer-Encoding: chunked\r\n\r\n");
            if has_body {
                for chunk in body.chunks(usize::from(framing >> 4).max(1)) {
                    stream.extend(format!("{:x}\r\n", chunk.len()).bytes());
                    stream.extend(chunk);
                    stream.extend(b"\r\n");
                }
                stream.extend(b"0\r\n\r\n");
            }
        }
        expected.push(judged(options, status, body));
        if last || !options.keep_alive {
            break;
        }
    }
    (stream, expected)
}

fn judged(options: &HttpProberOptions, status: u32, body: &[u8]) -> Heard {
    let Expect {
        status: set,
        body_contains,
        body_equals,
    } = &options.expect;
    let taken = (200..300).contains(&status) || set.is_some() && status == 404;
    let contains = |part: &String| body.windows(part.len()).any(|window| window == part.as_bytes());
    let is_good =
        body_contains.as_ref().is_none_or(contains) && body_equals.as_ref().is_none_or(|whole| whole == body);
    let name = match status {
        _ if taken && is_good => None,
        _ if taken => Some("UnexpectedBody"),
        404 => Some("Not Found"),
        _ => Some("Service Unavailable"),
    };
    Heard {
        refusal: name.map(|name| halloo_base::Refusal { code: status, name }),
        ..Heard::plain(0, 0)
    }
}
