//! Packet sockets.

use super::talk::talk;
use super::{PATIENCE, Running, Saw, Swap, converse, own_port, settle};
use halloo_io::{PacketOptions, PacketSocket};
use halloo_lab::{Lab, Link};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::mpsc::Receiver;

/// Addresses that nobody on a link has.
fn spare(link: &Link) -> [IpAddr; 2] {
    let [a, b, c, _] = link.b().v4().octets();
    let mut v6 = link.b().v6().octets();
    v6[15] = 77;
    [Ipv4Addr::new(a, b, c, 77).into(), Ipv6Addr::from(v6).into()]
}

/// A machine at the far end of a link that has those addresses. The near end knows where the IPv6 one is.
fn swap(link: &Link) -> (Running, Receiver<Saw>) {
    settle(link.a().host(), link.a().v6().into());
    let addresses = spare(link);
    let options = PacketOptions {
        device: link.b().device().to_owned(),
        addresses: addresses.to_vec(),
        receive_buffer: Some(4 << 20),
    };
    let socket = link
        .b()
        .host()
        .enter(|| PacketSocket::open(&options))
        .expect("root may");
    let (machine, seen) = Swap::new(socket.mac());
    let mac = socket.mac().map(|byte| format!("{byte:02x}")).join(":");
    let v6 = addresses[1].to_string();
    let near = link.a();
    near.host().must(
        "ip",
        ["neigh", "replace", &v6, "lladdr", &mac, "dev", near.device()],
    );
    let running = Running::on(link.b().host(), move |worker| {
        let owner = worker.add(Box::new(machine));
        worker.packet(socket, owner).expect("watched");
    });
    (running, seen)
}

#[test]
fn datagrams_come_back_from_an_address_that_only_a_packet_socket_has() {
    let Some(lab) = Lab::or_skip("a packet socket on a cable") else {
        return;
    };
    let (near, far) = (lab.host("near"), lab.host("far"));
    let link = lab.link(&near, &far);
    let (_running, seen) = swap(&link);
    let ours = [link.a().v4().into(), link.a().v6().into()];
    for (own, echo) in ours.into_iter().zip(spare(&link)) {
        let kind = if echo.is_ipv4() { 0x0800 } else { 0x86dd };
        let socket = own_port(&near, own);
        for (size, count) in [(64, 1), (1_400, 1), (1_000, 10)] {
            converse(&socket, echo, size, count);
            let saw = seen
                .iter()
                .find(|saw| saw.kind == kind)
                .expect("it went through the machine");
            assert_eq!(saw.offload.packets(saw.len), count);
        }
    }
    // Whatever else is said on the cable, to and from the host itself, is none of the socket's business.
    near.must("ping", ["-c1", &link.b().v4().to_string()]);
    assert_eq!(seen.try_iter().filter(|saw| saw.kind != 0x0806).count(), 0);
}

#[test]
fn a_tcp_holds_a_conversation_with_itself_over_a_cable() {
    let Some(lab) = Lab::or_skip("a TCP that talks to itself over a cable") else {
        return;
    };
    let (near, far) = (lab.host("near"), lab.host("far"));
    let link = lab.link(&near, &far);
    let (_running, seen) = swap(&link);
    for echo in spare(&link) {
        talk(&near, echo);
    }
    assert!(
        seen.try_iter().any(|saw| saw.offload.packets(saw.len) > 1),
        "segments came in one piece"
    );
}

#[test]
fn who_looks_for_an_ipv6_address_is_heard() {
    let Some(lab) = Lab::or_skip("a packet socket that hears neighbour solicitations") else {
        return;
    };
    let (near, far) = (lab.host("near"), lab.host("far"));
    let link = lab.link(&near, &far);
    let (_running, seen) = swap(&link);
    let [_, v6] = spare(&link);
    near.must("ip", ["neigh", "del", &v6.to_string(), "dev", link.a().device()]);
    let socket = own_port(&near, link.a().v6().into());
    socket.send_to(b"anyone?", (v6, super::PORT)).expect("sent");
    let saw = seen.recv_timeout(PATIENCE).expect("the group is joined");
    assert_eq!((saw.kind, saw.len), (0x86dd, 14 + 40 + 32));
}

#[test]
fn only_an_ethernet_takes_a_packet_socket() {
    let Some(lab) = Lab::or_skip("a packet socket where none can be") else {
        return;
    };
    let host = lab.host("solo");
    let open = |device: &str| {
        let options = PacketOptions {
            device: device.to_owned(),
            addresses: vec![],
            receive_buffer: None,
        };
        host.enter(|| PacketSocket::open(&options))
            .expect_err("not there")
            .to_string()
    };
    assert_eq!(open("lo"), "lo has no Ethernet address");
    assert!(open("no-such-dev0").starts_with("No such device"));
}
