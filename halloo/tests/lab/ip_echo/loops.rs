//! Two echo hosts that are pointed at each other.

use super::frames::{Ipv4, udp};
use super::stage::{ECHO_V4, Way, host_for, serve_on, stop};
use crate::asking::PATIENCE;
use halloo_lab::{Capture, Lab, Packet, Side};

const UDP: u8 = 17;
const ICMP: u8 = 1;

#[test]
fn a_datagram_between_two_echo_hosts_dies_out() {
    let Some(lab) = Lab::or_skip("two echo hosts") else {
        return;
    };
    let (client, router) = (lab.host("client"), lab.router("router"));
    let near = lab.link(&client, &router);
    let wire = lab.link(&router, &host_for(&lab, "wire", Way::Wire));
    let tun = lab.link(&router, &host_for(&lab, "tun", Way::Tun));
    let [first, second] = ECHO_V4;
    router.must(
        "ip",
        ["route", "add", &format!("{first}/32"), "dev", wire.a().device()],
    );
    router.route(&format!("{second}/32"), tun.b().v4().into());
    tun.b().host().route("default", tun.a().v4().into());
    let one = serve_on(
        wire.b().host(),
        wire.b().device(),
        Way::Wire,
        &[first.into()],
        &[],
    );
    let two = serve_on(tun.b().host(), tun.b().device(), Way::Tun, &[second.into()], &[]);
    let (at_one, at_two) = (wire.capture(Side::B), tun.capture(Side::B));

    let forged = Ipv4 {
        source: second,
        destination: first,
        ttl: 64,
        ..Ipv4::default()
    };
    let station = near.station(Side::A);
    station.send(&forged.frame(near.b().mac(), station.mac(), &udp(4000, 4000, b"for ever?")));
    // The router takes one each time, the first host one, the second one and its own stack two. At the end a stack
    // says so, to the first host, who does not answer that.
    at_one.wait_for(PATIENCE, |packet| {
        packet.ip().is_some_and(|ip| ip.protocol == Some(ICMP))
    });
    let (counted_one, counted_two) = (stop(&one), stop(&two));
    assert_eq!(
        ttls(&at_one, false),
        (0..11).map(|round| 63 - 6 * round).collect::<Vec<u8>>()
    );
    assert_eq!(
        ttls(&at_one, true),
        (0..11).map(|round| 62 - 6 * round).collect::<Vec<u8>>()
    );
    assert_eq!(
        ttls(&at_two, false),
        (0..11).map(|round| 61 - 6 * round).collect::<Vec<u8>>()
    );
    assert_eq!(
        ttls(&at_two, true),
        (0..10).map(|round| 58 - 6 * round).collect::<Vec<u8>>()
    );
    assert_eq!((counted_one.replied, counted_one.silent("icmp")), (11, 1));
    assert_eq!(counted_two.replied, 10);
}

/// The TTLs of UDP datagrams that one end received, or sent, in their order.
fn ttls(capture: &Capture, outgoing: bool) -> Vec<u8> {
    let packets = capture.packets();
    let of_that_way = packets.iter().filter(|packet| packet.outgoing == outgoing);
    of_that_way
        .filter_map(Packet::ip)
        .filter(|ip| ip.protocol == Some(UDP))
        .map(|ip| ip.ttl)
        .collect()
}
