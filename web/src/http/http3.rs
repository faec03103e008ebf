//! HTTP/3 (RFC 9114) on connections that the QUIC host has lent: the same answers as over TCP, by the same rules.
//!
//! Of QPACK the static table alone is used (RFC 9204): no state that a peer could fill. What waits to be understood is
//! bounded for each stream and comes out of the same budget as bodies. Priorities (RFC 9218) are not looked at.

mod request;
mod streams;

use super::connection::Connection;
use super::host::{Host, LONGEST_HEAD};
use super::watched::AnswerBody;
use super::{answer, attend::GOODBYE};
use crate::clock::SystemClock;
use futures_util::future::{Either, select};
use h3::error::{Code, ConnectionError};
use h3::server::{RequestResolver, RequestStream};
use halloo_base::{Mono, Reason};
use halloo_quic::{Lent, Opener};
use hyper::body::{Body as HttpBody, Bytes};
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};
use request::RequestBody;
use std::pin::pin;
use std::sync::Arc;
use std::time::SystemTime;
use streams::{Carried, Incoming, Outgoing};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{sleep_until, timeout};

/// Connections that were lent and not looked at yet.
const WAITING: usize = 64;

/// What the TLS in QUIC is called (RFC 9001 section 4.2).
const TLS: &str = "TLSv1.3";

/// Takes connections for HTTP/3. What comes when nobody listens any more, or too fast, is given back.
#[derive(Clone)]
pub struct Http3Door(mpsc::Sender<Lent>);

/// Where they come out.
pub(super) struct Behind(mpsc::Receiver<Lent>);

/// What is said of a connection and not of a message (RFC 9114 section 4.2).
const OF_CONNECTION: [HeaderName; 5] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

impl Http3Door {
    pub(super) fn new() -> (Http3Door, Behind) {
        let (door, behind) = mpsc::channel(WAITING);
        (Http3Door(door), Behind(behind))
    }

    /// Hands over a connection whose protocol is `h3`.
    ///
    /// # Errors
    /// The connection, if nobody has time for it.
    pub fn take(&self, lent: Lent) -> Result<(), Lent> {
        self.0.try_send(lent).map_err(|refused| match refused {
            mpsc::error::TrySendError::Full(lent) | mpsc::error::TrySendError::Closed(lent) => lent,
        })
    }
}

impl Behind {
    /// Takes connections for as long as it is polled and somebody may bring some.
    pub(super) async fn listen(mut self, host: Arc<Host>) {
        while let Some(lent) = self.0.recv().await {
            match host.admit(&lent.path()).await {
                Some(connection) => host.start(&connection, attend(Arc::clone(&connection), lent)),
                None => lent.opener().close(Code::H3_EXCESSIVE_LOAD.value()),
            }
        }
        // Nobody brings any more; to have listened is no failure.
        std::future::pending::<()>().await;
    }
}

/// Answers on a connection until it ends.
async fn attend(connection: Arc<Connection>, lent: Lent) {
    let mut builder = h3::server::builder();
    builder.max_field_section_size(LONGEST_HEAD.into());
    let opener = lent.opener();
    let carried = Carried::new(lent, Arc::clone(&connection));
    let outcome = match timeout(connection.host.patience.header, builder.build(carried)).await {
        Err(_) => Err(Reason::IdleTimeout),
        Ok(Err(error)) => of_connection(&error).map_or(Ok(()), Err),
        Ok(Ok(h3)) => serve(&connection, &opener, h3).await,
    };
    if let Err(why) = outcome {
        connection.host.counters.silent(why);
    }
    opener.close(Code::H3_NO_ERROR.value());
}

/// Speaks HTTP, and sees to it that it comes to an end.
async fn serve(
    connection: &Arc<Connection>,
    opener: &Opener,
    mut h3: h3::server::Connection<Carried, Bytes>,
) -> Result<(), Reason> {
    let host = &connection.host;
    let mut stopping = host.stopping.subscribe();
    let mut requests = JoinSet::new();
    let mut last: Option<Mono> = None;
    loop {
        let deadline = last.unwrap_or_else(|| connection.deadline());
        // QUIC lets nobody open more, but what was taken back counts there no more.
        let is_full = requests.len() >= host.options.streams as usize;
        let next = {
            let accepted = pin!(async {
                if is_full {
                    std::future::pending::<()>().await;
                }
                h3.accept().await
            });
            let interrupted = pin!(async {
                let stopped = async {
                    if last.is_some() || stopping.wait_for(|stopping| *stopping).await.is_err() {
                        std::future::pending::<()>().await;
                    }
                };
                let ended = async {
                    // Its end moves the deadline.
                    if requests.join_next().await.is_none() {
                        std::future::pending::<()>().await;
                    }
                };
                let timer = pin!(sleep_until(SystemClock::timer(deadline)));
                let (stopped, ended) = (pin!(stopped), pin!(ended));
                match select(stopped, select(ended, timer)).await {
                    Either::Left(_) => Interruption::Stopped,
                    Either::Right((Either::Left(_), _)) => Interruption::Answered,
                    Either::Right((Either::Right(_), _)) => Interruption::Late,
                }
            });
            match select(accepted, interrupted).await {
                Either::Left((accepted, _)) => Either::Left(accepted),
                Either::Right((why, _)) => Either::Right(why),
            }
        };
        match next {
            Either::Left(Ok(Some(request))) => {
                requests.spawn(exchange(Arc::clone(connection), opener.clone(), request));
            }
            // All that it asked was answered.
            Either::Left(Ok(None)) => return Ok(()),
            Either::Left(Err(error)) => return of_connection(&error).map_or(Ok(()), Err),
            Either::Right(Interruption::Answered) => {}
            Either::Right(Interruption::Late) if last.is_some() => return Ok(()),
            Either::Right(Interruption::Late) if SystemClock::mono() < connection.deadline() => {}
            Either::Right(Interruption::Late) if !connection.is_idle() => return Err(Reason::IdleTimeout),
            Either::Right(why) => {
                if why == Interruption::Late {
                    host.counters.silent(Reason::IdleTimeout);
                }
                last = Some(SystemClock::mono() + GOODBYE);
                // What is under way is answered, and nothing new taken (RFC 9114 section 5.2).
                if h3.shutdown(0).await.is_err() {
                    return Ok(());
                }
            }
        }
    }
}

/// Why there is something to do besides a new request.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Interruption {
    Stopped,
    Answered,
    Late,
}

/// Answers one request, unless it is taken back.
async fn exchange(connection: Arc<Connection>, opener: Opener, request: RequestResolver<Carried, Bytes>) {
    let patience = connection.host.patience.header;
    let resolved = match timeout(patience, request.resolve_request()).await {
        Ok(Ok(resolved)) => resolved,
        // The stream was ended, or the connection; a head that is too long was told so.
        Ok(Err(_)) => return connection.host.requests.silent(Reason::Malformed),
        Err(_) => return connection.host.requests.silent(Reason::IdleTimeout),
    };
    let (request, stream) = resolved;
    let id = stream.id().into_inner();
    let (send, recv) = stream.split();
    let taken_back = pin!(std::future::poll_fn(|cx| opener.poll_stopped(id, cx)));
    let answered = pin!(respond(connection, request, send, recv));
    // In this order: what was taken back at once was asked for too, and costs its source as much.
    select(answered, taken_back).await;
}

async fn respond(
    connection: Arc<Connection>,
    request: hyper::Request<()>,
    mut send: RequestStream<Outgoing, Bytes>,
    recv: RequestStream<Incoming, Bytes>,
) {
    let (parts, ()) = request.into_parts();
    let body = RequestBody::new(recv, &parts.headers);
    let request = hyper::Request::from_parts(parts, body);
    let is_head = request.method() == hyper::Method::HEAD;
    let response = answer::answer(connection, Some(TLS), request).await;
    let (mut parts, body) = response.into_parts();
    finish_head(parts.status, &mut parts.headers, &body, is_head);
    if send.send_response(Response::from_parts(parts, ())).await.is_err() {
        return;
    }
    let mut body = pin!(body);
    while let Some(frame) = std::future::poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
        let Ok(frame) = frame else {
            return send.stop_stream(Code::H3_INTERNAL_ERROR);
        };
        let Ok(data) = frame.into_data() else { continue };
        if send.send_data(data).await.is_err() {
            return;
        }
    }
    // Its peer may have gone meanwhile.
    let _ = send.finish().await;
}

/// What is said below us of other versions.
fn finish_head(status: StatusCode, headers: &mut HeaderMap, body: &AnswerBody, is_head: bool) {
    for name in OF_CONNECTION {
        headers.remove(name);
    }
    let date = httpdate::fmt_http_date(SystemTime::now());
    if let Ok(date) = HeaderValue::try_from(date) {
        headers.insert(header::DATE, date);
    }
    let has_length = !matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    if status == StatusCode::NO_CONTENT {
        // It has none (RFC 9110 section 8.6).
        headers.remove(header::CONTENT_LENGTH);
    }
    if let Some(len) = body.size_hint().exact().filter(|_| has_length && !is_head) {
        headers.entry(header::CONTENT_LENGTH).or_insert(len.into());
    }
}

/// Why a connection ended, if that is worth counting: a peer that goes away has done nothing wrong.
fn of_connection(error: &ConnectionError) -> Option<Reason> {
    match error {
        ConnectionError::Local { .. } if !error.is_h3_no_error() => Some(Reason::Malformed),
        _ => None,
    }
}
