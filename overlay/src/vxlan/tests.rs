use super::*;
use proptest::prelude::*;
use std::collections::BTreeSet;

fn end(number: u8) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, number], PORT))
}

fn station(number: u8) -> Mac {
    Mac([2, 0, 0, 0, 0, number])
}

fn entry(mac: Mac, to: u8) -> Entry {
    Entry { mac, to: end(to) }
}

fn member(number: u8, stations: &[u8]) -> Member {
    Member {
        key: PublicKey([number; 32]),
        name: format!("m{number}"),
        vtep: Ok(end(number)),
        mtu: Some(1_500),
        stations: stations.iter().map(|&number| station(number)).collect(),
    }
}

/// A table as the kernel keeps it: of each station one entry, of what is for all as many as there are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Table(BTreeSet<Entry>);

impl Table {
    fn of(entries: &[Entry]) -> Table {
        let mut table = Table::default();
        entries.iter().for_each(|entry| table.apply(Change::Add(*entry)));
        table
    }

    fn apply(&mut self, change: Change) {
        match change {
            Change::Add(entry) => {
                if entry.mac != Entry::FLOOD {
                    self.0.retain(|known| known.mac != entry.mac);
                }
                assert!(self.0.insert(entry), "{entry:?} is there already");
            }
            Change::Remove(entry) => assert!(self.0.remove(&entry), "{entry:?} is not there"),
        }
    }

    fn entries(&self) -> Vec<Entry> {
        self.0.iter().copied().collect()
    }

    fn has(&self, mac: Mac) -> bool {
        self.0.iter().any(|entry| entry.mac == mac)
    }
}

#[test]
fn each_member_gets_what_is_for_all_and_what_is_for_its_stations() {
    let members = [member(2, &[7, 8]), member(1, &[9])];
    let expected = [
        entry(Entry::FLOOD, 1),
        entry(Entry::FLOOD, 2),
        entry(station(7), 2),
        entry(station(8), 2),
        entry(station(9), 1),
    ];
    assert_eq!(wanted(&members), expected);
}

#[test]
fn whom_the_kernel_does_not_reach_gets_nothing() {
    for why in [
        Unreachable::Unknown,
        Unreachable::Silent,
        Unreachable::Relayed,
        Unreachable::Nat,
        Unreachable::Family,
    ] {
        let mut far = member(1, &[7]);
        far.vtep = Err(why);
        assert_eq!(wanted(&[far, member(2, &[])]), [entry(Entry::FLOOD, 2)], "{why}");
    }
}

#[test]
fn a_station_of_two_members_is_the_first_ones() {
    let members = [member(1, &[7]), member(2, &[7])];
    assert!(wanted(&members).contains(&entry(station(7), 1)));
    assert!(!wanted(&members).contains(&entry(station(7), 2)));
}

#[test]
fn groups_and_the_address_that_stands_for_all_are_no_stations() {
    let mut one = member(1, &[7]);
    one.stations
        .extend([Entry::FLOOD, Mac::BROADCAST, Mac([1, 0, 0x5e, 0, 0, 1])]);
    assert_eq!(wanted(&[one]), [entry(Entry::FLOOD, 1), entry(station(7), 1)]);
}

/// What it is about, what is there, what is wanted, and the steps between.
type Case<'a> = (&'a str, &'a [Entry], &'a [Entry], &'a [Change]);

#[test]
fn changes_in_a_table() {
    use Change::{Add, Remove};
    let flood = |to| entry(Entry::FLOOD, to);
    let cases: [Case<'_>; 6] = [
        ("nothing", &[], &[], &[]),
        ("one comes", &[], &[flood(1)], &[Add(flood(1))]),
        (
            "one goes",
            &[flood(1), entry(station(7), 1)],
            &[],
            &[Remove(flood(1)), Remove(entry(station(7), 1))],
        ),
        (
            "a station moves, and is replaced",
            &[flood(1), flood(2), entry(station(7), 1)],
            &[flood(1), flood(2), entry(station(7), 2)],
            &[Add(entry(station(7), 2))],
        ),
        (
            "a member moves: there first, then no longer here",
            &[flood(1), entry(station(7), 1)],
            &[flood(3), entry(station(7), 3)],
            &[Add(flood(3)), Add(entry(station(7), 3)), Remove(flood(1))],
        ),
        ("all is well", &[flood(1)], &[flood(1)], &[]),
    ];
    for (what, present, wanted, expected) in cases {
        assert_eq!(changes(present, wanted), expected, "{what}");
    }
}

#[test]
fn the_shortest_path_says_how_long_a_payload_is() {
    let with = |number, mtu| Member {
        mtu,
        ..member(number, &[])
    };
    let far = Member {
        vtep: Err(Unreachable::Nat),
        ..with(3, Some(600))
    };
    let members = [with(1, Some(9_001)), with(2, Some(1_500)), far, with(4, None)];
    assert_eq!(payload(&members, false, 9_000), Some(1_450));
    assert_eq!(payload(&members, true, 9_000), Some(1_430));
    assert_eq!(payload(&members, false, 1_400), Some(1_400));
    assert_eq!(payload(&members[..1], false, u16::MAX), Some(8_951));
    assert_eq!(payload(&members[2..], false, 1_500), None);
    assert_eq!(payload(&[with(1, Some(100))], false, 1_500), Some(576));
}

fn entries() -> impl Strategy<Value = Vec<Entry>> {
    let entry = (0..6u8, 1..5u8).prop_map(|(mac, to)| {
        let mac = if mac == 0 { Entry::FLOOD } else { station(mac) };
        entry(mac, to)
    });
    // As the kernel would keep them.
    prop::collection::btree_set(entry, 0..16)
        .prop_map(|entries| Table::of(&entries.into_iter().collect::<Vec<_>>()).entries())
}

fn members() -> impl Strategy<Value = Vec<Member>> {
    let why = prop_oneof![Just(None), Just(Some(Unreachable::Nat))];
    let one = (1..5u8, prop::collection::vec(0..8u8, 0..6), why).prop_map(|(number, stations, why)| Member {
        vtep: why.map_or_else(|| Ok(end(number)), Err),
        ..member(number, &stations)
    });
    prop::collection::vec(one, 0..6)
}

proptest! {
    #[test]
    fn changes_lead_from_any_table_to_the_one_that_is_wanted(present in entries(), wanted in entries()) {
        let mut table = Table::of(&present);
        let steps = changes(&present, &wanted);
        for step in &steps {
            table.apply(*step);
        }
        prop_assert_eq!(table.entries(), wanted.clone());
        prop_assert_eq!(changes(&wanted, &wanted), []);
        let differ = present.iter().filter(|entry| !wanted.contains(entry)).count()
            + wanted.iter().filter(|entry| !present.contains(entry)).count();
        prop_assert!(steps.len() <= differ, "no step in vain");
    }

    #[test]
    fn who_has_an_entry_before_and_after_has_one_all_the_time(present in entries(), wanted in entries()) {
        let mut table = Table::of(&present);
        let stays: Vec<Mac> = wanted.iter().map(|entry| entry.mac).filter(|mac| table.has(*mac)).collect();
        for step in changes(&present, &wanted) {
            table.apply(step);
            for mac in &stays {
                prop_assert!(table.has(*mac), "nothing for {} after {:?}", mac, step);
            }
        }
    }

    #[test]
    fn what_is_wanted_is_what_a_table_can_hold(members in members()) {
        let entries = wanted(&members);
        prop_assert_eq!(&Table::of(&entries).entries(), &entries);
        for entry in &entries {
            let reached = members.iter().any(|member| {
                member.vtep == Ok(entry.to)
                    && (entry.mac == Entry::FLOOD || member.stations.contains(&entry.mac))
            });
            prop_assert!(reached, "{:?} is nobody's", entry);
        }
        for member in &members {
            if let Ok(to) = member.vtep {
                let flood = Entry { mac: Entry::FLOOD, to };
                prop_assert!(entries.contains(&flood));
            }
        }
    }
}
