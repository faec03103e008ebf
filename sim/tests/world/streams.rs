//! Connections.

use crate::pair;
use crate::scribe::{Act, Scribe, Told, path};
use halloo_base::{CloseReason, ConnId, TxTag};
use halloo_sim::{Handle, Kind, NatOptions, Node, Quality, Wire, World, ms, secs};

const ID: ConnId = ConnId(0);
const SERVER: &str = "192.0.2.2:7";

fn connect() -> Scribe {
    Scribe::silent().then(ms(1), Act::Connect(ID, path(SERVER)))
}

fn write(at: u64, bytes: &[u8]) -> (std::time::Duration, Act) {
    (ms(at), Act::Write(ID, Some(TxTag(at)), bytes.to_vec()))
}

struct Story {
    world: World,
    a: Node,
    b: Node,
    wire: Wire,
    client: Handle<Scribe>,
    server: Handle<Scribe>,
}

fn story(quality: Quality, client: Scribe) -> Story {
    let (mut world, a, b, wire) = pair(4, quality);
    let server = world.add(b, Scribe::echo());
    world.listen(server, "0.0.0.0:7");
    let client = world.add(a, client);
    Story {
        world,
        a,
        b,
        wire,
        client,
        server,
    }
}

fn closed(machine: &Scribe) -> Option<String> {
    machine.told().into_iter().find_map(|told| match told {
        Told::Closed(_, CloseReason::ConnectFailed(error)) => Some(format!("connect: {error}")),
        Told::Closed(_, CloseReason::Broken(error)) => Some(format!("broken: {error}")),
        Told::Closed(_, why) => Some(format!("{why:?}")),
        _ => None,
    })
}

/// Bytes in which every place is recognisable.
fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|n| (n % 251) as u8 ^ (n / 251) as u8).collect()
}

#[test]
fn a_connection_opens_carries_and_ends_in_the_order_of_its_delays() {
    let (at, act) = write(100, b"halloo");
    let mut story = story(
        Quality::delay(ms(10)),
        connect().then(at, act).then(ms(200), Act::Finish(ID)),
    );
    story.world.run_until(secs(1));
    let client = story.world.machine(story.client);
    let started = client.started.expect("it was started");
    let told: Vec<_> = client
        .notes
        .iter()
        .filter(|(_, told)| !matches!(told, Told::Wake))
        .map(|(now, told)| {
            let word = match told {
                Told::Opened(id, path) => {
                    assert_eq!((*id, path.remote.to_string().as_str()), (ID, SERVER));
                    "opened"
                }
                Told::Data(_, bytes, at) => {
                    assert_eq!((bytes.as_slice(), at.mono), (&b"halloo"[..], *now));
                    "data"
                }
                Told::Departed(tag, at) => {
                    assert_eq!((*tag, at.mono), (TxTag(100), started + ms(100)));
                    "departed"
                }
                Told::Finished(_) => "finished",
                Told::Closed(_, CloseReason::Done) => "closed",
                other => panic!("{other:?}"),
            };
            (word, now.since(started).as_millis())
        })
        .collect();
    let expected = [
        ("opened", 21),
        ("departed", 100),
        ("data", 120),
        ("finished", 220),
        ("closed", 220),
    ];
    assert_eq!(told, expected);
    let server = story.world.machine(story.server);
    let id = server.told().into_iter().find_map(|told| match told {
        Told::Opened(id, path) => Some((*id, path.local.to_string())),
        _ => None,
    });
    let (id, local) = id.expect("the server was told");
    assert!(id.is_accepted());
    assert_eq!(local, SERVER);
    assert_eq!(closed(server).as_deref(), Some("Done"));
}

#[test]
fn bytes_stay_in_order_however_they_are_split_merged_lost_and_held_back() {
    let bytes = pattern(60_000);
    let quality = Quality::delay(ms(3))
        .loss(0.01)
        .reorder(0.1, ms(2))
        .duplicate(0.05)
        .corrupt(0.01);
    let mut client = connect();
    for (nth, chunk) in bytes.chunks(200).enumerate() {
        let (at, act) = write(50 + 10 * nth as u64, chunk);
        client = client.then(at, act);
    }
    let mut story = story(quality, client);
    for host in [story.a, story.b] {
        story.world.tune(host, |options| {
            options.split = 0.3;
            options.merge = 0.3;
        });
    }
    story.world.run_until(secs(60));
    let (received, pieces) = story.world.machine(story.client).stream();
    assert!(
        received == bytes,
        "{} of {} bytes came back",
        received.len(),
        bytes.len()
    );
    assert!(pieces > 100, "{pieces} pieces");
    let lost = story
        .world
        .trace()
        .count(|packet| packet.kind == Kind::Segment && packet.altered);
    assert!(lost > 0, "no segment was altered");
}

#[test]
fn splitting_and_merging_change_the_pieces_and_nothing_else() {
    let pieces = |split, merge| {
        let mut client = connect();
        for n in 0..100 {
            let (at, act) = (
                ms(50) + halloo_sim::us(20) * n,
                Act::Write(ID, None, vec![n as u8; 50]),
            );
            client = client.then(at, act);
        }
        let mut story = story(Quality::delay(ms(1)), client);
        story.world.tune(story.b, |options| {
            options.split = split;
            options.merge = merge;
        });
        story.world.run_until(secs(1));
        let (bytes, pieces) = story.world.machine(story.server).stream();
        assert_eq!(bytes.len(), 5_000);
        assert!(bytes.is_sorted());
        pieces
    };
    assert_eq!(pieces(0.0, 0.0), 100);
    assert!(pieces(0.5, 0.0) > 150);
    assert!(pieces(0.0, 0.9) < 50);
}

#[test]
fn a_port_without_a_listener_refuses_after_a_round_trip() {
    let client = Scribe::silent().then(ms(1), Act::Connect(ID, path("192.0.2.2:8")));
    let mut story = story(Quality::delay(ms(10)), client);
    story.world.run_until(secs(1));
    let client = story.world.machine(story.client);
    assert_eq!(closed(client).as_deref(), Some("connect: Connection refused"));
    let (now, _) = client.notes.last().expect("it was told");
    assert_eq!(now.since(client.started.expect("it was started")), ms(21));
}

#[test]
fn a_host_that_never_answers_makes_connecting_time_out() {
    let mut story = story(Quality::delay(ms(10)).loss(1.0), connect());
    story.world.run_until(secs(126));
    assert_eq!(closed(story.world.machine(story.client)), None);
    story.world.run_until(secs(128));
    let why = closed(story.world.machine(story.client));
    assert_eq!(why.as_deref(), Some("connect: Connection timed out"));
}

#[test]
fn a_lost_segment_shows_as_delay() {
    let (at, act) = write(100, b"late");
    let mut story = story(Quality::delay(ms(10)), connect().then(at, act));
    let (wire, a) = (story.wire, story.a);
    story.world.at(ms(90), move |world| {
        world.set_from(wire, a, Quality::delay(ms(10)).loss(1.0));
    });
    story
        .world
        .at(ms(150), move |world| world.set(wire, Quality::delay(ms(10))));
    story.world.run_until(secs(1));
    let client = story.world.machine(story.client);
    let (now, _) = client.notes.last().expect("it was told");
    assert_eq!(
        now.since(client.started.expect("it was started")),
        ms(100 + 200 + 20)
    );
    assert_eq!(client.stream().0, b"late");
}

#[test]
fn a_broken_connection_is_reset_at_both_ends() {
    let mut story = story(Quality::delay(ms(10)), connect());
    let server = story.server;
    story.world.at(ms(500), move |world| world.break_streams(server));
    story.world.run_until(secs(1));
    let reset = Some("broken: Connection reset by peer");
    assert_eq!(closed(story.world.machine(story.client)).as_deref(), reset);
    assert_eq!(closed(story.world.machine(story.server)).as_deref(), reset);
}

#[test]
fn an_aborted_connection_is_reset_at_the_peer_and_says_no_more_here() {
    let mut story = story(Quality::delay(ms(10)), connect().then(ms(100), Act::Abort(ID)));
    story.world.run_until(secs(1));
    assert_eq!(closed(story.world.machine(story.client)), None);
    let why = closed(story.world.machine(story.server));
    assert_eq!(why.as_deref(), Some("broken: Connection reset by peer"));
}

#[test]
fn a_killed_server_says_goodbye_and_then_knows_nothing() {
    let (at, act) = write(300, b"anyone there?");
    let mut story = story(Quality::delay(ms(10)), connect().then(at, act));
    let server = story.server;
    story.world.at(ms(100), move |world| world.kill(server));
    story.world.run_until(secs(1));
    let client = story.world.machine(story.client);
    let told = client.told();
    assert!(matches!(told[1], Told::Finished(_)), "{told:?}");
    assert_eq!(
        closed(client).as_deref(),
        Some("broken: Connection reset by peer")
    );
}

#[test]
fn a_peer_that_does_not_read_is_given_up_when_too_much_waits() {
    let mut client = connect();
    for n in 0..50 {
        client = client.then(ms(100 + n), Act::Write(ID, None, vec![7; 100_000]));
    }
    let mut story = story(Quality::delay(ms(1)), client);
    let server = story.server;
    story.world.at(ms(50), move |world| world.stop_reading(server));
    story.world.run_until(secs(1));
    assert_eq!(
        closed(story.world.machine(story.client)).as_deref(),
        Some("Overflow")
    );
    assert_eq!(story.world.machine(story.server).stream().1, 0);
}

#[test]
fn a_peer_that_reads_again_gets_everything() {
    let (at, act) = write(100, b"patience");
    let mut story = story(
        Quality::delay(ms(1)),
        connect().then(at, act).then(ms(120), Act::Finish(ID)),
    );
    let server = story.server;
    story.world.at(ms(50), move |world| world.stop_reading(server));
    story.world.at(ms(500), move |world| world.resume_reading(server));
    story.world.run_until(secs(1));
    assert_eq!(story.world.machine(story.client).stream().0, b"patience");
    assert_eq!(closed(story.world.machine(story.client)).as_deref(), Some("Done"));
}

#[test]
fn a_small_mtu_cuts_segments_but_not_the_stream() {
    let bytes = pattern(5_000);
    let (at, act) = write(100, &bytes);
    let mut story = story(Quality::delay(ms(1)).mtu(576), connect().then(at, act));
    story.world.run_until(secs(5));
    assert!(story.world.machine(story.client).stream().0 == bytes);
}

#[test]
fn connections_go_through_nats() {
    let mut world = World::new(1);
    let internet = world.cloud("internet");
    let far = world.host("far", &["192.0.2.2"]);
    world.join(far, internet, Quality::delay(ms(5)));
    let nat = world.nat("nat", "203.0.113.1", NatOptions::default());
    world.uplink(nat, internet, Quality::delay(ms(5)));
    let home = world.host("home", &["10.0.0.2"]);
    world.join(home, nat, Quality::delay(ms(1)));
    let server = world.add(far, Scribe::echo());
    world.listen(server, "0.0.0.0:7");
    let (at, act) = write(100, b"through");
    let client = world.add(home, connect().then(at, act));
    world.run_until(secs(1));
    assert_eq!(world.machine(client).stream().0, b"through");
    let peer = world
        .machine(server)
        .told()
        .into_iter()
        .find_map(|told| match told {
            Told::Opened(_, path) => Some(path.remote.ip().to_string()),
            _ => None,
        });
    assert_eq!(peer.as_deref(), Some("203.0.113.1"));
}
