//! Keys, certificates and lists as files hold them: a line that says what it is, base64, a line that ends it (the textual
//! encoding of RFC 7468, with labels of our own and our own octets inside).

use base64ct::{Base64, Encoding};
use zeroize::Zeroizing;

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An edge's or a supernode's X25519 private key (32 octets).
    PrivateKey,
    /// An authority's Ed25519 private key (32 octets).
    AuthorityPrivateKey,
    /// An authority's Ed25519 public key (32 octets).
    Authority,
    /// A certificate of membership.
    Certificate,
    /// A list of what holds no longer.
    Revocation,
}

/// Why a text is not what it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// No line begins it.
    #[error("there is no line `-----BEGIN {}-----`", .0.label())]
    Begin(Kind),
    /// No line ends it.
    #[error("there is no line `-----END {}-----` after the beginning", .0.label())]
    End(Kind),
    /// What is between is no base64.
    #[error("what is between its first and its last line is not base64")]
    Base64,
    /// The octets are too few or too many.
    #[error("it holds the wrong number of octets")]
    Length,
    /// Not a public key.
    #[error("a public key is 44 characters of base64")]
    PublicKey,
    /// Not a point of the curve, or one of the few that anybody can sign for.
    #[error("it is no Ed25519 public key")]
    Authority,
}

impl Kind {
    /// The words in the first and the last line.
    pub fn label(self) -> &'static str {
        match self {
            Kind::PrivateKey => "HALLOO OVERLAY PRIVATE KEY",
            Kind::AuthorityPrivateKey => "HALLOO OVERLAY AUTHORITY PRIVATE KEY",
            Kind::Authority => "HALLOO OVERLAY AUTHORITY",
            Kind::Certificate => "HALLOO OVERLAY CERTIFICATE",
            Kind::Revocation => "HALLOO OVERLAY REVOCATION LIST",
        }
    }
}

/// Longer files are no keys.
const LONGEST: usize = 1 << 20;

/// The octets in a text. What is before the first line and after the last is for people.
pub(crate) fn parse(kind: Kind, text: &str) -> Result<Vec<u8>, TextError> {
    if text.len() > LONGEST {
        return Err(TextError::Length);
    }
    let (begin, end) = (line("BEGIN", kind), line("END", kind));
    let mut lines = text.lines().map(str::trim);
    lines.find(|line| *line == begin).ok_or(TextError::Begin(kind))?;
    let mut body = Zeroizing::new(String::with_capacity(text.len()));
    for line in lines {
        if line == end {
            return Base64::decode_vec(&body).map_err(|_| TextError::Base64);
        }
        body.push_str(line);
    }
    Err(TextError::End(kind))
}

/// The text that holds these octets.
pub(crate) fn emit(kind: Kind, octets: &[u8]) -> String {
    let body = Zeroizing::new(Base64::encode_string(octets));
    let mut text = String::with_capacity(body.len() * 2 + 160);
    text.push_str(&line("BEGIN", kind));
    for (at, c) in body.char_indices() {
        if at % 64 == 0 {
            text.push('\n');
        }
        text.push(c);
    }
    text.push('\n');
    text.push_str(&line("END", kind));
    text.push('\n');
    text
}

fn line(word: &str, kind: Kind) -> String {
    format!("-----{word} {}-----", kind.label())
}
