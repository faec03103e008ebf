//! The HTTP echo host: HTTP/1.1 (RFC 9112) and HTTP/2 (RFC 9113), with and without TLS.

mod answer;
mod attend;
mod budget;
mod connection;
mod echo;
mod host;
mod options;
mod refusal;
mod routes;
mod server;
mod watched;
mod websocket;

pub use options::HttpOptions;
pub use server::HttpServer;
