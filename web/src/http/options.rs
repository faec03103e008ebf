//! The rules of an HTTP echo host.

use crate::TlsOptions;
use halloo_serve::{AdmissionOptions, OptionsError, Secret};
use std::time::Duration;

/// The rules of an HTTP echo host. The default is fit for the open Internet.
#[derive(Clone, Debug)]
pub struct HttpOptions {
    /// The certificate, for TLS on every listener; `None` for plain HTTP. Default: `None`.
    pub tls: Option<TlsOptions>,
    /// At which UDP port of this host HTTP/3 is served, which is told to those who come by TLS (RFC 7838). Default: none.
    pub http3_port: Option<u16>,
    /// Who may connect, and how much is done for whom: each request costs one, and one more for each KiB that it sends,
    /// or asks for with `/bytes`. Default: see [`AdmissionOptions`].
    pub admission: AdmissionOptions,
    /// The longest request body, in bytes, 0 to 16,777,216. Default: 1 MiB.
    pub body: u32,
    /// The most bytes of bodies, and of answers made of them, that are in memory at once; one source gets an eighth of
    /// it. At least 64 times `body` and 2 MiB: what one request needs. Default: 64 MiB.
    pub buffered: u64,
    /// A connection on which no whole head of a request has come for this long is closed: after it was accepted, and
    /// after the first byte of each further request. The TLS handshake is in it. 1 ms to an hour. Default: 10 s.
    pub header_timeout: Duration,
    /// A connection without a request for this long is closed; a WebSocket without a message, too. 1 ms to a day.
    /// Default: 60 s.
    pub idle_timeout: Duration,
    /// The longest that a request may take, from its first byte to the last byte of its answer; a connection on which
    /// one takes longer is closed. Longer than `longest_delay`, up to a day. Default: 2 minutes.
    pub request_timeout: Duration,
    /// Requests at once on one HTTP/2 connection, 1 to 1,000. Of HTTP/3 QUIC says it. Default: 32.
    pub streams: u32,
    /// The longest answer to `/delay`; what is asked for beyond it is cut to it. Default: 10 s.
    pub longest_delay: Duration,
    /// The largest answer to `/bytes`, in bytes; what is asked for beyond it is cut to it. Default: 1 MiB.
    pub largest_bytes: u32,
    /// The longest WebSocket message, in bytes, 1 to 1,048,576. Default: 64 KiB.
    pub largest_message: u32,
}

impl HttpOptions {
    /// The defaults, with this secret.
    pub fn new(secret: Secret) -> HttpOptions {
        HttpOptions {
            tls: None,
            http3_port: None,
            admission: AdmissionOptions::new(secret),
            body: 1 << 20,
            buffered: 64 << 20,
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(60),
            request_timeout: Duration::from_secs(120),
            streams: 32,
            longest_delay: Duration::from_secs(10),
            largest_bytes: 1 << 20,
            largest_message: 1 << 16,
        }
    }

    /// Checks every field.
    ///
    /// # Errors
    /// The first field that is out of its range, or the prefix that is both allowed and denied. Times are told in
    /// milliseconds.
    pub fn check(&self) -> Result<(), OptionsError> {
        self.admission.check()?;
        let longest_delay = millis(self.longest_delay);
        within("body", self.body.into(), 0, 16 << 20)?;
        let buffered = (64 * u64::from(self.body)).max(LEAST_BUFFERED);
        within("buffered", self.buffered, buffered, 1 << 40)?;
        within("header_timeout", millis(self.header_timeout), 1, HOUR)?;
        within("idle_timeout", millis(self.idle_timeout), 1, DAY)?;
        within("longest_delay", longest_delay, 0, HOUR)?;
        within(
            "request_timeout",
            millis(self.request_timeout),
            longest_delay + 1,
            DAY,
        )?;
        within("streams", self.streams.into(), 1, 1_000)?;
        within("largest_message", self.largest_message.into(), 1, 1 << 20)
    }
}

/// An eighth of it holds the answer to the longest head, in which each byte may be written as six.
const LEAST_BUFFERED: u64 = 2 << 20;
const HOUR: u64 = 3_600_000;
const DAY: u64 = 24 * HOUR;

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn within(field: &'static str, value: u64, min: u64, max: u64) -> Result<(), OptionsError> {
    if (min..=max).contains(&value) {
        return Ok(());
    }
    Err(OptionsError::OutOfRange {
        field,
        value,
        min,
        max,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(change: impl FnOnce(&mut HttpOptions)) -> String {
        let mut options = HttpOptions::new(Secret::new([1; 16]));
        change(&mut options);
        options
            .check()
            .map_or_else(|error| error.to_string(), |()| String::new())
    }

    #[test]
    fn the_defaults_can_be_served_with() {
        assert_eq!(named(|_| {}), "");
    }

    #[test]
    fn a_field_out_of_its_range_is_named() {
        assert!(named(|options| options.body = 17 << 20).starts_with("body is 17825792"));
        assert!(named(|options| options.buffered = 1).starts_with("buffered is 1, but must be 67108864"));
        assert!(named(|options| options.header_timeout = Duration::ZERO).starts_with("header_timeout"));
        assert!(
            named(|options| options.idle_timeout = Duration::from_secs(90_000)).starts_with("idle_timeout")
        );
        assert!(named(|options| options.streams = 0).starts_with("streams"));
        assert!(named(|options| options.largest_message = 0).starts_with("largest_message"));
        assert!(named(|options| options.admission.connections = 0).starts_with("connections"));
        let as_long = |options: &mut HttpOptions| options.request_timeout = options.longest_delay;
        assert!(named(as_long).starts_with("request_timeout is 10000, but must be 10001"));
    }
}
