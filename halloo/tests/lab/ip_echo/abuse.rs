//! Those who do not ask but attack: another client hardly notices, and nobody gets more than he gave.

use super::frames::{Ipv4, Storm, number, udp};
use super::stage::{Counted, ECHO_V4, ECHO_V6, Way, host_for, routes_to_echo, serve, stop, write_config};
use crate::asking::{PATIENCE, count, finished, ping, wait_for_seq};
use halloo_base::Rng;
use halloo_lab::{Child, Lab, Side, Station};
use nix::sys::signal::Signal;
use std::net::{IpAddr, Ipv4Addr};

/// How many frames are sent before the attacker makes sure that the host has taken them in. A slow machine would lose
/// more of them, and others' with them, before halloo sees any.
const BATCH: usize = 256;

/// The number of the attacker's own datagrams, behind those of a batch.
const FENCE: u16 = 0xfe0c;

/// Nobody whom the host knows (RFC 5737): what goes to him goes to the attacker.
const STRANGER: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 66);

/// Limits that are reached in no time.
const TIGHT: &str = "[limits]\n\
                     per_source = { per_second = 100, burst = 100 }\n\
                     all = { per_second = 1000, burst = 1000 }\n";

/// A client that asks all the time, an attacker on the same segment, and the echo host.
struct Scene {
    server: Child,
    client: Child,
    attacker: Attacker,
    _lab: Lab,
    _folder: tempfile::TempDir,
}

/// A station whose own address is not limited, so that it hears when the host has taken in what it sent.
struct Attacker {
    station: Station,
    own: Ipv4Addr,
    host: [u8; 6],
}

/// Datagrams and bytes of frames.
#[derive(Debug, Default)]
struct Tally {
    sent: (u64, u64),
    heard: (u64, u64),
}

impl Scene {
    fn or_skip(way: Way, config: &str) -> Option<Scene> {
        let lab = Lab::or_skip("an attack")?;
        let lan = lab.switch("lan");
        let host = lan.plug(&host_for(&lab, "echo", way));
        let [client, attacker] = ["client", "attacker"].map(|name| lan.plug(&lab.host(name)));
        routes_to_echo(client.a(), host.a(), way);
        for via in [IpAddr::from(attacker.a().v4()), attacker.a().v6().into()] {
            host.a().host().route("default", via);
        }
        let folder = tempfile::tempdir().expect("a folder");
        let config = write_config(&folder, config);
        let server = serve(host.a().host(), host.a().device(), way, &["--config", &config]);
        let target = format!("ip://{}", ECHO_V4[0]);
        let client = ping(client.a().host(), &["-i", "0.01", "-W", "1", &target]);
        wait_for_seq(&client, 10);
        Some(Scene {
            server,
            client,
            attacker: Attacker {
                station: attacker.station(Side::A),
                own: attacker.a().v4(),
                host: host.a().mac(),
            },
            _lab: lab,
            _folder: folder,
        })
    }

    /// Ends it, and returns what the host counted: every datagram in one way, nobody given more than he gave, and the
    /// client hardly disturbed.
    fn end(self) -> Counted {
        self.client.signal(Signal::SIGINT);
        let (_, said) = finished(&self.client);
        let n = |name| count(said.summary(), name);
        assert!(
            n("answered") > 10 && n("lost") * 100 < n("sent"),
            "{:#}",
            said.summary()
        );
        let counted = stop(&self.server);
        assert_eq!(
            counted.received,
            counted.replied + counted.refused(),
            "{counted:?}"
        );
        assert!(counted.replied_bytes <= counted.received_bytes, "{counted:?}");
        counted
    }
}

impl Attacker {
    /// Sends so many frames, each made for its number in its batch; no answer is longer than its request.
    fn send(&mut self, frames: usize, mut frame: impl FnMut(&Attacker, u16) -> Vec<u8>) -> Tally {
        let mut tally = Tally::default();
        for begin in (0..frames).step_by(BATCH) {
            let batch: Vec<_> = (0..BATCH.min(frames - begin))
                .map(|number| frame(self, number as u16))
                .collect();
            for frame in &batch {
                self.station.send(frame);
                tally.sent = (tally.sent.0 + 1, tally.sent.1 + frame.len() as u64);
            }
            self.wait_until_taken_in(|heard| {
                let request = number(heard).and_then(|number| batch.get(usize::from(number)));
                let request = request.unwrap_or_else(|| panic!("an answer to nothing: {heard:02x?}"));
                assert!(
                    heard.len() <= request.len(),
                    "{request:02x?} was answered with {heard:02x?}"
                );
                tally.heard = (tally.heard.0 + 1, tally.heard.1 + heard.len() as u64);
            });
        }
        tally
    }

    /// Sends a datagram that takes the longest way through the host, and waits for it.
    fn wait_until_taken_in(&mut self, mut other: impl FnMut(&[u8])) {
        let fence = Ipv4 {
            source: self.own,
            destination: ECHO_V4[0],
            identification: FENCE,
            options: vec![1, 1, 1, 0],
            ..Ipv4::default()
        };
        self.station
            .send(&fence.frame(self.host, self.station.mac(), &udp(4000, 4000, b"fence")));
        loop {
            let frame = self
                .station
                .receive(PATIENCE)
                .expect("the host answers its neighbour");
            if !is_from_echo_address(frame) {
                continue;
            }
            if number(frame) == Some(FENCE) {
                return;
            }
            other(frame);
        }
    }

    fn udp_from(&self, source: Ipv4Addr, number: u16) -> Vec<u8> {
        let datagram = Ipv4 {
            source,
            destination: ECHO_V4[0],
            identification: number,
            ..Ipv4::default()
        };
        datagram.frame(self.host, self.station.mac(), &udp(4000, 4000, &[7; 100]))
    }
}

fn is_from_echo_address(frame: &[u8]) -> bool {
    match frame.get(12..14) {
        Some([8, 0]) => frame.get(26..30) == Some(&ECHO_V4[0].octets()),
        Some([0x86, 0xdd]) => frame.get(22..38) == Some(&ECHO_V6[0].octets()),
        _ => false,
    }
}

fn floods_are_held_to_the_limits(way: Way) {
    let Some(mut scene) = Scene::or_skip(way, TIGHT) else {
        return;
    };
    let one = scene
        .attacker
        .send(20_000, |attacker, number| attacker.udp_from(STRANGER, number));
    // At least the burst, and what a slow machine adds to it.
    assert!((100..10_000).contains(&one.heard.0), "{one:?}");
    let mut rng = Rng::new(2075);
    let forged = scene.attacker.send(20_000, |attacker, number| {
        attacker.udp_from(
            Ipv4Addr::from_bits(0x6440_0000 | rng.next_u64() as u32 & 0x3f_ffff),
            number,
        )
    });
    assert!((500..15_000).contains(&forged.heard.0), "{forged:?}");
    let counted = scene.end();
    assert!(counted.silent("rate_limited") > 10_000, "{counted:?}");
    assert!(counted.silent("rate_limited_all") > 5_000, "{counted:?}");
}

fn a_storm_passes_without_harm(way: Way, frames: usize) {
    let Some(mut scene) = Scene::or_skip(way, "") else {
        return;
    };
    let mut storm = Storm {
        rng: Rng::new(2075),
        to: scene.attacker.host,
        from: scene.attacker.station.mac(),
        v4: ECHO_V4[0],
        v6: ECHO_V6[0],
    };
    let tally = scene.attacker.send(frames, |_, number| storm.frame(number));
    assert!(tally.heard.0 > frames as u64 / 20, "{tally:?}");
    let counted = scene.end();
    if way != Way::Tun {
        // All but questions for neighbours, of which some are among them by chance.
        assert!(counted.received > frames as u64 * 9 / 10, "{counted:?}");
    }
}

#[test]
fn floods_are_held_to_the_limits_on_the_wire() {
    floods_are_held_to_the_limits(Way::Wire);
}

#[test]
fn floods_are_held_to_the_limits_in_the_driver() {
    floods_are_held_to_the_limits(Way::Xdp);
}

#[test]
fn floods_are_held_to_the_limits_through_a_tun_device() {
    floods_are_held_to_the_limits(Way::Tun);
}

#[test]
fn a_storm_of_a_million_datagrams_passes_without_harm() {
    a_storm_passes_without_harm(Way::Wire, 1_000_000);
}

#[test]
fn a_storm_passes_the_driver_without_harm() {
    a_storm_passes_without_harm(Way::Xdp, 200_000);
}

#[test]
fn a_storm_passes_a_tun_device_without_harm() {
    a_storm_passes_without_harm(Way::Tun, 200_000);
}
