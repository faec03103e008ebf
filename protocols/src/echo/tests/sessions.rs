//! What a host remembers: counts, windows, departures, and whom it forgets.

use super::*;
use proptest::prelude::*;

/// Received count, visible window and its length.
type Count = (u32, u128, u8);

/// What the host tells after each of these requests.
fn counts(seqs: &[u32]) -> Vec<Count> {
    let mut host = Host::open();
    let told = |&seq: &u32| {
        let reply = host
            .hear(&datagram(HOME, 1_000, &request(TOKEN, seq, 112)))
            .probe();
        let older = reply.wide.map_or(0, |wide| wide.window);
        (
            reply.received,
            u128::from(reply.window) | u128::from(older) << 32,
            reply.window_len,
        )
    };
    seqs.iter().map(told).collect()
}

#[test]
fn received_and_window_tell_loss_repetition_and_reordering() {
    let table: [(&str, &[u32], &[Count]); 5] = [
        (
            "in order",
            &[0, 1, 2],
            &[(1, 0b1, 1), (2, 0b11, 2), (3, 0b111, 3)],
        ),
        (
            "lost",
            &[0, 3, 4],
            &[(1, 0b1, 1), (2, 0b1001, 4), (3, 0b10011, 5)],
        ),
        (
            "repeated",
            &[0, 1, 1, 0, 2],
            &[(1, 1, 1), (2, 0b11, 2), (2, 0b11, 2), (2, 1, 1), (3, 0b111, 3)],
        ),
        (
            "reordered",
            &[0, 2, 1, 3],
            &[(1, 1, 1), (2, 0b101, 3), (3, 0b11, 2), (4, 0b1111, 4)],
        ),
        (
            "before the beginning",
            &[9, 8, 10],
            &[(1, 1, 1), (2, 1, 1), (3, 0b11, 2)],
        ),
    ];
    for (story, seqs, expected) in table {
        assert_eq!(counts(seqs), expected, "{story}");
    }
}

#[test]
fn numbers_wrap_without_a_gap() {
    let told = counts(&[u32::MAX - 1, 0, u32::MAX, 1]);
    assert_eq!(told, [(1, 1, 1), (2, 0b101, 3), (3, 0b11, 2), (4, 0b1111, 4)]);
}

#[test]
fn the_window_ends_after_96_requests() {
    let told = counts(&[100, 195, 100, 99, 196, 100, 100]);
    let far = 1 << 95 | 1;
    assert_eq!(told[1], (2, far, 96), "the oldest that the window shows");
    assert_eq!(told[2], (2, 1, 1), "still known as repeated");
    assert_eq!(told[3], (3, 1, 1), "outside: cannot be told from a late one");
    assert_eq!(told[4], (4, 0b11, 96), "100 has left the window");
    assert_eq!(told[5..], [(5, 1, 1), (6, 1, 1)], "however often");
    for silence in [128, 129, 1 << 30] {
        assert_eq!(
            counts(&[0, 1, 1 + silence])[2],
            (3, 1, 96),
            "a silence of {silence}"
        );
    }
}

#[test]
fn a_base_reply_shows_32_bits_of_the_same_window() {
    let mut host = Host::open();
    for seq in 0..50 {
        let reply = host.hear(&datagram(HOME, 5, &request(TOKEN, seq, 64))).probe();
        assert_eq!(u32::from(reply.window_len), (seq + 1).min(32));
        assert_eq!(reply.window, u32::MAX >> (32 - (seq + 1).min(32)));
    }
}

#[test]
fn sessions_are_told_apart_by_token_and_survive_a_new_address() {
    let mut host = Host::open();
    let received = |host: &mut Host, from, token, seq| {
        host.hear(&datagram(from, 5, &request(token, seq, 64)))
            .probe()
            .received
    };
    assert_eq!(received(&mut host, HOME, 1, 0), 1);
    assert_eq!(received(&mut host, HOME, 2, 0), 1);
    assert_eq!(received(&mut host, "203.0.113.7:1025", 1, 1), 2);
    assert_eq!(received(&mut host, HOME, 2, 1), 2);
}

#[test]
fn a_full_table_forgets_the_least_recently_used_session_only() {
    let mut host = Host::new(UdpEchoOptions {
        sessions: 8,
        ..UdpEchoOptions::default()
    });
    let mut received = |token, seq| {
        host.hear(&datagram(HOME, 5, &request(token, seq, 64)))
            .probe()
            .received
    };
    for token in 0..8 {
        assert_eq!(received(token, 0), 1);
    }
    assert_eq!(received(0, 1), 2, "used again, so 1 is now the oldest");
    assert_eq!(received(99, 0), 1);
    assert_eq!(received(0, 2), 3);
    assert_eq!(received(2, 1), 2);
    assert_eq!(received(1, 1), 1, "forgotten: it begins again");
}

#[test]
fn a_forgotten_session_claims_no_loss() {
    let mut host = Host::new(UdpEchoOptions {
        sessions: 1,
        ..UdpEchoOptions::default()
    });
    for seq in 0..10 {
        host.hear(&datagram(HOME, 5, &request(TOKEN, seq, 64)));
    }
    for token in 0..8 {
        host.hear(&datagram(HOME, 5, &request(token, 0, 64)));
    }
    let reply = host.hear(&datagram(HOME, 5, &request(TOKEN, 10, 64))).probe();
    assert_eq!((reply.received, reply.window, reply.window_len), (1, 1, 1));
}

#[test]
fn the_next_reply_carries_the_exact_residence_of_the_last() {
    let mut host = Host::open();
    let first = host.hear(&datagram(HOME, 1_000, &request(TOKEN, 7, 64)));
    assert_eq!(first.probe().follow_up, None);
    host.echo
        .departed(first.tag().expect("asked"), stamp(13_500, StampSource::Kernel));
    let second = host.hear(&datagram(HOME, 50_000, &request(TOKEN, 9, 64)));
    let told = second
        .probe()
        .follow_up
        .map(|told| (told.distance.get(), told.residence));
    assert_eq!(told, Some((2, 12_500)));
    let late = host.hear(&datagram(HOME, 60_000, &request(TOKEN, 7, 64)));
    assert_eq!(
        late.probe().follow_up,
        None,
        "a reply never refers to itself or to what came later"
    );
    let far = host.hear(&datagram(HOME, 70_000, &request(TOKEN, 7 + 256, 64)));
    assert_eq!(far.probe().follow_up, None, "the distance has eight bits");
}

#[test]
fn one_departure_is_awaited_at_a_time_and_given_up_in_the_end() {
    let mut host = Host::open();
    let stamped: Vec<u32> = (0..200)
        .filter(|&seq| {
            host.hear(&datagram(HOME, 1_000, &request(TOKEN, seq, 64)))
                .tag()
                .is_some()
        })
        .collect();
    assert_eq!(stamped, [0, 65, 130, 195]);
}

#[test]
fn a_departure_counts_only_for_the_answer_it_was_asked_for() {
    let mut host = Host::new(UdpEchoOptions {
        sessions: 8,
        ..UdpEchoOptions::default()
    });
    let mut follow_up_after = |tag: fn(TxTag) -> TxTag, at: Stamp, evict: bool| {
        let first = host.hear(&datagram(HOME, 1_000, &request(TOKEN, 0, 64)));
        for token in (0..8).filter(|_| evict) {
            host.hear(&datagram(HOME, 1_000, &request(token, 0, 64)));
        }
        host.echo.departed(tag(first.tag().expect("asked")), at);
        let told = host
            .hear(&datagram(HOME, 1_000, &request(TOKEN, 1, 64)))
            .probe()
            .follow_up;
        for token in 100..108 {
            host.hear(&datagram(HOME, 1_000, &request(token, 0, 64)));
        }
        told.map(|told| told.residence)
    };
    let kernel = |mono| stamp(mono, StampSource::Kernel);
    assert_eq!(follow_up_after(|tag| tag, kernel(3_000), false), Some(2_000));
    assert_eq!(
        follow_up_after(|tag| tag, kernel(3_000), true),
        None,
        "the slot has another tenant"
    );
    assert_eq!(
        follow_up_after(|tag| TxTag(tag.0 ^ 1), kernel(3_000), false),
        None
    );
    assert_eq!(follow_up_after(|_| TxTag(u64::MAX), kernel(3_000), false), None);
    assert_eq!(
        follow_up_after(|tag| tag, kernel(900), false),
        None,
        "a clock step made it negative"
    );
    assert_eq!(
        follow_up_after(|tag| tag, kernel(6 * SECOND), false),
        None,
        "too long to tell"
    );
    assert_eq!(
        follow_up_after(|tag| tag, stamp(3_000, StampSource::User), false),
        None,
        "not exact"
    );
    assert_eq!(
        follow_up_after(|tag| tag, kernel(3_000), false),
        Some(2_000),
        "and all is well again"
    );
}

#[test]
fn a_late_departure_does_not_count_for_whoever_awaits_one_now() {
    let kernel = stamp(3_000, StampSource::Kernel);
    let mut host = Host::new(UdpEchoOptions {
        sessions: 8,
        ..UdpEchoOptions::default()
    });
    let hear = |host: &mut Host, token, seq| host.hear(&datagram(HOME, 1_000, &request(token, seq, 64)));
    let evicted = hear(&mut host, TOKEN, 0).tag().expect("asked");
    for token in 0..8 {
        hear(&mut host, token, 0);
    }
    host.echo.departed(evicted, kernel);
    for token in 0..8 {
        assert_eq!(
            hear(&mut host, token, 1).probe().follow_up,
            None,
            "session {token} took the slot"
        );
    }

    let given_up = hear(&mut host, TOKEN, 0).tag().expect("asked");
    hear(&mut host, TOKEN, 100).tag().expect("asked again");
    host.echo.departed(given_up, kernel);
    assert_eq!(hear(&mut host, TOKEN, 101).probe().follow_up, None);
}

#[test]
fn a_repeated_request_is_answered_but_asks_for_no_departure() {
    let mut host = Host::open();
    let asked = request(TOKEN, 3, 64);
    let first = host.hear(&datagram(HOME, 5, &asked));
    host.echo
        .departed(first.tag().expect("asked"), stamp(9, StampSource::Kernel));
    assert_eq!(host.hear(&datagram(HOME, 15, &asked)).verdict, Verdict::Reply(64));
}

proptest! {
    #[test]
    fn any_order_of_requests_is_counted_as_a_set_would(
        steps in proptest::collection::vec(-20_i32..40, 1..200), start: u32
    ) {
        let mut host = Host::open();
        let mut seq = start;
        let mut seen = std::collections::BTreeSet::new();
        for step in steps {
            seq = seq.wrapping_add_signed(step);
            // The newest stays within the window of all that is asked again: steps back are short.
            seen.insert(seq);
            let reply = host.hear(&datagram(HOME, 5, &request(TOKEN, seq, 112))).probe();
            let window = u128::from(reply.window) | u128::from(reply.wide.expect("wide").window) << 32;
            for back in 0..u32::from(reply.window_len) {
                let shown = window >> back & 1 == 1;
                prop_assert_eq!(shown, seen.contains(&seq.wrapping_sub(back)), "{} before {}", back, seq);
            }
        }
    }
}
