use super::*;
use crate::testing::{
    Diary, OTHER_PORT, Talker, World, base, certificate, client, lines, path, server, sink,
};
use crate::{ClientOptions, Moving, QuicServerOptions, QuicStreams};
use halloo_tls::{Pin, Trust};

const LONG: Duration = Duration::from_secs(600);

/// What was told of the connections, and what the machine saw.
fn outcome(options: ClientOptions, host: QuicServerOptions, resuming: bool) -> (Vec<String>, Vec<String>) {
    let (tls, der) = certificate();
    let client = client(&Trust::Pinned(Pin::of(&der)), options);
    let (connections, told) = (Diary::default(), Diary::default());
    let mut talker = Talker::new(&told, 100_000, 1);
    talker.lingers = false;
    let machine = QuicStreams::new(talker, client.clone(), base(), sink(&connections));
    let (server, _) = server(host, &tls);
    if resuming {
        let machine = Resuming::new(machine, client, path(), base());
        assert!(World::new(machine, server).run(LONG));
    } else {
        assert!(World::new(machine, server).run(LONG));
    }
    (lines(&connections), lines(&told))
}

fn early() -> ClientOptions {
    ClientOptions {
        early_data: true,
        ..ClientOptions::default()
    }
}

#[test]
fn the_first_connection_of_a_machine_asks_early_since_there_was_one_before() {
    let (connections, told) = outcome(early(), QuicServerOptions::default(), true);
    // A round trip for the first handshake, and one for the ticket behind it.
    assert_eq!(told[1], "opened at 40ms");
    assert_eq!(
        connections,
        ["connected at 60ms, resumed Some(true), early Accepted"]
    );
    assert_eq!(told.last().unwrap(), "Done");
}

#[test]
fn a_host_that_takes_no_early_data_is_asked_all_the_same() {
    let host = QuicServerOptions {
        early_data: false,
        ..QuicServerOptions::default()
    };
    let (connections, told) = outcome(early(), host, true);
    assert!(
        connections[0].ends_with("early None") || connections[0].ends_with("early Refused"),
        "{connections:?}"
    );
    assert_eq!(told.last().unwrap(), "Done");
}

#[test]
fn where_nobody_answers_the_machine_begins_after_five_seconds() {
    let (_, der) = certificate();
    let client = client(&Trust::Pinned(Pin::of(&der)), early());
    let told = Diary::default();
    let machine = QuicStreams::new(
        Talker::new(&told, 10, 1),
        client.clone(),
        base(),
        sink(&Diary::default()),
    );
    let (server, _) = server(QuicServerOptions::default(), &certificate().0);
    let mut world = World::new(Resuming::new(machine, client, path(), base()), server);
    world.network.cut_at = Some(Mono(0));
    world.run(Duration::from_millis(4_999));
    assert_eq!(lines(&told), [""; 0]);
    world.run(Duration::from_millis(2));
    assert_eq!(lines(&told), ["connects"]);
}

#[test]
fn a_connection_that_moves_goes_on_and_tells_when_the_host_has_seen_it() {
    let moving = Some(Moving {
        after: Duration::from_millis(25),
        port: OTHER_PORT,
    });
    let options = ClientOptions {
        moving,
        ..ClientOptions::default()
    };
    let (connections, told) = outcome(options, QuicServerOptions::default(), false);
    // It may leave when what was sent before has been acknowledged, at 60 ms.
    assert_eq!(
        connections[1..],
        ["moved to 50000 at 80ms, seen after 20ms"],
        "{connections:?}"
    );
    assert!(told.contains(&"heard all".to_owned()));
    assert_eq!(told.last().unwrap(), "Done");
}

#[test]
fn a_host_that_lets_nobody_move_loses_him() {
    let moving = Some(Moving {
        after: Duration::from_millis(25),
        port: OTHER_PORT,
    });
    let options = ClientOptions {
        moving,
        ..ClientOptions::default()
    };
    let host = QuicServerOptions {
        migration: false,
        ..QuicServerOptions::default()
    };
    let (connections, told) = outcome(options, host, false);
    assert!(connections[1].starts_with("lost"), "{connections:?}");
    assert!(told.last().unwrap().starts_with("Broken"), "{told:?}");
}
