use super::*;
use crate::testing::{Diary, Network, World, base, certificate, client, lines, path, pinned, server, sink};
use crate::{ClientOptions, QuicServerOptions};
use halloo_probe::{DatagramSession, Event as Told, SessionOptions, Summary};
use halloo_protocols::ProberOptions;
use halloo_protocols::echo::UdpProber;
use halloo_tls::{Pin, Trust};
use std::sync::{Arc, Mutex};

const LONG: Duration = Duration::from_secs(600);

/// Keeps the summary.
#[derive(Clone, Default)]
struct Last(Arc<Mutex<Option<Summary>>>);

impl halloo_probe::Sink for Last {
    fn record(&mut self, event: Told) {
        if let Told::Summary(summary) = event {
            *self.0.lock().unwrap() = Some(*summary);
        }
    }
}

struct Scene {
    world: World<QuicDatagrams<DatagramSession>>,
    counters: Arc<crate::QuicCounters>,
    events: Diary,
    last: Last,
}

impl Scene {
    fn summary(&self) -> Summary {
        self.last
            .0
            .lock()
            .unwrap()
            .clone()
            .expect("the session has ended")
    }
}

fn scene(size: usize, count: u64) -> Scene {
    let (tls, der) = certificate();
    scene_with(size, count, &tls, pinned(&der))
}

fn scene_with(size: usize, count: u64, tls: &rustls::ServerConfig, client: Client) -> Scene {
    let (events, last) = (Diary::default(), Last::default());
    let options = SessionOptions {
        size,
        count,
        interval: Duration::from_millis(100),
        lost_after: Duration::from_secs(2),
        ..SessionOptions::new(1, path())
    };
    let prober = UdpProber::new(&ProberOptions {
        token: 0x1234_5678_9abc_def0,
        size,
        ..ProberOptions::default()
    });
    let session = DatagramSession::new(options, Box::new(prober), Box::new(last.clone())).unwrap();
    let machine = QuicDatagrams::new(session, client, path(), base(), sink(&events));
    let (server, counters) = server(QuicServerOptions::default(), tls);
    Scene {
        world: World::new(machine, server),
        counters,
        events,
        last,
    }
}

#[test]
fn structured_probes_come_back_with_the_stamps_of_what_carried_them() {
    let mut scene = scene(200, 10);
    assert!(scene.world.run(LONG));
    let summary = scene.summary();
    assert_eq!((summary.counts.sent, summary.counts.answered), (10, 10));
    assert_eq!(summary.observed.structured, 10);
    // The handshake's round trip was waited for.
    assert_eq!(summary.started.mono, Mono(20_000_000));
    let wire = summary.wire.expect("departures were told");
    assert_eq!((wire.min.0, wire.max.0), (20_000_000, 20_000_000));
    let counted = scene.counters.datagrams.snapshot();
    assert_eq!((counted.received, counted.replied), (10, 10));
    assert_eq!((counted.received_bytes, counted.replied_bytes), (2_000, 2_000));
}

#[test]
fn who_asks_by_datagrams_alone_stays_connected() {
    let mut scene = scene(64, 400);
    assert!(scene.world.run(LONG));
    assert!(scene.world.now > Mono(0) + QuicServerOptions::default().idle_timeout);
    assert_eq!(scene.summary().counts.answered, 400);
    assert_eq!(lines(&scene.events).len(), 1);
}

#[test]
fn lost_datagrams_are_not_sent_again() {
    let mut scene = scene(200, 200);
    scene.world.run(Duration::from_millis(30));
    scene.world.network = Network {
        loss: 0.1,
        duplication: 0.1,
        reordering: Duration::from_millis(5),
        cut_at: None,
        ..Network::default()
    };
    assert!(scene.world.run(LONG));
    let counts = scene.summary().counts;
    assert_eq!(counts.sent, 200);
    assert!((140..185).contains(&counts.answered), "{counts:?}");
    assert_eq!(counts.duplicates, 0, "what comes twice is recognised below");
}

#[test]
fn what_is_longer_than_a_frame_is_not_sent() {
    let mut longest = scene(1_162, 3);
    assert!(longest.world.run(LONG));
    assert_eq!(longest.summary().counts.answered, 3);
    let mut longer = scene(1_200, 3);
    assert!(longer.world.run(LONG));
    let summary = longer.summary();
    assert_eq!((summary.counts.answered, summary.counts.unsent), (0, 3));
    assert_eq!(summary.unreachable, [(close::TOO_LONG, 3)]);
}

#[test]
fn without_a_connection_the_session_begins_after_a_second_and_sends_nothing() {
    let mut scene = scene(200, 5);
    scene.world.network.cut_at = Some(Mono(0));
    assert!(scene.world.run(LONG));
    let summary = scene.summary();
    assert_eq!(summary.started.mono, Mono(1_000_000_000));
    assert_eq!((summary.counts.sent, summary.counts.answered), (5, 0));
    assert_eq!(summary.unreachable, [(close::NOT_CONNECTED, 5)]);
}

#[test]
fn a_refusal_is_tried_again() {
    let mut scene = scene(200, 5);
    let network = scene.world.network;
    scene.world.network.cut_at = Some(Mono(0));
    scene.world.run(Duration::from_millis(10));
    let report = Unreachable {
        path: path(),
        tag: None,
        reporter: Some([192, 0, 2, 9].into()),
        error: UnreachableError(111),
        mtu: None,
    };
    scene.world.tell(false, Input::Unreachable(report, &[]));
    scene.world.network = network;
    assert!(scene.world.run(LONG));
    assert_eq!(
        lines(&scene.events),
        [
            "lost: ConnectFailed(111 (Connection refused))",
            "connected at 130ms, resumed Some(false), early None"
        ]
    );
    let counts = scene.summary().counts;
    assert_eq!((counts.sent, counts.answered, counts.unsent), (5, 3, 2));
}

#[test]
fn with_a_ticket_the_session_begins_at_once() {
    let (tls, der) = certificate();
    let options = ClientOptions {
        early_data: true,
        ..ClientOptions::default()
    };
    let client = client(&Trust::Pinned(Pin::of(&der)), options);
    let mut first = scene_with(200, 2, &tls, client.clone());
    assert!(first.world.run(LONG));
    let mut second = scene_with(200, 2, &tls, client);
    // The host is the same one.
    std::mem::swap(&mut first.world.server, &mut second.world.server);
    second.world.now = first.world.now;
    second.world.tell(false, Input::Wake);
    let began = second.world.now;
    assert!(second.world.run(LONG));
    let summary = second.summary();
    assert_eq!((summary.started.mono, summary.counts.answered), (began, 2));
    let events = lines(&second.events);
    assert!(
        events[0].ends_with("resumed Some(true), early Accepted"),
        "{events:?}"
    );
}

#[test]
fn stopped_before_it_began_it_reports_all_the_same() {
    let mut scene = scene(200, 5);
    scene.world.run(Duration::from_millis(5));
    scene.world.tell(false, Input::Stop);
    assert!(scene.world.client.finished());
}
