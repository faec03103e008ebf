//! Datagrams that an echo host promises to send later (pingback): to nobody but who has shown that he receives them.

use crate::bench::{Asker, Bench, START, addr, hex, path};
use crate::forgery::{ATTACKER, Forger, host};
use crate::table::{TABLE, all_ports, echo_options};
use halloo_base::{Mono, Path};
use halloo_protocols::echo::pingback::Outcome;
use halloo_protocols::echo::wire::{Pingback, Probe};
use halloo_protocols::echo::{self, Key, UdpEcho, UdpEchoOptions};
use std::net::SocketAddr;
use std::time::Duration;

const SEED: u64 = 0x5eed_ab05_e000_3000;
const FORGED: u32 = 10_000;
/// As many as it has numbers for, at once.
const ASK: Pingback = Pingback {
    count: u16::MAX,
    other_port: false,
    other_address: false,
    outcome: Outcome::Granted,
    gap: Duration::ZERO,
    silence: Duration::ZERO,
};

/// A host, and a request for promises with the cookie of [`ATTACKER`], signed where the host has a key.
fn host_and_request(key: Option<&Key>) -> (Bench, Vec<u8>) {
    let options = UdpEchoOptions {
        key: key.cloned(),
        ..echo_options()
    };
    let echo = Box::new(UdpEcho::new(options, [7; 32]));
    let mut bench = Bench::around(echo, TABLE[0].options(&all_ports(true), echo::UDP.reply_limit));
    let size = if key.is_some() { 128 } else { 112 };
    let mut asker = Asker::with_key(&echo::UDP, 0xc0_0c1e, size, own_path(), key);
    let (_, answer) = asker.exchange(&mut bench, START, 0).expect("it is answered");
    let wide = Probe::parse(&answer).expect("a probe").wide;
    let mut probe = Probe::request(9, 1, true, key.is_some()).asking_back(ASK);
    probe.wide = wide;
    let mut request = vec![0; usize::from(probe.length)];
    probe.emit(&mut request).expect("it has room");
    if let Some(key) = key {
        assert!(key.sign(&mut request, probe.length));
    }
    (bench, request)
}

fn own_path() -> Path {
    path(SocketAddr::new(host(), 7777), addr(ATTACKER))
}

/// What is sent later, in all.
fn sent_later(bench: &mut Bench, asked: Mono) -> Vec<(Path, usize)> {
    let mut sent = vec![];
    for second in 0..60 {
        let now = asked + Duration::from_secs(second);
        bench.wake(now, |path, bytes| sent.push((path, bytes.len())));
    }
    sent
}

#[test]
fn a_promise_is_made_to_none_but_who_receives_at_his_address() {
    let key = Key::new(b"a secret of two hosts").expect("it is long enough");
    for key in [None, Some(&key)] {
        let (mut bench, request) = host_and_request(key);
        let mut forger = Forger::new(&TABLE[0], SEED);
        let mut neighbour = own_path();
        neighbour.remote.set_port(40_001);
        for nth in 0..FORGED {
            // First somebody behind the same address.
            let path = if nth == 0 { neighbour } else { forger.path(7777) };
            bench.hand(START, path, &request, |_, _| {});
            let sent = sent_later(&mut bench, START);
            assert_eq!(
                sent,
                [],
                "seed {SEED:#x}, datagram {nth}, {path}: {}",
                hex(&request)
            );
        }
        bench.hand(START, own_path(), &request, |_, _| {});
        let sent = sent_later(&mut bench, START);
        assert_eq!(sent.len(), 16);
        assert!(sent.iter().all(|&(path, len)| path == own_path() && len <= 80));
    }
}
