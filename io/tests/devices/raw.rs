//! Raw sockets.

use super::{PATIENCE, Running, settle};
use halloo_base::{
    Cx, Deadline, Input, IpHeader, LinkId, Machine, Path, StampSource, Transmit, TxTag, UnreachableError,
};
use halloo_io::{RawOptions, RawSocket};
use halloo_lab::{Host, Lab};
use std::net::{IpAddr, SocketAddr};
use std::sync::mpsc::{Receiver, Sender, channel};

/// For experiments (RFC 3692).
const PROTOCOL: u8 = 253;
/// An ICMP error about less than eight bytes is told to nobody.
const MESSAGE: &[u8] = b"\xffhalloo, anyone?";

/// Sends what follows the IP header back.
struct Echo;

impl Machine for Echo {
    fn handle(&mut self, cx: &mut Cx<'_>, input: Input<'_>) {
        if let Input::Datagram(rx) = input {
            cx.out.datagram(Transmit::to(rx.path), message(rx.payload));
        }
    }

    fn deadline(&self) -> Option<Deadline> {
        None
    }
}

/// What follows the IPv4 header; an IPv6 socket gives no header.
fn message(payload: &[u8]) -> &[u8] {
    match payload.first() {
        Some(first) if first >> 4 == 4 => &payload[usize::from(first & 15) * 4..],
        _ => payload,
    }
}

pub(super) enum Saw {
    Datagram {
        path: Path,
        at: StampSource,
        ttl: Option<u8>,
        payload: Vec<u8>,
    },
    Departed(TxTag, StampSource),
    Unreachable(UnreachableError, Vec<u8>),
}

/// Sends one datagram and tells everything that it hears.
pub(super) struct Ask {
    pub(super) remote: IpAddr,
    pub(super) message: Vec<u8>,
    pub(super) tell: Sender<Saw>,
}

impl Machine for Ask {
    fn handle(&mut self, cx: &mut Cx<'_>, input: Input<'_>) {
        let saw = match input {
            Input::Wake => {
                let path = Path {
                    link: LinkId(0),
                    local: (any(self.remote), 0).into(),
                    remote: (self.remote, 0).into(),
                };
                let how = Transmit {
                    tag: Some(TxTag(7)),
                    ..Transmit::to(path)
                };
                return cx.out.datagram(how, &self.message);
            }
            Input::Datagram(rx) => Saw::Datagram {
                path: rx.path,
                at: rx.at.source,
                ttl: rx.marks.ttl,
                payload: rx.payload.to_vec(),
            },
            Input::Departed(tag, stamp) => Saw::Departed(tag, stamp.source),
            Input::Unreachable(report, quoted) => Saw::Unreachable(report.error, quoted.to_vec()),
            _ => return,
        };
        // The test may have seen enough.
        let _ = self.tell.send(saw);
    }

    fn deadline(&self) -> Option<Deadline> {
        None
    }
}

pub(super) fn any(like: IpAddr) -> IpAddr {
    if like.is_ipv4() {
        [0; 4].into()
    } else {
        [0; 16].into()
    }
}

fn serve(host: &Host, local: IpAddr) -> Running {
    Running::on(host, move |worker| {
        let socket = RawSocket::open(&RawOptions::new(PROTOCOL, any(local))).expect("root may");
        let owner = worker.add(Box::new(Echo));
        worker.raw(socket, owner).expect("watched");
    })
}

fn ask(host: &Host, remote: IpAddr, options: RawOptions) -> (Running, Receiver<Saw>) {
    let (tell, seen) = channel();
    let running = Running::on(host, move |worker| {
        let socket = RawSocket::open(&options).expect("root may");
        assert_eq!(socket.local_addr(), options.local);
        let message = MESSAGE.to_vec();
        let owner = worker.add(Box::new(Ask {
            remote,
            message,
            tell,
        }));
        worker.raw(socket, owner).expect("watched");
    });
    (running, seen)
}

#[test]
fn a_datagram_of_any_protocol_goes_and_comes_with_its_stamps() {
    let Some(lab) = Lab::or_skip("raw sockets on a cable") else {
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
        let _serving = serve(&far, remote);
        for (local, device) in [(any(own), None), (own, Some(link.a().device().to_owned()))] {
            let options = RawOptions {
                local,
                device,
                prober: true,
                dont_fragment: true,
                ttl: Some(33),
                ..RawOptions::new(PROTOCOL, local)
            };
            let (_asking, seen) = ask(&near, remote, options);
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
                        // The first packets of a fresh socket may come before stamps are switched on.
                        assert!(at >= StampSource::User && ttl == Some(64));
                        assert_eq!(message(&payload), MESSAGE);
                        let header = IpHeader::parse(&payload).map(|ip| (ip.source, ip.protocol));
                        let expected = remote.is_ipv4().then_some((remote, PROTOCOL));
                        assert_eq!(header, expected, "IPv4 comes with its header");
                        answered = true;
                    }
                    Saw::Unreachable(error, _) => panic!("{error}"),
                }
            }
        }
    }
}

#[test]
fn the_route_is_recorded_where_the_options_ask_for_it() {
    let Some(lab) = Lab::or_skip("a raw socket with options") else {
        return;
    };
    let (near, far) = (lab.host("near"), lab.host("far"));
    let link = lab.link(&near, &far);
    let remote = IpAddr::from(link.b().v4());
    // Record route: type 7, length 11, pointer 4, room for two addresses, end of list.
    let ip_options = vec![7, 11, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let (tell, seen) = channel();
    let _listening = Running::on(&far, move |worker| {
        let socket = RawSocket::open(&RawOptions::new(PROTOCOL, any(remote))).expect("root may");
        let owner = worker.add(Box::new(Hear(tell)));
        worker.raw(socket, owner).expect("watched");
    });
    let options = RawOptions {
        ip_options,
        ..RawOptions::new(PROTOCOL, any(remote))
    };
    let (_asking, _) = ask(&near, remote, options);
    let payload = seen.recv_timeout(PATIENCE).expect("it arrives");
    assert_eq!(payload[0], 0x48, "20 bytes of header and 12 of options");
    assert_eq!(payload[20..22], [7, 11]);
    assert_eq!(
        payload[23..27],
        link.a().v4().octets(),
        "the sender is the first hop"
    );
}

#[test]
fn a_protocol_that_nobody_speaks_there_is_told_with_the_payload() {
    let Some(lab) = Lab::or_skip("a raw socket that hears an ICMP error") else {
        return;
    };
    let (near, far) = (lab.host("near"), lab.host("far"));
    let link = lab.link(&near, &far);
    for end in [link.a(), link.b()] {
        settle(end.host(), end.v6().into());
    }
    for remote in [IpAddr::from(link.b().v4()), link.b().v6().into()] {
        let options = RawOptions {
            prober: true,
            ..RawOptions::new(PROTOCOL, any(remote))
        };
        let (_asking, seen) = ask(&near, remote, options);
        let next = || seen.recv_timeout(PATIENCE).expect("it is told");
        let (error, quoted) = loop {
            if let Saw::Unreachable(error, quoted) = next() {
                break (error, quoted);
            }
        };
        // ENOPROTOOPT for IPv4, EPROTO for IPv6.
        assert!([92, 71].contains(&error.0), "{error:?}");
        assert_eq!(quoted, MESSAGE, "{remote}");
    }
}

#[test]
fn a_socket_is_bound_to_the_device_that_was_asked_for() {
    let Some(lab) = Lab::or_skip("a raw socket that is bound to a device") else {
        return;
    };
    let host = lab.host("solo");
    let options = RawOptions {
        device: Some("lo".into()),
        ..RawOptions::new(PROTOCOL, any(IpAddr::from([127, 0, 0, 1])))
    };
    let socket = host.enter(|| RawSocket::open(&options)).expect("root may");
    let bound = socket2::SockRef::from(&socket).device().expect("it can be asked");
    assert_eq!(bound.as_deref(), Some(&b"lo"[..]));
    assert_eq!(socket.device(), Some("lo"));
}

/// Tells what arrives.
struct Hear(Sender<Vec<u8>>);

impl Machine for Hear {
    fn handle(&mut self, _cx: &mut Cx<'_>, input: Input<'_>) {
        if let Input::Datagram(rx) = input {
            let _ = self.0.send(rx.payload.to_vec());
        }
    }

    fn deadline(&self) -> Option<Deadline> {
        None
    }
}
