//! The answers that say no. They are short, and say nothing of what was asked.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use halloo_base::Reason;
use hyper::StatusCode;
use hyper::header::{CONNECTION, HeaderValue, RETRY_AFTER, UPGRADE};

/// Why a request gets no echo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The path's argument, the form or the handshake is not what it has to be.
    BadRequest,
    /// There is nothing under this path.
    NotFound,
    /// There is, but not for this method.
    MethodNotAllowed,
    /// The body is longer than it may be.
    TooLong,
    /// The target is longer than it may be.
    TargetTooLong,
    /// Nothing but a WebSocket is served there.
    UpgradeRequired,
    /// The source has asked for more than its share, or all together have.
    TooMany(Reason),
    /// There is no memory for the body now.
    Busy,
}

impl Refusal {
    /// Why, as it is counted.
    pub(super) fn reason(self) -> Reason {
        match self {
            Refusal::BadRequest | Refusal::TooLong | Refusal::TargetTooLong => Reason::Malformed,
            Refusal::NotFound | Refusal::MethodNotAllowed | Refusal::UpgradeRequired => Reason::NotServed,
            Refusal::TooMany(why) => why,
            Refusal::Busy => Reason::RateLimitedAll,
        }
    }

    fn status(self) -> StatusCode {
        match self {
            Refusal::BadRequest => StatusCode::BAD_REQUEST,
            Refusal::NotFound => StatusCode::NOT_FOUND,
            Refusal::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Refusal::TooLong => StatusCode::PAYLOAD_TOO_LARGE,
            Refusal::TargetTooLong => StatusCode::URI_TOO_LONG,
            Refusal::UpgradeRequired => StatusCode::UPGRADE_REQUIRED,
            Refusal::TooMany(_) => StatusCode::TOO_MANY_REQUESTS,
            Refusal::Busy => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = self.status();
        let mut response = text(format!("{status}\n"));
        *response.status_mut() = status;
        response.extensions_mut().insert(self);
        let headers = response.headers_mut();
        match self {
            Refusal::UpgradeRequired => {
                headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
                headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
                headers.insert("sec-websocket-version", HeaderValue::from_static("13"));
            }
            Refusal::TooMany(_) | Refusal::Busy => {
                headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
            }
            _ => {}
        }
        response
    }
}

/// Plain text.
pub(super) fn text(text: impl Into<Body>) -> Response {
    typed("text/plain; charset=utf-8", text)
}

/// Something of this type.
pub(super) fn typed(kind: &'static str, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    let kind = HeaderValue::from_static(kind);
    response.headers_mut().insert(hyper::header::CONTENT_TYPE, kind);
    response
}
