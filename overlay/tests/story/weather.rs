//! Loss, copies, reordering, partitions, many edges.

use crate::town::{Flat, Town, seeds};
use halloo_overlay::Mac;
use halloo_overlay::crypto::Timers;
use halloo_sim::{Dependence, Quality, ms, secs};

fn bad_weather(loss: f64) -> Quality {
    Quality::delay(ms(5))
        .loss(loss)
        .duplicate(0.05)
        .corrupt(0.01)
        .jitter(ms(2))
}

#[test]
fn nothing_comes_twice_or_back_in_bad_weather_and_new_keys_lose_nothing() {
    for seed in seeds(4) {
        for loss in [0.02, 0.15] {
            let flat = |nat: bool| Flat {
                quality: bad_weather(loss),
                timers: Timers {
                    rekey: secs(5),
                    rekey_other: secs(7),
                    linger: secs(2),
                    expire: secs(30),
                    ..Timers::default()
                },
                ..if nat {
                    Flat::behind(Dependence::EndpointIndependent, Dependence::AddressDependent)
                } else {
                    Flat::default()
                }
            };
            let mut town = Town::of(100 + seed, [flat(false), flat(true), flat(true)]);
            // With so much loss a handshake may take its time: each needs four datagrams in a row.
            let mut start = secs(10);
            town.world.run_until(start);
            while town.meetings() != (6, 6) {
                start += secs(1);
                assert!(start < secs(60), "seed {seed}, {loss}: they do not meet");
                town.world.run_until(start);
            }
            for (from, to) in [(0, 1), (1, 2), (2, 0), (2, 1)] {
                town.flow((from, to), start, ms(40), 500, 300);
            }
            town.flow_to((1, Mac::BROADCAST, "all"), start, ms(100), 200, 1_400);
            town.world.run_until(start + secs(22));
            for at in 0..3 {
                town.is_sound(at);
            }
            // Each frame crosses two lossy wires.
            let expected = 500.0 * (1.0 - loss) * (1.0 - loss) * 0.98;
            for (from, to) in [(0, 1), (1, 2), (2, 0), (2, 1)] {
                let came = town.came(to, &format!("{from}-{to} "));
                // Nothing is gone for long: not more than a second in a row.
                let gaps = came.windows(2).map(|pair| pair[1] - pair[0]);
                let gap = gaps.chain(came.first().copied()).max();
                assert!(
                    gap <= Some(25),
                    "seed {seed}, {loss}: {from} to {to}: {gap:?} in a row: {:?} {:#?}",
                    town.events(from),
                    town.peer(from, to)
                );
                let came = came.len() as f64;
                assert!(
                    came > expected * 0.9,
                    "seed {seed}, {loss}: {from} to {to}: {came} of {expected}"
                );
            }
        }
    }
}

/// Of what they say to each other 15 % are lost each way, of what they say to the supernode half as much: from their start to
/// the session.
#[test]
fn two_who_lose_much_have_met_within_five_seconds() {
    let meet = |seed: u64| {
        let flat = Flat {
            quality: Quality::delay(ms(5)).loss(0.08),
            ..Flat::default()
        };
        let mut town = Town::of(20_000 + seed, vec![flat; 2]);
        while town.meetings() != (2, 2) {
            town.world.run_for(ms(100));
            assert!(town.world.now() < secs(60), "seed {seed}: they do not meet");
        }
        town.world.now()
    };
    let mut times: Vec<_> = seeds(100).map(meet).collect();
    times.sort_unstable();
    let at = |percent: usize| times[(times.len() - 1) * percent / 100];
    assert!(at(99) < secs(5), "{:?} {:?} {:?}", at(50), at(90), at(99));
}

#[test]
fn new_keys_lose_nothing() {
    for seed in seeds(3) {
        let flat = Flat {
            timers: Timers {
                rekey: secs(2),
                rekey_other: secs(3),
                linger: secs(1),
                expire: secs(6),
                ..Timers::default()
            },
            ..Flat::default()
        };
        let mut town = Town::of(200 + seed, vec![flat; 2]);
        town.flow((0, 1), secs(2), ms(5), 2_400, 100);
        town.flow((1, 0), secs(2), ms(7), 1_700, 100);
        town.world.run_until(secs(15));
        town.all_came(0, 1, 2_400);
        town.all_came(1, 0, 1_700);
    }
}

#[test]
fn what_is_held_back_on_the_way_still_comes_once() {
    for seed in seeds(3) {
        let flat = Flat {
            quality: Quality::delay(ms(5)).reorder(0.1, ms(15)).duplicate(0.1),
            ..Flat::default()
        };
        let mut town = Town::of(300 + seed, vec![flat; 2]);
        town.flow((0, 1), secs(3), ms(5), 2_000, 1_500);
        town.world.run_until(secs(15));
        let mut came = town.came(1, "0-1 ");
        came.sort_unstable();
        assert_eq!(came, (0..2_000).collect::<Vec<_>>());
    }
}

/// `HALLOO_EDGES=300` tells it with so many.
#[test]
fn many_edges_meet_whatever_the_weather() {
    let many = std::env::var("HALLOO_EDGES")
        .ok()
        .and_then(|text| text.parse().ok());
    let many = many.unwrap_or(40);
    let mut town = Town::new(400);
    town.supernode(Default::default());
    town.supernode(Default::default());
    for number in 0..many {
        let quality = bad_weather(0.02);
        town.edge(match number % 4 {
            0 => Flat {
                quality,
                ..Flat::default()
            },
            1 => Flat {
                quality,
                ..Flat::behind(Dependence::EndpointIndependent, Dependence::AddressDependent)
            },
            2 => Flat {
                quality,
                supernode: Some(number % 2),
                ..Flat::default()
            },
            _ => Flat {
                quality,
                ..Flat::behind(
                    Dependence::AddressAndPortDependent,
                    Dependence::AddressAndPortDependent,
                )
            },
        });
    }
    town.world.run_until(secs(15));
    let (up, all) = town.meetings();
    assert_eq!(up, all);
    town.flow_to((0, Mac::BROADCAST, "all"), secs(16), ms(100), 10, 100);
    town.world.run_until(secs(18));
    let came: usize = (1..many).map(|at| town.came(at, "all ").len()).sum();
    (0..many).for_each(|at| town.is_sound(at));
    assert!(came as f64 > 10.0 * (many - 1) as f64 * 0.85, "{came}");
}

#[test]
fn a_partition_heals() {
    for span in [60, 400] {
        let mut town = Town::of(500, vec![Flat::default(); 4]);
        town.world.run_until(secs(5));
        for number in [2, 3] {
            let wire = town.edges[number].wire;
            town.world.set(wire, Quality::perfect().loss(1.0));
        }
        town.world.run_until(secs(5 + span));
        for number in [2, 3] {
            let wire = town.edges[number].wire;
            town.world.set(wire, Quality::delay(ms(5)));
        }
        town.world.run_until(secs(5 + span + 36));
        let (up, all) = town.meetings();
        assert_eq!(up, all, "after {span} s");
        let start = town.world.now() + secs(1);
        town.flow((0, 3), start, ms(10), 100, 300);
        town.flow((2, 1), start, ms(10), 100, 300);
        town.world.run_until(start + secs(2));
        town.all_came(0, 3, 100);
        town.all_came(2, 1, 100);
    }
}
