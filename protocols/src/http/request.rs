//! The request, which is the same for every probe.

use super::{HttpProberOptions, OptionsError};

/// Who asks (RFC 9110 section 10.1.5).
const USER_AGENT: &str = concat!("halloo/", env!("CARGO_PKG_VERSION"));

/// What a body is filled with.
const FILLING: &[u8] = b"0123456789abcdefghijklmnopqrstuvwxyz";

/// The request in its bytes, with a body of `size` bytes (RFC 9112 sections 2.1 and 3).
///
/// # Errors
/// What is wrong with the options.
pub(super) fn emit(options: &HttpProberOptions, size: usize) -> Result<Vec<u8>, OptionsError> {
    options.check(size)?;
    let method = options.method_for(size);
    let mut head = format!("{method} {} HTTP/1.1\r\n", options.path_and_query);
    let mut field = |name: &str, value: &str| {
        head.push_str(name);
        head.push_str(": ");
        head.push_str(value);
        head.push_str("\r\n");
    };
    // The host first, as RFC 9110 section 7.2 has it.
    field("Host", options.host());
    let usual = [
        ("User-Agent", USER_AGENT),
        ("Accept", "*/*"),
        // What comes is compared as it is.
        ("Accept-Encoding", "identity"),
    ];
    for (name, value) in usual {
        if options.fields(name).next().is_none() {
            field(name, value);
        }
    }
    if !options.keep_alive {
        field("Connection", "close");
    }
    if size > 0 || has_meaning_with_a_body(method) {
        field("Content-Length", &size.to_string());
    }
    let others = options
        .headers
        .iter()
        .filter(|(name, _)| !name.eq_ignore_ascii_case("host"));
    for (name, value) in others {
        field(name, value);
    }
    head.push_str("\r\n");
    let mut request = head.into_bytes();
    request.extend(FILLING.iter().cycle().take(size));
    Ok(request)
}

/// Whether this method says how long its body is even where it has none (RFC 9110 section 8.6).
fn has_meaning_with_a_body(method: &str) -> bool {
    ["POST", "PUT", "PATCH"].contains(&method)
}

/// Whether to ask twice is as good as to ask once (RFC 9110 section 9.2.2).
pub(super) fn is_idempotent(method: &str) -> bool {
    ["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"].contains(&method)
}
