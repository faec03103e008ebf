//! How a session comes about, and how not.

use super::*;
use crate::wire::{Answer, Control, Controls, Initiation, Status, kind};
use proptest::prelude::*;

#[test]
fn two_edges_meet_in_one_round_trip_and_carry_both_ways() {
    let mut story = Story::met(edges());
    assert_eq!(story.ends[0].events, [Event::Up { follows: false }]);
    assert_eq!(story.ends[1].events, [Event::Up { follows: false }]);
    let agreed = story.ends[0].peer.agreed().unwrap();
    assert_eq!((agreed.cipher, agreed.frame), (Cipher::Aes256Gcm, 1_518));
    assert_eq!(agreed.seen, Some(story.ends[0].address));
    assert_eq!(agreed.name, "an end");
    story.carries(0);
    story.carries(1);
    assert_eq!(story.sent_by(0, kind::INITIATION).len(), 1);
    assert_eq!(story.sent_by(1, kind::RESPONSE).len(), 1);
    // The initiator showed the session, the responder answered, and then there was silence.
    assert_eq!(story.sent.len(), 4);
    assert_eq!(story.ends.each_ref().map(|end| end.numbers.len()), [1, 1]);
}

#[test]
fn a_supernode_first_wants_to_see_that_the_address_is_true() {
    let mut story = Story::new([edge(1), supernode(2)]);
    story.ends[0].peer.begin(at(0));
    story.run(at(100));
    assert!(story.up());
    let initiations = story.sent_by(0, kind::INITIATION);
    let [(_, _, first), (_, _, second)] = initiations[..] else {
        panic!("two initiations");
    };
    assert_eq!(story.sent_by(1, kind::COOKIE).len(), 1);
    let until_mac2 = first.len() - 16;
    assert_eq!(first[..until_mac2], second[..until_mac2]);
    assert_eq!(first[until_mac2..], [0; 16]);
    // The cookie is good for the next one too.
    story.ends[0].peer.begin(story.now);
    story.run(at(200));
    assert_eq!(story.sent_by(1, kind::COOKIE).len(), 1);
    assert_eq!(story.sent_by(1, kind::RESPONSE).len(), 2);
    story.carries(0);
    story.carries(1);
}

#[test]
fn nobody_answers_and_it_is_given_up_after_ninety_seconds() {
    let mut story = Story::new(edges());
    story.ends[0].peer.begin(at(0));
    story.run_with(at(200_000), &mut |_| vec![]);
    assert_eq!(story.ends[0].events, [Event::GaveUp]);
    let times: Vec<_> = story.sent.iter().map(|(at, ..)| at.0 / 1_000_000).collect();
    assert_eq!(times[0], 0);
    let gaps: Vec<_> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let first = [500, 1_000, 1_000, 1_000, 1_000, 2_000];
    let least = first.into_iter().chain(std::iter::repeat(4_000));
    assert!(
        gaps.iter()
            .zip(least)
            .all(|(gap, least)| (least..least + 334).contains(gap)),
        "{gaps:?}"
    );
    assert!(gaps[6..].iter().any(|gap| *gap != gaps[6]), "no jitter: {gaps:?}");
    assert!(times.len() > 25 && *times.last().unwrap() < 90_000, "{times:?}");
    assert!(story.ends[0].numbers.is_empty() && story.ends[0].deadline().is_none());
}

#[test]
fn a_lost_message_costs_less_than_a_second() {
    for lost in [kind::INITIATION, kind::RESPONSE] {
        let mut story = Story::new(edges());
        story.ends[0].peer.begin(at(0));
        let mut left = 1;
        story.run_with(at(900), &mut |datagram| {
            if datagram[0] == lost && left > 0 {
                left -= 1;
                return vec![];
            }
            vec![Duration::from_millis(10)]
        });
        assert!(story.up(), "{lost:#x}");
        story.carries(0);
        story.carries(1);
        assert_eq!(story.ends.each_ref().map(|end| end.numbers.len()), [1, 1]);
    }
}

#[test]
fn the_first_datagrams_lost_a_session_shows_itself_again() {
    let mut story = Story::new(edges());
    story.ends[0].peer.begin(at(0));
    let mut left = 2;
    story.run_with(at(5_000), &mut |datagram| {
        if datagram[0] == kind::DATA && left > 0 {
            left -= 1;
            return vec![];
        }
        vec![Duration::from_millis(10)]
    });
    assert!(story.up());
    story.carries(1);
    assert_eq!(story.sent_by(0, kind::DATA).len(), 3);
}

#[test]
fn both_begin_at_once_and_one_session_comes_of_it() {
    let mut story = Story::new(edges());
    story.ends[0].peer.begin(at(0));
    story.ends[1].peer.begin(at(0));
    story.run(at(20_000));
    assert!(story.up());
    assert_eq!(story.ends[0].errors, ["both ends began at once"]);
    assert_eq!(story.ends.each_ref().map(|end| end.numbers.len()), [1, 1]);
    assert_eq!(story.sent_by(1, kind::INITIATION).len(), 1, "the other gave way");
    story.carries(0);
    story.carries(1);
}

#[test]
fn who_goes_first_gives_way_when_nothing_of_his_arrives() {
    let mut story = Story::new(edges());
    story.ends[0].peer.begin(at(0));
    story.ends[1].peer.begin(at(0));
    // Of the first end's initiations none arrives; all else does.
    for step in 1..200 {
        story.run_with(at(step * 100), &mut |_| vec![Duration::from_millis(10)]);
        story
            .wire
            .retain(|(_, to, datagram)| *to == 0 || datagram[0] != kind::INITIATION);
    }
    assert!(story.up());
}

#[test]
fn a_mismatch_is_told_at_both_ends_in_words() {
    type Change = fn(&mut Offer);
    let table: [(Change, Status, &str); 2] = [
        (
            |offer| offer.ciphers = vec![Cipher::None, Cipher::Mac],
            Status::NoCipher,
            "no common cipher: responder none,mac; initiator aes-256-gcm,chacha20-poly1305",
        ),
        (
            |offer| offer.compressions = vec![Compression::Zstd],
            Status::NoCompression,
            "no common compression: responder zstd; initiator none",
        ),
    ];
    for (change, status, words) in table {
        let mut story = Story::new(edges());
        change(&mut story.ends[1].local.offer);
        story.ends[0].peer.begin(at(0));
        story.run(at(10_000));
        let refusal = Refusal {
            status,
            words: words.into(),
        };
        assert_eq!(story.ends[0].events, [Event::Refused(refusal.clone())]);
        assert_eq!(story.ends[1].events, [Event::Refuses(refusal)]);
        assert!(!story.up());
        assert!(story.ends.iter().all(|end| end.numbers.is_empty()));
        assert_eq!(story.sent_by(0, kind::INITIATION).len(), 1);
    }
}

#[test]
fn every_cipher_is_agreed_where_both_name_it_and_carries() {
    for octet in 0..5 {
        let cipher = Cipher::from_octet(octet).unwrap();
        let mut locals = edges();
        locals[0].offer.ciphers = vec![cipher];
        locals[1].offer.ciphers = vec![Cipher::Aes256Gcm, cipher];
        locals[1].offer.frame = 9_018;
        let mut story = Story::met(locals);
        let agreed = story.ends.each_ref().map(|end| end.peer.agreed().unwrap());
        assert_eq!(
            agreed.map(|agreed| (agreed.cipher, agreed.frame)),
            [(cipher, 1_518); 2]
        );
        story.carries(0);
        story.carries(1);
    }
}

#[test]
fn what_was_not_offered_cannot_be_chosen() {
    for (cipher, compression, status) in [
        (Cipher::None, Compression::None, Status::NoCipher),
        (Cipher::Aes256Gcm, Compression::Lz4, Status::NoCompression),
    ] {
        let mut story = Story::new(edges());
        story.ends[0].peer.begin(at(0));
        let initiation = story.ends[0].wake(at(0)).unwrap();
        let Ok(Message::Initiation(read)) = Message::parse(&initiation) else {
            panic!("an initiation");
        };
        let [one, other] = &mut story.ends;
        let mut request = Request::read(&other.local, &mut other.entropy, &read).unwrap();
        let answer = Answer {
            cipher: Some(cipher),
            compression: Some(compression),
            frame: 1_500,
            ..Answer::refusal(Status::Agreed, "")
        };
        let mut response = Vec::new();
        request.answer(&other.local, 9, answer, &mut response).unwrap();
        let close = one.take(at(10), other.address, &response).unwrap();
        let [Event::Refuses(refusal)] = &one.events[..] else {
            panic!("{:?}", one.events);
        };
        assert_eq!(refusal.status, status);
        assert!(one.numbers.is_empty() && one.peer.agreed().is_none());
        // The other end is told, by the session that it believes in.
        let mut opener = Opener::new(cipher, &request.keys().there);
        let Ok(Message::Data(header)) = Message::parse(&close) else {
            panic!("data");
        };
        let mut into = vec![0; close.len()];
        let opened = opener.open(&header, &close, &mut into).unwrap();
        assert_eq!((header.receiver, opened.class, into[0]), (9, Class::Control, 4));
        let said = Controls::new(&into[1..opened.len]).next().unwrap().unwrap();
        let words = refusal.words.clone();
        let reason = status;
        assert_eq!(said, Control::Close { reason, words });
    }
}

#[test]
fn an_initiation_is_taken_once() {
    let mut story = Story::met(edges());
    let recorded = story.sent_by(0, kind::INITIATION)[0].2.clone();
    let answers = story.sent_by(1, kind::RESPONSE).len();
    story.deliver(1, &recorded, &mut |_| vec![]);
    assert_eq!(story.ends[1].errors, ["it came twice"]);
    assert_eq!(story.sent_by(1, kind::RESPONSE).len(), answers);
    // After a later one it is answered, with a refusal that nobody but its sender can read, and that he ignores.
    story.ends[0].peer.begin(story.now);
    story.run(at(200));
    let numbers = story.ends[1].numbers.len();
    story.deliver(1, &recorded, &mut |_| vec![Duration::ZERO]);
    story.run(at(300));
    assert_eq!(story.ends[0].errors, ["no handshake of this number"]);
    assert_eq!(story.ends[1].numbers.len(), numbers, "nothing is kept");
    story.carries(0);
    story.carries(1);
}

#[test]
fn a_clock_that_was_set_back_is_told_the_time() {
    let mut story = Story::met(edges());
    let [one, other] = edges();
    // The first end starts again, an hour back.
    story.ends[0] = End::new(one, (other.public(), Role::Edge), 77);
    story.ends[0].behind = 3_600;
    story.ends[0].peer.begin(story.now);
    story.run(at(500));
    assert!(story.ends[0].events.is_empty());
    story.run(at(1_000));
    assert_eq!(story.ends[0].events, [Event::Up { follows: false }]);
    story.carries(0);
    story.carries(1);
}

#[test]
fn a_response_to_an_earlier_initiation_is_nobodys() {
    let mut story = Story::new(edges());
    story.ends[0].peer.begin(at(0));
    // Each way takes two thirds of a second: the next initiation goes out before one is answered, until that takes longer.
    story.run_with(at(8_000), &mut |_| vec![Duration::from_millis(667)]);
    assert!(story.up());
    assert!(story.ends[0].errors.contains(&"nobody's number".into()));
    story.carries(0);
    story.carries(1);
}

#[test]
fn a_clear_cipher_does_not_prove_who_sent() {
    let mut locals = edges();
    locals
        .iter_mut()
        .for_each(|local| local.offer.ciphers = vec![Cipher::None]);
    let mut story = Story::met(locals);
    let frames = story.ends[0].seal(story.now, Class::Frames, &[1, 9, 9]).unwrap();
    assert_eq!(frames.len(), HEADER_LEN + 3);
    let Ok(Message::Data(header)) = Message::parse(&frames) else {
        panic!("data");
    };
    let mut into = [0; 64];
    let now = story.now;
    let end = &mut story.ends[1];
    let cx = (now, &end.local, &mut end.numbers);
    let (opened, event) = end.peer.open(cx, &header, &frames, &mut into).unwrap();
    assert!(!opened.proved && event.is_none());
}

/// Somebody on the way has recorded an initiation, or sees one pass, and sends frames of his own before the other end has
/// shown that the session is his.
#[test]
fn under_a_clear_cipher_nothing_is_taken_by_a_session_that_the_other_end_has_not_shown() {
    let mut locals = edges();
    locals
        .iter_mut()
        .for_each(|local| local.offer.ciphers = vec![Cipher::None]);
    let mut story = Story::new(locals);
    story.ends[0].peer.begin(at(0));
    let initiation = story.ends[0].wake(at(0)).unwrap();
    let [one, other] = &mut story.ends;
    let response = other.take(at(1), one.address, &initiation).unwrap();
    let Ok(Message::Response(read)) = Message::parse(&response) else {
        panic!("a response");
    };
    let forged = |counter| {
        let header = crate::wire::DataHeader {
            path: 3,
            flags: crate::wire::flag::CLEAR,
            receiver: read.sender,
            counter,
        };
        [&header.emit()[..], &[1, 6, 6, 6]].concat()
    };
    assert_eq!(other.take(at(2), one.address, &forged(0)), None);
    assert_eq!(other.contents, [[0; 0]; 0], "nobody has shown that it is his");
    assert_eq!(other.errors, ["its session has not been shown yet"]);
    // From the greeting on the way is trusted: that is what the cipher says.
    let greeting = one.take(at(2), other.address, &response).unwrap();
    other.take(at(3), one.address, &greeting);
    assert_eq!(other.events, [Event::Up { follows: false }]);
    other.take(at(4), one.address, &forged(0));
    assert_eq!(other.contents, [[1, 6, 6, 6]]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn one_session_comes_of_any_wire_that_is_not_dead(
        seed in any::<u64>(), both in any::<bool>(), supernode_too in any::<bool>(),
    ) {
        let locals = if supernode_too { [edge(1), supernode(2)] } else { edges() };
        let mut story = Story::new(locals);
        story.ends[0].peer.begin(at(0));
        if both && !supernode_too {
            story.ends[1].peer.begin(at(0));
        }
        let mut chance = halloo_base::Rng::new(seed);
        story.run_with(at(60_000), &mut |_| {
            let copies = [0, 1, 1, 1, 2][chance.below(5) as usize];
            (0..copies).map(|_| Duration::from_millis(chance.below(800))).collect()
        });
        story.run(at(80_000));
        prop_assert!(story.up(), "{:?} {:?}", story.ends[0].events, story.ends[1].events);
        story.carries(0);
        story.carries(1);
        let initiations = story.sent_by(0, kind::INITIATION);
        prop_assert!(initiations.iter().all(|(.., octets)| octets.len() >= Initiation::SHORTEST));
    }
}
