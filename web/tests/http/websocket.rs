//! WebSocket echo, with a client that others wrote.

use crate::client::{address, ask_bytes, connect, is_refused, read_all, read_answer, server};
use crate::http2::block_on;
use futures_util::{SinkExt, StreamExt};
use halloo_base::Reason;
use halloo_web::HttpServer;
use std::io::Write;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tokio_tungstenite::{WebSocketStream, client_async};

async fn open(server: &HttpServer, path: &str) -> WebSocketStream<TcpStream> {
    let stream = TcpStream::connect(address(server)).await.unwrap();
    let (socket, answer) = client_async(format!("ws://echo.example{path}"), stream)
        .await
        .unwrap();
    assert_eq!(answer.status(), 101);
    assert!(answer.headers().contains_key("server-timing"));
    socket
}

/// Why the server closed.
async fn goodbye(socket: &mut WebSocketStream<TcpStream>) -> Option<CloseCode> {
    loop {
        match socket.next().await? {
            Ok(Message::Close(frame)) => return frame.map(|frame| frame.code),
            Ok(_) => {}
            Err(_) => return None,
        }
    }
}

#[test]
fn messages_come_back_as_they_were() {
    let server = server(|options| options.largest_message = 100_000);
    block_on(async {
        for path in ["/ws", "/websocket"] {
            let mut socket = open(&server, path).await;
            let long = Message::binary(vec![7; 100_000]);
            for message in [
                Message::text("h\u{e9}"),
                Message::binary(vec![0, 255]),
                Message::text(""),
                long,
            ] {
                socket.send(message.clone()).await.unwrap();
                assert_eq!(socket.next().await.unwrap().unwrap(), message);
            }
            socket.send(Message::Ping(vec![1, 2].into())).await.unwrap();
            assert_eq!(
                socket.next().await.unwrap().unwrap(),
                Message::Pong(vec![1, 2].into())
            );
            socket.close(None).await.unwrap();
            assert!(matches!(socket.next().await, Some(Ok(Message::Close(_)))));
            assert!(socket.next().await.is_none());
        }
    });
    server.stop().unwrap();
}

#[test]
fn a_message_that_is_too_long_ends_it() {
    let server = server(|options| options.largest_message = 1_000);
    block_on(async {
        let mut socket = open(&server, "/ws").await;
        socket.send(Message::binary(vec![7; 1_001])).await.unwrap();
        assert_eq!(goodbye(&mut socket).await, Some(CloseCode::Size));
    });
    let counters = server.counters().clone();
    server.stop().unwrap();
    assert_eq!(counters.count(Reason::Malformed), 1);
}

#[test]
fn a_message_that_is_too_long_in_all_its_pieces_ends_it() {
    let server = server(|options| options.largest_message = 1_000);
    block_on(async {
        let mut socket = open(&server, "/ws").await;
        let first = Frame::message(vec![7; 501], OpCode::Data(Data::Binary), false);
        let rest = Frame::message(vec![7; 500], OpCode::Data(Data::Continue), true);
        socket.send(Message::Frame(first)).await.unwrap();
        socket.send(Message::Frame(rest)).await.unwrap();
        assert_eq!(goodbye(&mut socket).await, Some(CloseCode::Size));
    });
    server.stop().unwrap();
}

/// Frames as they are, behind a handshake; how often they were found wrong.
fn frames(sent: &[u8]) -> u64 {
    let server = server(|_| {});
    let mut stream = connect(&server);
    let handshake = "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                     Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    stream.write_all(handshake.as_bytes()).unwrap();
    assert_eq!(read_answer(&mut stream).status, 101);
    stream.write_all(sent).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    read_all(&mut stream);
    let counters = server.counters().clone();
    server.stop().unwrap();
    counters.count(Reason::Malformed)
}

#[test]
fn what_breaks_the_rules_is_counted_and_who_just_goes_is_not() {
    assert_eq!(frames(b""), 0);
    assert_eq!(frames(b"\x81\x85\0\0\0\0hel"), 0, "half a frame");
    assert_eq!(frames(b"\x81\x05hello"), 1, "not masked");
    assert_eq!(frames(b"\xf1\x85\0\0\0\0hello"), 1, "reserved bits");
    assert_eq!(frames(b"\x81\x81\0\0\0\0\xff"), 1, "no text");
}

#[test]
fn silence_ends_it() {
    let server = server(|options| options.idle_timeout = Duration::from_millis(50));
    block_on(async {
        let mut socket = open(&server, "/ws").await;
        assert_eq!(goodbye(&mut socket).await, Some(CloseCode::Away));
    });
    let counters = server.counters().clone();
    server.stop().unwrap();
    assert_eq!(counters.count(Reason::IdleTimeout), 1);
}

#[test]
fn it_keeps_its_place_for_as_long_as_it_lasts() {
    let server = server(|options| options.admission.per_local_source = Some(1));
    block_on(async {
        let mut socket = open(&server, "/ws").await;
        assert!(is_refused(&server));
        socket.send(Message::text("still here")).await.unwrap();
        assert_eq!(socket.next().await.unwrap().unwrap(), Message::text("still here"));
    });
    assert_eq!(server.counters().count(Reason::TooManyFromSource), 1);
    server.stop().unwrap();
}

#[test]
fn a_server_that_stops_says_goodbye() {
    let server = server(|_| {});
    block_on(async {
        let mut socket = open(&server, "/ws").await;
        let stopping = std::thread::spawn(move || server.stop());
        assert_eq!(goodbye(&mut socket).await, Some(CloseCode::Away));
        // The library answers with its own goodbye when it is read on.
        assert!(socket.next().await.is_none());
        stopping.join().unwrap().unwrap();
    });
}

#[test]
fn what_is_no_handshake_is_told_what_one_needs() {
    let server = server(|_| {});
    let ask = |headers: &str| {
        ask_bytes(
            &server,
            format!("GET /ws HTTP/1.1\r\nHost: a\r\n{headers}\r\n").as_bytes(),
        )
    };
    let old = "Connection: close, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
               Sec-WebSocket-Version: 8\r\n";
    let answer = ask(old);
    assert_eq!(
        (answer.status, answer.header("sec-websocket-version")),
        (426, Some("13"))
    );
    let keyless = "Connection: close, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n";
    assert_eq!(ask(keyless).status, 400);
    server.stop().unwrap();
}
