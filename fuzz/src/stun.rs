//! The STUN server and the STUN prober, and what may come to them.

use crate::feed::Feed;
use crate::surroundings::{datagram, with_env};
use halloo_base::{Mono, ProbeId, Prober, Reason, Responder, Trust, Verdict};
use halloo_protocols::ProberOptions;
use halloo_protocols::stun::wire::{Class, Message, Writer, attribute};
use halloo_protocols::stun::{Places, STUN, StunProber, StunServer, StunServerOptions, is_stun};

const OTHER_V4: u8 = 1;
const OTHER_V6: u8 = 2;
const WIDE_LIMIT: u8 = 4;

const FIT: u8 = 1;
const SIGN: u8 = 2;

/// First the server's options, then for each datagram how it comes (an octet of switches, the sender, its length) and its
/// bytes.
pub(crate) fn server(data: &[u8]) {
    let mut feed = Feed::new(data);
    let options = feed.octet();
    let other = match options {
        _ if options & OTHER_V4 != 0 => Some(["198.51.100.1:7777", "198.51.100.2:3479"]),
        _ if options & OTHER_V6 != 0 => Some(["[2001:db8::1]:7777", "[2001:db8::2]:3479"]),
        _ => None,
    };
    let places = other.map(|both| {
        let [first, other] = both.map(|place| place.parse().expect("an address"));
        Places::new(first, other).expect("two of both")
    });
    let server_options = StunServerOptions {
        places: places.into_iter().collect(),
    };
    let mut server = StunServer::new(server_options);
    while !feed.is_empty() {
        let (how, sender) = (feed.octet(), feed.octet());
        let len = usize::from(feed.number() % 512);
        let payload = completed(how, feed.bytes(len));
        let mut rx = datagram(sender, Mono(1_000), &payload);
        if let Some(places) = places {
            // Two bits, four places.
            rx.path.local = places.all()[usize::from(how >> 6)];
        }
        let limit = match server.reply_limit(&rx) {
            Some(limit) if options & WIDE_LIMIT != 0 => limit,
            _ => STUN.reply_limit,
        };
        let mut reply = payload.clone();
        reply.resize(limit.longest(payload.len(), Trust::Stranger), 0);
        let verdict = with_env(Mono(2_000), |env| server.respond(env, &rx, &mut reply));
        match verdict {
            Verdict::Reply(len) => check_answer(&payload, &reply[..len], rx.path.remote),
            Verdict::ReplyFrom(len, from) => {
                let answer = &reply[..len];
                check_answer(&payload, answer, rx.path.remote);
                let places = places.expect("there is another place");
                assert!(from != rx.path.local && places.all().contains(&from));
                let origin = Message::parse(answer).expect("a message");
                let origin = origin.address(attribute::RESPONSE_ORIGIN);
                assert!(origin.is_none_or(|origin| origin == from), "it says so");
                assert!(
                    is_stun(&payload),
                    "a client of RFC 3489 is answered from where it asked"
                );
            }
            Verdict::Silent(why) => check_silence(&payload, why),
            Verdict::ReplyStamped(..) => panic!("no stamp is wanted"),
        }
    }
}

fn check_answer(asked: &[u8], answer: &[u8], remote: std::net::SocketAddr) {
    let asked = Message::parse(asked).expect("only messages are answered");
    let told = Message::parse(answer).expect("an answer is a message");
    assert_eq!((asked.class, asked.method), (Class::Request, 1));
    assert_eq!((told.method, told.transaction), (1, asked.transaction));
    let is_classic = !asked.transaction.has_cookie();
    assert_eq!(told.is_fingerprinted, asked.is_fingerprinted && !is_classic);
    match told.class {
        Class::Success => {
            let kind = if is_classic {
                attribute::MAPPED_ADDRESS
            } else {
                attribute::XOR_MAPPED_ADDRESS
            };
            let mapped = told.address(kind).expect("a success tells the address");
            assert_eq!(mapped.ip(), remote.ip().to_canonical());
            assert_eq!(mapped.port(), remote.port());
        }
        Class::Error => {
            assert_eq!(told.error_code(), Some(420));
            let list = told.attribute(attribute::UNKNOWN_ATTRIBUTES).expect("a list");
            assert!(list.len() >= 2 && !is_classic);
        }
        Class::Request | Class::Indication => panic!("an answer is not asked for one"),
    }
    let mut server = StunServer::new(StunServerOptions::default());
    let rx = datagram(0, Mono(3_000), answer);
    let mut reply = vec![0; answer.len() + 100];
    let verdict = with_env(Mono(4_000), |env| server.respond(env, &rx, &mut reply));
    assert_eq!(verdict, Verdict::Silent(Reason::Loop), "an answer was answered");
}

fn check_silence(payload: &[u8], why: Reason) {
    let read = Message::parse(payload);
    match why {
        Reason::Malformed | Reason::BadChecksum => assert!(read.is_err()),
        Reason::Loop => assert!(matches!(
            read.map(|read| read.class),
            Ok(Class::Success | Class::Error)
        )),
        Reason::NotServed => {
            let read = read.expect("a message");
            let is_modern_request = read.class == Class::Request && read.method == 1 && is_stun(payload);
            assert!(!is_modern_request, "a request without an answer");
        }
        other => panic!("{other:?} is no reason for a STUN server"),
    }
}

/// First the size and the number of the request, then for each datagram an octet of switches that says what it is made of
/// (noise, the request's echo, a server's answer), its damage, and for noise its bytes.
pub(crate) fn prober(data: &[u8]) {
    let mut feed = Feed::new(data);
    let size = usize::from(feed.number() % 256);
    let id = ProbeId(u64::from(feed.number()) << 24 | u64::from(feed.number()));
    let session = |token| {
        StunProber::new(&ProberOptions {
            token,
            size,
            ..ProberOptions::default()
        })
    };
    let (mut ours, mut theirs) = (session(7), session(8));
    let mut request = vec![0; size];
    let asked = with_env(Mono(1_000), |env| ours.request(env, id, &mut request));
    assert_eq!(asked, Some(size).filter(|size| *size >= 20 && size % 4 == 0));
    let answer = answer_to(&request);
    assert_eq!(asked.is_some(), answer.is_some());
    if asked.is_some() {
        let quoted = ours.quoted(&request).and_then(|heard| heard.resolve(id));
        assert_eq!(quoted, Some(id));
    }

    while !feed.is_empty() {
        let how = feed.octet();
        let mut back = match how >> 4 & 3 {
            0 => {
                let len = usize::from(feed.octet());
                feed.bytes(len).to_vec()
            }
            1 => request.clone(),
            _ => answer.clone().unwrap_or_default(),
        };
        feed.damage(&mut back);
        let back = completed(how, &back);
        let rx = datagram(0, Mono(9_000), &back);
        let heard = ours.recognise(&rx);
        if answer.as_ref() == Some(&back) {
            assert!(heard.is_ok(), "{heard:?}");
        }
        if back == request {
            assert!(heard.is_err(), "a request is no answer");
        }
        let _nothing_of_it = ours.quoted(&back);
        assert!(theirs.recognise(&rx).is_err(), "another session's answer counted");
        if let Ok(heard) = heard {
            assert_eq!((heard.bits, heard.resolve(id)), (32, Some(id)));
            assert!(heard.refusal.is_some() != heard.reflection.is_some());
        }
    }
}

fn answer_to(request: &[u8]) -> Option<Vec<u8>> {
    let mut server = StunServer::new(StunServerOptions::default());
    let mut reply = request.to_vec();
    reply.resize(request.len() + 24, 0);
    let rx = datagram(0, Mono(4_000), request);
    match with_env(Mono(5_000), |env| server.respond(env, &rx, &mut reply)) {
        Verdict::Reply(len) => {
            reply.truncate(len);
            Some(reply)
        }
        _ => None,
    }
}

/// What mutation alone would hardly ever find: the length that fits, and the fingerprint.
fn completed(how: u8, bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    if how & FIT != 0 && bytes.len() >= 20 {
        bytes.truncate(bytes.len() / 4 * 4);
        // At most 512 bytes.
        let length = (bytes.len() - 20) as u16;
        bytes[0] &= 0x3f;
        bytes[2..4].copy_from_slice(&length.to_be_bytes());
    }
    if how & SIGN != 0
        && let Ok(read) = Message::parse(&bytes)
    {
        return signed(&read);
    }
    bytes
}

/// The same message with a fingerprint.
fn signed(message: &Message<'_>) -> Vec<u8> {
    let mut bytes = vec![0; 1_024];
    let mut writer =
        Writer::new(&mut bytes, message.class, message.transaction, true).expect("room for a header");
    for (kind, value) in message.attributes() {
        if kind != attribute::FINGERPRINT {
            let copy = |to: &mut [u8]| to.copy_from_slice(value);
            writer
                .attribute(kind, value.len(), copy)
                .expect("no longer than what was read");
        }
    }
    let len = writer.finish();
    bytes.truncate(len);
    bytes
}
