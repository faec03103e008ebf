//! What strangers can do: nothing, at the price of a hash.

use super::*;
use crate::wire::{Initiation, kind};

/// The first end's initiation to the second, and the story.
fn begun(locals: [Local; 2]) -> (Story, Vec<u8>) {
    let mut story = Story::new(locals);
    story.ends[0].peer.begin(at(0));
    let initiation = story.ends[0].wake(at(0)).unwrap();
    (story, initiation)
}

#[test]
fn every_flipped_bit_of_a_handshake_is_refused_and_the_true_one_taken() {
    let (mut story, initiation) = begun(edges());
    let [one, other] = &mut story.ends;
    for octet in 0..initiation.len() {
        for bit in [0, 7] {
            let mut flipped = initiation.clone();
            flipped[octet] ^= 1 << bit;
            // Of the second mark no bit counts while the gate does not ask for it.
            if octet < initiation.len() - 16 {
                assert_eq!(other.take(at(1), one.address, &flipped), None, "octet {octet}");
            }
        }
    }
    for len in 0..initiation.len() {
        assert_eq!(other.take(at(1), one.address, &initiation[..len]), None);
    }
    assert!(other.numbers.is_empty() && other.events.is_empty());
    let response = other.take(at(1), one.address, &initiation).unwrap();
    for octet in 0..response.len() {
        for bit in [0, 7] {
            let mut flipped = response.clone();
            flipped[octet] ^= 1 << bit;
            assert_eq!(one.take(at(2), other.address, &flipped), None, "octet {octet}");
        }
    }
    for len in 0..response.len() {
        assert_eq!(one.take(at(2), other.address, &response[..len]), None);
    }
    assert!(one.events.is_empty());
    let data = one.take(at(2), other.address, &response).unwrap();
    assert_eq!(other.take(at(3), one.address, &data), None);
    assert_eq!(other.events, [Event::Up { follows: false }]);
}

#[test]
fn what_has_the_right_marks_and_the_wrong_keys_is_refused_by_noise() {
    let (mut story, initiation) = begun(edges());
    let [one, other] = &mut story.ends;
    // Whoever knows the key and the secret can make a mark; he has no private key of a member's.
    let key = *other.local.mac1_key(Role::Edge);
    for octet in [8, 40, 60, 90, 200] {
        let mut flipped = initiation.clone();
        flipped[octet] ^= 1;
        let until = flipped.len() - 32;
        let mark = super::super::hash::keyed(&key, &[&flipped[..until]]);
        flipped[until..until + 16].copy_from_slice(&mark);
        assert_eq!(other.take(at(1), one.address, &flipped), None);
    }
    assert_eq!(other.errors, ["its keys are wrong"; 5]);
    assert!(other.numbers.is_empty());
}

#[test]
fn another_secret_is_another_community() {
    let mut locals = edges();
    let identity = Identity::generate(&mut Replayed::new(1));
    let other = Community::new("garden", b"a secret that few know", Cost::TEST).unwrap();
    assert_eq!(other.tag(), community().tag());
    assert_ne!(other.id(), community().id());
    locals[0] = Local::edge(identity, other, offer());
    let mut story = Story::new(locals);
    story.ends[0].peer.begin(at(0));
    story.run(at(200_000));
    assert_eq!(story.ends[0].events, [Event::GaveUp]);
    assert!(story.ends[1].errors.iter().all(|error| error == "stranger"));
    assert!(story.sent_by(1, kind::RESPONSE).is_empty() && story.ends[1].numbers.is_empty());
}

#[test]
fn what_is_for_another_key_is_not_read() {
    let [one, other] = edges();
    let mut story = Story::new([one, other]);
    let wrong = Identity::generate(&mut Replayed::new(99)).public();
    story.ends[0].peer = Peer::new(7, wrong, Role::Edge);
    story.ends[0].peer.begin(at(0));
    story.run(at(10_000));
    assert!(story.ends[1].errors.iter().all(|error| error == "stranger"));
    assert!(!story.up());
}

#[test]
fn an_edges_gate_asks_for_cookies_above_its_budget_and_only_then() {
    let (mut story, initiation) = begun(edges());
    let Ok(Message::Initiation(read)) = Message::parse(&initiation) else {
        panic!("an initiation");
    };
    let [one, other] = &mut story.ends;
    let (mut gate, mut entropy) = (Gate::new(false), Replayed::new(3));
    let mut admit = |now, from| gate.admit(now, &mut entropy, &other.local, from, &read);
    for _ in 0..32 {
        assert_eq!(admit(at(5_000), one.address), Admission::Read);
    }
    assert!(matches!(admit(at(5_000), one.address), Admission::Cookie(_)));
    // A 32nd of a second gives one back.
    assert!(matches!(admit(at(5_031), one.address), Admission::Cookie(_)));
    assert_eq!(admit(at(5_032), one.address), Admission::Read);
    assert!(matches!(admit(at(5_033), one.address), Admission::Cookie(_)));
    let second = (0..100).filter(|n| admit(at(6_000 + n * 10), one.address) == Admission::Read);
    assert!((60..=65).contains(&second.count()));
}

#[test]
fn a_cookie_is_of_one_address_and_of_its_time() {
    let (mut story, initiation) = begun([edge(1), supernode(2)]);
    let [one, other] = &mut story.ends;
    let from = one.address;
    let cookie = other.take(at(1), from, &initiation).unwrap();
    assert_eq!((cookie.len(), other.numbers.len()), (56, 0));
    // A cookie that was changed, or is of another initiation, changes nothing.
    for octet in 0..cookie.len() {
        let mut flipped = cookie.clone();
        flipped[octet] ^= 1;
        assert_eq!(one.take(at(2), other.address, &flipped), None, "octet {octet}");
    }
    let shown = one.take(at(2), other.address, &cookie).unwrap();
    let elsewhere = SocketAddr::from(([192, 0, 2, 99], 7_654));
    let other_port = SocketAddr::new(from.ip(), 7_655);
    for address in [elsewhere, other_port] {
        assert_eq!(
            other.take(at(3), address, &shown).map(|out| out[0]),
            Some(kind::COOKIE)
        );
    }
    let mapped = SocketAddr::from((std::net::Ipv4Addr::new(192, 0, 2, 11).to_ipv6_mapped(), 7_654));
    let Ok(Message::Initiation(read)) = Message::parse(&shown) else {
        panic!("an initiation");
    };
    let mut entropy = Replayed::new(9);
    let mut admit = |now, from| other.gate.admit(now, &mut entropy, &other.local, from, &read);
    assert_eq!(admit(at(3), mapped), Admission::Read);
    assert_eq!(admit(at(119_000), from), Admission::Read);
    assert_eq!(admit(at(121_000), from), Admission::Read);
    assert_eq!(admit(at(239_000), from), Admission::Read);
    assert!(matches!(admit(at(242_000), from), Admission::Cookie(_)));
    // The same cookie does not make the initiation go out for ever.
    let again = (0..10).filter(|_| one.take(at(4), other.address, &cookie).is_some());
    assert_eq!(again.count(), 2);
}

#[test]
fn nothing_is_kept_for_a_hundred_thousand_strangers() {
    let mut gate = Gate::new(true);
    let local = supernode(2);
    let mut entropy = Replayed::new(5);
    let mut noise = vec![0; Initiation::SHORTEST];
    for n in 0..20_000u32 {
        entropy.fill(&mut noise);
        noise[..8].copy_from_slice(&Initiation::head(n));
        let Ok(Message::Initiation(read)) = Message::parse(&noise) else {
            panic!("an initiation");
        };
        let from = SocketAddr::from((n.to_be_bytes(), 7));
        assert_eq!(
            gate.admit(Mono(u64::from(n)), &mut entropy, &local, from, &read),
            Admission::Stranger
        );
    }
}

#[test]
fn a_supernode_without_room_says_so() {
    let (mut story, initiation) = begun([edge(1), supernode(2)]);
    let [one, other] = &mut story.ends;
    let Ok(Message::Initiation(read)) = Message::parse(&initiation) else {
        panic!("an initiation");
    };
    let request = Request::read(&other.local, &mut other.entropy, &read).unwrap();
    let said = request.proposal().unwrap().community.unwrap();
    assert_eq!(said, (community().id(), community().tag()));
    let refusal = Refusal {
        status: crate::wire::Status::Full,
        words: "5,000 members are here".into(),
    };
    let mut out = Vec::new();
    request.refuse(&other.local, &refusal, &mut out).unwrap();
    assert!(out.len() <= initiation.len());
    assert_eq!(one.take(at(1), other.address, &out), None);
    assert_eq!(one.events, [Event::Refused(refusal)]);
}

#[test]
fn numbers_are_random_and_are_not_used_twice() {
    let (mut numbers, mut entropy) = (Numbers::default(), Replayed::new(1));
    let drawn: std::collections::BTreeSet<_> = (0..5_000)
        .map(|owner| numbers.draw(owner, &mut entropy))
        .collect();
    assert_eq!((drawn.len(), numbers.len()), (5_000, 5_000));
    let mut again = Replayed::new(1);
    let first = drawn
        .iter()
        .find(|number| numbers.owner(**number) == Some(0))
        .copied()
        .unwrap();
    assert_ne!(
        numbers.draw(7, &mut again),
        first,
        "the same entropy gives the next number"
    );
    numbers.release(first);
    assert_eq!(numbers.owner(first), None);
    assert!(
        drawn
            .iter()
            .zip(drawn.iter().skip(1))
            .any(|(a, b)| b - a > 1_000_000)
    );
}
