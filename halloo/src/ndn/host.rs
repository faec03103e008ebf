//! A ping server's sockets and machines: behind a forwarder, on ports of its own, or both.

use super::ethernet::{EthernetServer, Port, Wire};
use super::face::{Face, PORT};
use crate::cli::listen_address;
use crate::hint::explain;
use anyhow::{Context, Result};
use halloo_base::{Counters, LinkId, Path, Reason, Stamp, Transport, Wall};
use halloo_io::{ListenOptions, StreamOptions, TcpListener, UdpOptions, UdpSocket, Worker};
use halloo_protocols::Protocol;
use halloo_protocols::ndn::{
    FaceEvent, FaceSink, Insist, LONGEST_PACKET, NDN, NDN_TCP, Name, PingServer, PingSink, Registration,
    ServerFace, Signer, UriForm,
};
use halloo_serve::{Guards, Secret, Server, ServerOptions, StreamServer, StreamServerOptions};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::Thread;

/// Room for a tenth of a second of the fastest that one thread answers.
const RECEIVE_BUFFER: usize = 8 << 20;
/// Answers that may wait to be told; what comes while so many do is told by number alone.
const MOST_UNTOLD: usize = 65_536;

/// A port of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Listen {
    /// UDP's or TCP's.
    Port(Transport, SocketAddr),
    /// All of a device, without IP.
    Device(String),
}

impl FromStr for Listen {
    type Err = String;

    /// Reads `udp://[::]:6363`, `tcp://192.0.2.7`, `udp://6363`.
    fn from_str(uri: &str) -> Result<Listen, String> {
        const FORMS: &str = "use udp://ADDRESS[:6363], tcp://ADDRESS[:6363] or dev://DEVICE";
        let (scheme, place) = uri.split_once("://").ok_or(FORMS)?;
        let transport = match scheme.to_ascii_lowercase().as_str() {
            "udp" => Transport::Udp,
            "tcp" => Transport::Tcp,
            "dev" => {
                return Wire::parse("dev", place)
                    .map(|wire| Listen::Device(wire.device))
                    .ok_or(FORMS.into());
            }
            _ => return Err(FORMS.into()),
        };
        let bare = place.strip_prefix('[').and_then(|place| place.strip_suffix(']'));
        let address = match bare.unwrap_or(place).parse::<IpAddr>() {
            Ok(ip) => SocketAddr::new(ip, PORT),
            Err(_) => listen_address(place)?,
        };
        Ok(Listen::Port(transport, address))
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Listen::Port(Transport::Tcp, address) => write!(f, "tcp://{address}"),
            Listen::Port(_, address) => write!(f, "udp://{address}"),
            Listen::Device(name) => write!(f, "dev://{name}"),
        }
    }
}

/// What a worker is to be given.
pub(crate) struct Equipment {
    pub(crate) server: PingServer,
    /// The forwarder that it is behind.
    pub(crate) face: Option<Face>,
    pub(crate) insist: Insist,
    /// Ports of its own, and whom it answers there.
    pub(crate) listen: Vec<Listen>,
    pub(crate) guards: Guards,
    pub(crate) streams: StreamServerOptions,
    /// Who is told what happens.
    pub(crate) tap: Tap,
}

/// What a worker was given.
pub(crate) struct Equipped {
    /// Its ports, with those that the kernel chose.
    pub(crate) listening: Vec<Listen>,
    /// What each of its machines counts.
    pub(crate) counters: Vec<(&'static Protocol, Arc<Counters>)>,
}

impl Equipment {
    /// Opens all sockets, or none, and gives them to the worker.
    ///
    /// # Errors
    /// The first socket that could not be had.
    pub(crate) fn give(self, worker: &mut Worker) -> Result<Equipped> {
        let (mut udp, mut tcp, mut devices) = (vec![], vec![], vec![]);
        for listen in &self.listen {
            let cannot = || format!("cannot listen on {listen}");
            match listen {
                Listen::Port(Transport::Tcp, address) => tcp.push(bind_tcp(*address).with_context(cannot)?),
                Listen::Port(_, address) => udp.push(bind_udp(*address).with_context(cannot)?),
                Listen::Device(name) => devices.push(Port::open(name).with_context(cannot)?),
            }
        }
        let mut equipped = Equipped {
            listening: vec![],
            counters: vec![],
        };
        if !udp.is_empty() {
            equipped.udp(&self, udp, worker)?;
        }
        if !tcp.is_empty() {
            equipped.tcp(&self, tcp, worker)?;
        }
        for port in devices {
            equipped.device(&self, port, worker)?;
        }
        if let Some(face) = &self.face {
            equipped.face(&self, face, worker)?;
        }
        Ok(equipped)
    }

    fn responder(&self) -> PingServer {
        self.server.sibling(Box::new(self.tap.clone()))
    }
}

impl Equipped {
    fn udp(&mut self, with: &Equipment, sockets: Vec<UdpSocket>, worker: &mut Worker) -> Result<()> {
        let options = ServerOptions {
            guards: Guards {
                // Forwarders ask from the port that they are asked at. An answer is Data, and nobody answers that.
                one_port: true,
                ..with.guards.clone()
            },
            reply_limit: with.server.reply_limit(),
            transport: Transport::Udp,
            secret: Secret::new(crate::random()?),
        };
        let counters = self.count(&NDN);
        let machine = worker.add(Box::new(Server::new(
            options,
            Box::new(with.responder()),
            counters,
        )?));
        for socket in sockets {
            self.tell(Transport::Udp, socket.local_addr());
            worker.udp(socket, machine).context("cannot watch a UDP socket")?;
        }
        Ok(())
    }

    fn tcp(&mut self, with: &Equipment, listeners: Vec<TcpListener>, worker: &mut Worker) -> Result<()> {
        let options = StreamServerOptions {
            // Half a packet may wait for its other half.
            pending: LONGEST_PACKET as u32,
            ..with.streams.clone()
        };
        let counters = self.count(&NDN_TCP);
        let tap = Tap {
            // On the same thread as the server that counts connections there.
            counters: Some(Arc::clone(&counters)),
            ..with.tap.clone()
        };
        let server = with.responder();
        let make = move |_: &Path| Box::new(server.sibling(Box::new(tap.clone()))) as Box<_>;
        let machine = worker.add(Box::new(StreamServer::new(options, Box::new(make), counters)?));
        for listener in listeners {
            self.tell(Transport::Tcp, listener.local_addr());
            worker
                .listen(listener, machine)
                .context("cannot watch a TCP listener")?;
        }
        Ok(())
    }

    fn device(&mut self, with: &Equipment, port: Port, worker: &mut Worker) -> Result<()> {
        let counters = self.count(&NDN);
        let machine = worker.add(Box::new(EthernetServer::new(with.responder(), &port, counters)));
        self.listening
            .push(Listen::Device(port.socket.device().to_owned()));
        worker
            .packet(port.socket, machine)
            .context("cannot watch a packet socket")
    }

    fn face(&mut self, with: &Equipment, face: &Face, worker: &mut Worker) -> Result<()> {
        let remote = face.address()?;
        let any = match remote {
            SocketAddr::V4(_) => IpAddr::from(Ipv4Addr::UNSPECIFIED),
            SocketAddr::V6(_) => IpAddr::from(Ipv6Addr::UNSPECIFIED),
        };
        let path = Path {
            link: LinkId::default(),
            local: (any, 0).into(),
            remote,
        };
        let registration = Registration::new(with.server.prefix().to_buf(), Signer::digest());
        let machine = ServerFace::new(
            with.responder(),
            registration,
            path,
            with.insist,
            Box::new(with.tap.clone()),
            self.count(&NDN),
        );
        let machine = worker.add(Box::new(machine));
        let options = StreamOptions {
            answers: true,
            ..face.stream_options()
        };
        worker.streams(options, machine);
        Ok(())
    }

    fn tell(&mut self, transport: Transport, address: SocketAddr) {
        self.listening.push(Listen::Port(transport, address));
    }

    fn count(&mut self, protocol: &'static Protocol) -> Arc<Counters> {
        let counters = Arc::new(Counters::default());
        self.counters.push((protocol, Arc::clone(&counters)));
        counters
    }

    /// How many packets went unanswered, or connections were turned away, and why.
    pub(crate) fn silent(&self) -> Vec<(Reason, u64)> {
        let count = |&why| {
            let counts = self.counters.iter().map(|(_, counters)| counters.count(why));
            (why, counts.sum())
        };
        Reason::ALL.iter().map(count).filter(|&(_, n)| n > 0).collect()
    }
}

fn bind_udp(local: SocketAddr) -> Result<UdpSocket> {
    let options = UdpOptions {
        local,
        receive_buffer: Some(RECEIVE_BUFFER),
        merge: true,
        ..UdpOptions::default()
    };
    UdpSocket::bind(&options).map_err(explain)
}

fn bind_tcp(local: SocketAddr) -> Result<TcpListener> {
    let options = ListenOptions {
        local,
        ..ListenOptions::default()
    };
    TcpListener::bind(&options).map_err(explain)
}

/// An Interest that was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    /// When it arrived.
    pub(crate) at: Wall,
    /// Its name, in the URI form that [`Detail`] asks for.
    pub(crate) name: String,
}

/// How much of an Interest's name is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Detail {
    /// Nothing: answers are counted only.
    Nothing,
    /// The last component.
    Last,
    /// All of it.
    Whole,
}

/// The end that the answering thread writes to; it never waits.
#[derive(Clone)]
pub(crate) struct Tap {
    shared: Arc<Shared>,
    asked: SyncSender<Asked>,
    events: Sender<FaceEvent>,
    /// Where packets are counted that are not answered, if nobody else does.
    counters: Option<Arc<Counters>>,
}

struct Shared {
    detail: Detail,
    /// After so many answers the reader is woken, whatever it wants to be told.
    most: Option<u64>,
    answered: AtomicU64,
    untold: AtomicU64,
    reader: Thread,
}

/// The end that is read.
pub(crate) struct Tapped {
    shared: Arc<Shared>,
    pub(crate) asked: Receiver<Asked>,
    pub(crate) events: Receiver<FaceEvent>,
}

/// A tap that wakes `reader`.
pub(crate) fn tap(detail: Detail, most: Option<u64>, reader: Thread) -> (Tap, Tapped) {
    let shared = Arc::new(Shared {
        detail,
        most,
        answered: AtomicU64::new(0),
        untold: AtomicU64::new(0),
        reader,
    });
    let (asked, asked_reader) = sync_channel(MOST_UNTOLD);
    let (events, events_reader) = channel();
    let tap = Tap {
        shared: Arc::clone(&shared),
        asked,
        events,
        counters: None,
    };
    let tapped = Tapped {
        shared,
        asked: asked_reader,
        events: events_reader,
    };
    (tap, tapped)
}

impl Tapped {
    /// Interests that were answered.
    pub(crate) fn answered(&self) -> u64 {
        self.shared.answered.load(Ordering::Relaxed)
    }

    /// Whether so many were answered as were to be.
    pub(crate) fn is_done(&self) -> bool {
        self.shared.most.is_some_and(|most| self.answered() >= most)
    }

    /// Interests that there was no room to tell of.
    pub(crate) fn untold(&self) -> u64 {
        self.shared.untold.load(Ordering::Relaxed)
    }
}

impl PingSink for Tap {
    fn answered(&mut self, at: Stamp, name: Name<'_>) {
        let shared = &*self.shared;
        let answered = shared.answered.fetch_add(1, Ordering::Relaxed) + 1;
        let name = match shared.detail {
            Detail::Nothing => None,
            Detail::Last => name.last().map(|last| last.to_uri(UriForm::Alternate)),
            Detail::Whole => Some(name.to_uri(UriForm::Alternate)),
        };
        if let Some(name) = name {
            let told = self.asked.try_send(Asked { at: at.wall, name });
            shared
                .untold
                .fetch_add(u64::from(told.is_err()), Ordering::Relaxed);
            shared.reader.unpark();
        } else if shared.most == Some(answered) {
            shared.reader.unpark();
        }
    }

    fn silent(&mut self, why: Reason) {
        if let Some(counters) = &self.counters {
            counters.silent(why);
        }
    }
}

impl FaceSink for Tap {
    fn event(&mut self, event: FaceEvent) {
        // Who does not listen any more is about to end.
        let _ = self.events.send(event);
        self.shared.reader.unpark();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_of_its_own_is_a_transport_and_an_address() {
        let table = [
            ("udp://[::]:6363", Ok("udp://[::]:6363")),
            ("tcp://192.0.2.7", Ok("tcp://192.0.2.7:6363")),
            ("UDP://[2001:db8::7]", Ok("udp://[2001:db8::7]:6363")),
            ("udp://7000", Ok("udp://[::]:7000")),
            ("udp://224.0.0.1:1", Err("224.0.0.1 is a multicast address")),
            ("dev://eth0", Ok("dev://eth0")),
            ("dev://", Err("use udp://ADDRESS[:6363], tcp://")),
            ("ws://[::]:1", Err("use udp://ADDRESS[:6363], tcp://")),
            ("[::]:6363", Err("use udp://ADDRESS[:6363], tcp://")),
        ];
        for (uri, expected) in table {
            let listen = uri.parse::<Listen>().map(|listen| listen.to_string());
            match (listen, expected) {
                (Ok(listen), Ok(expected)) => assert_eq!(listen, expected),
                (Err(why), Err(expected)) => assert!(why.starts_with(expected), "{why}"),
                (listen, _) => panic!("{uri}: {listen:?}"),
            }
        }
    }
}
