//! A town of edges and supernodes, each edge with a station on its device.

pub(crate) use crate::station::{DEVICE, frame, mac};
use crate::station::{Plan, Station, Stranger};
use crate::watched::{Seen, Watched};
use halloo_base::LinkId;
use halloo_overlay::crypto::{
    Authority, Certificate, Community, Cost, Identity, Local, Offer, Replayed, Timers,
};
use halloo_overlay::edge::{
    Edge, EdgeEvent, EdgeOptions, EdgeStatus, News, Observer, SupernodePlace, VxlanDevice,
};
use halloo_overlay::supernode::{Supernode, SupernodeObserver, SupernodeOptions, SupernodeReport};
use halloo_overlay::vxlan::{self, Member};
use halloo_overlay::wire::Prefix;
use halloo_overlay::{Cipher, Compression, Mac, PublicKey};
use halloo_sim::{Handle, Joint, NatOptions, Node, Quality, SegmentId, Wire, World, ms, us};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub(crate) const PORT: u16 = 7654;

/// What edges told, in order.
pub(crate) type Journal = Arc<Mutex<Vec<EdgeEvent>>>;

/// What was reported last.
pub(crate) type Kept<T> = Arc<Mutex<Option<T>>>;

struct Listener {
    events: Journal,
    status: Kept<EdgeStatus>,
    post: Post,
}

/// What an edge says for a VXLAN device, and what it is to hear of its surroundings.
#[derive(Clone, Default)]
pub(crate) struct Post {
    pub(crate) members: Kept<Vec<Member>>,
    pub(crate) news: Kept<News>,
}

impl Observer for Listener {
    fn news(&mut self) -> Option<News> {
        self.post.news.lock().expect("nobody panicked").take()
    }

    fn members(&mut self, members: Vec<Member>) {
        *self.post.members.lock().expect("nobody panicked") = Some(members);
    }

    fn event(&mut self, event: EdgeEvent) {
        self.events.lock().expect("nobody panicked").push(event);
    }

    fn status(&mut self, status: EdgeStatus) {
        *self.status.lock().expect("nobody panicked") = Some(status);
    }
}

struct Clerk(Kept<SupernodeReport>);

impl SupernodeObserver for Clerk {
    fn report(&mut self, report: SupernodeReport) {
        *self.0.lock().expect("nobody panicked") = Some(report);
    }
}

/// Where an edge lives.
#[derive(Clone)]
pub(crate) enum Home {
    /// On the open Internet.
    Open,
    /// Behind a NAT of its own.
    Nat(NatOptions),
    /// Behind the NAT of an earlier edge.
    With(usize),
}

/// How an edge is made.
#[derive(Clone)]
pub(crate) struct Flat {
    pub(crate) home: Home,
    pub(crate) ciphers: Vec<Cipher>,
    pub(crate) compressions: Vec<Compression>,
    pub(crate) secret: &'static [u8],
    pub(crate) quality: Quality,
    pub(crate) timers: Timers,
    pub(crate) certificate: Option<Certificate>,
    pub(crate) authority: Option<Authority>,
    /// Whether supernodes' keys are in the configuration.
    pub(crate) keyed: bool,
    /// Whether it says where it is inside its own network.
    pub(crate) tells_inside: bool,
    pub(crate) wants_address: bool,
    pub(crate) addresses: Vec<Prefix>,
    pub(crate) link_mtu: u16,
    /// The longest frame that its device takes.
    pub(crate) frame: u16,
    pub(crate) direct: bool,
    pub(crate) relays: bool,
    pub(crate) peers: usize,
    /// Only this one of the supernodes, if one is named.
    pub(crate) supernode: Option<usize>,
    /// Whether the kernel carries its frames.
    pub(crate) vxlan: bool,
    /// UDP flows to a peer, and octets a second above which it gets more than one.
    pub(crate) flows: u8,
    pub(crate) flow_threshold: u64,
    /// Whether its host opens no further ports.
    pub(crate) no_ports: bool,
    /// Whether its device takes frames of which something is left to do.
    pub(crate) offload: bool,
}

impl Default for Flat {
    fn default() -> Flat {
        Flat {
            home: Home::Open,
            ciphers: vec![Cipher::Aes256Gcm, Cipher::ChaCha20Poly1305],
            compressions: vec![Compression::None],
            secret: b"a secret of the town",
            quality: Quality::delay(ms(5)),
            timers: Timers::default(),
            certificate: None,
            authority: None,
            keyed: false,
            tells_inside: false,
            wants_address: false,
            addresses: vec![],
            link_mtu: 1_500,
            frame: 9_100,
            direct: true,
            relays: false,
            peers: 1_024,
            supernode: None,
            vxlan: false,
            flows: 4,
            flow_threshold: 32 << 20,
            no_ports: false,
            offload: true,
        }
    }
}

impl Flat {
    pub(crate) fn behind(mapping: halloo_sim::Dependence, filtering: halloo_sim::Dependence) -> Flat {
        Flat {
            home: Home::Nat(NatOptions::new(mapping, filtering)),
            ..Flat::default()
        }
    }
}

pub(crate) struct Inhabitant {
    pub(crate) edge: Handle<Watched<Edge>>,
    pub(crate) station: Handle<Station>,
    pub(crate) host: Node,
    pub(crate) wire: Wire,
    /// The wire to the net, if a NAT is between.
    pub(crate) uplink: Wire,
    pub(crate) nat: Option<Node>,
    pub(crate) key: PublicKey,
    pub(crate) seen: Arc<Mutex<Seen>>,
    pub(crate) flat: Flat,
    pub(crate) post: Post,
    home: Node,
    lan: SegmentId,
    pub(crate) events: Journal,
    pub(crate) status: Kept<EdgeStatus>,
    plan: Plan<Vec<u8>>,
    lives: u64,
}

pub(crate) struct Office {
    pub(crate) machine: Handle<Watched<Supernode>>,
    pub(crate) address: SocketAddr,
    pub(crate) host: Node,
    pub(crate) key: PublicKey,
    pub(crate) seen: Arc<Mutex<Seen>>,
    pub(crate) options: SupernodeOptions,
    pub(crate) report: Kept<SupernodeReport>,
}

pub(crate) struct Outsider {
    pub(crate) machine: Handle<Stranger>,
    pub(crate) address: SocketAddr,
    host: Node,
    plan: Plan<(SocketAddr, Vec<u8>)>,
}

pub(crate) struct Town {
    pub(crate) world: World,
    pub(crate) cloud: Node,
    pub(crate) supernodes: Vec<Office>,
    pub(crate) edges: Vec<Inhabitant>,
    /// Others that edges are told to ask.
    pub(crate) also: Vec<SocketAddr>,
    seed: u64,
    planned: u64,
    lives: u64,
}

pub(crate) fn offer(name: &str) -> Offer {
    Offer {
        ciphers: vec![Cipher::Aes256Gcm, Cipher::ChaCha20Poly1305],
        compressions: vec![Compression::None],
        frame: 9_100,
        name: name.into(),
        features: 0,
        software: "story".into(),
    }
}

impl Town {
    pub(crate) fn new(seed: u64) -> Town {
        let world = std::env::var("HALLOO_WORLD")
            .ok()
            .and_then(|text| text.parse::<u64>().ok());
        let seed = seed + world.unwrap_or(0) * 1_000_000;
        let mut world = World::new(seed);
        let cloud = world.cloud("cloud");
        Town {
            world,
            cloud,
            supernodes: vec![],
            edges: vec![],
            also: vec![],
            seed,
            planned: 0,
            lives: 0,
        }
    }

    /// A town with one supernode and edges in these flats.
    pub(crate) fn of(seed: u64, flats: impl IntoIterator<Item = Flat>) -> Town {
        let mut town = Town::new(seed);
        town.supernode(SupernodeOptions::default());
        for flat in flats {
            town.edge(flat);
        }
        town
    }

    fn entropy(&self, whose: u64) -> Replayed {
        Replayed::new(self.seed.wrapping_mul(0x9e37_79b9) ^ whose << 20)
    }

    pub(crate) fn supernode(&mut self, options: SupernodeOptions) -> usize {
        let number = self.supernodes.len();
        let address = format!("198.51.100.{}", number + 1);
        let host = self.world.host(&format!("supernode{number}"), &[&address]);
        self.world.join(host, self.cloud, Quality::delay(ms(5)));
        let address = format!("{address}:{PORT}").parse().expect("an address");
        let (report, seen) = (Arc::default(), Arc::default());
        let identity = Identity::generate(&mut self.entropy(1_000_000 + number as u64));
        let (machine, key) = self.serve(host, identity, &options, &report, &seen);
        self.supernodes.push(Office {
            machine,
            address,
            host,
            key,
            seen,
            options,
            report,
        });
        number
    }

    fn serve(
        &mut self,
        host: Node,
        identity: Identity,
        options: &SupernodeOptions,
        report: &Kept<SupernodeReport>,
        seen: &Arc<Mutex<Seen>>,
    ) -> (Handle<Watched<Supernode>>, PublicKey) {
        let key = identity.public();
        self.lives += 1;
        let entropy = self.entropy(2_000_000 + self.lives);
        let machine = Supernode::new(
            options.clone(),
            Local::supernode(identity, offer("supernode")),
            Box::new(entropy),
            Box::new(Clerk(Arc::clone(report))),
        );
        let handle = self.world.add(host, Watched::new(machine, seen));
        self.world.udp(handle, &format!("0.0.0.0:{PORT}"));
        (handle, key)
    }

    /// Kills a supernode and starts it again, perhaps as somebody else.
    pub(crate) fn restart_supernode(&mut self, number: usize, same: bool) {
        let office = &self.supernodes[number];
        let (host, options, machine) = (office.host, office.options.clone(), office.machine);
        let (report, seen) = (Arc::clone(&office.report), Arc::clone(&office.seen));
        self.world.kill(machine);
        self.lives += 1;
        let other = if same { 0 } else { self.lives << 8 };
        let identity = Identity::generate(&mut self.entropy(1_000_000 + number as u64 + other));
        let (machine, key) = self.serve(host, identity, &options, &report, &seen);
        self.supernodes[number].machine = machine;
        self.supernodes[number].key = key;
    }

    pub(crate) fn edge(&mut self, flat: Flat) -> usize {
        let number = self.edges.len();
        let name = format!("edge{number}");
        let [high, low] = (number as u16 + 1).to_be_bytes();
        let outside = format!("203.0.{high}.{low}");
        let inside = format!("10.{high}.{low}.2");
        let (host, wire, uplink, nat) = match &flat.home {
            Home::Open => {
                let host = self.world.host(&name, &[&outside]);
                let wire = self.world.join(host, self.cloud, flat.quality.clone());
                (host, wire, wire, None)
            }
            Home::Nat(options) => {
                let nat = self.world.nat(&format!("nat{number}"), &outside, options.clone());
                let host = self.world.host(&name, &[&inside]);
                let wire = self.world.join(host, nat, Quality::delay(us(100)));
                let uplink = self.world.uplink(nat, self.cloud, flat.quality.clone());
                (host, wire, uplink, Some(nat))
            }
            Home::With(other) => {
                let nat = self.edges[*other].nat.expect("it lives behind a NAT");
                let host = self.world.host(&name, &[&inside]);
                let wire = self.world.join(host, nat, Quality::delay(us(100)));
                (host, wire, self.edges[*other].uplink, Some(nat))
            }
        };
        let lan = self.world.segment(Joint::Hub);
        let home = self.world.host(&format!("station{number}"), &["192.168.0.1"]);
        let plan = Plan::default();
        let station = Station {
            plan: Arc::clone(&plan),
            heard: vec![],
        };
        let station = self.world.add(home, station);
        assert_eq!(self.world.device(station, lan, &Quality::perfect()), DEVICE);
        let (events, status, seen) = (Journal::default(), Arc::default(), Arc::default());
        let post = Post::default();
        let identity = self.identity(number, 0);
        let key = identity.public();
        let edge = self.live(
            number,
            identity,
            (host, lan),
            &flat,
            (&events, &status, &seen, &post),
            LinkId(3),
        );
        self.edges.push(Inhabitant {
            edge,
            station,
            host,
            wire,
            uplink,
            nat,
            key,
            seen,
            flat,
            post,
            home,
            lan,
            events,
            status,
            plan,
            lives: 0,
        });
        number
    }

    pub(crate) fn identity(&self, number: usize, life: u64) -> Identity {
        Identity::generate(&mut self.entropy(1_000 + number as u64 + (life << 16)))
    }

    fn live(
        &mut self,
        number: usize,
        identity: Identity,
        (host, lan): (Node, SegmentId),
        flat: &Flat,
        (events, status, seen, post): (&Journal, &Kept<EdgeStatus>, &Arc<Mutex<Seen>>, &Post),
        tap: LinkId,
    ) -> Handle<Watched<Edge>> {
        let community = Community::new("town", flat.secret, Cost::TEST).expect("a community");
        let offer = Offer {
            ciphers: flat.ciphers.clone(),
            compressions: flat.compressions.clone(),
            features: u32::from(flat.relays),
            frame: flat.frame,
            ..offer(&format!("edge{number}"))
        };
        let mut local = Local::edge(identity, community, offer);
        local.timers = flat.timers;
        local.certificate = flat.certificate.clone();
        local.authority = flat.authority.clone();
        // Nobody binds to an address that is another host's.
        let ip = if flat.no_ports { "198.51.100.1" } else { "0.0.0.0" };
        let bind = format!("{ip}:{PORT}").parse().expect("an address");
        let places = self.supernodes.iter().enumerate();
        let supernodes = places
            .filter(|(place, _)| flat.supernode.is_none_or(|only| only == *place))
            .map(|(_, office)| SupernodePlace {
                address: office.address,
                key: flat.keyed.then_some(office.key),
            })
            .chain(
                self.also
                    .iter()
                    .map(|&address| SupernodePlace { address, key: None }),
            );
        let [high, low] = (number as u16 + 1).to_be_bytes();
        let inside = SocketAddr::from(([10, high, low, 2], PORT));
        let outside = SocketAddr::new(outside(number), PORT);
        let options = EdgeOptions {
            wants_address: flat.wants_address,
            addresses: flat.addresses.clone(),
            candidates: match flat.home {
                _ if flat.tells_inside => vec![inside],
                Home::Open if flat.vxlan => vec![outside],
                _ => vec![],
            },
            vxlan: flat.vxlan.then_some(VxlanDevice {
                port: vxlan::PORT,
                ipv6: false,
            }),
            link_mtu: flat.link_mtu,
            flows: flat.flows,
            flow_threshold: flat.flow_threshold,
            direct: flat.direct,
            offload: flat.offload,
            peers: flat.peers,
            ..EdgeOptions::new(supernodes.collect(), bind, tap, mac(number))
        };
        self.lives += 1;
        let entropy = self.entropy(3_000_000 + self.lives);
        let listener = Listener {
            events: Arc::clone(events),
            status: Arc::clone(status),
            post: post.clone(),
        };
        let machine = Edge::new(options, local, Box::new(entropy), Box::new(listener));
        let edge = self.world.add(host, Watched::new(machine, seen));
        self.world.udp(edge, &format!("0.0.0.0:{PORT}"));
        assert_eq!(self.world.device(edge, lan, &Quality::perfect()), tap);
        edge
    }

    /// Kills an edge and starts it again, perhaps as somebody else. What it told before is kept.
    pub(crate) fn restart_edge(&mut self, number: usize, same: bool) {
        let known = &mut self.edges[number];
        known.lives += 1;
        let (lives, host, lan, flat) = (known.lives, known.host, known.lan, known.flat.clone());
        let (events, status) = (Arc::clone(&known.events), Arc::clone(&known.status));
        let (seen, post) = (Arc::clone(&known.seen), known.post.clone());
        let edge = known.edge;
        self.world.kill(edge);
        let identity = self.identity(number, if same { 0 } else { lives });
        let key = identity.public();
        let tap = LinkId(3 + lives as u32);
        let edge = self.live(
            number,
            identity,
            (host, lan),
            &flat,
            (&events, &status, &seen, &post),
            tap,
        );
        self.edges[number].edge = edge;
        self.edges[number].key = key;
    }

    /// Somebody in the net who is no member.
    pub(crate) fn outsider(&mut self) -> Outsider {
        let address = "192.0.2.66";
        let host = self.world.host("outsider", &[address]);
        self.world.join(host, self.cloud, Quality::delay(ms(5)));
        let plan = Plan::default();
        let stranger = Stranger {
            plan: Arc::clone(&plan),
            heard: vec![],
        };
        let machine = self.world.add(host, stranger);
        self.world.udp(machine, &format!("0.0.0.0:{PORT}"));
        let edges = self.edges.iter().map(|edge| &edge.seen);
        for seen in edges.chain(self.supernodes.iter().map(|office| &office.seen)) {
            let mut seen = seen.lock().expect("nobody panicked");
            seen.strangers.insert(address.parse().expect("an address"));
        }
        Outsider {
            machine,
            address: format!("{address}:{PORT}").parse().expect("an address"),
            host,
            plan,
        }
    }

    /// Has the outsider send something.
    pub(crate) fn throw(&mut self, who: &Outsider, at: Duration, to: SocketAddr, bytes: Vec<u8>) {
        self.planned += 1;
        let at = self.world.mono(who.host) + at.saturating_sub(self.world.now());
        let mut plan = who.plan.lock().expect("nobody panicked");
        plan.insert((at, self.planned), (to, bytes));
        drop(plan);
        self.world.report(who.machine);
    }

    /// Has a station send a frame when the world is as old as this.
    pub(crate) fn send(&mut self, from: usize, at: Duration, frame: Vec<u8>) {
        self.planned += 1;
        let home = self.edges[from].home;
        let at = self.world.mono(home) + at.saturating_sub(self.world.now());
        let mut plan = self.edges[from].plan.lock().expect("nobody panicked");
        plan.insert((at, self.planned), frame);
        drop(plan);
        let station = self.edges[from].station;
        self.world.report(station);
    }

    /// Has a station send `count` numbered frames of so many octets to another's.
    pub(crate) fn flow(
        &mut self,
        (from, to): (usize, usize),
        start: Duration,
        every: Duration,
        count: u32,
        len: usize,
    ) {
        self.flow_to((from, mac(to), &format!("{from}-{to}")), start, every, count, len);
    }

    pub(crate) fn flow_to(
        &mut self,
        (from, to, name): (usize, Mac, &str),
        start: Duration,
        every: Duration,
        count: u32,
        len: usize,
    ) {
        for number in 0..count {
            let words = format!("{name} {number}");
            self.send(from, start + every * number, frame(from, to, &words, len));
        }
    }

    /// An edge is elsewhere of a sudden, and its host notices.
    pub(crate) fn move_to(&mut self, number: usize, address: &str) {
        let (host, wire) = (self.edges[number].host, self.edges[number].wire);
        self.world.set_addresses(host, wire, &[address]);
        self.world.cut(wire);
        self.world.mend(wire);
    }

    /// Nothing passes straight between two edges any more.
    pub(crate) fn part(&mut self, one: usize, other: usize) {
        for (at, from) in [(one, other), (other, one)] {
            let mut seen = self.edges[at].seen.lock().expect("nobody panicked");
            seen.blocked.insert(outside(from));
        }
    }

    /// It does again.
    pub(crate) fn mend(&mut self, one: usize, other: usize) {
        for at in [one, other] {
            self.edges[at]
                .seen
                .lock()
                .expect("nobody panicked")
                .blocked
                .clear();
        }
    }
}

/// An edge's address as the world sees it.
pub(crate) fn outside(number: usize) -> IpAddr {
    let [high, low] = (number as u16 + 1).to_be_bytes();
    [203, 0, high, low].into()
}

/// With which seeds a story is told.
pub(crate) fn seeds(few: u64) -> std::ops::Range<u64> {
    if let Some(only) = std::env::var("HALLOO_SEED")
        .ok()
        .and_then(|text| text.parse().ok())
    {
        return only..only + 1;
    }
    let wanted = std::env::var("HALLOO_SEEDS")
        .ok()
        .and_then(|text| text.parse().ok());
    0..wanted.unwrap_or(few)
}
