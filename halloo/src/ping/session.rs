//! A session on its own thread: sockets, driver, machine, and the way to reach it.

use super::plan::Plan;
use super::quic;
use super::resolve::{Resolved, device_index};
use super::sink::{Fate, Readers, RingSink, Wiring};
use crate::cli::Link;
use crate::hint::{explain, explain_icmp};
use crate::ndn::Face;
use crate::random_u64;
use crate::target::{Host, Target};
use anyhow::{Context, Result, bail};
use halloo_base::{AnyProber, LinkId, Path, Transport};
use halloo_io::{
    IcmpSocket, RawOptions, RawSocket, Remote, StreamOptions, UdpOptions, UdpSocket, Worker, WorkerOptions,
};
use halloo_probe::{DatagramSession, Event, Exchange, SessionOptions, StreamSession};
use halloo_protocols::ProberOptions;
use halloo_protocols::echo::UDP;
use halloo_protocols::http::HTTPS;
use halloo_protocols::icmp::{Family, IcmpProberOptions};
use halloo_protocols::ip_echo::EXPERIMENTAL;
use halloo_protocols::quic::QUIC;
use halloo_protocols::sip;
use halloo_quic::QuicEvent;
use halloo_tls::{Sealed, ServerName, Side};
use rtrb::Consumer;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// What a session is, for those who print it.
#[derive(Clone, Debug)]
pub(crate) struct About {
    /// Its number in every output, from 1.
    pub(crate) id: u32,
    /// Whom it asks, as the user named it.
    pub(crate) target: Target,
    /// The address behind that.
    pub(crate) remote: SocketAddr,
    /// The way to it, where it is not the target's protocol alone that says so.
    pub(crate) face: Option<Face>,
    /// By which link, if the user said.
    pub(crate) link: Option<Link>,
    /// How long the lookup took, where there was one.
    pub(crate) lookup: Option<Duration>,
    /// Payload bytes of each probe.
    pub(crate) size: u32,
    /// Time between probes; zero in a flood.
    pub(crate) spacing: Duration,
    /// After how long a probe is lost.
    pub(crate) lost_after: Duration,
    /// Probes to send; 0 without end.
    pub(crate) count: u64,
    /// TTL or hop limit that probes leave with; `None` for the system's own.
    pub(crate) ttl: Option<u8>,
    /// TOS or traffic class octet that probes leave with.
    pub(crate) tos: u8,
    /// Whether probes say by which routers to go.
    pub(crate) source_routed: bool,
    /// Whether probes carry the proof of a key.
    pub(crate) signed: bool,
    /// What tells it from the other sessions of this run; empty if it is the only one.
    pub(crate) label: String,
}

/// A session that is ready to run, or runs.
pub(super) struct Session {
    pub(super) about: About,
    pub(super) events: Consumer<Event>,
    /// What is told of its connection, if it is one of QUIC.
    pub(super) quic: Option<Consumer<QuicEvent>>,
    pub(super) rows: Option<Consumer<Event>>,
    pub(super) fate: Arc<Fate>,
    pub(super) remote: Remote,
    worker: Option<Worker>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl About {
    /// Whether it asks over a connection.
    pub(crate) fn is_stream(&self) -> bool {
        let protocol = self.target.protocol;
        let by_protocol = protocol.transport == Transport::Tcp || protocol.scheme == QUIC.scheme;
        self.face.as_ref().map_or(by_protocol, Face::is_stream)
    }

    /// The way to it, if it goes not by IP, so that there are neither addresses nor kernel stamps of departures.
    pub(crate) fn beside_ip(&self) -> Option<&Face> {
        self.face.as_ref().filter(|face| !face.is_ip())
    }

    /// Where it is asked, without the port: an address, or the socket of a forwarder.
    pub(crate) fn place(&self) -> String {
        match self.beside_ip() {
            Some(face) => face.to_string(),
            None => self.remote.ip().to_string(),
        }
    }

    /// The same with the port.
    pub(crate) fn address(&self) -> String {
        match self.beside_ip() {
            Some(face) => face.to_string(),
            None => self.remote.to_string(),
        }
    }

    /// The same without the scope number that only this host understands, and without the port where there is none.
    pub(crate) fn far_end(&self) -> String {
        let ip = self.remote.ip();
        match self.target.protocol.transport {
            _ if self.beside_ip().is_some() => self.address(),
            transport if transport.has_ports() => SocketAddr::new(ip, self.remote.port()).to_string(),
            _ => ip.to_string(),
        }
    }

    /// Payload bytes of an answer. Over IPv4 a raw socket hands over the header too, but an answer there is as long as
    /// its probe.
    pub(crate) fn payload_bytes(&self, exchange: &Exchange) -> u32 {
        match self.target.protocol.transport {
            Transport::Ip => self.size,
            _ => exchange.bytes,
        }
    }

    /// How many hops were taken from what comes back with this TTL. Nobody can tell but where the answer is the probe
    /// itself, turned round.
    pub(crate) fn hops_taken(&self, ttl: Option<u8>) -> Option<u8> {
        let sent = self.ttl.filter(|_| self.target.is_ip_echo())?;
        sent.checked_sub(ttl?)
    }
}

impl Session {
    /// Opens everything that the session needs, and sends nothing yet.
    ///
    /// # Errors
    /// If the link is not there or cannot be used.
    pub(super) fn prepare(about: About, plan: &Plan, wiring: &Wiring) -> Result<Session> {
        let (sink, readers) = RingSink::new(wiring);
        let Readers { screen, files, fate } = readers;
        let new_prober = about
            .target
            .protocol
            .prober
            .context("this protocol cannot be asked")?;
        let token = random_u64()?;
        let (source, device) = (
            about.link.as_ref().and_then(Link::source),
            about.link.as_ref().and_then(Link::device),
        );
        let (local, link) = near_end(&about)?;
        // Its requests have the identifier that the kernel gave to their socket.
        let icmp = match about.target.protocol.transport {
            Transport::Icmp => Some(open_icmp(&about, plan, local.ip())?),
            _ => None,
        };
        let question = about.target.question.as_ref();
        let ndn = question.map(|question| question.options(plan.lost_after, token));
        let prober = match (ndn, &about.face) {
            (Some(ndn), Some(face)) => face.prober(ndn),
            (ndn, _) => new_prober(&ProberOptions {
                key: plan.key.clone(),
                token,
                size: about.size as usize,
                tos: plan.tos.unwrap_or(0),
                authority: about.target.authority(),
                ndn,
                icmp: icmp.as_ref().map(of_icmp).unwrap_or_default(),
                http: plan.http_to(&about.target),
            }),
        };
        let mut worker = Worker::new(WorkerOptions {
            seed: random_u64()?,
            ..WorkerOptions::default()
        })
        .context("cannot set up the driver")?;
        // Without it a pulled cable is still seen, by its errors.
        let _ = worker.watch_links();
        let mut options = session_options(
            &about,
            plan,
            Path {
                link,
                local,
                remote: about.remote,
            },
        );
        let mut of_quic = None;
        match (prober, icmp) {
            (AnyProber::Datagram(prober), Some(socket)) => {
                let session = DatagramSession::new(options, prober, Box::new(sink))
                    .with_context(|| cannot_ask(&about))?;
                let machine = worker.add(Box::new(session));
                worker.icmp(socket, machine).context("cannot watch the socket")?;
            }
            (AnyProber::Datagram(prober), _) if let Some(Face::Ethernet(wire)) = &about.face => {
                let session = DatagramSession::new(options, prober, Box::new(sink))
                    .with_context(|| cannot_ask(&about))?;
                wire.give(session, &mut worker)
                    .with_context(|| cannot_use(&about))?;
            }
            (AnyProber::Datagram(prober), _) if about.target.protocol.transport == Transport::Ip => {
                let socket = open_raw(&about, plan, local.ip())
                    .map_err(explain)
                    .with_context(|| cannot_use(&about))?;
                let session = DatagramSession::new(options, prober, Box::new(sink))
                    .with_context(|| cannot_ask(&about))?;
                let machine = worker.add(Box::new(session));
                worker.raw(socket, machine).context("cannot watch the socket")?;
            }
            (prober, _) if about.target.protocol.transport == Transport::Quic => {
                let open = || {
                    open_udp(&about, plan, local)
                        .map_err(explain)
                        .with_context(|| cannot_use(&about))
                };
                let socket = open()?;
                options.path.local.set_port(socket.local_addr().port());
                let other = plan.quic.migrate.map(|_| open()).transpose()?;
                let port = other.as_ref().map(|socket| socket.local_addr().port());
                let made = quic::machine(&about, plan, options, prober, sink, port);
                let (machine, told) = made.with_context(|| cannot_ask(&about))?;
                of_quic = Some(told);
                let machine = worker.add(machine);
                for socket in [Some(socket), other].into_iter().flatten() {
                    worker.udp(socket, machine).context("cannot watch the socket")?;
                }
            }
            (AnyProber::Datagram(prober), _) => {
                let socket = open_udp(&about, plan, local)
                    .map_err(explain)
                    .with_context(|| cannot_use(&about))?;
                options.path.local.set_port(socket.local_addr().port());
                let session = DatagramSession::new(options, prober, Box::new(sink))
                    .with_context(|| cannot_ask(&about))?;
                let machine = worker.add(Box::new(session));
                worker.udp(socket, machine).context("cannot watch the socket")?;
            }
            (AnyProber::Stream(prober), _) => {
                // What HTTP sends is more than what its size says.
                options.size = options.size.max(1);
                let session = StreamSession::new(options, prober, Box::new(sink))
                    .with_context(|| cannot_ask(&about))?;
                let offers = match about.target.protocol {
                    protocol if protocol.scheme == HTTPS.scheme => Some(&[&b"http/1.1"[..]][..]),
                    // SIP's own name for it (sip/2) is hardly known: who is offered it may refuse.
                    protocol if sip::is_secured(protocol) => Some(&[][..]),
                    _ => None,
                };
                let machine = if let Some(offers) = offers {
                    let side = sealed(&about.target, plan, offers).with_context(|| cannot_ask(&about))?;
                    worker.add(Box::new(Sealed::new(session, side)))
                } else {
                    worker.add(Box::new(session))
                };
                let streams = StreamOptions {
                    device: device.map(str::to_owned),
                    source,
                    tos: plan.tos,
                    ttl: about.ttl,
                    dont_fragment: plan.dont_fragment,
                    ..about.face.as_ref().map(Face::stream_options).unwrap_or_default()
                };
                worker.streams(streams, machine);
            }
        }
        let remote = worker.remote();
        Ok(Session {
            about,
            events: screen,
            quic: of_quic,
            rows: files,
            fate,
            remote,
            worker: Some(worker),
            thread: None,
        })
    }

    /// Lets it run on a thread of its own.
    ///
    /// # Errors
    /// If there is no thread to be had.
    pub(super) fn start(&mut self) -> io::Result<()> {
        let Some(mut worker) = self.worker.take() else {
            return Ok(());
        };
        let fate = Arc::clone(&self.fate);
        let main = thread::current();
        let run = move || {
            let result = worker.run();
            fate.end();
            main.unpark();
            result
        };
        self.thread = Some(
            thread::Builder::new()
                .name(format!("session-{}", self.about.id))
                .spawn(run)?,
        );
        Ok(())
    }

    /// Waits for its end, which has come or been asked for.
    ///
    /// # Errors
    /// If its driver failed.
    pub(super) fn join(&mut self) -> io::Result<()> {
        match self.thread.take().map(JoinHandle::join) {
            None => Ok(()),
            Some(Ok(result)) => result,
            Some(Err(_)) => Err(io::Error::other("the session's thread panicked")),
        }
    }
}

/// Where it asks from: what the user said of it, and wildcards for the rest.
pub(super) fn near_end(about: &About) -> Result<(SocketAddr, LinkId)> {
    let link = about.link.as_ref();
    let source = link.and_then(Link::source);
    // What an IP echo host sends back comes to the port that it was sent to.
    let port = if about.target.is_ip_echo() {
        about.target.port
    } else {
        0
    };
    let local = SocketAddr::new(source.unwrap_or_else(|| any_like(about.remote)), port);
    let device = link.and_then(Link::device);
    Ok((local, LinkId(device.map(device_index).transpose()?.unwrap_or(0))))
}

/// One session for each link of a target.
pub(super) fn abouts(
    plan: &Plan,
    target: &Target,
    resolved: &Resolved,
    links: &[Option<Link>],
) -> Result<Vec<About>> {
    let about = |link: &Option<Link>| {
        Ok(About {
            id: 0,
            target: target.clone(),
            remote: resolved.choose(target, plan.family, link.as_ref())?,
            face: resolved.face.clone(),
            link: link.clone(),
            lookup: resolved.lookup,
            size: target
                .question
                .as_ref()
                .map_or(plan.size_to(target), |question| question.longest(plan.lost_after)),
            spacing: plan.spacing(),
            lost_after: plan.lost_after,
            count: plan.count,
            ttl: plan.ttl_to(target),
            tos: plan.tos.unwrap_or(0),
            source_routed: plan.source_routed,
            signed: plan.key.is_some(),
            label: String::new(),
        })
    };
    links.iter().map(about).collect()
}

fn session_options(about: &About, plan: &Plan, path: Path) -> SessionOptions {
    SessionOptions {
        size: about.size as usize,
        interval: plan.spacing(),
        count: plan.count,
        deadline: plan.deadline,
        lost_after: plan.lost_after,
        outstanding: window(about, plan),
        tos: plan.tos,
        // docs/wire/probe.md; in QUIC the marks are the connection's.
        mirrors_marks: about.target.protocol.scheme == UDP.scheme,
        // Forwarders forget a question when its time is over.
        discard_late: about.target.question.is_some(),
        departure_stamps: about.beside_ip().is_none(),
        ..SessionOptions::new(about.id, path)
    }
}

/// TLS towards this target, which is offered these protocols in it.
fn sealed(target: &Target, plan: &Plan, offers: &[&[u8]]) -> Result<Side> {
    Ok(Side::Client(plan.trust.client(offers)?, secured_name(target)?))
}

/// The name that the certificate of this target is to be for.
pub(super) fn secured_name(target: &Target) -> Result<ServerName<'static>> {
    Ok(match &target.host {
        Host::Name(name) => ServerName::try_from(name.clone())?,
        Host::V4(ip) => ServerName::from(IpAddr::from(*ip)),
        Host::V6(ip, _) => ServerName::from(IpAddr::from(*ip)),
        Host::Forwarder => bail!("a forwarder is not asked under TLS"),
    })
}

fn open_udp(about: &About, plan: &Plan, local: SocketAddr) -> io::Result<UdpSocket> {
    UdpSocket::bind(&udp_options(about, plan, local))
}

pub(super) fn udp_options(about: &About, plan: &Plan, local: SocketAddr) -> UdpOptions {
    UdpOptions {
        local,
        device: about.link.as_ref().and_then(Link::device).map(str::to_owned),
        v6_only: local.is_ipv6(),
        tos: plan.tos,
        ttl: about.ttl,
        // QUIC finds out by itself what fits (RFC 9000 section 14).
        dont_fragment: plan.dont_fragment || about.target.protocol.transport == Transport::Quic,
        prober: true,
        receive_buffer: receive_buffer(about, plan),
        ..UdpOptions::default()
    }
}

fn open_raw(about: &About, plan: &Plan, local: IpAddr) -> io::Result<RawSocket> {
    RawSocket::open(&raw_options(about, plan, local))
}

fn open_icmp(about: &About, plan: &Plan, local: IpAddr) -> Result<IcmpSocket> {
    let identifier = random_u64()? as u16;
    open_icmp_with(about, &raw_options(about, plan, local), identifier)
}

pub(super) fn open_icmp_with(about: &About, options: &RawOptions, identifier: u16) -> Result<IcmpSocket> {
    IcmpSocket::open(options, identifier)
        .map_err(explain_icmp)
        .with_context(|| cannot_use(about))
}

pub(super) fn of_icmp(socket: &IcmpSocket) -> IcmpProberOptions {
    let family = match socket.local_addr() {
        IpAddr::V4(_) => Family::V4,
        IpAddr::V6(_) => Family::V6,
    };
    IcmpProberOptions {
        identifier: socket.identifier(),
        family,
    }
}

pub(super) fn raw_options(about: &About, plan: &Plan, local: IpAddr) -> RawOptions {
    let protocol = about.target.ip_protocol.unwrap_or(EXPERIMENTAL);
    RawOptions {
        device: about.link.as_ref().and_then(Link::device).map(str::to_owned),
        tos: plan.tos,
        ttl: about.ttl,
        dont_fragment: plan.dont_fragment,
        prober: true,
        receive_buffer: receive_buffer(about, plan),
        ip_options: plan.ip_options.clone(),
        ..RawOptions::new(protocol, local)
    }
}

/// Room for every answer of a flood at once, so that none is lost behind the network. At a pace they do not pile up.
fn receive_buffer(about: &About, plan: &Plan) -> Option<usize> {
    const LEAST: usize = 1 << 20;
    const MOST: usize = 256 << 20;
    /// What the kernel keeps beside the payload of a short datagram.
    const OVERHEAD: usize = 768;
    // The kernel rounds what a datagram takes up, at worst to more than twice its length.
    let bytes = plan.window as usize * (about.size as usize + OVERHEAD) * 5 / 2;
    plan.is_flood().then_some(bytes.clamp(LEAST, MOST))
}

pub(super) fn cannot_use(about: &About) -> String {
    match &about.link {
        Some(link) => format!("--link {link}"),
        None => format!("cannot open a socket for {}", about.target),
    }
}

fn cannot_ask(about: &About) -> String {
    format!("cannot ask {}", about.target)
}

fn any_like(remote: SocketAddr) -> IpAddr {
    match remote {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    }
}

/// How many probes a flood has in flight: over a stream no more than fit between two hosts, the rest would only wait
/// at this one.
fn window(about: &About, plan: &Plan) -> u32 {
    const STREAM_BYTES: u32 = 2 << 20;
    match about.target.protocol.transport {
        Transport::Tcp => plan.window.min((STREAM_BYTES / about.size.max(1)).max(1)),
        _ => plan.window,
    }
}
