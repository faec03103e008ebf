//! What there is to ask for.

use super::answer::KIB;
use super::echo::{Asked, Echo, Headers};
use super::refusal::{Refusal, text, typed};
use super::watched::RandomBody;
use super::websocket;
use crate::clock::SystemClock;
use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Extension, Request};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, delete, get, patch, post, put};
use halloo_base::Clock;
use hyper::StatusCode;
use hyper::header::{self, HeaderName, HeaderValue};
use serde::Serialize;
use std::sync::Arc;
use std::time::Duration;

type Answer = Result<Response, Refusal>;
type Question = Extension<Arc<Asked>>;

const WELCOME: &str = "Halloo. This is an HTTP echo host: what you send comes back as JSON.

/anything/...            any method, any body
/get /post /put /patch /delete
/headers /ip /user-agent /uuid
/status/404  /delay/2  /bytes/1024
/ws                      WebSocket echo
/generate_204 /connecttest.txt /cdn-cgi/trace

Cookies and credentials are not echoed. Nothing is kept.
";

/// Every path.
pub(super) fn router() -> Router {
    Router::new()
        .route("/", get(async || text(WELCOME)))
        .route("/anything", any(anything))
        .route("/anything/", any(anything))
        .route("/anything/{*rest}", any(anything))
        .route("/get", get(anything))
        .route("/post", post(anything))
        .route("/put", put(anything))
        .route("/patch", patch(anything))
        .route("/delete", delete(anything))
        .route("/headers", get(headers))
        .route("/ip", get(ip))
        .route("/user-agent", get(user_agent))
        .route("/uuid", get(uuid))
        .route("/status/{code}", any(status))
        .route("/delay/{seconds}", any(delay))
        .route("/bytes/{count}", get(bytes))
        .route("/generate_204", get(async || StatusCode::NO_CONTENT))
        .route("/connecttest.txt", get(async || text("Microsoft Connect Test")))
        .route("/cdn-cgi/trace", get(trace))
        .route("/ws", get(websocket::upgrade))
        .route("/websocket", get(websocket::upgrade))
        .fallback(async || Refusal::NotFound)
        .method_not_allowed_fallback(async || Refusal::MethodNotAllowed)
        // The length was looked at before.
        .layer(DefaultBodyLimit::disable())
}

async fn anything(Extension(asked): Question, request: Request) -> Answer {
    json(&asked, &Echo::of(&asked, request).await?)
}

async fn headers(Extension(asked): Question) -> Answer {
    #[derive(Serialize)]
    struct Told {
        headers: Headers,
    }
    json(
        &asked,
        &Told {
            headers: asked.told_headers(),
        },
    )
}

async fn ip(Extension(asked): Question) -> Answer {
    #[derive(Serialize)]
    struct Told {
        origin: String,
    }
    json(
        &asked,
        &Told {
            origin: asked.origin(),
        },
    )
}

async fn user_agent(Extension(asked): Question) -> Answer {
    #[derive(Serialize)]
    struct Told {
        #[serde(rename = "user-agent")]
        user_agent: Option<String>,
    }
    let user_agent = asked.header(&header::USER_AGENT);
    json(&asked, &Told { user_agent })
}

async fn uuid(Extension(asked): Question) -> Answer {
    #[derive(Serialize)]
    struct Told {
        uuid: String,
    }
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(|_| Refusal::Busy)?;
    json(
        &asked,
        &Told {
            uuid: uuid_of(random),
        },
    )
}

/// Random bytes as a UUID of version 4 (RFC 9562 section 5.4).
fn uuid_of(random: [u8; 16]) -> String {
    let bits = u128::from_be_bytes(random);
    let bits = bits & !(0xf << 76 | 0b11 << 62) | 0x4 << 76 | 0b10 << 62;
    let text = format!("{bits:032x}");
    [
        &text[..8],
        &text[8..12],
        &text[12..16],
        &text[16..20],
        &text[20..],
    ]
    .join("-")
}

/// Any status that can end an exchange: 200 to 599.
async fn status(Extension(asked): Question) -> Answer {
    let code = asked
        .argument()
        .parse()
        .ok()
        .filter(|code| (200..=599).contains(code));
    let code = code
        .and_then(|code| StatusCode::from_u16(code).ok())
        .ok_or(Refusal::BadRequest)?;
    let mut response = match code {
        StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::NOT_MODIFIED => {
            Body::empty().into_response()
        }
        _ => text(format!("{code}\n")),
    };
    *response.status_mut() = code;
    if let Some((name, value)) = required_with(code) {
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    Ok(response)
}

/// What RFC 9110 wants beside a status. The scheme of authentication is one that no browser asks a password for.
fn required_with(code: StatusCode) -> Option<(HeaderName, &'static str)> {
    match code {
        StatusCode::UNAUTHORIZED => Some((header::WWW_AUTHENTICATE, "None")),
        StatusCode::PROXY_AUTHENTICATION_REQUIRED => Some((header::PROXY_AUTHENTICATE, "None")),
        StatusCode::METHOD_NOT_ALLOWED => Some((header::ALLOW, "")),
        StatusCode::RANGE_NOT_SATISFIABLE => Some((header::CONTENT_RANGE, "bytes */0")),
        _ => None,
    }
}

/// Seconds, with a fraction if need be.
async fn delay(Extension(asked): Question, request: Request) -> Answer {
    let seconds: f64 = asked.argument().parse().map_err(|_| Refusal::BadRequest)?;
    let longest = asked.host().options.longest_delay;
    // Negative ones and NaN are none; what is too long is cut.
    let wanted = match Duration::try_from_secs_f64(seconds) {
        Ok(wanted) => wanted.min(longest),
        Err(_) if seconds > 0.0 => longest,
        Err(_) => return Err(Refusal::BadRequest),
    };
    tokio::time::sleep(wanted).await;
    json(&asked, &Echo::of(&asked, request).await?)
}

/// So many random bytes; `?seed=N` makes them the same each time.
async fn bytes(Extension(asked): Question) -> Answer {
    let wanted: u64 = asked.argument().parse().map_err(|_| Refusal::BadRequest)?;
    let len = wanted.min(asked.host().options.largest_bytes.into()) as usize;
    let seed = match asked.parameter("seed") {
        Some(seed) => seed.parse().map_err(|_| Refusal::BadRequest)?,
        None => asked.host().random(),
    };
    asked.charge(len / KIB)?;
    Ok(typed(
        "application/octet-stream",
        Body::new(RandomBody::new(seed, len)),
    ))
}

/// What some networks of delivery tell of a connection, as far as it is known here.
async fn trace(Extension(asked): Question) -> Response {
    let now = SystemClock.stamp().wall.0 / 1_000_000;
    let agent = asked.header(&header::USER_AGENT).unwrap_or_default();
    let lines = [
        format!("h={}", asked.authority()),
        format!("ip={}", asked.origin()),
        format!("ts={}.{:03}", now / 1_000, now % 1_000),
        format!("visit_scheme={}", asked.scheme()),
        format!("uag={agent}"),
        format!("http={}", asked.http()),
        format!("tls={}", asked.tls.unwrap_or("off")),
    ];
    text(lines.join("\n") + "\n")
}

fn json(asked: &Asked, answer: &impl Serialize) -> Answer {
    // Nothing in an answer can fail to be written: its keys are text, its numbers finite.
    let mut whole = serde_json::to_vec_pretty(answer).map_err(|_| Refusal::BadRequest)?;
    whole.push(b'\n');
    let mut grant = asked.host().budget.grant(asked.remote());
    if !grant.extend(whole.len()) {
        return Err(Refusal::Busy);
    }
    Ok(typed("application/json", Body::from(grant.bind(whole))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_bytes_become_a_uuid_of_version_4() {
        assert_eq!(uuid_of([0; 16]), "00000000-0000-4000-8000-000000000000");
        assert_eq!(uuid_of([0xff; 16]), "ffffffff-ffff-4fff-bfff-ffffffffffff");
        let counted = std::array::from_fn(|n| n as u8);
        assert_eq!(uuid_of(counted), "00010203-0405-4607-8809-0a0b0c0d0e0f");
    }
}
