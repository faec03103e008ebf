//! IP echo hosts on an Ethernet segment.

use halloo_base::{Counters, Cx, Deadline, Input, LinkId, Machine, Reason};
use halloo_protocols::ip_echo::{IpEcho, IpEchoOptions};
use halloo_serve::{FrameServer, FrameServerOptions, Secret};
use halloo_sim::{Joint, Quality, SegmentId, World, secs, us};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

/// A machine's first device has this number.
const DEVICE: LinkId = LinkId(2);
const ASKER: Station = Station {
    mac: [2, 0, 0, 0, 0, 9],
    ip: Ipv4Addr::new(198, 51, 100, 9),
};

#[derive(Clone, Copy)]
struct Station {
    mac: [u8; 6],
    ip: Ipv4Addr,
}

impl Station {
    fn echo(number: u8) -> Station {
        Station {
            mac: [2, 0, 0, 0, 0, number],
            ip: Ipv4Addr::new(192, 0, 2, number),
        }
    }
}

/// Says one thing and keeps what it hears; once told where an address is, it sends a datagram there.
struct Asker {
    first: Vec<u8>,
    heard: Vec<Vec<u8>>,
}

impl Machine for Asker {
    fn handle(&mut self, cx: &mut Cx<'_>, input: Input<'_>) {
        match input {
            Input::Wake => cx.out.frame(DEVICE, &self.first),
            Input::Frame(rx) => {
                if let Some(told) = told(rx.bytes) {
                    cx.out.frame(DEVICE, &datagram(ASKER, told, 64));
                }
                self.heard.push(rx.bytes.to_vec());
            }
            _ => {}
        }
    }

    fn deadline(&self) -> Option<Deadline> {
        None
    }
}

/// An ARP request for a station's address.
fn question(from: Station, about: Station) -> Vec<u8> {
    let head = [0xff; 6];
    let arp = [8, 6, 0, 1, 8, 0, 6, 4, 0, 1];
    [
        &head[..],
        &from.mac,
        &arp,
        &from.mac,
        &from.ip.octets(),
        &[0; 6],
        &about.ip.octets(),
    ]
    .concat()
}

/// Who an ARP answer says is where.
fn told(frame: &[u8]) -> Option<Station> {
    (frame[12..14] == [8, 6]).then(|| Station {
        mac: frame[22..28].try_into().expect("six bytes"),
        ip: Ipv4Addr::from(<[u8; 4]>::try_from(&frame[28..32]).expect("four bytes")),
    })
}

/// An IPv4 datagram of an experimental protocol, in its frame.
fn datagram(from: Station, to: Station, ttl: u8) -> Vec<u8> {
    let mut packet = vec![0x45, 0, 0, 28, 0, 1, 0, 0, ttl, 253, 0, 0];
    packet.extend([from.ip.octets(), to.ip.octets()].concat());
    let sum = packet.chunks(2).fold(0u32, |sum, pair| {
        sum + u32::from(pair[0]) * 256 + u32::from(pair[1])
    });
    let sum = !((sum >> 16) + (sum & 0xffff)) as u16;
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    [&to.mac[..], &from.mac, &[8, 0], &packet, b"halloo!!"].concat()
}

fn echo_host(world: &mut World, segment: SegmentId, station: Station) -> Arc<Counters> {
    let addresses: Vec<IpAddr> = vec![station.ip.into()];
    let echo = IpEcho::new(&IpEchoOptions {
        addresses: addresses.clone(),
        ..IpEchoOptions::default()
    });
    let options = FrameServerOptions::new(DEVICE, station.mac, addresses, Secret::new([7; 16]));
    let counters = Arc::new(Counters::default());
    let server = FrameServer::new(options, Box::new(echo), counters.clone(), Arc::default());
    let host = world.host("echo", &[]);
    let server = world.add(host, server.expect("options in range"));
    assert_eq!(world.device(server, segment, &Quality::delay(us(10))), DEVICE);
    counters
}

/// What an asker hears who says this at the start, after all has come to rest.
fn ask(world: &mut World, segment: SegmentId, first: Vec<u8>) -> Vec<Vec<u8>> {
    let host = world.host("asker", &[]);
    let asker = world.add(host, Asker { first, heard: vec![] });
    world.device(asker, segment, &Quality::delay(us(10)));
    world.run_until(secs(10));
    world.machine(asker).heard.clone()
}

#[test]
fn who_finds_an_echo_address_is_echoed_with_one_hop_less() {
    let mut world = World::new(1);
    let segment = world.segment(Joint::Switch);
    let echo = Station::echo(77);
    let counters = echo_host(&mut world, segment, echo);
    let heard = ask(&mut world, segment, question(ASKER, echo));
    assert_eq!(heard.len(), 2, "where it is, and the echo");
    assert_eq!(heard[1], datagram(echo, ASKER, 63));
    assert_eq!(counters.snapshot().replied, 1);
}

#[test]
fn two_echo_hosts_that_are_pointed_at_each_other_come_to_rest() {
    let mut world = World::new(2);
    let segment = world.segment(Joint::Hub);
    let (one, other) = (Station::echo(77), Station::echo(78));
    let counters = [one, other].map(|station| echo_host(&mut world, segment, station));
    // Forged: it says that the other echo host sent it.
    ask(&mut world, segment, datagram(other, one, 64));
    let all = counters.map(|counters| (counters.snapshot().replied, counters.count(Reason::TtlExpired)));
    assert_eq!(all, [(32, 0), (31, 1)]);
}
