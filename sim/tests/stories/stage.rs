//! Two hosts with a wire, a session that asks and a server that answers.

use halloo_base::{AnyProber, Counters, LinkId, Path, Prober, Reason, Snapshot};
use halloo_probe::{DatagramSession, Event, Exchange, SessionOptions, Sink, StreamSession, Summary, Verdict};
use halloo_protocols::echo::{self, TcpEcho, UdpEcho, UdpEchoOptions};
use halloo_protocols::{ProberOptions, Protocol};
use halloo_serve::{Secret, Server, ServerOptions, StreamServer, StreamServerOptions};
use halloo_sim::{Fate, Handle, MachineId, Node, Quality, Wire, World};
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub(crate) const SERVER: &str = "192.0.2.2:7777";

/// Keeps every event.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<Event>>>);

impl Sink for Log {
    fn record(&mut self, event: Event) {
        self.0.lock().expect("nobody panics while holding it").push(event);
    }
}

impl Log {
    pub(crate) fn events(&self) -> Vec<Event> {
        self.0.lock().expect("nobody panics while holding it").clone()
    }

    /// The newest summary.
    pub(crate) fn summary(&self) -> Summary {
        let newest = self.events().into_iter().rev().find_map(|event| match event {
            Event::Summary(summary) => Some(*summary),
            _ => None,
        });
        newest.expect("there was a summary")
    }

    /// All summaries, oldest first.
    pub(crate) fn summaries(&self) -> Vec<Summary> {
        let events = self.events().into_iter();
        events
            .filter_map(|event| match event {
                Event::Summary(summary) => Some(*summary),
                _ => None,
            })
            .collect()
    }

    /// Exchanges as they ended: of each probe the last that was told.
    pub(crate) fn settled(&self) -> Vec<Exchange> {
        let mut last = std::collections::BTreeMap::new();
        for event in self.events() {
            if let Event::Settled(exchange) = event {
                last.insert(exchange.seq, exchange);
            }
        }
        last.into_values().collect()
    }

    /// Settled exchanges that were answered.
    pub(crate) fn answered(&self) -> Vec<Exchange> {
        let mut settled = self.settled();
        settled.retain(|exchange| matches!(exchange.verdict, Verdict::Answered | Verdict::Late));
        settled
    }
}

/// Two hosts and the wire between them.
pub(crate) struct Stage {
    pub(crate) world: World,
    pub(crate) here: Node,
    pub(crate) there: Node,
    pub(crate) wire: Wire,
    pub(crate) log: Log,
    pub(crate) counters: Arc<Counters>,
}

impl Stage {
    pub(crate) fn new(seed: u64, quality: Quality) -> Stage {
        let mut world = World::new(seed);
        let here = world.host("here", &["192.0.2.1"]);
        let there = world.host("there", &["192.0.2.2"]);
        let wire = world.join(here, there, quality);
        Stage {
            world,
            here,
            there,
            wire,
            log: Log::default(),
            counters: Arc::default(),
        }
    }

    /// Sets how the wire treats what goes to the server.
    pub(crate) fn forward(&mut self, quality: Quality) {
        self.world.set_from(self.wire, self.here, quality);
    }

    /// Sets how the wire treats what comes from the server.
    pub(crate) fn backward(&mut self, quality: Quality) {
        self.world.set_from(self.wire, self.there, quality);
    }

    pub(crate) fn udp_server(&mut self) -> Handle<Server> {
        udp_server(&mut self.world, self.there, &self.counters)
    }

    pub(crate) fn tcp_server(&mut self) -> Handle<StreamServer> {
        tcp_server(&mut self.world, self.there, &self.counters)
    }

    /// Starts a session of the structured probe, 112 bytes unless the options say otherwise.
    pub(crate) fn udp_session(&mut self, options: SessionOptions) -> Handle<DatagramSession> {
        let prober = datagram_prober(options.size);
        self.udp_session_with(options, prober)
    }

    pub(crate) fn udp_session_with(
        &mut self,
        options: SessionOptions,
        prober: Box<dyn Prober>,
    ) -> Handle<DatagramSession> {
        let session = DatagramSession::new(options, prober, Box::new(self.log.clone()));
        let session = self.world.add(self.here, session.expect("the options are right"));
        self.world.udp(session, "0.0.0.0:0");
        session
    }

    pub(crate) fn tcp_session(&mut self, options: SessionOptions) -> Handle<StreamSession> {
        let AnyProber::Stream(prober) = prober(&echo::TCP, options.size) else {
            panic!("TCP echo has a stream prober");
        };
        let session = StreamSession::new(options, prober, Box::new(self.log.clone()));
        self.world.add(self.here, session.expect("the options are right"))
    }

    /// Runs until the session has ended and returns its summary.
    pub(crate) fn play(&mut self, session: impl Into<MachineId>) -> Summary {
        self.world.run_until_finished(session, Duration::from_secs(3_600));
        self.log.summary()
    }

    /// How many datagrams ended so on the way to the server, and on the way back.
    pub(crate) fn fates(&self, fate: Fate) -> [u64; 2] {
        let trace = self.world.trace();
        let ways = [(self.here, self.there), (self.there, self.here)];
        ways.map(|(from, to)| trace.datagrams(from, to, fate) as u64)
    }

    pub(crate) fn served(&self) -> Snapshot {
        self.counters.snapshot()
    }

    pub(crate) fn silent(&self, why: Reason) -> u64 {
        self.counters.count(why)
    }
}

pub(crate) fn udp_server(world: &mut World, host: Node, counters: &Arc<Counters>) -> Handle<Server> {
    let echo = UdpEcho::new(UdpEchoOptions::default(), [7; 32]);
    let options = ServerOptions::new(Secret::new([7; 16]));
    let server = Server::new(options, Box::new(echo), Arc::clone(counters));
    let server = world.add(host, server.expect("the defaults are right"));
    world.udp(server, "[::]:7777");
    server
}

pub(crate) fn tcp_server(world: &mut World, host: Node, counters: &Arc<Counters>) -> Handle<StreamServer> {
    let options = StreamServerOptions::new(Secret::new([7; 16]));
    let server = StreamServer::new(options, Box::new(|_| Box::new(TcpEcho)), Arc::clone(counters));
    let server = world.add(host, server.expect("the defaults are right"));
    world.listen(server, "[::]:7777");
    server
}

pub(crate) fn datagram_prober(size: usize) -> Box<dyn Prober> {
    let AnyProber::Datagram(prober) = prober(&echo::UDP, size) else {
        panic!("UDP echo has a datagram prober");
    };
    prober
}

fn prober(protocol: &Protocol, size: usize) -> AnyProber {
    let options = ProberOptions {
        token: 0x0123_4567_89ab_cdef,
        size,
        ..ProberOptions::default()
    };
    protocol.prober.expect("halloo asks by echo")(&options)
}

/// `count` probes of 112 bytes, one each `interval`, to the server.
pub(crate) fn options(count: u64, interval: Duration) -> SessionOptions {
    let path = Path {
        link: LinkId(0),
        local: "0.0.0.0:0".parse().expect("an address"),
        remote: SERVER.parse().expect("an address"),
    };
    SessionOptions {
        size: 112,
        interval,
        count,
        lost_after: Duration::from_secs(1),
        ..SessionOptions::new(1, path)
    }
}

/// What holds for every summary at any time.
#[track_caller]
pub(crate) fn check(summary: &Summary) {
    let counts = &summary.counts;
    assert_eq!(
        counts.sent,
        counts.answered + counts.lost() + counts.in_flight,
        "{counts:?}"
    );
    assert!(counts.late <= counts.answered, "{counts:?}");
    assert!(
        counts.unsent + counts.lost_connection <= counts.lost(),
        "{counts:?}"
    );
    assert_eq!(counts.wire_negative, 0, "{counts:?}");
    for statistic in [summary.wire, summary.host, summary.intended]
        .into_iter()
        .flatten()
    {
        assert!(
            statistic.min.0 >= 0 && statistic.min <= statistic.max,
            "{statistic:?}"
        );
    }
}
