//! QUIC: echo on a thread of ours, HTTP/3 on the web crate's.

use super::counts::{Counted, Source, counters, requests};
use super::dialects::{Making, Spoken};
use anyhow::{Context, Result};
use halloo_base::Snapshot;
use halloo_io::{Worker, WorkerOptions};
use halloo_protocols::echo::{TcpEcho, UdpEcho, UdpEchoOptions};
use halloo_protocols::{Protocol, quic};
use halloo_quic::{DatagramEcho, Lending, QuicCounters, QuicServer, QuicServerOptions, Services};
use halloo_serve::{Gate, Secret};
use halloo_web::HttpServer;
use std::sync::Arc;
use std::time::Instant;

/// HTTP/3 as it is agreed on in the handshake (RFC 9114 section 3.1).
#[cfg(feature = "h3")]
const H3: &[u8] = b"h3";

/// Who answers at the QUIC ports.
pub(super) struct Answering {
    /// The thread of QUIC itself.
    pub(super) worker: Worker,
    /// The one of HTTP/3.
    pub(super) web: Option<HttpServer>,
    pub(super) counted: Vec<Counted>,
}

impl Making<'_> {
    /// A thread that echoes streams and datagrams of QUIC, and one that answers HTTP/3.
    ///
    /// # Errors
    /// If the rules contradict themselves, or there is no thread to be had.
    pub(super) fn quic(&self, spoken: Spoken) -> Result<Answering> {
        let identity = spoken.identity.context("QUIC needs a certificate")?;
        let tls = identity.server_config(&[halloo_quic::ALPN])?;
        let mut gate = Gate::new(self.guards, Secret::new(crate::random()?))?;
        let echo = UdpEchoOptions {
            key: self.key.cloned(),
            require_key: self.config.serve.require_key,
            pingback: None,
            ..UdpEchoOptions::default()
        };
        let datagrams = DatagramEcho {
            responder: Box::new(UdpEcho::new(echo, crate::random()?)),
            limit: quic::QUIC_DATAGRAM.reply_limit,
        };
        let mut worker = Worker::new(WorkerOptions {
            // Whom the other thread wakes waits where it can be woken.
            answers_only: cfg!(not(feature = "h3")),
            seed: crate::random_u64()?,
            ..WorkerOptions::default()
        })
        .context("cannot set up the driver")?;
        let mut options = QuicServerOptions::default();
        let (web, lending) = self.http3(&worker, &mut options)?;
        let books = Arc::<QuicCounters>::default();
        let server = QuicServer::new(
            options,
            &tls,
            Box::new(move |now, path, packets, trust| gate.admit(now, path, packets, trust)),
            Services {
                make: Box::new(|_| Box::new(TcpEcho)),
                datagrams: Some(datagrams),
                lending,
            },
            Arc::clone(&books),
            Instant::now(),
        )?;
        let machine = worker.add(Box::new(server));
        for socket in spoken.udp {
            worker.udp(socket, machine).context("cannot watch a UDP socket")?;
        }
        let (streams, frames) = (Arc::clone(&books), books);
        let asked = |protocol: &'static Protocol, ask: Box<dyn Fn() -> Snapshot + Send>| Counted {
            source: Source::Asked(ask),
            ..counters(protocol)
        };
        let mut counted = vec![
            asked(&quic::QUIC, Box::new(move || streams.connections.snapshot())),
            asked(
                &quic::QUIC_DATAGRAM,
                Box::new(move || frames.datagrams.snapshot()),
            ),
        ];
        counted.extend(web.as_ref().map(|web| Counted {
            source: Source::Threads(vec![Arc::clone(web.counters())]),
            ..counters(&quic::HTTP3)
        }));
        counted.extend(web.as_ref().map(|web| requests(&quic::HTTP3, web)));
        Ok(Answering { worker, web, counted })
    }

    /// The thread that answers HTTP/3, and how it gets its connections.
    #[cfg(feature = "h3")]
    fn http3(
        &self,
        worker: &Worker,
        quic: &mut QuicServerOptions,
    ) -> Result<(Option<HttpServer>, Option<Lending>)> {
        let mut options = self.config.http_options(Secret::new(crate::random()?));
        options.admission.broadcasts.clone_from(&self.guards.broadcasts);
        quic.streams = quic.streams.max(options.streams);
        let (server, door) = HttpServer::behind_quic(options).context("cannot start to answer HTTP/3")?;
        let remote = worker.remote();
        let lending = Lending {
            alpn: H3.to_vec(),
            take: Box::new(move |lent| door.take(lent)),
            ring: Box::new(move || remote.wake()),
        };
        Ok((Some(server), Some(lending)))
    }

    #[cfg(not(feature = "h3"))]
    #[expect(
        clippy::unused_self,
        clippy::unnecessary_wraps,
        reason = "the other one needs them"
    )]
    fn http3(
        &self,
        _worker: &Worker,
        _quic: &mut QuicServerOptions,
    ) -> Result<(Option<HttpServer>, Option<Lending>)> {
        Ok((None, None))
    }
}
