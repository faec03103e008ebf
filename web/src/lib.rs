//! The second driver of the house: echo for protocols whose well-kept libraries live on an async runtime.
//!
//! A [`HttpServer`] is a thread with a runtime of its own, and so is a [`PageServer`]. Nothing in here is shared with the first driver but plain
//! data: options go in at the start, [`Counters`](halloo_base::Counters) can be read at any time.
#![forbid(unsafe_code)]

mod clock;
mod ending;
mod http;
mod page;
mod tls;

pub use ending::Ending;
#[cfg(feature = "h3")]
pub use http::Http3Door;
pub use http::{HttpOptions, HttpServer, Tally};
pub use page::{Page, PageServer, Writer};
pub use tls::{TlsError, TlsOptions};
