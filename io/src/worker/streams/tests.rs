use super::*;
use halloo_base::LinkId;
use std::net::Ipv4Addr;

/// Streams of one machine, with a connection that it opened, or that was opened to it.
fn connection(opened: Option<ConnId>, answers: bool) -> (Streams, u32) {
    let owner = Seat(0);
    let mut streams = Streams::new();
    let options = StreamOptions {
        answers,
        ..StreamOptions::default()
    };
    streams.set_options(owner, options);
    let (socket, _) = Socket::pair(socket2::Domain::UNIX, socket2::Type::STREAM, None).expect("a pair");
    let anywhere = (Ipv4Addr::UNSPECIFIED, 0).into();
    let path = Path {
        link: LinkId(0),
        local: anywhere,
        remote: anywhere,
    };
    let (slot, _) = streams.insert(opened, owner, socket, path);
    streams.get(slot).expect("just inserted").connecting = false;
    (streams, slot)
}

#[test]
fn who_answers_reads_no_more_than_the_peer_takes() {
    let table = [
        (None, false, false),
        (Some(ConnId(0)), false, true),
        (Some(ConnId(0)), true, false),
    ];
    for (opened, answers, reads_on) in table {
        let (mut streams, slot) = connection(opened, answers);
        let conn = streams.get(slot).expect("it is there");
        assert!(conn.reads(), "nothing waits");
        conn.waiting.push_back(0);
        assert_eq!(conn.reads(), reads_on, "{opened:?}, answers: {answers}");
    }
}
