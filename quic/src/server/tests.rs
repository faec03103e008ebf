use super::*;
use crate::testing::{Diary, Talker, World, base, certificate, lines, path, pinned, server, sink};
use crate::{QuicSink, QuicStreams};
use halloo_base::Path;
use proptest::prelude::*;
use std::net::SocketAddr;

const LONG: Duration = Duration::from_secs(600);

type Scene = (World<QuicStreams<Talker>>, Arc<QuicCounters>, Diary);

fn scene(options: QuicServerOptions, bytes: usize) -> Scene {
    let (tls, der) = certificate();
    let told = Diary::default();
    let nobody: Box<dyn QuicSink> = sink(&Diary::default());
    let client = QuicStreams::new(Talker::new(&told, bytes, 1), pinned(&der), base(), nobody);
    let (server, counters) = server(options, &tls);
    (World::new(client, server), counters, told)
}

/// The first datagram of a handshake.
fn initial(world: &mut World<QuicStreams<Talker>>) -> Vec<u8> {
    world.tell(false, Input::Wake);
    world.take().expect("a client begins")
}

#[test]
fn until_he_has_shown_his_address_a_stranger_gets_three_times_what_he_sent_at_most() {
    let (mut world, _, _) = scene(QuicServerOptions::default(), 100);
    let first = initial(&mut world);
    let asked = first.len();
    world.deliver(true, &first);
    while let Some(deadline) = world.server.deadline() {
        world.now = deadline.at.max(world.now);
        world.tell(true, Input::Wake);
    }
    assert!(world.sent[1] > 0);
    assert!(world.sent[1] <= 3 * asked, "{} for {asked}", world.sent[1]);
}

#[test]
fn when_many_knock_they_must_show_their_address_first() {
    let options = QuicServerOptions {
        retry_above: 0,
        ..QuicServerOptions::default()
    };
    let (mut world, counters, told) = scene(options, 100);
    assert!(world.run(LONG));
    assert_eq!(counters.connections.count(Reason::Unvalidated), 1);
    // A round trip more.
    assert_eq!(lines(&told)[1], "opened at 40ms");
    assert_eq!(
        counters.connections.snapshot().received,
        1,
        "and nothing was kept before"
    );
}

#[test]
fn a_retry_keeps_no_state_and_is_shorter_than_what_asked_for_it() {
    let options = QuicServerOptions {
        retry_above: 0,
        ..QuicServerOptions::default()
    };
    let (mut world, _, _) = scene(options, 100);
    let first = initial(&mut world);
    for _ in 0..100 {
        world.deliver(true, &first);
    }
    assert!(world.sent[1] < 100 * first.len() / 3);
    assert!(world.server.peers.is_empty());
    assert_eq!(world.server.deadline(), None);
}

#[test]
fn a_handshake_that_goes_nowhere_is_given_up_and_its_place_is_free_again() {
    let options = QuicServerOptions {
        per_source: Some(1),
        ..QuicServerOptions::default()
    };
    let (mut world, counters, _) = scene(options, 100);
    let first = initial(&mut world);
    world.deliver(true, &first);
    assert_eq!(world.server.handshakes, 1);
    while let Some(deadline) = world.server.deadline() {
        world.now = deadline.at.max(world.now);
        world.tell(true, Input::Wake);
    }
    assert!(world.now.since(Mono(0)) < Duration::from_secs(15));
    assert_eq!(world.server.handshakes, 0);
    assert!(world.server.peers.is_empty());
    assert_eq!(counters.connections.count(Reason::IdleTimeout), 1);
    assert_eq!(
        world.server.caps.admit([192, 0, 2, 1].into(), 0).map(|_| ()),
        Ok(())
    );
}

#[test]
fn who_is_one_too_many_is_told() {
    for (options, why) in [
        (
            QuicServerOptions {
                connections: 1,
                ..QuicServerOptions::default()
            },
            Reason::TooManyConnections,
        ),
        (
            QuicServerOptions {
                per_source: Some(1),
                ..QuicServerOptions::default()
            },
            Reason::TooManyFromSource,
        ),
    ] {
        let (tls, der) = certificate();
        let (server, counters) = server(options, &tls);
        let told = Diary::default();
        let client = |told: &Diary| {
            let talker = Talker::new(told, 1 << 20, 1);
            QuicStreams::new(talker, pinned(&der), base(), sink(&Diary::default()))
        };
        let mut world = World::new(client(&Diary::default()), server);
        world.run(Duration::from_millis(100));
        world.client = client(&told);
        world.tell(false, Input::Wake);
        assert!(world.run(LONG));
        assert_eq!(
            lines(&told),
            ["connects", "ConnectFailed(111 (Connection refused))"],
            "{why:?}"
        );
        assert_eq!(counters.connections.count(why), 1);
    }
}

#[test]
fn who_is_not_let_in_hears_nothing() {
    let (mut world, counters, _) = scene(QuicServerOptions::default(), 100);
    world.server.admit = Box::new(|_, path: &Path, _, _| {
        assert_eq!(path.remote, crate::testing::path().local);
        Err(Reason::Denied)
    });
    let first = initial(&mut world);
    world.deliver(true, &first);
    assert_eq!(world.sent[1], 0);
    assert_eq!(counters.connections.count(Reason::Denied), 1);
    let asked = counters.connections.snapshot().received;
    assert_eq!(asked, 0, "nobody has looked what it is: that takes keys");
}

#[test]
fn a_version_that_nobody_speaks_is_answered_to_nobody_who_is_not_let_in() {
    let (mut world, counters, _) = scene(QuicServerOptions::default(), 100);
    let mut first = initial(&mut world);
    first[1..5].copy_from_slice(&[0x1a, 0x2a, 0x3a, 0x4a]);
    world.deliver(true, &first);
    assert!(world.sent[1] > 0, "Version Negotiation");
    let told = world.sent[1];
    world.server.admit = Box::new(|_, _, _, _| Err(Reason::Denied));
    world.deliver(true, &first);
    assert_eq!(world.sent[1], told);
    assert_eq!(counters.connections.count(Reason::NotServed), 1);
    assert_eq!(counters.connections.count(Reason::Denied), 1);
}

#[test]
fn each_datagram_is_taken_out_of_a_share_and_who_is_connected_has_one_of_his_own() {
    let (mut world, counters, told) = scene(QuicServerOptions::default(), 10_000);
    let seen = Arc::new(std::sync::Mutex::new([0usize; 2]));
    let counted = Arc::clone(&seen);
    world.server.admit = Box::new(move |_, _, packets, trust| {
        let place = usize::from(trust == Trust::Validated);
        let mut counted = counted.lock().unwrap();
        counted[place] += packets;
        // A connection loses some, as a network would; it goes on.
        match place == 1 && counted[place].is_multiple_of(5) {
            true => Err(Reason::RateLimited),
            false => Ok(()),
        }
    });
    assert!(world.run(LONG));
    assert!(lines(&told).contains(&"heard all".to_owned()));
    let [strangers, validated] = *seen.lock().unwrap();
    assert!(
        (1..=5).contains(&strangers) && validated > 10,
        "{strangers}, {validated}"
    );
    assert_eq!(
        counters.connections.count(Reason::RateLimited) as usize,
        validated / 5
    );
}

/// Has everybody let in, and writes down who came as what.
fn watch(world: &mut World<QuicStreams<Talker>>) -> Arc<std::sync::Mutex<Vec<(SocketAddr, Trust)>>> {
    let seen = Arc::<std::sync::Mutex<Vec<_>>>::default();
    let noted = Arc::clone(&seen);
    world.server.admit = Box::new(move |_, path, _, trust| {
        noted.lock().unwrap().push((path.remote, trust));
        Ok(())
    });
    seen
}

#[test]
fn who_uses_the_number_of_anothers_connection_is_a_stranger() {
    let (mut world, _, _) = scene(QuicServerOptions::default(), 1 << 20);
    let seen = watch(&mut world);
    world.run(Duration::from_millis(60));
    let known = world.to_server().expect("it goes on for long");
    assert_eq!(known[0] & 0x80, 0, "a short header: the number comes next");
    let mut junk = known[..9].to_vec();
    junk.resize(100, 7);
    let own = Path {
        local: path().remote,
        remote: path().local,
        ..path()
    };
    let foreign = Path {
        remote: ([203, 0, 113, 9], 40_000).into(),
        ..own
    };
    let mut come = |path: Path, bytes: &[u8]| {
        world.deliver_by(true, path, bytes);
        *seen.lock().unwrap().last().unwrap()
    };
    assert_eq!(come(foreign, &junk), (foreign.remote, Trust::Stranger));
    let other_port = Path {
        remote: ([192, 0, 2, 1], 40_001).into(),
        ..own
    };
    assert_eq!(come(other_port, &junk), (other_port.remote, Trust::Stranger));
    assert_eq!(come(own, &junk), (own.remote, Trust::Validated));
    let mapped = Path {
        remote: "[::ffff:192.0.2.1]:40000".parse().unwrap(),
        ..own
    };
    assert_eq!(come(mapped, &junk), (mapped.remote, Trust::Validated));
}

#[test]
fn who_says_that_he_has_moved_is_a_stranger_until_he_has_shown_it() {
    let elsewhere = ([198, 51, 100, 7], 5).into();
    for is_there in [true, false] {
        let (mut world, _, told) = scene(QuicServerOptions::default(), 1 << 20);
        let seen = watch(&mut world);
        world.run(Duration::from_millis(60));
        world.move_to(elsewhere);
        world.network.nobody = Some(elsewhere).filter(|_| !is_there);
        world.run(Duration::from_secs(20));
        let seen = seen.lock().unwrap();
        let of_there: Vec<Trust> = seen
            .iter()
            .filter(|(from, _)| *from == elsewhere)
            .map(|(_, trust)| *trust)
            .collect();
        let [first, .., last] = of_there[..] else {
            panic!("{of_there:?}")
        };
        assert_eq!(first, Trust::Stranger);
        assert_eq!(last == Trust::Validated, is_there, "{of_there:?}");
        assert_eq!(lines(&told).contains(&"heard all".to_owned()), is_there);
        // Shown once, it is believed.
        let shown = of_there.iter().position(|trust| *trust == Trust::Validated);
        let after = &of_there[shown.unwrap_or(of_there.len())..];
        assert!(
            after.iter().all(|trust| *trust == Trust::Validated),
            "{of_there:?}"
        );
    }
}

#[test]
fn who_never_was_connected_is_nobody_known_when_it_is_over() {
    let (mut world, _, _) = scene(QuicServerOptions::default(), 100);
    let first = initial(&mut world);
    world.deliver(true, &first);
    world.now = Mono(5_000_000_000);
    world.tell(true, Input::Wake);
    let peers: Vec<_> = world.server.peers.values().collect();
    let [peer] = peers[..] else {
        panic!("the library keeps it for a while")
    };
    assert_eq!((peer.connected, peer.over), (false, true));
    assert_eq!(world.server.handshakes, 0);
    let seen = watch(&mut world);
    world.deliver(true, &first);
    assert_eq!(seen.lock().unwrap()[..], [(path().local, Trust::Stranger)]);
}

#[test]
fn signs_of_life_do_not_keep_who_asks_nothing() {
    let (tls, der) = certificate();
    let told = Diary::default();
    let options = crate::ClientOptions {
        keep_alive: Some(Duration::from_secs(1)),
        ..crate::ClientOptions::default()
    };
    let trust = halloo_tls::Trust::Pinned(halloo_tls::Pin::of(&der));
    let client = crate::testing::client(&trust, options);
    let mut talker = Talker::new(&told, 100, 1);
    talker.lingers = true;
    let client = QuicStreams::new(talker, client, base(), sink(&Diary::default()));
    let (server, counters) = server(QuicServerOptions::default(), &tls);
    let mut world = World::new(client, server);
    assert!(world.run(LONG));
    assert_eq!(
        lines(&told).last().unwrap(),
        "Broken(104 (Connection reset by peer))"
    );
    assert_eq!(counters.connections.count(Reason::IdleTimeout), 1);
    // The echo was answered at 30 ms, and the goodbye takes 10.
    assert_eq!(world.now, Mono(30_040_000_000));
}

#[test]
fn a_client_may_go_on_from_another_address() {
    let (mut world, counters, told) = scene(QuicServerOptions::default(), 1 << 20);
    world.run(Duration::from_millis(60));
    assert!(
        !lines(&told).contains(&"heard all".to_owned()),
        "it is not done yet"
    );
    world.move_to(([198, 51, 100, 7], 5).into());
    assert!(world.run(LONG));
    assert!(lines(&told).contains(&"heard all".to_owned()));
    assert_eq!(counters.connections.snapshot().received, 1);
    assert_ne!(world.path, path());
}

#[test]
fn stopped_it_says_goodbye() {
    let (mut world, _, told) = scene(QuicServerOptions::default(), 1 << 20);
    world.run(Duration::from_millis(60));
    world.tell(true, Input::Stop);
    assert!(world.run(LONG));
    assert!(world.server.finished());
    assert_eq!(
        lines(&told).last().unwrap(),
        "Broken(104 (Connection reset by peer))"
    );
    assert!(world.now.since(Mono(0)) < Duration::from_secs(1));
}

#[test]
fn options_out_of_range_are_refused() {
    let cases = [
        QuicServerOptions {
            connections: 0,
            ..QuicServerOptions::default()
        },
        QuicServerOptions {
            mtu: 1_199,
            ..QuicServerOptions::default()
        },
        QuicServerOptions {
            idle_timeout: Duration::ZERO,
            ..QuicServerOptions::default()
        },
    ];
    for options in cases {
        assert!(options.check().is_err(), "{options:?}");
    }
    assert_eq!(QuicServerOptions::default().check(), Ok(()));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_bring_little(bytes in prop::collection::vec(any::<u8>(), 0..1_500), long_header: bool) {
        let (mut world, counters, _) = scene(QuicServerOptions::default(), 100);
        let mut bytes = bytes;
        if long_header && bytes.len() > 5 {
            // Version 1, so that it is looked at more closely.
            bytes[..5].copy_from_slice(&[0xc0, 0, 0, 0, 1]);
        }
        world.deliver(true, &bytes);
        prop_assert!(world.sent[1] <= 3 * bytes.len());
        prop_assert!(world.server.peers.is_empty());
        let counted = counters.connections.snapshot();
        prop_assert_eq!(counted.silent.iter().map(|(_, times)| times).sum::<u64>(), 1);
    }

    #[test]
    fn a_damaged_beginning_brings_little(places in prop::collection::vec((0usize..1_200, any::<u8>()), 1..4), cut in 0usize..1_200) {
        let (mut world, _, _) = scene(QuicServerOptions::default(), 100);
        let mut bytes = initial(&mut world);
        for (place, value) in places {
            bytes[place] = value;
        }
        world.deliver(true, &bytes);
        world.deliver(true, &bytes[..cut]);
        prop_assert!(world.sent[1] <= 3 * (bytes.len() + cut));
    }

    #[test]
    fn damage_on_the_way_breaks_nothing(seed: u64) {
        let (mut world, _, _) = scene(QuicServerOptions::default(), 20_000);
        world.damage(seed);
        world.run(LONG);
        prop_assert!(world.client.finished());
    }
}
