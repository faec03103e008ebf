//! What happens to every request, whatever it asks for: limits before, stamps after.

use super::attend::TlsVersion;
use super::connection::{Connection, InFlight};
use super::echo::Asked;
use super::refusal::Refusal;
use super::tally::Kind;
use super::watched::AnswerBody;
use crate::clock::SystemClock;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use halloo_base::{Clock, Mono};
use hyper::body::{Body as HttpBody, Bytes};
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::http::request::Parts;
use hyper::service::Service;
use hyper::{Method, Request, StatusCode, Version};
use hyper_util::service::TowerToHyperService;
use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

/// The longest target of a request.
const LONGEST_TARGET: usize = 8_192;
/// What costs as much as a request.
pub(super) const KIB: usize = 1_024;
/// What there is under any path, as far as a path does not say it better.
const METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";

const T2: HeaderName = HeaderName::from_static("x-echo-t2");
const T3: HeaderName = HeaderName::from_static("x-echo-t3");
const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");
const TIMING_ALLOW_ORIGIN: HeaderName = HeaderName::from_static("timing-allow-origin");

/// What is the same in every answer. Nothing here depends on who asks, on cookies or on credentials, so a page from
/// anywhere may read it: that is what an echo in a browser is for, and it learns no more than it could from a server of
/// its own.
const ALWAYS: [(HeaderName, &str); 5] = [
    (header::CACHE_CONTROL, "no-store"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
    (
        header::ACCESS_CONTROL_EXPOSE_HEADERS,
        "server-timing, x-echo-t2, x-echo-t3",
    ),
    (TIMING_ALLOW_ORIGIN, "*"),
];

/// Answers one request.
pub(super) async fn answer(
    connection: Arc<Connection>,
    tls: TlsVersion,
    request: Request<impl HttpBody<Data = Bytes>>,
) -> Response<AnswerBody> {
    let mut in_flight = connection.begin(request.version());
    let (parts, body) = request.into_parts();
    let kind = Kind::of(parts.uri.path());
    let (is_head, preflight) = (parts.method == Method::HEAD, Preflight::of(&parts));
    let read = admit(&connection, &parts, body).await;
    let received = SystemClock::mono();
    let mut response = match read {
        Ok(body) => route(&connection, tls, parts, body).await,
        Err(refusal) => refusal.into_response(),
    };
    if response.status() == StatusCode::METHOD_NOT_ALLOWED {
        // Where the router was not asked.
        let allow = response.headers_mut().entry(header::ALLOW);
        allow.or_insert(HeaderValue::from_static(METHODS));
    }
    if let Some(preflight) = preflight {
        preflight.answer(&mut response);
    }
    let len = response.body().size_hint().exact();
    match response.extensions_mut().remove::<Refusal>() {
        Some(refusal) => in_flight.refused(refusal.reason()),
        None => in_flight.answered(len.unwrap_or(0)),
    }
    connection.host.tally.count(kind, response.status());
    if is_head {
        // The router says how long it would have been, and HTTP/2 says nothing where we say nothing.
        *response.body_mut() = Body::empty();
    }
    if let Some(service) = connection.host.alt_svc.as_ref().filter(|_| tls.is_some()) {
        response.headers_mut().insert(header::ALT_SVC, service.clone());
    }
    stamp(response.headers_mut(), &in_flight, received);
    response.map(|body| AnswerBody::new(body, in_flight))
}

/// What is refused before it is looked at; else the whole body.
async fn admit(
    connection: &Connection,
    parts: &Parts,
    body: impl HttpBody<Data = Bytes>,
) -> Result<Bytes, Refusal> {
    let (host, remote) = (&connection.host, connection.remote.ip());
    let charge = |cost| {
        let charged = host.charge(SystemClock::mono(), remote, cost);
        charged.map_err(Refusal::TooMany)
    };
    charge(1)?;
    // Neither tunnels nor traces: the one would make a proxy of us, the other shows what scripts must not see.
    if parts.method == Method::CONNECT || parts.method == Method::TRACE {
        return Err(Refusal::MethodNotAllowed);
    }
    if !has_host(parts) {
        return Err(Refusal::BadRequest);
    }
    let target = parts
        .uri
        .path_and_query()
        .map_or(0, |target| target.as_str().len());
    if target > LONGEST_TARGET {
        return Err(Refusal::TargetTooLong);
    }
    let longest = host.options.body as usize;
    if body.size_hint().lower() > longest as u64 {
        return Err(Refusal::TooLong);
    }
    let mut grant = host.budget.grant(remote);
    let mut whole = Vec::new();
    let mut body = pin!(body);
    while let Some(frame) = std::future::poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
        // Trailers are nobody's business.
        let Ok(data) = frame.map_err(|_| Refusal::BadRequest)?.into_data() else {
            continue;
        };
        if data.len() > longest - whole.len() {
            return Err(Refusal::TooLong);
        }
        if !grant.extend(data.len()) {
            return Err(Refusal::Busy);
        }
        whole.extend_from_slice(&data);
    }
    charge(whole.len() / KIB)?;
    host.requests.read(whole.len());
    Ok(grant.bind(whole))
}

/// Whether it says to whom it is, once (RFC 9112 section 3.2). HTTP/1.0 need not, and HTTP/2 does so elsewhere.
fn has_host(parts: &Parts) -> bool {
    parts.version != Version::HTTP_11 || parts.headers.get_all(header::HOST).iter().count() == 1
}

async fn route(connection: &Arc<Connection>, tls: TlsVersion, mut parts: Parts, body: Bytes) -> Response {
    let asked = Asked::new(Arc::clone(connection), tls, &parts, body.clone());
    parts.extensions.insert(Arc::new(asked));
    let router = TowerToHyperService::new(connection.host.router.clone());
    let routed: Result<Response, Infallible> =
        router.call(Request::from_parts(parts, Body::from(body))).await;
    routed.unwrap_or_else(|never| match never {})
}

/// A question about what may be asked: every OPTIONS, with what a browser adds before it lets a page ask.
struct Preflight {
    by_browser: bool,
    of_host: bool,
}

impl Preflight {
    fn of(parts: &Parts) -> Option<Preflight> {
        (parts.method == Method::OPTIONS).then(|| Preflight {
            by_browser: parts.headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD),
            of_host: parts.uri.path() == "*",
        })
    }

    fn answer(&self, response: &mut Response) {
        if response.status() == StatusCode::METHOD_NOT_ALLOWED || self.of_host {
            let allow = response.headers_mut().remove(header::ALLOW);
            *response = StatusCode::NO_CONTENT.into_response();
            if let Some(allow) = allow {
                response.headers_mut().insert(header::ALLOW, with_options(&allow));
            }
        }
        if !response.status().is_success() {
            return;
        }
        let headers = response.headers_mut();
        let allow = headers
            .entry(header::ALLOW)
            .or_insert(HeaderValue::from_static(METHODS))
            .clone();
        if self.by_browser {
            headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, allow);
            headers.insert(
                header::ACCESS_CONTROL_ALLOW_HEADERS,
                HeaderValue::from_static("*"),
            );
            headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
        }
    }
}

/// A list of methods as the router writes it, `GET,HEAD`, and OPTIONS, which it does not know.
fn with_options(allow: &HeaderValue) -> HeaderValue {
    let methods = allow.to_str().unwrap_or_default().split(',').map(str::trim);
    let list: Vec<_> = methods
        .filter(|method| !method.is_empty())
        .chain(["OPTIONS"])
        .collect();
    HeaderValue::try_from(list.join(", ")).unwrap_or(HeaderValue::from_static("OPTIONS"))
}

/// Writes the times, the last of them last.
fn stamp(headers: &mut HeaderMap, in_flight: &InFlight, received: Mono) {
    for (name, value) in ALWAYS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    let t2 = in_flight.t2;
    headers.insert(T2, HeaderValue::from(t2.wall.0));
    let recv = received.since(t2.mono);
    let t3 = SystemClock.stamp();
    let timing = server_timing(recv, t3.mono.since(received));
    headers.insert(SERVER_TIMING, timing);
    headers.insert(T3, HeaderValue::from(t3.wall.0));
}

/// Milliseconds with their thousandths, as the specification of Server-Timing has them.
fn server_timing(recv: Duration, proc: Duration) -> HeaderValue {
    let millis = |time: Duration| {
        let micros = time.as_micros();
        format!("{}.{:03}", micros / 1_000, micros % 1_000)
    };
    let text = format!("recv;dur={}, proc;dur={}", millis(recv), millis(proc));
    // Digits and punctuation.
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("recv, proc"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_in_milliseconds_with_their_thousandths() {
        let timing = server_timing(Duration::from_nanos(12_999), Duration::from_micros(1_234_567));
        assert_eq!(timing, "recv;dur=0.012, proc;dur=1234.567");
    }

    #[test]
    fn the_list_of_methods_says_that_it_may_be_asked_for() {
        let listed = |allow| with_options(&HeaderValue::from_static(allow));
        assert_eq!(listed("GET,HEAD"), "GET, HEAD, OPTIONS");
        assert_eq!(listed(""), "OPTIONS");
    }
}
