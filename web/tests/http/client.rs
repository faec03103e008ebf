//! A server to test, and a client that writes bytes and reads them.

use halloo_serve::Secret;
use halloo_web::{HttpOptions, HttpServer};
use serde_json::Value;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

/// A server on this host, with the defaults but for what `change` says.
pub(crate) fn server(change: impl FnOnce(&mut HttpOptions)) -> HttpServer {
    let mut options = HttpOptions::new(Secret::new([7; 16]));
    change(&mut options);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    HttpServer::start(vec![listener], options).unwrap()
}

pub(crate) fn address(server: &HttpServer) -> SocketAddr {
    server.addresses()[0]
}

pub(crate) fn connect(server: &HttpServer) -> TcpStream {
    TcpStream::connect(address(server)).unwrap()
}

/// Whether the server takes a connection only to end it. The reset may come before we know that there is one.
pub(crate) fn is_refused(server: &HttpServer) -> bool {
    let connected = TcpStream::connect(address(server));
    connected.map_or(true, |mut stream| read_all(&mut stream).is_empty())
}

/// An answer of HTTP/1.1.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    pub(crate) fn number(&self, name: &str) -> u64 {
        self.header(name).unwrap().parse().unwrap()
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// What of its bytes lies behind it is the start of the next.
    fn parse(bytes: &[u8], is_head: bool) -> Option<(Answer, usize)> {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
        let head = std::str::from_utf8(&bytes[..end]).unwrap();
        let mut lines = head.split("\r\n");
        let status = lines.next()?.split(' ').nth(1)?.parse().unwrap();
        let headers: Vec<_> = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let mut answer = Answer {
            status,
            headers,
            body: Vec::new(),
        };
        let len = match answer.header("content-length") {
            Some(len) if !is_head => len.parse().unwrap(),
            _ => 0,
        };
        answer.body = bytes.get(end..end + len)?.to_vec();
        Some((answer, end + len))
    }
}

/// Sends a request's bytes on a connection of its own, and reads until the server closes it.
pub(crate) fn ask_bytes(server: &HttpServer, request: &[u8]) -> Answer {
    let mut stream = connect(server);
    stream.write_all(request).unwrap();
    let mut bytes = Vec::new();
    // A server that refuses what was not read yet may reset the connection behind its answer.
    let _ = stream.read_to_end(&mut bytes);
    let (answer, len) = Answer::parse(&bytes, request.starts_with(b"HEAD ")).unwrap();
    assert_eq!(
        bytes.len(),
        len,
        "nothing but one answer: {:?}",
        String::from_utf8_lossy(&bytes)
    );
    answer
}

/// Sends `method target` with these further header lines and this body.
pub(crate) fn ask_with(server: &HttpServer, line: &str, headers: &str, body: &[u8]) -> Answer {
    let mut request = format!("{line} HTTP/1.1\r\nHost: echo.example\r\nConnection: close\r\n{headers}");
    if !body.is_empty() {
        request += &format!("Content-Length: {}\r\n", body.len());
    }
    request += "\r\n";
    ask_bytes(server, &[request.as_bytes(), body].concat())
}

/// Sends `method target` and nothing else.
pub(crate) fn ask(server: &HttpServer, line: &str) -> Answer {
    ask_with(server, line, "", b"")
}

/// Reads the next answer of a connection that stays open.
pub(crate) fn read_answer(stream: &mut TcpStream) -> Answer {
    let mut bytes = Vec::new();
    loop {
        if let Some((answer, len)) = Answer::parse(&bytes, false) {
            assert_eq!(len, bytes.len(), "one answer at a time");
            return answer;
        }
        let mut byte = [0; 1];
        stream.read_exact(&mut byte).unwrap();
        bytes.push(byte[0]);
    }
}

/// Reads to the end, which may be a reset.
pub(crate) fn read_all(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes);
    bytes
}
