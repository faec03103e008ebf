//! Links pass, lose, refuse, slow, break and mend as told.

mod common;

use common::{PATIENCE, is_silent, pings, receive, udp, udp_pair};
use halloo_lab::{Direction, Fate, Lab, LinkPlan, Offload, Rate, Side, Station, Traffic};
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

#[test]
fn hosts_reach_each_other_by_both_ip_versions_from_the_first_moment() {
    let Some(lab) = Lab::or_skip("ping") else { return };
    let link = lab.link(&lab.host("near"), &lab.host("far"));
    assert!(pings(link.a().host(), link.b().v4()));
    assert!(pings(link.b().host(), link.a().v6()));
}

#[test]
fn of_many_datagrams_the_asked_share_is_lost_and_every_loss_is_counted() {
    let Some(lab) = Lab::or_skip("loss") else { return };
    let link = lab.link(&lab.host("near"), &lab.host("far"));
    let (near, far) = udp_pair(link.a(), link.b());
    link.fate(Direction::AToB, Traffic::Udp, Fate::Lose(0.3));
    // A count that is read too early is read again: the last datagrams of a batch may all be among the lost.
    far.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    let begin = Instant::now();
    let mut received = 0;
    for sent in (100..=2_000).step_by(100) {
        for _ in 0..100 {
            near.send(b"x").unwrap();
        }
        while received + link.dropped(Direction::AToB) < sent {
            assert!(begin.elapsed() < PATIENCE, "{received} received of {sent}");
            let missing = sent - received - link.dropped(Direction::AToB);
            received += (0..missing).take_while(|_| far.recv(&mut [0; 8]).is_ok()).count() as u64;
        }
    }
    // Six standard deviations (20.5 each) around 600: wrong once in 500 million runs.
    let lost = link.dropped(Direction::AToB);
    assert!((477..=723).contains(&lost), "{lost} of 2000");
    assert_eq!(received + lost, 2_000);
}

#[test]
fn what_is_dropped_one_way_still_passes_the_other_way_and_other_traffic_passes_both() {
    let Some(lab) = Lab::or_skip("one-way drop") else {
        return;
    };
    let link = lab.link(&lab.host("near"), &lab.host("far"));
    let (near, far) = udp_pair(link.a(), link.b());
    link.fate(Direction::AToB, Traffic::Udp, Fate::Drop);
    near.send(b"vanishes").unwrap();
    far.send(b"arrives").unwrap();
    assert_eq!(receive(&near), b"arrives");
    assert!(pings(near_host(&link), link.b().v4()));
    assert_eq!(link.dropped(Direction::AToB), 1);
    link.fate(Direction::AToB, Traffic::Udp, Fate::Pass);
    near.send(b"arrives too").unwrap();
    assert_eq!(receive(&far), b"arrives too");
}

#[test]
fn with_everything_dropped_not_even_a_ping_passes() {
    let Some(lab) = Lab::or_skip("blackhole") else {
        return;
    };
    let link = lab.link(&lab.host("near"), &lab.host("far"));
    link.fate(Direction::BToA, Traffic::Ip, Fate::Drop);
    assert!(is_silent(near_host(&link), link.b().v4()));
    // Neighbour discovery and multicast listeners' reports may be among them.
    assert!(link.dropped(Direction::BToA) >= 1);
}

#[test]
fn who_is_rejected_is_told() {
    let Some(lab) = Lab::or_skip("reject") else { return };
    let link = lab.link(&lab.host("near"), &lab.host("far"));
    let (near, _far) = udp_pair(link.a(), link.b());
    link.fate(Direction::AToB, Traffic::Udp, Fate::Reject);
    near.send(b"no").unwrap();
    assert_eq!(
        near.recv(&mut [0]).unwrap_err().kind(),
        ErrorKind::ConnectionRefused
    );
}

#[test]
fn a_rate_is_not_exceeded() {
    let Some(lab) = Lab::or_skip("rate") else { return };
    let link = lab.link(&lab.host("near"), &lab.host("far"));
    let (near, far) = udp_pair(link.a(), link.b());
    let rate = Rate::new(4_000_000);
    link.rate(Direction::AToB, Some(rate));
    let begin = Instant::now();
    for _ in 0..50 {
        near.send(&[0; 1_000]).unwrap();
    }
    for _ in 0..50 {
        receive(&far);
    }
    // 42 bytes of headers each; only the burst passes unslowed.
    let slowed = 50 * 1_042 - u64::from(rate.burst);
    let least = Duration::from_nanos(slowed * 8 * 1_000_000_000 / rate.bits_per_second);
    assert!(begin.elapsed() >= least, "{:?} < {least:?}", begin.elapsed());
    link.rate(Direction::AToB, None);
    near.send(b"free").unwrap();
    assert_eq!(receive(&far), b"free");
}

#[test]
fn a_link_that_went_down_comes_up_with_its_addresses() {
    let Some(lab) = Lab::or_skip("down and up") else {
        return;
    };
    let link = lab.link(&lab.host("near"), &lab.host("far"));
    link.down(Side::B);
    assert!(is_silent(near_host(&link), link.b().v4()));
    link.up(Side::B);
    assert!(pings(near_host(&link), link.b().v4()));
    assert!(pings(near_host(&link), link.b().v6()));
}

#[test]
fn a_changed_address_answers_and_the_old_one_does_not() {
    let Some(lab) = Lab::or_skip("changed address") else {
        return;
    };
    let mut link = lab.link(&lab.host("near"), &lab.host("far"));
    let (old, new) = (link.b().v4(), Ipv4Addr::from(u32::from(link.b().v4()) + 7));
    link.set_address(Side::B, IpAddr::V4(new));
    assert_eq!(link.b().v4(), new);
    assert!(pings(near_host(&link), new));
    assert!(is_silent(near_host(&link), old));
    assert!(pings(near_host(&link), link.b().v6()));
}

#[test]
fn a_removed_link_is_gone_at_both_ends() {
    let Some(lab) = Lab::or_skip("removed link") else {
        return;
    };
    let (near, far) = (lab.host("near"), lab.host("far"));
    lab.link(&near, &far).remove();
    for host in [near, far] {
        assert!(!host.must("ip", ["-brief", "link"]).contains("eth0"));
    }
}

#[test]
fn a_packet_longer_than_the_mtu_does_not_fit() {
    let Some(lab) = Lab::or_skip("mtu") else { return };
    let plan = LinkPlan {
        mtu: 1_400,
        ..LinkPlan::default()
    };
    let link = lab.link_with(&lab.host("near"), &lab.host("far"), &plan);
    let target = link.b().v4().to_string();
    let fits = |payload: &str| {
        let args = ["-c1", "-W5", "-Mdo", "-s", payload, &target];
        near_host(&link).run("ping", args).status.success()
    };
    assert!(fits("1372"));
    assert!(!fits("1373"));
}

#[test]
fn an_offload_is_switched() {
    let Some(lab) = Lab::or_skip("offloads") else {
        return;
    };
    let link = lab.link(&lab.host("near"), &lab.host("far"));
    let state = |name: &str| {
        let listing = near_host(&link).must("ethtool", ["-k", link.a().device()]);
        let line = listing
            .lines()
            .find(|line| line.starts_with(name))
            .unwrap()
            .to_owned();
        line.contains(": on")
    };
    for (offload, name) in [
        (Offload::Gro, "generic-receive-offload"),
        (Offload::Tso, "tcp-segmentation-offload"),
        (Offload::Gso, "generic-segmentation-offload"),
        (Offload::Checksum, "tx-checksumming"),
    ] {
        for on in [true, false] {
            link.offload(Side::A, offload, on);
            assert_eq!(state(name), on, "{name}");
        }
    }
}

#[test]
fn hosts_on_a_switch_reach_each_other() {
    let Some(lab) = Lab::or_skip("switch") else { return };
    let switch = lab.switch("lan");
    let links = ["one", "two", "three"].map(|name| switch.plug(&lab.host(name)));
    assert!(pings(links[0].a().host(), links[2].a().v4()));
    assert!(pings(links[1].a().host(), links[2].a().v6()));
}

#[test]
fn a_router_carries_packets_between_its_links() {
    let Some(lab) = Lab::or_skip("router") else { return };
    let (near, router, far) = (lab.host("near"), lab.router("router"), lab.host("far"));
    let (inner, outer) = (lab.link(&near, &router), lab.link(&router, &far));
    near.route("default", inner.b().v4().into());
    near.route("default", inner.b().v6().into());
    far.route("default", outer.a().v4().into());
    far.route("default", outer.a().v6().into());
    assert!(pings(&near, outer.b().v4()));
    assert!(pings(&near, outer.b().v6()));
}

#[test]
fn a_socket_made_inside_stays_inside() {
    let Some(lab) = Lab::or_skip("sockets") else {
        return;
    };
    let link = lab.link(&lab.host("near"), &lab.host("far"));
    let outside = std::net::UdpSocket::bind((link.a().v4(), 0));
    assert_eq!(outside.unwrap_err().kind(), ErrorKind::AddrNotAvailable);
    let inside = udp(link.a().host(), link.a().v4());
    let answer = link.b().host().thread({
        let (from, to) = (link.b().v4(), inside.local_addr().unwrap());
        move || {
            std::net::UdpSocket::bind((from, 0))
                .unwrap()
                .send_to(b"hello", to)
                .unwrap()
        }
    });
    assert_eq!(receive(&inside), b"hello");
    assert_eq!(answer.join().unwrap(), 5);
}

fn near_host(link: &halloo_lab::Link) -> &halloo_lab::Host {
    link.a().host()
}

#[test]
fn a_station_sends_any_bytes_and_hears_what_arrives_and_not_what_its_host_sends() {
    let Some(lab) = Lab::or_skip("a station") else {
        return;
    };
    let link = lab.link(&lab.host("near"), &lab.host("far"));
    let (mut near, mut far) = (link.station(Side::A), link.station(Side::B));
    // A type that no stack answers (IEEE 802, for experiments); the hosts' own talk is of others.
    let kind = [0x88, 0xb5];
    let header = [&far.mac()[..], &near.mac(), &kind].concat();
    let heard = |station: &mut Station, within| loop {
        let frame = station.receive(within)?;
        if frame[12..14] == kind {
            return Some(frame.to_vec());
        }
    };
    for payload in [&b""[..], &[0xff; 1500]] {
        let frame = [&header, payload].concat();
        near.send(&frame);
        assert_eq!(heard(&mut far, PATIENCE), Some(frame));
    }
    let mut beside = link.station(Side::B);
    far.send(&[&near.mac()[..], &far.mac(), &kind].concat());
    assert_eq!(heard(&mut near, PATIENCE).map(|frame| frame.len()), Some(14));
    assert_eq!(heard(&mut beside, Duration::ZERO), None);
}

#[test]
fn a_switch_passes_frames_whatever_is_in_them() {
    let Some(lab) = Lab::or_skip("a broken packet on a switch") else {
        return;
    };
    let lan = lab.switch("lan");
    let (near, far) = (lan.plug(&lab.host("near")), lan.plug(&lab.host("far")));
    let (near, mut far) = (near.station(Side::A), far.station(Side::A));
    // IPv4 by its type, with a header of noughts.
    let frame = [&far.mac()[..], &near.mac(), &[0x08, 0x00], &[0; 60]].concat();
    near.send(&frame);
    while far.receive(PATIENCE).expect("it arrives") != frame {}
}
