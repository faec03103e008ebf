//! Who wants no direct path is at no address that anybody is told of.

use crate::hall::{Hall, community};
use crate::liar::liar_town;
use crate::town::{Flat, PORT, Town, outside};
use halloo_overlay::PublicKey;
use halloo_overlay::supernode::SupernodeOptions;
use halloo_overlay::wire::{Bookmark, Control, feature};
use halloo_sim::{ms, secs};
use std::net::SocketAddr;

fn hidden() -> Flat {
    Flat {
        direct: false,
        tells_inside: true,
        ..Flat::default()
    }
}

#[test]
fn a_supernode_tells_nobody_where_somebody_is_who_hides_whatever_he_says_himself() {
    let mut hall = Hall::new(SupernodeOptions::default());
    let town = community("town");
    let hides = hall.enter("203.0.113.1:7654", &town, feature::NO_DIRECT);
    let other = hall.enter("203.0.113.2:7654", &town, 0);
    let inside = vec!["10.0.0.1:7654".parse::<SocketAddr>().expect("an address")];
    hall.register(hides);
    hall.register(other);
    for (at, of) in [(hides, other), (other, hides)] {
        let key = hall.key(of);
        let candidates = inside.clone();
        hall.say(at, &[Control::Candidates(inside.clone())]);
        hall.say(at, &[Control::Meet { key, candidates }]);
    }
    let told = |hall: &mut Hall, at: usize, key: PublicKey| {
        hall.say(at, &[Control::List(Bookmark::default())]);
        let mut addresses = vec![];
        for control in hall.told(at) {
            match control {
                Control::Meet { key: of, candidates } if of == key => addresses.push(candidates),
                Control::Members { members, .. } => {
                    let of = members.into_iter().filter(|member| member.key == key);
                    addresses.extend(of.map(|member| member.candidates));
                }
                _ => {}
            }
        }
        addresses
    };
    let (hidden, open) = (hall.key(hides), hall.key(other));
    assert_eq!(
        told(&mut hall, other, hidden),
        [[], []],
        "it meets, and is a member"
    );
    assert_eq!(
        told(&mut hall, hides, open).concat().len(),
        4,
        "the other one hides nothing"
    );
}

#[test]
fn who_hides_tells_no_supernode_of_his_own_addresses() {
    for (flat, tells) in [
        (hidden(), false),
        (
            Flat {
                tells_inside: true,
                ..Flat::default()
            },
            true,
        ),
    ] {
        let (mut town, liar, _) = liar_town(960, |_| ());
        town.edge(flat);
        town.world.run_until(secs(20));
        let told = &town.world.machine(liar).told;
        let addresses = told.iter().filter_map(|control| match control {
            Control::Candidates(candidates) | Control::Meet { candidates, .. } => Some(candidates),
            _ => None,
        });
        let kinds = |meets: bool| {
            let is = |control: &&Control| matches!(control, Control::Meet { .. }) == meets;
            told.iter().filter(is).count()
        };
        assert!(
            kinds(true) > 0 && kinds(false) > 0,
            "it registers, and wants to meet"
        );
        let told: Vec<&SocketAddr> = addresses.flatten().collect();
        assert_eq!(!told.is_empty(), tells, "{told:?}");
    }
}

#[test]
fn nobody_goes_to_an_address_of_who_hides_whoever_tells_of_it() {
    for (features, goes) in [(feature::NO_DIRECT, false), (0, true)] {
        let (mut town, _, here) = liar_town(960, |liar| liar.features = features);
        town.edge(Flat::default());
        town.world.run_until(secs(10));
        let peers = town.status(0).peers;
        assert_eq!(peers.len(), 20, "those that are made up");
        let straight = peers
            .iter()
            .flat_map(|peer| &peer.paths)
            .filter(|path| !path.relayed && path.remote == here);
        assert_eq!(straight.count() > 0, goes);
    }
}

#[test]
fn who_hides_answers_nobody_who_comes_straight() {
    let mut town = Town::of(961, [hidden(), Flat::default(), Flat::default()]);
    for edge in &town.edges {
        edge.seen.lock().expect("nobody panicked").sent = Some(vec![]);
    }
    town.flow((0, 1), secs(3), ms(20), 100, 200);
    town.flow((1, 0), secs(3), ms(20), 100, 200);
    town.world.run_until(secs(6));
    // Somebody has found it all the same: what went to the relay goes there as well.
    let inner = {
        let seen = town.edges[1].seen.lock().expect("nobody panicked");
        let sent = seen.sent.as_ref().expect("it was watched");
        let carried = sent
            .iter()
            .map(|(_, bytes)| bytes)
            .filter(|bytes| bytes[0] == 0xa6);
        carried.map(|bytes| bytes[8..].to_vec()).collect::<Vec<_>>()
    };
    assert!(inner.iter().any(|bytes| bytes[0] == 0xa2) && inner.iter().any(|bytes| bytes[0] == 0xa5));
    let outsider = town.outsider();
    let there = SocketAddr::new(outside(0), PORT);
    for (number, bytes) in inner.into_iter().enumerate() {
        town.throw(&outsider, secs(7) + ms(number as u64), there, bytes);
    }
    town.world.run_until(secs(12));
    town.all_came(0, 1, 100);
    town.all_came(1, 0, 100);
    assert!(town.count(0, "unwanted") > 100);
    let answers = town.edges[0].seen.lock().expect("nobody panicked").answers;
    assert_eq!(answers, 0);
    for at in 1..3 {
        let sent = town.edges[at].seen.lock().expect("nobody panicked").sent.take();
        let mut sent = sent.expect("it was watched").into_iter();
        assert!(sent.all(|(to, _)| to.ip() != outside(0)));
        let straight = town.peer(0, at).expect("they have met");
        assert!(straight.up && straight.paths.iter().all(|path| path.relayed));
    }
}
