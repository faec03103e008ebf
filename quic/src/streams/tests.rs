use super::*;
use crate::testing::{
    At, DELAY, Diary, Network, Talker, World, base, certificate, client, lines, path, pinned, server, sink,
};
use crate::{ClientOptions, QuicServerOptions};
use halloo_base::{Endpoint, Env, Mono, Outbox, Reason, Rng, SocketId};
use halloo_tls::{Pin, Trust};
use proptest::prelude::*;
use std::time::Duration;

const LONG: Duration = Duration::from_secs(600);

struct Scene {
    world: World<QuicStreams<Talker>>,
    counters: std::sync::Arc<crate::QuicCounters>,
    /// What the talker was told, and what the sink was.
    told: Diary,
    events: Diary,
}

fn scene(bytes: usize, connections: u64, options: QuicServerOptions) -> Scene {
    let (tls, der) = certificate();
    scene_with(bytes, connections, options, &tls, pinned(&der))
}

fn scene_with(
    bytes: usize,
    connections: u64,
    options: QuicServerOptions,
    tls: &rustls::ServerConfig,
    client: Client,
) -> Scene {
    let (told, events) = (Diary::default(), Diary::default());
    let talker = Talker::new(&told, bytes, connections);
    let machine = QuicStreams::new(talker, client, base(), sink(&events));
    let (server, counters) = server(options, tls);
    Scene {
        world: World::new(machine, server),
        counters,
        told,
        events,
    }
}

#[test]
fn a_stream_is_open_when_the_handshake_is_complete_and_ends_when_both_have_said_all() {
    let mut scene = scene(100, 1, QuicServerOptions::default());
    assert!(scene.world.run(LONG));
    assert_eq!(
        lines(&scene.told),
        [
            "connects",
            "opened at 20ms",
            "departed 0 at 20ms",
            "heard all",
            "finished",
            "Done"
        ]
    );
    assert_eq!(
        lines(&scene.events),
        ["connected at 20ms, resumed Some(false), early None"]
    );
    let counted = scene.counters.connections.snapshot();
    assert_eq!((counted.received, counted.replied), (1, 1));
    assert_eq!((counted.received_bytes, counted.replied_bytes), (100, 100));
    assert_eq!(counted.silent, []);
}

#[test]
fn a_megabyte_comes_back_through_loss_duplication_and_reordering() {
    let mut scene = scene(1 << 20, 1, QuicServerOptions::default());
    scene.world.network = Network {
        loss: 0.03,
        duplication: 0.03,
        reordering: Duration::from_millis(5),
        cut_at: None,
        ..Network::default()
    };
    assert!(scene.world.run(LONG));
    let told = lines(&scene.told);
    assert!(
        told.ends_with(&["heard all".to_owned(), "finished".to_owned(), "Done".to_owned()]),
        "{told:?}"
    );
    let counted = scene.counters.connections.snapshot();
    assert_eq!(
        (counted.received_bytes, counted.replied_bytes),
        (1 << 20, 1 << 20)
    );
}

#[test]
fn what_does_not_leave_at_one_instant_has_no_stamp() {
    // More than may be under way at first, by flow control or by congestion control alone.
    for bytes in [1 << 20, 40_000] {
        let mut scene = scene(bytes, 1, QuicServerOptions::default());
        assert!(scene.world.run(LONG));
        let told = lines(&scene.told);
        assert!(told.contains(&"heard all".to_owned()), "{told:?}");
        assert!(!told.iter().any(|line| line.starts_with("departed")), "{told:?}");
    }
}

#[test]
fn connections_follow_each_other_and_the_next_knows_the_last() {
    let mut scene = scene(5_000, 3, QuicServerOptions::default());
    assert!(scene.world.run(LONG));
    let done = lines(&scene.told).iter().filter(|line| *line == "Done").count();
    assert_eq!(done, 3);
    let events = lines(&scene.events);
    assert_eq!(events.len(), 3);
    assert!(
        events[0].ends_with("resumed Some(false), early None"),
        "{events:?}"
    );
    assert!(
        events[1].ends_with("resumed Some(true), early None"),
        "{events:?}"
    );
}

#[test]
fn with_a_ticket_and_leave_to_do_so_the_first_bytes_leave_at_once() {
    let (tls, der) = certificate();
    let options = ClientOptions {
        early_data: true,
        ..ClientOptions::default()
    };
    let client = client(&Trust::Pinned(Pin::of(&der)), options);
    let mut scene = scene_with(100, 2, QuicServerOptions::default(), &tls, client);
    assert!(scene.world.run(LONG));
    let told = lines(&scene.told);
    let opened: Vec<_> = told.iter().filter(|line| line.starts_with("opened")).collect();
    // The first ends after its handshake, its echo and its goodbye; the second is open as it begins.
    let events = lines(&scene.events);
    assert_eq!(opened, ["opened at 20ms", "opened at 60ms"], "{told:?}");
    assert_eq!(
        events,
        [
            "connected at 20ms, resumed Some(false), early None",
            "connected at 80ms, resumed Some(true), early Accepted"
        ]
    );
    assert_eq!(scene.counters.connections.snapshot().received_bytes, 200);
}

#[test]
fn early_data_that_is_refused_is_sent_again() {
    let (tls, der) = certificate();
    let options = ClientOptions {
        early_data: true,
        ..ClientOptions::default()
    };
    let client = client(&Trust::Pinned(Pin::of(&der)), options);
    let mut first = scene_with(100, 1, QuicServerOptions::default(), &tls, client.clone());
    assert!(first.world.run(LONG));
    // The same host, which has thought better of it.
    let options = QuicServerOptions {
        early_data: false,
        ..QuicServerOptions::default()
    };
    let mut second = scene_with(5_000, 1, options, &tls, client);
    assert!(second.world.run(LONG), "{:?}", lines(&second.told));
    assert_eq!(
        lines(&second.events),
        ["connected at 20ms, resumed None, early Refused"]
    );
    assert_eq!(lines(&second.told)[1], "opened at 0ns");
    assert_eq!(
        second.counters.connections.snapshot().received_bytes,
        5_000,
        "once, not twice"
    );
}

#[test]
fn early_data_finds_its_way_past_a_retry() {
    let (tls, der) = certificate();
    let options = ClientOptions {
        early_data: true,
        ..ClientOptions::default()
    };
    let client = client(&Trust::Pinned(Pin::of(&der)), options);
    let options = QuicServerOptions {
        retry_above: 0,
        ..QuicServerOptions::default()
    };
    let mut scene = scene_with(3_000, 2, options, &tls, client);
    assert!(scene.world.run(LONG));
    assert_eq!(
        scene.counters.connections.count(halloo_base::Reason::Unvalidated),
        2
    );
    let events = lines(&scene.events);
    assert!(
        events[1].ends_with("resumed Some(true), early Accepted"),
        "{events:?}"
    );
    assert_eq!(scene.counters.connections.snapshot().received_bytes, 6_000);
}

#[test]
fn a_host_with_another_certificate_is_not_spoken_to() {
    let (tls, _) = certificate();
    let (_, other) = certificate();
    let mut scene = scene_with(100, 1, QuicServerOptions::default(), &tls, pinned(&other));
    assert!(scene.world.run(LONG));
    let why = r#"Insecure("the certificate is not the one that is pinned")"#;
    assert_eq!(lines(&scene.told), ["connects", why]);
    assert_eq!(lines(&scene.events), [format!("lost: {why}")]);
    assert_eq!(scene.counters.connections.snapshot().replied, 0);
}

#[test]
fn a_host_that_speaks_something_else_is_not_spoken_to() {
    let (tls, der) = certificate();
    let config = Trust::Pinned(Pin::of(&der)).client(&[b"h3"]).unwrap();
    let name = rustls::pki_types::ServerName::try_from("halloo.example").unwrap();
    let client = Client::new(&config, &name, ClientOptions::default()).unwrap();
    let mut scene = scene_with(100, 1, QuicServerOptions::default(), &tls, client);
    assert!(scene.world.run(LONG));
    assert_eq!(
        lines(&scene.told),
        [
            "connects",
            r#"Insecure("the other side does not speak this protocol over QUIC")"#
        ]
    );
}

#[test]
fn nobody_there_is_told_when_patience_ends_or_at_once_by_the_network() {
    let mut silent = scene(100, 1, QuicServerOptions::default());
    silent.world.network.cut_at = Some(Mono(0));
    assert!(silent.world.run(LONG));
    assert_eq!(
        lines(&silent.told),
        ["connects", "ConnectFailed(110 (Connection timed out))"]
    );

    let mut refused = scene(100, 1, QuicServerOptions::default());
    refused.world.network.cut_at = Some(Mono(0));
    refused.world.run(DELAY);
    let report = Unreachable {
        path: path(),
        tag: None,
        reporter: Some([192, 0, 2, 9].into()),
        error: UnreachableError(111),
        mtu: None,
    };
    refused.world.tell(false, Input::Unreachable(report, &[]));
    assert_eq!(
        lines(&refused.told),
        ["connects", "ConnectFailed(111 (Connection refused))"]
    );
}

#[test]
fn a_connection_that_falls_silent_is_given_up_by_both() {
    let mut scene = scene(1 << 20, 1, QuicServerOptions::default());
    scene.world.network.cut_at = Some(Mono(60_000_000));
    assert!(scene.world.run(LONG));
    let told = lines(&scene.told);
    assert_eq!(
        told.last().map(String::as_str),
        Some("Broken(110 (Connection timed out))")
    );
    while let Some(deadline) = scene.world.server.deadline() {
        scene.world.now = deadline.at.max(scene.world.now);
        scene.world.tell(true, Input::Wake);
    }
    assert_eq!(scene.counters.connections.count(Reason::IdleTimeout), 1);
}

#[test]
fn a_machine_that_stops_says_goodbye() {
    let mut scene = scene(1 << 20, 1, QuicServerOptions::default());
    scene.world.run(Duration::from_millis(60));
    assert!(!scene.world.client.finished());
    scene.world.tell(false, Input::Stop);
    let stopped = scene.world.now;
    assert!(scene.world.run(Duration::from_secs(1)));
    assert!(
        scene.world.now.since(stopped) < 3 * DELAY,
        "it waits for leave to say so, and no longer"
    );
    scene.world.tell(true, Input::Drain);
    assert!(scene.world.server.finished(), "nobody is left");
}

#[test]
fn a_sessions_time_to_connect_is_that_of_the_handshake() {
    #[derive(Clone, Default)]
    struct Last(std::sync::Arc<std::sync::Mutex<Option<halloo_probe::Summary>>>);
    impl halloo_probe::Sink for Last {
        fn record(&mut self, event: halloo_probe::Event) {
            if let halloo_probe::Event::Summary(summary) = event {
                *self.0.lock().unwrap() = Some(*summary);
            }
        }
    }
    let (tls, der) = certificate();
    let last = Last::default();
    let options = halloo_probe::SessionOptions {
        count: 20,
        interval: Duration::from_millis(50),
        ..halloo_probe::SessionOptions::new(1, path())
    };
    let prober = halloo_protocols::echo::TcpProber::new(&halloo_protocols::ProberOptions {
        size: 3_000,
        ..halloo_protocols::ProberOptions::default()
    });
    let session =
        halloo_probe::StreamSession::new(options, Box::new(prober), Box::new(last.clone())).unwrap();
    let events = Diary::default();
    let machine = QuicStreams::new(session, pinned(&der), base(), sink(&events));
    let (server, _) = server(QuicServerOptions::default(), &tls);
    let mut world = World::new(machine, server);
    assert!(world.run(LONG));
    let summary = last.0.lock().unwrap().clone().expect("it has ended");
    assert_eq!((summary.counts.sent, summary.counts.answered), (20, 20));
    assert_eq!(summary.connect.map(|connect| connect.p50.0), Some(20_000_000));
    assert_eq!(summary.wire.map(|wire| wire.min.0), Some(20_000_000));
    assert_eq!(summary.sources.t1_kernel, 20);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_leave_a_client_as_it_was(bytes in prop::collection::vec(any::<u8>(), 0..1_500), first in any::<u8>()) {
        let mut scene = scene(100, 1, QuicServerOptions::default());
        let mut bytes = bytes;
        if let Some(start) = bytes.first_chunk_mut::<5>() {
            *start = [first, 0, 0, 0, 1];
        }
        scene.world.tell(false, Input::Wake);
        let sent = scene.world.sent[0];
        scene.world.deliver(false, &bytes);
        prop_assert!(scene.world.sent[0] - sent <= bytes.len());
        prop_assert!(scene.world.run(LONG));
        prop_assert!(lines(&scene.told).ends_with(&["Done".to_owned()]));
    }
}

/// Wants a socket of its own, and keeps what becomes of that.
struct Wisher(std::sync::Arc<std::sync::Mutex<Vec<SocketInput>>>);

impl Machine for Wisher {
    fn handle(&mut self, cx: &mut Cx<'_>, input: Input<'_>) {
        match input {
            Input::Wake => {
                let endpoint = Endpoint {
                    local: path().local,
                    link: path().link,
                };
                cx.out.open(SocketId(3), endpoint);
            }
            Input::Socket(SocketId(3), outcome) => self.0.lock().expect("one thread").push(outcome),
            other => panic!("{other:?}"),
        }
    }

    fn deadline(&self) -> Option<Deadline> {
        None
    }
}

#[test]
fn a_machine_inside_has_no_sockets_of_its_own_and_is_told_so() {
    let told = std::sync::Arc::default();
    let (_, der) = certificate();
    let wisher = Wisher(std::sync::Arc::clone(&told));
    let mut machine = QuicStreams::new(wisher, pinned(&der), base(), sink(&Diary::default()));
    let mut out = Outbox::new();
    let env = Env {
        now: Mono(0),
        clock: &At(Mono(0)),
        rng: &mut Rng::new(1),
    };
    machine.handle(&mut Cx { env, out: &mut out }, Input::Wake);
    assert!(out.is_empty(), "{out:?}");
    assert_eq!(*told.lock().expect("one thread"), [SocketInput::UNSUPPORTED]);
}
