//! HTTP/1.1 as a probe (RFC 9110, RFC 9112): one request, over and over on connections that are kept, and the answers
//! read however the stream is cut.
//!
//! What is not read strictly can be read in two ways, and then every later answer belongs to the wrong request: a
//! message whose length is in doubt ends the connection.

mod body;
mod check;
mod expect;
mod fields;
mod head;
mod options;
mod prober;
mod request;
mod response;
mod status;
#[cfg(test)]
mod tests;

pub use expect::{BadStatusSet, Expect, StatusSet};
pub use options::{HttpProberOptions, OptionsError};
pub use prober::HttpProber;

use crate::{ProberOptions, Protocol, RequestSize};
use halloo_base::{AnyProber, ReplyLimit, Role, Transport};

/// The size is that of the request's body: usually none, and the method is GET. With one it is POST, unless the
/// options name another. The most leaves a session room for the header.
const SIZE: RequestSize = RequestSize {
    least: 0,
    usual: 0,
    signed: None,
    most: 1_000_000,
    step: 1,
};

/// HTTP over TCP.
pub static HTTP: Protocol = Protocol {
    name: "HTTP",
    scheme: "http",
    default_port: Some(80),
    transport: Transport::Tcp,
    spec: "RFC 9110, RFC 9112",
    // Who answers is no responder of this crate: there is nothing here that could answer more.
    reply_limit: ReplyLimit::SameAsRequest,
    role: Role::Prober,
    size: SIZE,
    prober: Some(prober),
};

/// HTTP over TLS. The same bytes: the driver below encrypts them.
pub static HTTPS: Protocol = Protocol {
    name: "HTTPS",
    scheme: "https",
    default_port: Some(443),
    ..HTTP
};

/// The prober of one session; of options that make no request, one that asks nothing.
fn prober(options: &ProberOptions) -> AnyProber {
    let usual = || HttpProberOptions::new(&options.authority, "/");
    let http = options.http.clone().unwrap_or_else(usual);
    AnyProber::Stream(Box::new(HttpProber::new(&http, options.size)))
}
