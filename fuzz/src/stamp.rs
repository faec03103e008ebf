//! The STAMP reflector and the probers of STAMP and TWAMP Light.

use crate::feed::Feed;
use crate::surroundings::{datagram, key, stamp, with_env};
use halloo_base::{
    Datagram, Heard, Mono, ProbeId, Prober, Reason, Responder, StampSource, Trust, TxTag, Verdict,
};
use halloo_protocols::ProberOptions;
use halloo_protocols::stamp::tlv::{HEADER, HMAC_TLV, Tlvs};
use halloo_protocols::stamp::wire::{self, HMAC, Mode, Reply, Request};
use halloo_protocols::stamp::{
    ErrorEstimate, Format, ReflectorMode, StampProber, StampReflector, StampReflectorOptions, TwampProber,
};
use std::time::Duration;

const KEYED: u8 = 1;
const REQUIRE_KEY: u8 = 2;
const STATELESS: u8 = 4;
const PTP: u8 = 8;
const OWN_ADDRESS: u8 = 16;

const SIGN: u8 = 1;
const REPEAT: u8 = 2;
const ASK_TRUST: u8 = 4;
const DEPART: u8 = 8;

/// First the reflector's options, then for each datagram how it comes (an octet of switches, the sender, the time since
/// the one before in milliseconds, its length) and its bytes.
pub(crate) fn reflector(data: &[u8]) {
    let mut feed = Feed::new(data);
    let mut host = Host::new(feed.octet());
    let mut payload = Vec::new();
    while !feed.is_empty() {
        let how = feed.octet();
        let sender = feed.octet();
        host.now += Duration::from_millis(u64::from(feed.number()));
        if how & REPEAT == 0 {
            let len = usize::from(feed.number() % 512);
            payload = feed.bytes(len).to_vec();
        }
        if how & SIGN != 0 {
            sign(&mut payload);
        }
        host.hear(how, sender, &payload);
    }
}

/// Makes every HMAC right that there is room for, which mutation alone would hardly ever do.
fn sign(payload: &mut [u8]) {
    let mode = match wire::sign(&key(), payload) {
        true => Mode::Authenticated,
        false => Mode::Open,
    };
    let Some((number, area)) = payload.split_at_mut_checked(mode.base()) else {
        return;
    };
    let found = Tlvs::new(area)
        .filter_map(Result::ok)
        .find(|tlv| tlv.kind == HMAC_TLV && tlv.value.len() == HMAC);
    let Some(at) = found.map(|tlv| tlv.at) else { return };
    let tag = key().tag(&[&number[..4], &area[..at]]);
    area[at + HEADER..at + HEADER + HMAC].copy_from_slice(&tag);
}

struct Host {
    reflector: StampReflector,
    options: u8,
    now: Mono,
    awaited: Option<TxTag>,
}

impl Host {
    fn new(options: u8) -> Host {
        let is = |bit: u8| options & bit != 0;
        let reflector = StampReflectorOptions {
            mode: if is(STATELESS) {
                ReflectorMode::Stateless
            } else {
                ReflectorMode::Stateful
            },
            key: is(KEYED).then(key),
            require_key: is(REQUIRE_KEY),
            sessions: 1,
            clock: ErrorEstimate::UNKNOWN.in_format(if is(PTP) { Format::Ptp } else { Format::Ntp }),
            own_address: is(OWN_ADDRESS),
        };
        Host {
            reflector: StampReflector::new(reflector, [7; 16]),
            options,
            now: Mono(0),
            awaited: None,
        }
    }

    fn hear(&mut self, how: u8, sender: u8, payload: &[u8]) {
        let rx = datagram(sender, self.now, payload);
        let mut reply = payload.to_vec();
        let residence = Duration::from_micros(u64::from(sender));
        let (trust, verdict) = with_env(self.now + residence, |env| {
            let trust = (how & ASK_TRUST != 0).then(|| self.reflector.trust(env, &rx));
            (trust, self.reflector.respond(env, &rx, &mut reply))
        });
        self.check(&rx, trust, verdict, &reply);
        if how & DEPART != 0
            && let Some(tag) = self.awaited.take()
        {
            self.reflector
                .departed(tag, stamp(self.now + residence, StampSource::Kernel));
        }
    }

    fn check(&mut self, rx: &Datagram<'_>, trust: Option<Trust>, verdict: Verdict, reply: &[u8]) {
        let (len, tag) = match verdict {
            Verdict::Reply(len) => (len, None),
            Verdict::ReplyStamped(len, tag) => (len, Some(tag)),
            Verdict::ReplyFrom(..) => panic!("an answer from elsewhere"),
            Verdict::Silent(why) => {
                assert_ne!(trust, Some(Trust::Validated), "who is trusted is answered");
                let expected = [Reason::Malformed, Reason::BadAuth, Reason::Loop];
                assert!(expected.contains(&why), "{why:?} is no reason for a reflector");
                return;
            }
        };
        assert_eq!(len, rx.payload.len(), "an answer is as long as its request");
        assert!(tag.is_none() || self.options & STATELESS == 0);
        self.awaited = tag.or(self.awaited);
        let is_keyed = self.options & KEYED != 0;
        let mode = match is_keyed && wire::is_signed(&key(), rx.payload) {
            true => Mode::Authenticated,
            false => Mode::Open,
        };
        assert!(mode == Mode::Authenticated || self.options & REQUIRE_KEY == 0);
        assert!(mode == Mode::Open || wire::is_signed(&key(), reply));
        self.check_reply(rx, mode, reply);
        let again = datagram(0, self.now + Duration::from_millis(50), reply);
        let verdict = with_env(self.now + Duration::from_millis(50), |env| {
            self.reflector.respond(env, &again, &mut reply.to_vec())
        });
        // Shorter ones have no room for both stamps.
        assert!(
            reply.len() < 24 || verdict == Verdict::Silent(Reason::Loop),
            "{verdict:?}"
        );
    }

    fn check_reply(&self, rx: &Datagram<'_>, mode: Mode, reply: &[u8]) {
        let asked = Request::parse(rx.payload, mode).expect("it was answered");
        assert!(asked.error_estimate.is_valid());
        let Some(told) = Reply::parse(reply, mode) else {
            return;
        };
        assert_eq!(
            (
                told.sender_sequence_number,
                told.sender_timestamp,
                told.sender_error_estimate,
                told.ssid
            ),
            (
                asked.sequence_number,
                asked.timestamp,
                asked.error_estimate,
                asked.ssid
            )
        );
        let is_counted = self.options & STATELESS == 0;
        assert!(is_counted || told.sequence_number == asked.sequence_number);
        assert_eq!(told.received_at(), Some(rx.at.wall));
        assert!(told.sent_at() >= told.received_at());
        let lengths = |datagram: &[u8]| -> Vec<_> {
            let area = datagram.get(mode.base()..).unwrap_or_default();
            Tlvs::new(area)
                .map(|tlv| tlv.map(|tlv| (tlv.at, tlv.value.len())))
                .collect()
        };
        assert_eq!(lengths(reply), lengths(rx.payload), "TLVs stay where they are");
    }
}

/// First what asks (TWAMP, with a key), the size and the number of the request, then for each datagram an octet that
/// says what it is made of (noise, the request's echo, a host's answer), its damage, and for noise its bytes.
pub(crate) fn prober(data: &[u8]) {
    let mut feed = Feed::new(data);
    let how = feed.octet();
    let (keyed, is_twamp) = (how & 1 != 0, how & 2 != 0);
    let size = usize::from(feed.number() % 512);
    let id = ProbeId(u64::from(feed.number()) << 24 | u64::from(feed.number()));
    let options = ProberOptions {
        key: keyed.then(key),
        token: 0x0123_4567_89ab_cdef,
        size,
        ..ProberOptions::default()
    };
    let mut prober: Box<dyn Prober> = match is_twamp {
        true => Box::new(TwampProber::new(&options)),
        false => Box::new(StampProber::new(&options)),
    };
    let mode = match keyed && !is_twamp {
        true => Mode::Authenticated,
        false => Mode::Open,
    };
    let least = if is_twamp { wire::TWAMP_REPLY } else { mode.base() };
    let mut request = vec![0; size];
    let asked = with_env(Mono(1_000), |env| prober.request(env, id, &mut request));
    assert_eq!(asked, Some(size).filter(|&size| size >= least));
    let mut reflector = StampReflector::new(
        StampReflectorOptions {
            key: keyed.then(key),
            ..StampReflectorOptions::default()
        },
        [7; 16],
    );

    while !feed.is_empty() {
        let how = feed.octet();
        let mut back = match how % 3 {
            0 => {
                let len = usize::from(feed.octet());
                feed.bytes(len).to_vec()
            }
            1 => request.clone(),
            _ => answer_to(&mut reflector, &request),
        };
        let whole = back.clone();
        feed.damage(&mut back);
        if how & 4 != 0 {
            sign(&mut back);
        }
        let heard = prober.recognise(&datagram(0, Mono(9_000), &back));
        let _quoted = prober.quoted(&back);
        match how % 3 {
            1 if back == whole => assert!(heard.is_err(), "an echo is no answer"),
            2 if back == whole && asked.is_some() => assert!(heard.is_ok(), "{heard:?}"),
            _ => {}
        }
        if let Ok(heard) = heard {
            check_heard(&heard, &back, id, mode);
        }
    }
}

/// Whatever counts has the number and the time of the one request that there was, or the number of one that the prober
/// would have forgotten by now.
fn check_heard(heard: &Heard, back: &[u8], id: ProbeId, mode: Mode) {
    let reply = Reply::parse(back, mode).expect("it was heard");
    assert_eq!(
        (heard.low_bits, heard.bits),
        (u64::from(reply.sender_sequence_number), 32)
    );
    let newer = (id.0 as u32).wrapping_sub(reply.sender_sequence_number);
    if newer == 0 {
        let sent = stamp(Mono(1_000), StampSource::User).wall;
        assert_eq!(reply.sender_timestamp.wall(Format::Ntp), Some(sent));
    } else {
        assert!(newer <= i32::MAX as u32 && reply.ssid != 0, "it was never sent");
    }
    assert!(mode == Mode::Open || wire::is_signed(&key(), back));
    let told = heard.reflection.expect("a reflector always tells");
    assert_eq!(told.received_at, reply.received_at());
    assert!(told.residence.is_none_or(|span| span.0 >= 0));
    assert!(told.follow_up.is_none_or(|told| told.residence.0 >= 0));
}

fn answer_to(reflector: &mut StampReflector, request: &[u8]) -> Vec<u8> {
    let mut reply = request.to_vec();
    let verdict = with_env(Mono(5_000), |env| {
        reflector.respond(env, &datagram(0, Mono(4_000), request), &mut reply)
    });
    if let Verdict::ReplyStamped(_, tag) = verdict {
        reflector.departed(tag, stamp(Mono(6_000), StampSource::Kernel));
    }
    reply
}
