//! Our programs behind a forwarder on a bad day: what ended the original ones is counted, and they go on.

use crate::forwarder::{Any, Fake, VARIABLE};
use crate::ours::{assert_answered, flood, ndnping, ndnping_times, ndnpingserver, serve_behind};
use crate::peers::Running;
use halloo_lab::ndn::{Behaviour, CommandForm, Commands};
use nix::sys::signal::Signal;
use std::fs;
use std::net::UdpSocket;
use std::thread;
use std::time::{Duration, SystemTime};

const PREFIX: &str = "/sturdy";
const PING: &str = "/sturdy/ping";

fn started(behaviour: Behaviour, args: &[&str]) -> (Fake, Running) {
    let any = Any::Fake(Fake::with(behaviour));
    let serving = serve_behind(&any, &[args, &[PREFIX]].concat());
    let Any::Fake(fake) = any else {
        unreachable!("it was made so")
    };
    (fake, serving)
}

/// Five probes by the forwarder, all answered.
#[track_caller]
fn assert_serves(fake: &Fake) {
    let mut command = ndnping(&[PREFIX]);
    command.env(VARIABLE, fake.unix());
    assert_answered(&Running::start(command).finish(), PREFIX);
}

/// Ends the server and returns what it says at last; its status must be 0.
#[track_caller]
fn last_words(serving: Running, signal: Signal) -> String {
    serving.signal(signal);
    let (text, code) = serving.finish();
    assert_eq!(code, Some(0), "{text}");
    text
}

fn bytes(hex: &str) -> Vec<u8> {
    let digit = |octet: u8| char::from(octet).to_digit(16).expect("a digit") as u8;
    let digits: Vec<_> = hex.bytes().filter(|octet| *octet != b' ').map(digit).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

/// Packets that are none, or none that a ping server answers, each with the word that counts it.
fn bad_packets() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    // `/sturdy/ping` and one component more.
    let named = |tail: &str, behind: &str| {
        let name = bytes(&format!("0806 737475726479 0804 70696e67 {tail}"));
        let name = [vec![7, name.len() as u8], name].concat();
        let value = [name, bytes(behind)].concat();
        [vec![5, value.len() as u8], value].concat()
    };
    let digest = "0220".to_owned() + &"00".repeat(32);
    let number = "080137";
    let nonce = "0a0401020304";
    let plain = named(number, nonce);
    let wrapped = |fields: &str, packet: &[u8]| {
        let value = [bytes(fields), vec![0x50, packet.len() as u8], packet.to_vec()].concat();
        [vec![0x64, value.len() as u8], value].concat()
    };
    vec![
        (
            "a wrong digest of parameters",
            named(&digest, &format!("{nonce} 2400")),
            "malformed",
        ),
        (
            "parameters without a digest",
            named(number, &format!("{nonce} 2400")),
            "malformed",
        ),
        ("a digest without parameters", named(&digest, nonce), "malformed"),
        (
            "two digests",
            named(&format!("{digest}{digest}"), &format!("{nonce} 2400")),
            "malformed",
        ),
        (
            "an unknown critical element",
            named(number, &format!("{nonce} 7f00")),
            "malformed",
        ),
        (
            "a nonce of five bytes",
            named(number, "0a050102030405"),
            "malformed",
        ),
        (
            "elements in the wrong order",
            named(number, "1200 2100"),
            "malformed",
        ),
        ("no name", bytes("0506 0a0401020304"), "malformed"),
        ("an empty name", bytes("0508 0700 0a0401020304"), "malformed"),
        (
            "a name that is longer than its packet",
            bytes("0504 0720 0801"),
            "malformed",
        ),
        ("no type that anybody knows", bytes("7f02 0000"), "malformed"),
        (
            "a length in too long a form",
            [bytes("05fd00"), plain[1..].to_vec()].concat(),
            "malformed",
        ),
        ("a Data without signature", bytes("0605 0703 080161"), "malformed"),
        (
            "a Nack of a Data",
            wrapped("fd032000", &bytes("0605 0703 080161")),
            "malformed",
        ),
        ("an empty token", wrapped("6200", &plain), "malformed"),
        (
            "an unknown field that must be known",
            wrapped("fd03bd00", &plain),
            "malformed",
        ),
        (
            "an index beyond the count",
            wrapped("5108 0000000000000001 520105 530102", &plain),
            "malformed",
        ),
        ("a Nack", wrapped("fd032005 fd0321 0196", &plain), "loop"),
        (
            "another prefix",
            bytes("0512 070a 0805 6f74686572 0801 37 0a0401020304"),
            "not_served",
        ),
    ]
}

#[test]
fn packets_that_ended_the_original_server_are_counted() {
    let (fake, serving) = started(Behaviour::default(), &["-q"]);
    for (what, packet, _) in bad_packets() {
        assert_eq!(fake.forwarder.inject(Some(PING), &packet), 1, "{what}");
    }
    assert_serves(&fake);
    serving.signal(Signal::SIGQUIT);
    let line = serving.complaint_with("packets processed");
    for word in ["malformed", "loop", "not_served"] {
        let count = bad_packets()
            .iter()
            .filter(|(_, _, counted)| *counted == word)
            .count();
        assert!(
            line.contains(&format!("{count} {word}")),
            "{count} {word}: {line}"
        );
    }
    let view = fake.forwarder.view();
    assert_eq!(
        (view.counts.data, view.counts.undecodable, view.commands.len()),
        (5, 0, 1)
    );
    assert!(last_words(serving, Signal::SIGINT).ends_with("5 packets processed\n"));
}

#[test]
fn the_same_over_udp() {
    let serving = Running::start(ndnpingserver(&["-q", "--listen", "udp://127.0.0.1:0", PREFIX]));
    let face = serving.line_with("udp://").replace("listening on ", "");
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    socket
        .connect(face.trim_start_matches("udp://"))
        .expect("an address");
    for (_, packet, _) in bad_packets() {
        socket.send(&packet).expect("it leaves");
    }
    socket.send(&[]).expect("it leaves");
    socket.send(&[0x05; 9_000]).expect("it leaves");
    assert_answered(
        &Running::start(ndnping(&["--face", &face, PREFIX])).finish(),
        PREFIX,
    );
    assert!(last_words(serving, Signal::SIGTERM).ends_with("5 packets processed\n"));
}

#[test]
fn a_stream_that_means_nothing_any_more_is_opened_again() {
    let (fake, _serving) = started(Behaviour::default(), &["-q"]);
    fake.forwarder
        .inject(Some(PING), &bytes("05 ff ffffffffffffffff"));
    fake.forwarder.wait_for("a second registration", |view| {
        view.commands.len() == 2 && view.has_route(PING)
    });
    assert_serves(&fake);
}

#[test]
fn a_forwarder_that_comes_back_is_told_again() {
    let (fake, serving) = started(Behaviour::default(), &["-q"]);
    assert_serves(&fake);
    fake.forwarder.go_down();
    serving.complaint_with("WARNING");
    fake.forwarder.come_up().expect("its places are free");
    fake.wait_for_route(PING);
    assert_serves(&fake);
    let text = last_words(serving, Signal::SIGTERM);
    assert!(
        text.ends_with("10 packets processed\n"),
        "nothing was forgotten: {text}"
    );
}

#[test]
fn a_command_that_is_turned_down_is_given_again_with_a_later_stamp() {
    let (fake, _serving) = started(
        Behaviour {
            refusals: 3,
            ..Behaviour::default()
        },
        &["-q"],
    );
    let commands = fake.forwarder.view().commands;
    let statuses: Vec<_> = commands.iter().map(|command| command.status).collect();
    assert_eq!(statuses, [403, 403, 403, 200]);
    assert!(commands.is_sorted_by_key(|command| command.time));
    assert!(commands.iter().all(|command| command.digests_are_right));
    assert_serves(&fake);
}

#[test]
fn a_stamp_that_another_program_has_used_is_waited_out() {
    let fake = Fake::start();
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .expect("after 1970");
    fake.forwarder
        .use_up_stamp((now + Duration::from_millis(100)).as_millis() as u64);
    let any = Any::Fake(fake);
    let _serving = serve_behind(&any, &["-q", PREFIX]);
    let Any::Fake(fake) = any else {
        unreachable!("it was made so")
    };
    assert_serves(&fake);
}

#[test]
fn a_forwarder_that_knows_only_old_commands_is_given_one() {
    let (fake, _serving) = started(
        Behaviour {
            commands: Commands::Old,
            ..Behaviour::default()
        },
        &["-q"],
    );
    let view = fake.forwarder.view();
    assert_eq!((view.commands.len(), view.counts.unanswered_commands), (1, 1));
    assert_eq!(
        (view.commands[0].form, view.commands[0].digests_are_right),
        (CommandForm::Old, true)
    );
    assert_serves(&fake);
}

#[test]
fn the_prefix_is_taken_back_at_the_end() {
    let (fake, serving) = started(Behaviour::default(), &["-q"]);
    last_words(serving, Signal::SIGINT);
    let view = fake.forwarder.wait_for("no route", |view| view.routes.is_empty());
    let verbs: Vec<_> = view
        .commands
        .iter()
        .map(|command| (command.verb.as_str(), command.status))
        .collect();
    assert_eq!(verbs, [("register", 200), ("unregister", 200)]);
}

#[test]
fn a_route_that_is_slower_than_its_answer_costs_probes_and_no_more() {
    let (fake, _serving) = started(
        Behaviour {
            route_lag: 2,
            ..Behaviour::default()
        },
        &["-q"],
    );
    let mut command = ndnping(&[PREFIX]);
    command.env(VARIABLE, fake.unix());
    let (text, code) = Running::start(command).finish();
    assert!(
        text.contains("5 packets transmitted, 3 received, 2 nacked, 0% lost, 40% nacked"),
        "{text}"
    );
    assert_eq!((text.matches("reason=NoRoute").count(), code), (2, Some(1)));
}

#[test]
fn an_answer_that_is_too_long_for_any_packet_is_refused_at_the_start() {
    for (size, is_taken) in [("8000", true), ("8800", false), ("1000000000", false)] {
        let serving = Running::start(ndnpingserver(&[
            "-s",
            size,
            "--listen",
            "udp://127.0.0.1:0",
            PREFIX,
        ]));
        if is_taken {
            serving.line_with("udp://");
            continue;
        }
        serving.complaint_with("8800");
        assert_eq!(serving.finish().1, Some(2), "{size}");
    }
}

#[test]
fn a_forwarder_that_does_not_read_does_not_fill_the_server() {
    const INTERESTS: u64 = 20_000;
    let (fake, serving) = started(Behaviour::default(), &["-q", "-s", "1000"]);
    fake.forwarder.hold(true);
    // 20 MB of answers: more than sockets and queues hold.
    let interest = bytes("0518 0710 0806 737475726479 0804 70696e67 0800 0a0401020304");
    for _ in 0..INTERESTS / 100 {
        fake.forwarder.inject(Some(PING), &interest.repeat(100));
    }
    fake.forwarder.hold(false);
    // Which of the two depends on how much came at once: the server stops reading, or gives the connection up.
    fake.forwarder
        .wait_for("all answers, or a second registration", |view| {
            view.counts.data == INTERESTS || view.commands.len() == 2 && view.has_route(PING)
        });
    assert_serves(&fake);
    let most = kib(&serving, "VmHWM:");
    assert!(most < 64 << 10, "{most} KiB");
    last_words(serving, Signal::SIGINT);
}

#[test]
fn every_kind_of_face_leads_to_the_forwarder() {
    let fake = Fake::start();
    let _serving = Running::start(ndnpingserver(&["-q", "--face", &fake.tcp(), PREFIX]));
    fake.wait_for_route(PING);
    for face in [fake.unix(), fake.tcp(), fake.udp()] {
        assert_answered(
            &Running::start(ndnping(&["--face", &face, PREFIX])).finish(),
            PREFIX,
        );
    }
}

#[test]
fn a_client_outlives_its_forwarder() {
    let (fake, _serving) = started(Behaviour::default(), &["-q"]);
    let mut command = ndnping_times(1_000_000, &["-o", "500", PREFIX]);
    command.env(VARIABLE, fake.unix());
    let asking = Running::start(command);
    asking.line_with("content from");
    fake.forwarder.restart().expect("its places are free");
    let carried = fake.wait_for_route(PING).counts.data;
    fake.forwarder
        .wait_for("answers on their way to the client", move |view| {
            view.counts.data > carried + 1
        });
    asking.signal(Signal::SIGINT);
    let (text, _) = asking.finish();
    assert!(text.contains("ping statistics ---"), "{text}");
}

#[test]
fn packets_that_are_none_do_not_end_a_client() {
    let (fake, _serving) = started(Behaviour::default(), &["-q"]);
    let mut command = ndnping_times(20, &[PREFIX]);
    command.env(VARIABLE, fake.unix());
    let asking = Running::start(command);
    asking.line_with("content from");
    for (_, packet, _) in bad_packets() {
        fake.forwarder.inject(None, &packet);
    }
    let (text, code) = asking.finish();
    assert!(
        text.contains("20 packets transmitted, 20 received, 0 nacked"),
        "{text}"
    );
    assert_eq!(code, Some(0));
}

#[test]
fn where_there_is_no_forwarder_it_is_said_where_it_was_looked_for() {
    let nowhere = "unix:///nonexistent/nfd.sock";
    for (mut command, status) in [(ndnping(&[PREFIX]), 2), (ndnpingserver(&[PREFIX]), 1)] {
        command.env(VARIABLE, nowhere);
        let running = Running::start(command);
        running.complaint_with(
            "could not connect to NDN forwarder at /nonexistent/nfd.sock (No such file or directory)",
        );
        assert_eq!(running.finish().1, Some(status));
    }
}

#[test]
fn the_forwarder_is_asked_what_is_wrong() {
    let (fake, _serving) = started(
        Behaviour {
            segment: 40,
            ..Behaviour::default()
        },
        &["-q"],
    );
    for (prefix, status, expected) in [
        (PREFIX, 0, "by face"),
        ("/nobody", 1, "none leads to /nobody/ping"),
    ] {
        let mut command = ndnping(&["--diagnose", prefix]);
        command.env(VARIABLE, fake.unix());
        let (text, code) = Running::start(command).finish();
        assert!(
            text.contains(Behaviour::VERSION) && text.contains(expected),
            "{text}"
        );
        assert_eq!(code, Some(status), "{text}");
    }
}

/// For as long as `HALLOO_SOAK_SECONDS` says (3 by default; 600 before a release).
#[test]
fn a_flood_holds_memory_constant() {
    let seconds = std::env::var("HALLOO_SOAK_SECONDS").ok();
    let seconds: u32 = seconds.and_then(|text| text.parse().ok()).unwrap_or(3);
    let (fake, serving) = started(Behaviour::default(), &["-q"]);
    let direct = Running::start(ndnpingserver(&["-q", "--listen", "udp://127.0.0.1:0", PREFIX]));
    let face = direct.line_with("udp://").replace("listening on ", "");
    // Without an end of their own: they are looked at while they run, however late that is.
    let flooding = [fake.unix(), face].map(|face| Running::start(flood(&["-q", "--face", &face, PREFIX])));
    let watched = || [&serving, &direct].map(resident_kib);
    let whole = Duration::from_secs(seconds.into());
    // The first tenth fills tables and buffers.
    thread::sleep(whole / 10);
    let before = watched();
    thread::sleep(whole * 8 / 10);
    let after = watched();
    let clients = flooding.each_ref().map(resident_kib);
    eprintln!(
        "resident KiB of servers: {before:?} at one tenth, {after:?} at nine tenths; clients {clients:?}"
    );
    let grew = before
        .iter()
        .zip(&after)
        .any(|(before, after)| *after > before + 512);
    assert!(!grew, "{before:?} grew to {after:?}");
    assert!(clients.iter().all(|kib| *kib < 64 << 10), "{clients:?}");
    for client in flooding {
        let text = last_words(client, Signal::SIGINT);
        assert!(text.contains(" received"), "{text}");
    }
    last_words(serving, Signal::SIGINT);
}

fn resident_kib(running: &Running) -> u64 {
    kib(running, "VmRSS:")
}

fn kib(running: &Running, what: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", running.pid())).expect("it runs");
    let line = status
        .lines()
        .find(|line| line.starts_with(what))
        .expect("every process has it");
    let number = line.split_whitespace().nth(1).expect("a number");
    number.parse().expect("a number")
}
