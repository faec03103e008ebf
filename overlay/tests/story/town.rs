//! A town of edges and supernodes, each edge with a station on its device.

use halloo_base::{Cx, Deadline, Input, LinkId, Machine, Mono};
use halloo_overlay::crypto::{Community, Cost, Identity, Local, Offer, Replayed};
use halloo_overlay::edge::{Edge, EdgeEvent, EdgeOptions, EdgeStatus, Observer, SupernodePlace};
use halloo_overlay::supernode::{Supernode, SupernodeObserver, SupernodeOptions, SupernodeReport};
use halloo_overlay::{Cipher, Compression, Mac, PublicKey};
use halloo_sim::{Handle, Joint, NatOptions, Node, Quality, Wire, World, ms, us};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A machine's first device has this number.
pub(crate) const DEVICE: LinkId = LinkId(2);
/// An edge has a link to the world before it.
pub(crate) const TAP: LinkId = LinkId(3);
pub(crate) const PORT: u16 = 7654;

/// What edges told, in order.
pub(crate) type Journal = Arc<Mutex<Vec<EdgeEvent>>>;

struct Listener {
    events: Journal,
    status: Arc<Mutex<Option<EdgeStatus>>>,
}

impl Observer for Listener {
    fn event(&mut self, event: EdgeEvent) {
        self.events.lock().expect("nobody panicked").push(event);
    }

    fn status(&mut self, status: EdgeStatus) {
        *self.status.lock().expect("nobody panicked") = Some(status);
    }
}

struct Deaf(Arc<Mutex<Option<SupernodeReport>>>);

impl SupernodeObserver for Deaf {
    fn report(&mut self, report: SupernodeReport) {
        *self.0.lock().expect("nobody panicked") = Some(report);
    }
}

/// Sends the frames that it is given at their times, and keeps what it hears.
pub(crate) struct Station {
    pub(crate) mac: Mac,
    plan: Vec<(Mono, Vec<u8>)>,
    pub(crate) heard: Vec<Vec<u8>>,
    pub(crate) heard_at: Vec<Mono>,
}

impl Machine for Station {
    fn handle(&mut self, cx: &mut Cx<'_>, input: Input<'_>) {
        if let Input::Frame(rx) = input {
            self.heard.push(rx.bytes.to_vec());
            self.heard_at.push(cx.env.now);
        }
        let now = cx.env.now;
        while self.plan.first().is_some_and(|(at, _)| *at <= now) {
            let (_, frame) = self.plan.remove(0);
            cx.out.frame(DEVICE, &frame);
        }
    }

    fn deadline(&self) -> Option<Deadline> {
        self.plan.first().map(|(at, _)| Deadline::new(*at, "frame"))
    }
}

/// Where an edge lives.
#[derive(Clone)]
pub(crate) enum Home {
    /// On the open Internet.
    Open,
    /// Behind a NAT of its own.
    Nat(NatOptions),
}

/// How an edge is made.
#[derive(Clone)]
pub(crate) struct Flat {
    pub(crate) home: Home,
    pub(crate) ciphers: Vec<Cipher>,
    pub(crate) compressions: Vec<Compression>,
    pub(crate) secret: &'static [u8],
    pub(crate) quality: Quality,
    pub(crate) plan: Vec<(Duration, Vec<u8>)>,
    pub(crate) wants_address: bool,
}

impl Default for Flat {
    fn default() -> Flat {
        Flat {
            home: Home::Open,
            ciphers: vec![Cipher::Aes256Gcm, Cipher::ChaCha20Poly1305],
            compressions: vec![Compression::None],
            secret: b"a secret of the town",
            quality: Quality::delay(ms(5)),
            plan: vec![],
            wants_address: false,
        }
    }
}

pub(crate) struct Inhabitant {
    pub(crate) edge: Handle<Edge>,
    pub(crate) station: Handle<Station>,
    pub(crate) host: Node,
    pub(crate) wire: Wire,
    pub(crate) key: PublicKey,
    pub(crate) events: Journal,
    status: Arc<Mutex<Option<EdgeStatus>>>,
}

/// A supernode, where it answers, and what it reported last.
pub(crate) type Settled = (Handle<Supernode>, SocketAddr, Arc<Mutex<Option<SupernodeReport>>>);

pub(crate) struct Town {
    pub(crate) world: World,
    cloud: Node,
    pub(crate) supernodes: Vec<Settled>,
    pub(crate) edges: Vec<Inhabitant>,
    seed: u64,
}

pub(crate) fn offer(name: &str) -> Offer {
    Offer {
        ciphers: vec![Cipher::Aes256Gcm, Cipher::ChaCha20Poly1305],
        compressions: vec![Compression::None],
        frame: 1_600,
        name: name.into(),
        features: 0,
        software: "story".into(),
    }
}

pub(crate) fn mac(number: usize) -> Mac {
    Mac([2, 0, 0, 0, 0, number as u8 + 1])
}

/// A frame from a station to an address, with a payload that tells it from others.
pub(crate) fn frame(from: usize, to: Mac, label: &[u8]) -> Vec<u8> {
    let mut frame = [&to.0[..], &mac(from).0, &[0x88, 0xb5], label].concat();
    frame.resize(frame.len().max(60), 0);
    frame
}

impl Town {
    pub(crate) fn new(seed: u64) -> Town {
        let mut world = World::new(seed);
        let cloud = world.cloud("cloud");
        Town {
            world,
            cloud,
            supernodes: vec![],
            edges: vec![],
            seed,
        }
    }

    pub(crate) fn supernode(&mut self, options: SupernodeOptions) -> SocketAddr {
        let number = self.supernodes.len() + 1;
        let address = format!("198.51.100.{number}");
        let host = self.world.host(&format!("supernode{number}"), &[&address]);
        self.world.join(host, self.cloud, Quality::delay(ms(5)));
        let mut entropy = Replayed::new(self.seed ^ (number as u64) << 32);
        let local = Local::supernode(Identity::generate(&mut entropy), offer("supernode"));
        let report = Arc::default();
        let machine = Supernode::new(
            options,
            local,
            Box::new(entropy),
            Box::new(Deaf(Arc::clone(&report))),
        );
        let handle = self.world.add(host, machine);
        self.world.udp(handle, &format!("0.0.0.0:{PORT}"));
        let address = format!("{address}:{PORT}").parse().expect("an address");
        self.supernodes.push((handle, address, report));
        address
    }

    pub(crate) fn edge(&mut self, flat: Flat) -> usize {
        let number = self.edges.len();
        let name = format!("edge{number}");
        let (host, wire) = match &flat.home {
            Home::Open => {
                let host = self.world.host(&name, &[&format!("203.0.113.{}", number + 1)]);
                (host, self.world.join(host, self.cloud, flat.quality.clone()))
            }
            Home::Nat(options) => {
                let outside = format!("203.0.113.{}", number + 1);
                let nat = self.world.nat(&format!("nat{number}"), &outside, options.clone());
                let host = self.world.host(&name, &[&format!("10.{number}.0.2")]);
                let wire = self.world.join(host, nat, Quality::delay(us(100)));
                self.world.uplink(nat, self.cloud, flat.quality.clone());
                (host, wire)
            }
        };
        let mut entropy = Replayed::new(self.seed ^ (number as u64 + 1000) << 32);
        let community = Community::new("town", flat.secret, Cost::TEST).expect("a community");
        let identity = Identity::generate(&mut entropy);
        let key = identity.public();
        let offer = Offer {
            ciphers: flat.ciphers.clone(),
            compressions: flat.compressions.clone(),
            ..offer(&name)
        };
        let local = Local::edge(identity, community, offer);
        let bind = format!("0.0.0.0:{PORT}").parse().expect("an address");
        let supernodes = self.supernodes.iter().map(|(_, address, _)| SupernodePlace {
            address: *address,
            key: None,
        });
        let options = EdgeOptions {
            wants_address: flat.wants_address,
            ..EdgeOptions::new(supernodes.collect(), bind, TAP, mac(number))
        };
        let (events, status) = (Journal::default(), Arc::default());
        let listener = Listener {
            events: Arc::clone(&events),
            status: Arc::clone(&status),
        };
        let machine = Edge::new(options, local, Box::new(entropy), Box::new(listener));
        let edge = self.world.add(host, machine);
        self.world.udp(edge, &format!("0.0.0.0:{PORT}"));
        let lan = self.world.segment(Joint::Hub);
        assert_eq!(self.world.device(edge, lan, &Quality::perfect()), TAP);
        let home = self
            .world
            .host(&format!("station{number}"), &[&format!("192.168.{number}.1")]);
        let start = self.world.mono(home);
        let plan = flat
            .plan
            .into_iter()
            .map(|(at, frame)| (start + at, frame))
            .collect();
        let station = Station {
            mac: mac(number),
            plan,
            heard: vec![],
            heard_at: vec![],
        };
        let station = self.world.add(home, station);
        assert_eq!(self.world.device(station, lan, &Quality::perfect()), DEVICE);
        self.edges.push(Inhabitant {
            edge,
            station,
            host,
            wire,
            key,
            events,
            status,
        });
        number
    }

    pub(crate) fn heard(&self, number: usize) -> &[Vec<u8>] {
        &self.world.machine(self.edges[number].station).heard
    }

    pub(crate) fn events(&self, number: usize) -> Vec<EdgeEvent> {
        self.edges[number].events.lock().expect("nobody panicked").clone()
    }

    pub(crate) fn status(&mut self, number: usize) -> EdgeStatus {
        self.world.report(self.edges[number].edge);
        self.world.run_for(ms(1));
        let status = self.edges[number].status.lock().expect("nobody panicked").take();
        status.expect("an edge tells how it stands")
    }

    pub(crate) fn report(&mut self, number: usize) -> SupernodeReport {
        self.world.report(self.supernodes[number].0);
        self.world.run_for(ms(1));
        let report = self.supernodes[number].2.lock().expect("nobody panicked").take();
        report.expect("a supernode tells how it stands")
    }
}
