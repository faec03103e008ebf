//! The HTTP echo host: HTTP/1.1 (RFC 9112) and HTTP/2 (RFC 9113), with and without TLS, and HTTP/3 (RFC 9114).

mod answer;
mod attend;
mod budget;
mod connection;
mod echo;
mod host;
#[cfg(feature = "h3")]
mod http3;
mod options;
mod refusal;
mod routes;
mod server;
mod tally;
mod watched;
mod websocket;

#[cfg(feature = "h3")]
pub use http3::Http3Door;
pub use options::HttpOptions;
pub use server::HttpServer;
pub use tally::Tally;
