//! What several of the lab's own tests need.

#![allow(dead_code, reason = "each test binary takes only a part of it")]
#![allow(clippy::unwrap_used, reason = "a helper of tests fails the test")]

use halloo_lab::{End, Host};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

/// Long enough for anything that happens at all.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// A UDP socket on a host, at a port that the kernel chooses.
pub(crate) fn udp(host: &Host, address: impl Into<IpAddr>) -> UdpSocket {
    let address = SocketAddr::new(address.into(), 0);
    let socket = host.enter(|| UdpSocket::bind(address)).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

/// Two sockets that are connected to each other over IPv4.
pub(crate) fn udp_pair(a: &End, b: &End) -> (UdpSocket, UdpSocket) {
    let (near, far) = (udp(a.host(), a.v4()), udp(b.host(), b.v4()));
    near.connect(far.local_addr().unwrap()).unwrap();
    far.connect(near.local_addr().unwrap()).unwrap();
    (near, far)
}

/// The next datagram.
pub(crate) fn receive(socket: &UdpSocket) -> Vec<u8> {
    let mut buffer = [0; 2048];
    let len = socket.recv(&mut buffer).unwrap();
    buffer[..len].to_vec()
}

/// Whether one echo request is answered.
pub(crate) fn pings(host: &Host, target: impl Into<IpAddr>) -> bool {
    ping(host, target.into(), "5")
}

/// Whether one echo request stays unanswered for so long that no answer can come.
pub(crate) fn is_silent(host: &Host, target: impl Into<IpAddr>) -> bool {
    !ping(host, target.into(), "0.3")
}

fn ping(host: &Host, target: IpAddr, seconds: &str) -> bool {
    host.run("ping", ["-n", "-c1", "-W", seconds, &target.to_string()])
        .status
        .success()
}
