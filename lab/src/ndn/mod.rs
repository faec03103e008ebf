//! A fake NDN forwarder that does what NFD was measured to do, and on request what NFD does on a bad day.
//!
//! It shares no code with halloo's own codec: what judges that must not share its mistakes. It has no content store, and a
//! route is not inherited by longer prefixes. lab/ndn/README.md says how to run the same tests against a real NFD.

mod engine;
mod face;
mod lp;
mod management;
mod packet;
mod tables;
mod tlv;

pub use management::{Command, CommandForm, Commands};

use engine::{Engine, Request, Waiting};
use management::{Desk, Stamps};
use std::io::{self, PipeWriter, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::mpsc::{self, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// How long [`Forwarder::wait_for`] waits for what should happen at once, so that a hang ends with a message.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where a forwarder listens. Port 0 asks for any that is free.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// A path that does not exist yet.
    pub unix: Option<PathBuf>,
    /// Local faces if both ends are on the loopback.
    pub tcp: Option<SocketAddr>,
    /// Faces that are never local.
    pub udp: Option<SocketAddr>,
}

/// What a forwarder does differently from the most ordinary one.
#[derive(Clone, Debug)]
pub struct Behaviour {
    /// Which forms of commands it understands.
    pub commands: Commands,
    /// So many commands from now on are refused with 403, whatever their stamps.
    pub refusals: u32,
    /// So many Interests still find no route after it was granted with 200.
    pub route_lag: u32,
    /// Interests carry a PitToken to producers, and Data without it is dropped and counted.
    pub pit_tokens: bool,
    /// Data carries a CongestionMark.
    pub congestion_marks: bool,
    /// The MTU of UDP faces; `None` for one that never makes fragments.
    pub mtu: Option<usize>,
    /// Commands under `/localhop` are taken, from every face.
    pub localhop: bool,
    /// How many bytes a segment of a status dataset has at most.
    pub segment: usize,
}

/// What passed. Counted since the forwarder was made, restarts included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Counts {
    /// Interests that came.
    pub interests: u64,
    /// Data that came.
    pub data: u64,
    /// Nacks that came.
    pub nacks: u64,
    /// Nacks of its own.
    pub nacks_sent: u64,
    /// Those of them for a name and nonce that had come before.
    pub duplicates: u64,
    /// Parts of packets that came.
    pub fragments: u64,
    /// What came and could not be read.
    pub undecodable: u64,
    /// Data that nobody waited for.
    pub unsolicited: u64,
    /// Data that somebody waited for, without the PitToken that it had to carry.
    pub token_lost: u64,
    /// Commands that NFD says nothing to.
    pub unanswered_commands: u64,
    /// Interests out of their scope or hops, and packets that found a neighbour's queue full.
    pub dropped: u64,
}

/// A neighbour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FaceView {
    /// Its number.
    pub id: u64,
    /// Where it is, as NFD writes it: `fd://257`, `tcp4://127.0.0.1:40000`, `udp4://127.0.0.1:6363`.
    pub remote: String,
    /// Whether it may ask for names under `/localhost`.
    pub is_local: bool,
}

/// A way to whoever has a prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteView {
    /// The prefix as a URI.
    pub prefix: String,
    /// The neighbour's number.
    pub face: u64,
}

/// All that a test can see of a forwarder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// Its neighbours.
    pub faces: Vec<FaceView>,
    /// Its routes, but not the one to itself.
    pub routes: Vec<RouteView>,
    /// What passed.
    pub counts: Counts,
    /// The commands that it answered, oldest first; restarts do not forget them.
    pub commands: Vec<Command>,
}

/// A running forwarder. It ends when this is dropped.
#[derive(Debug)]
pub struct Forwarder {
    requests: Sender<Request>,
    /// Each byte says that there is a request; closing it ends the thread.
    bell: Option<PipeWriter>,
    thread: Option<JoinHandle<()>>,
}

impl Default for Behaviour {
    fn default() -> Behaviour {
        Behaviour {
            commands: Commands::Both,
            refusals: 0,
            route_lag: 0,
            pit_tokens: false,
            congestion_marks: false,
            mtu: None,
            localhop: false,
            segment: 8_000,
        }
    }
}

impl Behaviour {
    /// What the forwarder calls its version in `status/general`.
    pub const VERSION: &str = "24.07-fake";
}

impl View {
    /// Whether there is a route of exactly this prefix.
    pub fn has_route(&self, prefix: &str) -> bool {
        self.routes.iter().any(|route| route.prefix == prefix)
    }
}

impl Forwarder {
    /// Starts one. Called inside [`Host::enter`](crate::Host::enter) it lives on that host.
    ///
    /// # Errors
    /// What the operating system said when a socket could not be opened.
    pub fn start(plan: &Plan) -> io::Result<Forwarder> {
        let engine = Engine::new(plan.clone())?;
        let (bell, ring) = io::pipe()?;
        let (requests, received) = mpsc::channel();
        let thread = thread::Builder::new()
            .name("forwarder".to_owned())
            .spawn(move || engine.run(bell, &received))?;
        Ok(Forwarder {
            requests,
            bell: Some(ring),
            thread: Some(thread),
        })
    }

    /// Where it listens, with the ports that it found.
    pub fn plan(&self) -> Plan {
        self.ask(|engine| engine.plan())
    }

    /// What it sees now.
    pub fn view(&self) -> View {
        self.ask(|engine| engine.view())
    }

    /// Behaves so from now on.
    pub fn behave(&self, behaviour: Behaviour) {
        self.ask(|engine| engine.behave(behaviour));
    }

    /// Closes every socket and forgets faces, routes and stamps: the process is gone.
    pub fn go_down(&self) {
        self.ask(Engine::go_down);
    }

    /// Is there again, at the same places, knowing nobody.
    ///
    /// # Errors
    /// What the operating system said when a socket could not be opened.
    pub fn come_up(&self) -> io::Result<()> {
        self.ask(Engine::come_up)
    }

    /// Both at once.
    ///
    /// # Errors
    /// What the operating system said when a socket could not be opened.
    pub fn restart(&self) -> io::Result<()> {
        self.ask(|engine| {
            engine.go_down();
            engine.come_up()
        })
    }

    /// Reads nothing from its neighbours while held, so that their sockets fill.
    pub fn hold(&self, is_held: bool) {
        self.ask(move |engine| engine.hold(is_held));
    }

    /// Another program has signed a command with a mere digest at this time, in milliseconds since the Unix epoch:
    /// commands of that time or older are refused with 403.
    pub fn use_up_stamp(&self, time: u64) {
        self.ask(move |engine| engine.use_up_stamp(time));
    }

    /// A route to a UDP neighbour, as an operator makes it.
    pub fn route(&self, prefix: &str, remote: SocketAddr) {
        let prefix = prefix.to_owned();
        self.ask(move |engine| engine.route(&prefix, remote));
    }

    /// Sends bytes as they are to the neighbours that have exactly this prefix, or to all without one. Returns how many
    /// those were.
    pub fn inject(&self, prefix: Option<&str>, bytes: &[u8]) -> usize {
        let (prefix, bytes) = (prefix.map(str::to_owned), bytes.to_vec());
        self.ask(move |engine| engine.inject(prefix.as_deref(), &bytes))
    }

    /// Waits until something is so.
    ///
    /// # Panics
    /// When it is not so for longer than anything takes; the message holds what was seen instead.
    #[track_caller]
    pub fn wait_for(&self, what: &str, until: impl Fn(&View) -> bool + Send + 'static) -> View {
        let (tell, told) = mpsc::channel();
        self.ask(move |engine| {
            engine.wait(Waiting {
                until: Box::new(until),
                tell,
            });
        });
        let met = told.recv_timeout(PATIENCE).is_ok();
        let view = self.view();
        assert!(met, "not seen: {what}\n{view:#?}");
        view
    }

    fn ask<R: Send + 'static>(&self, question: impl FnOnce(&mut Engine) -> R + Send + 'static) -> R {
        let (tell, told) = mpsc::channel();
        let request: Request = Box::new(move |engine| {
            // Whoever asked waits below.
            let _ = tell.send(question(engine));
        });
        self.requests.send(request).expect("the thread runs");
        let mut bell = self.bell.as_ref().expect("it is closed by dropping alone");
        bell.write_all(&[0]).expect("the thread reads");
        told.recv().expect("the thread answers")
    }
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        self.bell = None;
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has said so, and a drop must not.
            let _ = thread.join();
        }
    }
}

/// The answer of a forwarder that grants every rib command; `None` if the packet is none that it would answer.
pub fn grant(packet: &[u8]) -> Option<Vec<u8>> {
    let interest = packet::Interest::parse(packet)?;
    let mut desk = Desk {
        understands: Commands::Both,
        refuses: false,
        route_lag: 0,
        stamps: &mut Stamps::default(),
        // Every stamp is the first and of this very moment.
        now: Desk::time_of(&interest)?,
    };
    desk.command(&interest, 1).map(|(answer, ..)| answer)
}
