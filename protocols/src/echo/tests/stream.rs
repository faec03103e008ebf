//! Echo over a connection that splits and merges as it likes.

use super::*;
use crate::ProberOptions;
use crate::echo::{TcpEcho, TcpProber};
use halloo_base::{Heard, Next, ProbeId, Progress, StreamProber, StreamResponder};
use proptest::prelude::*;

fn prober(size: usize) -> TcpProber {
    TcpProber::new(&ProberOptions {
        token: 0xfeed,
        size,
        ..ProberOptions::default()
    })
}

/// The requests `0..count`, echoed.
fn echoed(prober: &mut TcpProber, count: u64) -> Vec<u8> {
    with_env(5, |env| {
        let (mut sent, mut back) = (Vec::new(), Vec::new());
        for id in 0..count {
            prober.request(env, ProbeId(id), &mut sent);
        }
        let at = env.clock.stamp();
        assert_eq!(
            TcpEcho.respond(env, at, &sent, &mut back),
            (sent.len(), Next::Continue)
        );
        back
    })
}

/// All answers in `bytes`, handed over in pieces of these lengths (the last repeated).
fn hear_in_pieces(prober: &mut TcpProber, mut bytes: &[u8], pieces: &[usize]) -> Vec<Heard> {
    let mut heard = Vec::new();
    let mut lengths = pieces
        .iter()
        .copied()
        .chain(std::iter::repeat(pieces.last().copied().unwrap_or(1)));
    while !bytes.is_empty() {
        let len = lengths.next().unwrap_or(1).clamp(1, bytes.len());
        let (mut piece, rest) = bytes.split_at(len);
        bytes = rest;
        while !piece.is_empty() {
            match prober.receive(piece) {
                Progress::Partial(used) => {
                    assert_eq!(used, piece.len(), "what is incomplete is kept");
                    piece = &[];
                }
                Progress::Heard(used, answer) => {
                    assert!((1..=piece.len()).contains(&used));
                    heard.push(answer);
                    piece = &piece[used..];
                }
                what => panic!("{what:?}"),
            }
        }
    }
    heard
}

fn bits(size: usize) -> u32 {
    size.min(8) as u32 * 8 - 1
}

#[test]
fn the_echo_sends_every_byte_behind_what_already_waits() {
    with_env(5, |env| {
        let at = env.clock.stamp();
        let mut tx = b"waiting ".to_vec();
        assert_eq!(TcpEcho.respond(env, at, b"bytes", &mut tx), (5, Next::Continue));
        assert_eq!(TcpEcho.respond(env, at, b"", &mut tx), (0, Next::Continue));
        assert_eq!(tx, b"waiting bytes");
    });
}

#[test]
fn requests_have_their_size_and_follow_each_other() {
    for size in [1, 2, 7, 8, 9, 64, 70_000] {
        let mut prober = prober(size);
        let mut tx = b"before".to_vec();
        with_env(5, |env| prober.request(env, ProbeId(0), &mut tx));
        assert_eq!(tx.len(), 6 + size);
        assert!(tx.starts_with(b"before"));
    }
    let mut none = prober(0);
    assert_eq!(
        echoed(&mut none, 1).len(),
        1,
        "a stream cannot carry an empty request"
    );
}

#[test]
fn answers_are_found_whether_merged_or_byte_by_byte() {
    for size in [1, 3, 8, 9, 64, 1_000] {
        let mut prober = prober(size);
        let bytes = echoed(&mut prober, 20);
        let expected: Vec<_> = (0..20).map(|id| Heard::plain(id, bits(size))).collect();
        for piece in [1, 2, size, size + 1, 5 * size, bytes.len()] {
            assert_eq!(
                hear_in_pieces(&mut prober, &bytes, &[piece]),
                expected,
                "{size} by {piece}"
            );
        }
    }
}

#[test]
fn nothing_received_is_nothing_heard() {
    assert_eq!(prober(64).receive(b""), Progress::Partial(0));
}

#[test]
fn a_changed_byte_anywhere_ends_the_connection() {
    for at in 8..64 {
        let mut prober = prober(64);
        let mut bytes = echoed(&mut prober, 1);
        bytes[at] ^= 4;
        assert!(
            matches!(prober.receive(&bytes), Progress::Foreign(_)),
            "whole, octet {at}"
        );
        assert_eq!(prober.receive(&bytes[..63]), Progress::Partial(63));
        assert!(
            matches!(prober.receive(&bytes[63..]), Progress::Foreign(_)),
            "split, octet {at}"
        );
    }
    let mut one = prober(1);
    assert!(
        matches!(one.receive(&[0x80]), Progress::Foreign(_)),
        "never sent: its highest bit is set"
    );
}

#[test]
fn a_lost_byte_is_noticed() {
    let mut prober = prober(64);
    let mut bytes = echoed(&mut prober, 2);
    bytes.remove(30);
    assert!(matches!(prober.receive(&bytes), Progress::Foreign(_)));
}

#[test]
fn a_new_connection_begins_without_the_rest_of_the_old() {
    let mut prober = prober(64);
    let bytes = echoed(&mut prober, 2);
    assert_eq!(
        prober.receive(&bytes[..70]),
        Progress::Heard(64, Heard::plain(0, 63))
    );
    assert_eq!(prober.receive(&bytes[64..70]), Progress::Partial(6));
    prober.reset();
    assert_eq!(hear_in_pieces(&mut prober, &bytes, &[128]).len(), 2);
}

proptest! {
    #[test]
    fn any_splits_give_the_same_answers(
        size in 1..40_usize, count in 1..30_u64, pieces in proptest::collection::vec(1..100_usize, 1..30)
    ) {
        let mut prober = prober(size);
        let bytes = echoed(&mut prober, count);
        let expected: Vec<_> = (0..count).map(|id| Heard::plain(id, bits(size))).collect();
        prop_assert_eq!(hear_in_pieces(&mut prober, &bytes, &pieces), expected);
    }
}
