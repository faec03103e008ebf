//! Policy around a responder: who is answered, how often, and what is counted when nobody is.
//!
//! A protocol knows what an answer looks like; this crate decides whether there is one. [`Server`] stands
//! around a [`Responder`](halloo_base::Responder) of datagrams, [`FrameServer`] around one of IP datagrams that come in
//! Ethernet frames, [`StreamServer`] around one [`StreamResponder`](halloo_base::StreamResponder) per accepted
//! connection. All are [`Machine`](halloo_base::Machine)s: they open no socket and read no clock.
//! [`Admission`] is the same policy for connections that another driver answers.
//!
//! What an open echo host can be abused for, and what stands against it here:
//!
//! | abuse | guard | counted as |
//! |---|---|---|
//! | amplification | a reply never exceeds the protocol's reply limit | `reply_too_long` |
//! | endless loops between two services | no answer to low, listed and own ports | `reflection_port`, `own_port` |
//! | answers to a whole subnet, or from it | destination and source must be unicast | `not_unicast`, `bogon_source` |
//! | reflection by forged sources | token buckets per source and in all | `rate_limited`, `rate_limited_all` |
//! | exhaustion of memory | tables of fixed size, caps, idle timeout | `too_many_connections` and its like |
//! | use by people who were not asked | access list | `denied` |
//!
//! A protocol's own loop guard (`loop`) and its authentication (`bad_auth`) are its responder's.
#![forbid(unsafe_code)]

mod access;
mod address;
mod admission;
mod buffers;
mod caps;
mod connections;
mod frames;
mod gate;
mod guards;
#[cfg(test)]
mod harness;
mod limiter;
mod options;
mod policy;
mod ports;
mod server;
mod stream;

pub use access::AccessList;
pub use admission::{Admission, AdmissionOptions, Place};
pub use frames::{FrameServer, FrameServerOptions};
pub use gate::Gate;
pub use guards::{Broadcast, Guards};
pub use limiter::{Limits, Rate};
pub use options::{OptionsError, Secret};
pub use ports::REFLECTION_PORTS;
pub use server::{Server, ServerOptions};
pub use stream::{MakeResponder, StreamServer, StreamServerOptions};
