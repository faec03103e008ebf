//! What is promised to those who ask for more than an answer, and kept.

use super::*;
use crate::echo::pingback::{LONGEST, Outcome, PingbackOptions};
use crate::echo::wire::Pingback;
use halloo_base::{Path, Reason};
use std::time::Duration;

const ASK: Pingback = Pingback {
    count: 3,
    other_port: false,
    other_address: false,
    outcome: Outcome::Granted,
    gap: Duration::from_millis(100),
    silence: Duration::from_secs(2),
};

fn host(pingback: Option<PingbackOptions>) -> Host {
    Host::new(UdpEchoOptions {
        pingback,
        ..UdpEchoOptions::default()
    })
}

/// A request at `mono` from `remote`, with the cookie that it was given there if it is to be `proven`.
fn ask(host: &mut Host, remote: &str, mono: u64, seq: u32, ask: Pingback, proven: bool) -> Probe {
    let mut probe = Probe::request(TOKEN, seq, true, false).asking_back(ask);
    if proven {
        let first = host
            .hear(&datagram(remote, mono, &request(TOKEN, 0, 112)))
            .probe();
        let cookie = first.wide.expect("it was asked for").cookie;
        probe.wide.as_mut().expect("it is there").cookie = cookie;
    }
    let mut bytes = vec![0; usize::from(probe.length)];
    probe.emit(&mut bytes).expect("room");
    let reply = host.hear(&datagram(remote, mono, &bytes)).probe();
    assert!(reply.flags.pingback && reply.length == probe.length);
    reply
}

fn promised(reply: &Probe) -> (Outcome, u16) {
    let told = reply.pingback.expect("the section");
    (told.outcome, told.count)
}

/// All that is due until `until`, with its time in milliseconds.
fn sent(host: &mut Host, until: u64) -> Vec<(u64, Path, Vec<u8>)> {
    let mut all = vec![];
    while let Some(due) = host.echo.due().filter(|due| due.at.0 <= until) {
        let at = due.at.0;
        let mut room = [0xee; halloo_base::PROMISED];
        let (path, len) =
            with_env(at, |env| host.echo.send_due(env, &mut room)).expect("what is due can be sent");
        all.push((at / 1_000_000, path, room[..len].to_vec()));
    }
    all
}

#[test]
fn who_has_proved_where_it_is_is_sent_what_it_asked_for_in_its_time() {
    let mut host = host(Some(PingbackOptions::default()));
    let reply = ask(&mut host, HOME, SECOND, 9, ASK, true);
    assert_eq!(promised(&reply), (Outcome::Granted, 3));
    let sent = sent(&mut host, 60 * SECOND);
    let times: Vec<_> = sent.iter().map(|(at, ..)| *at).collect();
    assert_eq!(times, [3_000, 3_100, 3_200]);
    for (index, (_, path, bytes)) in sent.iter().enumerate() {
        assert_eq!(*path, datagram(HOME, 0, &[]).path);
        let probe = Probe::parse(bytes).expect("a probe");
        assert_eq!(
            (probe.token, probe.seq, probe.received),
            (TOKEN, 9, index as u32 + 1)
        );
        assert!(probe.flags.pingback && bytes.len() <= LONGEST);
        // Who gets one by mistake answers nothing.
        let answer = Host::open().hear(&datagram(HOME, 5, bytes));
        assert_eq!(answer.verdict, Verdict::Silent(Reason::Loop));
    }
    assert_eq!(host.echo.due(), None);
}

#[test]
fn without_proof_or_offer_nothing_is_promised() {
    let mut open = host(Some(PingbackOptions::default()));
    let reply = ask(&mut open, HOME, SECOND, 9, ASK, false);
    assert_eq!(promised(&reply), (Outcome::Unproven, 0));
    assert_eq!(open.echo.due(), None);
    // The answer has the cookie to ask with, which proves one address and no other.
    let elsewhere = ask(&mut open, "192.0.2.34:40000", SECOND, 9, ASK, false);
    assert_eq!(promised(&elsewhere), (Outcome::Unproven, 0));
    let mut closed = host(None);
    let reply = ask(&mut closed, HOME, SECOND, 9, ASK, true);
    assert_eq!(promised(&reply), (Outcome::NotOffered, 0));
    assert_eq!(closed.echo.due(), None);
}

#[test]
fn every_wish_is_cut_to_what_is_offered() {
    let mut host = host(Some(PingbackOptions::default()));
    let greedy = Pingback {
        count: u16::MAX,
        gap: Duration::ZERO,
        silence: Duration::from_secs(1 << 20),
        ..ASK
    };
    let told = ask(&mut host, HOME, SECOND, 9, greedy, true)
        .pingback
        .expect("told");
    let cut = Pingback {
        count: 16,
        gap: Duration::from_millis(10),
        silence: Duration::from_secs(900),
        ..ASK
    };
    assert_eq!(told, cut);
    let sent = sent(&mut host, u64::MAX);
    assert_eq!(sent.len(), 16);
    assert_eq!(sent.iter().map(|(.., bytes)| bytes.len()).sum::<usize>(), 16 * 64);
}

#[test]
fn so_many_wait_of_one_address_and_in_all() {
    let mut host = host(Some(PingbackOptions {
        per_address: 2,
        most_waiting: 3,
        ..PingbackOptions::default()
    }));
    let mut asked = |remote: &str| promised(&ask(&mut host, remote, SECOND, 9, ASK, true)).0;
    let (here, there) = ("192.0.2.33:40000", "192.0.2.34:40000");
    let outcomes = [
        asked(here),
        asked("192.0.2.33:40001"),
        asked(here),
        asked(there),
        asked(there),
    ];
    assert_eq!(
        outcomes,
        [
            Outcome::Granted,
            Outcome::Granted,
            Outcome::Busy,
            Outcome::Granted,
            Outcome::Busy
        ]
    );
    sent(&mut host, 60 * SECOND);
    assert_eq!(
        promised(&ask(&mut host, here, 61 * SECOND, 9, ASK, true)).0,
        Outcome::Granted
    );
}

#[test]
fn the_other_port_and_address_are_used_where_there_are_any() {
    let from = |other_port, other_address| Pingback {
        count: 1,
        other_port,
        other_address,
        ..ASK
    };
    let mut single = host(Some(PingbackOptions::default()));
    for wish in [from(true, false), from(false, true)] {
        assert_eq!(
            promised(&ask(&mut single, HOME, SECOND, 9, wish, true)).0,
            Outcome::NoOther
        );
    }
    let mut double = host(Some(PingbackOptions {
        ends: vec![addr("0.0.0.0:7777"), addr("0.0.0.0:7778")],
        addresses: vec![[198, 51, 100, 1].into(), [198, 51, 100, 2].into()],
        ..PingbackOptions::default()
    }));
    for (wish, local) in [
        (from(false, false), "198.51.100.1:7777"),
        (from(true, false), "198.51.100.1:7778"),
        (from(false, true), "198.51.100.2:7777"),
        (from(true, true), "198.51.100.2:7778"),
    ] {
        let reply = ask(&mut double, HOME, SECOND, 9, wish, true);
        assert_eq!(promised(&reply).0, Outcome::Granted);
        let sent = sent(&mut double, 60 * SECOND);
        assert_eq!(sent.len(), 1);
        assert_eq!((sent[0].1.local, sent[0].1.remote), (addr(local), addr(HOME)));
    }
    let v6 = ask(
        &mut double,
        "[2001:db8::5]:40000",
        SECOND,
        9,
        from(false, true),
        true,
    );
    assert_eq!(promised(&v6).0, Outcome::NoOther, "it has none of that family");
}

/// Another port, another address.
type Wish = (bool, bool);

#[test]
fn what_no_socket_can_send_is_not_promised() {
    let (port, address) = ((true, false), (false, true));
    let table: &[(&[&str], Wish, Option<&str>)] = &[
        (&["0.0.0.0:7777", "[::]:7778"], port, None),
        (&["198.51.100.1:7777", "198.51.100.2:7778"], port, None),
        (
            &["198.51.100.1:7777", "198.51.100.1:7778"],
            port,
            Some("198.51.100.1:7778"),
        ),
        (&["198.51.100.1:7777"], address, None),
        (&["198.51.100.1:7777", "198.51.100.2:7778"], address, None),
        (
            &["198.51.100.1:7777", "198.51.100.2:7777"],
            address,
            Some("198.51.100.2:7777"),
        ),
        (&["0.0.0.0:7777"], address, Some("198.51.100.2:7777")),
        (&["[::]:7777"], address, None),
        (
            &["0.0.0.0:7777", "198.51.100.2:7778"],
            (true, true),
            Some("198.51.100.2:7778"),
        ),
    ];
    for (ends, (other_port, other_address), from) in table {
        let mut host = host(Some(PingbackOptions {
            ends: ends.iter().map(|end| addr(end)).collect(),
            addresses: vec![[198, 51, 100, 1].into(), [198, 51, 100, 2].into()],
            ..PingbackOptions::default()
        }));
        let wish = Pingback {
            count: 1,
            other_port: *other_port,
            other_address: *other_address,
            ..ASK
        };
        let outcome = promised(&ask(&mut host, HOME, SECOND, 9, wish, true)).0;
        let sent = sent(&mut host, 60 * SECOND);
        assert_eq!(
            sent.first().map(|(_, path, _)| path.local),
            from.map(addr),
            "{ends:?} {wish:?}"
        );
        let expected = if from.is_some() {
            Outcome::Granted
        } else {
            Outcome::NoOther
        };
        assert_eq!(outcome, expected, "{ends:?} {wish:?}");
    }
}

#[test]
fn who_asked_with_a_key_and_the_cookie_is_sent_signed_ones() {
    let secret = key("sixteen bytes...");
    let mut host = Host::new(UdpEchoOptions {
        key: Some(secret.clone()),
        ..UdpEchoOptions::default()
    });
    let mut probe = Probe::request(TOKEN, 4, true, true).asking_back(Pingback { count: 1, ..ASK });
    let mut ask = |probe: &Probe| {
        let mut bytes = vec![0; usize::from(probe.length)];
        probe.emit(&mut bytes).expect("room");
        assert!(secret.sign(&mut bytes, probe.length));
        host.hear(&datagram(HOME, SECOND, &bytes)).probe()
    };
    let first = ask(&probe);
    let unproven = "a recorded request is signed too, wherever it comes from";
    assert_eq!(promised(&first), (Outcome::Unproven, 0), "{unproven}");
    probe.wide = first.wide;
    assert_eq!(promised(&ask(&probe)), (Outcome::Granted, 1));
    let sent = sent(&mut host, 60 * SECOND);
    let told = Probe::parse(&sent[0].2).expect("a probe");
    assert!(told.flags.authenticated && secret.verify(&sent[0].2, told.length));
}
