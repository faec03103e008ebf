//! What was asked, and how it is told back: the fields are those of httpbin.

use super::attend::TlsVersion;
use super::connection::Connection;
use super::host::Host;
use super::refusal::Refusal;
use crate::clock::SystemClock;
use axum::RequestExt;
use axum::extract::{Multipart, Request};
use base64ct::{Base64, Encoding};
use hyper::body::Bytes;
use hyper::header::{self, HeaderMap, HeaderName};
use hyper::http::request::Parts;
use hyper::{Method, Uri, Version};
use serde::Serialize;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

/// A query or a form has no more fields than this, so that an answer is not much longer than its request.
const MOST_FIELDS: usize = 1_000;
/// What is somebody's secret, and in no answer.
const SECRETS: [HeaderName; 3] = [header::COOKIE, header::AUTHORIZATION, header::PROXY_AUTHORIZATION];

/// A request whose body has come whole.
pub(super) struct Asked {
    connection: Arc<Connection>,
    pub(super) tls: TlsVersion,
    method: Method,
    uri: Uri,
    version: Version,
    headers: HeaderMap,
    body: Bytes,
}

/// Headers by their names, as people write those: `User-Agent`.
pub(super) type Headers = BTreeMap<String, String>;
/// Fields of a query or a form.
type Fields = BTreeMap<String, Values>;

/// One value, or all that were given under one name.
#[derive(Debug, Serialize, PartialEq, Eq)]
#[serde(untagged)]
enum Values {
    One(String),
    Many(Vec<String>),
}

/// The request told back.
#[derive(Serialize)]
pub(super) struct Echo<'a> {
    args: Fields,
    data: String,
    files: Fields,
    form: Fields,
    headers: Headers,
    json: Option<&'a RawValue>,
    method: &'a str,
    origin: String,
    url: String,
}

/// What a body holds, by what it says it is.
#[derive(Default)]
struct Content {
    data: String,
    files: Fields,
    form: Fields,
}

impl Asked {
    pub(super) fn new(connection: Arc<Connection>, tls: TlsVersion, parts: &Parts, body: Bytes) -> Asked {
        Asked {
            connection,
            tls,
            method: parts.method.clone(),
            uri: parts.uri.clone(),
            version: parts.version,
            headers: parts.headers.clone(),
            body,
        }
    }

    pub(super) fn host(&self) -> &Arc<Host> {
        &self.connection.host
    }

    pub(super) fn connection(&self) -> &Arc<Connection> {
        &self.connection
    }

    /// Charges the source for more than the request itself.
    pub(super) fn charge(&self, cost: usize) -> Result<(), Refusal> {
        let charged = self.host().charge(SystemClock::mono(), self.remote(), cost);
        charged.map_err(Refusal::TooMany)
    }

    pub(super) fn remote(&self) -> IpAddr {
        self.connection.remote.ip()
    }

    /// The source address as we see it. What a header says of it is in the headers.
    pub(super) fn origin(&self) -> String {
        self.remote().to_string()
    }

    pub(super) fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }

    pub(super) fn http(&self) -> &'static str {
        match self.version {
            Version::HTTP_10 => "http/1.0",
            Version::HTTP_2 => "http/2",
            Version::HTTP_3 => "http/3",
            _ => "http/1.1",
        }
    }

    /// Whom it was sent to, without the user and password that a URL may have before it.
    pub(super) fn authority(&self) -> String {
        if let Some(authority) = self.uri.authority() {
            return without_user(authority.as_str()).to_owned();
        }
        let host = self.header(&header::HOST);
        host.map_or_else(
            || self.connection.local.to_string(),
            |host| without_user(&host).to_owned(),
        )
    }

    /// The last part of the path.
    pub(super) fn argument(&self) -> &str {
        self.uri.path().rsplit('/').next().unwrap_or_default()
    }

    /// The first value under this name in the query.
    pub(super) fn parameter(&self, name: &str) -> Option<String> {
        let query = self.uri.query().unwrap_or_default();
        let mut fields = form_urlencoded::parse(query.as_bytes());
        fields.find_map(|(key, value)| (key == name).then(|| value.into_owned()))
    }

    pub(super) fn header(&self, name: &HeaderName) -> Option<String> {
        self.headers
            .get(name)
            .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
    }

    /// The headers, but for secrets. Those given several times are joined (RFC 9110 section 5.3).
    pub(super) fn told_headers(&self) -> Headers {
        let mut told = Headers::new();
        let shown = self.headers.iter().filter(|(name, _)| !SECRETS.contains(name));
        for (name, value) in shown {
            let value = String::from_utf8_lossy(value.as_bytes());
            told.entry(title(name.as_str()))
                .and_modify(|before| {
                    before.push_str(", ");
                    before.push_str(&value);
                })
                .or_insert_with(|| value.into_owned());
        }
        if let Some(host) = told.get_mut("Host") {
            *host = without_user(host).to_owned();
        } else if self.uri.authority().is_some() {
            told.insert("Host".to_owned(), self.authority());
        }
        told
    }

    fn url(&self) -> String {
        let target = self.uri.path_and_query().map_or("/", |target| target.as_str());
        format!("{}://{}{target}", self.scheme(), self.authority())
    }

    /// The type of the body, without its parameters.
    fn kind(&self) -> String {
        let kind = self.header(&header::CONTENT_TYPE).unwrap_or_default();
        kind.split(';')
            .next()
            .unwrap_or_default()
            .trim()
            .to_ascii_lowercase()
    }

    async fn content(&self, request: Request) -> Result<Content, Refusal> {
        match self.kind().as_str() {
            "application/x-www-form-urlencoded" => Ok(Content {
                form: fields(&self.body)?,
                ..Content::default()
            }),
            "multipart/form-data" => multipart(request).await,
            _ => Ok(Content {
                data: readable(&self.body),
                ..Content::default()
            }),
        }
    }
}

impl Echo<'_> {
    /// Tells back what was asked; `request` has its body.
    pub(super) async fn of(asked: &Asked, request: Request) -> Result<Echo<'_>, Refusal> {
        let args = fields(asked.uri.query().unwrap_or_default().as_bytes())?;
        let Content { data, files, form } = asked.content(request).await?;
        // As it was written: no number is rounded, and no short text becomes a long one.
        let json = serde_json::from_slice(&asked.body)
            .ok()
            .filter(|_| !data.is_empty());
        Ok(Echo {
            args,
            data,
            files,
            form,
            headers: asked.told_headers(),
            json,
            method: asked.method.as_str(),
            origin: asked.origin(),
            url: asked.url(),
        })
    }
}

impl Values {
    fn push(&mut self, value: String) {
        match self {
            Values::One(first) => *self = Values::Many(vec![std::mem::take(first), value]),
            Values::Many(values) => values.push(value),
        }
    }
}

fn add(fields: &mut Fields, name: String, value: String) {
    match fields.get_mut(&name) {
        Some(values) => values.push(value),
        None => {
            fields.insert(name, Values::One(value));
        }
    }
}

/// The fields of a query, or of a form that is written like one.
fn fields(bytes: &[u8]) -> Result<Fields, Refusal> {
    let mut fields = Fields::new();
    for (n, (name, value)) in form_urlencoded::parse(bytes).enumerate() {
        if n == MOST_FIELDS {
            return Err(Refusal::BadRequest);
        }
        add(&mut fields, name.into_owned(), value.into_owned());
    }
    Ok(fields)
}

/// The fields and files of a form in parts (RFC 7578).
async fn multipart(request: Request) -> Result<Content, Refusal> {
    let parts = request.extract::<Multipart, _>().await;
    let mut parts = parts.map_err(|_| Refusal::BadRequest)?;
    let mut content = Content::default();
    for _ in 0..MOST_FIELDS {
        let Some(part) = parts.next_field().await.map_err(|_| Refusal::BadRequest)? else {
            return Ok(content);
        };
        let name = part.name().unwrap_or_default().to_owned();
        let fields = match part.file_name() {
            Some(_) => &mut content.files,
            None => &mut content.form,
        };
        let value = part.bytes().await.map_err(|_| Refusal::BadRequest)?;
        add(fields, name, readable(&value));
    }
    Err(Refusal::BadRequest)
}

/// Text as it is, anything else as a `data:` URL (RFC 2397).
fn readable(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => format!(
            "data:application/octet-stream;base64,{}",
            Base64::encode_string(bytes)
        ),
    }
}

/// `user-agent` as `User-Agent`.
fn title(name: &str) -> String {
    let part = |part: &str| {
        let mut part = part.to_owned();
        if let Some(first) = part.get_mut(..1) {
            first.make_ascii_uppercase();
        }
        part
    };
    name.split('-').map(part).collect::<Vec<_>>().join("-")
}

fn without_user(authority: &str) -> &str {
    authority.rsplit('@').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> Values {
        Values::One(text.to_owned())
    }

    #[test]
    fn a_name_given_twice_has_a_list() {
        let parsed = fields(b"a=1&b=%C3%A4+x&a=2&a=&c").unwrap();
        let many = ["1", "2", ""].map(str::to_owned).to_vec();
        let expected = [("a", Values::Many(many)), ("b", one("\u{e4} x")), ("c", one(""))];
        assert_eq!(
            parsed,
            expected.map(|(name, values)| (name.to_owned(), values)).into()
        );
    }

    #[test]
    fn too_many_fields_are_refused() {
        assert_eq!(fields("a&".repeat(MOST_FIELDS).as_bytes()).unwrap().len(), 1);
        assert_eq!(
            fields("a&".repeat(MOST_FIELDS + 1).as_bytes()),
            Err(Refusal::BadRequest)
        );
    }

    #[test]
    fn what_is_no_text_is_told_as_a_url() {
        assert_eq!(readable("h\u{e9}".as_bytes()), "h\u{e9}");
        assert_eq!(
            readable(&[0xff, 0x00]),
            "data:application/octet-stream;base64,/wA="
        );
    }

    #[test]
    fn names_are_written_as_people_write_them() {
        assert_eq!(title("x-forwarded-for"), "X-Forwarded-For");
        assert_eq!(title("dnt"), "Dnt");
        assert_eq!(title("x--1a"), "X--1a");
    }

    #[test]
    fn passwords_in_front_of_a_host_are_dropped() {
        assert_eq!(without_user("user:secret@host:80"), "host:80");
        assert_eq!(without_user("[::1]:80"), "[::1]:80");
    }
}
