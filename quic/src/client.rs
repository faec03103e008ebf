//! What a client needs to know before it connects.

use crate::hub::{self, OptionsError, within, within_a_day};
use crate::tickets::Tickets;
use quinn_proto::crypto::rustls::QuicClientConfig;
use quinn_proto::{ClientConfig, VarInt};
use rustls::client::{ClientSessionStore, Resumption};
use rustls::pki_types::ServerName;
use rustls::quic::{ClientConnection, Version};
use std::sync::Arc;
use std::time::Duration;

/// When and to where a client's connections move (RFC 9000 section 9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moving {
    /// So long after its handshake a connection goes on from the other port.
    pub after: Duration,
    /// That port; the driver has a socket of it too.
    pub port: u16,
}

/// How a client's connections behave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientOptions {
    /// A connection on which nothing arrives for this long is gone (RFC 9000 section 10.1); the other side may want less.
    /// 1 ms to a day. Default: 30 seconds.
    pub idle_timeout: Duration,
    /// After this long without anything to say the other side is asked for a sign of life (RFC 9000 section 10.1.2). `None`
    /// for never. 1 ms to a day. Default: none.
    pub keep_alive: Option<Duration>,
    /// The longest UDP payload that is sent, in bytes: 1,200 to 65,527. What is longer than the path takes is lost. A probe in
    /// a DATAGRAM frame may be 38 bytes shorter at most. Default: 1,200.
    pub mtu: u16,
    /// The TOS or traffic class octet of what is sent; its two ECN bits are QUIC's own. Default: the socket's own.
    pub tos: Option<u8>,
    /// Whether to ask before the handshake is complete where an earlier connection of this client left a ticket (0-RTT). Who
    /// records what is sent so may send it to the host again. Default: no.
    pub early_data: bool,
    /// When and to where its connections move. Default: they stay.
    pub moving: Option<Moving>,
}

impl Default for ClientOptions {
    fn default() -> ClientOptions {
        ClientOptions {
            idle_timeout: Duration::from_secs(30),
            keep_alive: None,
            mtu: 1_200,
            tos: None,
            early_data: false,
            moving: None,
        }
    }
}

/// Whom a client connects to, how, and what it remembers of earlier connections. Clones share that memory.
#[derive(Clone)]
pub struct Client {
    pub(crate) config: ClientConfig,
    pub(crate) name: String,
    pub(crate) options: ClientOptions,
    pub(crate) tickets: Arc<Tickets>,
}

impl Client {
    /// A client of the host of this name that believes what `tls` does. Tickets are kept for as long as there is a
    /// clone of it.
    ///
    /// # Errors
    /// Options out of their range, or a configuration of TLS that QUIC cannot be spoken with.
    pub fn new(
        tls: &rustls::ClientConfig,
        name: &ServerName<'_>,
        options: ClientOptions,
    ) -> Result<Client, OptionsError> {
        within_a_day("idle_timeout", options.idle_timeout)?;
        within_a_day("keep_alive", options.keep_alive.unwrap_or(options.idle_timeout))?;
        within("mtu", options.mtu, 1_200u64..=65_527)?;
        let mut tls = tls.clone();
        // It also tells whether there was a ticket. What leaves early is decided elsewhere.
        tls.enable_early_data = true;
        let tickets = Arc::new(Tickets::new());
        let kept: Arc<dyn ClientSessionStore> = Arc::<Tickets>::clone(&tickets);
        tls.resumption = Resumption::store(kept);
        let tls = Arc::new(tls);
        // The library does not expect this to fail later.
        ClientConnection::new(Arc::clone(&tls), Version::V1, name.to_owned(), vec![])
            .map_err(|error| OptionsError::Tls(error.to_string()))?;
        let crypto = QuicClientConfig::try_from(tls).map_err(|error| OptionsError::Tls(error.to_string()))?;
        let mut transport = hub::transport(options.idle_timeout, options.mtu);
        transport
            .max_concurrent_bidi_streams(VarInt::from_u32(0))
            .keep_alive_interval(options.keep_alive);
        let mut config = ClientConfig::new(Arc::new(crypto));
        config.transport_config(Arc::new(transport));
        Ok(Client {
            config,
            name: name.to_str().into_owned(),
            options,
            tickets,
        })
    }
}
