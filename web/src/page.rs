//! One page that is written anew for whoever asks: what programs read again and again.

use axum::body::Body;
use axum::http::header::{ACCEPT, ALLOW, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use futures_util::future::{Either, select};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::pin::pin;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::runtime::Builder;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// Connections at once; others wait to be accepted.
const CONNECTIONS: usize = 16;
/// How long one may take from its first byte to its last. It is asked one thing.
const PATIENCE: Duration = Duration::from_secs(10);
/// The longest head of a request: hyper takes no less.
const HEAD: usize = 8_192;
/// Without descriptors or memory nobody is accepted for so long.
const RECOVERY: Duration = Duration::from_millis(100);

/// What is to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Its type (RFC 9110 section 8.3).
    pub content_type: &'static str,
    /// All of it.
    pub text: String,
}

/// Writes the page. It is told what its reader takes (the value of `Accept`, or nothing); `None` if there is none now.
/// It may take its time: readers wait for each other.
pub type Writer = Box<dyn Fn(&str) -> Option<Page> + Send + Sync>;

/// An HTTP/1.1 server of one page, on a thread of its own: `GET` of its path and nothing else. Dropped, it stops.
pub struct PageServer {
    thread: Option<JoinHandle<()>>,
    stopping: watch::Sender<bool>,
    address: SocketAddr,
}

struct Desk {
    path: &'static str,
    write: Writer,
}

impl PageServer {
    /// Starts to answer.
    ///
    /// # Errors
    /// As the operating system says.
    pub fn start(listener: TcpListener, path: &'static str, write: Writer) -> io::Result<PageServer> {
        let address = listener.local_addr()?;
        listener.set_nonblocking(true)?;
        let runtime = Builder::new_current_thread().enable_io().enable_time().build()?;
        let (stopping, stopped) = watch::channel(false);
        let desk = Arc::new(Desk { path, write });
        let thread = thread::Builder::new().name("page".to_owned()).spawn(move || {
            runtime.block_on(async {
                if let Ok(listener) = tokio::net::TcpListener::from_std(listener) {
                    desk.listen(listener, stopped).await;
                }
            });
        })?;
        Ok(PageServer {
            thread: Some(thread),
            stopping,
            address,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for PageServer {
    fn drop(&mut self) {
        self.stopping.send_replace(true);
        if let Some(thread) = self.thread.take() {
            // It has nothing to tell.
            let _ = thread.join();
        }
    }
}

impl Desk {
    /// Until it is to stop; connections end with it.
    async fn listen(
        self: &Arc<Desk>,
        listener: tokio::net::TcpListener,
        mut stopping: watch::Receiver<bool>,
    ) {
        let places = Arc::new(Semaphore::new(CONNECTIONS));
        let mut connections = JoinSet::new();
        let mut stopped = pin!(stopping.wait_for(|stopping| *stopping));
        loop {
            while connections.try_join_next().is_some() {}
            let next = pin!(async {
                // Nobody closes it.
                let place = Arc::clone(&places).acquire_owned().await.ok();
                (place, listener.accept().await)
            });
            match select(&mut stopped, next).await {
                Either::Left(_) => return,
                Either::Right(((place, Ok((stream, _))), _)) => {
                    let desk = Arc::clone(self);
                    connections.spawn(async move {
                        let _ = timeout(PATIENCE, desk.attend(stream)).await;
                        drop(place);
                    });
                }
                Either::Right(((_, Err(_)), _)) => sleep(RECOVERY).await,
            }
        }
    }

    async fn attend(&self, stream: TcpStream) {
        let service = service_fn(|request| {
            let response = self.answer(&request);
            async move { Ok::<_, Infallible>(response) }
        });
        let mut http = http1::Builder::new();
        http.keep_alive(false)
            .half_close(true)
            .max_buf_size(HEAD)
            .header_read_timeout(None);
        // A reader that goes away has done nothing wrong.
        let _ = http.serve_connection(TokioIo::new(stream), service).await;
    }

    fn answer(&self, request: &Request<Incoming>) -> Response<Body> {
        if request.uri().path() != self.path {
            return bare(StatusCode::NOT_FOUND);
        }
        if request.method() != Method::GET {
            let mut refused = bare(StatusCode::METHOD_NOT_ALLOWED);
            refused
                .headers_mut()
                .insert(ALLOW, HeaderValue::from_static("GET"));
            return refused;
        }
        match (self.write)(accepted(request.headers())) {
            None => bare(StatusCode::SERVICE_UNAVAILABLE),
            Some(page) => {
                let mut response = Response::new(Body::from(page.text));
                let content_type = HeaderValue::from_static(page.content_type);
                response.headers_mut().insert(CONTENT_TYPE, content_type);
                response
            }
        }
    }
}

fn accepted(headers: &HeaderMap) -> &str {
    let value = headers.get(ACCEPT).and_then(|value| value.to_str().ok());
    value.unwrap_or_default()
}

fn bare(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::TcpStream;

    fn server() -> PageServer {
        let write = |accept: &str| {
            (accept != "application/nothing").then(|| Page {
                content_type: "text/plain; version=0.0.4",
                text: format!("for {accept}\n"),
            })
        };
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        PageServer::start(listener, "/metrics", Box::new(write)).expect("a thread")
    }

    fn ask(server: &PageServer, request: &str) -> String {
        let mut stream = TcpStream::connect(server.address()).expect("it listens");
        stream.write_all(request.as_bytes()).expect("it reads");
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("it ends");
        text
    }

    #[test]
    fn it_is_read_and_nothing_else_is() {
        let server = server();
        let table = [
            (
                "GET /metrics HTTP/1.1\r\nHost: a\r\nAccept: text/plain\r\n\r\n",
                "200",
                "for text/plain\n",
            ),
            ("GET /metrics?a=b HTTP/1.1\r\nHost: a\r\n\r\n", "200", "for \n"),
            ("GET /metrics HTTP/1.0\r\n\r\n", "200", "for \n"),
            ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", "404", ""),
            ("GET /metrics/ HTTP/1.1\r\nHost: a\r\n\r\n", "404", ""),
            (
                "POST /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\na",
                "405",
                "",
            ),
            ("HEAD /metrics HTTP/1.1\r\nHost: a\r\n\r\n", "405", ""),
            (
                "GET /metrics HTTP/1.1\r\nHost: a\r\nAccept: application/nothing\r\n\r\n",
                "503",
                "",
            ),
            ("no HTTP at all\r\n\r\n", "400", ""),
        ];
        for (request, status, body) in table {
            let answer = ask(&server, request);
            assert!(answer.split(' ').nth(1) == Some(status), "{request}{answer}");
            assert!(answer.ends_with(&format!("\r\n\r\n{body}")), "{request}{answer}");
        }
        let answer = ask(&server, table[0].0).to_lowercase();
        assert!(
            answer.contains("content-type: text/plain; version=0.0.4"),
            "{answer}"
        );
        assert!(answer.contains("connection: close"), "{answer}");
    }

    #[test]
    fn one_connection_is_asked_one_thing() {
        let server = server();
        let request = "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n";
        let answers = ask(&server, &request.repeat(3));
        assert_eq!(answers.matches("HTTP/1.1 200").count(), 1, "{answers}");
    }

    #[test]
    fn who_says_nothing_takes_a_place_and_no_more_than_there_are() {
        let server = server();
        let mut silent: Vec<_> = (0..CONNECTIONS)
            .map(|_| TcpStream::connect(server.address()).expect("it listens"))
            .collect();
        // This one waits until one of them goes.
        let mut next = TcpStream::connect(server.address()).expect("it listens");
        next.write_all(b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n")
            .expect("it is kept");
        next.set_nonblocking(true).expect("it can be");
        let refused = next.read(&mut [0; 1]).expect_err("no answer yet");
        assert_eq!(refused.kind(), io::ErrorKind::WouldBlock);
        silent.pop();
        next.set_nonblocking(false).expect("it can be");
        let mut text = String::new();
        next.read_to_string(&mut text).expect("it ends");
        assert!(text.starts_with("HTTP/1.1 200"), "{text}");
    }

    #[test]
    fn dropped_it_listens_no_more_whoever_is_connected() {
        let server = server();
        let address = server.address();
        let mut connected = TcpStream::connect(address).expect("it listens");
        drop(server);
        let mut buffer = [0; 1];
        assert!(!matches!(connected.read(&mut buffer), Ok(1..)));
        assert!(TcpStream::connect(address).is_err());
    }
}
