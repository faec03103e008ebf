//! The overlay: its datagrams, what its sessions say, its sessions, its certificates.

use crate::feed::Feed;
use halloo_base::{Mono, Wall};
use halloo_overlay::crypto::{
    Admission, Authority, AuthorityKey, Certificate, Class, Community, Context, Cost, Event, Gate, Identity,
    Local, Numbers, Offer, Opener, Peer, Replayed, Request, Role, SealError, Sealer,
};
use halloo_overlay::wire::{Answer, Controls, HEADER_LEN, Message, Proposal, TAG_LEN, WireError};
use halloo_overlay::{Cipher, Compression};
use std::net::SocketAddr;
use std::sync::LazyLock;
use std::time::Duration;

/// As a datagram, and as the payload of each of a handshake's messages: what is read is written and read the same.
pub(crate) fn message(data: &[u8]) {
    match Message::parse(data) {
        Ok(Message::Hello(hello)) => {
            assert_eq!(Message::parse(&hello.emit()), Ok(Message::Hello(hello)));
        }
        Ok(Message::HelloReply(reply)) => {
            assert_eq!(Message::parse(&reply.emit()), Ok(Message::HelloReply(reply)));
        }
        Ok(Message::Data(header)) => {
            assert_eq!(header.emit()[1..], data[1..HEADER_LEN]);
        }
        Ok(Message::Channel(channel)) => assert_eq!(channel.inner.len() + 8, data.len()),
        Ok(Message::Initiation(initiation)) => {
            assert_eq!(initiation.before_mac1.len() + 32, initiation.len);
        }
        Ok(Message::Response(response)) => assert_eq!(response.noise.len() + 28, data.len()),
        Ok(Message::Cookie(cookie)) => assert_eq!(cookie.before_mac1.len(), 40),
        Err(_) => {}
    }
    if let Ok(proposal) = Proposal::parse(data) {
        let mut out = Vec::new();
        proposal.emit(&mut out, 0).expect("no longer than it was");
        assert_eq!(Proposal::parse(&out), Ok(proposal));
    }
    if let Ok(answer) = Answer::parse(data) {
        let mut out = Vec::new();
        answer.emit(&mut out).expect("no longer than it was");
        assert_eq!(Answer::parse(&out), Ok(answer));
    }
}

/// A control content: what is heard is said and heard the same.
pub(crate) fn control(data: &[u8]) {
    let mut heard = 0;
    for control in Controls::new(data) {
        heard += 1;
        match control {
            Ok(control) => {
                let mut out = Vec::new();
                control.emit(&mut out).expect("no longer than it was");
                let again: Vec<_> = Controls::new(&out).collect();
                assert_eq!(again, [Ok(control)]);
            }
            Err(WireError::UnknownType(kind)) => assert!(kind < 128),
            Err(_) => assert!(heard <= data.len()),
        }
    }
    assert!(heard * 3 <= data.len() + 3, "a TLV has three octets at least");
}

struct Ends {
    ends: [Local; 2],
    authority: Authority,
}

/// Made once: keys cost more than all that is done with them here.
static ENDS: LazyLock<Ends> = LazyLock::new(|| {
    let community = Community::new("garden", b"a secret for fuzzing", Cost::TEST).expect("a community");
    let offer = Offer {
        ciphers: vec![Cipher::Aes256Gcm, Cipher::None],
        compressions: vec![Compression::None],
        frame: 1_518,
        name: "an end".into(),
        features: 0,
        software: String::new(),
    };
    let ends = [[1; 32], [2; 32]]
        .map(|secret| Local::edge(Identity::from_secret(secret), community.clone(), offer.clone()));
    let authority = AuthorityKey::generate(&mut Replayed::new(1)).authority();
    Ends { ends, authority }
});

/// The first octet chooses the cipher, or in a few of its values a whole handshake with damage on the way. Then, step by
/// step: what is sealed, what of it arrives, when again, and how damaged. What was sealed is opened once, unharmed, and what
/// was damaged not at all.
pub(crate) fn session(data: &[u8]) {
    let mut feed = Feed::new(data);
    let how = feed.octet();
    if how == 0xff {
        return handshake(&mut feed);
    }
    let cipher = Cipher::from_octet(how % 5).expect("five ciphers");
    let (mut sealer, mut opener) = (Sealer::new(cipher, &[7; 32], 9), Opener::new(cipher, &[7; 32]));
    let mut sent: Vec<(Vec<u8>, bool)> = Vec::new();
    for _ in 0..64 {
        if feed.is_empty() {
            break;
        }
        let step = feed.octet();
        if step & 1 == 0 || sent.is_empty() {
            let class = if step & 2 == 0 {
                Class::Frames
            } else {
                Class::Control
            };
            let content = feed.bytes(usize::from(step >> 3));
            let mut buffer = [&[0; HEADER_LEN], content, &[0; TAG_LEN]].concat();
            match sealer.seal(step >> 2 & 31, class, &mut buffer, content.len()) {
                Ok(len) => {
                    buffer.truncate(len);
                    sent.push((buffer, false));
                }
                Err(error) => assert_eq!(error, SealError::Room),
            }
            continue;
        }
        let at = usize::from(step >> 2) % sent.len();
        let (datagram, opened) = &mut sent[at];
        let mut arrives = datagram.clone();
        if step & 2 != 0 {
            feed.damage(&mut arrives);
        }
        let Ok(Message::Data(header)) = Message::parse(&arrives) else {
            continue;
        };
        let mut into = vec![0; arrives.len()];
        if let Ok(told) = opener.open(&header, &arrives, &mut into) {
            if told.proved {
                assert!(arrives == *datagram && !*opened, "a false one, or one twice");
                *opened = true;
            } else {
                assert_eq!(cipher, Cipher::None);
            }
        }
    }
}

/// Damage on the way of each message; a session comes of unharmed ones, and none of others.
fn handshake(feed: &mut Feed<'_>) {
    let [one, other] = &ENDS.ends;
    let (mut numbers, mut entropy) = ([Numbers::default(), Numbers::default()], Replayed::new(3));
    let mut peer = Peer::new(1, other.public(), Role::Edge);
    let mut now = Mono(0);
    let from = SocketAddr::from(([192, 0, 2, 1], 7_654));
    peer.begin(now);
    let [mine, theirs] = &mut numbers;
    let mut initiation = Vec::new();
    let mut cx = Context {
        now,
        wall: Wall(1_800_000_000_000_000_000),
        entropy: &mut entropy,
        numbers: mine,
        local: one,
    };
    assert!(peer.wake(&mut cx, &mut initiation).send);
    let before = initiation.clone();
    feed.damage(&mut initiation);
    let harmed = before[..before.len() - 16] != initiation[..before.len() - 16];
    let Ok(Message::Initiation(read)) = Message::parse(&initiation) else {
        return assert!(harmed);
    };
    let mut gate = Gate::new(false);
    if gate.admit(now, &mut entropy, other, from, &read) != Admission::Read {
        return assert!(harmed);
    }
    assert!(!harmed, "the mark is over all of it");
    let request = Request::read(other, &mut entropy, &read).expect("it was not harmed");
    let mut there = Peer::new(2, one.public(), Role::Edge);
    let mut response = Vec::new();
    let mut cx = Context {
        now,
        wall: Wall(1_800_000_000_000_000_000),
        entropy: &mut entropy,
        numbers: theirs,
        local: other,
    };
    there
        .accept(&mut cx, request, from, &mut response)
        .expect("a first initiation");
    assert!(response.len() <= initiation.len());
    now += Duration::from_millis(u64::from(feed.number()));
    let before = response.clone();
    feed.damage(&mut response);
    let mut shown = Vec::new();
    let mut cx = Context {
        now,
        wall: Wall(1_800_000_000_000_000_000),
        entropy: &mut entropy,
        numbers: mine,
        local: one,
    };
    let took = match Message::parse(&response) {
        Ok(Message::Response(read)) => peer.respond(&mut cx, &read, &mut shown),
        _ => return assert!(before != response),
    };
    assert_eq!(took.is_ok(), before == response);
    if let Ok(step) = took {
        assert_eq!(step.event, Some(Event::Up { follows: false }));
        let Ok(Message::Data(header)) = Message::parse(&shown) else {
            panic!("a session is shown");
        };
        let mut into = vec![0; shown.len()];
        let opened = there.open((now, other, theirs), &header, &shown, &mut into);
        assert!(opened.is_ok_and(|(_, event)| event.is_some()));
    }
}

/// A certificate, or a list, or their text: what is read is written and read the same; believed is only what was signed,
/// of which the corpus has examples.
pub(crate) fn certificate(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        if let Ok(certificate) = Certificate::parse_text(text) {
            assert_eq!(Certificate::parse_text(&certificate.emit_text()), Ok(certificate));
        }
        let _ = Authority::parse(text).map(|known| assert!(Authority::parse(&known.emit()).is_ok()));
        let _ = Identity::parse(text).map(|known| Identity::parse(&known.emit()).expect("it was written"));
    }
    if let Ok(certificate) = Certificate::parse(data) {
        let unsigned = certificate.body.unsigned().expect("no longer than it was");
        let again = Certificate::parse(&[&unsigned[..], &[0; 64]].concat()).expect("it was written");
        assert_eq!(again.body, certificate.body);
        // A signature costs as much as a thousand parsers: one in many is looked at.
        let sum: usize = data.iter().map(|&octet| usize::from(octet)).sum();
        if sum.is_multiple_of(512) {
            let mut body = certificate.body;
            body.issuer = ENDS.authority.issuer();
            let octets = body.unsigned().expect("no longer than it was");
            let signature = &data[data.len() - 64..];
            let forged = Certificate::parse(&[&octets[..], signature].concat()).expect("it was written");
            let wall = Wall(body.not_before.saturating_mul(1_000_000_000));
            let believed = ENDS.authority.verify(&forged, &body.key, body.community, wall);
            assert!(believed.is_err(), "nobody signed it");
        }
    }
    let mut known = ENDS.authority.clone();
    assert!(known.revoke(data).is_err(), "nobody signed it");
}
