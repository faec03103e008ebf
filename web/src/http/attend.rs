//! One connection from its first byte to its last.

use super::answer;
use super::connection::Connection;
use super::watched::Socket;
use crate::clock::SystemClock;
use halloo_base::{Mono, Reason};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::error::Error;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{sleep_until, timeout_at};

/// What a connection has to say goodbye.
pub(super) const GOODBYE: Duration = Duration::from_secs(1);

/// What the TLS of a connection is called, as far as it has any.
pub(super) type TlsVersion = Option<&'static str>;

/// Answers on an accepted connection until it ends.
pub(super) async fn attend(connection: Arc<Connection>, stream: TcpStream) {
    let host = &connection.host;
    // An echo must not wait for more to send. Where that cannot be had, it is slower.
    let _ = stream.set_nodelay(true);
    let socket = Socket::new(stream, Arc::clone(&connection));
    let outcome = match &host.tls {
        None => serve(&connection, socket, None).await,
        Some(acceptor) => {
            let deadline = SystemClock::timer(connection.deadline());
            match timeout_at(deadline, acceptor.accept(socket)).await {
                Err(_) => Err(Reason::IdleTimeout),
                Ok(Err(error)) => of_socket(&error).map_or(Ok(()), Err),
                Ok(Ok(stream)) => {
                    connection.shook_hands();
                    let version = stream.get_ref().1.protocol_version();
                    let version = version.map_or("TLS", |version| match version {
                        rustls::ProtocolVersion::TLSv1_2 => "TLSv1.2",
                        _ => "TLSv1.3",
                    });
                    serve(&connection, stream, Some(version)).await
                }
            }
        }
    };
    if let Err(why) = outcome {
        host.counters.silent(why);
    }
}

/// Speaks HTTP, and sees to it that it comes to an end.
async fn serve(
    connection: &Arc<Connection>,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    tls: TlsVersion,
) -> Result<(), Reason> {
    let host = &connection.host;
    let service = service_fn(|request| {
        let connection = Arc::clone(connection);
        async move { Ok::<_, Infallible>(answer::answer(connection, tls, request).await) }
    });
    let serving = host
        .http
        .serve_connection_with_upgrades(TokioIo::new(stream), service);
    let mut serving = pin!(serving);
    let mut stopping = host.stopping.subscribe();
    let mut stopped = pin!(stopping.wait_for(|stopping| *stopping));
    let mut timer = pin!(sleep_until(SystemClock::timer(connection.deadline())));
    let mut last: Option<Mono> = None;
    std::future::poll_fn(|cx| {
        loop {
            if let Poll::Ready(ended) = serving.as_mut().poll(cx) {
                return Poll::Ready(
                    ended
                        .map_err(|error| of_http(&*error))
                        .or_else(|why| why.map_or(Ok(()), Err)),
                );
            }
            if last.is_none() && stopped.as_mut().poll(cx).is_ready() {
                serving.as_mut().graceful_shutdown();
                last = Some(SystemClock::mono() + GOODBYE);
                continue;
            }
            // Every poll may have changed it: a byte has come, an answer has gone.
            let deadline = SystemClock::timer(last.unwrap_or_else(|| connection.deadline()));
            if timer.deadline() != deadline {
                timer.as_mut().reset(deadline);
            }
            if timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            if last.is_some() {
                return Poll::Ready(Ok(()));
            }
            if !connection.is_idle() {
                return Poll::Ready(Err(Reason::IdleTimeout));
            }
            host.counters.silent(Reason::IdleTimeout);
            serving.as_mut().graceful_shutdown();
            last = Some(SystemClock::mono() + GOODBYE);
        }
    })
    .await
}

/// Why HTTP ended, if that is worth counting: a peer that goes away has done nothing wrong.
fn of_http(error: &(dyn Error + Send + Sync + 'static)) -> Option<Reason> {
    if let Some(error) = error.downcast_ref::<io::Error>() {
        return of_socket(error);
    }
    let hyper = error.downcast_ref::<hyper::Error>()?;
    if hyper.is_incomplete_message() {
        return Some(Reason::Incomplete);
    }
    let mut cause = hyper.source();
    while let Some(inner) = cause {
        if let Some(error) = inner.downcast_ref::<io::Error>() {
            return of_socket(error);
        }
        cause = inner.source();
    }
    (!hyper.is_canceled() && !hyper.is_closed()).then_some(Reason::Malformed)
}

/// The same of the bytes below.
fn of_socket(error: &io::Error) -> Option<Reason> {
    match error.kind() {
        io::ErrorKind::InvalidData => Some(Reason::Malformed),
        io::ErrorKind::UnexpectedEof => Some(Reason::Incomplete),
        _ => None,
    }
}
