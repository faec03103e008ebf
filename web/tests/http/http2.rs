//! HTTP/2: the same answers, several at once, and floods of it.

use crate::client::{address, connect, read_all, server};
use axum::body::{Body, to_bytes};
use halloo_base::Reason;
use halloo_web::HttpServer;
use hyper::client::conn::http2::{self, SendRequest};
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::Value;
use std::future::Future;
use std::io::Write;
use tokio::net::TcpStream;

pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.unwrap().block_on(future)
}

async fn client(server: &HttpServer) -> SendRequest<Body> {
    let stream = TcpStream::connect(address(server)).await.unwrap();
    let (client, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
    client
}

fn request(method: &str, path: &str, body: impl Into<Body>) -> Request<Body> {
    let uri = format!("http://echo.example{path}");
    Request::builder()
        .method(method)
        .uri(uri)
        .body(body.into())
        .unwrap()
}

pub(crate) async fn json(response: Response<hyper::body::Incoming>) -> Value {
    let bytes = to_bytes(Body::new(response.into_body()), usize::MAX)
        .await
        .unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

#[test]
fn the_answers_are_those_of_http1() {
    let server = server(|_| {});
    block_on(async {
        let mut client = client(&server).await;
        let answer = client
            .send_request(request("PUT", "/put?a=1", "{\"b\": 2}"))
            .await
            .unwrap();
        assert!(answer.headers().contains_key("server-timing"));
        let number = |name| answer.headers()[name].to_str().unwrap().parse::<u64>().unwrap();
        assert!(number("x-echo-t2") <= number("x-echo-t3"));
        let told = json(answer).await;
        assert_eq!(told["args"]["a"], "1");
        assert_eq!(told["json"]["b"], 2);
        assert_eq!(told["headers"]["Host"], "echo.example");
        assert_eq!(told["url"], "http://echo.example/put?a=1");
        let head = client
            .send_request(request("HEAD", "/bytes/9", ""))
            .await
            .unwrap();
        assert_eq!(head.headers()["content-length"], "9");
        assert_eq!(to_bytes(Body::new(head.into_body()), 10).await.unwrap(), "");
        let status = client
            .send_request(request("GET", "/status/204", ""))
            .await
            .unwrap();
        assert_eq!(status.status(), 204);
        let bytes = client
            .send_request(request("GET", "/bytes/300000?seed=1", ""))
            .await
            .unwrap();
        assert_eq!(
            to_bytes(Body::new(bytes.into_body()), 1 << 20)
                .await
                .unwrap()
                .len(),
            300_000
        );
        let ws = client.send_request(request("GET", "/ws", "")).await.unwrap();
        assert_eq!(ws.status(), 426);
    });
    server.stop().unwrap();
}

#[test]
fn a_slow_answer_does_not_hold_up_the_others() {
    let server = server(|options| {
        options.longest_delay = std::time::Duration::from_secs(3_600);
        options.request_timeout = std::time::Duration::from_secs(7_200);
    });
    block_on(async {
        let mut client = client(&server).await;
        let slow = client.send_request(request("GET", "/delay/3600", ""));
        let fast = client.send_request(request("GET", "/ip", ""));
        let slow = tokio::spawn(slow);
        assert_eq!(fast.await.unwrap().status(), 200);
        assert!(!slow.is_finished());
    });
    server.stop().unwrap();
}

#[test]
fn bodies_that_wait_have_a_share_of_memory_and_no_more() {
    let server = server(|options| {
        options.body = 32_768;
        options.buffered = 64 * 32_768;
        options.longest_delay = std::time::Duration::from_secs(3_600);
        options.request_timeout = std::time::Duration::from_secs(7_200);
    });
    block_on(async {
        let mut client = client(&server).await;
        let slow: Vec<_> = (0..8)
            .map(|_| tokio::spawn(client.send_request(request("POST", "/delay/3600", vec![b'x'; 32_768]))))
            .collect();
        // All of its share is taken; its source can still ask, but not send.
        let refused = loop {
            let answer = client
                .send_request(request("POST", "/post", vec![b'x'; 32_768]))
                .await
                .unwrap();
            if answer.status() != 200 {
                break answer;
            }
        };
        assert_eq!(refused.status(), 503);
        assert_eq!(refused.headers()["retry-after"], "1");
        slow.iter().for_each(tokio::task::JoinHandle::abort);
    });
    assert!(server.requests().count(Reason::RateLimitedAll) >= 1);
    server.stop().unwrap();
}

/// A frame (RFC 9113 section 4.1).
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let len = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&len[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
/// END_STREAM and END_HEADERS.
const WHOLE: u8 = 5;
/// `GET http://a/` by the static table (RFC 7541 appendix A), `:authority` as a literal.
const GET: &[u8] = &[0x82, 0x84, 0x86, 0x41, 0x01, b'a'];
const ENHANCE_YOUR_CALM: u32 = 11;

fn preface() -> Vec<u8> {
    [
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
        frame(SETTINGS, 0, 0, b""),
    ]
    .concat()
}

/// Kind, stream and payload of each frame in the server's bytes.
fn frames(mut bytes: &[u8]) -> Vec<(u8, u32, Vec<u8>)> {
    let mut frames = Vec::new();
    while let Some((head, rest)) = bytes.split_first_chunk::<9>() {
        let len = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        let Some((payload, rest)) = rest.split_at_checked(len) else {
            break;
        };
        frames.push((head[3], stream, payload.to_vec()));
        bytes = rest;
    }
    frames
}

/// Why the server went away.
fn goodbye(bytes: &[u8]) -> Option<u32> {
    let (_, _, payload) = frames(bytes).into_iter().find(|(kind, ..)| *kind == GOAWAY)?;
    Some(u32::from_be_bytes(payload[4..8].try_into().unwrap()))
}

#[test]
fn who_opens_streams_to_take_them_back_is_sent_away() {
    let server = server(|_| {});
    let mut flood = preface();
    for n in 0..200 {
        flood.extend(frame(HEADERS, WHOLE, 2 * n + 1, GET));
        flood.extend(frame(RST_STREAM, 0, 2 * n + 1, &8u32.to_be_bytes()));
    }
    let mut stream = connect(&server);
    stream.write_all(&flood).unwrap();
    assert_eq!(goodbye(&read_all(&mut stream)), Some(ENHANCE_YOUR_CALM));
    let counters = server.counters().clone();
    server.stop().unwrap();
    assert_eq!(counters.count(Reason::Malformed), 1);
}

#[test]
fn streams_beyond_those_allowed_are_refused() {
    let server = server(|options| {
        options.streams = 3;
        options.longest_delay = std::time::Duration::from_secs(3_600);
        options.request_timeout = std::time::Duration::from_secs(7_200);
    });
    let path = b"/delay/3600";
    let mut slow = vec![0x82, 0x86, 0x41, 0x01, b'a', 0x04, path.len() as u8];
    slow.extend(path);
    let mut flood = preface();
    for n in 0..4 {
        flood.extend(frame(HEADERS, WHOLE, 2 * n + 1, &slow));
    }
    let mut stream = connect(&server);
    stream.write_all(&flood).unwrap();
    let mut bytes = Vec::new();
    let reset = loop {
        let mut byte = [0; 1];
        std::io::Read::read_exact(&mut stream, &mut byte).unwrap();
        bytes.push(byte[0]);
        let reset = frames(&bytes).into_iter().find(|(kind, ..)| *kind == RST_STREAM);
        if let Some((_, stream, payload)) = reset {
            break (stream, payload);
        }
    };
    // REFUSED_STREAM: it may be tried again.
    assert_eq!(reset, (7, 7u32.to_be_bytes().to_vec()));
    drop(stream);
    server.stop().unwrap();
}

#[test]
fn a_head_that_never_ends_is_not_kept() {
    let server = server(|_| {});
    // A literal header of 10,000 bytes, again and again, and no END_HEADERS.
    let mut long = vec![0x00, 0x01, b'x', 0x7f, 0x91, 0x4d];
    long.extend([b'y'; 10_000]);
    let mut flood = preface();
    flood.extend(frame(HEADERS, 0, 1, GET));
    for _ in 0..200 {
        flood.extend(frame(9, 0, 1, &long));
    }
    let mut stream = connect(&server);
    // The server may have gone before all of it is written.
    let _ = stream.write_all(&flood);
    read_all(&mut stream);
    let counters = server.counters().clone();
    server.stop().unwrap();
    let told = counters.snapshot();
    assert!(told.received_bytes < 1_000_000, "{told:?}");
}
