//! Stories of an echo host.

use super::*;
use crate::echo::wire::{MAGIC, Wide};
use halloo_base::{ClockQuality, Leap, Nanos, Reason, Rng};
use proptest::prelude::*;

fn signed(secret: &str, seq: u32, len: usize) -> Vec<u8> {
    let probe = Probe::request(TOKEN, seq, len >= 128, true);
    let mut bytes = vec![0x5c; len];
    probe.emit(&mut bytes).expect("room");
    assert!(key(secret).sign(&mut bytes, probe.length));
    bytes
}

#[test]
fn what_is_no_probe_comes_back_byte_for_byte() {
    let mut host = Host::open();
    let short_magic = [&MAGIC[..], &[1, 0]].concat();
    let other_version = [&MAGIC[..], &[2, 0], &[0; 100]].concat();
    let large = vec![0x41; 65_507];
    for payload in [
        &b""[..],
        b"a",
        b"hello, echo",
        &short_magic,
        &other_version,
        &large,
    ] {
        let answer = host.hear(&datagram(HOME, 5, payload));
        assert_eq!(answer.verdict, Verdict::Reply(payload.len()));
        assert_eq!(answer.bytes, payload);
        assert_eq!(answer.trust, Trust::Stranger);
    }
}

#[test]
fn a_reply_is_never_answered_in_any_version_or_length() {
    let mut host = Host::open();
    let first = host.hear(&datagram(HOME, 5, &request(TOKEN, 1, 64))).bytes;
    let future = [&MAGIC[..], &[9, 0x80]].concat();
    for payload in [&first[..], &first[..6], &future] {
        assert_eq!(
            host.hear(&datagram(HOME, 5, payload)).verdict,
            Verdict::Silent(Reason::Loop)
        );
    }
}

#[test]
fn a_probe_is_answered_in_place_with_its_padding() {
    let mut host = Host::open();
    for len in [64, 65, 111, 112, 500] {
        let asked = request(TOKEN, 9, len);
        let answer = host.hear(&datagram(HOME, 250_000, &asked));
        let reply = answer.probe();
        let section = usize::from(reply.length);
        assert_eq!(answer.bytes.len(), len);
        assert_eq!(answer.bytes[section..], asked[section..], "padding");
        assert!(reply.flags.reply && reply.flags.kernel_stamp);
        assert_eq!((reply.token, reply.seq, reply.t1), (TOKEN, 9, Wall(77)));
        assert_eq!(
            (reply.t2, reply.residence),
            (Wall(EPOCH_START + 250_000), Some(9_000))
        );
        assert_eq!(
            (reply.ttl.map(u8::from), reply.tos, reply.port),
            (Some(63), 0xb8, 40_000)
        );
        assert_eq!(reply.ipv4.octets(), [192, 0, 2, 33]);
        let wide = reply.wide.map(|wide| (wide.addr.to_string(), wide.t3));
        let expected = ("::ffff:192.0.2.33".to_string(), Wall(EPOCH_START + 259_000));
        assert_eq!(wide, (len >= 112).then_some(expected));
    }
}

#[test]
fn a_dual_stack_socket_shows_an_ipv4_sender_as_ipv4() {
    let answer = Host::open().hear(&datagram("[::ffff:192.0.2.33]:40000", 5, &request(TOKEN, 1, 112)));
    assert_eq!(answer.probe().ipv4.octets(), [192, 0, 2, 33]);
    let answer = Host::open().hear(&datagram("[2001:db8::5]:40000", 5, &request(TOKEN, 1, 112)));
    assert!(answer.probe().ipv4.is_unspecified());
    assert_eq!(
        answer.probe().wide.map(|wide| wide.addr.to_string()),
        Some("2001:db8::5".to_string())
    );
}

/// A clock that says how good it is, and counts how often it was asked.
struct Kept {
    error: Option<i64>,
    asked: Cell<u32>,
}

impl Clock for Kept {
    fn stamp(&self) -> Stamp {
        stamp(1, StampSource::User)
    }

    fn quality(&self) -> Option<ClockQuality> {
        self.asked.set(self.asked.get() + 1);
        self.error.map(|error| ClockQuality {
            error: Nanos(error),
            leap: Leap::None,
            precision: Nanos(1),
        })
    }
}

#[test]
fn a_wide_answer_tells_the_clocks_error_which_is_asked_for_once_a_second() {
    for (error, told) in [
        (None, 0),
        (Some(0), 1),
        (Some(1_500), 2),
        (Some(i64::MAX), u32::MAX),
    ] {
        let clock = Kept {
            error,
            asked: Cell::new(0),
        };
        let mut echo = Host::open().echo;
        for tenth in 0..25 {
            let asked = request(TOKEN, tenth, 112);
            let now = u64::from(tenth) * SECOND / 10;
            let mut env = Env {
                now: Mono(now),
                clock: &clock,
                rng: &mut Rng::new(1),
            };
            let mut reply = asked.clone();
            echo.respond(&mut env, &datagram(HOME, now, &asked), &mut reply);
            let wide = Probe::parse(&reply)
                .expect("an answer")
                .wide
                .expect("its wide part");
            assert_eq!(wide.clock_error, told, "{error:?}");
        }
        assert_eq!(clock.asked.get(), 3);
    }
}

#[test]
fn residence_is_the_monotonic_span_or_unknown() {
    let table = [
        (0, Some(0)),
        (4_294_967_294, Some(4_294_967_294)),
        (4_294_967_295, None),
        (3_600 * SECOND, None),
    ];
    for (residence, told) in table {
        let mut host = Host::open();
        host.residence = residence;
        assert_eq!(
            host.hear(&datagram(HOME, 5, &request(TOKEN, 1, 64)))
                .probe()
                .residence,
            told
        );
    }
    // A kernel stamp that lies a little after our own reading.
    let asked = request(TOKEN, 1, 64);
    let mut reply = asked.clone();
    let verdict = with_env(90, |env| {
        Host::open()
            .echo
            .respond(env, &datagram(HOME, 100, &asked), &mut reply)
    });
    assert!(matches!(verdict, Verdict::ReplyStamped(64, _)));
    assert_eq!(Probe::parse(&reply).map(|probe| probe.residence), Ok(Some(0)));
}

#[test]
fn a_step_of_the_wall_clock_moves_stamps_but_not_the_residence() {
    let asked = request(TOKEN, 1, 112);
    let mut rx = datagram(HOME, 250_000, &asked);
    rx.at.wall = Wall(EPOCH_START + 3_600 * SECOND);
    let reply = Host::open().hear(&rx).probe();
    assert_eq!(reply.residence, Some(9_000));
    assert_eq!(reply.wide.map(|wide| wide.t3), Some(Wall(EPOCH_START + 259_000)));
}

#[test]
fn the_advertised_interval_is_rounded_up_and_capped() {
    let table = [
        (0, 0),
        (1, 1),
        (100_000, 1),
        (100_001, 2),
        (10_000_000, 100),
        (60 * SECOND, u16::MAX),
    ];
    for (nanos, told) in table {
        let min_interval = std::time::Duration::from_nanos(nanos);
        let mut host = Host::new(UdpEchoOptions {
            min_interval,
            ..UdpEchoOptions::default()
        });
        assert_eq!(
            host.hear(&datagram(HOME, 5, &request(TOKEN, 1, 64)))
                .probe()
                .min_interval,
            told
        );
    }
}

#[test]
fn a_cookie_that_came_back_makes_its_sender_known() {
    let mut host = Host::open();
    let first = host.hear(&datagram(HOME, 5, &request(TOKEN, 1, 112)));
    assert_eq!(first.trust, Trust::Stranger);
    assert!(!first.probe().flags.cookie_accepted);
    let cookie = first.probe().wide.expect("a wide reply").cookie;
    let with_cookie = |seq, cookie| {
        let mut probe = Probe::request(TOKEN, seq, true, false);
        probe.wide = Some(Wide {
            cookie,
            ..Wide::EMPTY
        });
        let mut bytes = vec![0; 112];
        probe.emit(&mut bytes).expect("room");
        bytes
    };
    let mut trust = |from: &str, mono, cookie| {
        let answer = host.hear(&datagram(from, mono, &with_cookie(2, cookie)));
        assert_eq!(
            answer.probe().flags.cookie_accepted,
            answer.trust == Trust::Validated
        );
        answer.trust
    };
    assert_eq!(trust(HOME, SECOND, cookie), Trust::Validated);
    assert_eq!(
        trust(HOME, 100 * SECOND, cookie),
        Trust::Validated,
        "one epoch later"
    );
    assert_eq!(trust(HOME, 121 * SECOND, cookie), Trust::Stranger, "too old");
    assert_eq!(
        trust("192.0.2.33:40001", SECOND, cookie),
        Trust::Stranger,
        "another port"
    );
    assert_eq!(trust(HOME, SECOND, cookie ^ 1), Trust::Stranger);
    assert_eq!(trust(HOME, SECOND, 0), Trust::Stranger);
}

#[test]
fn with_a_key_only_signed_probes_are_answered_and_the_answer_is_signed() {
    const SECRET: &str = "the right secret";
    let mut host = Host::keyed(SECRET);
    for len in [80, 100, 128, 300] {
        let answer = host.hear(&datagram(HOME, 5, &signed(SECRET, len as u32, len)));
        assert_eq!(answer.trust, Trust::Validated);
        assert_eq!(answer.bytes.len(), len);
        assert!(key(SECRET).verify(&answer.bytes, answer.probe().length));
    }
    let mut altered = signed(SECRET, 9, 100);
    altered[99] ^= 1;
    let short = [&MAGIC[..], &[1, 0]].concat();
    let other_version = [&MAGIC[..], &[2], &[0; 100]].concat();
    for forged in [
        signed("the wrong secret", 1, 80),
        altered,
        request(TOKEN, 1, 64),
        short,
        other_version,
    ] {
        let answer = host.hear(&datagram(HOME, 5, &forged));
        assert_eq!(
            (answer.verdict, answer.trust),
            (Verdict::Silent(Reason::BadAuth), Trust::Stranger)
        );
    }
    let mut unflagged = request(TOKEN, 1, 112);
    assert!(key(SECRET).sign(&mut unflagged, 112));
    let answer = host.hear(&datagram(HOME, 5, &unflagged));
    assert_eq!(
        answer.verdict,
        Verdict::Silent(Reason::BadAuth),
        "a tag that nobody says is one"
    );
    let plain = host.hear(&datagram(HOME, 5, b"plain"));
    assert_eq!(plain.bytes, b"plain", "the key is for probes");
}

#[test]
fn a_forged_request_leaves_no_trace_in_the_session() {
    const SECRET: &str = "the right secret";
    let mut host = Host::keyed(SECRET);
    host.hear(&datagram(HOME, 5, &signed(SECRET, 0, 80)));
    host.hear(&datagram(HOME, 6, &signed("the wrong secret", 1, 80)));
    let reply = host.hear(&datagram(HOME, 7, &signed(SECRET, 2, 80))).probe();
    assert_eq!((reply.received, reply.window), (2, 0b101));
}

#[test]
fn a_tag_found_right_is_right_for_that_datagram_alone() {
    const SECRET: &str = "the right secret";
    let mut host = Host::keyed(SECRET);
    let mut buffer = signed(SECRET, 0, 80);
    let trust = with_env(5, |env| host.echo.trust(env, &datagram(HOME, 5, &buffer)));
    assert_eq!(trust, Trust::Validated);
    // The same buffer, path, instant and tag, but other bytes: it was the limiter that let the first one go.
    buffer[19] ^= 1;
    let answer = host.hear(&datagram(HOME, 5, &buffer));
    assert_eq!(
        (answer.verdict, answer.trust),
        (Verdict::Silent(Reason::BadAuth), Trust::Stranger)
    );

    // Another buffer, answered without the question of trust.
    let (right, mut forged) = (signed(SECRET, 1, 80), signed(SECRET, 1, 80));
    forged[19] ^= 1;
    let verdict = with_env(5, |env| {
        assert_eq!(host.echo.trust(env, &datagram(HOME, 5, &right)), Trust::Validated);
        host.echo
            .respond(env, &datagram(HOME, 5, &forged), &mut forged.clone())
    });
    assert_eq!(verdict, Verdict::Silent(Reason::BadAuth));
}

#[test]
fn a_host_can_ask_for_the_key_on_everything() {
    const SECRET: &str = "the right secret";
    let options = UdpEchoOptions {
        key: Some(key(SECRET)),
        require_key: true,
        ..UdpEchoOptions::default()
    };
    let mut host = Host::new(options);
    for refused in [&b""[..], b"plain", &request(TOKEN, 1, 64)] {
        assert_eq!(
            host.hear(&datagram(HOME, 5, refused)).verdict,
            Verdict::Silent(Reason::BadAuth)
        );
    }
    assert_eq!(
        host.hear(&datagram(HOME, 5, &signed(SECRET, 1, 80))).bytes.len(),
        80
    );
    let mut keyless = Host::new(UdpEchoOptions {
        require_key: true,
        ..UdpEchoOptions::default()
    });
    assert_eq!(
        keyless.hear(&datagram(HOME, 5, b"plain")).verdict,
        Verdict::Silent(Reason::BadAuth)
    );
}

#[test]
fn a_host_without_the_key_echoes_a_signed_probe_as_it_came() {
    let asked = signed("the right secret", 1, 80);
    let answer = Host::open().hear(&datagram(HOME, 5, &asked));
    assert_eq!(
        (answer.verdict, answer.trust),
        (Verdict::Reply(80), Trust::Stranger)
    );
    assert_eq!(answer.bytes, asked);
}

#[test]
fn a_reply_buffer_that_is_too_short_is_left_alone() {
    let asked = request(TOKEN, 1, 64);
    let mut room = [0x5a; 63];
    let rx = datagram(HOME, 5, &asked);
    let verdict = with_env(9, |env| Host::open().echo.respond(env, &rx, &mut room));
    assert_eq!(verdict, Verdict::Silent(Reason::Truncated));
    assert_eq!(room, [0x5a; 63]);
}

/// Probes with a few octets overwritten, and noise.
fn hostile() -> impl Strategy<Value = Vec<u8>> {
    let edits = proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4);
    let probe = (any::<bool>(), 0..4_u64, any::<u32>(), 64..200_usize, edits).prop_map(
        |(authenticated, token, seq, len, edits)| {
            let wide = len >= 128;
            let len = len.max(if authenticated { 80 } else { 64 });
            let mut bytes = vec![0x11; len];
            Probe::request(token, seq, wide, authenticated)
                .emit(&mut bytes)
                .expect("room");
            for (at, octet) in edits {
                let at = at.index(bytes.len());
                bytes[at] = octet;
            }
            bytes
        },
    );
    prop_oneof![probe, proptest::collection::vec(any::<u8>(), 0..200)]
}

proptest! {
    #[test]
    fn nothing_makes_a_reply_longer_than_its_request(
        datagrams in proptest::collection::vec(hostile(), 1..40), keyed: bool
    ) {
        let mut host = if keyed { Host::keyed("the right secret") } else { Host::open() };
        for payload in datagrams {
            let answer = host.hear(&datagram(HOME, 5, &payload));
            match answer.verdict {
                Verdict::Silent(_) => prop_assert_eq!(answer.bytes.len(), 0),
                Verdict::Reply(len) | Verdict::ReplyStamped(len, _) | Verdict::ReplyFrom(len, _) => prop_assert_eq!(len, payload.len()),
            }
            let again = host.hear(&datagram(HOME, 6, &answer.bytes));
            let was_probe = Probe::parse(&payload).is_ok() && answer.bytes != payload;
            if was_probe && !answer.bytes.is_empty() {
                prop_assert_eq!(again.verdict, Verdict::Silent(Reason::Loop));
            }
        }
    }
}
