//! Sockets for ICMP echo, with and without rights.

use super::raw::{Ask, Saw, any};
use super::{PATIENCE, Running, settle};
use halloo_base::{StampSource, TxTag};
use halloo_io::{IcmpSocket, RawOptions};
use halloo_lab::{Host, Lab};
use halloo_protocols::icmp::{Echo, Family, HEADER, Kind};
use nix::sys::socket::{MsgFlags, recv};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd};
use std::sync::mpsc::{Receiver, channel};

/// Of a raw socket; of a ping socket the kernel chooses it.
const IDENTIFIER: u16 = 0xbeef;
const DATA: &[u8] = b"halloo, anyone?";

/// Says who may have ping sockets on a host: everybody, or nobody, as the kernel has it at first.
fn allow(host: &Host, everybody: bool) {
    let groups = if everybody { "0 2147483647" } else { "1 0" };
    host.sysctl("net.ipv4.ping_group_range", groups);
}

fn options(local: IpAddr) -> RawOptions {
    RawOptions {
        prober: true,
        ..RawOptions::new(0, local)
    }
}

fn open(host: &Host, options: &RawOptions) -> IcmpSocket {
    host.enter(|| IcmpSocket::open(options, IDENTIFIER))
        .expect("root may")
}

fn family(of: IpAddr) -> Family {
    if of.is_ipv4() { Family::V4 } else { Family::V6 }
}

/// Sends one request by the socket.
fn ask(host: &Host, remote: IpAddr, socket: IcmpSocket) -> (Running, Receiver<Saw>) {
    let echo = Echo {
        kind: Kind::Request,
        identifier: socket.identifier(),
        sequence: 7,
    };
    let mut message = [&[0; HEADER], DATA].concat();
    echo.emit(family(remote), &mut message).expect("room");
    let (tell, seen) = channel();
    let running = Running::on(host, move |worker| {
        let owner = worker.add(Box::new(Ask {
            remote,
            message,
            tell,
        }));
        worker.icmp(socket, owner).expect("watched");
    });
    (running, seen)
}

/// Asks, and hears that the request left and that it was answered.
fn converse(host: &Host, own: IpAddr, remote: IpAddr, socket: IcmpSocket) {
    let identifier = socket.identifier();
    let (_asking, seen) = ask(host, remote, socket);
    let (mut departed, mut answered) = (false, false);
    while !(departed && answered) {
        let saw = seen.recv_timeout(PATIENCE);
        match saw.unwrap_or_else(|_| panic!("{remote}: departed {departed}, answered {answered}")) {
            Saw::Departed(tag, source) => {
                assert_eq!((tag, source), (TxTag(7), StampSource::Kernel));
                departed = true;
            }
            Saw::Datagram {
                path,
                at,
                ttl,
                payload,
            } => {
                assert_eq!(path.local, SocketAddr::new(own, 0));
                assert_eq!(path.remote, SocketAddr::new(remote, 0));
                assert!(path.link.0 > 0, "it came by a link");
                // The first packets of a fresh socket may come before stamps are switched on.
                assert!(at >= StampSource::User && ttl == Some(64));
                let reply = Echo {
                    kind: Kind::Reply,
                    identifier,
                    sequence: 7,
                };
                assert_eq!(Echo::parse(&payload, family(remote)), Ok((reply, DATA)));
                answered = true;
            }
            Saw::Unreachable(error, _) => panic!("{error}"),
        }
    }
}

#[test]
fn the_kernel_answers_by_either_socket() {
    let Some(lab) = Lab::or_skip("ICMP echo on a cable") else {
        return;
    };
    let (near, far) = (lab.host("near"), lab.host("far"));
    let link = lab.link(&near, &far);
    for end in [link.a(), link.b()] {
        settle(end.host(), end.v6().into());
    }
    let ends: [(IpAddr, IpAddr, &str); 4] = [
        (link.a().v4().into(), link.b().v4().into(), link.a().device()),
        (link.a().v6().into(), link.b().v6().into(), link.a().device()),
        (Ipv4Addr::LOCALHOST.into(), Ipv4Addr::LOCALHOST.into(), "lo"),
        (Ipv6Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into(), "lo"),
    ];
    for everybody in [true, false] {
        allow(&near, everybody);
        for (own, remote, device) in ends {
            for (local, device) in [(any(own), None), (own, Some(device.to_owned()))] {
                let options = RawOptions {
                    device,
                    dont_fragment: true,
                    ttl: Some(33),
                    tos: Some(0xb8),
                    ..options(local)
                };
                let socket = open(&near, &options);
                assert_eq!(socket.is_raw(), !everybody);
                assert_eq!(socket.identifier() == IDENTIFIER, !everybody);
                assert_eq!(
                    (socket.local_addr(), socket.device()),
                    (local, options.device.as_deref())
                );
                converse(&near, own, remote, socket);
            }
        }
    }
}

#[test]
fn a_raw_socket_hears_only_what_is_answered_to_it() {
    let Some(lab) = Lab::or_skip("two ICMP sockets of one host") else {
        return;
    };
    let (near, far) = (lab.host("near"), lab.host("far"));
    let link = lab.link(&near, &far);
    for end in [link.a(), link.b()] {
        settle(end.host(), end.v6().into());
    }
    let ends: [(IpAddr, IpAddr); 2] = [
        (link.a().v4().into(), link.b().v4().into()),
        (link.a().v6().into(), link.b().v6().into()),
    ];
    for (own, remote) in ends {
        allow(&near, false);
        let silent = open(&near, &options(any(own)));
        assert!(silent.is_raw());
        allow(&near, true);
        // When the second answer has come, the first has come to all who hear it.
        for _ in 0..2 {
            converse(&near, own, remote, open(&near, &options(any(own))));
        }
        let heard = recv(silent.as_fd().as_raw_fd(), &mut [0; 128], MsgFlags::MSG_DONTWAIT);
        assert_eq!(heard, Err(nix::Error::EAGAIN), "{remote}");
    }
}

#[test]
fn an_error_is_told_with_the_request_and_to_nobody_else() {
    let Some(lab) = Lab::or_skip("an ICMP error about an ICMP request") else {
        return;
    };
    let (near, router) = (lab.host("near"), lab.host("router"));
    let link = lab.link(&near, &router);
    for end in [link.a(), link.b()] {
        settle(end.host(), end.v6().into());
    }
    router.sysctl("net.ipv4.ip_forward", "1");
    router.sysctl("net.ipv6.conf.all.forwarding", "1");
    let nowhere: [(IpAddr, IpAddr, &str); 2] = [
        (
            Ipv4Addr::new(203, 0, 113, 9).into(),
            link.b().v4().into(),
            "203.0.113.0/24",
        ),
        (
            Ipv6Addr::new(0x2001, 0xdb8, 0xbad, 0, 0, 0, 0, 9).into(),
            link.b().v6().into(),
            "2001:db8:bad::/48",
        ),
    ];
    for (remote, via, prefix) in nowhere {
        near.route(prefix, via);
        let version = if remote.is_ipv4() { "-4" } else { "-6" };
        router.must("ip", [version, "route", "add", "unreachable", prefix]);
        for everybody in [true, false] {
            allow(&near, everybody);
            let socket = open(&near, &options(any(remote)));
            let request = Echo {
                kind: Kind::Request,
                identifier: socket.identifier(),
                sequence: 7,
            };
            // Another session, of another identifier, hears nothing of it.
            let other = near
                .enter(|| IcmpSocket::open(&options(any(remote)), IDENTIFIER + 1))
                .expect("root may");
            let (_listening, others) = ask(&near, via, other);
            let (_asking, seen) = ask(&near, remote, socket);
            let (error, quoted) = loop {
                let saw = seen.recv_timeout(PATIENCE).expect("it is told");
                if let Saw::Unreachable(error, quoted) = saw {
                    break (error, quoted);
                }
            };
            // EHOSTUNREACH and ENETUNREACH; for IPv6 the first, too.
            assert!([113, 101].contains(&error.0), "{error:?}");
            assert_eq!(
                Echo::parse(&quoted, family(remote)),
                Ok((request, DATA)),
                "{remote}"
            );
            let told = others.try_iter().any(|saw| matches!(saw, Saw::Unreachable(..)));
            assert!(!told, "{remote}");
        }
    }
}
