//! The XDP program on real interfaces: veth links between namespaces, ordinary sockets at the other end, and nobody but
//! the program to answer.
//!
//! Needs root; says loudly when it did not run.

mod answers;
mod attachment;

use halloo_io::{Xdp, XdpMode, XdpOptions, XdpRate, XdpRules};
use halloo_lab::{Host, Link};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

/// Longer than anything here takes; only a failing test waits for it.
const PATIENCE: Duration = Duration::from_secs(5);
const PORT: u16 = 7777;

/// What answers UDP echo on the far end of a link.
fn options(link: &Link) -> XdpOptions {
    let end = link.b();
    XdpOptions {
        device: end.device().to_owned(),
        mode: XdpMode::Auto,
        udp: vec![SocketAddr::new("::".parse().expect("an address"), PORT)],
        addresses: vec![end.v4().into(), end.v6().into()],
        probes: true,
        sessions: 64,
        rules: XdpRules {
            sources: 1_024,
            ..XdpRules::default()
        },
        ..XdpOptions::default()
    }
}

/// So many at once, and in the life of a test hardly one more.
fn burst(burst: u32) -> Option<XdpRate> {
    Some(XdpRate { per_second: 1, burst })
}

/// A program on the far end of a link.
fn attach(link: &Link, options: &XdpOptions) -> Xdp {
    let attached = link.b().host().enter(|| Xdp::attach(options));
    attached.unwrap_or_else(|error| panic!("{error}: {error:?}"))
}

/// A socket on a host that asks the echo at `to`.
fn asking(host: &Host, local: IpAddr, to: IpAddr) -> UdpSocket {
    host.enter(|| {
        let socket = UdpSocket::bind((local, 0)).expect("a free port");
        socket.set_read_timeout(Some(PATIENCE)).expect("it can");
        socket.connect((to, PORT)).expect("there is a route");
        socket
    })
}

/// Sends `payload` and returns what comes back.
#[track_caller]
fn ask(socket: &UdpSocket, payload: &[u8]) -> Vec<u8> {
    socket.send(payload).expect("sent");
    hear(socket)
}

#[track_caller]
fn hear(socket: &UdpSocket) -> Vec<u8> {
    let mut heard = [0; 2_048];
    let len = socket.recv(&mut heard).expect("an answer");
    heard[..len].to_vec()
}
