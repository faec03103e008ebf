//! The examples of `docs/wire/probe.md` are what this code reads, writes and answers.

use super::*;
use crate::echo::wire::{Flags, FollowUp, Wide};
use std::net::Ipv4Addr;
use std::num::NonZeroU8;

const DOCUMENT: &str = include_str!("../../../../docs/wire/probe.md");
const SESSION: u64 = 0x0123_4567_89ab_cdef;
const KEY: &str = "halloo probe key";

/// The octets of the block that is marked with this name.
fn example(name: &str) -> Vec<u8> {
    let mark = format!("```hex {name}\n");
    let (_, rest) = DOCUMENT
        .split_once(&mark)
        .expect("the example is in the document");
    let (block, _) = rest.split_once("```").expect("the block ends");
    let octet = |text| u8::from_str_radix(text, 16).expect("two hex digits");
    block.split_whitespace().map(octet).collect()
}

fn asked(seq: u32, wide: bool, authenticated: bool) -> Probe {
    Probe {
        t1: Wall(EPOCH_START),
        ..Probe::request(SESSION, seq, wide, authenticated)
    }
}

fn reply_1() -> Probe {
    Probe {
        flags: Flags {
            reply: true,
            kernel_stamp: true,
            ..Flags::default()
        },
        received: 2,
        t2: Wall(EPOCH_START + 250_000),
        residence: Some(9_000),
        follow_up: NonZeroU8::new(2).map(|distance| FollowUp {
            distance,
            residence: 11_000,
        }),
        window: 0b101,
        window_len: 3,
        ttl: NonZeroU8::new(63),
        tos: 0xb8,
        port: 40_000,
        min_interval: 100,
        ipv4: Ipv4Addr::new(192, 0, 2, 33),
        ..asked(7, false, false)
    }
}

fn reply_2() -> Probe {
    Probe {
        flags: Flags {
            reply: true,
            authenticated: true,
            ..Flags::default()
        },
        received: 1,
        t2: Wall(EPOCH_START + 250_000),
        residence: Some(9_000),
        window: 1,
        window_len: 1,
        port: 40_000,
        wide: Some(Wide {
            cookie: 0xf3c4_1512_7221_4bc3,
            window: 0,
            addr: "2001:db8::21".parse().expect("an address"),
            t3: Wall(EPOCH_START + 259_000),
            server_id: 42,
            clock_error: 0,
        }),
        ..asked(u32::MAX, true, true)
    }
}

#[test]
fn every_example_is_read_and_written_as_documented() {
    let table = [
        ("request-1", asked(7, false, false)),
        ("reply-1", reply_1()),
        ("request-2", asked(u32::MAX, true, true)),
        ("reply-2", reply_2()),
    ];
    for (name, probe) in table {
        let bytes = example(name);
        assert_eq!(Probe::parse(&bytes), Ok(probe), "{name}");
        let mut written = vec![0xaa; bytes.len()];
        let padding = usize::from(probe.length);
        written[padding..].copy_from_slice(&bytes[padding..]);
        probe.emit(&mut written).expect("the example has room");
        if probe.flags.authenticated {
            assert!(key(KEY).verify(&bytes, probe.length), "{name}");
            assert!(key(KEY).sign(&mut written, probe.length));
        }
        assert_eq!(written, bytes, "{name}");
    }
}

#[test]
fn the_responder_answers_the_first_example_as_documented() {
    let mut host = Host::new(UdpEchoOptions {
        min_interval: std::time::Duration::from_millis(10),
        ..Default::default()
    });
    let mut five = vec![0; 64];
    asked(5, false, false).emit(&mut five).expect("room");
    let earlier = host.hear(&datagram(HOME, 100_000, &five));
    let tag = earlier.tag().expect("its departure is of use");
    host.echo.departed(tag, stamp(111_000, StampSource::Kernel));
    let answer = host.hear(&datagram(HOME, 250_000, &example("request-1")));
    assert_eq!(answer.bytes, example("reply-1"));
}

#[test]
fn the_responder_answers_the_second_example_as_documented() {
    let mut host = Host::new(UdpEchoOptions {
        key: Some(key(KEY)),
        server_id: 42,
        ..UdpEchoOptions::default()
    });
    let request = example("request-2");
    let mut rx = datagram("[2001:db8::21]:40000", 250_000, &request);
    rx.at.source = StampSource::User;
    rx.marks = Marks { tos: 0, ttl: None };
    let answer = host.hear(&rx);
    assert_eq!(answer.bytes, example("reply-2"));
    assert_eq!(
        answer.verdict,
        Verdict::Reply(136),
        "the departure of an unstamped arrival is of no use"
    );
}
