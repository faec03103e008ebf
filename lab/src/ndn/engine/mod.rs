//! The forwarder's one thread: sockets in, tables, sockets out.

mod forwarding;

use super::face::{Face, Wire};
use super::management::Stamps;
use super::packet::Name;
use super::tables::{FaceId, Route, Tables};
use super::{Behaviour, Command, Counts, FaceView, Plan, RouteView, View};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, PipeReader, Read};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsFd;
use std::os::unix::net::UnixListener;
use std::sync::mpsc::{Receiver, Sender};
use std::time::SystemTime;

/// What a test wants the thread to do.
pub(super) type Request = Box<dyn FnOnce(&mut Engine) + Send>;

/// The forwarder's own face; the first neighbour has the next number, as at NFD.
const ITSELF: FaceId = 256;

/// All that the thread owns.
pub(super) struct Engine {
    /// With the ports that were found where it asked for any.
    plan: Plan,
    unix: Option<UnixListener>,
    tcp: Option<TcpListener>,
    udp: Option<UdpSocket>,
    faces: BTreeMap<FaceId, Face>,
    last_face: FaceId,
    tables: Tables,
    stamps: Stamps,
    behaviour: Behaviour,
    counts: Counts,
    commands: Vec<Command>,
    started: u64,
    nonces: u32,
    /// The last status datasets by topic, in segments.
    datasets: BTreeMap<String, Vec<Vec<u8>>>,
    /// The last one's version.
    versions: u64,
    /// Reads nothing from neighbours.
    is_held: bool,
    waiting: Vec<Waiting>,
}

/// A test that waits until something is so.
pub(super) struct Waiting {
    pub(super) until: Box<dyn Fn(&View) -> bool + Send>,
    pub(super) tell: Sender<()>,
}

/// What the thread waits on.
#[derive(Clone, Copy)]
enum Source {
    Requests,
    Unix,
    Tcp,
    Udp,
    Face(FaceId),
}

impl Engine {
    pub(super) fn new(plan: Plan) -> io::Result<Engine> {
        let mut engine = Engine {
            plan,
            unix: None,
            tcp: None,
            udp: None,
            faces: BTreeMap::new(),
            last_face: ITSELF,
            tables: Tables::default(),
            stamps: Stamps::default(),
            behaviour: Behaviour::default(),
            counts: Counts::default(),
            commands: Vec::new(),
            started: 0,
            nonces: 0,
            datasets: BTreeMap::new(),
            versions: 0,
            is_held: false,
            waiting: Vec::new(),
        };
        engine.come_up()?;
        Ok(engine)
    }

    /// Opens the sockets, at the same places as before.
    pub(super) fn come_up(&mut self) -> io::Result<()> {
        self.started = now_ms();
        if let Some(path) = &self.plan.unix {
            let listener = UnixListener::bind(path)?;
            listener.set_nonblocking(true)?;
            self.unix = Some(listener);
        }
        if let Some(at) = &mut self.plan.tcp {
            let listener = TcpListener::bind(*at)?;
            listener.set_nonblocking(true)?;
            *at = listener.local_addr()?;
            self.tcp = Some(listener);
        }
        if let Some(at) = &mut self.plan.udp {
            let socket = UdpSocket::bind(*at)?;
            socket.set_nonblocking(true)?;
            *at = socket.local_addr()?;
            self.udp = Some(socket);
        }
        self.tables.add(Route {
            prefix: Name::generic("localhost/nfd"),
            face: ITSELF,
            origin: 0,
            cost: 0,
            flags: 1,
            lag: 0,
        });
        Ok(())
    }

    /// Closes everything and forgets everything, as a process that ends.
    pub(super) fn go_down(&mut self) {
        if let (Some(_), Some(path)) = (self.unix.take(), &self.plan.unix) {
            // Whoever removed it before us wanted it gone too.
            let _ = fs::remove_file(path);
        }
        (self.tcp, self.udp) = (None, None);
        self.faces.clear();
        self.last_face = ITSELF;
        self.tables = Tables::default();
        self.stamps = Stamps::default();
    }

    /// Runs until the pipe that rings is closed.
    pub(super) fn run(mut self, mut bell: PipeReader, requests: &Receiver<Request>) {
        loop {
            self.tell_who_waits();
            for source in self.ready(&bell) {
                match source {
                    Source::Requests => {
                        if !matches!(bell.read(&mut [0; 64]), Ok(1..)) {
                            self.go_down();
                            return;
                        }
                        while let Ok(request) = requests.try_recv() {
                            request(&mut self);
                        }
                    }
                    Source::Unix => self.accept_unix(),
                    Source::Tcp => self.accept_tcp(),
                    Source::Udp => self.receive_udp(),
                    Source::Face(id) => self.serve(id),
                }
            }
        }
    }

    fn tell_who_waits(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        let view = self.view();
        self.waiting.retain(|waiting| {
            let is_met = (waiting.until)(&view);
            if is_met {
                // A test that gave up waiting has dropped its end.
                let _ = waiting.tell.send(());
            }
            !is_met
        });
    }

    fn ready(&self, bell: &PipeReader) -> Vec<Source> {
        let mut sources = vec![(Source::Requests, bell.as_fd(), PollFlags::POLLIN)];
        let listeners = [
            (Source::Unix, self.unix.as_ref().map(AsFd::as_fd)),
            (Source::Tcp, self.tcp.as_ref().map(AsFd::as_fd)),
            (Source::Udp, self.udp.as_ref().map(AsFd::as_fd)),
        ];
        for (source, fd) in listeners {
            let is_read = !(self.is_held && matches!(source, Source::Udp));
            sources.extend(fd.filter(|_| is_read).map(|fd| (source, fd, PollFlags::POLLIN)));
        }
        for face in self.faces.values() {
            let mut flags = PollFlags::empty();
            flags.set(PollFlags::POLLIN, !self.is_held);
            flags.set(PollFlags::POLLOUT, face.has_to_write());
            if !flags.is_empty() {
                sources.extend(face.fd().map(|fd| (Source::Face(face.id), fd, flags)));
            }
        }
        let mut fds: Vec<_> = sources
            .iter()
            .map(|(_, fd, flags)| PollFd::new(*fd, *flags))
            .collect();
        // An interrupted poll is a poll that found nothing.
        let _ = poll(&mut fds, PollTimeout::NONE);
        let ready = sources.iter().zip(&fds);
        ready
            .filter(|(_, fd)| fd.any() == Some(true))
            .map(|((source, ..), _)| *source)
            .collect()
    }

    fn accept_unix(&mut self) {
        while let Some(Ok((stream, _))) = self.unix.as_ref().map(UnixListener::accept) {
            if stream.set_nonblocking(true).is_ok() {
                self.add_face(Wire::Unix(stream));
            }
        }
    }

    fn accept_tcp(&mut self) {
        while let Some(Ok((stream, _))) = self.tcp.as_ref().map(TcpListener::accept) {
            if prepare(&stream).is_ok() {
                self.add_face(Wire::Tcp(stream));
            }
        }
    }

    fn add_face(&mut self, wire: Wire) -> FaceId {
        self.last_face += 1;
        self.faces.insert(self.last_face, Face::new(self.last_face, wire));
        self.last_face
    }

    /// The face of a UDP neighbour, made on demand.
    fn udp_face(&mut self, remote: SocketAddr) -> FaceId {
        let known = self.faces.values().find(|face| face.udp() == Some(remote));
        match known.map(|face| face.id) {
            Some(id) => id,
            None => self.add_face(Wire::Udp(remote)),
        }
    }

    fn receive_udp(&mut self) {
        let mut buffer = [0; 65_536];
        // Errors of earlier sends are reported by the next read, and are nobody's business.
        while let Some(received) = self.udp.as_ref().map(|socket| socket.recv_from(&mut buffer)) {
            match received {
                Ok((len, remote)) => {
                    let face = self.udp_face(remote);
                    self.take_in(face, &buffer[..len]);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => {}
            }
        }
    }

    fn serve(&mut self, id: FaceId) {
        let is_held = self.is_held;
        let Some(face) = self.faces.get_mut(&id) else {
            return;
        };
        face.flush();
        if is_held {
            return;
        }
        let taken = face.receive();
        for packet in taken.packets {
            self.take_in(id, &packet);
        }
        if taken.is_over {
            self.faces.remove(&id);
            self.tables.forget(id);
        }
    }

    pub(super) fn plan(&self) -> Plan {
        self.plan.clone()
    }

    pub(super) fn behave(&mut self, behaviour: Behaviour) {
        self.behaviour = behaviour;
    }

    pub(super) fn hold(&mut self, is_held: bool) {
        self.is_held = is_held;
    }

    pub(super) fn use_up_stamp(&mut self, time: u64) {
        self.stamps.use_up(time);
    }

    pub(super) fn wait(&mut self, waiting: Waiting) {
        self.waiting.push(waiting);
    }

    /// A route to a UDP neighbour that nobody on that side asked for.
    pub(super) fn route(&mut self, prefix: &str, remote: SocketAddr) {
        let face = self.udp_face(remote);
        self.tables.add(Route {
            prefix: Name::generic(prefix),
            face,
            origin: 255,
            cost: 0,
            flags: 1,
            lag: 0,
        });
    }

    /// Bytes as they are to whoever has exactly this prefix; to everybody without a prefix. How many that were.
    pub(super) fn inject(&mut self, prefix: Option<&str>, bytes: &[u8]) -> usize {
        let to: Vec<FaceId> = match prefix {
            Some(prefix) => self.tables.producers(&Name::generic(prefix)),
            None => self.faces.keys().copied().collect(),
        };
        for id in &to {
            let (udp, face) = (self.udp.as_ref(), self.faces.get_mut(id));
            let sent = face.is_some_and(|face| face.send_raw(bytes, udp));
            self.counts.dropped += u64::from(!sent);
        }
        to.len()
    }

    pub(super) fn view(&self) -> View {
        View {
            faces: self
                .faces
                .values()
                .map(|face| FaceView {
                    id: face.id,
                    remote: face.remote.clone(),
                    is_local: face.is_local,
                })
                .collect(),
            routes: self
                .tables
                .routes
                .iter()
                .filter(|route| route.face != ITSELF)
                .map(|route| RouteView {
                    prefix: route.prefix.to_string(),
                    face: route.face,
                })
                .collect(),
            counts: self.counts,
            commands: self.commands.clone(),
        }
    }
}

fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nonblocking(true)?;
    stream.set_nodelay(true)
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as u64)
}
