//! WebSocket echo (RFC 6455), over HTTP/1.1 only: a browser opens such a connection for it.

use super::connection::Connection;
use super::echo::Asked;
use super::refusal::Refusal;
use crate::clock::SystemClock;
use axum::body::Body;
use axum::extract::{Extension, Request};
use axum::response::Response;
use base64ct::{Base64, Encoding};
use futures_util::future::{Either, select};
use futures_util::{SinkExt, StreamExt};
use halloo_base::Reason;
use hyper::header::{
    CONNECTION, HeaderMap, HeaderName, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_VERSION, UPGRADE,
};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper::{Method, StatusCode, Version};
use hyper_util::rt::TokioIo;
use std::pin::pin;
use std::sync::Arc;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};

type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// Goes over to WebSocket.
pub(super) async fn upgrade(
    Extension(asked): Extension<Arc<Asked>>,
    mut request: Request,
) -> Result<Response, Refusal> {
    if request.method() != Method::GET {
        return Err(Refusal::UpgradeRequired);
    }
    let accept = handshake(request.version(), request.headers())?;
    let upgraded = request
        .extensions_mut()
        .remove::<OnUpgrade>()
        .ok_or(Refusal::UpgradeRequired)?;
    let connection = Arc::clone(asked.connection());
    tokio::spawn(async move {
        // It fails where the connection ended before our answer had gone.
        if let Ok(upgraded) = upgraded.await {
            attend(&connection, upgraded).await;
        }
    });
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    Ok(response)
}

/// Whether it is a handshake (RFC 6455 section 4.2.1), and the key that says so.
fn handshake(version: Version, headers: &HeaderMap) -> Result<HeaderValue, Refusal> {
    let is_asked_for = version == Version::HTTP_11
        && has_token(headers, &UPGRADE, "websocket")
        && has_token(headers, &CONNECTION, "upgrade")
        && has_token(headers, &SEC_WEBSOCKET_VERSION, "13");
    if !is_asked_for {
        return Err(Refusal::UpgradeRequired);
    }
    let key = headers.get(SEC_WEBSOCKET_KEY).ok_or(Refusal::BadRequest)?;
    let mut nonce = [0; 16];
    let decoded = Base64::decode(key.as_bytes(), &mut nonce).map_err(|_| Refusal::BadRequest)?;
    if decoded.len() < 16 {
        return Err(Refusal::BadRequest);
    }
    HeaderValue::try_from(derive_accept_key(key.as_bytes())).map_err(|_| Refusal::BadRequest)
}

/// Whether one of the comma-separated words under this name is `token`, in any case.
fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    let values = headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok());
    let mut words = values.flat_map(|value| value.split(','));
    words.any(|word| word.trim().eq_ignore_ascii_case(token))
}

/// Sends back every message, until one side has had enough.
async fn attend(connection: &Arc<Connection>, upgraded: Upgraded) {
    let host = &connection.host;
    let longest = host.options.largest_message as usize;
    let config = WebSocketConfig::default()
        .read_buffer_size(4_096)
        .write_buffer_size(0)
        .max_write_buffer_size(2 * longest + 4_096)
        .max_message_size(Some(longest))
        .max_frame_size(Some(longest));
    let io = TokioIo::new(upgraded);
    let mut socket = WebSocketStream::from_raw_socket(io, Role::Server, Some(config)).await;
    let mut stopping = host.stopping.subscribe();
    let stopped = pin!(stopping.wait_for(|stopping| *stopping));
    let why = {
        let echoed = pin!(echo(connection, &mut socket));
        match select(echoed, stopped).await {
            Either::Left((why, _)) => why,
            Either::Right(_) => Some((CloseCode::Away, None)),
        }
    };
    let Some((code, reason)) = why else { return };
    if let Some(reason) = reason {
        host.counters.silent(reason);
    }
    let goodbye = CloseFrame {
        code,
        reason: "".into(),
    };
    // Its answer is waited for, but not for ever.
    let _ = timeout(super::attend::GOODBYE, async {
        if socket.close(Some(goodbye)).await.is_ok() {
            while let Some(Ok(_)) = socket.next().await {}
        }
    })
    .await;
}

/// Ends with what is left to say, and what is to be counted; with nothing if the peer ended it.
async fn echo(connection: &Connection, socket: &mut Socket) -> Option<(CloseCode, Option<Reason>)> {
    let host = &connection.host;
    let idle = host.patience.idle;
    loop {
        let message = match timeout(idle, socket.next()).await {
            Err(_) => return Some((CloseCode::Away, Some(Reason::IdleTimeout))),
            Ok(None) => return None,
            Ok(Some(message)) => message,
        };
        match message {
            Ok(message @ (Message::Text(_) | Message::Binary(_))) => {
                let cost = 1 + message.len() / super::answer::KIB;
                if let Err(why) = host.charge(SystemClock::mono(), connection.remote.ip(), cost) {
                    return Some((CloseCode::Again, Some(why)));
                }
                match timeout(idle, socket.send(message)).await {
                    Err(_) => return Some((CloseCode::Away, Some(Reason::IdleTimeout))),
                    Ok(Err(_)) => return None,
                    Ok(Ok(())) => {}
                }
            }
            // Pings are answered, and closing is, below us.
            Ok(_) => {}
            // Gone without goodbye.
            Err(Error::Protocol(ProtocolError::ResetWithoutClosingHandshake)) => return None,
            Err(Error::Capacity(_)) => return Some((CloseCode::Size, Some(Reason::Malformed))),
            Err(Error::Protocol(_)) => return Some((CloseCode::Protocol, Some(Reason::Malformed))),
            Err(Error::Utf8(_)) => return Some((CloseCode::Invalid, Some(Reason::Malformed))),
            Err(_) => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The handshake of RFC 6455 section 1.3.
    fn example() -> HeaderMap {
        let fields = [
            (UPGRADE, "websocket"),
            (CONNECTION, "keep-alive, Upgrade"),
            (SEC_WEBSOCKET_VERSION, "13"),
            (SEC_WEBSOCKET_KEY, "dGhlIHNhbXBsZSBub25jZQ=="),
        ];
        let fields = fields.map(|(name, value)| (name, HeaderValue::from_static(value)));
        fields.into_iter().collect()
    }

    #[test]
    fn the_example_of_the_specification_is_answered_as_it_says() {
        let accept = handshake(Version::HTTP_11, &example()).unwrap();
        assert_eq!(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn what_is_no_handshake_is_told_what_one_needs() {
        for name in [UPGRADE, CONNECTION, SEC_WEBSOCKET_VERSION] {
            let mut headers = example();
            headers.remove(&name);
            assert_eq!(
                handshake(Version::HTTP_11, &headers),
                Err(Refusal::UpgradeRequired),
                "{name}"
            );
        }
        assert_eq!(
            handshake(Version::HTTP_2, &example()),
            Err(Refusal::UpgradeRequired)
        );
        for key in [
            "",
            "dGhlIHNhbXBsZSBub25j",
            "not base64 but 24 chars!",
            "dGhlIHNhbXBsZSBub25jZQ==",
        ] {
            let mut headers = example();
            headers.insert(SEC_WEBSOCKET_KEY, HeaderValue::from_static(key));
            let expected = if key.ends_with("==") {
                Ok(())
            } else {
                Err(Refusal::BadRequest)
            };
            assert_eq!(handshake(Version::HTTP_11, &headers).map(drop), expected, "{key}");
        }
    }
}
