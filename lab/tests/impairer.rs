//! The box in the middle of a link, seen by ordinary sockets at both ends.

mod common;

use common::{pings, receive, udp_pair};
use halloo_lab::{Direction, Impairment, Lab, Reorder, Traffic};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

const DELAY: Duration = Duration::from_millis(20);

#[test]
fn a_delay_holds_for_its_direction_and_from_when_it_is_set() {
    let Some(lab) = Lab::or_skip("delay") else { return };
    let (link, impairer) = lab.impaired_link(&lab.host("near"), &lab.host("far"));
    let (near, far) = udp_pair(link.a(), link.b());
    let one_way = |from: &std::net::UdpSocket, to: &std::net::UdpSocket| {
        let begin = Instant::now();
        from.send(b"x").unwrap();
        receive(to);
        begin.elapsed()
    };
    impairer.set(Direction::AToB, Impairment::delay(DELAY));
    assert!(one_way(&near, &far) >= DELAY);
    // Nothing bounds a delay from above on a busy machine, but the best of many tries is short.
    let quickest = (0..20).map(|_| one_way(&far, &near)).min();
    assert!(quickest < Some(DELAY), "{quickest:?}");
    impairer.set(Direction::BToA, Impairment::delay(DELAY * 2));
    assert!(one_way(&far, &near) >= DELAY * 2);
}

#[test]
fn pings_and_streams_pass_unharmed() {
    let Some(lab) = Lab::or_skip("impaired stream") else {
        return;
    };
    let (link, impairer) = lab.impaired_link(&lab.host("near"), &lab.host("far"));
    assert!(pings(link.a().host(), link.b().v4()));
    assert!(pings(link.b().host(), link.a().v6()));
    let reorder = Some(Reorder {
        share: 0.05,
        distance: 3,
    });
    impairer.set(
        Direction::AToB,
        Impairment {
            reorder,
            duplicate: 0.05,
            ..Impairment::default()
        },
    );
    let listener = link
        .b()
        .host()
        .enter(|| TcpListener::bind((link.b().v6(), 0)))
        .unwrap();
    let target = listener.local_addr().unwrap();
    let sent: Vec<u8> = (0..300_000_u32).map(|n| (n % 251) as u8).collect();
    let sender = link.a().host().thread({
        let sent = sent.clone();
        move || TcpStream::connect(target).unwrap().write_all(&sent).unwrap()
    });
    let mut received = Vec::new();
    listener.accept().unwrap().0.read_to_end(&mut received).unwrap();
    sender.join().unwrap();
    assert!(received == sent, "{} bytes", received.len());
    assert!(impairer.counts(Direction::AToB).duplicated > 0);
}

#[test]
fn some_datagrams_are_overtaken_and_none_is_lost() {
    let Some(lab) = Lab::or_skip("reordering") else {
        return;
    };
    let (link, impairer) = lab.impaired_link(&lab.host("near"), &lab.host("far"));
    let (near, far) = udp_pair(link.a(), link.b());
    let reorder = Some(Reorder {
        share: 0.2,
        distance: 2,
    });
    impairer.set(
        Direction::AToB,
        Impairment {
            reorder,
            traffic: Traffic::Udp,
            ..Impairment::default()
        },
    );
    for number in 0..100 {
        near.send(&[number]).unwrap();
    }
    let mut numbers: Vec<u8> = (0..100).map(|_| receive(&far)[0]).collect();
    let descents = numbers.windows(2).filter(|pair| pair[0] > pair[1]).count();
    let reordered = impairer.counts(Direction::AToB).reordered;
    assert!(
        descents > 0 && reordered > 0,
        "{descents} descents, {reordered} counted: {numbers:?}"
    );
    numbers.sort_unstable();
    assert_eq!(numbers, (0..100).collect::<Vec<u8>>());
}

#[test]
fn every_datagram_comes_twice_when_all_are_duplicated() {
    let Some(lab) = Lab::or_skip("duplication") else {
        return;
    };
    let (link, impairer) = lab.impaired_link(&lab.host("near"), &lab.host("far"));
    let (near, far) = udp_pair(link.a(), link.b());
    let twice = Impairment {
        duplicate: 1.0,
        traffic: Traffic::Udp,
        ..Impairment::default()
    };
    impairer.set(Direction::AToB, twice);
    for number in 0..50 {
        near.send(&[number]).unwrap();
    }
    let numbers: Vec<u8> = (0..100).map(|_| receive(&far)[0]).collect();
    assert_eq!(
        numbers,
        (0..50).flat_map(|number| [number, number]).collect::<Vec<u8>>()
    );
    assert_eq!(impairer.counts(Direction::AToB).duplicated, 50);
    far.send(b"once").unwrap();
    assert_eq!(receive(&near), b"once");
    assert_eq!(impairer.counts(Direction::BToA).duplicated, 0);
}

#[test]
fn jitter_delays_but_does_not_reorder() {
    let Some(lab) = Lab::or_skip("jitter") else { return };
    let (link, impairer) = lab.impaired_link(&lab.host("near"), &lab.host("far"));
    let (near, far) = udp_pair(link.a(), link.b());
    impairer.set(
        Direction::AToB,
        Impairment {
            jitter: DELAY,
            ..Impairment::delay(DELAY)
        },
    );
    let begin = Instant::now();
    for number in 0..100 {
        near.send(&[number]).unwrap();
    }
    let numbers: Vec<u8> = (0..100).map(|_| receive(&far)[0]).collect();
    assert_eq!(numbers, (0..100).collect::<Vec<u8>>());
    // The last of 100 uniform draws below 20 ms that are kept in order is their greatest.
    assert!(begin.elapsed() >= DELAY + DELAY / 2, "{:?}", begin.elapsed());
}
