//! Silence, trickles and greed: none of them keeps others from being answered.

use crate::client::{address, ask, ask_with, connect, is_refused, read_all, read_answer, server};
use crate::http2::block_on;
use halloo_base::Reason;
use halloo_serve::Rate;
use halloo_web::{HttpOptions, HttpServer};
use std::io::Write;
use std::net::{Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

const SHORT: Duration = Duration::from_millis(50);

/// What the server sent until it closed the connection.
fn until_closed(stream: &mut TcpStream) -> String {
    String::from_utf8(read_all(stream)).unwrap()
}

#[test]
fn silent_connections_do_not_stop_a_good_one() {
    let server = server(|options| options.admission.connections = 20);
    let mut silent: Vec<_> = (0..20).map(|_| connect(&server)).collect();
    assert_eq!(ask(&server, "GET /ip").status, 200);
    assert_eq!(until_closed(&mut silent[0]), "", "the first of them had to go");
    // The others are still welcome.
    silent[19]
        .write_all(b"GET /ip HTTP/1.1\r\nHost: a\r\n\r\n")
        .unwrap();
    assert_eq!(read_answer(&mut silent[19]).status, 200);
    let counters = server.counters().clone();
    drop(silent);
    server.stop().unwrap();
    assert_eq!(counters.count(Reason::TooManyConnections), 1);
    assert_eq!(counters.snapshot().replied, 21);
}

#[test]
fn connections_that_have_asked_are_not_ended_for_others() {
    let server = server(|options| options.admission.connections = 2);
    let mut good = [connect(&server), connect(&server)];
    for stream in &mut good {
        stream.write_all(b"GET /ip HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        assert_eq!(read_answer(stream).status, 200);
    }
    assert!(is_refused(&server));
    for stream in &mut good {
        stream.write_all(b"GET /ip HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        assert_eq!(read_answer(stream).status, 200);
    }
    let counters = server.counters().clone();
    drop(good);
    server.stop().unwrap();
    assert_eq!(counters.count(Reason::TooManyConnections), 1);
}

#[test]
fn one_source_has_its_cap_and_others_have_theirs() {
    let server = server(|options| options.admission.per_local_source = Some(2));
    let first = connect(&server);
    let second = connect(&server);
    assert!(is_refused(&server));
    let other = block_on(async {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
        socket
            .connect(address(&server))
            .await
            .unwrap()
            .into_std()
            .unwrap()
    });
    other.set_nonblocking(false).unwrap();
    let mut other = other;
    other.write_all(b"GET /ip HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    assert_eq!(read_answer(&mut other).json()["origin"], "127.0.0.2");
    drop((first, second, other));
    let counters = server.counters().clone();
    server.stop().unwrap();
    assert_eq!(counters.count(Reason::TooManyFromSource), 1);
}

#[test]
fn a_place_is_free_when_its_connection_has_gone() {
    let server = server(|options| options.admission.per_local_source = Some(1));
    for _ in 0..5 {
        let mut stream = connect(&server);
        stream.write_all(b"GET /ip HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        assert_eq!(read_answer(&mut stream).status, 200);
        assert!(is_refused(&server));
        stream.shutdown(Shutdown::Write).unwrap();
        assert_eq!(until_closed(&mut stream), "");
    }
    server.stop().unwrap();
}

#[test]
fn who_is_denied_is_sent_away() {
    let server = server(|options| options.admission.access.deny = vec!["127.0.0.0/8".parse().unwrap()]);
    assert!(is_refused(&server));
    let counters = server.counters().clone();
    server.stop().unwrap();
    assert_eq!(counters.count(Reason::Denied), 1);
    assert_eq!(counters.snapshot().replied, 0);
}

/// The connection ends although nobody closes it, and is counted as too quiet.
fn ends_by_itself(change: impl FnOnce(&mut HttpOptions), sent: &[u8], answers: usize) {
    let server = server(change);
    let mut stream = connect(&server);
    stream.write_all(sent).unwrap();
    let told = until_closed(&mut stream);
    assert_eq!(told.matches("HTTP/1.1 200 OK").count(), answers, "{told}");
    let counters = server.counters().clone();
    server.stop().unwrap();
    assert_eq!(counters.count(Reason::IdleTimeout), 1);
}

#[test]
fn a_connection_without_a_request_is_closed() {
    ends_by_itself(|options| options.header_timeout = SHORT, b"", 0);
}

#[test]
fn a_connection_with_half_a_head_is_closed() {
    ends_by_itself(
        |options| options.header_timeout = SHORT,
        b"GET /ip HTTP/1.1\r\nHost:",
        0,
    );
}

#[test]
fn a_connection_with_half_a_preface_is_closed() {
    ends_by_itself(
        |options| options.header_timeout = SHORT,
        b"PRI * HTTP/2.0\r\n\r\nSM",
        0,
    );
}

#[test]
fn a_connection_that_asks_no_more_is_closed() {
    let sent = b"GET /ip HTTP/1.1\r\nHost: a\r\n\r\n";
    ends_by_itself(|options| options.idle_timeout = SHORT, sent, 1);
}

#[test]
fn half_of_a_second_head_has_as_long_as_that_of_the_first() {
    let server = server(|options| {
        options.header_timeout = SHORT;
        options.idle_timeout = Duration::from_secs(3_600);
    });
    let mut stream = connect(&server);
    stream.write_all(b"GET /ip HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    assert_eq!(read_answer(&mut stream).status, 200);
    stream.write_all(b"GET /ip HT").unwrap();
    assert_eq!(until_closed(&mut stream), "");
    let counters = server.counters().clone();
    server.stop().unwrap();
    assert_eq!(counters.count(Reason::IdleTimeout), 1);
}

#[test]
fn a_body_that_does_not_come_ends_its_connection() {
    let sent = b"POST /post HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf";
    let change = |options: &mut HttpOptions| {
        options.request_timeout = SHORT;
        options.longest_delay = Duration::ZERO;
    };
    ends_by_itself(change, sent, 0);
}

#[test]
fn who_does_not_read_is_not_waited_for() {
    let server = server(|options| {
        options.request_timeout = SHORT;
        options.longest_delay = Duration::ZERO;
        options.largest_bytes = 1 << 30;
        options.admission.limits.per_local_source = None;
    });
    let mut stream = connect(&server);
    stream
        .write_all(b"GET /bytes/1073741824 HTTP/1.1\r\nHost: a\r\n\r\n")
        .unwrap();
    // Nothing is read until the server has closed: its counters say when.
    while server.counters().count(Reason::IdleTimeout) == 0 {
        std::thread::yield_now();
    }
    assert!(read_all(&mut stream).len() < 1 << 30);
    server.stop().unwrap();
}

#[test]
fn more_than_a_source_may_ask_for_is_refused_until_later() {
    let server = server(|options| {
        options.admission.limits.per_local_source = Some(Rate {
            per_second: 1,
            burst: 100,
        });
    });
    assert_eq!(ask(&server, "GET /bytes/1024").status, 200);
    let refused = ask(&server, "GET /bytes/1048576");
    assert_eq!(refused.status, 429, "it would cost more than there can ever be");
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert_eq!(ask_with(&server, "POST /post", "", &[b'x'; 200_000]).status, 429);
    assert_eq!(
        ask(&server, "GET /ip").status,
        200,
        "a refusal costs no more than a request"
    );
    let requests = server.requests().clone();
    server.stop().unwrap();
    assert_eq!(requests.count(Reason::RateLimited), 2);
}

#[test]
fn a_server_that_stops_answers_what_was_asked() {
    let server = server(|_| {});
    let mut idle = connect(&server);
    idle.write_all(b"GET /ip HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    assert_eq!(read_answer(&mut idle).status, 200);
    assert!(!server.has_failed());
    let address = address(&server);
    server.stop().unwrap();
    assert_eq!(until_closed(&mut idle), "");
    assert!(TcpStream::connect(address).is_err(), "nobody listens any more");
}

#[test]
fn a_server_needs_listeners_and_options_that_make_sense() {
    let options = HttpOptions::new(halloo_serve::Secret::new([7; 16]));
    let nobody = HttpServer::start(vec![], options.clone()).err().unwrap();
    assert_eq!(nobody.kind(), std::io::ErrorKind::InvalidInput);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let broken = HttpOptions {
        streams: 0,
        ..options
    };
    let broken = HttpServer::start(vec![listener], broken).err().unwrap();
    assert!(broken.to_string().contains("streams"), "{broken}");
}

#[test]
fn one_server_listens_on_several_sockets_of_either_family() {
    let options = HttpOptions::new(halloo_serve::Secret::new([7; 16]));
    let Ok(both) = std::net::TcpListener::bind("[::]:0") else {
        return eprintln!("SKIPPED: either family: there is no IPv6 here");
    };
    let v4 = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let server = HttpServer::start(vec![both, v4], options).unwrap();
    let [both, v4] = server.addresses() else {
        panic!("{:?}", server.addresses())
    };
    let mapped = SocketAddr::from((Ipv4Addr::LOCALHOST, both.port()));
    let own = SocketAddr::from((Ipv6Addr::LOCALHOST, both.port()));
    for (address, origin) in [(mapped, "127.0.0.1"), (own, "::1"), (*v4, "127.0.0.1")] {
        let mut stream = TcpStream::connect(address).unwrap();
        stream
            .write_all(b"GET /get HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
            .unwrap();
        let told = read_answer(&mut stream).json();
        assert_eq!(
            (&told["origin"], &told["url"]),
            (&origin.into(), &format!("http://{address}/get").into())
        );
    }
    server.stop().unwrap();
}
