//! A conversation with oneself: what an echo host is for.

use super::stage::{
    ECHO_V4, ECHO_V6, Stage, Way, assert_reads_well, host_for, routes_to_echo, script, serve,
};
use crate::asking::{PATIENCE, assert_accounted, pinged};
use halloo_lab::{Capture, Direction, Fate, Host, Lab, Side, Traffic, program_or_skip};
use std::net::IpAddr;

/// What the kernel's TCP says to itself, in bytes.
const MUCH: u32 = 100_000_000;

/// Says so many bytes to oneself over the kernel's own stack; all must come back as they went.
fn talk(host: &Host, protocol: &str, ours: impl Into<IpAddr>, echo: impl Into<IpAddr>, bytes: u32) {
    let Some(python) = program_or_skip("python3") else {
        return;
    };
    let args = [
        "-B".to_owned(),
        script("oneself.py"),
        protocol.to_owned(),
        ours.into().to_string(),
        echo.into().to_string(),
        bytes.to_string(),
    ];
    let talk = host.spawn(python, args);
    let status = talk.wait(4 * PATIENCE);
    assert!(status.success(), "{talk}");
    assert_eq!(talk.stdout(), format!("{bytes} bytes came back as they went\n"));
}

fn tcp_talks_to_itself(way: Way) {
    let Some(stage) = Stage::or_skip("TCP with oneself", way, &[]) else {
        return;
    };
    let near = stage.link.a();
    talk(stage.client(), "tcp", near.v4(), ECHO_V4[0], MUCH);
    talk(stage.client(), "tcp", near.v6(), ECHO_V6[0], MUCH / 10);
}

#[test]
fn tcp_talks_to_itself_through_a_tun_device() {
    tcp_talks_to_itself(Way::Tun);
}

#[test]
fn tcp_talks_to_itself_on_the_wire() {
    tcp_talks_to_itself(Way::Wire);
}

#[test]
fn tcp_talks_to_itself_through_the_driver() {
    tcp_talks_to_itself(Way::Xdp);
}

#[test]
fn tcp_talks_to_itself_though_packets_are_lost() {
    let Some(stage) = Stage::or_skip("TCP with oneself, and loss", Way::Wire, &[]) else {
        return;
    };
    // Where they come back: what arrives at the echo host is taken before any filter sees it.
    stage.link.fate(Direction::BToA, Traffic::Tcp, Fate::Lose(0.02));
    talk(stage.client(), "tcp", stage.link.a().v4(), ECHO_V4[0], MUCH);
    assert!(stage.link.dropped(Direction::BToA) > 100);
}

#[test]
fn tcp_talks_to_itself_in_fragments() {
    for way in [Way::Wire, Way::Xdp, Way::Tun] {
        let Some(lab) = Lab::or_skip("TCP with oneself in fragments") else {
            return;
        };
        let (client, router) = (lab.host("client"), lab.router("router"));
        let near = lab.link(&client, &router);
        let far = lab.link(&router, &host_for(&lab, "echo", way));
        for end in [far.a(), far.b()] {
            end.host()
                .must("ip", ["link", "set", end.device(), "mtu", "1280"]);
        }
        routes_to_echo(far.a(), far.b(), way);
        client.route("default", near.b().v4().into());
        far.b().host().route("10.0.0.0/8", far.a().v4().into());
        // Segments may be cut on the way, and are: nobody has said how long they may be.
        client.sysctl("net.ipv4.ip_no_pmtu_disc", "1");
        let _server = serve(far.b().host(), far.b().device(), way, &[]);
        // Where they leave: what the driver takes at the other end is seen by nobody there.
        let leaving = far.capture(Side::A);
        talk(&client, "tcp", near.a().v4(), ECHO_V4[0], MUCH / 10);
        let fragments = leaving
            .packets()
            .iter()
            .filter(|packet| packet.outgoing && is_later_fragment(&packet.frame))
            .count();
        assert!(fragments > 5_000, "{way:?}: {fragments} fragments");
    }
}

/// Whether an IPv4 frame is a fragment other than the first.
fn is_later_fragment(frame: &[u8]) -> bool {
    let offset = frame
        .get(20..22)
        .map_or(0, |flags| u16::from_be_bytes([flags[0], flags[1]]) & 0x1fff);
    frame.get(12..14) == Some(&[8, 0]) && offset != 0
}

#[test]
fn datagrams_longer_than_the_link_takes_come_back_whole() {
    for way in [Way::Wire, Way::Xdp, Way::Tun] {
        let Some(stage) = Stage::or_skip("UDP with oneself in fragments", way, &[]) else {
            return;
        };
        let near = stage.link.a();
        talk(stage.client(), "udp", near.v4(), ECHO_V4[0], 2_000_000);
        talk(stage.client(), "udp", near.v6(), ECHO_V6[0], 2_000_000);
    }
}

#[test]
fn others_read_what_is_said_without_complaint() {
    let folder = tempfile::tempdir().expect("a folder");
    for way in [Way::Wire, Way::Xdp, Way::Tun] {
        let Some(stage) = Stage::or_skip("a talk that tshark reads", way, &[]) else {
            return;
        };
        let file = folder.path().join(format!("{way:?}.pcap"));
        let near = stage.link.a();
        let capture = Capture::start_to(stage.client(), near.device(), &file);
        for (protocol, bytes) in [("tcp", 1_000_000), ("udp", 200_000)] {
            talk(stage.client(), protocol, near.v4(), ECHO_V4[0], bytes);
            talk(stage.client(), protocol, near.v6(), ECHO_V6[0], bytes);
        }
        assert!(capture.finish().len() > 1_000);
        assert_reads_well(&file);
    }
}

#[test]
fn our_own_probers_talk_to_themselves() {
    for way in [Way::Wire, Way::Xdp, Way::Tun] {
        let Some(stage) = Stage::or_skip("probers with themselves", way, &[]) else {
            return;
        };
        for target in ["ip://{}", "udp+ip://{}:7000", "tcp+ip://{}:7000"] {
            for echo in [ECHO_V4[0].to_string(), format!("[{}]", ECHO_V6[0])] {
                let target = target.replace("{}", &echo);
                let (code, said) = pinged(stage.client(), &["-c", "20", "-i", "0.01", &target]);
                assert_eq!(
                    (code, said.count("answered")),
                    (0, 20),
                    "{way:?} {target}: {:#}",
                    said.summary()
                );
                assert_accounted(said.summary());
            }
        }
    }
}
