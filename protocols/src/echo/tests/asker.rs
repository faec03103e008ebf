//! Asking for datagrams, and what is made of those that come.

use super::*;
use crate::echo::asker::{Arrival, Ask, Asker, AskerOptions, Ending, REQUEST, Source, State, Told};
use crate::echo::pingback::{Outcome, PingbackOptions};
use halloo_base::Reason;
use proptest::prelude::*;
use std::time::Duration;

const MS: u64 = 1_000_000;

fn options(from: Source) -> AskerOptions {
    AskerOptions {
        token: TOKEN,
        key: None,
        path: Path {
            link: LinkId(0),
            local: addr(HOME),
            remote: addr("198.51.100.1:7777"),
        },
        ask: Ask {
            count: 3,
            gap: Duration::from_millis(100),
            silence: Duration::from_secs(2),
            from,
        },
        patience: Duration::from_millis(500),
        lost_after: Duration::from_millis(500),
        tries: 4,
    }
}

fn host(pingback: PingbackOptions) -> Host {
    Host::new(UdpEchoOptions {
        pingback: Some(pingback),
        ..UdpEchoOptions::default()
    })
}

/// A datagram as the asker gets it: from `remote` to its socket.
fn arriving<'a>(remote: SocketAddr, mono: u64, payload: &'a [u8]) -> Datagram<'a> {
    let mut rx = datagram("192.0.2.1:1", mono, payload);
    rx.path.remote = remote;
    rx.path.local = addr(HOME);
    rx
}

/// Plays both, 10 ms away from each other; `lose` decides over each datagram on the wire, in the order of their departures.
fn play(asker: &mut Asker, host: &mut Host, mut lose: impl FnMut() -> bool) -> Vec<Arrival> {
    const DELAY: u64 = 10 * MS;
    let mut now = 1_000 * MS;
    let mut heard = vec![];
    // Departure's arrival, whether it goes to the host, the other end, bytes.
    let mut wire: Vec<(u64, bool, SocketAddr, Vec<u8>)> = vec![];
    for _ in 0..10_000 {
        let mut room = [0xee; REQUEST];
        if let Some(len) = with_env(now, |env| asker.send(env, &mut room))
            && !lose()
        {
            wire.push((now + DELAY, true, addr(HOME), room[..len].to_vec()));
        }
        let mut promised = [0; halloo_base::PROMISED];
        while let Some((path, len)) = with_env(now, |env| host.echo.send_due(env, &mut promised)) {
            if !lose() {
                wire.push((now + DELAY, false, path.local, promised[..len].to_vec()));
            }
        }
        wire.sort_by_key(|(at, ..)| *at);
        let next = [
            asker.due().map(|due| due.at.0),
            host.echo.due().map(|due| due.at.0),
            wire.first().map(|(at, ..)| *at),
        ];
        let Some(next) = next.into_iter().flatten().min() else {
            return heard;
        };
        now = now.max(next);
        while wire.first().is_some_and(|(at, ..)| *at <= now) {
            let (_, to_host, end, bytes) = wire.remove(0);
            if to_host {
                let answer = host.hear(&datagram(HOME, now, &bytes));
                if !lose() {
                    wire.push((now + DELAY, false, addr("198.51.100.1:7777"), answer.bytes));
                }
            } else if let Ok(Told::Pingback(arrival)) = asker.hear(&arriving(end, now, &bytes)) {
                heard.push(arrival);
            }
        }
    }
    panic!("it comes to no end");
}

#[test]
fn all_that_was_asked_for_is_told_with_its_number_source_and_time() {
    let other = PingbackOptions {
        ends: vec![addr("0.0.0.0:7777"), addr("0.0.0.0:7778")],
        addresses: vec![[198, 51, 100, 1].into(), [198, 51, 100, 2].into()],
        ..PingbackOptions::default()
    };
    for (from, source) in [
        (Source::Same, "198.51.100.1:7777"),
        (Source::OtherPort, "198.51.100.1:7778"),
        (Source::OtherAddress, "198.51.100.2:7777"),
    ] {
        let mut asker = Asker::new(options(from));
        let heard = play(&mut asker, &mut host(other.clone()), || false);
        assert_eq!(asker.state(), State::Ended(Ending::Complete));
        assert_eq!((asker.came(), asker.seen()), (3, Some(addr(HOME))));
        assert_eq!(asker.arrivals(), heard);
        for (index, arrival) in heard.iter().enumerate() {
            assert_eq!((arrival.number, arrival.seq), (index as u16 + 1, 1));
            assert_eq!(arrival.from, addr(source));
            // Asked at 1,020 ms, after the cookie; 10 ms there and 10 back.
            assert_eq!(arrival.at.mono.0 / MS, 1_020 + 2_020 + 100 * index as u64);
        }
        assert_eq!(heard[0].quiet.as_millis(), 2_000);
        assert_eq!(heard[1].quiet.as_millis(), 100);
    }
}

#[test]
fn a_refusal_ends_it_with_its_reason() {
    let busy = PingbackOptions {
        most_waiting: 0,
        ..PingbackOptions::default()
    };
    let none = PingbackOptions {
        most_packets: 0,
        ..PingbackOptions::default()
    };
    let single = PingbackOptions::default();
    for (host_options, from, outcome) in [
        (busy, Source::Same, Outcome::Busy),
        (none, Source::Same, Outcome::NotOffered),
        (single, Source::OtherPort, Outcome::NoOther),
    ] {
        let mut asker = Asker::new(options(from));
        assert_eq!(play(&mut asker, &mut host(host_options), || false), []);
        assert_eq!(asker.state(), State::Ended(Ending::Refused(outcome)));
    }
    let mut asker = Asker::new(options(Source::Same));
    let mut deaf = Host::new(UdpEchoOptions {
        pingback: None,
        ..UdpEchoOptions::default()
    });
    play(&mut asker, &mut deaf, || false);
    assert_eq!(asker.state(), State::Ended(Ending::Refused(Outcome::NotOffered)));
}

#[test]
fn who_is_silent_is_asked_so_often_and_no_more() {
    let mut asker = Asker::new(options(Source::Same));
    let mut asked = 0;
    play(&mut asker, &mut host(PingbackOptions::default()), || {
        asked += 1;
        true
    });
    assert_eq!(asker.state(), State::Ended(Ending::Unanswered));
    assert_eq!(asked, 4);
}

#[test]
fn an_echo_that_knows_nothing_else_is_told_as_one() {
    let mut asker = Asker::new(options(Source::Same));
    let mut room = [0; REQUEST];
    let len = with_env(0, |env| asker.send(env, &mut room)).expect("it asks");
    let rx = arriving(addr("198.51.100.1:7777"), MS, &room[..len]);
    assert_eq!(asker.hear(&rx), Ok(Told::Answer));
    assert_eq!(asker.state(), State::Ended(Ending::PlainEcho));
}

/// An asker that waits for what it was promised, and the first of it.
fn waiting() -> (Asker, Vec<u8>) {
    let mut asker = Asker::new(options(Source::OtherPort));
    for seq in 0..2 {
        let len = with_env(seq * 1_000 * MS, |env| asker.send(env, &mut [0; REQUEST]));
        assert!(len.is_some());
        let mut reply =
            Probe::request(TOKEN, seq as u32, true, false).asking_back(crate::echo::wire::Pingback {
                count: 3,
                other_port: true,
                other_address: false,
                outcome: if seq == 0 {
                    Outcome::Unproven
                } else {
                    Outcome::Granted
                },
                gap: Duration::from_millis(100),
                silence: Duration::from_secs(2),
            });
        reply.flags.reply = true;
        reply.wide.as_mut().expect("asked for").cookie = 7;
        let mut bytes = [0; REQUEST];
        reply.emit(&mut bytes).expect("room");
        let rx = arriving(addr("198.51.100.1:7777"), seq * 1_000 * MS + 1, &bytes);
        assert_eq!(asker.hear(&rx), Ok(Told::Answer));
    }
    assert_eq!(asker.state(), State::Waiting);
    let mut first = Probe::request(TOKEN, 1, false, false);
    first.flags.reply = true;
    first.flags.pingback = true;
    first.received = 1;
    let mut bytes = vec![0; 64];
    first.emit(&mut bytes).expect("room");
    (asker, bytes)
}

#[test]
fn a_datagram_from_the_wrong_end_or_of_another_asker_is_none_of_its_own() {
    let (asker, bytes) = waiting();
    let right = addr("198.51.100.1:9");
    let with = |at: usize, octet: u8| {
        let mut changed = bytes.clone();
        changed[at] = octet;
        changed
    };
    let table = [
        (right, bytes.clone(), None),
        (addr("198.51.100.1:7777"), bytes.clone(), Some(Reason::WrongPath)),
        (addr("198.51.100.2:9"), bytes.clone(), Some(Reason::WrongPath)),
        (right, with(8, 0xff), Some(Reason::Foreign)),
        (right, with(19, 2), Some(Reason::Foreign)),
        // It was sent for a request without a cookie, or has a number that was not asked for.
        (right, with(19, 0), Some(Reason::Malformed)),
        (right, with(23, 0), Some(Reason::Malformed)),
        (right, with(23, 4), Some(Reason::Malformed)),
        (right, with(22, 1), Some(Reason::Malformed)),
    ];
    for (from, bytes, expected) in table {
        let mut asker = waiting().0;
        let told = asker.hear(&arriving(from, 3_000 * MS, &bytes));
        assert_eq!(told.err(), expected, "{from} {bytes:02x?}");
        assert_eq!(asker.came(), usize::from(expected.is_none()));
    }
    drop(asker);
    let (mut twice, bytes) = waiting();
    let rx = arriving(right, 3_000 * MS, &bytes);
    assert!(matches!(twice.hear(&rx), Ok(Told::Pingback(_))));
    assert_eq!(twice.hear(&rx), Err(Reason::Foreign));
    assert_eq!(twice.came(), 1);
}

#[test]
fn with_a_key_only_what_is_signed_counts() {
    let secret = key("sixteen bytes...");
    let mut signing = Host::new(UdpEchoOptions {
        key: Some(secret.clone()),
        pingback: Some(PingbackOptions::default()),
        ..UdpEchoOptions::default()
    });
    let with_key = |key| AskerOptions {
        key: Some(key),
        ..options(Source::Same)
    };
    let mut asker = Asker::new(with_key(secret));
    assert_eq!(play(&mut asker, &mut signing, || false).len(), 3);
    let mut stranger = Asker::new(with_key(key("another secret..")));
    play(&mut stranger, &mut host(PingbackOptions::default()), || false);
    assert_eq!(stranger.state(), State::Ended(Ending::Unanswered));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_is_lost_it_ends_and_counts_each_at_most_once(lost in prop::collection::vec(any::<bool>(), 0..24)) {
        let mut asker = Asker::new(options(Source::Same));
        let mut fates = lost.iter().copied();
        let heard = play(&mut asker, &mut host(PingbackOptions::default()), || fates.next().unwrap_or(false));
        let ended = matches!(asker.state(), State::Ended(_));
        prop_assert!(ended);
        prop_assert!(asker.came() <= 3);
        let mut all: Vec<_> = heard.iter().map(|arrival| (arrival.seq, arrival.number)).collect();
        all.sort_unstable();
        all.dedup();
        prop_assert_eq!(all.len(), heard.len());
        if asker.state() == State::Ended(Ending::Complete) {
            prop_assert_eq!(asker.came(), 3);
        }
    }

    #[test]
    fn any_bytes_are_heard_without_harm(bytes in prop::collection::vec(any::<u8>(), 0..160), from_host in any::<bool>()) {
        let mut asker = waiting().0;
        let mut bytes = bytes;
        // So that not all of them fall at the first hurdle.
        for (at, octet) in waiting().1.iter().enumerate().take(16) {
            if let (Some(place), true) = (bytes.get_mut(at), from_host) {
                *place = *octet;
            }
        }
        let from = if from_host { "198.51.100.1:7777" } else { "203.0.113.9:5" };
        let _ = asker.hear(&arriving(addr(from), 3_000 * MS, &bytes));
        prop_assert!(asker.arrivals().len() <= 3);
    }
}
