//! What the program answers.

use super::{PATIENCE, PORT, ask, asking, attach, burst, hear, options};
use halloo_io::{Xdp, XdpMode, XdpOptions, XdpRules};
use halloo_lab::{Lab, Link, Offload, Side};
use halloo_protocols::echo::wire::Probe;
use nix::sys::socket::{setsockopt, sockopt::UdpGsoSegment};
use std::net::{IpAddr, UdpSocket};

/// Both ways to talk over a link: from, to.
fn families(link: &Link) -> [(IpAddr, IpAddr); 2] {
    [
        (link.a().v4().into(), link.b().v4().into()),
        (link.a().v6().into(), link.b().v6().into()),
    ]
}

fn probe(seq: u32) -> Vec<u8> {
    let mut bytes = vec![0; 64];
    let probe = Probe::request(0x1234_5678, seq, false, false);
    probe.emit(&mut bytes).expect("room");
    bytes
}

#[test]
fn ordinary_sockets_are_answered_where_nobody_listens() {
    let Some(lab) = Lab::or_skip("echo by XDP") else {
        return;
    };
    let (near, far) = (lab.host("near"), lab.host("far"));
    let link = lab.link(&near, &far);
    let program = attach(&link, &options(&link));
    assert_eq!(program.mode(), XdpMode::Generic, "a veth is no hardware");
    let (mut packets, mut octets) = (0, 0);
    for (from, to) in families(&link) {
        let socket = asking(&near, from, to);
        for size in [0, 1, 18, 64, 1_000, 1_452] {
            let payload: Vec<u8> = (0..size).map(|at| at as u8).collect();
            assert_eq!(ask(&socket, &payload), payload, "{size} octets to {to}");
            packets += 1;
            octets += size as u64;
        }
        for seq in 1..=3 {
            let heard = Probe::parse(&ask(&socket, &probe(seq))).expect("a probe");
            assert!(heard.flags.reply && heard.flags.kernel_stamp);
            let own = socket.local_addr().expect("bound");
            assert_eq!((heard.seq, heard.port), (seq, own.port()));
            packets += 1;
            octets += 64;
        }
    }
    let counted = program.counters().expect("counters").udp;
    assert_eq!((counted.received, counted.replied), (packets, packets));
    assert_eq!((counted.received_bytes, counted.replied_bytes), (octets, octets));
    assert_eq!(counted.silent, []);
}

#[test]
fn what_the_program_passes_up_reaches_the_socket_that_waits_for_it() {
    let Some(lab) = Lab::or_skip("what XDP passes up") else {
        return;
    };
    let (near, far) = (lab.host("near"), lab.host("far"));
    let link = lab.link(&near, &far);
    let program = attach(&link, &options(&link));
    for (from, to) in families(&link) {
        let waiting = far.enter(|| UdpSocket::bind((to, PORT)).expect("a free port"));
        waiting.set_read_timeout(Some(PATIENCE)).expect("it can");
        let socket = asking(&near, from, to);
        // Of a size that user space answers.
        let mut wide = probe(9);
        wide.resize(112, 0);
        wide[7] = 112;
        socket.send(&wide).expect("sent");
        let mut heard = [0; 256];
        let (len, sender) = waiting.recv_from(&mut heard).expect("it arrives");
        assert_eq!(
            (&heard[..len], sender),
            (&wide[..], socket.local_addr().expect("bound"))
        );
    }
    assert_eq!(program.counters().expect("counters").udp.received, 0);
}

#[test]
fn datagrams_in_one_piece_come_back_one_by_one() {
    let Some(lab) = Lab::or_skip("segmentation and XDP") else {
        return;
    };
    let (near, far) = (lab.host("near"), lab.host("far"));
    let link = lab.link(&near, &far);
    let _program = attach(&link, &options(&link));
    for (from, to) in families(&link) {
        let socket = asking(&near, from, to);
        for (size, count) in [(64, 8), (1_000, 10)] {
            setsockopt(&socket, UdpGsoSegment, &(size as i32)).expect("this kernel cuts UDP");
            let sent: Vec<u8> = (0..size * count).map(|at| (at / size + at) as u8).collect();
            socket.send(&sent).expect("sent");
            for part in sent.chunks(size) {
                assert_eq!(hear(&socket), part);
            }
        }
    }
}

#[test]
fn an_echo_address_turns_udp_round_to_its_own_port() {
    let Some(lab) = Lab::or_skip("IP echo by XDP") else {
        return;
    };
    let (near, far) = (lab.host("near"), lab.host("far"));
    let link = lab.link(&near, &far);
    let echo: [IpAddr; 2] = ["192.0.2.7", "2001:db8::7"].map(|ip| ip.parse().expect("an address"));
    let program = attach(
        &link,
        &XdpOptions {
            echo: echo.to_vec(),
            ..options(&link)
        },
    );
    let (mut packets, mut octets) = (0, 0);
    for ((from, to), echo) in families(&link).into_iter().zip(echo) {
        near.route(&echo.to_string(), to);
        let socket = near.enter(|| UdpSocket::bind((from, 4_000)).expect("a free port"));
        socket.set_read_timeout(Some(PATIENCE)).expect("it can");
        for size in [0, 64, 1_400] {
            let payload = vec![7; size];
            socket.send_to(&payload, (echo, 4_000)).expect("sent");
            let mut heard = [0; 2_048];
            let (len, sender) = socket.recv_from(&mut heard).expect("it comes back");
            assert_eq!((&heard[..len], sender), (&payload[..], (echo, 4_000).into()));
            packets += 1;
            octets += (size + 8 + if echo.is_ipv4() { 20 } else { 40 }) as u64;
        }
    }
    let counted = program.counters().expect("counters").ip;
    assert_eq!((counted.received, counted.replied), (packets, packets));
    assert_eq!((counted.received_bytes, counted.replied_bytes), (octets, octets));
}

#[test]
fn in_native_mode_whole_checksums_are_answered_and_others_passed_up() {
    let Some(lab) = Lab::or_skip("native XDP") else {
        return;
    };
    let (near, far) = (lab.host("near"), lab.host("far"));
    let link = lab.link(&near, &far);
    let native = XdpOptions {
        mode: XdpMode::Native,
        ..options(&link)
    };
    let program = attach(&link, &native);
    assert_eq!(program.mode(), XdpMode::Native);
    // A veth takes frames from a program only if it has one itself; this one answers nothing.
    let idle = XdpOptions {
        device: link.a().device().to_owned(),
        mode: XdpMode::Native,
        ..XdpOptions::default()
    };
    let _idle = near.enter(|| Xdp::attach(&idle)).expect("attached");
    let (from, to) = families(&link)[0];
    let waiting = far.enter(|| UdpSocket::bind((to, PORT)).expect("a free port"));
    waiting.set_read_timeout(Some(PATIENCE)).expect("it can");
    let socket = asking(&near, from, to);

    socket.send(b"left to a device").expect("sent");
    let mut heard = [0; 64];
    assert_eq!(waiting.recv(&mut heard).expect("it is passed up"), 16);
    assert_eq!(program.counters().expect("counters").udp.received, 0);

    link.offload(Side::A, Offload::Checksum, false);
    for (from, to) in families(&link) {
        let socket = asking(&near, from, to);
        assert_eq!(ask(&socket, b"whole"), b"whole");
        let heard = Probe::parse(&ask(&socket, &probe(1))).expect("a probe");
        assert!(heard.flags.reply);
    }
    assert_eq!(program.counters().expect("counters").udp.replied, 4);
}

#[test]
fn a_flood_from_one_source_leaves_the_others_their_answers() {
    let Some(lab) = Lab::or_skip("a flood against XDP") else {
        return;
    };
    let (near, far) = (lab.host("near"), lab.host("far"));
    let link = lab.link(&near, &far);
    // Sources that are no private ones.
    let sources = ["203.0.113.1", "203.0.113.2", "203.0.113.3"];
    for source in sources {
        near.must(
            "ip",
            ["addr", "add", &format!("{source}/32"), "dev", link.a().device()],
        );
    }
    let rules = XdpRules {
        per_source: burst(100),
        all: burst(10_000),
        ..options(&link).rules
    };
    let program = attach(
        &link,
        &XdpOptions {
            rules,
            ..options(&link)
        },
    );
    let sockets =
        sources.map(|source| asking(&near, source.parse().expect("an address"), link.b().v4().into()));
    let [flood, others @ ..] = &sockets;
    for round in 0..50u8 {
        for _ in 0..100 {
            flood.send(b"me! me! me!").expect("sent");
        }
        for other in others {
            assert_eq!(ask(other, &[round]), [round]);
        }
    }
    let counted = program.counters().expect("counters").udp;
    assert_eq!(counted.received, 5_100);
    let refused: u64 = counted.silent.iter().map(|&(_, count)| count).sum();
    assert_eq!(counted.silent[0].0.name(), "rate_limited");
    assert_eq!((counted.silent.len(), counted.replied + refused), (1, 5_100));
    assert!((200..1_200).contains(&counted.replied), "{counted:?}");
}

#[test]
fn a_source_that_is_a_broadcast_address_is_left_to_user_space() {
    let Some(lab) = Lab::or_skip("broadcast sources and XDP") else {
        return;
    };
    let (near, far) = (lab.host("near"), lab.host("far"));
    let link = lab.link(&near, &far);
    far.must(
        "ip",
        ["addr", "add", "203.0.113.130/25", "dev", link.b().device()],
    );
    let program = attach(&link, &options(&link));
    let to = link.b().v4().into();
    let ask_from = |source: &str| {
        near.must(
            "ip",
            ["addr", "add", &format!("{source}/32"), "dev", link.a().device()],
        );
        let socket = asking(&near, source.parse().expect("an address"), to);
        socket.send(b"who am I?").expect("sent");
        socket
    };
    let _broadcast = ask_from("203.0.113.255");
    assert_eq!(hear(&ask_from("203.0.113.254")), b"who am I?");
    let counted = program.counters().expect("counters").udp;
    assert_eq!((counted.received, counted.replied), (1, 1));
}

#[test]
fn datagrams_in_one_piece_count_for_the_frames_that_they_fill() {
    let Some(lab) = Lab::or_skip("segmentation and XDP's limits") else {
        return;
    };
    let (near, far) = (lab.host("near"), lab.host("far"));
    let link = lab.link(&near, &far);
    near.must("ip", ["addr", "add", "203.0.113.1/32", "dev", link.a().device()]);
    let rules = XdpRules {
        per_source: burst(13),
        ..options(&link).rules
    };
    let program = attach(
        &link,
        &XdpOptions {
            rules,
            ..options(&link)
        },
    );
    let from = "203.0.113.1".parse().expect("an address");
    let socket = asking(&near, from, link.b().v4().into());
    setsockopt(&socket, UdpGsoSegment, &1_000).expect("this kernel cuts UDP");
    // Seven frames of 1,514 octets hold ten thousand, so there is room for one piece and six frames more.
    for _ in 0..2 {
        socket.send(&[7; 10_000]).expect("sent");
    }
    for _ in 0..10 {
        assert_eq!(hear(&socket), [7; 1_000]);
    }
    setsockopt(&socket, UdpGsoSegment, &0).expect("it need not");
    assert_eq!(ask(&socket, b"one frame"), b"one frame");
    let counted = program.counters().expect("counters").udp;
    assert_eq!((counted.received, counted.replied), (3, 2));
}
