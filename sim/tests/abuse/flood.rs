//! A client that is known, and a flood in the names of others or in his own.

use crate::bench::{Asker, Bench, START, addr, path};
use crate::forgery::{Forger, host};
use crate::table::{Dialect, TABLE, all_ports};
use halloo_base::{Reason, Rng};
use halloo_protocols::echo;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

const SEED: u64 = 0x5eed_ab05_e000_2000;
const CLIENT: &str = "203.0.113.5:45000";
/// A quarter more than is answered.
const PER_SECOND: u32 = 250_000;
const SECONDS: u32 = 5;
/// The client asks once in so many datagrams: 100 times in a second.
const EVERY: u32 = PER_SECOND / 100;

fn echo_dialect() -> &'static Dialect {
    let is_echo = |dialect: &&Dialect| std::ptr::eq(dialect.protocol, &echo::UDP);
    TABLE.iter().find(is_echo).expect("the echo is in the table")
}

/// Floods a server for five seconds while one client asks whose address it knows. Returns how many of how many questions
/// were answered, and the server.
fn flood(mut forge: impl FnMut(&mut Forger) -> (SocketAddr, Vec<u8>)) -> (u64, u64, Bench) {
    let dialect = echo_dialect();
    let mut bench = Bench::new(dialect, &all_ports(true));
    let mut forger = Forger::new(dialect, SEED);
    let local = SocketAddr::new(host(), 7777);
    let mut client = Asker::new(&echo::UDP, 0xc11e_4700, 112, path(local, addr(CLIENT)));
    client
        .exchange(&mut bench, START, 0)
        .expect("the first is answered");
    let (mut now, mut asked) = (START, 0);
    let mut forged = |bench: &mut Bench, now| {
        let (remote, payload) = forge(&mut forger);
        bench.hand(now, path(local, remote), &payload, |_, _| {});
    };
    // The bucket of all is empty when it begins.
    for _ in 0..PER_SECOND {
        forged(&mut bench, now);
    }
    for nth in 0..PER_SECOND * SECONDS {
        now += Duration::from_secs(1) / PER_SECOND;
        forged(&mut bench, now);
        if nth % EVERY == 0 {
            asked += 1;
            client.exchange(&mut bench, now, asked);
        }
    }
    (client.heard - 1, asked, bench)
}

fn anybody(rng: &mut Rng) -> SocketAddr {
    let ip = Ipv4Addr::from_bits(0x2000_0000 | rng.next_u64() as u32 >> 2);
    (ip, 1_024 + rng.below(60_000) as u16).into()
}

#[test]
fn a_known_client_is_answered_while_strangers_flood() {
    let (heard, asked, bench) = flood(|forger| {
        let remote = anybody(&mut forger.rng);
        (remote, b"0123456789abcdef".to_vec())
    });
    assert_eq!(asked, u64::from(100 * SECONDS));
    assert!((asked - heard) * 100 < asked, "{heard} of {asked}");
    assert!(
        bench.counters.snapshot().replied > 900_000,
        "the flood was answered, as far as it may be"
    );
}

#[test]
fn a_known_client_is_answered_while_others_flood_in_his_name() {
    let client = addr(CLIENT);
    let (heard, asked, bench) = flood(|forger| {
        let own_port = forger.rng.chance(0.5);
        let remote = if own_port {
            client
        } else {
            (client.ip(), anybody(&mut forger.rng).port()).into()
        };
        (remote, forger.altered().to_vec())
    });
    assert!((asked - heard) * 100 < asked, "{heard} of {asked}");
    let refused = bench.count(Reason::RateLimited);
    assert!(refused > 500_000, "{refused} were refused");
}
