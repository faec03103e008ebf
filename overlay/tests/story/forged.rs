//! A member forges where its datagrams come from: nobody gets there more than was sent for it, and nothing is moved there.

use crate::hall::{Hall, community};
use halloo_overlay::supernode::SupernodeOptions;
use halloo_overlay::wire::{Bookmark, Channel, Control, kind};
use halloo_sim::{ms, secs};
use std::net::SocketAddr;

/// Who has nothing to do with it.
const VICTIM: &str = "198.18.0.1:53";
/// Where a member goes.
const ELSEWHERE: &str = "192.0.2.7:7654";

fn address(at: usize) -> String {
    format!("203.0.113.{}:7654", at + 1)
}

/// So many members, each with as many addresses as it may have, so that the list of them is long.
fn hall(members: usize) -> Hall {
    let mut hall = Hall::new(SupernodeOptions::default());
    let town = community("town");
    for at in 0..members {
        hall.enter(&address(at), &town, 0);
        let some = (0..16).map(|number| SocketAddr::from(([10, 0, at as u8, number], 7_654)));
        hall.register(at);
        hall.say(at, &[Control::Candidates(some.collect())]);
    }
    hall.run_for(secs(10));
    hall.post.clear();
    hall
}

fn ping(number: u32, padding: u16) -> Control {
    Control::Ping {
        number,
        time: 9,
        padding,
    }
}

/// The question that came to a member in these datagrams, as its answer.
fn answer(hall: &mut Hall, at: usize, post: &[Vec<u8>]) -> Control {
    let said: Vec<Control> = post.iter().flat_map(|bytes| hall.read(at, bytes)).collect();
    match said[..] {
        [Control::Ping { number, time, .. }] => Control::Pong {
            number,
            time,
            size: 76,
            seen: address(0).parse().expect("an address"),
            waited: 0,
        },
        _ => panic!("one question and nothing else: {said:?}"),
    }
}

fn octets(post: &[Vec<u8>]) -> usize {
    post.iter().map(Vec::len).sum()
}

/// What a member sees from itself in pongs.
fn seen(hall: &mut Hall, at: usize, post: &[Vec<u8>]) -> Vec<(u32, String)> {
    let said: Vec<Control> = post.iter().flat_map(|bytes| hall.read(at, bytes)).collect();
    let pongs = said.into_iter().filter_map(|control| match control {
        Control::Pong { number, seen, .. } => Some((number, seen.to_string())),
        _ => None,
    });
    pongs.collect()
}

#[test]
fn a_list_that_is_asked_for_from_a_forged_address_does_not_go_there() {
    let mut hall = hall(20);
    let list = [Control::List(Bookmark::default())];
    let asked = hall.say_from(0, VICTIM, &list);
    assert_eq!((asked, octets(&hall.post_to(VICTIM))), (44, 0));
    // With a ping, whatever its length, and with all that there is to be asked.
    for padding in [0, 28, 1_000] {
        for number in 0..10 {
            hall.run_for(ms(10));
            let all = [
                ping(number, padding),
                list[0].clone(),
                Control::OpenChannel(hall.key(3)),
                Control::Candidates(vec![]),
            ];
            let asked = hall.say_from(0, VICTIM, &all);
            let got = hall.post_to(VICTIM);
            assert!(octets(&got) <= asked, "{asked} and {}", octets(&got));
            assert!(got.len() <= 1 && octets(&got) <= 76, "a question at most");
        }
    }
    hall.run_for(secs(30));
    assert_eq!(
        octets(&hall.post_to(VICTIM)),
        0,
        "nor is it asked again by itself"
    );
    // Where it is it is told as before.
    hall.say(0, &list);
    assert!(octets(&hall.post_to(&address(0))) > 500);
}

#[test]
fn questions_to_a_forged_address_are_few() {
    let mut hall = hall(1);
    for number in 0..1_000 {
        hall.say_from(0, VICTIM, &[ping(number, 28)]);
        hall.run_for(ms(1));
    }
    let got = hall.post_to(VICTIM);
    assert!((1..=20).contains(&got.len()), "{}", got.len());
}

#[test]
fn a_short_ping_gets_no_longer_answer() {
    let mut hall = hall(1);
    for padding in 0..60 {
        hall.run_for(ms(100));
        hall.say_from(0, VICTIM, &[ping(1, padding)]);
        let forged = octets(&hall.post_to(VICTIM));
        hall.say(0, &[ping(2, padding)]);
        let got = octets(&hall.post_to(&address(0)));
        let len = 48 + usize::from(padding);
        assert!(forged <= len && got <= len, "{len}: {forged}, {got}");
        assert_eq!(got > 0, len >= 76, "{len}");
    }
}

/// Opens a channel from member 1 to member 0, and returns member 1's number of it.
fn channel(hall: &mut Hall) -> u32 {
    hall.callers[1].told.clear();
    hall.say(1, &[Control::OpenChannel(hall.key(0))]);
    let told = hall.told(1);
    let number = told.iter().find_map(|control| match control {
        Control::Channel { number, .. } => Some(*number),
        _ => None,
    });
    hall.post.clear();
    number.expect("a channel")
}

/// Member 1 sends something by its channel. How much of it comes to each of these.
fn carried(hall: &mut Hall, number: u32, to: [&str; 2]) -> [usize; 2] {
    let datagram = [&Channel::head(number)[..], &[kind::DATA, 1], &[0; 998]].concat();
    hall.post.clear();
    hall.deliver_by(address(1).parse().expect("an address"), &datagram);
    let post = hall.post.clone();
    to.map(|to| {
        hall.post.clone_from(&post);
        octets(&hall.post_to(to))
    })
}

#[test]
fn a_forged_address_turns_no_channel_there() {
    let mut hall = hall(2);
    let number = channel(&mut hall);
    let here = address(0);
    assert_eq!(carried(&mut hall, number, [&here, VICTIM]), [1_008, 0]);
    hall.say_from(0, VICTIM, &[ping(1, 1_000)]);
    assert_eq!(carried(&mut hall, number, [&here, VICTIM]), [1_008, 0]);
    // An answer that is guessed, or comes from where it was not asked, or much too late, is none.
    let question = {
        hall.run_for(ms(100));
        hall.post.clear();
        hall.say_from(0, VICTIM, &[ping(2, 28)]);
        hall.post_to(VICTIM)
    };
    let truth = answer(&mut hall, 0, &question);
    let Control::Pong {
        number: asked,
        time,
        size,
        seen,
        ..
    } = truth
    else {
        panic!("a pong");
    };
    let guess = |number, time| Control::Pong {
        number,
        time,
        size,
        seen,
        waited: 0,
    };
    for guess in [
        guess(asked, 0),
        guess(0, time),
        guess(1, 9),
        guess(asked ^ 1, time),
    ] {
        hall.say_from(0, VICTIM, &[guess]);
    }
    hall.say_from(0, ELSEWHERE, std::slice::from_ref(&truth));
    assert_eq!(carried(&mut hall, number, [&here, VICTIM]), [1_008, 0]);
    assert_eq!(carried(&mut hall, number, [&here, ELSEWHERE]), [1_008, 0]);
    hall.run_for(secs(11));
    hall.say_from(0, VICTIM, &[truth]);
    assert_eq!(carried(&mut hall, number, [&here, VICTIM]), [1_008, 0]);
}

#[test]
fn who_has_moved_is_there_once_it_has_answered() {
    let mut hall = hall(2);
    let number = channel(&mut hall);
    let here = address(0);
    // The first question is lost.
    hall.say_from(0, ELSEWHERE, &[ping(1, 28)]);
    hall.run_for(ms(100));
    hall.post.clear();
    hall.say_from(0, ELSEWHERE, &[ping(2, 28)]);
    let question = hall.post_to(ELSEWHERE);
    let truth = answer(&mut hall, 0, &question);
    assert_eq!(carried(&mut hall, number, [&here, ELSEWHERE]), [1_008, 0]);
    hall.run_for(ms(20));
    hall.post.clear();
    hall.say_from(0, ELSEWHERE, &[truth]);
    let post = hall.post_to(ELSEWHERE);
    assert_eq!(
        seen(&mut hall, 0, &post),
        [(2, ELSEWHERE.to_owned())],
        "its own ping is answered too"
    );
    assert_eq!(carried(&mut hall, number, [&here, ELSEWHERE]), [0, 1_008]);
    hall.say_from(0, ELSEWHERE, &[Control::List(Bookmark::default())]);
    assert_eq!(hall.post_to(ELSEWHERE).len(), 1);
}

#[test]
fn a_session_that_begins_elsewhere_is_where_it_began() {
    let mut hall = hall(2);
    let number = channel(&mut hall);
    let here = address(0);
    hall.run_for(secs(1));
    hall.move_to(0, ELSEWHERE);
    assert_eq!(carried(&mut hall, number, [&here, ELSEWHERE]), [0, 1_008]);
}
