//! Why a connection is gone, in the words that streams have for it.

use halloo_base::{CloseReason, UnreachableError};
use quinn_proto::ConnectionError;

/// The error numbers of Linux for what QUIC says in its own way.
pub(crate) const TOO_LONG: UnreachableError = UnreachableError(90);
pub(crate) const NOT_SUPPORTED: UnreachableError = UnreachableError(95);
pub(crate) const RESET: UnreachableError = UnreachableError(104);
pub(crate) const NO_BUFFERS: UnreachableError = UnreachableError(105);
pub(crate) const NOT_CONNECTED: UnreachableError = UnreachableError(107);
const TIMED_OUT: UnreachableError = UnreachableError(110);
const REFUSED: UnreachableError = UnreachableError(111);

/// `CONNECTION_REFUSED` (RFC 9000 section 20.1).
const CONNECTION_REFUSED: u64 = 0x02;
/// The first of the 256 codes that hold a TLS alert (RFC 9000 section 20.1).
const CRYPTO_ERROR: u64 = 0x0100;

/// Why a connection that was up, or was not yet, is no more.
pub(crate) fn reason(error: &ConnectionError, was_up: bool) -> CloseReason {
    let broken = |error| {
        if was_up {
            CloseReason::Broken(error)
        } else {
            CloseReason::ConnectFailed(error)
        }
    };
    match error {
        ConnectionError::VersionMismatch => {
            CloseReason::Insecure("the other side speaks no version of QUIC that we do")
        }
        ConnectionError::TransportError(own) => match alert(u64::from(own.code)) {
            Some(alert) => CloseReason::Insecure(ours(alert)),
            None => broken(RESET),
        },
        ConnectionError::ConnectionClosed(theirs) => match (u64::from(theirs.error_code), was_up) {
            (CONNECTION_REFUSED, false) => broken(REFUSED),
            (code, false) if alert(code).is_some() => CloseReason::Insecure(match alert(code) {
                Some(120) => "the other side does not speak this protocol over QUIC",
                _ => "the other side refuses TLS with us",
            }),
            _ => broken(RESET),
        },
        ConnectionError::TimedOut => broken(TIMED_OUT),
        ConnectionError::ApplicationClosed(_)
        | ConnectionError::Reset
        | ConnectionError::LocallyClosed
        | ConnectionError::CidsExhausted => broken(RESET),
    }
}

fn alert(code: u64) -> Option<u8> {
    u8::try_from(code.checked_sub(CRYPTO_ERROR)?).ok()
}

/// What we hold against the other side's TLS, by the alert that we send for it (RFC 8446 section 6.2).
fn ours(alert: u8) -> &'static str {
    match alert {
        42 | 43 | 46 => "the certificate is not acceptable",
        44 => "the certificate was revoked",
        45 => "the certificate has expired, or is not valid yet",
        48 => "the certificate is signed by nobody whom this host knows (--pin FINGERPRINT, --insecure)",
        49 => "the certificate is not the one that is pinned",
        51 => "what came under TLS was damaged on the way",
        70 | 71 | 40 => "the other side has no version or cipher of TLS in common with us",
        120 => "the other side does not speak this protocol over QUIC",
        _ => "TLS failed",
    }
}
