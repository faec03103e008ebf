use super::*;
use crate::server::{QuicCounters, QuicServer, QuicServerOptions, Services};
use crate::testing::{Diary, Talker, World, base, certificate, lines, sink};
use crate::{Client, ClientOptions, QuicStreams};
use halloo_base::{Input, Mono, Reason};
use halloo_protocols::echo::TcpEcho;
use halloo_tls::{Pin, Trust};
use rustls::pki_types::ServerName;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

const OTHER: &[u8] = b"other";

/// Who answers on another thread, played by hand.
struct Scene {
    world: World<QuicStreams<Talker>>,
    told: Diary,
    counters: Arc<QuicCounters>,
    lent: Arc<Mutex<Vec<Lent>>>,
    rung: Arc<AtomicU32>,
}

fn scene(bytes: usize, room: usize) -> Scene {
    let (tls, der) = certificate();
    let (lent, rung) = (Arc::<Mutex<Vec<Lent>>>::default(), Arc::<AtomicU32>::default());
    let (taken, ring) = (Arc::clone(&lent), Arc::clone(&rung));
    let lending = Lending {
        alpn: OTHER.to_vec(),
        take: Box::new(move |lent| {
            let mut taken = taken.lock().unwrap();
            if taken.len() >= room {
                return Err(lent);
            }
            taken.push(lent);
            Ok(())
        }),
        ring: Box::new(move || {
            ring.fetch_add(1, Ordering::Relaxed);
        }),
    };
    let counters = Arc::<QuicCounters>::default();
    let services = Services {
        make: Box::new(|_| Box::new(TcpEcho)),
        datagrams: None,
        lending: Some(lending),
    };
    let server = QuicServer::new(
        QuicServerOptions::default(),
        &tls,
        Box::new(|_, _, _, _| Ok(())),
        services,
        Arc::clone(&counters),
        base(),
    );
    let trust = Trust::Pinned(Pin::of(&der)).client(&[OTHER]).unwrap();
    let name = ServerName::try_from("halloo.example").unwrap();
    let client = Client::new(&trust, &name, ClientOptions::default()).unwrap();
    let told = Diary::default();
    let talker = Talker::new(&told, bytes, 1);
    let client = QuicStreams::new(talker, client, base(), sink(&Diary::default()));
    Scene {
        world: World::new(client, server.unwrap()),
        told,
        counters,
        lent,
        rung,
    }
}

impl Scene {
    /// Lets the network go on for a moment, and the machine hear the bell.
    fn step(&mut self) -> bool {
        if self.rung.swap(0, Ordering::Relaxed) > 0 {
            self.world.tell(true, Input::Wake);
        }
        self.world.run(Duration::from_millis(1))
    }

    fn connected(&mut self) -> Lent {
        loop {
            self.step();
            if let Some(lent) = self.lent.lock().unwrap().pop() {
                return lent;
            }
        }
    }
}

fn now() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

#[test]
fn another_protocols_streams_are_answered_by_who_has_borrowed_the_connection() {
    let mut scene = scene(300_000, 1);
    let mut lent = scene.connected();
    assert_eq!(lent.path().remote, crate::testing::path().local);
    let (mut send, mut recv) = loop {
        scene.step();
        if let Poll::Ready(streams) = lent.poll_accept_bi(&mut now()) {
            break streams.unwrap();
        }
    };
    let mut most = 0;
    let mut arrived = Mono(0);
    loop {
        let is_finished = scene.step();
        while send.poll_ready(&mut now()) == Poll::Ready(Ok(()))
            && let Poll::Ready(read) = recv.poll_read(&mut now())
        {
            let Some((bytes, at)) = read.unwrap() else {
                send.finish();
                break;
            };
            assert!(at.mono >= arrived, "stamps are those of datagrams");
            arrived = at.mono;
            send.write(bytes);
        }
        let state = recv.shared.state();
        most = most.max(state.recv[&recv.id].queued);
        if is_finished {
            break;
        }
    }
    assert!(most > 0 && most <= READ_AHEAD, "{most} bytes waited");
    assert!(lines(&scene.told).contains(&"heard all".to_owned()));
    assert_eq!(lines(&scene.told).last().unwrap(), "Done");
    let counted = scene.counters.connections.snapshot();
    // Who answers it counts it.
    let counts = [
        counted.received,
        counted.replied,
        counted.received_bytes,
        counted.replied_bytes,
    ];
    assert_eq!(counts, [0; 4]);
}

#[test]
fn a_connection_that_is_dropped_is_closed_and_one_that_is_one_too_many_too() {
    for room in [0, 1] {
        let mut scene = scene(100, room);
        if room == 1 {
            drop(scene.connected());
        }
        while !scene.step() {}
        assert_eq!(
            lines(&scene.told).last().unwrap(),
            "Broken(104 (Connection reset by peer))"
        );
        let refused = scene.counters.connections.count(Reason::TooManyConnections);
        assert_eq!(refused, u64::from(room == 0));
        assert!(scene.world.now < Mono(1_000_000_000));
    }
}

#[test]
fn who_has_borrowed_it_hears_that_it_is_gone() {
    let mut scene = scene(100, 1);
    let mut lent = scene.connected();
    let mut opener = lent.opener();
    assert!(opener.poll_open_uni(&mut now()).is_pending());
    scene.world.tell(false, Input::Stop);
    while !scene.step() {}
    let Poll::Ready(Err(gone)) = lent.poll_accept_uni(&mut now()) else {
        panic!("it goes on");
    };
    assert_eq!(gone, Gone::Closed(0));
    assert!(matches!(
        opener.poll_open_uni(&mut now()),
        Poll::Ready(Err(Gone::Closed(0)))
    ));
}

#[test]
fn who_answers_hears_that_nobody_wants_it_any_more() {
    let mut scene = scene(1 << 20, 1);
    let mut lent = scene.connected();
    let opener = lent.opener();
    let (send, _recv) = loop {
        scene.step();
        if let Poll::Ready(streams) = lent.poll_accept_bi(&mut now()) {
            break streams.unwrap();
        }
    };
    struct Woken(AtomicU32);
    impl std::task::Wake for Woken {
        fn wake(self: Arc<Woken>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    let woken = Arc::new(Woken(AtomicU32::new(0)));
    let waker = Waker::from(Arc::clone(&woken));
    let mut watching = Context::from_waker(&waker);
    assert!(opener.poll_stopped(send.id(), &mut watching).is_pending());
    lent.shared
        .state()
        .send
        .get_mut(&send.id)
        .unwrap()
        .stopped(quinn_proto::VarInt::from_u32(7));
    assert_eq!(woken.0.load(Ordering::Relaxed), 1);
    assert!(opener.poll_stopped(send.id(), &mut watching).is_ready());
    assert!(
        opener.poll_stopped(send.id() + 4, &mut watching).is_ready(),
        "there is none"
    );
}

#[test]
fn a_stream_that_is_dropped_halfway_is_broken_off() {
    let mut scene = scene(1 << 20, 1);
    let mut lent = scene.connected();
    let streams = loop {
        scene.step();
        if let Poll::Ready(streams) = lent.poll_accept_bi(&mut now()) {
            break streams.unwrap();
        }
    };
    drop(streams);
    while !scene.step() {}
    assert_eq!(
        lines(&scene.told).last().unwrap(),
        "Broken(104 (Connection reset by peer))"
    );
    let state = lent.shared.state();
    assert!(state.recv.is_empty() && state.send.is_empty());
}
