//! What holds whatever arrives.

use super::super::tlv::{EXTRA_PADDING, HMAC_TLV, Tlvs};
use super::super::{ReflectorMode, StampProber, TwampProber};
use super::*;
use crate::ProberOptions;
use halloo_base::{ProbeId, Prober, Reason};
use proptest::prelude::*;

/// TLVs of all kinds, most of them well formed, and octets of no meaning.
fn any_tlvs() -> impl Strategy<Value = Vec<u8>> {
    let lengths = prop_oneof![Just(4_usize), Just(8), Just(12), Just(16), Just(24), 0..40_usize];
    let one = (0..12_u8, lengths, any::<u8>(), any::<u8>()).prop_map(|(kind, len, flags, octet)| {
        let mut bytes = tlv(kind, &vec![octet; len]);
        bytes[0] = flags;
        bytes
    });
    let noise = proptest::collection::vec(any::<u8>(), 0..6);
    (proptest::collection::vec(one, 0..6), noise).prop_map(|(all, noise)| [all.concat(), noise].concat())
}

/// Requests of both kinds with a few octets overwritten, and noise.
fn hostile() -> impl Strategy<Value = Vec<u8>> {
    let edits = proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3);
    let packet = (any::<bool>(), any::<u32>(), 0..3_u16, any_tlvs(), edits).prop_map(
        |(is_signed, number, ssid, tlvs, edits)| {
            let mut bytes = match is_signed {
                true => signed_request(SECRET, number, ssid, 112),
                false => request(number, ssid, 44),
            };
            bytes.extend(tlvs);
            for (at, octet) in edits {
                let at = at.index(bytes.len());
                bytes[at] = octet;
            }
            bytes
        },
    );
    prop_oneof![3 => packet, 1 => proptest::collection::vec(any::<u8>(), 0..200)]
}

fn a_host(keyed: bool, stateful: bool) -> Host {
    Host::new(StampReflectorOptions {
        key: keyed.then(|| key(SECRET)),
        mode: if stateful {
            ReflectorMode::Stateful
        } else {
            ReflectorMode::Stateless
        },
        sessions: 1,
        ..StampReflectorOptions::default()
    })
}

/// Headers of TLVs, without their flags: what an answer must have as its request had.
fn shape(area: &[u8]) -> Vec<(usize, usize)> {
    Tlvs::new(area)
        .filter_map(Result::ok)
        .map(|tlv| (tlv.at, tlv.value.len()))
        .collect()
}

proptest! {
    #[test]
    fn an_answer_is_as_long_as_its_request_has_its_shape_and_gets_none(
        datagrams in proptest::collection::vec(hostile(), 1..20), keyed: bool, stateful: bool
    ) {
        let mut host = a_host(keyed, stateful);
        for payload in datagrams {
            let answer = host.ask(250_000, &payload);
            match answer.verdict {
                Verdict::Silent(why) => {
                    prop_assert!([Reason::Malformed, Reason::BadAuth, Reason::Loop].contains(&why));
                    prop_assert!(answer.trust == Trust::Stranger, "who is trusted is answered");
                    continue;
                }
                Verdict::Reply(len) | Verdict::ReplyStamped(len, _) | Verdict::ReplyFrom(len, _) => prop_assert_eq!(len, payload.len()),
            }
            let mode = match answer.trust {
                Trust::Validated => Mode::Authenticated,
                Trust::Stranger => Mode::Open,
            };
            let base = mode.base().min(payload.len());
            prop_assert_eq!(shape(&answer.bytes[base..]), shape(&payload[base..]));
            let asked = Request::parse(&payload, mode).expect("it was answered");
            prop_assert_eq!(asked.error_estimate.is_valid(), true);
            if let Some(reply) = Reply::parse(&answer.bytes, mode) {
                prop_assert_eq!(reply.sender_sequence_number, asked.sequence_number);
                prop_assert_eq!(reply.sender_timestamp, asked.timestamp);
                prop_assert_eq!(reply.ssid, asked.ssid);
                prop_assert!(stateful || reply.sequence_number == asked.sequence_number);
                prop_assert_eq!(
                    host.ask(300_000, &answer.bytes).verdict,
                    Verdict::Silent(Reason::Loop)
                );
            }
        }
    }

    #[test]
    fn padding_comes_back_as_it_was(tlvs in any_tlvs(), keyed: bool) {
        let asked = [request(0, 0, 44), tlvs].concat();
        let answer = a_host(keyed, true).ask(5, &asked);
        let told = Tlvs::new(&answer.bytes[44..]).filter_map(Result::ok);
        for (one, other) in Tlvs::new(&asked[44..]).filter_map(Result::ok).zip(told) {
            if one.kind == EXTRA_PADDING || one.kind == 0 || one.kind > HMAC_TLV {
                prop_assert_eq!((one.kind, one.value), (other.kind, other.value));
            }
        }
    }

    #[test]
    fn prober_and_reflector_understand_each_other_at_every_size(
        size in 41..400_usize, id in 0..u64::from(u32::MAX), token: u64, keyed: bool, stateful: bool
    ) {
        let options = ProberOptions {
            key: keyed.then(|| key(SECRET)),
            token,
            size,
            ..ProberOptions::default()
        };
        let probers: [(Box<dyn Prober>, usize); 2] = [
            (Box::new(StampProber::new(&options)), if keyed { 112 } else { 44 }),
            (Box::new(TwampProber::new(&options)), 41),
        ];
        for (mut prober, least) in probers {
            let mut asked = vec![0xee; size];
            let made = with_env(1_000, |env| prober.request(env, ProbeId(id), &mut asked));
            prop_assert_eq!(made, (size >= least).then_some(size));
            if made.is_none() {
                continue;
            }
            let answer = a_host(keyed, stateful).ask(250_000, &asked);
            let heard = prober.recognise(&datagram("198.51.100.1:862", 300_000, &answer.bytes));
            let heard = heard.map(|heard| heard.resolve(ProbeId(id)));
            prop_assert_eq!(heard, Ok(Some(ProbeId(id))));
        }
    }

    #[test]
    fn nothing_that_was_not_asked_is_heard(payload in hostile(), keyed: bool) {
        let options = ProberOptions {
            key: keyed.then(|| key(SECRET)),
            token: 1,
            size: 200,
            ..ProberOptions::default()
        };
        let probers: [Box<dyn Prober>; 2] =
            [Box::new(StampProber::new(&options)), Box::new(TwampProber::new(&options))];
        for mut prober in probers {
            prop_assert!(prober.recognise(&datagram(HOME, 5, &payload)).is_err());
            prop_assert_eq!(prober.quoted(&payload), None);
            let mut asked = vec![0; 200];
            with_env(1_000, |env| prober.request(env, ProbeId(u64::from(u32::MAX)), &mut asked));
            // Noise may guess the number, but not the time.
            prop_assert!(prober.recognise(&datagram(HOME, 5, &payload)).is_err());
        }
    }

    #[test]
    fn an_answer_whose_tlvs_are_damaged_is_heard_without_panic(
        at in 44..200_usize, octet: u8, cut in 41..201_usize
    ) {
        let options = ProberOptions { token: 1, size: 200, ..ProberOptions::default() };
        let mut prober = StampProber::new(&options);
        let mut asked = vec![0; 200];
        with_env(1_000, |env| prober.request(env, ProbeId(0), &mut asked));
        let mut answer = Host::open().ask(250_000, &asked).bytes;
        answer[at] = octet;
        prop_assert!(prober.recognise(&datagram(HOME, 5, &answer[..cut])).is_ok());
    }
}
