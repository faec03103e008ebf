//! The fake forwarder against what the real one (NFD 24.07) was seen to do, byte for byte where bytes were captured.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use halloo_lab::ndn::{Behaviour, CommandForm, Commands, Forwarder, Plan};
use std::io::{Read, Write};
use std::net::UdpSocket;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};
use tempfile::TempDir;

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(10);

/// `/t/ping/100`, nonce 01020304, MustBeFresh.
const PROBE: &str = "0518070e080174080470696e67080331303012000a0401020304";
/// ndnpingserver's answer to `/edu/arizona/ping/18446744073709551614`, and the question.
const ARIZONA: &str = "0534072a080365647508076172697a6f6e61080470696e67081431383434363734343037333730393535\
                       3136313412000a04afc51bd2";
const ARIZONA_DATA: &str = "065b072a080365647508076172697a6f6e61080470696e67081431383434363734343037333730393535\
    31363134\
    1404190203e8150016031b01001720d6e20e1b7374dd07961e9b19f9b1f8b749bfe31d4716f833594e7740b4e300b3";
/// `rib/register` of `/edu/arizona/ping` by ndnpingserver; its stamp is 1795187109846.
const REGISTER: &str = "05a7075e08096c6f63616c686f737408036e6664080372696208087265676973746572081b681907140803\
    65647508076172697a6f6e61080470696e676c01010220dcbcb8002c71840d520b8b3ee425495475f545c1502ecb1e5f4079b26a0abf38\
    0a04d562547d0c02271024002c171b01002608b3553ae4531d61392808000001a1f97d6fd62e2060980c30fc44f5427cbf260b88d8c4c0\
    9935769da15809feacb29316c23ddc8d";

struct World {
    forwarder: Forwarder,
    folder: TempDir,
}

impl World {
    fn new() -> World {
        let folder = tempfile::tempdir().unwrap();
        let plan = Plan {
            unix: Some(folder.path().join("nfd.sock")),
            tcp: Some("127.0.0.1:0".parse().unwrap()),
            udp: Some("127.0.0.1:0".parse().unwrap()),
        };
        World {
            forwarder: Forwarder::start(&plan).unwrap(),
            folder,
        }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("nfd.sock")
    }

    fn unix(&self) -> UnixStream {
        let stream = UnixStream::connect(self.path()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    fn udp(&self) -> UdpSocket {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.connect(self.forwarder.plan().udp.unwrap()).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket
    }

    /// A neighbour that has this prefix.
    fn producer(&self, prefix: &str) -> UnixStream {
        let mut stream = self.unix();
        stream.write_all(&register(prefix, now_ms())).unwrap();
        let answer = packet(&mut stream);
        assert!(contains(&answer, &[0x66, 1, 200]), "{answer:02x?}");
        stream
    }
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
    let text = |pair: &[u8]| String::from_utf8(pair.to_vec()).unwrap();
    digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(&text(pair), 16).unwrap())
        .collect()
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    since.as_millis() as u64
}

fn tlv(kind: u8, value: &[u8]) -> Vec<u8> {
    let len = u8::try_from(value.len()).unwrap();
    assert!(len < 253, "short ones only");
    [&[kind, len][..], value].concat()
}

fn generic(words: &[&str]) -> Vec<u8> {
    words.iter().flat_map(|word| tlv(8, word.as_bytes())).collect()
}

/// A registration in the old form, with a signature that nobody checks.
fn register(prefix: &str, time: u64) -> Vec<u8> {
    let words: Vec<_> = prefix.split('/').filter(|word| !word.is_empty()).collect();
    command("register", &tlv(7, &generic(&words)), time)
}

fn command(verb: &str, parameters: &[u8], time: u64) -> Vec<u8> {
    let mut name = generic(&["localhost", "nfd", "rib", verb]);
    name.extend(tlv(8, &tlv(0x68, parameters)));
    name.extend(tlv(8, &time.to_be_bytes()));
    name.extend(tlv(8, &[7; 8]));
    name.extend(tlv(8, &[0x16, 3, 0x1b, 1, 0]));
    name.extend(tlv(8, &tlv(0x17, &[9; 32])));
    tlv(5, &[tlv(7, &name), vec![10, 4, 1, 1, 1, 1]].concat())
}

/// An Interest for `/t/ping/<last>` with these bytes behind its name.
fn probe(last: &str, fields: &[u8]) -> Vec<u8> {
    tlv(
        5,
        &[tlv(7, &generic(&["t", "ping", last])), fields.to_vec()].concat(),
    )
}

/// The next packet of a stream, whose length fits one byte or two.
fn packet(stream: &mut impl Read) -> Vec<u8> {
    let mut header = vec![0; 2];
    stream.read_exact(&mut header).unwrap();
    let len = match header[1] {
        253 => {
            header.resize(4, 0);
            stream.read_exact(&mut header[2..]).unwrap();
            usize::from(u16::from_be_bytes([header[2], header[3]]))
        }
        short => usize::from(short),
    };
    let mut value = vec![0; len];
    stream.read_exact(&mut value).unwrap();
    [header, value].concat()
}

fn datagram(socket: &UdpSocket) -> Vec<u8> {
    let mut buffer = [0; 9_000];
    let len = socket.recv(&mut buffer).unwrap();
    buffer[..len].to_vec()
}

#[test]
fn a_probe_reaches_the_producer_as_it_came_and_its_answer_comes_back_so() {
    let world = World::new();
    let mut producer = world.producer("/edu/arizona/ping");
    let mut client = world.unix();
    client.write_all(&bytes(ARIZONA)).unwrap();
    assert_eq!(packet(&mut producer), bytes(ARIZONA));
    producer.write_all(&bytes(ARIZONA_DATA)).unwrap();
    assert_eq!(packet(&mut client), bytes(ARIZONA_DATA));
    let counts = world.forwarder.view().counts;
    assert_eq!((counts.data, counts.unsolicited, counts.undecodable), (1, 0, 0));
}

#[test]
fn without_a_route_the_interest_comes_back_at_once_and_without_the_token() {
    let world = World::new();
    let mut client = world.unix();
    let probe = "0525071b08026e6f0804737563680806707265666978080470696e6708013712000a0472cb6bfa";
    client.write_all(&bytes(probe)).unwrap();
    let nack = format!("6432fd032005fd0321019650 27{probe}");
    assert_eq!(packet(&mut client), bytes(&nack));
    // Captured over UDP, where the real one forgot the token too.
    let socket = world.udp();
    socket
        .send(&bytes(
            "64256204aabbccdd501d051b071108046e6f7065080470696e67080331303212000a0401020309",
        ))
        .unwrap();
    let nack = "6428fd032005fd03210196501d051b071108046e6f7065080470696e67080331303212000a0401020309";
    assert_eq!(datagram(&socket), bytes(nack));
}

#[test]
fn the_same_name_and_nonce_again_is_a_duplicate() {
    let world = World::new();
    let _producer = world.producer("/t/ping");
    let socket = world.udp();
    socket.send(&bytes(PROBE)).unwrap();
    socket.send(&bytes(PROBE)).unwrap();
    let nack = format!("6425fd032005fd0321016450 1a{PROBE}");
    assert_eq!(datagram(&socket), bytes(&nack));
    assert_eq!(world.forwarder.view().counts.duplicates, 1);
}

#[test]
fn a_registration_of_another_time_is_refused() {
    let world = World::new();
    let mut program = world.unix();
    program.write_all(&bytes(REGISTER)).unwrap();
    assert!(contains(&packet(&mut program), b"authorization rejected"));
    assert!(!world.forwarder.view().has_route("/edu/arizona/ping"));
    let granted = halloo_lab::ndn::grant(&bytes(REGISTER)).unwrap();
    assert!(
        contains(&granted, &[0x66, 1, 200]),
        "whoever grants all looks at no clock"
    );
}

#[test]
fn commands_are_judged_by_their_stamp() {
    let world = World::new();
    let mut program = world.unix();
    let now = now_ms();
    let mut status = |packet_: &[u8]| {
        program.write_all(packet_).unwrap();
        let answer = packet(&mut program);
        let at = answer
            .windows(2)
            .position(|window| window == [0x66, 1] || window == [0x66, 2]);
        let at = at.unwrap();
        match answer[at + 1] {
            1 => u16::from(answer[at + 2]),
            _ => u16::from_be_bytes([answer[at + 2], answer[at + 3]]),
        }
    };
    assert_eq!(status(&register("/a", now)), 200);
    assert_eq!(status(&register("/b", now)), 403, "the same stamp");
    assert_eq!(status(&register("/b", now - 1)), 403, "an older stamp");
    assert_eq!(status(&register("/b", now + 1)), 200);
    assert_eq!(status(&register("/c", now + 200_000)), 403, "three minutes ahead");
    assert_eq!(
        status(&command("register", &[0x6c, 1, 1], now + 2)),
        400,
        "no name"
    );
    let deep = vec!["x"; 33].join("/");
    assert_eq!(status(&register(&deep, now + 3)), 414);
    world.forwarder.use_up_stamp(now + 60_000);
    assert_eq!(
        status(&register("/d", now + 4)),
        403,
        "another program's clock is ahead"
    );
    assert_eq!(status(&register("/d", now + 60_001)), 200);
    let view = world.forwarder.view();
    assert!(view.has_route("/a") && view.has_route("/b") && view.has_route("/d"));
    assert_eq!(view.routes.len(), 3);
    assert!(
        view.commands
            .iter()
            .all(|command| command.form == CommandForm::Old)
    );
    assert!(!view.commands[0].digests_are_right, "nines are no digest");
}

#[test]
fn unregistering_removes_the_route_and_is_granted_without_one() {
    let world = World::new();
    let mut program = world.producer("/t/ping");
    let prefix = tlv(7, &generic(&["t", "ping"]));
    for later in 1..3 {
        program
            .write_all(&command("unregister", &prefix, now_ms() + later))
            .unwrap();
        assert!(contains(&packet(&mut program), &[0x66, 1, 200]));
        assert!(
            !world
                .forwarder
                .wait_for("no route", |view| view.routes.is_empty())
                .has_route("/t/ping")
        );
    }
}

#[test]
fn what_a_forwarder_does_not_understand_it_does_not_answer() {
    let world = World::new();
    world.forwarder.behave(Behaviour {
        commands: Commands::Signed,
        ..Behaviour::default()
    });
    let mut program = world.unix();
    program.write_all(&register("/a", now_ms())).unwrap();
    program
        .write_all(&command("announce", &tlv(7, &generic(&["a"])), now_ms()))
        .unwrap();
    let view = world
        .forwarder
        .wait_for("both commands", |view| view.counts.unanswered_commands == 2);
    assert_eq!((view.commands.len(), view.routes.len()), (0, 0));
}

#[test]
fn packets_are_read_by_the_rules_that_were_seen() {
    // Behind the name of `/t/ping/<row>`: fields, and whether the packet is forwarded.
    let nonce = [10, 4, 1, 2, 3, 4];
    let rows: &[(&str, Vec<u8>, bool)] = &[
        ("plain", nonce.to_vec(), true),
        ("no nonce", vec![], true),
        ("hop limit 0", [&nonce[..], &[0x22, 1, 0]].concat(), false),
        (
            "hop limit 1 to a local neighbour",
            [&nonce[..], &[0x22, 1, 1]].concat(),
            true,
        ),
        ("critical unknown", [&nonce[..], &[0x7f, 0]].concat(), false),
        ("other unknown", [&nonce[..], &[0x7c, 0]].concat(), true),
        ("retired", [&nonce[..], &[0x10, 0]].concat(), false),
        ("order", [&[0x12, 0, 0x21, 0][..], &nonce].concat(), false),
        ("nonce of five bytes", vec![10, 5, 1, 2, 3, 4, 5], false),
        ("wrong digest", [&nonce[..], &[0x24, 0]].concat(), true),
    ];
    let world = World::new();
    let mut producer = world.producer("/t/ping");
    let mut client = world.unix();
    for (row, fields, is_forwarded) in rows {
        client.write_all(&probe(row, fields)).unwrap();
        // What comes behind it is forwarded in any case, and says that the row had its turn.
        client.write_all(&probe(&format!("after {row}"), &nonce)).unwrap();
        let first = packet(&mut producer);
        assert_eq!(
            contains(&first, row.as_bytes()) && !contains(&first, b"after"),
            *is_forwarded,
            "{row}"
        );
        if *is_forwarded {
            assert!(contains(&packet(&mut producer), b"after"));
            assert!(contains(&first, &[10, 4]), "with a nonce: {row}");
        }
    }
}

#[test]
fn link_headers_are_read_by_the_rules_that_were_seen() {
    let wrapped = |header: &[u8], row: &str| {
        let packet = tlv(0x50, &probe(row, &[10, 4, 1, 2, 3, 4]));
        tlv(0x64, &[header, &packet].concat())
    };
    let rows: &[(&str, &[u8], bool)] = &[
        ("unknown 956", &[0xfd, 3, 0xbc, 0], true),
        ("unknown 957", &[0xfd, 3, 0xbd, 0], false),
        ("sequence alone", &[0x51, 8, 0, 0, 0, 0, 0, 0, 0, 7], true),
        ("token twice", &[0x62, 1, 1, 0x62, 1, 1], false),
        (
            "index beyond count",
            &[0x51, 8, 0, 0, 0, 0, 0, 0, 0, 7, 0x52, 1, 2, 0x53, 1, 2],
            false,
        ),
        ("empty token", &[0x62, 0], false),
    ];
    let world = World::new();
    let mut producer = world.producer("/t/ping");
    let mut client = world.unix();
    for (row, header, is_forwarded) in rows {
        client.write_all(&wrapped(header, row)).unwrap();
        client.write_all(&wrapped(&[], &format!("after {row}"))).unwrap();
        let first = packet(&mut producer);
        assert_eq!(!contains(&first, b"after"), *is_forwarded, "{row}");
        if *is_forwarded {
            assert!(contains(&packet(&mut producer), b"after"));
        }
    }
}

#[test]
fn a_datagram_is_one_packet_and_local_names_are_not_for_udp() {
    let world = World::new();
    let mut producer = world.producer("/t/ping");
    let socket = world.udp();
    socket.send(&[bytes(PROBE), vec![0]].concat()).unwrap();
    socket.send(&register("/mine", now_ms() + 10)).unwrap();
    socket.send(&probe("last", &[10, 4, 1, 2, 3, 4])).unwrap();
    assert!(
        contains(&packet(&mut producer), b"last"),
        "the first of the three that is forwarded"
    );
    let view = world.forwarder.view();
    assert!(!view.has_route("/mine"));
    assert_eq!((view.counts.undecodable, view.counts.dropped), (1, 1));
}

#[test]
fn fragments_begin_with_the_last_sequence_number_of_all() {
    let world = World::new();
    world.forwarder.behave(Behaviour {
        mtu: Some(200),
        ..Behaviour::default()
    });
    let mut producer = world.producer("/big/ping");
    let socket = world.udp();
    let name = tlv(7, &generic(&["big", "ping", "1"]));
    socket
        .send(&tlv(5, &[name.clone(), vec![10, 4, 1, 2, 3, 4]].concat()))
        .unwrap();
    packet(&mut producer);
    // ndnpingserver -s 400 /big
    let mut inner = name;
    inner.extend(bytes("1404190203e815fd0190"));
    inner.extend([b'a'; 400]);
    inner.extend(bytes(
        "16031b01001720c2c70ab30e3aeb5aa2dcb5b63e1f7f84429c69c49633438ed0d3caee5a4b9a24",
    ));
    let data = [bytes("06fd01d1"), inner].concat();
    producer.write_all(&data).unwrap();
    let parts: Vec<_> = (0..4).map(|_| datagram(&socket)).collect();
    assert!(parts[0].starts_with(&bytes("649c5108ffffffffffffffff520100530104508a06fd01d1")));
    assert!(parts[1].starts_with(&bytes("649c51080000000000000000520101530104508a61")));
    assert!(parts[3].starts_with(&bytes("64495108000000000000000252010353010450376161")));
}

#[test]
fn parts_of_an_interest_are_put_together_in_any_order() {
    let world = World::new();
    let mut producer = world.producer("/t/ping");
    let socket = world.udp();
    let parts = [
        "641f510800000000000003e9520101530102500d080332303012000a0401020311",
        "641f510800000000000003e8520100530102500d0518070e080174080470696e67",
    ];
    for part in parts {
        socket.send(&bytes(part)).unwrap();
    }
    let whole = "0518070e080174080470696e67080332303012000a0401020311";
    assert_eq!(packet(&mut producer), bytes(whole));
}

#[test]
fn an_answer_without_the_token_that_was_asked_for_is_not_passed_on() {
    let world = World::new();
    world.forwarder.behave(Behaviour {
        pit_tokens: true,
        congestion_marks: true,
        ..Behaviour::default()
    });
    let mut producer = world.producer("/edu/arizona/ping");
    let mut client = world.unix();
    client.write_all(&bytes(ARIZONA)).unwrap();
    let asked = packet(&mut producer);
    assert_eq!(asked[2..4], [0x62, 4], "a token of four bytes: {asked:02x?}");
    producer.write_all(&bytes(ARIZONA_DATA)).unwrap();
    let with_token = tlv(
        0x64,
        &[asked[2..8].to_vec(), tlv(0x50, &bytes(ARIZONA_DATA))].concat(),
    );
    producer.write_all(&with_token).unwrap();
    let marked = tlv(
        0x64,
        &[bytes("fd03400101"), tlv(0x50, &bytes(ARIZONA_DATA))].concat(),
    );
    // The fragment has the lowest type number and comes last all the same.
    assert_eq!(packet(&mut client), marked);
    assert_eq!(world.forwarder.view().counts.token_lost, 1);
}

#[test]
fn a_route_may_be_slower_than_its_answer() {
    let world = World::new();
    world.forwarder.behave(Behaviour {
        route_lag: 1,
        ..Behaviour::default()
    });
    let mut producer = world.producer("/t/ping");
    let mut client = world.unix();
    client.write_all(&probe("1", &[10, 4, 1, 2, 3, 4])).unwrap();
    assert!(contains(&packet(&mut client), &bytes("fd03210196")), "NoRoute");
    client.write_all(&probe("2", &[10, 4, 1, 2, 3, 4])).unwrap();
    packet(&mut producer);
}

#[test]
fn a_restart_takes_connections_and_routes_with_it() {
    let world = World::new();
    let mut producer = world.producer("/t/ping");
    world.forwarder.go_down();
    assert_eq!(producer.read(&mut [0; 8]).unwrap(), 0, "the end of the stream");
    assert!(UnixStream::connect(world.path()).is_err());
    world.forwarder.come_up().unwrap();
    let view = world.forwarder.view();
    assert_eq!((view.routes.len(), view.faces.len()), (0, 0));
    world.producer("/t/ping");
}

#[test]
fn datasets_are_cut_into_segments_of_one_version() {
    let world = World::new();
    world.forwarder.behave(Behaviour {
        segment: 20,
        ..Behaviour::default()
    });
    let mut client = world.producer("/t/ping");
    let ask =
        "052d072108096c6f63616c686f737408036e66640806737461747573080767656e6572616c210012000a045b8086b8";
    client.write_all(&bytes(ask)).unwrap();
    let first = packet(&mut client);
    assert!(contains(&first, Behaviour::VERSION.as_bytes()) && contains(&first, &[0x32, 1, 0]));
    assert!(!contains(&first, &[0x1a, 3]), "not the last");
    let at = first.windows(2).position(|window| window == [0x36, 8]).unwrap();
    let mut name = generic(&["localhost", "nfd", "status", "general"]);
    name.extend(&first[at..at + 10]);
    name.extend([0x32, 1, 1]);
    client
        .write_all(&tlv(5, &[tlv(7, &name), vec![10, 4, 9, 9, 9, 9]].concat()))
        .unwrap();
    assert!(contains(&packet(&mut client), &[0x32, 1, 1]));
}

#[test]
fn faces_and_routes_are_listed() {
    let world = World::new();
    let mut client = world.producer("/t/ping");
    for (module, expected) in [("faces", &b"unix://"[..]), ("rib", &[0x69, 2, 1, 1][..])] {
        let name = tlv(7, &generic(&["localhost", "nfd", module, "list"]));
        let fields = [name, vec![0x21, 0, 0x12, 0, 10, 4, 1, 2, 3, 4]].concat();
        client.write_all(&tlv(5, &fields)).unwrap();
        let answer = packet(&mut client);
        assert!(contains(&answer, expected), "{module}: {answer:02x?}");
    }
}

#[test]
fn injected_bytes_arrive_as_they_are() {
    let world = World::new();
    let mut producer = world.producer("/t/ping");
    assert_eq!(world.forwarder.inject(Some("/t/ping"), &[1, 2, 3]), 1);
    let mut got = [0; 3];
    producer.read_exact(&mut got).unwrap();
    assert_eq!(got, [1, 2, 3]);
    assert_eq!(world.forwarder.inject(Some("/nobody"), &[1]), 0);
}
