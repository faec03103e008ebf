//! What edges agree on, and who is no member.

use crate::station::super_frame;
use crate::town::{Flat, Inhabitant, Town, frame, mac, outside};
use halloo_overlay::crypto::{AuthorityKey, CertificateError, Community, Replayed};
use halloo_overlay::edge::{EdgeEvent, News};
use halloo_overlay::supernode::SupernodeOptions;
use halloo_overlay::wire::{CertificateBody, Prefix, Status};
use halloo_overlay::{Cipher, Compression, Mac, PublicKey};
use halloo_sim::{ms, secs};

const CIPHERS: [Cipher; 5] = [
    Cipher::None,
    Cipher::Mac,
    Cipher::Aes128Gcm,
    Cipher::Aes256Gcm,
    Cipher::ChaCha20Poly1305,
];

fn flat(cipher: Cipher, compression: Compression) -> Flat {
    Flat {
        ciphers: vec![cipher],
        compressions: vec![compression],
        ..Flat::default()
    }
}

fn watch(edge: &Inhabitant) {
    edge.seen.lock().expect("nobody panicked").looks = true;
}

#[test]
fn frames_are_equal_by_every_cipher_and_compression_and_nothing_sealed_can_be_read() {
    for cipher in CIPHERS {
        for compression in [Compression::None, Compression::Lz4, Compression::Zstd] {
            let mut town = Town::of(600, vec![flat(cipher, compression); 2]);
            town.edges.iter().for_each(watch);
            let mut sent = vec![];
            for number in 0..60 {
                let one = frame(0, mac(1), &format!("0-1 {number}"), 60 + number * 27);
                town.send(0, secs(2) + ms(10) * number as u32, one.clone());
                sent.push(one);
            }
            let broadcast = frame(0, Mac::BROADCAST, "all 0", 1_514);
            town.send(0, secs(3), broadcast.clone());
            sent.push(broadcast);
            town.world.run_until(secs(4));
            let lens = |frames: &[Vec<u8>]| frames.iter().map(Vec::len).collect::<Vec<_>>();
            assert_eq!(
                lens(&town.heard(1)),
                lens(&sent),
                "{cipher:?} {compression:?} {:?}",
                town.events(0)
            );
            assert!(town.heard(1) == sent, "{cipher:?} {compression:?}");
            let clear = town.edges[0].seen.lock().expect("nobody panicked").clear;
            let is_open = matches!(cipher, Cipher::None | Cipher::Mac);
            if compression == Compression::None {
                assert_eq!(clear > 0, is_open, "{cipher:?}: the label is looked for");
            } else if !is_open {
                assert_eq!(clear, 0, "{cipher:?} {compression:?}");
            }
            let peer = town.peer(1, 0).expect("they have met");
            assert_eq!((peer.cipher, peer.compression), (Some(cipher), Some(compression)));
        }
    }
}

#[test]
fn nothing_can_be_read_of_what_is_relayed() {
    let hidden = Flat {
        direct: false,
        ..Flat::default()
    };
    let mut town = Town::of(601, vec![hidden; 2]);
    town.edges.iter().for_each(watch);
    town.flow((0, 1), secs(3), ms(10), 50, 300);
    town.world.run_until(secs(4));
    town.all_came(0, 1, 50);
    assert_eq!(town.edges[0].seen.lock().expect("nobody panicked").clear, 0);
    assert!(town.report(0).counts.relayed > 50);
}

/// What an edge was told of refusals: by whom, why.
fn refusals(town: &Town, at: usize) -> Vec<(bool, Status, String)> {
    let refused = |event| match event {
        EdgeEvent::Refused { by_us, refusal, .. } => Some((by_us, refusal.status, refusal.words)),
        _ => None,
    };
    town.events(at).into_iter().filter_map(refused).collect()
}

#[test]
fn who_has_no_cipher_or_compression_in_common_hears_why_at_both_ends_and_once() {
    let table = [
        (
            flat(Cipher::Aes256Gcm, Compression::None),
            flat(Cipher::None, Compression::None),
            Status::NoCipher,
            ["no common cipher", "aes-256-gcm", "none"],
        ),
        (
            flat(Cipher::Aes256Gcm, Compression::Lz4),
            flat(Cipher::Aes256Gcm, Compression::Zstd),
            Status::NoCompression,
            ["no common compression", "lz4", "zstd"],
        ),
    ];
    for (one, other, status, words) in table {
        let mut town = Town::of(602, [one, other]);
        town.flow((0, 1), secs(2), ms(100), 20, 300);
        town.world.run_until(secs(100));
        let told = [refusals(&town, 0), refusals(&town, 1)];
        let mut by = vec![];
        for told in &told {
            assert!((1..=2).contains(&told.len()), "{told:?}");
            for (by_us, why, said) in told {
                assert_eq!(*why, status);
                assert!(words.iter().all(|word| said.contains(word)), "{said}");
                by.push(*by_us);
            }
        }
        assert!(by.contains(&true) && by.contains(&false), "{told:?}");
        for at in 0..2 {
            let nameless =
                |event: &EdgeEvent| matches!(event, EdgeEvent::Refused { name, .. } if name.is_empty());
            assert!(
                !town.events(at).iter().any(nameless),
                "{at}: {:?}",
                town.events(at)
            );
        }
        assert_eq!(town.came(1, "0-1 "), []);
        let peer = town.peer(0, 1).expect("it is known");
        assert!(!peer.up && peer.refusal.is_some());
    }
}

#[test]
fn who_has_another_secret_is_no_member_and_everybody_hears_that_there_is_somebody() {
    let other = Flat {
        secret: b"something else",
        ..Flat::default()
    };
    let mut town = Town::of(603, [Flat::default(), other, Flat::default()]);
    town.flow_to((0, Mac::BROADCAST, "all"), secs(2), ms(100), 20, 300);
    town.world.run_until(secs(40));
    assert_eq!(town.came(1, "all "), []);
    assert_eq!(town.came(2, "all ").len(), 20);
    for at in 0..3 {
        let strangers = |event: &EdgeEvent| matches!(event, EdgeEvent::Registered { strangers: 1, .. });
        assert!(
            town.events(at).iter().any(strangers),
            "{at}: {:?}",
            town.events(at)
        );
    }
    assert_eq!(town.status(1).peers, []);
    assert_eq!(town.status(0).peers.len(), 1);
}

/// The world begins on the first of June 2025.
const BEGINS: u64 = 1_748_736_000;

fn body(key: PublicKey, serial: u64) -> CertificateBody {
    CertificateBody {
        key,
        name: "member".into(),
        community: Some(Community::tag_of("town")),
        macs: None,
        addresses: None,
        groups: vec![],
        not_before: BEGINS - 1_000,
        not_after: BEGINS + 1_000_000,
        serial,
        issuer: [0; 8],
    }
}

#[test]
fn an_authority_says_who_is_a_member() {
    let key = AuthorityKey::generate(&mut Replayed::new(1));
    let foreign = AuthorityKey::generate(&mut Replayed::new(2));
    let mut authority = key.authority();
    let list = key.revoke(BEGINS, &[66]).expect("a list");
    authority.revoke(&list).expect("its own");
    let mut town = Town::new(604);
    town.supernode(Default::default());
    let keys: Vec<PublicKey> = (0..6).map(|number| town.identity(number, 0).public()).collect();
    let expired = CertificateBody {
        not_after: BEGINS - 1,
        ..body(keys[3], 3)
    };
    let sign = |by: &AuthorityKey, body: &CertificateBody| by.sign(body).expect("it can be signed");
    let certificates = [
        Some(sign(&key, &body(keys[0], 0))),
        Some(sign(&key, &body(keys[1], 1))),
        None,
        Some(sign(&key, &expired)),
        Some(sign(&foreign, &body(keys[4], 4))),
        Some(sign(&key, &body(keys[5], 66))),
    ];
    for certificate in certificates {
        town.edge(Flat {
            certificate,
            authority: Some(authority.clone()),
            ..Flat::default()
        });
    }
    town.flow_to((0, Mac::BROADCAST, "all"), secs(3), ms(100), 20, 300);
    town.world.run_until(secs(10));
    assert_eq!(town.came(1, "all ").len(), 20);
    let words = ["certificate", "expired", "authority", "revoked"];
    for (at, word) in (2..6).zip(words) {
        assert_eq!(town.came(at, "all "), []);
        let told: Vec<_> = [0, at].iter().flat_map(|&at| refusals(&town, at)).collect();
        let says = |by: bool| {
            told.iter().any(|(by_us, status, said)| {
                *by_us == by && *status == Status::Certificate && said.contains(word)
            })
        };
        assert!(says(true) || says(false), "{at} {word}: {told:?}");
    }
}

#[test]
fn a_member_is_not_heard_with_an_address_that_is_not_his() {
    let key = AuthorityKey::generate(&mut Replayed::new(1));
    let mut town = Town::new(605);
    town.supernode(Default::default());
    for number in 0..3 {
        let body = CertificateBody {
            macs: Some(vec![mac(number)]),
            ..body(town.identity(number, 0).public(), number as u64)
        };
        town.edge(Flat {
            certificate: Some(key.sign(&body).expect("it can be signed")),
            authority: Some(key.authority()),
            ..Flat::default()
        });
    }
    // 2 says that it is 1, to everybody and to 0.
    town.send(2, secs(3), frame(1, Mac::BROADCAST, "lie 0", 100));
    town.send(2, secs(3) + ms(10), frame(1, mac(0), "lie 1", 100));
    town.send(2, secs(3) + ms(20), frame(2, mac(0), "true 0", 100));
    town.flow((0, 1), secs(4), ms(10), 20, 300);
    town.world.run_until(secs(5));
    assert_eq!(town.came(0, "lie "), []);
    assert_eq!(town.came(1, "lie "), []);
    assert_eq!(town.came(0, "true "), [0]);
    assert_eq!(town.count(0, "not_claimed"), 2);
    assert_eq!(town.count(1, "own_source"), 2, "it has that address itself");
    town.all_came(0, 1, 20);
}

/// A frame of ARP that says who has an address.
fn arp(from: usize, says: [u8; 4]) -> Vec<u8> {
    let start = [8, 6, 0, 1, 8, 0, 6, 4, 0, 2];
    let own = mac(from).0;
    [
        &Mac::BROADCAST.0[..],
        &own,
        &start,
        &own,
        &says,
        &own,
        &says,
        &[0; 18],
    ]
    .concat()
}

#[test]
fn a_member_is_not_heard_as_an_address_of_ip_that_is_not_his() {
    let key = AuthorityKey::generate(&mut Replayed::new(1));
    let mut town = Town::new(607);
    town.supernode(Default::default());
    let own = |number: usize| [192, 168, 1, number as u8 + 1];
    for number in 0..3 {
        let body = CertificateBody {
            // What 1 may have is not bound.
            addresses: (number != 1).then_some(vec![Prefix {
                address: own(number).into(),
                len: 24,
            }]),
            ..body(town.identity(number, 0).public(), number as u64)
        };
        town.edge(Flat {
            certificate: Some(key.sign(&body).expect("it can be signed")),
            authority: Some(key.authority()),
            ..Flat::default()
        });
    }
    town.send(2, secs(3), arp(2, own(2)));
    town.send(2, secs(3) + ms(10), arp(2, own(0)));
    town.send(1, secs(3) + ms(20), arp(1, own(2)));
    town.send(2, secs(3) + ms(30), frame(2, mac(0), "no IP 0", 100));
    // A whole super-frame of TCP from 192.0.2.1; all get it, since nobody has heard of 0's station.
    town.send(2, secs(3) + ms(40), super_frame(2, mac(0), 20_000));
    town.world.run_until(secs(4));
    let says: Vec<Vec<u8>> = town
        .heard(0)
        .into_iter()
        .filter(|frame| frame[12..14] == [8, 6])
        .collect();
    assert_eq!(says, [arp(2, own(2)), arp(1, own(2))]);
    assert_eq!(town.came(0, "no IP "), [0]);
    assert_eq!(town.heard(0).len(), 3);
    assert_eq!(
        (
            town.count(0, "address_not_claimed"),
            town.count(1, "address_not_claimed")
        ),
        (2, 2)
    );
}

#[test]
fn a_list_that_comes_later_parts_the_others_from_who_is_on_it_and_no_one_else() {
    let key = AuthorityKey::generate(&mut Replayed::new(1));
    let foreign = AuthorityKey::generate(&mut Replayed::new(2));
    let mut town = Town::new(608);
    town.supernode(Default::default());
    for number in 0..3 {
        let body = body(town.identity(number, 0).public(), number as u64);
        town.edge(Flat {
            certificate: Some(key.sign(&body).expect("it can be signed")),
            authority: Some(key.authority()),
            ..Flat::default()
        });
    }
    let tell = |town: &mut Town, list: Vec<u8>| {
        *town.edges[0].post.news.lock().expect("nobody panicked") = Some(News {
            link_mtu: 1_500,
            revoked: Some(list),
            ..News::default()
        });
        town.world.report(town.edges[0].edge);
        town.world.run_for(ms(50));
    };
    let list = |by: &AuthorityKey, serials: &[u64]| by.revoke(BEGINS, serials).expect("a list");
    town.world.run_until(secs(3));
    assert_eq!(town.meetings(), (6, 6));
    tell(&mut town, list(&foreign, &[1, 2]));
    assert_eq!(town.meetings(), (6, 6), "another authority's list");
    tell(&mut town, list(&key, &[2, 99]));
    assert_eq!(town.meetings(), (4, 6), "both ends of that pair know, at once");
    let told = [refusals(&town, 0), refusals(&town, 2)];
    for (at, by_us) in [(0, true), (1, false)] {
        assert!(
            matches!(&told[at][..], [(by, Status::Certificate, why)] if *by == by_us && why.contains("revoked")),
            "{told:?}"
        );
    }
    let events = town.events(0);
    assert!(events.contains(&EdgeEvent::Revoked { serials: 2 }));
    assert!(events.contains(&EdgeEvent::RevocationRefused(CertificateError::Foreign)));
    let start = town.world.now();
    town.flow_to((2, Mac::BROADCAST, "all"), start, ms(1_000), 60, 100);
    town.flow((1, 0), start, ms(1_000), 60, 100);
    // New keys do not bring him back.
    town.world.run_until(start + secs(200));
    town.all_came(1, 0, 60);
    assert_eq!(town.came(0, "all "), []);
    assert_eq!(town.came(1, "all ").len(), 60, "1 has not got the list");
}

#[test]
fn who_is_refused_is_let_be_for_a_while_and_then_tried_again() {
    let key = AuthorityKey::generate(&mut Replayed::new(1));
    let mut town = Town::new(606);
    // Nobody who carries for them has reason to bring them together again.
    town.supernode(SupernodeOptions {
        relay: false,
        ..SupernodeOptions::default()
    });
    for (number, not_before) in [BEGINS - 1_000, BEGINS + 20].into_iter().enumerate() {
        let body = CertificateBody {
            not_before,
            ..body(town.identity(number, 0).public(), number as u64)
        };
        town.edge(Flat {
            certificate: Some(key.sign(&body).expect("it can be signed")),
            authority: Some(key.authority()),
            ..Flat::default()
        });
    }
    town.edges.iter().for_each(|edge| {
        edge.seen.lock().expect("nobody panicked").sent = Some(vec![]);
    });
    town.world.run_until(secs(25));
    for at in 0..2 {
        let sent = town.edges[at].seen.lock().expect("nobody panicked").sent.take();
        let sent = sent.expect("it was watched");
        let begun = sent
            .iter()
            .filter(|(to, bytes)| to.ip() == outside(1 - at) && bytes[0] == 0xa2);
        assert!(begun.count() <= 2, "{at} comes again and again");
        assert!(!town.peer(at, 1 - at).expect("it is known").up);
    }
    town.world.run_until(secs(40));
    assert!(town.peer(0, 1).is_some_and(|peer| peer.up));
}
