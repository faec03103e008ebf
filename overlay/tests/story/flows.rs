//! Several UDP ports to one peer.

use crate::station::datagram;
use crate::town::{Flat, Home, PORT, Town, mac, outside};
use halloo_overlay::crypto::Timers;
use halloo_overlay::edge::EdgeEvent;
use halloo_sim::{Dependence, NatOptions, ms, secs};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

/// Flows of the stations.
const INNER: u16 = 12;
/// Each sends so often.
const EVERY: Duration = Duration::from_millis(20);

/// One whom anything that is sent is much.
fn busy() -> Flat {
    Flat {
        flow_threshold: 0,
        ..Flat::default()
    }
}

fn busy_behind(mapping: Dependence, filtering: Dependence) -> Flat {
    Flat {
        home: Home::Nat(NatOptions::new(mapping, filtering)),
        ..busy()
    }
}

/// Has a station send so many frames of each of many flows, all at once. Each flow has a length of its own.
fn many(town: &mut Town, (from, to): (usize, usize), start: Duration, count: u32) {
    for number in 0..count {
        for flow in 0..INNER {
            let words = format!("{from}-{to}.{flow} {number}");
            let len = [80, 400, 1_300, 3_000][usize::from(flow) % 4];
            let frame = datagram(from, mac(to), 5_000 + flow, &words, len);
            town.send(from, start + EVERY * number, frame);
        }
    }
}

/// What came of each flow.
fn came(town: &Town, (from, to): (usize, usize)) -> Vec<Vec<u32>> {
    let name = |flow| format!("{from}-{to}.{flow} ");
    (0..INNER).map(|flow| town.came(to, &name(flow))).collect()
}

/// All of all flows came, once and in order.
fn all_came(town: &Town, way: (usize, usize), count: u32) {
    for (flow, came) in came(town, way).iter().enumerate() {
        assert!(
            came.iter().eq(&Vec::from_iter(0..count)),
            "flow {flow} of {way:?}: {came:?}"
        );
    }
}

/// Of each flow it came what was sent, but for so many; nothing twice, and the last one.
fn nearly_all_came(town: &Town, way: (usize, usize), count: u32, lost: u32) {
    for (flow, came) in came(town, way).iter_mut().enumerate() {
        came.sort_unstable();
        assert!(
            came.is_sorted_by(|one, other| one < other),
            "flow {flow} of {way:?}: {came:?}"
        );
        assert!(
            came.len() as u32 + lost >= count,
            "flow {flow} of {way:?}: {}",
            came.len()
        );
        assert_eq!(came.last(), Some(&(count - 1)));
    }
}

/// Datagrams by the port that they left by since it was asked last.
fn ports(town: &Town, of: usize) -> BTreeMap<u16, u64> {
    std::mem::take(&mut town.edges[of].seen.lock().expect("nobody panicked").ports)
}

fn further_ports(town: &Town, of: usize) -> Vec<(u16, u64)> {
    ports(town, of)
        .into_iter()
        .filter(|(port, _)| *port != PORT)
        .collect()
}

fn flows(town: &mut Town, of: usize, to: usize) -> u8 {
    town.peer(of, to).map_or(0, |peer| peer.flows)
}

#[test]
fn many_flows_leave_by_many_ports_and_each_stays_in_order() {
    let mut town = Town::of(900, vec![busy(); 3]);
    // What is for somebody of whom nobody knows where he is would go to all.
    town.flow((1, 0), secs(2), ms(10), 1, 60);
    town.world.run_until(secs(3));
    assert_eq!(flows(&mut town, 0, 1), 1, "nothing was sent yet");
    many(&mut town, (0, 1), secs(3), 150);
    many(&mut town, (1, 0), secs(4), 100);
    town.world.run_until(secs(4));
    let _ = ports(&town, 0);
    town.world.run_until(secs(5));
    let used = ports(&town, 0);
    assert_eq!(used.len(), 4, "{used:?}");
    assert!(used.values().all(|count| *count > 25), "{used:?}");
    assert_eq!((flows(&mut town, 0, 1), flows(&mut town, 1, 0)), (4, 4));
    assert_eq!(flows(&mut town, 0, 2), 1, "only who is sent much");
    town.world.run_until(secs(8));
    all_came(&town, (0, 1), 150);
    all_came(&town, (1, 0), 100);
    for at in 0..3 {
        for counter in [
            "malformed",
            "replayed",
            "not_authentic",
            "bad_control",
            "wrong_port",
            "content_refused",
        ] {
            assert_eq!(town.count(at, counter), 0, "{counter} of {at}");
        }
    }
    // Who is sent nothing more needs no more than one.
    town.world.run_until(secs(40));
    assert_eq!((flows(&mut town, 0, 1), flows(&mut town, 1, 0)), (1, 1));
    let before = further_ports(&town, 0);
    assert!(before.iter().all(|(_, count)| *count > 0));
    many(&mut town, (0, 1), secs(41), 50);
    town.world.run_until(secs(43));
    assert_eq!(flows(&mut town, 0, 1), 4);
    let again: Vec<u16> = further_ports(&town, 0)
        .into_iter()
        .map(|(port, _)| port)
        .collect();
    assert!(
        again.iter().eq(before.iter().map(|(port, _)| port)),
        "the same ports: {again:?}"
    );
}

#[test]
fn little_leaves_by_one_port() {
    let quiet = Flat {
        flow_threshold: 800_000,
        ..busy()
    };
    // 12 flows of 1,197 octets at the mean, 50 times a second: 718 kB a second.
    let mut town = Town::of(901, [quiet, busy()]);
    many(&mut town, (0, 1), secs(3), 150);
    town.world.run_until(secs(7));
    assert_eq!(flows(&mut town, 0, 1), 1);
    assert_eq!(further_ports(&town, 0), []);
    all_came(&town, (0, 1), 150);
}

#[test]
fn nats_let_further_ports_through_or_cost_nothing() {
    use Dependence::{AddressAndPortDependent, AddressDependent, EndpointIndependent};
    let nats = [
        None,
        Some((EndpointIndependent, EndpointIndependent)),
        Some((EndpointIndependent, AddressDependent)),
        Some((EndpointIndependent, AddressAndPortDependent)),
        Some((AddressDependent, AddressDependent)),
        Some((AddressAndPortDependent, AddressDependent)),
        Some((AddressAndPortDependent, AddressAndPortDependent)),
    ];
    let open = nats.map(|nat| (nat, None));
    let usual = nats.map(|nat| (nat, Some((EndpointIndependent, AddressDependent))));
    let same = nats.map(|nat| (nat, nat));
    for (nat, other) in open.into_iter().chain(usual).chain(same) {
        let flat = |nat: Option<(Dependence, Dependence)>| match nat {
            Some((mapping, filtering)) => busy_behind(mapping, filtering),
            None => busy(),
        };
        let mut town = Town::of(910, [flat(nat), flat(other)]);
        town.world.run_until(secs(6));
        let direct = town.is_direct(0, 1) == Some(true);
        many(&mut town, (0, 1), secs(6), 60);
        many(&mut town, (1, 0), secs(6), 60);
        town.world.run_until(secs(7));
        for (from, to, there) in [(0, 1, other), (1, 0, nat)] {
            // From another port, and so from nobody to whom he has ever sent.
            let passes = direct && there.is_none_or(|(_, filtering)| filtering != AddressAndPortDependent);
            let wanted = if passes { 4 } else { 1 };
            assert_eq!(
                flows(&mut town, from, to),
                wanted,
                "{nat:?} and {other:?}, from {from}"
            );
        }
        town.world.run_until(secs(8));
        all_came(&town, (0, 1), 60);
        all_came(&town, (1, 0), 60);
    }
}

#[test]
fn where_only_the_main_port_passes_nothing_is_lost() {
    let mut town = Town::of(902, vec![busy(); 2]);
    for at in 0..2 {
        town.edges[at].seen.lock().expect("nobody panicked").only_from = Some(PORT);
    }
    many(&mut town, (0, 1), secs(3), 500);
    for second in 4..15 {
        town.world.run_until(secs(second));
        assert_eq!(flows(&mut town, 0, 1), 1);
    }
    all_came(&town, (0, 1), 500);
    // Two rounds of four questions, three if the second began early.
    let asked = further_ports(&town, 0);
    assert!(
        asked.len() == 3 && asked.iter().all(|(_, count)| (8..=12).contains(count)),
        "{asked:?}"
    );
}

#[test]
fn what_leaves_by_a_port_that_dies_goes_on_within_a_second() {
    let mut town = Town::of(903, vec![busy(); 2]);
    many(&mut town, (0, 1), secs(3), 750);
    town.world.run_until(secs(5));
    let (port, _) = further_ports(&town, 0)[1];
    town.edges[1]
        .seen
        .lock()
        .expect("nobody panicked")
        .shut
        .insert(port);
    town.world.run_until(secs(6));
    assert_eq!(flows(&mut town, 0, 1), 3);
    town.world.run_until(secs(8));
    town.edges[1].seen.lock().expect("nobody panicked").shut.clear();
    town.world.run_until(secs(12));
    assert_eq!(flows(&mut town, 0, 1), 4, "it is tried again");
    town.world.run_until(secs(20));
    nearly_all_came(&town, (0, 1), 750, 50);
    let hit = came(&town, (0, 1)).iter().filter(|came| came.len() < 750).count();
    assert!((1..6).contains(&hit), "the others lose nothing: {hit}");
}

#[test]
fn who_knows_nothing_of_further_ports_is_sent_all_from_one() {
    // One says that he takes none, as does everybody who does not know of them.
    let old = Flat { flows: 1, ..busy() };
    let mut town = Town::of(904, [busy(), old]);
    many(&mut town, (0, 1), secs(3), 200);
    many(&mut town, (1, 0), secs(3), 200);
    town.world.run_until(secs(8));
    for (from, to) in [(0, 1), (1, 0)] {
        all_came(&town, (from, to), 200);
        assert_eq!(flows(&mut town, from, to), 1);
        assert_eq!(further_ports(&town, from), []);
        assert_eq!(town.count(from, "malformed"), 0);
    }
}

#[test]
fn who_moves_while_further_ports_are_in_use_is_reached_again() {
    let mut town = Town::of(905, vec![busy(); 2]);
    many(&mut town, (0, 1), secs(3), 500);
    many(&mut town, (1, 0), secs(3), 500);
    town.world.run_until(secs(6));
    town.move_to(1, "192.0.2.7");
    town.world.run_until(secs(9));
    assert_eq!((flows(&mut town, 0, 1), flows(&mut town, 1, 0)), (4, 4));
    let there = town.peer(0, 1).expect("they have met").paths;
    let used = there.iter().find(|path| path.in_use).expect("a path");
    assert_eq!(
        used.remote,
        SocketAddr::new("192.0.2.7".parse().expect("an address"), PORT)
    );
    town.world.run_until(secs(15));
    nearly_all_came(&town, (0, 1), 500, 50);
    nearly_all_came(&town, (1, 0), 500, 50);
}

#[test]
fn a_path_that_ends_gives_place_to_a_relay_for_all_flows() {
    let mut town = Town::of(
        906,
        vec![busy_behind(Dependence::EndpointIndependent, Dependence::AddressDependent); 2],
    );
    many(&mut town, (0, 1), secs(3), 600);
    town.world.run_until(secs(5));
    assert_eq!(flows(&mut town, 0, 1), 4);
    town.part(0, 1);
    town.world.run_until(secs(7));
    assert_eq!((town.is_direct(0, 1), flows(&mut town, 0, 1)), (Some(false), 1));
    town.world.run_until(secs(17));
    nearly_all_came(&town, (0, 1), 600, 50);
}

#[test]
fn new_keys_lose_nothing_of_any_flow() {
    let flat = Flat {
        timers: Timers {
            rekey: secs(2),
            rekey_other: secs(3),
            linger: secs(1),
            expire: secs(10),
            ..Timers::default()
        },
        ..busy()
    };
    let mut town = Town::of(907, vec![flat; 2]);
    many(&mut town, (0, 1), secs(3), 750);
    many(&mut town, (1, 0), secs(3), 750);
    for second in 5..18 {
        town.world.run_until(secs(second));
        assert_eq!(
            (flows(&mut town, 0, 1), flows(&mut town, 1, 0)),
            (4, 4),
            "{second}"
        );
    }
    town.world.run_until(secs(20));
    all_came(&town, (0, 1), 750);
    all_came(&town, (1, 0), 750);
    let met = |event: &EdgeEvent| matches!(event, EdgeEvent::PeerUp { .. });
    assert_eq!(town.events(0).into_iter().filter(met).count(), 1);
}

#[test]
fn what_comes_from_elsewhere_moves_nobody_and_gets_no_answer() {
    let mut town = Town::of(908, vec![busy(); 2]);
    many(&mut town, (0, 1), secs(3), 500);
    town.world.run_until(secs(5));
    let (port, _) = further_ports(&town, 0)[0];
    {
        // What leaves by one port never arrives, and is thrown by somebody else.
        let mut seen = town.edges[1].seen.lock().expect("nobody panicked");
        seen.shut.insert(port);
        town.edges[0].seen.lock().expect("nobody panicked").sent = Some(vec![]);
    }
    town.world.run_until(ms(5_100));
    let sent = town.edges[0].seen.lock().expect("nobody panicked").sent.take();
    let to = SocketAddr::new(outside(1), PORT);
    let of_port: Vec<Vec<u8>> = sent.into_iter().flatten().map(|(_, bytes)| bytes).collect();
    let of_port: Vec<Vec<u8>> = of_port
        .into_iter()
        .filter(|bytes| bytes[..2] == [0xa5, 16])
        .collect();
    assert!(of_port.len() > 10);
    let outsider = town.outsider();
    for (number, bytes) in of_port.into_iter().enumerate() {
        town.throw(&outsider, ms(5_200) + ms(1) * number as u32, to, bytes);
    }
    town.world.run_until(secs(6));
    let paths = town.peer(1, 0).expect("they have met").paths;
    assert!(
        paths
            .iter()
            .all(|path| path.remote.ip() == outside(0) || path.relayed),
        "{paths:?}"
    );
    // What comes to a further port and is no answer to what was asked by it is dropped: a greeting, data, garbage.
    let further = SocketAddr::new(outside(0), port);
    let hello = [&[0xa0, 1][..], &[0; 62]].concat();
    for (number, bytes) in [hello, [&[0xa5, 24][..], &[9; 70]].concat(), vec![7; 100]]
        .into_iter()
        .enumerate()
    {
        town.throw(
            &outsider,
            ms(6_100) + ms(1) * number as u32,
            further,
            bytes.clone(),
        );
        town.throw(&outsider, ms(6_200) + ms(1) * number as u32, to, bytes);
    }
    town.world.run_until(secs(7));
    assert_eq!(town.count(0, "wrong_port"), 3);
    for at in 0..2 {
        let seen = town.edges[at].seen.lock().expect("nobody panicked");
        assert_eq!((seen.too_long.as_slice(), seen.answers <= 1), (&[][..], true));
    }
    town.world.run_until(secs(15));
    nearly_all_came(&town, (0, 1), 500, 50);
}

#[test]
fn without_further_ports_all_goes_by_one_and_it_is_told_once() {
    let flat = Flat {
        no_ports: true,
        ..busy()
    };
    let mut town = Town::of(911, [flat, busy()]);
    many(&mut town, (0, 1), secs(3), 200);
    town.world.run_until(secs(8));
    all_came(&town, (0, 1), 200);
    assert_eq!(flows(&mut town, 0, 1), 1);
    assert_eq!(further_ports(&town, 0), []);
    let refused = |event: &EdgeEvent| matches!(event, EdgeEvent::PortsRefused(_));
    assert_eq!(town.events(0).into_iter().filter(refused).count(), 1);
}
