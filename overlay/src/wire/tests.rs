use super::payload::walk;
use super::*;
use crate::{Cipher, Compression, Mac, PublicKey};
use proptest::prelude::*;
use std::net::{IpAddr, SocketAddr};

/// Every prefix of bytes that parse, but the whole, is refused.
fn refused_when_cut<T>(bytes: &[u8], parse: impl Fn(&[u8]) -> Result<T, WireError>) {
    assert!(parse(bytes).is_ok());
    for len in 0..bytes.len() {
        assert!(parse(&bytes[..len]).is_err(), "{len} of {}", bytes.len());
    }
}

#[test]
fn every_kind_is_read_by_its_first_octet() {
    let hello = Hello { token: *b"whoareyu" };
    assert_eq!(Message::parse(&hello.emit()), Ok(Message::Hello(hello)));
    let reply = hello.reply(PublicKey([7; 32]), 5);
    assert_eq!(Message::parse(&reply.emit()), Ok(Message::HelloReply(reply)));
    let mut initiation = vec![9; 500];
    initiation[..8].copy_from_slice(&Initiation::head(0x0102_0304));
    let Ok(Message::Initiation(read)) = Message::parse(&initiation) else {
        panic!("an initiation");
    };
    assert_eq!((read.sender, read.noise.len(), read.len), (0x0102_0304, 460, 500));
    assert_eq!((read.before_mac1.len(), read.before_mac2.len()), (468, 484));
    let mut response = vec![9; 100];
    response[..12].copy_from_slice(&Response::head(1, 2));
    let Ok(Message::Response(read)) = Message::parse(&response) else {
        panic!("a response");
    };
    assert_eq!((read.sender, read.receiver, read.noise.len()), (1, 2, 72));
    let cookie = Cookie::emit(3, [4; 16], [5; 16], |before| [before.len() as u8; 16]);
    let Ok(Message::Cookie(read)) = Message::parse(&cookie) else {
        panic!("a cookie");
    };
    assert_eq!(
        (read.receiver, read.initiation, read.cookie, read.mac1),
        (3, [4; 16], [5; 16], [40; 16])
    );
    let header = DataHeader {
        path: 31,
        flags: flag::CONTROL,
        receiver: 0xa1b2_c3d4,
        counter: 1 << 40,
    };
    let data = [&header.emit()[..], &[0]].concat();
    assert_eq!(Message::parse(&data), Ok(Message::Data(header)));
    let channel = [&Channel::head(77)[..], &data].concat();
    let inner = &data[..];
    assert_eq!(
        Message::parse(&channel),
        Ok(Message::Channel(Channel { number: 77, inner }))
    );
}

#[test]
fn what_is_of_no_kind_or_version_or_length_is_refused() {
    assert_eq!(Message::parse(&[]), Err(WireError::Length));
    for kind in (0..=u8::MAX).filter(|kind| !(0xa0..=0xa6).contains(kind)) {
        assert_eq!(Message::parse(&[kind; 100]), Err(WireError::Kind(kind)));
    }
    let mut hello = Hello { token: [1; 8] }.emit();
    refused_when_cut(&hello, |bytes| Message::parse(bytes).map(drop));
    assert!(Message::parse(&[&hello[..], &[0]].concat()).is_err());
    hello[1] = 2;
    assert_eq!(Message::parse(&hello), Err(WireError::Version(2)));
    for len in [0, 8, 399, 1_201] {
        let mut initiation = vec![0; len.max(8)];
        initiation[..8].copy_from_slice(&Initiation::head(1));
        assert_eq!(Message::parse(&initiation), Err(WireError::Length));
    }
    // A path that is none, a channel in a channel, a hello in a channel, nothing in a channel.
    let mut data = [1; 40];
    data[..2].copy_from_slice(&[kind::DATA, 32]);
    assert!(Message::parse(&data).is_err());
    for inner in [&[kind::CHANNEL; 30][..], &[kind::HELLO; 64], &[]] {
        let channel = [&Channel::head(1)[..], inner].concat();
        assert!(Message::parse(&channel).is_err());
    }
}

#[test]
fn no_answer_to_a_stranger_is_longer_than_what_it_answers() {
    const { assert!(HelloReply::LEN <= Hello::LEN && Cookie::LEN <= Initiation::SHORTEST) };
}

#[test]
fn what_must_be_understood_refuses_and_what_may_be_left_out_is() {
    let take = |_: u8, value: &mut Reader<'_>| {
        value.rest();
        Ok(false)
    };
    assert_eq!(walk(&[127, 0, 0], take), Err(WireError::UnknownType(127)));
    assert_eq!(walk(&[128, 0, 1, 5], take), Ok(()));
    assert_eq!(walk(&[128, 0, 0, 128, 0, 0], take), Err(WireError::Repeated(128)));
    assert_eq!(walk(&[128, 0, 2, 5], take), Err(WireError::Length));
    let mut controls = Controls::new(&[99, 0, 1, 0, 200, 0, 0, 5, 0, 1, 9]);
    assert_eq!(controls.next(), Some(Err(WireError::UnknownType(99))));
    assert_eq!(controls.next(), Some(Ok(Control::Unknown(9))));
    assert_eq!(controls.next(), None);
    let mut broken = Controls::new(&[24, 0, 3, 0, 0, 0, 5, 0, 1, 9]);
    assert_eq!(broken.next(), Some(Err(WireError::Length)));
    assert_eq!(broken.next(), None);
}

#[test]
fn a_cipher_of_a_later_version_is_no_offer_and_no_fault() {
    let mut payload = Vec::new();
    let mut proposal = proposal();
    proposal.emit(&mut payload, 0).unwrap();
    let at = payload.windows(3).position(|at| at == [3, 0, 2]).unwrap();
    payload[at + 3] = 77;
    proposal.ciphers.remove(0);
    assert_eq!(Proposal::parse(&payload), Ok(proposal));
}

#[test]
fn words_for_people_hold_nothing_that_a_terminal_obeys() {
    for name in ["a\u{1b}[2J", "two\nlines", &"x".repeat(33)] {
        let mut payload = Vec::new();
        proposal().emit(&mut payload, 0).unwrap();
        payload.extend_from_slice(&[131, 0, name.len() as u8]);
        payload.extend_from_slice(name.as_bytes());
        assert_eq!(Proposal::parse(&payload), Err(WireError::Value(131)), "{name:?}");
    }
    let mut answer = Answer::refusal(Status::Full, &"\u{7}\u{fc}".repeat(100));
    answer.name = "e\u{1b}dge".into();
    let mut payload = Vec::new();
    answer.emit(&mut payload).unwrap();
    let read = Answer::parse(&payload).unwrap();
    assert_eq!((read.reason, read.name), ("\u{fc}".repeat(60), "edge".into()));
}

#[test]
fn padding_makes_a_proposal_as_long_as_is_asked() {
    let mut bare = Vec::new();
    proposal().emit(&mut bare, 0).unwrap();
    for least in 0..bare.len() + 20 {
        let mut payload = Vec::new();
        proposal().emit(&mut payload, least).unwrap();
        assert!(payload.len() >= least && payload.len() <= least.max(bare.len()) + 3);
        assert_eq!(Proposal::parse(&payload), Ok(proposal()));
    }
}

#[test]
fn a_cut_payload_is_refused_or_says_less() {
    let mut payload = Vec::new();
    proposal().emit(&mut payload, 0).unwrap();
    for len in 0..payload.len() {
        assert_ne!(Proposal::parse(&payload[..len]), Ok(proposal()));
    }
    let mut body = CertificateBody::emit(&certificate()).unwrap();
    refused_when_cut(&body, CertificateBody::parse);
    body[1] = 1;
    assert!(<CertificateBody as Fields>::parse(&body).is_err());
}

#[test]
fn a_certificate_does_not_grow_past_its_bound() {
    let mut long = certificate();
    long.macs = Some(vec![Mac([2; 6]); 100]);
    assert_eq!(long.emit(), Err(WireError::TooLong));
    let mut groups = certificate();
    groups.groups = vec!["g".into(); 17];
    assert_eq!(groups.emit(), Err(WireError::TooLong));
}

#[test]
fn a_list_of_serials_is_in_order() {
    let list = RevocationBody {
        issued: 7,
        serials: vec![9, 3, 3, 5],
        issuer: [1; 8],
    };
    let mut body = list.emit().unwrap();
    assert_eq!(RevocationBody::parse(&body).unwrap().serials, [3, 5, 9]);
    *body.last_mut().unwrap() = 5;
    assert_eq!(
        <RevocationBody as Fields>::parse(&body),
        Err(WireError::Value(12))
    );
}

#[test]
fn prefixes_are_no_longer_than_their_addresses() {
    let mut out = Vec::new();
    let address: IpAddr = [192, 0, 2, 1].into();
    for len in [33, 129] {
        out.clear();
        let registered = Control::Registered {
            lifetime: 60,
            address: Some(Prefix { address, len }),
            members: 1,
            strangers: 0,
        };
        registered.emit(&mut out).unwrap();
        assert_eq!(Controls::new(&out).next(), Some(Err(WireError::Value(17))));
    }
}

fn proposal() -> Proposal {
    Proposal {
        time: 1_800_000_000_000_000_000,
        community: Some((CommunityId([1; 16]), CommunityTag([2; 8]))),
        ciphers: vec![Cipher::Aes256Gcm, Cipher::ChaCha20Poly1305],
        compressions: vec![Compression::None],
        frame: 1_518,
        certificate: None,
        rekey: Some(5),
        name: "north".into(),
        features: 3,
        software: String::new(),
    }
}

fn certificate() -> CertificateBody {
    CertificateBody {
        key: PublicKey([3; 32]),
        name: "north".into(),
        community: Some(CommunityTag([2; 8])),
        macs: Some(vec![Mac([2, 0, 0, 0, 0, 1])]),
        addresses: Some(vec![Prefix {
            address: [192, 168, 1, 2].into(),
            len: 24,
        }]),
        groups: vec!["office".into()],
        not_before: 1,
        not_after: 2,
        serial: 3,
        issuer: [4; 8],
    }
}

fn address() -> impl Strategy<Value = SocketAddr> {
    (
        prop_oneof![
            any::<[u8; 4]>().prop_map(IpAddr::from),
            any::<[u8; 16]>().prop_map(IpAddr::from)
        ],
        any::<u16>(),
    )
        .prop_map(|(ip, port)| SocketAddr::new(ip.to_canonical(), port))
}

fn addresses() -> impl Strategy<Value = Vec<SocketAddr>> {
    prop::collection::vec(address(), 0..=16)
}

fn prefixes() -> impl Strategy<Value = Vec<Prefix>> {
    let prefix = (address(), any::<u8>()).prop_map(|(address, len)| Prefix {
        address: address.ip(),
        len: len % if address.is_ipv4() { 33 } else { 129 },
    });
    prop::collection::vec(prefix, 0..20)
}

fn macs() -> impl Strategy<Value = Vec<Mac>> {
    prop::collection::vec(any::<[u8; 6]>().prop_map(Mac), 0..20)
}

fn key() -> impl Strategy<Value = PublicKey> {
    any::<[u8; 32]>().prop_map(PublicKey)
}

fn bookmark() -> impl Strategy<Value = Bookmark> {
    (any::<u32>(), any::<u32>()).prop_map(|(cursor, begun)| Bookmark { cursor, begun })
}

fn status() -> impl Strategy<Value = Status> {
    any::<u8>().prop_map(Status::from_octet)
}

fn control() -> impl Strategy<Value = Control> {
    let name = "[a-z\u{e4}-]{0,16}";
    let introduced =
        (key(), any::<u32>(), addresses(), name).prop_map(|(key, features, candidates, name)| Introduced {
            key,
            features,
            candidates,
            name,
        });
    prop_oneof![
        (any::<u32>(), any::<u64>(), 0..2_000u16).prop_map(|(number, time, padding)| Control::Ping {
            number,
            time,
            padding
        }),
        (any::<u32>(), any::<u64>(), any::<u16>(), address(), any::<u64>()).prop_map(
            |(number, time, size, seen, waited)| Control::Pong {
                number,
                time,
                size,
                seen,
                waited
            }
        ),
        addresses().prop_map(Control::Candidates),
        (status(), name).prop_map(|(reason, words)| Control::Close { reason, words }),
        any::<u8>().prop_map(Control::Unknown),
        macs().prop_map(Control::Flush),
        (any::<u16>(), any::<bool>(), addresses(), macs()).prop_map(|(port, fresh, addresses, stations)| {
            Control::Vtep(Vtep {
                port,
                fresh,
                addresses: addresses.iter().map(SocketAddr::ip).collect(),
                stations,
            })
        }),
        (any::<u16>(), macs(), prefixes(), any::<bool>(), name).prop_map(
            |(lifetime, macs, addresses, wants_address, name)| Control::Register(Registration {
                lifetime,
                macs,
                addresses,
                wants_address,
                name,
            })
        ),
        (any::<u16>(), prefixes(), any::<u32>(), any::<u16>()).prop_map(
            |(lifetime, prefixes, members, strangers)| Control::Registered {
                lifetime,
                address: prefixes
                    .first()
                    .copied()
                    .filter(|prefix| !prefix.address.is_unspecified()),
                members,
                strangers,
            }
        ),
        (
            bookmark(),
            (any::<u32>(), any::<bool>()),
            prop::collection::vec(introduced, 0..5),
            prop::collection::vec(key(), 0..5)
        )
            .prop_map(|(next, (more, anew), members, gone)| Control::Members {
                next,
                more,
                anew,
                members,
                gone
            }),
        (key(), addresses()).prop_map(|(key, candidates)| Control::Meet { key, candidates }),
        key().prop_map(Control::OpenChannel),
        (key(), any::<u32>(), any::<u16>()).prop_map(|(key, number, lifetime)| Control::Channel {
            key,
            number,
            lifetime
        }),
        prop::collection::vec((address(), key()), 0..5).prop_map(|all| Control::Supernodes(
            all.into_iter()
                .map(|(address, key)| SupernodeAt { address, key })
                .collect()
        )),
        bookmark().prop_map(Control::List),
        (any::<u8>(), status(), name).prop_map(|(kind, reason, words)| Control::Refused {
            kind,
            reason,
            words
        }),
    ]
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..600), kind in 0xa0u8..0xa8) {
        let _ = Message::parse(&bytes);
        let _ = Message::parse(&[&[kind, 1][..], &bytes].concat());
        let _ = Proposal::parse(&bytes);
        let _ = Answer::parse(&bytes);
        let _ = <CertificateBody as Fields>::parse(&bytes);
        let _ = <RevocationBody as Fields>::parse(&bytes);
        prop_assert!(Controls::new(&bytes).count() <= bytes.len());
    }

    #[test]
    fn what_is_said_is_heard(said in prop::collection::vec(control(), 0..4)) {
        let mut content = Vec::new();
        for control in &said {
            control.emit(&mut content).unwrap();
        }
        let heard: Result<Vec<_>, _> = Controls::new(&content).collect();
        prop_assert_eq!(heard, Ok(said));
    }

    #[test]
    fn a_control_that_is_cut_or_longer_says_something_else(said in control(), cut in any::<prop::sample::Index>()) {
        let mut content = Vec::new();
        said.emit(&mut content).unwrap();
        let cut = cut.index(content.len());
        prop_assert!(cut == 0 || Controls::new(&content[..cut]).any(|control| control.is_err()));
    }

    #[test]
    fn an_answer_is_read_as_it_was_written(
        status in status(), frame in 1..u16::MAX, seen in address(), time in any::<u64>(), features in any::<u32>(),
    ) {
        let answer = Answer {
            status,
            cipher: Some(Cipher::ChaCha20Poly1305),
            compression: Some(Compression::Zstd),
            frame,
            time: Some(time),
            certificate: Some(vec![1, 2, 3]),
            name: "south".into(),
            seen: Some(seen),
            features,
            software: "halloo".into(),
            reason: "no room".into(),
        };
        let mut payload = Vec::new();
        answer.emit(&mut payload).unwrap();
        prop_assert_eq!(Answer::parse(&payload), Ok(answer));
    }

    #[test]
    fn a_certificate_is_read_as_it_was_written(
        key in key(), macs in prop::option::of(macs()), addresses in prop::option::of(prefixes()), serial in any::<u64>(),
    ) {
        let body = CertificateBody { key, macs, addresses, serial, ..certificate() };
        if let Ok(bytes) = body.emit() {
            prop_assert_eq!(<CertificateBody as Fields>::parse(&bytes), Ok(body));
        }
    }
}
