//! Many members, and what one of them, or one network, can make a supernode do.

use crate::hall::{Hall, community};
use halloo_overlay::supernode::SupernodeOptions;
use halloo_overlay::wire::{Bookmark, Control, Status};
use halloo_sim::{ms, secs};
use std::net::SocketAddr;

const CROWD: usize = 1_000;

/// So many members of one community, who know each other.
fn crowd() -> Hall {
    let mut hall = Hall::new(SupernodeOptions::default());
    let town = community("town");
    for at in 0..CROWD {
        let address = format!("203.0.{}.{}:7654", at / 250, at % 250 + 1);
        let at = hall.enter(&address, &town, 0);
        hall.register(at);
    }
    hall.run_for(secs(10));
    // All have read what one reads.
    hall.callers[0].reads = true;
    hall.say(0, &[Control::List(Bookmark::default())]);
    let bookmark = hall.callers[0].bookmark;
    for caller in &mut hall.callers {
        caller.bookmark = bookmark;
        caller.told.clear();
    }
    assert_eq!(hall.report().members, CROWD);
    hall
}

fn somewhere(number: u32) -> Control {
    let address: SocketAddr = ([10, 0, 0, 1], 1_000 + number as u16).into();
    Control::Candidates(vec![address])
}

/// How often a member was told that there is something new.
fn news(told: &[Control]) -> usize {
    let is = |control: &&Control| matches!(control, Control::Members { more: 1, members, .. } if members.is_empty());
    told.iter().filter(is).count()
}

/// The last port that a member says it might be reached at, as it was told.
fn last_port(told: &[Control]) -> Option<u16> {
    let mut ports = told.iter().flat_map(|control| match control {
        Control::Members { members, .. } => members.iter(),
        _ => [].iter(),
    });
    ports.next_back()?.candidates.last().map(SocketAddr::port)
}

#[test]
fn a_change_is_told_to_a_thousand_within_a_second() {
    let mut hall = crowd();
    hall.callers.iter_mut().for_each(|caller| caller.reads = true);
    hall.say(7, &[somewhere(0)]);
    hall.run_for(ms(500));
    for at in (0..CROWD).filter(|at| *at != 7) {
        let told = hall.told(at);
        assert_eq!((news(&told), last_port(&told)), (1, Some(1_000)), "{at}");
    }
}

#[test]
fn one_that_changes_each_second_costs_a_thousand_little_and_its_last_word_is_heard() {
    let mut hall = crowd();
    hall.callers.iter_mut().for_each(|caller| caller.reads = true);
    let before = hall.sent;
    for number in 0..100 {
        hall.say(7, &[somewhere(number)]);
        hall.run_for(secs(1));
    }
    // Four changes at once and one each 30 s, each told and then read.
    let sent = hall.sent - before;
    assert!((10_000..=16_000).contains(&sent), "{sent} datagrams");
    hall.run_for(secs(35));
    for at in (0..CROWD).filter(|at| *at != 7) {
        assert_eq!(last_port(&hall.told(at)), Some(1_099), "{at}");
    }
}

#[test]
fn however_many_change_a_large_community_is_told_at_intervals() {
    let mut hall = crowd();
    hall.callers.iter_mut().for_each(|caller| caller.reads = false);
    for number in 0..4 {
        for at in 0..CROWD {
            // Each at another time.
            hall.say(at, &[somewhere(number)]);
            hall.run_for(ms(5));
        }
    }
    hall.run_for(secs(5));
    for at in 0..CROWD {
        let times = news(&hall.told(at));
        assert!((5..=12).contains(&times), "{times} in 20 s");
    }
}

#[test]
fn who_comes_and_goes_makes_nobody_read_all_of_it_again() {
    let mut hall = Hall::new(SupernodeOptions::default());
    let town = community("town");
    let stays = hall.enter("203.0.113.1:7654", &town, 0);
    hall.register(stays);
    hall.callers[stays].reads = true;
    hall.say(stays, &[Control::List(Bookmark::default())]);
    for number in 0..1_100 {
        let goes = hall.enter_as(0, &format!("198.51.100.1:{}", 1_000 + number), &town);
        hall.register(goes);
        let reason = Status::Agreed;
        let words = String::new();
        hall.say(goes, &[Control::Close { reason, words }]);
    }
    hall.told(stays);
    hall.run_for(secs(5));
    let told = hall.told(stays);
    let anew = |control: &Control| matches!(control, Control::Members { anew: true, .. });
    assert!(news(&told) > 0 && !told.iter().any(anew), "{told:?}");
}

fn refusals(told: &[Control]) -> Vec<&str> {
    let words = told.iter().filter_map(|control| match control {
        Control::Refused {
            reason: Status::Full,
            words,
            ..
        } => Some(words.as_str()),
        _ => None,
    });
    words.collect()
}

#[test]
fn one_network_leaves_communities_to_others() {
    let mut hall = Hall::new(SupernodeOptions {
        communities_per_prefix: 2,
        ..SupernodeOptions::default()
    });
    let towns = ["one", "two", "three"].map(community);
    let mut enter = |address: &str, town: usize| {
        let at = hall.enter(address, &towns[town], 0);
        hall.register(at);
        at
    };
    let [one, two, three] = [0, 1, 2].map(|town| enter(&format!("203.0.113.{}:7654", town + 1), town));
    let [same, far] =
        [("203.0.113.9:7654", 1), ("203.0.114.1:7654", 2)].map(|(from, town)| enter(from, town));
    for at in [one, two, same, far] {
        assert_eq!(refusals(&hall.told(at)), Vec::<&str>::new());
    }
    let words = ["members of your network are in as many communities as they may"];
    assert_eq!(refusals(&hall.told(three)), words);
    let report = hall.report();
    assert_eq!((report.members, report.communities), (4, 3));
    // Its place is free when the last member of one of them has left.
    let close = Control::Close {
        reason: Status::Agreed,
        words: String::new(),
    };
    hall.say(one, &[close]);
    hall.register(three);
    assert_eq!(hall.report().members, 4);
}

#[test]
fn one_network_leaves_channels_to_others() {
    let mut options = SupernodeOptions::default();
    options.channels.per_prefix = 2;
    let mut hall = Hall::new(options);
    let town = community("town");
    let members: Vec<usize> = (1..6)
        .map(|last| {
            let net = if last == 5 { "203.0.114" } else { "203.0.113" };
            let at = hall.enter(&format!("{net}.{last}:7654"), &town, 0);
            hall.register(at);
            at
        })
        .collect();
    let keys: Vec<_> = members.iter().map(|&at| hall.key(at)).collect();
    for (from, to) in [(0, 1), (1, 2), (2, 3), (4, 3)] {
        hall.say(members[from], &[Control::OpenChannel(keys[to])]);
    }
    assert_eq!(hall.report().channels, 3);
    let words = ["members of your network have as many channels as they may"];
    assert_eq!(refusals(&hall.told(members[2])), words);
    assert_eq!(refusals(&hall.told(members[4])), Vec::<&str>::new());
}
