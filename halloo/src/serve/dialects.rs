//! Protocols beside the echo, at ports of their own: who answers them, and on which thread.

use super::counts::{Counted, Source, counters, requests};
use super::worker;
use crate::config::{Config, Dialect, Driver, Given};
use anyhow::{Context, Result, anyhow, bail};
use halloo_base::{LinkId, Path, Responder};
use halloo_io::{TcpListener, UdpOptions, UdpSocket, Worker};
use halloo_protocols::Protocol;
use halloo_protocols::echo::Key;
use halloo_protocols::ntp::{self, ClockCell, ClockSource, NtpFollower, NtpServer, NtpServerOptions};
use halloo_protocols::sip::{self, SipServer};
use halloo_protocols::stamp::{self, ReflectorMode, StampReflector, StampReflectorOptions};
use halloo_protocols::stun::{self, StunServer, StunServerOptions};
use halloo_serve::{Guards, MakeResponder, Secret, Server, ServerOptions, StreamServer, StreamServerOptions};
use halloo_tls::{Sealed, Side};
use halloo_web::{HttpServer, TlsOptions};
use std::net::SocketAddr;
use std::sync::Arc;

/// A dialect and the sockets at which it is spoken.
pub(crate) struct Spoken {
    pub(super) dialect: &'static Dialect,
    pub(super) udp: Vec<UdpSocket>,
    pub(super) tcp: Vec<TcpListener>,
    /// Who it says that it is, where it speaks under TLS.
    pub(super) identity: Option<TlsOptions>,
}

impl Spoken {
    /// One without sockets yet.
    pub(super) fn new(dialect: &'static Dialect) -> Spoken {
        Spoken {
            dialect,
            udp: vec![],
            tcp: vec![],
            identity: None,
        }
    }

    /// Whether the web crate answers it.
    pub(super) fn is_web(&self) -> bool {
        matches!(self.dialect.driver, Driver::Web { .. })
    }

    /// Whether it has a thread of its own, which others may wake.
    pub(super) fn is_quic(&self) -> bool {
        self.dialect.driver == Driver::Quic
    }
}

/// What those who answer are made of.
pub(super) struct Making<'a> {
    pub(super) config: &'a Config,
    pub(super) key: Option<&'a Key>,
    pub(super) guards: &'a Guards,
    pub(super) streams: &'a StreamServerOptions,
}

impl Making<'_> {
    /// One thread that answers all of these.
    ///
    /// # Errors
    /// If the rules contradict themselves, or the driver cannot be set up.
    pub(super) fn worker(&self, spoken: Vec<Spoken>) -> Result<(Worker, Vec<Counted>)> {
        let mut worker = worker(false)?;
        let mut counted = vec![];
        for spoken in spoken {
            let Spoken {
                dialect,
                udp,
                tcp,
                identity,
            } = spoken;
            if let Some(protocol) = dialect.udp.filter(|_| !udp.is_empty()) {
                counted.push(self.datagrams(dialect, protocol, udp, &mut worker)?);
            }
            if let Some(protocol) = dialect.tcp.filter(|_| !tcp.is_empty()) {
                let side = identity.as_ref().map(sealing).transpose()?;
                counted.push(self.streams(protocol, tcp, side, &mut worker)?);
            }
        }
        Ok((worker, counted))
    }

    /// A thread that answers HTTP; who comes by TLS is told where HTTP/3 is.
    ///
    /// # Errors
    /// If it cannot be started.
    pub(super) fn web(&self, spoken: Spoken, http3_port: Option<u16>) -> Result<(HttpServer, [Counted; 2])> {
        let protocol = spoken.dialect.tcp.context("HTTP goes over TCP")?;
        let mut options = self.config.http_options(Secret::new(crate::random()?));
        options.admission.broadcasts.clone_from(&self.guards.broadcasts);
        options.tls = spoken.identity;
        options.http3_port = http3_port.filter(|_| options.tls.is_some());
        let listeners = spoken.tcp.into_iter().map(TcpListener::into_std).collect();
        let server = HttpServer::start(listeners, options).context("cannot start to answer HTTP")?;
        let counted = Counted {
            source: Source::Threads(vec![Arc::clone(server.counters())]),
            ..counters(protocol)
        };
        let requests = requests(protocol, &server);
        Ok((server, [counted, requests]))
    }

    fn datagrams(
        &self,
        dialect: &Dialect,
        protocol: &'static Protocol,
        sockets: Vec<UdpSocket>,
        worker: &mut Worker,
    ) -> Result<Counted> {
        let guards = Guards {
            one_port: dialect.one_port,
            // From the usual port, wherever they ask.
            peer_port: protocol.default_port.filter(|_| dialect.one_port),
            ..self.guards.clone()
        };
        let options = ServerOptions {
            guards,
            reply_limit: protocol.reply_limit,
            transport: protocol.transport,
            secret: Secret::new(crate::random()?),
        };
        let mut counted = counters(protocol);
        let server = Server::new(options, self.responder(protocol, worker)?, counted.thread())?;
        let machine = worker.add(Box::new(server));
        for socket in sockets {
            worker.udp(socket, machine).context("cannot watch a UDP socket")?;
        }
        Ok(counted)
    }

    fn streams(
        &self,
        protocol: &'static Protocol,
        listeners: Vec<TcpListener>,
        side: Option<Side>,
        worker: &mut Worker,
    ) -> Result<Counted> {
        let mut counted = counters(protocol);
        let options = StreamServerOptions {
            // Half a request may wait for its other half.
            pending: self.streams.pending.max(sip::LONGEST as u32),
            connections: match side {
                Some(_) => self.config.most_secured(),
                None => self.streams.connections,
            },
            ..self.streams.clone()
        };
        let server = StreamServer::new(options, self.stream_responder(protocol)?, counted.thread())?;
        let machine = match side {
            Some(side) => worker.add(Box::new(Sealed::new(server, side))),
            None => worker.add(Box::new(server)),
        };
        for listener in listeners {
            worker
                .listen(listener, machine)
                .context("cannot watch a TCP listener")?;
        }
        Ok(counted)
    }
}

/// TLS for those who connect to us, with this certificate.
fn sealing(identity: &TlsOptions) -> Result<Side> {
    let mut config = identity.server_config(&[])?;
    // Connections of SIP last; and there are clients that take a ticket for an answer that is broken (sipsak).
    config.send_tls13_tickets = 0;
    Ok(Side::Server(Arc::new(config)))
}

impl Making<'_> {
    fn responder(&self, protocol: &Protocol, worker: &mut Worker) -> Result<Box<dyn Responder>> {
        Ok(match protocol.scheme {
            scheme if scheme == stamp::STAMP.scheme => {
                let section = &self.config.stamp;
                let options = StampReflectorOptions {
                    mode: match section.stateful {
                        true => ReflectorMode::Stateful,
                        false => ReflectorMode::Stateless,
                    },
                    key: self.key.cloned(),
                    require_key: self.config.serve.require_key,
                    sessions: section.sessions as usize,
                    ..StampReflectorOptions::default()
                };
                Box::new(StampReflector::new(options, crate::random()?))
            }
            scheme if scheme == stun::STUN.scheme => {
                let places = self.config.stun.places(&Given::default());
                let places = places.map_err(|why| anyhow!("stun.other: {why}"))?;
                Box::new(StunServer::new(StunServerOptions { places }))
            }
            scheme if scheme == ntp::NTP.scheme => Box::new(NtpServer::new(NtpServerOptions {
                clock: self.clock(worker)?,
            })),
            scheme if scheme == sip::SIP.scheme => Box::new(SipServer::new(crate::random()?)),
            _ => bail!("nobody answers {} datagrams", protocol.name),
        })
    }

    /// What is known of this host's clock, and who finds it out.
    fn clock(&self, worker: &mut Worker) -> Result<ClockSource> {
        let Some(remote) = self.config.ntp.ask else {
            return Ok(self.config.ntp.clock());
        };
        let socket = UdpSocket::bind(&UdpOptions {
            local: SocketAddr::new(remote.ip(), 0),
            ..UdpOptions::default()
        })
        .with_context(|| format!("cannot ask {remote} (ntp.ask)"))?;
        let path = Path {
            link: LinkId::default(),
            local: socket.local_addr(),
            remote,
        };
        let cell = Arc::new(ClockCell::default());
        let follower = NtpFollower::new(path, crate::random_u64()?, Arc::clone(&cell));
        let machine = worker.add(Box::new(follower));
        worker.udp(socket, machine).context("cannot watch a UDP socket")?;
        Ok(ClockSource::Told(cell))
    }

    fn stream_responder(&self, protocol: &Protocol) -> Result<MakeResponder> {
        if ![sip::SIP_TCP.scheme, sip::SIPS.scheme].contains(&protocol.scheme) {
            bail!("nobody answers {} connections", protocol.name);
        }
        let server = SipServer::new(crate::random()?);
        Ok(Box::new(move |path| Box::new(server.connection(path))))
    }
}
