//! What is remembered of earlier connections.

use rustls::NamedGroup;
use rustls::client::{
    ClientSessionMemoryCache, ClientSessionStore, Tls12ClientSessionValue, Tls13ClientSessionValue,
};
use rustls::pki_types::ServerName;
use std::sync::atomic::{AtomicU64, Ordering};

/// Hosts whose tickets are kept.
const HOSTS: usize = 16;

/// Tickets (RFC 8446 section 4.6.1), and how many have come.
#[derive(Debug)]
pub(crate) struct Tickets {
    kept: ClientSessionMemoryCache,
    came: AtomicU64,
}

impl Tickets {
    pub(crate) fn new() -> Tickets {
        Tickets {
            kept: ClientSessionMemoryCache::new(HOSTS),
            came: AtomicU64::new(0),
        }
    }

    /// Whether one has come yet.
    pub(crate) fn has_any(&self) -> bool {
        self.came.load(Ordering::Relaxed) > 0
    }
}

impl ClientSessionStore for Tickets {
    fn set_kx_hint(&self, host: ServerName<'static>, group: NamedGroup) {
        self.kept.set_kx_hint(host, group);
    }

    fn kx_hint(&self, host: &ServerName<'_>) -> Option<NamedGroup> {
        self.kept.kx_hint(host)
    }

    // QUIC has TLS 1.3 alone (RFC 9001 section 4.2).
    fn set_tls12_session(&self, _: ServerName<'static>, _: Tls12ClientSessionValue) {}

    fn tls12_session(&self, _: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        None
    }

    fn remove_tls12_session(&self, _: &ServerName<'static>) {}

    fn insert_tls13_ticket(&self, host: ServerName<'static>, ticket: Tls13ClientSessionValue) {
        self.kept.insert_tls13_ticket(host, ticket);
        self.came.fetch_add(1, Ordering::Relaxed);
    }

    fn take_tls13_ticket(&self, host: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        self.kept.take_tls13_ticket(host)
    }
}
