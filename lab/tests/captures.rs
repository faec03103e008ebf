//! A capture sees exactly what passed, and its file reads elsewhere.

mod common;

use common::{PATIENCE, receive, udp};
use halloo_lab::{Capture, Lab, Side, Tcp, program_or_skip};
use std::net::{TcpListener, TcpStream};

#[test]
fn a_capture_holds_exactly_the_datagrams_that_passed_with_all_their_fields() {
    let Some(lab) = Lab::or_skip("capture") else {
        return;
    };
    let link = lab.link(&lab.host("near"), &lab.host("far"));
    let (sent, arrived) = (link.capture(Side::A), link.capture(Side::B));
    let (near, far) = (
        udp(link.a().host(), link.a().v4()),
        udp(link.b().host(), link.b().v4()),
    );
    near.set_ttl(42).unwrap();
    for number in 0..100 {
        near.send_to(&[number; 20], far.local_addr().unwrap()).unwrap();
        receive(&far);
    }
    for (capture, outgoing) in [(&sent, true), (&arrived, false)] {
        let packets = capture.packets();
        let datagrams: Vec<_> = packets.iter().filter(|packet| packet.udp().is_some()).collect();
        assert_eq!(datagrams.len(), 100);
        for (number, packet) in (0..100).zip(datagrams) {
            let udp = packet.udp().unwrap();
            assert_eq!(packet.outgoing, outgoing);
            assert_eq!(
                (udp.source, udp.destination),
                (near.local_addr().unwrap(), far.local_addr().unwrap())
            );
            assert_eq!((udp.ip.ttl, udp.ip.tos, udp.payload), (42, 0, &[number; 20][..]));
            assert_eq!(packet.frame.len(), 14 + 20 + 8 + 20);
        }
        assert_eq!(capture.missed(), (0, 0));
    }
}

#[test]
fn a_capture_reads_ipv6_and_tcp() {
    let Some(lab) = Lab::or_skip("capture of a stream") else {
        return;
    };
    let link = lab.link(&lab.host("near"), &lab.host("far"));
    let capture = link.capture(Side::B);
    let listener = link
        .b()
        .host()
        .enter(|| TcpListener::bind((link.b().v6(), 0)))
        .unwrap();
    let target = listener.local_addr().unwrap();
    let near = link.a().host().enter(|| TcpStream::connect(target)).unwrap();
    let syn = capture.wait_for(PATIENCE, |packet| {
        packet.tcp().is_some_and(|tcp| tcp.flags & Tcp::SYN != 0)
    });
    let syn = syn.tcp().unwrap();
    assert_eq!(
        (syn.source, syn.destination),
        (near.local_addr().unwrap(), target)
    );
    assert_eq!((syn.flags & Tcp::ACK, syn.payload), (0, &[][..]));
    std::io::Write::write_all(&mut &near, b"some bytes").unwrap();
    let data = capture.wait_for(PATIENCE, |packet| {
        packet.tcp().is_some_and(|tcp| !tcp.payload.is_empty())
    });
    let data = data.tcp().unwrap();
    assert_eq!(
        (data.payload, data.sequence),
        (&b"some bytes"[..], syn.sequence + 1)
    );
}

#[test]
fn the_file_of_a_capture_reads_in_tshark() {
    let Some(lab) = Lab::or_skip("capture file") else {
        return;
    };
    let Some(tshark) = program_or_skip("tshark") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lab.pcap");
    let link = lab.link(&lab.host("near"), &lab.host("far"));
    let capture = Capture::start_to(link.b().host(), link.b().device(), &path);
    let (near, far) = (
        udp(link.a().host(), link.a().v6()),
        udp(link.b().host(), link.b().v6()),
    );
    for text in ["one", "two"] {
        near.send_to(text.as_bytes(), far.local_addr().unwrap()).unwrap();
        receive(&far);
    }
    let stamps: Vec<String> = capture
        .finish()
        .iter()
        .filter(|packet| packet.udp().is_some())
        .map(|packet| {
            format!(
                "{}.{:09}",
                packet.at.0 / 1_000_000_000,
                packet.at.0 % 1_000_000_000
            )
        })
        .collect();
    let fields = ["frame.time_epoch", "ipv6.src", "udp.dstport", "udp.payload"];
    let mut tshark = std::process::Command::new(tshark);
    tshark
        .arg("-r")
        .arg(&path)
        .args(["-Y", "udp", "-Tfields"])
        .args(fields.iter().flat_map(|field| ["-e", field]));
    let read = String::from_utf8(tshark.output().unwrap().stdout).unwrap();
    let (source, port) = (link.a().v6(), far.local_addr().unwrap().port());
    let expected = [
        format!("{}\t{source}\t{port}\t6f6e65", stamps[0]),
        format!("{}\t{source}\t{port}\t74776f", stamps[1]),
    ];
    assert_eq!(read.lines().collect::<Vec<_>>(), expected);
}
