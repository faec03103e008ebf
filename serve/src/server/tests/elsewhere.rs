//! Answers that leave from another address of ours than the one that was asked.

use super::*;

const OTHER: &str = "192.0.2.8:7778";

fn from_other(other: &'static str) -> Puppet {
    let other = path(other, PEER).local;
    Puppet::saying(move |_| Verdict::ReplyFrom(1, other))
}

fn longer() -> ServerOptions {
    ServerOptions {
        reply_limit: ReplyLimit::Extra(8),
        ..options()
    }
}

#[test]
fn it_goes_to_who_asked_by_the_link_that_routing_chooses() {
    let (mut server, counters) = server(longer(), from_other(OTHER));
    let asked = Path {
        link: LinkId(3),
        ..path(LOCAL, PEER)
    };
    let sent = World::new().datagram(&mut server, asked, b"xyz");
    let way = Path {
        link: LinkId(0),
        ..path(OTHER, PEER)
    };
    assert_eq!(sent, [Sent::Datagram(way, None, b"x".to_vec())]);
    assert_eq!(tally(&counters), "1 in, 1 out");
}

#[test]
fn from_another_port_of_the_same_address_it_leaves_by_the_link_of_its_request() {
    let local = path(LOCAL, PEER).local;
    let other = std::net::SocketAddr::new(local.ip(), 7778);
    let puppet = Puppet::saying(move |_| Verdict::ReplyFrom(1, other));
    let (mut server, _) = server(longer(), puppet);
    let asked = path(LOCAL, PEER);
    let sent = World::new().datagram(&mut server, asked, b"xyz");
    let way = Path {
        local: other,
        ..asked
    };
    assert_eq!(sent, [Sent::Datagram(way, None, b"x".to_vec())]);
}

/// A forged source that is the other address, or has the port there: the answer would be asked again.
#[test]
fn every_guard_holds_for_the_other_address_too() {
    let mut options = longer();
    options.guards.broadcasts = vec![crate::Broadcast {
        link: LinkId(0),
        address: [192, 0, 2, 255].into(),
    }];
    let table = [
        (OTHER, "198.51.100.9:7778", Reason::OwnPort),
        (OTHER, OTHER, Reason::BogonSource),
        (OTHER, "198.51.100.9:53", Reason::ReflectionPort),
        ("192.0.2.255:7778", PEER, Reason::NotUnicast),
        ("224.0.0.9:7778", PEER, Reason::NotUnicast),
    ];
    for (other, remote, why) in table {
        let (mut server, counters) = server(options.clone(), from_other(other));
        let sent = World::new().datagram(&mut server, path(LOCAL, remote), b"xyz");
        assert_eq!(sent, [], "{other} to {remote}");
        assert_eq!(counters.count(why), 1, "{}", tally(&counters));
    }
}

#[test]
fn nobody_is_answered_from_elsewhere_who_did_not_pass_the_strictest_limit() {
    let (mut server, counters) = server(options(), from_other(OTHER));
    assert_eq!(World::new().datagram(&mut server, path(LOCAL, PEER), b"xyz"), []);
    assert_eq!(tally(&counters), "1 in, 0 out, 1 not_served");

    let mut options = longer();
    options.guards.limits.per_source = Some(Rate {
        per_second: 20,
        burst: 40,
    });
    let (mut server, counters) = super::server(options, from_other(OTHER));
    let mut world = World::new();
    let sent: Vec<_> = (0..4)
        .map(|_| world.datagram(&mut server, path(LOCAL, PEER), b"xyz").len())
        .collect();
    assert_eq!(sent, [1, 1, 0, 0], "a twentieth of the burst");
    assert_eq!(tally(&counters), "4 in, 2 out, 2 rate_limited");
}

#[test]
fn it_is_no_longer_than_the_limit_either() {
    let other = path(OTHER, PEER).local;
    let puppet = Puppet::saying(move |_| Verdict::ReplyFrom(12, other));
    let (mut server, counters) = server(longer(), puppet);
    assert_eq!(World::new().datagram(&mut server, path(LOCAL, PEER), b"xyz"), []);
    assert_eq!(tally(&counters), "1 in, 0 out, 1 reply_too_long");
}
