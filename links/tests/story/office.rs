//! An office with several ways out, and anchors that answer.

use crate::play::{Outcome, play};
use halloo_base::{AnyProber, Counters, LinkId, Mono, Path, Rng};
use halloo_links::{
    AnchorSettings, Direction, Fact, Family, LinkEvent, LinkSettings, Name, News, Sample, Settings, Told,
};
use halloo_probe::{DatagramSession, Event, SessionOptions, Sink};
use halloo_protocols::ProberOptions;
use halloo_protocols::echo::{self, UdpEcho, UdpEchoOptions};
use halloo_serve::{Secret, Server, ServerOptions};
use halloo_sim::{Node, Quality, Wire, World, ms};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Time between the probes of a link.
pub(crate) const INTERVAL: Duration = Duration::from_millis(100);
/// When the prober gives a probe up.
const LOST_AFTER: Duration = Duration::from_secs(1);

/// Everything that was told, with its time by the host's monotonic clock.
#[derive(Default)]
struct Record {
    told: Vec<Told>,
    newest: Mono,
}

/// Writes down what one session tells.
struct Scribe {
    record: Arc<Mutex<Record>>,
    link: Name,
    family: Family,
    anchor: Name,
}

impl Sink for Scribe {
    fn record(&mut self, event: Event) {
        let Some((seq, news)) = News::of(&event) else {
            return;
        };
        let mut record = self.record.lock().expect("nobody panicked");
        let at = match &event {
            Event::Sent { at, .. } | Event::Unreachable { at, .. } => *at,
            Event::Exchange(exchange) => match exchange.t4 {
                Some(t4) => t4.mono,
                None => exchange.t1.mono + LOST_AFTER,
            },
            _ => record.newest,
        };
        let at = at.max(record.newest);
        record.newest = at;
        record.told.push(Told::Sample(Sample {
            at,
            link: self.link.clone(),
            family: self.family,
            anchor: self.anchor.clone(),
            seq,
            news,
        }));
    }
}

/// The office, its links and the anchors.
pub(crate) struct Office {
    pub(crate) world: World,
    pub(crate) here: Node,
    pub(crate) settings: Settings,
    pub(crate) rng: Rng,
    origin: Mono,
    wires: Vec<(usize, Family, Wire)>,
    /// Each anchor's host, and its wire to the world.
    pub(crate) anchors: Vec<(Node, Wire)>,
    record: Arc<Mutex<Record>>,
    events: Vec<LinkEvent>,
    stalls: Vec<(Mono, Mono)>,
}

/// A link as the office orders it: 10 to 25 ms away, a little jitter.
pub(crate) fn ordinary(link: usize, rng: &mut Rng) -> Quality {
    let delay = 5_000 + 3_000 * link as u64 + rng.below(4_000);
    Quality::delay(Duration::from_micros(delay)).jitter(ms(2))
}

impl Office {
    /// Two links, three anchors, IPv4.
    pub(crate) fn ordinary(seed: u64) -> Office {
        Office::new(seed, 2, 3, &[Family::V4])
    }

    pub(crate) fn new(seed: u64, links: usize, anchors: usize, families: &[Family]) -> Office {
        let mut world = World::new(seed);
        let mut rng = Rng::new(seed ^ 0x6c69_6e6b_7321);
        let here = world.host("office", &["10.0.0.1"]);
        let cloud = world.cloud("world");
        let mut office = Office {
            origin: world.mono(here),
            settings: Settings {
                link: (0..links)
                    .map(|link| LinkSettings {
                        cost: link as u32 + 1,
                        ..LinkSettings::new(&format!("wan{}", link + 1))
                    })
                    .collect(),
                anchor: (0..anchors)
                    .map(|n| AnchorSettings::new(&format!("anchor{}", n + 1)))
                    .collect(),
                ..Settings::default()
            },
            here,
            wires: vec![],
            anchors: vec![],
            record: Arc::default(),
            events: vec![],
            stalls: vec![],
            rng: rng.fork(),
            world,
        };
        for anchor in 0..anchors {
            let addresses = Family::ALL.map(|family| anchor_address(anchor, family).to_string());
            let host = office.world.host(
                &format!("anchor{}", anchor + 1),
                &addresses.each_ref().map(String::as_str),
            );
            let wire = office
                .world
                .join(cloud, host, Quality::delay(ms(2 + anchor as u64)));
            office.anchors.push((host, wire));
            serve(&mut office.world, host);
        }
        for link in 0..links {
            for &family in families {
                let wire = office.world.join(here, cloud, ordinary(link, &mut rng));
                let address = own_address(link, family).to_string();
                office.world.set_addresses(here, wire, &[&address]);
                office.wires.push((link, family, wire));
                office.ask(link, family, wire, rng.below(100_000_000));
            }
        }
        assert_eq!(office.settings.check(), Ok(()));
        office
    }

    /// The wire of a link.
    pub(crate) fn wire(&self, link: usize, family: Family) -> Wire {
        let found = self.wires.iter().find(|wire| (wire.0, wire.1) == (link, family));
        found.expect("the office has it").2
    }

    /// How a link is by now, both ways, or one way.
    pub(crate) fn set(&mut self, at: Duration, link: usize, up: Quality, down: Quality) {
        let (wire, here) = (self.wire(link, Family::V4), self.here);
        self.world.at(at, move |world| {
            world.set(wire, down);
            world.set_from(wire, here, up);
        });
    }

    /// A link is as bad as this from then on, both ways.
    pub(crate) fn spoil(&mut self, at: Duration, link: usize, quality: Quality) {
        self.set(at, link, quality.clone(), quality);
    }

    /// The carrier goes or comes, and the host is told.
    pub(crate) fn carrier(&mut self, at: Duration, link: usize, up: bool) {
        let wire = self.wire(link, Family::V4);
        self.world.at(
            at,
            move |world| if up { world.mend(wire) } else { world.cut(wire) },
        );
        self.tell(at, link, Fact::Carrier { up });
    }

    /// The host is told something about a link.
    pub(crate) fn tell(&mut self, at: Duration, link: usize, fact: Fact) {
        self.events.push(LinkEvent {
            at: self.mono(at),
            link: self.settings.link[link].name.clone(),
            fact,
        });
    }

    /// The host stands still.
    pub(crate) fn stall(&mut self, at: Duration, span: Duration) {
        let here = self.here;
        self.world.at(at, move |world| world.stall(here, span));
        self.stalls.push((self.mono(at), self.mono(at + span)));
    }

    /// An instant of the story by the host's clock.
    pub(crate) fn mono(&self, at: Duration) -> Mono {
        self.origin + at
    }

    /// A moment somewhere within the second after that one.
    pub(crate) fn about(&mut self, at: Duration) -> Duration {
        at + Duration::from_micros(self.rng.below(1_000_000))
    }

    /// Lets it all happen, and hears what a watch says to it.
    pub(crate) fn play(mut self, until: Duration) -> Outcome {
        self.world.run_until(until);
        let mut told = std::mem::take(&mut self.record.lock().expect("nobody panicked").told);
        told.extend(self.events.drain(..).map(Told::Event));
        told.sort_by_key(Told::at);
        play(
            &self.settings,
            &told,
            &self.stalls,
            self.origin,
            self.origin + until,
        )
    }

    /// Asks every anchor over one link.
    fn ask(&mut self, link: usize, family: Family, wire: Wire, phase: u64) {
        let id = self.world.link(self.here, wire);
        let many = self.settings.anchor.len() as u32;
        for anchor in 0..many {
            let options = SessionOptions {
                interval: INTERVAL * many,
                lost_after: LOST_AFTER,
                watched: true,
                size: 64,
                ..SessionOptions::new(
                    anchor,
                    Path {
                        link: id,
                        local: SocketAddr::new(own_address(link, family), 0),
                        remote: SocketAddr::new(anchor_address(anchor as usize, family), 7_777),
                    },
                )
            };
            let scribe = Scribe {
                record: Arc::clone(&self.record),
                link: self.settings.link[link].name.clone(),
                family,
                anchor: self.settings.anchor[anchor as usize].target.clone(),
            };
            let begin = Duration::from_nanos(phase) + INTERVAL * anchor;
            let here = self.here;
            self.world.at(begin, move |world| {
                begin_session(world, here, id, options, scribe);
            });
        }
    }
}

fn begin_session(world: &mut World, here: Node, link: LinkId, options: SessionOptions, scribe: Scribe) {
    let prober = ProberOptions {
        token: 0x6c69_6e6b_0000 + u64::from(options.id) + (u64::from(link.0) << 8),
        size: options.size,
        ..ProberOptions::default()
    };
    let AnyProber::Datagram(prober) = echo::UDP.prober.expect("halloo asks by echo")(&prober) else {
        panic!("UDP echo has a datagram prober");
    };
    let local = options.path.local.to_string();
    let session = DatagramSession::new(options, prober, Box::new(scribe)).expect("the options are right");
    let session = world.add(here, session);
    world.udp_on(session, &local, link);
}

fn serve(world: &mut World, host: Node) {
    let options = ServerOptions::new(Secret::new([7; 16]));
    let echo = Box::new(UdpEcho::new(UdpEchoOptions::default(), [7; 32]));
    let server = Server::new(options, echo, Arc::<Counters>::default());
    let server = world.add(host, server.expect("the defaults are right"));
    world.udp(server, "[::]:7777");
}

fn own_address(link: usize, family: Family) -> IpAddr {
    let link = link as u8 + 1;
    match family {
        Family::V4 => [10, link, 0, 2].into(),
        Family::V6 => [0x2001, 0xdb8, u16::from(link), 0, 0, 0, 0, 2].into(),
    }
}

fn anchor_address(anchor: usize, family: Family) -> IpAddr {
    let anchor = anchor as u8 + 11;
    match family {
        Family::V4 => [198, 51, 100, anchor].into(),
        Family::V6 => [0x2001, 0xdb8, 0xa, 0, 0, 0, 0, u16::from(anchor)].into(),
    }
}

/// Which way something goes, for tables.
pub(crate) const WAYS: [Direction; 2] = [Direction::Up, Direction::Down];
