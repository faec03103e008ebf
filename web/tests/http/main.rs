//! The HTTP echo host as its clients see it, over real sockets on this host.
#![forbid(unsafe_code)]

#[cfg(test)]
mod client;
#[cfg(test)]
mod curl;
#[cfg(test)]
mod http1;
#[cfg(test)]
mod http2;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod peers;
#[cfg(test)]
mod routes;
#[cfg(test)]
mod tls;
#[cfg(test)]
mod websocket;
