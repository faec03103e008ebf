//! Sessions grow old and are followed by others, and nothing is lost.

use super::*;
use crate::wire::kind;
use proptest::prelude::*;
use std::collections::BTreeMap;

/// Sixty times as fast as on a host, and the other end soon loses its patience: both ends often begin at once.
fn fast() -> Timers {
    Timers {
        rekey: Duration::from_secs(2),
        rekey_other: Duration::from_millis(2_500),
        expire: Duration::from_secs(30),
        linger: Duration::from_secs(2),
        ..Timers::default()
    }
}

#[test]
fn the_initiator_follows_its_session_up_after_two_minutes() {
    let mut story = Story::met(edges());
    let initiations = |story: &Story| {
        let sent = story.sent_by(0, kind::INITIATION);
        sent.iter()
            .map(|(at, ..)| at.0 / 1_000_000_000)
            .collect::<Vec<_>>()
    };
    story.run(at(119_000));
    assert_eq!(initiations(&story), [0]);
    story.run(at(1_000_000));
    assert_eq!(initiations(&story), [0, 120, 240, 360, 480, 600, 720, 840, 960]);
    assert!(story.sent_by(1, kind::INITIATION).is_empty());
    for end in &story.ends {
        assert_eq!(end.events[0], Event::Up { follows: false });
        assert!(
            end.events[1..]
                .iter()
                .all(|event| *event == Event::Up { follows: true })
        );
        assert_eq!(end.events.len(), 9);
    }
    story.carries(0);
    story.carries(1);
    // The old ones are gone.
    assert_eq!(story.ends.each_ref().map(|end| end.numbers.len()), [1, 1]);
}

#[test]
fn an_edge_keeps_its_session_with_a_supernode_which_begins_none() {
    let mut story = Story::met([edge(1), supernode(2)]);
    story.run(at(1_000_000));
    assert!(story.up());
    assert!(story.sent_by(1, kind::INITIATION).is_empty());
    assert_eq!(story.sent_by(1, kind::RESPONSE).len(), 9);
    story.run_with(at(1_200_000), &mut |_| vec![]);
    let end = &mut story.ends[1];
    assert_eq!(end.events.last(), Some(&Event::Down));
    end.peer.begin(at(1_200_000));
    assert_eq!(end.wake(at(1_200_000)), None);
    assert_eq!(end.events.last(), Some(&Event::GaveUp));
}

#[test]
fn who_is_refused_does_not_insist() {
    let mut story = Story::met(edges());
    story.run(at(100_000));
    story.ends[1].local.timers.rekey_other = Duration::from_secs(1_000);
    story.ends[1].local.offer.ciphers = vec![Cipher::Mac];
    story.run(at(300_000));
    let times: Vec<_> = story
        .sent_by(0, kind::INITIATION)
        .iter()
        .map(|(at, ..)| at.0 / 1_000_000_000)
        .collect();
    assert_eq!(times, [0, 120, 150]);
    let kinds: Vec<_> = story.ends[0].events.iter().map(std::mem::discriminant).collect();
    let refused = Event::Refused(Refusal {
        status: crate::wire::Status::NoCipher,
        words: String::new(),
    });
    let wanted = [
        Event::Up { follows: false },
        refused.clone(),
        refused,
        Event::Down,
    ];
    assert_eq!(kinds, wanted.each_ref().map(std::mem::discriminant));
}

#[test]
fn the_other_end_follows_it_up_when_the_initiator_cannot() {
    let mut story = Story::met(edges());
    story.ends[0].local.timers.rekey = Duration::from_secs(1_000);
    story.run(at(160_000));
    assert_eq!(story.sent_by(1, kind::INITIATION).len(), 1);
    assert_eq!(story.ends[0].events.len(), 2);
    story.carries(0);
    story.carries(1);
}

#[test]
fn so_many_datagrams_are_enough_for_one_session() {
    let mut locals = edges();
    locals
        .iter_mut()
        .for_each(|local| local.timers.rekey_datagrams = 100);
    let mut story = Story::met(locals);
    for _ in 0..98 {
        story.ends[0].seal(story.now, Class::Frames, &[1]).unwrap();
    }
    story.run(at(1_000));
    assert_eq!(story.sent_by(0, kind::INITIATION).len(), 1);
    story.ends[0].seal(story.now, Class::Frames, &[1]).unwrap();
    story.run(at(2_000));
    assert_eq!(story.sent_by(0, kind::INITIATION).len(), 2);
    assert_eq!(story.ends[0].events.last(), Some(&Event::Up { follows: true }));
}

#[test]
fn an_old_session_is_taken_while_it_is_used_and_for_twenty_seconds_more() {
    let mut story = Story::met(edges());
    let old = |story: &mut Story, n: u8| story.ends[1].seal(story.now, Class::Frames, &[1, n]).unwrap();
    let late: Vec<_> = (0..4).map(|n| old(&mut story, n)).collect();
    story.run(at(121_000));
    assert_eq!(story.ends[0].events.len(), 2);
    story.deliver(0, &late[0], &mut |_| vec![]);
    story.run(at(140_000));
    story.deliver(0, &late[1], &mut |_| vec![]);
    story.run(at(159_000));
    story.deliver(0, &late[2], &mut |_| vec![]);
    story.run(at(179_500));
    assert_eq!(story.ends[0].contents.len(), 3);
    story.deliver(0, &late[3], &mut |_| vec![]);
    assert_eq!(story.ends[0].contents.len(), 3);
    assert_eq!(story.ends[0].errors, ["no session of this number"]);
}

#[test]
fn nothing_goes_by_a_session_of_three_minutes() {
    let mut story = Story::met(edges());
    let late = story.ends[1].seal(story.now, Class::Frames, &[1, 1]).unwrap();
    story.run_with(at(179_000), &mut |_| vec![]);
    assert!(story.ends[0].seal(story.now, Class::Frames, &[1]).is_ok());
    // Not even when nobody woke the peer.
    story.now = at(181_000);
    assert_eq!(
        story.ends[0].seal(story.now, Class::Frames, &[1]),
        Err(SealError::NoSession)
    );
    story.deliver(0, &late, &mut |_| vec![]);
    assert_eq!(story.ends[0].errors, ["no session of this number"]);
    story.run_with(at(300_000), &mut |_| vec![]);
    for end in &story.ends {
        assert!(end.events.contains(&Event::Down) && end.events.contains(&Event::GaveUp));
        assert!(end.numbers.is_empty());
    }
}

#[test]
fn a_peer_that_started_again_is_a_peer_again() {
    let mut story = Story::met(edges());
    let [one, other] = edges();
    story.now = at(50_000);
    story.ends[0] = End::new(one, (other.public(), Role::Edge), 77);
    story.ends[0].address = SocketAddr::from(([192, 0, 2, 11], 7_654));
    story.ends[0].peer.begin(story.now);
    story.run(at(51_000));
    assert_eq!(story.ends[1].events.last(), Some(&Event::Up { follows: true }));
    story.carries(0);
    story.carries(1);
}

#[test]
fn a_closed_peer_leaves_nothing() {
    let mut story = Story::met(edges());
    story.ends[0].peer.begin(story.now);
    let end = &mut story.ends[0];
    end.wake(at(101));
    assert_eq!(end.numbers.len(), 2);
    end.peer.close(&mut end.numbers);
    assert!(end.numbers.is_empty() && end.deadline().is_none() && end.peer.agreed().is_none());
}

#[test]
fn under_a_clear_cipher_frames_go_by_the_session_before_until_the_new_one_is_shown() {
    let mut locals = edges();
    locals
        .iter_mut()
        .for_each(|local| local.offer.ciphers = vec![Cipher::None]);
    let mut story = Story::met(locals);
    let number = |datagram: &[u8]| datagram[4..8].to_vec();
    let frame = |story: &mut Story| story.ends[0].seal(story.now, Class::Frames, &[1, 2]).unwrap();
    let before = number(&frame(&mut story));
    story.ends[0].peer.begin(story.now);
    // The greeting is lost.
    story.run_with(story.now + Duration::from_millis(100), &mut |datagram| {
        if datagram[0] == kind::DATA {
            return vec![];
        }
        vec![Duration::from_millis(10)]
    });
    assert_eq!(story.ends[0].events.len(), 2);
    assert_eq!(number(&frame(&mut story)), before);
    story.carries(0);
    story.run(story.now + Duration::from_secs(2));
    assert_ne!(number(&frame(&mut story)), before);
    story.carries(0);
    story.carries(1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// Both ends send every 20 ms for twenty seconds, across about ten sessions. Handshakes lose a tenth, data is only late,
    /// by as much as 400 ms and in any order: all of it arrives, once.
    #[test]
    fn no_datagram_is_lost_across_sessions(seed in any::<u64>(), cipher in 0..5u8) {
        let mut locals = edges();
        for local in &mut locals {
            local.timers = fast();
            local.offer.ciphers = vec![Cipher::from_octet(cipher).unwrap()];
        }
        let mut story = Story::met(locals);
        let mut chance = halloo_base::Rng::new(seed);
        let mut wanted: [BTreeMap<Vec<u8>, usize>; 2] = Default::default();
        let mut fate = |datagram: &[u8]| {
            let late = Duration::from_millis(chance.below(400));
            if datagram[0] != kind::DATA && chance.below(10) == 0 { vec![] } else { vec![late] }
        };
        for step in 0..1_000u16 {
            for by in 0..2 {
                let [a, b] = step.to_be_bytes();
                let now = story.now;
                let datagram = story.ends[by].seal(now, Class::Frames, &[1, a, b]).unwrap();
                story.send(by, datagram, &mut fate);
                wanted[1 - by].insert(vec![1, a, b], 1);
            }
            let until = story.now + Duration::from_millis(20);
            story.run_with(until, &mut fate);
        }
        story.run_with(story.now + Duration::from_millis(400), &mut fate);
        for (end, wanted) in story.ends.iter().zip(wanted) {
            let mut came = BTreeMap::new();
            end.contents.iter().for_each(|content| *came.entry(content.clone()).or_insert(0) += 1);
            prop_assert!(end.events.len() > 3, "{:?}", end.events);
            prop_assert!(came == wanted, "{} of {}; {:?}", came.len(), wanted.len(), end.errors);
            prop_assert!(!end.events.contains(&Event::Down));
        }
    }
}
