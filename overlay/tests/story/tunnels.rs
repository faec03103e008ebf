//! Edges whose frames the kernel carries: what they say for its table.

use crate::town::{Flat, Home, Town, mac, outside};
use halloo_overlay::edge::{EdgeEvent, News};
use halloo_overlay::vxlan::{Entry, Member, PORT, Unreachable, wanted};
use halloo_overlay::wire::Status;
use halloo_overlay::{Cipher, Mac};
use halloo_sim::{Dependence, NatOptions, Quality, ms, secs};
use std::net::SocketAddr;

fn flat() -> Flat {
    Flat {
        ciphers: vec![Cipher::None],
        vxlan: true,
        ..Flat::default()
    }
}

/// What an edge said last.
fn members(town: &Town, at: usize) -> Vec<Member> {
    let members = town.edges[at].post.members.lock().expect("nobody panicked");
    members.clone().unwrap_or_default()
}

fn member(town: &Town, at: usize, other: usize) -> Option<Member> {
    let key = town.edges[other].key;
    members(town, at).into_iter().find(|member| member.key == key)
}

/// The entries of an edge's device.
fn entries(town: &Town, at: usize) -> Vec<Entry> {
    wanted(&members(town, at))
}

fn end(number: usize) -> SocketAddr {
    SocketAddr::new(outside(number), PORT)
}

fn entry(mac: Mac, number: usize) -> Entry {
    Entry { mac, to: end(number) }
}

/// An edge hears something of its surroundings.
fn tell(town: &mut Town, at: usize, news: News) {
    *town.edges[at].post.news.lock().expect("nobody panicked") = Some(News {
        link_mtu: 1_500,
        ..news
    });
    let edge = town.edges[at].edge;
    town.world.report(edge);
}

fn behind(town: &mut Town, at: usize, stations: &[Mac]) {
    let news = News {
        stations: stations.to_vec(),
        candidates: vec![SocketAddr::new(outside(at), crate::town::PORT)],
        ..News::default()
    };
    tell(town, at, news);
}

#[test]
fn each_says_where_the_others_are_and_who_is_there() {
    let mut town = Town::of(800, vec![flat(); 3]);
    town.world.run_until(secs(4));
    for at in 0..3 {
        let others: Vec<usize> = (0..3).filter(|other| *other != at).collect();
        let mut expected: Vec<Entry> = others
            .iter()
            .flat_map(|&other| [entry(Entry::FLOOD, other), entry(mac(other), other)])
            .collect();
        expected.sort_unstable();
        let mut said = entries(&town, at);
        said.sort_unstable();
        assert_eq!(said, expected, "edge {at}");
        for other in others {
            let peer = town.peer(at, other).expect("they have met");
            assert_eq!((peer.vtep, peer.stations), (Some(Ok(end(other))), 1));
        }
        let told = |event: &&EdgeEvent| matches!(event, EdgeEvent::Vtep { vtep: Ok(_), .. });
        assert_eq!(town.events(at).iter().filter(told).count(), 2);
    }
    // And how long a packet may be, once that is known.
    town.world.run_until(secs(20));
    assert_eq!(member(&town, 0, 1).and_then(|member| member.mtu), Some(1_500));
}

#[test]
fn no_frame_goes_by_a_session() {
    let mut town = Town::of(801, vec![flat(); 2]);
    town.flow((0, 1), secs(3), ms(10), 50, 300);
    town.world.run_until(secs(5));
    assert_eq!(town.came(1, "0-1 "), Vec::<u32>::new());
}

#[test]
fn who_leaves_is_gone_at_once_and_who_dies_within_half_a_minute() {
    let mut town = Town::of(802, vec![flat(); 3]);
    town.world.run_until(secs(4));
    let leaves = town.edges[1].edge;
    town.world.stop(leaves);
    town.world.run_until(secs(5));
    assert_eq!(entries(&town, 0), [entry(Entry::FLOOD, 2), entry(mac(2), 2)]);
    let dies = town.edges[2].edge;
    town.world.kill(dies);
    town.world.run_until(secs(35));
    assert_eq!(entries(&town, 0), []);
    assert_eq!(
        member(&town, 0, 2).map(|member| member.vtep),
        Some(Err(Unreachable::Silent)),
        "until the session ends, too"
    );
}

#[test]
fn who_is_started_again_hears_all_once_more() {
    for same in [true, false] {
        let mut town = Town::of(803, vec![flat(); 2]);
        town.world.run_until(secs(70));
        town.restart_edge(1, same);
        *town.edges[1].post.members.lock().expect("nobody panicked") = None;
        town.world.run_until(secs(75));
        let other = member(&town, 1, 0).expect("they have met again");
        assert_eq!((other.vtep, other.stations), (Ok(end(0)), vec![mac(0)]));
        assert!(entries(&town, 0).contains(&entry(mac(1), 1)));
    }
}

#[test]
fn who_moves_is_followed() {
    let mut town = Town::of(804, vec![flat(); 3]);
    town.world.run_until(secs(5));
    town.move_to(1, "192.0.2.7");
    let new: SocketAddr = "192.0.2.7:7654".parse().expect("an address");
    let news = News {
        candidates: vec![new],
        ..News::default()
    };
    tell(&mut town, 1, news);
    town.world.run_until(secs(8));
    let there = SocketAddr::new(new.ip(), PORT);
    for at in [0, 2] {
        let said = entries(&town, at);
        let other = 2 - at;
        let mut expected = [
            entry(Entry::FLOOD, other),
            entry(mac(other), other),
            Entry {
                mac: Entry::FLOOD,
                to: there,
            },
            Entry {
                mac: mac(1),
                to: there,
            },
        ];
        expected.sort_unstable();
        let mut said = said;
        said.sort_unstable();
        assert_eq!(said, expected, "edge {at}");
    }
}

#[test]
fn behind_a_nat_or_a_relay_the_kernel_reaches_nobody_and_that_is_said() {
    let nat = Flat {
        home: Home::Nat(NatOptions::new(
            Dependence::EndpointIndependent,
            Dependence::AddressDependent,
        )),
        tells_inside: true,
        ..flat()
    };
    let mut town = Town::of(805, [flat(), nat, flat()]);
    town.world.run_until(secs(3));
    town.part(0, 2);
    town.world.run_until(secs(40));
    for (other, why) in [(1, Unreachable::Nat), (2, Unreachable::Relayed)] {
        let peer = town.peer(0, other).expect("they have met");
        assert_eq!((peer.up, peer.vtep), (true, Some(Err(why))));
        let told =
            |event: &EdgeEvent| matches!(event, EdgeEvent::Vtep { vtep: Err(told), .. } if *told == why);
        assert!(town.events(0).iter().any(told), "{why}");
    }
    assert_eq!(entries(&town, 0), []);
    // The other way round it would work, but nothing could come back.
    town.mend(0, 2);
    town.world.run_until(secs(80));
    assert_eq!(entries(&town, 0), [entry(Entry::FLOOD, 2), entry(mac(2), 2)]);
}

#[test]
fn stations_behind_an_edge_come_move_and_go() {
    let mut town = Town::of(806, vec![flat(); 3]);
    town.world.run_until(secs(3));
    let many: Vec<Mac> = (0..600u16)
        .map(|number| {
            let [high, low] = number.to_be_bytes();
            Mac([2, 0, 0, 9, high, low])
        })
        .collect();
    behind(&mut town, 0, &many);
    town.world.run_until(ms(4_500));
    let known = |town: &Town, mac: Mac| {
        let mut to = entries(town, 1).into_iter();
        to.find(|entry| entry.mac == mac).map(|entry| entry.to)
    };
    assert!(many.iter().all(|mac| known(&town, *mac) == Some(end(0))));
    // One moves: whoever spoke last has it, whatever the other still thinks.
    behind(&mut town, 2, &many[..1]);
    town.world.run_until(secs(5));
    assert_eq!(known(&town, many[0]), Some(end(2)));
    town.world.run_until(secs(7));
    assert_eq!(
        known(&town, many[0]),
        Some(end(2)),
        "the other has said all of his again"
    );
    behind(&mut town, 0, &many[1..]);
    town.world.run_until(secs(10));
    assert_eq!(known(&town, many[0]), Some(end(2)));
    // One goes.
    behind(&mut town, 2, &[]);
    town.world.run_until(secs(11));
    assert_eq!(known(&town, many[0]), None);
    assert_eq!(known(&town, many[1]), Some(end(0)));
}

#[test]
fn what_is_lost_is_said_again() {
    for seed in crate::town::seeds(4) {
        let lossy = Flat {
            quality: Quality::delay(ms(5)).loss(0.1),
            ..flat()
        };
        let mut town = Town::of(810 + seed, vec![lossy; 4]);
        town.world.run_until(secs(60));
        for at in 0..4 {
            for other in (0..4).filter(|other| *other != at) {
                let stations = member(&town, at, other).map(|member| member.stations);
                assert_eq!(stations, Some(vec![mac(other)]), "seed {seed}: {at} of {other}");
            }
        }
    }
}

#[test]
fn an_edge_that_carries_frames_itself_is_refused_on_both_sides() {
    for kernel in [0, 1] {
        let user = Flat {
            vxlan: false,
            ..flat()
        };
        let mut flats = [user.clone(), user];
        flats[kernel] = flat();
        let mut town = Town::of(820, flats);
        town.world.run_until(secs(6));
        for at in 0..2 {
            let words = town.events(at).into_iter().find_map(|event| match event {
                EdgeEvent::Refused { refusal, .. } if refusal.status == Status::DataPlane => {
                    Some(refusal.words)
                }
                _ => None,
            });
            let words = words.unwrap_or_else(|| panic!("edge {at} heard nothing: {:?}", town.events(at)));
            assert!(
                words.contains("kernel (VXLAN)") && words.contains("user"),
                "{words}"
            );
        }
        assert_eq!(entries(&town, kernel), []);
    }
}
