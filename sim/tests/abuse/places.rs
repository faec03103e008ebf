//! A STUN server that answers from other addresses of its own, and who asks it in the names of others (RFC 5780).

use crate::bench::{Bench, START, addr, hex};
use crate::forged::is_refused;
use crate::forgery::{Forger, HOST, VICTIM};
use crate::table::{Dialect, TABLE, all_ports};
use halloo_base::Rng;
use halloo_protocols::stun::wire::{Change, Class, Transaction, Writer, attribute};
use halloo_protocols::stun::{Places, STUN, StunServer, StunServerOptions};
use std::net::SocketAddr;
use std::time::Duration;

const SEED: u64 = 0x5eed_ab05_e000_2000;
const SENT: u32 = 300_000;
/// 200,000 in a second.
const INTERVAL: Duration = Duration::from_micros(5);
/// What RFC 5780 section 6.1 adds to an answer: three addresses beside the one, 12 bytes each.
const MORE: usize = 48;

fn places() -> Places {
    let other = SocketAddr::new(addr("192.0.2.2:0").ip(), 3479);
    Places::new(addr(&format!("{HOST}:3478")), other).expect("two of both")
}

fn dialect() -> &'static Dialect {
    let mut all = TABLE.iter();
    all.find(|dialect| std::ptr::eq(dialect.protocol, &STUN))
        .expect("STUN is in the table")
}

/// A request for an answer from anywhere, at times altered in one byte.
fn request(rng: &mut Rng) -> Vec<u8> {
    let mut bytes = vec![0; 256];
    let transaction = Transaction(*b"\x21\x12\xa4\x42abcdefghijkl");
    let mut writer = Writer::new(&mut bytes, Class::Request, transaction, rng.chance(0.5)).expect("room");
    let change = Change {
        ip: rng.chance(0.5),
        port: rng.chance(0.5),
    };
    writer.change(change).expect("room");
    if rng.chance(0.3) {
        let len = rng.below(100) as usize;
        writer.attribute(attribute::PADDING, len, |_| ()).expect("room");
    }
    let len = writer.finish();
    bytes.truncate(len);
    if rng.chance(0.3) {
        let at = rng.below(len as u64) as usize;
        bytes[at] ^= 1 << rng.below(8);
    }
    bytes
}

#[test]
fn an_answer_from_elsewhere_hurts_nobody_more_than_one_from_here() {
    let mut own_ports = all_ports(true);
    own_ports.extend(places().all().map(|place| place.port()));
    let server = StunServer::new(StunServerOptions {
        places: vec![places()],
    });
    let dialect = dialect();
    let mut bench = Bench::around(Box::new(server), dialect.options(&own_ports, STUN.reply_limit));
    let mut forger = Forger::new(dialect, SEED);
    let mut rng = Rng::new(SEED);
    let (mut from_elsewhere, mut to_victim) = (0, 0);
    for nth in 0..SENT {
        let payload = request(&mut rng);
        let mut path = forger.path(3478 + rng.below(2) as u16);
        if rng.chance(0.5) {
            path.local = places().all()[rng.below(4) as usize];
        }
        if rng.chance(0.05) {
            path.remote = places().all()[rng.below(4) as usize];
        }
        let mut answers = 0;
        bench.hand(START + INTERVAL * nth, path, &payload, |to, answer| {
            let what = || format!("datagram {nth}, {path}, by {to}: {}", hex(&payload));
            answers += 1;
            assert_eq!(answers, 1, "{}", what());
            assert_eq!(to.remote, path.remote, "{}", what());
            assert!(!is_refused(dialect, &own_ports, path), "{}", what());
            assert!(!is_refused(dialect, &own_ports, to), "{}", what());
            assert!(answer.len() <= payload.len() + MORE, "{}", what());
            assert!(!(dialect.marks.is_answer)(&payload), "{}", what());
            if to.local != path.local {
                assert!(places().all().contains(&to.local), "{}", what());
                from_elsewhere += 1;
            }
            to_victim += u32::from(path.remote.ip() == VICTIM);
        });
    }
    let lasted = (INTERVAL * SENT).as_secs_f64();
    let most = |burst: f64, per_second: f64| (burst + per_second * lasted) as u32 + 1;
    // A twentieth of what those get whose answers are no longer than their requests.
    assert!(to_victim <= most(500.0, 100.0), "{to_victim}");
    assert!(
        to_victim > 100 && from_elsewhere > 1_000,
        "{to_victim}, {from_elsewhere}"
    );
    assert_eq!(bench.count(halloo_base::Reason::ReplyTooLong), 0);
}
