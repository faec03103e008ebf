//! TLS (RFC 8446, RFC 5246) around a machine that speaks streams: it asks and answers as if there were none.
//!
//! [`Sealed`] stands between a machine and its driver. [`Trust`] says whom a client believes. Nothing here opens a
//! socket; the library below reads the system's clock to judge certificates, and its random numbers.
#![forbid(unsafe_code)]

mod sealed;
mod trust;

pub use rustls::pki_types::ServerName;
pub use sealed::{HANDSHAKE_WITHIN, Sealed, Side};
pub use trust::{BadPin, Pin, Trust, TrustError};
