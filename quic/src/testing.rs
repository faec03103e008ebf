//! A client and a server with a network between them, in virtual time.

use crate::server::{DatagramEcho, QuicCounters, QuicServer, QuicServerOptions, Services};
use crate::{ALPN, Client, ClientOptions, QuicEvent, QuicSink};
use halloo_base::{
    Clock, ConnId, Cx, Datagram, Env, Input, LinkId, Machine, Marks, Mono, Offload, Outbox, Output, Path,
    ReplyLimit, Rng, Stamp, StampSource, StreamInput, TxTag, Wall,
};
use halloo_protocols::echo::{TcpEcho, UdpEcho, UdpEchoOptions};
use halloo_tls::{Pin, Trust};
use rcgen::{CertificateParams, KeyPair};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{PrivateKeyDer, ServerName};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// The origin of virtual time. Which instant it is makes no difference.
pub(crate) fn base() -> Instant {
    #[expect(clippy::disallowed_methods, reason = "there is no other way to an instant")]
    Instant::now()
}

pub(crate) struct At(pub(crate) Mono);

impl Clock for At {
    fn stamp(&self) -> Stamp {
        Stamp {
            mono: self.0,
            wall: Wall(1_700_000_000_000_000_000 + self.0.0),
            source: StampSource::User,
        }
    }
}

fn kernel(stamp: Stamp) -> Stamp {
    Stamp {
        source: StampSource::Kernel,
        ..stamp
    }
}

pub(crate) fn path() -> Path {
    Path {
        link: LinkId(3),
        local: ([192, 0, 2, 1], 40_000).into(),
        remote: ([192, 0, 2, 9], 4_433).into(),
    }
}

fn back(path: Path) -> Path {
    Path {
        local: path.remote,
        remote: path.local,
        ..path
    }
}

/// A server's TLS, and the certificate by which it is known.
pub(crate) fn certificate() -> (ServerConfig, Vec<u8>) {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["halloo.example".to_owned()]).unwrap();
    let certificate = params.self_signed(&key).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::Pkcs8(key.serialize_der().into()),
        )
        .unwrap();
    (config, certificate.der().to_vec())
}

pub(crate) fn client(trust: &Trust, options: ClientOptions) -> Client {
    let tls = trust.client(&[ALPN]).unwrap();
    let name = ServerName::try_from("halloo.example").unwrap();
    Client::new(&tls, &name, options).unwrap()
}

pub(crate) fn pinned(certificate: &[u8]) -> Client {
    client(&Trust::Pinned(Pin::of(certificate)), ClientOptions::default())
}

pub(crate) fn server(options: QuicServerOptions, tls: &ServerConfig) -> (QuicServer, Arc<QuicCounters>) {
    let counters = Arc::<QuicCounters>::default();
    let echo = DatagramEcho {
        responder: Box::new(UdpEcho::new(UdpEchoOptions::default(), [7; 32])),
        limit: ReplyLimit::SameAsRequest,
    };
    let server = QuicServer::new(
        options,
        tls,
        Box::new(|_, _, _, _| Ok(())),
        Services {
            make: Box::new(|_| Box::new(TcpEcho)),
            datagrams: Some(echo),
            lending: None,
        },
        Arc::clone(&counters),
        base(),
    );
    (server.unwrap(), counters)
}

/// Where lines are written down by one who is given away.
pub(crate) type Diary = Arc<Mutex<Vec<String>>>;

pub(crate) fn lines(diary: &Diary) -> Vec<String> {
    diary.lock().unwrap().clone()
}

/// Writes events into a diary.
pub(crate) fn sink(diary: &Diary) -> Box<dyn QuicSink> {
    let diary = Arc::clone(diary);
    Box::new(move |event| {
        let line = match event {
            QuicEvent::Connected {
                at, resumed, early, ..
            } => {
                let at = Duration::from_nanos(at.mono.0);
                format!("connected at {at:?}, resumed {resumed:?}, early {early:?}")
            }
            QuicEvent::Moved { path, at, took } => {
                let (at, port) = (Duration::from_nanos(at.mono.0), path.local.port());
                format!("moved to {port} at {at:?}, seen after {took:?}")
            }
            QuicEvent::Lost { why, .. } => format!("lost: {why:?}"),
        };
        diary.lock().unwrap().push(line);
    })
}

/// Sends so many bytes over each of some connections, one after another, and wants them back.
pub(crate) struct Talker {
    pub(crate) diary: Diary,
    pub(crate) bytes: usize,
    pub(crate) connections: u64,
    pub(crate) current: u64,
    /// Whether it does not finish what it began.
    pub(crate) lingers: bool,
    heard: usize,
}

impl Talker {
    pub(crate) fn new(diary: &Diary, bytes: usize, connections: u64) -> Talker {
        Talker {
            diary: Arc::clone(diary),
            bytes,
            connections,
            current: 0,
            lingers: false,
            heard: 0,
        }
    }

    fn note(&self, line: String) {
        self.diary.lock().unwrap().push(line);
    }
}

fn pattern(place: usize) -> u8 {
    (place ^ place >> 8 ^ place >> 16) as u8
}

impl Machine for Talker {
    fn handle(&mut self, cx: &mut Cx<'_>, input: Input<'_>) {
        let own = ConnId(self.current);
        match input {
            Input::Wake => {
                if self.current == 0 && self.heard == 0 && lines(&self.diary).is_empty() {
                    self.note("connects".to_owned());
                    cx.out.connect(own, path());
                }
            }
            Input::Stream(id, StreamInput::Opened { at, .. }) => {
                assert_eq!(id, own);
                self.note(format!("opened at {:?}", Duration::from_nanos(at.mono.0)));
                let bytes: Vec<u8> = (0..self.bytes).map(pattern).collect();
                cx.out.write(own, Some(TxTag(self.current)), &bytes);
            }
            Input::Stream(id, StreamInput::Data { bytes, .. }) => {
                assert_eq!(id, own);
                for (place, byte) in bytes.iter().enumerate() {
                    assert_eq!(*byte, pattern(self.heard + place));
                }
                self.heard += bytes.len();
                if self.heard == self.bytes {
                    self.note("heard all".to_owned());
                    if !self.lingers {
                        cx.out.finish(own);
                    }
                }
            }
            Input::Stream(_, StreamInput::Finished) => self.note("finished".to_owned()),
            Input::Stream(_, StreamInput::Closed(why)) => {
                self.note(format!("{why:?}"));
                self.heard = 0;
                self.current += 1;
                if self.current < self.connections {
                    cx.out.connect(ConnId(self.current), path());
                }
            }
            Input::Departed(tag, at) => {
                self.note(format!(
                    "departed {} at {:?}",
                    tag.0,
                    Duration::from_nanos(at.mono.0)
                ));
            }
            Input::Stop => self.current = self.connections,
            other => panic!("{other:?}"),
        }
    }

    fn deadline(&self) -> Option<halloo_base::Deadline> {
        None
    }

    fn finished(&self) -> bool {
        self.current >= self.connections
    }
}

/// Where a client goes that moves by itself.
pub(crate) const OTHER_PORT: u16 = 50_000;

/// What the network does to what it carries.
#[derive(Clone, Copy, Default)]
pub(crate) struct Network {
    /// How likely a datagram is lost, and how likely it comes twice.
    pub(crate) loss: f64,
    pub(crate) duplication: f64,
    /// How much later than the others some come.
    pub(crate) reordering: Duration,
    /// From when on nothing gets through.
    pub(crate) cut_at: Option<Mono>,
    /// What the server sends there gets to nobody.
    pub(crate) nobody: Option<std::net::SocketAddr>,
}

/// How long everything takes, one way.
pub(crate) const DELAY: Duration = Duration::from_millis(10);

struct Carried {
    at: Mono,
    to_server: bool,
    /// As its receiver sees it, where a client has moved by itself.
    path: Option<Path>,
    bytes: Vec<u8>,
}

/// Both ends and what is between them.
pub(crate) struct World<M> {
    pub(crate) client: M,
    pub(crate) server: QuicServer,
    pub(crate) network: Network,
    pub(crate) now: Mono,
    rng: Rng,
    carried: Vec<Carried>,
    /// How many UDP payload bytes were sent by the client and by the server.
    pub(crate) sent: [usize; 2],
    /// The client's path as the server sees it, should it move.
    pub(crate) path: Path,
    before: Option<Path>,
    /// Draws what is damaged.
    damage: Option<Rng>,
}

impl<M: Machine> World<M> {
    pub(crate) fn new(client: M, server: QuicServer) -> World<M> {
        World {
            client,
            server,
            network: Network::default(),
            now: Mono(0),
            rng: Rng::new(5),
            carried: Vec::new(),
            sent: [0; 2],
            path: path(),
            before: None,
            damage: None,
        }
    }

    /// From now on the client comes from another address, by another link of the server's.
    pub(crate) fn move_to(&mut self, address: std::net::SocketAddr) {
        self.before = Some(self.path);
        self.path.local = address;
        self.path.link = LinkId(4);
    }

    /// From now on one datagram of ten is damaged.
    pub(crate) fn damage(&mut self, seed: u64) {
        self.damage = Some(Rng::new(seed));
    }

    /// What is under way, the oldest first.
    pub(crate) fn take(&mut self) -> Option<Vec<u8>> {
        (!self.carried.is_empty()).then(|| self.carried.remove(0).bytes)
    }

    /// What is under way to the server, the oldest.
    pub(crate) fn to_server(&self) -> Option<Vec<u8>> {
        let one = self.carried.iter().find(|one| one.to_server)?;
        Some(one.bytes.clone())
    }

    /// Tells one end something, and carries what it sends.
    pub(crate) fn tell(&mut self, is_server: bool, input: Input<'_>) {
        let mut out = Outbox::new();
        let clock = At(self.now);
        let mut rng = self.rng.fork();
        let mut cx = Cx {
            env: Env {
                now: self.now,
                clock: &clock,
                rng: &mut rng,
            },
            out: &mut out,
        };
        match is_server {
            true => self.server.handle(&mut cx, input),
            false => self.client.handle(&mut cx, input),
        }
        let mut tags = vec![];
        for output in out.iter() {
            let Output::Datagram(how, bytes) = output else {
                panic!("{output:?}")
            };
            let known = if is_server {
                [Some(back(self.path)), self.before.map(back)]
            } else {
                [Some(path()), None]
            };
            let is_known = known.contains(&Some(how.path));
            let ports = [how.path.local.port(), how.path.remote.port()];
            assert!(is_known || ports.contains(&OTHER_PORT), "{}", how.path);
            let seen = (!is_known).then(|| back(how.path));
            assert!(bytes.len() <= 1_200);
            tags.extend(how.tag);
            self.sent[usize::from(is_server)] += bytes.len();
            if is_server && self.network.nobody == Some(how.path.remote) {
                continue;
            }
            self.carry(!is_server, seen, bytes);
        }
        for tag in tags {
            self.tell(is_server, Input::Departed(tag, kernel(clock.stamp())));
        }
    }

    fn carry(&mut self, to_server: bool, path: Option<Path>, bytes: &[u8]) {
        let copies = 1 + usize::from(self.rng.chance(self.network.duplication));
        for _ in 0..copies {
            let is_cut = self.network.cut_at.is_some_and(|at| at <= self.now);
            if is_cut || self.rng.chance(self.network.loss) {
                continue;
            }
            let most = self.network.reordering.as_nanos() as u64;
            let late = Duration::from_nanos(self.rng.below(most));
            let mut bytes = bytes.to_vec();
            if let Some(rng) = &mut self.damage
                && rng.chance(0.1)
            {
                let place = rng.below(bytes.len() as u64) as usize;
                bytes[place] ^= 1 << rng.below(8);
            }
            self.carried.push(Carried {
                at: self.now + DELAY + late,
                to_server,
                path,
                bytes,
            });
        }
    }

    /// Hands a datagram to one end.
    pub(crate) fn deliver(&mut self, to_server: bool, bytes: &[u8]) {
        let path = if to_server { back(self.path) } else { path() };
        self.deliver_by(to_server, path, bytes);
    }

    fn deliver_carried(&mut self, one: &Carried) {
        match one.path {
            Some(path) => self.deliver_by(one.to_server, path, &one.bytes),
            None => self.deliver(one.to_server, &one.bytes),
        }
    }

    pub(crate) fn deliver_by(&mut self, to_server: bool, path: Path, bytes: &[u8]) {
        let rx = Datagram {
            path,
            at: kernel(At(self.now).stamp()),
            marks: Marks::default(),
            payload: bytes,
            offload: Offload::default(),
        };
        self.tell(to_server, Input::Datagram(rx));
    }

    /// Goes on until the client is finished or so much time has passed; says whether it is.
    pub(crate) fn run(&mut self, most: Duration) -> bool {
        let end = self.now + most;
        if self.now == Mono(0) {
            self.tell(false, Input::Wake);
        }
        while !self.client.finished() {
            // The first of those that come at the same time was sent first.
            let next = self
                .carried
                .iter()
                .enumerate()
                .min_by_key(|(place, one)| (one.at, *place));
            let arrival = next.map(|(place, one)| (one.at, place));
            let wakes = [self.client.deadline(), self.server.deadline()];
            let wakes = wakes.map(|deadline| deadline.map(|deadline| deadline.at.max(self.now)));
            let first = [arrival.map(|(at, _)| at), wakes[0], wakes[1]];
            let Some(at) = first.into_iter().flatten().min().filter(|at| *at <= end) else {
                self.now = end;
                return false;
            };
            self.now = at;
            match arrival {
                Some((due, place)) if due == at => {
                    let one = self.carried.remove(place);
                    self.deliver_carried(&one);
                }
                _ => self.tell(wakes[0] != Some(at), Input::Wake),
            }
        }
        // What is still under way arrives, and the server may see that the client has left.
        for one in std::mem::take(&mut self.carried) {
            if one.to_server {
                self.deliver_carried(&one);
            }
        }
        true
    }
}
