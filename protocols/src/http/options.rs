//! What is asked for, and what cannot be.

use super::Expect;
use super::fields::is_token;

/// What an [`HttpProber`](super::HttpProber) asks for, and what it takes for a good answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpProberOptions {
    /// Host and port for the Host field: the port only where it is not the usual one (RFC 9110 section 7.2).
    pub authority: String,
    /// Path and query, percent-encoded, from the first `/` on (RFC 9112 section 3.2.1); or `*` with OPTIONS.
    pub path_and_query: String,
    /// The method. `None`: GET, or POST where there is a body.
    pub method: Option<String>,
    /// Further fields, in this order. One named as a field that is sent anyway takes the place of that.
    pub headers: Vec<(String, String)>,
    /// What a good answer is.
    pub expect: Expect,
    /// Whether a connection is used again, where the server allows it. Without, each probe has its own, so that each
    /// has the time to connect in its intended round trip.
    pub keep_alive: bool,
    /// The most bytes of a body that are read, framing and all. A longer one is no good answer, and its connection is
    /// not used again.
    pub body_limit: u64,
}

/// Why options make no request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OptionsError {
    /// Not what RFC 3986 section 3.2 calls host and port.
    #[error("`{0}` is not a host with or without a port")]
    Authority(String),
    /// Spaces, a fragment, or no `/` at its beginning.
    #[error("`{0}` is not a path: it begins with `/`, and what is not plain ASCII in it is percent-encoded")]
    Path(String),
    /// Not a token (RFC 9110 section 9.1), or CONNECT, which asks for a tunnel and not for an answer.
    #[error("`{0}` is not a method that can be asked with")]
    Method(String),
    /// Not a token (RFC 9110 section 5.1).
    #[error("`{0}` is not the name of a header field")]
    FieldName(String),
    /// The end of a line or another control character in it would make it two fields.
    #[error("the header field `{0}` has a control character in it")]
    FieldValue(String),
    /// It says where the request or the connection ends; nobody but the prober knows.
    #[error("the header field `{0}` is not for you to set")]
    OwnField(String),
    /// A request has one host (RFC 9112 section 3.2).
    #[error("there is more than one Host")]
    TwoHosts,
    /// A TRACE must not have a body (RFC 9110 section 9.3.8).
    #[error("a TRACE has no body; leave out its size")]
    TraceWithBody,
    /// An answer to HEAD never has a body (RFC 9110 section 9.3.2).
    #[error("an answer to HEAD has no body to look at")]
    HeadWithoutBody,
}

impl HttpProberOptions {
    /// 16 MiB: a page of any kind, and not a disk image.
    pub const BODY_LIMIT: u64 = 16 << 20;

    /// Asks this host for this path over kept connections, and takes any status of success.
    pub fn new(authority: &str, path_and_query: &str) -> HttpProberOptions {
        HttpProberOptions {
            authority: authority.into(),
            path_and_query: path_and_query.into(),
            method: None,
            headers: Vec::new(),
            expect: Expect::default(),
            keep_alive: true,
            body_limit: HttpProberOptions::BODY_LIMIT,
        }
    }

    /// Whether they make a request with a body of `size` bytes.
    ///
    /// # Errors
    /// What is wrong, in words for the person who chose it.
    pub fn check(&self, size: usize) -> Result<(), OptionsError> {
        let method = self.method_for(size);
        if !self.authority.bytes().all(is_authority) {
            return Err(OptionsError::Authority(self.authority.clone()));
        }
        let path = &self.path_and_query;
        if !(path.starts_with('/') && path.bytes().all(is_path) || path == "*" && method == "OPTIONS") {
            return Err(OptionsError::Path(path.clone()));
        }
        if !is_token(method.as_bytes()) || method == "CONNECT" {
            return Err(OptionsError::Method(method.into()));
        }
        for (name, value) in &self.headers {
            check_field(name, value)?;
        }
        if self.fields("host").nth(1).is_some() {
            return Err(OptionsError::TwoHosts);
        }
        if method == "TRACE" && size > 0 {
            return Err(OptionsError::TraceWithBody);
        }
        if method == "HEAD" && self.expect.looks_at_body() {
            return Err(OptionsError::HeadWithoutBody);
        }
        Ok(())
    }

    /// The method of a request with a body of `size` bytes. Methods are case-sensitive (RFC 9110 section 9.1).
    pub(super) fn method_for(&self, size: usize) -> &str {
        let usual = if size > 0 { "POST" } else { "GET" };
        self.method.as_deref().unwrap_or(usual)
    }

    /// What the user wants to say in fields of this name.
    pub(super) fn fields<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let named = move |field: &&(String, String)| field.0.eq_ignore_ascii_case(name);
        self.headers.iter().filter(named).map(|(_, value)| value.as_str())
    }

    /// Host and port as the request names them.
    pub(super) fn host(&self) -> &str {
        self.fields("host").next().unwrap_or(&self.authority)
    }
}

fn check_field(name: &str, value: &str) -> Result<(), OptionsError> {
    const OWN: [&str; 3] = ["content-length", "transfer-encoding", "connection"];
    if !is_token(name.as_bytes()) {
        return Err(OptionsError::FieldName(name.into()));
    }
    if OWN.iter().any(|own| name.eq_ignore_ascii_case(own)) {
        return Err(OptionsError::OwnField(name.into()));
    }
    let is_text = |byte: u8| byte == b'\t' || !byte.is_ascii_control();
    let is_host = name.eq_ignore_ascii_case("host");
    if !value.bytes().all(is_text) {
        return Err(OptionsError::FieldValue(name.into()));
    }
    if is_host && !value.bytes().all(is_authority) {
        return Err(OptionsError::Authority(value.into()));
    }
    Ok(())
}

/// What host and port are made of: unreserved, sub-delims, `%`, and the marks of ports and IPv6 (RFC 3986 section 3.2.2).
fn is_authority(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=%[]:".contains(&byte)
}

/// What path and query are made of (RFC 3986 sections 3.3 and 3.4), and what browsers let stand in them.
fn is_path(byte: u8) -> bool {
    byte.is_ascii_graphic() && byte != b'#'
}
