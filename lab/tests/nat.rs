//! Address translation, as a server outside sees it.

#![allow(clippy::unwrap_used, reason = "a helper of tests fails the test")]

mod common;

use common::{receive, udp};
use halloo_lab::{Host, Lab, Link, Nat};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};

struct House {
    _lab: Lab,
    router: Host,
    inside: Link,
    outside: Link,
}

/// A host behind a router, and a server that knows no way to the inside.
fn house(title: &str) -> Option<House> {
    let lab = Lab::or_skip(title)?;
    let (host, router, server) = (lab.host("host"), lab.router("router"), lab.host("server"));
    let (inside, outside) = (lab.link(&host, &router), lab.link(&router, &server));
    host.route("default", inside.b().v4().into());
    Some(House {
        _lab: lab,
        router,
        inside,
        outside,
    })
}

impl House {
    fn host_socket(&self) -> UdpSocket {
        udp(self.inside.a().host(), self.inside.a().v4())
    }

    fn server_socket(&self) -> UdpSocket {
        udp(self.outside.b().host(), self.outside.b().v4())
    }

    /// How a server socket sees a datagram from a host's socket; it is answered along the way.
    fn seen(&self, from: &UdpSocket, by: &UdpSocket) -> SocketAddr {
        from.send_to(b"who am i", by.local_addr().unwrap()).unwrap();
        let (_, seen) = by.recv_from(&mut [0; 16]).unwrap();
        by.send_to(b"you", seen).unwrap();
        assert_eq!(receive(from), b"you");
        seen
    }
}

#[test]
fn a_port_kept_nat_shows_every_server_the_same_address_and_port() {
    let Some(house) = house("port-kept NAT") else {
        return;
    };
    house.router.nat(house.outside.a(), Nat::PortKept);
    let (host, first, second) = (house.host_socket(), house.server_socket(), house.server_socket());
    let seen = house.seen(&host, &first);
    assert_eq!(
        seen,
        SocketAddr::from((house.outside.a().v4(), host.local_addr().unwrap().port()))
    );
    assert_eq!(house.seen(&host, &second), seen);
}

#[test]
fn a_symmetric_nat_shows_every_server_another_port_and_each_server_always_the_same() {
    let Some(house) = house("symmetric NAT") else {
        return;
    };
    house.router.nat(house.outside.a(), Nat::Symmetric);
    let host = house.host_socket();
    let servers = [
        house.server_socket(),
        house.server_socket(),
        house.server_socket(),
    ];
    let seen = servers.each_ref().map(|server| house.seen(&host, server));
    assert!(seen.iter().all(|seen| seen.ip() == house.outside.a().v4()));
    // Three random ports of some 64,000 are all equal once in four billion runs.
    assert!(seen.iter().any(|other| *other != seen[0]), "{seen:?}");
    assert_eq!(house.seen(&host, &servers[0]), seen[0]);
}

#[test]
fn a_static_nat_shows_the_address_that_it_is_given() {
    let Some(house) = house("static NAT") else { return };
    let public = Ipv4Addr::new(198, 51, 100, 7);
    house
        .outside
        .b()
        .host()
        .route("198.51.100.7/32", house.outside.a().v4().into());
    house
        .router
        .nat(house.outside.a(), Nat::Static { to: public.into() });
    let (host, server) = (house.host_socket(), house.server_socket());
    assert_eq!(house.seen(&host, &server).ip(), public);
}

#[test]
fn a_one_to_one_nat_lets_the_unasked_in() {
    let Some(house) = house("one-to-one NAT") else {
        return;
    };
    let inside = house.inside.a().v4().into();
    house.router.nat(house.outside.a(), Nat::OneToOne { inside });
    let (host, server) = (house.host_socket(), house.server_socket());
    let target = (house.outside.a().v4(), host.local_addr().unwrap().port());
    server.send_to(b"unasked", target).unwrap();
    assert_eq!(receive(&host), b"unasked");
    assert_eq!(house.seen(&host, &server), SocketAddr::from(target));
}
