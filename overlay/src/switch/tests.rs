use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::time::Duration;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum At {
    Tap,
    Bridge,
    Peer(u8),
}

impl Port for At {
    fn is_peer(self) -> bool {
        matches!(self, At::Peer(_))
    }
}

const KEY: TableKey = TableKey([7; 16]);
const HERE: Mac = Mac([2, 0, 0, 0, 0, 0xff]);
const NOBODY: Mac = Mac([2, 9, 9, 9, 9, 9]);
const SECOND: u64 = 1_000_000_000;

fn station(number: u16) -> Mac {
    let [high, low] = number.to_be_bytes();
    Mac([2, 0, 0, 0, high, low])
}

fn frame(to: Mac, from: Mac, vlan: u16) -> Vec<u8> {
    let mut bytes = [to.0, from.0].concat();
    if vlan > 0 {
        bytes.extend([0x81, 0x00]);
        bytes.extend(vlan.to_be_bytes());
    }
    bytes.extend([0x88, 0xca, 1, 2, 3]);
    bytes
}

struct Net {
    switch: Switch<At>,
    now: Mono,
}

impl Net {
    fn new(flood: Flood) -> Net {
        let mut switch = Switch::new(TableOptions::default(), KEY, flood, ());
        switch.own(HERE, At::Tap);
        Net {
            switch,
            now: Mono(SECOND),
        }
    }

    fn send(&mut self, from: At, to: Mac, source: Mac, vlan: u16) -> Forward<At> {
        let bytes = frame(to, source, vlan);
        let frame = Ethernet::parse(&bytes).unwrap();
        self.switch.forward(self.now, from, &frame, &())
    }
}

#[test]
fn who_was_heard_is_found() {
    let mut net = Net::new(Flood::default());
    assert_eq!(net.send(At::Tap, station(1), HERE, 0), Forward::Flood(Scope::All));
    assert_eq!(net.send(At::Peer(1), HERE, station(1), 0), Forward::To(At::Tap));
    assert_eq!(net.send(At::Tap, station(1), HERE, 0), Forward::To(At::Peer(1)));
    assert_eq!(
        net.send(At::Bridge, station(1), station(2), 0),
        Forward::To(At::Peer(1))
    );
    assert_eq!(
        net.send(At::Peer(1), station(2), station(1), 0),
        Forward::To(At::Bridge)
    );
    assert_eq!(net.send(At::Tap, station(2), HERE, 0), Forward::To(At::Bridge));
}

#[test]
fn vlans_are_learned_apart() {
    let mut net = Net::new(Flood::default());
    net.send(At::Peer(1), HERE, station(1), 5);
    net.send(At::Peer(2), HERE, station(1), 6);
    assert_eq!(net.send(At::Tap, station(1), HERE, 5), Forward::To(At::Peer(1)));
    assert_eq!(net.send(At::Tap, station(1), HERE, 6), Forward::To(At::Peer(2)));
    assert_eq!(net.send(At::Tap, station(1), HERE, 0), Forward::Flood(Scope::All));
    assert_eq!(
        net.send(At::Peer(1), HERE, station(1), 7),
        Forward::To(At::Tap),
        "ours are in each"
    );
}

#[test]
fn nothing_goes_from_peer_to_peer_or_back() {
    let mut net = Net::new(Flood::default());
    net.send(At::Peer(1), HERE, station(1), 0);
    let back = net.send(At::Peer(2), station(1), station(2), 0);
    assert_eq!(back, Forward::Drop(Reason::SplitHorizon));
    let back = net.send(At::Peer(1), station(1), station(3), 0);
    assert_eq!(back, Forward::Drop(Reason::SamePort));
    for to in [Mac::BROADCAST, NOBODY] {
        assert_eq!(
            net.send(At::Peer(1), to, station(1), 0),
            Forward::Flood(Scope::Local)
        );
    }
}

#[test]
fn our_own_address_is_nobody_elses() {
    let mut net = Net::new(Flood::default());
    let loop_back = net.send(At::Peer(1), Mac::BROADCAST, HERE, 0);
    assert_eq!(loop_back, Forward::Drop(Reason::OwnSource));
    assert_eq!(
        net.send(At::Bridge, Mac::BROADCAST, HERE, 0),
        Forward::Flood(Scope::All)
    );
    assert!(net.switch.table().is_empty(), "it is not learned at another port");
    assert_eq!(net.send(At::Peer(1), HERE, station(1), 0), Forward::To(At::Tap));
}

#[test]
fn a_group_sends_nothing() {
    let mut net = Net::new(Flood::default());
    for source in [Mac::BROADCAST, Mac([1, 0, 0x5e, 0, 0, 1])] {
        let forward = net.send(At::Peer(1), HERE, source, 0);
        assert_eq!(forward, Forward::Drop(Reason::GroupSource));
    }
    assert_eq!(net.switch.counts().dropped(Reason::GroupSource), 2);
}

struct Certificates;

impl Claims<At> for Certificates {
    fn may_claim(&self, port: At, mac: Mac) -> bool {
        port != At::Peer(1) || mac == station(1)
    }
}

#[test]
fn a_member_has_the_addresses_of_its_certificate() {
    let mut net = Net::new(Flood::default());
    for (source, expected) in [
        (station(1), Forward::To(At::Tap)),
        (station(2), Forward::Drop(Reason::NotClaimed)),
    ] {
        let bytes = frame(HERE, source, 0);
        let frame = Ethernet::parse(&bytes).unwrap();
        let forward = net.switch.forward(net.now, At::Peer(1), &frame, &Certificates);
        assert_eq!(forward, expected);
    }
    assert_eq!(net.switch.table().find(net.now, station(2), 0), None);
}

#[test]
fn groups_are_flooded_by_rules_that_can_be_read() {
    let carried = [
        "01:00:5e:00:00:05",
        "01:00:5e:00:00:12",
        "01:00:5e:00:00:fb",
        "33:33:00:00:00:01",
        "01:1b:19:00:00:00",
        "01:80:c2:00:00:0e",
        "01:80:c2:00:00:02",
        "01:80:c2:00:00:03",
        "01:80:c2:00:00:14",
        "01:00:0c:cc:cc:cc",
        "01:a0:e8:00:00:01",
        "ff:ff:ff:ff:ff:ff",
        "01:80:c2:00:00:10",
        "01:00:5e:80:00:01",
    ];
    let trees = ["01:80:c2:00:00:00", "01:80:c2:00:00:08", "01:00:0c:cc:cc:cd"];
    let pause = "01:80:c2:00:00:01";
    let goes = |flood: Flood, to: &str| {
        let octets: Vec<u8> = to
            .split(':')
            .map(|octet| u8::from_str_radix(octet, 16).unwrap())
            .collect();
        let mut net = Net::new(flood);
        net.send(At::Tap, Mac(octets.try_into().unwrap()), HERE, 0) == Forward::Flood(Scope::All)
    };
    let everything = Flood {
        link_local: 0xffff,
        ..Flood::bridging()
    };
    for to in carried {
        assert!(goes(Flood::default(), to) && goes(Flood::bridging(), to), "{to}");
    }
    for to in trees {
        assert!(!goes(Flood::default(), to) && goes(Flood::bridging(), to), "{to}");
    }
    for flood in [Flood::default(), Flood::bridging(), everything] {
        assert!(!goes(flood, pause));
    }
    let none = Flood {
        broadcast: false,
        unknown_unicast: false,
        ipv4_groups: false,
        ipv6_groups: false,
        groups: false,
        link_local: 0,
        vlan_spanning_tree: false,
    };
    assert!(carried.iter().all(|to| !goes(none, to)) && !goes(none, "02:09:09:09:09:09"));
}

#[test]
fn a_frame_that_goes_nowhere_teaches_nothing() {
    let mut net = Net::new(Flood::default());
    let pause = Mac([1, 0x80, 0xc2, 0, 0, 1]);
    assert_eq!(
        net.send(At::Peer(1), pause, station(1), 0),
        Forward::Drop(Reason::NotFlooded)
    );
    assert!(net.switch.table().is_empty());
    net.send(At::Peer(1), HERE, Mac([0; 6]), 0);
    assert!(net.switch.table().is_empty(), "an address of zeros is nobody's");
}

#[test]
fn who_moves_is_found_there_and_who_flaps_is_counted() {
    let mut net = Net::new(Flood::default());
    for (at, (port, moved, flapping)) in [
        (At::Peer(1), 0, 0),
        (At::Peer(2), 1, 0),
        (At::Peer(1), 2, 0),
        (At::Peer(2), 3, 0),
        (At::Peer(1), 4, 1),
        (At::Peer(1), 4, 1),
        (At::Bridge, 5, 2),
    ]
    .into_iter()
    .enumerate()
    {
        net.send(port, HERE, station(1), 0);
        let counts = net.switch.counts();
        assert_eq!((counts.moved, counts.flapping), (moved, flapping), "{at}");
        assert_eq!(net.switch.table().find(net.now, station(1), 0), Some(port));
    }
    net.now = Mono(net.now.0 + 10 * SECOND);
    net.send(At::Peer(1), HERE, station(1), 0);
    assert_eq!(net.switch.counts().flapping, 2, "a move now and then is none");
}

#[test]
fn who_is_silent_is_forgotten_after_300_seconds() {
    let mut net = Net::new(Flood::default());
    net.send(At::Peer(1), HERE, station(1), 0);
    net.now = Mono(net.now.0 + 300 * SECOND - 1);
    assert_eq!(net.send(At::Tap, station(1), HERE, 0), Forward::To(At::Peer(1)));
    net.now = Mono(net.now.0 + 1);
    assert_eq!(net.send(At::Tap, station(1), HERE, 0), Forward::Flood(Scope::All));
    assert_eq!(net.switch.table().len(), 1, "not cleared away yet");
    net.switch.age(net.now);
    assert!(net.switch.table().is_empty());
}

fn small() -> MacTable<u8> {
    let options = TableOptions {
        most: 100,
        most_per_port: 40,
        ..TableOptions::default()
    };
    MacTable::new(options, KEY)
}

#[test]
fn a_stranger_cannot_fill_the_table() {
    let mut table = small();
    for number in 0..1_000 {
        let learned = table.learn(Mono(0), station(number), 0, 1);
        let expected = if number < 40 {
            Learned::New
        } else {
            Learned::PortFull
        };
        assert_eq!(learned, expected, "{number}");
    }
    assert_eq!(table.learn(Mono(0), station(2_000), 0, 2), Learned::New);
    // What is known behind another port is not taken over by who is full.
    assert_eq!(table.learn(Mono(0), station(2_000), 0, 1), Learned::PortFull);
    assert_eq!(table.find(Mono(0), station(2_000), 0), Some(2));
    for number in 3_000..3_100 {
        table.learn(Mono(0), station(number), 0, 3 + (number % 4) as u8);
    }
    assert_eq!(table.len(), 100);
    assert_eq!(table.learn(Mono(0), station(4_000), 0, 9), Learned::TableFull);
    // When they are old there is room again, a few at a time.
    let later = Mono(300 * SECOND);
    assert_eq!(table.learn(later, station(4_000), 0, 9), Learned::New);
    assert!(table.len() < 100);
}

#[test]
fn a_port_that_is_gone_takes_its_stations_with_it() {
    let mut table = small();
    for number in 0..30 {
        table.learn(Mono(0), station(number), number % 3, (number % 2) as u8);
    }
    table.learn(Mono(0), station(4), 7, 0);
    assert_eq!(table.forget(station(4), 0), 2, "in each VLAN");
    assert_eq!(table.forget(station(5), 0), 0, "it is behind another port");
    assert_eq!(table.stations(Mono(0), 0).count(), 14);
    assert_eq!((table.forget_port(0), table.forget_port(0)), (14, 0));
    assert_eq!((table.len(), table.count(0), table.count(1)), (15, 0, 15));
    assert_eq!(table.find(Mono(0), station(5), 2), Some(1));
}

struct Storm(u32);

impl Step<At> for Storm {
    fn pass(&mut self, passing: &Passing<'_, At>) -> Then {
        assert_eq!(passing.vlan, passing.frame.vlan());
        if passing.class == Class::Unicast && passing.to.is_some() || self.0 > 0 {
            self.0 = self.0.saturating_sub(1);
            return Then::Pass;
        }
        Then::Stop
    }
}

#[test]
fn a_step_sees_each_frame_and_can_stop_it() {
    let mut switch = Switch::new(TableOptions::default(), KEY, Flood::default(), ((), Storm(2)));
    let bytes = frame(Mac::BROADCAST, station(1), 3);
    let frame = Ethernet::parse(&bytes).unwrap();
    let forwards: Vec<_> = (0..3)
        .map(|_| switch.forward(Mono(0), At::Peer(1), &frame, &()))
        .collect();
    let flooded = Forward::Flood(Scope::Local);
    assert_eq!(forwards, [flooded, flooded, Forward::Drop(Reason::Stopped)]);
    let counts = switch.counts();
    assert_eq!((counts.flooded, counts.dropped(Reason::Stopped)), (2, 1));
}

#[test]
fn every_reason_has_its_own_name_and_counter() {
    for (slot, why) in Reason::ALL.iter().enumerate() {
        assert_eq!(slot, *why as usize);
    }
    let names: std::collections::BTreeSet<_> = Reason::ALL.iter().map(|why| why.name()).collect();
    assert_eq!(names.len(), Reason::ALL.len());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Against a table that anyone can see is right.
    #[test]
    fn a_table_is_what_a_plain_map_would_be(
        steps in proptest::collection::vec((0u8..6, 0u16..60, 0u16..2, 0u8..4, 0u64..100), 1..400),
    ) {
        let options = TableOptions { most: 50, most_per_port: 20, ageing: Duration::from_secs(1_000) };
        let mut table: MacTable<u8> = MacTable::new(options, KEY);
        let mut plain: BTreeMap<(Mac, u16), (u8, u64)> = BTreeMap::new();
        let mut now = 0;
        for (what, number, vlan, port, passed) in steps {
            now += passed;
            let (mac, at) = (station(number), Mono(now * SECOND));
            let age = |plain: &mut BTreeMap<(Mac, u16), (u8, u64)>| plain.retain(|_, (_, seen)| now - *seen < 1_000);
            match what {
                0 => {
                    age(&mut plain);
                    table.age(at);
                    prop_assert_eq!(table.len(), plain.len());
                }
                1 => {
                    let gone = table.forget(mac, port);
                    let before = plain.len();
                    plain.retain(|(known, _), (behind, _)| *known != mac || *behind != port);
                    age(&mut plain);
                    prop_assert!(gone >= before - plain.len() || before > plain.len());
                }
                2 if passed == 0 => {
                    table.forget_port(port);
                    plain.retain(|_, (behind, _)| *behind != port);
                }
                _ => {
                    // All is cleared away first, so that both have the same room.
                    table.age(at);
                    age(&mut plain);
                    let known = plain.get(&(mac, vlan)).copied();
                    let count = plain.values().filter(|(behind, _)| *behind == port).count();
                    let learned = table.learn(at, mac, vlan, port);
                    let expected = match known {
                        Some((behind, _)) if behind == port => Learned::Known,
                        _ if count >= 20 => Learned::PortFull,
                        Some((from, _)) => match learned {
                            Learned::Moved { flapping, .. } => Learned::Moved { from, flapping },
                            _ => Learned::Moved { from, flapping: false },
                        },
                        None if plain.len() >= 50 => Learned::TableFull,
                        None => Learned::New,
                    };
                    prop_assert_eq!(learned, expected);
                    if !matches!(learned, Learned::PortFull | Learned::TableFull) {
                        plain.insert((mac, vlan), (port, now));
                    }
                }
            }
            age(&mut plain);
            for number in 0..60 {
                for vlan in 0..2 {
                    let expected = plain.get(&(station(number), vlan)).map(|(port, _)| *port);
                    prop_assert_eq!(table.find(at, station(number), vlan), expected);
                }
            }
            for port in 0..4 {
                let mut stations: Vec<_> = table.stations(at, port).collect();
                stations.sort();
                let expected: Vec<_> = plain.iter().filter(|(_, (behind, _))| *behind == port).map(|(key, _)| *key).collect();
                prop_assert_eq!(stations, expected);
            }
        }
    }
}
