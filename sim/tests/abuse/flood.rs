//! A client that is known, and a flood in the names of others or in his own.

use crate::bench::{Asker, Bench, START, addr, path};
use crate::forgery::{Forger, host};
use crate::table::{Dialect, TABLE, all_ports};
use halloo_base::{Reason, Rng};
use halloo_protocols::{echo, ntp};
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

/// What an NTP server sends in five seconds to requests of 48 bytes, 50,000 a second, beside what anybody is answered: how
/// many kisses, and the server.
fn kisses(mut remote: impl FnMut(u32) -> SocketAddr) -> (u64, Bench) {
    let is_ntp = |dialect: &&Dialect| std::ptr::eq(dialect.protocol, &ntp::NTP);
    let dialect = TABLE.iter().find(is_ntp).expect("NTP is in the table");
    let mut bench = Bench::new(dialect, &all_ports(true));
    let local = SocketAddr::new(host(), 123);
    let mut asker = Asker::new(&ntp::NTP, 7, 48, path(local, addr(CLIENT)));
    let request = asker.request(START, 0);
    let (mut now, mut kisses) = (START, 0);
    for nth in 0..50_000 * SECONDS {
        now += Duration::from_secs(1) / 50_000;
        let from = path(local, remote(nth));
        bench.hand(now, from, &request, |to, bytes| {
            assert_eq!((to, bytes.len()), (from, 48));
            kisses += u64::from(bytes[1] == 0 && bytes[12..16] == *b"RATE");
        });
    }
    assert_eq!(kisses, bench.counters.snapshot().warned);
    (kisses, bench)
}

#[test]
fn a_forger_gets_his_victim_a_kiss_a_second() {
    let (kisses, bench) = kisses(|_| addr(CLIENT));
    assert!((1..=u64::from(SECONDS) + 1).contains(&kisses), "{kisses}");
    let counted = bench.counters.snapshot();
    let refused = bench.count(Reason::RateLimited);
    assert_eq!(counted.replied + refused, counted.received);
    assert!(counted.replied_bytes + counted.warned_bytes <= counted.received_bytes);
}

#[test]
fn each_of_several_victims_gets_a_kiss_a_second() {
    // So few that each is above its share.
    let (kisses, _) = kisses(|nth| {
        let ip = Ipv4Addr::from_bits(0x2000_0000 + nth % 5);
        (ip, 40_000 + (nth / 5 % 9) as u16).into()
    });
    assert!((5..=5 * (u64::from(SECONDS) + 1)).contains(&kisses), "{kisses}");
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
