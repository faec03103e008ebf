//! The ping prober: what it asks, and what it takes for an answer.

use super::*;
use halloo_base::{Heard, ProbeId, Prober, Progress, Reason, Refusal, StreamProber};
use std::time::Duration;

fn options(prefix: &str, start: u64) -> PingProberOptions {
    PingProberOptions::new(named(prefix), start)
}

fn request(prober: &mut PingProber, id: u64) -> Vec<u8> {
    let mut room = vec![0; prober.longest()];
    let len = with_env(1, |env| prober.request(env, ProbeId(id), &mut room)).expect("room");
    room.truncate(len);
    room
}

fn hear(prober: &mut PingProber, wire: &[u8]) -> Result<Heard, Reason> {
    prober.recognise(&datagram(1, wire))
}

/// The Data for a name, as any producer would sign it.
fn data(uri: &str) -> Vec<u8> {
    let name = named(uri);
    let unsigned = Unsigned {
        name: name.as_name(),
        ..Unsigned::default()
    };
    unsigned.sign(&Signer::digest()).expect("room")
}

fn nack(reason: NackReason, interest: &[u8]) -> Vec<u8> {
    let lp = LpPacket {
        nack: Some(reason),
        fragment: Some(interest),
        ..LpPacket::default()
    };
    tlv::written(|writer| lp.emit(writer)).expect("room")
}

/// With the nonce of the captured probe, because a nonce is random.
fn with_nonce_of(captured: &[u8], made: &[u8]) -> Vec<u8> {
    let theirs = Interest::parse(captured).expect("an Interest").nonce;
    let ours = Interest::parse(made).expect("an Interest");
    assert!(ours.nonce.is_some());
    let same = Interest {
        nonce: theirs,
        ..ours
    };
    tlv::written(|writer| same.emit(writer)).expect("room")
}

#[test]
fn probes_are_those_of_ndnping_but_for_the_nonce() {
    let mut prober = PingProber::new(options("/edu/arizona", u64::MAX - 1));
    let made = request(&mut prober, 0);
    let captured = vector("V1");
    assert_eq!(with_nonce_of(&captured, &made), captured);

    let mut prober = PingProber::new(PingProberOptions {
        identifier: Some("probe1".into()),
        must_be_fresh: false,
        lifetime: Duration::from_millis(1_500),
        ..options("/edu/arizona", 14_862_714_553_135_198_824)
    });
    let made = request(&mut prober, 0);
    let captured = vector("V3");
    assert_eq!(with_nonce_of(&captured, &made), captured);
}

#[test]
fn numbers_count_on_across_their_wrap_and_nonces_are_fresh() {
    let mut prober = PingProber::new(options("/t", u64::MAX));
    let wires: Vec<_> = (0..3).map(|id| request(&mut prober, id)).collect();
    let read: Vec<_> = wires
        .iter()
        .map(|wire| Interest::parse(wire).expect("an Interest"))
        .collect();
    let names: Vec<_> = read.iter().map(|interest| interest.name.to_string()).collect();
    assert_eq!(names, ["/t/ping/18446744073709551615", "/t/ping/0", "/t/ping/1"]);
    let mut room = [0; 200];
    let again = with_env(2, |env| {
        let first = prober.request(env, ProbeId(1), &mut room).expect("room");
        let first = Interest::parse(&room[..first]).expect("an Interest").nonce;
        let second = prober.request(env, ProbeId(1), &mut room).expect("room");
        (
            first,
            Interest::parse(&room[..second]).expect("an Interest").nonce,
        )
    });
    assert_ne!(again.0, again.1, "asked again with another nonce");
}

#[test]
fn options_stand_in_the_interest() {
    let mut prober = PingProber::new(PingProberOptions {
        hop_limit: Some(7),
        forwarding_hint: vec![named("/isp/one"), named("/isp/two")],
        lifetime: Duration::from_secs(1),
        ..options("/t", 5)
    });
    let wire = request(&mut prober, 0);
    let read = Interest::parse(&wire).expect("an Interest");
    let hint: Vec<_> = read.forwarding_hint.iter().map(|name| name.to_string()).collect();
    assert_eq!(hint, ["/isp/one", "/isp/two"]);
    assert_eq!(
        (read.hop_limit, read.lifetime),
        (Some(7), Some(Duration::from_secs(1)))
    );
    assert!(read.must_be_fresh && !read.can_be_prefix);
}

#[test]
fn its_own_answers_and_refusals_are_heard() {
    let mut prober = PingProber::new(options("/no/such/prefix", 7));
    let asked = request(&mut prober, 0);
    request(&mut prober, 1);
    assert_eq!(
        hear(&mut prober, &data("/no/such/prefix/ping/8")),
        Ok(Heard::plain(1, 64))
    );
    let refusal = Refusal {
        code: 150,
        name: "NoRoute",
    };
    let refused = Heard {
        refusal: Some(refusal),
        ..Heard::plain(0, 64)
    };
    assert_eq!(hear(&mut prober, &vector("V6")), Ok(refused));
    assert_eq!(hear(&mut prober, &nack(NackReason::NoRoute, &asked)), Ok(refused));
    let told = hear(&mut prober, &nack(NackReason::None, &asked)).expect("heard");
    assert_eq!(told.refusal.map(|refusal| refusal.name), Some("None"));
}

#[test]
fn what_it_did_not_ask_for_is_foreign() {
    let mut prober = PingProber::new(options("/t", 7));
    let asked = request(&mut prober, 0);
    let name = named("/t/ping/7");
    let other = |can_be_prefix, must_be_fresh| {
        let asked = Interest {
            can_be_prefix,
            must_be_fresh,
            ..Interest::new(name.as_name())
        };
        nack(
            NackReason::NoRoute,
            &tlv::written(|writer| asked.emit(writer)).expect("room"),
        )
    };
    let table = [
        (data("/t/ping/8"), Reason::Foreign),
        (data("/t/ping/6"), Reason::Foreign),
        (data("/t/ping/07"), Reason::Foreign),
        (data("/t/ping/+7"), Reason::Foreign),
        (data("/t/ping/7/8"), Reason::Foreign),
        (data("/t/ping"), Reason::Foreign),
        (data("/t/ping/seq=7"), Reason::Foreign),
        (data("/t/7"), Reason::Foreign),
        (data("/u/ping/7"), Reason::Foreign),
        (asked.clone(), Reason::Foreign),
        (other(true, true), Reason::Foreign),
        (other(false, false), Reason::Foreign),
        (hex("6400"), Reason::Incomplete),
        (hex("0700"), Reason::Malformed),
        (asked[..asked.len() - 1].to_vec(), Reason::Malformed),
    ];
    for (wire, why) in table {
        assert_eq!(hear(&mut prober, &wire), Err(why), "{wire:02x?}");
    }
}

#[test]
fn with_a_trusted_key_other_signatures_do_not_count() {
    let (signer, verifier) = keys::pairs().swap_remove(1);
    let mut prober = PingProber::new(PingProberOptions {
        verifier: Some(verifier),
        ..options("/t", 7)
    });
    request(&mut prober, 0);
    assert_eq!(hear(&mut prober, &data("/t/ping/7")), Err(Reason::BadAuth));
    let name = named("/t/ping/7");
    let unsigned = Unsigned {
        name: name.as_name(),
        ..Unsigned::default()
    };
    let signed = unsigned.sign(&signer).expect("room");
    assert!(hear(&mut prober, &signed).is_ok());
}

#[test]
fn an_answer_in_fragments_is_heard_with_its_last() {
    let mut prober = PingProber::new(options("/big", 1));
    request(&mut prober, 0);
    let order = [3, 0, 2, 1].map(|part| vector(&format!("fragment-data-{part}")));
    let heard: Vec<_> = order.iter().map(|part| hear(&mut prober, part)).collect();
    let waiting = Err(Reason::Incomplete);
    let whole = Heard {
        length: Some(469),
        ..Heard::plain(0, 64)
    };
    assert_eq!(heard, [waiting, waiting, waiting, Ok(whole)]);
}

#[test]
fn interests_are_padded_to_any_size_that_elements_can_have() {
    let mut plain = PingProber::new(options("/t", 1_000));
    let natural = request(&mut plain, 0).len();
    for size in 0..700 {
        let mut prober = PingProber::new(PingProberOptions {
            size: Some(size),
            ..options("/t", 1_000)
        });
        let wire = request(&mut prober, 0);
        let read = Interest::parse(&wire).expect("an Interest with something to skip");
        assert_eq!(read.name.to_string(), "/t/ping/1000");
        let expected = match size {
            size if size < natural + 2 => natural,
            // No element of type Interest has these lengths.
            255 | 256 => 254,
            257 if natural + 1 == 254 => natural,
            size => size,
        };
        assert_eq!(wire.len(), expected, "{size}");
    }
    let mut prober = PingProber::new(PingProberOptions {
        size: Some(8_800),
        ..options("/t", 1_000)
    });
    assert_eq!(request(&mut prober, 0).len(), 8_800);
}

#[test]
fn a_room_that_is_too_small_gets_nothing() {
    let mut prober = PingProber::new(options("/t", 5));
    let natural = request(&mut prober, 0).len();
    let mut room = vec![0; natural - 1];
    assert_eq!(
        with_env(1, |env| prober.request(env, ProbeId(1), &mut room)),
        None
    );
    // And what was not asked is not answered.
    assert_eq!(hear(&mut prober, &data("/t/ping/6")), Err(Reason::Foreign));
}

#[test]
fn the_longest_probe_is_as_long_as_told() {
    for prefix in [
        "/",
        "/t",
        &format!("/{}", "x".repeat(205)),
        &format!("/{}", "x".repeat(260)),
    ] {
        let mut prober = PingProber::new(options(prefix, u64::MAX));
        let len = request(&mut prober, 0).len();
        assert!(
            (len..=len + 4).contains(&prober.longest()),
            "{len} {}",
            prober.longest()
        );
    }
}

#[test]
fn quoted_interests_are_recognised_from_their_beginning() {
    let mut prober = PingProber::new(options("/t", 7));
    let asked = request(&mut prober, 0);
    let name_end = 2 + named("/t/ping/7").as_name().encoded_len();
    for len in 0..=asked.len() {
        let quoted = prober.quoted(&asked[..len]);
        let expected = (len >= name_end).then(|| Heard::plain(0, 64));
        assert_eq!(quoted, expected, "{len}");
    }
    assert_eq!(prober.quoted(&data("/t/ping/7")), None);
    let mut long = PingProber::new(PingProberOptions {
        size: Some(600),
        ..options("/t", 7)
    });
    let asked = request(&mut long, 0);
    assert_eq!(long.quoted(&asked[..40]), Some(Heard::plain(0, 64)));
}

/// Feeds a stream in pieces; returns what was heard and how many bytes were used.
fn feed(prober: &mut PingStreamProber, stream: &[u8], piece: usize) -> Vec<u64> {
    let mut heard = Vec::new();
    for bytes in stream.chunks(piece) {
        let mut rest = bytes;
        while !rest.is_empty() {
            match prober.receive(rest) {
                Progress::Partial(used) => {
                    assert_eq!(used, rest.len());
                    rest = &[];
                }
                Progress::Heard(used, answer) => {
                    heard.push(answer.low_bits);
                    rest = &rest[used..];
                }
                Progress::Unused(used, _) => rest = &rest[used..],
                Progress::Foreign(why) => panic!("{why}"),
            }
        }
    }
    heard
}

#[test]
fn a_stream_of_answers_is_understood_however_it_is_cut() {
    let lost = "/t/ping/9".parse::<NameBuf>().expect("a name");
    let lost = tlv::written(|writer| {
        Interest {
            must_be_fresh: true,
            ..Interest::new(lost.as_name())
        }
        .emit(writer);
    })
    .expect("room");
    let stream = [
        data("/t/ping/7"),
        data("/other"),
        hex("05fd0005 0703080141"),
        hex("0900"),
        nack(NackReason::Congestion, &lost),
        hex("6400"),
        data("/t/ping/8"),
        data("/t/ping/7"),
    ]
    .concat();
    for piece in (1..40).chain([stream.len()]) {
        let mut prober = PingStreamProber::new(options("/t", 7));
        let mut tx = Vec::new();
        with_env(1, |env| {
            for id in 0..3 {
                StreamProber::request(&mut prober, env, ProbeId(id), &mut tx);
            }
        });
        assert_eq!(
            feed(&mut prober, &stream, piece),
            [0, 2, 1, 0],
            "in pieces of {piece}"
        );
    }
}

#[test]
fn on_a_new_connection_old_answers_and_half_packets_are_forgotten() {
    let mut prober = PingStreamProber::new(options("/t", 7));
    let mut tx = Vec::new();
    with_env(1, |env| {
        StreamProber::request(&mut prober, env, ProbeId(0), &mut tx);
    });
    let answer = data("/t/ping/7");
    assert_eq!(prober.receive(&answer[..20]), Progress::Partial(20));
    prober.reset();
    with_env(1, |env| {
        StreamProber::request(&mut prober, env, ProbeId(1), &mut tx);
    });
    let both = [answer, data("/t/ping/8")].concat();
    assert_eq!(feed(&mut prober, &both, both.len()), [1]);
}

#[test]
fn a_stream_of_anything_else_is_foreign() {
    let lost = "the peer sends what is no NDN packet";
    for cut in [1, 2, 4] {
        let mut prober = PingStreamProber::new(options("/t", 7));
        let stream = hex("05fdffff");
        let mut progress = Progress::Partial(0);
        for bytes in stream.chunks(cut) {
            progress = prober.receive(bytes);
        }
        assert_eq!(progress, Progress::Foreign(lost), "in pieces of {cut}");
    }
}

#[test]
fn what_is_no_answer_on_a_stream_is_told_and_passed_over() {
    let (_, verifier) = super::keys::pairs().swap_remove(1);
    let mut prober = PingStreamProber::new(PingProberOptions {
        verifier: Some(verifier),
        ..options("/t", 7)
    });
    let mut tx = Vec::new();
    with_env(1, |env| {
        StreamProber::request(&mut prober, env, ProbeId(0), &mut tx);
    });
    for (packet, why) in [
        (data("/t/ping/7"), Reason::BadAuth),
        (data("/t/ping/8"), Reason::Foreign),
        (tx, Reason::Foreign),
        (hex("0500"), Reason::Malformed),
        (hex("6400"), Reason::Incomplete),
    ] {
        let unused = |used| Progress::Unused(used, why);
        assert_eq!(
            prober.receive(&[&packet[..], b"rest"].concat()),
            unused(packet.len())
        );
        let (last, before) = packet.split_last().expect("not empty");
        assert_eq!(prober.receive(before), Progress::Partial(before.len()));
        assert_eq!(prober.receive(&[*last, 6]), unused(1));
    }
}
